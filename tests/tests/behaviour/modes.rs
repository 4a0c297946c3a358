//! Other ways to talk to a provider: form_post, plain OAuth 2.0, client authentication.

use std::collections::HashSet;

use auth_testing::{Client, Endpoint, PublicKey};
use auth_tests::stage::{BASE, CLIENT_ID, CLIENT_SECRET, Environment, HTTPS_BASE};
use auth_tests::{Answer, Browser, Site, Stage, World};
use aws_lc_rs::encoding::AsDer;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};
use url::Url;

use crate::login::parameters;

/// A world whose application has an https origin, as behind a proxy that ends TLS.
pub(crate) async fn https_world(stage: &Stage, settings: impl FnOnce(Environment) -> Environment) -> World {
    let provider = stage.provider_for(Client::confidential(CLIENT_ID, CLIENT_SECRET), HTTPS_BASE);
    stage
        .world_of(provider, |environment| {
            settings(environment.set("AUTH_BASE_URL", HTTPS_BASE))
        })
        .await
}

/// The form that the provider's page sends by itself.
pub(crate) async fn form_response(
    world: &World,
    browser: &Browser,
    user: &str,
) -> (Url, Vec<(String, String)>) {
    let request = world.begin(browser, "/auth/login?return_to=/profile").await;
    assert_eq!(parameters(&request)["response_mode"], "form_post");
    let approval = world.provider.approve(request.as_str(), user).await.unwrap();
    (
        Url::parse(&approval.callback_url).unwrap(),
        approval.form.expect("a form"),
    )
}

pub(crate) async fn post(browser: &Browser, url: &Url, form: &[(String, String)], site: Site) -> Answer {
    let fields: Vec<_> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser
        .request(Method::POST, url.as_str())
        .navigation(site)
        .form(&fields)
        .await
}

// RFC 9700 §4.3.1; Form Post Response Mode §2
pub(crate) async fn form_post_over_https_comes_from_another_site(stage: Stage) {
    let world = https_world(&stage, |settings| settings.set("AUTH_RESPONSE_MODE", "form_post")).await;
    let (url, form) = form_response(&world, &world.browser, "alice").await;
    let seen = world.browser.jar().seen().to_vec();
    assert!(
        seen.iter()
            .any(|cookie| cookie.header.contains("SameSite=None") && cookie.accepted)
    );
    let answer = post(&world.browser, &url, &form, Site::CrossSite).await;
    answer.assert_status(303).assert_no_store();
    assert_eq!(answer.location().path(), "/profile");
    world.browser.assert_signed_in_as("alice").await;
    let session = world.browser.session_cookie().await;
    let seen = world.browser.jar().seen().to_vec();
    let header = &seen
        .iter()
        .rfind(|cookie| cookie.header.starts_with(&session.name))
        .unwrap()
        .header;
    assert!(header.contains("SameSite=Lax"), "the session's cookie is Lax");
}

// RFC 9700 §4.12; Form Post Response Mode §2
pub(crate) async fn form_post_works_on_loopback(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_RESPONSE_MODE", "form_post"))
        .await;
    let (url, form) = form_response(&world, &world.browser, "alice").await;
    post(&world.browser, &url, &form, Site::SameSite)
        .await
        .assert_status(303);
    world.browser.assert_signed_in_as("alice").await;
}

// Form Post Response Mode §2
pub(crate) async fn a_repeated_form_post_from_another_site_gets_a_page(stage: Stage) {
    let world = https_world(&stage, |settings| settings.set("AUTH_RESPONSE_MODE", "form_post")).await;
    let (url, form) = form_response(&world, &world.browser, "alice").await;
    post(&world.browser, &url, &form, Site::CrossSite)
        .await
        .assert_status(303);
    // It brings no Lax cookie, so it counts as not signed in.
    post(&world.browser, &url, &form, Site::CrossSite)
        .await
        .assert_failure(400..=499);
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 6749 §10.12; Form Post Response Mode §2
pub(crate) async fn a_forged_form_post_signs_nobody_in(stage: Stage) {
    let world = https_world(&stage, |settings| settings.set("AUTH_RESPONSE_MODE", "form_post")).await;
    let attacker = world.browser.fresh();
    let (url, form) = form_response(&world, &attacker, "bob").await;
    post(&world.browser, &url, &form, Site::CrossSite)
        .await
        .assert_failure(400..=499);
    world.browser.assert_signed_out().await;
    assert_eq!(world.provider.control().count(Endpoint::Token), 0);
}

/// The settings of a plain OAuth 2.0 provider, from the development provider's own endpoints.
pub(crate) async fn plain(stage: &Stage, more: impl FnOnce(Environment, &Value) -> Environment) -> World {
    let provider = stage.provider().start().await.unwrap();
    stage.watch(&provider);
    let metadata: Value = reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .unwrap()
        .get(format!("{}/.well-known/openid-configuration", provider.issuer()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let of = |name: &str| metadata[name].as_str().unwrap().to_owned();
    let environment = stage
        .environment(&provider)
        .unset("AUTH_ISSUER")
        .set("AUTH_SCOPES", "profile email offline_access")
        .set("AUTH_AUTHORIZATION_URL", of("authorization_endpoint"))
        .set("AUTH_TOKEN_URL", of("token_endpoint"));
    let app = stage.start(&more(environment, &metadata)).await;
    let browser = stage.browser(&app, BASE);
    World {
        provider,
        app,
        browser,
    }
}

// RFC 7636 §4.3; RFC 9207 §2.4
pub(crate) async fn plain_oauth_needs_no_discovery_and_no_id_token(stage: Stage) {
    let world = plain(&stage, |settings, _| settings).await;
    let control = world.provider.control();
    let asked = control.count(Endpoint::Discovery);
    let request = world.begin(&world.browser, "/auth/login?return_to=/api/me").await;
    let asked_for = parameters(&request);
    assert!(
        !asked_for["scope"].split(' ').any(|scope| scope == "openid"),
        "{}",
        asked_for["scope"]
    );
    assert_eq!(asked_for["code_challenge_method"], "S256");
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_redirect();
    let session = world.browser.session().await;
    assert_eq!(
        (&session["authenticated"], &session["user"]),
        (&json!(true), &json!({}))
    );
    world.browser.fetch("/api/me").await.assert_status(200);
    assert_eq!(
        (
            control.count(Endpoint::Discovery),
            control.count(Endpoint::Jwks),
            control.count(Endpoint::Userinfo)
        ),
        (asked, 0, 0)
    );
    let logout = world.browser.submit("/auth/logout", &[]).await;
    assert_eq!(logout.assert_status(303).location().as_str(), format!("{BASE}/"));
    world.browser.assert_signed_out().await;
}

pub(crate) async fn plain_oauth_takes_the_user_from_userinfo(stage: Stage) {
    let world = plain(&stage, |settings, metadata| {
        settings
            .set("AUTH_SCOPES", "openid profile email offline_access")
            .set(
                "AUTH_USERINFO_URL",
                metadata["userinfo_endpoint"].as_str().unwrap(),
            )
            .set(
                "AUTH_REVOCATION_URL",
                metadata["revocation_endpoint"].as_str().unwrap(),
            )
    })
    .await;
    world.sign_in("alice").await;
    let session = world.browser.session().await;
    assert_eq!(
        (&session["user"]["sub"], &session["user"]["email"]),
        (&json!("alice"), &json!("alice@example.com"))
    );
    world.browser.submit("/auth/logout", &[]).await.assert_status(303);
    assert!(world.provider.control().count(Endpoint::Revoke) >= 1);
}

pub(crate) async fn plain_oauth_takes_the_user_from_introspection(stage: Stage) {
    let world = plain(&stage, |settings, metadata| {
        settings.set(
            "AUTH_INTROSPECTION_URL",
            metadata["introspection_endpoint"].as_str().unwrap(),
        )
    })
    .await;
    world.sign_in("alice").await;
    assert_eq!(world.browser.session().await["user"]["sub"], "alice");
    assert!(world.provider.control().count(Endpoint::Introspect) >= 1);
}

// RFC 6749 §3.3
pub(crate) async fn plain_oauth_reads_scopes_with_commas_and_users_with_numbers(stage: Stage) {
    let world = plain(&stage, |settings, metadata| {
        settings
            .set("AUTH_SCOPES", "openid offline_access mail.read")
            .set(
                "AUTH_USERINFO_URL",
                metadata["userinfo_endpoint"].as_str().unwrap(),
            )
    })
    .await;
    let control = world.provider.control();
    control
        .tamper_token_response(|response| drop(response.insert("scope".into(), json!("profile,mail.read"))));
    control.tamper_userinfo(|claims| {
        claims.clear();
        claims.insert("id".into(), json!(583_231));
        claims.insert("email".into(), Value::Null);
    });
    world.sign_in("alice").await;
    world.browser.fetch("/api/mail").await.assert_status(200);
    let session = world.browser.session().await;
    assert_eq!(session["scopes"], json!(["profile", "mail.read"]));
    assert_eq!(session["user"], json!({"id": 583_231, "email": null}));
    let logout = world.browser.submit("/auth/logout", &[]).await;
    assert_eq!(logout.assert_status(303).location().as_str(), format!("{BASE}/"));
}

pub(crate) async fn plain_oauth_refreshes(stage: Stage) {
    let world = plain(&stage, |settings, _| settings).await;
    world
        .provider
        .control()
        .next_access_token_lifetime(std::time::Duration::ZERO);
    world.sign_in("alice").await;
    world.browser.fetch("/api/me").await.assert_status(200);
    assert_eq!(world.provider.control().refresh_count(), 1);
}

/// Signs in, refreshes and signs out with this registration, and gives the requests to the token endpoint.
async fn whole_life(
    stage: &Stage,
    client: Client,
    settings: impl FnOnce(Environment) -> Environment,
) -> World {
    let world = stage.world_of(stage.provider_for(client, BASE), settings).await;
    world
        .provider
        .control()
        .next_access_token_lifetime(std::time::Duration::ZERO);
    world.sign_in("alice").await;
    world.browser.fetch("/api/me").await.assert_status(200);
    assert_eq!(world.provider.control().refresh_count(), 1);
    world.browser.submit("/auth/logout", &[]).await.assert_status(303);
    assert!(world.provider.control().count(Endpoint::Revoke) >= 1);
    world
}

/// Requests that must authenticate the client.
fn authenticated_requests(world: &World) -> Vec<auth_testing::RecordedRequest> {
    let control = world.provider.control();
    [
        control.requests(Endpoint::Token),
        control.requests(Endpoint::Revoke),
    ]
    .concat()
}

// OpenID Connect Core §3.1.3.1; RFC 6749 §2.3, §2.3.1
pub(crate) async fn client_secret_basic_encodes_id_and_secret(stage: Stage) {
    let client_id = "client id:with/odd+characters%&ü";
    let client = Client::confidential(client_id, CLIENT_SECRET);
    let world = whole_life(&stage, client, |settings| {
        settings.set("AUTH_CLIENT_ID", client_id)
    })
    .await;
    for request in authenticated_requests(&world) {
        let header = request.header("authorization").expect("Basic credentials");
        let credentials =
            String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap()).unwrap();
        let (user, password) = credentials.split_once(':').unwrap();
        let decoded: Vec<_> = url::form_urlencoded::parse(format!("{user}={password}").as_bytes())
            .into_owned()
            .collect();
        assert_eq!(decoded, [(client_id.to_owned(), CLIENT_SECRET.to_owned())]);
        assert!(request.form("client_secret").is_none());
    }
}

// OpenID Connect Core §3.1.3.1; RFC 6749 §2.3
pub(crate) async fn client_secret_post_sends_the_secret_in_the_body_only(stage: Stage) {
    let client = Client::secret_post(CLIENT_ID, CLIENT_SECRET);
    let world = whole_life(&stage, client, |settings| {
        settings.set("AUTH_CLIENT_AUTH", "client_secret_post")
    })
    .await;
    for request in authenticated_requests(&world) {
        assert_eq!(
            (request.form("client_id"), request.form("client_secret")),
            (Some(CLIENT_ID), Some(CLIENT_SECRET))
        );
        assert!(request.header("authorization").is_none());
    }
}

// OpenID Connect Core §3.1.3.1; RFC 6749 §4.1.3; RFC 10017 §6.1.3.1
pub(crate) async fn a_public_client_sends_its_id(stage: Stage) {
    let world = whole_life(&stage, Client::public(CLIENT_ID), |settings| {
        settings.unset("AUTH_CLIENT_SECRET")
    })
    .await;
    for request in authenticated_requests(&world) {
        assert_eq!(
            (request.form("client_id"), request.form("client_secret")),
            (Some(CLIENT_ID), None)
        );
        assert!(request.header("authorization").is_none());
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

/// A new key: the private one as PKCS#8 PEM, the public one as SPKI PEM.
pub(crate) fn key_pair(kind: &str) -> (String, String) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
    let (private, public) = match kind {
        "RSA" => {
            let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
            let public =
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap();
            let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap();
            (private.as_ref().to_vec(), public.as_ref().to_vec())
        }
        "P-256" => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let public =
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap();
            (
                key.to_pkcs8v1().unwrap().as_ref().to_vec(),
                public.as_ref().to_vec(),
            )
        }
        "Ed25519" => {
            let key = Ed25519KeyPair::generate().unwrap();
            let public =
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap();
            (
                key.to_pkcs8v1().unwrap().as_ref().to_vec(),
                public.as_ref().to_vec(),
            )
        }
        _ => unreachable!(),
    };
    (pem("PRIVATE KEY", &private), pem("PUBLIC KEY", &public))
}

// OpenID Connect Core §3.1.3.1; OpenID Connect Discovery §3; RFC 9700 §2.5
pub(crate) async fn private_key_jwt_signs_a_new_short_assertion_each_time(stage: Stage) {
    for (kind, algorithms) in [
        ("RSA", &["PS256", "RS256"][..]),
        ("P-256", &["ES256"]),
        ("Ed25519", &["EdDSA"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.pem");
        let (private, public) = key_pair(kind);
        std::fs::write(&path, &private).unwrap();
        let client = Client::private_key_jwt(CLIENT_ID, PublicKey::from_pem(&public).unwrap());
        let world = whole_life(&stage, client, |settings| {
            settings
                .unset("AUTH_CLIENT_SECRET")
                .set("AUTH_CLIENT_AUTH", "private_key_jwt")
                .set("AUTH_CLIENT_KEY", path.display())
        })
        .await;
        let mut identifiers = HashSet::new();
        for request in authenticated_requests(&world) {
            assert_eq!(
                request.form("client_assertion_type"),
                Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            );
            assert!(request.header("authorization").is_none() && request.form("client_secret").is_none());
            let assertion = request.form("client_assertion").expect("a client assertion");
            let mut parts = assertion
                .split('.')
                .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
            let header: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
            let claims: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
            assert!(
                algorithms.contains(&header["alg"].as_str().unwrap()),
                "{kind}: {header}"
            );
            assert_eq!(
                (&claims["iss"], &claims["sub"]),
                (&json!(CLIENT_ID), &json!(CLIENT_ID))
            );
            assert_eq!(
                claims["aud"],
                json!(world.provider.issuer()),
                "the issuer, as a plain string"
            );
            let now = auth_tests::jar::unix_now();
            assert!(claims["exp"].as_u64().unwrap() <= now + 300, "{claims}");
            assert!(identifiers.insert(claims["jti"].to_string()), "jti repeats");
        }
    }
}
