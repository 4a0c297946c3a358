//! The doctor finds what was planted, and nothing where nothing was.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod documentation;
mod faults;
mod program;
mod several;
mod stores;
mod tls;
mod world;
