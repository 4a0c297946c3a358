//! A herd: many requests of one session at once, the access token dead. How long until the last has its answer?
//!
//! The requests are calls of [`Auth::authenticate`], as the adapters make them, without a web server. Time moves by a
//! test clock; the provider answers after a fixed delay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::clock::TestClock;
use auth_core::secret::SessionId;
use auth_core::store::MemoryStore;
use auth_core::{Auth, SecretKeys};
use auth_testing::servers::{PostgresServer, RedisServer};
use auth_testing::{DevProvider, Endpoint, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::effort::Effort;
use crate::report::{Aim, Field, Section, Spread, Table, Target, quantile};
use crate::setup::{Directory, Shared};
use crate::{Failure, world};

const HERDS: [usize; 3] = [50, 200, 1_000];
const INSTANCES: [usize; 2] = [1, 4];
const ROUNDS: usize = 9;
/// How long the provider thinks about each token request.
const DELAY: Duration = Duration::from_millis(50);
/// The same, one after the other, for the second table.
const DELAYS: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];
/// The herd of the second table.
const HERD: usize = 200;
/// How long access tokens live.
const LIFE: Duration = Duration::from_secs(300);
/// How long the tasks of a herd get to line up before the token dies.
const LINE_UP: Duration = Duration::from_millis(20);

pub(crate) async fn measure(effort: Effort) -> Result<Section, Failure> {
    let herd = Herds::start(effort).await?;
    let mut section = Section::default();
    let mut table = Table::new(
        format!(
            "Refresh herd: the provider takes {} ms, {} rounds; milliseconds from expiry to the last answer, median \
             (min–max), and what of it is beyond the provider's own time, also for the first 99 %",
            DELAY.as_millis(),
            herd.rounds
        ),
        &[
            "store",
            "instances",
            "requests",
            "provider alone",
            "one request",
            "herd",
            "herd / provider",
            "beyond the provider",
            "99 % beyond the provider",
            "the same requests, token alive",
        ],
    );
    herd.provider.control().fail(Endpoint::Token, Fault::Delay(DELAY));
    for store in Store::ALL {
        for instances in INSTANCES {
            let app = herd.app(store, instances).await?;
            for requests in HERDS {
                let times = herd.rounds(&app, requests).await?;
                let beyond = |times_of: &[f64]| -> Vec<f64> {
                    let both = times_of.iter().zip(&times.provider);
                    both.map(|(herd, provider)| herd - provider).collect()
                };
                let (last, most) = (beyond(&times.herd), beyond(&times.most));
                table.add([
                    Field::text(store.name()),
                    Field::text(instances),
                    Field::text(requests),
                    millis(&times.provider),
                    millis(&times.one),
                    millis(&times.herd),
                    Field::ratio(&times.herd, &times.provider, 2),
                    millis(&last),
                    millis(&most),
                    millis(&times.alive),
                ]);
                if requests == 1_000 {
                    let instances = if instances == 1 {
                        "one instance"
                    } else {
                        "four instances"
                    };
                    section.targets.push(Target::new(
                        format!(
                            "the last of 1,000 answers at an expiry beyond the provider's own time, ms, {}, {instances}, the \
                             worst round",
                            store.name()
                        ),
                        Aim::AtMost(50.0),
                        Spread::of(last).max * 1e3,
                        1,
                    ));
                }
            }
        }
    }
    section.tables.push(table);
    section.tables.push(by_delay(&herd).await?);
    Ok(section)
}

/// Who waits for another instance looks again after a while, so the wait is not proportional to the provider's.
async fn by_delay(herd: &Herds) -> Result<Table, Failure> {
    let mut table = Table::new(
        format!(
            "Refresh herd by the provider's delay: {HERD} requests, Redis, {} rounds; milliseconds, median (min–max)",
            herd.rounds
        ),
        &["delay", "instances", "provider alone", "herd", "herd / provider"],
    );
    for instances in INSTANCES {
        let app = herd.app(Store::Redis, instances).await?;
        for delay in DELAYS {
            herd.provider.control().fail(Endpoint::Token, Fault::Delay(delay));
            let times = herd.rounds(&app, HERD).await?;
            table.add([
                Field::text(delay.as_millis()),
                Field::text(instances),
                millis(&times.provider),
                millis(&times.herd),
                Field::ratio(&times.herd, &times.provider, 2),
            ]);
        }
    }
    Ok(table)
}

fn millis(times: &[f64]) -> Field {
    Field::Spread(Spread::of(times.iter().map(|time| time * 1e3)), 1)
}

/// What the instances share.
#[derive(Clone, Copy, Debug)]
enum Store {
    Memory,
    Sqlite,
    Redis,
    Postgres,
}

impl Store {
    const ALL: [Self; 4] = [Self::Memory, Self::Sqlite, Self::Redis, Self::Postgres];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "SQLite",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Instances of one app on one store, and a session there.
struct App {
    instances: Vec<Auth>,
    session: SessionId,
}

/// Seconds, one of each kind for each round.
#[derive(Default)]
struct Times {
    provider: Vec<f64>,
    one: Vec<f64>,
    /// Until the last answer, and until 99 % of them.
    herd: Vec<f64>,
    most: Vec<f64>,
    alive: Vec<f64>,
}

struct Herds {
    provider: DevProvider,
    clock: TestClock,
    keys: SecretKeys,
    memory: Shared,
    directory: Directory,
    redis: RedisServer,
    postgres: (PostgresServer, String),
    /// A refresh of a session that nothing else uses, ready to be sent.
    refresh: Vec<u8>,
    rounds: usize,
}

impl Herds {
    async fn start(effort: Effort) -> Result<Self, Failure> {
        let clock = TestClock::new();
        let provider = world::provider()
            .clock(clock.clock())
            .access_token_lifetime(LIFE)
            .start()
            .await?;
        let postgres = PostgresServer::builder().durable().start()?;
        let database = postgres.create_database()?;
        let mut herds = Self {
            provider,
            clock,
            keys: SecretKeys::random(),
            memory: Shared(Arc::new(MemoryStore::new())),
            directory: Directory::new()?,
            redis: RedisServer::start()?,
            postgres: (postgres, database),
            refresh: Vec::new(),
            rounds: effort.rounds(ROUNDS),
        };
        herds.refresh = herds.refresh_request().await?;
        Ok(herds)
    }

    /// Instances with a store each, as processes have, except that they share the one in memory.
    async fn app(&self, store: Store, count: usize) -> Result<App, Failure> {
        let mut instances = Vec::new();
        for _ in 0..count {
            let builder = world::auth(&self.provider)
                .secret(self.keys.clone())
                .clock(self.clock.clock());
            let builder = match store {
                Store::Memory => builder.store(self.memory.clone()),
                Store::Sqlite => {
                    builder.store_url(format!("sqlite:{}", self.directory.file("sessions.db").display()))
                }
                Store::Redis => builder.store_url(self.redis.url()),
                Store::Postgres => builder.store_url(&self.postgres.1),
            };
            instances.push(builder.build().await?);
        }
        let [first, ..] = &instances[..] else {
            return Err("an app has an instance".into());
        };
        let app = App {
            session: world::sign_in(first, &self.provider).await?,
            instances,
        };
        // Each instance fetches the provider's metadata and keys, and opens connections, before it counts.
        for instance in &app.instances {
            self.clock.advance(LIFE);
            instance.authenticate(Some(&app.session)).await?;
        }
        Ok(app)
    }

    async fn rounds(&self, app: &App, requests: usize) -> Result<Times, Failure> {
        let mut times = Times::default();
        // The first does not count.
        for round in 0..=self.rounds {
            let provider = self.provider_alone().await?;
            self.clock.advance(LIFE);
            let began = Instant::now();
            app.instances[0].authenticate(Some(&app.session)).await?;
            let one = began.elapsed();
            let herd = self.herd(app, requests, LIFE, 1).await?;
            let alive = self.herd(app, requests, Duration::ZERO, 0).await?;
            if round > 0 {
                times.provider.push(provider.as_secs_f64());
                times.one.push(one.as_secs_f64());
                times.herd.push(quantile(&herd, 1.0) / 1e9);
                times.most.push(quantile(&herd, 0.99) / 1e9);
                times.alive.push(quantile(&alive, 1.0) / 1e9);
            }
        }
        Ok(times)
    }

    /// Lets this many requests line up, moves the clock, and waits for the last answer: nanoseconds until each, sorted.
    async fn herd(
        &self,
        app: &App,
        requests: usize,
        advance: Duration,
        refreshes: u64,
    ) -> Result<Vec<u64>, Failure> {
        let (go, _) = watch::channel(false);
        let tasks: Vec<_> = (0..requests)
            .map(|number| {
                let auth = app.instances[number % app.instances.len()].clone();
                let (session, mut gone) = (app.session.clone(), go.subscribe());
                tokio::spawn(async move {
                    gone.wait_for(|gone| *gone).await?;
                    auth.authenticate(Some(&session)).await?;
                    Ok::<_, Failure>(Instant::now())
                })
            })
            .collect();
        tokio::time::sleep(LINE_UP).await;
        let before = self.provider.control().count(Endpoint::Token);
        self.clock.advance(advance);
        let began = Instant::now();
        go.send_replace(true);
        let mut answered = Vec::with_capacity(requests);
        for task in tasks {
            let took = task.await??.saturating_duration_since(began).as_nanos();
            answered.push(u64::try_from(took).unwrap_or(u64::MAX));
        }
        answered.sort_unstable();
        let presented = self.provider.control().count(Endpoint::Token) - before;
        if presented != refreshes {
            return Err(
                format!("{requests} requests made {presented} token requests, not {refreshes}").into(),
            );
        }
        Ok(answered)
    }

    /// How long the provider takes for a refresh that comes over a connection of its own. The session's refresh token
    /// does not rotate, so that the same bytes can be sent again.
    async fn provider_alone(&self) -> Result<Duration, Failure> {
        let issuer = self.provider.issuer().trim_start_matches("http://");
        let mut connection = TcpStream::connect(issuer).await?;
        self.provider.control().set_rotation(false);
        let began = Instant::now();
        connection.write_all(&self.refresh).await?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await?;
        let took = began.elapsed();
        self.provider.control().set_rotation(true);
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            return Err("the provider does not refresh".into());
        }
        Ok(took)
    }

    /// Has the core refresh a session once, and copies its request.
    async fn refresh_request(&self) -> Result<Vec<u8>, Failure> {
        let control = self.provider.control();
        let app = self.app(Store::Memory, 1).await?;
        control.set_rotation(false);
        self.clock.advance(LIFE);
        app.instances[0].authenticate(Some(&app.session)).await?;
        control.set_rotation(true);
        let requests = control.requests(Endpoint::Token);
        let request = requests.last().ok_or("the core has asked for no tokens")?;
        let body: Vec<String> = request
            .form
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let body = body.join("&");
        let authorization = request.header("authorization").unwrap_or_default();
        let host = self.provider.issuer().trim_start_matches("http://");
        Ok(format!(
            "POST {} HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\n\
             content-type: application/x-www-form-urlencoded\r\naccept: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            request.path,
            body.len()
        )
        .into_bytes())
    }
}
