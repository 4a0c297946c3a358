//! Mixed load on both example applications as two instances of one, on one Redis, for minutes: nothing may fail, no session
//! may get lost, and memory stays flat.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use auth_testing::servers::RedisServer;
use auth_testing::{DevProvider, User};
use reqwest::Method;

use crate::browser::{Browser, environment};
use crate::framework::Framework;
use crate::programs::{Program, Programs};
use crate::report::{Aim, Field, Section, Table, Target, quantile};
use crate::setup::{Numbers, redis_numbers, resident_bytes};
use crate::{Failure, world};

/// How many browsers are under way at once; each is a user of its own.
const BROWSERS: u64 = 48;
/// How long access tokens live: most sessions are refreshed several times.
const TOKEN_LIFE: Duration = Duration::from_secs(10);
/// After how long without a request a session ends.
const IDLE: Duration = Duration::from_secs(20);
/// How long a session is used: so many seconds at least, and up to so many more.
const USE: (u64, u64) = (15, 75);
/// How long a browser waits between two requests at most, in milliseconds.
const PAUSE: u64 = 300;
/// So many things that went wrong are told in words.
const TOLD: u64 = 20;
const MIB: f64 = (1 << 20) as f64;

/// What a signed-in browser asks for, each as often as the others: a route of the application; an API through the client, the
/// proxy and an exchanged token; the session's state.
const PATHS: [&str; 8] = [
    "/api/ping",
    "/api/ping",
    "/api/ping",
    "/api/me",
    "/api/dashboard",
    "/proxy/api/users/me",
    "/api/exchange",
    "/auth/session",
];

/// What has happened since the last line.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    signed_in: AtomicU64,
    signed_out: AtomicU64,
    expired: AtomicU64,
    lost: AtomicU64,
    errors: AtomicU64,
    /// Microseconds of each request.
    latencies: Mutex<Vec<u64>>,
}

/// What the browsers share.
struct World {
    provider: DevProvider,
    browser: Browser,
    instances: Vec<SocketAddr>,
    counts: Counts,
    told: AtomicU64,
    is_over: AtomicBool,
}

pub(crate) fn measure(length: Duration) -> Result<Section, Failure> {
    let programs = Programs::build()?;
    tokio::runtime::Runtime::new()?.block_on(run(&programs, length))
}

async fn run(programs: &Programs, length: Duration) -> Result<Section, Failure> {
    let mut provider = world::provider().access_token_lifetime(TOKEN_LIFE);
    for number in 0..BROWSERS {
        provider = provider.user(User::new(user(number)).email("user@example.com").roles(["admin"]));
    }
    let provider = provider.start().await?;
    let redis = RedisServer::start()?;
    let mut environment = environment(&provider, &redis.url());
    environment.push(("AUTH_SESSION_IDLE", IDLE.as_secs().to_string()));
    let programs = [
        programs.start(Framework::Axum, &environment)?,
        programs.start(Framework::Actix, &environment)?,
    ];
    let world = Arc::new(World {
        provider,
        browser: Browser::new()?,
        instances: programs.iter().map(|program| program.address).collect(),
        counts: Counts::default(),
        told: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let browsers: Vec<_> = (0..BROWSERS)
        .map(|number| tokio::spawn(Arc::clone(&world).browse(number)))
        .collect();

    let lines = Lines::take(&world, &programs, &redis, length).await?;
    world.is_over.store(true, Ordering::Relaxed);
    for browser in browsers {
        browser.await?;
    }
    // What came after the last line counts as well.
    let late = world.counts.take();
    Ok(lines.section(length, &late, world.provider.control().reuse_count()))
}

fn user(number: u64) -> String {
    format!("user-{number}")
}

impl World {
    /// Signs in, uses the session, ends it in one way or another, and begins again.
    async fn browse(self: Arc<Self>, number: u64) {
        let mut numbers = Numbers(number);
        while !self.is_over() {
            let Some(cookie) = self.sign_in(number, &mut numbers).await else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let until = Instant::now() + Duration::from_secs(USE.0 + numbers.below(USE.1));
            let mut is_lost = false;
            while Instant::now() < until && !self.is_over() && !is_lost {
                let path = PATHS[numbers.below(PATHS.len() as u64) as usize];
                is_lost = !self.use_session(&mut numbers, path, &cookie).await;
                tokio::time::sleep(Duration::from_millis(numbers.below(PAUSE))).await;
            }
            if is_lost || self.is_over() {
                continue;
            }
            if numbers.below(3) > 0 {
                self.sign_out(&mut numbers, &cookie).await;
            } else {
                tokio::time::sleep(IDLE + Duration::from_secs(2)).await;
                self.counts.expired.fetch_add(1, Ordering::Relaxed);
            }
            // Whichever way it has ended, no instance takes its cookie any more.
            for instance in &self.instances {
                if self.ask(Method::GET, *instance, "/api/ping", &cookie).await != Some(401) {
                    self.error("a session that has ended is served, or its answer failed");
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn instance(&self, numbers: &mut Numbers) -> SocketAddr {
        self.instances[numbers.below(self.instances.len() as u64) as usize]
    }

    async fn sign_in(&self, number: u64, numbers: &mut Numbers) -> Option<String> {
        let instance = self.instance(numbers);
        match self
            .browser
            .sign_in(&self.provider, instance, &user(number))
            .await
        {
            Ok(cookie) => {
                self.counts.signed_in.fetch_add(1, Ordering::Relaxed);
                Some(cookie)
            }
            Err(failure) => {
                self.error(&format!("a sign-in: {failure}"));
                None
            }
        }
    }

    /// Whether the session is still there.
    async fn use_session(&self, numbers: &mut Numbers, path: &str, cookie: &str) -> bool {
        match self.ask(Method::GET, self.instance(numbers), path, cookie).await {
            Some(200) => {}
            Some(401) => {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
                self.tell(&format!("{path}: the session is lost"));
                return false;
            }
            Some(status) => self.error(&format!("{path} answers {status}")),
            // Told already.
            None => {}
        }
        true
    }

    async fn sign_out(&self, numbers: &mut Numbers, cookie: &str) {
        let instance = self.instance(numbers);
        match self.ask(Method::POST, instance, "/auth/logout", cookie).await {
            Some(303) => {
                self.counts.signed_out.fetch_add(1, Ordering::Relaxed);
            }
            Some(status) => self.error(&format!("a sign-out answers {status}")),
            None => {}
        }
    }

    /// The status of the answer, which is read to the end. `/auth/session` answers 200 to everyone and says in its body who is
    /// signed in; that nobody is counts as 401.
    async fn ask(&self, method: Method, instance: SocketAddr, path: &str, cookie: &str) -> Option<u16> {
        let began = Instant::now();
        let answered = async {
            let answer = self.browser.ask(method, instance, path, cookie).await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        };
        match answered.await {
            Ok((status, body)) => {
                self.counts.requests.fetch_add(1, Ordering::Relaxed);
                let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                let mut latencies = self
                    .counts
                    .latencies
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                latencies.push(micros);
                Some(if says_nobody(path, &body) { 401 } else { status })
            }
            Err(error) => {
                // reqwest says the cause in the sources alone.
                let causes = std::iter::successors(error.source(), |&cause| cause.source());
                let causes: String = causes.map(|cause| format!(": {cause}")).collect();
                self.error(&format!("{path}: {error}{causes}"));
                None
            }
        }
    }

    fn error(&self, what: &str) {
        self.counts.errors.fetch_add(1, Ordering::Relaxed);
        self.tell(what);
    }

    fn tell(&self, what: &str) {
        if self.told.fetch_add(1, Ordering::Relaxed) < TOLD {
            eprintln!("soak: {what}");
        }
    }
}

fn says_nobody(path: &str, body: &[u8]) -> bool {
    let state = serde_json::from_slice(body).unwrap_or(serde_json::Value::Null);
    path == "/auth/session" && state["authenticated"] != true
}

/// What has happened, taken out of [`Counts`].
#[derive(Debug)]
struct Taken {
    requests: u64,
    signed_in: u64,
    signed_out: u64,
    expired: u64,
    lost: u64,
    errors: u64,
    /// Milliseconds that 99 % of the requests did not exceed.
    p99: f64,
}

impl Counts {
    fn take(&self) -> Taken {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        let mut latencies =
            std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner));
        latencies.sort_unstable();
        Taken {
            requests: take(&self.requests),
            signed_in: take(&self.signed_in),
            signed_out: take(&self.signed_out),
            expired: take(&self.expired),
            lost: take(&self.lost),
            errors: take(&self.errors),
            p99: quantile(&latencies, 0.99) / 1e3,
        }
    }
}

/// A line of the table, taken at the end of an interval.
struct Line {
    at: Duration,
    taken: Taken,
    refreshes: u64,
    /// MiB, of each instance.
    resident: Vec<f64>,
    redis: f64,
    keys: u64,
}

struct Lines(Vec<Line>);

impl Lines {
    /// One a minute, and ten at least.
    async fn take(
        world: &World,
        programs: &[Program],
        redis: &RedisServer,
        length: Duration,
    ) -> Result<Self, Failure> {
        let interval = (length / 10).min(Duration::from_secs(60));
        let began = Instant::now();
        let mut lines = Self(Vec::new());
        let mut refreshes = world.provider.control().refresh_count();
        while began.elapsed() + interval / 2 < length {
            tokio::time::sleep(interval).await;
            let resident = programs
                .iter()
                .map(|program| resident_bytes(program.process_id()));
            let resident: Vec<f64> = resident.collect::<Result<_, _>>()?;
            let (memory, keys) = redis_numbers(redis)?;
            let refreshed = world.provider.control().refresh_count();
            let line = Line {
                at: began.elapsed(),
                taken: world.counts.take(),
                refreshes: refreshed - refreshes,
                resident: resident.into_iter().map(|bytes| bytes / MIB).collect(),
                redis: memory / MIB,
                keys,
            };
            refreshes = refreshed;
            eprintln!(
                "soak: {:.0} s, {} requests, {} errors, {} lost, resident {:.1?} MiB, Redis {:.1} MiB",
                line.at.as_secs_f64(),
                line.taken.requests,
                line.taken.errors,
                line.taken.lost,
                line.resident,
                line.redis,
            );
            lines.0.push(line);
        }
        Ok(lines)
    }

    fn section(&self, length: Duration, late: &Taken, reuses: u64) -> Section {
        let mut table = Table::new(
            format!(
                "{BROWSERS} browsers, {} s, axum-app and actix-app as two instances on one Redis; tokens live for {} s. Each \
                 line counts what has happened since the one before",
                length.as_secs(),
                TOKEN_LIFE.as_secs()
            ),
            &[
                "seconds",
                "requests",
                "errors",
                "signed in",
                "signed out",
                "expired as due",
                "refreshes",
                "lost",
                "p99, ms",
                "axum-app, MiB",
                "actix-app, MiB",
                "Redis, MiB",
                "keys in Redis",
            ],
        );
        for line in &self.0 {
            let Taken {
                requests,
                signed_in,
                signed_out,
                expired,
                lost,
                errors,
                p99,
            } = line.taken;
            let mut row = vec![Field::Number(line.at.as_secs_f64(), 0)];
            let counts = [
                requests,
                errors,
                signed_in,
                signed_out,
                expired,
                line.refreshes,
                lost,
            ];
            row.extend(counts.map(Field::text));
            row.push(Field::Number(p99, 1));
            row.extend(line.resident.iter().map(|resident| Field::Number(*resident, 1)));
            row.push(Field::Number(line.redis, 1));
            row.push(Field::text(line.keys));
            table.add(row);
        }
        let sum = |of: fn(&Taken) -> u64| {
            let lines = self.0.iter().map(|line| of(&line.taken));
            (lines.sum::<u64>() + of(late)) as f64
        };
        let (errors, lost) = (sum(|taken| taken.errors), sum(|taken| taken.lost));
        let mut targets = vec![
            Target::new("errors", Aim::Exactly(0.0), errors, 0),
            Target::new("sessions lost", Aim::Exactly(0.0), lost, 0),
            Target::new(
                "refresh tokens that came a second time",
                Aim::Exactly(0.0),
                reuses as f64,
                0,
            ),
        ];
        // The first lines are those of connections, threads and caches that are still being made.
        if let (Some(early), Some(last)) = (self.0.get(2), self.0.last()) {
            for (framework, (early, last)) in Framework::ALL
                .iter()
                .zip(early.resident.iter().zip(&last.resident))
            {
                let what =
                    format!("resident memory at the end beside that at the third line, {framework}-app");
                targets.push(Target::new(what, Aim::AtMost(1.1), last / early, 2));
            }
        }
        Section {
            tables: vec![table],
            is_broken: errors + lost > 0.0 || targets.iter().any(|target| !target.is_met()),
            targets,
        }
    }
}
