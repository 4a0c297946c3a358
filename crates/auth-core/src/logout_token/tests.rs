//! A good logout token, and twins that break one thing each (Back-Channel Logout 1.0 §2.4, §2.6).

use serde_json::{Map, json};

use super::*;
use crate::jose::testing::{ALGORITHMS, TestKey, key_set};

const ISSUER: &str = "https://provider.example";
const CLIENT: &str = "our-client";
const NOW: i64 = 1_800_000_000;

/// A good logout token; a test changes one thing and checks.
struct Fixture {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    algorithms: Vec<Algorithm>,
}

impl Fixture {
    fn valid() -> Self {
        let object = |value: Value| value.as_object().expect("an object").clone();
        Self {
            header: object(json!({"alg": "ES256", "kid": "k", "typ": "logout+jwt"})),
            claims: object(json!({
                "iss": ISSUER,
                "sub": "user-1",
                "sid": "session-1",
                "aud": CLIENT,
                "iat": NOW,
                "exp": NOW + 120,
                "jti": "token-1",
                "events": {EVENT: {}},
            })),
            algorithms: ALGORITHMS.to_vec(),
        }
    }

    /// Sets a claim, or leaves it out where the value is null.
    fn claim(mut self, name: &str, value: Value) -> Self {
        set(&mut self.claims, name, value);
        self
    }

    fn header(mut self, name: &str, value: Value) -> Self {
        set(&mut self.header, name, value);
        self
    }

    fn check(&self) -> Result<LogoutToken, LogoutTokenError> {
        let header = Value::Object(self.header.clone()).to_string();
        let payload = Value::Object(self.claims.clone()).to_string();
        check(
            &TestKey::of(Algorithm::ES256).sign(Algorithm::ES256, &header, payload.as_bytes()),
            &self.algorithms,
        )
    }
}

fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    match value {
        Value::Null => drop(members.remove(name)),
        value => drop(members.insert(name.to_owned(), value)),
    }
}

fn check(token: &str, algorithms: &[Algorithm]) -> Result<LogoutToken, LogoutTokenError> {
    let keys = key_set([TestKey::of(Algorithm::ES256).jwk_with(json!({"kid": "k"}))]);
    let expected = Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        algorithms,
        tolerance: Duration::from_secs(60),
    };
    verify(token, &keys, &expected, Timestamp::from_secs(NOW))
}

fn refused(fixture: &Fixture) -> Option<LogoutTokenError> {
    fixture.check().err()
}

#[test]
fn a_good_token_says_whose_sessions_have_ended() {
    let token = Fixture::valid().check().expect("a good token");
    assert_eq!(
        (token.id.as_str(), token.subject.as_deref(), token.sid.as_deref()),
        ("token-1", Some("user-1"), Some("session-1"))
    );
    assert_eq!(
        Fixture::valid()
            .claim("sid", Value::Null)
            .check()
            .map(|token| token.sid),
        Ok(None)
    );
    assert_eq!(
        Fixture::valid()
            .claim("sub", Value::Null)
            .check()
            .map(|token| token.subject),
        Ok(None)
    );
}

// OpenID Connect Back-Channel Logout §2.4, §2.6
#[test]
fn step_1_and_typ_it_is_a_signed_logout_token() {
    for token in ["", "x", "a.b.c.d.e"] {
        assert!(check(token, &ALGORITHMS).is_err(), "{token}");
    }
    for typ in [
        json!(null),
        json!("JWT"),
        json!("jwt"),
        json!("logout+jwt"),
        json!("LOGOUT+JWT"),
    ] {
        assert!(
            Fixture::valid().header("typ", typ.clone()).check().is_ok(),
            "{typ}"
        );
    }
    for typ in [
        "at+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "application/logout+jwt",
        "x",
        "",
    ] {
        assert_eq!(
            refused(&Fixture::valid().header("typ", json!(typ))),
            Some(LogoutTokenError::TypeUnexpected),
            "{typ}"
        );
    }
    assert_eq!(
        refused(&Fixture::valid().header("crit", json!(["x"]))),
        Some(LogoutTokenError::CriticalHeader)
    );
}

// OpenID Connect Back-Channel Logout §2.6
#[test]
fn steps_2_and_3_signature_and_algorithm() {
    let unsigned = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3Byb3ZpZGVyLmV4YW1wbGUifQ.";
    assert_eq!(
        check(unsigned, &ALGORITHMS),
        Err(LogoutTokenError::AlgorithmNotAllowed)
    );
    let mut fixture = Fixture::valid();
    fixture.algorithms = vec![Algorithm::RS256];
    assert_eq!(refused(&fixture), Some(LogoutTokenError::AlgorithmNotAllowed));
    assert_eq!(
        refused(&Fixture::valid().header("kid", json!("another"))),
        Some(LogoutTokenError::UnknownKey)
    );
    let payload = Value::Object(Fixture::valid().claims).to_string();
    let other = TestKey::of(Algorithm::ES256).sign(Algorithm::ES256, r#"{"alg":"ES256","kid":"k"}"#, b"{}");
    let (_, signature) = other.rsplit_once('.').expect("three parts");
    let good = TestKey::of(Algorithm::ES256).sign(
        Algorithm::ES256,
        r#"{"alg":"ES256","kid":"k"}"#,
        payload.as_bytes(),
    );
    let (input, _) = good.rsplit_once('.').expect("three parts");
    assert_eq!(
        check(&format!("{input}.{signature}"), &ALGORITHMS),
        Err(LogoutTokenError::SignatureInvalid)
    );
}

// OpenID Connect Back-Channel Logout §2.4, §2.6
#[test]
fn step_4_issuer_audience_and_times() {
    use LogoutTokenError as E;
    for (claim, value, error) in [
        ("iss", json!(null), E::IssuerMismatch),
        ("iss", json!("https://provider.example/"), E::IssuerMismatch),
        ("iss", json!([ISSUER]), E::IssuerMismatch),
        ("aud", json!(null), E::AudienceMismatch),
        ("aud", json!("another"), E::AudienceMismatch),
        ("aud", json!([]), E::AudienceMismatch),
        ("aud", json!([CLIENT, 7]), E::AudienceMismatch),
        ("iat", json!(null), E::IatInvalid),
        ("iat", json!("now"), E::IatInvalid),
        ("iat", json!(NOW + 61), E::IssuedInFuture),
        ("iat", json!(NOW - 601), E::IssuedTooLongAgo),
        ("exp", json!(null), E::ExpInvalid),
        ("exp", json!("soon"), E::ExpInvalid),
        ("exp", json!(NOW - 60), E::Expired),
        ("nbf", json!("now"), E::NbfInvalid),
        ("nbf", json!(NOW + 61), E::NotYetValid),
    ] {
        assert_eq!(
            refused(&Fixture::valid().claim(claim, value.clone())),
            Some(error),
            "{claim}: {value}"
        );
    }
    for (claim, value) in [
        ("aud", json!(["another", CLIENT])),
        ("iat", json!(NOW + 60)),
        ("iat", json!(NOW - 600)),
        ("exp", json!(NOW - 59)),
        ("nbf", json!(NOW + 60)),
    ] {
        assert!(
            Fixture::valid().claim(claim, value.clone()).check().is_ok(),
            "{claim}: {value}"
        );
    }
}

// OpenID Connect Back-Channel Logout §2.4, §2.6
#[test]
fn step_5_it_names_a_user_or_a_session() {
    let neither = Fixture::valid()
        .claim("sub", Value::Null)
        .claim("sid", Value::Null);
    assert_eq!(refused(&neither), Some(LogoutTokenError::SubjectInvalid));
    for claim in ["sub", "sid"] {
        for value in [json!(""), json!(7), json!(["user-1"])] {
            assert_eq!(
                refused(&Fixture::valid().claim(claim, value.clone())),
                Some(LogoutTokenError::SubjectInvalid),
                "{claim}: {value}"
            );
        }
    }
}

// OpenID Connect Back-Channel Logout §2.4, §2.6
#[test]
fn step_6_it_has_the_logout_event() {
    for events in [
        json!(null),
        json!({}),
        json!([EVENT]),
        json!(EVENT),
        json!({EVENT: null}),
        json!({EVENT: []}),
        json!({EVENT: true}),
        json!({"http://schemas.openid.net/event/other": {}}),
    ] {
        assert_eq!(
            refused(&Fixture::valid().claim("events", events.clone())),
            Some(LogoutTokenError::EventMissing),
            "{events}"
        );
    }
    let more = json!({EVENT: {"reason": "x"}, "https://other.example": 1});
    assert!(Fixture::valid().claim("events", more).check().is_ok());
}

// OpenID Connect Back-Channel Logout §2.4, §2.6
#[test]
fn step_7_it_has_no_nonce() {
    for nonce in [json!("n"), json!(""), json!(0)] {
        assert_eq!(
            refused(&Fixture::valid().claim("nonce", nonce)),
            Some(LogoutTokenError::NoncePresent)
        );
    }
}

// OpenID Connect Back-Channel Logout §2.4
#[test]
fn it_has_a_name_of_its_own() {
    for jti in [json!(null), json!(""), json!(7)] {
        assert_eq!(
            refused(&Fixture::valid().claim("jti", jti)),
            Some(LogoutTokenError::IdMissing)
        );
    }
}
