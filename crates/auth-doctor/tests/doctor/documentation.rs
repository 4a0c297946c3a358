//! `docs/doctor.md` says what the code says, and each finding is planted by a test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use auth_doctor::catalogue::{ALL, AREAS};
use auth_doctor::{Profile, Severity};

use crate::faults::{FAULTS, OFFLINE};

const BEGIN: &str =
    "<!-- The findings: made from crates/auth-doctor/src/catalogue.rs; a test holds the two equal. -->\n";

#[test]
fn the_documentation_lists_every_finding() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/doctor.md");
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let (before, _) = found
        .split_once(BEGIN)
        .expect("docs/doctor.md has a place for the findings");
    let expected = format!("{before}{BEGIN}{}", findings());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        found == expected,
        "docs/doctor.md is not what the code says; write it anew with\n\
         UPDATE_DOCS=1 cargo test -p auth-doctor --test doctor the_documentation_lists_every_finding"
    );
}

fn findings() -> String {
    let mut text = String::new();
    for (area, headline) in AREAS {
        write!(
            text,
            "\n### {headline}\n\n| id | what was found | what mends it |\n| --- | --- | --- |\n"
        )
        .unwrap();
        for check in ALL.iter().filter(|check| check.area() == *area) {
            let mut found = format!("{}: {}", check.severity.as_str(), check.title);
            if !check.reference.is_empty() {
                write!(found, " ({})", check.reference).unwrap();
            }
            let against: Vec<_> = check
                .against
                .iter()
                .map(|profile: &Profile| profile.as_str())
                .collect();
            if !against.is_empty() {
                write!(found, " Against: {}.", against.join(", ")).unwrap();
            }
            writeln!(text, "| `{}` | {found} | {} |", check.id, check.mend).unwrap();
        }
    }
    text
}

#[test]
fn ids_are_one_each_in_the_order_of_the_areas_and_say_what_mends_them() {
    let ids: BTreeSet<_> = ALL.iter().map(|check| check.id).collect();
    assert_eq!(ids.len(), ALL.len());
    let mut place = 0;
    for check in ALL {
        let area = AREAS.iter().position(|(area, _)| *area == check.area());
        let area = area.unwrap_or_else(|| panic!("{} has no area", check.id));
        assert!(area >= place, "{} stands in another area", check.id);
        place = area;
        if check.severity <= Severity::Warning {
            assert!(!check.mend.is_empty(), "{}", check.id);
        }
        for text in [check.title, check.mend]
            .into_iter()
            .filter(|text| !text.is_empty())
        {
            assert!(text.ends_with(['.', ')', '?']), "{}: {text}", check.id);
            assert!(!text.contains('|'), "{}: {text}", check.id);
        }
    }
}

/// Findings that tests besides the tables bring about.
const ELSEWHERE: &[&str] = &[
    "settings.other_issuer",
    "cookies.loopback",
    "store.memory",
    "store.not_there_yet",
    "store.evicts",
    "discovery.redirected",
    "discovery.slow",
    "tls.none",
    "tls.unknown_authority",
    "tls.wrong_name",
    "tls.expired",
    "tls.not_yet_valid",
    "tls.too_old",
    "tls.failed",
    "tls.expires_soon",
    "tls.no_1_3",
    "tls.certificate_demanded",
    "clock.off",
    "clock.far_off",
    "endpoints.no_backchannel_logout",
    "endpoints.no_mtls_aliases",
    "requests.not_pushed",
    "requests.mix_up",
    "requests.object_unsupported",
    "client.algorithm_unsupported",
    "client.algorithm_weak",
    "client.symmetric",
    "client.not_bound",
    "client.certificate_expired",
    "client.certificate_expires_soon",
    "client.certificate_binding_unsupported",
    "client.encryption_unsupported",
    "sign_in.not_tried",
];

#[test]
fn each_finding_is_brought_about_by_a_test() {
    let planted = FAULTS.iter().chain(OFFLINE).map(|planted| planted.id);
    let tested: BTreeSet<_> = planted.chain(ELSEWHERE.iter().copied()).collect();
    let known: BTreeSet<_> = ALL
        .iter()
        .filter(|check| check.severity != Severity::Ok)
        .map(|check| check.id)
        .collect();
    let untested: Vec<_> = known.difference(&tested).collect();
    assert!(untested.is_empty(), "no test for {untested:?}");
    let unknown: Vec<_> = tested.difference(&known).collect();
    assert!(unknown.is_empty(), "no such finding: {unknown:?}");
}
