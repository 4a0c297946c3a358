//! `fapi2-security-profile-final-client-test-invalid-missing-aud`: an ID token that does not say whom it is for is refused (OpenID Connect Core §2).

use auth_tests::stage::CLIENT_ID;
use serde_json::{Value, json};

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("aud", Value::Null);
    rp.refuses("id_token.audience_mismatch", Last::Token).await;
    rp.id_token_claim("aud", json!(CLIENT_ID));
    rp.accepts().await;
}
