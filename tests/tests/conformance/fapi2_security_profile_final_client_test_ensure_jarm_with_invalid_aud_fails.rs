//! `fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-aud-fails`: a signed authorization response for another client is refused (JARM §2.4, step 4).

use auth_tests::stage::CLIENT_ID;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_jarm().await;
    rp.response_claim("aud", json!("another-client"));
    rp.refuses("login.response_audience", Last::Response).await;
    rp.response_claim("aud", json!(CLIENT_ID));
    rp.accepts().await;
}
