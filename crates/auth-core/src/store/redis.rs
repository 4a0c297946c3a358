//! Sessions in Redis, or in a server that speaks its protocol.
//!
//! # Durability
//!
//! The store keeps what the server keeps. With `appendonly yes` and `appendfsync always` that is what a call has said
//! is done. With `everysec`, Redis' usual setting, a crash of the server's machine loses up to the last second, with
//! snapshots alone minutes, without persistence everything. A failover loses what the replica had not received yet,
//! whatever the disk holds. Then
//!
//! * a session that began in that time is gone: its user signs in again;
//! * a refresh token that the provider rotated in that time is lost: the provider refuses the old one, and the
//!   session ends in a clean sign-in;
//! * a session that ended in that time is back until its deadline, and a logout token that was used in that time can
//!   be used again.
//!
//! Whoever cannot live with the last one takes `appendfsync always` and a single server, or PostgreSQL. The server
//! must not evict: with a `maxmemory-policy` other than `noeviction` it signs people out when memory is short.
//!
//! # Keys
//!
//! | key | what |
//! | --- | --- |
//! | `auth:session:…` | a string: the fields of a record in fixed places, then the sealed body |
//! | `auth:subject:…`, `auth:sid:…` | a sorted set: the sessions that may have this index key |
//! | `auth:expiring:0` to `15` | a sorted set: the sessions by the earliest instant at which they may expire |
//! | `auth:once:…` | a string: until when something is claimed |
//! | `auth:data:…` | a string: data of the app's own sessions |
//!
//! A session is one key, and no script touches two: each change is atomic in a cluster, too. The sorted sets lie
//! elsewhere, so they cannot change together with a session. They are hints, held to one rule: *while a session's key
//! exists, its index keys and `auth:expiring` name it.*
//!
//! * An entry is written before the session is. Who dies in between leaves an entry that leads nowhere.
//! * A search reads the entries, loads the sessions, and gives those that are alive and have the index key.
//! * An entry goes by its score, never because its session is missing: that may be about to be written. The score is
//!   an instant up to which the session may be prolonged, half a day ahead; the record knows it, and who prolongs the
//!   session beyond it moves the entries first. The server removes an entry by its own clock, an hour after its
//!   score, and the session's key an hour after its expiry at the latest: the key never outlives the entry.
//! * Hence a deleted session leaves its entries for a day or so. They cost a search a look each.
//!
//! `auth:expiring` names every session as well. It tells [`sweep`](SessionStore::sweep) where to look, so that it need not
//! go through all keys, and [`scan`](SessionStore::scan) goes through it; its entries go in a sweep alone, once the session
//! is gone. The server removes what has expired an hour later in any case; claims and the app's data go that way alone.
//!
//! # Notices
//!
//! The script that deletes a session publishes its key on the channel `auth:ended:` and the number of the database, for
//! channels are common to all databases. An access list that does not allow that does not stop the script; then, as
//! without the right to subscribe, the store says that it does not hear, and is asked. While somebody listens it has a
//! second connection.
//!
//! # Time
//!
//! Whether a record or a claim has expired is decided by the caller's `now`. Leases go by the server's clock, which
//! all instances share. Numbers in Lua are exact up to 2^53 only: instants and versions are strings of eight bytes,
//! compared in two halves.
//!
//! # Threads
//!
//! The connection lives on a thread of the store's own. On a runtime that is blocked or gone, such as an actix worker
//! that computes for a second, it would stall everyone who shares it. Everything runs there as well, to its end, but the load of
//! a session: that is asked from the caller's task, which saves a way there and back.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join_all};
use redis::aio::{MultiplexedConnection, PubSubStream};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo,
    ProtocolVersion, PushInfo, PushKind, RedisError, ServerErrorKind, Value,
};
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use super::app_data::{AppDataKey, AppDataStore};
use super::notices::{Channels, keep_listening, pass_on};
use super::worker::Worker;
use super::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, NoticeSender, Notices, OnceKey, Opened, Record,
    ScanCursor, Scanned, SessionKey, SessionStore, StoreError, Swapped,
};
use crate::clock::Timestamp;

/// Keeps sessions in a Redis server (6.0 or later), which any number of machines may share.
///
/// The keys begin with `auth:`, so the server may hold other things as well; two applications take two database
/// numbers. Tokens in it are sealed, and the identifiers that browsers hold are not in it.
///
/// The store speaks to one server: a single one, or an address that leads to the present primary. It is not a client
/// of a Redis cluster, but its keys and scripts are made for one, behind a proxy that routes by key.
///
/// Each operation is done or failed within 5 seconds. A connection that breaks is made again by the next operation;
/// nothing that may have reached the server is sent twice.
///
/// ```no_run
/// # async fn example() -> Result<(), auth_core::store::StoreError> {
/// use auth_core::store::RedisStore;
///
/// let store = RedisStore::open("rediss://app:password@redis.internal:6379/0").await?;
/// # Ok(()) }
/// ```
pub struct RedisStore {
    link: Arc<Link>,
    worker: Worker,
}

impl RedisStore {
    /// Connects to the server at `url`: `redis://[USER][:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://…` for TLS, or
    /// `redis+unix:///PATH[?db=DATABASE]`. Special characters in a password are percent-encoded.
    ///
    /// With TLS, the server's certificate must lead to a root that the system trusts; on Linux `SSL_CERT_FILE` names
    /// a file of other roots, a private authority's for example. For a proxy that does not know RESP3,
    /// `?protocol=resp2` asks for the older protocol; a connection that broke while idle is then noticed only by the
    /// operation that fails.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the URL cannot be read, or the server cannot be reached, refuses the password
    /// or is not able to serve; the error's source says which, and never holds the password.
    /// [`StoreError::Timeout`] when the server does not answer.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let link = Arc::new(Link::new(url)?);
        let store = Self {
            link,
            worker: Worker::start()?,
        };
        store.ping().await?;
        Ok(store)
    }

    /// Runs `operation` on the store's thread, to its end even where the caller goes away.
    async fn run<T, F>(&self, operation: impl FnOnce(Arc<Link>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.worker
            .run_within_time(operation(Arc::clone(&self.link)))
            .await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let indexed_until = promise(record.expires_at);
            link.write_hints(&key, &Indexed::of(&record), record.expires_at, indexed_until)
                .await?;
            let value = encode(&record, record.version, indexed_until);
            let removed_at = removed_at(record.expires_at);
            let args: [&[u8]; 3] = [&order(now), &value, removed_at.as_bytes()];
            match link.call(&INSERT, &session(&key), &args).await? {
                (DONE, _) => Ok(Inserted::Yes),
                (OTHER, _) => Ok(Inserted::Taken),
                answer => Err(odd(&answer)),
            }
        })
        .await
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        // Where there is a connection, nothing but the question has to be handed over to the store's thread: it does no harm if a
        // caller that goes away leaves it unanswered.
        if let Some(live) = self.link.ready() {
            let mut asked = Asked {
                worker: &self.worker,
                live,
                is_answered: false,
            };
            let answer = self.worker.wait(asked.live.load(key, now), STEP_TIMEOUT).await;
            asked.is_answered = true;
            if let Err(StoreError::Timeout) = &answer {
                asked.live.broken.store(true, Ordering::Release);
            }
            return answer;
        }
        let key = *key;
        self.run(async move |link: Arc<Link>| link.load(&key, now).await)
            .await
    }

    async fn compare_and_swap(
        &self,
        key: &SessionKey,
        expected: u64,
        record: Record,
        now: Timestamp,
    ) -> Result<Swapped, StoreError> {
        let (key, demanded) = (*key, record.lease);
        self.run(async move |link: Arc<Link>| {
            let indexed_until = promise(record.expires_at);
            link.write_hints(&key, &Indexed::of(&record), record.expires_at, indexed_until)
                .await?;
            let value = encode(&record, expected.wrapping_add(1), indexed_until);
            let removed_at = removed_at(record.expires_at);
            let args: [&[u8]; 5] = [
                &order(now),
                &expected.to_be_bytes(),
                &value,
                removed_at.as_bytes(),
                &demanded.map(held).unwrap_or_default(),
            ];
            match link.call(&SWAP, &session(&key), &args).await? {
                (GONE, _) => Ok(Swapped::Gone),
                (DONE, _) => Ok(Swapped::Yes),
                (OTHER, found) => Ok(Swapped::Newer(Arc::new(decode(&found)?))),
                answer => Err(odd(&answer)),
            }
        })
        .await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let removed_at = removed_at(expires_at);
            let indexed_until = promise(expires_at);
            // What the index entries were moved for: the record must still have these index keys.
            let mut moved_for = Vec::new();
            loop {
                let args: [&[u8]; 7] = [
                    &order(now),
                    &order(last_seen_at),
                    &order(expires_at),
                    &order(within_range(expires_at)),
                    removed_at.as_bytes(),
                    &order(indexed_until),
                    &moved_for,
                ];
                match link.call(&TOUCH, &session(&key), &args).await? {
                    (GONE | DONE, _) => return Ok(()),
                    (OTHER, indexed) => {
                        link.write_hints(&key, &Indexed::read(&indexed)?, expires_at, indexed_until)
                            .await?;
                        moved_for = indexed;
                    }
                    answer => return Err(odd(&answer)),
                }
            }
        })
        .await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let expected = expected.map(u64::to_be_bytes);
            let (channel, message) = (link.channel(), key.to_string());
            let args: [&[u8]; 4] = [
                &order(now),
                expected.as_ref().map_or(&[], |bytes| &bytes[..]),
                channel.as_bytes(),
                message.as_bytes(),
            ];
            done(&link.call(&DELETE, &session(&key), &args).await?)
        })
        .await
    }

    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        let subject = *subject;
        self.run(async move |link: Arc<Link>| {
            link.find(&subject_index(&subject), |record| record.subject == subject, now)
                .await
        })
        .await
    }

    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        let sid = *sid;
        self.run(async move |link: Arc<Link>| {
            link.find(&sid_index(&sid), |record| record.sid == Some(sid), now)
                .await
        })
        .await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        let place = from.map_or(Ok(Place::default()), Place::read)?;
        self.run(async move |link: Arc<Link>| link.scan(place, now).await)
            .await
    }

    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let length = lease_length(length);
            let args: [&[u8]; 4] = [
                &order(now),
                &seen.to_be_bytes(),
                &owner.as_u128().to_be_bytes(),
                length.as_bytes(),
            ];
            match link.call(&ACQUIRE, &session(&key), &args).await? {
                (GONE, _) => Ok(Acquired::Gone),
                (DONE, found) => Ok(Acquired::Got(Arc::new(decode(&found)?))),
                (OTHER, found) => Ok(Acquired::Newer(Arc::new(decode(&found)?))),
                (HELD, found) => Ok(Acquired::Held(Arc::new(decode(&found)?))),
                answer => Err(odd(&answer)),
            }
        })
        .await
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (key, lease) = (*key, *lease);
        self.run(async move |link: Arc<Link>| {
            let length = lease_length(length);
            let args: [&[u8]; 4] = [
                &order(now),
                &lease.fence.to_be_bytes(),
                &lease.owner.as_u128().to_be_bytes(),
                length.as_bytes(),
            ];
            done(&link.call(&RENEW, &session(&key), &args).await?)
        })
        .await
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let (key, lease) = (*key, *lease);
        self.run(async move |link: Arc<Link>| {
            let args: [&[u8]; 3] = [
                &order(now),
                &lease.fence.to_be_bytes(),
                &lease.owner.as_u128().to_be_bytes(),
            ];
            done(&link.call(&RELEASE, &session(&key), &args).await?)
        })
        .await?;
        Ok(())
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let removed_at = removed_at(until);
            let value = [&ONCE_MAGIC[..], &order(until)].concat();
            let args: [&[u8]; 3] = [&order(now), &value, removed_at.as_bytes()];
            done(&link.call(&CLAIM, &claim(&key), &args).await?)
        })
        .await
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let removed_at = removed_at(until);
            let value = [&ONCE_MAGIC[..], &order(until)].concat();
            let args: [&[u8]; 4] = [&order(now), &value, removed_at.as_bytes(), &order(until)];
            done(&link.call(&PROLONG, &claim(&key), &args).await?)
        })
        .await?;
        Ok(())
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let mut get = redis::cmd("GET");
            get.arg(claim(&key));
            let Some(value) = link.send::<Option<Vec<u8>>>(&get).await? else {
                return Ok(None);
            };
            let until = Fields::new(&value, ONCE_MAGIC)?.instant(ONCE_UNTIL)?;
            Ok(Some(until).filter(|until| *until > now))
        })
        .await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        for shard in 0..SHARDS {
            loop {
                let (looked_at, expired) = self
                    .run(async move |link: Arc<Link>| link.sweep_batch(shard, now).await)
                    .await?;
                removed += expired;
                if looked_at < SWEEP_BATCH {
                    break;
                }
            }
        }
        Ok(removed)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run(async move |link: Arc<Link>| {
            let _: Value = link.send(&redis::cmd("PING")).await?;
            Ok(())
        })
        .await
    }

    fn notices(&self) -> Option<Notices> {
        let (sender, notices) = Notices::channel();
        let link = Arc::clone(&self.link);
        self.worker.spawn(keep_listening(sender, move |sender| {
            let link = Arc::clone(&link);
            async move {
                let Err(error) = link.listen(&sender).await;
                error
            }
        }));
        Some(notices)
    }

    fn system(&self) -> Option<&'static str> {
        Some("redis")
    }

    fn app_data(&self) -> Option<&dyn AppDataStore> {
        Some(self)
    }
}

#[async_trait]
impl AppDataStore for RedisStore {
    async fn insert_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let removed_at = removed_at(expires_at);
            let value = [&DATA_MAGIC[..], &order(expires_at), &data[..]].concat();
            let args: [&[u8]; 3] = [&order(now), &value, removed_at.as_bytes()];
            match link.call(&INSERT_DATA, &app_data(&key), &args).await? {
                (DONE, _) => Ok(Inserted::Yes),
                (OTHER, _) => Ok(Inserted::Taken),
                answer => Err(odd(&answer)),
            }
        })
        .await
    }

    async fn load_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<Option<Arc<[u8]>>, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let mut get = redis::cmd("GET");
            get.arg(app_data(&key));
            let Some(value) = link.send::<Option<Vec<u8>>>(&get).await? else {
                return Ok(None);
            };
            let value = Fields::new(&value, DATA_MAGIC)?;
            let expires_at = value.instant(DATA_EXPIRES_AT)?;
            let data = value.from(DATA_HEAD)?;
            Ok((expires_at > now).then(|| data.into()))
        })
        .await
    }

    async fn update_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let removed_at = removed_at(expires_at);
            let value = [&DATA_MAGIC[..], &order(expires_at), &data[..]].concat();
            let args: [&[u8]; 3] = [&order(now), &value, removed_at.as_bytes()];
            done(&link.call(&UPDATE_DATA, &app_data(&key), &args).await?)
        })
        .await
    }

    async fn touch_app_data(
        &self,
        key: &AppDataKey,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            let removed_at = removed_at(expires_at);
            let args: [&[u8]; 3] = [&order(now), &order(expires_at), removed_at.as_bytes()];
            done(&link.call(&TOUCH_DATA, &app_data(&key), &args).await?)
        })
        .await
    }

    async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError> {
        let key = *key;
        self.run(async move |link: Arc<Link>| {
            done(&link.call(&DELETE_DATA, &app_data(&key), &[&order(now)]).await?)
        })
        .await
    }
}

/// How long it may take to connect, and how long the server may take to answer.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);

/// Questions that wait for the connection's task. Whoever finds all places taken is given the next one, be its runtime blocked
/// at that moment, and would hold up all behind it: so there are more than requests are under way.
const PLACES: usize = 1 << 16;

/// How much later than its expiry by the caller's clock the server removes a key by its own. A clock that is this far
/// off fails sign-ins already, for an ID token's times are checked to the minute.
const MARGIN: Duration = Duration::from_secs(3600);

/// How far ahead of a session's expiry its index entries last: while [`touch`](SessionStore::touch) stays within, it
/// is one command.
const INDEX_AHEAD: Duration = Duration::from_secs(12 * 3600);

/// The last instant that the server is told: the end of the year 9999. What lasts longer is kept as long as that.
const LAST: Timestamp = Timestamp::from_millis(253_402_300_799_000);

/// The most that a search gives, set by the contract.
const FIND_LIMIT: usize = 1_000;

/// How many sessions a search asks for at once.
const FIND_BATCH: usize = 100;

const SWEEP_BATCH: usize = 200;

/// About how many entries the server goes through at once for a walk. It gives a few times as many where its table is
/// crowded, which stays below the contract's 1,000, and all of a small set.
const SCAN_COUNT: usize = 200;

/// How many keys `auth:expiring` is spread over, so that no server of a cluster has all the work.
const SHARDS: u8 = 16;

/// The connection to the server, made when it is needed.
///
/// The client's own `ConnectionManager` hands out the error of a failed attempt to connect once more after the server
/// is back; this one tries again, and an operation that finds a connection known to be dead makes another before it
/// sends anything.
struct Link {
    client: Client,
    live: RwLock<Option<Live>>,
    /// Held by whoever connects: the last attempt that failed. Whoever waited for it shares what came of it.
    connecting: Mutex<Option<(Instant, RedisError)>>,
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    broken: Arc<AtomicBool>,
    /// Whether somebody looks if it is.
    is_looked_at: Arc<AtomicBool>,
}

/// A question that its sender waits for. Where the sender goes away before there is an answer, the connection may be dead, and
/// nobody would notice if all of them did so: then the store's thread looks.
struct Asked<'a> {
    worker: &'a Worker,
    live: Live,
    is_answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.is_answered || self.live.is_looked_at.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut live = self.live.clone();
        self.worker.spawn(async move {
            live.connection.set_response_timeout(STEP_TIMEOUT);
            // What comes of it is noted.
            let _ = live.try_send::<Value>(&redis::cmd("PING")).await;
            live.is_looked_at.store(false, Ordering::Release);
        });
    }
}

impl Live {
    async fn try_send<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        let answer = command.query_async(&mut self.connection).await;
        if let Err(error) = &answer
            && is_lost(error)
        {
            self.broken.store(true, Ordering::Release);
        }
        answer
    }

    /// Without a limit of time.
    async fn load(&mut self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        loaded(self.try_send(&get(key)).await.map_err(failed)?, now)
    }
}

fn get(key: &SessionKey) -> Cmd {
    let mut get = redis::cmd("GET");
    get.arg(session(key));
    get
}

/// The session in an answer to [`get`].
fn loaded(value: Option<Vec<u8>>, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
    let record = value.as_deref().map(decode).transpose()?;
    Ok(record.filter(|record| record.expires_at > now).map(Arc::new))
}

impl Link {
    fn new(url: &str) -> Result<Self, StoreError> {
        let bad = |_| StoreError::unavailable(Cause::Url);
        let parsed = Url::parse(url).map_err(|_| StoreError::unavailable(Cause::Url))?;
        if parsed.fragment().is_some() {
            // `#insecure` would turn the check of the certificate off.
            return Err(StoreError::unavailable(Cause::Fragment));
        }
        let chosen = parsed.query_pairs().any(|(name, _)| name == "protocol");
        let mut info = parsed.into_connection_info().map_err(bad)?;
        if !chosen {
            // With RESP3 the client says when a connection breaks, be it idle.
            let settings = info.redis_settings().clone();
            info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
        }
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            // Where the app's dependencies enable a second provider, rustls cannot choose and would panic. It makes
            // its choice the process's default in any case. Another that was there first stays.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        Ok(Self {
            client: Client::open(info).map_err(bad)?,
            live: RwLock::default(),
            connecting: Mutex::default(),
        })
    }

    /// The connection, if there is one that is not known to be dead.
    fn ready(&self) -> Option<Live> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let live = live.as_ref()?;
        (!live.broken.load(Ordering::Acquire)).then(|| live.clone())
    }

    /// The connection, made first where there is none.
    async fn live(&self) -> Result<Live, RedisError> {
        if let Some(live) = self.ready() {
            return Ok(live);
        }
        let asked_at = Instant::now();
        let mut failed = self.connecting.lock().await;
        if let Some(live) = self.ready() {
            return Ok(live);
        }
        if let Some((at, error)) = &*failed
            && *at >= asked_at
        {
            return Err(error.clone());
        }
        self.set_live(None);
        match self.connect().await {
            Ok(live) => {
                self.set_live(Some(live.clone()));
                Ok(live)
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn set_live(&self, live: Option<Live>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }

    async fn connect(&self) -> Result<Live, RedisError> {
        let broken = Arc::new(AtomicBool::new(false));
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(STEP_TIMEOUT))
            // Each answer is waited for with a limit, by whoever asks.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PLACES);
        let settings = self.client.get_connection_info().redis_settings();
        if settings.protocol() == ProtocolVersion::RESP3 {
            let broken = Arc::clone(&broken);
            config = config.set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    broken.store(true, Ordering::Release);
                }
                Ok::<(), std::convert::Infallible>(())
            });
        }
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Live {
            connection,
            broken,
            is_looked_at: Arc::default(),
        })
    }

    async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.try_send(command).await.map_err(failed)
    }

    /// On the store's thread alone.
    async fn try_send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut live = self.live().await?;
        live.connection.set_response_timeout(STEP_TIMEOUT);
        live.try_send(command).await
    }

    /// Runs a script on one key.
    async fn call(&self, script: &Script, key: &str, args: &[&[u8]]) -> Result<Answer, StoreError> {
        let command = |verb, what: &str| {
            let mut command = redis::cmd(verb);
            command.arg(what).arg(1).arg(key).arg(args);
            command
        };
        let answer = match self.try_send(&command("EVALSHA", &script.hash)).await {
            // The server does not know the script (yet, or after a restart), and has done nothing.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&command("EVAL", script.code)).await?
            }
            other => other.map_err(failed)?,
        };
        read_answer(answer)
    }

    /// The channel on which ends are told.
    fn channel(&self) -> String {
        let settings = self.client.get_connection_info().redis_settings();
        format!("auth:ended:{}", settings.db())
    }

    async fn listen(&self, sender: &NoticeSender) -> Result<Infallible, StoreError> {
        let subscription = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(self.channel()).await?;
            Ok(subscription)
        };
        let subscription = timeout(STEP_TIMEOUT, subscription)
            .await
            .map_err(|_| StoreError::Timeout)?
            .map_err(failed)?;
        // The stream keeps the connection.
        let messages = subscription.into_on_message();
        pass_on(Subscription { link: self, messages }, sender).await
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        loaded(self.send(&get(key)).await?, now)
    }

    /// Makes sure that the index keys name the session until `indexed_until`, and that a sweep looks at it when it
    /// has expired.
    async fn write_hints(
        &self,
        key: &SessionKey,
        indexed: &Indexed,
        expires_at: Timestamp,
        indexed_until: Timestamp,
    ) -> Result<(), StoreError> {
        let at = |instant: Timestamp| within_range(instant).as_millis().to_string();
        let removed_at = removed_at(indexed_until);
        let (expires_at, indexed_until) = (at(expires_at), at(indexed_until));
        let hint = |index: String, score: String, which: &'static str| {
            let removed_at = &removed_at;
            async move {
                let args: [&[u8]; 4] = [
                    key.as_bytes(),
                    score.as_bytes(),
                    which.as_bytes(),
                    removed_at.as_bytes(),
                ];
                self.call(&HINT, &index, &args).await
            }
        };
        // On one connection these are under way together.
        let subject = hint(subject_index(&indexed.subject), indexed_until.clone(), "latest");
        let expiring = hint(expiring(shard_of(key)), expires_at, "earliest");
        let sid = indexed
            .sid
            .map(|sid| hint(sid_index(&sid), indexed_until, "latest"));
        try_join_all([Some(subject), Some(expiring), sid].into_iter().flatten()).await?;
        Ok(())
    }

    async fn find(
        &self,
        index: &str,
        matches: impl Fn(&Record) -> bool,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        let mut found = HashMap::new();
        let mut entered = HashSet::new();
        loop {
            let mut all = redis::cmd("ZRANGE");
            all.arg(index).arg(0).arg(-1);
            let (mut keys, mut any_new) = (Vec::new(), false);
            for member in self.send::<Vec<Vec<u8>>>(&all).await? {
                let key = <[u8; 32]>::try_from(member)
                    .map(SessionKey::from_bytes)
                    .map_err(|_| StoreError::Corrupt("an index entry of another length"))?;
                any_new |= entered.insert(key);
                if !found.contains_key(&key) {
                    keys.push(key);
                }
            }
            let before = found.len();
            for keys in keys.chunks(FIND_BATCH) {
                let loaded = try_join_all(keys.iter().map(|key| self.load(key, now))).await?;
                for (key, record) in keys.iter().zip(loaded) {
                    if let Some(record) = record.filter(|record| matches(record)) {
                        found.insert(*key, record);
                    }
                }
                if found.len() >= FIND_LIMIT {
                    return Ok(found.into_iter().take(FIND_LIMIT).collect());
                }
            }
            // A session that moves to another key is there before it is gone here, but not before its entry is. So a look
            // that began with all entries known, and found nothing that the one before it had not, has missed nothing
            // that was there all the time.
            if !any_new && found.len() == before {
                return Ok(found.into_iter().collect());
            }
        }
    }

    /// Goes through a part of a shard.
    async fn scan(&self, Place { shard, cursor }: Place, now: Timestamp) -> Result<Scanned, StoreError> {
        let mut scan = redis::cmd("ZSCAN");
        scan.arg(expiring(shard)).arg(cursor).arg("COUNT").arg(SCAN_COUNT);
        // The members, each with its score.
        let (cursor, entries): (u64, Vec<Vec<u8>>) = self.send(&scan).await?;
        let keys = entries.chunks(2).filter_map(|entry| entry.first());
        let keys: HashSet<SessionKey> = keys
            .map(|member| <[u8; 32]>::try_from(member.as_slice()).map(SessionKey::from_bytes))
            .collect::<Result<_, _>>()
            .map_err(|_| StoreError::Corrupt("an index entry of another length"))?;
        let loaded = try_join_all(keys.iter().map(|key| self.load(key, now))).await?;
        let sessions = keys
            .iter()
            .zip(loaded)
            .filter_map(|(key, record)| Some((*key, record?)));
        let next = match cursor {
            0 => Place {
                shard: shard + 1,
                cursor,
            },
            _ => Place { shard, cursor },
        };
        Ok(Scanned {
            sessions: sessions.collect(),
            next: (next.shard < SHARDS).then(|| next.write()),
        })
    }

    /// Removes what has expired among the next sessions of a shard. Says how many it looked at, and how many of them
    /// it removed.
    async fn sweep_batch(&self, shard: u8, now: Timestamp) -> Result<(usize, u64), StoreError> {
        // Entries at the very last instant would never move on.
        let limit = now.min(LAST.minus(Duration::from_millis(1)));
        let mut due = redis::cmd("ZRANGEBYSCORE");
        due.arg(expiring(shard)).arg("-inf").arg(limit.as_millis());
        due.arg("LIMIT").arg(0).arg(SWEEP_BATCH);
        let members: Vec<Vec<u8>> = self.send(&due).await?;
        let answers = join_all(members.iter().map(async |member| {
            let key = name("session", member);
            self.call(&REMOVE_EXPIRED, &key, &[&order(now)]).await
        }))
        .await;

        let mut removed = 0;
        let mut settled = redis::cmd("ZREM");
        settled.arg(expiring(shard));
        let mut prolonged = redis::cmd("ZADD");
        prolonged.arg(expiring(shard)).arg("XX");
        let (mut any_settled, mut any_prolonged) = (false, false);
        for (member, answer) in members.iter().zip(answers) {
            match answer {
                Ok((OTHER, expires_at)) => {
                    let expires_at = Fields(&expires_at).instant(0)?;
                    prolonged.arg(within_range(expires_at).as_millis()).arg(member);
                    any_prolonged = true;
                }
                // What cannot be read is not ours to remove, and is not looked at again.
                Ok((GONE | DONE | FOREIGN, _)) | Err(StoreError::Corrupt(_)) => {
                    removed += u64::from(matches!(answer, Ok((DONE, _))));
                    settled.arg(member);
                    any_settled = true;
                }
                Ok(answer) => return Err(odd(&answer)),
                Err(error) => return Err(error),
            }
        }
        if any_settled {
            let _: Value = self.send(&settled).await?;
        }
        if any_prolonged {
            let _: Value = self.send(&prolonged).await?;
        }
        Ok((members.len(), removed))
    }
}

/// Where a walk through all sessions is: in which shard of `auth:expiring`, and the server's cursor there.
#[derive(Default)]
struct Place {
    shard: u8,
    cursor: u64,
}

impl Place {
    fn read(from: &ScanCursor) -> Result<Self, StoreError> {
        let foreign = || StoreError::Corrupt("a place in a walk that is another store's");
        let bytes: [u8; 9] = from.as_bytes().try_into().map_err(|_| foreign())?;
        let [shard, cursor @ ..] = bytes;
        let cursor = u64::from_be_bytes(cursor);
        (shard < SHARDS)
            .then_some(Self { shard, cursor })
            .ok_or_else(foreign)
    }

    fn write(&self) -> ScanCursor {
        ScanCursor::from_bytes([&[self.shard][..], &self.cursor.to_be_bytes()].concat())
    }
}

struct Subscription<'a> {
    link: &'a Link,
    messages: PubSubStream,
}

impl Channels for Subscription<'_> {
    async fn next(&mut self) -> Result<String, StoreError> {
        let message = self.messages.next().await;
        let message = message.ok_or_else(|| StoreError::unavailable(Cause::Closed))?;
        Ok(String::from_utf8_lossy(message.get_payload_bytes()).into_owned())
    }

    async fn send(&mut self, message: &str) -> Result<(), StoreError> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(self.link.channel()).arg(message);
        let _: Value = self.link.send(&publish).await?;
        Ok(())
    }
}

/// Whether the connection is of no more use: broken, silent, or to a server that is no longer the primary.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// The index keys of a record.
struct Indexed {
    subject: IndexKey,
    sid: Option<IndexKey>,
}

impl Indexed {
    fn of(record: &Record) -> Self {
        Self {
            subject: record.subject,
            sid: record.sid,
        }
    }

    /// Reads the part of a record from [`SUBJECT`] on.
    fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let fields = Fields(bytes);
        let sid = IndexKey::from_bytes(fields.bytes(SID - SUBJECT)?);
        Ok(Self {
            subject: IndexKey::from_bytes(fields.bytes(0)?),
            sid: fields.flag(HAS_SID - SUBJECT)?.then_some(sid),
        })
    }
}

// The names of keys. A hash never holds a brace, so that a cluster goes by the whole name.

fn name(kind: &str, hash: &[u8]) -> String {
    format!("auth:{kind}:{}", BASE64_URL_SAFE_NO_PAD.encode(hash))
}

fn session(key: &SessionKey) -> String {
    name("session", key.as_bytes())
}

fn subject_index(key: &IndexKey) -> String {
    name("subject", key.as_bytes())
}

fn sid_index(key: &IndexKey) -> String {
    name("sid", key.as_bytes())
}

fn claim(key: &OnceKey) -> String {
    name("once", key.as_bytes())
}

fn app_data(key: &AppDataKey) -> String {
    name("data", key.as_bytes())
}

fn expiring(shard: u8) -> String {
    format!("auth:expiring:{shard}")
}

fn shard_of(key: &SessionKey) -> u8 {
    key.as_bytes()[0] % SHARDS
}

// Instants.

/// Eight bytes that compare as the instants do.
fn order(instant: Timestamp) -> [u8; 8] {
    (instant.as_millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn from_order(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_millis((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
}

/// The nearest instant that a score and the server's expiry can hold.
fn within_range(instant: Timestamp) -> Timestamp {
    instant.clamp(Timestamp::from_millis(0), LAST)
}

/// When the server may remove what expires at this instant, as `PEXPIREAT` takes it.
fn removed_at(expires_at: Timestamp) -> String {
    within_range(expires_at).plus(MARGIN).as_millis().to_string()
}

/// Up to when index entries last that are written for a session with this expiry.
fn promise(expires_at: Timestamp) -> Timestamp {
    within_range(within_range(expires_at).plus(INDEX_AHEAD))
}

/// A lease as a record has it: its fence number, that there is one, its owner.
fn held(lease: Lease) -> Vec<u8> {
    let (fence, owner) = (lease.fence.to_be_bytes(), lease.owner.as_u128().to_be_bytes());
    [&fence[..], &[1], &owner].concat()
}

/// The length of a lease in milliseconds, small enough for exact sums in Lua.
fn lease_length(length: Duration) -> String {
    let longest = LAST.as_millis().cast_unsigned();
    let millis = u64::try_from(length.as_millis()).unwrap_or(longest);
    millis.min(longest).to_string()
}

// The layout of a session, version 1. Numbers are big-endian; instants are as `order` makes them.

const MAGIC: [u8; 4] = *b"aut\x01";
const VERSION: usize = 4;
const EXPIRES_AT: usize = 12;
const LAST_SEEN_AT: usize = 20;
const CREATED_AT: usize = 28;
// At 36 is the instant up to which the index entries last; only the scripts read it.
/// Counts on when there is no lease.
const FENCE: usize = 44;
const HAS_LEASE: usize = 52;
const LEASE_UNTIL: usize = 53;
const LEASE_OWNER: usize = 61;
const SUBJECT: usize = 77;
const HAS_SID: usize = 109;
const SID: usize = 110;
const HEAD: usize = 142;

// The layouts of a claim (then: until when) and of the app's data (then: its expiry, the data).
const ONCE_MAGIC: [u8; 4] = *b"auo\x01";
const ONCE_UNTIL: usize = 4;
const DATA_MAGIC: [u8; 4] = *b"aud\x01";
const DATA_EXPIRES_AT: usize = 4;
const DATA_HEAD: usize = 12;

pub(crate) fn encode(record: &Record, version: u64, indexed_until: Timestamp) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD + record.sealed.len());
    value.extend_from_slice(&MAGIC);
    value.extend_from_slice(&version.to_be_bytes());
    value.extend_from_slice(&order(record.expires_at));
    value.extend_from_slice(&order(record.last_seen_at));
    value.extend_from_slice(&order(record.created_at));
    value.extend_from_slice(&order(indexed_until));
    // No lease, and a fence number of 0: the scripts know better where there was one.
    value.resize(SUBJECT, 0);
    value.extend_from_slice(record.subject.as_bytes());
    value.push(u8::from(record.sid.is_some()));
    let sid = record.sid.map_or([0; 32], |sid| *sid.as_bytes());
    value.extend_from_slice(&sid);
    value.extend_from_slice(&record.sealed);
    value
}

pub(crate) fn decode(value: &[u8]) -> Result<Record, StoreError> {
    let fields = Fields::new(value, MAGIC)?;
    let lease = Lease {
        owner: LeaseOwner::from_u128(u128::from_be_bytes(fields.bytes(LEASE_OWNER)?)),
        fence: u64::from_be_bytes(fields.bytes(FENCE)?),
        until: fields.instant(LEASE_UNTIL)?,
    };
    let sid = IndexKey::from_bytes(fields.bytes(SID)?);
    Ok(Record {
        version: u64::from_be_bytes(fields.bytes(VERSION)?),
        subject: IndexKey::from_bytes(fields.bytes(SUBJECT)?),
        sid: fields.flag(HAS_SID)?.then_some(sid),
        created_at: fields.instant(CREATED_AT)?,
        last_seen_at: fields.instant(LAST_SEEN_AT)?,
        expires_at: fields.instant(EXPIRES_AT)?,
        lease: fields.flag(HAS_LEASE)?.then_some(lease),
        sealed: fields.from(HEAD)?.into(),
        opened: Opened::default(),
    })
}

/// A value with fields in fixed places.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn new(value: &'a [u8], magic: [u8; 4]) -> Result<Self, StoreError> {
        match value.first_chunk() {
            Some(found) if *found == magic => Ok(Self(value)),
            Some(found) if found[..3] == magic[..3] && found[3] > magic[3] => Err(StoreError::Corrupt(
                "it was written by a newer version of this crate",
            )),
            _ => Err(StoreError::Corrupt("it was written by something else")),
        }
    }

    fn from(&self, at: usize) -> Result<&'a [u8], StoreError> {
        self.0.get(at..).ok_or(StoreError::Corrupt("it is too short"))
    }

    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], StoreError> {
        let bytes = self.from(at)?.first_chunk();
        bytes.copied().ok_or(StoreError::Corrupt("it is too short"))
    }

    fn instant(&self, at: usize) -> Result<Timestamp, StoreError> {
        self.bytes(at).map(from_order)
    }

    fn flag(&self, at: usize) -> Result<bool, StoreError> {
        match self.bytes(at)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(StoreError::Corrupt("a flag that is neither set nor clear")),
        }
    }
}

// The scripts. Each touches one key, and answers a number and, with some, a string.

type Answer = (i64, Vec<u8>);

/// There is no such session, or it has expired.
const GONE: i64 = 0;
const DONE: i64 = 1;
/// It is other than the caller thought; with the record as it stands, or the part that differs.
const OTHER: i64 = 2;
/// Someone holds the lease; with the record.
const HELD: i64 = 3;
/// What is there is not a record of this layout; with its beginning.
const FOREIGN: i64 = -1;

fn read_answer(value: Value) -> Result<Answer, StoreError> {
    let Value::Array(parts) = value else {
        return Err(StoreError::unavailable(Cause::Answer));
    };
    let mut parts = parts.into_iter();
    match (parts.next(), parts.next()) {
        (Some(Value::Int(code)), None) => Ok((code, Vec::new())),
        (Some(Value::Int(code)), Some(Value::BulkString(bytes))) => Ok((code, bytes)),
        _ => Err(StoreError::unavailable(Cause::Answer)),
    }
}

fn done(answer: &Answer) -> Result<bool, StoreError> {
    match answer.0 {
        DONE => Ok(true),
        GONE | OTHER => Ok(false),
        _ => Err(odd(answer)),
    }
}

/// The error that an answer stands for which is none of those that the caller knows.
fn odd((code, found): &Answer) -> StoreError {
    if *code != FOREIGN {
        return StoreError::unavailable(Cause::Answer);
    }
    let magics = [MAGIC, ONCE_MAGIC, DATA_MAGIC];
    let magic = magics.into_iter().find(|magic| found.starts_with(&magic[..3]));
    match Fields::new(found, magic.unwrap_or(MAGIC)) {
        Ok(_) => StoreError::Corrupt("it is too short"),
        Err(error) => error,
    }
}

struct Script {
    code: &'static str,
    hash: String,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $($part:expr),*;)*) => {$(
        $(#[$doc])*
        static $name: LazyLock<Script> = LazyLock::new(|| {
            let code = concat!($($part),*);
            Script { code, hash: redis::Script::new(code).get_hash().to_owned() }
        });
    )*};
}

/// `less(a, b)` compares two strings of eight bytes; `millis()` is the server's clock, `bytes(n)` an instant as the
/// layout has it.
macro_rules! functions {
    () => {
        "local function less(a, b)
            local a1, a2 = struct.unpack('>I4I4', a)
            local b1, b2 = struct.unpack('>I4I4', b)
            return a1 < b1 or (a1 == b1 and a2 < b2)
        end
        local function millis()
            local time = redis.call('TIME')
            return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        end
        local function bytes(n)
            return struct.pack('>I4I4', math.floor(n / 4294967296) + 2147483648, n % 4294967296)
        end
        "
    };
}

/// Answers where there is nothing, or nothing that can be read. `$expires` is where the expiry is, from 1.
macro_rules! read {
    ($magic:literal, $length:literal, $expires:literal, $missing:literal) => {
        concat!(
            "local head = redis.call('GETRANGE', KEYS[1], 0, ",
            $length,
            " - 1)
            local there = #head > 0 or redis.call('EXISTS', KEYS[1]) == 1
            if there and (#head < ",
            $length,
            " or string.sub(head, 1, 4) ~= '",
            $magic,
            "\\1') then return {-1, head} end
            local expires = string.sub(head, ",
            $expires,
            ", ",
            $expires,
            " + 7)
            local alive = there and less(ARGV[1], expires)
            ",
            $missing,
            "
            "
        )
    };
}

/// A session that is alive.
macro_rules! live_session {
    () => {
        concat!(
            functions!(),
            read!("aut", 142, 13, "if not alive then return {0} end")
        )
    };
}

/// Data of the app that is alive.
macro_rules! live_data {
    () => {
        concat!(
            functions!(),
            read!("aud", 12, 5, "if not alive then return {0} end")
        )
    };
}

/// Writes a value over what is dead.
macro_rules! write_where_dead {
    () => {
        "if alive then return {2} end
        redis.call('SET', KEYS[1], ARGV[2])
        redis.call('PEXPIREAT', KEYS[1], ARGV[3])
        return {1}"
    };
}

/// Answers unless the session has the lease with the fence number `ARGV[2]` and the owner `ARGV[3]`.
macro_rules! held {
    () => {
        "if string.sub(head, 53, 53) ~= '\\1' or string.sub(head, 45, 52) ~= ARGV[2]
            or string.sub(head, 62, 77) ~= ARGV[3] then return {2} end
        "
    };
}

scripts! {
    /// now, value, removed at
    INSERT = functions!(), read!("aut", 142, 13, ""), write_where_dead!();

    /// now, expected version, value, removed at, the lease that is demanded or nothing
    SWAP = live_session!(), "
        local held = string.sub(head, 45, 53) .. string.sub(head, 62, 77)
        if string.sub(head, 5, 12) ~= ARGV[2] or (ARGV[5] ~= '' and held ~= ARGV[5]) then
            return {2, redis.call('GET', KEYS[1])}
        end
        redis.call('SET', KEYS[1], ARGV[3])
        redis.call('SETRANGE', KEYS[1], 44, string.sub(head, 45, 52))
        redis.call('PEXPIREAT', KEYS[1], ARGV[4])
        return {1}";

    /// now, last seen, expires, expires within range, removed at, indexed until, index keys it was indexed for
    TOUCH = live_session!(), "
        if less(expires, ARGV[3]) then
            if less(string.sub(head, 37, 44), ARGV[4]) then
                if string.sub(head, 78, 142) ~= ARGV[7] then return {2, string.sub(head, 78, 142)} end
                redis.call('SETRANGE', KEYS[1], 36, ARGV[6])
            end
            redis.call('SETRANGE', KEYS[1], 12, ARGV[3])
            redis.call('PEXPIREAT', KEYS[1], ARGV[5])
        end
        if less(string.sub(head, 21, 28), ARGV[2]) then redis.call('SETRANGE', KEYS[1], 20, ARGV[2]) end
        return {1}";

    /// now, expected version or nothing, channel, message
    DELETE = live_session!(), "
        if ARGV[2] ~= '' and string.sub(head, 5, 12) ~= ARGV[2] then return {2} end
        redis.call('DEL', KEYS[1])
        redis.pcall('PUBLISH', ARGV[3], ARGV[4])
        return {1}";

    /// now, seen version, owner, length
    ACQUIRE = live_session!(), "
        if string.sub(head, 5, 12) ~= ARGV[2] then return {2, redis.call('GET', KEYS[1])} end
        local time = millis()
        if string.sub(head, 53, 53) == '\\1' and less(bytes(time), string.sub(head, 54, 61)) then
            return {3, redis.call('GET', KEYS[1])}
        end
        local high, low = struct.unpack('>I4I4', string.sub(head, 45, 52))
        low = low + 1
        if low == 4294967296 then high, low = high + 1, 0 end
        if high == 4294967296 then return redis.error_reply('ERR fence numbers are used up') end
        local lease = struct.pack('>I4I4', high, low) .. '\\1' .. bytes(time + tonumber(ARGV[4])) .. ARGV[3]
        redis.call('SETRANGE', KEYS[1], 44, lease)
        return {1, redis.call('GET', KEYS[1])}";

    /// now, fence, owner, length
    RENEW = live_session!(), held!(), "
        redis.call('SETRANGE', KEYS[1], 53, bytes(millis() + tonumber(ARGV[4])))
        return {1}";

    /// now, fence, owner
    RELEASE = live_session!(), held!(), "
        redis.call('SETRANGE', KEYS[1], 52, string.rep('\\0', 25))
        return {1}";

    /// now
    REMOVE_EXPIRED = functions!(), read!("aut", 142, 13, ""), "
        if alive then return {2, expires} end
        if not there then return {0} end
        redis.call('UNLINK', KEYS[1])
        return {1}";

    /// now, value, removed at
    CLAIM = functions!(), read!("auo", 12, 5, ""), write_where_dead!();

    /// now, value, removed at, until
    PROLONG = functions!(), read!("auo", 12, 5, ""), "
        if alive and not less(expires, ARGV[4]) then return {2} end
        redis.call('SET', KEYS[1], ARGV[2])
        redis.call('PEXPIREAT', KEYS[1], ARGV[3])
        return {1}";

    /// now, value, removed at
    INSERT_DATA = functions!(), read!("aud", 12, 5, ""), write_where_dead!();

    /// now, value, removed at
    UPDATE_DATA = live_data!(), "
        redis.call('SET', KEYS[1], ARGV[2])
        redis.call('PEXPIREAT', KEYS[1], ARGV[3])
        return {1}";

    /// now, expires, removed at
    TOUCH_DATA = live_data!(), "
        redis.call('SETRANGE', KEYS[1], 4, ARGV[2])
        redis.call('PEXPIREAT', KEYS[1], ARGV[3])
        return {1}";

    /// now
    DELETE_DATA = live_data!(), "
        redis.call('DEL', KEYS[1])
        return {1}";

    /// Enters a session in an index: its key, the score, which of two scores counts, when the index itself may go.
    /// Entries of an index whose score is an hour old go here; `MARGIN` says why that is safe. Those of `auth:expiring` go
    /// in a sweep alone, for a session may have been prolonged beyond its score.
    HINT = functions!(), "
        local time = millis()
        if ARGV[3] == 'latest' then
            redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', time - 3600000))
        end
        local old, new = redis.call('ZSCORE', KEYS[1], ARGV[1]), tonumber(ARGV[2])
        if not old or (ARGV[3] == 'latest' and tonumber(old) < new)
            or (ARGV[3] == 'earliest' and tonumber(old) > new) then
            redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
        end
        local left = redis.call('PTTL', KEYS[1])
        if left < 0 or time + left < tonumber(ARGV[4]) then redis.call('PEXPIREAT', KEYS[1], ARGV[4]) end
        return {1}";
}

fn failed(error: RedisError) -> StoreError {
    if error.is_timeout() {
        return StoreError::Timeout;
    }
    let wrong_type = |text: Option<&str>| text.is_some_and(|text| text.contains("WRONGTYPE"));
    // Before Redis 7 the code of an error in a script is in its text.
    if wrong_type(error.code()) || wrong_type(error.detail()) {
        return StoreError::Corrupt("a key of another type");
    }
    StoreError::unavailable(match error.kind() {
        ErrorKind::Io => Cause::Io(error),
        ErrorKind::AuthenticationFailed => Cause::Refused,
        ErrorKind::RESP3NotSupported => Cause::Resp3,
        ErrorKind::InvalidClientConfig => Cause::Tls(error),
        ErrorKind::Server(ServerErrorKind::ResponseError) => Cause::Server("ERR".to_owned()),
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => Cause::Refused,
            Some(code) => Cause::Server(code.chars().filter(char::is_ascii_uppercase).collect()),
            None => Cause::Answer,
        },
    })
}

/// Why the server cannot be used. Of what a server says only the code is shown: some repeat a command that they do
/// not know, and the first command holds the password.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(
        "the URL is not one of Redis, such as redis://HOST:PORT/DATABASE (special characters in a password are \
         percent-encoded)"
    )]
    Url,
    #[error("the URL must not have a fragment")]
    Fragment,
    #[error("no connection to Redis")]
    Io(#[source] RedisError),
    #[error("TLS cannot be set up")]
    Tls(#[source] RedisError),
    #[error("Redis refuses the user name or the password, or wants one")]
    Refused,
    #[error("the server does not speak RESP3; ?protocol=resp2 in the URL asks for the older protocol")]
    Resp3,
    #[error("Redis refuses the command or the database number, with the code {0}")]
    Server(String),
    #[error("the server's answer is not one of Redis")]
    Answer,
    #[error("Redis has closed the connection")]
    Closed,
}
