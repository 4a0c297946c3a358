//! The sessions page: where a user is signed in, and the buttons that end it there.

use auth_tests::{App, Browser, Carrier, Framework, Stage, html};
use thirtyfour::prelude::*;

use crate::driver::{DESK, Driver, PHONE, Settings};
use crate::elsewhere::Elsewhere;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1";
const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0";
const CURL: &str = "curl/8.14.1";

const END_IPHONE: &str = "button[aria-label='End the session of Safari on iPhone']";
const END_OTHERS: &str = "button[name=end][value=others]";

/// Signs in with another browser, which calls itself so.
async fn sign_in(stage: &Stage, app: &App, base: &str, user: &str, agent: &str) -> Browser {
    let browser = stage.browser(app, base);
    let request = browser.navigate("/auth/login").await.location();
    let page = browser.navigate(request.as_str()).await;
    let form = html::forms(&page.body).remove(0);
    let fields = form.press("user", user);
    let callback = browser.press(&page, &form, &fields).await.location();
    let answer = browser
        .navigate(callback.as_str())
        .header("user-agent", agent)
        .await;
    answer.assert_redirect();
    browser.assert_signed_in_as(user).await;
    browser
}

/// What the page says of each session.
async fn rows(driver: &Driver) -> Vec<String> {
    let mut texts = Vec::new();
    for row in driver
        .web
        .find_all(By::Css(".devices > li"))
        .await
        .unwrap_or_default()
    {
        texts.push(row.text().await.unwrap_or_default());
    }
    texts
}

async fn lists(driver: &Driver, count: usize) {
    driver
        .until(&format!("{count} sessions"), || async {
            rows(driver).await.len() == count
        })
        .await;
}

/// One row says that the session is the one that looks at it; its browser is this one.
async fn assert_this_one_is_marked(driver: &Driver) {
    let rows = rows(driver).await;
    let marked: Vec<_> = rows.iter().filter(|row| row.contains("this browser")).collect();
    assert_eq!(marked.len(), 1, "{rows:?}");
    for words in ["Chrome on Linux", "Sign out here"] {
        assert!(rows[0].contains(words) && rows[0] == *marked[0], "{rows:?}");
    }
    for row in &rows {
        for words in ["Signed in ", " UTC from 127.0.0.1, last seen "] {
            assert!(row.contains(words), "{row}");
        }
    }
}

async fn sessions(stage: Stage, settings: Settings, window: (u32, u32)) {
    let app = stage
        .start(&stage.bare_environment().set("RUST_LOG", "debug"))
        .await;
    let base = format!("http://{}", app.address());
    let name = format!("{}-sessions-{}", app.framework.package(), window.0);
    let driver = Driver::start(name, settings, window).await;
    driver
        .goto(&format!("{base}/auth/login?return_to=/sessions"))
        .await;
    driver.click("button[name=user][value=alice]").await;
    driver.shows("/sessions", "There is no other session.").await;
    lists(&driver, 1).await;
    assert_this_one_is_marked(&driver).await;
    driver.picture("1-alone").await;

    let phone = sign_in(&stage, &app, &base, "alice", IPHONE).await;
    let desk = sign_in(&stage, &app, &base, "alice", FIREFOX).await;
    let program = sign_in(&stage, &app, &base, "alice", CURL).await;
    let bob = sign_in(&stage, &app, &base, "bob", IPHONE).await;
    driver.goto(&format!("{base}/sessions")).await;
    lists(&driver, 4).await;
    assert_this_one_is_marked(&driver).await;
    let shown = driver.text().await;
    for words in ["Safari on iPhone", "Firefox on Windows", "curl", IPHONE, FIREFOX] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    driver.assert_fits().await;
    driver.picture("2-four").await;

    // Another site's form ends nothing, whether the cookie goes along (same site) or not.
    let elsewhere = Elsewhere::start().await;
    elsewhere.page(
        "/form",
        &format!(
            "<script>document.body.append('scripts are on')</script>
             <form method=post action='{base}/sessions'><button name=end value=others>Win</button></form>"
        ),
    );
    for site in [elsewhere.same_site(), elsewhere.other_site()] {
        driver.goto(&format!("{site}/form")).await;
        let has_run = driver.text().await.contains("scripts are on");
        assert_eq!(has_run, settings != Settings::WithoutScript);
        driver.click("button").await;
        driver.shows("/sessions", "request.cross_site").await;
    }
    for browser in [&phone, &desk, &program] {
        browser.assert_signed_in_as("alice").await;
    }

    // The button says which session it ends, and ends that one.
    driver.goto(&format!("{base}/sessions")).await;
    let button = driver.element(END_IPHONE).await;
    let facts = button.attr("aria-describedby").await.unwrap().unwrap();
    let facts = driver.element(&format!("#{facts}")).await.text().await.unwrap();
    assert!(facts.starts_with("Signed in "), "{facts}");
    driver.click(END_IPHONE).await;
    lists(&driver, 3).await;
    assert!(!driver.text().await.contains("iPhone"));
    phone.assert_signed_out().await;
    for browser in [&desk, &program] {
        browser.assert_signed_in_as("alice").await;
    }
    driver.picture("3-one-ended").await;

    assert_eq!(
        driver.element(END_OTHERS).await.text().await.unwrap(),
        "End all 2 other sessions"
    );
    driver.click(END_OTHERS).await;
    driver.shows("/sessions", "There is no other session.").await;
    lists(&driver, 1).await;
    assert_this_one_is_marked(&driver).await;
    for browser in [&phone, &desk, &program] {
        browser.assert_signed_out().await;
    }
    bob.assert_signed_in_as("bob").await;

    // And this one, which signs out as a whole.
    driver.sign_out().await;
    assert_eq!(driver.session(&base).await["authenticated"], false);
    driver.quit().await;
}

async fn run(framework: Framework, settings: Settings, window: (u32, u32)) {
    Stage::run(framework, Carrier::Cookie, |stage| {
        sessions(stage, settings, window)
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_ends_sessions_of_other_browsers() {
    run(Framework::Axum, Settings::Usual, DESK).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn axum_ends_sessions_without_script_on_a_phone() {
    run(Framework::Axum, Settings::WithoutScript, PHONE).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_ends_sessions_of_other_browsers() {
    run(Framework::Actix, Settings::Usual, DESK).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn actix_ends_sessions_without_script_on_a_phone() {
    run(Framework::Actix, Settings::WithoutScript, PHONE).await;
}
