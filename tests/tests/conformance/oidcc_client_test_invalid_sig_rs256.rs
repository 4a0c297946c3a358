//! `oidcc-client-test-invalid-sig-rs256`: a wrong RS256 signature is refused (OpenID Connect Core §3.1.3.7, step 6).
//!
//! The suite excuses a relying party that trusts the connection to the token endpoint instead; this one checks.

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.control().corrupt_id_token_signature(true);
    rp.refuses("id_token.signature_invalid", Last::Token).await;
    rp.control().corrupt_id_token_signature(false);
    rp.accepts().await;
}
