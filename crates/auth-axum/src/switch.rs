//! Other tokens for the session of a request.

use std::fmt;

use auth_core::grants::{CustomGrant, Switched};
use auth_core::session::Session;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use crate::extract::context;
use crate::response::AuthError;
use crate::session::{self, AuthContext};

/// Lets a handler put other tokens in the place of the session's, by a grant of the provider's such as
/// `organization_switch`. Without a signed-in user it rejects as [`RequireAuth`](crate::RequireAuth) does.
///
/// The session gets a new identifier with them, which the [layer](crate::AuthLayer) gives to the browser, whatever the
/// handler answers. (tower-sessions throws away what has changed where the answer is a 5xx: where its session carries the
/// identifier, the user is signed out then.) What such a switch checks is said at
/// [`Auth::switch`](auth_core::Auth::switch). It changes something, so it belongs on a route that browsers post to.
///
/// ```
/// use auth_axum::{AuthError, SwitchSession, core::grants::CustomGrant};
/// use axum::{extract::Path, response::Redirect};
///
/// async fn switch(Path(organization): Path<String>, session: SwitchSession) -> Result<Redirect, AuthError> {
///     let grant = CustomGrant::new("organization_switch")
///         .template("token", "{{accessToken}}")
///         .template("scope", "{{scopes}}")
///         .param("switching_organization", organization);
///     session.switch(&grant).await?;
///     Ok(Redirect::to("/"))
/// }
/// ```
pub struct SwitchSession {
    context: AuthContext,
    session: Session,
    extensions: Extensions,
}

impl fmt::Debug for SwitchSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwitchSession")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl SwitchSession {
    /// The session as it is before the switch.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Makes the grant's tokens the session's; gives the session as it is then. Other extractors of this request still
    /// hold the old one.
    ///
    /// # Errors
    ///
    /// As [`Auth::switch`](auth_core::Auth::switch); the session is then as it was. Where only the app's own session cannot be moved
    /// to the new identifier, the error is that of its store, and the user is signed out.
    pub async fn switch(self, grant: &CustomGrant) -> Result<Session, AuthError> {
        let Switched { session, change } = self.context.auth().switch(&self.session, grant).await?;
        let mut headers = HeaderMap::new();
        let changed = session::change(&self.context, &change, &self.extensions, &mut headers).await;
        self.context.send_along(headers);
        changed?;
        Ok(session)
    }
}

impl<S: Sync> FromRequestParts<S> for SwitchSession {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        let context = context(parts)?;
        let session = context.session().await?;
        Ok(Self {
            context,
            session,
            extensions: parts.extensions.clone(),
        })
    }
}
