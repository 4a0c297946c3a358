//! `oidcc-client-test-invalid-sig-hs256`: a wrong HS256 signature is refused (OpenID Connect Core §3.1.3.7, steps 7 and 8).
//!
//! No symmetric signature is accepted at all, so the right one is refused too, and the accepting twin is signed with the agreed RS256.

use auth_tests::stage::CLIENT_SECRET;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.discovery_member("id_token_signing_alg_values_supported", json!(["HS256", "RS256"]));
    for key in ["another secret", CLIENT_SECRET] {
        rp.control().hs256_id_token(Some(key.as_bytes().to_vec()));
        rp.refuses("id_token.algorithm_not_allowed", Last::Token).await;
    }
    rp.control().hs256_id_token(None);
    rp.accepts().await;
}
