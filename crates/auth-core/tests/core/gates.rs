//! Who may pass a gate.

use auth_core::Error;
use auth_core::error::NotAllowed;
use auth_core::gate::Gate;
use auth_core::secret::SessionId;
use auth_core::session::Session;
use serde_json::json;

use crate::store::Op;
use crate::world::{World, secs};

/// Why the session does not pass, if it does not.
fn refusal(world: &World, session: &Session, gate: Gate) -> Option<NotAllowed> {
    match gate.check(Ok(session), world.auth.now()) {
        Ok(()) => None,
        Err(Error::NotAllowed(why)) => Some(why),
        Err(other) => panic!("{other:?}"),
    }
}

async fn someone(world: &World) -> (SessionId, Session) {
    let id = world.sign_in().await;
    let session = world.session(&id).await;
    (id, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_claims_are_compared_whole() {
    let world = World::start().await;
    for (roles, passes) in [
        (json!(["user", "admin"]), true),
        (json!("admin"), true),
        (json!("user admin"), false),
        (json!(["administrator"]), false),
        (json!({"admin": true}), false),
        (json!(null), false),
    ] {
        let claim = roles.clone();
        world
            .control()
            .tamper_id_token(move |_, claims| drop(claims.insert("roles".into(), claim.clone())));
        let (_, session) = someone(&world).await;
        let why = refusal(&world, &session, Gate::signed_in().role("admin"));
        assert_eq!(why, (!passes).then_some(NotAllowed::Role), "{roles}");
        let any = Gate::signed_in().any_role(["root", "admin"]);
        assert_eq!(refusal(&world, &session, any).is_none(), passes, "{roles}");
    }
    let (_, session) = someone(&world).await;
    assert_eq!(
        refusal(&world, &session, Gate::signed_in().claim("level", 7)),
        None
    );
    for gate in [
        Gate::signed_in().claim("level", "7"),
        Gate::signed_in().claim("level", 8),
        Gate::signed_in().claim("department", "engines"),
        Gate::signed_in().claim("level", 7).claim("level", 8),
    ] {
        assert_eq!(refusal(&world, &session, gate), Some(NotAllowed::Claim));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_that_was_asked_for_and_withheld_is_not_asked_for_again() {
    let world = World::with(|builder| builder.scopes("openid mail.read")).await;
    let (_, session) = someone(&world).await;
    assert_eq!(
        refusal(&world, &session, Gate::signed_in().scope("mail.read")),
        None
    );
    world.control().withhold_scope("mail.read");
    let (_, session) = someone(&world).await;
    let why = |scope: &str| refusal(&world, &session, Gate::signed_in().scope(scope));
    assert!(matches!(why("mail.read"), Some(NotAllowed::ScopeDenied(_))));
    assert!(matches!(why("mail"), Some(NotAllowed::Scope(_))));
    assert!(matches!(why("mail mail.read"), Some(NotAllowed::Scope(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_is_fresh_for_so_long_give_or_take_a_minute() {
    let world = World::start().await;
    let (_, session) = someone(&world).await;
    let gate = || Gate::signed_in().within(secs(300));
    world.clock.advance(secs(359));
    assert_eq!(refusal(&world, &session, gate()), None);
    world.clock.advance(secs(2));
    assert_eq!(
        refusal(&world, &session, gate()),
        Some(NotAllowed::NotFresh(secs(300)))
    );
    // A provider that has ID tokens and does not say when: nothing is known.
    world
        .control()
        .tamper_id_token(|_, claims| drop(claims.remove("auth_time")));
    let (_, session) = someone(&world).await;
    assert_eq!(
        refusal(&world, &session, gate()),
        Some(NotAllowed::NotFresh(secs(300)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_for_guests_needs_to_know_that_nobody_is_signed_in() {
    let world = World::start().await;
    let (id, session) = someone(&world).await;
    let (gate, now) = (Gate::guests_only("/home"), world.auth.now());
    let why = refusal(&world, &session, gate.clone());
    assert_eq!(why, Some(NotAllowed::OnlyGuests("/home".into())));
    let nobody = world.auth.authenticate(None).await.unwrap_err();
    gate.check(Err(nobody), now).unwrap();
    world.store.breaks(Op::Load);
    let unknown = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(matches!(gate.check(Err(unknown), now), Err(Error::Store(_))));
}
