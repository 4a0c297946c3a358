//! Signed authorization requests: request objects (RFC 9101, JAR).

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::client_keys::ClientKeys;
use crate::clock::Timestamp;
use crate::config::CLOCK_TOLERANCE;
use crate::jose::Algorithm;
use crate::secret::random_text;

/// How long a request object is good, in all. A part of it lies behind, for providers whose clock is behind.
const LIFETIME: Duration = Duration::from_secs(300);

/// What a request object says of itself, so that no parameter can have these names. `sub` is among them: with it, a
/// request object could pass for a client assertion (RFC 9101 §10.8).
pub(crate) const OWN_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"];

/// Signs an authorization request (RFC 9101 §4). `audience` is the issuer; `advertised` are the provider's
/// `request_object_signing_alg_values_supported`.
pub(crate) fn sign(
    keys: &ClientKeys,
    client_id: &str,
    audience: &str,
    advertised: &[Algorithm],
    parameters: &[(String, String)],
    now: Timestamp,
) -> String {
    let mut claims = Map::new();
    for (name, text) in parameters {
        let value = typed(name, text);
        // A parameter that is repeated, `resource` for one (RFC 8707 §2), is an array.
        let value = match claims.remove(name) {
            None => value,
            Some(Value::Array(mut values)) => {
                values.push(value);
                Value::Array(values)
            }
            Some(first) => json!([first, value]),
        };
        claims.insert(name.clone(), value);
    }
    let begins_at = Timestamp::from_secs(now.as_secs() - CLOCK_TOLERANCE.as_secs().cast_signed());
    for (name, value) in [
        ("iss", json!(client_id)),
        ("aud", json!(audience)),
        ("iat", json!(now.as_secs())),
        ("nbf", json!(begins_at.as_secs())),
        ("exp", json!(begins_at.plus(LIFETIME).as_secs())),
        ("jti", json!(random_text())),
    ] {
        claims.insert(name.to_owned(), value);
    }
    keys.sign("oauth-authz-req+jwt", advertised, &claims)
}

/// §4: numbers are JSON numbers, and what is JSON in a query is JSON here (OpenID Connect Core §6.1).
fn typed(name: &str, text: &str) -> Value {
    let value = match name {
        "max_age" => text.parse::<u64>().ok().map(Value::from),
        "claims" | "authorization_details" => serde_json::from_str(text).ok(),
        _ => None,
    };
    value.unwrap_or_else(|| json!(text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::jose::testing::{TestKey, key_set};
    use crate::jose::{Jws, SigningKey, parse_object};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn claims_of(parameters: &[(&str, &str)]) -> Value {
        let key = TestKey::of(Algorithm::ES256);
        let keys = ClientKeys::new(vec![Arc::new(SigningKey::from_pem(&key.pem()).expect("a key"))]);
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let object = sign(
            &keys.expect("a key"),
            "app",
            "https://id.example",
            &[],
            &parameters,
            NOW,
        );
        let jws = Jws::parse(&object).expect("a signed token");
        assert_eq!(jws.typ(), Some("oauth-authz-req+jwt"));
        let keys = key_set([key.jwk_with(json!({"kid": "k"}))]);
        let payload = jws
            .verify(&keys, &[Algorithm::ES256])
            .expect("signed with the client's key");
        Value::Object(parse_object(payload).expect("an object"))
    }

    #[test] // RFC 9101 §4
    fn it_says_whose_it_is_for_whom_and_for_how_long() {
        let claims = claims_of(&[("client_id", "app"), ("state", "s")]);
        assert_eq!(
            (&claims["iss"], &claims["client_id"]),
            (&json!("app"), &json!("app"))
        );
        assert_eq!(claims["aud"], "https://id.example");
        let of = |name: &str| claims[name].as_i64().expect(name);
        assert!(of("nbf") <= NOW.as_secs() && of("iat") == NOW.as_secs());
        assert!(of("exp") > NOW.as_secs() && of("exp") - of("nbf") == 300);
        assert_eq!(claims.get("sub"), None);
        let another = claims_of(&[("client_id", "app"), ("state", "s")]);
        assert_ne!(claims["jti"], another["jti"]);
    }

    #[test] // RFC 9101 §4, OpenID Connect Core §6.1
    fn values_are_what_they_are_in_json() {
        let claims = claims_of(&[
            ("scope", "openid 7"),
            ("max_age", "300"),
            ("claims", r#"{"id_token":{"acr":null}}"#),
            ("authorization_details", r#"[{"type":"a"}]"#),
            ("resource", "https://a.example"),
            ("resource", "https://b.example"),
            ("resource", "https://c.example"),
            ("state", "7"),
        ]);
        assert_eq!(claims["scope"], "openid 7");
        assert_eq!(claims["max_age"], 300);
        assert_eq!(claims["claims"], json!({"id_token": {"acr": null}}));
        assert_eq!(claims["authorization_details"], json!([{"type": "a"}]));
        assert_eq!(
            claims["resource"],
            json!(["https://a.example", "https://b.example", "https://c.example"])
        );
        assert_eq!(claims["state"], "7");
        assert_eq!(
            claims_of(&[("resource", "https://a.example")])["resource"],
            "https://a.example"
        );
    }
}
