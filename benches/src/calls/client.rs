//! Calls per second: the client for APIs, and plain reqwest with a header set by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auth_core::SecretKeys;
use auth_core::client::AuthenticatedClient;
use auth_core::session::Session;

use auth_testing::DevProvider;

use crate::callgrind::{self, CountError, Counts, counted_requests};
use crate::report::{Field, Spread, Table};
use crate::{Failure, upstream, world};

/// How often each client gets its turn; both once, then both again.
const ROUNDS: usize = 41;
/// How long a turn takes.
const TURN: Duration = Duration::from_millis(300);
/// How many calls are under way at once.
const AT_ONCE: [usize; 2] = [1, 32];

/// The arguments that say whose calls are made under valgrind.
const PLAIN: &str = "plain";
const OURS: &str = "ours";

/// Whose calls are counted.
#[derive(Clone)]
enum Caller {
    Plain {
        http: reqwest::Client,
        url: Arc<str>,
        token: Arc<str>,
    },
    Ours {
        api: AuthenticatedClient,
        url: Arc<str>,
    },
}

impl Caller {
    /// One call, its answer read to the end.
    async fn call(&self) -> Result<(), Failure> {
        let body = match self {
            Self::Plain { http, url, token } => {
                let request = http
                    .get(&**url)
                    .header("authorization", format!("Bearer {token}"));
                request.send().await?.error_for_status()?.bytes().await?
            }
            Self::Ours { api, url } => api.get(&**url).send().await?.bytes().await?,
        };
        if body == upstream::SHORT {
            Ok(())
        } else {
            Err("an answer is not the one that was expected".into())
        }
    }
}

pub(crate) fn measure() -> Result<Table, Failure> {
    let address = upstream::start()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(compare(address))
}

/// Instructions and allocations of a call. Nothing where valgrind is not installed.
pub(crate) fn count() -> Result<Option<Table>, Failure> {
    let mut counts = Vec::new();
    for caller in [PLAIN, OURS] {
        match callgrind::measure(&[caller]) {
            Ok(counted) => counts.push(counted),
            Err(CountError::Missing) => {
                eprintln!("valgrind is not installed (Debian: apt-get install valgrind): no counts");
                return Ok(None);
            }
            Err(CountError::Failed(failure)) => return Err(failure),
        }
    }
    let mut table = Table::new(
        "In process, by callgrind: per call, one at a time".to_owned(),
        &["", "plain reqwest", "authenticated client"],
    );
    type Count = (&'static str, fn(&Counts) -> f64);
    let columns: [Count; 2] = [
        ("instructions", |counts| counts.instructions),
        ("allocations", |counts| counts.allocations),
    ];
    for (name, count) in columns {
        table.add([
            Field::text(name),
            Field::text(format!("{:.0}", count(&counts[0]))),
            Field::text(format!("{:.0}", count(&counts[1]))),
        ]);
    }
    Ok(Some(table))
}

/// What runs under valgrind: so many calls by one of the two.
pub(crate) fn in_process(caller: &str, calls: &str) -> Result<(), Failure> {
    let (address, calls) = (upstream::start()?, calls.parse::<usize>()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let callers = runtime.block_on(Callers::of(address))?;
    let caller = match caller {
        PLAIN => callers.plain,
        OURS => callers.ours,
        _ => return Err("no such caller".into()),
    };
    // Opens the connection.
    runtime.block_on(caller.call())?;
    let mut outcome = Ok(());
    counted_requests(&mut || {
        outcome = runtime.block_on(async {
            for _ in 0..calls {
                caller.call().await?;
            }
            Ok(())
        });
    });
    outcome
}

/// Both, with a token of the same session.
struct Callers {
    plain: Caller,
    ours: Caller,
    /// Keeps the provider up.
    _provider: DevProvider,
}

impl Callers {
    async fn of(address: SocketAddr) -> Result<Self, Failure> {
        let provider = world::provider().start().await?;
        let auth = world::auth(&provider)
            .other_api(format!("http://{address}"))
            .secret(SecretKeys::random())
            .build()
            .await?;
        let id = world::sign_in(&auth, &provider).await?;
        let session: Session = auth.authenticate(Some(&id)).await?;
        let url: Arc<str> = format!("http://{address}/short").into();
        let ours = Caller::Ours {
            api: auth.client(&session),
            url: Arc::clone(&url),
        };
        let plain = Caller::Plain {
            // The same limit as the other client has.
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()?,
            url,
            token: auth.access_token(&session).await?.expose().into(),
        };
        Ok(Self {
            plain,
            ours,
            _provider: provider,
        })
    }
}

async fn compare(address: SocketAddr) -> Result<Table, Failure> {
    let Callers {
        plain,
        ours,
        _provider,
    } = Callers::of(address).await?;
    let mut table = Table::new(
        format!(
            "Calls of an API, {ROUNDS} rounds of {} s each; calls per second, median (min–max)",
            TURN.as_secs_f64()
        ),
        &["calls at once", "plain reqwest", "authenticated client", "ratio"],
    );
    for at_once in AT_ONCE {
        let (mut of_plain, mut of_ours) = (Vec::new(), Vec::new());
        // The first round opens connections and does not count. Who begins changes, round by round.
        for round in 0..=ROUNDS {
            let (first, second) = if round % 2 == 0 {
                (&plain, &ours)
            } else {
                (&ours, &plain)
            };
            let (first, second) = (turn(first, at_once).await?, turn(second, at_once).await?);
            let (plain, ours) = if round % 2 == 0 {
                (first, second)
            } else {
                (second, first)
            };
            if round > 0 {
                of_plain.push(plain);
                of_ours.push(ours);
            }
        }
        table.add([
            Field::text(at_once),
            Field::Spread(Spread::of(of_plain.iter().copied()), 0),
            Field::Spread(Spread::of(of_ours.iter().copied()), 0),
            Field::Spread(Spread::of_ratios(&of_ours, &of_plain), 3),
        ]);
    }
    Ok(table)
}

/// Calls per second during one turn, so many of them under way at once.
async fn turn(caller: &Caller, at_once: usize) -> Result<f64, Failure> {
    let calls = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let (caller, calls) = (caller.clone(), Arc::clone(&calls));
            tokio::spawn(async move {
                while begun.elapsed() < TURN {
                    caller.call().await?;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(calls.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}
