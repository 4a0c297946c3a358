//! `oidcc-client-test-nonce-invalid`: an ID token that answers another request is refused (OpenID Connect Core §3.1.3.7, step 11).

use auth_testing::Endpoint;
use serde_json::{Map, Value, json};

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control().clone();
    let nonce_of_the_request = move || {
        let requests = control.requests(Endpoint::Authorize);
        requests.last().unwrap().query("nonce").unwrap()
    };
    let nonce = nonce_of_the_request.clone();
    rp.control()
        .tamper_id_token(move |_: &mut Map<_, _>, claims: &mut Map<_, Value>| {
            claims["nonce"] = json!(format!("{}1", nonce()));
        });
    rp.refuses("id_token.nonce_mismatch", Last::Token).await;
    rp.control()
        .tamper_id_token(move |_: &mut Map<_, _>, claims: &mut Map<_, Value>| {
            claims["nonce"] = json!(nonce_of_the_request());
        });
    rp.accepts().await;
}
