//! `oidcc-client-test-3rd-party-init-login`: somebody else's page begins the sign-in (OpenID Connect Core §4).

use auth_testing::Endpoint;
use auth_tests::{Answer, Browser, Site};
use http::Method;

use crate::harness::{Rp, Suite, USER};

/// The two ways in: a link and a form of another site.
const METHODS: [Method; 2] = [Method::GET, Method::POST];

async fn initiate(browser: &Browser, method: Method, fields: &[(&str, &str)]) -> Answer {
    if method == Method::POST {
        return browser
            .request(method, "/auth/login")
            .navigation(Site::CrossSite)
            .form(fields)
            .await;
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    browser
        .navigate(&format!("/auth/login?{query}"))
        .site(Site::CrossSite)
        .await
}

async fn signs_in(rp: &Rp, method: Method, fields: &[(&str, &str)], landing: &str) {
    let browser = rp.browser();
    let request = initiate(&browser, method, fields).await.location();
    let answer = rp.finish(&browser, &request).await;
    assert_eq!(answer.location(), browser.base().join(landing).unwrap());
    browser.assert_signed_in_as(USER).await;
}

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let issuer = rp.issuer();
    for method in METHODS {
        let browser = rp.browser();
        let other = format!("{issuer}1");
        let answer = initiate(&browser, method, &[("iss", &other)]).await;
        assert_eq!(answer.assert_failure(400..=499), "login.unknown_issuer");
        assert!(browser.cookies().is_empty());
    }
    assert_eq!(rp.control().count(Endpoint::Authorize), 0);
    for method in METHODS {
        signs_in(&rp, method.clone(), &[("iss", &issuer)], "/").await;
        let fields = [
            ("iss", issuer.as_str()),
            ("login_hint", USER),
            ("target_link_uri", "/profile"),
        ];
        signs_in(&rp, method.clone(), &fields, "/profile").await;
        assert_eq!(rp.authorization_parameter("login_hint").as_deref(), Some(USER));
        // Never to another origin.
        let fields = [
            ("iss", issuer.as_str()),
            ("target_link_uri", "https://evil.example/"),
        ];
        signs_in(&rp, method, &fields, "/").await;
    }
}
