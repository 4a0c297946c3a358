//! What providers do differently, done by the development provider: where roles stand, how a user is named without OpenID
//! Connect, how a sign-out is asked for. Each preset is the real one; only the addresses are the development provider's.

use auth_core::error::NotSignedIn;
use auth_core::gate::Gate;
use auth_core::secret::SessionId;
use auth_core::session::{Session, SignIn};
use auth_core::{Auth, AuthBuilder, Error, Preset};
use auth_testing::{Client, Endpoint, Fault};
use serde_json::{Value, json};
use url::Url;

use crate::world::{BASE, CLIENT, LIFE, SECRET, World, location};

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

/// An instance with this preset, at the development provider.
async fn instance(world: &World, preset: Preset, set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> Auth {
    let issuer = world.provider.issuer();
    world
        .instance_with(|builder| set(builder.preset(preset).issuer(issuer)))
        .await
}

/// The development provider gives refresh tokens for `offline_access` alone.
fn refreshable(builder: AuthBuilder) -> AuthBuilder {
    builder.scopes("openid profile email offline_access")
}

async fn sign_in(world: &World, auth: &Auth) -> (SessionId, Session) {
    let id = world.browser_of(auth).sign_in("/").await;
    let session = auth.authenticate(Some(&id)).await.unwrap();
    (id, session)
}

async fn refresh(world: &World, auth: &Auth, id: &SessionId) -> Session {
    world.clock.advance(LIFE);
    auth.authenticate(Some(id)).await.unwrap()
}

/// The session's roles; null where it has none.
fn roles(session: &Session) -> Value {
    session.claims().get("roles").cloned().unwrap_or(Value::Null)
}

fn passes(auth: &Auth, session: &Session, role: &str) -> bool {
    Gate::signed_in()
        .role(role)
        .check(Ok(session), auth.now())
        .is_ok()
}

// OpenID Connect Core §5.3.2, §12.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keycloak_s_roles_are_the_gates_roles_at_sign_in_and_after_each_refresh() {
    let world = World::start().await;
    let preset = Preset::keycloak("https://id.example", "acme");
    let auth = instance(&world, preset, |builder| {
        refreshable(builder).on_sign_in(|sign_in: SignIn| async move {
            assert!(sign_in.claims().has_role("editor"), "hooks see them as well");
            Ok(sign_in)
        })
    })
    .await;
    said(
        &world,
        json!({
            "roles": ["of a mapper"],
            "realm_access": {"roles": ["admin"]},
            "resource_access": {CLIENT: {"roles": ["editor"]}, "account": {"roles": ["manage-account"]}},
        }),
    );
    world.control().tamper_userinfo(|claims| {
        claims.insert("roles".into(), json!(["root"]));
        claims.insert("realm_access".into(), json!({"roles": ["root"]}));
    });
    let (id, session) = sign_in(&world, &auth).await;
    assert_eq!(roles(&session), json!(["admin", "editor"]));
    assert!(passes(&auth, &session, "admin") && passes(&auth, &session, "editor"));
    for other in ["root", "of a mapper", "manage-account"] {
        assert!(!passes(&auth, &session, other), "{other}");
    }

    for (realm, after) in [
        (json!({"roles": ["user"]}), json!(["user", "editor"])),
        (json!(null), json!(["editor"])),
        (json!({"roles": ["admin", "editor"]}), json!(["admin", "editor"])),
    ] {
        said(
            &world,
            json!({"realm_access": realm, "resource_access": {CLIENT: {"roles": ["editor"]}}}),
        );
        assert_eq!(roles(&refresh(&world, &auth, &id).await), after, "{realm}");
    }
    said(&world, json!({"roles": ["admin"]}));
    let session = refresh(&world, &auth, &id).await;
    assert_eq!(
        roles(&session),
        Value::Null,
        "`roles` itself is none of the places"
    );
    assert!(!passes(&auth, &session, "admin"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn userinfo_gives_no_roles_where_the_id_token_has_none() {
    let world = World::start().await;
    let preset = Preset::keycloak("https://id.example", "acme");
    let auth = instance(&world, preset, refreshable).await;
    world.control().tamper_userinfo(|claims| {
        claims.insert("realm_access".into(), json!({"roles": ["root"]}));
    });
    let (id, session) = sign_in(&world, &auth).await;
    assert_eq!(roles(&session), Value::Null);
    assert_eq!(roles(&refresh(&world, &auth, &id).await), Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_that_the_hook_has_set_stay() {
    let world = World::start().await;
    let preset = Preset::okta("acme.okta.com", Some("default"));
    let auth = instance(&world, preset, |builder| {
        builder.on_sign_in(|mut sign_in: SignIn| async move {
            sign_in.set_claim("roles", json!(["of the app"]));
            Ok(sign_in)
        })
    })
    .await;
    said(&world, json!({"groups": ["admin"]}));
    let (id, session) = sign_in(&world, &auth).await;
    assert_eq!(roles(&session), json!(["of the app"]));
    said(&world, json!({"groups": ["root"]}));
    assert_eq!(roles(&refresh(&world, &auth, &id).await), json!(["of the app"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_provider_s_shape_of_roles_becomes_one() {
    let world = World::start().await;
    let zitadel = json!({"admin": {"178204": "acme.example"}, "user": {}});
    for (preset, claim, value, expected) in [
        (
            Preset::cognito("eu-west-1_AbCdEfGhI"),
            "cognito:groups",
            json!(["admin"]),
            json!(["admin"]),
        ),
        (
            Preset::authentik("https://id.example", "shop"),
            "groups",
            json!(["admin"]),
            json!(["admin"]),
        ),
        (
            Preset::okta("acme.okta.com", None),
            "groups",
            json!("admin"),
            json!(["admin"]),
        ),
        (
            Preset::zitadel("https://acme.zitadel.cloud"),
            "urn:zitadel:iam:org:project:roles",
            zitadel,
            json!(["admin"]),
        ),
        (Preset::asgardeo("acme"), "roles", json!("admin"), json!("admin")),
        (
            Preset::gitlab("https://gitlab.com"),
            "groups_direct",
            json!(["admin"]),
            Value::Null,
        ),
    ] {
        let shown = format!("{preset:?}");
        let auth = instance(&world, preset, refreshable).await;
        said(&world, json!({ claim: value }));
        let (id, session) = sign_in(&world, &auth).await;
        assert_eq!(roles(&session), expected, "{shown}");
        assert_eq!(passes(&auth, &session, "admin"), !expected.is_null(), "{shown}");
        assert_eq!(roles(&refresh(&world, &auth, &id).await), expected, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entra_s_userinfo_is_not_asked() {
    let world = World::start().await;
    let preset = Preset::entra("8a1e6f3c-0000-4000-8000-00000000acde");
    let auth = instance(&world, preset, |builder| builder).await;
    sign_in(&world, &auth).await;
    assert_eq!(world.control().count(Endpoint::Userinfo), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_is_asked_for_a_refresh_token_in_its_own_way_and_has_no_sign_out() {
    let world = World::start().await;
    world
        .control()
        .tamper_discovery(|document| drop(document.remove("end_session_endpoint")));
    let auth = instance(&world, Preset::google(), |builder| builder).await;
    let mut browser = world.browser_of(&auth);
    let url = browser.begin("/").await;
    let query: Vec<_> = Url::parse(&url).unwrap().query_pairs().into_owned().collect();
    for (name, value) in [
        ("scope", "openid profile email"),
        ("access_type", "offline"),
        ("prompt", "consent"),
    ] {
        assert!(query.contains(&(name.to_owned(), value.to_owned())), "{url}");
    }
    let target = browser.approve(&url).await;
    assert_eq!(browser.callback(&target).await.status, 303);
    assert_eq!(location(&browser.logout().await), "/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cognito_s_sign_out_is_given_what_it_knows_and_nothing_else() {
    let world = World::start().await;
    let auth = instance(&world, Preset::cognito("eu-west-1_AbCdEfGhI"), |builder| {
        builder.post_logout_redirect("/goodbye?a=b")
    })
    .await;
    let mut browser = world.browser_of(&auth);
    browser.sign_in("/").await;
    let issuer = world.provider.issuer();
    let home = "http%3A%2F%2F127.0.0.1%3A3000%2Fgoodbye%3Fa%3Db";
    assert_eq!(
        location(&browser.logout().await),
        format!("{issuer}/end-session?client_id={CLIENT}&logout_uri={home}")
    );
    // A pool whose document names no sign-out, as all did before 2024.
    world
        .control()
        .tamper_discovery(|document| drop(document.remove("end_session_endpoint")));
    let auth = instance(&world, Preset::cognito("eu-west-1_AbCdEfGhI"), |builder| builder).await;
    let mut browser = world.browser_of(&auth);
    browser.sign_in("/").await;
    assert_eq!(location(&browser.logout().await), "/");
}

// OpenID Connect RP-Initiated Logout 1.0 §2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth0_s_sign_out_is_found_where_the_document_does_not_name_it() {
    let world = World::start().await;
    world
        .control()
        .tamper_discovery(|document| drop(document.remove("end_session_endpoint")));
    let auth = instance(&world, Preset::auth0("acme.eu.auth0.com", None), |builder| {
        builder
    })
    .await;
    let mut browser = world.browser_of(&auth);
    browser.sign_in("/").await;
    let url = Url::parse(&location(&browser.logout().await)).unwrap();
    assert_eq!(
        (url.host_str(), url.path()),
        (Some("acme.eu.auth0.com"), "/oidc/logout")
    );
    let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["id_token_hint", "client_id", "post_logout_redirect_uri"]);
}

/// The development provider as GitHub: no ID token, a number for a name, commas between scopes.
async fn github(world: &World, user: Value) -> Auth {
    world.control().register(
        Client::secret_post("github", SECRET)
            .redirect_uri(format!("{BASE}/auth/callback"))
            .post_logout_redirect_uri(format!("{BASE}/")),
    );
    world.control().tamper_userinfo(move |claims| {
        claims.clear();
        claims.extend(user.as_object().unwrap().clone());
    });
    world.control().tamper_token_response(|response| {
        response.remove("id_token");
        response.insert("scope".into(), json!("read:user,user:email"));
    });
    let at = |path: &str| format!("{}{path}", world.provider.issuer());
    Auth::builder()
        .preset(Preset::github())
        .endpoints(at("/authorize"), at("/token"))
        .userinfo_url(at("/userinfo"))
        // The development provider gives refresh tokens and userinfo for these two.
        .scopes("openid offline_access read:user user:email")
        .base_url(BASE)
        .client("github", Some(SECRET))
        .store(world.store.clone())
        .secret(world.keys.clone())
        .clock(world.clock.clock())
        .build()
        .await
        .unwrap()
}

// RFC 6749 §3.3, §5.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn github_s_user_is_a_number_and_its_scopes_have_commas_between_them() {
    let world = World::start().await;
    let user = json!({"login": "ada", "id": 583_231, "email": null, "name": "Ada"});
    let auth = github(&world, user).await;
    let (id, session) = sign_in(&world, &auth).await;
    assert_eq!(session.subject(), "583231");
    assert_eq!(session.claims().email(), None);
    assert_eq!(session.claims().name(), Some("Ada"));
    assert_eq!(roles(&session), Value::Null);
    assert_eq!(session.scopes().to_string(), "read:user user:email");
    let session = refresh(&world, &auth, &id).await;
    assert_eq!(session.scopes().to_string(), "read:user user:email");

    let asked = world.control().requests(Endpoint::Token).remove(0);
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert_eq!(asked.form("client_secret"), Some(SECRET));
    let asked = world.control().requests(Endpoint::Userinfo).remove(0);
    assert!(
        asked
            .header("user-agent")
            .is_some_and(|agent| agent.starts_with("auth-core/"))
    );

    let mut browser = world.browser_of(&auth);
    browser.sign_in("/").await;
    assert_eq!(location(&browser.logout().await), "/");
    assert_eq!(world.control().count(Endpoint::Revoke), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_may_be_read_as_another_names_nobody() {
    for (id, subject) in [
        (json!(583_231), "583231"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!("583231"), "583231"),
        (json!(1.5), ""),
        (json!(1.0e22), ""),
        (json!(true), ""),
        (json!(null), ""),
        (json!(""), ""),
    ] {
        let world = World::start().await;
        let auth = github(&world, json!({ "id": id })).await;
        let (_, session) = sign_in(&world, &auth).await;
        assert_eq!(session.subject(), subject, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_github_does_not_take_ends_the_session() {
    let world = World::start().await;
    let auth = github(&world, json!({"id": 1})).await;
    let (id, _) = sign_in(&world, &auth).await;
    world.clock.advance(LIFE);
    world
        .control()
        .fail_next(Endpoint::Token, 1, Fault::oauth(200, "bad_refresh_token"));
    let error = auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::GrantEnded)),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_github_does_not_take_signs_nobody_out() {
    let world = World::start().await;
    let auth = github(&world, json!({"id": 1})).await;
    let (id, _) = sign_in(&world, &auth).await;
    world.clock.advance(LIFE);
    let fault = Fault::oauth(200, "incorrect_client_credentials");
    world.control().fail_next(Endpoint::Token, 1, fault);
    let error = auth.authenticate(Some(&id)).await.unwrap_err();
    assert_eq!(error.code(), "refresh.client_refused");
    auth.authenticate(Some(&id)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commas_are_parts_of_scopes_where_there_is_openid_connect() {
    let world = World::start().await;
    world.control().tamper_token_response(|response| {
        response.insert("scope".into(), json!("openid mail,calendar"));
    });
    let (_, session) = sign_in(&world, &world.auth).await;
    assert_eq!(session.scopes().to_string(), "openid mail,calendar");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_provider_s_roles_are_found_as_well() {
    let world = World::start().await;
    let at = |path: &str| format!("{}{path}", world.provider.issuer());
    world.control().tamper_userinfo(|claims| {
        claims.insert("teams".into(), json!({"list": ["admin"]}));
    });
    let auth = Auth::builder()
        .base_url(BASE)
        .endpoints(at("/authorize"), at("/token"))
        .userinfo_url(at("/userinfo"))
        .end_session_url(at("/end-session"))
        .roles_claims(["/teams/list"])
        .client(CLIENT, Some(SECRET))
        .store(world.store.clone())
        .secret(world.keys.clone())
        .clock(world.clock.clock())
        .build()
        .await
        .unwrap();
    let mut browser = world.browser_of(&auth);
    let id = browser.sign_in("/").await;
    let session = auth.authenticate(Some(&id)).await.unwrap();
    assert!(passes(&auth, &session, "admin"));
    assert!(location(&browser.logout().await).starts_with(&at("/end-session?")));
}

#[tokio::test]
async fn a_sign_out_s_parameter_is_a_name() {
    for bad in ["", "a b", "a=b", "a&b", "client_id", "id_token_hint", "ü"] {
        let builder = Auth::builder()
            .issuer("https://id.example")
            .client(CLIENT, None)
            .base_url(BASE)
            .end_session_parameter(bad);
        let error = builder.build().await.expect_err(bad);
        assert_eq!(error.variable(), "AUTH_END_SESSION_PARAM", "{bad}");
    }
}
