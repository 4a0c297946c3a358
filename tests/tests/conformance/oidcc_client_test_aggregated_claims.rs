//! `oidcc-client-test-aggregated-claims`: a userinfo answer with claims of other providers is processed (OpenID Connect Core §5.6.2).
//!
//! To follow them is optional (§5.6), and this relying party does not: they become no claims of the user's, the addresses that the answer
//! names are not asked, and the tokens in it stay on the server.

use auth_testing::Endpoint;
use serde_json::{Map, json};

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    let of_the_bank = Map::from_iter([
        ("iss".to_owned(), json!("https://bank.example")),
        ("email".to_owned(), json!("mallory@bank.example")),
        ("phone_number".to_owned(), json!("+44 20 7946 0000")),
    ]);
    let jwt = control.sign_jwt("JWT", &of_the_bank);
    suite.stage.secret(jwt.clone());
    let token = "for-the-credit-agency-alone";
    suite.stage.secret(token);
    let endpoint = format!("{}/whoami", rp.world.provider.api2_url());
    let bent = jwt.clone();
    control.tamper_userinfo(move |claims: &mut Map<_, _>| {
        claims.insert(
            "_claim_names".to_owned(),
            json!({"phone_number": "aggregated", "credit_score": "distributed"}),
        );
        claims.insert(
            "_claim_sources".to_owned(),
            json!({
                "aggregated": {"JWT": bent},
                "distributed": {"endpoint": endpoint, "access_token": token},
            }),
        );
    });
    let browser = rp.accepts().await;
    let session = browser.fetch("/auth/session").await;
    let user = session.json()["user"].clone();
    assert_eq!(user["email"], "alice@example.com");
    for name in ["phone_number", "credit_score"] {
        assert!(user.get(name).is_none(), "{user}");
    }
    for page in [session, browser.navigate("/").await] {
        assert!(!page.body.contains(&jwt), "{}", page.describe());
        assert!(!page.body.contains(token), "{}", page.describe());
    }
    assert_eq!(control.count(Endpoint::Api2("/whoami")), 0);
}
