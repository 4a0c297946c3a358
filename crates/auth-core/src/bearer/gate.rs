//! What a token must have to pass: scopes, a claim, how long ago and how strongly its user was authenticated.

use std::time::Duration;

use serde_json::Value;

use super::error::BearerError;
use super::token::BearerToken;
use crate::clock::Timestamp;
use crate::config::CLOCK_TOLERANCE;
use crate::types::Scopes;

/// A rule for a route or a group of routes, for the adapters' `require_bearer`. Everything that is asked for must hold.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use auth_core::bearer::BearerGate;
///
/// let readers = BearerGate::token().scope("mail.read");
/// let transfers = BearerGate::token().scope("payments").within(Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct BearerGate {
    scopes: Scopes,
    claims: Vec<(String, Value)>,
    max_age: Option<Duration>,
    acr_values: Vec<String>,
}

impl BearerGate {
    /// Lets every good token pass.
    pub fn token() -> Self {
        Self::default()
    }

    /// Asks for a scope to have been granted, or for each of several separated by spaces. Else 403 `insufficient_scope`
    /// (RFC 6750 §3.1).
    pub fn scope(mut self, scope: &str) -> Self {
        self.scopes.insert(scope);
        self
    }

    /// Asks for a claim with this value; where the claim is an array, it must hold the value. Else 403.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.push((name.into(), value.into()));
        self
    }

    /// Asks for the user to have proved who they are within this time (`auth_time`). Default: it does not matter when. Else 401
    /// `insufficient_user_authentication` with `max_age` in whole seconds (RFC 9470 §3). Called again, the last one counts.
    ///
    /// A time that lies up to 60 seconds ahead counts as now, for clocks differ; one further ahead does not count. Otherwise there is
    /// no tolerance: with zero, no other token is fresh enough by the time it gets here.
    pub fn within(mut self, length: Duration) -> Self {
        self.max_age = Some(length);
        self
    }

    /// Asks for one of these `acr` values, the preferred one first. Else 401 `insufficient_user_authentication` with
    /// `acr_values` (RFC 9470 §3). A value is printable ASCII without spaces, quotes and backslashes; others match
    /// nothing. Called again, the last list counts; an empty one asks for nothing.
    pub fn any_acr<A: Into<String>>(mut self, values: impl IntoIterator<Item = A>) -> Self {
        self.acr_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Decides on a token.
    ///
    /// # Errors
    ///
    /// [`BearerError::InsufficientScope`], [`BearerError::Claim`] or [`BearerError::InsufficientAuthentication`], in that
    /// order.
    pub fn check(&self, token: &BearerToken, now: Timestamp) -> Result<(), BearerError> {
        if !self.scopes.iter().all(|scope| token.scopes().contains(scope)) {
            return Err(BearerError::InsufficientScope(self.scopes.clone()));
        }
        let has = |(name, wanted): &(String, Value)| match token.claims().get(name) {
            Some(held) if held == wanted => true,
            Some(Value::Array(held)) => held.contains(wanted),
            _ => false,
        };
        if !self.claims.iter().all(has) {
            return Err(BearerError::Claim);
        }
        let is_fresh = self.max_age.is_none_or(|max_age| {
            (token.authenticated_at())
                .is_some_and(|at| at <= now.plus(CLOCK_TOLERANCE) && now.since(at) <= max_age)
        });
        let is_strong =
            !self.asks_for_acr() || token.acr().is_some_and(|acr| self.acrs().any(|one| one == acr));
        if is_fresh && is_strong {
            return Ok(());
        }
        Err(BearerError::InsufficientAuthentication {
            max_age: self.max_age,
            acr_values: self.acrs().map(str::to_owned).collect(),
        })
    }

    fn asks_for_acr(&self) -> bool {
        !self.acr_values.is_empty()
    }

    /// The values that can stand in a challenge.
    fn acrs(&self) -> impl Iterator<Item = &str> {
        let fits = |value: &&str| {
            !value.is_empty()
                && value
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        self.acr_values.iter().map(String::as_str).filter(fits)
    }
}
