//! The browser's part at the provider, for tests without a browser.

use std::fmt;
#[cfg(feature = "kit")]
use std::sync::Arc;
#[cfg(feature = "kit")]
use std::time::Duration;

use url::Url;

use super::DevProvider;
use super::authorize::{AuthorizationRequest, AuthorizationResponse, Refusal};
#[cfg(feature = "kit")]
use super::grants::FirstToken;
#[cfg(feature = "kit")]
use super::user::User;
use crate::control::{Endpoint, RecordedRequest};
use crate::params::Params;

/// Where the provider sends the browser after a sign-in, made by [`DevProvider::approve`] and [`DevProvider::deny`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Approval {
    /// The URL to go to: with the response in its query, or the bare redirect URI where there is a `form`.
    pub callback_url: String,
    /// The form to post there, names and values, for `response_mode=form_post`.
    pub form: Option<Vec<(String, String)>>,
}

/// Shows no parameters: they hold the code.
impl fmt::Debug for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.callback_url.split('?').next();
        f.debug_struct("Approval")
            .field("callback_url", &url)
            .field("form", &self.form.is_some())
            .finish()
    }
}

/// What a person agrees to, and how they have signed in.
#[cfg(feature = "kit")]
#[derive(Clone)]
pub(crate) struct Consent {
    /// What is granted besides `openid`; `None` for all that is asked for.
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) is_refreshable: bool,
    pub(crate) first_token: FirstToken,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Option<Vec<String>>,
    pub(crate) authenticated_ago: Duration,
}

/// Why the provider shows a page of its own instead of going back to the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApproveError {
    /// The text is no URL of this provider's authorization endpoint.
    #[error("not an authorization request for this provider")]
    NotAuthorizationUrl,
    /// The provider shows an error page, because it does not trust the client or the redirect URI (RFC 6749 §4.1.2.1), and says
    /// why.
    #[error("the provider refuses the authorization request: {0}")]
    Refused(&'static str),
    /// No user has this `sub`.
    #[error("no demo user {0}")]
    UnknownUser(String),
}

impl DevProvider {
    /// Opens the authorization URL in a fresh browser, as it were, and signs in as the user whose `sub` is `user`.
    ///
    /// Where the provider answers the client with an error (a missing `code_challenge`, `prompt=none`), the approval
    /// holds that error. Faults of [`Endpoint::Authorize`] do not apply; holds, counts and records do.
    ///
    /// # Errors
    ///
    /// [`ApproveError`] where a browser would be left with an error page.
    pub async fn approve(&self, authorization_url: &str, user: &str) -> Result<Approval, ApproveError> {
        let provider = self.provider();
        let user = provider
            .user(user)
            .ok_or_else(|| ApproveError::UnknownUser(user.to_owned()))?;
        let request = match self.open(authorization_url).await? {
            Ok(request) => request,
            Err(response) => return Ok(response.into()),
        };
        let session = provider.sign_on(&request, &user);
        Ok(provider.approve(&request, &session).into())
    }

    /// Opens the authorization URL in a fresh browser, as it were, and presses "Deny": the approval holds the error
    /// `access_denied` (RFC 6749 §4.1.2.1).
    ///
    /// # Errors
    ///
    /// [`ApproveError`] where a browser would be left with an error page.
    pub async fn deny(&self, authorization_url: &str) -> Result<Approval, ApproveError> {
        Ok(match self.open(authorization_url).await? {
            Ok(request) => self.provider().deny(&request).into(),
            Err(response) => response.into(),
        })
    }

    /// Opens the authorization URL as a person who is not among the demo users, and agrees to what `consent` says.
    #[cfg(feature = "kit")]
    pub(crate) async fn approve_as(
        &self,
        authorization_url: &str,
        person: User,
        consent: Consent,
    ) -> Result<Approval, ApproveError> {
        let provider = self.provider();
        let request = match self.open(authorization_url).await? {
            Ok(request) => request,
            Err(response) => return Ok(response.into()),
        };
        let mut session = provider.sign_on(&request, &person);
        provider.admit(Arc::new(person));
        let sign_on = &mut session.sign_on;
        if let Some(acr) = consent.acr {
            sign_on.acr = acr;
        }
        if let Some(amr) = consent.amr {
            sign_on.amr = amr;
        }
        let age = i64::try_from(consent.authenticated_ago.as_secs()).unwrap_or(i64::MAX);
        sign_on.auth_time = sign_on.auth_time.saturating_sub(age);
        let mut grant = request.grant(&session);
        if let Some(scopes) = consent.scopes {
            grant.scope = scopes;
            grant.scope.insert(0, "openid".to_owned());
        }
        if !consent.is_refreshable {
            grant.scope.retain(|scope| scope != "offline_access");
        }
        grant.is_refreshable = consent.is_refreshable;
        grant.first_token = consent.first_token;
        Ok(provider.approve_grant(&request, grant).into())
    }

    async fn open(
        &self,
        authorization_url: &str,
    ) -> Result<Result<AuthorizationRequest, AuthorizationResponse>, ApproveError> {
        let provider = self.provider();
        let url = Url::parse(authorization_url).map_err(|_| ApproveError::NotAuthorizationUrl)?;
        if url.origin().ascii_serialization() != provider.issuer || url.path() != "/authorize" {
            return Err(ApproveError::NotAuthorizationUrl);
        }
        let query = url.query().unwrap_or_default();
        let note = RecordedRequest {
            method: "GET".to_owned(),
            path: url.path().to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            form: Vec::new(),
        };
        provider.traffic.note(Endpoint::Authorize, note).await;
        let checked = provider
            .authorization_request(Params::parse(query.as_bytes()))
            .and_then(|request| {
                provider.without_asking(&request, None)?;
                Ok(request)
            });
        match checked {
            Ok(request) => Ok(Ok(request)),
            Err(Refusal::Redirect(response)) => Ok(Err(response)),
            Err(Refusal::Page(why)) => Err(ApproveError::Refused(why)),
        }
    }
}

impl From<AuthorizationResponse> for Approval {
    fn from(response: AuthorizationResponse) -> Self {
        if response.form_post {
            Self {
                callback_url: response.redirect_uri,
                form: Some(response.params),
            }
        } else {
            Self {
                callback_url: response.query_url(),
                form: None,
            }
        }
    }
}
