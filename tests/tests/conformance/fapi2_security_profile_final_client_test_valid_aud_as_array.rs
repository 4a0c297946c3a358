//! `fapi2-security-profile-final-client-test-valid-aud-as-array`: an audience that is an array of one is as good as a string (OpenID Connect Core §2).

use auth_tests::stage::CLIENT_ID;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("aud", json!([CLIENT_ID]));
    rp.accepts().await;
    rp.id_token_claim("aud", json!([]));
    rp.refuses("id_token.audience_mismatch", Last::Token).await;
}
