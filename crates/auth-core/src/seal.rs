//! Encryption of cookies and of sessions at rest, with key rotation.
//!
//! A sealed value is `1 | key id (4 bytes) | nonce (12) | AES-256-GCM ciphertext and tag`. The AES key is derived
//! by HKDF-SHA-256 from one of the app's keys for one purpose and one context (the session's key, the cookie's
//! name), so that a value opens only where it was sealed for, and no key ever sees enough messages for two random
//! nonces to meet.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::secret::random_bytes;

/// What a sealed value is for. Values sealed for one purpose do not open for another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// A session record's body; the context is the session's key.
    Session,
    /// A sign-in attempt's cookie; the context is the cookie's name.
    Attempt,
    /// How a sign-in began, in its `state`; the context is the random part of it.
    Beginning,
    /// What a gate or an API asks of a sign-in, in the URL of `/auth/login`; the context is the session's key.
    StepUp,
    /// A session identifier in the app's own session layer.
    Carrier,
    /// What the app's own session holds; the context is its key in the store.
    AppData,
    /// A token of the application's own that instances share; the context is its key in the store.
    MachineToken,
    /// The time, as a nonce for DPoP proofs.
    DpopNonce,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"auth-core session record 1",
            Self::Attempt => b"auth-core sign-in attempt 1",
            Self::Beginning => b"auth-core sign-in beginning 1",
            Self::StepUp => b"auth-core step-up 1",
            Self::Carrier => b"auth-core session carrier 1",
            Self::AppData => b"auth-core app session 1",
            Self::MachineToken => b"auth-core machine token 1",
            Self::DpopNonce => b"auth-core DPoP nonce 1",
        }
    }
}

/// The app's keys: the first seals, all of them open.
///
/// Made from `AUTH_SECRET`. To change keys, on one instance: put the new key in front.
///
/// Several instances take two rounds, for one that does not have a key yet takes whoever was sealed with it for signed out:
///
/// 1. `old,new` on all instances: all can open what the new key seals, none uses it yet.
/// 2. `new,old` on all instances, once the first round has reached every one of them.
///
/// Keep the old key until no session is left that was sealed with it: [`session_max`](crate::AuthBuilder::session_max), 7 days
/// by default, after the second round.
///
/// ```
/// use auth_core::{Auth, SecretKeys};
///
/// # fn example(old: &str, new: &str) -> Result<(), auth_core::ConfigError> {
/// // The first round; the second has them the other way round.
/// let builder = Auth::builder().secret(SecretKeys::from_hex(&format!("{old},{new}"))?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SecretKeys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: [u8; 4],
    prk: Prk,
}

impl SecretKeys {
    /// A random key, for one process and its lifetime: sessions end with it.
    #[must_use]
    pub fn random() -> Self {
        let bytes = Zeroizing::new(random_bytes::<32>());
        Self(vec![Key::new(&bytes[..])])
    }

    /// Reads keys in hexadecimal digits, 64 or more each (256 bits), separated by commas. The first seals, all open; a new key is
    /// first in the list only when every instance [can open](Self) what it seals.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming `AUTH_SECRET` for a key that is too short or has anything but hexadecimal digits.
    pub fn from_hex(list: &str) -> Result<Self, ConfigError> {
        let keys = list
            .split(',')
            .map(|text| {
                let text = text.trim();
                if text.len() < 64 {
                    return Err(ConfigError::new(
                        "AUTH_SECRET",
                        "each key needs 64 or more hexadecimal digits; make one with `openssl rand -hex 32`",
                    ));
                }
                let bytes = decode_hex(text).ok_or_else(|| {
                    ConfigError::new(
                        "AUTH_SECRET",
                        "must be pairs of hexadecimal digits (0-9, a-f); make one with `openssl rand -hex 32`",
                    )
                })?;
                Ok(Key::new(&bytes))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self(keys))
    }

    /// Seals `plain` with the first key.
    pub(crate) fn seal(&self, purpose: Purpose, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let key = &self.0[0];
        // Room for the tag from the start: a vector that has to grow leaves a copy of the plain text behind.
        let mut body = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        body.extend_from_slice(plain);
        let header = header(key.id);
        let nonce = key
            .aead(purpose, context)
            .seal_in_place_append_tag(Aad::from(&header), &mut body)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        let mut sealed = Vec::with_capacity(header.len() + 12 + body.len());
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut body);
        sealed
    }

    /// Opens what [`seal`](Self::seal) made with any of the keys, for the same purpose and context.
    pub(crate) fn open(
        &self,
        purpose: Purpose,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (header_bytes, rest) = sealed.split_at_checked(5).ok_or(OpenError::Changed)?;
        let (nonce, body) = rest.split_first_chunk::<12>().ok_or(OpenError::Changed)?;
        let key = self
            .0
            .iter()
            .find(|key| header(key.id) == header_bytes)
            .ok_or(OpenError::UnknownKey)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = key
            .aead(purpose, context)
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(header_bytes),
                &mut plain,
            )
            .map_err(|_| OpenError::Changed)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({} keys)", self.0.len())
    }
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        let prk = Salt::new(HKDF_SHA256, b"auth-core").extract(secret);
        let mut id = [0; 4];
        prk.expand(&[b"key id"], Length(4))
            .and_then(|okm| okm.fill(&mut id))
            .expect("HKDF gives four bytes");
        Self { id, prk }
    }

    fn aead(&self, purpose: Purpose, context: &[u8]) -> RandomizedNonceKey {
        let mut bytes = Zeroizing::new([0; 32]);
        self.prk
            .expand(&[purpose.label(), context], Length(32))
            .and_then(|okm| okm.fill(&mut bytes[..]))
            .expect("HKDF gives 32 bytes");
        RandomizedNonceKey::new(&AES_256_GCM, &bytes[..]).expect("AES-256-GCM takes 32 bytes")
    }
}

/// Why a value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// It was sealed with a key that is none of these, by what it says itself.
    UnknownKey,
    /// It is too short, was sealed for another purpose or context, or was changed since.
    Changed,
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

const fn header(id: [u8; 4]) -> [u8; 5] {
    [1, id[0], id[1], id[2], id[3]]
}

fn decode_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(value(pair[0])? * 16 + value(pair[1])?).ok())
        .collect::<Option<Vec<u8>>>()
        .map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(list: &[char]) -> SecretKeys {
        let list: Vec<String> = list.iter().map(|digit| digit.to_string().repeat(64)).collect();
        SecretKeys::from_hex(&list.join(",")).expect("the keys are well formed")
    }

    #[test]
    fn opens_what_it_sealed() {
        let keys = keys(&['a']);
        let sealed = keys.seal(Purpose::Session, b"key", b"tokens");
        assert_eq!(
            *keys.open(Purpose::Session, b"key", &sealed).expect("opens"),
            b"tokens"
        );
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        let keys = keys(&['a']);
        let sealed: std::collections::HashSet<_> = (0..100)
            .map(|_| keys.seal(Purpose::Session, b"context", b"plain")[5..17].to_vec())
            .collect();
        assert_eq!(sealed.len(), 100, "a nonce came twice");
    }

    #[test]
    fn a_value_opens_only_for_its_purpose_and_context() {
        let keys = keys(&['a']);
        let sealed = keys.seal(Purpose::Session, b"key", b"tokens");
        assert!(keys.open(Purpose::Attempt, b"key", &sealed).is_err());
        assert!(keys.open(Purpose::Session, b"other", &sealed).is_err());
    }

    // RFC 10017 §6.1.3.2
    #[test]
    fn every_changed_or_missing_byte_is_refused() {
        let keys = keys(&['a']);
        let sealed = keys.seal(Purpose::Session, b"key", b"tokens");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(
                keys.open(Purpose::Session, b"key", &changed).is_err(),
                "byte {at}"
            );
            assert!(
                keys.open(Purpose::Session, b"key", &sealed[..at]).is_err(),
                "length {at}"
            );
        }
    }

    #[test]
    fn every_key_opens_and_the_first_seals() {
        let old = keys(&['a']).seal(Purpose::Session, b"key", b"tokens");
        let rotated = keys(&['b', 'a']);
        assert!(rotated.open(Purpose::Session, b"key", &old).is_ok());
        // The first round on several instances: whoever has it opens what the second will seal, and seals what the others open.
        let first_round = keys(&['a', 'b']);
        let new = rotated.seal(Purpose::Session, b"key", b"tokens");
        assert!(first_round.open(Purpose::Session, b"key", &new).is_ok());
        let still_old = first_round.seal(Purpose::Session, b"key", b"tokens");
        assert!(keys(&['a']).open(Purpose::Session, b"key", &still_old).is_ok());
        assert!(keys(&['b']).open(Purpose::Session, b"key", &new).is_ok());
        assert!(matches!(
            keys(&['a']).open(Purpose::Session, b"key", &new),
            Err(OpenError::UnknownKey)
        ));
        assert!(matches!(
            keys(&['b']).open(Purpose::Session, b"other", &new),
            Err(OpenError::Changed)
        ));
    }

    #[test]
    fn short_odd_or_foreign_keys_are_refused_without_showing_them() {
        for bad in [
            "",
            "abc",
            &"a".repeat(63),
            &"a".repeat(65),
            &"g".repeat(64),
            &format!("{},", "a".repeat(64)),
        ] {
            let error = SecretKeys::from_hex(bad).expect_err("refused").to_string();
            assert!(error.starts_with("AUTH_SECRET"), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }
}
