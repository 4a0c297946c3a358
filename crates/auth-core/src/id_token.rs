//! ID token validation in the order of OpenID Connect Core 1.0 §3.1.3.7.
//!
//! Every ID token goes through it, at sign-in and at each refresh, whether or not it came over TLS from the token endpoint: the
//! signature with the provider's keys, issuer, audience and `azp`, algorithm, times with a tolerance of 60 seconds, `nonce`,
//! `auth_time` where `max_age` was asked for, `at_hash` where it is there (§3.1.3.8). Each step has its variant of
//! [`IdTokenError`]; none carries the token. No setting leaves a step out.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::jose::{self, Algorithm, Jws, JwsError, KeySet};

#[cfg(test)]
mod tests;

/// An ID token is spent within moments of its issue; an older one comes from somewhere else.
const OLDEST: Duration = Duration::from_secs(60 * 60);

/// What an ID token has to say.
pub(crate) struct Expected<'a> {
    /// The configured issuer, compared to the byte.
    pub(crate) issuer: &'a str,
    /// Our own client identifier.
    pub(crate) client_id: &'a str,
    /// The `nonce` of the authorization request. At sign-in it is demanded; at refresh there is none (§12.2).
    pub(crate) nonce: Option<&'a str>,
    /// The access token that came along, for `at_hash`.
    pub(crate) access_token: Option<&'a str>,
    /// The signature algorithms allowed: the registration's or the provider's.
    pub(crate) algorithms: &'a [Algorithm],
    /// How far the provider's clock may be off. The default is 60 s.
    pub(crate) tolerance: Duration,
    /// How long ago the user may have proved who they are: the `max_age` of the authorization request, and the time since
    /// then. Where present, `auth_time` is demanded.
    pub(crate) max_age: Option<Duration>,
}

/// The claims of an ID token that passed every check.
///
/// `Debug` prints issuer and subject only.
#[derive(Clone, PartialEq)]
pub struct IdTokenClaims {
    issuer: String,
    subject: String,
    audience: Vec<String>,
    authorized_party: Option<String>,
    expires_at: Timestamp,
    issued_at: Timestamp,
    authenticated_at: Option<Timestamp>,
    acr: Option<String>,
    amr: Vec<String>,
    sid: Option<String>,
    at_hash: Option<String>,
    all: Map<String, Value>,
}

impl IdTokenClaims {
    /// `iss`: the provider.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`: the user, by the provider's never reassigned identifier. 1 to 255 characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `aud`: whom the token is for. This client is among them.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// `azp`: the client that the token was issued to. This client, where present.
    #[must_use]
    pub fn authorized_party(&self) -> Option<&str> {
        self.authorized_party.as_deref()
    }

    /// `exp`: when the token, not the session, ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// `auth_time`: when the user last proved who they are. `None` also where no `max_age` was asked for and the claim is no time,
    /// or one that is more than 60 seconds ahead.
    #[must_use]
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.authenticated_at
    }

    /// `acr`: how strongly the user was authenticated. `None` also where the claim is not a string.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// `amr`: by what means the user was authenticated (RFC 8176 §2). Empty also where the claim is not a list of strings.
    #[must_use]
    pub fn amr(&self) -> &[String] {
        &self.amr
    }

    /// `sid`: the provider's session (Back-Channel Logout 1.0 §2.1). `None` also where the claim is not a string, or empty.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// `at_hash`: binds the access token that came along.
    #[must_use]
    pub fn at_hash(&self) -> Option<&str> {
        self.at_hash.as_deref()
    }

    /// All claims as they stand in the token, `nonce` and the like included.
    #[must_use]
    pub fn all(&self) -> &Map<String, Value> {
        &self.all
    }

    /// All claims, without a copy.
    #[must_use]
    pub fn into_all(self) -> Map<String, Value> {
        self.all
    }
}

impl fmt::Debug for IdTokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenClaims")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// Checks an ID token in the order of OpenID Connect Core §3.1.3.7 and returns its claims.
///
/// The signature (steps 6 to 8) comes first, because nothing in the token can be read before.
///
/// # Errors
///
/// [`IdTokenError`], one variant per thing that can be wrong; none carries a part of the token.
pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<IdTokenClaims, IdTokenError> {
    // Step 1: a token that was encrypted has been decrypted before, or there is no key for it.
    let jws = Jws::parse(token)?;

    // RFC 8725 §3.11: a token of another kind (access token, logout token) is no ID token, whatever its claims say.
    if jws.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(IdTokenError::TypeUnexpected);
    }

    // Steps 6 and 7: the signature, with an algorithm from the list. Step 8, keys for MACs, does not arise.
    let payload = jws.verify(keys, expected.algorithms)?;
    let claims = jose::parse_object(payload).map_err(|_| IdTokenError::Malformed)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);

    // Step 2: the issuer, exactly.
    let issuer = text("iss")
        .filter(|iss| iss == expected.issuer)
        .ok_or(IdTokenError::IssuerMismatch)?;

    // Step 3: the audience contains us.
    let audience = claims
        .get("aud")
        .and_then(jose::audience)
        .filter(|aud| aud.iter().any(|one| one == expected.client_id))
        .ok_or(IdTokenError::AudienceMismatch)?;

    // Steps 4 and 5: others may share the token only if it says that it was issued to us.
    let authorized_party = match claims.get("azp") {
        Some(azp) if azp.as_str() == Some(expected.client_id) => text("azp"),
        Some(_) => return Err(IdTokenError::AuthorizedPartyMismatch),
        None if audience.iter().any(|one| one != expected.client_id) => {
            return Err(IdTokenError::AuthorizedPartyMissing);
        }
        None => None,
    };

    // Step 9: not expired; nor (RFC 7519 §4.1.5) used too early.
    let expires_at = (claims.get("exp").and_then(jose::instant)).ok_or(IdTokenError::ExpInvalid)?;
    if now >= expires_at.plus(expected.tolerance) {
        return Err(IdTokenError::Expired);
    }
    if let Some(nbf) = claims.get("nbf") {
        let not_before = jose::instant(nbf).ok_or(IdTokenError::NbfInvalid)?;
        if not_before > now.plus(expected.tolerance) {
            return Err(IdTokenError::NotYetValid);
        }
    }

    // Step 10: issued just now.
    let issued_at = (claims.get("iat").and_then(jose::instant)).ok_or(IdTokenError::IatInvalid)?;
    if issued_at > now.plus(expected.tolerance) {
        return Err(IdTokenError::IssuedInFuture);
    }
    if now.since(issued_at) > OLDEST {
        return Err(IdTokenError::IssuedTooLongAgo);
    }

    // Step 11: the answer to our request and to no other.
    if let Some(nonce) = expected.nonce {
        let found = text("nonce").ok_or(IdTokenError::NonceMissing)?;
        if !jose::constant_time_eq(found.as_bytes(), nonce.as_bytes()) {
            return Err(IdTokenError::NonceMismatch);
        }
    }

    // Step 12, `acr`, is for whoever asked for one: it stands in the result.

    // Step 13: the user was there recently enough.
    let authenticated_at = (claims.get("auth_time").and_then(jose::instant))
        // What is yet to come is no time when somebody proved anything, and would be recent for as long as one likes.
        .filter(|auth_time| *auth_time <= now.plus(expected.tolerance));
    if let Some(max_age) = expected.max_age {
        let auth_time = authenticated_at.ok_or(IdTokenError::AuthTimeMissing)?;
        if now.since(auth_time) > max_age {
            return Err(IdTokenError::AuthTimeTooOld);
        }
    }

    // §3.1.3.8: the access token is the one that was issued with this ID token.
    if let (Some(at_hash), Some(access_token)) = (claims.get("at_hash"), expected.access_token) {
        let actual = jws.algorithm().left_half_hash(access_token);
        let found = at_hash.as_str().unwrap_or_default();
        if !jose::constant_time_eq(found.as_bytes(), actual.as_bytes()) {
            return Err(IdTokenError::AtHashMismatch);
        }
    }

    // §2: who it is about. The specification says ASCII; providers that put e-mail addresses there do not always.
    let subject = text("sub")
        .filter(|sub| (1..=255).contains(&sub.chars().count()))
        .filter(|sub| !sub.contains(char::is_control))
        .ok_or(IdTokenError::SubjectInvalid)?;

    Ok(IdTokenClaims {
        issuer,
        subject,
        audience,
        authorized_party,
        expires_at,
        issued_at,
        authenticated_at,
        acr: text("acr"),
        amr: (claims.get("amr").and_then(jose::audience)).unwrap_or_default(),
        // An empty one names no session.
        sid: text("sid").filter(|sid| !sid.is_empty()),
        at_hash: text("at_hash"),
        all: claims,
    })
}

/// Why an ID token was refused. No variant carries a part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// Not a signed token, or its claims are not an object of distinct members (RFC 7519 §4, §7.2).
    #[error("the ID token is malformed")]
    Malformed,
    /// The token is encrypted (step 1), and there is no key that decrypts it.
    #[error("the ID token is encrypted")]
    Encrypted,
    /// The header's `typ` is neither absent nor `JWT` (RFC 8725 §3.11).
    #[error("the token is of another type than an ID token")]
    TypeUnexpected,
    /// The header demands an extension (RFC 7515 §4.1.11).
    #[error("the ID token's header demands an extension that is not supported")]
    CriticalHeader,
    /// The signature algorithm is not on the list (step 7).
    #[error("the ID token's signature algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// No published key fits the header, or the header names none and no published key verifies the signature (step 6).
    /// The signal to fetch the key set again.
    #[error("no published key fits the ID token")]
    UnknownKey,
    /// The signature is not valid (step 6).
    #[error("the ID token's signature is not valid")]
    SignatureInvalid,
    /// `iss` is missing or not the configured issuer (step 2).
    #[error("the ID token is from another issuer")]
    IssuerMismatch,
    /// `aud` is missing or does not contain our client identifier (step 3).
    #[error("the ID token is meant for another client")]
    AudienceMismatch,
    /// `aud` contains others, and there is no `azp` (step 4).
    #[error("the ID token has several audiences and no authorized party")]
    AuthorizedPartyMissing,
    /// `azp` is not our client identifier (step 5).
    #[error("the ID token was issued to another client")]
    AuthorizedPartyMismatch,
    /// `exp` is missing or no time in seconds (step 9).
    #[error("the ID token has no usable expiry time")]
    ExpInvalid,
    /// `exp` has passed (step 9).
    #[error("the ID token has expired")]
    Expired,
    /// `nbf` is no time in seconds (RFC 7519 §4.1.5).
    #[error("the ID token's not-before time is not usable")]
    NbfInvalid,
    /// `nbf` lies ahead (RFC 7519 §4.1.5).
    #[error("the ID token is not valid yet")]
    NotYetValid,
    /// `iat` is missing or no time in seconds (step 10).
    #[error("the ID token has no usable time of issue")]
    IatInvalid,
    /// `iat` lies ahead (step 10).
    #[error("the ID token was issued in the future")]
    IssuedInFuture,
    /// `iat` is more than an hour ago (step 10).
    #[error("the ID token was issued too long ago")]
    IssuedTooLongAgo,
    /// There is no `nonce`, or it is not a string (step 11).
    #[error("the ID token has no nonce")]
    NonceMissing,
    /// `nonce` is not that of the authorization request (step 11).
    #[error("the ID token answers another authorization request")]
    NonceMismatch,
    /// A `max_age` was asked for, and `auth_time` is missing or no time in seconds (step 13).
    #[error("the ID token does not say when the user was authenticated")]
    AuthTimeMissing,
    /// `auth_time` is longer ago than the `max_age` that was asked for (step 13).
    #[error("the user was authenticated longer ago than was asked for")]
    AuthTimeTooOld,
    /// `at_hash` does not match the access token (§3.1.3.8).
    #[error("the ID token belongs to another access token")]
    AtHashMismatch,
    /// `sub` is missing, empty, longer than 255 characters, or has control characters (§2).
    #[error("the ID token has no usable subject")]
    SubjectInvalid,
}

impl IdTokenError {
    /// The stable code of the failure, as it stands in pages, logs and the documentation.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "id_token.malformed",
            Self::Encrypted => "id_token.encrypted",
            Self::TypeUnexpected => "id_token.type_unexpected",
            Self::CriticalHeader => "id_token.critical_header",
            Self::AlgorithmNotAllowed => "id_token.algorithm_not_allowed",
            Self::UnknownKey => "id_token.unknown_key",
            Self::SignatureInvalid => "id_token.signature_invalid",
            Self::IssuerMismatch => "id_token.issuer_mismatch",
            Self::AudienceMismatch => "id_token.audience_mismatch",
            Self::AuthorizedPartyMissing => "id_token.azp_missing",
            Self::AuthorizedPartyMismatch => "id_token.azp_mismatch",
            Self::ExpInvalid => "id_token.exp_invalid",
            Self::Expired => "id_token.expired",
            Self::NbfInvalid => "id_token.nbf_invalid",
            Self::NotYetValid => "id_token.not_yet_valid",
            Self::IatInvalid => "id_token.iat_invalid",
            Self::IssuedInFuture => "id_token.iat_in_future",
            Self::IssuedTooLongAgo => "id_token.iat_too_old",
            Self::NonceMissing => "id_token.nonce_missing",
            Self::NonceMismatch => "id_token.nonce_mismatch",
            Self::AuthTimeMissing => "id_token.auth_time_missing",
            Self::AuthTimeTooOld => "id_token.auth_time_too_old",
            Self::AtHashMismatch => "id_token.at_hash_mismatch",
            Self::SubjectInvalid => "id_token.subject_invalid",
        }
    }
}

impl From<JwsError> for IdTokenError {
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

/// Every code of [`IdTokenError::code`] with its cause and its mend, for the pages that explain them.
pub(crate) static CODES: &[(&str, &str, &str)] = &[
    (
        "id_token.malformed",
        "The provider's ID token is not a signed JSON Web Token, or its claims are not an object of distinct members.",
        "Check that the token endpoint is that of an OpenID Connect provider, and that nothing in between changes its answers.",
    ),
    (
        "id_token.encrypted",
        "The provider encrypts the ID tokens of this client, and no key here decrypts them.",
        "Set `AUTH_DECRYPTION_KEY` to the private key of the public one that is registered there, with `RSA-OAEP-256` or `ECDH-ES` and `A128GCM`, `A256GCM` or `A128CBC-HS256`; or turn the encryption off, for signed tokens over https are enough.",
    ),
    (
        "id_token.type_unexpected",
        "The token in the place of the ID token says in `typ` that it is something else, such as an access token.",
        "Check at the provider which token it returns as `id_token`; its `typ` must be absent or `JWT`.",
    ),
    (
        "id_token.critical_header",
        "The ID token's header demands an extension (`crit`, `b64` or `zip`) that this library does not have.",
        "Turn the extension off for this client at the provider.",
    ),
    (
        "id_token.algorithm_not_allowed",
        "The ID token is signed with an algorithm that is not on the list for this provider, with a shared secret, or not at all.",
        "Set the client's ID token signature algorithm at the provider to an asymmetric one such as RS256 or ES256, and allow it here (`AUTH_ID_TOKEN_ALG`).",
    ),
    (
        "id_token.unknown_key",
        "No key that the provider publishes fits the ID token.",
        "Sign in again, as the provider may just have changed its keys; if it stays, check that `jwks_uri` publishes a key with the token's `kid` and algorithm, RSA ones of at least 2048 bits.",
    ),
    (
        "id_token.signature_invalid",
        "The ID token's signature does not match the provider's published key: the token was changed, forged, or signed with another key.",
        "Check that the issuer's `jwks_uri` belongs to the same provider and tenant as the token endpoint.",
    ),
    (
        "id_token.issuer_mismatch",
        "The ID token names another issuer than the configured one.",
        "Set the issuer (`AUTH_ISSUER`) to exactly what the provider's discovery document says, down to the last slash.",
    ),
    (
        "id_token.audience_mismatch",
        "The ID token was issued for another client.",
        "Check that the client id (`AUTH_CLIENT_ID`) is the one registered at the provider.",
    ),
    (
        "id_token.azp_missing",
        "The ID token has further audiences and does not say to which client it was issued.",
        "Have the provider send `azp`, or take the further audiences off the ID token.",
    ),
    (
        "id_token.azp_mismatch",
        "The ID token was issued to another client (`azp`), although this one is among its audiences.",
        "Check that the client id (`AUTH_CLIENT_ID`) is the one registered at the provider.",
    ),
    (
        "id_token.exp_invalid",
        "The ID token's `exp` is missing or is not a number of seconds.",
        "Have the provider send `exp` as a JSON number of seconds since 1970.",
    ),
    (
        "id_token.expired",
        "The ID token had expired when it arrived.",
        "Synchronize the clocks of this machine and of the provider; give ID tokens a lifetime of some minutes.",
    ),
    (
        "id_token.nbf_invalid",
        "The ID token's `nbf` is not a number of seconds.",
        "Have the provider send `nbf` as a JSON number of seconds since 1970, or not at all.",
    ),
    (
        "id_token.not_yet_valid",
        "The ID token's `nbf` lies ahead by more than the clock tolerance.",
        "Synchronize the clocks of this machine and of the provider.",
    ),
    (
        "id_token.iat_invalid",
        "The ID token's `iat` is missing or is not a number of seconds.",
        "Have the provider send `iat` as a JSON number of seconds since 1970.",
    ),
    (
        "id_token.iat_in_future",
        "The ID token's `iat` lies ahead by more than the clock tolerance.",
        "Synchronize the clocks of this machine and of the provider.",
    ),
    (
        "id_token.iat_too_old",
        "The ID token was issued more than an hour ago.",
        "Synchronize the clocks of this machine and of the provider; check that nothing caches the token endpoint's answers.",
    ),
    (
        "id_token.nonce_missing",
        "The ID token has no `nonce`, although the authorization request had one.",
        "Use a provider version that returns the nonce, as OpenID Connect demands.",
    ),
    (
        "id_token.nonce_mismatch",
        "The ID token's `nonce` is that of another authorization request: the answer was mixed up or injected.",
        "Sign in again; if it stays, check that nothing caches or replays the provider's answers.",
    ),
    (
        "id_token.auth_time_missing",
        "A recent authentication was asked for (`max_age`), and the ID token does not say in `auth_time` when it was, or names a time that is yet to come.",
        "Have the provider send `auth_time`, as OpenID Connect demands after `max_age`.",
    ),
    (
        "id_token.auth_time_too_old",
        "A recent authentication was asked for (`max_age`), and the provider answered with an older one.",
        "Sign in again with your credentials; if it stays, check that the provider honours `max_age`.",
    ),
    (
        "id_token.at_hash_mismatch",
        "The ID token's `at_hash` does not match the access token that came with it.",
        "Check that nothing between the provider and this application exchanges tokens in its answers.",
    ),
    (
        "id_token.subject_invalid",
        "The ID token's `sub` is missing, empty, longer than 255 characters, or has control characters.",
        "Have the provider send a stable identifier of the user as `sub`.",
    ),
];
