//! The example application on actix-web: routes, pages and settings. Everything else is the library's.

use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use actix_session::SessionMiddleware;
use actix_session::storage::CookieSessionStore;
use actix_web::cookie::Key;
use actix_web::http::header::ContentType;
use actix_web::middleware::Condition;
use actix_web::web::{self, Data, Json, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use auth_actix::{
    ApiError, Auth, AuthError, AuthExt, AuthenticatedClient, ConfigError, Gate, PeekSession, RequireAuth,
    require,
};
use example_common::{Carrier, DevInfo, GRACE, Log, PAGE_HEADERS, Setup};
use serde_json::{Value, json};

#[actix_web::main]
async fn main() -> ExitCode {
    let log = Log::held_back();
    let (listener, setup) = match start().await {
        Ok(started) => started,
        Err(error) => return example_common::refuse_to_start(&error),
    };
    log.release();
    serve(listener, setup).await
}

async fn start() -> Result<(TcpListener, Setup), ConfigError> {
    let listener = example_common::listen("127.0.0.1:3001")?;
    let setup = example_common::setup(&listener).await?;
    Ok((listener, setup))
}

async fn serve(listener: TcpListener, setup: Setup) -> ExitCode {
    let auth = setup.auth.clone();
    let carrier = setup.carrier;
    let site = Data::new(Site {
        auth: auth.clone(),
        dev: setup.dev.clone(),
    });
    let key = Key::generate();
    let app = move || {
        let auth = &site.auth;
        let layer = match carrier {
            Carrier::Cookie => auth.layer(),
            Carrier::Framework => auth.layer().in_actix_session(),
        };
        App::new()
            .app_data(site.clone())
            .configure(routes)
            .configure(auth.routes())
            .wrap(layer)
            .wrap(Condition::new(
                carrier == Carrier::Framework,
                sessions(auth, key.clone()),
            ))
    };
    let address = listener.local_addr();
    let server = HttpServer::new(app)
        .shutdown_signal(example_common::stop_signal())
        .shutdown_timeout(GRACE.as_secs())
        .listen(listener);
    let (address, server) = match (address, server) {
        (Ok(address), Ok(server)) => (address, server.run()),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot listen");
            return ExitCode::FAILURE;
        }
    };
    println!("listening on http://{address}");
    if let Err(error) = server.await {
        tracing::error!(%error, "the server failed");
        return ExitCode::FAILURE;
    }
    example_common::drain(&auth).await;
    ExitCode::SUCCESS
}

struct Site {
    auth: Auth,
    dev: Option<DevInfo>,
}

fn routes(config: &mut ServiceConfig) {
    let admins = require(Gate::signed_in().role("admin"));
    let readers = require(Gate::signed_in().scope("mail.read"));
    let recent = require(Gate::signed_in().within(Duration::from_secs(300)));
    config
        .service(web::resource("/").get(home).head(home))
        .service(web::resource("/profile").get(profile).head(profile))
        .service(web::resource("/dashboard").get(dashboard).head(dashboard))
        .service(web::resource("/api/ping").get(ping).head(ping))
        .service(web::resource("/api/me").get(me).head(me))
        .service(
            web::resource("/api/dashboard")
                .get(dashboard_data)
                .head(dashboard_data),
        )
        .service(web::resource("/api/revoke").post(revoke))
        .service(web::resource("/api/admin").get(admin).head(admin).wrap(admins))
        .service(web::resource("/api/mail").get(mail).head(mail).wrap(readers))
        .service(
            web::resource("/api/transfer")
                .get(transfer)
                .head(transfer)
                .wrap(recent),
        )
        .service(web::resource("/healthz").get(async || "ok").head(async || "ok"))
        .service(web::resource("/readyz").get(ready).head(ready));
}

fn sessions(auth: &Auth, key: Key) -> SessionMiddleware<CookieSessionStore> {
    let https = auth.base_url().starts_with("https:");
    let name = if https {
        "__Host-app_session"
    } else {
        "app_session"
    };
    SessionMiddleware::builder(CookieSessionStore::default(), key)
        .cookie_name(name.to_owned())
        .cookie_secure(https)
        .build()
}

async fn home(site: Data<Site>, PeekSession(session): PeekSession) -> HttpResponse {
    page(example_common::home(
        "actix-web",
        &site.auth,
        session.as_ref(),
        site.dev.as_ref(),
    ))
}

async fn profile(site: Data<Site>, api: AuthenticatedClient) -> Result<HttpResponse, AuthError> {
    let began = Instant::now();
    let me = scim_me(&api).await?;
    let html = example_common::profile(&site.auth, &api.session(), &me, began.elapsed());
    Ok(page(html))
}

async fn dashboard(site: Data<Site>, api: AuthenticatedClient) -> Result<HttpResponse, AuthError> {
    let began = Instant::now();
    let (user, organizations) = tokio::try_join!(call(&api, "/users/me"), call(&api, "/organizations"))?;
    let (user, organizations) = ((&user.0, user.1), (&organizations.0, organizations.1));
    let html = example_common::dashboard(&site.auth, &api.session(), user, organizations, began.elapsed());
    Ok(page(html))
}

async fn ping(_: RequireAuth) -> &'static str {
    "pong"
}

async fn me(api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    Ok(Json(scim_me(&api).await.map_err(ApiError::passed_on)?))
}

async fn dashboard_data(api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    let both = tokio::try_join!(call(&api, "/users/me"), call(&api, "/organizations"));
    let (user, organizations) = both.map_err(ApiError::passed_on)?;
    Ok(Json(
        json!({ "profile": user.0, "organizations": organizations.0 }),
    ))
}

async fn revoke(site: Data<Site>, user: RequireAuth) -> Result<HttpResponse, AuthError> {
    site.auth.revoke_access_token(&user).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn admin() -> Json<Value> {
    Json(json!({ "admin": true }))
}

async fn mail() -> Json<Value> {
    Json(json!({ "scope": "mail.read" }))
}

async fn transfer() -> Json<Value> {
    Json(json!({ "fresh": true }))
}

async fn ready(site: Data<Site>) -> HttpResponse {
    match site.auth.ready().await {
        Ok(()) => HttpResponse::Ok().body("ok"),
        Err(_) => HttpResponse::ServiceUnavailable().body("the session store does not answer"),
    }
}

async fn scim_me(api: &AuthenticatedClient) -> Result<Value, ApiError> {
    api.get("/scim2/Me")
        .accept("application/scim+json")
        .send()
        .await?
        .json()
        .await
}

async fn call(api: &AuthenticatedClient, path: &str) -> Result<(Value, Duration), ApiError> {
    let began = Instant::now();
    let value = api
        .get(path)
        .accept("application/json")
        .send()
        .await?
        .json()
        .await?;
    Ok((value, began.elapsed()))
}

fn page(html: String) -> HttpResponse {
    let mut page = HttpResponse::Ok();
    for header in PAGE_HEADERS {
        page.insert_header(header);
    }
    page.content_type(ContentType::html()).body(html)
}
