//! The test's hand on the provider and the demo APIs while they run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::api;
use crate::params::Params;
use crate::provider::client::Client;
use crate::provider::dpop::DpopNonces;
use crate::provider::jwt::Signature;
use crate::provider::keys::{OldKeys, SigningAlgorithm, SigningKey};
use crate::provider::{DevProvider, Provider};
use crate::server::Server;
use crate::traffic::{GATE_WAIT, Gate, Side};
use crate::wire::Wire;

/// An endpoint of the provider or of a demo API, to count its requests or let them fail.
///
/// Paths of the APIs stand for themselves and everything below: `Api("/echo")` is also `/echo/a/b`. All paths
/// that an API does not know are one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/.well-known/openid-configuration` (OpenID Connect Discovery §4) and `/.well-known/oauth-authorization-server` (RFC 8414 §3).
    Discovery,
    /// `/jwks`, the key set (RFC 7517 §5).
    Jwks,
    /// `/authorize` (RFC 6749 §3.1), when the request arrives; not the forms of the sign-in page.
    Authorize,
    /// `/token` (RFC 6749 §3.2).
    Token,
    /// `/userinfo` (OIDC Core §5.3).
    Userinfo,
    /// `/revoke` (RFC 7009).
    Revoke,
    /// `/introspect` (RFC 7662).
    Introspect,
    /// `/end-session` (RP-Initiated Logout 1.0 §2).
    EndSession,
    /// `/par` (RFC 9126).
    PushedAuthorization,
    /// A path of the first demo API, such as `/users/me`.
    Api(&'static str),
    /// A path of the second demo API, such as `/whoami`.
    Api2(&'static str),
}

impl Endpoint {
    /// The same endpoint under the name that counts and faults are kept by.
    pub(crate) fn canonical(self) -> Self {
        match self {
            Self::Api(path) => Self::Api(api::route(path)),
            Self::Api2(path) => Self::Api2(api::route(path)),
            other => other,
        }
    }
}

/// What goes wrong with a request; see [`Control::fail`] and [`Control::fail_next`].
///
/// ```
/// use std::time::Duration;
///
/// use auth_testing::{DevProvider, Endpoint, Fault};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dev = DevProvider::builder().start().await?;
/// let provider = dev.control();
/// // Out of order for one request, then busy for one, then as is set below.
/// provider.fail_next(Endpoint::Token, 1, Fault::status(503));
/// let retry_after = Some(Duration::from_secs(30));
/// provider.fail_next(Endpoint::Token, 1, Fault::Status { status: 429, retry_after });
///
/// // An error of OAuth, something that is no JSON, and a slow answer, until `clear`.
/// provider.fail(Endpoint::Token, Fault::oauth(400, "invalid_grant"));
/// provider.fail(Endpoint::Jwks, Fault::body(200, "text/html", "<h1>Maintenance</h1>"));
/// provider.fail(Endpoint::Userinfo, Fault::Delay(Duration::from_secs(2)));
/// # dev.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// This status with an empty body; the request is not looked at.
    Status {
        /// The status code, 100 to 999; anything else is answered as 500.
        status: u16,
        /// The `Retry-After` header, in whole seconds; none where it is `None`.
        retry_after: Option<Duration>,
    },
    /// The right answer, so much later: by tokio's clock, not the provider's.
    Delay(Duration),
    /// No answer until [`Control::clear`] or [`Control::clear_all`]; then the right one.
    Hang,
    /// The connection is closed without an answer; the request is not looked at.
    Reset,
    /// This answer; the request is not looked at.
    Body {
        /// The status code, as in [`Fault::Status`].
        status: u16,
        /// The `Content-Type` header; what cannot be one is answered with 500.
        content_type: String,
        /// The body, which need not be what the header says.
        body: Vec<u8>,
    },
    /// An OAuth error (RFC 6749 §5.2); the request is not looked at.
    Oauth {
        /// The status code, as in [`Fault::Status`].
        status: u16,
        /// The error code, such as `invalid_grant`.
        error: String,
    },
    /// The work is done (tokens are rotated, say), then the connection is closed without an answer.
    LoseAnswer,
    /// These bytes on the connection, in place of an HTTP answer; the request is not looked at.
    Wire(Wire),
}

impl Fault {
    /// This status with an empty body: [`Fault::Status`] without `Retry-After`.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::Status {
            status,
            retry_after: None,
        }
    }

    /// This status with an OAuth error such as `invalid_grant`: [`Fault::Oauth`].
    #[must_use]
    pub fn oauth(status: u16, error: &str) -> Self {
        Self::Oauth {
            status,
            error: error.to_owned(),
        }
    }

    /// This status, content type and body: [`Fault::Body`].
    #[must_use]
    pub fn body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Body {
            status,
            content_type: content_type.to_owned(),
            body: body.into(),
        }
    }
}

/// A request that arrived at the provider or a demo API; see [`Control::requests`].
#[derive(Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method, such as `POST`.
    pub method: String,
    /// The path as it came.
    pub path: String,
    /// The query as it came, without the question mark; empty where there is none.
    pub query: String,
    /// The headers: names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body's form, names and values, decoded; empty for the demo APIs, which stream their bodies.
    pub form: Vec<(String, String)>,
}

impl RecordedRequest {
    /// The first value of a form field; `None` where there is none.
    #[must_use]
    pub fn form(&self, name: &str) -> Option<&str> {
        first(&self.form, name)
    }

    /// The first value of a header, named in lower case; `None` where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The first value of a query parameter, decoded; `None` where there is none.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let params = Params::parse(self.query.as_bytes());
        first(&params.0, name).map(str::to_owned)
    }
}

/// Shows no values: they hold codes, secrets and tokens.
impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("RecordedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &names(&self.headers))
            .field("form", &names(&self.form))
            .finish_non_exhaustive()
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.as_str())
}

/// Requests to one endpoint wait while this exists; [`release`](Self::release) or dropping it lets them go.
///
/// Made by [`Control::hold`] and [`Control::hold_answer`].
///
/// ```
/// use auth_testing::{DevProvider, Endpoint};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let provider = DevProvider::builder().start().await?;
/// # let url = format!("{}/jwks", provider.issuer());
/// let hold = provider.control().hold(Endpoint::Jwks);
/// let request = tokio::spawn(reqwest::get(url));
/// hold.waiting(1).await?;
/// // The request is at the provider, and nothing has been done for it yet.
/// hold.release();
/// assert!(request.await??.status().is_success());
/// # provider.shutdown().await;
/// # Ok(()) }
/// ```
#[must_use = "requests wait only while the hold exists"]
pub struct Hold {
    pub(crate) gate: Arc<Gate>,
}

/// Too few requests arrived at a [`Hold`] within 10 s.
#[derive(Debug, thiserror::Error)]
#[error("{arrived} requests arrived in 10 s where {expected} were awaited")]
pub struct HoldTimeout {
    expected: usize,
    arrived: usize,
}

impl Hold {
    /// Waits until `n` requests, in all, have arrived here; 10 s at most, by tokio's clock.
    ///
    /// # Errors
    ///
    /// [`HoldTimeout`] where they have not arrived by then.
    pub async fn waiting(&self, n: usize) -> Result<(), HoldTimeout> {
        let mut waiting = self.gate.waiting.subscribe();
        let arrived = tokio::time::timeout(GATE_WAIT, waiting.wait_for(|waiting| *waiting >= n));
        match arrived.await {
            Ok(_) => Ok(()),
            Err(_) => Err(HoldTimeout {
                expected: n,
                arrived: self.count(),
            }),
        }
    }

    /// How many requests have arrived here so far.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.gate.waiting.borrow()
    }

    /// Lets the waiting requests and all later ones go on.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.open();
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("waiting", &self.count()).finish()
    }
}

/// Faults, settings and counts of a running [`DevProvider`](crate::DevProvider) and its demo APIs.
///
/// Cheap to clone. What it changes holds for requests that arrive afterwards.
///
/// ```
/// use auth_testing::{Control, Endpoint, Fault};
///
/// async fn an_outage(provider: &Control) -> std::io::Result<()> {
///     provider.fail_next(Endpoint::Token, 1, Fault::status(503));
///     // … what the application makes of one failed refresh …
///     provider.go_down().await;
///     // … and of a provider that is gone.
///     provider.come_up().await
/// }
/// ```
#[derive(Clone)]
pub struct Control {
    pub(crate) provider: Arc<Provider>,
    pub(crate) servers: Arc<Servers>,
}

/// The three servers.
pub(crate) struct Servers {
    pub(crate) provider: Server,
    pub(crate) api: Server,
    pub(crate) api2: Server,
}

impl Servers {
    pub(crate) fn all(&self) -> [&Server; 3] {
        [&self.provider, &self.api, &self.api2]
    }
}

/// Counts and records.
impl Control {
    /// How many requests have arrived at `endpoint` so far, whatever became of them.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.provider.traffic.count(endpoint)
    }

    /// How many refresh requests have arrived at the token endpoint so far, whatever became of them.
    #[must_use]
    pub fn refresh_count(&self) -> u64 {
        self.provider.traffic.refresh_count()
    }

    /// How often a refresh token has been presented that had been rotated before (RFC 9700 §4.14.2).
    #[must_use]
    pub fn reuse_count(&self) -> u64 {
        self.provider.grants().reuse_count()
    }

    /// The requests that arrived at `endpoint`, oldest first. The latest 10,000 of all endpoints together are kept.
    #[must_use]
    pub fn requests(&self, endpoint: Endpoint) -> Vec<RecordedRequest> {
        self.provider.traffic.requests(endpoint)
    }

    /// The requests that arrived anywhere, oldest first, each with its endpoint. The latest 10,000 are kept.
    #[must_use]
    pub fn all_requests(&self) -> Vec<(Endpoint, RecordedRequest)> {
        self.provider.traffic.all_requests()
    }

    /// Every code, token, session identifier of the provider's and client secret so far: none of them may appear in a log.
    #[must_use]
    pub fn issued_secrets(&self) -> Vec<String> {
        self.provider.issued_secrets()
    }
}

/// Faults.
impl Control {
    /// Lets every request to `endpoint` fail until [`clear`](Self::clear), in place of an earlier lasting fault.
    /// Faults of [`fail_next`](Self::fail_next) go before it.
    pub fn fail(&self, endpoint: Endpoint, fault: Fault) {
        self.provider.traffic.fail(endpoint, fault, None);
    }

    /// Lets the next `n` requests to `endpoint` fail, after those of earlier calls; with 0, none. Then comes a lasting fault
    /// ([`fail`](Self::fail)), if there is one, or all is well.
    pub fn fail_next(&self, endpoint: Endpoint, n: u64, fault: Fault) {
        if n > 0 {
            self.provider.traffic.fail(endpoint, fault, Some(n));
        }
    }

    /// Ends the faults of `endpoint`; requests that hang there go on.
    pub fn clear(&self, endpoint: Endpoint) {
        self.provider.traffic.clear(endpoint);
    }

    /// Ends the faults of all endpoints; requests that hang go on.
    pub fn clear_all(&self) {
        self.provider.traffic.clear_all();
    }

    /// How many connections of the provider and the demo APIs are busy with a [`Fault::Wire`], or held open by one. Zero
    /// once the clients have given them all up.
    #[must_use]
    pub fn open_wires(&self) -> usize {
        self.servers.all().iter().map(|server| server.open_wires()).sum()
    }

    /// Closes the provider's port and all its connections. When this returns, the port refuses connections; the
    /// demo APIs go on.
    pub async fn go_down(&self) {
        self.servers.provider.go_down().await;
    }

    /// Listens on the provider's port again, after [`go_down`](Self::go_down).
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] where another program has taken the port in the meantime.
    pub async fn come_up(&self) -> std::io::Result<()> {
        self.servers.provider.come_up().await
    }

    /// Closes the ports of both demo APIs and all their connections; the provider goes on.
    pub async fn apis_go_down(&self) {
        self.servers.api.go_down().await;
        self.servers.api2.go_down().await;
    }

    /// Listens on the demo APIs' ports again, after [`apis_go_down`](Self::apis_go_down).
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] where another program has taken a port in the meantime.
    pub async fn apis_come_up(&self) -> std::io::Result<()> {
        self.servers.api.come_up().await?;
        self.servers.api2.come_up().await
    }

    /// Makes requests to `endpoint` wait, before anything is done for them. A second hold of the same endpoint
    /// releases the first.
    pub fn hold(&self, endpoint: Endpoint) -> Hold {
        self.provider.traffic.hold(endpoint, Side::Request)
    }

    /// Makes answers of `endpoint` wait: the work is done (tokens are rotated, say), the answer is not sent yet. A second such
    /// hold of the same endpoint releases the first.
    pub fn hold_answer(&self, endpoint: Endpoint) -> Hold {
        self.provider.traffic.hold(endpoint, Side::Answer)
    }

    /// Lets the demo APIs refuse the next `n` good access tokens with 401 `invalid_token` (RFC 6750 §3.1), in place of an earlier number.
    pub fn reject_next(&self, n: u64) {
        self.provider.settings().reject_next = n;
    }
}

/// Settings.
impl Control {
    /// How long access tokens issued from now on live, in whole seconds. Default: 300 s.
    pub fn set_access_token_lifetime(&self, lifetime: Duration) {
        self.provider.settings().access_token_lifetime = lifetime;
    }

    /// How long the next access token lives, and only that one, in whole seconds. Zero means dead on arrival (`expires_in: 0`).
    pub fn next_access_token_lifetime(&self, lifetime: Duration) {
        self.provider.settings().next_access_token_lifetime = Some(lifetime);
    }

    /// Whether a refresh gives a new ID token (OIDC Core §12.2). Default: true.
    pub fn set_refresh_id_token(&self, on: bool) {
        self.provider.settings().refresh_id_token = on;
    }

    /// Whether a refresh gives a new refresh token and uses up the old one (RFC 6749 §6). Default: true; otherwise the old one
    /// stays good and the answer has none.
    pub fn set_rotation(&self, on: bool) {
        self.provider.settings().rotation = on;
    }

    /// Whether token answers lack `expires_in` (RFC 6749 §5.1). Default: false.
    pub fn omit_expires_in(&self, on: bool) {
        self.provider.settings().omit_expires_in = on;
    }

    /// Does not grant `scope` from now on, though it is asked for; one more with each call.
    pub fn withhold_scope(&self, scope: &str) {
        self.provider.settings().withheld_scopes.push(scope.to_owned());
    }

    /// Grants again all scopes that [`withhold_scope`](Self::withhold_scope) has named.
    pub fn grant_all_scopes(&self) {
        self.provider.settings().withheld_scopes.clear();
    }

    /// Gives every sign-in from now on this `acr`, whatever `acr_values` asks for, as a provider may (OIDC Core
    /// §5.5.1.1). Default: `None`, the first value that is asked for.
    pub fn set_acr(&self, acr: Option<&str>) {
        self.provider.settings().acr = acr.map(str::to_owned);
    }

    /// Dates `auth_time` of every sign-in from now on so far back, in whole seconds, whatever `max_age` asks for. Default: zero.
    pub fn set_sign_in_age(&self, age: Duration) {
        self.provider.settings().sign_in_age = age;
    }

    /// Whether authorization requests have to be pushed, and discovery says so (RFC 9126 §5). Default: false.
    pub fn require_pushed_requests(&self, on: bool) {
        self.provider.settings().demands.pushed = on;
    }

    /// Whether authorization requests have to be signed, and discovery says so (RFC 9101 §10.5). Default: false.
    pub fn require_signed_requests(&self, on: bool) {
        self.provider.settings().demands.signed = on;
    }

    /// Which nonces proofs need at the token endpoint and with pushed requests (RFC 9449 §8). Default:
    /// [`DpopNonces::Off`].
    pub fn set_dpop_nonces(&self, nonces: DpopNonces) {
        self.provider.settings().dpop.of_provider = nonces;
    }

    /// Which nonces proofs need at userinfo and at both demo APIs (RFC 9449 §9), each of which gives its own. Default:
    /// [`DpopNonces::Off`].
    pub fn set_api_dpop_nonces(&self, nonces: DpopNonces) {
        self.provider.settings().dpop.of_apis = nonces;
    }

    /// Voids all nonces given so far: the next proof needs a new one, where nonces are demanded.
    pub fn expire_dpop_nonces(&self) {
        self.provider.proofs().forget_nonces();
    }

    /// How often so far a proof had a nonce that was given to another key, or by another server.
    #[must_use]
    pub fn foreign_dpop_nonces(&self) -> u64 {
        self.provider.proofs().foreign_nonces()
    }

    /// Whether the provider knows of DPoP (RFC 9449). Default: true; otherwise it takes no notice of proofs and `dpop_jkt`, and its
    /// tokens are bearer tokens.
    pub fn set_dpop(&self, on: bool) {
        self.provider.settings().dpop.is_known = on;
    }

    /// Registers a client, in place of the one with the same id, if there is one.
    pub fn register(&self, client: Client) {
        self.provider.register(client);
    }

    /// Takes the other provider's access tokens and ID tokens in exchange for tokens of its own (RFC 8693), and its ID
    /// tokens as assertions (RFC 7523 §2.1).
    pub fn trust(&self, other: &DevProvider) {
        let other = Arc::clone(&other.control().provider);
        self.provider.settings().trusted.push(other);
    }

    /// Registers one more redirect URI for a client. Unknown clients stay unknown.
    pub fn add_redirect_uri(&self, client_id: &str, uri: &str) {
        self.provider
            .edit_client(client_id, |client| client.redirect_uris.push(uri.to_owned()));
    }

    /// Registers one more URI to go to after sign-out for a client. Unknown clients stay unknown.
    pub fn add_post_logout_redirect_uri(&self, client_id: &str, uri: &str) {
        self.provider.edit_client(client_id, |client| {
            client.post_logout_redirect_uris.push(uri.to_owned());
        });
    }
}

/// Keys and tokens.
impl Control {
    /// Signs with a new key of the same algorithm from now on, and publishes it.
    ///
    /// # Panics
    ///
    /// Where no key can be made.
    pub fn rotate_keys(&self, old: OldKeys) {
        self.provider.rotate_keys(old);
    }

    /// Publishes one more key, behind those that are there; gives its `kid`. Tokens go on being signed with the key that
    /// signs at present, until [`sign_with`](Self::sign_with). Discovery names the algorithms of all published keys.
    ///
    /// # Panics
    ///
    /// Where no key can be made.
    pub fn add_key(&self, algorithm: SigningAlgorithm) -> String {
        let key = SigningKey::generate(algorithm).expect("key generation needs nothing but randomness");
        let kid = key.kid.clone();
        self.provider.keys().add(key);
        kid
    }

    /// Signs ID tokens, access tokens and signed userinfo with the published key of this `kid` from now on, with that
    /// key's algorithm. Where none has it, nothing changes.
    pub fn sign_with(&self, kid: &str) {
        self.provider.keys().sign_with(kid);
    }

    /// Whether userinfo answers are signed: a JWT with `iss` and `aud` (OIDC Core §5.3.2). Default: false.
    pub fn set_signed_userinfo(&self, on: bool) {
        self.provider.keys().sign_userinfo(on);
    }

    /// Whether ID tokens are signed with a key that the key set does not hold. Default: false. Access tokens are not affected.
    ///
    /// # Panics
    ///
    /// Where no key can be made.
    pub fn sign_with_unpublished_key(&self, on: bool) {
        let key = on.then(|| {
            let algorithm = self.provider.keys().algorithm();
            SigningKey::generate(algorithm).expect("key generation needs nothing but randomness")
        });
        self.provider.keys().sign_with_unpublished(key);
    }

    /// The public key (RFC 7517) of [`sign_with_unpublished_key`](Self::sign_with_unpublished_key), for as long as it
    /// signs, and `None` otherwise: what an attacker would bring along in a token's header.
    #[must_use]
    pub fn unpublished_jwk(&self) -> Option<Value> {
        self.provider.keys().unpublished_jwk()
    }

    /// Whether ID tokens have `alg: none` and no signature (RFC 7518 §3.6). Default: false.
    pub fn unsigned_id_token(&self, on: bool) {
        self.provider.tampering().unsigned = on;
    }

    /// Signs ID tokens with HS256 and this key, such as the text of a public key. Default: `None`, which ends it.
    pub fn hs256_id_token(&self, key: Option<Vec<u8>>) {
        self.provider.tampering().hs256 = key;
    }

    /// Whether the signature of ID tokens is wrong by one bit. Default: false.
    pub fn corrupt_id_token_signature(&self, on: bool) {
        self.provider.tampering().corrupt = on;
    }

    /// Changes header and claims of every ID token, in this order, before it is signed; in place of an earlier such change.
    pub fn tamper_id_token(
        &self,
        change: impl Fn(&mut Map<String, Value>, &mut Map<String, Value>) + Send + Sync + 'static,
    ) {
        self.provider.tampering().id_token = Some(Arc::new(change));
    }

    /// Changes the JSON of every successful token answer, in place of an earlier such change.
    pub fn tamper_token_response(&self, change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) {
        self.provider.tampering().token_response = Some(Arc::new(change));
    }

    /// Changes the discovery document, in place of an earlier such change.
    pub fn tamper_discovery(&self, change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) {
        self.provider.tampering().discovery = Some(Arc::new(change));
    }

    /// Changes the key set, in place of an earlier such change.
    pub fn tamper_jwks(&self, change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) {
        self.provider.tampering().jwks = Some(Arc::new(change));
    }

    /// Changes the claims of every successful userinfo answer, in place of an earlier such change.
    pub fn tamper_userinfo(&self, change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) {
        self.provider.tampering().userinfo = Some(Arc::new(change));
    }

    /// Changes the JSON of every successful introspection answer, in place of an earlier such change.
    pub fn tamper_introspection(&self, change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) {
        self.provider.tampering().introspection = Some(Arc::new(change));
    }

    /// Changes the parameters, names and values, of every authorization response, in place of an earlier such change.
    pub fn tamper_callback(&self, change: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static) {
        self.provider.tampering().callback = Some(Arc::new(change));
    }

    /// Ends all that the `tamper_…` methods, [`unsigned_id_token`](Self::unsigned_id_token),
    /// [`hs256_id_token`](Self::hs256_id_token), [`corrupt_id_token_signature`](Self::corrupt_id_token_signature)
    /// and [`sign_with_unpublished_key`](Self::sign_with_unpublished_key) began.
    pub fn clear_tampering(&self) {
        *self.provider.tampering() = crate::provider::Tampering::default();
        self.provider.keys().sign_with_unpublished(None);
    }

    /// A JWT with these claims, signed with the provider's key: a logout token (`logout+jwt`), an access token
    /// (`at+jwt`) for another audience, a forgery. Nothing is added to the claims.
    #[must_use]
    pub fn sign_jwt(&self, typ: &str, claims: &Map<String, Value>) -> String {
        let key = self.provider.keys().signing();
        let signature = Signature::Key(&key);
        signature.sign(&signature.header(typ), claims)
    }

    /// An opaque access token that stands for this one, for providers that leave it to introspection (RFC 7662) to say what a
    /// token is good for.
    #[must_use]
    pub fn opaque_token(&self, access_token: &str) -> String {
        self.provider.opaque(access_token)
    }

    /// The published key set (RFC 7517 §5), without what [`tamper_jwks`](Self::tamper_jwks) makes of it.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.provider.keys().jwks()
    }

    /// Ends everything that the user with this `sub` has granted and was given so far: tokens, and sessions at the provider.
    pub fn revoke_user(&self, sub: &str) {
        let mut grants = self.provider.grants();
        grants.revoke_all(|grant| grant.sub == sub);
        grants.end_sessions_of(sub);
    }

    /// Lets all refresh tokens issued so far be answered with `invalid_grant` from now on; access tokens live on.
    pub fn kill_refresh_tokens(&self) {
        self.provider.grants().kill_refresh_tokens();
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("issuer", &self.provider.issuer)
            .finish_non_exhaustive()
    }
}
