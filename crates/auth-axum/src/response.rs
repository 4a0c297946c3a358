//! From the core's plain answers to axum's.

use std::fmt;
use std::sync::Arc;

use auth_core::client::ApiError;
use auth_core::error::SetupError;
use auth_core::gate::OnRefusal;
use auth_core::reply::{OWN_PAGE_POLICY, PAGE_HEADERS, Reply};
use auth_core::{Error, Failure};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A request that cannot be answered as asked: nobody is signed in, a right is missing, the provider, the store or a
/// downstream API failed.
///
/// Handlers return it (`?` makes it of [`ApiError`] and [`Error`]), extractors reject with it. The
/// [layer](crate::AuthLayer) turns it into a redirect, a page or `application/problem+json`.
///
/// ```
/// use auth_axum::{AuthError, AuthenticatedClient};
///
/// async fn orders(api: AuthenticatedClient) -> Result<String, AuthError> {
///     // A dead provider is a 503 page with `Retry-After`, a missing scope a sign-in that asks for it.
///     Ok(api.get("/orders").send().await?.text().await?)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AuthError {
    pub(crate) error: Error,
    pub(crate) or: OnRefusal,
}

impl AuthError {
    pub(crate) fn new(error: impl Into<Error>) -> Self {
        Self {
            error: error.into(),
            or: OnRefusal::Automatic,
        }
    }

    pub(crate) fn layer_missing() -> Self {
        // Without the layer nobody else will say it.
        tracing::error!(code = "setup.layer_missing", "{}", SetupError::LayerMissing);
        Self::new(SetupError::LayerMissing)
    }

    /// What happened.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl std::fmt::Display for AuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for AuthError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<Error> for AuthError {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

impl From<ApiError> for AuthError {
    fn from(error: ApiError) -> Self {
        Self::new(error)
    }
}

/// For handlers that use the app's own session.
#[cfg(feature = "tower-sessions")]
impl From<tower_sessions::session::Error> for AuthError {
    fn from(error: tower_sessions::session::Error) -> Self {
        Self::new(crate::app_session::session_error(error))
    }
}

impl IntoResponse for AuthError {
    /// The bare status. The layer, which knows the request, puts the rest in its place.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(self);
        response
    }
}

/// Turns the core's answer into axum's. What becomes of the session identifier is the [carrier's](crate::session)
/// business.
pub(crate) fn response(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response
                .headers_mut()
                .append(HeaderName::from_static(name), value);
        }
    }
    if let Some(failure) = reply.failure {
        response.extensions_mut().insert(*failure);
    }
    response
}

/// The app's own page in the place of the library's.
#[derive(Clone)]
pub(crate) struct ErrorPage(Arc<MakePage>);

type MakePage = dyn Fn(&Failure, &Parts) -> Response + Send + Sync;

impl fmt::Debug for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorPage")
    }
}

impl ErrorPage {
    pub(crate) fn new<R: IntoResponse>(page: impl Fn(&Failure, &Parts) -> R + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |failure, request| {
            page(failure, request).into_response()
        }))
    }

    /// Puts the app's page into an answer that shows a failure. Status and headers stay the core's; what the app's
    /// answer has besides is added.
    pub(crate) fn replace(&self, response: Response, request: &Parts) -> Response {
        let Some(failure) = response.extensions().get::<Failure>().cloned() else {
            return response;
        };
        let (own, body) = (self.0)(&failure, request).into_parts();
        let (mut head, _) = response.into_parts();
        for name in PAGE_HEADERS {
            head.headers.remove(name);
        }
        let kept = head.headers.clone();
        for (name, value) in &own.headers {
            if name == header::SET_COOKIE || !kept.contains_key(name) {
                head.headers.append(name, value.clone());
            }
        }
        head.headers.append(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(OWN_PAGE_POLICY),
        );
        Response::from_parts(head, body)
    }
}
