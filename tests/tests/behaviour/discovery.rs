//! The provider's metadata and keys: missing, late or wrong.

use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault, OldKeys};
use auth_tests::{Stage, World, wait};
use serde_json::{Value, json};

use crate::id_token::Claims;

/// A world whose application has not asked the provider for anything yet.
async fn world(stage: &Stage) -> World {
    stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", 1))
        .await
}

async fn login_works_again(world: &World) {
    wait::until("sign-in works again", Duration::from_secs(5), || async {
        matches!(world.browser.navigate("/auth/login").await.status, 302 | 303)
    })
    .await;
}

pub(crate) async fn while_the_provider_is_down_sign_in_is_503_and_soon_works_again(stage: Stage) {
    for fault in [
        Fault::status(500),
        Fault::status(503),
        Fault::status(429),
        Fault::Reset,
        Fault::Hang,
    ] {
        let world = world(&stage).await;
        let control = world.provider.control();
        control.fail(Endpoint::Discovery, fault);
        let start = Instant::now();
        let answer = world.browser.navigate("/auth/login").await;
        answer.assert_unavailable().assert_page();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(world.browser.cookies().is_empty());
        control.clear(Endpoint::Discovery);
        login_works_again(&world).await;
        world.sign_in("alice").await;
    }
}

pub(crate) async fn a_provider_that_comes_up_later_is_found(stage: Stage) {
    let provider = stage.provider().start().await.unwrap();
    let control = provider.control().clone();
    control.go_down().await;
    let app = stage.start(&stage.environment(&provider)).await;
    let browser = stage.browser(&app, auth_tests::stage::BASE);
    browser
        .navigate("/auth/login")
        .await
        .assert_unavailable()
        .assert_page();
    browser.navigate("/").await.assert_status(200);
    browser.fetch("/readyz").await.assert_status(200);
    control.come_up().await.unwrap();
    let world = World {
        provider,
        app,
        browser,
    };
    login_works_again(&world).await;
    world.sign_in("alice").await;
}

// OpenID Connect Discovery §4.2
pub(crate) async fn a_discovery_document_that_cannot_be_used_is_a_502_page(stage: Stage) {
    for (what, status, kind, body) in [
        ("missing", 404, "text/plain", "not found"),
        ("forbidden", 403, "text/plain", "no"),
        ("HTML", 200, "text/html", "<h1>words of the provider</h1>"),
        ("half a JSON", 200, "application/json", "{\"issuer\":"),
        ("empty", 200, "application/json", "{}"),
        ("a list", 200, "application/json", "[]"),
    ] {
        let world = world(&stage).await;
        world
            .provider
            .control()
            .fail(Endpoint::Discovery, Fault::body(status, kind, body));
        let answer = world.browser.navigate("/auth/login").await;
        answer.assert_failure(502..=502);
        assert!(!answer.body.contains("words of the provider"), "{what}");
        world.provider.control().clear(Endpoint::Discovery);
        login_works_again(&world).await;
    }
}

// OpenID Connect Discovery §3
pub(crate) async fn discovery_must_name_our_issuer_and_what_sign_in_needs(stage: Stage) {
    for (name, value) in [
        ("issuer", json!("https://evil.example")),
        ("issuer", Value::Null),
        ("authorization_endpoint", Value::Null),
        ("authorization_endpoint", json!("http://evil.example/authorize")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("token_endpoint", Value::Null),
        ("token_endpoint", json!("http://evil.example/token")),
        ("jwks_uri", Value::Null),
        ("id_token_signing_alg_values_supported", json!(["none", "HS256"])),
    ] {
        let world = world(&stage).await;
        let bad = value.clone();
        world
            .provider
            .control()
            .tamper_discovery(move |document: &mut Claims| {
                if bad.is_null() {
                    document.remove(name);
                } else {
                    document.insert(name.to_owned(), bad.clone());
                }
            });
        let answer = world.browser.navigate("/auth/login").await;
        assert_eq!(answer.status, 502, "{name} {value}: {}", answer.describe());
        answer.assert_failure(502..=502);
    }
}

pub(crate) async fn without_keys_nobody_is_signed_in(stage: Stage) {
    for (what, fault) in [
        ("500", Fault::status(500)),
        ("HTML", Fault::body(200, "text/html", "<h1>hello</h1>")),
        ("no keys", Fault::body(200, "application/json", "{}")),
        (
            "an empty key set",
            Fault::body(200, "application/json", "{\"keys\":[]}"),
        ),
        (
            "10 MB",
            Fault::body(200, "application/json", "x".repeat(10_000_000)),
        ),
    ] {
        let world = world(&stage).await;
        let control = world.provider.control();
        control.fail(Endpoint::Jwks, fault);
        let request = world.begin(&world.browser, "/auth/login").await;
        let answer = world.finish(&world.browser, &request, "alice").await;
        assert!(
            matches!(answer.status, 502 | 503),
            "{what}: {}",
            answer.describe()
        );
        answer.assert_failure(502..=503);
        world.browser.assert_signed_out().await;
    }
}

// OpenID Connect Core §10.1.1
pub(crate) async fn the_first_fetch_of_the_keys_does_not_count_as_a_second(stage: Stage) {
    let world = world(&stage).await;
    world.sign_in("alice").await;
    world.provider.control().rotate_keys(OldKeys::Keep);
    // Within 30 s of the first fetch, the new key is looked for all the same.
    world.sign_in_with(&world.browser.fresh(), "alice").await;
}

// RFC 9700 §2.6
pub(crate) async fn metadata_is_not_fetched_for_every_sign_in(stage: Stage) {
    let world = world(&stage).await;
    for _ in 0..5 {
        world.sign_in_with(&world.browser.fresh(), "alice").await;
    }
    assert_eq!(world.provider.control().count(Endpoint::Discovery), 1);
    assert_eq!(world.provider.control().count(Endpoint::Jwks), 1);
}

// OpenID Connect Discovery §4.1
pub(crate) async fn redirects_of_discovery_are_not_followed(stage: Stage) {
    let provider = stage.provider().start().await.unwrap();
    let target = format!("{}/.well-known/openid-configuration", provider.issuer());
    let there = axum::response::Redirect::temporary(&target);
    let stub = crate::token_endpoint::serve(axum::Router::new().fallback(move || async move { there })).await;
    let app = stage
        .start(&stage.environment(&provider).set("AUTH_ISSUER", stub))
        .await;
    let browser = stage.browser(&app, auth_tests::stage::BASE);
    browser.navigate("/auth/login").await.assert_failure(502..=502);
    assert_eq!(provider.control().count(Endpoint::Discovery), 0);
}
