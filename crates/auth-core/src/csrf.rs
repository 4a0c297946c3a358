//! Whether a request that changes something comes from the app's own pages.
//!
//! The rule, in order:
//!
//! 1. `GET`, `HEAD`, `OPTIONS` and `TRACE` change nothing (RFC 9110 §9.2.1) and pass, unless they open a WebSocket:
//!    browsers let scripts of any origin do that, with the user's cookies, and read what it brings (RFC 6455 §10.2).
//! 2. An `Origin` that is not the app's own is refused, also `null`.
//! 3. A `Sec-Fetch-Site` other than `same-origin` and `none` is refused.
//! 4. What has neither header passes: it is no browser of the last ten years, and the session's cookie is
//!    `SameSite=Lax`.

use crate::request::{Glance, RequestHead};
use crate::types::BaseUrl;

/// The request comes from another site, or from a place that the browser will not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request that changes something came from another origin")]
pub struct CrossSite;

pub(crate) fn check(head: &impl RequestHead, base: &BaseUrl) -> Result<(), CrossSite> {
    Glance::of(head, "", base.origin()).cross_site(head.method())
}

/// Rule 1.
pub(crate) fn changes_something(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// Whether a value of `Upgrade`, a list of protocols, names this one.
pub(crate) fn opens_websocket(upgrade: &str) -> bool {
    upgrade
        .split(',')
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::Head;

    fn passes(method: &'static str, headers: &[(&'static str, &str)]) -> bool {
        let base = BaseUrl::new("https://app.example").expect("an origin");
        let mut head = Head {
            method,
            ..Head::get("/")
        };
        for (name, value) in headers {
            head = head.with(name, value);
        }
        check(&head, &base).is_ok()
    }

    #[test]
    fn own_pages_and_programs_pass() {
        assert!(passes("POST", &[]));
        assert!(passes("POST", &[("origin", "https://app.example")]));
        assert!(passes(
            "DELETE",
            &[
                ("origin", "https://app.example"),
                ("sec-fetch-site", "same-origin")
            ]
        ));
        assert!(passes("POST", &[("sec-fetch-site", "none")]));
        assert!(passes(
            "GET",
            &[
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "cross-site")
            ]
        ));
    }

    // RFC 6455 §10.2
    #[test]
    fn web_sockets_are_opened_by_own_pages_only() {
        for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
            assert!(passes("GET", &[("upgrade", upgrade)]));
            assert!(passes(
                "GET",
                &[("upgrade", upgrade), ("origin", "https://app.example")]
            ));
            for origin in ["https://evil.example", "https://other.app.example", "null"] {
                assert!(
                    !passes("GET", &[("upgrade", upgrade), ("origin", origin)]),
                    "{origin}"
                );
            }
        }
        assert!(passes(
            "GET",
            &[("upgrade", "h2c"), ("origin", "https://evil.example")]
        ));
    }

    // RFC 10017 §6.1.3.3
    #[test]
    fn other_origins_are_refused() {
        for headers in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://app.example")],
            &[("origin", "https://app.example:8443")],
            &[("origin", "https://app.example.evil.example")],
            &[("origin", "")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[
                ("origin", "https://app.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[
                ("origin", "https://app.example"),
                ("origin", "https://evil.example"),
            ],
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "PURGE"] {
                assert!(!passes(method, headers), "{method} {headers:?}");
            }
        }
    }
}
