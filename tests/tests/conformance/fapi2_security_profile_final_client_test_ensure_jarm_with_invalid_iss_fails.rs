//! `fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-iss-fails`: a signed authorization response of another issuer is refused (JARM §2.4, step 3).

use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_jarm().await;
    rp.response_claim("iss", json!(format!("{}1", rp.issuer())));
    rp.refuses("login.issuer_mismatch", Last::Response).await;
    rp.response_claim("iss", json!(rp.issuer()));
    rp.accepts().await;
}
