//! Interoperability: both applications at an `oidc-provider` that knows them by their certificate (RFC 8705), binds access tokens to it,
//! and encrypts ID tokens, userinfo and authorization responses for their key (RFC 7516).
//!
//! Needs node and the packages of `tests/interop`; `./tests/run` sees to both.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use auth_testing::mtls::{Authority, Identity};
use auth_tests::jar::unix_now;
use auth_tests::stage::BASE;
use auth_tests::{Answer, Browser, Carrier, Framework, Stage, html, wait};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How the client authenticates, and how tokens are encrypted for it.
#[derive(Clone, Copy)]
struct Way {
    method: &'static str,
    alg: &'static str,
    enc: &'static str,
}

/// The running provider; it ends when its standard input closes.
struct Provider {
    issuer: String,
    tls: String,
    _process: Child,
}

impl Provider {
    async fn start(way: Way, authority: &Authority) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
        let server = authority.server();
        let settings = json!({
            "base_url": BASE,
            "method": way.method,
            "alg": way.alg,
            "enc": way.enc,
            "certificate": server.certificate,
            "key": server.key,
            "authority": authority.pem(),
        });
        let mut process = Command::new("node")
            .arg("certificates.mjs")
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
        let (issuer, tls) = line.split_once(" and ").unwrap();
        Self {
            issuer: issuer.strip_prefix("listening on ").unwrap().to_owned(),
            tls: tls.to_owned(),
            _process: process,
        }
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

/// A private key that this way of encryption needs, PKCS#8 in PEM form.
fn decryption_key(way: Way) -> String {
    let der = if way.alg.starts_with("RSA") {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref().to_vec()
    } else {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        key.to_pkcs8v1().unwrap().as_ref().to_vec()
    };
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    )
}

async fn whole_visit(stage: Stage, way: Way) {
    let authority = Authority::new();
    let provider = Provider::start(way, &authority).await;
    let identity = match way.method {
        "tls_client_auth" => authority.client("app"),
        _ => Identity::self_signed("app"),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let environment = stage
        .bare_environment()
        .set("AUTH_BASE_URL", BASE)
        .set("AUTH_ISSUER", &provider.issuer)
        .set("AUTH_SECRET", auth_tests::stage::SECRET)
        .set("AUTH_CLIENT_ID", "certified-client")
        .set("AUTH_CLIENT_AUTH", way.method)
        // Certificate and key in one file.
        .set(
            "AUTH_CLIENT_CERT",
            file(
                "client.pem",
                &format!("{}\n{}", identity.key, identity.certificate),
            ),
        )
        .set("AUTH_CERT_BOUND_TOKENS", "true")
        .set(
            "AUTH_DECRYPTION_KEY",
            file("decryption.pem", &decryption_key(way)),
        )
        .set("AUTH_CA_FILE", file("roots.pem", &authority.pem()))
        .set("AUTH_RESPONSE_MODE", "jwt")
        .set("AUTH_SCOPES", "openid email offline_access")
        .set("AUTH_AUTHORIZE_PARAMS", "prompt=consent")
        .set("API_URL", format!("{}/api", provider.tls))
        .set("RUST_LOG", "trace");
    let app = stage.start(&environment).await;
    let browser = stage.browser(&app, BASE);
    let found = format!("{}/control/app?origin=http://{}", provider.issuer, app.address());
    browser.fetch(&found).await.assert_status(200);

    let request = browser.navigate("/auth/login?return_to=/").await;
    let page = sign_in(&browser, request).await;
    page.assert_status(200);
    assert_eq!(page.url.path(), "/", "{}", page.describe());
    browser.assert_signed_in_as("ada").await;
    let session = browser.session().await;
    assert_eq!(session["user"]["email"], "ada@example.com", "from userinfo");

    // Once dead, the access token is refreshed, and the new one is bound as well.
    let dies_at = session["access_token_expires_at"].as_u64().unwrap();
    wait::until("the access token is dead", Duration::from_secs(30), || async {
        unix_now() > dies_at
    })
    .await;
    browser.fetch("/api/me").await.assert_status(200);

    let events: Value = browser
        .fetch(&format!("{}/control/events", provider.issuer))
        .await
        .json();
    assert_eq!(events["refresh_token.consumed"], 1, "{events}");
    assert_eq!(
        (&events["api_bound"], &events["api_unbound"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        events["access_tokens"],
        json!([identity.thumbprint, identity.thumbprint]),
        "{events}"
    );
    for name in [
        "authorization.error",
        "grant.error",
        "server_error",
        "userinfo.error",
    ] {
        assert_eq!(events[name], 0, "{name}: {events}");
    }
}

macro_rules! both {
    ($($name:ident: $way:expr;)*) => {
        mod axum {
            $(both!($name, Axum, $way);)*
        }
        mod actix {
            $(both!($name, Actix, $way);)*
        }
    };
    ($name:ident, $framework:ident, $way:expr) => {
        #[tokio::test]
        #[ignore = "needs node; run ./tests/run"]
        async fn $name() {
            use super::*;
            Stage::run(Framework::$framework, Carrier::Cookie, |stage| whole_visit(stage, $way)).await;
        }
    };
}

both! {
    a_certificate_of_an_authority_and_tokens_for_a_p_256_key:
        Way { method: "tls_client_auth", alg: "ECDH-ES+A256KW", enc: "A256GCM" };
    a_self_signed_certificate_and_tokens_for_an_rsa_key:
        Way { method: "self_signed_tls_client_auth", alg: "RSA-OAEP-256", enc: "A128CBC-HS256" };
}
