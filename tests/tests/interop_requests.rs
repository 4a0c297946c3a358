//! Interoperability: both applications at an `oidc-provider` that takes signed requests only (RFC 9101), pushed (RFC 9126) or in the URL,
//! signs its responses (JARM), fetches the client's keys from the application, and issues tokens for a resource (RFC 8707) and for
//! what was asked for in detail (RFC 9396); and at one that keeps to the FAPI 2.0 profile, with tokens that are bound to keys and
//! nonces in every proof (RFC 9449).
//!
//! Needs node and the packages of `tests/interop`; `./tests/run` sees to both.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use auth_tests::jar::unix_now;
use auth_tests::stage::BASE;
use auth_tests::{Answer, Browser, Carrier, Framework, Stage, html, wait};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const RESOURCE: &str = "https://api.example/";
const DETAILS: &str = r#"[{"type":"account","actions":["list"]}]"#;

/// The running provider; it ends when its standard input closes.
struct Provider {
    issuer: String,
    _process: Child,
}

/// What the provider demands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demands {
    Signed,
    SignedAndPushed,
    /// All that, and tokens that are bound to keys.
    Fapi,
}

impl Provider {
    async fn start(demands: Demands) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
        let settings = json!({
            "base_url": BASE,
            "require_pushed": demands != Demands::Signed,
            "fapi": demands == Demands::Fapi,
        });
        let mut process = Command::new("node")
            .arg("requests.mjs")
            .current_dir(here)
            .env("SETTINGS", settings.to_string())
            .env("NODE_NO_WARNINGS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("node does not start ({error}): ./tests/run"));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line())
            .await
            .expect("the provider starts in time");
        let line = line
            .unwrap()
            .expect("the provider says where it listens; its error stands above");
        Self {
            issuer: line.strip_prefix("listening on ").unwrap().to_owned(),
            _process: process,
        }
    }

    async fn events(&self, browser: &Browser) -> Value {
        browser
            .fetch(&format!("{}/control/events", self.issuer))
            .await
            .json()
    }
}

/// Signs in with the provider's own forms, from the authorization request on: name and password, then consent.
async fn sign_in(browser: &Browser, request: Answer) -> Answer {
    let mut page = browser.follow(request).await;
    for prompt in ["login", "consent"] {
        let asked = ("prompt".to_owned(), prompt.to_owned());
        let forms = html::forms(&page.body);
        let form = forms
            .iter()
            .find(|form| form.inputs.contains(&asked))
            .unwrap_or_else(|| panic!("no {prompt} form: {}", page.describe()));
        let fields: Vec<_> = form
            .inputs
            .iter()
            .map(|(name, value)| match name.as_str() {
                "login" | "password" => (name.clone(), "ada".to_owned()),
                _ => (name.clone(), value.clone()),
            })
            .collect();
        page = browser.follow(browser.press(&page, form, &fields).await).await;
    }
    page
}

async fn whole_visit(stage: Stage, demands: Demands) {
    let provider = Provider::start(demands).await;
    let (is_pushed, is_bound) = (demands != Demands::Signed, demands == Demands::Fapi);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.pem");
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let key = STANDARD.encode(key.to_pkcs8v1().unwrap().as_ref());
    std::fs::write(
        &path,
        format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"),
    )
    .unwrap();
    let extra = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("prompt", "consent")
        .append_pair("authorization_details", DETAILS)
        .append_pair("claims", r#"{"id_token":{"email":{"essential":true}}}"#)
        .finish();
    let environment = stage
        .bare_environment()
        .set("AUTH_BASE_URL", BASE)
        .set("AUTH_ISSUER", &provider.issuer)
        .set("AUTH_SECRET", auth_tests::stage::SECRET)
        .set("AUTH_CLIENT_ID", "signed-client")
        .set("AUTH_CLIENT_AUTH", "private_key_jwt")
        .set("AUTH_CLIENT_KEY", path.display())
        .set("AUTH_REQUEST_OBJECT", "signed")
        .set("AUTH_RESPONSE_MODE", "jwt")
        .set("AUTH_DPOP", is_bound)
        .set("AUTH_RESOURCE", RESOURCE)
        .set("AUTH_SCOPES", "openid email offline_access")
        .set("AUTH_AUTHORIZE_PARAMS", extra)
        .set("API_URL", format!("{}/api", provider.issuer))
        .set("RUST_LOG", "trace");
    let app = stage.start(&environment).await;
    let browser = stage.browser(&app, BASE);
    let found = format!("{}/control/app?origin=http://{}", provider.issuer, app.address());
    browser.fetch(&found).await.assert_status(200);

    let request = browser.navigate("/auth/login?return_to=/").await;
    let location = request.assert_redirect().location();
    let mut names: Vec<_> = location
        .query_pairs()
        .map(|(name, _)| name.into_owned())
        .collect();
    names.sort();
    if is_pushed {
        assert_eq!(names, ["client_id", "request_uri"]);
    } else {
        assert_eq!(names, ["client_id", "request", "response_type", "scope"]);
    }
    let page = sign_in(&browser, request).await;
    page.assert_status(200);
    assert_eq!(page.url.path(), "/", "{}", page.describe());
    browser.assert_signed_in_as("ada").await;
    let session = browser.session().await;
    assert_eq!(
        session["user"]["email"], "ada@example.com",
        "the claim that was asked for"
    );

    // Once dead, the access token is refreshed for the same resource.
    let dies_at = session["access_token_expires_at"].as_u64().unwrap();
    wait::until("the access token is dead", Duration::from_secs(30), || async {
        unix_now() > dies_at
    })
    .await;
    let me = browser.fetch("/api/me").await;
    assert_eq!(me.assert_status(200).json()["authorized"], true);

    // The nonce of one answer is in the next proof.
    let again = browser.fetch("/api/me").await;
    assert_eq!(again.assert_status(200).json()["authorized"], true);

    let events = provider.events(&browser).await;
    assert_eq!(events["api_nonces"], json!(u64::from(is_bound)), "{events}");
    assert_eq!(
        events["pushed_authorization_request.success"],
        json!(u64::from(is_pushed)),
        "{events}"
    );
    assert_eq!(events["refresh_token.consumed"], 1, "{events}");
    assert!(events["jwks_fetched"].as_u64().unwrap() >= 1, "{events}");
    // A sign-in begins without a nonce, and the first request says so; from then on the latest one is in every proof.
    let demanded = json!(u64::from(is_bound));
    assert_eq!(events["pushed_authorization_request.error"], demanded, "{events}");
    for name in ["authorization.error", "grant.error", "server_error"] {
        assert_eq!(events[name], 0, "{name}: {events}");
    }
    let details: Value = serde_json::from_str(DETAILS).unwrap();
    let tokens = events["access_tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 2, "{events}");
    assert_eq!(tokens[0]["jkt"], tokens[1]["jkt"], "{events}");
    for token in tokens {
        assert_eq!(token["jkt"].is_string(), is_bound, "{events}");
        assert_eq!(
            (&token["audience"], &token["details"]),
            (&json!(RESOURCE), &details),
            "{events}"
        );
    }
}

macro_rules! both {
    ($($name:ident: $demands:expr;)*) => {
        mod axum {
            $(both!($name, Axum, $demands);)*
        }
        mod actix {
            $(both!($name, Actix, $demands);)*
        }
    };
    ($name:ident, $framework:ident, $demands:expr) => {
        #[tokio::test]
        #[ignore = "needs node; run ./tests/run"]
        async fn $name() {
            use super::*;
            Stage::run(Framework::$framework, Carrier::Cookie, |stage| whole_visit(stage, $demands)).await;
        }
    };
}

both! {
    signed_requests_are_pushed_and_signed_responses_come_back: Demands::SignedAndPushed;
    signed_requests_stand_in_the_url_and_signed_responses_come_back: Demands::Signed;
    the_fapi_profile_with_nonces_is_met: Demands::Fapi;
}
