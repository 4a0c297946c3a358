//! A user's sessions as a list: where they are signed in, and how to end that.
//!
//! For the page "where you are signed in" ([`Auth::sessions_of_user`], [`Auth::end_session_of_user`],
//! [`Auth::end_other_sessions`]), and for whoever supports users ([`Auth::end_sessions_of`], [`Auth::end_all_sessions`]). The list
//! comes from the store, so it has the sessions of all instances. What ends a session here deletes its record first, and then has
//! its tokens revoked (RFC 7009) in the background.

use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use serde::Serialize;

use crate::auth::{Auth, Core, Removed};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::events::EndReason;
use crate::logout::Leftover;
use crate::refresh::{Freshness, RefreshError};
use crate::session::{Session, index_key};
use crate::store::{IndexKey, Record, SessionKey, StoreError};
use crate::types::Issuer;

/// How many sessions are ended at the same time.
const AT_ONCE: usize = 16;
/// Of how many sessions the tokens are revoked that are ended at once: they wait in memory for their turn.
const REVOKED_AT_MOST: usize = 10_000;
/// The longest `User-Agent` that is kept, in characters.
const AGENT_MAX: usize = 256;

/// A `User-Agent` as it is kept: of readable length, without characters that are not seen or that turn others round.
pub(crate) fn agent(header: &str) -> Option<String> {
    let is_seen = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let agent: String = header.chars().filter(is_seen).take(AGENT_MAX).collect();
    Some(agent.trim().to_owned()).filter(|agent| !agent.is_empty())
}

/// One of a user's sessions, as [`Auth::sessions_of_user`] lists them.
///
/// As JSON, `created_at`, `last_seen_at` and `expires_at` are whole seconds since 1970-01-01T00:00:00Z.
///
/// # Example
///
/// ```no_run
/// # async fn example(auth: auth_core::Auth, session: auth_core::session::Session) -> Result<(), auth_core::Error> {
/// for other in auth.sessions_of_user(&session).await? {
///     let browser = other.user_agent.as_deref().unwrap_or("an unknown browser");
///     println!("{browser}, since {}", other.created_at.as_secs());
///     if !other.current {
///         auth.end_session_of_user(&session, &other.id).await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Names the session. It lets nobody in.
    pub id: SessionKey,
    /// When the user signed in.
    #[serde(serialize_with = "secs")]
    pub created_at: Timestamp,
    /// When the session was last used. It may have been used later, by up to 1/32 of the
    /// [idle time](crate::AuthBuilder::session_idle): a quarter of an hour where that is 8 hours.
    #[serde(serialize_with = "secs")]
    pub last_seen_at: Timestamp,
    /// When the session ends if it is not used any more.
    #[serde(serialize_with = "secs")]
    pub expires_at: Timestamp,
    /// What the browser called itself at sign-in (`User-Agent`): its own words, 256 characters at most.
    pub user_agent: Option<String>,
    /// The address that the sign-in came from, where the adapter knows it: axum does with
    /// `into_make_service_with_connect_info::<SocketAddr>()`, actix-web always.
    pub address: Option<String>,
    /// Whether it is the session that asks.
    pub current: bool,
}

/// Without browser and address, which are personal.
impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("last_seen_at", &self.last_seen_at)
            .field("expires_at", &self.expires_at)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

fn secs<S: serde::Serializer>(instant: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(instant.as_secs())
}

impl Auth {
    /// The sessions of the user whose session this is, the one used last in front; 1,000 at most. Of an app with
    /// [several origins](crate::AuthBuilder::further_base_url), those at this session's own: at another, the user is somebody else.
    ///
    /// Where a plain OAuth 2.0 provider does not say who the user is, it is this session alone.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store does not answer.
    pub async fn sessions_of_user(&self, session: &Session) -> Result<Vec<SessionInfo>, Error> {
        let core = self.core();
        let now = self.now();
        let found = core.store.find_by_subject(&session.record.subject, now).await?;
        let mut sessions: Vec<SessionInfo> = found
            .into_iter()
            .filter_map(|(key, record)| core.view(&key, record))
            .filter(|found| core.are_at_one_origin(found, session))
            .filter(|found| {
                let is_over =
                    found.data.freshness(now) == Freshness::Dead && found.data.tokens.refresh.is_none();
                !is_over && found.data.last_end() > now
            })
            .map(|found| SessionInfo::of(&found, session))
            .collect();
        if !sessions.iter().any(|listed| listed.current) {
            // A search gives a part of very many.
            sessions.push(SessionInfo::of(session, session));
        }
        sessions.sort_by_key(|listed| (std::cmp::Reverse(listed.last_seen_at), listed.id));
        Ok(sessions)
    }

    /// Ends one session of the user whose session this is, and revokes its tokens in the background. Says whether
    /// there was such a session; somebody else's is none, nor is one at another
    /// [origin](crate::AuthBuilder::further_base_url), or one that has ended otherwise meanwhile or has gone on under another
    /// identifier ([`switch`](Self::switch)).
    ///
    /// Once it has begun to end it does, also where the future is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store does not answer; the session may or may not have ended then.
    pub async fn end_session_of_user(&self, session: &Session, id: &SessionKey) -> Result<bool, Error> {
        let Some(record) = self.core().store.load(id, self.now()).await? else {
            return Ok(false);
        };
        if record.subject != session.record.subject || self.core().is_elsewhere(id, &record, session) {
            return Ok(false);
        }
        let ended = self
            .to_its_end(vec![(*id, record)], EndReason::EndedByUser)
            .await?;
        Ok(ended == 1)
    }

    /// Ends all other sessions of the user whose session this is, revokes their tokens in the background, and says how
    /// many there were. Those at another [origin](crate::AuthBuilder::further_base_url) stay; of a user who has more than 1,000
    /// there, some here may stay as well.
    ///
    /// Where the future is dropped, those that were found, up to 1,000 at a time, end all the same.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store does not answer; some sessions may have ended then.
    pub async fn end_other_sessions(&self, session: &Session) -> Result<usize, Error> {
        let (core, subject, this) = (self.core(), &session.record.subject, session.key);
        let is_meant =
            |key: &SessionKey, record: &Arc<Record>| *key != this && !core.is_elsewhere(key, record, session);
        self.end_where(subject, is_meant, EndReason::EndedByUser).await
    }

    /// Ends all sessions of a user, wherever they are signed in, at all origins, sign-ins under way included: for an operator, or for
    /// code that learns that an account was closed. Says how many there were.
    ///
    /// Where the future is dropped, those that were found, up to 1,000 at a time, end all the same.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store does not answer; some sessions may have ended then.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(auth: auth_core::Auth, closed_account: &str) -> Result<(), auth_core::Error> {
    /// let ended = auth.end_sessions_of(&auth.issuer(), closed_account).await?;
    /// println!("{ended} sessions have ended");
    /// # Ok(()) }
    /// ```
    pub async fn end_sessions_of(&self, issuer: &Issuer, subject: &str) -> Result<usize, Error> {
        let subject = index_key(b"sub", issuer, subject);
        self.core().remember_sign_out(&subject).await?;
        self.end_where(&subject, |_, _| true, EndReason::EndedByApp).await
    }

    /// Ends all sessions of this issuer's users, sign-ins under way included: for an operator whose provider was broken
    /// into, or is given up. Says how many there were.
    ///
    /// The store is gone through in pages. Tokens are revoked in the background, of the first 10,000 sessions: those of
    /// more are for the provider to end. A session whose [key](crate::SecretKeys) is gone counts as signed out already, and stays
    /// until it expires. It runs to its end whether or not anyone waits for it; who signs in meanwhile may have to once
    /// more.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store does not answer; some sessions may have ended then.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(auth: auth_core::Auth) -> Result<(), auth_core::Error> {
    /// let ended = auth.end_sessions_of_issuer(&auth.issuer()).await?;
    /// println!("{ended} sessions have ended");
    /// # Ok(()) }
    /// ```
    pub async fn end_sessions_of_issuer(&self, issuer: &Issuer) -> Result<usize, Error> {
        self.end_walked(Some(issuer.clone())).await
    }

    /// Ends all sessions there are in the store, sign-ins under way included: everybody has to sign in again. Those go as
    /// well that no key opens. Otherwise as [`end_sessions_of_issuer`](Self::end_sessions_of_issuer).
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store does not answer; some sessions may have ended then.
    pub async fn end_all_sessions(&self) -> Result<usize, Error> {
        self.end_walked(None).await
    }

    async fn end_walked(&self, issuer: Option<Issuer>) -> Result<usize, Error> {
        let core = Arc::clone(self.core());
        self.core()
            .spawn(async move { core.end_all_of(issuer.as_ref()).await })
            .await
            .unwrap_or(Err(RefreshError::Interrupted.into()))
    }

    async fn end_where(
        &self,
        subject: &IndexKey,
        is_meant: impl Fn(&SessionKey, &Arc<Record>) -> bool,
        reason: EndReason,
    ) -> Result<usize, Error> {
        let mut ended = 0;
        // A search gives a part of very many.
        loop {
            let found = self.core().store.find_by_subject(subject, self.now()).await?;
            let found: Vec<_> = found
                .into_iter()
                .filter(|(key, record)| is_meant(key, record))
                .collect();
            if found.is_empty() {
                return Ok(ended);
            }
            ended += self.to_its_end(found, reason).await?;
        }
    }

    /// Ends these sessions and revokes their tokens, one after the other, whether or not anyone waits for it. Says how many
    /// were there still.
    async fn to_its_end(
        &self,
        found: Vec<(SessionKey, Arc<Record>)>,
        reason: EndReason,
    ) -> Result<usize, Error> {
        let core = Arc::clone(self.core());
        self.core()
            .spawn(async move { core.end_found(found, reason).await })
            .await
            .unwrap_or(Err(RefreshError::Interrupted.into()))
    }
}

impl Core {
    /// Whether two sessions were made at the same origin of the app: to what is done at one, those at another are none.
    fn are_at_one_origin(&self, one: &Session, other: &Session) -> bool {
        let origins = &self.config.origins;
        let at = origins.marked(one.data.origin.as_deref());
        at.is_some_and(|at| self.is_good_at(other, at))
    }

    /// Whether a record is known to be of a session at another origin than this one. What no key opens may be at either, and is
    /// the user's: it ends with the others.
    fn is_elsewhere(&self, key: &SessionKey, record: &Arc<Record>, than: &Session) -> bool {
        let session = self.view(key, Arc::clone(record));
        session.is_some_and(|session| !self.are_at_one_origin(&session, than))
    }

    async fn end_found(
        self: &Arc<Self>,
        found: Vec<(SessionKey, Arc<Record>)>,
        reason: EndReason,
    ) -> Result<usize, Error> {
        let Ended { count, tokens, done } = self.end_each(found, reason).await;
        self.revoke_all_in_background(tokens);
        done?;
        Ok(count)
    }

    /// Ends all sessions, or those of an issuer, a page of the store at a time.
    async fn end_all_of(self: &Arc<Self>, issuer: Option<&Issuer>) -> Result<usize, Error> {
        self.remember_sign_out_of_all(issuer).await?;
        let (mut ended, mut tokens) = (0, Vec::new());
        let done = self.end_pages(issuer, &mut ended, &mut tokens).await;
        tracing::info!(
            sessions = ended,
            revoked = tokens.len(),
            complete = done.is_ok(),
            "an operator has ended the sessions of everybody"
        );
        self.revoke_all_in_background(tokens);
        done.map(|()| ended)
    }

    async fn end_pages(
        &self,
        issuer: Option<&Issuer>,
        ended: &mut usize,
        tokens: &mut Vec<Leftover>,
    ) -> Result<(), Error> {
        let mut from = None;
        loop {
            let mut page = self.store.scan(from.as_ref(), self.clock.now()).await?;
            if let Some(issuer) = issuer {
                page.sessions.retain(|(key, record)| {
                    let session = self.view(key, Arc::clone(record));
                    session.is_some_and(|session| session.data.issuer == *issuer)
                });
            }
            let some = self.end_each(page.sessions, EndReason::EndedByApp).await;
            let room = REVOKED_AT_MOST.saturating_sub(tokens.len());
            tokens.extend(some.tokens.into_iter().take(room));
            *ended += some.count;
            some.done?;
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn end_each(&self, found: Vec<(SessionKey, Arc<Record>)>, reason: EndReason) -> Ended {
        let mut all = Ended {
            count: 0,
            tokens: Vec::new(),
            done: Ok(()),
        };
        for some in found.chunks(AT_ONCE) {
            let some = some
                .iter()
                .map(|(key, record)| self.end_one(key, Arc::clone(record), reason));
            for ended in join_all(some).await {
                match ended {
                    Ok((was_there, tokens)) => {
                        all.count += usize::from(was_there);
                        all.tokens.extend(tokens);
                    }
                    // The others end all the same.
                    Err(error) => all.done = Err(error),
                }
            }
        }
        all
    }

    /// Ends a session. Says whether it was there still, and what tokens it had.
    async fn end_one(
        &self,
        key: &SessionKey,
        record: Arc<Record>,
        reason: EndReason,
    ) -> Result<(bool, Option<Leftover>), StoreError> {
        let (was_there, tokens) = match self.view(key, Arc::clone(&record)) {
            Some(session) => {
                let Removed { session, was_there } = self.remove(session, reason, None).await?;
                // One that has gone on under another name has other tokens, and these are none of this one's business.
                let tokens = was_there.then(|| Leftover {
                    session: *key,
                    whose: session.data.issued_by(),
                    tokens: session.data.tokens.clone(),
                });
                (was_there, tokens)
            }
            // Sealed with a key that is not here: its tokens cannot be seen.
            None => {
                let was_there = self.delete(key, None, self.clock.now()).await?;
                if was_there {
                    self.tell_end_of_record(key, &record, reason, None);
                }
                (was_there, None)
            }
        };
        tracing::info!(session = ?key, was_there, "the session was ended");
        Ok((was_there, tokens))
    }
}

/// What has come of ending several sessions.
struct Ended {
    /// How many were there still.
    count: usize,
    /// The tokens that they had.
    tokens: Vec<Leftover>,
    /// The failure, if there was one.
    done: Result<(), StoreError>,
}

impl SessionInfo {
    fn of(found: &Session, asking: &Session) -> Self {
        Self {
            id: found.key,
            created_at: found.record.created_at,
            last_seen_at: found.record.last_seen_at,
            expires_at: found.record.expires_at.min(found.data.last_end()),
            user_agent: found.data.agent.clone(),
            address: found.data.address.clone(),
            current: found.key == asking.key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_kept_at_readable_length() {
        assert_eq!(
            agent("Mozilla/5.0\t(X11)\r\n"),
            Some("Mozilla/5.0(X11)".to_owned())
        );
        assert_eq!(
            agent(&"ä".repeat(1000)).map(|agent| agent.chars().count()),
            Some(256)
        );
        assert_eq!(agent(" \u{7f}\u{202e}"), None);
    }
}
