//! The apps on actix-web.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::{Service, ServiceResponse};
use actix_web::rt::{System, SystemRunner};
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer};
use auth_actix::{AuthExt as _, RequireAuth};
use auth_core::Auth;

use crate::callgrind::{PREPARED, counted_requests};
use crate::sign_in::SignedIn;
use crate::{Case, Failure, PATH};

/// The routes of an app that has the layer around it.
fn routes(case: Case, auth: &Auth) -> impl FnOnce(&mut ServiceConfig) {
    let own = auth.routes();
    move |config| {
        match case {
            Case::Bare | Case::Public => config.route(PATH, web::get().to(ping)),
            Case::Protected | Case::Anonymous => config.route(PATH, web::get().to(protected_ping)),
        };
        own(config);
    }
}

async fn ping() -> &'static str {
    "pong"
}

async fn protected_ping(_user: RequireAuth) -> &'static str {
    "pong"
}

pub(crate) fn serve(case: Case, auth: Auth) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let served = System::new().block_on(async {
            // The thread that blocks accepts connections; the one worker serves them.
            if case == Case::Bare {
                let app = || App::new().route(PATH, web::get().to(ping));
                HttpServer::new(app).workers(1).listen(listener)?.run().await
            } else {
                let app = move || App::new().configure(routes(case, &auth)).wrap(auth.layer());
                HttpServer::new(app).workers(1).listen(listener)?.run().await
            }
        });
        if let Err(error) = served {
            eprintln!("auth-benches: {error}");
        }
    });
    Ok(address)
}

pub(crate) fn answer_in_process(case: Case, requests: usize) -> Result<(), Failure> {
    let system = System::new();
    let signed_in = system.block_on(SignedIn::at_a_new_provider())?;
    let prepared: Vec<_> = (0..PREPARED)
        .map(|_| request(case, &signed_in).to_request())
        .collect();
    let asked = prepared.into_iter().take(requests);
    let auth = &signed_in.auth;
    let as_expected = if case == Case::Bare {
        let app = App::new().route(PATH, web::get().to(ping));
        answer(&system, &system.block_on(init_service(app)), asked, case)
    } else {
        let app = App::new().configure(routes(case, auth)).wrap(auth.layer());
        answer(&system, &system.block_on(init_service(app)), asked, case)
    };
    if as_expected {
        Ok(())
    } else {
        Err("an answer has another status than it should".into())
    }
}

fn answer<S, R, B>(system: &SystemRunner, app: &S, mut asked: impl Iterator<Item = R>, case: Case) -> bool
where
    S: Service<R, Response = ServiceResponse<B>, Error = actix_web::Error>,
{
    let mut as_expected = true;
    counted_requests(&mut || {
        system.block_on(async {
            for request in asked.by_ref() {
                let response = app.call(request).await;
                as_expected &= response.is_ok_and(|response| response.status() == case.status());
            }
        });
    });
    as_expected
}

fn request(case: Case, signed_in: &SignedIn) -> TestRequest {
    let mut request = TestRequest::get().uri(PATH);
    for header in case.headers(signed_in) {
        request = request.insert_header(header);
    }
    request
}
