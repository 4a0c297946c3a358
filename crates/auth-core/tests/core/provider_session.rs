//! What the provider changes of a session that is signed in: what a refreshed ID token says, gates see (OpenID Connect Core
//! §12.2).

use std::time::Duration;

use auth_core::Error;
use auth_core::error::NotSignedIn;
use auth_core::gate::Gate;
use auth_core::secret::SessionId;
use auth_core::session::{Session, SignIn};
use auth_testing::{Endpoint, Fault, OldKeys};
use serde_json::{Value, json};

use crate::provider_logout::{send, token};
use crate::store::{Failure, Op};
use crate::world::{LIFE, World, secs};

/// ID tokens from now on have these claims; null leaves one out.
fn said(world: &World, claims: Value) {
    world.control().tamper_id_token(move |_, all| {
        for (name, value) in claims.as_object().unwrap() {
            match value {
                Value::Null => drop(all.remove(name)),
                value => drop(all.insert(name.clone(), value.clone())),
            }
        }
    });
}

async fn refresh(world: &World, id: &SessionId) -> Result<Session, Error> {
    world.clock.advance(LIFE);
    world.auth.authenticate(Some(id)).await
}

fn passes(world: &World, session: &Session, gate: Gate) -> bool {
    gate.check(Ok(session), world.auth.now()).is_ok()
}

async fn sign_out(world: &World, claims: Value) {
    assert_eq!(send(&world.auth, &token(world, claims)).await.status, 200);
}

/// Asserts that the provider's sign-out of this `sid` ends the session, or does not.
async fn assert_found_by(world: &World, id: &SessionId, sid: &str, is_found: bool) {
    sign_out(world, json!({ "sid": sid })).await;
    let ended = world.auth.authenticate(Some(id)).await.is_err();
    assert_eq!(ended, is_found, "{sid}");
}

// OpenID Connect Core §12.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_see_the_roles_and_the_acr_of_the_refreshed_id_token() {
    let world = World::start().await;
    said(&world, json!({"roles": ["admin"], "acr": "gold"}));
    let id = world.sign_in().await;
    for (roles, acr) in [
        (json!(["admin"]), json!("gold")),
        (json!(["user"]), json!("silver")),
        (json!(["user", "admin"]), json!("gold")),
        (json!(null), json!(null)),
        (json!("admin"), json!("gold")),
    ] {
        said(&world, json!({ "roles": roles, "acr": acr }));
        let session = refresh(&world, &id).await.unwrap();
        // What is in the store is what the next request sees.
        for session in [session, world.session(&id).await] {
            let is_admin = roles.to_string().contains("admin");
            assert_eq!(
                passes(&world, &session, Gate::signed_in().role("admin")),
                is_admin
            );
            let is_gold = passes(&world, &session, Gate::signed_in().claim("acr", "gold"));
            assert_eq!(is_gold, acr == "gold");
            assert_eq!(passes(&world, &session, Gate::signed_in().acr(["gold"])), is_gold);
            assert_eq!(session.claims().email(), Some("ada@example.com"));
        }
    }
}

// OpenID Connect Core §12.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_authentication_at_the_provider_makes_the_session_fresh() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let gate = || Gate::signed_in().within(secs(200));
    let session = refresh(&world, &id).await.unwrap();
    assert!(
        !passes(&world, &session, gate()),
        "a refresh alone makes nobody fresh"
    );
    let now = world.auth.now();
    said(&world, json!({"auth_time": now.plus(LIFE - secs(100)).as_secs()}));
    let session = refresh(&world, &id).await.unwrap();
    assert!(passes(&world, &session, gate()));
    said(&world, json!({ "auth_time": null }));
    let session = refresh(&world, &id).await.unwrap();
    assert_eq!(
        session.authenticated_at().unwrap().as_secs(),
        now.plus(LIFE - secs(100)).as_secs()
    );
}

// OpenID Connect Back-Channel Logout §2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_found_by_the_sid_of_the_refreshed_id_token_alone() {
    let world = World::start().await;
    for (first, second, found_by, not_by) in [
        (json!("one"), json!("two"), Some("two"), Some("one")),
        (json!("three"), json!(null), Some("three"), None),
        (json!("four"), json!(""), Some("four"), None),
        (json!("five"), json!(5), Some("five"), None),
        (json!(null), json!("six"), Some("six"), None),
        (json!(null), json!(null), None, Some("six")),
    ] {
        said(&world, json!({ "sid": first }));
        let id = world.sign_in().await;
        said(&world, json!({ "sid": second }));
        let session = refresh(&world, &id).await.unwrap();
        assert_eq!(session.sid(), found_by);
        assert_eq!(session.claims().str("sid"), found_by);
        for (sid, is_found) in [(not_by, false), (found_by, true)] {
            if let Some(sid) = sid {
                assert_found_by(&world, &id, sid, is_found).await;
            }
        }
        world.clock.advance(secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_hook_has_changed_stays() {
    let world = World::with(|builder| {
        builder.on_sign_in(|mut sign_in: SignIn| async move {
            sign_in.keep_claims(["roles", "acr", "email"]);
            sign_in.set_claim("acr", "the app's");
            sign_in.set_claim("rank", 1);
            Ok(sign_in)
        })
    })
    .await;
    said(&world, json!({"roles": ["admin"], "acr": "gold", "level": 7}));
    let id = world.sign_in().await;
    said(
        &world,
        json!({"roles": ["user"], "acr": "silver", "level": 8, "rank": 2, "groups": ["g"]}),
    );
    let session = refresh(&world, &id).await.unwrap();
    let claims = serde_json::to_value(session.claims()).unwrap();
    let issuer = world.provider.issuer();
    assert_eq!(
        claims,
        json!({"iss": issuer, "sub": "ada", "roles": ["user"], "acr": "the app's", "rank": 1,
            "email": "ada@example.com"})
    );
}

/// The tokens are saved before the keys that check the ID token are fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_that_is_checked_later_counts_as_well() {
    let world = World::start().await;
    said(&world, json!({"roles": ["admin"], "sid": "one"}));
    let id = world.sign_in().await;
    world.control().rotate_keys(OldKeys::Remove);
    said(&world, json!({"roles": ["user"], "sid": "two"}));
    let session = refresh(&world, &id).await.unwrap();
    assert!(!passes(&world, &session, Gate::signed_in().role("admin")));
    assert_eq!(session.sid(), Some("two"));

    // Keys that cannot be had: what was known stays, and nothing that nobody has checked is believed.
    world.control().rotate_keys(OldKeys::Remove);
    world.control().fail(Endpoint::Jwks, Fault::status(503));
    said(&world, json!({"roles": ["admin"], "sid": "three"}));
    let session = refresh(&world, &id).await.unwrap();
    assert!(!passes(&world, &session, Gate::signed_in().role("admin")));
    assert_eq!(session.sid(), Some("two"));
    world.control().clear_all();
    let session = refresh(&world, &id).await.unwrap();
    assert!(passes(&world, &session, Gate::signed_in().role("admin")));
    assert_found_by(&world, &id, "two", false).await;
    assert_found_by(&world, &id, "three", true).await;
}

/// A session whose tokens are dead, and that the next refresh moves to the session "new" at the provider.
async fn about_to_move(world: &World) -> SessionId {
    world.control().clear_tampering();
    let id = world.expired().await;
    said(world, json!({"sid": "new"}));
    id
}

fn is_ended(result: &Result<Session, Error>) -> bool {
    matches!(result, Err(Error::NotSignedIn(NotSignedIn::Ended)))
}

// OpenID Connect Back-Channel Logout §2.7
/// The provider's sign-out of the session at the provider that a refresh moves this one to comes between any two of its
/// steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_moves_does_not_outlive_the_sign_out() {
    let world = World::start().await;
    for claims in [json!({"sid": "new"}), json!({"sid": "new", "sub": "ada"})] {
        for is_saved in [None, Some(false), Some(true)] {
            let id = about_to_move(&world).await;
            let (mut at_provider, mut at_store) = (None, None);
            match is_saved {
                None => at_provider = Some(world.control().hold_answer(Endpoint::Token)),
                Some(false) => at_store = Some(world.store.hold(Op::Swap)),
                Some(true) => at_store = Some(world.store.hold_answer(Op::Swap)),
            }
            let ending = async {
                if let Some(hold) = &at_provider {
                    hold.waiting(1).await.unwrap();
                }
                if let Some(hold) = &at_store {
                    hold.waiting(1).await;
                }
                sign_out(&world, claims.clone()).await;
                drop((at_provider, at_store));
            };
            let (result, ()) = tokio::join!(world.auth.authenticate(Some(&id)), ending);
            assert!(is_ended(&result), "{is_saved:?} {claims}: {result:?}");
            assert_eq!(world.store.sessions(), 0, "{is_saved:?} {claims}");
            // The next session of that name is none that was signed out.
            world.clock.advance(Duration::from_secs(1));
            world.session(&world.sign_in().await).await;
            sign_out(&world, json!({"sub": "ada"})).await;
            world.clock.advance(Duration::from_secs(1));
        }
    }
    world.settle().await;
}

/// The refresh comes between any two steps of the sign-out in the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_under_way_ends_the_session_that_moves_between() {
    let world = World::start().await;
    for is_searched in [false, true] {
        let id = about_to_move(&world).await;
        let hold = match is_searched {
            true => world.store.hold_answer(Op::Find),
            false => world.store.hold(Op::Find),
        };
        let token = token(&world, json!({"sid": "new"}));
        let refresh = async {
            hold.waiting(1).await;
            let result = world.auth.authenticate(Some(&id)).await;
            drop(hold);
            result
        };
        let (reply, result) = tokio::join!(send(&world.auth, &token), refresh);
        assert_eq!(reply.status, 200);
        assert!(is_ended(&result), "{is_searched}: {result:?}");
        assert_eq!(world.store.sessions(), 0);
        world.clock.advance(secs(1));
    }
}

/// Whether the provider has ended the session that this one has moved to is not known as long as the store does not say: it
/// is neither served nor ended, on any instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_moved_is_served_once_it_is_known_to_be_alive() {
    let world = World::start().await;
    let other = world.instance().await;
    for is_signed_out in [false, true] {
        let id = about_to_move(&world).await;
        let hold = world.store.hold(Op::Swap);
        let ending = async {
            hold.waiting(1).await;
            if is_signed_out {
                sign_out(&world, json!({"sid": "new"})).await;
            }
            world.store.breaks(Op::ReadClaim);
            drop(hold);
        };
        let (result, ()) = tokio::join!(world.auth.authenticate(Some(&id)), ending);
        for (auth, result) in [
            (&world.auth, result),
            (&other, other.authenticate(Some(&id)).await),
        ] {
            let error = result.expect_err("nobody knows");
            assert_eq!(error.status(), 503, "{error:?}");
            assert_eq!(world.store.sessions(), 1);
            assert_eq!(auth.peek(Some(&id)).await.unwrap_err().status(), 503);
        }
        world.store.mend();
        for auth in [&world.auth, &other] {
            let result = auth.authenticate(Some(&id)).await;
            assert_eq!(is_ended(&result), is_signed_out, "{result:?}");
        }
        assert_eq!(world.store.sessions(), usize::from(!is_signed_out));
        sign_out(&world, json!({"sub": "ada"})).await;
        world.clock.advance(secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_moved_costs_one_load_again() {
    let world = World::start().await;
    let id = about_to_move(&world).await;
    world.session(&id).await;
    let (total, reads) = (world.store.total(), world.store.count(Op::ReadClaim));
    world.session(&id).await;
    assert_eq!(world.store.total(), total + 1);
    // One that stays where it is costs no look at all.
    refresh(&world, &id).await.unwrap();
    assert_eq!(world.store.count(Op::ReadClaim), reads);

    // Where that could not be written down, everyone looks, until a refresh writes it down.
    said(&world, json!({"sid": "another"}));
    let hold = world.store.hold_answer(Op::Swap);
    let fail = async {
        hold.waiting(1).await;
        world.store.fail_next(Op::Acquire, Failure::Lost);
        drop(hold);
    };
    let (session, ()) = tokio::join!(refresh(&world, &id), fail);
    assert_eq!(session.unwrap().sid(), Some("another"));
    let reads = world.store.count(Op::ReadClaim);
    world.session(&id).await;
    assert!(world.store.count(Op::ReadClaim) > reads);
    refresh(&world, &id).await.unwrap();
    let total = world.store.total();
    world.session(&id).await;
    assert_eq!(world.store.total(), total + 1);
}
