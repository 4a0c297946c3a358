//! A session: who is signed in, with which tokens, until when.
//!
//! A session begins with a sign-in. The [hook](crate::AuthBuilder::on_sign_in) sees it first, as a [`SignIn`], and decides what is
//! kept. From then on its record is in the [store](crate::store), sealed, under a hash of the identifier that the browser holds, and
//! handlers are given a [`Session`]: the user's identifier ([`Session::subject`]), [`Claims`], scopes, deadlines, never a token.
//!
//! It ends when nobody has used it for [`session_idle`](crate::AuthBuilder::session_idle), at
//! [`session_max`](crate::AuthBuilder::session_max) in any case, when the provider says so, and by a sign-out. A [`Session`]
//! is as it was when it was read: [`Auth::session`](crate::Auth::session) reads it again, by [`Session::key`], which is no secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::dpop::{Credential, DpopKey, Scheme};
use crate::party::IssuedBy;
use crate::seal::{Purpose, SecretKeys};
use crate::secret::{self, AccessToken, IdToken, RefreshToken, sha256};
use crate::step_up::Demands;
use crate::store::{IndexKey, Opened, Record, SessionKey};
use crate::types::{Issuer, Scopes};

/// What is sealed in a session's record. What is not there is not written: memory and databases hold many of these.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SessionData {
    /// The origin of the app that the user signed in at, which is where the session is good. `None` of what began when there was one
    /// alone: that is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
    /// The name of the provider that the user signed in with; `None` of the one that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    pub(crate) issuer: Issuer,
    pub(crate) subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    /// When a refresh began that brought another `sid`, as long as nobody has looked whether the provider has ended that
    /// session meanwhile. See [`Core::confirm`](crate::auth::Core::confirm).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moved_at: Option<Timestamp>,
    #[serde(deserialize_with = "read_claims")]
    pub(crate) claims: Claims,
    /// The claims that the app wants kept, where its hook has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kept_claims: Option<Vec<String>>,
    /// The claims that are of an older ID token than the session's present one, which lacks them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) older_claims: Vec<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) app: Value,
    #[serde(
        default,
        with = "secret::sealed::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) id_token: Option<IdToken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<Timestamp>,
    /// The ID token's `acr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acr: Option<String>,
    /// The `nonce` of the first ID token; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    pub(crate) tokens: Tokens,
    /// The key that all tokens of the session are bound to; `None` where they are bearer tokens. It stays what it was at
    /// sign-in, whatever the setting says later.
    #[serde(
        default,
        with = "crate::dpop::sealed",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) dpop_key: Option<DpopKey>,
    /// The scopes that were asked for at sign-in.
    pub(crate) asked: Scopes,
    /// What the sign-in was for: a gate or an API had sent the user there.
    #[serde(default, skip_serializing_if = "Demands::is_nothing")]
    pub(crate) demanded: Demands,
    /// The audience of the ID token, sorted; empty without one.
    pub(crate) audience: Vec<String>,
    /// When the session ends in any case.
    pub(crate) ends_at: Timestamp,
    /// Chosen at sign-in: see [`Tokens::freshness`].
    pub(crate) jitter: u8,
    /// How often, and when last, the tokens were refreshed.
    pub(crate) refreshes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refreshed_at: Option<Timestamp>,
    /// What the browser called itself at sign-in, and where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

/// The tokens of a session.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// `None` once it was revoked.
    #[serde(
        default,
        with = "secret::sealed::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) access: Option<AccessToken>,
    pub(crate) access_issued_at: Timestamp,
    /// `None` where the provider does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access_expires_at: Option<Timestamp>,
    #[serde(
        default,
        with = "secret::sealed::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) refresh: Option<RefreshToken>,
    /// When the refresh token dies, where the provider says so (`refresh_expires_in`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_expires_at: Option<Timestamp>,
    pub(crate) scopes: Scopes,
    /// `authorization_details` as granted (RFC 9396 §7).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) authorization_details: Vec<Value>,
}

impl SessionData {
    pub(crate) fn seal(&self, keys: &SecretKeys, key: &SessionKey) -> Arc<[u8]> {
        let plain = zeroize::Zeroizing::new(
            serde_json::to_vec(self).expect("a session's data has string keys and finite numbers only"),
        );
        keys.seal(Purpose::Session, key.as_bytes(), &plain).into()
    }

    /// Opens a record's body, or finds it opened. `None` where no key opens it: the session counts as signed out.
    pub(crate) fn open(keys: &SecretKeys, key: &SessionKey, record: &Record) -> Option<Arc<Self>> {
        if let Some(data) = record.opened.get() {
            return Some(Arc::clone(data));
        }
        let plain = keys.open(Purpose::Session, key.as_bytes(), &record.sealed).ok()?;
        let data: Arc<Self> = Arc::new(serde_json::from_slice(&plain).ok()?);
        record.opened.set(Arc::clone(&data));
        Some(data)
    }

    /// The type of the session's tokens.
    pub(crate) fn scheme(&self) -> Scheme {
        Scheme::of(self.dpop_key.as_ref())
    }

    /// The session's access token as it is shown to an API.
    pub(crate) fn credential(&self) -> Option<Credential> {
        Some(Credential {
            token: self.tokens.access.clone()?,
            key: self.dpop_key.clone(),
        })
    }

    /// Whose tokens the session has.
    pub(crate) fn issued_by(&self) -> IssuedBy {
        IssuedBy {
            name: self.provider.clone(),
            issuer: self.issuer.clone(),
        }
    }

    /// When the session ends however busy it is: its own end, or once neither token is good any more.
    pub(crate) fn last_end(&self) -> Timestamp {
        match (
            &self.tokens.refresh,
            self.tokens.refresh_expires_at,
            self.tokens.access_expires_at,
        ) {
            (Some(_), Some(refresh), Some(access)) => self.ends_at.min(refresh.max(access)),
            _ => self.ends_at,
        }
    }

    /// The record that keeps this data.
    pub(crate) fn record(
        self,
        keys: &SecretKeys,
        key: &SessionKey,
        created_at: Timestamp,
        now: Timestamp,
        idle: Duration,
    ) -> Record {
        let record = Record {
            version: 1,
            subject: match self.subject.as_str() {
                // Nobody knows who this is, so it is nobody else's session either.
                "" => IndexKey::from_bytes(sha256(&[b"nobody\0", key.as_bytes()])),
                subject => index_key(b"sub", &self.issuer, subject),
            },
            sid: self.sid.as_ref().map(|sid| index_key(b"sid", &self.issuer, sid)),
            created_at,
            last_seen_at: now,
            expires_at: now.plus(idle).min(self.last_end()),
            lease: None,
            sealed: self.seal(keys, key),
            opened: Opened::default(),
        };
        record.opened.set(Arc::new(self));
        record
    }
}

/// The index over (issuer, `sub`) or (issuer, `sid`).
pub(crate) fn index_key(kind: &[u8], issuer: &Issuer, value: &str) -> IndexKey {
    let length = (issuer.as_str().len() as u64).to_be_bytes();
    IndexKey::from_bytes(sha256(&[
        kind,
        b"\0",
        &length,
        issuer.as_str().as_bytes(),
        value.as_bytes(),
    ]))
}

/// A session of a signed-in user, as it was when it was read. Cheap to clone.
///
/// It shows who the user is and when things end; tokens come from [`Auth`](crate::Auth) and from
/// [`AuthenticatedClient`](crate::client::AuthenticatedClient), which refresh them first.
///
/// # Example
///
/// ```
/// use auth_core::session::Session;
///
/// fn greeting(session: &Session) -> String {
///     let name = session.claims().name().unwrap_or(session.subject());
///     let minutes = session.expires_at().since(session.created_at()).as_secs() / 60;
///     format!("Hello {name}, signed in for {minutes} minutes at the most")
/// }
/// ```
#[derive(Clone)]
pub struct Session {
    pub(crate) key: SessionKey,
    pub(crate) record: Arc<Record>,
    pub(crate) data: Arc<SessionData>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("key", &self.key)
            .field("issuer", &self.data.issuer)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Names the session in the store. It lets nobody in, so it may be shown to the user and given to background
    /// jobs ([`Auth::session`](crate::Auth::session) finds the session again).
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The provider that the user signed in with. For a plain OAuth 2.0 provider this is its token endpoint.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.data.issuer
    }

    /// The [name](crate::AuthBuilder::provider) of the provider that the user signed in with; `None` of the one that has none.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.data.provider.as_deref()
    }

    /// The public origin of the app that the user signed in at, `https://acme.app.example`, where the app has
    /// [several](crate::AuthBuilder::further_base_url): the session is good there alone. `None` where the app had a single one when
    /// the user signed in: the session is good at the first.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.data.origin.as_deref()
    }

    /// The user's identifier at the provider, unique together with the issuer (OpenID Connect Core §5.7). Empty
    /// where a plain OAuth 2.0 provider does not say who the user is.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.data.subject
    }

    /// The session's identifier at the provider (`sid`), where it names one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.data.sid.as_deref()
    }

    /// What is known of the user: the claims of the latest ID token, and userinfo's where the first ID token had none. What
    /// the [sign-in hook](crate::AuthBuilder::on_sign_in) has changed stays so.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.data.claims
    }

    /// What the [sign-in hook](crate::AuthBuilder::on_sign_in) kept for the app ([`SignIn::set_app`]). Where it kept nothing, an
    /// `Option` is `None`.
    ///
    /// ```
    /// # use auth_core::session::Session;
    /// #[derive(serde::Deserialize)]
    /// struct Account { plan: String }
    ///
    /// fn plan(session: &Session) -> Result<String, serde_json::Error> {
    ///     let account: Option<Account> = session.app()?;
    ///     Ok(account.map_or("free".to_owned(), |account| account.plan))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Where it is not a `T`: a session may be older than the type.
    pub fn app<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.data.app)
    }

    /// The scopes that were granted (RFC 6749 §3.3): those that were asked for where the provider does not say.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.data.tokens.scopes
    }

    /// What the access token is good for in detail, as the provider has granted it (`authorization_details`, RFC 9396 §7): an
    /// object each, with a `type`. Empty where nothing was granted so. A refresh may bring others.
    #[must_use]
    pub fn authorization_details(&self) -> &[Value] {
        &self.data.tokens.authorization_details
    }

    /// When the access token dies; `None` where the provider does not say or it was revoked.
    #[must_use]
    pub fn access_token_expires_at(&self) -> Option<Timestamp> {
        self.data
            .tokens
            .access
            .as_ref()
            .and(self.data.tokens.access_expires_at)
    }

    /// Whether there is a refresh token. Without one the session ends with its access token.
    #[must_use]
    pub fn is_refreshable(&self) -> bool {
        self.data.tokens.refresh.is_some()
    }

    /// How often the tokens were refreshed since the user signed in.
    #[must_use]
    pub fn refresh_count(&self) -> u64 {
        self.data.refreshes
    }

    /// When the tokens were last refreshed; `None` where they never were.
    #[must_use]
    pub fn refreshed_at(&self) -> Option<Timestamp> {
        self.data.refreshed_at
    }

    /// When the user signed in here.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.record.created_at
    }

    /// When the session ends: the earlier of its idle and its absolute end.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.record.expires_at
    }

    /// When the provider last saw the user prove who they are (`auth_time`), where it says so; a refreshed ID token may say
    /// it anew.
    #[must_use]
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.data.auth_time
    }

    /// How the user was authenticated: the ID token's `acr` (OpenID Connect Core §2), where it has one. It is what the
    /// provider said, whatever the sign-in hook made of the claims.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.data.acr.as_deref()
    }
}

/// Claims about a user, by name.
///
/// Cheap to clone. It does not implement `Deserialize`: claims come from a provider.
///
/// # Example
///
/// ```
/// use auth_core::session::Claims;
///
/// #[derive(serde::Deserialize)]
/// struct Employee { department: String }
///
/// fn may_approve(claims: &Claims) -> Result<bool, serde_json::Error> {
///     let employee: Employee = claims.to()?;
///     Ok(claims.has_role("approver") && claims.email_verified() && employee.department == "Finance")
/// }
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Claims(Arc<Map<String, Value>>);

impl Serialize for Claims {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl From<Map<String, Value>> for Claims {
    fn from(claims: Map<String, Value>) -> Self {
        Self(Arc::new(claims))
    }
}

fn read_claims<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Claims, D::Error> {
    Map::deserialize(from).map(Claims::from)
}

/// A type that an extractor can make of a user's claims: [`Claims`] itself, or any type with `Deserialize`.
pub trait FromClaims: Sized {
    /// Makes the value.
    ///
    /// # Errors
    ///
    /// Where the claims do not fit.
    fn from_claims(claims: &Claims) -> Result<Self, serde_json::Error>;
}

impl FromClaims for Claims {
    fn from_claims(claims: &Claims) -> Result<Self, serde_json::Error> {
        Ok(claims.clone())
    }
}

impl<T: DeserializeOwned> FromClaims for T {
    fn from_claims(claims: &Claims) -> Result<Self, serde_json::Error> {
        claims.to()
    }
}

impl fmt::Debug for Claims {
    /// Names only: the values are personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Claims {
    /// The claim's value; `None` where there is no such claim.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The claim's value, where it is a string.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// `sub`, the user's identifier at the provider (OpenID Connect Core §5.7).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.str("sub")
    }

    /// `name`, the full name for display (OpenID Connect Core §5.1).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.str("name")
    }

    /// `given_name`, the first names (OpenID Connect Core §5.1).
    #[must_use]
    pub fn given_name(&self) -> Option<&str> {
        self.str("given_name")
    }

    /// `family_name`, the last names (OpenID Connect Core §5.1).
    #[must_use]
    pub fn family_name(&self) -> Option<&str> {
        self.str("family_name")
    }

    /// `preferred_username`. It is no identifier: it may change, and belong to someone else tomorrow.
    #[must_use]
    pub fn preferred_username(&self) -> Option<&str> {
        self.str("preferred_username")
    }

    /// `email`. It is no identifier; see [`email_verified`](Self::email_verified).
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.str("email")
    }

    /// Whether `email_verified` is true, which some providers send as a string. `false` where the claim is missing.
    #[must_use]
    pub fn email_verified(&self) -> bool {
        match self.get("email_verified") {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }

    /// Whether the user has this role: the claim `roles`, an array of strings, or one string, which is compared whole. Where
    /// the provider puts roles elsewhere, [`roles_claims`](crate::AuthBuilder::roles_claims) makes that claim of them.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.contains("roles", role)
    }

    /// Whether the claim is this string, or an array that holds it.
    #[must_use]
    pub fn contains(&self, name: &str, value: &str) -> bool {
        match self.get(name) {
            Some(Value::String(text)) => text == value,
            Some(Value::Array(values)) => values.iter().any(|held| held.as_str() == Some(value)),
            _ => false,
        }
    }

    /// The claims as a type of the app's own.
    ///
    /// ```
    /// # use auth_core::session::Claims;
    /// #[derive(serde::Deserialize)]
    /// struct Employee {
    ///     sub: String,
    ///     #[serde(default)]
    ///     department: Option<String>,
    /// }
    /// # let claims: Claims = serde_json::json!({"sub": "a"}).as_object().cloned().unwrap_or_default().into();
    /// let employee: Employee = claims.to()?;
    /// # assert_eq!(employee.sub, "a");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where they do not fit. The error may name a claim's value: it is about a person, and not for a page.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&*self.0)
    }

    /// All claims but those that say where further ones are to be had (OpenID Connect Core §5.6.2): tokens stand there.
    pub(crate) fn without_sources(&self) -> BTreeMap<&str, &Value> {
        self.iter()
            .filter(|(name, _)| !matches!(*name, "_claim_names" | "_claim_sources"))
            .collect()
    }

    /// All claims, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// A sign-in about to succeed, as the [hook](crate::AuthBuilder::on_sign_in) sees it. Everything in it is verified.
///
/// # Example
///
/// ```
/// use auth_core::{Refused, session::SignIn};
///
/// async fn employees_only(mut sign_in: SignIn) -> Result<SignIn, Refused> {
///     if !sign_in.claims().email_verified() {
///         return Err(Refused::because("the e-mail address is not verified"));
///     }
///     sign_in.set_claim("department", "Finance");
///     Ok(sign_in)
/// }
///
/// let builder = auth_core::Auth::builder().on_sign_in(employees_only);
/// ```
pub struct SignIn {
    pub(crate) origin: String,
    pub(crate) provider: Option<String>,
    pub(crate) issuer: Issuer,
    pub(crate) subject: String,
    pub(crate) claims: Claims,
    pub(crate) id_token_claims: Option<Claims>,
    pub(crate) userinfo: Option<Claims>,
    pub(crate) token_response: Map<String, Value>,
    pub(crate) access_token: AccessToken,
    pub(crate) scopes: Scopes,
    /// The names that [`keep_claims`](Self::keep_claims) was given.
    pub(crate) kept: Option<Vec<String>>,
    pub(crate) app: Value,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("issuer", &self.issuer)
            .field("claims", &self.claims)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl SignIn {
    /// The provider. For a plain OAuth 2.0 provider this is its token endpoint.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The [name](crate::AuthBuilder::provider) of the provider; `None` of the one that has none.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// The public origin of the app that the user signs in at, `https://acme.app.example`: of
    /// [several](crate::AuthBuilder::further_base_url) the one that the sign-in began at.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The user's identifier at the provider.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The claims that the session will keep.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The ID token's own claims, with roles where [the provider puts them](crate::AuthBuilder::roles_claims); `None` with a
    /// plain OAuth 2.0 provider.
    #[must_use]
    pub fn id_token_claims(&self) -> Option<&Claims> {
        self.id_token_claims.as_ref()
    }

    /// The userinfo endpoint's answer, where it was asked and answered.
    #[must_use]
    pub fn userinfo(&self) -> Option<&Claims> {
        self.userinfo.as_ref()
    }

    /// The members of the token response other than the tokens, `token_type`, `expires_in` and `scope`.
    #[must_use]
    pub fn token_response(&self) -> &Map<String, Value> {
        &self.token_response
    }

    /// The access token, for a call that decides whether the user may come in.
    #[must_use]
    pub fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    /// The scopes that were granted.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Sets a claim that the session will keep. `iss` and `sub` stay what the provider says. A claim that is set to another
    /// value than the ID token's stays as it is set; the others become what a refreshed ID token says.
    pub fn set_claim(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        Arc::make_mut(&mut self.claims.0).insert(name.into(), value.into());
    }

    /// Keeps no other claims than these, `iss` and `sub`; nor does a refreshed ID token bring others. Called again, those are kept
    /// that both lists have.
    pub fn keep_claims<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let mut names: Vec<&str> = names.into_iter().collect();
        if let Some(kept) = &self.kept {
            names.retain(|name| kept.iter().any(|one| one == name));
        }
        self.kept = Some(names.iter().map(|name| (*name).to_owned()).collect());
        Arc::make_mut(&mut self.claims.0)
            .retain(|name, _| names.contains(&name.as_str()) || name == "iss" || name == "sub");
    }

    /// Sets or removes a claim that the app has no say in.
    pub(crate) fn restore_claim(&mut self, name: &str, value: Option<&Value>) {
        let claims = Arc::make_mut(&mut self.claims.0);
        match value {
            Some(value) => drop(claims.insert(name.to_owned(), value.clone())),
            None => drop(claims.remove(name)),
        }
    }

    /// Keeps a value of the app's own with the session, sealed as its tokens are; [`Session::app`] gives it back. Called again, the
    /// last one counts.
    ///
    /// ```
    /// # use auth_core::{Refused, session::SignIn};
    /// async fn with_account(mut sign_in: SignIn) -> Result<SignIn, Refused> {
    ///     let account = serde_json::json!({"plan": "gold"});
    ///     sign_in.set_app(&account).map_err(|error| Refused::because(error.to_string()))?;
    ///     Ok(sign_in)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Where the value cannot be written as JSON.
    pub fn set_app<T: Serialize>(&mut self, value: &T) -> Result<(), serde_json::Error> {
        self.app = serde_json::to_value(value)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        value.as_object().cloned().expect("an object").into()
    }

    #[test]
    fn a_role_is_compared_whole() {
        assert!(claims(json!({"roles": ["user", "admin"]})).has_role("admin"));
        assert!(claims(json!({"roles": "admin"})).has_role("admin"));
        for other in [
            json!("admin user"),
            json!("administrator"),
            json!(["Admin", ["admin"]]),
            json!({"admin": true}),
            json!(null),
        ] {
            assert!(!claims(json!({"roles": other})).has_role("admin"), "{other}");
        }
        assert!(!claims(json!({})).has_role("admin"));
    }

    #[test]
    fn index_keys_do_not_run_together() {
        let a = Issuer::new("https://a.example/x").expect("an issuer");
        let b = Issuer::new("https://a.example/").expect("an issuer");
        assert_ne!(index_key(b"sub", &a, "y"), index_key(b"sub", &b, "xy"));
        assert_ne!(index_key(b"sub", &a, "y"), index_key(b"sid", &a, "y"));
    }

    #[test]
    fn debug_of_claims_shows_names_only() {
        assert_eq!(format!("{:?}", claims(json!({"email": "a@b"}))), r#"{"email"}"#);
    }
}
