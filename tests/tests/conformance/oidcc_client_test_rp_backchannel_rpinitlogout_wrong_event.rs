//! `oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event`: a logout token with another event is refused (Back-Channel Logout 1.0 §2.6).

use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let mut claims = rp.logout_claims(&browser).await;
    claims.insert(
        "events".to_owned(),
        json!({"http://schemas.openid.net/event/other": {}}),
    );
    rp.refuses_to_sign_out(&browser, &rp.sign(&claims)).await;
}
