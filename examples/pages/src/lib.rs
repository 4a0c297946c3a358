//! The pages that both example applications show.
//!
//! A page is a function from plain values to the text of a whole HTML document. It knows no web framework, asks
//! no clock and makes no calls, so the same values give the same page on axum and on actix-web. Every value is
//! escaped, wherever it came from. No page holds a script or a `style` attribute. All of them work with
//! `Content-Security-Policy: default-src 'none'; style-src 'sha256-…'; img-src data:; form-action 'self'`, with
//! the hash of [`STYLE`]; where signing out leads on to the provider, `form-action` needs its origin too.
//!
//! Instants are whole seconds since 1970-01-01T00:00:00Z, their names end in `_at`, and `now` is one too.
//! They are shown in UTC, because the server does not know where the reader is.

mod dashboard;
mod home;
mod layout;
mod profile;
mod sessions;
mod token;
mod words;

pub use dashboard::{Dashboard, Organization, dashboard};
pub use home::{
    DemoUser, DevProvider, Home, LINKS, Link, NOTE_KEPT, NOTE_MAX, NOTE_REMOVED, SIGNED_OUT, SignedIn, home,
};
pub use profile::{Call, Person, Profile, profile};
pub use sessions::{ALL_OTHERS, Device, END, Sessions, sessions};
pub use token::TokenLife;

/// The style sheet of every page, light and dark, for phone and desk.
///
/// It styles plain elements, and these classes: `skip`, `wordmark`, `lead`, `quiet`, `button` (with `large` or `second`),
/// `actions` around buttons (with `second` for all of its forms), `notice` (with `alert`), `facts` on a `dl` of `div`s, `rows` or `devices` on a list, `mark` and `agent` in it, `bar` on an
/// SVG, `line` on a form of a label, a field and a button. The body is a `header`, a `main` and a `footer`.
///
/// The `<style>` element of each page holds exactly this text, so that its hash can stand in a
/// Content-Security-Policy.
pub const STYLE: &str = include_str!("style.css");
