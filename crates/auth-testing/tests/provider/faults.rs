//! Faults, holds, counts and records.

use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault, HostileAnswer, Wire};

use crate::harness::{Harness, VERIFIER};

#[tokio::test]
async fn faults_hit_the_next_requests_in_their_order() {
    let harness = Harness::start().await;
    let control = harness.control();
    let retry_after = Some(Duration::from_secs(7));
    control.fail_next(
        Endpoint::Token,
        1,
        Fault::Status {
            status: 503,
            retry_after,
        },
    );
    control.fail_next(Endpoint::Token, 2, Fault::oauth(400, "invalid_grant"));
    control.fail_next(Endpoint::Token, 1, Fault::body(200, "text/html", "<html>"));

    let code = harness.code().await;
    let first = harness.redeem(&code).await;
    assert_eq!((first.status, first.header("retry-after")), (503, "7"));
    for _ in 0..2 {
        assert_eq!(harness.redeem(&code).await.text("error"), "invalid_grant");
    }
    let html = harness.redeem(&code).await;
    assert_eq!((html.status, html.body.as_str()), (200, "<html>"));
    assert_eq!(html.header("content-type"), "text/html");
    // Nothing was done for those requests: the code is still good.
    assert_eq!(harness.redeem(&code).await.status, 200);
    assert_eq!(control.count(Endpoint::Token), 5);
}

#[tokio::test]
async fn lasting_faults_last_until_cleared_and_keep_to_their_endpoint() {
    let harness = Harness::start().await;
    let control = harness.control();
    control.fail(Endpoint::Discovery, Fault::status(500));
    let url = harness.url("/.well-known/openid-configuration");
    for _ in 0..3 {
        assert_eq!(harness.get(&url).await.status, 500);
    }
    assert_eq!(harness.get(&harness.url("/jwks")).await.status, 200);
    control.clear(Endpoint::Discovery);
    assert_eq!(harness.get(&url).await.status, 200);
}

#[tokio::test]
async fn counted_faults_go_before_the_lasting_one_and_a_new_lasting_one_replaces_the_old() {
    let harness = Harness::start().await;
    let control = harness.control();
    control.fail(Endpoint::Jwks, Fault::status(500));
    control.fail(Endpoint::Jwks, Fault::status(501));
    control.fail_next(Endpoint::Jwks, 1, Fault::status(502));
    control.fail_next(Endpoint::Jwks, 1, Fault::status(503));
    for expected in [502, 503, 501, 501] {
        let answer = harness.get(&harness.url("/jwks")).await;
        assert_eq!(answer.status, expected);
    }
}

#[tokio::test]
async fn reset_closes_the_connection_without_an_answer() {
    let harness = Harness::start().await;
    harness.control().fail_next(Endpoint::Jwks, 1, Fault::Reset);
    let url = harness.url("/jwks");
    let error = harness.http.get(&url).send().await.unwrap_err();
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    assert_eq!(harness.get(&url).await.status, 200);
}

#[tokio::test]
async fn hanging_requests_go_on_when_cleared() {
    let harness = Harness::start().await;
    let control = harness.control();
    control.fail(Endpoint::Jwks, Fault::Hang);
    let url = harness.url("/jwks");
    let hanging = tokio::spawn(harness.http.get(&url).send());
    let short = harness.http.get(&url).timeout(Duration::from_millis(50));
    assert!(short.send().await.unwrap_err().is_timeout());
    // Clearing another endpoint changes nothing here.
    control.clear(Endpoint::Token);
    let short = harness.http.get(&url).timeout(Duration::from_millis(50));
    assert!(short.send().await.unwrap_err().is_timeout());
    assert!(!hanging.is_finished());
    control.clear_all();
    assert_eq!(hanging.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn delayed_answers_are_right_but_late() {
    let harness = Harness::start().await;
    let length = Duration::from_millis(80);
    harness
        .control()
        .fail_next(Endpoint::Jwks, 1, Fault::Delay(length));
    let start = Instant::now();
    let url = harness.url("/jwks");
    assert_eq!(harness.get(&url).await.status, 200);
    assert!(start.elapsed() >= length);
}

#[tokio::test]
async fn held_requests_have_not_been_worked_on_and_held_answers_have() {
    let harness = Harness::start().await;
    let control = harness.control();
    let token = harness.sign_in().await.text("refresh_token");
    let issued = || control.issued_secrets().len();

    let before = issued();
    let hold = control.hold(Endpoint::Token);
    let (answer, ()) = tokio::join!(harness.refresh(&token), async {
        hold.waiting(1).await.unwrap();
        assert_eq!(issued(), before);
        hold.release();
    });
    assert_eq!(answer.status, 200);

    let (token, before) = (answer.text("refresh_token"), issued());
    let hold = control.hold_answer(Endpoint::Token);
    let (answer, ()) = tokio::join!(harness.refresh(&token), async {
        hold.waiting(1).await.unwrap();
        assert!(issued() > before);
        hold.release();
    });
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn faults_of_the_apis_keep_to_their_path() {
    let harness = Harness::start().await;
    let token = harness.sign_in().await.text("access_token");
    let endpoint = Endpoint::Api("/users/me");
    harness.control().fail(endpoint, Fault::status(502));
    assert_eq!(harness.api("/users/me", &token).await.status, 502);
    assert_eq!(harness.api("/organizations", &token).await.status, 200);

    harness.control().apis_go_down().await;
    let url = format!("{}/users/me", harness.provider.api_url());
    assert!(harness.http.get(&url).send().await.is_err());
    harness.control().apis_come_up().await.unwrap();
    assert_eq!(harness.api("/organizations", &token).await.status, 200);
}

#[tokio::test]
async fn requests_are_recorded_and_their_debug_output_shows_no_values() {
    let harness = Harness::start().await;
    let code = harness.code().await;
    harness.redeem(&code).await;
    let requests = harness.control().requests(Endpoint::Token);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].form("code"), Some(code.as_str()));
    assert_eq!(requests[0].form("code_verifier"), Some(VERIFIER));
    assert!(requests[0].header("authorization").is_some());
    let authorize = harness.control().requests(Endpoint::Authorize);
    assert_eq!(authorize[0].query("state").as_deref(), Some("the-state"));
    let shown = format!("{requests:?} {authorize:?}");
    assert!(!shown.contains(&code) && !shown.contains(VERIFIER) && !shown.contains("the-state"));
}

#[tokio::test]
async fn every_issued_secret_is_known() {
    let harness = Harness::start().await;
    let code = harness.code().await;
    let tokens = harness.redeem(&code).await;
    let secrets = harness.control().issued_secrets();
    for secret in [
        code,
        tokens.text("access_token"),
        tokens.text("refresh_token"),
        tokens.text("id_token"),
        crate::harness::SECRET.to_owned(),
    ] {
        assert!(secrets.contains(&secret));
    }
}

#[tokio::test]
async fn a_wire_fault_is_no_http() {
    let harness = Harness::start().await;
    let control = harness.control();
    let url = harness.url("/jwks");
    let fault = |wire| control.fail_next(Endpoint::Jwks, 1, Fault::Wire(wire));

    fault(Wire::close_after(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ));
    assert_eq!(harness.get(&url).await.body, "ok");
    for wire in [
        Wire::close_after("no HTTP"),
        Wire::close_after("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"),
        Wire::reset_after("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"),
    ] {
        fault(wire);
        let whole = match harness.http.get(&url).send().await {
            Ok(answer) => answer.bytes().await,
            Err(error) => Err(error),
        };
        assert!(whole.is_err(), "{whole:?}");
    }
    assert_eq!((control.count(Endpoint::Jwks), control.open_wires()), (4, 0));
    assert_eq!(harness.get(&url).await.status, 200);
}

#[tokio::test]
async fn a_wire_that_never_ends_is_open_until_the_client_goes() {
    let harness = Harness::start().await;
    let control = harness.control();
    let url = harness.url("/jwks");
    for HostileAnswer { name, fault } in HostileAnswer::slow() {
        control.fail_next(Endpoint::Jwks, 1, fault);
        let request = harness.http.get(&url).timeout(Duration::from_millis(100)).send();
        if let Ok(answer) = request.await {
            assert!(answer.bytes().await.is_err(), "{name}");
        }
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while control.open_wires() > 0 {
        assert!(
            Instant::now() < deadline,
            "{} wires are open",
            control.open_wires()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
