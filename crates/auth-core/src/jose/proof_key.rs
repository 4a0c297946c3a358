//! The key of DPoP proofs (RFC 9449 §4.2): P-256, made here and kept as its bare numbers.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{Algorithm, SigningKey};

/// The private number and both coordinates of the public point, 32 octets each (SEC 1 §2.3.3, §2.3.5).
const LENGTH: usize = 96;

/// A P-256 key that signs proofs.
///
/// The numbers are read when the first proof is made: most requests that bring a session make none.
pub(crate) struct ProofKey {
    numbers: Zeroizing<[u8; LENGTH]>,
    key: OnceLock<SigningKey>,
}

impl ProofKey {
    /// A new key.
    pub(crate) fn generate() -> Self {
        Self::try_generate().expect("a new key needs nothing but the operating system's random source")
    }

    fn try_generate() -> Result<Self, Unspecified> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let private: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes()?;
        // Uncompressed: the octet 4, then both coordinates.
        let public = pair.public_key().as_ref().strip_prefix(&[4]).ok_or(Unspecified)?;
        let numbers = Zeroizing::new([private.as_ref(), public].concat());
        let key = SigningKey::of_p256(pair).ok_or(Unspecified)?;
        Ok(Self {
            numbers: Zeroizing::new(numbers.as_slice().try_into().map_err(|_| Unspecified)?),
            key: OnceLock::from(key),
        })
    }

    /// The key of these numbers, which [`as_bytes`](Self::as_bytes) gave and nobody can have changed since.
    pub(crate) fn from_bytes(numbers: &[u8]) -> Option<Self> {
        Some(Self {
            numbers: Zeroizing::new(numbers.try_into().ok()?),
            key: OnceLock::new(),
        })
    }

    /// Private and public numbers, to go straight under encryption.
    pub(crate) fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.numbers
    }

    /// The public point.
    pub(crate) fn public_bytes(&self) -> &[u8] {
        &self.numbers[32..]
    }

    fn key(&self) -> &SigningKey {
        self.key.get_or_init(|| {
            let (private, public) = self.numbers.split_at(32);
            EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                private,
                &[&[4], public].concat(),
            )
            .ok()
            .and_then(SigningKey::of_p256)
            .expect("the numbers are a key that was made here, and were under authenticated encryption since")
        })
    }

    /// The SHA-256 thumbprint of the public key, in base64url (RFC 7638): `dpop_jkt` (RFC 9449 §10).
    pub(crate) fn thumbprint(&self) -> String {
        self.key().thumbprint()
    }

    /// Signs the claims of a proof; the public key stands in the header (RFC 9449 §4.2).
    pub(crate) fn sign(&self, claims: &Map<String, Value>) -> String {
        let mut jwk = self.key().public_jwk();
        if let Some(jwk) = jwk.as_object_mut() {
            jwk.retain(|name, _| !matches!(name.as_str(), "kid" | "use"));
        }
        let header = Map::from_iter([("typ".to_owned(), json!("dpop+jwt")), ("jwk".to_owned(), jwk)]);
        self.key()
            .sign(Algorithm::ES256, header, claims)
            .expect("a P-256 key signs any claims with ES256")
    }
}

#[cfg(test)]
mod tests {
    use super::super::SelfSigned;
    use super::*;

    #[test] // RFC 9449 §4.2
    fn what_it_signs_verifies_with_the_key_in_the_header() {
        let key = ProofKey::generate();
        let proof = SelfSigned::verify(&key.sign(&Map::new())).expect("good");
        assert_eq!(proof.typ.as_deref(), Some("dpop+jwt"));
        assert_eq!(proof.thumbprint, key.thumbprint());
    }

    #[test]
    fn it_is_the_same_key_after_it_was_kept() {
        let key = ProofKey::generate();
        let again = ProofKey::from_bytes(key.as_bytes()).expect("a key");
        let proof = SelfSigned::verify(&again.sign(&Map::new())).expect("good");
        assert_eq!(proof.thumbprint, key.thumbprint());
        assert_ne!(ProofKey::generate().thumbprint(), key.thumbprint());
    }

    #[test]
    fn what_has_another_length_is_no_key() {
        for length in [0, 95, 97] {
            assert!(ProofKey::from_bytes(&vec![1; length]).is_none(), "{length}");
        }
    }
}
