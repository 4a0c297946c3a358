//! The application under test.

use std::net::TcpListener;

use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, middleware, rt};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream};
use auth_actix::core::error::NotAllowed;
use auth_actix::core::grants::CustomGrant;
use auth_actix::{
    Auth, AuthError, AuthExt, AuthenticatedClient, Error, Failure, Gate, MaybeAuth, PeekSession, Proxy,
    RequireAuth, SignInChoices, SwitchSession, UntilEnded, require,
};
use serde_json::Value;

use crate::world::{Carrier, Employee, Misfit, own_choices, own_page};

pub(crate) struct Server(ServerHandle);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stop(false));
    }
}

pub(crate) fn serve(listener: TcpListener, auth: &Auth, carrier: Carrier) -> Server {
    let (auth, key) = (auth.clone(), Key::generate());
    let app_sessions = auth.app_session_layer().unwrap();
    let server = HttpServer::new(move || {
        let layer = match carrier {
            Carrier::FrameworkSession | Carrier::AppSession => auth.layer().in_actix_session(),
            Carrier::Cookie | Carrier::CookieBesideSession | Carrier::CookieBesideAppSession => auth.layer(),
            Carrier::CookieAndOwnPages => auth.layer().error_page(error_page).choice_page(choice_page),
        };
        let session = SessionMiddleware::builder(CookieSessionStore::default(), key.clone())
            .cookie_secure(false)
            .build();
        let with_session =
            web::scope("")
                .configure(flash)
                .configure(auth.routes())
                .wrap(middleware::Condition::new(
                    carrier == Carrier::CookieBesideAppSession,
                    app_sessions.clone(),
                ));
        App::new()
            .app_data(Data::new(auth.clone()))
            .configure(routes)
            .service(with_session)
            .wrap(layer)
            .wrap(middleware::Condition::new(
                matches!(carrier, Carrier::CookieBesideSession | Carrier::FrameworkSession),
                session,
            ))
            .wrap(middleware::Condition::new(
                carrier == Carrier::AppSession,
                app_sessions.clone(),
            ))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    run(server)
}

pub(crate) fn run(server: actix_web::dev::Server) -> Server {
    let handle = server.handle();
    tokio::spawn(server);
    Server(handle)
}

/// It tries to undo what the library has to keep.
fn error_page(failure: &Failure, request: &HttpRequest) -> HttpResponse {
    own(own_page(failure, language(request)))
}

/// So does this.
fn choice_page(choices: &SignInChoices, request: &HttpRequest) -> HttpResponse {
    own(own_choices(choices, language(request)))
}

fn language(request: &HttpRequest) -> Option<&str> {
    request.headers().get("accept-language")?.to_str().ok()
}

fn own(page: String) -> HttpResponse {
    HttpResponse::Accepted()
        .content_type("text/html; charset=utf-8")
        .insert_header(("cache-control", "public"))
        .insert_header(("content-language", "de"))
        .insert_header(("content-security-policy", "default-src 'self'"))
        .insert_header(("set-cookie", "own=1"))
        .body(page)
}

/// `/admin` and what lies below it are protected; everything else is public.
pub(crate) fn serve_prefix(listener: TcpListener, auth: &Auth) -> Server {
    let auth = auth.clone();
    let server = HttpServer::new(move || {
        let admin = web::scope("/admin")
            .route("", web::to(protected))
            .route("/users", web::to(protected))
            .route("/files/{path:.*}", web::to(protected))
            .wrap(require(Gate::signed_in()));
        App::new()
            .service(admin)
            .default_service(web::to(async || "public"))
            .wrap(auth.layer())
    });
    run(server
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run())
}

/// Two proxies side by side.
pub(crate) fn serve_proxies(listener: TcpListener, auth: &Auth, first: Proxy, second: Proxy) -> Server {
    let auth = auth.clone();
    let server = HttpServer::new(move || {
        App::new()
            .service(auth.proxy("/first", first.clone()))
            .service(auth.proxy("/second/", second.clone()))
            .wrap(auth.layer())
    });
    run(server
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run())
}

/// Everything is protected, whatever its path.
pub(crate) fn serve_whole(listener: TcpListener, auth: &Auth) -> Server {
    let auth = auth.clone();
    let server = HttpServer::new(move || {
        App::new()
            .default_service(web::to(protected))
            .wrap(require(Gate::signed_in()))
            .wrap(auth.layer())
    });
    run(server
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run())
}

async fn protected() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("x-reached", "1"))
        .body("for administrators")
}

fn flash(config: &mut ServiceConfig) {
    config
        .route("/flash", web::post().to(leave_flash))
        .route("/flash", web::get().to(read_flash))
        .route("/clear", web::post().to(clear))
        .route("/huge", web::post().to(huge))
        .route("/switch", web::post().to(switch))
        .route("/switch-and-fail", web::post().to(switch_and_fail));
}

fn routes(config: &mut ServiceConfig) {
    let page = || web::to(async || "through");
    config
        .route("/", web::get().to(async || "home"))
        .route("/me", web::get().to(me))
        .route("/me", web::post().to(me))
        .route("/employee", web::get().to(employee))
        .route("/misfit", web::get().to(misfit))
        .route("/maybe", web::get().to(maybe))
        .route("/option", web::get().to(option))
        .route("/peek", web::get().to(peek))
        .route("/peek", web::post().to(peek))
        .route("/everything", web::get().to(everything))
        .route("/several", web::get().to(several))
        .route("/api", web::get().to(api))
        .route("/socket", web::get().to(socket))
        .route("/organization", web::get().to(organization))
        .service(
            web::scope("/nested").service(
                web::scope("/deep")
                    .service(
                        web::resource("/admin")
                            .wrap(require(Gate::signed_in().role("admin")))
                            .route(page()),
                    )
                    .service(
                        web::resource("/auditor")
                            .wrap(require(Gate::signed_in().role("auditor")))
                            .route(page()),
                    )
                    .route("/page", page())
                    .wrap(require(Gate::signed_in())),
            ),
        )
        .service(
            web::resource("/mail")
                .wrap(require(Gate::signed_in().scope("mail.read")))
                .route(page())
                .route(web::post().to(async || "sent")),
        )
        .service(
            web::resource("/guests")
                .wrap(require(Gate::guests_only("/me")))
                .route(page()),
        )
        .service(
            web::resource("/redirect")
                .wrap(require(Gate::signed_in().or_redirect("/welcome")))
                .route(page()),
        )
        .service(
            web::resource("/redirect-with-return")
                .wrap(require(
                    Gate::signed_in().or_redirect_with_return("/welcome", "next"),
                ))
                .route(page()),
        )
        .service(
            web::resource("/unauthorized")
                .wrap(require(Gate::signed_in().or_unauthorized()))
                .route(page())
                .route(web::post().to(async || "sent")),
        );
}

async fn socket(
    auth: Data<Auth>,
    user: RequireAuth,
    request: HttpRequest,
    body: Payload,
) -> actix_web::Result<HttpResponse> {
    let (response, socket, messages) = actix_ws::handle(&request, body)?;
    let ended = auth.until_ended(&user);
    rt::spawn(echo(socket, messages, ended));
    Ok(response)
}

/// Says what it hears, until the session ends or the browser goes.
async fn echo(mut socket: actix_ws::Session, mut messages: MessageStream, mut ended: UntilEnded) {
    loop {
        let heard = tokio::select! {
            () = &mut ended => break,
            heard = messages.recv() => heard,
        };
        let goes_on = match heard {
            Some(Ok(Message::Text(text))) => socket.text(text).await.is_ok(),
            Some(Ok(Message::Ping(bytes))) => socket.pong(&bytes).await.is_ok(),
            Some(Ok(Message::Pong(_))) => true,
            _ => false,
        };
        if !goes_on {
            return;
        }
    }
    let reason = CloseReason {
        code: CloseCode::Policy,
        description: Some("signed out".to_owned()),
    };
    // A browser that has gone need not know.
    let _ = socket.close(Some(reason)).await;
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

async fn maybe(MaybeAuth(user): MaybeAuth) -> String {
    user.map_or("nobody".to_owned(), |user| user.subject().to_owned())
}

async fn option(user: Option<RequireAuth>) -> String {
    user.map_or("nobody".to_owned(), |user| user.subject().to_owned())
}

async fn peek(PeekSession(session): PeekSession) -> String {
    session.map_or("nobody".to_owned(), |session| session.subject().to_owned())
}

async fn several(
    user: RequireAuth,
    _: MaybeAuth,
    _: AuthenticatedClient,
    _: RequireAuth<Employee>,
) -> String {
    user.subject().to_owned()
}

async fn everything(
    user: RequireAuth,
    _: MaybeAuth,
    _: PeekSession,
    _: AuthenticatedClient,
    _: RequireAuth<Employee>,
) -> String {
    user.subject().to_owned()
}

async fn api(api: AuthenticatedClient) -> Result<web::Json<Value>, AuthError> {
    Ok(web::Json(api.get("/users/me").send().await?.json().await?))
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

async fn switch_and_fail(session: SwitchSession) -> Result<HttpResponse, AuthError> {
    session.switch(&other_organization()).await?;
    Err(Error::from(NotAllowed::Role).into())
}

async fn leave_flash(session: Session, text: String) -> actix_web::Result<HttpResponse> {
    let text = if text.is_empty() { "saved" } else { &text };
    session.insert("flash", text)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn read_flash(session: Session) -> actix_web::Result<String> {
    Ok(session.get("flash")?.unwrap_or_else(|| "none".to_owned()))
}

async fn clear(session: Session) -> HttpResponse {
    session.clear();
    HttpResponse::NoContent().finish()
}

async fn huge(session: Session) -> actix_web::Result<HttpResponse> {
    session.insert("huge", "a".repeat(1 << 20))?;
    Ok(HttpResponse::NoContent().finish())
}
