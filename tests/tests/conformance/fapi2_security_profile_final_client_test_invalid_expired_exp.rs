//! `fapi2-security-profile-final-client-test-invalid-expired-exp`: an ID token that has expired is refused (OpenID Connect Core §3.1.3.7, step 9).

use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("exp", json!(auth_tests::jar::unix_now() - 600));
    rp.refuses("id_token.expired", Last::Token).await;
    rp.id_token_claim("exp", json!(auth_tests::jar::unix_now() + 600));
    rp.accepts().await;
}
