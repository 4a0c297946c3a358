//! An operator ends ten thousand sessions, on every store: in pages, with so many operations and no more. Needs Redis and
//! PostgreSQL: `apt-get install redis-server postgresql`.
#![cfg(feature = "contract")]
#![allow(missing_docs, reason = "these are tests")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[cfg(feature = "sqlite")]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::clock::{Clock, Timestamp};
use auth_core::store::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, MemoryStore, OnceKey, Opened, Record, ScanCursor,
    Scanned, SessionKey, SessionStore, StoreError, Swapped,
};
use auth_core::{Auth, SecretKeys};
use futures_util::future::join_all;

const SESSIONS: u32 = 10_000;
/// What is written down of an operator's sign-out: that it was, and that it was an operator's.
const NOTES: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory() {
    ten_thousand_sessions_end_in_pages(Arc::new(MemoryStore::new())).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_file() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("walk-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("sessions.db");
    let store = auth_core::store::SqliteStore::open(path.to_str().unwrap()).await;
    ten_thousand_sessions_end_in_pages(Arc::new(store.unwrap())).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_redis() {
    let server = auth_testing::servers::RedisServer::start().unwrap();
    let store = auth_core::store::RedisStore::open(&server.url()).await;
    ten_thousand_sessions_end_in_pages(Arc::new(store.unwrap())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_postgresql() {
    let server = auth_testing::servers::PostgresServer::start().unwrap();
    let store = auth_core::store::PostgresStore::open(&server.create_database().unwrap()).await;
    ten_thousand_sessions_end_in_pages(Arc::new(store.unwrap())).await;
}

async fn ten_thousand_sessions_end_in_pages(store: Arc<dyn SessionStore>) {
    let counting = Counting::of(Arc::clone(&store));
    let auth = Auth::builder()
        .base_url("http://127.0.0.1:3000")
        // Nobody is there, and nobody is asked.
        .issuer("http://127.0.0.1:9")
        .client("app", Some("a secret of the app"))
        .store(counting.clone())
        .secret(SecretKeys::random())
        .build()
        .await
        .unwrap();
    let now = Clock::system().now();
    for some in (0..SESSIONS).collect::<Vec<_>>().chunks(100) {
        let store = &store;
        join_all(some.iter().map(|n| async move {
            let inserted = store.insert(&key(*n), record(now), now).await;
            assert_eq!(inserted.unwrap(), Inserted::Yes);
        }))
        .await;
    }

    // Whose they are nobody can say who has not the key: they are spared, and gone through all the same.
    assert_eq!(auth.end_sessions_of_issuer(&auth.issuer()).await.unwrap(), 0);
    let counts = counting.take();
    assert_eq!((counts.notes, counts.deletes, counts.others), (NOTES, 0, 0));
    assert_eq!(counts.given, SESSIONS as usize, "each once");

    assert_eq!(auth.end_all_sessions().await.unwrap(), SESSIONS as usize);
    let counts = counting.take();
    assert_eq!((counts.notes, counts.others), (NOTES, 0));
    assert_eq!(counts.deletes, SESSIONS as usize);
    assert!(counts.largest <= 1_000, "a page of {}", counts.largest);
    assert!(
        (SESSIONS as usize / 1_000..=120).contains(&counts.scans),
        "{} pages",
        counts.scans
    );
    println!("{} pages of {} sessions at most", counts.scans, counts.largest);
    let left = store.scan(None, now).await.unwrap();
    assert!(left.sessions.is_empty());
    assert_eq!(auth.end_all_sessions().await.unwrap(), 0);
}

fn key(n: u32) -> SessionKey {
    let mut bytes = [0; 32];
    for (at, part) in bytes.chunks_mut(4).enumerate() {
        // As evenly as hashes fall.
        let mixed = (n + 1).wrapping_mul(2_654_435_769).rotate_left(at as u32 * 3);
        part.copy_from_slice(&mixed.to_be_bytes());
    }
    SessionKey::from_bytes(bytes)
}

fn record(now: Timestamp) -> Record {
    Record {
        version: 1,
        subject: IndexKey::from_bytes([1; 32]),
        sid: None,
        created_at: now,
        last_seen_at: now,
        expires_at: now.plus(Duration::from_secs(3600)),
        lease: None,
        // About what a session with three tokens takes.
        sealed: vec![7; 3_000].into(),
        opened: Opened::default(),
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    scans: usize,
    given: usize,
    largest: usize,
    deletes: usize,
    notes: usize,
    others: usize,
}

/// A store that counts what is asked of it.
#[derive(Clone, Debug)]
struct Counting {
    store: Arc<dyn SessionStore>,
    counts: Arc<std::sync::Mutex<Counts>>,
    others: Arc<AtomicUsize>,
}

impl Counting {
    fn of(store: Arc<dyn SessionStore>) -> Self {
        Self {
            store,
            counts: Arc::default(),
            others: Arc::default(),
        }
    }

    /// What was counted since the last time.
    fn take(&self) -> Counts {
        Counts {
            others: self.others.swap(0, Ordering::SeqCst),
            ..std::mem::take(&mut *self.counts.lock().unwrap())
        }
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) -> &dyn SessionStore {
        change(&mut self.counts.lock().unwrap());
        &*self.store
    }

    fn other(&self) -> &dyn SessionStore {
        self.others.fetch_add(1, Ordering::SeqCst);
        &*self.store
    }
}

type Found = Vec<(SessionKey, Arc<Record>)>;

#[async_trait]
impl SessionStore for Counting {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        self.other().insert(key, record, now).await
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        self.other().load(key, now).await
    }

    async fn compare_and_swap(
        &self,
        key: &SessionKey,
        expected: u64,
        record: Record,
        now: Timestamp,
    ) -> Result<Swapped, StoreError> {
        self.other().compare_and_swap(key, expected, record, now).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.other().touch(key, last_seen_at, expires_at, now).await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let store = self.count(|counts| counts.deletes += 1);
        store.delete(key, expected, now).await
    }

    async fn find_by_subject(&self, subject: &IndexKey, now: Timestamp) -> Result<Found, StoreError> {
        self.other().find_by_subject(subject, now).await
    }

    async fn find_by_sid(&self, sid: &IndexKey, now: Timestamp) -> Result<Found, StoreError> {
        self.other().find_by_sid(sid, now).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        let page = self.store.scan(from, now).await?;
        self.count(|counts| {
            counts.scans += 1;
            counts.given += page.sessions.len();
            counts.largest = counts.largest.max(page.sessions.len());
        });
        Ok(page)
    }

    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        self.other().acquire(key, seen, owner, length, now).await
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.other().renew(key, lease, length, now).await
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        self.other().release(key, lease, now).await
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.other().claim_once(key, until, now).await
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let store = self.count(|counts| counts.notes += 1);
        store.prolong_claim(key, until, now).await
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.other().claimed_until(key, now).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.store.sweep(now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.other().ping().await
    }
}
