//! What a refresh that brings nothing costs, whom, and for how long; and when a session ends by itself.

use std::sync::Arc;

use auth_core::error::NotSignedIn;
use auth_core::secret::SessionId;
use auth_core::store::{Record, SessionStore, Swapped};
use auth_core::{Auth, Error};
use auth_testing::{Endpoint, Fault};
use serde_json::json;

use crate::store::Op;
use crate::world::{LIFE, World, eventually, secs};

/// Signed-in sessions whose access tokens are dead.
async fn expired(world: &World, count: usize) -> Vec<SessionId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.sign_in().await);
    }
    world.clock.advance(LIFE);
    ids
}

async fn code(auth: &Auth, id: &SessionId) -> &'static str {
    match auth.authenticate(Some(id)).await {
        Ok(_) => "fresh",
        Err(error) => error.code(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_three_sessions_in_a_row_nobody_else_is_made_to_wait() {
    let world = World::start().await;
    let ids = expired(&world, 5).await;
    world.control().fail(Endpoint::Token, Fault::status(503));
    for id in &ids[..3] {
        assert_eq!(code(&world.auth, id).await, "refresh.unavailable");
    }
    assert_eq!(world.control().refresh_count(), 3);
    for id in &ids {
        let error = world.auth.authenticate(Some(id)).await.unwrap_err();
        assert_eq!((error.status(), error.retry_after().is_some()), (503, true));
    }
    assert_eq!(world.control().refresh_count(), 3, "nobody asked again");

    // A second later one of them finds out, and then all get in.
    world.control().clear_all();
    world.clock.advance(secs(1));
    for id in &ids {
        assert_eq!(code(&world.auth, id).await, "fresh");
    }
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (8, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_at_a_time_finds_out_whether_the_provider_is_back() {
    let world = World::start().await;
    let ids = expired(&world, 5).await;
    world.control().fail(Endpoint::Token, Fault::status(503));
    for id in &ids[..3] {
        code(&world.auth, id).await;
    }
    world.control().clear_all();
    world.clock.advance(secs(1));
    let hold = world.control().hold(Endpoint::Token);
    let (auth, id) = (world.auth.clone(), ids[3].clone());
    let trial = tokio::spawn(async move { auth.authenticate(Some(&id)).await });
    hold.waiting(1).await.unwrap();
    assert_eq!(code(&world.auth, &ids[4]).await, "refresh.unavailable");
    assert_eq!(hold.count(), 1);
    hold.release();
    trial.await.unwrap().unwrap();
    assert_eq!(code(&world.auth, &ids[4]).await, "fresh");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_fails_by_itself_stops_nobody_else() {
    let world = World::start().await;
    let ids = expired(&world, 2).await;
    world.control().fail_next(Endpoint::Token, 3, Fault::status(500));
    for _ in 0..10 {
        assert_eq!(code(&world.auth, &ids[0]).await, "refresh.unavailable");
    }
    assert_eq!(world.control().refresh_count(), 3, "it pauses for itself");
    assert_eq!(code(&world.auth, &ids[1]).await, "fresh");
    world.clock.advance(secs(1));
    assert_eq!(code(&world.auth, &ids[0]).await, "fresh");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_another_instance_refreshed_is_adopted_in_any_pause() {
    let world = World::start().await;
    let other = world.instance().await;
    let ids = expired(&world, 3).await;
    world.control().fail(Endpoint::Token, Fault::status(503));
    for id in &ids {
        code(&world.auth, id).await;
    }
    world.control().clear_all();
    assert_eq!(code(&other, &ids[0]).await, "fresh");
    assert_eq!(code(&world.auth, &ids[0]).await, "fresh");
    assert_eq!(world.control().refresh_count(), 4);
}

// RFC 6749 §5.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_failure_has_its_own_code() {
    let world = World::start().await;
    let id = world.sign_in().await;
    for (what, fault, expected) in [
        ("down", Fault::status(503), "refresh.unavailable"),
        (
            "nonsense",
            Fault::body(200, "text/html", "<h1>"),
            "refresh.unavailable",
        ),
        ("no answer", Fault::Reset, "refresh.unanswered"),
        (
            "our registration",
            Fault::oauth(401, "invalid_client"),
            "refresh.client_refused",
        ),
    ] {
        world.clock.advance(LIFE);
        world.control().fail_next(Endpoint::Token, 1, fault);
        assert_eq!(code(&world.auth, &id).await, expected, "{what}");
        assert_eq!(code(&world.auth, &id).await, "fresh", "{what}");
    }
    world.clock.advance(LIFE);
    world.control().go_down().await;
    assert_eq!(
        code(&world.auth, &id).await,
        "refresh.unavailable",
        "nobody there"
    );
    world.control().come_up().await.unwrap();

    let hasty = world.instance_with(|builder| builder.http_timeout(secs(1))).await;
    // Nobody clears it: the request ends with its connection, and is never carried out.
    world.control().fail_next(Endpoint::Token, 1, Fault::Hang);
    assert_eq!(code(&hasty, &id).await, "refresh.unanswered", "too slow");
    assert_eq!(code(&hasty, &id).await, "fresh");

    world.clock.advance(LIFE);
    world.control().kill_refresh_tokens();
    assert_eq!(
        code(&world.auth, &id).await,
        "session.grant_ended",
        "a dead grant"
    );
    assert_eq!(world.store.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_after_the_rotation_ends_in_a_clean_sign_in() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().fail_next(Endpoint::Token, 1, Fault::LoseAnswer);
    assert_eq!(code(&world.auth, &id).await, "refresh.unanswered");
    assert_eq!(
        world.store.sessions(),
        1,
        "it may have been lost on the way there"
    );
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::GrantEnded)),
        "{error:?}"
    );
    assert_eq!(world.store.sessions(), 0);
    let id = world.sign_in().await;
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_for_another_instance_shares_its_failure() {
    let world = World::start().await;
    let other = world.instance().await;
    let id = world.expired().await;
    let hold = world.control().hold(Endpoint::Token);
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    let (auth, key) = (world.auth.clone(), id.clone());
    let holder = tokio::spawn(async move { code(&auth, &key).await });
    hold.waiting(1).await.unwrap();
    let key = id.clone();
    let waits = tokio::spawn(async move { code(&other, &key).await });
    eventually("it waits", || world.store.count(Op::Acquire) >= 3).await;
    hold.release();
    assert_eq!(holder.await.unwrap(), "refresh.unavailable");
    assert_eq!(waits.await.unwrap(), "refresh.failed_elsewhere");
    assert_eq!(world.control().refresh_count(), 1, "one attempt for both");
    assert_eq!(code(&world.auth, &id).await, "fresh");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gets_the_lease_too_late_sends_nothing() {
    let world = World::start().await;
    let id = world.expired().await;
    let hold = world.store.hold(Op::Acquire);
    let (auth, key) = (world.auth.clone(), id.clone());
    let slow = tokio::spawn(async move { auth.authenticate(Some(&key)).await });
    hold.waiting(1).await;
    // A holder believes in its lease for eight seconds from before it asked, by the machine's clock.
    tokio::time::sleep(secs(8)).await;
    drop(hold);
    eventually("it sees its own lease", || world.store.count(Op::Acquire) >= 2).await;
    assert_eq!(world.control().count(Endpoint::Token), 1, "the sign-in's alone");
    world.clock.advance(secs(10));
    // The flight has waited for nearly as long as flights do; whether it gets there is no matter.
    let _ = slow.await.unwrap();
    world.session(&id).await;
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_id_token_says_anew_when_the_provider_s_session_ends() {
    let world = World::with(|builder| builder.session_idle(secs(9000)).session_max(secs(10_000))).await;
    let began = world.auth.now();
    let expiry = |length: u64| {
        let at = began.plus(secs(length)).as_secs();
        world
            .control()
            .tamper_id_token(move |_, claims| drop(claims.insert("session_expiry".into(), json!(at))));
    };
    expiry(2000);
    let id = world.sign_in().await;
    let ends_at = |session: auth_core::session::Session| session.expires_at().as_secs() - began.as_secs();
    assert_eq!(ends_at(world.session(&id).await), 2000);
    for (said, expected) in [(1500, 1500), (5000, 5000), (20_000, 10_000)] {
        world.clock.advance(LIFE);
        expiry(said);
        let ends_at = ends_at(world.session(&id).await);
        let idle_end = world.auth.now().plus(secs(9000)).as_secs() - began.as_secs();
        let expected = i64::from(expected).min(idle_end);
        assert_eq!(ends_at, expected, "{said}");
    }
}

// RFC 10017 §6.1.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_does_not_outlive_its_refresh_token() {
    for name in ["refresh_expires_in", "refresh_token_expires_in"] {
        let world = World::start().await;
        let began = world.auth.now();
        world
            .control()
            .tamper_token_response(move |answer| drop(answer.insert(name.into(), json!(1800))));
        let id = world.sign_in().await;
        let end = world.session(&id).await.expires_at();
        assert_eq!(end.since(began), secs(1800), "{name}");
        world.clock.advance(secs(1000));
        let end = world.session(&id).await.expires_at();
        assert_eq!(end.since(began), secs(2800), "{name}: a new one came");

        // Somebody who has seen an older record notes a use of the session.
        let now = world.auth.now();
        let far = now.plus(secs(100_000));
        world.store.touch(&id.key(), now, far, now).await.unwrap();
        world.clock.advance(secs(1799));
        world.control().fail(Endpoint::Token, Fault::status(503));
        assert_eq!(code(&world.auth, &id).await, "refresh.unavailable");
        world.clock.advance(secs(1));
        assert_eq!(code(&world.auth, &id).await, "session.ended", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_makes_no_sense_is_no_session_and_is_left_alone() {
    let world = World::start().await;
    let id = world.expired().await;
    let (key, now) = (id.key(), world.auth.now());
    let good = world.store.load(&key, now).await.unwrap().unwrap();
    let mut flipped = good.sealed.to_vec();
    flipped[40] ^= 1;
    let bodies: [&[u8]; 6] = [
        b"",
        b"\0",
        b"not sealed at all, but long enough to be taken for something that is",
        &good.sealed[..good.sealed.len() - 1],
        &flipped,
        &vec![0xff; 1 << 20],
    ];
    let mut version = good.version;
    for body in bodies {
        let record = Record {
            sealed: Arc::from(body),
            opened: Default::default(),
            ..Record::clone(&good)
        };
        let swapped = world.store.compare_and_swap(&key, version, record, now).await;
        assert!(matches!(swapped.unwrap(), Swapped::Yes));
        version += 1;
        assert_eq!(code(&world.auth, &id).await, "session.ended");
        let stored = world.store.load(&key, now).await.unwrap().unwrap();
        assert_eq!((stored.version, &stored.sealed[..]), (version, body));
    }
    assert_eq!(world.control().refresh_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_harms_nothing() {
    let world = World::start().await;
    let id = world.sign_in().await;
    // Back: what is good stays good, and a failure long ahead holds nobody up.
    world.clock.advance(LIFE);
    world.control().fail(Endpoint::Token, Fault::status(503));
    for _ in 0..4 {
        code(&world.auth, &id).await;
    }
    world.control().clear_all();
    world.clock.set(world.auth.now().minus(secs(30)));
    assert_eq!(code(&world.auth, &id).await, "fresh");
    world.clock.advance(secs(31));
    assert_eq!(code(&world.auth, &id).await, "fresh");
    // Ahead, beyond every deadline: the session has ended, and nothing panics.
    world
        .clock
        .set(auth_core::clock::Timestamp::from_secs(i64::MAX / 1000));
    assert_eq!(code(&world.auth, &id).await, "session.ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_finds_out_for_the_others_may_meet_another_holder() {
    let world = World::start().await;
    let other = world.instance().await;
    let ids = expired(&world, 4).await;
    world.control().fail(Endpoint::Token, Fault::status(503));
    for id in &ids[..3] {
        code(&world.auth, id).await;
    }
    world.control().clear_all();
    world.clock.advance(secs(1));
    let hold = world.control().hold(Endpoint::Token);
    let (auth, id) = (other, ids[3].clone());
    let holder = tokio::spawn(async move { code(&auth, &id).await });
    hold.waiting(1).await.unwrap();
    let taken = world.store.count(Op::Acquire);
    let (auth, id) = (world.auth.clone(), ids[3].clone());
    let trial = tokio::spawn(async move { code(&auth, &id).await });
    eventually("it asks again and again", || {
        world.store.count(Op::Acquire) >= taken + 3
    })
    .await;
    hold.release();
    assert_eq!((holder.await.unwrap(), trial.await.unwrap()), ("fresh", "fresh"));
    assert_eq!(code(&world.auth, &ids[0]).await, "fresh");
}

/// The refresh token says nothing about whose access token is in the record then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_rotation_a_late_holder_saves_over_an_access_token_that_was_dropped() {
    let world = World::start().await;
    world.control().set_rotation(false);
    let id = world.sign_in().await;
    let seen = world.session(&id).await;
    let refresh = |auth: Auth, id: SessionId| tokio::spawn(async move { auth.authenticate(Some(&id)).await });
    world.clock.advance(LIFE);
    world.store.breaks(Op::Renew);
    let hold = world.control().hold_answer(Endpoint::Token);
    let slow = refresh(world.auth.clone(), id.clone());
    hold.waiting(1).await.unwrap();
    // Its lease ends, and somebody drops the access token.
    world.clock.advance(secs(10));
    let second = world.instance().await;
    second.revoke_access_token(&seen).await.unwrap();
    hold.release();
    slow.await.unwrap().unwrap();
    world.store.mend();
    let session = world.session(&id).await;
    assert!(
        session.access_token_expires_at().is_some(),
        "the tokens that came are in"
    );
}

/// Whoever is late does not put the older of two access tokens over the newer one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_rotation_a_late_holder_adopts_the_tokens_of_the_one_that_took_over() {
    let world = World::start().await;
    let other = world.instance().await;
    world.control().set_rotation(false);
    let id = world.expired().await;
    world.store.breaks(Op::Renew);
    let swaps = world.store.hold(Op::Swap);
    let (auth, key) = (world.auth.clone(), id.clone());
    let late = tokio::spawn(async move { auth.authenticate(Some(&key)).await });
    swaps.waiting(1).await;
    world.clock.advance(secs(10));
    let (auth, key) = (other.clone(), id.clone());
    let next = tokio::spawn(async move { auth.authenticate(Some(&key)).await });
    swaps.waiting(2).await;
    drop(swaps);
    late.await.unwrap().unwrap();
    next.await.unwrap().unwrap();
    assert_eq!(world.control().refresh_count(), 2);
    assert_eq!(
        world.session(&id).await.refresh_count(),
        1,
        "one of the two was saved"
    );
}

/// An instance that has just started has no keys yet, and its first refreshes may all find that out at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refreshes_that_began_without_keys_use_those_that_came_meanwhile() {
    let world = World::start().await;
    let ids = expired(&world, 4).await;
    let fresh = world.instance().await;
    let swaps = world.store.hold(Op::Swap);
    let refreshes: Vec<_> = ids
        .iter()
        .map(|id| {
            let (auth, id) = (fresh.clone(), id.clone());
            tokio::spawn(async move { code(&auth, &id).await })
        })
        .collect();
    swaps.waiting(4).await;
    // A sign-in brings the keys, and another one uses up the one fetch in half a minute for a key that is not among them.
    world.browser_of(&fresh).sign_in("/").await;
    world.control().sign_with_unpublished_key(true);
    assert_eq!(world.browser_of(&fresh).try_sign_in("/").await.status, 502);
    drop(swaps);
    for refresh in refreshes {
        assert_eq!(refresh.await.unwrap(), "fresh");
    }
    assert_eq!(world.store.sessions(), 5);
}
