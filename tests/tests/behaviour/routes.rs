//! Routes of their own kind: the home page, health, what failures mean.

use auth_tests::routes::{PROXY_METHODS, not_reached};
use auth_tests::{Site, Stage, World, html};
use http::Method;
use serde_json::json;

use crate::{bearer, modes, provider_logout, step_up};

/// The same list that `oidc-provider` is visited by (`tests/interop`): what is new on it has to be visited here and there.
pub(crate) async fn every_route_of_the_list_works(stage: Stage) {
    let world = stage.signed_in("alice").await;
    routes_that_show(&world).await;
    routes_that_change(&world).await;
    for method in PROXY_METHODS {
        let ask = world.browser.script(method, "/proxy/api/echo/a/b");
        ask.header("x-csrf", "1").await.assert_status(200);
    }
    let token = bearer::good(&world);
    bearer::call(&world, &token).await.assert_status(200);
    // OpenID Connect Core §4
    let fields = [("iss", world.provider.issuer()), ("target_link_uri", "/profile")];
    let by_others = world
        .browser
        .request(Method::POST, "/auth/login")
        .navigation(Site::CrossSite);
    by_others.form(&fields).await.assert_redirect();
    sign_outs(&world).await;
    let by_form = stage
        .world_with(|settings| settings.set("AUTH_RESPONSE_MODE", "form_post"))
        .await;
    let (url, form) = modes::form_response(&by_form, &by_form.browser, "alice").await;
    let answer = modes::post(&by_form.browser, &url, &form, Site::SameSite).await;
    answer.assert_redirect();
    by_form.browser.assert_signed_in_as("alice").await;
    assert_eq!(not_reached(&stage.evidence().visits()), Vec::<String>::new());
}

async fn routes_that_show(world: &World) {
    for path in [
        "/",
        "/auth/session",
        "/auth/errors/",
        "/auth/errors/login.state_unknown",
        "/profile",
        "/dashboard",
        "/sessions",
        "/api/ping",
        "/api/me",
        "/api/dashboard",
        "/api/exchange",
        "/api/machine",
        "/api/admin",
        "/api/transfer",
        "/api/step-up",
        "/api/sessions",
        "/metrics",
        "/healthz",
        "/readyz",
    ] {
        world.browser.fetch(path).await.assert_status(200);
    }
    let mut stream = world.browser.fetch("/api/events").open().await;
    stream.goes_on(1).await;
    step_up::sent(world, "/api/mail").await;
    world.browser.fetch("/api/mail").await.assert_status(200);
}

async fn routes_that_change(world: &World) {
    let browser = &world.browser;
    browser
        .submit("/note", &[("text", "Buy eleven oranges")])
        .await
        .assert_redirect();
    for path in ["/api/sessions", "/sessions", "/api/sessions/"] {
        let other = browser.fresh();
        world.sign_in_with(&other, "alice").await;
        let sessions = other.fetch("/api/sessions").await.json();
        let own = sessions
            .as_array()
            .unwrap()
            .iter()
            .find(|session| session["current"] == true);
        let id = own.unwrap()["id"].as_str().unwrap();
        let answer = match path {
            "/sessions" => browser.submit(path, &[("end", id)]).await,
            "/api/sessions" => browser.script(Method::DELETE, path).await,
            _ => browser.script(Method::DELETE, &format!("{path}{id}")).await,
        };
        assert!(matches!(answer.status, 204 | 303), "{}", answer.describe());
        other.assert_signed_out().await;
    }
    browser
        .script(Method::POST, "/api/revoke")
        .await
        .assert_status(204);
    browser.assert_signed_in_as("alice").await;
}

async fn sign_outs(world: &World) {
    for route in ["logout", "backchannel-logout", "frontchannel-logout"] {
        let browser = world.browser.fresh();
        world.sign_in_with(&browser, "alice").await;
        let sid = provider_logout::sid(&browser).await;
        let answer = match route {
            "logout" => browser.submit("/auth/logout", &[]).await,
            "backchannel-logout" => {
                let token = provider_logout::token(world, "logout+jwt", &json!({ "sid": sid }));
                provider_logout::send(&browser, &token).await
            }
            _ => {
                let mut frame = browser.base().clone();
                frame.set_path("/auth/frontchannel-logout");
                frame
                    .query_pairs_mut()
                    .extend_pairs([("iss", world.provider.issuer()), ("sid", &sid)]);
                browser.navigate(frame.as_str()).site(Site::CrossSite).await
            }
        };
        assert!(matches!(answer.status, 200 | 303), "{}", answer.describe());
        browser.assert_signed_out().await;
    }
}

pub(crate) async fn the_home_page_shows_who_is_signed_in_and_how_to_sign_out(stage: Stage) {
    let world = stage.world().await;
    let page = world.browser.navigate("/").await;
    page.assert_status(200).assert_page();
    assert!(page.body.contains("/auth/login"), "{}", page.body);
    assert!(
        html::forms(&page.body)
            .iter()
            .all(|form| form.action != "/auth/logout")
    );
    world.sign_in("alice").await;
    let page = world.browser.navigate("/").await;
    page.assert_status(200);
    assert!(page.text().contains("alice@example.com"), "{}", page.describe());
    let forms = html::forms(&page.body);
    let form = forms
        .iter()
        .find(|form| form.action == "/auth/logout")
        .expect("a form to sign out");
    assert_eq!((form.method.as_str(), form.buttons.len()), ("post", 1));
    for secret in world.provider.control().issued_secrets() {
        assert!(!page.body.contains(&secret));
    }
    assert!(!page.body.contains("<script"));
    world.browser.press(&page, form, &[]).await.assert_redirect();
    world.browser.assert_signed_out().await;
}

pub(crate) async fn hostile_claims_are_shown_as_text(stage: Stage) {
    let world = stage.world().await;
    world.provider.control().tamper_id_token(
        |_: &mut crate::id_token::Claims, claims: &mut crate::id_token::Claims| {
            for name in ["name", "email", "given_name", "preferred_username"] {
                claims.insert(name.to_owned(), "<img src=x onerror=alert(1)>\"'".into());
            }
        },
    );
    world.sign_in("alice").await;
    for path in ["/", "/profile", "/dashboard"] {
        let page = world.browser.navigate(path).await;
        page.assert_status(200);
        assert!(!page.body.contains("<img src=x"), "{path}");
    }
}

pub(crate) async fn health_depends_on_nothing_and_readiness_on_the_store(stage: Stage) {
    let world = stage.world().await;
    world.provider.control().go_down().await;
    for path in ["/healthz", "/readyz"] {
        let answer = world.browser.fetch(path).await;
        answer.assert_status(200).assert_no_cookie();
        assert_eq!(
            answer.header("content-type").as_deref(),
            Some("text/plain; charset=utf-8"),
            "{path}"
        );
    }
    assert_eq!(world.browser.fetch("/healthz").await.body.trim(), "ok");
}

pub(crate) async fn every_failure_code_is_explained(stage: Stage) {
    let world = stage.world().await;
    let code = world
        .browser
        .navigate("/auth/callback?code=x&state=y")
        .await
        .assert_failure(400..=499);
    let page = world.browser.navigate(&format!("/auth/errors/{code}")).await;
    page.assert_status(200).assert_page();
    assert!(
        page.text().contains(&code) && page.text().len() > 80,
        "{}",
        page.describe()
    );
    for unknown in [
        "nonsense",
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "..%2F..",
        "login.nonsense",
    ] {
        let answer = world.browser.navigate(&format!("/auth/errors/{unknown}")).await;
        assert_eq!(answer.status, 404, "{unknown}: {}", answer.describe());
        assert!(!answer.body.contains("<script>alert"), "{unknown}");
    }
}

pub(crate) async fn head_is_answered_as_get_without_a_body(stage: Stage) {
    let world = stage.signed_in("alice").await;
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/api/ping",
        "/profile",
        "/auth/session",
    ] {
        let answer = world.browser.script(Method::HEAD, path).await;
        answer.assert_status(200);
        assert!(answer.body.is_empty(), "{path}");
    }
    let stranger = world.browser.fresh();
    stranger
        .script(Method::HEAD, "/api/ping")
        .await
        .assert_status(401);
    for path in ["/auth/login", "/auth/callback"] {
        // They begin and spend something, which HEAD must not.
        let answer = stranger.script(Method::HEAD, path).await;
        answer.assert_status(405).assert_no_cookie();
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        stranger.script(method, "/api/admin").await.assert_status(401);
    }
}

pub(crate) async fn unknown_paths_and_methods_are_4xx(stage: Stage) {
    let world = stage.signed_in("alice").await;
    for path in [
        "/nowhere",
        "/auth/nowhere",
        "/api/nowhere",
        "/profile/x",
        "/auth/callback/x/y",
    ] {
        let status = world.browser.navigate(path).await.status;
        assert_eq!(status, 404, "{path}");
    }
    for (method, path) in [
        (Method::POST, "/api/ping"),
        (Method::GET, "/api/revoke"),
        (Method::POST, "/auth/session"),
        (Method::DELETE, "/auth/callback"),
    ] {
        let answer = world.browser.script(method.clone(), path).await;
        assert!(
            matches!(answer.status, 404 | 405),
            "{method} {path}: {}",
            answer.describe()
        );
    }
}

pub(crate) async fn ping_calls_nothing(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    let before = [
        control.count(auth_testing::Endpoint::Token),
        control.count(auth_testing::Endpoint::Userinfo),
    ];
    for _ in 0..3 {
        let answer = world.browser.fetch("/api/ping").await;
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.media_type().as_str()),
            (200, "pong", "text/plain")
        );
    }
    assert_eq!(
        before,
        [
            control.count(auth_testing::Endpoint::Token),
            control.count(auth_testing::Endpoint::Userinfo)
        ]
    );
    assert_eq!(control.count(auth_testing::Endpoint::Api("/scim2/Me")), 0);
}
