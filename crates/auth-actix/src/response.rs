//! From the core's plain answers to actix-web's.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use auth_core::Error;
use auth_core::client::ApiError;
use auth_core::error::SetupError;
use auth_core::gate::OnRefusal;
use auth_core::reply::Reply;

/// A request that cannot be answered as asked: nobody is signed in, a right is missing, the provider, the store or a
/// downstream API failed.
///
/// Handlers return it (`?` makes it of [`ApiError`] and [`Error`]), extractors reject with it. The
/// [layer](crate::AuthLayer) turns it into a redirect, a page or `application/problem+json`.
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
        let error = SetupError::LayerMissing;
        // There is no layer that would say so.
        tracing::error!("{error}");
        Self::new(error)
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
#[cfg(feature = "actix-session")]
impl From<actix_session::SessionGetError> for AuthError {
    fn from(_: actix_session::SessionGetError) -> Self {
        Self::new(SetupError::AppDataType)
    }
}

/// For handlers that use the app's own session.
#[cfg(feature = "actix-session")]
impl From<actix_session::SessionInsertError> for AuthError {
    fn from(_: actix_session::SessionInsertError) -> Self {
        Self::new(SetupError::AppDataType)
    }
}

impl ResponseError for AuthError {
    fn status_code(&self) -> StatusCode {
        status(self.error.status())
    }

    /// The bare status. The layer, which knows the request, puts the rest in its place.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        response.extensions_mut().insert(self.clone());
        response
    }
}

pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Turns the core's answer into actix-web's. What becomes of the session identifier is the
/// [carrier's](crate::session) business.
pub(crate) fn response(reply: Reply) -> HttpResponse {
    let mut response = HttpResponse::with_body(status(reply.status), reply.body);
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response
                .headers_mut()
                .append(HeaderName::from_static(name), value);
        }
    }
    response.map_into_boxed_body()
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
