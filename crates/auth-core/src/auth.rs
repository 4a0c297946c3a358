//! [`Auth`]: what an adapter holds. One method per route, from request values to an answer.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::app_sessions::AppSessions;
use crate::choices::{SignInChoice, SignInChoices};
use crate::client::{ApiHttp, AuthenticatedClient};
use crate::clock::{Clock, Timestamp};
use crate::config::{AuthBuilder, Config, paths};
use crate::cookie;
use crate::csrf::CrossSite;
use crate::dpop::Nonces;
use crate::error::{Error, Fault, NotSignedIn, SetupError};
use crate::events::{EndReason, EventKind, Sender};
use crate::gate::OnRefusal;
use crate::grants::TokenCache;
use crate::login::{self, ClockSkew, LoginError, LoginOptions};
use crate::logout::Unrevoked;
use crate::logout_token::LogoutTokenError;
use crate::metadata::ProviderError;
use crate::metrics;
use crate::opened::OpenedBodies;
use crate::origins::{OriginId, Place};
use crate::party::{Party, ProviderInfo};
use crate::provider_logout::Refusal;
use crate::proxy::Transport;
use crate::refresh::{Flights, POLL, RefreshError, WAIT_FOR_HOLDER};
use crate::reply::{Reply, SessionChange};
use crate::request::{Again, Glance, Incoming, Parameters, RequestHead, RouteRequest};
use crate::respond;
use crate::seal::Purpose;
use crate::secret::{AccessToken, SessionId};
use crate::session::{Session, SessionData};
use crate::sign_in::FailedSignIn;
use crate::spans;
use crate::step_up::Ask;
use crate::store::{self, Record, SessionKey, SessionStore, StoreError};
use crate::token::TokenError;
use crate::types::{BaseUrl, Issuer, ReturnTo};
use crate::watch::Watch;

/// Sign-in, sessions and tokens of one application. Cheap to clone; all clones are one.
///
/// Made by [`Auth::builder`] or [`Auth::from_env`]. The adapters add routes, a layer and extractors; the methods here
/// are what they are made of, and what code outside of requests uses.
///
/// # Example
///
/// Work for a user outside of a request, by the session's key, which a handler has queued with the job:
///
/// ```no_run
/// # async fn example(key: auth_core::store::SessionKey) -> Result<(), Box<dyn std::error::Error>> {
/// use auth_core::Auth;
///
/// let auth = Auth::from_env().await?;
/// match auth.session(&key).await? {
///     Some(session) => auth.client(&session).post("/reports").send().await?.success().await?,
///     // Signed out meanwhile: there is nobody to do it for.
///     None => return Ok(()),
/// };
/// // At the end of the program, so that no token is lost that is being renewed.
/// auth.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Auth(Arc<Core>);

/// What all parts share.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) api_http: ApiHttp,
    /// The nonces of the resource servers.
    pub(crate) nonces: Nonces,
    /// The connections of the proxies.
    pub(crate) proxy: Transport,
    pub(crate) clock: Clock,
    /// Outlives the requests; whatever changes tokens runs on it.
    pub(crate) runtime: Handle,
    /// Everything that is under way and must not be cut off.
    tasks: TaskTracker,
    /// The refreshes of this process.
    pub(crate) flights: Mutex<Flights>,
    /// Tokens that are still to be revoked.
    pub(crate) unrevoked: Unrevoked,
    /// The bodies of sessions in use.
    pub(crate) opened: OpenedBodies,
    /// Who waits for the end of which session.
    pub(crate) watch: Watch,
    /// The providers that nobody signs in with, by name.
    pub(crate) further: HashMap<String, Arc<Party>>,
    /// Tokens that the sessions' were exchanged for, and those of the application's own.
    pub(crate) exchanged: TokenCache,
    pub(crate) machine: TokenCache,
}

/// How many exchanged tokens are kept of one session, and of all; how many of the application's own.
const EXCHANGED_TOKENS: (usize, usize) = (32, 10_000);
const MACHINE_TOKENS: usize = 1_000;

/// A `login_hint` that is longer, in bytes, is left out: it goes into a redirect, whose length proxies limit.
const MAX_LOGIN_HINT: usize = 1024;
/// How long a provider may keep the client's public keys.
const KEYS_KEPT: Duration = Duration::from_secs(300);
/// How often expired sessions are swept out of the store.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// A session's use is written down at most this many times per idle period.
const TOUCHES_PER_IDLE_PERIOD: u32 = 32;

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("issuer", &self.issuer())
            .field("client_id", &self.0.config.parties.first().registration.client_id)
            .field("base_url", &self.base_url())
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// A builder with the default settings; [`AuthBuilder::build`] makes an [`Auth`] of it.
    pub fn builder() -> AuthBuilder {
        AuthBuilder::default()
    }

    pub(crate) fn of(core: &Arc<Core>) -> Self {
        Self(Arc::clone(core))
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0
    }

    pub(crate) fn new(
        config: Config,
        further: HashMap<String, Arc<Party>>,
        store: Arc<dyn SessionStore>,
        api_http: ApiHttp,
        clock: Clock,
        runtime: Handle,
    ) -> Self {
        #[cfg(feature = "metrics")]
        metrics::describe();
        let core = Arc::new(Core {
            further,
            exchanged: TokenCache::new(EXCHANGED_TOKENS.0, EXCHANGED_TOKENS.1),
            machine: TokenCache::new(MACHINE_TOKENS, MACHINE_TOKENS),
            config,
            store: store::observed(store),
            api_http,
            nonces: Nonces::default(),
            proxy: Transport::default(),
            clock,
            runtime,
            tasks: TaskTracker::new(),
            flights: Mutex::new(Flights::default()),
            unrevoked: Unrevoked::default(),
            opened: OpenedBodies::default(),
            watch: Watch::default(),
        });
        core.runtime.spawn(sweep(Arc::downgrade(&core)));
        Self(core)
    }

    /// The provider; of [several](AuthBuilder::provider), the first. For a plain OAuth 2.0 provider this is its token endpoint.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        self.0.config.parties.first().issuer.clone()
    }

    /// The app's own public origin, `https://app.example`; of [several](AuthBuilder::further_base_url), the first.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.0.config.origins.first().origin()
    }

    /// The present instant by the configured clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    // ---- what an adapter's layer and extractors need --------------------------------------------------------

    /// Reads off a request what is needed to answer it with a refusal.
    #[must_use]
    pub fn incoming(&self, head: &impl RequestHead) -> Incoming {
        self.arrival(head).0
    }

    /// The session identifier in the request's cookie. A corrupt one is none; of several the first that can be read.
    #[must_use]
    pub fn session_id(&self, head: &impl RequestHead) -> Option<SessionId> {
        let config = &self.0.config;
        let found = Glance::of(head, config.cookies.session(), "").session();
        found.map(|id| id.brought_to(config.origins.of(head)))
    }

    /// [`incoming`](Self::incoming) and [`session_id`](Self::session_id) in one walk over the headers.
    #[must_use]
    pub fn arrival(&self, head: &impl RequestHead) -> (Incoming, Option<SessionId>) {
        Incoming::of(head, &self.0.config)
    }

    /// The session identifier in a form that may lie in the app's own session layer: sealed, so that whoever reads that
    /// layer's store does not learn it.
    #[must_use]
    pub fn seal_session_id(&self, id: &SessionId) -> String {
        URL_SAFE_NO_PAD.encode(
            self.0
                .config
                .keys
                .seal(Purpose::Carrier, b"", id.expose().as_bytes()),
        )
    }

    /// The session identifier that [`seal_session_id`](Self::seal_session_id) sealed, as this request brings it. A corrupt one is
    /// none.
    #[must_use]
    pub fn open_session_id(&self, sealed: &str, incoming: &Incoming) -> Option<SessionId> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let text = self.0.config.keys.open(Purpose::Carrier, b"", &sealed).ok()?;
        let id = SessionId::parse(std::str::from_utf8(&text).ok()?)?;
        Some(id.brought_to(incoming.at))
    }

    /// The `Set-Cookie` line that carries out a change of the session identifier, if there is one.
    #[must_use]
    pub fn session_cookie(&self, change: &SessionChange) -> Option<String> {
        let config = &self.0.config;
        let (name, https) = (config.cookies.session(), config.origins.first().is_https());
        match change {
            SessionChange::Keep => None,
            SessionChange::Set { id, .. } => {
                Some(cookie::set(name, id.expose(), https, config.session_max, false))
            }
            SessionChange::Clear => Some(cookie::remove(name, https, false)),
        }
    }

    /// The signed-in session behind an identifier, with an access token that is alive: refreshed first where it is
    /// dead, refreshed in the background where it is about to die. One access to the store, none without an
    /// identifier.
    ///
    /// A refresh that has begun goes on where the future is dropped, and the next request finds its tokens.
    ///
    /// # Errors
    ///
    /// [`Error::NotSignedIn`] where nobody is signed in, or no longer; [`Error::Refresh`] or [`Error::Provider`] where the token
    /// is dead and cannot be refreshed at present, or the session's provider [is looked up](AuthBuilder::providers_from) and
    /// that fails; [`Error::Store`] where the store does not answer. But for the first the session is kept, and
    /// [`Error::fault`] says who has to act.
    pub async fn authenticate(&self, id: Option<&SessionId>) -> Result<Session, Error> {
        let (session, now) = self.find(id).await?;
        if session.data.is_fresh(now) {
            return Ok(session);
        }
        // Boxed, so that what is rare makes the usual future no larger: each request has one of them on the heap.
        Ok(Box::pin(self.0.fresh(session)).await?)
    }

    /// What [`authenticate`](Self::authenticate) would give, where that is known without waiting for anything: nobody is signed in,
    /// or the store has its sessions in memory and the access token is alive. `None` where it has to be waited for. For adapters:
    /// it spares most requests a future.
    ///
    /// # Errors
    ///
    /// [`Error::NotSignedIn`] where nobody is signed in, or no longer.
    #[must_use]
    pub fn authenticate_at_once(&self, id: Option<&SessionId>) -> Option<Result<Session, Error>> {
        let core = &self.0;
        let Some(id) = id else {
            return Some(Err(NotSignedIn::NoSession.into()));
        };
        if core.store.system().is_some() {
            // It is waited for in any case, and the key need not be made twice.
            return None;
        }
        let (key, now) = (id.key(), self.now());
        let Some(record) = core.store.load_at_once(&key, now)? else {
            return Some(Err(NotSignedIn::Ended.into()));
        };
        let session = core.serve_at_once(&key, &record, now, false)?;
        if !core.is_good_at(&session, id.at()) {
            return Some(Err(NotSignedIn::Ended.into()));
        }
        if !session.data.is_fresh(now) {
            return None;
        }
        core.note_use(&session, now);
        Some(Ok(session))
    }

    /// The signed-in session behind an identifier as it is: nothing is refreshed, and the access token may be dead. One access to
    /// the store, none without an identifier.
    ///
    /// # Errors
    ///
    /// [`Error::NotSignedIn`], also where the access token is dead and there is nothing to refresh it with;
    /// [`Error::Store`] where the store does not answer; [`Error::Provider`] where the session's provider
    /// [is looked up](AuthBuilder::providers_from) and that fails.
    pub async fn peek(&self, id: Option<&SessionId>) -> Result<Session, Error> {
        let (session, now) = self.find(id).await?;
        if session.is_over(now) {
            return Err(NotSignedIn::TokenExpired.into());
        }
        Ok(session)
    }

    /// The session behind an identifier, whose use is written down, and when it was found.
    async fn find(&self, id: Option<&SessionId>) -> Result<(Session, Timestamp), Error> {
        let core = &self.0;
        let id = id.ok_or(NotSignedIn::NoSession)?;
        let key = id.key();
        let now = self.now();
        let (record, now, was_asked) = match core.store.load_at_once(&key, now) {
            Some(known) => (known, now, false),
            // It may have taken a while.
            None => (core.store.load(&key, now).await?, self.now(), true),
        };
        let record = record.ok_or(NotSignedIn::Ended)?;
        let session = match core.serve_at_once(&key, &record, now, was_asked) {
            Some(session) => Some(session),
            None => Box::pin(core.serve(&key, record, now)).await?,
        };
        let session = session.filter(|session| core.is_good_at(session, id.at()));
        let session = session.ok_or(NotSignedIn::Ended)?;
        core.note_use(&session, now);
        Ok((session, now))
    }

    /// Turns a failure into an answer: a redirect, a page, or `application/problem+json`. Logs it, so it is called
    /// once, where the failure ends.
    pub fn refuse(&self, error: &Error, incoming: &Incoming, or: &OnRefusal) -> Reply {
        let refused = EventKind::RequestRefused {
            code: error.code(),
            fault: error.fault(),
        };
        self.0
            .tell(refused, |event| event.sent_by(incoming.sender.as_deref()));
        respond::refuse(&self.0.config, error, incoming, or, self.now())
    }

    /// Takes the copy of a request that the route methods work on. `session` is the identifier that the request
    /// brings, by whatever carrier.
    #[must_use]
    pub fn route_request(
        &self,
        head: &impl RequestHead,
        body: Vec<u8>,
        session: Option<SessionId>,
    ) -> RouteRequest {
        RouteRequest::new(head, body, session, &self.0.config)
    }

    /// The app's own sessions, in the same store: what the adapters' session layers are made of.
    ///
    /// # Errors
    ///
    /// [`SetupError::AppDataUnsupported`] where the store is one of the app's own that keeps sessions only.
    pub fn app_sessions(&self) -> Result<AppSessions, SetupError> {
        AppSessions::new(&self.0)
    }

    // ---- what code outside of requests needs ----------------------------------------------------------------

    /// The session with this key, for a background job: as it is, without refreshing anything. `None` where it has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store does not answer; [`Error::Provider`] where the session's provider
    /// [is looked up](AuthBuilder::providers_from) and that fails. In both cases the session may well be there.
    pub async fn session(&self, key: &SessionKey) -> Result<Option<Session>, Error> {
        self.0.load_served(key).await
    }

    /// A client that calls downstream APIs for this session.
    #[must_use]
    pub fn client(&self, session: &Session) -> AuthenticatedClient {
        AuthenticatedClient::new(Arc::clone(&self.0), session.clone())
    }

    /// The session's access token, alive: refreshed first where it is not. Never log it, and never send it to a
    /// browser. Where it is bound to a key ([`AuthBuilder::dpop`]), it lets nobody in by itself:
    /// [`AuthenticatedClient::authorization`] gives what a request has to bring.
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    pub async fn access_token(&self, session: &Session) -> Result<AccessToken, Error> {
        let session = self.0.fresh(session.clone()).await?;
        let token = session.data.tokens.access.clone();
        Ok(token.ok_or(NotSignedIn::TokenExpired)?)
    }

    /// Revokes the session's access token at the provider (RFC 7009 §2.1) and drops it here. The session goes on: the
    /// next use refreshes the token. Without a refresh token that is the session's end. A provider that has no revocation endpoint
    /// is not asked.
    ///
    /// Once begun it is done, also where the future is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] where the provider is down, [`Error::Refresh`] where it refuses to revoke; the token is kept then.
    /// [`Error::Refresh`] also where another instance refreshes the session for more than 10 seconds, and [`Error::Store`] where
    /// the store does not answer: the token may be revoked then and still be here, and to call this again drops it.
    pub async fn revoke_access_token(&self, session: &Session) -> Result<(), Error> {
        let core = Arc::clone(&self.0);
        let session = session.clone();
        self.0
            .spawn(async move { core.revoke_access_token(session).await })
            .await
            .unwrap_or_else(|_| Err(RefreshError::Interrupted.into()))
    }

    /// Ends the session here and revokes its tokens in the background (RFC 7009 §2.1). Once begun it is done, also where the
    /// future is dropped. A session that has ended already is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store does not answer; the session may or may not have ended then.
    pub async fn end_session(&self, session: &Session) -> Result<(), Error> {
        let (core, session) = (Arc::clone(&self.0), session.clone());
        // To its end, whether or not anyone waits for it: what is removed is revoked.
        let ended = self.0.spawn(async move {
            let Removed { session, was_there } = core.remove(session, EndReason::EndedByApp, None).await?;
            // One that is gone was ended by somebody else, who revokes, or goes on under another name with other tokens.
            if was_there {
                let tokens = session.data.tokens.clone();
                let whose = session.data.issued_by();
                core.revoke_in_background(session.key, whose, tokens.refresh, tokens.access);
                tracing::info!(session = ?session.key, "the session was ended");
            }
            Ok(())
        });
        ended.await.unwrap_or(Err(RefreshError::Interrupted.into()))
    }

    /// Checks that the store can be reached, for a readiness probe. The provider is not asked: sessions go on while it is down.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where it does not answer; those of this crate have 5 seconds to.
    ///
    /// # Example
    ///
    /// ```
    /// async fn health(auth: &auth_core::Auth) -> u16 {
    ///     auth.ready().await.map_or_else(|error| error.status(), |()| 200)
    /// }
    /// ```
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.0.store.ping().await?)
    }

    /// Waits for every refresh, sign-in and revocation under way. Called once, after the server has stopped. How long that takes
    /// follows from the limits of each, [`http_timeout`](AuthBuilder::http_timeout) above all; whoever drops the future waits no
    /// more.
    ///
    /// Tokens whose revocation waits to be tried again are tried once more, within a second in all, and given up.
    pub async fn shutdown(&self) {
        self.0.tasks.close();
        self.0.unrevoked.stop();
        self.0.tasks.wait().await;
    }

    // ---- the routes -----------------------------------------------------------------------------------------

    /// `GET` and `POST /auth/login`: sends the browser to the provider (OpenID Connect Core §3.1.2.1, §4).
    pub async fn login(&self, request: RouteRequest) -> Reply {
        if !matches!(request.method.as_str(), "GET" | "POST") {
            return self.not_allowed(&request);
        }
        if request.is_prefetch {
            return Self::not_ahead();
        }
        let parameters = if request.method == "POST" {
            request.form_parameters()
        } else {
            request.query_parameters()
        };
        let at = request.incoming.at;
        let origin = self.0.config.origins.get(at);
        // A third party names the target as a whole URL (§4).
        let target = parameters
            .get("target_link_uri")
            .map(|target| target.strip_prefix(origin.origin()).unwrap_or(target));
        let mut return_to = ReturnTo::parse(parameters.get("return_to").or(target).unwrap_or("/"));
        let path = return_to.path();
        if [paths::LOGIN, paths::LOGOUT].contains(&&*path) || paths::is_callback(&path) {
            // Coming back to one of these would go in circles.
            return_to = ReturnTo::default();
        }
        let now = self.now();
        let step_up = parameters
            .get("step_up")
            .zip(request.session.as_ref())
            .and_then(|(sealed, id)| Ask::open(&self.0.config.keys, sealed, &id.key(), now))
            .filter(|ask| self.0.config.origins.is_marked(ask.origin.as_deref(), at));
        let party = match self
            .party_for_login(&parameters, step_up.as_ref(), &return_to, at)
            .await
        {
            Ok(Some(party)) => party,
            Ok(None) => return self.choose(&parameters, &return_to, at),
            Err(error) => return self.failed(&error, None, None, return_to, &request.incoming),
        };
        let (scopes, demands) = step_up.map(|ask| (ask.scopes, ask.demands)).unwrap_or_default();
        let options = LoginOptions {
            return_to: return_to.clone(),
            scopes,
            demands,
            login_hint: parameters
                .get("login_hint")
                .filter(|hint| hint.len() <= MAX_LOGIN_HINT)
                .map(str::to_owned),
        };
        let begun = self.begin_login(&party, options, &request).await;
        begun.unwrap_or_else(|error| self.failed(&error, None, Some(&party), return_to, &request.incoming))
    }

    /// The provider that a sign-in is to be at. `None` where the user has to choose.
    async fn party_for_login(
        &self,
        parameters: &Parameters,
        step_up: Option<&Ask>,
        return_to: &ReturnTo,
        at: OriginId,
    ) -> Result<Option<Arc<Party>>, Error> {
        let Config { parties, origins, .. } = &self.0.config;
        if parameters.repeats(&["iss", "provider"]) {
            return Err(LoginError::UnknownIssuer.into());
        }
        // A third party names the issuer (OpenID Connect Core §4).
        if parameters.names("iss") {
            let issuer = parameters.get("iss").unwrap_or_default();
            let party = match parameters.get("provider") {
                None => parties
                    .with_issuer(issuer)
                    .into_iter()
                    .find(|party| party.is_at(at)),
                named => match parties.at(at, named).await {
                    Err(ProviderError::Unknown) => None,
                    party => Some(party?).filter(|party| party.issuer.as_str() == issuer),
                },
            };
            return Ok(Some(party.ok_or(LoginError::UnknownIssuer)?));
        }
        if parameters.names("provider") {
            return Ok(Some(parties.at(at, parameters.get("provider")).await?));
        }
        // What the present sign-in lacks is for its own provider to bring.
        if let Some(ask) = step_up {
            return Ok(Some(parties.at(at, ask.provider.as_deref()).await?));
        }
        let choose = self.0.config.choose_provider.as_ref();
        let path = return_to.path();
        let place = Place::new(origins.get(at), &path);
        if let Some(name) = choose.and_then(|choose| choose(&place)) {
            return Ok(Some(parties.at(at, Some(&name)).await?));
        }
        let mut here = parties.configured().iter().filter(|party| party.is_at(at));
        match (here.next(), here.next()) {
            (None, _) => Err(ProviderError::Unknown.into()),
            (Some(only), None) => Ok(Some(Arc::clone(only))),
            (Some(_), Some(_)) => Ok(None),
        }
    }

    /// The page to choose a provider on. Each of its links is this request with the provider's name.
    fn choose(&self, parameters: &Parameters, return_to: &ReturnTo, at: OriginId) -> Reply {
        let links = self.choices(at).map(|provider| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("provider", provider.name.as_deref().unwrap_or_default());
            query.append_pair("return_to", return_to.as_str());
            for name in ["step_up", "login_hint"] {
                if let Some(value) = parameters.get(name) {
                    query.append_pair(name, value);
                }
            }
            let href = format!("{}?{}", paths::LOGIN, query.finish());
            SignInChoice { provider, href }
        });
        respond::choose(SignInChoices::new(links.collect(), return_to.clone()))
    }

    /// The providers that users may choose from, in the order of the settings: for a page of the application's own, with a
    /// link `/auth/login?provider=<name>` for each, and `&return_to=<path>` where users are to come back to. Of the one
    /// without a name the parameter is empty.
    ///
    /// Those are listed too that are at [some origins only](crate::SignInProvider::only_at). With several origins a page lists
    /// [`providers_at`](Self::providers_at).
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderInfo> {
        let parties = self.0.config.parties.configured().iter();
        parties.map(|party| party.info()).collect()
    }

    /// How far this server's clock is from the one of the provider of this name, or of the one that has none, at least, as its
    /// last answer told (RFC 9110 §6.6.1); zero where the clocks may well agree. `None` before it has answered, and for a provider
    /// that is not known, or was not looked up lately. Answers that took two seconds, or come from a cache, do not count.
    ///
    /// Beyond 60 seconds sign-ins fail, or soon will. That it is so, and is so no more, is in the log, once each time
    /// (`provider.clock_differs`).
    #[must_use]
    pub fn clock_skew(&self, provider: Option<&str>) -> Option<ClockSkew> {
        let mut parties = self.0.config.parties.all_at_hand();
        let party = parties.find(|party| party.name.as_deref() == provider)?;
        party.clock.last()
    }

    /// Those of the [`providers`](Self::providers) whose users sign in at the origin that this request belongs to. The adapters'
    /// `Providers` gives them to a handler.
    #[must_use]
    pub fn providers_at(&self, incoming: &Incoming) -> Vec<ProviderInfo> {
        self.choices(incoming.at).collect()
    }

    fn choices(&self, at: OriginId) -> impl Iterator<Item = ProviderInfo> {
        let parties = self.0.config.parties.configured().iter();
        parties
            .filter(move |party| party.is_at(at))
            .map(|party| party.info())
    }

    /// Begins a sign-in with options of the app's own: the redirect to the provider.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] where the provider's metadata cannot be had; [`Error::Login`] where the request cannot be pushed;
    /// [`Error::CrossSite`] where it would be, for a subresource of another site's page.
    async fn begin_login(
        &self,
        party: &Party,
        options: LoginOptions,
        request: &RouteRequest,
    ) -> Result<Reply, Error> {
        let now = self.now();
        let mut metadata = party.provider.metadata(now).await?;
        if party.pushes(&metadata).is_err() {
            // A document that does not do for this client counts no longer than a failure does.
            metadata = party.provider.metadata_anew(now).await?;
        }
        // Each costs the provider a request of ours, and leads the image or script of another site nowhere.
        if party.pushes(&metadata)? && request.is_foreign_subresource {
            return Err(CrossSite.into());
        }
        let begun = login::begin(&self.0.config, party, &metadata, options, request, now);
        let url = party
            .authorization_url(&metadata, begun.parameters, begun.dpop_key.as_ref(), self.now())
            .await?;
        let mut reply = Reply::redirect(url.as_str());
        for cookie in begun.cookies {
            reply = reply.with("set-cookie", cookie);
        }
        Ok(reply)
    }

    /// The public halves of the client's keys (RFC 7517 §5), for its registration at the providers: those that
    /// [sign](AuthBuilder::client_key_pem) and those that [decrypt](AuthBuilder::decryption_key_pem), and a certificate that is
    /// [registered itself](crate::config::ClientAuthMethod::SelfSignedTlsClientAuth); for all providers in the settings,
    /// [further ones](AuthBuilder::further_provider) included, and for none that [is looked up](AuthBuilder::providers_from).
    /// `None` where there are none.
    #[must_use]
    pub fn client_jwks(&self) -> Option<serde_json::Value> {
        let parties = self.0.config.parties.configured().iter();
        let parties = parties.chain(self.0.further.values());
        let mut keys: Vec<serde_json::Value> = Vec::new();
        for key in parties.flat_map(|party| party.public_jwks()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        (!keys.is_empty()).then(|| json!({ "keys": keys }))
    }

    /// `GET /auth/jwks`: the client's public keys, for providers that fetch them (RFC 7591 §2, `jwks_uri`) and may keep them for
    /// 5 minutes. 404 where there are none ([`client_jwks`](Self::client_jwks)).
    pub fn jwks(&self) -> Reply {
        match self.client_jwks() {
            Some(keys) => Reply::public("application/jwk-set+json", keys.to_string(), KEYS_KEPT),
            None => Reply::empty(404),
        }
    }

    /// The answer to a method that a route people come to does not have (RFC 9110 §15.5.6).
    fn not_allowed(&self, request: &RouteRequest) -> Reply {
        respond::simple_page(&self.0.config, 405, "request.method", request.incoming.at)
            .with("allow", "GET, POST")
    }

    /// The answer to a browser that asks ahead of its user: a sign-in is neither begun nor finished before somebody
    /// wants it. Browsers throw a failure away, and ask again when the user comes.
    fn not_ahead() -> Reply {
        Reply::empty(503).with("retry-after", "1")
    }

    /// `GET` and `POST /auth/callback`: takes the provider's answer and signs the user in (OpenID Connect Core §3.1.2.5 and on).
    ///
    /// Runs to its end even if the browser goes away: the code is spent once.
    pub async fn callback(&self, request: RouteRequest) -> Reply {
        self.callback_at(None, request).await
    }

    /// `GET` and `POST /auth/callback/<name>`: as [`callback`](Self::callback), for the provider of this name.
    pub async fn callback_of(&self, name: &str, request: RouteRequest) -> Reply {
        self.callback_at(Some(name.to_owned()), request).await
    }

    async fn callback_at(&self, name: Option<String>, request: RouteRequest) -> Reply {
        if !matches!(request.method.as_str(), "GET" | "POST") {
            return self.not_allowed(&request);
        }
        if request.is_prefetch {
            return Self::not_ahead();
        }
        let (auth, incoming) = (self.clone(), request.incoming.clone());
        let span = spans::callback();
        let reply = self
            .0
            .spawn(async move { auth.finish_login(name, request).await }.instrument(span.clone()))
            .await
            .unwrap_or_else(|_| {
                let error = RefreshError::Interrupted.into();
                self.failed(&error, None, None, ReturnTo::default(), &incoming)
            });
        if let Some(failure) = &reply.failure {
            spans::failed(&span, failure.code());
        }
        reply
    }

    async fn finish_login(&self, name: Option<String>, request: RouteRequest) -> Reply {
        let now = self.now();
        let party = match self
            .0
            .config
            .parties
            .at(request.incoming.at, name.as_deref())
            .await
        {
            Ok(party) => party,
            Err(error) => return self.astray(error, &request, now).await,
        };
        let response = match login::receive(&self.0.config, &party, &request, now) {
            Ok(response) => response,
            Err(error) => return self.stale_or_wrong(error, &party, &request).await,
        };
        match self
            .0
            .store
            .claim_once(&response.once, response.once_until, now)
            .await
        {
            Ok(true) => {}
            Ok(false) => {
                let reply = self
                    .stale_or_wrong(LoginError::StateReplayed, &party, &request)
                    .await;
                return reply.with("set-cookie", response.cookie);
            }
            Err(error) => {
                let return_to = response.attempt.return_to;
                return self.failed(&error.into(), None, Some(&party), return_to, &request.incoming);
            }
        }
        let return_to = response.attempt.return_to.clone();
        let reply = match self.0.sign_in(&party, &response, &request).await {
            Ok((id, app_data)) => {
                let mut reply = Reply::redirect(return_to.as_str());
                reply.session = SessionChange::Set { id, app_data };
                reply
            }
            Err(FailedSignIn { error, subject }) => {
                self.failed(&error.into(), subject, Some(&party), return_to, &request.incoming)
            }
        };
        reply.with("set-cookie", response.cookie)
    }

    /// A response at an address of no provider. The sign-in that it belongs to is used up all the same, as at another
    /// provider's: whoever has sent it there may have seen it.
    async fn astray(&self, error: ProviderError, request: &RouteRequest, now: Timestamp) -> Reply {
        let used_up = match error {
            ProviderError::Unknown => self.use_up(request, now).await,
            // It can come again, and find the provider.
            _ => Ok(None),
        };
        let (error, cookie) = match used_up {
            Ok(cookie) => (error.into(), cookie),
            Err(down) => (down.into(), None),
        };
        let reply = self.failed(&error, None, None, ReturnTo::default(), &request.incoming);
        match cookie {
            Some(cookie) => reply.with("set-cookie", cookie),
            None => reply,
        }
    }

    /// Uses up the sign-in that a response belongs to, whatever its address: the cookie to take away, if this browser has it.
    async fn use_up(&self, request: &RouteRequest, now: Timestamp) -> Result<Option<String>, StoreError> {
        let config = &self.0.config;
        let decrypted = |token: &str| self.0.readable(token).into_owned();
        let Some(name) = login::provider_asked(config, request, decrypted) else {
            return Ok(None);
        };
        let Ok(party) = config.parties.of(name.as_deref()).await else {
            return Ok(None);
        };
        let Ok(response) = login::receive(config, &party, request, now) else {
            return Ok(None);
        };
        let (once, until) = (&response.once, response.once_until);
        self.0.store.claim_once(once, until, now).await?;
        Ok(Some(response.cookie))
    }

    /// A response that belongs to no sign-in under way: a browser that is signed in goes on to the app; another
    /// gets a page that says what happened.
    async fn stale_or_wrong(&self, error: LoginError, party: &Arc<Party>, request: &RouteRequest) -> Reply {
        let return_to = login::return_path_of(&self.0.config, party, request);
        let error = match error.is_stale() {
            false => error.into(),
            true => match self.peek(request.session.as_ref()).await {
                Ok(_) => return Reply::redirect(return_to.as_str()),
                Err(Error::NotSignedIn(_)) => error.into(),
                Err(error) => error,
            },
        };
        self.failed(&error, None, Some(party), return_to, &request.incoming)
    }

    /// A failure of a sign-in with this provider, of this user if it is known who it was: always a page.
    fn failed(
        &self,
        error: &Error,
        subject: Option<String>,
        party: Option<&Arc<Party>>,
        return_to: ReturnTo,
        incoming: &Incoming,
    ) -> Reply {
        let failed = EventKind::SignInFailed {
            code: error.code(),
            fault: error.fault(),
        };
        self.0.tell(failed, |event| {
            let issuer = party.map(|party| party.issuer.clone());
            event.issuer = issuer.filter(|_| subject.is_some());
            event.subject = subject;
            event.sent_by(incoming.sender.as_deref());
        });
        let as_page = Incoming {
            party: party.cloned(),
            ..incoming.as_navigation(&return_to, Again::SignIn)
        };
        respond::refuse(
            &self.0.config,
            error,
            &as_page,
            &OnRefusal::Unauthorized,
            self.now(),
        )
    }

    /// A failure of a route that people come to: always a page, which offers nothing to try again.
    fn page(&self, error: &Error, incoming: &Incoming) -> Reply {
        let as_page = incoming.as_navigation(&ReturnTo::default(), Again::Otherwise);
        self.refuse(error, &as_page, &OnRefusal::Unauthorized)
    }

    /// `POST /auth/logout`: ends the session here, revokes its tokens, and goes on to the provider's sign-out (OpenID
    /// Connect RP-Initiated Logout 1.0), or to the app's own page where the provider has none.
    ///
    /// A session of another [origin](AuthBuilder::further_base_url) stays, and so does what carries it.
    ///
    /// The session ends and its tokens are revoked even if the browser goes away. The answer waits two seconds at most for
    /// the provider; what could not be revoked is tried again in the background.
    pub async fn logout(&self, request: RouteRequest) -> Reply {
        if let Err(error) = request.incoming.same_site() {
            return self.refuse(&error, &request.incoming, &OnRefusal::Automatic);
        }
        let (core, id, incoming) = (Arc::clone(&self.0), request.session, request.incoming.clone());
        let signed_out = self
            .0
            .spawn(async move { core.sign_out(id.as_ref(), &incoming).await })
            .await
            .unwrap_or_else(|_| Err(RefreshError::Interrupted.into()));
        let next = match signed_out {
            Ok(Some(signed_out)) => {
                self.end_app_session().await;
                self.0.leave_provider(signed_out).await
            }
            // What has brought it is that origin's as well.
            Ok(None) => return Reply::redirect(&self.0.config.post_logout_redirect),
            Err(Error::NotSignedIn(_)) => None,
            // Not known to be signed out: it must not look so.
            Err(error) => return self.page(&error, &request.incoming),
        };
        let home = &self.0.config.post_logout_redirect;
        let mut reply = Reply::redirect(next.as_ref().map_or(home.as_str(), url::Url::as_str));
        reply.session = SessionChange::Clear;
        reply
    }

    /// Ends the app's own session before the provider is waited for.
    async fn end_app_session(&self) {
        if let Ok(sessions) = self.app_sessions()
            && let Err(error) = sessions.end_present().await
        {
            // The adapter tries once more, and reports it.
            tracing::debug!(
                cause = crate::error::chain(&error),
                "an app session was not ended at sign-out"
            );
        }
    }

    /// `POST /auth/backchannel-logout`: ends the sessions that a logout token names (Back-Channel Logout 1.0 §2.5 to
    /// §2.8). 200 when the token is good, also where nobody has such a session; 400 when it is not; 503 while that
    /// cannot be said, or nothing can be done about it. Tokens are not revoked: that is for the provider, who has ended
    /// what they belong to.
    pub async fn backchannel_logout(&self, request: RouteRequest) -> Reply {
        let core = Arc::clone(&self.0);
        let incoming = request.incoming.clone();
        // To its end, whether or not the provider waits for it.
        let done = self
            .0
            .spawn(async move { core.backchannel_logout(&request).await })
            .await;
        match done {
            Ok(Ok(())) => Reply::empty(200),
            Ok(Err(Refusal::Token(error))) => {
                let refused = EventKind::RequestRefused {
                    code: "request.logout_token",
                    fault: Fault::Request,
                };
                self.0
                    .tell(refused, |event| event.sent_by(incoming.sender.as_deref()));
                refuse_logout_token(error)
            }
            Ok(Err(Refusal::NotNow(error))) => self.refuse(&error, &incoming, &OnRefusal::Automatic),
            Err(_) => self.refuse(
                &RefreshError::Interrupted.into(),
                &incoming,
                &OnRefusal::Automatic,
            ),
        }
    }

    /// `GET /auth/frontchannel-logout`: ends the sessions that `iss` and `sid` name (Front-Channel Logout 1.0 §2). Both
    /// are demanded: the provider shows this in a frame, where browsers send no cookie of the app's along.
    pub async fn frontchannel_logout(&self, request: RouteRequest) -> Reply {
        let (core, incoming) = (Arc::clone(&self.0), request.incoming.clone());
        // To its end: the provider's page goes on when it likes, and the frame with it.
        let done = self
            .0
            .spawn(async move { core.frontchannel_logout(&request).await })
            .await;
        match done {
            Err(_) => self.page(&RefreshError::Interrupted.into(), &incoming),
            Ok(Some(Ok(issuer))) => respond::signed_out(&issuer),
            Ok(Some(Err(error))) => self.page(&error, &incoming),
            Ok(None) => respond::simple_page(&self.0.config, 400, "request.frontchannel_logout", incoming.at),
        }
    }

    /// `GET /auth/session`: whether somebody is signed in, and who. Never a token, so the claims stay out that bring some
    /// (OpenID Connect Core §5.6.2); nothing is refreshed.
    pub async fn session_status(&self, request: RouteRequest) -> Reply {
        match self.peek(request.session.as_ref()).await {
            Ok(session) => {
                let mut shown = json!({
                    "authenticated": true,
                    "user": session.claims().without_sources(),
                    "scopes": session.scopes(),
                    "access_token_expires_at": session.access_token_expires_at().map(Timestamp::as_secs),
                    "session_expires_at": session.expires_at().as_secs(),
                });
                if let Some(hook) = &self.0.config.session_view {
                    shown = hook(&session, shown);
                }
                Reply::json(200, &shown)
            }
            Err(Error::NotSignedIn(_)) => Reply::json(200, &json!({ "authenticated": false })),
            Err(error) => self.refuse(&error, &request.incoming, &OnRefusal::Automatic),
        }
    }

    /// `GET /auth/errors/<code>`: what a failure's code means.
    pub fn explain_error(&self, code: &str, request: &RouteRequest) -> Reply {
        respond::explain(&self.0.config, code, request.incoming.at)
    }

    /// `GET /auth/errors/`: all codes.
    pub fn explain_errors(&self) -> Reply {
        respond::explain_all()
    }

    /// The answer to a request whose body is larger than [`RouteRequest::MAX_BODY`] or breaks off: 413.
    pub fn refuse_body(&self, incoming: &Incoming) -> Reply {
        respond::simple_page(&self.0.config, 413, "request.body", incoming.at)
    }

    /// As [`refuse_body`](Self::refuse_body), to a request of one of the library's routes: what is too long to be a logout token is
    /// a bad one, and answered with 400.
    pub fn refuse_body_of(&self, head: &impl RequestHead) -> Reply {
        match head.path() {
            paths::BACKCHANNEL_LOGOUT => refuse_logout_token(LogoutTokenError::Malformed),
            _ => self.refuse_body(&self.incoming(head)),
        }
    }
}

/// Back-Channel Logout 1.0 §2.8, in the form of RFC 6749 §5.2.
fn refuse_logout_token(error: LogoutTokenError) -> Reply {
    tracing::info!(cause = %error, "a logout token was refused");
    let refusal = json!({ "error": "invalid_request", "error_description": error.to_string() });
    Reply::json(400, &refusal)
}

impl Core {
    /// Runs a task that nobody's going away ends, and that [`Auth::shutdown`] waits for; within the span of whoever waits for
    /// it.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_apart(task.in_current_span())
    }

    /// The same without a span: for what nobody waits for, which would keep the span open, and for what has its own.
    pub(crate) fn spawn_apart<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn_on(task, &self.runtime)
    }

    /// The session with this key. `None` where there is none, it has expired, or no key opens it.
    pub(crate) async fn load(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        let now = self.clock.now();
        match self.store.load(key, now).await? {
            Some(record) => self.admit(key, record, now).await,
            None => Ok(None),
        }
    }

    /// The session in a record that was just loaded. `None` where it has expired, or no key opens it.
    async fn admit(
        &self,
        key: &SessionKey,
        record: Arc<Record>,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let session = self.view(key, record);
        // A touch by someone who had seen an older record may have moved the record's end beyond what the tokens allow.
        match session.filter(|session| session.data.last_end() > now) {
            Some(session) if session.data.moved_at.is_some() => Box::pin(self.confirm(session)).await,
            session => Ok(session),
        }
    }

    pub(crate) fn view(&self, key: &SessionKey, record: Arc<Record>) -> Option<Session> {
        let data = SessionData::open(&self.config.keys, key, &record)?;
        Some(Session {
            key: *key,
            record,
            data,
        })
    }

    /// Deletes from the store, as [`SessionStore::delete`]. Its body is not held open any longer, but by requests under way.
    pub(crate) async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let deleted = self.store.delete(key, expected, now).await;
        self.opened.forget(key);
        deleted
    }

    /// Takes the session out of the store, and gives it as it was last: a refresh that has just been saved has brought
    /// other tokens than the ones that the caller saw, and those are the ones to revoke.
    /// Of several callers at once, the one that finds it there tells of its end. Where the store's answer is lost and the
    /// session is gone, that may have been this one: its tokens are this one's to revoke, and nothing is told, for another
    /// may have told it.
    pub(crate) async fn remove(
        &self,
        mut session: Session,
        reason: EndReason,
        sender: Option<&Sender>,
    ) -> Result<Removed, StoreError> {
        self.exchanged.forget(&session.key);
        let mut version = session.record.version;
        loop {
            let now = self.clock.now();
            let deleted = self.delete(&session.key, Some(version), now).await;
            if let Ok(true) = deleted {
                self.tell_end(&session, reason, sender);
                return Ok(Removed {
                    session,
                    was_there: true,
                });
            }
            let newer = match (self.store.load(&session.key, now).await, deleted) {
                (Ok(None), deleted) => {
                    return Ok(Removed {
                        session,
                        was_there: deleted.is_err(),
                    });
                }
                (_, Err(error)) | (Err(error), _) => return Err(error),
                (Ok(Some(newer)), Ok(_)) => newer,
            };
            version = newer.version;
            // What another instance has sealed with a key that is not here goes as well, its tokens unseen.
            if let Some(newer) = self.view(&session.key, newer) {
                session = newer;
            }
        }
    }

    /// Writes down that the session is in use: now and then, in the background, and never beyond its absolute end.
    fn note_use(self: &Arc<Self>, session: &Session, now: Timestamp) {
        if now.since(session.record.last_seen_at) < self.config.session_idle / TOUCHES_PER_IDLE_PERIOD {
            return;
        }
        let key = session.key;
        if !self.lock_flights().touches.insert(key) {
            return;
        }
        let expires_at = now.plus(self.config.session_idle).min(session.data.last_end());
        let core = Arc::clone(self);
        drop(self.spawn_apart(async move {
            let touched = core.store.touch(&key, now, expires_at, now).await;
            core.lock_flights().touches.remove(&key);
            if let Err(error) = touched {
                tracing::warn!(session = ?key, cause = crate::error::chain(&error), "a session's use could not be written down");
            }
        }));
    }

    pub(crate) fn lock_flights(&self) -> std::sync::MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`load`](Self::load); a session whose provider is none of this application's any more is none.
    pub(crate) async fn load_served(&self, key: &SessionKey) -> Result<Option<Session>, Error> {
        let now = self.clock.now();
        match self.store.load(key, now).await? {
            Some(record) => self.serve(key, record, now).await,
            None => Ok(None),
        }
    }

    /// What [`serve`](Self::serve) gives where nothing has to be waited for, as with nearly every request.
    fn serve_at_once(
        &self,
        key: &SessionKey,
        record: &Arc<Record>,
        now: Timestamp,
        was_asked: bool,
    ) -> Option<Session> {
        let data = self.open(key, record, was_asked)?;
        let party = self
            .config
            .parties
            .configured_issuing(data.provider.as_deref(), &data.issuer)?;
        let is_ready = data.last_end() > now && data.moved_at.is_none() && self.is_served(party, &data);
        is_ready.then(|| Session {
            key: *key,
            record: Arc::clone(record),
            data,
        })
    }

    /// The body of a session in use. Of a store that has to be asked, it was opened for an earlier request or is kept for the
    /// next; one that knows its records at once keeps bodies opened itself.
    fn open(&self, key: &SessionKey, record: &Record, was_asked: bool) -> Option<Arc<SessionData>> {
        if !was_asked {
            return SessionData::open(&self.config.keys, key, record);
        }
        if let Some(data) = self.opened.get(key, &record.sealed) {
            record.opened.set(Arc::clone(&data));
            return Some(data);
        }
        let data = SessionData::open(&self.config.keys, key, record)?;
        self.opened.put(key, &record.sealed, &data);
        Some(data)
    }

    /// The session in a record that was just loaded, by the rules of [`load_served`](Self::load_served).
    async fn serve(
        &self,
        key: &SessionKey,
        record: Arc<Record>,
        now: Timestamp,
    ) -> Result<Option<Session>, Error> {
        let Some(session) = self.admit(key, record, now).await? else {
            return Ok(None);
        };
        match self.party_of(&session).await {
            Ok(party) => Ok(self.is_served(&party, &session.data).then_some(session)),
            Err(ProviderError::Unknown) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is_served(&self, party: &Party, session: &SessionData) -> bool {
        let origin = self.config.origins.marked(session.origin.as_deref());
        party.serves(session) && origin.is_some_and(|origin| party.is_at(origin))
    }

    /// Whether a session was made at this origin of the app: at no other it is one.
    pub(crate) fn is_good_at(&self, session: &Session, at: OriginId) -> bool {
        let made_at = session.data.origin.as_deref();
        self.config.origins.is_marked(made_at, at)
    }

    /// The origin of the app that a session was made at.
    pub(crate) fn origin_of(&self, session: &Session) -> &BaseUrl {
        let origins = &self.config.origins;
        let made_at = origins.marked(session.data.origin.as_deref());
        origins.get(made_at.unwrap_or_default())
    }

    /// The provider that a session's user signed in with. One that has got its name since is another.
    pub(crate) async fn party_of(&self, session: &Session) -> Result<Arc<Party>, ProviderError> {
        let data = &session.data;
        let party = self
            .config
            .parties
            .issuing(data.provider.as_deref(), &data.issuer);
        party.await
    }

    async fn revoke_access_token(self: &Arc<Self>, session: Session) -> Result<(), Error> {
        let Some(token) = session.data.tokens.access.clone() else {
            return Ok(());
        };
        let now = self.clock.now();
        let party = self.party_of(&session).await?;
        let metadata = party.provider.metadata(now).await?;
        match party
            .registration
            .revoke(&metadata, token.expose(), "access_token", now)
            .await
        {
            Ok(answer) => metrics::revocation(answer),
            Err(TokenError::Unavailable { retry_after, cause }) => {
                return Err(ProviderError::Unavailable {
                    document: "revocation endpoint",
                    retry_after,
                    cause: Arc::new(cause),
                }
                .into());
            }
            Err(error) => return Err(RefreshError::ClientRefused(Arc::new(error)).into()),
        }
        let deadline = Instant::now() + WAIT_FOR_HOLDER;
        let mut pause = POLL.0;
        let mut current = session;
        loop {
            if current.data.tokens.access.as_ref() != Some(&token) {
                // Refreshed meanwhile: the revoked token is gone from here already.
                return Ok(());
            }
            if current.data.tokens.refresh.is_none() {
                // Nothing is left of it. Whoever waits for its end is told.
                self.remove(current, EndReason::EndedByApp, None).await?;
                return Ok(());
            }
            let mut data = SessionData::clone(&current.data);
            data.tokens.access = None;
            if self.change_with_lease(&current, data).await?.is_some() {
                return Ok(());
            }
            // Changed or gone since, or being refreshed, which brings another token.
            match self.load(&current.key).await? {
                None => return Ok(()),
                Some(newer) => current = newer,
            }
            if Instant::now() + pause > deadline {
                return Err(RefreshError::Busy.into());
            }
            sleep(pause).await;
            pause = (pause * 2).min(POLL.1);
        }
    }
}

/// A session that is not in the store any more.
pub(crate) struct Removed {
    /// As it was last.
    pub(crate) session: Session,
    /// Whether it was there until now, as far as that is known.
    pub(crate) was_there: bool,
}

/// Removes expired sessions for as long as the app lives.
async fn sweep(core: Weak<Core>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(core) = core.upgrade() else { return };
        core.opened.sweep();
        core.exchanged.sweep(core.clock.now());
        core.machine.sweep(core.clock.now());
        match core.store.sweep(core.clock.now()).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "expired sessions were swept out"),
            Err(error) => tracing::warn!(
                cause = crate::error::chain(&error),
                "expired sessions could not be swept out"
            ),
        }
    }
}
