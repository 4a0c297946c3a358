//! A loopback HTTP server that tests can take down, bring back and make hang up on a request.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;

/// A router on a loopback port. Stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    router: Router,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The connection a request came on, as a request extension: lets a handler hang up instead of answering.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Notify>);

impl Connection {
    /// Closes the connection. Never returns: the task that would go on is dropped with the connection.
    pub(crate) async fn hang_up(&self) -> std::convert::Infallible {
        self.0.notify_one();
        std::future::pending().await
    }
}

impl Server {
    pub(crate) fn start(listener: TcpListener, router: Router) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let running = Mutex::new(Some(serve(listener, router.clone())));
        Ok(Self {
            address,
            router,
            running,
        })
    }

    /// Closes the port and every connection; when this returns, the port refuses connections.
    pub(crate) async fn go_down(&self) {
        let running = self.take();
        if let Some(running) = running {
            let _ = running.stop.send(());
            // The task ends by itself; an error would only say that its runtime is gone.
            let _ = running.task.await;
        }
    }

    /// Listens on the same port again. Does nothing where it already does.
    pub(crate) async fn come_up(&self) -> io::Result<()> {
        if self.slot().is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).await?;
        let mut slot = self.slot();
        if slot.is_none() {
            *slot = Some(serve(listener, self.router.clone()));
        }
        Ok(())
    }

    /// Tells the server to stop, without waiting for it.
    pub(crate) fn stop(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Running> {
        self.slot().take()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(listener: TcpListener, router: Router) -> Running {
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(accept(listener, router, stopped));
    Running { stop, task }
}

async fn accept(listener: TcpListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // A dropped sender means the same as a message: nobody wants this server any more.
            _ = &mut stopped => break,
            accepted = listener.accept() => {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(converse(stream, router.clone()));
                    }
                    // Out of file descriptors, most likely: give connections time to end.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn converse(stream: TcpStream, router: Router) {
    // Answers are small and awaited: without this, they wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let hang_up = Arc::new(Notify::new());
    let connection = Connection(Arc::clone(&hang_up));
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        router.clone().oneshot(request)
    });
    tokio::select! {
        _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service) => {}
        () = hang_up.notified() => {}
    }
}
