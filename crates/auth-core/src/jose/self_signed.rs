//! Signed tokens that bring their own key along: DPoP proofs (RFC 9449 §4.2). They say nothing of who made them but that
//! it is who holds that key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Jwk, Jws, JwsError, parse_object};

/// The members of a private or symmetric key (RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A token whose signature is that of the key in its own header.
pub(crate) struct SelfSigned {
    /// The header's `typ`, as it stands there.
    pub(crate) typ: Option<String>,
    /// The thumbprint of the key (RFC 7638).
    pub(crate) thumbprint: String,
    pub(crate) claims: Map<String, Value>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelfSignedError {
    /// Not a signed token of claims.
    Malformed,
    /// The algorithm is not asymmetric, or the key is missing, private, unusable or of another kind.
    Key,
    /// The signature is not that key's.
    Signature,
}

impl SelfSigned {
    /// Takes a token apart and checks its signature (RFC 9449 §4.3, steps 2 to 7, less `typ`).
    pub(crate) fn verify(compact: &str) -> Result<Self, SelfSignedError> {
        let jws = Jws::parse(compact).map_err(|error| match error {
            JwsError::AlgorithmNotAllowed => SelfSignedError::Key,
            _ => SelfSignedError::Malformed,
        })?;
        let key = own_key(compact)?;
        let payload = jws.verify_with(&key).map_err(|error| match error {
            JwsError::BadSignature => SelfSignedError::Signature,
            _ => SelfSignedError::Key,
        })?;
        Ok(Self {
            typ: jws.typ().map(str::to_owned),
            thumbprint: key.thumbprint(),
            claims: parse_object(payload).map_err(|_| SelfSignedError::Malformed)?,
        })
    }
}

/// The header's `jwk`, which is a public key and nothing more.
fn own_key(compact: &str) -> Result<Jwk, SelfSignedError> {
    let (header, _) = compact.split_once('.').ok_or(SelfSignedError::Malformed)?;
    let header = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| SelfSignedError::Malformed)?;
    let mut header = parse_object(&header).map_err(|_| SelfSignedError::Malformed)?;
    let jwk = match header.remove("jwk") {
        Some(Value::Object(jwk)) if !PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) => jwk,
        _ => return Err(SelfSignedError::Key),
    };
    serde_json::from_value(Value::Object(jwk)).map_err(|_| SelfSignedError::Key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{ALGORITHMS, TestKey};
    use super::*;
    use crate::jose::{Algorithm, SigningKey};

    fn token(algorithm: Algorithm, header: &Value) -> String {
        TestKey::of(algorithm).sign(algorithm, &header.to_string(), br#"{"jti":"1"}"#)
    }

    fn error(token: &str) -> Option<SelfSignedError> {
        SelfSigned::verify(token).err()
    }

    #[test]
    fn accepts_every_algorithm_with_the_key_in_the_header() {
        for algorithm in ALGORITHMS {
            let jwk = TestKey::of(algorithm).jwk();
            let header = json!({"alg": algorithm.as_str(), "typ": "dpop+jwt", "jwk": jwk});
            let proof = SelfSigned::verify(&token(algorithm, &header)).expect("good");
            assert_eq!(proof.typ.as_deref(), Some("dpop+jwt"));
            assert_eq!(proof.claims["jti"], "1");
        }
    }

    #[test] // RFC 9449 §4.3, step 7; RFC 7638 §3
    fn the_thumbprint_is_that_of_the_key_that_signed() {
        for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
            let key = TestKey::of(algorithm);
            let own = SigningKey::from_pem(&key.pem()).expect("a key").thumbprint();
            let header = json!({"alg": algorithm.as_str(), "jwk": key.jwk_with(json!({"kid": "x"}))});
            let proof = SelfSigned::verify(&token(algorithm, &header)).expect("good");
            assert_eq!(proof.thumbprint, own, "{algorithm}");
        }
    }

    #[test] // RFC 7638 §3.1
    fn the_thumbprint_is_that_of_the_specification() {
        let jwk: Jwk = serde_json::from_value(json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29",
        }))
        .expect("a key");
        assert_eq!(jwk.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test] // RFC 9449 §4.3, step 5
    fn refuses_none_and_macs() {
        let jwk = TestKey::of(Algorithm::ES256).jwk();
        for alg in ["none", "HS256"] {
            let token = token(Algorithm::ES256, &json!({"alg": alg, "jwk": jwk}));
            assert_eq!(error(&token), Some(SelfSignedError::Key), "{alg}");
        }
    }

    #[test] // RFC 9449 §4.3, step 7
    fn refuses_private_keys() {
        for member in PRIVATE_MEMBERS {
            let jwk = TestKey::of(Algorithm::ES256).jwk_with(json!({member: "AQAB"}));
            let token = token(Algorithm::ES256, &json!({"alg": "ES256", "jwk": jwk}));
            assert_eq!(error(&token), Some(SelfSignedError::Key), "{member}");
        }
    }

    #[test]
    fn refuses_a_key_that_is_missing_odd_or_of_another_kind() {
        let rsa = TestKey::of(Algorithm::RS256).jwk();
        for jwk in [json!(null), json!("x"), json!({}), json!({"kty": "oct"}), rsa] {
            let token = token(Algorithm::ES256, &json!({"alg": "ES256", "jwk": jwk}));
            assert_eq!(error(&token), Some(SelfSignedError::Key), "{jwk}");
        }
        let without = token(Algorithm::ES256, &json!({"alg": "ES256"}));
        assert_eq!(error(&without), Some(SelfSignedError::Key));
        let for_encryption = TestKey::of(Algorithm::ES256).jwk_with(json!({"use": "enc"}));
        let token = token(Algorithm::ES256, &json!({"alg": "ES256", "jwk": for_encryption}));
        assert_eq!(error(&token), Some(SelfSignedError::Key));
    }

    #[test] // RFC 9449 §4.3, step 6
    fn refuses_the_signature_of_another_key() {
        let other = TestKey::generate(Algorithm::ES256).jwk();
        let token = token(Algorithm::ES256, &json!({"alg": "ES256", "jwk": other}));
        assert_eq!(error(&token), Some(SelfSignedError::Signature));
    }

    #[test]
    fn refuses_what_is_no_token_of_claims() {
        for bad in ["", "a", "a.b", "a.b.c", "a.b.c.d.e"] {
            assert_eq!(error(bad), Some(SelfSignedError::Malformed), "{bad}");
        }
        let jwk = TestKey::of(Algorithm::ES256).jwk();
        let header = json!({"alg": "ES256", "jwk": jwk}).to_string();
        let token = TestKey::of(Algorithm::ES256).sign(Algorithm::ES256, &header, b"[]");
        assert_eq!(error(&token), Some(SelfSignedError::Malformed));
    }
}
