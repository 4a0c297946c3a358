//! The page for a downstream API that failed.

use maud::html;

use crate::layout::{Place, document};

/// Why a call of an API failed. Deliberately no text of the API's own, which could hold anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection, or one that broke off.
    Unreachable,
    /// No answer within `HTTP_TIMEOUT_SECS`.
    TimedOut,
    /// An answer with this status, which is not a success.
    Status(u16),
    /// An answer that is not what was asked for, such as HTML or half a JSON document.
    Unreadable,
}

/// What the failure page shows.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// What the page wanted, so that it reads after "could not load": `your profile`.
    pub wanted: &'a str,
    /// The API's address, without credentials or a query.
    pub service: &'a str,
    /// Why the call failed.
    pub cause: Cause,
    /// The path of the page that failed. Anything but a path on this origin becomes `/`.
    pub retry_path: &'a str,
}

/// The page for a downstream failure; answer it with status 502.
#[must_use]
pub fn failure(page: &Failure<'_>) -> String {
    let main = html! {
        p.notice.alert { "You are still signed in." }
        h1 { "We could not load " (page.wanted) }
        p.lead { "The service at " code { (page.service) } " " (happened(page.cause)) "." }
        p { (whose_turn(page.cause)) }
        p.actions {
            a.button href=(local_path(page.retry_path)) { "Try again" }
            a href="/" { "Back to the home page" }
        }
    };
    document("Something is unavailable", Place::Elsewhere, &main)
}

fn happened(cause: Cause) -> String {
    match cause {
        Cause::Unreachable => "could not be reached".to_owned(),
        Cause::TimedOut => "took too long to answer".to_owned(),
        Cause::Status(status @ (401 | 403)) => format!("did not accept the call (status {status})"),
        Cause::Status(429) => "has too much to do right now (status 429)".to_owned(),
        Cause::Status(status @ 400..500) => {
            format!("did not understand the call (status {status})")
        }
        Cause::Status(status) => format!("answered with an error (status {status})"),
        Cause::Unreadable => "gave an answer that this application cannot read".to_owned(),
    }
}

fn whose_turn(cause: Cause) -> &'static str {
    match cause {
        Cause::Status(401 | 403) => {
            "Your account may lack the right for this. Whoever runs that service can grant it; signing out and in \
             again helps once they have."
        }
        Cause::Status(429) => "Wait a minute, then try again.",
        Cause::Status(400..500) | Cause::Unreadable => {
            "Whoever runs this application has to mend that: check that the address above is the right one."
        }
        Cause::Unreachable | Cause::TimedOut | Cause::Status(_) => {
            "Whoever runs that service has to mend that. Often it is back within a minute, so try again."
        }
    }
}

/// `path` if it leads to this origin and nowhere else; browsers read `//` and `/\` as another host, and drop
/// tabs and line breaks before they look.
fn local_path(path: &str) -> &str {
    let local = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(|character: char| character == '\\' || character.is_control());
    if local { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_stays_on_this_origin() {
        for path in ["/", "/profile", "/dashboard?a=b//c"] {
            assert_eq!(local_path(path), path);
        }
        for path in [
            "",
            "profile",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
        ] {
            assert_eq!(local_path(path), "/", "{path:?}");
        }
    }
}
