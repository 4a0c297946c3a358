//! `fapi2-security-profile-final-client-test-invalid-secondary-aud`: an ID token that is also for another client is refused (OpenID Connect Core §3.1.3.7, steps 3 to 5).

use auth_tests::stage::CLIENT_ID;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.id_token_claim("aud", json!([CLIENT_ID, "another-client"]));
    rp.refuses("id_token.azp_missing", Last::Token).await;
    rp.id_token_claim("aud", json!([CLIENT_ID]));
    rp.accepts().await;
}
