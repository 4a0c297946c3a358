//! `oidcc-client-test-refresh-token-invalid-aud`: a refreshed ID token for another client ends the session (OpenID Connect Core §12.2).

use auth_tests::stage::CLIENT_ID;
use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.refuses_the_refresh(|rp| rp.id_token_claim("aud", json!("another-client")))
        .await;
    rp.accepts_the_refresh(|rp| rp.id_token_claim("aud", json!(CLIENT_ID)))
        .await;
}
