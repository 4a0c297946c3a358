//! Sign-in, sessions and tokens for Rust web applications, independent of any web framework.
//!
//! Applications use this crate through an adapter, `auth-axum` or `auth-actix`, which re-exports what is needed, and begin on its
//! start page. Here is what both have in common, for whoever
//!
//! * sets up an application: [`AuthBuilder`] with every setting, [`Preset`], [`SignInProvider`], [`SecretKeys`];
//! * reads what handlers are given: [`session`], [`client`], [`gate`], [`grants`], [`proxy`], [`bearer`];
//! * operates it: [`store`], [`events`], [`codes`];
//! * works outside of requests: [`Auth::session`], [`Auth::client`], [`Auth::access_token`], [`Auth::machine_client`];
//! * writes a session store ([`store::SessionStore`]) or an adapter for another framework ([`request`], [`reply`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), auth_core::ConfigError> {
//! use auth_core::Auth;
//!
//! let auth = Auth::builder()
//!     .base_url("https://app.example")
//!     .issuer("https://id.example")
//!     .client("my-client", Some("its secret"))
//!     .store_url("sqlite:sessions.db")
//!     .build()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # A sign-in and a request, through the modules
//!
//! 1. `GET /auth/login` makes a `state`, a `nonce` and a PKCE verifier, seals them in a cookie of their own, and sends
//!    the browser to the provider ([`login`]).
//! 2. The provider sends it back to `/auth/callback`. The answer is matched with its cookie, used up, and its code is
//!    redeemed for tokens.
//! 3. The ID token is checked step by step ([`id_token`]); userinfo may add to it; the app's hook may shape or refuse.
//! 4. A session record is written to the [`store`], its tokens and claims sealed; the browser gets a new identifier.
//! 5. A request with that identifier loads the record: one access to the store, and none without an identifier.
//! 6. Where its access token is dead it is refreshed first, once, however many requests wait for it ([`refresh`]).
//! 7. [`client::AuthenticatedClient`] calls APIs with that token, and only those that are configured.
//! 8. [`gate::Gate`] decides on roles, claims, scopes and how long ago the user signed in.
//! 9. Whatever fails becomes an [`Error`] that knows who has to act, and a stable code with its mend ([`codes`]).
//! 10. `POST /auth/logout` deletes the record, revokes the tokens and goes on to the provider's own sign-out.
//!
//! Whatever ends or begins on the way is told to the app's hooks ([`events`]), and instants come from one [`clock`], which tests
//! move.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(rustdoc::missing_crate_level_docs, clippy::missing_panics_doc)]

pub mod app_sessions;
mod auth;
mod authorization_request;
pub mod bearer;
mod breaker;
mod cache;
pub mod choices;
pub mod client;
mod client_auth;
mod client_certificate;
mod client_keys;
pub mod clock;
pub mod codes;
pub mod config;
mod cookie;
pub mod csrf;
pub mod devices;
mod dpop;
pub mod env;
pub mod error;
pub mod events;
pub mod failure;
mod forwarded;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
pub mod grants;
mod http;
pub mod id_token;
mod jarm;
pub mod jose;
pub mod login;
mod logout;
mod logout_token;
mod metadata;
mod metrics;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod opened;
mod origins;
mod page;
mod party;
mod preset;
mod problem;
mod provider_clock;
mod provider_logout;
pub mod proxy;
pub mod refresh;
pub mod reply;
pub mod request;
mod request_object;
mod respond;
mod roles;
mod seal;
pub mod secret;
pub mod session;
#[cfg(test)]
mod settings;
mod sign_in;
mod signed_in;
mod spans;
pub mod step_up;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
pub mod trace;
pub mod types;
pub mod userinfo;
mod watch;

pub use app_sessions::AppSessions;
pub use auth::Auth;
pub use choices::{SignInChoice, SignInChoices};
pub use config::{AuthBuilder, ConfigError, Refused};
pub use error::{Error, Fault};
pub use events::{EndReason, Event, EventKind};
pub use failure::Failure;
pub use http::HttpError;
pub use jarm::ResponseJwtError;
pub use metadata::{Outage, ProviderError};
pub use origins::Place;
pub use party::{LookupError, Profile, ProviderInfo, SignInProvider};
pub use preset::Preset;
pub use seal::SecretKeys;
pub use token::{TokenError, TokenErrorCode};
pub use watch::UntilEnded;
