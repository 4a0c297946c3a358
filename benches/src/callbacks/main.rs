//! What a whole sign-in costs, from the callback to the session, beside the check of the ID token's signature alone.
//!
//! `cargo run --release -p auth-benches --bin auth-sign-in-benches`; `README.md` says what the numbers mean.

mod apps;
mod attempts;
mod provider;
#[path = "../stores/report.rs"]
#[expect(dead_code, reason = "the stores need more of it")]
mod report;
mod signature;
#[path = "../world.rs"]
#[expect(dead_code, reason = "the others need more of it")]
mod world;

use std::process::ExitCode;
use std::time::Duration;

use auth_core::jose::Algorithm;
use serde_json::json;

use crate::apps::{App, Framework};
use crate::attempts::Attempts;
use crate::provider::{Provider, Reference};
use crate::report::{Field, Spread, Table};
use crate::signature::Keys;

/// Whatever goes wrong ends the measurement; the text is all that anyone does with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];
/// How often each case gets its turn; all cases once, then all again.
const ROUNDS: usize = 15;
/// Sign-ins in a turn, one after the other, and as many again several at a time.
const SIGN_INS: usize = 120;
/// How many are under way at once, where several are.
const AT_ONCE: usize = 16;

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!(
            "auth-sign-in-benches: this is a debug build; its numbers say little. Use cargo run --release."
        );
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("auth-sign-in-benches: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What the turns of one framework and algorithm gave: a value for each round, in microseconds for each sign-in.
#[derive(Default)]
struct Measured {
    callback: Vec<f64>,
    at_once: Vec<f64>,
    bare: Vec<f64>,
    exchanges: Vec<f64>,
    signature: Vec<f64>,
}

fn measure() -> Result<(), Failure> {
    let keys = Keys::generate()?;
    let provider = Provider::start(&keys)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let auth = runtime.block_on(attempts::auth(&provider))?;
    let reference = Reference::new(&provider)?;
    let mut cases = Vec::new();
    for framework in Framework::ALL {
        let app = App::serve(framework, &auth, &runtime)?;
        for algorithm in ALGORITHMS {
            cases.push((framework, algorithm, app, Measured::default()));
        }
    }
    let mut calls = Vec::new();
    // The first round fetches what is kept, opens connections and does not count.
    for round in 0..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for (framework, algorithm, app, measured) in &mut cases {
            let attempts = Attempts::begin(&auth, &provider, &keys, *algorithm, 2 * SIGN_INS, &runtime)?;
            let (one_by_one, several) = attempts.requests().split_at(SIGN_INS);
            let before = provider.calls();
            let callback = app.sign_in(one_by_one, 1)?;
            let calls_each = (provider.calls() - before) as f64 / SIGN_INS as f64;
            let at_once = app.sign_in(several, AT_ONCE)?;
            let bare = app.ping(SIGN_INS)?;
            let exchanges = reference.exchange(&attempts.codes()[..SIGN_INS])?;
            let signature = keys.check(*algorithm, attempts.id_tokens())?;
            if round == 0 {
                continue;
            }
            calls.push((*framework, *algorithm, calls_each));
            measured.callback.push(micros(callback, SIGN_INS));
            measured.at_once.push(micros(at_once, SIGN_INS));
            measured.bare.push(micros(bare, SIGN_INS));
            measured.exchanges.push(micros(exchanges, SIGN_INS));
            measured
                .signature
                .push(micros(signature, attempts.id_tokens().len()));
        }
    }
    // One token request and one userinfo request for each sign-in, and nothing else.
    for (framework, algorithm, calls) in calls {
        if calls != 2.0 {
            return Err(
                format!("{framework}, {algorithm}: {calls} requests to the provider per sign-in").into(),
            );
        }
    }
    let tables = tables(&cases);
    for table in &tables {
        println!("{table}");
    }
    let binary = std::env::current_exe()?;
    let directory = binary
        .ancestors()
        .nth(2)
        .ok_or("this binary lies in no directory")?;
    let path = directory.join("sign-in-bench.json");
    let json: Vec<_> = tables.iter().map(Table::to_json).collect();
    std::fs::write(&path, format!("{:#}\n", json!(json)))?;
    println!("written to {}", path.display());
    Ok(())
}

fn micros(time: Duration, number: usize) -> f64 {
    time.as_secs_f64() * 1e6 / number as f64
}

fn tables(cases: &[(Framework, Algorithm, App, Measured)]) -> Vec<Table> {
    let mut parts = Table::new(
        format!("A sign-in, {SIGN_INS} one after the other, {ROUNDS} rounds; microseconds, median (min–max)"),
        &[
            "framework",
            "algorithm",
            "callback to session",
            "`pong` on the same framework",
            "the two requests to the provider, alone",
            "what is left",
            "signature check alone",
        ],
    );
    let mut ratios = Table::new(
        "The same as ratios to the signature check of the same round",
        &[
            "framework",
            "algorithm",
            "callback to session",
            "the two requests, alone",
            "what is left",
        ],
    );
    let mut rates = Table::new(
        format!("Sign-ins per second, {AT_ONCE} under way at once"),
        &["framework", "algorithm", "per second", "one after the other"],
    );
    for (framework, algorithm, _, measured) in cases {
        let left: Vec<f64> = (0..measured.callback.len())
            .map(|round| measured.callback[round] - measured.bare[round] - measured.exchanges[round])
            .collect();
        let name = || [Field::text(framework), Field::text(algorithm)];
        let spread = |values: &[f64]| Field::Spread(Spread::of(values.iter().copied()), 0);
        let signature = Field::Spread(Spread::of(measured.signature.iter().copied()), 1);
        let mut row = Vec::from(name());
        row.extend(
            [&measured.callback, &measured.bare, &measured.exchanges, &left].map(|values| spread(values)),
        );
        row.push(signature);
        parts.add(row);

        let ratio = |values: &[f64]| Field::Spread(Spread::of_ratios(values, &measured.signature), 1);
        let mut row = Vec::from(name());
        row.extend([&measured.callback, &measured.exchanges, &left].map(|values| ratio(values)));
        ratios.add(row);

        let rate = |values: &[f64]| Field::Spread(Spread::of(values.iter().map(|micros| 1e6 / micros)), 0);
        let mut row = Vec::from(name());
        row.extend([rate(&measured.at_once), rate(&measured.callback)]);
        rates.add(row);
    }
    vec![parts, ratios, rates]
}
