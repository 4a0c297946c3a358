//! Proofs of possession (RFC 9449): what the provider and the demo APIs demand of them.

use std::time::Duration;

use auth_testing::DpopNonces;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::harness::{Answer, CALLBACK, CLIENT, Harness, SECRET, VERIFIER, answer, basic, param, parts};

/// A client's key, and the proofs that it makes.
struct Key {
    pair: EcdsaKeyPair,
    jwk: Value,
}

impl Key {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        Self { pair, jwk }
    }

    fn thumbprint(&self) -> String {
        let (x, y) = (&self.jwk["x"], &self.jwk["y"]);
        hash(&format!(r#"{{"crv":"P-256","kty":"EC","x":{x},"y":{y}}}"#))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk })
    }

    fn proof(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

impl Harness {
    fn claims(&self, method: &str, url: &str) -> Value {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let now = self.clock.clock().now().as_secs();
        json!({ "jti": number.to_string(), "htm": method, "htu": url, "iat": now })
    }

    /// A token request with these proofs.
    async fn token_with(&self, form: &[(&str, &str)], proofs: &[String]) -> Answer {
        let mut request = self.http.post(self.url("/token"));
        for proof in proofs {
            request = request.header("dpop", proof);
        }
        answer(request.header("authorization", basic(CLIENT, SECRET)).form(form)).await
    }

    async fn asked(&self, key: &Key, form: &[(&str, &str)], nonce: Option<&str>) -> Answer {
        let mut claims = self.claims("POST", &self.url("/token"));
        claims["nonce"] = json!(nonce);
        self.token_with(form, &[key.proof(&claims)]).await
    }

    async fn redeemed(&self, key: &Key, jkt: &str) -> Answer {
        let callback = self.approve(&[("dpop_jkt", jkt)]).await.callback_url;
        let code = param(&callback, "code").unwrap();
        self.asked(key, &code_form(&code), None).await
    }

    async fn bound(&self, key: &Key) -> Answer {
        let answer = self.redeemed(key, &key.thumbprint()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    async fn call(&self, url: &str, scheme: &str, token: &str, proof: Option<String>) -> Answer {
        let mut request = self
            .http
            .get(url)
            .header("authorization", format!("{scheme} {token}"));
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        answer(request).await
    }

    /// A call of the first API with a good proof, but for these changes.
    async fn me(&self, key: &Key, token: &str, changes: Value) -> Answer {
        let url = format!("{}/users/me", self.provider.api_url());
        let mut claims = self.claims("GET", &url);
        claims["ath"] = json!(hash(token));
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.call(&url, "DPoP", token, Some(key.proof(&claims))).await
    }
}

fn code_form(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

#[tokio::test] // RFC 9449 §5, §6.1, §7.1
async fn tokens_are_bound_to_the_key_of_the_proof() {
    let harness = Harness::start().await;
    let key = Key::new();
    let tokens = harness.bound(&key).await;
    assert_eq!(tokens.text("token_type"), "DPoP");
    let token = tokens.text("access_token");
    let (_, claims) = parts(&token);
    assert_eq!(claims["cnf"], json!({ "jkt": key.thumbprint() }));
    assert_eq!(harness.me(&key, &token, json!({})).await.status, 200);

    let url = harness.url("/userinfo");
    let mut claims = harness.claims("GET", &url);
    claims["ath"] = json!(hash(&token));
    assert_eq!(
        harness
            .call(&url, "DPoP", &token, Some(key.proof(&claims)))
            .await
            .status,
        200
    );
}

#[tokio::test] // RFC 9449 §7.1, §7.2
async fn a_bound_token_is_no_bearer_token_and_needs_a_proof_of_its_key() {
    let harness = Harness::start().await;
    let key = Key::new();
    let token = harness.bound(&key).await.text("access_token");
    for url in [
        format!("{}/users/me", harness.provider.api_url()),
        harness.url("/userinfo"),
    ] {
        let refused = harness.call(&url, "Bearer", &token, None).await;
        assert_eq!(refused.status, 401);
        assert!(
            refused
                .header("www-authenticate")
                .starts_with("Bearer error=\"invalid_token\"")
        );
        let refused = harness.call(&url, "DPoP", &token, None).await;
        assert_eq!(refused.status, 401);
        assert!(
            refused
                .header("www-authenticate")
                .starts_with("DPoP error=\"invalid_dpop_proof\"")
        );
    }
    let refused = harness.me(&Key::new(), &token, json!({})).await;
    assert!(
        refused
            .header("www-authenticate")
            .starts_with("DPoP error=\"invalid_token\"")
    );
    let plain = harness.sign_in().await.text("access_token");
    assert_eq!(harness.me(&key, &plain, json!({})).await.status, 401);
}

#[tokio::test] // RFC 9449 §4.3
async fn a_proof_is_for_one_request_at_one_time() {
    let harness = Harness::start().await;
    let key = Key::new();
    let token = harness.bound(&key).await.text("access_token");
    let now = harness.clock.clock().now().as_secs();
    for (changes, status) in [
        (json!({}), 200),
        (json!({ "iat": now - 60 }), 200),
        (json!({ "iat": now + 60 }), 200),
        (json!({ "iat": now - 61 }), 401),
        (json!({ "iat": now + 61 }), 401),
        (json!({ "iat": null }), 401),
        (json!({ "htm": "POST" }), 401),
        (json!({ "htu": "http://127.0.0.1/users/me" }), 401),
        (
            json!({ "htu": format!("{}/users/you", harness.provider.api_url()) }),
            401,
        ),
        (json!({ "jti": null }), 401),
        (json!({ "ath": null }), 401),
        (json!({ "ath": hash("another") }), 401),
        (json!({ "jti": "once" }), 200),
        (json!({ "jti": "once" }), 401),
    ] {
        let answer = harness.me(&key, &token, changes.clone()).await;
        assert_eq!(answer.status, status, "{changes}");
    }
}

#[tokio::test] // RFC 9449 §4.2, §4.3
async fn a_proof_is_signed_by_the_public_key_in_its_header() {
    let harness = Harness::start().await;
    let (key, other) = (Key::new(), Key::new());
    let form = [("grant_type", "client_credentials"), ("scope", "machine")];
    let claims = || harness.claims("POST", &harness.url("/token"));
    let with = |name: &str, value: Value| {
        let mut header = key.header();
        header[name] = value;
        key.sign(&header, &claims())
    };
    let mut private = key.jwk.clone();
    private["d"] = json!("AAAA");
    let good = harness.token_with(&form, &[key.proof(&claims())]).await;
    assert_eq!((good.status, good.text("token_type").as_str()), (200, "DPoP"));
    for proofs in [
        vec![with("typ", json!("JWT"))],
        vec![with("alg", json!("none"))],
        vec![with("jwk", other.jwk.clone())],
        vec![with("jwk", private)],
        vec![with("jwk", Value::Null)],
        vec!["nonsense".to_owned()],
        vec![key.proof(&claims()), key.proof(&claims())],
    ] {
        let refused = harness.token_with(&form, &proofs).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.text("error"), "invalid_dpop_proof");
    }
}

#[tokio::test] // RFC 9449 §10
async fn a_code_is_bound_to_the_key_that_the_request_names() {
    let harness = Harness::start().await;
    let key = Key::new();
    let refused = harness.redeemed(&Key::new(), &key.thumbprint()).await;
    assert_eq!(refused.text("error"), "invalid_grant");
    let callback = harness
        .approve(&[("dpop_jkt", &key.thumbprint())])
        .await
        .callback_url;
    let refused = harness.redeem(&param(&callback, "code").unwrap()).await;
    assert_eq!(refused.text("error"), "invalid_grant");
    let malformed = harness.approve(&[("dpop_jkt", "x")]).await.callback_url;
    assert_eq!(param(&malformed, "error").unwrap(), "invalid_request");
}

#[tokio::test] // RFC 9449 §10.1
async fn a_pushed_request_is_bound_to_the_key_of_its_proof() {
    let harness = Harness::start().await;
    let (key, other) = (Key::new(), Key::new());
    let push = async |jkt: &str| {
        let url = harness.authorization_url(&[("dpop_jkt", jkt)]);
        let query = url.split_once('?').unwrap().1.to_owned();
        let proof = key.proof(&harness.claims("POST", &harness.url("/par")));
        let request = harness.http.post(harness.url("/par"));
        let request = request
            .header("authorization", basic(CLIENT, SECRET))
            .header("dpop", proof);
        answer(
            request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(query),
        )
        .await
    };
    assert_eq!(
        push(&other.thumbprint()).await.text("error"),
        "invalid_dpop_proof"
    );
    for jkt in ["", &key.thumbprint()] {
        let name = push(jkt).await.text("request_uri");
        let url = harness.url(&format!(
            "/authorize?client_id={}&request_uri={name}",
            "client%3Awith%20space"
        ));
        let callback = harness
            .provider
            .approve(&url, "alice")
            .await
            .unwrap()
            .callback_url;
        let code = param(&callback, "code").unwrap();
        let refused = harness.asked(&other, &code_form(&code), None).await;
        assert_eq!(refused.text("error"), "invalid_grant", "{jkt}");
    }
}

#[tokio::test] // RFC 9449 §5
async fn refresh_and_exchange_keep_the_key() {
    let harness = Harness::start().await;
    let (key, other) = (Key::new(), Key::new());
    let tokens = harness.bound(&key).await;
    let refresh = tokens.text("refresh_token");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
    ];
    assert_eq!(
        harness.asked(&other, &form, None).await.text("error"),
        "invalid_grant"
    );
    assert_eq!(harness.token(&form).await.text("error"), "invalid_grant");
    let refreshed = harness.asked(&key, &form, None).await;
    assert_eq!(
        (refreshed.status, refreshed.text("token_type").as_str()),
        (200, "DPoP")
    );

    let subject = refreshed.text("access_token");
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &subject),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", harness.provider.api2_url()),
    ];
    assert_eq!(harness.token(&form).await.status, 400);
    assert_eq!(harness.asked(&other, &form, None).await.status, 400);
    let exchanged = harness.asked(&key, &form, None).await;
    assert_eq!(exchanged.text("token_type"), "DPoP");
    let (_, claims) = parts(&exchanged.text("access_token"));
    assert_eq!(claims["cnf"], json!({ "jkt": key.thumbprint() }));
}

#[tokio::test] // RFC 9449 §8, §9
async fn a_nonce_is_for_one_key_and_one_server_and_every_answer_brings_another() {
    let harness = Harness::start().await;
    let (key, other) = (Key::new(), Key::new());
    let control = harness.control();
    control.set_dpop_nonces(DpopNonces::Demanded);
    control.set_api_dpop_nonces(DpopNonces::Demanded);
    let form = [("grant_type", "client_credentials"), ("scope", "machine")];
    let demand = harness.asked(&key, &form, None).await;
    assert_eq!(
        (demand.status, demand.text("error").as_str()),
        (400, "use_dpop_nonce")
    );
    let nonce = demand.header("dpop-nonce").to_owned();
    let foreign = harness.asked(&other, &form, Some(&nonce)).await;
    assert_eq!(foreign.text("error"), "use_dpop_nonce");
    assert_eq!(control.foreign_dpop_nonces(), 1);
    let good = harness.asked(&key, &form, Some(&nonce)).await;
    assert_eq!(good.status, 200);
    assert!(!good.header("dpop-nonce").is_empty() && good.header("dpop-nonce") != nonce);
    assert_eq!(harness.asked(&key, &form, Some(&nonce)).await.status, 200);

    let token = good.text("access_token");
    let foreign = harness.me(&key, &token, json!({ "nonce": nonce })).await;
    assert!(
        foreign
            .header("www-authenticate")
            .starts_with("DPoP error=\"use_dpop_nonce\"")
    );
    assert_eq!(control.foreign_dpop_nonces(), 2);
    let api = foreign.header("dpop-nonce").to_owned();
    let called = harness.me(&key, &token, json!({ "nonce": api })).await;
    assert_ne!(called.header("dpop-nonce"), "");

    harness.clock.advance(Duration::from_secs(60));
    assert_eq!(
        harness.asked(&key, &form, Some(&nonce)).await.text("error"),
        "use_dpop_nonce"
    );
}

#[tokio::test] // RFC 9449 §8
async fn a_nonce_for_one_use_is_good_once_and_a_void_one_never() {
    let harness = Harness::start().await;
    let key = Key::new();
    harness.control().set_dpop_nonces(DpopNonces::SingleUse);
    let form = [("grant_type", "client_credentials"), ("scope", "machine")];
    let demand = harness.asked(&key, &form, None).await;
    let nonce = demand.header("dpop-nonce").to_owned();
    let good = harness.asked(&key, &form, Some(&nonce)).await;
    assert_eq!(good.status, 200);
    assert_eq!(
        harness.asked(&key, &form, Some(&nonce)).await.text("error"),
        "use_dpop_nonce"
    );
    let next = good.header("dpop-nonce").to_owned();
    harness.control().expire_dpop_nonces();
    assert_eq!(
        harness.asked(&key, &form, Some(&next)).await.text("error"),
        "use_dpop_nonce"
    );
}

#[tokio::test]
async fn a_provider_that_knows_no_proofs_gives_bearer_tokens() {
    let harness = Harness::start().await;
    let supported = async || {
        let document = harness
            .get(&harness.url("/.well-known/openid-configuration"))
            .await;
        let document: Map<String, Value> = serde_json::from_str(&document.body).unwrap();
        document.contains_key("dpop_signing_alg_values_supported")
    };
    assert!(supported().await);
    harness.control().set_dpop(false);
    assert!(!supported().await);
    let key = Key::new();
    let tokens = harness.redeemed(&key, &key.thumbprint()).await;
    assert_eq!(
        (tokens.status, tokens.text("token_type").as_str()),
        (200, "Bearer")
    );
    assert_eq!(
        harness
            .api("/users/me", &tokens.text("access_token"))
            .await
            .status,
        200
    );
}
