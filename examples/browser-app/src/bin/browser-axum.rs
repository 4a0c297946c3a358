//! The server of the single-page app on axum: its files, sign-in, and the proxy to the API.

use std::net::TcpListener;
use std::process::ExitCode;

use auth_axum::{AuthExt, ConfigError, Proxy};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use example_common::{Log, Setup};

#[tokio::main]
async fn main() -> ExitCode {
    let log = Log::held_back();
    let (listener, setup) = match start().await {
        Ok(started) => started,
        Err(error) => return example_common::refuse_to_start(&error),
    };
    log.release();
    match serve(listener, &setup).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the server failed");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(TcpListener, Setup), ConfigError> {
    let listener = example_common::listen("127.0.0.1:3000").await?;
    let setup = example_common::setup(&listener).await?;
    Ok((listener, setup))
}

async fn serve(listener: TcpListener, setup: &Setup) -> std::io::Result<()> {
    let auth = &setup.auth;
    let app = Router::new()
        .merge(auth.proxy("/proxy/api", Proxy::to_api()))
        .merge(auth.routes())
        .fallback_service(get(file))
        .layer(auth.layer());
    let address = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let stop = example_common::stop_signal();
    println!("listening on http://{address}");
    let server = axum::serve(listener, app).with_graceful_shutdown(stop);
    tokio::select! {
        result = server.into_future() => result?,
        () = example_common::grace_is_over() => tracing::warn!("requests under way were cut off"),
    }
    example_common::drain(auth).await;
    Ok(())
}

async fn file(uri: Uri) -> Response {
    match browser_app::file(uri.path()) {
        Some(file) => {
            let headers = browser_app::HEADERS.map(|(name, value)| (HeaderName::from_static(name), value));
            (headers, [(CONTENT_TYPE, file.content_type)], file.body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
