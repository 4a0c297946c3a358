//! Where a return path leads: some hundred that are meant to lead elsewhere, and those of honest pages.

use auth_core::types::ReturnTo;
use url::Url;

use crate::payloads::{EVIL, HONEST, payloads};

/// Applications that a browser may be at when it is sent on; the second is asked from deep inside.
const BASES: [&str; 3] = [
    "https://app.example/",
    "https://app.example/auth/callback?code=x&state=y",
    "http://127.0.0.1:3000/auth/callback",
];

#[test]
fn the_list_is_long_and_holds_what_leads_elsewhere() {
    let base = Url::parse(BASES[2]).unwrap();
    let list = payloads("http://127.0.0.1:3000");
    assert!(list.len() >= 400, "{}", list.len());
    let elsewhere = list.iter().filter(|payload| {
        base.join(&payload.text())
            .is_ok_and(|url| url.origin() != base.origin())
    });
    let elsewhere = elsewhere.count();
    assert!(elsewhere >= 250, "{elsewhere} lead elsewhere if nobody looks");
}

#[test]
fn whatever_is_asked_for_leads_to_this_origin() {
    for base in BASES {
        let base = Url::parse(base).unwrap();
        for payload in payloads(&base.origin().ascii_serialization()) {
            let kept = ReturnTo::parse(&payload.text());
            let text = kept.as_str();
            let what: String = format!("{text:?} is kept of {:?} ({})", payload.text(), payload.rule)
                .chars()
                .take(300)
                .collect();
            let landing = base.join(text).unwrap();
            assert_eq!(landing.origin(), base.origin(), "{what}");
            assert_ne!(landing.host_str(), Some(EVIL), "{what}");
            // Whoever shortens it first, or reads it twice, stays here too.
            let shortened = base.join(&landing[url::Position::BeforePath..]).unwrap();
            assert_eq!(shortened.origin(), base.origin(), "{what}, shortened");
            assert!(ReturnTo::parse(text) == kept, "{what}, read twice");
            // It is one path and one line, whatever reads it.
            assert!(text.starts_with('/') && !text.starts_with("//"), "{what}");
            assert!(
                text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'),
                "{what}"
            );
            assert!(text.len() <= ReturnTo::MAX_LENGTH, "{what}");
        }
    }
}

#[test]
fn paths_of_honest_pages_come_through_to_the_byte() {
    for path in HONEST {
        assert_eq!(ReturnTo::parse(path).as_str(), path);
    }
}
