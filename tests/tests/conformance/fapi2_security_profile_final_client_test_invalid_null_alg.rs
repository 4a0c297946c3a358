//! `fapi2-security-profile-final-client-test-invalid-null-alg`: an unsigned ID token is refused (FAPI 2.0 Security Profile §5.4.1).

use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.discovery_member("id_token_signing_alg_values_supported", json!(["none", "ES256"]));
    rp.control().unsigned_id_token(true);
    rp.refuses("id_token.algorithm_not_allowed", Last::Token).await;
    rp.control().unsigned_id_token(false);
    rp.accepts().await;
}
