//! Access tokens for an API of the application's own.

use std::time::Duration;

use auth_core::bearer::{BearerError, BearerToken, ResourceServer};
use auth_testing::{TestAuth, TestToken};
use http::Method;
use serde_json::json;

use crate::Head;

async fn verify(server: &ResourceServer, token: &TestToken) -> Result<BearerToken, BearerError> {
    server.verify(&Head(token.get("/orders"))).await
}

#[tokio::test]
async fn a_token_is_what_the_test_says() {
    let auth = TestAuth::new().await;
    let server = auth.auth().resource_server("https://app.test").build().unwrap();
    let token = auth
        .token("ada")
        .scopes(["orders:read", "orders:write"])
        .roles(["admin"])
        .claim("department", 7)
        .issue();
    let seen = verify(&server, &token).await.unwrap();
    assert_eq!(seen.subject(), Some("ada"));
    assert!(seen.scopes().contains("orders:write"));
    assert_eq!(seen.claims().get("department"), Some(&json!(7)));
    assert_eq!(seen.claims().get("roles"), Some(&json!(["admin"])));
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused() {
    let auth = TestAuth::new().await;
    let server = auth.auth().resource_server("https://app.test").build().unwrap();
    let other = TestAuth::new().await;
    let good = auth.token("ada").lifetime(Duration::from_secs(120)).issue();
    assert!(verify(&server, &good).await.is_ok());
    for (why, token) in [
        ("dead", auth.token("ada").expired().issue()),
        (
            "for another audience",
            auth.token("ada").audience("https://other.test").issue(),
        ),
        (
            "of another issuer",
            auth.token("ada").claim("iss", "https://other.test").issue(),
        ),
        ("with an unknown key", other.token("ada").issue()),
    ] {
        let refused = verify(&server, &token).await;
        assert!(
            matches!(refused, Err(BearerError::InvalidToken(_))),
            "{why}: {refused:?}"
        );
    }
    auth.advance(Duration::from_secs(120 + 61));
    assert!(verify(&server, &good).await.is_err(), "dead by now");
}

#[tokio::test]
async fn an_api_without_sessions_trusts_the_tests_provider() {
    let auth = TestAuth::new().await;
    let server = auth
        .resource_server()
        .audience("https://api.example")
        .build()
        .unwrap();
    let token = auth.token("ada").audience("https://api.example").issue();
    assert!(verify(&server, &token).await.is_ok());
    assert!(verify(&server, &auth.token("ada").issue()).await.is_err());
}

#[tokio::test]
async fn the_header_fits_any_request() {
    let auth = TestAuth::new().await;
    let token = auth.token("ada").issue();
    let (name, value) = token.header();
    assert_eq!(
        (name, value),
        ("authorization", format!("Bearer {}", token.text()))
    );
    let request = token.json(Method::POST, "/orders", &json!({"item": "gear"}));
    assert_eq!(request.headers()["authorization"], token.header().1.as_str());
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(token.request(Method::PUT, "/orders/1", "text").body(), "text");
}
