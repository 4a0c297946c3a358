//! The bodies of sessions that were in use lately, opened.
//!
//! A store that other processes share gives a record's body sealed, with each request anew. As long as it is the same body,
//! byte for byte, it is neither decrypted nor parsed again. What a session *is* still comes from the store each time: a
//! session that has ended, or has other tokens since, shows so on the next request.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError};

use crate::session::SessionData;
use crate::store::{HashOfKey, SessionKey};

/// How many bodies are kept at most: in use since the last sweep, and as many of before.
const MAX: usize = 2_048;
/// Larger ones, in bytes as they are sealed, are opened each time.
const MAX_BODY: usize = 16 * 1024;
const SHARDS: usize = 16;

/// Keeps bodies for one to two times [the sweep's interval](crate::auth::SWEEP_INTERVAL) after their last use.
pub(crate) struct OpenedBodies<T = SessionData>([Mutex<Shard<T>>; SHARDS]);

struct Shard<T> {
    recent: Bodies<T>,
    older: Bodies<T>,
}

type Bodies<T> = HashMap<SessionKey, Body<T>, BuildHasherDefault<HashOfKey>>;

struct Body<T> {
    sealed: Arc<[u8]>,
    data: Arc<T>,
}

impl<T> Default for OpenedBodies<T> {
    fn default() -> Self {
        let shard = || Shard {
            recent: Bodies::default(),
            older: Bodies::default(),
        };
        Self(std::array::from_fn(|_| Mutex::new(shard())))
    }
}

impl<T> OpenedBodies<T> {
    /// The session's body, if it is the one that was opened last.
    pub(crate) fn get(&self, key: &SessionKey, sealed: &[u8]) -> Option<Arc<T>> {
        self.with(key, |shard| {
            if let Some(body) = shard.recent.get(key) {
                return body.is(sealed);
            }
            let body = shard.older.remove(key)?;
            let data = body.is(sealed)?;
            shard.put(*key, body);
            Some(data)
        })
    }

    /// Keeps a body, unless it is too large.
    pub(crate) fn put(&self, key: &SessionKey, sealed: &Arc<[u8]>, data: &Arc<T>) {
        if sealed.len() > MAX_BODY {
            return;
        }
        let body = Body {
            sealed: Arc::clone(sealed),
            data: Arc::clone(data),
        };
        self.with(key, |shard| {
            shard.older.remove(key);
            shard.put(*key, body);
        });
    }

    /// Drops the body of a session that is over.
    pub(crate) fn forget(&self, key: &SessionKey) {
        self.with(key, |shard| {
            shard.recent.remove(key);
            shard.older.remove(key);
        });
    }

    /// Drops what was not in use since the last time.
    pub(crate) fn sweep(&self) {
        for shard in &self.0 {
            shard.lock().unwrap_or_else(PoisonError::into_inner).age();
        }
    }

    fn with<R>(&self, key: &SessionKey, f: impl FnOnce(&mut Shard<T>) -> R) -> R {
        let shard = &self.0[usize::from(key.as_bytes()[0]) % SHARDS];
        f(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Shard<T> {
    fn put(&mut self, key: SessionKey, body: Body<T>) {
        if self.recent.len() >= MAX / SHARDS && !self.recent.contains_key(&key) {
            self.age();
        }
        self.recent.insert(key, body);
    }

    fn age(&mut self) {
        self.older = std::mem::take(&mut self.recent);
    }
}

impl<T> Body<T> {
    fn is(&self, sealed: &[u8]) -> Option<Arc<T>> {
        (*self.sealed == *sealed).then(|| Arc::clone(&self.data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> SessionKey {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&n.to_le_bytes());
        SessionKey::from_bytes(bytes)
    }

    fn put(bodies: &OpenedBodies<u64>, n: u64, sealed: &[u8]) {
        bodies.put(&key(n), &sealed.into(), &Arc::new(n));
    }

    #[test]
    fn only_the_very_body_that_was_opened_is_given() {
        let bodies = OpenedBodies::default();
        put(&bodies, 1, b"sealed");
        assert_eq!(bodies.get(&key(1), b"sealed").as_deref(), Some(&1));
        for other in [&b"sealeD"[..], b"sealed-", b""] {
            assert_eq!(bodies.get(&key(1), other), None);
        }
        assert_eq!(bodies.get(&key(2), b"sealed"), None);

        put(&bodies, 1, b"anew");
        assert_eq!(bodies.get(&key(1), b"sealed"), None);
        assert!(bodies.get(&key(1), b"anew").is_some());
    }

    #[test]
    fn what_is_in_use_outlives_sweeps_and_what_is_not_does_not() {
        let bodies = OpenedBodies::default();
        put(&bodies, 1, b"sealed");
        put(&bodies, 2, b"sealed");
        for _ in 0..3 {
            bodies.sweep();
            assert!(bodies.get(&key(1), b"sealed").is_some());
        }
        assert_eq!(bodies.get(&key(2), b"sealed"), None);
    }

    #[test]
    fn a_body_is_forgotten_wherever_it_is() {
        let bodies = OpenedBodies::default();
        put(&bodies, 1, b"sealed");
        bodies.forget(&key(1));
        assert_eq!(bodies.get(&key(1), b"sealed"), None);

        put(&bodies, 1, b"sealed");
        bodies.sweep();
        bodies.forget(&key(1));
        assert_eq!(bodies.get(&key(1), b"sealed"), None);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let bodies = OpenedBodies::default();
        let many = 10 * MAX as u64;
        (0..many).for_each(|n| put(&bodies, n, b"sealed"));
        let kept = (0..many).filter(|n| bodies.0[0].lock().is_ok_and(|shard| shard.holds(&key(*n))));
        assert!((1..=2 * MAX / SHARDS).contains(&kept.count()));
        assert!(bodies.get(&key(many - 1), b"sealed").is_some());
    }

    #[test]
    fn a_body_in_the_place_of_another_costs_no_other_its_place() {
        let bodies = OpenedBodies::default();
        put(&bodies, 0, b"sealed");
        bodies.sweep();
        (1..=MAX as u64 / SHARDS as u64).for_each(|n| put(&bodies, n, b"sealed"));
        put(&bodies, 1, b"anew");
        assert!(bodies.get(&key(0), b"sealed").is_some());
    }

    #[test]
    fn a_large_body_is_not_kept() {
        let bodies = OpenedBodies::default();
        put(&bodies, 1, &[0; MAX_BODY]);
        put(&bodies, 2, &[0; MAX_BODY + 1]);
        assert!(bodies.get(&key(1), &[0; MAX_BODY]).is_some());
        assert!(bodies.get(&key(2), &[0; MAX_BODY + 1]).is_none());
    }

    impl<T> Shard<T> {
        fn holds(&self, key: &SessionKey) -> bool {
            self.recent.contains_key(key) || self.older.contains_key(key)
        }
    }
}
