//! `docs/specifications.md` names tests that exist, and leaves out none of its rows.

use auth_tests::named_tests::{missing, names, without_section, workspace};

const DOCUMENT: &str = include_str!("../../docs/specifications.md");

#[test]
fn every_test_that_the_document_names_exists() {
    assert!(names(DOCUMENT).len() > 150, "the tables are not read");
    let missing = missing(&workspace(), DOCUMENT);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_test_that_the_document_names_says_its_section() {
    let silent = without_section(&workspace(), DOCUMENT);
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn a_row_names_a_test_or_says_why_it_has_none() {
    // A row of a table that has a column of tests: three bars and more, and a section in front.
    for line in DOCUMENT.lines().filter(|line| line.starts_with("| §")) {
        let tests = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let has_test = tests.contains('`');
        let has_reason = tests.trim() == "–"
            && ["not ours", "there is none"]
                .iter()
                .any(|reason| line.contains(reason));
        assert!(has_test || has_reason, "{line}");
    }
}
