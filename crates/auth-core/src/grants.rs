//! Tokens by other grants than the ones that sign users in and keep them signed in.
//!
//! * [`TokenExchange`] (RFC 8693): a token of the session's for one with which another API can be called, also at another
//!   provider ([`FurtherProvider`]). [`AuthenticatedClient::for_audience`](crate::client::AuthenticatedClient::for_audience)
//!   calls that API with it.
//! * [`ClientCredentials`] (RFC 6749 §4.4): a token of the application's own, whoever is signed in.
//! * [`CustomGrant`]: any other grant, whose tokens are handed out or become the session's
//!   ([`Auth::switch`](crate::Auth::switch)).
//!
//! Exchanged tokens and the application's own are kept in this process until they die: of any number of calls that need
//! the same one at the same time, one asks for it. One that is about to die is renewed in the background, by the rule for
//! the session's own token; while the provider is down it is served to its end. Whoever needs one that is not there then
//! is not made to wait for it again and again: a breaker answers after a few failures, as with refreshes.

mod cache;
mod custom;
mod exchange;
mod further;
mod machine;
mod switch;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use cache::TokenCache;
pub use custom::{CustomGrant, TokenAnswer};
pub use exchange::{Presented, TokenExchange};
pub use further::FurtherProvider;
pub use machine::ClientCredentials;
pub use switch::Switched;

use crate::auth::Core;
use crate::breaker::{Breaker, Failure};
use crate::clock::{Clock, Timestamp};
use crate::dpop::{Credential, DpopKey, Scheme};
use crate::error::Fault;
use crate::metadata::{Metadata, Outage, ProviderError};
use crate::party::Party;
use crate::refresh::{Freshness, LEEWAY};
use crate::secret::{self, AccessToken, SecurityToken, sha256};
use crate::session::Session;
use crate::token::{TokenError, TokenRequest, TokenResponse, Way};
use crate::types::Scopes;

/// How long a token is kept whose lifetime the provider does not say.
const KEPT_WITHOUT_EXPIRY: Duration = Duration::from_secs(60);

/// What kind of token a token is: the identifiers of RFC 8693 §3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TokenType {
    /// `urn:ietf:params:oauth:token-type:access_token`.
    AccessToken,
    /// `urn:ietf:params:oauth:token-type:refresh_token`.
    RefreshToken,
    /// `urn:ietf:params:oauth:token-type:id_token`.
    IdToken,
    /// `urn:ietf:params:oauth:token-type:jwt`.
    Jwt,
    /// `urn:ietf:params:oauth:token-type:saml1`, the assertion in base64url.
    Saml1,
    /// `urn:ietf:params:oauth:token-type:saml2`, the assertion in base64url.
    Saml2,
    /// Any other URI.
    Other(String),
}

impl TokenType {
    /// The identifier on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::RefreshToken => "urn:ietf:params:oauth:token-type:refresh_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::Saml1 => "urn:ietf:params:oauth:token-type:saml1",
            Self::Saml2 => "urn:ietf:params:oauth:token-type:saml2",
            Self::Other(uri) => uri,
        }
    }

    fn of(text: &str) -> Self {
        [
            Self::AccessToken,
            Self::RefreshToken,
            Self::IdToken,
            Self::Jwt,
            Self::Saml1,
            Self::Saml2,
        ]
        .into_iter()
        .find(|known| known.as_str() == text)
        .unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

/// A token that the provider has issued for an exchange or for the application itself. Cheap to clone.
#[derive(Clone)]
pub struct IssuedToken(Arc<Issued>);

/// What an [`IssuedToken`] shares. Serialized to go straight under encryption.
#[derive(Serialize, Deserialize)]
struct Issued {
    #[serde(with = "secret::sealed")]
    token: SecurityToken,
    is_bearer: bool,
    /// The key that it is bound to, if it is.
    #[serde(default, with = "crate::dpop::sealed")]
    key: Option<DpopKey>,
    issued_type: Option<TokenType>,
    scopes: Option<Scopes>,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// From then on it is not given to anyone.
    kept_until: Timestamp,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("expires_at", &self.0.expires_at)
            .field("is_bearer", &self.0.is_bearer)
            .finish_non_exhaustive()
    }
}

impl IssuedToken {
    /// The token. Never log it, and never send it to a browser.
    #[must_use]
    pub fn token(&self) -> &SecurityToken {
        &self.0.token
    }

    /// What kind of token it is (`issued_token_type`); `None` for one that was not exchanged.
    #[must_use]
    pub fn issued_token_type(&self) -> Option<&TokenType> {
        self.0.issued_type.as_ref()
    }

    /// Whether it is sent as a bearer token (RFC 6750 §2.1). The `token_type` of a token that is no access token is `N_A`
    /// (RFC 8693 §2.2.1).
    #[must_use]
    pub fn is_bearer(&self) -> bool {
        self.0.is_bearer
    }

    /// Whether it is bound to a key (RFC 9449), so that each request with it brings a proof: the session's key, or with a
    /// token of the application's own the application's. The clients make such proofs
    /// ([`authorization`](crate::client::AuthenticatedClient::authorization)).
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.0.key.is_some()
    }

    /// The scopes that were granted; `None` where the provider does not say, and they are the ones asked for.
    #[must_use]
    pub fn scopes(&self) -> Option<&Scopes> {
        self.0.scopes.as_ref()
    }

    /// When it dies; `None` where the provider does not say: it is kept for a minute then.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    pub(crate) fn issued_at(&self) -> Timestamp {
        self.0.issued_at
    }

    /// As it is shown to an API.
    pub(crate) fn credential(&self) -> Result<Credential, GrantError> {
        if !self.0.is_bearer && self.0.key.is_none() {
            return Err(GrantError::Unusable("it is no access token"));
        }
        Ok(Credential {
            token: AccessToken::new(self.0.token.expose()),
            key: self.0.key.clone(),
        })
    }

    /// Reads the response to a request that brought a proof of this key, if there is one. What was to be bound to a key is
    /// refused where it is not (RFC 9449 §5).
    fn of(response: TokenResponse, key: Option<DpopKey>) -> Result<Self, GrantError> {
        let token = response
            .access_token
            .as_ref()
            .ok_or(GrantError::Unusable("`access_token` is missing"))?;
        let token_type = response
            .token_type
            .as_deref()
            .ok_or(GrantError::Unusable("`token_type` is missing"))?;
        let scheme = Scheme::of(key.as_ref());
        let is_access = scheme.is(token_type);
        if !is_access && !token_type.eq_ignore_ascii_case("n_a") {
            return Err(GrantError::Unusable(match scheme {
                Scheme::Bearer => "`token_type` is neither `Bearer` nor `N_A`",
                Scheme::Dpop => {
                    "`token_type` is neither `DPoP` nor `N_A`, and the token was to be bound to a key"
                }
            }));
        }
        let issued_at = response.requested_at;
        Ok(Self(Arc::new(Issued {
            token: SecurityToken::new(token.expose()),
            is_bearer: is_access && scheme == Scheme::Bearer,
            key: key.filter(|_| is_access),
            issued_type: response
                .extra
                .get("issued_token_type")
                .and_then(|value| value.as_str())
                .map(TokenType::of),
            scopes: response.scope.clone(),
            issued_at,
            expires_at: response.expires_at(),
            kept_until: response
                .expires_at()
                .unwrap_or_else(|| issued_at.plus(KEPT_WITHOUT_EXPIRY)),
        })))
    }

    /// What it is worth, by the rule for the session's own token.
    fn freshness(&self, now: Timestamp) -> Freshness {
        let left = self.0.kept_until.since(now);
        let life = self.0.kept_until.since(self.0.issued_at);
        if left.is_zero() {
            Freshness::Dead
        } else if left < LEEWAY.min(life / 4) {
            Freshness::Soft
        } else {
            Freshness::Good
        }
    }
}

/// Why there is no token by another grant, or none that can be used. The session stays as it is.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The provider is down, slow, or does not make sense.
    #[error("the provider cannot issue the token at present")]
    Unavailable(#[source] Arc<TokenError>),
    /// The provider refused: the token presented, the audience, the scope.
    #[error("the provider refuses to issue the token")]
    Refused(#[source] Arc<TokenError>),
    /// The provider does not accept this client, or not for this grant: a matter of configuration.
    #[error("the provider refuses this client, or this grant to it")]
    ClientRefused(#[source] Arc<TokenError>),
    /// The provider's answer is not what was asked for; the text says what is wrong.
    #[error("the token that the provider issued cannot be used: {0}")]
    Unusable(&'static str),
    /// The session has no token of the kind that the text names.
    #[error("the session has no {0} to present")]
    NothingToPresent(&'static str),
    /// The request was not made: the application asks for something that cannot be, and the text says what.
    #[error("the token request cannot be made: {0}")]
    Misuse(Cow<'static, str>),
    /// The new tokens are another user's, and the grant was not said to change the user.
    #[error("the new tokens are another user's")]
    OtherUser,
}

impl GrantError {
    fn misuse(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Misuse(what.into())
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "grant.unavailable",
            Self::Refused(_) => "grant.refused",
            Self::ClientRefused(_) => "grant.client_refused",
            Self::Unusable(_) => "grant.unusable",
            Self::NothingToPresent(_) => "grant.nothing_to_present",
            Self::Misuse(_) => "grant.misuse",
            Self::OtherUser => "grant.other_user",
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Unavailable(_) | Self::Refused(_) | Self::Unusable(_) | Self::OtherUser => Fault::Provider,
            Self::ClientRefused(_) | Self::Misuse(_) | Self::NothingToPresent(_) => Fault::Configuration,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Unavailable(_) => 503,
            Self::Misuse(_) | Self::NothingToPresent(_) => 500,
            _ => 502,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(error) => match error.as_ref() {
                TokenError::Unavailable { retry_after, .. } => *retry_after,
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<TokenError> for GrantError {
    fn from(error: TokenError) -> Self {
        match &error {
            TokenError::Refused(code) if code.is_about_the_client() => Self::ClientRefused(Arc::new(error)),
            TokenError::Refused(_) => Self::Refused(Arc::new(error)),
            _ => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl Failure for GrantError {
    fn retry_after(&self) -> Option<Duration> {
        Self::retry_after(self)
    }

    /// What a provider cannot issue to one, or for one API, it may issue to others. One that gives no answer gives nobody one.
    fn is_of_all(&self) -> bool {
        matches!(self, Self::Unavailable(error) if matches!(
            **error,
            TokenError::Unanswered(_) | TokenError::Unavailable { cause: Outage::Http(_), .. }
        ))
    }
}

/// Keeps requests for tokens from waiting for a provider that has just failed others. A key is what is asked for, and for
/// whom.
pub(crate) type GrantBreaker = Mutex<Breaker<[u8; 32], GrantError>>;

impl Core {
    /// Where a request for a session goes: to its provider, or to the further provider of this name.
    pub(crate) async fn place(
        &self,
        name: Option<&str>,
        session: &Session,
    ) -> Result<Arc<Party>, crate::Error> {
        match name {
            None => Ok(self.party_of(session).await?),
            Some(name) => self.named(name).await,
        }
    }

    /// The further provider of this name, or the one of this name that users sign in with.
    async fn named(&self, name: &str) -> Result<Arc<Party>, crate::Error> {
        if let Some(further) = self.further.get(name) {
            return Ok(Arc::clone(further));
        }
        match self.config.parties.of(Some(name)).await {
            Err(ProviderError::Unknown) => {
                Err(GrantError::misuse(format!("there is no provider of the name `{name}`")).into())
            }
            party => Ok(party?),
        }
    }
}

impl Party {
    /// The key that tokens for a session are bound to: at the session's own provider its own, if it has one; at a further
    /// one, where that binds tokens, the same one, or else the application's.
    fn key_for(&self, session: &Session, further: Option<&str>) -> Option<DpopKey> {
        let own = session.data.dpop_key.clone();
        // The session's own provider by its name is no further one.
        let further = further.filter(|further| session.provider() != Some(*further));
        match (further, &self.registration.dpop_key) {
            (None, _) => own,
            (Some(_), None) => None,
            (Some(_), Some(key)) => Some(own.unwrap_or_else(|| key.clone())),
        }
    }

    /// Makes a request for tokens, once, unless the provider has just failed others. `key` names what is asked for, and for
    /// whom.
    async fn tokens(
        &self,
        metadata: &Metadata,
        key: &[u8; 32],
        request: TokenRequest<'_>,
        way: Way<'_>,
        clock: &Clock,
    ) -> Result<TokenResponse, GrantError> {
        let breaker = || self.grant_breaker.lock().unwrap_or_else(PoisonError::into_inner);
        breaker().admit(key, clock.now())?;
        let response = self
            .registration
            .tokens(metadata, request, way, clock.now())
            .await;
        match response {
            Ok(response) => {
                breaker().succeeded(key);
                Ok(response)
            }
            Err(TokenError::HeldBack) => {
                breaker().finished(key);
                Err(TokenError::HeldBack.into())
            }
            Err(error) => {
                let error = GrantError::from(error);
                match &error {
                    GrantError::Unavailable(_) => breaker().failed(key, &error, clock.now()),
                    // It refuses: it is up and answers.
                    _ => breaker().succeeded(key),
                }
                Err(error)
            }
        }
    }
}

/// The parameters of RFC 8707 and RFC 8693 that say what a token is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Targets {
    audiences: Vec<String>,
    resources: Vec<String>,
    scopes: Scopes,
}

impl Targets {
    /// RFC 8707 §2: an absolute URI without a fragment. RFC 6749 §3.3: the characters of a scope.
    fn check(&self) -> Result<(), GrantError> {
        for resource in &self.resources {
            if !url::Url::parse(resource).is_ok_and(|url| url.fragment().is_none()) {
                return Err(GrantError::misuse(
                    "a resource is an absolute URI without a fragment",
                ));
            }
        }
        if self.audiences.iter().any(String::is_empty) {
            return Err(GrantError::misuse("an audience is empty"));
        }
        if !self.scopes.is_valid() {
            return Err(GrantError::misuse(
                "a scope is printable ASCII without quotes and backslashes",
            ));
        }
        Ok(())
    }

    /// The form's fields, `scope` apart, which the caller has joined.
    fn parameters<'a>(&'a self, scope: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let audiences = self.audiences.iter().map(|value| ("audience", value.as_str()));
        let resources = self.resources.iter().map(|value| ("resource", value.as_str()));
        let scope = (!scope.is_empty()).then_some(("scope", scope));
        audiences.chain(resources).chain(scope)
    }

    /// What tells these targets from others.
    fn names(&self) -> Vec<String> {
        let mut scopes: Vec<&str> = self.scopes.iter().collect();
        scopes.sort_unstable();
        let mut names = vec![scopes.join(" ")];
        for list in [&self.audiences, &self.resources] {
            names.push(list.len().to_string());
            names.extend(list.iter().cloned());
        }
        names
    }
}

/// Names a token by what it is for: a hash over the hashes of the parts, so that none runs into the next.
fn name_of<'a>(parts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut hashes = Vec::new();
    for part in parts {
        hashes.extend_from_slice(&sha256(&[part.as_bytes()]));
    }
    sha256(&[&hashes])
}

#[cfg(test)]
mod tests;
