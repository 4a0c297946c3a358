//! The bodies of the fuzz targets on stable Rust: every committed input, inputs made of those, and inputs of nothing.
//!
//! `crates/auth-core/fuzz/run` searches for more with libFuzzer; what it finds is committed to `fuzz/seeds`, where it stays
//! as a regression test.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use auth_core::fuzzing::{TARGETS, Target};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseError, TestRunner};

/// How often each property is tried for each target.
const CASES: u32 = 150;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names of what lies in a folder, without their extension.
fn names(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("seeds").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = files
        .map(|file| file.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// Runs a body and says which input it was.
fn hold(target: Target, input: &[u8]) -> Result<(), TestCaseError> {
    std::panic::catch_unwind(|| target(input))
        .map_err(|_| TestCaseError::fail(format!("{:?}", String::from_utf8_lossy(input))))
}

#[test]
fn every_target_has_a_body_a_binary_and_seeds() {
    let bodies: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), bodies);
    assert_eq!(names(&fuzz().join("seeds")), bodies);
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
        assert!(seeds(name).len() >= 4, "{name}");
    }
}

#[test]
fn every_committed_input_holds() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let nothing = (format!("nothing at all, for {name}"), Vec::new());
        for (path, input) in seeds(name).into_iter().chain([nothing]) {
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn any_bytes_and_any_text_hold() {
    let input = prop_oneof![
        any::<Vec<u8>>(),
        (any::<u8>(), any::<String>()).prop_map(|(case, text)| [&[case], text.as_bytes()].concat()),
    ];
    all_hold(|_| input.clone());
}

#[test]
fn committed_inputs_with_changes_hold() {
    all_hold(|name| {
        let seeds: Vec<_> = seeds(name).into_iter().map(|(_, input)| input).collect();
        let pair = (prop::sample::select(seeds.clone()), prop::sample::select(seeds));
        let changes = prop::collection::vec((any::<Index>(), any::<Index>(), change()), 0..4);
        (pair, changes).prop_map(|((input, other), changes)| changed(input, &other, changes))
    });
}

/// Tries every target with inputs of its own, and says which of them do not hold.
fn all_hold<S: Strategy<Value = Vec<u8>>>(inputs: impl Fn(&str) -> S) {
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let held = TestRunner::new(config.clone()).run(&inputs(name), |input| hold(target, &input));
        broken.extend(held.err().map(|error| format!("{name}: {error}")));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn changed(mut input: Vec<u8>, other: &[u8], changes: Vec<(Index, Index, Change)>) -> Vec<u8> {
    for (from, to, change) in changes {
        let (from, to) = (from.index(input.len() + 1), to.index(input.len() + 1));
        let range = from.min(to)..from.max(to);
        match change {
            Change::Remove => drop(input.drain(range)),
            Change::Repeat => input.extend_from_within(range),
            Change::Write(bytes) => drop(input.splice(from..(from + bytes.len()).min(input.len()), bytes)),
            Change::Insert(text) => drop(input.splice(from..from, text.bytes())),
            Change::Splice => drop(input.splice(from.., other.iter().skip(to).copied())),
        }
    }
    input
}

#[derive(Clone, Debug)]
enum Change {
    Remove,
    Repeat,
    Write(Vec<u8>),
    Insert(String),
    /// Goes on as another input does.
    Splice,
}

fn change() -> impl Strategy<Value = Change> {
    const TELLING: [&str; 16] = [
        "\"", "{", "]", ",", "\\u0000", "null", "-1", "1e999", "//", "\\", "%00", "%2f", "&", "=", "; ",
        "\r\n",
    ];
    prop_oneof![
        Just(Change::Remove),
        Just(Change::Repeat),
        prop::collection::vec(any::<u8>(), 1..5).prop_map(Change::Write),
        prop::sample::select(&TELLING[..]).prop_map(|text| Change::Insert(text.to_owned())),
        Just(Change::Splice),
    ]
}
