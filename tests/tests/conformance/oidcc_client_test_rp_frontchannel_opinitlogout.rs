//! `oidcc-client-test-rp-frontchannel-opinitlogout`: a frame of the provider ends the session that `iss` and `sid` name (Front-Channel Logout 1.0 §2).

use crate::harness::{Suite, USER};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let sid = rp.sid(&browser).await;
    let answer = rp.shows_a_frame("https://another.example", &sid).await;
    answer.assert_failure(400..=400);
    browser.assert_signed_in_as(USER).await;
    let answer = rp.shows_a_frame(&rp.issuer(), &sid).await;
    answer.assert_status(200).assert_no_store();
    browser.assert_signed_out().await;
}
