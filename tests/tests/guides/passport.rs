//! Guide 0: Passport with Asgardeo.

use std::time::Duration;

use auth_testing::{Endpoint, Fault};
use auth_tests::{Site, Stage};
use http::Method;

use crate::{parameters, sent_to_sign_in, sign_in_at, sign_out, world};

const ME: Endpoint = Endpoint::Api("/scim2/Me");

pub(crate) async fn the_guide_from_the_sign_in_to_the_sign_out(stage: Stage) {
    let world = world(&stage, 0, |settings, _| settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    let home = browser.navigate("/").await;
    assert!(
        home.assert_status(200).text().contains("Sign in"),
        "{}",
        home.describe()
    );

    // The strategy. `ensureLoggedIn` sends to it, and two tabs do not disturb each other.
    let request = sent_to_sign_in(&world, browser, "/users?tab=2").await;
    let other = sent_to_sign_in(&world, browser, "/users").await;
    let asked = parameters(&request);
    assert!(asked["scope"].contains("internal_login"), "{asked:?}");
    assert_eq!(asked["code_challenge_method"], "S256");
    for name in ["state", "nonce"] {
        assert_ne!(asked[name], parameters(&other)[name]);
    }

    // The access token is dead on arrival: the first call has another one.
    control.next_access_token_lifetime(Duration::ZERO);
    let landing = world.finish(browser, &request, "alice").await;
    assert_eq!(landing.location().query(), Some("tab=2"));
    let page = browser.follow(landing).await;
    for text in [
        "This is a protected resource",
        "You are alice, alice to the provider.",
        "SCIM calls you Alice.",
    ] {
        assert!(page.text().contains(text), "{text}: {}", page.describe());
    }
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
    let call = control.requests(ME).pop().unwrap();
    assert_eq!(call.header("accept"), Some("application/scim+json"));
    assert!(call.header("authorization").unwrap().starts_with("Bearer "));
    world.finish(browser, &other, "alice").await.assert_redirect();

    // `serializeUser`, `deserializeUser`
    let home = browser.navigate("/").await;
    assert!(home.text().contains("Hello Alice Archer."), "{}", home.describe());
    sign_out(&world, &home).await;
    sent_to_sign_in(&world, browser, "/users").await;
}

pub(crate) async fn a_wrong_issuer_is_told_apart(stage: Stage) {
    for code in [
        "provider.unreachable",
        "provider.discovery_missing",
        "provider.issuer_mismatch",
    ] {
        let world = world(&stage, 0, |settings, _| settings).await;
        let control = world.provider.control();
        match code {
            "provider.unreachable" => control.go_down().await,
            "provider.discovery_missing" => control.fail(Endpoint::Discovery, Fault::status(404)),
            _ => control.tamper_discovery(|document| {
                document["issuer"] = "https://elsewhere.example".into();
            }),
        }
        let answer = world.browser.navigate("/auth/login").await;
        assert_eq!(answer.assert_failure(502..=503), code);
    }
}

pub(crate) async fn its_mistakes_have_the_codes_it_names(stage: Stage) {
    let world = world(&stage, 0, |settings, _| settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    // A script is not redirected.
    let problem = browser.fetch("/users").await.assert_problem(401).json();
    assert_eq!(problem["code"], "session.none");
    // There, nobody looks at the signature.
    let request = sent_to_sign_in(&world, browser, "/users").await;
    control.unsigned_id_token(true);
    let answer = world.finish(browser, &request, "alice").await;
    assert_eq!(answer.assert_failure(502..=502), "id_token.algorithm_not_allowed");
    control.clear_tampering();
    // The client's secret is another one.
    control.fail_next(Endpoint::Token, 1, Fault::oauth(401, "invalid_client"));
    let request = sent_to_sign_in(&world, browser, "/users").await;
    let answer = world.finish(browser, &request, "alice").await;
    assert_eq!(answer.assert_failure(502..=502), "login.client_refused");
    // There, a failure of the API is answered with 200.
    sign_in_at(&world, browser, "/users", "alice").await;
    control.fail_next(ME, 1, Fault::status(403));
    let page = browser.navigate("/users").await;
    assert_eq!(page.assert_failure(502..=502), "api.status");
    // Another site's page signs nobody out.
    let answer = browser.script(Method::POST, "/auth/logout").site(Site::CrossSite);
    let problem = answer.await.assert_problem(403).json();
    assert_eq!(problem["code"], "request.cross_site");
    // The provider does not know a scope, or not for this application.
    let asking = browser.fresh();
    let request = sent_to_sign_in(&world, &asking, "/users").await;
    control.tamper_callback(|response| {
        response.retain(|(name, _)| name != "code");
        response.push(("error".to_owned(), "invalid_scope".to_owned()));
    });
    let answer = world.finish(&asking, &request, "bob").await;
    assert_eq!(answer.assert_failure(400..=499), "login.scope_refused");
    control.clear_tampering();
    // Opened under another name than `AUTH_BASE_URL` has.
    let login = browser
        .fresh()
        .navigate("/auth/login")
        .header("host", "localhost:3000")
        .await;
    let answer = world.finish(&browser.fresh(), &login.location(), "bob").await;
    assert_eq!(answer.assert_failure(400..=400), "login.cookie_other_address");
    // Without a refresh token a session lasts as long as the access token.
    let brief = browser.fresh();
    control.next_access_token_lifetime(Duration::ZERO);
    control.withhold_scope("offline_access");
    let request = sent_to_sign_in(&world, &brief, "/users").await;
    world.finish(&brief, &request, "bob").await.assert_redirect();
    let problem = brief.fetch("/users").await.assert_problem(401).json();
    assert_eq!(problem["code"], "session.token_expired");
}
