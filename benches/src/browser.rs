//! A browser at an example application, as far as the measurements need one.

use std::net::SocketAddr;
use std::time::Duration;

use auth_testing::DevProvider;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Method, Response};

use crate::Failure;
use crate::world::{BASE_URL, CLIENT, SECRET, cookie_of};

/// An answer that takes longer has got lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a silent connection is kept for the next request.
const KEPT: Duration = Duration::from_secs(3);

/// The environment that connects an application to the provider.
pub(crate) fn environment(provider: &DevProvider, store: &str) -> Vec<(&'static str, String)> {
    vec![
        ("APP_ADDR", "127.0.0.1:0".to_owned()),
        ("AUTH_BASE_URL", BASE_URL.to_owned()),
        ("AUTH_ISSUER", provider.issuer().to_owned()),
        ("AUTH_CLIENT_ID", CLIENT.to_owned()),
        ("AUTH_CLIENT_SECRET", SECRET.to_owned()),
        // Nothing but this benchmark's own sessions is sealed with it.
        ("AUTH_SECRET", "5e".repeat(32)),
        ("AUTH_STORE", store.to_owned()),
        ("API_URL", provider.api_url().to_owned()),
        ("API2_URL", provider.api2_url().to_owned()),
        ("RUST_LOG", "error".to_owned()),
    ]
}

#[derive(Clone, Debug)]
pub(crate) struct Browser(reqwest::Client);

impl Browser {
    pub(crate) fn new() -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // actix-web closes a connection that was silent for 5 s, maybe while the next request is on its way.
            .pool_idle_timeout(KEPT)
            .timeout(PATIENCE);
        Ok(Self(client.build()?))
    }

    /// A script's request.
    pub(crate) async fn ask(
        &self,
        method: Method,
        address: SocketAddr,
        path: &str,
        cookie: &str,
    ) -> Result<Response, reqwest::Error> {
        let request = self.0.request(method, format!("http://{address}{path}"));
        let request = request.header("accept", "*/*").header("x-csrf", "1");
        request.header(COOKIE, cookie).send().await
    }

    /// A whole sign-in; the session's cookie.
    pub(crate) async fn sign_in(
        &self,
        provider: &DevProvider,
        address: SocketAddr,
        user: &str,
    ) -> Result<String, Failure> {
        let navigate = |url: String| self.0.get(url).header("accept", "text/html");
        let begun = navigate(format!("http://{address}/auth/login?return_to=/api/ping"));
        let begun = begun.send().await?;
        let status = begun.status();
        let (Some(to), Some(attempt)) = (text(begun.headers(), LOCATION), cookie(begun.headers(), "")) else {
            return Err(format!("a sign-in does not begin: {status}").into());
        };
        let approval = provider.approve(&to, user).await?;
        let path = approval.callback_url.trim_start_matches(BASE_URL);
        let done = navigate(format!("http://{address}{path}"));
        let done = done.header(COOKIE, attempt).send().await?;
        let session = cookie(done.headers(), "auth_session=");
        session.ok_or_else(|| format!("a sign-in failed: {}", done.status()).into())
    }
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// `name=value` of the first `Set-Cookie` line that begins so.
fn cookie(headers: &HeaderMap, begins: &str) -> Option<String> {
    let mut lines = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let line = lines.find(|line| line.starts_with(begins))?;
    Some(cookie_of(line).to_owned())
}
