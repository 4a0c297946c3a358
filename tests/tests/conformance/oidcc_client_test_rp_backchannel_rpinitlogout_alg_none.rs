//! `oidcc-client-test-rp-backchannel-rpinitlogout-alg-none`: a logout token that is not signed is refused (Back-Channel Logout 1.0 §2.6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let browser = rp.accepts().await;
    let claims = serde_json::to_vec(&rp.logout_claims(&browser).await).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"logout+jwt"}"#);
    let token = format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims));
    rp.refuses_to_sign_out(&browser, &token).await;
}
