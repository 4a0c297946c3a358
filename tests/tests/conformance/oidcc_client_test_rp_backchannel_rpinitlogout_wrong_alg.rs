//! `oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg`: a logout token with an algorithm that was not agreed is refused, here HS256 with the
//! client's secret (Back-Channel Logout 1.0 §2.6).

use auth_tests::stage::CLIENT_SECRET;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let claims = serde_json::to_vec(&rp.logout_claims(&browser).await).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"logout+jwt"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    rp.refuses_to_sign_out(&browser, &token).await;
}
