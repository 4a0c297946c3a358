//! APIs that are called with the user's token.

use auth_core::client::ApiError;
use auth_testing::{ApiAnswer, Endpoint, TestAuth, TestSession};
use serde_json::{Value, json};

use crate::session;

async fn client(auth: &TestAuth, user: &TestSession) -> auth_core::client::AuthenticatedClient {
    auth.auth().client(&session(user).await)
}

#[tokio::test]
async fn an_api_answers_as_it_is_told_and_remembers_who_asked() {
    let auth = TestAuth::new().await;
    let ada = auth
        .user("ada")
        .scopes(["orders:read"])
        .access_token("opaque")
        .signed_in()
        .await;
    let api = auth.api();
    assert_eq!(api.url(), "https://api.test");
    api.on("GET", "/orders", ApiAnswer::json(&json!([7])));
    api.on_each("POST", "/orders", |request| match request.json() {
        Some(order) => ApiAnswer::new(201, "application/json", order.to_string()).header("x-order", "8"),
        None => ApiAnswer::status(400),
    });
    let client = client(&auth, &ada).await;

    let orders: Value = client
        .get("/orders?page=2")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(orders, json!([7]));
    let made = client
        .post("/orders")
        .json(&json!({"item": "gear"}))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (made.status().as_u16(), &made.headers()["x-order"]),
        (201, &"8".parse().unwrap())
    );
    assert_eq!(made.json::<Value>().await.unwrap(), json!({"item": "gear"}));
    let bad = client.post("/orders").body("no JSON").send().await.unwrap();
    assert_eq!(bad.status(), 400);

    let requests = api.requests();
    let asked: Vec<_> = requests
        .iter()
        .map(|one| (one.method(), one.path(), one.query()))
        .collect();
    assert_eq!(
        asked,
        [
            ("GET", "/orders", "page=2"),
            ("POST", "/orders", ""),
            ("POST", "/orders", "")
        ]
    );
    assert_eq!(requests[0].subject(), Some("ada"));
    assert_eq!(requests[0].access_token(), Some("opaque"));
    assert!(requests[0].scopes().contains(&"orders:read".to_owned()));
    assert_eq!(requests[1].json(), Some(json!({"item": "gear"})));
    assert_eq!(requests[2].body(), b"no JSON");
    assert!(!format!("{requests:?}").contains("opaque"));
}

#[tokio::test]
async fn an_api_takes_good_tokens_only() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").signed_in().await;
    let api = auth.api();
    api.on("GET", "/orders", ApiAnswer::json(&json!([7])));
    let client = client(&auth, &ada).await;
    ada.revoke_at_provider();
    // The client has refreshed, in vain: that ends the session.
    let refused = client.get("/orders").send().await;
    assert!(
        matches!(&refused, Err(ApiError::Token(error)) if error.code() == "session.grant_ended"),
        "{refused:?}"
    );
    assert_eq!(api.requests()[0].subject(), None, "nobody's, for it is not good");
    assert!(api.requests()[0].access_token().is_some());
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_comes_with_its_proof() {
    let auth = TestAuth::with(|settings| settings.dpop()).await.unwrap();
    let ada = auth.user("ada").signed_in().await;
    let api = auth.api();
    api.on("GET", "/orders", ApiAnswer::json(&json!([7])));
    let answer = client(&auth, &ada).await.get("/orders").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(api.requests()[0].headers().contains_key("dpop"));
}

#[tokio::test]
async fn an_api_can_be_down() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").signed_in().await;
    let api = auth.api();
    let client = client(&auth, &ada).await;
    for answer in [ApiAnswer::unreachable(), ApiAnswer::broken_off()] {
        api.on("GET", "/orders", answer.clone());
        let error = client.get("/orders").send().await.unwrap_err();
        assert!(matches!(error, ApiError::Unreachable(_)), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn the_demo_api_answers_the_rest() {
    let auth = TestAuth::new().await;
    let ada = auth
        .user("ada")
        .claim("email", "ada@example.com")
        .signed_in()
        .await;
    let client = client(&auth, &ada).await;
    let me: Value = client
        .get("/scim2/Me")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&me["userName"], &me["emails"]),
        (&json!("ada"), &json!(["ada@example.com"]))
    );
    assert_eq!(auth.provider().count(Endpoint::Api("/scim2/Me")), 1);
    assert_eq!(auth.api().requests().len(), 1);
    assert_eq!(client.get("/nothing").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn there_are_as_many_apis_as_the_application_has() {
    let auth = TestAuth::with(|settings| {
        settings
            .api("https://orders.example")
            .other_api("https://mail.example")
    });
    let auth = auth.await.unwrap();
    let ada = auth.user("ada").signed_in().await;
    let (orders, mail) = (
        auth.api_at("https://orders.example"),
        auth.api_at("https://mail.example/"),
    );
    orders.on("GET", "/list", ApiAnswer::json(&json!("orders")));
    mail.on("GET", "/list", ApiAnswer::json(&json!("mail")));
    let client = client(&auth, &ada).await;
    for (url, said) in [("/list", "orders"), ("https://mail.example/list", "mail")] {
        let answer: Value = client.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer, json!(said));
    }
    assert_eq!((orders.requests().len(), mail.requests().len()), (1, 1));
    assert_eq!(client.get("/nothing").send().await.unwrap().status(), 404);
    let error = client.get("https://evil.example/list").send().await.unwrap_err();
    assert!(matches!(error, ApiError::OriginNotAllowed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_api_that_is_not_in_the_process_cannot_be_reached() {
    let auth = TestAuth::with(|settings| settings.api("http://127.0.0.1:9"))
        .await
        .unwrap();
    let ada = auth.user("ada").signed_in().await;
    let error = client(&auth, &ada).await.get("/").send().await.unwrap_err();
    let ApiError::Unreachable(error) = error else {
        panic!("{error:?}");
    };
    // A port that nobody listens at would give another cause.
    assert!(
        format!("{error:?}").contains("nobody can be reached there")
            || format!("{error:?}").contains("Unreachable"),
        "{error:?}"
    );
}
