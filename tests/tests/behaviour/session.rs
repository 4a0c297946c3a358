//! Sessions: their cookie, their identifier, their ends, and `/auth/session`.

use std::time::Duration;

use auth_testing::Endpoint;
use auth_tests::stage::HTTPS_BASE;
use auth_tests::{Browser, Stage, World, wait};
use serde_json::{Value, json};

use crate::modes::https_world;

/// Attributes of a `Set-Cookie` header, in lower case, without the cookie itself.
fn attributes(header: &str) -> Vec<String> {
    header
        .split(';')
        .skip(1)
        .map(|part| part.trim().to_ascii_lowercase())
        .collect()
}

async fn whole_visit(world: &World) {
    world.browser.navigate("/").await;
    world.begin(&world.browser, "/auth/login").await;
    world.sign_in("alice").await;
    world.browser.navigate("/profile").await.assert_status(200);
    world.sign_in("bob").await;
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    world.browser.navigate("/").await;
}

// RFC 10017 §6.1.3.2
pub(crate) async fn cookies_are_http_only_lax_and_of_this_host(stage: Stage) {
    let world = stage.world().await;
    whole_visit(&world).await;
    let seen = world.browser.jar().seen().to_vec();
    assert!(seen.len() >= 4, "{seen:?}");
    for cookie in seen {
        let attributes = attributes(&cookie.header);
        assert!(cookie.accepted, "a browser refuses {attributes:?}");
        for due in ["httponly", "samesite=lax", "path=/"] {
            assert!(
                attributes.iter().any(|attribute| attribute == due),
                "{due} is missing in {attributes:?}"
            );
        }
        assert!(
            !attributes
                .iter()
                .any(|attribute| attribute.starts_with("domain") || attribute == "secure"),
            "{attributes:?}"
        );
    }
    assert!(
        world
            .browser
            .cookies()
            .iter()
            .all(|cookie| !cookie.name.starts_with("__"))
    );
}

// RFC 6749 §3.1.2.1; RFC 9700 §2.6; RFC 10017 §6.1.3.2
pub(crate) async fn with_https_cookies_are_secure_and_bound_to_the_host(stage: Stage) {
    let world = https_world(&stage, |settings| settings).await;
    whole_visit(&world).await;
    let seen = world.browser.jar().seen().to_vec();
    assert!(seen.len() >= 4, "{seen:?}");
    for cookie in seen {
        let attributes = attributes(&cookie.header);
        assert!(cookie.accepted, "a browser refuses {attributes:?}");
        assert!(
            cookie.header.starts_with("__Host-"),
            "{:?}",
            cookie.header.split('=').next()
        );
        for due in ["httponly", "samesite=lax", "path=/", "secure"] {
            assert!(
                attributes.iter().any(|attribute| attribute == due),
                "{due} is missing in {attributes:?}"
            );
        }
        assert!(
            !attributes.iter().any(|attribute| attribute.starts_with("domain")),
            "{attributes:?}"
        );
    }
    assert_eq!(world.browser.base().as_str().trim_end_matches('/'), HTTPS_BASE);
    world.browser.assert_signed_out().await;
}

pub(crate) async fn after_sign_in_the_attempt_s_cookie_is_gone(stage: Stage) {
    let world = stage.world().await;
    world.begin(&world.browser, "/auth/login").await;
    let attempt: Vec<_> = world
        .browser
        .cookies()
        .into_iter()
        .map(|cookie| cookie.value)
        .collect();
    assert!(!attempt.is_empty());
    let browser = world.browser.fresh();
    world.sign_in_with(&browser, "alice").await;
    let session = browser.session_cookie().await;
    assert!(
        (22..1024).contains(&session.value.len()),
        "{} bytes",
        session.value.len()
    );
    let names: Vec<_> = browser.cookies().into_iter().map(|cookie| cookie.name).collect();
    assert!(names.len() <= 2, "{names:?}");
    assert!(
        world
            .browser
            .cookies()
            .iter()
            .all(|cookie| !names.contains(&cookie.name) || cookie.name == session.name)
    );
}

// RFC 10017 §6.1.3.2
pub(crate) async fn every_sign_in_makes_a_new_identifier_and_ends_the_old_session(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let before = world.browser.copy();
    before.assert_signed_in_as("alice").await;
    world.sign_in("bob").await;
    world.browser.assert_signed_in_as("bob").await;
    let old: Vec<_> = before.cookies().into_iter().map(|cookie| cookie.value).collect();
    assert!(
        world
            .browser
            .cookies()
            .iter()
            .all(|cookie| !old.contains(&cookie.value))
    );
    before.assert_signed_out().await;
}

// RFC 10017 §6.1.3.2
pub(crate) async fn an_identifier_that_was_planted_is_not_taken_over(stage: Stage) {
    let world = stage.world().await;
    // The attacker has an identifier of the application's own making, of a session that has ended, and plants it.
    let attacker = world.browser.fresh();
    world.sign_in_with(&attacker, "bob").await;
    let planted = attacker.copy();
    let victim = attacker.copy();
    attacker.submit("/auth/logout", &[]).await.assert_redirect();
    world.sign_in_with(&victim, "alice").await;
    victim.assert_signed_in_as("alice").await;
    planted.assert_signed_out().await;
}

// RFC 10017 §6.1.2.3
pub(crate) async fn sign_out_makes_the_identifier_useless(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let copy = world.browser.copy();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    copy.assert_signed_out().await;
    world.browser.assert_signed_out().await;
}

pub(crate) async fn a_corrupt_cookie_is_no_cookie(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let cookie = world.browser.session_cookie().await;
    let middle = cookie.value.len() / 2;
    let flipped = |at: usize| {
        let other = if cookie.value.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        format!("{}{other}{}", &cookie.value[..at], &cookie.value[at + 1..])
    };
    for value in [
        String::new(),
        "x".to_owned(),
        "\"\"".to_owned(),
        "%".to_owned(),
        "%00%ff".to_owned(),
        "\u{e9}\u{e9}".to_owned(),
        cookie.value[1..].to_owned(),
        format!("{}x", cookie.value),
        cookie.value.repeat(2),
        "A".repeat(cookie.value.len()),
        "A".repeat(3500),
        flipped(middle),
        flipped(0),
    ] {
        let browser = world.browser.copy();
        browser.jar().change(&cookie.name, &value);
        assert_eq!(
            browser.session().await,
            json!({"authenticated": false}),
            "{value:?}"
        );
        browser.jar().forget(&cookie.name);
        let sent = format!("{}={value}", cookie.name);
        let answer = browser.navigate("/profile").header("cookie", &sent).await;
        answer.assert_redirect();
        browser
            .navigate("/")
            .header("cookie", &sent)
            .await
            .assert_status(200);
        let request = world.begin(&browser, "/auth/login").await;
        world.finish(&browser, &request, "bob").await.assert_redirect();
        browser.assert_signed_in_as("bob").await;
    }
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn other_cookies_and_doubled_ones_do_no_harm(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let cookie = world.browser.session_cookie().await;
    let (name, value) = (&cookie.name, &cookie.value);
    let browser = world.browser.fresh();
    for sent in [
        format!("a=b; {name}={value}; c=d"),
        format!("a; =; ;; {name}={value}"),
        format!("a=\"b c\"; {name}={value}"),
    ] {
        let answer = browser.fetch("/api/ping").header("cookie", &sent).await;
        answer.assert_status(200);
    }
    for sent in [
        format!("{name}=x; {name}={value}"),
        format!("{name}={value}; {name}=x"),
    ] {
        let status = browser.fetch("/api/ping").header("cookie", &sent).await.status;
        assert!(matches!(status, 200 | 401), "{status}");
    }
    for odd in [&b"\xff\xfe=\xff"[..], b"\x80"] {
        let header = http::HeaderValue::from_bytes(odd).unwrap();
        browser
            .fetch("/auth/session")
            .raw_header("cookie", header)
            .await
            .assert_status(200);
    }
}

pub(crate) async fn a_cookie_of_another_alphabet_beside_it_does_no_harm(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login?return_to=/profile").await;
    let callback = world.approve(&request, "alice").await;
    let beside = |cookies: &str| {
        http::HeaderValue::from_bytes(format!("n=Jürgen; {cookies}; m=é").as_bytes()).unwrap()
    };
    let attempt: Vec<_> = browser
        .cookies()
        .iter()
        .map(|c| format!("{}={}", c.name, c.value))
        .collect();
    let answer = browser
        .navigate(callback.as_str())
        .raw_header("cookie", beside(&attempt.join("; ")))
        .await;
    assert_eq!(answer.location().path(), "/profile", "{}", answer.describe());

    let cookie = world.browser.session_cookie().await;
    let header = beside(&format!("{}={}", cookie.name, cookie.value));
    let ping = browser
        .fresh()
        .fetch("/api/ping")
        .raw_header("cookie", header)
        .await;
    ping.assert_status(200);
}

pub(crate) async fn anonymous_requests_set_no_cookie(stage: Stage) {
    let world = stage.world().await;
    for path in [
        "/",
        "/auth/session",
        "/profile",
        "/api/ping",
        "/healthz",
        "/nowhere",
    ] {
        world.browser.navigate(path).await.assert_no_cookie();
        world.browser.fetch(path).await.assert_no_cookie();
    }
}

// RFC 6750 §5.3; RFC 9700 §2.2.1; RFC 10017 §6.1.2.1, §6.1.4.2
pub(crate) async fn the_session_document_has_claims_scopes_and_deadlines_and_no_token(stage: Stage) {
    let world = stage.world().await;
    let now = auth_tests::jar::unix_now();
    assert_eq!(world.browser.session().await, json!({"authenticated": false}));
    world.sign_in("alice").await;
    let session = world.browser.session().await;
    let mut names: Vec<_> = session.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "access_token_expires_at",
            "authenticated",
            "scopes",
            "session_expires_at",
            "user"
        ]
    );
    assert_eq!(session["authenticated"], true);
    assert_eq!(session["user"]["sub"], "alice");
    assert_eq!(session["user"]["email"], "alice@example.com");
    assert!(session["scopes"].as_array().unwrap().contains(&json!("openid")));
    assert!(
        session["access_token_expires_at"]
            .as_u64()
            .unwrap()
            .abs_diff(now + 300)
            < 30,
        "{session}"
    );
    assert!(
        session["session_expires_at"]
            .as_u64()
            .unwrap()
            .abs_diff(now + 28800)
            < 30,
        "{session}"
    );
    let text = session.to_string();
    for secret in world.provider.control().issued_secrets() {
        assert!(!text.contains(&secret));
    }
}

pub(crate) async fn the_session_document_neither_refreshes_nor_waits(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    let gate = control.hold(Endpoint::Token);
    let browser = world.browser.clone();
    let waiting = tokio::spawn(async move { browser.fetch("/api/ping").await });
    gate.waiting(1).await.unwrap();
    assert_eq!(world.browser.session().await["authenticated"], true);
    gate.release();
    waiting.await.unwrap().assert_status(200);

    control.next_access_token_lifetime(Duration::ZERO);
    let other = world.browser.fresh();
    world.sign_in_with(&other, "bob").await;
    let before = control.count(Endpoint::Token);
    control.go_down().await;
    for _ in 0..3 {
        assert_eq!(other.session().await["authenticated"], true);
    }
    control.come_up().await.unwrap();
    assert_eq!(control.count(Endpoint::Token), before);
}

async fn ends_by_itself(browser: &Browser) {
    let expires_at = browser.session().await["session_expires_at"].as_u64().unwrap();
    // The deadline is a fact that only time brings about; nothing is asked meanwhile, since asking keeps a session alive.
    let left = (expires_at + 1).saturating_sub(auth_tests::jar::unix_now());
    assert!(left < 10, "{left} s left");
    tokio::time::sleep(Duration::from_secs(left)).await;
    browser.assert_signed_out().await;
}

pub(crate) async fn a_session_ends_when_it_is_idle(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_SESSION_IDLE", 2))
        .await;
    world.sign_in("alice").await;
    ends_by_itself(&world.browser).await;
}

pub(crate) async fn requests_keep_an_idle_session_alive(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_SESSION_IDLE", 4))
        .await;
    world.sign_in("alice").await;
    let first = world.browser.session().await["session_expires_at"]
        .as_u64()
        .unwrap();
    wait::until("two idle times have passed", Duration::from_secs(20), || async {
        world.browser.fetch("/api/ping").await.assert_status(200);
        auth_tests::jar::unix_now() > first + 4
    })
    .await;
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn a_session_ends_at_its_absolute_end_however_busy(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_SESSION_MAX", 3))
        .await;
    world.sign_in("alice").await;
    let session = world.browser.session().await;
    assert!(
        session["session_expires_at"].as_u64().unwrap() <= auth_tests::jar::unix_now() + 3,
        "{session}"
    );
    wait::until("the session ends", Duration::from_secs(10), || async {
        world.browser.fetch("/api/ping").await.status == 401
    })
    .await;
    world.browser.assert_signed_out().await;
}

pub(crate) async fn two_users_in_two_browsers_do_not_mix(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let other = world.browser.fresh();
    world.sign_in_with(&other, "bob").await;
    let asked = futures_util::future::join_all((0..40).map(|number| {
        let browser = if number % 2 == 0 { &world.browser } else { &other };
        async move { (number, browser.fetch("/api/me").await.assert_status(200).json()) }
    }));
    for (number, me) in asked.await {
        let user = if number % 2 == 0 { "alice" } else { "bob" };
        assert_eq!(me["userName"], Value::from(user));
    }
}
