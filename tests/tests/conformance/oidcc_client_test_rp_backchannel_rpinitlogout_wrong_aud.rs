//! `oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud`: a logout token for another client is refused (Back-Channel Logout 1.0 §2.6).

use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let mut claims = rp.logout_claims(&browser).await;
    claims.insert("aud".to_owned(), json!("somebody-else"));
    rp.refuses_to_sign_out(&browser, &rp.sign(&claims)).await;
}
