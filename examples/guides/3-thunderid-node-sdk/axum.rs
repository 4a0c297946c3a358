//! Guide 3 on axum: ThunderID's Node SDK (`docs/guides/3-thunderid-node-sdk.md`).

mod services;

use auth_axum::{Auth, AuthError, AuthExt, AuthenticatedClient, RequireAuth, SwitchSession};
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;

#[derive(Clone)]
struct Site {
    auth: Auth,
    reports: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = Auth::from_env().await?;
    let site = Site {
        auth: auth.clone(),
        reports: services::reports()?,
    };
    let app = Router::new()
        .route("/", get(async || Html(services::home())))
        .route("/profile", get(profile))
        .route("/dashboard", get(dashboard))
        .route("/report", get(report))
        .route("/account/{name}", post(switch_account))
        .route("/revoke", post(revoke))
        .merge(auth.routes())
        .layer(auth.layer())
        .with_state(site);
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// `requireAuth` is the extractor; `user.key()` is the `sessionId`.
async fn profile(State(site): State<Site>, user: RequireAuth) -> Result<Json<Value>, AuthError> {
    Ok(Json(services::user_profile(&site.auth, &user.key()).await?))
}

async fn dashboard(api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    Ok(Json(services::dashboard(&api).await?))
}

async fn report(State(site): State<Site>, api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    Ok(Json(services::report(&api, &site.reports).await?))
}

async fn switch_account(Path(name): Path<String>, session: SwitchSession) -> Result<Redirect, AuthError> {
    session.switch(&services::account_switch(name)).await?;
    Ok(Redirect::to("/profile"))
}

/// `revokeAccessToken(sessionId)`. The session goes on with another token; where none can be had, it has ended.
async fn revoke(State(site): State<Site>, user: RequireAuth) -> Result<Redirect, AuthError> {
    site.auth.revoke_access_token(&user).await?;
    Ok(Redirect::to("/"))
}
