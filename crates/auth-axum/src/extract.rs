//! What handlers ask for.

use std::ops::Deref;

use auth_core::error::SetupError;
use auth_core::session::{Claims, FromClaims, Session};
use auth_core::trace::TraceContext;
use auth_core::{Error, ProviderInfo};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::HeaderValue;
use axum::http::request::Parts;

use crate::response::AuthError;
use crate::session::AuthContext;

/// A signed-in user, whose access token is alive: where it is not, it is refreshed first.
///
/// Without one, a browser is sent to sign in and comes back, a form gets a page with a link to that, and a script gets 401.
/// While the store or the provider is down the answer is 503, and 403 to a request that would change something and comes from
/// another site. It derefs to the [`Session`].
///
/// `C` is what the user's claims are read as: [`Claims`] by default, or any type with `Deserialize`. Claims that do not fit it
/// are a mistake of the application's, and answered with 500.
///
/// ```
/// use auth_axum::RequireAuth;
///
/// async fn hello(user: RequireAuth) -> String {
///     format!("Hello {}", user.claims.name().unwrap_or("you"))
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Employee { department: String }
///
/// async fn department(user: RequireAuth<Employee>) -> String {
///     user.claims.department.clone()
/// }
/// ```
///
/// # `Option<RequireAuth>`
///
/// It is the same as [`MaybeAuth`]: `None` means that nobody is signed in, and nothing else.
#[derive(Clone, Debug)]
pub struct RequireAuth<C = Claims> {
    /// The user's claims, as a `C`.
    pub claims: C,
    /// The session, as it is when the handler runs.
    pub session: Session,
}

impl<C> Deref for RequireAuth<C> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<C: FromClaims> RequireAuth<C> {
    fn of(session: Session) -> Result<Self, AuthError> {
        let claims = C::from_claims(session.claims()).map_err(|_| AuthError::new(SetupError::ClaimsType))?;
        Ok(Self { claims, session })
    }
}

impl<S: Sync, C: FromClaims> FromRequestParts<S> for RequireAuth<C> {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        Self::of(context(parts)?.session().await?)
    }
}

impl<S: Sync, C: FromClaims> OptionalFromRequestParts<S> for RequireAuth<C> {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthError> {
        let session = context(parts)?
            .session()
            .await
            .map(Some)
            .or_else(Error::unless_nobody)?;
        session.map(Self::of).transpose()
    }
}

/// A signed-in user, whose access token is alive, or nobody; the handler decides.
///
/// What cannot be known is refused, and the handler does not run: 503 while the store or the provider is down, 403
/// for a request that would change something and comes from another site. `Option<RequireAuth>` is the same; this name is also
/// that of `auth-actix`.
///
/// ```
/// use auth_axum::MaybeAuth;
///
/// async fn greeting(MaybeAuth(user): MaybeAuth) -> String {
///     match user {
///         Some(user) => format!("Hello {}", user.claims.name().unwrap_or("you")),
///         None => "Hello, whoever you are".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct MaybeAuth<C = Claims>(pub Option<RequireAuth<C>>);

impl<S: Sync, C: FromClaims> FromRequestParts<S> for MaybeAuth<C> {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AuthError> {
        <RequireAuth<C> as OptionalFromRequestParts<S>>::from_request_parts(parts, state)
            .await
            .map(Self)
    }
}

/// The session as it is, if somebody is signed in: nothing is refreshed, and the provider is not waited for. For pages
/// that everyone may see.
///
/// Its access token may be dead, as long as there is something to refresh it with. While the store is down the answer is 503,
/// and 403 to a request that would change something and comes from another site.
///
/// ```
/// use auth_axum::PeekSession;
///
/// async fn corner(PeekSession(session): PeekSession) -> &'static str {
///     match session {
///         Some(_) => r#"<a href="/profile">Profile</a>"#,
///         None => r#"<a href="/auth/login">Sign in</a>"#,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct PeekSession(pub Option<Session>);

impl<S: Sync> FromRequestParts<S> for PeekSession {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        Ok(Self(
            context(parts)?
                .peek()
                .await
                .map(Some)
                .or_else(Error::unless_nobody)?,
        ))
    }
}

/// The providers that users may choose from where the request is: those of [`Auth::providers_at`](auth_core::Auth::providers_at),
/// for a page of the app's own in the place of the library's. It asks for nobody's session.
///
/// ```
/// use auth_axum::Providers;
///
/// async fn welcome(Providers(providers): Providers) -> String {
///     let link = |name: &str| format!("/auth/login?provider={name}&return_to=/orders");
///     let links = providers.iter().map(|provider| link(provider.name.as_deref().unwrap_or_default()));
///     links.collect::<Vec<_>>().join("\n")
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Providers(pub Vec<ProviderInfo>);

impl<S: Sync> FromRequestParts<S> for Providers {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        let context = context(parts)?;
        Ok(Self(context.auth().providers_at(context.incoming())))
    }
}

/// Calls downstream APIs with the signed-in user's access token; see [`auth_core::client::AuthenticatedClient`], which
/// it derefs to.
///
/// Without a signed-in user it rejects as [`RequireAuth`] does. The calls belong to the trace of the request (W3C Trace
/// Context).
///
/// ```
/// use auth_axum::{AuthError, AuthenticatedClient};
///
/// async fn name(api: AuthenticatedClient) -> Result<String, AuthError> {
///     let request = api.get("/scim2/Me").accept("application/scim+json");
///     let me: serde_json::Value = request.send().await?.json().await?;
///     Ok(me["userName"].as_str().unwrap_or_default().to_owned())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AuthenticatedClient(pub auth_core::client::AuthenticatedClient);

impl Deref for AuthenticatedClient {
    type Target = auth_core::client::AuthenticatedClient;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for AuthenticatedClient {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        let context = context(parts)?;
        let session = context.session().await?;
        let values = |name: &str| parts.headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
        let trace = TraceContext::of(values("traceparent"), values("tracestate"));
        Ok(Self(context.auth().client(&session).with_trace(trace)))
    }
}

pub(crate) fn context(parts: &Parts) -> Result<AuthContext, AuthError> {
    parts
        .extensions
        .get::<AuthContext>()
        .cloned()
        .ok_or_else(AuthError::layer_missing)
}
