//! Client authentication, client credentials, token exchange, revocation, introspection.

use auth_core::clock::TestClock;
use auth_testing::{Client, PublicKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{Answer, CALLBACK, CLIENT, Harness, SECRET, answer, basic, parts};

async fn token_request(harness: &Harness, auth: Option<&str>, form: &[(&str, &str)]) -> Answer {
    let mut request = harness.http.post(harness.url("/token")).form(form);
    if let Some(auth) = auth {
        request = request.header("authorization", auth);
    }
    answer(request).await
}

const MACHINE: (&str, &str) = ("grant_type", "client_credentials");

#[tokio::test] // RFC 6749 §2.3.1
async fn basic_client_gets_in_by_encoded_basic_only() {
    let harness = Harness::start().await;
    let good = basic(CLIENT, SECRET);
    assert_eq!(token_request(&harness, Some(&good), &[MACHINE]).await.status, 200);

    let unencoded = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let wrong = basic(CLIENT, "wrong");
    let unknown = basic("somebody-else", SECRET);
    for header in [&unencoded, &wrong, &unknown, "Basic !!", "Bearer x"] {
        let refused = token_request(&harness, Some(header), &[MACHINE]).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.text("error"), "invalid_client");
        assert!(refused.header("www-authenticate").starts_with("Basic"));
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    let posted = [MACHINE, ("client_id", CLIENT), ("client_secret", SECRET)];
    let refused = token_request(&harness, None, &posted).await;
    assert_eq!(refused.text("error"), "invalid_client");
    let both = token_request(&harness, Some(&good), &posted).await;
    assert_eq!(both.text("error"), "invalid_request");
    let none = token_request(&harness, None, &[MACHINE, ("client_id", CLIENT)]).await;
    assert_eq!(none.text("error"), "invalid_client");
}

#[tokio::test]
async fn post_client_gets_in_by_post_only() {
    let client = Client::secret_post(CLIENT, SECRET).redirect_uri(CALLBACK);
    let harness = Harness::start_client(client, |builder| builder).await;
    let posted = [MACHINE, ("client_id", CLIENT), ("client_secret", SECRET)];
    assert_eq!(token_request(&harness, None, &posted).await.status, 200);
    let header = basic(CLIENT, SECRET);
    let refused = token_request(&harness, Some(&header), &[MACHINE]).await;
    assert_eq!(refused.text("error"), "invalid_client");
}

#[tokio::test]
async fn public_client_redeems_codes_but_has_no_credentials() {
    let client = Client::public(CLIENT).redirect_uri(CALLBACK);
    let harness = Harness::start_client(client, |builder| builder).await;
    assert_eq!(harness.provider.client_secret(), None);
    let code = harness.code().await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", crate::harness::VERIFIER),
    ];
    assert_eq!(token_request(&harness, None, &form).await.status, 200);
    let refused = token_request(&harness, None, &[MACHINE, ("client_id", CLIENT)]).await;
    assert_eq!(refused.text("error"), "unauthorized_client");
}

fn assertion(key: &EcdsaKeyPair, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(&json!({ "alg": "ES256" })), encode(claims));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fn pem(key: &EcdsaKeyPair) -> String {
    let der = key.public_key().as_der().unwrap();
    let body = STANDARD.encode(der.as_ref());
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}

#[tokio::test] // RFC 7523 §3
async fn assertions_are_checked_in_every_respect() {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let client = Client::private_key_jwt(CLIENT, PublicKey::from_pem(&pem(&key)).unwrap());
    let harness = Harness::start_client(client, |builder| builder).await;
    let now = now(&harness.clock);
    let issuer = harness.provider.issuer();
    let valid = |jti: &str| json!({ "iss": CLIENT, "sub": CLIENT, "aud": issuer, "iat": now, "exp": now + 60, "jti": jti });
    let send = async |assertion: String| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form = [
            MACHINE,
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
        ];
        token_request(&harness, None, &form).await
    };
    let good = assertion(&key, &valid("1"));
    assert_eq!(send(good.clone()).await.status, 200);
    assert_eq!(send(good).await.text("error"), "invalid_client", "replayed");

    let mut broken = vec![assertion(&other, &valid("2"))];
    for (name, value) in [
        ("iss", json!("somebody-else")),
        ("sub", json!("somebody-else")),
        ("aud", json!(harness.url("/token"))),
        ("aud", json!([issuer])),
        ("exp", json!(now - 61)),
        ("exp", json!(now + 3600)),
        ("exp", Value::Null),
        ("jti", Value::Null),
    ] {
        let mut claims = valid("3");
        claims[name] = value;
        broken.push(assertion(&key, &claims));
    }
    for (place, assertion) in broken.into_iter().enumerate() {
        let refused = send(assertion).await;
        assert_eq!(refused.text("error"), "invalid_client", "case {place}");
    }
}

#[tokio::test]
async fn key_given_as_jwk_or_pem_is_the_same() {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = &key.public_key().as_ref()[1..];
    let jwk = json!({
        "kty": "EC",
        "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(&point[..32]),
        "y": URL_SAFE_NO_PAD.encode(&point[32..]),
    });
    let client = Client::private_key_jwt(CLIENT, PublicKey::from_jwk(&jwk).unwrap());
    let harness = Harness::start_client(client, |builder| builder).await;
    let now = now(&harness.clock);
    let issuer = harness.provider.issuer();
    let assertion = assertion(
        &key,
        &json!({ "iss": CLIENT, "sub": CLIENT, "aud": issuer, "exp": now + 60, "jti": "1" }),
    );
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let form = [
        MACHINE,
        ("client_assertion_type", kind),
        ("client_assertion", &assertion),
    ];
    assert_eq!(token_request(&harness, None, &form).await.status, 200);
}

fn now(clock: &TestClock) -> i64 {
    clock.clock().now().as_secs()
}

#[tokio::test] // RFC 6749 §5.2
async fn token_endpoint_refuses_what_is_malformed() {
    let harness = Harness::start().await;
    let unknown = harness.token(&[("grant_type", "password")]).await;
    assert_eq!(unknown.text("error"), "unsupported_grant_type");
    assert_eq!(harness.token(&[]).await.text("error"), "invalid_request");
    let doubled = harness.token(&[MACHINE, MACHINE]).await;
    assert_eq!(doubled.text("error"), "invalid_request");
    let json = harness.http.post(harness.url("/token"));
    let json = answer(
        json.header("authorization", basic(CLIENT, SECRET))
            .json(&json!({})),
    )
    .await;
    assert_eq!(json.text("error"), "invalid_request");
}

#[tokio::test] // RFC 8693 §2
async fn exchange_gives_a_token_for_the_other_audience_and_names_the_actor() {
    let harness = Harness::start().await;
    let subject = harness.sign_in().await.text("access_token");
    let exchange = async |token: &str, audience: &str| {
        harness
            .token(&[
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", token),
                (
                    "subject_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
                ("audience", audience),
            ])
            .await
    };
    let api2 = harness.provider.api2_url();
    let exchanged = exchange(&subject, api2).await;
    assert_eq!(exchanged.status, 200, "{}", exchanged.body);
    assert_eq!(
        exchanged.text("issued_token_type"),
        "urn:ietf:params:oauth:token-type:access_token"
    );
    let token = exchanged.text("access_token");
    let (_, claims) = parts(&token);
    assert_eq!(claims["aud"], api2);
    assert_eq!(claims["sub"], "alice");
    let whoami = harness.http.get(format!("{api2}/whoami"));
    let whoami = answer(whoami.bearer_auth(&token)).await.json();
    assert_eq!(whoami["sub"], "alice");
    assert_eq!(whoami["act"]["sub"], CLIENT);
    assert_eq!(harness.api("/users/me", &token).await.status, 401);

    let refused = exchange(&subject, "http://unknown.example").await;
    assert_eq!(refused.text("error"), "invalid_target");
    harness.control().revoke_user("alice");
    assert_eq!(exchange(&subject, api2).await.text("error"), "invalid_request");
}

async fn call(harness: &Harness, path: &str, auth: &str, token: &str) -> Answer {
    let request = harness.http.post(harness.url(path));
    answer(request.header("authorization", auth).form(&[("token", token)])).await
}

#[tokio::test] // RFC 7009
async fn revoking_an_access_token_ends_that_token_alone() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    let access = tokens.text("access_token");
    let auth = basic(CLIENT, SECRET);
    assert_eq!(call(&harness, "/revoke", &auth, &access).await.status, 200);
    assert_eq!(harness.api("/users/me", &access).await.status, 401);
    let refreshed = harness.refresh(&tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200);
}

#[tokio::test] // RFC 7009 §2.1
async fn revoking_a_refresh_token_ends_everything() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    let refresh = tokens.text("refresh_token");
    let auth = basic(CLIENT, SECRET);
    assert_eq!(call(&harness, "/revoke", &auth, &refresh).await.status, 200);
    assert_eq!(harness.refresh(&refresh).await.text("error"), "invalid_grant");
    let access = tokens.text("access_token");
    assert_eq!(harness.api("/users/me", &access).await.status, 401);
}

#[tokio::test]
async fn revocation_is_for_the_owner() {
    let harness = Harness::start().await;
    let client = Client::confidential("other", "other-secret");
    harness.control().register(client);
    let refresh = harness.sign_in().await.text("refresh_token");
    let auth = basic("other", "other-secret");
    assert_eq!(call(&harness, "/revoke", &auth, &refresh).await.status, 400);
    let nobody = basic("other", "wrong");
    assert_eq!(call(&harness, "/revoke", &nobody, &refresh).await.status, 401);
    assert_eq!(harness.refresh(&refresh).await.status, 200);
    let unknown = call(&harness, "/revoke", &auth, "unknown").await;
    assert_eq!(unknown.status, 200);
}

#[tokio::test] // RFC 7662 §2.2
async fn introspection_tells_good_tokens_from_others() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    let auth = basic(CLIENT, SECRET);
    let access = tokens.text("access_token");
    let good = call(&harness, "/introspect", &auth, &access).await.json();
    assert_eq!(good["active"], true);
    assert_eq!(good["sub"], "alice");
    let refresh = tokens.text("refresh_token");
    let good = call(&harness, "/introspect", &auth, &refresh).await.json();
    assert_eq!(good["active"], true);
    harness.control().revoke_user("alice");
    for token in [access.as_str(), refresh.as_str(), "unknown"] {
        let dead = call(&harness, "/introspect", &auth, token).await;
        assert_eq!(dead.json(), json!({ "active": false }));
    }
    let nobody = call(&harness, "/introspect", &basic(CLIENT, "no"), &access).await;
    assert_eq!(nobody.status, 401);
}
