//! Sign-out: here, and at the provider (OpenID Connect RP-Initiated Logout 1.0).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault};
use auth_tests::stage::{BASE, CLIENT_ID};
use auth_tests::{Stage, World};

use crate::login::parameters;

// RFC 10017 §6.1.2.1
pub(crate) async fn goes_to_the_provider_with_what_it_needs(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let answer = world.browser.submit("/auth/logout", &[]).await;
    answer.assert_status(303).assert_no_store();
    let location = answer.location();
    let metadata = world
        .browser
        .fetch(&format!(
            "{}/.well-known/openid-configuration",
            world.provider.issuer()
        ))
        .await
        .json();
    assert_eq!(
        location.as_str().split('?').next(),
        metadata["end_session_endpoint"].as_str()
    );
    let parameters = parameters(&location);
    assert_eq!(parameters["client_id"], CLIENT_ID);
    assert_eq!(parameters["post_logout_redirect_uri"], format!("{BASE}/"));
    assert!(
        world
            .provider
            .control()
            .issued_secrets()
            .contains(&parameters["id_token_hint"])
    );
    let back = world
        .browser
        .follow(world.browser.navigate(location.as_str()).await)
        .await;
    assert_eq!(back.url.as_str(), format!("{BASE}/"), "{}", back.describe());
    back.assert_status(200);
    world.browser.assert_signed_out().await;
}

pub(crate) async fn a_sign_out_of_the_provider_s_own_gets_what_it_knows(stage: Stage) {
    let own = "https://pool.example/logout?lang=en";
    let world = stage
        .world_with(|settings| {
            settings
                .set("AUTH_END_SESSION_URL", own)
                .set("AUTH_END_SESSION_PARAM", "logout_uri")
        })
        .await;
    world.sign_in("alice").await;
    let answer = world.browser.submit("/auth/logout", &[]).await;
    answer.assert_status(303).assert_no_store();
    assert_eq!(
        answer.location().as_str(),
        format!("{own}&client_id={CLIENT_ID}&logout_uri=http%3A%2F%2F127.0.0.1%3A3000%2F")
    );
    world.browser.assert_signed_out().await;
}

// RFC 9700 §4.14.2
pub(crate) async fn revokes_the_tokens(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    let requests = control.requests(Endpoint::Revoke);
    assert!(!requests.is_empty());
    let issued: HashSet<_> = control.issued_secrets().into_iter().collect();
    let hints: HashSet<_> = requests
        .iter()
        .filter_map(|request| request.form("token_type_hint"))
        .collect();
    assert!(hints.contains("refresh_token"), "{hints:?}");
    assert!(
        requests
            .iter()
            .all(|request| issued.contains(request.form("token").unwrap()))
    );
}

pub(crate) async fn works_while_the_access_token_is_dead(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    world.browser.submit("/auth/logout", &[]).await.assert_status(303);
    assert_eq!(control.refresh_count(), 0);
    world.browser.assert_signed_out().await;
}

async fn ends_the_session_anyway(world: &World, what: &str) {
    let browser = world.browser.fresh();
    world.sign_in_with(&browser, "alice").await;
    let copy = browser.copy();
    world.provider.control().fail(Endpoint::Revoke, Fault::Hang);
    let start = Instant::now();
    browser.submit("/auth/logout", &[]).await.assert_status(303);
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{what} took {:?}",
        start.elapsed()
    );
    browser.assert_signed_out().await;
    copy.assert_signed_out().await;
    world.provider.control().clear(Endpoint::Revoke);
}

pub(crate) async fn does_not_wait_long_for_a_slow_provider(stage: Stage) {
    let world = stage.world().await;
    ends_the_session_anyway(&world, "silence").await;
}

pub(crate) async fn ends_the_session_while_the_provider_is_down(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let copy = world.browser.copy();
    world.provider.control().go_down().await;
    let start = Instant::now();
    world.browser.submit("/auth/logout", &[]).await.assert_status(303);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    world.browser.assert_signed_out().await;
    copy.assert_signed_out().await;
}

pub(crate) async fn ends_the_session_though_revocation_is_refused(stage: Stage) {
    let world = stage.world().await;
    for fault in [
        Fault::status(500),
        Fault::oauth(400, "unsupported_token_type"),
        Fault::oauth(401, "invalid_client"),
        Fault::Reset,
    ] {
        world.provider.control().clear(Endpoint::Revoke);
        world.provider.control().fail(Endpoint::Revoke, fault);
        world.sign_in("alice").await;
        world.browser.submit("/auth/logout", &[]).await.assert_status(303);
        world.browser.assert_signed_out().await;
    }
}

// RP-Initiated Logout 1.0 §2
pub(crate) async fn stays_here_where_the_provider_has_no_end_session_endpoint(stage: Stage) {
    let world = stage.world().await;
    world
        .provider
        .control()
        .tamper_discovery(|document: &mut crate::id_token::Claims| {
            document.remove("end_session_endpoint");
            document.remove("revocation_endpoint");
        });
    world.sign_in("alice").await;
    let answer = world.browser.submit("/auth/logout", &[]).await;
    assert_eq!(answer.assert_status(303).location().as_str(), format!("{BASE}/"));
    world.browser.assert_signed_out().await;
}

pub(crate) async fn without_a_session_it_does_no_harm(stage: Stage) {
    let world = stage.world().await;
    let answer = world.browser.submit("/auth/logout", &[]).await;
    assert!(matches!(answer.status, 302 | 303 | 401), "{}", answer.describe());
    if answer.status != 401 {
        assert_eq!(answer.location().origin(), world.browser.base().origin());
    }
    assert_eq!(world.provider.control().count(Endpoint::Revoke), 0);
}

pub(crate) async fn twice_is_as_good_as_once(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let copy = world.browser.copy();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    let again = copy.submit("/auth/logout", &[]).await;
    assert!(matches!(again.status, 302 | 303 | 401), "{}", again.describe());
    copy.assert_signed_out().await;
}

pub(crate) async fn requests_under_way_do_not_bring_the_session_back(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let gate = world.provider.control().hold(Endpoint::Api("/scim2/Me"));
    let browser = world.browser.clone();
    let request = tokio::spawn(async move { browser.fetch("/api/me").await });
    gate.waiting(1).await.unwrap();
    let copy = world.browser.copy();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    gate.release();
    request.await.unwrap();
    copy.assert_signed_out().await;
    world.browser.assert_signed_out().await;
}

/// The tokens that were brought to the revocation endpoint, each with how often.
fn brought(world: &World) -> HashMap<String, usize> {
    let mut brought = HashMap::new();
    for request in world.provider.control().requests(Endpoint::Revoke) {
        *brought
            .entry(request.form("token").unwrap().to_owned())
            .or_default() += 1;
    }
    brought
}

// RFC 7009 §2.2.1
pub(crate) async fn what_was_not_revoked_in_time_is_revoked_later_and_once(stage: Stage) {
    let mut world = stage.signed_in("alice").await;
    let control = world.provider.control().clone();
    control.fail_next(Endpoint::Revoke, 2, Fault::status(503));
    world.browser.submit("/auth/logout", &[]).await.assert_status(303);
    world.browser.assert_signed_out().await;
    auth_tests::wait::until("both tokens again", Duration::from_secs(15), || async {
        control.count(Endpoint::Revoke) >= 4
    })
    .await;
    // Whatever still waits is tried once more when the application stops.
    world.app.terminate();
    world.app.ended(Duration::from_secs(6)).await;
    let mut times: Vec<_> = brought(&world).into_values().collect();
    times.sort_unstable();
    assert_eq!(times, [2, 2], "once in vain and once not");
    assert!(
        world
            .app
            .stderr()
            .iter()
            .any(|line| line.contains("it is tried again")),
        "{}",
        world.app.tail()
    );
}

// RFC 7009 §2.2.1
pub(crate) async fn what_the_provider_refuses_to_revoke_is_not_tried_again(stage: Stage) {
    for fault in [
        Fault::oauth(401, "invalid_client"),
        Fault::oauth(400, "unsupported_token_type"),
    ] {
        let mut world = stage.signed_in("alice").await;
        world.provider.control().fail(Endpoint::Revoke, fault);
        world.browser.submit("/auth/logout", &[]).await.assert_status(303);
        world.app.terminate();
        assert!(world.app.ended(Duration::from_secs(6)).await.success());
        assert_eq!(brought(&world).into_values().collect::<Vec<_>>(), [1, 1]);
    }
}

// RP-Initiated Logout 1.0 §3
pub(crate) async fn the_provider_may_add_a_state_on_the_way_back(stage: Stage) {
    let world = stage.signed_in("alice").await;
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    for path in ["/?state=", "/?state=abc", "/?state=abc&iss=https://id.example"] {
        world
            .browser
            .navigate(path)
            .await
            .assert_status(200)
            .assert_page();
    }
}
