//! `fapi2-security-profile-final-client-test-invalid-nonce`: an ID token that answers another request is refused (OpenID Connect Core §3.1.3.7, step 11).

use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("nonce", json!("another nonce"));
    rp.refuses("id_token.nonce_mismatch", Last::Token).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
