//! `oidcc-client-test-userinfo-bearer-header`: the access token goes to userinfo in the `Authorization` header (RFC 6750 §2.1).

use auth_testing::Endpoint;
use serde_json::{Map, Value};

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    let browser = rp.accepts().await;
    let requests = control.requests(Endpoint::Userinfo);
    let [request] = requests.as_slice() else {
        panic!("{} userinfo requests", requests.len())
    };
    let token = request.header("authorization").unwrap();
    let token = token.strip_prefix("Bearer ").unwrap();
    assert!(control.issued_secrets().iter().any(|secret| secret == token));
    assert_eq!((request.query.as_str(), request.form.len()), ("", 0));
    assert!(browser.session().await["user"]["email"].is_string());

    // Any other token is refused there, and then its claims are missing.
    control.tamper_token_response(|answer: &mut Map<_, Value>| {
        answer["access_token"] = "another".into();
    });
    control.tamper_id_token(|_: &mut Map<_, _>, claims: &mut Map<_, _>| {
        claims.remove("at_hash");
        claims.remove("email");
    });
    let browser = rp.accepts().await;
    assert!(browser.session().await["user"].get("email").is_none());
}
