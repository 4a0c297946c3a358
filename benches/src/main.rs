//! What a protected route costs beside the same route without authentication, on axum and on actix-web.
//!
//! `cargo run --release -p auth-benches` measures requests per second over loopback and, where valgrind is installed,
//! instructions and heap allocations per request. `README.md` says what the numbers mean.

mod actix_app;
mod axum_app;
mod callgrind;
mod load;
mod report;
mod sign_in;
mod world;

use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;

use auth_core::Auth;

use crate::callgrind::{CountError, Counts};
use crate::report::Report;
use crate::sign_in::SignedIn;

/// Whatever goes wrong ends the measurement; the text is all that anyone does with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The framework that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framework {
    Axum,
    Actix,
}

impl Framework {
    const ALL: [Self; 2] = [Self::Axum, Self::Actix];

    /// Serves the case's app on a free port of the loopback interface until the process ends.
    fn serve(self, case: Case, auth: &Auth) -> Result<SocketAddr, Failure> {
        match self {
            Self::Axum => axum_app::serve(case, auth.clone()),
            Self::Actix => actix_app::serve(case, auth.clone()),
        }
    }

    /// Sends `requests` requests through the case's app, without a network, inside of
    /// [`counted_requests`](callgrind::counted_requests).
    fn answer_in_process(self, case: Case, requests: usize) -> Result<(), Failure> {
        match self {
            Self::Axum => axum_app::answer_in_process(case, requests),
            Self::Actix => actix_app::answer_in_process(case, requests),
        }
    }
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

/// What is asked of which app. The handler always answers `pong`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// No layer, and the handler asks for nothing: what the others are measured against.
    Bare,
    /// Inside of the layer, but the handler does not ask who is signed in.
    Public,
    /// The handler takes `RequireAuth`, and the request's cookie is that of a signed-in session.
    Protected,
    /// The handler takes `RequireAuth`, and the request has no cookie: 401.
    Anonymous,
}

impl Case {
    const ALL: [Self; 4] = [Self::Bare, Self::Public, Self::Protected, Self::Anonymous];

    /// The status that each answer must have.
    fn status(self) -> u16 {
        match self {
            Self::Bare | Self::Public | Self::Protected => 200,
            Self::Anonymous => 401,
        }
    }

    /// The request's header fields: what a browser sends for `fetch("/api/ping")`.
    fn headers(self, signed_in: &SignedIn) -> Vec<(&'static str, &str)> {
        let mut headers = vec![
            ("host", "127.0.0.1"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            ),
            ("accept", "*/*"),
            ("accept-language", "en-US,en;q=0.5"),
            ("sec-fetch-dest", "empty"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-site", "same-origin"),
        ];
        if self != Self::Anonymous {
            headers.push(("cookie", signed_in.cookie()));
        }
        headers
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare",
            Self::Public => "public",
            Self::Protected => "protected",
            Self::Anonymous => "anonymous",
        })
    }
}

impl FromStr for Case {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let known = Self::ALL.into_iter().find(|known| known.to_string() == text);
        known.ok_or_else(|| format!("no such case: {text}").into())
    }
}

/// The route under measurement.
const PATH: &str = "/api/ping";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => measure(),
        [callgrind::IN_PROCESS, framework, case, requests] => in_process(framework, case, requests),
        _ => Err("it takes no arguments".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("auth-benches: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The one command: measures everything, prints the tables, writes the JSON.
fn measure() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!("auth-benches: this is a debug build; its numbers say little. Use cargo run --release.");
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let signed_in = runtime.block_on(SignedIn::at_a_new_provider())?;
    let mut report = Report::default();

    for framework in Framework::ALL {
        eprintln!("measuring requests per second of {framework}");
        report.add_load(framework, load::measure(framework, &signed_in)?);
    }
    for framework in Framework::ALL {
        eprintln!("counting instructions per request of {framework}");
        match count(framework) {
            Ok(counts) => report.add_counts(framework, &counts),
            Err(CountError::Missing) => {
                eprintln!(
                    "valgrind is not installed (Debian: apt-get install valgrind), so instructions and allocations \
                     are left out"
                );
                break;
            }
            Err(CountError::Failed(failure)) => return Err(failure),
        }
    }

    print!("{report}");
    let path = callgrind::target_directory()?.join("bench.json");
    std::fs::write(&path, format!("{:#}\n", report.to_json()))?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// Counts for all cases of a framework.
fn count(framework: Framework) -> Result<Vec<(Case, Counts)>, CountError> {
    let count = |case: Case| {
        let counts = callgrind::measure(&[&framework.to_string(), &case.to_string()])?;
        Ok((case, counts))
    };
    Case::ALL.into_iter().map(count).collect()
}

/// What runs under valgrind.
fn in_process(framework: &str, case: &str, requests: &str) -> Result<(), Failure> {
    framework
        .parse::<Framework>()?
        .answer_in_process(case.parse()?, requests.parse()?)
}
