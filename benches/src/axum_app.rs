//! The apps on axum.

use std::net::SocketAddr;

use auth_axum::{AuthExt as _, RequireAuth};
use auth_core::Auth;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower_service::Service as _;

use crate::callgrind::{PREPARED, counted_requests};
use crate::sign_in::SignedIn;
use crate::{Case, Failure, PATH};

fn app(case: Case, auth: &Auth) -> Router {
    match case {
        Case::Bare => Router::new().route(PATH, get(ping)),
        Case::Public => with_auth(Router::new().route(PATH, get(ping)), auth),
        Case::Protected | Case::Anonymous => with_auth(Router::new().route(PATH, get(protected_ping)), auth),
    }
}

fn with_auth(router: Router, auth: &Auth) -> Router {
    router.merge(auth.routes()).layer(auth.layer())
}

async fn ping() -> &'static str {
    "pong"
}

async fn protected_ping(_user: RequireAuth) -> &'static str {
    "pong"
}

pub(crate) fn serve(case: Case, auth: Auth) -> Result<SocketAddr, Failure> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    // The thread that blocks accepts connections; the one worker serves them.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app(case, &auth)).await
        });
        if let Err(error) = served {
            eprintln!("auth-benches: {error}");
        }
    });
    Ok(address)
}

pub(crate) fn answer_in_process(case: Case, requests: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signed_in = runtime.block_on(SignedIn::at_a_new_provider())?;
    let mut app = app(case, &signed_in.auth);
    let prepared: Vec<_> = (0..PREPARED)
        .map(|_| request(case, &signed_in))
        .collect::<Result<_, _>>()?;
    let mut asked = prepared.into_iter().take(requests);
    let mut as_expected = true;
    counted_requests(&mut || {
        runtime.block_on(async {
            for request in asked.by_ref() {
                let Ok(response) = app.call(request).await;
                as_expected &= response.status() == case.status();
            }
        });
    });
    if as_expected {
        Ok(())
    } else {
        Err("an answer has another status than it should".into())
    }
}

fn request(case: Case, signed_in: &SignedIn) -> Result<Request<Body>, Failure> {
    let mut request = Request::get(PATH);
    for (name, value) in case.headers(signed_in) {
        request = request.header(name, value);
    }
    Ok(request.body(Body::empty())?)
}
