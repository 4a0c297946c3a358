//! `oidcc-client-test-rp-init-logout`: the sign-out goes to the provider and comes back (OpenID Connect RP-Initiated Logout 1.0 §2).
//!
//! In the suite, the provider then also sends a back-channel or front-channel logout; those have modules of their own.

use auth_testing::Endpoint;
use auth_tests::Site;
use auth_tests::stage::CLIENT_ID;
use http::Method;

use crate::harness::{Suite, USER};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    let browser = rp.accepts().await;

    // The same request from another site's page.
    let answer = browser
        .request(Method::POST, "/auth/logout")
        .navigation(Site::CrossSite)
        .await;
    assert_eq!(answer.assert_failure(403..=403), "request.cross_site");
    browser.assert_signed_in_as(USER).await;
    assert_eq!(control.count(Endpoint::EndSession), 0);

    let thief = browser.copy();
    let answer = browser.submit("/auth/logout", &[]).await;
    let location = answer.assert_status(303).location();
    let parameter = |name: &str| {
        let mut values = location.query_pairs().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.into_owned());
        assert!(values.next().is_none(), "{name} stands twice");
        value
    };
    let hint = parameter("id_token_hint").unwrap();
    assert!(control.issued_secrets().contains(&hint));
    assert_eq!(parameter("client_id").as_deref(), Some(CLIENT_ID));
    let home = browser.base().as_str().to_owned();
    assert_eq!(
        parameter("post_logout_redirect_uri").as_deref(),
        Some(home.as_str())
    );

    let back = browser.follow(browser.navigate(location.as_str()).await).await;
    assert_eq!(back.assert_status(200).url.as_str(), home);
    assert_eq!(control.count(Endpoint::EndSession), 1);
    browser.assert_signed_out().await;
    thief.assert_signed_out().await;
    rp.accepts().await;
}
