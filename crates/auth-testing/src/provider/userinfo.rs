//! Access tokens as resource servers see them, and the userinfo endpoint (OIDC Core §5.3).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Provider;
use super::discovery::changed;
use super::dpop::{ProofSide, challenging_proofs, with_nonce};
use super::error::no_store;
use super::jwt::{Signature, Unverified};
use crate::params::words;

/// The claims of an access token that is good.
pub(crate) struct AccessToken {
    pub(crate) claims: Map<String, Value>,
}

/// Why a request does not get what it asks for (RFC 6750 §3.1).
#[derive(Debug)]
pub(crate) enum BearerError {
    /// No credentials: the challenge holds no error.
    NoToken,
    InvalidToken(&'static str),
    InsufficientScope(&'static str),
    /// RFC 9449 §7.1.
    InvalidProof(&'static str),
    /// RFC 9449 §9: the proof needs this nonce.
    NonceNeeded(String),
}

impl AccessToken {
    /// The `typ` header (RFC 9068 §2.1).
    pub(crate) const TYPE: &str = "at+jwt";

    pub(crate) fn text(&self, claim: &str) -> &str {
        self.claims.get(claim).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn number(&self, claim: &str) -> Option<i64> {
        self.claims.get(claim).and_then(Value::as_i64)
    }

    /// The key that it is bound to (RFC 9449 §6.1).
    pub(crate) fn jkt(&self) -> Option<&str> {
        self.claims.get("cnf")?.get("jkt")?.as_str()
    }

    pub(crate) fn jti(&self) -> String {
        self.text("jti").to_owned()
    }

    pub(crate) fn scope(&self) -> Vec<String> {
        words(self.text("scope"))
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.scope().iter().any(|word| word == scope)
    }

    pub(crate) fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one == audience),
            _ => false,
        }
    }
}

impl Provider {
    /// Checks an access token as RFC 9068 §4 says, save for the audience.
    pub(crate) fn access_token(&self, token: &str) -> Result<AccessToken, BearerError> {
        let refuse = BearerError::InvalidToken;
        let unverified = Unverified::parse(&self.plain(token)).ok_or(refuse("malformed"))?;
        if unverified.header("typ") != Some(AccessToken::TYPE) {
            return Err(refuse("not an access token"));
        }
        let kid = unverified.header("kid").unwrap_or_default();
        let key = self
            .keys()
            .published(kid)
            .ok_or(refuse("signed with an unknown key"))?;
        let claims = unverified.verified_by(&key).ok_or(refuse("wrong signature"))?;
        let token = AccessToken { claims };
        if token.text("iss") != self.issuer {
            return Err(refuse("from another issuer"));
        }
        // No tolerance: the clocks are the same.
        if token.number("exp").is_none_or(|exp| exp <= self.now()) {
            return Err(refuse("expired"));
        }
        if self.grants().is_revoked(token.text("jti")) {
            return Err(refuse("revoked"));
        }
        Ok(token)
    }

    /// The subject of an ID token of this provider's, for whichever client.
    pub(crate) fn id_token_subject(&self, token: &str) -> Option<String> {
        let unverified = Unverified::parse(token)?;
        if unverified.header("typ") != Some("JWT") {
            return None;
        }
        let key = self
            .keys()
            .published(unverified.header("kid").unwrap_or_default())?;
        let claims = unverified.verified_by(&key)?;
        let is_alive = claims.get("exp").and_then(Value::as_i64)? > self.now();
        let sub = claims.get("sub").and_then(Value::as_str)?.to_owned();
        is_alive.then_some(sub)
    }

    /// The access token in the Authorization header, which is the only place for it. One that is bound to a key comes with a
    /// proof (RFC 9449 §7.1), and never as a bearer token (§7.2). Beside it stands the next nonce, where there is one.
    pub(crate) fn presented(
        &self,
        headers: &HeaderMap,
        asked: (&str, &str),
        side: ProofSide,
    ) -> Result<(AccessToken, Option<String>), BearerError> {
        let refuse = BearerError::InvalidToken;
        let header = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '));
        match header {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                let token = self.access_token(token.trim())?;
                match token.jkt() {
                    None => Ok((token, None)),
                    Some(_) => Err(refuse("bound to a key, and no bearer token")),
                }
            }
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("dpop") => {
                let token = self.access_token(text.trim())?;
                let proof = self.proof(headers, asked, Some(text.trim()), side)?;
                let proof = proof.ok_or(BearerError::InvalidProof("the proof is missing"))?;
                match token.jkt() {
                    Some(jkt) if jkt == proof.jkt => Ok((token, proof.next_nonce)),
                    Some(_) => Err(refuse("bound to another key")),
                    None => Err(refuse("bound to no key")),
                }
            }
            _ => Err(BearerError::NoToken),
        }
    }

    /// The claims, and the client that asks; and the next nonce.
    fn userinfo_response(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(Value, String, Option<String>), BearerError> {
        let url = format!("{}/userinfo", self.issuer);
        let (token, nonce) = self.presented(headers, (method.as_str(), &url), ProofSide::Userinfo)?;
        if !token.has_scope("openid") {
            return Err(BearerError::InsufficientScope("openid"));
        }
        let user = self
            .user(token.text("sub"))
            .ok_or(BearerError::InvalidToken("no such user"))?;
        let mut claims = user.claims_for(&token.scope());
        claims.extend(user.userinfo.clone());
        claims.insert("sub".to_owned(), json!(user.sub));
        Ok((Value::Object(claims), token.text("client_id").to_owned(), nonce))
    }

    /// OIDC Core §5.3.2: what a signed answer has besides the claims.
    fn signed_userinfo(&self, mut claims: Map<String, Value>, client_id: &str) -> String {
        for (name, value) in [("iss", &self.issuer[..]), ("aud", client_id)] {
            claims.entry(name).or_insert_with(|| json!(value));
        }
        let key = self.keys().signing();
        let signature = Signature::Key(&key);
        signature.sign(&signature.header("JWT"), &claims)
    }
}

pub(crate) async fn userinfo(
    State(provider): State<Arc<Provider>>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    match provider.userinfo_response(&method, &headers) {
        Ok((claims, client_id, nonce)) => {
            let change = provider.tampering().userinfo.clone();
            let signed = provider.keys().signs_userinfo();
            let response = match changed(claims, change) {
                Value::Object(claims) if signed => {
                    let token = provider.signed_userinfo(claims, &client_id);
                    no_store(([(header::CONTENT_TYPE, "application/jwt")], token))
                }
                claims => no_store(Json(claims)),
            };
            with_nonce(response, nonce)
        }
        Err(error) if is_dpop(&headers) => challenging_proofs(error.into_response()),
        Err(error) => error.into_response(),
    }
}

/// Whether a token is shown with a proof.
pub(crate) fn is_dpop(headers: &HeaderMap) -> bool {
    let scheme = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().get(..5));
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"dpop "))
}

impl IntoResponse for BearerError {
    fn into_response(self) -> Response {
        let mut nonce = None;
        let (status, challenge) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "Bearer".to_owned()),
            Self::InvalidToken(why) => (
                StatusCode::UNAUTHORIZED,
                format!("Bearer error=\"invalid_token\", error_description=\"{why}\""),
            ),
            Self::InvalidProof(why) => (
                StatusCode::UNAUTHORIZED,
                format!("DPoP error=\"invalid_dpop_proof\", error_description=\"{why}\""),
            ),
            Self::NonceNeeded(needed) => {
                nonce = Some(needed);
                let challenge =
                    "DPoP error=\"use_dpop_nonce\", error_description=\"the proof needs this nonce\"";
                (StatusCode::UNAUTHORIZED, challenge.to_owned())
            }
            Self::InsufficientScope(scope) => (
                StatusCode::FORBIDDEN,
                format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
            ),
        };
        let mut response = with_nonce(no_store(status), nonce);
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
