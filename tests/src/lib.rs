//! What the tests of the example applications stand on: the applications as processes, a strict browser without a screen, and a stage that
//! puts both together with the development provider.
//!
//! The tests see an application only as its users do: environment in, HTTP and output lines out. `EXAMPLE_APPS.md` is the contract they hold it to.
//!
//! Helpers here panic with a message that says what was expected: they are part of the tests' assertions.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test helper that cannot go on fails its test"
)]

pub mod answer;
pub mod app;
pub mod browser;
pub mod evidence;
pub mod fleet;
pub mod html;
pub mod jar;
pub mod leaks;
pub mod live;
pub mod named_tests;
pub mod raw;
pub mod routes;
pub mod stage;
pub mod upstream;
pub mod wait;

pub use answer::Answer;
pub use app::{App, Framework};
pub use browser::{Ask, Browser, Site};
pub use stage::{Carrier, Stage, World};

/// The README's code, which has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// The code of the pages about providers.
#[cfg(doctest)]
mod providers {
    #[doc = include_str!("../../docs/providers/asgardeo.md")]
    mod asgardeo {}
    #[doc = include_str!("../../docs/providers/auth0.md")]
    mod auth0 {}
    #[doc = include_str!("../../docs/providers/authentik.md")]
    mod authentik {}
    #[doc = include_str!("../../docs/providers/cognito.md")]
    mod cognito {}
    #[doc = include_str!("../../docs/providers/entra.md")]
    mod entra {}
    #[doc = include_str!("../../docs/providers/github.md")]
    mod github {}
    #[doc = include_str!("../../docs/providers/gitlab.md")]
    mod gitlab {}
    #[doc = include_str!("../../docs/providers/google.md")]
    mod google {}
    #[doc = include_str!("../../docs/providers/keycloak.md")]
    mod keycloak {}
    #[doc = include_str!("../../docs/providers/okta.md")]
    mod okta {}
    #[doc = include_str!("../../docs/providers/thunderid.md")]
    mod thunderid {}
    #[doc = include_str!("../../docs/providers/wso2_identity_server.md")]
    mod wso2_identity_server {}
    #[doc = include_str!("../../docs/providers/zitadel.md")]
    mod zitadel {}
}

/// The code of the page for operators.
#[cfg(doctest)]
#[doc = include_str!("../../docs/deployment.md")]
mod deployment {}

/// The code of the pages for whoever comes from another crate: what stands there under *after*.
#[cfg(doctest)]
mod migration {
    #[doc = include_str!("../../docs/migration/actix-identity.md")]
    mod actix_identity {}
    #[doc = include_str!("../../docs/migration/axum-login-oauth2.md")]
    mod axum_login_oauth2 {}
    #[doc = include_str!("../../docs/migration/axum-oidc.md")]
    mod axum_oidc {}
}
