//! The page for people.

use auth_testing::Endpoint;

use crate::harness::{Answer, Harness, answer};

async fn press(harness: &Harness, origin: &str, button: (&str, &str)) -> Answer {
    let request = harness.http.post(harness.url("/console"));
    answer(request.header("origin", origin).form(&[button])).await
}

#[tokio::test]
async fn buttons_do_what_they_say() {
    let harness = Harness::start().await;
    let origin = harness.provider.issuer().to_owned();
    let token = harness.sign_in().await.text("refresh_token");

    assert_eq!(press(&harness, &origin, ("do", "down")).await.status, 303);
    assert_eq!(harness.refresh(&token).await.status, 503);
    let page = harness.get(&harness.url("/")).await.body;
    assert!(page.contains("out of order right now"));

    press(&harness, &origin, ("do", "well")).await;
    press(&harness, &origin, ("lifetime", "10")).await;
    let refreshed = harness.refresh(&token).await;
    assert_eq!(refreshed.json()["expires_in"], 10);

    let before = harness.control().jwks();
    press(&harness, &origin, ("do", "keys")).await;
    assert_ne!(harness.control().jwks(), before);

    press(&harness, &origin, ("do", "end")).await;
    let refused = harness.refresh(&refreshed.text("refresh_token")).await;
    assert_eq!(refused.text("error"), "invalid_grant");
    assert_eq!(press(&harness, &origin, ("do", "what")).await.status, 400);
}

#[tokio::test]
async fn other_sites_cannot_press_them() {
    let harness = Harness::start().await;
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let refused = press(&harness, origin, ("do", "down")).await;
        assert_eq!(refused.status, 403, "{origin}");
    }
    let request = harness.http.post(harness.url("/console"));
    let request = request.header("sec-fetch-site", "same-site");
    let refused = answer(request.form(&[("do", "down")])).await;
    assert_eq!(refused.status, 403);
    harness.sign_in().await;
    assert_eq!(harness.control().count(Endpoint::Token), 1);
}

#[tokio::test]
async fn pages_need_no_script_and_are_not_framed() {
    let harness = Harness::start().await;
    for url in [harness.url("/"), harness.authorization_url(&[])] {
        let page = harness.get(&url).await;
        assert!(!page.body.contains("<script"));
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.header("cache-control"), "no-store");
    }
}
