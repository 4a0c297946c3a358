//! How the session identifier travels: in a cookie of the library's own, or in the app's own session layer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

#[cfg(feature = "tower-sessions")]
use auth_core::app_sessions;
#[cfg(feature = "tower-sessions")]
use auth_core::error::SetupError;
#[cfg(feature = "tower-sessions")]
use auth_core::reply::AppData;
use auth_core::reply::SessionChange;
use auth_core::request::Incoming;
use auth_core::secret::SessionId;
use auth_core::session::Session;
use auth_core::{Auth, Error};
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
#[cfg(feature = "tower-sessions")]
use tokio::sync::OnceCell;

#[cfg(feature = "tower-sessions")]
use crate::app_session::session_error;

/// What carries the session identifier from request to request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Carrier {
    #[default]
    Cookie,
    #[cfg(feature = "tower-sessions")]
    TowerSession,
}

/// The name under which the identifier lies in a tower-sessions session.
#[cfg(feature = "tower-sessions")]
const SESSION_ENTRY: &str = "auth.session";

/// One request's view of who is signed in. Put into its extensions by the layer; the session is looked up when it is
/// first asked for, once.
#[derive(Clone, Debug)]
pub(crate) struct AuthContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    auth: Auth,
    incoming: Incoming,
    source: Source,
    session: OnceLock<Result<Session, Error>>,
    /// Held by whoever waits for the session.
    looking_up: tokio::sync::Mutex<()>,
    /// Whether the answer depends on the session.
    is_used: AtomicBool,
    /// What the answer has besides the handler's own headers.
    headers: Mutex<Option<Box<HeaderMap>>>,
}

/// Where this request's identifier comes from.
#[derive(Debug)]
enum Source {
    Cookie(Option<SessionId>),
    #[cfg(feature = "tower-sessions")]
    TowerSession(Box<Carried>),
}

/// An identifier in a session of the app's own, which has to be loaded for it.
#[cfg(feature = "tower-sessions")]
#[derive(Debug)]
struct Carried {
    carrier: Option<tower_sessions::Session>,
    id: OnceCell<Option<SessionId>>,
}

impl AuthContext {
    pub(crate) fn new(
        auth: Auth,
        incoming: Incoming,
        carrier: Carrier,
        cookie: Option<SessionId>,
        extensions: &Extensions,
    ) -> Self {
        #[cfg(not(feature = "tower-sessions"))]
        let _ = extensions;
        let source = match carrier {
            Carrier::Cookie => Source::Cookie(cookie),
            #[cfg(feature = "tower-sessions")]
            Carrier::TowerSession => Source::TowerSession(Box::new(Carried {
                carrier: extensions.get().cloned(),
                id: OnceCell::new(),
            })),
        };
        Self(Arc::new(Inner {
            auth,
            incoming,
            source,
            session: OnceLock::new(),
            looking_up: tokio::sync::Mutex::new(()),
            is_used: AtomicBool::new(false),
            headers: Mutex::default(),
        }))
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    pub(crate) fn incoming(&self) -> &Incoming {
        &self.0.incoming
    }

    pub(crate) fn is_used(&self) -> bool {
        self.0.is_used.load(Ordering::Relaxed)
    }

    /// Adds headers to the answer, whatever the handler says, in the place of earlier ones.
    pub(crate) fn send_along(&self, headers: HeaderMap) {
        *self.lock_headers() = Some(Box::new(headers));
    }

    /// The headers to add to the answer, where there are any. They are given once.
    pub(crate) fn take_headers(&self) -> Option<Box<HeaderMap>> {
        self.lock_headers().take()
    }

    fn lock_headers(&self) -> std::sync::MutexGuard<'_, Option<Box<HeaderMap>>> {
        self.0.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session identifier that the request brings.
    pub(crate) async fn id(&self) -> Result<Option<&SessionId>, Error> {
        self.0.is_used.store(true, Ordering::Relaxed);
        match &self.0.source {
            Source::Cookie(id) => Ok(id.as_ref()),
            #[cfg(feature = "tower-sessions")]
            // Boxed, so that it does not make every request's future larger.
            Source::TowerSession(carried) => Box::pin(carried.id(&self.0.auth, &self.0.incoming)).await,
        }
    }

    /// The signed-in session, its access token alive. A request that would change something and comes from another
    /// site has none.
    pub(crate) async fn session(&self) -> Result<Session, Error> {
        match self.known() {
            Some(session) => session.clone(),
            // Boxed, so that what is rare makes the usual future no larger.
            None => Box::pin(self.wait()).await,
        }
    }

    /// The session, if it was looked up already or nothing has to be waited for.
    fn known(&self) -> Option<&Result<Session, Error>> {
        let session = &self.0.session;
        session.get().or_else(|| {
            let found = self.at_once()?;
            Some(session.get_or_init(|| found))
        })
    }

    fn at_once(&self) -> Option<Result<Session, Error>> {
        match &self.0.source {
            Source::Cookie(id) => match self.0.incoming.same_site() {
                Ok(()) => {
                    self.0.is_used.store(true, Ordering::Relaxed);
                    self.0.auth.authenticate_at_once(id.as_ref())
                }
                Err(error) => Some(Err(error)),
            },
            #[cfg(feature = "tower-sessions")]
            Source::TowerSession(_) => None,
        }
    }

    /// Looks it up, once for all who wait.
    async fn wait(&self) -> Result<Session, Error> {
        let _alone = self.0.looking_up.lock().await;
        if let Some(session) = self.0.session.get() {
            return session.clone();
        }
        let found = self.look_up().await;
        self.0.session.get_or_init(|| found).clone()
    }

    async fn look_up(&self) -> Result<Session, Error> {
        self.0.incoming.same_site()?;
        self.0.auth.authenticate(self.id().await?).await
    }

    /// The signed-in session as it is. As above, a request of another site that would change something has none.
    pub(crate) async fn peek(&self) -> Result<Session, Error> {
        self.0.incoming.same_site()?;
        match self.0.session.get() {
            Some(session) => session.clone(),
            None => self.0.auth.peek(self.id().await?).await,
        }
    }
}

#[cfg(feature = "tower-sessions")]
impl Carried {
    async fn id(&self, auth: &Auth, incoming: &Incoming) -> Result<Option<&SessionId>, Error> {
        let id = self.id.get_or_try_init(|| self.read(auth, incoming)).await?;
        Ok(id.as_ref())
    }

    async fn read(&self, auth: &Auth, incoming: &Incoming) -> Result<Option<SessionId>, Error> {
        let session = self.carrier.as_ref().ok_or(SetupError::CarrierMissing)?;
        let sealed = session
            .get::<String>(SESSION_ENTRY)
            .await
            .map_err(session_error)?;
        Ok(sealed.and_then(|sealed| auth.open_session_id(&sealed, incoming)))
    }
}

/// Carries out what a route has decided on the identifier.
pub(crate) async fn change(
    context: &AuthContext,
    change: &SessionChange,
    extensions: &Extensions,
    headers: &mut HeaderMap,
) -> Result<(), Error> {
    let auth = context.auth();
    #[cfg(not(feature = "tower-sessions"))]
    let _ = extensions;
    #[cfg(feature = "tower-sessions")]
    {
        let is_carrier = matches!(context.0.source, Source::TowerSession(_));
        match (change, extensions.get::<tower_sessions::Session>()) {
            (SessionChange::Keep, _) => {}
            (SessionChange::Set { id, app_data }, Some(own)) => {
                move_own(auth, own, *app_data).await?;
                if is_carrier {
                    own.insert(SESSION_ENTRY, auth.seal_session_id(id))
                        .await
                        .map_err(session_error)?;
                } else {
                    app_sessions::note_sign_in(id);
                }
            }
            (SessionChange::Clear, Some(own)) => {
                if own.id().is_some() {
                    own.flush().await.map_err(session_error)?;
                } else {
                    own.clear().await;
                }
                app_sessions::note_sign_out();
            }
            (_, None) if is_carrier => return Err(SetupError::CarrierMissing.into()),
            (_, None) => {}
        }
    }
    if matches!(context.0.source, Source::Cookie(_))
        && let Some(line) = auth.session_cookie(change)
        && let Ok(mut value) = HeaderValue::try_from(line)
    {
        value.set_sensitive(true);
        headers.append(header::SET_COOKIE, value);
    }
    Ok(())
}

/// Gives the app's own session a new identifier, and ends it under the old one. Without entries none is made.
#[cfg(feature = "tower-sessions")]
async fn move_own(auth: &Auth, own: &tower_sessions::Session, app_data: AppData) -> Result<(), Error> {
    // Loads it, under the sign-in that the request has brought.
    own.get_value(SESSION_ENTRY).await.map_err(session_error)?;
    let mut was_ended = false;
    if own.id().is_some() {
        if let Ok(sessions) = auth.app_sessions() {
            // Gone since it was loaded: the user has signed out meanwhile.
            was_ended = sessions.end_present().await? == Some(false);
        }
        own.cycle_id().await.map_err(session_error)?;
    }
    if was_ended || app_data == AppData::End {
        own.clear().await;
    }
    Ok(())
}

/// Lets a sign-out end the app's own session before it waits for the provider.
#[cfg(feature = "tower-sessions")]
pub(crate) fn note_own(extensions: &Extensions) {
    let own = extensions.get::<tower_sessions::Session>();
    if let Some(id) = own.and_then(tower_sessions::Session::id) {
        app_sessions::note_present(&id.to_string());
    }
}
