//! Which headers go through, up and down.

use http::header::{CONNECTION, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};

/// Headers of one connection (RFC 9110 §7.6.1; RFC 9112 §6.1). The length of a body is the transport's business.
const OF_A_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What the browser says to the app and not to the upstream: who it is here, and what only a proxy in front could know.
/// `Proxy` becomes `HTTP_PROXY` in a CGI program.
const OF_THE_BROWSER: [&str; 10] = [
    "authorization",
    "cookie",
    "cookie2",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "proxy",
    "via",
    "x-real-ip",
];

/// What the upstream says of its own origin and would be taken as said of the app's; and what no answer has, unless the
/// upstream sends back what it was sent: the token.
const OF_THE_UPSTREAM: [&str; 13] = [
    "alt-svc",
    "authorization",
    "clear-site-data",
    "cookie",
    "cookie2",
    "dpop",
    "dpop-nonce",
    "nel",
    "report-to",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
];

/// The schemes of challenges that are meant for programs. Any other makes browsers ask for a password.
const FOR_PROGRAMS: [&str; 2] = ["bearer", "dpop"];

/// The request's headers that go to the upstream.
pub(crate) fn upwards(headers: &HeaderMap, also_stay: &[HeaderName]) -> HeaderMap {
    let stays = |name: &str| OF_THE_BROWSER.contains(&name) || name.starts_with("x-forwarded-");
    through(headers, also_stay, stays)
}

/// The answer's headers that go to the browser.
pub(crate) fn downwards(headers: &HeaderMap, also_stay: &[HeaderName]) -> HeaderMap {
    let stays = |name: &str| OF_THE_UPSTREAM.contains(&name) || name.starts_with("access-control-");
    let mut through = through(headers, also_stay, stays);
    let challenges: Vec<_> = through
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter(|challenge| is_for_programs(challenge))
        .cloned()
        .collect();
    through.remove(WWW_AUTHENTICATE);
    for challenge in challenges {
        through.append(WWW_AUTHENTICATE, challenge);
    }
    through
}

fn through(headers: &HeaderMap, also_stay: &[HeaderName], stays: impl Fn(&str) -> bool) -> HeaderMap {
    let named: Vec<_> = tokens(headers, &CONNECTION).collect();
    headers
        .iter()
        .filter(|(name, _)| {
            // A server that makes variables of headers reads `_` and `-` alike.
            let plain = name.as_str().replace('_', "-");
            !OF_A_CONNECTION.contains(&plain.as_str())
                && !stays(&plain)
                && !also_stay.contains(name)
                && !named
                    .iter()
                    .any(|named| named.eq_ignore_ascii_case(name.as_str()))
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The members of a list of tokens, in all values of the header (RFC 9110 §5.6.1).
pub(crate) fn tokens(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    headers.get_all(name).iter().flat_map(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(|token| String::from_utf8_lossy(token.trim_ascii()).into_owned())
            .collect::<Vec<_>>()
    })
}

/// Whether each challenge in the value is of a scheme for programs (RFC 9110 §11.6.1). Within a list, what is followed by
/// `=` is a parameter; what is not begins another challenge.
fn is_for_programs(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    unquoted(text)
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .enumerate()
        .all(|(at, part)| {
            let (word, rest) = part.split_once([' ', '\t']).unwrap_or((part, ""));
            let is_parameter = at > 0 && (word.contains('=') || rest.trim_start().starts_with('='));
            is_parameter
                || FOR_PROGRAMS
                    .iter()
                    .any(|scheme| word.eq_ignore_ascii_case(scheme))
        })
}

/// The text without what stands in quotes.
fn unquoted(text: &str) -> String {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.chars()
        .filter(|char| match (*char, is_quoted, is_escaped) {
            (_, true, true) => {
                is_escaped = false;
                false
            }
            ('\\', true, false) => {
                is_escaped = true;
                false
            }
            ('"', _, _) => {
                is_quoted = !is_quoted;
                false
            }
            (_, quoted, _) => !quoted,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_between_browser_and_app_stays_there() {
        let request = headers(&[
            ("accept", "a/b"),
            ("accept-encoding", "br"),
            ("authorization", "Basic eA=="),
            ("baggage", "a=b"),
            ("connection", "keep-alive, X-One ,x-two"),
            ("connection", "X-THREE"),
            ("content-length", "3"),
            ("content-type", "a/b"),
            ("cookie", "a=b"),
            ("dpop", "x"),
            ("expect", "100-continue"),
            ("forwarded", "for=1.2.3.4"),
            ("host", "evil.example"),
            ("keep-alive", "timeout=5"),
            ("origin", "https://app.example"),
            ("proxy", "x"),
            ("proxy-authorization", "x"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("via", "1.1 x"),
            ("x-csrf", "1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-user", "root"),
            ("x_forwarded_host", "evil.example"),
            ("x-one", "1"),
            ("x-real-ip", "1.2.3.4"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("x-four", "4"),
            ("x-secret", "5"),
        ]);
        let also_stay = [HeaderName::from_static("x-secret")];
        assert_eq!(
            names(&upwards(&request, &also_stay)),
            [
                "accept",
                "accept-encoding",
                "baggage",
                "content-type",
                "origin",
                "x-csrf",
                "x-four"
            ]
        );
    }

    #[test]
    fn what_the_upstream_says_of_its_origin_is_not_said_of_the_app_s() {
        let answer = headers(&[
            ("access-control-allow-origin", "*"),
            ("alt-svc", "h3=\":443\""),
            ("cache-control", "public"),
            ("clear-site-data", "\"cookies\""),
            ("connection", "x-named"),
            ("content-type", "a/b"),
            ("dpop-nonce", "n"),
            ("etag", "\"1\""),
            ("keep-alive", "timeout=5"),
            ("location", "https://elsewhere.example/"),
            ("set-cookie", "a=b"),
            ("set-cookie2", "a=b"),
            ("strict-transport-security", "max-age=1"),
            ("trailer", "x"),
            ("x-named", "1"),
            ("x-other", "1"),
            ("x-other", "2"),
        ]);
        assert_eq!(
            names(&downwards(&answer, &[])),
            [
                "cache-control",
                "content-type",
                "etag",
                "location",
                "x-other",
                "x-other"
            ]
        );
    }

    #[test]
    fn an_upstream_that_sends_back_what_it_was_sent_shows_the_browser_no_token() {
        for (name, passes) in [
            ("authorization", false),
            ("authentication-info", true),
            ("cookie", false),
            ("cookie2", false),
            ("dpop", false),
            ("proxy-authorization", false),
            ("x-echoed", true),
        ] {
            let answer = headers(&[(name, "x")]);
            assert_eq!(!downwards(&answer, &[]).is_empty(), passes, "{name}");
        }
    }

    #[test]
    fn no_challenge_makes_a_browser_ask_for_a_password() {
        for (challenge, passes) in [
            ("Bearer", true),
            ("bearer realm=\"a, Basic b\", error=\"x\"", true),
            ("DPoP algs=\"ES256\", Bearer realm = \"x\"", true),
            (
                "Bearer error=\"insufficient_user_authentication\", max_age=\"5\"",
                true,
            ),
            ("Bearer realm=\"a\\\", Basic \"", true),
            ("Basic realm=\"x\"", false),
            ("Bearer realm=\"x\", Basic realm=\"y\"", false),
            ("Bearer, Negotiate", false),
            ("NTLM", false),
            ("Digest nonce=\"x\", Bearer", false),
        ] {
            let answer = headers(&[("www-authenticate", challenge)]);
            assert_eq!(!downwards(&answer, &[]).is_empty(), passes, "{challenge}");
        }
        let both = headers(&[("www-authenticate", "Basic x=y"), ("www-authenticate", "Bearer")]);
        assert_eq!(downwards(&both, &[])[WWW_AUTHENTICATE], "Bearer");
    }
}
