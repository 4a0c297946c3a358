//! Logout token validation (OpenID Connect Back-Channel Logout 1.0 §2.6).

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::jose::{self, Algorithm, Jws, JwsError, KeySet};

#[cfg(test)]
mod tests;

/// A logout token is sent as soon as it is made; an older one comes from somewhere else. Its `jti` is remembered longer.
pub(crate) const OLDEST: Duration = Duration::from_secs(10 * 60);

/// The event that makes a token a logout token (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a logout token has to say.
pub(crate) struct Expected<'a> {
    /// The configured issuer, compared to the byte.
    pub(crate) issuer: &'a str,
    /// Our own client identifier.
    pub(crate) client_id: &'a str,
    /// The signature algorithms allowed: those of ID tokens.
    pub(crate) algorithms: &'a [Algorithm],
    /// How far the provider's clock may be off.
    pub(crate) tolerance: Duration,
}

/// The claims of a logout token that passed every check: whose sessions have ended at the provider.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LogoutToken {
    /// `jti`: the token's own name, to be used once.
    pub(crate) id: String,
    /// `sub` and `sid`. One of them is there.
    pub(crate) subject: Option<String>,
    pub(crate) sid: Option<String>,
}

impl fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutToken").finish_non_exhaustive()
    }
}

/// What a token says, before anything of it is verified: to find the provider that it may be from.
pub(crate) fn unverified_claims(token: &str) -> Result<Map<String, Value>, LogoutTokenError> {
    jose::parse_object(Jws::parse(token)?.unverified_payload()).map_err(|_| LogoutTokenError::Malformed)
}

/// Checks a logout token in the order of §2.6 and returns its claims. Whether its `jti` was used before, step 8, is for
/// the store to say.
///
/// # Errors
///
/// [`LogoutTokenError`], one variant per thing that can be wrong; none carries a part of the token.
pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<LogoutToken, LogoutTokenError> {
    // Step 1: a token that was encrypted has been decrypted before, or there is no key for it.
    let jws = Jws::parse(token)?;
    // §2.4 and RFC 8725 §3.11: `logout+jwt` where the provider says it. An ID token says nothing or `JWT`; the claims
    // below tell it apart.
    if jws.typ().is_some_and(|typ| !is_type_of_logout_token(typ)) {
        return Err(LogoutTokenError::TypeUnexpected);
    }

    // Steps 2 and 3: the signature, with an algorithm that ID tokens may have.
    let payload = jws.verify(keys, expected.algorithms)?;
    let claims = jose::parse_object(payload).map_err(|_| LogoutTokenError::Malformed)?;

    // Step 4: as in an ID token.
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(LogoutTokenError::IssuerMismatch);
    }
    let audience = claims.get("aud").and_then(jose::audience).unwrap_or_default();
    if !audience.iter().any(|one| one == expected.client_id) {
        return Err(LogoutTokenError::AudienceMismatch);
    }
    let issued_at = claims.get("iat").and_then(jose::instant);
    let issued_at = issued_at.ok_or(LogoutTokenError::IatInvalid)?;
    if issued_at > now.plus(expected.tolerance) {
        return Err(LogoutTokenError::IssuedInFuture);
    }
    if now.since(issued_at) > OLDEST {
        return Err(LogoutTokenError::IssuedTooLongAgo);
    }
    let expires_at = claims.get("exp").and_then(jose::instant);
    let expires_at = expires_at.ok_or(LogoutTokenError::ExpInvalid)?;
    if now >= expires_at.plus(expected.tolerance) {
        return Err(LogoutTokenError::Expired);
    }
    // RFC 7519 §4.1.5.
    if let Some(nbf) = claims.get("nbf") {
        let not_before = jose::instant(nbf).ok_or(LogoutTokenError::NbfInvalid)?;
        if not_before > now.plus(expected.tolerance) {
            return Err(LogoutTokenError::NotYetValid);
        }
    }

    // Step 5: whom it is about.
    let text = |name| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(LogoutTokenError::SubjectInvalid),
    };
    let (subject, sid) = (text("sub")?, text("sid")?);
    if subject.is_none() && sid.is_none() {
        return Err(LogoutTokenError::SubjectInvalid);
    }
    // Step 6: that it is about signing out.
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(LogoutTokenError::EventMissing);
    }
    // Step 7: no ID token can pass for it.
    if claims.contains_key("nonce") {
        return Err(LogoutTokenError::NoncePresent);
    }
    let id = claims
        .get("jti")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty());
    let id = id.ok_or(LogoutTokenError::IdMissing)?.to_owned();
    Ok(LogoutToken { id, subject, sid })
}

/// Media types are compared without case (RFC 7515 §4.1.9).
fn is_type_of_logout_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("logout+jwt")
}

/// Why a logout token was refused. No variant carries a part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogoutTokenError {
    #[error("it is no signed token, or its claims are not an object of distinct members")]
    Malformed,
    #[error("it is encrypted")]
    Encrypted,
    #[error("its typ is neither JWT nor logout+jwt")]
    TypeUnexpected,
    #[error("its header demands an extension that is not supported")]
    CriticalHeader,
    #[error("its signature algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// The signal to fetch the key set again.
    #[error("no published key fits it")]
    UnknownKey,
    #[error("its signature is not valid")]
    SignatureInvalid,
    #[error("it is from another issuer")]
    IssuerMismatch,
    #[error("it is meant for another client")]
    AudienceMismatch,
    #[error("it has no usable time of issue")]
    IatInvalid,
    #[error("it was issued in the future")]
    IssuedInFuture,
    #[error("it was issued more than ten minutes ago")]
    IssuedTooLongAgo,
    #[error("it has no usable expiry time")]
    ExpInvalid,
    #[error("it has expired")]
    Expired,
    #[error("its not-before time is not usable")]
    NbfInvalid,
    #[error("it is not valid yet")]
    NotYetValid,
    #[error("it has neither a usable sub nor a usable sid")]
    SubjectInvalid,
    #[error("it has no logout event")]
    EventMissing,
    #[error("it has a nonce")]
    NoncePresent,
    #[error("it has no jti")]
    IdMissing,
    #[error("it was used before")]
    Replayed,
}

impl From<JwsError> for LogoutTokenError {
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
