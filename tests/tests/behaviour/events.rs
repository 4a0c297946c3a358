//! `/api/events`: a stream that closes with the session.

use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault};
use auth_tests::live::Live;
use auth_tests::{App, Browser, Stage, wait};
use http::Method;
use serde_json::json;
use tokio::time::timeout;

use crate::provider_logout;
use crate::store::{address, rename_tables, world};

/// How long after the end of a session its streams may go on.
const WITHIN: Duration = Duration::from_secs(2);

/// A stream that has begun.
async fn open(browser: &Browser) -> Live {
    let mut live = browser.fetch("/api/events").open().await;
    assert_eq!(live.status, 200);
    live.goes_on(1).await;
    live
}

pub(crate) async fn there_is_an_event_a_second_for_who_is_signed_in(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let stream = world
        .browser
        .fetch("/api/events")
        .header("accept", "text/event-stream")
        .open()
        .await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    let stored: Vec<_> = stream.headers.get_all("cache-control").iter().collect();
    assert_eq!(stored, ["no-store"]);
    let mut stream = stream;
    let began = Instant::now();
    for n in 0..4 {
        assert_eq!(stream.event().await, Some(format!("data: {n}")));
    }
    let took = began.elapsed();
    assert!(
        (Duration::from_millis(2500)..Duration::from_secs(6)).contains(&took),
        "{took:?}"
    );
    // It does not keep others waiting.
    let mut more = Vec::new();
    for _ in 0..20 {
        more.push(open(&world.browser).await);
    }
    world.browser.fetch("/api/ping").await.assert_status(200);

    let head = world.browser.script(Method::HEAD, "/api/events").await;
    head.assert_status(200).assert_no_store();
    assert_eq!(
        (head.media_type().as_str(), head.body.as_str()),
        ("text/event-stream", "")
    );
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = world.browser.script(method, "/api/events").await;
        assert!(matches!(answer.status, 404 | 405), "{}", answer.describe());
    }
    let stranger = world.browser.fresh();
    stranger
        .fetch("/api/events")
        .await
        .assert_problem(401)
        .assert_no_cookie();
    let login = stranger.navigate("/api/events").await.location();
    assert_eq!(login.path(), "/auth/login");
}

pub(crate) async fn it_closes_however_the_session_ends(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let bystander = &world.browser;
    let mut untouched = open(bystander).await;
    let phone = bystander.fresh();

    for what in [
        "sign-out",
        "one ended",
        "others ended",
        "by the provider",
        "a new sign-in",
    ] {
        world.sign_in_with(&phone, "alice").await;
        let mut streams = [open(&phone).await, open(&phone).await];
        match what {
            "sign-out" => drop(phone.submit("/auth/logout", &[]).await.assert_redirect()),
            "one ended" => {
                let sessions = phone.fetch("/api/sessions").await.json();
                let mut sessions = sessions.as_array().unwrap().iter();
                let this = sessions.find(|session| session["current"] == true).unwrap();
                let path = format!("/api/sessions/{}", this["id"].as_str().unwrap());
                bystander.script(Method::DELETE, &path).await.assert_status(204);
            }
            "others ended" => {
                let answer = bystander.script(Method::DELETE, "/api/sessions").await;
                answer.assert_status(204);
            }
            "by the provider" => {
                let sid = provider_logout::sid(&phone).await;
                let token = provider_logout::token(&world, "logout+jwt", &json!({"sid": sid}));
                provider_logout::send(&phone, &token).await.assert_status(200);
            }
            _ => drop(world.sign_in_with(&phone, "alice").await),
        }
        for stream in &mut streams {
            stream.ends(what, WITHIN).await;
        }
        untouched.goes_on(1).await;
    }
}

pub(crate) async fn it_closes_when_a_refresh_is_refused_and_goes_on_when_one_succeeds_or_fails(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    control.next_access_token_lifetime(Duration::from_secs(2));
    world.sign_in("alice").await;
    let mut stream = open(&world.browser).await;
    stream.goes_on(3).await;
    control.fail_next(Endpoint::Token, 1, Fault::oauth(503, "temporarily_unavailable"));
    world.browser.fetch("/api/ping").await.assert_status(503);
    stream.goes_on(2).await;
    wait::until("a refresh", Duration::from_secs(15), || async {
        control.next_access_token_lifetime(Duration::from_secs(2));
        world.browser.fetch("/api/ping").await.status == 200
    })
    .await;
    stream.goes_on(4).await;
    control.fail_next(Endpoint::Token, 1, Fault::oauth(400, "invalid_grant"));
    wait::until("a refusal", Duration::from_secs(15), || async {
        world.browser.fetch("/api/ping").await.status == 401
    })
    .await;
    stream.ends("a refused refresh", WITHIN).await;
}

pub(crate) async fn it_closes_when_the_session_is_idle_or_at_its_end(stage: Stage) {
    for (setting, is_busy) in [("AUTH_SESSION_IDLE", false), ("AUTH_SESSION_MAX", true)] {
        let world = stage.world_with(|settings| settings.set(setting, 4)).await;
        let (began, mut used) = (Instant::now(), 0);
        world.sign_in("alice").await;
        let mut stream = open(&world.browser).await;
        // The stream is no use of the session; where the session is used at each event, it has an end all the same.
        let end = async {
            while stream.event().await.is_some() {
                if is_busy {
                    used += usize::from(world.browser.fetch("/api/ping").await.status == 200);
                }
            }
        };
        // As long as the session and then two seconds, and some for a busy machine.
        timeout(Duration::from_secs(15), end).await.expect(setting);
        assert_eq!(used > 0, is_busy);
        assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());
        world.browser.assert_signed_out().await;
    }
}

pub(crate) async fn requests_keep_it_open_where_the_session_would_be_idle(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_SESSION_IDLE", 3))
        .await;
    world.sign_in("alice").await;
    let mut stream = open(&world.browser).await;
    for _ in 0..6 {
        world.browser.fetch("/api/ping").await.assert_status(200);
        stream.goes_on(1).await;
    }
}

pub(crate) async fn it_goes_on_while_the_store_fails(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&stage, &folder).await;
    world.sign_in("alice").await;
    let mut stream = open(&world.browser).await;
    rename_tables(&folder, true).await;
    world.browser.fetch("/api/ping").await.assert_problem(503);
    stream.goes_on(4).await;
    rename_tables(&folder, false).await;
    stream.goes_on(2).await;
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    stream.ends("sign-out", WITHIN).await;
}

pub(crate) async fn a_sign_out_closes_it_on_another_instance_on_the_same_file(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&stage, &folder).await;
    let settings = stage
        .environment(&world.provider)
        .set("AUTH_STORE", address(&folder));
    let second: App = stage.start(&settings).await;
    for _ in 0..2 {
        world.sign_in("alice").await;
        let there = world.browser.copy();
        there.moved_to(second.address());
        let mut streams = [open(&world.browser).await, open(&there).await];
        world.browser.submit("/auth/logout", &[]).await.assert_redirect();
        for stream in &mut streams {
            stream.ends("sign-out", WITHIN).await;
        }
    }
}

pub(crate) async fn streams_do_not_keep_the_process_alive(stage: Stage) {
    let mut world = stage.signed_in("alice").await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(open(&world.browser).await);
    }
    let start = Instant::now();
    world.app.terminate();
    for stream in &mut streams {
        stream.ends("the application stops", Duration::from_secs(3)).await;
    }
    let status = world.app.ended(Duration::from_secs(6)).await;
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

pub(crate) async fn who_goes_away_disturbs_nobody(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let mut stays = open(&world.browser).await;
    for _ in 0..30 {
        drop(open(&world.browser).await);
    }
    stays.goes_on(3).await;
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    stays.ends("sign-out", WITHIN).await;
}
