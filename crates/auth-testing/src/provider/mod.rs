//! The development provider.

pub(crate) mod approve;
mod authorize;
pub(crate) mod client;
mod console;
pub(crate) use console::LIFETIMES;
mod discovery;
pub(crate) mod dpop;
mod end_session;
pub(crate) mod error;
mod extension;
pub(crate) mod grants;
pub(crate) mod jwt;
pub(crate) mod keys;
mod request_object;
mod revocation;
mod token;
pub(crate) mod user;
pub(crate) mod userinfo;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use auth_core::clock::Clock;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::DATE;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use crate::api;
use crate::control::{Control, Endpoint, Servers};
use crate::random;
use crate::server::Server;
use crate::traffic::{Observer, Traffic, observe};
use client::Client;
use dpop::{DpopSettings, Proofs};
use grants::Grants;
use keys::{KeyRing, OldKeys, SigningAlgorithm, SigningKey};
use user::User;

/// An OpenID provider and two demo APIs on loopback ports. They stop when this is dropped.
///
/// It is strict where real providers are, and its users have no passwords; see the [crate's documentation](crate). It runs on the
/// tokio runtime it was started on.
///
/// ```
/// use auth_testing::{Client, DevProvider, User};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let callback = "http://127.0.0.1:3000/auth/callback";
/// let provider = DevProvider::builder()
///     .client(Client::confidential("my-app", "a secret").redirect_uri(callback))
///     .user(User::new("ada").name("Ada", "Lovelace").roles(["admin"]))
///     .start()
///     .await?;
/// // For the application's `AUTH_ISSUER`.
/// assert!(provider.issuer().starts_with("http://127.0.0.1:"));
/// # provider.shutdown().await;
/// # Ok(()) }
/// ```
pub struct DevProvider {
    control: Control,
    client_id: String,
    client_secret: Option<String>,
}

/// Why the development provider did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is not a loopback address. Anyone who reaches the provider may sign in as anyone.
    #[error("the development provider listens on loopback addresses only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The port could not be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No signing key could be made.
    #[error("cannot generate a signing key")]
    Key,
}

/// Settings of a [`DevProvider`]; see [`DevProvider::builder`].
#[derive(Debug)]
#[must_use]
pub struct DevProviderBuilder {
    address: SocketAddr,
    clock: Clock,
    clients: Vec<Client>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    users: Vec<User>,
    algorithm: SigningAlgorithm,
    access_token_lifetime: Duration,
}

impl DevProviderBuilder {
    /// The address of the provider, which must be a loopback address; the demo APIs take free ports of the same host.
    /// Default: `127.0.0.1:0`, where port 0 is any free port.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The clock for lifetimes, and for the `Date` of the provider's answers. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Registers a client. The first one takes the place of the default client, which is `dev-client` with a
    /// random secret for `client_secret_basic`.
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// Registers a redirect URI for the default client, beside those that it has; see [`Client::redirect_uri`].
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Registers a URI that the default client may go to after sign-out; see [`Client::post_logout_redirect_uri`].
    pub fn post_logout_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.post_logout_redirect_uris.push(uri.into());
        self
    }

    /// Adds a user to Alice, Bob and Carol, or replaces the one with the same `sub`.
    pub fn user(mut self, user: User) -> Self {
        self.users.retain(|known| known.sub != user.sub);
        self.users.push(user);
        self
    }

    /// The algorithm that tokens are signed with. Default: RS256.
    pub fn signing_algorithm(mut self, algorithm: SigningAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// How long access tokens live, in whole seconds. Default: 300 s.
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.access_token_lifetime = lifetime;
        self
    }

    /// Opens the ports and serves on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError::NotLoopback`] where the [address](Self::address) is no loopback address, [`StartError::Listen`] where a port
    /// cannot be opened, and [`StartError::Key`] where no key can be made.
    ///
    /// # Panics
    ///
    /// Where there is no tokio runtime.
    pub async fn start(self) -> Result<DevProvider, StartError> {
        if !self.address.ip().is_loopback() {
            return Err(StartError::NotLoopback(self.address));
        }
        let any = SocketAddr::new(self.address.ip(), 0);
        let (listener, address) = listen(self.address).await?;
        let (api_listener, api_address) = listen(any).await?;
        let (api2_listener, api2_address) = listen(any).await?;
        let (provider, client_id, client_secret) = self.assemble(Addresses {
            issuer: format!("http://{address}"),
            cookie_name: format!("dev-provider-{}", address.port()),
            api_url: format!("http://{api_address}"),
            api2_url: format!("http://{api2_address}"),
            any_scope: false,
        })?;
        let serve = |listener: TcpListener, address, router| {
            Server::start(listener, router).map_err(|source| StartError::Listen { address, source })
        };
        let servers = Servers {
            provider: serve(listener, address, router(Arc::clone(&provider)))?,
            api: serve(api_listener, api_address, api::first(Arc::clone(&provider)))?,
            api2: serve(api2_listener, api2_address, api::second(Arc::clone(&provider)))?,
        };
        tracing::info!(issuer = %provider.issuer, "development provider started");
        Ok(DevProvider::of(provider, servers, client_id, client_secret))
    }

    /// The same without ports: what [`DevProvider::answer`] is asked is all that reaches it.
    #[cfg(feature = "kit")]
    pub(crate) fn in_process(self, addresses: Addresses) -> Result<DevProvider, StartError> {
        let (provider, client_id, client_secret) = self.assemble(addresses)?;
        let servers = Servers {
            provider: Server::in_process(router(Arc::clone(&provider))),
            api: Server::in_process(api::first(Arc::clone(&provider))),
            api2: Server::in_process(api::second(Arc::clone(&provider))),
        };
        Ok(DevProvider::of(provider, servers, client_id, client_secret))
    }

    /// The provider, and the id and the secret of the default client.
    fn assemble(self, addresses: Addresses) -> Result<(Arc<Provider>, String, Option<String>), StartError> {
        let key = SigningKey::generate(self.algorithm).map_err(|_| StartError::Key)?;
        let mut clients = self.clients;
        if clients.is_empty() {
            clients.push(Client::confidential("dev-client", random::token()));
        }
        clients[0].redirect_uris.extend(self.redirect_uris);
        clients[0]
            .post_logout_redirect_uris
            .extend(self.post_logout_redirect_uris);
        let (client_id, client_secret) = (clients[0].id.clone(), clients[0].secret().map(String::from));

        let provider = Arc::new(Provider {
            issuer: addresses.issuer,
            cookie_name: addresses.cookie_name,
            api_url: addresses.api_url,
            api2_url: addresses.api2_url,
            any_scope: addresses.any_scope,
            clock: self.clock,
            users: self.users.into_iter().map(Arc::new).collect(),
            people: Mutex::default(),
            traffic: Arc::new(Traffic::new()),
            clients: Mutex::new(clients),
            settings: Mutex::new(Settings {
                access_token_lifetime: self.access_token_lifetime,
                ..Settings::default()
            }),
            tampering: Mutex::default(),
            keys: Mutex::new(KeyRing::new(key)),
            grants: Mutex::default(),
            proofs: Mutex::default(),
            transactions: Mutex::default(),
            secrets: Mutex::default(),
            opaque: Mutex::default(),
        });
        Ok((provider, client_id, client_secret))
    }
}

/// Where a provider and its demo APIs are.
pub(crate) struct Addresses {
    pub(crate) issuer: String,
    pub(crate) cookie_name: String,
    pub(crate) api_url: String,
    pub(crate) api2_url: String,
    /// Whether a scope that the provider has never heard of is one.
    pub(crate) any_scope: bool,
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

impl DevProvider {
    /// A provider with default settings, to change before [`start`](DevProviderBuilder::start).
    pub fn builder() -> DevProviderBuilder {
        DevProviderBuilder {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            clock: Clock::system(),
            clients: Vec::new(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            users: User::demo(),
            algorithm: SigningAlgorithm::default(),
            access_token_lifetime: DEFAULT_ACCESS_TOKEN_LIFETIME,
        }
    }

    fn of(
        provider: Arc<Provider>,
        servers: Servers,
        client_id: String,
        client_secret: Option<String>,
    ) -> Self {
        Self {
            control: Control {
                provider,
                servers: Arc::new(servers),
            },
            client_id,
            client_secret,
        }
    }

    /// The issuer identifier, `http://127.0.0.1:PORT`. It is also the address of a page for people.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.provider().issuer
    }

    /// The default client's identifier: that of the first [client](DevProviderBuilder::client), or `dev-client`.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The default client's secret; `None` where it authenticates without one. That of `dev-client` is random.
    #[must_use]
    pub fn client_secret(&self) -> Option<&str> {
        self.client_secret.as_deref()
    }

    /// Base URL of the first demo API, which is also the audience it demands.
    #[must_use]
    pub fn api_url(&self) -> &str {
        &self.provider().api_url
    }

    /// Base URL of the second demo API, which is also the audience it demands.
    #[must_use]
    pub fn api2_url(&self) -> &str {
        &self.provider().api2_url
    }

    /// The `sub` and display name of each demo user, in their order on the sign-in page.
    pub fn users(&self) -> impl Iterator<Item = (&str, &str)> {
        let users = self.provider().users.iter();
        users.map(|user| (user.sub.as_str(), user.display_name()))
    }

    /// Faults, settings and counts, while it runs.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops it: when this returns, all ports are closed, and connections are cut off.
    pub async fn shutdown(self) {
        for server in self.control.servers.all() {
            server.go_down().await;
        }
    }

    pub(crate) fn provider(&self) -> &Provider {
        &self.control.provider
    }
}

impl Drop for DevProvider {
    fn drop(&mut self) {
        // A `Control` may still be around: it must not keep the ports open.
        for server in self.control.servers.all() {
            server.stop();
        }
    }
}

impl fmt::Debug for DevProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevProvider")
            .field("issuer", &self.issuer())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// What all endpoints share.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    /// Cookies do not tell ports apart, so this name does.
    pub(crate) cookie_name: String,
    pub(crate) api_url: String,
    pub(crate) api2_url: String,
    any_scope: bool,
    pub(crate) clock: Clock,
    pub(crate) users: Vec<Arc<User>>,
    /// Those that a test has signed in, by `sub`; they go before the demo users.
    people: Mutex<HashMap<String, Arc<User>>>,
    pub(crate) traffic: Arc<Traffic>,
    clients: Mutex<Vec<Client>>,
    settings: Mutex<Settings>,
    tampering: Mutex<Tampering>,
    keys: Mutex<KeyRing>,
    grants: Mutex<Grants>,
    proofs: Mutex<Proofs>,
    transactions: Mutex<authorize::Transactions>,
    secrets: Mutex<Vec<String>>,
    /// Opaque names of access tokens.
    opaque: Mutex<HashMap<String, String>>,
}

/// What [`Control`] sets.
pub(crate) struct Settings {
    pub(crate) access_token_lifetime: Duration,
    pub(crate) next_access_token_lifetime: Option<Duration>,
    pub(crate) refresh_id_token: bool,
    pub(crate) rotation: bool,
    pub(crate) omit_expires_in: bool,
    pub(crate) withheld_scopes: Vec<String>,
    pub(crate) acr: Option<String>,
    pub(crate) sign_in_age: Duration,
    pub(crate) reject_next: u64,
    pub(crate) demands: RequestDemands,
    pub(crate) dpop: DpopSettings,
    /// Providers whose tokens this one takes in exchange for its own.
    pub(crate) trusted: Vec<Arc<Provider>>,
}

/// What an authorization request has to be.
#[derive(Clone, Copy, Default)]
pub(crate) struct RequestDemands {
    /// Pushed (RFC 9126 §5).
    pub(crate) pushed: bool,
    /// Signed (RFC 9101 §10.5).
    pub(crate) signed: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token_lifetime: DEFAULT_ACCESS_TOKEN_LIFETIME,
            next_access_token_lifetime: None,
            refresh_id_token: true,
            rotation: true,
            omit_expires_in: false,
            withheld_scopes: Vec::new(),
            acr: None,
            sign_in_age: Duration::ZERO,
            reject_next: 0,
            demands: RequestDemands::default(),
            dpop: DpopSettings::default(),
            trusted: Vec::new(),
        }
    }
}

type ChangeJson = Arc<dyn Fn(&mut Map<String, Value>) + Send + Sync>;
type ChangeJwt = Arc<dyn Fn(&mut Map<String, Value>, &mut Map<String, Value>) + Send + Sync>;
type ChangeParams = Arc<dyn Fn(&mut Vec<(String, String)>) + Send + Sync>;

/// How answers are made wrong.
#[derive(Default)]
pub(crate) struct Tampering {
    pub(crate) unsigned: bool,
    pub(crate) corrupt: bool,
    pub(crate) hs256: Option<Vec<u8>>,
    pub(crate) id_token: Option<ChangeJwt>,
    pub(crate) token_response: Option<ChangeJson>,
    pub(crate) discovery: Option<ChangeJson>,
    pub(crate) jwks: Option<ChangeJson>,
    pub(crate) userinfo: Option<ChangeJson>,
    pub(crate) introspection: Option<ChangeJson>,
    pub(crate) callback: Option<ChangeParams>,
}

const DEFAULT_ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(300);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provider {
    /// Now, in seconds since the epoch.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    pub(crate) fn tampering(&self) -> MutexGuard<'_, Tampering> {
        lock(&self.tampering)
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, KeyRing> {
        lock(&self.keys)
    }

    pub(crate) fn grants(&self) -> MutexGuard<'_, Grants> {
        lock(&self.grants)
    }

    pub(crate) fn proofs(&self) -> MutexGuard<'_, Proofs> {
        lock(&self.proofs)
    }

    fn transactions(&self) -> MutexGuard<'_, authorize::Transactions> {
        lock(&self.transactions)
    }

    pub(crate) fn client(&self, id: &str) -> Option<Client> {
        let clients = lock(&self.clients);
        clients.iter().find(|client| client.id == id).cloned()
    }

    pub(crate) fn register(&self, client: Client) {
        let mut clients = lock(&self.clients);
        match clients.iter_mut().find(|known| known.id == client.id) {
            Some(known) => *known = client,
            None => clients.push(client),
        }
    }

    pub(crate) fn edit_client(&self, id: &str, edit: impl FnOnce(&mut Client)) {
        if let Some(client) = lock(&self.clients).iter_mut().find(|client| client.id == id) {
            edit(client);
        }
    }

    pub(crate) fn user(&self, sub: &str) -> Option<Arc<User>> {
        let people = lock(&self.people);
        let user = people.get(sub);
        user.or_else(|| self.users.iter().find(|user| user.sub == sub))
            .cloned()
    }

    /// Adds a user, or replaces the one with the same `sub`: of tokens that were issued before, too.
    #[cfg(feature = "kit")]
    pub(crate) fn admit(&self, user: Arc<User>) {
        lock(&self.people).insert(user.sub.clone(), user);
    }

    pub(crate) fn knows_scope(&self, scope: &str) -> bool {
        self.any_scope || discovery::SCOPES.contains(&scope)
    }

    /// Gives an access token a name that says nothing.
    pub(crate) fn opaque(&self, token: &str) -> String {
        let name = random::token();
        self.issued(&name);
        lock(&self.opaque).insert(name.clone(), token.to_owned());
        name
    }

    /// Lets this text stand for an access token.
    pub(crate) fn name_token(&self, name: &str, token: String) {
        self.issued(name);
        lock(&self.opaque).insert(name.to_owned(), token);
    }

    /// The token that an opaque one stands for, or the token itself.
    pub(crate) fn plain(&self, token: &str) -> String {
        lock(&self.opaque)
            .get(token)
            .cloned()
            .unwrap_or_else(|| token.to_owned())
    }

    /// Remembers a secret for [`Control::issued_secrets`].
    pub(crate) fn issued(&self, secret: &str) {
        lock(&self.secrets).push(secret.to_owned());
    }

    pub(crate) fn issued_secrets(&self) -> Vec<String> {
        let mut secrets = lock(&self.secrets).clone();
        let clients = lock(&self.clients);
        secrets.extend(clients.iter().filter_map(Client::secret).map(String::from));
        secrets
    }

    pub(crate) fn rotate_keys(&self, old: OldKeys) {
        let algorithm = self.keys().algorithm();
        let key = SigningKey::generate(algorithm).expect("key generation needs nothing but randomness");
        self.keys().rotate(key, old);
    }
}

fn router(provider: Arc<Provider>) -> Router {
    let observer = Observer {
        traffic: Arc::clone(&provider.traffic),
        classify,
        read_body: true,
    };
    let clock = provider.clock.clone();
    Router::new()
        .route("/", get(console::show))
        .route("/console", post(console::act))
        .route("/.well-known/openid-configuration", get(discovery::document))
        .route(
            "/.well-known/oauth-authorization-server",
            get(discovery::document),
        )
        .route("/jwks", get(discovery::jwks))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/authorize/decision", post(authorize::decision))
        .route("/par", post(authorize::push))
        .route("/token", post(token::token))
        .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
        .route("/revoke", post(revocation::revoke))
        .route("/introspect", post(revocation::introspect))
        .route("/end-session", get(end_session::get).post(end_session::post))
        .with_state(provider)
        .layer(middleware::from_fn_with_state(observer, observe))
        .layer(middleware::map_response_with_state(clock, date))
}

/// Answers bear the time of the provider's clock.
async fn date(State(clock): State<Clock>, mut response: Response) -> Response {
    let since_epoch = Duration::from_millis(u64::try_from(clock.now().as_millis()).unwrap_or(0));
    let date = httpdate::fmt_http_date(UNIX_EPOCH + since_epoch);
    if let Ok(date) = HeaderValue::try_from(date) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

fn classify(path: &str) -> Option<Endpoint> {
    Some(match path {
        "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
            Endpoint::Discovery
        }
        "/jwks" => Endpoint::Jwks,
        "/authorize" => Endpoint::Authorize,
        "/token" => Endpoint::Token,
        "/userinfo" => Endpoint::Userinfo,
        "/revoke" => Endpoint::Revoke,
        "/introspect" => Endpoint::Introspect,
        "/end-session" => Endpoint::EndSession,
        "/par" => Endpoint::PushedAuthorization,
        _ => return None,
    })
}
