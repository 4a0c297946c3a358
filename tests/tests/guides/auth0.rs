//! Guide 4: plain OAuth 2.0 with Auth0.

use auth_testing::{DevProvider, Endpoint, Fault};
use auth_tests::Stage;
use auth_tests::stage::{BASE, Environment};
use serde_json::json;

use crate::{parameters, press, world};

const APPOINTMENTS: Endpoint = Endpoint::Api("/api/appointments");

fn settings(environment: Environment, provider: &DevProvider) -> Environment {
    let issuer = provider.issuer();
    environment
        .unset("AUTH_ISSUER")
        .unset("API2_URL")
        .set("AUTH_SCOPES", "offline_access")
        .set("AUTH_AUTHORIZATION_URL", format!("{issuer}/authorize"))
        .set("AUTH_TOKEN_URL", format!("{issuer}/token"))
        .set("AUTH_REVOCATION_URL", format!("{issuer}/revoke"))
        .set("AUTH_END_SESSION_URL", format!("{issuer}/v2/logout"))
        .set("AUTH_END_SESSION_PARAM", "returnTo")
        .set("TOKEN_ISSUER", issuer)
        .set("TOKEN_KEYS", format!("{issuer}/jwks"))
        .set("TOKEN_AUDIENCE", provider.api_url())
}

pub(crate) async fn the_guide_from_the_sign_in_to_the_sign_out(stage: Stage) {
    let world = world(&stage, 4, settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    // `requiresLogin`: home, where there is a link to sign in that knows the way back.
    let away = browser.navigate("/appointments").await;
    assert_eq!(away.assert_status(303).location().as_str(), format!("{BASE}/"));
    let home = browser.follow(away).await;
    let login = auth_tests::html::links(&home.body).pop().unwrap();
    assert_eq!(login, "/auth/login?return_to=/appointments");
    // The strategy: the audience, and what is missing there.
    let request = world.begin(browser, &login).await;
    let asked = parameters(&request);
    assert_eq!(asked["audience"], world.provider.api_url());
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(asked["state"].len() >= 32);
    let landing = world.finish(browser, &request, "alice").await;
    // `Authorization: Bearer`, and the page with the user.
    let page = browser.follow(landing).await;
    assert!(
        page.text().starts_with("Guide 4 Appointments of alice") && page.text().contains("the dentist"),
        "{}",
        page.describe()
    );
    assert_eq!(control.count(Endpoint::Userinfo), 0, "skipUserProfile");
    assert_eq!(control.count(Endpoint::Discovery), 0);
    // A token that the API refuses is renewed once.
    control.reject_next(1);
    browser.navigate("/appointments").await.assert_status(200);
    assert_eq!(control.refresh_count(), 1);
    // There, the browser waits for ever.
    control.fail_next(APPOINTMENTS, 1, Fault::Reset);
    let failed = browser.navigate("/appointments").await;
    assert_eq!(failed.assert_failure(502..=502), "api.unreachable");
    // There, a 4xx is shown as appointments.
    control.fail_next(APPOINTMENTS, 1, Fault::status(404));
    let failed = browser.navigate("/appointments").await;
    assert_eq!(failed.assert_failure(502..=502), "api.status");
    // Sign-out, which there is none of: here, and at the provider by its own parameter.
    let home = browser.navigate("/").await;
    assert!(home.text().contains("You are alice."), "{}", home.describe());
    let out = press(browser, &home, "/auth/logout")
        .await
        .assert_status(303)
        .location();
    assert_eq!(out.path(), "/v2/logout");
    assert_eq!(parameters(&out)["returnTo"], format!("{BASE}/"));
    assert!(!browser.is_signed_in().await);
}

pub(crate) async fn what_the_original_believes_is_refused(stage: Stage) {
    let world = world(&stage, 4, settings).await;
    let (browser, control) = (&world.browser, world.provider.control());
    // A code of the attacker's, in the victim's browser.
    let request = world.begin(browser, "/auth/login").await;
    let victim = browser.fresh();
    let answer = world.finish(&victim, &request, "bob").await;
    assert_eq!(answer.assert_failure(400..=400), "login.cookies_blocked");
    // A token whose signature is wrong, one for another API, and one that is no JWT.
    for change in ["signature", "audience", "opaque"] {
        // Good in all but the audience.
        let now = auth_tests::jar::unix_now();
        let other = json!({
            "iss": world.provider.issuer(), "aud": "https://other.example", "sub": "mallory",
            "iat": now, "exp": now + 300,
        });
        let other = control.sign_jwt("at+jwt", other.as_object().unwrap());
        control.tamper_token_response(move |answer| {
            let token = answer["access_token"].as_str().unwrap();
            let (signed, _) = token.rsplit_once('.').unwrap();
            answer["access_token"] = match change {
                "signature" => json!(format!("{signed}.AAAA")),
                "audience" => json!(other),
                _ => json!("opaque-tokens-say-nothing"),
            };
        });
        let request = world.begin(browser, "/auth/login").await;
        let answer = world.finish(browser, &request, "alice").await;
        assert_eq!(
            answer.assert_failure(502..=502),
            "login.access_token_refused",
            "{change}"
        );
        assert!(!browser.is_signed_in().await);
    }
}
