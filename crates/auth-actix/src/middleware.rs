//! The layer that everything else needs, and the layer that protects apps, scopes and resources.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpMessage as _;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::header;
use actix_web::http::uri::Authority;
use actix_web::{HttpRequest, HttpResponse};
use auth_core::bearer::{BearerGate, PeerCertificate};
use auth_core::gate::Gate;
use auth_core::request::{RequestHead, header_text};
use auth_core::{Auth, Error, Failure, SignInChoices};

use crate::response::{self, AuthError, NO_STORE, OwnPage, OwnPages};
use crate::session::{AuthContext, Carrier};
use crate::{LocalFuture, bearer};

/// Tells requests who is signed in, and makes answers of [`AuthError`]s; made by [`AuthExt::layer`](crate::AuthExt::layer).
///
/// It reads the session identifier (and does nothing else until something asks for the session), adds
/// `Cache-Control: no-store` to every answer that depends on a session, and gives [`AuthError`]s their final form.
///
/// ```no_run
/// use actix_web::{App, HttpServer};
/// use auth_actix::{Auth, AuthExt};
///
/// /// What is wrapped last is outermost: layers that ask who is signed in stand above this one.
/// async fn serve(auth: Auth) -> std::io::Result<()> {
///     let app = move || App::new().configure(auth.routes()).wrap(auth.layer());
///     HttpServer::new(app).bind("127.0.0.1:3000")?.run().await
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
    /// The [`Failure`] holds all that the page needs, and nothing secret; the request is for what the page depends on
    /// besides, the language or the app's data for example. The answer gives body, `Content-Type` and further headers. The
    /// status and what the library has set stay: `Cache-Control: no-store`, `Retry-After`, cookies, and that nobody
    /// frames the page. (Where an inner middleware fails with an [`AuthError`] instead of answering, there is no request
    /// any more, and the page is the library's.)
    ///
    /// ```
    /// use actix_web::http::header::ContentType;
    /// use actix_web::{HttpRequest, HttpResponse};
    /// use auth_actix::{Auth, AuthExt, AuthLayer, Failure};
    ///
    /// fn layer(auth: &Auth) -> AuthLayer {
    ///     auth.layer().error_page(error_page)
    /// }
    ///
    /// fn error_page(failure: &Failure, _: &HttpRequest) -> HttpResponse {
    ///     let button = failure.try_again().map_or(String::new(), |link| {
    ///         // A path with a query: in HTML, `&` has to be escaped.
    ///         format!("<a href=\"{}\">{}</a>", link.href.replace('&', "&amp;"), link.label)
    ///     });
    ///     let page = format!("<h1>{}</h1><p>{}</p>{button}", failure.title(), failure.cause());
    ///     HttpResponse::Ok().content_type(ContentType::html()).body(page)
    /// }
    /// ```
    #[must_use]
    pub fn error_page(
        self,
        page: impl Fn(&Failure, &HttpRequest) -> HttpResponse + Send + Sync + 'static,
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
    /// use actix_web::http::header::ContentType;
    /// use actix_web::{HttpRequest, HttpResponse};
    /// use auth_actix::{Auth, AuthExt, AuthLayer, SignInChoices};
    ///
    /// fn layer(auth: &Auth) -> AuthLayer {
    ///     auth.layer().choice_page(choice_page)
    /// }
    ///
    /// fn choice_page(choices: &SignInChoices, _: &HttpRequest) -> HttpResponse {
    ///     let links = choices.iter().map(|choice| {
    ///         // An address with a query: in HTML, `&` has to be escaped. Labels are the settings' own words.
    ///         format!("<li><a href=\"{}\">{}</a></li>", choice.href.replace('&', "&amp;"), choice.provider.label)
    ///     });
    ///     let page = format!("<h1>Who are you with?</h1><ul>{}</ul>", links.collect::<String>());
    ///     HttpResponse::Ok().content_type(ContentType::html()).body(page)
    /// }
    /// ```
    #[must_use]
    pub fn choice_page(
        self,
        page: impl Fn(&SignInChoices, &HttpRequest) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        Self {
            pages: OwnPages {
                choice: Some(OwnPage::new(page)),
                ..self.pages
            },
            ..self
        }
    }

    /// Carries the session identifier in the app's own actix-session session instead of a cookie of its own. The
    /// session middleware must lie outside of this layer:
    /// `.wrap(auth.layer().in_actix_session()).wrap(SessionMiddleware::new(…))`.
    ///
    /// The library puts nothing but the identifier there, sealed; tokens and claims stay in the core's store. The session's
    /// cookie must be `SameSite=Lax`, as it is by default: with `Strict`, browsers do not send it after a sign-in
    /// elsewhere. actix-session loads its session before this layer sees the request, also where nothing asks who is
    /// signed in; while its store is down, it answers 500 by itself
    /// ([`app_session_layer`](crate::AuthExt::app_session_layer) makes that a 503). It decodes the names of cookies, so that
    /// `__Host-` alone does not keep a sibling host from planting one; `app_session_layer` leaves such cookies out. Without a
    /// session middleware outside, whoever asks for the session is answered with 500 (`setup.carrier_missing`).
    ///
    /// With [several origins](auth_core::AuthBuilder::further_base_url) its cookie has no `Domain`: a session holds one sign-in, which is
    /// good at one of them, and a sign-in at another takes its place.
    #[cfg(feature = "actix-session")]
    #[must_use]
    pub fn in_actix_session(self) -> Self {
        Self {
            carrier: Carrier::ActixSession,
            ..self
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for AuthLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = AuthService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(AuthService {
            inner,
            layer: self.clone(),
        }))
    }
}

/// The service that [`AuthLayer`] makes.
#[derive(Debug)]
pub struct AuthService<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, B> Service<ServiceRequest> for AuthService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = LocalFuture<Result<Self::Response, actix_web::Error>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let AuthLayer { auth, carrier, pages } = &self.layer;
        let context = AuthContext::new(auth.clone(), *carrier, &request);
        request.extensions_mut().insert(context.clone());
        let pages = pages.clone();
        let inner = self.inner.call(request);
        Box::pin(async move {
            match inner.await {
                Ok(response) => {
                    let response = finish(&context, response);
                    Ok(pages.replace(response))
                }
                Err(error) => Err(finish_error(&context, error)),
            }
        })
    }
}

fn finish<B: MessageBody>(
    context: &AuthContext,
    mut response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B>> {
    let given = response.response_mut().extensions_mut().remove::<AuthError>();
    let headers = context.take_headers();
    let mut response = match given.or_else(|| context.refusal()) {
        Some(AuthError { error, or }) => {
            let mut refusal = response::response(context.auth().refuse(&error, context.incoming(), &or));
            if headers.is_some() {
                // What a session layer inside of this one has set for the new identifier.
                for cookie in response.headers().get_all(header::SET_COOKIE) {
                    refusal.headers_mut().append(header::SET_COOKIE, cookie.clone());
                }
            }
            response.into_response(refusal).map_into_right_body()
        }
        None => {
            if context.is_used() {
                response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
            }
            response.map_into_left_body()
        }
    };
    for (name, value) in headers.into_iter().flat_map(|headers| *headers) {
        response.headers_mut().append(name, value);
    }
    response
}

/// An inner middleware may fail instead of answering; there is no request left then to make an answer of.
fn finish_error(context: &AuthContext, error: actix_web::Error) -> actix_web::Error {
    let Some(AuthError { error, or }) = error.as_error() else {
        return error;
    };
    let reply = context.auth().refuse(error, context.incoming(), or);
    InternalError::from_response(error.clone(), response::response(reply)).into()
}

/// Protects an app, a scope or a resource: only requests that the gate lets pass get through.
///
/// ```
/// use actix_web::{App, web};
/// use auth_actix::{Gate, require};
///
/// let app = App::new().service(
///     web::scope("/admin")
///         .route("/users", web::get().to(async || "for administrators"))
///         .wrap(require(Gate::signed_in().role("admin"))),
/// );
/// ```
///
/// Rules add up, and what another sign-in can mend is asked for in one: here a second factor, used within the last five
/// minutes. Which values of `acr` there are and what they mean is the provider's to say ([`Gate::acr`]).
///
/// ```
/// use std::time::Duration;
/// use actix_web::{App, web};
/// use auth_actix::{Gate, require};
///
/// let transfer = Gate::signed_in().acr(["phrh", "phr"]).within(Duration::from_secs(300));
/// let app = App::new().service(
///     web::resource("/transfer")
///         .route(web::post().to(async || "done"))
///         .wrap(require(transfer)),
/// );
/// ```
///
/// [`AuthExt::layer`](crate::AuthExt::layer) has to be outside of it: `require` stands above it.
///
/// It lies around routes and knows no paths: a rule such as "whatever begins with `/admin`" would have to read a path exactly
/// as the router does, and `/%61dmin`, `//admin`, `/x/../admin` or `/admin;x` are tried wherever the two differ (actix-web
/// decodes a path before it looks for a route; [`HttpRequest::uri`] still has it as it came). So protect a scope as a whole;
/// wrapped around an `App`, it protects the default service too.
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

impl<S, B> Transform<S, ServiceRequest> for RequireLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = RequireService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(RequireService {
            inner: Rc::new(inner),
            rule: Arc::clone(&self.rule),
        }))
    }
}

/// The service that [`RequireLayer`] makes.
#[derive(Debug)]
pub struct RequireService<S> {
    inner: Rc<S>,
    rule: Arc<Rule>,
}

impl<S, B> Service<ServiceRequest> for RequireService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = LocalFuture<Result<Self::Response, actix_web::Error>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let inner = Rc::clone(&self.inner);
        let rule = Arc::clone(&self.rule);
        Box::pin(async move {
            match rule.check(request.request()).await {
                Ok(()) => Ok(inner.call(request).await?.map_into_left_body()),
                Err(error) => Ok(request.error_response(error).map_into_right_body()),
            }
        })
    }
}

impl Rule {
    async fn check(&self, request: &HttpRequest) -> Result<(), actix_web::Error> {
        match self {
            Self::Session(gate) => Ok(check(gate, request).await?),
            Self::Token(gate) => Ok(bearer::check(gate, request).await?),
        }
    }
}

async fn check(gate: &Gate, request: &HttpRequest) -> Result<(), AuthError> {
    let context = request.extensions().get::<AuthContext>().cloned();
    let context = context.ok_or_else(AuthError::layer_missing)?;
    let session = context.session().await;
    gate.check(session.as_ref().map_err(Error::clone), context.auth().now())
        .map_err(|error| AuthError {
            error,
            or: gate.on_refusal().clone(),
        })
}

/// The head of an actix-web request, with the whole path also inside of a scope.
pub(crate) struct Head<'a>(pub(crate) &'a HttpRequest);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn path(&self) -> &str {
        self.0.uri().path()
    }

    fn query(&self) -> Option<&str> {
        self.0.uri().query()
    }

    fn authority(&self) -> Option<&str> {
        self.0.uri().authority().map(Authority::as_str)
    }

    fn peer(&self) -> Option<IpAddr> {
        self.0.peer_addr().map(|peer| peer.ip())
    }

    fn peer_certificate(&self) -> Option<PeerCertificate> {
        let of_request = self.0.extensions().get().cloned();
        of_request.or_else(|| self.0.conn_data().cloned())
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
