//! What both adapters do alike.

use std::time::{Duration, Instant};

use auth_core::SignInProvider;
use auth_core::config::ResponseMode;
use auth_testing::{Endpoint, Fault};
use reqwest::Method;

use crate::app;
use crate::world::{Carrier, World};

const CARRIERS: [Carrier; 5] = [
    Carrier::Cookie,
    Carrier::CookieBesideSession,
    Carrier::FrameworkSession,
    Carrier::CookieBesideAppSession,
    Carrier::AppSession,
];

const APP_SESSIONS: [Carrier; 2] = [Carrier::CookieBesideAppSession, Carrier::AppSession];

#[tokio::test]
async fn a_user_signs_in_and_out_with_every_carrier() {
    for carrier in CARRIERS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();

        let answer = browser.sign_in("/nested/deep/page?tab=2").await;
        assert_eq!(answer.header("location"), "/nested/deep/page?tab=2");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(browser.script("/me").await.body, "ada", "{carrier:?}");
        let session = browser.script("/auth/session").await.json();
        assert_eq!(session["authenticated"], true);
        assert_eq!(session["user"]["sub"], "ada");

        let old = browser.cookies.clone();
        let answer = browser.post("/auth/logout").await;
        assert_eq!(answer.status, 303);
        assert!(answer.header("location").starts_with(world.provider.issuer()));
        assert_eq!(
            browser.script("/auth/session").await.json()["authenticated"],
            false
        );
        // Whoever kept the cookies is signed out, too.
        browser.cookies = old;
        assert_eq!(browser.script("/me").await.status, 401, "{carrier:?}");
    }
}

#[tokio::test]
async fn every_sign_in_makes_a_new_identifier_and_ends_the_old_session() {
    for carrier in CARRIERS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        browser.sign_in("/").await;
        let old = browser.cookies.clone();
        browser.sign_in("/").await;
        assert_eq!(browser.script("/me").await.status, 200);
        assert_ne!(browser.cookies, old);
        browser.cookies = old;
        assert_eq!(browser.script("/me").await.status, 401, "{carrier:?}");
    }
}

#[tokio::test]
async fn the_cookie_is_http_only_lax_and_of_the_whole_origin() {
    let world = World::start(Carrier::Cookie).await;
    let answer = world.browser().sign_in("/").await;
    let line = answer
        .set_cookies()
        .find(|line| !line.contains("Max-Age=0"))
        .unwrap();
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(line.contains(attribute), "{attribute} is missing");
    }
}

#[tokio::test]
async fn the_apps_own_session_is_renewed_at_sign_in_and_ends_with_the_user() {
    for carrier in [Carrier::CookieBesideSession, Carrier::FrameworkSession] {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        browser.post("/flash").await;
        let before = browser.cookies["id"].clone();
        browser.sign_in("/").await;
        assert_ne!(browser.cookies["id"], before, "{carrier:?}");
        assert_eq!(browser.script("/flash").await.body, "saved");
        browser.post("/auth/logout").await;
        assert_eq!(browser.script("/flash").await.body, "none", "{carrier:?}");
    }
}

#[tokio::test]
async fn an_app_session_is_renewed_at_sign_in_and_ends_with_the_user() {
    for carrier in APP_SESSIONS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        browser.post("/flash").await;
        let guest = browser.cookies.clone();
        let signed_in = browser.sign_in("/").await;
        assert_ne!(
            browser.cookies["app_session"], guest["app_session"],
            "{carrier:?}"
        );
        assert_eq!(browser.script("/flash").await.body, "saved");
        let user = browser.cookies.clone();
        let signed_out = browser.post("/auth/logout").await;
        assert!(browser.cookies.is_empty(), "{carrier:?}");
        for line in signed_in.set_cookies().chain(signed_out.set_cookies()) {
            for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age="] {
                assert!(line.contains(attribute), "{attribute} is missing in {line}");
            }
        }
        for old in [guest, user] {
            browser.cookies = old;
            assert_eq!(browser.script("/flash").await.body, "none", "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn a_switch_gives_the_browser_a_new_identifier_and_keeps_the_apps_own_session() {
    for carrier in CARRIERS {
        for (path, status) in [("/switch", 200), ("/switch-and-fail", 403)] {
            let world = World::start(carrier).await;
            let mut browser = world.browser();
            assert_eq!(browser.post(path).await.status, 401, "{carrier:?}");
            browser.sign_in("/").await;
            let has_own = carrier != Carrier::Cookie;
            if has_own {
                assert_eq!(browser.post("/flash").await.status, 204);
            }
            assert_eq!(browser.script("/organization").await.body, "none");
            let old = browser.cookies.clone();
            let answer = browser.post(path).await;
            assert_eq!(answer.status, status, "{carrier:?} {path}: {}", answer.body);
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_ne!(browser.cookies, old, "{carrier:?} {path}");
            assert_eq!(
                browser.script("/organization").await.body,
                "org-7",
                "{carrier:?} {path}"
            );
            if has_own {
                assert_eq!(browser.script("/flash").await.body, "saved", "{carrier:?} {path}");
            }
            // The old identifier lets nobody in.
            browser.cookies = old;
            assert_eq!(browser.script("/me").await.status, 401, "{carrier:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_switch_that_is_refused_changes_nothing() {
    for carrier in CARRIERS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        browser.sign_in("/").await;
        let before = browser.cookies.clone();
        let refused = Fault::oauth(400, "invalid_grant");
        world.provider.control().fail_next(Endpoint::Token, 1, refused);
        let answer = browser.post("/switch").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "grant.refused"));
        assert_eq!(browser.cookies, before, "{carrier:?}");
        assert_eq!(browser.script("/organization").await.body, "none");
    }
}

#[tokio::test]
async fn a_late_write_brings_no_session_back_and_leaves_the_cookie_alone() {
    for carrier in APP_SESSIONS {
        for ending in ["sign-out", "sign-in"] {
            let world = World::start(carrier).await;
            let mut browser = world.browser();
            browser.sign_in("/").await;
            browser.post("/flash").await;
            let mut slow = world.browser();
            slow.cookies = browser.cookies.clone();
            let held = world.store.hold_updates().await;
            let (late, ()) = tokio::join!(slow.post_text("/flash", "late"), async {
                world.store.update_is_held().await;
                match ending {
                    "sign-out" => drop(browser.post("/auth/logout").await),
                    _ => drop(browser.sign_in("/").await),
                }
                drop(held);
            });
            assert_eq!(late.status, 204, "{carrier:?} {ending}");
            assert_eq!(late.set_cookies().count(), 0, "{carrier:?} {ending}");
            assert_eq!(slow.script("/flash").await.body, "none", "{carrier:?} {ending}");
            assert_eq!(slow.script("/me").await.status, 401, "{carrier:?} {ending}");
            // Nor does a look at the old session take the new one's cookie away.
            assert_eq!(slow.script("/flash").await.set_cookies().count(), 0);
        }
    }
}

#[tokio::test]
async fn a_note_whose_body_comes_late_is_nobody_elses() {
    for has_session in [false, true] {
        for ending in ["sign-out", "another user"] {
            let world = World::start(Carrier::CookieBesideAppSession).await;
            let mut browser = world.browser();
            browser.sign_in("/").await;
            if has_session {
                browser.post("/flash").await;
            }
            let stalled = browser.stall("/flash").await;
            match ending {
                "sign-out" => drop(browser.post("/auth/logout").await),
                _ => drop(browser.sign_in_as("bob").await),
            }
            browser.finish(stalled).await;
            assert_eq!(browser.script("/flash").await.body, "none", "{ending}");
            let mut guest = world.browser();
            guest.cookies = browser.cookies.clone();
            guest.cookies.retain(|name, _| name == "app_session");
            assert_eq!(guest.script("/flash").await.body, "none", "{ending}");
            browser.sign_in_as("bob").await;
            assert_eq!(browser.script("/flash").await.body, "none", "{ending}");
        }
    }
}

#[tokio::test]
async fn a_late_note_is_not_seen_after_a_sign_in_that_did_not_end_the_old_one() {
    let world = World::start_with(Carrier::CookieBesideAppSession, ResponseMode::FormPost).await;
    let mut browser = world.browser();
    browser.sign_in_by_form("ada").await;
    browser.post("/flash").await;
    assert_eq!(browser.script("/flash").await.body, "saved");
    let stalled = browser.stall("/flash").await;
    browser.sign_in_by_form("bob").await;
    assert_eq!(browser.script("/me").await.body, "bob");
    assert_eq!(browser.script("/flash").await.body, "none");
    browser.finish(stalled).await;
    assert_eq!(browser.script("/flash").await.body, "none");
}

#[tokio::test]
async fn what_a_guest_or_the_same_user_left_is_taken_over_and_no_one_elses() {
    for carrier in APP_SESSIONS {
        for cleared in [false, true] {
            let world = World::start(carrier).await;
            let mut browser = world.browser();
            browser.post("/flash").await;
            browser.sign_in_as("ada").await;
            assert_eq!(browser.script("/flash").await.body, "saved", "{carrier:?}");
            if cleared && carrier == Carrier::CookieBesideAppSession {
                browser.post("/clear").await;
                assert_eq!(browser.script("/flash").await.body, "none", "{carrier:?}");
            }
            browser.post_text("/flash", "of ada").await;
            browser.sign_in_as("ada").await;
            assert_eq!(browser.script("/flash").await.body, "of ada", "{carrier:?}");
            browser.sign_in_as("bob").await;
            assert_eq!(browser.script("/flash").await.body, "none", "{carrier:?}");
            browser.sign_in_as("ada").await;
            assert_eq!(browser.script("/flash").await.body, "none", "{carrier:?}");
        }
    }
}

#[tokio::test]
async fn what_was_left_under_a_sign_in_that_is_over_is_taken_over_by_nobody() {
    for carrier in APP_SESSIONS {
        for next in ["ada", "bob"] {
            let world = World::start(carrier).await;
            let mut browser = world.browser();
            browser.sign_in("/").await;
            browser.post("/flash").await;
            world.clock.advance(Duration::from_secs(8 * 3600 + 60));
            assert_eq!(browser.script("/me").await.status, 401, "{carrier:?}");
            browser.sign_in_as(next).await;
            assert_eq!(browser.script("/flash").await.body, "none", "{carrier:?} {next}");
        }
    }
}

#[tokio::test]
async fn a_sign_in_makes_no_app_session_where_there_is_nothing_to_keep() {
    let world = World::start(Carrier::CookieBesideAppSession).await;
    let mut browser = world.browser();
    for user in ["ada", "ada", "bob"] {
        browser.sign_in_as(user).await;
        assert!(!browser.cookies.contains_key("app_session"), "{user}");
    }
    // Nor where another user's has ended.
    browser.post("/flash").await;
    browser.sign_in_as("ada").await;
    assert!(!browser.cookies.contains_key("app_session"));
}

#[tokio::test]
async fn an_app_session_that_is_too_large_is_413() {
    for carrier in APP_SESSIONS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        for _ in ["without a session", "with one"] {
            let answer = browser.post("/huge").await;
            assert_eq!(answer.status, 413, "{carrier:?}");
            assert_eq!(answer.set_cookies().count(), 0);
            browser.post("/flash").await;
        }
        assert_eq!(browser.script("/flash").await.body, "saved", "{carrier:?}");
    }
}

#[tokio::test]
async fn a_request_of_another_site_leaves_nothing_in_an_app_session() {
    for carrier in APP_SESSIONS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        let headers = [("origin", "https://evil.example")];
        let answer = browser.send(Method::POST, "/flash", &headers, "evil").await;
        assert_eq!(answer.set_cookies().count(), 0, "{carrier:?}");
        browser.post("/flash").await;
        let answer = browser.send(Method::POST, "/flash", &headers, "evil").await;
        assert_eq!(answer.set_cookies().count(), 0, "{carrier:?}");
        assert_eq!(browser.script("/flash").await.body, "saved", "{carrier:?}");
    }
}

#[tokio::test]
async fn a_cookie_that_names_no_app_session_is_left_alone_until_the_sign_out() {
    for carrier in APP_SESSIONS {
        for garbage in ["garbage", "AAAAAAAAAAAAAAAAAAAAAA", ""] {
            let world = World::start(carrier).await;
            let mut browser = world.browser();
            browser
                .cookies
                .insert("app_session".to_owned(), garbage.to_owned());
            for path in ["/", "/me", "/flash", "/auth/session", "/nowhere"] {
                let answer = browser.script(path).await;
                assert_eq!(answer.set_cookies().count(), 0, "{carrier:?} {path}");
            }
            let answer = browser.post("/auth/logout").await;
            let lines: Vec<_> = answer
                .set_cookies()
                .filter(|line| line.starts_with("app_session="))
                .collect();
            assert_eq!(
                lines,
                ["app_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"],
                "{carrier:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_app_session_that_cannot_be_read_is_none() {
    for carrier in APP_SESSIONS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        browser.post("/flash").await;
        let cookie = &browser.cookies["app_session"];
        // actix-session's cookie begins with a signature.
        let id = &cookie[cookie.len().saturating_sub(43)..];
        let sessions = world.auth.app_sessions().unwrap();
        let hour = Duration::from_secs(3600);
        assert!(sessions.update(id, b"no entries", hour).await.unwrap());
        assert_eq!(browser.script("/flash").await.body, "none", "{carrier:?}");
        browser.post("/flash").await;
        assert_eq!(browser.script("/flash").await.body, "saved", "{carrier:?}");
    }
}

#[tokio::test]
async fn an_app_session_ends_by_itself() {
    for carrier in APP_SESSIONS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        browser.post("/flash").await;
        world.clock.advance(Duration::from_secs(7 * 24 * 3600 - 60));
        assert_eq!(browser.script("/flash").await.body, "saved", "{carrier:?}");
        world.clock.advance(Duration::from_secs(120));
        assert_eq!(browser.script("/flash").await.body, "none", "{carrier:?}");
        // It can be begun again.
        browser.post("/flash").await;
        assert_eq!(browser.script("/flash").await.body, "saved", "{carrier:?}");
    }
}

#[tokio::test]
async fn an_app_session_whose_store_is_down_is_503_and_is_kept() {
    for carrier in APP_SESSIONS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        browser.post("/flash").await;
        let cookies = browser.cookies.clone();
        let mut guest = world.browser();
        world.store.go_down();
        for answer in [
            browser.script("/flash").await,
            browser.post("/flash").await,
            guest.post("/flash").await,
        ] {
            assert_eq!(answer.status, 503, "{carrier:?}");
            assert_eq!(answer.code(), "store.unavailable");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
            assert!(!answer.body.contains("the test has taken"), "{}", answer.body);
        }
        assert_eq!(browser.cookies, cookies);
        world.store.come_up();
        assert_eq!(browser.script("/flash").await.body, "saved", "{carrier:?}");
        assert_eq!(browser.script("/flash").await.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_framework_session_carries_nothing_but_the_identifier() {
    let world = World::start(Carrier::FrameworkSession).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let names: Vec<_> = browser.cookies.keys().map(String::as_str).collect();
    assert_eq!(names, ["id"]);
}

#[tokio::test]
async fn a_browser_is_sent_to_sign_in_and_a_script_gets_401() {
    for carrier in CARRIERS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        for path in ["/me", "/api", "/employee", "/nested/deep/page"] {
            let answer = browser.open(path).await;
            assert_eq!(answer.status, 303, "{path}");
            let expected = format!("/auth/login?return_to={}", path.replace('/', "%2F"));
            assert_eq!(answer.header("location"), expected);
            assert_eq!(answer.header("cache-control"), "no-store");

            let answer = browser.script(path).await;
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.code(), "session.none");
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.set_cookies().count(), 0);
        }
    }
}

#[tokio::test]
async fn a_gate_in_a_nested_scope_keeps_the_whole_way_back() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    let answer = browser.open("/nested/deep/admin?page=3&q=a%20b").await;
    assert_eq!(
        answer.header("location"),
        "/auth/login?return_to=%2Fnested%2Fdeep%2Fadmin%3Fpage%3D3%26q%3Da%2520b"
    );
    let login = answer.header("location").to_owned();
    let answer = browser.sign_in_at(&login).await;
    assert_eq!(answer.header("location"), "/nested/deep/admin?page=3&q=a%20b");
}

#[tokio::test]
async fn gates_ask_for_roles_and_scopes() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    assert_eq!(browser.script("/nested/deep/admin").await.body, "through");

    let answer = browser.script("/nested/deep/auditor").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "access.role_missing")
    );
    let answer = browser.open("/nested/deep/auditor").await;
    assert_eq!(answer.status, 403);
    assert!(answer.header("content-type").starts_with("text/html"));

    let answer = browser.script("/mail").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "access.scope_missing")
    );
    // A browser signs in again for the scope, and comes back.
    let answer = browser.open("/mail").await;
    let login = answer.header("location").to_owned();
    let answer = browser.sign_in_at(&login).await;
    assert_eq!(answer.header("location"), "/mail");
    assert_eq!(browser.open("/mail").await.body, "through");
}

#[tokio::test]
async fn guests_only_lets_guests_in_and_sends_users_away() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    assert_eq!(browser.open("/guests").await.body, "through");
    browser.sign_in("/").await;
    let answer = browser.open("/guests").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/me"));
    world.store.go_down();
    assert_eq!(browser.open("/guests").await.status, 503);
}

#[tokio::test]
async fn a_gate_answers_as_it_was_told() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    for kind in ["browser", "script"] {
        let mut answers = Vec::new();
        for path in ["/redirect?a=b", "/redirect-with-return?a=b", "/unauthorized"] {
            answers.push(match kind {
                "browser" => browser.open(path).await,
                _ => browser.script(path).await,
            });
        }
        assert_eq!(answers[0].status, 303);
        assert_eq!(answers[0].header("location"), "/welcome");
        assert_eq!(answers[1].status, 303);
        let back = answers[1]
            .header("location")
            .strip_prefix("/welcome?next=")
            .unwrap();
        if kind == "browser" {
            assert_eq!(back, "%2Fredirect-with-return%3Fa%3Db");
        }
        assert_eq!(answers[2].status, 401);
    }
}

#[tokio::test]
async fn claims_are_read_as_the_type_that_the_handler_names() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    assert_eq!(browser.script("/employee").await.body, "engines");
    let answer = browser.script("/misfit").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (500, "setup.claims_type")
    );
}

#[tokio::test]
async fn pages_for_everyone_know_who_looks() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    for path in ["/maybe", "/peek"] {
        let answer = browser.open(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "nobody"));
        // It would be wrong for whoever signs in next.
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    browser.sign_in("/").await;
    for path in ["/maybe", "/peek"] {
        assert_eq!(browser.open(path).await.body, "ada");
    }
}

#[tokio::test]
async fn an_answer_that_asks_for_no_session_may_be_cached() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    assert_eq!(browser.open("/").await.header("cache-control"), "");
    assert_eq!(browser.open("/me").await.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_failed_call_to_an_api_becomes_a_page_or_a_problem() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    assert_eq!(browser.script("/api").await.json()["id"], "ada");

    let control = world.provider.control();
    control.fail(Endpoint::Api("/users/me"), Fault::status(500));
    let answer = browser.open("/api").await;
    assert_eq!(answer.status, 502);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = browser.script("/api").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.code(), "api.status");
}

#[tokio::test]
async fn a_store_that_is_down_signs_nobody_out() {
    for carrier in CARRIERS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        browser.sign_in("/").await;
        let cookies = browser.cookies.clone();
        world.store.go_down();
        for path in ["/me", "/maybe", "/peek", "/nested/deep/page", "/auth/session"] {
            let answer = browser.script(path).await;
            assert_eq!(answer.status, 503, "{path}");
            assert_eq!(answer.code(), "store.unavailable");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
            assert_eq!(browser.open(path).await.status, 503, "{path}");
        }
        assert_eq!(browser.post("/auth/logout").await.status, 503);
        assert_eq!(browser.cookies, cookies, "{carrier:?}");
        world.store.come_up();
        assert_eq!(browser.script("/me").await.body, "ada");
    }
}

#[tokio::test]
async fn a_request_costs_one_store_access_and_an_anonymous_one_none() {
    for carrier in CARRIERS {
        let world = World::start(carrier).await;
        let mut browser = world.browser();
        for path in [
            "/",
            "/me",
            "/maybe",
            "/peek",
            "/nested/deep/page",
            "/auth/session",
        ] {
            browser.script(path).await;
        }
        assert_eq!(world.store.accesses(), 0, "{carrier:?}");
        if carrier == Carrier::AppSession {
            // Where the app's session lies in the same store and carries the identifier, that is a look-up more.
            continue;
        }
        browser.sign_in("/").await;
        let before = world.store.accesses();
        browser.script("/").await;
        assert_eq!(world.store.accesses(), before);
        for (count, path) in (1..).zip(["/me", "/everything", "/nested/deep/admin", "/api"]) {
            assert_eq!(browser.script(path).await.status, 200, "{path}");
            assert_eq!(world.store.accesses(), before + count, "{path}");
        }
    }
}

/// actix-web asks all extractors at once.
#[tokio::test]
async fn extractors_that_wait_for_the_store_wait_for_one_access() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.store.becomes_remote();
    let before = world.store.accesses();
    assert_eq!(browser.script("/several").await.status, 200);
    assert_eq!(world.store.accesses(), before + 1);
}

/// The list of sessions says when each was last used, and no request pays a write for that.
#[tokio::test]
async fn the_use_of_a_session_is_written_down_once_in_a_while() {
    let world = World::start(Carrier::Cookie).await;
    let lifetime = Duration::from_secs(24 * 3600);
    world.provider.control().set_access_token_lifetime(lifetime);
    let mut browser = world.browser();
    browser.sign_in("/").await;
    for touches in 0..4 {
        let before = world.store.accesses();
        for path in ["/me", "/peek", "/api", "/auth/session"]
            .into_iter()
            .cycle()
            .take(40)
        {
            assert_eq!(browser.script(path).await.status, 200, "{path}");
            if touches > 0 {
                // In the background, after the first request of the period.
                let deadline = Instant::now() + Duration::from_secs(20);
                while world.store.touches() < touches {
                    assert!(Instant::now() < deadline, "it is never written down");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        assert_eq!(world.store.touches(), touches);
        let written = u64::from(touches > 0);
        assert_eq!(world.store.accesses(), before + 40 + written, "a look-up each");
        // A thirty-second part of the idle period, which is eight hours.
        world.clock.advance(Duration::from_secs(8 * 3600 / 32));
    }
}

#[tokio::test]
async fn a_dead_access_token_is_refreshed_before_the_handler_runs() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.clock.advance(Duration::from_secs(400));
    // Looking waits for nobody.
    assert_eq!(browser.script("/peek").await.body, "ada");
    assert_eq!(world.provider.control().refresh_count(), 0);
    assert_eq!(browser.script("/me").await.body, "ada");
    assert_eq!(world.provider.control().refresh_count(), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_signs_nobody_out() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.clock.advance(Duration::from_secs(400));
    let control = world.provider.control();
    control.fail(Endpoint::Token, Fault::status(503));
    for path in ["/me", "/maybe", "/nested/deep/page"] {
        let answer = browser.script(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    }
    control.clear_all();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.script("/me").await.body, "ada");
}

#[tokio::test]
async fn a_request_from_another_site_changes_nothing() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    assert_eq!(browser.post("/me").await.body, "ada");
    for path in ["/me", "/peek", "/auth/logout"] {
        let headers = [("origin", "https://evil.example")];
        let answer = browser.send(Method::POST, path, &headers, "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "request.cross_site")
        );
    }
    assert_eq!(browser.script("/me").await.body, "ada");
}

#[tokio::test]
async fn no_other_method_signs_in_or_out() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    for (method, path) in [
        (Method::HEAD, "/auth/login"),
        (Method::PUT, "/auth/login"),
        (Method::HEAD, "/auth/callback"),
        (Method::DELETE, "/auth/callback"),
        (Method::GET, "/auth/logout"),
        (Method::HEAD, "/auth/logout"),
        (Method::POST, "/auth/session"),
    ] {
        let answer = browser.send(method.clone(), path, &[], "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_ne!(answer.header("allow"), "", "{method} {path}");
        assert_eq!(answer.set_cookies().count(), 0);
    }
    let answer = browser.send(Method::HEAD, "/auth/session", &[], "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("state={}", "a".repeat(64 * 1024));
    for path in ["/auth/login", "/auth/callback"] {
        let answer = browser.send(Method::POST, path, &form, body.clone()).await;
        assert_eq!(answer.status, 413, "{path}");
    }
}

#[tokio::test]
async fn a_failure_code_is_explained() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    let answer = browser.open("/auth/errors/store.unavailable").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("store.unavailable"));
    assert_eq!(browser.open("/auth/errors/no.such.code").await.status, 404);
}

#[tokio::test]
async fn a_cookie_that_is_no_identifier_is_none() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    for value in browser.cookies.values_mut() {
        *value = "not-an-identifier".to_owned();
    }
    let before = world.store.accesses();
    let answer = browser.script("/me").await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "session.none"));
    assert_eq!(world.store.accesses(), before);
}

#[tokio::test]
async fn the_apps_own_page_takes_the_place_of_the_librarys_and_loses_nothing() {
    let world = World::start(Carrier::CookieAndOwnPages).await;
    let mut browser = world.browser();
    let begun = browser.open("/auth/login?return_to=/here").await;
    let denied = world.provider.deny(begun.header("location")).await.unwrap();
    let answer = browser
        .send(
            Method::GET,
            &denied.callback_url,
            &[("accept", "text/html"), ("accept-language", "de-AT")],
            "",
        )
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.body,
        "own: login.access_denied User /auth/login?return_to=%2Fhere none for de-AT"
    );
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("content-language"), "de");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let policies: Vec<_> = answer.headers.get_all("content-security-policy").iter().collect();
    assert_eq!(
        policies,
        ["default-src 'self'", "base-uri 'none'; frame-ancestors 'none'"]
    );
    let cookies: Vec<_> = answer.set_cookies().collect();
    assert_eq!(
        cookies.len(),
        2,
        "the attempt's goes, the app's comes: {cookies:?}"
    );
    assert!(cookies.iter().any(|line| line.contains("Max-Age=0")));

    // Programs, and what the codes mean, are the library's.
    let explained = browser.open("/auth/errors/login.access_denied").await;
    assert_eq!(explained.status, 200);
    assert!(!explained.body.starts_with("own:"));
    assert_eq!(browser.script("/me").await.code(), "session.none");

    // The layer's own refusals, and those of handlers.
    let answer = browser.open("/unauthorized").await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.body,
        "own: session.none User /auth/login?return_to=%2Funauthorized none for nobody"
    );
    browser.sign_in("/").await;
    world.store.go_down();
    let answer = browser.open("/me").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    assert_eq!(answer.body, "own: store.unavailable Operator  2s for nobody");
    assert_eq!(browser.script("/me").await.code(), "store.unavailable");
    world.store.come_up();
    assert_eq!(browser.open("/me").await.body, "ada");
}

/// A world whose users choose between the development provider, which has no name, and another one.
async fn world_of_two(carrier: Carrier) -> World {
    World::start_as(
        |auth, provider| {
            let shop = SignInProvider::default()
                .endpoints("https://shop.example/authorize", "https://shop.example/token")
                .client("app", None)
                .label("Bed & <Breakfast>");
            auth.issuer(provider.issuer()).provider("shop", shop)
        },
        |listener, auth, _| app::serve(listener, auth, carrier),
    )
    .await
}

#[tokio::test]
async fn the_apps_own_page_to_choose_a_provider_on_loses_nothing() {
    const LOGIN: &str = "/auth/login?return_to=/here%3Fa%3Db&login_hint=ada";
    let library = world_of_two(Carrier::Cookie).await;
    let shown = library.browser().open(LOGIN).await;
    assert_eq!(shown.status, 200);
    assert!(shown.body.contains("Choose how to sign in."), "{}", shown.body);
    assert!(
        shown.body.contains("Bed &amp; &lt;Breakfast&gt;"),
        "{}",
        shown.body
    );

    let world = world_of_two(Carrier::CookieAndOwnPages).await;
    let mut browser = world.browser();
    let headers = [("accept", "text/html"), ("accept-language", "de-AT")];
    let answer = browser.send(Method::GET, LOGIN, &headers, "").await;
    // Status and headers are the library's, the rest is the app's.
    assert_eq!(answer.status, 200);
    let link = |name| format!("/auth/login?provider={name}&return_to=%2Fhere%3Fa%3Db&login_hint=ada");
    assert_eq!(
        answer.body,
        format!(
            "own: no name 127.0.0.1 {}, shop Bed & <Breakfast> {} to /here?a=b for de-AT",
            link(""),
            link("shop")
        )
    );
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("content-language"), "de");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let policies: Vec<_> = answer.headers.get_all("content-security-policy").iter().collect();
    assert_eq!(
        policies,
        ["default-src 'self'", "base-uri 'none'; frame-ancestors 'none'"]
    );
    assert_eq!(answer.set_cookies().collect::<Vec<_>>(), ["own=1"]);

    // Its links begin sign-ins, and where a name is given there is nothing to choose.
    let begun = browser.open(&link("")).await;
    assert_eq!(begun.status, 303);
    assert!(begun.header("location").starts_with(world.provider.issuer()));
    let begun = browser.open(&link("shop")).await;
    assert!(
        begun
            .header("location")
            .starts_with("https://shop.example/authorize?")
    );
    // A failure's page is the other one.
    let answer = browser.open("/auth/login?provider=none").await;
    assert!(
        answer.body.starts_with("own: provider.unknown"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_form_that_nobody_is_signed_in_for_gets_a_page_that_leads_back_to_it() {
    let world = World::start(Carrier::Cookie).await;
    let own = world.base().origin().ascii_serialization();
    let mut browser = world.browser();
    for route in ["/me", "/mail", "/unauthorized"] {
        let answer = browser.form(route, &own, "/orders?page=2").await;
        assert_eq!(answer.status, 401, "{route}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("location"), "");
        assert_eq!(answer.set_cookies().count(), 0);
        assert!(answer.body.contains("session.none"), "{}", answer.body);
        assert!(answer.body.contains("What you sent was "), "{}", answer.body);
        let button = "class=\"button\" href=\"/auth/login?return_to=%2Forders%3Fpage%3D2\"";
        assert!(answer.body.contains(button), "{}", answer.body);
    }
    // No way back to another site, or to another place of that name.
    for (from, page) in [
        ("https://elsewhere.example", "/orders"),
        (own.as_str(), "//elsewhere.example/"),
    ] {
        let headers = [
            ("accept", "text/html"),
            ("referer", &*format!("{from}{page}")),
            ("sec-fetch-mode", "navigate"),
        ];
        let answer = browser.send(Method::POST, "/me", &headers, "").await;
        assert_eq!(answer.status, 401);
        let button = "class=\"button\" href=\"/auth/login?return_to=%2F\"";
        assert!(answer.body.contains(button), "{}", answer.body);
    }
    // Programs are told as before, also those that would take a page.
    for headers in [
        &[("accept", "text/html")][..],
        &[("accept", "text/html"), ("sec-fetch-mode", "cors")],
        &[("accept", "*/*"), ("sec-fetch-mode", "navigate")],
    ] {
        let answer = browser.send(Method::POST, "/me", headers, "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "session.none"),
            "{headers:?}"
        );
    }
    browser.sign_in("/").await;
    assert_eq!(browser.form("/me", &own, "/").await.body, "ada");
}

#[tokio::test]
async fn a_form_that_fails_otherwise_gets_a_page_too() {
    let world = World::start(Carrier::Cookie).await;
    let own = world.base().origin().ascii_serialization();
    let mut browser = world.browser();
    browser.sign_in("/").await;
    // From another site, which is offered no sign-in.
    for route in ["/auth/logout", "/me"] {
        let answer = browser.form(route, "https://elsewhere.example", "/").await;
        assert_eq!(answer.status, 403, "{route}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(answer.body.contains("request.cross_site"), "{}", answer.body);
        assert!(answer.body.contains("What you sent was "), "{}", answer.body);
        assert!(!answer.body.contains("/auth/login"), "{}", answer.body);
        let headers = [("origin", "https://elsewhere.example"), ("accept", "text/html")];
        let answer = browser.send(Method::POST, route, &headers, "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "request.cross_site")
        );
    }
    assert_eq!(browser.open("/me").await.body, "ada");

    // A right that another sign-in may bring: the button asks for it, and the way back is the form's page.
    let answer = browser.form("/mail", &own, "/write").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("access.scope_missing"), "{}", answer.body);
    let (_, button) = answer
        .body
        .split_once("class=\"button\" href=\"")
        .expect("a button");
    let login = button.split('"').next().unwrap().replace("&amp;", "&");
    assert!(
        login.starts_with("/auth/login?return_to=%2Fwrite&step_up="),
        "{login}"
    );
    let begun = browser.open(&login).await;
    assert!(begun.header("location").contains("mail.read"));

    // While the store is down nobody knows what has become of it.
    world.store.go_down();
    let answer = browser.form("/me", &own, "/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(!answer.body.contains("carried out"), "{}", answer.body);
    assert!(!answer.body.contains("class=\"button\""), "{}", answer.body);
    assert_eq!(browser.post("/me").await.code(), "store.unavailable");
}

#[tokio::test]
async fn an_app_may_answer_signed_out_forms_as_it_answers_programs() {
    let world = World::start_as(
        |auth, provider| auth.issuer(provider.issuer()).problems_for_signed_out_forms(),
        |listener, auth, _| app::serve(listener, auth, Carrier::Cookie),
    )
    .await;
    let own = world.base().origin().ascii_serialization();
    let mut browser = world.browser();
    for route in ["/me", "/unauthorized"] {
        let answer = browser.form(route, &own, "/").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "session.none"),
            "{route}"
        );
    }
    let answer = browser.form("/me", "https://elsewhere.example", "/").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
}

#[tokio::test]
async fn a_sign_in_that_took_too_long_says_so_with_its_cookie_or_without() {
    let world = World::start(Carrier::Cookie).await;
    for keeps_cookie in [true, false] {
        let mut browser = world.browser();
        let begun = browser.open("/auth/login?return_to=/here").await;
        let approval = world.provider.approve(begun.header("location"), "ada").await;
        let callback = approval.unwrap().callback_url;
        world.clock.advance(Duration::from_secs(15 * 60));
        if !keeps_cookie {
            // Browsers take it away with its time.
            browser.cookies.clear();
        }
        let answer = browser.open(&callback).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("login.attempt_expired"), "{}", answer.body);
        assert!(answer.body.contains("took too long"), "{}", answer.body);
        let back = if keeps_cookie { "%2Fhere" } else { "%2F" };
        let button = format!("class=\"button\" href=\"/auth/login?return_to={back}\"");
        assert!(answer.body.contains(&button), "{}", answer.body);
    }
}
