//! Client registrations and client authentication (RFC 6749 §2.3, OIDC Core §9).

use std::fmt;

use aws_lc_rs::constant_time;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;

use super::Provider;
use super::error::OauthError;
use super::jwt::Unverified;
use super::keys::PublicKey;
use crate::params::Params;

/// A client registration at the development provider.
///
/// It has one authentication method (OIDC Core §9), and a request that uses another is refused with `invalid_client`, as is a
/// wrong secret. It may use all grants that the provider has.
///
/// ```
/// use auth_testing::{Client, DevProvider};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let web = Client::confidential("my-app", "a secret")
///     .redirect_uri("http://127.0.0.1:3000/auth/callback")
///     .post_logout_redirect_uri("http://127.0.0.1:3000/");
/// let mobile = Client::public("my-mobile-app").redirect_uri("com.example.app:/callback");
/// let provider = DevProvider::builder().client(web).client(mobile).start().await?;
///
/// // For the application's `AUTH_CLIENT_ID` and `AUTH_CLIENT_SECRET`: those of the first client.
/// assert_eq!(provider.client_id(), "my-app");
/// assert_eq!(provider.client_secret(), Some("a secret"));
/// # provider.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) id: String,
    pub(crate) authentication: Authentication,
    pub(crate) request_object_key: Option<PublicKey>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) post_logout_redirect_uris: Vec<String>,
}

/// The one method a client authenticates with; any other is refused.
#[derive(Clone)]
pub(crate) enum Authentication {
    None,
    SecretBasic(String),
    SecretPost(String),
    PrivateKeyJwt(PublicKey),
    SecretJwt(String),
}

impl Client {
    /// A client that authenticates with its id and secret in the `Authorization` header (`client_secret_basic`, RFC 6749 §2.3.1).
    #[must_use]
    pub fn confidential(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Authentication::SecretBasic(secret.into()))
    }

    /// A client that authenticates with its id and secret in the body (`client_secret_post`, RFC 6749 §2.3.1).
    #[must_use]
    pub fn secret_post(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Authentication::SecretPost(secret.into()))
    }

    /// A client without authentication (`none`): PKCE (RFC 7636) alone protects its codes. It gets no tokens of its own by client
    /// credentials (RFC 6749 §4.4), and no introspection.
    #[must_use]
    pub fn public(id: impl Into<String>) -> Self {
        Self::new(id.into(), Authentication::None)
    }

    /// A client that authenticates with assertions signed by its private key (`private_key_jwt`, RFC 7523 §3).
    ///
    /// Their `aud` is the issuer as a plain string. Each has a `jti` and is good once, and may live 5 minutes at most.
    #[must_use]
    pub fn private_key_jwt(id: impl Into<String>, key: PublicKey) -> Self {
        Self::new(id.into(), Authentication::PrivateKeyJwt(key))
    }

    /// A client that authenticates with assertions signed with its secret (`client_secret_jwt`, HS256), which are checked as
    /// those of [`private_key_jwt`](Self::private_key_jwt).
    #[must_use]
    pub fn secret_jwt(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Authentication::SecretJwt(secret.into()))
    }

    fn new(id: String, authentication: Authentication) -> Self {
        Self {
            id,
            authentication,
            request_object_key: None,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
        }
    }

    /// Registers the key that signs its request objects (RFC 9101). Default: the key that it authenticates with
    /// ([`private_key_jwt`](Self::private_key_jwt)); a client that has neither cannot sign requests.
    #[must_use]
    pub fn request_object_key(mut self, key: PublicKey) -> Self {
        self.request_object_key = Some(key);
        self
    }

    /// Registers a redirect URI, one more with each call. Requests must name one of them to the letter (RFC 9700 §2.1).
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Registers a URI to go to after sign-out, one more with each call. Requests must name one of them to the letter
    /// (RP-Initiated Logout 1.0 §3).
    #[must_use]
    pub fn post_logout_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.post_logout_redirect_uris.push(uri.into());
        self
    }

    pub(crate) fn secret(&self) -> Option<&str> {
        match &self.authentication {
            Authentication::SecretBasic(secret)
            | Authentication::SecretPost(secret)
            | Authentication::SecretJwt(secret) => Some(secret),
            Authentication::None | Authentication::PrivateKeyJwt(_) => None,
        }
    }

    /// The key that signs its request objects.
    pub(crate) fn signs_requests_with(&self) -> Option<&PublicKey> {
        match (&self.request_object_key, &self.authentication) {
            (Some(key), _) | (None, Authentication::PrivateKeyJwt(key)) => Some(key),
            _ => None,
        }
    }

    fn method(&self) -> &'static str {
        match self.authentication {
            Authentication::None => "none",
            Authentication::SecretBasic(_) => "client_secret_basic",
            Authentication::SecretPost(_) => "client_secret_post",
            Authentication::PrivateKeyJwt(_) => "private_key_jwt",
            Authentication::SecretJwt(_) => "client_secret_jwt",
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("authentication", &self.method())
            .field("redirect_uris", &self.redirect_uris)
            .finish_non_exhaustive()
    }
}

/// How long before its end a client assertion may be shown, at most.
const ASSERTION_LIFETIME_SECS: i64 = 300;
/// How far clocks may differ.
const TOLERANCE_SECS: i64 = 60;
/// `client_assertion_type` of a JWT (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Provider {
    /// Authenticates the client of a token, revocation, introspection or pushed authorization request.
    pub(crate) fn authenticate(&self, headers: &HeaderMap, form: &Params) -> Result<Client, OauthError> {
        let basic = headers.get(header::AUTHORIZATION).map(|value| {
            basic_credentials(value.to_str().unwrap_or_default())
                .ok_or_else(|| OauthError::invalid_client("malformed Authorization header"))
        });
        let basic = basic.transpose()?;
        let body_id = form.one("client_id")?;
        let secret = form.one("client_secret")?;
        let assertion = form.one("client_assertion")?;
        let used =
            usize::from(basic.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some());
        if used > 1 {
            return Err(OauthError::invalid_request(
                "more than one client authentication method",
            ));
        }
        if let Some(assertion) = assertion {
            return self.authenticate_assertion(form, body_id, assertion);
        }
        let id = match (&basic, body_id) {
            (Some((id, _)), Some(body)) if id != body => {
                return Err(OauthError::invalid_request("two different client_id"));
            }
            (Some((id, _)), _) => id.as_str(),
            (None, Some(id)) => id,
            (None, None) => return Err(OauthError::invalid_client("no client authentication")),
        };
        let client = self
            .client(id)
            .ok_or_else(|| OauthError::invalid_client("unknown client"))?;
        let good = match (&client.authentication, &basic, secret) {
            (Authentication::None, None, None) => true,
            (Authentication::SecretBasic(expected), Some((_, secret)), None) => same(expected, secret),
            (Authentication::SecretPost(expected), None, Some(secret)) => same(expected, secret),
            _ => {
                return Err(OauthError::invalid_client(
                    "not the client authentication method of the registration",
                ));
            }
        };
        if good {
            Ok(client)
        } else {
            Err(OauthError::invalid_client("wrong client secret"))
        }
    }

    /// RFC 7523 §3, with the issuer as the only accepted audience.
    fn authenticate_assertion(
        &self,
        form: &Params,
        body_id: Option<&str>,
        assertion: &str,
    ) -> Result<Client, OauthError> {
        let refuse = |why| Err(OauthError::invalid_client(why));
        if form.one("client_assertion_type")? != Some(JWT_BEARER) {
            return refuse("unknown client_assertion_type");
        }
        let Some(token) = Unverified::parse(assertion) else {
            return refuse("malformed client assertion");
        };
        let text = |name: &str| token.claims.get(name).and_then(|value| value.as_str());
        let Some(id) = text("sub").map(str::to_owned) else {
            return refuse("client assertion without sub");
        };
        let (issuer, audience) = (text("iss") == Some(&id), text("aud") == Some(&self.issuer));
        if !issuer || body_id.is_some_and(|body| body != id) {
            return refuse("client assertion of another client");
        }
        if !audience {
            return refuse("client assertion for another audience");
        }
        let Some(client) = self.client(&id) else {
            return refuse("unknown client");
        };
        let verified = match &client.authentication {
            Authentication::PrivateKeyJwt(key) => token.verified_by_client(key),
            Authentication::SecretJwt(secret) => token.verified_by_secret(secret),
            _ => return refuse("not the client authentication method of the registration"),
        };
        let Some(claims) = verified else {
            return refuse("wrong signature of the client assertion");
        };
        let now = self.now();
        let Some(expires_at) = claims.get("exp").and_then(|value| value.as_i64()) else {
            return refuse("client assertion without exp");
        };
        if expires_at + TOLERANCE_SECS <= now {
            return refuse("expired client assertion");
        }
        if expires_at > now + ASSERTION_LIFETIME_SECS + TOLERANCE_SECS {
            return refuse("client assertion that lives too long");
        }
        let Some(id) = claims.get("jti").and_then(|value| value.as_str()) else {
            return refuse("client assertion without jti");
        };
        if !self.grants().remember_assertion(id, expires_at, now) {
            return refuse("client assertion that was used before");
        }
        Ok(client)
    }
}

/// User and password of a Basic header, each form-urldecoded (RFC 6749 §2.3.1).
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((form_decode(user)?, form_decode(password)?))
}

fn form_decode(text: &str) -> Option<String> {
    // A bare delimiter shows that the client did not encode at all.
    if text.contains(['&', '=']) {
        return None;
    }
    match form_urlencoded::parse(text.as_bytes()).next() {
        Some((decoded, _)) => Some(decoded.into_owned()),
        None => Some(String::new()),
    }
}

fn same(expected: &str, given: &str) -> bool {
    constant_time::verify_slices_are_equal(expected.as_bytes(), given.as_bytes()).is_ok()
}
