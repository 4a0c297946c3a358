//! The apps on actix-web.

use std::net::SocketAddr;

use actix_web::dev::Service as _;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::rt::SystemRunner;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, Resource};
use auth_actix::{AuthExt as _, Gate, MaybeAuth, RequireAuth, require};
use auth_core::Auth;

use super::{Answer, Case, PATH};
use crate::Failure;
use crate::framework::{InProcess, serve_actix};

/// The routes of an app that has the layer around it.
fn routes(case: Case, auth: &Auth) -> impl FnOnce(&mut ServiceConfig) {
    let own = auth.routes();
    move |config| {
        match case {
            Case::Protected | Case::Anonymous => config.route(PATH, web::get().to(protected_ping)),
            Case::Optional | Case::Guest => config.route(PATH, web::get().to(optional_ping)),
            Case::Role => config.service(gated(Gate::signed_in().role("admin"))),
            Case::Scope => config.service(gated(Gate::signed_in().scope("profile"))),
            Case::Bare | Case::Layer | Case::Public | Case::Refusal => {
                config.route(PATH, web::get().to(ping))
            }
        };
        own(config);
    }
}

fn gated(gate: Gate) -> impl actix_web::dev::HttpServiceFactory {
    Resource::new(PATH).route(web::get().to(ping)).wrap(require(gate))
}

async fn ping() -> &'static str {
    "pong"
}

async fn protected_ping(_user: RequireAuth) -> &'static str {
    "pong"
}

async fn optional_ping(MaybeAuth(_user): MaybeAuth) -> &'static str {
    "pong"
}

/// The routes of an app without the layer.
fn bare_routes(case: Case, answer: Answer) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        match case {
            Case::Refusal => {
                let headers = answer.headers.iter().filter_map(|(name, value)| {
                    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                    Some((name, HeaderValue::from_str(value).ok()?))
                });
                let headers: Vec<_> = headers.collect();
                config.app_data(web::Data::new((headers, answer.body)));
                config.route(PATH, web::get().to(refusal))
            }
            _ => config.route(PATH, web::get().to(ping)),
        };
    }
}

async fn refusal(answer: web::Data<(Vec<(HeaderName, HeaderValue)>, String)>) -> HttpResponse {
    let (headers, body) = &**answer;
    let mut response = HttpResponse::Unauthorized();
    for (name, value) in headers {
        response.append_header((name.clone(), value.clone()));
    }
    response.body(body.clone())
}

pub(super) fn serve(case: Case, auth: Auth, answer: Answer) -> Result<SocketAddr, Failure> {
    if let Case::Bare | Case::Refusal = case {
        let app = move || App::new().configure(bare_routes(case, answer.clone()));
        serve_actix(async move |listener| HttpServer::new(app).workers(1).listen(listener)?.run().await)
    } else if case == Case::Layer {
        let app = move || {
            App::new()
                .configure(bare_routes(case, answer.clone()))
                .wrap_fn(|request, inner| inner.call(request))
        };
        serve_actix(async move |listener| HttpServer::new(app).workers(1).listen(listener)?.run().await)
    } else {
        let app = move || App::new().configure(routes(case, &auth)).wrap(auth.layer());
        serve_actix(async move |listener| HttpServer::new(app).workers(1).listen(listener)?.run().await)
    }
}

pub(super) fn in_process(
    system: &SystemRunner,
    case: Case,
    in_process: &InProcess<'_>,
    auth: &Auth,
    answer: &Answer,
) -> Result<(), Failure> {
    if let Case::Bare | Case::Refusal = case {
        let app = App::new().configure(bare_routes(case, answer.clone()));
        let app = system.block_on(init_service(app));
        in_process.through_actix(system, &app, TestRequest::to_request)
    } else if case == Case::Layer {
        let app = App::new()
            .configure(bare_routes(case, answer.clone()))
            .wrap_fn(|request, inner| inner.call(request));
        let app = system.block_on(init_service(app));
        in_process.through_actix(system, &app, TestRequest::to_request)
    } else {
        let app = App::new().configure(routes(case, auth)).wrap(auth.layer());
        let app = system.block_on(init_service(app));
        in_process.through_actix(system, &app, TestRequest::to_request)
    }
}
