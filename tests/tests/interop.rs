//! Interoperability: both applications sign in at `oidc-provider`, a certified OpenID provider from npm, with its own forms.
//!
//! Needs node and the packages of `tests/interop`; `./tests/run` sees to both.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use auth_tests::stage::{BASE, Environment};
use auth_tests::{Answer, Browser, Carrier, Framework, Stage, html, wait};
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
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
        assert!(
            here.join("node_modules/oidc-provider").exists(),
            "oidc-provider is missing: run `npm ci` in tests/interop, or ./tests/run"
        );
        let settings = json!({
            "base_url": BASE,
            "access_token_lifetime": ACCESS_TOKEN_LIFETIME,
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
            .set("RUST_LOG", "trace")
    }

    async fn events(&self, browser: &Browser) -> Value {
        browser
            .fetch(&format!("{}/control/events", self.issuer))
            .await
            .json()
    }
}

/// Signs in with the provider's own forms: name and password, then consent.
async fn sign_in(browser: &Browser, user: &str) -> Answer {
    let mut page = browser
        .follow(browser.navigate("/auth/login?return_to=/profile").await)
        .await;
    for prompt in ["login", "consent"] {
        let forms = html::forms(&page.body);
        let asked = ("prompt".to_owned(), prompt.to_owned());
        let form = forms
            .iter()
            .find(|form| form.inputs.contains(&asked))
            .unwrap_or_else(|| panic!("no {prompt} form: {}", page.describe()));
        let fields: Vec<_> = form
            .inputs
            .iter()
            .map(|(name, value)| match name.as_str() {
                "login" | "password" => (name.clone(), user.to_owned()),
                _ => (name.clone(), value.clone()),
            })
            .collect();
        page = browser.follow(browser.press(&page, form, &fields).await).await;
    }
    page
}

/// Signs out here and there, by the provider's confirmation form.
async fn sign_out(browser: &Browser) -> Answer {
    let page = browser.follow(browser.submit("/auth/logout", &[]).await).await;
    page.assert_status(200);
    let forms = html::forms(&page.body);
    let form = forms
        .first()
        .unwrap_or_else(|| panic!("no form to confirm: {}", page.describe()));
    let mut fields = form.inputs.clone();
    fields.push(("logout".to_owned(), "yes".to_owned()));
    browser.follow(browser.press(&page, form, &fields).await).await
}

async fn whole_visit(stage: Stage, settings: impl FnOnce(Environment, &Provider) -> Environment) {
    let provider = Provider::start().await;
    let app = stage
        .start(&settings(provider.environment(&stage), &provider))
        .await;
    let browser = stage.browser(&app, BASE);

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

async fn with_a_secret(framework: Framework) {
    Stage::run(framework, Carrier::Cookie, |stage| {
        whole_visit(stage, |environment, _| {
            environment
                .set("AUTH_CLIENT_ID", "secret-client")
                .set("AUTH_CLIENT_SECRET", "s&cret+1:%25 /=~not-for-the-logs")
        })
    })
    .await;
}

async fn with_signed_assertions_and_es256(framework: Framework) {
    Stage::run(framework, Carrier::Cookie, |stage| {
        whole_visit(stage, |environment, provider| {
            environment
                .set("AUTH_CLIENT_ID", "assertion-client")
                .set("AUTH_CLIENT_AUTH", "private_key_jwt")
                .set("AUTH_CLIENT_KEY", provider.key.display())
        })
    })
    .await;
}

mod axum {
    use auth_tests::Framework;

    #[tokio::test]
    #[ignore = "needs node; run ./tests/run"]
    async fn signs_in_refreshes_and_signs_out_with_a_secret() {
        super::with_a_secret(Framework::Axum).await;
    }

    #[tokio::test]
    #[ignore = "needs node; run ./tests/run"]
    async fn signs_in_refreshes_and_signs_out_with_signed_assertions() {
        super::with_signed_assertions_and_es256(Framework::Axum).await;
    }
}

mod actix {
    use auth_tests::Framework;

    #[tokio::test]
    #[ignore = "needs node; run ./tests/run"]
    async fn signs_in_refreshes_and_signs_out_with_a_secret() {
        super::with_a_secret(Framework::Actix).await;
    }

    #[tokio::test]
    #[ignore = "needs node; run ./tests/run"]
    async fn signs_in_refreshes_and_signs_out_with_signed_assertions() {
        super::with_signed_assertions_and_es256(Framework::Actix).await;
    }
}
