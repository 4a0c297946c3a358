//! Encrypted tokens (RFC 7516): whatever a provider encrypts is decrypted first, and then verified as always.

use auth_core::config::ResponseMode;
use auth_core::{Auth, AuthBuilder};
use auth_testing::{Endpoint, Fault, encrypt};
use serde_json::{Value, json};

use crate::par::private_key;
use crate::provider_logout;
use crate::world::{BASE, CLIENT, LIFE, World, assert_page, location};

/// A provider that encrypts ID tokens for the application's key.
async fn world(set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> (World, Value) {
    let key = private_key();
    let world = World::with(|builder| set(builder.decryption_key_pem(&key))).await;
    let jwks = world.auth.client_jwks().expect("a key set");
    encrypt_id_tokens(&world, &jwks);
    (world, jwks)
}

fn encrypt_id_tokens(world: &World, jwks: &Value) {
    let jwks = jwks.clone();
    world.control().tamper_token_response(move |response| {
        if let Some(token) = response.get("id_token").and_then(Value::as_str) {
            let encrypted = encrypt(token, &jwks);
            response.insert("id_token".to_owned(), json!(encrypted));
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §3.1.3.7, §10.2; RFC 7516 §5.2
async fn encrypted_id_tokens_sign_in_and_refresh() {
    let (world, _) = world(|builder| builder).await;
    world.control().set_refresh_id_token(true);
    let id = world.sign_in().await;
    assert_eq!(world.session(&id).await.subject(), "ada");
    world.clock.advance(LIFE);
    let session = world.session(&id).await;
    world.auth.access_token(&session).await.unwrap();
    assert_eq!(world.control().refresh_count(), 1);
    assert_eq!(world.session(&id).await.subject(), "ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect RP-Initiated Logout §2
async fn the_provider_is_shown_the_signed_token_at_sign_out() {
    let (world, _) = world(|builder| builder).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let url = location(&browser.logout().await);
    let (_, hint) = url.split_once("id_token_hint=").expect("a hint");
    let hint = hint.split('&').next().unwrap();
    assert_eq!(hint.split('.').count(), 3, "{hint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §3.1.3.7; RFC 8725 §2.2
async fn what_was_encrypted_has_to_be_signed_all_the_same() {
    let (world, jwks) = world(|builder| builder).await;
    world.control().corrupt_id_token_signature(true);
    let reply = world.browser().try_sign_in("/").await;
    assert_page(&reply, 502, "id_token.signature_invalid");
    world.control().clear_tampering();
    // Encrypted twice is not signed.
    let keys = jwks.clone();
    world.control().tamper_token_response(move |response| {
        let token = response["id_token"].as_str().unwrap();
        response.insert(
            "id_token".to_owned(),
            json!(encrypt(&encrypt(token, &keys), &keys)),
        );
    });
    let reply = world.browser().try_sign_in("/").await;
    assert_page(&reply, 502, "id_token.encrypted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §3.1.3.7
async fn an_encrypted_id_token_needs_its_key() {
    let (world, _) = world(|builder| builder).await;
    for key in [None, Some(private_key())] {
        let auth = world
            .instance_with(|builder| match &key {
                Some(key) => builder.decryption_key_pem(key),
                None => builder,
            })
            .await;
        let reply = world.browser_of(&auth).try_sign_in("/").await;
        assert_page(&reply, 502, "id_token.encrypted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §10.2.1
async fn keys_are_changed_as_signing_keys_are() {
    let (old, new) = (private_key(), private_key());
    let world = World::with(|builder| builder.decryption_key_pem(&new).decryption_key_pem(&old)).await;
    let jwks = world.auth.client_jwks().unwrap();
    let [first, second] = [0, 1].map(|at| json!({"keys": [jwks["keys"][at]]}));
    for jwks in [first, second] {
        encrypt_id_tokens(&world, &jwks);
        world.sign_in().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §5.3.2
async fn userinfo_may_be_signed_and_encrypted() {
    let (world, jwks) = world(|builder| builder).await;
    let answer = |claims: Value| {
        let signed = world.control().sign_jwt("JWT", claims.as_object().unwrap());
        Fault::body(200, "application/jwt", encrypt(&signed, &jwks))
    };
    let claims = json!({"sub": "ada", "iss": world.provider.issuer(), "aud": CLIENT, "nickname": "Countess"});
    world.control().fail(Endpoint::Userinfo, answer(claims));
    let session = world.session(&world.sign_in().await).await;
    assert_eq!(session.claims().get("nickname"), Some(&json!("Countess")));

    world
        .control()
        .fail(Endpoint::Userinfo, answer(json!({"sub": "eve"})));
    let reply = world.browser().try_sign_in("/").await;
    assert_page(&reply, 502, "userinfo.subject_mismatch");
    // Encrypted and not signed is by nobody.
    let bare = Fault::body(200, "application/jwt", encrypt(r#"{"sub":"ada"}"#, &jwks));
    world.control().fail(Endpoint::Userinfo, bare);
    let reply = world.browser().try_sign_in("/").await;
    assert_page(&reply, 502, "userinfo.signature_invalid");
}

/// Encrypts the signed authorization response.
fn encrypt_responses(world: &World, jwks: &Value) {
    let jwks = jwks.clone();
    world.control().tamper_callback(move |parameters| {
        for (name, value) in parameters {
            if name == "response" {
                *value = encrypt(value, &jwks);
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.2, §2.4
async fn an_encrypted_authorization_response_signs_in() {
    let (world, jwks) = world(|builder| builder.response_mode(ResponseMode::Jwt)).await;
    encrypt_responses(&world, &jwks);
    let mut browser = world.browser();
    let url = browser.begin("/here").await;
    let target = browser.approve(&url).await;
    assert_eq!(target.split('.').count(), 5, "{target}");
    assert_eq!(location(&browser.callback(&target).await), "/here");
    // In a browser that is signed in, the same answer goes on to the app.
    assert_eq!(location(&browser.callback(&target).await), "/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.4
async fn an_encrypted_authorization_response_needs_its_key() {
    let (world, jwks) = world(|builder| builder.response_mode(ResponseMode::Jwt)).await;
    encrypt_responses(&world, &jwks);
    for key in [None, Some(private_key())] {
        let auth = world
            .instance_with(|builder| {
                let builder = builder.response_mode(ResponseMode::Jwt);
                match &key {
                    Some(key) => builder.decryption_key_pem(key),
                    None => builder,
                }
            })
            .await;
        let reply = world.browser_of(&auth).try_sign_in("/").await;
        assert_page(&reply, 400, "login.response_encrypted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Back-Channel Logout §2.4
async fn an_encrypted_logout_token_ends_sessions() {
    let (world, jwks) = world(|builder| builder).await;
    let id = world.sign_in().await;
    let token = provider_logout::token(&world, json!({"sub": "ada"}));
    let without_key = world.instance().await;
    let encrypted = encrypt(&token, &jwks);
    assert_eq!(provider_logout::send(&without_key, &encrypted).await.status, 400);
    world.session(&id).await;
    assert_eq!(provider_logout::send(&world.auth, &encrypted).await.status, 200);
    world.auth.authenticate(Some(&id)).await.expect_err("signed out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §10.2.1
async fn the_public_halves_are_published_beside_those_that_sign() {
    let (signing, decrypting) = (private_key(), private_key());
    let build = |signing: &str, decrypting: &str| {
        Auth::builder()
            .base_url(BASE)
            .issuer("https://id.example")
            .client(CLIENT, None)
            .client_key_pem(signing)
            .decryption_key_pem(decrypting)
            .build()
    };
    let jwks = build(&signing, &decrypting).await.unwrap().client_jwks().unwrap();
    let uses: Vec<_> = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["use"])
        .collect();
    assert_eq!(uses, ["sig", "enc"]);
    // One key is not for both (RFC 8725 §3.2; NIST SP 800-57 part 1 §5.2).
    let error = build(&signing, &signing).await.unwrap_err();
    assert_eq!(error.variable(), "AUTH_DECRYPTION_KEY");
    let error = build(&signing, "nonsense").await.unwrap_err();
    assert_eq!(error.variable(), "AUTH_DECRYPTION_KEY");
    assert!(!error.to_string().contains('\n'), "{error}");
}
