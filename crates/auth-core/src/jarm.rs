//! Signed authorization responses (JWT Secured Authorization Response Mode for OAuth 2.0, JARM).
//!
//! The whole response is one JSON Web Token in the parameter `response`. Which attempt of this browser it answers stands in
//! the token, and so has to be read before the signature is checked (§2.4 puts it before, too): a forged token gets no
//! further than a forged `state` does. Nothing else is read before [`verify`], and `verify` reads `state` again.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::jose::{self, Algorithm, Jws, JwsError, KeySet};
use crate::request::Parameters;

/// What a signed response has to say.
pub(crate) struct Expected<'a> {
    /// The configured issuer, compared to the byte.
    pub(crate) issuer: &'a str,
    /// Our own client identifier.
    pub(crate) client_id: &'a str,
    /// The signature algorithms allowed.
    pub(crate) algorithms: &'a [Algorithm],
    /// How far the provider's clock may be off.
    pub(crate) tolerance: Duration,
}

/// The `state` in a signed response, by its own word: to find the attempt, and for nothing else.
pub(crate) fn unverified_state(response: &str) -> Option<String> {
    let payload = response.split('.').nth(1)?;
    let claims = jose::parse_object(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(claims.get("state")?.as_str()?.to_owned())
}

/// Checks a signed response (§2.4) and returns its parameters.
///
/// # Errors
///
/// [`ResponseJwtError`], one variant per thing that can be wrong; none carries a part of the response.
pub(crate) fn verify(
    response: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Parameters, ResponseJwtError> {
    let jws = Jws::parse(response)?;
    // RFC 8725 §3.11: JARM has no type of its own; a token that says that it is another kind is one.
    if jws.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(ResponseJwtError::TypeUnexpected);
    }
    let payload = jws.verify(keys, expected.algorithms)?;
    let claims = jose::parse_object(payload).map_err(|_| ResponseJwtError::Malformed)?;
    if claims.get("iss").and_then(|iss| iss.as_str()) != Some(expected.issuer) {
        return Err(ResponseJwtError::IssuerMismatch);
    }
    let audience = claims.get("aud").and_then(jose::audience).unwrap_or_default();
    if !audience.iter().any(|one| one == expected.client_id) {
        return Err(ResponseJwtError::AudienceMismatch);
    }
    let expires_at = claims.get("exp").and_then(jose::instant);
    let expires_at = expires_at.ok_or(ResponseJwtError::ExpInvalid)?;
    if now >= expires_at.plus(expected.tolerance) {
        return Err(ResponseJwtError::Expired);
    }
    Ok(Parameters::of_claims(claims))
}

/// Why a signed authorization response was refused (JARM §2.4). No variant carries a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseJwtError {
    /// Not a signed token, or its claims are not an object of distinct members (RFC 7519 §4, §7.2).
    #[error("the response is no signed token")]
    Malformed,
    /// The token is encrypted, and there is no key that decrypts it.
    #[error("the response is encrypted")]
    Encrypted,
    /// The header's `typ` is neither absent nor `JWT` (RFC 8725 §3.11).
    #[error("the response is a token of another type")]
    TypeUnexpected,
    /// The header demands an extension (RFC 7515 §4.1.11).
    #[error("the response's header demands an extension that is not supported")]
    CriticalHeader,
    /// The signature algorithm is not on the list, or there is no signature.
    #[error("the response's signature algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// No published key fits. The signal to fetch the key set again.
    #[error("no published key fits the response")]
    UnknownKey,
    /// The signature is not valid.
    #[error("the response's signature is not valid")]
    SignatureInvalid,
    /// `iss` is missing or not the configured issuer.
    #[error("the response is from another issuer")]
    IssuerMismatch,
    /// `aud` is missing or does not contain our client identifier.
    #[error("the response is meant for another client")]
    AudienceMismatch,
    /// `exp` is missing or no time in seconds.
    #[error("the response has no usable expiry time")]
    ExpInvalid,
    /// `exp` has passed, by more than the tolerated 60 seconds.
    #[error("the response has expired")]
    Expired,
}

impl ResponseJwtError {
    /// The stable code of the failure.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Encrypted => "login.response_encrypted",
            Self::Malformed | Self::TypeUnexpected | Self::CriticalHeader => "login.response_malformed",
            Self::AlgorithmNotAllowed => "login.response_algorithm",
            Self::UnknownKey | Self::SignatureInvalid => "login.response_signature",
            Self::IssuerMismatch => "login.issuer_mismatch",
            Self::AudienceMismatch => "login.response_audience",
            Self::ExpInvalid | Self::Expired => "login.response_expired",
        }
    }
}

impl From<JwsError> for ResponseJwtError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::Malformed => Self::Malformed,
            JwsError::Encrypted => Self::Encrypted,
            JwsError::AlgorithmNotAllowed => Self::AlgorithmNotAllowed,
            JwsError::CriticalHeader => Self::CriticalHeader,
            JwsError::UnknownKey => Self::UnknownKey,
            JwsError::BadSignature => Self::SignatureInvalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jose::testing::{TestKey, key_set};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn claims() -> Value {
        json!({
            "iss": "https://id.example",
            "aud": "app",
            "exp": NOW.as_secs() + 600,
            "code": "the code",
            "state": "the state",
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    fn without(name: &str) -> Value {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(name);
        claims
    }

    fn signed(header: &str, claims: &Value) -> String {
        TestKey::of(Algorithm::ES256).sign(Algorithm::ES256, header, claims.to_string().as_bytes())
    }

    fn check_at(response: &str, now: Timestamp) -> Result<Parameters, ResponseJwtError> {
        let keys = key_set([TestKey::of(Algorithm::ES256).jwk_with(json!({"kid": "k"}))]);
        let expected = Expected {
            issuer: "https://id.example",
            client_id: "app",
            algorithms: &[Algorithm::ES256],
            tolerance: Duration::from_secs(60),
        };
        verify(response, &keys, &expected, now)
    }

    fn refused(claims: &Value) -> Option<ResponseJwtError> {
        check_at(&signed(r#"{"alg":"ES256","kid":"k"}"#, claims), NOW).err()
    }

    #[test] // JARM §2.4
    fn a_good_response_gives_its_parameters() {
        for header in [
            r#"{"alg":"ES256","kid":"k"}"#,
            r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#,
        ] {
            let parameters = check_at(&signed(header, &claims()), NOW).expect("good");
            assert_eq!(parameters.get("code"), Some("the code"));
            assert_eq!(parameters.get("state"), Some("the state"));
            assert_eq!(parameters.get("iss"), Some("https://id.example"));
            assert_eq!(parameters.get("exp"), None, "what is no text is no parameter");
        }
        assert!(refused(&with("aud", json!(["app"]))).is_none());
        assert!(refused(&with("aud", json!(["other", "app"]))).is_none());
    }

    #[test] // JARM §2.4
    fn issuer_and_audience_are_ours_and_it_has_not_expired() {
        for (claims, error) in [
            (without("iss"), ResponseJwtError::IssuerMismatch),
            (
                with("iss", json!("https://id.example/")),
                ResponseJwtError::IssuerMismatch,
            ),
            (
                with("iss", json!(["https://id.example"])),
                ResponseJwtError::IssuerMismatch,
            ),
            (without("aud"), ResponseJwtError::AudienceMismatch),
            (with("aud", json!("App")), ResponseJwtError::AudienceMismatch),
            (with("aud", json!([])), ResponseJwtError::AudienceMismatch),
            (with("aud", json!(["app", 7])), ResponseJwtError::AudienceMismatch),
            (without("exp"), ResponseJwtError::ExpInvalid),
            (with("exp", json!("soon")), ResponseJwtError::ExpInvalid),
            (with("exp", json!(NOW.as_secs() - 60)), ResponseJwtError::Expired),
        ] {
            assert_eq!(refused(&claims), Some(error), "{claims}");
        }
        assert!(refused(&with("exp", json!(NOW.as_secs() - 59))).is_none());
        let good = signed(r#"{"alg":"ES256","kid":"k"}"#, &claims());
        let late = NOW.plus(Duration::from_secs(660));
        assert_eq!(check_at(&good, late).err(), Some(ResponseJwtError::Expired));
    }

    #[test] // JARM §2.4
    fn the_signature_is_the_provider_s_by_an_allowed_algorithm() {
        let good = signed(r#"{"alg":"ES256","kid":"k"}"#, &claims());
        let (_, signature) = good.rsplit_once('.').expect("three parts");
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let with_header =
            |header: &str| format!("{}.{}.{signature}", part(header), part(&claims().to_string()));
        let rs256 = TestKey::of(Algorithm::RS256);
        for (response, error) in [
            (
                format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims().to_string())),
                ResponseJwtError::AlgorithmNotAllowed,
            ),
            (
                with_header(r#"{"alg":"HS256","kid":"k"}"#),
                ResponseJwtError::AlgorithmNotAllowed,
            ),
            (
                rs256.sign(
                    Algorithm::RS256,
                    r#"{"alg":"RS256","kid":"k"}"#,
                    claims().to_string().as_bytes(),
                ),
                ResponseJwtError::AlgorithmNotAllowed,
            ),
            (
                signed(r#"{"alg":"ES256","kid":"another"}"#, &claims()),
                ResponseJwtError::UnknownKey,
            ),
            (
                signed(r#"{"alg":"ES256","kid":"k","crit":["exp"]}"#, &claims()),
                ResponseJwtError::CriticalHeader,
            ),
            (
                signed(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#, &claims()),
                ResponseJwtError::TypeUnexpected,
            ),
            (
                with_header(r#"{"alg":"ES256","kid":"k"} "#),
                ResponseJwtError::SignatureInvalid,
            ),
            ("a.b.c.d.e".to_owned(), ResponseJwtError::Encrypted),
            ("nothing".to_owned(), ResponseJwtError::Malformed),
            (
                signed(r#"{"alg":"ES256","kid":"k"}"#, &json!([])),
                ResponseJwtError::Malformed,
            ),
        ] {
            assert_eq!(check_at(&response, NOW).err(), Some(error), "{response}");
        }
    }

    #[test] // JARM §2.4
    fn the_state_is_found_in_whatever_has_one() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let unsigned = format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims().to_string()));
        for response in [signed(r#"{"alg":"ES256"}"#, &claims()), unsigned] {
            assert_eq!(unverified_state(&response).as_deref(), Some("the state"));
        }
        for response in [
            signed(r#"{"alg":"ES256"}"#, &without("state")),
            signed(r#"{"alg":"ES256"}"#, &with("state", json!(7))),
            signed(r#"{"alg":"ES256"}"#, &json!([])),
            format!("x.{}.y", part(r#"{"state":"a","state":"b"}"#)),
            "x.%.y".to_owned(),
            "x".to_owned(),
            String::new(),
        ] {
            assert_eq!(unverified_state(&response), None, "{response}");
        }
    }
}
