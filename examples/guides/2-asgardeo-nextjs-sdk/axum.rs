//! Guide 2 on axum: Asgardeo's Next.js SDK (`docs/guides/2-asgardeo-nextjs-sdk.md`).

mod profile;

use auth_axum::{Auth, AuthError, AuthExt, Gate, RequireAuth, SwitchSession, require};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use profile::Directory;

#[derive(Clone)]
struct Site {
    auth: Auth,
    directory: Directory,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = Auth::from_env().await?;
    let site = Site {
        auth: auth.clone(),
        directory: Directory::from_env()?,
    };
    // `createRouteMatcher(["/dashboard(.*)"])` and `protectRoute()`
    let dashboard = Router::new()
        .route("/dashboard", get(server_profile))
        .route("/dashboard/session", get(session_id))
        .route_layer(require(Gate::signed_in()));
    let app = Router::new()
        .route("/", get(async || Html(profile::home())))
        .merge(dashboard)
        .route("/organizations/{id}", post(switch_organization))
        .merge(auth.routes())
        .layer(auth.layer())
        .with_state(site);
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// `getSessionId`
async fn session_id(user: RequireAuth) -> String {
    user.key().to_string()
}

async fn server_profile(State(site): State<Site>, user: RequireAuth) -> Result<Response, AuthError> {
    // `getAccessToken(sessionId)`: alive, or an error.
    let access_token = site.auth.access_token(&user).await?;
    Ok(match site.directory.user_details(&access_token).await {
        Ok(details) => Html(profile::profile(&user, &details)).into_response(),
        Err(_) => (StatusCode::BAD_GATEWAY, Html(profile::failed())).into_response(),
    })
}

async fn switch_organization(Path(id): Path<String>, session: SwitchSession) -> Result<Redirect, AuthError> {
    session.switch(&profile::organization(id)).await?;
    Ok(Redirect::to("/dashboard"))
}
