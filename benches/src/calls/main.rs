//! What the client for APIs costs beside plain reqwest, and a proxy beside a handler that forwards by hand.
//!
//! `cargo run --release -p auth-benches --bin auth-call-benches`; `README.md` says what the numbers mean.

mod apps;
#[path = "../callgrind.rs"]
mod callgrind;
mod client;
mod forwarding;
#[path = "../stores/report.rs"]
#[expect(dead_code, reason = "the stores need more of it")]
mod report;
#[path = "../sign_in.rs"]
mod sign_in;
mod upstream;
#[path = "../world.rs"]
mod world;

use std::process::ExitCode;

use serde_json::json;

use crate::apps::{Framework, Handler};
use crate::report::Table;

/// Whatever goes wrong ends the measurement; the text is all that anyone does with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!(
            "auth-call-benches: this is a debug build; its numbers say little. Use cargo run --release."
        );
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => of_client().and_then(|mut tables| {
            tables.push(forwarding::measure()?);
            finish(tables)
        }),
        ["client"] => of_client().and_then(finish),
        [callgrind::IN_PROCESS, caller, calls] => client::in_process(caller, calls),
        ["proxy"] => forwarding::measure().and_then(|table| finish(vec![table])),
        // This binary again, as the application under measurement.
        [apps::SERVE, framework, handler, upstream] => Framework::parse(framework)
            .and_then(|framework| apps::serve(framework, Handler::parse(handler)?, upstream)),
        _ => Err("the arguments are `client`, `proxy`, or none".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("auth-call-benches: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn of_client() -> Result<Vec<Table>, Failure> {
    let mut tables = vec![client::measure()?];
    tables.extend(client::count()?);
    Ok(tables)
}

/// Prints the tables, and writes them down.
fn finish(tables: Vec<Table>) -> Result<(), Failure> {
    for table in &tables {
        println!("{table}");
    }
    let binary = std::env::current_exe()?;
    let directory = binary
        .ancestors()
        .nth(2)
        .ok_or("this binary lies in no directory")?;
    let path = directory.join("call-bench.json");
    let json: Vec<_> = tables.iter().map(Table::to_json).collect();
    std::fs::write(&path, format!("{:#}\n", json!(json)))?;
    println!("written to {}", path.display());
    Ok(())
}
