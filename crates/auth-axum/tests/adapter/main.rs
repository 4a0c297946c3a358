//! The adapter over real HTTP, against the development provider.
//!
//! `world`, `cases`, `guides`, `paths`, `proxies` and `sockets` are the actix-web adapter's: they know nothing of either framework.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use auth_axum::{Auth, AuthExt, Failure, Gate, Providers, RequireAuth, SignInProvider, require};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{Request, Version};
use axum::routing::{get, post};
use tower::ServiceExt as _;
use tower_sessions::Session;

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

async fn fill(session: Session) {
    session.insert("large", "x".repeat(2 << 20)).await.unwrap();
}

#[tokio::test]
async fn what_the_app_session_layer_answers_is_shown_on_the_apps_own_page_inside_of_the_layer_alone() {
    let world = World::start(Carrier::Cookie).await;
    let page = |failure: &Failure, _: &Parts| format!("own: {}", failure.code());
    let layer = world.auth.layer().error_page(page);
    let sessions = world.auth.app_session_layer().unwrap();
    let router: Router = Router::new().route("/fill", get(fill));
    let inside = router.clone().layer(sessions.clone()).layer(layer.clone());
    let outside = router.layer(layer).layer(sessions);
    for (app, is_own) in [(inside, true), (outside, false)] {
        let request = Request::get("/fill").header("accept", "text/html");
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 413);
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        assert_eq!(body.starts_with(b"own: "), is_own, "{body:?}");
    }
}

/// An application with two origins, and a provider for each.
async fn two_origins() -> Auth {
    let provider = |origin: &str| {
        SignInProvider::default()
            .issuer("https://id.example")
            .client("tests", None)
            .only_at(origin)
    };
    let (acme, globex) = ("http://acme.localhost:3000", "http://globex.localhost:3000");
    let builder = Auth::builder().base_url(acme).further_base_url(globex);
    let builder = builder
        .provider("acme", provider(acme))
        .provider("globex", provider(globex));
    builder.build().await.unwrap()
}

async fn names(Providers(providers): Providers) -> String {
    let names = providers.into_iter().filter_map(|provider| provider.name);
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_page_to_choose_on_is_given_the_providers_of_its_origin() {
    let auth = two_origins().await;
    let app: Router = Router::new().route("/", get(names)).layer(auth.layer());
    for name in ["acme", "globex"] {
        let request = Request::get("/").header("host", format!("{name}.localhost:3000"));
        let response = app
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        assert_eq!(body, name);
    }
}

// RFC 9113 §8.3.1
#[tokio::test]
async fn the_authority_of_http_2_names_the_origin_also_inside_of_a_nested_router() {
    const ORIGINS: [&str; 2] = ["http://a.localhost:3000", "http://b.localhost:3000"];
    let auth = Auth::builder()
        .base_url(ORIGINS[0])
        .further_base_url(ORIGINS[1])
        .endpoints("https://id.example/authorize", "https://id.example/token")
        .client("app", None)
        .build()
        .await
        .unwrap();
    let inner = Router::new().route("/me", post(me)).layer(auth.layer());
    let app: Router = Router::new().nest("/inner", inner);
    for at in ORIGINS {
        for origin in ORIGINS {
            let request = Request::post(format!("{at}/inner/me"))
                .version(Version::HTTP_2)
                .header("origin", origin)
                .body(Body::empty())
                .unwrap();
            let status = app.clone().oneshot(request).await.unwrap().status();
            assert_eq!(status, if origin == at { 401 } else { 403 }, "{origin} at {at}");
        }
    }
}
