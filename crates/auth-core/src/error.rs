//! Every way in which a request can fail, and who has to act.
//!
//! [`Error`] has a variant for each area; the cause is in `source()`, and no text holds a token, a code or anything that a provider
//! wrote freely. Three questions have answers everywhere:
//!
//! * [`Error::fault`]: who has to act, the caller, the provider, the store or the application's own set-up. The answer's status
//!   follows from it: what is somebody else's outage is a 502 or 503, and never a sign-out.
//! * [`Error::code`]: a name that stays the same, such as `login.state_cookie_missing`; [`codes`](crate::codes) explains each.
//! * [`Error::retry_after`]: when to try again, where that helps.

use std::sync::Arc;
use std::time::Duration;

use crate::client::ApiError;
use crate::csrf::CrossSite;
use crate::grants::GrantError;
use crate::login::LoginError;
use crate::metadata::ProviderError;
use crate::proxy::ProxyError;
use crate::refresh::RefreshError;
use crate::step_up::{Lack, StepUp, Verdict};
use crate::store::StoreError;
use crate::userinfo::UserinfoError;

/// Why a request cannot be answered as asked.
///
/// # Example
///
/// A handler returns it, and the adapter makes the answer. A worker decides by whose turn it is:
///
/// ```
/// use std::time::Duration;
/// use auth_core::{Error, Fault};
///
/// /// When to try the job again, if ever.
/// fn again(error: &Error) -> Option<Duration> {
///     match error.fault() {
///         Fault::Provider | Fault::Store | Fault::Downstream => {
///             Some(error.retry_after().unwrap_or(Duration::from_secs(60)))
///         }
///         // Only the user, or who grants rights, can mend it.
///         Fault::NotSignedIn | Fault::NotAllowed => None,
///         Fault::Request | Fault::Configuration => {
///             eprintln!("{}: {error}", error.code());
///             None
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody is signed in, or no longer.
    #[error(transparent)]
    NotSignedIn(#[from] NotSignedIn),
    /// The user is signed in, but may not do this, or not yet.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The request comes from another site and would change something.
    #[error(transparent)]
    CrossSite(#[from] CrossSite),
    /// A sign-in could not be finished.
    #[error("the sign-in failed")]
    Login(#[source] Arc<LoginError>),
    /// The provider cannot be used at present.
    #[error("the provider cannot be used")]
    Provider(#[from] ProviderError),
    /// The access token is dead and cannot be refreshed at present. The session is kept.
    #[error("the access token could not be refreshed")]
    Refresh(#[source] Arc<RefreshError>),
    /// The session store does not answer. Nobody is signed out by that.
    #[error("the session store failed")]
    Store(#[source] Arc<StoreError>),
    /// A downstream API did not give what was asked.
    #[error("the call to the API failed")]
    Api(#[source] Arc<ApiError>),
    /// A token by another grant could not be had. The session is kept.
    #[error("no token was issued")]
    Grant(#[source] Arc<GrantError>),
    /// The userinfo endpoint did not say who the user is.
    #[error("userinfo cannot be used")]
    Userinfo(#[from] UserinfoError),
    /// A proxy did not forward the request, or its upstream did not answer.
    #[error("the request was not forwarded")]
    Proxy(#[source] Arc<ProxyError>),
    /// The application is put together wrongly.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl From<GrantError> for Error {
    fn from(error: GrantError) -> Self {
        Self::Grant(Arc::new(error))
    }
}

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Provider(error) => Self::Provider(error),
            LoginError::Store(error) => Self::Store(Arc::new(error)),
            error => Self::Login(Arc::new(error)),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<RefreshError> for Error {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Ended(reason) => Self::NotSignedIn(reason),
            RefreshError::Store(error) | RefreshError::Unconfirmed(error) => Self::Store(error),
            error => Self::Refresh(Arc::new(error)),
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Token(error) => *error,
            error => Self::Api(Arc::new(error)),
        }
    }
}

impl From<Verdict> for NotAllowed {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ask(step_up) => Self::StepUp(step_up),
            Verdict::Denied(step_up) => Self::StepUpDenied(step_up),
        }
    }
}

impl From<ProxyError> for Error {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(Arc::new(error))
    }
}

/// Why nobody counts as signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSignedIn {
    /// The request names no session.
    #[error("nobody is signed in")]
    NoSession,
    /// The session it names does not exist (any more), or was sealed with a key that is gone.
    #[error("the session has ended")]
    Ended,
    /// The access token is dead and there is no refresh token.
    #[error("the access token has expired and there is no refresh token")]
    TokenExpired,
    /// The provider does not accept the refresh token any more (RFC 6749 §5.2, `invalid_grant`).
    #[error("the provider has ended the grant")]
    GrantEnded,
    /// A refreshed ID token did not verify, or was another user's.
    #[error("the provider's refreshed ID token is not good")]
    IdTokenRefused,
}

/// Why a signed-in user may not do this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAllowed {
    /// None of the roles that would do is among the user's.
    #[error("the user does not have the role")]
    Role,
    /// A claim is missing or has another value.
    #[error("the user does not have the claim")]
    Claim,
    /// A scope was not granted (RFC 6750 §3.1, `insufficient_scope`), or the user was not authenticated in one of the
    /// ways that would do, or too long ago (RFC 9470 §3). Signing in again may mend it.
    #[error("the sign-in does not have what is asked for")]
    StepUp(Box<StepUp>),
    /// The same, and the user had signed in for its sake: the provider was asked for it and did not give it.
    #[error("the sign-in was made for what is asked for, and does not have it")]
    StepUpDenied(Box<StepUp>),
    /// Signed in already, where only guests belong; here is the path of the app to go to instead.
    #[error("the user is signed in already")]
    OnlyGuests(String),
}

/// The application is put together wrongly: a matter for its developer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An extractor or a gate was used on a route that `auth.layer()` does not cover.
    #[error("no `auth.layer()` around this route: add it to the router, outside of everything that needs it")]
    LayerMissing,
    /// The app's own session layer was chosen to carry the session identifier, and is not there or failed.
    #[error("the app's session layer, chosen to carry the session identifier, is missing or failed")]
    CarrierMissing,
    /// The app's session layer was to use the session store, which keeps sessions only
    /// ([`SessionStore::app_data`](crate::store::SessionStore::app_data)).
    #[error(
        "the session store keeps no data of the app's own sessions: implement `AppDataStore` for it and return it from `SessionStore::app_data`, or use a store of this crate"
    )]
    AppDataUnsupported,
    /// What lies in the app's own session does not fit the type that a handler asks for, or cannot be put there.
    #[error("what the app's own session holds does not fit the type that the handler asks for")]
    AppDataType,
    /// The claims of the user do not fit the type that a handler asks for.
    #[error("the user's claims do not fit the type that the handler asks for")]
    ClaimsType,
}

/// Who has to act on a failure. Exhaustive on purpose: there is nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The user: sign in.
    NotSignedIn,
    /// The user, or whoever grants rights.
    NotAllowed,
    /// Whoever sent the request.
    Request,
    /// The provider's operator, or time.
    Provider,
    /// The store's operator, or time.
    Store,
    /// The downstream API's operator, or time.
    Downstream,
    /// This application's developer or operator.
    Configuration,
}

impl Error {
    /// The stable code of this failure, `login.state_cookie_missing`. `GET /auth/errors/<code>` explains it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn(NotSignedIn::NoSession) => "session.none",
            Self::NotSignedIn(NotSignedIn::Ended) => "session.ended",
            Self::NotSignedIn(NotSignedIn::TokenExpired) => "session.token_expired",
            Self::NotSignedIn(NotSignedIn::GrantEnded) => "session.grant_ended",
            Self::NotSignedIn(NotSignedIn::IdTokenRefused) => "session.id_token_refused",
            Self::NotAllowed(NotAllowed::Role) => "access.role_missing",
            Self::NotAllowed(NotAllowed::Claim) => "access.claim_missing",
            Self::NotAllowed(NotAllowed::StepUp(step_up)) => match step_up.lack() {
                Lack::Acr => "access.acr_missing",
                Lack::Age => "access.not_fresh",
                Lack::Scope => "access.scope_missing",
            },
            Self::NotAllowed(NotAllowed::StepUpDenied(step_up)) => match step_up.lack() {
                Lack::Acr => "access.acr_denied",
                Lack::Age => "access.not_fresh",
                Lack::Scope => "access.scope_denied",
            },
            Self::NotAllowed(NotAllowed::OnlyGuests(_)) => "access.only_guests",
            Self::CrossSite(_) => "request.cross_site",
            Self::Login(error) => error.code(),
            Self::Provider(error) => error.code(),
            Self::Refresh(error) => error.code(),
            Self::Store(_) => "store.unavailable",
            Self::Api(error) => error.code(),
            Self::Grant(error) => error.code(),
            Self::Userinfo(error) => error.code(),
            Self::Proxy(error) => error.code(),
            Self::Setup(SetupError::LayerMissing) => "setup.layer_missing",
            Self::Setup(SetupError::CarrierMissing) => "setup.carrier_missing",
            Self::Setup(SetupError::AppDataUnsupported) => "setup.app_data_unsupported",
            Self::Setup(SetupError::AppDataType) => "setup.app_data_type",
            Self::Setup(SetupError::ClaimsType) => "setup.claims_type",
        }
    }

    /// `Ok(None)` where nobody is signed in; any other failure stays one. For `or_else`, wherever a guest is welcome and an
    /// outage must not make one of a user.
    ///
    /// ```
    /// # use auth_core::{Auth, Error, secret::SessionId};
    /// async fn name(auth: &Auth, id: Option<&SessionId>) -> Result<String, Error> {
    ///     let session = auth.authenticate(id).await.map(Some).or_else(Error::unless_nobody)?;
    ///     Ok(session.map_or("guest".to_owned(), |session| session.subject().to_owned()))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The failure itself, where it is any other than [`NotSignedIn`].
    pub fn unless_nobody<T>(self) -> Result<Option<T>, Self> {
        match self {
            Self::NotSignedIn(_) => Ok(None),
            error => Err(error),
        }
    }

    /// What the sign-in lacks, where that is what is wrong.
    pub(crate) fn step_up(&self) -> Option<&StepUp> {
        match self {
            Self::NotAllowed(NotAllowed::StepUp(step_up) | NotAllowed::StepUpDenied(step_up)) => {
                Some(step_up)
            }
            Self::Api(error) => error.step_up(),
            _ => None,
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotSignedIn(_) => Fault::NotSignedIn,
            Self::NotAllowed(_) => Fault::NotAllowed,
            Self::CrossSite(_) => Fault::Request,
            Self::Login(error) => error.fault(),
            Self::Provider(error) => error.fault(),
            Self::Refresh(error) => error.fault(),
            Self::Store(_) => Fault::Store,
            Self::Api(error) => error.fault(),
            Self::Grant(error) => error.fault(),
            Self::Userinfo(_) => Fault::Provider,
            Self::Proxy(error) => error.fault(),
            Self::Setup(_) => Fault::Configuration,
        }
    }

    /// The status of the answer: 401, 403 or another 4xx where it is the user's or the caller's turn, 502 or 503 where the
    /// provider, the store or an API has failed, 500 where the application is put together wrongly.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotSignedIn(_) => 401,
            Self::NotAllowed(NotAllowed::StepUp(step_up)) => step_up.status(),
            Self::NotAllowed(_) | Self::CrossSite(_) => 403,
            Self::Login(error) => error.status(),
            Self::Provider(error) => error.status(),
            Self::Refresh(_) | Self::Store(_) => 503,
            Self::Api(error) => error.status(),
            Self::Grant(error) => error.status(),
            Self::Userinfo(_) => 502,
            Self::Proxy(error) => error.status(),
            Self::Setup(_) => 500,
        }
    }

    /// After how long it is worth trying again, for a 503: as the provider says, or else 2 seconds. `None` for any other status.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = match self {
            Self::Login(error) => error.retry_after(),
            Self::Provider(error) => error.retry_after(),
            Self::Refresh(error) => error.retry_after(),
            Self::Grant(error) => error.retry_after(),
            _ => None,
        };
        (self.status() == 503).then(|| asked.unwrap_or(RETRY_AFTER))
    }
}

/// `Retry-After` where the provider names none.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// An error and all its causes, joined by `: `, for the log. A cause that the error above it says itself is not said again.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.ends_with(&text) {
            said += ": ";
            said += &text;
        }
        cause = error.source();
    }
    said
}
