//! What the token endpoint and userinfo may answer at sign-in.

use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault};
use auth_tests::{Stage, World};
use serde_json::{Value, json};

use crate::id_token::Claims;

async fn refused(world: &World, what: &str) {
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let answer = world.finish(&browser, &request, "alice").await;
    assert!(
        matches!(answer.status, 502 | 503),
        "{what}: {}",
        answer.describe()
    );
    answer.assert_failure(502..=503);
    if answer.status == 503 {
        answer.assert_unavailable();
    }
    assert!(!answer.body.contains("words of the provider"), "{what}");
    browser.assert_signed_out().await;
}

async fn accepted(world: &World, what: &str) -> Value {
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let answer = world.finish(&browser, &request, "alice").await;
    assert!(
        matches!(answer.status, 302 | 303),
        "{what}: {}",
        answer.describe()
    );
    browser.assert_signed_in_as("alice").await;
    browser.session().await
}

fn answer_with(world: &World, name: &'static str, value: Value) {
    world
        .provider
        .control()
        .tamper_token_response(move |answer: &mut Claims| {
            if value.is_null() {
                answer.remove(name);
            } else {
                answer.insert(name.to_owned(), value.clone());
            }
        });
}

// OpenID Connect Core §3.1.3.5; RFC 6749 §5.1
pub(crate) async fn answers_that_are_no_token_response_are_refused(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    let large = format!("{{\"access_token\":\"{}\"", "x".repeat(10_000_000));
    for (what, kind, body) in [
        ("HTML", "text/html", "<h1>words of the provider</h1>"),
        (
            "half a JSON",
            "application/json",
            "{\"access_token\":\"words of the provider\",\"token_ty",
        ),
        ("nothing", "application/json", ""),
        ("null", "application/json", "null"),
        ("a list", "application/json", "[]"),
        ("an empty object", "application/json", "{}"),
        ("10 MB", "application/json", &large),
    ] {
        control.fail(Endpoint::Token, Fault::body(200, kind, body));
        let start = Instant::now();
        refused(&world, what).await;
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "{what} took {:?}",
            start.elapsed()
        );
    }
    control.clear(Endpoint::Token);
    accepted(&world, "afterwards").await;
}

// OpenID Connect Core §3.1.3.4
pub(crate) async fn refusals_and_outages_are_502_or_503(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", 1))
        .await;
    let control = world.provider.control();
    for (what, fault) in [
        ("500", Fault::status(500)),
        ("503", Fault::status(503)),
        ("429", Fault::status(429)),
        ("a redirect", Fault::status(302)),
        ("reset", Fault::Reset),
        ("silence", Fault::Hang),
        ("invalid_client", Fault::oauth(401, "invalid_client")),
        ("unauthorized_client", Fault::oauth(400, "unauthorized_client")),
        ("invalid_grant", Fault::oauth(400, "invalid_grant")),
        ("an error with status 200", Fault::oauth(200, "invalid_request")),
    ] {
        control.fail(Endpoint::Token, fault);
        let start = Instant::now();
        refused(&world, what).await;
        assert!(
            start.elapsed() < Duration::from_secs(6),
            "{what} took {:?}",
            start.elapsed()
        );
    }
    control.clear(Endpoint::Token);
    accepted(&world, "afterwards").await;
}

// OpenID Connect Core §3.1.3.4
pub(crate) async fn an_error_is_an_error_whatever_else_the_answer_holds(stage: Stage) {
    let world = stage.world().await;
    answer_with(&world, "error", json!("server_error"));
    refused(&world, "error beside tokens").await;
}

// OpenID Connect Core §3.1.3.3; RFC 6749 §5.1, §7.1
pub(crate) async fn the_token_type_is_bearer_in_any_case(stage: Stage) {
    let world = stage.world().await;
    for value in [Value::Null, json!("mac"), json!("DPoP"), json!(""), json!(7)] {
        answer_with(&world, "token_type", value.clone());
        refused(&world, &format!("token_type {value}")).await;
    }
    for value in ["Bearer", "bearer", "BEARER"] {
        answer_with(&world, "token_type", json!(value));
        accepted(&world, value).await;
    }
}

// RFC 6749 §5.1
pub(crate) async fn an_access_token_is_needed(stage: Stage) {
    let world = stage.world().await;
    for value in [Value::Null, json!(""), json!(7)] {
        answer_with(&world, "access_token", value.clone());
        refused(&world, &format!("access_token {value}")).await;
    }
}

// RFC 6749 §5.1
pub(crate) async fn expires_in_may_be_text_and_nonsense_means_unknown(stage: Stage) {
    let world = stage.world().await;
    for value in [json!(300), json!("300")] {
        answer_with(&world, "expires_in", value.clone());
        let session = accepted(&world, &value.to_string()).await;
        let expires_at = session["access_token_expires_at"]
            .as_u64()
            .unwrap_or_else(|| panic!("{value}: {session}"));
        assert!(
            expires_at.abs_diff(auth_tests::jar::unix_now() + 300) < 20,
            "{value}: {session}"
        );
    }
    for value in [Value::Null, json!("soon"), json!(-5), json!({}), json!(true)] {
        answer_with(&world, "expires_in", value.clone());
        let session = accepted(&world, &value.to_string()).await;
        assert_eq!(session["access_token_expires_at"], Value::Null, "{value}");
    }
}

// RFC 6749 §5.1, §3.3
pub(crate) async fn scopes_are_those_granted(stage: Stage) {
    let world = stage.world().await;
    answer_with(&world, "scope", json!("openid email"));
    let session = accepted(&world, "granted").await;
    let mut scopes: Vec<_> = session["scopes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scope| scope.as_str().unwrap())
        .collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["email", "openid"]);
}

// OpenID Connect Core §16.11, §5.3.2
pub(crate) async fn userinfo_of_somebody_else_fails_the_sign_in(stage: Stage) {
    let world = stage.world().await;
    for value in [json!("bob"), Value::Null, json!(""), json!(7)] {
        world
            .provider
            .control()
            .tamper_userinfo(move |claims: &mut Claims| {
                if value.is_null() {
                    claims.remove("sub");
                } else {
                    claims.insert("sub".to_owned(), value.clone());
                }
            });
        let browser = world.browser.fresh();
        let request = world.begin(&browser, "/auth/login").await;
        world
            .finish(&browser, &request, "alice")
            .await
            .assert_failure(400..=599);
        browser.assert_signed_out().await;
    }
}

// OpenID Connect Core §5.3.4
pub(crate) async fn a_signed_userinfo_answer_that_does_not_verify_fails_the_sign_in(stage: Stage) {
    let world = stage.world().await;
    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.";
    world
        .provider
        .control()
        .fail(Endpoint::Userinfo, Fault::body(200, "application/jwt", forged));
    let request = world.begin(&world.browser, "/auth/login").await;
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_failure(400..=599);
    world.browser.assert_signed_out().await;
}

// OpenID Connect Core §5.3.1, §5.3.3
pub(crate) async fn any_other_failure_of_userinfo_does_not(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", 1))
        .await;
    let control = world.provider.control();
    for (what, fault) in [
        ("500", Fault::status(500)),
        ("401", Fault::status(401)),
        ("403", Fault::status(403)),
        ("a redirect", Fault::status(302)),
        ("reset", Fault::Reset),
        ("silence", Fault::Hang),
        ("HTML", Fault::body(200, "text/html", "<h1>hello</h1>")),
        ("nothing", Fault::body(200, "application/json", "")),
    ] {
        control.fail(Endpoint::Userinfo, fault);
        let (asked, refreshed) = (control.count(Endpoint::Userinfo), control.refresh_count());
        accepted(&world, what).await;
        assert_eq!(
            control.count(Endpoint::Userinfo),
            asked + 1,
            "{what}: asked again"
        );
        assert_eq!(control.refresh_count(), refreshed, "{what}: refreshed");
    }
}

// OpenID Connect Core §5.3.4
pub(crate) async fn userinfo_adds_claims_and_changes_none(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    control.tamper_id_token(|_: &mut Claims, claims: &mut Claims| {
        claims.remove("roles");
        claims.insert("email".to_owned(), json!("from-id-token@example.com"));
    });
    control.tamper_userinfo(|claims: &mut Claims| {
        for (name, value) in [
            ("email", json!("from-userinfo@example.com")),
            ("roles", json!(["admin"])),
            ("iss", json!("https://evil.example")),
            ("aud", json!("someone-else")),
            ("exp", json!(1)),
            ("favourite_colour", json!("green")),
        ] {
            claims.insert(name.to_owned(), value);
        }
    });
    let browser = &world.browser;
    world.sign_in("alice").await;
    let user = browser.session().await["user"].clone();
    assert_eq!(user["email"], "from-id-token@example.com");
    assert_eq!(user["favourite_colour"], "green");
    assert!(
        user.get("iss")
            .is_none_or(|issuer| issuer == world.provider.issuer()),
        "{user}"
    );
    assert!(
        user.get("aud").is_none_or(|audience| audience != "someone-else"),
        "{user}"
    );
    assert!(user.get("exp").is_none_or(|exp| exp != 1), "{user}");
    assert!(user.get("roles").is_none(), "{user}");
    browser.fetch("/api/admin").await.assert_status(403);
}

pub(crate) async fn userinfo_can_be_left_out(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_USERINFO", "never"))
        .await;
    accepted(&world, "without userinfo").await;
    assert_eq!(world.provider.control().count(Endpoint::Userinfo), 0);
}

/// Serves this router on a free loopback port and gives its origin.
pub(crate) async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    origin
}

pub(crate) async fn redirects_of_the_token_endpoint_are_not_followed(stage: Stage) {
    let world = stage.world().await;
    let target = format!("{}/token", world.provider.issuer());
    let there = axum::response::Redirect::temporary(&target);
    let stub = serve(axum::Router::new().fallback(move || async move { there })).await;
    world
        .provider
        .control()
        .tamper_discovery(move |document: &mut Claims| {
            document.insert("token_endpoint".to_owned(), json!(format!("{stub}/token")));
        });
    refused(&world, "a redirect").await;
    assert_eq!(world.provider.control().count(Endpoint::Token), 0);
}

pub(crate) async fn an_answer_that_trickles_in_is_given_up(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", 1))
        .await;
    let stub = serve(axum::Router::new().fallback(|| async {
        let drops = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, std::io::Error>(" "), ()))
        });
        (
            [("content-type", "application/json")],
            axum::body::Body::from_stream(drops),
        )
    }))
    .await;
    world
        .provider
        .control()
        .tamper_discovery(move |document: &mut Claims| {
            document.insert("token_endpoint".to_owned(), json!(format!("{stub}/token")));
        });
    let start = Instant::now();
    refused(&world, "a trickle").await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}
