//! `fapi2-security-profile-final-client-test-invalid-missing-iss`: an ID token that does not say who made it is refused (OpenID Connect Core §2).

use serde_json::{Value, json};

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("iss", Value::Null);
    rp.refuses("id_token.issuer_mismatch", Last::Token).await;
    rp.id_token_claim("iss", json!(rp.issuer()));
    rp.accepts().await;
}
