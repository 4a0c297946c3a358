//! Routes that forward to an upstream.

use std::sync::Arc;

use auth_core::proxy::{BodyBroken, Proxy, ProxyAnswer, ProxyBody, ProxyRequest, Rest, Upgrade};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::TryStreamExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::response::AuthError;
use crate::session::AuthContext;

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(prefix: &str, proxy: Proxy) -> Router<S> {
    let prefix: Arc<str> = prefix.trim_end_matches('/').into();
    let (itself, below) = (format!("{prefix}/"), format!("{prefix}/{{*path}}"));
    let handler = move |request: Request| {
        let (prefix, proxy) = (Arc::clone(&prefix), proxy.clone());
        async move { forward(&prefix, &proxy, request).await }
    };
    Router::new()
        .route(&itself, any(handler.clone()))
        .route(&below, any(handler))
}

async fn forward(prefix: &str, proxy: &Proxy, mut request: Request) -> Result<Response, AuthError> {
    let context: AuthContext = request
        .extensions()
        .get()
        .cloned()
        .ok_or_else(AuthError::layer_missing)?;
    let session = context.session().await?;
    let connection = request.extensions_mut().remove::<OnUpgrade>();
    let (head, body) = request.into_parts();
    // As it came: what the router decodes is for its own use.
    let target = head
        .uri
        .path_and_query()
        .and_then(|whole| Proxy::target(prefix, whole.as_str()));
    let Some(target) = target else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let request = ProxyRequest {
        target: target.to_owned(),
        method: head.method,
        headers: head.headers,
        body: up(body),
        upgrade: match connection {
            Some(_) => Upgrade::Possible,
            None => Upgrade::Impossible,
        },
    };
    let answer = context.auth().forward(proxy, &session, request).await?;
    Ok(down(answer, connection))
}

fn up(body: Body) -> ProxyBody {
    let length = body.size_hint().exact();
    ProxyBody::new(body.into_data_stream().map_err(|_| BodyBroken), length)
}

fn down(answer: ProxyAnswer, connection: Option<OnUpgrade>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    match (answer.rest, connection) {
        (Rest::Body(download), _) => {
            if let Some(length) = download.length() {
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length.into());
            }
            *response.body_mut() = Body::from_stream(download);
        }
        (Rest::Tunnel(tunnel), Some(connection)) => {
            tokio::spawn(async move {
                if let Ok(browser) = connection.await {
                    tunnel.run(TokioIo::new(browser)).await;
                }
            });
        }
        // Without a connection to hand over, none is asked for.
        (Rest::Tunnel(_), None) => {}
    }
    response
}
