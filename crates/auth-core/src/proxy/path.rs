//! Which request targets are forwarded. What is, is forwarded to the byte.

use std::borrow::Cow;

/// The target cannot be forwarded unchanged and safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// What follows the prefix of a path and query: it begins with `/`. `None` where the target is not below the prefix.
pub(crate) fn below<'a>(prefix: &str, target: &'a str) -> Option<&'a str> {
    target.strip_prefix(prefix).filter(|rest| rest.starts_with('/'))
}

/// Checks a path and query that begins with `/` and is about to be appended to the upstream's base path.
///
/// Nothing is decoded, normalised or encoded on the way, so whatever could leave the base path at the other end is
/// refused: `..` as a segment, however often percent-encoded, with whatever separator a server may know (`/`, `\`, their
/// encodings), and with parameters or what may end a path behind it (`..;x`, `..%00`, `..%3f`). So is what is no path and query at all (RFC 3986 §3.3, §3.4): spaces,
/// control characters, bytes that are not ASCII, a fragment, and in the path a `\` (in a query, browsers send it as it is) and a `%` without two digits, which servers
/// read in ways of their own (`%u002e`). A `.` as a segment, `//`, `;` and an empty query lead nowhere and pass.
pub(crate) fn check(target: &str) -> Result<(), Refused> {
    let path = target.split('?').next().unwrap_or_default();
    let is_sound = target.starts_with('/')
        && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && !path.contains('\\')
        && path.split('%').skip(1).all(begins_with_two_digits)
        && !climbs(path);
    if is_sound { Ok(()) } else { Err(Refused) }
}

fn begins_with_two_digits(text: &str) -> bool {
    let digits = text.bytes().take(2).filter(u8::is_ascii_hexdigit);
    digits.count() == 2
}

/// How often a path that goes on may be percent-encoded. Nobody writes this; without an end, undoing `%252525…` would take a
/// time that grows with the square of its length.
const MOST_ENCODINGS: usize = 8;

/// Whether a segment of the path is `..`, to whoever decodes it once or more often; or nobody can tell. (The URL standard knows no tabs and line
/// breaks, and no control characters at the end.)
fn climbs(path: &str) -> bool {
    let mut seen = Cow::Borrowed(path.as_bytes());
    for _ in 0..MOST_ENCODINGS {
        let is_climb = seen.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
            let mut name = segment
                .iter()
                .filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r'))
                .take_while(|byte| **byte > b' ' && !matches!(**byte, b';' | b'?' | b'#'));
            (name.next(), name.next(), name.next()) == (Some(&b'.'), Some(&b'.'), None)
        });
        if is_climb {
            return true;
        }
        let next = decoded(&seen);
        // Each round but the last is shorter than the one before.
        if next.len() == seen.len() {
            return false;
        }
        seen = Cow::Owned(next);
    }
    true
}

/// The bytes with their percent-encoding undone, once. A `%` without two digits, which comes up only after the first time,
/// stays: it keeps nobody from undoing the rest.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_below_the_base_path_passes() {
        for target in [
            "/",
            "//",
            "/a//b/",
            "/?",
            "/a?",
            "/a?b=c?d=/../e",
            "/a?x=%zz&y=100%&z=%2e%2e/",
            "/a;b=c;d/e",
            "/./a/.",
            "/%2e/a",
            "/...",
            "/..a/a../.b.",
            "/%2e%2ea",
            "/a%2Fb%5cc%3Fd%23e",
            "/%E2%82%AC/%c3%28/%00",
            "/a'(b)*+,=:@!$&~_-{|}^`\"<>",
            "/http://evil.example/x",
            "//evil.example/x",
            "/@evil.example",
            "/:80/",
            "/%2525",
            "/%25/%25zz/%25252",
        ] {
            assert_eq!(check(target), Ok(()), "{target}");
        }
    }

    #[test]
    fn what_could_leave_it_is_refused() {
        for target in [
            "",
            "a",
            "?a",
            "/..",
            "/../",
            "/a/../b",
            "/a/..?b",
            "/%2e%2e",
            "/%2E%2e/",
            "/.%2e/x",
            "/%2e./x",
            "/a/..;/b",
            "/..;x=y",
            "/%2e%2e%3bx/",
            "/a%2f..",
            "/a/..%2fb",
            "/..%2F..%2Fetc",
            "/..%5cb",
            "/a%5c..%5cb",
            "/a\\..\\b",
            "/a\\b",
            "/..%00",
            "/..%3fx",
            "/a/%2e%2e%23/b",
            "/..%253f",
            "/..%20/x",
            "/.%09./x",
            "/%0a..%0d",
            "/%252e%252e/x",
            "/..%252fx",
            "/%25252e%25252e",
            "/%252e%252e/%25",
            "/%25252e%25252e/%25zz/%25",
            "/a#b",
            "/a?b#c",
            "/a b",
            "/a\tb",
            "/a\r\nb",
            "/a?b\r\nc: d",
            "/a\0",
            "/\u{7f}",
            "/\u{e9}",
            "/a?\u{2025}",
            "/%",
            "/%2",
            "/%zz",
            "/%u002e%u002e/",
            "/% 2e",
            "/%+2",
        ] {
            assert_eq!(check(target), Err(Refused), "{target}");
        }
    }

    #[test]
    fn what_is_encoded_again_and_again_is_refused() {
        let encoded = |times: usize| format!("/%{}41", "25".repeat(times));
        assert_eq!(check(&encoded(6)), Ok(()));
        for times in [8, 30_000] {
            assert_eq!(check(&encoded(times)), Err(Refused), "{times}");
        }
    }

    #[test]
    fn only_what_is_below_the_prefix_belongs_to_it() {
        assert_eq!(below("/proxy/api", "/proxy/api/a?b"), Some("/a?b"));
        assert_eq!(below("/proxy/api", "/proxy/api//"), Some("//"));
        assert_eq!(below("", "/a"), Some("/a"));
        for other in [
            "/proxy/api",
            "/proxy/api?x=/",
            "/proxy/apis/",
            "/proxy/%61pi/",
            "//proxy/api/",
            "/proxy/api%2fx",
            "/x",
        ] {
            assert_eq!(below("/proxy/api", other), None, "{other}");
        }
    }
}
