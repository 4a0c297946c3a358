//! `fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in`: a token whose lifetime is not told is used (RFC 6749 §5.1).

use serde_json::Value;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.control().omit_expires_in(true);
    let browser = rp.accepts().await;
    browser.fetch("/api/me").await.assert_status(200);
    assert_eq!(browser.session().await["access_token_expires_at"], Value::Null);
    rp.control().omit_expires_in(false);
    let browser = rp.accepts().await;
    assert!(browser.session().await["access_token_expires_at"].is_number());
}
