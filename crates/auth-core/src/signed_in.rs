//! What code asks of a signed-in user: the same for the session of a request and for one found by its key.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use crate::auth::{Auth, Core};
use crate::dpop::is_demand_for_nonce;
use crate::error::{Error, NotSignedIn};
use crate::http::Answer;
use crate::jose::{self, KeySet};
use crate::metadata::{Metadata, ProviderError};
use crate::party::Party;
use crate::refresh::RefreshError;
use crate::secret::IdToken;
use crate::session::{Claims, Session};
use crate::sign_in::{Identity, UserinfoFailure};
use crate::store::SessionKey;
use crate::userinfo::UserinfoError;

impl Session {
    /// The claims of the ID token that the session has now, `nonce` and the like included: the one of the sign-in, or of
    /// the last refresh that brought one. It was verified before it was kept. `None` with a plain OAuth 2.0 provider.
    ///
    /// [`claims`](Self::claims) is what the app knows of the user: with userinfo's claims, and as the sign-in hook left
    /// them.
    #[must_use]
    #[doc(alias("getDecodedIdToken", "getDecodedIDToken"))]
    pub fn id_token_claims(&self) -> Option<Claims> {
        let token = self.verified_id_token()?;
        let payload = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1)?).ok()?;
        jose::parse_object(&payload).ok().map(Claims::from)
    }

    /// A plain OAuth 2.0 provider may send one all the same, which nobody has verified.
    pub(crate) fn verified_id_token(&self) -> Option<&IdToken> {
        let is_verified = !self.data.audience.is_empty();
        self.data.id_token.as_ref().filter(|_| is_verified)
    }
}

impl Auth {
    /// The signed-in session with this key, its access token alive: what [`authenticate`](Self::authenticate) is for a
    /// request, for code that has the key only.
    ///
    /// ```no_run
    /// # async fn example(auth: auth_core::Auth, key: auth_core::store::SessionKey) -> Result<(), auth_core::Error> {
    /// let session = auth.signed_in(&key).await?;
    /// let token = auth.access_token(&session).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    pub async fn signed_in(&self, key: &SessionKey) -> Result<Session, Error> {
        self.core().alive(key).await
    }

    /// Whether somebody is signed in under this key. A dead access token is refreshed first, so that the answer holds for
    /// the next call of an API.
    ///
    /// # Errors
    ///
    /// Where that cannot be said, as the provider or the store is down; see [`authenticate`](Self::authenticate).
    #[doc(alias = "isSignedIn")]
    pub async fn is_signed_in(&self, key: &SessionKey) -> Result<bool, Error> {
        let session = self
            .signed_in(key)
            .await
            .map(Some)
            .or_else(Error::unless_nobody)?;
        Ok(session.is_some())
    }

    /// The session's ID token, which was verified before it was kept; [`Session::id_token_claims`] are its claims. `None`
    /// with a plain OAuth 2.0 provider. Never log it, and never send it to a browser. It may have expired: it says who
    /// has signed in, and lets nobody in.
    #[must_use]
    #[doc(alias("getIdToken", "getIDToken"))]
    pub fn id_token(&self, session: &Session) -> Option<IdToken> {
        session.verified_id_token().cloned()
    }

    /// Asks the userinfo endpoint who the user is (OpenID Connect Core §5.3), now, whatever
    /// [`userinfo`](crate::AuthBuilder::userinfo) says of sign-ins. The session stays as it is. An access token that is
    /// dead, or that the endpoint refuses, is refreshed first, once.
    ///
    /// # Errors
    ///
    /// [`Error::Userinfo`] where there is no such endpoint, it refuses, its answer does not verify or is about somebody
    /// else; [`Error::Provider`] where it is down; and as [`authenticate`](Self::authenticate).
    #[doc(alias("getUser", "getUserInfo", "getBasicUserInfo"))]
    pub async fn user_info(&self, session: &Session) -> Result<Claims, Error> {
        let (core, session) = (Arc::clone(self.core()), session.clone());
        self.core()
            .spawn(async move { core.user_info(session).await })
            .await
            .unwrap_or_else(|_| Err(RefreshError::Interrupted.into()))
    }
}

impl Core {
    /// The session as the store has it, its access token alive.
    pub(crate) async fn alive(self: &Arc<Self>, key: &SessionKey) -> Result<Session, Error> {
        let session = self.load_served(key).await?.ok_or(NotSignedIn::Ended)?;
        Ok(self.fresh(session).await?)
    }

    async fn user_info(self: &Arc<Self>, session: Session) -> Result<Claims, Error> {
        let session = self.fresh(session).await?;
        let party = self.party_of(&session).await?;
        let metadata = party.provider.metadata(self.clock.now()).await?;
        let mut answer = self.ask_for_user(&party, &metadata, &session).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && !is_demand_for_nonce(answer.status, &answer.headers)
            && let Some(refused) = &session.data.tokens.access
        {
            match self.fresh_instead(&session, refused).await {
                Ok(session) => answer = self.ask_for_user(&party, &metadata, &session).await?,
                // There is nothing to refresh with: the endpoint's own answer is the answer.
                Err(RefreshError::Ended(NotSignedIn::TokenExpired)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let claims = match party.provider.is_openid() {
            true => self.verified_user(&party, &metadata, &session, &answer).await?,
            false => plain_user(&session, &answer)?,
        };
        Ok(claims.into())
    }

    async fn ask_for_user(
        &self,
        party: &Party,
        metadata: &Metadata,
        session: &Session,
    ) -> Result<Answer, Error> {
        let endpoint = metadata.userinfo_endpoint.as_ref();
        let endpoint = endpoint.ok_or(UserinfoError::NoEndpoint)?;
        let credential = session.data.credential().ok_or(NotSignedIn::TokenExpired)?;
        self.get_userinfo(party, endpoint, &credential)
            .await
            .map_err(|failure| match failure {
                UserinfoFailure::Refused(error) => error.into(),
                UserinfoFailure::Outage(cause) => ProviderError::Unavailable {
                    document: "userinfo",
                    retry_after: None,
                    cause: Arc::new(cause),
                }
                .into(),
            })
    }

    async fn verified_user(
        &self,
        party: &Party,
        metadata: &Metadata,
        session: &Session,
        answer: &Answer,
    ) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
        let keys = match answer.media_type().as_deref() {
            Some("application/jwt") => party.provider.keys(metadata, self.clock.now()).await?,
            _ => Arc::new(KeySet::new(Vec::new())),
        };
        let subject = session.subject();
        Ok(self
            .read_userinfo(party, metadata, answer, subject, &keys)
            .await?)
    }
}

/// Any JSON object, about the same user as at sign-in where that was known.
fn plain_user(
    session: &Session,
    answer: &Answer,
) -> Result<serde_json::Map<String, serde_json::Value>, UserinfoError> {
    if answer.status != StatusCode::OK {
        return Err(UserinfoError::Refused {
            status: answer.status.as_u16(),
        });
    }
    let claims = jose::parse_object(&answer.body)?;
    let subject = Identity::of_claims(claims.clone(), true).subject;
    match session.subject() {
        "" => Ok(claims),
        _ if subject.is_empty() => Err(UserinfoError::SubjectMissing),
        known if known != subject => Err(UserinfoError::SubjectMismatch),
        _ => Ok(claims),
    }
}
