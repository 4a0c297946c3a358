//! What a refreshed ID token changes of what a session says about its user (OpenID Connect Core §12.2).
//!
//! All else is as at the first issue: what the new token says holds, and what it does not say any more does not. Three
//! things stay: what the app's sign-in hook or userinfo has put in the place of the old token's claims, what the hook
//! has left out, and claims about the person, which providers leave out of refreshed tokens.

use serde_json::{Map, Value};

use crate::id_token::IdTokenClaims;
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
/// has had. Says whether the session has another `sid` now.
pub(super) fn apply(data: &mut SessionData, old: &Map<String, Value>, new: &IdTokenClaims) -> bool {
    let mut said = new.all().clone();
    // One that is missing, or of no use, stays what it was: the session at the provider, and when it began.
    if new.sid().is_none() {
        keep("sid", old, &mut said);
    }
    if new.authenticated_at().is_none() {
        keep("auth_time", old, &mut said);
    }
    data.claims = renewed(&data.claims, old, &said, data.kept_claims.as_deref());
    data.auth_time = new.authenticated_at().or(data.auth_time);
    let has_moved = new.sid().is_some_and(|sid| data.sid.as_deref() != Some(sid));
    if has_moved {
        data.sid = new.sid().map(str::to_owned);
    }
    has_moved
}

fn keep(name: &str, old: &Map<String, Value>, said: &mut Map<String, Value>) {
    match old.get(name) {
        Some(value) => drop(said.insert(name.to_owned(), value.clone())),
        None => drop(said.remove(name)),
    }
}

/// The session's claims after its ID token was replaced. `wanted` are the claims that the app keeps, if it has said so.
fn renewed(
    held: &Claims,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    wanted: Option<&[String]>,
) -> Claims {
    let mut claims: Map<String, Value> = held
        .iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    let names = old.keys().chain(new.keys()).map(String::as_str);
    for name in names.filter(|name| !is_never_renewed(name)) {
        let is_as_told = held.get(name) == old.get(name);
        let is_wanted =
            held.get(name).is_some() || wanted.is_none_or(|wanted| wanted.iter().any(|one| one == name));
        if !is_as_told || !is_wanted {
            continue;
        }
        match new.get(name) {
            Some(value) => drop(claims.insert(name.to_owned(), value.clone())),
            None if OF_THE_PERSON.contains(&name) => {}
            None => drop(claims.remove(name)),
        }
    }
    // An address that has changed was not verified because the one before it was.
    for (name, subject) in ABOUT_ANOTHER {
        if !new.contains_key(name)
            && held.get(name) == old.get(name)
            && claims.get(subject) != held.get(subject)
        {
            claims.remove(name);
        }
    }
    claims.into()
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
        let claims = renewed(&object(held).into(), &object(old), &object(new), wanted);
        serde_json::to_value(claims).expect("claims are JSON")
    }

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

    #[test]
    fn what_it_does_not_say_any_more_is_gone_save_claims_about_the_person() {
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
        for name in OF_THE_PERSON {
            let old = json!({ name: "x" });
            assert_eq!(renew(old.clone(), old.clone(), json!({})), old, "{name}");
        }
    }

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
