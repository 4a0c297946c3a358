//! The client for APIs as a middleware of reqwest-middleware.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use crate::client::{ApiError, AuthenticatedClient, Caller, MachineClient, is_refused};

/// Attaches the user's token to requests for the configured APIs, and answers a 401 of theirs by one refresh and one retry, if
/// the body can be sent again. Requests for other origins pass as they are, without a token.
///
/// What the inner client then does is its own affair: time-outs, and redirects. reqwest takes `Authorization` off where one
/// leads to another host or port.
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
    if !caller.allows(request.url()) {
        return next.run(request, extensions).await;
    }
    let again = request.try_clone();
    let token = caller.token().await.map_err(failed)?;
    let response = next
        .clone()
        .run(caller.signed(request, &token), extensions)
        .await?;
    if !is_refused(response.status(), response.headers()) {
        return Ok(response);
    }
    let Some(again) = again else {
        return Ok(response);
    };
    match caller.another_token(&token).await.map_err(failed)? {
        Some(token) => next.run(caller.signed(again, &token), extensions).await,
        None => Ok(response),
    }
}

fn failed(error: ApiError) -> Error {
    Error::middleware(error)
}
