//! Encrypted tokens in compact serialization (JWE, RFC 7516 §7.1), and the keys of ours that decrypt them.
//!
//! What comes out of one is a signed token, whose signature says whom it is from: whoever knows a public key can encrypt
//! for it. So a token is decrypted here, and then verified as one that was not encrypted.
//!
//! The steps are ours, each on a function of `aws-lc-rs`, because the crates that have them bring a second cryptographic
//! library along. `dir` and the other algorithms with a shared key, passwords (PBES2), RSAES-PKCS1-v1_5, whose padding can be
//! asked about (RFC 8725 §3.2), and compression do not exist here.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use aws_lc_rs::key_wrap::{self, AesBlockCipher, AesKek, KeyWrap as _};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::jws::MAX_LEN;
use super::signing_key::private_keys;
use super::{KeyKind, SigningKey, SigningKeyError, constant_time_eq, parse_object};

/// Whether a token has the form of an encrypted one (RFC 7516 §9).
pub(crate) fn is_encrypted(compact: &str) -> bool {
    compact.bytes().filter(|byte| *byte == b'.').count() == 4
}

/// The private keys that decrypt what was encrypted for this client: RSA of 2048 bits or more, or P-256. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DecryptionKeys(Arc<[Arc<DecryptionKey>]>);

pub(crate) struct DecryptionKey {
    /// The same key, for its public half. Nothing is signed with it.
    public: SigningKey,
    private: Private,
}

enum Private {
    Rsa(OaepPrivateDecryptingKey),
    P256(PrivateKey),
}

/// Two are one where their public halves are.
impl PartialEq for DecryptionKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl fmt::Debug for DecryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| key.public.kind()))
            .finish()
    }
}

/// Why a token could not be decrypted. No variant carries a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JweError {
    /// Not five parts in base64url, longer than 64 KiB, a header that is not what it has to be, or a content that is no text.
    #[error("the token is not an encrypted token in compact serialization")]
    Malformed,
    /// `alg` or `enc` is none of those that exist here.
    #[error("the token's encryption algorithm is not supported")]
    AlgorithmNotSupported,
    /// The header demands an extension (RFC 7516 §4.1.13), or compression (§4.1.3).
    #[error("the token's header demands an extension that is not supported")]
    CriticalHeader,
    /// There is no key for the token's algorithm, or none that it was encrypted for; or it was changed on its way. Which of
    /// them is not told apart (§11.5).
    #[error("no key of this application decrypts the token")]
    NotForUs,
}

impl From<Unspecified> for JweError {
    fn from(_: Unspecified) -> Self {
        Self::NotForUs
    }
}

impl DecryptionKeys {
    /// `None` where there is no key.
    pub(crate) fn new(keys: Vec<Arc<DecryptionKey>>) -> Option<Self> {
        (!keys.is_empty()).then(|| Self(keys.into()))
    }

    /// The public halves as JWKs, `use` being `enc`.
    pub(crate) fn public_jwks(&self) -> impl Iterator<Item = Value> {
        self.0.iter().map(|key| {
            let mut jwk = key.public.public_jwk();
            jwk["use"] = "enc".into();
            jwk
        })
    }

    /// Whether one of them has this thumbprint (RFC 7638).
    pub(crate) fn has(&self, thumbprint: &str) -> bool {
        self.0.iter().any(|key| key.public.thumbprint() == thumbprint)
    }

    /// What was encrypted (RFC 7516 §5.2): a signed token, which nobody has verified yet.
    pub(crate) fn decrypt(&self, compact: &str) -> Result<Zeroizing<String>, JweError> {
        let token = Encrypted::parse(compact)?;
        // The key that the header names, or else, where it has none of our names, all that fit.
        let named = |key: &&Arc<DecryptionKey>| token.key_id.as_deref() == Some(&key.public.thumbprint());
        let named: Vec<_> = self.0.iter().filter(named).collect();
        let keys = if named.is_empty() {
            self.0.iter().collect()
        } else {
            named
        };
        let mut outcome = Err(JweError::NotForUs);
        for key in keys {
            outcome = token.content_key(&key.private).and_then(|key| token.open(&key));
            if outcome.is_ok() {
                break;
            }
        }
        let content = Zeroizing::new(outcome?);
        let text = std::str::from_utf8(&content).map_err(|_| JweError::Malformed)?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl DecryptionKey {
    /// Reads all private keys of a PEM text, PKCS#8, in their order. There is one at least.
    pub(crate) fn all_from_pem(pem: &str) -> Result<Vec<Self>, SigningKeyError> {
        private_keys(pem)?
            .iter()
            .map(|der| Self::from_pkcs8(der))
            .collect()
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        let public = SigningKey::from_pkcs8(der)?;
        let unsound = |_| SigningKeyError::UnsupportedKind;
        let private = match public.kind() {
            KeyKind::Rsa => {
                let key = PrivateDecryptingKey::from_pkcs8(der).map_err(unsound)?;
                let key = OaepPrivateDecryptingKey::new(key).map_err(|_| SigningKeyError::UnsupportedKind)?;
                Private::Rsa(key)
            }
            KeyKind::P256 => {
                Private::P256(PrivateKey::from_private_key_der(&ECDH_P256, der).map_err(unsound)?)
            }
            KeyKind::Ed25519 => return Err(SigningKeyError::CannotDecrypt),
        };
        Ok(Self { public, private })
    }
}

/// How the content's key comes along (RFC 7518 §4.1).
#[derive(Clone, Copy)]
enum KeyManagement {
    /// Encrypted for an RSA key (§4.3).
    RsaOaep(&'static OaepAlgorithm),
    /// Agreed upon (§4.6), as it is.
    EcdhEs,
    /// Wrapped with a key that is agreed upon, of so many bytes.
    EcdhEsKeyWrap(&'static AesBlockCipher, usize),
}

/// How the content is encrypted (RFC 7518 §5.1).
#[derive(Clone, Copy)]
enum ContentEncryption {
    Gcm(&'static aead::Algorithm),
    CbcHmac(&'static cipher::Algorithm, hmac::Algorithm, usize),
}

impl KeyManagement {
    fn of(alg: &str) -> Option<Self> {
        Some(match alg {
            "RSA-OAEP" => Self::RsaOaep(&OAEP_SHA1_MGF1SHA1),
            "RSA-OAEP-256" => Self::RsaOaep(&OAEP_SHA256_MGF1SHA256),
            "ECDH-ES" => Self::EcdhEs,
            "ECDH-ES+A128KW" => Self::EcdhEsKeyWrap(&key_wrap::AES_128, 16),
            "ECDH-ES+A256KW" => Self::EcdhEsKeyWrap(&key_wrap::AES_256, 32),
            _ => return None,
        })
    }
}

impl ContentEncryption {
    fn of(enc: &str) -> Option<Self> {
        Some(match enc {
            "A128GCM" => Self::Gcm(&aead::AES_128_GCM),
            "A256GCM" => Self::Gcm(&aead::AES_256_GCM),
            "A128CBC-HS256" => Self::CbcHmac(&cipher::AES_128, hmac::HMAC_SHA256, 16),
            "A256CBC-HS512" => Self::CbcHmac(&cipher::AES_256, hmac::HMAC_SHA512, 32),
            _ => return None,
        })
    }

    /// The length of the key, in bytes.
    fn key_len(self) -> usize {
        match self {
            Self::Gcm(algorithm) => algorithm.key_len(),
            // One key for the MAC, one for the cipher (RFC 7518 §5.2.2.1).
            Self::CbcHmac(_, _, half) => 2 * half,
        }
    }
}

/// An encrypted token, taken apart.
struct Encrypted<'t> {
    alg: String,
    enc: String,
    management: KeyManagement,
    encryption: ContentEncryption,
    key_id: Option<String>,
    header: Map<String, Value>,
    /// The header as it came: it is authenticated with the content (RFC 7516 §5.1, step 14).
    aad: &'t str,
    encrypted_key: Vec<u8>,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

impl<'t> Encrypted<'t> {
    fn parse(compact: &'t str) -> Result<Self, JweError> {
        if compact.len() > MAX_LEN {
            return Err(JweError::Malformed);
        }
        let mut parts = compact.split('.');
        let mut part = || parts.next().ok_or(JweError::Malformed);
        let (aad, encrypted_key, iv, ciphertext, tag) = (part()?, part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(JweError::Malformed);
        }
        let mut header = parse_object(&decode(aad)?).map_err(|_| JweError::Malformed)?;
        if ["crit", "zip"].iter().any(|name| header.contains_key(*name)) {
            return Err(JweError::CriticalHeader);
        }
        let mut text = |name: &str| match header.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(JweError::Malformed),
        };
        let alg = text("alg")?.ok_or(JweError::Malformed)?;
        let enc = text("enc")?.ok_or(JweError::Malformed)?;
        Ok(Self {
            management: KeyManagement::of(&alg).ok_or(JweError::AlgorithmNotSupported)?,
            encryption: ContentEncryption::of(&enc).ok_or(JweError::AlgorithmNotSupported)?,
            key_id: text("kid")?,
            alg,
            enc,
            header,
            aad,
            encrypted_key: decode(encrypted_key)?,
            iv: decode(iv)?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?,
        })
    }

    /// The key that the content is encrypted with, of the length that `enc` asks for (RFC 7516 §5.2, steps 6 to 11).
    fn content_key(&self, private: &Private) -> Result<Zeroizing<Vec<u8>>, JweError> {
        let length = self.encryption.key_len();
        let key = match (self.management, private) {
            (KeyManagement::RsaOaep(padding), Private::Rsa(key)) => {
                let mut room = Zeroizing::new(vec![0; key.min_output_size()]);
                let content_key = key.decrypt(padding, &self.encrypted_key, &mut room, None)?;
                Zeroizing::new(content_key.to_vec())
            }
            // Step 10: nothing is encrypted where the key is agreed upon.
            (KeyManagement::EcdhEs, Private::P256(_)) if !self.encrypted_key.is_empty() => {
                return Err(JweError::Malformed);
            }
            (KeyManagement::EcdhEs, Private::P256(key)) => self.agree(key, &self.enc, length)?,
            (KeyManagement::EcdhEsKeyWrap(cipher, bytes), Private::P256(key)) => {
                let wrapping_key = self.agree(key, &self.alg, bytes)?;
                let mut room = Zeroizing::new(vec![0; self.encrypted_key.len()]);
                let content_key =
                    AesKek::new(cipher, &wrapping_key)?.unwrap(&self.encrypted_key, &mut room)?;
                Zeroizing::new(content_key.to_vec())
            }
            _ => return Err(JweError::NotForUs),
        };
        (key.len() == length).then_some(key).ok_or(JweError::NotForUs)
    }

    /// Agrees upon a key with the ephemeral one in the header, and derives one of this length (RFC 7518 §4.6).
    fn agree(
        &self,
        ours: &PrivateKey,
        algorithm: &str,
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, JweError> {
        let header = |name: &str| match self.header.get(name) {
            None => Ok(Vec::new()),
            Some(text) => decode(text.as_str().ok_or(JweError::Malformed)?),
        };
        let theirs = self.ephemeral_key()?;
        let bits = u32::try_from(8 * length).map_err(|_| JweError::Malformed)?;
        // §4.6.2: the algorithm and both parties with their lengths, and the length of the key.
        let mut info = Vec::new();
        for part in [algorithm.as_bytes(), &header("apu")?, &header("apv")?] {
            info.extend(
                u32::try_from(part.len())
                    .map_err(|_| JweError::Malformed)?
                    .to_be_bytes(),
            );
            info.extend(part);
        }
        info.extend(bits.to_be_bytes());
        let sha256 = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256).ok_or(Unspecified)?;
        let mut key = Zeroizing::new(vec![0; length]);
        let theirs = UnparsedPublicKey::new(&ECDH_P256, theirs);
        agreement::agree(ours, theirs, Unspecified, |secret| {
            sskdf_digest(sha256, secret, &info, &mut key)
        })?;
        Ok(key)
    }

    /// The ephemeral public key (RFC 7518 §4.6.1.1): the octet 4, then both coordinates (SEC 1 §2.3.3). That it lies on
    /// the curve is checked where it is used.
    fn ephemeral_key(&self) -> Result<Vec<u8>, JweError> {
        let key = self.header.get("epk").ok_or(JweError::Malformed)?;
        let text = |name: &str| key.get(name).and_then(Value::as_str).ok_or(JweError::Malformed);
        if text("kty")? != "EC" || text("crv")? != "P-256" {
            return Err(JweError::NotForUs);
        }
        let (x, y) = (decode(text("x")?)?, decode(text("y")?)?);
        if x.len() != 32 || y.len() != 32 {
            return Err(JweError::Malformed);
        }
        Ok([&[4], x.as_slice(), &y].concat())
    }

    /// Decrypts the content, if it and the header are what was encrypted (RFC 7516 §5.2, steps 14 to 16).
    fn open(&self, key: &[u8]) -> Result<Vec<u8>, JweError> {
        match self.encryption {
            ContentEncryption::Gcm(algorithm) => {
                // RFC 7518 §5.3: 96 bits, and a tag of 128.
                let nonce = Nonce::try_assume_unique_for_key(&self.iv)?;
                if self.tag.len() != algorithm.tag_len() {
                    return Err(JweError::NotForUs);
                }
                let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
                let mut content = [self.ciphertext.as_slice(), &self.tag].concat();
                let length = key
                    .open_in_place(nonce, Aad::from(self.aad.as_bytes()), &mut content)?
                    .len();
                content.truncate(length);
                Ok(content)
            }
            ContentEncryption::CbcHmac(algorithm, hash, half) => {
                // RFC 7518 §5.2.2.2: the tag first, so that nothing is learnt from the padding.
                let (mac_key, key) = key.split_at_checked(half).ok_or(JweError::NotForUs)?;
                let aad_bits = 8 * self.aad.len() as u64;
                let mut mac = hmac::Context::with_key(&hmac::Key::new(hash, mac_key));
                mac.update(self.aad.as_bytes());
                mac.update(&self.iv);
                mac.update(&self.ciphertext);
                mac.update(&aad_bits.to_be_bytes());
                let mac = mac.sign();
                if !constant_time_eq(mac.as_ref().get(..half).ok_or(JweError::NotForUs)?, &self.tag) {
                    return Err(JweError::NotForUs);
                }
                let iv: [u8; 16] = self.iv.as_slice().try_into().map_err(|_| JweError::NotForUs)?;
                let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, key)?)?;
                let mut content = self.ciphertext.clone();
                let context = DecryptionContext::Iv128(FixedLength::from(iv));
                let length = key.decrypt(&mut content, context)?.len();
                content.truncate(length);
                Ok(content)
            }
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JweError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JweError::Malformed)
}

#[cfg(test)]
mod tests;
