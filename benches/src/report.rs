//! What was measured, as Markdown and as JSON: tables, and the targets that they are held against.

use std::fmt;

use serde_json::{Map, Value, json};

/// What a part gives.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) tables: Vec<Table>,
    pub(crate) targets: Vec<Target>,
    /// Something went wrong that must not: the command fails.
    pub(crate) is_broken: bool,
}

impl Section {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "tables": self.tables.iter().map(Table::to_json).collect::<Vec<_>>(),
            "targets": self.targets.iter().map(Target::to_json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, table) in self.tables.iter().enumerate() {
            let gap = if number > 0 { "\n" } else { "" };
            write!(f, "{gap}{table}")?;
        }
        if self.targets.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n| target | aim | measured | |\n| --- | --- | --- | --- |")?;
        self.targets.iter().try_for_each(|target| write!(f, "{target}"))
    }
}

/// A value that a measurement is to reach.
#[derive(Debug)]
pub(crate) struct Target {
    what: String,
    aim: Aim,
    measured: f64,
    decimals: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    Exactly(f64),
}

impl Target {
    pub(crate) fn new(what: impl Into<String>, aim: Aim, measured: f64, decimals: usize) -> Self {
        Self {
            what: what.into(),
            aim,
            measured,
            decimals,
        }
    }

    pub(crate) fn is_met(&self) -> bool {
        match self.aim {
            Aim::AtLeast(aim) => self.measured >= aim,
            Aim::AtMost(aim) => self.measured <= aim,
            // Counts of a few thousand requests, one of which may have met a background task.
            Aim::Exactly(aim) => (self.measured - aim).abs() < 0.01,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "target": self.what,
            "aim": self.aim.to_string(),
            "measured": self.measured,
            "met": self.is_met(),
        })
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(aim) => write!(f, "≥ {aim}"),
            Self::AtMost(aim) => write!(f, "≤ {aim}"),
            Self::Exactly(aim) => write!(f, "{aim}"),
        }
    }
}

/// A row.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, aim, .. } = self;
        let (measured, decimals) = (self.measured, self.decimals);
        let met = if self.is_met() { "met" } else { "**not met**" };
        writeln!(f, "| {what} | {aim} | {measured:.decimals$} | {met} |")
    }
}

/// A table, and what stands above it.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<Field>>,
}

/// A field of a table.
#[derive(Debug)]
pub(crate) enum Field {
    Text(String),
    /// A number that there is only one of, and its decimals.
    Number(f64, usize),
    /// What several rounds gave, and the decimals of each.
    Spread(Spread, usize),
}

/// What the rounds gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of no values it is not a number.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self {
            median: at(values.len() / 2),
            min: at(0),
            max: at(values.len().saturating_sub(1)),
        }
    }

    /// Of the quotients of values of the same round.
    pub(crate) fn of_ratios(values: &[f64], base: &[f64]) -> Self {
        Self::of(values.iter().zip(base).map(|(value, base)| value / base))
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &'static [&'static str]) -> Self {
        Self {
            title: title.into(),
            columns,
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, row: impl Into<Vec<Field>>) {
        self.rows.push(row.into());
    }

    fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let fields = self.columns.iter().zip(row);
            let fields = fields.map(|(column, cell)| ((*column).to_owned(), cell.to_json()));
            Value::Object(Map::from_iter(fields))
        });
        json!({ "title": self.title, "rows": rows.collect::<Vec<_>>() })
    }
}

impl Field {
    pub(crate) fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    /// What several rounds gave.
    pub(crate) fn spread(values: &[f64], decimals: usize) -> Self {
        Self::Spread(Spread::of(values.iter().copied()), decimals)
    }

    /// Quotients of values of the same round.
    pub(crate) fn ratio(values: &[f64], base: &[f64], decimals: usize) -> Self {
        Self::Spread(Spread::of_ratios(values, base), decimals)
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number, _) => json!(number),
            Self::Spread(Spread { median, min, max }, _) => {
                json!({ "median": median, "min": min, "max": max })
            }
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "| {} |", self.columns.join(" | "))?;
        writeln!(f, "| {} |", vec!["---"; self.columns.len()].join(" | "))?;
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Field::to_string).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number, decimals) => write!(f, "{number:.decimals$}"),
            Self::Spread(Spread { median, min, max }, decimals) => {
                write!(f, "{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
            }
        }
    }
}

/// A share of sorted values lies at or below this one.
pub(crate) fn quantile(sorted: &[u64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).map_or(f64::NAN, |value| *value as f64)
}
