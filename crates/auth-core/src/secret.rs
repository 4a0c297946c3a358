//! Values that must never be printed.
//!
//! Each is a type of its own without `Display`, whose `Debug` shows the type's name only, and which is wiped when
//! it is dropped. The one way to the text is `expose`; `grep expose` finds every place where a secret leaves its type.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::origins::OriginId;
use crate::store::SessionKey;

macro_rules! secret_text {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl Drop for $name {
            fn drop(&mut self) {
                wipe(&mut self.0);
            }
        }

        impl Zeroize for $name {
            fn zeroize(&mut self) {
                wipe(&mut self.0);
            }
        }

        impl ZeroizeOnDrop for $name {}

        impl $name {
            /// Wraps the text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text itself. Never log it, show it or put it in a URL.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

secret_text! {
    /// A refresh token (RFC 6749 §1.5).
    RefreshToken;
    /// An ID token in its compact form (OpenID Connect Core §2), kept to be shown to the provider at sign-out.
    IdToken;
    /// The client's password at the provider (RFC 6749 §2.3.1).
    ClientSecret;
    /// An authorization code (RFC 6749 §1.3.1).
    AuthorizationCode;
    /// The verifier of an authorization request with PKCE (RFC 7636 §4.1).
    CodeVerifier;
    /// A token of any kind, as token exchange has them (RFC 8693 §1).
    SecurityToken;
}

/// An access token (RFC 6749 §1.4). Cheap to clone: clones share the text, which is wiped once the last of them is gone.
#[derive(Clone)]
pub struct AccessToken(Arc<SharedToken>);

struct SharedToken {
    text: String,
    /// What shows it to an API, once that was asked for.
    bearer: OnceLock<HeaderValue>,
}

impl Drop for SharedToken {
    fn drop(&mut self) {
        wipe(&mut self.text);
    }
}

impl AccessToken {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(SharedToken {
            text: text.into(),
            bearer: OnceLock::new(),
        }))
    }

    /// The text itself. Never log it, show it or put it in a URL.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0.text
    }

    /// The value of `Authorization` that shows it as a bearer token (RFC 6750 §2.1). Made once, and wiped as the text is.
    pub(crate) fn bearer(&self) -> HeaderValue {
        let make = || {
            let text = Bytes::from_owner(Wiped(format!("Bearer {}", self.expose())));
            let mut value = HeaderValue::from_maybe_shared(text)
                .expect("an access token was checked to be visible ASCII when it came");
            value.set_sensitive(true);
            value
        };
        self.0.bearer.get_or_init(make).clone()
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for AccessToken {}

/// Gives this clone up, and leaves it empty: the text is wiped unless other clones have it yet.
impl Zeroize for AccessToken {
    fn zeroize(&mut self) {
        *self = Self::new(String::new());
    }
}

impl ZeroizeOnDrop for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// A text that is wiped when it is dropped.
struct Wiped(String);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites a secret and leaves it empty.
///
/// `zeroize` does the same to a `String` byte by byte, which shows where each request brings a token of a kilobyte.
fn wipe(text: &mut String) {
    let zeros = overwritten(std::mem::take(text));
    // Else the compiler would leave out what nobody reads.
    zeroize::optimization_barrier(zeros.as_slice());
}

/// The same memory, zeros up to the end of what it has room for.
fn overwritten(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.capacity(), 0);
    bytes.fill(0);
    bytes
}

/// Serializes secrets, for [`crate::seal`] only: what comes out must go straight under encryption.
pub(crate) mod sealed {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{AccessToken, CodeVerifier, IdToken, RefreshToken, SecurityToken};

    pub(crate) trait Secret: Sized {
        fn wrap(text: String) -> Self;
        fn text(&self) -> &str;
    }

    macro_rules! secret {
        ($($name:ident),*) => {$(
            impl Secret for $name {
                fn wrap(text: String) -> Self {
                    Self::new(text)
                }
                fn text(&self) -> &str {
                    self.expose()
                }
            }
        )*};
    }
    secret!(AccessToken, RefreshToken, IdToken, CodeVerifier, SecurityToken);

    pub(crate) fn serialize<T: Secret, S: Serializer>(secret: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.text())
    }

    pub(crate) fn deserialize<'de, T: Secret, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        String::deserialize(from).map(T::wrap)
    }

    pub(crate) mod option {
        use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

        use super::Secret;

        #[allow(clippy::ref_option, reason = "the signature is serde's")]
        pub(crate) fn serialize<T: Secret, S: Serializer>(
            secret: &Option<T>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            secret.as_ref().map(Secret::text).serialize(to)
        }

        pub(crate) fn deserialize<'de, T: Secret, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<T>, D::Error> {
            Ok(Option::<String>::deserialize(from)?.map(T::wrap))
        }
    }
}

/// The identifier of a session that the browser holds: 256 random bits as 43 characters of base64url.
///
/// Whoever knows it is signed in as the session's user. Stores are given its hash, [`SessionId::key`], only.
///
/// Two are equal that have the same text.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SessionId {
    text: [u8; SESSION_ID_LENGTH],
    /// The origin of the application that a request has brought it to: a session is good where it was made.
    #[zeroize(skip)]
    at: OriginId,
}

/// What 32 bytes come to in base64url.
const SESSION_ID_LENGTH: usize = 43;

/// What each character of base64url stands for (RFC 4648 §5), less than 64, and 128 for each other byte.
static BASE64URL: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut digits = [128; 256];
    let mut digit = 0;
    while digit < 64 {
        digits[alphabet[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

impl SessionId {
    /// A new random identifier, of a session made at this origin.
    #[must_use]
    pub(crate) fn random(at: OriginId) -> Self {
        let mut text = [0; SESSION_ID_LENGTH];
        URL_SAFE_NO_PAD
            .encode_slice(random_bytes::<32>(), &mut text)
            .expect("32 bytes make 43 characters");
        Self { text, at }
    }

    /// Reads the text form. Anything but the exact text of 32 bytes is `None`: a corrupt cookie is no cookie.
    ///
    /// No request has brought what is read so. Of an app with [several origins](crate::AuthBuilder::further_base_url), it counts as
    /// brought to the first, and finds no session of another: [`Auth::session_id`](crate::Auth::session_id) reads a request's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text.as_bytes())
    }

    /// As [`parse`](Self::parse). Each request comes by here, and nobody needs the 32 bytes, so nothing is decoded.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text: [u8; SESSION_ID_LENGTH] = text.try_into().ok()?;
        let digit = |c: u8| BASE64URL[usize::from(c)];
        let all = text.iter().fold(0, |all, c| all | digit(*c));
        // The last one has two bits more than the 32 bytes; they are zero.
        let is_whole = all < 64 && digit(text[SESSION_ID_LENGTH - 1]) % 4 == 0;
        is_whole.then_some(Self {
            text,
            at: OriginId::FIRST,
        })
    }

    /// The same identifier, brought to this origin.
    pub(crate) fn brought_to(mut self, at: OriginId) -> Self {
        self.at = at;
        self
    }

    /// The origin that it was brought to.
    pub(crate) fn at(&self) -> OriginId {
        self.at
    }

    /// The text form, for the browser's cookie and nothing else.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "base64url is ASCII")]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.text).expect("base64url is ASCII")
    }

    /// The name of this session in a store: the SHA-256 hash of the text form.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        SessionKey::from_bytes(sha256(&[&self.text]))
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SessionId {}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// Bytes from the operating system's random source.
///
/// # Panics
///
/// Where the operating system has no random numbers; nothing can be kept secret then.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system's random source works");
    bytes
}

/// 256 random bits as 43 characters of base64url: for `state`, `nonce` and `jti`.
pub(crate) fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let hashed = match parts {
        // Without a context, which lies on the heap.
        [whole] => digest::digest(&digest::SHA256, whole),
        parts => {
            let mut context = digest::Context::new(&digest::SHA256);
            for part in parts {
                context.update(part);
            }
            context.finish()
        }
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(hashed.as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_overwritten_where_it_lies_and_behind_its_end() {
        let mut text = String::with_capacity(64);
        text.push_str("s3cret of a longer time");
        text.truncate(6);
        let (place, capacity) = (text.as_ptr(), text.capacity());
        let zeros = overwritten(text);
        assert_eq!((zeros.as_ptr(), zeros.len()), (place, capacity));
        assert!(zeros.iter().all(|byte| *byte == 0));

        let mut token = AccessToken::new("s3cret");
        token.zeroize();
        assert_eq!(token.expose(), "");
    }

    #[test]
    fn a_hash_is_over_the_parts_one_after_the_other() {
        let whole = sha256(&[b"abc"]);
        // FIPS 180-4, the example of one block.
        assert_eq!(whole[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(sha256(&[b"a", b"", b"bc"]), whole);
        assert_ne!(sha256(&[]), whole);
    }

    #[test]
    fn clones_of_an_access_token_are_one_until_the_last_is_gone() {
        let token = AccessToken::new("s3cret");
        let mut clone = token.clone();
        assert_eq!(clone.expose().as_ptr(), token.expose().as_ptr());
        clone.zeroize();
        assert_eq!((clone.expose(), token.expose()), ("", "s3cret"));
        assert_ne!(clone, token);
        assert_eq!(AccessToken::new("s3cret"), token);
    }

    #[test] // RFC 6750 §2.1
    fn the_header_of_an_access_token_is_made_once_and_shown_nowhere() {
        let token = AccessToken::new("s3cret");
        let (one, other) = (token.bearer(), token.clone().bearer());
        assert_eq!(one, "Bearer s3cret");
        assert_eq!(one.as_bytes().as_ptr(), other.as_bytes().as_ptr());
        assert!(!format!("{one:?} {token:?}").contains("s3cret"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let id = SessionId::random(OriginId::FIRST);
        let shown = format!(
            "{:?} {:?} {:?}",
            AccessToken::new("s3cret"),
            ClientSecret::new("s3cret"),
            id
        );
        assert!(!shown.contains("s3cret"));
        assert!(!shown.contains(id.expose()));
    }

    #[test]
    fn session_id_survives_its_text_form() {
        let id = SessionId::random(OriginId::FIRST);
        assert_eq!(SessionId::parse(id.expose()), Some(id.clone()));
        assert_eq!(URL_SAFE_NO_PAD.decode(id.expose()).expect("base64url").len(), 32);
    }

    #[test]
    fn a_corrupt_session_id_is_none() {
        let good = SessionId::random(OriginId::FIRST);
        let good = good.expose();
        for bad in [
            "",
            &good[1..],
            &format!("{good}A"),
            &format!("{good}="),
            &good.replace(|c: char| c.is_ascii_alphanumeric(), "!"),
            &"\u{e4}".repeat(21),
        ] {
            assert_eq!(SessionId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_session_id_is_read_as_strictly_as_by_a_decoder() {
        let zeros = "A".repeat(SESSION_ID_LENGTH);
        for place in [0, 20, SESSION_ID_LENGTH - 1] {
            for c in 0..=u8::MAX {
                let mut text = zeros.clone().into_bytes();
                text[place] = c;
                let is_base64url = URL_SAFE_NO_PAD.decode(&text).is_ok();
                assert_eq!(SessionId::read(&text).is_some(), is_base64url, "{c} at {place}");
            }
        }
    }
}
