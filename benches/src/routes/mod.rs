//! What a protected route costs beside the same route without authentication.

mod actix_app;
mod axum_app;
mod stores;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use actix_web::rt::System;
use auth_core::Auth;
use tokio::runtime::Runtime;

use crate::callgrind::{self, Counts};
use crate::effort::Effort;
use crate::framework::{Framework, InProcess};
use crate::load::{self, Turns};
use crate::report::{Aim, Field, Section, Spread, Table, Target};
use crate::signed_in::SignedIn;
use crate::{Failure, Part};

/// The route under measurement.
const PATH: &str = "/api/ping";
/// How often each case gets its turn; all cases once, then all again.
const ROUNDS: usize = 15;
/// How long a turn takes.
const TURN: Duration = Duration::from_millis(200);

/// What is asked of which app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// No layer, and the handler asks for nothing: what the others are measured against.
    Bare,
    /// Inside of a layer that does nothing, and the handler asks for nothing: what any layer costs.
    Layer,
    /// Inside of the layer, but the handler does not ask who is signed in.
    Public,
    /// The handler takes `RequireAuth`, and the request's cookie is that of a signed-in session.
    Protected,
    /// The handler takes `Option<RequireAuth>`, and there is a session.
    Optional,
    /// The same without a cookie.
    Guest,
    /// Behind a gate that asks for a role, which the session has.
    Role,
    /// Behind a gate that asks for a scope, which the session has.
    Scope,
    /// The handler takes `RequireAuth`, and the request has no cookie: 401.
    Anonymous,
    /// No layer, and the handler always gives the answer that an anonymous request gets, to the byte.
    Refusal,
}

impl Case {
    const ALL: [Self; 10] = [
        Self::Bare,
        Self::Layer,
        Self::Public,
        Self::Protected,
        Self::Optional,
        Self::Guest,
        Self::Role,
        Self::Scope,
        Self::Anonymous,
        Self::Refusal,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Layer => "layer",
            Self::Public => "public",
            Self::Protected => "protected",
            Self::Optional => "optional",
            Self::Guest => "guest",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::Anonymous => "anonymous",
            Self::Refusal => "refusal",
        }
    }

    /// The status that each answer must have.
    fn status(self) -> u16 {
        match self {
            Self::Anonymous | Self::Refusal => 401,
            _ => 200,
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
        if !matches!(self, Self::Guest | Self::Anonymous | Self::Refusal) {
            headers.push(("cookie", signed_in.cookie()));
        }
        headers
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Case {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| format!("no such case: {text}").into())
    }
}

/// What an anonymous request is answered with.
#[derive(Clone, Debug)]
struct Answer {
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    /// Asks the framework's app.
    fn of(framework: Framework, signed_in: &SignedIn) -> Result<Self, Failure> {
        let case = Case::Anonymous;
        let address = serve(framework, case, &signed_in.auth, &Self::none())?;
        let target = load::Target::new(address, PATH, &case.headers(signed_in), case.status());
        let answer = target.answer()?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer has a head")?;
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        // The server sets these by itself.
        let headers = headers.filter(|(name, _)| !matches!(*name, "date" | "content-length"));
        Ok(Self {
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        })
    }

    /// For the cases that do not need one.
    fn none() -> Self {
        Self {
            headers: Vec::new(),
            body: String::new(),
        }
    }
}

fn serve(framework: Framework, case: Case, auth: &Auth, answer: &Answer) -> Result<SocketAddr, Failure> {
    match framework {
        Framework::Axum => crate::framework::serve_axum(axum_app::app(case, auth, answer)),
        Framework::Actix => actix_app::serve(case, auth.clone(), answer.clone()),
    }
}

pub(crate) fn measure(effort: Effort) -> Result<Section, Failure> {
    let runtime = Runtime::new()?;
    let signed_in = runtime.block_on(SignedIn::at_a_new_provider())?;
    let mut section = Section::default();
    over_loopback(&signed_in, effort, &mut section)?;
    counts(effort, &mut section)?;
    stores::measure(&runtime, effort, &mut section)?;
    Ok(section)
}

fn over_loopback(signed_in: &SignedIn, effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let turn = effort.time(TURN);
    let mut table = Table::new(
        format!(
            "Over loopback: one worker thread, {} connections, {} rounds of {} s; median (min–max), and how long an answer \
             takes, in microseconds",
            load::CONNECTIONS,
            effort.rounds(ROUNDS),
            turn.as_secs_f64()
        ),
        &[
            "framework",
            "case",
            "requests/s",
            "ratio to bare",
            "ratio to a bare handler with the same answer",
            "p50",
            "p99",
            "p99.9",
        ],
    );
    for framework in Framework::ALL {
        let answer = Answer::of(framework, signed_in)?;
        let mut cases = Vec::new();
        for case in Case::ALL {
            let address = serve(framework, case, &signed_in.auth, &answer)?;
            let target = load::Target::new(address, PATH, &case.headers(signed_in), case.status());
            cases.push((case, target, Turns::default()));
        }
        for _ in 0..effort.rounds(ROUNDS) {
            for (_, target, turns) in &mut cases {
                target.take_turn(turn, turns)?;
            }
        }
        let rates = |wanted: Case| -> Vec<f64> {
            let found = cases.iter().find(|(case, ..)| *case == wanted);
            found.map_or_else(Vec::new, |(_, _, turns)| turns.rates.clone())
        };
        let (bare, refusal) = (rates(Case::Bare), rates(Case::Refusal));
        let aims = [
            (
                Case::Protected,
                &bare,
                "`RequireAuth` on the memory store beside the bare handler",
            ),
            (
                Case::Anonymous,
                &bare,
                "an anonymous refusal beside the bare handler",
            ),
            (
                Case::Anonymous,
                &refusal,
                "an anonymous refusal beside a bare handler with the same answer",
            ),
        ];
        for (case, base, what) in aims {
            let ratio = Spread::of_ratios(&rates(case), base).median;
            let what = format!("{what}, {framework}");
            section
                .targets
                .push(Target::new(what, Aim::AtLeast(0.95), ratio, 2));
        }
        for (case, _, turns) in &mut cases {
            let same_answer = match case {
                Case::Anonymous => Field::ratio(&turns.rates, &refusal, 2),
                _ => Field::text(""),
            };
            let [p50, p99, p999] = turns.percentiles();
            table.add([
                Field::text(framework),
                Field::text(*case),
                Field::spread(&turns.rates, 0),
                Field::ratio(&turns.rates, &bare, 2),
                same_answer,
                p50,
                p99,
                p999,
            ]);
        }
    }
    section.tables.push(table);
    Ok(())
}

fn counts(effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let mut table = Table::new(
        "In process, by callgrind: per request, and how many more than bare",
        &[
            "framework",
            "case",
            "instructions",
            "more instructions",
            "allocations",
            "more allocations",
        ],
    );
    for framework in Framework::ALL {
        let arguments = |case: Case| {
            let part = Part::Routes.name().to_owned();
            vec![part, framework.to_string(), case.to_string()]
        };
        // A run under valgrind takes seconds, however few requests it answers.
        let cases: &[Case] = match effort {
            Effort::Full => &Case::ALL,
            Effort::Quick => &[Case::Bare, Case::Protected],
        };
        let cases = cases.iter().copied();
        let Some(counts) = callgrind::measure_all(cases, arguments, effort)? else {
            return Ok(());
        };
        let Some((_, bare)) = counts.iter().find(|(case, _)| *case == Case::Bare) else {
            return Ok(());
        };
        for (case, counts) in &counts {
            let Counts {
                instructions,
                allocations,
            } = counts;
            let (more_instructions, more_allocations) =
                (instructions - bare.instructions, allocations - bare.allocations);
            table.add([
                Field::text(framework),
                Field::text(*case),
                Field::Number(*instructions, 0),
                Field::Number(more_instructions, 0),
                Field::Number(*allocations, 1),
                Field::Number(more_allocations, 1),
            ]);
            if *case == Case::Protected {
                section.targets.push(Target::new(
                    format!("instructions of its own per request with `RequireAuth`, {framework}"),
                    Aim::AtMost(4000.0),
                    more_instructions,
                    0,
                ));
                section.targets.push(Target::new(
                    format!("allocations of its own per request with `RequireAuth`, {framework}"),
                    Aim::AtMost(8.0),
                    more_allocations,
                    1,
                ));
            }
        }
    }
    section.tables.push(table);
    Ok(())
}

/// What runs under valgrind.
pub(crate) fn in_process(
    framework: &str,
    case: &str,
    requests: usize,
    prepared: usize,
) -> Result<(), Failure> {
    let (framework, case) = (framework.parse::<Framework>()?, case.parse::<Case>()?);
    let run = |signed_in: SignedIn, send: &dyn Fn(&InProcess<'_>, &Auth, &Answer) -> Result<(), Failure>| {
        let answer = match case {
            Case::Refusal => Answer::of(framework, &signed_in)?,
            _ => Answer::none(),
        };
        let in_process = InProcess {
            path: PATH,
            headers: &case.headers(&signed_in),
            status: case.status(),
            requests,
            prepared,
        };
        send(&in_process, &signed_in.auth, &answer)
    };
    match framework {
        Framework::Axum => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let signed_in = runtime.block_on(SignedIn::at_a_new_provider())?;
            run(signed_in, &|in_process, auth, answer| {
                in_process.through_axum(&runtime, axum_app::app(case, auth, answer))
            })
        }
        Framework::Actix => {
            let system = System::new();
            let signed_in = system.block_on(SignedIn::at_a_new_provider())?;
            run(signed_in, &|in_process, auth, answer| {
                actix_app::in_process(&system, case, in_process, auth, answer)
            })
        }
    }
}
