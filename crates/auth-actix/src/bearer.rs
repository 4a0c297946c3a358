//! APIs that are called with access tokens: the layer, what handlers ask for, the gate.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::future::{Future, Ready, ready};
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use auth_core::bearer::{BearerError, BearerGate, BearerRequest, ResourceServer, Verified};
use pin_project_lite::pin_project;

use crate::LocalFuture;
use crate::middleware::{Head, RequireLayer, Rule};
use crate::response::{NO_STORE, response};

/// Lets handlers and gates inside of it ask for the request's access token. It needs no session layer, and stands beside
/// one where there is one.
///
/// The token is checked when it is first asked for, once. Where nothing asks, nothing is checked: protect routes with
/// [`BearerToken`] or [`require_bearer`]. An answer that depends on a token gets `Cache-Control: no-store`,
/// unless the handler has set a `Cache-Control` of its own.
///
/// ```no_run
/// use actix_web::{App, HttpServer, web};
/// use auth_actix::{BearerToken, bearer_layer};
/// use auth_actix::core::bearer::ResourceServer;
///
/// async fn orders(token: BearerToken) -> String {
///     format!("orders of {}", token.subject().unwrap_or("nobody"))
/// }
///
/// #[actix_web::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = ResourceServer::builder()
///         .issuer("https://id.example")
///         .audience("https://api.example")
///         .build()?;
///     HttpServer::new(move || {
///         App::new()
///             .route("/orders", web::get().to(orders))
///             .wrap(bearer_layer(server.clone()))
///     })
///     .bind(("127.0.0.1", 3000))?
///     .run()
///     .await?;
///     Ok(())
/// }
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

impl<S, B> Transform<S, ServiceRequest> for BearerLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = BearerService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(BearerService {
            inner,
            server: self.server.clone(),
        }))
    }
}

/// The service that [`BearerLayer`] makes.
#[derive(Debug)]
pub struct BearerService<S> {
    inner: S,
    server: ResourceServer,
}

impl<S, B> Service<ServiceRequest> for BearerService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = BearerFuture<S::Future, B>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let context = BearerContext(Rc::new(Inner {
            server: self.server.clone(),
            request: BearerRequest::of(&Head(request.request())),
            verified: tokio::sync::OnceCell::new(),
            is_used: Cell::new(false),
            refusal: OnceCell::new(),
        }));
        request.extensions_mut().insert(context.clone());
        BearerFuture {
            inner: self.inner.call(request),
            context,
            body: PhantomData,
        }
    }
}

pin_project! {
    /// The future of [`BearerService`].
    pub struct BearerFuture<F, B> {
        #[pin]
        inner: F,
        context: BearerContext,
        body: PhantomData<fn() -> B>,
    }
}

/// Shows nothing of the request.
impl<F, B> fmt::Debug for BearerFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerFuture").finish_non_exhaustive()
    }
}

impl<F, B> Future for BearerFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, actix_web::Error>>,
    B: MessageBody + 'static,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, actix_web::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = std::task::ready!(this.inner.poll(cx))?;
        let is_refused = response.response().extensions().get::<Refused>().is_some();
        let mut response = match this.context.0.refusal.get() {
            // Whatever the handler made of it.
            Some(refusal) if !is_refused => response
                .into_response(refusal.error_response())
                .map_into_right_body(),
            _ => response.map_into_left_body(),
        };
        this.context.finish(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

/// One request's token. Put into its extensions by the layer.
#[derive(Clone)]
struct BearerContext(Rc<Inner>);

struct Inner {
    server: ResourceServer,
    request: BearerRequest,
    verified: tokio::sync::OnceCell<Result<Verified, BearerError>>,
    /// Whether the answer depends on the token.
    is_used: Cell<bool>,
    /// The answer, whatever the handler makes of the request.
    refusal: OnceCell<BearerRejection>,
}

impl BearerContext {
    async fn token(&self) -> Result<BearerToken, BearerRejection> {
        self.0.is_used.set(true);
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
        if self.0.is_used.get() && !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, NO_STORE);
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
/// [`MaybeBearer`] is for handlers that take requests without a token too. (`Option<BearerToken>` is not: actix-web makes `None` of
/// every error of an extractor. A bad token is refused then all the same, whatever the handler has made of it.)
///
/// ```
/// use auth_actix::BearerToken;
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

impl FromRequest for BearerToken {
    type Error = BearerRejection;
    type Future = LocalFuture<Result<Self, BearerRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = context(request);
        Box::pin(async move {
            let context = context?;
            let token = context.token().await;
            // Where a handler asks for an `Option` of an extractor, the error ends in it; but a bad token is not "none", and
            // the answer must not say so.
            if let Err(refusal) = &token
                && !matches!(refusal.error, BearerError::NoToken)
            {
                let _ = context.0.refusal.set(refusal.clone());
            }
            token
        })
    }
}

/// The request's access token, if it brings one; the handler decides. A request that brings a bad token is refused, and
/// the handler does not run.
///
/// ```
/// use auth_actix::MaybeBearer;
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

impl FromRequest for MaybeBearer {
    type Error = BearerRejection;
    type Future = LocalFuture<Result<Self, BearerRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = context(request);
        Box::pin(async move {
            match context?.token().await {
                Ok(token) => Ok(Self(Some(token))),
                Err(BearerRejection {
                    error: BearerError::NoToken,
                    ..
                }) => Ok(Self(None)),
                Err(rejection) => Err(rejection),
            }
        })
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

impl ResponseError for BearerRejection {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = response(match &self.server {
            Some(server) => server.refuse(&self.error),
            None => self.error.without_server(),
        });
        response.extensions_mut().insert(Refused);
        response
    }
}

/// Marks an answer that a [`BearerRejection`] has become.
#[derive(Clone, Copy)]
struct Refused;

/// Protects an app, a scope or a resource: only requests whose access token the gate lets pass get through.
///
/// ```
/// use actix_web::{App, web};
/// use auth_actix::{BearerGate, require_bearer};
///
/// let app = App::new().service(
///     web::scope("/mail")
///         .route("/inbox", web::get().to(async || "for those with the scope"))
///         .wrap(require_bearer(BearerGate::token().scope("mail.read"))),
/// );
/// ```
///
/// [`bearer_layer`] has to be outside of it. A token that is good and not enough is answered with 403 or 401, as the gate says.
/// What is said of [`require`](crate::require) and paths holds here too.
#[must_use]
pub fn require_bearer(gate: BearerGate) -> RequireLayer {
    RequireLayer::of(Rule::Token(gate))
}

pub(crate) async fn check(gate: &BearerGate, request: &HttpRequest) -> Result<(), BearerRejection> {
    let context = context(request)?;
    let token = context.token().await?;
    gate.check(&token, context.0.server.now())
        .map_err(|error| context.reject(error))
}

fn context(request: &HttpRequest) -> Result<BearerContext, BearerRejection> {
    let found = request.extensions().get::<BearerContext>().cloned();
    found.ok_or(BearerRejection {
        error: BearerError::LayerMissing,
        server: None,
    })
}
