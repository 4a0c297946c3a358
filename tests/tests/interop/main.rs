//! Interoperability: both applications sign in at `oidc-provider`, a certified OpenID provider from npm, with its own forms, and are
//! told by it who has signed out there (Back-Channel Logout 1.0; it has no front-channel logout, so that `provider.mjs` has the
//! frames). `every_route` visits each route of the applications.
//!
//! Needs node and the packages of `tests/interop`; `./tests/run` sees to both.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod every_route;
mod routes_list;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use auth_tests::jar::unix_now;
use auth_tests::stage::{BASE, CLIENT_SECRET, Environment};
use auth_tests::{Answer, App, Browser, Carrier, Framework, Stage, html, wait};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Seconds an access token lives: enough to be used, short enough to see it replaced.
const ACCESS_TOKEN_LIFETIME: u64 = 3;

/// The running provider; it ends when its standard input closes.
struct Provider {
    issuer: String,
    key: PathBuf,
    _folder: TempDir,
    _process: Child,
}

impl Provider {
    /// Starts it; access tokens live for so many seconds.
    async fn start(access_token_lifetime: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
        assert!(
            here.join("node_modules/oidc-provider").exists(),
            "oidc-provider is missing: run `npm ci` in tests/interop, or ./tests/run"
        );
        let settings = json!({
            "base_url": BASE,
            "access_token_lifetime": access_token_lifetime,
            "key_directory": folder.path(),
        });
        let mut process = Command::new("node")
            .arg("provider.mjs")
            .current_dir(here)
            .env("SETTINGS", settings.to_string())
            .env("NODE_NO_WARNINGS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("node does not start ({error}): apt-get install nodejs npm, or ./tests/run")
            });
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line())
            .await
            .expect("the provider starts in time");
        let line = line
            .unwrap()
            .expect("the provider says where it listens; its error stands above");
        let issuer = line.strip_prefix("listening on ").unwrap().to_owned();
        let key = folder.path().join("assertion-client.pem");
        Self {
            issuer,
            key,
            _folder: folder,
            _process: process,
        }
    }

    fn environment(&self, stage: &Stage) -> Environment {
        stage
            .bare_environment()
            .set("AUTH_BASE_URL", BASE)
            .set("AUTH_ISSUER", &self.issuer)
            .set("AUTH_SECRET", auth_tests::stage::SECRET)
            // OpenID Connect Core §11: offline access is only granted with consent.
            .set("AUTH_AUTHORIZE_PARAMS", "prompt=consent")
            .set("API_URL", format!("{}/api", self.issuer))
            .set("API2_URL", format!("{}/api2", self.issuer))
            .set("RUST_LOG", "trace")
    }

    /// Starts an application that signs in here and can be reached from here.
    async fn app(&self, stage: &Stage, settings: Settings) -> (App, Browser) {
        let app = stage.start(&settings(self.environment(stage), self)).await;
        let browser = stage.browser(&app, BASE);
        let found = format!("{}/control/app?origin=http://{}", self.issuer, app.address());
        browser.fetch(&found).await.assert_status(200);
        (app, browser)
    }

    async fn events(&self, browser: &Browser) -> Value {
        browser
            .fetch(&format!("{}/control/events", self.issuer))
            .await
            .json()
    }
}

/// The settings of a client that is registered there.
type Settings = fn(Environment, &Provider) -> Environment;

fn a_secret(environment: Environment, _: &Provider) -> Environment {
    environment
        .set("AUTH_CLIENT_ID", "secret-client")
        .set("AUTH_CLIENT_SECRET", CLIENT_SECRET)
}

/// And ES256.
fn signed_assertions(environment: Environment, provider: &Provider) -> Environment {
    environment
        .set("AUTH_CLIENT_ID", "assertion-client")
        .set("AUTH_CLIENT_AUTH", "private_key_jwt")
        .set("AUTH_CLIENT_KEY", provider.key.display())
}

/// Signs in with the provider's own forms: name and password, then consent.
async fn sign_in(browser: &Browser, user: &str) -> Answer {
    let mut page = browser
        .follow(browser.navigate("/auth/login?return_to=/profile").await)
        .await;
    for prompt in ["login", "consent"] {
        page = answer_prompt(browser, &page, prompt, user)
            .await
            .unwrap_or_else(|| panic!("no {prompt} form: {}", page.describe()));
    }
    page
}

/// Answers whatever the provider asks, until it asks nothing more.
async fn approve(browser: &Browser, mut page: Answer, user: &str) -> Answer {
    for prompt in ["login", "consent"] {
        page = answer_prompt(browser, &page, prompt, user).await.unwrap_or(page);
    }
    page
}

/// Fills in a form of the provider's, where the page has it.
async fn answer_prompt(browser: &Browser, page: &Answer, prompt: &str, user: &str) -> Option<Answer> {
    let asked = ("prompt".to_owned(), prompt.to_owned());
    let forms = html::forms(&page.body);
    let form = forms.iter().find(|form| form.inputs.contains(&asked))?;
    let fields: Vec<_> = form
        .inputs
        .iter()
        .map(|(name, value)| match name.as_str() {
            "login" | "password" => (name.clone(), user.to_owned()),
            _ => (name.clone(), value.clone()),
        })
        .collect();
    Some(browser.follow(browser.press(page, form, &fields).await).await)
}

/// Signs out here and there.
async fn sign_out(browser: &Browser) -> Answer {
    let page = browser.follow(browser.submit("/auth/logout", &[]).await).await;
    confirm(browser, &page).await
}

/// Signs out at the provider, without a word to the application.
async fn sign_out_there(browser: &Browser, provider: &Provider) -> Answer {
    let page = browser
        .navigate(&format!("{}/session/end", provider.issuer))
        .await;
    confirm(browser, &page).await
}

/// Presses the button of the provider's confirmation form.
async fn confirm(browser: &Browser, page: &Answer) -> Answer {
    page.assert_status(200);
    let forms = html::forms(&page.body);
    let form = forms
        .first()
        .unwrap_or_else(|| panic!("no form to confirm: {}", page.describe()));
    let mut fields = form.inputs.clone();
    fields.push(("logout".to_owned(), "yes".to_owned()));
    browser.follow(browser.press(page, form, &fields).await).await
}

async fn whole_visit(stage: Stage, settings: Settings) {
    let provider = Provider::start(ACCESS_TOKEN_LIFETIME).await;
    let (_app, browser) = provider.app(&stage, settings).await;

    let profile = sign_in(&browser, "ada").await;
    profile.assert_status(200);
    assert_eq!(profile.url.path(), "/profile", "{}", profile.describe());
    assert!(
        profile.text().contains("ada@example.com"),
        "{}",
        profile.describe()
    );
    let session = browser.session().await;
    assert_eq!(
        (&session["user"]["sub"], &session["user"]["email"]),
        (&json!("ada"), &json!("ada@example.com"))
    );

    wait::until(
        "two access tokens have died and been replaced",
        Duration::from_secs(30),
        || async {
            let me = browser.fetch("/api/me").await;
            assert_eq!(me.assert_status(200).json()["userName"], "ada");
            provider.events(&browser).await["refresh_token.consumed"]
                .as_u64()
                .unwrap()
                >= 2
        },
    )
    .await;

    let landing = sign_out(&browser).await;
    assert_eq!(landing.url.as_str(), format!("{BASE}/"), "{}", landing.describe());
    browser.assert_signed_out().await;
    let events = provider.events(&browser).await;
    assert_eq!(
        (
            &events["grant.error"],
            &events["server_error"],
            &events["end_session.success"]
        ),
        (&json!(0), &json!(0), &json!(1)),
        "{events}"
    );
    // The provider tells the application of a sign-out that it knows of already.
    assert_eq!(
        (&events["backchannel.success"], &events["backchannel.error"]),
        (&json!(1), &json!(0)),
        "{events}"
    );
    assert!(
        events["refresh_token.destroyed"].as_u64().unwrap() >= 1,
        "the refresh token was not revoked: {events}"
    );

    // The provider's own session has ended too: it asks for name and password again, and another user can sign in.
    sign_in(&browser, "grace").await.assert_status(200);
    browser.assert_signed_in_as("grace").await;

    let before = provider.events(&browser).await;
    browser
        .script(http::Method::POST, "/api/revoke")
        .await
        .assert_status(204);
    let after = provider.events(&browser).await;
    assert!(
        after["access_token.destroyed"].as_u64() > before["access_token.destroyed"].as_u64(),
        "{after}"
    );
    // This provider ends the whole grant with an access token (RFC 7009 §2.1 lets it), so there is nothing to refresh with.
    browser.fetch("/api/me").await.assert_status(401);
    browser.assert_signed_out().await;
}

/// Two browsers of ada and one of grace.
async fn three(provider: &Provider, browser: &Browser) -> [Browser; 3] {
    let browsers = [browser.clone(), browser.fresh(), browser.fresh()];
    for (browser, user) in browsers.iter().zip(["ada", "ada", "grace"]) {
        sign_in(browser, user).await.assert_status(200);
        browser.assert_signed_in_as(user).await;
    }
    let events = provider.events(browser).await;
    assert_eq!(events["logout_tokens"], json!([]));
    browsers
}

/// What the provider has told the application: one logout token, taken.
async fn only_logout_token(provider: &Provider, browser: &Browser) -> Value {
    let events = provider.events(browser).await;
    assert_eq!(
        (
            &events["backchannel.success"],
            &events["backchannel.error"],
            &events["server_error"]
        ),
        (&json!(1), &json!(0), &json!(0)),
        "{events}"
    );
    assert_eq!(events["logout_tokens"].as_array().unwrap().len(), 1, "{events}");
    events["logout_tokens"][0].clone()
}

async fn the_access_token_dies(browser: &Browser) {
    let dies_at = browser.session().await["access_token_expires_at"]
        .as_u64()
        .unwrap();
    wait::until("the access token is dead", Duration::from_secs(30), || async {
        unix_now() > dies_at
    })
    .await;
}

async fn one_session_ends(stage: Stage) {
    let provider = Provider::start(ACCESS_TOKEN_LIFETIME).await;
    let (_app, browser) = provider.app(&stage, a_secret).await;
    let [first, second, grace] = three(&provider, &browser).await;
    let sid = first.session().await["user"]["sid"].clone();
    assert!(sid.is_string() && sid != second.session().await["user"]["sid"]);

    let landing = sign_out_there(&first, &provider).await;
    assert!(
        landing.url.as_str().starts_with(&provider.issuer),
        "{}",
        landing.describe()
    );
    let token = only_logout_token(&provider, &first).await;
    assert_eq!((&token["sub"], &token["sid"]), (&json!("ada"), &sid), "{token}");
    first.assert_signed_out().await;
    second.assert_signed_in_as("ada").await;
    grace.assert_signed_in_as("grace").await;

    // The first one's access token dies too, and nobody asks for another; the second one's is replaced.
    the_access_token_dies(&second).await;
    let before = provider.events(&first).await;
    first.fetch("/api/me").await.assert_status(401);
    first.assert_signed_out().await;
    let after = provider.events(&first).await;
    for name in ["refresh_token.consumed", "grant.error", "grant.success"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    second.fetch("/api/me").await.assert_status(200);
    let after = provider.events(&first).await;
    assert!(
        after["refresh_token.consumed"].as_u64() > before["refresh_token.consumed"].as_u64(),
        "{after}"
    );
}

async fn all_sessions_of_the_user_end(stage: Stage) {
    let provider = Provider::start(ACCESS_TOKEN_LIFETIME).await;
    let (_app, browser) = provider.app(&stage, signed_assertions).await;
    let [first, second, grace] = three(&provider, &browser).await;

    sign_out_there(&first, &provider).await;
    let token = only_logout_token(&provider, &first).await;
    assert_eq!(
        (&token["sub"], &token["sid"]),
        (&json!("ada"), &Value::Null),
        "{token}"
    );
    first.assert_signed_out().await;
    second.assert_signed_out().await;
    grace.assert_signed_in_as("grace").await;
    // Signing in again is not what was ended.
    sign_in(&first, "ada").await.assert_status(200);
    first.assert_signed_in_as("ada").await;
    second.assert_signed_out().await;
}

async fn a_refresh_under_way_revives_nothing(stage: Stage) {
    let provider = Provider::start(ACCESS_TOKEN_LIFETIME).await;
    let (_app, browser) = provider.app(&stage, a_secret).await;
    sign_in(&browser, "ada").await.assert_status(200);
    the_access_token_dies(&browser).await;
    // Other tabs, which the sign-out's own cookies do not reach.
    let tabs = [browser.copy(), browser.copy(), browser.copy()];
    let requests = join_all(tabs.iter().map(|tab| async { tab.fetch("/api/me").await.status }));
    let (statuses, _) = tokio::join!(requests, sign_out_there(&browser, &provider));
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 401)),
        "{statuses:?}"
    );
    only_logout_token(&provider, &browser).await;
    for tab in &tabs {
        tab.fetch("/api/me").await.assert_status(401);
        tab.assert_signed_out().await;
    }
}

macro_rules! both {
    ($($name:ident: $case:expr;)*) => {
        mod axum {
            $(both!($name, Axum, $case);)*
        }
        mod actix {
            $(both!($name, Actix, $case);)*
        }
    };
    ($name:ident, $framework:ident, $case:expr) => {
        #[tokio::test]
        #[ignore = "needs node; run ./tests/run"]
        async fn $name() {
            use super::*;
            Stage::run(Framework::$framework, Carrier::Cookie, $case).await;
        }
    };
}

both! {
    every_route_works: every_route::works;
    signs_in_refreshes_and_signs_out_with_a_secret: |stage| whole_visit(stage, a_secret);
    signs_in_refreshes_and_signs_out_with_signed_assertions: |stage| whole_visit(stage, signed_assertions);
    a_sign_out_at_the_provider_ends_the_session_that_it_names: one_session_ends;
    a_sign_out_at_the_provider_ends_all_sessions_of_the_user: all_sessions_of_the_user_end;
    a_sign_out_at_the_provider_wins_over_a_refresh_under_way: a_refresh_under_way_revives_nothing;
}
