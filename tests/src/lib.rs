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
