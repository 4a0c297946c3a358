//! `fapi2-security-profile-final-client-test-ensure-jarm-without-exp-fails`: a signed authorization response without an end is refused (JARM §2.4, step 5).

use serde_json::Value;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_jarm().await;
    rp.response_claim("exp", Value::Null);
    rp.refuses("login.response_expired", Last::Response).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
