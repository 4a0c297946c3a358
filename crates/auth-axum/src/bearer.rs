//! APIs that are called with access tokens: the layer, what handlers ask for, the gate.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use auth_core::bearer::{BearerError, BearerGate, BearerRequest, ResourceServer, Verified};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tokio::sync::OnceCell;
use tower_layer::Layer;
use tower_service::Service;

use crate::middleware::{Head, RequireLayer, Rule};
use crate::response::response;

/// Lets handlers and gates inside of it ask for the request's access token. It needs no session layer, and stands beside
/// one where there is one.
///
/// The token is checked when it is first asked for, once. Where nothing asks, nothing is checked: protect routes with
/// [`BearerToken`] or [`require_bearer`]. An answer that depends on a token gets `Cache-Control: no-store`,
/// unless the handler has set a `Cache-Control` of its own.
///
/// ```no_run
/// use auth_axum::{BearerToken, bearer_layer};
/// use auth_axum::core::bearer::ResourceServer;
/// use axum::{Router, routing::get};
///
/// async fn orders(token: BearerToken) -> String {
///     format!("orders of {}", token.subject().unwrap_or("nobody"))
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let server = ResourceServer::builder()
///     .issuer("https://id.example")
///     .audience("https://api.example")
///     .build()?;
/// let app = Router::new()
///     .route("/orders", get(orders))
///     .layer(bearer_layer(server));
/// let listener = tokio::net::TcpListener::bind(("127.0.0.1", 3000)).await?;
/// axum::serve(listener, app).await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn bearer_layer(server: ResourceServer) -> BearerLayer {
    BearerLayer { server }
}

/// Tells requests which access token they bring; made by [`bearer_layer`].
#[derive(Clone, Debug)]
pub struct BearerLayer {
    server: ResourceServer,
}

impl<S> Layer<S> for BearerLayer {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerService {
            inner,
            server: self.server.clone(),
        }
    }
}

/// The service that [`BearerLayer`] makes.
#[derive(Clone, Debug)]
pub struct BearerService<S> {
    inner: S,
    server: ResourceServer,
}

impl<S, B> Service<Request<B>> for BearerService<S>
where
    S: Service<Request<B>, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BearerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = BearerContext(Arc::new(Inner {
            server: self.server.clone(),
            request: BearerRequest::of(&Head(&request)),
            verified: OnceCell::new(),
            is_used: AtomicBool::new(false),
        }));
        request.extensions_mut().insert(context.clone());
        BearerFuture {
            inner: self.inner.call(request),
            context,
        }
    }
}

pin_project! {
    /// The future of [`BearerService`].
    pub struct BearerFuture<F> {
        #[pin]
        inner: F,
        context: BearerContext,
    }
}

/// Shows nothing of the request.
impl<F> fmt::Debug for BearerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerFuture").finish_non_exhaustive()
    }
}

impl<F, E> Future for BearerFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        this.context.finish(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

/// One request's token. Put into its extensions by the layer.
#[derive(Clone)]
struct BearerContext(Arc<Inner>);

struct Inner {
    server: ResourceServer,
    request: BearerRequest,
    verified: OnceCell<Result<Verified, BearerError>>,
    /// Whether the answer depends on the token.
    is_used: AtomicBool,
}

impl BearerContext {
    async fn token(&self) -> Result<BearerToken, BearerRejection> {
        self.0.is_used.store(true, Ordering::Relaxed);
        let verified = self
            .0
            .verified
            .get_or_init(|| self.0.server.check(&self.0.request))
            .await;
        match verified {
            Ok(verified) => Ok(BearerToken(verified.token.clone())),
            Err(error) => Err(self.reject(error.clone())),
        }
    }

    fn reject(&self, error: BearerError) -> BearerRejection {
        BearerRejection {
            error,
            server: Some(self.0.server.clone()),
        }
    }

    fn finish(&self, headers: &mut HeaderMap) {
        if self.0.is_used.load(Ordering::Relaxed) {
            let no_store = HeaderValue::from_static("no-store");
            headers.entry(header::CACHE_CONTROL).or_insert(no_store);
        }
        if let Some(Ok(verified)) = self.0.verified.get()
            && let Some(nonce) = &verified.next_nonce
            && let Ok(nonce) = HeaderValue::try_from(nonce)
        {
            headers.insert(HeaderName::from_static("dpop-nonce"), nonce);
        }
    }
}

/// The request's access token, found good; see [`auth_core::bearer::BearerToken`], which it derefs to.
///
/// Without one the answer is 401 with the challenge that is due (RFC 6750 §3, RFC 9449 §7.1), and the handler does not run. While
/// the issuer cannot be asked for what is needed to check it, the answer is 502 or 503.
///
/// [`MaybeBearer`] is for handlers that take requests without a token too, and `Option<BearerToken>` is the same.
///
/// ```
/// use auth_axum::BearerToken;
///
/// async fn orders(token: BearerToken) -> String {
///     format!("orders of {}, asked for by {}", token.subject().unwrap_or("nobody"), token.client_id().unwrap_or("?"))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct BearerToken(pub auth_core::bearer::BearerToken);

impl Deref for BearerToken {
    type Target = auth_core::bearer::BearerToken;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for BearerToken {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, BearerRejection> {
        context(parts.extensions.get())?.token().await
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for BearerToken {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, BearerRejection> {
        match context(parts.extensions.get())?.token().await {
            Ok(token) => Ok(Some(token)),
            Err(BearerRejection {
                error: BearerError::NoToken,
                ..
            }) => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }
}

/// The request's access token, if it brings one; the handler decides. A request that brings a bad token is refused, and
/// the handler does not run. `Option<BearerToken>` is the same; this name is also that of `auth-actix`.
///
/// ```
/// use auth_axum::MaybeBearer;
///
/// async fn prices(MaybeBearer(token): MaybeBearer) -> &'static str {
///     match token {
///         Some(token) if token.scopes().contains("prices.wholesale") => "wholesale prices",
///         _ => "the prices that everyone sees",
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct MaybeBearer(pub Option<BearerToken>);

impl<S: Sync> FromRequestParts<S> for MaybeBearer {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, BearerRejection> {
        <BearerToken as OptionalFromRequestParts<S>>::from_request_parts(parts, state)
            .await
            .map(Self)
    }
}

/// A request whose access token is missing, not good, or not enough.
///
/// The answer that it becomes is final, with its challenges (RFC 6750 §3, RFC 9449 §7.1) and a body of `application/problem+json`
/// (RFC 9457), for browsers too. It needs no layer for that.
#[derive(Clone, Debug)]
pub struct BearerRejection {
    error: BearerError,
    server: Option<ResourceServer>,
}

impl BearerRejection {
    /// What happened, with a stable code.
    #[must_use]
    pub fn error(&self) -> &BearerError {
        &self.error
    }
}

impl fmt::Display for BearerRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for BearerRejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl IntoResponse for BearerRejection {
    fn into_response(self) -> Response {
        response(match &self.server {
            Some(server) => server.refuse(&self.error),
            None => self.error.without_server(),
        })
    }
}

/// Protects a router or a route: only requests whose access token the gate lets pass get through.
///
/// ```
/// use auth_axum::{BearerGate, require_bearer};
/// use axum::{Router, routing::get};
///
/// let mail: Router = Router::new()
///     .route("/mail", get(|| async { "for those with the scope" }))
///     .route_layer(require_bearer(BearerGate::token().scope("mail.read")));
/// ```
///
/// [`bearer_layer`] has to be outside of it. A token that is good and not enough is answered with 403 or 401, as the gate says.
/// What is said of [`require`](crate::require), `route_layer` and paths holds here too.
#[must_use]
pub fn require_bearer(gate: BearerGate) -> RequireLayer {
    RequireLayer::of(Rule::Token(gate))
}

pub(crate) async fn check(gate: &BearerGate, extensions: &Extensions) -> Result<(), BearerRejection> {
    let context = context(extensions.get())?;
    let token = context.token().await?;
    gate.check(&token, context.0.server.now())
        .map_err(|error| context.reject(error))
}

fn context(found: Option<&BearerContext>) -> Result<BearerContext, BearerRejection> {
    found.cloned().ok_or(BearerRejection {
        error: BearerError::LayerMissing,
        server: None,
    })
}
