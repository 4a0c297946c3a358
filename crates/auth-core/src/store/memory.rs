//! Sessions in this process's memory.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;

use super::app_data::{AppDataKey, AppDataStore};
use super::notices::Listeners;
use super::{
    Acquired, HashOfKey, IndexKey, Inserted, Lease, LeaseOwner, Notice, Notices, OnceKey, Opened, Record,
    SCAN_PAGE, ScanCursor, Scanned, SessionKey, SessionStore, StoreError, Swapped,
};
use crate::clock::Timestamp;

/// Keeps sessions in this process's memory: for development, for tests, and for an application that runs as one
/// process and may sign everyone out when it restarts.
///
/// It never fails. Memory is bounded by what is alive: [`sweep`](SessionStore::sweep) removes the rest. A session takes its sealed
/// body and some 500 bytes. The opened bodies, which are larger, stay for those sessions that were used last: for one in 64 of
/// all, and for a thousand in any case. Another is opened again when it is asked for.
///
/// ```
/// use auth_core::store::MemoryStore;
///
/// let store = MemoryStore::new();
/// assert!(store.is_empty());
/// ```
pub struct MemoryStore {
    /// Sessions, spread by the first byte of their key, which is a hash and so falls evenly.
    sessions: [RwLock<Sessions>; SHARDS],
    /// Always locked before a shard. Who changes an index key holds it for writing, and who searches holds it for
    /// reading throughout, so that a search sees a session that moves to another key at least once.
    indexes: RwLock<Indexes>,
    once: [Mutex<Claims>; SHARDS],
    /// The data of the app's own sessions, spread as sessions are.
    app_data: [Mutex<AppData>; SHARDS],
    listeners: Listeners,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sessions: std::array::from_fn(|_| RwLock::default()),
            indexes: RwLock::default(),
            once: std::array::from_fn(|_| Mutex::default()),
            app_data: std::array::from_fn(|_| Mutex::default()),
            listeners: Listeners::default(),
        }
    }

    /// How many sessions are in memory, those included that have expired and are not swept yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.iter().map(|shard| read(shard).entries.len()).sum()
    }

    /// Whether no session is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &SessionKey) -> &RwLock<Sessions> {
        &self.sessions[shard_of(key.as_bytes())]
    }

    /// The session's record, which is in use now.
    fn present(&self, key: &SessionKey, now: Timestamp) -> Option<Arc<Record>> {
        match read(self.shard(key)).live(key, now) {
            None => return None,
            Some(entry) if entry.use_open() => return Some(Arc::clone(&entry.record)),
            Some(_) => {}
        }
        // It is about to be opened.
        let mut sessions = write(self.shard(key));
        sessions.keep_open(key);
        sessions.live(key, now).map(|entry| Arc::clone(&entry.record))
    }

    fn app_data(&self, key: &AppDataKey) -> MutexGuard<'_, AppData> {
        lock(&self.app_data[shard_of(key.as_bytes())])
    }

    /// The sessions that a search is for: those below this beginning of an index key which `is` takes.
    fn find(
        &self,
        index: impl FnOnce(&Indexes) -> &Index,
        begins: u64,
        is: impl Fn(&Record) -> bool,
        now: Timestamp,
    ) -> Vec<(SessionKey, Arc<Record>)> {
        let indexes = read(&self.indexes);
        let [first, last] = [[0; 32], [0xff; 32]].map(SessionKey::from_bytes);
        let keys = index(&indexes).range((begins, first)..=(begins, last));
        let found = keys.filter_map(|(_, key)| {
            let sessions = read(self.shard(key));
            let entry = sessions.live(key, now).filter(|entry| is(&entry.record))?;
            Some((*key, entry.shown()))
        });
        found.take(FIND_LIMIT).collect()
    }

    fn sweep_shard(&self, shard: &RwLock<Sessions>, now: Timestamp) -> u64 {
        // Looking takes longer than removing, and requests can read meanwhile.
        let expired: Vec<SessionKey> = read(shard)
            .entries
            .iter()
            .filter(|(_, entry)| entry.record.expires_at <= now)
            .map(|(key, _)| *key)
            .collect();
        if expired.is_empty() {
            return 0;
        }
        let mut indexes = write(&self.indexes);
        let mut sessions = write(shard);
        let mut removed = 0;
        for key in expired {
            // Between the two locks the key may have got a new session.
            if sessions.live(&key, now).is_none()
                && let Some(entry) = sessions.entries.remove(&key)
            {
                indexes.remove(&key, &entry.record);
                removed += 1;
            }
        }
        removed
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        let mut indexes = write(&self.indexes);
        let mut sessions = write(self.shard(key));
        if sessions.live(key, now).is_some() {
            return Ok(Inserted::Taken);
        }
        let record = Arc::new(Record {
            lease: None,
            ..record
        });
        if let Some(expired) = sessions.entries.remove(key) {
            indexes.remove(key, &expired.record);
        }
        indexes.add(key, &record);
        sessions.entries.insert(*key, Entry::new(record));
        sessions.keep_open(key);
        Ok(Inserted::Yes)
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        Ok(self.present(key, now))
    }

    fn load_at_once(&self, key: &SessionKey, now: Timestamp) -> Option<Option<Arc<Record>>> {
        Some(self.present(key, now))
    }

    async fn compare_and_swap(
        &self,
        key: &SessionKey,
        expected: u64,
        record: Record,
        now: Timestamp,
    ) -> Result<Swapped, StoreError> {
        let mut indexes = write(&self.indexes);
        let mut sessions = write(self.shard(key));
        let Some(entry) = sessions.live_mut(key, now) else {
            return Ok(Swapped::Gone);
        };
        let has_lease = record.lease.is_none_or(|lease| entry.holds(&lease));
        if entry.record.version != expected || !has_lease {
            return Ok(Swapped::Newer(entry.shown()));
        }
        let record = Arc::new(Record {
            version: expected.wrapping_add(1),
            lease: None,
            ..record
        });
        indexes.replace(key, &entry.record, &record);
        entry.record = record;
        sessions.keep_open(key);
        Ok(Swapped::Yes)
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(entry) = write(self.shard(key)).live_mut(key, now) {
            // Whoever has loaded the record keeps what they saw: a record that is shared is copied here, its sealed
            // and its opened body are not.
            let record = Arc::make_mut(&mut entry.record);
            record.last_seen_at = record.last_seen_at.max(last_seen_at);
            record.expires_at = record.expires_at.max(expires_at);
        }
        Ok(())
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut indexes = write(&self.indexes);
        let mut sessions = write(self.shard(key));
        let Some(record) = sessions.live(key, now).map(|entry| Arc::clone(&entry.record)) else {
            return Ok(false);
        };
        if expected.is_some_and(|expected| expected != record.version) {
            return Ok(false);
        }
        sessions.entries.remove(key);
        indexes.remove(key, &record);
        drop((sessions, indexes));
        self.listeners.tell(key);
        Ok(true)
    }

    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        let is = |record: &Record| record.subject == *subject;
        Ok(self.find(|indexes| &indexes.subject, beginning(subject), is, now))
    }

    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        let is = |record: &Record| record.sid == Some(*sid);
        Ok(self.find(|indexes| &indexes.sid, beginning(sid), is, now))
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        let from = from.map(ScanCursor::key).transpose()?;
        let mut sessions: Vec<(SessionKey, Arc<Record>)> = Vec::new();
        // Shard by shard, and by key within each.
        for shard in from.map_or(0, |from| shard_of(from.as_bytes()))..SHARDS {
            let is_ahead =
                |key: &SessionKey| from.is_none_or(|from| shard_of(from.as_bytes()) != shard || *key > from);
            let shard = read(&self.sessions[shard]);
            let mut found: Vec<_> = shard
                .entries
                .iter()
                .filter(|(key, entry)| is_ahead(key) && entry.record.expires_at > now)
                .collect();
            found.sort_unstable_by_key(|(key, _)| *key);
            let room = SCAN_PAGE - sessions.len();
            let is_full = found.len() > room;
            let found = found.into_iter().take(room);
            sessions.extend(found.map(|(key, entry)| (*key, entry.shown())));
            if is_full {
                let next = sessions.last().map(|(last, _)| ScanCursor::behind(last));
                return Ok(Scanned { sessions, next });
            }
        }
        Ok(Scanned { sessions, next: None })
    }

    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        let mut sessions = write(self.shard(key));
        let Some(entry) = sessions.live_mut(key, now) else {
            return Ok(Acquired::Gone);
        };
        if entry.record.version != seen {
            return Ok(Acquired::Newer(entry.shown()));
        }
        if entry.record.lease.is_some_and(|lease| lease.until > now) {
            return Ok(Acquired::Held(entry.shown()));
        }
        entry.fence += 1;
        Arc::make_mut(&mut entry.record).lease = Some(Lease {
            owner,
            fence: entry.fence,
            until: now.plus(length),
        });
        Ok(Acquired::Got(entry.shown()))
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut sessions = write(self.shard(key));
        let Some(entry) = sessions.live_mut(key, now).filter(|entry| entry.holds(lease)) else {
            return Ok(false);
        };
        Arc::make_mut(&mut entry.record).lease = Some(Lease {
            until: now.plus(length),
            ..*lease
        });
        Ok(true)
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let mut sessions = write(self.shard(key));
        if let Some(entry) = sessions.live_mut(key, now).filter(|entry| entry.holds(lease)) {
            Arc::make_mut(&mut entry.record).lease = None;
        }
        Ok(())
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        Ok(lock(&self.once[shard_of(key.as_bytes())]).claim(key, until, now))
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        lock(&self.once[shard_of(key.as_bytes())]).prolong(key, until, now);
        Ok(())
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(lock(&self.once[shard_of(key.as_bytes())]).until(key, now))
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        for ((sessions, once), app_data) in self.sessions.iter().zip(&self.once).zip(&self.app_data) {
            removed += self.sweep_shard(sessions, now);
            lock(once).remove_expired(now);
            lock(app_data).remove_expired(now);
            // A store of a million sessions takes a while; requests on this thread go first.
            tokio::task::yield_now().await;
        }
        Ok(removed)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn notices(&self) -> Option<Notices> {
        let (sender, notices) = self.listeners.add();
        // There is no other instance.
        sender.send(Notice::Listening);
        Some(notices)
    }

    fn app_data(&self) -> Option<&dyn AppDataStore> {
        Some(self)
    }
}

#[async_trait]
impl AppDataStore for MemoryStore {
    async fn insert_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, StoreError> {
        Ok(self.app_data(key).insert(key, AppDatum { data, expires_at }, now))
    }

    async fn load_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<Option<Arc<[u8]>>, StoreError> {
        let mut shard = self.app_data(key);
        Ok(shard.live(key, now).map(|datum| Arc::clone(&datum.data)))
    }

    async fn update_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut shard = self.app_data(key);
        let found = shard.live(key, now);
        Ok(found
            .map(|datum| *datum = AppDatum { data, expires_at })
            .is_some())
    }

    async fn touch_app_data(
        &self,
        key: &AppDataKey,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut shard = self.app_data(key);
        let found = shard.live(key, now);
        Ok(found.map(|datum| datum.expires_at = expires_at).is_some())
    }

    async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError> {
        let mut shard = self.app_data(key);
        let was_alive = shard.live(key, now).is_some();
        shard.entries.remove(key);
        Ok(was_alive)
    }
}

const SHARDS: usize = 64;

/// The most that a search gives, set by the contract.
const FIND_LIMIT: usize = 1_000;

fn shard_of(key: &[u8; 32]) -> usize {
    usize::from(key[0]) % SHARDS
}

/// So many bodies stay opened in each shard, and one of [`OPEN_SHARE`] where there are more sessions.
const OPEN_LEAST: usize = 16;
const OPEN_SHARE: usize = 64;

/// The sessions of one shard.
#[derive(Default)]
struct Sessions {
    entries: HashMap<SessionKey, Entry, BuildHasherDefault<HashOfKey>>,
    /// Those whose opened bodies stay, as a clock's hand goes by: the next to go is in front, unless it was used since.
    /// Some may be gone already.
    open: VecDeque<SessionKey>,
}

impl Sessions {
    fn live(&self, key: &SessionKey, now: Timestamp) -> Option<&Entry> {
        self.entries
            .get(key)
            .filter(|entry| entry.record.expires_at > now)
    }

    fn live_mut(&mut self, key: &SessionKey, now: Timestamp) -> Option<&mut Entry> {
        self.entries
            .get_mut(key)
            .filter(|entry| entry.record.expires_at > now)
    }

    /// Lets the session's body stay opened, and closes another for it.
    fn keep_open(&mut self, key: &SessionKey) {
        if !self.entries.get(key).is_some_and(Entry::is_closed) {
            return;
        }
        let most = OPEN_LEAST.max(self.entries.len() / OPEN_SHARE);
        while self.open.len() >= most
            && let Some(next) = self.open.pop_front()
        {
            match self.entries.get_mut(&next) {
                Some(entry) if entry.open.load(Ordering::Relaxed) == OPEN_AND_USED => {
                    *entry.open.get_mut() = OPEN;
                    self.open.push_back(next);
                }
                Some(entry) => entry.close(),
                None => {}
            }
        }
        if let Some(entry) = self.entries.get_mut(key) {
            *entry.open.get_mut() = OPEN;
            self.open.push_back(*key);
        }
    }
}

struct Entry {
    record: Arc<Record>,
    /// The fence number of the last lease; it outlives the lease, which a swap or a release clears.
    fence: u64,
    /// Whether the record's body may stay opened: [`CLOSED`], [`OPEN`] or [`OPEN_AND_USED`].
    open: AtomicU8,
}

/// The record is handed out without what it was opened to: see [`Entry::shown`].
const CLOSED: u8 = 0;
/// The session is among [`Sessions::open`].
const OPEN: u8 = 1;
/// And was used since the hand went by.
const OPEN_AND_USED: u8 = 2;

impl Entry {
    fn new(record: Arc<Record>) -> Self {
        Self {
            record,
            fence: 0,
            open: AtomicU8::new(CLOSED),
        }
    }

    fn holds(&self, lease: &Lease) -> bool {
        self.record.lease.is_some_and(|held| held.is(lease))
    }

    fn is_closed(&self) -> bool {
        self.open.load(Ordering::Relaxed) == CLOSED
    }

    /// Notes the use of a session whose body stays opened, and says whether it does.
    fn use_open(&self) -> bool {
        match self.open.load(Ordering::Relaxed) {
            CLOSED => return false,
            OPEN_AND_USED => {}
            // Nobody closes it meanwhile: that takes the shard for itself.
            _ => self.open.store(OPEN_AND_USED, Ordering::Relaxed),
        }
        true
    }

    fn close(&mut self) {
        *self.open.get_mut() = CLOSED;
        Arc::make_mut(&mut self.record).opened = Opened::default();
    }

    /// The record for someone who looks at many. What is not to stay opened is copied, so that it is opened for them alone.
    fn shown(&self) -> Arc<Record> {
        if self.is_closed() {
            Arc::new(Record::clone(&self.record))
        } else {
            Arc::clone(&self.record)
        }
    }
}

/// Which sessions there are of each index key, by its beginning; the record has the rest. A tree: it grows by a little at a
/// time, where a table would stand still to move to a larger one.
type Index = BTreeSet<(u64, SessionKey)>;

fn beginning(index: &IndexKey) -> u64 {
    let (beginning, _) = index.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*beginning)
}

#[derive(Default)]
struct Indexes {
    subject: Index,
    sid: Index,
}

impl Indexes {
    fn add(&mut self, key: &SessionKey, record: &Record) {
        self.subject.insert((beginning(&record.subject), *key));
        if let Some(sid) = &record.sid {
            self.sid.insert((beginning(sid), *key));
        }
    }

    fn remove(&mut self, key: &SessionKey, record: &Record) {
        self.subject.remove(&(beginning(&record.subject), *key));
        if let Some(sid) = &record.sid {
            self.sid.remove(&(beginning(sid), *key));
        }
    }

    fn replace(&mut self, key: &SessionKey, old: &Record, new: &Record) {
        self.remove(key, old);
        self.add(key, new);
    }
}

/// What was claimed, and until when.
#[derive(Default)]
struct Claims {
    until: HashMap<OnceKey, Timestamp>,
    /// Expired claims are removed when there are this many, so that memory stays bounded between sweeps.
    crowded_at: usize,
}

impl Claims {
    fn claim(&mut self, key: &OnceKey, until: Timestamp, now: Timestamp) -> bool {
        if self.until(key, now).is_some() {
            return false;
        }
        self.insert(key, until, now);
        true
    }

    fn prolong(&mut self, key: &OnceKey, until: Timestamp, now: Timestamp) {
        if self.until(key, now).is_none_or(|held| held < until) {
            self.insert(key, until, now);
        }
    }

    fn until(&self, key: &OnceKey, now: Timestamp) -> Option<Timestamp> {
        self.until.get(key).copied().filter(|until| *until > now)
    }

    fn insert(&mut self, key: &OnceKey, until: Timestamp, now: Timestamp) {
        if self.until.len() >= self.crowded_at {
            self.remove_expired(now);
        }
        self.until.insert(*key, until);
    }

    fn remove_expired(&mut self, now: Timestamp) {
        self.until.retain(|_, until| *until > now);
        self.crowded_at = (self.until.len() * 2).max(64);
    }
}

/// What the app's own sessions hold.
#[derive(Default)]
struct AppData {
    entries: HashMap<AppDataKey, AppDatum>,
    /// As with [`Claims`]: what has expired is removed when there is this much, swept or not.
    crowded_at: usize,
}

struct AppDatum {
    data: Arc<[u8]>,
    expires_at: Timestamp,
}

impl AppData {
    fn live(&mut self, key: &AppDataKey, now: Timestamp) -> Option<&mut AppDatum> {
        self.entries.get_mut(key).filter(|datum| datum.expires_at > now)
    }

    fn insert(&mut self, key: &AppDataKey, datum: AppDatum, now: Timestamp) -> Inserted {
        if self.live(key, now).is_some() {
            return Inserted::Taken;
        }
        if self.entries.len() >= self.crowded_at {
            self.remove_expired(now);
        }
        self.entries.insert(*key, datum);
        Inserted::Yes
    }

    fn remove_expired(&mut self, now: Timestamp) {
        self.entries.retain(|_, datum| datum.expires_at > now);
        self.crowded_at = (self.entries.len() * 2).max(64);
    }
}

// No lock is held over code that can panic halfway through a change, so a poisoned one guards sound data.

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::sha256;
    use crate::session::SessionData;

    fn once_key(n: u32) -> OnceKey {
        let mut bytes = [0; 32];
        bytes[28..].copy_from_slice(&n.to_be_bytes());
        OnceKey::from_bytes(bytes)
    }

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn data() -> Arc<SessionData> {
        let data = serde_json::from_value(serde_json::json!({
            "issuer": "https://op.example", "subject": "a", "sid": null, "moved_at": null, "claims": {},
            "kept_claims": null, "app": null, "id_token": null, "auth_time": null, "acr": null, "nonce": null,
            "tokens": {
                "access": null, "access_issued_at": NOW, "access_expires_at": null, "refresh": null,
                "refresh_expires_at": null, "scopes": [],
            },
            "asked": [], "audience": [], "ends_at": NOW, "jitter": 0, "refreshes": 0,
            "refreshed_at": null, "agent": null, "address": null,
        }));
        Arc::new(data.expect("the data of a session"))
    }

    fn key(number: u64) -> SessionKey {
        SessionKey::from_bytes(sha256(&[&number.to_be_bytes()]))
    }

    /// A store where these sessions have signed in, of one user all.
    async fn signed_in(numbers: std::ops::Range<u64>) -> MemoryStore {
        let store = MemoryStore::new();
        let data = data();
        for number in numbers {
            let record = Record {
                version: 1,
                subject: IndexKey::from_bytes([1; 32]),
                sid: None,
                created_at: NOW,
                last_seen_at: NOW,
                expires_at: NOW.plus(Duration::from_secs(60)),
                lease: None,
                sealed: Arc::default(),
                opened: Opened::default(),
            };
            record.opened.set(Arc::clone(&data));
            let inserted = store.insert(&key(number), record, NOW).await;
            assert_eq!(inserted.expect("a memory store works"), Inserted::Yes);
        }
        store
    }

    async fn load(store: &MemoryStore, number: u64) -> Arc<Record> {
        let record = store.load(&key(number), NOW).await.expect("a memory store works");
        record.expect("the session is there")
    }

    /// Uses a session as a request does: it is loaded and, unless it is open, opened. Whether it was.
    async fn uses(store: &MemoryStore, number: u64) -> bool {
        let record = load(store, number).await;
        let was_open = record.opened.get().is_some();
        record.opened.set(data());
        was_open
    }

    fn open(store: &MemoryStore) -> usize {
        let open = |entry: &&Entry| entry.record.opened.get().is_some();
        let of_shard = |shard: &RwLock<Sessions>| read(shard).entries.values().filter(open).count();
        store.sessions.iter().map(of_shard).sum()
    }

    #[tokio::test]
    async fn bodies_stay_opened_of_a_thousand_sessions_or_one_of_sixty_four() {
        let store = signed_in(0..8_000).await;
        assert_eq!(open(&store), SHARDS * OPEN_LEAST);
        for number in 0..8_000 {
            uses(&store, number).await;
        }
        assert_eq!(open(&store), SHARDS * OPEN_LEAST);

        let store = signed_in(0..128_000).await;
        let (expected, rounding) = (128_000 / OPEN_SHARE, SHARDS);
        assert!((expected - rounding..=expected + rounding).contains(&open(&store)));
    }

    #[tokio::test]
    async fn a_body_that_is_changed_counts_among_the_opened() {
        let store = signed_in(0..8_000).await;
        let mut seen = Vec::new();
        for number in 0..8_000 {
            seen.push(Record::clone(&*load(&store, number).await));
        }
        // By now most of them are closed again.
        for (number, changed) in (0..).zip(seen) {
            changed.opened.set(data());
            let swapped = store.compare_and_swap(&key(number), 1, changed, NOW).await;
            assert!(matches!(swapped, Ok(Swapped::Yes)));
        }
        assert_eq!(open(&store), SHARDS * OPEN_LEAST);
    }

    #[tokio::test]
    async fn an_index_key_is_compared_whole() {
        let store = signed_in(0..10).await;
        let mut other = [1; 32];
        other[31] = 2;
        for (user, sessions) in [([1; 32], 10), (other, 0)] {
            let found = store.find_by_subject(&IndexKey::from_bytes(user), NOW).await;
            assert_eq!(found.expect("a memory store works").len(), sessions);
        }
    }

    #[tokio::test]
    async fn a_session_that_is_used_stays_open_however_many_others_come_by() {
        let store = signed_in(0..8_000).await;
        uses(&store, 0).await;
        for number in 1..8_000 {
            uses(&store, number).await;
            assert!(uses(&store, 0).await, "closed after {number} others");
        }
    }

    #[tokio::test]
    async fn a_session_that_comes_stays_open_though_all_others_are_in_use() {
        let store = signed_in(0..8_000).await;
        for number in 0..8_000 {
            uses(&store, number).await;
            assert!(uses(&store, number).await);
        }
    }

    #[tokio::test]
    async fn sessions_that_are_found_or_walked_through_do_not_stay_open() {
        let store = signed_in(0..8_000).await;
        let user = IndexKey::from_bytes([1; 32]);
        let found = store
            .find_by_subject(&user, NOW)
            .await
            .expect("a memory store works");
        let walked = store.scan(None, NOW).await.expect("a memory store works");
        for (_, record) in found.iter().chain(&walked.sessions) {
            record.opened.set(data());
        }
        assert_eq!(open(&store), SHARDS * OPEN_LEAST);
    }

    #[tokio::test]
    async fn sessions_that_have_ended_leave_nothing_behind() {
        let store = signed_in(0..8_000).await;
        for number in 0..4_000 {
            assert!(
                store
                    .delete(&key(number), None, NOW)
                    .await
                    .expect("a memory store works")
            );
        }
        let later = NOW.plus(Duration::from_secs(60));
        assert_eq!(store.sweep(later).await.expect("a memory store works"), 4_000);
        assert!(store.is_empty());
        let indexes = read(&store.indexes);
        assert!(indexes.subject.is_empty() && indexes.sid.is_empty());
    }

    #[test]
    fn claims_that_ended_make_room_without_a_sweep() {
        let mut claims = Claims::default();
        for n in 0..100_000 {
            let now = Timestamp::from_secs(i64::from(n));
            let until = now.plus(Duration::from_secs(10));
            assert!(claims.claim(&once_key(n), until, now));
        }
        assert!(claims.until.len() <= 64);
    }

    #[test]
    fn app_data_that_expired_makes_room_without_a_sweep() {
        let mut app_data = AppData::default();
        for n in 0..10_000 {
            let now = Timestamp::from_secs(i64::from(n));
            let datum = AppDatum {
                data: Arc::default(),
                expires_at: now.plus(Duration::from_secs(10)),
            };
            let key = AppDataKey::from_bytes(*once_key(n).as_bytes());
            assert_eq!(app_data.insert(&key, datum, now), Inserted::Yes);
        }
        assert!(app_data.entries.len() <= 64);
    }

    #[test]
    fn claims_that_have_not_ended_stay_however_many_there_are() {
        let mut claims = Claims::default();
        let now = Timestamp::from_secs(0);
        let until = Timestamp::from_secs(10);
        for n in 0..1_000 {
            assert!(claims.claim(&once_key(n), until, now));
        }
        for n in 0..1_000 {
            assert!(!claims.claim(&once_key(n), until, now));
        }
    }
}
