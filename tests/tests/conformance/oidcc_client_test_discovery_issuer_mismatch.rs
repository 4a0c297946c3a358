//! `oidcc-client-test-discovery-issuer-mismatch`: a configuration of another issuer is refused (OpenID Connect Discovery §4.3).

use auth_testing::Endpoint;
use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.discovery_member("issuer", json!(format!("{}/1", rp.issuer())));
    let browser = rp.browser();
    let answer = browser.navigate("/auth/login").await;
    assert_eq!(answer.assert_failure(502..=502), "provider.issuer_mismatch");
    assert!(browser.cookies().is_empty());
    assert_eq!(rp.control().count(Endpoint::Authorize), 0);

    let rp = suite.start().await;
    rp.discovery_member("issuer", json!(rp.issuer()));
    rp.accepts().await;
}
