//! What handlers ask for.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderValue;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use auth_core::error::SetupError;
use auth_core::session::{Claims, FromClaims, Session};
use auth_core::trace::TraceContext;
use auth_core::{Error, ProviderInfo};

use crate::LocalFuture;
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
/// use auth_actix::RequireAuth;
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
/// Use [`MaybeAuth`] instead. actix-web makes `None` of every error of an extractor, and no library can change that:
/// `None` would also mean that the store is down, or that the request comes from another site. The handler would run
/// as if nobody were signed in. The layer then does not send what the handler made of it: whenever this extractor
/// fails for another reason than that nobody is signed in, the answer is the refusal. `Result<RequireAuth, AuthError>`
/// is no way around that either.
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

impl<C: FromClaims + 'static> FromRequest for RequireAuth<C> {
    type Error = AuthError;
    type Future = LocalFuture<Result<Self, AuthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = context(request);
        Box::pin(async move {
            let context = context?;
            let user = context
                .session()
                .await
                .map_err(AuthError::from)
                .and_then(Self::of);
            insisted(&context, user)
        })
    }
}

/// A signed-in user, whose access token is alive, or nobody; the handler decides.
///
/// What cannot be known is refused, and the handler does not run: 503 while the store or the provider is down, 403
/// for a request that would change something and comes from another site.
///
/// ```
/// use auth_actix::MaybeAuth;
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

impl<C: FromClaims + 'static> FromRequest for MaybeAuth<C> {
    type Error = AuthError;
    type Future = LocalFuture<Result<Self, AuthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = context(request);
        Box::pin(async move {
            let session = context?.session().await.map(Some).or_else(Error::unless_nobody)?;
            session.map(RequireAuth::of).transpose().map(Self)
        })
    }
}

/// The session as it is, if somebody is signed in: nothing is refreshed, and the provider is not waited for. For pages
/// that everyone may see.
///
/// Its access token may be dead, as long as there is something to refresh it with. While the store is down the answer is 503,
/// and 403 to a request that would change something and comes from another site.
///
/// ```
/// use auth_actix::PeekSession;
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

impl FromRequest for PeekSession {
    type Error = AuthError;
    type Future = LocalFuture<Result<Self, AuthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = context(request);
        Box::pin(async move {
            let context = context?;
            let peeked = context.peek().await.map(Some).or_else(Error::unless_nobody);
            insisted(&context, peeked.map(Self).map_err(AuthError::from))
        })
    }
}

/// The providers that users may choose from where the request is: those of [`Auth::providers_at`](auth_core::Auth::providers_at),
/// for a page of the app's own in the place of the library's. It asks for nobody's session.
///
/// ```
/// use auth_actix::Providers;
///
/// async fn welcome(Providers(providers): Providers) -> String {
///     let link = |name: &str| format!("/auth/login?provider={name}&return_to=/orders");
///     let links = providers.iter().map(|provider| link(provider.name.as_deref().unwrap_or_default()));
///     links.collect::<Vec<_>>().join("\n")
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Providers(pub Vec<ProviderInfo>);

impl FromRequest for Providers {
    type Error = AuthError;
    type Future = Ready<Result<Self, AuthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let providers = |context: AuthContext| Self(context.auth().providers_at(context.incoming()));
        ready(context(request).map(providers))
    }
}

/// Calls downstream APIs with the signed-in user's access token; see [`auth_core::client::AuthenticatedClient`], which
/// it derefs to.
///
/// Without a signed-in user it rejects as [`RequireAuth`] does. The calls belong to the trace of the request (W3C Trace
/// Context).
///
/// ```
/// use auth_actix::{AuthError, AuthenticatedClient};
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

impl FromRequest for AuthenticatedClient {
    type Error = AuthError;
    type Future = LocalFuture<Result<Self, AuthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = context(request);
        let values = |name: &str| request.headers().get_all(name).map(HeaderValue::as_bytes);
        let trace = TraceContext::of(values("traceparent"), values("tracestate"));
        Box::pin(async move {
            let context = context?;
            let session = context.session().await.map_err(AuthError::from);
            let client = |session| Self(context.auth().client(&session).with_trace(trace));
            insisted(&context, session.map(client))
        })
    }
}

/// Where a handler asks for an `Option` of an extractor, the error ends in it; but an outage is not "nobody", and the
/// answer must not say so.
pub(crate) fn insisted<T>(context: &AuthContext, extracted: Result<T, AuthError>) -> Result<T, AuthError> {
    if let Err(refusal) = &extracted
        && !matches!(refusal.error, Error::NotSignedIn(_))
    {
        context.insist_on(refusal.clone());
    }
    extracted
}

pub(crate) fn context(request: &HttpRequest) -> Result<AuthContext, AuthError> {
    request
        .extensions()
        .get::<AuthContext>()
        .cloned()
        .ok_or_else(AuthError::layer_missing)
}
