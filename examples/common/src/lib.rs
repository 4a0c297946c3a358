//! What the two example applications share besides their pages: settings, logs, metrics, signals, and the way from a session
//! to a page. Nothing in here is protocol.

mod audit;
mod events;
mod log;
mod metrics;
mod settings;
mod signals;
mod views;

pub use events::{EVENT_HEADERS, events};
pub use log::Log;
pub use metrics::{METRICS_TYPE, Metrics};
pub use settings::{Carrier, DevInfo, SecondApi, Setup, listen, setup};
pub use signals::{GRACE, drain, grace_is_over, stop_signal};
pub use views::{End, Own, PURPOSES, dashboard, home, is_seen, note, profile, sessions};

use std::process::ExitCode;

use auth_core::ConfigError;
use auth_core::error::SetupError;

/// Headers of every page: nothing is loaded, nothing is run, nobody frames it.
pub const PAGE_HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// The layer for the application's own sessions, made of this `Result`.
///
/// # Errors
///
/// [`ConfigError`] where the store keeps none.
pub fn own_sessions<L>(layer: Result<L, SetupError>) -> Result<L, ConfigError> {
    layer.map_err(|error| ConfigError::new("AUTH_STORE", error.to_string()))
}

/// The most bytes of a form that an application reads.
pub const FORM_MAX: usize = 16 * 1024;

/// Says on one line what is wrong with the settings, and nothing else.
#[must_use]
pub fn refuse_to_start(error: &ConfigError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}
