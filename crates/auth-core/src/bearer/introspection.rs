//! Tokens that only their provider can read: introspection (RFC 7662), with a cache and one request at a time per token.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tracing::Instrument as _;
use url::Url;

use super::cache::{Entry, Name, Sought, TokenCache};
use super::error::{BearerError, InvalidToken};
use super::jwt::{Kind, instant, is_subject, kind};
use super::token::{Binding, Facts, acr, authenticated_at, binding, client_id, scopes};
use crate::clock::Timestamp;
use crate::jose;
use crate::metadata::{Metadata, Outage, ProviderError};
use crate::party::Party;
use crate::secret::AccessToken;
use crate::token::{Registration, TokenError};

/// How long it is remembered that a token is not active. Short: it may have been issued just now.
const NEGATIVE: Duration = Duration::from_secs(5);
/// Different tokens that are looked up at the same time. More are told to come again.
const AT_ONCE: usize = 256;

type Answered = Result<Arc<Facts>, BearerError>;
type Flight = Shared<BoxFuture<'static, Answered>>;

/// Who is asked, and as whom.
pub(super) enum Source {
    /// A URL given by hand. The metadata says what the client's authentication needs to know.
    Given {
        registration: Box<Registration>,
        endpoint: Url,
        metadata: Arc<Metadata>,
    },
    /// The provider of an [`Auth`](crate::Auth), with its registration.
    OfAuth(Arc<Party>),
}

/// Looks tokens up.
pub(super) struct Introspection {
    pub(super) source: Arc<Source>,
    /// Who are trusted by name.
    pub(super) issuers: Vec<String>,
    /// Whose endpoint it is.
    pub(super) name: String,
    /// How long it is remembered that a token is active.
    pub(super) kept: Duration,
    pub(super) audience: AudienceRule,
    pub(super) runtime: Handle,
    pub(super) cache: Arc<TokenCache>,
    pub(super) flights: Arc<Mutex<HashMap<Name, Flight>>>,
}

/// What becomes of an answer that does not say whom the token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudienceRule {
    /// The provider answers this client; that has to do (RFC 7662 §2.2: it may answer each resource server differently).
    WherePresent,
    /// It is refused.
    Always,
}

/// What the answer is judged by.
struct Judge {
    issuers: Vec<String>,
    name: String,
    kept: Duration,
    audience: AudienceRule,
    audiences: Vec<String>,
    tolerance: Duration,
}

impl Introspection {
    /// What the provider says of a token. Those who ask for the same one share the request.
    pub(super) async fn ask(
        &self,
        token: &AccessToken,
        sought: &Sought<'_>,
        audiences: &[String],
        tolerance: Duration,
        now: Timestamp,
    ) -> Answered {
        let name = sought.name();
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(&name) {
                Some(flight) => flight.clone(),
                None if flights.len() >= AT_ONCE => return Err(BearerError::Busy),
                None => {
                    // Whoever has finished meanwhile has left it here first.
                    if let Some(outcome) = self.cache.get(sought, now, |_| true) {
                        return outcome.map_err(BearerError::from);
                    }
                    let judge = Judge {
                        issuers: self.issuers.clone(),
                        name: self.name.clone(),
                        kept: self.kept,
                        audience: self.audience,
                        audiences: audiences.to_vec(),
                        tolerance,
                    };
                    let flight = self.start(token.clone(), name, judge, now);
                    flights.insert(name, flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    /// On the core's runtime, so that whoever began it may go away.
    fn start(&self, token: AccessToken, name: Name, judge: Judge, now: Timestamp) -> Flight {
        let (source, flights) = (Arc::clone(&self.source), Arc::clone(&self.flights));
        let cache = Arc::clone(&self.cache);
        let asking = async move {
            let answered = AssertUnwindSafe(source.ask(&token, now)).catch_unwind().await;
            let answered = answered.unwrap_or_else(|_| Err(interrupted()));
            let answered = answered.and_then(|members| {
                let outcome = judge.outcome(members, now);
                let until = judge.until(&outcome, now);
                let entry = Entry {
                    outcome: outcome.clone(),
                    until,
                    keys: None,
                };
                cache.insert(&Sought::opaque(token.expose()), entry);
                Ok(outcome?)
            });
            flights
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&name);
            answered
        };
        let task = self.runtime.spawn(asking.in_current_span());
        async move { task.await.unwrap_or_else(|_| Err(interrupted())) }
            .boxed()
            .shared()
    }
}

fn interrupted() -> BearerError {
    ProviderError::Unavailable {
        document: "introspection endpoint",
        retry_after: None,
        cause: Arc::new(Outage::Interrupted),
    }
    .into()
}

impl Source {
    async fn ask(
        &self,
        token: &AccessToken,
        now: Timestamp,
    ) -> Result<Option<Map<String, Value>>, BearerError> {
        let answer = match self {
            Self::Given {
                registration,
                endpoint,
                metadata,
            } => registration.introspect(metadata, endpoint, token, now).await,
            Self::OfAuth(party) => {
                let metadata = party.provider.metadata(now).await?;
                let Some(endpoint) = &metadata.introspection_endpoint else {
                    return Err(InvalidToken::NoMeans.into());
                };
                party
                    .registration
                    .introspect(&metadata, endpoint, token, now)
                    .await
            }
        };
        answer.map_err(|error| BearerError::Introspection {
            retry_after: match &error {
                TokenError::Unavailable { retry_after, .. } => *retry_after,
                _ => None,
            },
            cause: Arc::new(error),
        })
    }
}

impl Judge {
    /// What an answer comes to; no members say that the token is not active.
    fn outcome(
        &self,
        members: Option<Map<String, Value>>,
        now: Timestamp,
    ) -> Result<Arc<Facts>, InvalidToken> {
        let members = members.ok_or(InvalidToken::Inactive)?;
        Ok(Arc::new(self.facts(members, now)?))
    }

    /// How long that is remembered.
    fn until(&self, outcome: &Result<Arc<Facts>, InvalidToken>, now: Timestamp) -> Timestamp {
        match outcome {
            Ok(facts) => facts.expires_at.map_or(now.plus(self.kept), |end| {
                now.plus(self.kept).min(end.plus(self.tolerance))
            }),
            Err(_) => now.plus(NEGATIVE),
        }
    }

    /// Whether the endpoint can say that a token is from this issuer. A provider speaks for itself: of several that are trusted,
    /// none makes users of another one's. One that is not trusted by name may have any name that is not theirs.
    fn speaks_for(&self, iss: &String) -> bool {
        *iss == self.name || !self.issuers.contains(&self.name) && !self.issuers.contains(iss)
    }

    /// RFC 7662 §2.2, §4: the provider has said that it is active; what it says besides has to agree.
    fn facts(&self, members: Map<String, Value>, now: Timestamp) -> Result<Facts, InvalidToken> {
        let issuer = match members.get("iss") {
            None => self.name.clone(),
            Some(Value::String(iss)) if self.speaks_for(iss) => iss.clone(),
            Some(_) => return Err(InvalidToken::IssuerUnknown),
        };
        let audience = match members.get("aud") {
            None if self.audience == AudienceRule::WherePresent => Vec::new(),
            None => return Err(InvalidToken::AudienceMismatch),
            Some(aud) => jose::audience(aud)
                .filter(|aud| aud.iter().any(|one| self.audiences.contains(one)))
                .ok_or(InvalidToken::AudienceMismatch)?,
        };
        // A provider looks a token up among all that it has (§2.1): refresh tokens too.
        let token_type = match members.get("token_type") {
            None => None,
            Some(Value::String(word))
                if ["bearer", "dpop"]
                    .iter()
                    .any(|one| word.eq_ignore_ascii_case(one)) =>
            {
                Some(word.to_ascii_lowercase())
            }
            Some(_) => return Err(InvalidToken::NotAnAccessToken),
        };
        if matches!(kind(&members), Kind::Another) {
            return Err(InvalidToken::NotAnAccessToken);
        }
        let expires_at = instant(&members, "exp")?;
        if expires_at.is_some_and(|end| now >= end.plus(self.tolerance)) {
            return Err(InvalidToken::Expired);
        }
        for name in ["nbf", "iat"] {
            if instant(&members, name)?.is_some_and(|at| at > now.plus(self.tolerance)) {
                return Err(InvalidToken::NotYetValid);
            }
        }
        let subject = match members.get("sub") {
            None => None,
            Some(Value::String(sub)) if is_subject(sub) => Some(sub.clone()),
            Some(_) => return Err(InvalidToken::ClaimsInvalid),
        };
        let binding = binding(&members)?;
        // RFC 9449 §6.2: a DPoP token without its key could be used by anyone.
        if token_type.as_deref() == Some("dpop") && !matches!(binding, Binding::Key(_)) {
            return Err(InvalidToken::BindingUnsupported);
        }
        Ok(Facts {
            issuer,
            subject,
            audience,
            client_id: client_id(&members),
            expires_at,
            authenticated_at: authenticated_at(&members),
            acr: acr(&members),
            scopes: scopes(&members),
            binding,
            claims: members.into(),
        })
    }
}

#[cfg(test)]
mod tests;
