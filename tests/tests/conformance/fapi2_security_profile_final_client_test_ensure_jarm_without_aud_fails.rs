//! `fapi2-security-profile-final-client-test-ensure-jarm-without-aud-fails`: a signed authorization response that is for nobody is refused (JARM §2.4, step 4).

use serde_json::Value;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_jarm().await;
    rp.response_claim("aud", Value::Null);
    rp.refuses("login.response_audience", Last::Response).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
