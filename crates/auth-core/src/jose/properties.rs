//! Properties that hold for whatever a provider, or somebody in its place, sends.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;

use super::testing::{ALGORITHMS, TestKey, key_set};
use super::{Algorithm, Jws, KeySet, SigningKey, parse_key_set};
use crate::clock::Timestamp;
use crate::id_token;

fn every_key() -> KeySet {
    key_set(ALGORITHMS.map(|algorithm| TestKey::of(algorithm).jwk()))
}

/// Whether the token passes as a JWS, and whether as an ID token.
fn accepted(token: &str) -> (bool, bool) {
    let keys = every_key();
    let as_jws = Jws::parse(token).is_ok_and(|jws| jws.verify(&keys, &ALGORITHMS).is_ok());
    let expected = id_token::Expected {
        issuer: "https://provider.example",
        client_id: "our-client",
        nonce: Some("nonce"),
        access_token: Some("access token"),
        algorithms: &ALGORITHMS,
        tolerance: Duration::from_secs(60),
        max_age: Some(Duration::ZERO),
    };
    let now = Timestamp::from_secs(1_800_000_000);
    let as_id_token = id_token::verify(token, &keys, &expected, now).is_ok();
    (as_jws, as_id_token)
}

/// Header members from the names that matter, with values of every type.
fn json_value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        ".{0,20}".prop_map(|value| json!(value)),
        prop::collection::vec(".{0,5}", 0..3).prop_map(|value| json!(value)),
        Just(json!({"a": {}})),
        prop::sample::select(ALGORITHMS.to_vec()).prop_map(|value| json!(value)),
    ]
}

fn object(names: &'static [&'static str]) -> impl Strategy<Value = serde_json::Value> {
    prop::collection::btree_map(prop::sample::select(names), json_value(), 0..names.len())
        .prop_map(|members| json!(members))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_or_passes(text in any::<String>()) {
        prop_assert_eq!(accepted(&text), (false, false));
    }

    #[test]
    fn no_three_parts_panic_or_pass(
        header in object(&["alg", "kid", "typ", "crit", "b64", "zip", "jwk", "jku", "cty"]),
        payload in any::<Vec<u8>>(),
        signature in any::<Vec<u8>>(),
    ) {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = encode(header.to_string().as_bytes());
        let token = format!("{header}.{}.{}", encode(&payload), encode(&signature));
        prop_assert_eq!(accepted(&token), (false, false));
    }

    #[test]
    fn no_signed_claims_panic(
        claims in object(&[
            "iss", "sub", "aud", "azp", "exp", "nbf", "iat", "nonce", "auth_time", "acr", "amr", "sid", "at_hash",
        ]),
    ) {
        let payload = claims.to_string();
        let token = TestKey::of(Algorithm::EdDSA)
            .sign(Algorithm::EdDSA, r#"{"alg":"EdDSA"}"#, payload.as_bytes());
        prop_assert_eq!(accepted(&token), (true, false));
    }

    #[test]
    fn no_bytes_panic_as_a_key_set(bytes in any::<Vec<u8>>()) {
        prop_assert!(parse_key_set(&bytes).is_err());
    }

    #[test]
    fn no_key_panics_or_spoils_its_set(
        key in object(&["kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y"]),
        numbers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 4),
        kind in prop::sample::select(vec![("RSA", ""), ("EC", "P-256"), ("EC", "P-521"), ("OKP", "Ed25519")]),
    ) {
        let good = TestKey::of(Algorithm::EdDSA).jwk();
        let mut numbered = key.clone();
        numbered["kty"] = kind.0.into();
        numbered["crv"] = kind.1.into();
        for (name, number) in ["n", "e", "x", "y"].into_iter().zip(&numbers) {
            numbered[name] = URL_SAFE_NO_PAD.encode(number).into();
        }
        let body = json!({"keys": [key, numbered, good]}).to_string();
        let set = parse_key_set(body.as_bytes());
        prop_assert!(set.is_ok_and(|set| !set.keys().is_empty()));
    }

    #[test]
    fn no_text_panics_as_a_private_key(text in any::<String>(), der in any::<Vec<u8>>()) {
        prop_assert!(SigningKey::from_pem(&text).is_err());
        prop_assert!(SigningKey::from_pem(&super::testing::pem("PRIVATE KEY", &der)).is_err());
    }

    #[test]
    fn every_changed_byte_breaks_a_token(at in any::<prop::sample::Index>(), to in any::<char>()) {
        let token = TestKey::of(Algorithm::EdDSA).sign(Algorithm::EdDSA, r#"{"alg":"EdDSA"}"#, b"{}");
        let mut chars: Vec<_> = token.chars().collect();
        let at = at.index(chars.len());
        prop_assume!(chars[at] != to);
        chars[at] = to;
        let changed: String = chars.into_iter().collect();
        prop_assert_eq!(accepted(&changed).0, false);
    }
}
