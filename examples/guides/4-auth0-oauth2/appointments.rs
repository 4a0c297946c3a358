//! Guide 4: the strategy, and the pages. The same on both frameworks.

use auth_core::session::Session;
use auth_core::{AuthBuilder, ConfigError, env};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

/// `new oauth2.Strategy({…})`, whose endpoints come from the environment, and `jwt.decode(accessToken)` with
/// the checks that are missing there: signature, issuer, audience, expiry.
pub(crate) fn strategy() -> Result<AuthBuilder, ConfigError> {
    let (issuer, keys) = (setting("TOKEN_ISSUER")?, setting("TOKEN_KEYS")?);
    let audience = setting("TOKEN_AUDIENCE")?;
    Ok(AuthBuilder::from_env()?
        .authorize_param("audience", &audience)
        .user_from_access_token(issuer, keys, audience))
}

fn setting(name: &'static str) -> Result<String, ConfigError> {
    env::variable(name)?.ok_or(ConfigError::new(name, "must be set"))
}

/// The page that everybody may see, and where `requiresLogin` sends who is not signed in.
pub(crate) fn home(session: Option<&Session>) -> String {
    page(&html! {
        @match session {
            Some(session) => {
                p { "You are " (session.subject()) ". " a href="/appointments" { "Your appointments" } }
                form method="post" action="/auth/logout" { button { "Sign out" } }
            }
            None => {
                p { "Appointments are for who is signed in." }
                p { a href="/auth/login?return_to=/appointments" { "Sign in" } }
            }
        }
    })
}

/// `res.render('appointments', { user, appointments })`
pub(crate) fn appointments(session: &Session, appointments: &Value) -> String {
    page(&html! {
        h1 { "Appointments of " (session.subject()) }
        pre { (format!("{appointments:#}")) }
        p { a href="/" { "Home" } }
    })
}

fn page(body: &Markup) -> String {
    html! { (DOCTYPE) html lang="en" { head { title { "Guide 4" } } body { (body) } } }.into_string()
}
