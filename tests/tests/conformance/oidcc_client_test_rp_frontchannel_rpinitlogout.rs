//! `oidcc-client-test-rp-frontchannel-rpinitlogout`: after a sign-out by way of the provider its frame does no harm (Front-Channel Logout 1.0 §2).

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let sid = rp.sid(&browser).await;
    browser.submit("/auth/logout", &[]).await.assert_redirect();
    let answer = rp.shows_a_frame(&rp.issuer(), &sid).await;
    answer.assert_status(200).assert_no_store();
    browser.assert_signed_out().await;
}
