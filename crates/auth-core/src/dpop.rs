//! DPoP (RFC 9449), the client's side: the key that tokens are bound to, the proofs made with it, and the nonces that
//! servers want in them. [`bearer`](crate::bearer) is the resource server's side.
//!
//! * A key is made for each sign-in. It lies in the sealed cookie of the attempt, then in the sealed record of the session,
//!   and nowhere else. A session that has one shows its tokens together with a proof, and never as bearer tokens, whatever
//!   the setting says by then; one without is a session with bearer tokens.
//! * A proof is for one request (§4.2), and is made when that is sent. Each try has one of its own.
//! * The latest nonce of each server is in the next proof there (§8.2). Nonces are remembered for each key by itself, so that
//!   what a server gave to one session is never shown to it by another. They lie in this process: whoever has none is
//!   told so by the server, and tries once more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use serde_json::{Map, json};
use url::Url;

use crate::clock::Timestamp;
use crate::jose::ProofKey;
use crate::secret::{AccessToken, random_text, sha256};
use crate::step_up;

/// The header that a proof goes in (§4.1).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header that a nonce comes in (§8).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A longer nonce, in bytes, is ignored.
const MAX_NONCE: usize = 1024;
/// Nonces that one process remembers, at the most; half of them are those that were used last.
const REMEMBERED: usize = 20_000;

/// How an access token is shown: the scheme of the `Authorization` header, and the `token_type` of a token response (RFC
/// 6750 §2.1, RFC 9449 §5, §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
    Dpop,
}

impl Scheme {
    /// That of a token that is bound to this key, or to none.
    pub(crate) fn of(key: Option<&DpopKey>) -> Self {
        match key {
            Some(_) => Self::Dpop,
            None => Self::Bearer,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }

    /// Whether this is its name, which is compared without case (RFC 6749 §5.1).
    pub(crate) fn is(self, token_type: &str) -> bool {
        token_type.eq_ignore_ascii_case(self.as_str())
    }
}

/// The key that a session's tokens, or the application's own, are bound to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DpopKey(Arc<ProofKey>);

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DpopKey(…)")
    }
}

/// The server that a request goes to. Nonces of one are not for another (§8.2, §9).
#[derive(Clone, Copy)]
pub(crate) enum Server<'a> {
    /// The authorization server, by its issuer.
    Authorization(&'a str),
    /// A resource server, by its origin; also the provider's userinfo endpoint.
    Resource(&'a str),
}

/// The request that a proof is for.
pub(crate) struct ProofOf<'a> {
    pub(crate) server: Server<'a>,
    pub(crate) method: &'a str,
    /// Without query and fragment.
    pub(crate) url: &'a str,
    /// The access token that goes with it, if one does.
    pub(crate) token: Option<&'a AccessToken>,
}

impl DpopKey {
    pub(crate) fn generate() -> Self {
        Self(Arc::new(ProofKey::generate()))
    }

    /// `dpop_jkt` of an authorization request (§10).
    pub(crate) fn thumbprint(&self) -> String {
        self.0.thumbprint()
    }

    /// A proof for one request (§4.2), as the value of its header.
    pub(crate) fn proof(&self, of: &ProofOf<'_>, nonces: &Nonces, now: Timestamp) -> HeaderValue {
        let mut claims = Map::from_iter([
            ("jti".to_owned(), json!(random_text())),
            ("htm".to_owned(), json!(of.method)),
            ("htu".to_owned(), json!(of.url)),
            ("iat".to_owned(), json!(now.as_secs())),
        ]);
        if let Some(token) = of.token {
            let hash = sha256(&[token.expose().as_bytes()]);
            claims.insert("ath".to_owned(), json!(URL_SAFE_NO_PAD.encode(hash)));
        }
        if let Some(nonce) = nonces.latest(self, of.server) {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        let mut value = HeaderValue::try_from(self.0.sign(&claims)).expect("a signed token is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

/// The URL as a proof names it (§4.2): without query and fragment, and without credentials, which do not go over the wire.
pub(crate) fn htu(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Neither fails for a URL with a host, and no other is ever asked.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// An access token, with the key that it is bound to, if it is. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) token: AccessToken,
    pub(crate) key: Option<DpopKey>,
}

impl Credential {
    /// Puts the token into a request to this URL, in the place of whatever stood there, with a proof where it is bound.
    pub(crate) fn attach(
        &self,
        headers: &mut HeaderMap,
        method: &str,
        url: &Url,
        nonces: &Nonces,
        now: Timestamp,
    ) {
        let target = || (url.origin().ascii_serialization(), htu(url));
        self.attach_at(headers, method, target, nonces, now);
    }

    /// The same for a target that is to stay as it is, to the byte.
    pub(crate) fn attach_to_uri(
        &self,
        headers: &mut HeaderMap,
        method: &str,
        uri: &Uri,
        nonces: &Nonces,
        now: Timestamp,
    ) {
        let target = || {
            let origin = origin_of(uri);
            let url = format!("{origin}{}", uri.path());
            (origin, url)
        };
        self.attach_at(headers, method, target, nonces, now);
    }

    /// `target` gives the origin, and the URL as a proof names it.
    fn attach_at(
        &self,
        headers: &mut HeaderMap,
        method: &str,
        target: impl FnOnce() -> (String, String),
        nonces: &Nonces,
        now: Timestamp,
    ) {
        headers.insert(
            AUTHORIZATION,
            authorization(Scheme::of(self.key.as_ref()), &self.token),
        );
        if let Some(key) = &self.key {
            let (origin, url) = target();
            let proof = ProofOf {
                server: Server::Resource(&origin),
                method,
                url: &url,
                token: Some(&self.token),
            };
            headers.insert(DPOP, key.proof(&proof, nonces, now));
        }
    }

    /// Remembers the nonce of an answer to a request with this token, if there is one that can be used, and says so.
    pub(crate) fn learn(&self, origin: &str, headers: &HeaderMap, nonces: &Nonces) -> bool {
        let key = self.key.as_ref();
        key.is_some_and(|key| nonces.remember(key, Server::Resource(origin), headers))
    }
}

/// The origin of an absolute URI, as [`Url`] writes it.
pub(crate) fn origin_of(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}

/// Whether a resource server refuses a request for nothing but the nonce in its proof (§9).
pub(crate) fn is_demand_for_nonce(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED && step_up::names_error(headers, "dpop", "use_dpop_nonce")
}

/// The value of `Authorization` (RFC 6750 §2.1, RFC 9449 §7.1).
pub(crate) fn authorization(scheme: Scheme, token: &AccessToken) -> HeaderValue {
    if scheme == Scheme::Bearer {
        return token.bearer();
    }
    let mut value = HeaderValue::try_from(format!("{} {}", scheme.as_str(), token.expose()))
        .expect("an access token was checked to be visible ASCII when it came");
    value.set_sensitive(true);
    value
}

/// The latest nonce that each server gave to each key. What is not used for long is forgotten when there is no room.
#[derive(Default)]
pub(crate) struct Nonces(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    present: HashMap<[u8; 32], String>,
    past: HashMap<[u8; 32], String>,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl Nonces {
    /// Remembers the nonce that an answer to this key bears, if there is one that can be used, and says so.
    pub(crate) fn remember(&self, key: &DpopKey, server: Server<'_>, headers: &HeaderMap) -> bool {
        let Some(nonce) = nonce_of(headers) else {
            return false;
        };
        self.with(|held| held.put(name(key, server), nonce.to_owned()));
        true
    }

    fn latest(&self, key: &DpopKey, server: Server<'_>) -> Option<String> {
        self.with(|held| held.get(&name(key, server)))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Generations) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Generations {
    fn put(&mut self, name: [u8; 32], nonce: String) {
        if self.present.len() >= REMEMBERED / 2 && !self.present.contains_key(&name) {
            self.past = std::mem::take(&mut self.present);
        }
        self.past.remove(&name);
        self.present.insert(name, nonce);
    }

    fn get(&mut self, name: &[u8; 32]) -> Option<String> {
        if let Some(nonce) = self.past.remove(name) {
            self.put(*name, nonce);
        }
        self.present.get(name).cloned()
    }
}

/// Whose nonce it is: a hash over parts that do not run into each other.
fn name(key: &DpopKey, server: Server<'_>) -> [u8; 32] {
    let (kind, server) = match server {
        Server::Authorization(issuer) => (b'a', issuer),
        Server::Resource(origin) => (b'r', origin),
    };
    sha256(&[key.0.public_bytes(), &[kind], server.as_bytes()])
}

/// The answer's nonce, where there is one that can stand in a proof (§8.1): one value, of visible ASCII less `"` and `\`.
fn nonce_of(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(DPOP_NONCE).iter();
    let nonce = values.next()?.to_str().ok()?;
    let is_sound = !nonce.is_empty()
        && nonce.len() <= MAX_NONCE
        && nonce
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    (is_sound && values.next().is_none()).then_some(nonce)
}

/// Serializes keys, for [`crate::seal`] only: what comes out must go straight under encryption.
pub(crate) mod sealed {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use zeroize::Zeroizing;

    use super::DpopKey;
    use crate::jose::ProofKey;

    #[allow(clippy::ref_option, reason = "the signature is serde's")]
    pub(crate) fn serialize<S: Serializer>(key: &Option<DpopKey>, to: S) -> Result<S::Ok, S::Error> {
        let text = key.as_ref().map(|key| URL_SAFE_NO_PAD.encode(key.0.as_bytes()));
        text.map(Zeroizing::new).as_deref().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DpopKey>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        let numbers = URL_SAFE_NO_PAD.decode(text.as_str()).map(Zeroizing::new);
        numbers
            .ok()
            .and_then(|numbers| ProofKey::from_bytes(&numbers))
            .map(|key| Some(DpopKey(Arc::new(key))))
            .ok_or_else(|| D::Error::custom("no P-256 key"))
    }
}

#[cfg(test)]
mod tests;
