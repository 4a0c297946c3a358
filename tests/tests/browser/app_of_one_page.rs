//! The single-page app in a real browser, on both servers: deep links, calls through the proxy, no token in the browser, the end of a session,
//! a provider that is down.

use std::time::Duration;

use auth_testing::{Client, Control, DevProvider, Endpoint, Fault, User};
use auth_tests::leaks::{Kind, Searcher};
use auth_tests::stage::{CLIENT_ID, CLIENT_SECRET};
use auth_tests::{App, Carrier, Framework, Stage};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio::net::TcpListener;

use crate::accessibility::Examiner;
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

async fn keeps_what_was_typed_until_it_is_sent(stage: Stage) {
    const TEXT: &str = "half a thought, in quotes";
    let scene = Scene::open(&stage, "draft", DESK).await;
    let driver = &scene.driver;
    let asked = || scene.control().requests(Endpoint::Api("/echo"));
    let typed = "document.querySelector('textarea').value === 'half a thought, in quotes'";
    // The access token is dead on arrival, and its renewal will be refused.
    scene.control().next_access_token_lifetime(Duration::ZERO);
    scene.sign_in("/note", ALICE).await;
    driver.element("textarea").await.send_keys(TEXT).await.unwrap();
    scene.control().kill_refresh_tokens();
    driver.click("main form button").await;
    driver.shows("/note", "Your session has ended.").await;
    assert!(driver.holds(typed).await, "what was typed is gone");
    // However often it is tried, there is one way to sign in.
    driver.click("main form button").await;
    driver.shows("/note", "Please sign in.").await;
    assert!(
        driver
            .holds("document.querySelectorAll('#sign-in').length === 1")
            .await
    );
    assert!(asked().is_empty());

    driver.click("#sign-in a").await;
    driver
        .until("the note", || async {
            if let Ok(user) = driver.web.find(By::Css(ALICE)).await {
                // It may have gone by now.
                let _ = user.click().await;
            }
            driver.url().await.path() == "/note" && driver.holds(typed).await
        })
        .await;
    driver.click("main form button").await;
    driver
        .shows(
            "/note",
            &format!("Sent. The API has got {} characters.", TEXT.len()),
        )
        .await;
    let sent = asked();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].method, "POST");
    assert_eq!(sent[0].header("content-type"), Some("application/json"));
    driver.refresh().await;
    driver.element("textarea").await;
    assert!(
        driver
            .holds("document.querySelector('textarea').value === ''")
            .await
    );

    // It is nobody else's, and ends with a sign-out.
    let kept = "sessionStorage.length === 1";
    driver.element("textarea").await.send_keys(TEXT).await.unwrap();
    assert!(driver.holds(kept).await);
    driver.click("#sign-out button").await;
    driver.shows("/", "Please sign in.").await;
    assert!(driver.holds("sessionStorage.length === 0").await);
    scene
        .script("sessionStorage.setItem('note', JSON.stringify({ of: 'alice', text: 'hers' }))")
        .await;
    scene.sign_in("/note", MALLORY).await;
    driver.element("textarea").await;
    assert!(
        driver
            .holds("document.querySelector('textarea').value === ''")
            .await
    );
    assert!(driver.holds("sessionStorage.length === 0").await);
    scene.assert_no_trouble().await;
    scene.driver.quit().await;
}

async fn says_what_went_wrong(stage: Stage) {
    let scene = Scene::open(&stage, "wrong", DESK).await;
    let driver = &scene.driver;
    let api = Endpoint::Api("/organizations");
    scene.sign_in("/", ALICE).await;
    driver.shows("/", "Signed in until").await;

    scene
        .control()
        .fail(api, Fault::body(403, "application/json", "{}"));
    driver.click("nav a[href='/organizations']").await;
    driver.shows("/organizations", "You may not see this.").await;
    assert!(!driver.text().await.contains("Try again"));

    scene
        .control()
        .fail(api, Fault::body(200, "text/html", "<b>not JSON</b>"));
    driver.click("nav a[href='/organizations']").await;
    driver
        .shows("/organizations", "That did not work. The answer is not JSON.")
        .await;
    assert!(!driver.holds("document.querySelector('main b') !== null").await);
    scene.control().clear(api);
    driver.click("main button").await;
    driver.shows("/organizations", "Example Engineering").await;

    // The network: what is shown comes by itself, what is sent does not.
    let network = async |is_down: bool| {
        let conditions =
            json!({"offline": is_down, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        driver.cdp("Network.enable", json!({})).await;
        driver.cdp("Network.emulateNetworkConditions", conditions).await;
    };
    network(true).await;
    driver.click("nav a[href='/profile']").await;
    driver
        .shows("/profile", "Not available just now. There is no answer.")
        .await;
    network(false).await;
    driver.shows("/profile", "alice@example.com").await;
    driver.click("nav a[href='/note']").await;
    driver.element("textarea").await.send_keys("once").await.unwrap();
    network(true).await;
    driver.click("main form button").await;
    driver.shows("/note", "That was not sent.").await;
    assert!(
        driver
            .holds("document.querySelector('textarea').value === 'once'")
            .await
    );
    network(false).await;
    assert!(scene.control().requests(Endpoint::Api("/echo")).is_empty());
    scene
        .control()
        .fail(Endpoint::Api("/echo"), Fault::body(500, "application/json", "{}"));
    driver.click("main form button").await;
    driver.shows("/note", "It may have arrived all the same.").await;
    scene.control().clear(Endpoint::Api("/echo"));

    // Signed out in another tab: this one finds out when it is looked at again, and what was typed is still there.
    sign_out_in_another_tab(&scene).await;
    driver.shows("/note", "Your session has ended.").await;
    assert!(driver.holds("document.querySelector('#sign-out').hidden").await);
    assert!(driver.holds("sessionStorage.length === 1").await);
    scene.assert_no_trouble().await;
    scene.driver.quit().await;
}

/// Signs out in another tab, and comes back to this one.
async fn sign_out_in_another_tab(scene: &Scene) {
    let driver = &scene.driver;
    let first = driver.new_tab().await;
    scene.goto("/").await;
    driver.click("#sign-out button").await;
    driver.shows("/", "Please sign in.").await;
    driver.close_tab(&first).await;
    scene
        .script("document.dispatchEvent(new Event('visibilitychange'))")
        .await;
}

/// An address without a view tells like all others whether somebody is signed in, and finds out when that changes.
async fn knows_whose_page_it_is_at_an_unknown_address(stage: Stage) {
    let signs_out = "!document.querySelector('#sign-out').hidden";
    let scene = Scene::open(&stage, "unknown", DESK).await;
    let driver = &scene.driver;
    scene.goto("/nowhere").await;
    driver.shows("/nowhere", "Nothing is here.").await;
    driver
        .element("#sign-in a[href='/auth/login?return_to=%2F']")
        .await;
    assert!(!driver.holds(signs_out).await);
    driver.click("#sign-in a").await;
    driver.click(ALICE).await;
    driver.shows("/", "Signed in until").await;

    scene.goto("/nowhere").await;
    driver
        .until("the way out", || async { driver.holds(signs_out).await })
        .await;
    driver.shows("/nowhere", "Nothing is here.").await;
    assert!(!driver.has("#sign-in").await);
    scene.assert_no_trouble().await;

    // Signed out in another tab.
    sign_out_in_another_tab(&scene).await;
    driver.element("#sign-in").await;
    driver.shows("/nowhere", "Nothing is here.").await;
    assert!(!driver.holds(signs_out).await);
    scene.assert_no_trouble().await;
    scene.driver.quit().await;
}

async fn is_accessible(stage: Stage) {
    let scene = Scene::open(&stage, "examined", PHONE).await;
    let driver = &scene.driver;
    let mut examiner = Examiner::new(driver).await;
    scene.goto("/").await;
    driver.shows("/", "Please sign in.").await;
    examiner.look("signed out").await;
    scene.sign_in("/profile", ALICE).await;
    for (path, words) in [
        ("/profile", "alice@example.com"),
        ("/", "Signed in until"),
        ("/organizations", "Example Engineering"),
        ("/note", "Your note"),
        ("/none", "Nothing is here."),
    ] {
        scene.goto(path).await;
        driver.shows(path, words).await;
        examiner.look(path).await;
    }
    scene.control().fail(
        Endpoint::Api("/organizations"),
        Fault::body(200, "text/html", "<b>"),
    );
    scene.goto("/organizations").await;
    driver.shows("/organizations", "Try again").await;
    examiner.look("what did not work").await;
    examiner.assert_good(7);
    scene.driver.quit().await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_app_of_one_page_keeps_what_was_typed_until_it_is_sent() {
    Stage::run(
        Framework::Axum,
        Carrier::Cookie,
        keeps_what_was_typed_until_it_is_sent,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_app_of_one_page_keeps_what_was_typed_until_it_is_sent() {
    Stage::run(
        Framework::Actix,
        Carrier::Cookie,
        keeps_what_was_typed_until_it_is_sent,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_app_of_one_page_says_what_went_wrong() {
    Stage::run(Framework::Axum, Carrier::Cookie, says_what_went_wrong).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_app_of_one_page_says_what_went_wrong() {
    Stage::run(Framework::Actix, Carrier::Cookie, says_what_went_wrong).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_app_of_one_page_knows_whose_page_it_is_at_an_unknown_address() {
    Stage::run(
        Framework::Axum,
        Carrier::Cookie,
        knows_whose_page_it_is_at_an_unknown_address,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_app_of_one_page_knows_whose_page_it_is_at_an_unknown_address() {
    Stage::run(
        Framework::Actix,
        Carrier::Cookie,
        knows_whose_page_it_is_at_an_unknown_address,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_app_of_one_page_is_accessible() {
    Stage::run(Framework::Axum, Carrier::Cookie, is_accessible).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_app_of_one_page_is_accessible() {
    Stage::run(Framework::Actix, Carrier::Cookie, is_accessible).await;
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
