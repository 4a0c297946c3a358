//! `fapi2-security-profile-final-client-test-remove-authorization-response-iss`: a response that does not say whose it is is refused (RFC 9207 §2.4), also where the provider does not say that
//! it names itself (FAPI 2.0 Security Profile §5.3.3.2).

use serde_json::Value;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.discovery_member("authorization_response_iss_parameter_supported", Value::Null);
    rp.response_parameter("iss", None);
    rp.refuses("login.issuer_missing", Last::Response).await;
    rp.control().clear_tampering();
    rp.accepts().await;
}
