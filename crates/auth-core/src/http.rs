//! The only way out: every request to the provider goes through here.
//!
//! No redirects, one time limit for the whole exchange, a limit on the body. Nothing is retried, for the bytes of a
//! request may have left (a refresh token must not be presented twice). Where the client has a certificate, the endpoints
//! that know the client see it, and no other does.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
#[cfg(feature = "testing")]
use futures_util::future::Either;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};
use reqwest::redirect::Policy;
use tokio::time::Instant;
use tracing::Instrument as _;
use url::Url;

use crate::client_certificate::ClientCertificate;
use crate::clock::Timestamp;
use crate::config::ConfigError;
use crate::metrics;
use crate::provider_clock::ProviderClock;
use crate::spans;
#[cfg(feature = "testing")]
use crate::testing::{self, Network};

/// Largest body of a provider's answer that is read, in bytes after decoding.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// How long an unused connection to the provider is kept. Servers close idle ones (node after 5 s), and a request that
/// meets a closing connection fails without anyone knowing whether it was carried out: for a refresh, that costs the
/// session. So none is reused that could be about to close.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(2);

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Makes requests to the provider.
#[derive(Clone)]
pub(crate) struct ProviderHttp {
    client: reqwest::Client,
    /// The same with the client's certificate, where it has one.
    presenting: Option<reqwest::Client>,
    /// Further root certificates, PEM.
    extra_roots: Option<Arc<[u8]>>,
    timeout: Duration,
    /// What compares the clocks, where it is one provider that is asked.
    clock: Option<Arc<ProviderClock>>,
    /// What is asked in the place of all others.
    #[cfg(feature = "testing")]
    network: Option<Network>,
}

impl fmt::Debug for ProviderHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderHttp")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What the provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Discovery,
    Keys,
    PushedAuthorization,
    Token,
    Userinfo,
    Revocation,
    Introspection,
}

impl Asked {
    /// As metrics and spans name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Keys => "jwks",
            Self::PushedAuthorization => "pushed_authorization",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
            Self::Revocation => "revocation",
            Self::Introspection => "introspection",
        }
    }

    /// Whether the answer's `Date` is that of the provider itself. Keys, and what is known of the user, may come from elsewhere.
    const fn tells_the_time(self) -> bool {
        !matches!(self, Self::Keys | Self::Userinfo)
    }

    /// Whether the client shows who it is, or a token that it holds. Documents for everybody may lie anywhere.
    const fn knows_the_client(self) -> bool {
        match self {
            Self::Discovery | Self::Keys => false,
            Self::PushedAuthorization
            | Self::Token
            | Self::Userinfo
            | Self::Revocation
            | Self::Introspection => true,
        }
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

    /// `Date`: the server's own time (RFC 9110 §6.6.1).
    pub(crate) fn date(&self) -> Option<Timestamp> {
        let value = self.headers.get(http::header::DATE)?.to_str().ok()?;
        let since_epoch = httpdate::parse_http_date(value)
            .ok()?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        Some(Timestamp::from_secs(i64::try_from(since_epoch.as_secs()).ok()?))
    }

    /// Whether the status says that the provider, not the request, has a problem that will pass: 5xx or 429.
    pub(crate) fn is_outage(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

/// Why a request to a provider got no answer.
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
    /// The server refuses the client's certificate, or demands one. The request was not carried out.
    #[error("the server does not accept the client's certificate")]
    CertificateRefused(#[source] reqwest::Error),
    /// The lease of the session, which is the right to send the request, ended before the request could leave. It was not sent.
    #[error("the right to send the request ended before it could leave")]
    NotSent,
}

impl HttpError {
    /// As spans name it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "no_connection",
            Self::Timeout => "timeout",
            Self::Broken(_) => "broken_off",
            Self::TooLarge => "too_large",
            Self::CertificateRefused(_) => "certificate_refused",
            Self::NotSent => "not_sent",
        }
    }
}

/// The right to send the body of one request, for a while; and the knowledge of whether it left.
///
/// A refresh token must leave only while its sender holds the session's lease. The connection is made first, and that
/// takes its time, so what counts is the moment when the body goes: then the guard is asked.
#[derive(Clone, Debug)]
pub(crate) struct SendGuard(Arc<Mutex<Sending>>);

#[derive(Debug)]
struct Sending {
    until: Option<Instant>,
    body: BodyIs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyIs {
    Waiting,
    Gone,
    HeldBack,
}

impl SendGuard {
    /// Allows the body to go before `until`.
    pub(crate) fn until(until: Instant) -> Self {
        Self(Arc::new(Mutex::new(Sending {
            until: Some(until),
            body: BodyIs::Waiting,
        })))
    }

    /// Allows the body to go before `until`, if it may go at all still.
    pub(crate) fn prolong(&self, until: Instant) {
        let mut sending = self.lock();
        if sending.until.is_some() {
            sending.until = Some(until);
        }
    }

    /// Says that the request which left was turned away, and that another one is about to be made with the same right.
    pub(crate) fn begin_again(&self) {
        self.lock().body = BodyIs::Waiting;
    }

    /// Takes the right away for good.
    pub(crate) fn revoke(&self) {
        self.lock().until = None;
    }

    /// Asked when the body is about to go.
    fn lets_go(&self) -> bool {
        let mut sending = self.lock();
        let may = sending.until.is_some_and(|until| Instant::now() < until);
        sending.body = if may { BodyIs::Gone } else { BodyIs::HeldBack };
        may
    }

    fn body(&self) -> BodyIs {
        self.lock().body
    }

    fn lock(&self) -> MutexGuard<'_, Sending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that asks its guard when it is about to go. One that is held back fails, and the request with it.
struct Guarded {
    guard: SendGuard,
    bytes: Option<Bytes>,
}

#[derive(Debug, thiserror::Error)]
#[error("held back")]
struct HeldBack;

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = HeldBack;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HeldBack>>> {
        let Some(bytes) = self.bytes.take() else {
            return Poll::Ready(None);
        };
        if self.guard.lets_go() {
            Poll::Ready(Some(Ok(Frame::data(bytes))))
        } else {
            Poll::Ready(Some(Err(HeldBack)))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    /// Exact, so that the request has a length and is not sent in chunks, which some token endpoints do not take.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

impl ProviderHttp {
    /// Builds the client: the system's root certificates and `extra_roots`, a PEM bundle.
    pub(crate) fn new(timeout: Duration, extra_roots: Option<&[u8]>) -> Result<Self, ConfigError> {
        Ok(Self {
            client: limited(timeout, extra_roots, None)?,
            presenting: None,
            extra_roots: extra_roots.map(Arc::from),
            timeout,
            clock: None,
            #[cfg(feature = "testing")]
            network: None,
        })
    }

    /// Asks this network, and nothing else.
    #[cfg(feature = "testing")]
    pub(crate) fn within(network: Network, timeout: Duration) -> Self {
        tracing::warn!("requests to providers and APIs are answered in this process, as a test wants it");
        Self {
            client: testing::nowhere().clone(),
            presenting: None,
            extra_roots: None,
            timeout,
            clock: None,
            network: Some(network),
        }
    }

    /// Sends a request by one of the clients made here.
    pub(crate) fn execute(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
    ) -> impl Future<Output = reqwest::Result<reqwest::Response>> + Send + use<> {
        #[cfg(feature = "testing")]
        let call = match self.network.clone() {
            Some(network) => Either::Left(network.execute(request, self.timeout)),
            None => Either::Right(client.execute(request)),
        };
        #[cfg(not(feature = "testing"))]
        let call = client.execute(request);
        call
    }

    /// The same for one provider, whose endpoints that know the client see this certificate (RFC 8705). Those endpoints share
    /// no connection with any other request.
    pub(crate) fn presenting(&self, certificate: &ClientCertificate) -> Result<Self, ConfigError> {
        let presenting = limited(self.timeout, self.extra_roots.as_deref(), Some(certificate))?;
        Ok(Self {
            presenting: Some(presenting),
            ..self.clone()
        })
    }

    /// The same for one provider, whose answers tell its time.
    pub(crate) fn comparing(&self, clock: Arc<ProviderClock>) -> Self {
        Self {
            clock: Some(clock),
            ..self.clone()
        }
    }

    /// The same for whoever else is asked.
    pub(crate) fn for_others(&self) -> Self {
        Self {
            presenting: None,
            clock: None,
            ..self.clone()
        }
    }

    /// A client for APIs, with the same time limit and roots, which see the certificate where there is one.
    pub(crate) fn for_apis(
        &self,
        certificate: Option<&ClientCertificate>,
        redirects: fn() -> Policy,
    ) -> Result<reqwest::Client, ConfigError> {
        #[cfg(feature = "testing")]
        if self.network.is_some() {
            return Ok(testing::nowhere().clone());
        }
        client(self.extra_roots.as_deref(), certificate, |builder| {
            builder.timeout(self.timeout).redirect(redirects())
        })
    }

    pub(crate) fn get(&self, asked: Asked, url: &Url) -> reqwest::RequestBuilder {
        self.request(asked, Method::GET, url)
    }

    /// RFC 9110 §12.5.3: whoever does not say which codings it takes may get any.
    fn request(&self, asked: Asked, method: Method, url: &Url) -> reqwest::RequestBuilder {
        let presenting = self.presenting.as_ref().filter(|_| asked.knows_the_client());
        presenting
            .unwrap_or(&self.client)
            .request(method, url.clone())
            .header(http::header::ACCEPT_ENCODING, "identity")
    }

    /// A form; with a guard, one that leaves only while that allows it.
    pub(crate) fn post_form(
        &self,
        asked: Asked,
        url: &Url,
        form: &[(&str, &str)],
        guard: Option<&SendGuard>,
    ) -> reqwest::RequestBuilder {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.request(asked, Method::POST, url)
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(match guard {
                None => form.into(),
                Some(guard) => reqwest::Body::wrap(Guarded {
                    guard: guard.clone(),
                    bytes: Some(form.into()),
                }),
            })
    }

    /// Sends the request and reads the answer.
    pub(crate) async fn send(
        &self,
        asked: Asked,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, HttpError> {
        let (client, request) = request.build_split();
        let request = request.map_err(classify)?;
        let span = spans::provider(asked, &request);
        let timing = metrics::Timing::start();
        let clock = self.clock.as_ref().filter(|_| asked.tells_the_time());
        let begun = clock.map(|clock| (clock.now(), Instant::now()));
        // reqwest's own limit covers the exchange as well; this one also covers what it might leave out.
        let result = tokio::time::timeout(self.timeout, self.exchange(&client, request))
            .instrument(span.clone())
            .await
            .unwrap_or(Err(HttpError::Timeout));
        timing.of_provider(asked, &result);
        spans::answered_by_provider(&span, &result);
        if let (Some(clock), Some((before, at)), Ok(answer)) = (clock, begun, &result) {
            clock.hear(answer, before, at.elapsed());
        }
        result
    }

    async fn exchange(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
    ) -> Result<Answer, HttpError> {
        let answer = self.execute(client, request).await;
        let mut response = answer.map_err(classify)?;
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

    /// Sends a request that was made with this guard, and reads the answer; and says whether it left.
    pub(crate) async fn send_guarded(
        &self,
        asked: Asked,
        request: reqwest::RequestBuilder,
        guard: &SendGuard,
    ) -> (Result<Answer, HttpError>, Left) {
        let result = self.send(asked, request).await;
        match (result, guard.body()) {
            (Err(_), BodyIs::HeldBack) => (Err(HttpError::NotSent), Left::No),
            (Err(error), BodyIs::Waiting) => (Err(error), Left::No),
            (result, _) => (result, Left::Yes),
        }
    }
}

/// Whether the body of a request left, so that it may have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Yes,
    No,
}

fn classify(error: reqwest::Error) -> HttpError {
    // The URL may hold a code or a token in its query; it never goes into an error.
    let error = error.without_url();
    if refuses_certificate(&error) {
        HttpError::CertificateRefused(error)
    } else if error.is_timeout() && !error.is_connect() {
        HttpError::Timeout
    } else if error.is_connect() {
        HttpError::Connect(error)
    } else {
        HttpError::Broken(error)
    }
}

/// Whether the server has ended the handshake because of the client's certificate (RFC 8446 §6.2). With TLS 1.3 the client
/// hears of it after it has begun to send; the server has read nothing of that.
fn refuses_certificate(error: &reqwest::Error) -> bool {
    use rustls::AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, DecryptError, UnknownCA, UnsupportedCertificate,
    };
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(rustls::Error::AlertReceived(alert)) = cause.downcast_ref() {
            return matches!(
                alert,
                AccessDenied
                    | BadCertificate
                    | CertificateExpired
                    | CertificateRequired
                    | CertificateRevoked
                    | CertificateUnknown
                    | DecryptError
                    | UnknownCA
                    | UnsupportedCertificate
            );
        }
        // What an I/O error wraps is not its source.
        let wrapped = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    false
}

/// A client for the provider.
fn limited(
    timeout: Duration,
    extra_roots: Option<&[u8]>,
    certificate: Option<&ClientCertificate>,
) -> Result<reqwest::Client, ConfigError> {
    client(extra_roots, certificate, |builder| {
        builder
            .redirect(Policy::none())
            .timeout(timeout)
            .pool_idle_timeout(POOL_IDLE)
            // Another crate of the app may turn reqwest's decoders on. Answers of a provider are small: what is
            // not decoded cannot grow.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
    })
}

/// A client with the limits that all outbound requests share; with a certificate, one that presents it to every server that
/// asks for one.
fn client(
    extra_roots: Option<&[u8]>,
    certificate: Option<&ClientCertificate>,
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
        let builder = reqwest::Client::builder()
            .user_agent(concat!("auth-core/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .referer(false);
        set(match certificate {
            Some(certificate) => builder.identity(certificate.identity()),
            None => builder,
        })
    };
    builder()
        .tls_certs_merge(roots.iter().cloned())
        .build()
        // A machine without system roots (a bare container) can still talk to those that were given, and to
        // loopback over http.
        .or_else(|_| builder().tls_certs_only(roots.iter().cloned()).build())
        .map_err(|_| ConfigError::new("AUTH_CA_FILE", "these certificates cannot be used for TLS"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const FORM: [(&str, &str); 1] = [("refresh_token", "secret")];

    fn http() -> ProviderHttp {
        ProviderHttp::new(Duration::from_secs(5), None).expect("a client")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// A server that takes one connection, reads until `until` is in what came or the connection ends, and answers.
    async fn server(until: &'static str, answer: &'static str) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = Url::parse(&format!("http://{address}/token")).expect("a URL");
        let task = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let mut came = Vec::new();
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&came).contains(until) {
                match connection.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => came.extend_from_slice(&buffer[..n]),
                }
            }
            let _ = connection.write_all(answer.as_bytes()).await;
            String::from_utf8_lossy(&came).into_owned()
        });
        (url, task)
    }

    #[tokio::test]
    async fn a_guarded_form_has_a_length_and_leaves() {
        let (url, came) = server("secret", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let guard = SendGuard::until(soon());
        let http = http();
        let request = http.post_form(Asked::Token, &url, &FORM, Some(&guard));
        let (answer, left) = http.send_guarded(Asked::Token, request, &guard).await;
        assert_eq!(
            (answer.expect("an answer").status, left),
            (StatusCode::OK, Left::Yes)
        );
        let came = came.await.expect("the server ends").to_ascii_lowercase();
        assert!(came.contains("content-length: 20\r\n"), "{came}");
        assert!(!came.contains("chunked"), "{came}");
    }

    #[tokio::test]
    async fn nothing_compressed_is_asked_for() {
        let http = http();
        let (url, came) = server("\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        http.send(Asked::Userinfo, http.get(Asked::Userinfo, &url))
            .await
            .expect("an answer");
        let get = came.await.expect("the server ends").to_ascii_lowercase();
        let (url, came) = server("secret", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        http.send(Asked::Token, http.post_form(Asked::Token, &url, &FORM, None))
            .await
            .expect("an answer");
        let post = came.await.expect("the server ends").to_ascii_lowercase();
        for request in [get, post] {
            assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
        }
    }

    /// `content-encoding` is not acted on, so a bomb stays as small as it came.
    #[tokio::test]
    async fn a_compressed_answer_is_not_decoded() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nbomb";
        let (url, _) = server("\r\n\r\n", answer).await;
        let http = http();
        let answer = http
            .send(Asked::Userinfo, http.get(Asked::Userinfo, &url))
            .await
            .expect("an answer");
        assert_eq!(&answer.body[..], b"bomb");
    }

    #[tokio::test]
    async fn a_form_whose_right_has_ended_does_not_leave() {
        let revoked = SendGuard::until(soon());
        revoked.revoke();
        revoked.prolong(soon());
        for guard in [revoked, SendGuard::until(Instant::now())] {
            let (url, came) = server("secret", "").await;
            let http = http();
            let request = http.post_form(Asked::Token, &url, &FORM, Some(&guard));
            let (answer, left) = http.send_guarded(Asked::Token, request, &guard).await;
            assert!(matches!(answer, Err(HttpError::NotSent)), "{answer:?}");
            assert_eq!(left, Left::No);
            assert!(!came.await.expect("the server ends").contains("secret"));
        }
    }

    #[tokio::test]
    async fn a_right_that_is_prolonged_lasts() {
        let (url, came) = server("secret", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let guard = SendGuard::until(Instant::now());
        guard.prolong(soon());
        let http = http();
        let (answer, _) = http
            .send_guarded(
                Asked::Token,
                http.post_form(Asked::Token, &url, &FORM, Some(&guard)),
                &guard,
            )
            .await;
        assert!(answer.is_ok());
        assert!(came.await.expect("the server ends").contains("secret"));
    }

    #[tokio::test]
    async fn whether_a_form_left_is_known_when_no_answer_comes() {
        let guard = SendGuard::until(soon());
        let (url, _came) = server("secret", "").await;
        let http = http();
        let request = http.post_form(Asked::Token, &url, &FORM, Some(&guard));
        let (answer, left) = http.send_guarded(Asked::Token, request, &guard).await;
        assert!(answer.is_err());
        assert_eq!(left, Left::Yes, "it may have been carried out");

        let guard = SendGuard::until(soon());
        let port = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", port.local_addr().expect("an address"));
        drop(port);
        let url = Url::parse(&url).expect("a URL");
        let request = http.post_form(Asked::Token, &url, &FORM, Some(&guard));
        let (answer, left) = http.send_guarded(Asked::Token, request, &guard).await;
        assert!(matches!(answer, Err(HttpError::Connect(_))), "{answer:?}");
        assert_eq!(left, Left::No, "nobody was there to take it");
    }
}
