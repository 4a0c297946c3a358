//! The same route on both frameworks: once bare, once behind `bearer_layer` with a handler that takes the token.

use std::net::SocketAddr;

use actix_web::rt::System;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpServer, web};
use auth_axum::ResourceServer;
use axum::Router;
use axum::routing::get;

use super::{Case, PATH, Repeated};
use crate::Failure;
use crate::framework::{Framework, InProcess, serve_actix, serve_axum};

/// Serves the case's app on a free port of the loopback interface until the process ends.
pub(super) fn serve(
    framework: Framework,
    case: Case,
    server: &ResourceServer,
) -> Result<SocketAddr, Failure> {
    let server = server.clone();
    match (framework, case) {
        (Framework::Axum, _) => serve_axum(router(case, server)),
        (Framework::Actix, Case::Bare) => {
            let app = || App::new().route(PATH, web::get().to(ping));
            serve_actix(async move |listener| HttpServer::new(app).workers(1).listen(listener)?.run().await)
        }
        (Framework::Actix, Case::Bearer) => {
            let app = move || {
                App::new()
                    .route(PATH, web::get().to(bearer_ping))
                    .wrap(auth_actix::bearer_layer(server.clone()))
            };
            serve_actix(async move |listener| HttpServer::new(app).workers(1).listen(listener)?.run().await)
        }
    }
}

/// Sends requests with one token through the case's app, without a network.
pub(super) fn in_process(
    framework: Framework,
    case: Case,
    requests: usize,
    prepared: usize,
) -> Result<(), Failure> {
    let in_process = |repeated: &Repeated, send: &dyn Fn(&InProcess<'_>) -> Result<(), Failure>| {
        send(&InProcess {
            path: PATH,
            headers: &repeated.headers(),
            status: 200,
            requests,
            prepared,
        })
    };
    match framework {
        Framework::Axum => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let repeated = runtime.block_on(Repeated::at_a_new_provider())?;
            in_process(&repeated, &|requests| {
                requests.through_axum(&runtime, router(case, repeated.server.clone()))
            })
        }
        Framework::Actix => {
            let system = System::new();
            let repeated = system.block_on(Repeated::at_a_new_provider())?;
            in_process(&repeated, &|requests| {
                if case == Case::Bare {
                    let app = App::new().route(PATH, web::get().to(ping));
                    let app = system.block_on(init_service(app));
                    requests.through_actix(&system, &app, TestRequest::to_request)
                } else {
                    let app = App::new()
                        .route(PATH, web::get().to(bearer_ping))
                        .wrap(auth_actix::bearer_layer(repeated.server.clone()));
                    let app = system.block_on(init_service(app));
                    requests.through_actix(&system, &app, TestRequest::to_request)
                }
            })
        }
    }
}

fn router(case: Case, server: ResourceServer) -> Router {
    match case {
        Case::Bare => Router::new().route(PATH, get(ping)),
        Case::Bearer => Router::new()
            .route(PATH, get(async |_: auth_axum::BearerToken| "pong"))
            .layer(auth_axum::bearer_layer(server)),
    }
}

async fn ping() -> &'static str {
    "pong"
}

async fn bearer_ping(_: auth_actix::BearerToken) -> &'static str {
    "pong"
}
