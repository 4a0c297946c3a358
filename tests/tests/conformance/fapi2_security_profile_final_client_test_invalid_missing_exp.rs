//! `fapi2-security-profile-final-client-test-invalid-missing-exp`: an ID token that never expires is refused (OpenID Connect Core §2).

use serde_json::{Value, json};

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("exp", Value::Null);
    rp.refuses("id_token.exp_invalid", Last::Token).await;
    rp.id_token_claim("exp", json!(auth_tests::jar::unix_now() + 600));
    rp.accepts().await;
}
