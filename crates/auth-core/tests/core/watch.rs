//! Waiting for the end of a session ([`Auth::until_ended`]).

use std::future::Future;
use std::time::Duration;

use auth_core::reply::SessionChange;
use auth_core::secret::SessionId;
use auth_core::session::Session;
use auth_core::store::Notice;
use auth_core::{Auth, UntilEnded};
use auth_testing::{Endpoint, Fault};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::store::{Failure, Op, Tells};
use crate::world::{Head, LIFE, World, eventually, secs};

/// How long the end of a session may take to be noticed.
const WITHIN: Duration = Duration::from_secs(2);

async fn assert_ends(what: &str, waiting: impl IntoIterator<Item = UntilEnded>) {
    timeout(WITHIN, join_all(waiting))
        .await
        .unwrap_or_else(|_| panic!("{what}: the end was not noticed within {WITHIN:?}"));
}

/// The session was looked up again, all of it, and has not ended.
async fn assert_goes_on(world: &World, what: &str, waiting: &mut UntilEnded) {
    let before = world.store.count(Op::Load);
    eventually("it is looked up", || world.store.count(Op::Load) >= before + 2).await;
    assert_eq!(waiting.now_or_never(), None, "{what}");
}

/// Two instances wait for the end of a session.
struct Both {
    id: SessionId,
    session: Session,
    waiting: [UntilEnded; 2],
}

async fn both(world: &World, second: &Auth, id: SessionId) -> Both {
    let session = world.session(&id).await;
    let waiting = [world.auth.until_ended(&session), second.until_ended(&session)];
    Both { id, session, waiting }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_noticed_on_every_instance_however_a_session_is_ended() {
    let world = World::start().await;
    let second = world.instance().await;
    let mut bystander = both(&world, &second, world.sign_in().await).await;

    let mut browser = world.browser();
    let this = both(&world, &second, browser.sign_in("/").await).await;
    drop(browser.logout().await);
    assert_ends("sign-out", this.waiting).await;

    let this = both(&world, &second, world.sign_in().await).await;
    second.end_session(&this.session).await.unwrap();
    assert_ends("ended by the app", this.waiting).await;

    let this = both(&world, &second, world.sign_in().await).await;
    let key = this.session.key();
    assert!(
        second
            .end_session_of_user(&bystander.session, &key)
            .await
            .unwrap()
    );
    assert_ends("ended from the list", this.waiting).await;

    let this = both(&world, &second, world.sign_in().await).await;
    assert_eq!(second.end_other_sessions(&bystander.session).await.unwrap(), 1);
    assert_ends("all others ended", this.waiting).await;

    let this = both(&world, &second, world.sign_in().await).await;
    let head = Head {
        method: "GET",
        target: format!(
            "/auth/frontchannel-logout?iss={}&sid={}",
            world.provider.issuer(),
            this.session.sid().unwrap()
        ),
        headers: Vec::new(),
    };
    let request = second.route_request(&head, Vec::new(), None);
    assert_eq!(second.frontchannel_logout(request).await.status, 200);
    assert_ends("ended by the provider", this.waiting).await;

    let mut browser = world.browser_of(&second);
    let this = both(&world, &second, browser.sign_in("/").await).await;
    browser.sign_in("/").await;
    assert_ends("replaced by a new sign-in", this.waiting).await;

    assert_eq!(world.auth.waiting_for_ends(), 1);
    for waiting in &mut bystander.waiting {
        assert_eq!(waiting.now_or_never(), None, "this one went on");
    }
    let issuer = world.auth.issuer();
    world.auth.end_sessions_of(&issuer, "ada").await.unwrap();
    assert_ends("ended by an operator", bystander.waiting).await;
    assert_eq!((world.auth.waiting_for_ends(), second.waiting_for_ends()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_is_refused_is_an_end_and_one_that_succeeds_or_fails_is_none() {
    let world = World::start().await;
    let second = world.instance().await;
    world.store.tells(Tells::NoWay);
    let mut this = both(&world, &second, world.sign_in().await).await;
    for _ in 0..2 {
        world.clock.advance(LIFE);
        world
            .control()
            .fail_next(Endpoint::Token, 1, Fault::oauth(503, "down"));
        second.authenticate(Some(&this.id)).await.unwrap_err();
        assert_goes_on(&world, "the provider was down", &mut this.waiting[0]).await;
        second.authenticate(Some(&this.id)).await.unwrap();
        assert_goes_on(&world, "it was refreshed", &mut this.waiting[0]).await;
    }
    world.clock.advance(LIFE);
    assert_goes_on(&world, "it can be refreshed", &mut this.waiting[0]).await;
    world
        .control()
        .fail_next(Endpoint::Token, 1, Fault::oauth(400, "invalid_grant"));
    second.authenticate(Some(&this.id)).await.unwrap_err();
    assert_ends("a refused refresh", this.waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_by_itself_is_noticed_when_it_does() {
    for (what, after) in [("idle", secs(3600)), ("busy", secs(7200))] {
        let world = World::with(|builder| builder.session_idle(secs(3600)).session_max(secs(7200))).await;
        let second = world
            .instance_with(|builder| builder.session_idle(secs(3600)).session_max(secs(7200)))
            .await;
        let id = world.sign_in().await;
        let mut this = both(&world, &second, id).await;
        let mut passed = Duration::ZERO;
        while what == "busy" && passed + secs(1800) < after {
            world.clock.advance(secs(1800));
            passed += secs(1800);
            let touched = world.store.count(Op::Touch);
            second.peek(Some(&this.id)).await.unwrap();
            eventually("its use is written down", || {
                world.store.count(Op::Touch) > touched
            })
            .await;
        }
        world.clock.advance(after - passed - Duration::from_millis(1));
        // Whoever finds the deadline that it knew of passed looks again.
        assert!(
            timeout(secs(2), &mut this.waiting[0]).await.is_err(),
            "{what}: too early"
        );
        world.clock.advance(Duration::from_millis(1));
        assert_ends(what, this.waiting).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_refresh_token_the_session_ends_with_its_access_token() {
    let world = World::with(|builder| builder.scopes("openid")).await;
    let second = world.instance().await;
    let mut this = both(&world, &second, world.sign_in().await).await;
    assert!(!this.session.is_refreshable());
    world.clock.advance(LIFE - Duration::from_millis(1));
    assert!(timeout(secs(2), &mut this.waiting[0]).await.is_err(), "too early");
    world.clock.advance(Duration::from_millis(1));
    assert_ends("a dead access token", this.waiting).await;

    let this = both(&world, &second, world.sign_in().await).await;
    second.revoke_access_token(&this.session).await.unwrap();
    assert_ends("a revoked access token", this.waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_ended_since_it_was_read_is_noticed() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let session = world.session(&id).await;
    drop(browser.logout().await);
    let mut waiting = world.auth.until_ended(&session);
    timeout(WITHIN, &mut waiting).await.unwrap();
    assert_eq!((&mut waiting).now_or_never(), Some(()), "it stays complete");
    drop(waiting);
    assert_eq!(world.auth.waiting_for_ends(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_leaves_nothing_behind() {
    let world = World::start().await;
    world.store.tells(Tells::OnDemand);
    let session = world.session(&world.sign_in().await).await;
    for _ in 0..3 {
        let mut waiting: Vec<_> = (0..10).map(|_| world.auth.until_ended(&session)).collect();
        assert_eq!(world.auth.waiting_for_ends(), 10);
        eventually("it listens", || world.store.listeners() == 1).await;
        waiting.truncate(1);
        assert_eq!(world.auth.waiting_for_ends(), 1);
        drop(waiting);
        assert_eq!(world.auth.waiting_for_ends(), 0);
        eventually("it listens no more", || world.store.listeners() == 0).await;
    }
    let loads = world.store.count(Op::Load);
    tokio::time::sleep(secs(2)).await;
    assert_eq!(world.store.count(Op::Load), loads, "it looks no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_down_nothing_ends_and_afterwards_what_has_ended_does() {
    let world = World::with(|builder| builder.session_idle(secs(3600))).await;
    for tells in [Tells::All, Tells::NoWay] {
        world.store.tells(tells);
        let session = world.session(&world.sign_in().await).await;
        world.store.breaks(Op::Load);
        let mut waiting = world.auth.until_ended(&session);
        assert_goes_on(&world, "the store is down", &mut waiting).await;
        world.clock.advance(secs(3600));
        assert_goes_on(
            &world,
            "the store is down, and it may have been used elsewhere",
            &mut waiting,
        )
        .await;
        world.store.mend();
        assert_ends("it was idle", [waiting]).await;
        eventually("the next one begins anew", || world.auth.waiting_for_ends() == 0).await;
        tokio::time::sleep(secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_panics_leaves_nobody_alone() {
    let world = World::start().await;
    let mut browser = world.browser();
    let session = world.session(&browser.sign_in("/").await).await;
    world.store.fail_next(Op::Load, Failure::Panic);
    let before = world.store.count(Op::Load);
    let waiting = world.auth.until_ended(&session);
    eventually("it is looked up again", || {
        world.store.count(Op::Load) > before + 1
    })
    .await;
    drop(browser.logout().await);
    assert_ends("sign-out", [waiting]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_tells_is_not_asked_and_one_that_cannot_is() {
    let world = World::start().await;
    world.store.tells(Tells::OnDemand);
    let mut browsers = [world.browser(), world.browser(), world.browser()];
    let mut waiting = Vec::new();
    for browser in &mut browsers {
        let session = world.session(&browser.sign_in("/").await).await;
        waiting.push((session.key(), world.auth.until_ended(&session)));
    }
    // Deaf at first.
    let (_, mut last) = waiting.pop().unwrap();
    assert_goes_on(&world, "nothing has happened", &mut last).await;
    drop(browsers[2].logout().await);
    assert_ends("asked for, as nothing was told yet", [last]).await;

    world.store.tell(Notice::Listening);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let loads = world.store.count(Op::Load);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(
        world.store.count(Op::Load),
        loads,
        "the store tells, and is not asked"
    );
    let (key, first) = waiting.remove(0);
    world.store.tell(Notice::Ended(key));
    assert_ends("told", [first]).await;

    // It went unheard; each of these words is the reason to ask.
    drop(browsers[1].logout().await);
    let (_, second) = waiting.remove(0);
    world.store.tell(Notice::Listening);
    assert_ends(
        "missed, and asked for on the word that the store tells again",
        [second],
    )
    .await;

    for deaf in [true, false] {
        let mut browser = world.browser();
        let session = world.session(&browser.sign_in("/").await).await;
        let mut waiting = world.auth.until_ended(&session);
        eventually("it listens", || world.store.listeners() == 1).await;
        world.store.tell(Notice::Listening);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!((&mut waiting).now_or_never(), None);
        drop(browser.logout().await);
        if deaf {
            world.store.tell(Notice::Deaf);
        } else {
            world.store.stops_telling();
        }
        assert_ends("asked for, as nothing is told any more", [waiting]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_wait_are_told_at_once_and_cost_the_store_little() {
    let world = World::start().await;
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push(world.session(&world.sign_in().await).await);
    }
    let loads = world.store.count(Op::Load);
    let waiting: Vec<_> = (0..1000)
        .map(|n| world.auth.until_ended(&sessions[n % sessions.len()]))
        .collect();
    assert_eq!(world.auth.waiting_for_ends(), 1000);
    tokio::time::sleep(secs(3)).await;
    let looked = world.store.count(Op::Load) - loads;
    assert!((50..=150).contains(&looked), "{looked} look-ups of 50 sessions");
    let issuer = world.auth.issuer();
    assert_eq!(world.auth.end_sessions_of(&issuer, "ada").await.unwrap(), 50);
    assert_ends("all of them", waiting).await;
    assert_eq!(world.auth.waiting_for_ends(), 0);

    // A store that cannot tell is asked for each of them, a few at a time.
    world.store.tells(Tells::NoWay);
    tokio::time::sleep(secs(2)).await;
    world.clock.advance(secs(1));
    let session = world.session(&world.sign_in().await).await;
    let waiting: Vec<_> = (0..1000).map(|_| world.auth.until_ended(&session)).collect();
    world.auth.end_session(&session).await.unwrap();
    assert_ends("all of them, asked for", waiting).await;
}

/// A future that a stream takes along.
#[tokio::test]
async fn it_borrows_nothing_and_crosses_threads() {
    fn assert_stream_may_hold<T: Future<Output = ()> + Send + Sync + Unpin + 'static>(_: &T) {}
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let waiting = world.auth.until_ended(&world.session(&id).await);
    assert_stream_may_hold(&waiting);
    let on_another_thread = tokio::spawn(waiting);
    assert!(matches!(browser.logout().await.session, SessionChange::Clear));
    timeout(WITHIN, on_another_thread).await.unwrap().unwrap();
}
