//! Refresh tokens.

use std::time::Duration;

use auth_testing::{Endpoint, Fault};

use crate::harness::{Harness, parts};

#[tokio::test]
async fn refresh_rotates_and_keeps_the_sign_in() {
    let harness = Harness::start().await;
    let first = harness.sign_in().await;
    harness.clock.advance(Duration::from_secs(200));
    let second = harness.refresh(&first.text("refresh_token")).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_ne!(second.text("refresh_token"), first.text("refresh_token"));
    let (_, before) = parts(&first.text("id_token"));
    let (_, after) = parts(&second.text("id_token"));
    for same in ["iss", "sub", "aud", "sid", "auth_time"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_ne!(before["iat"], after["iat"]);
    assert!(!after.contains_key("nonce"));
    assert_eq!(harness.control().refresh_count(), 1);
}

#[tokio::test] // RFC 9700 §4.14.2
async fn reuse_of_a_rotated_token_kills_the_family() {
    let harness = Harness::start().await;
    let first = harness.sign_in().await;
    let second = harness.refresh(&first.text("refresh_token")).await;
    let access = second.text("access_token");
    assert_eq!(harness.api("/users/me", &access).await.status, 200);

    let reused = harness.refresh(&first.text("refresh_token")).await;
    assert_eq!(reused.status, 400);
    assert_eq!(reused.text("error"), "invalid_grant");
    assert_eq!(harness.control().reuse_count(), 1);

    let newest = harness.refresh(&second.text("refresh_token")).await;
    assert_eq!(newest.text("error"), "invalid_grant");
    assert_eq!(harness.api("/users/me", &access).await.status, 401);
    assert_eq!(harness.control().reuse_count(), 1);
}

#[tokio::test]
async fn reuse_leaves_other_families_alone() {
    let harness = Harness::start().await;
    let (mine, other) = (harness.sign_in().await, harness.sign_in().await);
    harness.refresh(&mine.text("refresh_token")).await;
    harness.refresh(&mine.text("refresh_token")).await;
    let refreshed = harness.refresh(&other.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200);
}

#[tokio::test]
async fn of_parallel_refreshes_with_one_token_exactly_one_succeeds() {
    let harness = Harness::start().await;
    let token = harness.sign_in().await.text("refresh_token");
    let hold = harness.control().hold(Endpoint::Token);
    let (one, other, ()) = tokio::join!(harness.refresh(&token), harness.refresh(&token), async {
        hold.waiting(2).await.unwrap();
        hold.release();
    });
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(harness.control().reuse_count(), 1);
}

#[tokio::test]
async fn without_rotation_the_token_stays_good() {
    let harness = Harness::start().await;
    harness.control().set_rotation(false);
    let token = harness.sign_in().await.text("refresh_token");
    for _ in 0..2 {
        let refreshed = harness.refresh(&token).await;
        assert_eq!(refreshed.status, 200);
        assert!(refreshed.json()["refresh_token"].is_null());
    }
    assert_eq!(harness.control().reuse_count(), 0);
}

#[tokio::test]
async fn refresh_answers_as_set() {
    let harness = Harness::start().await;
    let control = harness.control();
    control.set_refresh_id_token(false);
    control.omit_expires_in(true);
    let token = harness.sign_in().await.text("refresh_token");
    let json = harness.refresh(&token).await.json();
    assert!(json["id_token"].is_null());
    assert!(json["expires_in"].is_null());
}

#[tokio::test]
async fn lifetimes_are_as_set() {
    let harness = Harness::start().await;
    let control = harness.control();
    control.set_access_token_lifetime(Duration::from_secs(10));
    control.next_access_token_lifetime(Duration::ZERO);
    let dead = harness.sign_in().await;
    assert_eq!(dead.json()["expires_in"], 0);
    let access = dead.text("access_token");
    assert_eq!(harness.api("/users/me", &access).await.status, 401);

    let next = harness.refresh(&dead.text("refresh_token")).await;
    assert_eq!(next.json()["expires_in"], 10);
    let access = next.text("access_token");
    assert_eq!(harness.api("/users/me", &access).await.status, 200);
    harness.clock.advance(Duration::from_secs(10));
    assert_eq!(harness.api("/users/me", &access).await.status, 401);
}

#[tokio::test] // RFC 6749 §6
async fn refresh_may_ask_for_less_but_not_for_more() {
    let harness = Harness::start().await;
    let token = harness.sign_in().await.text("refresh_token");
    let ask = |scope: &'static str| {
        let token = token.clone();
        let harness = &harness;
        async move {
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", &token),
                ("scope", scope),
            ];
            harness.token(&form).await
        }
    };
    assert_eq!(ask("openid mail.read").await.text("error"), "invalid_scope");
    assert_eq!(ask("openid email").await.text("scope"), "openid email");
}

#[tokio::test]
async fn lost_answer_has_rotated() {
    let harness = Harness::start().await;
    let token = harness.sign_in().await.text("refresh_token");
    let fault = Fault::LoseAnswer;
    harness.control().fail_next(Endpoint::Token, 1, fault);
    let request = harness.http.post(harness.url("/token"));
    let basic = crate::harness::basic(crate::harness::CLIENT, crate::harness::SECRET);
    let form = [("grant_type", "refresh_token"), ("refresh_token", &token)];
    let lost = request.header("authorization", basic).form(&form).send();
    assert!(lost.await.is_err());
    assert_eq!(harness.refresh(&token).await.text("error"), "invalid_grant");
    assert_eq!(harness.control().reuse_count(), 1);
}

#[tokio::test]
async fn killed_and_revoked_refresh_tokens_answer_invalid_grant() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    harness.control().kill_refresh_tokens();
    let refused = harness.refresh(&tokens.text("refresh_token")).await;
    assert_eq!(refused.text("error"), "invalid_grant");
    let access = tokens.text("access_token");
    assert_eq!(harness.api("/users/me", &access).await.status, 200);

    let tokens = harness.sign_in().await;
    harness.control().revoke_user("alice");
    let refused = harness.refresh(&tokens.text("refresh_token")).await;
    assert_eq!(refused.text("error"), "invalid_grant");
    let access = tokens.text("access_token");
    assert_eq!(harness.api("/users/me", &access).await.status, 401);
}
