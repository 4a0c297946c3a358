//! Requests to the byte, for what no client library sends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The bytes of an answer, read as text.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status code.
    pub status: u16,
    /// Status line and headers, as they came.
    pub head: String,
    /// What follows, chunked or not.
    pub body: String,
}

impl RawAnswer {
    /// A header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (held, value) = line.split_once(':')?;
            held.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Whether an answer has come to its end: servers may leave the connection open for a while after it.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// Sends these bytes on a connection of their own and reads the answer to its end. `None` where it ends without an answer.
///
/// # Panics
///
/// When nothing listens there, when it takes more than 20 s, or when what comes is no HTTP.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Option<RawAnswer> {
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    let read = async {
        // A server may answer and close before it has read everything.
        let (mut from, mut to) = stream.split();
        let mut answer = Vec::new();
        let writing = async {
            let _ = to.write_all(request).await;
        };
        let reading = async {
            let mut some = [0; 8192];
            while let Ok(length @ 1..) = from.read(&mut some).await {
                answer.extend_from_slice(&some[..length]);
                if is_whole(&answer) {
                    break;
                }
            }
        };
        tokio::join!(writing, reading);
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("the connection ends");
    if answer.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Some(RawAnswer {
        status: status.expect("a status code"),
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// A connection on which things are sent and read bit by bit.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// All that has come.
    pub came: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    ///
    /// When nothing listens there.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        Self {
            stream,
            came: Vec::new(),
        }
    }

    /// Sends these bytes, as far as the other side takes them.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads until what has come holds `marker`; false where the connection ends before.
    ///
    /// # Panics
    ///
    /// When it takes more than 20 s.
    pub async fn until(&mut self, marker: &[u8]) -> bool {
        let read = async {
            while !self.came.windows(marker.len()).any(|some| some == marker) {
                if matches!(self.stream.read_buf(&mut self.came).await, Ok(0) | Err(_)) {
                    return false;
                }
            }
            true
        };
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, read).await.expect("something comes")
    }

    /// Reads to the end of the connection, and gives all that has come, as text.
    ///
    /// # Panics
    ///
    /// When it takes more than 20 s.
    pub async fn rest(&mut self) -> String {
        let read = async { while let Ok(1..) = self.stream.read_buf(&mut self.came).await {} };
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, read)
            .await
            .expect("the connection ends");
        String::from_utf8_lossy(&self.came).into_owned()
    }

    /// The two directions.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// A `GET` by a browser that opens a page, with this target and these lines besides; the target is sent as it is.
#[must_use]
pub fn navigation(target: &[u8], host: &str, lines: &[&str]) -> Vec<u8> {
    let mut request = b"GET ".to_vec();
    request.extend_from_slice(target);
    request.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(b"\r\naccept: text/html\r\nsec-fetch-mode: navigate\r\nconnection: close\r\n");
    for line in lines {
        request.extend_from_slice(line.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}
