//! The certificate that a caller presented, which its access token may be bound to (RFC 8705 §3).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::sha256;

/// The certificate of whoever called, as the TLS handshake has shown that they hold its key. For APIs that get access tokens
/// bound to certificates (RFC 8705 §3): such a token is good together with its certificate only.
///
/// The application knows it where TLS ends at the application, or at a proxy of its own. It puts this value into the
/// request's extensions, with actix-web also into the connection's (`HttpServer::on_connect`), outside of the bearer layer.
/// Where a proxy tells of the certificate in a header, make sure that the proxy removes that header from what callers send.
///
/// Whether an authority vouches for the certificate is of no account here (§6.2): the token's issuer knows it.
///
/// ```
/// use auth_core::bearer::PeerCertificate;
/// # let der: &[u8] = b"the certificate in DER, as rustls gives it: connection.peer_certificates()";
///
/// let certificate = PeerCertificate::from_der(der);
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(certificate);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    thumbprint: Arc<str>,
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate").finish_non_exhaustive()
    }
}

impl PeerCertificate {
    /// The certificate in DER, the caller's own and not the one that vouches for it. Only its hash is kept.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Self {
        Self {
            thumbprint: URL_SAFE_NO_PAD.encode(sha256(&[der])).into(),
        }
    }

    /// The SHA-256 thumbprint in base64url, as it stands in a token's `cnf` (`x5t#S256`, RFC 8705 §3.1).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}
