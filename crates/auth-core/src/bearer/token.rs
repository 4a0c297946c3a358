//! A token that was found good, and what it says.

use std::fmt;
use std::mem;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::error::InvalidToken;
use crate::clock::Timestamp;
use crate::jose::{self, Member, Named};
use crate::secret::AccessToken;
use crate::types::Scopes;

/// A good access token: signed by a trusted issuer or active at it, meant for this resource, not expired, and, where it is
/// bound to a key or a certificate, presented by who holds it. Cheap to clone.
///
/// `Debug` shows the issuer and the client, and neither the token nor who it is about.
///
/// # Example
///
/// ```
/// use auth_core::bearer::BearerToken;
///
/// fn may_read_mail(token: &BearerToken, of: &str) -> bool {
///     token.subject() == Some(of) && token.scopes().contains("mail.read")
/// }
/// ```
#[derive(Clone)]
pub struct BearerToken {
    pub(super) facts: Arc<Facts>,
    pub(super) text: AccessToken,
}

/// What a token says, once it is known to be true.
pub(crate) struct Facts {
    pub(crate) issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) audience: Vec<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) authenticated_at: Option<Timestamp>,
    pub(crate) acr: Option<String>,
    pub(crate) scopes: Scopes,
    pub(crate) binding: Binding,
    pub(crate) claims: AllClaims,
}

impl Facts {
    /// About how many bytes of memory they take, all claims read.
    pub(super) fn size(&self) -> usize {
        // Issuer, subject, audience and scopes are there a second time, as what they mean.
        mem::size_of::<Self>() + self.claims.json.len() + 2 * self.claims.size
    }
}

/// All claims of a token. Those of a JWT are read when they are first asked for: what most ask for stands in [`Facts`].
pub(crate) struct AllClaims {
    /// Of a JWT, its claims as they came. They were read once before.
    json: Box<[u8]>,
    read: OnceLock<Map<String, Value>>,
    /// About how many bytes of memory they take, once they are read.
    size: usize,
}

impl AllClaims {
    /// Those that `claims` was read from.
    pub(super) fn of_json(json: &[u8], claims: &jose::Members<'_>) -> Self {
        Self {
            json: json.into(),
            read: OnceLock::new(),
            size: claims.size(),
        }
    }

    pub(crate) fn as_map(&self) -> &Map<String, Value> {
        self.read.get_or_init(|| self.read_json())
    }

    pub(crate) fn into_map(mut self) -> Map<String, Value> {
        self.read.take().unwrap_or_else(|| self.read_json())
    }

    fn read_json(&self) -> Map<String, Value> {
        // What could be read before can be read again.
        jose::parse_object(&self.json).unwrap_or_default()
    }
}

impl From<Map<String, Value>> for AllClaims {
    fn from(claims: Map<String, Value>) -> Self {
        Self {
            json: Box::default(),
            size: jose::size_of_members(&claims),
            read: claims.into(),
        }
    }
}

/// What a token is bound to: whoever presents it shows that they hold that too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nothing: whoever has it can use it.
    Nothing,
    /// A key, by its thumbprint (RFC 9449 §6).
    Key(String),
    /// A certificate, by its thumbprint (RFC 8705 §3).
    Certificate(String),
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken")
            .field("issuer", &self.issuer())
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}

impl BearerToken {
    /// `iss`: who issued the token. For an introspected one that does not say so, whose introspection endpoint was asked.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.facts.issuer
    }

    /// `sub`: who the token is about, within the issuer; a client that acts for itself is named here as well (RFC 9068
    /// §2.2). Always there on a JWT; introspection may leave it out.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.facts.subject.as_deref()
    }

    /// The client that the token was issued to: `client_id` (RFC 9068 §2.2), or what providers call it instead: `azp`,
    /// `cid`, `appid`.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.facts.client_id.as_deref()
    }

    /// The granted scopes: `scope` (RFC 9068 §2.2.3), or `scp` where a provider calls it so.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.facts.scopes
    }

    /// `aud`: whom the token is for. This resource is among them; empty where introspection names nobody.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.facts.audience
    }

    /// `exp`: when the token ends. Always there on a JWT; introspection may leave it out.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.facts.expires_at
    }

    /// `auth_time`: when the user last proved who they are. `None` also where the claim is not a time. It may lie ahead:
    /// [`BearerGate::within`](super::BearerGate::within) judges that.
    #[must_use]
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.facts.authenticated_at
    }

    /// `acr`: how strongly the user was authenticated.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.facts.acr.as_deref()
    }

    /// Whether the token is bound to a key or a certificate, and its sender has proved to hold that key (RFC 9449 §7) or has
    /// come with that certificate (RFC 8705 §3).
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.facts.binding != Binding::Nothing
    }

    /// All claims of the JWT, or all members of the introspection answer. They are about a person: log none of them.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        self.facts.claims.as_map()
    }

    /// The token itself, to be exchanged for one of a further API (RFC 8693 §2.1, `subject_token`). Never log it, and never send
    /// it to anyone but its issuer.
    #[must_use]
    pub fn access_token(&self) -> &AccessToken {
        &self.text
    }
}

/// `client_id`, or what providers call it instead.
pub(super) fn client_id(claims: &impl Named) -> Option<String> {
    let names = ["client_id", "azp", "cid", "appid"];
    let client_id = names.iter().find_map(|name| claims.text(name));
    client_id.map(str::to_owned)
}

/// `auth_time`, where it is a time.
pub(super) fn authenticated_at(claims: &impl Named) -> Option<Timestamp> {
    claims.named("auth_time").and_then(Member::instant)
}

pub(super) fn acr(claims: &impl Named) -> Option<String> {
    claims.text("acr").map(str::to_owned)
}

/// `scope`, a string or an array of strings, or else `scp`. A malformed one grants nothing.
pub(super) fn scopes(claims: &impl Named) -> Scopes {
    match claims.named("scope").or_else(|| claims.named("scp")) {
        Some(Member::Text(text)) => Scopes::parse(text),
        Some(Member::Other(Value::Array(several))) => several.iter().filter_map(Value::as_str).collect(),
        _ => Scopes::default(),
    }
}

/// What `cnf` says that the token is bound to: a key (RFC 9449 §6.1) or a certificate (RFC 8705 §3.1). A binding of another kind,
/// or a second one, is one that nobody here checks.
pub(super) fn binding(claims: &impl Named) -> Result<Binding, InvalidToken> {
    let members = match claims.named("cnf") {
        None | Some(Member::Other(Value::Null)) => return Ok(Binding::Nothing),
        Some(Member::Other(Value::Object(members))) if members.len() == 1 => members,
        Some(_) => return Err(InvalidToken::BindingUnsupported),
    };
    let named = |name: &str| {
        let thumbprint = members.get(name)?.as_str()?;
        (!thumbprint.is_empty()).then(|| thumbprint.to_owned())
    };
    named("jkt")
        .map(Binding::Key)
        .or_else(|| named("x5t#S256").map(Binding::Certificate))
        .ok_or(InvalidToken::BindingUnsupported)
}
