//! The README's few lines on axum: a page that needs a signed-in user and calls an API on their behalf.

use auth_axum::{Auth, AuthError, AuthExt, AuthenticatedClient, RequireAuth};
use axum::{Json, Router, routing::get};
use serde_json::Value;

async fn profile(user: RequireAuth, api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    println!("{} opens the profile", user.subject());
    let request = api.get("/scim2/Me").accept("application/scim+json");
    Ok(Json(request.send().await?.json().await?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let auth = Auth::from_env().await?;
    let app = Router::new()
        .route("/profile", get(profile))
        .merge(auth.routes())
        .layer(auth.layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
