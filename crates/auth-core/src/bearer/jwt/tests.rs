use serde_json::{Value, json};

use super::*;
use crate::bearer::Binding;
use crate::jose::testing::{TestKey, key_set};

const ISSUER: &str = "https://id.example";
const API: &str = "https://api.example";
const CLIENT: &str = "app";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ALGORITHM: Algorithm = Algorithm::ES256;

/// What Auth0, Keycloak, Entra and others have in common.
fn good() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "ada",
        "aud": API,
        "exp": NOW.as_secs() + 300,
        "iat": NOW.as_secs(),
    })
}

fn with(changes: Value) -> Value {
    let mut claims = good();
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn header(typ: Option<&str>) -> String {
    match typ {
        Some(typ) => json!({"alg": "ES256", "kid": "k", "typ": typ}).to_string(),
        None => json!({"alg": "ES256", "kid": "k"}).to_string(),
    }
}

fn sign(typ: Option<&str>, claims: &Value) -> String {
    TestKey::of(ALGORITHM).sign(ALGORITHM, &header(typ), claims.to_string().as_bytes())
}

fn verify(token: &str) -> Result<Facts, InvalidToken> {
    verify_as(token, TokenTypes::Usual)
}

fn verify_as(token: &str, types: TokenTypes) -> Result<Facts, InvalidToken> {
    let keys = key_set([TestKey::of(ALGORITHM).jwk_with(json!({"kid": "k"}))]);
    let jws = Jws::parse(token)?;
    let candidate = Candidate::of(&jws, types)?;
    let signed = candidate.check_signature(&keys, &[ALGORITHM])?;
    let audiences = [API.to_owned(), "urn:api".to_owned()];
    let expected = Expected {
        issuer: ISSUER,
        audiences: &audiences,
        client_id: Some(CLIENT),
        tolerance: Duration::from_secs(60),
    };
    candidate.accept(&signed, &expected, NOW)
}

#[track_caller]
fn assert_refused(typ: Option<&str>, claims: &Value, error: InvalidToken) {
    let refused = verify(&sign(typ, claims)).err();
    assert_eq!(refused, Some(error), "{typ:?} {claims}");
}

const AT: Option<&str> = Some("at+jwt");

#[test] // RFC 9068 §4
fn a_token_by_the_specification_is_accepted_and_read() {
    let claims = with(json!({"client_id": "caller", "jti": "1", "scope": "a b", "nbf": NOW.as_secs()}));
    let facts = verify(&sign(AT, &claims)).expect("good");
    assert_eq!(facts.issuer, ISSUER);
    assert_eq!(facts.subject.as_deref(), Some("ada"));
    assert_eq!(facts.audience, [API]);
    assert_eq!(facts.expires_at, Some(Timestamp::from_secs(NOW.as_secs() + 300)));
    assert_eq!(facts.scopes, crate::types::Scopes::parse("a b"));
    assert_eq!(facts.binding, Binding::Nothing);
    assert_eq!(facts.client_id.as_deref(), Some("caller"));
    assert_eq!(Value::Object(facts.claims.as_map().clone()), claims);
}

#[test]
fn claims_count_before_they_are_read_as_they_do_afterwards() {
    let roles = vec!["a role"; 100];
    let facts = verify(&sign(
        AT,
        &with(json!({"roles": roles, "realm": {"a": [1, null]}})),
    ))
    .expect("good");
    let before = facts.size();
    let read = crate::jose::size_of_members(facts.claims.as_map());
    assert!(
        read > 100 * "a role".len() && before > 2 * read,
        "{before} {read}"
    );
    assert_eq!(facts.size(), before);
}

#[test] // RFC 9068 §2.1, §4
fn the_type_is_an_access_token_in_any_case_or_left_open() {
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        for types in [TokenTypes::Usual, TokenTypes::Declared] {
            assert!(verify_as(&sign(Some(typ), &good()), types).is_ok(), "{typ}");
        }
    }
    for typ in [Some("JWT"), Some("jwt"), Some("application/jwt"), None] {
        assert!(verify(&sign(typ, &good())).is_ok(), "{typ:?}");
        let strict = verify_as(&sign(typ, &good()), TokenTypes::Declared).err();
        assert_eq!(strict, Some(InvalidToken::TypeUnexpected), "{typ:?}");
    }
    for typ in [
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "at",
        "",
        "id+jwt",
    ] {
        assert_refused(Some(typ), &good(), InvalidToken::TypeUnexpected);
    }
}

#[test] // RFC 9068 §4, §5; OpenID Connect Core §2
fn id_tokens_are_refused_where_the_type_is_left_open() {
    for typ in [Some("JWT"), None] {
        for mark in ["nonce", "at_hash", "c_hash", "s_hash"] {
            assert_refused(typ, &with(json!({mark: "x"})), InvalidToken::NotAnAccessToken);
            // Scopes do not make up for it.
            let both = with(json!({mark: "x", "scope": "a"}));
            assert_refused(typ, &both, InvalidToken::NotAnAccessToken);
        }
        // Refreshed ones have no nonce; their audience is the client that they were issued to.
        for claims in [
            with(json!({"azp": API})),
            with(json!({"client_id": API})),
            with(json!({"aud": [API, CLIENT]})),
            with(json!({"aud": [API, "web"], "azp": "web"})),
        ] {
            assert_refused(typ, &claims, InvalidToken::NotAnAccessToken);
        }
    }
    // Said to be an access token, it is one.
    assert!(verify(&sign(AT, &with(json!({"aud": [API, CLIENT], "azp": CLIENT})))).is_ok());
}

#[test] // Back-Channel Logout 1.0 §2.4
fn logout_tokens_are_refused_whatever_their_type() {
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let claims = with(json!({"events": event, "scope": "a", "jti": "1", "sid": "s"}));
    for typ in [AT, Some("JWT"), None] {
        assert_refused(typ, &claims, InvalidToken::NotAnAccessToken);
    }
    assert_refused(Some("logout+jwt"), &claims, InvalidToken::TypeUnexpected);
}

#[test] // RFC 9068 §2.1
fn what_providers_send_without_the_type_is_accepted() {
    for claims in [
        // Auth0
        json!({"azp": "web", "scope": "openid profile", "aud": [API, "https://tenant.example/userinfo"]}),
        json!({"gty": "client-credentials", "azp": "machine", "sub": "machine@clients"}),
        // Keycloak, which long put the nonce into access tokens too
        json!({"typ": "Bearer", "azp": "web", "nonce": "n", "session_state": "s", "scope": "openid", "acr": "1"}),
        json!({"typ": "DPoP", "azp": "web"}),
        // Entra ID
        json!({"azp": "11111111-1111", "scp": "Mail.Read", "ver": "2.0", "nbf": NOW.as_secs(), "aud": "urn:api"}),
        json!({"appid": "11111111-1111", "roles": ["Reader"], "ver": "1.0"}),
        // Okta
        json!({"cid": "0oa", "scp": ["openid", "mail"], "uid": "00u", "ver": 1}),
        // WSO2: the client is an audience too
        json!({"aut": "APPLICATION_USER", "client_id": CLIENT, "azp": CLIENT, "aud": [CLIENT, API], "scope": "internal_login"}),
        // Amazon Cognito, with an audience put in
        json!({"token_use": "access", "client_id": "c", "scope": "aws.cognito.signin.user.admin"}),
    ] {
        for typ in [Some("JWT"), None] {
            let outcome = verify(&sign(typ, &with(claims.clone()))).map(|_| ());
            assert_eq!(outcome, Ok(()), "{claims}");
        }
    }
    for claims in [
        json!({"typ": "ID", "azp": "web"}),
        json!({"typ": "Refresh", "scope": "openid"}),
        json!({"typ": "Logout"}),
        json!({"typ": 7, "scope": "a"}),
        json!({"token_use": "id"}),
        json!({"token_use": "id", "typ": "Bearer"}),
    ] {
        assert_refused(Some("JWT"), &with(claims), InvalidToken::NotAnAccessToken);
    }
}

#[test] // RFC 9068 §4, step 3
fn the_issuer_is_the_trusted_one_to_the_byte() {
    for iss in [
        json!(format!("{ISSUER}/")),
        json!("https://ID.example"),
        json!("https://evil.example"),
        json!(""),
        json!([ISSUER]),
        json!(null),
    ] {
        assert_refused(AT, &with(json!({"iss": iss})), InvalidToken::IssuerUnknown);
    }
}

#[test] // RFC 9068 §4, step 4
fn the_audience_names_this_resource() {
    for aud in [
        json!([API]),
        json!(["x", API]),
        json!("urn:api"),
        json!(["urn:api", "y"]),
    ] {
        assert!(verify(&sign(AT, &with(json!({"aud": aud})))).is_ok(), "{aud}");
    }
    for aud in [
        json!("https://api.example/"),
        json!("https://other.example"),
        json!(CLIENT),
        json!([]),
        json!([API, 1]),
        json!({"a": API}),
        json!(null),
    ] {
        assert_refused(AT, &with(json!({"aud": aud})), InvalidToken::AudienceMismatch);
    }
}

#[test] // RFC 9068 §4, step 6
fn an_expired_token_is_refused_with_a_minute_of_tolerance() {
    for (ago, accepted) in [(-1, true), (0, true), (59, true), (60, false), (3600, false)] {
        let claims = with(json!({"exp": NOW.as_secs() - ago}));
        assert_eq!(verify(&sign(AT, &claims)).is_ok(), accepted, "{ago}");
        if !accepted {
            assert_refused(AT, &claims, InvalidToken::Expired);
        }
    }
}

#[test] // RFC 9068 §2.2, RFC 7519 §4.1.4
fn an_expiry_is_needed_and_a_number() {
    for exp in [
        json!(null),
        json!("1800000300"),
        json!(-1),
        json!(1e300),
        json!([]),
    ] {
        assert_refused(AT, &with(json!({"exp": exp})), InvalidToken::ClaimsInvalid);
    }
}

#[test] // RFC 7519 §4.1.5, §4.1.6
fn a_token_of_the_future_is_refused() {
    for name in ["nbf", "iat"] {
        for (ahead, accepted) in [(0, true), (60, true), (61, false), (3600, false)] {
            let claims = with(json!({name: NOW.as_secs() + ahead}));
            assert_eq!(verify(&sign(AT, &claims)).is_ok(), accepted, "{name} {ahead}");
            if !accepted {
                assert_refused(AT, &claims, InvalidToken::NotYetValid);
            }
        }
        assert_refused(AT, &with(json!({name: "soon"})), InvalidToken::ClaimsInvalid);
    }
    assert!(verify(&sign(AT, &with(json!({"iat": null})))).is_ok());
}

#[test] // RFC 9068 §2.2
fn a_subject_is_needed() {
    for sub in [
        json!(null),
        json!(""),
        json!(7),
        json!("a\u{0}"),
        json!("x".repeat(256)),
    ] {
        assert_refused(AT, &with(json!({"sub": sub})), InvalidToken::ClaimsInvalid);
    }
}

#[test] // RFC 9068 §4, step 5; RFC 8725 §3.1
fn the_signature_is_the_issuer_s_by_an_allowed_algorithm() {
    let claims = good().to_string();
    let key = TestKey::of(ALGORITHM);
    let other = TestKey::generate(ALGORITHM).sign(ALGORITHM, &header(AT), claims.as_bytes());
    assert_eq!(verify(&other).err(), Some(InvalidToken::SignatureInvalid));
    let unknown = key.sign(
        ALGORITHM,
        r#"{"alg":"ES256","kid":"other","typ":"at+jwt"}"#,
        claims.as_bytes(),
    );
    assert_eq!(verify(&unknown).err(), Some(InvalidToken::UnknownKey));
    for alg in ["none", "HS256", "HS512"] {
        let header = json!({"alg": alg, "kid": "k", "typ": "at+jwt"}).to_string();
        let token = key.sign(ALGORITHM, &header, claims.as_bytes());
        assert_eq!(
            verify(&token).err(),
            Some(InvalidToken::AlgorithmNotAllowed),
            "{alg}"
        );
    }
    let rsa = TestKey::of(Algorithm::RS256).sign(
        Algorithm::RS256,
        r#"{"alg":"RS256","kid":"k","typ":"at+jwt"}"#,
        claims.as_bytes(),
    );
    assert_eq!(verify(&rsa).err(), Some(InvalidToken::AlgorithmNotAllowed));
    for name in ["crit", "b64", "zip"] {
        let header = json!({"alg": "ES256", "kid": "k", "typ": "at+jwt", name: []}).to_string();
        let token = key.sign(ALGORITHM, &header, claims.as_bytes());
        assert_eq!(verify(&token).err(), Some(InvalidToken::CriticalHeader), "{name}");
    }
}

#[test] // RFC 7519 §7.2; RFC 9068 §4, step 2
fn what_is_no_token_of_claims_is_malformed() {
    for bad in ["", "a", "a.b", "a.b.c", "ey.ey.ey", "opaque-token"] {
        assert_eq!(verify(bad).err(), Some(InvalidToken::Malformed), "{bad}");
    }
    assert_eq!(verify("a.b.c.d.e").err(), Some(InvalidToken::Encrypted));
    for payload in ["[]", "null", "{}{}", r#"{"iss":"a","iss":"b"}"#] {
        let token = TestKey::of(ALGORITHM).sign(ALGORITHM, &header(AT), payload.as_bytes());
        assert_eq!(verify(&token).err(), Some(InvalidToken::Malformed), "{payload}");
    }
}

#[test] // RFC 9449 §6.1; RFC 7800 §3.1; RFC 8705 §3.1
fn the_key_that_a_token_is_bound_to_is_read_and_other_bindings_are_refused() {
    let facts = verify(&sign(AT, &with(json!({"cnf": {"jkt": "thumbprint"}})))).expect("good");
    assert_eq!(facts.binding, Binding::Key("thumbprint".to_owned()));
    let facts = verify(&sign(AT, &with(json!({"cnf": {"x5t#S256": "certificate"}})))).expect("good");
    assert_eq!(facts.binding, Binding::Certificate("certificate".to_owned()));
    for cnf in [
        json!({}),
        json!({"jkt": ""}),
        json!({"jkt": 7}),
        json!({"x5t#S256": ""}),
        json!({"x5t#S256": 7}),
        json!({"x5t": "certificate"}),
        json!({"jkt": "thumbprint", "x5t#S256": "certificate"}),
        json!("thumbprint"),
        json!([]),
    ] {
        assert_refused(AT, &with(json!({"cnf": cnf})), InvalidToken::BindingUnsupported);
    }
}

#[test] // RFC 9068 §2.2.3
fn scopes_are_text_or_a_list_by_either_name() {
    for (claims, scopes) in [
        (json!({"scope": "a b"}), "a b"),
        (json!({"scope": ["a", "b"]}), "a b"),
        (json!({"scp": "a b"}), "a b"),
        (json!({"scp": ["a", "b", 7]}), "a b"),
        (json!({"scope": "a", "scp": "b"}), "a"),
        (json!({"scope": 7, "scp": "b"}), ""),
        (json!({}), ""),
    ] {
        let facts = verify(&sign(AT, &with(claims.clone()))).expect("good");
        assert_eq!(facts.scopes.to_string(), scopes, "{claims}");
    }
}
