//! The userinfo answer (OpenID Connect Core 1.0 §5.3): same subject or refuse.
//!
//! Asked once at sign-in, where the provider has such an endpoint ([`UserinfoPolicy`](crate::config::UserinfoPolicy)). What
//! it says is added to the claims of the ID token, but for roles and for what says who the user is. Plain JSON and signed
//! answers are read, signed ones also where they are encrypted for this client. An answer about another user, or one that is
//! forged, fails the sign-in (§5.3.2, §5.3.4); an endpoint that is down does not ([`UserinfoError::fails_sign_in`]).

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::jose::{self, Algorithm, Jws, JwsError, KeySet, ObjectError};

/// Claims that only the ID token, or nobody, may set: those that say who the user is and what the token is good for,
/// and `roles`, which decide what the user may do.
const ID_TOKEN_ONLY: [&str; 7] = ["iss", "sub", "aud", "exp", "iat", "nonce", "roles"];

/// The userinfo endpoint's answer.
pub(crate) struct Answer<'a> {
    /// The status of the response.
    pub(crate) status: StatusCode,
    /// The value of `Content-Type`, if there is one.
    pub(crate) content_type: Option<&'a str>,
    /// The decoded body.
    pub(crate) body: &'a [u8],
}

/// What the answer has to say.
pub(crate) struct Expected<'a> {
    /// The ID token's subject.
    pub(crate) subject: &'a str,
    /// The configured issuer, for a signed answer that names one.
    pub(crate) issuer: &'a str,
    /// Our own client identifier, for a signed answer that names an audience.
    pub(crate) client_id: &'a str,
    /// The provider's keys, for a signed answer.
    pub(crate) keys: &'a KeySet,
    /// The signature algorithms allowed on a signed answer.
    pub(crate) algorithms: &'a [Algorithm],
    /// The present, for a signed answer that says when it is good.
    pub(crate) now: Timestamp,
    /// By how much the provider's clock may differ.
    pub(crate) tolerance: Duration,
}

/// Reads a userinfo answer, plain or signed, and checks that it is about the same user (§5.3.2).
///
/// # Errors
///
/// [`UserinfoError`]; its [`fails_sign_in`](UserinfoError::fails_sign_in) says whether the sign-in can go on without.
pub(crate) fn parse(
    answer: &Answer<'_>,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, UserinfoError> {
    if answer.status != StatusCode::OK {
        return Err(UserinfoError::Refused {
            status: answer.status.as_u16(),
        });
    }
    let claims = if answer.content_type.is_some_and(is_jwt) {
        parse_signed(answer.body, expected)?
    } else {
        jose::parse_object(answer.body)?
    };
    match claims.get("sub").and_then(Value::as_str) {
        None => Err(UserinfoError::SubjectMissing),
        Some(subject) if subject != expected.subject => Err(UserinfoError::SubjectMismatch),
        Some(_) => Ok(claims),
    }
}

/// Adds to the ID token's claims those of userinfo that the ID token lacks, save `iss`, `sub`, `aud`, `exp`, `iat`,
/// `nonce` and `roles`, which userinfo never sets.
///
/// Decisions on freshness and strength (`auth_time`, `acr`) rest on [`IdTokenClaims`](crate::id_token::IdTokenClaims),
/// which this does not touch.
pub(crate) fn merge(claims: &mut Map<String, Value>, userinfo: Map<String, Value>) {
    for (name, value) in userinfo {
        if !ID_TOKEN_ONLY.contains(&name.as_str()) {
            claims.entry(name).or_insert(value);
        }
    }
}

/// Why a userinfo answer was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserinfoError {
    /// The provider names no userinfo endpoint.
    #[error("the provider has no userinfo endpoint")]
    NoEndpoint,
    /// The status is not 200: refused, redirected or broken.
    #[error("the userinfo endpoint answered with status {status}")]
    Refused {
        /// The status of the response.
        status: u16,
    },
    /// The body is not JSON.
    #[error("the userinfo answer is not JSON")]
    NotJson,
    /// The body is JSON, but not an object of distinct members.
    #[error("the userinfo answer is not an object")]
    NotObject,
    /// There is no `sub`, or it is not a string (§5.3.2).
    #[error("the userinfo answer does not say whom it is about")]
    SubjectMissing,
    /// `sub` is not the ID token's (§5.3.2): the claims of somebody else.
    #[error("the userinfo answer is about another subject than the ID token")]
    SubjectMismatch,
    /// A signed answer does not verify (§5.3.4).
    #[error("the signed userinfo answer does not verify")]
    SignatureInvalid(#[source] JwsError),
    /// A signed answer names another issuer (§5.3.2).
    #[error("the signed userinfo answer is from another issuer")]
    IssuerMismatch,
    /// A signed answer is meant for another client (§5.3.2).
    #[error("the signed userinfo answer is meant for another client")]
    AudienceMismatch,
    /// A signed answer is over (`exp`) or not good yet (`nbf`), or does not say when in numbers (RFC 7519 §4.1.4, §4.1.5).
    #[error("the signed userinfo answer is not good at present")]
    NotGoodNow,
}

impl UserinfoError {
    /// Whether the sign-in fails with it. What points to another user or to a forgery does; an endpoint that is down,
    /// refuses or talks nonsense does not, and the ID token's claims have to do.
    #[must_use]
    pub const fn fails_sign_in(self) -> bool {
        match self {
            Self::NoEndpoint | Self::Refused { .. } | Self::NotJson | Self::NotObject => false,
            Self::SubjectMissing
            | Self::SubjectMismatch
            | Self::SignatureInvalid(_)
            | Self::IssuerMismatch
            | Self::AudienceMismatch
            | Self::NotGoodNow => true,
        }
    }

    /// The stable code of the failure, as it stands in pages, logs and the documentation.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoEndpoint => "userinfo.no_endpoint",
            Self::Refused { .. } => "userinfo.refused",
            Self::NotJson => "userinfo.not_json",
            Self::NotObject => "userinfo.not_object",
            Self::SubjectMissing => "userinfo.subject_missing",
            Self::SubjectMismatch => "userinfo.subject_mismatch",
            Self::SignatureInvalid(_) => "userinfo.signature_invalid",
            Self::IssuerMismatch => "userinfo.issuer_mismatch",
            Self::AudienceMismatch => "userinfo.audience_mismatch",
            Self::NotGoodNow => "userinfo.not_good_now",
        }
    }
}

impl From<ObjectError> for UserinfoError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::NotJson => Self::NotJson,
            ObjectError::NotObject => Self::NotObject,
        }
    }
}

/// Every code of [`UserinfoError::code`] with its cause and its mend, for the pages that explain them.
pub(crate) static CODES: &[(&str, &str, &str)] = &[
    (
        "userinfo.no_endpoint",
        "The application asked who the user is, and the provider names no userinfo endpoint.",
        "Set `AUTH_USERINFO_URL`, or use the claims of the session.",
    ),
    (
        "userinfo.refused",
        "The userinfo endpoint answered with another status than 200; a sign-in goes on without its claims.",
        "Check that the access token's scopes include `openid`, and that the userinfo endpoint is the provider's own.",
    ),
    (
        "userinfo.not_json",
        "The userinfo answer is not JSON; a sign-in goes on without its claims.",
        "Check that the userinfo endpoint is the provider's own and answers with `application/json`.",
    ),
    (
        "userinfo.not_object",
        "The userinfo answer is JSON, but not an object of distinct members; a sign-in goes on without its claims.",
        "Check that the userinfo endpoint is the provider's own.",
    ),
    (
        "userinfo.subject_missing",
        "The userinfo answer does not say in `sub` whom it is about.",
        "Have the provider send `sub`, as OpenID Connect demands, or do not ask for userinfo (`AUTH_USERINFO=never`).",
    ),
    (
        "userinfo.subject_mismatch",
        "The userinfo answer is about another user than the ID token.",
        "Check that userinfo and ID tokens of this client use the same subject type at the provider (public or pairwise).",
    ),
    (
        "userinfo.signature_invalid",
        "The userinfo answer is signed, and the signature does not verify with the provider's published keys and the allowed algorithms.",
        "Set the client's userinfo signature algorithm at the provider to one allowed for ID tokens, or turn userinfo signing off. Of an encrypted answer, `AUTH_DECRYPTION_KEY` has to be the key.",
    ),
    (
        "userinfo.issuer_mismatch",
        "The signed userinfo answer names another issuer than the configured one.",
        "Check that the userinfo endpoint belongs to the same provider and tenant as the issuer.",
    ),
    (
        "userinfo.audience_mismatch",
        "The signed userinfo answer is meant for another client.",
        "Check that the client id (`AUTH_CLIENT_ID`) is the one registered at the provider.",
    ),
    (
        "userinfo.not_good_now",
        "The signed userinfo answer is over, or not good yet, by its own `exp` and `nbf`.",
        "Synchronize the clocks of this machine and of the provider; check that nothing caches the userinfo endpoint's answers.",
    ),
];

/// A signed answer: the signature, then `iss` and `aud` where present, as §5.3.2 has them, and `exp` and `nbf` where present, as every JWT.
fn parse_signed(body: &[u8], expected: &Expected<'_>) -> Result<Map<String, Value>, UserinfoError> {
    let token =
        std::str::from_utf8(body).map_err(|_| UserinfoError::SignatureInvalid(JwsError::Malformed))?;
    let jws = Jws::parse(token.trim_ascii()).map_err(UserinfoError::SignatureInvalid)?;
    let payload = jws
        .verify(expected.keys, expected.algorithms)
        .map_err(UserinfoError::SignatureInvalid)?;
    let claims = jose::parse_object(payload)?;

    if claims
        .get("iss")
        .is_some_and(|iss| iss.as_str() != Some(expected.issuer))
    {
        return Err(UserinfoError::IssuerMismatch);
    }
    if let Some(aud) = claims.get("aud") {
        let audience = jose::audience(aud).unwrap_or_default();
        if !audience.iter().any(|one| one == expected.client_id) {
            return Err(UserinfoError::AudienceMismatch);
        }
    }
    let good = |name: &str, is_good: &dyn Fn(Timestamp) -> bool| {
        claims
            .get(name)
            .is_none_or(|at| jose::instant(at).is_some_and(is_good))
    };
    let (now, tolerance) = (expected.now, expected.tolerance);
    if !good("exp", &|exp| exp.plus(tolerance) > now) || !good("nbf", &|nbf| nbf <= now.plus(tolerance)) {
        return Err(UserinfoError::NotGoodNow);
    }
    Ok(claims)
}

/// Whether a `Content-Type` is `application/jwt`, with or without parameters.
fn is_jwt(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/jwt")
}

#[cfg(test)]
mod tests;
