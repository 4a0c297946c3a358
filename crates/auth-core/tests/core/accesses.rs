//! What a request costs: store operations, and nothing else.

use auth_core::error::NotSignedIn;
use auth_core::store::{Inserted, Record, SessionKey, SessionStore};
use auth_core::{Error, SecretKeys};
use serde_json::Value;

use crate::store::{Failure, Op};
use crate::world::{LIFE, World, eventually, secs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anonymous_request_costs_nothing() {
    let world = World::start().await;
    let browser = world.browser();
    let error = world.auth.authenticate(None).await.unwrap_err();
    assert!(matches!(error, Error::NotSignedIn(NotSignedIn::NoSession)));
    let reply = world
        .auth
        .session_status(browser.request("GET", "/auth/session"))
        .await;
    assert_eq!(&*reply.body, r#"{"authenticated":false}"#);
    let mut corrupt = world.browser();
    corrupt
        .cookies
        .insert("auth_session".into(), "not an identifier".into());
    assert!(corrupt.session().is_none());
    world.browser().begin("/").await;
    assert_eq!(world.store.total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authenticated_request_costs_one_load() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let before = (
        world.store.total(),
        world.control().count(auth_testing::Endpoint::Token),
    );
    let session = world.auth.authenticate(Some(&id)).await.unwrap();
    assert_eq!(session.subject(), "ada");
    world.token(&session).await;
    let reply = world
        .auth
        .session_status(browser.request("GET", "/auth/session"))
        .await;
    let shown: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(shown["user"]["sub"], "ada");
    assert_eq!(world.store.count(Op::Load), 2, "one for each request");
    assert_eq!(world.store.total(), before.0 + 2, "nothing else");
    assert_eq!(world.control().count(auth_testing::Endpoint::Token), before.1);
}

/// What was opened for one request is not opened again for the next; what another instance has done shows all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_instance_has_done_shows_on_the_next_request() {
    let world = World::start().await;
    let other = world.instance().await;
    let id = world.sign_in().await;
    let first = world.token(&world.session(&id).await).await;
    assert_eq!(world.token(&world.session(&id).await).await, first);

    world.clock.advance(LIFE);
    let refreshed = other.authenticate(Some(&id)).await.unwrap();
    let second = other.access_token(&refreshed).await.unwrap().expose().to_owned();
    assert_ne!(second, first);
    assert_eq!(world.session(&id).await.refresh_count(), 1);
    assert_eq!(world.token(&world.session(&id).await).await, second);

    other.end_session(&refreshed).await.unwrap();
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(matches!(error, Error::NotSignedIn(NotSignedIn::Ended)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_dies_while_the_store_is_asked_is_refreshed() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let hold = world.store.hold_answer(Op::Load);
    let asked = tokio::spawn({
        let (auth, id) = (world.auth.clone(), id.clone());
        async move { auth.authenticate(Some(&id)).await }
    });
    hold.waiting(1).await;
    world.clock.advance(LIFE);
    drop(hold);
    assert_eq!(asked.await.unwrap().unwrap().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn use_is_written_down_after_a_thirty_second_part_of_the_idle_period() {
    let world = World::start().await;
    world.control().set_access_token_lifetime(secs(24 * 3600));
    let id = world.sign_in().await;
    let first_end = world.session(&id).await.expires_at();
    world.clock.advance(secs(8 * 3600 / 32 - 1));
    world.session(&id).await;
    world.settle().await;
    assert_eq!(world.store.count(Op::Touch), 0);
    world.clock.advance(secs(1));

    // In the background: the request does not wait for it, and does not fail with it.
    let hold = world.store.hold(Op::Touch);
    world.store.fail_next(Op::Touch, Failure::Lost);
    world.session(&id).await;
    hold.waiting(1).await;
    // One at a time, however many requests there are.
    world.session(&id).await;
    assert_eq!(world.store.count(Op::Touch), 1);
    drop(hold);
    world.settle().await;
    world.session(&id).await;
    eventually("the touch", || world.store.count(Op::Touch) >= 2).await;
    world.settle().await;
    let moved = world.session(&id).await.expires_at();
    assert_eq!(moved.since(first_end), secs(8 * 3600 / 32));
    let touches = world.store.count(Op::Touch);
    world.session(&id).await;
    world.settle().await;
    assert_eq!(
        world.store.count(Op::Touch),
        touches,
        "it was written down a moment ago"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_idle_and_in_any_case_after_its_longest_life() {
    let world = World::with(|builder| builder.session_idle(secs(3600)).session_max(secs(7200))).await;
    world.control().set_access_token_lifetime(secs(24 * 3600));
    let idle = world.sign_in().await;
    let used = world.sign_in().await;
    for _ in 0..3 {
        world.clock.advance(secs(1799));
        let touches = world.store.count(Op::Touch);
        world.session(&used).await;
        eventually("the touch", || world.store.count(Op::Touch) > touches).await;
    }
    let error = world.auth.authenticate(Some(&idle)).await.unwrap_err();
    assert!(matches!(error, Error::NotSignedIn(NotSignedIn::Ended)));
    world.clock.advance(secs(1802));
    world.session(&used).await;
    world.clock.advance(secs(1));
    let error = world.auth.authenticate(Some(&used)).await.unwrap_err();
    assert!(matches!(error, Error::NotSignedIn(NotSignedIn::Ended)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_signs_nobody_out() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    world.store.breaks(Op::Load);
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)));
    assert_eq!((error.status(), error.retry_after().is_some()), (503, true));
    let reply = world
        .auth
        .session_status(browser.request("GET", "/auth/session"))
        .await;
    assert_eq!(reply.status, 503);
    world.store.mend();
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_the_store_lets_nobody_in() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let token = world.token(&world.session(&id).await).await;
    let now = world.auth.now();
    let record = world.store.load(&id.key(), now).await.unwrap().unwrap();
    let holds = |text: &str| {
        record
            .sealed
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    for text in [&token, "ada@example.com", id.expose()] {
        assert!(!holds(text), "{text} lies open");
    }

    // A record is bound to its key: under another one it opens nothing.
    let other = SessionKey::from_bytes([7; 32]);
    let copy = Record {
        opened: Default::default(),
        ..Record::clone(&record)
    };
    assert_eq!(
        world.store.insert(&other, copy, now).await.unwrap(),
        Inserted::Yes
    );
    assert!(world.auth.session(&other).await.unwrap().is_none());
    assert!(world.auth.session(&id.key()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_key_is_gone_has_ended_and_one_with_an_old_key_goes_on() {
    let world = World::start().await;
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    let first = world
        .instance_with(|builder| builder.secret(SecretKeys::from_hex(&old).unwrap()))
        .await;
    let id = world.browser_of(&first).sign_in("/").await;
    let record = world.store.load(&id.key(), first.now()).await.unwrap().unwrap();
    let key = SessionKey::from_bytes(*id.key().as_bytes());
    // Another process would read the record from outside, and have to open it itself.
    world.store.delete(&key, None, first.now()).await.unwrap();
    for (keys, opens) in [
        (new.clone(), false),
        (format!("{new},{old}"), true),
        (old.clone(), true),
    ] {
        let unopened = Record {
            opened: Default::default(),
            ..Record::clone(&record)
        };
        assert_eq!(
            world.store.insert(&key, unopened, first.now()).await.unwrap(),
            Inserted::Yes
        );
        let auth = world
            .instance_with(|builder| builder.secret(SecretKeys::from_hex(&keys).unwrap()))
            .await;
        let session = auth.authenticate(Some(&id)).await;
        match session {
            Ok(_) => assert!(opens),
            Err(error) => assert!(
                !opens && matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
                "{error:?}"
            ),
        }
        world.store.delete(&key, None, first.now()).await.unwrap();
    }
}
