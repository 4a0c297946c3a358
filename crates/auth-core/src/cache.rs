//! A value fetched from the provider, kept, and fetched again: one fetch at a time, the last good one kept.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, ready};
use tokio::runtime::Handle;
use tracing::{Instrument as _, Span};

use crate::clock::Timestamp;
use crate::metadata::{Outage, ProviderError};

type Fetched<T> = Result<Arc<T>, ProviderError>;
type Flight<T> = Shared<BoxFuture<'static, Fetched<T>>>;

/// How long a failure is remembered, while there is nothing else to give.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
/// How often a value that has gone stale is tried to be fetched again.
const REVALIDATE_INTERVAL: Duration = Duration::from_secs(10);

/// What a fetch comes to that was broken off.
fn broken_off() -> ProviderError {
    ProviderError::Unavailable {
        document: "metadata",
        retry_after: None,
        cause: Arc::new(Outage::Interrupted),
    }
}

#[derive(Debug)]
pub(crate) struct Cache<T> {
    state: Arc<Mutex<State<T>>>,
    fresh_for: Duration,
}

#[derive(Debug)]
struct State<T> {
    value: Option<(Arc<T>, Timestamp)>,
    failure: Option<(ProviderError, Timestamp)>,
    flight: Option<Flight<T>>,
    /// When the value was last fetched again on the word of each.
    again_at: [Option<Timestamp>; 2],
}

/// On whose word a value is fetched again: each has an interval of its own, so that strangers cannot use up the provider's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    /// The provider's: in what it has answered to a request of ours.
    OfProvider,
    /// Anybody's: in what was brought to a route.
    OfAnybody,
}

impl<T: Send + Sync + 'static> Cache<T> {
    pub(crate) fn new(fresh_for: Duration) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                value: None,
                failure: None,
                flight: None,
                again_at: [None; 2],
            })),
            fresh_for,
        }
    }

    /// The value: at once while there is one, fetched in the background when it has gone stale, awaited when
    /// there is none yet.
    pub(crate) async fn get<F>(&self, now: Timestamp, runtime: &Handle, fetch: F) -> Fetched<T>
    where
        F: FnOnce() -> BoxFuture<'static, Result<T, ProviderError>> + Send,
    {
        let flight = {
            let mut state = self.lock();
            let failed_lately = |state: &State<T>, length| {
                state
                    .failure
                    .as_ref()
                    .is_some_and(|(_, at)| now.since(*at) < length && *at <= now)
            };
            if let Some((value, fetched_at)) = &state.value {
                let value = Arc::clone(value);
                if now.since(*fetched_at) >= self.fresh_for
                    && state.flight.is_none()
                    && !failed_lately(&state, REVALIDATE_INTERVAL)
                {
                    // Not awaited: it runs on its own.
                    drop(self.start(&mut state, now, runtime, Span::none(), fetch));
                }
                return Ok(value);
            }
            if failed_lately(&state, FAILURE_KEPT)
                && let Some((error, _)) = &state.failure
            {
                return Err(error.clone());
            }
            match &state.flight {
                Some(flight) => flight.clone(),
                None => self.start(&mut state, now, runtime, Span::current(), fetch),
            }
        };
        flight.await
    }

    /// The value where the one at hand does not do: fetched again, and awaited, unless it was fetched, or failed to be, as long
    /// ago as a failure is remembered.
    pub(crate) async fn anew<F>(&self, now: Timestamp, runtime: &Handle, fetch: F) -> Fetched<T>
    where
        F: FnOnce() -> BoxFuture<'static, Result<T, ProviderError>> + Send,
    {
        let flight = {
            let mut state = self.lock();
            let is_recent = |at: &Timestamp| *at <= now && now.since(*at) < FAILURE_KEPT;
            if let Some((error, _)) = state.failure.as_ref().filter(|(_, at)| is_recent(at)) {
                return Err(error.clone());
            }
            if let Some((value, _)) = state.value.as_ref().filter(|(_, at)| is_recent(at)) {
                return Ok(Arc::clone(value));
            }
            match &state.flight {
                Some(flight) => flight.clone(),
                None => self.start(&mut state, now, runtime, Span::current(), fetch),
            }
        };
        flight.await
    }

    /// The value as it is, if there is one.
    pub(crate) fn at_hand(&self) -> Option<Arc<T>> {
        self.lock().value.as_ref().map(|(value, _)| Arc::clone(value))
    }

    /// Whether the value is this one.
    pub(crate) fn holds(&self, value: &Arc<T>) -> bool {
        let state = self.lock();
        state
            .value
            .as_ref()
            .is_some_and(|(held, _)| Arc::ptr_eq(held, value))
    }

    /// Fetches the value again, at most once in `interval` on each word. Joins a fetch under way. When it is too soon, there is what
    /// the last such fetch came to if it failed, and else `None`: the value is as new as it can be.
    pub(crate) fn again<F>(
        &self,
        word: Word,
        now: Timestamp,
        interval: Duration,
        runtime: &Handle,
        fetch: F,
    ) -> Option<Flight<T>>
    where
        F: FnOnce() -> BoxFuture<'static, Result<T, ProviderError>> + Send,
    {
        let mut state = self.lock();
        if let Some(flight) = &state.flight {
            return Some(flight.clone());
        }
        if state.again_at[word as usize].is_some_and(|at| at <= now && now.since(at) < interval) {
            let (error, _) = state.failure.clone()?;
            return Some(ready(Err(error)).boxed().shared());
        }
        state.again_at[word as usize] = Some(now);
        Some(self.start(&mut state, now, runtime, Span::current(), fetch))
    }

    /// `span` is that of whoever waits for it.
    fn start<F>(
        &self,
        state: &mut State<T>,
        now: Timestamp,
        runtime: &Handle,
        span: Span,
        fetch: F,
    ) -> Flight<T>
    where
        F: FnOnce() -> BoxFuture<'static, Result<T, ProviderError>> + Send,
    {
        let shared = Arc::clone(&self.state);
        let fetch = fetch();
        let fetching = async move {
            // Whatever happens in it, the fetch comes to an end, and the next one can begin.
            let result = AssertUnwindSafe(fetch)
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(broken_off()))
                .map(Arc::new);
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.flight = None;
            match &result {
                Ok(value) => {
                    state.value = Some((Arc::clone(value), now));
                    state.failure = None;
                }
                Err(error) => state.failure = Some((error.clone(), now)),
            }
            result
        };
        let task = runtime.spawn(fetching.instrument(span));
        let flight = async move {
            // The runtime is shutting down, and with it whoever waits.
            task.await.unwrap_or_else(|_| Err(broken_off()))
        }
        .boxed()
        .shared();
        state.flight = Some(flight.clone());
        flight
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
