//! Routes that ask for more than a session: a role, a fresh sign-in; and the revocation of the access token.

use std::future::IntoFuture;
use std::time::Duration;

use auth_testing::{Endpoint, Fault};
use auth_tests::stage::CLIENT_ID;
use auth_tests::{Stage, World};
use http::Method;
use serde_json::{Value, json};

use crate::id_token::Claims;

use crate::login::parameters;

fn roles(world: &World, value: Value) {
    world
        .provider
        .control()
        .tamper_id_token(move |_: &mut Claims, claims: &mut Claims| {
            if value.is_null() {
                claims.remove("roles");
            } else {
                claims.insert("roles".to_owned(), value.clone());
            }
        });
}

pub(crate) async fn administrators_are_let_in(stage: Stage) {
    let world = stage.world().await;
    for value in [json!(["admin"]), json!("admin"), json!(["editor", "admin"])] {
        roles(&world, value.clone());
        let browser = world.browser.fresh();
        world.sign_in_with(&browser, "bob").await;
        let answer = browser.fetch("/api/admin").await;
        assert_eq!(answer.status, 200, "{value}: {}", answer.describe());
        assert_eq!(answer.json(), json!({"admin": true}));
        browser.navigate("/api/admin").await.assert_status(200);
    }
}

pub(crate) async fn others_get_403_browsers_too(stage: Stage) {
    let world = stage.world().await;
    for value in [
        Value::Null,
        json!([]),
        json!("editor"),
        json!("administrator"),
        json!("admin editor"),
        json!("Admin"),
        json!(["xadmin", "admin "]),
        json!([["admin"]]),
        json!({"admin": true}),
        json!(true),
    ] {
        roles(&world, value.clone());
        let browser = world.browser.fresh();
        world.sign_in_with(&browser, "bob").await;
        let answer = browser.fetch("/api/admin").await;
        assert_eq!(answer.status, 403, "{value}: {}", answer.describe());
        answer.assert_problem(403);
        let page = browser.navigate("/api/admin").await;
        page.assert_status(403).assert_page().assert_no_store();
        browser.assert_signed_in_as("bob").await;
    }
}

// OpenID Connect Core §5.3.2, §12.2
pub(crate) async fn roles_are_found_where_the_settings_say(stage: Stage) {
    let places = "/realm_access/roles,/resource_access/{client_id}/roles,cognito:groups";
    let world = stage
        .world_with(|settings| settings.set("AUTH_ROLES_CLAIM", places))
        .await;
    let control = world.provider.control();
    let zitadel = json!({"admin": {"178204": "acme.example"}});
    for (said, roles) in [
        (
            json!({"realm_access": {"roles": ["user", "admin"]}}),
            json!(["user", "admin"]),
        ),
        (
            json!({"resource_access": {CLIENT_ID: {"roles": ["admin"]}}}),
            json!(["admin"]),
        ),
        (
            json!({"resource_access": {"another": {"roles": ["admin"]}}}),
            Value::Null,
        ),
        (json!({"cognito:groups": "admin"}), json!(["admin"])),
        (json!({"cognito:groups": zitadel}), json!(["admin"])),
        (json!({"roles": ["admin"], "groups": ["admin"]}), Value::Null),
    ] {
        let (claims, userinfo) = (said.as_object().unwrap().clone(), said.clone());
        control.tamper_id_token(move |_, token| {
            token.remove("roles");
            token.extend(claims.clone());
        });
        control.next_access_token_lifetime(Duration::ZERO);
        let browser = world.browser.fresh();
        world.sign_in_with(&browser, "bob").await;
        // The same after a refresh, and nothing by userinfo.
        let refreshes = control.refresh_count();
        for _ in 0..2 {
            let status = if roles.is_null() { 403 } else { 200 };
            browser.fetch("/api/admin").await.assert_status(status);
        }
        assert_eq!(control.refresh_count(), refreshes + 1);
        let user = browser.session().await["user"].clone();
        assert_eq!(user.get("roles").cloned().unwrap_or_default(), roles, "{said}");
        control.clear_tampering();
        control.tamper_userinfo(move |answer| answer.extend(userinfo.as_object().unwrap().clone()));
        let browser = world.browser.fresh();
        world.sign_in_with(&browser, "bob").await;
        browser.fetch("/api/admin").await.assert_status(403);
        control.clear_tampering();
    }
}

fn authenticated_ago(world: &World, seconds: u64) {
    world
        .provider
        .control()
        .tamper_id_token(move |_: &mut Claims, claims: &mut Claims| {
            claims.insert(
                "auth_time".to_owned(),
                json!(auth_tests::jar::unix_now() - seconds),
            );
        });
}

fn authenticated_just_now(world: &World) {
    authenticated_ago(world, 0);
}

pub(crate) async fn a_fresh_sign_in_may_transfer(stage: Stage) {
    let world = stage.world().await;
    authenticated_ago(&world, 200);
    world.sign_in("alice").await;
    let answer = world.browser.fetch("/api/transfer").await;
    assert_eq!(answer.assert_status(200).json(), json!({"fresh": true}));
}

// OpenID Connect Core §3.1.2.1
pub(crate) async fn an_old_sign_in_must_be_renewed_first(stage: Stage) {
    let world = stage.world().await;
    authenticated_ago(&world, 1000);
    world.sign_in("alice").await;
    let answer = world.browser.fetch("/api/transfer").await;
    answer.assert_problem(401);
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert!(
        challenge.contains("insufficient_user_authentication") && challenge.contains("max_age"),
        "{challenge}"
    );
    world.browser.assert_signed_in_as("alice").await;

    let login = world.browser.navigate("/api/transfer?to=bob").await.location();
    assert_eq!(login.origin(), world.browser.base().origin());
    let request = world.begin(&world.browser, login.as_str()).await;
    assert_eq!(parameters(&request)["max_age"], "300");
    authenticated_just_now(&world);
    let landing = world.finish(&world.browser, &request, "alice").await.location();
    assert_eq!(
        landing.as_str(),
        world
            .browser
            .base()
            .join("/api/transfer?to=bob")
            .unwrap()
            .as_str()
    );
    world.browser.fetch("/api/transfer").await.assert_status(200);
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn a_provider_that_ignores_max_age_is_caught(stage: Stage) {
    let world = stage.world().await;
    authenticated_ago(&world, 1000);
    world.sign_in("alice").await;
    let login = world.browser.navigate("/api/transfer").await.location();
    let request = world.begin(&world.browser, login.as_str()).await;
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_failure(400..=599);
    world.browser.fetch("/api/transfer").await.assert_status(401);
}

pub(crate) async fn revocation_drops_the_access_token_here_and_there(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    world
        .browser
        .script(Method::POST, "/api/revoke")
        .await
        .assert_status(204);
    assert_eq!(control.count(Endpoint::Revoke), 1);
    let request = &control.requests(Endpoint::Revoke)[0];
    assert!(
        control
            .issued_secrets()
            .iter()
            .any(|secret| Some(secret.as_str()) == request.form("token"))
    );
    assert_eq!(world.browser.session().await["authenticated"], true);
    world.browser.fetch("/api/me").await.assert_status(200);
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
}

pub(crate) async fn revocation_is_204_where_the_provider_cannot(stage: Stage) {
    let world = stage.signed_in("alice").await;
    world
        .provider
        .control()
        .fail(Endpoint::Revoke, Fault::oauth(400, "unsupported_token_type"));
    world
        .browser
        .script(Method::POST, "/api/revoke")
        .await
        .assert_status(204);
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn revocation_without_a_refresh_token_ends_what_there_was(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_SCOPES", "openid email"))
        .await;
    world.sign_in("alice").await;
    world
        .browser
        .script(Method::POST, "/api/revoke")
        .await
        .assert_status(204);
    world.browser.fetch("/api/me").await.assert_problem(401);
}

pub(crate) async fn revocation_while_the_provider_is_down_does_not_hang(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", 1))
        .await;
    world.sign_in("alice").await;
    world.provider.control().fail(Endpoint::Revoke, Fault::Hang);
    let answer = tokio::time::timeout(
        Duration::from_secs(5),
        world.browser.script(Method::POST, "/api/revoke").into_future(),
    )
    .await;
    let answer = answer.expect("an answer within five seconds");
    assert!(matches!(answer.status, 204 | 502 | 503), "{}", answer.describe());
}
