//! Sessions, made by the library's own routes.

use std::fmt;
use std::time::Duration;

use auth_core::config::paths;
use auth_core::reply::{Reply, SessionChange};
use auth_core::request::RequestHead;
use auth_core::session::Session;
use auth_core::store::SessionKey;
use auth_core::testing::place_roles;
use auth_core::{Auth, Error};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::TestAuth;
use super::browser::{Browser, requests};
use crate::control::Control;
use crate::provider::approve::{ApproveError, Consent};
use crate::provider::grants::FirstToken;
use crate::provider::user::User;
use crate::random;

/// A session to be made, of a user who is still to be described; begun by [`TestAuth::user`].
///
/// One `sub` is one user: what a later session says of the same user's claims is what the provider says from then on, also when it
/// refreshes an earlier session.
///
/// ```
/// use std::time::Duration;
///
/// use auth_testing::TestAuth;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = TestAuth::new().await;
/// let ada = auth
///     .user("ada")
///     .roles(["admin"])
///     .claim("department", "engines")
///     .scopes(["profile", "orders:read"])
///     .amr(["pwd", "otp"])
///     .authenticated_ago(Duration::from_secs(600))
///     .access_token_expired()
///     .signed_in()
///     .await;
///
/// let session = ada.session().await?.ok_or("ada is signed in")?;
/// assert!(session.claims().has_role("admin"));
/// assert_eq!(session.claims().get("department"), Some(&"engines".into()));
/// assert!(session.scopes().contains("orders:read"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct SessionBuilder<'a> {
    test: &'a TestAuth,
    provider: Option<String>,
    user: User,
    roles: Option<Vec<String>>,
    consent: Consent,
}

impl fmt::Debug for SessionBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl<'a> SessionBuilder<'a> {
    pub(super) fn new(test: &'a TestAuth, subject: String) -> Self {
        let user = User {
            sub: subject,
            claims: Map::new(),
            userinfo: Map::new(),
            is_open: true,
            scim_email_objects: false,
        };
        Self {
            test,
            provider: None,
            user,
            roles: None,
            consent: Consent {
                scopes: None,
                is_refreshable: true,
                first_token: FirstToken::default(),
                acr: None,
                amr: None,
                authenticated_ago: Duration::ZERO,
            },
        }
    }

    /// The name of the provider to sign in with ([`TestAuthBuilder::provider`](super::TestAuthBuilder::provider)). Default: the first.
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// The user's roles, in place of earlier ones. Default: none. They stand in the ID token where the application's
    /// [`roles_claims`](auth_core::AuthBuilder::roles_claims) looks for them first.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// The scopes that the provider grants, beside `openid`. Default: all that the application asks for.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.consent.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// A claim of the ID token and of userinfo, whatever the scopes. What the protocol itself says there (`iss`, `aud`, `exp`,
    /// `nonce`, …) stays.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.user.claims.insert(name.into(), value.into());
        self
    }

    /// A claim that userinfo alone has (OIDC Core §5.3.2), and the ID token lacks.
    pub fn userinfo_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.user.userinfo.insert(name.into(), value.into());
        self
    }

    /// How strongly the user was authenticated (`acr`, OIDC Core §2). Default: the first value that the application asks for, or
    /// else one of the provider's own.
    pub fn acr(mut self, acr: impl Into<String>) -> Self {
        self.consent.acr = Some(acr.into());
        self
    }

    /// By which methods the user was authenticated (`amr`, RFC 8176), in place of earlier ones. Default: `user`.
    pub fn amr<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.consent.amr = Some(methods.into_iter().map(Into::into).collect());
        self
    }

    /// How long ago the user has proved who they are (`auth_time`, OIDC Core §2), in whole seconds. Default: just now.
    pub fn authenticated_ago(mut self, length: Duration) -> Self {
        self.consent.authenticated_ago = length;
        self
    }

    /// The text of the first access token: visible ASCII without spaces, for anything else cannot be sent as a bearer token
    /// (RFC 6750 §2.1), and the sign-in fails. Default: a JWT (RFC 9068).
    pub fn access_token(mut self, text: impl Into<String>) -> Self {
        self.consent.first_token.text = Some(text.into());
        self
    }

    /// How long the first access token lives, in whole seconds; zero is dead from the start. Default: as
    /// [the provider's settings](crate::Control::set_access_token_lifetime) say, 300 s.
    pub fn access_token_lifetime(mut self, length: Duration) -> Self {
        self.consent.first_token.lifetime = Some(length);
        self
    }

    /// Lets the first access token be dead from the start: the first handler that needs it has it refreshed.
    pub fn access_token_expired(self) -> Self {
        self.access_token_lifetime(Duration::ZERO)
    }

    /// Lets the provider give no refresh token: the session is over with its access token. Default: it gives one.
    pub fn without_refresh_token(mut self) -> Self {
        self.consent.is_refreshable = false;
        self
    }

    /// Signs the user in, by the library's own routes.
    ///
    /// # Panics
    ///
    /// Where the sign-in fails, with what [`try_signed_in`](Self::try_signed_in) gives.
    pub async fn signed_in(self) -> TestSession {
        match self.try_signed_in().await {
            Ok(session) => session,
            Err(error) => panic!("{error}"),
        }
    }

    /// Signs the user in, for tests of sign-ins that fail.
    ///
    /// # Errors
    ///
    /// [`SignInError::Refused`] where the application refuses (a hook, say) or the sign-in fails there,
    /// [`SignInError::Provider`] where the provider does not go back to the application, and [`SignInError::NoSuchProvider`] where
    /// none has the name that [`provider`](Self::provider) says.
    pub async fn try_signed_in(mut self) -> Result<TestSession, SignInError> {
        let name = self.provider.clone();
        let known = self.test.known(name.as_deref());
        let known = known.ok_or_else(|| SignInError::NoSuchProvider(name.unwrap_or_default()))?;
        let auth = self.test.auth();
        if let Some(roles) = &self.roles {
            place_roles(&auth, known.name.as_deref(), roles, &mut self.user.claims);
        }
        let subject = self.user.sub.clone();

        let query = known.name.as_ref().map(|name| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("provider", name).finish()
        });
        let login = Head::get(paths::LOGIN, query.as_deref().unwrap_or_default());
        let reply = auth.login(auth.route_request(&login, Vec::new(), None)).await;
        let location = header(&reply, "location").filter(|_| reply.failure.is_none());
        let location = location.ok_or_else(|| SignInError::refused(&reply))?;
        let approval = known
            .provider
            .approve_as(location, self.user, self.consent)
            .await?;

        let callback = Url::parse(&approval.callback_url);
        let callback = callback.map_err(|_| ApproveError::NotAuthorizationUrl)?;
        let mut head = Head::get(callback.path(), callback.query().unwrap_or_default());
        head.cookies = cookies(&reply);
        let mut body = Vec::new();
        if let Some(form) = &approval.form {
            head.method = "POST";
            body = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(form)
                .finish()
                .into();
        }
        let request = auth.route_request(&head, body, None);
        let reply = match &known.name {
            None => auth.callback(request).await,
            Some(name) => auth.callback_of(name, request).await,
        };
        let SessionChange::Set { id, .. } = &reply.session else {
            return Err(SignInError::refused(&reply));
        };
        let line = auth.session_cookie(&reply.session);
        let cookie = line.as_deref().and_then(|line| line.split(';').next());
        Ok(TestSession {
            browser: Browser::new(auth.base_url(), cookie.map(str::to_owned)),
            key: id.key(),
            subject,
            provider: known.provider.control().clone(),
            auth,
        })
    }
}

/// Why nobody was signed in; see [`SessionBuilder::try_signed_in`].
///
/// ```
/// use auth_axum::{Refused, SignIn};
/// use auth_testing::TestAuth;
///
/// async fn staff_only(sign_in: SignIn) -> Result<SignIn, Refused> {
///     match sign_in.claims().email() {
///         Some(email) if email.ends_with("@example.com") => Ok(sign_in),
///         _ => Err(Refused::because("not one of the staff")),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = TestAuth::with(|settings| settings.on_sign_in(staff_only)).await?;
/// let mallory = auth.user("mallory").claim("email", "mallory@elsewhere.example");
/// let refused = mallory.try_signed_in().await.err().ok_or("mallory is not one of the staff")?;
/// assert_eq!(refused.code(), Some("login.refused_by_app"));
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The application refuses, or cannot go on.
    #[error("the sign-in fails with {code}: {cause}")]
    Refused {
        /// The failure's stable code, such as `login.refused_by_app`; `setup` where the answer is no failure, and no sign-in
        /// either.
        code: &'static str,
        /// What happened, as the library's own page says it.
        cause: String,
    },
    /// The provider shows an error page, and does not go back to the application.
    #[error("the provider shows an error page")]
    Provider(#[from] ApproveError),
    /// No provider has the name that [`SessionBuilder::provider`] says.
    #[error("no provider is named `{0}`")]
    NoSuchProvider(String),
}

impl SignInError {
    fn refused(reply: &Reply) -> Self {
        let (code, cause) = reply.failure.as_ref().map_or_else(
            || {
                (
                    "setup",
                    format!("the answer is {} without a failure", reply.status),
                )
            },
            |failure| {
                let words = [Some(failure.cause()), failure.detail()];
                let words: Vec<_> = words.into_iter().flatten().collect();
                (failure.code(), words.join(" "))
            },
        );
        Self::Refused { code, cause }
    }

    /// The failure's stable code, such as `login.refused_by_app`; `None` where the application has not answered.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Provider(_) | Self::NoSuchProvider(_) => None,
        }
    }
}

/// A user who is signed in, and their browser.
///
/// The cookie is the library's own; where the application keeps the identifier in the session layer that it has, it
/// does not look at this one.
///
/// ```
/// use auth_testing::TestAuth;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = TestAuth::new().await;
/// let ada = auth.user("ada").roles(["admin"]).signed_in().await;
/// let request = ada.get("/orders");
/// assert!(request.headers().contains_key("cookie"));
///
/// ada.end().await?;
/// assert!(ada.session().await?.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TestSession {
    browser: Browser,
    auth: Auth,
    key: SessionKey,
    subject: String,
    provider: Control,
}

/// Shows no cookie.
impl fmt::Debug for TestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSession")
            .field("subject", &self.subject)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl TestSession {
    requests!();

    /// The `Cookie` header alone, name and value: what a page of another site would bring along, where browsers let it.
    #[must_use]
    pub fn cookie(&self) -> (&'static str, String) {
        self.browser.cookie().unwrap_or_default()
    }

    /// The user's `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The session's key in the store.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The session as it is now, and `None` where it has ended. Nothing is refreshed.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store fails.
    pub async fn session(&self) -> Result<Option<Session>, Error> {
        self.auth.session(&self.key).await
    }

    /// Ends the session here, as an operator would. One that is over stays so.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store fails.
    pub async fn end(&self) -> Result<(), Error> {
        match self.session().await? {
            Some(session) => self.auth.end_session(&session).await,
            None => Ok(()),
        }
    }

    /// Lets the provider revoke all tokens of this user, without telling the application: the next refresh ends the session, and
    /// APIs answer 401.
    pub fn revoke_at_provider(&self) {
        self.provider.revoke_user(&self.subject);
    }

    /// Lets the provider sign the user out, and tell the application (Back-Channel Logout 1.0 §2.5). Gives the status of the
    /// application's answer (§2.8): 200 where it has ended the session.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store fails.
    pub async fn sign_out_at_provider(&self) -> Result<u16, Error> {
        let provider = &self.provider.provider;
        let now = provider.now();
        let mut claims = Map::new();
        let session = self.session().await?;
        for (name, value) in [
            ("iss", json!(provider.issuer)),
            ("sub", json!(self.subject)),
            ("aud", json!(super::CLIENT_ID)),
            ("iat", json!(now)),
            ("exp", json!(now + 120)),
            ("jti", json!(random::token())),
            (
                "events",
                json!({ "http://schemas.openid.net/event/backchannel-logout": {} }),
            ),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(sid) = session.as_ref().and_then(Session::sid) {
            claims.insert("sid".to_owned(), json!(sid));
        }
        self.revoke_at_provider();
        let token = self.provider.sign_jwt("logout+jwt", &claims);
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("logout_token", &token)
            .finish();
        let mut head = Head::get(paths::BACKCHANNEL_LOGOUT, "");
        head.method = "POST";
        let request = self.auth.route_request(&head, body.into(), None);
        Ok(self.auth.backchannel_logout(request).await.status)
    }
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let mut headers = reply.headers.iter();
    let (_, value) = headers.find(|(held, _)| *held == name)?;
    Some(value)
}

/// The cookies that an answer sets, as the browser sends them back.
fn cookies(reply: &Reply) -> String {
    let lines = reply.headers.iter().filter(|(name, _)| *name == "set-cookie");
    let pairs: Vec<_> = lines.filter_map(|(_, line)| line.split(';').next()).collect();
    pairs.join("; ")
}

/// The head of a browser's request to one of the library's routes.
struct Head {
    method: &'static str,
    path: String,
    query: String,
    cookies: String,
}

impl Head {
    fn get(path: &str, query: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            query: query.to_owned(),
            cookies: String::new(),
        }
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        (!self.query.is_empty()).then_some(&self.query)
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        match name {
            "accept" => each("text/html"),
            "cookie" if !self.cookies.is_empty() => each(&self.cookies),
            "content-type" if self.method == "POST" => each("application/x-www-form-urlencoded"),
            _ => {}
        }
    }
}
