//! Sign-ins that are begun, and whose answers wait at the provider, signed.

use auth_core::clock::Clock;
use auth_core::jose::Algorithm;
use auth_core::{Auth, SecretKeys};
use serde_json::json;
use url::Url;

use super::provider::{Provider, SUBJECT};
use super::signature::Keys;
use crate::{Failure, world};

const CLIENT: &str = "benchmark";

pub(crate) async fn auth(provider: &Provider) -> Result<Auth, Failure> {
    let builder = Auth::builder()
        .base_url("http://127.0.0.1:3000")
        .issuer(provider.issuer())
        .client(CLIENT, Some("the benchmark's client secret"))
        .secret(SecretKeys::random());
    Ok(builder.build().await?)
}

pub(crate) struct Attempts {
    requests: Vec<Vec<u8>>,
    codes: Vec<String>,
    id_tokens: Vec<String>,
}

impl Attempts {
    pub(crate) fn begin(
        auth: &Auth,
        provider: &Provider,
        keys: &Keys,
        algorithm: Algorithm,
        number: usize,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Self, Failure> {
        let mut attempts = Self {
            requests: Vec::new(),
            codes: Vec::new(),
            id_tokens: Vec::new(),
        };
        let now = Clock::system().now().as_secs();
        for _ in 0..number {
            let login = runtime.block_on(auth.login(world::get(auth, "/auth/login", None, None)));
            let cookie = world::cookie_of(world::header(&login, "set-cookie")?);
            let sent = Url::parse(world::header(&login, "location")?)?;
            let parameter = |wanted: &str| {
                let found = sent.query_pairs().find(|(name, _)| name == wanted);
                found
                    .map(|(_, value)| value.into_owned())
                    .ok_or("a parameter is missing")
            };
            let (state, nonce) = (parameter("state")?, parameter("nonce")?);
            let id_token = keys.sign(
                algorithm,
                &json!({
                    "iss": provider.issuer(), "sub": SUBJECT, "aud": CLIENT, "exp": now + 600, "iat": now,
                    "auth_time": now, "nonce": nonce, "sid": "a session of the provider", "roles": ["admin"],
                }),
            )?;
            // No two are alike, and it need not be secret.
            let code = format!("code-for-{state}");
            provider.prepare(&code, &id_token);
            attempts.requests.push(request(&state, &code, cookie));
            attempts.codes.push(code);
            attempts.id_tokens.push(id_token);
        }
        Ok(attempts)
    }

    /// The callbacks, as browsers send them.
    pub(crate) fn requests(&self) -> &[Vec<u8>] {
        &self.requests
    }

    pub(crate) fn codes(&self) -> &[String] {
        &self.codes
    }

    pub(crate) fn id_tokens(&self) -> &[String] {
        &self.id_tokens
    }
}

fn request(state: &str, code: &str, cookie: &str) -> Vec<u8> {
    format!(
        "GET /auth/callback?state={state}&code={code} HTTP/1.1\r\nhost: 127.0.0.1:3000\r\n\
         user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n\
         accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         accept-language: en-US,en;q=0.5\r\nsec-fetch-dest: document\r\nsec-fetch-mode: navigate\r\n\
         sec-fetch-site: cross-site\r\ncookie: {cookie}\r\n\r\n"
    )
    .into_bytes()
}
