//! The dashboard: two calls of a protected API at the same time.

use std::time::Duration;

use maud::{Markup, html};

use crate::layout::{Place, document};
use crate::profile::whose;
use crate::{Call, Person, TokenLife, words};

/// An organization that the user belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Organization<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Something about it, an identifier or the user's role there.
    pub detail: Option<&'a str>,
}

/// What the dashboard shows.
#[derive(Clone, Copy, Debug)]
pub struct Dashboard<'a> {
    /// Whose access token was used, as the user is called; `None`: "your".
    pub name: Option<&'a str>,
    /// The answer of `{API_URL}/users/me`.
    pub person: Person<'a>,
    /// The answer of `{API_URL}/organizations`.
    pub organizations: &'a [Organization<'a>],
    /// The call of `{API_URL}/users/me`.
    pub profile_call: Call<'a>,
    /// The call of `{API_URL}/organizations`.
    pub organizations_call: Call<'a>,
    /// How long both calls took together.
    pub took: Duration,
    /// The access token, after the calls.
    pub token: TokenLife,
}

/// The page of `GET /dashboard`.
#[must_use]
pub fn dashboard(page: &Dashboard<'_>) -> String {
    let main = html! {
        h1 { "Dashboard" }

        h2 { "You" }
        (page.person.facts())

        h2 { "Your organizations" }
        @if page.organizations.is_empty() {
            p.quiet { "You belong to none." }
        } @else {
            ul.rows {
                @for organization in page.organizations {
                    li {
                        (organization.name)
                        @if let Some(detail) = organization.detail { span { (detail) } }
                    }
                }
            }
        }

        h2 { "What happened" }
        p {
            "Two calls went out at the same time with " (whose(page.name))
            " access token, which this browser never sees. " (page.token.story("these calls", page.took))
        }
        (timings(page))
    };
    document("Dashboard", Place::Dashboard, &main)
}

/// Each call and both together, as bars on one scale.
fn timings(page: &Dashboard<'_>) -> Markup {
    let calls = [page.profile_call, page.organizations_call];
    let longest = calls
        .iter()
        .map(|call| call.took)
        .max()
        .unwrap_or_default()
        .max(page.took);
    html! {
        dl.facts {
            @for call in calls {
                div {
                    dt { (words::took(call.took)) }
                    dd { code { (call.url) } (bar(call.took, longest)) }
                }
            }
            div {
                dt { (words::took(page.took)) }
                dd { "Both together" (bar(page.took, longest)) }
            }
        }
    }
}

/// A bar as SVG attributes: a `style` attribute would need a weaker Content-Security-Policy.
fn bar(took: Duration, longest: Duration) -> Markup {
    let percent = if longest.is_zero() {
        0.0
    } else {
        took.as_secs_f64() / longest.as_secs_f64() * 100.0
    };
    html! {
        svg.bar aria-hidden="true" { rect width=(format!("{percent:.1}%")) height="100%" {} }
    }
}
