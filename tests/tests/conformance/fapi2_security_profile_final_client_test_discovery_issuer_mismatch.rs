//! `fapi2-security-profile-final-client-test-discovery-issuer-mismatch`: a configuration of another issuer is refused (RFC 8414 §3.3).

use auth_testing::Endpoint;
use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.discovery_member("issuer", json!(format!("{}/1", rp.issuer())));
    let answer = rp.browser().navigate("/auth/login").await;
    assert_eq!(answer.assert_failure(502..=502), "provider.issuer_mismatch");
    assert_eq!(rp.control().count(Endpoint::PushedAuthorization), 0);

    let rp = suite.start_fapi2().await;
    rp.discovery_member("issuer", json!(rp.issuer()));
    rp.accepts().await;
}
