//! Where sessions are kept: the [`SessionStore`] contract, and the stores that come with this crate.
//!
//! A store is the only authority on who is signed in. It keeps, for each session, a [`Record`]: a few fields in
//! the clear that a store needs for its work (version, deadlines, two index keys, a lease) and a sealed body that
//! only the core can open. A store never sees a token, a claim or the identifier in the browser's cookie.
//!
//! # The contract in words
//!
//! 1. **Nothing is saved blindly.** A record is written by [`insert`](SessionStore::insert), which refuses a key
//!    that is taken, or by [`compare_and_swap`](SessionStore::compare_and_swap), which refuses a version other than
//!    the one its caller saw. Missing is not insert: a deleted session cannot come back.
//! 2. **The version goes up by one with each successful `compare_and_swap`** and by nothing else. A lease that is
//!    taken, renewed or released, and a [`touch`](SessionStore::touch), leave it alone.
//! 3. **Each operation is atomic** towards all others, from every process that shares the store. Whoever drops its future does not
//!    know whether it was done; half done it never is.
//! 4. **A record whose [`expires_at`](Record::expires_at) has passed counts as missing** for every operation, from
//!    that instant on, whether or not [`sweep`](SessionStore::sweep) has removed it.
//! 5. **An error means "not known".** A store that is down answers [`StoreError`], never "missing": callers keep
//!    people signed in through an outage.
//! 6. **A session that was deleted is told of, and none that was not.** Where a store has
//!    [`notices`](SessionStore::notices), a [`delete`](SessionStore::delete) that found its session is told within two
//!    seconds to everyone who listens, on every instance, or they are told that they may have missed it. Telling must
//!    not make a `delete` fail. A store without them is asked once a second while somebody waits.
//!
//! `store::contract` (feature `contract`) is a suite that checks all of this; run it against a store of your own.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::session::SessionData;

pub mod app_data;
#[cfg(feature = "contract")]
pub mod contract;
mod memory;
mod notices;
mod observed;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
mod worker;

use app_data::{AppDataKey, AppDataStore};
pub use memory::MemoryStore;
pub use notices::{Notice, NoticeSender, Notices};
pub(crate) use observed::observed;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// Names a session in a store: the SHA-256 hash of the identifier that the browser holds.
///
/// Knowing a key lets nobody in, so it may be shown to the session's owner and handed to background jobs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of this key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Hashes [`SessionKey`]s for maps of them: they are hashes already, of random bits that this application has drawn, so nobody
/// can choose many that collide.
#[derive(Default)]
pub(crate) struct HashOfKey(u64);

impl Hasher for HashOfKey {
    fn write(&mut self, bytes: &[u8]) {
        // Their end, as shards go by the beginning.
        if let Some(bytes) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*bytes);
        }
    }

    // The length, which is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionKey {
    /// Its text form, for URLs and JSON: base64url without padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for SessionKey {
    type Err = NotASessionKey;

    fn from_str(text: &str) -> Result<Self, NotASessionKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotASessionKey)?;
        bytes.try_into().map(Self).map_err(|_| NotASessionKey)
    }
}

impl Serialize for SessionKey {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The text is not a [`SessionKey`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a session")]
pub struct NotASessionKey;

/// Finds the sessions of one user, or those of one session at the provider: a hash over (issuer, `sub`) or
/// (issuer, `sid`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexKey([u8; 32]);

impl IndexKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of this key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Names something that may happen only once, or has to be remembered for a while: a used `state`, a `jti`, a sign-out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OnceKey([u8; 32]);

impl OnceKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of this key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

macro_rules! short_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:02x}{:02x}{:02x}{:02x}…)"), self.as_bytes()[0], self.as_bytes()[1], self.as_bytes()[2], self.as_bytes()[3])
            }
        }
    )*};
}
short_debug!(SessionKey, IndexKey, OnceKey, AppDataKey);

/// Names one holder of a lease: a random number per attempt to refresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct LeaseOwner(u128);

impl LeaseOwner {
    /// The owner with this number.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// The number of this owner.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// The right to refresh a session's tokens, for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Who holds it.
    pub owner: LeaseOwner,
    /// Goes up by one each time the lease is taken, so that a holder can tell that it has lost it.
    pub fence: u64,
    /// When it ends unless it is renewed. From that instant on anyone may take it.
    pub until: Timestamp,
}

impl Lease {
    /// Whether this is the same lease, prolonged perhaps: the same owner and fence number.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (self.owner, self.fence) == (other.owner, other.fence)
    }
}

/// One session as a store keeps it.
#[derive(Clone)]
pub struct Record {
    /// Counts the changes: 1 when inserted, one more with each compare-and-swap.
    pub version: u64,
    /// Index over (issuer, `sub`).
    pub subject: IndexKey,
    /// Index over (issuer, `sid`), where the provider named a `sid`.
    pub sid: Option<IndexKey>,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When the session was last used, give or take (see [`SessionStore::touch`]).
    pub last_seen_at: Timestamp,
    /// When the session ends: the earlier of its idle and its absolute end.
    pub expires_at: Timestamp,
    /// Who is refreshing the tokens, if anyone. A lease whose `until` has passed may be taken by anyone; until then, or
    /// until it is given back or cleared by a swap, it stays visible: that tells a holder that was killed from one that
    /// gave up.
    pub lease: Option<Lease>,
    /// Tokens, claims and deadlines, sealed by the core.
    pub sealed: Arc<[u8]>,
    /// What `sealed` holds, opened at most once per record. A store hands it on or leaves it empty
    /// (`Arc::default()`); it never writes it anywhere.
    pub opened: Opened,
}

impl Record {
    /// Whether this lease, where one is demanded, is the record's.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn has(&self, demanded: Option<Lease>) -> bool {
        demanded.is_none_or(|demanded| self.lease.is_some_and(|lease| lease.is(&demanded)))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("version", &self.version)
            .field("created_at", &self.created_at)
            .field("last_seen_at", &self.last_seen_at)
            .field("expires_at", &self.expires_at)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// Remembers the opened body of a [`Record`], so that a store which hands out the same record twice (the memory
/// store) has it opened once. Other stores use [`Opened::default`].
#[derive(Clone, Default)]
pub struct Opened(OnceLock<Arc<SessionData>>);

impl Opened {
    pub(crate) fn get(&self) -> Option<&Arc<SessionData>> {
        self.0.get()
    }

    pub(crate) fn set(&self, data: Arc<SessionData>) {
        // Two threads may open the same body at once; both get the same content, either may stay.
        let _ = self.0.set(data);
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

/// What came of [`SessionStore::insert`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Inserted {
    /// The record is in the store, with the version it was given.
    Yes,
    /// The key is taken; nothing was changed.
    Taken,
}

/// What came of [`SessionStore::compare_and_swap`].
#[derive(Clone, Debug)]
#[must_use]
pub enum Swapped {
    /// The record was replaced; its version is now the expected one plus one, and it has no lease.
    Yes,
    /// The record has another version than the expected one, or not the lease that was demanded; nothing was changed.
    /// Here it is as it stands.
    Newer(Arc<Record>),
    /// There is no such session; nothing was changed.
    Gone,
}

/// What came of [`SessionStore::acquire`].
#[derive(Clone, Debug)]
#[must_use]
pub enum Acquired {
    /// The lease is yours. Here is the record with it.
    Got(Arc<Record>),
    /// Someone else holds the lease. Here is the record with theirs.
    Held(Arc<Record>),
    /// The record has another version than the one you saw. Here it is as it stands; no lease was taken.
    Newer(Arc<Record>),
    /// There is no such session.
    Gone,
}

/// A place in a walk through all sessions: what a store has to know to go on. It holds for that store alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ScanCursor(Vec<u8>);

impl ScanCursor {
    /// The cursor with these bytes, which mean something to the store alone.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes of this cursor.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Behind this session, in a store that goes by their keys.
    fn behind(key: &SessionKey) -> Self {
        Self(key.0.to_vec())
    }

    fn key(&self) -> Result<SessionKey, StoreError> {
        let key = <[u8; 32]>::try_from(self.as_bytes()).map(SessionKey);
        key.map_err(|_| StoreError::Corrupt("a place in a walk that is another store's"))
    }
}

impl fmt::Debug for ScanCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanCursor").finish_non_exhaustive()
    }
}

/// How many sessions the stores of this crate give in one step of a walk: their bodies have to be sent within the time
/// of an operation.
const SCAN_PAGE: usize = 500;

/// One step of a walk through all sessions: what came of [`SessionStore::scan`].
#[derive(Clone, Debug)]
pub struct Scanned {
    /// Some of the sessions, in no particular order; it may be none, though more are to come.
    pub sessions: Vec<(SessionKey, Arc<Record>)>,
    /// Where the walk goes on; `None` at its end.
    pub next: Option<ScanCursor>,
}

impl Scanned {
    /// A page of a store that goes by the sessions' keys.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn by_key(
        rows: impl Iterator<Item = Result<(SessionKey, Record), StoreError>>,
    ) -> Result<Self, StoreError> {
        let sessions = rows.map(|row| row.map(|(key, record)| (key, Arc::new(record))));
        let sessions: Vec<_> = sessions.collect::<Result<_, _>>()?;
        let last = sessions.last().filter(|_| sessions.len() >= SCAN_PAGE);
        let next = last.map(|(key, _)| ScanCursor::behind(key));
        Ok(Self { sessions, next })
    }
}

/// Keeps session records. See the [module documentation](self) for the contract.
///
/// `now` is always the caller's present instant; a store uses it for every comparison with a deadline, so that a
/// test can move time. A store that many machines share may use its own server's clock for leases instead.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use auth_core::store::{MemoryStore, SessionStore};
///
/// let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new());
/// ```
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a session. Its version is taken from the record.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the record may or may not be in.
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError>;

    /// The session's record, or `None` where there is none or it has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError>;

    /// What [`load`](Self::load) would give, where the store knows it without waiting for anything: each request asks, and is
    /// spared a future. `None`, the default, where it has to wait.
    fn load_at_once(&self, key: &SessionKey, now: Timestamp) -> Option<Option<Arc<Record>>> {
        let _ = (key, now);
        None
    }

    /// Replaces the record if its version is still `expected`, whoever holds a lease: a holder whose lease ran out
    /// must still be able to save what the provider gave it. The stored version becomes `expected + 1`, whatever
    /// `record.version` says; a lease is cleared.
    ///
    /// Where `record.lease` names a lease, the record is replaced only while that is still the stored one (owner and
    /// fence number), alive or not; otherwise the answer is [`Swapped::Newer`], though the version may be the expected
    /// one. That is for changes that can be given up, and must not take the lease from whoever has it by then.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the swap may or may not be done.
    async fn compare_and_swap(
        &self,
        key: &SessionKey,
        expected: u64,
        record: Record,
        now: Timestamp,
    ) -> Result<Swapped, StoreError>;

    /// Notes that the session was used: sets `last_seen_at` and `expires_at` where that moves them forward, and
    /// changes nothing else. A session that is gone stays gone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Removes the session, and says whether there was one. With `expected`, only while it has that version.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the session may or may not be gone.
    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The sessions whose `subject` index is this one, in no particular order, at most 1,000.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError>;

    /// The sessions whose `sid` index is this one, in no particular order, at most 1,000.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError>;

    /// A part of all sessions, at most 1,000, and where the walk goes on: `None` begins one. A session that is there from
    /// its beginning to its end is given at least once; one that comes or goes meanwhile may be given or not. One that
    /// has expired is not.
    ///
    /// Called when an operator ends the sessions of everybody, and hardly ever else.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the walk can go on from the same
    /// place. [`StoreError::Corrupt`] also for a cursor that is not one of this store's.
    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError>;

    /// Takes the session's lease until `now + length`, if the record still has the version `seen` and no lease that
    /// is alive. The fence number is one more than that of any lease the session had before. The core asks for 10 seconds, and
    /// [renews](Self::renew) the lease at a third of that.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the lease may or may not be taken.
    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError>;

    /// Prolongs the lease to `now + length` if it is still this one (owner and fence), and says whether it was. A
    /// lease that has ended but that nobody else has taken can be renewed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives the lease back if it is still this one (owner and fence). Its fence number stays used.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the lease then ends by itself.
    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError>;

    /// Remembers `key` until `until`, and says whether it was new. Of any number of concurrent calls for one key
    /// exactly one gets `true`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the key may or may not be taken.
    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError>;

    /// Keeps the claim on `key`, taken already or not, until `until` or until the end that it has, whichever is later.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the claim may or may not be prolonged.
    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError>;

    /// Until when `key` is claimed; `None` where it is not, or not any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Removes what has expired, claims and [app data](AppDataStore) included, and says how many sessions that were
    /// (nothing else counts). Called by the core once a minute, on each instance.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Checks that the store can be reached and answers ([`Auth::ready`](crate::Auth::ready)).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it does not.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Begins to tell of sessions that end, until what this gives is dropped. `None`, the default, where the store cannot
    /// tell: then it is asked again and again. All stores of this crate can.
    ///
    /// A store keeps nothing ready for it, such as a connection, while nobody listens.
    fn notices(&self) -> Option<Notices> {
        None
    }

    /// What each operation waits for, by OpenTelemetry's name for it (`db.system.name`): `redis`, `postgresql`, `sqlite`. The
    /// operations then have spans, which `docs/metrics.md` lists. `None`, the default, where an operation waits for nothing that
    /// is worth a span, as in memory.
    fn system(&self) -> Option<&'static str> {
        None
    }

    /// The same store for the data of the app's own sessions, if it is one. All stores of this crate are.
    fn app_data(&self) -> Option<&dyn AppDataStore> {
        None
    }
}

/// A store did not do what it was asked. Whether the session exists is not known; it counts neither as signed in
/// nor as signed out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, or broke off.
    #[error("the session store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store did not answer in time.
    #[error("the session store did not answer in time")]
    Timeout,
    /// The store holds something that is not a record of this version of the crate; the text names what.
    #[error("the session store holds a record that cannot be read: {0}")]
    Corrupt(&'static str),
}

impl StoreError {
    /// A store that cannot be reached, with the cause.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}
