//! Access tokens for requests to an API of the application's own.

use std::fmt;
use std::time::Duration;

use auth_core::testing::place_roles;
use http::{Method, Request};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::browser;
use super::{CLIENT_ID, TestAuth};
use crate::provider::jwt::Signature;
use crate::provider::userinfo::AccessToken;
use crate::random;

/// How long a token lives, unless the test says otherwise.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long ago a dead one died: longer than any tolerance of clocks.
const DEAD_SECS: i64 = 3600;

/// An access token to be made, a JWT (RFC 9068 §2), for a request to an API of the application's own; begun by [`TestAuth::token`].
///
/// ```
/// use auth_axum::{BearerGate, bearer_layer, require_bearer};
/// use auth_testing::TestAuth;
/// use axum::{Router, routing::get};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = TestAuth::new().await;
/// let server = auth.resource_server().audience("https://api.example").build()?;
/// let mail = get(async || "mail").route_layer(require_bearer(BearerGate::token().scope("mail.read")));
/// let app = Router::new().route("/mail", mail).layer(bearer_layer(server));
///
/// let token = auth.token("ada").audience("https://api.example").scopes(["mail.read"]).issue();
/// assert_eq!(app.clone().oneshot(token.get("/mail")).await?.status(), 200);
///
/// let expired = auth.token("ada").audience("https://api.example").expired().issue();
/// assert_eq!(app.oneshot(expired.get("/mail")).await?.status(), 401);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder<'a> {
    test: &'a TestAuth,
    subject: String,
    audience: Option<Value>,
    scopes: Vec<String>,
    roles: Option<Vec<String>>,
    claims: Map<String, Value>,
    /// Seconds from now.
    expires_in: i64,
}

impl fmt::Debug for TokenBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl<'a> TokenBuilder<'a> {
    pub(super) fn new(test: &'a TestAuth, subject: String) -> Self {
        Self {
            test,
            subject,
            audience: None,
            scopes: Vec::new(),
            roles: None,
            claims: Map::new(),
            expires_in: seconds(LIFETIME),
        }
    }

    /// Whom the token is for (`aud`), in place of an earlier one. Default: the application's public origin, `https://app.test`.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(Value::String(audience.into()));
        self
    }

    /// What it is good for (`scope`), in place of earlier ones. Default: nothing, and there is no such claim.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The user's roles, where [`SessionBuilder::roles`](super::SessionBuilder::roles) puts them. Default: none.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// Any claim, in the place of the usual one where there is one (RFC 9068 §2.2).
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// How long it lives, in whole seconds by the test's clock. Default: 300 s.
    pub fn lifetime(mut self, length: Duration) -> Self {
        self.expires_in = seconds(length);
        self
    }

    /// Lets it be dead for an hour already, which is longer than clocks may differ.
    pub fn expired(mut self) -> Self {
        self.expires_in = -DEAD_SECS;
        self
    }

    /// Signs it with the provider's key.
    #[must_use]
    pub fn issue(self) -> TestToken {
        let auth = self.test.auth();
        let provider = &self.test.provider().provider;
        let now = provider.now();
        let expires_at = now.saturating_add(self.expires_in);
        let mut claims = Map::new();
        let audience = self.audience.unwrap_or_else(|| json!(auth.base_url()));
        for (name, value) in [
            ("iss", json!(provider.issuer)),
            ("sub", json!(self.subject)),
            ("aud", audience),
            ("iat", json!(now.min(expires_at - 1))),
            ("exp", json!(expires_at)),
            ("jti", json!(random::token())),
            ("client_id", json!(CLIENT_ID)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if !self.scopes.is_empty() {
            claims.insert("scope".to_owned(), json!(self.scopes.join(" ")));
        }
        if let Some(roles) = &self.roles {
            let name = self.test.known(None).and_then(|known| known.name.as_deref());
            place_roles(&auth, name, roles, &mut claims);
        }
        claims.extend(self.claims);
        let key = provider.keys().signing();
        let signature = Signature::Key(&key);
        let text = signature.sign(&signature.header(AccessToken::TYPE), &claims);
        provider.issued(&text);
        TestToken { text }
    }
}

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

/// An access token of the test's provider, and requests with it; made by [`TokenBuilder::issue`].
#[derive(Clone)]
pub struct TestToken {
    text: String,
}

/// Shows no token.
impl fmt::Debug for TestToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestToken")
    }
}

impl TestToken {
    /// The token itself, a JWT.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The `Authorization` header (RFC 6750 §2.1), name and value, for any framework's requests.
    #[must_use]
    pub fn header(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.text))
    }

    /// A `GET` with it.
    ///
    /// # Panics
    ///
    /// Where the path cannot stand in a request.
    #[must_use]
    pub fn get(&self, path: &str) -> Request<String> {
        self.request(Method::GET, path, String::new())
    }

    /// A request with it and a body.
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[must_use]
    pub fn request(&self, method: Method, path: &str, body: impl Into<String>) -> Request<String> {
        browser::request(method, path, [self.header()], body.into())
    }

    /// A request with it and JSON.
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get); where the value cannot be written as JSON.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(&self, method: Method, path: &str, value: &T) -> Request<String> {
        browser::json(method, path, vec![self.header()], value)
    }
}
