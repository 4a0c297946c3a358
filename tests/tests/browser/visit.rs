//! A visit from the first page to the last: sign-in, profile, expiry and sign-out.

use std::time::Duration;

use auth_tests::{App, Carrier, Framework, Stage, wait};
use serde_json::json;

use crate::driver::{DESK, Driver, PHONE, Settings};

async fn visit(stage: Stage, settings: Settings, window: (u32, u32)) {
    let app: App = stage
        .start(&stage.bare_environment().set("RUST_LOG", "info"))
        .await;
    let base = format!("http://{}", app.address());
    let name = format!(
        "{}{}",
        app.framework.package(),
        if settings == Settings::WithoutScript {
            "-without-script"
        } else {
            ""
        }
    );
    let driver = Driver::start(name, settings, window).await;

    // The page a newcomer sees, and from it to the provider.
    driver.goto(&base).await;
    driver.picture("1-home").await;
    driver.click("a[href^='/auth/login']").await;
    driver.element("button[name=user][value=alice]").await;
    let provider = driver.url().await.origin().ascii_serialization();
    assert_ne!(provider, base);
    driver.picture("2-provider").await;

    // Tokens shall die while we watch.
    driver.goto(&provider).await;
    driver.picture("3-control").await;
    driver.click("button[name=lifetime][value='10']").await;
    driver.shows("/", "Right now 10 seconds").await;

    driver
        .goto(&format!("{base}/auth/login?return_to=/profile"))
        .await;
    driver.click("button[name=user][value=alice]").await;
    driver.shows("/profile", "alice@example.com").await;
    driver.picture("4-profile").await;

    let first = driver.session(&base).await["access_token_expires_at"]
        .as_u64()
        .expect("a deadline");
    wait::until("the access token is dead", Duration::from_secs(20), || async {
        auth_tests::jar::unix_now() > first + 1
    })
    .await;
    driver.goto(&format!("{base}/profile")).await;
    driver.shows("/profile", "alice@example.com").await;
    driver.picture("5-profile-after-expiry").await;
    let second = driver.session(&base).await["access_token_expires_at"]
        .as_u64()
        .expect("a deadline");
    assert!(second > first, "the token was not refreshed");

    // The other pages.
    for (path, words, picture) in [
        ("/dashboard", "Your organizations", "dashboard"),
        ("/auth/errors/login.state_missing", "login.state_missing", "error"),
    ] {
        driver.goto(&format!("{base}{path}")).await;
        driver.shows(path, words).await;
        driver.assert_fits().await;
        driver.picture(picture).await;
    }

    driver.goto(&base).await;
    driver.shows("/", "alice@example.com").await;
    driver.assert_fits().await;
    driver.picture("6-home-signed-in").await;
    driver.sign_out().await;
    driver
        .until("the home page", || async {
            driver.url().await.as_str() == format!("{base}/")
        })
        .await;
    driver.picture("7-signed-out").await;
    assert_eq!(driver.session(&base).await, json!({"authenticated": false}));

    // A protected page asks to sign in, and the provider asks who it is.
    driver.goto(&format!("{base}/profile")).await;
    driver.element("button[name=user][value=alice]").await;
    assert_eq!(driver.url().await.origin().ascii_serialization(), provider);
    driver.quit().await;
}

async fn run(framework: Framework, settings: Settings, window: (u32, u32)) {
    Stage::run(framework, Carrier::Cookie, |stage| visit(stage, settings, window)).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_with_script() {
    run(Framework::Axum, Settings::Usual, DESK).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_without_script_on_a_phone() {
    run(Framework::Axum, Settings::WithoutScript, PHONE).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_with_script() {
    run(Framework::Actix, Settings::Usual, DESK).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_without_script_on_a_phone() {
    run(Framework::Actix, Settings::WithoutScript, PHONE).await;
}
