//! Tests of the application's own handlers: no browser, no network, no provider to register at.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use auth_testing::{ApiAnswer, Endpoint, Fault, TestAuth};
use axum::Router;
use axum::body::to_bytes;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tested_axum::{app, settings};
use tower::ServiceExt;

/// The application, and all that it talks to.
async fn start() -> (TestAuth, Router) {
    let auth = TestAuth::with(settings).await.unwrap();
    auth.api()
        .on("GET", "/orders", ApiAnswer::json(&json!([{ "item": "gear" }])));
    let app = app(&auth.auth()).unwrap();
    (auth, app)
}

/// Status and body of the application's answer.
async fn ask(app: &Router, request: Request<String>) -> (u16, Value) {
    let answer = app.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn orders_come_from_the_api_with_the_users_token() {
    let (auth, app) = start().await;
    let ada = auth.user("ada").signed_in().await;
    let (status, body) = ask(&app, ada.get("/orders")).await;
    assert_eq!(status, 200);
    assert_eq!(body, json!({ "of": "ada", "orders": [{ "item": "gear" }] }));
    let asked = &auth.api().requests()[0];
    assert_eq!(asked.subject(), Some("ada"));
    assert!(asked.scopes().contains(&"orders:read".to_owned()));
}

#[tokio::test]
async fn who_is_not_signed_in_is_sent_to_sign_in() {
    let (auth, app) = start().await;
    let answer = app
        .clone()
        .oneshot(auth.guest().open("/orders?page=2"))
        .await
        .unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(
        answer.headers()["location"],
        "/auth/login?return_to=%2Forders%3Fpage%3D2"
    );
    // A script cannot sign in.
    assert_eq!(ask(&app, auth.guest().get("/orders")).await.0, 401);
}

#[tokio::test]
async fn clerks_alone_add_orders() {
    let (auth, app) = start().await;
    auth.api().on_each("POST", "/orders", |order| {
        ApiAnswer::json(&json!({ "id": 7, "item": order.json().unwrap()["item"] }))
    });
    let order = json!({ "item": "spring" });
    let clerk = auth.user("carl").roles(["clerk"]).signed_in().await;
    let (status, body) = ask(&app, clerk.json(Method::POST, "/orders", &order)).await;
    assert_eq!((status, body), (200, json!({ "id": 7, "item": "spring" })));
    let customer = auth.user("ada").roles(["customer"]).signed_in().await;
    assert_eq!(
        ask(&app, customer.json(Method::POST, "/orders", &order)).await.0,
        403
    );
    assert_eq!(auth.api().requests().len(), 1);
}

#[tokio::test]
async fn other_sites_add_no_orders() {
    let (auth, app) = start().await;
    let clerk = auth.user("carl").roles(["clerk"]).signed_in().await;
    let mut request = clerk.json(Method::POST, "/orders", &json!({ "item": "spring" }));
    request
        .headers_mut()
        .insert("origin", "https://evil.example".parse().unwrap());
    assert_eq!(ask(&app, request).await.0, 403);
    assert!(auth.api().requests().is_empty());
}

#[tokio::test]
async fn paying_takes_a_recent_sign_in() {
    let (auth, app) = start().await;
    let recent = auth.user("ada").signed_in().await;
    let (status, body) = ask(&app, recent.request(Method::POST, "/payments", "")).await;
    assert_eq!((status, body), (200, json!({ "paid_by": "ada" })));
    let long_ago = auth.user("ada").authenticated_ago(Duration::from_secs(3600));
    let long_ago = long_ago.signed_in().await;
    assert_eq!(
        ask(&app, long_ago.request(Method::POST, "/payments", "")).await.0,
        401
    );
}

#[tokio::test]
async fn a_dead_access_token_is_refreshed_first() {
    let (auth, app) = start().await;
    let ada = auth.user("ada").access_token("the-first").access_token_expired();
    let ada = ada.signed_in().await;
    assert_eq!(ask(&app, ada.get("/orders")).await.0, 200);
    assert_eq!(auth.provider().refresh_count(), 1);
    assert_ne!(auth.api().requests()[0].access_token(), Some("the-first"));
}

#[tokio::test]
async fn a_provider_that_is_down_signs_nobody_out() {
    let (auth, app) = start().await;
    let ada = auth.user("ada").signed_in().await;
    auth.provider().fail(Endpoint::Token, Fault::status(503));
    assert_eq!(ask(&app, ada.get("/orders")).await.0, 200, "the token lives");
    auth.advance(Duration::from_secs(600));
    assert_eq!(ask(&app, ada.get("/orders")).await.0, 503);
    auth.provider().clear_all();
    auth.advance(Duration::from_secs(60));
    assert_eq!(ask(&app, ada.get("/orders")).await.0, 200);
}

#[tokio::test]
async fn a_sign_out_at_the_provider_counts_here() {
    let (auth, app) = start().await;
    let ada = auth.user("ada").signed_in().await;
    assert_eq!(ada.sign_out_at_provider().await.unwrap(), 200);
    assert_eq!(ask(&app, ada.get("/orders")).await.0, 401);
}

#[tokio::test]
async fn an_api_that_is_out_of_order_is_no_fault_of_ours() {
    let (auth, app) = start().await;
    let ada = auth.user("ada").signed_in().await;
    for answer in [ApiAnswer::status(500), ApiAnswer::unreachable()] {
        auth.api().on("GET", "/orders", answer.clone());
        assert_eq!(ask(&app, ada.get("/orders")).await.0, 502, "{answer:?}");
    }
}

#[tokio::test]
async fn programs_come_with_access_tokens() {
    let (auth, app) = start().await;
    let token = auth.token("robot").scopes(["stock:read"]).issue();
    let (status, body) = ask(&app, token.get("/stock")).await;
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
        assert_eq!(ask(&app, token.get("/stock")).await.0, status);
    }
    let ada = auth.user("ada").signed_in().await;
    assert_eq!(ask(&app, ada.get("/stock")).await.0, 401, "a session is no token");
}
