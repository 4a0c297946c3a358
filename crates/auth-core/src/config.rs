//! Every setting, parsed and checked once.
//!
//! [`AuthBuilder`] collects them, from code ([`Auth::builder`]) or from the environment ([`AuthBuilder::from_env`]), and
//! [`build`](AuthBuilder::build) checks all of them before the application serves anybody: a setting that is wrong or missing is a
//! [`ConfigError`], one line that names the variable and the mend. Nothing is asked of the provider then; its discovery document
//! is fetched when first needed, so an application starts while its provider is down.
//!
//! What is about one provider is in [`SignInProvider`] as well, for applications that have several. The enums here are the
//! values of single settings; [`paths`] are the addresses of the library's routes. `docs/settings.md` in the repository has all
//! settings in tables, with variables, units and defaults.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use url::Url;

use crate::auth::Auth;
use crate::bearer::TrustedIssuer;
use crate::client::ApiHttp;
use crate::clock::Clock;
use crate::events::{Event, EventHook};
use crate::forwarded::TrustedProxies;
use crate::grants::FurtherProvider;
use crate::http::ProviderHttp;
use crate::jose::Algorithm;
use crate::metadata::CertificateUse;
use crate::origins::{Origins, Place};
use crate::party::{self, Failed, Find, Lookup, Means, Parties, Party, Profile, SignInProvider, is_name};
use crate::preset::Preset;
use crate::problem::Problems;
use crate::provider_clock::ProviderClock;
use crate::seal::SecretKeys;
use crate::session::{Session, SignIn};
use crate::store::{MemoryStore, SessionStore};
use crate::types::{BaseUrl, Issuer, ReturnTo};

/// A setting that is wrong or missing: its name as an environment variable, or as a method of the builder where it has no variable, and
/// the mend, on one line.
///
/// `Debug` prints that line too: it is what becomes of an error that `main` returns.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {mend}")]
pub struct ConfigError {
    variable: Cow<'static, str>,
    mend: Cow<'static, str>,
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ConfigError {
    /// An error about `variable`. Neither text may hold a secret or a line break.
    pub fn new(variable: impl Into<Cow<'static, str>>, mend: impl Into<Cow<'static, str>>) -> Self {
        Self {
            variable: variable.into(),
            mend: mend.into(),
        }
    }

    /// The same about one of several providers: its variables have its name in them, but for those that it shares with the
    /// others.
    pub(crate) fn of_provider(self, name: &str, shared: &[String]) -> Self {
        if shared.iter().any(|variable| *variable == self.variable) {
            return self;
        }
        let own = |text: &str| text.replace("AUTH_", &variables_of(name));
        let variable = match self.variable.starts_with("AUTH_") {
            true => own(&self.variable),
            false => format!("provider(\"{name}\"): {}", self.variable),
        };
        let mend = own(&self.mend);
        Self::new(variable, mend)
    }

    /// The same, with what else is missing, where this is about something missing.
    fn among(mut self, missing: &[&str]) -> Self {
        if let [others @ .., last] = &missing
            .iter()
            .copied()
            .filter(|variable| *variable != self.variable)
            .collect::<Vec<_>>()[..]
            && missing.contains(&&*self.variable)
        {
            let (others, verb) = match others {
                [] => (String::new(), "is"),
                others => (format!("{} and ", others.join(", ")), "are"),
            };
            self.mend = format!("{}; {others}{last} {verb} missing as well", self.mend).into();
        }
        self
    }

    /// The setting's name as an environment variable, or as a method of the builder where it has no variable.
    #[must_use]
    pub fn variable(&self) -> &str {
        &self.variable
    }
}

/// How the variables of one of several providers begin: `AUTH_ACME_` of `acme`.
pub(crate) fn variables_of(name: &str) -> String {
    format!("AUTH_{}_", name.to_ascii_uppercase().replace('-', "_"))
}

/// How the client shows the provider who it is (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuthMethod {
    /// The secret in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// The secret in the form.
    ClientSecretPost,
    /// An assertion signed with the client's private key (RFC 7523 §2.2).
    PrivateKeyJwt,
    /// An assertion signed with the secret (RFC 7523 §2.2, HS256), which has to have 32 bytes at least. The secret itself
    /// does not travel; a private key is better still, for the provider does not have it.
    ClientSecretJwt,
    /// The certificate of the TLS connection, by an authority that the provider knows (RFC 8705 §2.1).
    TlsClientAuth,
    /// The certificate of the TLS connection, which is registered at the provider itself (RFC 8705 §2.2): in its form, or in the
    /// set at `{base_url}/auth/jwks`, where it stands as `x5c`.
    SelfSignedTlsClientAuth,
    /// Not at all: a public client.
    None,
}

/// How the provider sends its answer to the browser's sign-in back to the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of a redirect. The default.
    #[default]
    Query,
    /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
    /// Signed by the provider, in the query of a redirect (JARM §2.3, `query.jwt`).
    Jwt,
    /// Signed by the provider, in a form that the browser posts (JARM §2.3, `form_post.jwt`).
    FormPostJwt,
}

impl ResponseMode {
    /// The value of `response_mode`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::FormPost => "form_post",
            Self::Jwt => "query.jwt",
            Self::FormPostJwt => "form_post.jwt",
        }
    }

    pub(crate) const fn is_form_post(self) -> bool {
        matches!(self, Self::FormPost | Self::FormPostJwt)
    }

    pub(crate) const fn is_signed(self) -> bool {
        matches!(self, Self::Jwt | Self::FormPostJwt)
    }
}

/// Whether authorization requests are pushed to the provider before the browser is sent there (RFC 9126 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParPolicy {
    /// Where the provider's discovery document says that they have to be (`require_pushed_authorization_requests`). The default.
    #[default]
    Auto,
    /// Always. A provider that has no endpoint for it cannot be used.
    Always,
    /// Never. A provider that demands it cannot be used.
    Never,
}

/// Whether the userinfo endpoint is asked at sign-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserinfoPolicy {
    /// Once at each sign-in, where there is such an endpoint. The default.
    #[default]
    Always,
    /// Never: the claims are the ID token's.
    Never,
}

/// Where the provider's endpoints come from.
#[derive(Clone, Debug)]
pub(crate) enum ProviderConfig {
    /// OpenID Connect Discovery.
    Discovery(Issuer),
    /// Plain OAuth 2.0: given by hand, no ID token.
    Endpoints { authorization: Url, token: Url },
}

/// Who the user of a plain OAuth 2.0 provider is.
#[derive(Clone)]
pub(crate) enum PlainIdentity {
    /// What userinfo says, or else introspection.
    Endpoints,
    /// What the access token says, a JWT that is verified.
    AccessToken {
        issuer: Arc<TrustedIssuer>,
        audience: String,
    },
    /// What the access token says, believed without a check.
    Unverified,
}

/// Endpoints given by hand; with discovery they take the place of the document's.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndpointOverrides {
    pub(crate) userinfo: Option<Url>,
    pub(crate) revocation: Option<Url>,
    pub(crate) introspection: Option<Url>,
    pub(crate) end_session: Option<Url>,
    pub(crate) pushed_authorization_request: Option<Url>,
    /// What the client's certificate is for: a client that has one is told other endpoints.
    pub(crate) certificate: CertificateUse,
    /// Whether the document has to list the algorithms of ID tokens: the settings name none, and users sign in.
    pub(crate) needs_algorithms: bool,
}

/// The names of the library's cookies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CookieNames {
    https: bool,
}

impl CookieNames {
    pub(crate) const fn session(self) -> &'static str {
        if self.https {
            "__Host-auth_session"
        } else {
            "auth_session"
        }
    }

    pub(crate) const fn attempt_prefix(self) -> &'static str {
        if self.https {
            "__Host-auth_attempt_"
        } else {
            "auth_attempt_"
        }
    }
}

pub(crate) type SignInHook = Arc<dyn Fn(SignIn) -> BoxFuture<'static, Result<SignIn, Refused>> + Send + Sync>;
pub(crate) type ChooseHook = Arc<dyn Fn(&Place<'_>) -> Option<String> + Send + Sync>;
pub(crate) type SessionViewHook = Arc<dyn Fn(&Session, serde_json::Value) -> serde_json::Value + Send + Sync>;

/// The app does not let this user in. The reason is for the log; the user sees that they were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the application refused the user: {reason}")]
pub struct Refused {
    reason: Cow<'static, str>,
}

impl Refused {
    /// Refuses the user, with a reason for the log.
    pub fn because(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

pub(crate) struct Config {
    pub(crate) origins: Arc<Origins>,
    pub(crate) cookies: CookieNames,
    /// The providers that users sign in with.
    pub(crate) parties: Parties,
    pub(crate) choose_provider: Option<ChooseHook>,
    pub(crate) keys: SecretKeys,
    pub(crate) session_idle: Duration,
    pub(crate) session_max: Duration,
    pub(crate) api_base: Option<Url>,
    pub(crate) api_origins: Vec<String>,
    /// The limit for one call.
    pub(crate) http_timeout: Duration,
    /// Further root certificates, PEM.
    pub(crate) extra_roots: Option<Vec<u8>>,
    pub(crate) on_sign_in: Option<SignInHook>,
    pub(crate) session_view: Option<SessionViewHook>,
    pub(crate) on_event: Vec<EventHook>,
    pub(crate) trusted_proxies: TrustedProxies,
    /// Where the browser comes back to after the provider's sign-out: a path of this origin.
    pub(crate) post_logout_redirect: String,
    pub(crate) share_machine_tokens: bool,
    pub(crate) problems: Problems,
    pub(crate) problems_for_signed_out_forms: bool,
}

/// The paths of the library's routes.
pub mod paths {
    /// Begins a sign-in.
    pub const LOGIN: &str = "/auth/login";
    /// Takes the provider's answer: the redirect URI. That of a provider with a name has the name behind it, and a slash
    /// between.
    pub const CALLBACK: &str = "/auth/callback";
    /// Ends the session.
    pub const LOGOUT: &str = "/auth/logout";
    /// Takes the provider's word that a session has ended there, from the provider itself.
    pub const BACKCHANNEL_LOGOUT: &str = "/auth/backchannel-logout";
    /// Takes the same by way of the browser.
    pub const FRONTCHANNEL_LOGOUT: &str = "/auth/frontchannel-logout";
    /// Tells whether somebody is signed in.
    pub const SESSION: &str = "/auth/session";
    /// The client's public keys, where it has keys of its own.
    pub const JWKS: &str = "/auth/jwks";
    /// Explains a failure's code, which follows.
    pub const ERRORS: &str = "/auth/errors/";

    /// Whether a path is a redirect URI's, of whichever provider: [`CALLBACK`], or below it.
    #[must_use]
    pub fn is_callback(path: &str) -> bool {
        path.strip_prefix(CALLBACK)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// How far apart the clocks of the app and of the provider may be.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);
/// How long a sign-in may take, from the redirect to the provider to the callback.
pub(crate) const ATTEMPT_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How many sign-ins one browser may have open.
pub(crate) const MAX_ATTEMPTS: usize = 5;

// Defaults of the builder.
pub(crate) const STORE: &str = "memory:";
pub(crate) const SESSION_IDLE: Duration = Duration::from_secs(8 * 3600);
pub(crate) const SESSION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
pub(crate) const HTTP_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const POST_LOGOUT_REDIRECT: &str = "/";

/// Collects the settings of an [`Auth`]. Made by [`Auth::builder`] or, with everything that the environment says,
/// by [`AuthBuilder::from_env`].
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), auth_core::ConfigError> {
/// use auth_core::Auth;
///
/// let auth = Auth::builder()
///     .base_url("https://app.example")
///     .issuer("https://id.example")
///     .client("my-client", Some("its secret"))
///     .scopes("openid profile email offline_access internal_login")
///     .api("https://api.example")
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct AuthBuilder {
    base_url: Option<String>,
    further_base_urls: Vec<String>,
    provider: SignInProvider,
    /// Whether anything of that one was set.
    has_provider: bool,
    providers: Vec<(String, SignInProvider)>,
    find_provider: Option<Find>,
    choose_provider: Option<ChooseHook>,
    ca: Option<Vec<u8>>,
    store: StoreChoice,
    keys: Option<SecretKeys>,
    session_idle: Duration,
    session_max: Duration,
    http_timeout: Duration,
    apis: Vec<(&'static str, String)>,
    on_sign_in: Option<SignInHook>,
    session_view: Option<SessionViewHook>,
    on_event: Vec<EventHook>,
    trusted_proxies: Option<String>,
    post_logout_redirect: String,
    further: Vec<(String, FurtherProvider)>,
    share_machine_tokens: bool,
    problems_for_signed_out_forms: bool,
    clock: Clock,
    runtime: Option<Handle>,
    #[cfg(feature = "testing")]
    pub(crate) network: Option<crate::testing::Network>,
}

#[derive(Clone)]
enum StoreChoice {
    Url(String),
    Given(Arc<dyn SessionStore>),
}

impl fmt::Debug for AuthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthBuilder")
            .field("base_url", &self.base_url)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl Default for AuthBuilder {
    fn default() -> Self {
        Self {
            base_url: None,
            further_base_urls: Vec::new(),
            provider: SignInProvider::default(),
            has_provider: false,
            providers: Vec::new(),
            find_provider: None,
            choose_provider: None,
            ca: None,
            store: StoreChoice::Url(STORE.to_owned()),
            keys: None,
            session_idle: SESSION_IDLE,
            session_max: SESSION_MAX,
            http_timeout: HTTP_TIMEOUT,
            apis: Vec::new(),
            on_sign_in: None,
            session_view: None,
            on_event: Vec::new(),
            trusted_proxies: None,
            post_logout_redirect: POST_LOGOUT_REDIRECT.to_owned(),
            further: Vec::new(),
            share_machine_tokens: false,
            problems_for_signed_out_forms: false,
            clock: Clock::system(),
            runtime: None,
            #[cfg(feature = "testing")]
            network: None,
        }
    }
}

impl AuthBuilder {
    /// Changes the settings of the provider that has no name.
    pub(crate) fn of_provider(mut self, set: impl FnOnce(SignInProvider) -> SignInProvider) -> Self {
        self.provider = set(self.provider);
        self.has_provider = true;
        self
    }

    /// The app's own public origin, `https://app.example`. Required. The redirect URI is `{base_url}/auth/callback`.
    pub fn base_url(mut self, origin: impl Into<String>) -> Self {
        self.base_url = Some(origin.into());
        self
    }

    /// A further public origin of the app, beside [`base_url`](Self::base_url): a host of its own for a tenant, say. May be called for
    /// many. All have the scheme of the first, and each another host.
    ///
    /// * A request belongs to the origin whose host and port it names in `Host` (`:authority` in HTTP/2), compared whole. What names
    ///   none of the list belongs to the first. `X-Forwarded-Host` and `Forwarded` are not looked at: a proxy in front has to pass
    ///   `Host` on as it came.
    /// * Redirect URIs, [`post_logout_redirect`](Self::post_logout_redirect) and the other addresses to register are those of each
    ///   origin, `https://acme.app.example/auth/callback`. A sign-in ends where it began: an answer that comes to another of the
    ///   origins is refused.
    /// * A session is good at the origin where the user signed in ([`Session::origin`]), also where its cookie is copied, and
    ///   [lists](Auth::sessions_of_user) and ends those of the same origin. A user may be signed in at several, as several people.
    /// * So are the app's own session data in the library's store ([`AppSessions`](crate::AppSessions)). With another store behind
    ///   a framework's session layer, that layer's cookie decides: without `Domain`, browsers keep one for each host. A session there
    ///   that carries the sign-in of one origin signs nobody in at another, and a sign-out there leaves it alone; a sign-in there
    ///   takes its place.
    /// * The list is read at the start: paths and [lookups](Self::providers_from) are decided while the app runs, hosts are not. A
    ///   tenant whose host is not in the list has none, also where its provider is looked up; whoever comes by such a host is at
    ///   the first origin, and a sign-in ends there with `login.cookie_other_address`.
    /// * To a request that changes something, the other origins are as foreign as any.
    ///
    /// Who signs in where is another matter: [`choose_provider`](Self::choose_provider) knows the origin, and
    /// [`SignInProvider::only_at`] sees to it that a tenant's users sign in at their own.
    ///
    /// Sessions from before the first call of this, which know no origin, are good at the first one: leave the origin that there was
    /// in front. An API that is called with bound tokens at several origins has a [`ResourceServer`](crate::bearer::ResourceServer) for
    /// each, with its address in [`dpop`](crate::bearer::ResourceServerBuilder::dpop).
    ///
    /// ```
    /// use auth_core::{Auth, SignInProvider};
    ///
    /// let tenant = |name: &str, issuer: &str| {
    ///     SignInProvider::default()
    ///         .issuer(issuer)
    ///         .client("our-id-there", Some("its secret"))
    ///         .only_at(format!("https://{name}.app.example"))
    /// };
    /// let builder = Auth::builder()
    ///     .base_url("https://app.example")
    ///     .further_base_url("https://acme.app.example")
    ///     .further_base_url("https://globex.app.example")
    ///     .provider("acme", tenant("acme", "https://id.acme.example"))
    ///     .provider("globex", tenant("globex", "https://id.globex.example"));
    /// ```
    pub fn further_base_url(mut self, origin: impl Into<String>) -> Self {
        self.further_base_urls.push(origin.into());
        self
    }

    /// Adds a provider that users sign in with, under a name of the application's own: letters, digits, `-` and
    /// `_`, 64 at most. Called for several, users choose: on a page at `/auth/login`, or by a link of the application's,
    /// `/auth/login?provider=<name>`. Of two with one name the latter counts.
    ///
    /// The name is part of the redirect URI, `{base_url}/auth/callback/<name>`: each provider has one of its own, so that
    /// none can pass its answer off as another's (RFC 9700 §4.4.2). It is kept in sessions: one whose provider is not
    /// configured any more counts as signed out. So a name stays, whatever becomes of the label.
    ///
    /// What is set on this builder itself, [`issuer`](Self::issuer) for one, is about a provider without a name, which comes
    /// first, is there only if something of it is set, and has the redirect URI `{base_url}/auth/callback`. An application that
    /// gets a second provider keeps its first one so. What belongs to no user is of the first provider: [`Auth::issuer`],
    /// [`Auth::resource_server`], and [tokens of the application's own](crate::grants::ClientCredentials) where they do not
    /// say otherwise.
    ///
    /// [`SignInProvider`] has an example.
    pub fn provider(mut self, name: impl Into<String>, provider: SignInProvider) -> Self {
        let name = name.into();
        self.providers.retain(|(held, _)| *held != name);
        self.providers.push((name, provider));
        self
    }

    /// Looks providers up while the application runs, by name: one for each tenant, in the application's database. `None` says
    /// that there is none of that name. It is asked for names that no [`provider`](Self::provider) has, and that could be one's.
    ///
    /// * What is found is taken as it is for five minutes; 1,000 providers are kept, the ones used last. Then it is looked up
    ///   anew, and goes on as it was until the answer is there: nobody waits. One that nobody has asked for in five minutes more
    ///   is waited for, a second at most. As long as the settings stay the same, so does what was fetched from the provider. One
    ///   that is gone then is a sign-out for its sessions, and the end of their streams.
    /// * That there is none is remembered for ten seconds, of 1,000 names. A name is asked for once at a time, and 16 names at
    ///   once that are not known; 256 wait for it, and any other is a 503: who makes names up fills no memory, keeps the database
    ///   no busier than that, and keeps nobody waiting whose provider is known. Those have 16 turns of their own.
    /// * A lookup that fails, or takes longer than [`http_timeout`](Self::http_timeout), the wait for its turn included, leaves a
    ///   provider as it was found last, for as long as that goes on; it is tried again after ten seconds, when somebody asks.
    ///   While the database is down, sessions go on, also at a provider that was removed or changed meanwhile. Where there is
    ///   none yet, it is a 503. Nobody is signed out. Its error goes to the log.
    ///
    /// Each has the redirect URI `{base_url}/auth/callback/<name>`. They are not on the page to choose on: links name them,
    /// `/auth/login?provider=<name>`, or [`choose_provider`](Self::choose_provider) does. A logout token, or a sign-in that a
    /// third party asks for, is known by its issuer while the provider is kept; as its address for back-channel and front-channel
    /// logout, a provider is therefore given one with `?provider=<name>`. Their client keys are not at `/auth/jwks`.
    ///
    /// There has to be a provider in the settings too: what belongs to no user is its.
    ///
    /// ```
    /// # use auth_core::{Auth, SignInProvider};
    /// # #[derive(Clone)]
    /// # struct Database;
    /// # struct Tenant { issuer: String, client_id: String, client_secret: String }
    /// # impl Database {
    /// #     async fn tenant(&self, _name: &str) -> Result<Option<Tenant>, std::io::Error> { Ok(None) }
    /// # }
    /// # let database = Database;
    /// let builder = Auth::builder()
    ///     .issuer("https://id.example")
    ///     .client("our-own-staff", Some("its secret"))
    ///     .providers_from(move |name| {
    ///         let database = database.clone();
    ///         async move {
    ///             let tenant = database.tenant(&name).await?;
    ///             Ok::<_, std::io::Error>(tenant.map(|tenant| {
    ///                 SignInProvider::default()
    ///                     .issuer(tenant.issuer)
    ///                     .client(tenant.client_id, Some(&tenant.client_secret))
    ///             }))
    ///         }
    ///     })
    ///     // Every page of a tenant is below /t/<tenant>/.
    ///     .choose_provider(|to| Some(to.path().strip_prefix("/t/")?.split('/').next()?.to_owned()));
    /// ```
    pub fn providers_from<F, Fut, E>(mut self, find: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<SignInProvider>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.find_provider = Some(Arc::new(move |name| {
            let found = find(name);
            Box::pin(async move { found.await.map_err(|error| -> Failed { error.into() }) })
        }));
        self
    }

    /// Chooses the provider of a sign-in by the place that it leads back to: the path of a page, and the origin of the app,
    /// and so its host. It gives the provider's name; `None` leaves the choice to the user, if there are several. It must
    /// not block. Asked where neither the address of the sign-in names a provider, nor the present session does that lacks
    /// something.
    ///
    /// It is no more than a choice: a link can name another provider, and who signs in there may open any page. So a page of a
    /// tenant's compares [`Session::provider`], unless [`SignInProvider::only_at`] binds the provider to the tenant's origin.
    ///
    /// The path and the lookup are decided while the app runs; the hosts are [a list](Self::further_base_url) that is read at the
    /// start. What a request names that is not in it is never seen here: such a request is at the first origin.
    ///
    /// By host, with providers that are looked up ([`providers_from`](Self::providers_from) has an example by path):
    ///
    /// ```
    /// # use auth_core::{Auth, SignInProvider};
    /// # fn looked_up(_name: &str) -> Option<(String, String, String)> { None }
    /// let builder = Auth::builder()
    ///     .base_url("https://app.example")
    ///     .further_base_url("https://acme.app.example")
    ///     .further_base_url("https://globex.app.example")
    ///     .issuer("https://id.example")
    ///     .client("our-own-staff", Some("its secret"))
    ///     .only_at("https://app.example")
    ///     .providers_from(|name| async move {
    ///         Ok::<_, std::io::Error>(looked_up(&name).map(|(issuer, client_id, secret)| {
    ///             SignInProvider::default()
    ///                 .issuer(issuer)
    ///                 .client(client_id, Some(&secret))
    ///                 .only_at(format!("https://{name}.app.example"))
    ///         }))
    ///     })
    ///     // `acme` at acme.app.example, and the staff's own at app.example.
    ///     .choose_provider(|to| Some(to.host().strip_suffix(".app.example")?.to_owned()));
    /// ```
    pub fn choose_provider<F>(mut self, choose: F) -> Self
    where
        F: Fn(&Place<'_>) -> Option<String> + Send + Sync + 'static,
    {
        self.choose_provider = Some(Arc::new(choose));
        self
    }

    /// The settings that a provider asks for: where it is, which scopes it knows, where it puts roles, how it signs out. What
    /// is set afterwards takes the place of the preset's; what was set before, by the environment as well, gives way to it.
    ///
    /// ```
    /// use auth_core::{Auth, Preset};
    ///
    /// let builder = Auth::builder()
    ///     .preset(Preset::keycloak("https://id.example", "acme"))
    ///     .client("my-client", Some("its secret"));
    /// ```
    pub fn preset(self, preset: Preset) -> Self {
        self.of_provider(|provider| provider.preset(preset))
    }

    /// One of the app's public origins that users of this provider sign in at, where it has [several](Self::further_base_url). May be
    /// called for several. Default: all of them. [`SignInProvider::only_at`] says more.
    pub fn only_at(self, origin: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.only_at(origin))
    }

    /// The OpenID Connect issuer (Discovery 1.0 §3), to the byte. Required, or [`endpoints`](Self::endpoints). Its endpoints come
    /// from its discovery document, fetched when first needed and kept for an hour.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.issuer(issuer))
    }

    /// A plain OAuth 2.0 provider without discovery and ID tokens, instead of [`issuer`](Self::issuer). Who the
    /// user is comes from the userinfo endpoint, or else from introspection; or, with
    /// [`user_from_access_token`](Self::user_from_access_token), from the access token.
    pub fn endpoints(self, authorization: impl Into<String>, token: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.endpoints(authorization, token))
    }

    /// Takes the user of a plain OAuth 2.0 provider from the access token, a JWT, instead of userinfo and introspection. The
    /// token is verified step by step (RFC 9068 §4): `issuer` is its `iss`, `jwks_url` is where that issuer's keys are (RFC
    /// 7517), and `audience` has to be in its `aud`: an API that this application may read the tokens of. One that does not
    /// verify fails the sign-in.
    ///
    /// A provider issues such tokens where it is asked for that API, with [`resource`](Self::resource) or, at some, a
    /// parameter `audience` ([`authorize_param`](Self::authorize_param)).
    ///
    /// ```
    /// let builder = auth_core::Auth::builder()
    ///     .endpoints("https://tenant.example/authorize", "https://tenant.example/oauth/token")
    ///     .authorize_param("audience", "https://api.example")
    ///     .user_from_access_token(
    ///         "https://tenant.example/",
    ///         "https://tenant.example/.well-known/jwks.json",
    ///         "https://api.example",
    ///     );
    /// ```
    pub fn user_from_access_token(
        self,
        issuer: impl Into<String>,
        jwks_url: impl Into<String>,
        audience: impl Into<String>,
    ) -> Self {
        self.of_provider(|provider| provider.user_from_access_token(issuer, jwks_url, audience))
    }

    /// **Believes whatever the access token says, without any check of its signature, issuer, audience or expiry**, and
    /// takes the user of a plain OAuth 2.0 provider from it. What guides do with `jwt.decode(accessToken)`.
    ///
    /// An access token is not for its client to read: its form may change any day, and one that was issued to another
    /// client for another purpose names a user just as well. All that stands between a forged user and this application is
    /// then the connection to the token endpoint. Use [`user_from_access_token`](Self::user_from_access_token) wherever the
    /// provider publishes keys. A token that is no JWT fails the sign-in.
    pub fn dangerous_user_from_unverified_access_token(self) -> Self {
        self.of_provider(|provider| provider.dangerous_user_from_unverified_access_token())
    }

    /// The userinfo endpoint (OpenID Connect Core §5.3), in the place of discovery's.
    pub fn userinfo_url(self, url: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.userinfo_url(url))
    }

    /// The revocation endpoint (RFC 7009 §2), in the place of discovery's.
    pub fn revocation_url(self, url: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.revocation_url(url))
    }

    /// The introspection endpoint (RFC 7662 §2), in the place of discovery's.
    pub fn introspection_url(self, url: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.introspection_url(url))
    }

    /// The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0 §2), in the place of discovery's: where a sign-out
    /// sends the browser.
    pub fn end_session_url(self, url: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.end_session_url(url))
    }

    /// For a provider whose sign-out is not RP-Initiated Logout 1.0: the parameter that it calls `post_logout_redirect_uri`
    /// by, such as `logout_uri`. It is then sent with `client_id` and nothing else, in particular without `id_token_hint`.
    pub fn end_session_parameter(self, name: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.end_session_parameter(name))
    }

    /// The pushed authorization request endpoint (RFC 9126 §2), in the place of discovery's.
    pub fn pushed_authorization_request_url(self, url: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.pushed_authorization_request_url(url))
    }

    /// The client's registration at the provider: its id, and its secret if it has one (RFC 6749 §2.3.1). Required. Without a
    /// secret it is a public client, unless it [authenticates](Self::client_auth) in another way.
    pub fn client(self, id: impl Into<String>, secret: Option<&str>) -> Self {
        self.of_provider(|provider| provider.client(id, secret))
    }

    /// How the client authenticates. Default: `client_secret_basic`, or `none` without a secret.
    pub fn client_auth(self, method: ClientAuthMethod) -> Self {
        self.of_provider(|provider| provider.client_auth(method))
    }

    /// The client's private key, for `private_key_jwt` and for [signed requests](Self::sign_requests): PKCS#8 in PEM form; RSA of
    /// 2048 bits or more, P-256 or Ed25519.
    ///
    /// The public half is at `{base_url}/auth/jwks`, for providers that fetch it (register that as the client's `jwks_uri`), and in
    /// [`Auth::client_jwks`].
    ///
    /// The text may hold several keys, and calling this again adds further ones behind. All are published, the first signs: to
    /// change keys, put the new one behind the old, and in front of it once every provider has fetched it, ten minutes later
    /// say. With several, what is signed names its key (`kid`) by the key's thumbprint (RFC 7638 §3), as it stands in the set.
    pub fn client_key_pem(self, pem: &str) -> Self {
        self.of_provider(|provider| provider.client_key_pem(pem))
    }

    /// The client's certificate, for [`ClientAuthMethod::TlsClientAuth`], [`ClientAuthMethod::SelfSignedTlsClientAuth`] and
    /// [tokens that are bound to it](Self::certificate_bound_tokens) (RFC 8705): PEM, the client's own first, then those
    /// that vouch for it; and the first private key of `key`, PEM as well.
    ///
    /// The endpoints of the provider that know the client see it: those for tokens, revocation, introspection, pushed requests and
    /// userinfo, at the addresses that the discovery document has for that purpose (`mtls_endpoint_aliases`, §5). Nobody else
    /// does, save APIs where tokens are bound to it. A certificate that has expired is found out by the provider; a new one
    /// takes a new start.
    ///
    /// ```no_run
    /// # fn example(chain: &str, key: &str) {
    /// use auth_core::config::ClientAuthMethod;
    ///
    /// let builder = auth_core::Auth::builder()
    ///     .issuer("https://id.example")
    ///     .client("my-client", None)
    ///     .client_auth(ClientAuthMethod::TlsClientAuth)
    ///     .client_certificate_pem(chain, key);
    /// # }
    /// ```
    pub fn client_certificate_pem(self, chain: &str, key: &str) -> Self {
        self.of_provider(|provider| provider.client_certificate_pem(chain, key))
    }

    /// Has access tokens bound to the [client's certificate](Self::client_certificate_pem) (RFC 8705 §3), however the client
    /// authenticates, also where it does not (§4): whoever steals such a token cannot use it. Default: they are not.
    ///
    /// The APIs then see the certificate, in calls of the [client](crate::client) and through [proxies](crate::proxy). A
    /// provider whose discovery document does not say that it binds tokens cannot be used
    /// (`tls_client_certificate_bound_access_tokens`, §3.3): the client is registered there for such tokens as well (§3.4).
    pub fn certificate_bound_tokens(self) -> Self {
        self.of_provider(SignInProvider::certificate_bound_tokens)
    }

    /// The private key that decrypts what the provider encrypts for this client: ID tokens, signed userinfo answers,
    /// signed authorization responses and logout tokens (OpenID Connect Core §10.2, RFC 7516). PKCS#8 in PEM form; RSA of 2048
    /// bits or more, or P-256. Another key than the [one that signs](Self::client_key_pem). Default: none, and encrypted tokens
    /// are refused.
    ///
    /// The public half is in the set at `{base_url}/auth/jwks`, with `use` being `enc`, for the registration at the provider, which
    /// chooses the algorithms: `RSA-OAEP-256`, `RSA-OAEP`, `ECDH-ES`, `ECDH-ES+A128KW` or `ECDH-ES+A256KW`, with `A128GCM`,
    /// `A256GCM`, `A128CBC-HS256` or `A256CBC-HS512`. What is not encrypted is accepted too: whoever knows the public half
    /// can encrypt, and it is the signature within that counts.
    ///
    /// The text may hold several keys, and calling this again adds further ones: to change keys, add the new one, and take the
    /// old one away once no provider uses it any more.
    pub fn decryption_key_pem(self, pem: &str) -> Self {
        self.of_provider(|provider| provider.decryption_key_pem(pem))
    }

    /// Signs every authorization request with the [client's key](Self::client_key_pem) (RFC 9101 §4, JAR), so that nobody
    /// can change it on its way through the browser, and the provider knows whose it is. Default: requests are not signed.
    pub fn sign_requests(self) -> Self {
        self.of_provider(|provider| provider.sign_requests())
    }

    /// Everything that a [`Profile`] demands of a client. A setting that contradicts it stops the start. Default: none.
    ///
    /// ```
    /// use auth_core::{Auth, Profile};
    ///
    /// # fn builder(key: &str) -> auth_core::AuthBuilder {
    /// Auth::builder()
    ///     .issuer("https://bank.example")
    ///     .client("my-client", None)
    ///     .client_key_pem(key)
    ///     .profile(Profile::Fapi2Security)
    /// # }
    /// ```
    pub fn profile(self, profile: Profile) -> Self {
        self.of_provider(|provider| provider.profile(profile))
    }

    /// Binds every session's tokens to a key of its own (RFC 9449 §5, DPoP), so that nobody can use a token who does not
    /// have the key: requests for tokens and calls of APIs bring a proof of it. Tokens of another type fail the sign-in, and
    /// are never used. Default: tokens are bearer tokens.
    ///
    /// The key is made at sign-in, lies sealed beside the tokens, and ends with the session. Sessions that began before
    /// this was set go on with bearer tokens, and those that began with a key keep it whatever is set later.
    /// [Exchanged](Auth::exchange) tokens are bound to the session's key. The [application's own](Auth::machine_token) are
    /// bound to a key that is made at each start.
    ///
    /// The APIs have to take such tokens (`Authorization: DPoP`). The provider's and the APIs' nonces (§8, §9) are taken
    /// care of: whoever demands one is asked once more, and the latest one is in the next proof.
    pub fn dpop(self) -> Self {
        self.of_provider(|provider| provider.dpop())
    }

    /// The scopes to ask for, separated by spaces. Default: `openid profile email offline_access`. With an
    /// [`issuer`](Self::issuer), `openid` is always among them.
    pub fn scopes(self, scopes: &str) -> Self {
        self.of_provider(|provider| provider.scopes(scopes))
    }

    /// Adds a parameter to every authorization request, `audience` for example, in the place of one of that name: a request
    /// has each once (RFC 6749 §3.1). `max_age` is in whole seconds. Those that the library sets itself are refused by
    /// [`build`](Self::build): `state`, `scope` and the like, and `resource`, which [has a method](Self::resource).
    pub fn authorize_param(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.authorize_param(name, value))
    }

    /// Asks for single claims (`claims`, OpenID Connect Core §5.5): an object with `id_token`, `userinfo` or both.
    ///
    /// ```
    /// # use serde_json::json;
    /// let builder = auth_core::Auth::builder().claims(json!({
    ///     "id_token": {"acr": {"essential": true, "values": ["urn:example:gold"]}},
    ///     "userinfo": {"email": null},
    /// }));
    /// ```
    pub fn claims(self, claims: serde_json::Value) -> Self {
        self.of_provider(|provider| provider.claims(claims))
    }

    /// Asks for an access token that is good for this in detail (`authorization_details`, RFC 9396 §2): an array of objects,
    /// each with a `type`. What was granted is in [`Session::authorization_details`].
    ///
    /// ```
    /// # use serde_json::json;
    /// let builder = auth_core::Auth::builder().authorization_details(json!([
    ///     {"type": "account_information", "actions": ["list_accounts"]},
    /// ]));
    /// ```
    pub fn authorization_details(self, details: serde_json::Value) -> Self {
        self.of_provider(|provider| provider.authorization_details(details))
    }

    /// Adds a resource indicator (RFC 8707 §2): an API that the access token is for. It goes with the authorization request,
    /// with the code and with each refresh.
    pub fn resource(self, uri: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.resource(uri))
    }

    /// How the provider's answer comes back. Default: [`ResponseMode::Query`].
    pub fn response_mode(self, mode: ResponseMode) -> Self {
        self.of_provider(|provider| provider.response_mode(mode))
    }

    /// Whether authorization requests are pushed to the provider first (RFC 9126 §2): then the browser carries no more than
    /// the client's id and a name that the provider has given the request. Default: [`ParPolicy::Auto`].
    ///
    /// Each `GET /auth/login` then costs a request to the provider, which has to answer before the browser is sent there.
    pub fn par(self, policy: ParPolicy) -> Self {
        self.of_provider(|provider| provider.par(policy))
    }

    /// Whether userinfo is asked at sign-in. Default: [`UserinfoPolicy::Always`].
    pub fn userinfo(self, policy: UserinfoPolicy) -> Self {
        self.of_provider(|provider| provider.userinfo(policy))
    }

    /// The signature algorithms that an ID token may have. Default: those that the provider advertises, less
    /// `none` and `HS*`.
    pub fn id_token_algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.of_provider(|provider| provider.id_token_algorithms(algorithms))
    }

    /// Where the provider puts a user's roles: names of claims (`groups`, `https://app.example/roles`), or JSON pointers (RFC
    /// 6901) to what stands in one (`/realm_access/roles`), in which a segment `{client_id}` is this client's. All that are
    /// found there are the user's roles: strings, lists of strings, and objects that say of each role which organisations
    /// have given it.
    ///
    /// They become the claim `roles` as soon as an ID token is verified, at sign-in and at each refresh, so that
    /// [gates](crate::gate::Gate::role), hooks and `GET /auth/session` see one notion. What stood in `roles` then counts only
    /// where it is among the places; without roles there, the user has none. Userinfo never adds any. A plain OAuth 2.0
    /// provider has no ID token: there the places are looked for in whatever says [who the user is](Self::endpoints).
    ///
    /// Default: the claim `roles` as it comes. A session that began under another setting keeps its roles until it ends
    /// ([`Auth::end_all_sessions`] ends it).
    ///
    /// **Whoever can choose a name can choose a role.** Where users make groups and name them themselves, as in GitLab, leave
    /// groups out, or ask gates for a name that nobody else can have.
    ///
    /// ```
    /// let builder = auth_core::Auth::builder()
    ///     .roles_claims(["/realm_access/roles", "/resource_access/{client_id}/roles"]);
    /// ```
    pub fn roles_claims<P: Into<String>>(self, places: impl IntoIterator<Item = P>) -> Self {
        self.of_provider(|provider| provider.roles_claims(places))
    }

    /// Extra root certificates, a PEM bundle, for calls to the provider and to APIs. The system's are always used. Default: no
    /// others.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Where sessions are kept. Default: in memory.
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = StoreChoice::Given(Arc::new(store));
        self
    }

    /// Where sessions are kept, as a URL: `memory:`, `sqlite:PATH`, `redis://…`, `rediss://…` or `postgres://…`, each
    /// with the feature of its name. Default: `memory:`, which ends with the process. Opened by [`build`](Self::build).
    pub fn store_url(mut self, url: impl Into<String>) -> Self {
        self.store = StoreChoice::Url(url.into());
        self
    }

    /// The keys for cookies and for tokens at rest. Default: a random one for this process, with a warning:
    /// sessions then end with the process.
    pub fn secret(mut self, keys: SecretKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// After how long without a request a session ends. Default: 8 hours. At least a second. A use is written down once in 1/32
    /// of it, so a session may end that much sooner.
    pub fn session_idle(mut self, length: Duration) -> Self {
        self.session_idle = length;
        self
    }

    /// After how long a session ends in any case. Default: 7 days. At least a second. It ends sooner where the provider says so, by
    /// the life of the refresh token for one.
    pub fn session_max(mut self, length: Duration) -> Self {
        self.session_max = length;
        self
    }

    /// The limit for one call of the provider or an API, in all. Default: 10 seconds. At least a second. Connecting may
    /// take 3 seconds at most.
    pub fn http_timeout(mut self, length: Duration) -> Self {
        self.http_timeout = length;
        self
    }

    /// An API that may be shown the user's access token, by its base URL: https, or http to loopback. May be called for several.
    /// The first one is the base of relative URLs given to [`AuthenticatedClient`](crate::client::AuthenticatedClient). No other
    /// origin ever sees a token. Default: none.
    pub fn api(mut self, base: impl Into<String>) -> Self {
        self.apis.push(("API_URL", base.into()));
        self
    }

    /// The provider's own API, by its base URL, such as SCIM or a user directory: it may be shown the user's access token, and
    /// is the base of relative URLs as long as no [`api`](Self::api) is.
    pub fn provider_api(self, base: impl Into<String>) -> Self {
        self.of_provider(|provider| provider.provider_api(base))
    }

    /// A further API that may be shown the user's access token, by its base URL. It is never the base of relative URLs.
    pub fn other_api(self, base: impl Into<String>) -> Self {
        self.api_from("API2_URL", base.into())
    }

    pub(crate) fn api_from(mut self, variable: &'static str, base: String) -> Self {
        self.apis.push((variable, base));
        self
    }

    /// Called at each sign-in, once everything is verified and before the session exists: it sees the ID token's
    /// claims, userinfo and the token response, can shape what the session keeps, and can refuse the user.
    ///
    /// The browser waits for it, however long it takes; where the browser goes away, it runs to its end all the same.
    ///
    /// A refresh does not call it. The claims that a refreshed ID token brings take the place of those that the hook has
    /// left as they were; what it has set to another value stays, and what it has left out stays out. Roles that it works
    /// out and sets are therefore those of the sign-in.
    ///
    /// ```
    /// # use auth_core::{Auth, session::SignIn, Refused};
    /// let builder = Auth::builder().on_sign_in(|mut sign_in: SignIn| async move {
    ///     if sign_in.claims().get("email_verified") != Some(&true.into()) {
    ///         return Err(Refused::because("the e-mail address is not verified"));
    ///     }
    ///     sign_in.keep_claims(["email", "given_name", "family_name", "roles"]);
    ///     Ok(sign_in)
    /// });
    /// ```
    pub fn on_sign_in<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(SignIn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<SignIn, Refused>> + Send + 'static,
    {
        self.on_sign_in = Some(Arc::new(move |sign_in| Box::pin(hook(sign_in))));
        self
    }

    /// Answers 401 `application/problem+json` also to a form that a person sends without being signed in. By default that is a page
    /// which says that it was probably not carried out, and has a button that signs in and leads back to the page with the form, by
    /// `Referer`: no sign-in can send the form again. All other failures of a form stay pages.
    pub fn problems_for_signed_out_forms(mut self) -> Self {
        self.problems_for_signed_out_forms = true;
        self
    }

    /// Changes what `GET /auth/session` shows of a signed-in session: it is given the default answer and returns
    /// the one to send. It has no access to tokens, and must not block.
    ///
    /// ```
    /// # use auth_core::{Auth, session::Session};
    /// let builder = Auth::builder().session_view(|session: &Session, mut answer| {
    ///     answer["is_admin"] = session.claims().has_role("admin").into();
    ///     answer
    /// });
    /// ```
    pub fn session_view<F>(mut self, hook: F) -> Self
    where
        F: Fn(&Session, serde_json::Value) -> serde_json::Value + Send + Sync + 'static,
    {
        self.session_view = Some(Arc::new(hook));
        self
    }

    /// Called with everything that happens to sign-ins and sessions, right after it has happened: for an audit log. Several
    /// hooks are called one after the other. A hook must not block; [`events`](crate::events) shows how one writes to a
    /// database.
    ///
    /// ```
    /// # use auth_core::{Auth, Event};
    /// let builder = Auth::builder().on_event(|event: &Event| {
    ///     println!("{} {:?} {:?}", event.kind.as_str(), event.kind.cause(), event.session);
    /// });
    /// ```
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_event.push(Arc::new(hook));
        self
    }

    /// The page of this app that a sign-out ends on: a path such as `/goodbye`, with a query perhaps. Default: `/`. It goes
    /// to the provider as `post_logout_redirect_uri`, `{base_url}/goodbye`, which has to be registered there to the byte
    /// (OpenID Connect RP-Initiated Logout 1.0 §2); where the provider has no sign-out of its own, the browser goes there
    /// at once.
    pub fn post_logout_redirect(mut self, path: impl Into<String>) -> Self {
        self.post_logout_redirect = path.into();
        self
    }

    /// Proxies whose `X-Forwarded-For` is believed, as addresses and networks separated by commas
    /// (`10.0.0.1,192.168.0.0/16`): for the addresses in the [list of sessions](Auth::sessions_of_user), and for nothing
    /// else. Default: none. On axum, the server has to be made with
    /// `into_make_service_with_connect_info::<SocketAddr>()`; otherwise no address is known.
    pub fn trusted_proxies(mut self, list: impl Into<String>) -> Self {
        self.trusted_proxies = Some(list.into());
        self
    }

    /// A provider that nobody signs in with, under a name of the application's own: for
    /// [exchanges](crate::grants::TokenExchange::at) and [other grants](crate::grants::CustomGrant::at) there. Of two with
    /// one name the latter counts.
    pub fn further_provider(mut self, name: impl Into<String>, provider: FurtherProvider) -> Self {
        let name = name.into();
        self.further.retain(|(held, _)| *held != name);
        self.further.push((name, provider));
        self
    }

    /// Shares the application's own tokens ([`ClientCredentials`](crate::grants::ClientCredentials)) with all instances
    /// that have the same store and [secret](Self::secret): they lie in the store, sealed. Default: each instance has
    /// its own.
    ///
    /// It saves requests and serializes nobody: instances that find no good token at the same moment ask for one each, and
    /// all of these are good until they expire (RFC 6749 §4.4 has no rotation). A lease would let all instances wait for
    /// one that is slow or has died.
    pub fn share_machine_tokens(mut self) -> Self {
        self.share_machine_tokens = true;
        self
    }

    /// The clock. Default: the system's; tests move their own.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The runtime that refreshes and sign-ins run on; it must outlive the requests. Default: the one that
    /// [`build`](Self::build) is called on.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Checks every setting, opens the store and makes the [`Auth`]. The provider is not asked for anything yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first setting that is wrong or missing; it also names what else is missing of an only provider. The
    /// [`runtime`](Self::runtime) is missing where none was named and this is not called on one.
    pub async fn build(self) -> Result<Auth, ConfigError> {
        let mut checked = Vec::new();
        if self.has_provider || self.providers.is_empty() {
            let mut missing = self.provider.missing();
            missing.extend(self.base_url.is_none().then_some("AUTH_BASE_URL"));
            let provider = self.provider.check().map_err(|error| error.among(&missing))?;
            checked.push((None, provider, Vec::new()));
        }
        for (name, provider) in self.providers {
            if !is_name(&name) {
                return Err(ConfigError::new(
                    "AUTH_PROVIDERS",
                    "a name has letters, digits, - and _, 64 at most",
                ));
            }
            let shared = provider.shared.clone();
            let provider = provider
                .check()
                .map_err(|error| error.of_provider(&name, &shared))?;
            checked.push((Some(name), provider, shared));
        }
        let base_url = self
            .base_url
            .as_deref()
            .ok_or_else(|| {
                ConfigError::new(
                    "AUTH_BASE_URL",
                    "set it to the app's public origin, https://app.example",
                )
            })
            .and_then(|text| {
                BaseUrl::new(text).map_err(|error| ConfigError::new("AUTH_BASE_URL", error.to_string()))
            })?;
        let origins = Arc::new(Origins::new(base_url, &self.further_base_urls)?);
        let has_profile = checked.iter().any(|(_, one, _)| one.config.demands_issuer);
        if has_profile && !origins.are_secure() {
            return Err(ConfigError::new(
                "AUTH_BASE_URL",
                "must be https, or http on loopback: AUTH_PROFILE is set",
            ));
        }
        for (variable, length) in [
            ("AUTH_SESSION_IDLE", self.session_idle),
            ("AUTH_SESSION_MAX", self.session_max),
            ("HTTP_TIMEOUT_SECS", self.http_timeout),
        ] {
            if length < Duration::from_secs(1) {
                return Err(ConfigError::new(variable, "must be at least one second"));
            }
        }
        let mut api_origins = Vec::new();
        let mut api_base = None;
        for (variable, text) in &self.apis {
            let url = party::api_url(variable, text)?;
            api_origins.push(url.origin().ascii_serialization());
            if *variable == "API_URL" {
                api_base.get_or_insert(url);
            }
        }
        let (path, kept) = (
            &self.post_logout_redirect,
            ReturnTo::parse(&self.post_logout_redirect),
        );
        if kept.as_str() != path || path.contains('#') {
            return Err(ConfigError::new(
                "post_logout_redirect",
                "must be a path of this app as it stands in a URL, /goodbye for example",
            ));
        }
        let trusted_proxies = self.trusted_proxies.as_deref().map(TrustedProxies::parse);
        let trusted_proxies = trusted_proxies.transpose()?.unwrap_or_default();
        let usual = || ProviderHttp::new(self.http_timeout, self.ca.as_deref());
        #[cfg(feature = "testing")]
        let provider_http = match self.network {
            Some(network) => ProviderHttp::within(network, self.http_timeout),
            None => usual()?,
        };
        #[cfg(not(feature = "testing"))]
        let provider_http = usual()?;
        let api_http = ApiHttp::new(&provider_http, None)?;
        let runtime = runtime_or_present(self.runtime)?;
        let mut parties = Vec::new();
        for (name, checked, shared) in checked {
            let clock = ProviderClock::configured(name.clone(), self.clock.clone());
            let party = (checked.at_own_origins(&origins)).and_then(|checked| {
                Party::new(name.clone(), checked, &origins, &provider_http, clock, &runtime)
            });
            let party = party.map_err(|error| match &name {
                Some(name) => error.of_provider(name, &shared),
                None => error,
            })?;
            parties.push(Arc::new(party));
        }
        let lookup = self.find_provider.map(|find| {
            Lookup::new(Means {
                find,
                origins: Arc::clone(&origins),
                http: provider_http.clone(),
                runtime: runtime.clone(),
                clock: self.clock.clone(),
                limit: self.http_timeout,
            })
        });
        let further = self
            .further
            .into_iter()
            .map(|(name, provider)| {
                if parties.iter().any(|party| party.name.as_ref() == Some(&name)) {
                    return Err(ConfigError::new(
                        "further_provider",
                        format!("`{name}` is the name of a provider that users sign in with, and can be asked as such"),
                    ));
                }
                let party = provider.check(&name, &origins, &provider_http, &self.clock, &runtime)?;
                Ok((name, Arc::new(party)))
            })
            .collect::<Result<HashMap<_, _>, ConfigError>>()?;
        let keys_given = self.keys.is_some();
        let store = match self.store {
            StoreChoice::Given(store) => store,
            StoreChoice::Url(url) => open_store(&url).await?,
        };
        if self.share_machine_tokens && store.app_data().is_none() {
            return Err(ConfigError::new(
                "AUTH_STORE",
                "this store keeps sessions only, and `share_machine_tokens` needs one that keeps data of the app's own",
            ));
        }
        let config = Config {
            cookies: CookieNames {
                https: origins.first().is_https(),
            },
            origins,
            parties: Parties::new(parties, lookup)?,
            choose_provider: self.choose_provider,
            keys: self.keys.unwrap_or_else(SecretKeys::random),
            session_idle: self.session_idle,
            session_max: self.session_max,
            api_base,
            api_origins,
            http_timeout: self.http_timeout,
            extra_roots: self.ca,
            on_sign_in: self.on_sign_in,
            session_view: self.session_view,
            on_event: self.on_event,
            trusted_proxies,
            post_logout_redirect: self.post_logout_redirect,
            share_machine_tokens: self.share_machine_tokens,
            problems: Problems::default(),
            problems_for_signed_out_forms: self.problems_for_signed_out_forms,
        };
        let auth = Auth::new(config, further, store, api_http, self.clock, runtime);
        if !keys_given {
            tracing::warn!(
                "AUTH_SECRET is not set: sessions are sealed with a random key and end with this process; \
                 make one with `openssl rand -hex 32`"
            );
        }
        Ok(auth)
    }
}

/// The runtime that was named, or the one that this is called on.
pub(crate) fn runtime_or_present(named: Option<Handle>) -> Result<Handle, ConfigError> {
    named
        .map_or_else(Handle::try_current, Ok)
        .map_err(|_| ConfigError::new("runtime", "name a tokio runtime, or call `build` on one"))
}

async fn open_store(url: &str) -> Result<Arc<dyn SessionStore>, ConfigError> {
    const SUPPORTED: &str = "use memory:, sqlite:PATH, redis://HOST or postgres://HOST/DATABASE";
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    match scheme {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryStore::new())),
        #[cfg(feature = "sqlite")]
        "sqlite" if !rest.is_empty() => opened(
            "name a file that this program may make and write, sqlite:PATH",
            crate::store::SqliteStore::open(rest).await,
        ),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+unix" => opened(
            "name a Redis server that runs and lets this client in",
            crate::store::RedisStore::open(url).await,
        ),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => opened(
            "name a PostgreSQL server that runs, a database that is there and a role that may use it",
            crate::store::PostgresStore::open(url).await,
        ),
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(needs_feature("sqlite")),
        #[cfg(not(feature = "redis"))]
        "redis" | "rediss" | "redis+unix" => Err(needs_feature("redis")),
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(needs_feature("postgres")),
        _ => Err(ConfigError::new("AUTH_STORE", SUPPORTED)),
    }
}

/// A store's error holds no URL, for that may hold a password.
#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
fn opened<S: SessionStore>(
    mend: &str,
    store: Result<S, crate::store::StoreError>,
) -> Result<Arc<dyn SessionStore>, ConfigError> {
    match store {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(ConfigError::new(
            "AUTH_STORE",
            format!("cannot be opened: {}; {mend}", one_line(&error)),
        )),
    }
}

#[cfg(not(all(feature = "sqlite", feature = "redis", feature = "postgres")))]
fn needs_feature(feature: &str) -> ConfigError {
    ConfigError::new(
        "AUTH_STORE",
        format!("needs the feature `{feature}` of the crate auth-core"),
    )
}

/// An error and its causes on one line; a path in it may hold anything.
#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
fn one_line(error: &dyn std::error::Error) -> String {
    crate::error::chain(error).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::bearer::ResourceServer;

    /// Waits for what answers, on a thread that is of no runtime.
    fn outside_of_a_runtime<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => return output,
                Poll::Pending => std::thread::yield_now(),
            }
        }
    }

    fn app() -> AuthBuilder {
        Auth::builder()
            .base_url("https://app.example")
            .issuer("https://id.example")
            .client("app", None)
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        let refused = |builder: AuthBuilder| {
            let refused = outside_of_a_runtime(builder.build()).expect_err("something is missing");
            refused.to_string()
        };
        let issuer = "AUTH_ISSUER: set it to the provider's issuer, https://id.example";
        assert_eq!(
            refused(Auth::builder()),
            format!("{issuer}; AUTH_CLIENT_ID and AUTH_BASE_URL are missing as well")
        );
        assert_eq!(
            refused(Auth::builder().base_url("https://app.example")),
            format!("{issuer}; AUTH_CLIENT_ID is missing as well")
        );
        let client_id = "AUTH_CLIENT_ID: set it to the client id registered at the provider";
        let with_issuer = Auth::builder().issuer("https://id.example");
        assert_eq!(
            refused(with_issuer.clone()),
            format!("{client_id}; AUTH_BASE_URL is missing as well")
        );
        assert_eq!(refused(with_issuer.base_url("https://app.example")), client_id);
        let with_client = Auth::builder()
            .base_url("https://app.example")
            .client("app", None);
        assert_eq!(refused(with_client), issuer);
        // What is wrong is said alone.
        let wrong = refused(Auth::builder().issuer("http://id.example"));
        assert!(
            wrong.starts_with("AUTH_ISSUER: ") && !wrong.contains("missing"),
            "{wrong}"
        );
    }

    #[tokio::test]
    #[cfg(feature = "sqlite")]
    async fn a_store_that_cannot_be_opened_is_a_line_with_the_mend() {
        let store = "sqlite:/nowhere/\u{1b}[31m\n/x.db";
        let refused = app().store_url(store).build().await;
        let refused = refused.expect_err("there is no such folder").to_string();
        let mend = "; name a file that this program may make and write, sqlite:PATH";
        assert!(refused.starts_with("AUTH_STORE: cannot be opened: "), "{refused}");
        assert!(refused.ends_with(mend), "{refused}");
        assert!(!refused.contains(char::is_control), "{refused:?}");
        assert_eq!(refused.matches("No such file").count(), 1, "{refused}");
    }

    #[test]
    fn outside_of_a_runtime_one_has_to_be_named() {
        let refused = outside_of_a_runtime(app().build()).expect_err("there is no runtime");
        assert_eq!(refused.variable(), "runtime");
        let api = || {
            ResourceServer::builder()
                .issuer("https://id.example")
                .audience("api")
        };
        let refused = api().build().expect_err("there is no runtime");
        assert_eq!(refused.variable(), "runtime");

        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let named = app().runtime(runtime.handle().clone());
        assert!(outside_of_a_runtime(named.build()).is_ok());
        assert!(api().runtime(runtime.handle().clone()).build().is_ok());
    }

    #[test]
    #[cfg(feature = "sqlite")]
    fn a_store_is_opened_wherever_a_runtime_is_named() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let builder = app()
            .runtime(runtime.handle().clone())
            .store_url("sqlite::memory:");
        assert!(outside_of_a_runtime(builder.build()).is_ok());
    }
}
