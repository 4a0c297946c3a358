//! Sessions in an SQLite file.
//!
//! # Durability
//!
//! The file is in WAL mode with `synchronous=FULL`: what a call has said is done survives a crash of the process and
//! a loss of power. `NORMAL` would survive the crash only. The power cut would then bring back sessions that a user or
//! the provider had ended, forget which logout tokens were used, and lose refresh tokens that the provider has
//! rotated. Sessions change seldom (a sign-in, a sign-out, a refresh in an hour), so one `fsync` for each change is a
//! fair price.
//!
//! # Threads
//!
//! All work runs on a thread of the store's own. An sqlx pool gives a connection back in a task on the runtime where
//! it was used; were that an actix worker that computes for a second, every other worker would wait for the only
//! writer that long. It also means that a request that is dropped does not break off a write.
//!
//! # Notices
//!
//! A session that ends in this process is told of at once. Of other processes SQLite says only that one has changed the
//! file (`PRAGMA data_version`, which reads no page of it): while somebody listens, the store looks once a second, on a
//! connection of its own, and has the listener look at its sessions after each change.

use std::convert::Infallible;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, Row, Sqlite, SqliteConnection};

use super::app_data::{AppDataKey, AppDataStore};
use super::notices::{Listeners, keep_listening};
use super::worker::{OPERATION_TIMEOUT, Worker};
use super::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, Notice, NoticeSender, Notices, OnceKey, Opened, Record,
    SCAN_PAGE, ScanCursor, Scanned, SessionKey, SessionStore, StoreError, Swapped,
};
use crate::clock::Timestamp;

/// Keeps sessions in an SQLite file, which several processes of one machine may share.
///
/// The file is the store's own: a database that holds anything else is refused. Tokens in it are sealed, and the
/// identifiers that browsers hold are not in it. On Unix a new file belongs to its owner alone (mode 0600).
///
/// Each operation is done or failed within 5 seconds.
///
/// ```no_run
/// # async fn example() -> Result<(), auth_core::store::StoreError> {
/// use auth_core::store::SqliteStore;
///
/// let store = SqliteStore::open("/var/lib/app/sessions.db").await?;
/// # Ok(()) }
/// ```
pub struct SqliteStore {
    pools: Pools,
    worker: Worker,
    listeners: Arc<Listeners>,
}

impl SqliteStore {
    /// Opens the file at `path`, and makes it where there is none. The directory must exist. A file of an older layout is
    /// brought up to date, and keeps its sessions; older versions of this crate do not open it any more then.
    ///
    /// `":memory:"` is a database of this store alone that ends with it, for tests.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the file cannot be opened, is not an SQLite database, is the database of
    /// something else, or was written by a newer version of this crate; the error's source says which.
    /// [`StoreError::Timeout`] when another process keeps the file locked.
    pub async fn open(path: &str) -> Result<Self, StoreError> {
        let location = Location::parse(path)?;
        let worker = Worker::start()?;
        let pools = worker
            .run_within_time(async move { Pools::open(&location).await })
            .await?;
        Ok(Self {
            pools,
            worker,
            listeners: Arc::default(),
        })
    }

    /// Runs `operation` on the store's thread, to its end even where the caller goes away.
    async fn run<T, F>(&self, operation: impl FnOnce(Pools) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.worker.run_within_time(operation(self.pools.clone())).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

/// The columns that [`record`] reads.
macro_rules! columns {
    () => {
        "key, version, subject, sid, created_at, last_seen_at, expires_at, \
         fence, lease_owner, lease_until, sealed"
    };
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        let key = *key;
        let done = self
            .run(async move |pools: Pools| {
                sqlx::query(
                    "INSERT INTO session (key, version, subject, sid, created_at, last_seen_at, expires_at, sealed) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                     ON CONFLICT (key) DO UPDATE SET version = ?2, subject = ?3, sid = ?4, created_at = ?5, \
                     last_seen_at = ?6, expires_at = ?7, sealed = ?8, fence = 0, lease_owner = NULL, lease_until = NULL \
                     WHERE session.expires_at <= ?9",
                )
                .bind(&key.as_bytes()[..])
                .bind(record.version.cast_signed())
                .bind(&record.subject.as_bytes()[..])
                .bind(record.sid.as_ref().map(|sid| &sid.as_bytes()[..]))
                .bind(record.created_at.as_millis())
                .bind(record.last_seen_at.as_millis())
                .bind(record.expires_at.as_millis())
                .bind(&record.sealed[..])
                .bind(now.as_millis())
                .execute(&pools.write)
                .await
                .map_err(failed)
            })
            .await?;
        Ok(match done.rows_affected() {
            0 => Inserted::Taken,
            _ => Inserted::Yes,
        })
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let key = *key;
        self.run(async move |pools: Pools| {
            let mut connection = pools.read.acquire().await.map_err(failed)?;
            select(&mut connection, &key, now).await
        })
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
        self.run(async move |pools: Pools| {
            let mut connection = pools.writer().await?;
            loop {
                let done = sqlx::query(
                    "UPDATE session SET version = ?1, subject = ?2, sid = ?3, created_at = ?4, last_seen_at = ?5, \
                     expires_at = ?6, sealed = ?7, lease_owner = NULL, lease_until = NULL \
                     WHERE key = ?8 AND version = ?9 AND expires_at > ?10 \
                     AND (?11 IS NULL OR (lease_owner = ?11 AND fence = ?12))",
                )
                .bind(expected.wrapping_add(1).cast_signed())
                .bind(&record.subject.as_bytes()[..])
                .bind(record.sid.as_ref().map(|sid| &sid.as_bytes()[..]))
                .bind(record.created_at.as_millis())
                .bind(record.last_seen_at.as_millis())
                .bind(record.expires_at.as_millis())
                .bind(&record.sealed[..])
                .bind(&key.as_bytes()[..])
                .bind(expected.cast_signed())
                .bind(now.as_millis())
                .bind(demanded.map(|lease| lease.owner.as_u128().to_be_bytes().to_vec()))
                .bind(demanded.map(|lease| lease.fence.cast_signed()))
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
                if done.rows_affected() > 0 {
                    return Ok(Swapped::Yes);
                }
                match select(&mut connection, &key, now).await? {
                    None => return Ok(Swapped::Gone),
                    Some(found) if found.version != expected || !found.has(demanded) => {
                        return Ok(Swapped::Newer(found));
                    }
                    // Another process made the session between the two statements.
                    Some(_) => {}
                }
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
        self.run(async move |pools: Pools| {
            sqlx::query(
                "UPDATE session SET last_seen_at = max(last_seen_at, ?1), expires_at = max(expires_at, ?2) \
                 WHERE key = ?3 AND expires_at > ?4 AND (last_seen_at < ?1 OR expires_at < ?2)",
            )
            .bind(last_seen_at.as_millis())
            .bind(expires_at.as_millis())
            .bind(&key.as_bytes()[..])
            .bind(now.as_millis())
            .execute(&pools.write)
            .await
            .map_err(failed)
        })
        .await?;
        Ok(())
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = *key;
        let listeners = Arc::clone(&self.listeners);
        self.run(async move |pools: Pools| {
            let done = sqlx::query(
                "DELETE FROM session WHERE key = ?1 AND expires_at > ?2 AND (?3 IS NULL OR version = ?3)",
            )
            .bind(&key.as_bytes()[..])
            .bind(now.as_millis())
            .bind(expected.map(u64::cast_signed))
            .execute(&pools.write)
            .await
            .map_err(failed)?;
            let was_there = done.rows_affected() > 0;
            if was_there {
                listeners.tell(&key);
            }
            Ok(was_there)
        })
        .await
    }

    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.find(
            concat!(
                "SELECT ",
                columns!(),
                " FROM session WHERE subject = ?1 AND expires_at > ?2 LIMIT 1000"
            ),
            *subject,
            now,
        )
        .await
    }

    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.find(
            concat!(
                "SELECT ",
                columns!(),
                " FROM session WHERE sid = ?1 AND expires_at > ?2 LIMIT 1000"
            ),
            *sid,
            now,
        )
        .await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        let from = from.map(ScanCursor::key).transpose()?;
        self.run(async move |pools: Pools| {
            let rows = sqlx::query(concat!(
                "SELECT ",
                columns!(),
                " FROM session WHERE key > ?1 AND expires_at > ?2 ORDER BY key LIMIT ?3"
            ))
            // Every key is longer than nothing.
            .bind(from.map_or_else(Vec::new, |key| key.as_bytes().to_vec()))
            .bind(now.as_millis())
            .bind(i64::try_from(SCAN_PAGE).unwrap_or(i64::MAX))
            .fetch_all(&pools.read)
            .await
            .map_err(failed)?;
            Scanned::by_key(rows.iter().map(record))
        })
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
        self.run(async move |pools: Pools| {
            let mut connection = pools.writer().await?;
            loop {
                // `fetch_all`, not `fetch_optional`: that one stops at the first row, before the statement is
                // committed, and would hide a commit that fails.
                let rows = sqlx::query(concat!(
                    "UPDATE session SET fence = fence + 1, lease_owner = ?1, lease_until = ?2 \
                     WHERE key = ?3 AND version = ?4 AND expires_at > ?5 \
                     AND (lease_until IS NULL OR lease_until <= ?5) RETURNING ",
                    columns!()
                ))
                .bind(&owner.as_u128().to_be_bytes()[..])
                .bind(now.plus(length).as_millis())
                .bind(&key.as_bytes()[..])
                .bind(seen.cast_signed())
                .bind(now.as_millis())
                .fetch_all(&mut *connection)
                .await
                .map_err(failed)?;
                if let Some(row) = rows.first() {
                    return Ok(Acquired::Got(Arc::new(record(row)?.1)));
                }
                match select(&mut connection, &key, now).await? {
                    None => return Ok(Acquired::Gone),
                    Some(found) if found.version != seen => return Ok(Acquired::Newer(found)),
                    Some(found) if found.lease.is_some_and(|lease| lease.until > now) => {
                        return Ok(Acquired::Held(found));
                    }
                    // Another process gave the lease back between the two statements.
                    Some(_) => {}
                }
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
        let done = self
            .run(async move |pools: Pools| {
                sqlx::query(
                    "UPDATE session SET lease_until = ?1 \
                     WHERE key = ?2 AND expires_at > ?3 AND lease_owner = ?4 AND fence = ?5",
                )
                .bind(now.plus(length).as_millis())
                .bind(&key.as_bytes()[..])
                .bind(now.as_millis())
                .bind(&lease.owner.as_u128().to_be_bytes()[..])
                .bind(lease.fence.cast_signed())
                .execute(&pools.write)
                .await
                .map_err(failed)
            })
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let (key, lease) = (*key, *lease);
        self.run(async move |pools: Pools| {
            sqlx::query(
                "UPDATE session SET lease_owner = NULL, lease_until = NULL \
                 WHERE key = ?1 AND expires_at > ?2 AND lease_owner = ?3 AND fence = ?4",
            )
            .bind(&key.as_bytes()[..])
            .bind(now.as_millis())
            .bind(&lease.owner.as_u128().to_be_bytes()[..])
            .bind(lease.fence.cast_signed())
            .execute(&pools.write)
            .await
            .map_err(failed)
        })
        .await?;
        Ok(())
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let key = *key;
        let done = self
            .run(async move |pools: Pools| {
                sqlx::query(
                    "INSERT INTO once (key, until) VALUES (?1, ?2) \
                     ON CONFLICT (key) DO UPDATE SET until = ?2 WHERE once.until <= ?3",
                )
                .bind(&key.as_bytes()[..])
                .bind(until.as_millis())
                .bind(now.as_millis())
                .execute(&pools.write)
                .await
                .map_err(failed)
            })
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, _: Timestamp) -> Result<(), StoreError> {
        let key = *key;
        self.run(async move |pools: Pools| {
            sqlx::query(
                "INSERT INTO once (key, until) VALUES (?1, ?2) \
                 ON CONFLICT (key) DO UPDATE SET until = ?2 WHERE once.until < ?2",
            )
            .bind(&key.as_bytes()[..])
            .bind(until.as_millis())
            .execute(&pools.write)
            .await
            .map_err(failed)
        })
        .await?;
        Ok(())
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let key = *key;
        self.run(async move |pools: Pools| {
            let until: Option<i64> =
                sqlx::query_scalar("SELECT until FROM once WHERE key = ?1 AND until > ?2")
                    .bind(&key.as_bytes()[..])
                    .bind(now.as_millis())
                    .fetch_optional(&pools.read)
                    .await
                    .map_err(failed)?;
            Ok(until.map(Timestamp::from_millis))
        })
        .await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.delete_in_batches(
            "DELETE FROM once WHERE key IN (SELECT key FROM once WHERE until <= ?1 LIMIT ?2)",
            now,
        )
        .await?;
        self.delete_in_batches(
            "DELETE FROM app_data WHERE key IN (SELECT key FROM app_data WHERE expires_at <= ?1 LIMIT ?2)",
            now,
        )
        .await?;
        self.delete_in_batches(
            "DELETE FROM session WHERE key IN (SELECT key FROM session WHERE expires_at <= ?1 LIMIT ?2)",
            now,
        )
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run(async move |pools: Pools| {
            // Reads the file's first page and takes a read lock, as a real query does.
            sqlx::query("PRAGMA user_version")
                .fetch_one(&pools.read)
                .await
                .map_err(failed)
        })
        .await?;
        Ok(())
    }

    fn notices(&self) -> Option<Notices> {
        let (sender, notices) = self.listeners.add();
        if self.pools.is_shared {
            let options = self.pools.read.connect_options();
            self.worker.spawn(keep_listening(sender, move |sender| {
                let options = Arc::clone(&options);
                async move {
                    let Err(error) = follow(&options, &sender).await;
                    failed(error)
                }
            }));
        } else {
            sender.send(Notice::Listening);
        }
        Some(notices)
    }

    fn system(&self) -> Option<&'static str> {
        Some("sqlite")
    }

    fn app_data(&self) -> Option<&dyn AppDataStore> {
        Some(self)
    }
}

#[async_trait]
impl AppDataStore for SqliteStore {
    async fn insert_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, StoreError> {
        let key = *key;
        let done = self
            .run(async move |pools: Pools| {
                sqlx::query(
                    "INSERT INTO app_data (key, data, expires_at) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (key) DO UPDATE SET data = ?2, expires_at = ?3 WHERE app_data.expires_at <= ?4",
                )
                .bind(&key.as_bytes()[..])
                .bind(&data[..])
                .bind(expires_at.as_millis())
                .bind(now.as_millis())
                .execute(&pools.write)
                .await
                .map_err(failed)
            })
            .await?;
        Ok(match done.rows_affected() {
            0 => Inserted::Taken,
            _ => Inserted::Yes,
        })
    }

    async fn load_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<Option<Arc<[u8]>>, StoreError> {
        let key = *key;
        self.run(async move |pools: Pools| {
            let row = sqlx::query("SELECT data FROM app_data WHERE key = ?1 AND expires_at > ?2")
                .bind(&key.as_bytes()[..])
                .bind(now.as_millis())
                .fetch_optional(&pools.read)
                .await
                .map_err(failed)?;
            row.map(|row| read::<&[u8]>(&row, "data").map(Arc::from))
                .transpose()
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
        let done = self
            .run(async move |pools: Pools| {
                sqlx::query(
                    "UPDATE app_data SET data = ?1, expires_at = ?2 WHERE key = ?3 AND expires_at > ?4",
                )
                .bind(&data[..])
                .bind(expires_at.as_millis())
                .bind(&key.as_bytes()[..])
                .bind(now.as_millis())
                .execute(&pools.write)
                .await
                .map_err(failed)
            })
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn touch_app_data(
        &self,
        key: &AppDataKey,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = *key;
        let done = self
            .run(async move |pools: Pools| {
                sqlx::query("UPDATE app_data SET expires_at = ?1 WHERE key = ?2 AND expires_at > ?3")
                    .bind(expires_at.as_millis())
                    .bind(&key.as_bytes()[..])
                    .bind(now.as_millis())
                    .execute(&pools.write)
                    .await
                    .map_err(failed)
            })
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError> {
        let key = *key;
        let done = self
            .run(async move |pools: Pools| {
                sqlx::query("DELETE FROM app_data WHERE key = ?1 AND expires_at > ?2")
                    .bind(&key.as_bytes()[..])
                    .bind(now.as_millis())
                    .execute(&pools.write)
                    .await
                    .map_err(failed)
            })
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

impl SqliteStore {
    async fn find(
        &self,
        sql: &'static str,
        index: IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.run(async move |pools: Pools| {
            let rows = sqlx::query(sql)
                .bind(&index.as_bytes()[..])
                .bind(now.as_millis())
                .fetch_all(&pools.read)
                .await
                .map_err(failed)?;
            rows.iter()
                .map(|row| record(row).map(|(key, record)| (key, Arc::new(record))))
                .collect()
        })
        .await
    }

    /// Deletes in small steps, so that nobody waits long for the writer.
    async fn delete_in_batches(&self, sql: &'static str, now: Timestamp) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let done = self
                .run(async move |pools: Pools| {
                    sqlx::query(sql)
                        .bind(now.as_millis())
                        .bind(SWEEP_BATCH)
                        .execute(&pools.write)
                        .await
                        .map_err(failed)
                })
                .await?
                .rows_affected();
            deleted += done;
            if done < u64::from(SWEEP_BATCH) {
                return Ok(deleted);
            }
        }
    }
}

/// How long SQLite waits for another process to finish its write. Shorter than [`OPERATION_TIMEOUT`], so that a wait
/// that fails leaves the connection in order.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// How often the file is looked at for changes of other processes, while somebody listens.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Connections that only read. WAL lets them go on while the writer writes.
const READERS: u32 = 4;

const SWEEP_BATCH: u32 = 500;

/// Where the database is.
enum Location {
    Memory,
    File(PathBuf),
}

impl Location {
    fn parse(path: &str) -> Result<Self, StoreError> {
        if path == ":memory:" {
            return Ok(Self::Memory);
        }
        // Connections are opened later, too, when the working directory may be another; and SQLite would read a
        // relative path that starts with `file:` as a URI.
        let path = std::path::absolute(path).map_err(StoreError::unavailable)?;
        Ok(Self::File(path))
    }
}

/// The connections of a store.
#[derive(Clone)]
struct Pools {
    /// One connection, as SQLite has one writer at a time: tasks of this process queue here in order, and only
    /// those of other processes meet in SQLite's lock.
    write: SqlitePool,
    /// The same as `write` where the database is in memory: it exists in one connection only.
    read: SqlitePool,
    /// Whether there is a file, which other processes may have open.
    is_shared: bool,
}

impl Pools {
    async fn open(location: &Location) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .busy_timeout(BUSY_TIMEOUT)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .disable_statement_logging();
        match location {
            Location::Memory => {
                let write = pool(1).connect_lazy_with(options.filename(":memory:"));
                prepare(&write).await.map_err(|error| error.at(":memory:"))?;
                let read = write.clone();
                Ok(Self {
                    write,
                    read,
                    is_shared: false,
                })
            }
            Location::File(path) => {
                create(path).map_err(|error| OpenError::Io(error).at(path))?;
                let options = options.filename(path);
                let write = pool(1).connect_lazy_with(options.clone());
                prepare(&write).await.map_err(|error| error.at(path))?;
                let read = pool(READERS).connect_lazy_with(options.read_only(true));
                Ok(Self {
                    write,
                    read,
                    is_shared: true,
                })
            }
        }
    }

    async fn writer(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.write.acquire().await.map_err(failed)
    }
}

/// Tells the listener whenever somebody has changed the file, until that cannot be said any more.
async fn follow(options: &SqliteConnectOptions, sender: &NoticeSender) -> Result<Infallible, sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    let mut seen = None;
    loop {
        // Another number than the last one where another connection has changed something.
        let found: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut connection)
            .await?;
        if seen.replace(found) != Some(found) {
            sender.send(Notice::Listening);
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(OPERATION_TIMEOUT)
        // A connection to a file does not age, and the one to a database in memory must not close.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Makes the file where there is none, readable by its owner alone. SQLite gives the files that it puts beside it the
/// same mode. The mode of a file that exists is its owner's choice.
fn create(path: &Path) -> io::Result<()> {
    // To close a file takes away all POSIX locks that the process has on it, those of SQLite too. So a file that
    // exists is not opened here, and a new one is closed before another thread can find it.
    static CREATING: Mutex<()> = Mutex::new(());
    let _creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);

    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Checks whose database it is, and makes the tables that are missing: all of them where it is empty, or those that an
/// older version of this crate did not have.
async fn prepare(pool: &SqlitePool) -> Result<(), OpenError> {
    let mut connection = pool.acquire().await?;

    // Until the database is known to be ours nothing in it is changed, its journal mode included.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let application_id: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *transaction)
        .await?;
    let version: i32 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await?;
    let objects: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *transaction)
        .await?;
    let missing = match (application_id, version) {
        (0, 0) if objects == 0 => SCHEMA,
        (APPLICATION_ID, found) => usize::try_from(found)
            .ok()
            .filter(|found| *found > 0)
            .and_then(|found| SCHEMA.get(found..))
            .ok_or(OpenError::Version { found })?,
        _ => return Err(OpenError::Foreign),
    };
    for step in missing {
        transaction.execute(*step).await?;
    }
    transaction.commit().await?;

    // SQLite's busy timeout does not cover this change. Two processes that open a new file at once meet here; the
    // time-out of the whole operation bounds the loop.
    while let Err(error) = connection.execute("PRAGMA journal_mode = WAL").await {
        if !is_busy(&error) {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// "auth" in ASCII: marks a database as the session store of this crate.
const APPLICATION_ID: i32 = 0x6175_7468;

const SCHEMA_VERSION: usize = SCHEMA.len();

/// The steps to the layout of this version: a database of version `n` has had the first `n` of them.
///
/// Instants are milliseconds since 1970-01-01T00:00:00Z. Unsigned numbers are stored as the signed ones of the same
/// bits. `fence` counts on when there is no lease.
const SCHEMA: &[&str] = &[
    "
    CREATE TABLE session (
        key          BLOB PRIMARY KEY NOT NULL,
        version      INTEGER NOT NULL,
        subject      BLOB NOT NULL,
        sid          BLOB,
        created_at   INTEGER NOT NULL,
        last_seen_at INTEGER NOT NULL,
        expires_at   INTEGER NOT NULL,
        fence        INTEGER NOT NULL DEFAULT 0,
        lease_owner  BLOB,
        lease_until  INTEGER,
        sealed       BLOB NOT NULL,
        CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
    ) STRICT;
    CREATE INDEX session_subject ON session (subject);
    CREATE INDEX session_sid ON session (sid) WHERE sid IS NOT NULL;
    CREATE INDEX session_expires_at ON session (expires_at);

    CREATE TABLE once (
        key   BLOB PRIMARY KEY NOT NULL,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX once_until ON once (until);

    PRAGMA application_id = 0x61757468;
    PRAGMA user_version = 1;
    ",
    "
    CREATE TABLE app_data (
        key        BLOB PRIMARY KEY NOT NULL,
        data       BLOB NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX app_data_expires_at ON app_data (expires_at);

    PRAGMA user_version = 2;
    ",
];

async fn select(
    connection: &mut SqliteConnection,
    key: &SessionKey,
    now: Timestamp,
) -> Result<Option<Arc<Record>>, StoreError> {
    let row = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM session WHERE key = ?1 AND expires_at > ?2"
    ))
    .bind(&key.as_bytes()[..])
    .bind(now.as_millis())
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    row.map(|row| record(&row).map(|(_, record)| Arc::new(record)))
        .transpose()
}

/// Reads a row of [`columns`].
fn record(row: &SqliteRow) -> Result<(SessionKey, Record), StoreError> {
    let timestamp = |column| Ok(Timestamp::from_millis(read(row, column)?));
    let owner = bytes(read(row, "lease_owner")?)?;
    let until: Option<i64> = read(row, "lease_until")?;
    let lease = match owner.zip(until) {
        Some((owner, until)) => Some(Lease {
            owner: LeaseOwner::from_u128(u128::from_be_bytes(owner)),
            fence: read::<i64>(row, "fence")?.cast_unsigned(),
            until: Timestamp::from_millis(until),
        }),
        None => None,
    };
    let record = Record {
        version: read::<i64>(row, "version")?.cast_unsigned(),
        subject: IndexKey::from_bytes(required(bytes(read(row, "subject")?)?)?),
        sid: bytes(read(row, "sid")?)?.map(IndexKey::from_bytes),
        created_at: timestamp("created_at")?,
        last_seen_at: timestamp("last_seen_at")?,
        expires_at: timestamp("expires_at")?,
        lease,
        sealed: read::<&[u8]>(row, "sealed")?.into(),
        opened: Opened::default(),
    };
    let key = SessionKey::from_bytes(required(bytes(read(row, "key")?)?)?);
    Ok((key, record))
}

fn read<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(column).map_err(|_| StoreError::Corrupt(column))
}

fn bytes<const N: usize>(value: Option<&[u8]>) -> Result<Option<[u8; N]>, StoreError> {
    value
        .map(<[u8; N]>::try_from)
        .transpose()
        .map_err(|_| StoreError::Corrupt("a key of another length"))
}

fn required<T>(value: Option<T>) -> Result<T, StoreError> {
    value.ok_or(StoreError::Corrupt("a key that is missing"))
}

fn failed(error: sqlx::Error) -> StoreError {
    if matches!(error, sqlx::Error::PoolTimedOut) || is_busy(&error) {
        StoreError::Timeout
    } else {
        StoreError::unavailable(error)
    }
}

/// Whether another connection kept the database locked for too long.
fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and SQLITE_LOCKED
    matches!(result_code(error), Some(5 | 6))
}

/// SQLite's primary result code, <https://www.sqlite.org/rescode.html>.
fn result_code(error: &sqlx::Error) -> Option<u32> {
    let extended: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("cannot make the file")]
    Io(#[source] io::Error),
    #[error("the file is not an SQLite database")]
    NotADatabase,
    #[error("the database belongs to another application")]
    Foreign,
    #[error("the database has the layout {found}, this version knows {SCHEMA_VERSION}")]
    Version { found: i32 },
    #[error("SQLite cannot open it")]
    Sqlite(#[source] sqlx::Error),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        match result_code(&error) {
            // SQLITE_NOTADB
            Some(26) => Self::NotADatabase,
            _ => Self::Sqlite(error),
        }
    }
}

impl OpenError {
    fn at(self, path: impl AsRef<Path>) -> StoreError {
        match self {
            Self::Sqlite(error) if is_busy(&error) => StoreError::Timeout,
            reason => StoreError::unavailable(OpenErrorAt {
                path: path.as_ref().to_owned(),
                reason,
            }),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot open the session store {}", path.display())]
struct OpenErrorAt {
    path: PathBuf,
    #[source]
    reason: OpenError,
}
