//! Signed tokens (JWS, RFC 7515), the keys that verify them (JWK, RFC 7517) and the key that signs ours; encrypted tokens (JWE,
//! RFC 7516) with a signed one in them.
//!
//! One path serves everything that a provider signs: ID tokens, userinfo answers, logout tokens, JWT access tokens.
//! A token is parsed into a `Jws`, and the only way from there to its payload is `Jws::verify`, save for a token that was
//! verified before and kept (`claims_of_verified`), and for an API that has to find the issuer first
//! (`Jws::unverified_payload`); what the claims must say is each caller's own affair.
//!
//! Only asymmetric algorithms exist for what comes in, so a token that asks for `none` or for a MAC keyed with a public key
//! cannot even be named (RFC 8725 §2.1, §3.1).

mod algorithm;
mod claims;
mod jwe;
mod jwk;
mod jws;
mod mac;
mod proof_key;
mod self_signed;
mod signing_key;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod testing;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use algorithm::ALGORITHMS;
pub use algorithm::{Algorithm, UnsupportedAlgorithm};
pub(crate) use claims::{
    Member, Members, Named, ObjectError, audience, instant, is_media_type, parse_members, parse_object,
    size_of_members,
};
pub(crate) use jwe::{DecryptionKey, DecryptionKeys, is_encrypted};
pub use jwk::KeySetError;
pub(crate) use jwk::{Jwk, KeySet, parse_key_set};
pub use jws::JwsError;
pub(crate) use jws::{Jws, claims_of_verified};
pub(crate) use mac::{SHORTEST_SECRET, hs256};
pub(crate) use proof_key::ProofKey;
pub(crate) use self_signed::{SelfSigned, SelfSignedError};
pub use signing_key::{KeyKind, SignError, SigningKey, SigningKeyError};

/// Whether two secrets are equal, in a time that depends on their lengths only.
pub(crate) fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}
