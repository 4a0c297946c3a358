//! A provider that users sign in with, and what this application is there.

mod lookup;
mod settings;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::runtime::Handle;

pub use lookup::LookupError;
pub(crate) use lookup::{Failed, Find, Lookup, Means};
#[cfg(test)]
pub(crate) use settings::SCOPES;
pub(crate) use settings::{Checked, PartyConfig, api_url};
pub use settings::{Profile, SignInProvider};

use crate::breaker::Breaker;
use crate::client::ApiHttp;
use crate::client_certificate::ClientCertificate;
use crate::client_keys::ClientKeys;
use crate::config::{ConfigError, paths};
use crate::dpop::DpopKey;
use crate::grants::GrantBreaker;
use crate::http::ProviderHttp;
use crate::jose::{Algorithm, DecryptionKeys};
use crate::metadata::{CertificateUse, Metadata, Provider, ProviderError};
use crate::origins::{OriginId, Origins};
use crate::provider_clock::ProviderClock;
use crate::proxy::Transport;
use crate::refresh::RefreshError;
use crate::session::SessionData;
use crate::store::SessionKey;
use crate::token::Registration;
use crate::types::{BaseUrl, Issuer};

/// A provider that users sign in with, and what this application is there: its registration, and the settings that go for
/// this provider alone.
pub(crate) struct Party {
    /// Its name in this application; `None` of the one that has none.
    pub(crate) name: Option<String>,
    /// The name under which its users are kept.
    pub(crate) issuer: Issuer,
    pub(crate) config: PartyConfig,
    pub(crate) provider: Provider,
    /// What is known of the provider's clock.
    pub(crate) clock: Arc<ProviderClock>,
    pub(crate) registration: Registration,
    certificate: Option<ClientCertificate>,
    /// Where access tokens are bound to the certificate.
    pub(crate) bound_apis: Option<BoundApis>,
    /// The origins of the application that its users sign in at; `None` for all.
    only_at: Option<Vec<OriginId>>,
    pub(crate) grant_breaker: GrantBreaker,
    refresh_breaker: Mutex<RefreshBreaker>,
}

/// Whose tokens are meant: a provider's, by its name here and by its issuer. A name may be given to another provider, which
/// is to see nothing of what the former has issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuedBy {
    pub(crate) name: Option<String>,
    pub(crate) issuer: Issuer,
}

/// Keeps refreshes from waiting for a provider that has just failed others.
type RefreshBreaker = Breaker<SessionKey, RefreshError>;

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .field("client_id", &self.registration.client_id)
            .finish_non_exhaustive()
    }
}

impl Party {
    /// Origins that the application does not have are left out: [`Checked::at_own_origins`] refuses them.
    pub(crate) fn new(
        name: Option<String>,
        checked: Checked,
        origins: &Origins,
        http: &ProviderHttp,
        clock: ProviderClock,
        runtime: &Handle,
    ) -> Result<Self, ConfigError> {
        let Checked {
            provider,
            plain_identity,
            client_id,
            authentication,
            binds_tokens,
            certificate,
            decryption_keys,
            only_at,
            config,
        } = checked;
        let known = only_at
            .iter()
            .filter_map(|origin| origins.written(origin.origin()));
        let only_at = (!only_at.is_empty()).then(|| known.collect());
        let presenting = (certificate.as_ref())
            .map(|certificate| http.presenting(certificate))
            .transpose()?;
        let bound_apis = (certificate.as_ref())
            .filter(|_| config.overrides.certificate == CertificateUse::Binding)
            .map(|certificate| BoundApis::new(certificate, http))
            .transpose()?;
        let clock = Arc::new(clock);
        let http = &presenting.as_ref().unwrap_or(http).comparing(Arc::clone(&clock));
        let plain_identity = plain_identity.made(&provider, http, runtime)?;
        let provider = Provider::new(provider, config.overrides.clone(), http.clone(), runtime.clone());
        Ok(Self {
            issuer: provider.issuer(),
            only_at,
            name,
            provider,
            registration: Registration {
                client_id,
                authentication,
                decryption_keys,
                http: http.clone(),
                dpop_key: binds_tokens.then(DpopKey::generate),
                nonces: Arc::default(),
            },
            certificate,
            bound_apis,
            clock,
            config: PartyConfig {
                plain_identity,
                ..config
            },
            grant_breaker: GrantBreaker::default(),
            refresh_breaker: Mutex::default(),
        })
    }

    /// The public halves of the client's keys (RFC 7517 §4).
    pub(crate) fn public_jwks(&self) -> Vec<Value> {
        let signing = self.config.client_keys.as_ref();
        let mut keys: Vec<_> = signing.into_iter().flat_map(ClientKeys::public_jwks).collect();
        // RFC 8705 §2.2.2: a self-signed certificate is registered so.
        if let Some(certificate) = &self.certificate {
            certificate.add_to(&mut keys);
        }
        let decrypting = self.registration.decryption_keys.as_ref();
        keys.extend(decrypting.into_iter().flat_map(DecryptionKeys::public_jwks));
        keys
    }

    /// Where the provider sends the browser back to, for a sign-in at this origin.
    pub(crate) fn redirect_uri(&self, origin: &BaseUrl) -> String {
        origin.join(&callback_path(self.name.as_deref()))
    }

    /// Whether its users sign in at this origin.
    pub(crate) fn is_at(&self, origin: OriginId) -> bool {
        let only_at = self.only_at.as_ref();
        only_at.is_none_or(|only_at| only_at.contains(&origin))
    }

    /// Whether nobody signs in with it: the application has none of its origins.
    fn is_nowhere(&self) -> bool {
        self.only_at.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether a session may go on. Under a profile, one that began with bearer tokens may not, once they are to be bound.
    pub(crate) fn serves(&self, session: &SessionData) -> bool {
        let is_strict = self.config.demands_issuer && self.registration.dpop_key.is_some();
        !is_strict || session.dpop_key.is_some()
    }

    pub(crate) fn identity(&self) -> IssuedBy {
        IssuedBy {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
        }
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

/// The connections to APIs that see the certificate which access tokens are bound to (RFC 8705 §3).
pub(crate) struct BoundApis {
    pub(crate) certificate: ClientCertificate,
    pub(crate) http: ApiHttp,
    /// Those of proxies.
    pub(crate) proxy: Transport,
}

impl BoundApis {
    fn new(certificate: &ClientCertificate, http: &ProviderHttp) -> Result<Self, ConfigError> {
        Ok(Self {
            certificate: certificate.clone(),
            http: ApiHttp::new(http, Some(certificate))?,
            proxy: Transport::default(),
        })
    }
}

/// All providers that users sign in with.
#[derive(Debug)]
pub(crate) struct Parties {
    /// In the order of the settings; the one without a name in front.
    configured: Vec<Arc<Party>>,
    lookup: Option<Lookup>,
}

impl Parties {
    /// There is one at least.
    pub(crate) fn new(configured: Vec<Arc<Party>>, lookup: Option<Lookup>) -> Result<Self, ConfigError> {
        match configured.is_empty() {
            false => Ok(Self { configured, lookup }),
            true => Err(ConfigError::new(
                "AUTH_PROVIDERS",
                "names no provider; set AUTH_ISSUER, or the names of several",
            )),
        }
    }

    /// The one that counts where nothing says which.
    pub(crate) fn first(&self) -> &Arc<Party> {
        &self.configured[0]
    }

    /// Those that the settings name.
    pub(crate) fn configured(&self) -> &[Arc<Party>] {
        &self.configured
    }

    fn configured_as(&self, name: Option<&str>) -> Option<&Arc<Party>> {
        let mut configured = self.configured.iter();
        configured.find(|party| party.name.as_deref() == name)
    }

    /// The one of this name: configured, or looked up.
    pub(crate) async fn of(&self, name: Option<&str>) -> Result<Arc<Party>, ProviderError> {
        match (self.configured_as(name), &self.lookup, name) {
            (Some(party), _, _) => Ok(Arc::clone(party)),
            (None, Some(lookup), Some(name)) => lookup.of(name).await,
            (None, _, _) => Err(ProviderError::Unknown),
        }
    }

    /// The configured one of this name and issuer.
    pub(crate) fn configured_issuing(&self, name: Option<&str>, issuer: &Issuer) -> Option<&Arc<Party>> {
        self.configured_as(name).filter(|party| party.issuer == *issuer)
    }

    /// The one of this name, if its users sign in at this origin: at any other there is none of that name.
    pub(crate) async fn at(&self, origin: OriginId, name: Option<&str>) -> Result<Arc<Party>, ProviderError> {
        let party = self.of(name).await?;
        if party.is_at(origin) {
            Ok(party)
        } else {
            Err(ProviderError::Unknown)
        }
    }

    /// The one of this name, as long as it is the one with this issuer.
    pub(crate) async fn issuing(
        &self,
        name: Option<&str>,
        issuer: &Issuer,
    ) -> Result<Arc<Party>, ProviderError> {
        let party = self.of(name).await?;
        if party.issuer == *issuer {
            Ok(party)
        } else {
            Err(ProviderError::Unknown)
        }
    }

    /// The providers that are known without asking.
    pub(crate) fn all_at_hand(&self) -> impl Iterator<Item = Arc<Party>> {
        let looked_up = self.lookup.as_ref().map(Lookup::all_at_hand);
        self.configured
            .iter()
            .cloned()
            .chain(looked_up.unwrap_or_default())
    }

    /// Those of them with this issuer: several where this application is registered there more than once.
    pub(crate) fn with_issuer(&self, issuer: &str) -> Vec<Arc<Party>> {
        self.all_at_hand()
            .filter(|party| party.issuer.as_str() == issuer)
            .collect()
    }
}

fn callback_path(name: Option<&str>) -> String {
    match name {
        None => paths::CALLBACK.to_owned(),
        Some(name) => format!("{}/{name}", paths::CALLBACK),
    }
}

/// Whether this can be a provider's name: it stands in addresses, and in the names of environment variables.
pub(crate) fn is_name(name: &str) -> bool {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_good)
}

/// The longest name of a provider, in bytes.
const MAX_NAME: usize = 64;

/// A provider that users sign in with, as a page to choose on shows it ([`Auth::providers`](crate::Auth::providers)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderInfo {
    /// Its name in this application; `None` of the one that has none.
    pub name: Option<String>,
    /// What people know it by: its [label](SignInProvider::label), or else its name, or its host.
    pub label: String,
    /// Its issuer; for a plain OAuth 2.0 provider, its token endpoint.
    pub issuer: Issuer,
}

impl Party {
    pub(crate) fn info(&self) -> ProviderInfo {
        let issuer = self.issuer.clone();
        let label = self.config.label.clone().or_else(|| self.name.clone());
        ProviderInfo {
            name: self.name.clone(),
            label: label.unwrap_or_else(|| issuer.host()),
            issuer,
        }
    }
}
