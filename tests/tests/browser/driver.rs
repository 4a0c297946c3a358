//! A Chromium of our own, driven over WebDriver.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::error::WebDriverErrorInner;
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Width and height of the window, in CSS pixels.
pub(crate) const PHONE: (u32, u32) = (390, 844);
pub(crate) const DESK: (u32, u32) = (1280, 900);

/// Narrower windows than this Chromium has on telephones only.
const NARROWEST_WINDOW: u32 = 500;

/// How long anything may take. A test that passes waits for none of it; a machine with much else to do needs it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often the browser is started, in all.
const STARTS: usize = 3;

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

impl Drop for Driver {
    fn drop(&mut self) {
        // Where a test fails, the browser ends with its process. Asked to end, it may let the test wait for minutes. An error means that it
        // has ended already.
        let _ = self.web.clone().leak();
    }
}

/// A process and those it started, which end together with this value.
struct Processes {
    child: Child,
    // Open as long as it lives: who writes to a pipe that nobody reads is ended.
    stdout: Lines<BufReader<ChildStdout>>,
    // Removed after the processes are gone.
    _folder: TempDir,
}

impl Drop for Processes {
    fn drop(&mut self) {
        if let Some(id) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // An error means that nothing is left to end.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Driver {
    /// A browser that is ready. One that does not come up is given up for a new one, a few times.
    pub(crate) async fn start(name: String, settings: Settings, window: (u32, u32)) -> Self {
        let mut failures = Vec::new();
        while failures.len() < STARTS {
            match launch(settings, window).await {
                Ok((web, process)) => {
                    return Self {
                        web,
                        name,
                        _process: process,
                    };
                }
                Err(failure) => {
                    eprintln!("chromium does not start: {failure}");
                    failures.push(failure);
                }
            }
        }
        panic!(
            "chromium does not start ({failures:?}): apt-get install chromium chromium-driver, or ./tests/run"
        )
    }

    /// Asks again while there is no answer: a page that goes while the next one comes has none.
    async fn steady<T, F: Future<Output = WebDriverResult<T>>>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> F,
    ) -> T {
        let start = Instant::now();
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{what}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for a condition; where it does not come true, says what the page shows instead.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, mut condition: impl FnMut() -> F) {
        let start = Instant::now();
        while !condition().await {
            if start.elapsed() >= PATIENCE {
                panic!("still waiting for {what} {}", self.here().await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Opens an address, and waits until the page is there.
    pub(crate) async fn goto(&self, url: &str) {
        self.steady(url, || self.web.goto(url)).await;
    }

    /// Goes back in the history, and waits until the page left is gone and the other one is there. Needs scripts.
    pub(crate) async fn back(&self) {
        self.leave(|| self.web.back()).await;
    }

    /// Loads the page anew, and waits until it is there. Needs scripts.
    pub(crate) async fn refresh(&self) {
        self.leave(|| self.web.refresh()).await;
    }

    /// The browser may well say that it has gone before the page changes: so the page that is left carries a mark.
    async fn leave<F: Future<Output = WebDriverResult<()>>>(&self, go: impl FnOnce() -> F) {
        self.steady("mark the page", || self.web.execute("window.left = true", vec![]))
            .await;
        go().await.unwrap();
        self.until("the next page", || {
            self.holds("!window.left && document.readyState === 'complete'")
        })
        .await;
    }

    /// Whether a page has such an element, once it is there as a whole. Needs scripts.
    pub(crate) async fn has(&self, css: &str) -> bool {
        self.until("the whole page", || {
            self.holds("document.readyState === 'complete'")
        })
        .await;
        self.holds(&format!("document.querySelector({}) !== null", json!(css)))
            .await
    }

    /// Whether a script finds that this is so; not so while there is no page to look at.
    pub(crate) async fn holds(&self, condition: &str) -> bool {
        let answer = self.web.execute(format!("return {condition}"), vec![]).await;
        answer.is_ok_and(|answer| answer.json() == true)
    }

    /// The first of these elements, when it is there.
    pub(crate) async fn element(&self, css: &str) -> WebElement {
        let start = Instant::now();
        loop {
            match self.web.find(By::Css(css)).await {
                Ok(element) => return element,
                Err(error) if start.elapsed() >= PATIENCE => {
                    panic!("no {css} {}\n{error}", self.here().await)
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Clicks on what is there, or comes. An element that its page has replaced, or that does not take the click yet, is
    /// looked for again.
    pub(crate) async fn click(&self, css: &str) {
        let start = Instant::now();
        let mut may_have_clicked = false;
        loop {
            let found = self.web.find(By::Css(css)).await;
            let error = match found {
                Ok(element) => match element.click().await {
                    Ok(()) => return,
                    Err(error) => {
                        may_have_clicked |= !is_before_the_click(&error);
                        error
                    }
                },
                // The click led on, and its answer was lost with the page.
                Err(error) if may_have_clicked && is_missing(&error) => return,
                Err(error) => error,
            };
            if start.elapsed() >= PATIENCE {
                panic!("no click on {css} {}\n{error}", self.here().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses the button that signs out, and waits for a page that offers to sign in.
    pub(crate) async fn sign_out(&self) {
        self.click("form[action='/auth/logout'] button").await;
        self.element("main a[href^='/auth/login']").await;
    }

    pub(crate) async fn url(&self) -> url::Url {
        self.steady("the address", || self.web.current_url()).await
    }

    /// Where the browser is and what it shows there, for a test that fails.
    async fn here(&self) -> String {
        let url = self.web.current_url().await;
        format!("at {url:?}: {}", self.text().await)
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
        self.until(&format!("{path} with {text:?}"), || async {
            self.url().await.path() == path && self.text().await.contains(text)
        })
        .await;
    }

    /// Opens another tab and goes there. The handle is that of the tab left.
    pub(crate) async fn new_tab(&self) -> WindowHandle {
        let first = self.window().await;
        let tab = self.steady("a new tab", || self.web.new_tab()).await;
        self.switch_to(&tab).await;
        first
    }

    /// Closes this tab and goes to another.
    pub(crate) async fn close_tab(&self, next: &WindowHandle) {
        self.web.close_window().await.unwrap();
        self.switch_to(next).await;
    }

    pub(crate) async fn window(&self) -> WindowHandle {
        self.steady("this tab", || self.web.window()).await
    }

    pub(crate) async fn switch_to(&self, tab: &WindowHandle) {
        self.steady("another tab", || self.web.switch_to_window(tab.clone()))
            .await;
    }

    /// The cookies of the host that is open.
    pub(crate) async fn cookies(&self) -> Vec<Cookie> {
        self.steady("the cookies", || self.web.get_all_cookies()).await
    }

    /// Nothing of the page lies beside the window.
    pub(crate) async fn assert_fits(&self) {
        assert!(
            self.holds("document.documentElement.scrollWidth <= innerWidth")
                .await,
            "wider than the window, {}",
            self.here().await
        );
    }

    /// A picture of the whole page as it looks by day, and one as it looks by night.
    pub(crate) async fn picture(&self, what: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap()
            .join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        for (scheme, suffix) in [("dark", "-dark"), ("light", "")] {
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            self.cdp("Emulation.setEmulatedMedia", media).await;
            let picture = self
                .cdp("Page.captureScreenshot", json!({"captureBeyondViewport": true}))
                .await;
            let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
            std::fs::write(folder.join(format!("{}-{what}{suffix}.png", self.name)), bytes).unwrap();
        }
    }

    /// A command of the DevTools protocol.
    pub(crate) async fn cdp(&self, command: &str, parameters: Value) -> Value {
        let tools = self.web.cdp();
        self.steady(command, || tools.send_raw(command, parameters.clone()))
            .await
    }

    /// The session document, read as a page.
    pub(crate) async fn session(&self, base: &str) -> Value {
        self.goto(&format!("{base}/auth/session")).await;
        let start = Instant::now();
        loop {
            let text = self.text().await;
            // Around it may stand what the browser offers to do with it.
            let json = text.find('{').zip(text.rfind('}'));
            let json = json.and_then(|(from, to)| text.get(from..=to));
            match serde_json::from_str(json.unwrap_or_default()) {
                Ok(session) => return session,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error} in {text}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn quit(self) {
        self.web.clone().quit().await.unwrap();
    }
}

/// Whether an element was not clicked for certain: it was no longer there, covered, or not yet laid out.
fn is_before_the_click(error: &WebDriverError) -> bool {
    matches!(
        error.as_inner(),
        WebDriverErrorInner::StaleElementReference(_)
            | WebDriverErrorInner::ElementClickIntercepted(_)
            | WebDriverErrorInner::ElementNotInteractable(_)
    )
}

fn is_missing(error: &WebDriverError) -> bool {
    matches!(error.as_inner(), WebDriverErrorInner::NoSuchElement(_))
}

/// Starts chromedriver on a free port, and lets it start a browser.
async fn launch(settings: Settings, (width, height): (u32, u32)) -> Result<(WebDriver, Processes), String> {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("chromedriver")
        .arg("--port=0")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("chromedriver does not start ({error}): apt-get install chromium chromium-driver, or ./tests/run"));
    let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut process = Processes {
        child,
        stdout,
        _folder: folder,
    };
    let port = tokio::time::timeout(PATIENCE, port(&mut process.stdout))
        .await
        .map_err(|_| "chromedriver does not say its port".to_owned())?
        .ok_or("chromedriver ends before it says its port")?;
    let web = WebDriver::new(
        format!("http://127.0.0.1:{port}"),
        capabilities(settings, (width, height)),
    )
    .await
    .map_err(|error| error.to_string())?;
    web.set_page_load_timeout(PATIENCE)
        .await
        .map_err(|error| error.to_string())?;
    Ok((web, process))
}

async fn port(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return Some(port.trim_end_matches('.').to_owned());
        }
    }
    None
}

fn capabilities(settings: Settings, (width, height): (u32, u32)) -> thirtyfour::ChromeCapabilities {
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
    if width < NARROWEST_WINDOW {
        let metrics =
            json!({"width": width, "height": height, "pixelRatio": 1, "mobile": true, "touch": false});
        capabilities
            .add_experimental_option("mobileEmulation", json!({"deviceMetrics": metrics}))
            .unwrap();
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
    capabilities
}
