//! The sign-in explainer: each cause has a code of its own, on a page that says whose turn it is, with a button that goes on, and
//! with nothing that came in the query.

use std::time::Duration;

use auth_axum::core::clock::TestClock;
use auth_axum::core::codes;
use auth_testing::{Client, Endpoint, Fault};
use auth_tests::stage::{BASE, CLIENT_ID, CLIENT_SECRET, HTTPS_BASE};
use auth_tests::{Answer, Browser, Site, Stage, World, wait};
use http::Method;
use serde_json::json;
use url::Url;

/// What no page, header or line of the log may hold.
const MARK: &str = "mark-7f3a9c";

/// Parameters that providers, or whoever forges their answers, may add.
fn marked(callback: &Url) -> Url {
    let mut url = callback.clone();
    url.query_pairs_mut()
        .append_pair("error_description", &format!("<script>alert('{MARK}')</script>"))
        .append_pair("error_uri", &format!("javascript:{MARK}"))
        .append_pair(MARK, "x")
        .append_pair("session_state", &format!("{MARK}\r\nx-{MARK}: y"))
        .append_pair("long", &MARK.repeat(400));
    url
}

const USER: &str = "It is your turn";
const DEVELOPER: &str = "Not your turn: it is that of the developer of this application";
const OPERATOR: &str = "Not your turn: it is that of the operator of this application";

/// The page shows this code, title, turn and status, and nothing of the query; its link explains the code. Gives where the button leads.
async fn explained(browser: &Browser, answer: &Answer, status: u16, code: &str, turn: &str) -> String {
    assert_eq!(
        answer.assert_failure(status..=status),
        code,
        "{}",
        answer.describe()
    );
    let text = answer.text();
    assert!(text.contains(turn), "{code}: {text}");
    for part in [
        "<html lang=\"en\">",
        "<main>",
        "What you can do",
        "href=\"/\"",
        "name=\"viewport\"",
    ] {
        assert!(answer.body.contains(part), "{code}: {part} is missing");
    }
    let title = between(&answer.body, "<h1>", "</h1>");
    assert!(title.len() > 10, "{code}: {title:?}");
    assert_eq!(title, between(&answer.body, "<title>", "</title>"), "{code}");
    assert!(
        !answer.body.contains("<script") && !answer.body.contains(MARK),
        "{code}"
    );
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(
            !name.as_str().contains(MARK) && !value.contains(MARK),
            "{code}: {name}"
        );
    }
    let page = browser.navigate(&format!("/auth/errors/{code}")).await;
    page.assert_status(200).assert_page();
    assert_eq!(between(&page.body, "<h1>", "</h1>"), title, "{code}");
    between(&answer.body, "class=\"button\" href=\"", "\"").replace("&amp;", "&")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(after).map_or("", |(found, _)| found)
}

/// The button leads to the provider, and from there to where the user wanted to go.
async fn button_signs_in(world: &World, browser: &Browser, href: &str, return_to: &str) {
    let request = world.begin(browser, href).await;
    let answer = world.finish(browser, &request, "alice").await;
    assert_eq!(
        answer.location().path(),
        return_to,
        "{href}: {}",
        answer.describe()
    );
}

async fn response(world: &World, browser: &Browser) -> Url {
    let request = world.begin(browser, "/auth/login?return_to=/profile").await;
    marked(&world.approve(&request, "alice").await)
}

pub(crate) async fn a_cookie_that_is_missing_is_explained_by_what_can_be_known(stage: Stage) {
    stage.secret(MARK);
    let world = stage.world().await;
    let other = "login.cookie_other_address";
    for (code, turn) in [
        ("login.cookies_blocked", USER),
        ("login.state_cookie_missing", USER),
        (other, DEVELOPER),
        ("login.attempt_dropped", USER),
        ("login.state_unknown", USER),
    ] {
        let browser = world.browser.fresh();
        let mut login = browser.navigate("/auth/login?return_to=/profile");
        if code == other {
            login = login.header("host", "localhost:3000");
        }
        let request = login.await.location();
        let mut callback = marked(&world.approve(&request, "alice").await);
        let stranger = world.browser.fresh();
        if code == "login.attempt_dropped" {
            world.begin(&stranger, "/auth/login").await;
        }
        if code == "login.state_unknown" {
            callback = marked(&Url::parse(&format!("{BASE}/auth/callback?code=x&state={MARK}")).unwrap());
        }
        let mut ask = stranger.navigate(callback.as_str()).site(Site::CrossSite);
        if code == "login.state_cookie_missing" {
            ask = ask.header("cookie", "theme=dark");
        }
        let answer = ask.await;
        let button = explained(&stranger, &answer, 400, code, turn).await;
        // The way back went with the cookie.
        button_signs_in(&world, &stranger, &button, "/").await;
        if code == other {
            assert!(
                answer.text().contains(&format!("AUTH_BASE_URL {BASE}")),
                "{}",
                answer.text()
            );
        }
    }
}

pub(crate) async fn a_sign_in_begun_over_http_is_told_apart_where_https_is_meant(stage: Stage) {
    stage.secret(MARK);
    let client = Client::confidential(CLIENT_ID, CLIENT_SECRET);
    let world = stage
        .world_of(stage.provider_for(client, HTTPS_BASE), |settings| {
            settings.set("AUTH_BASE_URL", HTTPS_BASE)
        })
        .await;
    // Over http browsers send no Fetch Metadata, and keep no cookie that is `Secure`.
    let http = world.browser.fresh();
    let request = http.navigate("/auth/login").without_metadata().await.location();
    let callback = marked(&world.approve(&request, "alice").await);
    let answer = world.callback(&world.browser, &callback).await;
    let button = explained(&world.browser, &answer, 400, "login.cookie_http", DEVELOPER).await;
    button_signs_in(&world, &world.browser, &button, "/").await;
}

pub(crate) async fn a_form_of_another_site_that_brings_no_cookie_is_told_apart(stage: Stage) {
    stage.secret(MARK);
    let world = stage
        .world_with(|settings| settings.set("AUTH_RESPONSE_MODE", "form_post"))
        .await;
    let request = world
        .begin(&world.browser, "/auth/login?return_to=/profile")
        .await;
    let approval = world.provider.approve(request.as_str(), "alice").await.unwrap();
    let mut fields = approval.form.unwrap();
    fields.push(("error_description".to_owned(), MARK.to_owned()));
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = world
        .browser
        .request(Method::POST, &format!("/auth/callback?state={MARK}&x={MARK}"))
        .navigation(Site::CrossSite)
        .form(&fields)
        .await;
    let button = explained(&world.browser, &answer, 400, "login.cookie_same_site", DEVELOPER).await;
    assert!(
        answer.text().contains("AUTH_RESPONSE_MODE form_post"),
        "{}",
        answer.text()
    );
    world.begin(&world.browser, &button).await;
}

pub(crate) async fn another_instance_s_key_is_told_apart_from_a_changed_cookie(stage: Stage) {
    stage.secret(MARK);
    let world = stage.world().await;
    let browser = world.browser.fresh();
    let callback = response(&world, &browser).await;
    let attempt = browser.cookies().remove(0);
    let middle = attempt.value.len() / 2;
    let mut changed = attempt.value.clone();
    let digit = if &changed[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    changed.replace_range(middle..=middle, digit);
    let answer = browser
        .navigate(callback.as_str())
        .site(Site::CrossSite)
        .header("cookie", &format!("{}={changed}", attempt.name))
        .await;
    let button = explained(&browser, &answer, 400, "login.attempt_tampered", USER).await;
    button_signs_in(&world, &world.browser.fresh(), &button, "/").await;

    // Another instance under the same address, with another key.
    let callback = response(&world, &browser).await;
    let settings = stage
        .environment(&world.provider)
        .set("AUTH_SECRET", "3c".repeat(32));
    let other = stage.start(&settings).await;
    browser.moved_to(other.address());
    let stranger = browser.fresh();
    for browser in [&browser, &stranger] {
        let answer = world.callback(browser, &callback).await;
        let button = explained(browser, &answer, 400, "login.attempt_unreadable", OPERATOR).await;
        button_signs_in(&world, browser, &button, "/").await;
    }
}

pub(crate) async fn what_the_provider_refuses_names_the_setting(stage: Stage) {
    stage.secret(MARK);
    let world = stage.world().await;
    let control = world.provider.control();
    let redirect_uri = format!("Redirect URI {BASE}/auth/callback");
    let client_id = format!("AUTH_CLIENT_ID {CLIENT_ID}");
    // At the authorization endpoint.
    for (error, status, code, turn, shown) in [
        (
            "redirect_uri_mismatch",
            400,
            "login.redirect_uri_refused",
            DEVELOPER,
            redirect_uri.as_str(),
        ),
        (
            "invalid_request",
            400,
            "login.request_invalid",
            DEVELOPER,
            &redirect_uri,
        ),
        (
            "unauthorized_client",
            400,
            "login.grant_not_allowed",
            DEVELOPER,
            &client_id,
        ),
        (
            "unsupported_response_type",
            400,
            "login.response_type_refused",
            DEVELOPER,
            &client_id,
        ),
        (
            "invalid_scope",
            400,
            "login.scope_refused",
            DEVELOPER,
            "AUTH_SCOPES openid",
        ),
        (
            "invalid_target",
            400,
            "login.resource_refused",
            DEVELOPER,
            "AUTH_RESOURCE",
        ),
        (
            "interaction_required",
            400,
            "login.interaction_required",
            DEVELOPER,
            "prompt=none",
        ),
        ("access_denied", 403, "login.access_denied", USER, "denied"),
        (MARK, 400, "login.refused", DEVELOPER, &redirect_uri),
    ] {
        let browser = world.browser.fresh();
        let mut callback = response(&world, &browser).await;
        callback.query_pairs_mut().append_pair("error", error);
        let answer = world.callback(&browser, &callback).await;
        let button = explained(&browser, &answer, status, code, turn).await;
        assert!(answer.text().contains(shown), "{code}: {}", answer.text());
        button_signs_in(&world, &browser, &button, "/profile").await;
    }
    // At the token endpoint.
    for (error, code, turn, shown) in [
        (
            "invalid_client",
            "login.client_refused",
            DEVELOPER,
            client_id.as_str(),
        ),
        (
            "unauthorized_client",
            "login.grant_not_allowed",
            DEVELOPER,
            &client_id,
        ),
        (
            "redirect_uri_mismatch",
            "login.redirect_uri_refused",
            DEVELOPER,
            &redirect_uri,
        ),
        ("invalid_grant", "login.code_refused", USER, &redirect_uri),
        (
            "invalid_scope",
            "login.scope_refused",
            DEVELOPER,
            "AUTH_SCOPES openid",
        ),
        (
            "invalid_target",
            "login.resource_refused",
            DEVELOPER,
            "AUTH_RESOURCE",
        ),
        (MARK, "login.token_refused", DEVELOPER, &client_id),
    ] {
        let browser = world.browser.fresh();
        let callback = response(&world, &browser).await;
        let body = json!({"error": error, "error_description": MARK, "error_uri": MARK});
        control.fail_next(
            Endpoint::Token,
            1,
            Fault::body(400, "application/json", body.to_string()),
        );
        let answer = world.callback(&browser, &callback).await;
        let button = explained(&browser, &answer, 502, code, turn).await;
        assert!(answer.text().contains(shown), "{code}: {}", answer.text());
        button_signs_in(&world, &browser, &button, "/profile").await;
    }
    // A secret that is really wrong.
    let wrong = Client::confidential(CLIENT_ID, "rotated-there-7Qx2-kd91-mm40");
    control.register(wrong.redirect_uri(format!("{BASE}/auth/callback")));
    let callback = response(&world, &world.browser).await;
    let answer = world.callback(&world.browser, &callback).await;
    explained(&world.browser, &answer, 502, "login.client_refused", DEVELOPER).await;
    // No secret where one is wanted.
    let settings = stage.environment(&world.provider).unset("AUTH_CLIENT_SECRET");
    let public = stage.start(&settings).await;
    let browser = world.browser.fresh();
    browser.moved_to(public.address());
    let callback = response(&world, &browser).await;
    let answer = world.callback(&browser, &callback).await;
    explained(&browser, &answer, 502, "login.client_secret_missing", DEVELOPER).await;
}

pub(crate) async fn clocks_that_differ_are_told_and_which_one_is_slow(stage: Stage) {
    stage.secret(MARK);
    let clock = TestClock::new();
    let now = clock.clock().now();
    let world = stage
        .world_of(stage.provider().clock(clock.clock()), |settings| settings)
        .await;
    let ten_minutes = Duration::from_secs(600);
    // Then what it issues is over already.
    let three_hours = Duration::from_secs(3 * 3600);
    for (provider, off, code, title) in [
        (
            now.plus(ten_minutes),
            600,
            "id_token.clock_behind",
            "clock is slow",
        ),
        (
            now.minus(three_hours),
            3 * 3600,
            "id_token.clock_ahead",
            "clock is fast",
        ),
    ] {
        clock.set(provider);
        let callback = response(&world, &world.browser).await;
        let answer = world.callback(&world.browser, &callback).await;
        let button = explained(&world.browser, &answer, 502, code, OPERATOR).await;
        assert!(answer.text().contains(title), "{code}: {}", answer.text());
        let apart = between(&answer.body, "The clocks are ", " seconds apart");
        let apart: u64 = apart.parse().unwrap();
        assert!((off - 60..=off + 60).contains(&apart), "{code}: {apart}");
        clock.set(now);
        button_signs_in(&world, &world.browser, &button, "/profile").await;
    }
    // The token alone says so, and the provider's clock does not.
    let in_ten_minutes = now.plus(ten_minutes).as_secs();
    world.provider.control().tamper_id_token(move |_, claims| {
        claims.insert("iat".to_owned(), json!(in_ten_minutes));
    });
    let callback = response(&world, &world.browser).await;
    let answer = world.callback(&world.browser, &callback).await;
    explained(&world.browser, &answer, 502, "id_token.iat_in_future", OPERATOR).await;
}

pub(crate) async fn a_sign_in_that_cannot_begin_is_explained_and_its_button_begins_it_later(stage: Stage) {
    stage.secret(MARK);
    let world = stage.world().await;
    let control = world.provider.control();
    let issuer = world.provider.issuer().to_owned();
    let login = format!("/auth/login?return_to=/profile&error_description={MARK}&{MARK}=%3Cscript%3E");
    control.go_down().await;
    let answer = world.browser.navigate(&login).await;
    answer.assert_unavailable();
    let turn = OPERATOR;
    let button = explained(&world.browser, &answer, 503, "provider.unreachable", turn).await;
    assert!(
        answer.text().contains(&format!("AUTH_ISSUER {issuer}")),
        "{}",
        answer.text()
    );
    control.come_up().await.unwrap();
    let found = || async { world.browser.navigate(&login).await.status == 303 };
    wait::until("the provider is found", Duration::from_secs(10), found).await;
    button_signs_in(&world, &world.browser, &button, "/profile").await;

    let stranger = world.browser.fresh();
    let foreign = stranger
        .navigate(&format!(
            "/auth/login?iss=https://{MARK}.example&target_link_uri={BASE}/profile"
        ))
        .await;
    let button = explained(&stranger, &foreign, 400, "login.unknown_issuer", USER).await;
    button_signs_in(&world, &stranger, &button, "/").await;
}

pub(crate) async fn pages_of_the_app_that_fail_say_so_without_the_query(stage: Stage) {
    stage.secret(MARK);
    let world = stage.signed_in("bob").await;
    let forbidden = world.browser.navigate(&format!("/api/admin?x={MARK}")).await;
    let turn = "Not your turn: it is that of whoever grants rights";
    explained(&world.browser, &forbidden, 403, "access.role_missing", turn).await;
    world.provider.control().apis_go_down().await;
    let broken = world.browser.navigate(&format!("/profile?x={MARK}")).await;
    let button = explained(&world.browser, &broken, 502, "api.unreachable", OPERATOR).await;
    assert_eq!(button, "", "the same page once more");
    world.provider.control().apis_come_up().await.unwrap();
    let again = broken.url.join(&button).unwrap();
    world.browser.navigate(again.as_str()).await.assert_status(200);
}

pub(crate) async fn every_code_has_its_page_and_the_index_names_it(stage: Stage) {
    let world = stage.world().await;
    let index = world.browser.navigate("/auth/errors/").await;
    index.assert_status(200).assert_page();
    for explanation in codes::all() {
        let path = format!("/auth/errors/{}", explanation.code);
        assert!(index.body.contains(&format!("href=\"{path}\"")), "{path}");
        let page = world.browser.navigate(&path).await;
        page.assert_status(200).assert_page();
        let words = |text: &str| text.replace([' ', '`'], "");
        assert!(words(&page.text()).contains(&words(explanation.cause)), "{path}");
        assert!(!page.body.contains(CLIENT_SECRET), "{path}");
    }
    let unknown = world
        .browser
        .navigate(&format!("/auth/errors/{MARK}?{MARK}={MARK}"))
        .await;
    unknown.assert_status(404).assert_page();
    assert!(!unknown.body.contains(MARK), "{}", unknown.body);
    // No text at all.
    let bytes = world.browser.navigate("/auth/errors/%ff").await;
    bytes.assert_status(404).assert_page().assert_no_store();
}
