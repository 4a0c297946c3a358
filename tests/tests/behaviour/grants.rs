//! Tokens by other grants: one exchanged for the second API, one of the application's own.

use std::time::{Duration, Instant};

use auth_testing::{Client, Endpoint, Fault, RecordedRequest};
use auth_tests::stage::{BASE, CLIENT_ID};
use auth_tests::{Stage, World, wait};
use futures_util::future::join_all;
use serde_json::json;

use crate::store::address;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const MACHINE: &str = "client_credentials";
const PATHS: [(&str, Endpoint, &str); 2] = [
    ("/api/exchange", Endpoint::Api2("/whoami"), EXCHANGE),
    ("/api/machine", Endpoint::Api("/machine"), MACHINE),
];

fn requests(world: &World, grant_type: &str) -> Vec<RecordedRequest> {
    let mut requests = world.provider.control().requests(Endpoint::Token);
    requests.retain(|request| request.form("grant_type") == Some(grant_type));
    requests
}

async fn quick(stage: &Stage) -> World {
    let world = stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", 1))
        .await;
    world.sign_in("alice").await;
    world
}

// RFC 8693 §2.1
pub(crate) async fn the_users_token_is_exchanged_for_the_second_api(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let whoami = world.browser.fetch("/api/exchange").await;
    whoami.assert_status(200).assert_no_store().assert_no_cookie();
    let whoami = whoami.json();
    assert_eq!(
        (&whoami["sub"], &whoami["aud"]),
        (&json!("alice"), &json!(world.provider.api2_url()))
    );
    let exchanges = requests(&world, EXCHANGE);
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].form("audience"), Some(world.provider.api2_url()));
    assert_eq!(
        exchanges[0].form("subject_token_type"),
        Some("urn:ietf:params:oauth:token-type:access_token")
    );
    assert!(
        exchanges[0]
            .header("authorization")
            .is_some_and(|value| value.starts_with("Basic "))
    );
    let calls = world.provider.control().requests(Endpoint::Api2("/whoami"));
    let sent = calls[0].header("authorization").unwrap();
    assert!(!sent.ends_with(exchanges[0].form("subject_token").unwrap()));
    // What a user may see, and no more.
    world
        .browser
        .fresh()
        .fetch("/api/exchange")
        .await
        .assert_problem(401);
    world
        .browser
        .fresh()
        .navigate("/api/exchange")
        .await
        .assert_redirect();
}

// RFC 6749 §4.4
pub(crate) async fn the_applications_own_token_is_one_for_all_users(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let machine = world.browser.fetch("/api/machine").await;
    machine.assert_status(200).assert_no_cookie();
    assert_eq!(machine.json()["machine"], CLIENT_ID);
    let bob = world.browser.fresh();
    world.sign_in_with(&bob, "bob").await;
    bob.fetch("/api/machine").await.assert_status(200);
    assert_eq!(requests(&world, MACHINE).len(), 1);
    world
        .browser
        .fresh()
        .fetch("/api/machine")
        .await
        .assert_problem(401);
}

pub(crate) async fn two_hundred_requests_make_one_request_for_a_token(stage: Stage) {
    for (path, api, grant) in PATHS {
        let world = stage.signed_in("alice").await;
        let answers = join_all((0..200).map(|_| async { world.browser.fetch(path).await })).await;
        let good = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(good, 200, "{path}");
        assert_eq!(requests(&world, grant).len(), 1, "{path}");
        assert_eq!(world.provider.control().count(api), 200, "{path}");
    }
}

pub(crate) async fn a_dead_session_token_is_refreshed_before_it_is_exchanged(stage: Stage) {
    let world = stage.world().await;
    world
        .provider
        .control()
        .next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    let answers = join_all((0..50).map(|_| async { world.browser.fetch("/api/exchange").await })).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let control = world.provider.control();
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
    assert_eq!(requests(&world, EXCHANGE).len(), 1);
}

// RFC 8693 §2.2.2
pub(crate) async fn a_refusal_is_a_502_and_signs_nobody_out(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    for (path, _, _) in PATHS {
        for error in [
            "invalid_request",
            "invalid_grant",
            "invalid_target",
            "invalid_client",
            "unauthorized_client",
            "odd",
        ] {
            control.fail(Endpoint::Token, Fault::oauth(400, error));
            let answer = world.browser.fetch(path).await;
            answer.assert_problem(502);
            let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            assert!(code.starts_with("grant."), "{path} {error}: {code}");
            world.browser.navigate(path).await.assert_failure(502..=502);
        }
        control.clear(Endpoint::Token);
        world.browser.fetch(path).await.assert_status(200);
    }
    world.browser.assert_signed_in_as("alice").await;
    assert_eq!(control.refresh_count(), 0);
}

pub(crate) async fn an_audience_that_the_provider_does_not_know_is_a_502(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_EXCHANGE_AUDIENCE", "https://unknown.example"))
        .await;
    world.sign_in("alice").await;
    world.browser.fetch("/api/exchange").await.assert_problem(502);
    assert_eq!(
        requests(&world, EXCHANGE)[0].form("audience"),
        Some("https://unknown.example")
    );
    world.browser.fetch("/api/ping").await.assert_status(200);
}

pub(crate) async fn a_provider_that_is_down_is_503_and_soon_works_again(stage: Stage) {
    let world = quick(&stage).await;
    let control = world.provider.control();
    for (path, _, _) in PATHS {
        for (what, fault) in [
            ("500", Fault::status(500)),
            ("429", Fault::status(429)),
            ("reset", Fault::Reset),
            ("silence", Fault::Hang),
            ("HTML", Fault::body(200, "text/html", "<h1>hello</h1>")),
            ("nothing", Fault::body(200, "application/json", "")),
        ] {
            control.fail(Endpoint::Token, fault);
            let start = Instant::now();
            let answer = world.browser.fetch(path).await;
            assert_eq!(answer.status, 503, "{path} {what}: {}", answer.describe());
            answer.assert_unavailable().assert_problem(503);
            assert!(start.elapsed() < Duration::from_secs(4), "{path} {what}");
            world
                .browser
                .navigate(path)
                .await
                .assert_unavailable()
                .assert_page();
            control.clear(Endpoint::Token);
        }
        control.go_down().await;
        world.browser.fetch(path).await.assert_unavailable();
        control.come_up().await.unwrap();
        wait::until("it works again", Duration::from_secs(10), || async {
            world.browser.fetch(path).await.status == 200
        })
        .await;
    }
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn a_token_still_good_is_used_while_the_provider_is_down(stage: Stage) {
    let world = stage.signed_in("alice").await;
    for (path, _, _) in PATHS {
        world.browser.fetch(path).await.assert_status(200);
    }
    world.provider.control().go_down().await;
    for (path, _, _) in PATHS {
        world.browser.fetch(path).await.assert_status(200);
    }
}

// RFC 8693 §2.2.1
pub(crate) async fn an_answer_that_is_not_what_was_asked_for_is_a_502(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    for (name, value) in [
        ("issued_token_type", json!(null)),
        ("token_type", json!("mac")),
        ("token_type", json!("N_A")),
        ("token_type", json!(null)),
    ] {
        let set = value.clone();
        control.tamper_token_response(move |answer| drop(answer.insert(name.to_owned(), set.clone())));
        world.browser.fetch("/api/exchange").await.assert_problem(502);
    }
    control.clear_tampering();
    world.browser.fetch("/api/exchange").await.assert_status(200);
    assert!(control.count(Endpoint::Api2("/whoami")) >= 1);
}

// RFC 6749 §4.4.3
pub(crate) async fn a_token_that_has_died_is_replaced(stage: Stage) {
    let world = stage.signed_in("alice").await;
    for (path, _, grant) in PATHS {
        world
            .provider
            .control()
            .next_access_token_lifetime(Duration::from_secs(1));
        world.browser.fetch(path).await.assert_status(200);
        wait::until("its end", Duration::from_secs(10), || async {
            let answer = world.browser.fetch(path).await;
            assert_eq!(answer.status, 200, "{}", answer.describe());
            requests(&world, grant).len() > 1
        })
        .await;
    }
}

pub(crate) async fn a_sign_out_ends_the_exchanged_token(stage: Stage) {
    let world = stage.signed_in("alice").await;
    world.browser.fetch("/api/exchange").await.assert_status(200);
    let early = world.browser.copy();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    early.fetch("/api/exchange").await.assert_problem(401);
    world.sign_in("alice").await;
    world.browser.fetch("/api/exchange").await.assert_status(200);
    assert_eq!(requests(&world, EXCHANGE).len(), 2);
}

pub(crate) async fn an_api_that_refuses_the_token_is_asked_twice_and_no_more(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    for (path, api, grant) in PATHS {
        world.browser.fetch(path).await.assert_status(200);
        control.reject_next(1);
        world.browser.fetch(path).await.assert_status(200);
        assert_eq!(
            (control.count(api), requests(&world, grant).len()),
            (3, 2),
            "{path}"
        );
        control.reject_next(100);
        world.browser.fetch(path).await.assert_status(401);
        assert_eq!(
            (control.count(api), requests(&world, grant).len()),
            (5, 3),
            "{path}"
        );
        control.reject_next(0);
    }
    assert_eq!(control.refresh_count(), 0);
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn a_failing_api_is_a_502_and_its_refusals_pass(stage: Stage) {
    let world = quick(&stage).await;
    let control = world.provider.control();
    for (path, api, _) in PATHS {
        for fault in [
            Fault::status(500),
            Fault::Reset,
            Fault::Hang,
            Fault::body(200, "text/html", "<h1>hello</h1>"),
        ] {
            control.fail(api, fault);
            world.browser.fetch(path).await.assert_problem(502);
            control.clear(api);
        }
        for status in [400, 403, 404, 429] {
            control.fail(
                api,
                Fault::body(status, "application/json", "{\"detail\":\"no\"}"),
            );
            let answer = world.browser.fetch(path).await;
            assert_eq!(
                (answer.status, answer.json()["detail"].as_str()),
                (status, Some("no"))
            );
            world.browser.navigate(path).await.assert_failure(status..=status);
            control.clear(api);
        }
    }
    control.apis_go_down().await;
    for (path, _, _) in PATHS {
        world.browser.fetch(path).await.assert_problem(502);
    }
}

pub(crate) async fn two_instances_serve_one_session(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let world = crate::store::world(&stage, &folder).await;
    world.sign_in("alice").await;
    let second = stage
        .start(
            &stage
                .environment(&world.provider)
                .set("AUTH_STORE", address(&folder)),
        )
        .await;
    let there = stage.browser(&second, BASE);
    let cookie = world.browser.session_cookie().await;
    let sent = format!("{}={}", cookie.name, cookie.value);
    for (path, _, grant) in PATHS {
        let here = join_all((0..20).map(|_| async { world.browser.fetch(path).await }));
        let elsewhere = join_all((0..20).map(|_| async { there.fetch(path).header("cookie", &sent).await }));
        let (here, elsewhere) = tokio::join!(here, elsewhere);
        assert!(here.iter().chain(&elsewhere).all(|answer| answer.status == 200));
        assert!(
            requests(&world, grant).len() <= 2,
            "one for each instance at most"
        );
    }
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    for (path, _, _) in PATHS {
        there
            .fetch(path)
            .header("cookie", &sent)
            .await
            .assert_problem(401);
    }
}

// RFC 6749 §4.4
pub(crate) async fn a_public_client_gets_no_token_of_its_own(stage: Stage) {
    let provider = stage.provider_for(Client::public(CLIENT_ID), BASE);
    let world = stage
        .world_of(provider, |settings| settings.unset("AUTH_CLIENT_SECRET"))
        .await;
    world.sign_in("alice").await;
    world.browser.fetch("/api/machine").await.assert_problem(500);
    assert!(requests(&world, MACHINE).is_empty());
    world.browser.fetch("/api/exchange").await.assert_status(200);
}
