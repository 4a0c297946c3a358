//! Sign-in, protected routes and authenticated calls for [actix-web](actix_web).
//!
//! One handle, its routes, a layer and two extractors:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use auth_actix::{Auth, AuthError, AuthExt, AuthenticatedClient, RequireAuth};
//! use serde_json::Value;
//!
//! async fn profile(user: RequireAuth, api: AuthenticatedClient) -> Result<web::Json<Value>, AuthError> {
//!     println!("{} looks at their profile", user.subject());
//!     Ok(web::Json(api.get("/scim2/Me").accept("application/scim+json").send().await?.json().await?))
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let auth = Auth::from_env().await?;
//!     let handle = auth.clone();
//!     HttpServer::new(move || {
//!         App::new()
//!             .route("/profile", web::get().to(profile))
//!             .configure(auth.routes())
//!             .wrap(auth.layer())
//!     })
//!     .bind(("127.0.0.1", 3000))?
//!     .run()
//!     .await?;
//!     handle.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! * [`AuthExt::routes`] are `/auth/login`, `/auth/callback`, `/auth/logout`, `/auth/backchannel-logout`,
//!   `/auth/frontchannel-logout`, `/auth/session` and `/auth/errors/{code}`.
//! * [`AuthExt::layer`] goes outside of everything that asks who is signed in. It reads the request's session identifier,
//!   lets no answer that depends on a session be cached, and turns [`AuthError`]s into redirects, pages or
//!   `application/problem+json`, as the request is a person's or a program's. It never touches the store by itself.
//! * [`RequireAuth`] demands a signed-in user, [`MaybeAuth`] asks for one, [`PeekSession`] looks without waiting
//!   for the provider. However many of them a request uses, the session is looked up once.
//! * [`Auth::until_ended`] completes when a session has ended: a stream or a WebSocket takes it along and closes.
//! * [`AuthenticatedClient`] calls downstream APIs with the user's access token, or one that it is exchanged for.
//! * [`SwitchSession`] puts other tokens in the place of the session's: another organization, another account.
//! * [`Providers`] lists whom users may sign in with, for a page of the app's own to choose on.
//! * [`AuthExt::proxy`] forwards to an API with the user's access token what the app's own pages ask for.
//! * [`AuthLayer::error_page`] and [`AuthLayer::choice_page`] put pages of the app's own in the place of the library's.
//! * [`require`] protects apps, scopes and resources: `.wrap(require(Gate::signed_in().role("admin")))`.
//! * [`bearer_layer`], [`BearerToken`] and [`require_bearer`] are for APIs that are called with access tokens, with or without
//!   sessions beside them.
//! * With the feature `actix-session`, `AuthExt::app_session_layer` is actix-session's middleware for the app's own session
//!   data, in the store that the sign-ins are in.
//!
//! # Where to build it
//!
//! Build the [`Auth`] on actix's main runtime, before `HttpServer::new`, and clone it into the workers, as above: it
//! refreshes tokens on the runtime that it was built on, which no handler can keep busy. After the server has stopped,
//! [`Auth::shutdown`] waits for what is still under way, so that no rotated token is lost.
//!
//! Everything that is not about actix-web is in `auth-core`, re-exported as [`core`].

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
