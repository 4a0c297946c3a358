//! `oidcc-client-test-userinfo-invalid-sub`: a userinfo answer about somebody else is refused (OpenID Connect Core §5.3.2).

use serde_json::json;

use crate::harness::{Last, Suite, USER};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.userinfo_claim("sub", json!("bob"));
    rp.refuses("userinfo.subject_mismatch", Last::Userinfo).await;
    rp.userinfo_claim("sub", json!(USER));
    rp.accepts().await;
}
