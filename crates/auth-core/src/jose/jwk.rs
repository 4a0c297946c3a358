//! The provider's public keys (RFC 7517, RFC 7518 §6, RFC 8037).

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::digest;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKeyType, CoreJsonWebKeyUse};
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, JsonWebKeySet, JsonWebKeyUse as _,
    SignatureVerificationError,
};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::Algorithm;

/// RSA moduli of fewer bits are too weak (RFC 7518 §3.3); of more, too slow to be meant seriously.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys that a provider publishes. Those that cannot be used are left out when the set is parsed.
pub(crate) type KeySet = JsonWebKeySet<Jwk>;

/// Parses a key set (RFC 7517 §5).
///
/// An entry that is no key, is of an unknown type or curve, or is too weak, is skipped: a provider may publish it for
/// others. A set without a usable key is therefore no error here; the token is what fails then.
pub(crate) fn parse_key_set(body: &[u8]) -> Result<KeySet, KeySetError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => KeySetError::NotKeySet,
        _ => KeySetError::NotJson,
    })
}

/// Why a document is not a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The document is not JSON.
    #[error("the key set is not JSON")]
    NotJson,
    /// The document is JSON, but not an object with an array `keys` (RFC 7517 §5).
    #[error("the key set has no array of keys")]
    NotKeySet,
}

/// A public key with what its owner says it may be used for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
pub(crate) struct Jwk {
    members: Members,
    /// `alg`, read once.
    restriction: Restriction,
    key: PublicKey,
}

impl Jwk {
    /// Whether this key may verify signatures of `algorithm`: by its type and curve, and by `use`, `key_ops` and `alg`
    /// where present (RFC 7517 §4.2–§4.4).
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        let members = &self.members;
        let meant_for_signatures = members.key_use.as_ref().is_none_or(|u| u.allows_signature())
            && (members.key_ops.as_ref()).is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let alg_agrees = match self.restriction {
            Restriction::None => true,
            Restriction::Only(alg) => alg == algorithm,
            Restriction::NotForSignatures => false,
        };
        meant_for_signatures && alg_agrees && self.key.suits(algorithm)
    }

    /// Checks a signature; whether the key [fits](Self::fits) is a question of its own.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Unspecified> {
        match &self.key {
            PublicKey::Rsa(key) => key.verify(algorithm, message, signature),
            PublicKey::Curve { algorithm: own, key } if *own == algorithm => {
                key.verify_sig(message, signature)
            }
            PublicKey::Curve { .. } | PublicKey::Symmetric => Err(Unspecified),
        }
    }

    /// The SHA-256 thumbprint, in base64url, over the members as they stand there (RFC 7638 §3; RFC 8037 §2 for Ed25519).
    pub(super) fn thumbprint(&self) -> String {
        let members = &self.members;
        let number = |number: &Option<String>| number.clone().unwrap_or_default();
        let curve = || members.crv.clone().unwrap_or_default();
        // Written by hand, because the hash is over these bytes: members in this order, no white space. The values were read
        // as base64url and as names of curves, so there is nothing to escape.
        let canonical = match &self.key {
            PublicKey::Rsa(_) => format!(
                r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                number(&members.e),
                number(&members.n)
            ),
            PublicKey::Curve {
                algorithm: Algorithm::EdDSA,
                ..
            } => format!(
                r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#,
                curve(),
                number(&members.x)
            ),
            PublicKey::Curve { .. } => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                curve(),
                number(&members.x),
                number(&members.y)
            ),
            PublicKey::Symmetric => String::new(),
        };
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
    }
}

/// Names the key, without the numbers.
impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("kid", &self.members.kid)
            .field("kty", &self.members.kty)
            .finish_non_exhaustive()
    }
}

impl JsonWebKey for Jwk {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = Algorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.members.kid.as_ref()
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        &self.members.kty
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        self.members.key_use.as_ref()
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&Algorithm> {
        match &self.restriction {
            Restriction::None => JsonWebKeyAlgorithm::Unspecified,
            Restriction::Only(algorithm) => JsonWebKeyAlgorithm::Algorithm(algorithm),
            Restriction::NotForSignatures => JsonWebKeyAlgorithm::Unsupported,
        }
    }

    /// A key that verifies nothing: the trait asks for the function, and no algorithm here is symmetric.
    fn new_symmetric(_: Vec<u8>) -> Self {
        Self {
            members: Members::new(CoreJsonWebKeyType::Symmetric),
            restriction: Restriction::NotForSignatures,
            key: PublicKey::Symmetric,
        }
    }

    fn verify_signature(
        &self,
        algorithm: &Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureVerificationError> {
        self.verify(*algorithm, message, signature)
            .map_err(|_| SignatureVerificationError::CryptoError("bad signature".to_owned()))
    }

    fn hash_bytes(&self, bytes: &[u8], algorithm: &Algorithm) -> Result<Vec<u8>, String> {
        if !self.key.suits(*algorithm) {
            return Err("the key is not one for this algorithm".to_owned());
        }
        Ok(algorithm.hash(bytes).as_ref().to_vec())
    }
}

/// What `alg` allows.
#[derive(Clone, Copy)]
enum Restriction {
    None,
    Only(Algorithm),
    NotForSignatures,
}

/// A key ready for use.
#[derive(Clone)]
enum PublicKey {
    /// Serves six algorithms.
    Rsa(Box<RsaKey>),
    /// Serves one algorithm, which the curve decides.
    Curve {
        algorithm: Algorithm,
        key: ParsedPublicKey,
    },
    /// Serves none; see [`Jwk::new_symmetric`].
    Symmetric,
}

impl PublicKey {
    fn suits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Rsa(_) => RSA.iter().any(|(one, _)| *one == algorithm),
            Self::Curve { algorithm: own, .. } => *own == algorithm,
            Self::Symmetric => false,
        }
    }
}

/// The algorithms of RSA keys.
const RSA: [(Algorithm, &RsaParameters); 6] = [
    (Algorithm::RS256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::RS384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::RS512, &signature::RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::PS256, &signature::RSA_PSS_2048_8192_SHA256),
    (Algorithm::PS384, &signature::RSA_PSS_2048_8192_SHA384),
    (Algorithm::PS512, &signature::RSA_PSS_2048_8192_SHA512),
];

#[derive(Clone)]
struct RsaKey {
    components: PublicKeyComponents<Vec<u8>>,
    /// For each algorithm, made ready when it is first used. aws-lc keeps in it what it computes from the modulus once.
    parsed: [OnceLock<ParsedPublicKey>; RSA.len()],
}

impl RsaKey {
    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), Unspecified> {
        let (parsed, (_, parameters)) = (self.parsed.iter().zip(&RSA))
            .find(|(_, (one, _))| *one == algorithm)
            .ok_or(Unspecified)?;
        let key = match parsed.get() {
            Some(key) => key,
            None => {
                let key = self.components.to_parsed_public_key(parameters)?;
                parsed.get_or_init(|| key)
            }
        };
        key.verify_sig(message, signature)
    }
}

/// The members of a JWK that matter here. Private ones and certificates are not read at all.
#[derive(Clone, Serialize, Deserialize)]
struct Members {
    kty: CoreJsonWebKeyType,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<JsonWebKeyId>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    key_use: Option<CoreJsonWebKeyUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_ops: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl Members {
    fn new(kty: CoreJsonWebKeyType) -> Self {
        Self {
            kty,
            kid: None,
            key_use: None,
            key_ops: None,
            alg: None,
            n: None,
            e: None,
            crv: None,
            x: None,
            y: None,
        }
    }

    fn public_key(&self) -> Result<PublicKey, Unusable> {
        match self.kty {
            CoreJsonWebKeyType::RSA => self.rsa(),
            CoreJsonWebKeyType::EllipticCurve => self.elliptic_curve(),
            CoreJsonWebKeyType::OctetKeyPair => self.octet_key_pair(),
            _ => Err(Unusable("unknown key type")),
        }
    }

    fn rsa(&self) -> Result<PublicKey, Unusable> {
        // RFC 7518 §2 forbids leading zeros in these numbers, some providers write them all the same, and aws-lc
        // refuses them.
        let n = without_leading_zeros(decode(self.n.as_deref())?);
        let e = without_leading_zeros(decode(self.e.as_deref())?);
        let bits = n.len() * 8 - n.first().map_or(0, |b| b.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(Unusable("RSA modulus too short or too long"));
        }
        if matches!(e.as_slice(), [] | [0..=2]) {
            return Err(Unusable("RSA exponent too small"));
        }
        // RFC 8017 §3.1: an even one has no inverse, so nobody can sign with it.
        if e.last().is_some_and(|byte| byte % 2 == 0) {
            return Err(Unusable("RSA exponent even"));
        }
        Ok(PublicKey::Rsa(Box::new(RsaKey {
            components: PublicKeyComponents { n, e },
            parsed: Default::default(),
        })))
    }

    fn elliptic_curve(&self) -> Result<PublicKey, Unusable> {
        let (algorithm, verification, width): (_, &'static dyn VerificationAlgorithm, _) =
            match self.crv.as_deref() {
                Some("P-256") => (Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED, 32),
                Some("P-384") => (Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED, 48),
                Some("P-521") => (Algorithm::ES512, &signature::ECDSA_P521_SHA512_FIXED, 66),
                _ => return Err(Unusable("unknown curve")),
            };
        let x = decode(self.x.as_deref())?;
        let y = decode(self.y.as_deref())?;
        // RFC 7518 §6.2.1.2: each coordinate has the full width of the curve.
        if x.len() != width || y.len() != width {
            return Err(Unusable("coordinate of the wrong length"));
        }
        // An uncompressed point, as SEC 1 §2.3.3 writes it; aws-lc checks that it lies on the curve.
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        curve(algorithm, verification, &point)
    }

    fn octet_key_pair(&self) -> Result<PublicKey, Unusable> {
        if self.crv.as_deref() != Some("Ed25519") {
            return Err(Unusable("unknown curve"));
        }
        let x = decode(self.x.as_deref())?;
        // aws-lc would take an X.509 structure too.
        if x.len() != 32 {
            return Err(Unusable("public key of the wrong length"));
        }
        if has_small_order(&x) {
            return Err(Unusable("point of small order"));
        }
        curve(Algorithm::EdDSA, &signature::ED25519, &x)
    }
}

impl TryFrom<Members> for Jwk {
    type Error = Unusable;

    fn try_from(members: Members) -> Result<Self, Unusable> {
        let restriction = match &members.alg {
            None => Restriction::None,
            Some(name) => name
                .parse()
                .map_or(Restriction::NotForSignatures, Restriction::Only),
        };
        Ok(Self {
            key: members.public_key()?,
            restriction,
            members,
        })
    }
}

impl From<Jwk> for Members {
    fn from(jwk: Jwk) -> Self {
        jwk.members
    }
}

/// Why a key is skipped.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unusable(&'static str);

fn curve(
    algorithm: Algorithm,
    verification: &'static dyn VerificationAlgorithm,
    bytes: &[u8],
) -> Result<PublicKey, Unusable> {
    let key = ParsedPublicKey::new(verification, bytes).map_err(|_| Unusable("not a point on the curve"))?;
    Ok(PublicKey::Curve { algorithm, key })
}

fn decode(member: Option<&str>) -> Result<Vec<u8>, Unusable> {
    let text = member.ok_or(Unusable("a member of the key is missing"))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Unusable("a member of the key is not base64url"))
}

/// Whether this is a point of Ed25519 with an order of 8 or less, in any of its encodings. Anybody can make signatures
/// that such a key verifies (RFC 8725 §3.4: inputs are validated).
fn has_small_order(point: &[u8]) -> bool {
    /// The y of these points, and what else is read as 0 or 1, without the sign of x in the last bit.
    const Y: [[u8; 32]; 7] = [
        little_endian(0x00, 0x00, 0x00),
        little_endian(0x01, 0x00, 0x00),
        // Two of order 8.
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
        // p - 1, p and p + 1.
        little_endian(0xec, 0xff, 0x7f),
        little_endian(0xed, 0xff, 0x7f),
        little_endian(0xee, 0xff, 0x7f),
    ];
    const fn little_endian(first: u8, middle: u8, last: u8) -> [u8; 32] {
        let mut bytes = [middle; 32];
        bytes[0] = first;
        bytes[31] = last;
        bytes
    }
    Y.iter().any(|y| {
        point.iter().zip(y).take(31).all(|(a, b)| a == b)
            && point.last().map(|b| b & 0x7f) == y.last().copied()
    })
}

fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    number.drain(..zeros);
    number
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{ALGORITHMS, TestKey, key_set};
    use super::*;

    /// The algorithms that the only key of the set fits; `None` where the key was skipped.
    fn fitting(jwk: Value) -> Option<Vec<Algorithm>> {
        let set = key_set([jwk]);
        let key = set.keys().first()?;
        Some(ALGORITHMS.into_iter().filter(|a| key.fits(*a)).collect())
    }

    fn rsa(n: &[u8], e: &[u8]) -> Value {
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e)})
    }

    #[test]
    fn rsa_keys_fit_the_rsa_algorithms() {
        assert_eq!(
            fitting(TestKey::of(Algorithm::RS256).jwk()).expect("a key"),
            ALGORITHMS[..6]
        );
    }

    #[test]
    fn curve_keys_fit_the_algorithm_of_their_curve() {
        for algorithm in &ALGORITHMS[6..] {
            let jwk = TestKey::of(*algorithm).jwk();
            assert_eq!(fitting(jwk), Some(vec![*algorithm]));
        }
    }

    #[test] // RFC 7517 §4.4
    fn alg_restricts_the_key_to_one_algorithm() {
        let rsa = TestKey::of(Algorithm::RS256);
        let with_alg = |alg: &str| fitting(rsa.jwk_with(json!({"alg": alg})));
        assert_eq!(with_alg("PS256"), Some(vec![Algorithm::PS256]));
        assert_eq!(with_alg("ES256"), Some(vec![]));
        assert_eq!(with_alg("RSA-OAEP"), Some(vec![]));
        let ed25519 = TestKey::of(Algorithm::EdDSA);
        let jwk = ed25519.jwk_with(json!({"alg": "Ed25519"}));
        assert_eq!(fitting(jwk), Some(vec![Algorithm::EdDSA]));
    }

    #[test] // RFC 7517 §4.2
    fn use_must_be_sig_where_present() {
        let key = TestKey::of(Algorithm::ES256);
        let with_use = |name: &str| fitting(key.jwk_with(json!({"use": name})));
        assert_eq!(with_use("sig"), Some(vec![Algorithm::ES256]));
        assert_eq!(with_use("enc"), Some(vec![]));
        assert_eq!(with_use("tls"), Some(vec![]));
    }

    #[test] // RFC 7517 §4.3
    fn key_ops_must_contain_verify_where_present() {
        let key = TestKey::of(Algorithm::ES256);
        let with_ops = |ops: Value| fitting(key.jwk_with(json!({"key_ops": ops})));
        assert_eq!(with_ops(json!(["sign", "verify"])), Some(vec![Algorithm::ES256]));
        assert_eq!(with_ops(json!(["encrypt"])), Some(vec![]));
        assert_eq!(with_ops(json!([])), Some(vec![]));
    }

    #[test]
    fn rsa_keys_of_fewer_than_2048_bits_are_skipped() {
        let mut n = [0xff; 256];
        assert!(fitting(rsa(&n, &[1, 0, 1])).is_some());
        n[0] = 0x7f;
        assert_eq!(fitting(rsa(&n, &[1, 0, 1])), None);
        assert_eq!(fitting(rsa(&n[1..], &[1, 0, 1])), None);
        assert_eq!(fitting(rsa(&[], &[1, 0, 1])), None);
        assert_eq!(fitting(rsa(&[0xff; 1025], &[1, 0, 1])), None);
    }

    #[test]
    fn rsa_keys_with_an_exponent_below_3_are_skipped() {
        let n = [0xff; 256];
        assert!(fitting(rsa(&n, &[3])).is_some());
        for e in [&[2][..], &[1], &[0, 1], &[0], &[]] {
            assert_eq!(fitting(rsa(&n, e)), None, "{e:?}");
        }
    }

    #[test] // RFC 8017 §3.1
    fn rsa_keys_with_an_even_exponent_are_skipped() {
        let n = [0xff; 256];
        assert!(fitting(rsa(&n, &[5])).is_some());
        for e in [&[4][..], &[1, 0, 0], &[0xff, 0xfe]] {
            assert_eq!(fitting(rsa(&n, e)), None, "{e:?}");
        }
    }

    #[test]
    fn huge_rsa_keys_are_skipped() {
        assert!(fitting(rsa(&[0xff; 1024], &[1, 0, 1])).is_some());
        for bytes in [1025, 2048, 65_536] {
            assert_eq!(fitting(rsa(&vec![0xff; bytes], &[1, 0, 1])), None, "{bytes}");
        }
    }

    /// Aws-lc takes exponents of up to 33 bits: a larger one makes each check as dear as a private operation.
    #[test]
    fn huge_rsa_exponents_verify_nothing() {
        let jwk = TestKey::of(Algorithm::RS256).jwk_with(json!({"e": URL_SAFE_NO_PAD.encode([0xff; 256])}));
        let token = TestKey::of(Algorithm::RS256).sign(Algorithm::RS256, r#"{"alg":"RS256"}"#, b"payload");
        let jws = crate::jose::Jws::parse(&token).expect("a JWS");
        assert!(jws.verify(&key_set([jwk]), &[Algorithm::RS256]).is_err());
    }

    /// The eight points of small order in all their encodings.
    fn points_of_small_order() -> Vec<[u8; 32]> {
        let hex = |text: &str| -> [u8; 32] {
            let digit = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex");
            std::array::from_fn(digit)
        };
        let ff = "ff".repeat(30);
        let zeros = "00".repeat(31);
        [
            format!("00{zeros}"),
            format!("01{zeros}"),
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".to_owned(),
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".to_owned(),
            format!("ec{ff}7f"),
            format!("ed{ff}7f"),
            format!("ee{ff}7f"),
        ]
        .iter()
        .map(|text| hex(text))
        .flat_map(|point| {
            let mut negative = point;
            negative[31] |= 0x80;
            [point, negative]
        })
        .collect()
    }

    #[test] // RFC 8725 §3.4
    fn ed25519_points_of_small_order_are_skipped() {
        for point in points_of_small_order() {
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(point)});
            assert_eq!(fitting(jwk), None, "{point:02x?}");
        }
    }

    #[test]
    fn a_signature_that_fits_every_message_is_no_signature() {
        // The neutral element as key and as R, and S = 0: the equation of RFC 8032 §5.1.7 holds for any message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let keys = key_set([json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(neutral)})]);
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#),
            URL_SAFE_NO_PAD.encode("any message")
        );
        let signature = [neutral, [0; 32]].concat();
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
        let jws = crate::jose::Jws::parse(&token).expect("a JWS");
        assert!(jws.verify(&keys, &ALGORITHMS).is_err());
    }

    #[test]
    fn leading_zeros_of_rsa_numbers_neither_hurt_nor_count() {
        let key = TestKey::of(Algorithm::RS256);
        let padded = |name: &str| {
            let number = decode(key.jwk()[name].as_str()).expect("base64url");
            URL_SAFE_NO_PAD.encode([&[0, 0], number.as_slice()].concat())
        };
        let set = key_set([key.jwk_with(json!({"n": padded("n"), "e": padded("e")}))]);
        let token = key.sign(Algorithm::RS256, r#"{"alg":"RS256"}"#, b"payload");
        let jws = crate::jose::Jws::parse(&token).expect("a JWS");
        assert_eq!(jws.verify(&set, &[Algorithm::RS256]), Ok(&b"payload"[..]));

        let mut short = [0xff; 256];
        short[0] = 0;
        assert_eq!(fitting(rsa(&short, &[1, 0, 1])), None);
    }

    #[test]
    fn damaged_curve_keys_are_skipped() {
        let p256 = TestKey::of(Algorithm::ES256);
        let x = p256.jwk()["x"].clone();
        for odd in [
            json!({"y": x}),
            json!({"y": "AA"}),
            json!({"y": null}),
            json!({"x": "not base64url!"}),
            json!({"crv": "P-384"}),
            json!({"crv": "secp256k1"}),
            json!({"crv": null}),
        ] {
            assert_eq!(fitting(p256.jwk_with(odd.clone())), None, "{odd}");
        }
        let ed25519 = TestKey::of(Algorithm::EdDSA);
        for odd in [
            json!({"x": "AA"}),
            json!({"crv": "Ed448"}),
            json!({"crv": "X25519"}),
        ] {
            assert_eq!(fitting(ed25519.jwk_with(odd.clone())), None, "{odd}");
        }
    }

    #[test] // RFC 7517 §5: entries that are not understood are ignored
    fn one_odd_entry_does_not_spoil_the_set() {
        let good = TestKey::of(Algorithm::ES256).jwk_with(json!({"kid": "good", "x5c": ["?"]}));
        let set = key_set([
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "oct", "alg": "RS256", "kid": "good", "k": "c2VjcmV0"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            json!({"kty": "EC", "crv": "secp256k1", "kid": "good", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "crv": "Ed448", "kid": "good", "x": "AA"}),
            json!({"kid": "no type"}),
            json!("no object"),
            json!(null),
            TestKey::of(Algorithm::EdDSA).jwk_with(json!({"kid": 7})),
            good,
        ]);
        let ids: Vec<_> = set.keys().iter().map(JsonWebKey::key_id).collect();
        assert_eq!(ids, [Some(&JsonWebKeyId::new("good".to_owned()))]);
    }

    #[test]
    fn documents_that_are_no_key_set_are_told_apart() {
        let error = |body: &str| parse_key_set(body.as_bytes()).err();
        assert_eq!(error("<html>"), Some(KeySetError::NotJson));
        assert_eq!(error(""), Some(KeySetError::NotJson));
        assert_eq!(error("{}"), Some(KeySetError::NotKeySet));
        assert_eq!(error(r#"{"keys": {}}"#), Some(KeySetError::NotKeySet));
        assert_eq!(error("17"), Some(KeySetError::NotKeySet));
        assert_eq!(error(r#"{"keys": []}"#), None);
    }

    #[test]
    fn private_members_are_neither_kept_nor_written() {
        let private = json!({"kid": "k", "d": "c2VjcmV0", "p": "c2VjcmV0", "k": "c2VjcmV0", "oth": [{"r": "c2VjcmV0"}]});
        let jwk = TestKey::of(Algorithm::ES256).jwk_with(private);
        let set = key_set([jwk]);
        let written = serde_json::to_value(&set).expect("JSON");
        let expected = TestKey::of(Algorithm::ES256).jwk_with(json!({"kid": "k"}));
        assert_eq!(written, json!({"keys": [expected]}));
        assert!(!format!("{set:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn symmetric_keys_verify_nothing() {
        let key = Jwk::new_symmetric(b"secret".to_vec());
        for algorithm in ALGORITHMS {
            assert!(!key.fits(algorithm));
            assert!(key.verify_signature(&algorithm, b"", b"").is_err());
            assert!(key.hash_bytes(b"", &algorithm).is_err());
        }
    }
}
