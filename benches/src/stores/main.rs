//! What the session stores cost, and how long a herd of requests waits for one refresh.
//!
//! `cargo run --release -p auth-benches --bin auth-store-benches` measures all; an argument (`herd`, `operations`,
//! `million`) picks one part. `README.md` says what the numbers mean.

mod herd;
mod million;
mod operations;
mod report;
mod setup;
#[path = "../world.rs"]
mod world;

use std::process::ExitCode;

use serde_json::json;

use crate::report::Table;

/// Whatever goes wrong ends the measurement; the text is all that anyone does with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What can be measured on its own.
#[derive(Clone, Copy, Debug)]
enum Part {
    Herd,
    Operations,
    Million,
}

impl Part {
    const ALL: [Self; 3] = [Self::Herd, Self::Operations, Self::Million];

    fn name(self) -> &'static str {
        match self {
            Self::Herd => "herd",
            Self::Operations => "operations",
            Self::Million => "million",
        }
    }

    async fn measure(self) -> Result<Vec<Table>, Failure> {
        match self {
            Self::Herd => herd::measure().await,
            Self::Operations => operations::measure().await,
            Self::Million => million::measure().await,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let parts = match &arguments[..] {
        [] => Some(Part::ALL.to_vec()),
        [name] => Part::ALL
            .into_iter()
            .find(|part| part.name() == name)
            .map(|part| vec![part]),
        _ => None,
    };
    let result = match parts {
        Some(parts) => measure(&parts),
        None => Err("it takes one argument at most: herd, operations or million".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("auth-store-benches: {}", chain(&*failure));
            ExitCode::FAILURE
        }
    }
}

/// The one command: measures the parts, prints the tables, writes the JSON.
fn measure(parts: &[Part]) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!(
            "auth-store-benches: this is a debug build; its numbers say little. Use cargo run --release."
        );
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let mut json = serde_json::Map::new();
    for part in parts {
        eprintln!("measuring: {}", part.name());
        let tables = runtime.block_on(part.measure())?;
        for table in &tables {
            println!("{table}");
        }
        let tables: Vec<_> = tables.iter().map(Table::to_json).collect();
        json.insert(part.name().to_owned(), json!(tables));
    }
    let binary = std::env::current_exe()?;
    let directory = binary
        .ancestors()
        .nth(2)
        .ok_or("this binary lies in no directory")?;
    let path = directory.join("store-bench.json");
    std::fs::write(&path, format!("{:#}\n", serde_json::Value::Object(json)))?;
    println!("written to {}", path.display());
    Ok(())
}

/// The text of an error and of all that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
