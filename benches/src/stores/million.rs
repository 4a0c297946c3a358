//! Ten thousand sessions beside a million: what they take, and what one request costs among them.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auth_core::clock::{Clock, Timestamp};
use auth_core::secret::SessionId;
use auth_core::store::{Inserted, MemoryStore, Opened, Record, RedisStore, SessionStore};
use auth_core::{Auth, SecretKeys};
use auth_testing::DevProvider;
use auth_testing::servers::RedisServer;

use crate::report::{Field, Spread, Table, quantile};
use crate::setup::{Numbers, Shared, Template, key, resident_bytes, used_memory};
use crate::{Failure, world};

const FEW: u64 = 10_000;
const MANY: u64 = 1_000_000;
/// How many sessions sign in for real, for `authenticate` opens only what was sealed for it.
const REAL: usize = 2_000;
/// Few and many take turns this often…
const TURNS: usize = 80;
/// …each with this many operations.
const IN_A_TURN: usize = 500;
/// How many sweeps of each kind.
const SWEEPS: u64 = 10;
/// How many sessions have expired at each of the sweeps that find some.
const EXPIRED: u64 = 50_000;
/// How long the sessions live that no sweep takes away.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) async fn measure() -> Result<Vec<Table>, Failure> {
    let template = Template::of_a_sign_in().await?;
    let mut tables = Tables::new(&template);
    in_memory(&template, &mut tables).await?;
    in_redis(&template, &mut tables).await?;
    Ok(vec![tables.sizes, tables.times, tables.sweeps])
}

struct Tables {
    sizes: Table,
    times: Table,
    sweeps: Table,
}

impl Tables {
    fn new(template: &Template) -> Self {
        Self {
            sizes: Table::new(
                format!("Size, a sealed body of {} bytes", template.sealed_bytes()),
                &[
                    "store",
                    "sessions",
                    "megabytes",
                    "bytes per session",
                    "inserts per second",
                    "longest insert, ms",
                ],
            ),
            times: Table::new(
                format!(
                    "Time of one call, {} calls each; microseconds. The ratio is that of the medians of {TURNS} turns",
                    TURNS * IN_A_TURN
                ),
                &["store", "call", "sessions", "median", "p99", "ratio of medians"],
            ),
            sweeps: Table::new(
                format!(
                    "A sweep of a million sessions in memory, {SWEEPS} of each kind; milliseconds, median (min–max). \
                     A thread loads (and every twentieth time touches) without a pause meanwhile"
                ),
                &[
                    "sweep",
                    "whole sweep",
                    "longest load",
                    "p99.9 of loads",
                    "longest touch",
                    "longest wait of a task on the sweeping thread",
                ],
            ),
        }
    }

    fn add_size(&mut self, store: &str, sessions: u64, bytes: f64, filled: &Filled) {
        self.sizes.add([
            Field::text(store),
            Field::text(sessions),
            Field::Number(bytes / 1e6, 1),
            Field::Number(bytes / sessions as f64, 0),
            Field::Number(sessions as f64 / filled.took.as_secs_f64(), 0),
            Field::Number(filled.longest.as_secs_f64() * 1e3, 2),
        ]);
    }

    fn add_times(&mut self, store: &str, call: &str, few: Calls, many: Calls) {
        let ratio = Spread::of_ratios(&many.medians(), &few.medians());
        for (sessions, calls, ratio) in [(FEW, few, Field::text("")), (MANY, many, Field::Spread(ratio, 2))] {
            let mut nanos = calls.turns.concat();
            nanos.sort_unstable();
            self.times.add([
                Field::text(store),
                Field::text(call),
                Field::text(sessions),
                Field::Number(quantile(&nanos, 0.5) / 1e3, 2),
                Field::Number(quantile(&nanos, 0.99) / 1e3, 2),
                ratio,
            ]);
        }
    }
}

/// Nanoseconds of each call in each turn.
#[derive(Default)]
struct Calls {
    turns: Vec<Vec<u64>>,
}

impl Calls {
    fn medians(&self) -> Vec<f64> {
        let median = |turn: &Vec<u64>| {
            let mut sorted = turn.clone();
            sorted.sort_unstable();
            quantile(&sorted, 0.5)
        };
        self.turns.iter().map(median).collect()
    }
}

async fn in_memory(template: &Template, tables: &mut Tables) -> Result<(), Failure> {
    let now = Clock::system().now();
    // The records expire in groups, one for each sweep that is to find some. The rest outlives the measurement.
    let life = |number: u64| match number / EXPIRED {
        group if group < SWEEPS => HOUR * u32::try_from(group + 1).unwrap_or(u32::MAX),
        _ => LIFE,
    };
    let empty = resident_bytes()?;
    let few = Shared(Arc::new(MemoryStore::new()));
    let filled = fill(&few, template, FEW, 1, |_| LIFE).await?;
    let with_few = resident_bytes()?;
    tables.add_size("memory", FEW, with_few - empty, &filled);
    let many = Shared(Arc::new(MemoryStore::new()));
    let filled = fill(&many, template, MANY, 1, life).await?;
    tables.add_size("memory", MANY, resident_bytes()? - with_few, &filled);

    // Only sessions that are there throughout.
    let alive = SWEEPS * EXPIRED..MANY;
    let loads = alternate(
        (&few, 0..FEW),
        (&many, alive.clone()),
        async |(store, range), numbers| {
            load(store, range.start + numbers.below(range.end - range.start), now).await
        },
    )
    .await?;
    tables.add_times("memory", "load", loads.0, loads.1);

    let real = Real::sign_in(&few, &many).await?;
    let before = resident_bytes()?;
    real.authenticate_all().await?;
    let opened = (resident_bytes()? - before) / (2 * REAL) as f64;
    eprintln!("an opened body takes about {opened:.0} bytes more");
    let requests = alternate(&real.few, &real.many, async |auth, numbers| {
        let id = real.sessions.get(numbers.below(REAL as u64) as usize);
        auth.authenticate(id).await?;
        Ok(())
    })
    .await?;
    tables.add_times("memory", "authenticate", requests.0, requests.1);
    drop(real);
    drop(few);

    let quiet = sweeps(&many, alive.clone(), |_| None).await?;
    tables.sweeps.add(quiet.cells("none, for comparison"));
    let idle = sweeps(&many, alive.clone(), |_| Some(now)).await?;
    tables.sweeps.add(idle.cells("nothing has expired"));
    let busy = sweeps(&many, alive, |group| {
        Some(now.plus(HOUR * u32::try_from(group + 1).unwrap_or(u32::MAX) + HOUR / 2))
    })
    .await?;
    tables
        .sweeps
        .add(busy.cells(&format!("{EXPIRED} have expired, and are removed")));
    Ok(())
}

async fn in_redis(template: &Template, tables: &mut Tables) -> Result<(), Failure> {
    const TASKS: u64 = 256;
    let now = Clock::system().now();
    let servers = [RedisServer::start()?, RedisServer::start()?];
    let mut stores = Vec::new();
    for (server, count) in servers.iter().zip([FEW, MANY]) {
        let store = Shared(Arc::new(RedisStore::open(&server.url()).await?));
        let before = used_memory(server)?;
        let filled = fill(&store, template, count, TASKS, |_| LIFE).await?;
        tables.add_size("Redis", count, used_memory(server)? - before, &filled);
        stores.push((store, 0..count));
    }
    let [few, many] = &stores[..] else {
        return Err("there are two stores".into());
    };
    let loads = alternate(few, many, async |(store, range), numbers| {
        load(store, numbers.below(range.end), now).await
    })
    .await?;
    tables.add_times("Redis", "load", loads.0, loads.1);
    Ok(())
}

async fn load(store: &Shared, number: u64, now: Timestamp) -> Result<(), Failure> {
    let found = store.load(&key(number), now).await?;
    found
        .map(drop)
        .ok_or_else(|| format!("session {number} is gone").into())
}

/// Calls the one and the other in turns, and times each call.
async fn alternate<T>(
    few: T,
    many: T,
    call: impl AsyncFn(&T, &mut Numbers) -> Result<(), Failure>,
) -> Result<(Calls, Calls), Failure> {
    let mut numbers = Numbers(1);
    let (mut few, mut many) = ((few, Calls::default()), (many, Calls::default()));
    // The first turn does not count.
    for turn in 0..=TURNS {
        for (target, calls) in [&mut few, &mut many] {
            let mut nanos = Vec::with_capacity(IN_A_TURN);
            for _ in 0..IN_A_TURN {
                let began = Instant::now();
                call(target, &mut numbers).await?;
                nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
            if turn > 0 {
                calls.turns.push(nanos);
            }
        }
    }
    Ok((few.1, many.1))
}

/// How the filling of a store went.
struct Filled {
    took: Duration,
    longest: Duration,
}

/// Puts the sessions with numbers below `count` into a store, from this many tasks.
async fn fill(
    store: &Shared,
    template: &Template,
    count: u64,
    tasks: u64,
    life: impl Fn(u64) -> Duration + Copy + Send + 'static,
) -> Result<Filled, Failure> {
    let now = Clock::system().now();
    let began = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|first| {
            let (store, template) = (store.clone(), template.clone());
            tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                for number in (first..count).step_by(usize::try_from(tasks)?) {
                    let (key, record) = (key(number), template.record(number, now, life(number)));
                    let began = Instant::now();
                    if store.insert(&key, record, now).await? != Inserted::Yes {
                        return Err("a key is taken".into());
                    }
                    longest = longest.max(began.elapsed());
                }
                Ok::<_, Failure>(longest)
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for task in running {
        longest = longest.max(task.await??);
    }
    Ok(Filled {
        took: began.elapsed(),
        longest,
    })
}

/// The same real sessions among few others and among many.
struct Real {
    few: Auth,
    many: Auth,
    sessions: Vec<SessionId>,
    /// Keeps the provider up.
    _provider: DevProvider,
}

impl Real {
    async fn sign_in(few: &Shared, many: &Shared) -> Result<Self, Failure> {
        let provider = world::provider().access_token_lifetime(LIFE).start().await?;
        let keys = SecretKeys::random();
        let auth = async |store: &Shared| {
            let builder = world::auth(&provider).secret(keys.clone());
            builder.store(store.clone()).build().await
        };
        let signed_in = Shared(Arc::new(MemoryStore::new()));
        let first = auth(&signed_in).await?;
        let now = first.now();
        let mut sessions = Vec::new();
        for _ in 0..REAL {
            let id = world::sign_in(&first, &provider).await?;
            let record = signed_in.load(&id.key(), now).await?;
            let record = record.ok_or("the new session is not in the store")?;
            for store in [few, many] {
                let copy = Record {
                    sealed: Arc::from(&record.sealed[..]),
                    opened: Opened::default(),
                    ..Record::clone(&record)
                };
                let _ = store.insert(&id.key(), copy, now).await?;
            }
            sessions.push(id);
        }
        Ok(Self {
            few: auth(few).await?,
            many: auth(many).await?,
            sessions,
            _provider: provider,
        })
    }

    /// Opens every body.
    async fn authenticate_all(&self) -> Result<(), Failure> {
        for auth in [&self.few, &self.many] {
            for id in &self.sessions {
                auth.authenticate(Some(id)).await?;
            }
        }
        Ok(())
    }
}

/// Seconds, one of each kind for each sweep.
#[derive(Default)]
struct Sweeps {
    whole: Vec<f64>,
    longest_load: Vec<f64>,
    most_loads: Vec<f64>,
    longest_touch: Vec<f64>,
    wait: Vec<f64>,
}

impl Sweeps {
    fn cells(&self, name: &str) -> [Field; 6] {
        let millis = |seconds: &[f64], decimals| {
            Field::Spread(Spread::of(seconds.iter().map(|time| time * 1e3)), decimals)
        };
        [
            Field::text(name),
            millis(&self.whole, 0),
            millis(&self.longest_load, 2),
            millis(&self.most_loads, 4),
            millis(&self.longest_touch, 2),
            millis(&self.wait, 2),
        ]
    }
}

/// Sweeps at the instants that `at` gives, while a thread uses the store. Where it gives none, half a second passes.
async fn sweeps(
    store: &Shared,
    alive: std::ops::Range<u64>,
    at: impl Fn(u64) -> Option<Timestamp>,
) -> Result<Sweeps, Failure> {
    let mut sweeps = Sweeps::default();
    for round in 0..SWEEPS {
        let done = Arc::new(AtomicBool::new(false));
        let user = std::thread::spawn({
            let (store, alive, done) = (store.clone(), alive.clone(), Arc::clone(&done));
            move || use_until(&store, alive, &done)
        });
        let sweeper = std::thread::spawn({
            let (store, at) = (store.clone(), at(round));
            move || sweep_beside_a_task(&store, at)
        });
        let swept = tokio::task::spawn_blocking(move || sweeper.join()).await?;
        done.store(true, Ordering::Relaxed);
        let used = tokio::task::spawn_blocking(move || user.join()).await?;
        let (whole, wait) = swept.map_err(|_| "the sweep panicked")??;
        let used = used.map_err(|_| "the loads panicked")??;
        sweeps.whole.push(whole.as_secs_f64());
        sweeps.wait.push(wait.as_secs_f64());
        sweeps.longest_load.push(quantile(&used.loads, 1.0) / 1e9);
        sweeps.most_loads.push(quantile(&used.loads, 0.999) / 1e9);
        sweeps.longest_touch.push(quantile(&used.touches, 1.0) / 1e9);
    }
    Ok(sweeps)
}

/// One sweep on a runtime of one thread: how long it takes, and the longest that another task there has to wait.
fn sweep_beside_a_task(store: &Shared, at: Option<Timestamp>) -> Result<(Duration, Duration), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let longest = Cell::new(Duration::ZERO);
        let other_task = async {
            let mut last = Instant::now();
            loop {
                tokio::task::yield_now().await;
                longest.set(longest.get().max(last.elapsed()));
                last = Instant::now();
            }
        };
        let sweep = async {
            match at {
                Some(at) => store.sweep(at).await.map(drop),
                None => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(())
                }
            }
        };
        let began = Instant::now();
        tokio::select! {
            biased;
            swept = sweep => swept?,
            () = other_task => {}
        }
        Ok((began.elapsed(), longest.get()))
    })
}

/// Nanoseconds, sorted.
struct Used {
    loads: Vec<u64>,
    touches: Vec<u64>,
}

/// Loads sessions in this range until it is done, and touches some.
fn use_until(store: &Shared, alive: std::ops::Range<u64>, done: &AtomicBool) -> Result<Used, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut numbers = Numbers(2);
        let now = Clock::system().now();
        let mut used = Used {
            loads: Vec::new(),
            touches: Vec::new(),
        };
        let mut count = 0_u64;
        while !done.load(Ordering::Relaxed) {
            let number = alive.start + numbers.below(alive.end - alive.start);
            count += 1;
            let touches = count.is_multiple_of(20);
            let key = key(number);
            let began = Instant::now();
            if touches {
                let later = now.plus(Duration::from_millis(count));
                store.touch(&key, later, later.plus(LIFE), now).await?;
            } else {
                load(store, number, now).await?;
            }
            let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if touches {
                &mut used.touches
            } else {
                &mut used.loads
            }
            .push(nanos);
        }
        used.loads.sort_unstable();
        used.touches.sort_unstable();
        Ok(used)
    })
}
