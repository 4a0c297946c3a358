//! What an access token costs an API: one that is sent again and again beside a route that asks for nothing, and a new one
//! beside the check of its signature.

mod apps;
mod tokens;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use auth_axum::ResourceServer;
use auth_testing::{DevProvider, SigningAlgorithm};
use tokio::runtime::{Handle, Runtime};

use crate::bearer::tokens::Tokens;
use crate::callgrind;
use crate::effort::Effort;
use crate::framework::Framework;
use crate::load::{self, Turns};
use crate::report::{Aim, Field, Section, Spread, Table, Target};
use crate::{Failure, Part};

/// What the tokens are for.
const API: &str = "https://api.example";
/// The route under measurement.
const PATH: &str = "/api/ping";
/// How often each case gets its turn; all cases once, then all again.
const ROUNDS: usize = 41;
/// How long a turn takes: short, so that whatever else the machine does hits both cases.
const TURN: Duration = Duration::from_millis(100);
/// In place of a framework: new tokens, without one.
const NEW: &str = "new";

/// What is asked. The handler always answers `pong`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// No layer, and the handler asks for nothing. Of a new token: the check of its signature alone.
    Bare,
    /// Inside of the layer, and the handler takes the token. Of a new token: the whole check.
    Bearer,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare",
            Self::Bearer => "bearer",
        })
    }
}

impl FromStr for Case {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let known = [Self::Bare, Self::Bearer].into_iter();
        let mut known = known.filter(|known| known.to_string() == text);
        known.next().ok_or_else(|| format!("no such case: {text}").into())
    }
}

pub(crate) fn measure(effort: Effort) -> Result<Section, Failure> {
    let runtime = Runtime::new()?;
    let mut section = Section::default();
    repeated_tokens(&runtime, effort, &mut section)?;
    new_tokens(&runtime, effort, &mut section)?;
    counts(effort, &mut section)?;
    Ok(section)
}

fn repeated_tokens(runtime: &Runtime, effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let (rounds, turn) = (effort.rounds(ROUNDS), effort.time(TURN));
    let mut table = Table::new(
        format!(
            "A repeated token, over loopback: one worker thread; median (min–max) of {rounds} rounds of {} s, and how long \
             an answer takes with a token, in microseconds",
            turn.as_secs_f64()
        ),
        &[
            "framework",
            "bare handler, requests/s",
            "with a token, requests/s",
            "ratio",
            "p50",
            "p99",
            "p99.9",
        ],
    );
    let repeated = runtime.block_on(Repeated::at_a_new_provider())?;
    let headers = repeated.headers();
    for framework in Framework::ALL {
        let target = |case| -> Result<load::Target, Failure> {
            let address = apps::serve(framework, case, &repeated.server)?;
            Ok(load::Target::new(address, PATH, &headers, 200))
        };
        let (bare, bearer) = (target(Case::Bare)?, target(Case::Bearer)?);
        let (mut of_bare, mut of_bearer) = (Turns::default(), Turns::default());
        for _ in 0..rounds {
            bare.take_turn(turn, &mut of_bare)?;
            bearer.take_turn(turn, &mut of_bearer)?;
        }
        let ratio = Spread::of_ratios(&of_bearer.rates, &of_bare.rates);
        let [p50, p99, p999] = of_bearer.percentiles();
        table.add([
            Field::text(framework),
            Field::spread(&of_bare.rates, 0),
            Field::spread(&of_bearer.rates, 0),
            Field::Spread(ratio, 2),
            p50,
            p99,
            p999,
        ]);
        section.targets.push(Target::new(
            format!("a repeated token beside the bare handler, {framework}"),
            Aim::AtLeast(0.9),
            ratio.median,
            2,
        ));
    }
    section.tables.push(table);
    Ok(())
}

fn new_tokens(runtime: &Runtime, effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let rounds = effort.rounds(ROUNDS);
    let mut table = Table::new(
        format!(
            "A new token, in process; median (min–max) of {rounds} rounds of {} tokens",
            tokens::ROUND
        ),
        &[
            "algorithm",
            "signature check alone, µs",
            "new token, µs",
            "more, µs",
            "ratio",
        ],
    );
    for algorithm in [
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
    ] {
        let provider = runtime.block_on(start(algorithm))?;
        let server = checking(&provider, runtime.handle())?;
        let mut tokens = Tokens::of(&provider)?;
        let (mut alone, mut whole, mut more) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let round = tokens.round(runtime, &server)?;
            alone.push(round.signature);
            whole.push(round.token);
            more.push(round.token - round.signature);
        }
        let ratio = Spread::of_ratios(&whole, &alone);
        table.add([
            Field::text(algorithm.name()),
            Field::spread(&alone, 1),
            Field::spread(&whole, 1),
            Field::spread(&more, 1),
            Field::Spread(ratio, 2),
        ]);
        section.targets.push(Target::new(
            format!(
                "a new token beside the check of its signature, {}",
                algorithm.name()
            ),
            Aim::AtMost(1.1),
            ratio.median,
            2,
        ));
    }
    section.tables.push(table);
    Ok(())
}

fn counts(effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let mut table = Table::new(
        "In process, by callgrind: per request, or per new token (ES256)",
        &[
            "what",
            "bare: instructions",
            "with a token",
            "more instructions",
            "bare: allocations",
            "with a token: allocations",
            "more allocations",
        ],
    );
    // A run under valgrind takes seconds, however few requests it answers.
    let all: &[&str] = match effort {
        Effort::Full => &["axum", "actix", NEW],
        Effort::Quick => &[NEW],
    };
    for what in all.iter().copied() {
        let arguments = |case: Case| vec![Part::Bearer.name().to_owned(), what.to_owned(), case.to_string()];
        let counted = callgrind::measure_all([Case::Bare, Case::Bearer], arguments, effort)?;
        let Some([(_, bare), (_, bearer)]) = counted.as_deref() else {
            return Ok(());
        };
        table.add([
            Field::text(what),
            Field::Number(bare.instructions, 0),
            Field::Number(bearer.instructions, 0),
            Field::Number(bearer.instructions - bare.instructions, 0),
            Field::Number(bare.allocations, 1),
            Field::Number(bearer.allocations, 1),
            Field::Number(bearer.allocations - bare.allocations, 1),
        ]);
    }
    section.tables.push(table);
    Ok(())
}

/// What runs under valgrind.
pub(crate) fn in_process(what: &str, case: &str, requests: usize, prepared: usize) -> Result<(), Failure> {
    if what == NEW {
        return tokens::check_in_process(case.parse()?, requests, prepared);
    }
    apps::in_process(what.parse()?, case.parse()?, requests, prepared)
}

/// A server, and one token for it that is sent again and again.
struct Repeated {
    server: ResourceServer,
    /// The value of the `Authorization` header.
    header: String,
    /// Keeps the provider up.
    _provider: DevProvider,
}

impl Repeated {
    /// The same header fields to either app.
    fn headers(&self) -> [(&'static str, &str); 4] {
        [
            ("host", "127.0.0.1"),
            ("user-agent", "bench"),
            ("accept", "*/*"),
            ("authorization", &self.header),
        ]
    }

    async fn at_a_new_provider() -> Result<Self, Failure> {
        let provider = start(SigningAlgorithm::Es256).await?;
        let server = checking(&provider, &Handle::current())?;
        let token = Tokens::of(&provider)?.sign(0);
        Ok(Self {
            server,
            header: format!("Bearer {token}"),
            _provider: provider,
        })
    }
}

async fn start(algorithm: SigningAlgorithm) -> Result<DevProvider, Failure> {
    Ok(DevProvider::builder()
        .signing_algorithm(algorithm)
        .start()
        .await?)
}

fn checking(provider: &DevProvider, runtime: &Handle) -> Result<ResourceServer, Failure> {
    Ok(ResourceServer::builder()
        .issuer(provider.issuer())
        .audience(API)
        .runtime(runtime.clone())
        .build()?)
}
