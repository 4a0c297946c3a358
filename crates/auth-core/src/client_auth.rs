//! Client authentication at the provider (RFC 6749 §2.3, OpenID Connect Core §9, RFC 7523).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::{Map, json};

use crate::clock::Timestamp;
use crate::config::ClientAuthMethod;
use crate::jose::{Algorithm, SigningKey};
use crate::secret::{ClientSecret, random_text};

/// How the client shows the provider who it is, with what it takes. One policy for every endpoint.
#[derive(Clone)]
pub(crate) enum ClientAuthentication {
    Basic(ClientSecret),
    Post(ClientSecret),
    PrivateKeyJwt(Arc<SigningKey>),
    None,
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic(_) => "client_secret_basic",
            Self::Post(_) => "client_secret_post",
            Self::PrivateKeyJwt(_) => "private_key_jwt",
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

impl ClientAuthentication {
    pub(crate) fn method(&self) -> ClientAuthMethod {
        match self {
            Self::Basic(_) => ClientAuthMethod::ClientSecretBasic,
            Self::Post(_) => ClientAuthMethod::ClientSecretPost,
            Self::PrivateKeyJwt(_) => ClientAuthMethod::PrivateKeyJwt,
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
            Self::PrivateKeyJwt(key) => {
                credentials.form.push(("client_id", client_id.to_owned()));
                credentials.form.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
                ));
                credentials.form.push((
                    "client_assertion",
                    assertion(key, client_id, audience, advertised, now),
                ));
            }
            Self::None => credentials.form.push(("client_id", client_id.to_owned())),
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

/// RFC 7523 §3. The audience is the issuer as a plain string.
fn assertion(
    key: &SigningKey,
    client_id: &str,
    audience: &str,
    advertised: &[Algorithm],
    now: Timestamp,
) -> String {
    let fitting = key.algorithms();
    // The first of the key's algorithms that the provider names; RS256 for an RSA key where it names none.
    let algorithm = fitting
        .iter()
        .find(|algorithm| advertised.contains(algorithm))
        .or_else(|| fitting.iter().find(|algorithm| **algorithm == Algorithm::RS256))
        .or_else(|| fitting.first())
        .copied()
        .expect("every kind of key has an algorithm");
    let mut header = Map::new();
    header.insert("typ".to_owned(), json!("JWT"));
    // No `kid`: a provider compares it with whatever name the key was registered under, which is not known here, and
    // finds the client's one key without it.
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now.as_secs(),
        "exp": now.plus(ASSERTION_LIFETIME).as_secs(),
        "jti": random_text(),
    });
    key.sign(algorithm, header, &claims)
        .expect("a key that was read signs with its own algorithms")
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
