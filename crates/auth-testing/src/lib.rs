//! Tests of applications that use `auth-axum` or `auth-actix`.
//!
//! # Your own handlers, without a network
//!
//! [`TestAuth`] is an [`Auth`](auth_core::Auth) whose provider, store, APIs and clock are in the process of the test. Give it to the
//! application as in production, and sign users in:
//!
//! ```
//! use auth_axum::{Auth, AuthExt, Gate, require};
//! use auth_testing::TestAuth;
//! use axum::{Router, routing::get};
//! use tower::ServiceExt;
//!
//! /// The application, as `main` makes it.
//! fn my_app(auth: Auth) -> Router {
//!     let admins = require(Gate::signed_in().role("admin"));
//!     let orders = get(async || "all orders").route_layer(admins);
//!     Router::new().route("/orders", orders).merge(auth.routes()).layer(auth.layer())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! // In a `#[tokio::test]`:
//! let auth = TestAuth::new().await;
//! let app = my_app(auth.auth());
//! let ada = auth.user("ada").roles(["admin"]).signed_in().await;
//! let answer = app.oneshot(ada.get("/orders")).await.unwrap();
//! assert_eq!(answer.status(), 200);
//! # }
//! ```
//!
//! The requests are `http::Request`s, which axum takes as they are. For actix-web, their headers are plain text:
//!
//! ```
//! use actix_web::test::{TestRequest, call_service, init_service};
//! use actix_web::{App, web};
//! use auth_actix::{AuthExt, RequireAuth};
//! use auth_testing::TestAuth;
//!
//! async fn orders(user: RequireAuth) -> String {
//!     format!("orders of {}", user.subject())
//! }
//!
//! # #[actix_web::main] async fn main() {
//! // In an `#[actix_web::test]`:
//! let auth = TestAuth::new().await;
//! let app = App::new().route("/orders", web::get().to(orders)).wrap(auth.auth().layer());
//! let app = init_service(app).await;
//! let ada = auth.user("ada").signed_in().await;
//! let request = TestRequest::get().uri("/orders").insert_header(ada.cookie());
//! assert_eq!(call_service(&app, request.to_request()).await.status(), 200);
//! # }
//! ```
//!
//! What is there for which question:
//!
//! | what does my handler do … | |
//! | --- | --- |
//! | with this role, scope, claim, `acr`, `amr`, provider | [`TestAuth::user`] and the methods of [`SessionBuilder`] |
//! | with my settings and hooks | [`TestAuth::with`], [`SignInError`] where a hook refuses |
//! | when nobody is signed in | [`TestAuth::guest`]: [`Guest::open`] is a person, [`Guest::get`] a script |
//! | when a form comes from another site | [`TestSession::cookie`] with an `Origin` of your choice; all other requests are those of your own pages |
//! | when the access token is dead | [`SessionBuilder::access_token_expired`], [`SessionBuilder::without_refresh_token`], [`TestAuth::advance`] |
//! | when the session is over | [`TestSession::end`], [`TestSession::sign_out_at_provider`], [`TestSession::revoke_at_provider`] |
//! | when the provider is down, slow, wrong | [`TestAuth::provider`]: [`Control::fail`], [`Control::go_down`], … |
//! | with the answer of an API | [`TestAuth::api`]: [`TestApi::on`], [`TestApi::requests`] |
//! | when it is called with an access token | [`TestAuth::token`], [`TestAuth::resource_server`] |
//! | a minute, an hour, a week later | [`TestAuth::advance`] |
//!
//! `examples/tested-axum` and `examples/tested-actix` are an application and its tests on each framework, to be copied.
//!
//! # The whole application, over HTTP
//!
//! [`DevProvider`] is an OpenID provider on a loopback port, without passwords: for tests with a browser or an HTTP client, and for
//! developing without an account at a provider. It is strict where real providers are: exact redirect URIs, PKCE with S256,
//! single-use codes, refresh tokens that rotate and whose reuse ends everything. [`Control`] makes it fail in the ways real
//! providers fail, and tells what reached it.
//!
//! ```
//! use auth_testing::{Client, DevProvider, Endpoint, Fault};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = DevProvider::builder()
//!     .client(Client::confidential("my-app", "a secret").redirect_uri("http://127.0.0.1:3000/auth/callback"))
//!     .start()
//!     .await?;
//! println!("issuer: {}", provider.issuer());
//!
//! // The next two token requests find the provider out of order.
//! provider.control().fail_next(Endpoint::Token, 2, Fault::status(503));
//! # provider.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! In the repository, `cargo run -p auth-testing --bin dev-provider` runs it on its own, for an application in any language, and says
//! how one that uses this library is started with it.
//!
//! It is no provider for production: anyone who reaches it signs in as anyone. It therefore listens on loopback
//! addresses only, and refuses others.
//!
//! # Features
//!
//! `kit`, on by default, is [`TestAuth`]; it turns on the feature `testing` of auth-core, which changes nothing by itself. `mtls` and
//! `servers` are for tests of providers and stores.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(rustdoc::missing_crate_level_docs)]

mod api;
mod control;
mod encryption;
mod hostile;
#[cfg(feature = "kit")]
mod kit;
#[cfg(feature = "mtls")]
pub mod mtls;
mod pages;
mod params;
mod provider;
mod random;
mod server;
#[cfg(feature = "servers")]
pub mod servers;
mod traffic;
mod wire;

pub use control::{Control, Endpoint, Fault, Hold, HoldTimeout, RecordedRequest};
pub use encryption::encrypt;
pub use hostile::HostileAnswer;
#[cfg(feature = "kit")]
pub use kit::{
    ApiAnswer, ApiRequest, Guest, SessionBuilder, SignInError, TestApi, TestAuth, TestAuthBuilder,
    TestSession, TestToken, TokenBuilder,
};
pub use provider::approve::{Approval, ApproveError};
pub use provider::client::Client;
pub use provider::dpop::DpopNonces;
pub use provider::keys::{OldKeys, PublicKey, PublicKeyError, SigningAlgorithm};
pub use provider::user::User;
pub use provider::{DevProvider, DevProviderBuilder, StartError};
pub use wire::Wire;
