//! Guide 2: Asgardeo's Next.js SDK.

use std::time::Duration;

use auth_testing::{DevProvider, Endpoint, Fault};
use auth_tests::Stage;
use auth_tests::stage::Environment;

use crate::{press, sent_to_sign_in, sign_in_at, sign_out, world};

const ME: Endpoint = Endpoint::Api("/scim2/Me");

fn settings(environment: Environment, provider: &DevProvider) -> Environment {
    let endpoint = format!("{}/scim2/Me", provider.api_url());
    environment.set("ME_ENDPOINT", endpoint).unset("API_URL")
}

pub(crate) async fn the_guide_from_the_sign_in_to_the_sign_out(stage: Stage) {
    let world = world(&stage, 2, settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    // `protectRoute`. There, made-up parameters of a callback open the page.
    for path in [
        "/dashboard",
        "/dashboard?code=made&state=up",
        "/dashboard/session",
    ] {
        sent_to_sign_in(&world, browser, path).await;
    }
    // `getAccessToken`. There, a token is given out although it has expired.
    control.next_access_token_lifetime(Duration::ZERO);
    let page = sign_in_at(&world, browser, "/dashboard", "bob").await;
    for text in ["Email: bob@example.com", "First Name: Bob", "Last Name: Builder"] {
        assert!(page.text().contains(text), "{text}: {}", page.describe());
    }
    assert_eq!((control.refresh_count(), control.count(ME)), (1, 1));
    // `getSessionId` names the session and opens none.
    let session_id = browser.fetch("/dashboard/session").await;
    assert!(!session_id.assert_status(200).body.is_empty());
    assert!(
        browser
            .cookies()
            .iter()
            .all(|cookie| !cookie.value.contains(&session_id.body))
    );
    // `Failed to fetch user details`, on the app's own page.
    control.fail_next(ME, 1, Fault::status(500));
    let failed = browser.navigate("/dashboard").await;
    let text = failed.assert_status(502).text();
    assert!(text.contains("Failed to fetch user details"), "{text}");
    // A provider that is down while the token is dead: the library's page, and the session stays.
    let other = browser.fresh();
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in_with(&other, "alice").await;
    control.fail(Endpoint::Token, Fault::status(503));
    let down = other.navigate("/dashboard").await;
    assert_eq!(down.assert_failure(503..=503), "refresh.unavailable");
    control.clear(Endpoint::Token);
    assert!(other.is_signed_in().await);
    let page = browser.navigate("/dashboard").await;
    sign_out(&world, &page).await;
    sent_to_sign_in(&world, browser, "/dashboard").await;
}

pub(crate) async fn another_organization_takes_the_session_over(stage: Stage) {
    let world = world(&stage, 2, settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    let page = sign_in_at(&world, browser, "/dashboard", "bob").await;
    let old = browser.copy();
    let landing = press(browser, &page, "/organizations/org-2").await;
    assert_eq!(landing.assert_status(303).location().path(), "/dashboard");
    let page = browser.follow(landing).await;
    assert!(page.text().contains("Organization: org-2"), "{}", page.describe());
    let sent = control.requests(Endpoint::Token).pop().unwrap();
    assert_eq!(sent.form("grant_type"), Some("organization_switch"));
    assert_eq!(sent.form("switching_organization"), Some("org-2"));
    // The session has another identifier; the one before is of no use.
    assert!(!old.is_signed_in().await);
    // One that the provider refuses: nothing has changed.
    for (error, code) in [
        ("invalid_grant", "grant.refused"),
        ("unauthorized_client", "grant.client_refused"),
    ] {
        control.fail_next(Endpoint::Token, 1, Fault::oauth(400, error));
        // A person has sent the form, and is shown a page.
        let page = browser.submit("/organizations/org-1", &[]).await;
        page.assert_status(502);
        assert!(page.text().contains(code), "{}", page.describe());
    }
    assert!(browser.is_signed_in().await);
    // A text of the user's adds no parameter, and is no placeholder.
    browser.submit("/organizations/a&scope=b", &[]).await;
    browser
        .submit("/organizations/%7B%7BaccessToken%7D%7D", &[])
        .await;
    let mut sent = control.requests(Endpoint::Token);
    let last = sent.split_off(sent.len() - 2);
    let organizations: Vec<_> = last
        .iter()
        .filter_map(|sent| sent.form("switching_organization"))
        .collect();
    assert_eq!(organizations, ["a&scope=b", "{{accessToken}}"]);
}
