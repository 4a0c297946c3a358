//! What users do with tabs and buttons, and what other sites make a browser do. Here a real browser decides which cookies go along, what it
//! shows from its cache, what it frames and where a `Location` leads.

use auth_axum::core::types::ReturnTo;
use auth_tests::{App, Carrier, Framework, Stage, html};
use serde_json::{Value, json};
use url::Url;

use crate::driver::{DESK, Driver, Settings};
use crate::elsewhere::Elsewhere;
use crate::payloads::{HONEST, payloads};

const ALICE: &str = "button[name=user][value=alice]";
const BOB: &str = "button[name=user][value=bob]";

/// What Chromium opens in a frame that it may not fill.
const REFUSED: &str = "chrome-error://chromewebdata/";

/// What the names of the development provider's cookies begin with.
const PROVIDER_COOKIE: &str = "dev-provider-";

/// An application with its development provider inside, and a browser.
struct Scene {
    stage: Stage,
    app: App,
    base: String,
    driver: Driver,
}

impl Scene {
    async fn open(stage: Stage, settings: Settings) -> Self {
        let app = stage
            .start(&stage.bare_environment().set("RUST_LOG", "debug"))
            .await;
        let base = format!("http://{}", app.address());
        let name = format!("{}-tricks", app.framework.package());
        let driver = Driver::start(name, settings, DESK).await;
        Self {
            stage,
            app,
            base,
            driver,
        }
    }

    async fn goto(&self, path: &str) {
        self.driver.goto(&format!("{}{path}", self.base)).await;
    }

    async fn sign_in(&self, user: &str, return_to: &str) {
        self.forget_provider().await;
        self.goto(&format!("/auth/login?return_to={return_to}")).await;
        self.driver.click(user).await;
        self.arrives(return_to).await;
    }

    /// Signs out by the button of the page that is open, and waits for the home page of nobody: the address alone may
    /// be that of before.
    async fn sign_out(&self) {
        self.driver.sign_out().await;
        self.arrives("/").await;
    }

    /// The provider knows nobody any more, and asks who it is.
    async fn forget_provider(&self) {
        self.goto("/healthz").await;
        for cookie in self.driver.cookies().await {
            if cookie.name.starts_with(PROVIDER_COOKIE) {
                self.driver.web.delete_cookie(cookie.name).await.unwrap();
            }
        }
    }

    /// Goes on from the provider's page to the application. Who has been there a moment ago is not asked again.
    async fn pass_provider(&self, user: &str) {
        if self.driver.has(user).await {
            self.driver.click(user).await;
        }
        self.driver
            .until("the application", || async {
                self.driver.url().await.origin().ascii_serialization() == self.base
            })
            .await;
    }

    /// Waits until the browser is at a page of the application with this path.
    async fn arrives(&self, path: &str) {
        self.driver
            .until(path, || async {
                let url = self.driver.url().await;
                url.origin().ascii_serialization() == self.base && url.path() == path
            })
            .await;
    }

    /// Who is signed in, asked from a tab of its own.
    async fn subject(&self) -> Value {
        let first = self.driver.new_tab().await;
        let session = self.driver.session(&self.base).await;
        self.driver.close_tab(&first).await;
        session["user"]["sub"].clone()
    }

    /// The names of the cookies that the browser holds for the application's host, less the provider's, which is on the same
    /// host: cookies know no ports.
    async fn cookies(&self) -> Vec<String> {
        self.goto("/healthz").await;
        let cookies = self.driver.cookies().await;
        let names = cookies.into_iter().map(|cookie| cookie.name);
        names.filter(|name| !name.starts_with(PROVIDER_COOKIE)).collect()
    }

    /// What a script answers on this page.
    async fn script(&self, code: &str, argument: Value) -> Value {
        let code = format!(
            "const [argument, done] = arguments; (async () => {{ {code} }})().then(done, error => done(String(error)))"
        );
        let answer = self.driver.web.execute_async(code, vec![argument]).await;
        answer.unwrap().json().clone()
    }

    /// The code of the failure page that is shown, once the page is there.
    async fn failure_code(&self) -> Option<String> {
        if self.driver.has("footer code").await {
            Some(self.driver.element("footer code").await.text().await.unwrap())
        } else {
            None
        }
    }

    async fn close(self) {
        self.driver.quit().await;
    }
}

async fn run<F: Future<Output = ()>>(framework: Framework, case: impl FnOnce(Stage) -> F) {
    Stage::run(framework, Carrier::Cookie, case).await;
}

async fn tabs_and_history(stage: Stage) {
    let scene = Scene::open(stage, Settings::Usual).await;
    let web = &scene.driver.web;
    // Two tabs at the provider, finished in either order.
    for order in [[0, 1], [1, 0]] {
        let mut tabs = Vec::new();
        for path in ["/profile", "/dashboard"] {
            scene.driver.new_tab().await;
            scene.goto(&format!("/auth/login?return_to={path}")).await;
            scene.driver.element(ALICE).await;
            tabs.push((scene.driver.window().await, path));
        }
        for at in order {
            let (tab, path) = &tabs[at];
            scene.driver.switch_to(tab).await;
            scene.driver.click(ALICE).await;
            scene.driver.shows(path, "alice@example.com").await;
        }
        assert_eq!(scene.subject().await, "alice");
        web.delete_all_cookies().await.unwrap();
    }

    // Back to the provider's page, and once more: the browser just goes on.
    scene.goto("/healthz").await;
    scene.sign_in(ALICE, "/profile").await;
    scene.driver.back().await;
    scene.pass_provider(ALICE).await;
    assert_eq!(scene.failure_code().await, None);
    assert_eq!(scene.subject().await, "alice");

    // The callback's address opened again and reloaded: on to the application while signed in, a page once signed out.
    let callback = callback(&scene, "alice").await;
    scene.goto("/auth/login").await;
    scene.driver.goto(callback.as_str()).await;
    scene.arrives("/").await;
    assert_eq!(scene.subject().await, "alice");

    // Another user signs in on top, in another tab: this one shows whose it is when it is looked at again.
    scene.goto("/").await;
    scene.driver.shows("/", "alice@example.com").await;
    let first = scene.driver.new_tab().await;
    scene.sign_in(BOB, "/profile").await;
    scene.driver.close_tab(&first).await;
    scene.driver.refresh().await;
    scene.driver.shows("/", "bob@example.com").await;
    assert!(!scene.driver.text().await.contains("alice@example.com"));

    // After signing out, the pages of before are not shown again, by whatever cache.
    for path in ["/profile", "/dashboard", "/"] {
        scene.goto(path).await;
        scene.driver.shows(path, "bob@example.com").await;
    }
    scene.sign_out().await;
    for steps in 1..=4 {
        scene.driver.back().await;
        let (at, shown) = (scene.driver.url().await, scene.driver.text().await);
        assert_ne!(shown, "", "{steps} steps back at {at}");
        // The provider's page may well name its users.
        assert!(
            at.origin().ascii_serialization() != scene.base || !shown.contains("bob@example.com"),
            "{steps} steps back at {at}: {shown}"
        );
    }
    assert_eq!(scene.subject().await, Value::Null);
    scene.driver.goto(callback.as_str()).await;
    for _ in 0..2 {
        assert_eq!(
            scene.failure_code().await.as_deref(),
            Some("login.attempt_dropped")
        );
        scene.driver.refresh().await;
    }
    scene.driver.picture("callback-reloaded").await;
    scene.close().await;
}

/// The address of a callback, from another browser's sign-in: its state is not of this one.
async fn callback(scene: &Scene, user: &str) -> Url {
    let browser = scene.stage.browser(&scene.app, &scene.base);
    let request = browser.navigate("/auth/login").await.location();
    let page = browser.navigate(request.as_str()).await;
    let form = html::forms(&page.body).remove(0);
    let fields = form.press("user", user);
    browser.press(&page, &form, &fields).await.location()
}

async fn fetches_after_the_session_has_ended(stage: Stage) {
    let scene = Scene::open(stage, Settings::Usual).await;
    scene.sign_in(ALICE, "/profile").await;
    scene.goto("/healthz").await;
    let fetch = "const answer = await fetch(argument, {headers: {accept: 'text/html'}});
                 return [answer.status, answer.redirected, answer.headers.get('content-type'), answer.headers.get('cache-control')]";
    let answer = scene.script(fetch, json!("/api/ping")).await;
    assert_eq!(answer[0], 200, "{answer}");
    // The session ends in another tab; this page's script goes on asking.
    let first = scene.driver.new_tab().await;
    scene.goto("/").await;
    scene.sign_out().await;
    scene.driver.switch_to(&first).await;
    for path in ["/api/ping", "/api/me", "/profile", "/dashboard"] {
        let answer = scene.script(fetch, json!(path)).await;
        assert_eq!(
            answer,
            json!([401, false, "application/problem+json", "no-store"]),
            "{path}"
        );
    }
    assert_eq!(scene.cookies().await, Vec::<String>::new());
    scene.close().await;
}

async fn other_sites(stage: Stage) {
    let scene = Scene::open(stage, Settings::Usual).await;
    let elsewhere = Elsewhere::start().await;
    let base = &scene.base;

    // Prefetched and prerendered: no sign-in begins, and no cookie is left.
    for (number, site) in [elsewhere.same_site(), elsewhere.other_site()].iter().enumerate() {
        for target in ["/profile", "/auth/login?return_to=/profile"] {
            let path = format!("/prefetch-{number}-{}", target.len());
            let probe = format!("{path}-probe");
            let more = format!("{base}{target}{}", if target.contains('?') { '&' } else { '?' });
            elsewhere.page(
                &path,
                &format!(
                    "<link rel=prefetch href='{base}{target}'><link rel=prefetch href='{probe}'>
                     <script type=speculationrules>{{\"prefetch\": [{{\"urls\": [\"{more}speculative\"], \"eagerness\": \"immediate\"}}],
                     \"prerender\": [{{\"urls\": [\"{more}prerender\"], \"eagerness\": \"immediate\"}}]}}</script>"
                ),
            );
            scene.driver.goto(&format!("{site}{path}")).await;
            scene
                .driver
                .until("the prefetch", || async {
                    let done = scene
                        .script(
                            "return performance.getEntriesByType('resource').filter(entry => entry.name.startsWith(argument)).length",
                            json!(format!("{base}{target}")),
                        )
                        .await;
                    done.as_u64() >= Some(1) && elsewhere.was_asked_for(&probe)
                })
                .await;
            assert_eq!(scene.cookies().await, Vec::<String>::new(), "{site} {target}");
        }
    }

    scene.sign_in(ALICE, "/profile").await;
    let held = scene.cookies().await;
    assert_eq!(held.len(), 1, "{held:?}");

    // Framed: nothing of the application is shown, on its own site's other ports neither.
    elsewhere.page("/inside", "framed and shown");
    for site in [elsewhere.same_site(), elsewhere.other_site()] {
        for target in [
            "/inside",
            "/",
            "/profile",
            "/auth/errors/login.state_missing",
            "/auth/callback?error=access_denied",
            "/auth/login?iss=https://x.example",
        ] {
            let (url, expected) = if target == "/inside" {
                (target.to_owned(), format!("location.href === '{site}/inside'"))
            } else {
                (
                    format!("{base}{target}"),
                    format!("location.href === '{REFUSED}'"),
                )
            };
            elsewhere.page("/frame", &format!("<p>around</p><iframe src='{url}'></iframe>"));
            scene.driver.goto(&format!("{site}/frame")).await;
            scene.driver.element("iframe").await.enter_frame().await.unwrap();
            scene
                .driver
                .until(&format!("{expected} for {target}"), || {
                    scene.driver.holds(&expected)
                })
                .await;
            if target == "/inside" {
                assert_eq!(scene.driver.text().await, "framed and shown");
            }
            scene.driver.web.enter_default_frame().await.unwrap();
        }
    }

    // Forms of other sites: neither a sign-out nor a note, whether the browser sends the cookie along (same site) or not.
    for site in [elsewhere.same_site(), elsewhere.other_site()] {
        for (action, field) in [("/auth/logout", "x"), ("/note", "text"), ("/api/revoke", "x")] {
            elsewhere.page(
                "/form",
                &format!("<form method=post action='{base}{action}'><input name={field} value=planted><button>Win</button></form>"),
            );
            scene.driver.goto(&format!("{site}/form")).await;
            // A script first, while the page is there; it does not learn what was answered.
            let fetched = scene
                .script(
                    "const answer = await fetch(argument, {method: 'POST', credentials: 'include', mode: 'no-cors',
                     body: new URLSearchParams({text: 'planted'})}); return answer.type",
                    json!(format!("{base}{action}")),
                )
                .await;
            assert_eq!(fetched, "opaque");
            scene.driver.click("button").await;
            scene.driver.shows(action, "request.cross_site").await;
            assert_eq!(scene.driver.url().await.as_str(), format!("{base}{action}"));
            assert_eq!(scene.subject().await, "alice", "{action} from {site}");
        }
    }
    scene.goto("/").await;
    scene.driver.shows("/", "alice@example.com").await;
    assert!(!scene.driver.text().await.contains("planted"));

    // A link on another site brings the user in (SameSite=Lax); a script there reads nothing.
    elsewhere.page("/link", &format!("<a href='{base}/profile'>in</a>"));
    for site in [elsewhere.same_site(), elsewhere.other_site()] {
        scene.driver.goto(&format!("{site}/link")).await;
        for path in ["/auth/session", "/api/me", "/profile"] {
            let read = scene
                .script(
                    "const answer = await fetch(argument, {credentials: 'include'}); return await answer.text()",
                    json!(format!("{base}{path}")),
                )
                .await;
            assert!(
                read.as_str().is_some_and(|text| text.contains("Failed to fetch")),
                "{site} {path}: {read}"
            );
        }
        scene.driver.click("a").await;
        scene.driver.shows("/profile", "alice@example.com").await;
    }

    // The application under another name of its host: the cookie stays with that name, and a page says so.
    scene.driver.web.delete_all_cookies().await.unwrap();
    let other_name = base.replace("127.0.0.1", "localhost");
    scene.driver.goto(&format!("{other_name}/profile")).await;
    scene.driver.click(ALICE).await;
    scene.driver.element("footer code").await;
    assert_eq!(
        scene.failure_code().await.as_deref(),
        Some("login.cookie_other_address")
    );
    scene.driver.picture("another-host-name").await;
    scene.close().await;
}

async fn cookies_blocked(stage: Stage) {
    let scene = Scene::open(stage, Settings::WithoutCookies).await;
    scene.goto("/profile").await;
    for _ in 0..2 {
        scene.driver.click(ALICE).await;
        scene.driver.element("footer code").await;
        assert_eq!(
            scene.failure_code().await.as_deref(),
            Some("login.cookies_blocked")
        );
        assert!(
            scene.driver.text().await.to_lowercase().contains("cookie"),
            "it says what is missing"
        );
        scene.driver.picture("cookies-blocked").await;
        // The button begins anew; nothing does so by itself.
        scene.driver.click("a[href^='/auth/login']").await;
    }
    scene.driver.element(ALICE).await;
    scene.close().await;
}

async fn redirects(stage: Stage) {
    let scene = Scene::open(stage, Settings::Usual).await;
    scene.goto("/healthz").await;
    // Chromium's own parser on the whole list: as it was sent, and as it is kept.
    let list = payloads(&scene.base);
    let sent: Vec<String> = list.iter().map(crate::payloads::Payload::text).collect();
    let kept: Vec<String> = sent
        .iter()
        .map(|text| ReturnTo::parse(text).as_str().to_owned())
        .collect();
    let origins = "return argument.map(text => { try { return new URL(text, location.href).origin } catch { return 'none' } })";
    let led_elsewhere = scene.script(origins, json!(sent)).await;
    let led_elsewhere = led_elsewhere.as_array().unwrap().iter();
    let led_elsewhere = led_elsewhere
        .filter(|origin| **origin != json!(scene.base))
        .count();
    assert!(led_elsewhere >= 250, "{led_elsewhere} of {}", list.len());
    let lead = scene.script(origins, json!(kept)).await;
    for (number, origin) in lead.as_array().unwrap().iter().enumerate() {
        assert_eq!(
            *origin,
            json!(scene.base),
            "{:?} became {:?}",
            list[number],
            kept[number]
        );
    }
    let honest = scene.script(origins, json!(HONEST.to_vec())).await;
    assert!(
        honest
            .as_array()
            .unwrap()
            .iter()
            .all(|origin| *origin == json!(scene.base))
    );

    // And by real navigation: one of each rule, and more.
    let mut rules = std::collections::HashSet::new();
    let sample: Vec<_> = list
        .iter()
        .enumerate()
        .filter(|(number, payload)| rules.insert(payload.rule) || number % 40 == 0)
        .map(|(_, payload)| payload)
        .collect();
    assert!(sample.len() >= 30, "{}", sample.len());
    for payload in sample {
        scene
            .goto(&format!("/auth/login?return_to={}", payload.encoded()))
            .await;
        scene.pass_provider(ALICE).await;
        let landing = scene.driver.url().await;
        assert_eq!(landing.origin().ascii_serialization(), scene.base, "{payload:?}");
        assert_eq!(scene.failure_code().await, None, "{payload:?}");
    }
    assert_eq!(scene.subject().await, "alice");
    scene.close().await;
}

macro_rules! both {
    ($($axum:ident, $actix:ident: $case:ident;)*) => {
        $(
            #[tokio::test]
            #[ignore = "needs chromium; run ./tests/run"]
            async fn $axum() {
                run(Framework::Axum, $case).await;
            }

            #[tokio::test]
            #[ignore = "needs chromium; run ./tests/run"]
            async fn $actix() {
                run(Framework::Actix, $case).await;
            }
        )*
    };
}

both! {
    axum_tabs_back_and_reload, actix_tabs_back_and_reload: tabs_and_history;
    axum_scripts_get_401_after_the_end, actix_scripts_get_401_after_the_end: fetches_after_the_session_has_ended;
    axum_other_sites_change_nothing, actix_other_sites_change_nothing: other_sites;
    axum_without_cookies_a_page_says_so, actix_without_cookies_a_page_says_so: cookies_blocked;
    axum_no_location_leads_elsewhere, actix_no_location_leads_elsewhere: redirects;
}
