//! Who may pass a gate.

use auth_core::Error;
use auth_core::error::NotAllowed;
use auth_core::gate::{Gate, OnRefusal};
use auth_core::secret::SessionId;
use auth_core::session::Session;
use serde_json::json;

use crate::store::Op;
use crate::world::{World, location, secs};

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

// RFC 9700 §2.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_that_is_missing_is_asked_for_once() {
    let world = World::with(|builder| builder.scopes("openid mail")).await;
    world.control().withhold_scope("mail.read");
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let session = world.session(&id).await;
    let gate = || Gate::signed_in().scope("mail.read");
    let why = refusal(&world, &session, gate()).unwrap();
    let NotAllowed::Scope { missing, ask } = &why else {
        panic!("{why:?}");
    };
    assert_eq!(
        (missing.to_string(), ask.to_string()),
        ("mail.read".into(), "openid mail mail.read".into())
    );

    // The gate sends the browser to sign in for its sake, and the provider does not give it.
    let head = browser.head("GET", "/mail");
    let reply = world
        .auth
        .refuse(&why.into(), &world.auth.incoming(&head), &OnRefusal::Automatic);
    let step_up = location(&reply).split_once("return_to=").unwrap().1.to_owned();
    let url = browser.begin(&step_up).await;
    assert!(url.contains("scope=openid+mail+mail.read&"), "{url}");
    let target = browser.approve(&url).await;
    let reply = browser.callback(&target).await;
    assert_eq!(location(&reply), "/mail");
    let session = world.session(&browser.session().unwrap()).await;
    assert!(matches!(
        refusal(&world, &session, gate()),
        Some(NotAllowed::ScopeDenied(_))
    ));
    let other = Gate::signed_in().scope("mail.send");
    assert!(matches!(
        refusal(&world, &session, other),
        Some(NotAllowed::Scope { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_is_fresh_for_so_long_and_no_longer() {
    let world = World::start().await;
    let (_, session) = someone(&world).await;
    let gate = || Gate::signed_in().within(secs(300));
    world.clock.advance(secs(299));
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
