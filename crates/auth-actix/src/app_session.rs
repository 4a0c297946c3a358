//! The app's own session data in the same store as the sign-ins: an actix-session store, and the middleware around it.
//!
//! ```no_run
//! use actix_session::Session;
//! use actix_web::{App, web};
//! use auth_actix::{Auth, AuthError, AuthExt};
//!
//! async fn visits(session: Session) -> Result<String, AuthError> {
//!     let visits: u64 = session.get("visits")?.unwrap_or_default();
//!     session.insert("visits", visits + 1)?;
//!     Ok(format!("{visits} visits before this one"))
//! }
//!
//! # fn app(auth: Auth) -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = auth.app_session_layer()?;
//! let app = move || {
//!     App::new().wrap(auth.layer()).service(
//!         web::scope("")
//!             .route("/visits", web::get().to(visits))
//!             .configure(auth.routes())
//!             .wrap(sessions.clone()),
//!     )
//! };
//! # drop(app);
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::future::{Ready, ready};
use std::time::Duration;

use actix_session::SessionMiddleware;
use actix_session::config::{CookieContentSecurity, PersistentSession};
use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::body::{EitherBody, MessageBody};
use actix_web::cookie::{Key, SameSite, time};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use auth_core::Auth;
use auth_core::app_sessions::{AppSessionError, AppSessions, Watched};
use auth_core::gate::OnRefusal;
use auth_core::reply::Reply;
use auth_core::request::Incoming;
use auth_core::store::Inserted;

use crate::LocalFuture;
use crate::middleware::Head;
use crate::response::{self, NO_STORE};

/// Keeps actix-session's sessions in the store that the sign-ins are in; made by
/// [`AuthExt::app_session_store`](crate::AuthExt::app_session_store).
///
/// The data are sealed, and the store is told a hash of the identifier only. A session that was deleted does not come back:
/// where a slow request updates one, nothing is written, and that is no failure. One session holds at most
/// [`AppSessions::MAX_DATA`] bytes of JSON, 1 MiB.
#[derive(Clone, Debug)]
pub struct AppSessionStore(AppSessions);

impl AppSessionStore {
    pub(crate) fn new(sessions: AppSessions) -> Self {
        Self(sessions)
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> SaveError {
    SaveError::Other(error.into())
}

fn length(ttl: &time::Duration) -> Duration {
    Duration::try_from(*ttl).unwrap_or_default()
}

impl SessionStore for AppSessionStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        let data = self.0.load(key.as_ref()).await;
        let Some(data) = data.map_err(|error| LoadError::Other(error.into()))? else {
            return Ok(None);
        };
        let entries = serde_json::from_slice(&data);
        if entries.is_err() {
            tracing::warn!("the data of an app session cannot be read; it counts as none");
        }
        Ok(entries.ok())
    }

    async fn save(
        &self,
        state: HashMap<String, String>,
        ttl: &time::Duration,
    ) -> Result<SessionKey, SaveError> {
        let data = serde_json::to_vec(&state).map_err(|error| SaveError::Serialization(error.into()))?;
        for _ in 0..ATTEMPTS {
            let id = self.0.new_id();
            match self.0.insert(&id, &data, length(ttl)).await {
                Ok(Inserted::Yes) => return id.try_into().map_err(other),
                Ok(Inserted::Taken) => {}
                Err(error @ AppSessionError::TooLarge { .. }) => {
                    return Err(SaveError::Serialization(error.into()));
                }
                Err(error) => return Err(other(error)),
            }
        }
        Err(SaveError::Other(anyhow::Error::msg(
            "random identifiers are all taken",
        )))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: HashMap<String, String>,
        ttl: &time::Duration,
    ) -> Result<SessionKey, UpdateError> {
        let data = serde_json::to_vec(&state).map_err(|error| UpdateError::Serialization(error.into()))?;
        match self.0.update(key.as_ref(), &data, length(ttl)).await {
            // Missing is not insert. The layer keeps the cookie of what has ended from the browser.
            Ok(_is_alive) => Ok(key),
            Err(error @ AppSessionError::TooLarge { .. }) => Err(UpdateError::Serialization(error.into())),
            Err(error) => Err(UpdateError::Other(error.into())),
        }
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &time::Duration) -> Result<(), anyhow::Error> {
        self.0.touch(key.as_ref(), length(ttl)).await?;
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.0.delete(key.as_ref()).await?;
        Ok(())
    }
}

/// Random identifiers do not meet by chance, so the second attempt is one too many already.
const ATTEMPTS: u32 = 3;

/// actix-session's middleware over an [`AppSessionStore`], set up for this app; made by
/// [`AuthExt::app_session_layer`](crate::AuthExt::app_session_layer).
///
/// Its cookie is `__Host-app_session` (`app_session` without https): `HttpOnly`, `SameSite=Lax`, `Path=/`, and `Secure`
/// with https. A session ends `AUTH_SESSION_MAX` (7 days by default) after its last change. What depends on a session is not cached.
///
/// It mends what actix-session's own middleware leaves: the answer of a slow request does not set the cookie of a session
/// that has ended meanwhile; a store that is down is a 503 with `Retry-After`, and a session that is too large a 413, not a
/// 500; and a request of another site that would change something neither writes nor sets the cookie.
///
/// ```no_run
/// use actix_session::Session;
/// use actix_web::{App, HttpServer, web};
/// use auth_actix::{Auth, AuthError, AuthExt, RequireAuth};
///
/// async fn keep_draft(_: RequireAuth, own: Session, draft: String) -> Result<&'static str, AuthError> {
///     own.insert("draft", draft)?;
///     Ok("kept")
/// }
///
/// async fn serve(auth: Auth) -> Result<(), Box<dyn std::error::Error>> {
///     let sessions = auth.app_session_layer()?;
///     let app = move || {
///         let with_session = web::scope("").route("/draft", web::post().to(keep_draft)).configure(auth.routes());
///         App::new().service(with_session.wrap(sessions.clone())).wrap(auth.layer())
///     };
///     Ok(HttpServer::new(app).bind("127.0.0.1:3000")?.run().await?)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AppSessionLayer {
    auth: Auth,
    sessions: AppSessions,
}

impl AppSessionLayer {
    pub(crate) fn new(auth: Auth, sessions: AppSessions) -> Self {
        Self { auth, sessions }
    }

    fn middleware(&self) -> SessionMiddleware<AppSessionStore> {
        let sessions = &self.sessions;
        let lifetime = time::Duration::try_from(sessions.lifetime()).unwrap_or(time::Duration::MAX);
        // actix-session signs its cookie with one key and knows no rotation of keys: each new key would end every session.
        // The cookie needs no signature. It holds 256 random bits, of which the store has a hash: nobody can make up an
        // identifier that is in use, and who knows one needs no key. So the key is one that says it is none.
        let no_key = Key::from(&[0; 64]);
        SessionMiddleware::builder(AppSessionStore::new(sessions.clone()), no_key)
            .cookie_content_security(CookieContentSecurity::Signed)
            .cookie_name(sessions.cookie_name().to_owned())
            .cookie_same_site(SameSite::Lax)
            .cookie_secure(sessions.is_https())
            .session_lifecycle(PersistentSession::default().session_ttl(lifetime))
            .build()
    }
}

type Managed<S> = <SessionMiddleware<AppSessionStore> as Transform<S, ServiceRequest>>::Transform;

impl<S, B> Transform<S, ServiceRequest> for AppSessionLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = AppSessionService<Managed<S>>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        let managed = self.middleware().new_transform(inner).into_inner();
        ready(managed.map(|inner| AppSessionService {
            inner,
            layer: self.clone(),
        }))
    }
}

/// The service that [`AppSessionLayer`] makes: one around actix-session's own.
pub struct AppSessionService<S> {
    inner: S,
    layer: AppSessionLayer,
}

impl<S> fmt::Debug for AppSessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // actix-session's service has no `Debug`.
        f.debug_struct("AppSessionService")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for AppSessionService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = LocalFuture<Result<Self::Response, actix_web::Error>>;

    forward_ready!(inner);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let AppSessionLayer { auth, sessions } = self.layer.clone();
        let head = Head(request.request());
        let (incoming, brought) = (auth.incoming(&head), sessions.brought(&head));
        if let Some(cookies) = sessions.cookies_without_impostors(&head) {
            request.headers_mut().remove(header::COOKIE);
            if let Ok(cookies) = HeaderValue::try_from(cookies) {
                request.headers_mut().insert(header::COOKIE, cookies);
            }
        }
        let inner = self.inner.call(request);
        Box::pin(async move {
            match sessions.watch(brought, inner).await {
                (Ok(response), watched) => Ok(finish(&auth, &incoming, &watched, response)),
                (Err(error), watched) => Err(finish_error(&auth, &incoming, &watched, error)),
            }
        })
    }
}

fn finish<B: MessageBody>(
    auth: &Auth,
    incoming: &Incoming,
    watched: &Watched,
    mut response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B>> {
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && let Some(reply) = refusal(auth, incoming, watched)
    {
        return response
            .into_response(response::response(reply))
            .map_into_right_body();
    }
    mend_cookies(watched, response.headers_mut());
    if watched.is_used() {
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    }
    response.map_into_left_body()
}

/// The session was not loaded or not saved; there is no request left then to make an answer of.
fn finish_error(
    auth: &Auth,
    incoming: &Incoming,
    watched: &Watched,
    error: actix_web::Error,
) -> actix_web::Error {
    if error.as_response_error().status_code() == StatusCode::INTERNAL_SERVER_ERROR
        && let Some(reply) = refusal(auth, incoming, watched)
    {
        return InternalError::from_response(error, response::response(reply)).into();
    }
    error
}

/// What a failure of the session is answered with, if it was one.
fn refusal(auth: &Auth, incoming: &Incoming, watched: &Watched) -> Option<Reply> {
    if watched.is_too_large() {
        return Some(auth.refuse_body(incoming));
    }
    let failure = watched.failure()?;
    Some(auth.refuse(&failure, incoming, &OnRefusal::Automatic))
}

fn mend_cookies(watched: &Watched, headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.remove(header::SET_COOKIE).collect();
    for line in lines {
        match line.to_str().map(|text| watched.cookie_line(text)) {
            Ok(Some(mended)) => append_cookie(headers, &mended),
            Ok(None) => {}
            Err(_) => headers.append(header::SET_COOKIE, line),
        }
    }
    if let Some(removal) = watched.removal() {
        append_cookie(headers, &removal);
    }
}

fn append_cookie(headers: &mut HeaderMap, line: &str) {
    if let Ok(mut value) = HeaderValue::from_str(line) {
        value.set_sensitive(true);
        headers.append(header::SET_COOKIE, value);
    }
}
