//! The routes under `/auth`.

use auth_core::Auth;
use auth_core::config::paths;
#[cfg(feature = "tower-sessions")]
use auth_core::error::SetupError;
use auth_core::proxy::Proxy;
use auth_core::reply::{Reply, SessionChange};
use auth_core::request::RouteRequest;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

#[cfg(feature = "tower-sessions")]
use crate::app_session::{AppSessionLayer, AppSessionStore};
use crate::middleware::{AuthLayer, Head};
use crate::proxy;
use crate::response::{AuthError, response};
use crate::session::{self, AuthContext};

/// What axum applications get from an [`Auth`].
///
/// ```no_run
/// use auth_axum::{Auth, AuthExt, RequireAuth};
/// use axum::{Router, routing::get};
///
/// fn app(auth: &Auth) -> Router {
///     Router::new()
///         .route("/", get(async |user: RequireAuth| user.subject().to_owned()))
///         .merge(auth.routes())
///         .layer(auth.layer())
/// }
/// ```
pub trait AuthExt {
    /// The routes `/auth/login`, `/auth/callback`, `/auth/callback/{name}`, `/auth/logout`, `/auth/backchannel-logout`,
    /// `/auth/frontchannel-logout`, `/auth/session`, `/auth/errors/` and `/auth/errors/{code}`, and, where the client has keys
    /// of its own, `/auth/jwks`; to be merged into the app's router, inside of [`layer`](Self::layer).
    fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S>;

    /// Routes below `prefix` that forward to an upstream with the signed-in user's access token, for pages' own scripts:
    /// method, path and query to the byte and bodies as streams, WebSockets too. Every request has to bring the header
    /// `X-CSRF: 1`. [`Proxy`] has the limits; its [module](auth_core::proxy) says what goes through and what stays behind.
    ///
    /// They are to be merged into the app's router, inside of [`layer`](Self::layer). Several may stand side by side, each
    /// with a prefix of its own, which begins with `/`.
    ///
    /// ```no_run
    /// use auth_axum::{Auth, AuthExt, ConfigError, Proxy};
    /// use axum::Router;
    ///
    /// fn app(auth: &Auth) -> Result<Router, ConfigError> {
    ///     Ok(Router::new()
    ///         .merge(auth.routes())
    ///         .merge(auth.proxy("/proxy/api", Proxy::to_api()))
    ///         .merge(auth.proxy("/proxy/files", Proxy::to("https://files.example/v2")?))
    ///         .layer(auth.layer()))
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Where `prefix` is not empty and does not begin with `/`, or is no path that a [`Router`] takes.
    fn proxy<S: Clone + Send + Sync + 'static>(&self, prefix: &str, proxy: Proxy) -> Router<S>;

    /// The layer that goes around everything that asks who is signed in. What is added to a router last is outermost: it
    /// stands below every `.layer(require(…))`.
    fn layer(&self) -> AuthLayer;

    /// The layer for the app's own session data, in the store that the sign-ins are in. It goes outside of
    /// [`layer`](Self::layer) where it carries the identifier, and in any case around [`routes`](Self::routes), so that
    /// sign-in gives the session a new identifier and sign-out ends it.
    ///
    /// tower-sessions loads a session when a handler first asks for it, so around everything, as the last of the layers, it costs
    /// the others nothing and is right either way.
    ///
    /// What it answers by itself, a store that is down or too much data, is the library's page; it is an
    /// [`error_page`](AuthLayer::error_page) of the app's own where this layer is inside of [`layer`](Self::layer).
    ///
    /// # Errors
    ///
    /// [`SetupError::AppDataUnsupported`] where the store is one of the app's own that keeps sign-ins only.
    #[cfg(feature = "tower-sessions")]
    fn app_session_layer(&self) -> Result<AppSessionLayer, SetupError>;

    /// What [`app_session_layer`](Self::app_session_layer) keeps sessions in, for a layer that is set up by hand.
    ///
    /// # Errors
    ///
    /// [`SetupError::AppDataUnsupported`], as there.
    #[cfg(feature = "tower-sessions")]
    fn app_session_store(&self) -> Result<AppSessionStore, SetupError>;
}

impl AuthExt for Auth {
    fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let errors = format!("{}{{code}}", paths::ERRORS);
        let callback_of_provider = format!("{}/{{name}}", paths::CALLBACK);
        let router = Router::new()
            // The core answers every method that is none of theirs with 405.
            .route(paths::LOGIN, any(login))
            .route(paths::CALLBACK, any(callback))
            .route(&callback_of_provider, any(callback_of))
            .route(paths::LOGOUT, post(logout))
            .route(paths::BACKCHANNEL_LOGOUT, post(backchannel_logout))
            .route(paths::FRONTCHANNEL_LOGOUT, get(frontchannel_logout))
            .route(paths::SESSION, get(session_status))
            .route(paths::ERRORS, get(explain_errors))
            .route(&errors, get(explain_error));
        if self.client_jwks().is_some() {
            router.route(paths::JWKS, get(jwks))
        } else {
            router
        }
    }

    fn proxy<S: Clone + Send + Sync + 'static>(&self, prefix: &str, proxy: Proxy) -> Router<S> {
        proxy::routes(prefix, proxy)
    }

    fn layer(&self) -> AuthLayer {
        AuthLayer::new(self.clone())
    }

    #[cfg(feature = "tower-sessions")]
    fn app_session_layer(&self) -> Result<AppSessionLayer, SetupError> {
        Ok(AppSessionLayer::new(self.clone(), self.app_sessions()?))
    }

    #[cfg(feature = "tower-sessions")]
    fn app_session_store(&self) -> Result<AppSessionStore, SetupError> {
        Ok(AppSessionStore::new(self.app_sessions()?))
    }
}

async fn login(request: Request) -> Response {
    run(request, async |auth, request| auth.login(request).await).await
}

async fn callback(request: Request) -> Response {
    run(request, async |auth, request| auth.callback(request).await).await
}

async fn callback_of(name: Result<Path<String>, PathRejection>, request: Request) -> Response {
    // What is no text is no name either.
    let name = name.map(|Path(name)| name).unwrap_or_default();
    run(request, async move |auth, request| {
        auth.callback_of(&name, request).await
    })
    .await
}

async fn logout(request: Request) -> Response {
    #[cfg(feature = "tower-sessions")]
    session::note_own(request.extensions());
    run(request, async |auth, request| auth.logout(request).await).await
}

async fn backchannel_logout(request: Request) -> Response {
    run(request, async |auth, request| {
        auth.backchannel_logout(request).await
    })
    .await
}

async fn frontchannel_logout(request: Request) -> Response {
    run(request, async |auth, request| {
        auth.frontchannel_logout(request).await
    })
    .await
}

async fn session_status(request: Request) -> Response {
    run(request, async |auth, request| auth.session_status(request).await).await
}

/// The keys are everybody's: whose session the request brings is not asked, so that the answer may be kept.
async fn jwks(request: Request) -> Response {
    match context(&request) {
        Ok(context) => response(context.auth().jwks()),
        Err(error) => error.into_response(),
    }
}

async fn explain_error(code: Result<Path<String>, PathRejection>, request: Request) -> Response {
    // What is no text is no code either.
    let code = code.map(|Path(code)| code).unwrap_or_default();
    run(request, async move |auth, request| {
        auth.explain_error(&code, &request)
    })
    .await
}

async fn explain_errors(request: Request) -> Response {
    run(request, async |auth, _| auth.explain_errors()).await
}

async fn run(request: Request, route: impl AsyncFnOnce(Auth, RouteRequest) -> Reply) -> Response {
    answer(request, route)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

fn context(request: &Request) -> Result<AuthContext, AuthError> {
    let context = request.extensions().get().cloned();
    context.ok_or_else(AuthError::layer_missing)
}

/// Reads the request, lets the core answer it, and carries out what becomes of the session identifier.
async fn answer(
    mut request: Request,
    route: impl AsyncFnOnce(Auth, RouteRequest) -> Reply,
) -> Result<Response, AuthError> {
    let context = context(&request)?;
    let auth = context.auth().clone();
    let id = context.id().await?.cloned();
    let body = std::mem::take(request.body_mut());
    let Ok(body) = to_bytes(body, RouteRequest::MAX_BODY).await else {
        return Ok(response(auth.refuse_body_of(&Head(&request))));
    };
    let route_request = auth.route_request(&Head(&request), body.into(), id);
    let mut reply = route(auth.clone(), route_request).await;
    let change = std::mem::replace(&mut reply.session, SessionChange::Keep);
    let mut response = response(reply);
    session::change(&context, &change, request.extensions(), response.headers_mut()).await?;
    Ok(response)
}
