//! `oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce`: a logout token with a `nonce` is refused (Back-Channel Logout 1.0 §2.6).

use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let mut claims = rp.logout_claims(&browser).await;
    claims.insert("nonce".to_owned(), json!("a nonce"));
    rp.refuses_to_sign_out(&browser, &rp.sign(&claims)).await;
}
