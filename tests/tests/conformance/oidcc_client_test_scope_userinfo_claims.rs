//! `oidcc-client-test-scope-userinfo-claims`: claims are asked for with scopes, and userinfo's reach the application (OpenID Connect Core §5.4).

use serde_json::Map;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    for (scopes, mail) in [
        ("openid profile email", Some("alice@example.com")),
        ("openid profile", None),
    ] {
        let rp = suite
            .start_set(|settings| settings.set("AUTH_SCOPES", scopes))
            .await;
        // So that userinfo alone has them.
        rp.control()
            .tamper_id_token(|_: &mut Map<_, _>, claims: &mut Map<_, _>| {
                for name in ["name", "given_name", "family_name", "email"] {
                    claims.remove(name);
                }
            });
        let browser = rp.accepts().await;
        assert_eq!(rp.authorization_parameter("scope").as_deref(), Some(scopes));
        let user = browser.session().await["user"].clone();
        assert!(user["given_name"].is_string(), "{user}");
        assert_eq!(user["email"].as_str(), mail, "{scopes}");
    }
}
