//! The server of the single-page app on actix-web: its files, sign-in, and the proxy to the API.

use std::net::TcpListener;
use std::process::ExitCode;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::http::{StatusCode, Uri};
use actix_web::{App, HttpResponse, HttpServer, web};
use auth_actix::{AuthExt, ConfigError, Proxy};
use example_common::{GRACE, Log, Setup};

#[actix_web::main]
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
    let listener = example_common::listen("127.0.0.1:3001").await?;
    let setup = example_common::setup(&listener).await?;
    Ok((listener, setup))
}

async fn serve(listener: TcpListener, setup: &Setup) -> std::io::Result<()> {
    let auth = setup.auth.clone();
    let app = move || {
        App::new()
            .service(auth.proxy("/proxy/api", Proxy::to_api()))
            .configure(auth.routes())
            .service(web::resource("/{path:.*}").get(file).head(file))
            .wrap(auth.layer())
    };
    let address = listener.local_addr()?;
    let server = HttpServer::new(app)
        .shutdown_signal(example_common::stop_signal())
        .shutdown_timeout(GRACE.as_secs())
        // A browser that goes away ends what was done for it.
        .h1_allow_half_closed(false)
        .listen(listener)?
        .run();
    println!("listening on http://{address}");
    server.await?;
    example_common::drain(&setup.auth).await;
    Ok(())
}

async fn file(uri: Uri) -> HttpResponse {
    match browser_app::file(uri.path()) {
        Some(file) => {
            let mut response = HttpResponse::Ok();
            for header in browser_app::HEADERS {
                response.insert_header(header);
            }
            response
                .insert_header((CONTENT_TYPE, file.content_type))
                .body(file.body)
        }
        None => HttpResponse::new(StatusCode::NOT_FOUND),
    }
}
