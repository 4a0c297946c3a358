//! When to stop.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How long requests under way may take once the application is told to stop.
pub const GRACE: Duration = Duration::from_secs(4);

/// Waits for SIGTERM or Ctrl-C. They are heeded from this call on, not only once the future is polled.
pub fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    async move {
        let Ok((mut terminate, mut interrupt)) = signals else {
            // Without signals the process is ended by force.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
}
