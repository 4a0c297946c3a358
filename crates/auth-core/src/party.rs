//! A provider that users sign in with, and what this application is there.

mod settings;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

pub(crate) use settings::{Checked, PartyConfig, api_url};
pub use settings::{Profile, SignInProvider};

use crate::breaker::Breaker;
use crate::config::ConfigError;
use crate::dpop::DpopKey;
use crate::grants::GrantBreaker;
use crate::http::ProviderHttp;
use crate::jose::Algorithm;
use crate::metadata::{Metadata, Provider, ProviderError};
use crate::refresh::RefreshError;
use crate::store::SessionKey;
use crate::token::Registration;

/// A provider that users sign in with, and what this application is there: its registration, and the settings that go for
/// this provider alone.
pub(crate) struct Party {
    /// Its name in this application; `None` of the one that has none.
    pub(crate) name: Option<String>,
    pub(crate) config: PartyConfig,
    pub(crate) provider: Provider,
    pub(crate) registration: Registration,
    /// Where the provider sends the browser back to.
    pub(crate) redirect_uri: String,
    pub(crate) grant_breaker: GrantBreaker,
    refresh_breaker: Mutex<RefreshBreaker>,
}

/// Keeps refreshes from waiting for a provider that has just failed others.
type RefreshBreaker = Breaker<SessionKey, RefreshError>;

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party")
            .field("name", &self.name)
            .field("issuer", &self.provider.issuer())
            .field("client_id", &self.registration.client_id)
            .finish_non_exhaustive()
    }
}

impl Party {
    pub(crate) fn new(
        name: Option<String>,
        checked: Checked,
        redirect_uri: String,
        http: &ProviderHttp,
        runtime: &Handle,
    ) -> Result<Self, ConfigError> {
        let Checked {
            provider,
            plain_identity,
            client_id,
            authentication,
            binds_tokens,
            config,
        } = checked;
        let plain_identity = plain_identity.made(&provider, http, runtime)?;
        Ok(Self {
            name,
            provider: Provider::new(provider, config.overrides.clone(), http.clone(), runtime.clone()),
            registration: Registration {
                client_id,
                authentication,
                http: http.clone(),
                dpop_key: binds_tokens.then(DpopKey::generate),
                nonces: Arc::default(),
            },
            config: PartyConfig {
                plain_identity,
                ..config
            },
            redirect_uri,
            grant_breaker: GrantBreaker::default(),
            refresh_breaker: Mutex::default(),
        })
    }

    /// The algorithms that an ID token may be signed with.
    pub(crate) fn algorithms<'a>(&'a self, metadata: &'a Metadata) -> &'a [Algorithm] {
        self.config
            .algorithms
            .as_deref()
            .unwrap_or(&metadata.id_token_algorithms)
    }

    /// The algorithms that an authorization response may be signed with (JARM).
    pub(crate) fn response_algorithms<'a>(&'a self, metadata: &'a Metadata) -> &'a [Algorithm] {
        match &self.config.algorithms {
            None if !metadata.response_algorithms.is_empty() => &metadata.response_algorithms,
            _ => self.algorithms(metadata),
        }
    }

    pub(crate) fn refresh_breaker(&self) -> MutexGuard<'_, RefreshBreaker> {
        self.refresh_breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// All providers that users sign in with.
#[derive(Debug)]
pub(crate) struct Parties {
    first: Arc<Party>,
}

impl Parties {
    pub(crate) fn new(first: Party) -> Self {
        Self {
            first: Arc::new(first),
        }
    }

    /// The one that counts where nothing says which.
    pub(crate) fn first(&self) -> &Arc<Party> {
        &self.first
    }

    /// The one of this name.
    pub(crate) async fn of(&self, _name: Option<&str>) -> Result<Arc<Party>, ProviderError> {
        Ok(Arc::clone(&self.first))
    }
}
