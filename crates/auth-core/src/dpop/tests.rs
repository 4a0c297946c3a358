use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;
use crate::jose::SelfSigned;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ISSUER: Server<'_> = Server::Authorization("https://id.example");
const API: Server<'_> = Server::Resource("https://api.example");

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn claims(proof: &HeaderValue) -> Map<String, Value> {
    let proof = SelfSigned::verify(proof.to_str().expect("ASCII")).expect("a good signature");
    assert_eq!(proof.typ.as_deref(), Some("dpop+jwt"));
    proof.claims
}

fn ask(server: Server<'_>) -> ProofOf<'_> {
    ProofOf {
        server,
        method: "POST",
        url: "https://api.example/a",
        token: None,
    }
}

#[test] // RFC 9449 §4.2
fn a_proof_names_its_request_and_is_never_the_same() {
    let (key, nonces) = (DpopKey::generate(), Nonces::default());
    let proof = claims(&key.proof(&ask(ISSUER), &nonces, NOW));
    assert_eq!(
        (&proof["htm"], &proof["htu"]),
        (&json!("POST"), &json!("https://api.example/a"))
    );
    assert_eq!(proof["iat"], 1_800_000_000);
    assert!(proof["jti"].as_str().is_some_and(|id| id.len() == 43));
    assert!(!proof.contains_key("ath") && !proof.contains_key("nonce"));
    assert_ne!(
        proof["jti"],
        claims(&key.proof(&ask(ISSUER), &nonces, NOW))["jti"]
    );
}

#[test] // RFC 9449 §4.2, §7
fn a_token_goes_with_its_hash_and_the_url_without_query() {
    let (key, nonces) = (DpopKey::generate(), Nonces::default());
    // The token and the hash of RFC 9449 §7.1, figure 12.
    let credential = Credential {
        token: AccessToken::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
        key: Some(key),
    };
    let url = Url::parse("https://u:p@api.example:443/a%2Fb?q=1#f").expect("a URL");
    let mut sent = headers(&[("authorization", "Bearer x"), ("dpop", "y"), ("dpop", "z")]);
    credential.attach(&mut sent, "GET", &url, &nonces, NOW);
    assert_eq!(
        sent[AUTHORIZATION],
        "DPoP Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    );
    assert_eq!(sent.get_all(DPOP).iter().count(), 1);
    assert!(sent[AUTHORIZATION].is_sensitive() && sent[DPOP].is_sensitive());
    let proof = claims(&sent[DPOP]);
    assert_eq!(proof["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    assert_eq!(proof["htu"], "https://api.example/a%2Fb");
    assert_eq!(proof["htm"], "GET");

    let uri = Uri::from_static("https://api.example/%2e/x?q=1");
    credential.attach_to_uri(&mut sent, "GET", &uri, &nonces, NOW);
    assert_eq!(claims(&sent[DPOP])["htu"], "https://api.example/%2e/x");
}

#[test]
fn a_token_that_is_bound_to_nothing_is_a_bearer_token() {
    let credential = Credential {
        token: AccessToken::new("t"),
        key: None,
    };
    let url = Url::parse("https://api.example/").expect("a URL");
    let mut sent = HeaderMap::new();
    credential.attach(&mut sent, "GET", &url, &Nonces::default(), NOW);
    assert_eq!(sent[AUTHORIZATION], "Bearer t");
    assert!(!sent.contains_key(DPOP));
    let demand = headers(&[("dpop-nonce", "n")]);
    assert!(!credential.learn("https://api.example", &demand, &Nonces::default()));
}

#[test] // RFC 9449 §8.2, §9
fn the_latest_nonce_of_a_server_is_for_that_server_and_that_key() {
    let (key, other, nonces) = (DpopKey::generate(), DpopKey::generate(), Nonces::default());
    assert!(nonces.remember(&key, ISSUER, &headers(&[("dpop-nonce", "old")])));
    assert!(nonces.remember(&key, ISSUER, &headers(&[("dpop-nonce", "new")])));
    assert!(nonces.remember(&key, API, &headers(&[("dpop-nonce", "api")])));
    assert_eq!(claims(&key.proof(&ask(ISSUER), &nonces, NOW))["nonce"], "new");
    assert_eq!(claims(&key.proof(&ask(API), &nonces, NOW))["nonce"], "api");
    for (key, server) in [
        (&other, ISSUER),
        (&other, API),
        (&key, Server::Resource("https://id.example")),
        (&key, Server::Authorization("https://api.example")),
        (&key, Server::Resource("https://api.example:8443")),
    ] {
        assert!(!claims(&key.proof(&ask(server), &nonces, NOW)).contains_key("nonce"));
    }
}

#[test] // RFC 9449 §8.1
fn a_nonce_that_cannot_stand_in_a_proof_is_ignored() {
    let (key, nonces) = (DpopKey::generate(), Nonces::default());
    assert!(nonces.remember(&key, API, &headers(&[("dpop-nonce", "good")])));
    let (long, longest) = ("n".repeat(MAX_NONCE + 1), "n".repeat(MAX_NONCE));
    for nonce in ["", "a b", "a\"b", "a\\b", "\u{e4}", &long] {
        assert!(
            !nonces.remember(&key, API, &headers(&[("dpop-nonce", nonce)])),
            "{nonce}"
        );
        assert_eq!(nonces.latest(&key, API).as_deref(), Some("good"));
    }
    assert!(!nonces.remember(&key, API, &headers(&[("dpop-nonce", "a"), ("dpop-nonce", "b")])));
    assert!(!nonces.remember(&key, API, &HeaderMap::new()));
    assert!(nonces.remember(&key, API, &headers(&[("dpop-nonce", &longest)])));
}

#[test] // RFC 9449 §8.2
fn nonces_are_bounded_and_the_used_ones_stay() {
    let mut held = Generations::default();
    let name = |number: usize| sha256(&[&number.to_be_bytes()]);
    held.put(name(0), "first".to_owned());
    for number in 1..3 * REMEMBERED {
        held.put(name(number), String::new());
        if number % 1000 == 0 {
            assert_eq!(held.get(&name(0)).as_deref(), Some("first"), "{number}");
        }
        assert!(held.present.len() + held.past.len() <= REMEMBERED, "{number}");
    }
    assert_eq!(held.get(&name(1)), None);
    held.put(name(0), "second".to_owned());
    assert_eq!(held.get(&name(0)).as_deref(), Some("second"));
}

#[test] // RFC 9449 §9
fn a_demand_for_a_nonce_is_known_by_scheme_error_and_status() {
    const DEMAND: &str = "DPoP error=\"use_dpop_nonce\", error_description=\"x\"";
    for (status, challenge, is_demand) in [
        (401, DEMAND, true),
        (401, "dpop realm=\"a\", error=use_dpop_nonce", true),
        (401, "Bearer realm=\"a\", DPoP error=\"use_dpop_nonce\"", true),
        (400, DEMAND, false),
        (403, DEMAND, false),
        (401, "Bearer error=\"use_dpop_nonce\"", false),
        (401, "DPoP error=\"invalid_token\"", false),
        (
            401,
            "DPoP error=\"invalid_token\", error=\"use_dpop_nonce\"",
            false,
        ),
        (401, "DPoP", false),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        let found = is_demand_for_nonce(status, &headers(&[("www-authenticate", challenge)]));
        assert_eq!(found, is_demand, "{status} {challenge}");
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(default, with = "sealed")]
    key: Option<DpopKey>,
}

#[test]
fn a_key_is_the_same_after_it_was_kept_and_cannot_be_printed() {
    let key = DpopKey::generate();
    let kept = serde_json::to_string(&Kept {
        key: Some(key.clone()),
    })
    .expect("JSON");
    // It goes into a cookie too.
    assert!(kept.len() < 150, "{}", kept.len());
    let again: Kept = serde_json::from_str(&kept).expect("a key");
    assert_eq!(again.key.expect("kept").thumbprint(), key.thumbprint());
    assert_eq!(format!("{key:?}"), "DpopKey(…)");
}

#[test]
fn a_record_of_an_older_version_has_no_key_and_a_damaged_one_is_refused() {
    for none in ["{}", r#"{"key":null}"#] {
        assert!(serde_json::from_str::<Kept>(none).expect("good").key.is_none());
    }
    for damaged in [
        r#"{"key":""}"#,
        r#"{"key":"AAAA"}"#,
        r#"{"key":"!"}"#,
        r#"{"key":7}"#,
    ] {
        assert!(serde_json::from_str::<Kept>(damaged).is_err(), "{damaged}");
    }
}

#[test] // RFC 9449 §9
fn another_token_is_tried_once_and_a_nonce_once_with_each() {
    use crate::client::{Learned, Retries, Retry};

    let (demand, refusal) = (
        headers(&[("www-authenticate", "DPoP error=\"use_dpop_nonce\"")]),
        headers(&[("www-authenticate", "DPoP error=\"invalid_token\"")]),
    );
    let credential = |key| Credential {
        token: AccessToken::new("t"),
        key,
    };
    let (bound, bearer) = (credential(Some(DpopKey::generate())), credential(None));
    let (nonce, token) = (Some(Retry::WithNonce), Some(Retry::WithAnotherToken));
    for (credential, answers) in [
        (
            &bound,
            vec![
                (&demand, true, nonce),
                (&refusal, false, token),
                (&demand, true, nonce),
                (&demand, true, None),
                (&refusal, false, None),
            ],
        ),
        (&bound, vec![(&demand, false, None)]),
        (&bound, vec![(&refusal, true, token), (&refusal, true, None)]),
        // It knows of no nonces: a refusal is a refusal.
        (&bearer, vec![(&demand, false, token), (&demand, false, None)]),
    ] {
        let mut retries = Retries::default();
        for (headers, has_nonce, expected) in answers {
            let answer = Learned {
                status: StatusCode::UNAUTHORIZED,
                headers,
                has_nonce,
            };
            assert_eq!(retries.after(credential, &answer), expected);
        }
    }
    let success = Learned {
        status: StatusCode::OK,
        headers: &demand,
        has_nonce: true,
    };
    assert_eq!(Retries::default().after(&bound, &success), None);
}
