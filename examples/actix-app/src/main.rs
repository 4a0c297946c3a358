//! The example application on actix-web: routes, pages and settings. Everything else is the library's.

use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use actix_session::Session;
use actix_web::body::MessageBody;
use actix_web::guard::{Guard, fn_guard};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, ContentType, HeaderValue, LOCATION};
use actix_web::middleware::Condition;
use actix_web::web::{self, Data, Form, FormConfig, Json, Path, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer};
use auth_actix::core::config::paths;
use auth_actix::core::grants::ClientCredentials;
use auth_actix::{
    ApiError, AppSessionLayer, Auth, AuthError, AuthExt, AuthenticatedClient, BearerToken, ConfigError, Gate,
    PeekSession, Proxy, RequireAuth, SessionInfo, bearer_layer, require,
};
use example_common::{
    Carrier, DevInfo, EVENT_HEADERS, End, FORM_MAX, GRACE, Log, METRICS_TYPE, Metrics, Own, PAGE_HEADERS,
    PURPOSES, SecondApi, Setup,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[actix_web::main]
async fn main() -> ExitCode {
    let log = Log::held_back();
    let (listener, setup, sessions) = match start().await {
        Ok(started) => started,
        Err(error) => return example_common::refuse_to_start(&error),
    };
    log.release();
    serve(listener, setup, sessions).await
}

async fn start() -> Result<(TcpListener, Setup, AppSessionLayer), ConfigError> {
    let listener = example_common::listen("127.0.0.1:3001").await?;
    let setup = example_common::setup(&listener).await?;
    let sessions = example_common::own_sessions(setup.auth.app_session_layer())?;
    Ok((listener, setup, sessions))
}

async fn serve(listener: TcpListener, setup: Setup, sessions: AppSessionLayer) -> ExitCode {
    let auth = setup.auth.clone();
    let carrier = setup.carrier;
    let site = Data::new(Site {
        auth: auth.clone(),
        metrics: setup.metrics.clone(),
        second_api: setup.second_api.clone(),
        dev: setup.dev.clone(),
    });
    let resource_server = setup.resource_server.clone();
    let app = move || {
        let auth = &site.auth;
        let layer = match carrier {
            Carrier::Cookie => auth.layer(),
            Carrier::Framework => auth.layer().in_actix_session(),
        };
        let is_carrier = carrier == Carrier::Framework;
        // Where the session carries no sign-in, only the routes that use it pay for it: it is loaded on each of them.
        let with_session = web::scope("")
            .guard(uses_session())
            .configure(pages_with_session)
            .configure(auth.routes())
            .wrap(Condition::new(!is_carrier, sessions.clone()));
        let everything_else = web::scope("")
            .configure(routes)
            .service(
                web::resource("/api/bearer")
                    .get(bearer)
                    .head(bearer)
                    .wrap(bearer_layer(resource_server.clone())),
            )
            .service(auth.proxy("/proxy/api", Proxy::to_api()))
            .service(with_session)
            .configure(auth.routes())
            .wrap(layer)
            .wrap(Condition::new(is_carrier, sessions.clone()));
        App::new()
            .app_data(site.clone())
            .app_data(FormConfig::default().limit(FORM_MAX))
            .configure(health)
            .service(everything_else)
    };
    let address = listener.local_addr();
    let server = HttpServer::new(app)
        .shutdown_signal(example_common::stop_signal())
        .shutdown_timeout(GRACE.as_secs())
        // A browser that goes away ends what was done for it.
        .h1_allow_half_closed(false)
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
    metrics: Metrics,
    second_api: SecondApi,
    dev: Option<DevInfo>,
}

/// Where the application's own session is used: its own pages, and where it begins and ends with the user.
fn uses_session() -> impl Guard {
    fn_guard(|context| {
        let path = context.head().uri.path();
        ["/", "/note", paths::LOGOUT].contains(&path) || paths::is_callback(path)
    })
}

/// The routes that use the application's own session, beside the library's.
fn pages_with_session(config: &mut ServiceConfig) {
    config
        .service(web::resource("/").get(home).head(home))
        .service(web::resource("/note").post(note));
}

fn routes(config: &mut ServiceConfig) {
    let admins = require(Gate::signed_in().role("admin"));
    let readers = require(Gate::signed_in().scope("mail.read"));
    let recent = require(Gate::signed_in().within(Duration::from_secs(300)));
    config
        .service(web::resource("/profile").get(profile).head(profile))
        .service(web::resource("/dashboard").get(dashboard).head(dashboard))
        .service(
            web::resource("/sessions")
                .get(sessions_page)
                .head(sessions_page)
                .post(end_from_page),
        )
        .service(web::resource("/api/ping").get(ping).head(ping))
        .service(web::resource("/api/me").get(me).head(me))
        .service(
            web::resource("/api/dashboard")
                .get(dashboard_data)
                .head(dashboard_data),
        )
        .service(web::resource("/api/step-up").get(step_up).head(step_up))
        .service(web::resource("/api/exchange").get(exchange).head(exchange))
        .service(web::resource("/api/machine").get(machine).head(machine))
        .service(web::resource("/api/revoke").post(revoke))
        .service(web::resource("/api/events").get(events).head(events))
        .service(
            web::resource("/api/sessions")
                .get(list_sessions)
                .head(list_sessions)
                .delete(end_others),
        )
        .service(web::resource("/api/sessions/{id}").delete(end_session))
        .service(web::resource("/api/admin").get(admin).head(admin).wrap(admins))
        .service(web::resource("/api/mail").get(mail).head(mail).wrap(readers))
        .service(
            web::resource("/api/transfer")
                .get(transfer)
                .head(transfer)
                .wrap(recent),
        );
}

/// Outside of everything that may ask the store.
fn health(config: &mut ServiceConfig) {
    config
        .service(web::resource("/metrics").get(metrics).head(metrics))
        .service(web::resource("/healthz").get(async || "ok").head(async || "ok"))
        .service(web::resource("/readyz").get(ready).head(ready));
}

async fn home(
    site: Data<Site>,
    PeekSession(session): PeekSession,
    own: Session,
    request: HttpRequest,
) -> Result<HttpResponse, AuthError> {
    let purposes = PURPOSES.map(|name| request.headers().get(name).map(HeaderValue::as_bytes));
    let kept = match &session {
        Some(_) => look(&own, example_common::is_seen(request.method().as_str(), purposes))?,
        None => Own::default(),
    };
    Ok(page(example_common::home(
        "actix-web",
        &site.auth,
        session.as_ref(),
        &kept,
        site.dev.as_ref(),
    )))
}

/// What the application's own session holds; the message is shown once.
fn look(own: &Session, is_seen: bool) -> Result<Own, AuthError> {
    let flash = own.get("flash")?;
    if is_seen && flash.is_some() {
        own.remove("flash");
    }
    let note = own.get("note")?;
    Ok(Own { note, flash })
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn note(_: RequireAuth, own: Session, sent: Form<Note>) -> Result<HttpResponse, AuthError> {
    let (note, flash) = match example_common::note(&sent.text) {
        Ok(note) => note,
        Err(problem) => return Ok(text(HttpResponse::PayloadTooLarge(), problem)),
    };
    match note {
        Some(note) => own.insert("note", note)?,
        None => drop(own.remove("note")),
    }
    own.insert("flash", flash)?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish())
}

async fn profile(site: Data<Site>, api: AuthenticatedClient) -> Result<HttpResponse, AuthError> {
    let began = Instant::now();
    let me: Value = scim_me(&api).await?;
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

/// What an API answered, as it is: a `Value` would make other numbers of numbers.
type Raw = Box<RawValue>;

async fn me(api: AuthenticatedClient) -> Result<Json<Raw>, AuthError> {
    Ok(Json(scim_me(&api).await.map_err(ApiError::passed_on)?))
}

#[derive(Serialize)]
struct Both {
    profile: Raw,
    organizations: Raw,
}

async fn dashboard_data(api: AuthenticatedClient) -> Result<Json<Both>, AuthError> {
    let both = tokio::try_join!(call(&api, "/users/me"), call(&api, "/organizations"));
    let ((profile, _), (organizations, _)) = both.map_err(ApiError::passed_on)?;
    Ok(Json(Both {
        profile,
        organizations,
    }))
}

async fn step_up(api: AuthenticatedClient) -> Result<Json<Raw>, AuthError> {
    let (answer, _) = call(&api, "/step-up").await.map_err(ApiError::passed_on)?;
    Ok(Json(answer))
}

async fn exchange(site: Data<Site>, api: AuthenticatedClient) -> Result<Json<Raw>, AuthError> {
    let api = api
        .for_audience(&site.second_api.audience)
        .at(&site.second_api.url);
    let whoami = api.get("/whoami").accept("application/json").send().await?;
    Ok(Json(whoami.json().await.map_err(ApiError::passed_on)?))
}

async fn machine(api: AuthenticatedClient) -> Result<Json<Raw>, AuthError> {
    let machine = api.as_application(ClientCredentials::new());
    let machine = machine.get("/machine").accept("application/json").send().await?;
    Ok(Json(machine.json().await.map_err(ApiError::passed_on)?))
}

async fn revoke(site: Data<Site>, user: RequireAuth) -> Result<HttpResponse, AuthError> {
    site.auth.revoke_access_token(&user).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn events(site: Data<Site>, user: RequireAuth, request: HttpRequest) -> HttpResponse {
    let mut stream = HttpResponse::Ok();
    for header in EVENT_HEADERS {
        stream.insert_header(header);
    }
    if request.method() == Method::HEAD {
        // actix-web would wait for the end of the stream.
        return stream.finish();
    }
    stream.streaming(example_common::events(&site.auth, &user))
}

async fn sessions_page(site: Data<Site>, user: RequireAuth) -> Result<HttpResponse, AuthError> {
    let sessions = site.auth.sessions_of_user(&user).await?;
    Ok(page(example_common::sessions(&site.auth, &sessions)))
}

async fn end_from_page(
    site: Data<Site>,
    user: RequireAuth,
    sent: Form<End>,
) -> Result<HttpResponse, AuthError> {
    match sent.which() {
        Ok(Some(id)) => drop(site.auth.end_session_of_user(&user, &id).await?),
        Ok(None) => drop(site.auth.end_other_sessions(&user).await?),
        Err(_) => return Ok(HttpResponse::BadRequest().finish()),
    }
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, "/sessions"))
        .finish())
}

async fn list_sessions(site: Data<Site>, user: RequireAuth) -> Result<Json<Vec<SessionInfo>>, AuthError> {
    Ok(Json(site.auth.sessions_of_user(&user).await?))
}

async fn end_session(
    site: Data<Site>,
    user: RequireAuth,
    id: Path<String>,
) -> Result<HttpResponse, AuthError> {
    let Ok(id) = id.parse() else {
        return Ok(HttpResponse::NotFound().finish());
    };
    Ok(match site.auth.end_session_of_user(&user, &id).await? {
        true => HttpResponse::NoContent().finish(),
        false => HttpResponse::NotFound().finish(),
    })
}

async fn end_others(site: Data<Site>, user: RequireAuth) -> Result<HttpResponse, AuthError> {
    site.auth.end_other_sessions(&user).await?;
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

async fn metrics(site: Data<Site>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, METRICS_TYPE))
        .body(site.metrics.render())
}

async fn bearer(token: BearerToken) -> Json<Value> {
    Json(Value::Object(token.claims().clone()))
}

async fn ready(site: Data<Site>) -> HttpResponse {
    match site.auth.ready().await {
        Ok(()) => text(HttpResponse::Ok(), "ok"),
        Err(_) => text(
            HttpResponse::ServiceUnavailable(),
            "the session store does not answer",
        ),
    }
}

async fn scim_me<T: DeserializeOwned>(api: &AuthenticatedClient) -> Result<T, ApiError> {
    api.get("/scim2/Me")
        .accept("application/scim+json")
        .send()
        .await?
        .json()
        .await
}

async fn call<T: DeserializeOwned>(api: &AuthenticatedClient, path: &str) -> Result<(T, Duration), ApiError> {
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

fn text(mut answer: HttpResponseBuilder, text: impl MessageBody + 'static) -> HttpResponse {
    answer.content_type(ContentType::plaintext()).body(text)
}

fn page(html: String) -> HttpResponse {
    let mut page = HttpResponse::Ok();
    for header in PAGE_HEADERS {
        page.insert_header(header);
    }
    page.content_type(ContentType::html()).body(html)
}
