//! `fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails`: a response without a state is refused (RFC 6749 §4.1.2).

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.response_parameter("state", None);
    rp.refuses("login.state_missing", Last::Response).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
