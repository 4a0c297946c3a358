//! Requests per second over loopback, and how long each takes.
//!
//! One client thread keeps a request under way on each of its connections and does next to nothing else: it sends
//! the same bytes again as soon as the answer is there. The server has one worker thread, so on two cores the server
//! is what is measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::report::{Field, quantile};
use crate::threads::{Ran, Threads};

/// Connections of the client, each kept alive.
pub(crate) const CONNECTIONS: usize = 32;
/// What comes before a turn and does not count, as a part of the turn.
const WARM_UP: u32 = 4;
/// An answer that takes longer has got lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server, what to send there and what to expect.
pub(crate) struct Target {
    address: SocketAddr,
    request: Vec<u8>,
    status: u16,
}

/// What the turns of a target gave.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Requests per second, turn by turn.
    pub(crate) rates: Vec<f64>,
    /// Nanoseconds from each request to its answer, of all turns.
    latencies: Vec<u64>,
}

impl Turns {
    /// Half, 99 % and 99.9 % of the answers took no longer; microseconds.
    pub(crate) fn percentiles(&mut self) -> [Field; 3] {
        self.latencies.sort_unstable();
        [0.5, 0.99, 0.999].map(|share| Field::Number(quantile(&self.latencies, share) / 1e3, 0))
    }
}

impl Target {
    pub(crate) fn new(address: SocketAddr, path: &str, headers: &[(&str, &str)], status: u16) -> Self {
        let mut request = format!("GET {path} HTTP/1.1\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        Self {
            address,
            request: request.into_bytes(),
            status,
        }
    }

    /// Adds what one turn gives: the answers per second, and how long each took.
    pub(crate) fn take_turn(&self, time: Duration, turns: &mut Turns) -> Result<(), Failure> {
        let mut connections = self.connections()?;
        go_around(&mut connections, time / WARM_UP, &mut Vec::new())?;
        let (begun, before) = (Instant::now(), turns.latencies.len());
        go_around(&mut connections, time, &mut turns.latencies)?;
        let answers = turns.latencies.len() - before;
        turns.rates.push(answers as f64 / begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// A request under way on each.
    fn connections(&self) -> Result<Vec<Connection<'_>>, Failure> {
        let connection = |_| {
            let mut connection = Connection::open(self)?;
            connection.send()?;
            Ok(connection)
        };
        (0..CONNECTIONS).map(connection).collect()
    }

    /// Asks for so long, and tells how many answers there were, and how long each thread ran for them.
    pub(crate) fn watch_threads(&self, time: Duration) -> Result<(u64, Vec<(String, Ran)>), Failure> {
        let mut connections = self.connections()?;
        go_around(&mut connections, time / WARM_UP, &mut Vec::new())?;
        let (before, mut latencies) = (Threads::now(), Vec::new());
        go_around(&mut connections, time, &mut latencies)?;
        let after = Threads::now();
        let ran = after.since(&before).map(|(name, ran)| (name.to_owned(), ran));
        Ok((u64::try_from(latencies.len())?, ran.collect()))
    }

    /// Sends so many requests, one after the other.
    pub(crate) fn one_by_one(&self, requests: usize) -> Result<(), Failure> {
        let mut connection = Connection::open(self)?;
        for _ in 0..requests {
            connection.send()?;
            connection.receive()?;
        }
        Ok(())
    }

    /// One answer, head and body.
    pub(crate) fn answer(&self) -> Result<String, Failure> {
        let mut connection = Connection::open(self)?;
        connection.send()?;
        let length = connection.receive()?;
        Ok(std::str::from_utf8(&connection.buffer[..length])?.to_owned())
    }
}

/// Takes each connection's answer in turn and asks again, until the time is over.
fn go_around(
    connections: &mut [Connection<'_>],
    time: Duration,
    latencies: &mut Vec<u64>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        for connection in &mut *connections {
            connection.receive()?;
            let took = connection.sent_at.elapsed().as_nanos();
            latencies.push(u64::try_from(took).unwrap_or(u64::MAX));
            connection.send()?;
        }
    }
    Ok(())
}

struct Connection<'a> {
    target: &'a Target,
    stream: TcpStream,
    buffer: Box<[u8; 4096]>,
    status_line: String,
    /// The length of the answer, which is the same every time; known from the first one.
    length: Option<usize>,
    sent_at: Instant,
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
            status_line: format!("HTTP/1.1 {} ", target.status),
            length: None,
            sent_at: Instant::now(),
        })
    }

    fn send(&mut self) -> Result<(), Failure> {
        self.sent_at = Instant::now();
        Ok(self.stream.write_all(&self.target.request)?)
    }

    /// The length of the next answer, which is then in the buffer.
    fn receive(&mut self) -> Result<usize, Failure> {
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
        if filled > length || !self.buffer.starts_with(self.status_line.as_bytes()) {
            let line = self.buffer[..filled].split(|byte| *byte == b'\r').next();
            let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
            return Err(format!("expected {}, got {line}", self.status_line.trim_end()).into());
        }
        self.length = Some(length);
        Ok(length)
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
