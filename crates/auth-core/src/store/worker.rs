//! A thread of a store's own, with the runtime that all its work runs on.
//!
//! A connection belongs to the runtime on which it was opened: that one wakes it. Were that an actix worker that
//! computes for a second, everyone who shares the connection would wait that long. On a thread of its own the store
//! answers whatever the others do, it outlives the runtime that opened it, and a request that is dropped does not
//! break off a write.

use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::StoreError;

/// How long an operation may take, waiting for a connection included.
pub(super) const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a store's work. Its thread ends when it is dropped.
pub(super) struct Worker {
    runtime: Handle,
    /// Dropped with the worker; that ends the thread.
    _running: oneshot::Sender<()>,
}

impl Worker {
    pub(super) fn start() -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StoreError::unavailable)?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("session-store".to_owned())
            .spawn(move || {
                // The sender never sends; it is dropped.
                let _ = runtime.block_on(ended);
            })
            .map_err(StoreError::unavailable)?;
        Ok(Self {
            runtime: handle,
            _running: running,
        })
    }

    /// Runs `operation`, to its end even where the caller goes away.
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.runtime
            .spawn(operation.in_current_span())
            .await
            .unwrap_or_else(|ended| Err(StoreError::unavailable(ended)))
    }

    /// Runs a task that nobody waits for, until its end or the worker's.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Waits for what the store's thread answers, on the caller's task, for so long at most by the clock of that thread: the
    /// caller's runtime need not have one.
    #[cfg(feature = "redis")]
    pub(super) async fn wait<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
        limit: Duration,
    ) -> Result<T, StoreError> {
        let too_late = {
            let _entered = self.runtime.enter();
            tokio::time::sleep(limit)
        };
        tokio::select! {
            biased;
            answer = operation => answer,
            () = too_late => Err(StoreError::Timeout),
        }
    }

    /// [`run`](Self::run), for [`OPERATION_TIMEOUT`] at most.
    pub(super) async fn run_within_time<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.run(async move {
            tokio::time::timeout(OPERATION_TIMEOUT, operation)
                .await
                .unwrap_or(Err(StoreError::Timeout))
        })
        .await
    }
}
