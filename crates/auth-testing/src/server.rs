//! A loopback HTTP server that tests can take down, bring back and make hang up on a request.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
#[cfg(feature = "kit")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "kit")]
use auth_core::testing::NoAnswer;
use axum::Router;
use axum::body::Body;
#[cfg(feature = "kit")]
use axum::body::Bytes;
use axum::http::Request;
#[cfg(feature = "kit")]
use axum::http::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;

use crate::wire::Wire;

/// A router on a loopback port, or one that is asked in the process. Stops when dropped.
pub(crate) struct Server {
    place: Place,
    router: Router,
    wires: Arc<AtomicUsize>,
}

enum Place {
    Port {
        address: SocketAddr,
        running: Mutex<Option<Running>>,
    },
    #[cfg(feature = "kit")]
    Process { is_up: AtomicBool },
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The connection a request came on, as a request extension: lets a handler hang up, or write what is no HTTP, instead
/// of answering.
#[derive(Clone, Default)]
pub(crate) struct Connection(Arc<Takeover>);

#[derive(Default)]
struct Takeover {
    asked: Notify,
    wire: Mutex<Option<Wire>>,
}

impl Connection {
    /// Closes the connection. Never returns: the task that would go on is dropped with the connection.
    pub(crate) async fn hang_up(&self) -> Infallible {
        self.0.asked.notify_one();
        std::future::pending().await
    }

    /// Writes this instead of an answer. Never returns, as [`hang_up`](Self::hang_up).
    pub(crate) async fn take_over(&self, wire: Wire) -> Infallible {
        *self.0.wire.lock().unwrap_or_else(PoisonError::into_inner) = Some(wire);
        self.hang_up().await
    }

    /// Waits until the connection is taken from HTTP; gives what is to be written there.
    async fn taken(&self) -> Option<Wire> {
        self.0.asked.notified().await;
        self.0.wire.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Server {
    pub(crate) fn start(listener: TcpListener, router: Router) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let wires = Arc::default();
        let running = Mutex::new(Some(serve(listener, router.clone(), &wires)));
        Ok(Self {
            place: Place::Port { address, running },
            router,
            wires,
        })
    }

    #[cfg(feature = "kit")]
    pub(crate) fn in_process(router: Router) -> Self {
        Self {
            place: Place::Process {
                is_up: AtomicBool::new(true),
            },
            router,
            wires: Arc::default(),
        }
    }

    /// Whether it is there.
    #[cfg(feature = "kit")]
    pub(crate) fn is_up(&self) -> bool {
        match &self.place {
            Place::Port { running, .. } => slot(running).is_some(),
            Place::Process { is_up } => is_up.load(Ordering::SeqCst),
        }
    }

    /// Answers a request that came without a connection. A [`Wire`] breaks off, as a hang-up does.
    #[cfg(feature = "kit")]
    pub(crate) async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        if !self.is_up() {
            return Err(NoAnswer::Unreachable);
        }
        let connection = Connection::default();
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(connection.clone());
        tokio::select! {
            answer = self.router.clone().oneshot(request) => {
                let (head, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| NoAnswer::BrokenOff)?;
                Ok(Response::from_parts(head, body))
            }
            _ = connection.taken() => Err(NoAnswer::BrokenOff),
        }
    }

    /// How many connections a [`Wire`] is being written to, or held open by one.
    pub(crate) fn open_wires(&self) -> usize {
        self.wires.load(Ordering::Relaxed)
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
        match &self.place {
            Place::Port { address, running } => {
                if slot(running).is_some() {
                    return Ok(());
                }
                let listener = TcpListener::bind(address).await?;
                let mut slot = slot(running);
                if slot.is_none() {
                    *slot = Some(serve(listener, self.router.clone(), &self.wires));
                }
            }
            #[cfg(feature = "kit")]
            Place::Process { is_up } => is_up.store(true, Ordering::SeqCst),
        }
        Ok(())
    }

    /// Tells the server to stop, without waiting for it.
    pub(crate) fn stop(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Running> {
        match &self.place {
            Place::Port { running, .. } => slot(running).take(),
            #[cfg(feature = "kit")]
            Place::Process { is_up } => {
                is_up.store(false, Ordering::SeqCst);
                None
            }
        }
    }
}

fn slot(running: &Mutex<Option<Running>>) -> MutexGuard<'_, Option<Running>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: TcpListener, router: Router, wires: &Arc<AtomicUsize>) -> Running {
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(accept(listener, router, Arc::clone(wires), stopped));
    Running { stop, task }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    wires: Arc<AtomicUsize>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // A dropped sender means the same as a message: nobody wants this server any more.
            _ = &mut stopped => break,
            accepted = listener.accept() => {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(converse(stream, router.clone(), Arc::clone(&wires)));
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

async fn converse(stream: TcpStream, router: Router, wires: Arc<AtomicUsize>) {
    // Answers are small and awaited: without this, they wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let connection = Connection::default();
    let extension = connection.clone();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(extension.clone());
        router.clone().oneshot(request)
    });
    let mut http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let wire = tokio::select! {
        _ = &mut http => None,
        wire = connection.taken() => wire,
    };
    if let Some(wire) = wire {
        let _open = Open::new(wires);
        wire.write(http.into_parts().io.into_inner()).await;
    }
}

/// Counts a connection while it exists.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
