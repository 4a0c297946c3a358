//! Reading claims leniently where it is harmless and strictly where it is not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// The last second of the year 9999. A larger number is not a time in seconds (milliseconds, most likely).
const LATEST: f64 = 253_402_300_799.0;

/// Why bytes are not an object of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectError {
    /// Not JSON at all.
    NotJson,
    /// JSON, but no object, or an object that names a member twice.
    NotObject,
}

/// Reads a JSON object and refuses one that names a member twice.
///
/// RFC 7515 §4 and RFC 7519 §4 let a parser refuse such an object or take the last of the doubles. It is refused here,
/// because whoever checked the token before may have read the other one. Objects inside it take the last.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, ObjectError> {
    match serde_json::from_slice::<UniqueMembers>(bytes) {
        Ok(UniqueMembers(members)) => Ok(members),
        Err(error) if error.classify() == Category::Data => Err(ObjectError::NotObject),
        Err(_) => Err(ObjectError::NotJson),
    }
}

/// Reads a NumericDate (RFC 7519 §2): seconds since the epoch, whole or not. Anything but a number is `None`, and so
/// are numbers before the epoch or after the year 9999.
pub(crate) fn instant(claim: &Value) -> Option<Timestamp> {
    let seconds = claim.as_f64().filter(|s| (0.0..=LATEST).contains(s))?;
    Some(Timestamp::from_millis((seconds * 1000.0) as i64))
}

/// Whether a header's `typ` is this one: `application/` may be left out, and case does not count (RFC 7515 §4.1.9, RFC 9110
/// §8.3.1).
pub(crate) fn is_media_type(typ: &str, name: &str) -> bool {
    const PREFIX: &str = "application/";
    let rest = match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => typ,
    };
    rest.eq_ignore_ascii_case(name)
}

/// Reads an audience (RFC 7519 §4.1.3): one string, or an array of nothing but strings.
pub(crate) fn audience(claim: &Value) -> Option<Vec<String>> {
    match claim {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(several) => several
            .iter()
            .map(|member| member.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

struct UniqueMembers(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueMembersVisitor)
    }
}

struct UniqueMembersVisitor;

impl<'de> Visitor<'de> for UniqueMembersVisitor {
    type Value = UniqueMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members have different names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<UniqueMembers, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is named twice"));
            }
        }
        Ok(UniqueMembers(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_an_object() {
        let members = parse_object(br#"{"a": 1, "b": {"c": []}}"#).expect("an object");
        assert_eq!(Value::Object(members), json!({"a": 1, "b": {"c": []}}));
    }

    #[test]
    fn refuses_what_is_not_an_object_of_distinct_members() {
        assert_eq!(parse_object(b"[]"), Err(ObjectError::NotObject));
        assert_eq!(parse_object(b"null"), Err(ObjectError::NotObject));
        assert_eq!(parse_object(br#"{"a": 1, "a": 1}"#), Err(ObjectError::NotObject));
        assert_eq!(
            parse_object(br#"{"a": 1, "\u0061": 2}"#),
            Err(ObjectError::NotObject)
        );
        assert_eq!(parse_object(b"{} {}"), Err(ObjectError::NotJson));
        assert_eq!(parse_object(b"<html>"), Err(ObjectError::NotJson));
        assert_eq!(parse_object(b""), Err(ObjectError::NotJson));
        assert_eq!(
            parse_object("[".repeat(100_000).as_bytes()),
            Err(ObjectError::NotObject)
        );
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(parse_object(deep.as_bytes()), Err(ObjectError::NotJson));
    }

    #[test] // RFC 7515 §4.1.9
    fn a_media_type_is_the_same_in_any_case_and_without_application() {
        for same in ["at+jwt", "AT+JWT", "application/at+jwt", "APPLICATION/At+Jwt"] {
            assert!(is_media_type(same, "at+jwt"), "{same}");
        }
        for other in [
            "",
            "jwt",
            "at+jw",
            "at+jwtx",
            "application/",
            "application/x/at+jwt",
            "application/application/at+jwt",
            "text/at+jwt",
            " at+jwt",
            "applicatio\u{f1}/at+jwt",
        ] {
            assert!(!is_media_type(other, "at+jwt"), "{other}");
        }
    }

    #[test]
    fn instants_are_whole_or_fractional_seconds() {
        assert_eq!(
            instant(&json!(1_700_000_000)),
            Some(Timestamp::from_secs(1_700_000_000))
        );
        assert_eq!(
            instant(&json!(1_700_000_000.5)),
            Some(Timestamp::from_millis(1_700_000_000_500))
        );
        assert_eq!(instant(&json!(1.7e9)), Some(Timestamp::from_secs(1_700_000_000)));
    }

    #[test]
    fn instants_are_numbers_in_a_sane_range() {
        for odd in [
            json!("1700000000"),
            json!(null),
            json!(true),
            json!([1_700_000_000]),
            json!(-1),
            json!(1_700_000_000_000_i64),
            json!(u64::MAX),
            json!(f64::MAX),
        ] {
            assert_eq!(instant(&odd), None, "{odd}");
        }
    }

    #[test]
    fn audience_is_a_string_or_an_array_of_strings() {
        assert_eq!(audience(&json!("a")), Some(vec!["a".into()]));
        assert_eq!(audience(&json!(["a", "b"])), Some(vec!["a".into(), "b".into()]));
        assert_eq!(audience(&json!([])), Some(vec![]));
        assert_eq!(audience(&json!(["a", 1])), None);
        assert_eq!(audience(&json!({"a": "b"})), None);
        assert_eq!(audience(&json!(null)), None);
    }
}
