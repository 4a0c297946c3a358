//! Start and stop.

use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault};
use auth_tests::{Stage, wait};

pub(crate) async fn one_line_on_standard_output_says_where_it_listens(stage: Stage) {
    let world = stage.world().await;
    world.sign_in("alice").await;
    let mut app = world.app;
    app.kill().await;
    assert_eq!(app.stdout(), [format!("listening on http://{}", app.address())]);
}

pub(crate) async fn starts_while_the_provider_is_down(stage: Stage) {
    let provider = stage.provider().start().await.unwrap();
    provider.control().go_down().await;
    let app = stage.start(&stage.environment(&provider)).await;
    let browser = stage.browser(&app, auth_tests::stage::BASE);
    browser.navigate("/").await.assert_status(200).assert_page();
    browser.fetch("/healthz").await.assert_status(200);
}

pub(crate) async fn sigterm_ends_it_with_status_0(stage: Stage) {
    let mut world = stage.signed_in("alice").await;
    let start = Instant::now();
    world.app.terminate();
    let status = world.app.ended(Duration::from_secs(6)).await;
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

pub(crate) async fn ctrl_c_ends_it_with_status_0(stage: Stage) {
    let mut world = stage.world().await;
    world.app.interrupt();
    let status = world.app.ended(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}");
}

pub(crate) async fn a_request_under_way_is_finished_after_sigterm(stage: Stage) {
    let mut world = stage.signed_in("alice").await;
    let gate = world.provider.control().hold(Endpoint::Api("/scim2/Me"));
    let browser = world.browser.clone();
    let request = tokio::spawn(async move { browser.fetch("/api/me").await });
    gate.waiting(1).await.unwrap();
    let start = Instant::now();
    world.app.terminate();
    let address = world.app.address();
    wait::until("new connections are refused", Duration::from_secs(3), || async {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    gate.release();
    request.await.unwrap().assert_status(200);
    let status = world.app.ended(Duration::from_secs(6)).await;
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

pub(crate) async fn a_request_that_never_ends_does_not_keep_it_alive(stage: Stage) {
    let mut world = stage.signed_in("alice").await;
    let gate = world.provider.control().hold(Endpoint::Api("/scim2/Me"));
    let browser = world.browser.clone();
    let request = tokio::spawn(async move {
        browser
            .fetch("/api/me")
            .attempt()
            .await
            .map(|answer| answer.status)
    });
    gate.waiting(1).await.unwrap();
    let start = Instant::now();
    world.app.terminate();
    let status = world.app.ended(Duration::from_secs(6)).await;
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    gate.release();
    drop(request.await);
}

pub(crate) async fn a_refresh_under_way_is_saved_after_sigterm(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("sessions.db").display());
    let provider = stage.provider().start().await.unwrap();
    let environment = stage.environment(&provider).set("AUTH_STORE", store);
    let app = stage.start(&environment).await;
    let browser = stage.browser(&app, auth_tests::stage::BASE);
    let mut world = auth_tests::World {
        provider,
        app,
        browser,
    };
    let control = world.provider.control();
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    let gate = control.hold(Endpoint::Token);
    let browser = world.browser.clone();
    let request = tokio::spawn(async move {
        browser
            .fetch("/api/ping")
            .attempt()
            .await
            .map(|answer| answer.status)
    });
    gate.waiting(1).await.unwrap();
    world.app.terminate();
    gate.release();
    let status = world.app.ended(Duration::from_secs(6)).await;
    assert!(status.success(), "{status}");
    drop(request.await);

    let app = stage.start(&environment).await;
    world.browser.moved_to(app.address());
    world.browser.fetch("/api/ping").await.assert_status(200);
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
}

pub(crate) async fn a_revocation_that_waits_does_not_keep_it_alive(stage: Stage) {
    for then in [Fault::status(503), Fault::Hang] {
        let mut world = stage.signed_in("alice").await;
        let control = world.provider.control().clone();
        let busy = Fault::Status {
            status: 503,
            retry_after: Some(Duration::from_secs(600)),
        };
        control.fail_next(Endpoint::Revoke, 2, busy);
        control.fail(Endpoint::Revoke, then);
        world.browser.submit("/auth/logout", &[]).await.assert_status(303);
        let start = Instant::now();
        world.app.terminate();
        let status = world.app.ended(Duration::from_secs(6)).await;
        assert!(status.success(), "{status}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let output = world.app.stderr();
        let given_up = output.iter().filter(|line| line.contains("is not tried again"));
        assert_eq!(given_up.count(), 2, "{}", world.app.tail());
        assert_eq!(control.count(Endpoint::Revoke), 3, "one last try");
    }
}

pub(crate) async fn without_settings_the_development_provider_runs_inside(stage: Stage) {
    let environment = stage.bare_environment();
    let app = stage.start(&environment).await;
    let base = format!("http://{}", app.address());
    let browser = stage.browser(&app, &base);
    browser.navigate("/").await.assert_status(200).assert_page();
    let picking = browser
        .follow(browser.navigate("/auth/login?return_to=/profile").await)
        .await;
    picking.assert_status(200).assert_page();
    assert_ne!(picking.url.origin(), browser.base().origin());
    let forms = auth_tests::html::forms(&picking.body);
    let form = forms
        .iter()
        .find(|form| form.buttons.contains(&("user".to_owned(), "alice".to_owned())))
        .expect("a button to sign in as Alice");
    let profile = browser
        .follow(browser.press(&picking, form, &form.press("user", "alice")).await)
        .await;
    profile.assert_status(200);
    assert_eq!(profile.url.path(), "/profile");
    assert!(
        profile.text().contains("alice@example.com"),
        "{}",
        profile.describe()
    );
}
