//! `fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-sig-fails`: a signed authorization response that was changed is refused (JARM §2.4, step 6).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_jarm().await;
    rp.forge_response(|good| {
        let (message, signature) = good.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        signature[10] ^= 1;
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    });
    rp.refuses("login.response_signature", Last::Response).await;
    rp.forge_response(str::to_owned);
    rp.accepts().await;
}
