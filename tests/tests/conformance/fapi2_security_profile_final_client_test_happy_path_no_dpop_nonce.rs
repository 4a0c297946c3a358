//! `fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce`: a provider and an API that demand no nonces (RFC 9449 §8, §9) are asked once each.

use auth_testing::{DpopNonces, Endpoint};

use crate::harness::{Fapi, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    let control = rp.control();
    let browser = rp.accepts().await;
    browser.fetch("/api/me").await.assert_status(200);
    for endpoint in [
        Endpoint::PushedAuthorization,
        Endpoint::Token,
        Endpoint::Api("/scim2/Me"),
    ] {
        let requests = control.requests(endpoint);
        let [request] = requests.as_slice() else {
            panic!("{endpoint:?}: {} requests", requests.len())
        };
        let (_, claims) = Fapi::parts(request.header("dpop").expect("a proof"));
        assert!(claims.get("nonce").is_none(), "{endpoint:?}");
    }
    // The other variant, so that this sees nonces at all.
    control.set_dpop_nonces(DpopNonces::Demanded);
    rp.accepts().await;
    let requests = control.requests(Endpoint::Token);
    let (_, claims) = Fapi::parts(requests.last().unwrap().header("dpop").expect("a proof"));
    assert!(claims["nonce"].is_string());
}
