//! A relay in front of a database server, which counts the round trips that go through it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Failure;

/// Where the server listens.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Listens on a free port of the loopback interface until the process ends.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    round_trips: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) fn start(upstream: Upstream) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let round_trips = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&round_trips);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that ends is nothing to tell of.
                let _ = connect(client, &upstream, &count);
            }
        });
        Ok(Self { address, round_trips })
    }

    /// How often a client has sent something and got an answer, on all connections. A command that is sent together with
    /// another, or in several pieces, makes no further one.
    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }
}

fn connect(client: TcpStream, upstream: &Upstream, count: &Arc<AtomicU64>) -> Result<(), Failure> {
    client.set_nodelay(true)?;
    // Whether the client has sent something that the server has not answered yet.
    let asked = Arc::new(AtomicBool::new(false));
    let ask = {
        let asked = Arc::clone(&asked);
        move || asked.store(true, Ordering::SeqCst)
    };
    let count = Arc::clone(count);
    let answer = move || {
        if asked.swap(false, Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    match upstream {
        Upstream::Tcp(address) => {
            let server = TcpStream::connect(address)?;
            server.set_nodelay(true)?;
            let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
            std::thread::spawn(move || copy(from_client, server, ask));
            std::thread::spawn(move || copy(from_server, client, answer));
        }
        Upstream::Unix(path) => {
            let server = UnixStream::connect(path)?;
            let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
            std::thread::spawn(move || copy(from_client, server, ask));
            std::thread::spawn(move || copy(from_server, client, answer));
        }
    }
    Ok(())
}

/// Passes on what comes, until either side ends; `note` is told before each piece.
fn copy(mut from: impl Read, mut to: impl Write, note: impl Fn()) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                note();
                if to.write_all(&buffer[..read]).is_err() {
                    return;
                }
            }
        }
    }
}
