//! What an access token costs an API: one that was seen before beside a handler that checks nothing, and a new one beside the
//! check of its signature.
//!
//! `cargo run --release -p auth-benches --bin auth-bearer-benches`; `README.md` says what the numbers mean.

mod apps;
#[path = "../callgrind.rs"]
mod callgrind;
mod load;
mod tokens;

use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;

use auth_axum::ResourceServer;
use auth_testing::{DevProvider, SigningAlgorithm};
use tokio::runtime::{Handle, Runtime};

use crate::callgrind::{CountError, Counts};
use crate::load::Target;
use crate::tokens::Tokens;

/// Whatever goes wrong ends the measurement; the text is all that anyone does with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the tokens are for.
const API: &str = "https://api.example";
/// How often each case gets its turn; all cases once, then all again.
const ROUNDS: usize = 41;
/// The first argument in place of a framework: new tokens, without one.
const NEW: &str = "new";

/// The framework that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framework {
    Axum,
    Actix,
}

/// What is asked. The handler always answers `pong`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// No layer, and the handler asks for nothing. Of a new token: the check of its signature alone.
    Bare,
    /// Inside of the layer, and the handler takes the token. Of a new token: the whole check.
    Bearer,
}

impl Framework {
    const ALL: [Self; 2] = [Self::Axum, Self::Actix];
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
        })
    }
}

impl FromStr for Framework {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let known = Self::ALL.into_iter().find(|known| known.to_string() == text);
        known.ok_or_else(|| format!("no such framework: {text}").into())
    }
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

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => measure(),
        [callgrind::IN_PROCESS, what, case, requests] => in_process(what, case, requests),
        _ => Err("it takes no arguments".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("auth-bearer-benches: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The one command: measures everything and prints the tables.
fn measure() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!(
            "auth-bearer-benches: this is a debug build; its numbers say little. Use cargo run --release."
        );
    }
    let runtime = Runtime::new()?;
    repeated_tokens(&runtime)?;
    new_tokens(&runtime)?;
    counts()
}

fn repeated_tokens(runtime: &Runtime) -> Result<(), Failure> {
    println!(
        "A repeated token, over loopback: one worker thread; median (min–max) of {ROUNDS} rounds of {} s\n",
        load::TURN.as_secs_f64()
    );
    println!("| framework | bare handler, requests/s | with a token, requests/s | ratio |");
    println!("| --- | --- | --- | --- |");
    let repeated = runtime.block_on(Repeated::at_a_new_provider())?;
    for framework in Framework::ALL {
        let target = |case| -> Result<Target, Failure> {
            let address = framework.serve(case, &repeated.server)?;
            Ok(Target::new(address, &repeated.header))
        };
        let (bare, bearer) = (target(Case::Bare)?, target(Case::Bearer)?);
        let (mut of_bare, mut of_bearer, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (plain, checked) = (bare.take_turn()?, bearer.take_turn()?);
            of_bare.push(plain);
            of_bearer.push(checked);
            ratios.push(checked / plain);
        }
        println!(
            "| {framework} | {} | {} | {} |",
            spread(of_bare, 0),
            spread(of_bearer, 0),
            spread(ratios, 2)
        );
    }
    Ok(())
}

fn new_tokens(runtime: &Runtime) -> Result<(), Failure> {
    println!(
        "\nA new token, in process; median (min–max) of {ROUNDS} rounds of {} tokens\n",
        tokens::ROUND
    );
    println!("| algorithm | signature check alone, µs | new token, µs | more, µs | ratio |");
    println!("| --- | --- | --- | --- | --- |");
    for algorithm in [
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
    ] {
        let provider = runtime.block_on(start(algorithm))?;
        let server = checking(&provider, runtime.handle())?;
        let mut tokens = Tokens::of(&provider)?;
        let (mut alone, mut whole, mut more, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let round = tokens.round(runtime, &server)?;
            alone.push(round.signature);
            whole.push(round.token);
            more.push(round.token - round.signature);
            ratios.push(round.token / round.signature);
        }
        println!(
            "| {} | {} | {} | {} | {} |",
            algorithm.name(),
            spread(alone, 1),
            spread(whole, 1),
            spread(more, 1),
            spread(ratios, 2)
        );
    }
    Ok(())
}

fn counts() -> Result<(), Failure> {
    let mut rows = Vec::new();
    for what in ["axum", "actix", NEW] {
        let count = |case: Case| callgrind::measure(&[what, &case.to_string()]);
        match (count(Case::Bare), count(Case::Bearer)) {
            (Ok(bare), Ok(bearer)) => rows.push((what, bare, bearer)),
            (Err(CountError::Missing), _) | (_, Err(CountError::Missing)) => {
                eprintln!("valgrind is not installed (Debian: apt-get install valgrind): no counts");
                return Ok(());
            }
            (Err(CountError::Failed(failure)), _) | (_, Err(CountError::Failed(failure))) => {
                return Err(failure);
            }
        }
    }
    println!("\nIn process, by callgrind: per request, or per new token (ES256)\n");
    println!("| what | bare: instructions | with a token | more | bare: allocations | with a token | more |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (what, bare, bearer) in rows {
        let Counts {
            instructions,
            allocations,
        } = bearer;
        println!(
            "| {what} | {:.0} | {instructions:.0} | {:.0} | {:.1} | {allocations:.1} | {:.1} |",
            bare.instructions,
            instructions - bare.instructions,
            bare.allocations,
            allocations - bare.allocations,
        );
    }
    Ok(())
}

/// What runs under valgrind.
fn in_process(what: &str, case: &str, requests: &str) -> Result<(), Failure> {
    let (case, requests) = (case.parse()?, requests.parse()?);
    if what == NEW {
        return tokens::check_in_process(case, requests);
    }
    what.parse::<Framework>()?.answer_in_process(case, requests)
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

/// `median (min–max)`.
fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!(
        "{:.digits$} ({least:.digits$}–{most:.digits$})",
        values[values.len() / 2]
    )
}
