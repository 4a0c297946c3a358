//! How long the example applications take from the start of the process.

use std::time::Instant;

use auth_testing::DevProvider;
use reqwest::Method;

use crate::browser::{Browser, environment};
use crate::effort::Effort;
use crate::framework::Framework;
use crate::programs::{Program, Programs};
use crate::report::{Field, Section, Table};
use crate::setup::{Directory, resident_bytes};
use crate::world::USER;
use crate::{Failure, world};

/// How often each application is started; both once, then both again.
const ROUNDS: usize = 9;

/// Milliseconds, and MiB.
#[derive(Default)]
struct Times {
    health: Vec<f64>,
    signed_in: Vec<f64>,
    first_sign_in: Vec<f64>,
    later_sign_in: Vec<f64>,
    warm: Vec<f64>,
    memory: Vec<f64>,
}

pub(crate) fn measure(effort: Effort) -> Result<Section, Failure> {
    let programs = Programs::build()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut times = Framework::ALL.map(|framework| (framework, Times::default()));
    let rounds = effort.rounds(ROUNDS);
    runtime.block_on(async {
        let provider = world::provider().start().await?;
        // The first round reads the programs from the disk and does not count.
        for round in 0..=rounds {
            for (framework, times) in &mut times {
                let mut ignored = Times::default();
                let times = if round > 0 { times } else { &mut ignored };
                start(&programs, &provider, *framework, times).await?;
            }
        }
        Ok::<_, Failure>(())
    })?;
    let mut table = Table::new(
        format!(
            "From the start of an example application's process, {rounds} rounds; milliseconds, median (min–max), and \
             resident memory in MiB once it listens. Warm: started again on a store (SQLite) that holds the session"
        ),
        &[
            "application",
            "to the first 200 of `/healthz`",
            "to the first finished sign-in",
            "of that, the sign-in",
            "a later sign-in",
            "warm, to the first 200 of a protected route",
            "memory",
        ],
    );
    for (framework, times) in &times {
        table.add([
            Field::text(format!("{framework}-app")),
            Field::spread(&times.health, 1),
            Field::spread(&times.signed_in, 1),
            Field::spread(&times.first_sign_in, 1),
            Field::spread(&times.later_sign_in, 1),
            Field::spread(&times.warm, 1),
            Field::spread(&times.memory, 1),
        ]);
    }
    Ok(Section {
        tables: vec![table],
        ..Section::default()
    })
}

async fn start(
    programs: &Programs,
    provider: &DevProvider,
    framework: Framework,
    times: &mut Times,
) -> Result<(), Failure> {
    let directory = Directory::new()?;
    let store = format!("sqlite:{}", directory.file("sessions.db").display());
    let environment = environment(provider, &store);
    let browser = Browser::new()?;

    let program = programs.start(framework, &environment)?;
    good(&browser, &program, "/healthz", "").await?;
    times.health.push(millis(program.started_at));
    times
        .memory
        .push(resident_bytes(program.process_id())? / f64::from(1 << 20));
    let began = Instant::now();
    let cookie = browser.sign_in(provider, program.address, USER).await?;
    times.signed_in.push(millis(program.started_at));
    times.first_sign_in.push(millis(began));
    let began = Instant::now();
    browser.sign_in(provider, program.address, USER).await?;
    times.later_sign_in.push(millis(began));
    drop(program);

    let program = programs.start(framework, &environment)?;
    good(&browser, &program, "/api/ping", &cookie).await?;
    times.warm.push(millis(program.started_at));
    Ok(())
}

async fn good(browser: &Browser, program: &Program, path: &str, cookie: &str) -> Result<(), Failure> {
    let answer = browser.ask(Method::GET, program.address, path, cookie).await?;
    let status = answer.status();
    if status != 200 {
        return Err(format!("{path} answers {status}").into());
    }
    Ok(())
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
