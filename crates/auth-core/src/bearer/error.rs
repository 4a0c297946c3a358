//! Why a request for a protected resource is refused, and the challenge that says so (RFC 6750 §3, RFC 9449 §7.1,
//! RFC 9470 §3).

use std::sync::Arc;
use std::time::Duration;

use crate::metadata::ProviderError;
use crate::store::StoreError;
use crate::types::Scopes;

/// Why a request may not use a protected resource. [`ResourceServer::refuse`](super::ResourceServer::refuse) makes the
/// answer of it. No variant carries a part of the token.
///
/// # Example
///
/// ```
/// use auth_core::bearer::{BearerError, BearerToken, ResourceServer};
/// use auth_core::request::RequestHead;
///
/// /// A route that is open to callers without a token, and to none with a bad one.
/// async fn caller(server: &ResourceServer, head: &impl RequestHead) -> Result<Option<BearerToken>, BearerError> {
///     match server.verify(head).await {
///         Ok(token) => Ok(Some(token)),
///         Err(BearerError::NoToken) => Ok(None),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BearerError {
    /// There is no token: 401 with a challenge that names no error (RFC 6750 §3.1).
    #[error("the request brings no access token")]
    NoToken,
    /// The credentials cannot be read: 400 `invalid_request`.
    #[error(transparent)]
    InvalidRequest(#[from] InvalidRequest),
    /// The token is not good here: 401 `invalid_token`.
    #[error(transparent)]
    InvalidToken(#[from] InvalidToken),
    /// The DPoP proof is not good: 401 `invalid_dpop_proof` (RFC 9449 §7.1).
    #[error(transparent)]
    InvalidProof(#[from] InvalidProof),
    /// The DPoP proof lacks this server's nonce, or has an old one: 401 `use_dpop_nonce` (RFC 9449 §9).
    #[error("the DPoP proof needs a nonce of this server")]
    NonceNeeded,
    /// The token was not granted these scopes, all of which are needed: 403 `insufficient_scope`.
    #[error("the access token was not granted the scope")]
    InsufficientScope(Scopes),
    /// A claim of the token is missing or has another value: 403.
    #[error("the access token does not have the claim")]
    Claim,
    /// The user must prove who they are anew: 401 `insufficient_user_authentication` (RFC 9470 §3).
    #[error("the user's authentication is too old or too weak")]
    InsufficientAuthentication {
        /// How long ago the last time may be, which the challenge says in whole seconds; `None` where that does not matter.
        max_age: Option<Duration>,
        /// The `acr` values of which one is demanded, in order of preference; empty where that does not matter.
        acr_values: Vec<String>,
    },
    /// The provider, whose keys or word are needed, cannot be used at present: 503, or 502 where its own description of
    /// itself is wrong.
    #[error("the provider cannot be used")]
    Provider(#[from] ProviderError),
    /// The introspection endpoint gives no answer that can be used: 503. The token may be good.
    #[error("the access token cannot be looked up at present")]
    Introspection {
        /// How long to wait, where the provider says so (`Retry-After`).
        retry_after: Option<Duration>,
        /// What happened.
        #[source]
        cause: Arc<crate::token::TokenError>,
    },
    /// Too many tokens are being looked up, 256 at once, or too many proofs have to be remembered
    /// ([`dpop_store`](super::ResourceServerBuilder::dpop_store)): 503.
    #[error("too many access tokens are being checked")]
    Busy,
    /// The store, which remembers proofs, does not answer: 503.
    #[error("the store failed")]
    Store(#[source] Arc<StoreError>),
    /// There is no bearer layer around the route: 500.
    #[error(
        "no bearer layer around this route: add it to the router, outside of everything that asks for a token"
    )]
    LayerMissing,
}

/// Why the credentials of a request cannot be read (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// `Authorization` stands there more than once.
    #[error("the request brings several credentials")]
    SeveralCredentials,
    /// What follows the scheme is not one token.
    #[error("the credentials are not one access token")]
    Malformed,
    /// The token is longer than 32 KiB.
    #[error("the access token is too long")]
    TooLong,
}

/// Why an access token is not good here. Times are compared with a tolerance of 60 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// Not a signed token, or its claims are not an object of distinct members (RFC 7519 §4, §7.2); and nobody is there to ask
    /// about tokens of another form.
    #[error("the access token is malformed")]
    Malformed,
    /// The token is encrypted (RFC 9068 §4, step 2).
    #[error("the access token is encrypted")]
    Encrypted,
    /// The header's `typ` says that it is something else (RFC 9068 §4, step 1).
    #[error("the token is of another type than an access token")]
    TypeUnexpected,
    /// Header and claims say that it is an ID token, a logout token or a refresh token.
    #[error("the token is no access token")]
    NotAnAccessToken,
    /// The signature algorithm is not on the list, symmetric, or `none` (RFC 9068 §4, step 5).
    #[error("the access token's signature algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// The header demands an extension (RFC 7515 §4.1.11).
    #[error("the access token's header demands an extension that is not supported")]
    CriticalHeader,
    /// No published key fits the header.
    #[error("no published key fits the access token")]
    UnknownKey,
    /// The signature is not valid (RFC 9068 §4, step 5).
    #[error("the access token's signature is not valid")]
    SignatureInvalid,
    /// `iss` is missing or none of the trusted issuers (RFC 9068 §4, step 3).
    #[error("the access token is from an issuer that is not trusted here")]
    IssuerUnknown,
    /// `aud` is missing or does not name this resource (RFC 9068 §4, step 4).
    #[error("the access token is meant for another resource")]
    AudienceMismatch,
    /// `exp` has passed (RFC 9068 §4, step 6).
    #[error("the access token has expired")]
    Expired,
    /// `nbf` or `iat` lies ahead (RFC 7519 §4.1.5, §4.1.6).
    #[error("the access token is not valid yet")]
    NotYetValid,
    /// `exp` or `sub` is missing, or one of the claims that count is not what it has to be (RFC 9068 §2.2).
    #[error("a claim of the access token is missing or malformed")]
    ClaimsInvalid,
    /// The provider says that the token is not active (RFC 7662 §2.2).
    #[error("the access token is not active")]
    Inactive,
    /// Nothing is configured by which a token could be checked.
    #[error("there is no way to check access tokens here")]
    NoMeans,
    /// The token is bound to a key and was presented without proof of it (RFC 9449 §7.2).
    #[error("the access token is bound to a key, and was presented as a bearer token")]
    ProofNeeded,
    /// The token is bound to no key and was presented with the scheme `DPoP` (RFC 9449 §7.1).
    #[error("the access token is not bound to a key, and was presented with the scheme DPoP")]
    NotBound,
    /// The token is bound to a certificate, and none is known of the connection (RFC 8705 §3).
    #[error("the access token is bound to a certificate, and was presented without one")]
    CertificateNeeded,
    /// The token is bound to another certificate than the connection's (RFC 8705 §3).
    #[error("the access token is bound to another certificate")]
    CertificateMismatch,
    /// The token is bound in a way that is not checked here (RFC 7800 §3.1).
    #[error("the access token is bound in a way that is not supported here")]
    BindingUnsupported,
    /// The proof was made with another key than the one that the token is bound to (RFC 9449 §4.3, step 12).
    #[error("the access token is bound to another key")]
    BindingMismatch,
}

/// Why a DPoP proof is not good (RFC 9449 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProof {
    /// There is none.
    #[error("the DPoP proof is missing")]
    Missing,
    /// There are several, it is longer than 8 KiB, or it is no signed token of the type `dpop+jwt` with the claims that it has to
    /// have.
    #[error("the DPoP proof is malformed")]
    Malformed,
    /// Its algorithm is unknown or symmetric, or its key is missing, unusable, or the private one.
    #[error("the DPoP proof's key or algorithm is not usable")]
    Key,
    /// It was not made with the key that it brings along.
    #[error("the DPoP proof's signature is not valid")]
    Signature,
    /// It was made for another method, URL or access token.
    #[error("the DPoP proof is for another request")]
    OtherRequest,
    /// It was made more than 60 seconds ago, or in the future; 60 seconds are tolerated in either case.
    #[error("the DPoP proof was not made just now")]
    Time,
    /// It was presented before.
    #[error("the DPoP proof was used before")]
    Replayed,
}

impl From<StoreError> for BearerError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// `Retry-After` where the provider names none.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl BearerError {
    /// The stable code of this failure, `bearer.expired`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoToken => "bearer.no_token",
            Self::InvalidRequest(InvalidRequest::SeveralCredentials) => "bearer.several_credentials",
            Self::InvalidRequest(InvalidRequest::Malformed | InvalidRequest::TooLong) => {
                "bearer.credentials_malformed"
            }
            Self::InvalidToken(error) => error.code(),
            Self::InvalidProof(error) => error.code(),
            Self::NonceNeeded => "bearer.nonce_needed",
            Self::InsufficientScope(_) => "bearer.scope_missing",
            Self::Claim => "bearer.claim_missing",
            Self::InsufficientAuthentication { .. } => "bearer.authentication_insufficient",
            Self::Provider(error) => error.code(),
            Self::Introspection { .. } => "bearer.introspection_failed",
            Self::Busy => "bearer.busy",
            Self::Store(_) => "store.unavailable",
            Self::LayerMissing => "setup.bearer_layer_missing",
        }
    }

    /// The status of the answer: 400, 401 or 403 where it is the caller's turn, 502 or 503 where it is the provider's or the
    /// store's, 500 where the application is put together wrongly.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest(_) => 400,
            Self::NoToken
            | Self::InvalidToken(_)
            | Self::InvalidProof(_)
            | Self::NonceNeeded
            | Self::InsufficientAuthentication { .. } => 401,
            Self::InsufficientScope(_) | Self::Claim => 403,
            Self::Provider(error) => error.status(),
            Self::Introspection { .. } | Self::Busy | Self::Store(_) => 503,
            Self::LayerMissing => 500,
        }
    }

    /// The error code of RFC 6750 §3.1, RFC 9449 §7.1 or RFC 9470 §3, where there is one.
    #[must_use]
    pub fn oauth_error(&self) -> Option<&'static str> {
        match self {
            Self::InvalidRequest(_) => Some("invalid_request"),
            Self::InvalidToken(_) => Some("invalid_token"),
            Self::InvalidProof(_) => Some("invalid_dpop_proof"),
            Self::NonceNeeded => Some("use_dpop_nonce"),
            Self::InsufficientScope(_) | Self::Claim => Some("insufficient_scope"),
            Self::InsufficientAuthentication { .. } => Some("insufficient_user_authentication"),
            _ => None,
        }
    }

    /// After how long it is worth trying again, for a 503: as the provider says, or else 2 seconds. `None` for any other status.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = match self {
            Self::Provider(error) => error.retry_after(),
            Self::Introspection { retry_after, .. } => *retry_after,
            _ => None,
        };
        (self.status() == 503).then(|| asked.unwrap_or(RETRY_AFTER))
    }

    /// The parameters of the challenge, without the scheme; `None` where no challenge is due.
    pub(super) fn parameters(&self) -> Option<Vec<(&'static str, String)>> {
        let mut parameters = Vec::new();
        match (self, self.oauth_error()) {
            (Self::NoToken, _) => {}
            (_, Some(error)) => {
                parameters.push(("error", error.to_owned()));
                parameters.push(("error_description", self.to_string()));
            }
            _ => return None,
        }
        match self {
            Self::InsufficientScope(scopes) if scopes.is_valid() => {
                parameters.push(("scope", scopes.to_string()));
            }
            Self::InsufficientAuthentication { max_age, acr_values } => {
                if !acr_values.is_empty() {
                    parameters.push(("acr_values", acr_values.join(" ")));
                }
                if let Some(max_age) = max_age {
                    parameters.push(("max_age", max_age.as_secs().to_string()));
                }
            }
            _ => {}
        }
        Some(parameters)
    }
}

impl InvalidToken {
    /// The stable code of the failure, `bearer.expired`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "bearer.malformed",
            Self::Encrypted => "bearer.encrypted",
            Self::TypeUnexpected => "bearer.type_unexpected",
            Self::NotAnAccessToken => "bearer.not_an_access_token",
            Self::AlgorithmNotAllowed => "bearer.algorithm_not_allowed",
            Self::CriticalHeader => "bearer.critical_header",
            Self::UnknownKey => "bearer.unknown_key",
            Self::SignatureInvalid => "bearer.signature_invalid",
            Self::IssuerUnknown => "bearer.issuer_unknown",
            Self::AudienceMismatch => "bearer.audience_mismatch",
            Self::Expired => "bearer.expired",
            Self::NotYetValid => "bearer.not_yet_valid",
            Self::ClaimsInvalid => "bearer.claims_invalid",
            Self::Inactive => "bearer.inactive",
            Self::NoMeans => "bearer.no_means",
            Self::ProofNeeded => "bearer.proof_needed",
            Self::NotBound => "bearer.not_bound",
            Self::CertificateNeeded => "bearer.certificate_needed",
            Self::CertificateMismatch => "bearer.certificate_mismatch",
            Self::BindingUnsupported => "bearer.binding_unsupported",
            Self::BindingMismatch => "bearer.binding_mismatch",
        }
    }
}

impl InvalidProof {
    /// The stable code of the failure, `bearer.proof_missing`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "bearer.proof_missing",
            Self::Malformed => "bearer.proof_malformed",
            Self::Key => "bearer.proof_key",
            Self::Signature => "bearer.proof_signature",
            Self::OtherRequest => "bearer.proof_for_another_request",
            Self::Time => "bearer.proof_time",
            Self::Replayed => "bearer.proof_replayed",
        }
    }
}
