//! What went wrong in comparable software, tried here. `docs/other-peoples-mistakes.md` says which advisory each case is for; cases of other
//! modules cover the rest of them.

use std::time::{Duration, Instant};

use auth_testing::Endpoint;
use auth_tests::stage::BASE;
use auth_tests::{Answer, Site, Stage, World};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

/// Where redirects of others led: to `evil.example`, by one browser or another.
const DESTINATIONS: [&str; 30] = [
    // oauth2-proxy: CVE-2020-5233, CVE-2020-11053, CVE-2020-4037
    "/\\evil.example",
    "/\u{a}/evil.example",
    "/\u{b}/evil.example",
    "/\u{9}/evil.example",
    "/\u{d}/evil.example",
    "/\u{9}\\evil.example",
    "/ /evil.example",
    "/./\\evil.example",
    "/./../../\\evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/%09/evil.example/..//evil.example",
    // oauth2-proxy: CVE-2021-21291; next-auth: CVE-2022-24858
    "http://127.0.0.1:3000.evil.example/",
    "http://127.0.0.1:3000@evil.example/",
    "http://127.0.0.1:30001/",
    "http://evil.example/127.0.0.1:3000",
    // mod_auth_openidc: CVE-2019-14857, CVE-2019-20479, CVE-2021-32786, CVE-2021-39191, CVE-2022-23527
    "///evil.example",
    "////evil.example",
    "/\\/evil.example",
    "\\/\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "\u{9}//evil.example",
    // better-auth: CVE-2024-56734, CVE-2025-27143, CVE-2025-53535
    "//evil.example",
    "evil.example",
    "/\\/\\/evil.example",
    "javascript:alert(1)",
    "data:text/html,evil",
    "https://evil.example/",
];

/// Paths that some routers take for `path` and some gates do not.
fn variants(path: &str) -> Vec<String> {
    let rest = path.trim_start_matches('/');
    let (first, others) = rest.split_at(1);
    let encoded = format!("/%{:02x}{others}", first.as_bytes()[0]);
    vec![
        path.to_owned(),
        // better-auth: GHSA-x732-6j76-qmhm
        format!("/{path}"),
        format!("//{path}"),
        path.replacen("/api/", "/api//", 1),
        encoded,
        path.to_uppercase(),
        format!("{path}/"),
        format!("/healthz/..{path}"),
        format!("/healthz/..%2f{rest}"),
        format!("/healthz%2f..{path}"),
        format!("{path};/healthz"),
        format!("{path}.css"),
        format!("{path}/x.css"),
        format!("{path}%00"),
        format!("{path}%20"),
        // oauth2-proxy: CVE-2025-54576
        format!("{path}?/healthz"),
        format!("{path}?x=/auth/login"),
        format!("{path}%3f/healthz"),
        format!("{path}%23/healthz"),
    ]
}

/// Headers in which others have believed who asks, and for what.
const HEADERS: [(&str, &str); 20] = [
    // oauth2-proxy: CVE-2026-40575
    ("x-forwarded-uri", "/healthz"),
    ("x-original-uri", "/healthz"),
    ("x-original-url", "/healthz"),
    ("x-rewrite-url", "/healthz"),
    ("x-forwarded-method", "OPTIONS"),
    ("x-http-method-override", "OPTIONS"),
    // oauth2-proxy: CVE-2025-64484
    ("x-forwarded-user", "alice"),
    ("x_forwarded_user", "alice"),
    ("x-forwarded-email", "alice@example.com"),
    ("x_forwarded_email", "alice@example.com"),
    ("x-forwarded-access-token", "a-token"),
    ("x-auth-request-user", "alice"),
    ("x-remote-user", "alice"),
    ("remote_user", "alice"),
    // mod_auth_openidc: CVE-2017-6413
    ("oidc_claim_sub", "alice"),
    ("oidc-claim-sub", "alice"),
    ("oidc_access_token", "a-token"),
    // better-auth: CVE-2025-61928
    ("x-user-id", "alice"),
    (
        "authorization",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
    ),
    ("authorization", "Basic YWxpY2U6YWxpY2U="),
];

/// Neither the handler nor anything that it would have shown.
fn nothing_came_of_it(answer: &Answer, what: &str) {
    assert_ne!(answer.status, 200, "{what}: {}", answer.describe());
    assert!(answer.status < 500, "{what}: {}", answer.describe());
    for shown in ["pong", "admin", "alice", "userName"] {
        // The problem document and the sign-in page name the path at most.
        assert!(
            !answer.body.contains(shown) || answer.body.contains("/auth/"),
            "{what}: {}",
            answer.describe()
        );
    }
}

pub(crate) async fn return_paths_that_fooled_others_stay_on_this_origin(stage: Stage) {
    let world = stage.world().await;
    let issuer = world.provider.issuer().to_owned();
    for (number, destination) in DESTINATIONS.into_iter().enumerate() {
        let query = if number % 2 == 0 {
            [("return_to", destination), ("login_hint", "alice")]
        } else {
            [("iss", issuer.as_str()), ("target_link_uri", destination)]
        };
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let browser = world.browser.fresh();
        let request = world.begin(&browser, &format!("/auth/login?{query}")).await;
        let answer = world.finish(&browser, &request, "alice").await;
        let landing = answer.location();
        assert_eq!(
            landing.origin(),
            browser.base().origin(),
            "{destination:?} leads to {landing}"
        );
        // No browser reads it as another origin, whatever stands before it.
        let text = answer.header("location").unwrap();
        assert!(
            text.starts_with('/') && !text[1..].starts_with(['/', '\\', '\t', '\n', '\r']),
            "{destination:?} becomes {text:?}"
        );
    }
    // A path of ours that cannot be parsed does not stop the sign-in: next-auth, CVE-2022-31093.
    for odd in ["%", "http://[", "%ff%fe", "/%zz", "https://%00"] {
        let browser = world.browser.fresh();
        let request = world
            .begin(&browser, &format!("/auth/login?return_to={odd}"))
            .await;
        world.finish(&browser, &request, "alice").await.assert_redirect();
        browser.assert_signed_in_as("alice").await;
    }
}

pub(crate) async fn no_path_query_or_header_opens_a_protected_route(stage: Stage) {
    let world = stage.world().await;
    for path in ["/api/ping", "/api/admin", "/api/me", "/profile"] {
        for variant in variants(path) {
            let url = format!("{BASE}{variant}");
            let answer = world.browser.fetch(&url).await;
            nothing_came_of_it(&answer, &variant);
        }
    }
    for (name, value) in HEADERS {
        let answer = world.browser.fetch("/api/me").header(name, value).await;
        answer.assert_problem(401);
        let answer = world.browser.fetch("/api/admin").header(name, value).await;
        answer.assert_problem(401);
    }
    for query in ["userId=alice", "sub=alice&user=alice", "access_token=a-token"] {
        let answer = world.browser.fetch(&format!("/api/me?{query}")).await;
        answer.assert_problem(401);
        let answer = world.browser.script(Method::POST, "/api/revoke");
        let fields: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        answer.form(&fields).await.assert_problem(401);
    }
    // No handler has run: mod_auth_openidc, CVE-2025-31492, sent what it had made beside the way to the provider.
    let page = world.browser.navigate("/profile").await;
    page.assert_redirect();
    assert!(!page.body.contains("example.com"), "{}", page.body);
    for path in ["/scim2/Me", "/users/me", "/organizations"] {
        assert_eq!(world.provider.control().count(Endpoint::Api(path)), 0, "{path}");
    }

    // Who is signed in stays who they are.
    world.sign_in("bob").await;
    for (name, value) in HEADERS {
        let answer = world.browser.fetch("/api/me").header(name, value).await;
        assert_eq!(answer.assert_status(200).json()["userName"], "bob", "{name}");
        let answer = world.browser.fetch("/api/admin").header(name, value).await;
        assert_eq!(answer.status, 403, "{name}: {}", answer.describe());
    }
}

pub(crate) async fn what_is_sealed_for_one_purpose_opens_for_no_other(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let session = world.browser.session_cookie().await;
    let thief = world.browser.fresh();
    let request = world.begin(&thief, "/auth/login").await;
    let attempt = thief.cookies().into_iter().next().expect("an attempt's cookie");
    // next-auth, CVE-2023-48309: what a sign-in under way leaves in the browser was taken for a session.
    let state = request
        .query_pairs()
        .find(|(name, _)| name == "state")
        .map(|(_, value)| value.into_owned())
        .unwrap();
    for value in [attempt.value.as_str(), &state, "null", "{}", "0", "undefined"] {
        let answer = thief
            .fetch("/api/ping")
            .header("cookie", &format!("{}={value}", session.name))
            .await;
        assert_eq!(answer.status, 401, "{}", answer.describe());
    }
    // And the other way round: a session is no attempt.
    let callback = world.approve(&request, "alice").await;
    let answer = thief
        .navigate(callback.as_str())
        .header("cookie", &format!("{}={}", attempt.name, session.value))
        .site(Site::CrossSite)
        .await;
    answer.assert_failure(400..=499);
    assert_eq!(
        world.provider.control().count(Endpoint::Token),
        1,
        "only alice's code was redeemed"
    );
}

pub(crate) async fn cookies_and_bodies_that_stopped_others_are_answered_calmly(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let name = world.browser.session_cookie().await.name;
    let began = Instant::now();
    let browser = world.browser.fresh();
    for cookie in [
        // mod_auth_openidc: CVE-2023-28625
        String::new(),
        "=".to_owned(),
        ";".to_owned(),
        ";;; ; =;=".to_owned(),
        // mod_auth_openidc: CVE-2024-24814
        format!("{name}_chunks=99999999"),
        format!("{name}_chunks=99999999; {name}=x; {name}.0=x; {name}.99999999=x"),
        format!("{name}={}", "9".repeat(4000)),
        format!("{name}={}", vec!["a"; 500].join("; a=")),
    ] {
        let value = HeaderValue::from_str(&cookie).unwrap();
        let answer = browser.fetch("/api/ping").raw_header("cookie", value).await;
        assert_eq!(answer.status, 401, "{cookie:?}: {}", answer.describe());
    }
    // mod_auth_openidc: CVE-2025-3891, and CVE-2021-32792, where what was posted came back in a page
    for path in ["/profile", "/api/me", "/auth/callback", "/auth/login", "/note"] {
        for content_type in [
            None,
            Some(""),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data"),
        ] {
            for fields in [
                &[][..],
                &[("<script>alert(1)</script>", "</script><script>alert(1)</script>")],
            ] {
                let mut ask = browser.submit(path, fields);
                ask = match content_type {
                    None => ask.without("content-type"),
                    Some(content_type) => ask.header("content-type", content_type),
                };
                let answer = ask.await;
                assert!(
                    (300..500).contains(&answer.status),
                    "{path} as {content_type:?}: {}",
                    answer.describe()
                );
                assert!(!answer.body.contains("<script>"), "{path}: {}", answer.body);
            }
        }
    }
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        began.elapsed()
    );
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn tokens_that_stopped_others_are_refused_in_time(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    let refused = async |what: &str| {
        let began = Instant::now();
        let browser = world.browser.fresh();
        let request = world.begin(&browser, "/auth/login").await;
        world
            .finish(&browser, &request, "alice")
            .await
            .assert_failure(400..=599);
        browser.assert_signed_out().await;
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{what}: {:?}",
            began.elapsed()
        );
    };
    // Authlib, CVE-2025-61920: segments of any size were decoded. The whole answer is limited, and the token before it is decoded.
    for size in [300_000, 2_000_000] {
        control.tamper_token_response(move |answer| {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "x": "x".repeat(size)}).to_string());
            answer.insert("id_token".to_owned(), Value::from(format!("{header}.e30.AA")));
        });
        refused("a huge header").await;
        control.tamper_token_response(move |answer| {
            let signature = "A".repeat(size);
            answer.insert(
                "id_token".to_owned(),
                Value::from(format!("eyJhbGciOiJSUzI1NiJ9.e30.{signature}")),
            );
        });
        refused("a huge signature").await;
    }
    // Authlib, CVE-2025-62706: an encrypted token that says `zip` was inflated without an end. Nothing encrypted is opened here.
    for header in [
        json!({"alg": "dir", "enc": "A128GCM", "zip": "DEF"}),
        json!({"alg": "RSA-OAEP", "enc": "A256GCM", "zip": "DEF"}),
    ] {
        control.tamper_token_response(move |answer| {
            let header = URL_SAFE_NO_PAD.encode(header.to_string());
            answer.insert(
                "id_token".to_owned(),
                Value::from(format!("{header}..AAAA.AAAA.AAAA")),
            );
        });
        refused("an encrypted token").await;
    }
}

pub(crate) async fn cross_site_posts_are_refused_whatever_their_content_type(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let cookie = world.browser.session_cookie().await;
    let sent = format!("{}={}", cookie.name, cookie.value);
    // Hono: CVE-2024-43787, CVE-2024-48913
    for content_type in [
        None,
        Some("Application/x-www-form-urlencoded"),
        Some("text/plain"),
        Some("application/json"),
        Some("multipart/form-data; boundary=x"),
        Some(""),
        Some("nonsense"),
    ] {
        for path in ["/auth/logout", "/api/revoke", "/note"] {
            for site in [Site::CrossSite, Site::SameSite] {
                let mut ask = world
                    .browser
                    .submit(path, &[("text", "of another site")])
                    .site(site);
                ask = match content_type {
                    None => ask.without("content-type"),
                    Some(content_type) => ask.header("content-type", content_type),
                };
                let answer = ask.header("cookie", &sent).await;
                assert_eq!(
                    answer.status,
                    403,
                    "{path} as {content_type:?}: {}",
                    answer.describe()
                );
            }
        }
    }
    assert_eq!(world.provider.control().count(Endpoint::Revoke), 0);
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn nothing_of_a_query_comes_back_in_a_page(stage: Stage) {
    let world = stage.world().await;
    let marks = [
        "<img src=x onerror=alert(1)>",
        "\"><script>alert(1)</script>",
        "'-alert(1)-'",
    ];
    let names = [
        "error",
        "error_description",
        "error_uri",
        "state",
        "code",
        "iss",
        "return_to",
        "login_hint",
        "target_link_uri",
        "message",
    ];
    // nextjs-auth0, CVE-2021-32702: `error` came back as HTML.
    let request = world.begin(&world.browser, "/auth/login").await;
    let good = world.approve(&request, "alice").await;
    let state = good
        .query_pairs()
        .find(|(name, _)| name == "state")
        .map(|(_, value)| value.into_owned())
        .unwrap();
    for mark in marks {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(names.map(|name| (name, mark)));
        let query = query.finish();
        let with_state = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("error", mark),
                ("error_description", mark),
                ("error_uri", mark),
                ("state", &state),
            ])
            .finish();
        for path in [
            format!("/?{query}"),
            format!("/auth/callback?{query}"),
            format!("/auth/callback?{with_state}"),
            format!("/auth/login?{query}"),
            format!("/auth/errors/x?{query}"),
            format!(
                "/auth/errors/{}",
                url::form_urlencoded::byte_serialize(mark.as_bytes()).collect::<String>()
            ),
            format!("/no-such-page?{query}"),
        ] {
            for ask in [world.browser.navigate(&path), world.browser.fetch(&path)] {
                let answer = ask.await;
                for part in ["onerror", "<script", "alert(1)"] {
                    assert!(!answer.body.contains(part), "{path}: {}", answer.body);
                }
            }
        }
    }
    world.browser.assert_signed_out().await;
}

pub(crate) async fn every_answer_that_sets_a_cookie_or_redirects_may_not_be_stored(stage: Stage) {
    // nextjs-auth0, CVE-2025-48947; sqlpage/SQLPage#1344, where a stored redirect brought an old `state` back.
    let world = stage.world().await;
    let check = |answer: &Answer| {
        if answer.headers.contains_key("set-cookie") || answer.headers.contains_key("location") {
            answer.assert_no_store();
        }
        assert!(answer.header("expires").is_none(), "{}", answer.describe());
    };
    let request = {
        let answer = world.browser.navigate("/auth/login?return_to=/profile").await;
        check(&answer);
        answer.location()
    };
    let callback = world.approve(&request, "alice").await;
    check(&world.callback(&world.browser, &callback).await);
    check(&world.callback(&world.browser, &callback).await);
    for path in [
        "/",
        "/profile",
        "/dashboard",
        "/api/me",
        "/auth/session",
        "/auth/login",
        "/healthz",
    ] {
        check(&world.browser.navigate(path).await);
        check(&world.browser.fetch(path).await);
    }
    check(&world.browser.submit("/note", &[("text", "hello")]).await);
    check(&world.browser.navigate("/").await);
    check(&world.browser.submit("/auth/logout", &[]).await);
    check(&world.browser.navigate("/profile").await);
}

pub(crate) async fn users_at_the_same_time_are_given_their_own_tokens(stage: Stage) {
    // nextjs-auth0, CVE-2025-67490 and CVE-2026-40155: the results of token requests under way at once were mixed up.
    let world = stage.world().await;
    let control = world.provider.control();
    let users = ["alice", "bob"];
    let mut browsers = Vec::new();
    for user in users {
        control.next_access_token_lifetime(Duration::ZERO);
        let browser = world.browser.fresh();
        world.sign_in_with(&browser, user).await;
        browsers.push((user, browser));
    }
    let hold = control.hold_answer(Endpoint::Token);
    let asked = futures_util::future::join_all((0..20).map(|number| {
        let (user, browser) = &browsers[number % users.len()];
        async move { (*user, browser.fetch("/api/me").await) }
    }));
    let ((), answers) = futures_util::future::join(
        async {
            hold.waiting(users.len()).await.expect("both users refresh");
            hold.release();
        },
        asked,
    )
    .await;
    for (user, answer) in answers {
        assert_eq!(answer.assert_status(200).json()["userName"], user);
    }
    assert_eq!(control.refresh_count(), 2, "one refresh for each user");
}

// RP-Initiated Logout 1.0 §3
pub(crate) async fn a_sign_out_leads_where_the_settings_say(stage: Stage) {
    // mod_auth_openidc, CVE-2019-14857 and CVE-2021-32786: the sign-out led wherever its query said.
    let world: World = stage.signed_in("alice").await;
    for field in [
        "return_to",
        "redirect_uri",
        "post_logout_redirect_uri",
        "logout",
        "target_link_uri",
    ] {
        world.sign_in("alice").await;
        let answer = world
            .browser
            .submit(
                &format!("/auth/logout?{field}=https://evil.example/"),
                &[(field, "//evil.example")],
            )
            .await;
        let location = answer.location();
        assert_eq!(
            location.origin().ascii_serialization(),
            world.provider.issuer(),
            "{field}: {location}"
        );
        let back: Vec<_> = location
            .query_pairs()
            .filter(|(name, _)| name == "post_logout_redirect_uri")
            .map(|(_, value)| value.into_owned())
            .collect();
        assert_eq!(back, [format!("{BASE}/")], "{field}");
        assert!(!location.as_str().contains("evil"), "{location}");
    }
}
