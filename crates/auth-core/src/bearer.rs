//! The resource server: an API that is called with access tokens, `Authorization: Bearer …`.
//!
//! A [`ResourceServer`] checks JWT access tokens with their issuers' keys (RFC 9068) and looks others up at the introspection
//! endpoint (RFC 7662), checks proofs of possession where a token is bound to a key (RFC 9449), and refuses with the
//! challenges of RFC 6750 and RFC 9470. It needs no sessions and no sign-in: [`ResourceServer::builder`] makes one for an API
//! alone, [`Auth::resource_server`](crate::Auth::resource_server) one for an application that has both.
//!
//! # What is accepted
//!
//! * `Authorization: Bearer` or `DPoP`, once, and nowhere else: tokens in a query or a form are not looked at.
//! * A JWT by one of the configured issuers, chosen by `iss` before anything is fetched, for one of the configured audiences.
//!   Its header says `at+jwt`; or `JWT` or nothing, as many providers have it, where nothing says that it is an ID token, a
//!   logout token or a refresh token. [`declared_types_only`](ResourceServerBuilder::declared_types_only) turns that off.
//! * With [`introspection`](ResourceServerBuilder::introspection), a token of any other form, if its provider says that it is
//!   active.
//! * A token that names a key in `cnf` only with a DPoP proof of that key, one that names a certificate only with that
//!   certificate ([`PeerCertificate`]); one that is bound in another way not at all.
//!
//! What was found good is kept for as long as the token lives and its issuer's keys stay what they are, ten minutes at the
//! most; what an introspection endpoint said, for a minute. Forged tokens cause no requests: an unknown key is looked for
//! once in 30 seconds.

mod authorization;
mod builder;
mod cache;
mod certificate;
mod dpop;
mod error;
mod gate;
mod introspection;
mod jwt;
mod keys;
mod respond;
mod token;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

pub use authorization::BearerRequest;
pub use builder::{IntrospectionClient, ResourceServerBuilder};
pub use certificate::PeerCertificate;
pub use error::{BearerError, InvalidProof, InvalidRequest, InvalidToken};
pub use gate::BearerGate;
pub use token::BearerToken;

#[cfg(feature = "fuzzing")]
pub(crate) use authorization::credentials;
#[cfg(test)]
pub(crate) use builder::INTROSPECTION_KEPT;
pub(crate) use builder::{issuer as issuer_of, url_of};
#[cfg(feature = "fuzzing")]
pub(crate) use dpop::{Expected as ExpectedProof, check as check_proof};
pub(crate) use jwt::{Candidate, Expected, TokenTypes};
pub(crate) use keys::{GivenKeys, TrustedIssuer};
pub(crate) use token::Binding;

use authorization::Presented;
use cache::{Entry, Sought, TokenCache, UsedKeys};
use dpop::Dpop;
use introspection::Introspection;
use token::Facts;

use crate::clock::{Clock, Timestamp};
use crate::dpop::Scheme;
use crate::jose::{Algorithm, Jws};
use crate::metadata::KEYS_FRESH;
use crate::problem::Problems;
use crate::request::RequestHead;
use crate::secret::AccessToken;

/// Checks the access tokens of requests. Cheap to clone; all clones are one, and share what they have found out.
///
/// # Example
///
/// ```no_run
/// # async fn example(head: impl auth_core::request::RequestHead) -> Result<(), Box<dyn std::error::Error>> {
/// use auth_core::bearer::{BearerGate, ResourceServer};
///
/// let server = ResourceServer::builder()
///     .issuer("https://id.example")
///     .audience("https://api.example")
///     .build()?;
///
/// match server.verify(&head).await {
///     Ok(token) => println!("called by {:?}", token.client_id()),
///     Err(error) => drop(server.refuse(&error)), // the answer, with its challenge
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ResourceServer(Arc<Inner>);

struct Inner {
    issuers: Vec<Arc<TrustedIssuer>>,
    audiences: Vec<String>,
    client_id: Option<String>,
    algorithms: Vec<Algorithm>,
    types: TokenTypes,
    introspection: Option<Introspection>,
    dpop: Option<Dpop>,
    realm: Option<String>,
    /// Where failures are explained, `https://app.example/auth/errors/`.
    errors: Option<String>,
    problems: Problems,
    tolerance: Duration,
    clock: Clock,
    cache: Arc<TokenCache>,
}

impl fmt::Debug for ResourceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.0.issuers.iter().map(|one| one.issuer.as_str()).collect();
        f.debug_struct("ResourceServer")
            .field("issuers", &issuers)
            .field("audiences", &self.0.audiences)
            .finish_non_exhaustive()
    }
}

/// A request whose token is good; made by [`ResourceServer::check`].
#[derive(Clone, Debug)]
pub struct Verified {
    /// The token.
    pub token: BearerToken,
    /// A nonce for the client's next DPoP proof, for the answer's header `DPoP-Nonce` (RFC 9449 §8.2).
    pub next_nonce: Option<String>,
}

impl ResourceServer {
    /// A builder with the default settings, for an API of its own.
    pub fn builder() -> ResourceServerBuilder {
        ResourceServerBuilder::default()
    }

    /// The present instant by the configured clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Checks the access token of a request.
    ///
    /// A DPoP proof is used up by it, also where the future is dropped: call it once per request. Where the server demands
    /// [nonces](ResourceServerBuilder::dpop_nonces), call [`check`](Self::check), which gives the next one for the answer.
    ///
    /// # Errors
    ///
    /// [`BearerError`], which [`refuse`](Self::refuse) makes an answer of; [`BearerError::status`] tells whether it is the
    /// caller's turn.
    pub fn verify<H: RequestHead>(
        &self,
        head: &H,
    ) -> impl Future<Output = Result<BearerToken, BearerError>> + Send + use<H> {
        let (server, request) = (self.clone(), BearerRequest::of(head));
        async move { Ok(server.check(&request).await?.token) }
    }

    /// As [`verify`](Self::verify), for a copy of what matters of a request, as adapters keep it until somebody asks for the token.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub async fn check(&self, request: &BearerRequest) -> Result<Verified, BearerError> {
        let presented = request.presented.as_ref().map_err(BearerError::clone)?;
        let now = self.now();
        let token = &presented.token;
        let way = self.0.way(token);
        let sought = match way {
            Way::Signature => Sought::signed(token.expose()),
            Way::Introspection(_) => Sought::opaque(token.expose()),
        };
        let facts = match self.remembered(&sought, now) {
            Some(outcome) => outcome?,
            None => {
                presented.check_form()?;
                // Boxed, for it is large and most requests do without: adapters box a request's whole future.
                Box::pin(self.0.look_at(token, way, &sought, now)).await?
            }
        };
        let next_nonce = self.0.check_binding(&facts, presented, request, now).await?;
        Ok(Verified {
            token: BearerToken {
                facts,
                text: presented.token.clone(),
            },
            next_nonce,
        })
    }

    fn remembered(&self, sought: &Sought<'_>, now: Timestamp) -> Option<Result<Arc<Facts>, BearerError>> {
        let outcome = self.0.cache.get(sought, now, |used| {
            let issuer = self.0.issuers.get(used.issuer);
            issuer.is_some_and(|issuer| issuer.keys.are(&used.keys))
        })?;
        Some(outcome.map_err(BearerError::from))
    }
}

impl Inner {
    fn way(&self, token: &AccessToken) -> Way<'_> {
        match &self.introspection {
            // Of a provider without keys every token is looked up, whatever it looks like.
            Some(introspection) if self.issuers.is_empty() || !is_jwt(token) => {
                Way::Introspection(introspection)
            }
            _ => Way::Signature,
        }
    }

    /// Finds out what a token is that was not seen lately.
    async fn look_at(
        &self,
        token: &AccessToken,
        way: Way<'_>,
        sought: &Sought<'_>,
        now: Timestamp,
    ) -> Result<Arc<Facts>, BearerError> {
        match way {
            Way::Signature => self.verify_jwt(token, sought, now).await,
            Way::Introspection(introspection) => {
                introspection
                    .ask(token, sought, &self.audiences, self.tolerance, now)
                    .await
            }
        }
    }

    /// RFC 9068 §4.
    async fn verify_jwt(
        &self,
        token: &AccessToken,
        sought: &Sought<'_>,
        now: Timestamp,
    ) -> Result<Arc<Facts>, BearerError> {
        if self.issuers.is_empty() {
            return Err(InvalidToken::NoMeans.into());
        }
        let jws = Jws::parse(token.expose()).map_err(InvalidToken::from)?;
        let candidate = Candidate::of(&jws, self.types)?;
        // Step 3, before anything is fetched: who is not on the list is asked for nothing.
        let claimed = candidate.claimed_issuer();
        let (index, issuer) = self
            .issuers
            .iter()
            .enumerate()
            .find(|(_, trusted)| Some(trusted.issuer.as_str()) == claimed)
            .ok_or(InvalidToken::IssuerUnknown)?;
        let (signed, keys) = issuer.check_signature(&candidate, &self.algorithms, now).await?;
        let expected = Expected {
            issuer: issuer.issuer.as_str(),
            audiences: &self.audiences,
            client_id: self.client_id.as_deref(),
            tolerance: self.tolerance,
        };
        let facts = Arc::new(candidate.accept(&signed, &expected, now)?);
        let until = facts
            .expires_at
            .map_or(now, |end| end.plus(self.tolerance))
            .min(now.plus(KEYS_FRESH));
        let entry = Entry {
            outcome: Ok(Arc::clone(&facts)),
            until,
            keys: Some(UsedKeys { issuer: index, keys }),
        };
        self.cache.insert(sought, entry);
        Ok(facts)
    }

    /// A token that is bound to a key comes with a proof, and only such a one does (RFC 9449 §7); one that is bound to a
    /// certificate comes with it (RFC 8705 §3). Gives a nonce for the next proof, where one is due.
    async fn check_binding(
        &self,
        facts: &Facts,
        presented: &Presented,
        request: &BearerRequest,
        now: Timestamp,
    ) -> Result<Option<String>, BearerError> {
        match (&facts.binding, presented.scheme) {
            (Binding::Nothing, Scheme::Bearer) => Ok(None),
            (Binding::Nothing | Binding::Certificate(_), Scheme::Dpop) => Err(InvalidToken::NotBound.into()),
            (Binding::Certificate(thumbprint), Scheme::Bearer) => match &request.certificate {
                None => Err(InvalidToken::CertificateNeeded.into()),
                Some(presented) if presented.thumbprint() != thumbprint => {
                    Err(InvalidToken::CertificateMismatch.into())
                }
                Some(_) => Ok(None),
            },
            (Binding::Key(_), Scheme::Bearer) => Err(InvalidToken::ProofNeeded.into()),
            (Binding::Key(key), Scheme::Dpop) => {
                let (Some(dpop), Some(proof)) = (&self.dpop, &request.proof) else {
                    return Err(InvalidToken::BindingUnsupported.into());
                };
                let token = presented.token.expose();
                // Boxed, as above.
                let accepted = Box::pin(dpop.accept(proof, token, key, self.tolerance, now)).await?;
                Ok(accepted.next_nonce)
            }
        }
    }
}

/// How a token is found to be good.
#[derive(Clone, Copy)]
enum Way<'s> {
    Signature,
    Introspection(&'s Introspection),
}

/// Whether a token has the form of a signed JWT. An encrypted one is for nobody here to read, and may be looked up.
fn is_jwt(token: &AccessToken) -> bool {
    let text = token.expose();
    text.starts_with("ey") && text.split('.').take(4).count() == 3
}

/// The claims of an access token that is a JWT, **without any check: whoever has made it may have written anything there**.
/// Not the signature, not the issuer, not the expiry is looked at.
///
/// It is for showing what is in a token to its developer, and for those who move over from code that did this. Whoever
/// decides on it who a user is or what they may do lets everybody in who can type. [`ResourceServer`] checks tokens of
/// requests; [`AuthBuilder::user_from_access_token`](crate::AuthBuilder::user_from_access_token) takes the user of a sign-in
/// from a token that it has checked.
///
/// `None` where the token is no JWT.
#[must_use]
pub fn dangerous_decode_without_verification(token: &AccessToken) -> Option<Map<String, Value>> {
    // `alg` does not matter: nothing is verified. So the payload is taken as it is.
    use base64::Engine as _;
    let mut parts = token.expose().split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .ok()?;
    crate::jose::parse_object(&payload).ok()
}

/// Algorithms that are allowed unless the app says otherwise. All are asymmetric, and a key serves only those that fit it.
pub(crate) const ALL_ALGORITHMS: [Algorithm; 10] = [
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
