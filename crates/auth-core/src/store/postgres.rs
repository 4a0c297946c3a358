//! Sessions in a PostgreSQL database.
//!
//! # Tables
//!
//! They are named `auth_session`, `auth_once`, `auth_app_data` and `auth_schema`, and lie where the connection's
//! `search_path` says: in the schema `public` if nobody has said anything. Names with a prefix, and not a schema of their own,
//! as a role can often make tables but no schema, and the obvious name for one (`auth`) is taken in some hosted
//! databases. `?options=-csearch_path%3Dsessions` in the URL puts them elsewhere.
//!
//! # Round trips
//!
//! Each operation is one statement, and one round trip: what has to know the record as it stands after a change that
//! was refused reads it in the same statement. There is one more when a statement is used for the first time on a
//! connection (it is prepared then), when a connection was idle for half a minute or another has failed since it was
//! last used (it is tested then), and where two callers change one record at the same instant.
//!
//! A statement sees the database as it was when the statement began, but changes a row as it is by then. So a change that was
//! refused may come with a row that it should not have been refused for; then the statement is run again.
//!
//! # Clocks
//!
//! Whether a session or a claim has ended goes by the caller's clock, as the contract demands. Leases go by the
//! server's (`clock_timestamp()`, not `now()`, which stands still in a transaction): clocks of application servers that
//! disagree do not give one lease to two of them. [`Lease::until`] is the server's time.
//!
//! # Durability
//!
//! What a call has said is done survives a crash of the server and a loss of power with `synchronous_commit` at `on`,
//! PostgreSQL's default. Where an administrator has set it to `off`, a crash loses the last half second or so:
//! sessions that had ended are back, used logout tokens are forgotten, and refresh tokens that the provider has
//! rotated are lost. With `remote_apply` or a quorum of standbys the same holds for a failover; with standbys that lag
//! behind, a failover loses what they had not got.
//!
//! # Notices
//!
//! The statement that deletes a session tells its key with `pg_notify`, on the channel `auth_ended_` and the number
//! (`oid`) of the table, for channels are common to all schemas of a database. A server that cannot do that is asked to
//! delete all the same. While somebody listens, the store has one more connection for `LISTEN`. Behind a proxy that
//! pools by transaction (PgBouncer's transaction mode) nothing comes in there; the store finds that out, as it sends
//! itself a message from time to time, says that it does not hear, and is asked.
//!
//! # Threads
//!
//! All work runs on a thread of the store's own, as in the SQLite store and for the same reason.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgRow, Postgres};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::time::{Instant, timeout};
use url::Url;

use super::app_data::{AppDataKey, AppDataStore};
use super::notices::{Channels, keep_listening, pass_on};
use super::worker::{OPERATION_TIMEOUT, Worker};
use super::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, NoticeSender, Notices, OnceKey, Opened, Record,
    SCAN_PAGE, ScanCursor, Scanned, SessionKey, SessionStore, StoreError, Swapped,
};
use crate::clock::Timestamp;

mod pool;

use pool::{Failure, Pool, Query, database_error};

/// Keeps sessions in a PostgreSQL database (14 or later), which any number of machines may share.
///
/// Tokens in it are sealed, and the identifiers that browsers hold are not in it. The tables may lie in the
/// application's own database.
///
/// Each operation is done or failed within 5 seconds, on one of at most 10 connections; there is one more while
/// somebody waits for the end of a session. When the server starts again, reads
/// that were under way are made again; a change that was under way is an error, as nobody knows whether it was made.
///
/// # The URL
///
/// `postgres://ROLE:PASSWORD@HOST:PORT/DATABASE`, with a password and a name percent-encoded. `?host=/var/run/postgresql`
/// names the directory of a Unix socket. What the URL leaves out is taken from `PGHOST`, `PGUSER`, `PGPASSWORD` and
/// their like, and from the password file.
///
/// Across a network use `?sslmode=verify-full`, with `&sslrootcert=/path/ca.pem` for an authority that is not a public one.
/// The default, `prefer`, encrypts where the server can, and does not check who it is.
///
/// Through PgBouncer: in its transaction mode statements that are prepared need 1.21 or later with
/// `max_prepared_statements` above 0, or `?statement-cache-capacity=0` here, which costs a second round trip each time and
/// is safe in its session mode only; and PgBouncer must have `ignore_startup_parameters = options`, for the store sets
/// `statement_timeout` (4 s), `default_transaction_isolation` and `idle_in_transaction_session_timeout` there. Set
/// the first for the role then (`ALTER ROLE … SET statement_timeout = '4s'`).
///
/// # Rights
///
/// [`open`](Self::open) makes the tables where they are missing, and changes those of an older version; several instances
/// may start at once. Where the application's role may not do that, run [`migrate`](Self::migrate) with the
/// owner's before each deployment, and once
///
/// ```sql
/// GRANT SELECT, INSERT, UPDATE, DELETE ON auth_session, auth_once, auth_app_data TO app;
/// GRANT SELECT ON auth_schema TO app;
/// ```
///
/// ```no_run
/// # async fn example() -> Result<(), auth_core::store::StoreError> {
/// use auth_core::store::PostgresStore;
///
/// let store = PostgresStore::open("postgres://app:secret@db.example/app?sslmode=verify-full").await?;
/// # Ok(()) }
/// ```
pub struct PostgresStore {
    pool: Pool,
    worker: Worker,
}

impl PostgresStore {
    /// The tables as SQL, for those who would rather have their own tool run it, in one transaction, than
    /// [`migrate`](Self::migrate).
    pub const SCHEMA: &'static str = include_str!("postgres/schema.sql");

    /// Connects, and makes the tables where they are missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the URL cannot be read, the server cannot be reached or lets the role not in, the
    /// tables are missing and the role may not make them, the role lacks rights on them, or they were made by a newer
    /// version of this crate; the error's source says which, and holds nothing of the URL.
    /// [`StoreError::Timeout`] when the server does not answer within 5 seconds.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = options(url, Limits::Operation).map_err(OpenError::at_open)?;
        let keeps_statements = keeps_statements(url);
        let worker = Worker::start()?;
        let pool = worker
            .run_within_time(async move {
                let mut connection = connect(&options).await.map_err(OpenError::at_open)?;
                prepare(&mut connection).await.map_err(OpenError::at_open)?;
                check_rights(&mut connection).await.map_err(OpenError::at_open)?;
                let pool = Pool::new(options, keeps_statements);
                pool.add(connection);
                Ok(pool)
            })
            .await?;
        Ok(Self { pool, worker })
    }

    /// Makes the tables where they are missing, changes those of an older version, and does nothing where they are
    /// up to date: to be run with the role that shall own them, from a command of the application, say. It may take as
    /// long as it takes. It is one transaction, so all is done or nothing, also where the future is dropped.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use auth_core::store::PostgresStore;
    ///
    /// if std::env::args().nth(1).as_deref() == Some("migrate") {
    ///     PostgresStore::migrate(&std::env::var("AUTH_STORE_OWNER")?).await?;
    ///     return Ok(());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), but for its limit of 5 seconds; nothing is changed then.
    pub async fn migrate(url: &str) -> Result<(), StoreError> {
        let options = options(url, Limits::None).map_err(OpenError::at_open)?;
        let worker = Worker::start()?;
        worker
            .run(async move {
                let mut connection = connect(&options).await.map_err(OpenError::at_open)?;
                prepare(&mut connection).await.map_err(OpenError::at_open)
            })
            .await
    }

    /// Runs a statement that changes something; gives the number of rows.
    async fn execute(&self, query: Query) -> Result<u64, StoreError> {
        let pool = self.pool.clone();
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        self.worker
            .run(async move {
                pool.execute(query, deadline)
                    .await
                    .map_err(Failure::into_store_error)
            })
            .await
    }

    /// Runs a statement that reads, and gives what `decode` makes of its rows.
    async fn read<T: Send + 'static>(
        &self,
        query: impl Fn() -> Query + Send + Sync + 'static,
        decode: impl FnOnce(Vec<PgRow>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let pool = self.pool.clone();
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        self.worker
            .run(async move {
                decode(
                    pool.read(query, deadline)
                        .await
                        .map_err(Failure::into_store_error)?,
                )
            })
            .await
    }

    /// Runs a statement that changes something or says why not, until `decode` has an answer in its rows.
    async fn settle<T: Send + 'static>(
        &self,
        query: impl Fn() -> Query + Send + Sync + 'static,
        decode: impl Fn(Vec<PgRow>) -> Result<Option<T>, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let pool = self.pool.clone();
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        self.worker
            .run(async move {
                // Each further turn means that someone else has changed the row meanwhile. The deadline bounds them.
                loop {
                    let rows = pool
                        .rows(query(), deadline)
                        .await
                        .map_err(Failure::into_store_error)?;
                    if let Some(answer) = decode(rows)? {
                        return Ok(answer);
                    }
                }
            })
            .await
    }

    async fn find(
        &self,
        sql: &'static str,
        index: IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.read(
            move || sqlx::query(sql).bind(*index.as_bytes()).bind(now.as_millis()),
            |rows| {
                rows.iter()
                    .map(|row| record(row).map(|(key, record)| (key, Arc::new(record))))
                    .collect()
            },
        )
        .await
    }

    /// Deletes in small steps, so that nobody waits long for a row.
    async fn delete_in_batches(&self, sql: &'static str, now: Timestamp) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let done = self
                .execute(sqlx::query(sql).bind(now.as_millis()).bind(SWEEP_BATCH))
                .await?;
            deleted += done;
            if done < SWEEP_BATCH.unsigned_abs() {
                return Ok(deleted);
            }
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// The columns that [`record`] reads.
macro_rules! columns {
    () => {
        "key, version, subject, sid, created_at, last_seen_at, expires_at, \
         fence, lease_owner, lease_until, sealed"
    };
}

/// The channel on which ends are told.
macro_rules! channel {
    () => {
        "'auth_ended_' || 'auth_session'::regclass::oid::text"
    };
}

macro_rules! delete {
    () => {
        "DELETE FROM auth_session WHERE key = $1 AND expires_at > $2 AND ($3 IS NULL OR version = $3)"
    };
}

const DELETE_AND_TELL: &str = concat!(
    "WITH deleted AS (",
    delete!(),
    " RETURNING key) SELECT pg_notify(",
    channel!(),
    ", $4) FROM deleted"
);

const DELETE: &str = concat!(delete!(), " RETURNING $4::text");

/// The server's time. A number of any size, so that what is added to it does not overflow.
macro_rules! server_now {
    () => {
        "floor(extract(epoch FROM clock_timestamp())::numeric * 1000)"
    };
}

/// The end of a lease whose length is the statement's `$2`; the last instant there is where that would overflow.
macro_rules! lease_end {
    () => {
        concat!("LEAST(", server_now!(), " + $2, 9223372036854775807)::bigint")
    };
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        let changed = self
            .execute(
                sqlx::query(
                    "INSERT INTO auth_session \
                     (key, version, subject, sid, created_at, last_seen_at, expires_at, sealed) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                     ON CONFLICT (key) DO UPDATE SET version = $2, subject = $3, sid = $4, created_at = $5, \
                     last_seen_at = $6, expires_at = $7, sealed = $8, fence = 0, lease_owner = NULL, lease_until = NULL \
                     WHERE auth_session.expires_at <= $9",
                )
                .bind(*key.as_bytes())
                .bind(record.version.cast_signed())
                .bind(*record.subject.as_bytes())
                .bind(record.sid.map(|sid| *sid.as_bytes()))
                .bind(record.created_at.as_millis())
                .bind(record.last_seen_at.as_millis())
                .bind(record.expires_at.as_millis())
                .bind(&record.sealed[..])
                .bind(now.as_millis()),
            )
            .await?;
        Ok(inserted(changed))
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let key = *key;
        self.read(
            move || {
                sqlx::query(concat!(
                    "SELECT ",
                    columns!(),
                    " FROM auth_session WHERE key = $1 AND expires_at > $2"
                ))
                .bind(*key.as_bytes())
                .bind(now.as_millis())
            },
            |rows| {
                let row = rows.first();
                row.map(|row| Ok(Arc::new(record(row)?.1))).transpose()
            },
        )
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
        self.settle(
            move || {
                // One row if there is a session or the swap was made, but no body that nobody will read.
                sqlx::query(concat!(
                    "WITH swapped AS (UPDATE auth_session SET version = $1, subject = $2, sid = $3, created_at = $4, \
                     last_seen_at = $5, expires_at = $6, sealed = $7, lease_owner = NULL, lease_until = NULL \
                     WHERE key = $8 AND version = $9 AND expires_at > $10 \
                     AND ($11::bytea IS NULL OR (lease_owner = $11 AND fence = $12)) RETURNING key) \
                     SELECT true AS done, key, NULL::bigint AS version, NULL::bytea AS subject, NULL::bytea AS sid, \
                     NULL::bigint AS created_at, NULL::bigint AS last_seen_at, NULL::bigint AS expires_at, \
                     NULL::bigint AS fence, NULL::bytea AS lease_owner, NULL::bigint AS lease_until, \
                     NULL::bytea AS sealed FROM swapped \
                     UNION ALL SELECT false, ",
                    columns!(),
                    " FROM auth_session WHERE key = $8 AND expires_at > $10 AND NOT EXISTS (SELECT FROM swapped)"
                ))
                .bind(expected.wrapping_add(1).cast_signed())
                .bind(*record.subject.as_bytes())
                .bind(record.sid.map(|sid| *sid.as_bytes()))
                .bind(record.created_at.as_millis())
                .bind(record.last_seen_at.as_millis())
                .bind(record.expires_at.as_millis())
                .bind(&record.sealed[..])
                .bind(*key.as_bytes())
                .bind(expected.cast_signed())
                .bind(now.as_millis())
                .bind(demanded.map(|lease| lease.owner.as_u128().to_be_bytes()))
                .bind(demanded.map(|lease| lease.fence.cast_signed()))
            },
            move |rows| {
                let Some(row) = rows.first() else {
                    return Ok(Some(Swapped::Gone));
                };
                if read(row, "done")? {
                    return Ok(Some(Swapped::Yes));
                }
                let (_, found) = self::record(row)?;
                let is_other = found.version != expected || !found.has(demanded);
                Ok(is_other.then(|| Swapped::Newer(Arc::new(found))))
            },
        )
        .await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE auth_session \
                 SET last_seen_at = GREATEST(last_seen_at, $1), expires_at = GREATEST(expires_at, $2) \
                 WHERE key = $3 AND expires_at > $4 AND (last_seen_at < $1 OR expires_at < $2)",
            )
            .bind(last_seen_at.as_millis())
            .bind(expires_at.as_millis())
            .bind(*key.as_bytes())
            .bind(now.as_millis()),
        )
        .await?;
        Ok(())
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (key, pool) = (*key, self.pool.clone());
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        let query = move |sql| {
            sqlx::query(sql)
                .bind(*key.as_bytes())
                .bind(now.as_millis())
                .bind(expected.map(u64::cast_signed))
                .bind(key.to_string())
        };
        self.worker
            .run(async move {
                let deleted = match pool.rows(query(DELETE_AND_TELL), deadline).await {
                    // Nothing was done. Perhaps it is the telling that the server cannot do or does not allow.
                    Err(Failure::Other(_)) => pool.rows(query(DELETE), deadline).await,
                    deleted => deleted,
                };
                Ok(!deleted.map_err(Failure::into_store_error)?.is_empty())
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
                " FROM auth_session WHERE subject = $1 AND expires_at > $2 LIMIT 1000"
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
                " FROM auth_session WHERE sid = $1 AND expires_at > $2 LIMIT 1000"
            ),
            *sid,
            now,
        )
        .await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        let from = from.map(ScanCursor::key).transpose()?;
        self.read(
            move || {
                sqlx::query(concat!(
                    "SELECT ",
                    columns!(),
                    " FROM auth_session WHERE key > $1 AND expires_at > $2 ORDER BY key LIMIT $3"
                ))
                // Every key is longer than nothing.
                .bind(from.map_or_else(Vec::new, |key| key.as_bytes().to_vec()))
                .bind(now.as_millis())
                .bind(i64::try_from(SCAN_PAGE).unwrap_or(i64::MAX))
            },
            |rows| Scanned::by_key(rows.iter().map(record)),
        )
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
        self.settle(
            move || {
                sqlx::query(concat!(
                    "WITH taken AS (UPDATE auth_session SET fence = fence + 1, lease_owner = $1, lease_until = ",
                    lease_end!(),
                    " WHERE key = $3 AND version = $4 AND expires_at > $5 \
                     AND (lease_until IS NULL OR lease_until <= ",
                    server_now!(),
                    ") RETURNING ",
                    columns!(),
                    ") SELECT true AS done, false AS alive, ",
                    columns!(),
                    " FROM taken UNION ALL SELECT false, lease_until IS NOT NULL AND lease_until > ",
                    server_now!(),
                    ", ",
                    columns!(),
                    " FROM auth_session WHERE key = $3 AND expires_at > $5 AND NOT EXISTS (SELECT FROM taken)"
                ))
                .bind(owner.as_u128().to_be_bytes())
                .bind(millis(length))
                .bind(*key.as_bytes())
                .bind(seen.cast_signed())
                .bind(now.as_millis())
            },
            move |rows| {
                let Some(row) = rows.first() else {
                    return Ok(Some(Acquired::Gone));
                };
                let found = Arc::new(record(row)?.1);
                Ok(if read(row, "done")? {
                    Some(Acquired::Got(found))
                } else if found.version != seen {
                    Some(Acquired::Newer(found))
                } else if read(row, "alive")? {
                    Some(Acquired::Held(found))
                } else {
                    None
                })
            },
        )
        .await
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewed = self
            .execute(
                sqlx::query(concat!(
                    "UPDATE auth_session SET lease_until = ",
                    lease_end!(),
                    " WHERE key = $1 AND expires_at > $3 AND lease_owner = $4 AND fence = $5"
                ))
                .bind(*key.as_bytes())
                .bind(millis(length))
                .bind(now.as_millis())
                .bind(lease.owner.as_u128().to_be_bytes())
                .bind(lease.fence.cast_signed()),
            )
            .await?;
        Ok(renewed > 0)
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE auth_session SET lease_owner = NULL, lease_until = NULL \
                 WHERE key = $1 AND expires_at > $2 AND lease_owner = $3 AND fence = $4",
            )
            .bind(*key.as_bytes())
            .bind(now.as_millis())
            .bind(lease.owner.as_u128().to_be_bytes())
            .bind(lease.fence.cast_signed()),
        )
        .await?;
        Ok(())
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let claimed = self
            .execute(
                sqlx::query(
                    "INSERT INTO auth_once (key, until) VALUES ($1, $2) \
                     ON CONFLICT (key) DO UPDATE SET until = $2 WHERE auth_once.until <= $3",
                )
                .bind(*key.as_bytes())
                .bind(until.as_millis())
                .bind(now.as_millis()),
            )
            .await?;
        Ok(claimed > 0)
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, _: Timestamp) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO auth_once (key, until) VALUES ($1, $2) \
                 ON CONFLICT (key) DO UPDATE SET until = $2 WHERE auth_once.until < $2",
            )
            .bind(*key.as_bytes())
            .bind(until.as_millis()),
        )
        .await?;
        Ok(())
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let key = *key;
        self.read(
            move || {
                sqlx::query("SELECT until FROM auth_once WHERE key = $1 AND until > $2")
                    .bind(*key.as_bytes())
                    .bind(now.as_millis())
            },
            |rows| {
                let row = rows.first();
                row.map(|row| read(row, "until").map(Timestamp::from_millis))
                    .transpose()
            },
        )
        .await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        // Rows that another instance sweeps or changes are left to it: nobody waits, so nobody waits in a circle.
        // `ARRAY(…)` and not `IN (…)`, which a plan may evaluate more than once, each time for other rows.
        self.delete_in_batches(
            "DELETE FROM auth_once WHERE key = ANY (ARRAY(\
             SELECT key FROM auth_once WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now,
        )
        .await?;
        self.delete_in_batches(
            "DELETE FROM auth_app_data WHERE key = ANY (ARRAY(\
             SELECT key FROM auth_app_data WHERE expires_hour <= $1 / 3600000 AND expires_at <= $1 \
             LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now,
        )
        .await?;
        self.delete_in_batches(
            "DELETE FROM auth_session WHERE key = ANY (ARRAY(\
             SELECT key FROM auth_session WHERE expires_hour <= $1 / 3600000 AND expires_at <= $1 \
             LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now,
        )
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|| sqlx::query("SELECT version FROM auth_schema"), |_| Ok(()))
            .await
    }

    fn notices(&self) -> Option<Notices> {
        let (sender, notices) = Notices::channel();
        let pool = self.pool.clone();
        self.worker.spawn(keep_listening(sender, move |sender| {
            let pool = pool.clone();
            async move {
                let Err(error) = listen(pool, &sender).await;
                error
            }
        }));
        Some(notices)
    }

    fn system(&self) -> Option<&'static str> {
        Some("postgresql")
    }

    fn app_data(&self) -> Option<&dyn AppDataStore> {
        Some(self)
    }
}

#[async_trait]
impl AppDataStore for PostgresStore {
    async fn insert_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, StoreError> {
        let changed = self
            .execute(
                sqlx::query(
                    "INSERT INTO auth_app_data (key, data, expires_at) VALUES ($1, $2, $3) \
                     ON CONFLICT (key) DO UPDATE SET data = $2, expires_at = $3 WHERE auth_app_data.expires_at <= $4",
                )
                .bind(*key.as_bytes())
                .bind(&data[..])
                .bind(expires_at.as_millis())
                .bind(now.as_millis()),
            )
            .await?;
        Ok(inserted(changed))
    }

    async fn load_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<Option<Arc<[u8]>>, StoreError> {
        let key = *key;
        self.read(
            move || {
                sqlx::query("SELECT data FROM auth_app_data WHERE key = $1 AND expires_at > $2")
                    .bind(*key.as_bytes())
                    .bind(now.as_millis())
            },
            |rows| {
                let row = rows.first();
                row.map(|row| Ok(read::<&[u8]>(row, "data")?.into())).transpose()
            },
        )
        .await
    }

    async fn update_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let updated = self
            .execute(
                sqlx::query(
                    "UPDATE auth_app_data SET data = $2, expires_at = $3 WHERE key = $1 AND expires_at > $4",
                )
                .bind(*key.as_bytes())
                .bind(&data[..])
                .bind(expires_at.as_millis())
                .bind(now.as_millis()),
            )
            .await?;
        Ok(updated > 0)
    }

    async fn touch_app_data(
        &self,
        key: &AppDataKey,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let touched = self
            .execute(
                sqlx::query("UPDATE auth_app_data SET expires_at = $2 WHERE key = $1 AND expires_at > $3")
                    .bind(*key.as_bytes())
                    .bind(expires_at.as_millis())
                    .bind(now.as_millis()),
            )
            .await?;
        Ok(touched > 0)
    }

    async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError> {
        let deleted = self
            .execute(
                sqlx::query("DELETE FROM auth_app_data WHERE key = $1 AND expires_at > $2")
                    .bind(*key.as_bytes())
                    .bind(now.as_millis()),
            )
            .await?;
        Ok(deleted > 0)
    }
}

/// Tells what other instances tell, until nothing comes any more.
async fn listen(pool: Pool, sender: &NoticeSender) -> Result<Infallible, StoreError> {
    let failed = |error: sqlx::Error| Failure::from(error).into_store_error();
    let subscription = async {
        // sqlx wants a pool for it. A connection that breaks off is not made again here.
        let connection = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(pool::CONNECT_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(pool.options().clone());
        let mut listener = PgListener::connect_with(&connection).await?;
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        let channel: String = sqlx::query_scalar(concat!("SELECT ", channel!()))
            .persistent(false)
            .fetch_one(&mut listener)
            .await?;
        listener.listen(&channel).await?;
        Ok(listener)
    };
    let listener = timeout(OPERATION_TIMEOUT, subscription)
        .await
        .map_err(|_| StoreError::Timeout)?
        .map_err(failed)?;
    pass_on(Subscription { pool, listener }, sender).await
}

struct Subscription {
    pool: Pool,
    listener: PgListener,
}

impl Channels for Subscription {
    async fn next(&mut self) -> Result<String, StoreError> {
        match self.listener.try_recv().await {
            Ok(Some(message)) => Ok(message.payload().to_owned()),
            Ok(None) => Err(StoreError::unavailable("PostgreSQL has closed the connection")),
            Err(error) => Err(Failure::from(error).into_store_error()),
        }
    }

    async fn send(&mut self, message: &str) -> Result<(), StoreError> {
        let notify = sqlx::query(concat!("SELECT pg_notify(", channel!(), ", $1)")).bind(message.to_owned());
        let sent = self.pool.rows(notify, Instant::now() + OPERATION_TIMEOUT).await;
        sent.map_err(Failure::into_store_error)?;
        Ok(())
    }
}

const SWEEP_BATCH: i64 = 500;

/// The server breaks a statement off after this time, waiting for a row included. Shorter than [`OPERATION_TIMEOUT`],
/// so that a wait that fails leaves the connection in order.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);

/// What an instance that hangs in the middle of making tables may cost the others.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

enum Limits {
    /// Those of an operation of the store.
    Operation,
    None,
}

fn options(url: &str, limits: Limits) -> Result<PgConnectOptions, OpenError> {
    let url = without_foreign_parameters(url)?;
    let mut options = PgConnectOptions::from_url(&url).map_err(|_| OpenError::Url)?;
    if options.get_application_name().is_none() {
        options = options.application_name("auth-core");
    }
    if matches!(limits, Limits::Operation) {
        options = options.options([("statement_timeout", STATEMENT_TIMEOUT.as_millis())]);
    }
    Ok(options
        // A parameter that is of no use here, and that PgBouncer refuses.
        .extra_float_digits(None)
        .options([(
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
        )])
        // Statements that wait for each other would fail in a stricter one.
        .options([("default_transaction_isolation", "read committed")])
        .disable_statement_logging())
}

/// Whether the URL leaves the cache of prepared statements on. (The options do not tell, and would panic on some hosts if
/// asked for their URL.)
fn keeps_statements(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        let mut parameters = url.query_pairs();
        !parameters.any(|(name, value)| name == "statement-cache-capacity" && value.parse() == Ok(0_usize))
    })
}

/// The URL without the parameters that sqlx does not know. It would log their values, and a misspelt password is one.
fn without_foreign_parameters(url: &str) -> Result<Url, OpenError> {
    let mut url = Url::parse(url).map_err(|_| OpenError::Url)?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(OpenError::Url);
    }
    let mut known = Vec::new();
    for (name, value) in url.query_pairs() {
        if PARAMETERS.contains(&&*name) || name.starts_with("options[") {
            known.push((name.into_owned(), value.into_owned()));
        } else if name.starts_with("ssl") {
            // Whoever asks for a check must not go without.
            return Err(OpenError::Parameter);
        } else {
            tracing::warn!("the session store's URL has a parameter that is not known here; it is ignored");
        }
    }
    url.set_query(None);
    if !known.is_empty() {
        url.query_pairs_mut().extend_pairs(known);
    }
    Ok(url)
}

/// What [`PgConnectOptions`] takes from a URL.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, OpenError> {
    timeout(pool::CONNECT_TIMEOUT, PgConnection::connect_with(options))
        .await
        .map_err(|_| OpenError::Silent)?
        .map_err(OpenError::Connect)
}

/// Makes the tables where they are missing. Where they are up to date it changes nothing and needs no right to.
async fn prepare(connection: &mut PgConnection) -> Result<(), OpenError> {
    if is_current(connection).await? {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    // Of several instances that start at once one makes the tables; the others wait here until it has, then look again.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await?;
    if !is_current(&mut transaction).await? {
        sqlx::raw_sql(PostgresStore::SCHEMA)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Whether the tables are there, in the layout that this version knows.
async fn is_current(connection: &mut PgConnection) -> Result<bool, OpenError> {
    // Not `to_regclass`: within a transaction it remembers that the table was not there, whatever others have committed
    // while this one waited for its turn.
    let found: bool = sqlx::query_scalar(
        "SELECT count(*) > 0 FROM pg_catalog.pg_class WHERE relname = 'auth_schema' AND pg_table_is_visible(oid)",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !found {
        return Ok(false);
    }
    let version: Option<i32> = sqlx::query_scalar("SELECT version FROM auth_schema")
        .fetch_optional(&mut *connection)
        .await?;
    match version {
        Some(SCHEMA_VERSION) => Ok(true),
        Some(found) => Err(OpenError::Version { found }),
        None => Err(OpenError::Version { found: 0 }),
    }
}

async fn check_rights(connection: &mut PgConnection) -> Result<(), OpenError> {
    let all: bool = sqlx::query_scalar(
        "SELECT bool_and(has_table_privilege(t, p)) \
         FROM unnest(ARRAY['auth_session', 'auth_once', 'auth_app_data']) AS t, \
         unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p",
    )
    .fetch_one(connection)
    .await?;
    if all { Ok(()) } else { Err(OpenError::Rights) }
}

const SCHEMA_VERSION: i32 = 1;

/// "authcore" in ASCII.
const MIGRATION_LOCK: i64 = 0x6175_7468_636f_7265;

/// Reads a row of [`columns`].
fn record(row: &PgRow) -> Result<(SessionKey, Record), StoreError> {
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

fn read<'r, T>(row: &'r PgRow, column: &'static str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
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

fn inserted(changed: u64) -> Inserted {
    match changed {
        0 => Inserted::Taken,
        _ => Inserted::Yes,
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// Why a database was not opened.
///
/// No text in here is taken from the URL, as a password in it may end up anywhere if a character is not
/// percent-encoded.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("the URL cannot be read; it is postgres://ROLE:PASSWORD@HOST:PORT/DATABASE")]
    Url,
    #[error(
        "the URL has a parameter `ssl…` that is not known here; TLS is set by sslmode, sslrootcert, sslcert and sslkey"
    )]
    Parameter,
    #[error("the server does not answer")]
    Silent,
    #[error("cannot connect")]
    Connect(#[source] sqlx::Error),
    #[error("the tables have the layout {found}, this version knows {SCHEMA_VERSION}")]
    Version { found: i32 },
    #[error(
        "the tables are missing and the role may not make them; run PostgresStore::migrate with a role that may"
    )]
    MayNotMigrate(#[source] sqlx::Error),
    #[error(
        "the role needs SELECT, INSERT, UPDATE and DELETE on auth_session, auth_once and auth_app_data, and SELECT \
         on auth_schema"
    )]
    Rights,
    #[error("PostgreSQL refuses it")]
    Sqlx(#[source] sqlx::Error),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        match database_error(&error).map(|error| (error.code(), error.message())) {
            // insufficient_privilege
            Some(("42501", message)) if message.contains("auth_") => Self::Rights,
            // insufficient_privilege, invalid_schema_name
            Some(("42501" | "3F000", _)) => Self::MayNotMigrate(error),
            _ => Self::Sqlx(error),
        }
    }
}

impl OpenError {
    fn at_open(self) -> StoreError {
        match self {
            Self::Silent => StoreError::Timeout,
            Self::Sqlx(error) => match Failure::from(error) {
                Failure::Lost(error) | Failure::Other(error) => {
                    StoreError::unavailable(Opening(Self::Sqlx(error)))
                }
                Failure::Timeout | Failure::Cancelled => StoreError::Timeout,
            },
            reason => StoreError::unavailable(Opening(reason)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot open the session store")]
struct Opening(#[source] OpenError);
