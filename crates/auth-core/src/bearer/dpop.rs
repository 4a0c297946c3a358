//! DPoP: proofs of possession of the key that a token is bound to (RFC 9449 §4.3, §7, §9).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use super::authorization::ProofRequest;
use super::error::{BearerError, InvalidProof};
use crate::auth::SWEEP_INTERVAL;
use crate::clock::{Clock, Timestamp};
use crate::jose::{self, SelfSigned, SelfSignedError};
use crate::seal::{Purpose, SecretKeys};
use crate::secret::sha256;
use crate::store::{OnceKey, SessionStore};

/// How long after it was made a proof is accepted, besides the clock tolerance (RFC 9449 §11.1: seconds to minutes).
pub(crate) const LIFETIME: Duration = Duration::from_secs(60);
/// How long a nonce is accepted. After half of that, a new one goes with the answer.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Proofs that one process remembers, at the most; half of them are of the last few minutes. 32 bytes each.
const REMEMBERED: usize = 400_000;
/// A longer `jti` is nobody's.
const MAX_JTI: usize = 512;

/// What a proof has to say.
pub(crate) struct Expected<'a> {
    pub(crate) method: &'a str,
    /// The URL that was asked for, as the outside knows it, without query and fragment.
    pub(crate) url: &'a Url,
    /// The token that the proof goes with.
    pub(crate) token: &'a str,
    pub(crate) tolerance: Duration,
}

/// A proof that holds, save that it may have been used before, and that its nonce is for [`Dpop`] to judge.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The thumbprint of the key that made it.
    pub(crate) thumbprint: String,
    pub(crate) id: String,
    pub(crate) made_at: Timestamp,
    pub(crate) nonce: Option<String>,
}

/// Checks a proof in the order of RFC 9449 §4.3.
pub(crate) fn check(proof: &str, expected: &Expected<'_>, now: Timestamp) -> Result<Proof, InvalidProof> {
    // Steps 2, 5, 6 and 7: a signed token of its own key.
    let proof = SelfSigned::verify(proof).map_err(|error| match error {
        SelfSignedError::Malformed => InvalidProof::Malformed,
        SelfSignedError::Key => InvalidProof::Key,
        SelfSignedError::Signature => InvalidProof::Signature,
    })?;
    // Step 4.
    if !jose::is_media_type(proof.typ.as_deref().unwrap_or_default(), "dpop+jwt") {
        return Err(InvalidProof::Malformed);
    }
    // Step 3: the claims that it has to have.
    let text = |name: &str| proof.claims.get(name).and_then(Value::as_str);
    let needed = |name: &str| text(name).ok_or(InvalidProof::Malformed);
    let id = needed("jti")?;
    if id.is_empty() || id.len() > MAX_JTI {
        return Err(InvalidProof::Malformed);
    }
    let (method, url, hash) = (needed("htm")?, needed("htu")?, needed("ath")?);
    let made_at = (proof.claims.get("iat").and_then(jose::instant)).ok_or(InvalidProof::Malformed)?;
    // Steps 8 and 9: this request; methods are told apart by case (RFC 9110 §9.1).
    if method != expected.method || !is_same(url, expected.url) {
        return Err(InvalidProof::OtherRequest);
    }
    // Step 11.
    if made_at > now.plus(expected.tolerance) || now.since(made_at) > LIFETIME + expected.tolerance {
        return Err(InvalidProof::Time);
    }
    // Step 12: this token.
    if hash != URL_SAFE_NO_PAD.encode(sha256(&[expected.token.as_bytes()])) {
        return Err(InvalidProof::OtherRequest);
    }
    Ok(Proof {
        id: id.to_owned(),
        made_at,
        nonce: match proof.claims.get("nonce") {
            None => None,
            Some(nonce) => Some(nonce.as_str().ok_or(InvalidProof::Malformed)?.to_owned()),
        },
        thumbprint: proof.thumbprint,
    })
}

/// Whether two URLs are the same after syntax-based and scheme-based normalization (RFC 3986 §6.2.2, §6.2.3), without
/// query and fragment.
fn is_same(htu: &str, asked: &Url) -> bool {
    let Ok(htu) = Url::parse(htu) else {
        return false;
    };
    htu.origin() == asked.origin()
        && htu.username().is_empty()
        && htu.password().is_none()
        && normal_path(htu.path()) == normal_path(asked.path())
}

/// RFC 3986 §6.2.2.1, §6.2.2.2: escapes in upper case, and none where none is needed. The URL parser has dealt with dot
/// segments.
fn normal_path(path: &str) -> Vec<u8> {
    let bytes = path.as_bytes();
    let mut normal = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok())
            .flatten()
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => normal.push(byte),
            Some(byte) => normal.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            None => normal.push(byte),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    normal
}

/// The server's part: its own address, what it remembers, its nonces.
pub(crate) struct Dpop {
    /// The address that the outside knows this server by, without a slash at its end.
    base: String,
    memory: Memory,
    /// With what nonces are sealed, where they are demanded.
    nonces: Option<SecretKeys>,
}

/// Where proofs are remembered.
pub(crate) enum Memory {
    /// In this process.
    Process(Mutex<Generations>),
    /// In the store that all instances share.
    Store(Arc<dyn SessionStore>),
}

/// What was seen lately, and what was seen before that.
#[derive(Default)]
pub(crate) struct Generations {
    present: HashSet<[u8; 32]>,
    past: HashSet<[u8; 32]>,
    began_at: Option<Timestamp>,
}

/// A bound token's proof was good.
pub(crate) struct Accepted {
    /// A nonce to give to the client, where the one that it has gets old.
    pub(crate) next_nonce: Option<String>,
}

impl Dpop {
    pub(crate) fn new(base: &Url, memory: Memory, nonces: Option<SecretKeys>) -> Self {
        Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
            memory,
            nonces,
        }
    }

    /// Checks the proof of a request and uses it up.
    pub(crate) async fn accept(
        &self,
        request: &ProofRequest,
        token: &str,
        key: &str,
        tolerance: Duration,
        now: Timestamp,
    ) -> Result<Accepted, BearerError> {
        // Step 1: one proof.
        let proof = match request.proofs.as_slice() {
            [] => return Err(InvalidProof::Missing.into()),
            [one] if one.len() <= super::authorization::MAX_PROOF => one,
            _ => return Err(InvalidProof::Malformed.into()),
        };
        let url =
            Url::parse(&format!("{}{}", self.base, request.path)).map_err(|_| InvalidProof::OtherRequest)?;
        let expected = Expected {
            method: &request.method,
            url: &url,
            token,
            tolerance,
        };
        let proof = check(proof, &expected, now)?;
        // Step 12, second half: the key that the token is bound to.
        if proof.thumbprint != key {
            return Err(super::error::InvalidToken::BindingMismatch.into());
        }
        // Step 10.
        let next_nonce = match &self.nonces {
            None => None,
            Some(keys) => {
                let age = proof
                    .nonce
                    .as_deref()
                    .and_then(|nonce| nonce_age(keys, nonce, now));
                match age {
                    Some(age) if age <= NONCE_LIFETIME / 2 => None,
                    Some(age) if age <= NONCE_LIFETIME => Some(new_nonce(keys, now)),
                    _ => return Err(BearerError::NonceNeeded),
                }
            }
        };
        // §11.1: once. The last step, so that nobody fills the memory with proofs that are not good.
        self.use_up(&proof, tolerance, now).await?;
        Ok(Accepted { next_nonce })
    }

    /// A nonce for a client that has none.
    pub(crate) fn nonce(&self, now: Timestamp) -> Option<String> {
        self.nonces.as_ref().map(|keys| new_nonce(keys, now))
    }

    async fn use_up(&self, proof: &Proof, tolerance: Duration, now: Timestamp) -> Result<(), BearerError> {
        let name = sha256(&[
            b"auth-core DPoP proof 1",
            proof.thumbprint.as_bytes(),
            proof.id.as_bytes(),
        ]);
        let is_new = match &self.memory {
            Memory::Process(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.insert(name, LIFETIME + tolerance * 2, now)?
            }
            Memory::Store(store) => {
                let until = proof
                    .made_at
                    .plus(LIFETIME + tolerance)
                    .plus(Duration::from_secs(1));
                store.claim_once(&OnceKey::from_bytes(name), until, now).await?
            }
        };
        if is_new {
            Ok(())
        } else {
            Err(InvalidProof::Replayed.into())
        }
    }
}

/// Removes old proofs from a store that is this server's alone, for as long as there is the server. The store of an
/// [`Auth`](crate::Auth) is swept by that.
pub(crate) async fn sweep(store: Weak<dyn SessionStore>, clock: Clock) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(store) = store.upgrade() else { return };
        if let Err(error) = store.sweep(clock.now()).await {
            tracing::warn!(
                cause = crate::error::chain(&error),
                "old DPoP proofs could not be swept out"
            );
        }
    }
}

impl Generations {
    /// Remembers a proof for `span` at least, and says whether it was new. What does not fit any more is refused, because
    /// what is not remembered could be used again.
    fn insert(&mut self, name: [u8; 32], span: Duration, now: Timestamp) -> Result<bool, BearerError> {
        let began_at = *self.began_at.get_or_insert(now);
        if now.since(began_at) > span {
            self.past = std::mem::take(&mut self.present);
            if now.since(began_at) > span * 2 {
                self.past.clear();
            }
            self.began_at = Some(now);
        }
        if self.past.contains(&name) || self.present.contains(&name) {
            return Ok(false);
        }
        if self.present.len() >= REMEMBERED / 2 {
            return Err(BearerError::Busy);
        }
        Ok(self.present.insert(name))
    }
}

/// RFC 9449 §8, §9: the time, sealed, so that nobody else makes one and nothing has to be kept.
fn new_nonce(keys: &SecretKeys, now: Timestamp) -> String {
    URL_SAFE_NO_PAD.encode(keys.seal(Purpose::DpopNonce, b"", &now.as_millis().to_be_bytes()))
}

fn nonce_age(keys: &SecretKeys, nonce: &str, now: Timestamp) -> Option<Duration> {
    let sealed = URL_SAFE_NO_PAD.decode(nonce).ok()?;
    let plain = keys.open(Purpose::DpopNonce, b"", &sealed).ok()?;
    let made_at = Timestamp::from_millis(i64::from_be_bytes(plain.as_slice().try_into().ok()?));
    Some(now.since(made_at))
}

#[cfg(test)]
mod tests;
