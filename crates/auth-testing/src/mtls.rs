//! Mutual TLS in front of the development provider and its APIs (RFC 8705); feature `mtls`.
//!
//! The provider itself speaks http. A [`Gateway`] is where clients with certificates go instead, as `mtls_endpoint_aliases` of the
//! discovery document say: a port that ends TLS, demands a certificate of the [`Authority`]'s, and passes the connection on.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use auth_testing::DevProvider;
//! use auth_testing::mtls::{Authority, Gateway};
//!
//! let provider = DevProvider::builder().start().await?;
//! let authority = Authority::new();
//! let client = authority.client("my app");
//! let gateway = Gateway::start(&authority, provider.issuer()).await?;
//! gateway.alias(&provider);
//! // `client.certificate` and `client.key` go to the application, and `authority.pem()` is the root that it trusts.
//! # drop(client);
//! # provider.shutdown().await;
//! # Ok(()) }
//! ```

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use url::Url;

use crate::DevProvider;

/// A certificate authority made for a test.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// A certificate and its private key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, without those of authorities.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
    /// `x5t#S256`: the certificate's SHA-256 thumbprint in base64url (RFC 8705 §3.1).
    pub thumbprint: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority, which nobody knows yet.
    ///
    /// # Panics
    ///
    /// Where no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // A name of its own: verifiers look for an authority by its name.
        let name = format!("authority {}", crate::random::token());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// The authority's own certificate, PEM: a root to trust.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of this authority for a client, with this name as its common name.
    ///
    /// # Panics
    ///
    /// Where no key can be made.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Identity::of(self.sign(&params))
    }

    /// A certificate of this authority for a server on this machine, `127.0.0.1` and `localhost`.
    ///
    /// # Panics
    ///
    /// Where no key can be made.
    #[must_use]
    pub fn server(&self) -> Identity {
        Identity::of(self.sign(&local()))
    }

    fn sign(&self, params: &CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate, key)
    }

    fn acceptor(&self, versions: Versions) -> TlsAcceptor {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("there is a root");
        let (certificate, key) = self.sign(&local());
        let versions: &[_] = match versions {
            Versions::All => &[&version::TLS13, &version::TLS12],
            Versions::Tls12 => &[&version::TLS12],
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider has suites for them")
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .expect("a pair");
        TlsAcceptor::from(Arc::new(config))
    }
}

fn local() -> CertificateParams {
    CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("names")
}

impl Identity {
    /// A client's certificate that no authority has signed, for `self_signed_tls_client_auth` (RFC 8705 §2.2). A [`Gateway`]
    /// refuses it.
    ///
    /// # Panics
    ///
    /// Where no key can be made.
    #[must_use]
    pub fn self_signed(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self::of((params.self_signed(&key).expect("a certificate"), key))
    }

    fn of((certificate, key): (rcgen::Certificate, KeyPair)) -> Self {
        Self {
            thumbprint: thumbprint(certificate.der()),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// The versions of TLS that a gateway speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// 1.3 and 1.2.
    All,
    /// 1.2 alone: there a client hears in the handshake that its certificate is refused, and with 1.3 after it.
    Tls12,
}

/// A loopback port that demands certificates, and passes connections on. Stops when dropped.
pub struct Gateway {
    url: Url,
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<String>>,
    refused: Mutex<usize>,
    registered: Mutex<Option<String>>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gateway {
    /// Starts one on a free loopback port, in front of `upstream`, an http URL of this machine, whose path it keeps.
    ///
    /// # Errors
    ///
    /// [`io::Error`] where `upstream` is no such URL, or no port is free.
    ///
    /// # Panics
    ///
    /// Where no key can be made.
    pub async fn start(authority: &Authority, upstream: &str) -> io::Result<Self> {
        Self::with_versions(authority, upstream, Versions::All).await
    }

    /// Starts one as [`start`](Self::start) does, with these versions of TLS. Default: [`Versions::All`].
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn with_versions(
        authority: &Authority,
        upstream: &str,
        versions: Versions,
    ) -> io::Result<Self> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let mut url = Url::parse(upstream).map_err(|_| invalid("the upstream is no URL"))?;
        let to = url.socket_addrs(|| None)?;
        let to = to
            .into_iter()
            .next()
            .ok_or_else(|| invalid("the upstream has no address"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        url.set_scheme("https")
            .map_err(|()| invalid("the upstream is no http URL"))?;
        url.set_port(Some(listener.local_addr()?.port()))
            .map_err(|()| invalid("the upstream is no http URL"))?;
        let state = Arc::new(State::default());
        let task = tokio::spawn(accept(
            listener,
            authority.acceptor(versions),
            to,
            Arc::clone(&state),
        ));
        Ok(Self {
            url,
            state,
            task: task.abort_handle(),
        })
    }

    /// Its https URL, with the upstream's path, and without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Takes this certificate alone from now on; requests with another one of the authority's are refused as providers do,
    /// with 401 `invalid_client` (RFC 6749 §5.2). Default: any of the authority's.
    pub fn register(&self, identity: &Identity) {
        *lock(&self.state.registered) = Some(identity.thumbprint.clone());
    }

    /// The certificates that connections have brought so far, by their thumbprints ([`Identity::thumbprint`]), oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        lock(&self.state.seen).clone()
    }

    /// How many handshakes have failed so far: for want of a certificate, say.
    #[must_use]
    pub fn refused(&self) -> usize {
        *lock(&self.state.refused)
    }

    /// Has the provider, which stands behind this gateway, name it in its discovery document: as `mtls_endpoint_aliases`, and with
    /// `tls_client_certificate_bound_access_tokens` (RFC 8705 §3.3, §5). The addresses beside the aliases lead nowhere, so that
    /// whoever does not follow these gets no answer.
    pub fn alias(&self, provider: &DevProvider) {
        let (at, issuer) = (self.url().to_owned(), provider.issuer().to_owned());
        provider.control().tamper_discovery(move |document| {
            for endpoint in [
                "token_endpoint",
                "revocation_endpoint",
                "introspection_endpoint",
                "userinfo_endpoint",
                "pushed_authorization_request_endpoint",
            ] {
                document.insert(endpoint.to_owned(), json!(format!("{issuer}/nowhere")));
            }
            document.insert(
                "tls_client_certificate_bound_access_tokens".to_owned(),
                json!(true),
            );
            document.insert(
                "mtls_endpoint_aliases".to_owned(),
                json!({
                    "token_endpoint": format!("{at}/token"),
                    "revocation_endpoint": format!("{at}/revoke"),
                    "introspection_endpoint": format!("{at}/introspect"),
                    "userinfo_endpoint": format!("{at}/userinfo"),
                    "pushed_authorization_request_endpoint": format!("{at}/par"),
                }),
            );
        });
    }
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn thumbprint(certificate: &CertificateDer<'_>) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, certificate))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, to: SocketAddr, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, acceptor.clone(), to, Arc::clone(&state)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, to: SocketAddr, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    let mut stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((_, mut stream)) => {
            *lock(&state.refused) += 1;
            // What the client has sent already is read, so that closing does not overtake the alert.
            let _ = stream.shutdown().await;
            let drain = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} };
            let _ = tokio::time::timeout(Duration::from_secs(5), drain).await;
            return;
        }
    };
    let Some(certificate) = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
    else {
        return;
    };
    let certificate = thumbprint(certificate);
    lock(&state.seen).push(certificate.clone());
    let registered = lock(&state.registered).clone();
    if registered.is_none_or(|registered| registered == certificate) {
        if let Ok(mut upstream) = TcpStream::connect(to).await {
            let _ = copy_bidirectional(&mut stream, &mut upstream).await;
        }
        return;
    }
    const REFUSAL: &str = r#"{"error":"invalid_client"}"#;
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if !stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
    let answer = format!(
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{REFUSAL}",
        REFUSAL.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
}
