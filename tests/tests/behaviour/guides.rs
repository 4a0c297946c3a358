//! Five guides for Node that people come from: their calls, step by step and in their order, as far as they need no code of an
//! application's own. A case per guide.
//!
//! The code blocks themselves (`verify`, the callbacks `jwt` and `session`, `getAccessToken`, `exchangeToken`, `requiresLogin`)
//! have their counterparts in small applications of the adapters' tests, where a table lists each step and its place:
//! `crates/auth-actix/tests/adapter/guides.rs`, which the axum adapter's tests run as well.

use std::time::Duration;

use auth_testing::{Endpoint, Fault};
use auth_tests::stage::BASE;
use auth_tests::{Answer, Browser, Stage, World, html};
use http::Method;
use serde_json::json;
use url::Url;

use crate::login::parameters;
use crate::modes::plain;

const ME: Endpoint = Endpoint::Api("/scim2/Me");
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The authorization request to which a protected page leads.
async fn sent_to_sign_in(world: &World, browser: &Browser, page: &str) -> Url {
    let login = browser.navigate(page).await.location();
    assert_eq!(login.path(), "/auth/login");
    world.begin(browser, login.as_str()).await
}

/// The profile page, and that the API was asked for it with the user's token.
async fn profile(world: &World) -> Answer {
    let page = world.browser.navigate("/profile").await;
    page.assert_status(200).assert_page().assert_no_store();
    for shown in ["alice@example.com", "Alice", "Archer"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.describe());
    }
    let asked = world.provider.control().requests(ME).pop().unwrap();
    assert_eq!(asked.header("accept"), Some("application/scim+json"));
    assert!(asked.header("authorization").unwrap().starts_with("Bearer "));
    page
}

/// Presses the home page's button to sign out; where that leads.
async fn press_sign_out(world: &World) -> Url {
    let page = world.browser.navigate("/").await;
    let forms = html::forms(&page.body);
    let form = forms.iter().find(|form| form.action == "/auth/logout").unwrap();
    let answer = world.browser.press(&page, form, &[]).await;
    let location = answer.assert_status(303).location();
    world.browser.assert_signed_out().await;
    location
}

pub(crate) async fn passport_with_asgardeo(stage: Stage) {
    // The strategy: issuer, client, and `scope: ["profile internal_login"]`.
    let world = stage
        .world_with(|settings| settings.set("AUTH_SCOPES", "profile email internal_login"))
        .await;
    // `ensureLoggedIn` sends to it, and the way back is kept.
    let request = sent_to_sign_in(&world, &world.browser, "/profile?tab=2").await;
    let asked = parameters(&request);
    assert_eq!(asked["scope"], "openid profile email internal_login");
    assert_eq!(asked["redirect_uri"], format!("{BASE}/auth/callback"));
    let landing = world.finish(&world.browser, &request, "alice").await.location();
    assert_eq!(landing.as_str(), format!("{BASE}/profile?tab=2"));
    // `verify` has seen the profile of userinfo; the user is kept, and no token can be seen.
    assert_eq!(world.provider.control().count(Endpoint::Userinfo), 1);
    let session = world.browser.session().await;
    assert_eq!(
        (&session["user"]["sub"], &session["user"]["family_name"]),
        (&json!("alice"), &json!("Archer"))
    );
    // `/scim2/Me` with the access token.
    profile(&world).await;
    // There, a failure is answered with 200.
    world.provider.control().fail(ME, Fault::status(500));
    world.browser.navigate("/profile").await.assert_failure(502..=502);
}

pub(crate) async fn auth_js_with_asgardeo(stage: Stage) {
    let mut world = stage.signed_in("alice").await;
    // The tokens are kept, and `useSession` shows the user without them: the stage looks for them in every answer.
    let session = world.browser.session().await;
    assert_eq!(session["user"]["given_name"], "Alice");
    let without = session["scopes"].as_array().unwrap().clone();
    assert!(!without.contains(&json!("internal_login")));
    // The scope is added to `authorization.params`; `re-login`.
    let settings = stage
        .environment(&world.provider)
        .set("AUTH_SCOPES", "openid profile email internal_login");
    world.app = stage.start(&settings).await;
    world.browser.moved_to(world.app.address());
    let request = sent_to_sign_in(&world, &world.browser, "/profile").await;
    assert_eq!(
        parameters(&request)["scope"],
        "openid profile email internal_login"
    );
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_redirect();
    let scopes = world.browser.session().await["scopes"].clone();
    assert!(
        scopes.as_array().unwrap().contains(&json!("internal_login")),
        "{scopes}"
    );
    // From the server side.
    profile(&world).await;
    // From the client side. There, the browser needs the token; `withProtectedRoute` hides the page only.
    let ask = |browser: &Browser| {
        browser
            .fetch("/proxy/api/scim2/Me")
            .header("accept", "application/scim+json")
            .header("x-csrf", "1")
    };
    let me = ask(&world.browser).await.assert_status(200).json();
    assert_eq!(
        (&me["emails"][0], &me["name"]["givenName"]),
        (&json!("alice@example.com"), &json!("Alice"))
    );
    ask(&world.browser.fresh()).await.assert_problem(401);
    // `SignOutButton`
    let end_session = press_sign_out(&world).await;
    let sent = parameters(&end_session);
    assert!(sent["id_token_hint"].len() > 100 && sent["post_logout_redirect_uri"] == format!("{BASE}/"));
}

pub(crate) async fn asgardeo_s_next_js_sdk(stage: Stage) {
    let world = stage.world().await;
    // Without a session there is nothing to see. There, made-up parameters of a callback let anybody in.
    for path in ["/profile", "/profile?code=made&state=up"] {
        sent_to_sign_in(&world, &world.browser, path).await;
    }
    // `getSessionId`, `getAccessToken`. There, a token is given out although it has expired.
    let control = world.provider.control();
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    // `fetchUserDetails`, `ServerProfile`
    let page = profile(&world).await;
    assert_eq!((control.refresh_count(), control.count(ME)), (1, 1));
    // `Failed to fetch user details`
    control.fail_next(ME, 1, Fault::status(500));
    world.browser.navigate("/profile").await.assert_failure(502..=502);
    // `goToHome`
    assert!(
        html::links(&page.body).iter().any(|link| link == "/"),
        "{}",
        page.body
    );
    // `SignOutButton`
    let end_session = press_sign_out(&world).await;
    assert!(end_session.as_str().starts_with(world.provider.issuer()));
}

pub(crate) async fn thunderid_s_node_sdk(stage: Stage) {
    let world = stage.world().await;
    let (browser, control) = (&world.browser, world.provider.control());
    // Prerequisites: the user is signed in.
    let request = sent_to_sign_in(&world, browser, "/profile").await;
    // There, `state` is a constant, and there is no nonce.
    let again = sent_to_sign_in(&world, browser, "/profile").await;
    for name in ["state", "nonce"] {
        assert_ne!(parameters(&request)[name], parameters(&again)[name]);
    }
    control.next_access_token_lifetime(Duration::ZERO);
    world.finish(browser, &request, "alice").await.assert_redirect();
    // `getAccessToken`, the call and the profile; token expiry: up to date by the time the handler runs.
    assert_eq!(
        browser.fetch("/api/me").await.assert_status(200).json()["userName"],
        "alice"
    );
    profile(&world).await;
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
    // `requireAuth`; `Failed to load profile.`
    browser.fresh().fetch("/api/me").await.assert_problem(401);
    control.fail_next(ME, 1, Fault::status(503));
    browser.navigate("/profile").await.assert_failure(502..=502);
    // `Promise.all`
    let held = ["/users/me", "/organizations"].map(|path| control.hold(Endpoint::Api(path)));
    let (both, ()) = tokio::join!(async { browser.fetch("/api/dashboard").await }, async {
        for call in &held {
            call.waiting(1).await.unwrap();
        }
        held.into_iter().for_each(auth_testing::Hold::release);
    });
    assert_eq!(both.assert_status(200).json()["profile"]["id"], "alice");
    // `exchangeToken`
    let whoami = browser.fetch("/api/exchange").await.assert_status(200).json();
    assert_eq!(whoami["sub"], "alice");
    let mut exchanges = control.requests(Endpoint::Token);
    exchanges.retain(|request| request.form("grant_type") == Some(EXCHANGE));
    assert_eq!(exchanges.len(), 1);
    // There, a browser's session would have been overwritten by it.
    browser.assert_signed_in_as("alice").await;
    // `revokeAccessToken`
    browser
        .script(Method::POST, "/api/revoke")
        .await
        .assert_status(204);
    let revoked = control.requests(Endpoint::Revoke).pop().unwrap();
    assert_eq!(revoked.form("token_type_hint"), Some("access_token"));
    assert_eq!(revoked.form("token"), exchanges[0].form("subject_token"));
    // There is a refresh token still, so the user stays signed in with another access token.
    browser.fetch("/api/me").await.assert_status(200);
    assert_eq!(control.refresh_count(), 2);
    // There, the tokens are kept over a sign-out.
    let early = browser.copy();
    press_sign_out(&world).await;
    early.assert_signed_out().await;
}

pub(crate) async fn plain_oauth_with_auth0(stage: Stage) {
    // 2 to 4: session, strategy with two URLs.
    let world = plain(&stage, |settings, metadata| {
        settings
            .set("AUTH_SCOPES", "openid profile email offline_access")
            .set(
                "AUTH_USERINFO_URL",
                metadata["userinfo_endpoint"].as_str().unwrap(),
            )
            .set("AUTH_AUTHORIZE_PARAMS", "audience=https://api.example")
    })
    .await;
    // 5: a page that requires a login.
    let request = sent_to_sign_in(&world, &world.browser, "/dashboard").await;
    let asked = parameters(&request);
    assert_eq!(
        (
            asked["audience"].as_str(),
            asked["code_challenge_method"].as_str()
        ),
        ("https://api.example", "S256")
    );
    // There, nothing binds the answer to the browser that asked: a code of the attacker's signs the victim in.
    let victim = world.browser.fresh();
    world
        .finish(&victim, &request, "bob")
        .await
        .assert_failure(400..=499);
    victim.assert_signed_out().await;
    let request = sent_to_sign_in(&world, &world.browser, "/dashboard").await;
    let landing = world.finish(&world.browser, &request, "alice").await.location();
    assert_eq!(landing.path(), "/dashboard");
    // There, the user is whoever an unverified token names; here, whom userinfo names.
    world.browser.assert_signed_in_as("alice").await;
    // 6: the access token goes along.
    let control = world.provider.control();
    let organizations = Endpoint::Api("/organizations");
    let page = world.browser.navigate("/dashboard").await;
    assert!(
        page.assert_status(200).text().contains("Example Engineering"),
        "{}",
        page.describe()
    );
    let asked = control.requests(organizations).pop().unwrap();
    assert!(asked.header("authorization").unwrap().starts_with("Bearer "));
    // There, the browser waits for ever.
    control.fail_next(organizations, 1, Fault::Reset);
    world
        .browser
        .navigate("/dashboard")
        .await
        .assert_failure(502..=502);
    let home = press_sign_out(&world).await;
    assert_eq!(home.as_str(), format!("{BASE}/"));
}
