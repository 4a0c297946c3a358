//! `fapi2-security-profile-final-client-test-ensure-jarm-signature-is-not-none`: an authorization response that says that it needs no
//! signature is refused (JARM §2.4, step 6).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_jarm().await;
    for keeps_signature in [false, true] {
        rp.forge_response(move |good| {
            let parts: Vec<_> = good.split('.').collect();
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
            let signature = if keeps_signature { parts[2] } else { "" };
            format!("{header}.{}.{signature}", parts[1])
        });
        rp.refuses("login.response_algorithm", Last::Response).await;
    }
    rp.control().clear_tampering();
    rp.accepts().await;
}
