//! Signing out: here at once, at the provider as far as it can be reached.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use auth_core::reply::SessionChange;
use auth_core::{EndReason, EventKind};
use auth_testing::{Endpoint, Fault};
use serde_json::json;
use url::Url;

use crate::events;
use crate::store::Op;
use crate::world::{BASE, CLIENT, World, assert_page, eventually, location, secs};

const FAILED: EventKind = EventKind::RevocationFailed {
    code: "revocation.unavailable",
};
const GIVEN_UP: EventKind = EventKind::RevocationGivenUp {
    code: "revocation.unavailable",
};

// RFC 9700 §4.14.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_revokes_both_tokens_and_goes_on_to_the_provider() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let token = world.token(&world.session(&id).await).await;
    let reply = browser.logout().await;
    assert_eq!(reply.status, 303);
    assert!(matches!(reply.session, SessionChange::Clear));
    assert!(browser.cookies.is_empty());
    world.auth.authenticate(Some(&id)).await.unwrap_err();

    let url = Url::parse(&location(&reply)).unwrap();
    assert_eq!(url.origin().ascii_serialization(), world.provider.issuer());
    assert_eq!(url.path(), "/end-session");
    let query: Vec<_> = url.query_pairs().into_owned().collect();
    let names: Vec<_> = query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id_token_hint", "client_id", "post_logout_redirect_uri"]);
    assert_eq!(query[0].1.split('.').count(), 3);
    assert_eq!(
        (query[1].1.as_str(), query[2].1.as_str()),
        (CLIENT, &*format!("{BASE}/"))
    );

    let requests = world.control().requests(Endpoint::Revoke);
    let hints: Vec<_> = requests
        .iter()
        .map(|request| request.form("token_type_hint").unwrap())
        .collect();
    assert_eq!(hints, ["refresh_token", "access_token"]);
    assert_eq!(world.revoked()[1], token);
    assert_eq!(world.revoked().into_iter().collect::<HashSet<_>>().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_waits_two_seconds_for_the_provider_at_most() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.control().fail(Endpoint::Revoke, Fault::Hang);
    let began = Instant::now();
    let reply = browser.logout().await;
    assert!(began.elapsed() < secs(4), "{:?}", began.elapsed());
    assert!(location(&reply).contains("/end-session?"));
    assert_eq!(world.store.sessions(), 0);
    // It goes on in the background.
    world.control().clear_all();
    world.settle().await;
    assert_eq!(world.revoked().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_works_while_the_provider_is_down() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.control().go_down().await;
    let reply = browser.logout().await;
    assert!(location(&reply).contains("/end-session?"));
    assert!(matches!(reply.session, SessionChange::Clear));
    assert_eq!(world.store.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_is_no_obstacle_and_is_not_refreshed() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.clock.advance(secs(3600));
    assert_eq!(browser.logout().await.status, 303);
    assert_eq!((world.control().refresh_count(), world.store.sessions()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_that_the_store_does_not_confirm_does_not_look_like_one() {
    for op in [Op::Load, Op::Delete] {
        let world = World::start().await;
        let mut browser = world.browser();
        let id = browser.sign_in("/").await;
        world.store.breaks(op);
        let reply = browser.logout().await;
        assert_page(&reply, 503, "store.unavailable");
        assert!(matches!(reply.session, SessionChange::Keep));
        assert!(
            world.revoked().is_empty(),
            "the session goes on, and so do its tokens"
        );
        world.store.mend();
        world.session(&id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_signs_nobody_out() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let mut head = browser.head("POST", "/auth/logout");
        head.headers.push((name, value.to_owned()));
        let reply = world.auth.logout(browser.request_of(&head)).await;
        assert_eq!(reply.status, 403, "{name}: {value}");
        assert!(matches!(reply.session, SessionChange::Keep));
    }
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_signed_in_goes_home() {
    let world = World::start().await;
    let mut browser = world.browser();
    assert_eq!(location(&browser.logout().await), "/");
    browser.sign_in("/").await;
    let _ = browser.logout().await;
    assert_eq!(location(&browser.logout().await), "/");
    assert_eq!(world.control().count(Endpoint::Revoke), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_without_such_endpoints_is_left_alone() {
    let world = World::start().await;
    world.control().tamper_discovery(|document| {
        document.remove("end_session_endpoint");
        document.remove("revocation_endpoint");
    });
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let session = world.session(&id).await;
    world.auth.revoke_access_token(&session).await.unwrap();
    assert_eq!(location(&browser.logout().await), "/");
    assert_eq!(
        (world.control().count(Endpoint::Revoke), world.store.sessions()),
        (0, 0)
    );
}

/// The tokens that were brought to the revocation endpoint, each with how often.
fn brought(world: &World) -> BTreeMap<String, usize> {
    let mut brought = BTreeMap::new();
    for token in world.revoked() {
        *brought.entry(token).or_default() += 1;
    }
    brought
}

// RFC 7009 §2.2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_revoked_is_tried_again_until_it_is() {
    for fault in [Fault::status(503), Fault::status(429), Fault::Reset] {
        let (world, told) = events::world().await;
        let mut browser = world.browser();
        browser.sign_in("/").await;
        told.take();
        world.control().fail_next(Endpoint::Revoke, 2, fault);
        assert_eq!(browser.logout().await.status, 303);
        let ended = EventKind::SessionEnded {
            reason: EndReason::SignedOut,
        };
        assert_eq!(told.kinds(), [ended, FAILED, FAILED]);
        // In vain once more, then the refresh token, and the access token behind it.
        world.control().fail_next(Endpoint::Revoke, 1, Fault::status(500));
        world.clock.advance(secs(1));
        eventually("another try", || world.revoked().len() == 3).await;
        eventually("its failure", || told.count(FAILED) == 1).await;
        world.clock.advance(secs(2));
        eventually("two more", || world.revoked().len() == 5).await;
        world.settle().await;
        assert_eq!(told.kinds(), [FAILED]);
        assert_eq!(brought(&world).into_values().sum::<usize>(), 5);
        assert_eq!(brought(&world).len(), 2);
    }
}

// RFC 9110 §10.2.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_is_waited_for() {
    let (world, told) = events::world().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let busy = Fault::Status {
        status: 429,
        retry_after: Some(secs(600)),
    };
    world.control().fail_next(Endpoint::Revoke, 2, busy);
    let _ = browser.logout().await;
    assert_eq!(told.count(FAILED), 2);
    world.clock.advance(secs(599));
    // Longer than the clock is looked at again.
    tokio::time::sleep(secs(2)).await;
    assert_eq!(world.revoked().len(), 2);
    world.clock.advance(secs(1));
    eventually("the tries", || world.revoked().len() == 4).await;
}

// RFC 7009 §2.2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_refuses_to_revoke_is_given_up_at_once() {
    for (fault, code) in [
        (
            Fault::oauth(401, "invalid_client"),
            Some("revocation.client_refused"),
        ),
        (Fault::oauth(400, "invalid_request"), Some("revocation.refused")),
        (Fault::status(404), Some("revocation.refused")),
        (Fault::oauth(400, "unsupported_token_type"), None),
    ] {
        let (world, told) = events::world().await;
        let mut browser = world.browser();
        browser.sign_in("/").await;
        world.control().fail(Endpoint::Revoke, fault);
        told.take();
        assert_eq!(browser.logout().await.status, 303);
        world.settle().await;
        let mut expected = vec![EventKind::SessionEnded {
            reason: EndReason::SignedOut,
        }];
        expected.extend(code.into_iter().flat_map(|code| {
            let given_up = EventKind::RevocationGivenUp { code };
            [given_up, given_up]
        }));
        assert_eq!(told.kinds(), expected);
        assert_eq!(world.revoked().len(), 2, "{code:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_given_up_after_an_hour() {
    let (world, told) = events::world().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.control().fail(Endpoint::Revoke, Fault::status(503));
    let _ = browser.logout().await;
    world.clock.advance(secs(3600));
    eventually("both are given up", || told.count(GIVEN_UP) == 2).await;
    world.control().clear_all();
    world.settle().await;
    assert_eq!(world.revoked().len(), 3, "one try stands for both");
    assert_eq!((told.count(GIVEN_UP), told.count(FAILED)), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_sessions_that_end_otherwise_are_tried_again_as_well() {
    let (world, told) = events::world().await;
    let (this, _, _) = (
        world.sign_in().await,
        world.sign_in().await,
        world.sign_in().await,
    );
    let session = world.session(&this).await;
    world.control().fail_next(Endpoint::Revoke, 4, Fault::status(503));
    assert_eq!(world.auth.end_other_sessions(&session).await.unwrap(), 2);
    world.auth.end_session(&session).await.unwrap();
    eventually("the first tries", || world.revoked().len() == 6).await;
    eventually("four failures", || told.count(FAILED) == 4).await;
    world.clock.advance(secs(2));
    eventually("all of them", || world.revoked().len() == 10).await;
    assert_eq!(brought(&world).len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_app_stops_what_waits_is_tried_once_more_and_given_up() {
    for is_back in [true, false] {
        let (world, told) = events::world().await;
        let mut browser = world.browser();
        browser.sign_in("/").await;
        world.control().fail(Endpoint::Revoke, Fault::status(503));
        let _ = browser.logout().await;
        told.take();
        if is_back {
            world.control().clear_all();
        } else {
            world.control().fail(Endpoint::Revoke, Fault::Hang);
        }
        let began = Instant::now();
        world.settle().await;
        assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
        if is_back {
            assert_eq!((told.kinds(), world.revoked().len()), (vec![], 4));
        } else {
            assert_eq!(told.kinds(), [GIVEN_UP, GIVEN_UP]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_app_stops_the_tokens_of_many_sessions_are_not_waited_for() {
    let (world, told) = events::world().await;
    for _ in 0..5 {
        world.sign_in().await;
    }
    let hold = world.control().hold_answer(Endpoint::Revoke);
    let ended = world.auth.end_sessions_of(&world.auth.issuer(), "ada").await;
    assert_eq!(ended.unwrap(), 5);
    hold.waiting(1).await.unwrap();
    told.take();
    let mut stopping = std::pin::pin!(world.auth.shutdown());
    assert!(futures_util::poll!(&mut stopping).is_pending());
    // The provider does not answer at all any more.
    stopping.await;
    assert_eq!((told.kinds(), world.revoked().len()), (vec![GIVEN_UP; 10], 1));
    drop(hold);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_goes_away_loses_no_revocation() {
    let (world, told) = events::world().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    told.take();
    let hold = world.store.hold(Op::Delete);
    let (auth, request) = (world.auth.clone(), browser.request("POST", "/auth/logout"));
    let logout = tokio::spawn(async move { auth.logout(request).await });
    hold.waiting(1).await;
    logout.abort();
    logout.await.unwrap_err();
    drop(hold);
    world.settle().await;
    assert_eq!((world.store.sessions(), world.revoked().len()), (0, 2));
    assert_eq!(
        told.kinds(),
        [EventKind::SessionEnded {
            reason: EndReason::SignedOut
        }]
    );
}

// RP-Initiated Logout 1.0 §2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_before_anything_is_known_of_the_provider_ends_here() {
    let world = World::start().await;
    for hangs in [true, false] {
        let mut browser = world.browser();
        browser.sign_in("/").await;
        // Started anew: the provider's metadata is not at hand.
        browser.auth = world.instance().await;
        if hangs {
            world.control().fail(Endpoint::Discovery, Fault::Hang);
        } else {
            world.control().go_down().await;
        }
        let began = Instant::now();
        let reply = browser.logout().await;
        assert!(began.elapsed() < secs(4), "{:?}", began.elapsed());
        assert_eq!((reply.status, &*location(&reply)), (303, "/"));
        assert!(matches!(reply.session, SessionChange::Clear));
        assert_eq!(world.store.sessions(), 0);
        world.control().clear_all();
        if !hangs {
            world.control().come_up().await.unwrap();
            world.clock.advance(secs(2));
        }
        let expected = if hangs { 2 } else { 4 };
        eventually("the revocation", || world.revoked().len() == expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_comes_to_be_known_at_sign_out_is_gone_on_to() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    browser.auth = world.instance().await;
    assert!(location(&browser.logout().await).contains("/end-session?"));
}

// RP-Initiated Logout 1.0 §2; RFC 9110 §4.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_that_is_too_long_for_an_address_is_left_out() {
    for (length, is_sent) in [(1000, true), (9000, false)] {
        let world = World::start().await;
        world.control().tamper_id_token(move |_, claims| {
            claims.insert("groups".to_owned(), json!("x".repeat(length)));
        });
        let mut browser = world.browser();
        browser.sign_in("/").await;
        let location = location(&browser.logout().await);
        assert!(location.len() <= 8000, "{}", location.len());
        let url = Url::parse(&location).unwrap();
        let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        assert_eq!(names.contains(&"id_token_hint".to_owned()), is_sent);
        assert!(names.ends_with(&["client_id".to_owned(), "post_logout_redirect_uri".to_owned()]));
    }
}

// RP-Initiated Logout 1.0 §2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_that_has_expired_is_as_good_a_hint() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.clock.advance(secs(7 * 3600));
    assert!(location(&browser.logout().await).contains("id_token_hint="));
}

// RP-Initiated Logout 1.0 §2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_the_end_session_endpoint_is_kept() {
    let world = World::start().await;
    world.control().tamper_discovery(|document| {
        let endpoint = document["end_session_endpoint"].as_str().unwrap();
        let with_query = format!("{endpoint}?tenant=a%20b");
        document.insert("end_session_endpoint".to_owned(), json!(with_query));
    });
    let mut browser = world.browser();
    browser.sign_in("/").await;
    assert!(location(&browser.logout().await).contains("/end-session?tenant=a%20b&id_token_hint="));
}

// RP-Initiated Logout 1.0 §2, §3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_after_the_sign_out_may_be_another_one_of_the_app() {
    let set = |builder: auth_core::AuthBuilder| builder.post_logout_redirect("/goodbye?lang=en");
    let world = World::with(set).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let url = Url::parse(&location(&browser.logout().await)).unwrap();
    let (_, home) = url
        .query_pairs()
        .find(|(name, _)| name == "post_logout_redirect_uri")
        .unwrap();
    assert_eq!(home, format!("{BASE}/goodbye?lang=en"));
    // Nobody is signed in any more.
    assert_eq!(location(&browser.logout().await), "/goodbye?lang=en");

    world
        .control()
        .tamper_discovery(|document| drop(document.remove("end_session_endpoint")));
    let mut browser = world.browser_of(&world.instance_with(set).await);
    browser.sign_in("/").await;
    assert_eq!(location(&browser.logout().await), "/goodbye?lang=en");

    for bad in [
        "",
        "goodbye",
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "/a#b",
        "/a b",
    ] {
        let builder = auth_core::Auth::builder()
            .base_url(BASE)
            .issuer(world.provider.issuer())
            .client(CLIENT, None)
            .post_logout_redirect(bad);
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.variable(), "post_logout_redirect", "{bad:?}");
    }
}
