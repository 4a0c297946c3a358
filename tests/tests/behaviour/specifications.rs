//! Rules of the specifications about what a browser gets to see, that no other module has; `docs/specifications.md` lists all rules.

use std::time::Duration;

use auth_testing::{Endpoint, Fault};
use auth_tests::{Answer, Site, Stage};
use http::Method;

/// RFC 9700 §4.2.4, RFC 6749 §10.13: nothing from elsewhere is loaded, no Referer goes elsewhere, nobody frames the page or guesses its type.
#[track_caller]
fn assert_sealed(what: &str, answer: &Answer) {
    answer.assert_page().assert_no_store();
    let has = |name: &str, piece: &str| {
        let value = answer.header(name).unwrap_or_default();
        assert!(
            value.contains(piece),
            "{what}: {name} is {value:?}, without {piece}"
        );
    };
    has("content-security-policy", "default-src 'none'");
    has("content-security-policy", "frame-ancestors 'none'");
    has("content-security-policy", "base-uri 'none'");
    has("x-frame-options", "DENY");
    has("referrer-policy", "no-referrer");
    has("x-content-type-options", "nosniff");
    let body = answer.body.to_ascii_lowercase();
    for piece in [
        "<script",
        "src=",
        "<iframe",
        "<link",
        "http-equiv",
        "\"http",
        "url(",
    ] {
        assert!(!body.contains(piece), "{what}: {piece} in {}", answer.body);
    }
}

// RFC 6749 §3.1.2.5, §10.13; RFC 9700 §4.2.4, §4.16
pub(crate) async fn our_pages_load_nothing_and_are_not_framed(stage: Stage) {
    let world = stage.world().await;
    let browser = &world.browser;
    world
        .provider
        .control()
        .fail_next(Endpoint::Discovery, 1, Fault::status(500));
    let down = browser.navigate("/auth/login").await;
    down.assert_status(503);
    assert_sealed("the provider is down", &down);
    auth_tests::wait::until("sign-in works again", Duration::from_secs(5), || async {
        browser.navigate("/auth/login").await.status == 303
    })
    .await;

    let request = world.begin(browser, "/auth/login").await;
    let mut callback = world.approve(&request, "alice").await;
    callback.query_pairs_mut().append_pair("error", "access_denied");
    assert_sealed("denied", &world.callback(browser, &callback).await);
    assert_sealed("repeated", &world.callback(browser, &callback).await);
    for (method, path) in [
        (Method::GET, "/auth/callback?code=x&state=y"),
        (Method::GET, "/auth/errors/login.state_missing"),
        (Method::GET, "/auth/errors/unheard-of"),
    ] {
        let answer = browser.request(method, path).navigation(Site::CrossSite).await;
        assert_sealed(path, &answer);
    }

    // The application's own pages load nothing foreign and are not framed either.
    world.sign_in("alice").await;
    for path in ["/", "/profile", "/dashboard"] {
        let page = browser.navigate(path).await;
        page.assert_status(200).assert_page();
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(
            page.header("x-content-type-options").as_deref(),
            Some("nosniff"),
            "{path}"
        );
    }
    // JSON of the library's: a document, and a refusal.
    world.sign_in("bob").await;
    for (path, status) in [("/auth/session", 200), ("/api/admin", 403)] {
        let document = browser.fetch(path).await;
        document.assert_status(status).assert_no_store();
        let sniff = document.header("x-content-type-options");
        assert_eq!(sniff.as_deref(), Some("nosniff"), "{path}");
    }
}

/// RFC 9700 §4.12: a redirect that carries a form on (307, 308) would give away what was posted. §4.2.4: the address that is left, with code
/// and state in it, is named to nobody.
pub(crate) async fn redirects_of_a_sign_in_carry_nothing_on(stage: Stage) {
    let world = stage.world().await;
    let browser = &world.browser;
    let mut redirects = vec![
        ("to sign-in", browser.navigate("/profile").await),
        ("to the provider", browser.navigate("/auth/login").await),
        (
            "to the provider, by a third party's form",
            browser
                .request(Method::POST, "/auth/login")
                .navigation(Site::CrossSite)
                .form(&[("iss", world.provider.issuer())])
                .await,
        ),
    ];
    let request = world.begin(browser, "/auth/login?return_to=/profile").await;
    let callback = world.approve(&request, "alice").await;
    redirects.push(("into the app", world.callback(browser, &callback).await));
    redirects.push(("into the app once more", world.callback(browser, &callback).await));
    redirects.push(("out of the app", browser.submit("/auth/logout", &[]).await));
    for (what, answer) in redirects {
        answer.assert_redirect().assert_no_store();
        assert_eq!(answer.status, 303, "{what}: {}", answer.describe());
        assert_eq!(
            answer.header("referrer-policy").as_deref(),
            Some("no-referrer"),
            "{what}"
        );
        assert_eq!(answer.body, "", "{what}: nothing is shown on the way");
    }
}

/// RFC 6749 §2.3.1, RFC 6750 §2.3 and §5.3, RFC 9700 §4.3.2: credentials and tokens go in headers and bodies, one way only; a URL may be
/// logged, kept in a history, and sent on. RFC 6750 §5.3: nor do they lie in a cookie.
pub(crate) async fn no_token_and_no_secret_stands_in_a_url_or_a_cookie(stage: Stage) {
    let world = stage.world().await;
    let (browser, control) = (&world.browser, world.provider.control());
    control.next_access_token_lifetime(Duration::ZERO);
    let mut urls = Vec::new();
    let request = world.begin(browser, "/auth/login?return_to=/profile").await;
    urls.push(request.to_string());
    let landing = world.finish(browser, &request, "alice").await;
    urls.push(landing.location().to_string());
    for path in ["/profile", "/dashboard"] {
        browser.navigate(path).await.assert_status(200);
    }
    assert!(control.refresh_count() >= 1);
    let mut cookies: Vec<_> = browser.cookies().into_iter().map(|cookie| cookie.value).collect();
    browser
        .script(Method::POST, "/api/revoke")
        .await
        .assert_status(204);
    let mut left = browser.submit("/auth/logout", &[]).await.location();
    // RP-Initiated Logout 1.0 §2 has the ID token in the query; nothing else.
    let hint = left.query_pairs().find(|(name, _)| name == "id_token_hint");
    let hint = hint.map(|(_, value)| value.into_owned()).expect("a hint");
    assert!(control.issued_secrets().contains(&hint));
    left.set_query(Some(&left.query().unwrap().replace(&hint, "")));
    urls.push(left.to_string());
    cookies.extend(browser.cookies().into_iter().map(|cookie| cookie.value));

    let mut asked = Vec::new();
    for endpoint in [
        Endpoint::Discovery,
        Endpoint::Jwks,
        Endpoint::Token,
        Endpoint::Userinfo,
        Endpoint::Revoke,
        Endpoint::Api("/scim2/Me"),
        Endpoint::Api("/users/me"),
        Endpoint::Api("/organizations"),
    ] {
        let requests = control.requests(endpoint);
        assert!(!requests.is_empty(), "{endpoint:?} was not asked");
        for request in requests {
            urls.push(format!("{}?{}", request.path, request.query));
            asked.push((endpoint, request));
        }
    }
    for secret in control.issued_secrets() {
        for text in urls.iter().chain(&cookies) {
            assert!(!text.contains(&secret), "{} bytes of secret", secret.len());
        }
    }
    for (endpoint, request) in asked {
        let authorization: Vec<_> = request
            .headers
            .iter()
            .filter(|(name, _)| name == "authorization")
            .map(|(_, value)| value.split(' ').next().unwrap_or_default())
            .collect();
        let expected: &[&str] = match endpoint {
            Endpoint::Discovery | Endpoint::Jwks => &[],
            Endpoint::Token | Endpoint::Revoke => &["Basic"],
            _ => &["Bearer"],
        };
        assert_eq!(authorization, expected, "{endpoint:?}");
        for name in ["access_token", "client_secret", "client_assertion"] {
            assert!(request.form(name).is_none(), "{endpoint:?}: {name} in the form");
        }
        assert!(request.header("cookie").is_none(), "{endpoint:?}");
        assert!(request.header("referer").is_none(), "{endpoint:?}");
    }
}

/// RFC 10017 §6.1.3.3.2, RFC 9700 §2.6: no other origin may read an answer, or send what needs to be asked for first.
pub(crate) async fn no_other_origin_may_read_an_answer(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let cookie = world.browser.session_cookie().await;
    let sent = format!("{}={}", cookie.name, cookie.value);
    for path in [
        "/auth/session",
        "/auth/login",
        "/auth/logout",
        "/api/me",
        "/api/revoke",
    ] {
        for method in [Method::GET, Method::OPTIONS] {
            for origin in ["https://evil.example", "null", "http://127.0.0.1:3001"] {
                let answer = world
                    .browser
                    .request(method.clone(), path)
                    .without_metadata()
                    .header("origin", origin)
                    .header("access-control-request-method", "POST")
                    .header("access-control-request-headers", "x-csrf")
                    .header("cookie", &sent)
                    .await;
                let allowed: Vec<_> = answer
                    .headers
                    .keys()
                    .filter(|name| name.as_str().starts_with("access-control-"))
                    .collect();
                assert!(allowed.is_empty(), "{method} {path} for {origin}: {allowed:?}");
            }
        }
    }
    world.browser.assert_signed_in_as("alice").await;
}
