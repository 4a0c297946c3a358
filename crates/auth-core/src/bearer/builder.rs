//! The settings of a resource server, parsed and checked once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use url::Url;

use super::cache::TokenCache;
use super::dpop::{self, Dpop, Generations, Memory};
use super::introspection::{AudienceRule, Introspection, Source};
use super::jwt::TokenTypes;
use super::keys::{GivenKeys, Keys, TrustedIssuer};
use super::{ALL_ALGORITHMS, Inner, ResourceServer};
use crate::auth::Auth;
use crate::client_auth::ClientAuthentication;
use crate::client_keys::ClientKeys;
use crate::clock::Clock;
use crate::config::{
    CLOCK_TOLERANCE, ConfigError, EndpointOverrides, HTTP_TIMEOUT, PlainIdentity, ProviderConfig, paths,
    runtime_or_present,
};
use crate::http::ProviderHttp;
use crate::jose::{Algorithm, SigningKey, SigningKeyError};
use crate::metadata::Provider;
use crate::problem::Problems;
use crate::seal::SecretKeys;
use crate::secret::ClientSecret;
use crate::store::{SessionStore, observed};
use crate::token::Registration;
use crate::types::{Issuer, secure_url};

/// Collects the settings of a [`ResourceServer`]. Made by [`ResourceServer::builder`] for an API alone, or by
/// [`Auth::resource_server`] for an application that signs users in as well.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), auth_core::ConfigError> {
/// use auth_core::bearer::{IntrospectionClient, ResourceServer};
///
/// let server = ResourceServer::builder()
///     .issuer("https://id.example")
///     .issuer_with_keys("https://partner.example", "https://partner.example/keys.json")
///     .introspection(
///         "https://id.example/introspect",
///         IntrospectionClient::secret_basic("my-api", "its secret"),
///     )
///     .audience("https://api.example")
///     .dpop("https://api.example")
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct ResourceServerBuilder {
    auth: Option<Auth>,
    issuers: Vec<(String, Option<String>)>,
    audiences: Vec<String>,
    algorithms: Option<Vec<Algorithm>>,
    types: TokenTypes,
    introspection: Asked,
    introspection_kept: Duration,
    audience_rule: AudienceRule,
    dpop: Option<String>,
    dpop_store: Option<Arc<dyn SessionStore>>,
    nonces: bool,
    keys: Option<SecretKeys>,
    realm: Option<String>,
    ca: Option<Vec<u8>>,
    http_timeout: Duration,
    clock: Clock,
    runtime: Option<Handle>,
    #[cfg(feature = "testing")]
    pub(crate) network: Option<crate::testing::Network>,
}

/// Who is asked about tokens that are not JWTs.
#[derive(Clone)]
enum Asked {
    Nobody,
    Given(String, IntrospectionClient),
    OfAuth,
}

/// How long it is believed that an introspected token is active, where nothing is set.
pub(crate) const INTROSPECTION_KEPT: Duration = Duration::from_secs(60);

/// How the resource server shows the introspection endpoint who it is (RFC 7662 §2.1).
#[derive(Clone)]
pub struct IntrospectionClient {
    id: String,
    authentication: ClientAuthentication,
}

impl fmt::Debug for IntrospectionClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionClient")
            .field("id", &self.id)
            .field("authentication", &self.authentication)
            .finish()
    }
}

impl IntrospectionClient {
    /// Its id and secret in an `Authorization: Basic` header.
    #[must_use]
    pub fn secret_basic(id: impl Into<String>, secret: &str) -> Self {
        Self {
            id: id.into(),
            authentication: ClientAuthentication::Basic(ClientSecret::new(secret)),
        }
    }

    /// Its id and secret in the form.
    #[must_use]
    pub fn secret_post(id: impl Into<String>, secret: &str) -> Self {
        Self {
            id: id.into(),
            authentication: ClientAuthentication::Post(ClientSecret::new(secret)),
        }
    }

    /// An assertion signed with its private key (RFC 7523 §2.2), given as PKCS#8 in PEM form: RSA of 2048 bits or more, P-256 or
    /// Ed25519.
    ///
    /// # Errors
    ///
    /// [`SigningKeyError`] where the text is no such key.
    #[expect(clippy::missing_panics_doc, reason = "there is one key")]
    pub fn private_key_jwt(id: impl Into<String>, pem: &str) -> Result<Self, SigningKeyError> {
        let key = Arc::new(SigningKey::from_pem(pem)?);
        let keys = ClientKeys::new(vec![key]).expect("there is one key");
        Ok(Self {
            id: id.into(),
            authentication: ClientAuthentication::PrivateKeyJwt(keys),
        })
    }
}

impl fmt::Debug for ResourceServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceServerBuilder")
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}

impl Default for ResourceServerBuilder {
    fn default() -> Self {
        Self {
            auth: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            algorithms: None,
            types: TokenTypes::Usual,
            introspection: Asked::Nobody,
            introspection_kept: INTROSPECTION_KEPT,
            audience_rule: AudienceRule::WherePresent,
            dpop: None,
            dpop_store: None,
            nonces: false,
            keys: None,
            realm: None,
            ca: None,
            http_timeout: HTTP_TIMEOUT,
            clock: Clock::system(),
            runtime: None,
            #[cfg(feature = "testing")]
            network: None,
        }
    }
}

impl Auth {
    /// Begins a resource server of this application, for tokens whose audience is `audience`.
    ///
    /// It trusts this [`Auth`]'s provider, shares metadata and keys with it, asks the introspection endpoint where that was
    /// set by hand ([`introspection_url`](crate::AuthBuilder::introspection_url)), and checks DPoP proofs for URLs of the
    /// base URL, remembered in the session store. An algorithm list set for ID tokens holds for access tokens too.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), auth_core::ConfigError> {
    /// let auth = auth_core::Auth::from_env().await?;
    /// let server = auth.resource_server("https://app.example").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resource_server(&self, audience: impl Into<String>) -> ResourceServerBuilder {
        let core = self.core();
        let provider = &core.config.parties.first().config;
        ResourceServerBuilder {
            auth: Some(self.clone()),
            algorithms: provider.algorithms.clone(),
            introspection: match provider.overrides.introspection {
                Some(_) => Asked::OfAuth,
                None => Asked::Nobody,
            },
            dpop: Some(self.base_url().to_owned()),
            keys: Some(core.config.keys.clone()),
            clock: core.clock.clone(),
            runtime: Some(core.runtime.clone()),
            ..ResourceServerBuilder::default()
        }
        .audience(audience)
    }
}

impl ResourceServerBuilder {
    /// Trusts an issuer: JWTs with this `iss`, with the keys that its discovery document names (OpenID Connect Discovery
    /// 1.0 §3), fetched when first needed. May be called for several. Required where there is neither an [`Auth`] nor
    /// [`introspection`](Self::introspection).
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push((issuer.into(), None));
        self
    }

    /// Trusts an issuer whose keys are at a URL given by hand (RFC 7517 §5), for one that has no discovery document.
    pub fn issuer_with_keys(mut self, issuer: impl Into<String>, jwks_url: impl Into<String>) -> Self {
        self.issuers.push((issuer.into(), Some(jwks_url.into())));
        self
    }

    /// A name of this resource: a token must have it in `aud` (RFC 9068 §4). Required. Called for several, one of them has to be
    /// there.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// The signature algorithms that a JWT may have, one at least. Default: all that [`Algorithm`] names; none of them is
    /// symmetric, and a published key serves only those that fit it.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Accepts only JWTs whose header says `at+jwt`, as RFC 9068 §2.1 demands. Default: also those that say `JWT` or
    /// nothing, where nothing else says that they are no access tokens (see [the module](super)).
    pub fn declared_types_only(mut self) -> Self {
        self.types = TokenTypes::Declared;
        self
    }

    /// Looks up tokens that are no signed JWTs at this introspection endpoint (RFC 7662 §2); without any issuer, all tokens.
    ///
    /// The endpoint is that of the first issuer that is trusted here (of the [`Auth`]'s, where there is one): an answer that names
    /// another one in `iss` is not believed.
    pub fn introspection(mut self, url: impl Into<String>, client: IntrospectionClient) -> Self {
        self.introspection = Asked::Given(url.into(), client);
        self
    }

    /// Looks up tokens that are no signed JWTs at the introspection endpoint of the [`Auth`]'s provider, with its client's
    /// authentication. On a resource server of its own there is no such provider, and [`build`](Self::build) says so.
    pub fn introspection_of_provider(mut self) -> Self {
        self.introspection = Asked::OfAuth;
        self
    }

    /// How long it is believed that an introspected token is active, if it does not expire before. Default: 60 seconds: so
    /// long a token may be used after it was revoked. Zero asks for each request.
    pub fn introspection_kept(mut self, length: Duration) -> Self {
        self.introspection_kept = length;
        self
    }

    /// Refuses an introspected token where the answer does not say whom it is for (`aud`, RFC 7662 §2.2). Default: `aud` is
    /// checked where it is there; where it is not, it has to be enough that the provider calls the token active when this
    /// resource asks.
    pub fn introspection_needs_audience(mut self) -> Self {
        self.audience_rule = AudienceRule::Always;
        self
    }

    /// Accepts tokens that are bound to a key (RFC 9449 §7), at this address that the outside knows the server by:
    /// `https://api.example`, or with the path that a proxy in front of it takes away. It is compared with the proofs' `htu`;
    /// `Host` is not looked at. Without it, bound tokens are refused, for nobody could check them.
    pub fn dpop(mut self, public_url: impl Into<String>) -> Self {
        self.dpop = Some(public_url.into());
        self
    }

    /// Remembers proofs in this store, so that each is good once on all the instances that share it (RFC 9449 §11.1). Default: in
    /// that of the [`Auth`]; without one, each process remembers those that it has seen itself, some 1,100 in a second at the
    /// most.
    pub fn dpop_store(mut self, store: impl SessionStore) -> Self {
        self.dpop_store = Some(Arc::new(store));
        self
    }

    /// Demands a nonce of this server in every DPoP proof (RFC 9449 §9). It lives for five minutes; where several instances
    /// serve, give them the same [`secret`](Self::secret).
    pub fn dpop_nonces(mut self) -> Self {
        self.nonces = true;
        self
    }

    /// The keys that nonces are sealed with. Default: those of the [`Auth`], or a random one for this process.
    pub fn secret(mut self, keys: SecretKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The `realm` of challenges (RFC 9110 §11.5): printable ASCII without quotes and backslashes. Default: none.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// Extra root certificates, a PEM bundle, for requests to issuers. The system's are always used. Default: no others. The
    /// [`Auth`]'s own provider is asked as the [`Auth`] asks it.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// The limit for one request to an issuer, in all: a second or more. Default: 10 seconds. The resource server of an [`Auth`]
    /// keeps to that one's limit, unless it has roots of its own ([`ca_pem`](Self::ca_pem)).
    pub fn http_timeout(mut self, length: Duration) -> Self {
        self.http_timeout = length;
        self
    }

    /// The clock. Default: that of the [`Auth`], or the system's; tests move their own.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The runtime that requests to issuers run on; it must outlive the requests. Default: that of the [`Auth`], or the one
    /// that [`build`](Self::build) is called on.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Checks every setting. Nobody is asked for anything yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first setting that is wrong or missing, named after its method. The [`runtime`](Self::runtime) is
    /// missing where there is no [`Auth`], none was named and this is not called on one.
    pub fn build(self) -> Result<ResourceServer, ConfigError> {
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(ConfigError::new(
                "audience",
                "name this resource as its tokens do, https://api.example",
            ));
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return Err(ConfigError::new(
                "algorithms",
                "name at least one, RS256 for example",
            ));
        }
        let is_quotable = |text: &String| {
            text.bytes()
                .all(|b| (b' '..=b'~').contains(&b) && !b"\"\\".contains(&b))
        };
        if !self.realm.iter().all(is_quotable) {
            return Err(ConfigError::new(
                "realm",
                "must be printable ASCII without quotes and backslashes",
            ));
        }
        if self.http_timeout < Duration::from_secs(1) {
            return Err(ConfigError::new("http_timeout", "must be at least one second"));
        }
        if self.auth.is_none() && self.issuers.is_empty() && matches!(self.introspection, Asked::Nobody) {
            return Err(ConfigError::new(
                "issuer",
                "name who issues the tokens, https://id.example, or an introspection endpoint",
            ));
        }
        let runtime = runtime_or_present(self.runtime.clone())?;
        let http = match &self.auth {
            Some(auth) if self.ca.is_none() => {
                (auth.core().config.parties.first().registration.http).for_others()
            }
            _ => self.http()?,
        };
        let issuers = self.trusted(&http, &runtime)?;
        let cache = Arc::new(TokenCache::default());
        let introspection = self.look_up(&issuers, &http, &runtime, &cache)?;
        let dpop = self.dpop_settings(&runtime)?;
        Ok(ResourceServer(Arc::new(Inner {
            issuers,
            audiences: self.audiences,
            client_id: self
                .auth
                .as_ref()
                .map(|auth| auth.core().config.parties.first().registration.client_id.clone()),
            algorithms: self.algorithms.unwrap_or_else(|| ALL_ALGORITHMS.to_vec()),
            types: self.types,
            introspection,
            dpop,
            realm: self.realm,
            problems: Problems::default(),
            errors: (self.auth.as_ref()).map(|auth| format!("{}{}", auth.base_url(), paths::ERRORS)),
            tolerance: CLOCK_TOLERANCE,
            clock: self.clock,
            cache,
        })))
    }

    /// The connections of a resource server of its own.
    fn http(&self) -> Result<ProviderHttp, ConfigError> {
        #[cfg(feature = "testing")]
        if let Some(network) = &self.network {
            return Ok(ProviderHttp::within(network.clone(), self.http_timeout));
        }
        ProviderHttp::new(self.http_timeout, self.ca.as_deref())
    }

    fn trusted(&self, http: &ProviderHttp, runtime: &Handle) -> Result<Vec<Arc<TrustedIssuer>>, ConfigError> {
        let mut issuers: Vec<Arc<TrustedIssuer>> = Vec::new();
        issuers.extend(self.auth.as_ref().and_then(issuer_of_auth));
        for (text, jwks_url) in &self.issuers {
            let issuer = issuer("issuer", text)?;
            if issuers.iter().any(|known| known.issuer == issuer) {
                return Err(ConfigError::new("issuer", "is named twice"));
            }
            let keys = match jwks_url {
                None => Keys::Discovered(Box::new(Provider::new(
                    ProviderConfig::Discovery(issuer.clone()),
                    EndpointOverrides::default(),
                    http.clone(),
                    runtime.clone(),
                ))),
                Some(url) => Keys::Given(Box::new(GivenKeys::new(
                    url_of("issuer_with_keys", url)?,
                    http.clone(),
                    runtime.clone(),
                ))),
            };
            issuers.push(Arc::new(TrustedIssuer { issuer, keys }));
        }
        Ok(issuers)
    }

    fn look_up(
        &self,
        issuers: &[Arc<TrustedIssuer>],
        http: &ProviderHttp,
        runtime: &Handle,
        cache: &Arc<TokenCache>,
    ) -> Result<Option<Introspection>, ConfigError> {
        let (source, name) = match (&self.introspection, &self.auth) {
            (Asked::Nobody, _) => return Ok(None),
            (Asked::OfAuth, Some(auth)) => {
                let name = issuer_of_auth(auth).map_or_else(|| auth.issuer(), |own| own.issuer.clone());
                (
                    Source::OfAuth(Arc::clone(auth.core().config.parties.first())),
                    name,
                )
            }
            (Asked::OfAuth, None) => {
                return Err(ConfigError::new(
                    "introspection_of_provider",
                    "is for the resource server of an `Auth`; name the endpoint with `introspection`",
                ));
            }
            (Asked::Given(url, client), _) => {
                let endpoint = url_of("introspection", url)?;
                if client.id.is_empty() {
                    return Err(ConfigError::new("introspection", "the client has an id"));
                }
                // RFC 7523 §3: a client assertion is for the issuer, where there is one.
                let name = issuers
                    .first()
                    .map_or_else(|| Issuer::of_token_endpoint(&endpoint), |one| one.issuer.clone());
                let given = Provider::new(
                    ProviderConfig::Endpoints {
                        authorization: endpoint.clone(),
                        token: endpoint.clone(),
                    },
                    EndpointOverrides::default(),
                    http.clone(),
                    runtime.clone(),
                );
                let mut metadata = given.given_metadata(&endpoint, &endpoint);
                metadata.issuer = name.clone();
                let registration = Registration {
                    client_id: client.id.clone(),
                    authentication: client.authentication.clone(),
                    decryption_keys: None,
                    http: http.clone(),
                    dpop_key: None,
                    nonces: Arc::default(),
                };
                let source = Source::Given {
                    registration: Box::new(registration),
                    endpoint,
                    metadata: Arc::new(metadata),
                };
                (source, name)
            }
        };
        Ok(Some(Introspection {
            source: Arc::new(source),
            issuers: issuers.iter().map(|one| one.issuer.as_str().to_owned()).collect(),
            name: name.as_str().to_owned(),
            kept: self.introspection_kept,
            audience: self.audience_rule,
            runtime: runtime.clone(),
            cache: Arc::clone(cache),
            flights: Arc::new(Mutex::new(HashMap::new())),
        }))
    }

    fn dpop_settings(&self, runtime: &Handle) -> Result<Option<Dpop>, ConfigError> {
        let Some(text) = &self.dpop else {
            let needless = [
                (self.nonces, "dpop_nonces"),
                (self.dpop_store.is_some(), "dpop_store"),
            ];
            return match needless.into_iter().find(|(is_set, _)| *is_set) {
                Some((_, name)) => Err(ConfigError::new(name, "goes with `dpop`: name the public URL")),
                None => Ok(None),
            };
        };
        // Not `secure_url`: an app may be served over http to a proxy of its own network, and say so.
        let base = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .filter(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty())
            .ok_or_else(|| {
                ConfigError::new(
                    "dpop",
                    "must be the public URL of this server, https://api.example",
                )
            })?;
        let memory = match (&self.dpop_store, &self.auth) {
            (Some(store), _) => {
                let store = observed(Arc::clone(store));
                runtime.spawn(dpop::sweep(Arc::downgrade(&store), self.clock.clone()));
                Memory::Store(store)
            }
            (None, Some(auth)) => Memory::Store(Arc::clone(&auth.core().store)),
            (None, None) => Memory::Process(Mutex::new(Generations::default())),
        };
        let nonces = self
            .nonces
            .then(|| self.keys.clone().unwrap_or_else(SecretKeys::random));
        Ok(Some(Dpop::new(&base, memory, nonces)))
    }
}

/// The provider of an [`Auth`], where it is one whose tokens can be verified.
fn issuer_of_auth(auth: &Auth) -> Option<Arc<TrustedIssuer>> {
    let party = auth.core().config.parties.first();
    if party.provider.is_openid() {
        return Some(Arc::new(TrustedIssuer {
            issuer: party.issuer.clone(),
            keys: Keys::OfAuth(Arc::clone(party)),
        }));
    }
    match &party.config.plain_identity {
        PlainIdentity::AccessToken { issuer, .. } => Some(Arc::clone(issuer)),
        _ => None,
    }
}

pub(crate) fn issuer(name: &'static str, text: &str) -> Result<Issuer, ConfigError> {
    Issuer::new(text).map_err(|error| ConfigError::new(name, error.to_string()))
}

pub(crate) fn url_of(name: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = secure_url(text).map_err(|error| ConfigError::new(name, error.to_string()))?;
    if url.fragment().is_some() {
        return Err(ConfigError::new(name, "must not have a fragment"));
    }
    Ok(url)
}
