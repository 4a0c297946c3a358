//! `fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails`: a response to a request that nobody made is refused (RFC 6749 §10.12).

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.response_parameter("state", Some("another-state"));
    rp.refuses("login.state_unknown", Last::Response).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
