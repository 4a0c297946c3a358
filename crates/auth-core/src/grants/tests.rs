use super::*;

fn names(targets: &Targets) -> [u8; 32] {
    name_of(targets.names().iter().map(String::as_str))
}

#[test]
fn names_do_not_run_together() {
    let list = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
    let targets = |scopes: &str, audiences: &[&str], resources: &[&str]| {
        names(&Targets {
            scopes: Scopes::parse(scopes),
            audiences: list(audiences),
            resources: list(resources),
        })
    };
    let all = [
        targets("", &[], &[]),
        targets("a", &[], &[]),
        targets("a b", &[], &[]),
        targets("", &["a"], &[]),
        targets("", &[], &["a"]),
        targets("", &["a", "b"], &[]),
        targets("", &["a"], &["b"]),
        targets("", &["ab"], &[]),
        targets("", &["1", "a"], &[]),
    ];
    for (index, one) in all.iter().enumerate() {
        for (other_index, other) in all.iter().enumerate() {
            assert_eq!(one == other, index == other_index, "{index} {other_index}");
        }
    }
    assert_eq!(targets("a b", &[], &[]), targets("b a", &[], &[]));
}

/// The rule for the session's own token: renewed a minute before it dies, at most a quarter of its life before.
#[test]
fn a_short_life_is_not_spent_on_renewals() {
    for (life, leeway) in [(1000, 60), (100, 25)] {
        let (from, until) = (Timestamp::from_secs(0), Timestamp::from_secs(life));
        let token = IssuedToken(Arc::new(Issued {
            key: None,
            token: SecurityToken::new("t"),
            is_bearer: true,
            issued_type: None,
            scopes: None,
            issued_at: from,
            expires_at: Some(until),
            kept_until: until,
        }));
        for (left, worth) in [
            (leeway, Freshness::Good),
            (leeway - 1, Freshness::Soft),
            (1, Freshness::Soft),
            (0, Freshness::Dead),
        ] {
            assert_eq!(
                token.freshness(Timestamp::from_secs(life - left)),
                worth,
                "{life} {left}"
            );
        }
    }
}

// RFC 8693 §3
#[test]
fn token_types_are_those_of_the_specification() {
    for (kind, name) in [
        (TokenType::AccessToken, "access_token"),
        (TokenType::RefreshToken, "refresh_token"),
        (TokenType::IdToken, "id_token"),
        (TokenType::Jwt, "jwt"),
        (TokenType::Saml1, "saml1"),
        (TokenType::Saml2, "saml2"),
    ] {
        let uri = format!("urn:ietf:params:oauth:token-type:{name}");
        assert_eq!((kind.as_str(), TokenType::of(&uri)), (uri.as_str(), kind.clone()));
    }
    let other = "https://example.com/token-type";
    assert_eq!(TokenType::of(other), TokenType::Other(other.to_owned()));
}
