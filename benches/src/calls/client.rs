//! Calls per second: the client for APIs, with the session's token and with one that it was exchanged for, and plain
//! reqwest with a header set by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auth_core::SecretKeys;
use auth_core::client::AuthenticatedClient;
use auth_core::session::Session;
use auth_testing::Endpoint;

use super::upstream;
use crate::effort::Effort;
use crate::report::{Field, Section, Table};
use crate::{Failure, world};

/// How often each client gets its turn; all once, then all again.
const ROUNDS: usize = 21;
/// How long a turn takes.
const TURN: Duration = Duration::from_millis(300);
/// How many calls are under way at once.
const AT_ONCE: [usize; 2] = [1, 32];

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

pub(super) fn measure(effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let address = upstream::start()?;
    let runtime = tokio::runtime::Runtime::new()?;
    section.tables.push(runtime.block_on(compare(address, effort))?);
    Ok(())
}

async fn compare(address: SocketAddr, effort: Effort) -> Result<Table, Failure> {
    // No token is refreshed or exchanged again while calls are counted.
    let provider = world::provider()
        .access_token_lifetime(Duration::from_secs(24 * 60 * 60))
        .start()
        .await?;
    let auth = world::auth(&provider)
        .other_api(format!("http://{address}"))
        .secret(SecretKeys::random())
        .build()
        .await?;
    let id = world::sign_in(&auth, &provider).await?;
    let session: Session = auth.authenticate(Some(&id)).await?;
    let url: Arc<str> = format!("http://{address}/short").into();
    let callers = [
        Caller::Plain {
            // The same limit as the other client has.
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()?,
            url: Arc::clone(&url),
            token: auth.access_token(&session).await?.expose().into(),
        },
        Caller::Ours {
            api: auth.client(&session),
            url: Arc::clone(&url),
        },
        Caller::Ours {
            api: auth.client(&session).for_audience(provider.api2_url()),
            url,
        },
    ];
    let (rounds, time) = (effort.rounds(ROUNDS), effort.time(TURN));
    let mut table = Table::new(
        format!(
            "Calls of an API, {rounds} rounds of {} s each; calls per second, median (min–max)",
            time.as_secs_f64()
        ),
        &[
            "calls at once",
            "plain reqwest",
            "authenticated client",
            "ratio",
            "with an exchanged token",
            "its ratio",
        ],
    );
    let mut asked = 0;
    for at_once in AT_ONCE {
        let mut rates: [Vec<f64>; 3] = Default::default();
        // The first round opens connections, exchanges the token and does not count. Who begins changes, round by round.
        for round in 0..=rounds {
            for turn_number in 0..callers.len() {
                let which = (round + turn_number) % callers.len();
                let rate = turn(&callers[which], at_once, time).await?;
                if round > 0 {
                    rates[which].push(rate);
                }
            }
            if round == 0 {
                asked = provider.control().count(Endpoint::Token);
            }
        }
        if provider.control().count(Endpoint::Token) != asked {
            return Err("a token was asked for that should be at hand".into());
        }
        let [plain, ours, exchanged] = &rates;
        table.add([
            Field::text(at_once),
            Field::spread(plain, 0),
            Field::spread(ours, 0),
            Field::ratio(ours, plain, 3),
            Field::spread(exchanged, 0),
            Field::ratio(exchanged, plain, 3),
        ]);
    }
    Ok(table)
}

/// Calls per second during one turn, so many of them under way at once.
async fn turn(caller: &Caller, at_once: usize, time: Duration) -> Result<f64, Failure> {
    let calls = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let (caller, calls) = (caller.clone(), Arc::clone(&calls));
            tokio::spawn(async move {
                while begun.elapsed() < time {
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
