//! `oidcc-client-test-refresh-token-invalid-sub`: a refreshed ID token about somebody else ends the session (OpenID Connect Core §12.2).

use serde_json::json;

use crate::harness::{Suite, USER};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.refuses_the_refresh(|rp| rp.id_token_claim("sub", json!("bob")))
        .await;
    rp.accepts_the_refresh(|rp| rp.id_token_claim("sub", json!(USER)))
        .await;
}
