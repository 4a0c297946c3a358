//! A relying party just big enough to talk to the provider.

use std::time::Duration;

use auth_core::clock::TestClock;
use auth_testing::{Approval, Client, Control, DevProvider, DevProviderBuilder};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value};
use url::Url;

pub(crate) const CALLBACK: &str = "http://127.0.0.1:3000/auth/callback";
pub(crate) const HOME: &str = "http://127.0.0.1:3000/";
pub(crate) const CLIENT: &str = "client:with space";
pub(crate) const SECRET: &str = "s3cret/with+signs%";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const SCOPE: &str = "openid profile email offline_access";

pub(crate) struct Harness {
    pub(crate) provider: DevProvider,
    pub(crate) clock: TestClock,
    pub(crate) http: reqwest::Client,
}

/// An answer, read in full.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self, member: &str) -> String {
        let json = self.json();
        let value = json[member].as_str();
        value
            .unwrap_or_else(|| panic!("no {member} in {json}"))
            .to_owned()
    }
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    pub(crate) async fn start_with(set: impl FnOnce(DevProviderBuilder) -> DevProviderBuilder) -> Self {
        let client = Client::confidential(CLIENT, SECRET)
            .redirect_uri(CALLBACK)
            .post_logout_redirect_uri(HOME);
        Self::start_client(client, set).await
    }

    pub(crate) async fn start_client(
        client: Client,
        set: impl FnOnce(DevProviderBuilder) -> DevProviderBuilder,
    ) -> Self {
        let clock = TestClock::new();
        let builder = DevProvider::builder().clock(clock.clock()).client(client);
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            provider: set(builder).start().await.unwrap(),
            clock,
            http,
        }
    }

    pub(crate) fn control(&self) -> &Control {
        self.provider.control()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.provider.issuer())
    }

    /// An authorization request; `change` replaces or (where empty) removes parameters.
    pub(crate) fn authorization_url(&self, change: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()));
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", self.provider.client_id()),
            ("redirect_uri", CALLBACK),
            ("scope", SCOPE),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in change {
            params.retain(|(known, _)| known != name);
            if !value.is_empty() {
                params.push((name, value));
            }
        }
        let url = Url::parse_with_params(&self.url("/authorize"), params).unwrap();
        url.into()
    }

    pub(crate) async fn approve(&self, change: &[(&str, &str)]) -> Approval {
        let url = self.authorization_url(change);
        self.provider.approve(&url, "alice").await.unwrap()
    }

    pub(crate) async fn code(&self) -> String {
        param(&self.approve(&[]).await.callback_url, "code").unwrap()
    }

    /// A token request with the client's Basic credentials.
    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(self.url("/token"));
        answer(request.header("authorization", basic(CLIENT, SECRET)).form(form)).await
    }

    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    pub(crate) async fn sign_in(&self) -> Answer {
        let answer = self.redeem(&self.code().await).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        answer(self.http.get(url)).await
    }

    /// Calls the first demo API.
    pub(crate) async fn api(&self, path: &str, token: &str) -> Answer {
        let url = format!("{}{path}", self.provider.api_url());
        answer(self.http.get(url).bearer_auth(token)).await
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    }
}

/// A Basic header as RFC 6749 §2.3.1 wants it: both parts form-urlencoded.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id), encode(secret));
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Basic {encoded}")
}

pub(crate) fn param(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    let mut values = url.query_pairs().filter(|(n, _)| n == name);
    values.next().map(|(_, value)| value.into_owned())
}

/// Header and claims of a JWT, unverified.
pub(crate) fn parts(token: &str) -> (Map<String, Value>, Map<String, Value>) {
    let mut parts = token.split('.').map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&json).unwrap_or_default()
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

pub(crate) fn is_form(answer: &Answer) -> bool {
    answer.headers[CONTENT_TYPE] == "text/html; charset=utf-8"
}
