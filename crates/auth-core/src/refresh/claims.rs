//! What a refreshed ID token changes of what a session says about its user (OpenID Connect Core §12.2).
//!
//! All else is as at the first issue: what the new token says holds, and what it does not say any more does not. Three
//! things stay: what the app's sign-in hook or userinfo has put in the place of the old token's claims, what the hook
//! has left out, and claims about the person, which providers leave out of refreshed tokens.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::id_token::IdTokenClaims;
use crate::roles::RoleClaims;
use crate::session::{Claims, SessionData};
use crate::sign_in::MESSAGE_CLAIMS;

/// The standard claims about the person (OpenID Connect Core §5.1), less `sub`.
const OF_THE_PERSON: [&str; 19] = [
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "email_verified",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "phone_number_verified",
    "address",
    "updated_at",
];

/// What is said of another claim, and means nothing without it.
const ABOUT_ANOTHER: [(&str, &str); 2] = [
    ("email_verified", "email"),
    ("phone_number_verified", "phone_number"),
];

/// Puts what a refreshed ID token says into the session's data. `old` are the claims of the ID token that the session
/// has had; `roles` is where the roles stand in both. Says whether the session has another `sid` now.
pub(super) fn apply(
    data: &mut SessionData,
    mut old: Map<String, Value>,
    new: &IdTokenClaims,
    roles: &RoleClaims,
) -> bool {
    let mut said = new.all().clone();
    roles.settle(&mut old);
    roles.settle(&mut said);
    // One that is of no use counts as missing.
    if new.sid().is_none() {
        said.remove("sid");
    }
    if new.authenticated_at().is_none() {
        said.remove("auth_time");
    }
    let wanted = data.kept_claims.as_deref();
    (data.claims, data.older_claims) = renewed(&data.claims, &old, &data.older_claims, &said, wanted);
    data.auth_time = new.authenticated_at().or(data.auth_time);
    data.acr = new.acr().map(str::to_owned);
    let has_moved = new.sid().is_some_and(|sid| data.sid.as_deref() != Some(sid));
    if has_moved {
        data.sid = new.sid().map(str::to_owned);
    }
    has_moved
}

/// The session's claims after its ID token was replaced, and the names of those that are of an older ID token than the new
/// one, as those in `older` were of older ones than the old one. `wanted` are the claims that the app keeps, if it has
/// said so.
fn renewed(
    held: &Claims,
    old: &Map<String, Value>,
    older: &[String],
    new: &Map<String, Value>,
    wanted: Option<&[String]>,
) -> (Claims, Vec<String>) {
    let is_as_told = |name: &str| held.get(name) == old.get(name) || has(older, name);
    let is_wanted = |name: &str| held.get(name).is_some() || wanted.is_none_or(|wanted| has(wanted, name));
    let mut claims: Map<String, Value> = held
        .iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    let mut older_now = Vec::new();
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).chain(older).collect();
    for name in names {
        if is_never_renewed(name) || !is_as_told(name) || !is_wanted(name) {
            continue;
        }
        match new.get(name) {
            Some(value) => drop(claims.insert(name.clone(), value.clone())),
            None if stays(name) && claims.contains_key(name) => older_now.push(name.clone()),
            None => drop(claims.remove(name)),
        }
    }
    // An address that has changed was not verified because the one before it was.
    for (name, subject) in ABOUT_ANOTHER {
        if has(&older_now, name) && claims.get(subject) != held.get(subject) {
            claims.remove(name);
            older_now.retain(|one| one != name);
        }
    }
    (claims.into(), older_now)
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|one| one == name)
}

/// Whether a claim stays that the new token lacks: the session at the provider and when it began are what they were.
fn stays(name: &str) -> bool {
    matches!(name, "sid" | "auth_time") || OF_THE_PERSON.contains(&name)
}

/// Who the user is does not change, and what belongs to the message alone is not kept at sign-in either.
fn is_never_renewed(name: &str) -> bool {
    matches!(name, "iss" | "sub") || MESSAGE_CLAIMS.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    /// The session's claims after a refresh, as they were before it, and what both ID tokens say.
    fn renew(held: Value, old: Value, new: Value) -> Value {
        renew_wanted(held, old, new, None)
    }

    fn renew_wanted(held: Value, old: Value, new: Value, wanted: Option<&[String]>) -> Value {
        let (claims, _) = renewed(&object(held).into(), &object(old), &[], &object(new), wanted);
        serde_json::to_value(claims).expect("claims are JSON")
    }

    /// The session's claims after each of a row of refreshes.
    fn in_a_row(held: Value, tokens: &[Value]) -> Vec<Value> {
        let (mut claims, mut older) = (Claims::from(object(held)), Vec::new());
        let renewals = tokens.windows(2).map(|pair| {
            let (old, new) = (object(pair[0].clone()), object(pair[1].clone()));
            (claims, older) = renewed(&claims, &old, &older, &new, None);
            serde_json::to_value(&claims).expect("claims are JSON")
        });
        renewals.collect()
    }

    // OpenID Connect Core §12.2
    #[test]
    fn what_has_stayed_is_renewed_once_a_token_says_it_again() {
        for name in ["email", "sid", "auth_time"] {
            let (first, second) = (json!({ name: "first" }), json!({ name: "second" }));
            let tokens = [first.clone(), json!({}), json!({}), second.clone(), json!({})];
            assert_eq!(
                in_a_row(first.clone(), &tokens),
                [first.clone(), first, second.clone(), second]
            );
        }
        // What userinfo or the app has said is never an ID token's, however many there are.
        let held = json!({"email": "of the app"});
        let tokens = [
            json!({"email": "a@b"}),
            json!({}),
            json!({"email": "c@d"}),
            json!({}),
        ];
        assert_eq!(in_a_row(held.clone(), &tokens), vec![held; 3]);
        // A role that was gone comes back.
        let roles = json!({"roles": ["admin"]});
        let tokens = [roles.clone(), json!({}), json!({}), roles.clone()];
        assert_eq!(in_a_row(roles.clone(), &tokens), [json!({}), json!({}), roles]);
        let old = json!({"email": "one", "email_verified": true});
        let tokens = [
            old.clone(),
            json!({}),
            json!({"email": "two"}),
            json!({"email_verified": true}),
        ];
        let other = json!({"email": "two"});
        assert_eq!(
            in_a_row(old.clone(), &tokens),
            [old, other, json!({"email": "two", "email_verified": true})]
        );
    }

    // OpenID Connect Core §12.2
    #[test]
    fn what_the_new_token_says_holds() {
        for (old, new) in [
            (json!({"roles": ["admin"]}), json!({"roles": []})),
            (json!({"roles": ["admin"]}), json!({"roles": ["editor"]})),
            (json!({"acr": "1"}), json!({"acr": "2"})),
            (json!({"amr": ["pwd"]}), json!({"amr": ["pwd", "otp"]})),
            (json!({"auth_time": 1}), json!({"auth_time": 2})),
            (json!({"sid": "a"}), json!({"sid": "b"})),
            (json!({"exp": 1, "iat": 1}), json!({"exp": 2, "iat": 2})),
            (json!({"email": "a@b"}), json!({"email": "c@d"})),
            (json!({}), json!({"roles": ["admin"]})),
            (json!({"x": null}), json!({"x": 1})),
            (json!({"x": 1}), json!({"x": null})),
        ] {
            assert_eq!(renew(old.clone(), old, new.clone()), new);
        }
    }

    // OpenID Connect Core §12.2
    #[test]
    fn what_it_does_not_say_any_more_is_gone_save_what_stays() {
        for name in [
            "roles",
            "groups",
            "acr",
            "amr",
            "azp",
            "nbf",
            "jti",
            "level",
            "session_expiry",
        ] {
            let old = json!({ name: "x" });
            assert_eq!(renew(old.clone(), old, json!({})), json!({}), "{name}");
        }
        for name in OF_THE_PERSON.into_iter().chain(["sid", "auth_time"]) {
            let old = json!({ name: "x" });
            assert_eq!(renew(old.clone(), old.clone(), json!({})), old, "{name}");
        }
    }

    // OpenID Connect Core §12.2
    #[test]
    fn what_the_app_or_userinfo_has_put_there_stays() {
        for new in [json!({}), json!({"roles": ["admin"]}), json!({"roles": ["user"]})] {
            for old in [json!({}), json!({"roles": ["admin"]})] {
                let held = json!({"roles": ["of the app"]});
                assert_eq!(renew(held.clone(), old, new.clone()), held);
            }
        }
        let held = json!({"department": "engines", "roles": ["admin"]});
        let renewed = renew(held, json!({"roles": ["admin"]}), json!({"department": "sales"}));
        assert_eq!(renewed, json!({"department": "engines"}), "userinfo's");
    }

    #[test]
    fn what_the_app_has_left_out_stays_out() {
        let wanted = ["email".to_owned(), "roles".to_owned()];
        for (old, new, expected) in [
            // It was there before, and dropped.
            (json!({"level": 1}), json!({"level": 2}), json!({})),
            (json!({"level": 1}), json!({"level": 1}), json!({})),
            // It is new, and not among those that are kept.
            (json!({}), json!({"level": 2}), json!({})),
            (
                json!({}),
                json!({"roles": ["admin"]}),
                json!({"roles": ["admin"]}),
            ),
        ] {
            assert_eq!(renew_wanted(json!({}), old, new, Some(&wanted)), expected);
        }
        // What the hook has set is kept whatever else is.
        let held = json!({"rank": 1});
        assert_eq!(
            renew_wanted(held.clone(), json!({}), json!({"rank": 2}), Some(&[])),
            held
        );
    }

    #[test]
    fn who_the_user_is_stays_and_the_message_s_own_claims_stay_out() {
        let held = json!({"iss": "i", "sub": "s"});
        let old = json!({"iss": "i", "sub": "s", "nonce": "n"});
        let new = json!({"iss": "j", "sub": "t", "nonce": "n", "at_hash": "h", "c_hash": "h", "s_hash": "h"});
        assert_eq!(renew(held.clone(), old, new), held);
    }

    #[test]
    fn another_address_is_not_verified_as_the_one_before_was() {
        for (what, is) in [
            ("email", "email_verified"),
            ("phone_number", "phone_number_verified"),
        ] {
            let old = json!({ what: "one", is: true });
            let other = json!({ what: "two" });
            assert_eq!(renew(old.clone(), old.clone(), other.clone()), other);
            for new in [json!({}), json!({ what: "one" }), old.clone()] {
                assert_eq!(renew(old.clone(), old.clone(), new), old);
            }
            let both = json!({ what: "two", is: true });
            assert_eq!(renew(old.clone(), old.clone(), both.clone()), both);
            // The app's own address is not the token's.
            let held = json!({ what: "the app's", is: true });
            assert_eq!(renew(held.clone(), old, other), held);
        }
    }
}
