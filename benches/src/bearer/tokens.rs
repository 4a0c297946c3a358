//! New tokens: the whole check beside the check of the signature with nothing around it.

use std::time::Instant;

use auth_axum::ResourceServer;
use auth_core::bearer::BearerRequest;
use auth_core::request::RequestHead;
use auth_testing::{DevProvider, SigningAlgorithm};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{API, Case};
use crate::Failure;
use crate::callgrind::counted_requests;

/// Tokens per round, each seen for the first time.
pub(crate) const ROUND: usize = 100;

pub(crate) struct Tokens<'p> {
    provider: &'p DevProvider,
    key: ParsedPublicKey,
    issued: usize,
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
            Some("RSA") => PublicKeyComponents {
                n: number("n")?,
                e: number("e")?,
            }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)?,
            Some("EC") => {
                let point = [vec![4], number("x")?, number("y")?].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)?
            }
            _ => ParsedPublicKey::new(&ED25519, number("x")?)?,
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

    /// Tokens that were not there before.
    fn make(&mut self, count: usize) -> Result<Made, Failure> {
        let tokens: Vec<String> = (self.issued..self.issued + count)
            .map(|number| self.sign(number))
            .collect();
        self.issued += count;
        let mut made = Made::default();
        for token in tokens {
            let (input, signature) = token.rsplit_once('.').ok_or("no token")?;
            made.parts
                .push((input.to_owned(), URL_SAFE_NO_PAD.decode(signature)?));
            made.headers.push(format!("Bearer {token}"));
        }
        Ok(made)
    }

    fn check_signatures(&self, parts: &[(String, Vec<u8>)]) -> Result<(), Failure> {
        for (input, signature) in parts {
            self.key.verify_sig(input.as_bytes(), signature)?;
        }
        Ok(())
    }

    pub(crate) fn round(&mut self, runtime: &Runtime, server: &ResourceServer) -> Result<Round, Failure> {
        let made = self.make(ROUND)?;
        // The keys are there before the clock runs.
        let warm = [format!("Bearer {}", self.sign(usize::MAX))];
        runtime.block_on(check(server, &warm))?;

        let begun = Instant::now();
        self.check_signatures(&made.parts)?;
        let signature = begun.elapsed();
        let begun = Instant::now();
        runtime.block_on(check(server, &made.headers))?;
        let token = begun.elapsed();
        let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6 / ROUND as f64;
        Ok(Round {
            signature: micros(signature),
            token: micros(token),
        })
    }
}

/// Tokens, taken apart and as they are sent.
#[derive(Default)]
struct Made {
    /// What is signed, and the signature.
    parts: Vec<(String, Vec<u8>)>,
    /// The values of the `Authorization` header.
    headers: Vec<String>,
}

async fn check(server: &ResourceServer, headers: &[String]) -> Result<(), Failure> {
    for header in headers {
        server.check(&BearerRequest::of(&Head(header))).await?;
    }
    Ok(())
}

/// Checks `count` new tokens inside of [`counted_requests`].
pub(super) fn check_in_process(case: Case, count: usize, prepared: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let provider = runtime.block_on(super::start(SigningAlgorithm::Es256))?;
    let server = super::checking(&provider, runtime.handle())?;
    let mut tokens = Tokens::of(&provider)?;
    let made = tokens.make(prepared)?;
    runtime.block_on(check(&server, &[format!("Bearer {}", tokens.sign(usize::MAX))]))?;
    let mut outcome = Ok(());
    counted_requests(&mut || {
        outcome = match case {
            Case::Bare => tokens.check_signatures(&made.parts[..count]),
            Case::Bearer => runtime.block_on(check(&server, &made.headers[..count])),
        };
    });
    outcome
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
