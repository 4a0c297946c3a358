//! How the session identifier travels: in a cookie of the library's own, or in the app's own session layer.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
#[cfg(feature = "actix-session")]
use auth_core::app_sessions;
#[cfg(feature = "actix-session")]
use auth_core::error::SetupError;
#[cfg(feature = "actix-session")]
use auth_core::reply::AppData;
use auth_core::reply::SessionChange;
use auth_core::request::Incoming;
use auth_core::secret::SessionId;
use auth_core::session::Session;
use auth_core::{Auth, Error};

use crate::middleware::Head;
use crate::response::AuthError;

/// What carries the session identifier from request to request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Carrier {
    #[default]
    Cookie,
    #[cfg(feature = "actix-session")]
    ActixSession,
}

/// The name under which the identifier lies in an actix-session session.
#[cfg(feature = "actix-session")]
const SESSION_ENTRY: &str = "auth.session";

/// One request's view of who is signed in. Put into its extensions by the layer; the session is looked up when it is
/// first asked for, once.
#[derive(Clone)]
pub(crate) struct AuthContext(Rc<Inner>);

struct Inner {
    auth: Auth,
    incoming: Incoming,
    source: Source,
    session: OnceCell<Result<Session, Error>>,
    /// Held by whoever waits for the session.
    looking_up: tokio::sync::Mutex<()>,
    /// Whether the answer depends on the session.
    is_used: Cell<bool>,
    /// The answer, whatever the handler makes of the request.
    refusal: OnceCell<AuthError>,
    /// What the answer has besides the handler's own headers.
    headers: RefCell<Option<Box<HeaderMap>>>,
}

/// Where this request's identifier comes from.
enum Source {
    Cookie(Option<SessionId>),
    #[cfg(feature = "actix-session")]
    ActixSession(Box<Carried>),
}

/// An identifier in a session of the app's own, which is read once.
#[cfg(feature = "actix-session")]
struct Carried {
    carrier: Option<actix_session::Session>,
    id: OnceCell<Result<Option<SessionId>, SetupError>>,
}

impl AuthContext {
    pub(crate) fn new(auth: Auth, carrier: Carrier, request: &ServiceRequest) -> Self {
        let (incoming, cookie) = auth.arrival(&Head(request.request()));
        let source = match carrier {
            Carrier::Cookie => Source::Cookie(cookie),
            #[cfg(feature = "actix-session")]
            Carrier::ActixSession => Source::ActixSession(Box::new(Carried {
                carrier: mounted_session(request),
                id: OnceCell::new(),
            })),
        };
        Self(Rc::new(Inner {
            incoming,
            auth,
            source,
            session: OnceCell::new(),
            looking_up: tokio::sync::Mutex::new(()),
            is_used: Cell::new(false),
            refusal: OnceCell::new(),
            headers: RefCell::default(),
        }))
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    pub(crate) fn incoming(&self) -> &Incoming {
        &self.0.incoming
    }

    pub(crate) fn is_used(&self) -> bool {
        self.0.is_used.get()
    }

    /// Makes this the answer, whatever the handler says. The first one stands.
    pub(crate) fn insist_on(&self, refusal: AuthError) {
        let _ = self.0.refusal.set(refusal);
    }

    /// The answer that the handler cannot change.
    pub(crate) fn refusal(&self) -> Option<AuthError> {
        self.0.refusal.get().cloned()
    }

    /// Adds headers to the answer, whatever the handler says, in the place of earlier ones.
    pub(crate) fn send_along(&self, headers: HeaderMap) {
        *self.0.headers.borrow_mut() = Some(Box::new(headers));
    }

    /// The headers to add to the answer, where there are any. They are given once.
    pub(crate) fn take_headers(&self) -> Option<Box<HeaderMap>> {
        self.0.headers.take()
    }

    /// The session identifier that the request brings.
    pub(crate) fn id(&self) -> Result<Option<&SessionId>, Error> {
        self.0.is_used.set(true);
        match &self.0.source {
            Source::Cookie(id) => Ok(id.as_ref()),
            #[cfg(feature = "actix-session")]
            Source::ActixSession(carried) => carried.id(&self.0.auth, &self.0.incoming),
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
                    self.0.is_used.set(true);
                    self.0.auth.authenticate_at_once(id.as_ref())
                }
                Err(error) => Some(Err(error)),
            },
            #[cfg(feature = "actix-session")]
            Source::ActixSession(_) => None,
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
        self.0.auth.authenticate(self.id()?).await
    }

    /// The signed-in session as it is. As above, a request of another site that would change something has none.
    pub(crate) async fn peek(&self) -> Result<Session, Error> {
        self.0.incoming.same_site()?;
        match self.0.session.get() {
            Some(session) => session.clone(),
            None => self.0.auth.peek(self.id()?).await,
        }
    }
}

#[cfg(feature = "actix-session")]
impl Carried {
    fn id(&self, auth: &Auth, incoming: &Incoming) -> Result<Option<&SessionId>, Error> {
        match self.id.get_or_init(|| self.read(auth, incoming)) {
            Ok(id) => Ok(id.as_ref()),
            Err(error) => Err((*error).into()),
        }
    }

    fn read(&self, auth: &Auth, incoming: &Incoming) -> Result<Option<SessionId>, SetupError> {
        let session = self.carrier.as_ref().ok_or(SetupError::CarrierMissing)?;
        // An entry that is no text was not put there by this library: it is none.
        let sealed = session.get::<String>(SESSION_ENTRY).ok().flatten();
        Ok(sealed.and_then(|sealed| auth.open_session_id(&sealed, incoming)))
    }
}

/// Carries out what a route has decided on the identifier.
pub(crate) async fn change(
    context: &AuthContext,
    change: &SessionChange,
    request: &HttpRequest,
    headers: &mut HeaderMap,
) -> Result<(), Error> {
    let auth = context.auth();
    #[cfg(not(feature = "actix-session"))]
    let _ = request;
    #[cfg(feature = "actix-session")]
    {
        use actix_session::SessionExt as _;

        // Without a session layer this is an empty session that nobody saves.
        let own = request.get_session();
        match change {
            SessionChange::Keep => {}
            SessionChange::Set { id, app_data } => {
                let carried = matches!(context.0.source, Source::ActixSession(_)).then_some(id);
                move_own(auth, &own, *app_data, carried).await?;
                if carried.is_none() {
                    app_sessions::note_sign_in(id);
                }
            }
            SessionChange::Clear => {
                // actix-session deletes it after the answer only.
                end_own(auth).await?;
                own.purge();
                app_sessions::note_sign_out();
            }
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
#[cfg(feature = "actix-session")]
async fn move_own(
    auth: &Auth,
    own: &actix_session::Session,
    app_data: AppData,
    carried: Option<&SessionId>,
) -> Result<(), Error> {
    // Gone since it was loaded: the user has signed out meanwhile.
    let was_ended = end_own(auth).await? == Some(false);
    if was_ended || app_data == AppData::End {
        own.clear();
    }
    if let Some(id) = carried {
        own.insert(SESSION_ENTRY, auth.seal_session_id(id))
            .map_err(|_| SetupError::CarrierMissing)?;
    }
    let is_empty = own.entries().is_empty();
    if is_empty {
        own.purge();
    } else {
        own.renew();
    }
    Ok(())
}

/// Ends the session that the library's own store holds, and says whether it was still there.
#[cfg(feature = "actix-session")]
async fn end_own(auth: &Auth) -> Result<Option<bool>, Error> {
    match auth.app_sessions() {
        Ok(sessions) => Ok(sessions.end_present().await?),
        Err(_) => Ok(None),
    }
}

/// The session that a `SessionMiddleware` has put into the request.
///
/// `get_session` does not tell: where there is none, it makes one, which nobody saves. So one is made in empty
/// extensions, and the request's own are put over it; the one that is there then is the middleware's, or the made one.
#[cfg(feature = "actix-session")]
fn mounted_session(request: &ServiceRequest) -> Option<actix_session::Session> {
    use actix_session::SessionExt as _;
    use actix_web::HttpMessage as _;

    const MADE: &str = "auth.made";
    let own = std::mem::take(&mut *request.extensions_mut());
    let marked = request.get_session().insert(MADE, true);
    request.extensions_mut().extend(own);
    marked.ok()?;
    let session = request.get_session();
    if session.contains_key(MADE) {
        session.clear();
        return None;
    }
    Some(session)
}
