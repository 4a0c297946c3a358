//! The provider's signing keys, and the public keys of clients.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::random;

/// Signature algorithms of the provider's tokens (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits; the default.
    #[default]
    Rs256,
    /// RSASSA-PSS with SHA-256, 2048 bits.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// The name in a JOSE header, such as `RS256`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// `at_hash` of an access token (OIDC Core §3.1.3.6); for Ed25519 with SHA-512, as providers have settled on.
    pub(crate) fn at_hash(self, access_token: &str) -> String {
        let algorithm = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => &digest::SHA256,
            Self::Es384 => &digest::SHA384,
            Self::EdDsa => &digest::SHA512,
        };
        let hash = digest::digest(algorithm, access_token.as_bytes());
        let half = &hash.as_ref()[..hash.as_ref().len() / 2];
        URL_SAFE_NO_PAD.encode(half)
    }
}

/// A key pair of the provider with its key identifier.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) algorithm: SigningAlgorithm,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub(crate) fn generate(algorithm: SigningAlgorithm) -> Result<Self, Unspecified> {
        let pair = match algorithm {
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => {
                Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048)?)
            }
            SigningAlgorithm::Es256 => Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            SigningAlgorithm::Es384 => Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)?),
            SigningAlgorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::generate()?),
        };
        let mut kid = random::token();
        kid.truncate(16);
        Ok(Self { kid, algorithm, pair })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding: &dyn signature::RsaEncoding = match self.algorithm {
                    SigningAlgorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &rng, message, &mut out)
                    .expect("a 2048-bit RSA key signs any message");
                out
            }
            Pair::Ecdsa(pair) => pair
                .sign(&rng, message)
                .expect("an ECDSA key signs any message")
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn signature::VerificationAlgorithm = match self.algorithm {
            SigningAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            SigningAlgorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            SigningAlgorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            SigningAlgorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
            SigningAlgorithm::EdDsa => &ED25519,
        };
        let key: &[u8] = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        algorithm.verify_sig(key, message, signature).is_ok()
    }

    /// The public key as a JSON Web Key (RFC 7517).
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let (n, e) =
                    rsa_integers(pair.public_key().as_ref()).expect("the key is an RSAPublicKey structure");
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
            Pair::Ecdsa(pair) => {
                // An uncompressed point: 0x04, then both coordinates in full length.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match self.algorithm {
                    SigningAlgorithm::Es384 => "P-384",
                    _ => "P-256",
                };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm.name());
        jwk["use"] = json!("sig");
        jwk
    }
}

/// Modulus and exponent of an RSAPublicKey structure (RFC 8017 §A.1.1), without leading zeros.
fn rsa_integers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = der_value(0x30, der)?;
    let (n, rest) = der_value(0x02, sequence)?;
    let (e, _) = der_value(0x02, rest)?;
    Some((n.strip_prefix(&[0]).unwrap_or(n), e))
}

/// Takes apart one DER value with that tag: its content, and what follows.
fn der_value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    // A short length stands for itself; a long one is preceded by the number of its bytes.
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = bytes
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        (length, rest)
    };
    rest.split_at_checked(length)
}

/// What becomes of the old keys when a new one comes ([`Control::rotate_keys`](crate::Control::rotate_keys)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldKeys {
    /// They stay published: tokens they signed still verify.
    Keep,
    /// They leave the key set: tokens they signed no longer verify.
    Remove,
}

/// The provider's keys: one signs, some are published.
pub(crate) struct KeyRing {
    signing: Arc<SigningKey>,
    published: Vec<Arc<SigningKey>>,
    retired: Vec<Arc<SigningKey>>,
    unpublished: Option<Arc<SigningKey>>,
    use_unpublished: bool,
    signs_userinfo: bool,
}

impl KeyRing {
    pub(crate) fn new(key: SigningKey) -> Self {
        let signing = Arc::new(key);
        Self {
            published: vec![Arc::clone(&signing)],
            signing,
            retired: Vec::new(),
            unpublished: None,
            use_unpublished: false,
            signs_userinfo: false,
        }
    }

    pub(crate) fn algorithm(&self) -> SigningAlgorithm {
        self.signing.algorithm
    }

    pub(crate) fn rotate(&mut self, key: SigningKey, old: OldKeys) {
        if old == OldKeys::Remove {
            self.retired.append(&mut self.published);
        }
        self.signing = Arc::new(key);
        self.published.insert(0, Arc::clone(&self.signing));
    }

    /// Publishes a key that does not sign yet.
    pub(crate) fn add(&mut self, key: SigningKey) {
        self.published.push(Arc::new(key));
    }

    pub(crate) fn sign_with(&mut self, kid: &str) {
        if let Some(key) = self.published(kid) {
            self.signing = key;
        }
    }

    pub(crate) fn sign_userinfo(&mut self, on: bool) {
        self.signs_userinfo = on;
    }

    pub(crate) fn signs_userinfo(&self) -> bool {
        self.signs_userinfo
    }

    /// The names of the published keys' algorithms, the signing one first, each once.
    pub(crate) fn algorithms(&self) -> Vec<&'static str> {
        let mut names = vec![self.signing.algorithm.name()];
        for key in &self.published {
            if !names.contains(&key.algorithm.name()) {
                names.push(key.algorithm.name());
            }
        }
        names
    }

    pub(crate) fn unpublished_jwk(&self) -> Option<Value> {
        let key = self.unpublished.as_ref().filter(|_| self.use_unpublished)?;
        Some(key.jwk())
    }

    /// Signs ID tokens with `key`, which the key set does not hold, until told otherwise.
    pub(crate) fn sign_with_unpublished(&mut self, key: Option<SigningKey>) {
        self.use_unpublished = key.is_some();
        if let Some(key) = key {
            self.unpublished = Some(Arc::new(key));
        }
    }

    pub(crate) fn signing(&self) -> Arc<SigningKey> {
        Arc::clone(&self.signing)
    }

    pub(crate) fn signing_id_tokens(&self) -> Arc<SigningKey> {
        match &self.unpublished {
            Some(key) if self.use_unpublished => Arc::clone(key),
            _ => self.signing(),
        }
    }

    /// The published key of that name.
    pub(crate) fn published(&self, kid: &str) -> Option<Arc<SigningKey>> {
        self.published.iter().find(|key| key.kid == kid).cloned()
    }

    /// Any key the provider ever signed with: an `id_token_hint` may be old.
    pub(crate) fn ever_used(&self, kid: &str) -> Option<Arc<SigningKey>> {
        self.published
            .iter()
            .chain(&self.retired)
            .chain(&self.unpublished)
            .find(|key| key.kid == kid)
            .cloned()
    }

    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.published.iter().map(|key| key.jwk()).collect();
        json!({ "keys": keys })
    }
}

/// A client's public key, for [`Client::private_key_jwt`](crate::Client::private_key_jwt) and
/// [`Client::request_object_key`](crate::Client::request_object_key): RSA of 2048 to 8192 bits, P-256 or Ed25519.
///
/// ```
/// use auth_testing::{Client, PublicKey};
/// use serde_json::json;
///
/// // The client's own key set, as the application shows it at `/auth/jwks`, has it.
/// let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
/// let client = Client::private_key_jwt("my-app", PublicKey::from_jwk(&jwk)?);
/// # drop(client);
/// # Ok::<(), auth_testing::PublicKeyError>(())
/// ```
#[derive(Clone)]
pub struct PublicKey(Material);

#[derive(Clone)]
enum Material {
    RsaDer(Vec<u8>),
    RsaComponents { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Why a public key was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The text is no PEM `PUBLIC KEY` block.
    #[error("no PEM block with a public key")]
    Pem,
    /// A member of the JSON Web Key is missing or malformed.
    #[error("malformed JSON Web Key")]
    Jwk,
    /// Neither RSA nor P-256 nor Ed25519.
    #[error("the key is neither RSA nor P-256 nor Ed25519")]
    Unsupported,
}

impl PublicKey {
    /// Reads a PEM `PUBLIC KEY` block (RFC 7468 §13): RSA, P-256 or Ed25519.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError::Pem`] where there is no such block, [`PublicKeyError::Unsupported`] where it is another kind of key.
    pub fn from_pem(pem: &str) -> Result<Self, PublicKeyError> {
        let spki =
            SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| PublicKeyError::Pem)?;
        let der = spki.as_ref().to_vec();
        // The algorithm identifier stands within the first bytes of the structure (RFC 5280 §4.1.2.7).
        let head = &der[..der.len().min(40)];
        let has = |oid: &[u8]| head.windows(oid.len()).any(|window| window == oid);
        if has(OID_RSA) {
            Ok(Self(Material::RsaDer(der)))
        } else if has(OID_P256) {
            Ok(Self(Material::P256(der)))
        } else if has(OID_ED25519) {
            Ok(Self(Material::Ed25519(der)))
        } else {
            Err(PublicKeyError::Unsupported)
        }
    }

    /// Reads a JSON Web Key (RFC 7517): `RSA`, `EC` with P-256 or `OKP` with Ed25519 (RFC 8037 §2).
    ///
    /// # Errors
    ///
    /// [`PublicKeyError::Jwk`] where a member is missing or is no base64url, [`PublicKeyError::Unsupported`] where it is another
    /// kind of key.
    pub fn from_jwk(jwk: &Value) -> Result<Self, PublicKeyError> {
        let member = |name: &str| {
            let text = jwk[name].as_str().ok_or(PublicKeyError::Jwk)?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| PublicKeyError::Jwk)
        };
        match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("RSA"), _) => Ok(Self(Material::RsaComponents {
                n: member("n")?,
                e: member("e")?,
            })),
            (Some("EC"), Some("P-256")) => {
                let point = [vec![4], member("x")?, member("y")?].concat();
                Ok(Self(Material::P256(point)))
            }
            (Some("OKP"), Some("Ed25519")) => Ok(Self(Material::Ed25519(member("x")?))),
            _ => Err(PublicKeyError::Unsupported),
        }
    }

    /// Whether `signature` by the JOSE algorithm `algorithm` over `message` is this key's.
    pub(crate) fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let rsa = match algorithm {
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            _ => &RSA_PSS_2048_8192_SHA256,
        };
        match (&self.0, algorithm) {
            (Material::RsaDer(der), "RS256" | "PS256") => {
                UnparsedPublicKey::new(rsa, der).verify(message, signature)
            }
            (Material::RsaComponents { n, e }, "RS256" | "PS256") => {
                RsaPublicKeyComponents { n, e }.verify(rsa, message, signature)
            }
            (Material::P256(key), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            (Material::Ed25519(key), "EdDSA" | "Ed25519") => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            _ => Err(Unspecified),
        }
        .is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Material::RsaDer(_) | Material::RsaComponents { .. } => "PublicKey(RSA)",
            Material::P256(_) => "PublicKey(P-256)",
            Material::Ed25519(_) => "PublicKey(Ed25519)",
        })
    }
}

/// rsaEncryption, with tag and length.
const OID_RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// prime256v1, with tag and length.
const OID_P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// id-Ed25519, with tag and length.
const OID_ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
