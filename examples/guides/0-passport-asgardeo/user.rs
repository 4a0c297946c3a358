//! Guide 0: what a sign-in keeps, and the pages. The same on both frameworks.

use auth_core::Refused;
use auth_core::session::{Session, SignIn};
use maud::{DOCTYPE, Markup, html};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `serializeUser` keeps, less the access token: the library keeps that one, and refreshes it.
#[derive(Serialize, Deserialize)]
struct User {
    username: String,
    given_name: String,
    family_name: String,
}

/// `verify`, called once all is verified: the ID token step by step, and that userinfo speaks of the same user.
pub(crate) async fn verify(mut sign_in: SignIn) -> Result<SignIn, Refused> {
    let profile = sign_in.claims();
    let text = |claim: Option<&str>| claim.unwrap_or_default().to_owned();
    let user = User {
        username: text(profile.str("username").or(profile.preferred_username())),
        given_name: text(profile.given_name()),
        family_name: text(profile.family_name()),
    };
    let kept = sign_in.set_app(&user);
    kept.map_err(|_| Refused::because("the user cannot be kept"))?;
    Ok(sign_in)
}

pub(crate) fn home(session: Option<&Session>) -> String {
    let user: Option<User> = session.and_then(|session| session.app().ok());
    page(&html! {
        @match user {
            Some(user) => {
                p { "Hello " (user.given_name) " " (user.family_name) "." }
                form method="post" action="/auth/logout" { button { "Sign out" } }
            }
            None => p { a href="/auth/login" { "Sign in" } }
        }
        p { a href="/users" { "A protected resource" } }
    })
}

/// What `routes/users.js` writes to the log is shown to the user instead, and to nobody else.
pub(crate) fn users(session: &Session, me: &Value) -> String {
    let user: Option<User> = session.app().ok();
    page(&html! {
        p { "This is a protected resource" }
        @if let Some(user) = user {
            p { "You are " (user.username) ", " (session.subject()) " to the provider." }
        }
        p { "SCIM calls you " (me["name"]["givenName"].as_str().unwrap_or("nothing")) "." }
    })
}

fn page(body: &Markup) -> String {
    html! { (DOCTYPE) html lang="en" { head { title { "Guide 0" } } body { (body) } } }.into_string()
}
