//! `oidcc-client-test-discovery-openid-config`: the configuration is fetched from its well-known place (OpenID Connect Discovery §4).

use auth_testing::{Endpoint, Fault};
use auth_tests::wait;
use std::time::Duration;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    control.fail(Endpoint::Discovery, Fault::status(404));
    let answer = rp.browser().navigate("/auth/login").await;
    assert_eq!(answer.assert_failure(502..=502), "provider.discovery_missing");
    assert_eq!(control.count(Endpoint::Authorize), 0);
    let requests = control.requests(Endpoint::Discovery);
    let [request] = requests.as_slice() else {
        panic!("{} requests for the configuration", requests.len())
    };
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("GET", "/.well-known/openid-configuration")
    );

    control.clear(Endpoint::Discovery);
    // The failure is remembered for a moment.
    wait::until("the configuration is fetched", Duration::from_secs(5), || async {
        rp.browser().navigate("/auth/login").await.status == 303
    })
    .await;
    rp.accepts().await;
}
