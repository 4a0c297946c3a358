//! The applications of the guides, as their code blocks have them.

use std::net::TcpListener;

use auth_axum::core::client;
use auth_axum::core::store::SessionKey;
use auth_axum::{
    ApiError, Auth, AuthError, AuthExt, AuthenticatedClient, Gate, MaybeAuth, Proxy, RequireAuth,
    SwitchSession, require,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::app::{Server, run};
use crate::guides::{
    CLIENT_PROFILE, FAILED, Guide, SerializedUser, UserDetails, account_switch, server_profile_page,
};
use crate::world::Carrier;

#[derive(Clone)]
struct App {
    auth: Auth,
    /// `NEXT_PUBLIC_AUTH_ASGARDEO_ME_ENDPOINT`
    me_endpoint: String,
}

pub(crate) fn serve(listener: TcpListener, auth: &Auth, carrier: Carrier, guide: Guide, api: &str) -> Server {
    let app = App {
        auth: auth.clone(),
        me_endpoint: format!("{api}/scim2/Me"),
    };
    let router = match guide {
        Guide::Passport => passport(),
        Guide::AuthJs => auth_js().merge(auth.proxy("/proxy/api", Proxy::to_api())),
        Guide::NextSdk => next_sdk(),
        Guide::NodeSdk => node_sdk(),
        Guide::Auth0 => auth0(),
    };
    let router = router
        .route("/", get(async || "home"))
        .merge(auth.routes())
        .with_state(app);
    let session = SessionManagerLayer::new(MemoryStore::default())
        .with_same_site(SameSite::Lax)
        .with_secure(false);
    run(
        listener,
        match carrier {
            Carrier::FrameworkSession => router.layer(auth.layer().in_tower_session()).layer(session),
            _ => router.layer(auth.layer()),
        },
    )
}

/// Guide 0: `routes/users.js`.
fn passport() -> Router<App> {
    Router::new()
        .route("/users", get(users))
        .route("/user", get(user))
}

async fn users(api: AuthenticatedClient) -> Result<&'static str, AuthError> {
    fetch_user_details(&api).await?;
    Ok("This is a protected resource")
}

async fn user(user: RequireAuth) -> Result<Json<SerializedUser>, StatusCode> {
    let user = user.app().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(user))
}

/// Guide 1: `app/server-profile/page.tsx` and `app/client-profile/page.tsx`.
fn auth_js() -> Router<App> {
    let protected = require(Gate::signed_in().or_redirect("/"));
    Router::new()
        .route("/server-profile", get(server_profile))
        .route(
            "/client-profile",
            get(async || Html(CLIENT_PROFILE)).route_layer(protected),
        )
        .route("/go-to-index", post(async || Redirect::to("/")))
}

async fn fetch_user_details(api: &client::AuthenticatedClient) -> Result<UserDetails, ApiError> {
    api.get("/scim2/Me")
        .accept("application/scim+json")
        .header("content-type", "application/scim+json")
        .send()
        .await?
        .json()
        .await
}

async fn server_profile(
    State(app): State<App>,
    MaybeAuth(user): MaybeAuth,
) -> Result<Html<String>, AuthError> {
    let Some(user) = user else {
        return Ok(Html(String::new()));
    };
    let details = fetch_user_details(&app.auth.client(&user)).await?;
    Ok(Html(server_profile_page(&details)))
}

/// Guide 2: the server component, with an HTTP client of its own.
fn next_sdk() -> Router<App> {
    Router::new()
        .route("/server-profile", get(server_component))
        .route("/session-id", get(session_id))
        .route("/go-to-index", post(async || Redirect::to("/")))
}

async fn session_id(user: RequireAuth) -> String {
    user.key().to_string()
}

async fn server_component(State(app): State<App>, MaybeAuth(user): MaybeAuth) -> Result<Response, AuthError> {
    let Some(user) = user else {
        return Ok(Html("").into_response());
    };
    let access_token = app.auth.access_token(&user).await?;
    let fetched = reqwest::Client::new()
        .get(&app.me_endpoint)
        .header("accept", "application/scim+json")
        .header("content-type", "application/scim+json")
        .bearer_auth(access_token.expose())
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let details = match fetched {
        Ok(response) => response.json::<UserDetails>().await,
        Err(error) => Err(error),
    };
    Ok(match details {
        Ok(details) => Html(server_profile_page(&details)).into_response(),
        Err(_) => (StatusCode::BAD_GATEWAY, Html(FAILED)).into_response(),
    })
}

/// Guide 3: services and routes.
fn node_sdk() -> Router<App> {
    Router::new()
        .route("/profile", get(profile))
        .route("/dashboard", get(dashboard))
        .route("/session-id", get(session_id))
        .route("/switch-account", post(switch_account))
        .route("/revoke", post(revoke))
}

async fn fetch_user_profile(auth: &Auth, session_id: &SessionKey) -> Result<Value, AuthError> {
    let session = auth.signed_in(session_id).await?;
    Ok(fetch(&auth.client(&session), "/users/me").await?)
}

async fn fetch(api: &client::AuthenticatedClient, path: &str) -> Result<Value, ApiError> {
    api.get(path)
        .header("content-type", "application/json")
        .send()
        .await?
        .json()
        .await
}

async fn profile(State(app): State<App>, user: RequireAuth) -> Result<Json<Value>, AuthError> {
    Ok(Json(fetch_user_profile(&app.auth, &user.key()).await?))
}

async fn dashboard(api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    let (profile, organizations) = tokio::try_join!(fetch(&api, "/users/me"), fetch(&api, "/organizations"))?;
    Ok(Json(
        json!({ "organizations": organizations, "profile": profile }),
    ))
}

async fn switch_account(session: SwitchSession) -> Result<String, AuthError> {
    Ok(session.switch(&account_switch()).await?.subject().to_owned())
}

async fn revoke(State(app): State<App>, user: RequireAuth) -> Result<StatusCode, AuthError> {
    app.auth.revoke_access_token(&user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Guide 4: `requiresLogin` and `/appointments`. The demo API has organizations instead.
fn auth0() -> Router<App> {
    let requires_login = require(Gate::signed_in().or_redirect("/"));
    Router::new().route("/appointments", get(appointments).route_layer(requires_login))
}

async fn appointments(user: RequireAuth, api: AuthenticatedClient) -> Result<Html<String>, AuthError> {
    let appointments = fetch(&api, "/organizations").await?;
    Ok(Html(format!("{}: {appointments}", user.subject())))
}
