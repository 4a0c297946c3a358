//! `oidcc-client-test`: a user signs in with the code flow, and userinfo is asked with the access token (OpenID Connect Core §3.1).

use auth_testing::Endpoint;
use auth_tests::stage::CLIENT_ID;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    rp.accepts().await;

    let asked = |name: &str| rp.authorization_parameter(name).unwrap_or_default();
    assert_eq!(asked("response_type"), "code");
    assert_eq!(asked("client_id"), CLIENT_ID);
    assert!(asked("scope").split(' ').any(|scope| scope == "openid"));
    assert_eq!(asked("code_challenge_method"), "S256");
    for name in ["state", "nonce", "code_challenge"] {
        assert!(asked(name).len() >= 22, "{name}");
    }
    let requests = control.requests(Endpoint::Token);
    let [request] = requests.as_slice() else {
        panic!("{} token requests", requests.len())
    };
    assert_eq!(request.form("grant_type"), Some("authorization_code"));
    assert_eq!(request.form("redirect_uri"), Some(asked("redirect_uri").as_str()));
    assert_eq!(control.count(Endpoint::Userinfo), 1);

    // The same answer without its code.
    control.tamper_callback(|parameters: &mut Vec<(String, String)>| {
        parameters.retain(|(name, _)| name != "code");
    });
    rp.refuses("login.code_missing", Last::Response).await;
}
