//! `fapi2-security-profile-final-client-test-invalid-aud`: an ID token for another client is refused (OpenID Connect Core §3.1.3.7, step 3).

use auth_tests::stage::CLIENT_ID;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("aud", json!("another-client"));
    rp.refuses("id_token.audience_mismatch", Last::Token).await;
    rp.id_token_claim("aud", json!(CLIENT_ID));
    rp.accepts().await;
}
