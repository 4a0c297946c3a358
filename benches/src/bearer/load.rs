//! Requests per second over loopback: one client thread keeps a request under way on each of its connections.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::Failure;

/// The route under measurement.
pub(crate) const PATH: &str = "/api/ping";
const CONNECTIONS: usize = 32;
/// How long a turn takes: short, so that whatever else the machine does hits both cases.
pub(crate) const TURN: Duration = Duration::from_millis(100);
/// What comes before it and does not count.
const WARM_UP: Duration = Duration::from_millis(20);
/// An answer that takes longer has got lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server and what to send there: the same bytes to either.
pub(crate) struct Target {
    address: SocketAddr,
    request: Vec<u8>,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, authorization: &str) -> Self {
        let request = format!(
            "GET {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench\r\naccept: */*\r\nauthorization: {authorization}\r\n\r\n"
        );
        Self {
            address,
            request: request.into_bytes(),
        }
    }

    /// Answers per second during one turn.
    pub(crate) fn take_turn(&self) -> Result<f64, Failure> {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(&self.request)?;
            connections.push(stream);
        }
        self.go_around(&mut connections, WARM_UP)?;
        let begun = Instant::now();
        let answers = self.go_around(&mut connections, TURN)?;
        Ok(f64::from(answers) / begun.elapsed().as_secs_f64())
    }

    /// Takes each connection's answer in turn and asks again, until the time is over.
    fn go_around(&self, connections: &mut [TcpStream], time: Duration) -> Result<u32, Failure> {
        let begun = Instant::now();
        let mut answers = 0;
        let mut buffer = [0; 2048];
        while begun.elapsed() < time {
            for stream in &mut *connections {
                let mut filled = 0;
                // The body is the last that comes.
                while !buffer[..filled].ends_with(b"\r\n\r\npong") {
                    let read = stream.read(&mut buffer[filled..])?;
                    filled += read;
                    if read == 0 || filled > 12 && !buffer.starts_with(b"HTTP/1.1 200") {
                        return Err("an answer is not the one that was expected".into());
                    }
                }
                stream.write_all(&self.request)?;
                answers += 1;
            }
        }
        Ok(answers)
    }
}
