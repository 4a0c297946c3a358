//! `fapi2-security-profile-final-client-test-ensure-jarm-with-expired-exp-fails`: a signed authorization response that has expired is refused (JARM §2.4, step 5).

use auth_tests::jar::unix_now;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_jarm().await;
    rp.response_claim("exp", json!(unix_now() - 300));
    rp.refuses("login.response_expired", Last::Response).await;
    rp.response_claim("exp", json!(unix_now() + 300));
    rp.accepts().await;
}
