//! From the core's plain answers to actix-web's.

use std::fmt;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use auth_core::client::ApiError;
use auth_core::error::SetupError;
use auth_core::gate::OnRefusal;
use auth_core::reply::{OWN_PAGE_POLICY, PAGE_HEADERS, Reply};
use auth_core::{Error, Failure};

/// A request that cannot be answered as asked: nobody is signed in, a right is missing, the provider, the store or a
/// downstream API failed.
///
/// Handlers return it (`?` makes it of [`ApiError`] and [`Error`]), extractors reject with it. The
/// [layer](crate::AuthLayer) turns it into a redirect, a page or `application/problem+json`.
///
/// ```
/// use auth_actix::{AuthError, AuthenticatedClient};
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
    if let Some(failure) = reply.failure {
        response.extensions_mut().insert(*failure);
    }
    response.map_into_boxed_body()
}

/// The app's own page in the place of the library's.
#[derive(Clone)]
pub(crate) struct ErrorPage(Arc<MakePage>);

type MakePage = dyn Fn(&Failure, &HttpRequest) -> HttpResponse + Send + Sync;

impl fmt::Debug for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorPage")
    }
}

impl ErrorPage {
    pub(crate) fn new(page: impl Fn(&Failure, &HttpRequest) -> HttpResponse + Send + Sync + 'static) -> Self {
        Self(Arc::new(page))
    }

    /// Puts the app's page into an answer that shows a failure. Status and headers stay the core's; what the app's
    /// answer has besides is added.
    pub(crate) fn replace<B: MessageBody + 'static>(
        &self,
        response: ServiceResponse<EitherBody<B>>,
    ) -> ServiceResponse<EitherBody<B>> {
        let failure = response.response().extensions().get::<Failure>().cloned();
        let Some(failure) = failure else {
            return response;
        };
        let mut own = (self.0)(&failure, response.request());
        let mut headers = response.headers().clone();
        for name in PAGE_HEADERS {
            headers.remove(name);
        }
        let kept = headers.clone();
        for (name, value) in own.headers() {
            if *name == header::SET_COOKIE || !kept.contains_key(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.append(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(OWN_PAGE_POLICY),
        );
        *own.status_mut() = response.status();
        *own.headers_mut() = headers;
        own.extensions_mut().insert(failure);
        response.into_response(own).map_into_right_body()
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
