//! One token request per expiry, whoever asks, whoever goes away, whatever fails.

use std::collections::HashSet;

use auth_core::error::NotSignedIn;
use auth_core::refresh::RefreshError;
use auth_core::secret::SessionId;
use auth_core::store::{Acquired, LeaseOwner, SessionStore};
use auth_core::{Auth, Error};
use auth_testing::{Endpoint, Fault};
use tokio::task::JoinSet;

use crate::store::{Failure, Op};
use crate::world::{LIFE, World, eventually, secs};

/// Many requests at once: the access tokens that they get.
fn crowd(tasks: &mut JoinSet<String>, auth: &Auth, id: &SessionId, size: usize) {
    for _ in 0..size {
        let (auth, id) = (auth.clone(), id.clone());
        tasks.spawn(async move {
            let session = auth.authenticate(Some(&id)).await.unwrap();
            auth.access_token(&session).await.unwrap().expose().to_owned()
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_requests_at_once_make_one_token_request() {
    let world = World::start().await;
    let id = world.expired().await;
    let hold = world.control().hold(Endpoint::Token);
    let mut tasks = JoinSet::new();
    crowd(&mut tasks, &world.auth, &id, 200);
    hold.waiting(1).await.unwrap();
    // All have asked the store who they are before any is answered.
    eventually("200 loads", || world.store.count(Op::Load) >= 200).await;
    hold.release();
    let tokens: HashSet<String> = tasks.join_all().await.into_iter().collect();
    assert_eq!(tokens.len(), 1, "all get the same token");
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (1, 0)
    );
    assert_eq!(
        world.store.count(Op::Acquire),
        1,
        "in one process, one task asks for the lease"
    );
    assert_eq!(world.session(&id).await.refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_about_to_die_is_served_while_it_is_refreshed_in_the_background() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let old = world.token(&world.session(&id).await).await;
    world.clock.advance(LIFE - secs(60));
    world.session(&id).await;
    assert_eq!(world.store.count(Op::Acquire), 0, "60 s are left: not yet");

    // The sessions of many begin at different moments: up to a fifth of the leeway later.
    world.clock.advance(secs(13));
    let hold = world.control().hold(Endpoint::Token);
    for _ in 0..5 {
        assert_eq!(world.token(&world.session(&id).await).await, old);
    }
    hold.waiting(1).await.unwrap();
    assert_eq!(world.token(&world.session(&id).await).await, old);
    hold.release();
    eventually("the new token", || world.store.count(Op::Swap) == 1).await;
    eventually("the flight's end", || world.store.count(Op::Acquire) == 1).await;
    assert_ne!(world.token(&world.session(&id).await).await, old);
    assert_eq!(world.control().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leeway_is_at_most_a_quarter_of_the_tokens_life() {
    let world = World::start().await;
    world.control().set_access_token_lifetime(secs(40));
    let id = world.sign_in().await;
    world.clock.advance(secs(30));
    world.session(&id).await;
    world.settle().await;
    assert_eq!(world.store.count(Op::Acquire), 0);
    world.clock.advance(secs(3));
    world.session(&id).await;
    eventually("the refresh", || world.store.count(Op::Swap) == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_background_refresh_that_fails_disturbs_nobody() {
    let world = World::start().await;
    let id = world.sign_in().await;
    world.clock.advance(LIFE - secs(10));
    world.control().fail(Endpoint::Token, Fault::status(503));
    let old = world.token(&world.session(&id).await).await;
    eventually("the refusal", || world.store.count(Op::Release) >= 1).await;
    assert_eq!(world.token(&world.session(&id).await).await, old);
    world.clock.advance(secs(10));
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert_eq!(error.status(), 503, "now it is dead");
    world.control().clear_all();
    assert_ne!(world.token(&world.session(&id).await).await, old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_does_not_cancel_the_refresh() {
    let world = World::start().await;
    let id = world.expired().await;
    let hold = world.control().hold_answer(Endpoint::Token);
    let (auth, key) = (world.auth.clone(), id.clone());
    let browser = tokio::spawn(async move { auth.authenticate(Some(&key)).await });
    hold.waiting(1).await.unwrap();
    browser.abort();
    assert!(browser.await.unwrap_err().is_cancelled());
    hold.release();
    eventually("the rotated token is saved", || world.store.count(Op::Swap) == 1).await;
    assert_eq!(world.session(&id).await.refresh_count(), 1);
    world.clock.advance(LIFE);
    assert_eq!(world.session(&id).await.refresh_count(), 2);
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (2, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_the_refresh() {
    let world = World::start().await;
    let id = world.expired().await;
    let hold = world.control().hold_answer(Endpoint::Token);
    let (auth, key) = (world.auth.clone(), id.clone());
    let browser = tokio::spawn(async move { auth.authenticate(Some(&key)).await });
    hold.waiting(1).await.unwrap();
    browser.abort();
    let auth = world.auth.clone();
    let shutdown = tokio::spawn(async move { auth.shutdown().await });
    hold.release();
    shutdown.await.unwrap();
    assert_eq!(world.store.count(Op::Swap), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_instances_one_refreshes_and_the_other_adopts() {
    let world = World::start().await;
    let other = world.instance().await;
    let id = world.sign_in().await;
    for round in 1..=3 {
        world.clock.advance(LIFE);
        let taken = world.store.count(Op::Acquire);
        let hold = world.control().hold_answer(Endpoint::Token);
        let mut tasks = JoinSet::new();
        crowd(&mut tasks, &world.auth, &id, 20);
        crowd(&mut tasks, &other, &id, 20);
        hold.waiting(1).await.unwrap();
        eventually("both ask for the lease", || {
            world.store.count(Op::Acquire) >= taken + 2
        })
        .await;
        hold.release();
        let tokens: HashSet<String> = tasks.join_all().await.into_iter().collect();
        assert_eq!(tokens.len(), 1);
        assert_eq!(
            (world.control().refresh_count(), world.control().reuse_count()),
            (round, 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_reader_adopts_what_it_finds() {
    let world = World::start().await;
    let other = world.instance().await;
    let id = world.expired().await;
    let late = other.peek(Some(&id)).await.unwrap();
    let token = world.token(&world.session(&id).await).await;
    assert_eq!(other.access_token(&late).await.unwrap().expose(), token);
    assert_eq!(world.control().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_a_process_that_died_ends_and_is_taken_over() {
    let world = World::start().await;
    let id = world.expired().await;
    let (key, now, dead) = (id.key(), world.auth.now(), LeaseOwner::from_u128(1));
    let lease = world.store.acquire(&key, 1, dead, secs(10), now).await.unwrap();
    assert!(matches!(lease, Acquired::Got(_)));

    let (auth, id) = (world.auth.clone(), id.clone());
    let waiting = tokio::spawn(async move { auth.authenticate(Some(&id)).await });
    eventually("it waits", || world.store.count(Op::Acquire) >= 3).await;
    assert_eq!(
        world.control().refresh_count(),
        0,
        "without the lease nothing is sent"
    );
    world.clock.advance(secs(10));
    assert_eq!(waiting.await.unwrap().unwrap().refresh_count(), 1);
    assert_eq!(world.control().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_holder_in_vain_is_told_so_and_stays_signed_in() {
    let world = World::start().await;
    let id = world.expired().await;
    let owner = LeaseOwner::from_u128(1);
    let lease = world
        .store
        .acquire(&id.key(), 1, owner, secs(60), world.auth.now())
        .await
        .unwrap();
    assert!(matches!(lease, Acquired::Got(_)));
    // Waits 10 s by the machine's clock.
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refresh(error) if matches!(**error, RefreshError::Busy)),
        "{error:?}"
    );
    assert_eq!((error.status(), error.retry_after().is_some()), (503, true));
    assert_eq!(world.control().refresh_count(), 0);
    world.clock.advance(secs(60));
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_whose_lease_has_run_out_still_saves() {
    let world = World::start().await;
    let id = world.expired().await;
    world.store.breaks(Op::Renew);
    let hold = world.control().hold_answer(Endpoint::Token);
    let (auth, key) = (world.auth.clone(), id.clone());
    let slow = tokio::spawn(async move { auth.authenticate(Some(&key)).await });
    hold.waiting(1).await.unwrap();
    world.clock.advance(secs(60));
    hold.release();
    assert_eq!(slow.await.unwrap().unwrap().refresh_count(), 1);
    assert_eq!(world.session(&id).await.refresh_count(), 1);
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (1, 0)
    );
}

// RFC 9700 §4.14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_refresh_token_that_is_not_current_ends_nothing() {
    let world = World::start().await;
    let other = world.instance().await;
    let id = world.expired().await;
    world.store.breaks(Op::Renew);
    let answers = world.control().hold_answer(Endpoint::Token);
    world
        .control()
        .fail_next(Endpoint::Token, 1, Fault::oauth(400, "invalid_grant"));
    let (auth, key) = (world.auth.clone(), id.clone());
    let refused = tokio::spawn(async move { auth.authenticate(Some(&key)).await });
    answers.waiting(1).await.unwrap();
    // Its lease runs out, and another instance refreshes meanwhile.
    world.clock.advance(secs(10));
    let key = id.clone();
    let rival = tokio::spawn(async move { other.authenticate(Some(&key)).await });
    answers.waiting(2).await.unwrap();
    let rereading = world.store.hold(Op::Load);
    answers.release();
    rereading.waiting(1).await;
    assert_eq!(rival.await.unwrap().unwrap().refresh_count(), 1);
    drop(rereading);
    let adopted = refused.await.unwrap().unwrap();
    assert_eq!(adopted.refresh_count(), 1, "it adopts what the other has saved");
    assert_eq!(world.control().refresh_count(), 2);
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_refresh_token_that_is_current_ends_the_session_for_all_who_wait() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().kill_refresh_tokens();
    let hold = world.control().hold(Endpoint::Token);
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (auth, id) = (world.auth.clone(), id.clone());
        tasks.spawn(async move { auth.authenticate(Some(&id)).await });
    }
    eventually("20 loads", || world.store.count(Op::Load) >= 20).await;
    hold.waiting(1).await.unwrap();
    hold.release();
    for result in tasks.join_all().await {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::NotSignedIn(_)), "{error:?}");
    }
    assert_eq!((world.control().refresh_count(), world.store.sessions()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_during_the_refresh_wins() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    world.clock.advance(LIFE);
    let hold = world.control().hold_answer(Endpoint::Token);
    let auth = world.auth.clone();
    let refresh = tokio::spawn(async move { auth.authenticate(Some(&id)).await });
    hold.waiting(1).await.unwrap();
    assert_eq!(browser.logout().await.status, 303);
    hold.release();
    let error = refresh.await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
    assert_eq!(world.store.sessions(), 0, "it does not come back");
    eventually("old and new tokens are revoked", || world.revoked().len() == 4).await;
    let distinct: HashSet<String> = world.revoked().into_iter().collect();
    assert_eq!(distinct.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_during_the_sign_out_leaves_no_token_behind() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    world.clock.advance(LIFE);
    // The sign-out has read the session; before it is deleted, another request refreshes its tokens.
    let hold = world.store.hold(Op::Delete);
    let sign_out = async { browser.logout().await };
    let refresh = async {
        hold.waiting(1).await;
        let token = world.token(&world.session(&id).await).await;
        drop(hold);
        token
    };
    let (reply, token) = tokio::join!(sign_out, refresh);
    assert_eq!((reply.status, world.store.sessions()), (303, 0));
    world.settle().await;
    assert!(
        world.revoked().contains(&token),
        "the newest access token was revoked"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_a_session_revokes_its_tokens_as_they_are_now() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let seen = world.session(&id).await;
    world.clock.advance(LIFE);
    let token = world.token(&world.session(&id).await).await;
    world.auth.end_session(&seen).await.unwrap();
    world.settle().await;
    assert!(
        world.revoked().contains(&token),
        "the newest access token was revoked"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_once_at_the_save_loses_nothing() {
    for failure in [Failure::Lost, Failure::AnswerLost] {
        let world = World::start().await;
        let id = world.expired().await;
        world.store.fail_next(Op::Swap, failure);
        assert_eq!(world.session(&id).await.refresh_count(), 1, "{failure:?}");
        world.clock.advance(LIFE);
        assert_eq!(world.session(&id).await.refresh_count(), 2, "{failure:?}");
        assert_eq!(
            (world.control().refresh_count(), world.control().reuse_count()),
            (2, 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_before_the_refresh_is_no_sign_out() {
    let world = World::start().await;
    let id = world.expired().await;
    for failure in [Failure::Lost, Failure::AnswerLost] {
        world.store.fail_next(Op::Acquire, failure);
        let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
        assert!(matches!(error, Error::Store(_)), "{error:?}");
        assert_eq!(world.control().refresh_count(), 0);
    }
    // The second lease was taken, and nobody knows: it ends by itself.
    world.clock.advance(secs(10));
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_after_a_refusal_is_no_sign_out_yet() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().kill_refresh_tokens();
    world.store.fail_next(Op::Delete, Failure::Lost);
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    world.clock.advance(secs(10));
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::GrantEnded)),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_panics_can_be_tried_again() {
    let world = World::start().await;
    let id = world.expired().await;
    world.store.fail_next(Op::Acquire, Failure::Panic);
    world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert_eq!(world.session(&id).await.refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_refresh_token_a_dead_access_token_counts_as_not_signed_in() {
    let world = World::with(|builder| builder.scopes("openid email")).await;
    let id = world.sign_in().await;
    assert!(!world.session(&id).await.is_refreshable());
    world.clock.advance(LIFE - secs(1));
    world.session(&id).await;
    world.clock.advance(secs(1));
    for result in [
        world.auth.authenticate(Some(&id)).await,
        world.auth.peek(Some(&id)).await,
    ] {
        assert!(matches!(
            result.unwrap_err(),
            Error::NotSignedIn(NotSignedIn::TokenExpired)
        ));
    }
    assert_eq!(world.control().refresh_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_at_a_session_never_refreshes_it() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.clock.advance(LIFE);
    world.control().go_down().await;
    let reply = world
        .auth
        .session_status(browser.request("GET", "/auth/session"))
        .await;
    assert!(reply.body.contains(r#""authenticated":true"#), "{}", reply.body);
    assert_eq!(world.store.count(Op::Acquire), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_access_token_is_dropped_and_replaced_when_next_needed() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let session = world.session(&id).await;
    let old = world.token(&session).await;
    world.control().fail_next(Endpoint::Revoke, 1, Fault::status(503));
    let error = world.auth.revoke_access_token(&session).await.unwrap_err();
    assert_eq!(error.status(), 503);
    assert_eq!(
        world.token(&world.session(&id).await).await,
        old,
        "kept while it could not be revoked"
    );
    world.auth.revoke_access_token(&session).await.unwrap();
    assert_eq!(world.revoked().last(), Some(&old));
    assert_eq!(
        world
            .auth
            .peek(Some(&id))
            .await
            .unwrap()
            .access_token_expires_at(),
        None
    );
    assert_ne!(world.token(&world.session(&id).await).await, old);
    assert_eq!(world.control().refresh_count(), 1);
}

/// The record's lease is the right to present the refresh token; nothing else that changes the record may take it away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_during_a_refresh_leaves_the_lease_alone() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let snapshot = world.session(&id).await;
    let (second, third) = (world.instance().await, world.instance().await);
    world.clock.advance(LIFE);
    let hold = world.control().hold(Endpoint::Token);
    let first = tokio::spawn({
        let (auth, id) = (world.auth.clone(), id.clone());
        async move { auth.authenticate(Some(&id)).await }
    });
    hold.waiting(1).await.unwrap();
    let revocation = tokio::spawn(async move { second.revoke_access_token(&snapshot).await });
    eventually("the revocation at the provider", || {
        world.control().count(Endpoint::Revoke) == 1
    })
    .await;
    let other = tokio::spawn({
        let id = id.clone();
        async move { third.authenticate(Some(&id)).await }
    });
    eventually("three that want the lease", || {
        world.store.count(Op::Acquire) >= 3
    })
    .await;
    hold.release();
    first.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    revocation.await.unwrap().unwrap();
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (1, 0)
    );
}
