//! Sign-outs that the provider tells of: OpenID Connect Back-Channel Logout 1.0 and Front-Channel Logout 1.0.
//!
//! Which instance is told does not matter: what ends is in the store. A sign-in that is under way meanwhile must not
//! outlive the sign-out that it belongs to. So a sign-out is written down first and looked for afterwards, and a sign-in
//! is put in first and looks for sign-outs afterwards: whichever comes second sees the other. So it is with a refresh
//! that brings another `sid`.
//!
//! A sign-out ends the sign-ins that began before it, and not those that began afterwards. When that was is said by the
//! clocks of two instances, and no tolerance is right for both: an instance whose clock is behind can miss what began on
//! another one less than the difference before the sign-out.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;

use crate::auth::Core;
use crate::cache::Word;
use crate::clock::Timestamp;
use crate::config::{ATTEMPT_LIFETIME, CLOCK_TOLERANCE};
use crate::error::Error;
use crate::events::EndReason;
use crate::jose;
use crate::logout_token::{self, Expected, LogoutToken, LogoutTokenError, OLDEST};
use crate::metadata::ProviderError;
use crate::party::Party;
use crate::request::RouteRequest;
use crate::secret::sha256;
use crate::session::{Session, index_key};
use crate::store::{IndexKey, OnceKey, Record, SessionKey, StoreError};
use crate::types::Issuer;

/// How long a sign-out is remembered: a sign-in may take [`ATTEMPT_LIFETIME`] to the callback, and what follows there
/// waits for the provider and for the app's hook.
pub(crate) const REMEMBERED: Duration = ATTEMPT_LIFETIME.saturating_mul(2);
/// A search gives no more than this.
const FOUND_AT_ONCE: usize = 1_000;
/// How many sessions are deleted at the same time.
const AT_ONCE: usize = 16;

/// Whose sessions have ended at the provider.
enum Whom {
    /// Those of one session at the provider.
    Session(IndexKey),
    /// All of a user.
    User(IndexKey),
    /// Those of one session at the provider, and those of its user of which the provider has not said to which session
    /// they belong. What is another user's stays.
    SessionOfUser { sid: IndexKey, subject: IndexKey },
}

/// Where sessions are looked for.
enum Index {
    Sid(IndexKey),
    Subject(IndexKey),
}

impl Index {
    fn names(&self, record: &Record) -> bool {
        match self {
            Self::Sid(sid) => record.sid.as_ref() == Some(sid),
            Self::Subject(subject) => record.subject == *subject,
        }
    }
}

/// Why a back-channel logout was not carried out.
pub(crate) enum Refusal {
    /// The token is not good.
    Token(LogoutTokenError),
    /// That cannot be said, or nothing can be done about it, at present.
    NotNow(Error),
}

impl From<LogoutTokenError> for Refusal {
    fn from(error: LogoutTokenError) -> Self {
        Self::Token(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::NotNow(error.into())
    }
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Self::NotNow(error.into())
    }
}

impl Core {
    /// Ends the sessions that the logout token of the request names.
    pub(crate) async fn backchannel_logout(&self, request: &RouteRequest) -> Result<(), Refusal> {
        let parameters = request.form_parameters();
        if parameters.repeats(&["logout_token"]) {
            return Err(LogoutTokenError::Malformed.into());
        }
        let token = parameters
            .get("logout_token")
            .ok_or(LogoutTokenError::Malformed)?;
        let party = self.party_of_logout_token(request, token).await?;
        let token = self.verify_logout_token(&party, token).await?;

        let now = self.clock.now();
        let issuer = party.issuer.clone();
        let id = once(b"logout token\0", &index_key(b"jti", &issuer, &token.id));
        if self.store.claimed_until(&id, now).await?.is_some() {
            return Err(LogoutTokenError::Replayed.into());
        }
        let subject = token.subject.map(|subject| index_key(b"sub", &issuer, &subject));
        let sid = token.sid.map(|sid| index_key(b"sid", &issuer, &sid));
        let whom = match (sid, subject) {
            (Some(sid), Some(subject)) => Whom::SessionOfUser { sid, subject },
            (Some(sid), None) => Whom::Session(sid),
            (None, Some(subject)) => Whom::User(subject),
            (None, None) => return Err(LogoutTokenError::SubjectInvalid.into()),
        };
        self.end_at_provider(&whom, EndReason::BackChannelLogout).await?;
        // Last: a token that could not be carried out is sent again, and has to be good then. Of two that come at the
        // same time one is refused, when both have done their work.
        let until = now.plus(OLDEST + 2 * CLOCK_TOLERANCE);
        match self.store.claim_once(&id, until, now).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LogoutTokenError::Replayed.into()),
            // It may be remembered all the same, and would not be good when it comes again. What it says is done.
            Err(error) => match self.store.claimed_until(&id, now).await {
                Ok(Some(_)) => Ok(()),
                _ => Err(error.into()),
            },
        }
    }

    /// The provider that a logout token is to be verified as the token of: the one that the address names (`?provider=<name>`),
    /// or the one that the token says it is from. Of several registrations at one provider it is the one that the token is for.
    async fn party_of_logout_token(
        &self,
        request: &RouteRequest,
        token: &str,
    ) -> Result<Arc<Party>, Refusal> {
        let meant = match self.named_in(request).await {
            Some(Ok(party)) => Some(party),
            Some(Err(ProviderError::Unknown)) => None,
            Some(Err(error)) => return Err(error.into()),
            None => {
                let claims = logout_token::unverified_claims(&self.readable(token))?;
                let issuer = claims.get("iss").and_then(Value::as_str);
                let parties = self.config.parties.with_issuer(issuer.unwrap_or_default());
                let audience = claims.get("aud").and_then(jose::audience).unwrap_or_default();
                let is_meant = |party: &&Arc<Party>| audience.contains(&party.registration.client_id);
                let meant = parties.iter().find(is_meant).or_else(|| parties.first());
                meant.cloned()
            }
        };
        // A plain OAuth 2.0 provider issues no such tokens.
        let meant = meant.filter(|party| party.provider.is_openid());
        Ok(meant.ok_or(LogoutTokenError::IssuerMismatch)?)
    }

    /// An encrypted token, decrypted with the keys of whichever provider it was made out to, and any other as it is.
    pub(crate) fn readable<'t>(&self, token: &'t str) -> Cow<'t, str> {
        if !jose::is_encrypted(token) {
            return Cow::Borrowed(token);
        }
        let mut parties = self.config.parties.all_at_hand();
        let decrypted = parties.find_map(|party| match party.registration.decrypted(token) {
            Cow::Owned(decrypted) => Some(decrypted),
            Cow::Borrowed(_) => None,
        });
        decrypted.map_or(Cow::Borrowed(token), Cow::Owned)
    }

    /// The provider that the request's address names.
    async fn named_in(&self, request: &RouteRequest) -> Option<Result<Arc<Party>, ProviderError>> {
        let parameters = request.query_parameters();
        let name = parameters.get("provider")?;
        Some(self.config.parties.of(Some(name)).await)
    }

    async fn verify_logout_token(&self, party: &Party, token: &str) -> Result<LogoutToken, Refusal> {
        let now = self.clock.now();
        let metadata = party.provider.metadata(now).await?;
        let expected = Expected {
            issuer: metadata.issuer.as_str(),
            client_id: &party.registration.client_id,
            algorithms: party.algorithms(&metadata),
            tolerance: CLOCK_TOLERANCE,
        };
        let decrypted = party.registration.decrypted(token);
        let token = decrypted.as_ref();
        let keys = party.provider.keys(&metadata, now).await?;
        match logout_token::verify(token, &keys, &expected, now) {
            Err(LogoutTokenError::UnknownKey) => {
                match (party.provider).keys_again(Word::OfAnybody, &metadata, now).await {
                    Some(keys) => Ok(logout_token::verify(token, &*keys?, &expected, now)?),
                    // Fetched less than 30 seconds ago, and no such key. It may have been published since then, but a provider
                    // publishes a key before it uses it, and names that are made up come by the thousand: 400, as for any
                    // token that nothing shows to be the provider's (§2.8), and not 503, which asks for it again.
                    None => Err(LogoutTokenError::UnknownKey.into()),
                }
            }
            verified => Ok(verified?),
        }
    }

    /// Ends the sessions that `iss` and `sid` of the request name, and says whose they are. `None` where they are not there, or not ours.
    pub(crate) async fn frontchannel_logout(&self, request: &RouteRequest) -> Option<Result<Issuer, Error>> {
        let parameters = request.query_parameters();
        if parameters.repeats(&["iss", "sid"]) {
            return None;
        }
        let (iss, sid) = (parameters.get("iss")?, parameters.get("sid")?);
        let party = match self.named_in(request).await {
            Some(Ok(party)) => party,
            Some(Err(ProviderError::Unknown)) => return None,
            Some(Err(error)) => return Some(Err(error.into())),
            None => self.config.parties.with_issuer(iss).into_iter().next()?,
        };
        let issuer = party.issuer.clone();
        if !party.provider.is_openid() || issuer.as_str() != iss {
            return None;
        }
        let sid = index_key(b"sid", &issuer, sid);
        let ended = self.end_in_front(sid).await;
        Some(ended.map(|()| issuer).map_err(Error::from))
    }

    /// Anybody can send this, with any `sid`: only a sign-out that ends something is written down.
    async fn end_in_front(&self, sid: IndexKey) -> Result<(), StoreError> {
        if self.find(&Index::Sid(sid)).await?.is_empty() {
            return Ok(());
        }
        self.end_at_provider(&Whom::Session(sid), EndReason::FrontChannelLogout)
            .await
    }

    /// Writes the sign-out down, then ends the sessions that are there.
    async fn end_at_provider(&self, whom: &Whom, reason: EndReason) -> Result<(), StoreError> {
        self.remember(&whom.remembered_by(), reason).await?;
        let ended = match whom {
            Whom::Session(sid) => self.end_all(&Index::Sid(*sid), |_| true, reason).await?,
            Whom::User(subject) => self.end_all(&Index::Subject(*subject), |_| true, reason).await?,
            Whom::SessionOfUser { sid, subject } => {
                let of_sid = self
                    .end_all(&Index::Sid(*sid), |record| record.subject == *subject, reason)
                    .await;
                let unnamed = self
                    .end_all(&Index::Subject(*subject), |record| record.sid.is_none(), reason)
                    .await;
                of_sid? + unnamed?
            }
        };
        tracing::info!(sessions = ended, "the provider has signed a user out");
        Ok(())
    }

    /// Remembers that all of a user's sessions have ended, for sign-ins that are under way.
    pub(crate) async fn remember_sign_out(&self, subject: &IndexKey) -> Result<(), StoreError> {
        self.remember(&[once(USER, subject)], EndReason::EndedByApp).await
    }

    /// The same of all sessions of an issuer, or of all there are.
    pub(crate) async fn remember_sign_out_of_all(&self, issuer: Option<&Issuer>) -> Result<(), StoreError> {
        let whom = issuer.map_or_else(everybody, everybody_of);
        self.remember(&[whom], EndReason::EndedByApp).await
    }

    async fn remember(&self, sign_outs: &[OnceKey], reason: EndReason) -> Result<(), StoreError> {
        let now = self.clock.now();
        let until = now.plus(REMEMBERED);
        for key in sign_outs {
            // First: whoever sees the sign-out finds out why.
            if let Some(why) = because(key, reason) {
                self.store.prolong_claim(&why, until, now).await?;
            }
            self.store.prolong_claim(key, until, now).await?;
        }
        Ok(())
    }

    async fn end_all(
        &self,
        of: &Index,
        is_meant: impl Fn(&Record) -> bool,
        reason: EndReason,
    ) -> Result<usize, StoreError> {
        let mut ended = 0;
        loop {
            let found = self.find(of).await?;
            let was_full = found.len() >= FOUND_AT_ONCE;
            let meant: Vec<_> = found.into_iter().filter(|(_, record)| is_meant(record)).collect();
            ended += self.delete_all(&meant, reason).await?;
            if !was_full {
                return Ok(ended);
            }
            if meant.is_empty() {
                // A search gives a part of very many, and would give these again.
                return Ok(ended
                    + self
                        .end_in_walk(|record| of.names(record) && is_meant(record), reason)
                        .await?);
            }
        }
    }

    async fn end_in_walk(
        &self,
        is_meant: impl Fn(&Record) -> bool,
        reason: EndReason,
    ) -> Result<usize, StoreError> {
        let (mut ended, mut from) = (0, None);
        loop {
            let page = self.store.scan(from.as_ref(), self.clock.now()).await?;
            let meant = page.sessions.into_iter().filter(|(_, record)| is_meant(record));
            ended += self.delete_all(&meant.collect::<Vec<_>>(), reason).await?;
            from = page.next;
            if from.is_none() {
                return Ok(ended);
            }
        }
    }

    async fn delete_all(
        &self,
        sessions: &[(SessionKey, Arc<Record>)],
        reason: EndReason,
    ) -> Result<usize, StoreError> {
        let mut failed = None;
        for some in sessions.chunks(AT_ONCE) {
            let now = self.clock.now();
            // Whatever version it has by now: what a refresh has just brought goes as well.
            let deleted = join_all(some.iter().map(|(key, _)| self.delete(key, None, now))).await;
            for ((key, record), was_there) in some.iter().zip(&deleted) {
                if let Ok(true) = was_there {
                    self.tell_end_of_record(key, record, reason, None);
                }
            }
            // One that fails does not keep the others.
            failed = deleted.into_iter().find_map(Result::err).or(failed);
        }
        failed.map_or(Ok(sessions.len()), Err)
    }

    async fn find(&self, of: &Index) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        let now = self.clock.now();
        match of {
            Index::Sid(sid) => self.store.find_by_sid(sid, now).await,
            Index::Subject(subject) => self.store.find_by_subject(subject, now).await,
        }
    }

    /// The session, if a refresh has not moved it to a session at the provider (`sid`) that has ended there meanwhile.
    pub(crate) async fn confirm(&self, session: Session) -> Result<Option<Session>, StoreError> {
        let now = self.clock.now();
        let Some(moved_at) = session.data.moved_at.filter(|at| now.since(*at) < REMEMBERED) else {
            return Ok(Some(session));
        };
        let issuer = &session.data.issuer;
        let Some(reason) = self.signed_out_since(issuer, &session.record, moved_at).await? else {
            return Ok(Some(session));
        };
        if self.delete(&session.key, None, now).await? {
            self.tell_end(&session, reason, None);
        }
        tracing::info!(session = ?session.key, %reason, "the user was signed out while the session was refreshed");
        Ok(None)
    }

    /// How the provider, or an operator, has signed the user out of this session since then, if so: to be asked when its
    /// record is in the store.
    pub(crate) async fn signed_out_since(
        &self,
        issuer: &Issuer,
        record: &Record,
        began_at: Timestamp,
    ) -> Result<Option<EndReason>, StoreError> {
        let now = self.clock.now();
        let keys = signed_out_as(issuer, record);
        let ends = try_join_all(keys.iter().map(|key| self.store.claimed_until(key, now))).await?;
        let mut sign_outs = keys.iter().zip(ends);
        let Some((key, Some(until))) =
            sign_outs.find(|(_, until)| until.is_some_and(|until| until.minus(REMEMBERED) >= began_at))
        else {
            return Ok(None);
        };
        for reason in [EndReason::EndedByApp, EndReason::FrontChannelLogout] {
            if let Some(why) = because(key, reason)
                && self.store.claimed_until(&why, now).await? == Some(until)
            {
                return Ok(Some(reason));
            }
        }
        Ok(Some(EndReason::BackChannelLogout))
    }
}

/// As what the sign-out of everybody is remembered.
fn everybody() -> OnceKey {
    OnceKey::from_bytes(sha256(&[b"everybody is signed out\0"]))
}

fn everybody_of(issuer: &Issuer) -> OnceKey {
    once(
        b"everybody of an issuer is signed out\0",
        &index_key(b"iss", issuer, ""),
    )
}

fn once(kind: &[u8], index: &IndexKey) -> OnceKey {
    OnceKey::from_bytes(sha256(&[kind, index.as_bytes()]))
}

/// Under what a sign-out is remembered. For a session of a user both are in one name: a sign-out of somebody else's
/// session of that `sid` is none of this one.
const SID: &[u8] = b"signed out of session\0";
const USER: &[u8] = b"signed out everywhere\0";
const UNNAMED: &[u8] = b"signed out of unnamed sessions\0";

impl Whom {
    fn remembered_by(&self) -> Vec<OnceKey> {
        match self {
            Self::Session(sid) => vec![once(SID, sid)],
            Self::User(subject) => vec![once(USER, subject)],
            Self::SessionOfUser { sid, subject } => vec![of_both(sid, subject), once(UNNAMED, subject)],
        }
    }
}

/// Under what it is remembered why there was a sign-out: for as long as the last one of that reason is. Most are the
/// provider's own word, for which there is nothing.
fn because(sign_out: &OnceKey, reason: EndReason) -> Option<OnceKey> {
    (reason != EndReason::BackChannelLogout).then(|| {
        let reason = sha256(&[reason.as_str().as_bytes()]);
        OnceKey::from_bytes(sha256(&[b"why signed out\0", sign_out.as_bytes(), &reason]))
    })
}

/// The sign-outs that concern a session.
fn signed_out_as(issuer: &Issuer, record: &Record) -> Vec<OnceKey> {
    let mut keys = vec![everybody(), everybody_of(issuer), once(USER, &record.subject)];
    match &record.sid {
        Some(sid) => keys.extend([once(SID, sid), of_both(sid, &record.subject)]),
        None => keys.push(once(UNNAMED, &record.subject)),
    }
    keys
}

fn of_both(sid: &IndexKey, subject: &IndexKey) -> OnceKey {
    OnceKey::from_bytes(sha256(&[
        b"signed out of session of user\0",
        sid.as_bytes(),
        subject.as_bytes(),
    ]))
}
