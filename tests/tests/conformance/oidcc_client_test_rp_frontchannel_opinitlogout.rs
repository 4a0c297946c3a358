//! `oidcc-client-test-rp-frontchannel-opinitlogout`: a frame of the provider ends the session that `iss` and `sid` name (Front-Channel Logout 1.0 §2).

use auth_tests::Site;

use crate::harness::{Suite, USER};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let issuer = rp.issuer();
    let sid = rp.logout_claims(&browser).await["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let frame = |iss: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("iss", iss), ("sid", &sid)])
            .finish();
        let address = format!("/auth/frontchannel-logout?{query}");
        rp.browser().navigate(&address).site(Site::CrossSite)
    };
    frame("https://another.example").await.assert_failure(400..=400);
    browser.assert_signed_in_as(USER).await;
    frame(&issuer).await.assert_status(200).assert_no_store();
    browser.assert_signed_out().await;
}
