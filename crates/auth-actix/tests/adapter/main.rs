//! The adapter over real HTTP, against the development provider.
//!
//! `world`, `cases`, `guides`, `paths`, `proxies` and `sockets` know nothing of actix-web: the axum adapter's tests include them, and
//! bring an `app` and a `guides_app` of their own. What follows here is about actix-web alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use actix_session::Session;
use actix_web::body::to_bytes;
use actix_web::http::Version;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service, try_call_service};
use actix_web::{App, HttpRequest, HttpResponse, web};
use auth_actix::core::error::SetupError;
use auth_actix::{
    Auth, AuthError, AuthExt, Error, Failure, Gate, Providers, RequireAuth, SignInProvider, require,
};

mod app;
mod bearer;
mod bearer_app;
mod cases;
mod guides;
mod guides_app;
mod paths;
mod proxies;
mod sockets;
mod world;

use world::{Carrier, World};

async fn me(_: RequireAuth) -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn without_the_layer_extractors_and_gates_name_what_is_missing() {
    let app = init_service(
        App::new().route("/extractor", web::get().to(me)).service(
            web::resource("/gate")
                .wrap(require(Gate::signed_in()))
                .to(HttpResponse::Ok),
        ),
    )
    .await;
    for path in ["/extractor", "/gate"] {
        let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        assert_eq!(response.status(), 500);
        let error: &AuthError = response.response().error().unwrap().as_error().unwrap();
        assert!(matches!(error.error(), Error::Setup(SetupError::LayerMissing)));
        assert_eq!(error.error().code(), "setup.layer_missing");
    }
}

#[actix_web::test]
async fn without_a_session_middleware_the_carrier_is_missed() {
    let world = World::start(Carrier::Cookie).await;
    let app = init_service(
        App::new()
            .route("/me", web::get().to(me))
            .wrap(world.auth.layer().in_actix_session()),
    )
    .await;
    let request = TestRequest::get()
        .uri("/me")
        .insert_header(("accept", "application/json"));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.status(), 500);
    let problem: serde_json::Value = actix_web::test::read_body_json(response).await;
    assert_eq!(problem["code"], "setup.carrier_missing");
}

async fn fill(session: Session) -> HttpResponse {
    session.insert("large", "x".repeat(2 << 20)).unwrap();
    HttpResponse::Ok().finish()
}

/// actix-session fails instead of answering, so there is no request left to show the app's own page for.
#[actix_web::test]
async fn what_the_app_session_layer_answers_is_the_librarys_page() {
    let world = World::start(Carrier::Cookie).await;
    let page =
        |failure: &Failure, _: &HttpRequest| HttpResponse::Ok().body(format!("own: {}", failure.code()));
    let app = App::new()
        .route("/fill", web::get().to(fill))
        .wrap(world.auth.app_session_layer().unwrap())
        .wrap(world.auth.layer().error_page(page));
    let app = init_service(app).await;
    let request = TestRequest::get()
        .uri("/fill")
        .insert_header(("accept", "text/html"));
    let error = try_call_service(&app, request.to_request()).await.unwrap_err();
    let response = error.error_response();
    assert_eq!(response.status(), 413);
    let body = to_bytes(response.into_body()).await.unwrap();
    assert!(body.starts_with(b"<!doctype html>"), "{body:?}");
}

#[actix_web::test]
async fn an_inner_middleware_that_fails_with_an_auth_error_gets_its_answer() {
    let world = World::start(Carrier::Cookie).await;
    let app = init_service(
        App::new()
            .route("/", web::get().to(HttpResponse::Ok))
            .wrap(from_fn(async |_, _| {
                Err::<actix_web::dev::ServiceResponse, _>(
                    AuthError::from(Error::from(SetupError::ClaimsType)).into(),
                )
            }))
            .wrap(world.auth.layer()),
    )
    .await;
    let error = try_call_service(&app, TestRequest::get().to_request())
        .await
        .unwrap_err();
    let response = error.error_response();
    assert_eq!(response.status(), 500);
    assert_eq!(
        response.headers().get("content-type").unwrap(),
        "application/problem+json"
    );
}

#[actix_web::test]
async fn an_inner_middleware_that_fails_otherwise_passes_unchanged() {
    let world = World::start(Carrier::Cookie).await;
    let app = init_service(
        App::new()
            .route("/", web::get().to(HttpResponse::Ok))
            .wrap(from_fn(async |_, _| {
                Err::<actix_web::dev::ServiceResponse, _>(actix_web::error::ErrorImATeapot("short and stout"))
            }))
            .wrap(world.auth.layer()),
    )
    .await;
    let error = try_call_service(&app, TestRequest::get().to_request())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "short and stout");
}

/// actix-web makes `None` of an extractor's error, whatever the error.
#[tokio::test]
async fn an_option_that_swallowed_an_outage_does_not_become_the_answer() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    assert_eq!(browser.script("/option").await.body, "nobody");
    browser.sign_in("/").await;
    assert_eq!(browser.script("/option").await.body, "ada");
    world.store.go_down();
    let answer = browser.script("/option").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.code(), "store.unavailable");
    world.store.come_up();
    assert_eq!(browser.script("/option").await.body, "ada");
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

#[actix_web::test]
async fn a_page_to_choose_on_is_given_the_providers_of_its_origin() {
    let auth = two_origins().await;
    let app = init_service(App::new().route("/", web::get().to(names)).wrap(auth.layer())).await;
    for name in ["acme", "globex"] {
        let request = TestRequest::get().insert_header(("host", format!("{name}.localhost:3000")));
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(actix_web::test::read_body(response).await, name);
    }
}

// RFC 9113 §8.3.1
#[actix_web::test]
async fn the_authority_of_http_2_names_the_origin_also_inside_of_a_scope() {
    const ORIGINS: [&str; 2] = ["http://a.localhost:3000", "http://b.localhost:3000"];
    let auth = Auth::builder()
        .base_url(ORIGINS[0])
        .further_base_url(ORIGINS[1])
        .endpoints("https://id.example/authorize", "https://id.example/token")
        .client("app", None)
        .build()
        .await
        .unwrap();
    let inner = web::scope("/inner")
        .route("/me", web::post().to(me))
        .wrap(auth.layer());
    let app = init_service(App::new().service(inner)).await;
    for at in ORIGINS {
        for origin in ORIGINS {
            let request = TestRequest::post()
                .uri(&format!("{at}/inner/me"))
                .version(Version::HTTP_2)
                .insert_header(("origin", origin));
            let status = call_service(&app, request.to_request()).await.status();
            assert_eq!(status, if origin == at { 401 } else { 403 }, "{origin} at {at}");
        }
    }
}
