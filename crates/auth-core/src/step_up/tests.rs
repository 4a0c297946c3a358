use std::sync::Arc;

use http::HeaderValue;
use serde_json::Value;

use super::*;
use crate::origins::OriginId;
use crate::secret::SessionId;
use crate::session::{SessionData, Tokens};
use crate::types::Issuer;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn keys() -> SecretKeys {
    SecretKeys::from_hex(&"0a".repeat(32)).expect("a key")
}

fn values(text: &str) -> AcrValues {
    text.split(' ').collect()
}

/// A sign-in that came back so long ago.
struct SignedIn {
    ago: u64,
    /// How long ago the user was authenticated.
    authenticated_ago: u64,
    acr: Option<&'static str>,
    granted: &'static str,
    demanded: Demands,
}

impl Default for SignedIn {
    fn default() -> Self {
        Self {
            ago: 1000,
            authenticated_ago: 1000,
            acr: Some("bronze"),
            granted: "openid",
            demanded: Demands::default(),
        }
    }
}

impl SignedIn {
    fn session(&self) -> Session {
        let data = SessionData {
            origin: None,
            provider: None,
            issuer: Issuer::new("https://id.example").expect("an issuer"),
            subject: "ada".into(),
            sid: None,
            moved_at: None,
            kept_claims: None,
            older_claims: Vec::new(),
            claims: serde_json::Map::new().into(),
            app: Value::Null,
            id_token: Some(crate::secret::IdToken::new("an ID token")),
            auth_time: Some(NOW.minus(secs(self.authenticated_ago))),
            acr: self.acr.map(str::to_owned),
            nonce: None,
            tokens: Tokens {
                access: None,
                access_issued_at: NOW,
                access_expires_at: None,
                refresh: None,
                refresh_expires_at: None,
                scopes: Scopes::parse(self.granted),
                authorization_details: Vec::new(),
            },
            asked: Scopes::parse("openid email"),
            demanded: self.demanded.clone(),
            audience: Vec::new(),
            ends_at: NOW.plus(secs(1000)),
            jitter: 0,
            dpop_key: None,
            refreshes: 0,
            refreshed_at: None,
            agent: None,
            address: None,
        };
        let key = SessionId::random(OriginId::FIRST).key();
        let record = data
            .clone()
            .record(&keys(), &key, NOW.minus(secs(self.ago)), NOW, secs(1000));
        Session {
            key,
            record: Arc::new(record),
            data: Arc::new(data),
        }
    }
}

/// The sign-in that comes of a step-up, with whatever the provider gives.
fn after(step_up: &StepUp, acr: Option<&'static str>, granted: &'static str) -> SignedIn {
    SignedIn {
        ago: 0,
        authenticated_ago: 0,
        acr,
        granted,
        demanded: step_up.demands.clone(),
    }
}

fn asked(verdict: Result<(), Verdict>) -> StepUp {
    match verdict {
        Err(Verdict::Ask(step_up)) => *step_up,
        other => panic!("{other:?}"),
    }
}

fn denied(verdict: Result<(), Verdict>) -> StepUp {
    match verdict {
        Err(Verdict::Denied(step_up)) => *step_up,
        other => panic!("{other:?}"),
    }
}

/// Every combination of what a gate needs and what a session has: what is missing is asked for in one sign-in, which asks
/// for all that the gate needs, and the challenge says as much (RFC 9470 §3).
#[test]
fn what_is_missing_is_asked_for_at_once() {
    for case in 0..64_u8 {
        let bit = |n: u8| case >> n & 1 == 1;
        let needs = Needs {
            is_anew: false,
            scopes: Scopes::parse(if bit(0) { "mail" } else { "" }),
            acr_values: bit(1).then(|| values("gold silver")),
            max_age: bit(2).then_some(secs(300)),
        };
        let session = SignedIn {
            granted: if bit(3) { "openid mail" } else { "openid" },
            acr: if bit(4) { Some("silver") } else { None },
            authenticated_ago: if bit(5) { 300 } else { 301 },
            ..SignedIn::default()
        }
        .session();
        let (no_scope, no_acr, is_old) = (bit(0) && !bit(3), bit(1) && !bit(4), bit(2) && !bit(5));
        let verdict = needs.check(&session, NOW);
        if !(no_scope || no_acr || is_old) {
            assert_eq!(verdict, Ok(()), "{case:06b}");
            continue;
        }
        let step_up = asked(verdict);
        assert_eq!(
            step_up.demands.acr_values,
            needs.acr_values.clone().unwrap_or_default()
        );
        assert_eq!(step_up.demands.max_age, needs.max_age);
        assert_eq!(step_up.demands.scopes.contains("mail"), no_scope);
        assert_eq!(
            step_up.ask.to_string(),
            if bit(0) {
                "openid email mail"
            } else {
                "openid email"
            }
        );
        let mut challenge = match (no_acr, is_old) {
            (false, false) => r#"Bearer error="insufficient_scope""#.to_owned(),
            _ => r#"Bearer error="insufficient_user_authentication""#.to_owned(),
        };
        if (no_acr || is_old) && bit(1) {
            challenge.push_str(r#", acr_values="gold silver""#);
        }
        if (no_acr || is_old) && bit(2) {
            challenge.push_str(r#", max_age="300""#);
        }
        if no_scope {
            challenge.push_str(r#", scope="mail""#);
        }
        assert_eq!(step_up.challenge(), challenge, "{case:06b}");
        let expected = if no_acr {
            (401, Lack::Acr)
        } else if is_old {
            (401, Lack::Age)
        } else {
            (403, Lack::Scope)
        };
        assert_eq!((step_up.status(), step_up.lack()), expected, "{case:06b}");
    }
}

/// OpenID Connect Core §5.5.1.1: a provider may leave `acr_values` unmet.
#[test]
fn what_a_sign_in_was_made_for_and_did_not_bring_is_not_asked_for_again() {
    let needs = Needs {
        is_anew: false,
        scopes: Scopes::parse("mail"),
        acr_values: Some(values("gold silver")),
        max_age: Some(secs(300)),
    };
    let first = asked(needs.check(&SignedIn::default().session(), NOW));
    for acr in [None, Some("bronze"), Some("GOLD"), Some("gold silver")] {
        let session = after(&first, acr, "openid mail").session();
        assert_eq!(denied(needs.check(&session, NOW)).lack(), Lack::Acr, "{acr:?}");
    }
    let session = after(&first, Some("gold"), "openid").session();
    assert_eq!(denied(needs.check(&session, NOW)).lack(), Lack::Scope);
    let session = after(&first, Some("gold"), "openid mail").session();
    assert_eq!(needs.check(&session, NOW), Ok(()));
    // It is so for as long as this sign-in lasts, and for what it was made for.
    let session = SignedIn {
        ago: 1000,
        ..after(&first, Some("bronze"), "openid mail")
    }
    .session();
    assert_eq!(denied(needs.check(&session, NOW)).lack(), Lack::Acr);
    let other = Needs {
        acr_values: Some(values("platinum")),
        ..Needs::default()
    };
    asked(other.check(&session, NOW));
}

#[test]
fn of_several_values_that_were_asked_for_fewer_may_be_asked_for() {
    let (wide, narrow) = (Some(values("silver gold")), Some(values("gold")));
    let needs = |acr_values| Needs {
        acr_values,
        ..Needs::default()
    };
    let first = asked(needs(wide.clone()).check(&SignedIn::default().session(), NOW));
    let session = after(&first, Some("silver"), "openid").session();
    assert_eq!(needs(wide).check(&session, NOW), Ok(()));
    let second = asked(needs(narrow.clone()).check(&session, NOW));
    assert_eq!(second.demands.acr_values, values("gold"));
    let session = after(&second, Some("silver"), "openid").session();
    denied(needs(narrow).check(&session, NOW));
}

#[test]
fn nobody_has_one_of_no_values() {
    let needs = Needs {
        acr_values: Some(AcrValues::default()),
        ..Needs::default()
    };
    for acr in [None, Some("gold"), Some("")] {
        let session = SignedIn {
            acr,
            ..SignedIn::default()
        }
        .session();
        denied(needs.check(&session, NOW));
    }
}

/// Two that demand different values, one behind the other on one page, however quickly the provider answers (RFC 9470 §5).
#[test]
fn demands_that_exclude_each_other_end_after_three_sign_ins() {
    let needs = |acr: &str| Needs {
        acr_values: Some(values(acr)),
        ..Needs::default()
    };
    let mut signed_in = SignedIn::default();
    for acr in ["gold", "platinum", "gold"] {
        let step_up = asked(needs(acr).check(&signed_in.session(), NOW));
        let brought = if acr == "gold" { "gold" } else { "platinum" };
        signed_in = after(&step_up, Some(brought), "openid");
    }
    denied(needs("platinum").check(&signed_in.session(), NOW));
    // Later, it is another errand.
    signed_in.ago = 31;
    let again = asked(needs("platinum").check(&signed_in.session(), NOW));
    assert_eq!(again.demands.round, 1);
}

#[test]
fn a_sign_in_that_follows_at_once_asks_for_what_the_last_one_was_for() {
    let acr = Needs {
        acr_values: Some(values("gold")),
        max_age: Some(secs(60)),
        ..Needs::default()
    };
    let scope = Needs {
        scopes: Scopes::parse("mail"),
        max_age: Some(secs(300)),
        ..Needs::default()
    };
    let first = asked(acr.check(&SignedIn::default().session(), NOW));
    let mut signed_in = after(&first, Some("gold"), "openid");
    for (ago, expected) in [
        (0, (values("gold"), Some(secs(60)), 2)),
        (30, (values("gold"), Some(secs(60)), 2)),
        (31, (AcrValues::default(), Some(secs(300)), 1)),
    ] {
        signed_in.ago = ago;
        let second = asked(scope.check(&signed_in.session(), NOW)).demands;
        assert_eq!(
            (second.acr_values, second.max_age, second.round),
            expected,
            "{ago}"
        );
        assert_eq!(second.scopes.to_string(), "mail");
    }
}

/// A clock that ticks on the way back from the provider makes no circle.
#[test]
fn a_sign_in_for_a_short_time_is_recent_for_half_a_minute() {
    let needs = |max_age| Needs {
        max_age: Some(secs(max_age)),
        ..Needs::default()
    };
    let first = asked(needs(0).check(&SignedIn::default().session(), NOW));
    let session = |ago| {
        SignedIn {
            ago,
            authenticated_ago: ago + 90,
            ..after(&first, None, "openid")
        }
        .session()
    };
    for ago in [0, 1, 30] {
        assert_eq!(needs(0).check(&session(ago), NOW), Ok(()), "{ago}");
        assert_eq!(needs(60).check(&session(ago), NOW), Ok(()), "{ago}");
    }
    asked(needs(0).check(&session(31), NOW));
    // A sign-in that was not made for it is as old as it is.
    let session = SignedIn {
        ago: 0,
        authenticated_ago: 1,
        ..SignedIn::default()
    }
    .session();
    asked(needs(0).check(&session, NOW));
    let for_a_longer_time = SignedIn {
        authenticated_ago: 100,
        ..after(
            &asked(needs(300).check(&SignedIn::default().session(), NOW)),
            None,
            "",
        )
    };
    asked(needs(60).check(&for_a_longer_time.session(), NOW));
}

/// RFC 9470 §5
#[test]
fn an_api_that_is_not_content_with_what_it_demanded_is_not_asked_again() {
    let demand = Needs {
        is_anew: false,
        scopes: Scopes::parse("mail"),
        acr_values: Some(values("gold silver")),
        max_age: Some(secs(60)),
    };
    let of = |needs: &Needs, session: Session| needs.clone().of_api(&session, NOW);
    let first = asked(Err(of(&demand, SignedIn::default().session())));
    assert_eq!(first.ask.to_string(), "openid email mail");
    assert_eq!(
        (first.status(), first.error()),
        (401, "insufficient_user_authentication")
    );
    // Whatever the sign-in brought: the API has the last word.
    for acr in [None, Some("silver"), Some("gold")] {
        denied(Err(of(&demand, after(&first, acr, "openid mail").session())));
    }
    // Time goes by.
    let mut later = after(&first, Some("gold"), "openid mail");
    (later.ago, later.authenticated_ago) = (60, 60);
    denied(Err(of(&demand, later.session())));
    (later.ago, later.authenticated_ago) = (61, 61);
    asked(Err(of(&demand, later.session())));
    // Another demand is another errand, until there were too many in a row.
    let others = [
        Needs {
            acr_values: Some(values("gold")),
            ..demand.clone()
        },
        Needs {
            max_age: Some(secs(59)),
            ..demand.clone()
        },
        Needs {
            scopes: Scopes::parse("mail files"),
            ..demand.clone()
        },
    ];
    for other in &others {
        let signed_in = after(&first, Some("gold"), "openid mail");
        assert_eq!(asked(Err(of(other, signed_in.session()))).demands.round, 2);
    }
    let mut signed_in = after(&first, Some("gold"), "openid mail");
    for max_age in [50, 40] {
        let demand = Needs {
            max_age: Some(secs(max_age)),
            ..demand.clone()
        };
        let next = asked(Err(of(&demand, signed_in.session())));
        signed_in = after(&next, Some("gold"), "openid mail");
    }
    let demand = Needs {
        max_age: Some(secs(30)),
        ..demand
    };
    denied(Err(of(&demand, signed_in.session())));
}

/// RFC 9470 §3: `acr_values` and `max_age` are optional.
#[test]
fn an_api_that_does_not_say_what_it_lacks_gets_a_sign_in_anew_once() {
    let demand = |scopes| Needs {
        scopes: Scopes::parse(scopes),
        is_anew: true,
        ..Needs::default()
    };
    let of = |scopes, session: Session| Err(demand(scopes).of_api(&session, NOW));
    let first = asked(of("", SignedIn::default().session()));
    assert_eq!(first.demands.max_age, Some(Duration::ZERO));
    assert_eq!((first.status(), first.lack()), (401, Lack::Age));
    // The challenge is the API's own.
    assert_eq!((first.max_age(), first.challenge()), (None, STEP_UP.to_owned()));
    let mut signed_in = after(&first, Some("gold"), "openid");
    for ago in [0, 30] {
        signed_in.ago = ago;
        let step_up = denied(of("", signed_in.session()));
        assert_eq!((step_up.status(), step_up.challenge()), (401, STEP_UP.to_owned()));
    }
    // Later, it is another errand.
    (signed_in.ago, signed_in.authenticated_ago) = (31, 31);
    assert_eq!(asked(of("", signed_in.session())).demands.round, 1);
    // Where scopes are named, they are asked for as well.
    let with_scope = asked(of("mail", SignedIn::default().session()));
    assert_eq!(with_scope.ask.to_string(), "openid email mail");
    assert_eq!(with_scope.challenge(), format!("{STEP_UP}, scope=\"mail\""));
    denied(of("mail", after(&with_scope, None, "openid").session()));
}

/// RFC 6749 §6: a refresh may bring fewer scopes. OpenID Connect Core §12.2: and another `acr`.
#[test]
fn what_a_sign_in_brought_and_a_refresh_took_away_is_asked_for_again() {
    let needs = Needs {
        scopes: Scopes::parse("mail files"),
        acr_values: Some(values("gold silver")),
        ..Needs::default()
    };
    let first = asked(needs.check(&SignedIn::default().session(), NOW));
    let refreshed = |had: (&str, Option<&str>), has: (&'static str, Option<&'static str>)| {
        let mut later = after(&first, has.1, has.0);
        later.ago = 1000;
        later
            .demanded
            .lose_scopes(&Scopes::parse(had.0), &Scopes::parse(has.0));
        later.demanded.lose_acr(had.1, has.1);
        needs.check(&later.session(), NOW)
    };
    let all = ("openid mail files", Some("gold"));
    assert_eq!(refreshed(all, ("openid mail files", Some("silver"))), Ok(()));
    let lost_scope = asked(refreshed(all, ("openid files", Some("gold"))));
    assert_eq!((lost_scope.lack(), lost_scope.demands.round), (Lack::Scope, 1));
    for acr in [None, Some("bronze")] {
        assert_eq!(
            asked(refreshed(all, ("openid mail files", acr))).lack(),
            Lack::Acr
        );
    }
    // What it did not bring in the first place is not asked for again, whatever refreshes do.
    let little = ("openid files", Some("bronze"));
    denied(refreshed(little, ("openid files", Some("gold"))));
    denied(refreshed(little, ("openid mail files", None)));
    // Neither is it where the sign-in was a moment ago, again and again.
    let mut signed_in = SignedIn::default();
    for round in 1..=MAX_ROUNDS {
        let step_up = asked(needs.check(&signed_in.session(), NOW));
        assert_eq!(step_up.demands.round, round);
        signed_in = after(&step_up, Some("gold"), "openid");
        signed_in
            .demanded
            .lose_scopes(&needs.scopes, &Scopes::parse("openid"));
    }
    denied(needs.check(&signed_in.session(), NOW));
}

#[test]
fn an_api_does_not_make_the_list_of_scopes_endless() {
    let mut session = SignedIn::default().session();
    for round in 0..5 {
        let demand = Needs {
            scopes: Scopes::parse(&format!("{}{round}", "s".repeat(400))),
            ..Needs::default()
        };
        match demand.of_api(&session, NOW) {
            Verdict::Ask(step_up) => Arc::make_mut(&mut session.data).asked = step_up.ask.clone(),
            Verdict::Denied(_) => {
                let asked = session.data.asked.to_string();
                assert!(round > 1 && asked.len() <= MAX_SCOPES, "{asked}");
                return;
            }
        }
    }
    panic!("it is endless");
}

#[test]
fn what_is_sealed_for_a_step_up_is_one_session_s_and_ends() {
    let session = SignedIn::default().session();
    let needs = Needs {
        max_age: Some(secs(300)),
        ..Needs::default()
    };
    let step_up = asked(needs.check(&session, NOW));
    let text = step_up.seal(&keys(), NOW);
    let open = |key: &SessionKey, after: u64| Ask::open(&keys(), &text, key, NOW.plus(secs(after)));
    let ask = open(&session.key(), 0).expect("what was sealed opens");
    assert_eq!((ask.scopes, ask.demands), (step_up.ask, step_up.demands));
    assert!(open(&session.key(), 899).is_some() && open(&session.key(), 900).is_none());
    assert!(open(&SessionId::random(OriginId::FIRST).key(), 0).is_none());
}

fn read(status: u16, fields: &[&str]) -> Option<Needs> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let value = HeaderValue::from_bytes(field.as_bytes()).expect("a field");
        headers.append(WWW_AUTHENTICATE, value);
    }
    demanded(StatusCode::from_u16(status).expect("a status"), &headers)
}

const STEP_UP: &str = r#"Bearer error="insufficient_user_authentication""#;

/// RFC 9110 §11.2 and §11.6.1, RFC 9470 §3.
#[test]
fn a_demand_is_found_however_it_is_written() {
    let expected = Needs {
        acr_values: Some(values("gold silver")),
        max_age: Some(secs(5)),
        ..Needs::default()
    };
    for fields in [
        &[r#"Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age="5""#][..],
        &[r#"bearer MAX_AGE=5,acr_VALUES="gold silver",ERROR=insufficient_user_authentication"#],
        &[
            r#"DPoP error="insufficient_user_authentication", algs="ES256", max_age="5", acr_values="gold silver""#,
        ],
        &[
            r#"Bearer realm="a, \"b\"", error_description="max_age=\"9\", acr_values=x", error="insufficient_user_authentication", max_age="5", acr_values="g\old  silver gold""#,
        ],
        &[
            r#"Basic realm="x", Bearer error="insufficient_user_authentication", max_age=5, acr_values="gold silver", Digest nonce="y""#,
        ],
        &[
            "Negotiate",
            r#"Bearer error="insufficient_user_authentication", max_age=5, acr_values="gold silver""#,
        ],
        &[
            "Negotiate YII=",
            r#"Bearer error="insufficient_user_authentication", max_age=5, acr_values="gold silver""#,
        ],
        &[
            "Bearer \u{e9}=",
            r#"Bearer error="insufficient_user_authentication", max_age=5, acr_values="gold silver""#,
        ],
        &[
            r#"DPoP error="invalid_token""#,
            r#"Bearer error="insufficient_user_authentication", max_age=5, acr_values="gold silver""#,
        ],
        &[
            r#"Bearer error="insufficient_user_authentication", max_age=-1"#,
            r#"DPoP error="insufficient_user_authentication", max_age=5, acr_values="gold silver""#,
        ],
    ] {
        assert_eq!(read(401, fields), Some(expected.clone()), "{fields:?}");
        assert_eq!(read(403, fields), None, "{fields:?}");
    }
}

/// RFC 9470 §3
#[test]
fn each_part_of_a_demand_may_stand_alone() {
    let with = |rest: &str| read(401, &[&format!("{STEP_UP}{rest}")]);
    let anew = || Needs {
        is_anew: true,
        ..Needs::default()
    };
    assert_eq!(with(""), Some(anew()));
    let max_age = |secs_| Needs {
        max_age: Some(secs(secs_)),
        ..Needs::default()
    };
    assert_eq!(with(", max_age=0"), Some(max_age(0)));
    assert_eq!(with(", max_age=\"4294967295\""), Some(max_age(4_294_967_295)));
    assert_eq!(with(", acr_values=\"\""), Some(anew()));
    let acr = with(", acr_values=urn:x:1").unwrap_or_default().acr_values;
    assert_eq!(acr, None, "a colon wants quotes");
    let acr = with(", acr_values=\"urn:x:1\"").unwrap_or_default().acr_values;
    assert_eq!(acr, Some(values("urn:x:1")));
    let scopes = Needs {
        scopes: Scopes::parse("mail files"),
        ..anew()
    };
    assert_eq!(with(", scope=\"mail files\""), Some(scopes));
}

/// RFC 6750 §3.1
#[test]
fn a_scope_is_demanded_where_it_is_named() {
    let needs = read(
        403,
        &[r#"Bearer error="insufficient_scope", scope="mail files", max_age="1""#],
    );
    let expected = Needs {
        scopes: Scopes::parse("mail files"),
        ..Needs::default()
    };
    assert_eq!(needs, Some(expected));
    for field in [
        r#"Bearer error="insufficient_scope""#,
        r#"Bearer error="insufficient_scope", scope="""#,
        r#"Bearer error="insufficient_scope", scope=" ""#,
        r#"Bearer error="invalid_token", scope="mail""#,
        r#"Bearer scope="mail""#,
        r#"Basic error="insufficient_scope", scope="mail""#,
    ] {
        assert_eq!(read(403, &[field]), None, "{field}");
    }
    assert_eq!(
        read(401, &[r#"Bearer error="insufficient_scope", scope="mail""#]),
        None
    );
    for status in [200, 302, 400, 404, 500] {
        assert_eq!(read(status, &[STEP_UP]), None, "{status}");
    }
}

/// RFC 9110 §11.2, RFC 9470 §3
#[test]
fn what_does_not_make_sense_is_no_demand() {
    for rest in [
        ", max_age=",
        ", max_age=\"\"",
        ", max_age=\"-1\"",
        ", max_age=\"+1\"",
        ", max_age=\"1.5\"",
        ", max_age=\"1e3\"",
        ", max_age=\" 1\"",
        ", max_age=\"4294967296\"",
        ", max_age=\"soon\"",
        ", max_age=1, max_age=1",
        ", max_age=1, Max_Age=2",
        ", acr_values=\"a\", acr_values=\"a\"",
        ", error=\"invalid_token\"",
        ", acr_values=\"a\\\"b\"",
        ", acr_values=\"a\\\\b\"",
        ", acr_values=\"a\tb\"",
        ", scope=\"a\\\"b\"",
        ", acr_values=\"a",
        ", acr_values=\"a\\",
        " max_age=1",
        ", =1",
    ] {
        assert_eq!(read(401, &[&format!("{STEP_UP}{rest}")]), None, "{rest}");
    }
    let long = "a".repeat(MAX_TEXT + 1);
    for name in ["acr_values", "scope"] {
        let with = |text: &str| read(401, &[&format!("{STEP_UP}, {name}=\"{text}\"")]);
        assert_eq!(with(&long), None);
        assert!(with(&long[1..]).is_some());
    }
    let description = "d".repeat(MAX_FIELD);
    assert_eq!(
        read(401, &[&format!("{STEP_UP}, error_description=\"{description}\"")]),
        None
    );
    let mut fields = vec!["Basic"; MAX_FIELDS];
    fields.push(STEP_UP);
    assert_eq!(read(401, &fields), None);
    assert!(read(401, &fields[1..]).is_some());
    for field in [
        "",
        ",",
        "Bearer",
        "insufficient_user_authentication",
        "\"",
        "Bearer ,,",
        "=",
        "Bearer error",
    ] {
        assert_eq!(read(401, &[field]), None, "{field}");
    }
}

#[test]
fn a_challenge_that_we_write_is_read_as_it_was_meant() {
    let needs = Needs {
        is_anew: false,
        scopes: Scopes::parse("mail files"),
        acr_values: Some(values("urn:x:2 urn:x:1")),
        max_age: Some(secs(0)),
    };
    let step_up = asked(needs.check(&SignedIn::default().session(), NOW));
    assert_eq!(read(401, &[&step_up.challenge()]), Some(needs));
    let odd = Needs {
        acr_values: Some(values("a\"b\\c")),
        ..Needs::default()
    };
    let step_up = asked(odd.check(&SignedIn::default().session(), NOW));
    assert_eq!(
        step_up.challenge(),
        format!("{STEP_UP}, acr_values=\"a\\\"b\\\\c\"")
    );
}
