//! The applications of the guides, as their code blocks have them.

use std::net::TcpListener;

use actix_session::SessionMiddleware;
use actix_session::storage::CookieSessionStore;
use actix_web::cookie::Key;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Html, Json, Redirect, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, Responder, error, middleware};
use auth_actix::core::client;
use auth_actix::core::store::SessionKey;
use auth_actix::{
    ApiError, Auth, AuthError, AuthExt, AuthenticatedClient, Gate, MaybeAuth, Proxy, RequireAuth,
    SwitchSession, require,
};
use serde_json::{Value, json};

use crate::app::{Server, run};
use crate::guides::{
    CLIENT_PROFILE, FAILED, Guide, SerializedUser, UserDetails, account_switch, server_profile_page,
};
use crate::world::Carrier;

#[derive(Clone)]
struct Site {
    auth: Auth,
    /// `NEXT_PUBLIC_AUTH_ASGARDEO_ME_ENDPOINT`
    me_endpoint: String,
}

pub(crate) fn serve(listener: TcpListener, auth: &Auth, carrier: Carrier, guide: Guide, api: &str) -> Server {
    let site = Data::new(Site {
        auth: auth.clone(),
        me_endpoint: format!("{api}/scim2/Me"),
    });
    let (auth, key) = (auth.clone(), Key::generate());
    let is_carrier = carrier == Carrier::FrameworkSession;
    let server = HttpServer::new(move || {
        let layer = match is_carrier {
            true => auth.layer().in_actix_session(),
            false => auth.layer(),
        };
        let session = SessionMiddleware::builder(CookieSessionStore::default(), key.clone())
            .cookie_secure(false)
            .build();
        App::new()
            .app_data(site.clone())
            .configure(|config| match guide {
                Guide::Passport => passport(config),
                Guide::AuthJs => {
                    auth_js(config);
                    config.service(auth.proxy("/proxy/api", Proxy::to_api()));
                }
                Guide::NextSdk => next_sdk(config),
                Guide::NodeSdk => node_sdk(config),
                Guide::Auth0 => auth0(config),
            })
            .route("/", web::get().to(async || "home"))
            .configure(auth.routes())
            .wrap(layer)
            .wrap(middleware::Condition::new(is_carrier, session))
    });
    run(server
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run())
}

/// Guide 0: `routes/users.js`.
fn passport(config: &mut ServiceConfig) {
    config
        .route("/users", web::get().to(users))
        .route("/user", web::get().to(user));
}

async fn users(api: AuthenticatedClient) -> Result<&'static str, AuthError> {
    fetch_user_details(&api).await?;
    Ok("This is a protected resource")
}

async fn user(user: RequireAuth) -> actix_web::Result<Json<SerializedUser>> {
    Ok(Json(user.app().map_err(error::ErrorInternalServerError)?))
}

/// Guide 1: `app/server-profile/page.tsx` and `app/client-profile/page.tsx`.
fn auth_js(config: &mut ServiceConfig) {
    let client_profile = web::resource("/client-profile")
        .wrap(require(Gate::signed_in().or_redirect("/")))
        .get(async || Html::new(CLIENT_PROFILE));
    config
        .route("/server-profile", web::get().to(server_profile))
        .service(client_profile)
        .route("/go-to-index", web::post().to(go_to_index));
}

async fn go_to_index() -> impl Responder {
    Redirect::to("/").see_other()
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

async fn server_profile(site: Data<Site>, MaybeAuth(user): MaybeAuth) -> Result<Html, AuthError> {
    let Some(user) = user else {
        return Ok(Html::new(""));
    };
    let details = fetch_user_details(&site.auth.client(&user)).await?;
    Ok(Html::new(server_profile_page(&details)))
}

/// Guide 2: the server component, with an HTTP client of its own.
fn next_sdk(config: &mut ServiceConfig) {
    config
        .route("/server-profile", web::get().to(server_component))
        .route("/session-id", web::get().to(session_id))
        .route("/go-to-index", web::post().to(go_to_index));
}

async fn session_id(user: RequireAuth) -> String {
    user.key().to_string()
}

async fn server_component(site: Data<Site>, MaybeAuth(user): MaybeAuth) -> Result<HttpResponse, AuthError> {
    let page = |status| {
        let mut page = HttpResponse::build(status);
        page.content_type("text/html; charset=utf-8");
        page
    };
    let Some(user) = user else {
        return Ok(page(StatusCode::OK).body(""));
    };
    let access_token = site.auth.access_token(&user).await?;
    let fetched = reqwest::Client::new()
        .get(&site.me_endpoint)
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
        Ok(details) => page(StatusCode::OK).body(server_profile_page(&details)),
        Err(_) => page(StatusCode::BAD_GATEWAY).body(FAILED),
    })
}

/// Guide 3: services and routes.
fn node_sdk(config: &mut ServiceConfig) {
    config
        .route("/profile", web::get().to(profile))
        .route("/dashboard", web::get().to(dashboard))
        .route("/session-id", web::get().to(session_id))
        .route("/switch-account", web::post().to(switch_account))
        .route("/revoke", web::post().to(revoke));
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

async fn profile(site: Data<Site>, user: RequireAuth) -> Result<Json<Value>, AuthError> {
    Ok(Json(fetch_user_profile(&site.auth, &user.key()).await?))
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

async fn revoke(site: Data<Site>, user: RequireAuth) -> Result<HttpResponse, AuthError> {
    site.auth.revoke_access_token(&user).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Guide 4: `requiresLogin` and `/appointments`. The demo API has organizations instead.
fn auth0(config: &mut ServiceConfig) {
    let requires_login = require(Gate::signed_in().or_redirect("/"));
    config.service(
        web::resource("/appointments")
            .wrap(requires_login)
            .get(appointments),
    );
}

async fn appointments(user: RequireAuth, api: AuthenticatedClient) -> Result<Html, AuthError> {
    let appointments = fetch(&api, "/organizations").await?;
    Ok(Html::new(format!("{}: {appointments}", user.subject())))
}
