//! Client authentication at the provider (RFC 6749 §2.3, OpenID Connect Core §9, RFC 7523, RFC 8705).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::{Map, Value, json};

use crate::client_keys::ClientKeys;
use crate::clock::Timestamp;
use crate::config::ClientAuthMethod;
use crate::jose::{self, Algorithm};
use crate::secret::{ClientSecret, random_text};

/// How the client shows the provider who it is, with what it takes. One policy for every endpoint.
#[derive(Clone)]
pub(crate) enum ClientAuthentication {
    Basic(ClientSecret),
    Post(ClientSecret),
    PrivateKeyJwt(ClientKeys),
    SecretJwt(ClientSecret),
    /// The certificate of the connection, by an authority that the provider knows, or self-signed (RFC 8705 §2).
    Certificate(CertificateTrust),
    None,
}

/// Why the provider believes the client's certificate. The client does the same in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateTrust {
    /// An authority has signed it (RFC 8705 §2.1).
    Authority,
    /// It is registered itself (§2.2).
    SelfSigned,
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic(_) => "client_secret_basic",
            Self::Post(_) => "client_secret_post",
            Self::PrivateKeyJwt(_) => "private_key_jwt",
            Self::SecretJwt(_) => "client_secret_jwt",
            Self::Certificate(CertificateTrust::Authority) => "tls_client_auth",
            Self::Certificate(CertificateTrust::SelfSigned) => "self_signed_tls_client_auth",
            Self::None => "none",
        })
    }
}

/// How long a client assertion is good.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(120);

/// What authentication adds to one request.
#[derive(Default)]
pub(crate) struct Credentials {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) form: Vec<(&'static str, String)>,
}

impl Credentials {
    fn assert(&mut self, client_id: &str, assertion: String) {
        const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        self.form.push(("client_id", client_id.to_owned()));
        self.form.push(("client_assertion_type", JWT_BEARER.to_owned()));
        self.form.push(("client_assertion", assertion));
    }
}

impl ClientAuthentication {
    pub(crate) fn method(&self) -> ClientAuthMethod {
        match self {
            Self::Basic(_) => ClientAuthMethod::ClientSecretBasic,
            Self::Post(_) => ClientAuthMethod::ClientSecretPost,
            Self::PrivateKeyJwt(_) => ClientAuthMethod::PrivateKeyJwt,
            Self::SecretJwt(_) => ClientAuthMethod::ClientSecretJwt,
            Self::Certificate(CertificateTrust::Authority) => ClientAuthMethod::TlsClientAuth,
            Self::Certificate(CertificateTrust::SelfSigned) => ClientAuthMethod::SelfSignedTlsClientAuth,
            Self::None => ClientAuthMethod::None,
        }
    }

    /// The credentials for one request. An assertion is made anew for each, so that no `jti` is used twice.
    ///
    /// `audience` is the issuer; `advertised` are the provider's `token_endpoint_auth_signing_alg_values_supported`.
    pub(crate) fn credentials(
        &self,
        client_id: &str,
        audience: &str,
        advertised: &[Algorithm],
        now: Timestamp,
    ) -> Credentials {
        let mut credentials = Credentials::default();
        match self {
            Self::Basic(secret) => credentials.authorization = Some(basic(client_id, secret)),
            Self::Post(secret) => {
                credentials.form.push(("client_id", client_id.to_owned()));
                credentials
                    .form
                    .push(("client_secret", secret.expose().to_owned()));
            }
            Self::PrivateKeyJwt(keys) => {
                let claims = assertion(client_id, audience, now);
                credentials.assert(client_id, keys.sign("JWT", advertised, &claims));
            }
            Self::SecretJwt(secret) => {
                let claims = assertion(client_id, audience, now);
                credentials.assert(client_id, jose::hs256(secret.expose().as_bytes(), &claims));
            }
            // RFC 8705 §2: the certificate is the connection's, and the form says whose it is to be.
            Self::Certificate(_) | Self::None => credentials.form.push(("client_id", client_id.to_owned())),
        }
        credentials
    }
}

/// RFC 6749 §2.3.1: id and secret are form-encoded before they are put together.
fn basic(client_id: &str, secret: &ClientSecret) -> HeaderValue {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose()));
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// The claims of an assertion (RFC 7523 §3). The audience is the issuer as a plain string.
fn assertion(client_id: &str, audience: &str, now: Timestamp) -> Map<String, Value> {
    let claims = [
        ("iss", json!(client_id)),
        ("sub", json!(client_id)),
        ("aud", json!(audience)),
        ("iat", json!(now.as_secs())),
        ("exp", json!(now.plus(ASSERTION_LIFETIME).as_secs())),
        ("jti", json!(random_text())),
    ];
    claims
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // RFC 6749 §2.3.1
    fn basic_form_encodes_id_and_secret() {
        let value = basic("a:b c", &ClientSecret::new("s&cret+%/ü"));
        let text = value
            .to_str()
            .expect("ASCII")
            .strip_prefix("Basic ")
            .expect("Basic");
        let pair = STANDARD.decode(text).expect("base64");
        assert_eq!(pair, b"a%3Ab+c:s%26cret%2B%25%2F%C3%BC");
        assert!(!format!("{value:?}").contains(text));
    }

    // RFC 8705 §2
    #[test]
    fn with_a_certificate_the_form_names_the_client_and_nothing_else_does() {
        for trust in [CertificateTrust::Authority, CertificateTrust::SelfSigned] {
            let by = ClientAuthentication::Certificate(trust);
            let credentials = by.credentials("id", "iss", &[], Timestamp::from_secs(0));
            assert!(credentials.authorization.is_none());
            assert_eq!(credentials.form, [("client_id", "id".to_owned())]);
        }
    }

    // RFC 6749 §2.3.1
    #[test]
    fn post_and_none_name_the_client_in_the_form() {
        let now = Timestamp::from_secs(0);
        let post = ClientAuthentication::Post(ClientSecret::new("s")).credentials("id", "iss", &[], now);
        assert!(post.authorization.is_none());
        assert_eq!(
            post.form,
            [("client_id", "id".to_owned()), ("client_secret", "s".to_owned())]
        );
        let none = ClientAuthentication::None.credentials("id", "iss", &[], now);
        assert_eq!(none.form, [("client_id", "id".to_owned())]);
    }
}
