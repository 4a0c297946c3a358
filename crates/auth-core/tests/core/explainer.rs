//! What failures say of themselves: which cause it was, as far as the app can know, and the list of all codes.

use std::fmt::Write as _;
use std::path::Path;

use auth_core::codes::{self, Turn};
use auth_core::config::ResponseMode;
use auth_testing::Client;

use crate::world::{CLIENT, Head, SECRET, World, assert_page, secs};

/// Headers that a browser sends, by their names.
type Headers<'a> = &'a [(&'static str, &'static str)];

const AT_HOME: (&str, &str) = ("host", "127.0.0.1:3000");
const ELSEWHERE: (&str, &str) = ("host", "localhost:3000");
const METADATA: (&str, &str) = ("sec-fetch-site", "cross-site");

/// The code of a callback without the attempt's cookie, and the page's status.
async fn without_cookie(
    world: &World,
    login: Headers<'_>,
    method: &'static str,
    callback: Headers<'_>,
) -> String {
    let browser = world.browser();
    let head = |method, target: &str, headers: Headers<'_>| Head {
        method,
        target: target.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
    };
    let begun = world
        .auth
        .login(browser.request_of(&head("GET", "/auth/login", login)))
        .await;
    let target = browser.approve(&crate::world::location(&begun)).await;
    let mut head = head(method, &target, callback);
    let mut body = Vec::new();
    if method == "POST" {
        head.headers
            .push(("content-type", "application/x-www-form-urlencoded".to_owned()));
        body = target.split_once('?').unwrap().1.as_bytes().to_vec();
    }
    let request = world
        .auth
        .route_request(&head, body, world.auth.session_id(&head));
    let reply = world.auth.callback(request).await;
    assert_eq!(reply.status, 400);
    reply.failure.expect("the page of a failure").code().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_cookie_is_explained_by_what_the_app_can_know() {
    let http = World::start().await;
    let https = World::with(|builder| builder.base_url("https://app.example")).await;
    https
        .control()
        .register(Client::confidential(CLIENT, SECRET).redirect_uri("https://app.example/auth/callback"));
    let blocked = "login.cookies_blocked";
    let other = "login.cookie_other_address";
    let cookie = ("cookie", "theme=dark");
    for (login, callback, expected) in [
        (&[][..], &[][..], blocked),
        (&[AT_HOME], &[AT_HOME], blocked),
        (&[], &[cookie], "login.state_cookie_missing"),
        (&[ELSEWHERE], &[AT_HOME], other),
        (&[ELSEWHERE], &[AT_HOME, cookie], other),
        (&[("host", "127.0.0.1")], &[AT_HOME], other),
        // Whoever changes `Host` on the way does so every time: that says nothing.
        (&[ELSEWHERE], &[ELSEWHERE], blocked),
        (&[AT_HOME], &[ELSEWHERE], blocked),
        (&[], &[AT_HOME], blocked),
        // Over http that is meant, Fetch Metadata says nothing.
        (&[], &[METADATA], blocked),
    ] {
        let found = without_cookie(&http, login, "GET", callback).await;
        assert_eq!(found, expected, "{login:?} {callback:?}");
    }
    for (login, callback, expected) in [
        (&[][..], &[METADATA][..], "login.cookie_http"),
        (&[METADATA], &[METADATA], blocked),
        // An old browser.
        (&[], &[], blocked),
        (&[METADATA], &[], blocked),
        (&[ELSEWHERE], &[("host", "APP.example"), METADATA], other),
    ] {
        let found = without_cookie(&https, login, "GET", callback).await;
        assert_eq!(found, expected, "{login:?} {callback:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_site_explains_a_missing_lax_cookie() {
    let lax = World::with(|builder| builder.response_mode(ResponseMode::FormPost)).await;
    let none = World::with(|builder| {
        builder
            .base_url("https://app.example")
            .response_mode(ResponseMode::FormPost)
    })
    .await;
    none.control()
        .register(Client::confidential(CLIENT, SECRET).redirect_uri("https://app.example/auth/callback"));
    let same_site = "login.cookie_same_site";
    let blocked = "login.cookies_blocked";
    let id = ("origin", "https://id.example");
    for (headers, expected) in [
        (&[METADATA][..], same_site),
        (&[id], same_site),
        (&[("origin", "null")], same_site),
        (&[("sec-fetch-site", "same-site"), id], blocked),
        (&[("origin", crate::world::BASE)], blocked),
    ] {
        assert_eq!(form_without_cookie(&lax, headers).await, expected, "{headers:?}");
    }
    // There the cookie is `SameSite=None`.
    let found = form_without_cookie(&none, &[METADATA]).await;
    assert_ne!(found, same_site);
}

/// As [`without_cookie`], where the provider answers with a form.
async fn form_without_cookie(world: &World, headers: &[(&'static str, &str)]) -> String {
    let browser = world.browser();
    let begun = world.auth.login(browser.request("GET", "/auth/login")).await;
    let approval = world
        .provider
        .approve(&crate::world::location(&begun), "ada")
        .await
        .unwrap();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(approval.form.unwrap())
        .finish();
    let mut head = Head {
        method: "POST",
        target: "/auth/callback".to_owned(),
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
    };
    for (name, value) in headers {
        head.headers.push((name, (*value).to_owned()));
    }
    let request = world.auth.route_request(&head, form.into_bytes(), None);
    let reply = world.auth.callback(request).await;
    reply.failure.expect("the page of a failure").code().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_of_somebody_else_and_a_changed_cookie_are_told_apart() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let target = browser.approve(&url).await;
    let state = target
        .split(['?', '&'])
        .find_map(|pair| pair.strip_prefix("state="))
        .unwrap();
    let (random, sealed) = state.split_once('.').unwrap();
    let other = world.browser().begin("/").await;
    let other = other
        .split(['?', '&'])
        .find_map(|pair| pair.strip_prefix("state="))
        .unwrap()
        .to_owned();
    for forged in [
        "x".to_owned(),
        ".".to_owned(),
        random.to_owned(),
        format!("{random}."),
        format!("{random}x.{sealed}"),
        // The beginning of another sign-in.
        format!("{random}.{}", other.split_once('.').unwrap().1),
    ] {
        let target = format!("/auth/callback?code=x&state={forged}");
        assert_page(&browser.callback(&target).await, 400, "login.state_unknown");
    }
    for value in browser.cookies.values_mut() {
        let last = if value.ends_with('A') { 'B' } else { 'A' };
        let middle = value.len() / 2;
        value.replace_range(middle..=middle, &last.to_string());
    }
    assert_page(&browser.callback(&target).await, 400, "login.attempt_tampered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_whose_cookie_went_with_its_time_has_expired() {
    let world = World::start().await;
    for (age, expected) in [
        (15 * 60 - 1, "login.cookies_blocked"),
        (15 * 60, "login.attempt_expired"),
        (3600, "login.attempt_expired"),
    ] {
        let mut browser = world.browser();
        let url = browser.begin("/").await;
        let target = browser.approve(&url).await;
        browser.cookies.clear();
        world.clock.advance(secs(age));
        assert_page(&browser.callback(&target).await, 400, expected);
    }
}

/// `docs/errors.md` says what the code says.
#[test]
fn the_documentation_lists_every_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let expected = documentation();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/errors.md is not what the code says; write it anew with\n\
         UPDATE_DOCS=1 cargo test -p auth-core --all-features --test core the_documentation_lists_every_code"
    );
}

fn documentation() -> String {
    let mut text = "# What can go wrong\n\n\
        Every failure has a code that stays the same. A page for people, the `application/problem+json` for programs and the\n\
        log name it; `/auth/errors/<code>` explains it, with the settings as they are. This page is made from\n\
        `crates/auth-core/src/codes`, and a test holds the two equal.\n"
        .to_owned();
    let mut area = "";
    for explanation in codes::all() {
        if explanation.area() != area {
            area = explanation.area();
            write!(text, "\n## {area}\n").unwrap();
        }
        let turn = match explanation.turn {
            Turn::User => "the user",
            other => other.who(),
        };
        write!(
            text,
            "\n### `{}`\n\n**{}.** {}\n\n* Whose turn it is: {turn}.\n* The user: {}\n",
            explanation.code, explanation.title, explanation.cause, explanation.mend
        )
        .unwrap();
        for (turn, step) in explanation.others() {
            let who = turn.who();
            writeln!(text, "* {}{}: {step}", who[..1].to_uppercase(), &who[1..]).unwrap();
        }
    }
    text
}
