//! Sign-in, protected routes and authenticated calls for [actix-web](actix_web).
//!
//! A whole application: sign-in, a protected page, a call of an API on the user's behalf, sign-out.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use auth_actix::{Auth, AuthError, AuthExt, AuthenticatedClient, MaybeAuth, RequireAuth};
//! use serde_json::Value;
//!
//! /// Everyone sees this page. It offers to sign in, or to sign out.
//! async fn home(MaybeAuth(user): MaybeAuth) -> web::Html {
//!     web::Html::new(match user {
//!         Some(_) => r#"<a href="/profile">Profile</a>
//!             <form method="post" action="/auth/logout"><button>Sign out</button></form>"#,
//!         None => r#"<a href="/auth/login?return_to=/profile">Sign in</a>"#,
//!     })
//! }
//!
//! /// Whoever is not signed in is sent to do that, and comes back. The call brings the user's access token, which is alive.
//! async fn profile(user: RequireAuth, api: AuthenticatedClient) -> Result<web::Json<Value>, AuthError> {
//!     println!("{} looks at their profile", user.subject());
//!     Ok(web::Json(api.get("/scim2/Me").accept("application/scim+json").send().await?.json().await?))
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let auth = Auth::from_env().await?;
//!     let handle = auth.clone();
//!     let app = move || {
//!         App::new()
//!             .route("/", web::get().to(home))
//!             .route("/profile", web::get().to(profile))
//!             .configure(auth.routes())
//!             .wrap(auth.layer())
//!     };
//!     HttpServer::new(app).bind("127.0.0.1:3000")?.run().await?;
//!     handle.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! It takes its settings from the environment: `AUTH_BASE_URL`, `AUTH_ISSUER`, `AUTH_CLIENT_ID`, `AUTH_CLIENT_SECRET` and, for the
//! call, `API_URL`; `AUTH_SECRET` and `AUTH_STORE` keep sessions beyond a restart. At the provider, `{AUTH_BASE_URL}/auth/callback` is
//! registered as the redirect URI, and `{AUTH_BASE_URL}/` as the one after sign-out.
//!
//! Build the [`Auth`] on actix's main runtime, before `HttpServer::new`, and clone it into the workers, as above: it
//! refreshes tokens on the runtime that it was built on, which no handler can keep busy. After the server has stopped,
//! [`Auth::shutdown`] waits for what is still under way, so that no rotated token is lost.
//!
//! # What there is, in the order in which one needs it
//!
//! **Set up.** [`Auth`] is the one handle: [`Auth::from_env`], or [`Auth::builder`] with a method for each setting ([`AuthBuilder`]). A
//! [`Preset`] knows what a provider asks for, a [`Profile`] what a security profile does; [`SignInProvider`] is one of several
//! providers, and [`Providers`] lists them for a page of the app's own to choose on. What is wrong with the settings is a
//! [`ConfigError`].
//!
//! **Mount.** [`AuthExt::routes`] are `/auth/login`, `/auth/callback`, `/auth/logout`, `/auth/backchannel-logout`,
//! `/auth/frontchannel-logout`, `/auth/session`, `/auth/jwks` and `/auth/errors/{code}`. [`AuthExt::layer`] goes outside of everything that asks
//! who is signed in. It reads the request's session identifier, lets no answer that depends on a session be cached, and turns
//! [`AuthError`]s into redirects, pages or `application/problem+json`, as the request is a person's or a program's. It never
//! touches the store by itself.
//!
//! **Ask who is signed in.** [`RequireAuth`] demands a signed-in user, [`MaybeAuth`] asks for one, [`PeekSession`]
//! looks without waiting for the provider. However many of them a request uses, the session is looked up once. A [`Session`] says
//! who it is and how long it lasts, its [`Claims`] what the provider says of the user.
//!
//! **Say who may.** [`require`] protects apps, scopes and resources: `.wrap(require(Gate::signed_in().role("admin")))`. A [`Gate`] asks for
//! roles, claims, scopes, a recent sign-in or a stronger one, and sends the browser to sign in for what is missing.
//!
//! **Call APIs.** [`AuthenticatedClient`] calls downstream APIs with the user's access token, or one that it is exchanged for
//! ([`core::grants`]); [`MachineClient`] with the application's own. [`AuthExt::proxy`] forwards what the app's own pages ask for
//! ([`Proxy`]). [`SwitchSession`] puts other tokens in the place of the session's: another organization, another account.
//!
//! **Shape.** [`AuthBuilder::on_sign_in`] sees each [`SignIn`] and may refuse it ([`Refused`]); [`AuthLayer::error_page`] and
//! [`AuthLayer::choice_page`] put pages of the app's own in the place of the library's, made of a [`Failure`] or of
//! [`SignInChoices`]; [`AuthBuilder::on_event`] is told of every [`Event`], for an audit log.
//!
//! **End sessions.** `POST /auth/logout` does, and the provider may. [`Auth::sessions_of_user`] lists a user's as [`SessionInfo`]s, and its
//! neighbours end them. [`Auth::until_ended`] completes when a session has ended: a stream or a WebSocket takes it along and closes.
//!
//! **Be called with access tokens.** [`bearer_layer`], [`BearerToken`], [`MaybeBearer`] and [`require_bearer`] are for APIs, with or without
//! sessions beside them; a [`ResourceServer`] says whose tokens are good, a [`BearerGate`] who may.
//!
//! **Keep data of the app's own.** With the feature `actix-session`, `AuthExt::app_session_layer` is actix-session's middleware in the
//! store that the sign-ins are in.
//!
//! **Test.** The crate `auth-testing` has `TestAuth`: an [`Auth`] for tests of handlers, with users signed in by a line, and without a
//! network.
//!
//! Everything that is not about actix-web is in `auth-core`, re-exported as [`core`]: the session stores ([`core::store`]), every failure's code
//! ([`core::codes`]), the settings one by one ([`core::config`]). `auth-axum` is the same for axum, under the same names.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(rustdoc::missing_crate_level_docs)]

#[cfg(feature = "actix-session")]
mod app_session;
mod bearer;
mod extract;
mod middleware;
mod proxy;
mod response;
mod routes;
mod session;
mod switch;

pub use auth_core as core;
pub use auth_core::bearer::{BearerGate, ResourceServer};
pub use auth_core::client::{ApiError, MachineClient};
pub use auth_core::devices::SessionInfo;
pub use auth_core::gate::Gate;
pub use auth_core::proxy::Proxy;
pub use auth_core::session::{Claims, Session, SignIn};
pub use auth_core::{
    Auth, AuthBuilder, ConfigError, EndReason, Error, Event, EventKind, Failure, Preset, Profile,
    ProviderInfo, Refused, SignInChoice, SignInChoices, SignInProvider, UntilEnded,
};

#[cfg(feature = "actix-session")]
pub use app_session::{AppSessionLayer, AppSessionService, AppSessionStore};
pub use bearer::{
    BearerFuture, BearerLayer, BearerRejection, BearerService, BearerToken, MaybeBearer, bearer_layer,
    require_bearer,
};
pub use extract::{AuthenticatedClient, MaybeAuth, PeekSession, Providers, RequireAuth};
pub use middleware::{AuthLayer, AuthService, RequireLayer, RequireService, require};
pub use response::AuthError;
pub use routes::AuthExt;
pub use switch::SwitchSession;

/// A future of one worker's thread, as actix-web's traits want it.
type LocalFuture<T> = std::pin::Pin<Box<dyn Future<Output = T>>>;
