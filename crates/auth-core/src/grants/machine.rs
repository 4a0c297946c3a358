//! The application's own tokens (RFC 6749 §4.4).

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::cache::{Fetched, Origin, Slot};
use super::{GrantError, IssuedToken, Targets, name_of};
use crate::auth::{Auth, Core};
use crate::client::MachineClient;
use crate::client_auth::ClientAuthentication;
use crate::error::Error;
use crate::party::Party;
use crate::refresh::Freshness;
use crate::seal::Purpose;
use crate::secret::{SecurityToken, sha256};
use crate::store::app_data::AppDataKey;
use crate::store::{Inserted, StoreError};
use crate::token::{TokenRequest, Way};
use crate::types::Scopes;

/// A request for a token of the application's own, by the client credentials grant (RFC 6749 §4.4).
///
/// # Example
///
/// ```no_run
/// # async fn example(auth: auth_core::Auth) -> Result<(), auth_core::client::ApiError> {
/// use auth_core::grants::ClientCredentials;
///
/// let api = auth.machine_client(ClientCredentials::new().scopes("jobs.run"));
/// let answer = api.post("/jobs/nightly").send().await?.success().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ClientCredentials {
    targets: Targets,
    provider: Option<String>,
}

impl ClientCredentials {
    /// A token with whatever scopes and audience the provider gives this client.
    pub fn new() -> Self {
        Self::default()
    }

    /// The scopes to ask for, separated by spaces. Default: the provider's choice.
    pub fn scopes(mut self, scopes: &str) -> Self {
        self.targets.scopes = Scopes::parse(scopes);
        self
    }

    /// Adds an `audience`, as some providers want it.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.targets.audiences.push(audience.into());
        self
    }

    /// Adds a resource indicator (RFC 8707 §2): the API that the token is for, an absolute URI without a fragment.
    pub fn resource(mut self, uri: impl Into<String>) -> Self {
        self.targets.resources.push(uri.into());
        self
    }

    /// Asks a [further provider](crate::AuthBuilder::further_provider), or [another one](crate::AuthBuilder::provider) that users
    /// sign in with. Default: the first one that users sign in with.
    pub fn at(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    pub(crate) fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    fn name(&self) -> [u8; 32] {
        let mut names = self.targets.names();
        names.push(format!(
            "{}{}",
            self.provider.is_some(),
            self.provider.as_deref().unwrap_or_default()
        ));
        name_of(names.iter().map(String::as_str))
    }
}

impl Auth {
    /// A token of the application's own (RFC 6749 §4.4). It is kept for the whole process, for each set of scopes and
    /// audiences, until it dies; with [`share_machine_tokens`](crate::AuthBuilder::share_machine_tokens), for all
    /// instances that share the store. Calls at the same time share one request; one that is about to die is renewed in
    /// the background, and while the provider is down it is served to its end. Where it does not say how long it lives, that is a
    /// minute. At most 1,000 are kept.
    ///
    /// A request that has begun goes on where the future is dropped, and its token is kept.
    ///
    /// # Errors
    ///
    /// [`Error::Grant`] where the provider refuses or is down, or the client is a public one; [`Error::Provider`] where its
    /// metadata cannot be had.
    pub async fn machine_token(&self, credentials: &ClientCredentials) -> Result<IssuedToken, Error> {
        self.core().machine_token(credentials, None).await
    }

    /// A client that calls APIs with a token of the application's own, which it asks for when the first call needs it.
    #[must_use]
    pub fn machine_client(&self, credentials: ClientCredentials) -> MachineClient {
        MachineClient::new(Arc::clone(self.core()), credentials)
    }
}

impl Core {
    /// The application's own token. `refused` is one that an API does not take.
    pub(crate) async fn machine_token(
        self: &Arc<Self>,
        credentials: &ClientCredentials,
        refused: Option<&SecurityToken>,
    ) -> Result<IssuedToken, Error> {
        credentials.targets.check()?;
        let place = self.party_of_machine(credentials).await?;
        let slot = Slot {
            owner: None,
            // The provider's name may be given to another one, whose tokens are others.
            what: sha256(&[&credentials.name(), place.issuer.as_str().as_bytes()]),
        };
        let fetch = || {
            let (core, credentials, refused) = (Arc::clone(self), credentials.clone(), refused.cloned());
            let place = Arc::clone(&place);
            async move {
                let token = core.machine_token_now(&place, &credentials, refused.as_ref());
                let token = token.await?;
                Ok(Fetched {
                    token,
                    origin: Origin::default(),
                })
            }
            .boxed()
        };
        self.machine
            .get(self, slot, Origin::default(), refused, fetch)
            .await
    }

    /// A token from another instance, where they are shared and it is no older than one that would be asked for now; or
    /// a new one.
    async fn machine_token_now(
        &self,
        place: &Party,
        credentials: &ClientCredentials,
        refused: Option<&SecurityToken>,
    ) -> Result<IssuedToken, Error> {
        let shared = self
            .config
            .share_machine_tokens
            .then(|| Self::shared_key(place, credentials));
        let mut about_to_die = None;
        if let Some(key) = &shared {
            match self.load_shared(key).await {
                // One of before the setting was changed is not bound as it has to be.
                Ok(Some(token)) if token.is_bound() != place.registration.dpop_key.is_some() => {}
                Ok(Some(token)) if Some(token.token()) != refused => {
                    match token.freshness(self.clock.now()) {
                        Freshness::Good => return Ok(token),
                        Freshness::Soft => about_to_die = Some(token),
                        Freshness::Dead => {}
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(
                    cause = crate::error::chain(&error),
                    "the store was not asked for a token of the application's own"
                ),
            }
        }
        let token = match (self.request_machine_token(place, credentials).await, about_to_die) {
            (Ok(token), _) => token,
            // As each instance serves its own to the end.
            (Err(error), Some(token)) => {
                tracing::warn!(
                    cause = crate::error::chain(&error),
                    "the shared token of the application's own is not renewed; it is served to its end"
                );
                return Ok(token);
            }
            (Err(error), None) => return Err(error),
        };
        tracing::debug!("a token of the application's own was issued");
        if let Some(key) = &shared
            && let Err(error) = self.save_shared(key, &token).await
        {
            tracing::warn!(
                cause = crate::error::chain(&error),
                "a token of the application's own is not shared"
            );
        }
        Ok(token)
    }

    /// The provider that issues the token.
    pub(crate) async fn party_of_machine(
        &self,
        credentials: &ClientCredentials,
    ) -> Result<Arc<Party>, Error> {
        match &credentials.provider {
            None => Ok(Arc::clone(self.config.parties.first())),
            Some(name) => self.named(name).await,
        }
    }

    async fn request_machine_token(
        &self,
        place: &Party,
        credentials: &ClientCredentials,
    ) -> Result<IssuedToken, Error> {
        // RFC 6749 §4.4: confidential clients only.
        if matches!(place.registration.authentication, ClientAuthentication::None) {
            return Err(
                GrantError::misuse("a public client has no credentials for a token of its own").into(),
            );
        }
        let metadata = place.provider.metadata(self.clock.now()).await?;
        let scope = credentials.targets.scopes.to_string();
        let request = TokenRequest {
            grant_type: "client_credentials",
            parameters: credentials.targets.parameters(&scope).collect(),
        };
        let dpop_key = place.registration.dpop_key.clone();
        let way = Way::proving(dpop_key.as_ref());
        let response = place
            .tokens(&metadata, &credentials.name(), request, way, &self.clock)
            .await?;
        let token = IssuedToken::of(response, dpop_key)?;
        token.credential()?;
        Ok(token)
    }

    /// Where instances with the same provider, client and keys find each other's token.
    fn shared_key(party: &Party, credentials: &ClientCredentials) -> AppDataKey {
        let (issuer, client) = (&party.issuer, &party.registration.client_id);
        AppDataKey::from_bytes(sha256(&[
            b"machine token\0",
            &sha256(&[issuer.as_str().as_bytes()]),
            &sha256(&[client.as_bytes()]),
            &credentials.name(),
        ]))
    }

    async fn load_shared(&self, key: &AppDataKey) -> Result<Option<IssuedToken>, StoreError> {
        let Some(store) = self.store.app_data() else {
            return Ok(None);
        };
        let sealed = store.load_app_data(key, self.clock.now()).await?;
        Ok(sealed.and_then(|sealed| {
            let keys = &self.config.keys;
            let plain = keys.open(Purpose::MachineToken, key.as_bytes(), &sealed).ok()?;
            Some(IssuedToken(Arc::new(serde_json::from_slice(&plain).ok()?)))
        }))
    }

    async fn save_shared(&self, key: &AppDataKey, token: &IssuedToken) -> Result<(), StoreError> {
        let Some(store) = self.store.app_data() else {
            return Ok(());
        };
        let plain = zeroize::Zeroizing::new(
            serde_json::to_vec(&*token.0).expect("an issued token has string keys and finite numbers only"),
        );
        let keys = &self.config.keys;
        let sealed: Arc<[u8]> = keys.seal(Purpose::MachineToken, key.as_bytes(), &plain).into();
        let (now, until) = (self.clock.now(), token.0.kept_until);
        match store
            .insert_app_data(key, Arc::clone(&sealed), until, now)
            .await?
        {
            Inserted::Yes => {}
            // The last one wins: any that is alive is as good.
            Inserted::Taken => drop(store.update_app_data(key, sealed, until, now).await?),
        }
        Ok(())
    }
}
