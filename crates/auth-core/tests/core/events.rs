//! What the app's hooks are told: each fact once, with its reason.

use std::sync::{Arc, Mutex};

use auth_core::gate::OnRefusal;
use auth_core::grants::CustomGrant;
use auth_core::store::{Inserted, Opened, Record, SessionKey, SessionStore as _};
use auth_core::types::Issuer;
use auth_core::{Auth, AuthBuilder, EndReason, Error, Event, EventKind, Fault as Whose, Refused};
use auth_testing::{Endpoint, Fault};
use futures_util::future::join_all;
use serde_json::json;

use crate::provider_logout::{send, show, sid, token};
use crate::store::{Failure, Op};
use crate::world::{LIFE, World, secs};

/// What was told so far.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    pub(crate) fn by(&self, builder: AuthBuilder) -> AuthBuilder {
        let told = self.clone();
        builder.on_event(move |event| told.0.lock().unwrap().push(event.clone()))
    }

    /// Everything since the last time.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Everything since the last time, by kind.
    pub(crate) fn kinds(&self) -> Vec<EventKind> {
        self.take().iter().map(|event| event.kind).collect()
    }

    pub(crate) fn count(&self, kind: EventKind) -> usize {
        let told = self.0.lock().unwrap();
        told.iter().filter(|event| event.kind == kind).count()
    }
}

pub(crate) async fn world() -> (World, Told) {
    let told = Told::default();
    let world = World::with(|builder| told.by(builder)).await;
    (world, told)
}

const fn ended(reason: EndReason) -> EventKind {
    EventKind::SessionEnded { reason }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_is_told_with_who_it_was() {
    let (world, told) = world().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let target = browser.approve(&url).await;
    let mut head = browser.head("GET", &target);
    head.headers.push(("user-agent", "Desk/1.0".to_owned()));
    let reply = world.auth.callback(browser.request_of(&head)).await;
    browser.take(&reply);
    let events = told.take();
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(event.kind, EventKind::SignedIn);
    assert_eq!(event.at, world.auth.now());
    assert_eq!(event.session, browser.session().map(|id| id.key()));
    assert_eq!(event.issuer.as_ref(), Some(&world.auth.issuer()));
    assert_eq!(event.subject.as_deref(), Some("ada"));
    assert_eq!(event.user_agent.as_deref(), Some("Desk/1.0"));
    assert_eq!(
        event.path.as_deref(),
        Some("/auth/callback"),
        "the query holds the code"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debug_shows_nothing_personal() {
    let (world, told) = world().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let target = browser.approve(&url).await;
    let mut head = browser.head("GET", &target);
    head.headers.push(("user-agent", "Desk/1.0".to_owned()));
    let _ = world.auth.callback(browser.request_of(&head)).await;
    let shown = format!("{:?}", told.take());
    assert!(shown.contains("SignedIn"), "{shown}");
    for personal in ["ada", "Desk", "/auth/callback"] {
        assert!(!shown.contains(personal), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_fails_is_told_once_with_its_code() {
    let told = Told::default();
    let world = World::with(|builder| {
        told.by(builder)
            .on_sign_in(|_| async { Err(Refused::because("nobody is let in")) })
    })
    .await;
    let mut browser = world.browser();
    let _ = browser.try_sign_in("/").await;
    let events = told.take();
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        event.kind,
        EventKind::SignInFailed {
            code: "login.refused_by_app",
            fault: Whose::NotAllowed
        }
    );
    assert_eq!(event.subject.as_deref(), Some("ada"), "known by then");
    assert_eq!((event.session, event.issuer.is_some()), (None, true));

    let _ = browser.callback("/auth/callback?code=x&state=y").await;
    let events = told.take();
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(
        matches!(event.kind, EventKind::SignInFailed { code, .. } if code.starts_with("login.")),
        "{event:?}"
    );
    assert_eq!((&event.subject, &event.issuer), (&None, &None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_cannot_be_begun_is_told() {
    let (world, told) = world().await;
    world.control().fail(Endpoint::Discovery, Fault::status(503));
    assert_eq!(world.browser().login("/").await.status, 503);
    assert_eq!(
        told.kinds(),
        [EventKind::SignInFailed {
            code: "provider.unavailable",
            fault: Whose::Provider
        }]
    );
}

/// Signs in, ends the session in some way, and asserts that this was told, once.
macro_rules! ends {
    ($(#[$meta:meta])* $name:ident, $reason:ident, |$world:ident, $id:ident, $browser:ident| $end:block) => {
        $(#[$meta])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let ($world, told) = world().await;
            #[allow(unused_mut)]
            let mut $browser = $world.browser();
            let $id = $browser.sign_in("/").await;
            let key = $id.key();
            told.take();
            $end
            $world.settle().await;
            let events: Vec<_> = told.take().into_iter().filter(|event| event.session == Some(key)).collect();
            let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
            assert_eq!(kinds, [ended(EndReason::$reason)]);
            assert_eq!(events[0].subject.as_deref(), Some("ada"));
            assert_eq!(events[0].issuer.as_ref(), Some(&$world.auth.issuer()));
            $world.auth.authenticate(Some(&$id)).await.unwrap_err();
        }
    };
}

ends!(the_user_signs_out, SignedOut, |world, id, browser| {
    let _ = browser.logout().await;
});

ends!(
    the_user_ends_a_session_from_the_list,
    EndedByUser,
    |world, id, browser| {
        let other = world.session(&world.sign_in().await).await;
        assert!(world.auth.end_session_of_user(&other, &id.key()).await.unwrap());
        assert!(!world.auth.end_session_of_user(&other, &id.key()).await.unwrap());
    }
);

ends!(the_user_ends_all_others, EndedByUser, |world, id, browser| {
    let other = world.session(&world.sign_in().await).await;
    assert_eq!(world.auth.end_other_sessions(&other).await.unwrap(), 1);
});

ends!(the_app_ends_a_session, EndedByApp, |world, id, browser| {
    let session = world.session(&id).await;
    world.auth.end_session(&session).await.unwrap();
});

ends!(
    an_operator_ends_a_user_s_sessions,
    EndedByApp,
    |world, id, browser| {
        let issuer = Issuer::new(world.provider.issuer()).unwrap();
        assert_eq!(world.auth.end_sessions_of(&issuer, "ada").await.unwrap(), 1);
    }
);

ends!(
    the_provider_says_so_itself,
    BackChannelLogout,
    |world, id, browser| {
        let claims = json!({"sid": sid(&world, &id).await});
        assert_eq!(send(&world.auth, &token(&world, claims)).await.status, 200);
    }
);

ends!(
    the_provider_says_so_by_way_of_a_browser,
    FrontChannelLogout,
    |world, id, browser| {
        let query = format!("?iss={}&sid={}", world.provider.issuer(), sid(&world, &id).await);
        assert_eq!(show(&world.auth, &query).await.status, 200);
    }
);

ends!(the_grant_has_ended, GrantEnded, |world, id, browser| {
    world.control().kill_refresh_tokens();
    world.clock.advance(LIFE);
    let all = join_all((0..10).map(|_| world.auth.authenticate(Some(&id)))).await;
    assert!(all.iter().all(Result::is_err));
});

ends!(
    a_refreshed_id_token_is_refused,
    IdTokenRefused,
    |world, id, browser| {
        world
            .control()
            .tamper_id_token(|_, claims| drop(claims.insert("sub".to_owned(), json!("eve"))));
        world.clock.advance(LIFE);
        world.auth.authenticate(Some(&id)).await.unwrap_err();
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_sign_in_in_the_same_browser_replaces_the_old_one() {
    let (world, told) = world().await;
    let mut browser = world.browser();
    let old = browser.sign_in("/").await.key();
    told.take();
    let new = browser.sign_in("/").await.key();
    let events: Vec<_> = told
        .take()
        .iter()
        .map(|event| (event.kind, event.session))
        .collect();
    assert_eq!(
        events,
        [
            (ended(EndReason::Replaced), Some(old)),
            (EventKind::SignedIn, Some(new))
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_end_a_session_at_once_one_tells_of_it() {
    let told = Told::default();
    let world = World::with(|builder| told.by(builder)).await;
    let other = world.instance_with(|builder| told.by(builder)).await;
    for _ in 0..10 {
        let mut browser = world.browser();
        let id = browser.sign_in("/").await;
        let session = world.session(&id).await;
        let key = session.key();
        let logout_token = token(&world, json!({"sid": sid(&world, &id).await}));
        let issuer = Issuer::new(world.provider.issuer()).unwrap();
        told.take();
        let logout = |auth: &Auth| {
            let auth = auth.clone();
            let request = browser.request("POST", "/auth/logout");
            tokio::spawn(async move { drop(auth.logout(request).await) })
        };
        let (one, two) = (logout(&world.auth), logout(&other));
        let _ = tokio::join!(
            one,
            two,
            send(&other, &logout_token),
            world.auth.end_session(&session),
            other.end_sessions_of(&issuer, "ada"),
            world.auth.end_session_of_user(&session, &key),
        );
        let ends: Vec<_> = told
            .take()
            .into_iter()
            .filter(|event| matches!(event.kind, EventKind::SessionEnded { .. }))
            .collect();
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert_eq!(ends[0].session, Some(session.key()));
        world.clock.advance(secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_many_share_is_one_event() {
    let told = Told::default();
    let world = World::with(|builder| told.by(builder)).await;
    let other = world.instance_with(|builder| told.by(builder)).await;
    let id = world.expired().await;
    told.take();
    let all = join_all((0..40).map(|n| {
        let auth = if n % 2 == 0 { &world.auth } else { &other };
        auth.authenticate(Some(&id))
    }))
    .await;
    assert!(all.iter().all(Result::is_ok));
    let events = told.take();
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (event.kind, event.session, event.subject.as_deref()),
        (EventKind::Refreshed, Some(id.key()), Some("ada"))
    );
    // In the background as well.
    world.clock.advance(LIFE - secs(1));
    world.session(&id).await;
    world.settle().await;
    assert_eq!(told.kinds(), [EventKind::Refreshed]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_fails_is_one_event_and_ends_nothing() {
    let (world, told) = world().await;
    let id = world.expired().await;
    told.take();
    let hold = world.control().hold(Endpoint::Token);
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let (auth, id) = (world.auth.clone(), id.clone());
            tokio::spawn(async move { auth.authenticate(Some(&id)).await.is_err() })
        })
        .collect();
    hold.waiting(1).await.unwrap();
    hold.release();
    for failed in join_all(waiting).await {
        failed.unwrap();
    }
    world.settle().await;
    let failed = EventKind::RefreshFailed {
        code: "refresh.unavailable",
    };
    let events = told.take();
    assert_eq!(events[0].kind, failed);
    assert_eq!(events[0].session, Some(id.key()));
    let flights = world.control().refresh_count();
    let others = events.len() as u64;
    assert_eq!(others, flights, "one for each flight: {events:?}");
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_refused_is_told_with_its_path_and_without_its_query() {
    let (world, told) = world().await;
    let browser = world.browser();
    let mut head = browser.head("GET", "/orders/7?coupon=s3cret");
    head.headers.push(("user-agent", "Desk/1.0".to_owned()));
    let error: Error = world.auth.authenticate(None).await.unwrap_err();
    assert!(told.take().is_empty(), "what is not answered yet is no refusal");
    let _ = world
        .auth
        .refuse(&error, &world.auth.incoming(&head), &OnRefusal::Automatic);
    let events = told.take();
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        event.kind,
        EventKind::RequestRefused {
            code: "session.none",
            fault: Whose::NotSignedIn
        }
    );
    assert_eq!(event.path.as_deref(), Some("/orders/7"));
    assert_eq!(event.user_agent.as_deref(), Some("Desk/1.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cross_site_sign_out_and_a_bad_logout_token_are_told() {
    let (world, told) = world().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    told.take();
    let mut head = browser.head("POST", "/auth/logout");
    head.headers.push(("origin", "https://evil.example".to_owned()));
    let _ = world.auth.logout(browser.request_of(&head)).await;
    assert_eq!(send(&world.auth, "a.b.c").await.status, 400);
    let refused = |code| EventKind::RequestRefused {
        code,
        fault: Whose::Request,
    };
    assert_eq!(
        told.kinds(),
        [refused("request.cross_site"), refused("request.logout_token")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_panics_harms_nothing_else() {
    let told = Told::default();
    let world = World::with(|builder| {
        let builder = builder.on_event(|_| panic!("a hook panics on demand"));
        told.by(builder)
            .on_event(|_| panic!("a hook panics on demand, once more"))
    })
    .await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    world.clock.advance(LIFE);
    world.session(&id).await;
    assert_eq!(browser.logout().await.status, 303);
    assert_eq!(
        told.kinds(),
        [
            EventKind::SignedIn,
            EventKind::Refreshed,
            ended(EndReason::SignedOut)
        ]
    );
    assert_eq!(world.store.sessions(), 0);
    assert_eq!(world.revoked().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_does_not_confirm_is_not_told() {
    let (world, told) = world().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    told.take();
    world.store.fail_next(Op::Delete, Failure::Lost);
    assert_eq!(browser.logout().await.status, 503);
    let unavailable = EventKind::RequestRefused {
        code: "store.unavailable",
        fault: Whose::Store,
    };
    assert_eq!(told.kinds(), [unavailable]);
    assert!(world.revoked().is_empty());
    // Where the answer is lost, the session is gone: its tokens are revoked, whoever has ended it.
    world.store.fail_next(Op::Delete, Failure::AnswerLost);
    assert_eq!(browser.logout().await.status, 303);
    world.settle().await;
    assert_eq!(told.kinds(), []);
    assert_eq!(world.revoked().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_is_told_as_an_end_and_a_beginning() {
    let (world, told) = world().await;
    let session = world.session(&world.sign_in().await).await;
    told.take();
    let grant = CustomGrant::new("account_switch")
        .template("token", "{{accessToken}}")
        .param("account", "alice")
        .changes_user();
    let switched = world.auth.switch(&session, &grant).await.unwrap();
    let events: Vec<_> = told
        .take()
        .into_iter()
        .map(|event| (event.kind, event.session, event.subject))
        .collect();
    let (from, to) = (session.key(), switched.session.key());
    assert_eq!(
        events,
        [
            (ended(EndReason::Replaced), Some(from), Some("ada".to_owned())),
            (EventKind::Switched { from }, Some(to), Some("alice".to_owned())),
        ]
    );
    // One that fails is none.
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    world.auth.switch(&switched.session, &grant).await.unwrap_err();
    assert_eq!(told.kinds(), []);
}

/// A session that a refresh has moved to another one at the provider, and that turns out to be signed out, says by whom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_ended_a_session_that_moved_is_told_as_it_was() {
    let (world, told) = world().await;
    let issuer = Issuer::new(world.provider.issuer()).unwrap();
    for (how, reason) in [
        ("user", EndReason::EndedByApp),
        ("issuer", EndReason::EndedByApp),
        ("all", EndReason::EndedByApp),
        ("back sid", EndReason::BackChannelLogout),
        ("back sub", EndReason::BackChannelLogout),
        ("back both", EndReason::BackChannelLogout),
        ("front", EndReason::FrontChannelLogout),
        // The operator was there first; the last word is the provider's.
        ("user, back sub", EndReason::BackChannelLogout),
    ] {
        world.control().clear_tampering();
        let (mover, bystander) = (world.sign_in().await, world.sign_in().await);
        world
            .control()
            .tamper_id_token(|_, claims| drop(claims.insert("sid".to_owned(), json!("new"))));
        // Another one that has moved already: only where a front-channel logout finds one is it written down.
        world.clock.advance(LIFE);
        world.session(&bystander).await;
        let hold = world.store.hold_answer(Op::Swap);
        let refresh = async {
            let result = world.auth.authenticate(Some(&mover)).await;
            assert!(result.is_err(), "{how}");
        };
        let end = async {
            hold.waiting(1).await;
            // As for a session that the search has just missed.
            let now = world.auth.now();
            let record = world.store.load(&mover.key(), now).await.unwrap().unwrap();
            assert!(world.store.delete(&mover.key(), None, now).await.unwrap());
            for how in how.split(", ") {
                match how {
                    "user" => drop(world.auth.end_sessions_of(&issuer, "ada").await.unwrap()),
                    "issuer" => drop(world.auth.end_sessions_of_issuer(&issuer).await.unwrap()),
                    "all" => drop(world.auth.end_all_sessions().await.unwrap()),
                    "front" => {
                        let query = format!("?iss={}&sid=new", world.provider.issuer());
                        assert_eq!(show(&world.auth, &query).await.status, 200);
                    }
                    back => {
                        let claims = match back {
                            "back sid" => json!({"sid": "new"}),
                            "back sub" => json!({"sub": "ada"}),
                            _ => json!({"sid": "new", "sub": "ada"}),
                        };
                        assert_eq!(send(&world.auth, &token(&world, claims)).await.status, 200);
                    }
                }
                world.clock.advance(secs(1));
            }
            let inserted = world
                .store
                .insert(&mover.key(), Record::clone(&record), now)
                .await;
            assert_eq!(inserted.unwrap(), Inserted::Yes);
            told.take();
            drop(hold);
        };
        let ((), ()) = tokio::join!(refresh, end);
        let ends: Vec<_> = told
            .take()
            .into_iter()
            .filter(|event| event.session == Some(mover.key()))
            .map(|event| event.kind)
            .collect();
        assert_eq!(ends, [ended(reason)], "{how}");
        world.clock.advance(secs(1));
    }
}

/// The tokens are saved: that is the fact. That nobody is served yet is another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_is_told_as_one_though_the_last_look_fails() {
    let (world, told) = world().await;
    let id = world.expired().await;
    world
        .control()
        .tamper_id_token(|_, claims| drop(claims.insert("sid".to_owned(), json!("new"))));
    let hold = world.store.hold(Op::Swap);
    told.take();
    let fail = async {
        hold.waiting(1).await;
        world.store.breaks(Op::ReadClaim);
        drop(hold);
    };
    let (result, ()) = tokio::join!(world.auth.authenticate(Some(&id)), fail);
    let error = result.unwrap_err();
    assert_eq!((error.status(), error.code()), (503, "store.unavailable"));
    assert_eq!(told.kinds(), [EventKind::Refreshed]);
    world.store.mend();
    world.session(&id).await;
    assert_eq!(told.kinds(), []);
    assert_eq!(world.control().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_is_nobody_s_act() {
    let (world, told) = world().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    told.take();
    world.clock.advance(secs(8 * 3600));
    world.auth.authenticate(Some(&id)).await.unwrap_err();
    let _ = browser.logout().await;
    world.settle().await;
    assert!(told.take().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_no_key_opens_is_told_by_its_key() {
    let (world, told) = world().await;
    let key: SessionKey = world.sign_in().await.key();
    let stranger = Told::default();
    let other = world
        .instance_with(|builder| stranger.by(builder).secret(auth_core::SecretKeys::random()))
        .await;
    // As a store gives it that keeps no record in memory.
    let now = world.auth.now();
    let record = world.store.load(&key, now).await.unwrap().unwrap();
    assert!(world.store.delete(&key, None, now).await.unwrap());
    let sealed = Record {
        opened: Opened::default(),
        ..Record::clone(&record)
    };
    assert_eq!(
        world.store.insert(&key, sealed, now).await.unwrap(),
        Inserted::Yes
    );
    told.take();
    let issuer = Issuer::new(world.provider.issuer()).unwrap();
    assert_eq!(other.end_sessions_of(&issuer, "ada").await.unwrap(), 1);
    let events = stranger.take();
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (event.kind, event.session, &event.subject),
        (ended(EndReason::EndedByApp), Some(key), &None)
    );
}
