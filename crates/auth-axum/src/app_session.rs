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
/// [`AppSessions::MAX_DATA`] bytes of JSON.
#[derive(Clone, Debug)]
pub struct AppSessionStore(AppSessions);

impl AppSessionStore {
    pub(crate) fn new(sessions: AppSessions) -> Self {
        Self(sessions)
    }
}

/// What lies in the store: the entries, and when the session ends, in seconds since 1970.
type Kept<'a> = (std::borrow::Cow<'a, HashMap<String, serde_json::Value>>, i64);

fn kept(record: &Record) -> session_store::Result<Vec<u8>> {
    let kept: Kept<'_> = (
        std::borrow::Cow::Borrowed(&record.data),
        record.expiry_date.unix_timestamp(),
    );
    serde_json::to_vec(&kept).map_err(|error| session_store::Error::Encode(error.to_string()))
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
        let data = kept(record)?;
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
        let data = kept(record)?;
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
        let (data, end): Kept<'_> =
            serde_json::from_slice(&data).map_err(|error| session_store::Error::Decode(error.to_string()))?;
        Ok(Some(Record {
            id: *id,
            data: data.into_owned(),
            expiry_date: OffsetDateTime::from_unix_timestamp(end)
                .map_err(|error| session_store::Error::Decode(error.to_string()))?,
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
/// with https. A session ends `AUTH_SESSION_MAX` after its last change. What depends on a session is not cached.
///
/// It mends what tower-sessions' own layer leaves: the line that takes the cookie away has the attributes that browsers
/// demand; the answer of a slow request neither sets the cookie of a session that has ended meanwhile nor takes away a
/// newer one; and a store that is down is a 503 with `Retry-After`, not a 500.
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

/// The service that [`AppSessionLayer`] makes, around tower-sessions' own.
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (auth, sessions) = (self.auth.clone(), self.sessions.clone());
        let incoming = auth.incoming(&Head(&request));
        let inner = self.inner.call(request);
        Box::pin(async move {
            let (response, watched) = sessions.watch(inner).await;
            Ok(finish(&auth, &incoming, &watched, response?))
        })
    }
}

fn finish(auth: &Auth, incoming: &Incoming, watched: &Watched, mut response: Response) -> Response {
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && let Some(error) = watched.failure()
    {
        return response::response(auth.refuse(&error, incoming, &OnRefusal::Automatic));
    }
    if watched.is_used() {
        mend_cookies(watched, response.headers_mut());
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn mend_cookies(watched: &Watched, headers: &mut HeaderMap) {
    let header::Entry::Occupied(lines) = headers.entry(header::SET_COOKIE) else {
        return;
    };
    let (name, lines) = lines.remove_entry_mult();
    let lines: Vec<HeaderValue> = lines.collect();
    for line in lines {
        let Ok(text) = line.to_str() else {
            headers.append(&name, line);
            continue;
        };
        if let Some(mended) = watched.cookie_line(text)
            && let Ok(mut value) = HeaderValue::from_str(&mended)
        {
            value.set_sensitive(true);
            headers.append(&name, value);
        }
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
