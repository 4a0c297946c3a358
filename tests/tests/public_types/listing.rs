//! The public types of a crate, read from its source.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of all types that the crate declares with `pub`, each as `crate::Name`, whether they can be reached or not.
///
/// The sources are formatted by rustfmt, so a declaration begins its line and names its type.
pub(crate) fn public_types(name: &str) -> BTreeSet<String> {
    let source = auth_tests::named_tests::workspace()
        .join("crates")
        .join(name)
        .join("src");
    let mut names = BTreeSet::new();
    directory(&source, &mut names);
    let prefix = name.replace('-', "_");
    names
        .into_iter()
        .map(|name| format!("{prefix}::{name}"))
        .collect()
}

fn directory(path: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            directory(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(declared(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// What one file declares, before its tests.
fn declared(text: &str) -> BTreeSet<String> {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let mut in_list = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        // `secret_text!` makes a type of each name in its list.
        in_list = line == "secret_text! {" || in_list && line != "}";
        let line = line.trim_start();
        let declaration = ["pub struct ", "pub enum ", "pub union "]
            .iter()
            .find_map(|keyword| line.strip_prefix(keyword));
        let name = match declaration {
            Some(rest) => rest.split(|c: char| !c.is_alphanumeric()).next().unwrap(),
            None if in_list && !line.starts_with("//") => line.trim_end_matches([';', '{']).trim(),
            None => continue,
        };
        if name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(char::is_alphanumeric) {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn types_are_found_in_modules_and_macros_and_not_in_tests() {
    let core = public_types("auth-core");
    for name in [
        "Auth",
        "AccessToken",
        "CodeVerifier",
        "Record",
        "RedisStore",
        "SessionId",
    ] {
        assert!(core.contains(&format!("auth_core::{name}")), "{name}");
    }
    assert!(!core.contains("auth_core::Core"), "pub(crate) is not public");
    assert!(public_types("auth-axum").contains("auth_axum::ResponseFuture"));
    let text = "pub struct A<T>(T);\n    pub enum B {}\npub(crate) struct C;\nsecret_text! {\n    /// D is one.\n    E;\n}\nF;\n\
                #[cfg(test)]\nmod tests {\n    pub struct G;\n}\n";
    assert_eq!(declared(text), ["A", "B", "E"].map(str::to_owned).into());
}
