//! Token exchange (RFC 8693).

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::cache::{Fetched, Origin, Slot};
use super::{ClientCredentials, GrantError, IssuedToken, Targets, TokenType, name_of};
use crate::auth::{Auth, Core};
use crate::dpop::Credential;
use crate::error::{Error, NotSignedIn};
use crate::party::Party;
use crate::secret::{SecurityToken, sha256};
use crate::session::Session;
use crate::store::SessionKey;
use crate::token::{TokenError, TokenErrorCode, TokenRequest, Way};
use crate::types::Scopes;

/// `grant_type` of a token exchange (RFC 8693 §2.1).
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A token that a request presents: the one whose user the new token is for, or the one of who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presented {
    /// The session's access token, alive: refreshed first where it is not.
    SessionAccessToken,
    /// The session's ID token, whose audience is this client. It is for a provider that takes no access tokens but its own, as a
    /// further one in another domain may.
    SessionIdToken,
    /// A token of the application's own, by the client credentials grant at the same provider.
    ClientToken,
    /// A token that the application has from elsewhere, of any type.
    Given(SecurityToken, TokenType),
}

impl Presented {
    fn is_of_session(&self) -> bool {
        matches!(self, Self::SessionAccessToken | Self::SessionIdToken)
    }
}

/// A request to exchange a token for another one (RFC 8693 §2.1). By default it presents the session's access token and
/// no actor, which lets the application act as the user (impersonation) or, where the provider names the client in the
/// new token, for them (delegation). With an [`actor`](Self::actor) it is delegation: the new token names both.
///
/// # Example
///
/// ```no_run
/// # async fn example(auth: auth_core::Auth, session: auth_core::session::Session) -> Result<(), auth_core::Error> {
/// use auth_core::grants::{Presented, TokenExchange};
///
/// let exchange = TokenExchange::new()
///     .audience("https://reports.example")
///     .scopes("reports.read")
///     .actor(Presented::ClientToken);
/// let token = auth.exchange(&session, &exchange).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct TokenExchange {
    subject: Presented,
    actor: Option<Presented>,
    targets: Targets,
    requested: Option<TokenType>,
    provider: Option<String>,
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange")
            .field("subject", &self.subject)
            .field("actor", &self.actor)
            .field("targets", &self.targets)
            .field("requested", &self.requested)
            .field("provider", &self.provider)
            .finish()
    }
}

impl Default for TokenExchange {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenExchange {
    /// An exchange of the session's access token.
    pub fn new() -> Self {
        Self {
            subject: Presented::SessionAccessToken,
            actor: None,
            targets: Targets::default(),
            requested: None,
            provider: None,
        }
    }

    /// The token to exchange (`subject_token`). Default: [`Presented::SessionAccessToken`].
    pub fn subject(mut self, subject: Presented) -> Self {
        self.subject = subject;
        self
    }

    /// The token of who acts for the subject (`actor_token`). Default: none.
    pub fn actor(mut self, actor: Presented) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The further provider that the exchange is made at, if it is one.
    pub(crate) fn place(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// Adds an `audience`: the API that the new token is for, by the name that the provider knows it by.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.targets.audiences.push(audience.into());
        self
    }

    /// Adds a `resource`: the API that the new token is for, by its address, an absolute URI without a fragment.
    pub fn resource(mut self, uri: impl Into<String>) -> Self {
        self.targets.resources.push(uri.into());
        self
    }

    /// The scopes to ask for, separated by spaces. Default: the provider's choice.
    pub fn scopes(mut self, scopes: &str) -> Self {
        self.targets.scopes = Scopes::parse(scopes);
        self
    }

    /// The type of the new token (`requested_token_type`). Default: the provider's choice. An answer with a token of
    /// another type than the requested one is an error.
    pub fn requested_token_type(mut self, requested: TokenType) -> Self {
        self.requested = Some(requested);
        self
    }

    /// Asks a [further provider](crate::AuthBuilder::further_provider) instead of the one that the user signed in with.
    pub fn at(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// What the new token is for, as a name: everything but the session's own tokens.
    fn name(&self) -> [u8; 32] {
        let mut names = self.targets.names();
        names.push(self.requested.as_ref().map_or("", TokenType::as_str).to_owned());
        names.push(format!(
            "{}{}",
            self.provider.is_some(),
            self.provider.as_deref().unwrap_or_default()
        ));
        let presented = |presented: Option<&Presented>| match presented {
            None => ["none".to_owned(), String::new()],
            Some(Presented::SessionAccessToken) => ["access".to_owned(), String::new()],
            Some(Presented::SessionIdToken) => ["id".to_owned(), String::new()],
            Some(Presented::ClientToken) => ["client".to_owned(), String::new()],
            Some(Presented::Given(token, kind)) => {
                let hash = sha256(&[token.expose().as_bytes()]);
                [format!("given {hash:?}"), kind.as_str().to_owned()]
            }
        };
        names.extend(presented(Some(&self.subject)));
        names.extend(presented(self.actor.as_ref()));
        name_of(names.iter().map(String::as_str))
    }

    fn slot(&self, owner: SessionKey) -> Slot {
        Slot {
            owner: Some(owner),
            what: self.name(),
        }
    }

    /// Which of the session's tokens the new token depends on, in this state of the session.
    fn origin(&self, session: &Session) -> Origin {
        let mut parts: Vec<&[u8]> = Vec::new();
        for presented in [Some(&self.subject), self.actor.as_ref()].into_iter().flatten() {
            match presented {
                Presented::SessionAccessToken => parts.extend(
                    session
                        .data
                        .tokens
                        .access
                        .as_ref()
                        .map(|token| token.expose().as_bytes()),
                ),
                Presented::SessionIdToken => {
                    parts.extend(session.verified_id_token().map(|token| token.expose().as_bytes()));
                }
                Presented::ClientToken | Presented::Given(..) => {}
            }
        }
        Origin {
            subject: sha256(&parts),
            version: session.record.version,
        }
    }

    fn is_of_session(&self) -> bool {
        self.subject.is_of_session() || self.actor.as_ref().is_some_and(Presented::is_of_session)
    }
}

impl Auth {
    /// Exchanges a token of this session for another one (RFC 8693 §2), or gives the one that an earlier exchange has
    /// brought: it is kept until it dies, the token it was exchanged for changes, or the session ends. Calls at the same
    /// time share one exchange. It is kept in memory, 32 of a session and 10,000 in all at most: each instance has its own.
    ///
    /// Where the session's tokens are bound to a key (RFC 9449), so is the new one, to the same; a provider that answers with a
    /// bearer token is not believed.
    ///
    /// Whoever holds on to a session, a job in the background say, gets tokens without a look at the store, as from
    /// [`access_token`](Self::access_token): on an instance where nothing has told of the session's end, until they die.
    /// [`until_ended`](Self::until_ended) tells of it.
    ///
    /// # Errors
    ///
    /// [`Error::Grant`] where the provider refuses or is down, or the request makes no sense, and [`Error::fault`] tells these
    /// apart; and as [`authenticate`](Self::authenticate). An exchange that has begun goes on where the future is dropped, and its
    /// token is kept.
    pub async fn exchange(&self, session: &Session, exchange: &TokenExchange) -> Result<IssuedToken, Error> {
        let (_, token) = self.core().exchanged(session, exchange, None).await?;
        Ok(token)
    }
}

impl Core {
    /// The exchanged token as it is shown to an API. One that is no access token is not kept: the next call asks for
    /// another.
    pub(crate) async fn exchanged_credential(
        self: &Arc<Self>,
        session: &Session,
        exchange: &TokenExchange,
        refused: Option<&SecurityToken>,
    ) -> Result<(Session, Credential), Error> {
        let (session, token) = self.exchanged(session, exchange, refused).await?;
        match token.credential() {
            Ok(credential) => Ok((session, credential)),
            Err(error) => {
                self.exchanged.discard(exchange.slot(session.key));
                Err(error.into())
            }
        }
    }

    /// The exchanged token, and the session as it was refreshed for it. `refused` is one that an API does not take.
    pub(crate) async fn exchanged(
        self: &Arc<Self>,
        session: &Session,
        exchange: &TokenExchange,
        refused: Option<&SecurityToken>,
    ) -> Result<(Session, IssuedToken), Error> {
        exchange.targets.check()?;
        let session = self.fresh(session.clone()).await?;
        let slot = exchange.slot(session.key);
        let fetch = || {
            let (core, exchange, key) = (Arc::clone(self), exchange.clone(), session.key);
            async move {
                let fetched = core.exchange_now(&key, &exchange).await?;
                // A sign-out meanwhile wins.
                core.load(&key).await?.ok_or(NotSignedIn::Ended)?;
                tracing::debug!(session = ?key, "a token was exchanged");
                Ok(fetched)
            }
            .boxed()
        };
        let token = self
            .exchanged
            .get(self, slot, exchange.origin(&session), refused, fetch)
            .await?;
        Ok((session, token))
    }

    /// One exchange, with the session's tokens as they are now: a session that has ended meanwhile has none.
    async fn exchange_now(
        self: &Arc<Self>,
        key: &SessionKey,
        exchange: &TokenExchange,
    ) -> Result<Fetched, Error> {
        let mut session = self.alive(key).await?;
        let place = self.place(exchange.provider.as_deref(), &session).await?;
        let mut origin = exchange.origin(&session);
        match self.exchange_once(&place, &session, exchange).await {
            // The token presented is not good (RFC 8693 §2.2.2 says `invalid_request`, most providers `invalid_grant`).
            // Where it was refreshed meanwhile, which may end the old one, there is a better one.
            Err(Error::Grant(error)) if exchange.is_of_session() && is_about_the_subject(&error) => {
                session = self.alive(key).await?;
                if exchange.origin(&session).subject == origin.subject {
                    return Err(Error::Grant(error));
                }
                origin = exchange.origin(&session);
                let token = self.exchange_once(&place, &session, exchange).await?;
                Ok(Fetched { token, origin })
            }
            result => result.map(|token| Fetched { token, origin }),
        }
    }

    async fn exchange_once(
        self: &Arc<Self>,
        place: &Party,
        session: &Session,
        exchange: &TokenExchange,
    ) -> Result<IssuedToken, Error> {
        let (subject, subject_type) = self.presented(session, exchange, &exchange.subject).await?;
        let actor = match &exchange.actor {
            Some(actor) => Some(self.presented(session, exchange, actor).await?),
            None => None,
        };
        let scope = exchange.targets.scopes.to_string();
        let mut parameters = vec![
            ("subject_token", subject.expose()),
            ("subject_token_type", subject_type.as_str()),
        ];
        if let Some((token, kind)) = &actor {
            parameters.push(("actor_token", token.expose()));
            parameters.push(("actor_token_type", kind.as_str()));
        }
        if let Some(requested) = &exchange.requested {
            parameters.push(("requested_token_type", requested.as_str()));
        }
        parameters.extend(exchange.targets.parameters(&scope));
        let metadata = place.provider.metadata(self.clock.now()).await?;
        let request = TokenRequest {
            grant_type: TOKEN_EXCHANGE,
            parameters,
        };
        let key = exchange.slot(session.key).name();
        let dpop_key = place.key_for(session, exchange.provider.as_deref());
        let response = place
            .tokens(
                &metadata,
                &key,
                request,
                Way::proving(dpop_key.as_ref()),
                &self.clock,
            )
            .await?;
        let token = IssuedToken::of(response, dpop_key)?;
        check_type(&token, exchange.requested.as_ref())?;
        Ok(token)
    }

    async fn presented(
        self: &Arc<Self>,
        session: &Session,
        exchange: &TokenExchange,
        presented: &Presented,
    ) -> Result<(SecurityToken, TokenType), Error> {
        Ok(match presented {
            Presented::SessionAccessToken => {
                let token = session
                    .data
                    .tokens
                    .access
                    .as_ref()
                    .ok_or(NotSignedIn::TokenExpired)?;
                (SecurityToken::new(token.expose()), TokenType::AccessToken)
            }
            Presented::SessionIdToken => {
                let token = session.verified_id_token();
                let token = token.ok_or(GrantError::NothingToPresent("ID token"))?;
                (SecurityToken::new(token.expose()), TokenType::IdToken)
            }
            Presented::ClientToken => {
                let mut credentials = ClientCredentials::new();
                // At the provider that is asked: another one's is nothing to it.
                if let Some(name) = exchange.provider.as_deref().or(session.provider()) {
                    credentials = credentials.at(name);
                }
                let token = self.machine_token(&credentials, None).await?;
                (token.token().clone(), TokenType::AccessToken)
            }
            Presented::Given(token, kind) => (token.clone(), kind.clone()),
        })
    }
}

/// RFC 8693 §2.2.1: `issued_token_type` is there, and what was asked for.
fn check_type(token: &IssuedToken, requested: Option<&TokenType>) -> Result<(), GrantError> {
    match (token.issued_token_type(), requested) {
        (None, _) => Err(GrantError::Unusable("`issued_token_type` is missing")),
        (Some(issued), Some(requested)) if issued != requested => Err(GrantError::Unusable(
            "`issued_token_type` is not the type asked for",
        )),
        _ => Ok(()),
    }
}

fn is_about_the_subject(error: &GrantError) -> bool {
    use TokenErrorCode::{InvalidGrant, InvalidRequest};
    matches!(error, GrantError::Refused(error)
        if matches!(**error, TokenError::Refused(InvalidGrant | InvalidRequest)))
}
