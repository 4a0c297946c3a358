//! The app's own session data in the same store as the sign-ins: a tower-sessions store, and the layer around it.
//!
//! ```no_run
//! use auth_axum::{Auth, AuthError, AuthExt};
//! use axum::{Router, routing::get};
//! use tower_sessions::Session;
//!
//! async fn visits(session: Session) -> Result<String, AuthError> {
//!     let visits: u64 = session.get("visits").await?.unwrap_or_default();
//!     session.insert("visits", visits + 1).await?;
//!     Ok(format!("{visits} visits before this one"))
//! }
//!
//! # fn app(auth: &Auth) -> Result<Router, Box<dyn std::error::Error>> {
//! let app = Router::new()
//!     .route("/visits", get(visits))
//!     .merge(auth.routes())
//!     .layer(auth.layer())
//!     .layer(auth.app_session_layer()?);
//! # Ok(app)
//! # }
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::app_sessions::{AppSessionError, AppSessions, Watched};
use auth_core::gate::OnRefusal;
use auth_core::request::Incoming;
use auth_core::store::Inserted;
use auth_core::{Auth, Error};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use tower_layer::Layer;
use tower_service::Service;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::{self, OffsetDateTime};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{self, SessionStore};
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::middleware::Head;
use crate::response;

/// Keeps tower-sessions' sessions in the store that the sign-ins are in; made by
/// [`AuthExt::app_session_store`](crate::AuthExt::app_session_store).
///
/// The data are sealed, and the store is told a hash of the identifier only. A session that was deleted does not come back:
/// where a slow request saves one, nothing is written, and that is no failure. One session holds at most
/// [`AppSessions::MAX_DATA`] bytes of JSON, 1 MiB.
#[derive(Clone, Debug)]
pub struct AppSessionStore(AppSessions);

impl AppSessionStore {
    pub(crate) fn new(sessions: AppSessions) -> Self {
        Self(sessions)
    }
}

/// What lies in the store: the entries.
type Entries = HashMap<String, serde_json::Value>;

fn entries(record: &Record) -> session_store::Result<Vec<u8>> {
    serde_json::to_vec(&record.data).map_err(|error| session_store::Error::Encode(error.to_string()))
}

fn lifetime(record: &Record) -> Duration {
    Duration::try_from(record.expiry_date - OffsetDateTime::now_utc()).unwrap_or_default()
}

fn failed(error: AppSessionError) -> session_store::Error {
    match error {
        AppSessionError::Store(cause) => session_store::Error::Backend(cause.to_string()),
        error => session_store::Error::Encode(error.to_string()),
    }
}

#[async_trait]
impl SessionStore for AppSessionStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let data = entries(record)?;
        for _ in 0..ATTEMPTS {
            let inserted = self
                .0
                .insert(&record.id.to_string(), &data, lifetime(record))
                .await;
            match inserted.map_err(failed)? {
                Inserted::Yes => return Ok(()),
                Inserted::Taken => record.id = Id::default(),
            }
        }
        Err(session_store::Error::Backend(
            "random identifiers are all taken".to_owned(),
        ))
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let data = entries(record)?;
        // Missing is not insert. The layer keeps the cookie of what has ended from the browser.
        let _is_alive = self
            .0
            .update(&record.id.to_string(), &data, lifetime(record))
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let Some(data) = self.0.load(&id.to_string()).await.map_err(failed)? else {
            return Ok(None);
        };
        let Ok(data) = serde_json::from_slice::<Entries>(&data) else {
            tracing::warn!("the data of an app session cannot be read; it counts as none");
            return Ok(None);
        };
        let lifetime = time::Duration::try_from(self.0.lifetime()).unwrap_or(time::Duration::MAX);
        Ok(Some(Record {
            id: *id,
            data,
            // tower-sessions sets it anew before it saves.
            expiry_date: OffsetDateTime::now_utc().saturating_add(lifetime),
        }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.0.delete(&id.to_string()).await.map_err(failed)?;
        Ok(())
    }
}

/// Random identifiers do not meet by chance, so the second attempt is one too many already.
const ATTEMPTS: u32 = 3;

/// tower-sessions' layer over an [`AppSessionStore`], set up for this app; made by
/// [`AuthExt::app_session_layer`](crate::AuthExt::app_session_layer).
///
/// Its cookie is `__Host-app_session` (`app_session` without https): `HttpOnly`, `SameSite=Lax`, `Path=/`, and `Secure`
/// with https. A session ends `AUTH_SESSION_MAX` (7 days by default) after its last change. What depends on a session is not cached.
///
/// It mends what tower-sessions' own layer leaves: the line that takes the cookie away has the attributes that browsers
/// demand; the answer of a slow request neither sets the cookie of a session that has ended meanwhile nor takes away a
/// newer one; a store that is down is a 503 with `Retry-After`, and a session that is too large a 413, not a 500; and a
/// request of another site that would change something neither writes nor sets the cookie.
///
/// ```
/// use auth_axum::{Auth, AuthError, AuthExt, RequireAuth, core::error::SetupError};
/// use axum::{Router, routing::post};
/// use tower_sessions::Session;
///
/// async fn keep_draft(_: RequireAuth, own: Session, draft: String) -> Result<(), AuthError> {
///     Ok(own.insert("draft", draft).await?)
/// }
///
/// fn app(auth: &Auth) -> Result<Router, SetupError> {
///     let app = Router::new().route("/draft", post(keep_draft)).merge(auth.routes());
///     Ok(app.layer(auth.layer()).layer(auth.app_session_layer()?))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AppSessionLayer {
    auth: Auth,
    sessions: AppSessions,
    inner: SessionManagerLayer<AppSessionStore>,
}

impl AppSessionLayer {
    pub(crate) fn new(auth: Auth, sessions: AppSessions) -> Self {
        let lifetime = time::Duration::try_from(sessions.lifetime()).unwrap_or(time::Duration::MAX);
        let inner = SessionManagerLayer::new(AppSessionStore::new(sessions.clone()))
            .with_name(sessions.cookie_name())
            .with_same_site(SameSite::Lax)
            .with_secure(sessions.is_https())
            .with_expiry(Expiry::OnInactivity(lifetime));
        Self {
            auth,
            sessions,
            inner,
        }
    }
}

impl<S> Layer<S> for AppSessionLayer {
    type Service = AppSessionService<<SessionManagerLayer<AppSessionStore> as Layer<S>>::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        AppSessionService {
            inner: self.inner.layer(inner),
            auth: self.auth.clone(),
            sessions: self.sessions.clone(),
        }
    }
}

/// The service that [`AppSessionLayer`] makes: one around tower-sessions' own.
#[derive(Clone, Debug)]
pub struct AppSessionService<S> {
    inner: S,
    auth: Auth,
    sessions: AppSessions,
}

impl<S, B> Service<Request<B>> for AppSessionService<S>
where
    S: Service<Request<B>, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (auth, sessions) = (self.auth.clone(), self.sessions.clone());
        let head = Head(&request);
        let (incoming, brought) = (auth.incoming(&head), sessions.brought(&head));
        if let Some(cookies) = sessions.cookies_without_impostors(&head) {
            request.headers_mut().remove(header::COOKIE);
            if let Ok(cookies) = HeaderValue::try_from(cookies) {
                request.headers_mut().insert(header::COOKIE, cookies);
            }
        }
        let inner = self.inner.call(request);
        Box::pin(async move {
            let (response, watched) = sessions.watch(brought, inner).await;
            Ok(finish(&auth, &incoming, &watched, response?))
        })
    }
}

fn finish(auth: &Auth, incoming: &Incoming, watched: &Watched, mut response: Response) -> Response {
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        if watched.is_too_large() {
            return response::response(auth.refuse_body(incoming));
        }
        if let Some(error) = watched.failure() {
            return response::response(auth.refuse(&error, incoming, &OnRefusal::Automatic));
        }
    }
    mend_cookies(watched, response.headers_mut());
    if watched.is_used() {
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn mend_cookies(watched: &Watched, headers: &mut HeaderMap) {
    if let header::Entry::Occupied(lines) = headers.entry(header::SET_COOKIE) {
        let lines: Vec<HeaderValue> = lines.remove_entry_mult().1.collect();
        for line in lines {
            match line.to_str().map(|text| watched.cookie_line(text)) {
                Ok(Some(mended)) => append_cookie(headers, &mended),
                Ok(None) => {}
                Err(_) => drop(headers.append(header::SET_COOKIE, line)),
            }
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

/// A session's failure, for handlers that answer with an [`AuthError`](crate::AuthError): what lies there does not fit
/// the type, or the store is down.
pub(crate) fn session_error(error: tower_sessions::session::Error) -> Error {
    match error {
        tower_sessions::session::Error::Store(error @ session_store::Error::Backend(_)) => {
            auth_core::store::StoreError::unavailable(error).into()
        }
        _ => auth_core::error::SetupError::AppDataType.into(),
    }
}
