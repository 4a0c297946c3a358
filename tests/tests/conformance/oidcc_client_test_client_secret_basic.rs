//! `oidcc-client-test-client-secret-basic`: the client authenticates with HTTP Basic (OpenID Connect Core §9, RFC 6749 §2.3.1).

use auth_testing::{Client, Endpoint};
use auth_tests::stage::CLIENT_ID;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    rp.accepts().await;
    let requests = control.requests(Endpoint::Token);
    let request = requests.last().unwrap();
    assert!(request.header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(request.form("client_secret"), None);
    assert_eq!(request.query, "");

    // The same request, where another secret is registered.
    let client = Client::confidential(CLIENT_ID, "another secret");
    control.register(client.redirect_uri(rp.authorization_parameter("redirect_uri").unwrap()));
    rp.refuses("login.client_refused", Last::Token).await;
}
