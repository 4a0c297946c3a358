//! A user's sessions as a list: where they are signed in, and how to end that.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::auth::{Auth, Core};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::events::EndReason;
use crate::refresh::{Freshness, RefreshError};
use crate::session::{Session, index_key};
use crate::store::{IndexKey, Record, SessionKey, StoreError};
use crate::types::Issuer;

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
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Names the session. It lets nobody in.
    pub id: SessionKey,
    /// When the user signed in.
    #[serde(serialize_with = "secs")]
    pub created_at: Timestamp,
    /// When the session was last used, to a thirty-second of the idle time.
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
    /// The sessions of the user whose session this is, the one used last in front; 1,000 at most.
    ///
    /// Where a plain OAuth 2.0 provider does not say who the user is, it is this session alone.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn sessions_of_user(&self, session: &Session) -> Result<Vec<SessionInfo>, Error> {
        let core = self.core();
        let now = self.now();
        let found = core.store.find_by_subject(&session.record.subject, now).await?;
        let mut sessions: Vec<SessionInfo> = found
            .into_iter()
            .filter_map(|(key, record)| core.view(&key, record))
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
    /// there was such a session; somebody else's is none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn end_session_of_user(&self, session: &Session, id: &SessionKey) -> Result<bool, Error> {
        let Some(record) = self.core().store.load(id, self.now()).await? else {
            return Ok(false);
        };
        if record.subject != session.record.subject {
            return Ok(false);
        }
        self.to_its_end(vec![(*id, record)], EndReason::EndedByUser)
            .await?;
        Ok(true)
    }

    /// Ends all other sessions of the user whose session this is, revokes their tokens in the background, and says how
    /// many there were.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; some sessions may have ended then.
    pub async fn end_other_sessions(&self, session: &Session) -> Result<usize, Error> {
        let (subject, this) = (&session.record.subject, session.key);
        self.end_where(subject, |key| *key != this, EndReason::EndedByUser)
            .await
    }

    /// Ends all sessions of a user, wherever they are signed in, sign-ins under way included: for an operator, or for
    /// code that learns that an account was closed. Says how many there were.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; some sessions may have ended then.
    pub async fn end_sessions_of(&self, issuer: &Issuer, subject: &str) -> Result<usize, Error> {
        let subject = index_key(b"sub", issuer, subject);
        self.core().remember_sign_out(&subject).await?;
        self.end_where(&subject, |_| true, EndReason::EndedByApp).await
    }

    async fn end_where(
        &self,
        subject: &IndexKey,
        is_meant: impl Fn(&SessionKey) -> bool,
        reason: EndReason,
    ) -> Result<usize, Error> {
        let mut ended = 0;
        // A search gives a part of very many.
        loop {
            let found = self.core().store.find_by_subject(subject, self.now()).await?;
            let found: Vec<_> = found.into_iter().filter(|(key, _)| is_meant(key)).collect();
            if found.is_empty() {
                return Ok(ended);
            }
            ended += found.len();
            self.to_its_end(found, reason).await?;
        }
    }

    /// Ends these sessions and revokes their tokens, one after the other, whether or not anyone waits for it.
    async fn to_its_end(
        &self,
        found: Vec<(SessionKey, Arc<Record>)>,
        reason: EndReason,
    ) -> Result<(), Error> {
        let core = Arc::clone(self.core());
        self.core()
            .spawn(async move { core.end_found(found, reason).await })
            .await
            .unwrap_or(Err(RefreshError::Interrupted.into()))
    }
}

impl Core {
    async fn end_found(
        self: &Arc<Self>,
        found: Vec<(SessionKey, Arc<Record>)>,
        reason: EndReason,
    ) -> Result<(), Error> {
        let mut failed = None;
        let mut tokens = Vec::new();
        for (key, record) in found {
            match self.end_one(&key, record, reason).await {
                Ok(session) => tokens.extend(session.map(|session| (key, session.data.tokens.clone()))),
                // The others end all the same.
                Err(error) => failed = Some(error),
            }
        }
        self.revoke_all_in_background(tokens);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn end_one(
        &self,
        key: &SessionKey,
        record: Arc<Record>,
        reason: EndReason,
    ) -> Result<Option<Session>, StoreError> {
        let ended = match self.view(key, Arc::clone(&record)) {
            Some(session) => Some(self.remove(session, reason, None).await?),
            // Sealed with a key that is not here: its tokens cannot be seen.
            None => {
                if self.store.delete(key, None, self.clock.now()).await? {
                    self.tell_end_of_record(key, &record, reason, None);
                }
                None
            }
        };
        tracing::info!(session = ?key, "the session was ended");
        Ok(ended)
    }
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
