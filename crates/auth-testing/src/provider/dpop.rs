//! Proofs of possession (RFC 9449): what the provider and the demo APIs check, on their own.

use std::collections::HashMap;

use aws_lc_rs::digest;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use super::Provider;
use super::error::OauthError;
use super::jwt::Unverified;
use super::keys::PublicKey;
use super::userinfo::BearerError;
use crate::random;

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// How old a proof may be, and how far ahead its clock.
const TOLERANCE_SECS: i64 = 60;
/// How long a nonce is good.
const NONCE_LIFETIME_SECS: i64 = 60;
/// The signature algorithms of proofs.
pub(crate) const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "PS256", "RS256"];

/// Which nonces have to be in the proofs that a server is shown (RFC 9449 §8, §9). Every answer to a good proof brings a new
/// nonce, for the key of that proof only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DpopNonces {
    /// None is demanded, and none is given; the default.
    #[default]
    Off,
    /// One that the server has given for the proof's key in the last 60 s.
    Demanded,
    /// The same, and each is good for one proof.
    SingleUse,
}

/// A server that gives nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProofSide {
    /// Token endpoint and pushed requests.
    Provider,
    Userinfo,
    Api,
    Api2,
}

/// What a test wants of proofs.
#[derive(Clone, Copy)]
pub(crate) struct DpopSettings {
    pub(crate) is_known: bool,
    pub(crate) of_provider: DpopNonces,
    pub(crate) of_apis: DpopNonces,
}

impl Default for DpopSettings {
    fn default() -> Self {
        Self {
            is_known: true,
            of_provider: DpopNonces::Off,
            of_apis: DpopNonces::Off,
        }
    }
}

impl DpopSettings {
    fn nonces(self, side: ProofSide) -> DpopNonces {
        match side {
            ProofSide::Provider => self.of_provider,
            ProofSide::Userinfo | ProofSide::Api | ProofSide::Api2 => self.of_apis,
        }
    }
}

/// What the provider remembers of proofs.
#[derive(Default)]
pub(crate) struct Proofs {
    /// When each `jti` of each key is forgotten.
    seen: HashMap<(String, String), i64>,
    nonces: HashMap<String, Given>,
    foreign_nonces: u64,
}

/// To whom a nonce was given, and when.
struct Given {
    side: ProofSide,
    jkt: String,
    at: i64,
}

impl Proofs {
    pub(crate) fn forget_nonces(&mut self) {
        self.nonces.clear();
    }

    /// How often a proof had a nonce that another key or another server was given.
    pub(crate) fn foreign_nonces(&self) -> u64 {
        self.foreign_nonces
    }

    fn give(&mut self, side: ProofSide, jkt: &str, now: i64) -> String {
        self.nonces
            .retain(|_, given| given.at + NONCE_LIFETIME_SECS > now);
        let nonce = random::token();
        let given = Given {
            side,
            jkt: jkt.to_owned(),
            at: now,
        };
        self.nonces.insert(nonce.clone(), given);
        nonce
    }

    fn takes(
        &mut self,
        nonce: Option<&str>,
        demand: DpopNonces,
        side: ProofSide,
        jkt: &str,
        now: i64,
    ) -> bool {
        let Some((nonce, given)) = nonce.and_then(|nonce| Some((nonce, self.nonces.get(nonce)?))) else {
            return false;
        };
        if given.side != side || given.jkt != jkt {
            self.foreign_nonces += 1;
            return false;
        }
        let is_young = given.at + NONCE_LIFETIME_SECS > now;
        if demand == DpopNonces::SingleUse {
            self.nonces.remove(nonce);
        }
        is_young
    }
}

/// A proof that is good.
pub(crate) struct Proof {
    /// The thumbprint of its key (RFC 7638).
    pub(crate) jkt: String,
    /// To go with the answer.
    pub(crate) next_nonce: Option<String>,
}

/// Why a proof is not good.
#[derive(Debug)]
pub(crate) enum ProofError {
    Invalid(&'static str),
    NonceNeeded(String),
}

impl From<ProofError> for OauthError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Invalid(why) => Self::new("invalid_dpop_proof", why),
            ProofError::NonceNeeded(nonce) => Self {
                dpop_nonce: Some(nonce),
                ..Self::new("use_dpop_nonce", "the proof needs this nonce")
            },
        }
    }
}

impl From<ProofError> for BearerError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Invalid(why) => Self::InvalidProof(why),
            ProofError::NonceNeeded(nonce) => Self::NonceNeeded(nonce),
        }
    }
}

impl Provider {
    /// Checks the proof of a request in the order of RFC 9449 §4.3; `None` where there is none. `url` is the address of what
    /// was asked, without its query.
    pub(crate) fn proof(
        &self,
        headers: &HeaderMap,
        (method, url): (&str, &str),
        token: Option<&str>,
        side: ProofSide,
    ) -> Result<Option<Proof>, ProofError> {
        let settings = self.settings().dpop;
        let mut proofs = headers.get_all(DPOP).iter();
        let Some(proof) = proofs.next().filter(|_| settings.is_known) else {
            return Ok(None);
        };
        let refuse = ProofError::Invalid;
        if proofs.next().is_some() {
            return Err(refuse("more than one proof"));
        }
        let proof = proof.to_str().ok().and_then(Unverified::parse);
        let proof = proof.ok_or(refuse("malformed proof"))?;
        if proof.header("typ") != Some("dpop+jwt") {
            return Err(refuse("not a proof"));
        }
        if !proof.header("alg").is_some_and(|alg| ALGORITHMS.contains(&alg)) {
            return Err(refuse("unknown algorithm"));
        }
        let jwk = proof.header.get("jwk").cloned().unwrap_or_default();
        let jkt = thumbprint(&jwk).ok_or(refuse("no public key in the header"))?;
        let key = PublicKey::from_jwk(&jwk).map_err(|_| refuse("unusable key"))?;
        let claims = proof.verified_by_client(&key).ok_or(refuse("wrong signature"))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let id = text("jti").ok_or(refuse("jti is missing"))?;
        if text("htm") != Some(method) {
            return Err(refuse("proof for another method"));
        }
        if !text("htu").is_some_and(|htu| is_same(htu, url)) {
            return Err(refuse("proof for another URL"));
        }
        let now = self.now();
        let made_at = claims.get("iat").and_then(Value::as_i64);
        let made_at = made_at.ok_or(refuse("iat is missing"))?;
        if (made_at - now).abs() > TOLERANCE_SECS {
            return Err(refuse("proof of another time"));
        }
        if let Some(token) = token
            && text("ath") != Some(&hash(token.as_bytes()))
        {
            return Err(refuse("proof for another token"));
        }
        let demand = settings.nonces(side);
        let mut memory = self.proofs();
        if demand != DpopNonces::Off && !memory.takes(text("nonce"), demand, side, &jkt, now) {
            return Err(ProofError::NonceNeeded(memory.give(side, &jkt, now)));
        }
        memory.seen.retain(|_, until| *until >= now);
        let until = made_at + TOLERANCE_SECS;
        if memory.seen.insert((jkt.clone(), id.to_owned()), until).is_some() {
            return Err(refuse("proof that was used before"));
        }
        let next_nonce = (demand != DpopNonces::Off).then(|| memory.give(side, &jkt, now));
        Ok(Some(Proof { jkt, next_nonce }))
    }
}

/// Byte for byte, or once both are normalized.
fn is_same(htu: &str, url: &str) -> bool {
    let parsed = |text| Url::parse(text).ok();
    htu == url || parsed(htu).is_some_and(|htu| parsed(url) == Some(htu))
}

/// The thumbprint of a public key (RFC 7638 §3.2; RFC 8037 appendix A.3).
fn thumbprint(jwk: &Value) -> Option<String> {
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if private.iter().any(|name| !jwk[*name].is_null()) {
        return None;
    }
    let members: &[&str] = match jwk["kty"].as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let members: Option<Vec<String>> = members
        .iter()
        .map(|name| Some(format!("\"{name}\":{}", Value::from(jwk[*name].as_str()?))))
        .collect();
    Some(hash(format!("{{{}}}", members?.join(",")).as_bytes()))
}

fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}

/// The answer with the next nonce, where there is one.
pub(crate) fn with_nonce(mut response: Response, nonce: Option<String>) -> Response {
    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}

/// Makes the challenge of an answer to a token that was shown with a proof one for proofs.
pub(crate) fn challenging_proofs(mut response: Response) -> Response {
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    let parameters = challenge
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer"));
    if let Some(parameters) = parameters
        && let Ok(challenge) = HeaderValue::try_from(format!("DPoP{parameters}"))
    {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
