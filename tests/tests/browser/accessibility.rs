//! Every page can be used by people who see little, hear it read out, or have a keyboard only: axe-core finds no violation of WCAG 2.2, levels A
//! and AA, light and dark; the Tab key reaches everything that can be used, and shows where it is; and buttons are as large as the style
//! sheets promise.
//!
//! Needs axe-core from the packages of `tests/interop`, besides Chromium; `./tests/run` sees to both.

use std::path::Path;

use auth_tests::{App, Carrier, Framework, Stage};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::driver::{DESK, Driver, PHONE, Settings};

const ALICE: &str = "button[name=user][value=alice]";

/// What axe-core finds: the rule, and where.
const FIND: &str = "const [done] = arguments;
    axe.run(document, {
        runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] },
        // 2.5.8, which axe leaves out unless it is asked for.
        rules: { 'target-size': { enabled: true } },
        preload: false,
    }).then(found => done(found.violations.flatMap(rule =>
        rule.nodes.map(node => `${rule.id}: ${node.target.join(' ')} (${node.failureSummary})`))), error => done([String(error)]))";

/// Everything that the Tab key is to reach.
const REACHABLE: &str = "return [...document.querySelectorAll('a[href], button, input, select, textarea, [tabindex]')]
    .filter(element => element.type !== 'hidden' && element.tabIndex >= 0 && element.checkVisibility({ visibilityProperty: true }))
    .map(element => [...document.querySelectorAll('*')].indexOf(element))";

/// Where the focus is: its number among all elements, what it is, and what is wrong with how it looks.
const FOCUSED: &str = "const element = document.activeElement;
    if (!element || element === document.body || element === document.documentElement) return null;
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
    const faults = [];
    if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2 || /, 0\\)$/.test(outlineColor)) faults.push('no visible focus');
    const box = element.getBoundingClientRect();
    if (box.right <= 0 || box.bottom <= 0 || box.left >= innerWidth || box.top >= innerHeight) faults.push('out of sight');
    return [[...document.querySelectorAll('*')].indexOf(element), element.outerHTML.slice(0, 120), faults]";

/// Buttons, links that look like buttons, and fields that are smaller than 44 px, as the style sheets promise; the rest of WCAG 2.2, 2.5.8 is
/// a rule of axe.
const SMALL: &str =
    "return [...document.querySelectorAll('button, .button, textarea, input:not([type=hidden])')]
    .filter(element => element.checkVisibility({ visibilityProperty: true }))
    .map(element => [element, element.getBoundingClientRect()])
    .filter(([, box]) => Math.min(box.width, box.height) < 44)
    .map(([element, box]) => `${element.outerHTML.slice(0, 120)} is ${box.width} by ${box.height}`)";

/// Looks at pages, and remembers what is wrong with them.
pub(crate) struct Examiner<'a> {
    driver: &'a Driver,
    axe: String,
    looked_at: usize,
    faults: Vec<String>,
}

impl<'a> Examiner<'a> {
    /// For the pages that are opened from now on.
    pub(crate) async fn new(driver: &'a Driver) -> Self {
        let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe)
            .expect("axe-core is missing: run `npm ci` in tests/interop, or ./tests/run");
        // The pages' policies would stop axe as they stop any script.
        driver.cdp("Page.setBypassCSP", json!({"enabled": true})).await;
        Self {
            driver,
            axe,
            looked_at: 0,
            faults: Vec::new(),
        }
    }

    pub(crate) async fn open(&mut self, url: &str) {
        self.driver.goto(url).await;
        self.look(url).await;
    }

    /// Looks at the page that is open.
    pub(crate) async fn look(&mut self, what: &str) {
        let axe = format!("{} return true", self.axe);
        self.driver.web.execute(axe, vec![]).await.unwrap();
        for scheme in ["dark", "light"] {
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            self.driver.cdp("Emulation.setEmulatedMedia", media).await;
            let found = self.driver.web.execute_async(FIND, vec![]).await.unwrap();
            self.note(&format!("{what}, {scheme}"), found.json());
        }
        let small = self.script(SMALL).await;
        self.note(what, &small);
        self.step_through(what).await;
        self.looked_at += 1;
    }

    /// From the first thing that can be used to the last, by the Tab key.
    async fn step_through(&mut self, what: &str) {
        let reachable = self.script(REACHABLE).await;
        let reachable: Vec<u64> = serde_json::from_value(reachable).unwrap();
        let mut reached = Vec::new();
        // From the start of the page, wherever it has put the focus.
        self.script("document.activeElement?.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
            .await;
        for _ in 0..=reachable.len() {
            for kind in ["rawKeyDown", "keyUp"] {
                let key = json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
                self.driver.cdp("Input.dispatchKeyEvent", key).await;
            }
            let focused = self.script(FOCUSED).await;
            let Some(number) = focused[0].as_u64() else {
                break;
            };
            if reached.contains(&number) {
                break;
            }
            reached.push(number);
            for fault in focused[2].as_array().unwrap() {
                self.faults.push(format!("{what}: {fault}: {}", focused[1]));
            }
        }
        if reached != reachable {
            self.faults.push(format!(
                "{what}: the Tab key reaches {reached:?}, and should reach {reachable:?}"
            ));
        }
    }

    async fn script(&self, code: &str) -> Value {
        let answer = self.driver.web.execute(code, vec![]).await;
        answer.unwrap().json().clone()
    }

    fn note(&mut self, what: &str, found: &Value) {
        for fault in found.as_array().unwrap() {
            self.faults.push(format!("{what}: {}", fault.as_str().unwrap()));
        }
    }

    pub(crate) fn assert_good(self, pages: usize) {
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
        assert_eq!(self.looked_at, pages, "a page was left out");
    }
}

fn base_of(app: &App) -> String {
    format!("http://{}", app.address())
}

/// Whose turn it is, and a code of that kind with settings or steps for those who run the application.
const EXPLAINED: [&str; 5] = [
    "login.attempt_expired",
    "access.role_missing",
    "provider.issuer_mismatch",
    "refresh.client_refused",
    "store.unavailable",
];

async fn pages_of_the_library(stage: Stage, window: (u32, u32)) {
    // Nobody asks these providers anything.
    let several = stage
        .bare_environment()
        .set("AUTH_PROVIDERS", "staff,the-shop")
        .set("AUTH_STAFF_ISSUER", "https://staff.example")
        .set("AUTH_STAFF_CLIENT_ID", "app")
        .set("AUTH_STAFF_LABEL", "Staff & friends")
        .set("AUTH_THE_SHOP_ISSUER", "https://shop.example")
        .set("AUTH_THE_SHOP_CLIENT_ID", "app");
    let app = stage.start(&several).await;
    let base = base_of(&app);
    let name = format!("{}-examined", app.framework.package());
    let driver = Driver::start(name, Settings::Usual, window).await;
    let mut examiner = Examiner::new(&driver).await;
    examiner
        .open(&format!("{base}/auth/login?return_to=/profile"))
        .await;
    assert!(driver.text().await.contains("Staff & friends"));

    // The failures of users, of developers (with settings), and one without a button.
    for (path, code) in [
        ("/auth/callback/staff", "login.state_missing"),
        ("/auth/login?provider=nobody", "provider.unknown"),
        (
            "/auth/login?iss=https://elsewhere.example",
            "login.unknown_issuer",
        ),
        ("/auth/frontchannel-logout", "request.frontchannel_logout"),
        ("/auth/errors/no.such.code", "request.unknown_code"),
    ] {
        examiner.open(&format!("{base}{path}")).await;
        let shown = driver.text().await;
        assert!(shown.contains(code), "{path}: {shown}");
    }
    for code in EXPLAINED {
        examiner.open(&format!("{base}/auth/errors/{code}")).await;
        let shown = driver.text().await;
        assert!(
            shown.contains("The operator") || shown.contains("What whoever sees this can do"),
            "{code}: {shown}"
        );
    }
    examiner.open(&format!("{base}/auth/errors/")).await;
    examiner.assert_good(7 + EXPLAINED.len());
    driver.quit().await;
}

async fn pages_of_the_example_and_its_provider(stage: Stage, window: (u32, u32)) {
    let app = stage
        .start(&stage.bare_environment().set("RUST_LOG", "info"))
        .await;
    let base = base_of(&app);
    let name = format!("{}-examined", app.framework.package());
    let driver = Driver::start(name, Settings::Usual, window).await;
    let mut examiner = Examiner::new(&driver).await;
    examiner.open(&base).await;

    // The provider: who signs in and what is asked for, its console, its refusal.
    let login = format!("{base}/auth/login?return_to=/profile");
    driver.goto(&login).await;
    driver.element(ALICE).await;
    examiner.look("the provider's sign-in").await;
    let provider = driver.url().await.origin().ascii_serialization();
    for path in ["/", "/authorize"] {
        examiner.open(&format!("{provider}{path}")).await;
    }

    // What an administrator has to mend.
    driver
        .goto(&format!("{base}/auth/login?return_to=/api/admin"))
        .await;
    driver.click("button[name=user][value=bob]").await;
    driver.shows("/api/admin", "access.role_missing").await;
    examiner.look("a role that is missing").await;
    driver.web.delete_all_cookies().await.unwrap();

    // Two sessions, so that one can be ended from the other.
    driver.goto(&login).await;
    driver.click(ALICE).await;
    driver.shows("/profile", "alice@example.com").await;
    driver.web.delete_all_cookies().await.unwrap();
    driver.goto(&login).await;
    // The provider may still know who it is.
    driver
        .until("the profile", || async {
            if let Ok(user) = driver.web.find(By::Css(ALICE)).await {
                // It may have gone by now.
                let _ = user.click().await;
            }
            driver.url().await.path() == "/profile"
        })
        .await;
    examiner.look("/profile").await;
    examiner.open(&base).await;
    examiner.open(&format!("{base}/dashboard")).await;
    examiner.open(&format!("{base}/sessions")).await;
    assert!(driver.has("button[value=others]").await);

    examiner.open(&format!("{provider}/end-session")).await;
    driver.click("button[name=confirmed]").await;
    driver.shows("/end-session", "has ended").await;
    examiner.look("the provider's sign-out").await;

    // What the provider has to mend.
    driver.goto(&provider).await;
    driver.click("button[name=do][value=down]").await;
    driver.shows("/", "out of order").await;
    examiner.look("the provider out of order").await;
    driver.goto(&format!("{base}/auth/login")).await;
    driver
        .until("the answer of the provider that is down", || async {
            if let Ok(user) = driver.web.find(By::Css(ALICE)).await {
                // It may have gone by now.
                let _ = user.click().await;
            }
            driver.url().await.path() == "/auth/callback"
        })
        .await;
    examiner.look("a failure of the provider").await;
    examiner.assert_good(13);
    driver.quit().await;
}

async fn run<F: Future<Output = ()>>(
    framework: Framework,
    window: (u32, u32),
    pages: fn(Stage, (u32, u32)) -> F,
) {
    Stage::run(framework, Carrier::Cookie, |stage| pages(stage, window)).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_pages_of_the_library_are_accessible() {
    run(Framework::Axum, DESK, pages_of_the_library).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_pages_of_the_library_are_accessible() {
    run(Framework::Actix, PHONE, pages_of_the_library).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_pages_of_the_example_are_accessible() {
    run(Framework::Axum, PHONE, pages_of_the_example_and_its_provider).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_pages_of_the_example_are_accessible() {
    run(Framework::Actix, DESK, pages_of_the_example_and_its_provider).await;
}

/// A page on which everything is wrong that is looked for.
const BAD: &str = "<!doctype html><html><head><meta name=viewport content='width=device-width'><title>Bad</title>
    <style>p{color:%23bbb;background:%23fff}button{outline:none;width:90px;height:30px;padding:0}
    .away{position:absolute;left:-100rem}.tiny{display:inline-block;width:10px;height:10px;margin:0;padding:0}</style></head>
    <body><main><h1>Bad</h1><p>Pale</p><button>Go</button><input><a class=away href=%23x>Away</a>
    <ul><li><a class=tiny href=%23y>.</a><a class=tiny href=%23z>.</a></ul>
    <button onkeydown='if(event.key===\"Tab\")event.preventDefault()'>Trap</button><a href=%23w>Behind</a></main></body></html>";

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn what_is_not_accessible_is_found() {
    let driver = Driver::start("examined-bad".to_owned(), Settings::Usual, DESK).await;
    let mut examiner = Examiner::new(&driver).await;
    examiner.open(&format!("data:text/html,{BAD}")).await;
    let faults = examiner.faults.join("\n");
    for fault in [
        "html-has-lang",
        "color-contrast",
        "label: input",
        "target-size",
        "no visible focus",
        "out of sight",
        "is 90 by 30",
        "the Tab key reaches",
    ] {
        assert!(faults.contains(fault), "{fault} is not found: {faults}");
    }
    driver.quit().await;
}
