//! The client's own private keys: what they sign, for client assertions (RFC 7523) and request objects (RFC 9101), and
//! their public halves for providers that fetch them.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::jose::{Algorithm, SigningKey};

/// The client's keys. The first signs.
#[derive(Clone)]
pub(crate) struct ClientKeys {
    signing: Arc<SigningKey>,
    all: Vec<Arc<SigningKey>>,
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.all).finish()
    }
}

impl ClientKeys {
    /// `None` where there is no key.
    pub(crate) fn new(all: Vec<Arc<SigningKey>>) -> Option<Self> {
        let signing = Arc::clone(all.first()?);
        Some(Self { signing, all })
    }

    /// Signs claims, with an algorithm that the provider advertises where the key has one.
    pub(crate) fn sign(&self, typ: &str, advertised: &[Algorithm], claims: &Map<String, Value>) -> String {
        let mut header = Map::new();
        header.insert("typ".to_owned(), json!(typ));
        // OpenID Connect Core §10.1: of several keys the `kid` says which. One key is found without it, and has none: a
        // provider compares it with whatever name the key was registered under, which is not known here.
        if self.all.len() > 1 {
            header.insert("kid".to_owned(), json!(self.signing.thumbprint()));
        }
        self.signing
            .sign(algorithm(&self.signing, advertised), header, claims)
            .expect("a key that was read signs with its own algorithms")
    }
}

impl ClientKeys {
    /// The public halves (RFC 7517 §4).
    pub(crate) fn public_jwks(&self) -> impl Iterator<Item = Value> {
        self.all.iter().map(|key| key.public_jwk())
    }
}

/// The first of the key's algorithms that the provider names; RS256 for an RSA key where it names none.
fn algorithm(key: &SigningKey, advertised: &[Algorithm]) -> Algorithm {
    let fitting = key.algorithms();
    fitting
        .iter()
        .find(|algorithm| advertised.contains(algorithm))
        .or_else(|| fitting.iter().find(|algorithm| **algorithm == Algorithm::RS256))
        .or_else(|| fitting.first())
        .copied()
        .expect("every kind of key has an algorithm")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::testing::TestKey;

    #[test] // OpenID Connect Discovery §3
    fn the_algorithm_is_one_that_the_provider_names() {
        use Algorithm::{ES256, EdDSA, PS256, RS256, RS512};
        for (key, advertised, chosen) in [
            (RS256, &[RS256, PS256][..], PS256),
            (RS256, &[ES256, RS256], RS256),
            (RS256, &[], RS256),
            (RS256, &[RS512, ES256], RS256),
            (ES256, &[RS256], ES256),
            (EdDSA, &[], EdDSA),
        ] {
            let key = SigningKey::from_pem(&TestKey::of(key).pem()).expect("a key");
            assert_eq!(algorithm(&key, advertised), chosen, "{advertised:?}");
        }
    }
}
