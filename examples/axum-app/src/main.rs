//! The example application on axum: routes, pages and settings. Everything else is the library's.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_axum::core::grants::ClientCredentials;
use auth_axum::{
    ApiError, AppSessionLayer, Auth, AuthError, AuthExt, AuthenticatedClient, BearerToken, ConfigError, Gate,
    PeekSession, Proxy, RequireAuth, SessionInfo, bearer_layer, require,
};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::{Form, Json, Router};
use example_common::{
    Carrier, DevInfo, EVENT_HEADERS, End, FORM_MAX, Log, METRICS_TYPE, Metrics, Own, PAGE_HEADERS, PURPOSES,
    SecondApi, Setup,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tower_sessions::Session;

#[tokio::main]
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
    let listener = example_common::listen("127.0.0.1:3000").await?;
    let setup = example_common::setup(&listener).await?;
    let sessions = example_common::own_sessions(setup.auth.app_session_layer())?;
    Ok((listener, setup, sessions))
}

async fn serve(listener: TcpListener, setup: Setup, sessions: AppSessionLayer) -> ExitCode {
    let auth = setup.auth.clone();
    let app = app(&setup, sessions);
    let (address, listener) = match (listener.local_addr(), tokio::net::TcpListener::from_std(listener)) {
        (Ok(address), Ok(listener)) => (address, listener),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot listen");
            return ExitCode::FAILURE;
        }
    };
    let stop = example_common::stop_signal();
    println!("listening on http://{address}");
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop);
    tokio::select! {
        result = server.into_future() => {
            if let Err(error) = result {
                tracing::error!(%error, "the server failed");
                return ExitCode::FAILURE;
            }
        }
        () = example_common::grace_is_over() => tracing::warn!("requests under way were cut off"),
    }
    example_common::drain(&auth).await;
    ExitCode::SUCCESS
}

#[derive(Clone)]
struct App {
    auth: Auth,
    metrics: Metrics,
    second_api: Arc<SecondApi>,
    dev: Option<Arc<DevInfo>>,
}

fn app(setup: &Setup, sessions: AppSessionLayer) -> Router {
    let auth = &setup.auth;
    let app = App {
        auth: auth.clone(),
        metrics: setup.metrics.clone(),
        second_api: Arc::new(setup.second_api.clone()),
        dev: setup.dev.clone().map(Arc::new),
    };
    let router = Router::new()
        .route("/", get(home))
        .route("/note", post(note).layer(DefaultBodyLimit::max(FORM_MAX)))
        .route("/profile", get(profile))
        .route("/dashboard", get(dashboard))
        .route(
            "/sessions",
            get(sessions_page)
                .post(end_from_page)
                .layer(DefaultBodyLimit::max(FORM_MAX)),
        )
        .route("/api/ping", get(ping))
        .route("/api/me", get(me))
        .route("/api/dashboard", get(dashboard_data))
        .route("/api/step-up", get(step_up))
        .route("/api/exchange", get(exchange))
        .route("/api/machine", get(machine))
        .route("/api/revoke", post(revoke))
        .route("/api/events", get(events))
        .route("/api/sessions", get(list_sessions).delete(end_others))
        .route("/api/sessions/{id}", delete(end_session))
        .route(
            "/api/admin",
            get(admin).layer(require(Gate::signed_in().role("admin"))),
        )
        .route(
            "/api/mail",
            get(mail).layer(require(Gate::signed_in().scope("mail.read"))),
        )
        .route(
            "/api/transfer",
            get(transfer).layer(require(Gate::signed_in().within(Duration::from_secs(300)))),
        )
        .route("/metrics", get(metrics))
        .route(
            "/api/bearer",
            get(bearer).layer(bearer_layer(setup.resource_server.clone())),
        )
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .merge(auth.proxy("/proxy/api", Proxy::to_api()))
        .merge(auth.routes())
        .with_state(app);
    let layer = match setup.carrier {
        Carrier::Cookie => auth.layer(),
        Carrier::Framework => auth.layer().in_tower_session(),
    };
    router.layer(layer).layer(sessions)
}

async fn home(
    State(app): State<App>,
    PeekSession(session): PeekSession,
    own: Session,
    method: Method,
    headers: HeaderMap,
) -> Result<impl IntoResponse, AuthError> {
    let purposes = PURPOSES.map(|name| headers.get(name).map(HeaderValue::as_bytes));
    let kept = match &session {
        Some(_) => look(&own, example_common::is_seen(method.as_str(), purposes)).await?,
        None => Own::default(),
    };
    Ok(page(example_common::home(
        "axum",
        &app.auth,
        session.as_ref(),
        &kept,
        app.dev.as_deref(),
    )))
}

/// What the application's own session holds; the message is shown once.
async fn look(own: &Session, is_seen: bool) -> Result<Own, AuthError> {
    let flash = own.get("flash").await?;
    if is_seen && flash.is_some() {
        own.remove_value("flash").await?;
    }
    let note = own.get("note").await?;
    Ok(Own { note, flash })
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn note(_: RequireAuth, own: Session, Form(sent): Form<Note>) -> Result<Response, AuthError> {
    let (note, flash) = match example_common::note(&sent.text) {
        Ok(note) => note,
        Err(problem) => return Ok((StatusCode::PAYLOAD_TOO_LARGE, problem).into_response()),
    };
    match note {
        Some(note) => own.insert("note", note).await?,
        None => drop(own.remove_value("note").await?),
    }
    own.insert("flash", flash).await?;
    Ok(Redirect::to("/").into_response())
}

async fn profile(State(app): State<App>, api: AuthenticatedClient) -> Result<impl IntoResponse, AuthError> {
    let began = Instant::now();
    let me: Value = scim_me(&api).await?;
    Ok(page(example_common::profile(
        &app.auth,
        &api.session(),
        &me,
        began.elapsed(),
    )))
}

async fn dashboard(State(app): State<App>, api: AuthenticatedClient) -> Result<impl IntoResponse, AuthError> {
    let began = Instant::now();
    let (user, organizations) = tokio::try_join!(call(&api, "/users/me"), call(&api, "/organizations"))?;
    let (user, organizations) = ((&user.0, user.1), (&organizations.0, organizations.1));
    Ok(page(example_common::dashboard(
        &app.auth,
        &api.session(),
        user,
        organizations,
        began.elapsed(),
    )))
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

async fn exchange(State(app): State<App>, api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    let api = api.for_audience(&app.second_api.audience).at(&app.second_api.url);
    let whoami = api.get("/whoami").accept("application/json").send().await?;
    Ok(Json(whoami.json().await.map_err(ApiError::passed_on)?))
}

async fn machine(api: AuthenticatedClient) -> Result<Json<Raw>, AuthError> {
    let machine = api.as_application(ClientCredentials::new());
    let machine = machine.get("/machine").accept("application/json").send().await?;
    Ok(Json(machine.json().await.map_err(ApiError::passed_on)?))
}

async fn revoke(State(app): State<App>, user: RequireAuth) -> Result<StatusCode, AuthError> {
    app.auth.revoke_access_token(&user).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn events(State(app): State<App>, user: RequireAuth) -> impl IntoResponse {
    let events = example_common::events(&app.auth, &user);
    (EVENT_HEADERS, Body::from_stream(events))
}

async fn sessions_page(State(app): State<App>, user: RequireAuth) -> Result<impl IntoResponse, AuthError> {
    let sessions = app.auth.sessions_of_user(&user).await?;
    Ok(page(example_common::sessions(&app.auth, &sessions)))
}

async fn end_from_page(
    State(app): State<App>,
    user: RequireAuth,
    Form(sent): Form<End>,
) -> Result<Response, AuthError> {
    match sent.which() {
        Ok(Some(id)) => drop(app.auth.end_session_of_user(&user, &id).await?),
        Ok(None) => drop(app.auth.end_other_sessions(&user).await?),
        Err(_) => return Ok(StatusCode::BAD_REQUEST.into_response()),
    }
    Ok(Redirect::to("/sessions").into_response())
}

async fn list_sessions(
    State(app): State<App>,
    user: RequireAuth,
) -> Result<Json<Vec<SessionInfo>>, AuthError> {
    Ok(Json(app.auth.sessions_of_user(&user).await?))
}

async fn end_session(
    State(app): State<App>,
    user: RequireAuth,
    Path(id): Path<String>,
) -> Result<StatusCode, AuthError> {
    let Ok(id) = id.parse() else {
        return Ok(StatusCode::NOT_FOUND);
    };
    Ok(match app.auth.end_session_of_user(&user, &id).await? {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    })
}

async fn end_others(State(app): State<App>, user: RequireAuth) -> Result<StatusCode, AuthError> {
    app.auth.end_other_sessions(&user).await?;
    Ok(StatusCode::NO_CONTENT)
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

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], app.metrics.render())
}

async fn bearer(token: BearerToken) -> Json<Value> {
    Json(Value::Object(token.claims().clone()))
}

async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.auth.ready().await {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
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

fn page(html: String) -> impl IntoResponse {
    (
        PAGE_HEADERS.map(|(name, value)| (HeaderName::from_static(name), value)),
        Html(html),
    )
}
