//! The client for APIs as a middleware of reqwest-middleware.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use crate::client::{ApiError, AuthenticatedClient, Caller, Learned, MachineClient, Retries};
use crate::dpop::Credential;

/// Attaches the user's token to requests for the configured APIs, and answers a 401 of theirs by one refresh and one retry, or,
/// where the body cannot be sent again, by a refresh for the next request, within a minute once; besides, a demand for a nonce in the proof of a token that is bound to a key (RFC 9449 §9) by one
/// retry with that. Requests for other origins pass as they are, without a token.
///
/// What the inner client then does is its own affair: time-outs, and redirects. reqwest takes `Authorization` off where one
/// leads to another host or port. With tokens that are bound to a key, let it follow none (`Policy::none`): the proof is for the
/// URL that was asked for, and an API refuses it at any other.
///
/// ```
/// use auth_core::client::AuthenticatedClient;
/// use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
///
/// fn client(api: &AuthenticatedClient, http: reqwest::Client) -> ClientWithMiddleware {
///     ClientBuilder::new(http).with(api.clone()).build()
/// }
/// ```
#[async_trait::async_trait]
impl Middleware for AuthenticatedClient {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        handle(&Caller::User(self.clone()), request, extensions, next).await
    }
}

/// As for [`AuthenticatedClient`], with the application's own token.
#[async_trait::async_trait]
impl Middleware for MachineClient {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        handle(&Caller::Machine(self.clone()), request, extensions, next).await
    }
}

async fn handle(
    caller: &Caller,
    request: Request,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> Result<Response> {
    if !caller.allows(request.url()).await.map_err(failed)? {
        return next.run(request, extensions).await;
    }
    let mut again = request.try_clone();
    let mut credential = caller.credential().await.map_err(failed)?;
    let mut retries = Retries::default();
    let url = request.url().clone();
    let run = async |request, credential: &Credential, extensions: &mut Extensions| {
        let response = next
            .clone()
            .run(caller.signed(request, credential), extensions)
            .await?;
        let has_nonce = caller.learn(credential, &url, response.headers());
        Ok::<_, Error>((response, has_nonce))
    };
    let (mut response, mut has_nonce) = run(request, &credential, extensions).await?;
    loop {
        let answer = Learned {
            status: response.status(),
            headers: response.headers(),
            has_nonce,
        };
        let Some(request) = again.take() else {
            caller.renew(retries, &credential, &answer).await;
            break;
        };
        let tried = caller.next(&mut retries, &credential, &answer).await;
        let Some(another) = tried.map_err(failed)? else {
            break;
        };
        credential = another;
        again = request.try_clone();
        (response, has_nonce) = run(request, &credential, extensions).await?;
    }
    Ok(response)
}

fn failed(error: ApiError) -> Error {
    Error::middleware(error)
}
