//! Guide 0 on axum: Passport with Asgardeo (`docs/guides/0-passport-asgardeo.md`).

mod user;

use auth_axum::{AuthBuilder, AuthError, AuthExt, AuthenticatedClient, PeekSession, RequireAuth};
use axum::{Router, response::Html, routing::get};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = AuthBuilder::from_env()?.on_sign_in(user::verify).build().await?;
    let app = Router::new()
        .route("/", get(home))
        .route("/users", get(users))
        .merge(auth.routes())
        .layer(auth.layer());
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn home(PeekSession(session): PeekSession) -> Html<String> {
    Html(user::home(session.as_ref()))
}

/// `RequireAuth` is `ensureLoggedIn`: a browser is sent to sign in, and comes back to this page.
async fn users(user: RequireAuth, api: AuthenticatedClient) -> Result<Html<String>, AuthError> {
    let request = api.get("/scim2/Me").accept("application/scim+json");
    let me: Value = request.send().await?.json().await?;
    Ok(Html(user::users(&user, &me)))
}
