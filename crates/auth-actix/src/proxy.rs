//! Routes that forward to an upstream.

use std::io;
use std::sync::Arc;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{StatusCode, Version};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder, Scope, rt, web};
use auth_core::Error;
use auth_core::proxy::{
    BodyBroken, Download, Proxy, ProxyAnswer, ProxyBody, ProxyError, ProxyRequest, Rest, Tunnel, Upgrade,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::io::{duplex, join};
use tokio::sync::mpsc;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::response::AuthError;
use crate::session::AuthContext;

/// As much of a WebSocket waits for the browser.
const TUNNEL_BUFFER: usize = 64 * 1024;

pub(crate) fn scope(prefix: &str, proxy: Proxy) -> Scope {
    let prefix: Arc<str> = prefix.trim_end_matches('/').into();
    let scope = web::scope(&prefix);
    let handler = move |request: HttpRequest, body: web::Payload| {
        let (prefix, proxy) = (Arc::clone(&prefix), proxy.clone());
        async move { forward(&prefix, &proxy, request, body).await }
    };
    scope.default_service(web::to(handler))
}

async fn forward(
    prefix: &str,
    proxy: &Proxy,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, AuthError> {
    let context = request.extensions().get::<AuthContext>().cloned();
    let context = context.ok_or_else(AuthError::layer_missing)?;
    let session = context.session().await?;
    // As it came: what the router decodes is for its own use.
    let target = request
        .uri()
        .path_and_query()
        .and_then(|whole| Proxy::target(prefix, whole.as_str()));
    let Some(target) = target else {
        return Ok(HttpResponse::NotFound().finish());
    };
    let (sent, connection) = if has_body(&request) {
        (up(body, length(&request)), None)
    } else {
        // What comes on the connection besides is the tunnel's, if there will be one.
        (ProxyBody::empty(), Some(body))
    };
    let forwarded = ProxyRequest {
        target: target.to_owned(),
        method: http::Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(|_| Error::from(ProxyError::Path))?,
        headers: headers(&request),
        body: sent,
        upgrade: if connection.is_some() && request.version() == Version::HTTP_11 {
            Upgrade::Possible
        } else {
            Upgrade::Impossible
        },
    };
    let ProxyAnswer {
        status,
        headers,
        rest,
    } = context.auth().forward(proxy, &session, forwarded).await?;
    let mut response = HttpResponse::build(
        StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    );
    for (name, value) in &headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_str().as_bytes()),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            response.append_header((name, value));
        }
    }
    Ok(match (rest, connection) {
        (Rest::Body(download), _) => down(response, download, &request),
        (Rest::Tunnel(tunnel), Some(connection)) => open(response, tunnel, connection),
        // Without a connection to hand over, none is asked for.
        (Rest::Tunnel(_), None) => response.finish(),
    })
}

/// HTTP/1.1 says by these headers whether a body follows (RFC 9112 §6); HTTP/2 says it by no header.
fn has_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
        || request.version() == Version::HTTP_2
}

/// actix-web has checked it.
fn length(request: &HttpRequest) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.trim().parse().ok()
}

fn headers(request: &HttpRequest) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    for (name, value) in request.headers() {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::from_bytes(name.as_str().as_bytes()),
            http::HeaderValue::from_bytes(value.as_bytes()),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

/// The body, for whichever thread reads it: it is fetched on this one, a chunk at a time.
fn up(mut body: web::Payload, length: Option<u64>) -> ProxyBody {
    let (sender, receiver) = mpsc::channel(1);
    rt::spawn(async move {
        loop {
            let chunk = tokio::select! {
                chunk = body.next() => chunk,
                () = sender.closed() => return,
            };
            let Some(chunk) = chunk else { return };
            if sender.send(chunk.map_err(|_| BodyBroken)).await.is_err() {
                return;
            }
        }
    });
    let chunks = stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    });
    ProxyBody::new(chunks, length)
}

fn down(mut response: HttpResponseBuilder, download: Download, request: &HttpRequest) -> HttpResponse {
    let length = download.length();
    // Where a WebSocket was asked for and is not given, actix-web takes what follows for a stream without a frame.
    let is_unframed = request.headers().contains_key(header::UPGRADE);
    if is_unframed {
        response.force_close();
    }
    let mut response = match length {
        Some(length) => response.body(SizedStream::new(length, download)),
        None => response.body(BodyStream::new(download)),
    };
    let has_no_body = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if has_no_body {
        response = response.set_body(actix_web::body::BoxBody::new(()));
        if let Some(length) = length {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
        }
    }
    if is_unframed && length.is_none() {
        response.head_mut().no_chunking(true);
    }
    response
}

/// Hands the connection over. actix-web gives no socket, but a body without a frame each way, which is as good.
fn open(mut response: HttpResponseBuilder, tunnel: Tunnel, connection: web::Payload) -> HttpResponse {
    let from_browser = StreamReader::new(Box::pin(connection.map_err(io::Error::other)));
    let (near, far) = duplex(TUNNEL_BUFFER);
    rt::spawn(tunnel.run(join(from_browser, far)));
    response
        .upgrade("websocket")
        .body(BodyStream::new(ReaderStream::new(near)))
}
