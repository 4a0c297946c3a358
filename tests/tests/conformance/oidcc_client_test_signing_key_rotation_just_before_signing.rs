//! `oidcc-client-test-signing-key-rotation-just-before-signing`: keys that change while a sign-in is under way are fetched again
//! (OpenID Connect Core §10.1.1).

use auth_testing::{Endpoint, OldKeys};

use crate::harness::{Rp, Suite, USER};

/// Signs in; while the token request waits at the provider, its keys change.
async fn sign_in_with_a_rotation(
    rp: &Rp,
    rotate: impl FnOnce(),
) -> (auth_tests::Answer, auth_tests::Browser) {
    let browser = rp.browser();
    let request = rp.begin(&browser).await;
    let gate = rp.control().hold(Endpoint::Token);
    let rotation = async {
        gate.waiting(1).await.unwrap();
        rotate();
        gate.release();
    };
    let (answer, ()) = futures_util::future::join(rp.finish(&browser, &request), rotation).await;
    (answer, browser)
}

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    // So that the old keys are known.
    rp.accepts().await;
    assert_eq!(control.count(Endpoint::Jwks), 1);

    let (answer, browser) = sign_in_with_a_rotation(&rp, || control.rotate_keys(OldKeys::Remove)).await;
    answer.assert_redirect();
    browser.assert_signed_in_as(USER).await;
    assert_eq!(control.count(Endpoint::Jwks), 2);

    let userinfo = control.count(Endpoint::Userinfo);
    let (answer, browser) = sign_in_with_a_rotation(&rp, || control.sign_with_unpublished_key(true)).await;
    assert_eq!(answer.assert_failure(400..=599), "id_token.unknown_key");
    browser.assert_signed_out().await;
    assert_eq!(control.count(Endpoint::Userinfo), userinfo);
}
