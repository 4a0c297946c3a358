//! `cargo run -p guides --bin provider`: the settings that it prints are those that the programs need.

use std::time::Duration;

use auth_tests::app::guide_program;
use auth_tests::stage::{BASE, Environment};
use auth_tests::{Browser, Stage, html};

pub(crate) async fn the_settings_that_are_printed_are_enough(stage: Stage) {
    for guide in 0..6 {
        let mut provider = tokio::process::Command::new(guide_program("provider"))
            .args((guide == 4).then_some("4"))
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let settings = printed(provider.stdout.take().unwrap(), guide).await;
        let settings = settings.set("APP_ADDR", "127.0.0.1:0");
        let app = stage.start_program(stage.framework.guide(guide), &settings).await;
        let browser = stage.browser(&app, BASE);
        sign_in(&browser).await;
        let page = [
            "/users",
            "/server-profile",
            "/dashboard",
            "/report",
            "/appointments",
            "/orders",
        ];
        let page = browser.navigate(page[usize::from(guide)]).await;
        page.assert_status(200);
    }
}

pub(crate) async fn a_setting_that_is_missing_is_named(stage: Stage) {
    let provider = stage.provider().start().await.unwrap();
    for (guide, missing) in [
        (0, "AUTH_BASE_URL"),
        (1, "AUTH_CLIENT_ID"),
        (2, "ME_ENDPOINT"),
        (3, "API2_URL"),
        (4, "TOKEN_ISSUER"),
        (5, "PARTNER_API_URL"),
    ] {
        let settings = stage
            .environment(&provider)
            .unset(missing)
            .unset("AUTH_CLIENT_SECRET");
        let program = stage.framework.guide(guide);
        let mut app = stage.spawn_program(stage.framework, program, &settings);
        assert!(!app.ended(Duration::from_secs(30)).await.success());
        let said = app.stderr().join("\n");
        assert!(said.contains(missing), "guide {guide} without {missing}: {said}");
    }
}

/// The lines of a shell, up to the last one.
async fn printed(stdout: tokio::process::ChildStdout, guide: u8) -> Environment {
    use tokio::io::AsyncBufReadExt as _;
    let last = if guide == 4 {
        "TOKEN_AUDIENCE"
    } else {
        "PARTNER_AUDIENCE"
    };
    let mut lines = tokio::io::BufReader::new(stdout).lines();
    let mut environment = Environment::default();
    while let Some(line) = lines.next_line().await.unwrap() {
        let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
        environment = environment.set(name, value.trim_matches('\''));
        if name == last {
            return environment;
        }
    }
    panic!("the provider ended");
}

/// As a person does, with the provider's own page.
async fn sign_in(browser: &Browser) {
    let page = browser.follow(browser.navigate("/auth/login").await).await;
    let form = html::forms(&page.body);
    let form = form.iter().find(|form| !form.buttons.is_empty()).unwrap();
    let (name, value) = form.buttons.iter().find(|(_, value)| value == "alice").unwrap();
    let answer = browser.press(&page, form, &form.press(name, value)).await;
    let landing = browser.follow(answer).await;
    landing.assert_status(200);
    assert!(browser.is_signed_in().await);
}
