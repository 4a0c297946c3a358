//! The demo APIs check what they are shown.

use std::time::Duration;

use auth_testing::Endpoint;
use serde_json::{Value, json};

use crate::harness::{Harness, answer, param, parts};

async fn access_token_for(harness: &Harness, user: &str, scope: &str) -> String {
    let url = harness.authorization_url(&[("scope", scope)]);
    let approval = harness.provider.approve(&url, user).await.unwrap();
    let code = param(&approval.callback_url, "code").unwrap();
    harness.redeem(&code).await.text("access_token")
}

#[tokio::test]
async fn profile_is_scim_with_emails_in_both_spellings() {
    let harness = Harness::start().await;
    let alice = access_token_for(&harness, "alice", "openid profile email").await;
    let me = harness.api("/scim2/Me", &alice).await;
    assert_eq!(me.status, 200);
    assert_eq!(me.header("content-type"), "application/scim+json");
    assert_eq!(me.json()["emails"], json!(["alice@example.com"]));
    assert_eq!(me.json()["name"]["givenName"], "Alice");

    let bob = access_token_for(&harness, "bob", "openid profile email").await;
    let emails = harness.api("/scim2/Me", &bob).await.json()["emails"].clone();
    assert_eq!(emails[0]["value"], "bob@example.com");
    assert_eq!(emails[0]["primary"], true);

    assert_eq!(harness.api("/users/me", &bob).await.json()["id"], "bob");
    let organizations = harness.api("/organizations", &bob).await.json();
    assert!(organizations.as_array().unwrap().len() > 1);
    let appointments = harness.api("/api/appointments", &bob).await.json();
    assert_eq!(appointments[0]["for"], "bob");
}

#[tokio::test] // RFC 6750 §3, RFC 9068 §4
async fn refuses_tokens_that_are_not_good_access_tokens_for_it() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    let good = tokens.text("access_token");
    assert_eq!(harness.api("/users/me", &good).await.status, 200);

    let url = format!("{}/users/me", harness.provider.api_url());
    let missing = harness.get(&url).await;
    assert_eq!(missing.status, 401);
    assert_eq!(missing.header("www-authenticate"), "Bearer");

    let (_, claims) = parts(&good);
    let control = harness.control();
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims.insert(name.to_owned(), value);
        control.sign_jwt("at+jwt", &claims)
    };
    let mut forged = good.clone();
    forged.replace_range(good.len() - 20..good.len() - 19, "_");
    if forged == good {
        forged.replace_range(good.len() - 20..good.len() - 19, "A");
    }
    for (what, token) in [
        ("garbage", "garbage".to_owned()),
        ("forged", forged),
        ("ID token", tokens.text("id_token")),
        ("wrong typ", control.sign_jwt("JWT", &claims)),
        ("other audience", with("aud", json!(harness.provider.api2_url()))),
        ("other issuer", with("iss", json!("http://other.example"))),
        ("expired", with("exp", json!(1))),
        ("no exp", with("exp", Value::Null)),
    ] {
        let refused = harness.api("/users/me", &token).await;
        assert_eq!(refused.status, 401, "{what}");
        let challenge = refused.header("www-authenticate");
        assert!(challenge.contains("error=\"invalid_token\""), "{what}");
    }
}

#[tokio::test]
async fn expired_and_revoked_tokens_are_refused() {
    let harness = Harness::start().await;
    let token = harness.sign_in().await.text("access_token");
    harness.clock.advance(Duration::from_secs(299));
    assert_eq!(harness.api("/users/me", &token).await.status, 200);
    harness.clock.advance(Duration::from_secs(1));
    assert_eq!(harness.api("/users/me", &token).await.status, 401);

    let token = harness.sign_in().await.text("access_token");
    harness.control().revoke_user("alice");
    assert_eq!(harness.api("/users/me", &token).await.status, 401);
}

#[tokio::test]
async fn mail_wants_its_scope() {
    let harness = Harness::start().await;
    let without = access_token_for(&harness, "alice", "openid").await;
    let refused = harness.api("/mail", &without).await;
    assert_eq!(refused.status, 403);
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("insufficient_scope") && challenge.contains("mail.read"));
    let with = access_token_for(&harness, "alice", "openid mail.read").await;
    assert_eq!(harness.api("/mail", &with).await.status, 200);
}

#[tokio::test] // RFC 9470 §3
async fn step_up_wants_a_fresh_sign_in() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    let token = tokens.text("access_token");
    assert_eq!(harness.api("/step-up", &token).await.status, 200);
    harness.clock.advance(Duration::from_secs(61));
    // A refresh is no sign-in.
    let refreshed = harness.refresh(&tokens.text("refresh_token")).await;
    let stale = harness.api("/step-up", &refreshed.text("access_token")).await;
    assert_eq!(stale.status, 401);
    let challenge = stale.header("www-authenticate");
    assert!(challenge.contains("insufficient_user_authentication"));
    assert!(challenge.contains("max_age=\"60\"") && challenge.contains("acr_values="));
}

#[tokio::test]
async fn machine_is_for_client_credentials_tokens() {
    let harness = Harness::start().await;
    let user = harness.sign_in().await.text("access_token");
    assert_eq!(harness.api("/machine", &user).await.status, 403);
    let answer = harness.token(&[("grant_type", "client_credentials")]).await;
    assert!(answer.json()["refresh_token"].is_null());
    let unknown = [("grant_type", "client_credentials"), ("scope", "made-up")];
    let refused = harness.token(&unknown).await;
    assert_eq!(refused.text("error"), "invalid_scope");
    let machine = answer.text("access_token");
    assert_eq!(harness.api("/machine", &machine).await.status, 200);
}

#[tokio::test]
async fn rejects_good_tokens_on_demand() {
    let harness = Harness::start().await;
    let token = harness.sign_in().await.text("access_token");
    harness.control().reject_next(2);
    assert_eq!(harness.api("/users/me", &token).await.status, 401);
    assert_eq!(harness.api("/organizations", &token).await.status, 401);
    assert_eq!(harness.api("/users/me", &token).await.status, 200);
    assert_eq!(harness.control().count(Endpoint::Api("/users/me")), 2);
}

#[tokio::test]
async fn echo_sends_back_what_came() {
    let harness = Harness::start().await;
    let token = harness.sign_in().await.text("access_token");
    let url = format!("{}/echo/a%2Fb?c=%20d", harness.provider.api_url());
    let request = harness.http.put(url).bearer_auth(token).body("a body");
    let echoed = answer(request).await;
    assert_eq!(echoed.body, "a body");
    assert_eq!(echoed.header("x-echo-method"), "PUT");
    assert_eq!(echoed.header("x-echo-target"), "/echo/a%2Fb?c=%20d");
    assert_eq!(harness.control().count(Endpoint::Api("/echo")), 1);
}
