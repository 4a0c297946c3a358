//! When to stop.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How long requests under way may take once the application is told to stop.
pub const GRACE: Duration = Duration::from_secs(4);

/// Waits for SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without signals the process is ended by force.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
}
