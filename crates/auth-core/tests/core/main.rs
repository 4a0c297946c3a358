//! The core's public API against the development provider: what a session costs, how it is refreshed, signed in and
//! ended, and what happens when the provider or the store fails at the worst moment.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accesses;
mod answers;
mod app_sessions;
mod bearer;
#[cfg(feature = "redis")] // rustls comes with it
mod certificates;
mod client;
mod client_keys;
mod clocks;
mod details;
mod dpop;
mod encryption;
mod events;
mod explainer;
mod gates;
mod grants;
mod hostile;
mod jar;
mod jarm;
mod keys;
mod login;
mod logout;
#[cfg(feature = "metrics")]
mod metrics;
mod mtls;
mod origins;
mod outcomes;
mod par;
mod payloads;
mod presets;
mod provider_logout;
mod provider_session;
mod providers;
mod proxy;
mod redirects;
mod refresh;
mod secrets;
mod spans;
mod specifications;
mod store;
mod switches;
mod watch;
mod world;
