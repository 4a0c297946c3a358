//! When to stop.

use std::time::{Duration, Instant};

use auth_core::Auth;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::SetOnce;

/// How long requests under way may take once the application is told to stop.
pub const GRACE: Duration = Duration::from_secs(4);

/// How long the process may live in all once it is told to stop.
const WHOLE: Duration = Duration::from_millis(4700);

/// When the process was told to stop.
static STOPPING_SINCE: SetOnce<Instant> = SetOnce::const_new();

/// Gives refreshes, sign-ins and revocations under way what is left of the time, once the server has stopped.
pub async fn drain(auth: &Auth) {
    let spent = STOPPING_SINCE.get().map_or(Duration::ZERO, Instant::elapsed);
    if tokio::time::timeout(WHOLE.saturating_sub(spent), auth.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("tasks under way were cut off");
    }
}

/// Waits until the process is told to stop: streams without an end of their own end then.
pub(crate) async fn stopping() {
    STOPPING_SINCE.wait().await;
}

/// Waits until requests under way have had their time, for a server that sets them no limit of its own.
pub async fn grace_is_over() {
    stopping().await;
    tokio::time::sleep(GRACE).await;
}

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
        // Set once only, as this is called once.
        let _ = STOPPING_SINCE.set(Instant::now());
        tracing::info!("stopping");
    }
}
