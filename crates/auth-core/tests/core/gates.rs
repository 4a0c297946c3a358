//! Who may pass a gate.

use auth_core::Error;
use auth_core::error::NotAllowed;
use auth_core::gate::{Gate, OnRefusal};
use auth_core::reply::Reply;
use auth_core::secret::SessionId;
use auth_core::session::Session;
use serde_json::json;
use url::Url;

use crate::store::Op;
use crate::world::{BASE, Browser, Head, LIFE, World, assert_page, header, location, secs};

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
    let NotAllowed::StepUp(step_up) = &why else {
        panic!("{why:?}");
    };
    assert_eq!(step_up.scopes().to_string(), "mail.read");

    // The gate sends the browser to sign in for its sake, and the provider does not give it.
    let url = step_up_of(&mut browser, &why.into(), "/mail").await;
    assert!(url.contains("scope=openid+mail+mail.read&"), "{url}");
    let session = come_back(&world, &mut browser, &url, "/mail").await;
    assert!(matches!(
        refusal(&world, &session, gate()),
        Some(NotAllowed::StepUpDenied(_))
    ));
    let other = Gate::signed_in().scope("mail.send");
    assert!(matches!(
        refusal(&world, &session, other),
        Some(NotAllowed::StepUp(_))
    ));
}

// RFC 6749 §6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_refresh_takes_away_is_asked_for_again() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.control().set_acr(Some("gold"));
    let gate = || Gate::signed_in().scope("mail.read").acr(["gold"]);
    let session = world.session(&browser.session().unwrap()).await;
    let error = gate().check(Ok(&session), world.auth.now()).unwrap_err();
    let url = step_up_of(&mut browser, &error, "/").await;
    let session = come_back(&world, &mut browser, &url, "/").await;
    assert!(refusal(&world, &session, gate()).is_none());
    let id = browser.session().unwrap();
    for what in ["scope", "acr"] {
        match what {
            "scope" => world.control().tamper_token_response(|answer| {
                answer.insert("scope".to_owned(), json!("openid"));
            }),
            _ => world.control().tamper_id_token(|_, claims| {
                claims.insert("acr".to_owned(), json!("bronze"));
            }),
        }
        world.clock.advance(LIFE);
        let session = world.session(&id).await;
        world.control().clear_tampering();
        let refused = refusal(&world, &session, gate());
        assert!(
            matches!(refused, Some(NotAllowed::StepUp(_))),
            "{what}: {refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_is_fresh_for_so_long_and_no_longer() {
    let world = World::start().await;
    let (_, session) = someone(&world).await;
    let gate = || Gate::signed_in().within(secs(300));
    world.clock.advance(secs(299));
    assert_eq!(refusal(&world, &session, gate()), None);
    world.clock.advance(secs(2));
    let too_old = |session: &Session| {
        let why = refusal(&world, session, gate()).expect("it is too old");
        assert_eq!(Error::from(why).code(), "access.not_fresh");
    };
    too_old(&session);
    // A provider that has ID tokens and does not say when: nothing is known.
    world
        .control()
        .tamper_id_token(|_, claims| drop(claims.remove("auth_time")));
    let (_, session) = someone(&world).await;
    too_old(&session);
}

fn refuse(browser: &Browser<'_>, error: &Error, head: &Head) -> Reply {
    let incoming = browser.auth.incoming(head);
    browser.auth.refuse(error, &incoming, &OnRefusal::Automatic)
}

/// The authorization request of the sign-in that a page's refusal sends a browser to.
async fn step_up_of(browser: &mut Browser<'_>, error: &Error, page: &str) -> String {
    let head = browser.head("GET", page);
    let reply = refuse(browser, error, &head);
    let login = location(&reply).split_once("return_to=").unwrap().1.to_owned();
    browser.begin(&login).await
}

/// Signs in at the provider and comes back to the page.
async fn come_back(world: &World, browser: &mut Browser<'_>, url: &str, page: &str) -> Session {
    let target = browser.approve(url).await;
    assert_eq!(location(&browser.callback(&target).await), page);
    world.session(&browser.session().unwrap()).await
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    let mut values = url.query_pairs().filter(|(held, _)| held == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    assert!(values.next().is_none(), "{name} stands there once");
    value
}

fn script(browser: &Browser<'_>, page: &str) -> Head {
    let mut head = browser.head("GET", page);
    head.headers[0].1 = "application/json".into();
    head
}

fn strong() -> Gate {
    Gate::signed_in().acr(["urn:x:gold", "urn:x:silver"])
}

// RFC 9470 §3 and §4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_a_sign_in_can_mend_is_asked_for_in_one() {
    let world = World::with(|builder| builder.authorize_param("acr_values", "urn:x:bronze")).await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let session = world.session(&id).await;
    assert_eq!(session.acr(), Some("urn:x:bronze"));
    world.clock.advance(secs(61));
    let gate = || strong().within(secs(60)).scope("mail.read");
    let why = Error::from(refusal(&world, &session, gate()).unwrap());
    assert_eq!((why.code(), why.status()), ("access.acr_missing", 401));

    let reply = refuse(&browser, &why, &script(&browser, "/pay"));
    assert_eq!(reply.status, 401);
    assert_eq!(
        header(&reply, "www-authenticate"),
        Some(
            r#"Bearer error="insufficient_user_authentication", acr_values="urn:x:gold urn:x:silver", max_age="60", scope="mail.read""#
        )
    );
    let problem: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        (&problem["code"], &problem["error"]),
        (
            &json!("access.acr_missing"),
            &json!("insufficient_user_authentication")
        )
    );

    let url = step_up_of(&mut browser, &why, "/pay?to=bob").await;
    assert_eq!(
        parameter(&url, "acr_values").as_deref(),
        Some("urn:x:gold urn:x:silver"),
        "in the place of what is configured"
    );
    assert_eq!(parameter(&url, "max_age").as_deref(), Some("60"));
    let scope = parameter(&url, "scope").unwrap();
    assert!(
        scope.starts_with("openid ") && scope.ends_with(" mail.read"),
        "{scope}"
    );
    let session = come_back(&world, &mut browser, &url, "/pay?to=bob").await;
    assert_eq!(session.acr(), Some("urn:x:gold"));
    assert_eq!(refusal(&world, &session, gate()), None);

    // What cannot be mended by it is refused first.
    let why = refusal(
        &world,
        &session,
        Gate::signed_in().acr(["urn:x:platinum"]).role("root"),
    );
    assert_eq!(why, Some(NotAllowed::Role));
}

// RFC 9470 §5; OpenID Connect Core §5.5.1.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acr_that_the_provider_does_not_give_is_asked_for_once() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let before = world.session(&id).await;
    let why = Error::from(refusal(&world, &before, strong()).unwrap());
    assert_eq!(why.code(), "access.acr_missing");

    for acr in [
        Some("urn:x:bronze"),
        Some("URN:X:GOLD"),
        Some("urn:x:gold urn:x:silver"),
    ] {
        world.control().set_acr(acr);
        let mut browser = world.browser();
        let id = browser.sign_in("/").await;
        let why = Error::from(refusal(&world, &world.session(&id).await, strong()).unwrap());
        let url = step_up_of(&mut browser, &why, "/pay").await;
        let session = come_back(&world, &mut browser, &url, "/pay").await;
        let why = Error::from(refusal(&world, &session, strong()).unwrap());
        let reply = refuse(&browser, &why, &browser.head("GET", "/pay"));
        assert_page(&reply, 403, "access.acr_denied");
        let reply = refuse(&browser, &why, &script(&browser, "/pay"));
        assert_eq!(reply.status, 401);
        assert!(
            header(&reply, "www-authenticate")
                .unwrap()
                .contains("urn:x:gold urn:x:silver")
        );
        // A sign-in that is not for it begins anew.
        let id = browser.sign_in("/").await;
        let why = Error::from(refusal(&world, &world.session(&id).await, strong()).unwrap());
        assert_eq!(why.code(), "access.acr_missing");
    }

    // A provider that says so instead: whoever was signed in still is.
    world.control().tamper_callback(|parameters| {
        parameters.retain(|(name, _)| name != "code");
        parameters.push(("error".into(), "unmet_authentication_requirements".into()));
    });
    let url = step_up_of(&mut browser, &why, "/pay").await;
    let target = browser.approve(&url).await;
    let reply = browser.callback(&target).await;
    assert_page(&reply, 403, "login.authentication_unmet");
    assert_eq!(browser.session().map(|id| id.key()), Some(before.key()));
    assert_eq!(world.session(&id).await.key(), before.key());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_has_no_say_in_how_the_user_was_authenticated() {
    let world = World::with(|builder| {
        builder.on_sign_in(|mut sign_in: auth_core::session::SignIn| async move {
            sign_in.keep_claims([]);
            sign_in.set_claim("acr", "urn:x:silver");
            Ok(sign_in)
        })
    })
    .await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let session = world.session(&id).await;
    assert_eq!(session.claims().str("acr"), Some("urn:x:silver"));
    let why = Error::from(refusal(&world, &session, strong()).unwrap());
    let url = step_up_of(&mut browser, &why, "/pay").await;
    let session = come_back(&world, &mut browser, &url, "/pay").await;
    assert_eq!(refusal(&world, &session, strong()), None);
}

// OpenID Connect Core §3.1.2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_for_a_sign_in_of_just_now_opens_to_who_comes_back_from_it() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    world.clock.advance(secs(1));
    let gate = || Gate::signed_in().within(secs(0));
    let why = Error::from(refusal(&world, &world.session(&id).await, gate()).unwrap());
    let url = step_up_of(&mut browser, &why, "/pay").await;
    assert_eq!(parameter(&url, "max_age").as_deref(), Some("0"));
    world.clock.advance(secs(120));
    let target = browser.approve(&url).await;
    world.clock.advance(secs(20));
    assert_eq!(location(&browser.callback(&target).await), "/pay");
    let session = world.session(&browser.session().unwrap()).await;
    for wait in [0, 30] {
        world.clock.advance(secs(wait));
        assert_eq!(refusal(&world, &session, gate()), None, "{wait}");
    }
    world.clock.advance(secs(1));
    assert!(matches!(
        refusal(&world, &session, gate()),
        Some(NotAllowed::StepUp(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_up_s_link_is_of_no_use_to_anybody_else() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let why = Error::from(refusal(&world, &world.session(&id).await, strong().scope("mail.read")).unwrap());
    let reply = refuse(&browser, &why, &browser.head("GET", "/pay"));
    let link = location(&reply).split_once("return_to=").unwrap().1.to_owned();
    assert!(parameter(&browser.begin(&link).await, "acr_values").is_some());

    // Signed in as somebody else, or not at all; and in the same browser with a session of its own.
    let mut other = world.browser();
    other.sign_in("/").await;
    let mut nobody = world.browser();
    for stranger in [&mut other, &mut nobody] {
        let url = stranger.begin(&link).await;
        assert_eq!(
            (parameter(&url, "acr_values"), parameter(&url, "max_age")),
            (None, None)
        );
        assert!(!parameter(&url, "scope").unwrap().contains("mail.read"));
    }
    world.clock.advance(secs(900));
    assert!(
        parameter(&browser.begin(&link).await, "acr_values").is_none(),
        "too late"
    );
    let reply = refuse(&browser, &why, &browser.head("GET", "/pay"));
    let link = location(&reply).split_once("return_to=").unwrap().1.to_owned();
    browser.sign_in("/").await;
    assert!(
        parameter(&browser.begin(&link).await, "acr_values").is_none(),
        "another session"
    );
}

// OpenID Connect Core §3.1.2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_as_somebody_else_is_somebody_else() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let why = Error::from(refusal(&world, &world.session(&id).await, strong()).unwrap());
    let url = step_up_of(&mut browser, &why, "/pay").await;
    let approval = world.provider.approve(&url, "bob").await.unwrap();
    let target = approval.callback_url.replace(BASE, "");
    assert_eq!(location(&browser.callback(&target).await), "/pay");
    let session = world.session(&browser.session().unwrap()).await;
    assert_eq!(session.subject(), "bob");
    assert_eq!(refusal(&world, &session, strong()), None);
    let gone = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(matches!(gone, Error::NotSignedIn(_)));
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
