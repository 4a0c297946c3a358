//! `oidcc-client-test-missing-iat`: an ID token without a time of issue is refused (OpenID Connect Core §2).

use auth_tests::jar::unix_now;
use serde_json::{Value, json};

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    rp.id_token_claim("iat", Value::Null);
    rp.refuses("id_token.iat_invalid", Last::Token).await;
    rp.id_token_claim("iat", json!(unix_now()));
    rp.accepts().await;
}
