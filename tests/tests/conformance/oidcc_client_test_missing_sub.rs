//! `oidcc-client-test-missing-sub`: an ID token that does not say whom it is about is refused (OpenID Connect Core §2).

use serde_json::{Value, json};

use crate::harness::{Last, Suite, USER};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.id_token_claim("sub", Value::Null);
    rp.refuses("id_token.subject_invalid", Last::Token).await;
    rp.id_token_claim("sub", json!(USER));
    rp.accepts().await;
}
