//! Sign-ins that ask for more than the last one: because a page wants a scope, or an API a stronger or more recent sign-in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth_testing::Endpoint;
use auth_tests::answer::Answer;
use auth_tests::{Stage, World};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::json;

use crate::login::parameters;
use crate::token_endpoint::serve;

const STEP_UP: Endpoint = Endpoint::Api("/step-up");
const STRONG: &str = "urn:auth-testing:acr:strong";

fn challenge(answer: &Answer) -> String {
    answer.header("www-authenticate").unwrap_or_default()
}

/// A world whose user was authenticated so long ago that the demo API wants it done again.
async fn stale(stage: &Stage) -> World {
    let world = stage.world().await;
    world
        .provider
        .control()
        .set_sign_in_age(Duration::from_secs(1000));
    world.sign_in("alice").await;
    world.provider.control().set_sign_in_age(Duration::ZERO);
    world
}

// RFC 9470 §3 and §4
pub(crate) async fn a_browser_is_sent_to_sign_in_as_the_api_demands_and_comes_back(stage: Stage) {
    let world = stale(&stage).await;
    let login = world.browser.navigate("/api/step-up?a=b").await;
    login.assert_no_store();
    let login = login.location();
    assert_eq!(
        (login.origin(), login.path()),
        (world.browser.base().origin(), "/auth/login")
    );
    let request = world.begin(&world.browser, login.as_str()).await;
    let asked = parameters(&request);
    assert_eq!(
        (asked["acr_values"].as_str(), asked["max_age"].as_str()),
        (STRONG, "60")
    );
    assert!(!asked.contains_key("login_hint") && !asked.contains_key("id_token_hint"));
    let landing = world.finish(&world.browser, &request, "alice").await.location();
    let page = world.browser.base().join("/api/step-up?a=b").unwrap();
    assert_eq!(landing, page);
    let answer = world.browser.navigate(landing.as_str()).await;
    assert_eq!(
        answer.assert_status(200).json(),
        json!({"fresh": true, "acr": STRONG})
    );
    let control = world.provider.control();
    assert_eq!((control.count(STEP_UP), control.refresh_count()), (2, 0));
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 9470 §3
pub(crate) async fn a_script_gets_the_api_s_challenge(stage: Stage) {
    let world = stale(&stage).await;
    let answer = world.browser.fetch("/api/step-up").await;
    let problem = answer.assert_problem(401).json();
    assert_eq!(problem["error"], "insufficient_user_authentication");
    let challenge = challenge(&answer);
    assert!(
        challenge.starts_with("Bearer ") && challenge.contains("error=\"insufficient_user_authentication\"")
    );
    assert!(
        challenge.contains(&format!("acr_values=\"{STRONG}\"")) && challenge.contains("max_age=\"60\""),
        "{challenge}"
    );
    assert_eq!(world.provider.control().refresh_count(), 0);
    world.browser.assert_signed_in_as("alice").await;
}

/// A world whose API answers this, to whatever it is shown, and counts.
async fn demanding(stage: &Stage, status: u16, challenges: &[&str]) -> (World, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let mut headers = HeaderMap::new();
    for challenge in challenges {
        headers.append("www-authenticate", challenge.parse().unwrap());
    }
    let api = serve(Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let answer = (StatusCode::from_u16(status).unwrap(), headers.clone());
        async move { answer.into_response() }
    }))
    .await;
    let world = stage.world_with(|settings| settings.set("API_URL", api)).await;
    world.sign_in("alice").await;
    (world, calls)
}

/// Signs in because the page sends there, and comes back to it: the authorization request.
pub(crate) async fn sent(world: &World, page: &str) -> std::collections::BTreeMap<String, String> {
    let login = world.browser.navigate(page).await.location();
    let request = world.begin(&world.browser, login.as_str()).await;
    let landing = world.finish(&world.browser, &request, "alice").await.location();
    assert_eq!(landing, world.browser.base().join(page).unwrap());
    parameters(&request).into_iter().collect()
}

// RFC 9470 §5
pub(crate) async fn an_api_that_is_never_content_makes_no_loop(stage: Stage) {
    let demand = r#"Bearer error="insufficient_user_authentication", acr_values="urn:x:1", max_age="0""#;
    let (world, _) = demanding(&stage, 401, &[demand]).await;
    let asked = sent(&world, "/api/step-up").await;
    assert_eq!(
        (asked["acr_values"].as_str(), asked["max_age"].as_str()),
        ("urn:x:1", "0")
    );
    for _ in 0..2 {
        let page = world.browser.navigate("/api/step-up").await;
        assert_eq!(page.assert_failure(403..=403), "api.step_up_denied");
    }
    let answer = world.browser.fetch("/api/step-up").await;
    answer.assert_problem(401);
    assert!(challenge(&answer).contains("acr_values=\"urn:x:1\""));
    // A page that shows what the API says does the same.
    let page = world.browser.navigate("/profile").await;
    page.assert_failure(403..=403);
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 6750 §3.1
pub(crate) async fn a_scope_that_the_api_names_is_asked_for_once(stage: Stage) {
    let demand = r#"Bearer error="insufficient_scope", scope="mail.read""#;
    let (world, _) = demanding(&stage, 403, &[demand]).await;
    let answer = world.browser.fetch("/api/step-up").await;
    assert_eq!(answer.assert_problem(403).json()["error"], "insufficient_scope");
    assert_eq!(challenge(&answer), demand);
    let asked = sent(&world, "/api/step-up").await;
    assert!(asked["scope"].starts_with("openid ") && asked["scope"].ends_with(" mail.read"));
    assert!(!asked.contains_key("max_age") && !asked.contains_key("acr_values"));
    let page = world.browser.navigate("/api/step-up").await;
    assert_eq!(page.assert_failure(403..=403), "api.step_up_denied");
}

// RFC 9470 §3
pub(crate) async fn a_token_that_is_refused_is_renewed_before_a_sign_in_is(stage: Stage) {
    let world = stale(&stage).await;
    let control = world.provider.control();
    control.reject_next(1);
    world.browser.fetch("/api/step-up").await.assert_problem(401);
    assert_eq!((control.count(STEP_UP), control.refresh_count()), (2, 1));
    control.reject_next(1);
    let login = world.browser.navigate("/api/step-up").await.location();
    assert_eq!(login.path(), "/auth/login");
    assert_eq!((control.refresh_count(), control.reuse_count()), (2, 0));
}

// RFC 9110 §11.6.1
pub(crate) async fn a_challenge_that_makes_no_sense_sends_nobody_anywhere(stage: Stage) {
    let long = "a".repeat(600);
    for challenges in [
        &[r#"Bearer error="insufficient_user_authentication", max_age="-1""#][..],
        &[r#"Bearer error="insufficient_user_authentication", max_age="1", max_age="2""#],
        &["Bearer error=\"insufficient_user_authentication\", acr_values=\"a"],
        &["insufficient_user_authentication"],
        &[r#"Basic error="insufficient_user_authentication", max_age="1""#],
        &[&format!(
            r#"Bearer error="insufficient_user_authentication", acr_values="{long}""#
        )],
    ] {
        let (world, calls) = demanding(&stage, 401, challenges).await;
        let page = world.browser.navigate("/api/step-up").await;
        page.assert_failure(400..=599);
        // It counts as a token that was refused: one refresh, one retry.
        assert_eq!(calls.load(Ordering::SeqCst), 2, "{challenges:?}");
        assert_eq!(world.provider.control().refresh_count(), 1, "{challenges:?}");
        world.browser.assert_signed_in_as("alice").await;
    }
    // One that names nothing is passed on, and nothing is done about it.
    let nothing = r#"DPoP error="insufficient_user_authentication""#;
    let (world, calls) = demanding(&stage, 401, &["Basic", nothing]).await;
    let page = world.browser.navigate("/api/step-up").await;
    assert_eq!(page.assert_failure(403..=403), "api.step_up_denied");
    world.browser.fetch("/api/step-up").await.assert_problem(401);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

// RFC 9700 §2.3
pub(crate) async fn a_scope_is_asked_for_when_it_is_needed(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let answer = world.browser.fetch("/api/mail").await;
    assert_eq!(answer.assert_problem(403).json()["error"], "insufficient_scope");
    assert_eq!(
        challenge(&answer),
        r#"Bearer error="insufficient_scope", scope="mail.read""#
    );
    let asked = sent(&world, "/api/mail?box=1").await;
    let before = "openid profile email offline_access";
    assert_eq!(asked["scope"], format!("{before} mail.read"));
    let answer = world.browser.navigate("/api/mail?box=1").await;
    assert_eq!(answer.assert_status(200).json(), json!({"scope": "mail.read"}));
}

// RFC 9700 §2.3
pub(crate) async fn a_sign_in_for_something_else_keeps_the_scopes(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    control.set_sign_in_age(Duration::from_secs(1000));
    world.sign_in("alice").await;
    sent(&world, "/api/mail").await;
    control.set_sign_in_age(Duration::ZERO);
    let asked = sent(&world, "/api/transfer").await;
    assert_eq!(asked["max_age"], "300");
    assert!(asked["scope"].ends_with(" mail.read"), "{}", asked["scope"]);
    world.browser.fetch("/api/mail").await.assert_status(200);
    world.browser.fetch("/api/transfer").await.assert_status(200);
}

// RFC 9700 §2.3
pub(crate) async fn a_scope_that_is_not_granted_is_asked_for_once(stage: Stage) {
    let world = stage.signed_in("alice").await;
    world.provider.control().withhold_scope("mail.read");
    sent(&world, "/api/mail").await;
    for _ in 0..2 {
        let page = world.browser.navigate("/api/mail").await;
        assert_eq!(page.assert_failure(403..=403), "access.scope_denied");
        world.browser.fetch("/api/mail").await.assert_problem(403);
    }
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn two_tabs_step_up_side_by_side(stage: Stage) {
    let world = stale(&stage).await;
    let browser = &world.browser;
    let mut requests = Vec::new();
    for page in ["/api/step-up", "/api/mail"] {
        let login = browser.navigate(page).await.location();
        requests.push((page, world.begin(browser, login.as_str()).await));
    }
    for (page, request) in requests {
        let landing = world.finish(browser, &request, "alice").await.location();
        assert_eq!(landing.path(), page);
        browser.navigate(page).await.assert_status(200);
    }
    // The second took the place of the first, and has what it was for; the other page asks once more at most.
    browser.navigate("/api/step-up").await.assert_status(200);
}

// RFC 9700 §4.7.1
pub(crate) async fn a_step_up_s_link_says_nothing_in_another_browser(stage: Stage) {
    let world = stale(&stage).await;
    let login = world.browser.navigate("/api/step-up").await.location();
    for signed_in in [false, true] {
        let stranger = world.browser.fresh();
        if signed_in {
            world.sign_in_with(&stranger, "bob").await;
        }
        let request = world.begin(&stranger, login.as_str()).await;
        let asked = parameters(&request);
        assert!(!asked.contains_key("acr_values") && !asked.contains_key("max_age"));
        let landing = world.finish(&stranger, &request, "bob").await.location();
        assert_eq!(landing.path(), "/api/step-up");
    }
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn a_provider_that_ignores_what_the_api_demands_makes_no_loop(stage: Stage) {
    let world = stale(&stage).await;
    let control = world.provider.control();
    control.set_sign_in_age(Duration::from_secs(1000));
    control.set_acr(Some("urn:x:weak"));
    let login = world.browser.navigate("/api/step-up").await.location();
    let request = world.begin(&world.browser, login.as_str()).await;
    let page = world.finish(&world.browser, &request, "alice").await;
    assert_eq!(page.assert_failure(400..=599), "id_token.auth_time_too_old");
    world.browser.assert_signed_in_as("alice").await;
    world.browser.fetch("/api/step-up").await.assert_problem(401);
}
