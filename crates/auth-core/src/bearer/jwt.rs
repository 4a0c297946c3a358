//! Access tokens that are JWTs, in the order of RFC 9068 §4.
//!
//! A token whose header says `at+jwt` is an access token. Many providers say `JWT` there, or nothing, and so do their ID
//! tokens and logout tokens; such a token counts as an access token unless something in it says that it is another kind:
//!
//! * `events`, as in logout tokens (Back-Channel Logout 1.0 §2.4);
//! * the claims `typ` (Keycloak) or `token_use` (Amazon Cognito), where they name another kind;
//! * `nonce`, `at_hash`, `c_hash` or `s_hash`, as in ID tokens (OpenID Connect Core §2, §3.1.3.6), unless `typ` or `token_use`
//!   says that it is an access token;
//! * the client that it was issued to among its audiences and no scopes: an ID token's audience is its client. That client
//!   is who is named in `azp` or `client_id`, or this application itself.

use std::time::Duration;

use super::error::InvalidToken;
use super::token::{AllClaims, Facts, acr, authenticated_at, binding, client_id, scopes};
use crate::clock::Timestamp;
use crate::jose::{self, Algorithm, Jws, JwsError, KeySet, Member, Members, Named};

/// What an access token has to say.
pub(crate) struct Expected<'a> {
    /// The issuer whose keys were used, compared to the byte.
    pub(crate) issuer: &'a str,
    /// What this resource is called; one of them has to be in `aud`.
    pub(crate) audiences: &'a [String],
    /// This application as a client, where it is one: a token issued to it and for it alone is an ID token.
    pub(crate) client_id: Option<&'a str>,
    /// How far the provider's clock may be off.
    pub(crate) tolerance: Duration,
}

/// What the header's `typ` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenTypes {
    /// `at+jwt`; or `JWT` or none, where nothing says that it is something else.
    Usual,
    /// `at+jwt` alone.
    Declared,
}

/// A token of which nothing is known to be true yet.
pub(crate) struct Candidate<'t> {
    jws: &'t Jws<'t>,
    claims: Members<'t>,
    is_declared: bool,
}

/// Says that a candidate's signature is good. Made by [`Candidate::check_signature`] only.
pub(crate) struct Signed(());

impl<'t> Candidate<'t> {
    /// Reads a token. Step 1, `typ`; step 2, an encrypted token, which is for registrations that ask for it, is no [`Jws`].
    pub(crate) fn of(jws: &'t Jws<'t>, types: TokenTypes) -> Result<Self, InvalidToken> {
        let is_declared = match jws.typ() {
            Some(typ) if jose::is_media_type(typ, "at+jwt") => true,
            None if types == TokenTypes::Usual => false,
            Some(typ) if types == TokenTypes::Usual && jose::is_media_type(typ, "jwt") => false,
            _ => return Err(InvalidToken::TypeUnexpected),
        };
        let claims = jose::parse_members(jws.unverified_payload()).map_err(|_| InvalidToken::Malformed)?;
        Ok(Self {
            jws,
            claims,
            is_declared,
        })
    }

    /// Who the token says it is from. Nobody has checked that.
    pub(crate) fn claimed_issuer(&self) -> Option<&str> {
        self.claims.text("iss")
    }

    /// Step 5: the signature, with an algorithm from the list.
    pub(crate) fn check_signature(
        &self,
        keys: &KeySet,
        algorithms: &[Algorithm],
    ) -> Result<Signed, InvalidToken> {
        self.jws.verify(keys, algorithms)?;
        Ok(Signed(()))
    }

    /// All other steps.
    pub(crate) fn accept(
        self,
        _: &Signed,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<Facts, InvalidToken> {
        let claims = self.claims;

        // Step 3: the issuer, exactly.
        let issuer = claims
            .text("iss")
            .filter(|iss| *iss == expected.issuer)
            .ok_or(InvalidToken::IssuerUnknown)?
            .to_owned();

        // Step 4: meant for this resource.
        let audience = claims
            .named("aud")
            .and_then(Member::audience)
            .filter(|aud| aud.iter().any(|one| expected.audiences.contains(one)))
            .ok_or(InvalidToken::AudienceMismatch)?;

        // Step 1, where the header leaves it open.
        let scopes = scopes(&claims);
        if claims.has("events") || !self.is_declared && is_another_kind(&claims, &audience, expected) {
            return Err(InvalidToken::NotAnAccessToken);
        }

        // Step 6: not expired; nor (RFC 7519 §4.1.5, §4.1.6) used before it was made.
        let expires_at = instant(&claims, "exp")?.ok_or(InvalidToken::ClaimsInvalid)?;
        if now >= expires_at.plus(expected.tolerance) {
            return Err(InvalidToken::Expired);
        }
        for name in ["nbf", "iat"] {
            if instant(&claims, name)?.is_some_and(|at| at > now.plus(expected.tolerance)) {
                return Err(InvalidToken::NotYetValid);
            }
        }

        // §2.2: who it is about.
        let subject = claims
            .text("sub")
            .filter(|sub| is_subject(sub))
            .ok_or(InvalidToken::ClaimsInvalid)?
            .to_owned();

        Ok(Facts {
            issuer,
            subject: Some(subject),
            audience,
            client_id: client_id(&claims),
            expires_at: Some(expires_at),
            authenticated_at: authenticated_at(&claims),
            acr: acr(&claims),
            scopes,
            binding: binding(&claims)?,
            claims: AllClaims::of_json(self.jws.unverified_payload(), &claims),
        })
    }
}

/// What may stand in `sub`: as in ID tokens.
pub(super) fn is_subject(sub: &str) -> bool {
    (1..=255).contains(&sub.chars().count()) && !sub.contains(char::is_control)
}

/// A time that may be left out, but not be something else.
pub(super) fn instant(claims: &impl Named, name: &str) -> Result<Option<Timestamp>, InvalidToken> {
    claims
        .named(name)
        .map(|claim| claim.instant().ok_or(InvalidToken::ClaimsInvalid))
        .transpose()
}

/// What the claims say of their kind, in the words of the providers that have some.
pub(super) enum Kind {
    Access,
    Another,
    Unsaid,
}

pub(super) fn kind(claims: &impl Named) -> Kind {
    let mut kind = Kind::Unsaid;
    for name in ["typ", "token_use"] {
        match claims.named(name) {
            None => {}
            Some(Member::Text(word))
                if ["bearer", "dpop", "access", "access_token", "at+jwt"]
                    .iter()
                    .any(|access| word.eq_ignore_ascii_case(access)) =>
            {
                kind = Kind::Access;
            }
            Some(_) => return Kind::Another,
        }
    }
    kind
}

/// Whether something in a token whose header leaves it open says that it is no access token.
fn is_another_kind(claims: &impl Named, audience: &[String], expected: &Expected<'_>) -> bool {
    match kind(claims) {
        Kind::Access => return false,
        Kind::Another => return true,
        Kind::Unsaid => {}
    }
    let marks = ["nonce", "at_hash", "c_hash", "s_hash"];
    if marks.iter().any(|name| claims.has(name)) {
        return true;
    }
    if ["scope", "scp"].iter().any(|name| claims.has(name)) {
        return false;
    }
    let issued_to = ["azp", "client_id"]
        .iter()
        .filter_map(|name| claims.text(name))
        .chain(expected.client_id);
    let mut clients = issued_to.into_iter();
    clients.any(|client| audience.iter().any(|one| one == client))
}

impl From<JwsError> for InvalidToken {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::Malformed => Self::Malformed,
            JwsError::Encrypted => Self::Encrypted,
            JwsError::AlgorithmNotAllowed => Self::AlgorithmNotAllowed,
            JwsError::CriticalHeader => Self::CriticalHeader,
            JwsError::UnknownKey => Self::UnknownKey,
            JwsError::BadSignature => Self::SignatureInvalid,
        }
    }
}

#[cfg(test)]
mod tests;
