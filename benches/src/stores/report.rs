//! The tables, as Markdown and as JSON.

use std::fmt;

use serde_json::{Map, Value, json};

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
    median: f64,
    min: f64,
    max: f64,
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

    pub(crate) fn to_json(&self) -> Value {
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
