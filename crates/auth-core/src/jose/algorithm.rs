//! The signature algorithms that this crate knows (RFC 7518 §3.1, RFC 8037 §3.1).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::JwsSigningAlgorithm;
use openidconnect::core::CoreJsonWebKeyType;
use serde::{Deserialize, Serialize};

/// A signature algorithm, by its JOSE name. Asymmetric ones only: neither `none` nor `HS*` can be expressed.
///
/// `Ed25519` (RFC 9864 §2.2) is read as [`Algorithm::EdDSA`], which here always means the curve Ed25519.
///
/// ```
/// use auth_core::jose::Algorithm;
///
/// assert_eq!("ES256".parse(), Ok(Algorithm::ES256));
/// assert!("HS256".parse::<Algorithm>().is_err());
/// assert!("none".parse::<Algorithm>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256. Every OpenID Connect provider has it.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// EdDSA on the curve Ed25519 (RFC 8037 §3.1).
    #[serde(alias = "Ed25519")]
    EdDSA,
}

impl Algorithm {
    /// The JOSE name, as it stands in a token's `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The hash that goes with the algorithm; for Ed25519 that is SHA-512 (RFC 8032 §5.1).
    pub(super) fn hash(self, bytes: &[u8]) -> digest::Digest {
        let algorithm = match self {
            Self::RS256 | Self::PS256 | Self::ES256 => &digest::SHA256,
            Self::RS384 | Self::PS384 | Self::ES384 => &digest::SHA384,
            Self::RS512 | Self::PS512 | Self::ES512 | Self::EdDSA => &digest::SHA512,
        };
        digest::digest(algorithm, bytes)
    }

    /// The left half of the hash of `value`, in base64url: what `at_hash` and `c_hash` hold
    /// (OpenID Connect Core §3.1.3.6, §3.3.2.11).
    pub(crate) fn left_half_hash(self, value: &str) -> String {
        let hash = self.hash(value.as_bytes());
        let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
        URL_SAFE_NO_PAD.encode(left)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnsupportedAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            "EdDSA" | "Ed25519" => Self::EdDSA,
            _ => return Err(UnsupportedAlgorithm),
        })
    }
}

/// Lets the algorithm stand in `openidconnect`'s provider metadata and key sets.
impl JwsSigningAlgorithm for Algorithm {
    type KeyType = CoreJsonWebKeyType;

    fn key_type(&self) -> Option<CoreJsonWebKeyType> {
        Some(match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => {
                CoreJsonWebKeyType::RSA
            }
            Self::ES256 | Self::ES384 | Self::ES512 => CoreJsonWebKeyType::EllipticCurve,
            Self::EdDSA => CoreJsonWebKeyType::OctetKeyPair,
        })
    }

    fn uses_shared_secret(&self) -> bool {
        false
    }

    fn rsa_sha_256() -> Self {
        Self::RS256
    }
}

/// The name is not one of [`Algorithm`]'s: `none`, a symmetric algorithm, or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an asymmetric signature algorithm; \
     use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA"
)]
pub struct UnsupportedAlgorithm;

/// Every algorithm there is.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) const ALGORITHMS: [Algorithm; 10] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_text_and_json() {
        for algorithm in ALGORITHMS {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
            let json = serde_json::to_value(algorithm).expect("an algorithm is a JSON string");
            assert_eq!(json, algorithm.as_str());
            assert_eq!(serde_json::from_value::<Algorithm>(json).ok(), Some(algorithm));
        }
    }

    #[test] // RFC 9864 §2.2
    fn ed25519_is_another_name_of_eddsa() {
        assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDSA));
        assert_eq!(
            serde_json::from_str::<Algorithm>("\"Ed25519\"").ok(),
            Some(Algorithm::EdDSA)
        );
    }

    #[test] // RFC 8725 §3.1
    fn refuses_none_symmetric_and_unknown_names() {
        for name in ["none", "None", "HS256", "HS384", "HS512", "rs256", "ES256K", ""] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnsupportedAlgorithm), "{name}");
            let json = serde_json::Value::from(name);
            assert!(serde_json::from_value::<Algorithm>(json).is_err(), "{name}");
        }
    }

    #[test] // OpenID Connect Core, appendix A.3
    fn left_half_hash_is_that_of_the_specification() {
        assert_eq!(
            Algorithm::RS256.left_half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }

    #[test]
    fn left_half_hash_has_half_the_length_of_the_hash() {
        for (algorithm, bytes) in [
            (Algorithm::PS256, 16),
            (Algorithm::ES384, 24),
            (Algorithm::ES512, 32),
            (Algorithm::EdDSA, 32),
        ] {
            let half = algorithm.left_half_hash("token");
            let decoded = URL_SAFE_NO_PAD.decode(half).expect("base64url");
            assert_eq!(decoded.len(), bytes, "{algorithm}");
        }
    }
}
