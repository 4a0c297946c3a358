//! An API alone: no session layer anywhere.

use std::net::TcpListener;
use std::time::Duration;

use auth_axum::{BearerGate, BearerToken, MaybeBearer, ResourceServer, bearer_layer, require_bearer};
use axum::Router;
use axum::routing::get;

pub(crate) struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn serve(listener: TcpListener, server: &ResourceServer) -> Server {
    run(listener, routes().layer(bearer_layer(server.clone())))
}

pub(crate) fn serve_without_layer(listener: TcpListener) -> Server {
    run(listener, routes())
}

fn run(listener: TcpListener, router: Router) -> Server {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    Server(tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    }))
}

fn routes() -> Router {
    let gated = |gate: BearerGate| get(async || "through").route_layer(require_bearer(gate));
    let deep = Router::new().route("/token", get(token));
    Router::new()
        .route("/public", get(async || "public"))
        .route("/token", get(token))
        .route("/maybe", get(maybe))
        .route("/option", get(option))
        .route("/cached", get(cached))
        .route(
            "/everything",
            get(everything).route_layer(require_bearer(BearerGate::token())),
        )
        .route("/mail", gated(BearerGate::token().scope("mail.read")))
        .route(
            "/fresh",
            gated(BearerGate::token().within(Duration::from_secs(300))),
        )
        .nest("/nested", Router::new().nest("/deep", deep))
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

async fn everything(token: BearerToken, _: MaybeBearer, _: Option<BearerToken>) -> String {
    subject(&token)
}

async fn cached(_: BearerToken) -> ([(&'static str, &'static str); 1], &'static str) {
    ([("cache-control", "private, max-age=60")], "kept")
}
