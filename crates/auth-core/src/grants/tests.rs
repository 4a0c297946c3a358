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
