//! What the rules have in common: records and keys, calls that must succeed, calls from many threads at once.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;

use crate::clock::{Clock, Timestamp};
use crate::store::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, OnceKey, Opened, Record, SessionKey, SessionStore,
    Swapped,
};

pub(super) const ANSWERS: &str = "the store must answer";
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const SUBJECT: IndexKey = index(1);
pub(super) const SID: IndexKey = index(2);

/// How many concurrent calls a rule makes.
pub(super) const CALLERS: u8 = 64;

pub(super) fn now() -> Timestamp {
    Clock::system().now()
}

pub(super) const fn key(n: u8) -> SessionKey {
    SessionKey::from_bytes([n; 32])
}

pub(super) const fn index(n: u8) -> IndexKey {
    IndexKey::from_bytes([n; 32])
}

pub(super) const fn once(n: u8) -> OnceKey {
    OnceKey::from_bytes([n; 32])
}

/// A session that began at `now` and lasts an hour.
pub(super) fn record(now: Timestamp) -> Record {
    Record {
        version: 1,
        subject: SUBJECT,
        sid: Some(SID),
        created_at: now,
        last_seen_at: now,
        expires_at: now.plus(HOUR),
        lease: None,
        sealed: Arc::from(&b"sealed"[..]),
        opened: Opened::default(),
    }
}

/// Leases that look like this one and are not.
pub(super) fn others(lease: Lease) -> [Lease; 3] {
    let owner = LeaseOwner::from_u128(lease.owner.as_u128() + 1);
    [
        Lease { owner, ..lease },
        Lease {
            fence: lease.fence + 1,
            ..lease
        },
        Lease {
            fence: lease.fence - 1,
            ..lease
        },
    ]
}

pub(super) async fn insert(store: &Arc<dyn SessionStore>, key: SessionKey, record: &Record, now: Timestamp) {
    let inserted = store.insert(&key, record.clone(), now).await;
    assert_eq!(
        inserted.expect(ANSWERS),
        Inserted::Yes,
        "insert must take a key that is free"
    );
}

pub(super) async fn load(
    store: &Arc<dyn SessionStore>,
    key: SessionKey,
    now: Timestamp,
) -> Option<Arc<Record>> {
    store.load(&key, now).await.expect(ANSWERS)
}

pub(super) async fn must_load(store: &Arc<dyn SessionStore>, key: SessionKey, now: Timestamp) -> Arc<Record> {
    let record = load(store, key, now)
        .await
        .expect("load must find a session that is alive");
    if let Some(known) = store.load_at_once(&key, now) {
        let known = known.expect("load_at_once must find a session that is alive, or leave it to load");
        if known.version == record.version {
            assert_same(&known, &record);
        }
        assert!(
            known.version >= record.version,
            "load_at_once must not give what load has seen replaced"
        );
    }
    record
}

pub(super) async fn assert_gone(store: &Arc<dyn SessionStore>, key: SessionKey, now: Timestamp) {
    assert!(
        load(store, key, now).await.is_none(),
        "load must not find a session that is gone"
    );
    assert!(
        store.load_at_once(&key, now).flatten().is_none(),
        "load_at_once must not find a session that is gone"
    );
}

pub(super) async fn swap(
    store: &Arc<dyn SessionStore>,
    key: SessionKey,
    expected: u64,
    record: &Record,
    now: Timestamp,
) {
    let swapped = store
        .compare_and_swap(&key, expected, record.clone(), now)
        .await
        .expect(ANSWERS);
    assert!(
        matches!(swapped, Swapped::Yes),
        "compare_and_swap must replace the expected version, not say {swapped:?}"
    );
}

pub(super) async fn take(
    store: &Arc<dyn SessionStore>,
    key: SessionKey,
    seen: u64,
    owner: LeaseOwner,
    length: Duration,
    now: Timestamp,
) -> Lease {
    match store
        .acquire(&key, seen, owner, length, now)
        .await
        .expect(ANSWERS)
    {
        Acquired::Got(record) => record.lease.expect("acquire must give the record with the lease"),
        other => panic!("acquire must give a lease that nobody holds, not say {other:?}"),
    }
}

pub(super) async fn delete(store: &Arc<dyn SessionStore>, key: SessionKey, now: Timestamp) {
    assert!(
        store.delete(&key, None, now).await.expect(ANSWERS),
        "delete must find a session that is alive"
    );
}

pub(super) async fn claim(
    store: &Arc<dyn SessionStore>,
    key: OnceKey,
    until: Timestamp,
    now: Timestamp,
) -> bool {
    store.claim_once(&key, until, now).await.expect(ANSWERS)
}

pub(super) async fn assert_found(
    store: &Arc<dyn SessionStore>,
    subject: IndexKey,
    now: Timestamp,
    expected: &[SessionKey],
) {
    let found = store.find_by_subject(&subject, now).await.expect(ANSWERS);
    assert_keys("find_by_subject", found, expected);
}

pub(super) async fn assert_found_by_sid(
    store: &Arc<dyn SessionStore>,
    sid: IndexKey,
    now: Timestamp,
    expected: &[SessionKey],
) {
    let found = store.find_by_sid(&sid, now).await.expect(ANSWERS);
    assert_keys("find_by_sid", found, expected);
}

pub(super) fn assert_keys(search: &str, found: Vec<(SessionKey, Arc<Record>)>, expected: &[SessionKey]) {
    let mut found: Vec<SessionKey> = found.into_iter().map(|(key, _)| key).collect();
    found.sort_unstable();
    assert_eq!(
        found, expected,
        "{search} must give the sessions that are alive and have the index key, each once"
    );
}

pub(super) fn assert_same(stored: &Arc<Record>, expected: &Record) {
    let fields = |record: &Record| {
        (
            (record.version, record.subject, record.sid),
            (record.created_at, record.last_seen_at, record.expires_at),
            record.lease,
        )
    };
    assert_eq!(
        fields(stored),
        fields(expected),
        "the stored record must be the one that was given"
    );
    assert!(
        stored.sealed == expected.sealed,
        "the sealed body must come back unchanged"
    );
}

/// Calls `operation` from [`CALLERS`] threads at once and gives what came of each, in their order.
pub(super) async fn at_once<T, F, Fut>(store: &Arc<dyn SessionStore>, operation: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(Arc<dyn SessionStore>, u8) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T>,
{
    at_once_of(CALLERS, store, operation).await
}

pub(super) async fn at_once_of<T, F, Fut>(callers: u8, store: &Arc<dyn SessionStore>, operation: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(Arc<dyn SessionStore>, u8) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T>,
{
    let start = Arc::new(Barrier::new(usize::from(callers)));
    let answers: Vec<oneshot::Receiver<T>> = (0..callers)
        .map(|n| {
            let (answer, receiver) = oneshot::channel();
            let (store, operation) = (Arc::clone(store), operation.clone());
            let start = Arc::clone(&start);
            // Threads, and not tasks, so that calls are concurrent on a runtime of one thread, too.
            let runtime = tokio::runtime::Handle::current();
            std::thread::spawn(move || {
                start.wait();
                // Fails only where another call panicked and the rule is broken already.
                let _ = answer.send(runtime.block_on(operation(store, n)));
            });
            receiver
        })
        .collect();
    try_join_all(answers)
        .await
        .expect("each of the concurrent calls must keep the rule")
}
