//! `fapi2-security-profile-final-client-test-invalid-missing-nonce`: an ID token that answers no request is refused (OpenID Connect Core §3.1.3.7, step 11).

use serde_json::Value;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("nonce", Value::Null);
    rp.refuses("id_token.nonce_missing", Last::Token).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
