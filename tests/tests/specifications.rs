//! `docs/specifications.md` names tests that exist, and leaves out none of its rows.

use auth_tests::named_tests::{missing, names, workspace};

const DOCUMENT: &str = include_str!("../../docs/specifications.md");

#[test]
fn every_test_that_the_document_names_exists() {
    assert!(names(DOCUMENT).len() > 150, "the tables are not read");
    let missing = missing(&workspace(), DOCUMENT);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_row_without_a_test_says_why() {
    for line in DOCUMENT.lines().filter(|line| line.ends_with("| – |")) {
        let reasons = ["not ours", "there is none"];
        assert!(reasons.iter().any(|reason| line.contains(reason)), "{line}");
    }
}
