//! APIs that are called with access tokens, without any session: what both adapters do alike.

use std::net::TcpListener;
use std::time::Duration;

use auth_core::bearer::ResourceServer;
use auth_core::clock::TestClock;
use auth_core::jose::{Algorithm, SigningKey};
use auth_testing::DevProvider;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use crate::bearer_app;

const API: &str = "https://api.example";

struct Api {
    provider: DevProvider,
    clock: TestClock,
    address: String,
    _server: bearer_app::Server,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    }
}

impl Api {
    async fn start() -> Self {
        let clock = TestClock::new();
        let provider = DevProvider::builder().clock(clock.clock()).start().await.unwrap();
        let server = ResourceServer::builder()
            .issuer(provider.issuer())
            .audience(API)
            .dpop(API)
            .dpop_nonces()
            .clock(clock.clock())
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self {
            provider,
            clock,
            address,
            _server: bearer_app::serve(listener, &server),
        }
    }

    fn token(&self, changes: Value) -> String {
        let now = self.clock.clock().now().as_secs();
        let mut claims = json!({
            "iss": self.provider.issuer(), "sub": "ada", "aud": API, "exp": now + 600, "iat": now, "scope": "read",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.provider
            .control()
            .sign_jwt("at+jwt", claims.as_object().unwrap())
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let mut request = client.get(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    async fn with_token(&self, path: &str, token: &str) -> Answer {
        self.ask(path, &[("authorization", &format!("Bearer {token}"))])
            .await
    }
}

#[tokio::test] // RFC 6750 §2.1, §3
async fn a_token_is_demanded_or_asked_for() {
    let api = Api::start().await;
    let good = api.token(json!({}));
    for path in ["/token", "/maybe", "/option", "/nested/deep/token", "/everything"] {
        let answer = api.with_token(path, &good).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ada"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for path in ["/token", "/everything", "/mail"] {
        let answer = api.ask(path, &[]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "bearer.no_token"),
            "{path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let challenges = answer.headers.get_all("www-authenticate").iter().count();
        assert_eq!(challenges, 2, "Bearer and DPoP");
    }
    for path in ["/maybe", "/option"] {
        assert_eq!(api.ask(path, &[]).await.body, "nobody", "{path}");
    }
    // A browser is told the same: nobody is sent anywhere.
    let answer = api
        .ask(
            "/token",
            &[("accept", "text/html"), ("sec-fetch-mode", "navigate")],
        )
        .await;
    assert_eq!(answer.status, 401);
    let public = api.with_token("/public", "nonsense").await;
    assert_eq!(
        (public.status, public.header("cache-control")),
        (200, ""),
        "nobody has asked"
    );
}

#[tokio::test] // RFC 6750 §3.1
async fn a_bad_token_is_refused_also_where_none_would_do() {
    let api = Api::start().await;
    let other = api.token(json!({"aud": "https://other.example"}));
    for path in ["/token", "/maybe", "/option", "/everything", "/mail"] {
        let answer = api.with_token(path, &other).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "bearer.audience_mismatch"),
            "{path}"
        );
        assert!(
            answer
                .header("www-authenticate")
                .starts_with("Bearer error=\"invalid_token\"")
        );
    }
    let garbage = api.ask("/token", &[("authorization", "Bearer a b")]).await;
    assert_eq!(garbage.status, 400);
}

#[tokio::test] // RFC 6750 §3.1; RFC 9470 §3
async fn gates_protect_what_lies_below_them() {
    let api = Api::start().await;
    let now = api.clock.clock().now().as_secs();
    let answer = api.with_token("/mail", &api.token(json!({}))).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "bearer.scope_missing")
    );
    assert!(answer.header("www-authenticate").ends_with("scope=\"mail.read\""));
    let granted = api.token(json!({"scope": "mail.read"}));
    assert_eq!(api.with_token("/mail", &granted).await.body, "through");

    let stale = api.token(json!({"auth_time": now - 1000}));
    let answer = api.with_token("/fresh", &stale).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "bearer.authentication_insufficient")
    );
    assert!(answer.header("www-authenticate").ends_with("max_age=\"300\""));
    let fresh = api.token(json!({"auth_time": now}));
    assert_eq!(api.with_token("/fresh", &fresh).await.body, "through");
}

#[tokio::test]
async fn the_app_s_own_cache_control_stays() {
    let api = Api::start().await;
    let answer = api.with_token("/cached", &api.token(json!({}))).await;
    assert_eq!(answer.header("cache-control"), "private, max-age=60");
}

fn key() -> SigningKey {
    SigningKey::from_pem(include_str!("bearer_key.pem")).unwrap()
}

#[tokio::test] // RFC 9449 §7.1, §8.2, §9
async fn a_bound_token_is_checked_once_per_request_with_a_nonce_that_is_renewed() {
    let api = Api::start().await;
    let token = api.token(json!({"cnf": {"jkt": key().thumbprint()}}));
    let number = std::cell::Cell::new(0);
    let ask = async |path: &str, nonce: Option<&str>| {
        number.set(number.get() + 1);
        let now = api.clock.clock().now().as_secs();
        let mut claims = json!({
            "jti": number.get().to_string(), "htm": "GET", "htu": format!("{API}{path}"), "iat": now,
            "ath": hash_of(&token),
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let mut header = Map::new();
        header.insert("typ".to_owned(), json!("dpop+jwt"));
        header.insert("jwk".to_owned(), key().public_jwk());
        let proof = key().sign(Algorithm::ES256, header, &claims).unwrap();
        let authorization = format!("DPoP {token}");
        api.ask(path, &[("authorization", &authorization), ("dpop", &proof)])
            .await
    };
    let challenge = ask("/everything", None).await;
    assert_eq!(
        (challenge.status, challenge.code().as_str()),
        (401, "bearer.nonce_needed")
    );
    assert!(
        challenge
            .header("www-authenticate")
            .starts_with("DPoP error=\"use_dpop_nonce\"")
    );
    let nonce = challenge.header("dpop-nonce").to_owned();
    // The handler asks three times, and a gate before it; the proof is used up once.
    for path in ["/everything", "/nested/deep/token"] {
        let answer = ask(path, Some(&nonce)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ada"), "{path}");
        assert_eq!(answer.header("dpop-nonce"), "");
    }
    api.clock.advance(Duration::from_secs(200));
    let renewed = ask("/token", Some(&nonce)).await;
    assert_eq!(renewed.status, 200);
    let next = renewed.header("dpop-nonce").to_owned();
    assert!(!next.is_empty() && next != nonce);
    api.clock.advance(Duration::from_secs(200));
    assert_eq!(ask("/token", Some(&nonce)).await.status, 401);
    assert_eq!(ask("/token", Some(&next)).await.status, 200);
    let as_bearer = api.with_token("/token", &token).await;
    assert_eq!(as_bearer.code(), "bearer.proof_needed");
}

/// RFC 9449 §4.2, `ath`.
fn hash_of(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

#[tokio::test]
async fn without_the_layer_extractors_and_gates_answer_500() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let _server = bearer_app::serve_without_layer(listener);
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    for path in ["/token", "/maybe", "/mail"] {
        let response = client
            .get(format!("http://{address}{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 500, "{path}");
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(problem["code"], "setup.bearer_layer_missing");
    }
}
