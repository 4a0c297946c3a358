//! What users do to a sign-in with tabs, buttons, bookmarks and patience, and what attackers make users' browsers do.

use std::time::Duration;

use auth_axum::core::SecretKeys;
use auth_axum::core::clock::TestClock;
use auth_axum::core::request::RequestHead;
use auth_axum::{Auth, AuthBuilder};
use auth_testing::Endpoint;
use auth_tests::stage::{BASE, CLIENT_ID, CLIENT_SECRET, HTTPS_BASE, SECRET};
use auth_tests::{Answer, Browser, Site, Stage, World, html};
use http::Method;
use serde_json::json;
use url::Url;

use crate::login::parameters;
use crate::modes::https_world;

/// The button of a failure page that begins anew, pressed.
async fn begin_anew(world: &World, browser: &Browser, page: &Answer) -> Url {
    let links = html::links(&page.body);
    let again = links.iter().find(|link| link.starts_with("/auth/login"));
    let again = again.unwrap_or_else(|| panic!("no button to begin anew: {}", page.body));
    world.begin(browser, again).await
}

pub(crate) async fn fifty_abandoned_sign_ins_leave_five_cookies_and_the_next_one_works(stage: Stage) {
    let world = stage.world().await;
    let browser = &world.browser;
    let mut set = 0;
    for number in 0..50 {
        let answer = browser
            .navigate(&format!("/auth/login?return_to=/page-{number}"))
            .await;
        answer.assert_redirect();
        // One more, and at most the one too many taken away.
        let lines = answer.headers.get_all("set-cookie").iter().count();
        assert!(lines <= 2, "{lines} cookies change at number {number}");
        set += lines;
        assert!(
            browser.cookies().len() <= 5,
            "{} cookies",
            browser.cookies().len()
        );
    }
    assert_eq!(set, 50 + 45);
    let sent: usize = browser
        .cookies()
        .iter()
        .map(|cookie| cookie.name.len() + cookie.value.len() + 3)
        .sum();
    assert!(sent < 4096, "{sent} bytes of cookies go with every request");
    let request = world.begin(browser, "/auth/login?return_to=/page-50").await;
    let landing = world.finish(browser, &request, "alice").await.location();
    assert_eq!(landing.path(), "/page-50");
    browser.assert_signed_in_as("alice").await;
    // They cost the provider nothing: one code is redeemed.
    assert_eq!(world.provider.control().count(Endpoint::Token), 1);
}

pub(crate) async fn back_to_the_provider_s_page_and_once_more_changes_nothing(stage: Stage) {
    let world = stage.world().await;
    let request = world
        .begin(&world.browser, "/auth/login?return_to=/profile")
        .await;
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_redirect();
    let before: Vec<_> = world.browser.cookies().into_iter().map(|c| c.value).collect();
    // Back, and the page of the provider is sent again, by another user even: a new code for the old state.
    for user in ["alice", "bob"] {
        let answer = world.finish(&world.browser, &request, user).await;
        assert_eq!(answer.assert_status(303).header("location").as_deref(), Some("/"));
        answer.assert_no_cookie();
    }
    assert_eq!(world.provider.control().count(Endpoint::Token), 1);
    let after: Vec<_> = world.browser.cookies().into_iter().map(|c| c.value).collect();
    assert_eq!(before, after);
    world.browser.assert_signed_in_as("alice").await;
    // Back after signing out, and once more: nobody is signed in by that.
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    let page = world.finish(&world.browser, &request, "alice").await;
    assert_eq!(page.assert_failure(400..=400), "login.cookies_blocked");
    assert_eq!(world.provider.control().count(Endpoint::Token), 1);
    world.browser.assert_signed_out().await;
    let request = begin_anew(&world, &world.browser, &page).await;
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_redirect();
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn a_bookmark_of_the_provider_s_page_ends_on_a_page_that_begins_anew(stage: Stage) {
    let world = stage.world().await;
    // Made in one browser, opened in another one, and in one whose cookies were cleared.
    let bookmark = world
        .begin(&world.browser, "/auth/login?return_to=/profile")
        .await;
    for browser in [world.browser.fresh(), world.browser.fresh()] {
        let page = world.finish(&browser, &bookmark, "alice").await;
        assert_eq!(page.assert_failure(400..=400), "login.cookies_blocked");
        assert!(
            page.text().to_ascii_lowercase().contains("cookie"),
            "{}",
            page.describe()
        );
        assert_eq!(world.provider.control().count(Endpoint::Token), 0);
        browser.assert_signed_out().await;
        let request = begin_anew(&world, &browser, &page).await;
        assert_ne!(parameters(&request)["state"], parameters(&bookmark)["state"]);
    }
    // The browser that it was made in is not disturbed by any of that.
    let landing = world.finish(&world.browser, &bookmark, "alice").await.location();
    assert_eq!(landing.path(), "/profile");
}

/// A request for the library's own sign-in route.
struct Login;

impl RequestHead for Login {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn path(&self) -> &'static str {
        "/auth/login"
    }

    fn query(&self) -> Option<&'static str> {
        Some("return_to=/profile?tab=2%26x=y")
    }

    fn header_values(&self, _: &'static str, _: &mut dyn FnMut(&str)) {}
}

/// An instance of the application whose clock is behind: it begins the sign-ins of the past.
async fn instance_of_the_past(world: &World, behind: Duration) -> Auth {
    let clock = TestClock::new();
    let auth = AuthBuilder::default()
        .base_url(BASE)
        .issuer(world.provider.issuer())
        .client(CLIENT_ID, Some(CLIENT_SECRET))
        .secret(SecretKeys::from_hex(SECRET).unwrap())
        .clock(clock.clock())
        .build()
        .await
        .unwrap();
    clock.set(auth.now().minus(behind));
    auth
}

pub(crate) async fn a_sign_in_page_left_open_for_an_hour_begins_anew_and_keeps_the_way_back(stage: Stage) {
    let world = stage.world().await;
    for (minutes, is_over) in [(14, false), (16, true), (60, true), (60 * 24 * 30, true)] {
        let past = instance_of_the_past(&world, Duration::from_secs(minutes * 60)).await;
        let browser = world.browser.fresh();
        let begun = past.login(past.route_request(&Login, Vec::new(), None)).await;
        let mut request = None;
        for (name, value) in &begun.headers {
            match *name {
                // The browser would have dropped it by now; one that restores its last session may not have.
                "set-cookie" => browser.jar().store(browser.base(), value),
                "location" => request = Some(Url::parse(value).unwrap()),
                _ => {}
            }
        }
        let callback = world.approve(&request.unwrap(), "alice").await;
        let before = world.provider.control().count(Endpoint::Token);
        let answer = world.callback(&browser, &callback).await;
        if !is_over {
            assert_eq!(
                answer.assert_status(303).header("location").as_deref(),
                Some("/profile?tab=2&x=y"),
                "{minutes} minutes"
            );
            browser.assert_signed_in_as("alice").await;
            continue;
        }
        assert_eq!(
            answer.assert_failure(400..=400),
            "login.attempt_expired",
            "{minutes} minutes"
        );
        assert_eq!(world.provider.control().count(Endpoint::Token), before);
        browser.assert_signed_out().await;
        let request = begin_anew(&world, &browser, &answer).await;
        let landing = world.finish(&browser, &request, "alice").await;
        assert_eq!(
            landing.header("location").as_deref(),
            Some("/profile?tab=2&x=y"),
            "{minutes} minutes"
        );
        // The page was open in another tab: it goes on to where it wanted, and changes nothing.
        let late = world.callback(&browser, &callback).await;
        late.assert_status(303);
        browser.assert_signed_in_as("alice").await;
    }
}

pub(crate) async fn a_browser_that_asks_ahead_of_its_user_begins_no_sign_in(stage: Stage) {
    let world = stage.world().await;
    let browser = &world.browser;
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        for path in ["/auth/login", "/auth/login?return_to=/profile"] {
            for ask in [browser.navigate(path), browser.fetch(path)] {
                let answer = ask.header(name, value).await;
                assert_eq!(answer.status, 503, "{name} {path}: {}", answer.describe());
                answer.assert_no_cookie().assert_no_store();
                assert!(answer.header("location").is_none());
            }
        }
        // An answer of the provider is not spent on a page that nobody sees.
        let request = world.begin(browser, "/auth/login?return_to=/profile").await;
        let callback = world.approve(&request, "alice").await;
        let ahead = browser.navigate(callback.as_str()).header(name, value).await;
        ahead.assert_status(503).assert_no_cookie();
        browser.assert_signed_out().await;
        assert_eq!(
            world.callback(browser, &callback).await.location().path(),
            "/profile"
        );
        browser.assert_signed_in_as("alice").await;
        browser.submit("/auth/logout", &[]).await.assert_redirect();
    }
}

pub(crate) async fn without_cookies_a_sign_in_ends_on_a_page_and_not_in_a_loop(stage: Stage) {
    let world = stage.world().await;
    for _ in 0..2 {
        // Each step in a browser that has kept nothing of the one before.
        let browser = || world.browser.fresh();
        let login = browser().navigate("/profile").await.location();
        let request = world.begin(&browser(), login.as_str()).await;
        let page = world.finish(&browser(), &request, "alice").await;
        assert_eq!(page.assert_failure(400..=400), "login.cookies_blocked");
        assert!(
            page.text().to_ascii_lowercase().contains("cookie"),
            "{}",
            page.describe()
        );
        // Only the user begins anew.
        assert!(!page.body.to_ascii_lowercase().contains("http-equiv"));
        assert!(page.header("refresh").is_none());
        begin_anew(&world, &browser(), &page).await;
    }
    assert_eq!(world.provider.control().count(Endpoint::Token), 0);
}

pub(crate) async fn another_user_signing_in_on_top_takes_over_in_every_tab(stage: Stage) {
    let world = stage.world().await;
    let browser = &world.browser;
    // Both sign-ins are begun before one of them ends.
    let alice = world.begin(browser, "/auth/login?return_to=/profile").await;
    let bob = world.begin(browser, "/auth/login?return_to=/dashboard").await;
    world.finish(browser, &alice, "alice").await.assert_redirect();
    browser.assert_signed_in_as("alice").await;
    let alice_s = browser.copy();
    assert_eq!(
        world.finish(browser, &bob, "bob").await.location().path(),
        "/dashboard"
    );
    browser.assert_signed_in_as("bob").await;
    alice_s.assert_signed_out().await;
    for path in ["/", "/profile"] {
        let page = browser.navigate(path).await;
        assert!(
            page.text().contains("bob@example.com") && !page.text().contains("alice@example.com"),
            "{path}"
        );
    }
    // Alice's page of the provider, sent once more, does not bring her back.
    world.finish(browser, &alice, "alice").await.assert_status(303);
    browser.assert_signed_in_as("bob").await;
}

pub(crate) async fn a_callback_opened_in_another_s_browser_is_not_spent(stage: Stage) {
    let world = stage.world().await;
    let (alice, bob) = (world.browser.fresh(), world.browser.fresh());
    world.sign_in_with(&bob, "bob").await;
    let stranger = world.browser.fresh();
    let request = world.begin(&alice, "/auth/login?return_to=/profile").await;
    let callback = world.approve(&request, "alice").await;
    let query = callback.query().unwrap().to_owned();
    for browser in [&bob, &stranger] {
        // Opened, posted by a form of another site, loaded as an image, fetched.
        let answers = [
            world.callback(browser, &callback).await,
            browser
                .request(Method::POST, "/auth/callback")
                .navigation(Site::CrossSite)
                .form(
                    &callback
                        .query_pairs()
                        .collect::<Vec<_>>()
                        .iter()
                        .map(|(name, value)| (&**name, &**value))
                        .collect::<Vec<_>>(),
                )
                .await,
            browser
                .fetch(&format!("/auth/callback?{query}"))
                .site(Site::CrossSite)
                .header("sec-fetch-mode", "no-cors")
                .header("sec-fetch-dest", "image")
                .await,
        ];
        for answer in answers {
            assert!(matches!(answer.status, 303 | 400), "{}", answer.describe());
            answer.assert_no_cookie();
        }
    }
    assert_eq!(world.provider.control().count(Endpoint::Token), 1, "bob's own");
    bob.assert_signed_in_as("bob").await;
    stranger.assert_signed_out().await;
    assert_eq!(
        world.callback(&alice, &callback).await.location().path(),
        "/profile"
    );
    alice.assert_signed_in_as("alice").await;
}

pub(crate) async fn a_stolen_code_is_of_no_use_in_another_attempt(stage: Stage) {
    let world = stage.world().await;
    let (victim, thief) = (world.browser.fresh(), world.browser.fresh());
    let stolen = world
        .approve(&world.begin(&victim, "/auth/login").await, "alice")
        .await;
    let own = world.begin(&thief, "/auth/login").await;
    // RFC 9700 §4.5: a code injected into an attempt of the thief's own is bound to another verifier and nonce.
    let mut injected = stolen.clone();
    injected.query_pairs_mut().clear().extend_pairs(
        stolen
            .query_pairs()
            .filter(|(name, _)| name != "state")
            .chain([("state".into(), parameters(&own)["state"].clone().into())]),
    );
    let page = world.callback(&thief, &injected).await;
    page.assert_failure(400..=502);
    thief.assert_signed_out().await;
    // And the other way round: the victim's browser is not signed in as the thief.
    let own = world
        .approve(&world.begin(&thief, "/auth/login").await, "bob")
        .await;
    let waiting = world.begin(&victim, "/auth/login").await;
    let mut planted = own.clone();
    planted.query_pairs_mut().clear().extend_pairs(
        own.query_pairs()
            .filter(|(name, _)| name != "state")
            .chain([("state".into(), parameters(&waiting)["state"].clone().into())]),
    );
    world.callback(&victim, &planted).await.assert_failure(400..=502);
    victim.assert_signed_out().await;
}

pub(crate) async fn over_https_no_cookie_of_a_sibling_is_taken(stage: Stage) {
    let world = https_world(&stage, |settings| settings).await;
    // What a page of sibling.example.com can plant for the whole domain has not the prefix, since browsers refuse that
    // (RFC 6265bis §4.1.3.2).
    let thief = world.browser.fresh();
    let request = world.begin(&thief, "/auth/login").await;
    let callback = world.approve(&request, "bob").await;
    let attempt = thief.cookies().remove(0);
    let plain = attempt.name.strip_prefix("__Host-").expect("the prefix");
    for planted in [
        format!("{plain}={}", attempt.value),
        format!("__host-{plain}={}", attempt.value),
        format!("__Secure-{plain}={}", attempt.value),
        format!("\u{a0}__Host-{plain}={}", attempt.value),
        format!("\u{3000}__Host-{plain}={}", attempt.value),
        format!("%5f%5fHost-{plain}={}", attempt.value),
        format!("=__Host-{plain}={}", attempt.value),
        format!("x=1, __Host-{plain}={}", attempt.value),
        format!("\"__Host-{plain}\"={}", attempt.value),
    ] {
        let victim = world.browser.fresh();
        let answer = victim
            .navigate(callback.as_str())
            .site(Site::CrossSite)
            .header("cookie", &planted)
            .await;
        assert_eq!(answer.status, 400, "{planted:?}: {}", answer.describe());
        assert_eq!(answer.assert_failure(400..=400), "login.state_cookie_missing");
    }
    world.callback(&thief, &callback).await.assert_redirect();
    let session = thief.session_cookie().await;
    let plain = session.name.strip_prefix("__Host-").expect("the prefix");
    for planted in [
        format!("{plain}={}", session.value),
        format!("__host-{plain}={}", session.value),
        format!("__Secure-{plain}={}", session.value),
        format!("\u{a0}__Host-{plain}={}", session.value),
        format!("\u{3000}__Host-{plain}={}", session.value),
        format!("a=b; __Host-{plain}\u{2003}={}", session.value),
        format!("%5f%5fHost-{plain}={}", session.value),
        format!("_%5FHos%74-{plain}={}", session.value),
    ] {
        let victim = world.browser.fresh();
        let answer = victim.fetch("/auth/session").header("cookie", &planted).await;
        assert_eq!(answer.json(), json!({"authenticated": false}), "{planted:?}");
    }
    let seen = thief.jar().seen().len();
    let sibling = Url::parse("https://sibling.example.com/").unwrap();
    for header in [
        format!(
            "{}={}; Domain=example.com; Path=/; Secure",
            session.name, session.value
        ),
        format!("{}={}; Path=/auth; Secure", session.name, session.value),
        format!("{}={}; Path=/", session.name, session.value),
    ] {
        thief.jar().store(&sibling, &header);
    }
    assert!(thief.jar().seen()[seen..].iter().all(|cookie| !cookie.accepted));
    assert_eq!(world.browser.base().as_str().trim_end_matches('/'), HTTPS_BASE);
}

pub(crate) async fn over_http_a_planted_cookie_never_mixes_two_users(stage: Stage) {
    let world = stage.world().await;
    // Without https, a page of another port or a sibling host can plant cookies beside ours, before or after it.
    let thief = world.browser.fresh();
    world.sign_in_with(&thief, "bob").await;
    let planted = thief.session_cookie().await;
    let victim = world.browser.fresh();
    world.sign_in_with(&victim, "alice").await;
    let own = victim.session_cookie().await;
    let pair = |cookie: &auth_tests::jar::Stored| format!("{}={}", cookie.name, cookie.value);
    // The first that can be read counts, as every server reads them; who is shown is who the session is of.
    for (sent, subject) in [
        (format!("{}; {}", pair(&own), pair(&planted)), "alice"),
        (format!("{}; {}", pair(&planted), pair(&own)), "bob"),
        (
            format!("{}=x; {}; {}", own.name, pair(&own), pair(&planted)),
            "alice",
        ),
    ] {
        let browser = world.browser.fresh();
        let session = browser.fetch("/auth/session").header("cookie", &sent).await;
        assert_eq!(session.json()["user"]["sub"], subject);
        let me = browser.fetch("/api/me").header("cookie", &sent).await;
        assert_eq!(me.json()["userName"], subject);
        let page = browser.navigate("/profile").header("cookie", &sent).await;
        assert!(page.text().contains(&format!("{subject}@example.com")));
    }
    // Signing in with a planted cookie ends the session that it is of, so that the thief has nothing of it.
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let callback = world.approve(&request, "alice").await;
    let attempt = pair(&browser.cookies().remove(0));
    let answer = browser
        .navigate(callback.as_str())
        .header("cookie", &format!("{}; {attempt}", pair(&planted)))
        .await;
    answer.assert_redirect();
    let new = browser.session_cookie().await;
    assert_ne!(new.value, planted.value);
    thief.assert_signed_out().await;
    browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn forms_of_other_sites_change_nothing(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let cookie = world.browser.session_cookie().await;
    let sent = format!("{}={}", cookie.name, cookie.value);
    for (path, field) in [
        ("/note", ("text", "planted")),
        ("/auth/logout", ("a", "b")),
        ("/api/revoke", ("a", "b")),
    ] {
        let ask = || world.browser.submit(path, &[field]);
        for (what, ask) in crate::protection::forged(ask) {
            // Even if a browser sent the cookie along.
            let answer = ask.header("cookie", &sent).await;
            assert_eq!(answer.status, 403, "{what} to {path}: {}", answer.describe());
            answer.assert_no_cookie();
        }
        // A method that a proxy or a field makes of another is none.
        for (name, value) in [("x-http-method-override", "POST"), ("x-method-override", "POST")] {
            let answer = world
                .browser
                .request(Method::GET, path)
                .navigation(Site::CrossSite)
                .header(name, value)
                .header("cookie", &sent)
                .await;
            assert!(
                matches!(answer.status, 404 | 405),
                "{name} {path}: {}",
                answer.describe()
            );
        }
        for query in ["_method=POST", "_method=DELETE"] {
            let answer = world
                .browser
                .navigate(&format!("{path}?{query}"))
                .site(Site::CrossSite)
                .header("cookie", &sent)
                .await;
            assert!(
                matches!(answer.status, 404 | 405),
                "{query} {path}: {}",
                answer.describe()
            );
        }
    }
    world.browser.assert_signed_in_as("alice").await;
    assert!(!world.browser.navigate("/").await.text().contains("planted"));
    assert_eq!(world.provider.control().count(Endpoint::Revoke), 0);
}

pub(crate) async fn odd_spellings_of_a_protected_path_show_nothing(stage: Stage) {
    let world = stage.world().await;
    let spellings: [&str; 34] = [
        "/profile",
        "//profile",
        "///profile",
        "/./profile",
        "/x/../profile",
        "/profile/",
        "/profile/.",
        "/profile//",
        "/profile/..",
        "/PROFILE",
        "/Profile",
        "/%70rofile",
        "/pro%66ile",
        "/%2fprofile",
        "/%2e/profile",
        "/profile%2f",
        "/profile%2f..",
        "/profile%00",
        "/profile%20",
        "/profile%09",
        "/profile.",
        "/profile..",
        "/profile;x",
        "/profile;/",
        "/;/profile",
        "/profile%3b",
        "/profile%3f",
        "/profile%23",
        "\\profile",
        "/\\profile",
        "/profile\\",
        "/%5cprofile",
        "/%c0%afprofile",
        "/%u0070rofile",
    ];
    let mut reached = 0;
    for path in spellings {
        for path in [path.to_owned(), path.replacen("rofile", "rofile.html", 1)] {
            for lines in [
                &[][..],
                &["x-original-url: /healthz"],
                &["x-forwarded-uri: /healthz"],
            ] {
                let sent = auth_tests::raw::navigation(path.as_bytes(), "127.0.0.1:3000", lines);
                let Some(answer) = auth_tests::raw::exchange(world.app.address(), &sent).await else {
                    continue;
                };
                assert!(
                    matches!(answer.status, 303 | 400 | 404 | 405 | 414),
                    "{path}: {}",
                    answer.head
                );
                assert!(!answer.body.contains("example.com"), "{path}: {}", answer.body);
                reached += u32::from(answer.status == 303);
            }
        }
    }
    assert!(reached >= 3, "{reached} asked to sign in");
}
