//! Guide 3: ThunderID's Node SDK.

use std::time::Duration;

use auth_testing::{Endpoint, Fault};
use auth_tests::Stage;

use crate::{press, sign_in_at, sign_out, world};

const PROFILE: Endpoint = Endpoint::Api("/users/me");
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

pub(crate) async fn the_guide_from_the_sign_in_to_the_sign_out(stage: Stage) {
    let world = world(&stage, 3, |settings, _| settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    // `requireAuth`, `getAccessToken`, `fetchUserProfile(sessionId)`
    let profile = sign_in_at(&world, browser, "/profile", "alice").await;
    assert_eq!(profile.json()["id"], "alice");
    // `Failed to load profile.`
    control.fail_next(PROFILE, 1, Fault::status(503));
    let failed = browser.navigate("/profile").await;
    assert_eq!(failed.assert_failure(502..=502), "api.status");
    // `Promise.all`: both calls are under way at once.
    let held = ["/users/me", "/organizations"].map(|path| control.hold(Endpoint::Api(path)));
    let (both, ()) = tokio::join!(async { browser.fetch("/dashboard").await }, async {
        for call in &held {
            call.waiting(1).await.unwrap();
        }
        held.into_iter().for_each(auth_testing::Hold::release);
    });
    let both = both.assert_status(200).json();
    assert!(
        both["profile"]["id"] == "alice" && both["organizations"].is_array(),
        "{both}"
    );
    // Token exchange: one, however often the other API is called, and the session keeps its own token.
    for _ in 0..2 {
        let report = browser.fetch("/report").await.assert_status(200).json();
        assert_eq!(report["sub"], "alice");
        assert_eq!(report["aud"], world.provider.api2_url());
    }
    let mut exchanges = control.requests(Endpoint::Token);
    exchanges.retain(|request| request.form("grant_type") == Some(EXCHANGE));
    assert_eq!(exchanges.len(), 1);
    assert_eq!(
        browser.fetch("/profile").await.assert_status(200).json()["id"],
        "alice"
    );
    // Exchanges that are refused; another user's, for this one has a token already.
    let other = browser.fresh();
    world.sign_in_with(&other, "bob").await;
    for (error, code) in [
        ("invalid_target", "grant.refused"),
        ("unauthorized_client", "grant.client_refused"),
    ] {
        control.fail_next(Endpoint::Token, 1, Fault::oauth(400, error));
        let problem = other.fetch("/report").await.assert_problem(502).json();
        assert_eq!(problem["code"], code);
    }
    let home = browser.navigate("/").await;
    sign_out(&world, &home).await;
    let problem = browser.fetch("/profile").await.assert_problem(401).json();
    assert_eq!(problem["code"], "session.none");
}

pub(crate) async fn a_token_that_has_expired_is_renewed_once(stage: Stage) {
    let world = world(&stage, 3, |settings, _| settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    let requests = (0..20).map(|number| async move {
        let path = ["/profile", "/dashboard"][number % 2];
        browser.fetch(path).await.assert_status(200);
    });
    futures_util::future::join_all(requests).await;
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
    // A provider that is down is no sign-out.
    let other = browser.fresh();
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in_with(&other, "bob").await;
    control.fail(Endpoint::Token, Fault::status(503));
    let problem = other.fetch("/profile").await;
    problem.assert_unavailable();
    assert_eq!(problem.json()["code"], "refresh.unavailable");
    control.clear(Endpoint::Token);
    assert!(other.is_signed_in().await);
    // A refresh token that the provider takes back is one.
    control.next_access_token_lifetime(Duration::ZERO);
    let third = browser.fresh();
    world.sign_in_with(&third, "carol").await;
    control.kill_refresh_tokens();
    let problem = third.fetch("/profile").await.assert_problem(401).json();
    assert_eq!(problem["code"], "session.grant_ended");
}

pub(crate) async fn another_account_takes_the_session_over(stage: Stage) {
    let world = world(&stage, 3, |settings, _| settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    world.sign_in("alice").await;
    let old = browser.copy();
    let home = browser.navigate("/").await;
    let landing = press(browser, &home, "/account/bob").await;
    assert_eq!(browser.follow(landing).await.json()["id"], "bob");
    let sent = control.requests(Endpoint::Token).pop().unwrap();
    assert_eq!(sent.form("grant_type"), Some("account_switch"));
    assert!(!old.is_signed_in().await);
    // One that there is not: nothing has changed.
    let page = browser.submit("/account/nobody", &[]).await;
    page.assert_status(502);
    assert!(page.text().contains("grant.refused"), "{}", page.describe());
    assert_eq!(browser.fetch("/profile").await.json()["id"], "bob");
}

pub(crate) async fn a_revoked_token_is_renewed_or_ends_the_session(stage: Stage) {
    let world = world(&stage, 3, |settings, _| settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    world.sign_in("alice").await;
    let home = browser.navigate("/").await;
    press(browser, &home, "/revoke").await.assert_status(303);
    let revoked = control.requests(Endpoint::Revoke).pop().unwrap();
    assert_eq!(revoked.form("token_type_hint"), Some("access_token"));
    browser.fetch("/profile").await.assert_status(200);
    assert_eq!(control.refresh_count(), 1);
    // Without a refresh token there is nothing to go on with.
    control.withhold_scope("offline_access");
    world.sign_in("alice").await;
    press(browser, &home, "/revoke").await.assert_status(303);
    assert!(!browser.is_signed_in().await);
}
