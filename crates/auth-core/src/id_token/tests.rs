//! An accepting test for each rule of [`verify`], and rejecting twins that break one thing each.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::*;
use crate::jose::testing::{ALGORITHMS, TestKey, key_set};

const ISSUER: &str = "https://provider.example";
const CLIENT: &str = "our-client";
const NONCE: &str = "n-0S6_WzA2Mj";
const ACCESS_TOKEN: &str = "the access token";
const NOW: i64 = 1_800_000_000;
const TOLERANCE: i64 = 60;
const HOUR: i64 = 3600;

/// A good ID token and what is expected of it; a test changes one thing and checks.
struct IdTokenFixture {
    algorithm: Algorithm,
    header: Value,
    claims: Map<String, Value>,
    keys: KeySet,
    algorithms: Vec<Algorithm>,
    nonce: Option<&'static str>,
    access_token: Option<&'static str>,
    max_age: Option<Duration>,
}

impl IdTokenFixture {
    fn valid() -> Self {
        Self::signed_with(Algorithm::ES256)
    }

    fn signed_with(algorithm: Algorithm) -> Self {
        let claims = json!({
            "iss": ISSUER,
            "sub": "user-1",
            "aud": CLIENT,
            "exp": NOW + 300,
            "iat": NOW,
            "nonce": NONCE,
            "at_hash": algorithm.left_half_hash(ACCESS_TOKEN),
        });
        Self {
            algorithm,
            header: json!({"alg": algorithm.as_str(), "kid": "k"}),
            claims: claims.as_object().expect("an object").clone(),
            keys: key_set([TestKey::of(algorithm).jwk_with(json!({"kid": "k"}))]),
            algorithms: ALGORITHMS.to_vec(),
            nonce: Some(NONCE),
            access_token: Some(ACCESS_TOKEN),
            max_age: None,
        }
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    fn keys(mut self, keys: impl IntoIterator<Item = Value>) -> Self {
        self.keys = key_set(keys);
        self
    }

    fn max_age(mut self, seconds: u64) -> Self {
        self.max_age = Some(Duration::from_secs(seconds));
        self
    }

    /// As at a refresh, where there is no authorization request.
    fn at_refresh(mut self) -> Self {
        self.nonce = None;
        self
    }

    fn sign(&self) -> String {
        let payload = serde_json::to_vec(&self.claims).expect("JSON");
        self.sign_payload(&payload)
    }

    fn sign_payload(&self, payload: &[u8]) -> String {
        TestKey::of(self.algorithm).sign(self.algorithm, &self.header.to_string(), payload)
    }

    fn check(&self) -> Result<IdTokenClaims, IdTokenError> {
        self.check_token(&self.sign())
    }

    fn check_token(&self, token: &str) -> Result<IdTokenClaims, IdTokenError> {
        let expected = Expected {
            issuer: ISSUER,
            client_id: CLIENT,
            nonce: self.nonce,
            access_token: self.access_token,
            algorithms: &self.algorithms,
            tolerance: Duration::from_secs(TOLERANCE.unsigned_abs()),
            max_age: self.max_age,
        };
        verify(token, &self.keys, &expected, Timestamp::from_secs(NOW))
    }

    #[track_caller]
    fn accepted(&self) -> IdTokenClaims {
        self.check().expect("an accepted ID token")
    }

    #[track_caller]
    fn refused(&self) -> IdTokenError {
        self.check().expect_err("a refused ID token")
    }
}

#[test]
fn accepts_every_algorithm() {
    for algorithm in ALGORITHMS {
        let fixture = IdTokenFixture::signed_with(algorithm);
        assert_eq!(
            fixture.check().map(|c| c.subject().to_owned()),
            Ok("user-1".to_owned())
        );
    }
}

#[test]
fn returns_the_claims_as_typed_values_and_all_of_them() {
    let fixture = IdTokenFixture::valid()
        .claim("aud", json!([CLIENT, "an-api"]))
        .claim("azp", CLIENT)
        .claim("auth_time", NOW - 10)
        .claim("acr", "phr")
        .claim("amr", json!(["pwd", "otp"]))
        .claim("sid", "session-1")
        .claim("email", "user@example.com");
    let claims = fixture.accepted();
    assert_eq!(claims.issuer(), ISSUER);
    assert_eq!(claims.subject(), "user-1");
    assert_eq!(claims.audience(), [CLIENT, "an-api"]);
    assert_eq!(claims.authorized_party(), Some(CLIENT));
    assert_eq!(claims.expires_at(), Timestamp::from_secs(NOW + 300));
    assert_eq!(claims.issued_at(), Timestamp::from_secs(NOW));
    assert_eq!(claims.authenticated_at(), Some(Timestamp::from_secs(NOW - 10)));
    assert_eq!(claims.acr(), Some("phr"));
    assert_eq!(claims.amr(), ["pwd", "otp"]);
    assert_eq!(claims.sid(), Some("session-1"));
    assert_eq!(claims.at_hash(), fixture.claims["at_hash"].as_str());
    assert_eq!(claims.all(), &fixture.claims);
    assert_eq!(claims.into_all(), fixture.claims);
}

#[test]
fn odd_values_of_claims_that_decide_nothing_do_no_harm() {
    let claims = IdTokenFixture::valid()
        .claim("acr", 1)
        .claim("amr", json!({"method": "pwd"}))
        .claim("sid", json!(null))
        .claim("auth_time", "yesterday")
        .claim("email_verified", "true")
        .claim("address", "none")
        .claim("updated_at", "2026-01-01")
        .accepted();
    assert_eq!(claims.acr(), None);
    assert!(claims.amr().is_empty());
    assert_eq!(claims.sid(), None);
    assert_eq!(claims.authenticated_at(), None);
}

// OpenID Connect Core §3.1.3.7
#[test] // step 1
fn refuses_an_encrypted_token() {
    let error = IdTokenFixture::valid().check_token("a.b.c.d.e");
    assert_eq!(error, Err(IdTokenError::Encrypted));
}

#[test] // RFC 8725 §3.11
fn accepts_the_type_jwt_in_any_case() {
    for typ in ["JWT", "jwt", "Jwt"] {
        IdTokenFixture::valid().header("typ", typ).accepted();
    }
}

#[test] // RFC 8725 §3.11
fn refuses_tokens_of_another_type() {
    for typ in ["at+jwt", "logout+jwt", "application/jwt", "JOSE", ""] {
        let error = IdTokenFixture::valid().header("typ", typ).refused();
        assert_eq!(error, IdTokenError::TypeUnexpected, "{typ}");
    }
}

// OpenID Connect Core §3.1.3.7
#[test] // step 6
fn refuses_a_signature_by_another_key() {
    let other = TestKey::generate(Algorithm::ES256).jwk_with(json!({"kid": "k"}));
    let error = IdTokenFixture::valid().keys([other]).refused();
    assert_eq!(error, IdTokenError::SignatureInvalid);
}

// OpenID Connect Core §3.1.3.7
#[test] // step 6
fn refuses_claims_that_were_changed_after_signing() {
    let fixture = IdTokenFixture::valid();
    let good = fixture.sign();
    let other = IdTokenFixture::valid().claim("sub", "user-2").sign();
    let payload = other.split('.').nth(1).expect("a payload");
    let parts: Vec<_> = good.split('.').collect();
    let forged = [parts[0], payload, parts[2]].join(".");
    assert_eq!(fixture.check_token(&forged), Err(IdTokenError::SignatureInvalid));
}

#[test] // step 6
fn an_unknown_kid_is_told_apart_from_a_bad_signature() {
    let error = IdTokenFixture::valid().header("kid", "new").refused();
    assert_eq!(error, IdTokenError::UnknownKey);
    let error = IdTokenFixture::valid().keys([]).refused();
    assert_eq!(error, IdTokenError::UnknownKey);
}

// OpenID Connect Core §3.1.3.7
#[test] // step 6
fn the_alg_of_the_key_must_be_that_of_the_token() {
    let key = TestKey::of(Algorithm::RS256);
    let with_alg = |alg: &str| {
        IdTokenFixture::signed_with(Algorithm::RS256).keys([key.jwk_with(json!({"kid": "k", "alg": alg}))])
    };
    with_alg("RS256").accepted();
    assert_eq!(with_alg("PS256").refused(), IdTokenError::UnknownKey);
}

#[test] // step 6, OIDC Core §10.1
fn a_token_without_kid_that_no_key_verifies_may_be_signed_with_a_new_one() {
    let mut fixture = IdTokenFixture::valid();
    fixture.header = json!({"alg": "ES256"});
    fixture.accepted();
    let other = TestKey::generate(Algorithm::ES256).jwk();
    assert_eq!(fixture.keys([other]).refused(), IdTokenError::UnknownKey);
}

#[test] // step 6
fn an_rsa_signature_under_the_kid_of_a_curve_key_is_refused() {
    let keys = || {
        [
            TestKey::of(Algorithm::RS256).jwk_with(json!({"kid": "rsa"})),
            TestKey::of(Algorithm::ES256).jwk_with(json!({"kid": "ec"})),
        ]
    };
    let under = |kid: &str| {
        IdTokenFixture::signed_with(Algorithm::RS256)
            .keys(keys())
            .header("kid", kid)
    };
    under("rsa").accepted();
    assert_eq!(under("ec").refused(), IdTokenError::UnknownKey);
}

#[test] // RFC 8725 §3.10
fn header_members_that_bring_a_key_along_are_neither_used_nor_in_the_way() {
    let stranger = TestKey::generate(Algorithm::ES256);
    for (name, value) in [
        ("jwk", stranger.jwk_with(json!({"kid": "k"}))),
        ("jku", json!("https://attacker.example/keys")),
        ("x5u", json!("https://attacker.example/certificate")),
        ("x5c", json!(["MIIB"])),
    ] {
        let fixture = IdTokenFixture::valid().header(name, value);
        fixture.accepted();
        let payload = serde_json::to_vec(&fixture.claims).expect("JSON");
        let forged = stranger.sign(Algorithm::ES256, &fixture.header.to_string(), &payload);
        assert_eq!(
            fixture.check_token(&forged),
            Err(IdTokenError::SignatureInvalid),
            "{name}"
        );
    }
}

#[test] // RFC 7519 §5.2: a token in a token, which nothing here asks for
fn refuses_a_nested_token() {
    let fixture = IdTokenFixture::valid().header("cty", "JWT");
    let nested = fixture.sign_payload(IdTokenFixture::valid().sign().as_bytes());
    assert_eq!(fixture.check_token(&nested), Err(IdTokenError::Malformed));
    // What the payload is decides, not what `cty` says of it.
    fixture.accepted();
}

// OpenID Connect Core §3.1.3.7
#[test] // step 7
fn refuses_an_algorithm_that_is_not_on_the_list() {
    let mut fixture = IdTokenFixture::valid();
    fixture.algorithms = vec![Algorithm::RS256];
    assert_eq!(fixture.refused(), IdTokenError::AlgorithmNotAllowed);
}

#[test] // step 7, RFC 8725 §2.1
fn refuses_none_and_macs() {
    for alg in ["none", "HS256"] {
        let error = IdTokenFixture::valid().header("alg", alg).refused();
        assert_eq!(error, IdTokenError::AlgorithmNotAllowed, "{alg}");
    }
}

#[test] // RFC 7515 §4.1.11
fn refuses_critical_headers() {
    let error = IdTokenFixture::valid().header("crit", json!(["b64"])).refused();
    assert_eq!(error, IdTokenError::CriticalHeader);
}

#[test] // RFC 7519 §4, §7.2
fn refuses_payloads_that_are_not_objects_of_distinct_members() {
    let fixture = IdTokenFixture::valid();
    let good = serde_json::to_string(&fixture.claims).expect("JSON");
    let doubled = good.replacen('{', r#"{"sub":"somebody-else","#, 1);
    let escaped = good.replacen('{', r#"{"su\u0062":"somebody-else","#, 1);
    let with_mark = format!("\u{feff}{good}");
    let surrogate = good.replacen('{', r#"{"name":"\udc00","#, 1);
    for payload in [
        "[]", "null", "text", "{", &doubled, &escaped, &with_mark, &surrogate,
    ] {
        let token = fixture.sign_payload(payload.as_bytes());
        assert_eq!(
            fixture.check_token(&token),
            Err(IdTokenError::Malformed),
            "{payload}"
        );
    }
    assert_eq!(fixture.check_token(""), Err(IdTokenError::Malformed));
}

// OpenID Connect Core §2, §3.1.3.7
#[test] // step 2
fn refuses_an_issuer_that_differs_in_a_byte() {
    for issuer in [
        "https://provider.example/",
        "https://Provider.example",
        "https://provider.example ",
        "http://provider.example",
        "",
    ] {
        let error = IdTokenFixture::valid().claim("iss", issuer).refused();
        assert_eq!(error, IdTokenError::IssuerMismatch, "{issuer}");
    }
    for odd in [json!(null), json!([ISSUER]), json!({"url": ISSUER})] {
        let error = IdTokenFixture::valid().claim("iss", odd).refused();
        assert_eq!(error, IdTokenError::IssuerMismatch);
    }
    let error = IdTokenFixture::valid().without("iss").refused();
    assert_eq!(error, IdTokenError::IssuerMismatch);
}

// OpenID Connect Core §3.1.3.7
#[test] // step 3
fn accepts_an_audience_of_one_in_an_array() {
    IdTokenFixture::valid().claim("aud", json!([CLIENT])).accepted();
}

// OpenID Connect Core §3.1.3.7
#[test] // step 3
fn rejects_id_token_meant_for_another_client() {
    for audience in [
        json!("someone-else"),
        json!("our-client-2"),
        json!("OUR-CLIENT"),
        json!(["someone-else", "an-api"]),
        json!([]),
        json!([CLIENT, 1]),
        json!({"our-client": true}),
        json!(null),
    ] {
        let fixture = IdTokenFixture::valid()
            .claim("aud", audience.clone())
            .claim("azp", CLIENT);
        assert_eq!(fixture.refused(), IdTokenError::AudienceMismatch, "{audience}");
    }
    let error = IdTokenFixture::valid().without("aud").refused();
    assert_eq!(error, IdTokenError::AudienceMismatch);
}

// OpenID Connect Core §3.1.3.7
#[test] // steps 3 and 4
fn several_audiences_need_an_authorized_party() {
    let several = || IdTokenFixture::valid().claim("aud", json!(["an-api", CLIENT]));
    several().claim("azp", CLIENT).accepted();
    assert_eq!(several().refused(), IdTokenError::AuthorizedPartyMissing);
}

// OpenID Connect Core §3.1.3.7, §12.2
#[test] // step 5
fn refuses_an_authorized_party_that_is_not_us() {
    IdTokenFixture::valid().claim("azp", CLIENT).accepted();
    for azp in [json!("someone-else"), json!([CLIENT]), json!(""), json!(null)] {
        let fixture = IdTokenFixture::valid().claim("azp", azp.clone());
        assert_eq!(fixture.refused(), IdTokenError::AuthorizedPartyMismatch, "{azp}");
        let fixture = fixture.claim("aud", json!([CLIENT, "someone-else"]));
        assert_eq!(fixture.refused(), IdTokenError::AuthorizedPartyMismatch, "{azp}");
    }
}

#[test] // step 9
fn accepts_an_expiry_within_the_tolerance() {
    IdTokenFixture::valid()
        .claim("exp", NOW - TOLERANCE + 1)
        .accepted();
    IdTokenFixture::valid().claim("exp", NOW as f64 + 0.5).accepted();
}

// OpenID Connect Core §3.1.3.7
#[test] // step 9
fn refuses_an_expired_token() {
    for exp in [NOW - TOLERANCE, NOW - TOLERANCE - 1, 0] {
        let error = IdTokenFixture::valid().claim("exp", exp).refused();
        assert_eq!(error, IdTokenError::Expired, "{exp}");
    }
}

/// What must not pass for a time.
fn no_times() -> [Value; 7] {
    [
        json!((NOW + 300).to_string()),
        json!(null),
        json!(true),
        json!([NOW]),
        json!(-1),
        json!(1e300),
        // Milliseconds.
        json!((NOW + 300) * 1000),
    ]
}

// OpenID Connect Core §2
#[test] // step 9
fn refuses_an_expiry_that_is_no_time() {
    for exp in no_times() {
        let error = IdTokenFixture::valid().claim("exp", exp.clone()).refused();
        assert_eq!(error, IdTokenError::ExpInvalid, "{exp}");
    }
    let error = IdTokenFixture::valid().without("exp").refused();
    assert_eq!(error, IdTokenError::ExpInvalid);
}

#[test] // RFC 7519 §4.1.5
fn refuses_a_token_before_its_time() {
    IdTokenFixture::valid().claim("nbf", NOW + TOLERANCE).accepted();
    let error = IdTokenFixture::valid()
        .claim("nbf", NOW + TOLERANCE + 1)
        .refused();
    assert_eq!(error, IdTokenError::NotYetValid);
    for nbf in no_times() {
        let error = IdTokenFixture::valid().claim("nbf", nbf.clone()).refused();
        assert_eq!(error, IdTokenError::NbfInvalid, "{nbf}");
    }
}

// OpenID Connect Core §3.1.3.7
#[test] // step 10
fn refuses_a_token_from_the_future() {
    IdTokenFixture::valid().claim("iat", NOW + TOLERANCE).accepted();
    let error = IdTokenFixture::valid()
        .claim("iat", NOW + TOLERANCE + 1)
        .refused();
    assert_eq!(error, IdTokenError::IssuedInFuture);
}

// OpenID Connect Core §3.1.3.7
#[test] // step 10
fn refuses_a_token_issued_more_than_an_hour_ago() {
    let issued_ago = |seconds: i64| IdTokenFixture::valid().claim("iat", NOW - seconds);
    issued_ago(HOUR).accepted();
    let too_old = issued_ago(HOUR + 1);
    assert_eq!(too_old.refused(), IdTokenError::IssuedTooLongAgo);
    assert_eq!(too_old.at_refresh().refused(), IdTokenError::IssuedTooLongAgo);
}

// OpenID Connect Core §2
#[test] // step 10
fn refuses_a_time_of_issue_that_is_no_time() {
    for iat in no_times() {
        let error = IdTokenFixture::valid().claim("iat", iat.clone()).refused();
        assert_eq!(error, IdTokenError::IatInvalid, "{iat}");
    }
    let error = IdTokenFixture::valid().without("iat").refused();
    assert_eq!(error, IdTokenError::IatInvalid);
}

// OpenID Connect Core §3.1.3.7
#[test] // step 11
fn refuses_another_nonce() {
    for nonce in ["n-0S6_WzA2Mk", "n-0S6_WzA2M", "N-0S6_WZA2MJ", ""] {
        let error = IdTokenFixture::valid().claim("nonce", nonce).refused();
        assert_eq!(error, IdTokenError::NonceMismatch, "{nonce}");
    }
}

// OpenID Connect Core §3.1.3.7
#[test] // step 11
fn refuses_a_token_without_nonce_at_sign_in() {
    let error = IdTokenFixture::valid().without("nonce").refused();
    assert_eq!(error, IdTokenError::NonceMissing);
    for odd in [json!(null), json!(1), json!([NONCE])] {
        let error = IdTokenFixture::valid().claim("nonce", odd).refused();
        assert_eq!(error, IdTokenError::NonceMissing);
    }
}

#[test] // §12.2
fn needs_no_nonce_at_refresh() {
    IdTokenFixture::valid().without("nonce").at_refresh().accepted();
    IdTokenFixture::valid().at_refresh().accepted();
}

// OpenID Connect Core §3.1.3.7
#[test] // step 13
fn max_age_demands_a_recent_authentication() {
    let authenticated_ago = |seconds: i64| {
        IdTokenFixture::valid()
            .claim("auth_time", NOW - seconds)
            .max_age(300)
    };
    authenticated_ago(0).accepted();
    authenticated_ago(300).accepted();
    let too_old = authenticated_ago(301);
    assert_eq!(too_old.refused(), IdTokenError::AuthTimeTooOld);
}

// OpenID Connect Core §3.1.3.7
#[test] // step 13
fn an_auth_time_that_is_yet_to_come_is_none() {
    for (ahead, counts) in [(60, true), (61, false), (86_400, false)] {
        let fixture = || IdTokenFixture::valid().claim("auth_time", NOW + ahead);
        assert_eq!(
            fixture().accepted().authenticated_at().is_some(),
            counts,
            "{ahead}"
        );
        let asked = fixture().max_age(300);
        match counts {
            true => drop(asked.accepted()),
            false => assert_eq!(asked.refused(), IdTokenError::AuthTimeMissing, "{ahead}"),
        }
    }
}

// OpenID Connect Core §3.1.3.7
#[test] // step 13
fn max_age_demands_an_auth_time() {
    let error = IdTokenFixture::valid().max_age(300).refused();
    assert_eq!(error, IdTokenError::AuthTimeMissing);
    for auth_time in no_times() {
        let fixture = IdTokenFixture::valid().claim("auth_time", auth_time.clone());
        let error = fixture.max_age(300).refused();
        assert_eq!(error, IdTokenError::AuthTimeMissing, "{auth_time}");
    }
}

#[test] // step 13
fn without_max_age_an_old_authentication_is_accepted() {
    IdTokenFixture::valid()
        .claim("auth_time", NOW - 30 * 24 * HOUR)
        .accepted();
}

#[test] // §3.1.3.8
fn at_hash_may_be_missing() {
    IdTokenFixture::valid().without("at_hash").accepted();
}

#[test] // §3.1.3.8
fn at_hash_must_match_where_present() {
    let other = Algorithm::ES256.left_half_hash("another access token");
    let whole = Algorithm::ES384.left_half_hash(ACCESS_TOKEN);
    for at_hash in [json!(other), json!(whole), json!(""), json!(null), json!(1)] {
        let fixture = IdTokenFixture::valid().claim("at_hash", at_hash.clone());
        assert_eq!(fixture.refused(), IdTokenError::AtHashMismatch, "{at_hash}");
    }
}

#[test]
fn at_hash_is_not_looked_at_without_an_access_token() {
    let mut fixture = IdTokenFixture::valid().claim("at_hash", "another");
    fixture.access_token = None;
    fixture.accepted();
}

#[test] // §2
fn accepts_subjects_of_up_to_255_characters() {
    for subject in ["0", "user|1@example.com", "Jürgen", &"x".repeat(255)] {
        let claims = IdTokenFixture::valid().claim("sub", subject).accepted();
        assert_eq!(claims.subject(), subject);
    }
}

#[test] // §2
fn refuses_unusable_subjects() {
    for subject in [
        json!(""),
        json!("x".repeat(256)),
        json!("user\n1"),
        json!("user\u{0}"),
        json!(1),
        json!(null),
        json!(["user-1"]),
    ] {
        let fixture = IdTokenFixture::valid().claim("sub", subject.clone());
        assert_eq!(fixture.refused(), IdTokenError::SubjectInvalid, "{subject}");
    }
    let error = IdTokenFixture::valid().without("sub").refused();
    assert_eq!(error, IdTokenError::SubjectInvalid);
}

#[test]
fn debug_output_has_neither_nonce_nor_hash_nor_profile() {
    let claims = IdTokenFixture::valid()
        .claim("email", "user@example.com")
        .accepted();
    let text = format!("{claims:?}");
    let at_hash = claims.at_hash().expect("a hash");
    for secret in [NONCE, at_hash, "user@example.com"] {
        assert!(!text.contains(secret), "{text}");
    }
}

const ERRORS: [IdTokenError; 24] = [
    IdTokenError::Malformed,
    IdTokenError::Encrypted,
    IdTokenError::TypeUnexpected,
    IdTokenError::CriticalHeader,
    IdTokenError::AlgorithmNotAllowed,
    IdTokenError::UnknownKey,
    IdTokenError::SignatureInvalid,
    IdTokenError::IssuerMismatch,
    IdTokenError::AudienceMismatch,
    IdTokenError::AuthorizedPartyMissing,
    IdTokenError::AuthorizedPartyMismatch,
    IdTokenError::ExpInvalid,
    IdTokenError::Expired,
    IdTokenError::NbfInvalid,
    IdTokenError::NotYetValid,
    IdTokenError::IatInvalid,
    IdTokenError::IssuedInFuture,
    IdTokenError::IssuedTooLongAgo,
    IdTokenError::NonceMissing,
    IdTokenError::NonceMismatch,
    IdTokenError::AuthTimeMissing,
    IdTokenError::AuthTimeTooOld,
    IdTokenError::AtHashMismatch,
    IdTokenError::SubjectInvalid,
];

#[test]
fn every_error_has_a_documented_code_of_its_own() {
    let codes: Vec<_> = ERRORS.iter().map(|error| error.code()).collect();
    let documented: Vec<_> = CODES.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, documented);
    for (code, cause, mend) in CODES {
        let name = code.strip_prefix("id_token.").expect("the area's prefix");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
        assert!(cause.ends_with('.') && mend.ends_with('.'), "{code}");
    }
}

#[test]
fn debug_shows_issuer_and_subject_only() {
    let claims = IdTokenFixture::valid()
        .claim("email", "ada@example.com")
        .claim("sid", "the-session-at-the-provider")
        .check()
        .expect("a good token");
    for text in [format!("{claims:?}"), format!("{claims:#?}")] {
        assert!(text.contains("user-1"));
        for hidden in [NONCE, "ada@example.com", "the-session-at-the-provider"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}
