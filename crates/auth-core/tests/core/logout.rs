//! Signing out: here at once, at the provider as far as it can be reached.

use std::collections::HashSet;
use std::time::Instant;

use auth_core::reply::SessionChange;
use auth_testing::{Endpoint, Fault};
use url::Url;

use crate::store::Op;
use crate::world::{BASE, CLIENT, World, assert_page, location, secs};

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
