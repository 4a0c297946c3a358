//! The only way out: every request to the provider goes through here.
//!
//! No redirects, one time limit for the whole exchange, a limit on the body. Nothing is retried, for the bytes of a
//! request may have left (a refresh token must not be presented twice).

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::redirect::Policy;
use url::Url;

use crate::config::ConfigError;

/// Largest body of a provider's answer that is read, in bytes after decoding.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// How long an unused connection to the provider is kept. Servers close idle ones (node after 5 s), and a request that
/// meets a closing connection fails without anyone knowing whether it was carried out: for a refresh, that costs the
/// session. So none is reused that could be about to close.
const POOL_IDLE: Duration = Duration::from_secs(2);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Makes requests to the provider.
#[derive(Clone)]
pub(crate) struct ProviderHttp {
    client: reqwest::Client,
    timeout: Duration,
}

impl fmt::Debug for ProviderHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderHttp")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A provider's answer, read in whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

impl Answer {
    /// The media type, in lower case, without parameters.
    pub(crate) fn media_type(&self) -> Option<String> {
        let value = self.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next()?.trim().to_ascii_lowercase())
    }

    /// `Retry-After` in seconds (RFC 9110 §10.2.3), kept between a second and an hour. A date is not read.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
        let seconds: u64 = value.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.clamp(1, 3600)))
    }

    /// Whether the status says that the provider, not the request, has a problem that will pass: 5xx or 429.
    pub(crate) fn is_outage(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The connection could not be made; nothing was sent.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// No complete answer within the time limit. The request may have been carried out.
    #[error("no complete answer within the time limit")]
    Timeout,
    /// The connection broke, or what came was not HTTP. The request may have been carried out.
    #[error("the connection broke off")]
    Broken(#[source] reqwest::Error),
    /// The body is larger than 1 MiB.
    #[error("the answer is larger than {MAX_BODY} bytes")]
    TooLarge,
}

impl ProviderHttp {
    /// Builds the client: the system's root certificates and `extra_roots`, a PEM bundle.
    pub(crate) fn new(timeout: Duration, extra_roots: Option<&[u8]>) -> Result<Self, ConfigError> {
        let client = client(extra_roots, |builder| {
            builder
                .redirect(Policy::none())
                .timeout(timeout)
                .pool_idle_timeout(POOL_IDLE)
        })?;
        Ok(Self { client, timeout })
    }

    pub(crate) fn get(&self, url: &Url) -> reqwest::RequestBuilder {
        self.client.get(url.clone())
    }

    pub(crate) fn post_form(&self, url: &Url, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.client
            .post(url.clone())
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    }

    /// Sends the request and reads the answer.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, HttpError> {
        // reqwest's own limit covers the exchange as well; this one also covers what it might leave out.
        tokio::time::timeout(self.timeout, exchange(request))
            .await
            .unwrap_or(Err(HttpError::Timeout))
    }
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<Answer, HttpError> {
    let mut response = request.send().await.map_err(classify)?;
    if response
        .content_length()
        .is_some_and(|length| length > MAX_BODY as u64)
    {
        return Err(HttpError::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(classify)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    })
}

fn classify(error: reqwest::Error) -> HttpError {
    // The URL may hold a code or a token in its query; it never goes into an error.
    let error = error.without_url();
    if error.is_timeout() && !error.is_connect() {
        HttpError::Timeout
    } else if error.is_connect() {
        HttpError::Connect(error)
    } else {
        HttpError::Broken(error)
    }
}

/// A client with the limits that all outbound requests share.
pub(crate) fn client(
    extra_roots: Option<&[u8]>,
    set: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, ConfigError> {
    let roots = match extra_roots {
        None => Vec::new(),
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem)
            .ok()
            .filter(|roots| !roots.is_empty())
            .ok_or_else(|| ConfigError::new("AUTH_CA_FILE", "holds no certificate in PEM form"))?,
    };
    let builder = || {
        set(reqwest::Client::builder()
            .user_agent(concat!("auth-core/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .referer(false))
    };
    builder()
        .tls_certs_merge(roots.iter().cloned())
        .build()
        // A machine without system roots (a bare container) can still talk to those that were given, and to
        // loopback over http.
        .or_else(|_| builder().tls_certs_only(roots.iter().cloned()).build())
        .map_err(|_| ConfigError::new("AUTH_CA_FILE", "these certificates cannot be used for TLS"))
}
