//! JSON Web Tokens in their compact form (RFC 7515, RFC 7519).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::keys::SigningKey;

/// A token that was taken apart; nothing about it is verified yet.
pub(crate) struct Unverified {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Unverified {
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            message: message.as_bytes().to_vec(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// The claims, where `key` made the signature with its own algorithm.
    pub(crate) fn verified_by(self, key: &SigningKey) -> Option<Map<String, Value>> {
        let good =
            self.header("alg") == Some(key.algorithm.name()) && key.verifies(&self.message, &self.signature);
        good.then_some(self.claims)
    }

    /// The claims, where the client's key made the signature.
    pub(crate) fn verified_by_client(self, key: &super::keys::PublicKey) -> Option<Map<String, Value>> {
        let good = self
            .header("alg")
            .is_some_and(|alg| key.verifies(alg, &self.message, &self.signature));
        good.then_some(self.claims)
    }

    /// The claims, where the client's secret made the signature (HS256).
    pub(crate) fn verified_by_secret(self, secret: &str) -> Option<Map<String, Value>> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let good =
            self.header("alg") == Some("HS256") && hmac::verify(&key, &self.message, &self.signature).is_ok();
        good.then_some(self.claims)
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}

/// How a token is signed.
pub(crate) enum Signature<'a> {
    Key(&'a SigningKey),
    /// A signature that does not verify.
    Corrupt(&'a SigningKey),
    /// `alg: none`.
    None,
    Hs256(&'a [u8]),
}

impl Signature<'_> {
    /// The header that goes with it.
    pub(crate) fn header(&self, typ: &str) -> Map<String, Value> {
        let header = match self {
            Self::Key(key) | Self::Corrupt(key) => {
                json!({ "alg": key.algorithm.name(), "kid": key.kid, "typ": typ })
            }
            Self::None => json!({ "alg": "none", "typ": typ }),
            Self::Hs256(_) => json!({ "alg": "HS256", "typ": typ }),
        };
        match header {
            Value::Object(header) => header,
            _ => Map::new(),
        }
    }

    pub(crate) fn sign(&self, header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
        let encode =
            |part: &Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(part.clone()).to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = match self {
            Self::Key(key) => key.sign(message.as_bytes()),
            Self::Corrupt(key) => {
                let mut signature = key.sign(message.as_bytes());
                if let Some(byte) = signature.get_mut(10) {
                    *byte ^= 0x40;
                }
                signature
            }
            Self::None => Vec::new(),
            Self::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
