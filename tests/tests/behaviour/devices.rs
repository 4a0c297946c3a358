//! The user's sessions: listed, and ended one by one or all but one.

use std::collections::HashSet;
use std::time::Duration;

use auth_testing::Endpoint;
use auth_tests::jar::unix_now;
use auth_tests::{Browser, Stage, World};
use http::Method;
use serde_json::Value;

use crate::modes::plain;

async fn sign_in(world: &World, browser: &Browser, user: &str, agent: &str) {
    let request = world.begin(browser, "/auth/login").await;
    let callback = world.approve(&request, user).await;
    let answer = browser
        .navigate(callback.as_str())
        .header("user-agent", agent)
        .await;
    answer.assert_redirect();
}

async fn list(browser: &Browser) -> Vec<Value> {
    let answer = browser.fetch("/api/sessions").await;
    answer.assert_status(200).assert_no_store();
    answer.json().as_array().unwrap().clone()
}

async fn id_of_this(browser: &Browser) -> String {
    let sessions = list(browser).await;
    let mut this = sessions.iter().filter(|session| session["current"] == true);
    let id = this.next().unwrap()["id"].as_str().unwrap().to_owned();
    assert!(this.next().is_none());
    id
}

/// Two browsers of alice, one of bob.
async fn three(stage: &Stage) -> (World, Browser, Browser) {
    let world = stage.world().await;
    let (phone, bob) = (world.browser.fresh(), world.browser.fresh());
    sign_in(&world, &world.browser, "alice", "Desk/1.0").await;
    sign_in(&world, &phone, "alice", "Phone/1.0").await;
    sign_in(&world, &bob, "bob", "Other/1.0").await;
    (world, phone, bob)
}

pub(crate) async fn the_list_shows_the_user_s_own_sessions(stage: Stage) {
    let (world, phone, bob) = three(&stage).await;
    for browser in [&world.browser, &phone] {
        let sessions = list(browser).await;
        let agents: HashSet<_> = sessions
            .iter()
            .map(|session| session["user_agent"].as_str().unwrap())
            .collect();
        assert_eq!(agents, HashSet::from(["Desk/1.0", "Phone/1.0"]));
        for session in &sessions {
            for time in ["created_at", "last_seen_at"] {
                assert!(
                    unix_now().abs_diff(session[time].as_u64().unwrap()) < 60,
                    "{session}"
                );
            }
            assert_eq!(session["address"], "127.0.0.1");
        }
    }
    assert_eq!(list(&bob).await.len(), 1);
    // What names a session lets nobody in.
    let id = id_of_this(&world.browser).await;
    assert_ne!(id, world.browser.session_cookie().await.value);
    assert!(!world.browser.session_cookie().await.value.contains(&id));
    let thief = world.browser.copy();
    let cookie = world.browser.session_cookie().await;
    thief.jar().change(&cookie.name, &id);
    thief.assert_signed_out().await;
    world
        .browser
        .fresh()
        .fetch("/api/sessions")
        .await
        .assert_problem(401);
}

pub(crate) async fn one_session_is_ended_and_its_tokens_revoked(stage: Stage) {
    let (world, phone, bob) = three(&stage).await;
    let id = id_of_this(&phone).await;
    let delete = |id: &str| {
        world
            .browser
            .script(Method::DELETE, &format!("/api/sessions/{id}"))
    };
    delete(&id).await.assert_status(204);
    phone.assert_signed_out().await;
    for browser in [&world.browser, &bob] {
        browser.fetch("/api/ping").await.assert_status(200);
    }
    auth_tests::wait::until("revocations", Duration::from_secs(15), || async {
        world.provider.control().count(Endpoint::Revoke) >= 2
    })
    .await;
    for id in [id.as_str(), "x", "AAAA", &"A".repeat(43), "%00"] {
        delete(id).await.assert_status(404);
    }
    // One's own.
    delete(&id_of_this(&world.browser).await).await.assert_status(204);
    world.browser.assert_signed_out().await;
}

pub(crate) async fn all_others_are_ended(stage: Stage) {
    let (world, phone, bob) = three(&stage).await;
    let delete = || world.browser.script(Method::DELETE, "/api/sessions");
    for origin in ["https://evil.example", "null"] {
        delete().header("origin", origin).await.assert_status(403);
    }
    phone.assert_signed_in_as("alice").await;
    for _ in 0..2 {
        delete().await.assert_status(204);
        phone.assert_signed_out().await;
        world.browser.assert_signed_in_as("alice").await;
        bob.assert_signed_in_as("bob").await;
    }
}

pub(crate) async fn nobody_ends_the_session_of_somebody_else(stage: Stage) {
    let (world, _, bob) = three(&stage).await;
    let id = id_of_this(&world.browser).await;
    bob.script(Method::DELETE, &format!("/api/sessions/{id}"))
        .await
        .assert_status(404);
    bob.submit("/sessions", &[("end", &id)]).await.assert_status(303);
    bob.script(Method::DELETE, "/api/sessions")
        .await
        .assert_status(204);
    world.browser.assert_signed_in_as("alice").await;
    assert_eq!(list(&world.browser).await.len(), 2);
}

pub(crate) async fn users_whom_nobody_names_see_only_themselves(stage: Stage) {
    // Neither userinfo nor introspection: the subject is empty, and that is nobody else's.
    let world = plain(&stage, |settings, _| settings).await;
    let other = world.browser.fresh();
    world.sign_in_with(&world.browser, "alice").await;
    world.sign_in_with(&other, "bob").await;
    let id = id_of_this(&world.browser).await;
    for browser in [&world.browser, &other] {
        assert_eq!(list(browser).await.len(), 1);
    }
    let delete = |path: String| other.script(Method::DELETE, &path);
    delete(format!("/api/sessions/{id}")).await.assert_status(404);
    delete("/api/sessions".to_owned()).await.assert_status(204);
    world.browser.fetch("/api/ping").await.assert_status(200);
}

pub(crate) async fn the_page_has_a_button_for_each(stage: Stage) {
    let (world, phone, _) = three(&stage).await;
    sign_in(&world, &world.browser.fresh(), "alice", "<b>third</b>").await;
    let page = world.browser.navigate("/sessions").await;
    page.assert_status(200).assert_no_store();
    assert!(
        !page.body.contains("<b>third"),
        "what a browser calls itself is text"
    );
    let forms = auth_tests::html::forms(&page.body);
    assert_eq!(forms.len(), 4, "{}", page.describe());
    let id = id_of_this(&phone).await;
    world
        .browser
        .submit("/sessions", &[("end", &id)])
        .site(auth_tests::browser::Site::CrossSite)
        .await
        .assert_status(403);
    phone.assert_signed_in_as("alice").await;
    let answer = world.browser.submit("/sessions", &[("end", &id)]).await;
    assert_eq!(answer.assert_redirect().location().path(), "/sessions");
    phone.assert_signed_out().await;
    world
        .browser
        .submit("/sessions", &[("end", "others")])
        .await
        .assert_redirect();
    assert_eq!(list(&world.browser).await.len(), 1);
    for (name, value) in [("end", "x"), ("other", "x")] {
        let answer = world.browser.submit("/sessions", &[(name, value)]).await;
        assert_eq!((answer.status, answer.body.as_str()), (400, ""), "{name}");
    }
    let empty = world.browser.submit("/sessions", &[]).await;
    assert_eq!((empty.status, empty.body.as_str()), (400, ""));
    assert_eq!(
        world
            .browser
            .fresh()
            .navigate("/sessions")
            .await
            .location()
            .path(),
        "/auth/login"
    );
}
