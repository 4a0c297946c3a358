//! A signed-in session, made by a real sign-in at the development provider.

use std::time::Duration;

use auth_core::reply::{Reply, SessionChange};
use auth_core::request::RequestHead;
use auth_core::{Auth, SecretKeys};
use auth_testing::{Client, DevProvider, SigningAlgorithm, User};

use crate::Failure;

/// Nothing listens here: the measured apps have ports of their own, and only redirects name this origin.
const BASE_URL: &str = "http://127.0.0.1:3000";
const CLIENT: &str = "benchmark";
const SECRET: &str = "the benchmark's client secret";
const USER: &str = "ada";

/// An [`Auth`] on the memory store, and the cookie of a session there.
pub(crate) struct SignedIn {
    pub(crate) auth: Auth,
    cookie: String,
    /// Keeps the provider up.
    _provider: DevProvider,
}

impl SignedIn {
    /// Starts a provider on the current runtime and signs in there. The session outlives every measurement, so that
    /// nothing is ever refreshed.
    pub(crate) async fn at_a_new_provider() -> Result<Self, Failure> {
        let provider = DevProvider::builder()
            .client(Client::confidential(CLIENT, SECRET).redirect_uri(format!("{BASE_URL}/auth/callback")))
            .user(
                User::new(USER)
                    .name("Ada", "Lovelace")
                    .email("ada@example.com")
                    .roles(["admin"]),
            )
            // RSA keys take seconds to generate under valgrind.
            .signing_algorithm(SigningAlgorithm::Es256)
            .access_token_lifetime(Duration::from_secs(24 * 60 * 60))
            .start()
            .await?;
        let auth = Auth::builder()
            .base_url(BASE_URL)
            .issuer(provider.issuer())
            .client(CLIENT, Some(SECRET))
            .secret(SecretKeys::random())
            .api(provider.api_url())
            .build()
            .await?;

        let login = auth.login(get(&auth, "/auth/login", None, None)).await;
        let authorization_url = header(&login, "location")?;
        let attempt = cookie_of(header(&login, "set-cookie")?);
        let approval = provider.approve(authorization_url, USER).await?;
        let query = approval.callback_url.split_once('?').map(|(_, query)| query);
        let callback = auth
            .callback(get(&auth, "/auth/callback", query, Some(attempt)))
            .await;
        if !matches!(callback.session, SessionChange::Set(_)) {
            return Err(format!("the sign-in failed with status {}", callback.status).into());
        }
        let line = auth.session_cookie(&callback.session);
        let cookie = line.as_deref().map(cookie_of).unwrap_or_default().to_owned();
        Ok(Self {
            auth,
            cookie,
            _provider: provider,
        })
    }

    /// The value of the `Cookie` header.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }
}

/// A browser's navigation, as the core's routes take it.
fn get(
    auth: &Auth,
    path: &str,
    query: Option<&str>,
    cookie: Option<&str>,
) -> auth_core::request::RouteRequest {
    auth.route_request(&Head { path, query, cookie }, Vec::new(), None)
}

struct Head<'a> {
    path: &'a str,
    query: Option<&'a str>,
    cookie: Option<&'a str>,
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        match name {
            "accept" => each("text/html"),
            "cookie" => self.cookie.into_iter().for_each(each),
            _ => {}
        }
    }
}

fn header<'a>(reply: &'a Reply, name: &str) -> Result<&'a str, Failure> {
    let value = reply.headers.iter().find(|(known, _)| *known == name);
    let value = value.map(|(_, value)| value.as_str());
    value.ok_or_else(|| format!("no {name} in an answer with status {}", reply.status).into())
}

/// `name=value` of a `Set-Cookie` line.
fn cookie_of(line: &str) -> &str {
    line.split_once(';').map_or(line, |(cookie, _)| cookie)
}
