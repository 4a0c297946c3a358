//! Guide 1: `src/auth.ts`, and what the pages show. The same on both frameworks.

use auth_core::client::{ApiError, AuthenticatedClient};
use auth_core::session::{Session, SignIn};
use auth_core::{AuthBuilder, Refused};
use maud::{DOCTYPE, html};
use serde::Deserialize;
use serde_json::{Value, json};

/// `callbacks: { jwt, session }`
pub(crate) fn callbacks(builder: AuthBuilder) -> AuthBuilder {
    builder.on_sign_in(jwt).session_view(session)
}

/// What the session keeps of the user, besides `iss` and `sub`. Tokens are kept in any case, on the server.
async fn jwt(mut sign_in: SignIn) -> Result<SignIn, Refused> {
    let claims = sign_in.claims();
    let username = claims
        .str("username")
        .or(claims.preferred_username())
        .map(str::to_owned);
    sign_in.keep_claims(["email", "given_name", "family_name"]);
    sign_in.set_claim("username", username);
    Ok(sign_in)
}

/// What `GET /auth/session` shows to the page's script, as `useSession` does. No token is within its reach.
fn session(session: &Session, mut shown: Value) -> Value {
    let claims = session.claims();
    shown["user"] = json!({
        "username": claims.str("username"),
        "email": claims.email(),
        "given_name": claims.given_name(),
        "family_name": claims.family_name(),
    });
    shown
}

#[derive(Deserialize)]
pub(crate) struct UserDetails {
    #[serde(default)]
    emails: Vec<Email>,
    name: Name,
}

/// RFC 7643 says that an e-mail address is an object. Asgardeo writes a plain text where it has no type.
#[derive(Deserialize)]
#[serde(untagged)]
enum Email {
    Text(String),
    Object { value: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    given_name: String,
    family_name: String,
}

/// `fetchUserDetails`
pub(crate) async fn fetch_user_details(api: &AuthenticatedClient) -> Result<UserDetails, ApiError> {
    let request = api.get("/scim2/Me").accept("application/scim+json");
    request.send().await?.json().await
}

/// `ServerProfile`
pub(crate) fn server_profile(details: &UserDetails) -> String {
    let email = details
        .emails
        .first()
        .map(|(Email::Text(text) | Email::Object { value: text })| text);
    html! {
        (DOCTYPE)
        html lang="en" {
            head { title { "Profile" } }
            body {
                h1 { "Profile Page" }
                p { "Email: " (email.map_or("none", String::as_str)) }
                p { "First Name: " (details.name.given_name) }
                p { "Last Name: " (details.name.family_name) }
                p { a href="/" { "Go to index page" } }
                form method="post" action="/auth/logout" { button { "Sign out" } }
            }
        }
    }
    .into_string()
}

pub(crate) const INDEX: &str = include_str!("index.html");
pub(crate) const CLIENT_PROFILE: &str = include_str!("client-profile.html");
