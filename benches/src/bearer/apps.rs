//! The same route on both frameworks: once bare, once behind `bearer_layer` with a handler that takes the token.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::{Service as ActixService, ServiceResponse};
use actix_web::rt::{System, SystemRunner};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpServer, web};
use auth_axum::ResourceServer;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower_service::Service as _;

use crate::callgrind::{PREPARED, counted_requests};
use crate::load::PATH;
use crate::{Case, Failure, Framework, Repeated};

impl Framework {
    /// Serves the case's app on a free port of the loopback interface until the process ends.
    pub(crate) fn serve(self, case: Case, server: &ResourceServer) -> Result<SocketAddr, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let server = server.clone();
        match self {
            Self::Axum => serve_axum(listener, router(case, server))?,
            Self::Actix => serve_actix(listener, case, server),
        }
        Ok(address)
    }

    /// Sends `requests` requests with one token through the case's app, without a network, inside of
    /// [`counted_requests`].
    pub(crate) fn answer_in_process(self, case: Case, requests: usize) -> Result<(), Failure> {
        let as_expected = match self {
            Self::Axum => answer_on_axum(case, requests)?,
            Self::Actix => answer_on_actix(case, requests)?,
        };
        if as_expected {
            Ok(())
        } else {
            Err("an answer has another status than it should".into())
        }
    }
}

// ---- axum ---------------------------------------------------------------------------------------------------

fn router(case: Case, server: ResourceServer) -> Router {
    match case {
        Case::Bare => Router::new().route(PATH, get(async || "pong")),
        Case::Bearer => Router::new()
            .route(PATH, get(async |_: auth_axum::BearerToken| "pong"))
            .layer(auth_axum::bearer_layer(server)),
    }
}

fn serve_axum(listener: TcpListener, router: Router) -> Result<(), Failure> {
    // The thread that blocks accepts connections; the one worker serves them.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        });
        if let Err(error) = served {
            eprintln!("auth-bearer-benches: {error}");
        }
    });
    Ok(())
}

fn answer_on_axum(case: Case, requests: usize) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let repeated = runtime.block_on(Repeated::at_a_new_provider())?;
    let mut app = router(case, repeated.server.clone());
    let prepared: Vec<_> = (0..PREPARED)
        .map(|_| {
            Request::get(PATH)
                .header("authorization", &repeated.header)
                .body(Body::empty())
        })
        .collect::<Result<_, _>>()?;
    let mut asked = prepared.into_iter().take(requests);
    let mut as_expected = true;
    counted_requests(&mut || {
        runtime.block_on(async {
            for request in asked.by_ref() {
                let Ok(response) = app.call(request).await;
                as_expected &= response.status() == 200;
            }
        });
    });
    Ok(as_expected)
}

// ---- actix-web ----------------------------------------------------------------------------------------------

fn serve_actix(listener: TcpListener, case: Case, server: ResourceServer) {
    std::thread::spawn(move || {
        let served = System::new().block_on(async {
            // The thread that blocks accepts connections; the one worker serves them.
            match case {
                Case::Bare => {
                    let app = || App::new().route(PATH, web::get().to(async || "pong"));
                    HttpServer::new(app).workers(1).listen(listener)?.run().await
                }
                Case::Bearer => {
                    let app = move || {
                        App::new()
                            .route(PATH, web::get().to(async |_: auth_actix::BearerToken| "pong"))
                            .wrap(auth_actix::bearer_layer(server.clone()))
                    };
                    HttpServer::new(app).workers(1).listen(listener)?.run().await
                }
            }
        });
        if let Err(error) = served {
            eprintln!("auth-bearer-benches: {error}");
        }
    });
}

fn answer_on_actix(case: Case, requests: usize) -> Result<bool, Failure> {
    let system = System::new();
    let repeated = system.block_on(Repeated::at_a_new_provider())?;
    let prepared: Vec<_> = (0..PREPARED)
        .map(|_| {
            TestRequest::get()
                .uri(PATH)
                .insert_header(("authorization", repeated.header.as_str()))
                .to_request()
        })
        .collect();
    let asked = prepared.into_iter().take(requests);
    Ok(match case {
        Case::Bare => {
            let app = App::new().route(PATH, web::get().to(async || "pong"));
            answer(&system, &system.block_on(init_service(app)), asked)
        }
        Case::Bearer => {
            let app = App::new()
                .route(PATH, web::get().to(async |_: auth_actix::BearerToken| "pong"))
                .wrap(auth_actix::bearer_layer(repeated.server.clone()));
            answer(&system, &system.block_on(init_service(app)), asked)
        }
    })
}

fn answer<S, R, B>(system: &SystemRunner, app: &S, mut asked: impl Iterator<Item = R>) -> bool
where
    S: ActixService<R, Response = ServiceResponse<B>, Error = actix_web::Error>,
{
    let mut as_expected = true;
    counted_requests(&mut || {
        system.block_on(async {
            for request in asked.by_ref() {
                let response = app.call(request).await;
                as_expected &= response.is_ok_and(|response| response.status() == 200);
            }
        });
    });
    as_expected
}
