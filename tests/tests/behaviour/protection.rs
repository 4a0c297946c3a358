//! What happens without a session, and what cross-site requests may not do.

use auth_testing::Endpoint;
use auth_tests::{Ask, Site, Stage};
use http::Method;

/// `GET` routes that need a session.
const PROTECTED: [&str; 8] = [
    "/profile",
    "/dashboard",
    "/api/ping",
    "/api/me",
    "/api/dashboard",
    "/api/admin",
    "/api/transfer",
    "/api/step-up",
];

fn is_login_with(answer: &auth_tests::Answer, return_to: &str) {
    answer.assert_redirect().assert_no_store().assert_no_cookie();
    let location = answer.location();
    assert_eq!(location.path(), "/auth/login", "{}", answer.describe());
    let query: Vec<_> = location.query_pairs().collect();
    assert!(
        query
            .iter()
            .any(|(name, value)| name == "return_to" && value == return_to),
        "{return_to} is not in {location}"
    );
}

pub(crate) async fn a_navigation_is_sent_to_sign_in_and_comes_back(stage: Stage) {
    let world = stage.world().await;
    for path in PROTECTED {
        is_login_with(&world.browser.navigate(path).await, path);
    }
    let path = "/dashboard?a=1&b=%2Fx%20y&c=%26";
    is_login_with(&world.browser.navigate(path).await, path);
    is_login_with(&world.browser.navigate(path).without_metadata().await, path);
    is_login_with(
        &world
            .browser
            .request(Method::GET, path)
            .header("accept", "text/html")
            .await,
        path,
    );
    let login = world.browser.navigate(path).await.location();
    let request = world.begin(&world.browser, login.as_str()).await;
    let landing = world.finish(&world.browser, &request, "alice").await.location();
    assert_eq!(
        landing.as_str(),
        world.browser.base().join(path).unwrap().as_str()
    );
}

pub(crate) async fn everything_else_gets_401_and_a_problem_document(stage: Stage) {
    let world = stage.world().await;
    let browser = &world.browser;
    for path in PROTECTED {
        browser.fetch(path).await.assert_problem(401);
    }
    let path = "/profile";
    let asks: Vec<(&str, Ask)> = vec![
        ("no headers", browser.request(Method::GET, path)),
        (
            "JSON",
            browser
                .request(Method::GET, path)
                .header("accept", "application/json"),
        ),
        (
            "XHR",
            browser
                .navigate(path)
                .without_metadata()
                .header("accept", "*/*")
                .header("x-requested-with", "XMLHttpRequest"),
        ),
        ("fetch of HTML", browser.fetch(path).header("accept", "text/html")),
        ("HTMX", browser.fetch(path).header("hx-request", "true")),
        (
            "HTMX asking for HTML",
            browser
                .navigate(path)
                .without_metadata()
                .header("hx-request", "true"),
        ),
        (
            "prefetch link",
            browser
                .fetch(path)
                .header("sec-purpose", "prefetch")
                .header("sec-fetch-mode", "no-cors"),
        ),
        (
            "speculative prefetch",
            browser.navigate(path).header("sec-purpose", "prefetch"),
        ),
        (
            "prerender",
            browser.navigate(path).header("sec-purpose", "prefetch;prerender"),
        ),
        (
            "old prefetch",
            browser
                .navigate(path)
                .without_metadata()
                .header("purpose", "prefetch"),
        ),
        (
            "image",
            browser
                .fetch(path)
                .header("sec-fetch-mode", "no-cors")
                .header("accept", "image/avif,*/*"),
        ),
    ];
    for (what, ask) in asks {
        let answer = ask.await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.describe());
        answer.assert_problem(401);
    }
}

pub(crate) async fn other_methods_are_never_redirected(stage: Stage) {
    let world = stage.world().await;
    for ask in [
        world.browser.submit("/api/revoke", &[]),
        world.browser.script(Method::POST, "/api/revoke"),
    ] {
        ask.await.assert_problem(401);
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = world
            .browser
            .request(method.clone(), "/profile")
            .navigation(Site::SameOrigin)
            .await;
        assert!(
            matches!(answer.status, 401 | 405),
            "{method}: {}",
            answer.describe()
        );
        answer.assert_no_cookie();
    }
}

/// Requests a browser makes for another site's page, or an odd one.
pub(crate) fn forged(ask: impl Fn() -> Ask) -> Vec<(&'static str, Ask)> {
    vec![
        ("cross-site", ask().site(Site::CrossSite)),
        ("same-site", ask().site(Site::SameSite)),
        (
            "cross-site without Origin",
            ask().site(Site::CrossSite).without("origin"),
        ),
        (
            "Origin of another site",
            ask()
                .without_metadata()
                .header("origin", "https://elsewhere.example"),
        ),
        ("Origin null", ask().without_metadata().header("origin", "null")),
        (
            "Origin null from our own",
            ask().site(Site::SameOrigin).header("origin", "null"),
        ),
        (
            "Origin with another port",
            ask().without_metadata().header("origin", "http://127.0.0.1:3001"),
        ),
        (
            "Origin with another scheme",
            ask()
                .without_metadata()
                .header("origin", "https://127.0.0.1:3000"),
        ),
        (
            "Origin that begins like ours",
            ask()
                .without_metadata()
                .header("origin", "http://127.0.0.1:3000.evil.example"),
        ),
        ("Origin empty", ask().without_metadata().header("origin", "")),
        (
            "Fetch Metadata that nobody knows",
            ask().without("origin").header("sec-fetch-site", "odd"),
        ),
        (
            "our Origin, cross-site",
            ask().header("sec-fetch-site", "cross-site"),
        ),
        (
            "another Origin, same-origin",
            ask().header("origin", "https://elsewhere.example"),
        ),
        ("two Origins", ask().also("origin", "https://elsewhere.example")),
    ]
}

// RFC 10017 §6.1.3.3
pub(crate) async fn sign_out_is_refused_from_other_origins(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let cookie = world.browser.session_cookie().await;
    let sent = format!("{}={}", cookie.name, cookie.value);
    for (what, ask) in forged(|| world.browser.submit("/auth/logout", &[])) {
        let answer = ask.header("cookie", &sent).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.describe());
        answer.assert_no_cookie();
        assert!(world.browser.is_signed_in().await, "{what}");
    }
    assert_eq!(world.provider.control().count(Endpoint::Revoke), 0);
    for method in [Method::GET, Method::HEAD, Method::PUT] {
        let answer = world
            .browser
            .request(method.clone(), "/auth/logout")
            .navigation(Site::SameOrigin)
            .await;
        assert!(
            matches!(answer.status, 404 | 405),
            "{method}: {}",
            answer.describe()
        );
    }
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn an_origin_that_cannot_be_read_is_another_one(stage: Stage) {
    let world = stage.signed_in("alice").await;
    for (name, value) in [
        ("origin", &b"https://ev\xefl.example"[..]),
        ("sec-fetch-site", b"same-s\xeete"),
    ] {
        let value = http::HeaderValue::from_bytes(value).unwrap();
        let ask = world
            .browser
            .script(Method::POST, "/auth/logout")
            .without_metadata();
        ask.raw_header(name, value).await.assert_status(403);
    }
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 10017 §6.1.3.3
pub(crate) async fn revocation_is_refused_from_other_origins(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let cookie = world.browser.session_cookie().await;
    let sent = format!("{}={}", cookie.name, cookie.value);
    for (what, ask) in forged(|| world.browser.script(Method::POST, "/api/revoke")) {
        let answer = ask.header("cookie", &sent).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.describe());
    }
    assert_eq!(world.provider.control().count(Endpoint::Revoke), 0);
}

// RFC 10017 §6.1.3.3.2
pub(crate) async fn requests_of_our_own_pass(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let post = || world.browser.script(Method::POST, "/api/revoke");
    for (what, ask) in [
        ("a page of ours", post()),
        ("neither header", post().without_metadata()),
        ("Origin alone", post().without("sec-fetch-site")),
        ("Fetch Metadata alone", post().without("origin")),
        (
            "the user's own doing",
            post().without("origin").header("sec-fetch-site", "none"),
        ),
    ] {
        let answer = ask.await;
        assert_eq!(answer.status, 204, "{what}: {}", answer.describe());
    }
}

// RFC 10017 §5.2.2.5
pub(crate) async fn what_depends_on_the_session_is_not_stored(stage: Stage) {
    let world = stage.world().await;
    for path in [
        "/profile",
        "/api/ping",
        "/auth/session",
        "/auth/login",
        "/auth/callback?code=x",
    ] {
        world.browser.navigate(path).await.assert_no_store();
        world.browser.fetch(path).await.assert_no_store();
    }
    world.browser.navigate("/").await.assert_no_store();
    world.sign_in("alice").await.assert_no_store();
    for path in PROTECTED.into_iter().chain(["/", "/auth/session"]) {
        world
            .browser
            .navigate(path)
            .await
            .assert_status(200)
            .assert_no_store();
        world
            .browser
            .fetch(path)
            .await
            .assert_status(200)
            .assert_no_store();
    }
    world
        .browser
        .script(Method::POST, "/api/revoke")
        .await
        .assert_no_store();
    world.browser.submit("/auth/logout", &[]).await.assert_no_store();
}
