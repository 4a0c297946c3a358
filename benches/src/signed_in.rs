//! A signed-in session, made by a real sign-in at the development provider.

use std::time::Duration;

use auth_core::reply::{AppData, SessionChange};
use auth_core::{Auth, AuthBuilder, SecretKeys};
use auth_testing::DevProvider;

use crate::{Failure, world};

/// An [`Auth`], on the memory store unless settings say otherwise, and the cookie of a session there.
pub(crate) struct SignedIn {
    pub(crate) auth: Auth,
    cookie: String,
    /// Keeps the provider up.
    _provider: DevProvider,
}

impl SignedIn {
    /// Starts a provider on the current runtime and signs in there. The session outlives every measurement, so that
    /// nothing is ever refreshed.
    pub(crate) async fn at_a_new_provider() -> Result<Self, Failure> {
        Self::with(|auth| auth).await
    }

    /// The same with further settings: the store, say.
    pub(crate) async fn with(settings: impl FnOnce(AuthBuilder) -> AuthBuilder) -> Result<Self, Failure> {
        let provider = world::provider()
            .access_token_lifetime(Duration::from_secs(24 * 60 * 60))
            .start()
            .await?;
        let auth = settings(world::auth(&provider).secret(SecretKeys::random()));
        let auth = auth.build().await?;
        let id = world::sign_in(&auth, &provider).await?;
        let line = auth.session_cookie(&SessionChange::Set {
            id,
            app_data: AppData::Keep,
        });
        let cookie = line.as_deref().map(world::cookie_of).unwrap_or_default();
        Ok(Self {
            cookie: cookie.to_owned(),
            auth,
            _provider: provider,
        })
    }

    /// The value of the `Cookie` header.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }
}
