//! `/auth/callback`: every failure is a page with a stable code, and leaves nobody signed in.

use auth_testing::Endpoint;
use auth_tests::{Browser, Site, Stage, World};
use futures_util::future::join_all;
use http::Method;
use url::Url;

/// An authorization response with parameters replaced (or, with `None`, left out).
fn with(callback: &Url, changes: &[(&str, Option<&str>)]) -> Url {
    let mut pairs: Vec<(String, String)> = callback.query_pairs().into_owned().collect();
    for (name, value) in changes {
        pairs.retain(|(old, _)| old != name);
        if let Some(value) = value {
            pairs.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    let mut changed = callback.clone();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    changed
}

async fn response(world: &World, browser: &Browser) -> Url {
    let request = world.begin(browser, "/auth/login?return_to=/profile").await;
    world.approve(&request, "alice").await
}

/// The callback is refused with a page, without a question to the token endpoint, and nobody is signed in.
async fn refused(world: &World, browser: &Browser, callback: &Url, what: &str) -> auth_tests::Answer {
    let before = world.provider.control().count(Endpoint::Token);
    let answer = world.callback(browser, callback).await;
    assert!(
        (400..500).contains(&answer.status),
        "{what}: {}",
        answer.describe()
    );
    let code = answer.assert_failure(400..=499);
    let explained = browser.navigate(&format!("/auth/errors/{code}")).await;
    explained.assert_status(200).assert_page();
    assert!(
        explained.text().contains(&code),
        "{what}: {}",
        explained.describe()
    );
    assert_eq!(
        world.provider.control().count(Endpoint::Token),
        before,
        "{what}: the token endpoint was asked"
    );
    browser.assert_signed_out().await;
    answer
}

// OpenID Connect Core §3.1.2.7; RFC 6749 §4.1.2; RFC 9700 §4.7.1
pub(crate) async fn a_state_that_is_missing_wrong_or_foreign_is_refused(stage: Stage) {
    let world = stage.world().await;
    let thief = world.browser.fresh();
    for (what, state) in [
        ("missing", None),
        ("empty", Some(String::new())),
        (
            "wrong",
            Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
        ),
        ("long", Some("A".repeat(4000))),
        ("odd", Some("../../x;\u{e9}\"=".to_owned())),
        ("foreign", {
            let foreign = response(&world, &thief).await;
            foreign
                .query_pairs()
                .find(|(name, _)| name == "state")
                .map(|(_, value)| value.into_owned())
        }),
    ] {
        let browser = world.browser.fresh();
        let callback = with(&response(&world, &browser).await, &[("state", state.as_deref())]);
        refused(&world, &browser, &callback, what).await;
    }
}

// RFC 6749 §10.12; RFC 9700 §2.1
pub(crate) async fn an_authorization_response_of_another_browser_is_refused(stage: Stage) {
    let world = stage.world().await;
    let attacker = world.browser.fresh();
    let callback = response(&world, &attacker).await;
    refused(&world, &world.browser, &callback, "no attempt open").await;
    world.begin(&world.browser, "/auth/login").await;
    refused(&world, &world.browser, &callback, "another attempt open").await;
}

// RFC 6749 §3.1; RFC 9207 §2.4
pub(crate) async fn doubled_parameters_are_refused(stage: Stage) {
    let world = stage.world().await;
    for name in ["code", "state", "iss", "error"] {
        let browser = world.browser.fresh();
        let mut callback = response(&world, &browser).await;
        let value = callback
            .query_pairs()
            .find(|(old, _)| old == name)
            .map_or("access_denied".to_owned(), |(_, value)| value.into_owned());
        if name == "error" {
            callback = with(&callback, &[("code", None), ("error", Some(&value))]);
        }
        callback.query_pairs_mut().append_pair(name, &value);
        refused(&world, &browser, &callback, name).await;
    }
}

// RFC 6749 §3.1
pub(crate) async fn a_missing_code_is_refused(stage: Stage) {
    let world = stage.world().await;
    for code in [None, Some("")] {
        let browser = world.browser.fresh();
        let callback = with(&response(&world, &browser).await, &[("code", code)]);
        refused(&world, &browser, &callback, "code").await;
    }
}

// RFC 9207 §2.4; RFC 9700 §2.1, §4.4.2
pub(crate) async fn the_issuer_of_the_response_must_be_ours(stage: Stage) {
    let world = stage.world().await;
    let with_slash = format!("{}/", world.provider.issuer());
    for issuer in [
        None,
        Some(""),
        Some("https://evil.example"),
        Some(with_slash.as_str()),
    ] {
        let browser = world.browser.fresh();
        let callback = with(&response(&world, &browser).await, &[("iss", issuer)]);
        refused(&world, &browser, &callback, issuer.unwrap_or("missing")).await;
    }
}

// OpenID Connect Core §3.1.2.6; RFC 6749 §4.1.2.1; RFC 7636 §7.2
pub(crate) async fn an_error_of_the_provider_is_a_page_without_its_words(stage: Stage) {
    let world = stage.world().await;
    for (error, statuses) in [
        ("access_denied", 400..=499),
        ("login_required", 400..=499),
        ("invalid_scope", 400..=499),
        ("unheard_of", 400..=499),
        ("server_error", 502..=503),
        ("temporarily_unavailable", 502..=503),
    ] {
        let browser = world.browser.fresh();
        let words = "<script>alert('words of the provider')</script>";
        let callback = with(
            &response(&world, &browser).await,
            &[
                ("code", None),
                ("error", Some(error)),
                ("error_description", Some(words)),
                ("error_uri", Some("javascript:alert(1)")),
            ],
        );
        let before = world.provider.control().count(Endpoint::Token);
        let answer = world.callback(&browser, &callback).await;
        let code = answer.assert_failure(statuses);
        browser
            .navigate(&format!("/auth/errors/{code}"))
            .await
            .assert_status(200);
        assert!(
            !answer.body.contains("words of the provider") && !answer.body.contains("javascript:"),
            "{error}"
        );
        if error == "access_denied" {
            assert!(
                answer.text().to_ascii_lowercase().contains("denied"),
                "{}",
                answer.describe()
            );
        }
        assert_eq!(world.provider.control().count(Endpoint::Token), before);
        browser.assert_signed_out().await;
    }
}

// RFC 6749 §4.1.2.1
pub(crate) async fn a_user_who_denies_is_told_so_and_can_try_again(stage: Stage) {
    let world = stage.world().await;
    let request = world.begin(&world.browser, "/auth/login").await;
    let denial = world.provider.deny(request.as_str()).await.unwrap();
    let answer = world
        .callback(&world.browser, &Url::parse(&denial.callback_url).unwrap())
        .await;
    answer.assert_failure(400..=499);
    assert!(answer.body.contains("/auth/login"), "{}", answer.body);
    world.browser.assert_signed_out().await;
    world.sign_in("alice").await;
    world.browser.assert_signed_in_as("alice").await;
}

// OpenID Connect Core §3.1.2.6
pub(crate) async fn an_error_beside_a_code_is_an_error(stage: Stage) {
    let world = stage.world().await;
    let callback = with(
        &response(&world, &world.browser).await,
        &[("error", Some("access_denied"))],
    );
    refused(&world, &world.browser, &callback, "error beside code").await;
}

// OpenID Connect Core §3.1.2.7; RFC 9700 §4.2.4
pub(crate) async fn a_state_is_used_up_by_the_first_callback_whatever_its_outcome(stage: Stage) {
    let world = stage.world().await;
    let callback = response(&world, &world.browser).await;
    let failing = with(&callback, &[("code", None), ("error", Some("access_denied"))]);
    refused(&world, &world.browser, &failing, "first").await;
    refused(&world, &world.browser, &callback, "second").await;
}

// OpenID Connect Core §15.5.2; RFC 6749 §10.5
pub(crate) async fn a_used_state_stays_used_when_the_browser_puts_its_cookies_back(stage: Stage) {
    let world = stage.world().await;
    let callback = response(&world, &world.browser).await;
    let earlier = world.browser.copy();
    world.callback(&world.browser, &callback).await.assert_redirect();
    assert_eq!(world.provider.control().count(Endpoint::Token), 1);
    refused(&world, &earlier, &callback, "cookies put back").await;
}

pub(crate) async fn a_repeated_callback_in_a_signed_in_browser_goes_on_to_the_app(stage: Stage) {
    let world = stage.world().await;
    let callback = response(&world, &world.browser).await;
    world.callback(&world.browser, &callback).await.assert_redirect();
    let cookies: Vec<_> = world
        .browser
        .cookies()
        .into_iter()
        .map(|cookie| (cookie.name, cookie.value))
        .collect();
    let unknown = with(
        &callback,
        &[("state", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))],
    );
    for again in [&callback, &unknown] {
        let answer = world.callback(&world.browser, again).await;
        answer.assert_status(303).assert_no_store();
        assert!(
            matches!(answer.location().path(), "/" | "/profile"),
            "{}",
            answer.describe()
        );
        assert_eq!(answer.location().origin(), world.browser.base().origin());
    }
    assert_eq!(world.provider.control().count(Endpoint::Token), 1);
    let after: Vec<_> = world
        .browser
        .cookies()
        .into_iter()
        .map(|cookie| (cookie.name, cookie.value))
        .collect();
    assert_eq!(cookies, after);
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 9700 §4.3.1
pub(crate) async fn a_repeated_callback_in_a_signed_out_browser_offers_to_sign_in(stage: Stage) {
    let world = stage.world().await;
    let callback = response(&world, &world.browser).await;
    world.callback(&world.browser, &callback).await.assert_redirect();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    let answer = refused(&world, &world.browser, &callback, "after sign-out").await;
    assert!(answer.body.contains("/auth/login"), "{}", answer.body);
}

// RFC 6749 §4.1.2
pub(crate) async fn of_concurrent_callbacks_one_reaches_the_token_endpoint(stage: Stage) {
    let world = stage.world().await;
    let callback = response(&world, &world.browser).await;
    let answers = join_all((0..10).map(|_| world.callback(&world.browser, &callback))).await;
    assert_eq!(world.provider.control().count(Endpoint::Token), 1);
    assert!(
        answers
            .iter()
            .any(|answer| answer.status == 303 || answer.status == 302)
    );
    assert!(
        answers.iter().all(|answer| answer.status < 500),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 6749 §10.12
pub(crate) async fn a_forged_callback_does_not_end_the_session(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let attacker = world.browser.fresh();
    let request = world.begin(&attacker, "/auth/login").await;
    let forged = world.approve(&request, "bob").await;
    world.callback(&world.browser, &forged).await.assert_status(303);
    world.browser.assert_signed_in_as("alice").await;
}

// Form Post Response Mode §2
pub(crate) async fn post_reads_the_body_only(stage: Stage) {
    let world = stage.world().await;
    let callback = response(&world, &world.browser).await;
    let answer = world
        .browser
        .request(Method::POST, callback.as_str())
        .navigation(Site::SameSite)
        .form(&[])
        .await;
    answer.assert_failure(400..=499);
    assert_eq!(world.provider.control().count(Endpoint::Token), 0);
    world.browser.assert_signed_out().await;
}

// RFC 6749 §10.14
pub(crate) async fn odd_requests_are_refused_calmly(stage: Stage) {
    let world = stage.world().await;
    for query in [
        "",
        "?",
        "?%",
        "?state",
        "?code=%ff%fe&state=%00",
        "?=&=&=",
        "?code[]=x&state[]=y",
    ] {
        let answer = world
            .browser
            .navigate(&format!("/auth/callback{query}"))
            .site(Site::CrossSite)
            .await;
        answer.assert_failure(400..=499);
    }
    let huge = "x".repeat(3_000_000);
    for (kind, body) in [
        ("application/json", "{}"),
        ("text/plain", "code=x"),
        ("application/x-www-form-urlencoded", huge.as_str()),
    ] {
        let ask = world
            .browser
            .request(Method::POST, "/auth/callback")
            .navigation(Site::CrossSite)
            .form(&[("state", body)]);
        // A server may close the connection instead of reading on.
        if let Ok(answer) = ask.header("content-type", kind).attempt().await {
            assert!(
                (400..500).contains(&answer.status),
                "{kind}: {}",
                answer.describe()
            );
        }
    }
    world.sign_in("alice").await;
}

pub(crate) async fn a_failure_is_logged_once_with_its_code(stage: Stage) {
    let mut world = stage
        .world_with(|settings| settings.set("RUST_LOG", "info"))
        .await;
    world
        .provider
        .control()
        .fail(Endpoint::Token, auth_testing::Fault::status(500));
    let callback = response(&world, &world.browser).await;
    let code = world
        .callback(&world.browser, &callback)
        .await
        .assert_failure(502..=503);
    world.app.kill().await;
    let lines: Vec<_> = world
        .app
        .stderr()
        .into_iter()
        .filter(|line| line.contains(&code))
        .collect();
    assert_eq!(lines.len(), 1, "{code}: {lines:#?}");
    assert!(
        lines[0].contains("WARN") || lines[0].contains("ERROR"),
        "{lines:?}"
    );
}
