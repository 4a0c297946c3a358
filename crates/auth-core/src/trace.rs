//! The trace that an incoming request belongs to, to be passed on (W3C Trace Context, Recommendation of 23 November 2021).
//!
//! The adapters read `traceparent` and `tracestate` of a request, and the calls of its
//! [`AuthenticatedClient`](crate::client::AuthenticatedClient) carry them on. What is not well-formed is left out.

use http::HeaderValue;

/// `traceparent` and `tracestate` of an incoming request, as they came. For
/// [`AuthenticatedClient::with_trace`](crate::client::AuthenticatedClient::with_trace).
///
/// Passed on unchanged (§3.1, §4.3 of the specification): the spans that this library makes for `tracing` have no ids of that
/// standard. `baggage` is not passed on: what is in it is anybody's, and for anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub(crate) parent: HeaderValue,
    pub(crate) state: Option<HeaderValue>,
}

impl TraceContext {
    /// Reads all values of `traceparent` and of `tracestate`. `None` where there is not exactly one valid `traceparent`; a
    /// `tracestate` that is not valid is left out (§3.2, §3.3).
    #[must_use]
    pub fn of<'a>(
        parents: impl IntoIterator<Item = &'a [u8]>,
        states: impl IntoIterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        let mut parents = parents.into_iter();
        let parent = parents.next().filter(|parent| is_parent(parent))?;
        if parents.next().is_some() {
            return None;
        }
        let state = states.into_iter().collect::<Vec<_>>().join(&b","[..]);
        Some(Self {
            parent: HeaderValue::from_bytes(parent).ok()?,
            state: Some(state)
                .filter(|state| is_state(state))
                .and_then(|state| HeaderValue::from_bytes(&state).ok()),
        })
    }
}

/// §3.2.2. Of a version to come, more may follow.
fn is_parent(text: &[u8]) -> bool {
    let hex = |part: &[u8], length: usize| {
        part.len() == length && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let not_zero = |part: &[u8]| part.iter().any(|byte| *byte != b'0');
    let mut parts = text.split(|byte| *byte == b'-');
    let mut part = || parts.next().unwrap_or_default();
    let (version, trace, span, flags) = (part(), part(), part(), part());
    let is_sound = hex(version, 2)
        && version != b"ff"
        && hex(trace, 32)
        && not_zero(trace)
        && hex(span, 16)
        && not_zero(span)
        && hex(flags, 2);
    is_sound && (parts.next().is_none() || version != b"00" && text.len() <= 512)
}

/// §3.3.1: up to 32 members, each a key and a value of visible ASCII. Kept to 512 bytes, which is what all have to carry.
fn is_state(text: &[u8]) -> bool {
    let key = |key: &[u8]| {
        (1..=256).contains(&key.len())
            && key
                .iter()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'))
    };
    let value = |value: &[u8]| {
        (1..=256).contains(&value.len())
            && value
                .iter()
                .all(|byte| matches!(byte, b' '..=b'~') && *byte != b'=')
    };
    let members: Vec<_> = text
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
        .collect();
    (1..=32).contains(&members.len())
        && text.len() <= 512
        && members.iter().all(|member| {
            let at = member.iter().position(|byte| *byte == b'=');
            at.is_some_and(|at| key(&member[..at]) && value(&member[at + 1..]))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(parents: &[&str], states: &[&str]) -> Option<(String, Option<String>)> {
        let trace = TraceContext::of(
            parents.iter().map(|text| text.as_bytes()),
            states.iter().map(|text| text.as_bytes()),
        )?;
        let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
        Some((text(&trace.parent), trace.state.as_ref().map(text)))
    }

    #[test]
    fn what_is_valid_is_kept_as_it_came() {
        let later = format!("01-{}-what-comes", &PARENT[3..]);
        for parent in [PARENT, &later, &format!("cc-{}", &PARENT[3..])] {
            assert_eq!(of(&[parent], &[]), Some((parent.to_owned(), None)), "{parent}");
        }
        let (_, state) = of(&[PARENT], &["rojo=00f067aa0ba902b7, a@b=x y", "congo=t61"]).expect("valid");
        assert_eq!(state.as_deref(), Some("rojo=00f067aa0ba902b7, a@b=x y,congo=t61"));
    }

    #[test]
    fn what_is_not_is_dropped() {
        for parents in [
            &[][..],
            &[PARENT, PARENT],
            &[""],
            &["00"],
            &[&PARENT.to_uppercase()],
            &[&PARENT.replace("b7ad6b7169203331", "0000000000000000")],
            &[&PARENT.replace(
                "0af7651916cd43dd8448eb211c80319c",
                "00000000000000000000000000000000",
            )],
            &[&format!("ff-{}", &PARENT[3..])],
            &[&format!("{PARENT}-x")],
            &[&format!("{PARENT} ")],
            &[&PARENT[..54]],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g"],
        ] {
            assert_eq!(of(parents, &["a=b"]), None, "{parents:?}");
        }
        let many = vec!["a=b"; 33].join(",");
        let long = format!("a={}", "b".repeat(300));
        for state in [
            "", ",", "a", "A=b", "a=b=c", "a=\u{e9}", "=b", "a=", "a b=c", &many, &long,
        ] {
            assert_eq!(
                of(&[PARENT], &[state]),
                Some((PARENT.to_owned(), None)),
                "{state:?}"
            );
        }
    }
}
