//! `oidcc-client-test-idtoken-sig-none`: an unsigned ID token is refused (RFC 8725 §3.1).
//!
//! The suite lets a relying party accept it in the code flow, and passes over the module for one that does not. This one never does, also
//! where the provider advertises it.

use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.discovery_member("id_token_signing_alg_values_supported", json!(["none", "RS256"]));
    rp.control().unsigned_id_token(true);
    rp.refuses("id_token.algorithm_not_allowed", Last::Token).await;
    rp.control().unsigned_id_token(false);
    rp.accepts().await;
}
