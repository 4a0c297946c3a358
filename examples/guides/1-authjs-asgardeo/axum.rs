//! Guide 1 on axum: Auth.js with Asgardeo (`docs/guides/1-authjs-asgardeo.md`).

mod auth;

use auth_axum::{AuthBuilder, AuthError, AuthExt, AuthenticatedClient, Gate, Proxy, require};
use axum::{Router, response::Html, routing::get};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = auth::callbacks(AuthBuilder::from_env()?).build().await?;
    // `withProtectedRoute`: whoever is not signed in goes to the index page.
    let protected = require(Gate::signed_in().or_redirect("/"));
    let client_profile = get(async || Html(auth::CLIENT_PROFILE)).layer(protected);
    let app = Router::new()
        .route("/", get(async || Html(auth::INDEX)))
        .route("/server-profile", get(server_profile))
        .route("/client-profile", client_profile)
        .merge(auth.proxy("/proxy/api", Proxy::to_api()))
        .merge(auth.routes())
        .layer(auth.layer());
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn server_profile(api: AuthenticatedClient) -> Result<Html<String>, AuthError> {
    let details = auth::fetch_user_details(&api).await?;
    Ok(Html(auth::server_profile(&details)))
}
