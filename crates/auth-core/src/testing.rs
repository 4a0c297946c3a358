//! What an application's tests need of this crate and production never has: requests that are answered in the process that
//! makes them. Feature `testing`, which `auth-testing` turns on for its `TestAuth`.
//!
//! The feature alone changes nothing: an [`Auth`] asks a [`Network`] only where [`AuthBuilder::test_network`] was called, and says
//! so in the log when it is built.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::{Request, Response, Uri};
use reqwest::dns::{Name, Resolve, Resolving};
use serde_json::{Map, Value};

use crate::auth::Auth;
use crate::bearer::ResourceServerBuilder;
use crate::config::AuthBuilder;

/// Why a request gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// No connection can be made; nothing was sent.
    #[error("nobody can be reached there")]
    Unreachable,
    /// The connection broke off; the request may have been carried out.
    #[error("the connection broke off")]
    BrokenOff,
}

type Answer = BoxFuture<'static, Result<Response<Bytes>, NoAnswer>>;

/// Answers requests in the place of the network: those to providers and those of the
/// [`AuthenticatedClient`](crate::client::AuthenticatedClient). What it does not know is [unreachable](NoAnswer::Unreachable):
/// nothing goes out.
///
/// Bodies come and go in whole, and redirects are passed back. A [`proxy`](crate::proxy) and a client of the application's own
/// (also one with this crate's middleware) have connections of their own, and go out as ever.
#[derive(Clone)]
pub struct Network {
    reaches: Arc<dyn Fn(&Uri) -> bool + Send + Sync>,
    answer: Arc<dyn Fn(Request<Bytes>) -> Answer + Send + Sync>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    /// Asks these functions, with absolute URIs: whether anybody can be reached there, which is asked before the request's
    /// body has left, and then for the answer.
    pub fn new<R, F, Fut>(reaches: R, answer: F) -> Self
    where
        R: Fn(&Uri) -> bool + Send + Sync + 'static,
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Bytes>, NoAnswer>> + Send + 'static,
    {
        Self {
            reaches: Arc::new(reaches),
            answer: Arc::new(move |request| Box::pin(answer(request))),
        }
    }

    /// As [`reqwest::Client::execute`], with the same errors.
    pub(crate) async fn execute(
        self,
        request: reqwest::Request,
        limit: Duration,
    ) -> reqwest::Result<reqwest::Response> {
        let limit = request.timeout().copied().unwrap_or(limit);
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(broken(io::ErrorKind::TimedOut).await),
        }
    }

    async fn exchange(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        let (head, body) = Request::<reqwest::Body>::try_from(request)?.into_parts();
        if !(self.reaches)(&head.uri) {
            return unreachable().await;
        }
        let body = reqwest::Response::from(Response::new(body)).bytes().await?;
        match (self.answer)(Request::from_parts(head, body)).await {
            Ok(answer) => Ok(answer.map(reqwest::Body::from).into()),
            Err(NoAnswer::Unreachable) => unreachable().await,
            Err(NoAnswer::BrokenOff) => Err(broken(io::ErrorKind::ConnectionReset).await),
        }
    }
}

/// reqwest's own error for a connection that cannot be made.
async fn unreachable() -> reqwest::Result<reqwest::Response> {
    nowhere().get("http://nowhere.invalid/").send().await
}

/// reqwest's own error for a connection that ends so.
async fn broken(how: io::ErrorKind) -> reqwest::Error {
    let body = stream::iter([Err::<Bytes, _>(io::Error::from(how))]);
    let answer = reqwest::Response::from(Response::new(reqwest::Body::wrap_stream(body)));
    answer.bytes().await.expect_err("the body is an error")
}

/// A client that finds no host, and so gives reqwest's own error for that.
pub(crate) fn nowhere() -> &'static reqwest::Client {
    struct NoHosts;
    impl Resolve for NoHosts {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(async { Err(NoAnswer::Unreachable.into()) })
        }
    }
    static NOWHERE: OnceLock<reqwest::Client> = OnceLock::new();
    NOWHERE.get_or_init(|| {
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .dns_resolver(Arc::new(NoHosts))
            .build()
            .expect("no setting of it can fail")
    })
}

impl AuthBuilder {
    /// Asks `network` whatever would go out to a provider or an API. Feature `testing`, for tests: there is no TLS, and
    /// whoever made the network signs in as anyone.
    pub fn test_network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }
}

impl ResourceServerBuilder {
    /// As [`AuthBuilder::test_network`]; a resource server of an [`Auth`] has that one's already.
    pub fn test_network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }
}

/// Puts roles among the claims where a provider would: in the first of the places that
/// [`roles_claims`](AuthBuilder::roles_claims) names, or else in `roles`. `provider` is the name of one that was configured.
pub fn place_roles(auth: &Auth, provider: Option<&str>, roles: &[String], claims: &mut Map<String, Value>) {
    let mut parties = auth.core().config.parties.configured().iter();
    if let Some(party) = parties.find(|party| party.name.as_deref() == provider) {
        party.config.role_claims.place(roles, claims);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(network: &Network, limit: Duration) -> reqwest::Result<reqwest::Response> {
        let request = reqwest::Client::new()
            .post("https://id.example/token?a=b")
            .body("form")
            .build()
            .expect("a request");
        network.clone().execute(request, limit).await
    }

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_network_sees_the_request_and_gives_the_answer() {
        let network = Network::new(
            |_| true,
            |request| async move {
                assert_eq!(request.method(), "POST");
                assert_eq!(request.uri(), "https://id.example/token?a=b");
                let answer = Response::builder().status(201).header("x", "y");
                Ok(answer.body(request.into_body()).expect("a response"))
            },
        );
        let answer = ask(&network, SOON).await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x"]),
            (201, &"y".parse().expect("a value"))
        );
        assert_eq!(answer.text().await.expect("a body"), "form");
    }

    #[tokio::test]
    async fn nobody_there_is_a_failed_connection() {
        for network in [
            Network::new(
                |uri| uri.host() != Some("id.example"),
                |_| async { Ok(Response::default()) },
            ),
            Network::new(|_| true, |_| async { Err(NoAnswer::Unreachable) }),
        ] {
            assert!(ask(&network, SOON).await.expect_err("no answer").is_connect());
        }
    }

    #[tokio::test]
    async fn a_broken_connection_is_neither_a_failed_one_nor_a_timeout() {
        let network = Network::new(|_| true, |_| async { Err(NoAnswer::BrokenOff) });
        let error = ask(&network, SOON).await.expect_err("no answer");
        assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_a_timeout() {
        let network = Network::new(|_| true, |_| std::future::pending());
        assert!(ask(&network, SOON).await.expect_err("no answer").is_timeout());
    }
}
