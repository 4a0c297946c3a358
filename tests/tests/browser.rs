//! Chromium drives both applications, with nothing configured, through sign-in, profile, expiry and sign-out; with script and without.
//!
//! Needs Debian's `chromium` and `chromium-driver`; `./tests/run` installs them. Pictures go to `target/screenshots`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use auth_tests::{App, Carrier, Framework, Stage, wait};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Width and height of the window, in CSS pixels.
const PHONE: (u32, u32) = (390, 844);
const DESK: (u32, u32) = (1280, 900);

/// A chromedriver of our own on a free port, with one browser.
struct Driver {
    web: WebDriver,
    name: String,
    _process: Processes,
}

/// A process and those it started, which end together with this value.
struct Processes(Child);

impl Drop for Processes {
    fn drop(&mut self) {
        if let Some(id) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // An error means that nothing is left to end.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Driver {
    async fn start(name: String, script: bool, (width, height): (u32, u32)) -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver does not start ({error}): apt-get install chromium chromium-driver, or ./tests/run"));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line())
                .await
                .expect("chromedriver says its port");
            let line = line.unwrap().expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            &format!("--window-size={width},{height}"),
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        if !script {
            let setting = json!({"profile.managed_default_content_settings.javascript": 2});
            capabilities.add_experimental_option("prefs", setting).unwrap();
        }
        let web = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities)
            .await
            .unwrap_or_else(|error| panic!("chromium does not start ({error}): apt-get install chromium chromium-driver, or ./tests/run"));
        Self {
            web,
            name,
            _process: Processes(process),
        }
    }

    async fn goto(&self, url: &str) {
        self.web.goto(url).await.unwrap();
    }

    async fn element(&self, css: &str) -> WebElement {
        let query = self
            .web
            .query(By::Css(css))
            .wait(Duration::from_secs(10), Duration::from_millis(50));
        match query.first().await {
            Ok(element) => element,
            Err(_) => panic!("no {css} at {}: {}", self.url().await, self.text().await),
        }
    }

    async fn click(&self, css: &str) {
        self.element(css).await.click().await.unwrap();
    }

    async fn url(&self) -> url::Url {
        self.web.current_url().await.unwrap()
    }

    async fn text(&self) -> String {
        self.web
            .find(By::Tag("body"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// Waits until the page at this path shows this text.
    async fn shows(&self, path: &str, text: &str) {
        wait::until(
            &format!("{path} with {text:?}"),
            Duration::from_secs(10),
            || async { self.url().await.path() == path && self.text().await.contains(text) },
        )
        .await;
    }

    async fn picture(&self, what: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap()
            .join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        self.web
            .screenshot(&folder.join(format!("{}-{what}.png", self.name)))
            .await
            .unwrap();
    }

    /// The session document, read as a page.
    async fn session(&self, base: &str) -> Value {
        self.goto(&format!("{base}/auth/session")).await;
        let source = self.element("body").await.text().await.unwrap();
        let json = source
            .find('{')
            .map_or("", |start| &source[start..=source.rfind('}').unwrap()]);
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {source}"))
    }
}

async fn visit(stage: Stage, script: bool, window: (u32, u32)) {
    let app: App = stage
        .start(&stage.bare_environment().set("RUST_LOG", "info"))
        .await;
    let base = format!("http://{}", app.address());
    let name = format!(
        "{}{}",
        app.framework.package(),
        if script { "" } else { "-without-script" }
    );
    let driver = Driver::start(name, script, window).await;

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

    driver.goto(&base).await;
    driver.shows("/", "alice@example.com").await;
    driver.picture("6-home-signed-in").await;
    driver.click("form[action='/auth/logout'] button").await;
    wait::until("back at the home page", Duration::from_secs(10), || async {
        driver.url().await.as_str() == format!("{base}/")
    })
    .await;
    driver.picture("7-signed-out").await;
    assert_eq!(driver.session(&base).await, json!({"authenticated": false}));

    // A protected page asks to sign in, and the provider asks who it is.
    driver.goto(&format!("{base}/profile")).await;
    driver.element("button[name=user][value=alice]").await;
    assert_eq!(driver.url().await.origin().ascii_serialization(), provider);
    driver.web.clone().quit().await.unwrap();
}

async fn run(framework: Framework, script: bool, window: (u32, u32)) {
    Stage::run(framework, Carrier::Cookie, |stage| visit(stage, script, window)).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_with_script() {
    run(Framework::Axum, true, DESK).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_without_script_on_a_phone() {
    run(Framework::Axum, false, PHONE).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_with_script() {
    run(Framework::Actix, true, DESK).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_without_script_on_a_phone() {
    run(Framework::Actix, false, PHONE).await;
}
