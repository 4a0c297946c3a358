//! Guide 2: the profile, fetched with an HTTP client of the app's own. The same on both frameworks.

use auth_core::grants::CustomGrant;
use auth_core::secret::AccessToken;
use auth_core::session::Session;
use auth_core::{ConfigError, env};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

/// What `fetchUserDetails` needs: the client, and the address that `.env` names.
#[derive(Clone)]
pub(crate) struct Directory {
    http: reqwest::Client,
    me_endpoint: String,
}

impl Directory {
    pub(crate) fn from_env() -> Result<Self, Box<dyn std::error::Error>> {
        let me_endpoint = env::variable("ME_ENDPOINT")?;
        let timeout = std::time::Duration::from_secs(10);
        Ok(Self {
            http: reqwest::Client::builder().timeout(timeout).build()?,
            me_endpoint: me_endpoint.ok_or(ConfigError::new("ME_ENDPOINT", "must be set"))?,
        })
    }

    /// `fetchUserDetails(accessToken)`
    pub(crate) async fn user_details(&self, access_token: &AccessToken) -> reqwest::Result<Value> {
        let request = self
            .http
            .get(&self.me_endpoint)
            .header("accept", "application/scim+json");
        let response = request.bearer_auth(access_token.expose()).send().await?;
        response.error_for_status()?.json().await
    }
}

/// `switchOrganization`: another token for the same user, which takes the place of the session's.
pub(crate) fn organization(id: String) -> CustomGrant {
    CustomGrant::new("organization_switch")
        .template("client_id", "{{clientId}}")
        .template("client_secret", "{{clientSecret}}")
        .template("scope", "{{scopes}}")
        .template("token", "{{accessToken}}")
        .param("switching_organization", id)
}

/// `ServerProfile`
pub(crate) fn profile(session: &Session, details: &Value) -> String {
    let email = &details["emails"][0];
    let email = email.as_str().or(email["value"].as_str());
    page(&html! {
        h1 { "Profile Page" }
        p { "Email: " (email.unwrap_or("none")) }
        p { "First Name: " (details["name"]["givenName"].as_str().unwrap_or("none")) }
        p { "Last Name: " (details["name"]["familyName"].as_str().unwrap_or("none")) }
        p { "Organization: " (session.claims().str("org_id").unwrap_or("the first one")) }
        form method="post" action="/organizations/org-2" { button { "Go to Friends of Loopback" } }
        p { a href="/" { "Go to Home page" } }
        form method="post" action="/auth/logout" { button { "Sign out" } }
    })
}

/// What the user sees where the API fails.
pub(crate) fn failed() -> String {
    page(&html! { h1 { "Failed to fetch user details" } })
}

pub(crate) fn home() -> String {
    page(&html! {
        p { a href="/auth/login?return_to=/dashboard" { "Sign in" } }
        p { a href="/dashboard" { "Profile" } }
    })
}

fn page(body: &Markup) -> String {
    html! { (DOCTYPE) html lang="en" { head { title { "Guide 2" } } body { (body) } } }.into_string()
}
