//! `fapi2-security-profile-final-client-test-invalid-authorization-response-iss`: a response of another issuer is refused (RFC 9207 §2.4).

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.response_parameter("iss", Some("https://another.example"));
    rp.refuses("login.issuer_mismatch", Last::Response).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
