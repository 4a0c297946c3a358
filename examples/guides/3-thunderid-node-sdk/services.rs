//! Guide 3: the services that the routes call. The same on both frameworks.

use auth_core::client::{ApiError, AuthenticatedClient};
use auth_core::grants::CustomGrant;
use auth_core::store::SessionKey;
use auth_core::{Auth, ConfigError, Error, env};
use maud::{DOCTYPE, html};
use serde_json::{Value, json};

/// `fetchUserProfile(sessionId)`, for code that has nothing but the session's key: a job, another task.
/// `signed_in` is `isSignedIn` and `getAccessToken` in one: the token is alive, refreshed first if need be.
pub(crate) async fn user_profile(auth: &Auth, session_id: &SessionKey) -> Result<Value, Error> {
    let session = auth.signed_in(session_id).await?;
    Ok(fetch(&auth.client(&session), "/users/me").await?)
}

/// `fetchDashboardData`: both calls are under way at once, and share one token and at most one refresh.
pub(crate) async fn dashboard(api: &AuthenticatedClient) -> Result<Value, ApiError> {
    let (profile, organizations) = tokio::try_join!(fetch(api, "/users/me"), fetch(api, "/organizations"))?;
    Ok(json!({ "organizations": organizations, "profile": profile }))
}

/// Where the reports are: an API of another audience.
pub(crate) fn reports() -> Result<String, ConfigError> {
    env::variable("API2_URL")?.ok_or(ConfigError::new("API2_URL", "must be set"))
}

/// An API of another audience: the session's token is exchanged for one that this API takes (RFC 8693).
pub(crate) async fn report(api: &AuthenticatedClient, base: &str) -> Result<Value, ApiError> {
    fetch(&api.for_audience(base).at(base), "/whoami").await
}

/// `exchangeToken` with `account_switch`, where there is that grant. The new tokens become the session's.
pub(crate) fn account_switch(account: String) -> CustomGrant {
    CustomGrant::new("account_switch")
        .template("client_id", "{{clientId}}")
        .template("scope", "{{scopes}}")
        .template("token", "{{accessToken}}")
        .param("account", account) // a user's input is never a template
        .changes_user()
}

async fn fetch(api: &AuthenticatedClient, path: &str) -> Result<Value, ApiError> {
    api.get(path)
        .accept("application/json")
        .send()
        .await?
        .json()
        .await
}

pub(crate) fn home() -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { title { "Guide 3" } }
            body {
                @for path in ["/profile", "/dashboard", "/report"] { p { a href=(path) { (path) } } }
                @for path in ["/account/bob", "/revoke", "/auth/logout"] {
                    form method="post" action=(path) { button { (path) } }
                }
            }
        }
    }
    .into_string()
}
