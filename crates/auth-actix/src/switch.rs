//! Other tokens for the session of a request.

use std::fmt;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};
use auth_core::grants::{CustomGrant, Switched};
use auth_core::session::Session;

use crate::LocalFuture;
use crate::extract::{context, insisted};
use crate::response::AuthError;
use crate::session::{self, AuthContext};

/// Lets a handler put other tokens in the place of the session's, by a grant of the provider's such as
/// `organization_switch`. Without a signed-in user it rejects as [`RequireAuth`](crate::RequireAuth) does.
///
/// The session gets a new identifier with them, which the [layer](crate::AuthLayer) gives to the browser, whatever the
/// handler answers. What such a switch checks is said at [`Auth::switch`](auth_core::Auth::switch). It changes something,
/// so it belongs on a route that browsers post to.
///
/// ```
/// use actix_web::web::{Path, Redirect};
/// use auth_actix::{AuthError, SwitchSession, core::grants::CustomGrant};
///
/// async fn switch(organization: Path<String>, session: SwitchSession) -> Result<Redirect, AuthError> {
///     let grant = CustomGrant::new("organization_switch")
///         .template("token", "{{accessToken}}")
///         .template("scope", "{{scopes}}")
///         .param("switching_organization", organization.into_inner());
///     session.switch(&grant).await?;
///     Ok(Redirect::to("/").see_other())
/// }
/// ```
pub struct SwitchSession {
    context: AuthContext,
    session: Session,
    request: HttpRequest,
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
        let changed = session::change(&self.context, &change, &self.request, &mut headers).await;
        self.context.send_along(headers);
        changed?;
        Ok(session)
    }
}

impl FromRequest for SwitchSession {
    type Error = AuthError;
    type Future = LocalFuture<Result<Self, AuthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (context, request) = (context(request), request.clone());
        Box::pin(async move {
            let context = context?;
            let session = context.session().await.map_err(AuthError::from);
            let session = insisted(&context, session)?;
            Ok(Self {
                context,
                session,
                request,
            })
        })
    }
}
