//! Our own signatures: client assertions (RFC 7523), request objects (RFC 9101), DPoP proofs (RFC 9449).

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::pem::{PemObject, SectionKind};
use serde::Serialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::Algorithm;

/// A private key that signs for this client.
///
/// RSA of 2048 bits or more, P-256, or Ed25519. `Debug` prints the kind and nothing else.
pub struct SigningKey {
    pair: KeyPair,
    numbers: Numbers,
}

enum KeyPair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Two are the same whose public halves are.
impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.thumbprint() == other.thumbprint()
    }
}

impl SigningKey {
    /// Reads a private key from PEM text with a `PRIVATE KEY` section (PKCS#8, RFC 5208), unencrypted. Other sections,
    /// such as certificates, may stand beside it; of several private keys, all of them sound, the first is taken.
    ///
    /// # Errors
    ///
    /// [`SigningKeyError`] says what the text is instead; it never holds a part of the text.
    pub fn from_pem(pem: &str) -> Result<Self, SigningKeyError> {
        Self::all_from_pem(pem).map(|mut keys| keys.swap_remove(0))
    }

    /// Reads all private keys of such a text, in their order. There is one at least.
    pub(crate) fn all_from_pem(pem: &str) -> Result<Vec<Self>, SigningKeyError> {
        private_keys(pem)?
            .iter()
            .map(|der| Self::from_pkcs8(der))
            .collect()
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        Self::of(KeyPair::from_pkcs8(der)?).ok_or(SigningKeyError::UnsupportedKind)
    }

    /// A key that was made or read as a pair of P-256.
    pub(super) fn of_p256(pair: EcdsaKeyPair) -> Option<Self> {
        Self::of(KeyPair::P256(pair))
    }

    fn of(pair: KeyPair) -> Option<Self> {
        let numbers = pair.numbers()?;
        Some(Self { pair, numbers })
    }

    /// What kind of key this is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self.pair {
            KeyPair::Rsa(_) => KeyKind::Rsa,
            KeyPair::P256(_) => KeyKind::P256,
            KeyPair::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// The algorithms that this key can sign with, the preferred one first.
    #[must_use]
    pub fn algorithms(&self) -> &'static [Algorithm] {
        match self.pair {
            KeyPair::Rsa(_) => &[Algorithm::PS256, Algorithm::RS256],
            KeyPair::P256(_) => &[Algorithm::ES256],
            KeyPair::Ed25519(_) => &[Algorithm::EdDSA],
        }
    }

    /// Signs `claims` as a JWS in compact serialization (RFC 7515 §7.1).
    ///
    /// The header is `header` (`typ`, `kid`, `jwk` and the like) and `alg`, which is set here whatever `header` says.
    ///
    /// # Errors
    ///
    /// [`SignError`] where the algorithm is not one of [`SigningKey::algorithms`], or the claims are not representable
    /// in JSON.
    pub fn sign(
        &self,
        algorithm: Algorithm,
        mut header: Map<String, Value>,
        claims: &impl Serialize,
    ) -> Result<String, SignError> {
        header.insert("alg".to_owned(), algorithm.as_str().into());
        let header = serde_json::to_vec(&header).map_err(|_| SignError::NotJson)?;
        let claims = serde_json::to_vec(claims).map_err(|_| SignError::NotJson)?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signature(algorithm, token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    pub(crate) fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match (&self.pair, algorithm) {
            (KeyPair::Rsa(pair), Algorithm::PS256) => rsa(pair, &signature::RSA_PSS_SHA256, message),
            (KeyPair::Rsa(pair), Algorithm::RS256) => rsa(pair, &signature::RSA_PKCS1_SHA256, message),
            (KeyPair::P256(pair), Algorithm::ES256) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignError::Failed),
            (KeyPair::Ed25519(pair), Algorithm::EdDSA) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignError::Failed),
            _ => Err(SignError::WrongAlgorithm),
        }
    }

    /// The public half as a JWK (RFC 7517 §4), fit to be published or registered: `use` is `sig`, and `kid` is the
    /// [thumbprint](Self::thumbprint).
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let mut jwk = match &self.numbers {
            Numbers::Rsa { n, e } => json!({"kty": "RSA", "n": n, "e": e}),
            Numbers::P256 { x, y } => json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}),
            Numbers::Ed25519 { x } => json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
        };
        jwk["kid"] = self.thumbprint().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The SHA-256 thumbprint of the public key, in base64url (RFC 7638; RFC 8037 appendix A.3 for Ed25519).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // Written by hand, because the hash is over these bytes: members in this order, no white space. The values are
        // base64url, so there is nothing to escape.
        let canonical = match &self.numbers {
            Numbers::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Numbers::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Numbers::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        };
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
    }
}

/// The private keys of a PEM text, PKCS#8 in DER, in their order. There is one at least.
pub(super) fn private_keys(pem: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, SigningKeyError> {
    let mut keys = Vec::new();
    let mut other_private_key = false;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
        let (kind, der) = section.map_err(|_| SigningKeyError::NotPem)?;
        let der = Zeroizing::new(der);
        match kind {
            SectionKind::PrivateKey => keys.push(der),
            SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => other_private_key = true,
            _ => {}
        }
    }
    // The PEM reader passes over sections it has no name for, the encrypted ones among them.
    if !keys.is_empty() {
        Ok(keys)
    } else if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || pem.contains("Proc-Type: 4,ENCRYPTED")
    {
        Err(SigningKeyError::Encrypted)
    } else if other_private_key {
        Err(SigningKeyError::NotPkcs8)
    } else if pem.contains("-----BEGIN ") {
        Err(SigningKeyError::NoPrivateKey)
    } else {
        Err(SigningKeyError::NotPem)
    }
}

impl KeyPair {
    fn from_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        match RsaKeyPair::from_pkcs8(der) {
            Ok(pair) => return Ok(Self::Rsa(pair)),
            Err(rejected) if rejected.description_() == "TooSmall" => {
                return Err(SigningKeyError::TooShort);
            }
            Err(_) => {}
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self::P256(pair));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self::Ed25519(pair));
        }
        Err(SigningKeyError::UnsupportedKind)
    }

    /// The public half. `None` would mean that aws-lc writes public keys in another form than it documents.
    fn numbers(&self) -> Option<Numbers> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Some(match self {
            Self::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref())?;
                Numbers::Rsa {
                    n: encode(n),
                    e: encode(e),
                }
            }
            Self::P256(pair) => {
                // SEC 1 §2.3.3, uncompressed: the octet 4, then both coordinates in 32 octets each.
                let coordinates = pair.public_key().as_ref().strip_prefix(&[4])?;
                let (x, y) = coordinates.split_at_checked(32)?;
                Numbers::P256 {
                    x: encode(x),
                    y: encode(y),
                }
            }
            Self::Ed25519(pair) => Numbers::Ed25519 {
                x: encode(pair.public_key().as_ref()),
            },
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.kind()).finish()
    }
}

/// The kind of a [`SigningKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// RSA of 2048 bits or more.
    Rsa,
    /// The curve P-256.
    P256,
    /// The curve Ed25519.
    Ed25519,
}

/// Why a text is not a usable private key. The mend is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// The text is not PEM, or is damaged.
    #[error("the key is not PEM; it must have a section `-----BEGIN PRIVATE KEY-----`")]
    NotPem,
    /// The text is PEM, but holds no private key.
    #[error("the PEM text holds no private key, only other things")]
    NoPrivateKey,
    /// The private key is encrypted.
    #[error("the private key is encrypted; write it without a passphrase: `openssl pkcs8 -topk8 -nocrypt`")]
    Encrypted,
    /// The private key is in PKCS#1 or SEC 1 format.
    #[error("the private key is not PKCS#8; convert it: `openssl pkcs8 -topk8 -nocrypt`")]
    NotPkcs8,
    /// The key is not an RSA, P-256 or Ed25519 key, or its content is damaged.
    #[error("the private key is not a sound RSA, P-256 or Ed25519 key")]
    UnsupportedKind,
    /// The key is an RSA key of fewer than 2048 bits.
    #[error("the RSA key is too short; 2048 bits are the least")]
    TooShort,
    /// The key is to decrypt, and is of a kind that only signs.
    #[error("an Ed25519 key signs and does not decrypt; use an RSA or P-256 key")]
    CannotDecrypt,
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The algorithm is not one of [`SigningKey::algorithms`].
    #[error("the key cannot sign with this algorithm")]
    WrongAlgorithm,
    /// The claims cannot be written as JSON.
    #[error("the claims cannot be written as JSON")]
    NotJson,
    /// The cryptographic library failed.
    #[error("signing failed")]
    Failed,
}

/// What a public JWK consists of, in base64url.
enum Numbers {
    Rsa { n: String, e: String },
    P256 { x: String, y: String },
    Ed25519 { x: String },
}

fn rsa(pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| SignError::Failed)?;
    Ok(signature)
}

/// Modulus and exponent of an `RSAPublicKey` in DER (RFC 8017 appendix A.1.1): a sequence of two positive integers.
pub(super) fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let (sequence, []) = der_element(SEQUENCE, der)? else {
        return None;
    };
    let (n, rest) = der_element(INTEGER, sequence)?;
    let (e, []) = der_element(INTEGER, rest)? else {
        return None;
    };
    // DER puts a zero before a number whose first bit is set; a JWK does not (RFC 7518 §2).
    Some((
        n.strip_prefix(&[0]).unwrap_or(n),
        e.strip_prefix(&[0]).unwrap_or(e),
    ))
}

/// Splits off the content of the first element, which must have this tag.
fn der_element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, length], mut rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let mut length = usize::from(length);
    if length >= 0x80 {
        // The long form: so many octets of length follow. Two are enough for any key.
        let (octets, after) = rest
            .split_at_checked(length & 0x7f)
            .filter(|(o, _)| o.len() <= 2)?;
        length = octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
        rest = after;
    }
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestKey, key_set, pem};
    use super::super::{Jws, JwsError};
    use super::*;

    const KINDS: [(Algorithm, KeyKind); 3] = [
        (Algorithm::RS256, KeyKind::Rsa),
        (Algorithm::ES256, KeyKind::P256),
        (Algorithm::EdDSA, KeyKind::Ed25519),
    ];

    /// RFC 8037, appendix A.1, in PKCS#8.
    fn rfc8037_key() -> SigningKey {
        let prefix = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
        ];
        let seed = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .expect("base64url");
        let der = [&prefix[..], &seed].concat();
        SigningKey::from_pem(&pem("PRIVATE KEY", &der)).expect("a key")
    }

    #[test]
    fn signs_what_its_public_key_verifies() {
        for (algorithm, kind) in KINDS {
            let key = SigningKey::from_pem(&TestKey::of(algorithm).pem()).expect("a key");
            assert_eq!(key.kind(), kind);
            let keys = key_set([key.public_jwk()]);
            for algorithm in key.algorithms() {
                let mut header = Map::new();
                header.insert("typ".to_owned(), "JWT".into());
                header.insert("kid".to_owned(), key.thumbprint().into());
                header.insert("alg".to_owned(), "none".into());
                let token = key
                    .sign(*algorithm, header, &json!({"sub": "me"}))
                    .expect("a token");
                let jws = Jws::parse(&token).expect("a JWS");
                assert_eq!(jws.algorithm(), *algorithm);
                assert_eq!(jws.typ(), Some("JWT"));
                assert_eq!(jws.verify(&keys, &[*algorithm]), Ok(&br#"{"sub":"me"}"#[..]));
            }
        }
    }

    #[test]
    fn another_key_does_not_verify_it() {
        let key = SigningKey::from_pem(&TestKey::of(Algorithm::ES256).pem()).expect("a key");
        let other = TestKey::generate(Algorithm::ES256);
        let token = key
            .sign(Algorithm::ES256, Map::new(), &json!({}))
            .expect("a token");
        let verified = Jws::parse(&token)
            .expect("a JWS")
            .verify(&key_set([other.jwk()]), &[Algorithm::ES256])
            .map(<[u8]>::len);
        assert_eq!(verified, Err(JwsError::UnknownKey));
    }

    #[test]
    fn refuses_algorithms_of_other_keys() {
        let key = rfc8037_key();
        for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::RS512] {
            assert_eq!(
                key.sign(algorithm, Map::new(), &json!({})),
                Err(SignError::WrongAlgorithm)
            );
        }
    }

    #[test] // RFC 8037, appendices A.2 and A.3
    fn ed25519_key_and_thumbprint_are_those_of_the_specification() {
        let key = rfc8037_key();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(
            key.public_jwk(),
            json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
                "use": "sig",
            })
        );
    }

    #[test] // RFC 8037, appendix A.4
    fn ed25519_signature_is_that_of_the_specification() {
        let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = rfc8037_key()
            .signature(Algorithm::EdDSA, input.as_bytes())
            .expect("a signature");
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signature),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test] // RFC 7638 §3.1
    fn rsa_thumbprint_hashes_the_members_in_order() {
        let key = SigningKey::from_pem(&TestKey::of(Algorithm::RS256).pem()).expect("a key");
        let jwk = TestKey::of(Algorithm::RS256).jwk();
        // BTreeMap sorts its keys, as the canonical form has them.
        let sorted: std::collections::BTreeMap<String, Value> =
            serde_json::from_value(jwk.clone()).expect("an object");
        let canonical = serde_json::to_vec(&sorted).expect("JSON");
        let hash = digest::digest(&digest::SHA256, &canonical);
        assert_eq!(key.thumbprint(), URL_SAFE_NO_PAD.encode(hash));
        assert_eq!(key.public_jwk()["n"], jwk["n"]);
        assert_eq!(key.public_jwk()["e"], "AQAB");
    }

    #[test]
    fn other_pem_sections_may_stand_beside_the_key() {
        let key = TestKey::of(Algorithm::ES256).pem();
        let text = format!("a comment\n{}{key}", pem("CERTIFICATE", b"not looked at"));
        assert_eq!(SigningKey::from_pem(&text).expect("a key").kind(), KeyKind::P256);
    }

    #[test]
    fn says_what_the_text_is_instead_of_a_key() {
        let error = |text: &str| SigningKey::from_pem(text).err();
        let good = TestKey::of(Algorithm::ES256).pem();
        let relabelled = |label: &str| good.replace("PRIVATE KEY", label);
        assert_eq!(error(""), Some(SigningKeyError::NotPem));
        assert_eq!(error("secret"), Some(SigningKeyError::NotPem));
        assert_eq!(
            error(good.split("-----END").next().expect("a part")),
            Some(SigningKeyError::NotPem)
        );
        assert_eq!(
            error(&relabelled("CERTIFICATE")),
            Some(SigningKeyError::NoPrivateKey)
        );
        assert_eq!(
            error(&relabelled("ENCRYPTED PRIVATE KEY")),
            Some(SigningKeyError::Encrypted)
        );
        assert_eq!(
            error(&relabelled("EC PRIVATE KEY")),
            Some(SigningKeyError::NotPkcs8)
        );
        assert_eq!(
            error(&relabelled("RSA PRIVATE KEY")),
            Some(SigningKeyError::NotPkcs8)
        );
        assert_eq!(
            error(&pem("PRIVATE KEY", b"not DER")),
            Some(SigningKeyError::UnsupportedKind)
        );
        for algorithm in [Algorithm::ES384, Algorithm::ES512] {
            let other_curve = TestKey::of(algorithm).pem();
            assert_eq!(error(&other_curve), Some(SigningKeyError::UnsupportedKind));
        }
        assert_eq!(error(SHORT_RSA_KEY), Some(SigningKeyError::TooShort));
    }

    #[test]
    fn debug_prints_the_kind_only() {
        assert_eq!(format!("{:?}", rfc8037_key()), "SigningKey(Ed25519)");
    }

    /// 1024 bits, made for this test and used nowhere.
    const SHORT_RSA_KEY: &str = "\
        -----BEGIN PRIVATE KEY-----\n\
        MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBAMzUWySpNRe9Q9bR\n\
        jVyRO5ZaJJTrxDILGS3+WKynqlCX8xn4Piuyszxs/XB5lG1O/K2Azj2ypdbpCMRh\n\
        tJlxqQ1q0yv/JuBdWCj/60JeGIljU9gE3zN8bTl4lAZa+6w4tXy7okpy8WvkdV3P\n\
        wSigZkQXIGHFZyNT/2bEQV3J1zPrAgMBAAECgYEAyikRZ+alYy/HA//BIMqq4CNK\n\
        Fb1439d6W528kXPOMks2gbw0SFbQdmQv49Hrf9NEqk4FwHlRGwLXR1QTtpqquLC6\n\
        fIoIqzrZkdLQPlb51Z7vuFIAVOtaYBdAFHRZ4hcwnnlzVuPBTUxQD31OU44Y1U2c\n\
        ukghoruwf6oqeKJNaRkCQQD5Z8aq5isUbiodTiki0xhKyzN84AbxgmMXuSGqab4t\n\
        I8XxVrAHwTyCy9HGFwGAcm5hefuoeh+KPGgNi4Iwc8L3AkEA0j7YnuMvZkkP+i6P\n\
        xALjvsc71GgfUCa7gbEi2UEndMqbsvUGmY5+kefwH8oOkbV8kCp4SJypLoiJk741\n\
        oJdlrQJBANKgbKxZk9o+KzzyjFUHt4U61LHKNLLzbaJUS/UyNlTC2GE315PFAshn\n\
        PzKurSr/+O5DaV/gOxCwcSO3ROyMZwMCQQCXe9iwgpiAZlwwsqO7YymdKAgfvvXw\n\
        1jd79plZV+yJ5gHRK2KZ+WWQ00DcZsWgjtc1OKR6DQaJFK+r1/zjvLHxAkAbR0cV\n\
        SwJoYTlOpjTzrRi6Jl3bJ8XXhB92r97jGVGIEKXZP6ChNq3U2G8AiDfi5JYAY6SF\n\
        ExyiROibvzS+ORyG\n\
        -----END PRIVATE KEY-----\n";
}
