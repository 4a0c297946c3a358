//! The single-page app in a real browser, on both servers: deep links, calls through the proxy, no token in the browser, the end of a session,
//! a provider that is down.

use std::time::Duration;

use auth_testing::{Client, Control, DevProvider, Endpoint, User};
use auth_tests::leaks::{Kind, Searcher};
use auth_tests::stage::{CLIENT_ID, CLIENT_SECRET};
use auth_tests::{App, Carrier, Framework, Stage};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio::net::TcpListener;

use crate::driver::{DESK, Driver, PHONE, Settings};
use crate::guides::lead;

const ALICE: &str = "button[name=user][value=alice]";
const MALLORY: &str = "button[name=user][value=mallory]";
const MARKUP: &str = "<img src=/x onerror='document.title=1'><b>Mallory</b>";

/// Before any script of a page: what the policy stops, and errors nobody caught.
const WATCH: &str = "window.troubles = [];
    addEventListener('securitypolicyviolation', event => troubles.push(`${event.violatedDirective} ${event.blockedURI}`));
    addEventListener('error', event => troubles.push(String(event.message)), true);
    addEventListener('unhandledrejection', event => troubles.push(String(event.reason)));";

struct Scene {
    base: String,
    driver: Driver,
    provider: DevProvider,
    _app: App,
}

impl Scene {
    async fn open(stage: &Stage, what: &str, window: (u32, u32)) -> Self {
        // The application has to know its address before it listens, so this port is another one's, which leads to it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::confidential(CLIENT_ID, CLIENT_SECRET);
        let provider = stage
            .provider_for(client, &base)
            .user(
                User::new("mallory")
                    .claim("name", MARKUP)
                    .claim("given_name", MARKUP),
            )
            .start()
            .await
            .unwrap();
        stage.watch(&provider);
        let settings = stage.environment(&provider).set("AUTH_BASE_URL", &base);
        let app = stage
            .start_program(stage.framework.browser_app(), &settings)
            .await;
        tokio::spawn(lead(listener, app.address()));
        let name = format!("browser-app-{}-{what}", app.framework.package());
        let driver = Driver::start(name, Settings::Usual, window).await;
        driver
            .cdp(
                "Page.addScriptToEvaluateOnNewDocument",
                json!({ "source": WATCH }),
            )
            .await;
        Self {
            base,
            driver,
            provider,
            _app: app,
        }
    }

    fn control(&self) -> &Control {
        self.provider.control()
    }

    async fn goto(&self, path: &str) {
        self.driver.goto(&format!("{}{path}", self.base)).await;
    }

    /// Opens the page at this path with the link that it shows to whoever is not signed in.
    async fn sign_in(&self, path: &str, user: &str) {
        self.goto(path).await;
        self.driver.shows(path, "Please sign in.").await;
        self.driver.click("main a[href^='/auth/login']").await;
        self.driver.click(user).await;
    }

    /// What a script answers on this page.
    async fn script(&self, code: &str) -> Value {
        let code = format!(
            "const [done] = arguments; (async () => {{ {code} }})().then(done, error => done(String(error)))"
        );
        let answer = self.driver.web.execute_async(code, vec![]).await;
        answer.unwrap().json().clone()
    }

    async fn assert_no_trouble(&self) {
        assert_eq!(self.script("return troubles").await, json!([]));
    }
}

async fn signs_in_from_a_deep_link_and_holds_no_token(stage: Stage) {
    let scene = Scene::open(&stage, "desk", DESK).await;
    let driver = &scene.driver;
    scene.goto("/organizations").await;
    driver.shows("/organizations", "Please sign in.").await;
    driver.picture("1-signed-out").await;
    scene.assert_no_trouble().await;
    scene.sign_in("/organizations", ALICE).await;
    driver.shows("/organizations", "Example Engineering").await;
    driver.refresh().await;
    driver.shows("/organizations", "Example Engineering").await;
    driver.click("nav a[href='/']").await;
    driver.shows("/", "Signed in until").await;
    driver.picture("2-overview").await;
    driver.click("nav a[href='/profile']").await;
    driver.shows("/profile", "alice@example.com").await;
    assert!(driver.holds("document.activeElement.localName === 'h1'").await);
    driver.picture("3-profile").await;

    // All that a script of this page can get hold of.
    let seen = scene
        .script(
            "const texts = [document.documentElement.outerHTML, location.href, document.cookie,
                 JSON.stringify(localStorage), JSON.stringify(sessionStorage), JSON.stringify(history.state)];
             for (const { name } of performance.getEntriesByType('resource')) {
                 const answer = await fetch(name, { headers: { 'X-CSRF': '1' } });
                 texts.push(name, JSON.stringify([...answer.headers]), await answer.text());
             }
             return texts.join('\\n')",
        )
        .await;
    let seen = seen.as_str().unwrap();
    for expected in [
        "\"authenticated\":true",
        "/proxy/api/scim2/Me",
        "Example Engineering",
        "alice@example.com",
    ] {
        assert!(seen.contains(expected), "{expected}: {seen}");
    }
    let issued = scene.control().issued_secrets();
    assert!(issued.len() >= 4, "code, access, refresh and ID token");
    let searcher = Searcher::new(issued.iter().map(|secret| (Kind::AccessToken, secret.as_str())));
    assert_eq!(searcher.find(seen, &[]), None);
    assert_eq!(scene.script("return document.cookie").await, "");

    // Without the header that no other site can send, the API is not asked.
    let asked = || scene.control().requests(Endpoint::Api("/scim2/Me")).len();
    let before = asked();
    let fetch = "const answer = await fetch('/proxy/api/scim2/Me'); return [answer.status, (await answer.json()).code]";
    assert_eq!(scene.script(fetch).await, json!([403, "proxy.csrf_header"]));
    assert_eq!(asked(), before);

    driver.click("#sign-out button").await;
    driver.shows("/", "Please sign in.").await;
    scene.assert_no_trouble().await;
    assert_eq!(driver.session(&scene.base).await, json!({"authenticated": false}));
    scene.driver.quit().await;
}

async fn offers_to_sign_in_when_the_session_ends(stage: Stage) {
    let scene = Scene::open(&stage, "phone", PHONE).await;
    let driver = &scene.driver;
    // The access token is dead on arrival, and its renewal will be refused.
    scene.control().next_access_token_lifetime(Duration::ZERO);
    scene.sign_in("/", MALLORY).await;
    driver.shows("/", MARKUP).await;
    assert!(
        !driver
            .holds("document.querySelector('main img, main b') !== null")
            .await
    );
    driver.assert_fits().await;
    driver.picture("1-a-name-of-markup").await;
    scene.control().kill_refresh_tokens();
    driver.click("nav a[href='/profile']").await;
    driver.shows("/profile", "Your session has ended.").await;
    assert!(driver.holds("document.querySelector('#sign-out').hidden").await);
    driver.assert_fits().await;
    driver.picture("2-ended").await;
    scene.assert_no_trouble().await;

    // And back to where one was. The provider may still know who it is.
    driver
        .click("main a[href='/auth/login?return_to=%2Fprofile']")
        .await;
    driver
        .until("the profile", || async {
            if let Ok(user) = driver.web.find(By::Css(MALLORY)).await {
                // It may have gone by now.
                let _ = user.click().await;
            }
            driver.url().await.path() == "/profile" && driver.text().await.contains("User name")
        })
        .await;

    // Markup from a script is refused by the policy; this also shows that troubles are seen.
    let written = scene
        .script("document.body.innerHTML = '<p>x'; return 'written'")
        .await;
    assert!(written.as_str().unwrap().starts_with("TypeError"), "{written}");
    driver
        .until("the violation", || driver.holds("troubles.length === 1"))
        .await;
    scene.driver.quit().await;
}

async fn tries_again_when_the_provider_was_down(stage: Stage) {
    let scene = Scene::open(&stage, "down", DESK).await;
    let driver = &scene.driver;
    scene.control().next_access_token_lifetime(Duration::ZERO);
    scene.sign_in("/", ALICE).await;
    driver.shows("/", "Signed in until").await;
    scene.control().go_down().await;
    driver.click("nav a[href='/profile']").await;
    driver.shows("/profile", "Not available just now.").await;
    driver.picture("1-down").await;
    scene.control().come_up().await.unwrap();
    driver.shows("/profile", "alice@example.com").await;
    assert!(!driver.text().await.contains("Not available"));

    // After many clicks at once, of which the browser ignores those above its limit, the page and its address agree.
    let clicks = "for (let at = 0; at < 200; at++) document.querySelectorAll('nav a')[at % 3].click()";
    scene.script(clicks).await;
    let settled = "(here => here.pathname === location.pathname && here.textContent === document.querySelector('h1').textContent
        && document.querySelector('#content dl') !== null)(document.querySelector('nav a[aria-current]'))";
    driver
        .until("the page of the address", || driver.holds(settled))
        .await;
    scene.assert_no_trouble().await;
    scene.driver.quit().await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_app_of_one_page_holds_no_token() {
    Stage::run(
        Framework::Axum,
        Carrier::Cookie,
        signs_in_from_a_deep_link_and_holds_no_token,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_app_of_one_page_holds_no_token() {
    Stage::run(
        Framework::Actix,
        Carrier::Cookie,
        signs_in_from_a_deep_link_and_holds_no_token,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_app_of_one_page_offers_to_sign_in_when_the_session_ends() {
    Stage::run(
        Framework::Axum,
        Carrier::Cookie,
        offers_to_sign_in_when_the_session_ends,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_app_of_one_page_offers_to_sign_in_when_the_session_ends() {
    Stage::run(
        Framework::Actix,
        Carrier::Cookie,
        offers_to_sign_in_when_the_session_ends,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_app_of_one_page_tries_again_when_the_provider_was_down() {
    Stage::run(
        Framework::Axum,
        Carrier::Cookie,
        tries_again_when_the_provider_was_down,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_app_of_one_page_tries_again_when_the_provider_was_down() {
    Stage::run(
        Framework::Actix,
        Carrier::Cookie,
        tries_again_when_the_provider_was_down,
    )
    .await;
}
