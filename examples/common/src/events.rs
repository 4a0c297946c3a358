//! A stream of events that closes with the session.

use std::convert::Infallible;
use std::time::Duration;

use auth_core::Auth;
use auth_core::session::Session;
use bytes::Bytes;
use futures_util::future::select;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::time::{MissedTickBehavior, interval};

use crate::signals::stopping;

/// Headers of the stream. Proxies are asked not to collect it.
pub const EVENT_HEADERS: [(&str, &str); 3] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-store"),
    ("x-accel-buffering", "no"),
];

/// One event a second, until the session ends, however and wherever, or the process is told to stop.
///
/// Nothing is made ahead: who reads slowly gets fewer events.
pub fn events(
    auth: &Auth,
    session: &Session,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static + use<> {
    let ended = auth.until_ended(session);
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = stream::unfold((ticks, 0_u64), async |(mut ticks, n)| {
        ticks.tick().await;
        Some((Ok(Bytes::from(format!("data: {n}\n\n"))), (ticks, n + 1)))
    });
    events.take_until(select(ended, Box::pin(stopping())))
}
