//! `oidcc-client-test-mtls-endpoint-aliases`: a client that authenticates with a certificate uses the endpoints that the provider has for that
//! (RFC 8705 §5).

use auth_testing::mtls::{Authority, Gateway};
use auth_testing::{Client, Endpoint};
use auth_tests::stage::{BASE, CLIENT_ID};
use serde_json::json;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let authority = Authority::new();
    let identity = authority.client(CLIENT_ID);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    suite.stage.secret(identity.key.clone());
    let rp = suite
        .start_set(|settings| {
            settings
                .unset("AUTH_CLIENT_SECRET")
                .set("AUTH_CLIENT_AUTH", "tls_client_auth")
                .set("AUTH_CLIENT_CERT", file("certificate.pem", &identity.certificate))
                .set("AUTH_CLIENT_KEY", file("key.pem", &identity.key))
                .set("AUTH_CA_FILE", file("roots.pem", &authority.pem()))
        })
        .await;
    rp.control()
        .register(Client::public(CLIENT_ID).redirect_uri(format!("{BASE}/auth/callback")));
    let gateway = Gateway::start(&authority, &rp.issuer()).await.unwrap();
    // Where no certificate is asked for, nothing is answered.
    let issuer = rp.issuer();
    let at = gateway.url().to_owned();
    rp.control().tamper_discovery(move |document| {
        for endpoint in ["token_endpoint", "userinfo_endpoint"] {
            document.insert(endpoint.to_owned(), json!(format!("{issuer}/nowhere")));
        }
        document.insert(
            "mtls_endpoint_aliases".to_owned(),
            json!({"token_endpoint": format!("{at}/token"), "userinfo_endpoint": format!("{at}/userinfo")}),
        );
    });
    rp.accepts().await;
    assert!(gateway.seen().iter().all(|seen| *seen == identity.thumbprint));
    assert!(!gateway.seen().is_empty());
    assert_eq!(rp.control().count(Endpoint::Token), 1);
    assert_eq!(rp.control().count(Endpoint::Userinfo), 1);
}
