//! From the core's plain answers to actix-web's.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use auth_core::client::ApiError;
use auth_core::error::SetupError;
use auth_core::gate::OnRefusal;
use auth_core::reply::{OWN_PAGE_POLICY, PAGE_HEADERS, Reply};
use auth_core::{Error, Failure, SignInChoices};

/// A request that cannot be answered as asked: nobody is signed in, a right is missing, the provider, the store or a
/// downstream API failed.
///
/// Handlers return it (`?` makes it of [`ApiError`] and [`Error`]), extractors reject with it. The
/// [layer](crate::AuthLayer) turns it into a redirect, a page or `application/problem+json` (RFC 9457).
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
    let mut response = HttpResponse::with_body(status(reply.status), Bytes::from(reply.body));
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
    response.map_into_boxed_body()
}

/// The app's own pages in the place of the library's.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnPages {
    pub(crate) error: Option<OwnPage<Failure>>,
    pub(crate) choice: Option<OwnPage<SignInChoices>>,
}

impl OwnPages {
    /// Puts one of them into an answer that shows what it is for.
    pub(crate) fn replace<B: MessageBody + 'static>(
        &self,
        mut response: ServiceResponse<EitherBody<B>>,
    ) -> ServiceResponse<EitherBody<B>> {
        if let Some(page) = &self.error {
            response = page.replace(response);
        }
        if let Some(page) = &self.choice {
            response = page.replace(response);
        }
        response
    }
}

/// A page that shows a `T`.
pub(crate) struct OwnPage<T>(Arc<MakePage<T>>);

type MakePage<T> = dyn Fn(&T, &HttpRequest) -> HttpResponse + Send + Sync;

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

impl<T: Clone + 'static> OwnPage<T> {
    pub(crate) fn new(page: impl Fn(&T, &HttpRequest) -> HttpResponse + Send + Sync + 'static) -> Self {
        Self(Arc::new(page))
    }

    /// Puts the app's page into an answer that shows a `T`. Status and headers stay the core's; what the app's answer has
    /// besides is added.
    fn replace<B: MessageBody + 'static>(
        &self,
        response: ServiceResponse<EitherBody<B>>,
    ) -> ServiceResponse<EitherBody<B>> {
        let shown = response.response().extensions().get::<T>().cloned();
        let Some(shown) = shown else {
            return response;
        };
        let mut own = (self.0)(&shown, response.request());
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
        own.extensions_mut().insert(shown);
        response.into_response(own).map_into_right_body()
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
