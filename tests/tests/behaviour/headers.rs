//! Headers that lie, that end too early and that are too big; and those that every page brings along.

use auth_tests::raw::{self, RawAnswer};
use auth_tests::stage::BASE;
use auth_tests::{Answer, Stage, World};
use http::Method;

use crate::login::parameters;

const HOST: &str = "127.0.0.1:3000";
const EVIL: &str = "evil.example";

/// Paths of every kind: pages, redirects, problem documents, refusals.
const PATHS: [&str; 10] = [
    "/",
    "/profile",
    "/api/ping",
    "/api/transfer",
    "/auth/login?return_to=/profile",
    "/auth/callback?code=x&state=y",
    "/auth/session",
    "/auth/errors/login.state_missing",
    "/auth/logout",
    "/nowhere",
];

pub(crate) async fn a_host_that_lies_is_in_no_answer(stage: Stage) {
    let world = stage.world().await;
    let lies: [(&str, &str, &[&str]); 12] = [
        ("host", EVIL, &[]),
        ("host with a port", "evil.example:3000", &[]),
        ("host that begins like ours", "127.0.0.1:3000.evil.example", &[]),
        ("host with a user", "127.0.0.1:3000@evil.example", &[]),
        ("host with a path", "evil.example/127.0.0.1", &[]),
        ("empty host", "", &[]),
        ("two hosts", HOST, &["host: evil.example"]),
        ("two hosts, the other first", EVIL, &["host: 127.0.0.1:3000"]),
        (
            "forwarded",
            HOST,
            &[
                "forwarded: host=evil.example;proto=https;for=evil.example",
                "x-forwarded-host: evil.example",
                "x-forwarded-proto: javascript",
                "x-forwarded-port: 4711",
                "x-forwarded-prefix: //evil.example",
                "x-forwarded-for: evil.example",
                "x-forwarded-server: evil.example",
                "x-host: evil.example",
                "x-real-ip: evil.example",
                "via: 1.1 evil.example",
            ],
        ),
        (
            "rewritten",
            HOST,
            &[
                "x-original-url: //evil.example/profile",
                "x-rewrite-url: https://evil.example/",
                "x-original-host: evil.example",
                "x-http-host-override: evil.example",
                "x-http-method-override: POST",
                "origin: https://evil.example",
                "referer: https://evil.example/",
                "base-url: https://evil.example/",
            ],
        ),
        (
            "space before the colon",
            HOST,
            &["x-forwarded-host : evil.example"],
        ),
        ("folded line", HOST, &["x-a: b", " evil.example"]),
    ];
    for (what, host, lines) in lies {
        for path in PATHS {
            for target in [path.to_owned(), format!("http://{EVIL}{path}")] {
                let sent = raw::navigation(target.as_bytes(), host, lines);
                let Some(answer) = raw::exchange(world.app.address(), &sent).await else {
                    continue;
                };
                let what = format!("{what}, {target}");
                assert!(answer.status < 500, "{what}: {}", answer.head);
                assert!(!answer.head.contains(EVIL), "{what}: {}", answer.head);
                assert!(!answer.body.contains(EVIL), "{what}: {}", answer.body);
                assert!(!answer.head.contains("4711"), "{what}: {}", answer.head);
                if path.starts_with("/auth/login") && answer.status == 303 {
                    let request = url::Url::parse(answer.header("location").unwrap()).unwrap();
                    assert_eq!(
                        parameters(&request)["redirect_uri"],
                        format!("{BASE}/auth/callback"),
                        "{what}"
                    );
                }
            }
        }
    }
    // The oldest HTTP has no host at all.
    let old = raw::exchange(
        world.app.address(),
        b"GET /auth/login HTTP/1.0\r\naccept: text/html\r\n\r\n",
    )
    .await;
    let old = old.expect("an answer");
    assert_eq!(old.status, 303, "{}", old.head);
    let request = url::Url::parse(old.header("location").unwrap()).unwrap();
    assert_eq!(
        parameters(&request)["redirect_uri"],
        format!("{BASE}/auth/callback")
    );
}

/// A header or a page of the sender's own.
fn is_split(answer: &RawAnswer) -> bool {
    let planted = ["x-planted", "planted=1", "<planted"];
    let is_header = answer.head.to_ascii_lowercase().lines().any(|line| {
        line.starts_with("x-planted") || (line.starts_with("set-cookie") && line.contains("planted=1"))
    });
    is_header || answer.body.contains(planted[2])
}

pub(crate) async fn no_parameter_becomes_a_header_or_an_element(stage: Stage) {
    let world = stage.world().await;
    let mut tried = 0;
    for end in [
        "%0d%0a",
        "%0a",
        "%0d",
        "%0D%0A%20",
        "%00",
        "%0b",
        "%0c",
        "%C2%85",
        "%E2%80%A8",
        "%E5%98%8D%E5%98%8A",
        "%c4%8d%c4%8a",
        "%250d%250a",
        "%u000d%u000a",
    ] {
        let planted = format!("a{end}x-planted:%201{end}Set-Cookie:%20planted=1{end}{end}<planted>\"'");
        for target in [
            format!("/auth/login?return_to=/{planted}"),
            format!("/auth/login?login_hint={planted}"),
            format!("/auth/login?iss={planted}"),
            format!("/auth/login?target_link_uri={planted}"),
            format!("/auth/login?step_up={planted}"),
            format!("/auth/callback?state={planted}"),
            format!("/auth/callback?error={planted}&state={planted}&error_description={planted}"),
            format!("/auth/errors/{planted}"),
            format!("/profile?{planted}"),
            format!("/profile/{planted}"),
            format!("/{planted}"),
            format!("/api/mail?{planted}"),
        ] {
            // `<` and quotes are sent percent-encoded, as browsers do.
            let target = target.replace('<', "%3C").replace('>', "%3E").replace('"', "%22");
            let sent = raw::navigation(target.as_bytes(), HOST, &[]);
            let answer = raw::exchange(world.app.address(), &sent).await;
            let answer = answer.unwrap_or_else(|| panic!("no answer to {target}"));
            assert!(answer.status < 500, "{target}: {}", answer.head);
            assert!(!is_split(&answer), "{target}: {}\n{}", answer.head, answer.body);
            tried += 1;
        }
    }
    assert_eq!(tried, 13 * 12);
    // Such a hint goes to the provider as it came, as one parameter.
    let request = world
        .begin(
            &world.browser,
            "/auth/login?login_hint=a%0d%0ab%26client_id%3Devil",
        )
        .await;
    assert_eq!(parameters(&request)["login_hint"], "a\r\nb&client_id=evil");
}

fn cookies(count: usize, name: &str, length: usize) -> String {
    let all: Vec<String> = (0..count)
        .map(|number| format!("{name}{number}={}", "A".repeat(length)))
        .collect();
    all.join("; ")
}

/// The prefix of the attempts' cookies, read off one.
async fn attempt_name(world: &World) -> String {
    let browser = world.browser.fresh();
    world.begin(&browser, "/auth/login").await;
    let name = browser.cookies().remove(0).name;
    name[..name.len() - 22].to_owned()
}

pub(crate) async fn cookies_of_any_size_do_not_disturb(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let session = world.browser.session_cookie().await;
    let session = format!("{}={}", session.name, session.value);
    let attempt = attempt_name(&world).await;
    let browser = world.browser.fresh();
    // What a request of up to 64 KiB brings besides does not matter at all, on either framework.
    for (what, junk) in [
        ("four hundred cookies", cookies(400, "c", 8)),
        ("an attempt's cookie of 8 KB", cookies(1, &attempt, 8192)),
        ("seven attempts' cookies of 8 KB", cookies(7, &attempt, 8192)),
        ("three hundred attempts' cookies", cookies(300, &attempt, 150)),
        ("a cookie of 60 KB", cookies(1, "c", 60_000)),
        ("sixty cookies of 1 KB", cookies(60, "c", 1000)),
        ("nothing but separators", ";".repeat(60_000)),
        ("nothing but equals signs", "=".repeat(60_000)),
        ("quotes and commas", "a=\"b,c;\\\"".repeat(6000)),
    ] {
        for cookie in [format!("{junk}; {session}"), format!("{session}; {junk}")] {
            let answer = browser.fetch("/api/ping").header("cookie", &cookie).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, "pong"), "{what}");
        }
        let answer = browser.navigate("/profile").header("cookie", &junk).await;
        assert_eq!(answer.location().path(), "/auth/login", "{what}");
        assert_eq!(
            browser.fetch("/api/ping").header("cookie", &junk).await.status,
            401,
            "{what}"
        );
        let page = browser
            .navigate("/auth/callback?code=x&state=y")
            .header("cookie", &junk)
            .await;
        assert_eq!(page.assert_failure(400..=400), "login.state_unknown", "{what}");
        // A sign-in begins all the same, and its answer is of a size that every proxy takes.
        let begun = browser.navigate("/auth/login").header("cookie", &junk).await;
        begun.assert_redirect();
        let set: usize = begun
            .headers
            .get_all("set-cookie")
            .iter()
            .map(http::HeaderValue::len)
            .sum();
        assert!(set < 6000, "{what}: {set} bytes of cookies are set");
        *browser.jar() = auth_tests::jar::Jar::default();
    }
}

pub(crate) async fn a_sign_in_finds_its_cookie_among_many(stage: Stage) {
    let world = stage.world().await;
    let attempt = attempt_name(&world).await;
    for (what, junk) in [
        ("four hundred cookies", cookies(400, "c", 20)),
        ("a hundred attempts' cookies", cookies(100, &attempt, 300)),
        ("attempts' cookies of 8 KB", cookies(4, &attempt, 8192)),
    ] {
        let browser = world.browser.fresh();
        let request = world.begin(&browser, "/auth/login?return_to=/profile").await;
        let own: Vec<_> = browser
            .cookies()
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let callback = world.approve(&request, "alice").await;
        let sent = format!("{junk}; {}", own.join("; "));
        let answer = browser.navigate(callback.as_str()).header("cookie", &sent).await;
        assert_eq!(
            answer.location().path(),
            "/profile",
            "{what}: {}",
            answer.describe()
        );
        browser.assert_signed_in_as("alice").await;
    }
    // Its own cookie grown beyond reason is no cookie of ours.
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let callback = world.approve(&request, "alice").await;
    let cookie = browser.cookies().remove(0);
    for (value, code) in [
        ("A".repeat(8192), "login.attempt_unreadable"),
        (format!("{0}{0}", cookie.value), "login.attempt_tampered"),
        ("A".repeat(60_000), "login.attempt_unreadable"),
    ] {
        let sent = format!("{}={value}", cookie.name);
        let page = browser.navigate(callback.as_str()).header("cookie", &sent).await;
        assert_eq!(page.assert_failure(400..=400), code);
    }
    world.callback(&browser, &callback).await.assert_redirect();
}

pub(crate) async fn requests_that_are_too_big_are_refused_calmly(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let browser = &world.browser;
    let headers = |count: usize| {
        (0..count).fold(browser.fetch("/api/ping"), |ask, number| {
            ask.header(&format!("x-{number}"), "a")
        })
    };
    let long = "a".repeat(60_000);
    // What a server of either framework does with it: it does not matter, or it is refused with one of these. The limits are the
    // servers' own: axum's takes 400 KB of headers and actix-web's 128 KB, both about a hundred of them.
    let (ignored, refused) = (&[200][..], &[400, 413, 414, 431][..]);
    for (what, ask, statuses) in [
        (
            "a header of 100 KB",
            browser.fetch("/api/ping").header("x-big", &"a".repeat(100_000)),
            ignored,
        ),
        (
            "a header of 300 KB",
            browser.fetch("/api/ping").header("x-big", &"a".repeat(300_000)),
            &[200, 431],
        ),
        (
            "a header of 1 MB",
            browser.fetch("/api/ping").header("x-big", &"a".repeat(1_000_000)),
            refused,
        ),
        (
            "cookies of 1 MB",
            browser.navigate("/").header("cookie", &cookies(1000, "c", 1000)),
            refused,
        ),
        ("eighty headers", headers(80), ignored),
        ("two hundred headers", headers(200), refused),
        (
            "a path of 60 KB",
            browser.navigate(&format!("/profile/{long}")),
            &[404, 414],
        ),
        (
            "a query of 60 KB",
            browser.navigate(&format!("/profile?{long}")),
            ignored,
        ),
        (
            "a return path of 60 KB",
            browser.navigate(&format!("/auth/login?return_to=/{long}")),
            &[303],
        ),
        (
            "a state of 60 KB",
            browser.fresh().navigate(&format!("/auth/callback?state={long}")),
            &[400],
        ),
        (
            "a thousand parameters",
            browser.navigate(&format!("/auth/callback?{}", "a=b&".repeat(1000))),
            &[400],
        ),
        (
            "an error code of 60 KB",
            browser.navigate(&format!("/auth/errors/{long}")),
            &[404],
        ),
        (
            "a form of 1 MB",
            browser
                .request(Method::POST, "/auth/login")
                .form(&[("return_to", &"a".repeat(1_000_000))]),
            &[413],
        ),
        (
            "a method of 500 letters",
            browser.request(Method::from_bytes(&[b'A'; 500]).unwrap(), "/api/ping"),
            &[400, 404, 405],
        ),
    ] {
        // A server may close the connection on what it refuses instead of reading on.
        match ask.attempt().await {
            Ok(answer) => assert!(statuses.contains(&answer.status), "{what}: {}", answer.describe()),
            Err(error) => assert!(statuses != ignored && !error.is_timeout(), "{what}: {error:?}"),
        }
        browser.assert_signed_in_as("alice").await;
    }
}

/// A page: nobody frames it, guesses its type or learns where it was, and it runs nothing (CSP Level 3 §6; Fetch §3.6).
#[track_caller]
fn assert_guarded(page: &Answer, what: &str) {
    page.assert_page();
    let policy = page.header("content-security-policy").unwrap_or_default();
    for directive in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(
            policy.split(';').any(|held| held.trim() == directive),
            "{what}: {directive} is not in {policy:?}"
        );
    }
    assert!(!policy.contains("script-src"), "{what}: {policy}");
    assert_eq!(page.header("x-frame-options").as_deref(), Some("DENY"), "{what}");
    assert_eq!(
        page.header("x-content-type-options").as_deref(),
        Some("nosniff"),
        "{what}"
    );
    let referrer = page.header("referrer-policy").unwrap_or_default();
    assert!(
        matches!(referrer.as_str(), "no-referrer" | "same-origin"),
        "{what}: {referrer}"
    );
    assert!(page.header("access-control-allow-origin").is_none(), "{what}");
}

pub(crate) async fn every_page_is_guarded_by_its_headers(stage: Stage) {
    let world = stage.world().await;
    let stranger = world.browser.fresh();
    for (what, ask) in [
        ("home", stranger.navigate("/")),
        (
            "a failed callback",
            stranger.navigate("/auth/callback?code=x&state=y"),
        ),
        ("a callback with nothing", stranger.navigate("/auth/callback")),
        (
            "an unknown issuer",
            stranger.navigate("/auth/login?iss=https://x.example"),
        ),
        ("a method", stranger.request(Method::PUT, "/auth/login")),
        (
            "an explained code",
            stranger.navigate("/auth/errors/login.state_missing"),
        ),
        ("an unknown code", stranger.navigate("/auth/errors/x")),
    ] {
        assert_guarded(&ask.await, what);
    }
    world.sign_in("alice").await;
    for path in ["/", "/profile", "/dashboard"] {
        assert_guarded(&world.browser.navigate(path).await, path);
    }
    let bob = world.browser.fresh();
    world.sign_in_with(&bob, "bob").await;
    assert_guarded(&bob.navigate("/api/admin").await, "a refusal");
    world.provider.control().apis_go_down().await;
    assert_guarded(&world.browser.navigate("/profile").await, "an outage");
    // What is no page is not taken for one.
    for path in ["/auth/session", "/api/ping"] {
        let answer = stranger.fetch(path).await;
        assert_eq!(
            answer.header("x-content-type-options").as_deref(),
            Some("nosniff"),
            "{path}"
        );
        assert!(answer.header("access-control-allow-origin").is_none(), "{path}");
    }
    // A sign-in under way names its page to nobody.
    let begun = stranger.navigate("/auth/login").await;
    assert_eq!(begun.header("referrer-policy").as_deref(), Some("no-referrer"));
}
