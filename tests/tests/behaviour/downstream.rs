//! Calls of the protected API on the user's behalf.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault};
use auth_tests::{Stage, World};
use axum::Router;
use axum::http::HeaderMap;
use serde_json::json;

use crate::token_endpoint::serve;

const ME: &str = "/scim2/Me";

fn me() -> Endpoint {
    Endpoint::Api(ME)
}

pub(crate) async fn the_answer_is_passed_on(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let me = world.browser.fetch("/api/me").await.assert_status(200).json();
    assert_eq!(
        (&me["userName"], &me["name"]["givenName"]),
        (&json!("alice"), &json!("Alice"))
    );
    let request = &world.provider.control().requests(Endpoint::Api(ME))[0];
    assert!(
        request
            .header("authorization")
            .is_some_and(|value| value.starts_with("Bearer "))
    );
    assert_eq!(request.header("accept"), Some("application/scim+json"));
    assert!(request.header("cookie").is_none());
}

// W3C Trace Context §3, §4
pub(crate) async fn the_trace_of_the_request_goes_along(stage: Stage) {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let world = stage.signed_in("alice").await;
    for (sent, passed) in [
        (PARENT, Some(PARENT)),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", None),
        ("evil", None),
    ] {
        // With the user's token, and with the application's own.
        for (route, endpoint) in [("/api/me", me()), ("/api/machine", Endpoint::Api("/machine"))] {
            world
                .browser
                .fetch(route)
                .header("traceparent", sent)
                .header("tracestate", "a=b")
                .header("baggage", "user=alice")
                .await
                .assert_status(200);
            let request = world.provider.control().requests(endpoint).pop().unwrap();
            assert_eq!(request.header("traceparent"), passed, "{route}");
            assert_eq!(request.header("tracestate"), passed.map(|_| "a=b"), "{route}");
            assert_eq!(request.header("baggage"), None, "{route}");
        }
    }
}

pub(crate) async fn the_profile_shows_mail_and_names(stage: Stage) {
    let world = stage.world().await;
    for (user, mail, given, family) in [
        ("alice", "alice@example.com", "Alice", "Archer"),
        ("bob", "bob@example.com", "Bob", ""),
    ] {
        let browser = world.browser.fresh();
        world.sign_in_with(&browser, user).await;
        let page = browser.navigate("/profile").await;
        page.assert_status(200).assert_page();
        let text = page.text();
        for shown in [mail, given, family] {
            assert!(text.contains(shown), "{shown} is not in {text}");
        }
        assert!(!text.contains("[object") && !text.contains("{\""), "{text}");
    }
}

pub(crate) async fn what_the_api_says_is_shown_as_text(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let hostile = "<script>alert(1)</script>\"'&";
    let body = json!({"id": hostile, "userName": hostile, "name": {"givenName": hostile, "familyName": hostile}, "emails": [hostile]});
    world
        .provider
        .control()
        .fail(me(), Fault::body(200, "application/scim+json", body.to_string()));
    let page = world.browser.navigate("/profile").await;
    page.assert_status(200);
    assert!(!page.body.contains("<script"), "{}", page.body);
    assert!(
        page.text().contains("<script>alert(1)</script>"),
        "{}",
        page.describe()
    );
}

// RFC 8259 §6
pub(crate) async fn numbers_are_passed_on_to_the_digit(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    let says = |body: &str| control.fail(me(), Fault::body(200, "application/scim+json", body));
    let numbers = "{\"a\": 123456789012345678901234567890, \"b\":1.10,\"c\":1e400, \"a\":[-0.0]}";
    says(numbers);
    let answer = world.browser.fetch("/api/me").await;
    assert_eq!(answer.assert_status(200).body, numbers);
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    for no_json in ["{\"a\":1", "{\"a\":01}", "{} {}", "", "<p>"] {
        control.clear(me());
        says(no_json);
        world.browser.fetch("/api/me").await.assert_status(502);
    }
}

pub(crate) async fn both_calls_of_the_dashboard_run_at_the_same_time(stage: Stage) {
    let world = stage.signed_in("alice").await;
    for (path, page) in [("/api/dashboard", false), ("/dashboard", true)] {
        let gates =
            ["/users/me", "/organizations"].map(|path| world.provider.control().hold(Endpoint::Api(path)));
        let browser = world.browser.clone();
        let request = tokio::spawn(async move {
            if page {
                browser.navigate(path).await
            } else {
                browser.fetch(path).await
            }
        });
        for gate in &gates {
            gate.waiting(1).await.unwrap();
        }
        for gate in gates {
            gate.release();
        }
        let answer = request.await.unwrap();
        answer.assert_status(200);
        if page {
            answer.assert_page();
        } else {
            let json = answer.json();
            assert!(
                json["profile"].is_object() && json["organizations"].is_array()
                    || json["organizations"].is_object(),
                "{json}"
            );
        }
    }
}

// RFC 6750 §3.1
pub(crate) async fn a_refused_token_is_refreshed_and_the_call_sent_again_once(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    control.reject_next(1);
    world.browser.fetch("/api/me").await.assert_status(200);
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
    let calls = control.requests(me());
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].header("authorization"), calls[1].header("authorization"));
}

// RFC 6750 §3.1
pub(crate) async fn an_api_that_refuses_every_token_is_asked_twice_and_no_more(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    control.reject_next(100);
    let answer = world.browser.fetch("/api/me").await;
    assert_eq!(answer.status, 401, "{}", answer.describe());
    assert_eq!((control.count(me()), control.refresh_count()), (2, 1));
    assert!(world.browser.is_signed_in().await);
    let page = world.browser.navigate("/profile").await;
    assert!(
        page.status >= 400 && page.header("location").is_none(),
        "a loop: {}",
        page.describe()
    );
}

pub(crate) async fn a_refused_token_while_the_provider_is_down_signs_nobody_out(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    control.reject_next(1);
    control.fail(Endpoint::Token, Fault::status(503));
    let answer = world.browser.fetch("/api/me").await;
    assert!(matches!(answer.status, 401 | 502 | 503), "{}", answer.describe());
    assert!(world.browser.is_signed_in().await);
    control.clear(Endpoint::Token);
    world.browser.fetch("/api/me").await.assert_status(200);
}

async fn bad_gateway(world: &World, what: &str) {
    let start = Instant::now();
    let answer = world.browser.fetch("/api/me").await;
    assert_eq!(answer.status, 502, "{what}: {}", answer.describe());
    assert_eq!(answer.media_type(), "application/problem+json", "{what}");
    let page = world.browser.navigate("/profile").await;
    assert_eq!(page.status, 502, "{what}: {}", page.describe());
    page.assert_page().assert_no_store();
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{what} took {:?}",
        start.elapsed()
    );
    for secret in world.provider.control().issued_secrets() {
        assert!(
            !answer.body.contains(&secret) && !page.body.contains(&secret),
            "{what} shows a token"
        );
    }
    assert!(world.browser.is_signed_in().await, "{what}");
}

pub(crate) async fn a_failing_api_is_a_502(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", 1))
        .await;
    world.sign_in("alice").await;
    let control = world.provider.control();
    for (what, fault) in [
        ("500", Fault::status(500)),
        ("503", Fault::status(503)),
        ("HTML", Fault::body(200, "text/html", "<h1>hello</h1>")),
        (
            "half a JSON",
            Fault::body(200, "application/scim+json", "{\"id\":\"al"),
        ),
        ("nothing", Fault::body(200, "application/scim+json", "")),
        ("reset", Fault::Reset),
        ("silence", Fault::Hang),
        ("a redirect", Fault::status(302)),
    ] {
        control.clear(me());
        control.fail(me(), fault);
        bad_gateway(&world, what).await;
    }
    control.clear(me());
    world.browser.fetch("/api/me").await.assert_status(200);
}

pub(crate) async fn an_api_that_nobody_serves_is_a_502(stage: Stage) {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let world = stage
        .world_with(|settings| settings.set("API_URL", format!("http://{nowhere}")))
        .await;
    world.sign_in("alice").await;
    bad_gateway(&world, "connection refused").await;
    let answer = world.browser.fetch("/api/dashboard").await;
    assert_eq!(answer.status, 502, "{}", answer.describe());
}

pub(crate) async fn half_a_dashboard_is_a_502(stage: Stage) {
    let world = stage.signed_in("alice").await;
    world
        .provider
        .control()
        .fail(Endpoint::Api("/organizations"), Fault::status(500));
    world.browser.fetch("/api/dashboard").await.assert_status(502);
    world
        .browser
        .navigate("/dashboard")
        .await
        .assert_status(502)
        .assert_page();
}

pub(crate) async fn the_api_s_own_refusals_pass(stage: Stage) {
    let world = stage.signed_in("alice").await;
    for status in [400, 403, 404, 409, 429] {
        world.provider.control().clear(me());
        world.provider.control().fail(
            me(),
            Fault::body(status, "application/json", "{\"detail\":\"no\"}"),
        );
        let answer = world.browser.fetch("/api/me").await;
        assert_eq!(answer.status, status, "{}", answer.describe());
    }
    assert_eq!(world.provider.control().refresh_count(), 0);
}

pub(crate) async fn the_api_s_own_refusals_are_a_502_on_pages(stage: Stage) {
    let world = stage.signed_in("alice").await;
    for status in [400, 403, 404] {
        world.provider.control().clear(me());
        let page = Fault::body(status, "text/html", "<script>alert(1)</script>");
        world.provider.control().fail(me(), page);
        let answer = world.browser.navigate("/profile").await;
        answer.assert_failure(502..=502);
        // What the API says that is no JSON never is a page of this origin.
        let answer = world.browser.fetch("/api/me").await;
        answer.assert_problem(status);
        assert!(!answer.text().contains("alert(1)"), "{}", answer.describe());
    }
}

// RFC 6750 §5.2
pub(crate) async fn tokens_do_not_follow_a_redirect_to_another_origin(stage: Stage) {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let record = Arc::clone(&seen);
    let elsewhere = serve(Router::new().fallback(move |headers: HeaderMap| async move {
        record.lock().unwrap().push(headers);
        axum::Json(json!({"id": "x"}))
    }))
    .await;
    let there = axum::response::Redirect::temporary(&format!("{elsewhere}{ME}"));
    let api = serve(Router::new().fallback(move || async move { there })).await;

    let world = stage.world_with(|settings| settings.set("API_URL", api)).await;
    world.sign_in("alice").await;
    let answer = world.browser.fetch("/api/me").await;
    assert!(answer.status >= 300, "{}", answer.describe());
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .all(|headers| !headers.contains_key("authorization"))
    );
}
