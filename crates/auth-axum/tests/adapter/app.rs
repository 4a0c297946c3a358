//! The application under test.

use std::net::TcpListener;

use auth_axum::core::error::NotAllowed;
use auth_axum::core::grants::CustomGrant;
use auth_axum::{
    Auth, AuthError, AuthExt, AuthenticatedClient, Error, Failure, Gate, PeekSession, Proxy, RequireAuth,
    SignInChoices, SwitchSession, UntilEnded, require,
};
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::Value;
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::world::{Carrier, Employee, Misfit, own_choices, own_page};

pub(crate) struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn serve(listener: TcpListener, auth: &Auth, carrier: Carrier) -> Server {
    let router = router().merge(sockets(auth)).merge(auth.routes());
    let session = SessionManagerLayer::new(MemoryStore::default())
        .with_same_site(SameSite::Lax)
        .with_secure(false);
    let router = match carrier {
        Carrier::Cookie => router.layer(auth.layer()),
        Carrier::CookieAndOwnPages => {
            router.layer(auth.layer().error_page(error_page).choice_page(choice_page))
        }
        Carrier::CookieBesideSession => router.layer(auth.layer()).layer(session),
        Carrier::FrameworkSession => router.layer(auth.layer().in_tower_session()).layer(session),
        Carrier::CookieBesideAppSession => router
            .layer(auth.layer())
            .layer(auth.app_session_layer().unwrap()),
        Carrier::AppSession => router
            .layer(auth.layer().in_tower_session())
            .layer(auth.app_session_layer().unwrap()),
    };
    run(listener, router)
}

pub(crate) fn run(listener: TcpListener, router: Router) -> Server {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    Server(tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    }))
}

/// It tries to undo what the library has to keep.
fn error_page(failure: &Failure, request: &Parts) -> impl IntoResponse + use<> {
    own(own_page(failure, language(request)))
}

/// So does this.
fn choice_page(choices: &SignInChoices, request: &Parts) -> impl IntoResponse + use<> {
    own(own_choices(choices, language(request)))
}

fn language(request: &Parts) -> Option<&str> {
    request.headers.get("accept-language")?.to_str().ok()
}

fn own(page: String) -> impl IntoResponse {
    let headers = [
        ("cache-control", "public"),
        ("content-language", "de"),
        ("content-security-policy", "default-src 'self'"),
        ("set-cookie", "own=1"),
    ];
    (StatusCode::ACCEPTED, headers, Html(page))
}

/// `/admin` and what lies below it are protected; everything else is public.
pub(crate) fn serve_prefix(listener: TcpListener, auth: &Auth) -> Server {
    let admin = Router::new()
        .route("/", any(protected))
        .route("/users", any(protected))
        .route("/files/{*path}", any(protected))
        .route_layer(require(Gate::signed_in()));
    let router = Router::new()
        .nest("/admin", admin)
        .fallback(async || "public")
        .layer(auth.layer());
    run(listener, router)
}

/// Two proxies side by side.
pub(crate) fn serve_proxies(listener: TcpListener, auth: &Auth, first: Proxy, second: Proxy) -> Server {
    let router = Router::new()
        .merge(auth.proxy("/first", first))
        .merge(auth.proxy("/second/", second))
        .layer(auth.layer());
    run(listener, router)
}

/// Everything is protected, whatever its path.
pub(crate) fn serve_whole(listener: TcpListener, auth: &Auth) -> Server {
    let router = Router::new()
        .fallback(protected)
        .layer(require(Gate::signed_in()))
        .layer(auth.layer());
    run(listener, router)
}

async fn protected() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("x-reached", "1")], "for administrators")
}

fn router() -> Router {
    let page = || get(async || "through");
    let deep = Router::new()
        .route(
            "/admin",
            page().route_layer(require(Gate::signed_in().role("admin"))),
        )
        .route(
            "/auditor",
            page().route_layer(require(Gate::signed_in().role("auditor"))),
        )
        .route("/page", page())
        .route_layer(require(Gate::signed_in()));
    let to_welcome = Gate::signed_in().or_redirect("/welcome");
    let to_welcome_and_back = Gate::signed_in().or_redirect_with_return("/welcome", "next");
    Router::new()
        .route("/", get(async || "home"))
        .route("/me", get(me).post(me))
        .route("/employee", get(employee))
        .route("/misfit", get(misfit))
        .route("/maybe", get(maybe))
        .route("/peek", get(peek).post(peek))
        .route("/everything", get(everything))
        .route("/several", get(several))
        .route("/api", get(api))
        .route("/organization", get(organization))
        .route("/switch", post(switch))
        .route("/switch-and-fail", post(switch_and_fail))
        .route("/flash", get(read_flash).post(leave_flash))
        .route("/clear", post(clear))
        .route("/huge", post(huge))
        .nest("/nested", Router::new().nest("/deep", deep))
        .route(
            "/mail",
            page()
                .post(async || "sent")
                .route_layer(require(Gate::signed_in().scope("mail.read"))),
        )
        .route("/guests", page().route_layer(require(Gate::guests_only("/me"))))
        .route("/redirect", page().route_layer(require(to_welcome)))
        .route(
            "/redirect-with-return",
            page().route_layer(require(to_welcome_and_back)),
        )
        .route(
            "/unauthorized",
            page()
                .post(async || "sent")
                .route_layer(require(Gate::signed_in().or_unauthorized())),
        )
}

fn sockets(auth: &Auth) -> Router {
    Router::new()
        .route("/socket", get(socket))
        .with_state(auth.clone())
}

async fn socket(State(auth): State<Auth>, user: RequireAuth, upgrade: WebSocketUpgrade) -> Response {
    let ended = auth.until_ended(&user);
    upgrade.on_upgrade(|socket| echo(socket, ended))
}

/// Says what it hears, until the session ends or the browser goes.
async fn echo(mut socket: WebSocket, mut ended: UntilEnded) {
    loop {
        let heard = tokio::select! {
            () = &mut ended => break,
            heard = socket.recv() => heard,
        };
        let goes_on = match heard {
            Some(Ok(Message::Text(text))) => socket.send(Message::Text(text)).await.is_ok(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => true,
            _ => false,
        };
        if !goes_on {
            return;
        }
    }
    let frame = CloseFrame {
        code: close_code::POLICY,
        reason: "signed out".into(),
    };
    // A browser that has gone need not know.
    let _ = socket.send(Message::Close(Some(frame))).await;
}

async fn me(user: RequireAuth) -> String {
    user.subject().to_owned()
}

async fn employee(user: RequireAuth<Employee>) -> String {
    user.claims.department.clone()
}

async fn misfit(user: RequireAuth<Misfit>) -> String {
    user.claims.department.to_string()
}

async fn maybe(user: Option<RequireAuth>) -> String {
    user.map_or("nobody".to_owned(), |user| user.subject().to_owned())
}

async fn peek(PeekSession(session): PeekSession) -> String {
    session.map_or("nobody".to_owned(), |session| session.subject().to_owned())
}

async fn several(
    user: RequireAuth,
    _: Option<RequireAuth>,
    _: AuthenticatedClient,
    _: RequireAuth<Employee>,
) -> String {
    user.subject().to_owned()
}

async fn everything(
    user: RequireAuth,
    _: Option<RequireAuth>,
    _: PeekSession,
    _: AuthenticatedClient,
    _: RequireAuth<Employee>,
) -> String {
    user.subject().to_owned()
}

async fn api(api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    Ok(Json(api.get("/users/me").send().await?.json().await?))
}

async fn organization(user: RequireAuth) -> String {
    user.claims.str("org_id").unwrap_or("none").to_owned()
}

fn other_organization() -> CustomGrant {
    CustomGrant::new("organization_switch")
        .template("token", "{{accessToken}}")
        .param("switching_organization", "org-7")
}

async fn switch(session: SwitchSession) -> Result<String, AuthError> {
    assert_eq!(session.session().subject(), "ada");
    Ok(session.switch(&other_organization()).await?.subject().to_owned())
}

async fn switch_and_fail(session: SwitchSession) -> Result<(), AuthError> {
    session.switch(&other_organization()).await?;
    Err(Error::from(NotAllowed::Role).into())
}

async fn leave_flash(session: Session, text: String) -> Result<StatusCode, AuthError> {
    let text = if text.is_empty() { "saved" } else { &text };
    session.insert("flash", text).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn read_flash(session: Session) -> Result<String, AuthError> {
    let flash = session.get("flash").await?;
    Ok(flash.unwrap_or_else(|| "none".to_owned()))
}

async fn clear(session: Session) -> StatusCode {
    session.clear().await;
    StatusCode::NO_CONTENT
}

async fn huge(session: Session) -> Result<StatusCode, AuthError> {
    session.insert("huge", "a".repeat(1 << 20)).await?;
    Ok(StatusCode::NO_CONTENT)
}
