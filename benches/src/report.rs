//! The tables and the JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::callgrind::Counts;
use crate::load::{CONNECTIONS, Load, ROUNDS, TURN};
use crate::{Case, Framework};

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    loads: Vec<(Framework, Vec<LoadRow>)>,
    counts: Vec<(Framework, Vec<CountRow>)>,
}

#[derive(Debug)]
struct LoadRow {
    case: Case,
    requests_per_second: Spread,
    /// To the bare app's of the same round.
    ratio: Spread,
}

#[derive(Debug)]
struct CountRow {
    case: Case,
    instructions: f64,
    more_instructions: f64,
    allocations: f64,
    more_allocations: f64,
}

/// What the rounds gave.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: [f64; ROUNDS]) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values[ROUNDS / 2],
            min: values[0],
            max: values[ROUNDS - 1],
        }
    }

    fn to_json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl Report {
    pub(crate) fn add_load(&mut self, framework: Framework, loads: Vec<Load>) {
        let Some(bare) = loads.iter().find(|load| load.case == Case::Bare) else {
            return;
        };
        let bare = bare.requests_per_second;
        let rows = loads.iter().map(|load| LoadRow {
            case: load.case,
            requests_per_second: Spread::of(load.requests_per_second),
            ratio: Spread::of(std::array::from_fn(|round| {
                load.requests_per_second[round] / bare[round]
            })),
        });
        self.loads.push((framework, rows.collect()));
    }

    pub(crate) fn add_counts(&mut self, framework: Framework, counts: &[(Case, Counts)]) {
        let Some((_, bare)) = counts.iter().find(|(case, _)| *case == Case::Bare) else {
            return;
        };
        let rows = counts.iter().map(|(case, counts)| CountRow {
            case: *case,
            instructions: counts.instructions,
            more_instructions: counts.instructions - bare.instructions,
            allocations: counts.allocations,
            more_allocations: counts.allocations - bare.allocations,
        });
        self.counts.push((framework, rows.collect()));
    }

    pub(crate) fn to_json(&self) -> Value {
        let loads = rows(&self.loads).map(|(framework, row)| {
            json!({
                "framework": framework.to_string(),
                "case": row.case.to_string(),
                "requests_per_second": row.requests_per_second.to_json(),
                "ratio_to_bare": row.ratio.to_json(),
            })
        });
        let counts = rows(&self.counts).map(|(framework, row)| {
            json!({
                "framework": framework.to_string(),
                "case": row.case.to_string(),
                "instructions_per_request": row.instructions,
                "instructions_more_than_bare": row.more_instructions,
                "allocations_per_request": row.allocations,
                "allocations_more_than_bare": row.more_allocations,
            })
        });
        json!({
            "connections": CONNECTIONS,
            "rounds": ROUNDS,
            "seconds_per_round": TURN.as_secs_f64(),
            "load": loads.collect::<Vec<_>>(),
            "counts": counts.collect::<Vec<_>>(),
        })
    }
}

/// Two tables in Markdown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Over loopback: one worker thread, {CONNECTIONS} connections, {ROUNDS} rounds of {} s; median (min–max)\n",
            TURN.as_secs_f64()
        )?;
        writeln!(f, "| framework | case | requests/s | ratio to bare |")?;
        writeln!(f, "| --- | --- | --- | --- |")?;
        for (framework, row) in rows(&self.loads) {
            let (rate, ratio) = (row.requests_per_second, row.ratio);
            writeln!(
                f,
                "| {framework} | {} | {:.0} ({:.0}–{:.0}) | {:.2} ({:.2}–{:.2}) |",
                row.case, rate.median, rate.min, rate.max, ratio.median, ratio.min, ratio.max,
            )?;
        }
        if self.counts.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\nIn process, by callgrind: per request, and how many more than bare\n"
        )?;
        writeln!(
            f,
            "| framework | case | instructions | more | allocations | more |"
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        for (framework, row) in rows(&self.counts) {
            writeln!(
                f,
                "| {framework} | {} | {:.0} | {:.0} | {:.1} | {:.1} |",
                row.case, row.instructions, row.more_instructions, row.allocations, row.more_allocations,
            )?;
        }
        Ok(())
    }
}

fn rows<T>(frameworks: &[(Framework, Vec<T>)]) -> impl Iterator<Item = (Framework, &T)> {
    frameworks
        .iter()
        .flat_map(|(framework, rows)| rows.iter().map(|row| (*framework, row)))
}
