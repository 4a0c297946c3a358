//! The client's certificate: it shows the provider who the client is, and access tokens are bound to it (RFC 8705).
//!
//! It is presented to the provider's endpoints that know the client, and, where access tokens are bound to it, to the APIs that
//! may see a token. Nobody else gets to see it: it says who this application is.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::jose::SigningKey;
use crate::secret::sha256;

/// A certificate, those that vouch for it, and its private key. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    certified: Arc<CertifiedKey>,
    identity: reqwest::Identity,
    /// The key's public half: of an RSA, P-256 or Ed25519 key.
    public_jwk: Option<Value>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("chain", &self.certified.cert.len())
            .finish_non_exhaustive()
    }
}

/// Two are one where the certificates are: a certificate is for one key.
impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl ClientCertificate {
    /// Reads a chain, the client's own certificate first, and the first private key of `key`, both PEM.
    ///
    /// Whether the certificate has expired is not asked: it may do so at any time, and the provider says so.
    pub(crate) fn from_pem(chain: &str, key: &str) -> Result<Self, ConfigError> {
        const NAME: &str = "AUTH_CLIENT_CERT";
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| ConfigError::new(NAME, "the certificate is not PEM, or is damaged"))?;
        if chain.is_empty() {
            return Err(ConfigError::new(
                NAME,
                "holds no certificate; it must have a section `-----BEGIN CERTIFICATE-----`",
            ));
        }
        let public_jwk = SigningKey::from_pem(key).ok().map(|key| key.public_jwk());
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
            ConfigError::new(
                "AUTH_CLIENT_KEY",
                "holds no private key for the certificate; it must be PEM, and not encrypted",
            )
        })?;
        let identity = identity(&chain, &key)?;
        let certified =
            CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => ConfigError::new(
                    NAME,
                    "the certificate is for another key than AUTH_CLIENT_KEY; take the pair, the client's own certificate first",
                ),
                rustls::Error::InvalidCertificate(_) => ConfigError::new(NAME, "the certificate is damaged"),
                _ => ConfigError::new("AUTH_CLIENT_KEY", "is of a kind that TLS cannot use"),
            })?;
        Ok(Self {
            certified: Arc::new(certified),
            identity,
            public_jwk,
        })
    }

    /// As reqwest takes it.
    pub(crate) fn identity(&self) -> reqwest::Identity {
        self.identity.clone()
    }

    /// As rustls takes it.
    pub(crate) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(Arc::clone(&self.certified).into())
    }

    /// Adds the chain to the JWK of its key, as `x5c` and by its thumbprint (RFC 7517 §4.7, §4.9): what a provider knows a self-signed certificate by
    /// (RFC 8705 §2.2.2). Where the key is not among those of the client, it is added as well, if it is of a kind that a JWK is
    /// made of here.
    pub(crate) fn add_to(&self, keys: &mut Vec<Value>) {
        let Some(own) = &self.public_jwk else { return };
        let chain: Vec<_> = (self.certified.cert.iter())
            .map(|certificate| STANDARD.encode(certificate))
            .collect();
        let mut jwk = own.clone();
        jwk["x5c"] = json!(chain);
        jwk["x5t#S256"] = json!(self.certified.cert.first().map(thumbprint));
        let is_own = |held: &&mut Value| held["kid"] == own["kid"] && held["use"] == own["use"];
        match keys.iter_mut().find(is_own) {
            Some(held) => *held = jwk,
            None => keys.push(jwk),
        }
    }
}

fn thumbprint(certificate: &CertificateDer<'_>) -> String {
    URL_SAFE_NO_PAD.encode(sha256(&[certificate]))
}

/// Reqwest reads PEM, and nothing beside certificates and keys.
fn identity(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<reqwest::Identity, ConfigError> {
    let section = |label: &str, der: &[u8]| {
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(der)
        )
    };
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let mut pem = Zeroizing::new(section(label, key.secret_der()));
    for certificate in chain {
        pem.push_str(&section("CERTIFICATE", certificate));
    }
    reqwest::Identity::from_pem(pem.as_bytes()).map_err(|_| {
        ConfigError::new(
            "AUTH_CLIENT_CERT",
            "this certificate and its key cannot be used for TLS",
        )
    })
}
