//! A Chromium of our own, driven over WebDriver.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use auth_tests::wait;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Width and height of the window, in CSS pixels.
pub(crate) const PHONE: (u32, u32) = (390, 844);
pub(crate) const DESK: (u32, u32) = (1280, 900);

/// What the user has set in the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settings {
    Usual,
    WithoutScript,
    WithoutCookies,
}

/// A chromedriver of our own on a free port, with one browser.
pub(crate) struct Driver {
    pub(crate) web: WebDriver,
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
    pub(crate) async fn start(name: String, settings: Settings, (width, height): (u32, u32)) -> Self {
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
        let blocked = match settings {
            Settings::Usual => None,
            Settings::WithoutScript => Some("javascript"),
            Settings::WithoutCookies => Some("cookies"),
        };
        if let Some(what) = blocked {
            let setting = json!({format!("profile.managed_default_content_settings.{what}"): 2});
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

    pub(crate) async fn goto(&self, url: &str) {
        self.web.goto(url).await.unwrap();
    }

    pub(crate) async fn element(&self, css: &str) -> WebElement {
        let query = self
            .web
            .query(By::Css(css))
            .wait(Duration::from_secs(10), Duration::from_millis(50));
        match query.first().await {
            Ok(element) => element,
            Err(_) => panic!("no {css} at {}: {}", self.url().await, self.text().await),
        }
    }

    pub(crate) async fn click(&self, css: &str) {
        self.element(css).await.click().await.unwrap();
    }

    /// Presses the button that signs out, and waits for a page that offers to sign in.
    pub(crate) async fn sign_out(&self) {
        self.click("form[action='/auth/logout'] button").await;
        self.element("main a[href^='/auth/login']").await;
    }

    pub(crate) async fn url(&self) -> url::Url {
        self.web.current_url().await.unwrap()
    }

    /// What the page shows; nothing while one page goes and the next comes.
    pub(crate) async fn text(&self) -> String {
        match self.web.find(By::Tag("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the page at this path shows this text.
    pub(crate) async fn shows(&self, path: &str, text: &str) {
        wait::until(
            &format!("{path} with {text:?}"),
            Duration::from_secs(10),
            || async { self.url().await.path() == path && self.text().await.contains(text) },
        )
        .await;
    }

    pub(crate) async fn picture(&self, what: &str) {
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
    pub(crate) async fn session(&self, base: &str) -> Value {
        self.goto(&format!("{base}/auth/session")).await;
        let source = self.element("body").await.text().await.unwrap();
        let json = source
            .find('{')
            .map_or("", |start| &source[start..=source.rfind('}').unwrap()]);
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {source}"))
    }
}
