//! Bounded waiting for a condition.

use std::future::Future;
use std::time::{Duration, Instant};

/// Asks `condition` again and again, 20 ms apart, until it is true.
///
/// # Panics
///
/// When it is still false after `limit`.
pub async fn until<F: Future<Output = bool>>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(
            start.elapsed() < limit,
            "still waiting after {limit:?} for: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
