//! The development provider and the demo APIs keep their own rules.
#![allow(clippy::unwrap_used, reason = "tests")]

mod api;
mod authorize;
mod clients;
mod console;
mod dpop;
mod faults;
mod harness;
mod id_token;
mod logout;
mod program;
mod refresh;
mod start;
