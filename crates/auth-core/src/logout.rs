//! Signing out: revocation (RFC 7009), then the provider's own sign-out (OpenID Connect RP-Initiated Logout 1.0).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use crate::auth::Core;
use crate::metadata::Metadata;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::session::{Session, Tokens};

/// How long a sign-out waits for the provider.
const WAIT_FOR_PROVIDER: Duration = Duration::from_secs(2);

impl Core {
    /// Revokes the session's tokens, and gives the provider's address to go on to, if it has one. Takes two seconds
    /// at most; what is not done by then goes on in the background.
    pub(crate) async fn leave_provider(self: &Arc<Self>, session: &Session) -> Option<Url> {
        let core = Arc::clone(self);
        let tokens = &session.data.tokens;
        let (refresh, access) = (tokens.refresh.clone(), tokens.access.clone());
        let revocation = self.spawn(async move { core.revoke(refresh, access).await });
        if timeout(WAIT_FOR_PROVIDER, revocation).await.is_err() {
            tracing::warn!(session = ?session.key, "the provider is slow to revoke tokens; the sign-out goes on without");
        }
        let metadata = self.provider.metadata_at_hand()?;
        end_session_url(
            &metadata,
            &self.config.client_id,
            session.data.id_token.as_ref(),
            &self.config.base_url.join("/"),
        )
    }

    /// Revokes tokens that nobody will use any more, without anyone waiting for it.
    pub(crate) fn revoke_in_background(
        self: &Arc<Self>,
        refresh: Option<RefreshToken>,
        access: Option<AccessToken>,
    ) {
        let core = Arc::clone(self);
        drop(self.spawn(async move { core.revoke(refresh, access).await }));
    }

    /// Revokes the tokens of several sessions, one after the other: the provider is not to be asked for all at once.
    pub(crate) fn revoke_all_in_background(self: &Arc<Self>, all: Vec<Tokens>) {
        let core = Arc::clone(self);
        drop(self.spawn(async move {
            for tokens in all {
                core.revoke(tokens.refresh, tokens.access).await;
            }
        }));
    }

    async fn revoke(&self, refresh: Option<RefreshToken>, access: Option<AccessToken>) {
        let now = self.clock.now();
        let metadata = match self.provider.metadata(now).await {
            Ok(metadata) => metadata,
            Err(error) => {
                tracing::warn!(cause = crate::error::chain(&error), "tokens could not be revoked");
                return;
            }
        };
        // The refresh token first: it is the one that lives long, and most providers end the access token with it.
        if let Some(token) = &refresh
            && let Err(error) = self
                .registration
                .revoke(&metadata, token.expose(), "refresh_token", now)
                .await
        {
            tracing::warn!(
                cause = crate::error::chain(&error),
                "a refresh token could not be revoked"
            );
        }
        if let Some(token) = &access
            && let Err(error) = self
                .registration
                .revoke(&metadata, token.expose(), "access_token", now)
                .await
        {
            tracing::warn!(
                cause = crate::error::chain(&error),
                "an access token could not be revoked"
            );
        }
    }
}

/// RP-Initiated Logout 1.0 §2.
fn end_session_url(
    metadata: &Metadata,
    client_id: &str,
    id_token: Option<&IdToken>,
    home: &str,
) -> Option<Url> {
    let mut url = metadata.end_session_endpoint.clone()?;
    {
        let mut query = url.query_pairs_mut();
        if let Some(token) = id_token {
            query.append_pair("id_token_hint", token.expose());
        }
        query
            .append_pair("client_id", client_id)
            .append_pair("post_logout_redirect_uri", home);
    }
    Some(url)
}
