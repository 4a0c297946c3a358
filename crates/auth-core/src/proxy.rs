//! A reverse proxy that attaches the user's token: what browser code calls without ever holding a token itself (the
//! "backend for frontend" of OAuth 2.0 for Browser-Based Applications, RFC 10017 §6.1).
//!
//! A [`Proxy`] says where to and within which limits; the adapters' `AuthExt::proxy` makes routes of it. What goes through,
//! and what does not:
//!
//! * **The request**: method, path and query to the byte, and the body as a stream. A target that cannot be forwarded
//!   unchanged and safely is refused with 400: `..` as a segment however encoded, `\`, a `%` in the path without two digits,
//!   whatever is not printable ASCII. `TRACE`, which would echo the token, and `CONNECT` are refused with 405.
//! * **Its headers**, but for `Authorization`, `Cookie`, `DPoP`, `Host`, `Expect`, `Proxy`, and those of one connection (RFC
//!   9110 §7.6.1), also the ones that `Connection` names. `Forwarded`, `X-Forwarded-*`, `X-Real-IP` and `Via` are left out
//!   and not made anew: here they are a browser's claims, and where the user sits is not the upstream's business unless the
//!   app says so ([`Proxy::set_header`]).
//! * **The answer**: status and body as a stream, neither decoded nor limited; redirects are passed back. An answer that
//!   breaks off breaks off here, too.
//! * **Its headers**, but for `Authorization`, `Cookie` and `DPoP`, which an upstream that echoes what it was sent would give
//!   the page the token by, `Set-Cookie`, those of one connection, and what speaks for a whole origin, which would be the
//!   app's: `Access-Control-*`, `Alt-Svc`, `Clear-Site-Data`, `Strict-Transport-Security`, `Service-Worker-Allowed`, `NEL`,
//!   `Report-To`; and `DPoP-Nonce`, which is for the proofs made here. A `WWW-Authenticate` passes if browsers do not ask
//!   for a password because of it (`Bearer`, `DPoP`). `Cache-Control` is `no-store`, as with all that depends on a session.
//!   `X-Content-Type-Options: nosniff` and `Content-Security-Policy: sandbox` are added: an upstream's page is no page of
//!   this origin.
//!
//! # Who may use it
//!
//! Whoever is signed in and sends the header `X-CSRF: 1`, with every method. Pages of other origins cannot send it without
//! asking first (a CORS preflight, which nobody grants), and neither a link nor an image, a frame or a form can at all.
//! Browsers cannot send it with a WebSocket's handshake either. There the `Origin`, which no script chooses, has to be the
//! app's own; without one, the header is demanded.
//!
//! # Time
//!
//! The upstream has to take the request and answer within [`Proxy::first_byte_timeout`] of the last byte that went up, and a
//! body may not stand still for longer than [`Proxy::idle_timeout`]. There is no other limit for the whole, and a WebSocket
//! may be silent for as long as it likes; but neither outlives the session (below), and what flows through them is no use of
//! the session: it ends after [`AuthBuilder::session_idle`](crate::AuthBuilder::session_idle) without a request. Without a
//! refresh token, a session ends with its access token.
//!
//! # A refused token
//!
//! A 401 is answered by one refresh and one retry, unless it asks for another sign-in (RFC 9470 §3). Once more than 64 KiB of
//! the body have gone up, the 401 is passed on, and the token is refreshed before that, so that the next request has another one;
//! not if it was refreshed less than a minute ago. One that wants no more than a nonce in the proof of a token that is bound to a key (RFC 9449 §9)
//! is answered by one retry with that, besides. Where the upstream gets an exchanged token ([`Proxy::exchanging`]), that one
//! is forgotten and exchanged once more instead; for the next request's sake, if it is a minute old.
//!
//! # The end of the session
//!
//! An answer or a WebSocket that is still under way ends with its session, within two seconds, however and on whichever
//! instance the session ends ([`Auth::until_ended`]). A body then breaks off as if the upstream had broken off: the connection
//! ends before the length or the last chunk that it has announced, so that nothing takes half a file for a whole one. A
//! request that is still going up is not cut off as long as no answer has begun: it was allowed when it came, and the upstream
//! may have acted on it. An answer whose reader has stopped reading breaks off when it reads on.

mod answer;
mod headers;
pub(crate) mod path;
mod transport;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, ORIGIN, TRANSFER_ENCODING, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use hyper::Response;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use url::{Position, Url};

use answer::Leave;
pub use answer::{AnswerBroken, Download, ProxyAnswer, Rest, Tunnel};
use transport::Over;
pub(crate) use transport::Transport;
pub use upload::{BodyBroken, ProxyBody};

use crate::auth::{Auth, Core};
use crate::client::{Learned, Retries, Retry};
use crate::config::ConfigError;
use crate::csrf::CrossSite;
use crate::dpop::{Credential, origin_of};
use crate::error::{Error, Fault};
use crate::grants::TokenExchange;
use crate::party::Party;
use crate::session::Session;
use crate::spans;
use crate::types::{BaseUrl, secure_url};
use upload::Upload;

/// Where to, and within which limits; see the [module](self).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use auth_core::proxy::Proxy;
///
/// # fn example() -> Result<(), auth_core::ConfigError> {
/// let api = Proxy::to_api();
/// let files = Proxy::to("https://files.example/v2")?
///     .methods([http::Method::GET, http::Method::PUT])
///     .first_byte_timeout(Duration::from_secs(60))
///     .max_request_body(5 * 1024 * 1024 * 1024)
///     .max_concurrent(200);
/// let reports = Proxy::to("https://reports.example")?.for_audience("reports");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Proxy {
    upstream: Upstream,
    /// What the user's token is exchanged for; `None`: it goes along itself.
    exchange: Option<Arc<TokenExchange>>,
    csrf_header: HeaderName,
    methods: Option<Vec<Method>>,
    set: Vec<(HeaderName, HeaderValue)>,
    leave_out: Vec<HeaderName>,
    first_byte: Option<Duration>,
    idle: Duration,
    max_request_body: Option<u64>,
    slots: Option<Arc<Semaphore>>,
}

/// The header that every request has to bring, where nothing is set.
pub(crate) const CSRF_HEADER: &str = "x-csrf";
/// How long a body may stand still, where nothing is set.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// One would echo the token to whoever asks, the other is no request to an upstream.
const NEVER_FORWARDED: [Method; 2] = [Method::TRACE, Method::CONNECT];

/// What `Allow` lists where every method is forwarded.
const USUAL_METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

#[derive(Clone)]
enum Upstream {
    /// `API_URL`.
    Api,
    Given(Url),
}

/// Shows no header's value.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upstream = match &self.upstream {
            Upstream::Api => "API_URL",
            Upstream::Given(url) => url.as_str(),
        };
        f.debug_struct("Proxy")
            .field("upstream", &upstream)
            .field("csrf_header", &self.csrf_header)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// To the first API: `API_URL`, or what was given to [`AuthBuilder::api`](crate::AuthBuilder::api).
    pub fn to_api() -> Self {
        Self::new(Upstream::Api)
    }

    /// To this base URL, which what follows the proxy's own path is appended to. Whoever is there is shown the user's access
    /// token, or the one that it [is exchanged for](Self::exchanging), whether or not it is one of the APIs of the
    /// [`AuthBuilder`](crate::AuthBuilder).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where it is no URL, neither https nor loopback, or has credentials, a query or a fragment.
    pub fn to(base_url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let url = secure_url(base_url.as_ref())
            .map_err(|error| ConfigError::new("the proxy's upstream", error.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::new(
                "the proxy's upstream",
                "must not have a query or a fragment",
            ));
        }
        Ok(Self::new(Upstream::Given(url)))
    }

    fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            exchange: None,
            csrf_header: HeaderName::from_static(CSRF_HEADER),
            methods: None,
            set: Vec::new(),
            leave_out: Vec::new(),
            first_byte: None,
            idle: IDLE_TIMEOUT,
            max_request_body: None,
            slots: None,
        }
    }

    /// Shows the upstream a token for this audience, which the user's is exchanged for (RFC 8693 §2); see
    /// [`exchanging`](Self::exchanging).
    pub fn for_audience(self, audience: impl Into<String>) -> Self {
        self.exchanging(TokenExchange::new().audience(audience))
    }

    /// Shows the upstream the token of this exchange, which [`Auth::exchange`] describes: kept per session, and one exchange
    /// for any number of requests at the same time. The user's own token stays here. An exchange that is refused is answered
    /// with 502.
    pub fn exchanging(mut self, exchange: TokenExchange) -> Self {
        self.exchange = Some(Arc::new(exchange));
        self
    }

    /// The header that every request has to bring, with the value `1`. Default: `X-CSRF`. It must not be one that browsers
    /// send by themselves, or let a page of another origin send without asking (Fetch standard, CORS-safelisted
    /// request-header).
    pub fn csrf_header(mut self, name: HeaderName) -> Self {
        self.csrf_header = name;
        self
    }

    /// The methods that are forwarded. Default: all. `TRACE` and `CONNECT` never are.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// Sends this header to the upstream, in the place of whatever the browser sent under its name. `Authorization` stays
    /// the access token's.
    pub fn set_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.set.push((name, value));
        self
    }

    /// Leaves this header behind as well, both ways.
    pub fn leave_out(mut self, name: HeaderName) -> Self {
        self.leave_out.push(name);
        self
    }

    /// How long the upstream may take to be connected, to take more of a request, and to begin its answer. Default:
    /// [`AuthBuilder::http_timeout`](crate::AuthBuilder::http_timeout), 10 seconds. Beyond it the answer is 502, to every request
    /// where it is zero. Connecting may take 3 seconds at most.
    pub fn first_byte_timeout(mut self, length: Duration) -> Self {
        self.first_byte = Some(length);
        self
    }

    /// How long a body may stand still, up or down. Default: 60 seconds. Beyond it a request that stops half-way is answered with
    /// 408, and an answer that stands still breaks off; with zero, that is every body that is not there at once. Streams of server-sent events that are silent for
    /// longer need more.
    pub fn idle_timeout(mut self, length: Duration) -> Self {
        self.idle = length;
        self
    }

    /// Largest body of a request, in bytes. Default: no limit. Beyond it the answer is 413; with zero, to every request that has
    /// a body.
    pub fn max_request_body(mut self, bytes: u64) -> Self {
        self.max_request_body = Some(bytes);
        self
    }

    /// How many requests of this proxy and its clones may be under way at once, WebSockets among them. Default: no limit.
    /// Beyond it the answer is 503, to every request where it is zero.
    pub fn max_concurrent(mut self, requests: usize) -> Self {
        self.slots = Some(Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))));
        self
    }

    /// What follows `prefix`, a path without a `/` at its end, in a path and query as they came; `None` where it does not
    /// begin with the prefix and a `/`. For [`ProxyRequest::target`].
    #[must_use]
    pub fn target<'a>(prefix: &str, path_and_query: &'a str) -> Option<&'a str> {
        path::below(prefix, path_and_query)
    }

    fn demand_method(&self, method: &Method) -> Result<(), ProxyError> {
        let is_forwarded = self
            .methods
            .as_ref()
            .is_none_or(|methods| methods.contains(method))
            && !NEVER_FORWARDED.contains(method);
        if is_forwarded {
            return Ok(());
        }
        let usual = || USUAL_METHODS.to_vec();
        let methods = self.methods.clone().unwrap_or_else(usual);
        let allow: Vec<_> = methods
            .iter()
            .filter(|method| !NEVER_FORWARDED.contains(method))
            .map(Method::as_str)
            .collect();
        Err(ProxyError::Method {
            allow: allow.join(", "),
        })
    }

    fn slot(&self) -> Result<Option<OwnedSemaphorePermit>, ProxyError> {
        let taken = self.slots.clone().map(Semaphore::try_acquire_owned);
        taken.transpose().map_err(|_| ProxyError::Busy)
    }

    /// The URI to ask. Built of parts, so that nothing is parsed that could move the host.
    async fn uri(&self, core: &Core, session: &Session, target: &str) -> Result<Uri, Error> {
        path::check(target).map_err(|_| ProxyError::Path)?;
        let base = match &self.upstream {
            Upstream::Given(url) => url,
            Upstream::Api => {
                let of_exchange = self.exchange.as_ref().and_then(|exchange| exchange.place());
                &core.api_base(of_exchange.or(session.provider())).await?
            }
        };
        let path = format!("{}{target}", base.path().trim_end_matches('/'));
        let path = PathAndQuery::try_from(path).map_err(|_| ProxyError::Path)?;
        let host = &base[Position::BeforeHost..Position::AfterPort];
        let mut parts = http::uri::Parts::default();
        parts.scheme = Scheme::try_from(base.scheme()).ok();
        parts.authority = Authority::try_from(host).ok();
        parts.path_and_query = Some(path);
        Ok(Uri::from_parts(parts).map_err(|_| ProxyError::Path)?)
    }
}

/// A request to be forwarded, as an adapter sees it.
pub struct ProxyRequest {
    /// The method, as it came; [`Auth::forward`] refuses those that are not forwarded.
    pub method: Method,
    /// What follows the proxy's own path, path and query as they came; see [`Proxy::target`].
    pub target: String,
    /// All headers as they came.
    pub headers: HeaderMap,
    /// The body, which is read only as fast as the upstream takes it.
    pub body: ProxyBody,
    /// Whether the connection can be handed over, where the request asks for that.
    pub upgrade: Upgrade,
}

/// Whether a connection can be handed over once it was answered with 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// It can: a WebSocket's handshake is forwarded as one.
    Possible,
    /// It cannot: a request that asks for it is forwarded as any other (RFC 9110 §7.8).
    Impossible,
}

/// Shows neither target nor headers.
impl fmt::Debug for ProxyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyRequest")
            .field("method", &self.method)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl ProxyRequest {
    /// Whether it asks for a WebSocket (RFC 6455 §4.1), and can get it.
    fn asks_for_websocket(&self) -> bool {
        let names = |header, token: &str| {
            headers::tokens(&self.headers, &header).any(|held| held.eq_ignore_ascii_case(token))
        };
        self.upgrade == Upgrade::Possible
            && self.method == Method::GET
            // What follows would be a body and no WebSocket.
            && !self.headers.contains_key(TRANSFER_ENCODING)
            && names(UPGRADE, "websocket")
            && names(CONNECTION, "upgrade")
    }
}

/// Why a request was not forwarded, or has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The request lacks the header that no other site can send.
    #[error("the request does not bring the header that the proxy demands")]
    CsrfHeader,
    /// The target cannot be forwarded unchanged and safely.
    #[error("the request's target cannot be forwarded unchanged and safely")]
    Path,
    /// The method is not forwarded.
    #[error("the proxy does not forward this method")]
    Method {
        /// Those that are, as `Allow` lists them.
        allow: String,
    },
    /// The request's body is larger than [`Proxy::max_request_body`].
    #[error("the request's body is too large")]
    TooLarge,
    /// The request's body broke off.
    #[error("the request's body broke off")]
    SenderBroken,
    /// The sender of the request stopped sending.
    #[error("the sender of the request stopped sending")]
    SenderStalled,
    /// As many requests are under way as [`Proxy::max_concurrent`] allows.
    #[error("as many requests are under way as are allowed")]
    Busy,
    /// The upstream cannot be reached, the connection broke off, or what came is no HTTP.
    #[error("the upstream did not answer")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The upstream did not take the request or did not answer in time.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// The upstream answered with another protocol than was asked for.
    #[error("the upstream changed to a protocol that nobody asked for")]
    Protocol,
    /// The app is shutting down.
    #[error("the application is shutting down")]
    ShuttingDown,
}

impl ProxyError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::CsrfHeader => "proxy.csrf_header",
            Self::Path => "proxy.path",
            Self::Method { .. } => "request.method",
            Self::TooLarge => "proxy.too_large",
            Self::SenderBroken | Self::SenderStalled => "proxy.sender",
            Self::Busy => "proxy.busy",
            Self::Unreachable(_) => "api.unreachable",
            Self::Timeout => "api.timeout",
            Self::Protocol => "api.malformed",
            Self::ShuttingDown => "api.shutting_down",
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::CsrfHeader => 403,
            Self::Path | Self::SenderBroken => 400,
            Self::Method { .. } => 405,
            Self::SenderStalled => 408,
            Self::TooLarge => 413,
            Self::Unreachable(_) | Self::Timeout | Self::Protocol => 502,
            Self::Busy | Self::ShuttingDown => 503,
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self.status() {
            502 | 503 => Fault::Downstream,
            _ => Fault::Request,
        }
    }
}

/// A request on its way, but for the token and the body.
struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    is_websocket: bool,
}

impl Head {
    /// hyper takes it that these have no body, and drops one whose length is not known, unless it is announced.
    fn may_lose_its_body(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD) && !self.is_websocket
    }

    /// Says that a body follows in chunks (RFC 9112 §6.1), where its length is not known.
    fn announce(&mut self, body: &ProxyBody) {
        if !body.has_length() {
            self.headers
                .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// The limits of time of one call.
#[derive(Clone, Copy)]
struct Patience {
    first_byte: Duration,
    idle: Duration,
}

impl Auth {
    /// Forwards a request to the proxy's upstream with the session's access token, or the one it is exchanged for, and gives
    /// the answer to pass on. The session is what the request was found to bring, the check of its origin included.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`] where the request is not forwarded or the upstream does not answer; [`Error::CrossSite`] for a WebSocket of
    /// another origin; [`Error::Api`] for [`Proxy::to_api`] without an API; what a refresh or an exchange of the token fails with.
    ///
    /// Dropping the future ends the call; the upstream may have acted on it by then.
    pub async fn forward(
        &self,
        proxy: &Proxy,
        session: &Session,
        request: ProxyRequest,
    ) -> Result<ProxyAnswer, Error> {
        let core = self.core();
        let is_websocket = request.asks_for_websocket();
        let own = core.origin_of(session);
        demand_own_page(proxy, own, &request.headers, is_websocket)?;
        proxy.demand_method(&request.method)?;
        let mut head = Head {
            uri: proxy.uri(core, session, &request.target).await?,
            headers: upwards(proxy, &request.headers, is_websocket),
            method: request.method,
            is_websocket,
        };
        let slot = proxy.slot()?;
        let patience = Patience {
            first_byte: proxy.first_byte.unwrap_or(core.config.http_timeout),
            idle: proxy.idle,
        };
        let mut body = request.body;
        if head.may_lose_its_body() {
            body = body.begun(patience.idle).await?;
            head.announce(&body);
        }
        let tokens = self.client(session).with_exchange(proxy.exchange.clone());
        let mut credential = tokens.credential().await?;
        let mut retries = Retries::default();
        let mut upload = Upload::new(body, proxy.max_request_body);
        let party = tokens.party().await?;
        let mut answer = core
            .call(&party, &head, &credential, &upload, patience, Over::Any)
            .await?;
        let origin = origin_of(&head.uri);
        loop {
            let learned = Learned {
                status: answer.status(),
                headers: answer.headers(),
                has_nonce: credential.learn(&origin, answer.headers(), &core.nonces),
            };
            let Some(retry) = retries.after(&credential, &learned) else {
                break;
            };
            if !upload.hold() {
                if retry == Retry::WithAnotherToken {
                    tokens.renew(&credential.token).await;
                }
                break;
            }
            let next = match retry {
                Retry::WithNonce => Some(credential.clone()),
                Retry::WithAnotherToken => tokens.another_credential(&credential.token).await?,
            };
            let Some((next, again)) = next.and_then(|next| Some((next, upload.again()?))) else {
                upload.go_on();
                break;
            };
            drop(answer);
            credential = next;
            answer = core
                .call(&party, &head, &credential, &again, patience, Over::New)
                .await?;
            upload = again;
        }
        let leave = Leave::new(self, session, slot);
        pass_on(proxy, &head, answer, upload, leave).map_err(Error::from)
    }
}

impl Core {
    /// Sends the request and waits for the head of the answer, on the core's runtime: a connection that is born on a worker
    /// of a framework stalls whoever shares it while that worker is busy. Dropping the call ends it.
    async fn call(
        &self,
        party: &Party,
        head: &Head,
        credential: &Credential,
        upload: &Upload,
        patience: Patience,
        over: Over,
    ) -> Result<Response<Incoming>, ProxyError> {
        let mut request = Request::new(upload.clone());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        let (nonces, now) = (&self.nonces, self.clock.now());
        credential.attach_to_uri(
            request.headers_mut(),
            head.method.as_str(),
            &head.uri,
            nonces,
            now,
        );
        let roots = self.config.extra_roots.as_deref();
        // The upstream may see the token, and so what the token is bound to.
        let sending = match &party.bound_apis {
            Some(apis) => apis.proxy.send(roots, Some(&apis.certificate), request, over),
            None => self.proxy.send(roots, None, request, over),
        };
        let span = spans::proxy(&head.method, &head.uri);
        let call = AbortOnDropHandle::new(self.runtime.spawn(sending.instrument(span.clone())));
        let answer = tokio::select! {
            answer = call => match answer {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(upload.fault().unwrap_or(ProxyError::Unreachable(error.into()))),
                Err(_) => Err(ProxyError::ShuttingDown),
            },
            error = upload.stands_still(patience.first_byte, patience.idle) => Err(error),
        };
        match &answer {
            Ok(answer) => spans::answered(&span, answer.status()),
            Err(error) => spans::failed(&span, error.code()),
        }
        answer
    }
}

/// Refuses what a page of another origin could have sent; see the [module](self).
fn demand_own_page(
    proxy: &Proxy,
    own: &BaseUrl,
    headers: &HeaderMap,
    is_websocket: bool,
) -> Result<(), Error> {
    if is_websocket && headers.contains_key(ORIGIN) {
        let own = own.origin().as_bytes();
        let is_own = headers
            .get_all(ORIGIN)
            .iter()
            .all(|origin| origin.as_bytes() == own)
            && headers
                .get_all("sec-fetch-site")
                .iter()
                .all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
        return if is_own { Ok(()) } else { Err(CrossSite.into()) };
    }
    let mut values = headers.get_all(&proxy.csrf_header).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value == "1" => Ok(()),
        _ => Err(ProxyError::CsrfHeader.into()),
    }
}

fn upwards(proxy: &Proxy, came: &HeaderMap, is_websocket: bool) -> HeaderMap {
    let mut headers = headers::upwards(came, &proxy.leave_out);
    for (name, value) in &proxy.set {
        headers.insert(name, value.clone());
    }
    if is_websocket {
        change_protocol(&mut headers);
    }
    headers
}

fn change_protocol(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

fn pass_on(
    proxy: &Proxy,
    head: &Head,
    mut answer: Response<Incoming>,
    upload: Upload,
    leave: Leave,
) -> Result<ProxyAnswer, ProxyError> {
    let status = answer.status();
    let mut headers = headers::downwards(answer.headers(), &proxy.leave_out);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    let rest = if status == StatusCode::SWITCHING_PROTOCOLS {
        let is_websocket = head.is_websocket
            && headers::tokens(answer.headers(), &UPGRADE).any(|held| held.eq_ignore_ascii_case("websocket"));
        if !is_websocket {
            return Err(ProxyError::Protocol);
        }
        change_protocol(&mut headers);
        Rest::Tunnel(Tunnel {
            upstream: hyper::upgrade::on(&mut answer),
            leave,
        })
    } else {
        let length = length(answer.headers());
        Rest::Body(Download::new(
            answer.into_body(),
            length,
            upload,
            proxy.idle,
            leave,
        ))
    };
    Ok(ProxyAnswer {
        status,
        headers,
        rest,
    })
}

/// What `Content-Length` says, unless `Transfer-Encoding` overrules it (RFC 9112 §6.3).
fn length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
