//! How a store tells that sessions have ended, on whichever instance.
//!
//! Whoever waits for the end of a session ([`Auth::until_ended`](crate::Auth::until_ended)) would otherwise have to ask
//! again and again. A store of your own makes a [`Notices::channel`], keeps the [`NoticeSender`], and gives the
//! [`Notices`] away:
//!
//! ```
//! use std::sync::{Mutex, PoisonError};
//! use auth_core::store::{Notice, NoticeSender, Notices, SessionKey};
//!
//! #[derive(Default)]
//! struct Listeners(Mutex<Vec<NoticeSender>>);
//!
//! impl Listeners {
//!     /// For `SessionStore::notices`.
//!     fn add(&self) -> Notices {
//!         let (sender, notices) = Notices::channel();
//!         // All instances share this process: from now on every end is told.
//!         sender.send(Notice::Listening);
//!         self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
//!         notices
//!     }
//!
//!     /// For `SessionStore::delete`, once a session is gone.
//!     fn tell(&self, key: SessionKey) {
//!         let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
//!         listeners.retain(|listener| listener.send(Notice::Ended(key)));
//!     }
//! }
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::SessionKey;
#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
use {super::StoreError, std::time::Duration, tokio::time::sleep};
#[cfg(any(feature = "redis", feature = "postgres"))]
use {
    crate::secret::random_bytes,
    std::convert::Infallible,
    tokio::time::{Instant, timeout, timeout_at},
};

/// What a store tells to whoever listens.
///
/// A listener is deaf until the first [`Listening`](Self::Listening) comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// This session was [deleted](super::SessionStore::delete), by whichever instance.
    Ended(SessionKey),
    /// From now on every end is told, by all instances; what ended before may have been missed. May come again at any
    /// time: each time the listener asks the store for all sessions that it cares for.
    Listening,
    /// From now on ends may be missed: the connection is lost. The listener asks the store instead.
    Deaf,
}

/// More notices than this are not kept for a listener that does not come: it is told to ask the store instead.
const KEPT: usize = 1024;

/// What a store tells one listener. Made by [`SessionStore::notices`](super::SessionStore::notices); dropped, it ends
/// the subscription.
pub struct Notices(Arc<Channel>);

/// The store's end of a [`Notices`]. Clones are one.
#[derive(Clone)]
pub struct NoticeSender {
    channel: Arc<Channel>,
    /// When the last sender is dropped, no more will come.
    _open: Arc<Open>,
}

struct Channel {
    queue: Mutex<Queue>,
    arrived: Notify,
    left: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Notice>,
    is_listening: bool,
    /// There is no sender any more.
    is_over: bool,
    /// There is no listener any more.
    is_left: bool,
}

struct Open(Arc<Channel>);

impl Notices {
    /// A new subscription: the end for the store, and the end to give away.
    #[must_use]
    pub fn channel() -> (NoticeSender, Self) {
        let channel = Arc::new(Channel {
            queue: Mutex::default(),
            arrived: Notify::new(),
            left: Notify::new(),
        });
        let sender = NoticeSender {
            channel: Arc::clone(&channel),
            _open: Arc::new(Open(Arc::clone(&channel))),
        };
        (sender, Self(channel))
    }

    /// The next notice, when there is one; `None` once the store is gone. Dropping the future loses none.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            {
                let mut queue = self.0.queue();
                if let Some(notice) = queue.waiting.pop_front() {
                    return Some(notice);
                }
                if queue.is_over {
                    return None;
                }
            }
            // What arrives before this waits is remembered.
            self.0.arrived.notified().await;
        }
    }
}

impl NoticeSender {
    /// Tells the listener, and says whether there still is one. Never waits.
    pub fn send(&self, notice: Notice) -> bool {
        let mut queue = self.channel.queue();
        if queue.is_left {
            return false;
        }
        match notice {
            Notice::Listening => queue.is_listening = true,
            Notice::Deaf => queue.is_listening = false,
            Notice::Ended(_) => {}
        }
        if queue.waiting.len() < KEPT {
            queue.waiting.push_back(notice);
        } else {
            // Some are lost, and the listener has to ask for all.
            let state = if queue.is_listening {
                Notice::Listening
            } else {
                Notice::Deaf
            };
            queue.waiting.clear();
            queue.waiting.push_back(state);
        }
        drop(queue);
        self.channel.arrived.notify_one();
        true
    }

    /// Waits until the listener is gone.
    pub async fn closed(&self) {
        loop {
            let left = self.channel.left.notified();
            if self.channel.queue().is_left {
                return;
            }
            left.await;
        }
    }
}

impl Channel {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic halfway through a change runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.is_left = true;
        queue.waiting.clear();
        drop(queue);
        self.0.left.notify_waiters();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.queue().is_over = true;
        self.0.arrived.notify_one();
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

impl fmt::Debug for NoticeSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoticeSender").finish_non_exhaustive()
    }
}

/// Those who listen to a store of this process.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<NoticeSender>>);

impl Listeners {
    /// A listener who is told whatever [`tell`](Self::tell) tells, and what the other end of the pair is used for.
    pub(super) fn add(&self) -> (NoticeSender, Notices) {
        let (sender, notices) = Notices::channel();
        let mut all = self.all();
        all.retain(|listener| !listener.channel.queue().is_left);
        all.push(sender.clone());
        (sender, notices)
    }

    /// Tells everyone that this session has ended.
    pub(super) fn tell(&self, key: &SessionKey) {
        self.all().retain(|listener| listener.send(Notice::Ended(*key)));
    }

    fn all(&self) -> MutexGuard<'_, Vec<NoticeSender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a store waits before it tries again to listen to its server: at first, and at most.
#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Keeps a listener informed until it is gone. `listen` says [`Notice::Listening`] once it hears, and comes back when it
/// does not hear any more, with the reason; then it is tried again.
#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
pub(super) async fn keep_listening<F>(sender: NoticeSender, listen: impl Fn(NoticeSender) -> F)
where
    F: Future<Output = StoreError>,
{
    let listens = async {
        let mut pause = RETRY.0;
        loop {
            let error = listen(sender.clone()).await;
            let cause = crate::error::chain(&error);
            if sender.channel.queue().is_listening {
                tracing::warn!(
                    cause,
                    "the store does not tell any more of sessions that end; it is asked instead"
                );
                pause = RETRY.0;
            } else {
                tracing::debug!(
                    cause,
                    "the store does not tell of sessions that end; it is asked instead"
                );
                pause = (pause * 2).min(RETRY.1);
            }
            sender.send(Notice::Deaf);
            sleep(pause).await;
        }
    };
    tokio::select! {
        () = sender.closed() => {}
        () = listens => {}
    }
}

/// A subscription to a server's channel.
#[cfg(any(feature = "redis", feature = "postgres"))]
pub(super) trait Channels: Send {
    /// The next message. Dropping the future loses none.
    fn next(&mut self) -> impl Future<Output = Result<String, StoreError>> + Send;

    /// Sends a message to the same channel, on the way that a `delete` takes.
    fn send(&mut self, message: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// How often it is tried whether a message still comes back, and how long that may take. The network may swallow a
/// connection without a word.
#[cfg(any(feature = "redis", feature = "postgres"))]
const TRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));

/// Passes on what comes in, until nothing does any more. The server's word that it has subscribed us does not count: a
/// proxy in between may share its connections, and the right to publish may be missing. So it is tried.
#[cfg(any(feature = "redis", feature = "postgres"))]
pub(super) async fn pass_on(
    mut channel: impl Channels,
    sender: &NoticeSender,
) -> Result<Infallible, StoreError> {
    let tell = |message: &str| {
        // Anything else is another instance's try.
        if let Ok(key) = message.parse() {
            sender.send(Notice::Ended(key));
        }
    };
    let mut is_first = true;
    loop {
        let own = format!("try {:032x}", u128::from_ne_bytes(random_bytes()));
        let come_back = async {
            channel.send(&own).await?;
            loop {
                let message = channel.next().await?;
                if message == own {
                    return Ok::<_, StoreError>(());
                }
                tell(&message);
            }
        };
        timeout(TRY.1, come_back)
            .await
            .map_err(|_| StoreError::Timeout)??;
        if std::mem::take(&mut is_first) {
            sender.send(Notice::Listening);
        }
        let next_try = Instant::now() + TRY.0;
        while let Ok(message) = timeout_at(next_try, channel.next()).await {
            tell(&message?);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    fn key(n: usize) -> SessionKey {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        SessionKey::from_bytes(bytes)
    }

    #[tokio::test]
    async fn notices_come_in_order_and_end_with_the_last_sender() {
        let (sender, mut notices) = Notices::channel();
        let sent = [Notice::Listening, Notice::Ended(key(1)), Notice::Deaf];
        for notice in sent {
            assert!(sender.send(notice));
        }
        for notice in sent {
            assert_eq!(notices.next().await, Some(notice));
        }
        assert_eq!(notices.next().now_or_never(), None);
        let clone = sender.clone();
        drop(sender);
        assert!(clone.send(Notice::Listening));
        drop(clone);
        assert_eq!(notices.next().await, Some(Notice::Listening));
        assert_eq!(notices.next().await, None);
    }

    #[tokio::test]
    async fn a_listener_that_does_not_come_costs_no_more_than_1024_notices_and_asks_for_all() {
        for (state, is_listening) in [(Notice::Listening, true), (Notice::Deaf, false)] {
            let (sender, mut notices) = Notices::channel();
            assert!(sender.send(state));
            for n in 0..100_000 {
                assert!(sender.send(Notice::Ended(key(n))));
                assert!(notices.0.queue().waiting.len() <= KEPT);
            }
            assert_eq!(notices.0.queue().is_listening, is_listening);
            assert_eq!(
                notices.next().await,
                Some(state),
                "it was told that some are missing"
            );
        }
    }

    #[tokio::test]
    async fn a_sender_learns_that_the_listener_is_gone() {
        let (sender, notices) = Notices::channel();
        assert_eq!(sender.closed().now_or_never(), None);
        let closed = tokio::spawn({
            let sender = sender.clone();
            async move { sender.closed().await }
        });
        tokio::task::yield_now().await;
        drop(notices);
        let closed = timeout(Duration::from_secs(10), closed).await;
        closed.expect("it learns so in time").expect("it does not panic");
        assert!(!sender.send(Notice::Listening));
        sender.closed().await;
    }

    #[tokio::test]
    async fn listeners_that_are_gone_are_forgotten() {
        let listeners = Listeners::default();
        let (_, mut here) = listeners.add();
        drop(listeners.add());
        listeners.tell(&key(1));
        assert_eq!(here.next().await, Some(Notice::Ended(key(1))));
        assert_eq!(listeners.all().len(), 1);
        drop(here);
        listeners.tell(&key(1));
        assert!(listeners.all().is_empty());
    }
}
