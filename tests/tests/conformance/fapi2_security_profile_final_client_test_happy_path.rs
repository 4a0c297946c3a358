//! `fapi2-security-profile-final-client-test-happy-path`: a user signs in as the profile has it, and an API is called (FAPI 2.0 Security Profile §5.3.3).

use auth_testing::{DpopNonces, Endpoint};
use auth_tests::stage::CLIENT_ID;

use crate::harness::{Fapi, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    let control = rp.control();
    control.set_dpop_nonces(DpopNonces::Demanded);
    control.set_api_dpop_nonces(DpopNonces::Demanded);
    let browser = rp.accepts().await;
    browser.fetch("/api/me").await.assert_status(200);

    // §5.3.3.2: the request is pushed, with PKCE; the browser carries its name and no more.
    let pushed = control.requests(Endpoint::PushedAuthorization);
    let pushed = pushed.last().expect("a pushed request");
    assert_eq!(pushed.form("code_challenge_method"), Some("S256"));
    let carried = control.requests(Endpoint::Authorize);
    let carried = carried.last().expect("an authorization request");
    assert_eq!(carried.query("client_id").as_deref(), Some(CLIENT_ID));
    assert!(carried.query("request_uri").is_some());
    assert!(carried.query("redirect_uri").is_none() && carried.query("state").is_none());
    let tokens = control.requests(Endpoint::Token);
    let redeemed = tokens.last().expect("a token request");
    for request in [pushed, redeemed] {
        // §5.3.3.1: authenticated by a key of the client's own, with the issuer as the only audience.
        let (header, claims) = Fapi::parts(request.form("client_assertion").expect("an assertion"));
        assert_eq!(header["alg"], "ES256");
        assert_eq!(claims["aud"], rp.issuer());
        // RFC 9449 §5, §10.1
        assert!(request.header("dpop").is_some(), "a proof");
    }
    let calls = control.requests(Endpoint::Api("/scim2/Me"));
    let call = calls.last().expect("a call");
    assert!(
        call.header("authorization")
            .is_some_and(|value| value.starts_with("DPoP "))
    );
    assert!(call.header("dpop").is_some(), "a proof");
}
