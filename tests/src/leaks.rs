//! Finds secrets in a text, in the clear and in the forms that programs print them in.
//!
//! Of a secret, any 31 characters in a row are found, and its first and last 16: a log that shortens what it shows still gives it away.
//! Of a JWT the header is no secret; its claims and its signature are, each alone.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What a secret is; it decides where the secret may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A cookie's value.
    Cookie,
    /// What an authorization request binds itself with: `state`, `nonce`, `code_challenge`.
    Binding,
    /// An access token.
    AccessToken,
    /// An ID token.
    IdToken,
    /// A code, a refresh token, a verifier, a client assertion, a session at the provider.
    Grant,
    /// A secret of the application's own settings.
    Setting,
    /// What is no secret to its operator and nobody else's business: paths, a store's address.
    Private,
}

/// A piece of a secret that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose piece it is.
    pub kind: Kind,
    /// How it was written.
    pub form: &'static str,
    /// Where the piece begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Looks for all secrets at once.
#[derive(Debug)]
pub struct Searcher {
    automaton: AhoCorasick,
    needles: Vec<Vec<(Kind, &'static str)>>,
}

/// Bytes of a piece: shorter ones are found by chance.
const PIECE: usize = 16;

/// A secret has at least so many bytes; what is shorter is not looked for.
const SHORTEST: usize = 8;

/// With more secrets than these, the ends of each are looked for and not its middle.
const MANY: usize = 500;

impl Searcher {
    /// Prepares the search for these secrets.
    ///
    /// # Panics
    ///
    /// When they are too many for any search.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = (Kind, &'a str)>) -> Self {
        let secrets: Vec<_> = secrets
            .into_iter()
            .filter(|(_, secret)| secret.len() >= SHORTEST)
            .collect();
        let whole = secrets.len() <= MANY;
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut needles: Vec<Vec<(Kind, &'static str)>> = Vec::new();
        for (kind, secret) in secrets {
            for (form, piece) in pieces(kind, secret, whole) {
                let place = *places.entry(piece).or_insert_with(|| {
                    needles.push(Vec::new());
                    needles.len() - 1
                });
                if !needles[place].iter().any(|(other, _)| *other == kind) {
                    needles[place].push((kind, form));
                }
            }
        }
        let mut patterns = vec![String::new(); needles.len()];
        for (piece, place) in places {
            patterns[place] = piece;
        }
        let automaton = AhoCorasick::new(patterns).expect("the secrets fit into memory");
        Self { automaton, needles }
    }

    /// What of the secrets stands in `text`, but for those of the kinds that may.
    #[must_use]
    pub fn find(&self, text: &str, allowed: &[Kind]) -> Option<Found> {
        self.automaton.find_overlapping_iter(text).find_map(|found| {
            let owners = &self.needles[found.pattern().as_usize()];
            if owners.iter().any(|(kind, _)| allowed.contains(kind)) {
                return None;
            }
            owners.first().map(|&(kind, form)| Found {
                kind,
                form,
                start: found.start(),
                end: found.end(),
            })
        })
    }
}

/// The pieces to look for, each with the form that it is a piece of.
fn pieces(kind: Kind, secret: &str, whole: bool) -> Vec<(&'static str, String)> {
    if kind == Kind::Private {
        return vec![("plain", secret.to_owned())];
    }
    let mut pieces = Vec::new();
    for part in parts(secret) {
        pieces.extend(cut(part, whole).map(|piece| ("plain", piece)));
        for (form, text) in forms(part) {
            if text != part {
                pieces.extend(ends(&text).map(|piece| (form, piece)));
            }
        }
    }
    pieces
}

/// The secret parts: the second and third of a JWT, and anything else as it is.
fn parts(secret: &str) -> Vec<&str> {
    let parts: Vec<_> = secret.split('.').collect();
    match parts[..] {
        [header, claims, signature] if header.starts_with("eyJ") => [claims, signature]
            .into_iter()
            .filter(|part| part.len() >= PIECE)
            .collect(),
        _ => vec![secret],
    }
}

/// One piece after the other, and the last one from the end.
fn cut(text: &str, whole: bool) -> impl Iterator<Item = String> {
    let bytes = text.as_bytes();
    let count = if whole { usize::MAX } else { 1 };
    let blocks = bytes.chunks_exact(PIECE).take(count);
    let last = &bytes[bytes.len().saturating_sub(PIECE)..];
    blocks
        .chain([last])
        .map(|piece| String::from_utf8_lossy(piece).into_owned())
        .collect::<Vec<_>>()
        .into_iter()
}

/// The beginning and the end of a form, which is longer than what it stands for.
fn ends(text: &str) -> impl Iterator<Item = String> {
    let length = text.len().min(2 * PIECE);
    let pieces = [&text[..length], &text[text.len() - length..]];
    pieces
        .into_iter()
        .filter(|piece| piece.len() >= SHORTEST)
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

/// The ways in which programs write a text. All of them are ASCII where the text is.
fn forms(text: &str) -> Vec<(&'static str, String)> {
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let percent = form.replace('+', "%20");
    let mut forms = vec![
        ("lower-case percent-encoded", lower_percent(&percent)),
        ("JSON", quoted(&serde_json::Value::from(text).to_string())),
        ("debug", quoted(&format!("{text:?}"))),
        ("HTML", html(text)),
        ("hexadecimal", hex(text.as_bytes(), false)),
        ("upper-case hexadecimal", hex(text.as_bytes(), true)),
        ("a list of bytes", list(text.as_bytes())),
    ];
    forms.extend(base64(text.as_bytes()).map(|text| ("base64", text)));
    // Basic credentials are the base64 of form-encoded text (RFC 6749 §2.3.1).
    if form != text {
        forms.extend(base64(form.as_bytes()).map(|text| ("base64 of form-encoded", text)));
    }
    forms.push(("form-encoded", form));
    forms.push(("percent-encoded", percent));
    // Keys are written in hexadecimal digits where they are set: their bytes are as secret.
    if let Some(bytes) = from_hex(text) {
        forms.push(("upper-case", text.to_ascii_uppercase()));
        forms.push(("a list of the bytes it stands for", list(&bytes)));
        forms.extend(base64(&bytes).map(|text| ("base64 of the bytes it stands for", text)));
    }
    forms
}

fn quoted(text: &str) -> String {
    text[1..text.len() - 1].to_owned()
}

fn lower_percent(text: &str) -> String {
    let mut lower = String::new();
    let mut left = 0;
    for c in text.chars() {
        left = if c == '%' {
            3
        } else {
            usize::saturating_sub(left, 1)
        };
        lower.push(if left > 0 || c.is_ascii_digit() {
            c.to_ascii_lowercase()
        } else {
            c
        });
    }
    lower
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes
        .iter()
        .map(|byte| {
            if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            }
        })
        .collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() < 64 || !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

/// As `{:?}` of bytes: `115, 38, 99`.
fn list(bytes: &[u8]) -> String {
    let text = format!("{bytes:?}");
    quoted(&text)
}

/// What of the base64 text stays the same wherever the bytes stand among others, at each of the three offsets, in both alphabets.
fn base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    let mut texts = Vec::new();
    for offset in 0..3 {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(bytes);
        // A character is touched by what stands before where it holds a bit of it, and by what comes after where it is the last of an
        // incomplete group.
        let from = (offset * 8).div_ceil(6);
        let until = usize::from(!padded.len().is_multiple_of(3));
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            texts.push(text[from..text.len() - until].to_owned());
        }
    }
    texts.dedup();
    texts.into_iter()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SECRET: &str = "s&cret+1:%25 /=~\"<not>-for-the-logs";
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSIsInNjb3BlIjoibWFpbC5yZWFkIn0.ZmFrZSBzaWduYXR1cmUsIGxvbmcgZW5vdWdo";
    const KEY: &str = "8f1d2c3b4a5968778695a4b3c2d1e0f08f1d2c3b4a5968778695a4b3c2d1e0f1";

    fn searcher() -> Searcher {
        Searcher::new([
            (Kind::Setting, SECRET),
            (Kind::AccessToken, TOKEN),
            (Kind::Setting, KEY),
        ])
    }

    #[track_caller]
    fn finds(text: &str) -> Found {
        let line = format!("2026-01-01 TRACE hyper: before {text} after");
        searcher()
            .find(&line, &[])
            .unwrap_or_else(|| panic!("overlooks {text}"))
    }

    #[track_caller]
    fn passes(text: &str) {
        assert_eq!(searcher().find(text, &[]), None, "{text}");
    }

    #[test]
    fn a_secret_is_found_in_every_form_that_programs_print() {
        let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        for text in [
            SECRET.to_owned(),
            form.clone(),
            form.replace('+', "%20"),
            form.to_lowercase().replace('+', "%20"),
            format!("{SECRET:?}"),
            serde_json::json!({ "secret": SECRET }).to_string(),
            format!("<p>{}</p>", html(SECRET)),
            format!("{:?}", SECRET.as_bytes()),
            hex(SECRET.as_bytes(), false),
            hex(SECRET.as_bytes(), true),
            KEY.to_uppercase(),
            format!("{:?}", from_hex(KEY).unwrap()),
            STANDARD.encode(from_hex(KEY).unwrap()),
        ] {
            finds(&text);
        }
    }

    #[test]
    fn a_secret_is_found_in_base64_whatever_stands_around_it() {
        for before in ["", "a", "ab", "abc", "client:", "the-client:"] {
            for after in ["", "z", "zy", "zyx"] {
                let text = format!("{before}{SECRET}{after}");
                finds(&STANDARD.encode(&text));
                finds(&URL_SAFE_NO_PAD.encode(&text));
            }
        }
    }

    #[test]
    fn basic_credentials_are_found() {
        let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        for id in ["a", "ab", "client", "behaviour-tests"] {
            finds(&STANDARD.encode(format!("{id}:{encoded}")));
            finds(&STANDARD.encode(format!("{id}:{SECRET}")));
        }
    }

    #[test]
    fn halves_are_found() {
        finds(&SECRET[..16]);
        finds(&SECRET[SECRET.len() - 16..]);
        finds(&KEY[..20]);
        for start in 0..KEY.len() - 31 {
            finds(&KEY[start..start + 31]);
        }
        passes(&SECRET[..15]);
    }

    #[test]
    fn claims_and_signature_of_a_token_are_found_alone_and_its_header_is_no_secret() {
        let parts: Vec<_> = TOKEN.split('.').collect();
        finds(TOKEN);
        finds(parts[1]);
        finds(parts[2]);
        finds(&format!("{}.{}…", parts[0], &parts[1][..16]));
        passes(parts[0]);
    }

    #[test]
    fn a_kind_that_is_allowed_is_passed_over_and_others_are_not() {
        let text = format!("{TOKEN} {SECRET}");
        let searcher = searcher();
        assert_eq!(
            searcher.find(&text, &[Kind::AccessToken]).map(|found| found.kind),
            Some(Kind::Setting)
        );
        assert_eq!(searcher.find(&text, &[Kind::AccessToken, Kind::Setting]), None);
    }

    #[test]
    fn of_very_many_secrets_the_ends_are_found() {
        let secrets: Vec<String> = (0..2000)
            .map(|n| format!("{n:04}{}{n:04}", "x".repeat(60)))
            .collect();
        let searcher = Searcher::new(secrets.iter().map(|secret| (Kind::Grant, secret.as_str())));
        assert!(searcher.find(&secrets[1999], &[]).is_some());
        assert!(searcher.find(&secrets[1999][..20], &[]).is_some());
        assert!(searcher.find(&secrets[1999][48..], &[]).is_some());
    }

    #[test]
    fn ordinary_lines_are_passed() {
        passes(
            "2026-01-01T00:00:00Z  INFO auth_core::sign_in: a user has signed in issuer=http://127.0.0.1:3000",
        );
        passes(r#"{"authenticated":true,"user":{"sub":"alice"},"scopes":["openid"]}"#);
    }
}
