//! The frameworks that serve, over loopback and in process.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::str::FromStr;

use actix_web::dev::{Service as ActixService, ServiceResponse};
use actix_web::rt::{System, SystemRunner};
use actix_web::test::TestRequest;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use tokio::runtime::Runtime;
use tower_service::Service as _;

use crate::Failure;
use crate::callgrind::counted_requests;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

impl Framework {
    pub(crate) const ALL: [Self; 2] = [Self::Axum, Self::Actix];
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
        })
    }
}

impl FromStr for Framework {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let known = Self::ALL.into_iter().find(|known| known.to_string() == text);
        known.ok_or_else(|| format!("no such framework: {text}").into())
    }
}

/// Serves on a free port of the loopback interface until the process ends, with one worker thread.
pub(crate) fn serve_axum(router: Router) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
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
            axum::serve(listener, router).await
        });
        if let Err(error) = served {
            eprintln!("auth-benches: {error}");
        }
    });
    Ok(address)
}

/// Runs an actix-web server on a free port of the loopback interface until the process ends. `run` gives it its one worker.
pub(crate) fn serve_actix<F: Future<Output = io::Result<()>>>(
    run: impl FnOnce(TcpListener) -> F + Send + 'static,
) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        // The thread that blocks accepts connections; the one worker serves them.
        if let Err(error) = System::new().block_on(run(listener)) {
            eprintln!("auth-benches: {error}");
        }
    });
    Ok(address)
}

/// What is sent through an app in process, and the status that each answer must have.
pub(crate) struct InProcess<'a> {
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) status: u16,
    /// How many of the requests that are made ready are sent.
    pub(crate) requests: usize,
    /// How many are made ready: see [`callgrind`](crate::callgrind).
    pub(crate) prepared: usize,
}

impl InProcess<'_> {
    /// Sends the requests inside of [`counted_requests`].
    pub(crate) fn through_axum(&self, runtime: &Runtime, mut app: Router) -> Result<(), Failure> {
        let request = || {
            let mut request = Request::get(self.path);
            for (name, value) in self.headers {
                request = request.header(*name, *value);
            }
            request.body(Body::empty())
        };
        let prepared: Vec<_> = (0..self.prepared).map(|_| request()).collect::<Result<_, _>>()?;
        let mut asked = prepared.into_iter().take(self.requests);
        let mut as_expected = true;
        counted_requests(&mut || {
            runtime.block_on(async {
                for request in asked.by_ref() {
                    let Ok(response) = app.call(request).await;
                    as_expected &= response.status() == self.status;
                }
            });
        });
        self.expect(as_expected)
    }

    /// The same on actix-web.
    pub(crate) fn through_actix<S, R, B>(
        &self,
        system: &SystemRunner,
        app: &S,
        make: impl Fn(TestRequest) -> R,
    ) -> Result<(), Failure>
    where
        S: ActixService<R, Response = ServiceResponse<B>, Error = actix_web::Error>,
    {
        let request = || {
            let mut request = TestRequest::get().uri(self.path);
            for header in self.headers {
                request = request.insert_header(*header);
            }
            make(request)
        };
        let prepared: Vec<_> = (0..self.prepared).map(|_| request()).collect();
        let mut asked = prepared.into_iter().take(self.requests);
        let mut as_expected = true;
        counted_requests(&mut || {
            system.block_on(async {
                for request in asked.by_ref() {
                    let response = app.call(request).await;
                    as_expected &= response.is_ok_and(|response| response.status() == self.status);
                }
            });
        });
        self.expect(as_expected)
    }

    fn expect(&self, as_expected: bool) -> Result<(), Failure> {
        if as_expected {
            Ok(())
        } else {
            Err(format!("an answer has another status than {}", self.status).into())
        }
    }
}
