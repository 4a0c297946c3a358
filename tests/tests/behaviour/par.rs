//! Pushed authorization requests (RFC 9126).

use std::time::Duration;

use auth_testing::{Client, Endpoint, Fault, RecordedRequest};
use auth_tests::stage::{BASE, CLIENT_ID, CLIENT_SECRET};
use auth_tests::{Site, Stage, World};
use url::Url;

use crate::login::parameters;

async fn pushing(stage: &Stage) -> World {
    stage
        .world_with(|settings| settings.set("AUTH_PAR", "always"))
        .await
}

fn pushes(world: &World) -> Vec<RecordedRequest> {
    world.provider.control().requests(Endpoint::PushedAuthorization)
}

/// Nothing but the client's id and the request's name is in the browser's hands.
#[track_caller]
fn assert_names_only(request: &Url) {
    let mut names: Vec<_> = parameters(request).into_keys().collect();
    names.sort();
    assert_eq!(names, ["client_id", "request_uri"], "{request}");
}

// RFC 9126 §2.1, §4
pub(crate) async fn the_browser_carries_client_id_and_request_uri_only(stage: Stage) {
    let world = pushing(&stage).await;
    let request = world
        .begin(&world.browser, "/auth/login?return_to=/profile")
        .await;
    assert_names_only(&request);
    assert_eq!(parameters(&request)["client_id"], CLIENT_ID);
    let push = &pushes(&world)[0];
    for name in ["state", "nonce", "code_challenge", "scope"] {
        assert!(push.form(name).is_some(), "{name}");
    }
    assert_eq!(push.form("response_type"), Some("code"));
    assert_eq!(push.form("code_challenge_method"), Some("S256"));
    assert_eq!(push.form("redirect_uri"), Some(&*format!("{BASE}/auth/callback")));
    assert!(push.header("authorization").unwrap().starts_with("Basic "));
    let answer = world.finish(&world.browser, &request, "alice").await;
    assert_eq!(answer.location().path(), "/profile");
    world.browser.assert_signed_in_as("alice").await;
    assert_eq!(pushes(&world).len(), 1);
}

// RFC 9126 §5
pub(crate) async fn auto_pushes_where_discovery_requires_it(stage: Stage) {
    let world = stage.signed_in("alice").await;
    assert_eq!(pushes(&world).len(), 0);
    for (policy, is_pushed) in [(None, true), (Some("auto"), true), (Some("never"), false)] {
        let provider = stage
            .provider_for(Client::confidential(CLIENT_ID, CLIENT_SECRET), BASE)
            .start()
            .await
            .unwrap();
        stage.watch(&provider);
        provider.control().require_pushed_requests(true);
        let mut environment = stage.environment(&provider);
        if let Some(policy) = policy {
            environment = environment.set("AUTH_PAR", policy);
        }
        let app = stage.start(&environment).await;
        let browser = stage.browser(&app, BASE);
        let world = World {
            provider,
            app,
            browser,
        };
        if is_pushed {
            let request = world.begin(&world.browser, "/auth/login").await;
            assert_names_only(&request);
            world
                .finish(&world.browser, &request, "alice")
                .await
                .assert_redirect();
            world.browser.assert_signed_in_as("alice").await;
        } else {
            let page = world.browser.navigate("/auth/login").await;
            assert_eq!(page.assert_failure(502..=502), "login.push_required");
            assert_eq!(pushes(&world).len(), 0);
        }
    }
}

// RFC 9126 §2.1; RFC 9470 §4
pub(crate) async fn step_up_and_further_consent_are_pushed_too(stage: Stage) {
    let world = pushing(&stage).await;
    world.sign_in("alice").await;
    let answer = world.browser.navigate("/api/mail").await;
    let request = world.begin(&world.browser, answer.location().as_str()).await;
    assert_names_only(&request);
    let scope = pushes(&world)[1].form("scope").unwrap().to_owned();
    assert!(scope.split(' ').any(|scope| scope == "mail.read"), "{scope}");
    let answer = world.finish(&world.browser, &request, "alice").await;
    assert_eq!(answer.location().path(), "/api/mail");
    world.browser.navigate("/api/mail").await.assert_status(200);
}

// RFC 9126 §2.3
pub(crate) async fn a_push_that_fails_is_a_page_of_the_login_route(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_PAR", "always").set("HTTP_TIMEOUT_SECS", 3))
        .await;
    let control = world.provider.control();
    let json = "application/json";
    for (fault, status) in [
        (Fault::status(500), 503),
        (Fault::status(429), 503),
        (Fault::Reset, 503),
        (Fault::Delay(Duration::from_secs(6)), 503),
        (Fault::oauth(401, "invalid_client"), 502),
        (Fault::oauth(400, "invalid_request"), 502),
        (Fault::oauth(400, "words of the provider"), 502),
        (Fault::status(302), 502),
        (Fault::body(201, json, r#"{"expires_in":60}"#), 502),
        (Fault::body(200, json, "<html>words of the provider"), 502),
    ] {
        control.fail_next(Endpoint::PushedAuthorization, 1, fault);
        let page = world.browser.navigate("/auth/login?return_to=/profile").await;
        page.assert_failure(status..=status);
        if status == 503 {
            page.assert_unavailable();
        }
        assert!(!page.body.contains("words of the provider"), "{}", page.body);
        assert!(world.browser.cookies().is_empty(), "an attempt is left behind");
    }
    world.sign_in("alice").await;
}

// RFC 9126 §7.3
pub(crate) async fn neither_a_prefetch_nor_another_site_s_image_pushes_anything(stage: Stage) {
    let world = pushing(&stage).await;
    for purpose in ["prefetch", "prefetch;prerender"] {
        let answer = world
            .browser
            .navigate("/auth/login")
            .header("sec-purpose", purpose)
            .await;
        assert!(answer.header("location").is_none(), "{}", answer.describe());
    }
    for mode in ["no-cors", "cors"] {
        let image = world
            .browser
            .fetch("/auth/login")
            .site(Site::CrossSite)
            .header("sec-fetch-mode", mode)
            .await;
        assert!(image.header("location").is_none(), "{}", image.describe());
    }
    assert_eq!(pushes(&world).len(), 0);
    let link = world.browser.navigate("/auth/login").site(Site::CrossSite).await;
    assert_names_only(&link.location());
    assert_eq!(pushes(&world).len(), 1);
}
