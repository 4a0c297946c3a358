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
