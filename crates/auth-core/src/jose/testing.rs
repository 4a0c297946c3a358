//! Real keys and real signatures for the tests of this crate.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(crate) use super::ALGORITHMS;
use super::signing_key::rsa_numbers;
use super::{Algorithm, KeySet, parse_key_set};

/// A private key of any kind that the crate can verify.
pub(crate) enum TestKey {
    Rsa(RsaKeyPair),
    Ecdsa(Algorithm, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

static RSA: LazyLock<TestKey> = LazyLock::new(TestKey::generate_rsa);
static P256: LazyLock<TestKey> = LazyLock::new(|| TestKey::generate(Algorithm::ES256));
static P384: LazyLock<TestKey> = LazyLock::new(|| TestKey::generate(Algorithm::ES384));
static P521: LazyLock<TestKey> = LazyLock::new(|| TestKey::generate(Algorithm::ES512));
static ED25519: LazyLock<TestKey> = LazyLock::new(|| TestKey::generate(Algorithm::EdDSA));

impl TestKey {
    /// The key that all tests share for this algorithm.
    pub(crate) fn of(algorithm: Algorithm) -> &'static Self {
        match algorithm {
            Algorithm::ES256 => &P256,
            Algorithm::ES384 => &P384,
            Algorithm::ES512 => &P521,
            Algorithm::EdDSA => &ED25519,
            _ => &RSA,
        }
    }

    /// A key that nobody else has.
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let ecdsa = |curve: &'static EcdsaSigningAlgorithm| {
            Self::Ecdsa(algorithm, EcdsaKeyPair::generate(curve).expect("a key"))
        };
        match algorithm {
            Algorithm::ES256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::ES512 => ecdsa(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDSA => Self::Ed25519(Ed25519KeyPair::generate().expect("a key")),
            _ => Self::generate_rsa(),
        }
    }

    fn generate_rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    /// The public key as a JWK: nothing but the key, no `kid`, `use` or `alg`.
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref()).expect("an RSAPublicKey");
                json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
            }
            Self::Ecdsa(algorithm, pair) => {
                let curve = match algorithm {
                    Algorithm::ES256 => "P-256",
                    Algorithm::ES384 => "P-384",
                    _ => "P-521",
                };
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        }
    }

    /// The public key as a JWK with these members added or replaced.
    pub(crate) fn jwk_with(&self, members: Value) -> Value {
        let mut jwk = self.jwk();
        for (name, value) in members.as_object().expect("an object") {
            jwk[name] = value.clone();
        }
        jwk
    }

    /// The private key in PKCS#8 PEM.
    pub(crate) fn pem(&self) -> String {
        let der = match self {
            Self::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair)
                .expect("DER")
                .as_ref()
                .to_vec(),
            Self::Ecdsa(_, pair) => pair.to_pkcs8v1().expect("DER").as_ref().to_vec(),
            Self::Ed25519(pair) => pair.to_pkcs8v1().expect("DER").as_ref().to_vec(),
        };
        pem("PRIVATE KEY", &der)
    }

    /// A JWS with exactly this header and payload, however wrong they are.
    pub(crate) fn sign(&self, algorithm: Algorithm, header: &str, payload: &[u8]) -> String {
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.signature(algorithm, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::PS256 => &signature::RSA_PSS_SHA256,
                    Algorithm::PS384 => &signature::RSA_PSS_SHA384,
                    Algorithm::PS512 => &signature::RSA_PSS_SHA512,
                    other => panic!("an RSA key does not sign {other}"),
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)
                    .expect("a signature");
                signature
            }
            Self::Ecdsa(_, pair) => {
                let signature = pair.sign(&random, message).expect("a signature");
                signature.as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// A key set of these JWKs.
pub(crate) fn key_set(keys: impl IntoIterator<Item = Value>) -> KeySet {
    let keys: Vec<_> = keys.into_iter().collect();
    let body = serde_json::to_vec(&json!({"keys": keys})).expect("JSON");
    parse_key_set(&body).expect("a key set")
}

/// A PEM section.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("ASCII"));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
