//! An API alone: no session layer anywhere.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use auth_actix::{BearerGate, BearerToken, MaybeBearer, ResourceServer, bearer_layer, require_bearer};

pub(crate) struct Server(ServerHandle);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stop(false));
    }
}

pub(crate) fn serve(listener: TcpListener, server: &ResourceServer) -> Server {
    let server = server.clone();
    run(
        HttpServer::new(move || App::new().configure(routes).wrap(bearer_layer(server.clone())))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run(),
    )
}

pub(crate) fn serve_without_layer(listener: TcpListener) -> Server {
    run(HttpServer::new(|| App::new().configure(routes))
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run())
}

fn run(server: actix_web::dev::Server) -> Server {
    let handle = server.handle();
    tokio::spawn(server);
    Server(handle)
}

fn routes(config: &mut ServiceConfig) {
    let gated = |path: &'static str, gate: BearerGate| {
        web::resource(path)
            .wrap(require_bearer(gate))
            .to(async || "through")
    };
    config
        .route("/public", web::get().to(async || "public"))
        .route("/token", web::get().to(token))
        .route("/maybe", web::get().to(maybe))
        .route("/option", web::get().to(option))
        .route("/cached", web::get().to(cached))
        .service(
            web::resource("/everything")
                .wrap(require_bearer(BearerGate::token()))
                .to(everything),
        )
        .service(gated("/mail", BearerGate::token().scope("mail.read")))
        .service(gated(
            "/fresh",
            BearerGate::token().within(Duration::from_secs(300)),
        ))
        .service(web::scope("/nested").service(web::scope("/deep").route("/token", web::get().to(token))));
}

fn subject(token: &BearerToken) -> String {
    token.subject().unwrap_or_default().to_owned()
}

async fn token(token: BearerToken) -> String {
    subject(&token)
}

async fn maybe(MaybeBearer(token): MaybeBearer) -> String {
    token.map_or("nobody".to_owned(), |token| subject(&token))
}

async fn option(token: Option<BearerToken>) -> String {
    token.map_or("nobody".to_owned(), |token| subject(&token))
}

async fn everything(token: BearerToken, _: MaybeBearer, _: BearerToken) -> String {
    subject(&token)
}

async fn cached(_: BearerToken) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "private, max-age=60"))
        .body("kept")
}
