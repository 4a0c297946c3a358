//! What sessions take in memory, and what one request costs among few and among many of them.

mod counted;
mod sweeps;

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::clock::{Clock, Timestamp};
use auth_core::secret::SessionId;
use auth_core::store::{Inserted, MemoryStore, Opened, Record, RedisStore, SessionStore};
use auth_core::{Auth, SecretKeys};
use auth_testing::DevProvider;
use auth_testing::servers::RedisServer;
use tokio::runtime::Runtime;

use crate::callgrind::IN_PROCESS;
use crate::effort::Effort;
use crate::report::{Aim, Field, Section, Spread, Table, Target, quantile};
use crate::setup::{Numbers, Shared, Template, key, resident_bytes, used_memory};
use crate::{Failure, Part, world};

/// How many sessions there are.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// So many of them have signed in for real and were used, where memory is measured. The others are copies of one.
const SIGNED_IN: usize = 10_000;
/// The same, where time is: `authenticate` opens only what was sealed for it.
const USED: usize = 500;
/// Few and many take turns this often…
const TURNS: usize = 80;
/// …each with this many operations.
const IN_A_TURN: usize = 500;
/// How long the sessions live that no sweep takes away.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn measure(effort: Effort) -> Result<Section, Failure> {
    let mut section = Section::default();
    memory(effort, &mut section)?;
    let runtime = Runtime::new()?;
    runtime.block_on(times(effort, &mut section))?;
    Ok(section)
}

/// What runs as a process of its own.
pub(crate) fn in_process(what: &str, sessions: &str) -> Result<(), Failure> {
    match what {
        counted::COUNTED => counted::fill(sessions.parse()?),
        _ => Runtime::new()?.block_on(weigh(what.parse()?, sessions.parse()?)),
    }
}

// ---- memory -------------------------------------------------------------------------------------------------

/// Bytes per session, of a process that has nothing else to do.
fn memory(effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let sizes = SIZES.map(|size| effort.count(size as usize));
    let (signed_in, most) = (effort.count(SIGNED_IN), sizes[SIZES.len() - 1]);
    let output = std::process::Command::new(std::env::current_exe()?)
        .args([IN_PROCESS, Part::Memory.name()])
        .args([signed_in.to_string(), most.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the process that weighs sessions failed".into());
    }
    let mut table = Table::new(
        format!(
            "Sessions in the memory store, bytes per session. The first {signed_in} have signed in and were used once, the \
             others are copies of one that was not"
        ),
        &[
            "sessions",
            "resident memory",
            "of it tokens and claims",
            "beyond them",
        ],
    );
    let text = String::from_utf8(output.stdout)?;
    for line in text.lines() {
        let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [sessions, resident, content] = numbers[..] else {
            return Err("the process that weighs sessions has not said what they weigh".into());
        };
        table.add([
            Field::Number(sessions, 0),
            Field::Number(resident, 0),
            Field::Number(content, 0),
            Field::Number(resident - content, 0),
        ]);
        section.targets.push(Target::new(
            format!("bytes of memory per session beyond its tokens and claims, {sessions} sessions"),
            Aim::AtMost(1024.0),
            resident - content,
            0,
        ));
    }
    section.tables.push(table);
    if let Some(bytes) = counted::bytes_per_session(effort)? {
        let mut table = Table::new(
            "The same by memcheck: bytes that are allocated for a session that was not used",
            &["bytes per session"],
        );
        table.add([Field::Number(bytes, 0)]);
        section.tables.push(table);
    }
    Ok(())
}

/// Signs in, uses the sessions, fills up with others, and prints at each size: sessions, resident bytes per session, and how
/// many of these are tokens and claims.
async fn weigh(signed_in: usize, most: u64) -> Result<(), Failure> {
    let real = Real::sign_in(signed_in).await?;
    let template = Template::of_a_sign_in().await?;
    let store = Shared(Arc::new(MemoryStore::new()));
    let auth = real.auth(&store).await?;
    let before = resident_bytes("self")?;
    real.copy_to(&store, auth.now()).await?;
    let mut content = 0;
    for id in &real.sessions {
        let session = auth.authenticate(Some(id)).await?;
        if content == 0 {
            content = real.tokens + serde_json::to_vec(session.claims())?.len();
        }
    }
    let mut count = signed_in as u64;
    loop {
        let resident = (resident_bytes("self")? - before) / count as f64;
        println!("{count} {resident} {content}");
        if count >= most {
            return Ok(());
        }
        let next = (count * 10).min(most);
        fill(&store, &template, count..next, 1, |_| LIFE).await?;
        count = next;
    }
}

/// Sessions that have signed in for real, and the store where they did.
struct Real {
    provider: DevProvider,
    keys: SecretKeys,
    store: Shared,
    sessions: Vec<SessionId>,
    /// The bytes of the tokens of one of them.
    tokens: usize,
}

impl Real {
    async fn sign_in(count: usize) -> Result<Self, Failure> {
        let provider = world::provider().access_token_lifetime(LIFE).start().await?;
        let tokens = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = Arc::clone(&tokens);
        provider.control().tamper_token_response(move |response| {
            let lengths = ["access_token", "refresh_token", "id_token"].map(|name| {
                response
                    .get(name)
                    .and_then(|token| token.as_str())
                    .map_or(0, str::len)
            });
            seen.store(lengths.iter().sum(), std::sync::atomic::Ordering::Relaxed);
        });
        let mut real = Self {
            provider,
            keys: SecretKeys::random(),
            store: Shared(Arc::new(MemoryStore::new())),
            sessions: Vec::new(),
            tokens: 0,
        };
        let auth = real.auth(&real.store).await?;
        for _ in 0..count {
            real.sessions.push(world::sign_in(&auth, &real.provider).await?);
        }
        real.tokens = tokens.load(std::sync::atomic::Ordering::Relaxed);
        Ok(real)
    }

    /// An app on another store, which opens the same sessions.
    async fn auth(&self, store: &Shared) -> Result<Auth, Failure> {
        let builder = world::auth(&self.provider).secret(self.keys.clone());
        Ok(builder.store(store.clone()).build().await?)
    }

    /// Puts the sessions there, none of them opened yet.
    async fn copy_to(&self, store: &Shared, now: Timestamp) -> Result<(), Failure> {
        for id in &self.sessions {
            let record = self.store.load(&id.key(), now).await?;
            let record = record.ok_or("the new session is not in the store")?;
            let copy = Record {
                sealed: Arc::from(&record.sealed[..]),
                opened: Opened::default(),
                ..Record::clone(&record)
            };
            let _ = store.insert(&id.key(), copy, now).await?;
        }
        Ok(())
    }
}

// ---- time ---------------------------------------------------------------------------------------------------

async fn times(effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let template = Template::of_a_sign_in().await?;
    let now = Clock::system().now();
    let turns = effort.rounds(TURNS);
    let mut inserts = Table::new(
        "Filling the memory store",
        &["sessions", "inserts per second", "longest insert, ms"],
    );
    let mut table = Table::new(
        format!(
            "Time of one call, {} calls each; microseconds. The ratio is that of the medians of {turns} turns",
            turns * IN_A_TURN
        ),
        &[
            "store",
            "call",
            "sessions",
            "median",
            "p99",
            "ratio to the fewest",
        ],
    );

    let mut stores = Vec::new();
    for (number, size) in SIZES.into_iter().enumerate() {
        let size = effort.count(size as usize) as u64;
        let store = Shared(Arc::new(MemoryStore::new()));
        // In the largest store some end at each of the sweeps that come later.
        let is_last = number + 1 == SIZES.len();
        let life = move |number: u64| if is_last { sweeps::life(number, size) } else { LIFE };
        let filled = fill(&store, &template, 0..size, 1, life).await?;
        inserts.add([
            Field::text(size),
            Field::Number(size as f64 / filled.took.as_secs_f64(), 0),
            Field::Number(filled.longest.as_secs_f64() * 1e3, 2),
        ]);
        stores.push((store, size));
    }
    let loads = alternate(&stores, turns, async |(store, size), numbers| {
        load(store, numbers.below(*size), now).await
    })
    .await?;
    add_times(&mut table, "memory", "load", &stores, loads);

    let real = Real::sign_in(effort.count(USED)).await?;
    let mut apps = Vec::new();
    for (store, size) in &stores {
        real.copy_to(store, now).await?;
        apps.push((real.auth(store).await?, *size));
    }
    let requests = alternate(&apps, turns, async |(auth, _), numbers| {
        let id = real
            .sessions
            .get(numbers.below(real.sessions.len() as u64) as usize);
        auth.authenticate(id).await?;
        Ok(())
    })
    .await?;
    let ratio = add_times(&mut table, "memory", "authenticate", &apps, requests);
    section.targets.push(Target::new(
        "the cost of a request (`Auth::authenticate`) among the most sessions beside that among the fewest, memory store",
        Aim::AtMost(1.2),
        ratio,
        2,
    ));
    drop((apps, real));

    let many = stores.pop().ok_or("there is a largest store")?;
    drop(stores);
    let swept = sweeps::measure(&many.0, many.1, now, effort).await?;
    drop(many);

    let servers = [RedisServer::start()?, RedisServer::start()?];
    let mut stores = Vec::new();
    for (server, size) in servers.iter().zip([SIZES[0], SIZES[2]]) {
        let size = effort.count(size as usize) as u64;
        let store = Shared(Arc::new(RedisStore::open(&server.url()).await?));
        fill(&store, &template, 0..size, 256, |_| LIFE).await?;
        stores.push((store, size));
        eprintln!(
            "Redis: {:.0} bytes per session",
            used_memory(server)? / size as f64
        );
    }
    let loads = alternate(&stores, turns, async |(store, size), numbers| {
        load(store, numbers.below(*size), now).await
    })
    .await?;
    add_times(&mut table, "Redis", "load", &stores, loads);
    section.tables.extend([table, inserts, swept]);
    Ok(())
}

/// The ratio of the most to the fewest.
fn add_times<S>(table: &mut Table, store: &str, call: &str, sizes: &[(S, u64)], calls: Vec<Calls>) -> f64 {
    let fewest = calls.first().map_or_else(Vec::new, Calls::medians);
    let mut last = f64::NAN;
    for ((_, size), calls) in sizes.iter().zip(calls) {
        let ratio = Spread::of_ratios(&calls.medians(), &fewest);
        last = ratio.median;
        let mut nanos = calls.turns.concat();
        nanos.sort_unstable();
        table.add([
            Field::text(store),
            Field::text(call),
            Field::text(size),
            Field::Number(quantile(&nanos, 0.5) / 1e3, 2),
            Field::Number(quantile(&nanos, 0.99) / 1e3, 2),
            Field::Spread(ratio, 2),
        ]);
    }
    last
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

async fn load(store: &Shared, number: u64, now: Timestamp) -> Result<(), Failure> {
    let found = store.load(&key(number), now).await?;
    found
        .map(drop)
        .ok_or_else(|| format!("session {number} is gone").into())
}

/// Calls each in turns, and times each call.
async fn alternate<T>(
    targets: &[T],
    turns: usize,
    call: impl AsyncFn(&T, &mut Numbers) -> Result<(), Failure>,
) -> Result<Vec<Calls>, Failure> {
    let mut numbers = Numbers(1);
    let mut all: Vec<Calls> = targets.iter().map(|_| Calls::default()).collect();
    // The first turn does not count.
    for turn in 0..=turns {
        for (target, calls) in targets.iter().zip(&mut all) {
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
    Ok(all)
}

/// How the filling of a store went.
struct Filled {
    took: Duration,
    longest: Duration,
}

/// Puts the sessions with these numbers into a store, from this many tasks.
async fn fill(
    store: &Shared,
    template: &Template,
    numbers: std::ops::Range<u64>,
    tasks: usize,
    life: impl Fn(u64) -> Duration + Copy + Send + 'static,
) -> Result<Filled, Failure> {
    let now = Clock::system().now();
    let began = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|first| {
            let (store, template, numbers) = (store.clone(), template.clone(), numbers.clone());
            tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                for number in numbers.skip(first).step_by(tasks) {
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
