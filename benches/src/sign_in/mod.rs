//! What a whole sign-in costs, from the callback to the session, beside the check of the ID token's signature alone.

mod apps;
mod attempts;
mod provider;
mod signature;

use std::time::Duration;

use auth_core::jose::Algorithm;

use crate::Failure;
use crate::effort::Effort;
use crate::framework::Framework;
use crate::report::{Field, Section, Spread, Table};
use crate::sign_in::apps::App;
use crate::sign_in::attempts::Attempts;
use crate::sign_in::provider::{Provider, Reference};
use crate::sign_in::signature::Keys;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];
/// How often each case gets its turn; all cases once, then all again.
const ROUNDS: usize = 15;
/// Sign-ins in a turn, one after the other, and as many again several at a time.
const SIGN_INS: usize = 120;
/// How many are under way at once, where several are.
const AT_ONCE: usize = 16;

/// What the turns of one framework and algorithm gave: a value for each round, in microseconds for each sign-in.
#[derive(Default)]
struct Measured {
    callback: Vec<f64>,
    at_once: Vec<f64>,
    bare: Vec<f64>,
    exchanges: Vec<f64>,
    signature: Vec<f64>,
}

pub(crate) fn measure(effort: Effort) -> Result<Section, Failure> {
    let (rounds, sign_ins) = (effort.rounds(ROUNDS), effort.count(SIGN_INS));
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
    for round in 0..=rounds {
        for (framework, algorithm, app, measured) in &mut cases {
            let attempts = Attempts::begin(&auth, &provider, &keys, *algorithm, 2 * sign_ins, &runtime)?;
            let (one_by_one, several) = attempts.requests().split_at(sign_ins);
            let before = provider.calls();
            let callback = app.sign_in(one_by_one, 1)?;
            let calls_each = (provider.calls() - before) as f64 / sign_ins as f64;
            let at_once = app.sign_in(several, AT_ONCE)?;
            let bare = app.ping(sign_ins)?;
            let exchanges = reference.exchange(&attempts.codes()[..sign_ins])?;
            let signature = keys.check(*algorithm, attempts.id_tokens())?;
            if round == 0 {
                continue;
            }
            calls.push((*framework, *algorithm, calls_each));
            measured.callback.push(micros(callback, sign_ins));
            measured.at_once.push(micros(at_once, sign_ins));
            measured.bare.push(micros(bare, sign_ins));
            measured.exchanges.push(micros(exchanges, sign_ins));
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
    Ok(Section {
        tables: tables(&cases, rounds, sign_ins),
        ..Section::default()
    })
}

fn micros(time: Duration, number: usize) -> f64 {
    time.as_secs_f64() * 1e6 / number as f64
}

fn tables(cases: &[(Framework, Algorithm, App, Measured)], rounds: usize, sign_ins: usize) -> Vec<Table> {
    let mut parts = Table::new(
        format!("A sign-in, {sign_ins} one after the other, {rounds} rounds; microseconds, median (min–max)"),
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
        let signature = Field::spread(&measured.signature, 1);
        let mut row = Vec::from(name());
        row.extend(
            [&measured.callback, &measured.bare, &measured.exchanges, &left].map(|v| Field::spread(v, 0)),
        );
        row.push(signature);
        parts.add(row);

        let mut row = Vec::from(name());
        row.extend(
            [&measured.callback, &measured.exchanges, &left].map(|v| Field::ratio(v, &measured.signature, 1)),
        );
        ratios.add(row);

        let rate = |values: &[f64]| Field::Spread(Spread::of(values.iter().map(|micros| 1e6 / micros)), 0);
        let mut row = Vec::from(name());
        row.extend([rate(&measured.at_once), rate(&measured.callback)]);
        rates.add(row);
    }
    vec![parts, ratios, rates]
}
