//! Sign-outs that the provider tells of (Back-Channel Logout 1.0, Front-Channel Logout 1.0).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use auth_core::Auth;
use auth_core::reply::{Reply, SessionChange};
use auth_core::store::{Inserted, Record, SessionKey, SessionStore as _};
use auth_testing::{Endpoint, Fault};
use serde_json::{Map, Value, json};

use crate::store::{Failure, Op};
use crate::world::{BASE, CLIENT, Head, WAIT, World, assert_page, eventually, header, secs};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token with these claims besides the usual ones; null leaves one out.
pub(crate) fn token(world: &World, claims: Value) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = world.auth.now().as_secs();
    let mut all = json!({
        "iss": world.provider.issuer(),
        "aud": CLIENT,
        "iat": now,
        "exp": now + 120,
        "jti": format!("logout-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        "events": {EVENT: {}},
    });
    all.as_object_mut()
        .unwrap()
        .extend(claims.as_object().unwrap().clone());
    let claims: Map<_, _> = all
        .as_object()
        .unwrap()
        .clone()
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect();
    world.control().sign_jwt("logout+jwt", &claims)
}

pub(crate) async fn send(auth: &Auth, token: &str) -> Reply {
    let head = Head {
        method: "POST",
        target: "/auth/backchannel-logout".to_owned(),
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
    };
    let body = format!("logout_token={token}").into_bytes();
    let reply = auth
        .backchannel_logout(auth.route_request(&head, body, None))
        .await;
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    assert!(matches!(reply.session, SessionChange::Keep));
    reply
}

pub(crate) async fn show(auth: &Auth, query: &str) -> Reply {
    let head = Head {
        method: "GET",
        target: format!("/auth/frontchannel-logout{query}"),
        headers: vec![("accept", "text/html".to_owned())],
    };
    let reply = auth
        .frontchannel_logout(auth.route_request(&head, Vec::new(), None))
        .await;
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    reply
}

pub(crate) async fn sid(world: &World, id: &auth_core::secret::SessionId) -> String {
    world.session(id).await.sid().unwrap().to_owned()
}

// OpenID Connect Back-Channel Logout §2.7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_token_ends_the_sessions_that_it_names_and_no_others() {
    let world = World::start().await;
    for (by_sid, by_sub) in [(true, false), (true, true), (false, true)] {
        let (this, other) = (world.sign_in().await, world.sign_in().await);
        let claims = json!({
            "sid": if by_sid { json!(sid(&world, &this).await) } else { Value::Null },
            "sub": if by_sub { json!("ada") } else { Value::Null },
        });
        let reply = send(&world.auth, &token(&world, claims)).await;
        assert_eq!((reply.status, &*reply.body), (200, ""));
        world.auth.authenticate(Some(&this)).await.unwrap_err();
        assert_eq!(world.auth.authenticate(Some(&other)).await.is_ok(), by_sid);
        world.clock.advance(secs(1));
    }
    world.settle().await;
    assert!(world.revoked().is_empty(), "the provider has seen to that");
}

// OpenID Connect Back-Channel Logout §2.7, §2.8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_nobody_s_session_is_good_and_ends_nothing() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let this = sid(&world, &id).await;
    for claims in [
        json!({"sid": "another"}),
        json!({"sub": "another"}),
        json!({"sid": this, "sub": "another"}),
        json!({"sid": "another", "sub": "ada"}),
    ] {
        assert_eq!(send(&world.auth, &token(&world, claims)).await.status, 200);
        world.session(&id).await;
    }
}

// OpenID Connect Back-Channel Logout §2.7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_without_a_sid_end_with_the_user_s() {
    let world = World::start().await;
    world
        .control()
        .tamper_id_token(|_, claims| drop(claims.remove("sid")));
    let id = world.sign_in().await;
    assert_eq!(
        send(&world.auth, &token(&world, json!({"sid": "x"})))
            .await
            .status,
        200
    );
    world.session(&id).await;
    assert_eq!(
        send(&world.auth, &token(&world, json!({"sid": "x", "sub": "ada"})))
            .await
            .status,
        200
    );
    world.auth.authenticate(Some(&id)).await.unwrap_err();
}

// OpenID Connect Back-Channel Logout §2.8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_gets_400_and_ends_nothing() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let this = sid(&world, &id).await;
    let now = world.auth.now().as_secs();
    for change in [
        json!({"nonce": "n"}),
        json!({"aud": "another"}),
        json!({"iss": "https://another.example"}),
        json!({"iat": now - 700}),
        json!({"iat": now + 120}),
        json!({"exp": now - 120}),
        json!({"nbf": now + 120}),
        json!({"events": {}}),
        json!({"jti": null}),
        json!({"sid": null}),
    ] {
        let mut claims = json!({"sid": this});
        claims
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let reply = send(&world.auth, &token(&world, claims)).await;
        assert_eq!(reply.status, 400, "{change}");
        assert!(
            reply.body.contains("\"error\":\"invalid_request\""),
            "{}",
            reply.body
        );
        world.session(&id).await;
    }
    for token in ["", "x", "a.b.c"] {
        assert_eq!(send(&world.auth, token).await.status, 400);
    }
    let twice = format!("{0}&logout_token={0}", token(&world, json!({"sid": this})));
    assert_eq!(send(&world.auth, &twice).await.status, 400);
    world.session(&id).await;
}

// OpenID Connect Back-Channel Logout §2.6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_once_on_all_instances() {
    let world = World::start().await;
    let other = world.instance().await;
    let first = token(&world, json!({"sub": "ada"}));
    assert_eq!(send(&world.auth, &first).await.status, 200);
    world.clock.advance(secs(1));
    let id = world.sign_in().await;
    for auth in [&world.auth, &other] {
        assert_eq!(send(auth, &first).await.status, 400, "it was used before");
    }
    world.session(&id).await;

    let second = token(&world, json!({"sub": "ada"}));
    let all = futures_util::future::join_all((0..20).map(|_| send(&world.auth, &second))).await;
    assert_eq!(all.iter().filter(|reply| reply.status == 200).count(), 1);
    world.auth.authenticate(Some(&id)).await.unwrap_err();
}

// OpenID Connect Back-Channel Logout §2.8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_could_not_be_carried_out_is_good_when_it_comes_again() {
    let world = World::start().await;
    for failure in [Failure::Lost, Failure::AnswerLost] {
        for op in [Op::ReadClaim, Op::ProlongClaim, Op::Find, Op::Delete, Op::Claim] {
            let id = world.sign_in().await;
            world.store.fail_next(op, failure);
            let token = token(&world, json!({"sub": "ada"}));
            let reply = send(&world.auth, &token).await;
            if (op, failure) == (Op::Claim, Failure::AnswerLost) {
                // It is carried out and remembered, and would not be good any more.
                assert_eq!(reply.status, 200);
            } else {
                assert_eq!(reply.status, 503, "{op:?}");
                assert!(header(&reply, "retry-after").is_some());
                let reply = send(&world.auth, &token).await;
                assert_eq!(reply.status, 200, "{op:?}");
            }
            world.auth.authenticate(Some(&id)).await.unwrap_err();
            assert_eq!(send(&world.auth, &token).await.status, 400, "it was used");
            world.clock.advance(secs(1));
        }
    }
}

// OpenID Connect Back-Channel Logout §4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_forged_signatures_cost_no_request_and_nothing_in_the_store() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let good = token(&world, json!({"sub": "ada"}));
    let (message, _) = good.rsplit_once('.').unwrap();
    // The keys are at hand then.
    assert_eq!(
        send(&world.auth, &token(&world, json!({"sub": "bob"})))
            .await
            .status,
        200
    );
    let (requests, operations) = (world.control().all_requests().len(), world.store.total());
    let began = Instant::now();
    for n in 0_u64..10_000 {
        let mut signature = [0_u8; 64];
        for (at, part) in signature.chunks_mut(8).enumerate() {
            let mixed = (n * 8 + at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            part.copy_from_slice(&mixed.to_be_bytes());
        }
        let forged = format!("{message}.{}", base64_url(&signature));
        assert_eq!(send(&world.auth, &forged).await.status, 400);
    }
    assert!(began.elapsed() < WAIT * 3, "{:?}", began.elapsed());
    assert_eq!(world.control().all_requests().len(), requests);
    assert_eq!(world.store.total(), operations, "nothing is kept of them");
    world.session(&id).await;
    assert_eq!(send(&world.auth, &good).await.status, 200);
}

// OpenID Connect Back-Channel Logout §2.8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_provider_s_keys_nothing_can_be_said() {
    let world = World::start().await;
    let token = token(&world, json!({"sub": "ada"}));
    world.control().fail(Endpoint::Jwks, Fault::status(503));
    assert_eq!(send(&world.auth, &token).await.status, 503);
    world.control().clear_all();
    world.clock.advance(secs(2));
    assert_eq!(send(&world.auth, &token).await.status, 200);
}

// OpenID Connect Back-Channel Logout §4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_forged_tokens_cost_one_look_at_the_keys() {
    let world = World::start().await;
    world.sign_in().await;
    let good = token(&world, json!({"sub": "ada"}));
    let (header, rest) = good.split_once('.').unwrap();
    assert!(!header.is_empty());
    let before = world.control().count(Endpoint::Jwks);
    for n in 0..2_000 {
        // Another key's name each time: {"alg":"ES256","kid":"…"}.
        let forged = under(&format!("forged-{n}"), rest);
        assert_eq!(send(&world.auth, &forged).await.status, 400);
    }
    assert_eq!(world.control().count(Endpoint::Jwks), before + 1);
    for (length, fetches) in [(29, 1), (1, 2), (29, 2), (1, 3)] {
        world.clock.advance(secs(length));
        for n in 0..100 {
            let forged = under(&format!("later-{n}"), rest);
            assert_eq!(send(&world.auth, &forged).await.status, 400);
        }
        assert_eq!(world.control().count(Endpoint::Jwks), before + fetches);
    }
    assert_eq!(send(&world.auth, &good).await.status, 200);
}

/// A logout token that anybody can make up, under this key's name.
pub(crate) fn forged(world: &World, kid: &str) -> String {
    let good = token(world, json!({"sub": "ada"}));
    let (_, rest) = good.split_once('.').unwrap();
    under(kid, rest)
}

/// The payload and signature of a token with a header that names this key.
fn under(kid: &str, rest: &str) -> String {
    let header = base64_url(format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#).as_bytes());
    format!("{header}.{rest}")
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Claims of logout tokens for sessions of this `sid` of `ada`, which sign-ins from now on are of.
fn that_name(world: &World, sid: &'static str) -> [Value; 3] {
    world
        .control()
        .tamper_id_token(move |_, claims| drop(claims.insert("sid".to_owned(), json!(sid))));
    [
        json!({ "sid": sid }),
        json!({"sub": "ada"}),
        json!({"sid": sid, "sub": "ada"}),
    ]
}

// OpenID Connect Back-Channel Logout §2.7
/// The sign-out comes between any two steps of the sign-in in the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_is_being_written_does_not_outlive_the_sign_out() {
    let world = World::start().await;
    for is_written in [false, true] {
        for is_named in [true, false] {
            let mut names = that_name(&world, "this one").to_vec();
            if !is_named {
                names.remove(0);
                world
                    .control()
                    .tamper_id_token(|_, claims| drop(claims.remove("sid")));
            }
            for claims in names {
                let mut browser = world.browser();
                let url = browser.begin("/").await;
                let target = browser.approve(&url).await;
                let hold = match is_written {
                    true => world.store.hold_answer(Op::Insert),
                    false => world.store.hold(Op::Insert),
                };
                let sign_out = async {
                    hold.waiting(1).await;
                    assert_eq!(
                        send(&world.auth, &token(&world, claims.clone())).await.status,
                        200
                    );
                    drop(hold);
                };
                let (reply, ()) = tokio::join!(browser.callback(&target), sign_out);
                assert_page(&reply, 400, "login.signed_out");
                assert_eq!(world.store.sessions(), 0, "{is_written} {is_named} {claims}");
                world.clock.advance(secs(1));
            }
        }
    }
}

// OpenID Connect Back-Channel Logout §2.7
/// The sign-in comes between any two steps of the sign-out in the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_that_is_under_way_ends_the_sign_in_that_comes_between() {
    let world = World::start().await;
    for is_searched in [false, true] {
        for claims in that_name(&world, "this one") {
            let mut browser = world.browser();
            let url = browser.begin("/").await;
            let target = browser.approve(&url).await;
            let hold = match is_searched {
                true => world.store.hold_answer(Op::Find),
                false => world.store.hold(Op::Find),
            };
            let token = token(&world, claims.clone());
            let sign_in = async {
                hold.waiting(1).await;
                let reply = browser.callback(&target).await;
                drop(hold);
                reply
            };
            let (sign_out, reply) = tokio::join!(send(&world.auth, &token), sign_in);
            assert_eq!(sign_out.status, 200);
            assert_page(&reply, 400, "login.signed_out");
            assert_eq!(world.store.sessions(), 0, "{is_searched} {claims}");
            world.clock.advance(secs(1));
        }
    }
}

// OpenID Connect Back-Channel Logout §2.7
/// A request that was let in goes on to its end; the next one is not let in, and nothing that the first one leaves behind
/// brings the session back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_does_not_keep_the_session_alive() {
    let world = World::start().await;
    world.control().set_access_token_lifetime(secs(24 * 3600));
    for op in [Op::Load, Op::Touch] {
        let id = world.sign_in().await;
        world.clock.advance(secs(8 * 3600 / 32));
        let hold = match op {
            Op::Load => world.store.hold_answer(op),
            _ => world.store.hold(op),
        };
        let sign_out = async {
            hold.waiting(1).await;
            let all = token(&world, json!({"sub": "ada"}));
            assert_eq!(send(&world.auth, &all).await.status, 200);
            drop(hold);
        };
        let (session, ()) = tokio::join!(world.auth.authenticate(Some(&id)), sign_out);
        let session = session.unwrap();
        eventually("the use is written down", || world.store.count(Op::Touch) > 0).await;
        world.auth.authenticate(Some(&id)).await.unwrap_err();
        let client = world.auth.client(&session);
        world.control().reject_next(1);
        client
            .get("/users/me")
            .send()
            .await
            .expect_err("the token cannot be refreshed any more");
        assert_eq!(world.store.sessions(), 0, "{op:?}");
        world.clock.advance(secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_under_way_does_not_outlive_the_sign_out() {
    let world = World::start().await;
    for claims in that_name(&world, "this one") {
        let mut browser = world.browser();
        let url = browser.begin("/").await;
        let target = browser.approve(&url).await;
        // The tokens are issued, and have not arrived yet.
        let hold = world.control().hold_answer(Endpoint::Token);
        let waiting = browser.callback(&target);
        let sign_out = async {
            hold.waiting(1).await.unwrap();
            assert_eq!(send(&world.auth, &token(&world, claims)).await.status, 200);
            hold.release();
        };
        let (reply, ()) = tokio::join!(waiting, sign_out);
        assert_page(&reply, 400, "login.signed_out");
        assert!(matches!(reply.session, SessionChange::Keep));
        assert_eq!(world.store.sessions(), 0);
        // One that is begun afterwards is another matter.
        world.clock.advance(secs(1));
        world.session(&browser.sign_in("/").await).await;
        assert_eq!(
            send(&world.auth, &token(&world, json!({"sub": "ada"})))
                .await
                .status,
            200
        );
        world.clock.advance(secs(1));
    }
}

// OpenID Connect Back-Channel Logout §2.7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_under_way_does_not_bring_the_session_back() {
    let world = World::start().await;
    let id = world.expired().await;
    let hold = world.control().hold_answer(Endpoint::Token);
    let sign_out = async {
        hold.waiting(1).await.unwrap();
        assert_eq!(
            send(&world.auth, &token(&world, json!({"sub": "ada"})))
                .await
                .status,
            200
        );
        hold.release();
    };
    let (answer, ()) = tokio::join!(world.auth.authenticate(Some(&id)), sign_out);
    answer.unwrap_err();
    world.settle().await;
    assert_eq!(world.store.sessions(), 0);
}

// OpenID Connect Front-Channel Logout §2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_front_channel_ends_the_session_of_iss_and_sid_and_may_be_framed_by_the_issuer() {
    let world = World::start().await;
    let (this, other) = (world.sign_in().await, world.sign_in().await);
    let issuer = world.provider.issuer();
    let sid = sid(&world, &this).await;
    for query in [
        String::new(),
        format!("?sid={sid}"),
        format!("?iss={issuer}"),
        format!("?iss=https://another.example&sid={sid}"),
        format!("?iss={issuer}&iss={issuer}&sid={sid}"),
        format!("?iss={issuer}/&sid={sid}"),
    ] {
        let reply = show(&world.auth, &query).await;
        assert_page(&reply, 400, "request.frontchannel_logout");
        world.session(&this).await;
    }
    for (query, ends) in [("another", false), (sid.as_str(), true)] {
        let reply = show(&world.auth, &format!("?iss={issuer}&sid={query}")).await;
        assert_eq!(reply.status, 200);
        let policy = header(&reply, "content-security-policy").unwrap();
        assert!(policy.ends_with(&format!("frame-ancestors {issuer}")), "{policy}");
        assert_eq!(header(&reply, "x-frame-options"), None);
        assert_eq!(world.auth.authenticate(Some(&this)).await.is_err(), ends);
    }
    world.session(&other).await;
    world.settle().await;
    assert!(world.revoked().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_front_channel_cannot_end_is_not_written_down() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let issuer = world.provider.issuer();
    for n in 0..20 {
        let reply = show(&world.auth, &format!("?iss={issuer}&sid=guessed-{n}")).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(world.store.count(Op::ProlongClaim), 0, "anybody can ask for that");
    let sid = sid(&world, &id).await;
    let reply = show(&world.auth, &format!("?iss={issuer}&sid={sid}")).await;
    assert_eq!(reply.status, 200);
    let written = world.store.count(Op::ProlongClaim);
    assert_eq!(written, 2, "the sign-out, and that it came by the front channel");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_whose_sign_out_failed_offers_no_sign_in() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let query = format!("?iss={}&sid={}", world.provider.issuer(), sid(&world, &id).await);
    world.store.fail_next(Op::Delete, Failure::Lost);
    let reply = show(&world.auth, &query).await;
    assert_page(&reply, 503, "store.unavailable");
    assert!(!reply.body.contains("/auth/login"), "{}", reply.body);
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_goes_away_does_not_break_a_sign_out_off() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let query = format!("?iss={}&sid={}", world.provider.issuer(), sid(&world, &id).await);
    let hold = world.store.hold(Op::Delete);
    let auth = world.auth.clone();
    let frame = tokio::spawn(async move { show(&auth, &query).await });
    hold.waiting(1).await;
    frame.abort();
    frame.await.unwrap_err();
    drop(hold);
    world.settle().await;
    assert_eq!(world.store.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_cannot_ask_for_sign_outs_leaves_the_session_that_was_there() {
    let world = World::start().await;
    let mut browser = world.browser();
    let old = browser.sign_in("/").await;
    world.store.fail_next(Op::ReadClaim, Failure::Lost);
    let reply = browser.try_sign_in("/").await;
    assert_page(&reply, 503, "store.unavailable");
    assert!(matches!(reply.session, SessionChange::Keep));
    world.session(&old).await;
    assert_eq!(world.store.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_ends_all_sessions_of_a_user_and_the_sign_ins_under_way() {
    let world = World::start().await;
    let ids = [world.sign_in().await, world.sign_in().await];
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let issuer = world.auth.issuer();
    assert_eq!(world.auth.end_sessions_of(&issuer, "bob").await.unwrap(), 0);
    assert_eq!(world.auth.end_sessions_of(&issuer, "ada").await.unwrap(), 2);
    for id in &ids {
        world.auth.authenticate(Some(id)).await.unwrap_err();
    }
    let target = browser.approve(&url).await;
    assert_page(&browser.callback(&target).await, 400, "login.signed_out");
    world.settle().await;
    assert_eq!(world.revoked().len(), 4);
    world.clock.advance(secs(1));
    world.sign_in().await;
}

/// Puts so many more sessions into the store, each as the one with this key but for what is changed. No key opens them.
async fn copies(world: &World, of: &SessionKey, n: u16, change: impl Fn(&mut Record)) {
    let now = world.auth.now();
    let record = world.store.load(of, now).await.unwrap().unwrap();
    for n in 0..n {
        let mut record = Record {
            opened: Default::default(),
            ..Record::clone(&record)
        };
        change(&mut record);
        let mut key = *of.as_bytes();
        key[..2].copy_from_slice(&n.to_be_bytes());
        key[2] ^= u8::from(record.sid.is_some()) + 1;
        let inserted = world
            .store
            .insert(&SessionKey::from_bytes(key), record, now)
            .await;
        assert_eq!(inserted.unwrap(), Inserted::Yes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_s_sessions_all_end_however_many_there_are() {
    let world = World::start().await;
    let id = world.sign_in().await;
    copies(&world, &id.key(), 3_000, |_| ()).await;
    let reply = send(&world.auth, &token(&world, json!({"sub": "ada"}))).await;
    assert_eq!((reply.status, world.store.sessions()), (200, 0));
    assert!(world.store.count(Op::Find) <= 5, "a thousand at a time");
}

/// The first thousand that a search gives may be none of those that are meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_very_many_sessions_those_end_that_are_meant() {
    let world = World::start().await;
    let id = world.sign_in().await;
    copies(&world, &id.key(), 2_000, |_| ()).await;
    copies(&world, &id.key(), 20, |record| record.sid = None).await;
    assert_eq!(world.store.sessions(), 2_021);
    let claims = json!({"sid": "another", "sub": "ada"});
    assert_eq!(send(&world.auth, &token(&world, claims)).await.status, 200);
    assert_eq!(world.store.sessions(), 2_001, "those of another session stay");
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_ends_the_sessions_of_an_issuer_or_all_and_the_sign_ins_under_way() {
    let world = World::start().await;
    for is_all in [false, true] {
        let elsewhere = other_issuer(&world).await;
        let ids = [world.sign_in().await, world.sign_in().await];
        let foreign = world.browser_of(&elsewhere).sign_in("/").await;
        copies(&world, &ids[0].key(), 10, |_| ()).await;
        let mut browsers = [world.browser(), world.browser_of(&elsewhere)];
        let mut targets = Vec::new();
        for browser in &mut browsers {
            let url = browser.begin("/").await;
            targets.push(browser.approve(&url).await);
        }
        let revoked = world.revoked().len();
        let ended = match is_all {
            true => world.auth.end_all_sessions().await,
            false => world.auth.end_sessions_of_issuer(&world.auth.issuer()).await,
        };
        // Whose sessions those are that no key opens nobody can say.
        assert_eq!(ended.unwrap(), if is_all { 12 + 13 } else { 2 });
        for id in &ids {
            world.auth.authenticate(Some(id)).await.unwrap_err();
        }
        assert_eq!(elsewhere.authenticate(Some(&foreign)).await.is_err(), is_all);
        let [ours, theirs] = &mut browsers;
        assert_page(&ours.callback(&targets[0]).await, 400, "login.signed_out");
        let reply = theirs.callback(&targets[1]).await;
        if is_all {
            assert_page(&reply, 400, "login.signed_out");
            assert_eq!(world.store.sessions(), 0);
        } else {
            assert_eq!(reply.status, 303, "{}", reply.body);
            assert_eq!(world.store.sessions(), 12);
        }
        // What the other issuer has issued is shown to nobody but that one, and not here.
        eventually("revocations", || world.revoked().len() >= revoked + 4).await;
        world.clock.advance(secs(1));
        world.sign_in().await;
        assert_eq!(
            world
                .auth
                .end_sessions_of_issuer(&world.auth.issuer())
                .await
                .unwrap(),
            1
        );
        world.clock.advance(secs(1));
    }
}

/// An instance that users of the same provider sign in at as a plain OAuth 2.0 provider: its issuer is another.
async fn other_issuer(world: &World) -> Auth {
    let at = |path: &str| format!("{}{path}", world.provider.issuer());
    Auth::builder()
        .base_url(BASE)
        .endpoints(at("/authorize"), at("/token"))
        .client(CLIENT, Some(crate::world::SECRET))
        .scopes("openid email offline_access")
        .userinfo_url(at("/userinfo"))
        .revocation_url(at("/revoke"))
        .store(world.store.clone())
        .secret(world.keys.clone())
        .clock(world.clock.clock())
        .build()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_s_call_that_fails_halfway_ends_the_others_and_says_so() {
    let world = World::start().await;
    let id = world.sign_in().await;
    copies(&world, &id.key(), 30, |_| ()).await;
    world.store.fail_next(Op::Delete, Failure::Lost);
    world.auth.end_all_sessions().await.unwrap_err();
    assert_eq!(world.store.sessions(), 1);
    assert_eq!(world.auth.end_all_sessions().await.unwrap(), 1);
    world.clock.advance(secs(1));
    for op in [Op::ProlongClaim, Op::Scan] {
        let id = world.sign_in().await;
        world.store.fail_next(op, Failure::Lost);
        world.auth.end_all_sessions().await.unwrap_err();
        world.session(&id).await;
        world.auth.end_all_sessions().await.unwrap();
        assert_eq!(world.store.sessions(), 0);
        world.clock.advance(secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_goes_away_does_not_break_the_call_off() {
    let world = World::start().await;
    world.sign_in().await;
    let hold = world.store.hold(Op::Scan);
    let auth = world.auth.clone();
    let call = tokio::spawn(async move { auth.end_all_sessions().await });
    hold.waiting(1).await;
    call.abort();
    call.await.unwrap_err();
    drop(hold);
    world.settle().await;
    assert_eq!(world.store.sessions(), 0);
}
