//! `oidcc-client-test-rp-backchannel-rpinitlogout-no-event`: a logout token without `events` is refused (Back-Channel Logout 1.0 §2.6).

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let mut claims = rp.logout_claims(&browser).await;
    claims.remove("events");
    rp.refuses_to_sign_out(&browser, &rp.sign(&claims)).await;
}
