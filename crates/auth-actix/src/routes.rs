//! The routes under `/auth`.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, Scope};
use auth_core::Auth;
use auth_core::config::paths;
#[cfg(feature = "actix-session")]
use auth_core::error::SetupError;
use auth_core::proxy::Proxy;
use auth_core::reply::{Reply, SessionChange};
use auth_core::request::RouteRequest;

#[cfg(feature = "actix-session")]
use crate::app_session::{AppSessionLayer, AppSessionStore};
use crate::middleware::{AuthLayer, Head};
use crate::proxy;
use crate::response::{AuthError, response};
use crate::session::{self, AuthContext};

/// What actix-web applications get from an [`Auth`].
///
/// ```no_run
/// use actix_web::{App, HttpServer, web};
/// use auth_actix::{Auth, AuthExt, RequireAuth};
///
/// async fn serve(auth: Auth) -> std::io::Result<()> {
///     let app = move || {
///         App::new()
///             .route("/", web::get().to(async |user: RequireAuth| user.subject().to_owned()))
///             .configure(auth.routes())
///             .wrap(auth.layer())
///     };
///     HttpServer::new(app).bind("127.0.0.1:3000")?.run().await
/// }
/// ```
pub trait AuthExt {
    /// The routes `/auth/login`, `/auth/callback`, `/auth/callback/{name}`, `/auth/logout`, `/auth/backchannel-logout`,
    /// `/auth/frontchannel-logout`, `/auth/session`, `/auth/errors/` and `/auth/errors/{code}`, and, where the client has keys
    /// of its own, `/auth/jwks`; for [`App::configure`](actix_web::App::configure), inside of [`layer`](Self::layer).
    ///
    /// They belong on the `App` itself: in a scope they would lie below its path, where the provider does not send
    /// browsers to.
    fn routes(&self) -> impl FnOnce(&mut ServiceConfig) + use<Self>;

    /// Routes below `prefix` that forward to an upstream with the signed-in user's access token, for pages' own scripts:
    /// method, path and query to the byte and bodies as streams, WebSockets too. Every request has to bring the header
    /// `X-CSRF: 1`. [`Proxy`] has the limits; its [module](auth_core::proxy) says what goes through and what stays behind.
    ///
    /// It is a service of the app itself, as [`routes`](Self::routes) are, inside of [`layer`](Self::layer). Several may stand
    /// side by side, each with a prefix of its own, which begins with `/`.
    ///
    /// ```no_run
    /// use actix_web::web::ServiceConfig;
    /// use auth_actix::{Auth, AuthExt, ConfigError, Proxy};
    ///
    /// fn routes(auth: &Auth) -> Result<impl FnOnce(&mut ServiceConfig), ConfigError> {
    ///     let api = auth.proxy("/proxy/api", Proxy::to_api());
    ///     let files = auth.proxy("/proxy/files", Proxy::to("https://files.example/v2")?);
    ///     let routes = auth.routes();
    ///     Ok(move |config: &mut ServiceConfig| {
    ///         config.configure(routes).service(api).service(files);
    ///     })
    /// }
    /// ```
    ///
    /// actix-web takes a browser that closes its connection for one that may still read, unless told otherwise: with
    /// `HttpServer::h1_allow_half_closed(false)`, a call ends as soon as nobody waits for it.
    fn proxy(&self, prefix: &str, proxy: Proxy) -> Scope;

    /// The layer that goes around everything that asks who is signed in. What is wrapped last is outermost: it stands
    /// below every `.wrap(require(…))`.
    fn layer(&self) -> AuthLayer;

    /// The layer for the app's own session data, in the store that the sign-ins are in. It goes outside of
    /// [`layer`](Self::layer) where it carries the identifier, and in any case around [`routes`](Self::routes), so that
    /// sign-in gives the session a new identifier and sign-out ends it.
    ///
    /// actix-session loads the session of every request that brings its cookie, used or not: where the identifier has a
    /// cookie of its own, put it around a scope of the routes that use it.
    ///
    /// What it answers by itself, a store that is down or too much data, is the library's page: an
    /// [`error_page`](AuthLayer::error_page) of the app's own is not asked, for there is no request left to hand to it.
    ///
    /// # Errors
    ///
    /// [`SetupError::AppDataUnsupported`] where the store is one of the app's own that keeps sign-ins only.
    #[cfg(feature = "actix-session")]
    fn app_session_layer(&self) -> Result<AppSessionLayer, SetupError>;

    /// What [`app_session_layer`](Self::app_session_layer) keeps sessions in, for a layer that is set up by hand.
    ///
    /// # Errors
    ///
    /// [`SetupError::AppDataUnsupported`], as there.
    #[cfg(feature = "actix-session")]
    fn app_session_store(&self) -> Result<AppSessionStore, SetupError>;
}

impl AuthExt for Auth {
    fn routes(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let has_keys = self.client_jwks().is_some();
        move |config| {
            let errors = format!("{}{{code}}", paths::ERRORS);
            let callback_of_provider = format!("{}/{{name}}", paths::CALLBACK);
            // The core answers every method that is none of theirs with 405.
            config
                .service(web::resource(paths::LOGIN).to(login))
                .service(web::resource(paths::CALLBACK).to(callback))
                .service(web::resource(callback_of_provider).to(callback_of))
                .service(web::resource(paths::LOGOUT).route(web::post().to(logout)))
                .service(web::resource(paths::BACKCHANNEL_LOGOUT).route(web::post().to(backchannel_logout)))
                .service(
                    web::resource(paths::FRONTCHANNEL_LOGOUT)
                        .route(web::get().to(frontchannel_logout))
                        .route(web::head().to(frontchannel_logout)),
                )
                .service(
                    web::resource(paths::SESSION)
                        .route(web::get().to(session_status))
                        .route(web::head().to(session_status)),
                )
                .service(
                    web::resource(paths::ERRORS)
                        .route(web::get().to(explain_errors))
                        .route(web::head().to(explain_errors)),
                )
                .service(
                    web::resource(errors)
                        .route(web::get().to(explain_error))
                        .route(web::head().to(explain_error)),
                );
            if has_keys {
                config.service(
                    web::resource(paths::JWKS)
                        .route(web::get().to(jwks))
                        .route(web::head().to(jwks)),
                );
            }
        }
    }

    fn proxy(&self, prefix: &str, proxy: Proxy) -> Scope {
        proxy::scope(prefix, proxy)
    }

    fn layer(&self) -> AuthLayer {
        AuthLayer::new(self.clone())
    }

    #[cfg(feature = "actix-session")]
    fn app_session_layer(&self) -> Result<AppSessionLayer, SetupError> {
        Ok(AppSessionLayer::new(self.clone(), self.app_sessions()?))
    }

    #[cfg(feature = "actix-session")]
    fn app_session_store(&self) -> Result<AppSessionStore, SetupError> {
        Ok(AppSessionStore::new(self.app_sessions()?))
    }
}

async fn login(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, request| auth.login(request).await).await
}

async fn callback(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, request| auth.callback(request).await).await
}

async fn callback_of(
    name: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, request| {
        auth.callback_of(&name, request).await
    })
    .await
}

async fn logout(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, request| auth.logout(request).await).await
}

async fn backchannel_logout(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, request| {
        auth.backchannel_logout(request).await
    })
    .await
}

async fn frontchannel_logout(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, request| {
        auth.frontchannel_logout(request).await
    })
    .await
}

/// The keys are everybody's: whose session the request brings is not asked, so that the answer may be kept.
async fn jwks(request: HttpRequest) -> Result<HttpResponse, AuthError> {
    Ok(response(context(&request)?.auth().jwks()))
}

async fn session_status(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, request| {
        auth.session_status(request).await
    })
    .await
}

async fn explain_error(
    code: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, request| {
        auth.explain_error(&code, &request)
    })
    .await
}

async fn explain_errors(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, AuthError> {
    answer(request, body, async |auth, _| auth.explain_errors()).await
}

fn context(request: &HttpRequest) -> Result<AuthContext, AuthError> {
    let context = request.extensions().get().cloned();
    context.ok_or_else(AuthError::layer_missing)
}

/// Reads the request, lets the core answer it, and carries out what becomes of the session identifier.
async fn answer(
    request: HttpRequest,
    body: web::Payload,
    route: impl AsyncFnOnce(Auth, RouteRequest) -> Reply,
) -> Result<HttpResponse, AuthError> {
    let context = context(&request)?;
    let auth = context.auth();
    let id = context.id()?.cloned();
    let Ok(Ok(body)) = body.to_bytes_limited(RouteRequest::MAX_BODY).await else {
        return Ok(response(auth.refuse_body_of(&Head(&request))));
    };
    let route_request = auth.route_request(&Head(&request), body.into(), id);
    let mut reply = route(auth.clone(), route_request).await;
    let change = std::mem::replace(&mut reply.session, SessionChange::Keep);
    let mut response = response(reply);
    session::change(&context, &change, &request, response.headers_mut()).await?;
    Ok(response)
}
