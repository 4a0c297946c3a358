use std::collections::HashSet;

use super::*;

#[test]
fn codes_are_unique_and_explained_in_sentences() {
    let mut seen = HashSet::new();
    for explanation in all() {
        let code = explanation.code;
        assert!(seen.insert(code), "{code} stands twice");
        assert!(
            !explanation.title.is_empty() && !explanation.title.ends_with('.'),
            "{code}"
        );
        let texts = [explanation.cause, explanation.mend];
        for text in texts
            .into_iter()
            .chain(explanation.others().map(|(_, step)| step))
        {
            assert!(text.ends_with(['.', '?']), "{code}: {text}");
            assert_eq!(text.matches('`').count() % 2, 0, "{code}: {text}");
            assert!(
                !text.contains("Developers:") && !text.contains("Operators:"),
                "{code}"
            );
        }
    }
}

/// Whoever's turn it is finds what to do.
#[test]
fn whose_turn_it_is_has_a_step_of_their_own() {
    for explanation in all() {
        let has_step =
            explanation.turn == Turn::User || explanation.others().any(|(turn, _)| turn == explanation.turn);
        assert!(
            has_step,
            "{}: nothing for {:?}",
            explanation.code, explanation.turn
        );
    }
}

/// Every code that stands anywhere in this crate's sources is explained, and every explained one stands there.
#[test]
fn the_codes_of_the_sources_and_the_explained_ones_are_the_same() {
    let sources = [
        include_str!("../auth.rs"),
        include_str!("../bearer/error.rs"),
        include_str!("../client.rs"),
        include_str!("../error.rs"),
        include_str!("../failure.rs"),
        include_str!("../grants.rs"),
        include_str!("../id_token.rs"),
        include_str!("../jarm.rs"),
        include_str!("../login.rs"),
        include_str!("../logout.rs"),
        include_str!("../metadata.rs"),
        include_str!("../provider_clock.rs"),
        include_str!("../proxy.rs"),
        include_str!("../refresh.rs"),
        include_str!("../respond.rs"),
        include_str!("../userinfo.rs"),
    ];
    let mut found = HashSet::new();
    for text in sources
        .iter()
        .flat_map(|source| source.split('"').skip(1).step_by(2))
    {
        let Some((area, name)) = text.split_once('.') else {
            continue;
        };
        let is_code = all().any(|explanation| explanation.area() == area)
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if is_code {
            assert!(explain(text).is_some(), "{text} is not explained");
            found.insert(text);
        }
    }
    for explanation in all() {
        assert!(
            found.contains(explanation.code),
            "{} never comes up",
            explanation.code
        );
    }
}
