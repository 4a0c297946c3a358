//! `fapi2-security-profile-final-client-test-invalid-iss`: an ID token of another issuer is refused (OpenID Connect Core §3.1.3.7, step 2).

use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("iss", json!(format!("{}1", rp.issuer())));
    rp.refuses("id_token.issuer_mismatch", Last::Token).await;
    rp.id_token_claim("iss", json!(rp.issuer()));
    rp.accepts().await;
}
