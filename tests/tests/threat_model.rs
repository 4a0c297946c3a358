//! The threat model names tests that exist, and what it says of the build is so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

use auth_tests::named_tests::{missing, names, workspace};

const THREATS: &str = include_str!("../../docs/threat-model.md");
const MISTAKES: &str = include_str!("../../docs/other-peoples-mistakes.md");
const CASES: &str = include_str!("behaviour/advisories.rs");

#[test]
fn every_test_that_the_documents_name_exists() {
    for (document, text, least) in [
        ("threat-model.md", THREATS, 100),
        ("other-peoples-mistakes.md", MISTAKES, 50),
    ] {
        let named = names(text).len();
        assert!(named >= least, "{document} names only {named} tests");
        let missing = missing(&workspace(), text);
        assert!(missing.is_empty(), "{document}: {missing:#?}");
    }
}

#[test]
fn every_threat_and_every_advisory_has_a_test() {
    for text in [THREATS, MISTAKES] {
        let mut heading = None;
        for line in text.lines() {
            if !line.starts_with('|') {
                heading = None;
                continue;
            }
            let is_named = *heading.get_or_insert_with(|| line.ends_with("| Tests |"));
            let is_row = !line.starts_with("| ---") && !line.ends_with("| Tests |");
            if is_named && is_row {
                assert!(line.contains(": ") && line.ends_with("` |"), "no test in: {line}");
            }
        }
    }
}

/// The identifiers of advisories in a text.
fn advisories(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '#' | '/')))
        .filter(|word| {
            word.starts_with("CVE-2") || word.starts_with("GHSA-") || word.starts_with("sqlpage/SQLPage#")
        })
        .collect()
}

#[test]
fn the_cases_and_the_document_know_the_same_advisories() {
    let documented = advisories(MISTAKES);
    assert!(documented.len() > 40, "{documented:?}");
    for advisory in advisories(CASES) {
        assert!(documented.contains(&advisory), "{advisory} is not documented");
    }
    let twice: Vec<_> = documented
        .iter()
        .filter(|one| documented.iter().filter(|other| other == one).count() > 1)
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn every_case_for_an_advisory_is_in_the_document() {
    for line in CASES.lines() {
        if let Some(rest) = line.strip_prefix("pub(crate) async fn ") {
            let name = rest.split('(').next().unwrap();
            assert!(
                MISTAKES.contains(&format!("`behaviour: advisories::{name}`")),
                "{name} is not documented"
            );
        }
    }
}

#[test]
fn ci_runs_cargo_deny() {
    let ci = fs::read_to_string(workspace().join(".ci/run")).unwrap();
    assert!(ci.contains("cargo deny"));
    let deny = fs::read_to_string(workspace().join("deny.toml")).unwrap();
    for section in ["[advisories]", "[licenses]", "[sources]"] {
        assert!(deny.contains(section), "{section}");
    }
}

#[test]
fn unsafe_code_is_forbidden() {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let mut packages = 0;
    for parent in ["crates", "examples"] {
        for package in fs::read_dir(workspace().join(parent)).unwrap() {
            let manifest = fs::read_to_string(package.unwrap().path().join("Cargo.toml")).unwrap();
            assert!(manifest.contains("[lints]\nworkspace = true"), "{manifest}");
            packages += 1;
        }
    }
    assert!(packages >= 8, "{packages}");
}

#[test]
fn no_client_prints_its_connections() {
    fn look(directory: &Path, seen: &mut usize) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, seen);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                *seen += 1;
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains("connection_verbose("), "{}", path.display());
            }
        }
    }
    let mut seen = 0;
    for parent in ["crates", "examples"] {
        look(&workspace().join(parent), &mut seen);
    }
    assert!(seen > 50, "{seen}");
}
