//! The connections to upstreams.
//!
//! Not reqwest's: it takes a `url::Url`, which normalises and encodes. `http::Uri` keeps a target's bytes. HTTP/1.1 only:
//! one request has one connection, whose end is the end of the call, and WebSockets need it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

use super::upload::Upload;
use crate::client_certificate::ClientCertificate;
use crate::http::{CONNECT_TIMEOUT, POOL_IDLE};

/// A connection that nothing goes over is asked so often whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

type Connections = Client<HttpsConnector<HttpConnector>, Upload>;

/// Makes the connections; nothing is set up before the first is needed.
#[derive(Default)]
pub(crate) struct Transport {
    kept: OnceLock<Connections>,
    new: OnceLock<Connections>,
}

/// Which connection a request goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// One that is there, or else a new one, which is kept.
    Any,
    /// One of its own: for another try. An upstream that answers before it has read the body may close the connection behind
    /// its answer, and whoever asks again at once, over the same one, gets none.
    New,
}

impl Transport {
    /// Sends a request to its URI's host and gives the head of the answer. `extra_roots` is a PEM bundle, `certificate` what
    /// upstreams that ask for one see.
    pub(crate) fn send(
        &self,
        extra_roots: Option<&[u8]>,
        certificate: Option<&ClientCertificate>,
        request: Request<Upload>,
        over: Over,
    ) -> impl Future<Output = Result<Response<Incoming>, Error>> + Send + use<> {
        let client = match over {
            Over::Any => self
                .kept
                .get_or_init(|| client(extra_roots, certificate, usize::MAX)),
            Over::New => self.new.get_or_init(|| client(extra_roots, certificate, 0)),
        };
        client.request(request)
    }
}

/// `kept` is how many idle connections to one host are kept.
fn client(extra_roots: Option<&[u8]>, certificate: Option<&ClientCertificate>, kept: usize) -> Connections {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEPALIVE));
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls(extra_roots, certificate))
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(kept)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// The system's roots and the extra ones, as everywhere else. On a machine that has none at all, no certificate is good.
fn tls(extra_roots: Option<&[u8]>, certificate: Option<&ClientCertificate>) -> ClientConfig {
    let provider = Arc::new(default_provider());
    let roots = extra_roots
        .map(|pem| {
            CertificateDer::pem_slice_iter(pem)
                .filter_map(Result::ok)
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has the suites of TLS 1.2 and 1.3");
    let config = match Verifier::new_with_extra_roots(roots, provider) {
        Ok(verifier) => config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier)),
        Err(_) => config.with_root_certificates(rustls::RootCertStore::empty()),
    };
    match certificate {
        Some(certificate) => config.with_client_cert_resolver(certificate.resolver()),
        None => config.with_no_client_auth(),
    }
}
