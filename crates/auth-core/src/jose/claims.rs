//! Reading claims leniently where it is harmless and strictly where it is not.

use std::borrow::Cow;
use std::fmt;
use std::mem;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
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

/// Reads what [`parse_object`] reads, and refuses what it refuses. Texts stay where they are, in these bytes.
pub(crate) fn parse_members(bytes: &[u8]) -> Result<Members<'_>, ObjectError> {
    // All at once, which is quicker than text by text.
    let text = std::str::from_utf8(bytes).map_err(|_| ObjectError::NotJson)?;
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => ObjectError::NotObject,
        _ => ObjectError::NotJson,
    })
}

/// Members of an object, by name.
pub(crate) trait Named {
    /// The member of this name.
    fn named(&self, name: &str) -> Option<Member<'_>>;

    /// The member's text, where it is one.
    fn text(&self, name: &str) -> Option<&str> {
        match self.named(name)? {
            Member::Text(text) => Some(text),
            Member::Other(_) => None,
        }
    }

    fn has(&self, name: &str) -> bool {
        self.named(name).is_some()
    }
}

/// A member's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Member<'m> {
    Text(&'m str),
    Other(&'m Value),
}

impl Member<'_> {
    /// As [`instant`].
    pub(crate) fn instant(self) -> Option<Timestamp> {
        match self {
            Self::Text(_) => None,
            Self::Other(value) => instant(value),
        }
    }

    /// As [`audience`].
    pub(crate) fn audience(self) -> Option<Vec<String>> {
        match self {
            Self::Text(one) => Some(vec![one.to_owned()]),
            Self::Other(value) => audience(value),
        }
    }
}

impl Named for Map<String, Value> {
    fn named(&self, name: &str) -> Option<Member<'_>> {
        self.get(name).map(|value| match value {
            Value::String(text) => Member::Text(text),
            other => Member::Other(other),
        })
    }
}

/// What [`parse_members`] has read, in the order of the names.
pub(crate) struct Members<'b>(Vec<(Cow<'b, str>, Held<'b>)>);

impl Members<'_> {
    /// About how many bytes of memory the object takes that [`parse_object`] makes of the same bytes.
    pub(crate) fn size(&self) -> usize {
        let size_of_held = |held: &Held<'_>| match held {
            Held::Text(text) => mem::size_of::<Value>() + text.len(),
            Held::Other(value) => size_of_value(value),
        };
        let sizes = self.0.iter();
        sizes
            .map(|(name, held)| size_of_name(name) + size_of_held(held))
            .sum()
    }
}

impl Named for Members<'_> {
    fn named(&self, name: &str) -> Option<Member<'_>> {
        let (_, held) = self.0.iter().find(|(one, _)| one == name)?;
        Some(match held {
            Held::Text(text) => Member::Text(text),
            Held::Other(value) => Member::Other(value),
        })
    }
}

/// About how many bytes of memory these members take.
pub(crate) fn size_of_members<'m>(members: impl IntoIterator<Item = (&'m String, &'m Value)>) -> usize {
    let sizes = members.into_iter();
    sizes
        .map(|(name, value)| size_of_name(name) + size_of_value(value))
        .sum()
}

fn size_of_name(name: &str) -> usize {
    mem::size_of::<String>() + name.len()
}

fn size_of_value(value: &Value) -> usize {
    let beyond = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size_of_value).sum(),
        Value::Object(members) => size_of_members(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    mem::size_of::<Value>() + beyond
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

impl<'b> Deserialize<'b> for Members<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'b> Visitor<'b> for MembersVisitor {
    type Value = Members<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UniqueMembersVisitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'b>>(self, mut access: A) -> Result<Members<'b>, A::Error> {
        // An access token has a dozen.
        let mut members = Vec::with_capacity(16);
        while let Some((Text(name), held)) = access.next_entry()? {
            members.push((name, held));
        }
        // Sorted, so that many take no longer than they must.
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom("a member is named twice"));
        }
        Ok(Members(members))
    }
}

/// A text, where it was read if nothing in it is escaped.
struct Text<'b>(Cow<'b, str>);

impl<'b> Deserialize<'b> for Text<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'b> Visitor<'b> for TextVisitor {
    type Value = Text<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'b str) -> Result<Text<'b>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'b>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// A member's value as it is held.
enum Held<'b> {
    Text(Cow<'b, str>),
    Other(Value),
}

impl<'b> Deserialize<'b> for Held<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeldVisitor)
    }
}

struct HeldVisitor;

impl<'b> Visitor<'b> for HeldVisitor {
    type Value = Held<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'b str) -> Result<Held<'b>, E> {
        Ok(Held::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Held<'b>, E> {
        Ok(Held::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Held<'b>, E> {
        Ok(Held::Other(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Held<'b>, E> {
        Ok(Held::Other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Held<'b>, E> {
        Ok(Held::Other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Held<'b>, E> {
        Ok(Held::Other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Held<'b>, E> {
        Ok(Held::Other(value.into()))
    }

    fn visit_seq<A: SeqAccess<'b>>(self, access: A) -> Result<Held<'b>, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(access)).map(Held::Other)
    }

    fn visit_map<A: MapAccess<'b>>(self, access: A) -> Result<Held<'b>, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(access)).map(Held::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
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

    /// Reads it as a map, and as members.
    #[track_caller]
    fn assert_read_alike(bytes: &[u8]) {
        let (map, members) = match (parse_object(bytes), parse_members(bytes)) {
            (Ok(map), Ok(members)) => (map, members),
            (map, members) => {
                assert!(map.is_err() && members.is_err(), "{}", bytes.escape_ascii());
                return;
            }
        };
        assert_eq!(members.0.len(), map.len());
        assert_eq!(members.size(), size_of_members(&map));
        for (name, value) in &map {
            let value_of = |member| match member {
                Member::Text(text) => json!(text),
                Member::Other(value) => value.clone(),
            };
            assert_eq!(members.named(name).map(value_of).as_ref(), Some(value), "{name}");
            assert_eq!(map.named(name).map(value_of).as_ref(), Some(value), "{name}");
        }
    }

    #[test]
    fn members_are_read_as_a_map_is() {
        for text in [
            r"{}",
            r#"{"a":1,"ab":"x","abc":null,"abcd":[1,"x",{"a":[]}],"abcde":{"a":1},"abcdef":-1.5e3}"#,
            r#"{"ab":"\u0061\n","abc":"\u0061","\u0061\u0061":18446744073709551615,"x":-9223372036854775808}"#,
            r#"{"a":{"b":1,"b":2},"ab":{"b":1,"b":2}}"#,
            r#"{"ab":true,"b":false,"cd":1e999}"#,
            r#"{"b":1e999}"#,
            r#"{"b":"\ud800"}"#,
            r#"{"ab":"\ud800"}"#,
            r#"{"b":[1,]}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":{},"a":1}"#,
            r#"{"ab":1,"\u0061b":1}"#,
            r#"{"b":{"a"}}"#,
            r#"{"b":{1:2}}"#,
            r#"{"b":01}"#,
            r#"{"b":1}x"#,
            r#"{"b":1} "#,
            r#"{1:2}"#,
            "[]",
            "null",
            "",
            "{",
        ] {
            assert_read_alike(text.as_bytes());
        }
        assert_read_alike(b"{\"b\":\"\xff\"}");
        assert_read_alike(b"{\"\xff\":1}");
        for depth in [1, 120, 126, 127, 128, 129, 130, 10_000] {
            let deep = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
            assert_read_alike(deep.as_bytes());
        }
    }

    /// JSON values, three levels deep.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_members_of_any_object_are_read_as_a_map_is(
            members in prop::collection::btree_map(".{0,5}", value(), 0..20),
            cut in any::<prop::sample::Index>(),
            odd in any::<u8>(),
        ) {
            let mut bytes = serde_json::to_vec(&members).expect("JSON");
            assert_read_alike(&bytes);
            let at = cut.index(bytes.len());
            assert_read_alike(&bytes[..at]);
            bytes[at] = odd;
            assert_read_alike(&bytes);
        }
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
