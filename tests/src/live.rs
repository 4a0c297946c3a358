//! An answer that goes on: a stream of events.

use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::time::timeout;

/// A stream that is open. Dropped, the connection is closed.
#[derive(Debug)]
pub struct Live {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    response: reqwest::Response,
    events: String,
}

/// The longest that a test waits for an event; there is one a second.
const PATIENCE: Duration = Duration::from_secs(10);

impl Live {
    /// What began to come.
    #[must_use]
    pub fn new(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            response,
            events: String::new(),
        }
    }

    /// Waits for the next event; `None` where the stream has ended in order.
    ///
    /// # Panics
    ///
    /// When the stream breaks off, or nothing comes for ten seconds.
    pub async fn event(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.events.split_once("\n\n") {
                let event = event.to_owned();
                self.events = rest.to_owned();
                return Some(event);
            }
            let chunk = timeout(PATIENCE, self.response.chunk())
                .await
                .expect("there is an event every second")
                .expect("the stream ends in order, or goes on");
            self.events += &String::from_utf8_lossy(&chunk?);
        }
    }

    /// Waits for this many events.
    ///
    /// # Panics
    ///
    /// When the stream ends.
    pub async fn goes_on(&mut self, events: usize) {
        for _ in 0..events {
            assert!(self.event().await.is_some(), "the stream has ended");
        }
    }

    /// Waits for the end, and says how long that took.
    ///
    /// # Panics
    ///
    /// When it takes longer than `limit`, or the stream breaks off.
    pub async fn ends(&mut self, what: &str, limit: Duration) -> Duration {
        let began = Instant::now();
        let end = async { while self.event().await.is_some() {} };
        timeout(limit, end)
            .await
            .unwrap_or_else(|_| panic!("{what}: the stream goes on for more than {limit:?}"));
        began.elapsed()
    }
}
