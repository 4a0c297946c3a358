//! New tokens: the whole check beside the check of the signature with nothing around it.

use std::time::Instant;

use auth_axum::ResourceServer;
use auth_core::bearer::BearerRequest;
use auth_core::request::RequestHead;
use auth_testing::DevProvider;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{API, Failure};

/// Tokens per round, each seen for the first time.
pub(crate) const ROUND: usize = 300;

pub(crate) struct Tokens<'p> {
    provider: &'p DevProvider,
    key: Key,
    issued: usize,
}

enum Key {
    Rsa(PublicKeyComponents<Vec<u8>>),
    Other(ParsedPublicKey),
}

/// Microseconds per token.
pub(crate) struct Round {
    pub(crate) signature: f64,
    pub(crate) token: f64,
}

impl<'p> Tokens<'p> {
    pub(crate) fn of(provider: &'p DevProvider) -> Result<Self, Failure> {
        let jwk = &provider.control().jwks()["keys"][0];
        let number = |name: &str| -> Result<Vec<u8>, Failure> {
            Ok(URL_SAFE_NO_PAD.decode(jwk[name].as_str().ok_or("no such number in the key")?)?)
        };
        let key = match jwk["kty"].as_str() {
            Some("RSA") => Key::Rsa(PublicKeyComponents {
                n: number("n")?,
                e: number("e")?,
            }),
            Some("EC") => {
                let point = [vec![4], number("x")?, number("y")?].concat();
                Key::Other(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)?)
            }
            _ => Key::Other(ParsedPublicKey::new(&ED25519, number("x")?)?),
        };
        Ok(Self {
            provider,
            key,
            issued: 0,
        })
    }

    /// What an access token usually holds.
    pub(crate) fn sign(&self, number: usize) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let claims = json!({
            "iss": self.provider.issuer(), "sub": "248289761001", "aud": [API, "https://other.example"],
            "exp": now + 3600, "iat": now, "nbf": now, "auth_time": now - 60, "acr": "1", "client_id": "a-client",
            "azp": "a-client", "scope": "openid profile email read write", "jti": format!("b3b1f5c2-{number:012}"),
            "roles": ["reader", "writer"],
        });
        match claims {
            Value::Object(claims) => self.provider.control().sign_jwt("at+jwt", &claims),
            _ => String::new(),
        }
    }

    pub(crate) fn round(
        &mut self,
        runtime: &tokio::runtime::Runtime,
        server: &ResourceServer,
    ) -> Result<Round, Failure> {
        let tokens: Vec<String> = (self.issued..self.issued + ROUND)
            .map(|number| self.sign(number))
            .collect();
        self.issued += ROUND;
        let mut parts = Vec::new();
        for token in &tokens {
            let (input, signature) = token.rsplit_once('.').ok_or("no token")?;
            parts.push((input.as_bytes(), URL_SAFE_NO_PAD.decode(signature)?));
        }
        let headers: Vec<String> = tokens.iter().map(|token| format!("Bearer {token}")).collect();
        // The keys are there before the clock runs.
        let warm = format!("Bearer {}", self.sign(usize::MAX));
        runtime.block_on(server.check(&BearerRequest::of(&Head(&warm))))?;

        let begun = Instant::now();
        for (input, signature) in &parts {
            match &self.key {
                Key::Rsa(key) => drop(key.verify(&RSA_PKCS1_2048_8192_SHA256, input, signature)?),
                Key::Other(key) => key.verify_sig(input, signature)?,
            }
        }
        let signature = begun.elapsed();
        let begun = Instant::now();
        runtime.block_on(async {
            for header in &headers {
                server.check(&BearerRequest::of(&Head(header))).await?;
            }
            Ok::<_, Failure>(())
        })?;
        let token = begun.elapsed();
        let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6 / ROUND as f64;
        Ok(Round {
            signature: micros(signature),
            token: micros(token),
        })
    }
}

struct Head<'a>(&'a str);

impl RequestHead for Head<'_> {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn path(&self) -> &'static str {
        "/"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        if name == "authorization" {
            each(self.0);
        }
    }
}
