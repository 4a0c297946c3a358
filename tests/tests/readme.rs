//! What the README says of the code is so. That its code compiles is seen by the documentation tests of this crate.

const README: &str = include_str!("../../README.md");
const SETTINGS: &str = include_str!("../../docs/settings.md");

/// The README shows this program and nothing else; only the program's own introduction is left out.
fn shows(fence: &str, program: &str) {
    let code: String = program
        .lines()
        .skip_while(|line| line.starts_with("//!") || line.starts_with("#!") || line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(!code.is_empty());
    assert!(
        README.contains(&format!("```{fence}\n{code}```\n")),
        "the README shows other code than:\n{code}"
    );
}

#[test]
fn the_readme_shows_the_minimal_applications_to_the_letter() {
    shows(
        "rust,no_run",
        include_str!("../../examples/minimal-axum/src/main.rs"),
    );
    shows(
        "rust,no_run",
        include_str!("../../examples/minimal-actix/src/main.rs"),
    );
}

#[test]
fn the_readme_shows_tests_of_handlers_as_they_are() {
    shows("rust", include_str!("../../examples/tested-axum/tests/short.rs"));
    shows("rust", include_str!("../../examples/tested-actix/tests/short.rs"));
    let (_, section) = README
        .split_once("### Test your own handlers\n")
        .expect("there is such a section");
    let (section, _) = section.split_once("\n## ").expect("another comes behind it");
    let shown: Vec<&str> = section
        .split("```rust,ignore\n")
        .skip(1)
        .filter_map(|rest| rest.split("```\n").next())
        .collect();
    let tests = [
        include_str!("../../examples/tested-axum/tests/orders.rs"),
        include_str!("../../examples/tested-actix/tests/orders.rs"),
    ];
    assert_eq!(shown.len(), tests.len(), "one for each framework");
    for (shown, tests) in shown.iter().zip(tests) {
        for item in shown.split("\n}\n\n") {
            assert!(tests.contains(item), "no test has:\n{item}");
        }
    }
}

#[test]
fn the_settings_page_names_every_environment_variable_that_is_read() {
    let source = include_str!("../../crates/auth-core/src/env.rs");
    let read: Vec<&str> = source
        .split("#[cfg(test)]")
        .next()
        .expect("text before the tests")
        .split('"')
        .filter(|text| {
            ["AUTH_", "API", "HTTP_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
                // No prefix of one.
                && !text.ends_with('_')
        })
        .collect();
    assert!(read.contains(&"AUTH_ISSUER"), "found only {read:?}");
    for variable in read {
        assert!(
            SETTINGS.contains(&format!("`{variable}`")),
            "docs/settings.md does not name {variable}"
        );
    }
}

/// A page with its code among the documentation tests, and a row in the index, for each constructor of `Preset`.
#[test]
fn each_preset_has_a_page_and_a_row_in_the_index() {
    let source = include_str!("../../crates/auth-core/src/preset.rs");
    let index = include_str!("../../docs/providers/README.md");
    let compiled = include_str!("../src/lib.rs");
    let presets: Vec<&str> = source
        .lines()
        .filter(|line| line.ends_with("-> Self {"))
        .filter_map(|line| line.trim().strip_prefix("pub fn ")?.split('(').next())
        .collect();
    assert!(presets.contains(&"keycloak"), "found only {presets:?}");
    for preset in &presets {
        assert!(
            compiled.contains(&format!("/docs/providers/{preset}.md\")]")),
            "the page of {preset} is not compiled"
        );
        assert!(
            index.contains(&format!("({preset}.md) | `Preset::{preset}` |")),
            "{preset} is not in the index"
        );
    }
    assert_eq!(
        index.matches("| `Preset::").count(),
        presets.len(),
        "a row for each"
    );
}
