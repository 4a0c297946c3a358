//! What the application keeps in its own session: a note, and a message that is shown once.

use auth_tests::stage::{BASE, HTTPS_BASE, SECRET};
use auth_tests::{Browser, Stage};
use http::Method;

use crate::protection::forged;
use crate::store;

const NOTE: &str = "Buy eleven oranges";
const KEPT: &str = "Your note is kept.";

async fn leave(browser: &Browser, text: &str) {
    let answer = browser.submit("/note", &[("text", text)]).await;
    answer.assert_redirect().assert_no_store();
    assert_eq!(answer.status, 303);
    assert_eq!(answer.location().path(), "/");
}

async fn home(browser: &Browser) -> String {
    browser
        .navigate("/")
        .await
        .assert_status(200)
        .assert_no_store()
        .body
        .clone()
}

pub(crate) async fn it_is_kept_over_a_restart_and_the_message_shown_once(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = store::world(&stage, &folder).await;
    world.sign_in("alice").await;
    assert!(!home(&world.browser).await.contains(NOTE));
    leave(&world.browser, NOTE).await;
    store::restart(&stage, &mut world, &folder, SECRET).await;
    let page = home(&world.browser).await;
    assert!(page.contains(NOTE) && page.contains(KEPT), "{page}");
    let page = home(&world.browser).await;
    assert!(page.contains(NOTE) && !page.contains(KEPT), "{page}");
    leave(&world.browser, "  ").await;
    let page = home(&world.browser).await;
    assert!(
        !page.contains(NOTE) && page.contains("Your note is gone."),
        "{page}"
    );
}

pub(crate) async fn it_ends_with_the_sign_out(stage: Stage) {
    let world = stage.signed_in("alice").await;
    leave(&world.browser, NOTE).await;
    let copy = world.browser.copy();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    assert!(
        world.browser.cookies().is_empty(),
        "{:?}",
        world.browser.cookies()
    );
    for browser in [&world.browser, &copy] {
        assert!(!home(browser).await.contains(NOTE));
        world.sign_in_with(browser, "alice").await;
        assert!(!home(browser).await.contains(NOTE));
    }
}

pub(crate) async fn another_user_in_the_same_browser_does_not_see_it(stage: Stage) {
    let world = stage.signed_in("alice").await;
    leave(&world.browser, NOTE).await;
    world.sign_in("alice").await;
    assert!(home(&world.browser).await.contains(NOTE), "it is still Alice");
    world.sign_in("bob").await;
    assert!(
        !home(&world.browser).await.contains(NOTE),
        "Bob sees Alice's note"
    );
    world.sign_in("alice").await;
    assert!(!home(&world.browser).await.contains(NOTE));
}

pub(crate) async fn the_message_waits_for_somebody_who_sees_it(stage: Stage) {
    let world = stage.signed_in("alice").await;
    leave(&world.browser, NOTE).await;
    for purpose in ["sec-purpose", "purpose"] {
        let answer = world.browser.navigate("/").header(purpose, "prefetch").await;
        answer.assert_status(200);
    }
    let answer = world.browser.request(Method::HEAD, "/").await;
    answer.assert_status(200);
    assert!(home(&world.browser).await.contains(KEPT));
    assert!(!home(&world.browser).await.contains(KEPT));
}

pub(crate) async fn a_cookie_that_names_no_session_is_left_alone(stage: Stage) {
    for (base, name) in [(BASE, "app_session"), (HTTPS_BASE, "__Host-app_session")] {
        let world = stage
            .world_with(|environment| environment.set("AUTH_BASE_URL", base))
            .await;
        for value in ["garbage", "", "AAAAAAAAAAAAAAAAAAAAAA"] {
            for path in [
                "/",
                "/healthz",
                "/api/ping",
                "/auth/login",
                "/auth/session",
                "/nowhere",
            ] {
                let ask = world.browser.fresh().fetch(path);
                let answer = ask.header("cookie", &format!("{name}={value}")).await;
                assert_eq!(answer.status == 401, path == "/api/ping", "{}", answer.describe());
                let lines = answer.headers.get_all("set-cookie").iter();
                for line in lines.map(|line| line.to_str().unwrap()) {
                    assert!(!line.starts_with(name), "{path}: {line}");
                }
            }
        }
    }
}

pub(crate) async fn it_is_shown_as_text(stage: Stage) {
    let world = stage.signed_in("alice").await;
    leave(&world.browser, "<script>alert('1')</script>&amp;").await;
    let page = home(&world.browser).await;
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;"), "{page}");
}

pub(crate) async fn one_that_is_too_long_is_refused(stage: Stage) {
    let world = stage.signed_in("alice").await;
    leave(&world.browser, &"\u{e4}".repeat(200)).await;
    for length in [201, 20_000, 300_000] {
        let text = "o".repeat(length);
        let answer = world.browser.submit("/note", &[("text", &text)]).await;
        assert_eq!(answer.status, 413, "{length}: {}", answer.describe());
    }
    let answer = world.browser.submit("/note", &[("other", "field")]).await;
    assert!((400..500).contains(&answer.status), "{}", answer.describe());
    assert!(home(&world.browser).await.contains(&"\u{e4}".repeat(200)));
}

pub(crate) async fn requests_of_other_sites_leave_none(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let cookies: Vec<_> = world
        .browser
        .cookies()
        .iter()
        .map(|cookie| format!("{}={}", cookie.name, cookie.value))
        .collect();
    let sent = cookies.join("; ");
    for (what, ask) in forged(|| world.browser.submit("/note", &[("text", NOTE)])) {
        let answer = ask.header("cookie", &sent).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.describe());
        answer.assert_no_cookie();
    }
    assert!(!home(&world.browser).await.contains(NOTE));
    let guest = world.browser.fresh();
    let answer = guest.submit("/note", &[("text", NOTE)]).await;
    answer.assert_problem(401).assert_no_cookie();
}

pub(crate) async fn the_file_does_not_hold_it_in_the_clear(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = store::world(&stage, &folder).await;
    world.sign_in("alice").await;
    leave(&world.browser, NOTE).await;
    world.app.kill().await;
    let bytes = store::everything_in(&folder);
    assert!(bytes.len() > 1000, "the store is elsewhere");
    assert!(!bytes.windows(NOTE.len()).any(|window| window == NOTE.as_bytes()));
}
