//! From the core's plain answers to axum's.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use auth_core::client::ApiError;
use auth_core::error::SetupError;
use auth_core::gate::OnRefusal;
use auth_core::reply::{OWN_PAGE_POLICY, PAGE_HEADERS, Reply};
use auth_core::{Error, Failure, SignInChoices};
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A request that cannot be answered as asked: nobody is signed in, a right is missing, the provider, the store or a
/// downstream API failed.
///
/// Handlers return it (`?` makes it of [`ApiError`] and [`Error`]), extractors reject with it. The
/// [layer](crate::AuthLayer) turns it into a redirect, a page or `application/problem+json` (RFC 9457).
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

    /// What happened, with a stable code and whose fault it is.
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
    let mut response = Response::new(Body::from(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        let value = match value {
            Cow::Borrowed(value) => Bytes::from_static(value.as_bytes()),
            Cow::Owned(value) => Bytes::from(value),
        };
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            response
                .headers_mut()
                .append(HeaderName::from_static(name), value);
        }
    }
    if let Some(failure) = reply.failure {
        response.extensions_mut().insert(*failure);
    }
    if let Some(choices) = reply.choices {
        response.extensions_mut().insert(*choices);
    }
    response
}

/// The app's own pages in the place of the library's.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnPages {
    pub(crate) error: Option<OwnPage<Failure>>,
    pub(crate) choice: Option<OwnPage<SignInChoices>>,
}

impl OwnPages {
    pub(crate) fn is_empty(&self) -> bool {
        self.error.is_none() && self.choice.is_none()
    }

    /// Puts one of them into an answer that shows what it is for.
    pub(crate) fn replace(&self, mut response: Response, request: &Parts) -> Response {
        if let Some(page) = &self.error {
            response = page.replace(response, request);
        }
        if let Some(page) = &self.choice {
            response = page.replace(response, request);
        }
        response
    }
}

/// A page that shows a `T`.
pub(crate) struct OwnPage<T>(Arc<MakePage<T>>);

type MakePage<T> = dyn Fn(&T, &Parts) -> Response + Send + Sync;

impl<T> Clone for OwnPage<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for OwnPage<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnPage")
    }
}

impl<T: Clone + Send + Sync + 'static> OwnPage<T> {
    pub(crate) fn new<R: IntoResponse>(page: impl Fn(&T, &Parts) -> R + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |shown, request| {
            page(shown, request).into_response()
        }))
    }

    /// Puts the app's page into an answer that shows a `T`. Status and headers stay the core's; what the app's answer has
    /// besides is added.
    fn replace(&self, response: Response, request: &Parts) -> Response {
        let Some(shown) = response.extensions().get::<T>().cloned() else {
            return response;
        };
        let (own, body) = (self.0)(&shown, request).into_parts();
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
