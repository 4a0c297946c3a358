//! `oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss`: a logout token of another issuer is refused (Back-Channel Logout 1.0 §2.6).

use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let mut claims = rp.logout_claims(&browser).await;
    claims.insert("iss".to_owned(), json!("https://another.example"));
    rp.refuses_to_sign_out(&browser, &rp.sign(&claims)).await;
}
