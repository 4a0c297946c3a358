//! Sign-outs that the provider tells of: Back-Channel Logout 1.0, Front-Channel Logout 1.0.

use std::sync::atomic::{AtomicU32, Ordering};

use auth_tests::answer::Answer;
use auth_tests::browser::Site;
use auth_tests::jar::unix_now;
use auth_tests::stage::{CLIENT_ID, SECRET};
use auth_tests::{Browser, Stage, World};
use http::Method;
use serde_json::{Map, Value, json};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token with these claims besides the usual ones; null leaves one out.
pub(crate) fn token(world: &World, typ: &str, changes: &Value) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let claims = json!({
        "iss": world.provider.issuer(),
        "aud": CLIENT_ID,
        "iat": unix_now(),
        "exp": unix_now() + 120,
        "jti": format!("logout-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        "events": {EVENT: {}},
    });
    let mut claims: Map<String, Value> = claims.as_object().unwrap().clone();
    claims.extend(changes.as_object().unwrap().clone());
    claims.retain(|_, value| !value.is_null());
    world.provider.control().sign_jwt(typ, &claims)
}

/// The provider's own request: no cookies, no headers of a browser.
pub(crate) async fn send(browser: &Browser, token: &str) -> Answer {
    browser
        .fresh()
        .request(Method::POST, "/auth/backchannel-logout")
        .form(&[("logout_token", token)])
        .await
}

pub(crate) async fn sid(browser: &Browser) -> String {
    browser.session().await["user"]["sid"]
        .as_str()
        .unwrap()
        .to_owned()
}

// OpenID Connect Back-Channel Logout §2.5, §2.8
pub(crate) async fn a_logout_token_ends_the_sessions_that_it_names(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let other = world.browser.fresh();
    world.sign_in_with(&other, "alice").await;
    let by_sid = token(&world, "logout+jwt", &json!({"sid": sid(&world.browser).await}));
    let answer = send(&world.browser, &by_sid).await;
    answer.assert_status(200).assert_no_store().assert_no_cookie();
    world.browser.assert_signed_out().await;
    assert_eq!(
        world.browser.navigate("/profile").await.location().path(),
        "/auth/login"
    );
    other.assert_signed_in_as("alice").await;
    let by_sub = token(&world, "JWT", &json!({"sub": "alice"}));
    send(&world.browser, &by_sub).await.assert_status(200);
    other.assert_signed_out().await;
    // Nobody has such a session any more.
    let again = token(&world, "logout+jwt", &json!({"sub": "alice"}));
    send(&world.browser, &again).await.assert_status(200);
}

// OpenID Connect Back-Channel Logout §2.6, §2.8
pub(crate) async fn a_bad_logout_token_is_400_and_ends_nothing(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let sid = sid(&world.browser).await;
    for (typ, change) in [
        ("at+jwt", json!({})),
        ("logout+jwt", json!({"nonce": "n"})),
        ("logout+jwt", json!({"aud": "another"})),
        ("logout+jwt", json!({"iss": "https://another.example"})),
        ("logout+jwt", json!({"iat": unix_now() - 700})),
        ("logout+jwt", json!({"iat": unix_now() + 120})),
        ("logout+jwt", json!({"iat": null})),
        ("logout+jwt", json!({"exp": unix_now() - 120})),
        ("logout+jwt", json!({"nbf": unix_now() + 120})),
        ("logout+jwt", json!({"events": {EVENT: []}})),
        ("logout+jwt", json!({"events": null})),
        ("logout+jwt", json!({"jti": null})),
        ("logout+jwt", json!({"sid": null})),
    ] {
        let mut claims = json!({"sid": sid});
        claims
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let answer = send(&world.browser, &token(&world, typ, &claims)).await;
        assert_eq!(answer.status, 400, "{typ} {change}: {}", answer.describe());
        answer.assert_no_store();
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    let good = token(&world, "logout+jwt", &json!({"sid": sid}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let long = "a".repeat(70_000);
    for bad in [
        "",
        "x",
        message,
        &format!("{message}."),
        &format!("{message}.{}", &signature[4..]),
        &long,
    ] {
        let answer = send(&world.browser, bad).await;
        assert_eq!(answer.status, 400, "{}", answer.describe());
        answer.assert_no_store();
    }
    // Not in the query, and not twice.
    let request = world.browser.request(
        Method::POST,
        &format!("/auth/backchannel-logout?logout_token={good}"),
    );
    request.await.assert_status(400);
    let fields = [("logout_token", good.as_str()), ("logout_token", good.as_str())];
    let request = world
        .browser
        .request(Method::POST, "/auth/backchannel-logout")
        .form(&fields);
    request.await.assert_status(400);
    let answer = world
        .browser
        .navigate(&format!("/auth/backchannel-logout?logout_token={good}"))
        .await;
    assert!((400..500).contains(&answer.status), "{}", answer.describe());
    world.browser.assert_signed_in_as("alice").await;
    send(&world.browser, &good).await.assert_status(200);
}

// OpenID Connect Back-Channel Logout §2.6
pub(crate) async fn a_logout_token_is_good_once_and_on_every_instance(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("sessions.db").display());
    let world = stage
        .world_with(|settings| settings.set("AUTH_STORE", &store).set("AUTH_SECRET", SECRET))
        .await;
    world.sign_in("alice").await;
    let settings = stage.environment(&world.provider).set("AUTH_STORE", &store);
    let other = stage.start(&settings).await;
    let elsewhere = world.browser.copy();
    elsewhere.moved_to(other.address());

    let token = token(&world, "logout+jwt", &json!({"sub": "alice"}));
    send(&elsewhere, &token).await.assert_status(200);
    world.browser.assert_signed_out().await;
    world.sign_in("alice").await;
    for browser in [&world.browser, &elsewhere] {
        send(browser, &token).await.assert_status(400);
    }
    world.browser.assert_signed_in_as("alice").await;
}

// OpenID Connect Front-Channel Logout §2
pub(crate) async fn the_front_channel_ends_the_session_and_may_be_framed_by_the_issuer_only(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let sid = sid(&world.browser).await;
    let issuer = world.provider.issuer().to_owned();
    let frame = |query: String| {
        // A frame in a page of the provider: no cookie comes along.
        world
            .browser
            .fresh()
            .navigate(&format!("/auth/frontchannel-logout{query}"))
            .site(Site::CrossSite)
            .header("sec-fetch-dest", "iframe")
    };
    for query in [
        String::new(),
        format!("?sid={sid}"),
        format!("?iss={issuer}"),
        format!("?iss=https%3A%2F%2Fevil.example&sid={sid}"),
        format!("?iss={issuer}&sid={sid}&sid={sid}"),
    ] {
        frame(query).await.assert_failure(400..=400);
    }
    world.browser.assert_signed_in_as("alice").await;
    let answer = frame(format!("?iss={issuer}&sid={sid}")).await;
    answer.assert_status(200).assert_no_store();
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains(&format!("frame-ancestors {issuer}")), "{policy}");
    assert_eq!(answer.header("x-frame-options"), None);
    world.browser.assert_signed_out().await;
    assert_eq!(world.provider.control().count(auth_testing::Endpoint::Revoke), 0);
}

// OpenID Connect Back-Channel Logout §2.7
pub(crate) async fn a_sign_in_under_way_ends_with_the_provider_s_sign_out(stage: Stage) {
    let world = stage.world().await;
    let request = world.begin(&world.browser, "/auth/login").await;
    let sign_out = token(&world, "logout+jwt", &json!({"sub": "alice"}));
    send(&world.browser, &sign_out).await.assert_status(200);
    let answer = world.finish(&world.browser, &request, "alice").await;
    assert_eq!(answer.assert_failure(400..=400), "login.signed_out");
    world.browser.assert_signed_out().await;
    world.sign_in("alice").await;
    world.browser.assert_signed_in_as("alice").await;
}

/// ID tokens from now on have these claims; null leaves one out.
fn said(world: &World, claims: &Value) {
    let said = claims.as_object().unwrap().clone();
    world.provider.control().tamper_id_token(move |_, claims| {
        claims.extend(said.clone());
        claims.retain(|_, value| !value.is_null());
    });
}

/// A world where Alice is signed in with these claims, and whose next request refreshes her tokens.
async fn before_a_refresh(stage: &Stage, claims: &Value) -> World {
    let world = stage.world().await;
    said(&world, claims);
    let control = world.provider.control();
    control.next_access_token_lifetime(std::time::Duration::ZERO);
    world.sign_in("alice").await;
    assert_eq!(control.refresh_count(), 0);
    world
}

// OpenID Connect Core §12.2
pub(crate) async fn a_role_that_is_taken_away_or_given_counts_from_the_refresh_on(stage: Stage) {
    for (before, after, status) in [
        (json!(["admin"]), json!(["user"]), 403),
        (json!(["admin"]), json!(null), 403),
        (json!(["user"]), json!(["user", "admin"]), 200),
        (json!(null), json!("admin"), 200),
    ] {
        let world = before_a_refresh(&stage, &json!({ "roles": before })).await;
        said(&world, &json!({ "roles": after }));
        for _ in 0..2 {
            world.browser.fetch("/api/admin").await.assert_status(status);
        }
        assert_eq!(world.provider.control().refresh_count(), 1);
        let shown = world.browser.session().await["user"].clone();
        assert_eq!(shown.get("roles").cloned().unwrap_or_default(), after);
        assert_eq!(shown["email"], "alice@example.com");
    }
}

// OpenID Connect Core §12.2
pub(crate) async fn a_later_authentication_counts_from_the_refresh_on(stage: Stage) {
    for (before, after, status) in [
        (1_000, json!(10), 200),
        (10, json!(1_000), 401),
        (10, json!(null), 200),
    ] {
        let ago = |secs: i64| unix_now().cast_signed() - secs;
        let world = before_a_refresh(&stage, &json!({ "auth_time": ago(before) })).await;
        said(&world, &json!({ "auth_time": after.as_i64().map(ago) }));
        world.browser.fetch("/api/transfer").await.assert_status(status);
        assert_eq!(world.provider.control().refresh_count(), 1);
    }
}

// OpenID Connect Back-Channel Logout §2.1
pub(crate) async fn a_logout_token_ends_the_session_that_a_refresh_has_moved(stage: Stage) {
    let world = before_a_refresh(&stage, &json!({"sid": "old"})).await;
    said(&world, &json!({"sid": "new"}));
    world.browser.fetch("/api/ping").await.assert_status(200);
    for (name, is_signed_in) in [("old", true), ("new", false)] {
        let token = token(&world, "logout+jwt", &json!({ "sid": name }));
        send(&world.browser, &token).await.assert_status(200);
        let status = world.browser.fetch("/api/ping").await.status;
        assert_eq!(status == 200, is_signed_in, "{name}: {status}");
    }
    world.browser.assert_signed_out().await;
}
