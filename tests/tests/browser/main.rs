//! Chromium drives both applications, with nothing configured, through sign-in, profile, expiry and sign-out, with script and without; through the
//! list of a user's sessions; through what users and other sites do to a sign-in; through the page of guide 1 whose script calls an API; and both servers of the
//! single-page app, whose browser holds no token. All pages are looked at for people who see little or have a keyboard only.
//!
//! Needs Debian's `chromium` and `chromium-driver`; `./tests/run` installs them. Pictures go to `target/screenshots`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accessibility;
mod app_of_one_page;
mod devices;
mod driver;
mod elsewhere;
mod guides;
#[path = "../../../crates/auth-core/tests/core/payloads.rs"]
mod payloads;
mod tricks;
mod visit;
