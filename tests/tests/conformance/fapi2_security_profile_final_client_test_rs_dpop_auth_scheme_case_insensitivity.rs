//! `fapi2-security-profile-final-client-test-rs-dpop-auth-scheme-case-insensitivity`: an API's challenge is read whatever the case of its scheme (RFC 9110 §11.1): its nonce is taken, and the call made once more.

use auth_testing::Endpoint;

use crate::harness::{Fapi, Suite};

pub(crate) async fn module(suite: Suite) {
    const API: Endpoint = Endpoint::Api("/scim2/Me");
    let rp = suite.start_fapi2().await;
    let control = rp.control();
    let browser = rp.accepts().await;
    for scheme in ["dpop", "DPOP", "dPoP"] {
        let nonce = format!("nonce-for-{scheme}");
        let before = control.count(API);
        control.fail_next(API, 1, Fapi::nonce_challenge(scheme, &nonce));
        browser.fetch("/api/me").await.assert_status(200);
        let requests = control.requests(API);
        assert_eq!(control.count(API) - before, 2, "{scheme}");
        let (_, claims) = Fapi::parts(requests.last().unwrap().header("dpop").expect("a proof"));
        assert_eq!(claims["nonce"], nonce.as_str());
    }
    assert_eq!(control.refresh_count(), 0);
    // A refusal by another scheme is no demand for a nonce: the token is refreshed.
    control.fail_next(API, 1, Fapi::nonce_challenge("Bearer", "nonce-for-bearer"));
    browser.fetch("/api/me").await.assert_status(200);
    assert_eq!(control.refresh_count(), 1);
}
