//! Random operations, in any order, on each store and on a few lines that say what the contract means: both answer alike.
#![cfg(all(feature = "contract", feature = "sqlite"))]
#![allow(missing_docs, reason = "these are tests")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth_core::clock::{Clock, Timestamp};
use auth_core::store::app_data::AppDataKey;
use auth_core::store::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, MemoryStore, OnceKey, Opened, Record, SessionKey,
    SessionStore, SqliteStore, Swapped,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Few keys, so that operations meet.
const KEYS: u8 = 3;

/// What a record is made of here: its subject, its `sid`, its body, and how many seconds it lasts.
#[derive(Clone, Debug)]
struct Content {
    subject: u8,
    sid: Option<u8>,
    body: u8,
    life: u64,
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, Content),
    Load(u8),
    /// With the version that is there, or one beside it; demanding one of the leases that were given so far, perhaps.
    Swap(u8, i8, Content, Option<prop::sample::Index>),
    Touch(u8, u64),
    Delete(u8, Option<i8>),
    FindBySubject(u8),
    FindBySid(u8),
    /// A lease for a day, or one that ends at once: a store may go by its server's clock.
    Acquire(u8, i8, bool),
    /// Of all leases that were given so far, one.
    Renew(prop::sample::Index, bool),
    Release(prop::sample::Index),
    Claim(u8, u64),
    ProlongClaim(u8, u64),
    ClaimedUntil(u8),
    Sweep,
    Advance(u64),
    InsertData(u8, u8, u64),
    LoadData(u8),
    UpdateData(u8, u8, u64),
    TouchData(u8, u64),
    DeleteData(u8),
}

fn content() -> impl Strategy<Value = Content> {
    (0..3u8, prop::option::of(0..2u8), any::<u8>(), 1..300u64).prop_map(|(subject, sid, body, life)| {
        Content {
            subject,
            sid,
            body,
            life,
        }
    })
}

fn beside() -> impl Strategy<Value = i8> {
    prop_oneof![6 => Just(0i8), 1 => Just(1), 1 => Just(-1)]
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    prop_oneof![
        4 => (key(), content()).prop_map(|(key, content)| Op::Insert(key, content)),
        3 => key().prop_map(Op::Load),
        4 => (key(), beside(), content(), prop::option::weighted(0.4, any::<prop::sample::Index>()))
            .prop_map(|(key, by, content, which)| Op::Swap(key, by, content, which)),
        2 => (key(), 1..300u64).prop_map(|(key, life)| Op::Touch(key, life)),
        2 => (key(), prop::option::of(beside())).prop_map(|(key, by)| Op::Delete(key, by)),
        2 => (0..3u8).prop_map(Op::FindBySubject),
        2 => (0..2u8).prop_map(Op::FindBySid),
        5 => (key(), beside(), any::<bool>()).prop_map(|(key, by, lasts)| Op::Acquire(key, by, lasts)),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, lasts)| Op::Renew(which, lasts)),
        2 => any::<prop::sample::Index>().prop_map(Op::Release),
        2 => (key(), 1..300u64).prop_map(|(key, life)| Op::Claim(key, life)),
        2 => (key(), 1..300u64).prop_map(|(key, life)| Op::ProlongClaim(key, life)),
        1 => key().prop_map(Op::ClaimedUntil),
        1 => Just(Op::Sweep),
        2 => (1..120u64).prop_map(Op::Advance),
        2 => (key(), any::<u8>(), 1..300u64).prop_map(|(key, data, life)| Op::InsertData(key, data, life)),
        1 => key().prop_map(Op::LoadData),
        2 => (key(), any::<u8>(), 1..300u64).prop_map(|(key, data, life)| Op::UpdateData(key, data, life)),
        1 => (key(), 0..300u64).prop_map(|(key, life)| Op::TouchData(key, life)),
        1 => key().prop_map(Op::DeleteData),
    ]
}

/// The contract in a few lines.
#[derive(Default)]
struct Reference {
    sessions: HashMap<u8, Session>,
    claims: HashMap<u8, Timestamp>,
    data: HashMap<u8, (u8, Timestamp)>,
}

#[derive(Clone)]
struct Session {
    version: u64,
    content: Content,
    last_seen_at: Timestamp,
    expires_at: Timestamp,
    /// Owner, fence number, and whether it lasts.
    lease: Option<(u128, u64, bool)>,
    fence: u64,
}

impl Reference {
    fn expire(&mut self, now: Timestamp) {
        self.sessions.retain(|_, session| session.expires_at > now);
        self.claims.retain(|_, until| *until > now);
        self.data.retain(|_, (_, expires_at)| *expires_at > now);
    }

    /// The version that is there, or one beside it.
    fn version(&self, key: u8, by: i8) -> u64 {
        let version = self.sessions.get(&key).map_or(1, |session| session.version);
        version.wrapping_add_signed(i64::from(by))
    }
}

/// The store beside the reference, with keys of its own.
struct Pair<'a> {
    store: &'a dyn SessionStore,
    reference: Reference,
    /// Tells the keys of one run from those of others in the same store.
    run: u64,
    now: Timestamp,
    owners: u128,
    leases: Vec<(u8, Lease)>,
}

/// Whether a run has the store for itself.
#[derive(Clone, Copy, PartialEq)]
enum Sharing {
    Alone,
    Shared,
}

impl Pair<'_> {
    fn bytes(&self, kind: u8, n: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.run.to_be_bytes());
        (bytes[8], bytes[31]) = (kind, n);
        bytes
    }

    fn key(&self, n: u8) -> SessionKey {
        SessionKey::from_bytes(self.bytes(0, n))
    }

    fn data_key(&self, n: u8) -> AppDataKey {
        AppDataKey::from_bytes(self.bytes(0, n))
    }

    fn record(&self, content: &Content) -> Record {
        Record {
            version: 1,
            subject: IndexKey::from_bytes(self.bytes(1, content.subject)),
            sid: content.sid.map(|sid| IndexKey::from_bytes(self.bytes(2, sid))),
            created_at: self.now,
            last_seen_at: self.now,
            expires_at: self.now.plus(Duration::from_secs(content.life)),
            lease: None,
            sealed: Arc::from([content.body; 3]),
            opened: Opened::default(),
        }
    }

    fn assert_is(&self, key: u8, found: &Record) {
        let session = &self.reference.sessions[&key];
        let expected = self.record(&session.content);
        assert_eq!(
            (found.version, found.subject, found.sid),
            (session.version, expected.subject, expected.sid)
        );
        assert_eq!(
            (found.last_seen_at, found.expires_at),
            (session.last_seen_at, session.expires_at)
        );
        assert_eq!(found.sealed, expected.sealed);
        assert_eq!(
            found.lease.map(|lease| (lease.owner.as_u128(), lease.fence)),
            session.lease.map(|(owner, fence, _)| (owner, fence))
        );
    }

    async fn assert_found(&self, found: Vec<(SessionKey, Arc<Record>)>, is_meant: impl Fn(&Content) -> bool) {
        let mut expected: Vec<_> = self
            .reference
            .sessions
            .iter()
            .filter(|(_, session)| is_meant(&session.content))
            .map(|(key, _)| *key)
            .collect();
        expected.sort_unstable();
        let mut keys: Vec<_> = found.iter().map(|(key, _)| key.as_bytes()[31]).collect();
        keys.sort_unstable();
        assert_eq!(keys, expected);
        for (key, record) in &found {
            self.assert_is(key.as_bytes()[31], record);
        }
    }

    async fn apply(&mut self, op: Op, sharing: Sharing) {
        let now = self.now;
        self.reference.expire(now);
        match op {
            Op::Insert(key, content) => {
                let record = self.record(&content);
                let inserted = self
                    .store
                    .insert(&self.key(key), record.clone(), now)
                    .await
                    .unwrap();
                let is_free = !self.reference.sessions.contains_key(&key);
                assert_eq!(inserted == Inserted::Yes, is_free);
                if is_free {
                    let session = Session {
                        version: 1,
                        content,
                        last_seen_at: now,
                        expires_at: record.expires_at,
                        lease: None,
                        fence: 0,
                    };
                    self.reference.sessions.insert(key, session);
                }
            }
            Op::Load(key) => self.check(key).await,
            Op::Swap(key, by, content, which) => {
                let expected = self.reference.version(key, by);
                let demanded = which.filter(|_| !self.leases.is_empty());
                let demanded = demanded.map(|which| which.get(&self.leases).1);
                let record = Record {
                    lease: demanded,
                    ..self.record(&content)
                };
                let has_lease = demanded.is_none_or(|lease| self.held(key, &lease).is_some());
                let swapped = self
                    .store
                    .compare_and_swap(&self.key(key), expected, record.clone(), now)
                    .await
                    .unwrap();
                match (swapped, self.reference.sessions.get_mut(&key)) {
                    (Swapped::Gone, None) => {}
                    (Swapped::Yes, Some(session)) if session.version == expected && has_lease => {
                        session.version += 1;
                        session.content = content;
                        session.last_seen_at = now;
                        session.expires_at = record.expires_at;
                        session.lease = None;
                    }
                    (Swapped::Newer(found), Some(session)) if session.version != expected || !has_lease => {
                        self.assert_is(key, &found);
                    }
                    (other, _) => panic!("a swap of version {expected} is {other:?}"),
                }
            }
            Op::Touch(key, life) => {
                let end = now.plus(Duration::from_secs(life));
                self.store.touch(&self.key(key), now, end, now).await.unwrap();
                if let Some(session) = self.reference.sessions.get_mut(&key) {
                    session.last_seen_at = session.last_seen_at.max(now);
                    session.expires_at = session.expires_at.max(end);
                }
            }
            Op::Delete(key, by) => {
                let expected = by.map(|by| self.reference.version(key, by));
                let deleted = self.store.delete(&self.key(key), expected, now).await.unwrap();
                let is_meant = self
                    .reference
                    .sessions
                    .get(&key)
                    .is_some_and(|session| expected.is_none_or(|expected| expected == session.version));
                assert_eq!(deleted, is_meant);
                if is_meant {
                    self.reference.sessions.remove(&key);
                }
            }
            Op::FindBySubject(subject) => {
                let index = IndexKey::from_bytes(self.bytes(1, subject));
                let found = self.store.find_by_subject(&index, now).await.unwrap();
                self.assert_found(found, |content| content.subject == subject)
                    .await;
            }
            Op::FindBySid(sid) => {
                let index = IndexKey::from_bytes(self.bytes(2, sid));
                let found = self.store.find_by_sid(&index, now).await.unwrap();
                self.assert_found(found, |content| content.sid == Some(sid)).await;
            }
            Op::Acquire(key, by, lasts) => {
                let seen = self.reference.version(key, by);
                self.owners += 1;
                let owner = LeaseOwner::from_u128(self.owners);
                let acquired = self
                    .store
                    .acquire(&self.key(key), seen, owner, length(lasts), now)
                    .await
                    .unwrap();
                let stored = self.reference.sessions.get_mut(&key);
                match (acquired, stored) {
                    (Acquired::Gone, None) => {}
                    (Acquired::Newer(found), Some(session)) if session.version != seen => {
                        self.assert_is(key, &found);
                    }
                    (
                        Acquired::Held(found),
                        Some(Session {
                            version,
                            lease: Some((_, _, true)),
                            ..
                        }),
                    ) if *version == seen => {
                        self.assert_is(key, &found);
                    }
                    (Acquired::Got(found), Some(session))
                        if session.version == seen && !matches!(session.lease, Some((_, _, true))) =>
                    {
                        session.fence += 1;
                        session.lease = Some((self.owners, session.fence, lasts));
                        self.assert_is(key, &found);
                        self.leases.push((key, found.lease.unwrap()));
                    }
                    (other, _) => panic!("an acquire of version {seen} is {other:?}"),
                }
            }
            Op::Renew(which, lasts) if !self.leases.is_empty() => {
                let (key, lease) = *which.get(&self.leases);
                let renewed = self
                    .store
                    .renew(&self.key(key), &lease, length(lasts), now)
                    .await
                    .unwrap();
                let held = self.held(key, &lease);
                assert_eq!(renewed, held.is_some());
                if let Some(held) = held {
                    held.2 = lasts;
                }
            }
            Op::Release(which) if !self.leases.is_empty() => {
                let (key, lease) = *which.get(&self.leases);
                self.store.release(&self.key(key), &lease, now).await.unwrap();
                if self.held(key, &lease).is_some() {
                    self.reference.sessions.get_mut(&key).unwrap().lease = None;
                }
            }
            Op::Renew(..) | Op::Release(_) => {}
            Op::Claim(key, life) => {
                let until = now.plus(Duration::from_secs(life));
                let once = OnceKey::from_bytes(self.bytes(3, key));
                let is_new = self.store.claim_once(&once, until, now).await.unwrap();
                assert_eq!(is_new, !self.reference.claims.contains_key(&key));
                self.reference.claims.entry(key).or_insert(until);
            }
            Op::ProlongClaim(key, life) => {
                let until = now.plus(Duration::from_secs(life));
                let once = OnceKey::from_bytes(self.bytes(3, key));
                self.store.prolong_claim(&once, until, now).await.unwrap();
                let held = self.reference.claims.entry(key).or_insert(until);
                *held = until.max(*held);
            }
            Op::ClaimedUntil(key) => {
                let once = OnceKey::from_bytes(self.bytes(3, key));
                let until = self.store.claimed_until(&once, now).await.unwrap();
                assert_eq!(until, self.reference.claims.get(&key).copied());
            }
            Op::Sweep => {
                let count = self.store.sweep(now).await.unwrap();
                assert!(sharing == Sharing::Shared || count <= u64::from(KEYS));
            }
            Op::Advance(secs) => self.now = now.plus(Duration::from_secs(secs)),
            Op::InsertData(..)
            | Op::LoadData(_)
            | Op::UpdateData(..)
            | Op::TouchData(..)
            | Op::DeleteData(_) => self.apply_to_data(op).await,
        }
    }

    async fn apply_to_data(&mut self, op: Op) {
        let now = self.now;
        let store = self.store.app_data().unwrap();
        let end = |life: u64| now.plus(Duration::from_secs(life));
        match op {
            Op::InsertData(key, data, life) => {
                let inserted = store
                    .insert_app_data(&self.data_key(key), Arc::from([data]), end(life), now)
                    .await
                    .unwrap();
                let is_free = !self.reference.data.contains_key(&key);
                assert_eq!(inserted == Inserted::Yes, is_free);
                if is_free {
                    self.reference.data.insert(key, (data, end(life)));
                }
            }
            Op::LoadData(key) => {
                let found = store.load_app_data(&self.data_key(key), now).await.unwrap();
                let expected = self.reference.data.get(&key).map(|(data, _)| vec![*data]);
                assert_eq!(found.map(|data| data.to_vec()), expected);
            }
            Op::UpdateData(key, data, life) => {
                let updated = store
                    .update_app_data(&self.data_key(key), Arc::from([data]), end(life), now)
                    .await
                    .unwrap();
                let held = self.reference.data.get_mut(&key);
                assert_eq!(updated, held.is_some());
                if let Some(held) = held {
                    *held = (data, end(life));
                }
            }
            Op::TouchData(key, life) => {
                let touched = store
                    .touch_app_data(&self.data_key(key), end(life), now)
                    .await
                    .unwrap();
                let held = self.reference.data.get_mut(&key);
                assert_eq!(touched, held.is_some());
                if let Some(held) = held {
                    held.1 = end(life);
                }
            }
            Op::DeleteData(key) => {
                let deleted = store.delete_app_data(&self.data_key(key), now).await.unwrap();
                assert_eq!(deleted, self.reference.data.remove(&key).is_some());
            }
            _ => {}
        }
    }

    fn held(&mut self, key: u8, lease: &Lease) -> Option<&mut (u128, u64, bool)> {
        let session = self.reference.sessions.get_mut(&key)?;
        session
            .lease
            .as_mut()
            .filter(|(owner, fence, _)| (*owner, *fence) == (lease.owner.as_u128(), lease.fence))
    }

    async fn check(&self, key: u8) {
        let found = self.store.load(&self.key(key), self.now).await.unwrap();
        match (found, self.reference.sessions.contains_key(&key)) {
            (Some(found), true) => self.assert_is(key, &found),
            (found, is_there) => assert_eq!(found.is_some(), is_there),
        }
    }
}

fn length(lasts: bool) -> Duration {
    if lasts {
        Duration::from_secs(24 * 3600)
    } else {
        Duration::ZERO
    }
}

/// Runs random operations on stores that `fresh` makes; each run has its own keys.
fn run<S: SessionStore, Fut: Future<Output = S>>(cases: u32, sharing: Sharing, fresh: impl Fn() -> Fut) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let shared = (sharing == Sharing::Shared).then(|| runtime.block_on(fresh()));
    let result = TestRunner::new(config).run(&prop::collection::vec(op(), 1..80), |ops| {
        runtime.block_on(async {
            let own;
            let store: &dyn SessionStore = match &shared {
                Some(store) => store,
                None => {
                    own = fresh().await;
                    &own
                }
            };
            let mut pair = Pair {
                store,
                reference: Reference::default(),
                run: RUNS.fetch_add(1, Ordering::Relaxed),
                now: Clock::system().now(),
                owners: 0,
                leases: Vec::new(),
            };
            for op in ops {
                pair.apply(op, sharing).await;
            }
            pair.reference.expire(pair.now);
            for key in 0..KEYS {
                pair.check(key).await;
            }
        });
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn memory_does_what_the_contract_says() {
    run(500, Sharing::Alone, async || MemoryStore::new());
}

#[test]
fn sqlite_does_what_the_contract_says() {
    run(60, Sharing::Alone, async || {
        SqliteStore::open(":memory:").await.unwrap()
    });
}

#[cfg(feature = "redis")]
#[test]
fn redis_does_what_the_contract_says() {
    let server = auth_testing::servers::RedisServer::start().unwrap_or_else(|error| panic!("{error}"));
    run(100, Sharing::Shared, async || {
        auth_core::store::RedisStore::open(&server.url()).await.unwrap()
    });
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_does_what_the_contract_says() {
    let server = auth_testing::servers::PostgresServer::start().unwrap_or_else(|error| panic!("{error}"));
    run(100, Sharing::Shared, async || {
        auth_core::store::PostgresStore::open(&server.url())
            .await
            .unwrap()
    });
}
