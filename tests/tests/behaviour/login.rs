//! `/auth/login`: the authorization request, the way back, several sign-ins at once.

use std::collections::{HashMap, HashSet};

use auth_testing::Endpoint;
use auth_tests::stage::{BASE, CLIENT_ID};
use auth_tests::{Site, Stage};
use http::Method;
use url::Url;

/// The parameters of an authorization request; none may stand there twice, save `resource`.
pub(crate) fn parameters(request: &Url) -> HashMap<String, String> {
    let mut parameters = HashMap::new();
    for (name, value) in request.query_pairs() {
        let doubled = parameters.insert(name.to_string(), value.into_owned()).is_some();
        assert!(!doubled || name == "resource", "{name} stands twice in {request}");
    }
    parameters
}

// OpenID Connect Core §3.1.2.1; RFC 7636 §4.2, §4.3; RFC 9700 §2.1.2
pub(crate) async fn asks_for_a_code_with_pkce_state_and_nonce(stage: Stage) {
    let world = stage.world().await;
    let request = world.begin(&world.browser, "/auth/login").await;
    let metadata = world
        .browser
        .fetch(&format!(
            "{}/.well-known/openid-configuration",
            world.provider.issuer()
        ))
        .await
        .json();
    assert_eq!(
        request.as_str().split('?').next(),
        metadata["authorization_endpoint"].as_str()
    );
    let parameters = parameters(&request);
    assert_eq!(parameters["response_type"], "code");
    assert_eq!(parameters["client_id"], CLIENT_ID);
    assert_eq!(parameters["redirect_uri"], format!("{BASE}/auth/callback"));
    assert_eq!(parameters["code_challenge_method"], "S256");
    assert_eq!(parameters["code_challenge"].len(), 43);
    let scopes: HashSet<_> = parameters["scope"].split(' ').collect();
    assert_eq!(
        scopes,
        HashSet::from(["openid", "profile", "email", "offline_access"])
    );
    for name in ["state", "nonce"] {
        assert!(parameters[name].len() >= 22, "{name} has less than 128 bits");
    }
    assert!(!parameters.contains_key("code_verifier"));
}

// OpenID Connect Core §3.1.2.1; RFC 9700 §2.1.1
pub(crate) async fn every_attempt_has_its_own_state_nonce_and_challenge(stage: Stage) {
    let world = stage.world().await;
    let mut seen = HashSet::new();
    for _ in 0..4 {
        let request = parameters(&world.begin(&world.browser.fresh(), "/auth/login").await);
        for name in ["state", "nonce", "code_challenge"] {
            assert!(seen.insert(request[name].clone()), "{name} repeats");
        }
    }
}

// RFC 6749 §4.1.3; RFC 7636 §4.5; RFC 9700 §4.8.2
pub(crate) async fn the_code_is_redeemed_with_the_verifier_of_the_challenge(stage: Stage) {
    use base64::Engine;
    let world = stage.world().await;
    let request = world.begin(&world.browser, "/auth/login").await;
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_redirect();
    let token = &world.provider.control().requests(Endpoint::Token)[0];
    let verifier = token.form("code_verifier").expect("a code verifier");
    assert!((43..=128).contains(&verifier.len()));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    assert_eq!(parameters(&request)["code_challenge"], challenge);
    assert_eq!(token.form("grant_type"), Some("authorization_code"));
    assert_eq!(
        token.form("redirect_uri"),
        Some(&*format!("{BASE}/auth/callback"))
    );
}

// OpenID Connect Core §3.1.2.1
pub(crate) async fn asks_for_the_configured_scopes(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_SCOPES", "openid email mail.read"))
        .await;
    let request = parameters(&world.begin(&world.browser, "/auth/login").await);
    assert_eq!(
        request["scope"].split(' ').collect::<HashSet<_>>(),
        HashSet::from(["openid", "email", "mail.read"])
    );
}

// OpenID Connect Core §3.1.2.1
pub(crate) async fn adds_the_configured_parameters(stage: Stage) {
    let world = stage
        .world_with(|settings| {
            settings.set(
                "AUTH_AUTHORIZE_PARAMS",
                "audience=https%3A%2F%2Fapi%2F%3Fx%3D1&ui_locales=de+fr",
            )
        })
        .await;
    let request = parameters(&world.begin(&world.browser, "/auth/login").await);
    assert_eq!(request["audience"], "https://api/?x=1");
    assert_eq!(request["ui_locales"], "de fr");
    world.sign_in("alice").await;
}

// RFC 9700 §2.3, §4.10.2
pub(crate) async fn resource_indicators_go_with_authorization_and_token_requests(stage: Stage) {
    let resources = ["https://api.example.com/a", "https://api.example.com/b"];
    let world = stage
        .world_with(|settings| settings.set("AUTH_RESOURCE", resources.join(",")))
        .await;
    let request = world.begin(&world.browser, "/auth/login").await;
    let asked: Vec<_> = request
        .query_pairs()
        .filter(|(name, _)| name == "resource")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(asked, resources);
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_redirect();
    let token = &world.provider.control().requests(Endpoint::Token)[0];
    let sent: Vec<_> = token
        .form
        .iter()
        .filter(|(name, _)| name == "resource")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(sent, resources);
}

// RFC 6749 §10.14, §10.15; RFC 9700 §2.1, §4.11.1
pub(crate) async fn comes_back_to_a_path_of_this_origin_and_nowhere_else(stage: Stage) {
    let world = stage.world().await;
    // What is asked for, and where it leads; `None`: anywhere on this origin.
    let long = format!("/long?q={}", "x".repeat(1500));
    for (asked, expected) in [
        ("/profile", Some("/profile")),
        (
            "/profile?a=1&b=%2F%2Fx&c=%20",
            Some("/profile?a=1&b=%2F%2Fx&c=%20"),
        ),
        ("/?next=//evil.example", Some("/?next=//evil.example")),
        (&long, Some(&long)),
        ("", Some("/")),
        ("profile", Some("/")),
        ("//evil.example", Some("/")),
        ("///evil.example", Some("/")),
        ("/\\evil.example", Some("/")),
        ("\\\\evil.example", Some("/")),
        ("/a\\..\\..\\evil.example", Some("/")),
        ("https://evil.example/", Some("/")),
        ("http://127.0.0.1:3000/profile", Some("/")),
        ("https:evil.example", Some("/")),
        ("javascript:alert(1)", Some("/")),
        ("data:text/html,x", Some("/")),
        ("/\t/evil.example", Some("/")),
        ("\t//evil.example", Some("/")),
        ("/\n/evil.example", Some("/")),
        ("/a\r\nSet-Cookie: a=b", Some("/")),
        ("/a\0", Some("/")),
        ("/\u{7f}/evil.example", Some("/")),
        (" //evil.example", Some("/")),
        ("@evil.example", Some("/")),
        (".evil.example", Some("/")),
        ("/..//evil.example", None),
        ("/.//evil.example", None),
        ("/a/..//evil.example", None),
        ("/%2e%2e//evil.example", None),
        ("/%09/evil.example", None),
        ("/%5cevil.example", None),
        ("/%2F/evil.example", None),
        ("/auth/logout", None),
        ("/auth/login", None),
    ] {
        let browser = world.browser.fresh();
        let query: String = url::form_urlencoded::byte_serialize(asked.as_bytes()).collect();
        let request = world
            .begin(&browser, &format!("/auth/login?return_to={query}"))
            .await;
        let answer = world.finish(&browser, &request, "alice").await;
        let raw = answer
            .header("location")
            .unwrap_or_else(|| panic!("{asked:?}: {}", answer.describe()));
        let landing = answer.location();
        assert_eq!(
            landing.origin(),
            browser.base().origin(),
            "{asked:?} leads to {raw:?}"
        );
        if let Some(expected) = expected {
            assert_eq!(
                landing.as_str(),
                browser.base().join(expected).unwrap().as_str(),
                "{asked:?}"
            );
        }
        browser.assert_signed_in_as("alice").await;
    }
}

pub(crate) async fn a_huge_or_doubled_return_path_does_not_stop_the_sign_in(stage: Stage) {
    let world = stage.world().await;
    for query in [
        format!("return_to=/{}", "x".repeat(7000)),
        "return_to=/a&return_to=//evil.example".to_owned(),
    ] {
        let browser = world.browser.fresh();
        let answer = browser.navigate(&format!("/auth/login?{query}")).await;
        if answer.status >= 400 {
            assert!(answer.status < 500, "{}", answer.describe());
            continue;
        }
        let landing = world
            .finish(&browser, &answer.location(), "alice")
            .await
            .location();
        assert_eq!(landing.origin(), browser.base().origin());
        browser.assert_signed_in_as("alice").await;
    }
}

// RFC 10017 §6.1.3.2
pub(crate) async fn the_return_path_does_not_leave_the_browser(stage: Stage) {
    let world = stage.world().await;
    let request = world
        .begin(&world.browser, "/auth/login?return_to=/private-path-4711")
        .await;
    assert!(!request.as_str().contains("4711"));
    assert!(
        world
            .browser
            .cookies()
            .iter()
            .all(|cookie| !cookie.value.contains("4711"))
    );
}

// OpenID Connect Core §3.1.2.1; RFC 9700 §4.11.1
pub(crate) async fn third_party_initiated_login_knows_only_our_issuer(stage: Stage) {
    let world = stage.world().await;
    let ours = world.provider.issuer().to_owned();
    let fields = [
        ("iss", ours.as_str()),
        ("login_hint", "bob"),
        ("target_link_uri", "/dashboard?x=1"),
    ];
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let by_link = world.browser.fresh();
    let by_form = world.browser.fresh();
    for (browser, answer) in [
        (
            &by_link,
            by_link
                .navigate(&format!("/auth/login?{query}"))
                .site(Site::CrossSite)
                .await,
        ),
        (
            &by_form,
            by_form
                .request(Method::POST, "/auth/login")
                .navigation(Site::CrossSite)
                .form(&fields)
                .await,
        ),
    ] {
        let request = answer.location();
        assert_eq!(parameters(&request)["login_hint"], "bob");
        let landing = world.finish(browser, &request, "bob").await.location();
        assert_eq!(
            landing.as_str(),
            browser.base().join("/dashboard?x=1").unwrap().as_str()
        );
    }

    let elsewhere = [
        ("iss", ours.as_str()),
        ("target_link_uri", "https://evil.example/"),
    ];
    let browser = world.browser.fresh();
    let answer = browser
        .request(Method::POST, "/auth/login")
        .navigation(Site::CrossSite)
        .form(&elsewhere)
        .await;
    let landing = world.finish(&browser, &answer.location(), "bob").await.location();
    assert_eq!(landing.as_str(), browser.base().join("/").unwrap().as_str());

    for issuer in ["https://evil.example", &format!("{ours}/"), ""] {
        let browser = world.browser.fresh();
        let answer = browser
            .request(Method::POST, "/auth/login")
            .navigation(Site::CrossSite)
            .form(&[("iss", issuer)])
            .await;
        answer.assert_failure(400..=499);
        assert!(browser.cookies().is_empty(), "{issuer:?}");
    }
}

pub(crate) async fn two_tabs_both_finish_in_either_order(stage: Stage) {
    let world = stage.world().await;
    for order in [[0, 1], [1, 0]] {
        let browser = world.browser.fresh();
        let requests = [
            world.begin(&browser, "/auth/login?return_to=/profile").await,
            world.begin(&browser, "/auth/login?return_to=/dashboard").await,
        ];
        for tab in order {
            let landing = world.finish(&browser, &requests[tab], "alice").await.location();
            assert_eq!(landing.path(), ["/profile", "/dashboard"][tab]);
            browser.assert_signed_in_as("alice").await;
        }
    }
}

pub(crate) async fn five_attempts_may_be_open_and_a_sixth_drops_the_oldest(stage: Stage) {
    let world = stage.world().await;
    let mut callbacks = Vec::new();
    for number in 0..6 {
        let request = world
            .begin(&world.browser, &format!("/auth/login?return_to=/page-{number}"))
            .await;
        callbacks.push(world.approve(&request, "alice").await);
    }
    let before = world.provider.control().count(Endpoint::Token);
    world
        .callback(&world.browser, &callbacks[0])
        .await
        .assert_failure(400..=499);
    assert_eq!(world.provider.control().count(Endpoint::Token), before);
    world.browser.assert_signed_out().await;
    for (number, callback) in callbacks.iter().enumerate().skip(1) {
        let landing = world.callback(&world.browser, callback).await.location();
        assert_eq!(landing.path(), format!("/page-{number}"));
        world.browser.assert_signed_in_as("alice").await;
    }
}

pub(crate) async fn many_abandoned_attempts_leave_few_cookies(stage: Stage) {
    let world = stage.world().await;
    for _ in 0..12 {
        world.begin(&world.browser, "/auth/login").await;
    }
    assert!(
        world.browser.cookies().len() <= 6,
        "{} cookies",
        world.browser.cookies().len()
    );
    world.sign_in("alice").await;
}

pub(crate) async fn attempts_are_forgotten_by_the_browser_after_a_quarter_of_an_hour(stage: Stage) {
    let world = stage.world().await;
    world.begin(&world.browser, "/auth/login").await;
    let seen = world.browser.jar().seen().to_vec();
    let set: Vec<_> = seen
        .iter()
        .filter(|seen| !seen.header.to_ascii_lowercase().contains("max-age=0"))
        .collect();
    assert!(!set.is_empty());
    for cookie in set {
        let age = cookie
            .header
            .split(';')
            .filter_map(|part| {
                part.trim()
                    .to_ascii_lowercase()
                    .strip_prefix("max-age=")
                    .and_then(|age| age.parse::<u32>().ok())
            })
            .next();
        assert!(
            age.is_some_and(|age| age <= 900),
            "an attempt's cookie lives {age:?} s"
        );
    }
}

// RFC 6749 §3.1.2, §10.6; RFC 9700 §4.13
pub(crate) async fn host_and_forwarded_headers_change_no_redirect(stage: Stage) {
    let world = stage.world().await;
    let poison = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "4711"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-server", "evil.example"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
    ];
    let poisoned = |mut ask: auth_tests::Ask| {
        for (name, value) in poison {
            ask = ask.header(name, value);
        }
        ask
    };
    let browser = &world.browser;
    let protected = poisoned(browser.navigate("/profile")).await;
    assert_eq!(protected.location().origin(), browser.base().origin());
    let login = poisoned(browser.navigate("/auth/login?return_to=/profile")).await;
    assert_eq!(
        parameters(&login.location())["redirect_uri"],
        format!("{BASE}/auth/callback")
    );
    let callback = world.approve(&login.location(), "alice").await;
    let answer = poisoned(browser.navigate(callback.as_str()).site(Site::CrossSite)).await;
    assert_eq!(
        answer.location().as_str(),
        browser.base().join("/profile").unwrap().as_str()
    );
    browser.assert_signed_in_as("alice").await;
    let logout = poisoned(browser.submit("/auth/logout", &[])).await;
    assert_eq!(
        parameters(&logout.location())["post_logout_redirect_uri"],
        format!("{BASE}/")
    );
}
