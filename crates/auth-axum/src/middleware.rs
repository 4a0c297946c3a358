//! The layer that everything else needs, and the layer that protects a router.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use auth_core::bearer::{BearerGate, PeerCertificate};
use auth_core::gate::Gate;
use auth_core::request::{RequestHead, header_text};
use auth_core::{Auth, Error, Failure, SignInChoices};
use axum::extract::{ConnectInfo, OriginalUri};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderValue, Request, Uri, header};
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::bearer::{self, BearerRejection};
use crate::response::{self, AuthError, OwnPage, OwnPages};
use crate::session::{AuthContext, Carrier};

/// Tells requests who is signed in, and makes answers of [`AuthError`]s; made by [`AuthExt::layer`](crate::AuthExt::layer).
///
/// It reads the session identifier (and does nothing else until something asks for the session), adds
/// `Cache-Control: no-store` to every answer that depends on a session, and gives [`AuthError`]s their final form.
///
/// ```no_run
/// use auth_axum::{Auth, AuthExt};
/// use axum::Router;
///
/// /// What was added before the layer lies inside of it; what comes after it does not know who is signed in.
/// fn with_sign_in(app: Router, auth: &Auth) -> Router {
///     app.merge(auth.routes()).layer(auth.layer())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AuthLayer {
    auth: Auth,
    carrier: Carrier,
    pages: OwnPages,
}

impl AuthLayer {
    pub(crate) fn new(auth: Auth) -> Self {
        Self {
            auth,
            carrier: Carrier::Cookie,
            pages: OwnPages::default(),
        }
    }

    /// Shows a page of the app's own where the library would show its page of a failure to a person: at a sign-in that
    /// fails, and wherever an [`AuthError`] answers a navigation or a form. Programs get `application/problem+json` as before,
    /// and `/auth/errors/{code}` stays the library's.
    ///
    /// The [`Failure`] holds all that the page needs, and nothing secret; the request's parts are for what the page
    /// depends on besides, the language for example. The answer gives body, `Content-Type` and further headers. The status
    /// and what the library has set stay: `Cache-Control: no-store`, `Retry-After`, cookies, and that nobody frames
    /// the page. (A function that returns `impl IntoResponse` says `impl IntoResponse + use<>`: the answer may not borrow.)
    ///
    /// ```
    /// use auth_axum::{Auth, AuthExt, AuthLayer, Failure};
    /// use axum::http::request::Parts;
    /// use axum::response::Html;
    ///
    /// fn layer(auth: &Auth) -> AuthLayer {
    ///     auth.layer().error_page(error_page)
    /// }
    ///
    /// fn error_page(failure: &Failure, _: &Parts) -> Html<String> {
    ///     let button = failure.try_again().map_or(String::new(), |link| {
    ///         // A path with a query: in HTML, `&` has to be escaped.
    ///         format!("<a href=\"{}\">{}</a>", link.href.replace('&', "&amp;"), link.label)
    ///     });
    ///     Html(format!("<h1>{}</h1><p>{}</p>{button}", failure.title(), failure.cause()))
    /// }
    /// ```
    #[must_use]
    pub fn error_page<R: IntoResponse>(
        self,
        page: impl Fn(&Failure, &Parts) -> R + Send + Sync + 'static,
    ) -> Self {
        Self {
            pages: OwnPages {
                error: Some(OwnPage::new(page)),
                ..self.pages
            },
            ..self
        }
    }

    /// Shows a page of the app's own where the library would show its page to choose a provider on: at `/auth/login` without a
    /// name, with several providers. Where only links to the providers are wanted on a page that the app has anyway, there is
    /// [`Providers`](crate::Providers).
    ///
    /// The [`SignInChoices`] hold a link for each provider. What is said of [`error_page`](Self::error_page) holds here too: the
    /// answer gives body, `Content-Type` and further headers, the status and what the library has set stay.
    ///
    /// ```
    /// use auth_axum::{Auth, AuthExt, AuthLayer, SignInChoices};
    /// use axum::http::request::Parts;
    /// use axum::response::Html;
    ///
    /// fn layer(auth: &Auth) -> AuthLayer {
    ///     auth.layer().choice_page(choice_page)
    /// }
    ///
    /// fn choice_page(choices: &SignInChoices, _: &Parts) -> Html<String> {
    ///     let links = choices.iter().map(|choice| {
    ///         // An address with a query: in HTML, `&` has to be escaped. Labels are the settings' own words.
    ///         format!("<li><a href=\"{}\">{}</a></li>", choice.href.replace('&', "&amp;"), choice.provider.label)
    ///     });
    ///     Html(format!("<h1>Who are you with?</h1><ul>{}</ul>", links.collect::<String>()))
    /// }
    /// ```
    #[must_use]
    pub fn choice_page<R: IntoResponse>(
        self,
        page: impl Fn(&SignInChoices, &Parts) -> R + Send + Sync + 'static,
    ) -> Self {
        Self {
            pages: OwnPages {
                choice: Some(OwnPage::new(page)),
                ..self.pages
            },
            ..self
        }
    }

    /// Carries the session identifier in the app's own tower-sessions session instead of a cookie of its own. The
    /// session layer must lie outside of this one: `.layer(auth.layer().in_tower_session()).layer(session_layer)`.
    ///
    /// The library puts nothing but the identifier there, sealed; tokens and claims stay in the core's store. The
    /// session's cookie must be `SameSite=Lax`: with `Strict`, the default, browsers do not send it after a sign-in elsewhere.
    /// tower-sessions decodes the names of cookies, so that `__Host-` alone does not keep a sibling host from planting one;
    /// [`app_session_layer`](crate::AuthExt::app_session_layer) leaves such cookies out. Without a session layer outside, whoever
    /// asks for the session is answered with 500 (`setup.carrier_missing`).
    ///
    /// With [several origins](auth_core::AuthBuilder::further_base_url) its cookie has no `Domain`: a session holds one sign-in, which is
    /// good at one of them, and a sign-in at another takes its place.
    #[cfg(feature = "tower-sessions")]
    #[must_use]
    pub fn in_tower_session(self) -> Self {
        Self {
            carrier: Carrier::TowerSession,
            ..self
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`AuthLayer`] makes.
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, B> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let AuthLayer { auth, carrier, pages } = &self.layer;
        let (incoming, cookie) = auth.arrival(&Head(&request));
        let context = AuthContext::new(auth.clone(), incoming, *carrier, cookie, request.extensions());
        request.extensions_mut().insert(context.clone());
        let pages = (!pages.is_empty()).then(|| Box::new((pages.clone(), parts(&request))));
        ResponseFuture {
            inner: self.inner.call(request),
            context,
            pages,
        }
    }
}

pin_project! {
    /// The future of [`AuthService`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        context: AuthContext,
        pages: Option<Box<(OwnPages, Parts)>>,
    }
}

/// Shows nothing of the request.
impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let response = finish(this.context, response);
        Poll::Ready(Ok(match this.pages.take() {
            Some(pages) => pages.0.replace(response, &pages.1),
            None => response,
        }))
    }
}

/// A request's head, which goes into the app before it is known whether a page of it is needed.
fn parts<B>(request: &Request<B>) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = request.uri().clone();
    parts.version = request.version();
    parts.headers = request.headers().clone();
    parts.extensions = request.extensions().clone();
    parts
}

fn finish(context: &AuthContext, mut response: Response) -> Response {
    let headers = context.take_headers();
    if let Some(AuthError { error, or }) = response.extensions_mut().remove::<AuthError>() {
        let refusal = response::response(context.auth().refuse(&error, context.incoming(), &or));
        let answer = std::mem::replace(&mut response, refusal);
        if headers.is_some() {
            // What a session layer inside of this one has set for the new identifier.
            for cookie in answer.headers().get_all(header::SET_COOKIE) {
                response.headers_mut().append(header::SET_COOKIE, cookie.clone());
            }
        }
    } else if context.is_used() {
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    for (name, value) in headers.iter().flat_map(|headers| headers.iter()) {
        response.headers_mut().append(name, value.clone());
    }
    response
}

/// Protects a router or a route: only requests that the gate lets pass get through.
///
/// ```
/// use auth_axum::{Gate, require};
/// use axum::{Router, routing::get};
///
/// let admin: Router = Router::new()
///     .route("/admin", get(|| async { "for administrators" }))
///     .route_layer(require(Gate::signed_in().role("admin")));
/// ```
///
/// Rules add up, and what another sign-in can mend is asked for in one: here a second factor, used within the last five
/// minutes. Which values of `acr` there are and what they mean is the provider's to say ([`Gate::acr`]).
///
/// ```
/// use std::time::Duration;
/// use auth_axum::{Gate, require};
/// use axum::{Router, routing::post};
///
/// let transfer = Gate::signed_in().acr(["phrh", "phr"]).within(Duration::from_secs(300));
/// let payments: Router = Router::new()
///     .route("/transfer", post(|| async { "done" }))
///     .route_layer(require(transfer));
/// ```
///
/// [`AuthExt::layer`](crate::AuthExt::layer) has to be outside of it: `require` stands above it. As with every `route_layer`, only
/// routes that were added before it are protected, and on what has no route of its own, such as `any(…)` by itself, `route_layer`
/// panics: use `layer` there.
///
/// It lies around routes and knows no paths: a rule such as "whatever begins with `/admin`" would have to read a path exactly
/// as the router does, and `/%61dmin`, `//admin`, `/x/../admin` or `/admin;x` are tried wherever the two differ. So protect a
/// nested router as a whole (`Router::nest("/admin", admin.route_layer(require(…)))`), and a fallback, where it must be
/// protected too, with `layer` instead of `route_layer`.
#[must_use]
pub fn require(gate: Gate) -> RequireLayer {
    RequireLayer::of(Rule::Session(gate))
}

/// Lets through what a gate lets pass; made by [`require`] and [`require_bearer`](crate::require_bearer).
#[derive(Clone, Debug)]
pub struct RequireLayer {
    rule: Arc<Rule>,
}

/// Who gets through.
#[derive(Debug)]
pub(crate) enum Rule {
    Session(Gate),
    Token(BearerGate),
}

impl RequireLayer {
    pub(crate) fn of(rule: Rule) -> Self {
        Self { rule: Arc::new(rule) }
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService {
            inner,
            rule: Arc::clone(&self.rule),
        }
    }
}

/// The service that [`RequireLayer`] makes.
#[derive(Clone, Debug)]
pub struct RequireService<S> {
    inner: S,
    rule: Arc<Rule>,
}

impl<S, B> Service<Request<B>> for RequireService<S>
where
    S: Service<Request<B>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The instance that was polled ready serves this request; its clone waits for the next.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let rule = Arc::clone(&self.rule);
        Box::pin(async move {
            match rule.refusal(request.extensions()).await {
                None => inner.call(request).await,
                Some(refusal) => Ok(refusal),
            }
        })
    }
}

impl Rule {
    /// The answer to a request that does not get through.
    async fn refusal(&self, extensions: &Extensions) -> Option<Response> {
        match self {
            Self::Session(gate) => check(gate, extensions).await.err().map(AuthError::into_response),
            Self::Token(gate) => {
                let outcome = bearer::check(gate, extensions).await;
                outcome.err().map(BearerRejection::into_response)
            }
        }
    }
}

async fn check(gate: &Gate, extensions: &Extensions) -> Result<(), AuthError> {
    let context = extensions.get::<AuthContext>();
    let context = context.ok_or_else(AuthError::layer_missing)?;
    let session = context.session().await;
    gate.check(session.as_ref().map_err(Error::clone), context.auth().now())
        .map_err(|error| AuthError {
            error,
            or: gate.on_refusal().clone(),
        })
}

/// The head of an axum request, with the path that the browser asked for also inside of a nested router.
pub(crate) struct Head<'a, B>(pub(crate) &'a Request<B>);

impl<B> Head<'_, B> {
    fn uri(&self) -> &Uri {
        self.0
            .extensions()
            .get::<OriginalUri>()
            .map_or(self.0.uri(), |OriginalUri(uri)| uri)
    }
}

impl<B> RequestHead for Head<'_, B> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn path(&self) -> &str {
        self.uri().path()
    }

    fn query(&self) -> Option<&str> {
        self.uri().query()
    }

    fn authority(&self) -> Option<&str> {
        self.uri().authority().map(Authority::as_str)
    }

    fn peer(&self) -> Option<IpAddr> {
        let peer = self.0.extensions().get::<ConnectInfo<SocketAddr>>();
        peer.map(|ConnectInfo(peer)| peer.ip())
    }

    fn peer_certificate(&self) -> Option<PeerCertificate> {
        self.0.extensions().get().cloned()
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        for value in self.0.headers().get_all(name) {
            each(&header_text(value.as_bytes()));
        }
    }

    fn each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self.0.headers() {
            each(name.as_str(), value.as_bytes());
        }
    }
}
