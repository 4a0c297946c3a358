//! The profile page: one call of a protected API, shown and explained.

use std::time::Duration;

use maud::{Markup, html};

use crate::layout::{Place, document, fact};
use crate::{TokenLife, words};

/// Who an API says the user is. Every field may be missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Person<'a> {
    /// E-mail address, one.
    pub email: Option<&'a str>,
    /// Given name.
    pub given_name: Option<&'a str>,
    /// Family name.
    pub family_name: Option<&'a str>,
}

impl Person<'_> {
    pub(crate) fn facts(&self) -> Markup {
        html! {
            dl.facts {
                (fact("E-mail", self.email))
                (fact("Given name", self.given_name))
                (fact("Family name", self.family_name))
            }
        }
    }
}

/// A call that the application made to an API.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The address called, without a query.
    pub url: &'a str,
    /// How long the answer took.
    pub took: Duration,
}

/// What the profile page shows.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// Whose access token was used, as the user is called; `None`: "your".
    pub name: Option<&'a str>,
    /// The API's answer.
    pub person: Person<'a>,
    /// The call of `{API_URL}/scim2/Me`.
    pub call: Call<'a>,
    /// The access token, after the call.
    pub token: TokenLife,
}

/// The page of `GET /profile`.
#[must_use]
pub fn profile(page: &Profile<'_>) -> String {
    let main = html! {
        h1 { "Your profile" }
        p.lead { "This is what the protected API knows about you." }
        (page.person.facts())
        div.actions.second {
            form method="post" action="/auth/logout" { button { "Sign out" } }
        }

        h2 { "What happened" }
        p {
            "This page called " code { (page.call.url) } " with " (whose(page.name))
            " access token, which this browser never sees. The answer took " (words::took(page.call.took)) ". "
            (page.token.story("this call", page.call.took))
        }
    };
    document("Profile", Place::Profile, &main)
}

/// `Alice's`, or `your`.
pub(crate) fn whose(name: Option<&str>) -> String {
    name.map_or_else(|| "your".to_owned(), |name| format!("{name}’s"))
}
