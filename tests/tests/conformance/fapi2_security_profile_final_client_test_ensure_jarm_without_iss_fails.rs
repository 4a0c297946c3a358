//! `fapi2-security-profile-final-client-test-ensure-jarm-without-iss-fails`: a signed authorization response that does not say whose it is is refused (JARM §2.4, step 3).

use serde_json::Value;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_jarm().await;
    rp.response_claim("iss", Value::Null);
    rp.refuses("login.issuer_mismatch", Last::Response).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
