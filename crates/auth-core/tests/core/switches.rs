//! Custom grants, and sessions that get other tokens by them.

use auth_core::config::ClientAuthMethod;
use auth_core::error::NotSignedIn;
use auth_core::gate::Gate;
use auth_core::grants::{ClientCredentials, CustomGrant, GrantError, Switched, TokenExchange};
use auth_core::reply::{AppData, SessionChange};
use auth_core::secret::SessionId;
use auth_core::session::{Session, SignIn};
use auth_core::{Auth, Error, Refused};
use auth_testing::{Client, DevProvider, Endpoint, Fault, RecordedRequest};
use serde_json::json;

use crate::store::{Failure, Op};
use crate::world::{BASE, CLIENT, Head, LIFE, SECRET, World, eventually, location, secs};

fn organization(id: &str) -> CustomGrant {
    CustomGrant::new("organization_switch")
        .template("client_id", "{{clientId}}")
        .template("client_secret", "{{clientSecret}}")
        .template("scope", "{{scopes}}")
        .template("token", "{{accessToken}}")
        .param("switching_organization", id)
}

fn account(sub: &str) -> CustomGrant {
    CustomGrant::new("account_switch")
        .template("token", "{{accessToken}}")
        .param("account", sub)
}

async fn signed_in(world: &World) -> (SessionId, Session) {
    let id = world.sign_in().await;
    let session = world.session(&id).await;
    (id, session)
}

fn last_request(provider: &DevProvider) -> RecordedRequest {
    provider.control().requests(Endpoint::Token).pop().unwrap()
}

fn new_id(switched: &Switched) -> (&SessionId, AppData) {
    match &switched.change {
        SessionChange::Set { id, app_data } => (id, *app_data),
        other => panic!("the identifier stays: {other:?}"),
    }
}

#[track_caller]
fn assert_code(result: Result<Switched, Error>, code: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{error:?}");
}

/// The session is as it was: it works, with the tokens that it had.
async fn assert_unchanged(world: &World, id: &SessionId, token: &str) {
    let session = world.session(id).await;
    assert_eq!(world.token(&session).await, token);
    assert_eq!(session.subject(), "ada");
}

// RFC 6749 §4.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_grant_is_form_encoded_and_its_placeholders_are_replaced() {
    let world = World::start().await;
    let (_, session) = signed_in(&world).await;
    let odd = "a&b=c+d e%20\u{e4}{{clientSecret}}";
    let grant = organization("one")
        .param("odd", odd)
        .template("twice", "{{accessToken}} {{accessToken}} {{token}}")
        .template("who", "{{username}}@{{clientID}} {{scope}}");
    let answer = world.auth.custom_grant(&session, &grant).await.unwrap();
    assert!(answer.access_token.is_some() && answer.refresh_token.is_some() && answer.id_token.is_some());
    assert!(answer.expires_at.is_some() && answer.scopes.is_some());
    let request = last_request(&world.provider);
    let token = session_token(&world, &session).await;
    assert_eq!(request.form("token"), Some(token.as_str()));
    assert_eq!(request.form("odd"), Some(odd));
    assert_eq!(
        request.form("twice"),
        Some(format!("{token} {token} {token}").as_str())
    );
    assert_eq!(
        request.form("who"),
        Some(format!("ada@{CLIENT} openid profile email offline_access").as_str())
    );
    // As registered: in the header, and there alone.
    assert!(request.header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(request.form("client_secret"), None);
    assert_eq!(
        request
            .form
            .iter()
            .filter(|(name, _)| name == "client_id")
            .count(),
        1
    );
}

async fn session_token(world: &World, session: &Session) -> String {
    let token = world
        .auth
        .custom_grant(session, &CustomGrant::new("x").template("t", "{{token}}"))
        .await;
    assert!(token.is_err());
    last_request(&world.provider).form("t").unwrap().to_owned()
}

// RFC 6749 §2.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_authenticates_as_it_is_registered() {
    let world = World::start().await;
    world
        .control()
        .register(Client::secret_post("post", SECRET).redirect_uri(format!("{BASE}/auth/callback")));
    let auth = world
        .instance_with(|builder| {
            builder
                .client("post", Some(SECRET))
                .client_auth(ClientAuthMethod::ClientSecretPost)
        })
        .await;
    let id = world.browser_of(&auth).sign_in("/").await;
    let session = auth.authenticate(Some(&id)).await.unwrap();
    let grant = organization("one").attach_token();
    // Two credentials in one header would be one too many for this provider; what was sent is what counts.
    let _ = auth.custom_grant(&session, &grant).await;
    let request = last_request(&world.provider);
    for name in ["client_id", "client_secret", "grant_type"] {
        assert_eq!(
            request.form.iter().filter(|(held, _)| held == name).count(),
            1,
            "{name}"
        );
    }
    let token = request.form("token").unwrap();
    assert_eq!(
        request.header("authorization"),
        Some(format!("Bearer {token}").as_str())
    );
    // Where nobody says so it is not attached.
    let _ = auth.custom_grant(&session, &organization("one")).await;
    assert_eq!(last_request(&world.provider).header("authorization"), None);
}

// RFC 6749 §4.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_for_is_said_without_asking() {
    let world = World::start().await;
    let (id, session) = signed_in(&world).await;
    let token = world.token(&session).await;
    let grant = || CustomGrant::new("any");
    let count = world.control().count(Endpoint::Token);
    for (grant, named) in [
        (grant().template("x", "{{password}}"), "{{password}}"),
        (grant().template("x", "{{accessToken"), "}}"),
        (grant().param("grant_type", "password"), "grant_type"),
        (grant().param("client_id", "someone else"), "client_id"),
        (grant().param("client_secret", "another"), "client_secret"),
        (grant().param("client_assertion", "x"), "client_assertion"),
        (grant().attach_token(), "attached"),
        (grant().at("nobody"), "nobody"),
    ] {
        let error = world.auth.custom_grant(&session, &grant).await.unwrap_err();
        assert_eq!((error.status(), error.code()), (500, "grant.misuse"), "{grant:?}");
        let Error::Grant(error) = error else {
            unreachable!()
        };
        assert!(error.to_string().contains(named), "{error}");
        assert_code(world.auth.switch(&session, &grant).await, "grant.misuse");
    }
    let public = world.instance_with(|builder| builder.client(CLIENT, None)).await;
    let grant = grant().template("client_secret", "{{clientSecret}}");
    let error = public.custom_grant(&session, &grant).await.unwrap_err();
    let Error::Grant(error) = error else {
        panic!("{error:?}")
    };
    assert!(
        error
            .to_string()
            .contains("has no secret: it authenticates by `none`"),
        "{error}"
    );
    assert_eq!(world.control().count(Endpoint::Token), count);
    assert_unchanged(&world, &id, &token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_gives_the_session_other_tokens_claims_and_another_identifier() {
    let world = World::start().await;
    let (id, session) = signed_in(&world).await;
    world
        .auth
        .exchange(&session, &TokenExchange::new().audience(world.provider.api_url()))
        .await
        .unwrap();
    let old = world.token(&session).await;
    let began_at = session.created_at();
    world.clock.advance(secs(10));
    let switched = world.auth.switch(&session, &organization("org-7")).await.unwrap();
    let (new, app_data) = new_id(&switched);
    assert_eq!(app_data, AppData::Keep);
    assert_eq!((switched.session.key(), new == &id), (new.key(), false));

    let session = world.session(new).await;
    assert_eq!(session.claims().str("org_id"), Some("org-7"));
    assert_eq!(session.id_token_claims().unwrap().str("org_id"), Some("org-7"));
    assert_eq!(session.claims().email(), Some("ada@example.com"));
    assert_eq!(session.claims().get("level"), Some(&json!(7)));
    assert_ne!(world.token(&session).await, old);
    assert_eq!(session.created_at(), began_at, "it began when it began");
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
    // The user's sessions are one, and the next refresh is of the new grant.
    assert_eq!(world.auth.sessions_of_user(&session).await.unwrap().len(), 1);
    world.clock.advance(LIFE);
    let session = world.session(new).await;
    assert_eq!(session.refresh_count(), 1);
    assert_eq!(session.id_token_claims().unwrap().str("org_id"), Some("org-7"));
    let me = world.auth.client(&session).get("/users/me").send().await.unwrap();
    assert_eq!(me.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_changes_only_where_that_was_said() {
    let world = World::start().await;
    let (id, session) = signed_in(&world).await;
    assert_code(
        world.auth.switch(&session, &account("alice")).await,
        "grant.other_user",
    );
    // The provider has ended the old grant; that is all that has happened.
    assert_eq!(world.auth.peek(Some(&id)).await.unwrap().subject(), "ada");

    let (id, session) = signed_in(&world).await;
    assert!(session.sid().is_some());
    world.control().tamper_id_token(|_, claims| {
        claims.remove("sid");
        claims.remove("auth_time");
    });
    let switched = world
        .auth
        .switch(&session, &account("alice").changes_user())
        .await
        .unwrap();
    world.control().clear_tampering();
    let of_provider = (switched.session.sid(), switched.session.authenticated_at());
    assert_eq!(of_provider, (None, None), "they were the other user's");
    let (new, app_data) = new_id(&switched);
    assert_eq!(app_data, AppData::End);
    let session = world.session(new).await;
    assert_eq!(
        (session.subject(), session.claims().email()),
        ("alice", Some("alice@example.com"))
    );
    assert!(
        session.claims().get("level").is_none(),
        "nothing of the other user is left"
    );
    assert!(world.auth.authenticate(Some(&id)).await.is_err());
    // Whoever ends ada's sessions does not end this one.
    world.auth.end_sessions_of(session.issuer(), "ada").await.unwrap();
    let session = world.session(new).await;
    world
        .auth
        .end_sessions_of(session.issuer(), "alice")
        .await
        .unwrap();
    assert!(world.auth.authenticate(Some(new)).await.is_err());
}

// OpenID Connect Core §3.1.3.7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_a_refresh_would_refuse_is_refused_and_the_session_stays() {
    let world = World::start().await;
    for (what, code) in [
        ("iss", "id_token.issuer_mismatch"),
        ("aud", "id_token.audience_mismatch"),
        ("more aud", "grant.unusable"),
        ("nonce", "grant.unusable"),
        ("exp", "id_token.expired"),
        ("signature", "id_token.signature_invalid"),
    ] {
        let (id, session) = signed_in(&world).await;
        let token = world.token(&session).await;
        match what {
            "signature" => world.control().corrupt_id_token_signature(true),
            _ => world.control().tamper_id_token(move |_, claims| match what {
                "more aud" => {
                    claims.insert("aud".to_owned(), json!([CLIENT, "another"]));
                    claims.insert("azp".to_owned(), json!(CLIENT));
                }
                "exp" => drop(claims.insert("exp".to_owned(), json!(1))),
                name => drop(claims.insert(name.to_owned(), json!("https://other.example"))),
            }),
        }
        let error = world
            .auth
            .switch(&session, &organization("one"))
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{what}: {error:?}");
        world.control().clear_tampering();
        assert_unchanged(&world, &id, &token).await;
        world.auth.end_session(&world.session(&id).await).await.unwrap();
    }
    for (name, value) in [("token_type", "mac"), ("access_token", "")] {
        let (id, session) = signed_in(&world).await;
        let token = world.token(&session).await;
        world
            .control()
            .tamper_token_response(move |answer| drop(answer.insert(name.to_owned(), json!(value))));
        assert_code(
            world.auth.switch(&session, &organization("one")).await,
            "grant.unusable",
        );
        world.control().clear_tampering();
        assert_unchanged(&world, &id, &token).await;
    }
}

// OpenID Connect Core §12.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_switched_id_token_does_not_say_holds_no_more_but_the_nonce() {
    let world = World::start().await;
    let said = |acr: Option<&'static str>, nonce: Option<&'static str>| {
        world.control().tamper_id_token(move |_, claims| {
            claims.remove("nonce");
            claims.remove("acr");
            claims.extend(nonce.map(|nonce| ("nonce".to_owned(), json!(nonce))));
            claims.extend(acr.map(|acr| ("acr".to_owned(), json!(acr))));
        });
    };
    world.control().set_acr(Some("gold"));
    let (_, session) = signed_in(&world).await;
    assert_eq!(session.acr(), Some("gold"));
    said(None, None);
    let switched = world.auth.switch(&session, &organization("one")).await.unwrap();
    assert_eq!(switched.session.acr(), None);
    // It is still the answer to that authorization request, and to no other.
    world.clock.advance(LIFE);
    let (new, _) = new_id(&switched);
    world.session(new).await;
    said(Some("silver"), Some("of another request"));
    world.clock.advance(LIFE);
    let error = world.auth.authenticate(Some(new)).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::IdTokenRefused)),
        "{error:?}"
    );
    // Another user's is of a sign-in of their own.
    world.control().clear_tampering();
    let (_, session) = signed_in(&world).await;
    said(None, Some("of another request"));
    let grant = account("alice").changes_user();
    let _ = world.auth.switch(&session, &grant).await.unwrap();
}

/// A sign-in that follows at once on another one counts on, whatever lies between: an app that switches right after each
/// sign-in makes no circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_right_after_each_sign_in_makes_no_circle() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let gate = Gate::signed_in().scope("mail.read");
    let head = Head {
        method: "GET",
        target: "/mail".to_owned(),
        headers: vec![("accept", "text/html".to_owned())],
    };
    let mut rounds = 0;
    loop {
        let session = world.session(&browser.session().unwrap()).await;
        // The tokens of the organization never have the scope.
        world.control().tamper_token_response(|answer| {
            answer.insert("scope".to_owned(), json!("openid"));
        });
        let switched = world.auth.switch(&session, &organization("one")).await.unwrap();
        world.control().clear_tampering();
        let cookie = world.auth.session_cookie(&switched.change).unwrap();
        let (name, rest) = cookie.split_once('=').unwrap();
        let value = rest.split(';').next().unwrap();
        browser.cookies.insert(name.to_owned(), value.to_owned());
        let error = gate.check(Ok(&switched.session), world.auth.now()).unwrap_err();
        let reply = world
            .auth
            .refuse(&error, &world.auth.incoming(&head), gate.on_refusal());
        if reply.status == 403 {
            break;
        }
        rounds += 1;
        assert!(rounds <= 3, "it goes in circles");
        let request = browser.request("GET", &location(&reply));
        let reply = world.auth.login(request).await;
        browser.take(&reply);
        let target = browser.approve(&location(&reply)).await;
        assert_eq!(browser.callback(&target).await.status, 303);
    }
    assert_eq!(rounds, 3);
}

// RFC 6749 §5.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_that_the_answer_does_not_name_are_those_that_were_asked_for() {
    let world = World::start().await;
    world
        .control()
        .tamper_token_response(|answer| drop(answer.remove("scope")));
    let (_, session) = signed_in(&world).await;
    let grant = CustomGrant::new("organization_switch")
        .template("token", "{{accessToken}}")
        .param("switching_organization", "one");
    let asked = grant.clone().param("scope", "openid email");
    let switched = world.auth.switch(&session, &asked).await.unwrap();
    assert_eq!(switched.session.scopes().to_string(), "openid email");
    // Where none were, they are those of before.
    let again = world.auth.switch(&switched.session, &grant).await.unwrap();
    assert_eq!(again.session.scopes().to_string(), "openid email");
}

/// A holder believes in its lease for eight seconds from before it asked: one that gets it later sends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_gets_the_lease_too_late_sends_nothing() {
    let world = World::start().await;
    let (id, session) = signed_in(&world).await;
    let token = world.token(&session).await;
    let hold = world.store.hold(Op::Acquire);
    let (auth, of) = (world.auth.clone(), session.clone());
    let switch = tokio::spawn(async move { auth.switch(&of, &organization("one")).await });
    hold.waiting(1).await;
    // By the machine's clock, which nothing moves.
    tokio::time::sleep(secs(8)).await;
    drop(hold);
    assert_code(switch.await.unwrap(), "grant.unavailable");
    assert_eq!(world.control().count(Endpoint::Token), 1, "the sign-in's alone");
    assert_unchanged(&world, &id, &token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_id_token_the_user_stays_and_may_not_change() {
    let world = World::start().await;
    let (_, session) = signed_in(&world).await;
    let claims = session.id_token_claims();
    world
        .control()
        .tamper_token_response(|answer| drop(answer.remove("id_token")));
    let switched = world.auth.switch(&session, &organization("one")).await.unwrap();
    assert_eq!(switched.session.subject(), "ada");
    assert_eq!(switched.session.claims(), session.claims());
    assert_eq!(switched.session.id_token_claims(), claims);
    let grant = account("alice").changes_user();
    assert_code(
        world.auth.switch(&switched.session, &grant).await,
        "grant.unusable",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_refresh_token_goes_with_what_was_switched_from() {
    let world = World::start().await;
    let (_, session) = signed_in(&world).await;
    world
        .control()
        .tamper_token_response(|answer| drop(answer.remove("refresh_token")));
    let switched = world.auth.switch(&session, &organization("one")).await.unwrap();
    let (new, _) = new_id(&switched);
    assert!(!switched.session.is_refreshable());
    world.clock.advance(LIFE);
    let error = world.auth.authenticate(Some(new)).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::TokenExpired)),
        "{error:?}"
    );
    assert_eq!(world.control().refresh_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apps_hook_hears_of_a_switch_and_can_refuse_it() {
    let hook = |mut sign_in: SignIn| async move {
        if sign_in.claims().str("org_id") == Some("forbidden") || sign_in.subject() == "bob" {
            return Err(Refused::because("not this one"));
        }
        sign_in.set_claim("seen", true);
        if sign_in.claims().str("org_id").is_some() {
            sign_in.keep_claims(["org_id", "seen"]);
        }
        Ok(sign_in)
    };
    let world = World::with(|builder| builder.on_sign_in(hook)).await;
    let (id, session) = signed_in(&world).await;
    let token = world.token(&session).await;
    let error = world
        .auth
        .switch(&session, &organization("forbidden"))
        .await
        .unwrap_err();
    assert_eq!((error.status(), error.code()), (403, "login.refused_by_app"));
    assert_unchanged(&world, &id, &token).await;
    let (_, session) = signed_in(&world).await;
    assert!(
        world
            .auth
            .switch(&session, &account("bob").changes_user())
            .await
            .is_err()
    );
    let (_, session) = signed_in(&world).await;
    let switched = world.auth.switch(&session, &organization("fine")).await.unwrap();
    assert_eq!(switched.session.claims().get("seen"), Some(&json!(true)));
    // What it leaves out stays out.
    world
        .control()
        .tamper_id_token(|_, claims| drop(claims.insert("rank".to_owned(), json!(1))));
    world.clock.advance(LIFE);
    let session = world.session(new_id(&switched).0).await;
    assert_eq!(session.claims().str("org_id"), Some("fine"));
    assert!(session.claims().get("rank").is_none() && session.claims().email().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_and_a_refresh_of_one_session_do_not_meet() {
    let world = World::start().await;
    let (_, session) = signed_in(&world).await;
    let hold = world.control().hold(Endpoint::Token);
    let (auth, of) = (world.auth.clone(), session.clone());
    let switch = tokio::spawn(async move { auth.switch(&of, &organization("one")).await });
    hold.waiting(1).await.unwrap();
    // On another instance an API refuses the token: it is to be refreshed, and the lease is waited for.
    world.control().reject_next(1);
    let other = world.instance().await.client(&session);
    let call = tokio::spawn(async move { other.get("/users/me").send().await });
    eventually("the attempt to refresh", || world.store.count(Op::Acquire) > 1).await;
    assert_eq!(hold.count(), 1, "nobody refreshes meanwhile");
    hold.release();
    let switched = switch.await.unwrap().unwrap();
    let error = Error::from(call.await.unwrap().unwrap_err());
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (0, 0)
    );
    world.session(new_id(&switched).0).await;
}

/// The other way round: a switch waits for whoever refreshes, and presents what came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_waits_for_a_refresh_under_way() {
    let world = World::start().await;
    let (_, session) = signed_in(&world).await;
    let old = world.token(&session).await;
    let hold = world.control().hold(Endpoint::Token);
    world.control().reject_next(1);
    let other = world.instance().await.client(&session);
    let call = tokio::spawn(async move { other.get("/users/me").send().await });
    hold.waiting(1).await.unwrap();
    let (auth, of) = (world.auth.clone(), session.clone());
    let switch = tokio::spawn(async move { auth.switch(&of, &organization("one")).await });
    eventually("the attempt to switch", || world.store.count(Op::Acquire) > 1).await;
    hold.release();
    let switched = switch.await.unwrap().unwrap();
    let _ = call.await.unwrap();
    world.session(new_id(&switched).0).await;
    let presented = last_request(&world.provider);
    assert_eq!(presented.form("grant_type"), Some("organization_switch"));
    assert_ne!(presented.form("token"), Some(old.as_str()));
    assert_eq!(world.control().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_during_a_switch_wins() {
    let world = World::start().await;
    let (id, session) = signed_in(&world).await;
    let hold = world.control().hold_answer(Endpoint::Token);
    let (auth, of) = (world.auth.clone(), session.clone());
    let switch = tokio::spawn(async move { auth.switch(&of, &organization("one")).await });
    hold.waiting(1).await.unwrap();
    world.instance().await.end_session(&session).await.unwrap();
    hold.release();
    let error = switch.await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
    assert!(world.auth.authenticate(Some(&id)).await.is_err());
    assert!(
        world
            .auth
            .sessions_of_user(&session)
            .await
            .unwrap()
            .iter()
            .all(|listed| listed.id == session.key())
    );
    eventually("the revocation of the old tokens and the new ones", || {
        world.revoked().len() == 4
    })
    .await;
}

/// Ending a session under the name that it had before a switch ends nothing, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_gone_on_under_another_name_was_not_ended() {
    let world = World::start().await;
    let (_, session) = signed_in(&world).await;
    let (_, asking) = signed_in(&world).await;
    let at_provider = world.control().hold(Endpoint::Token);
    let (auth, of) = (world.auth.clone(), session.clone());
    let switch = tokio::spawn(async move { auth.switch(&of, &organization("one")).await });
    at_provider.waiting(1).await.unwrap();
    // The user's wish has found the session; before it is carried out, the switch takes it away.
    let found = world.store.hold_answer(Op::Load);
    let end = async { world.auth.end_session_of_user(&asking, &session.key()).await };
    let switched = async {
        found.waiting(1).await;
        at_provider.release();
        let switched = switch.await.unwrap().unwrap();
        drop(found);
        switched
    };
    let (was_ended, switched) = tokio::join!(end, switched);
    assert!(!was_ended.unwrap(), "the session lives on");
    world.session(new_id(&switched).0).await;
    // Nor by a job that holds on to the session as it was.
    world.auth.end_session(&session).await.unwrap();
    world.session(new_id(&switched).0).await;
    world.settle().await;
    assert!(
        world.revoked().is_empty(),
        "the new tokens may hang on the old ones"
    );
    // Under the name that it has now it is ended, once; all others are counted as they are.
    let key = switched.session.key();
    assert!(world.auth.end_session_of_user(&asking, &key).await.unwrap());
    assert!(!world.auth.end_session_of_user(&asking, &key).await.unwrap());
    signed_in(&world).await;
    assert_eq!(world.auth.end_other_sessions(&asking).await.unwrap(), 1);
}

/// A store that takes the old session away and loses its answer: nobody is signed in, and no token is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_whose_last_answer_is_lost_leaves_no_token_behind() {
    let world = World::start().await;
    let (id, session) = signed_in(&world).await;
    world.store.fail_next(Op::Delete, Failure::AnswerLost);
    let error = world
        .auth
        .switch(&session, &organization("one"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
    assert!(world.auth.authenticate(Some(&id)).await.is_err());
    assert_eq!(world.store.sessions(), 0);
    world.settle().await;
    assert_eq!(world.revoked().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_the_provider_refuses_or_the_store_fails_leaves_the_session() {
    let world = World::start().await;
    let (id, session) = signed_in(&world).await;
    let token = world.token(&session).await;
    for (fault, code) in [
        (Fault::oauth(400, "invalid_grant"), "grant.refused"),
        (
            Fault::oauth(400, "unsupported_grant_type"),
            "grant.client_refused",
        ),
        (Fault::status(503), "grant.unavailable"),
        (Fault::Reset, "grant.unavailable"),
    ] {
        world.control().fail_next(Endpoint::Token, 1, fault);
        assert_code(world.auth.switch(&session, &organization("one")).await, code);
        assert_unchanged(&world, &id, &token).await;
    }
    assert_eq!(world.control().refresh_count(), 0);
    // The lease was given back each time.
    world.store.fail_next(Op::Insert, Failure::Lost);
    assert_code(
        world.auth.switch(&session, &organization("one")).await,
        "store.unavailable",
    );
    assert_eq!(world.auth.peek(Some(&id)).await.unwrap().key(), session.key());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_is_refreshed_before_it_is_presented() {
    let world = World::start().await;
    let (_, session) = signed_in(&world).await;
    world.clock.advance(LIFE);
    let switched = world.auth.switch(&session, &organization("one")).await.unwrap();
    assert_eq!(
        (world.control().refresh_count(), switched.session.refresh_count()),
        (1, 1)
    );
    let (_, session) = signed_in(&world).await;
    world.clock.advance(LIFE);
    world
        .auth
        .custom_grant(&session, &organization("one"))
        .await
        .unwrap();
    assert_eq!(world.control().refresh_count(), 2);
}

// ---- what code asks of a signed-in user -----------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_by_its_key_is_as_good_as_the_one_of_a_request() {
    let world = World::start().await;
    let id = world.expired().await;
    let key = id.key();
    assert!(world.auth.is_signed_in(&key).await.unwrap());
    assert_eq!(world.control().refresh_count(), 1);
    let by_key = world.auth.signed_in(&key).await.unwrap();
    let of_request = world.session(&id).await;
    assert_eq!(by_key.key(), of_request.key());
    for session in [&by_key, &of_request] {
        assert_eq!(
            world.auth.id_token(session).unwrap(),
            world.auth.id_token(&of_request).unwrap()
        );
        assert_eq!(session.id_token_claims().unwrap().subject(), Some("ada"));
        assert!(session.scopes().contains("openid"));
        let info = world.auth.user_info(session).await.unwrap();
        assert_eq!(
            (info.subject(), info.email()),
            (Some("ada"), Some("ada@example.com"))
        );
    }
    // Down is not signed out; the end of the grant is.
    world.clock.advance(LIFE);
    world.control().fail(Endpoint::Token, Fault::status(503));
    let error = world.auth.is_signed_in(&key).await.unwrap_err();
    assert_eq!(error.status(), 503);
    world.control().clear(Endpoint::Token);
    world.control().kill_refresh_tokens();
    world.clock.advance(secs(5));
    assert!(!world.auth.is_signed_in(&key).await.unwrap());
    assert!(!world.auth.is_signed_in(&key).await.unwrap());
}

// OpenID Connect Core §5.3.2, §5.3.4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_info_is_about_the_same_user_or_an_error() {
    let world = World::start().await;
    let (id, session) = signed_in(&world).await;
    world
        .control()
        .tamper_userinfo(|claims| drop(claims.insert("sub".to_owned(), json!("bob"))));
    let code = async || world.auth.user_info(&session).await.unwrap_err().code();
    assert_eq!(code().await, "userinfo.subject_mismatch");
    world
        .control()
        .tamper_userinfo(|claims| drop(claims.remove("sub")));
    assert_eq!(code().await, "userinfo.subject_missing");
    world.control().clear_tampering();
    world.control().fail_next(
        Endpoint::Userinfo,
        1,
        Fault::body(200, "text/html", "<h1>no</h1>"),
    );
    assert_eq!(code().await, "userinfo.not_json");
    world
        .control()
        .fail_next(Endpoint::Userinfo, 1, Fault::status(503));
    let error = world.auth.user_info(&session).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (503, "provider.unavailable"));
    // Signed, it is verified.
    world.control().set_signed_userinfo(true);
    assert_eq!(
        world.auth.user_info(&session).await.unwrap().subject(),
        Some("ada")
    );
    world.control().set_signed_userinfo(false);
    // A dead token is not shown to it, and one that it refuses is refreshed, once.
    world.clock.advance(LIFE);
    let asked = world.control().count(Endpoint::Userinfo);
    world.auth.user_info(&session).await.unwrap();
    assert_eq!(
        (
            world.control().count(Endpoint::Userinfo),
            world.control().refresh_count()
        ),
        (asked + 1, 1)
    );
    let session = world.session(&id).await;
    world
        .control()
        .fail_next(Endpoint::Userinfo, 1, Fault::status(401));
    world.auth.user_info(&session).await.unwrap();
    assert_eq!(world.control().refresh_count(), 2);
    let session = world.session(&id).await;
    world.control().fail(Endpoint::Userinfo, Fault::status(401));
    let error = world.auth.user_info(&session).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (502, "userinfo.refused"));
    assert_eq!(world.control().refresh_count(), 3);
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_oauth_session_has_no_id_token_and_its_userinfo_names_the_same_user() {
    let world = World::start().await;
    let issuer = world.provider.issuer().to_owned();
    let auth = Auth::builder()
        .base_url(BASE)
        .endpoints(format!("{issuer}/authorize"), format!("{issuer}/token"))
        .userinfo_url(format!("{issuer}/userinfo"))
        .client(CLIENT, Some(SECRET))
        .clock(world.clock.clock())
        .build()
        .await
        .unwrap();
    let id = world.browser_of(&auth).sign_in("/").await;
    let session = auth.authenticate(Some(&id)).await.unwrap();
    // It came, and nobody has verified it.
    assert!(auth.id_token(&session).is_none() && session.id_token_claims().is_none());
    let error = auth
        .exchange(
            &session,
            &TokenExchange::new().subject(auth_core::grants::Presented::SessionIdToken),
        )
        .await
        .unwrap_err();
    assert_eq!(error.code(), "grant.nothing_to_present");
    assert_eq!(auth.user_info(&session).await.unwrap().subject(), Some("ada"));
    world
        .control()
        .tamper_userinfo(|claims| drop(claims.insert("sub".to_owned(), json!("bob"))));
    let error = auth.user_info(&session).await.unwrap_err();
    assert_eq!(error.code(), "userinfo.subject_mismatch");
    world
        .control()
        .tamper_userinfo(|claims| drop(claims.remove("sub")));
    let error = auth.user_info(&session).await.unwrap_err();
    assert_eq!(error.code(), "userinfo.subject_missing");
    // What an error says of a user nobody believes.
    world.control().fail_next(
        Endpoint::Userinfo,
        1,
        Fault::body(403, "application/json", r#"{"sub": "ada"}"#),
    );
    let error = auth.user_info(&session).await.unwrap_err();
    assert_eq!(error.code(), "userinfo.refused");
    let error = auth
        .switch(&session, &account("bob").changes_user())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Grant(ref error) if matches!(**error, GrantError::Misuse(_))),
        "{error:?}"
    );
    auth.machine_token(&ClientCredentials::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_without_userinfo_says_so() {
    let world = World::start().await;
    world
        .control()
        .tamper_discovery(|document| drop(document.remove("userinfo_endpoint")));
    let auth = world.instance().await;
    let id = world.browser_of(&auth).sign_in("/").await;
    let session = auth.authenticate(Some(&id)).await.unwrap();
    let error = auth.user_info(&session).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (502, "userinfo.no_endpoint"));
}
