//! The development provider, an [`Auth`] that signs in there, and a browser that does it.

use auth_core::reply::{Reply, SessionChange};
use auth_core::request::{RequestHead, RouteRequest};
use auth_core::secret::SessionId;
use auth_core::{Auth, AuthBuilder};
use auth_testing::{Client, DevProvider, DevProviderBuilder, SigningAlgorithm, User};

use crate::Failure;

/// Nothing listens here: the measured apps have ports of their own, and only redirects name this origin.
pub(crate) const BASE_URL: &str = "http://127.0.0.1:3000";
pub(crate) const CLIENT: &str = "benchmark";
pub(crate) const SECRET: &str = "the benchmark's client secret";
pub(crate) const USER: &str = "ada";

/// A provider that knows the client and the user of the benchmarks.
pub(crate) fn provider() -> DevProviderBuilder {
    DevProvider::builder()
        .client(Client::confidential(CLIENT, SECRET).redirect_uri(format!("{BASE_URL}/auth/callback")))
        .user(
            User::new(USER)
                .name("Ada", "Lovelace")
                .email("ada@example.com")
                .roles(["admin"]),
        )
        // RSA keys take seconds to generate under valgrind.
        .signing_algorithm(SigningAlgorithm::Es256)
}

/// An app's settings, all but the secret.
pub(crate) fn auth(provider: &DevProvider) -> AuthBuilder {
    Auth::builder()
        .base_url(BASE_URL)
        .issuer(provider.issuer())
        .client(CLIENT, Some(SECRET))
        .api(provider.api_url())
}

/// A whole sign-in: the identifier of the new session.
pub(crate) async fn sign_in(auth: &Auth, provider: &DevProvider) -> Result<SessionId, Failure> {
    let login = auth.login(get(auth, "/auth/login", None, None)).await;
    let authorization_url = header(&login, "location")?;
    let attempt = cookie_of(header(&login, "set-cookie")?);
    let approval = provider.approve(authorization_url, USER).await?;
    let query = approval.callback_url.split_once('?').map(|(_, query)| query);
    let callback = auth
        .callback(get(auth, "/auth/callback", query, Some(attempt)))
        .await;
    match callback.session {
        SessionChange::Set { id, .. } => Ok(id),
        _ => Err(format!("the sign-in failed with status {}", callback.status).into()),
    }
}

/// A browser's navigation, as the core's routes take it.
pub(crate) fn get(auth: &Auth, path: &str, query: Option<&str>, cookie: Option<&str>) -> RouteRequest {
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

pub(crate) fn header<'a>(reply: &'a Reply, name: &str) -> Result<&'a str, Failure> {
    let value = reply.headers.iter().find(|(known, _)| *known == name);
    let value = value.map(|(_, value)| &**value);
    value.ok_or_else(|| format!("no {name} in an answer with status {}", reply.status).into())
}

/// `name=value` of a `Set-Cookie` line.
pub(crate) fn cookie_of(line: &str) -> &str {
    line.split_once(';').map_or(line, |(cookie, _)| cookie)
}
