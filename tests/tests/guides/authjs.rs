//! Guide 1: Auth.js with Asgardeo.

use std::time::Duration;

use auth_testing::{Endpoint, Fault};
use auth_tests::{Ask, Browser, Site, Stage};
use serde_json::json;

use crate::{sent_to_sign_in, sign_in_at, sign_out, world};

const ME: Endpoint = Endpoint::Api("/scim2/Me");

pub(crate) async fn the_guide_from_the_sign_in_to_the_sign_out(stage: Stage) {
    let world = world(&stage, 1, |settings, _| settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    // From the server side. Alice's address is a text in SCIM, Bob's an object.
    let page = sign_in_at(&world, browser, "/server-profile", "alice").await;
    for text in [
        "Email: alice@example.com",
        "First Name: Alice",
        "Last Name: Archer",
    ] {
        assert!(page.text().contains(text), "{text}: {}", page.describe());
    }
    let bob = sign_in_at(&world, &browser.fresh(), "/server-profile", "bob").await;
    assert!(
        bob.text().contains("Email: bob@example.com"),
        "{}",
        bob.describe()
    );
    // What the callbacks `jwt` and `session` expose. There, the e-mail address becomes the user name.
    assert_eq!(
        browser.session().await["user"],
        json!({
            "username": "alice", "email": "alice@example.com", "given_name": "Alice", "family_name": "Archer"
        })
    );
    // `Failed to fetch user details`, and the session stays.
    control.fail_next(ME, 1, Fault::Reset);
    let failed = browser.navigate("/server-profile").await;
    assert_eq!(failed.assert_failure(502..=502), "api.unreachable");
    let page = browser.navigate("/server-profile").await;
    sign_out(&world, &page).await;
    sent_to_sign_in(&world, browser, "/server-profile").await;
}

pub(crate) async fn its_mistakes_have_the_codes_it_names(stage: Stage) {
    let world = world(&stage, 1, |settings, _| settings).await;
    world.sign_in("alice").await;
    for (fault, code) in [
        (Fault::status(403), "api.status"),
        (
            Fault::body(200, "application/json", r#"{"userName":"alice"}"#),
            "api.malformed",
        ),
    ] {
        world.provider.control().fail_next(ME, 1, fault);
        let page = world.browser.navigate("/server-profile").await;
        assert_eq!(page.assert_failure(502..=502), code);
    }
}

/// What the page's script does.
fn asks_for_me(browser: &Browser) -> Ask {
    browser
        .fetch("/proxy/api/scim2/Me")
        .header("x-csrf", "1")
        .header("accept", "application/scim+json")
}

pub(crate) async fn the_page_s_script_calls_the_api_and_sees_no_token(stage: Stage) {
    let world = world(&stage, 1, |settings, _| settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    // `withProtectedRoute`
    let away = browser.navigate("/client-profile").await;
    assert_eq!(away.assert_status(303).location().path(), "/");
    assert_eq!(browser.session().await, json!({ "authenticated": false }));
    let problem = asks_for_me(browser).await.assert_problem(401).json();
    assert_eq!(problem["code"], "session.none");

    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    // `useSession`; it neither refreshes nor waits.
    let session = browser.session().await;
    assert_eq!(session["user"]["given_name"], "Alice");
    let granted = session["scopes"].as_array().unwrap();
    assert!(granted.contains(&json!("internal_login")), "{granted:?}");
    assert_eq!(control.refresh_count(), 0);
    // `fetch` of the API. Eight parts of the page ask at once with a dead token: one refresh.
    let asked = (0..8).map(|_| async { asks_for_me(browser).await.assert_status(200).json() });
    for me in futures_util::future::join_all(asked).await {
        assert_eq!(me["name"]["givenName"], "Alice");
    }
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
    assert!(
        control
            .requests(ME)
            .iter()
            .all(|call| call.header("cookie").is_none())
    );
    let page = browser.navigate("/client-profile").await;
    for used in ["/auth/session", "/proxy/api/scim2/Me", "X-CSRF", "/auth/logout"] {
        assert!(page.assert_status(200).body.contains(used), "{used}");
    }
    // What the script may get wrong, and what other sites would like to do.
    let without = asks_for_me(browser).without("x-csrf").await;
    assert_eq!(without.assert_problem(403).json()["code"], "proxy.csrf_header");
    let elsewhere = asks_for_me(browser).site(Site::CrossSite).await;
    assert_ne!(elsewhere.status, 200, "{}", elsewhere.describe());
}
