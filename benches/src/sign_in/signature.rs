//! The provider's keys, and the check of a signature with nothing around it.

use std::time::{Duration, Instant};

use auth_core::jose::{Algorithm, SigningKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::Failure;

/// How often the tokens are checked, for a time that a clock can tell.
const TIMES: u32 = 5;

/// An RSA key of 2048 bits and one on P-256.
pub(crate) struct Keys {
    rsa: SigningKey,
    p256: SigningKey,
    rsa_public: PublicKeyComponents<Vec<u8>>,
    p256_public: ParsedPublicKey,
}

impl Keys {
    pub(crate) fn generate() -> Result<Self, Failure> {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let rsa = signing_key(AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa)?.as_ref())?;
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let p256 = signing_key(p256.to_pkcs8v1()?.as_ref())?;
        let (rsa_jwk, p256_jwk) = (rsa.public_jwk(), p256.public_jwk());
        // An uncompressed point, as SEC 1 §2.3.3 writes it.
        let point = [vec![4], number(&p256_jwk, "x")?, number(&p256_jwk, "y")?].concat();
        Ok(Self {
            rsa_public: PublicKeyComponents {
                n: number(&rsa_jwk, "n")?,
                e: number(&rsa_jwk, "e")?,
            },
            p256_public: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)?,
            rsa,
            p256,
        })
    }

    fn key(&self, algorithm: Algorithm) -> &SigningKey {
        if algorithm == Algorithm::RS256 {
            &self.rsa
        } else {
            &self.p256
        }
    }

    /// The key set that the provider publishes.
    pub(crate) fn public(&self) -> Value {
        serde_json::json!({ "keys": [self.rsa.public_jwk(), self.p256.public_jwk()] })
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, claims: &Value) -> Result<String, Failure> {
        let key = self.key(algorithm);
        let mut header = Map::new();
        header.insert("kid".to_owned(), key.thumbprint().into());
        Ok(key.sign(algorithm, header, claims)?)
    }

    /// The time that one check of each token's signature takes: the bytes are at hand, the key is parsed.
    pub(crate) fn check(&self, algorithm: Algorithm, tokens: &[String]) -> Result<Duration, Failure> {
        let mut parts = Vec::new();
        for token in tokens {
            let (input, signature) = token.rsplit_once('.').ok_or("no token")?;
            parts.push((input.as_bytes(), URL_SAFE_NO_PAD.decode(signature)?));
        }
        let begun = Instant::now();
        for _ in 0..TIMES {
            for (input, signature) in &parts {
                if algorithm == Algorithm::RS256 {
                    self.rsa_public
                        .verify(&RSA_PKCS1_2048_8192_SHA256, input, signature)?;
                } else {
                    self.p256_public.verify_sig(input, signature)?;
                }
            }
        }
        Ok(begun.elapsed() / TIMES)
    }
}

fn signing_key(der: &[u8]) -> Result<SigningKey, Failure> {
    let body = STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    Ok(SigningKey::from_pem(&pem)?)
}

fn number(jwk: &Value, name: &str) -> Result<Vec<u8>, Failure> {
    let text = jwk[name].as_str().ok_or("no such number in the key")?;
    Ok(URL_SAFE_NO_PAD.decode(text)?)
}
