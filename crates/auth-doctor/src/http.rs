//! What the doctor asks the provider itself: one request, no redirects, limits of time and size, and a reason where it fails.
//!
//! The sign-in's own requests are made by the library (`probe.rs`). These look at what it does not keep: times, certificates,
//! and members of documents that it has no use for.

use std::error::Error;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use auth_core::clock::{Clock, Timestamp};
use reqwest::header::{ACCEPT, DATE, HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use reqwest::tls::{TlsInfo, Version};
use rustls::{AlertDescription, CertificateError};
use url::Url;

use crate::catalogue::{
    Check, TLS_CERTIFICATE_DEMANDED, TLS_EXPIRED, TLS_FAILED, TLS_NOT_YET_VALID, TLS_TOO_OLD,
    TLS_UNKNOWN_AUTHORITY, TLS_WRONG_NAME,
};

/// As the library: no answer of a provider is larger, in bytes.
const MAX_BODY: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Makes requests.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    clock: Clock,
}

/// Which versions of TLS are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    Any,
    Only13,
}

/// An answer, read in whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The times here before the request and after the answer.
    pub(crate) between: (Timestamp, Timestamp),
    /// The server's certificate (DER), where it has one.
    pub(crate) certificate: Option<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// TLS: what is wrong, and a few words.
    Tls(&'static Check, &'static str),
    /// No connection, and a few words.
    Connect(&'static str),
    /// Too slow, broken off, not HTTP, too large.
    Broken(&'static str),
}

impl NoAnswer {
    /// Whether a server that wants a certificate can look like this: some say so, others hang up.
    pub(crate) fn may_want_certificate(&self) -> bool {
        match self {
            Self::Tls(_, words) => *words == BROKE_OFF,
            Self::Connect(_) => false,
            Self::Broken(_) => true,
        }
    }

    pub(crate) fn in_words(&self) -> &'static str {
        match self {
            Self::Tls(_, words) | Self::Connect(words) | Self::Broken(words) => words,
        }
    }
}

impl Http {
    /// With the roots of `AUTH_CA_FILE`. `None` where these cannot be used; the library says so as well.
    pub(crate) fn new(ca: Option<&[u8]>, timeout: Duration, tls: Tls, clock: Clock) -> Option<Self> {
        let roots = match ca {
            None => Vec::new(),
            Some(pem) => reqwest::Certificate::from_pem_bundle(pem).ok()?,
        };
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("auth-doctor/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(timeout)
                .referer(false)
                // Each request sees the server's certificate.
                .pool_max_idle_per_host(0)
                .tls_info(true);
            match tls {
                Tls::Any => builder,
                Tls::Only13 => builder.tls_version_min(Version::TLS_1_3),
            }
        };
        let client = builder()
            .tls_certs_merge(roots.iter().cloned())
            .build()
            // A machine without system roots still has those that were given.
            .or_else(|_| builder().tls_certs_only(roots.iter().cloned()).build())
            .ok()?;
        Some(Self { client, clock })
    }

    pub(crate) async fn get(&self, url: &Url, accept: &'static str) -> Result<Answer, NoAnswer> {
        let before = self.clock.now();
        let request = self.client.get(url.clone()).header(ACCEPT, accept);
        let mut response = request.send().await.map_err(|error| reason(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(NoAnswer::Broken("the answer is larger than 1 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            between: (before, self.clock.now()),
            certificate: response
                .extensions()
                .get::<TlsInfo>()
                .and_then(TlsInfo::peer_certificate)
                .map(<[u8]>::to_vec),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

impl Answer {
    /// How long it took.
    pub(crate) fn took(&self) -> Duration {
        self.between.1.since(self.between.0)
    }

    /// The server's own time (RFC 9110 §6.6.1).
    pub(crate) fn date(&self) -> Option<Timestamp> {
        let value = self.headers.get(DATE)?.to_str().ok()?;
        let date = httpdate::parse_http_date(value).ok()?;
        let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
        Some(Timestamp::from_secs(i64::try_from(since_epoch.as_secs()).ok()?))
    }

    /// Where a redirect leads.
    pub(crate) fn location(&self, from: &Url) -> Option<Url> {
        let value = self.headers.get(LOCATION)?.to_str().ok()?;
        from.join(value).ok()
    }
}

fn reason(error: &reqwest::Error) -> NoAnswer {
    if let Some((check, words)) = tls_reason(error) {
        NoAnswer::Tls(check, words)
    } else if error.is_connect() {
        NoAnswer::Connect(connect_reason(error))
    } else if error.is_timeout() {
        NoAnswer::Broken("there is no complete answer in time")
    } else {
        NoAnswer::Broken("the connection breaks off, or what comes is no HTTP")
    }
}

/// An error and all its causes. An I/O error is transparent: its own source is that of the error in it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

/// What rustls says, however deep it lies.
fn tls_reason(error: &(dyn Error + 'static)) -> Option<(&'static Check, &'static str)> {
    causes(error)
        .find_map(|error| error.downcast_ref::<rustls::Error>())
        .map(of_rustls)
}

/// Why no connection comes about.
fn connect_reason(error: &reqwest::Error) -> &'static str {
    let is_refused = |error: &(dyn Error + 'static)| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if error.is_timeout() {
        "nobody answers"
    } else if causes(error).any(is_refused) {
        "the connection is refused"
    } else if causes(error).any(|error| error.to_string().contains("dns error")) {
        "the name leads nowhere"
    } else {
        "no connection can be made"
    }
}

/// What a server does that wants something else of the client: before TLS 1.3, also where it wants a certificate.
const BROKE_OFF: &str = "it broke the TLS handshake off";

fn of_rustls(error: &rustls::Error) -> (&'static Check, &'static str) {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            // Another authority of the same name, an older one perhaps, shows as a bad signature.
            UnknownIssuer | BadSignature => (&TLS_UNKNOWN_AUTHORITY, "its authority is not known"),
            NotValidForName | NotValidForNameContext { .. } => {
                (&TLS_WRONG_NAME, "its certificate is for another host")
            }
            Expired | ExpiredContext { .. } => (&TLS_EXPIRED, "its certificate has expired"),
            NotValidYet | NotValidYetContext { .. } => {
                (&TLS_NOT_YET_VALID, "its certificate is not valid yet")
            }
            _ => (&TLS_FAILED, "its certificate is not good"),
        },
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => (
            &TLS_CERTIFICATE_DEMANDED,
            "it demands a certificate of the client",
        ),
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(_) => (&TLS_TOO_OLD, "it speaks no version of TLS that is safe"),
        rustls::Error::InvalidMessage(_) => (&TLS_FAILED, "it does not speak TLS there"),
        rustls::Error::AlertReceived(_) => (&TLS_FAILED, BROKE_OFF),
        _ => (&TLS_FAILED, "the TLS handshake fails"),
    }
}

/// When a certificate ends (RFC 5280 §4.1.2.5).
pub(crate) fn ends_at(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(Timestamp::from_secs(certificate.validity().not_after.timestamp()))
}

/// A URL for people: without user, password, query and fragment.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// Words that a provider wrote: visible ASCII, and not too much of it. Nothing in them can move a terminal.
pub(crate) fn words(text: &str) -> String {
    const MOST: usize = 100;
    let clean: String = text
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(MOST + 1)
        .collect();
    if clean.len() > MOST {
        format!("{}…", &clean[..MOST])
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_stay_short_and_move_no_terminal() {
        assert_eq!(words("a\x1b[31mb\nc"), "a?[31mb?c");
        assert_eq!(words(&"x".repeat(1000)).chars().count(), 101);
        let url = Url::parse("https://user:word@id.example:8443/a/b?c=d#e").expect("a URL");
        assert_eq!(shown(&url), "https://id.example:8443/a/b");
    }
}
