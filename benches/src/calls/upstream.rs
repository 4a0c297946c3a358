//! The API behind it all: it answers at once, and asks for nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::Failure;

/// What the short answer says.
pub(crate) const SHORT: &[u8] = b"{\"id\":\"ada\",\"name\":\"Ada Lovelace\",\"email\":\"ada@example.com\"}";
/// Large bodies go in pieces of this size.
const PIECE: usize = 256 * 1024;

/// Listens, a thread for each connection: a short answer at `/short`, a body of so many bytes at `/large/{bytes}`, and a
/// body of any size taken from whoever sends one.
pub(crate) fn start() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that ends is nothing to tell of.
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    let piece = vec![b'x'; PIECE];
    loop {
        let head = connection.head()?;
        if head.starts_with("GET /short ") {
            let mut answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                SHORT.len()
            )
            .into_bytes();
            answer.extend_from_slice(SHORT);
            connection.stream.write_all(&answer)?;
        } else if head.starts_with("GET ") {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let size: u64 = path.trim_start_matches("/large/").parse()?;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
            connection.stream.write_all(head.as_bytes())?;
            for _ in 0..size / PIECE as u64 {
                connection.stream.write_all(&piece)?;
            }
        } else {
            connection.skip(length(&head)?)?;
            connection
                .stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
    }
}

/// What `Content-Length` says.
pub(crate) fn length(head: &str) -> Result<u64, Failure> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = lengths.next().ok_or("a message does not say its length")?;
    Ok(length.trim().parse()?)
}

/// One end of a connection, and what of it was read already.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: vec![0; PIECE],
            filled: 0,
        }
    }

    /// The next head; what comes behind it is kept.
    pub(crate) fn head(&mut self) -> Result<String, Failure> {
        loop {
            let came = &self.buffer[..self.filled];
            if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = std::str::from_utf8(&came[..end])?.to_owned();
                self.buffer.copy_within(end + 4..self.filled, 0);
                self.filled -= end + 4;
                return Ok(head);
            }
            match self.stream.read(&mut self.buffer[self.filled..])? {
                0 => return Err("a connection ended".into()),
                read => self.filled += read,
            }
        }
    }

    /// Reads so many bytes and drops them.
    pub(crate) fn skip(&mut self, mut length: u64) -> Result<(), Failure> {
        let kept = length.min(self.filled as u64);
        self.buffer.copy_within(kept as usize..self.filled, 0);
        self.filled -= kept as usize;
        length -= kept;
        while length > 0 {
            let most = length.min(PIECE as u64) as usize;
            match self.stream.read(&mut self.buffer[..most])? {
                0 => return Err("a body broke off".into()),
                read => length -= read as u64,
            }
        }
        Ok(())
    }

    /// Sends a body of so many bytes, a multiple of [`PIECE`].
    pub(crate) fn send_large(&mut self, size: u64) -> Result<(), Failure> {
        let piece = vec![b'x'; PIECE];
        for _ in 0..size / PIECE as u64 {
            self.stream.write_all(&piece)?;
        }
        Ok(())
    }
}
