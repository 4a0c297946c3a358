//! `oidcc-client-test-refresh-token-invalid-issuer`: a refreshed ID token of another issuer ends the session (OpenID Connect Core §12.2).

use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.refuses_the_refresh(|rp| rp.id_token_claim("iss", json!(format!("{}1", rp.issuer()))))
        .await;
    rp.accepts_the_refresh(|rp| rp.id_token_claim("iss", json!(rp.issuer())))
        .await;
}
