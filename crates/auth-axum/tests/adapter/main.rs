//! The adapter over real HTTP, against the development provider.
//!
//! `world`, `cases`, `guides`, `paths`, `proxies` and `sockets` are the actix-web adapter's: they know nothing of either framework.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use auth_axum::{AuthExt, Gate, RequireAuth, require};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::routing::get;
use tower::ServiceExt as _;

mod app;
#[path = "../../../auth-actix/tests/adapter/bearer.rs"]
mod bearer;
mod bearer_app;
#[path = "../../../auth-actix/tests/adapter/cases.rs"]
mod cases;
#[path = "../../../auth-actix/tests/adapter/guides.rs"]
mod guides;
mod guides_app;
#[path = "../../../auth-actix/tests/adapter/paths.rs"]
mod paths;
#[path = "../../../auth-actix/tests/adapter/proxies.rs"]
mod proxies;
#[path = "../../../auth-actix/tests/adapter/sockets.rs"]
mod sockets;
#[path = "../../../auth-actix/tests/adapter/world.rs"]
mod world;

use world::{Carrier, World};

async fn me(_: RequireAuth) {}

#[tokio::test]
async fn without_the_layer_extractors_and_gates_answer_500() {
    let app: Router = Router::new()
        .route("/extractor", get(me))
        .route("/gate", get(async || ()).route_layer(require(Gate::signed_in())));
    for path in ["/extractor", "/gate"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 500);
    }
}

#[tokio::test]
async fn without_a_session_layer_the_carrier_is_missed() {
    let world = World::start(Carrier::Cookie).await;
    let app: Router = Router::new()
        .route("/me", get(me))
        .layer(world.auth.layer().in_tower_session());
    let request = Request::get("/me").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "setup.carrier_missing");
}
