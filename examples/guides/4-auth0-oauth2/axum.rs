//! Guide 4 on axum: plain OAuth 2.0 with Auth0 (`docs/guides/4-auth0-oauth2.md`).

mod appointments;

use auth_axum::{AuthError, AuthExt, AuthenticatedClient, Gate, PeekSession, RequireAuth, require};
use axum::{Router, response::Html, routing::get};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = appointments::strategy()?.build().await?;
    let requires_login = require(Gate::signed_in().or_redirect("/"));
    let app = Router::new()
        .route("/", get(home))
        .route("/appointments", get(appointments).layer(requires_login))
        .merge(auth.routes())
        .layer(auth.layer());
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn home(PeekSession(session): PeekSession) -> Html<String> {
    Html(appointments::home(session.as_ref()))
}

async fn appointments(user: RequireAuth, api: AuthenticatedClient) -> Result<Html<String>, AuthError> {
    let found: Value = api.get("/api/appointments").send().await?.json().await?;
    Ok(Html(appointments::appointments(&user, &found)))
}
