//! Plain and signed answers, and what each failure means for the sign-in.

use serde_json::json;

use super::*;
use crate::jose::testing::{ALGORITHMS, TestKey, key_set};

const SUBJECT: &str = "user-1";
const ISSUER: &str = "https://provider.example";
const CLIENT: &str = "our-client";
const NOW: i64 = 1_800_000_000;

fn check(
    status: StatusCode,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Map<String, Value>, UserinfoError> {
    let keys = key_set([TestKey::of(Algorithm::ES256).jwk_with(json!({"kid": "k"}))]);
    let answer = Answer {
        status,
        content_type,
        body,
    };
    let expected = Expected {
        subject: SUBJECT,
        issuer: ISSUER,
        client_id: CLIENT,
        keys: &keys,
        algorithms: &[Algorithm::ES256],
        now: Timestamp::from_secs(NOW),
        tolerance: Duration::from_secs(60),
    };
    parse(&answer, &expected)
}

fn plain(body: &str) -> Result<Map<String, Value>, UserinfoError> {
    check(StatusCode::OK, Some("application/json"), body.as_bytes())
}

fn sign(claims: &Value) -> String {
    let header = r#"{"alg":"ES256","kid":"k"}"#;
    TestKey::of(Algorithm::ES256).sign(Algorithm::ES256, header, claims.to_string().as_bytes())
}

fn signed(token: &str) -> Result<Map<String, Value>, UserinfoError> {
    check(StatusCode::OK, Some("application/jwt"), token.as_bytes())
}

/// The error, and that it fails the sign-in.
#[track_caller]
fn fatal(outcome: Result<Map<String, Value>, UserinfoError>) -> UserinfoError {
    let error = outcome.expect_err("a refused answer");
    assert!(error.fails_sign_in(), "{error}");
    error
}

/// The error, and that the sign-in goes on.
#[track_caller]
fn harmless(outcome: Result<Map<String, Value>, UserinfoError>) -> UserinfoError {
    let error = outcome.expect_err("a refused answer");
    assert!(!error.fails_sign_in(), "{error}");
    error
}

// OpenID Connect Core §5.3.2
#[test]
fn accepts_a_plain_answer_about_the_same_subject() {
    let body = r#"{"sub": "user-1", "email": "user@example.com"}"#;
    for content_type in [Some("application/json; charset=utf-8"), None] {
        let claims = check(StatusCode::OK, content_type, body.as_bytes()).expect("claims");
        assert_eq!(claims["email"], "user@example.com");
    }
}

#[test] // OIDC Core §5.3.2
fn another_subject_fails_the_sign_in() {
    for sub in ["user-2", "USER-1", "user-1 ", ""] {
        let error = fatal(plain(&json!({"sub": sub}).to_string()));
        assert_eq!(error, UserinfoError::SubjectMismatch, "{sub}");
    }
}

#[test] // OIDC Core §5.3.2
fn a_missing_subject_fails_the_sign_in() {
    for body in [r#"{}"#, r#"{"sub": null}"#, r#"{"sub": ["user-1"]}"#] {
        assert_eq!(fatal(plain(body)), UserinfoError::SubjectMissing, "{body}");
    }
}

// OpenID Connect Core §5.3.3
#[test]
fn a_refused_or_broken_answer_does_not_fail_the_sign_in() {
    let body = br#"{"sub": "user-2"}"#;
    for status in [302, 401, 403, 404, 429, 500, 503] {
        let code = StatusCode::from_u16(status).expect("a status");
        let error = harmless(check(code, Some("application/json"), body));
        assert_eq!(error, UserinfoError::Refused { status });
    }
    for body in ["", "<html>", "{", "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(harmless(plain(body)), UserinfoError::NotJson, "{body}");
    }
    for body in [
        "[]",
        "null",
        "\"user-1\"",
        r#"{"sub": "user-1", "sub": "user-1"}"#,
    ] {
        assert_eq!(harmless(plain(body)), UserinfoError::NotObject, "{body}");
    }
}

#[test] // OIDC Core §5.3.2
fn accepts_a_signed_answer() {
    for claims in [
        json!({"sub": SUBJECT}),
        json!({"sub": SUBJECT, "iss": ISSUER, "aud": CLIENT}),
        json!({"sub": SUBJECT, "iss": ISSUER, "aud": ["another", CLIENT]}),
    ] {
        let token = sign(&claims);
        assert_eq!(signed(&token).map(Value::Object), Ok(claims));
        for content_type in ["Application/JWT", "application/jwt; charset=utf-8"] {
            let line = format!("{token}\n");
            assert!(check(StatusCode::OK, Some(content_type), line.as_bytes()).is_ok());
        }
    }
}

#[test] // OIDC Core §5.3.2
fn accepts_a_signed_answer_in_every_algorithm() {
    for algorithm in ALGORITHMS {
        let keys = key_set([TestKey::of(algorithm).jwk_with(json!({"kid": "k"}))]);
        let header = format!(r#"{{"alg":"{algorithm}","kid":"k"}}"#);
        let body = TestKey::of(algorithm).sign(algorithm, &header, br#"{"sub":"user-1"}"#);
        let answer = Answer {
            status: StatusCode::OK,
            content_type: Some("application/jwt"),
            body: body.as_bytes(),
        };
        let expected = Expected {
            subject: SUBJECT,
            issuer: ISSUER,
            client_id: CLIENT,
            keys: &keys,
            algorithms: &ALGORITHMS,
            now: Timestamp::from_secs(NOW),
            tolerance: Duration::from_secs(60),
        };
        assert!(parse(&answer, &expected).is_ok(), "{algorithm}");
    }
}

#[test] // OIDC Core §5.3.2
fn a_signed_answer_that_does_not_verify_fails_the_sign_in() {
    let token = sign(&json!({"sub": SUBJECT}));
    let stranger = TestKey::generate(Algorithm::ES256);
    let forge = |header: &str| stranger.sign(Algorithm::ES256, header, br#"{"sub":"user-1"}"#);
    for (token, cause) in [
        (forge(r#"{"alg":"ES256","kid":"k"}"#), JwsError::BadSignature),
        (forge(r#"{"alg":"ES256","kid":"x"}"#), JwsError::UnknownKey),
        (forge(r#"{"alg":"RS256"}"#), JwsError::AlgorithmNotAllowed),
        (forge(r#"{"alg":"none"}"#), JwsError::AlgorithmNotAllowed),
        (forge(r#"{"alg":"ES256","crit":[]}"#), JwsError::CriticalHeader),
        (format!("{token}.."), JwsError::Encrypted),
        (r#"{"sub": "user-1"}"#.to_owned(), JwsError::Malformed),
        (String::new(), JwsError::Malformed),
    ] {
        assert_eq!(fatal(signed(&token)), UserinfoError::SignatureInvalid(cause));
    }
    let bytes = check(StatusCode::OK, Some("application/jwt"), &[0xff]);
    let malformed = UserinfoError::SignatureInvalid(JwsError::Malformed);
    assert_eq!(fatal(bytes), malformed);
}

#[test] // OIDC Core §5.3.2
fn a_signed_answer_from_or_for_another_fails_the_sign_in() {
    for iss in [json!("https://other.example"), json!(null), json!([ISSUER])] {
        let token = sign(&json!({"sub": SUBJECT, "iss": iss}));
        assert_eq!(fatal(signed(&token)), UserinfoError::IssuerMismatch);
    }
    for aud in [json!("another"), json!(["another"]), json!([]), json!(null)] {
        let token = sign(&json!({"sub": SUBJECT, "aud": aud}));
        assert_eq!(fatal(signed(&token)), UserinfoError::AudienceMismatch);
    }
}

#[test] // RFC 7519 §4.1.4, §4.1.5
fn a_signed_answer_is_good_in_its_time() {
    let said = |name: &str, at: Value| signed(&sign(&json!({"sub": SUBJECT, name: at})));
    for (name, at) in [
        ("exp", NOW - 59),
        ("exp", NOW + 600),
        ("nbf", NOW + 60),
        ("nbf", 0),
    ] {
        assert!(said(name, json!(at)).is_ok(), "{name} {at}");
    }
    for (name, at) in [
        ("exp", json!(NOW - 60)),
        ("exp", json!("tomorrow")),
        ("exp", json!(null)),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!(true)),
    ] {
        assert_eq!(
            fatal(said(name, at.clone())),
            UserinfoError::NotGoodNow,
            "{name} {at}"
        );
    }
}

#[test]
fn the_subject_of_a_signed_answer_is_checked_too() {
    let other = sign(&json!({"sub": "user-2", "iss": ISSUER, "aud": CLIENT}));
    assert_eq!(fatal(signed(&other)), UserinfoError::SubjectMismatch);
    let missing = sign(&json!({"iss": ISSUER, "aud": CLIENT}));
    assert_eq!(fatal(signed(&missing)), UserinfoError::SubjectMissing);
}

#[test]
fn userinfo_adds_what_the_id_token_lacks() {
    let object = |value: Value| value.as_object().expect("an object").clone();
    let mut claims = object(json!({"sub": SUBJECT, "email": "old@example.com"}));
    let userinfo = object(json!({
        "sub": SUBJECT,
        "email": "new@example.com",
        "name": "User",
        "address": {"country": "CH"},
    }));
    merge(&mut claims, userinfo);
    let expected = json!({
        "sub": SUBJECT,
        "email": "old@example.com",
        "name": "User",
        "address": {"country": "CH"},
    });
    assert_eq!(Value::Object(claims), expected);
}

// OpenID Connect Core §5.3.4
#[test]
fn userinfo_never_sets_claims_of_the_token_or_roles() {
    let mut claims = Map::new();
    for name in ["iss", "sub", "aud", "exp", "iat", "nonce", "roles"] {
        merge(&mut claims, Map::from_iter([(name.to_owned(), json!("x"))]));
        assert!(claims.is_empty(), "{name}");
    }
}

#[test]
fn every_error_has_a_documented_code_of_its_own() {
    let errors = [
        UserinfoError::NoEndpoint,
        UserinfoError::Refused { status: 500 },
        UserinfoError::NotJson,
        UserinfoError::NotObject,
        UserinfoError::SubjectMissing,
        UserinfoError::SubjectMismatch,
        UserinfoError::SignatureInvalid(JwsError::Malformed),
        UserinfoError::IssuerMismatch,
        UserinfoError::AudienceMismatch,
        UserinfoError::NotGoodNow,
    ];
    let codes: Vec<_> = errors.iter().map(|error| error.code()).collect();
    let documented: Vec<_> = CODES.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, documented);
    assert!(codes.iter().all(|code| code.starts_with("userinfo.")));
}

// OpenID Connect Core §5.3.4
#[test]
fn only_algorithms_of_the_list_verify_a_signed_answer() {
    for algorithm in ALGORITHMS.iter().filter(|a| **a != Algorithm::ES256) {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let token = TestKey::of(*algorithm).sign(*algorithm, &header, br#"{"sub":"user-1"}"#);
        let refused = UserinfoError::SignatureInvalid(JwsError::AlgorithmNotAllowed);
        assert_eq!(fatal(signed(&token)), refused);
    }
}
