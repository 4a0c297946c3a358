//! Operations per second and bytes per session of each store.
//!
//! The stores take turns, so that whatever else the machine does hits all of them. In a turn each operation has the
//! same time, on sessions that the turn has put there and takes away again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::clock::{Clock, Timestamp};
use auth_core::store::{
    Acquired, Inserted, LeaseOwner, MemoryStore, PostgresStore, RedisStore, SessionKey, SessionStore,
    SqliteStore, Swapped,
};
use auth_testing::servers::{PostgresServer, RedisServer};

use crate::Failure;
use crate::effort::Effort;
use crate::report::{Field, Table};
use crate::setup::{Directory, Template, key, sqlite_bytes, used_memory};

const ROUNDS: usize = 5;
/// How many operations are under way at once.
const CONCURRENCY: [usize; 2] = [1, 64];
/// How long each operation is repeated in a turn.
const TURN: Duration = Duration::from_millis(120);
/// How many sessions a turn inserts at most, so that a fast store needs no gigabytes.
const MOST_SESSIONS: usize = 19_200;
/// How many operations a task does before it looks at the time and lets others go on.
const AT_ONCE: usize = 8;
/// How long the sessions live.
const LIFE: Duration = Duration::from_secs(8 * 60 * 60);
const LEASE: Duration = Duration::from_secs(10);

pub(super) async fn measure(effort: Effort) -> Result<Vec<Table>, Failure> {
    let template = Template::of_a_sign_in().await?;
    let sizes = bytes_per_session(&template, effort).await?;
    Ok(vec![operations_per_second(&template, effort).await?, sizes])
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Insert,
    Load,
    Swap,
    Lease,
    Touch,
    Delete,
}

impl Operation {
    /// In the order in which a turn does them.
    const ALL: [Self; 6] = [
        Self::Insert,
        Self::Load,
        Self::Swap,
        Self::Lease,
        Self::Touch,
        Self::Delete,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Load => "load",
            Self::Swap => "compare_and_swap",
            Self::Lease => "acquire and release",
            Self::Touch => "touch",
            Self::Delete => "delete",
        }
    }
}

async fn operations_per_second(template: &Template, effort: Effort) -> Result<Table, Failure> {
    let (rounds, time) = (effort.rounds(ROUNDS), effort.time(TURN));
    let directory = Directory::new()?;
    let (redis, durable_redis) = (RedisServer::start()?, RedisServer::builder().durable().start()?);
    let postgres = PostgresServer::builder().durable().start()?;
    let file = directory.file("operations.db").display().to_string();
    let stores: [(&str, Arc<dyn SessionStore>); 5] = [
        ("memory", Arc::new(MemoryStore::new())),
        ("SQLite", Arc::new(SqliteStore::open(&file).await?)),
        ("Redis", Arc::new(RedisStore::open(&redis.url()).await?)),
        (
            "Redis, durable",
            Arc::new(RedisStore::open(&durable_redis.url()).await?),
        ),
        (
            "PostgreSQL",
            Arc::new(PostgresStore::open(&postgres.create_database()?).await?),
        ),
    ];
    // For each number of tasks, store and operation: the rates of the rounds.
    let mut rates =
        [(); CONCURRENCY.len()].map(|()| stores.each_ref().map(|_| Operation::ALL.map(|_| Vec::new())));
    let mut first_key = 0;
    // The first round does not count.
    for round in 0..=rounds {
        for (tasks, rates) in CONCURRENCY.into_iter().zip(&mut rates) {
            for ((_, store), rates) in stores.iter().zip(rates) {
                let turn = take_turn(store, template, tasks, first_key, time).await?;
                first_key += 1 << 32;
                if round > 0 {
                    for (rates, rate) in rates.iter_mut().zip(turn) {
                        rates.push(rate);
                    }
                }
            }
        }
    }

    let mut table = Table::new(
        format!(
            "Operations per second, a sealed body of {} bytes, {rounds} rounds of {} s; median (min–max), \
             and how many times those of Redis in the same round",
            template.sealed_bytes(),
            time.as_secs_f64()
        ),
        &[
            "operation",
            "store",
            "1 at a time",
            "1 at a time, to Redis",
            "64 at a time",
            "64 at a time, to Redis",
        ],
    );
    let [one, many] = &rates;
    for (number, operation) in Operation::ALL.into_iter().enumerate() {
        for (store, (name, _)) in stores.iter().enumerate() {
            let cells = [one, many].map(|rates| {
                let (own, redis) = (&rates[store][number], &rates[REDIS][number]);
                let decimals = if store == 0 { 0 } else { 2 };
                (Field::spread(own, 0), Field::ratio(own, redis, decimals))
            });
            let [(one, one_ratio), (many, many_ratio)] = cells;
            table.add([
                Field::text(operation.name()),
                Field::text(name),
                one,
                one_ratio,
                many,
                many_ratio,
            ]);
        }
    }
    Ok(table)
}

/// Where Redis stands among the stores.
const REDIS: usize = 2;

/// The rate of each operation.
async fn take_turn(
    store: &Arc<dyn SessionStore>,
    template: &Template,
    tasks: usize,
    first_key: u64,
    time: Duration,
) -> Result<[f64; Operation::ALL.len()], Failure> {
    let mut lanes: Vec<Lane> = (0..tasks as u64)
        .map(|number| Lane {
            store: Arc::clone(store),
            template: template.clone(),
            first_key: first_key + (number << 24),
            most_sessions: MOST_SESSIONS / tasks,
            sessions: Vec::new(),
            now: Clock::system().now(),
            touches: 0,
        })
        .collect();
    let mut rates = [0.0; Operation::ALL.len()];
    for (rate, operation) in rates.iter_mut().zip(Operation::ALL) {
        let began = Instant::now();
        let running: Vec<_> = lanes
            .into_iter()
            .map(|lane| tokio::spawn(lane.run(operation, began + time)))
            .collect();
        lanes = Vec::with_capacity(tasks);
        let mut done = 0;
        for task in running {
            let (lane, count) = task.await??;
            lanes.push(lane);
            done += count;
        }
        *rate = done as f64 / began.elapsed().as_secs_f64();
    }
    // What there was no time to delete.
    let rest: Vec<_> = lanes
        .into_iter()
        .map(|lane| tokio::spawn(lane.run(Operation::Delete, Instant::now() + Duration::from_secs(600))))
        .collect();
    for task in rest {
        task.await??;
    }
    Ok(rates)
}

/// A session that is in the store.
struct Known {
    number: u64,
    key: SessionKey,
    version: u64,
}

/// A task's sessions, and what it does with them.
struct Lane {
    store: Arc<dyn SessionStore>,
    template: Template,
    first_key: u64,
    most_sessions: usize,
    sessions: Vec<Known>,
    now: Timestamp,
    touches: u64,
}

impl Lane {
    /// Repeats an operation until time is up or there is nothing to do it to, and says how often.
    async fn run(mut self, operation: Operation, until: Instant) -> Result<(Self, usize), Failure> {
        let mut done = 0;
        while Instant::now() < until {
            for _ in 0..AT_ONCE {
                if !self.step(operation, done).await? {
                    return Ok((self, done));
                }
                done += 1;
            }
            tokio::task::yield_now().await;
        }
        Ok((self, done))
    }

    /// Whether there was something to do.
    async fn step(&mut self, operation: Operation, done: usize) -> Result<bool, Failure> {
        let (store, now, count) = (&self.store, self.now, self.sessions.len());
        if let Operation::Insert = operation {
            if count == self.most_sessions {
                return Ok(false);
            }
            let number = self.first_key + count as u64;
            let key = key(number);
            let record = self.template.record(number, now, LIFE);
            if store.insert(&key, record, now).await? != Inserted::Yes {
                return Err("a key is taken".into());
            }
            self.sessions.push(Known {
                number,
                key,
                version: 1,
            });
            return Ok(true);
        }
        // An odd stride, so that neighbours in time are none in the store.
        let Some(Known { number, key, version }) =
            self.sessions.get_mut(done.wrapping_mul(7_919) % count.max(1))
        else {
            return Ok(false);
        };
        let as_expected = match operation {
            Operation::Insert => true,
            Operation::Load => store.load(key, now).await?.is_some(),
            Operation::Swap => {
                let record = self.template.record(*number, now, LIFE);
                let swapped = store.compare_and_swap(key, *version, record, now).await?;
                *version += 1;
                matches!(swapped, Swapped::Yes)
            }
            Operation::Lease => {
                let owner = LeaseOwner::from_u128(7);
                match store.acquire(key, *version, owner, LEASE, now).await? {
                    Acquired::Got(record) => {
                        let lease = record.lease.ok_or("a lease without a lease")?;
                        store.release(key, &lease, now).await?;
                        true
                    }
                    _ => false,
                }
            }
            Operation::Touch => {
                self.touches += 1;
                let later = now.plus(Duration::from_millis(self.touches));
                store.touch(key, later, later.plus(LIFE), now).await?;
                true
            }
            Operation::Delete => {
                let Known { key, .. } = self.sessions.pop().ok_or("there was one just now")?;
                store.delete(&key, None, now).await?
            }
        };
        if as_expected {
            Ok(true)
        } else {
            Err(format!("{} was not done", operation.name()).into())
        }
    }
}

async fn bytes_per_session(template: &Template, effort: Effort) -> Result<Table, Failure> {
    let mut table = Table::new(
        format!(
            "Bytes per session, a sealed body of {} bytes",
            template.sealed_bytes()
        ),
        &["store", "sessions", "bytes per session", "to the sealed body"],
    );
    let mut add = |store: &str, sessions: u64, bytes: f64| {
        let each = bytes / sessions as f64;
        table.add([
            Field::text(store),
            Field::text(sessions),
            Field::Number(each, 0),
            Field::Number(each / template.sealed_bytes() as f64, 2),
        ]);
    };

    let count = effort.count(10_000) as u64;
    let directory = Directory::new()?;
    let path = directory.file("bytes.db");
    let file = path.display().to_string();
    let sqlite: Arc<dyn SessionStore> = Arc::new(SqliteStore::open(&file).await?);
    let before = std::fs::metadata(&path)?.len() as f64;
    fill(&sqlite, template, count).await?;
    drop(sqlite);
    // Whoever closes the file last moves the log into it.
    let bytes = sqlite_bytes(&path)?;
    add("SQLite (file and its log)", count, bytes - before);

    let redis = RedisServer::start()?;
    let store: Arc<dyn SessionStore> = Arc::new(RedisStore::open(&redis.url()).await?);
    let count = effort.count(100_000) as u64;
    let before = used_memory(&redis)?;
    fill(&store, template, count).await?;
    add("Redis (used_memory)", count, used_memory(&redis)? - before);

    let postgres = PostgresServer::start()?;
    let url = postgres.create_database()?;
    let name = url.split('?').next().and_then(|url| url.rsplit('/').next());
    let name = name.ok_or("a database has a name")?;
    let size = || -> Result<f64, Failure> {
        let size = postgres.sql(name, "SELECT pg_total_relation_size('auth_session')")?;
        Ok(size.trim().parse()?)
    };
    let store: Arc<dyn SessionStore> = Arc::new(PostgresStore::open(&url).await?);
    let count = effort.count(10_000) as u64;
    let before = size()?;
    fill(&store, template, count).await?;
    add("PostgreSQL (table and indexes)", count, size()? - before);
    Ok(table)
}

/// Puts the sessions with numbers below `count` into a store.
async fn fill(store: &Arc<dyn SessionStore>, template: &Template, count: u64) -> Result<(), Failure> {
    const TASKS: u64 = 64;
    let now = Clock::system().now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|first| {
            let (store, template) = (Arc::clone(store), template.clone());
            tokio::spawn(async move {
                for number in (first..count).step_by(TASKS as usize) {
                    let record = template.record(number, now, LIFE);
                    let _ = store.insert(&key(number), record, now).await?;
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
