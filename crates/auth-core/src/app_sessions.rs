//! The app's own sessions: what a web framework's session layer keeps for a visitor (a flash message, a draft, a basket),
//! in the same store as the sign-ins and under the same rules.
//!
//! The adapters make the frameworks' layers of [`AppSessions`]. A store sees neither the identifier that the browser holds
//! nor the data: the one is hashed, the other sealed with the app's keys. What was deleted never comes back: a request
//! that is still under way at a sign-out writes nothing.
//!
//! # A late answer and the browser's cookie
//!
//! Session layers answer from what they saw when the request began. A slow request whose session was replaced meanwhile,
//! by a sign-in in another tab, would set the cookie of the old session again, or take the new one away; the user would be
//! signed out by it where that session carries the sign-in. So the layers run a request under [`AppSessions::watch`],
//! which notes what became of its session, and pass each line of the cookie through [`Watched::cookie_line`].

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::auth::Core;
use crate::clock::Timestamp;
use crate::cookie;
use crate::error::{Error, SetupError};
use crate::seal::Purpose;
use crate::secret::{random_text, sha256};
use crate::store::app_data::{AppDataKey, AppDataStore};
use crate::store::{Inserted, StoreError};

/// The app's own sessions; made by [`Auth::app_sessions`](crate::Auth::app_sessions). Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use auth_core::app_sessions::{AppSessionError, AppSessions};
///
/// async fn remember(sessions: &AppSessions, draft: &[u8]) -> Result<String, AppSessionError> {
///     let id = sessions.new_id();
///     let _ = sessions.insert(&id, draft, Duration::from_secs(3600)).await?;
///     Ok(id)
/// }
/// ```
#[derive(Clone)]
pub struct AppSessions(Arc<Core>);

impl fmt::Debug for AppSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSessions").finish_non_exhaustive()
    }
}

impl AppSessions {
    /// The most bytes that one session may hold.
    pub const MAX_DATA: usize = 1024 * 1024;

    pub(crate) fn new(core: &Arc<Core>) -> Result<Self, SetupError> {
        match core.store.app_data() {
            Some(_) => Ok(Self(Arc::clone(core))),
            None => Err(SetupError::AppDataUnsupported),
        }
    }

    /// A new identifier for the browser to hold: 256 random bits as 43 characters of base64url.
    #[must_use]
    pub fn new_id(&self) -> String {
        random_text()
    }

    /// Adds a session under an identifier that is free.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::TooLarge`]; [`AppSessionError::Store`], the session may or may not be in then.
    pub async fn insert(
        &self,
        id: &str,
        data: &[u8],
        lifetime: Duration,
    ) -> Result<Inserted, AppSessionError> {
        let (key, sealed, now) = (key(id), self.seal(id, data)?, self.now());
        let inserted = self
            .store()?
            .insert_app_data(&key, sealed, now.plus(lifetime), now)
            .await;
        noted(inserted, |_, _| {})
    }

    /// What the session holds. `None` where there is none, it has expired, or no key opens it.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::Store`].
    pub async fn load(&self, id: &str) -> Result<Option<Vec<u8>>, AppSessionError> {
        let key = key(id);
        let sealed = self.store()?.load_app_data(&key, self.now()).await;
        let sealed = noted(sealed, |_, _| {})?;
        let keys = &self.0.config.keys;
        Ok(sealed
            .and_then(|sealed| keys.open(Purpose::AppData, key.as_bytes(), &sealed).ok())
            .map(|mut data| std::mem::take(&mut *data)))
    }

    /// Replaces what the session holds and its end, and says whether there is such a session: where there is none,
    /// nothing happens. The last one wins.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::TooLarge`]; [`AppSessionError::Store`], the data may or may not be replaced then.
    pub async fn update(&self, id: &str, data: &[u8], lifetime: Duration) -> Result<bool, AppSessionError> {
        let (key, sealed, now) = (key(id), self.seal(id, data)?, self.now());
        let updated = self
            .store()?
            .update_app_data(&key, sealed, now.plus(lifetime), now)
            .await;
        let updated = noted(updated, |seen, updated| seen.is_gone = !updated)?;
        if !updated {
            tracing::debug!(session = ?key, "an app session has ended meanwhile; its last change is dropped");
        }
        Ok(updated)
    }

    /// Makes the session end after `lifetime` from now, and says whether there is such a session.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::Store`].
    pub async fn touch(&self, id: &str, lifetime: Duration) -> Result<bool, AppSessionError> {
        let now = self.now();
        let touched = self
            .store()?
            .touch_app_data(&key(id), now.plus(lifetime), now)
            .await;
        noted(touched, |seen, touched| seen.is_gone = !touched)
    }

    /// Ends the session, and says whether there was one.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::Store`]; the session may or may not be gone then.
    pub async fn delete(&self, id: &str) -> Result<bool, AppSessionError> {
        let deleted = self.store()?.delete_app_data(&key(id), self.now()).await;
        noted(deleted, |seen, _| seen.is_ended = true)
    }

    // ---- what a session layer needs -------------------------------------------------------------------------

    /// The name of the cookie: `__Host-app_session`, or `app_session` without https.
    #[must_use]
    pub fn cookie_name(&self) -> &'static str {
        if self.is_https() {
            "__Host-app_session"
        } else {
            "app_session"
        }
    }

    /// Whether the cookie is `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.config.base_url.is_https()
    }

    /// How long a session lives after it was last changed: as long as a sign-in does at most, so that one which carries a
    /// sign-in does not end before it.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.0.config.session_max
    }

    /// Runs what answers a request, and notes what it does with app sessions, in this task.
    pub async fn watch<F: Future>(&self, request: F) -> (F::Output, Watched) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let output = SEEN.scope(Arc::clone(&seen), request).await;
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        let watched = Watched {
            seen,
            name: self.cookie_name(),
            https: self.is_https(),
        };
        (output, watched)
    }

    fn store(&self) -> Result<&dyn AppDataStore, AppSessionError> {
        // It was there when this handle was made.
        let store = self.0.store.app_data();
        store.ok_or_else(|| StoreError::unavailable(SetupError::AppDataUnsupported).into())
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn seal(&self, id: &str, data: &[u8]) -> Result<Arc<[u8]>, AppSessionError> {
        if data.len() > Self::MAX_DATA {
            return Err(AppSessionError::TooLarge { size: data.len() });
        }
        let keys = &self.0.config.keys;
        Ok(keys.seal(Purpose::AppData, key(id).as_bytes(), data).into())
    }
}

/// The prefix keeps these hashes apart from those of session identifiers, whatever the identifiers are.
fn key(id: &str) -> AppDataKey {
    AppDataKey::from_bytes(sha256(&[b"auth-core app session 1\0", id.as_bytes()]))
}

tokio::task_local! {
    static SEEN: Arc<Mutex<Seen>>;
}

/// What a request has done with app sessions.
#[derive(Debug, Default)]
struct Seen {
    is_used: bool,
    is_gone: bool,
    is_ended: bool,
    failure: Option<Arc<StoreError>>,
}

fn noted<T>(result: Result<T, StoreError>, note: impl FnOnce(&mut Seen, &T)) -> Result<T, AppSessionError> {
    let result = result.map_err(Arc::new);
    // Outside of a request nobody watches.
    let _ = SEEN.try_with(|seen| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_used = true;
        match &result {
            Ok(value) => note(&mut seen, value),
            Err(error) => seen.failure = Some(Arc::clone(error)),
        }
    });
    result.map_err(AppSessionError::Store)
}

/// What became of a request's app session.
#[derive(Debug)]
pub struct Watched {
    seen: Seen,
    name: &'static str,
    https: bool,
}

impl Watched {
    /// Whether the request had to do with an app session at all: its answer must not be stored then.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.seen.is_used
    }

    /// The failure of the store that the request met, if any.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.seen.failure.clone().map(Error::Store)
    }

    /// What the browser is to be told instead of this `Set-Cookie` line of a session layer. `None` for nothing: it belongs
    /// to a session that has ended meanwhile, and the browser may hold the cookie of a newer one.
    #[must_use]
    pub fn cookie_line<'a>(&self, line: &'a str) -> Option<Cow<'a, str>> {
        let Some(value) = line
            .strip_prefix(self.name)
            .and_then(|rest| rest.strip_prefix('='))
        else {
            return Some(Cow::Borrowed(line));
        };
        let is_removal = value.starts_with(';') || value.is_empty();
        match (is_removal, &self.seen) {
            // With the attributes it was set with: browsers ignore the removal of a `__Host-` cookie that is not `Secure`.
            (true, Seen { is_ended: true, .. }) => {
                Some(Cow::Owned(cookie::remove(self.name, self.https, false)))
            }
            (true, _) | (false, Seen { is_gone: true, .. }) => None,
            (false, _) => Some(Cow::Borrowed(line)),
        }
    }
}

/// An app session was not read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppSessionError {
    /// It holds more than [`AppSessions::MAX_DATA`].
    #[error(
        "the app's session would hold {size} bytes, and may hold {}",
        AppSessions::MAX_DATA
    )]
    TooLarge {
        /// How many bytes it would hold.
        size: usize,
    },
    /// The store failed. Whether the session exists is not known.
    #[error("the app's session could not be read or written")]
    Store(#[source] Arc<StoreError>),
}

impl From<StoreError> for AppSessionError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<AppSessionError> for Error {
    fn from(error: AppSessionError) -> Self {
        match error {
            AppSessionError::TooLarge { .. } => SetupError::AppDataType.into(),
            AppSessionError::Store(error) => Self::Store(error),
        }
    }
}
