//! Waiting for the end of a session: what closes a stream or a WebSocket when its user is signed out.
//!
//! One task watches all sessions that somebody waits for, while anybody does. It listens to the store, which tells of
//! sessions that were deleted on whichever instance ([`Notice`]), and it knows when a session ends by itself. What it
//! is told it believes; what it suspects (a deadline that has passed, a notice that may have been missed) it looks up:
//! whoever a request would find signed out is signed out, and nobody else, so that a session ends with its provider, too. An
//! error of the store, or of the lookup of providers, means "not known", and it looks again a second later.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::auth::{Auth, Core};
use crate::clock::Timestamp;
use crate::refresh::Freshness;
use crate::session::Session;
use crate::store::{Notice, SessionKey};

/// How often deadlines are compared with the clock, and the store is asked where it does not tell. A clock may jump and a
/// machine may sleep, so nothing is slept towards.
const TICK: Duration = Duration::from_secs(1);
/// How often the store is asked although it tells.
const TO_BE_SURE: Duration = Duration::from_secs(30);
/// How many sessions are looked up at the same time.
const AT_ONCE: usize = 16;

/// Completes when a session has ended. Made by [`Auth::until_ended`].
///
/// Dropped, it is forgotten. Once complete it stays so.
#[must_use = "it does nothing unless it is awaited"]
pub struct UntilEnded {
    /// `None` once the session has ended.
    ended: Option<oneshot::Receiver<()>>,
    key: SessionKey,
    number: u64,
    core: Arc<Core>,
}

/// The sessions that somebody waits for.
#[derive(Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
    /// There is a session to look up.
    is_due: Notify,
}

#[derive(Default)]
struct State {
    watched: HashMap<SessionKey, Watched>,
    /// Numbers those who wait.
    next: u64,
    /// Whether the task runs.
    is_running: bool,
    /// Whether the store tells of every end.
    is_listening: bool,
}

struct Watched {
    /// Those who wait, by their numbers.
    waiting: HashMap<u64, oneshot::Sender<()>>,
    /// When the session ends by itself, as far as is known.
    ends_at: Timestamp,
    /// Whether it is to be looked up in any case.
    is_due: bool,
    looked_up_at: Instant,
}

impl Auth {
    /// Completes when the session has ended, however and on whichever instance: signed out, ended from the list of
    /// sessions, by the provider or by a refresh that was refused, replaced by a new sign-in, idle for too long, at its
    /// absolute end, with an access token that is dead and that nothing can refresh, or of a provider that is
    /// [none of this application's](crate::AuthBuilder::providers_from) any more (within a minute of when requests are told).
    ///
    /// The future keeps nothing of the request: a stream or a WebSocket takes it along and closes when it completes,
    /// which is within 2 seconds of the sign-out. It counts as no use of the session: a stream alone does not keep an idle
    /// session alive. While the store is down, or cannot tell, nothing completes. A session that has ended since it was
    /// read is noticed, too. Drop the future to stop waiting.
    ///
    /// ```
    /// use auth_core::Auth;
    /// use auth_core::session::Session;
    ///
    /// async fn serve(auth: Auth, session: Session) {
    ///     let mut ended = auth.until_ended(&session);
    ///     let mut every_second = tokio::time::interval(std::time::Duration::from_secs(1));
    ///     loop {
    ///         tokio::select! {
    ///             () = &mut ended => return,
    ///             _ = every_second.tick() => { /* send something */ }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// With the stores of this crate a sign-out is told; one that cannot tell
    /// ([`SessionStore::notices`](crate::store::SessionStore::notices)) is asked once a second for every session that
    /// somebody waits for.
    pub fn until_ended(&self, session: &Session) -> UntilEnded {
        let core = Arc::clone(self.core());
        let (end, ended) = oneshot::channel();
        let number = core.watch.add(session, end);
        core.keep_watching();
        UntilEnded {
            ended: Some(ended),
            key: session.key,
            number,
            core,
        }
    }

    /// How many [`until_ended`](Self::until_ended) futures there are that have neither completed nor been dropped: the
    /// streams that are open.
    #[must_use]
    pub fn waiting_for_ends(&self) -> usize {
        let state = self.core().watch.state();
        state.watched.values().map(|watched| watched.waiting.len()).sum()
    }
}

impl Future for UntilEnded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(ended) = &mut self.ended {
            // The watch drops nobody whom it has not told.
            let _ = ready!(ended.poll_unpin(cx));
            self.ended = None;
        }
        Poll::Ready(())
    }
}

impl Drop for UntilEnded {
    fn drop(&mut self) {
        if self.ended.is_some() {
            self.core.watch.remove(&self.key, self.number);
        }
    }
}

impl fmt::Debug for UntilEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilEnded")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic halfway through a change runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, session: &Session, end: oneshot::Sender<()>) -> u64 {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let watched = state.watched.entry(session.key).or_insert_with(|| Watched {
            waiting: HashMap::new(),
            ends_at: ends_at(session),
            // It may have ended since it was read.
            is_due: true,
            looked_up_at: Instant::now(),
        });
        watched.waiting.insert(number, end);
        drop(state);
        self.is_due.notify_one();
        number
    }

    fn remove(&self, key: &SessionKey, number: u64) {
        let mut state = self.state();
        if let Some(watched) = state.watched.get_mut(key) {
            watched.waiting.remove(&number);
            if watched.waiting.is_empty() {
                state.watched.remove(key);
            }
        }
    }

    /// Tells everyone who waits for the end of this session.
    fn end(&self, key: &SessionKey) {
        let watched = self.state().watched.remove(key);
        for (_, end) in watched.into_iter().flat_map(|watched| watched.waiting) {
            // Whoever has stopped waiting need not know.
            let _ = end.send(());
        }
    }

    fn hears(&self, is_listening: bool) {
        let mut state = self.state();
        state.is_listening = is_listening;
        if is_listening {
            for watched in state.watched.values_mut() {
                watched.is_due = true;
            }
            drop(state);
            self.is_due.notify_one();
        }
    }

    /// The sessions to look up now; `None` where nobody waits any more, and the task is to end.
    fn due(&self, is_tick: bool, now: Timestamp) -> Option<Vec<SessionKey>> {
        let mut state = self.state();
        if state.watched.is_empty() {
            state.is_running = false;
            return None;
        }
        let asks_for_all = is_tick && !state.is_listening;
        let mut due = Vec::new();
        for (key, watched) in &mut state.watched {
            if asks_for_all
                || watched.is_due
                || watched.ends_at <= now
                || watched.looked_up_at.elapsed() >= TO_BE_SURE
            {
                watched.is_due = false;
                watched.looked_up_at = Instant::now();
                due.push(*key);
            }
        }
        Some(due)
    }
}

/// When the session ends if nothing happens any more.
fn ends_at(session: &Session) -> Timestamp {
    let (data, record) = (&session.data, &session.record);
    let end = record.expires_at.min(data.last_end());
    match (&data.tokens.refresh, data.tokens.access_expires_at) {
        (None, Some(access)) => end.min(access),
        _ => end,
    }
}

impl Core {
    /// Starts the task that watches, unless it runs.
    fn keep_watching(self: &Arc<Self>) {
        let mut state = self.watch.state();
        if std::mem::replace(&mut state.is_running, true) {
            return;
        }
        drop(state);
        let core = Arc::clone(self);
        // Not one that a shutdown waits for: it ends with those who wait.
        self.runtime.spawn(async move {
            // A store that panics must not leave those alone who wait.
            while AssertUnwindSafe(core.watch_all()).catch_unwind().await.is_err() {
                tracing::error!("the task that waits for the end of sessions has failed; it begins anew");
                sleep(TICK).await;
            }
        });
    }

    /// Until nobody waits any more.
    async fn watch_all(&self) {
        self.watch.hears(false);
        tokio::select! {
            () = self.listen() => {}
            () = self.look() => {}
        }
    }

    /// Listens to the store for as long as it is polled.
    async fn listen(&self) {
        let mut notices = self.store.notices();
        while let Some(heard) = &mut notices {
            match heard.next().await {
                Some(Notice::Ended(key)) => self.watch.end(&key),
                Some(Notice::Listening) => self.watch.hears(true),
                Some(Notice::Deaf) => self.watch.hears(false),
                None => {
                    self.watch.hears(false);
                    notices = None;
                }
            }
        }
        std::future::pending().await
    }

    /// Looks up what is due, until nobody waits any more.
    async fn look(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_tick = false;
        while let Some(due) = self.watch.due(is_tick, self.clock.now()) {
            stream::iter(due)
                .for_each_concurrent(AT_ONCE, |key| async move { self.look_up(&key).await })
                .await;
            is_tick = tokio::select! {
                _ = ticks.tick() => true,
                () = self.watch.is_due.notified() => false,
            };
        }
    }

    async fn look_up(&self, key: &SessionKey) {
        match self.load_served(key).await {
            Ok(Some(session)) if !session.is_over(self.clock.now()) => {
                if let Some(watched) = self.watch.state().watched.get_mut(key) {
                    watched.ends_at = ends_at(&session);
                }
            }
            Ok(_) => self.watch.end(key),
            Err(error) => {
                // Not known; at the next tick it is asked again.
                tracing::debug!(session = ?key, cause = crate::error::chain(&error), "whether a session has ended is not known");
                if let Some(watched) = self.watch.state().watched.get_mut(key) {
                    watched.is_due = true;
                }
            }
        }
    }
}

impl Session {
    /// Whether it counts as none, though it is in the store: its access token is dead, and there is nothing to refresh it
    /// with.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.data.freshness(now) == Freshness::Dead && self.data.tokens.refresh.is_none()
    }
}
