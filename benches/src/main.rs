//! What the library costs: routes, tokens, calls, sign-ins, stores, sessions, starts, and many minutes of all of it.
//!
//! `cargo run --release -p auth-benches` measures everything, prints the tables and writes them to `target/bench.json`.
//! `docs/performance.md` says what the numbers mean.

mod bearer;
mod browser;
mod callgrind;
mod calls;
mod effort;
mod framework;
mod herd;
mod load;
mod machine;
mod markdown;
mod programs;
mod relay;
mod report;
mod routes;
mod sessions;
mod setup;
mod sign_in;
mod signed_in;
mod soak;
mod start;
mod stores;
mod threads;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::effort::Effort;
use crate::machine::Machine;
use crate::report::Section;

/// Whatever goes wrong ends the measurement; the text is all that anyone does with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: auth-benches [PART…] [--all] [--quick] [--seconds N] [--markdown FILE]
  parts: routes, bearer, calls, sign-in, stores, herd, memory, start, soak; all but soak where none is named
  --all            the soak as well
  --quick          one round of each part, to see that it runs; the numbers say nothing
  --seconds N      how long the soak takes: 600
  --markdown FILE  writes the tables between their markers in FILE as well";

/// What can be measured on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Routes,
    Bearer,
    Calls,
    SignIn,
    Stores,
    Herd,
    Memory,
    Start,
    Soak,
}

impl Part {
    const ALL: [Self; 9] = [
        Self::Routes,
        Self::Bearer,
        Self::Calls,
        Self::SignIn,
        Self::Stores,
        Self::Herd,
        Self::Memory,
        Self::Start,
        Self::Soak,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Bearer => "bearer",
            Self::Calls => "calls",
            Self::SignIn => "sign-in",
            Self::Stores => "stores",
            Self::Herd => "herd",
            Self::Memory => "memory",
            Self::Start => "start",
            Self::Soak => "soak",
        }
    }

    fn measure(self, options: &Options) -> Result<Section, Failure> {
        let effort = options.effort;
        match self {
            Self::Routes => routes::measure(effort),
            Self::Bearer => bearer::measure(effort),
            Self::Calls => calls::measure(effort),
            Self::SignIn => sign_in::measure(effort),
            Self::Stores => tokio::runtime::Runtime::new()?.block_on(stores::measure(effort)),
            Self::Herd => tokio::runtime::Runtime::new()?.block_on(herd::measure(effort)),
            Self::Memory => sessions::measure(effort),
            Self::Start => start::measure(effort),
            Self::Soak => soak::measure(options.soak),
        }
    }
}

impl FromStr for Part {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| USAGE.into())
    }
}

struct Options {
    parts: Vec<Part>,
    effort: Effort,
    /// How long the soak takes.
    soak: Duration,
    markdown: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, Failure> {
        let mut options = Self {
            parts: Vec::new(),
            effort: Effort::Full,
            soak: Duration::from_secs(600),
            markdown: None,
        };
        let mut is_all = false;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--all" => is_all = true,
                "--quick" => options.effort = Effort::Quick,
                "--seconds" => {
                    let seconds = arguments.next().ok_or(USAGE)?;
                    options.soak = Duration::from_secs(seconds.parse().map_err(|_| USAGE)?);
                }
                "--markdown" => options.markdown = Some(arguments.next().ok_or(USAGE)?.into()),
                part => options.parts.push(part.parse()?),
            }
        }
        if options.parts.is_empty() || is_all {
            options.parts = Part::ALL
                .into_iter()
                .filter(|part| is_all || *part != Part::Soak)
                .collect();
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        // This binary again: under valgrind, weighed, or as the application under measurement.
        [
            callgrind::IN_PROCESS,
            "routes",
            framework,
            case,
            requests,
            prepared,
        ] => counts(requests, prepared)
            .and_then(|(requests, prepared)| routes::in_process(framework, case, requests, prepared)),
        [callgrind::IN_PROCESS, "bearer", what, case, requests, prepared] => counts(requests, prepared)
            .and_then(|(requests, prepared)| bearer::in_process(what, case, requests, prepared)),
        [callgrind::IN_PROCESS, "memory", what, sessions] => sessions::in_process(what, sessions),
        [calls::apps::SERVE, framework, handler, upstream] => {
            calls::apps::serve(framework, handler, upstream)
        }
        ["--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Options::parse(&arguments).and_then(|options| measure(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("auth-benches: {}", chain(&*failure));
            ExitCode::FAILURE
        }
    }
}

fn counts(requests: &str, prepared: &str) -> Result<(usize, usize), Failure> {
    Ok((requests.parse()?, prepared.parse()?))
}

/// The one command: measures the parts, prints the tables, writes the JSON.
fn measure(options: &Options) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!("auth-benches: this is a debug build; its numbers say little. Use cargo run --release.");
    }
    let machine = Machine::look();
    let mut sections = Vec::new();
    for part in &options.parts {
        eprintln!("measuring: {}", part.name());
        let section = part
            .measure(options)
            .map_err(|failure| format!("{}: {}", part.name(), chain(&*failure)))?;
        println!("## {}\n\n{section}", part.name());
        sections.push((*part, section));
    }

    let parts = sections
        .iter()
        .map(|(part, section)| (part.name().to_owned(), section.to_json()));
    let json = json!({
        "machine": machine.to_json(),
        "quick": options.effort == Effort::Quick,
        "parts": Value::Object(Map::from_iter(parts)),
    });
    let path = callgrind::target_directory()?.join("bench.json");
    std::fs::write(&path, format!("{json:#}\n"))?;
    println!("written to {}", path.display());
    if let Some(path) = &options.markdown {
        let mut texts = vec![("machine", machine.to_string())];
        texts.extend(
            sections
                .iter()
                .map(|(part, section)| (part.name(), section.to_string())),
        );
        markdown::write(path, &texts)?;
        println!("written to {}", path.display());
    }
    let broken = sections.iter().find(|(_, section)| section.is_broken);
    broken.map_or(Ok(()), |(part, _)| {
        Err(format!("{} went wrong", part.name()).into())
    })
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
