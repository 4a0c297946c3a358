//! A user's sessions as a list: where they are signed in, and how to end that.

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde::Serialize;

use crate::auth::Auth;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::session::{Session, index_key};
use crate::store::{IndexKey, Record, SessionKey, StoreError};
use crate::types::Issuer;

/// The longest `User-Agent` that is kept, in characters.
const AGENT_MAX: usize = 256;

/// A `User-Agent` as it is kept: of readable length, without control characters.
pub(crate) fn agent(header: &str) -> Option<String> {
    let agent: String = header
        .chars()
        .filter(|c| !c.is_control())
        .take(AGENT_MAX)
        .collect();
    Some(agent.trim().to_owned()).filter(|agent| !agent.is_empty())
}

/// One of a user's sessions, as [`Auth::sessions_of_user`] lists them.
///
/// As JSON, `created_at`, `last_seen_at` and `expires_at` are whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// The address that the sign-in came from, where the adapter knows it.
    pub address: Option<String>,
    /// Whether it is the session that asks.
    pub current: bool,
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
        let found = core
            .store
            .find_by_subject(&session.record.subject, self.now())
            .await?;
        let mut sessions: Vec<SessionInfo> = found
            .into_iter()
            .filter_map(|(key, record)| core.view(&key, record))
            .map(|found| SessionInfo {
                id: found.key,
                created_at: found.record.created_at,
                last_seen_at: found.record.last_seen_at,
                expires_at: found.record.expires_at.min(found.data.last_end()),
                user_agent: found.data.agent.clone(),
                address: found.data.address.clone(),
                current: found.key == session.key,
            })
            .collect();
        sessions.sort_by_key(|session| (std::cmp::Reverse(session.last_seen_at), session.id));
        Ok(sessions)
    }

    /// Ends one session of the user whose session this is, and revokes its tokens in the background. Says whether
    /// there was such a session; somebody else's is none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn end_session_of_user(&self, session: &Session, id: &SessionKey) -> Result<bool, Error> {
        let core = self.core();
        let Some(record) = core.store.load(id, self.now()).await? else {
            return Ok(false);
        };
        if record.subject != session.record.subject {
            return Ok(false);
        }
        self.end_found(*id, record).await?;
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
        self.end_where(subject, |key| *key != this).await
    }

    /// Ends all sessions of a user, wherever they are signed in: for an operator, or for code that learns that an
    /// account was closed. Says how many there were.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; some sessions may have ended then.
    pub async fn end_sessions_of(&self, issuer: &Issuer, subject: &str) -> Result<usize, Error> {
        self.end_where(&index_key(b"sub", issuer, subject), |_| true)
            .await
    }

    async fn end_where(
        &self,
        subject: &IndexKey,
        meant: impl Fn(&SessionKey) -> bool,
    ) -> Result<usize, Error> {
        let mut ended = 0;
        // A search gives a part of very many.
        loop {
            let found = self.core().store.find_by_subject(subject, self.now()).await?;
            let found: Vec<_> = found.into_iter().filter(|(key, _)| meant(key)).collect();
            if found.is_empty() {
                return Ok(ended);
            }
            ended += found.len();
            try_join_all(found.into_iter().map(|(key, record)| self.end_found(key, record))).await?;
        }
    }

    async fn end_found(&self, key: SessionKey, record: Arc<Record>) -> Result<(), StoreError> {
        let core = self.core();
        match core.view(&key, record) {
            Some(session) => {
                let removed = core.remove(session).await?;
                let tokens = &removed.data.tokens;
                core.revoke_in_background(tokens.refresh.clone(), tokens.access.clone());
            }
            // Sealed with a key that is not here: its tokens cannot be seen.
            None => drop(core.store.delete(&key, None, self.now()).await?),
        }
        tracing::info!(session = ?key, "the session was ended");
        Ok(())
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
        assert_eq!(agent(" \u{7f}"), None);
    }
}
