//! Tests of the application's own handlers: no browser, no network, no provider to register at.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use actix_web::App;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{TestRequest, init_service, read_body, try_call_service};
use auth_actix::AuthExt;
use auth_testing::{ApiAnswer, Endpoint, Fault, TestAuth, TestSession};
use serde_json::{Value, json};
use tested_actix::{routes, settings};

/// The application.
macro_rules! app {
    ($auth:expr) => {{
        let auth = $auth.auth();
        let server = auth.resource_server(auth.base_url()).build().unwrap();
        init_service(App::new().configure(routes(&auth, &server)).wrap(auth.layer())).await
    }};
}

/// All that the application talks to.
async fn start() -> TestAuth {
    let auth = TestAuth::with(settings).await.unwrap();
    auth.api()
        .on("GET", "/orders", ApiAnswer::json(&json!([{ "item": "gear" }])));
    auth
}

/// A request with headers of the test's.
fn with(headers: Vec<(&'static str, String)>, request: TestRequest) -> TestRequest {
    headers.into_iter().fold(request, TestRequest::insert_header)
}

fn get(user: &TestSession, path: &str) -> TestRequest {
    with(user.headers(), TestRequest::get().uri(path))
}

fn post(user: &TestSession, path: &str, body: &Value) -> TestRequest {
    with(user.headers(), TestRequest::post().uri(path).set_json(body))
}

/// Status and body of the application's answer.
async fn ask<S, R, B>(app: &S, request: R) -> (u16, Value)
where
    S: Service<R, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    match try_call_service(app, request).await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            (
                status,
                serde_json::from_slice(&read_body(answer).await).unwrap_or_default(),
            )
        }
        Err(error) => (error.error_response().status().as_u16(), Value::Null),
    }
}

#[actix_web::test]
async fn orders_come_from_the_api_with_the_users_token() {
    let auth = start().await;
    let app = app!(auth);
    let ada = auth.user("ada").signed_in().await;
    let (status, body) = ask(&app, get(&ada, "/orders").to_request()).await;
    assert_eq!(status, 200);
    assert_eq!(body, json!({ "of": "ada", "orders": [{ "item": "gear" }] }));
    let asked = &auth.api().requests()[0];
    assert_eq!(asked.subject(), Some("ada"));
    assert!(asked.scopes().contains(&"orders:read".to_owned()));
}

#[actix_web::test]
async fn who_is_not_signed_in_is_sent_to_sign_in() {
    let auth = start().await;
    let app = app!(auth);
    let guest = auth.guest();
    let page = with(guest.page_headers(), TestRequest::get().uri("/orders?page=2"));
    let answer = try_call_service(&app, page.to_request()).await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(
        answer.headers().get("location").unwrap(),
        "/auth/login?return_to=%2Forders%3Fpage%3D2"
    );
    // A script cannot sign in.
    let script = with(guest.headers(), TestRequest::get().uri("/orders"));
    assert_eq!(ask(&app, script.to_request()).await.0, 401);
}

#[actix_web::test]
async fn clerks_alone_add_orders() {
    let auth = start().await;
    let app = app!(auth);
    auth.api().on_each("POST", "/orders", |order| {
        ApiAnswer::json(&json!({ "id": 7, "item": order.json().unwrap()["item"] }))
    });
    let order = json!({ "item": "spring" });
    let clerk = auth.user("carl").roles(["clerk"]).signed_in().await;
    let (status, body) = ask(&app, post(&clerk, "/orders", &order).to_request()).await;
    assert_eq!((status, body), (200, json!({ "id": 7, "item": "spring" })));
    let customer = auth.user("ada").roles(["customer"]).signed_in().await;
    assert_eq!(
        ask(&app, post(&customer, "/orders", &order).to_request()).await.0,
        403
    );
    assert_eq!(auth.api().requests().len(), 1);
}

#[actix_web::test]
async fn other_sites_add_no_orders() {
    let auth = start().await;
    let app = app!(auth);
    let clerk = auth.user("carl").roles(["clerk"]).signed_in().await;
    let request = TestRequest::post()
        .uri("/orders")
        .insert_header(clerk.cookie())
        .insert_header(("origin", "https://evil.example"))
        .set_json(json!({ "item": "spring" }));
    assert_eq!(ask(&app, request.to_request()).await.0, 403);
    assert!(auth.api().requests().is_empty());
}

#[actix_web::test]
async fn paying_takes_a_recent_sign_in() {
    let auth = start().await;
    let app = app!(auth);
    let recent = auth.user("ada").signed_in().await;
    let (status, body) = ask(&app, post(&recent, "/payments", &Value::Null).to_request()).await;
    assert_eq!((status, body), (200, json!({ "paid_by": "ada" })));
    let long_ago = auth.user("ada").authenticated_ago(Duration::from_secs(3600));
    let long_ago = long_ago.signed_in().await;
    assert_eq!(
        ask(&app, post(&long_ago, "/payments", &Value::Null).to_request())
            .await
            .0,
        401
    );
}

#[actix_web::test]
async fn a_dead_access_token_is_refreshed_first() {
    let auth = start().await;
    let app = app!(auth);
    let ada = auth.user("ada").access_token("the-first").access_token_expired();
    let ada = ada.signed_in().await;
    assert_eq!(ask(&app, get(&ada, "/orders").to_request()).await.0, 200);
    assert_eq!(auth.provider().refresh_count(), 1);
    assert_ne!(auth.api().requests()[0].access_token(), Some("the-first"));
}

#[actix_web::test]
async fn a_provider_that_is_down_signs_nobody_out() {
    let auth = start().await;
    let app = app!(auth);
    let ada = auth.user("ada").signed_in().await;
    auth.provider().fail(Endpoint::Token, Fault::status(503));
    assert_eq!(
        ask(&app, get(&ada, "/orders").to_request()).await.0,
        200,
        "the token lives"
    );
    auth.advance(Duration::from_secs(600));
    assert_eq!(ask(&app, get(&ada, "/orders").to_request()).await.0, 503);
    auth.provider().clear_all();
    auth.advance(Duration::from_secs(60));
    assert_eq!(ask(&app, get(&ada, "/orders").to_request()).await.0, 200);
}

#[actix_web::test]
async fn a_sign_out_at_the_provider_counts_here() {
    let auth = start().await;
    let app = app!(auth);
    let ada = auth.user("ada").signed_in().await;
    assert_eq!(ada.sign_out_at_provider().await.unwrap(), 200);
    assert_eq!(ask(&app, get(&ada, "/orders").to_request()).await.0, 401);
}

#[actix_web::test]
async fn an_api_that_is_out_of_order_is_no_fault_of_ours() {
    let auth = start().await;
    let app = app!(auth);
    let ada = auth.user("ada").signed_in().await;
    for answer in [ApiAnswer::status(500), ApiAnswer::unreachable()] {
        auth.api().on("GET", "/orders", answer.clone());
        assert_eq!(
            ask(&app, get(&ada, "/orders").to_request()).await.0,
            502,
            "{answer:?}"
        );
    }
}

#[actix_web::test]
async fn programs_come_with_access_tokens() {
    let auth = start().await;
    let app = app!(auth);
    let token = auth.token("robot").scopes(["stock:read"]).issue();
    let request = TestRequest::get().uri("/stock").insert_header(token.header());
    let (status, body) = ask(&app, request.to_request()).await;
    assert_eq!((status, body), (200, json!({ "for": "robot", "gears": 12 })));
    for (token, status) in [
        (auth.token("robot").issue(), 403),
        (auth.token("robot").scopes(["stock:read"]).expired().issue(), 401),
        (
            auth.token("robot")
                .scopes(["stock:read"])
                .audience("https://other.example")
                .issue(),
            401,
        ),
    ] {
        let request = TestRequest::get().uri("/stock").insert_header(token.header());
        assert_eq!(ask(&app, request.to_request()).await.0, status);
    }
    let ada = auth.user("ada").signed_in().await;
    assert_eq!(
        ask(&app, get(&ada, "/stock").to_request()).await.0,
        401,
        "a session is no token"
    );
}
