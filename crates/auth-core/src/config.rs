//! Every setting, parsed and checked once.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use url::Url;

use crate::auth::Auth;
use crate::bearer::{self, GivenKeys, TrustedIssuer};
use crate::client_auth::ClientAuthentication;
use crate::client_keys::ClientKeys;
use crate::clock::Clock;
use crate::events::{Event, EventHook};
use crate::forwarded::TrustedProxies;
use crate::grants::{FurtherConfig, FurtherProvider};
use crate::http::{self, ProviderHttp};
use crate::jose::{self, Algorithm, SigningKey};
use crate::preset::Preset;
use crate::request_object;
use crate::roles::RoleClaims;
use crate::seal::SecretKeys;
use crate::secret::ClientSecret;
use crate::session::{Session, SignIn};
use crate::store::{MemoryStore, SessionStore};
use crate::types::{BaseUrl, Issuer, ReturnTo, Scopes, secure_url};

/// A setting that is wrong or missing: its name as an environment variable, and the mend, on one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {mend}")]
pub struct ConfigError {
    variable: Cow<'static, str>,
    mend: Cow<'static, str>,
}

impl ConfigError {
    /// An error about `variable`. Neither text may hold a secret or a line break.
    pub fn new(variable: impl Into<Cow<'static, str>>, mend: impl Into<Cow<'static, str>>) -> Self {
        Self {
            variable: variable.into(),
            mend: mend.into(),
        }
    }

    /// The setting's name as an environment variable.
    #[must_use]
    pub fn variable(&self) -> &str {
        &self.variable
    }
}

/// How the client shows the provider who it is (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuthMethod {
    /// The secret in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// The secret in the form.
    ClientSecretPost,
    /// An assertion signed with the client's private key (RFC 7523).
    PrivateKeyJwt,
    /// An assertion signed with the secret (RFC 7523, HS256), which has to have 32 bytes at least. The secret itself does not
    /// travel; a private key is better still, for the provider does not have it.
    ClientSecretJwt,
    /// Not at all: a public client.
    None,
}

/// How the provider sends its answer to the browser's sign-in back to the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of a redirect.
    #[default]
    Query,
    /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
    /// Signed by the provider, in the query of a redirect (JARM, `query.jwt`).
    Jwt,
    /// Signed by the provider, in a form that the browser posts (JARM, `form_post.jwt`).
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

/// Whether authorization requests are pushed to the provider before the browser is sent there (RFC 9126).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParPolicy {
    /// Where the provider's discovery document says that they have to be (`require_pushed_authorization_requests`).
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
    /// Once at each sign-in, where there is such an endpoint.
    #[default]
    Always,
    /// Never.
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

/// The same as it was set.
#[derive(Clone)]
enum PlainIdentityChoice {
    Endpoints,
    AccessToken {
        issuer: String,
        jwks_url: String,
        audience: String,
    },
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
    pub(crate) base_url: BaseUrl,
    pub(crate) cookies: CookieNames,
    pub(crate) provider: ProviderConfig,
    pub(crate) overrides: EndpointOverrides,
    pub(crate) plain_identity: PlainIdentity,
    pub(crate) client_id: String,
    pub(crate) authentication: ClientAuthentication,
    pub(crate) client_keys: Option<ClientKeys>,
    pub(crate) signs_requests: bool,
    pub(crate) scopes: Scopes,
    pub(crate) authorize_params: Vec<(String, String)>,
    pub(crate) resources: Vec<String>,
    pub(crate) response_mode: ResponseMode,
    pub(crate) par: ParPolicy,
    pub(crate) userinfo: UserinfoPolicy,
    pub(crate) algorithms: Option<Vec<Algorithm>>,
    pub(crate) role_claims: RoleClaims,
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
    /// The provider's own name for `post_logout_redirect_uri`.
    pub(crate) end_session_parameter: Option<String>,
    pub(crate) further: Vec<(String, FurtherConfig)>,
    pub(crate) share_machine_tokens: bool,
}

impl Config {
    /// Where the provider sends the browser back to.
    pub(crate) fn redirect_uri(&self) -> String {
        self.base_url.join(paths::CALLBACK)
    }
}

/// The paths of the library's routes.
pub mod paths {
    /// Begins a sign-in.
    pub const LOGIN: &str = "/auth/login";
    /// Takes the provider's answer: the redirect URI.
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
}

/// What an error about [`AuthBuilder::provider_api`] is about.
const PROVIDER_API: &str = "provider_api";
/// How far apart the clocks of the app and of the provider may be.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);
/// How long a sign-in may take, from the redirect to the provider to the callback.
pub(crate) const ATTEMPT_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How many sign-ins one browser may have open.
pub(crate) const MAX_ATTEMPTS: usize = 5;

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
    issuer: Option<String>,
    authorization_url: Option<String>,
    token_url: Option<String>,
    userinfo_url: Option<String>,
    revocation_url: Option<String>,
    introspection_url: Option<String>,
    end_session_url: Option<String>,
    end_session_parameter: Option<String>,
    provider_api: Option<String>,
    preset_error: Option<ConfigError>,
    pushed_authorization_request_url: Option<String>,
    plain_identity: PlainIdentityChoice,
    client_id: Option<String>,
    client_secret: Option<ClientSecret>,
    client_auth: Option<ClientAuthMethod>,
    client_keys: Result<Vec<Arc<SigningKey>>, ConfigError>,
    signs_requests: bool,
    scopes: Scopes,
    authorize_params: Vec<(String, String)>,
    resources: Vec<String>,
    response_mode: ResponseMode,
    par: ParPolicy,
    userinfo: UserinfoPolicy,
    algorithms: Option<Vec<Algorithm>>,
    roles_claims: Vec<String>,
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
    clock: Clock,
    runtime: Option<tokio::runtime::Handle>,
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
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Default for AuthBuilder {
    fn default() -> Self {
        Self {
            base_url: None,
            issuer: None,
            authorization_url: None,
            token_url: None,
            userinfo_url: None,
            revocation_url: None,
            introspection_url: None,
            end_session_url: None,
            end_session_parameter: None,
            provider_api: None,
            preset_error: None,
            pushed_authorization_request_url: None,
            plain_identity: PlainIdentityChoice::Endpoints,
            client_id: None,
            client_secret: None,
            client_auth: None,
            client_keys: Ok(Vec::new()),
            signs_requests: false,
            scopes: Scopes::parse("openid profile email offline_access"),
            authorize_params: Vec::new(),
            resources: Vec::new(),
            response_mode: ResponseMode::default(),
            par: ParPolicy::default(),
            userinfo: UserinfoPolicy::default(),
            algorithms: None,
            roles_claims: Vec::new(),
            ca: None,
            store: StoreChoice::Url("memory:".to_owned()),
            keys: None,
            session_idle: Duration::from_secs(8 * 3600),
            session_max: Duration::from_secs(7 * 24 * 3600),
            http_timeout: Duration::from_secs(10),
            apis: Vec::new(),
            on_sign_in: None,
            session_view: None,
            on_event: Vec::new(),
            trusted_proxies: None,
            post_logout_redirect: "/".to_owned(),
            further: Vec::new(),
            share_machine_tokens: false,
            clock: Clock::system(),
            runtime: None,
        }
    }
}

impl AuthBuilder {
    /// The app's own public origin, `https://app.example`. Required. The redirect URI is `{base_url}/auth/callback`.
    pub fn base_url(mut self, origin: impl Into<String>) -> Self {
        self.base_url = Some(origin.into());
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
        preset.apply(self)
    }

    /// A preset that was given something it cannot use; [`build`](Self::build) says so.
    pub(crate) fn preset_error(mut self, error: ConfigError) -> Self {
        self.preset_error.get_or_insert(error);
        self
    }

    /// The OpenID Connect issuer. Its endpoints come from its discovery document, fetched when first needed and
    /// kept for an hour.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// A plain OAuth 2.0 provider without discovery and ID tokens, instead of [`issuer`](Self::issuer). Who the
    /// user is comes from the userinfo endpoint, or else from introspection; or, with
    /// [`user_from_access_token`](Self::user_from_access_token), from the access token.
    pub fn endpoints(mut self, authorization: impl Into<String>, token: impl Into<String>) -> Self {
        self.authorization_url = Some(authorization.into());
        self.token_url = Some(token.into());
        self
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
        mut self,
        issuer: impl Into<String>,
        jwks_url: impl Into<String>,
        audience: impl Into<String>,
    ) -> Self {
        self.plain_identity = PlainIdentityChoice::AccessToken {
            issuer: issuer.into(),
            jwks_url: jwks_url.into(),
            audience: audience.into(),
        };
        self
    }

    /// **Believes whatever the access token says, without any check of its signature, issuer, audience or expiry**, and
    /// takes the user of a plain OAuth 2.0 provider from it. What guides do with `jwt.decode(accessToken)`.
    ///
    /// An access token is not for its client to read: its form may change any day, and one that was issued to another
    /// client for another purpose names a user just as well. All that stands between a forged user and this application is
    /// then the connection to the token endpoint. Use [`user_from_access_token`](Self::user_from_access_token) wherever the
    /// provider publishes keys. A token that is no JWT fails the sign-in.
    pub fn dangerous_user_from_unverified_access_token(mut self) -> Self {
        self.plain_identity = PlainIdentityChoice::Unverified;
        self
    }

    pub(crate) fn authorization_url(mut self, url: Option<String>) -> Self {
        self.authorization_url = url;
        self
    }

    pub(crate) fn token_url(mut self, url: Option<String>) -> Self {
        self.token_url = url;
        self
    }

    /// The userinfo endpoint (OpenID Connect Core §5.3), in the place of discovery's.
    pub fn userinfo_url(mut self, url: impl Into<String>) -> Self {
        self.userinfo_url = Some(url.into());
        self
    }

    /// The revocation endpoint (RFC 7009), in the place of discovery's.
    pub fn revocation_url(mut self, url: impl Into<String>) -> Self {
        self.revocation_url = Some(url.into());
        self
    }

    /// The introspection endpoint (RFC 7662), in the place of discovery's.
    pub fn introspection_url(mut self, url: impl Into<String>) -> Self {
        self.introspection_url = Some(url.into());
        self
    }

    /// The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0 §2), in the place of discovery's: where a sign-out
    /// sends the browser.
    pub fn end_session_url(mut self, url: impl Into<String>) -> Self {
        self.end_session_url = Some(url.into());
        self
    }

    /// For a provider whose sign-out is not RP-Initiated Logout 1.0: the parameter that it calls `post_logout_redirect_uri`
    /// by, such as `logout_uri`. It is then sent with `client_id` and nothing else, in particular without `id_token_hint`.
    pub fn end_session_parameter(mut self, name: impl Into<String>) -> Self {
        self.end_session_parameter = Some(name.into());
        self
    }

    /// The pushed authorization request endpoint (RFC 9126), in the place of discovery's.
    pub fn pushed_authorization_request_url(mut self, url: impl Into<String>) -> Self {
        self.pushed_authorization_request_url = Some(url.into());
        self
    }

    /// The client's registration at the provider: its id, and its secret if it has one.
    pub fn client(mut self, id: impl Into<String>, secret: Option<&str>) -> Self {
        self.client_id = Some(id.into());
        self.client_secret = secret.map(ClientSecret::new);
        self
    }

    /// How the client authenticates. Default: `client_secret_basic`, or `none` without a secret.
    pub fn client_auth(mut self, method: ClientAuthMethod) -> Self {
        self.client_auth = Some(method);
        self
    }

    /// The client's private key, for `private_key_jwt` and for [signed requests](Self::sign_requests): PKCS#8 in PEM form; RSA of
    /// 2048 bits or more, P-256 or Ed25519.
    ///
    /// The public half is at `{base_url}/auth/jwks`, for providers that fetch it (register that as the client's `jwks_uri`), and in
    /// [`Auth::client_jwks`].
    ///
    /// The text may hold several keys, and calling this again adds further ones behind. All are published, the first signs: to
    /// change keys, put the new one behind the old, and in front of it once every provider has fetched it, ten minutes later
    /// say. With several, what is signed names its key (`kid`) by the key's thumbprint (RFC 7638), as it stands in the set.
    pub fn client_key_pem(mut self, pem: &str) -> Self {
        match (&mut self.client_keys, SigningKey::all_from_pem(pem)) {
            (Ok(held), Ok(keys)) => held.extend(keys.into_iter().map(Arc::new)),
            (Ok(_), Err(error)) => {
                self.client_keys = Err(ConfigError::new(
                    "AUTH_CLIENT_KEY",
                    format!("{error}; it takes a PKCS#8 private key in PEM form"),
                ));
            }
            (Err(_), _) => {}
        }
        self
    }

    pub(crate) fn client_key_error(mut self, error: ConfigError) -> Self {
        self.client_keys = Err(error);
        self
    }

    /// Signs every authorization request with the [client's key](Self::client_key_pem) (RFC 9101, JAR), so that nobody can change it
    /// on its way through the browser, and the provider knows whose it is. Default: requests are not signed.
    pub fn sign_requests(mut self) -> Self {
        self.signs_requests = true;
        self
    }

    /// The scopes to ask for, separated by spaces. Default: `openid profile email offline_access`. With an
    /// [`issuer`](Self::issuer), `openid` is always among them.
    pub fn scopes(mut self, scopes: &str) -> Self {
        self.scopes = Scopes::parse(scopes);
        self
    }

    /// Adds a parameter to every authorization request, `audience` for example, in the place of one of that name: a request
    /// has each once (RFC 6749 §3.1), but for `resource` (RFC 8707 §2).
    pub fn authorize_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        if name != "resource" {
            self.authorize_params.retain(|(held, _)| *held != name);
        }
        self.authorize_params.push((name, value.into()));
        self
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
        self.json_param("claims", &claims)
    }

    /// Asks for an access token that is good for this in detail (`authorization_details`, RFC 9396): an array of objects, each
    /// with a `type`. What was granted is in [`Session::authorization_details`].
    ///
    /// ```
    /// # use serde_json::json;
    /// let builder = auth_core::Auth::builder().authorization_details(json!([
    ///     {"type": "account_information", "actions": ["list_accounts"]},
    /// ]));
    /// ```
    pub fn authorization_details(self, details: serde_json::Value) -> Self {
        self.json_param("authorization_details", &details)
    }

    fn json_param(self, name: &str, value: &serde_json::Value) -> Self {
        self.authorize_param(name, value.to_string())
    }

    /// Adds a resource indicator (RFC 8707): an API that the access token is for. It goes with the authorization request, with
    /// the code and with each refresh.
    pub fn resource(mut self, uri: impl Into<String>) -> Self {
        self.resources.push(uri.into());
        self
    }

    /// How the provider's answer comes back. Default: [`ResponseMode::Query`].
    pub fn response_mode(mut self, mode: ResponseMode) -> Self {
        self.response_mode = mode;
        self
    }

    /// Whether authorization requests are pushed to the provider first (RFC 9126): then the browser carries no more than
    /// the client's id and a name that the provider has given the request. Default: [`ParPolicy::Auto`].
    ///
    /// Each `GET /auth/login` then costs a request to the provider, which has to answer before the browser is sent there.
    pub fn par(mut self, policy: ParPolicy) -> Self {
        self.par = policy;
        self
    }

    /// Whether userinfo is asked at sign-in. Default: [`UserinfoPolicy::Always`].
    pub fn userinfo(mut self, policy: UserinfoPolicy) -> Self {
        self.userinfo = policy;
        self
    }

    /// The signature algorithms that an ID token may have. Default: those that the provider advertises, less
    /// `none` and `HS*`.
    pub fn id_token_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
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
    pub fn roles_claims<P: Into<String>>(mut self, places: impl IntoIterator<Item = P>) -> Self {
        self.roles_claims = places.into_iter().map(Into::into).collect();
        self
    }

    /// Extra root certificates, a PEM bundle, for calls to the provider and to APIs. The system's are always used.
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
    /// with the feature of its name. Opened by [`build`](Self::build).
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

    /// After how long without a request a session ends. Default: 8 hours. At least a second.
    pub fn session_idle(mut self, length: Duration) -> Self {
        self.session_idle = length;
        self
    }

    /// After how long a session ends in any case. Default: 7 days. At least a second.
    pub fn session_max(mut self, length: Duration) -> Self {
        self.session_max = length;
        self
    }

    /// The limit for one call of the provider or an API, in all. Default: 10 seconds.
    pub fn http_timeout(mut self, length: Duration) -> Self {
        self.http_timeout = length;
        self
    }

    /// An API that may be shown the user's access token, by its base URL. The first one is the base of relative
    /// URLs given to [`AuthenticatedClient`](crate::client::AuthenticatedClient). No other origin ever sees a token.
    pub fn api(mut self, base: impl Into<String>) -> Self {
        self.apis.push(("API_URL", base.into()));
        self
    }

    /// The provider's own API, by its base URL, such as SCIM or a user directory: it may be shown the user's access token, and
    /// is the base of relative URLs as long as no [`api`](Self::api) is.
    pub fn provider_api(mut self, base: impl Into<String>) -> Self {
        self.provider_api = Some(base.into());
        self
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

    /// Changes what `GET /auth/session` shows of a signed-in session: it is given the default answer and returns
    /// the one to send. It has no access to tokens.
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
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Checks every setting, opens the store and makes the [`Auth`]. The provider is not asked for anything yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first setting that is wrong or missing.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime when [`runtime`](Self::runtime) was not called.
    pub async fn build(mut self) -> Result<Auth, ConfigError> {
        if let Some(error) = self.preset_error {
            return Err(error);
        }
        let provider = self.provider()?;
        let overrides = EndpointOverrides {
            userinfo: optional_url("AUTH_USERINFO_URL", self.userinfo_url.as_deref())?,
            revocation: optional_url("AUTH_REVOCATION_URL", self.revocation_url.as_deref())?,
            introspection: optional_url("AUTH_INTROSPECTION_URL", self.introspection_url.as_deref())?,
            end_session: optional_url("AUTH_END_SESSION_URL", self.end_session_url.as_deref())?,
            pushed_authorization_request: optional_url(
                "pushed_authorization_request_url",
                self.pushed_authorization_request_url.as_deref(),
            )?,
        };
        check_end_session_parameter(self.end_session_parameter.as_deref())?;
        if self.par == ParPolicy::Always
            && matches!(provider, ProviderConfig::Endpoints { .. })
            && overrides.pushed_authorization_request.is_none()
        {
            return Err(ConfigError::new(
                "AUTH_PAR",
                "`always` needs AUTH_ISSUER: a provider's discovery document says where requests are pushed to",
            ));
        }
        if self.response_mode.is_signed() && matches!(provider, ProviderConfig::Endpoints { .. }) {
            return Err(ConfigError::new(
                "AUTH_RESPONSE_MODE",
                "`jwt` needs AUTH_ISSUER: a provider's discovery document says where its keys are",
            ));
        }
        if self.signs_requests && matches!(provider, ProviderConfig::Endpoints { .. }) {
            return Err(ConfigError::new(
                "AUTH_REQUEST_OBJECT",
                "`signed` needs AUTH_ISSUER: a signed request is made out to the provider's issuer",
            ));
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
        let client_id = self.checked_client_id()?;
        let authentication = self.authentication()?;
        let client_keys = ClientKeys::new(self.client_keys.clone()?);
        if self.signs_requests && client_keys.is_none() {
            return Err(key_missing("AUTH_REQUEST_OBJECT=signed"));
        }
        let mut scopes = self.scopes.clone();
        if matches!(provider, ProviderConfig::Discovery(_)) && !scopes.contains("openid") {
            scopes = std::iter::once("openid").chain(scopes.iter()).collect();
        }
        if !scopes.is_valid() {
            return Err(ConfigError::new(
                "AUTH_SCOPES",
                "a scope is printable ASCII without quotes and backslashes",
            ));
        }
        check_authorize_params(&self.authorize_params)?;
        let role_claims = RoleClaims::parse(&self.roles_claims, &client_id)?;
        if self.signs_requests
            && let Some((name, _)) = self
                .authorize_params
                .iter()
                .find(|(name, _)| request_object::OWN_CLAIMS.contains(&name.as_str()))
        {
            return Err(ConfigError::new(
                "AUTH_AUTHORIZE_PARAMS",
                format!("`{name}` has a meaning of its own in a signed request; remove it"),
            ));
        }
        for resource in &self.resources {
            let absolute = Url::parse(resource).is_ok_and(|url| url.fragment().is_none());
            if !absolute {
                return Err(ConfigError::new(
                    "AUTH_RESOURCE",
                    "each must be an absolute URI without a fragment",
                ));
            }
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return Err(ConfigError::new(
                "AUTH_ID_TOKEN_ALG",
                "name at least one algorithm, RS256 for example",
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
        let mut provider_api = None;
        self.apis
            .extend(self.provider_api.map(|base| (PROVIDER_API, base)));
        for (variable, text) in &self.apis {
            let url = secure_url(text).map_err(|error| ConfigError::new(*variable, error.to_string()))?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err(ConfigError::new(*variable, "must not have a query or a fragment"));
            }
            api_origins.push(url.origin().ascii_serialization());
            match *variable {
                "API_URL" => drop(api_base.get_or_insert(url)),
                PROVIDER_API => provider_api = Some(url),
                _ => {}
            }
        }
        let api_base = api_base.or(provider_api);
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
        let provider_http = ProviderHttp::new(self.http_timeout, self.ca.as_deref())?;
        let api_http = http::client(self.ca.as_deref(), |builder| {
            builder
                .timeout(self.http_timeout)
                .redirect(crate::client::same_origin_redirects())
        })?;
        let further = self
            .further
            .into_iter()
            .map(|(name, provider)| provider.check(&name).map(|config| (name, config)))
            .collect::<Result<Vec<_>, _>>()?;
        let runtime = self.runtime.unwrap_or_else(tokio::runtime::Handle::current);
        let plain_identity = plain_identity(self.plain_identity, &provider, &provider_http, &runtime)?;
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
                https: base_url.is_https(),
            },
            base_url,
            provider,
            overrides,
            plain_identity,
            client_id,
            authentication,
            client_keys,
            signs_requests: self.signs_requests,
            scopes,
            authorize_params: self.authorize_params,
            resources: self.resources,
            response_mode: self.response_mode,
            par: self.par,
            userinfo: self.userinfo,
            algorithms: self.algorithms,
            role_claims,
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
            end_session_parameter: self.end_session_parameter,
            further,
            share_machine_tokens: self.share_machine_tokens,
        };
        let auth = Auth::new(config, store, provider_http, api_http, self.clock, runtime);
        if !keys_given {
            tracing::warn!(
                "AUTH_SECRET is not set: sessions are sealed with a random key and end with this process; \
                 make one with `openssl rand -hex 32`"
            );
        }
        Ok(auth)
    }

    pub(crate) fn checked_client_id(&self) -> Result<String, ConfigError> {
        self.client_id.clone().filter(|id| !id.is_empty()).ok_or_else(|| {
            ConfigError::new(
                "AUTH_CLIENT_ID",
                "set it to the client id registered at the provider",
            )
        })
    }

    pub(crate) fn provider(&self) -> Result<ProviderConfig, ConfigError> {
        match (&self.issuer, &self.authorization_url, &self.token_url) {
            (Some(_), Some(_), _) => Err(ConfigError::new(
                "AUTH_AUTHORIZATION_URL",
                "comes from discovery when AUTH_ISSUER is set; set one of the two",
            )),
            (Some(_), _, Some(_)) => Err(ConfigError::new(
                "AUTH_TOKEN_URL",
                "comes from discovery when AUTH_ISSUER is set; set one of the two",
            )),
            (Some(issuer), None, None) => Issuer::new(issuer.as_str())
                .map(ProviderConfig::Discovery)
                .map_err(|error| ConfigError::new("AUTH_ISSUER", error.to_string())),
            (None, Some(authorization), Some(token)) => Ok(ProviderConfig::Endpoints {
                authorization: endpoint_url("AUTH_AUTHORIZATION_URL", authorization)?,
                token: endpoint_url("AUTH_TOKEN_URL", token)?,
            }),
            (None, Some(_), None) => Err(ConfigError::new(
                "AUTH_TOKEN_URL",
                "must be set together with AUTH_AUTHORIZATION_URL",
            )),
            (None, None, Some(_)) => Err(ConfigError::new(
                "AUTH_AUTHORIZATION_URL",
                "must be set together with AUTH_TOKEN_URL",
            )),
            (None, None, None) => Err(ConfigError::new(
                "AUTH_ISSUER",
                "set it to the provider's issuer, https://id.example",
            )),
        }
    }

    pub(crate) fn authentication(&self) -> Result<ClientAuthentication, ConfigError> {
        let secret = self
            .client_secret
            .clone()
            .filter(|secret| !secret.expose().is_empty());
        let keys = ClientKeys::new(self.client_keys.clone()?);
        let method = self.client_auth.unwrap_or(if secret.is_some() {
            ClientAuthMethod::ClientSecretBasic
        } else {
            ClientAuthMethod::None
        });
        let secret = || {
            secret.clone().ok_or_else(|| {
                ConfigError::new(
                    "AUTH_CLIENT_SECRET",
                    "AUTH_CLIENT_AUTH asks for a secret; set it, or AUTH_CLIENT_AUTH=none",
                )
            })
        };
        match method {
            ClientAuthMethod::ClientSecretBasic => secret().map(ClientAuthentication::Basic),
            ClientAuthMethod::ClientSecretPost => secret().map(ClientAuthentication::Post),
            ClientAuthMethod::PrivateKeyJwt => keys
                .map(ClientAuthentication::PrivateKeyJwt)
                .ok_or_else(|| key_missing("AUTH_CLIENT_AUTH=private_key_jwt")),
            ClientAuthMethod::ClientSecretJwt => {
                let secret = secret()?;
                if secret.expose().len() < jose::SHORTEST_SECRET {
                    return Err(ConfigError::new(
                        "AUTH_CLIENT_SECRET",
                        "client_secret_jwt needs a secret of 32 bytes or more (RFC 7518 §3.2)",
                    ));
                }
                Ok(ClientAuthentication::SecretJwt(secret))
            }
            ClientAuthMethod::None => Ok(ClientAuthentication::None),
        }
    }
}

fn key_missing(who: &str) -> ConfigError {
    ConfigError::new(
        "AUTH_CLIENT_KEY",
        format!("{who} needs it: the path of a PKCS#8 private key in PEM form"),
    )
}

fn plain_identity(
    choice: PlainIdentityChoice,
    provider: &ProviderConfig,
    http: &ProviderHttp,
    runtime: &tokio::runtime::Handle,
) -> Result<PlainIdentity, ConfigError> {
    let plain = matches!(provider, ProviderConfig::Endpoints { .. });
    match choice {
        PlainIdentityChoice::Endpoints => Ok(PlainIdentity::Endpoints),
        _ if !plain => Err(ConfigError::new(
            "AUTH_ISSUER",
            "an OpenID Connect provider says in the ID token who the user is; take the user from nothing else",
        )),
        PlainIdentityChoice::Unverified => Ok(PlainIdentity::Unverified),
        PlainIdentityChoice::AccessToken {
            issuer,
            jwks_url,
            audience,
        } => {
            const NAME: &str = "user_from_access_token";
            if audience.is_empty() {
                return Err(ConfigError::new(
                    NAME,
                    "the audience is the API that the token is for",
                ));
            }
            let keys = GivenKeys::new(bearer::url_of(NAME, &jwks_url)?, http.clone(), runtime.clone());
            let issuer = Arc::new(TrustedIssuer::given(bearer::issuer_of(NAME, &issuer)?, keys));
            Ok(PlainIdentity::AccessToken { issuer, audience })
        }
    }
}

fn endpoint_url(variable: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = secure_url(text).map_err(|error| ConfigError::new(variable, error.to_string()))?;
    if url.fragment().is_some() {
        return Err(ConfigError::new(variable, "must not have a fragment"));
    }
    Ok(url)
}

fn optional_url(variable: &'static str, text: Option<&str>) -> Result<Option<Url>, ConfigError> {
    text.map(|text| endpoint_url(variable, text)).transpose()
}

/// Parameters that the library sets itself, each for a reason that a setting must not undo.
const OWNED_PARAMETERS: [&str; 14] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "response_mode",
    "request",
    "request_uri",
    "resource",
    "dpop_jkt",
    "iss",
];

fn check_authorize_params(parameters: &[(String, String)]) -> Result<(), ConfigError> {
    for (name, value) in parameters {
        if OWNED_PARAMETERS.contains(&name.as_str()) {
            return Err(ConfigError::new(
                "AUTH_AUTHORIZE_PARAMS",
                format!("`{name}` is set by the library; remove it"),
            ));
        }
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic()) {
            return Err(ConfigError::new(
                "AUTH_AUTHORIZE_PARAMS",
                "must be a query string such as audience=https://api",
            ));
        }
        if let Some(mend) = wrong_json(name, value) {
            return Err(ConfigError::new("AUTH_AUTHORIZE_PARAMS", mend));
        }
        if name == "max_age" && value.parse::<u32>().is_err() {
            return Err(ConfigError::new(
                "AUTH_AUTHORIZE_PARAMS",
                "`max_age` must be a number of seconds",
            ));
        }
    }
    Ok(())
}

/// A parameter of the provider's own, beside `client_id`.
fn check_end_session_parameter(name: Option<&str>) -> Result<(), ConfigError> {
    let is_good = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
            && !matches!(name, "client_id" | "id_token_hint")
    };
    if name.is_none_or(is_good) {
        return Ok(());
    }
    Err(ConfigError::new(
        "AUTH_END_SESSION_PARAM",
        "must be the name of the parameter that takes the address to come back to, logout_uri for example",
    ))
}

/// What is wrong with a parameter that is JSON.
fn wrong_json(name: &str, text: &str) -> Option<&'static str> {
    let json = serde_json::from_str::<serde_json::Value>(text);
    let is_good = match (name, json) {
        ("claims", json) => json.is_ok_and(|json| json.is_object()),
        // RFC 9396 §2
        ("authorization_details", Ok(serde_json::Value::Array(details))) => {
            !details.is_empty() && details.iter().all(|detail| detail["type"].is_string())
        }
        ("authorization_details", _) => false,
        _ => true,
    };
    match name {
        _ if is_good => None,
        "claims" => Some("`claims` must be a JSON object (OpenID Connect Core §5.5)"),
        _ => Some("`authorization_details` must be a JSON array of objects with a `type` (RFC 9396 §2)"),
    }
}

async fn open_store(url: &str) -> Result<Arc<dyn SessionStore>, ConfigError> {
    const SUPPORTED: &str = "use memory:, sqlite:PATH, redis://HOST or postgres://HOST/DATABASE";
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    match scheme {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryStore::new())),
        #[cfg(feature = "sqlite")]
        "sqlite" if !rest.is_empty() => opened("SQLite file", crate::store::SqliteStore::open(rest).await),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+unix" => opened("Redis store", crate::store::RedisStore::open(url).await),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => opened("PostgreSQL store", crate::store::PostgresStore::open(url).await),
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
    what: &str,
    store: Result<S, crate::store::StoreError>,
) -> Result<Arc<dyn SessionStore>, ConfigError> {
    match store {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(ConfigError::new(
            "AUTH_STORE",
            format!("cannot open the {what}: {}", one_line(&error)),
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

/// An error and its causes on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    crate::error::chain(error).replace(['\n', '\r'], " ")
}
