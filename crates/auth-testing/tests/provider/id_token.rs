//! ID tokens, keys, userinfo, metadata.

use auth_testing::{OldKeys, PublicKey, SigningAlgorithm};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::{CLIENT, Harness, answer, parts};

/// Verifies a token with what `/jwks` publishes, by code that shares nothing with the provider's.
async fn verifies(harness: &Harness, token: &str) -> bool {
    let jwks = harness.get(&harness.url("/jwks")).await.json();
    let (header, _) = parts(token);
    let keys = jwks["keys"].as_array().unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"] == header["kid"]) else {
        return false;
    };
    assert_eq!(key["alg"], header["alg"]);
    let member = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let rsa = |parameters: &'static RsaParameters| {
        let key = RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        };
        key.verify(parameters, message.as_bytes(), &signature)
    };
    let point = || [vec![4], member("x"), member("y")].concat();
    match header["alg"].as_str().unwrap() {
        "RS256" => rsa(&RSA_PKCS1_2048_8192_SHA256),
        "PS256" => rsa(&RSA_PSS_2048_8192_SHA256),
        "ES256" => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point()).verify(message.as_bytes(), &signature)
        }
        "ES384" => {
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point()).verify(message.as_bytes(), &signature)
        }
        "EdDSA" => UnparsedPublicKey::new(&ED25519, member("x")).verify(message.as_bytes(), &signature),
        other => panic!("unexpected algorithm {other}"),
    }
    .is_ok()
}

#[tokio::test]
async fn id_token_verifies_with_the_published_key_in_every_algorithm() {
    for (algorithm, name) in [
        (SigningAlgorithm::Rs256, "RS256"),
        (SigningAlgorithm::Ps256, "PS256"),
        (SigningAlgorithm::Es256, "ES256"),
        (SigningAlgorithm::Es384, "ES384"),
        (SigningAlgorithm::EdDsa, "EdDSA"),
    ] {
        let harness = Harness::start_with(|builder| builder.signing_algorithm(algorithm)).await;
        let tokens = harness.sign_in().await;
        for token in ["id_token", "access_token"] {
            let token = tokens.text(token);
            assert_eq!(parts(&token).0["alg"], name);
            assert!(verifies(&harness, &token).await, "{name}");
        }
    }
}

#[tokio::test] // OIDC Core §2, §3.1.3.6
async fn id_token_has_the_claims_that_were_asked_for() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    let (header, claims) = parts(&tokens.text("id_token"));
    assert_eq!(header["typ"], "JWT");
    assert_eq!(claims["iss"], harness.provider.issuer());
    assert_eq!(claims["aud"], CLIENT);
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["nonce"], "the-nonce");
    assert_eq!(claims["email"], "alice@example.com");
    assert_eq!(claims["roles"], json!(["admin"]));
    let access = tokens.text("access_token");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, access.as_bytes());
    let half = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
    assert_eq!(claims["at_hash"], half);
    for name in ["exp", "iat", "auth_time", "acr", "amr", "sid"] {
        assert!(claims.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn rotated_keys_are_published_and_old_ones_stay_or_go() {
    let harness = Harness::start().await;
    let before = harness.sign_in().await.text("id_token");
    harness.control().rotate_keys(OldKeys::Keep);
    let after = harness.sign_in().await.text("id_token");
    assert_ne!(parts(&before).0["kid"], parts(&after).0["kid"]);
    assert!(verifies(&harness, &before).await);
    assert!(verifies(&harness, &after).await);

    harness.control().rotate_keys(OldKeys::Remove);
    assert!(!verifies(&harness, &before).await);
    assert!(!verifies(&harness, &after).await);
    let newest = harness.sign_in().await.text("id_token");
    assert!(verifies(&harness, &newest).await);
}

#[tokio::test]
async fn id_tokens_can_be_made_wrong() {
    let harness = Harness::start().await;
    let control = harness.control();

    control.sign_with_unpublished_key(true);
    assert!(!verifies(&harness, &harness.sign_in().await.text("id_token")).await);
    control.clear_tampering();

    control.corrupt_id_token_signature(true);
    assert!(!verifies(&harness, &harness.sign_in().await.text("id_token")).await);
    control.clear_tampering();

    control.unsigned_id_token(true);
    let token = harness.sign_in().await.text("id_token");
    assert_eq!(parts(&token).0["alg"], "none");
    assert!(token.ends_with('.'));
    control.clear_tampering();

    control.hs256_id_token(Some(b"a public key".to_vec()));
    let token = harness.sign_in().await.text("id_token");
    let (message, tag) = token.rsplit_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a public key");
    let tag = URL_SAFE_NO_PAD.decode(tag).unwrap();
    assert!(hmac::verify(&key, message.as_bytes(), &tag).is_ok());
    control.clear_tampering();

    control.tamper_id_token(|header, claims| {
        header.insert("typ".into(), json!("other"));
        claims.remove("nonce");
        claims.insert("aud".into(), json!(["somebody-else"]));
    });
    let token = harness.sign_in().await.text("id_token");
    let (header, claims) = parts(&token);
    assert_eq!(header["typ"], "other");
    assert_eq!(claims["aud"], json!(["somebody-else"]));
    assert!(!claims.contains_key("nonce"));
    assert!(verifies(&harness, &token).await);
    control.clear_tampering();

    let token = harness.sign_in().await.text("id_token");
    assert_eq!(parts(&token).0["typ"], "JWT");
    assert!(verifies(&harness, &token).await);
}

#[tokio::test]
async fn other_answers_can_be_made_wrong() {
    let harness = Harness::start().await;
    let control = harness.control();
    control.tamper_token_response(|answer| {
        answer.remove("token_type");
    });
    control.tamper_discovery(|document| {
        document.insert("issuer".into(), json!("http://other.example"));
    });
    control.tamper_jwks(|jwks| {
        jwks.insert("keys".into(), json!([]));
    });
    control.tamper_userinfo(|claims| {
        claims.insert("sub".into(), json!("mallory"));
    });
    control.tamper_callback(|params| params.retain(|(name, _)| name != "iss"));

    let callback = harness.approve(&[]).await.callback_url;
    assert_eq!(crate::harness::param(&callback, "iss"), None);
    let tokens = harness.sign_in().await;
    assert!(tokens.json()["token_type"].is_null());
    let discovery = harness.url("/.well-known/openid-configuration");
    let document = harness.get(&discovery).await.json();
    assert_eq!(document["issuer"], "http://other.example");
    let jwks = harness.get(&harness.url("/jwks")).await.json();
    assert_eq!(jwks, json!({ "keys": [] }));
    let userinfo = harness.http.get(harness.url("/userinfo"));
    let userinfo = answer(userinfo.bearer_auth(tokens.text("access_token"))).await;
    assert_eq!(userinfo.json()["sub"], "mallory");
}

#[tokio::test] // OIDC Core §5.3
async fn userinfo_wants_a_good_access_token() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    let ask = |token: String| {
        let request = harness.http.get(harness.url("/userinfo"));
        answer(request.bearer_auth(token))
    };
    let good = ask(tokens.text("access_token")).await.json();
    assert_eq!(good["sub"], "alice");
    assert_eq!(good["email"], "alice@example.com");
    let bad = ask(tokens.text("id_token")).await;
    assert_eq!(bad.status, 401);
    assert!(bad.header("www-authenticate").contains("invalid_token"));
    let none = harness.get(&harness.url("/userinfo")).await;
    assert_eq!(none.header("www-authenticate"), "Bearer");
}

#[tokio::test] // OIDC Discovery §4.3
async fn metadata_is_complete_and_names_this_issuer() {
    let harness = Harness::start().await;
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        let document = harness.get(&harness.url(path)).await.json();
        let issuer = harness.provider.issuer();
        assert_eq!(document["issuer"], issuer);
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(document["authorization_response_iss_parameter_supported"], true);
        for (name, value) in document.as_object().unwrap() {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                assert!(value.as_str().unwrap().starts_with(issuer), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn signs_any_claims_on_demand() {
    let harness = Harness::start().await;
    let claims = json!({ "sub": "alice", "events": {} });
    let Value::Object(claims) = claims else {
        unreachable!("an object literal")
    };
    let token = harness.control().sign_jwt("logout+jwt", &claims);
    assert!(verifies(&harness, &token).await);
    let (header, signed) = parts(&token);
    assert_eq!(header["typ"], "logout+jwt");
    assert_eq!(signed, claims);
}

#[test]
fn public_keys_of_other_kinds_are_refused() {
    assert!(PublicKey::from_pem("no PEM").is_err());
    assert!(PublicKey::from_jwk(&json!({ "kty": "oct", "k": "AAAA" })).is_err());
    assert!(PublicKey::from_jwk(&json!({ "kty": "RSA", "e": "AQAB" })).is_err());
}

#[tokio::test]
async fn keys_can_be_added_and_signed_with() {
    let harness = Harness::start().await;
    let control = harness.control();
    let first = parts(&harness.sign_in().await.text("id_token")).0["kid"].clone();
    let second = control.add_key(SigningAlgorithm::EdDsa);
    assert_eq!(control.jwks()["keys"].as_array().unwrap().len(), 2);
    let metadata = harness
        .get(&harness.url("/.well-known/openid-configuration"))
        .await;
    let advertised = metadata.json()["id_token_signing_alg_values_supported"].clone();
    assert_eq!(advertised, json!(["RS256", "EdDSA"]));
    assert_eq!(parts(&harness.sign_in().await.text("id_token")).0["kid"], first);

    control.sign_with(&second);
    control.sign_with("a kid that no key has");
    let token = harness.sign_in().await.text("id_token");
    assert_eq!(parts(&token).0["kid"], json!(second));
    assert!(verifies(&harness, &token).await);
}

#[tokio::test] // OIDC Core §5.3.2
async fn userinfo_can_be_signed() {
    let harness = Harness::start().await;
    harness.control().set_signed_userinfo(true);
    let tokens = harness.sign_in().await;
    let request = harness
        .http
        .get(harness.url("/userinfo"))
        .bearer_auth(tokens.text("access_token"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/jwt");
    let token = answer.text().await.unwrap();
    assert!(verifies(&harness, &token).await);
    let (_, claims) = parts(&token);
    assert_eq!(claims["iss"], harness.provider.issuer());
    assert_eq!(claims["aud"], harness.provider.client_id());
    assert!(claims["sub"].is_string());
}
