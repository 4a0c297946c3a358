//! The refresh guarantee: one refresh per expiry, and no outage signs anyone out.

use std::time::{Duration, Instant};

use auth_testing::{Control, Endpoint, Fault};
use auth_tests::{Stage, World, wait};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::id_token::Claims;

/// A world where Alice is signed in and her access token is dead already.
async fn with_a_dead_token(stage: &Stage) -> World {
    let world = stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", 2))
        .await;
    world
        .provider
        .control()
        .next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    world
}

async fn soon_works(world: &World) {
    wait::until("requests succeed again", Duration::from_secs(10), || async {
        world.browser.fetch("/api/ping").await.status == 200
    })
    .await;
    world.browser.assert_signed_in_as("alice").await;
}

fn assert_refreshed_once(control: &Control) {
    assert_eq!(
        (control.refresh_count(), control.reuse_count()),
        (1, 0),
        "refreshes and reuses"
    );
}

pub(crate) async fn two_hundred_requests_on_a_dead_token_make_one_refresh(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let answers = join_all((0..200).map(|_| async { world.browser.fetch("/api/ping").await })).await;
    let good = answers
        .iter()
        .filter(|answer| answer.status == 200 && answer.body == "pong")
        .count();
    assert_eq!(good, 200);
    assert_refreshed_once(world.provider.control());
}

pub(crate) async fn requests_that_arrive_during_a_refresh_share_it(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let gate = world.provider.control().hold(Endpoint::Token);
    let browser = world.browser.clone();
    let first = tokio::spawn(async move { browser.fetch("/api/me").await });
    gate.waiting(1).await.unwrap();
    let browser = world.browser.clone();
    let others =
        tokio::spawn(
            async move { join_all((0..20).map(|_| async { browser.fetch("/api/me").await })).await },
        );
    // The session document answers at once, so the others have been sent when it has been asked a few times.
    for _ in 0..5 {
        assert!(world.browser.is_signed_in().await);
    }
    gate.release();
    first.await.unwrap().assert_status(200);
    for answer in others.await.unwrap() {
        answer.assert_status(200);
    }
    assert_refreshed_once(world.provider.control());
}

pub(crate) async fn the_token_is_fresh_before_the_handler_runs(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    world.browser.navigate("/profile").await.assert_status(200);
    assert_refreshed_once(world.provider.control());
    let calls = world.provider.control().requests(Endpoint::Api("/scim2/Me"));
    assert_eq!(calls.len(), 1, "the dead token was shown to the API");
}

// RFC 6749 §6; RFC 9700 §2.2.2
pub(crate) async fn every_expiry_is_followed_by_one_refresh(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    // Each refresh brings a token that is dead on arrival, so each request meets an expiry.
    for round in 1..=4 {
        control.next_access_token_lifetime(Duration::ZERO);
        world.browser.fetch("/api/ping").await.assert_status(200);
        assert_eq!(control.refresh_count(), round);
    }
    assert_eq!(control.reuse_count(), 0);
}

pub(crate) async fn a_token_about_to_die_is_refreshed_in_the_background(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    control.next_access_token_lifetime(Duration::from_secs(8));
    world.sign_in("alice").await;
    let gate = control.hold(Endpoint::Token);
    // A quarter of eight seconds is two: after six the refresh begins, and nobody waits for it.
    let start = Instant::now();
    wait::until(
        "a refresh before the token dies",
        Duration::from_secs(8),
        || async {
            world.browser.fetch("/api/ping").await.assert_status(200);
            gate.count() == 1
        },
    )
    .await;
    assert!(
        start.elapsed() > Duration::from_secs(4),
        "refreshed after {:?} of 8 s",
        start.elapsed()
    );
    world.browser.fetch("/api/ping").await.assert_status(200);
    gate.release();
    wait::until("the new token is in use", Duration::from_secs(10), || async {
        let session = world.browser.session().await;
        session["access_token_expires_at"].as_u64().unwrap() > auth_tests::jar::unix_now() + 100
    })
    .await;
    world.browser.fetch("/api/me").await.assert_status(200);
    assert_refreshed_once(control);
}

pub(crate) async fn an_outage_is_503_and_signs_nobody_out(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    for (what, fault) in [
        ("500", Fault::status(500)),
        (
            "502 with a page",
            Fault::body(502, "text/html", "<h1>Bad gateway</h1>"),
        ),
        ("503", Fault::status(503)),
        ("429", Fault::status(429)),
        ("HTML", Fault::body(200, "text/html", "<h1>Maintenance</h1>")),
        ("nothing", Fault::body(200, "application/json", "")),
        (
            "half a JSON",
            Fault::body(200, "application/json", "{\"access_token\":\"x"),
        ),
        ("reset", Fault::Reset),
        ("silence", Fault::Hang),
        ("invalid_client", Fault::oauth(401, "invalid_client")),
        ("unauthorized_client", Fault::oauth(400, "unauthorized_client")),
        (
            "temporarily_unavailable",
            Fault::oauth(400, "temporarily_unavailable"),
        ),
    ] {
        control.clear(Endpoint::Token);
        control.fail(Endpoint::Token, fault);
        let answer = world.browser.fetch("/api/ping").await;
        assert_eq!(answer.status, 503, "{what}: {}", answer.describe());
        answer.assert_problem(503).assert_unavailable();
        let page = world.browser.navigate("/profile").await;
        assert_eq!(page.status, 503, "{what}: {}", page.describe());
        page.assert_page().assert_unavailable().assert_no_cookie();
        assert!(world.browser.is_signed_in().await, "{what} signed Alice out");
    }
    control.clear(Endpoint::Token);
    soon_works(&world).await;
    assert_eq!(control.reuse_count(), 0);
}

pub(crate) async fn a_provider_that_is_down_is_503_until_it_comes_up(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    control.go_down().await;
    for _ in 0..3 {
        world
            .browser
            .fetch("/api/ping")
            .await
            .assert_problem(503)
            .assert_unavailable();
        world
            .browser
            .navigate("/dashboard")
            .await
            .assert_page()
            .assert_unavailable();
    }
    assert!(world.browser.is_signed_in().await);
    control.come_up().await.unwrap();
    soon_works(&world).await;
}

pub(crate) async fn a_token_still_good_is_served_while_the_provider_is_down(stage: Stage) {
    let world = stage.signed_in("alice").await;
    world.provider.control().go_down().await;
    world.browser.fetch("/api/ping").await.assert_status(200);
    world.browser.fetch("/api/me").await.assert_status(200);
    world.browser.navigate("/profile").await.assert_status(200);
}

pub(crate) async fn requests_share_the_outcome_of_a_refused_refresh(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    control.fail(Endpoint::Token, Fault::status(503));
    let gate = control.hold(Endpoint::Token);
    let browser = world.browser.clone();
    let asked =
        tokio::spawn(
            async move { join_all((0..50).map(|_| async { browser.fetch("/api/ping").await })).await },
        );
    gate.waiting(1).await.unwrap();
    for _ in 0..5 {
        assert!(world.browser.is_signed_in().await);
    }
    gate.release();
    for answer in asked.await.unwrap() {
        answer.assert_problem(503);
    }
    assert!(
        control.refresh_count() <= 3,
        "{} refresh requests",
        control.refresh_count()
    );
}

// RFC 9700 §4.14; RFC 10017 §6.1.2.2
pub(crate) async fn a_refused_refresh_token_ends_the_session(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    control.kill_refresh_tokens();
    let answers = join_all((0..20).map(|_| async { world.browser.fetch("/api/ping").await })).await;
    for answer in answers {
        assert_eq!(answer.media_type(), "application/problem+json");
        answer.assert_status(401);
    }
    world.browser.assert_signed_out().await;
    assert_eq!(
        world.browser.navigate("/profile").await.location().path(),
        "/auth/login"
    );
    assert_eq!(control.refresh_count(), 1);
    world.sign_in("alice").await;
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn a_refused_refresh_token_sends_a_navigation_to_sign_in(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    world.provider.control().kill_refresh_tokens();
    let login = world.browser.navigate("/profile?x=1").await.location();
    assert_eq!(
        (login.path(), login.query()),
        ("/auth/login", Some("return_to=%2Fprofile%3Fx%3D1"))
    );
}

pub(crate) async fn a_lost_answer_ends_in_a_clean_sign_in_and_no_loop(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    control.fail_next(Endpoint::Token, 1, Fault::LoseAnswer);
    let first = world.browser.fetch("/api/ping").await;
    assert!(matches!(first.status, 401 | 503), "{}", first.describe());
    wait::until("a clean refusal", Duration::from_secs(10), || async {
        world.browser.fetch("/api/ping").await.status == 401
    })
    .await;
    world.browser.assert_signed_out().await;
    assert!(
        control.refresh_count() <= 3,
        "{} refresh requests",
        control.refresh_count()
    );
    world.sign_in("alice").await;
    world.browser.assert_signed_in_as("alice").await;
}

fn refreshed_id_token(world: &World, name: &'static str, value: Value) {
    world
        .provider
        .control()
        .tamper_id_token(move |_: &mut Claims, claims: &mut Claims| {
            if value.is_null() {
                claims.remove(name);
            } else {
                claims.insert(name.to_owned(), value.clone());
            }
        });
}

// OpenID Connect Core §12.2
pub(crate) async fn a_refreshed_id_token_of_somebody_else_ends_the_session(stage: Stage) {
    for (name, value) in [
        ("sub", json!("bob")),
        ("sub", Value::Null),
        ("iss", json!("https://evil.example")),
        ("aud", json!("someone-else")),
        ("aud", json!(["behaviour-tests", "someone-else"])),
        ("exp", json!(1)),
    ] {
        let world = with_a_dead_token(&stage).await;
        refreshed_id_token(&world, name, value.clone());
        let answer = world.browser.fetch("/api/ping").await;
        assert_eq!(answer.status, 401, "{name} {value}: {}", answer.describe());
        world.browser.assert_signed_out().await;
    }
}

// OpenID Connect Core §12.2
pub(crate) async fn a_refreshed_id_token_with_a_bad_signature_ends_the_session(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    world.provider.control().unsigned_id_token(true);
    world.browser.fetch("/api/ping").await.assert_status(401);
    world.browser.assert_signed_out().await;
}

// OpenID Connect Core §12.2
pub(crate) async fn a_refreshed_id_token_needs_no_nonce(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    refreshed_id_token(&world, "nonce", Value::Null);
    world.browser.assert_signed_in_as("alice").await;
}

// OpenID Connect Core §12.2
pub(crate) async fn a_refresh_answer_may_lack_what_it_need_not_have(stage: Stage) {
    for name in ["id_token", "refresh_token", "token_type", "scope", "expires_in"] {
        let world = with_a_dead_token(&stage).await;
        let control = world.provider.control();
        if name == "refresh_token" {
            control.set_rotation(false);
        } else {
            control.tamper_token_response(move |answer: &mut Claims| {
                answer.remove(name);
            });
        }
        let answer = world.browser.fetch("/api/me").await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.describe());
        let session = world.browser.session().await;
        assert!(
            session["scopes"].as_array().unwrap().contains(&json!("email")),
            "{name}: {session}"
        );
        assert_eq!(session["user"]["email"], "alice@example.com", "{name}");
        assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0), "{name}");
        let logout = world.browser.submit("/auth/logout", &[]).await.location();
        assert!(
            logout.query_pairs().any(|(name, _)| name == "id_token_hint"),
            "{name}"
        );
    }
}

// RFC 6749 §6; RFC 9700 §2.2.2
pub(crate) async fn an_odd_refresh_answer_does_not_lose_the_rotated_token(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    control.tamper_token_response(|answer: &mut Claims| {
        answer.insert("expires_in".to_owned(), json!("300"));
        answer.insert("scope".to_owned(), json!(""));
        answer.insert("odd".to_owned(), json!([{"x": null}]));
    });
    world.browser.fetch("/api/ping").await.assert_status(200);
    assert_refreshed_once(control);
}

// RFC 6749 §6
pub(crate) async fn without_rotation_the_refresh_token_serves_again(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    control.set_rotation(false);
    for _ in 0..3 {
        control.next_access_token_lifetime(Duration::ZERO);
        world.browser.fetch("/api/ping").await.assert_status(200);
    }
    soon_works(&world).await;
}

pub(crate) async fn a_client_that_goes_away_does_not_cancel_the_refresh(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    let gate = control.hold(Endpoint::Token);
    let browser = world.browser.clone();
    let request = tokio::spawn(async move {
        browser
            .fetch("/api/ping")
            .attempt()
            .await
            .map(|answer| answer.status)
    });
    gate.waiting(1).await.unwrap();
    request.abort();
    drop(request.await);
    gate.release();
    world.browser.fetch("/api/ping").await.assert_status(200);
    assert_refreshed_once(control);
}

pub(crate) async fn a_sign_out_during_a_refresh_wins(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    let control = world.provider.control();
    let known = control.issued_secrets();
    let gate = control.hold_answer(Endpoint::Token);
    let browser = world.browser.clone();
    let request = tokio::spawn(async move { browser.fetch("/api/ping").await });
    gate.waiting(1).await.unwrap();
    let copy = world.browser.copy();
    let browser = world.browser.clone();
    let logout = tokio::spawn(async move { browser.submit("/auth/logout", &[]).await });
    wait::until("the session is gone", Duration::from_secs(10), || async {
        !copy.is_signed_in().await
    })
    .await;
    gate.release();
    logout.await.unwrap().assert_redirect();
    request.await.unwrap().assert_status(401);
    copy.assert_signed_out().await;
    wait::until("the new tokens are revoked", Duration::from_secs(10), || async {
        control
            .requests(Endpoint::Revoke)
            .iter()
            .filter_map(|request| request.form("token"))
            .any(|token| !known.iter().any(|secret| secret == token))
    })
    .await;
}

pub(crate) async fn a_dead_token_without_a_refresh_token_is_no_session(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_SCOPES", "openid email"))
        .await;
    world
        .provider
        .control()
        .next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    world.browser.assert_signed_out().await;
    assert_eq!(
        world.browser.navigate("/profile").await.location().path(),
        "/auth/login"
    );
    assert_eq!(world.provider.control().refresh_count(), 0);
}

// OpenID Connect Core §12.1; RFC 6749 §6
pub(crate) async fn a_refresh_authenticates_the_client_and_sends_no_more_than_it_must(stage: Stage) {
    let world = with_a_dead_token(&stage).await;
    world.browser.fetch("/api/ping").await.assert_status(200);
    let requests = world.provider.control().requests(Endpoint::Token);
    let refresh = requests
        .iter()
        .find(|request| request.form("grant_type") == Some("refresh_token"))
        .unwrap();
    assert!(refresh.form("refresh_token").is_some());
    assert!(refresh.form("client_secret").is_none() && refresh.form("code_verifier").is_none());
    assert_eq!(refresh.query, "");
}
