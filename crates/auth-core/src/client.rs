//! Calls to downstream APIs on the user's behalf.
//!
//! [`AuthenticatedClient`] is reqwest with the user's access token attached, and five promises:
//!
//! 1. The token goes to the configured APIs' origins only ([`AuthBuilder::api`](crate::AuthBuilder::api)), compared
//!    exactly, and follows no redirect to another origin.
//! 2. The token is alive: it is refreshed first where it is not.
//! 3. Where the API answers 401 all the same, there is one refresh and one retry. A body that is a stream cannot be sent again:
//!    the 401 is the answer then, and the token is refreshed for the next call, within a minute once. Where it wants
//!    no more than a nonce in the proof of a token that is bound to a key (RFC 9449 §9), there is one retry with that, besides.
//! 4. Where the API demands a stronger or more recent sign-in, or a scope, there is neither: the call's error says so, and
//!    the answer made of it sends a browser to sign in ([`ApiError::StepUp`]).
//! 5. Nothing that an API answers, and no URL, gets into an error's text.
//!
//! A handler gets one from its adapter. Code outside of requests makes one of a session's key, which is no secret and may be
//! kept with a job:
//!
//! ```no_run
//! # use auth_core::{Auth, Error, store::SessionKey};
//! /// What a handler has queued with `session.key()`, and a worker does later.
//! async fn export(auth: &Auth, key: &SessionKey) -> Result<(), Error> {
//!     // Signed out meanwhile: there is nobody to do it for.
//!     let Some(session) = auth.session(key).await? else { return Ok(()) };
//!     let api = auth.client(&session);
//!     let (me, groups) = tokio::try_join!(api.get("/users/me").send(), api.get("/groups").send())?;
//!     # let _ = (me, groups);
//!     Ok(())
//! }
//! ```
//!
//! # Other ways to send
//!
//! * [`AuthenticatedClient::execute`] sends a [`reqwest::Request`] that was made elsewhere.
//! * With the feature `reqwest-middleware`, the client is a middleware of that crate.
//! * [`AuthenticatedClient::access_token`] gives the token to whoever has to send it on other ways (gRPC, a vendor's library);
//!   [`AuthenticatedClient::authorization`] gives whole headers, with the proof that a token needs which is bound to a key.
//!
//! [`MachineClient`] is the same with a token of the application's own, and has the same methods.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::redirect::{Attempt, Policy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use url::{Position, Url};

use crate::auth::Core;
use crate::client_certificate::ClientCertificate;
use crate::clock::Timestamp;
use crate::config::ConfigError;
use crate::dpop::{Credential, Scheme, is_demand_for_nonce};
use crate::error::{Error, Fault, NotSignedIn};
use crate::grants::{ClientCredentials, TokenExchange};
use crate::http::ProviderHttp;
use crate::metadata::ProviderError;
use crate::party::Party;
use crate::refresh::RefreshError;
use crate::secret::{AccessToken, SecurityToken};
use crate::session::Session;
use crate::spans;
use crate::step_up::{self, StepUp, Verdict};
use crate::trace::TraceContext;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Largest body that [`ApiResponse::json`], [`text`](ApiResponse::text) and [`bytes`](ApiResponse::bytes) read, in bytes: 16 MiB.
/// [`ApiResponse::into_inner`] has no limit.
pub const MAX_BODY: usize = 16 * 1024 * 1024;
/// Largest body of an answer that is not a success that is kept, in bytes: 64 KiB. Of a longer one nothing is kept
/// ([`ApiError::Status`]).
pub const MAX_ERROR_BODY: usize = 64 * 1024;
/// A token that was renewed less long ago is not renewed because an API has refused it, where the call cannot be sent again.
const RENEWED_AFTER: Duration = Duration::from_secs(60);

/// An HTTP client that calls downstream APIs with the access token of one session. Cheap to clone; clones share the
/// token, so that of several calls at the same time at most one refreshes it.
///
/// # Example
///
/// ```no_run
/// # async fn example(api: auth_core::client::AuthenticatedClient) -> Result<(), auth_core::client::ApiError> {
/// #[derive(serde::Deserialize)]
/// #[serde(rename_all = "camelCase")]
/// struct Me { user_name: String }
///
/// let me: Me = api.get("/scim2/Me").accept("application/scim+json").send().await?.json().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AuthenticatedClient {
    calls: Calls,
    session: Arc<Mutex<Session>>,
    /// What the session's token is exchanged for; `None`: the session's own goes along.
    exchange: Option<Arc<TokenExchange>>,
}

impl fmt::Debug for AuthenticatedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticatedClient")
            .field("session", &self.session())
            .finish_non_exhaustive()
    }
}

impl AuthenticatedClient {
    pub(crate) fn new(core: Arc<Core>, session: Session) -> Self {
        Self {
            calls: Calls::new(core, session.provider().map(Arc::from)),
            session: Arc::new(Mutex::new(session)),
            exchange: None,
        }
    }

    /// A client that calls the API of this audience, with a token that the session's is exchanged for (RFC 8693 §2).
    ///
    /// ```no_run
    /// # async fn example(api: auth_core::client::AuthenticatedClient) -> Result<(), auth_core::client::ApiError> {
    /// let reports = api.for_audience("https://reports.example").at("https://reports.example/v1");
    /// let mine: serde_json::Value = reports.get("/mine").send().await?.json().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn for_audience(&self, audience: impl Into<String>) -> Self {
        self.exchanging(TokenExchange::new().audience(audience))
    }

    /// A client that calls with the token of this exchange, which [`Auth::exchange`](crate::Auth::exchange) describes.
    /// It is exchanged again where the API refuses it with 401, once, and the call is sent again.
    #[must_use]
    pub fn exchanging(&self, exchange: TokenExchange) -> Self {
        self.clone().with_exchange(Some(Arc::new(exchange)))
    }

    pub(crate) fn with_exchange(mut self, exchange: Option<Arc<TokenExchange>>) -> Self {
        // A token that another provider has issued is shown to that one's own API, and not to the session's.
        self.calls.provider = match exchange.as_ref().and_then(|exchange| exchange.place()) {
            None => self.session().provider().map(Arc::from),
            named => named.map(Arc::from),
        };
        Self { exchange, ..self }
    }

    /// A client that makes the same calls, to the same API and on the same trace, with a token of the application's own
    /// instead of the user's.
    ///
    /// ```no_run
    /// # async fn example(api: auth_core::client::AuthenticatedClient) -> Result<(), auth_core::client::ApiError> {
    /// use auth_core::grants::ClientCredentials;
    ///
    /// let machine = api.as_application(ClientCredentials::new().scopes("jobs.run"));
    /// machine.post("/jobs/nightly").send().await?.success().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_application(&self, credentials: ClientCredentials) -> MachineClient {
        let calls = Calls {
            // The token is not the session's: another provider's, perhaps, whose own API is another.
            provider: MachineClient::provider(&self.calls.core, &credentials),
            ..self.calls.clone()
        };
        MachineClient {
            calls,
            credentials: Arc::new(credentials),
        }
    }

    /// The session that this client calls for, as this client last saw it.
    #[must_use]
    pub fn session(&self) -> Session {
        self.session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The access token that this client calls with, alive: refreshed, or exchanged, first where it is not. For a client
    /// of one's own; never log it, and never send it to a browser. Where tokens are bound to a key (RFC 9449), it lets nobody
    /// in without a proof: [`authorization`](Self::authorization) gives both.
    ///
    /// # Errors
    ///
    /// [`ApiError::Token`] where there is none that is alive.
    pub async fn access_token(&self) -> Result<AccessToken, ApiError> {
        Ok(self.credential().await?.token)
    }

    pub(crate) async fn credential(&self) -> Result<Credential, ApiError> {
        if let Some(exchange) = &self.exchange {
            return self.exchanged(exchange, None).await;
        }
        let session = self.calls.core.fresh(self.session()).await?;
        self.keep(session)
    }

    /// The provider that has issued the token that goes along.
    pub(crate) async fn party(&self) -> Result<Arc<Party>, Error> {
        let place = self.exchange.as_ref().and_then(|exchange| exchange.place());
        self.calls.core.place(place, &self.session()).await
    }

    async fn exchanged(
        &self,
        exchange: &TokenExchange,
        refused: Option<&AccessToken>,
    ) -> Result<Credential, ApiError> {
        let refused = refused.map(|token| SecurityToken::new(token.expose()));
        let (session, credential) = self
            .calls
            .core
            .exchanged_credential(&self.session(), exchange, refused.as_ref())
            .await
            .map_err(ApiError::of_token)?;
        self.note(session);
        Ok(credential)
    }

    /// A token in the place of one that an API has refused. `None` where there is nothing to refresh with: the API's own
    /// answer is the answer then.
    pub(crate) async fn another_credential(
        &self,
        refused: &AccessToken,
    ) -> Result<Option<Credential>, ApiError> {
        match self.credential_instead(refused).await {
            Ok(credential) => Ok(Some(credential)),
            Err(ApiError::Token(error))
                if matches!(*error, Error::NotSignedIn(NotSignedIn::TokenExpired)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn credential_instead(&self, refused: &AccessToken) -> Result<Credential, ApiError> {
        if let Some(exchange) = &self.exchange {
            return self.exchanged(exchange, Some(refused)).await;
        }
        let session = self.session();
        let session = match &session.data.tokens.access {
            // Another call of this client has refreshed it already.
            Some(token) if token != refused => session,
            _ => self.calls.core.fresh_instead(&session, refused).await?,
        };
        self.keep(session)
    }

    /// Sees to another token for the next call, where an API has refused this one and the call cannot be sent again. What fails is
    /// logged where it fails, and the next call finds it.
    pub(crate) async fn renew(&self, refused: &AccessToken) {
        let core = &self.calls.core;
        let since = match &self.exchange {
            None => self.session().refreshed_at(),
            Some(exchange) => match core.exchanged(&self.session(), exchange, None).await {
                Ok((_, token)) => Some(token.issued_at()),
                Err(_) => return,
            },
        };
        if core.may_renew(since) {
            drop(self.another_credential(refused).await);
        }
    }

    fn keep(&self, session: Session) -> Result<Credential, ApiError> {
        let credential = session.data.credential();
        self.note(session);
        credential.ok_or_else(|| RefreshError::Ended(NotSignedIn::TokenExpired).into())
    }

    /// Remembers the session as it is now, unless a newer state of it is known.
    fn note(&self, session: Session) {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.record.version >= held.record.version {
            *held = session;
        }
    }
}

/// An HTTP client that calls downstream APIs with a token of the application's own, whoever is signed in. As
/// [`AuthenticatedClient`], it calls the configured APIs only, and where one answers 401, it asks for another token, once.
/// Cheap to clone. Made by [`Auth::machine_client`](crate::Auth::machine_client), outside of requests too, or within a
/// request by [`AuthenticatedClient::as_application`].
///
/// # Example
///
/// ```no_run
/// # async fn example(auth: auth_core::Auth) -> Result<(), auth_core::client::ApiError> {
/// use auth_core::grants::ClientCredentials;
///
/// let api = auth.machine_client(ClientCredentials::new().scopes("jobs.run"));
/// let jobs: Vec<String> = api.get("/jobs").send().await?.json().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MachineClient {
    calls: Calls,
    credentials: Arc<ClientCredentials>,
}

impl fmt::Debug for MachineClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineClient")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl MachineClient {
    pub(crate) fn new(core: Arc<Core>, credentials: ClientCredentials) -> Self {
        let provider = Self::provider(&core, &credentials);
        Self {
            calls: Calls::new(core, provider),
            credentials: Arc::new(credentials),
        }
    }

    /// Whose token it is.
    fn provider(core: &Core, credentials: &ClientCredentials) -> Option<Arc<str>> {
        let named = credentials.provider();
        named
            .or(core.config.parties.first().name.as_deref())
            .map(Arc::from)
    }

    /// The access token that this client calls with, alive. For a client of one's own; never log it, and never send it to
    /// a browser. Where tokens are bound to a key (RFC 9449), it lets nobody in without a proof:
    /// [`authorization`](Self::authorization) gives both.
    ///
    /// # Errors
    ///
    /// [`ApiError::Token`] where there is none that is alive.
    pub async fn access_token(&self) -> Result<AccessToken, ApiError> {
        Ok(self.credential(None).await?.token)
    }

    /// As [`AuthenticatedClient::renew`].
    async fn renew(&self, refused: &AccessToken) {
        let core = &self.calls.core;
        if let Ok(kept) = core.machine_token(&self.credentials, None).await
            && core.may_renew(Some(kept.issued_at()))
        {
            drop(self.credential(Some(refused)).await);
        }
    }

    async fn credential(&self, refused: Option<&AccessToken>) -> Result<Credential, ApiError> {
        let refused = refused.map(|token| SecurityToken::new(token.expose()));
        let token = self
            .calls
            .core
            .machine_token(&self.credentials, refused.as_ref())
            .await;
        token
            .and_then(|token| Ok(token.credential()?))
            .map_err(ApiError::of_token)
    }
}

/// What both clients are called by.
macro_rules! calling {
    ($client:ident, $caller:path) => {
        impl $client {
            /// A client that calls one of the configured APIs only: relative URLs are appended to this base, and no other
            /// origin sees the token. What is wrong with the base is said by [`send`](RequestBuilder::send).
            #[must_use]
            pub fn at(&self, base: impl Into<String>) -> Self {
                let mut client = self.clone();
                client.calls.base = Some(Arc::new(Url::parse(&base.into())));
                client
            }

            /// Passes this trace on with every request that names none itself. The adapters' extractors do so with the
            /// trace of the request that is being answered.
            #[must_use]
            pub fn with_trace(mut self, trace: Option<TraceContext>) -> Self {
                self.calls.trace = trace;
                self
            }

            /// Begins a `GET` request. A URL that begins with `/` is appended to the base URL, [`at`](Self::at) or the first
            /// API's.
            pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
                self.request(Method::GET, url)
            }

            /// Begins a `POST` request; see [`get`](Self::get) for the URL.
            pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
                self.request(Method::POST, url)
            }

            /// Begins a `PUT` request; see [`get`](Self::get) for the URL.
            pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
                self.request(Method::PUT, url)
            }

            /// Begins a `PATCH` request; see [`get`](Self::get) for the URL.
            pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder {
                self.request(Method::PATCH, url)
            }

            /// Begins a `DELETE` request; see [`get`](Self::get) for the URL.
            pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
                self.request(Method::DELETE, url)
            }

            /// Begins a `HEAD` request; see [`get`](Self::get) for the URL.
            pub fn head(&self, url: impl AsRef<str>) -> RequestBuilder {
                self.request(Method::HEAD, url)
            }

            /// Begins an `OPTIONS` request; see [`get`](Self::get) for the URL.
            pub fn options(&self, url: impl AsRef<str>) -> RequestBuilder {
                self.request(Method::OPTIONS, url)
            }

            /// Begins a request; see [`get`](Self::get) for the URL. What is wrong with the URL is said by
            /// [`send`](RequestBuilder::send).
            pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder {
                let (inner, relative) = self.calls.begin(method, url.as_ref()).map_or_else(
                    |error| (Err(error), None),
                    |(inner, relative)| (Ok(inner), relative),
                );
                RequestBuilder {
                    inner,
                    relative,
                    caller: $caller(self.clone()),
                }
            }

            /// What lets a request of one's own in, one that this client does not send: `Authorization` and, where the
            /// token is bound to a key (RFC 9449), the proof in `DPoP`. It is for one request, with this method and this
            /// absolute URL, whose origin is one of the configured APIs'. See [`Authorization`].
            ///
            /// # Errors
            ///
            /// As [`RequestBuilder::send`].
            pub async fn authorization(&self, method: &Method, url: &str) -> Result<Authorization, ApiError> {
                let url = Url::parse(url).map_err(|_| ApiError::BadUrl)?;
                self.calls.allows(&url).await?;
                let caller = $caller(self.clone());
                let credential = caller.credential().await?;
                let mut headers = HeaderMap::new();
                self.calls.attach(&credential, &mut headers, method, &url);
                Ok(Authorization {
                    core: Arc::clone(&self.calls.core),
                    credential,
                    origin: url.origin().ascii_serialization(),
                    headers,
                })
            }

            /// Sends a request that was made elsewhere, with this client's token. Its URL must be absolute and its origin
            /// one of the configured APIs'. A body that is a stream cannot be sent again after a 401.
            ///
            /// # Errors
            ///
            /// As [`RequestBuilder::send`].
            pub async fn execute(&self, request: reqwest::Request) -> Result<ApiResponse, ApiError> {
                self.calls.allows(request.url()).await?;
                $caller(self.clone()).send(request).await
            }
        }
    };
}

calling!(AuthenticatedClient, Caller::User);
calling!(MachineClient, Caller::Machine);

/// Where calls go, and what goes along besides a token.
#[derive(Clone)]
struct Calls {
    core: Arc<Core>,
    /// The name of the provider whose tokens go along.
    provider: Option<Arc<str>>,
    /// The API that the calls are confined to, parsed once.
    base: Option<Arc<Result<Url, url::ParseError>>>,
    trace: Option<TraceContext>,
}

impl Core {
    /// What URLs are relative to that are called with this provider's tokens.
    pub(crate) async fn api_base(&self, provider: Option<&str>) -> Result<Url, ApiError> {
        let base = match &self.config.api_base {
            Some(base) => Some(base.clone()),
            None => self.own_api(provider).await?,
        };
        base.ok_or(ApiError::NoBaseUrl)
    }

    /// Whether a token may be renewed for calls to come, which was renewed or issued then. An API that refuses good tokens would
    /// cost a request to the provider for each call else.
    fn may_renew(&self, since: Option<Timestamp>) -> bool {
        since.is_none_or(|at| self.clock.now().since(at) >= RENEWED_AFTER)
    }

    /// Whether the URL's origin may be shown this provider's tokens. A provider's own API is shown no other one's.
    async fn may_see_tokens(&self, url: &Url, provider: Option<&str>) -> Result<bool, ApiError> {
        if self.config.api_origins.iter().any(|origin| is_of(url, origin)) {
            return Ok(true);
        }
        let own = self.own_api(provider).await?;
        Ok(own.is_some_and(|api| api.origin() == url.origin()))
    }

    /// The API of this provider's own, if it has one. It may have to be looked up for that.
    async fn own_api(&self, provider: Option<&str>) -> Result<Option<Url>, ApiError> {
        // A further provider has none, and nobody else's of the same name.
        if provider.is_some_and(|name| self.further.contains_key(name)) {
            return Ok(None);
        }
        match self.config.parties.of(provider).await {
            Ok(party) => Ok(party.config.api.clone()),
            Err(ProviderError::Unknown) => Ok(None),
            Err(error) => Err(ApiError::of_token(error.into())),
        }
    }
}

/// What a relative URL is built on until it is known which API it is of; nothing is sent there (RFC 2606 §2).
const NO_API_YET: &str = "https://api.invalid";

impl Calls {
    fn new(core: Arc<Core>, provider: Option<Arc<str>>) -> Self {
        Self {
            core,
            provider,
            base: None,
            trace: None,
        }
    }

    /// A request to this URL. A URL that is relative to the API of the provider's own comes back as it is, to be
    /// [resolved](Self::resolve): that provider may have to be looked up.
    fn begin(
        &self,
        method: Method,
        url: &str,
    ) -> Result<(reqwest::RequestBuilder, Option<String>), ApiError> {
        let base = self.base()?.or(self.core.config.api_base.as_ref());
        let is_relative = url.starts_with('/');
        let parsed = match base {
            _ if !is_relative => Url::parse(url),
            Some(base) => below(base.as_str(), url),
            None => below(NO_API_YET, url),
        };
        let parsed = parsed.map_err(|_| ApiError::BadUrl)?;
        let relative = (is_relative && base.is_none()).then(|| url.to_owned());
        Ok((self.core.api_http.following.request(method, parsed), relative))
    }

    /// Lets the request go to this URL of the provider's own API. What was added to its query stays.
    async fn resolve(&self, relative: &str, request: &mut reqwest::Request) -> Result<(), ApiError> {
        let base = self.core.api_base(self.provider.as_deref()).await?;
        let mut url = below(base.as_str(), relative).map_err(|_| ApiError::BadUrl)?;
        url.set_query(request.url().query());
        *request.url_mut() = url;
        Ok(())
    }

    fn base(&self) -> Result<Option<&Url>, ApiError> {
        let base = self.base.as_deref().map(Result::as_ref);
        base.transpose().map_err(|_| ApiError::BadUrl)
    }

    /// Whether the URL's origin may be shown a token.
    async fn allows(&self, url: &Url) -> Result<(), ApiError> {
        let is_within = self.base()?.is_none_or(|base| base.origin() == url.origin());
        if is_within && self.core.may_see_tokens(url, self.provider.as_deref()).await? {
            Ok(())
        } else {
            Err(ApiError::OriginNotAllowed {
                origin: url.origin().ascii_serialization(),
            })
        }
    }

    /// Puts the token into a request.
    fn attach(&self, credential: &Credential, headers: &mut HeaderMap, method: &Method, url: &Url) {
        let (nonces, now) = (&self.core.nonces, self.core.clock.now());
        credential.attach(headers, method.as_str(), url, nonces, now);
    }

    /// Runs the request on the core's runtime: a connection that is born on a worker of a framework with runtimes of their
    /// own stalls whoever shares it while that worker is busy. Whoever is on that runtime already is spared the way there and
    /// back. Dropping the call ends it.
    async fn run(
        &self,
        request: reqwest::Request,
        scheme: Scheme,
        party: &Party,
    ) -> Result<reqwest::Response, ApiError> {
        let runtime = &self.core.runtime;
        let http = party
            .bound_apis
            .as_ref()
            .map_or(&self.core.api_http, |apis| &apis.http);
        let span = spans::api(request.method(), request.url());
        let call = http
            .http
            .execute(http.of(scheme), request)
            .instrument(span.clone());
        let answer = if Handle::try_current().is_ok_and(|here| here.id() == runtime.id()) {
            call.await
        } else {
            AbortOnDropHandle::new(runtime.spawn(call))
                .await
                .map_err(|_| ApiError::ShuttingDown)?
        };
        let answer = answer.map_err(ApiError::of_call);
        match &answer {
            Ok(answer) => spans::answered(&span, answer.status()),
            Err(error) => spans::failed(&span, error.code()),
        }
        answer
    }
}

/// Whether the URL's origin is this one (RFC 6454 §6.2), which is of `http` or `https`.
fn is_of(url: &Url, origin: &str) -> bool {
    let begins_with_origin =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if begins_with_origin {
        return url[..Position::AfterPort] == *origin;
    }
    url.origin().ascii_serialization() == origin
}

/// This URL, which begins with `/`, below that base.
fn below(base: &str, url: &str) -> Result<Url, url::ParseError> {
    Url::parse(&format!("{}{url}", base.trim_end_matches('/')))
}

/// Whose token goes along.
pub(crate) enum Caller {
    User(AuthenticatedClient),
    Machine(MachineClient),
}

impl Caller {
    fn calls(&self) -> &Calls {
        match self {
            Self::User(client) => &client.calls,
            Self::Machine(client) => &client.calls,
        }
    }

    /// Whether the URL's origin may be shown a token. An error where that cannot be said at present.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) async fn allows(&self, url: &Url) -> Result<bool, ApiError> {
        match self.calls().allows(url).await {
            Ok(()) => Ok(true),
            Err(error @ ApiError::Token(_)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    pub(crate) async fn credential(&self) -> Result<Credential, ApiError> {
        match self {
            Self::User(client) => client.credential().await,
            Self::Machine(client) => client.credential(None).await,
        }
    }

    /// What to try next with, once this has been answered so; `None` where the answer stands.
    pub(crate) async fn next(
        &self,
        retries: &mut Retries,
        credential: &Credential,
        answer: &Learned<'_>,
    ) -> Result<Option<Credential>, ApiError> {
        match retries.after(credential, answer) {
            None => Ok(None),
            Some(Retry::WithNonce) => Ok(Some(credential.clone())),
            Some(Retry::WithAnotherToken) => match self {
                Self::User(client) => client.another_credential(&credential.token).await,
                Self::Machine(client) => client.credential(Some(&credential.token)).await.map(Some),
            },
        }
    }

    /// Sees to another token for the next call, once this one, which cannot be sent again, has been answered so.
    pub(crate) async fn renew(&self, mut retries: Retries, credential: &Credential, answer: &Learned<'_>) {
        if retries.after(credential, answer) == Some(Retry::WithAnotherToken) {
            match self {
                Self::User(client) => client.renew(&credential.token).await,
                Self::Machine(client) => client.renew(&credential.token).await,
            }
        }
    }

    /// Remembers what the answer of this origin says of nonces.
    pub(crate) fn learn(&self, credential: &Credential, url: &Url, headers: &HeaderMap) -> bool {
        // Bearer tokens need no nonces.
        credential.key.is_some() && {
            let origin = url.origin().ascii_serialization();
            credential.learn(&origin, headers, &self.calls().core.nonces)
        }
    }

    /// The request with the token, with a proof where that is bound to a key, and with the trace that it belongs to.
    pub(crate) fn signed(&self, mut request: reqwest::Request, credential: &Credential) -> reqwest::Request {
        // Taken out meanwhile: method and URL are looked at.
        let mut headers = std::mem::take(request.headers_mut());
        let (method, url) = (request.method(), request.url());
        self.calls().attach(credential, &mut headers, method, url);
        if let Some(trace) = &self.calls().trace
            && !headers.contains_key(TRACEPARENT)
        {
            headers.insert(TRACEPARENT, trace.parent.clone());
            if let Some(state) = &trace.state {
                headers.insert(TRACESTATE, state.clone());
            }
        }
        *request.headers_mut() = headers;
        request
    }

    /// Whose token it is: the provider's, whose tokens may be bound to a certificate.
    async fn party(&self) -> Result<Arc<Party>, ApiError> {
        let party = match self {
            Self::User(client) => client.party().await,
            Self::Machine(client) => client.calls.core.party_of_machine(&client.credentials).await,
        };
        party.map_err(ApiError::of_token)
    }

    async fn send(&self, request: reqwest::Request) -> Result<ApiResponse, ApiError> {
        let mut again = request.try_clone();
        let mut credential = self.credential().await?;
        let party = self.party().await?;
        let mut retries = Retries::default();
        let (mut response, mut has_nonce) = self.ask(request, &credential, &party).await?;
        loop {
            let answer = Learned {
                status: response.status(),
                headers: response.headers(),
                has_nonce,
            };
            let Some(request) = again.take() else {
                self.renew(retries, &credential, &answer).await;
                break;
            };
            // Where there is nothing to try with, the API's own answer is the answer.
            let Some(next) = self.next(&mut retries, &credential, &answer).await? else {
                break;
            };
            credential = next;
            again = request.try_clone();
            (response, has_nonce) = self.ask(request, &credential, &party).await?;
        }
        Ok(self.answer(response))
    }

    /// Sends the request; says whether the answer brought a nonce.
    ///
    /// A proof is for one URL, so reqwest, which would send the same one on, follows no redirect with it. A `GET` or `HEAD`
    /// within the origin is followed here, with a proof of its own for each step; any other is passed back.
    async fn ask(
        &self,
        mut request: reqwest::Request,
        credential: &Credential,
        party: &Party,
    ) -> Result<(reqwest::Response, bool), ApiError> {
        let scheme = Scheme::of(credential.key.as_ref());
        if scheme == Scheme::Bearer {
            let signed = self.signed(request, credential);
            return Ok((self.calls().run(signed, scheme, party).await?, false));
        }
        for _ in 0..MAX_REDIRECTS {
            let follows = [Method::GET, Method::HEAD].contains(request.method());
            let next = follows.then(|| request.try_clone()).flatten();
            let from = request.url().clone();
            let signed = self.signed(request, credential);
            let response = self.calls().run(signed, scheme, party).await?;
            let has_nonce = self.learn(credential, &from, response.headers());
            match next.and_then(|next| Some((next, redirect(&from, &response)?))) {
                Some((next, to)) => {
                    request = next;
                    *request.url_mut() = to;
                }
                None => return Ok((response, has_nonce)),
            }
        }
        let from = request.url().clone();
        let signed = self.signed(request, credential);
        let response = self.calls().run(signed, scheme, party).await?;
        let has_nonce = self.learn(credential, &from, response.headers());
        Ok((response, has_nonce))
    }

    /// The answer, with what it demands of the session's sign-in.
    fn answer(&self, mut response: reqwest::Response) -> ApiResponse {
        if let Self::User(client) = self
            && let Some(needs) = step_up::demanded(response.status(), response.headers())
        {
            let now = client.calls.core.clock.now();
            response
                .extensions_mut()
                .insert(needs.of_api(&client.session(), now));
        }
        ApiResponse(response)
    }
}

/// A request to be sent with an access token: the user's, or the application's own. Its methods are reqwest's.
///
/// # Example
///
/// ```no_run
/// # async fn example(api: auth_core::client::AuthenticatedClient) -> Result<(), auth_core::client::ApiError> {
/// use std::time::Duration;
///
/// let order = serde_json::json!({"item": "tea", "count": 2});
/// let answer = api.post("/orders").json(&order).timeout(Duration::from_secs(3)).send().await?;
/// answer.success().await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct RequestBuilder {
    caller: Caller,
    /// The URL, where it has to be resolved yet.
    relative: Option<String>,
    inner: Result<reqwest::RequestBuilder, ApiError>,
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBuilder")
    }
}

impl RequestBuilder {
    fn map(self, change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Self {
        Self {
            inner: self.inner.map(change),
            ..self
        }
    }

    /// Adds a header. `Authorization` is replaced by the token. What cannot be one makes [`send`](Self::send) fail
    /// ([`ApiError::BadRequest`]).
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        self.map(|inner| inner.header(name, value))
    }

    /// Adds headers, in the place of those that have their names. `Authorization` is replaced by the token.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.map(|inner| inner.headers(headers))
    }

    /// Sets the `Accept` header, as [`header`](Self::header).
    pub fn accept(self, media_type: &str) -> Self {
        self.header("accept", media_type)
    }

    /// Adds parameters to the URL's query. What cannot be written so makes [`send`](Self::send) fail ([`ApiError::BadRequest`]).
    pub fn query<T: Serialize + ?Sized>(self, query: &T) -> Self {
        self.map(|inner| inner.query(query))
    }

    /// Sends the value as JSON. What cannot be written so makes [`send`](Self::send) fail ([`ApiError::BadRequest`]).
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.map(|inner| inner.json(value))
    }

    /// Sends the value as a form (`application/x-www-form-urlencoded`). What cannot be written so makes [`send`](Self::send) fail
    /// ([`ApiError::BadRequest`]).
    pub fn form<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.map(|inner| inner.form(value))
    }

    /// Sends a form of several parts (RFC 7578). It goes as a stream, and cannot be sent again after a 401.
    pub fn multipart(self, form: reqwest::multipart::Form) -> Self {
        self.map(|inner| inner.multipart(form))
    }

    /// Sends this body. One that is a stream (`reqwest::Body::wrap_stream`) cannot be sent again after a 401.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.map(|inner| inner.body(body))
    }

    /// The limit for this call in all, the body of its answer included. Default:
    /// [`AuthBuilder::http_timeout`](crate::AuthBuilder::http_timeout), 10 seconds. What comes before it, a refresh of the token
    /// say, does not count, and where the call is sent again after a 401, each try has this limit. Zero leaves no time for an
    /// answer.
    pub fn timeout(self, limit: Duration) -> Self {
        self.map(|inner| inner.timeout(limit))
    }

    /// Sends the request. Any status is an answer here; [`ApiResponse::json`] and its kin then tell success from
    /// failure.
    ///
    /// Dropping the future ends the call, which the API may have got by then. A refresh of the token that it waits for goes on.
    ///
    /// # Errors
    ///
    /// [`ApiError::BadRequest`], [`BadUrl`](ApiError::BadUrl), [`NoBaseUrl`](ApiError::NoBaseUrl) or
    /// [`OriginNotAllowed`](ApiError::OriginNotAllowed) for a call that the application must not or cannot make: nothing was sent.
    /// [`ApiError::Token`] where there is no access token that is alive, whose cause says who has to act.
    /// [`ApiError::Unreachable`], [`Timeout`](ApiError::Timeout) or [`ShuttingDown`](ApiError::ShuttingDown) where there is no
    /// answer: whether the API has carried the request out is not known.
    pub async fn send(self) -> Result<ApiResponse, ApiError> {
        let mut request = self.inner?.build().map_err(|_| ApiError::BadRequest)?;
        let calls = self.caller.calls();
        if let Some(relative) = &self.relative {
            calls.resolve(relative, &mut request).await?;
        }
        calls.allows(request.url()).await?;
        self.caller.send(request).await
    }
}

/// What is tried again of a call, and how often: once with another token, and with either token once with the nonce that an API
/// demands (RFC 9449 §9).
#[derive(Debug, Default)]
pub(crate) struct Retries {
    had_nonce: bool,
    had_token: bool,
}

/// Why something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// With the nonce that the answer brought.
    WithNonce,
    /// With another token.
    WithAnotherToken,
}

/// An API's answer, once its nonce was looked at.
pub(crate) struct Learned<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// Whether it brought a nonce that can be used.
    pub(crate) has_nonce: bool,
}

impl Retries {
    /// What is to be tried after this answer; `None` where it stands.
    pub(crate) fn after(&mut self, credential: &Credential, answer: &Learned<'_>) -> Option<Retry> {
        if answer.status != StatusCode::UNAUTHORIZED {
            return None;
        }
        if credential.key.is_some() && is_demand_for_nonce(answer.status, answer.headers) {
            // It is no word about the token, so another one would not help.
            let is_first = !std::mem::replace(&mut self.had_nonce, true);
            return (is_first && answer.has_nonce).then_some(Retry::WithNonce);
        }
        // Nor would it where the proof is what is wrong (RFC 9449 §7.1): a clock, mostly.
        if credential.key.is_some() && step_up::names_error(answer.headers, "dpop", "invalid_dpop_proof") {
            return None;
        }
        // Nor would it where another sign-in is asked for (RFC 9470 §3).
        if step_up::demanded(answer.status, answer.headers).is_some() {
            return None;
        }
        self.had_nonce = false;
        let is_first = !std::mem::replace(&mut self.had_token, true);
        is_first.then_some(Retry::WithAnotherToken)
    }
}

/// What lets a request of one's own in, one that no client of this library sends; made by
/// [`AuthenticatedClient::authorization`] and [`MachineClient::authorization`]. It is for one request: another try needs
/// another one, for an API takes a proof once.
///
/// # Example
///
/// ```no_run
/// # async fn example(
/// #     api: auth_core::client::AuthenticatedClient,
/// #     http: reqwest::Client,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let url = "https://api.example/reports";
/// for _ in 0..2 {
///     let authorization = api.authorization(&http::Method::GET, url).await?;
///     let answer = http.get(url).headers(authorization.headers().clone()).send().await?;
///     if !authorization.demands_another(answer.status(), answer.headers()) {
///         return Ok(());
///     }
///     // The API wants a nonce in the proof, and has given it: the next one has it.
/// }
/// # Ok(())
/// # }
/// ```
pub struct Authorization {
    core: Arc<Core>,
    credential: Credential,
    origin: String,
    headers: HeaderMap,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Authorization {
    /// `Authorization` and, for a token that is bound to a key, `DPoP`. Never log them, and never send them to a browser.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Remembers the nonce that the API's answer brings for the next proof (`DPoP-Nonce`, RFC 9449 §8.2), and says whether the
    /// answer is a demand for it (`use_dpop_nonce`, §9), so that the request is worth another try. To be told of every answer.
    pub fn demands_another(&self, status: StatusCode, answer: &HeaderMap) -> bool {
        let has_nonce = self.credential.learn(&self.origin, answer, &self.core.nonces);
        has_nonce && is_demand_for_nonce(status, answer)
    }
}

/// The connections to the APIs.
pub(crate) struct ApiHttp {
    /// Follows redirects within one origin.
    following: reqwest::Client,
    /// Follows none: for requests with a proof. Made when the first is sent, for the system's roots take their time.
    staying: OnceLock<reqwest::Client>,
    http: ProviderHttp,
    certificate: Option<ClientCertificate>,
}

impl ApiHttp {
    /// With the time limit and roots of `http`; the APIs see the certificate, where there is one.
    pub(crate) fn new(
        http: &ProviderHttp,
        certificate: Option<&ClientCertificate>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            following: http.for_apis(certificate, same_origin_redirects)?,
            staying: OnceLock::new(),
            http: http.clone(),
            certificate: certificate.cloned(),
        })
    }

    fn of(&self, scheme: Scheme) -> &reqwest::Client {
        match scheme {
            Scheme::Bearer => &self.following,
            Scheme::Dpop => self.staying.get_or_init(|| {
                self.http
                    .for_apis(self.certificate.as_ref(), Policy::none)
                    .expect("the other client was made of the same settings")
            }),
        }
    }
}

/// Where an answer leads to within its own origin.
fn redirect(from: &Url, answer: &reqwest::Response) -> Option<Url> {
    const LEADING: [u16; 5] = [301, 302, 303, 307, 308];
    if !LEADING.contains(&answer.status().as_u16()) {
        return None;
    }
    let to = answer.headers().get(LOCATION)?.to_str().ok()?;
    let to = from.join(to).ok()?;
    (to.origin() == from.origin()).then_some(to)
}

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// Follows redirects within one origin, as far as five of them; passes any other back.
fn same_origin_redirects() -> Policy {
    Policy::custom(|attempt: Attempt<'_>| {
        let stays = attempt
            .previous()
            .last()
            .is_some_and(|last| last.origin() == attempt.url().origin());
        if stays && attempt.previous().len() <= MAX_REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

/// An API's answer, whatever its status. [`json`](Self::json), [`text`](Self::text), [`bytes`](Self::bytes) and
/// [`success`](Self::success) make an error of a status that is no success.
pub struct ApiResponse(reqwest::Response);

impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiResponse({})", self.0.status())
    }
}

impl ApiResponse {
    /// The status code, the API's own.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers, the API's own.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The body as JSON, if the status is a success.
    ///
    /// # Errors
    ///
    /// [`ApiError::NotJson`] for a body that does not fit, and as [`bytes`](Self::bytes).
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|_| ApiError::NotJson)
    }

    /// The body as text, if the status is a success. What is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, ApiError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The body, if the status is a success.
    ///
    /// # Errors
    ///
    /// As [`success`](Self::success) for any other status; [`ApiError::TooLarge`] for more than [`MAX_BODY`] bytes;
    /// [`ApiError::Unreachable`] or [`ApiError::Timeout`] where the connection breaks off or the body takes too long.
    pub async fn bytes(self) -> Result<Bytes, ApiError> {
        self.success().await?.read(MAX_BODY).await
    }

    /// The answer itself, if its status is a success.
    ///
    /// # Errors
    ///
    /// [`ApiError::StepUp`] where the API demands another sign-in, or [`ApiError::StepUpDenied`] where the user has been through
    /// that already; [`ApiError::Status`] for any other status that is no success, with the body unless it is longer than
    /// [`MAX_ERROR_BODY`].
    pub async fn success(mut self) -> Result<Self, ApiError> {
        let status = self.status();
        if status.is_success() {
            return Ok(self);
        }
        let verdict = self.0.extensions_mut().remove::<Verdict>();
        let content_type = self
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        // A body that cannot be read, or is too long, is left out: the status says enough.
        let body = self.read(MAX_ERROR_BODY).await.unwrap_or_default();
        Err(match verdict {
            Some(Verdict::Ask(step_up)) => ApiError::StepUp(step_up),
            Some(Verdict::Denied(step_up)) => ApiError::StepUpDenied(step_up),
            None => ApiError::Status {
                status,
                content_type,
                body,
            },
        })
    }

    /// The answer as reqwest's type, whatever its status, to be streamed for example.
    #[must_use]
    pub fn into_inner(self) -> reqwest::Response {
        self.0
    }

    async fn read(mut self, limit: usize) -> Result<Bytes, ApiError> {
        // Most bodies come in one piece, which is passed on as it is.
        let mut whole = Bytes::new();
        let mut pieces = BytesMut::new();
        while let Some(chunk) = self.0.chunk().await.map_err(ApiError::of_call)? {
            if whole.len() + pieces.len() + chunk.len() > limit {
                return Err(ApiError::TooLarge);
            }
            if whole.is_empty() && pieces.is_empty() {
                whole = chunk;
            } else {
                pieces.extend_from_slice(&std::mem::take(&mut whole));
                pieces.extend_from_slice(&chunk);
            }
        }
        Ok(if pieces.is_empty() { whole } else { pieces.freeze() })
    }
}

/// Why a call to a downstream API did not give what was asked. No text of the API is in its `Display`.
///
/// A handler returns it as it is, and the answer says whose turn it is.
///
/// # Example
///
/// ```
/// use auth_core::client::{ApiError, AuthenticatedClient};
///
/// /// `None` where there is no such order.
/// async fn order(api: &AuthenticatedClient, id: u64) -> Result<Option<serde_json::Value>, ApiError> {
///     match api.get(format!("/orders/{id}")).send().await?.json().await {
///         Ok(order) => Ok(Some(order)),
///         Err(ApiError::Status { status, .. }) if status.as_u16() == 404 => Ok(None),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The URL does not parse.
    #[error("the API's URL does not parse")]
    BadUrl,
    /// The URL is relative, and no API is configured.
    #[error("the URL is relative and there is no API_URL")]
    NoBaseUrl,
    /// The URL's origin is not one of the configured APIs'.
    #[error("{origin} is not among the APIs that may be shown a token")]
    OriginNotAllowed {
        /// That origin, `https://elsewhere.example`.
        origin: String,
    },
    /// The request could not be built: a header that is none, a value that cannot be written as JSON.
    #[error("the request to the API could not be built")]
    BadRequest,
    /// There is no access token that is alive. The cause says why: whether the user has to sign in again, or the provider is down.
    #[error("there is no access token for the call")]
    Token(#[source] Box<Error>),
    /// The API cannot be reached, or the connection broke off.
    #[error("the API cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The API did not answer in time ([`RequestBuilder::timeout`]). It may have carried the request out.
    #[error("the API did not answer in time")]
    Timeout,
    /// The API demands another sign-in: 401 `insufficient_user_authentication` (RFC 9470 §3), or 403 `insufficient_scope`
    /// that names scopes (RFC 6750 §3.1). Returned from a handler, it sends a browser to sign in so and back to the same
    /// page; a script gets the challenge.
    #[error("the API demands another sign-in")]
    StepUp(Box<StepUp>),
    /// The same, and the user had signed in for its sake already: 403, for browsers too.
    #[error("the API is not content with the sign-in that it demanded")]
    StepUpDenied(Box<StepUp>),
    /// The API answered with a status that is no success.
    #[error("the API answered with status {status}")]
    Status {
        /// The API's status.
        status: StatusCode,
        /// The body's media type (`Content-Type`), where the API names one.
        content_type: Option<String>,
        /// The body; empty where it could not be read or has more than [`MAX_ERROR_BODY`] bytes.
        body: Bytes,
    },
    /// The API answered with a 4xx, and the handler passes it on ([`passed_on`](Self::passed_on)).
    #[error("the API answered with status {status}, which is passed on")]
    PassedOn {
        /// The API's status.
        status: StatusCode,
        /// The body's media type (`Content-Type`), where the API names one.
        content_type: Option<String>,
        /// The body; empty where it could not be read or has more than [`MAX_ERROR_BODY`] bytes.
        body: Bytes,
    },
    /// The body is not the JSON that was asked for.
    #[error("the API's answer is not the JSON that was asked for")]
    NotJson,
    /// The body is larger than [`MAX_BODY`].
    #[error("the API's answer is too large")]
    TooLarge,
    /// The app is shutting down.
    #[error("the application is shutting down")]
    ShuttingDown,
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not derived: the body is the API's, and the user's.
        write!(f, "ApiError({self})")
    }
}

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        Self::Token(Box::new(error.into()))
    }
}

impl ApiError {
    /// Lets an API's own 4xx be this app's answer to a script: status, and the body where it is JSON. Any other failure
    /// stays what it is, and is answered with 502; so does a demand for another sign-in, which is answered as
    /// [`StepUp`](Self::StepUp) says.
    ///
    /// ```
    /// # use auth_core::client::{ApiError, AuthenticatedClient};
    /// # async fn handler(api: AuthenticatedClient) -> Result<(), ApiError> {
    /// let me: serde_json::Value =
    ///     api.get("/me").send().await?.json().await.map_err(ApiError::passed_on)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn passed_on(self) -> Self {
        match self {
            Self::Status {
                status,
                content_type,
                body,
            } if status.is_client_error() => Self::PassedOn {
                status,
                content_type,
                body,
            },
            other => other,
        }
    }

    fn of_token(error: Error) -> Self {
        Self::Token(Box::new(error))
    }

    fn of_call(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Unreachable(error.without_url())
        }
    }

    pub(crate) fn step_up(&self) -> Option<&StepUp> {
        match self {
            Self::StepUp(step_up) | Self::StepUpDenied(step_up) => Some(step_up),
            _ => None,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::BadUrl | Self::NoBaseUrl | Self::BadRequest => "api.bad_request",
            Self::OriginNotAllowed { .. } => "api.origin_not_allowed",
            Self::Token(error) => error.code(),
            Self::Unreachable(_) => "api.unreachable",
            Self::Timeout => "api.timeout",
            Self::StepUp(_) => "api.step_up",
            Self::StepUpDenied(_) => "api.step_up_denied",
            Self::Status { .. } | Self::PassedOn { .. } => "api.status",
            Self::NotJson | Self::TooLarge => "api.malformed",
            Self::ShuttingDown => "api.shutting_down",
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::BadUrl | Self::NoBaseUrl | Self::BadRequest | Self::OriginNotAllowed { .. } => {
                Fault::Configuration
            }
            Self::Token(error) => error.fault(),
            Self::StepUp(_) | Self::StepUpDenied(_) => Fault::NotAllowed,
            _ => Fault::Downstream,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::BadUrl | Self::NoBaseUrl | Self::BadRequest | Self::OriginNotAllowed { .. } => 500,
            Self::Token(error) => error.status(),
            Self::ShuttingDown => 503,
            Self::StepUp(step_up) => step_up.status(),
            Self::StepUpDenied(_) => 403,
            Self::PassedOn { status, .. } => status.as_u16(),
            _ => 502,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpop::DpopKey;

    #[tokio::test]
    async fn a_body_is_read_whole_in_however_many_pieces_it_comes() {
        let read = async |pieces: &[&'static str]| {
            let pieces: Vec<_> = pieces.iter().copied().map(Ok::<_, std::io::Error>).collect();
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
            ApiResponse(http::Response::new(body).into()).read(3).await
        };
        for pieces in [
            &[][..],
            &["abc"],
            &["", "abc"],
            &["ab", "", "c"],
            &["a", "b", "c"],
        ] {
            assert_eq!(read(pieces).await.expect("small enough"), pieces.concat());
        }
        for pieces in [&["abcd"][..], &["abc", "d"], &["a", "bcd"], &["a", "b", "cd"]] {
            assert!(
                matches!(read(pieces).await, Err(ApiError::TooLarge)),
                "{pieces:?}"
            );
        }
    }

    // RFC 6454 §5, §6.2
    #[test]
    fn an_origin_is_read_off_a_url_as_the_url_standard_serializes_it() {
        let urls = [
            "https://api.example",
            "https://api.example/a?b#c",
            "HTTPS://API.EXAMPLE:443/",
            "https://api.example:8443/",
            "https://api.example.evil.example/",
            "https://api.example@evil.example/",
            "https://ada:secret@api.example/",
            "https://ada@api.example:8443/",
            "https://api.example:80/",
            "http://api.example/",
            "http://api.example:443/",
            "https://b\u{fc}cher.example/",
            "https://xn--bcher-kva.example/",
            "https://[::1]:3000/",
            "http://127.0.0.1/",
            "http://127.0.0.1:80",
            "http://127.1/",
            "ftp://api.example/",
            "ws://api.example/",
            "blob:https://api.example/1",
            "blob:http://ada@127.0.0.1/1",
            "data:text/plain,https://api.example",
            "file:///api.example",
            "foo://api.example",
        ]
        .map(|url| Url::parse(url).expect("a URL"));
        for url in &urls {
            for other in urls.iter().filter(|url| matches!(url.scheme(), "http" | "https")) {
                let origin = other.origin().ascii_serialization();
                assert_eq!(
                    is_of(url, &origin),
                    url.origin() == other.origin(),
                    "{url} {origin}"
                );
            }
        }
    }

    // RFC 9449 §7.1, RFC 6750 §3.1
    #[test]
    fn another_token_is_no_answer_to_a_proof_that_is_refused() {
        let bound = Credential {
            token: AccessToken::new("a"),
            key: Some(DpopKey::generate()),
        };
        for (error, retry) in [
            ("invalid_dpop_proof", None),
            ("invalid_token", Some(Retry::WithAnotherToken)),
        ] {
            let mut headers = HeaderMap::new();
            let challenge = format!("DPoP error=\"{error}\"");
            headers.insert("www-authenticate", challenge.parse().expect("a header"));
            let answer = Learned {
                status: StatusCode::UNAUTHORIZED,
                headers: &headers,
                has_nonce: false,
            };
            assert_eq!(Retries::default().after(&bound, &answer), retry, "{error}");
        }
    }
}
