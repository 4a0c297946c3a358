//! `fapi2-security-profile-final-client-test-token-type-case-insensitivity`: the type of a token is compared without case (RFC 6749 §5.1), and is none but `DPoP`.

use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    for kind in ["dpop", "DPOP", "dPoP"] {
        rp.control()
            .tamper_token_response(move |members: &mut serde_json::Map<_, _>| {
                members.insert("token_type".to_owned(), json!(kind));
            });
        let browser = rp.accepts().await;
        browser.fetch("/api/me").await.assert_status(200);
    }
    rp.control()
        .tamper_token_response(|members: &mut serde_json::Map<_, _>| {
            members.insert("token_type".to_owned(), json!("Bearer"));
        });
    rp.refuses("login.token_type", Last::Token).await;
}
