//! Signed authorization requests (RFC 9101): in the URL and pushed, with every kind of key.

use std::collections::BTreeMap;

use auth_core::config::ClientAuthMethod;
use auth_core::{Auth, AuthBuilder};
use auth_testing::{Client, Endpoint, Fault};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::par::{always, private_key, public_key, pushed, query};
use crate::world::{BASE, CLIENT, SECRET, World, assert_page, location};

/// A client that authenticates with its secret and signs its requests.
fn client(pem: &str) -> Client {
    Client::confidential(CLIENT, SECRET)
        .redirect_uri(format!("{BASE}/auth/callback"))
        .request_object_key(public_key(pem))
}

async fn world(set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> World {
    let pem = private_key();
    let world = World::with(|builder| set(builder.client_key_pem(&pem).sign_requests())).await;
    world.control().register(client(&pem));
    world.control().require_signed_requests(true);
    world
}

fn part(object: &str, index: usize) -> Value {
    let part = object.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn pem_of(der: &[u8]) -> String {
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9101 §5; OpenID Connect Core §6.1
async fn the_url_carries_the_request_object_and_what_has_to_stand_beside_it() {
    let world = world(|builder| {
        builder
            .authorize_param("max_age", "600")
            .authorize_param("ui_locales", "de")
            .resource("https://a.example")
            .resource("https://b.example")
    })
    .await;
    let mut browser = world.browser();
    let url = browser.begin("/here").await;
    let carried: BTreeMap<_, _> = query(&url).into_iter().collect();
    let names: Vec<_> = carried.keys().map(String::as_str).collect();
    assert_eq!(names, ["client_id", "request", "response_type", "scope"]);
    assert_eq!(
        (
            &*carried["client_id"],
            &*carried["response_type"],
            &*carried["scope"]
        ),
        (CLIENT, "code", "openid")
    );
    let (header, claims) = (part(&carried["request"], 0), part(&carried["request"], 1));
    assert_eq!(header, json!({"alg": "ES256", "typ": "oauth-authz-req+jwt"}));
    assert_eq!(claims["aud"], world.provider.issuer());
    assert_eq!(
        (&claims["max_age"], &claims["ui_locales"]),
        (&json!(600), &json!("de"))
    );
    assert_eq!(
        claims["resource"],
        json!(["https://a.example", "https://b.example"])
    );
    for name in ["state", "nonce", "code_challenge", "redirect_uri"] {
        assert!(claims[name].is_string(), "{name}");
    }
    let target = browser.approve(&url).await;
    assert_eq!(location(&browser.callback(&target).await), "/here");
    assert!(browser.session().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9126 §3
async fn a_request_object_is_pushed_with_nothing_beside_it() {
    let world = world(always).await;
    let mut browser = world.browser();
    let url = browser.begin("/here").await;
    let names: Vec<_> = query(&url).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    let names: Vec<_> = pushed(&world).into_keys().collect();
    assert_eq!(names, ["client_id", "request"]);
    let target = browser.approve(&url).await;
    assert_eq!(location(&browser.callback(&target).await), "/here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9101 §10.1
async fn every_kind_of_key_signs() {
    let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let rsa = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
    let ed25519 = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let world = World::start().await;
    world.control().require_signed_requests(true);
    for (pem, advertised, algorithm) in [
        (pem_of(rsa.as_ref()), None, "PS256"),
        (pem_of(rsa.as_ref()), Some(json!(["RS256", "ES256"])), "RS256"),
        (pem_of(ed25519.as_ref()), None, "EdDSA"),
        (private_key(), None, "ES256"),
    ] {
        // The same key authenticates the client.
        let client = Client::private_key_jwt(CLIENT, public_key(&pem));
        let client = client.redirect_uri(format!("{BASE}/auth/callback"));
        world.control().register(client);
        world.control().tamper_discovery(move |document| {
            if let Some(advertised) = &advertised {
                let name = "request_object_signing_alg_values_supported".to_owned();
                document.insert(name, advertised.clone());
            }
        });
        let auth = world
            .instance_with(|builder| {
                builder
                    .client_key_pem(&pem)
                    .client_auth(ClientAuthMethod::PrivateKeyJwt)
                    .sign_requests()
            })
            .await;
        let mut browser = world.browser_of(&auth);
        let url = browser.begin("/").await;
        let object = query(&url)
            .into_iter()
            .find(|(name, _)| name == "request")
            .unwrap()
            .1;
        assert_eq!(part(&object, 0)["alg"], algorithm);
        let target = browser.approve(&url).await;
        assert_eq!(browser.callback(&target).await.status, 303, "{algorithm}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9101 §7
async fn a_provider_that_does_not_accept_the_signature_says_so() {
    let world = world(always).await;
    // Another key is registered.
    world.control().register(client(&private_key()));
    assert_page(
        &world.browser().login("/").await,
        502,
        "login.request_object_refused",
    );
    let refused = Fault::oauth(400, "request_not_supported");
    world
        .control()
        .fail_next(Endpoint::PushedAuthorization, 1, refused);
    assert_page(
        &world.browser().login("/").await,
        502,
        "login.request_object_refused",
    );
}

#[tokio::test] // RFC 9101 §10.8
async fn claims_of_the_request_object_are_no_parameters() {
    let pem = private_key();
    let builder = || {
        Auth::builder()
            .base_url(BASE)
            .issuer("https://id.example")
            .client(CLIENT, Some(SECRET))
            .client_key_pem(&pem)
            .authorize_param("sub", "somebody")
    };
    let error = builder().sign_requests().build().await.unwrap_err();
    assert_eq!(error.variable(), "AUTH_AUTHORIZE_PARAMS");
    builder().build().await.unwrap();
    let error = Auth::builder()
        .base_url(BASE)
        .issuer("https://id.example")
        .client(CLIENT, Some(SECRET))
        .sign_requests()
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.variable(), "AUTH_CLIENT_KEY");
}
