//! `oidcc-client-test-rp-backchannel-rpinitlogout`: after a sign-out by way of the provider its logout token is good, and so it is by itself
//! (Back-Channel Logout 1.0 §2.5 to §2.8).

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let other = rp.accepts().await;
    let token = rp.sign(&rp.logout_claims(&browser).await);
    browser.submit("/auth/logout", &[]).await.assert_redirect();
    // The session is over already: unknown, and no mistake.
    rp.tells(&token).await.assert_status(200).assert_no_store();
    browser.assert_signed_out().await;
    // Without a sign-out here before it.
    rp.signs_out(&other).await;
}
