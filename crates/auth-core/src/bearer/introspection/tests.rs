use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const API: &str = "https://api.example";

fn judge() -> Judge {
    Judge {
        issuers: vec!["https://id.example".to_owned()],
        name: "https://id.example".to_owned(),
        kept: Duration::from_secs(60),
        audience: AudienceRule::WherePresent,
        audiences: vec![API.to_owned()],
        tolerance: Duration::from_secs(60),
    }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

fn facts(answer: Value) -> Result<Facts, InvalidToken> {
    judge().facts(members(answer), NOW)
}

#[test] // RFC 7662 §2.2
fn an_active_token_needs_nothing_more_and_what_is_said_is_read() {
    let bare = facts(json!({"active": true})).expect("good");
    assert_eq!((bare.issuer.as_str(), bare.subject), ("https://id.example", None));
    let full = facts(json!({
        "active": true, "iss": "https://id.example", "sub": "ada", "aud": [API, "x"], "scope": "a b",
        "exp": NOW.as_secs() + 30, "iat": NOW.as_secs(), "nbf": NOW.as_secs(), "token_type": "bearer",
        "client_id": "caller", "username": "ada@example.com",
    }))
    .expect("good");
    assert_eq!(full.subject.as_deref(), Some("ada"));
    assert_eq!(full.scopes.to_string(), "a b");
    assert_eq!(full.expires_at, Some(Timestamp::from_secs(NOW.as_secs() + 30)));
}

#[test] // RFC 7662 §2.2, §4
fn what_the_answer_says_has_to_agree() {
    for (answer, error) in [
        (
            json!({"iss": "https://evil.example"}),
            InvalidToken::IssuerUnknown,
        ),
        (json!({"iss": 7}), InvalidToken::IssuerUnknown),
        (
            json!({"aud": "https://other.example"}),
            InvalidToken::AudienceMismatch,
        ),
        (json!({"aud": []}), InvalidToken::AudienceMismatch),
        (json!({"aud": 7}), InvalidToken::AudienceMismatch),
        (json!({"exp": NOW.as_secs() - 60}), InvalidToken::Expired),
        (json!({"exp": "soon"}), InvalidToken::ClaimsInvalid),
        (json!({"nbf": NOW.as_secs() + 61}), InvalidToken::NotYetValid),
        (json!({"iat": NOW.as_secs() + 61}), InvalidToken::NotYetValid),
        (
            json!({"token_type": "refresh_token"}),
            InvalidToken::NotAnAccessToken,
        ),
        (json!({"token_type": "N_A"}), InvalidToken::NotAnAccessToken),
        (json!({"typ": "Refresh"}), InvalidToken::NotAnAccessToken),
        (json!({"typ": "ID"}), InvalidToken::NotAnAccessToken),
        (json!({"sub": ""}), InvalidToken::ClaimsInvalid),
        (json!({"sub": 7}), InvalidToken::ClaimsInvalid),
        (
            json!({"cnf": {"x5t#S256": ["c"]}}),
            InvalidToken::BindingUnsupported,
        ),
        (
            json!({"token_type": "DPoP", "cnf": {"x5t#S256": "c"}}),
            InvalidToken::BindingUnsupported,
        ),
        (json!({"token_type": "DPoP"}), InvalidToken::BindingUnsupported),
    ] {
        assert_eq!(facts(answer.clone()).err(), Some(error), "{answer}");
    }
    let bound = facts(json!({"token_type": "DPoP", "cnf": {"jkt": "k"}})).expect("good");
    assert_eq!(bound.binding, Binding::Key("k".to_owned()));
    let bound = facts(json!({"cnf": {"x5t#S256": "c"}})).expect("good");
    assert_eq!(bound.binding, Binding::Certificate("c".to_owned()));
}

#[test] // RFC 7662 §4
fn a_provider_speaks_for_itself_and_for_no_other_that_is_trusted() {
    let trusted = ["https://id.example", "https://partner.example"].map(str::to_owned);
    let named = Judge {
        issuers: trusted.to_vec(),
        ..judge()
    };
    let nameless = Judge {
        name: "https://plain.example/token".to_owned(),
        issuers: trusted.to_vec(),
        ..judge()
    };
    let alone = Judge {
        issuers: Vec::new(),
        ..judge()
    };
    for (judge, iss, is_believed) in [
        (&named, "https://id.example", true),
        (&named, "https://partner.example", false),
        (&named, "https://other.example", false),
        (&nameless, "https://partner.example", false),
        (&nameless, "https://other.example", true),
        (&alone, "https://other.example", true),
    ] {
        let found = judge.facts(members(json!({"iss": iss})), NOW);
        assert_eq!(found.is_ok(), is_believed, "{iss} by {}", judge.name);
        assert!(found.is_ok_and(|facts| facts.issuer == iss) == is_believed);
    }
}

#[test] // RFC 7662 §4
fn an_audience_can_be_demanded() {
    let strict = Judge {
        audience: AudienceRule::Always,
        ..judge()
    };
    let refused = strict.facts(members(json!({"active": true})), NOW).err();
    assert_eq!(refused, Some(InvalidToken::AudienceMismatch));
    assert!(strict.facts(members(json!({"aud": API})), NOW).is_ok());
}

#[test] // RFC 7662 §4
fn an_answer_is_remembered_until_the_token_ends_a_minute_at_most() {
    for (answer, until) in [
        (Some(json!({"exp": NOW.as_secs() + 3600})), 60),
        (Some(json!({})), 60),
        (Some(json!({"exp": NOW.as_secs() - 30})), 30),
        (None, 5),
        (Some(json!({"aud": "other"})), 5),
    ] {
        let outcome = judge().outcome(answer.clone().map(members), NOW);
        let end = judge().until(&outcome, NOW);
        assert_eq!(end, NOW.plus(Duration::from_secs(until)), "{answer:?}");
    }
}
