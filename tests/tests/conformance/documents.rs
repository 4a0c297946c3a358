//! The document, the list and the files say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::PLANS;

const DOCUMENT: &str = include_str!("../../../docs/conformance.md");
/// Where the document's links to the files begin.
const FOLDER: &str = "../tests/tests/conformance/";
/// Files that are no modules.
const OTHERS: [&str; 3] = ["main", "harness", "documents"];

/// A row of one of the document's tables.
struct Row {
    plan: String,
    module: String,
    /// What stands there of its file, or why there is none.
    here: String,
}

impl Row {
    fn file(&self) -> Option<&str> {
        let (_, link) = self.here.split_once(&format!("]({FOLDER}"))?;
        link.split_once(".rs)").map(|(file, _)| file)
    }
}

/// What is between the first two backticks.
fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

/// The rows under the headings that name a plan.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut plan = None;
    for line in DOCUMENT.lines() {
        if line.starts_with("## ") {
            plan = quoted(line).map(str::to_owned);
        }
        let Some(cells) = line.strip_prefix("| `") else {
            continue;
        };
        let (module, here) = cells
            .split_once("` | ")
            .unwrap_or_else(|| panic!("no table row: {line}"));
        rows.push(Row {
            plan: plan.clone().unwrap_or_else(|| panic!("under no plan: {line}")),
            module: module.to_owned(),
            here: here.trim_end_matches('|').trim().to_owned(),
        });
    }
    rows
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The modules that have a file.
fn files() -> BTreeSet<String> {
    std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !OTHERS.contains(&name.as_str()))
        .collect()
}

#[test]
fn every_file_is_run_and_every_module_that_is_run_has_its_file() {
    let run: BTreeSet<String> = PLANS
        .iter()
        .flat_map(|(_, modules)| modules.iter().map(|module| (*module).to_owned()))
        .collect();
    assert!(run.len() > 30, "{}", run.len());
    assert_eq!(files(), run);
}

#[test]
fn every_file_names_its_module_first() {
    for file in files() {
        let text = std::fs::read_to_string(folder().join(format!("{file}.rs"))).unwrap();
        let module = quoted(text.strip_prefix("//! ").unwrap()).unwrap();
        assert_eq!(module.replace('-', "_"), file);
    }
}

#[test]
fn the_document_lists_every_plan_with_the_modules_that_are_run() {
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows() {
        if let Some(file) = row.file() {
            assert_eq!(row.module.replace('-', "_"), file, "in {}", row.plan);
            assert!(
                listed
                    .entry(row.plan.clone())
                    .or_default()
                    .insert(file.to_owned()),
                "{file} stands there twice"
            );
        }
    }
    let mut run: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (plan, modules) in PLANS {
        run.entry((*plan).to_owned())
            .or_default()
            .extend(modules.iter().map(|module| (*module).to_owned()));
    }
    assert_eq!(listed, run);
}

#[test]
fn the_document_says_why_a_module_has_no_file() {
    let rows = rows();
    assert!(rows.len() > 90, "only {} rows", rows.len());
    for Row { plan, module, here } in rows.iter().filter(|row| row.file().is_none()) {
        assert!(
            here.starts_with("later: ") || here.starts_with("no: "),
            "{plan}, {module}: {here}"
        );
        assert!(here.len() > 12, "{plan}, {module}: {here}");
    }
}

#[test]
fn no_module_with_a_file_is_said_to_have_none() {
    let files = files();
    for row in rows() {
        let has_file = files.contains(&row.module.replace('-', "_"));
        assert_eq!(has_file, row.file().is_some(), "{}, {}", row.plan, row.module);
    }
}
