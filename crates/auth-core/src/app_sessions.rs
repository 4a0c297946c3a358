//! The app's own sessions: what a web framework's session layer keeps for a visitor (a flash message, a draft, a basket),
//! in the same store as the sign-ins and under the same rules.
//!
//! The adapters make the frameworks' layers of [`AppSessions`]. A store sees neither the identifier that the browser holds
//! nor the data: the one is hashed, the other sealed with the app's keys. What was deleted never comes back: a request
//! that is still under way at a sign-out writes nothing.
//!
//! # Whose session it is
//!
//! The data belong to the sign-in they were made under: the name under which they lie is made of the identifier of the
//! app's session and of the sign-in that the request brings in the library's own cookie. So they are not there for the
//! next user of the same browser, nor for a guest, whatever slow request writes them and when. At sign-in they are taken
//! over under the new one, where they are a guest's or the same user's ([`AppData`]). Where the app's session itself
//! carries the sign-in, there is no such cookie, and the data are as everybody's; nobody finds the session of another.
//!
//! The name is also made of the public origin of the app that the request belongs to: of
//! [several](crate::AuthBuilder::further_base_url), data are at the one where they were made. An origin that is given another
//! name, scheme or port begins without.
//!
//! # A late answer and the browser's cookie
//!
//! Session layers answer from what they saw when the request began. A slow request whose session was replaced meanwhile,
//! by a sign-in in another tab, would set the cookie of the old session again, or take the new one away; the user would be
//! signed out by it where that session carries the sign-in. So the layers run a request under [`AppSessions::watch`],
//! which notes what became of its session, and pass each line of the cookie through [`Watched::cookie_line`].
//!
//! [`AppData`]: crate::reply::AppData

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::auth::{Auth, Core};
use crate::clock::Timestamp;
use crate::config::paths;
use crate::cookie;
use crate::csrf;
use crate::error::{Error, SetupError};
use crate::origins::OriginId;
use crate::request::{RequestHead, cookies_without_impostors, each_cookie};
use crate::seal::Purpose;
use crate::secret::{SessionId, random_text, sha256};
use crate::store::app_data::{AppDataKey, AppDataStore};
use crate::store::{Inserted, SessionKey, StoreError};

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
    /// The most that one session may hold, in bytes: 1 MiB.
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

    /// Adds a session under an identifier that is free, to end `lifetime` from now: at once where that is zero.
    ///
    /// Within [`watch`](Self::watch), a request of another site adds none, and is told [`Inserted::Yes`] all the same.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::TooLarge`] for more than [`MAX_DATA`](Self::MAX_DATA) bytes, a matter for the app's developer;
    /// [`AppSessionError::Store`] where the store fails, the session may or may not be in then. The same holds where
    /// the future is dropped.
    pub async fn insert(
        &self,
        id: &str,
        data: &[u8],
        lifetime: Duration,
    ) -> Result<Inserted, AppSessionError> {
        if seen(|seen| seen.is_foreign) {
            tracing::debug!("a request of another site begins no app session");
            return Ok(Inserted::Yes);
        }
        let key = seen(|seen| self.key(id, seen.moved_to.or(seen.sign_in), seen.at));
        let (sealed, now) = (self.seal(&key, data)?, self.now());
        let inserted = self
            .store()?
            .insert_app_data(&key, sealed, now.plus(lifetime), now)
            .await;
        noted(inserted, |seen, _| {
            seen.sign_in = seen.moved_to.take().or(seen.sign_in);
        })
    }

    /// What the session holds. `None` where there is none, it has expired, or no key opens it.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::Store`] where the store fails; whether there is such a session is not known then.
    pub async fn load(&self, id: &str) -> Result<Option<Vec<u8>>, AppSessionError> {
        let key = self.present_key(id);
        let sealed = self.store()?.load_app_data(&key, self.now()).await;
        let sealed = noted(sealed, |seen, sealed| {
            if sealed.is_some() {
                seen.id = Some(id.to_owned());
            }
        })?;
        let keys = &self.0.config.keys;
        Ok(sealed
            .and_then(|sealed| keys.open(Purpose::AppData, key.as_bytes(), &sealed).ok())
            .map(|mut data| std::mem::take(&mut *data)))
    }

    /// Replaces what the session holds, and makes it end `lifetime` from now: at once where that is zero. Says whether there is
    /// such a session: where there is none, nothing happens. Of several updates the last one wins.
    ///
    /// Within [`watch`](Self::watch), a request of another site changes nothing, and is told that there is none.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::TooLarge`] for more than [`MAX_DATA`](Self::MAX_DATA) bytes, a matter for the app's developer;
    /// [`AppSessionError::Store`] where the store fails, the data may or may not be replaced then. The same holds where
    /// the future is dropped.
    pub async fn update(&self, id: &str, data: &[u8], lifetime: Duration) -> Result<bool, AppSessionError> {
        if seen(|seen| seen.is_foreign) {
            tracing::debug!("a request of another site changes no app session");
            return Ok(false);
        }
        let key = self.present_key(id);
        let (sealed, now) = (self.seal(&key, data)?, self.now());
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

    /// Makes the session end `lifetime` from now, be that sooner or later than before, and says whether there is such a session.
    /// It ends at once where that is zero.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::Store`] where the store fails; the end may or may not be moved then.
    pub async fn touch(&self, id: &str, lifetime: Duration) -> Result<bool, AppSessionError> {
        let now = self.now();
        let touched = self
            .store()?
            .touch_app_data(&self.present_key(id), now.plus(lifetime), now)
            .await;
        noted(touched, |seen, touched| seen.is_gone = !touched)
    }

    /// Ends the session, and says whether there was one.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::Store`] where the store fails; the session may or may not be gone then.
    pub async fn delete(&self, id: &str) -> Result<bool, AppSessionError> {
        if seen(|seen| seen.ended.as_ref().is_some_and(|(ended, _)| ended == id)) {
            // This request has ended it already.
            return Ok(false);
        }
        let key = self.present_key(id);
        let deleted = self.store()?.delete_app_data(&key, self.now()).await;
        noted(deleted, |seen, _| seen.is_ended = true)
    }

    /// Ends the session that the request under way has brought, and says whether it was still there; `None` where it
    /// brought none. Once begun it is done, also where the browser goes away and the future is dropped.
    ///
    /// # Errors
    ///
    /// [`AppSessionError::Store`] where the store fails; the session may or may not be gone then.
    pub async fn end_present(&self) -> Result<Option<bool>, AppSessionError> {
        let Some(id) = seen(|seen| seen.id.clone()) else {
            return Ok(None);
        };
        if let Some(was_there) = seen(|seen| seen.ended.as_ref().map(|(_, was_there)| *was_there)) {
            return Ok(Some(was_there));
        }
        let (key, core) = (self.present_key(&id), Arc::clone(&self.0));
        let ending = self.0.spawn(async move {
            match core.store.app_data() {
                Some(store) => store.delete_app_data(&key, core.clock.now()).await,
                None => Ok(false),
            }
        });
        let ended = ending
            .await
            .unwrap_or_else(|error| Err(StoreError::unavailable(error)));
        noted(ended, |seen, was_there| {
            seen.is_ended = true;
            seen.ended = Some((id, *was_there));
        })
        .map(Some)
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

    /// Whether browsers reach the app over https, so that the cookie is `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.config.origins.first().is_https()
    }

    /// How long a session lives after it was last changed: as long as a sign-in does at most
    /// ([`session_max`](crate::AuthBuilder::session_max), 7 days by default), so that one which carries a sign-in does not end
    /// before it.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.0.config.session_max
    }

    /// Reads off a request's head what [`watch`](Self::watch) needs. The store is not asked.
    #[must_use]
    pub fn brought(&self, head: &impl RequestHead) -> Brought {
        let config = &self.0.config;
        let at = config.origins.of(head);
        let mut has_cookie = false;
        each_cookie(head, &mut |name, _| has_cookie |= name == self.cookie_name());
        Brought {
            sign_in: Auth::of(&self.0).session_id(head).map(|id| id.key()),
            has_cookie,
            // The provider's answer may come as a form of its own site; the sign-in under way vouches for it.
            is_foreign: csrf::check(head, config.origins.get(at)).is_err()
                && !paths::is_callback(head.path()),
            at,
        }
    }

    /// The request's cookies, in one line, without those that a session layer would mistake for this session's: it may decode
    /// names or cut off more than blanks, where browsers do neither. `None` where there are no such cookies, so that the layer
    /// may see them all as they came. `__Host-` keeps other hosts from setting a cookie only while it is read as browsers
    /// read it (RFC 6265bis §4.1.3.2).
    #[must_use]
    pub fn cookies_without_impostors(&self, head: &impl RequestHead) -> Option<String> {
        cookies_without_impostors(head, self.cookie_name())
    }

    /// Runs what answers a request, and notes what it does with app sessions, in this task. What it does outside of
    /// this task is a guest's.
    pub async fn watch<F: Future>(&self, brought: Brought, request: F) -> (F::Output, Watched) {
        let seen = Arc::new(Mutex::new(Seen {
            sign_in: brought.sign_in,
            is_foreign: brought.is_foreign,
            at: brought.at,
            ..Seen::default()
        }));
        let output = SEEN.scope(Arc::clone(&seen), request).await;
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        let watched = Watched {
            seen,
            has_cookie: brought.has_cookie,
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

    fn seal(&self, key: &AppDataKey, data: &[u8]) -> Result<Arc<[u8]>, AppSessionError> {
        if data.len() > Self::MAX_DATA {
            seen(|seen| seen.is_too_large = true);
            return Err(AppSessionError::TooLarge { size: data.len() });
        }
        let keys = &self.0.config.keys;
        Ok(keys.seal(Purpose::AppData, key.as_bytes(), data).into())
    }

    /// The name of the data of an app's session under this sign-in, or under none, and at this origin of the app.
    ///
    /// The origin is named in full, for the list may change, and also where there is no other: what began before a second one came
    /// goes on.
    ///
    /// The prefix keeps these hashes apart from those of session identifiers, whatever the identifiers are. The lengths keep
    /// the identifier and the origin apart from what follows.
    fn key(&self, id: &str, sign_in: Option<SessionKey>, at: OriginId) -> AppDataKey {
        let length = |text: &str| (text.len() as u64).to_be_bytes();
        let origin = self.0.config.origins.get(at).origin();
        let hash = sha256(&[
            b"auth-core app session 3\0",
            &length(origin),
            origin.as_bytes(),
            &length(id),
            id.as_bytes(),
            sign_in.as_ref().map_or(b"guest", |key| key.as_bytes()),
        ]);
        AppDataKey::from_bytes(hash)
    }

    /// Its name under the sign-in that the request under way has brought.
    fn present_key(&self, id: &str) -> AppDataKey {
        seen(|seen| self.key(id, seen.sign_in, seen.at))
    }
}

tokio::task_local! {
    static SEEN: Arc<Mutex<Seen>>;
}

/// What a request brings, as far as app sessions go; made by [`AppSessions::brought`].
#[derive(Debug)]
pub struct Brought {
    sign_in: Option<SessionKey>,
    has_cookie: bool,
    is_foreign: bool,
    /// The origin of the app that it belongs to.
    at: OriginId,
}

/// What a request has brought, and what it has done with app sessions. Not `Debug`: it holds identifiers.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Seen {
    /// The sign-in in the library's own cookie; a guest's where there is none.
    sign_in: Option<SessionKey>,
    /// The sign-in that what is inserted next belongs to.
    moved_to: Option<SessionKey>,
    /// It comes from another site and may change nothing.
    is_foreign: bool,
    /// The origin of the app that it belongs to; the first outside of one.
    at: OriginId,
    /// The app session that it has brought.
    id: Option<String>,
    /// The one that was ended, and whether it was still there.
    ended: Option<(String, bool)>,
    is_used: bool,
    is_gone: bool,
    is_ended: bool,
    is_signed_out: bool,
    is_too_large: bool,
    failure: Option<Arc<StoreError>>,
}

/// Looks at, or notes something about, the request under way. Outside of one nothing is known, and nothing noted.
fn seen<T>(look: impl FnOnce(&mut Seen) -> T) -> T {
    let present = SEEN.try_with(Arc::clone);
    match present {
        Ok(seen) => look(&mut seen.lock().unwrap_or_else(PoisonError::into_inner)),
        Err(_) => look(&mut Seen::default()),
    }
}

fn noted<T>(result: Result<T, StoreError>, note: impl FnOnce(&mut Seen, &T)) -> Result<T, AppSessionError> {
    let result = result.map_err(Arc::new);
    seen(|seen| {
        seen.is_used = true;
        match &result {
            Ok(value) => note(seen, value),
            Err(error) => seen.failure = Some(Arc::clone(error)),
        }
    });
    result.map_err(AppSessionError::Store)
}

/// For adapters: the app session that the request under way brings, where its layer has not loaded it yet.
pub fn note_present(id: &str) {
    seen(|seen| {
        seen.id.get_or_insert_with(|| id.to_owned());
    });
}

/// For adapters: what is inserted from now on belongs to the sign-in with this identifier, which the browser is given.
pub fn note_sign_in(id: &SessionId) {
    seen(|seen| seen.moved_to = Some(id.key()));
}

/// For adapters: the user has signed out, so the browser's cookie is taken away.
pub fn note_sign_out() {
    seen(|seen| {
        seen.is_used = true;
        seen.is_signed_out = true;
    });
}

/// What became of a request's app session; made by [`AppSessions::watch`].
pub struct Watched {
    seen: Seen,
    has_cookie: bool,
    name: &'static str,
    https: bool,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("is_used", &self.seen.is_used)
            .field("has_cookie", &self.has_cookie)
            .finish_non_exhaustive()
    }
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

    /// Whether a session would have held more than [`AppSessions::MAX_DATA`].
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.seen.is_too_large
    }

    /// The `Set-Cookie` line that takes the cookie away after a sign-out, where the request has brought it in whatever
    /// form. [`cookie_line`](Self::cookie_line) lets no other one through then.
    #[must_use]
    pub fn removal(&self) -> Option<String> {
        (self.seen.is_signed_out && self.has_cookie).then(|| cookie::remove(self.name, self.https, false))
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
        let seen = &self.seen;
        if seen.is_signed_out || seen.is_foreign {
            return None;
        }
        match is_removal {
            // With the attributes it was set with: browsers ignore the removal of a `__Host-` cookie that is not `Secure`.
            true if seen.is_ended => Some(Cow::Owned(cookie::remove(self.name, self.https, false))),
            false if !seen.is_gone => Some(Cow::Borrowed(line)),
            _ => None,
        }
    }
}

/// Why an app session was not read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppSessionError {
    /// The data are more than [`AppSessions::MAX_DATA`] bytes. Nothing was written.
    #[error(
        "the app's session would hold {size} bytes, and may hold {}",
        AppSessions::MAX_DATA
    )]
    TooLarge {
        /// How many bytes they are.
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
