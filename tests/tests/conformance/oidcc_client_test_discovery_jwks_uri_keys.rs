//! `oidcc-client-test-discovery-jwks-uri-keys`: the keys are those of the configuration's `jwks_uri` (OpenID Connect Discovery §3).

use auth_testing::Endpoint;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    // A place that nobody could guess.
    let place = format!("place={}", fastrand::u64(..));
    rp.discovery_member("jwks_uri", json!(format!("{}/jwks?{place}", rp.issuer())));
    rp.accepts().await;
    let requests = rp.control().requests(Endpoint::Jwks);
    let [request] = requests.as_slice() else {
        panic!("{} requests for the keys", requests.len())
    };
    assert_eq!(
        (request.path.as_str(), request.query.as_str()),
        ("/jwks", place.as_str())
    );

    // A place where there are none.
    let rp = suite.start().await;
    rp.discovery_member("jwks_uri", json!(format!("{}/nowhere", rp.issuer())));
    rp.refuses("provider.keys_malformed", Last::Token).await;
    assert_eq!(rp.control().count(Endpoint::Jwks), 0);
}
