//! The connections of a [`PostgresStore`](super::PostgresStore).
//!
//! sqlx has a pool, but not for this use. It sends a ping after each statement, in effect a second round trip, and waits
//! for its answer without a limit: when the network swallows packets, the connections that wait there are lost to the
//! pool until TCP gives up, a quarter of an hour later. And it tries a server that refuses connections again until its
//! time is up, and then says "timed out".
//!
//! This one hands out a connection as it is if it has lately been of use, and tests it first if there is doubt: it was
//! idle for a while (a firewall may have forgotten it), or since it was last used another connection broke off or
//! got no answer (the server may have started again). A connection that broke off or got no answer is not used again.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgRow, PgSeverity, Postgres,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, error::Elapsed, timeout_at};

use super::StoreError;

pub(super) type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

/// Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    options: PgConnectOptions,
    /// Whether statements have names, under which a connection keeps them. With a cache of no capacity sqlx would give
    /// them names all the same, and never let the server forget one.
    keeps_statements: bool,
    permits: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    /// The one that was used last is at the end, and is used next: what a quiet hour does not need grows old.
    idle: Vec<Idle>,
    /// When a connection last broke off or got no answer.
    doubted_at: Instant,
    /// Since when the server lets nobody in, as far as is known.
    refusing_since: Option<Instant>,
}

struct Idle {
    connection: PgConnection,
    opened_at: Instant,
    used_at: Instant,
}

impl Idle {
    fn is_doubtful(&self, doubted_at: Instant, now: Instant) -> bool {
        self.used_at <= doubted_at || now.duration_since(self.used_at) > TRUSTED_FOR
    }
}

/// A connection that is out of the pool. Dropped, it is closed; [`Pool::finish`] gives it back.
struct Held {
    connection: PgConnection,
    opened_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// Opens no connection yet.
    pub(super) fn new(options: PgConnectOptions, keeps_statements: bool) -> Self {
        Self(Arc::new(Shared {
            options,
            keeps_statements,
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            state: Mutex::new(State {
                idle: Vec::with_capacity(CONNECTIONS),
                doubted_at: Instant::now(),
                refusing_since: None,
            }),
        }))
    }

    /// How a connection is opened.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.0.options
    }

    /// Puts a connection in that was opened elsewhere.
    pub(super) fn add(&self, connection: PgConnection) {
        let now = Instant::now();
        self.state().idle.push(Idle {
            connection,
            opened_at: now,
            used_at: now,
        });
    }

    /// Runs a statement and says how many rows it changed.
    pub(super) async fn execute(&self, query: Query, deadline: Instant) -> Result<u64, Failure> {
        let mut held = self.take(deadline).await?;
        let query = query.persistent(self.0.keeps_statements);
        let answer = timeout_at(deadline, query.execute(&mut held.connection)).await;
        Ok(self.finish(held, answer)?.rows_affected())
    }

    /// Runs a statement and gives its rows, once it is committed.
    pub(super) async fn rows(&self, query: Query, deadline: Instant) -> Result<Vec<PgRow>, Failure> {
        let mut held = self.take(deadline).await?;
        let query = query.persistent(self.0.keeps_statements);
        let answer = timeout_at(deadline, query.fetch_all(&mut held.connection)).await;
        self.finish(held, answer)
    }

    /// [`rows`](Self::rows) for a statement that only reads: where the connection breaks off, once more on another.
    pub(super) async fn read(
        &self,
        query: impl Fn() -> Query,
        deadline: Instant,
    ) -> Result<Vec<PgRow>, Failure> {
        match self.rows(query(), deadline).await {
            Err(Failure::Lost(_)) => self.rows(query(), deadline).await,
            answer => answer,
        }
    }

    async fn take(&self, deadline: Instant) -> Result<Held, Failure> {
        let permit = timeout_at(deadline, Arc::clone(&self.0.permits).acquire_owned())
            .await
            .map_err(|_| Failure::Timeout)?
            // The semaphore is never closed.
            .map_err(|closed| Failure::Other(sqlx::Error::Io(io::Error::other(closed))))?;
        while let Some((mut idle, doubtful)) = self.pop() {
            if doubtful {
                let limit = deadline.min(Instant::now() + TEST_TIMEOUT);
                match timeout_at(limit, idle.connection.ping()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => continue,
                    // Nothing comes back. The others in doubt are no better, and would cost as much time each.
                    Err(_) => {
                        self.forget_doubtful();
                        continue;
                    }
                }
            }
            // What is sent after the deadline would be done, and said not to be known.
            if Instant::now() >= deadline {
                return Err(Failure::Timeout);
            }
            return Ok(Held {
                connection: idle.connection,
                opened_at: idle.opened_at,
                _permit: permit,
            });
        }
        let connection = timeout_at(deadline.min(Instant::now() + CONNECT_TIMEOUT), self.connect())
            .await
            .map_err(|_| Failure::Timeout)??;
        Ok(Held {
            connection,
            opened_at: Instant::now(),
            _permit: permit,
        })
    }

    fn forget_doubtful(&self) {
        let mut state = self.state();
        let (doubted_at, now) = (state.doubted_at, Instant::now());
        state.idle.retain(|idle| !idle.is_doubtful(doubted_at, now));
    }

    /// The connection that was used last, and whether it has to be tested.
    fn pop(&self) -> Option<(Idle, bool)> {
        let mut state = self.state();
        let now = Instant::now();
        state.idle.retain(|idle| {
            now.duration_since(idle.used_at) < IDLE_TIMEOUT && now.duration_since(idle.opened_at) < LIFETIME
        });
        let idle = state.idle.pop()?;
        let doubtful = idle.is_doubtful(state.doubted_at, now);
        Some((idle, doubtful))
    }

    /// Opens a connection. A server that has just begun to refuse them is given a moment: it may be starting again.
    async fn connect(&self) -> Result<PgConnection, Failure> {
        loop {
            match PgConnection::connect_with(&self.0.options).await {
                Ok(connection) => {
                    self.state().refusing_since = None;
                    return Ok(connection);
                }
                Err(error) if is_refusal(&error) => {
                    let since = *self.state().refusing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > PATIENCE {
                        return Err(Failure::Other(error));
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(Failure::from(error)),
            }
        }
    }

    /// Takes the connection back if it is still of use.
    fn finish<T>(&self, held: Held, answer: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, Failure> {
        let answer = match answer {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(Failure::Timeout),
        };
        let mut state = self.state();
        let now = Instant::now();
        match answer {
            Ok(_) | Err(Failure::Cancelled | Failure::Other(_)) => state.idle.push(Idle {
                connection: held.connection,
                opened_at: held.opened_at,
                used_at: now,
            }),
            Err(Failure::Timeout | Failure::Lost(_)) => state.doubted_at = now,
        }
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic halfway through a change runs under the lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a statement has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// There was none in time.
    Timeout,
    /// The server broke it off as it took too long. The connection is in order.
    Cancelled,
    /// The connection broke off or is of no use; whether the statement was carried out is not known.
    Lost(sqlx::Error),
    /// The server refused it. The connection is in order.
    Other(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = database_error(&error) else {
            return Self::Lost(error);
        };
        match (database.severity(), database.code()) {
            // query_canceled, lock_not_available
            (PgSeverity::Error, "57014" | "55P03") => Self::Cancelled,
            // read_only_sql_transaction: the server is no longer the one that takes changes.
            (PgSeverity::Error, "25006") => Self::Lost(error),
            (PgSeverity::Error, _) => Self::Other(error),
            // The server ends the connection, mostly as it ends itself.
            _ => Self::Lost(error),
        }
    }
}

impl Failure {
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Timeout | Self::Cancelled => StoreError::Timeout,
            // numeric_value_out_of_range: a fence number that nobody has counted up to.
            Self::Other(error) if database_error(&error).is_some_and(|error| error.code() == "22003") => {
                StoreError::Corrupt("a number out of range")
            }
            Self::Lost(error) | Self::Other(error) => StoreError::unavailable(error),
        }
    }
}

pub(super) fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Whether there is no server that lets anyone in at present, but may be soon.
fn is_refusal(error: &sqlx::Error) -> bool {
    match error {
        // A socket's file is missing while its server is down.
        sqlx::Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::ConnectionReset
        ),
        // cannot_connect_now, too_many_connections
        error => database_error(error).is_some_and(|error| matches!(error.code(), "57P03" | "53300")),
    }
}

/// At most so many connections: a statement takes less than a millisecond, so that ten carry thousands in a second.
pub(super) const CONNECTIONS: usize = 10;

/// How long it may take to open a connection, TLS and password included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the server may refuse connections, as it does while it starts again, before that is an error at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection that was used within this time is not tested.
const TRUSTED_FOR: Duration = Duration::from_secs(30);

const TEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Shorter than the time after which load balancers forget a connection (240 s and more).
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);

/// So that a change of addresses or of settings gets everywhere.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
