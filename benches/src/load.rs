//! Requests per second over loopback.
//!
//! One client thread keeps a request under way on each of its connections and does next to nothing else: it sends
//! the same bytes again as soon as the answer is there. The server has one worker thread, so on two cores the server
//! is what is measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::sign_in::SignedIn;
use crate::{Case, Failure, Framework, PATH};

/// Connections of the client, each kept alive.
pub(crate) const CONNECTIONS: usize = 32;
/// How often each case gets its turn; all cases once, then all again.
pub(crate) const ROUNDS: usize = 15;
/// How long a turn takes.
pub(crate) const TURN: Duration = Duration::from_millis(200);
/// What comes before it and does not count.
const WARM_UP: Duration = Duration::from_millis(50);
/// An answer that takes longer has got lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one case did in each round.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) case: Case,
    pub(crate) requests_per_second: [f64; ROUNDS],
}

/// Measures all cases of a framework.
pub(crate) fn measure(framework: Framework, signed_in: &SignedIn) -> Result<Vec<Load>, Failure> {
    let mut loads = Vec::new();
    let mut targets = Vec::new();
    for case in Case::ALL {
        targets.push(Target::new(
            framework.serve(case, &signed_in.auth)?,
            case,
            signed_in,
        ));
        loads.push(Load {
            case,
            requests_per_second: [0.0; ROUNDS],
        });
    }
    for round in 0..ROUNDS {
        for (load, target) in loads.iter_mut().zip(&targets) {
            load.requests_per_second[round] = std::thread::scope(|scope| {
                let client = scope.spawn(|| target.take_turn());
                client.join().map_err(|_| "the client panicked")?
            })?;
        }
    }
    Ok(loads)
}

/// A server, what to send there and what to expect.
struct Target {
    address: SocketAddr,
    request: Vec<u8>,
    status_line: String,
}

impl Target {
    fn new(address: SocketAddr, case: Case, signed_in: &SignedIn) -> Self {
        let mut request = format!("GET {PATH} HTTP/1.1\r\n");
        for (name, value) in case.headers(signed_in) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        Self {
            address,
            request: request.into_bytes(),
            status_line: format!("HTTP/1.1 {} ", case.status()),
        }
    }

    /// Answers per second during one turn.
    fn take_turn(&self) -> Result<f64, Failure> {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let mut connection = Connection::open(self)?;
            connection.send()?;
            connections.push(connection);
        }
        go_around(&mut connections, WARM_UP)?;
        let begun = Instant::now();
        let answers = go_around(&mut connections, TURN)?;
        Ok(answers as f64 / begun.elapsed().as_secs_f64())
    }
}

/// Takes each connection's answer in turn and asks again, until the time is over.
fn go_around(connections: &mut [Connection<'_>], time: Duration) -> Result<u32, Failure> {
    let begun = Instant::now();
    let mut answers = 0;
    while begun.elapsed() < time {
        for connection in &mut *connections {
            connection.receive()?;
            connection.send()?;
            answers += 1;
        }
    }
    Ok(answers)
}

struct Connection<'a> {
    target: &'a Target,
    stream: TcpStream,
    buffer: Box<[u8; 4096]>,
    /// The length of the answer, which is the same every time; known from the first one.
    length: Option<usize>,
}

impl<'a> Connection<'a> {
    fn open(target: &'a Target) -> Result<Self, Failure> {
        let stream = TcpStream::connect(target.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            target,
            stream,
            buffer: Box::new([0; 4096]),
            length: None,
        })
    }

    fn send(&mut self) -> Result<(), Failure> {
        Ok(self.stream.write_all(&self.target.request)?)
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut filled = 0;
        let length = loop {
            let read = self.stream.read(&mut self.buffer[filled..])?;
            if read == 0 {
                return Err("the server closed a connection, or its answer is too long".into());
            }
            filled += read;
            let length = self.length.or_else(|| length_of(&self.buffer[..filled]));
            if let Some(length) = length.filter(|length| *length <= filled) {
                break length;
            }
        };
        if filled > length || !self.buffer.starts_with(self.target.status_line.as_bytes()) {
            let line = self.buffer[..filled].split(|byte| *byte == b'\r').next();
            let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
            return Err(format!("expected {}, got {line}", self.target.status_line.trim_end()).into());
        }
        self.length = Some(length);
        Ok(())
    }
}

/// The length of an answer, head and body, once its head is complete.
fn length_of(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let body = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok()).flatten()
    })?;
    Some(head + body)
}
