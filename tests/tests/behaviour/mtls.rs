//! Mutual TLS (RFC 8705) over real connections, and encrypted tokens (RFC 7516): a client with a certificate and keys of its own.

use std::time::Duration;

use auth_testing::mtls::{Authority, Gateway, Identity};
use auth_testing::{Client, DevProvider, Endpoint, encrypt};
use auth_tests::stage::{BASE, CLIENT_ID, Environment};
use auth_tests::{App, Browser, Stage, World};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::modes::key_pair;

/// A provider and an API that demand certificates, each on a port of its own beside the plain one.
struct Scene {
    world: World,
    authority: Authority,
    identity: Identity,
    gateway: Gateway,
    api: Gateway,
    folder: TempDir,
}

impl Scene {
    /// The application authenticates with its certificate, and has tokens bound to it.
    async fn start(stage: &Stage) -> Self {
        let provider = stage
            .provider_for(Client::public(CLIENT_ID), BASE)
            .start()
            .await
            .unwrap();
        stage.watch(&provider);
        let authority = Authority::new();
        let identity = authority.client(CLIENT_ID);
        let gateway = Gateway::start(&authority, provider.issuer()).await.unwrap();
        let api = Gateway::start(&authority, provider.api_url()).await.unwrap();
        gateway.alias(&provider);
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(stage, &provider, &api, &authority, &identity, &folder);
        let app = stage.start(&environment).await;
        let browser = stage.browser(&app, BASE);
        Self {
            world: World {
                provider,
                app,
                browser,
            },
            authority,
            identity,
            gateway,
            api,
            folder,
        }
    }

    /// The same application with another certificate.
    async fn with_certificate(&self, stage: &Stage, identity: &Identity) -> (App, Browser) {
        let (provider, authority) = (&self.world.provider, &self.authority);
        let app = stage
            .start(&environment(
                stage,
                provider,
                &self.api,
                authority,
                identity,
                &self.folder,
            ))
            .await;
        let browser = stage.browser(&app, BASE);
        (app, browser)
    }

    #[track_caller]
    fn assert_ours(&self, gateway: &Gateway) {
        let seen = gateway.seen();
        assert!(!seen.is_empty());
        assert!(seen.iter().all(|seen| *seen == self.identity.thumbprint));
        assert_eq!(gateway.refused(), 0);
    }
}

fn environment(
    stage: &Stage,
    provider: &DevProvider,
    api: &Gateway,
    authority: &Authority,
    identity: &Identity,
    folder: &TempDir,
) -> Environment {
    let file = |name: &str, content: &str| {
        let path = folder.path().join(format!("{}-{name}", identity.thumbprint));
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    stage.secret(identity.key.clone());
    stage
        .environment(provider)
        .unset("AUTH_CLIENT_SECRET")
        .set("AUTH_CLIENT_AUTH", "tls_client_auth")
        .set("AUTH_CLIENT_CERT", file("certificate.pem", &identity.certificate))
        .set("AUTH_CLIENT_KEY", file("key.pem", &identity.key))
        .set("AUTH_CERT_BOUND_TOKENS", "true")
        .set("AUTH_CA_FILE", file("roots.pem", &authority.pem()))
        .set("API_URL", api.url())
}

// RFC 8705 §2, §3, §5
pub(crate) async fn a_certificate_signs_in_refreshes_and_calls_apis(stage: Stage) {
    let scene = Scene::start(&stage).await;
    let (world, control) = (&scene.world, scene.world.provider.control());
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    scene.assert_ours(&scene.gateway);
    let token = control.requests(Endpoint::Token).remove(0);
    assert_eq!(token.form("client_id"), Some(CLIENT_ID));
    assert_eq!(token.form("client_secret"), None);

    // The token is dead: a refresh first, and then the API over TLS.
    let me = world.browser.fetch("/api/me").await;
    me.assert_status(200);
    assert_eq!(control.refresh_count(), 1);
    scene.assert_ours(&scene.api);
    let proxied = world
        .browser
        .fetch("/proxy/api/users/me")
        .header("x-csrf", "1")
        .await;
    proxied.assert_status(200);
    scene.assert_ours(&scene.api);

    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    assert_eq!(control.count(Endpoint::Revoke), 2);
    scene.assert_ours(&scene.gateway);
}

// RFC 8705 §2
pub(crate) async fn a_certificate_that_is_not_registered_is_refused_with_a_page(stage: Stage) {
    const REFUSED: &str = "login.client_certificate_refused";
    let scene = Scene::start(&stage).await;
    scene.gateway.register(&scene.identity);
    for (identity, codes) in [
        (scene.authority.client("another"), &[REFUSED][..]),
        // With TLS 1.3 the request is on its way when the handshake fails, and the client may learn no more than that.
        (
            Authority::new().client("stranger"),
            &[REFUSED, "login.token_unavailable"],
        ),
    ] {
        let (app, browser) = scene.with_certificate(&stage, &identity).await;
        let request = scene.world.begin(&browser, "/auth/login").await;
        let page = scene.world.finish(&browser, &request, "alice").await;
        let code = page.assert_failure(502..=503);
        assert!(codes.contains(&&*code), "{code}");
        browser.assert_signed_out().await;
        drop(app);
    }
    assert_eq!(scene.world.provider.control().count(Endpoint::Token), 0);
    scene.world.sign_in("alice").await;
}

// OpenID Connect Core §10.2; RFC 7516 §5.2
pub(crate) async fn encrypted_id_tokens_are_decrypted_with_the_published_key(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decryption.pem");
    let (private, _) = key_pair("P-256");
    std::fs::write(&path, &private).unwrap();
    stage.secret(private);
    let world = stage
        .world_with(|settings| settings.set("AUTH_DECRYPTION_KEY", path.display()))
        .await;
    let published = world.browser.fetch("/auth/jwks").await;
    published.assert_status(200);
    let jwks: Value = serde_json::from_str(&published.body).unwrap();
    let encrypt_for = jwks.clone();
    world.provider.control().set_refresh_id_token(true);
    world.provider.control().tamper_token_response(move |response| {
        if let Some(token) = response.get("id_token").and_then(Value::as_str) {
            let encrypted = encrypt(token, &encrypt_for);
            response.insert("id_token".to_owned(), json!(encrypted));
        }
    });
    world
        .provider
        .control()
        .next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    world.browser.fetch("/api/me").await.assert_status(200);
    assert_eq!(world.provider.control().refresh_count(), 1);
    world.browser.assert_signed_in_as("alice").await;

    // Without the key nobody is signed in, and the page says what is missing.
    let app = stage.start(&stage.environment(&world.provider)).await;
    let browser = stage.browser(&app, BASE);
    let request = world.begin(&browser, "/auth/login").await;
    let page = world.finish(&browser, &request, "alice").await;
    assert_eq!(page.failure_code().as_deref(), Some("id_token.encrypted"));
    browser.assert_signed_out().await;
}
