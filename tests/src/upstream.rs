//! An API to the byte: it shows what it was asked exactly, and answers what no server library would.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Somebody listens and plays along, one task for each connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

/// A connection on which the head of one request has come.
#[derive(Debug)]
pub struct Asked {
    /// Request line and headers, as they came.
    pub head: String,
    /// What came behind them so far.
    pub body: Vec<u8>,
    /// The connection.
    pub stream: TcpStream,
}

impl Upstream {
    /// Listens. `play` answers each request; the connection ends with it.
    ///
    /// # Panics
    ///
    /// When there is no port.
    pub async fn start<F>(play: impl Fn(Asked) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, play) = (Arc::clone(&heads), Arc::new(play));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, play) = (Arc::clone(&seen), Arc::clone(&play));
                tokio::spawn(async move {
                    if let Some(asked) = Asked::read(stream).await {
                        seen.lock().expect("no panic").push(asked.head.clone());
                        play(asked).await;
                    }
                });
            }
        });
        Self { address, heads }
    }

    /// An API that gives this answer to everything.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut asked| {
            let answer = Arc::clone(&answer);
            async move { asked.send(&answer).await }
        })
        .await
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far.
    ///
    /// # Panics
    ///
    /// When a play panicked.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }

    /// The heads of the requests since the last time, which are forgotten.
    ///
    /// # Panics
    ///
    /// When a play panicked.
    #[must_use]
    pub fn take_heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().expect("no panic"))
    }
}

impl Asked {
    async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut came = Vec::new();
        loop {
            if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = came.split_off(end + 4);
                came.truncate(end);
                let head = String::from_utf8_lossy(&came).into_owned();
                return Some(Self { head, body, stream });
            }
            if stream.read_buf(&mut came).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads on until so many bytes of the body are there, or no more come.
    pub async fn body_of(&mut self, length: usize) {
        while self.body.len() < length {
            if matches!(self.stream.read_buf(&mut self.body).await, Ok(0) | Err(_)) {
                return;
            }
        }
    }

    /// Waits until the other side has ended the connection.
    pub async fn ended(&mut self) {
        while let Ok(1..) = self.stream.read_buf(&mut self.body).await {}
    }

    /// A header's values.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        values(&self.head, name)
    }
}

/// The values of a header in a head.
#[must_use]
pub fn values(head: &str, name: &str) -> Vec<String> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(held, _)| held.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}
