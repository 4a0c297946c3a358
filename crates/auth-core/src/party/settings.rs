//! The settings of one provider, parsed and checked once.

mod profile;

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;
use url::Url;

use crate::bearer::{self, GivenKeys, TrustedIssuer};
use crate::client_auth::{CertificateTrust, ClientAuthentication};
use crate::client_certificate::ClientCertificate;
use crate::client_keys::ClientKeys;
#[cfg(doc)]
use crate::config::AuthBuilder;
use crate::config::{
    ClientAuthMethod, ConfigError, EndpointOverrides, ParPolicy, PlainIdentity, ProviderConfig, ResponseMode,
    UserinfoPolicy,
};
use crate::http::ProviderHttp;
use crate::jose::{self, Algorithm, DecryptionKey, DecryptionKeys, SigningKey};
use crate::metadata::CertificateUse;
use crate::origins::Origins;
use crate::preset::Preset;
use crate::request_object;
use crate::roles::RoleClaims;
use crate::secret::ClientSecret;
use crate::types::{BaseUrl, Issuer, Scopes, secure_url};

pub use profile::Profile;

/// The scopes that are asked for where nothing is set.
pub(crate) const SCOPES: &str = "openid profile email offline_access";

/// The settings of one of several providers that users sign in with, and of this application's registration there, for
/// [`AuthBuilder::provider`]. What can be set is what [`AuthBuilder`] has for a single one, under the same names and with the
/// same defaults.
///
/// # Example
///
/// ```
/// use auth_core::{Auth, Preset, SignInProvider};
///
/// let builder = Auth::builder()
///     .base_url("https://app.example")
///     .provider(
///         "staff",
///         SignInProvider::default()
///             .label("Staff")
///             .issuer("https://id.example")
///             .client("our-id-there", Some("its secret")),
///     )
///     .provider(
///         "google",
///         SignInProvider::from(Preset::google()).client("our-id-at-google", Some("another secret")),
///     );
/// ```
#[derive(Clone, PartialEq)]
#[must_use]
pub struct SignInProvider {
    label: Option<String>,
    only_at: Vec<String>,
    issuer: Option<String>,
    authorization_url: Option<String>,
    token_url: Option<String>,
    userinfo_url: Option<String>,
    revocation_url: Option<String>,
    introspection_url: Option<String>,
    end_session_url: Option<String>,
    end_session_parameter: Option<String>,
    provider_api: Option<String>,
    preset_error: Option<ConfigError>,
    pushed_authorization_request_url: Option<String>,
    plain_identity: PlainIdentityChoice,
    client_id: Option<String>,
    client_secret: Option<ClientSecret>,
    client_auth: Option<ClientAuthMethod>,
    client_keys: Result<Vec<Arc<SigningKey>>, ConfigError>,
    client_certificate: Option<Result<ClientCertificate, ConfigError>>,
    binds_to_certificate: bool,
    decryption_keys: Result<Vec<Arc<DecryptionKey>>, ConfigError>,
    signs_requests: bool,
    binds_tokens: bool,
    scopes: Scopes,
    authorize_params: Vec<(String, String)>,
    resources: Vec<String>,
    response_mode: Option<ResponseMode>,
    par: ParPolicy,
    userinfo: UserinfoPolicy,
    algorithms: Option<Vec<Algorithm>>,
    roles_claims: Vec<String>,
    profile: Option<Profile>,
    /// The variables that these settings came from and that have no name in them: other providers share them.
    pub(crate) shared: Vec<String>,
}

impl fmt::Debug for SignInProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInProvider")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Default for SignInProvider {
    fn default() -> Self {
        Self {
            label: None,
            only_at: Vec::new(),
            issuer: None,
            authorization_url: None,
            token_url: None,
            userinfo_url: None,
            revocation_url: None,
            introspection_url: None,
            end_session_url: None,
            end_session_parameter: None,
            provider_api: None,
            preset_error: None,
            pushed_authorization_request_url: None,
            plain_identity: PlainIdentityChoice::Endpoints,
            client_id: None,
            client_secret: None,
            client_auth: None,
            client_keys: Ok(Vec::new()),
            client_certificate: None,
            binds_to_certificate: false,
            decryption_keys: Ok(Vec::new()),
            signs_requests: false,
            binds_tokens: false,
            scopes: Scopes::parse(SCOPES),
            authorize_params: Vec::new(),
            resources: Vec::new(),
            response_mode: None,
            par: ParPolicy::default(),
            userinfo: UserinfoPolicy::default(),
            algorithms: None,
            roles_claims: Vec::new(),
            profile: None,
            shared: Vec::new(),
        }
    }
}

/// Who the user of a plain OAuth 2.0 provider is, as it was set.
#[derive(Clone, PartialEq)]
pub(crate) enum PlainIdentityChoice {
    Endpoints,
    AccessToken {
        issuer: String,
        jwks_url: String,
        audience: String,
    },
    Unverified,
}

impl PlainIdentityChoice {
    pub(super) fn made(
        self,
        provider: &ProviderConfig,
        http: &ProviderHttp,
        runtime: &Handle,
    ) -> Result<PlainIdentity, ConfigError> {
        let plain = matches!(provider, ProviderConfig::Endpoints { .. });
        match self {
            Self::Endpoints => Ok(PlainIdentity::Endpoints),
            _ if !plain => Err(ConfigError::new(
                "AUTH_ISSUER",
                "an OpenID Connect provider says in the ID token who the user is; take the user from nothing else",
            )),
            Self::Unverified => Ok(PlainIdentity::Unverified),
            Self::AccessToken {
                issuer,
                jwks_url,
                audience,
            } => {
                const NAME: &str = "user_from_access_token";
                if audience.is_empty() {
                    return Err(ConfigError::new(
                        NAME,
                        "the audience is the API that the token is for",
                    ));
                }
                let keys = GivenKeys::new(bearer::url_of(NAME, &jwks_url)?, http.clone(), runtime.clone());
                let issuer = Arc::new(TrustedIssuer::given(bearer::issuer_of(NAME, &issuer)?, keys));
                Ok(PlainIdentity::AccessToken { issuer, audience })
            }
        }
    }
}

/// A provider's settings, checked.
#[derive(Clone)]
pub(crate) struct Checked {
    pub(super) provider: ProviderConfig,
    pub(super) plain_identity: PlainIdentityChoice,
    pub(super) client_id: String,
    pub(super) authentication: ClientAuthentication,
    pub(super) binds_tokens: bool,
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) decryption_keys: Option<DecryptionKeys>,
    pub(super) only_at: Vec<BaseUrl>,
    pub(crate) config: PartyConfig,
}

impl Checked {
    /// Refuses origins that the application does not have. With a provider that is looked up that is no mistake: the application
    /// may have them by the next start.
    pub(crate) fn at_own_origins(self, origins: &Origins) -> Result<Self, ConfigError> {
        match (self.only_at.iter()).all(|origin| origins.written(origin.origin()).is_some()) {
            true => Ok(self),
            false => Err(not_an_own_origin()),
        }
    }
}

fn not_an_own_origin() -> ConfigError {
    ConfigError::new(
        "AUTH_ONLY_AT",
        "must be origins of this application: its base URL, or further ones",
    )
}

/// Those that count after the start.
#[derive(Clone)]
pub(crate) struct PartyConfig {
    /// What people know the provider by.
    pub(crate) label: Option<String>,
    pub(crate) overrides: EndpointOverrides,
    pub(crate) plain_identity: PlainIdentity,
    pub(crate) client_keys: Option<ClientKeys>,
    pub(crate) signs_requests: bool,
    pub(crate) scopes: Scopes,
    pub(crate) authorize_params: Vec<(String, String)>,
    pub(crate) resources: Vec<String>,
    pub(crate) response_mode: ResponseMode,
    pub(crate) par: ParPolicy,
    pub(crate) userinfo: UserinfoPolicy,
    /// Whether every response has to say whose it is (RFC 9207), whatever discovery says of it.
    pub(crate) demands_issuer: bool,
    pub(crate) algorithms: Option<Vec<Algorithm>>,
    pub(crate) role_claims: RoleClaims,
    /// The provider's own name for `post_logout_redirect_uri`.
    pub(crate) end_session_parameter: Option<String>,
    /// The provider's own API.
    pub(crate) api: Option<Url>,
}

impl From<Preset> for SignInProvider {
    /// The settings of a preset.
    fn from(preset: Preset) -> Self {
        Self::default().preset(preset)
    }
}

impl SignInProvider {
    /// What people know the provider by, on the page to choose on: a few words. Default: its name.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// One of the app's public origins that users of this provider sign in at: [`AuthBuilder::base_url`], or a
    /// [further one](AuthBuilder::further_base_url). May be called for several. Default: all of them.
    ///
    /// At any other there is no provider of this name: no link begins a sign-in there, no answer is taken, and the page to choose on
    /// leaves it out. Where one is left, nobody has to choose. So with an origin for each tenant, whoever is signed in there is the
    /// tenant's user.
    ///
    /// An origin that the app does not have is a mistake in the settings. Of a provider that is
    /// [looked up](AuthBuilder::providers_from) it is none: with no other, it is unknown everywhere.
    pub fn only_at(mut self, origin: impl Into<String>) -> Self {
        self.only_at.push(origin.into());
        self
    }

    /// The settings that the provider asks for; as [`AuthBuilder::preset`].
    pub fn preset(self, preset: Preset) -> Self {
        preset.apply(self.nowhere())
    }

    /// Without what says where the provider is: a preset says all of it, and two halves of two providers are none.
    fn nowhere(self) -> Self {
        Self {
            issuer: None,
            authorization_url: None,
            token_url: None,
            userinfo_url: None,
            revocation_url: None,
            introspection_url: None,
            end_session_url: None,
            end_session_parameter: None,
            pushed_authorization_request_url: None,
            provider_api: None,
            ..self
        }
    }

    /// A preset that was given something it cannot use; [`build`](Self::build) says so.
    pub(crate) fn preset_error(mut self, error: ConfigError) -> Self {
        self.preset_error.get_or_insert(error);
        self
    }

    /// The OpenID Connect issuer; as [`AuthBuilder::issuer`].
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// A plain OAuth 2.0 provider, without discovery and ID tokens; as [`AuthBuilder::endpoints`].
    pub fn endpoints(mut self, authorization: impl Into<String>, token: impl Into<String>) -> Self {
        self.authorization_url = Some(authorization.into());
        self.token_url = Some(token.into());
        self
    }

    /// Takes the user of a plain OAuth 2.0 provider from the access token, which is verified; as
    /// [`AuthBuilder::user_from_access_token`].
    pub fn user_from_access_token(
        mut self,
        issuer: impl Into<String>,
        jwks_url: impl Into<String>,
        audience: impl Into<String>,
    ) -> Self {
        self.plain_identity = PlainIdentityChoice::AccessToken {
            issuer: issuer.into(),
            jwks_url: jwks_url.into(),
            audience: audience.into(),
        };
        self
    }

    /// **Believes whatever the access token says, without any check**; as
    /// [`AuthBuilder::dangerous_user_from_unverified_access_token`].
    pub fn dangerous_user_from_unverified_access_token(mut self) -> Self {
        self.plain_identity = PlainIdentityChoice::Unverified;
        self
    }

    pub(crate) fn authorization_url(mut self, url: Option<String>) -> Self {
        self.authorization_url = url;
        self
    }

    pub(crate) fn token_url(mut self, url: Option<String>) -> Self {
        self.token_url = url;
        self
    }

    /// The userinfo endpoint; as [`AuthBuilder::userinfo_url`].
    pub fn userinfo_url(mut self, url: impl Into<String>) -> Self {
        self.userinfo_url = Some(url.into());
        self
    }

    /// The revocation endpoint (RFC 7009 §2); as [`AuthBuilder::revocation_url`].
    pub fn revocation_url(mut self, url: impl Into<String>) -> Self {
        self.revocation_url = Some(url.into());
        self
    }

    /// The introspection endpoint (RFC 7662 §2); as [`AuthBuilder::introspection_url`].
    pub fn introspection_url(mut self, url: impl Into<String>) -> Self {
        self.introspection_url = Some(url.into());
        self
    }

    /// The provider's sign-out; as [`AuthBuilder::end_session_url`].
    pub fn end_session_url(mut self, url: impl Into<String>) -> Self {
        self.end_session_url = Some(url.into());
        self
    }

    /// The parameter of a sign-out that is not RP-Initiated Logout 1.0; as [`AuthBuilder::end_session_parameter`].
    pub fn end_session_parameter(mut self, name: impl Into<String>) -> Self {
        self.end_session_parameter = Some(name.into());
        self
    }

    /// The pushed authorization request endpoint (RFC 9126 §2); as [`AuthBuilder::pushed_authorization_request_url`].
    pub fn pushed_authorization_request_url(mut self, url: impl Into<String>) -> Self {
        self.pushed_authorization_request_url = Some(url.into());
        self
    }

    /// The client's id there, and its secret if it has one; as [`AuthBuilder::client`].
    pub fn client(mut self, id: impl Into<String>, secret: Option<&str>) -> Self {
        self.client_id = Some(id.into());
        self.client_secret = secret.map(ClientSecret::new);
        self
    }

    /// How the client authenticates there; as [`AuthBuilder::client_auth`].
    pub fn client_auth(mut self, method: ClientAuthMethod) -> Self {
        self.client_auth = Some(method);
        self
    }

    /// The client's private key; as [`AuthBuilder::client_key_pem`].
    pub fn client_key_pem(mut self, pem: &str) -> Self {
        match (&mut self.client_keys, SigningKey::all_from_pem(pem)) {
            (Ok(held), Ok(keys)) => held.extend(keys.into_iter().map(Arc::new)),
            (Ok(_), Err(error)) => {
                self.client_keys = Err(ConfigError::new(
                    "AUTH_CLIENT_KEY",
                    format!("{error}; it takes a PKCS#8 private key in PEM form"),
                ));
            }
            (Err(_), _) => {}
        }
        self
    }

    pub(crate) fn client_key_error(mut self, error: ConfigError) -> Self {
        self.client_keys = Err(error);
        self
    }

    /// The client's certificate for mutual TLS (RFC 8705 §2); as [`AuthBuilder::client_certificate_pem`].
    pub fn client_certificate_pem(mut self, chain: &str, key: &str) -> Self {
        self.client_certificate = Some(ClientCertificate::from_pem(chain, key));
        self
    }

    pub(crate) fn client_certificate_error(mut self, error: ConfigError) -> Self {
        self.client_certificate = Some(Err(error));
        self
    }

    /// Has access tokens bound to the client's certificate (RFC 8705 §3); as [`AuthBuilder::certificate_bound_tokens`].
    pub fn certificate_bound_tokens(mut self) -> Self {
        self.binds_to_certificate = true;
        self
    }

    /// The private key that decrypts what the provider encrypts for this client; as [`AuthBuilder::decryption_key_pem`].
    pub fn decryption_key_pem(mut self, pem: &str) -> Self {
        match (&mut self.decryption_keys, DecryptionKey::all_from_pem(pem)) {
            (Ok(held), Ok(keys)) => held.extend(keys.into_iter().map(Arc::new)),
            (Ok(_), Err(error)) => {
                self.decryption_keys = Err(ConfigError::new(
                    DECRYPTION_KEY,
                    format!("{error}; it takes a PKCS#8 private key in PEM form, RSA or P-256"),
                ));
            }
            (Err(_), _) => {}
        }
        self
    }

    /// Signs every authorization request (RFC 9101 §4); as [`AuthBuilder::sign_requests`].
    pub fn sign_requests(mut self) -> Self {
        self.signs_requests = true;
        self
    }

    /// Binds every session's tokens to a key of its own (RFC 9449 §5); as [`AuthBuilder::dpop`].
    pub fn dpop(mut self) -> Self {
        self.binds_tokens = true;
        self
    }

    /// The scopes to ask for, separated by spaces; as [`AuthBuilder::scopes`].
    pub fn scopes(mut self, scopes: &str) -> Self {
        self.scopes = Scopes::parse(scopes);
        self
    }

    /// Adds a parameter to every authorization request; as [`AuthBuilder::authorize_param`].
    pub fn authorize_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        if name != "resource" {
            self.authorize_params.retain(|(held, _)| *held != name);
        }
        self.authorize_params.push((name, value.into()));
        self
    }

    /// Asks for single claims; as [`AuthBuilder::claims`].
    pub fn claims(self, claims: serde_json::Value) -> Self {
        self.json_param("claims", &claims)
    }

    /// Asks for an access token that is good for this in detail (RFC 9396 §2); as [`AuthBuilder::authorization_details`].
    pub fn authorization_details(self, details: serde_json::Value) -> Self {
        self.json_param("authorization_details", &details)
    }

    fn json_param(self, name: &str, value: &serde_json::Value) -> Self {
        self.authorize_param(name, value.to_string())
    }

    /// Adds a resource indicator (RFC 8707 §2); as [`AuthBuilder::resource`].
    pub fn resource(mut self, uri: impl Into<String>) -> Self {
        self.resources.push(uri.into());
        self
    }

    /// How the provider's answer comes back; as [`AuthBuilder::response_mode`].
    pub fn response_mode(mut self, mode: ResponseMode) -> Self {
        self.response_mode = Some(mode);
        self
    }

    /// Whether authorization requests are pushed to the provider first (RFC 9126 §2); as [`AuthBuilder::par`].
    pub fn par(mut self, policy: ParPolicy) -> Self {
        self.par = policy;
        self
    }

    /// Whether userinfo is asked at sign-in; as [`AuthBuilder::userinfo`].
    pub fn userinfo(mut self, policy: UserinfoPolicy) -> Self {
        self.userinfo = policy;
        self
    }

    /// The signature algorithms that an ID token may have; as [`AuthBuilder::id_token_algorithms`].
    pub fn id_token_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Where the provider puts a user's roles; as [`AuthBuilder::roles_claims`].
    pub fn roles_claims<P: Into<String>>(mut self, places: impl IntoIterator<Item = P>) -> Self {
        self.roles_claims = places.into_iter().map(Into::into).collect();
        self
    }

    /// The provider's own API, by its base URL; as [`AuthBuilder::provider_api`].
    pub fn provider_api(mut self, base: impl Into<String>) -> Self {
        self.provider_api = Some(base.into());
        self
    }

    pub(crate) fn shared(mut self, variables: Vec<String>) -> Self {
        self.shared = variables;
        self
    }

    /// Everything that a security profile demands of a client; as [`AuthBuilder::profile`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    pub(crate) fn check(mut self) -> Result<Checked, ConfigError> {
        if let Some(error) = self.preset_error {
            return Err(error);
        }
        if let Some(profile) = self.profile {
            profile.apply(&mut self)?;
        }
        let response_mode = self.response_mode.unwrap_or_default();
        let provider = self.provider()?;
        let authentication = self.authentication()?;
        let certificate = self.client_certificate.clone().transpose()?;
        let certificate_use = self.certificate_use(&provider, &authentication)?;
        let overrides = EndpointOverrides {
            userinfo: optional_url("AUTH_USERINFO_URL", self.userinfo_url.as_deref())?,
            revocation: optional_url("AUTH_REVOCATION_URL", self.revocation_url.as_deref())?,
            introspection: optional_url("AUTH_INTROSPECTION_URL", self.introspection_url.as_deref())?,
            end_session: optional_url("AUTH_END_SESSION_URL", self.end_session_url.as_deref())?,
            pushed_authorization_request: optional_url(
                "pushed_authorization_request_url",
                self.pushed_authorization_request_url.as_deref(),
            )?,
            certificate: certificate_use,
            needs_algorithms: self.algorithms.is_none(),
        };
        check_end_session_parameter(self.end_session_parameter.as_deref())?;
        if self.par == ParPolicy::Always
            && matches!(provider, ProviderConfig::Endpoints { .. })
            && overrides.pushed_authorization_request.is_none()
        {
            return Err(ConfigError::new(
                "AUTH_PAR",
                "`always` needs AUTH_ISSUER: a provider's discovery document says where requests are pushed to",
            ));
        }
        if response_mode.is_signed() && matches!(provider, ProviderConfig::Endpoints { .. }) {
            return Err(ConfigError::new(
                "AUTH_RESPONSE_MODE",
                "`jwt` needs AUTH_ISSUER: a provider's discovery document says where its keys are",
            ));
        }
        if self.signs_requests && matches!(provider, ProviderConfig::Endpoints { .. }) {
            return Err(ConfigError::new(
                "AUTH_REQUEST_OBJECT",
                "`signed` needs AUTH_ISSUER: a signed request is made out to the provider's issuer",
            ));
        }
        let client_id = self.checked_client_id()?;
        let signing_keys = self.client_keys.clone()?;
        let decryption_keys = DecryptionKeys::new(self.decryption_keys.clone()?);
        if let Some(keys) = &decryption_keys
            && signing_keys.iter().any(|key| keys.has(&key.thumbprint()))
        {
            return Err(ConfigError::new(
                DECRYPTION_KEY,
                "is AUTH_CLIENT_KEY too; a key that signs decrypts nothing, so make another one",
            ));
        }
        let client_keys = self.keys()?;
        if self.signs_requests && client_keys.is_none() {
            return Err(key_missing("AUTH_REQUEST_OBJECT=signed"));
        }
        let mut scopes = self.scopes.clone();
        if matches!(provider, ProviderConfig::Discovery(_)) && !scopes.contains("openid") {
            scopes = std::iter::once("openid").chain(scopes.iter()).collect();
        }
        if !scopes.is_valid() {
            return Err(ConfigError::new(
                "AUTH_SCOPES",
                "a scope is printable ASCII without quotes and backslashes",
            ));
        }
        check_authorize_params(&self.authorize_params)?;
        let role_claims = RoleClaims::parse(&self.roles_claims, &client_id)?;
        if self.signs_requests
            && let Some((name, _)) = self
                .authorize_params
                .iter()
                .find(|(name, _)| request_object::OWN_CLAIMS.contains(&name.as_str()))
        {
            return Err(ConfigError::new(
                "AUTH_AUTHORIZE_PARAMS",
                format!("`{name}` has a meaning of its own in a signed request; remove it"),
            ));
        }
        for resource in &self.resources {
            let absolute = Url::parse(resource).is_ok_and(|url| url.fragment().is_none());
            if !absolute {
                return Err(ConfigError::new(
                    "AUTH_RESOURCE",
                    "each must be an absolute URI without a fragment",
                ));
            }
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return Err(ConfigError::new(
                "AUTH_ID_TOKEN_ALG",
                "name at least one algorithm, RS256 for example",
            ));
        }
        let api = self
            .provider_api
            .as_deref()
            .map(|text| api_url(PROVIDER_API, text));
        let only_at = (self.only_at.iter())
            .map(|origin| BaseUrl::new(origin).map_err(|_| not_an_own_origin()))
            .collect::<Result<_, _>>()?;
        Ok(Checked {
            provider,
            plain_identity: self.plain_identity,
            client_id,
            authentication,
            binds_tokens: self.binds_tokens,
            certificate,
            decryption_keys,
            only_at,
            config: PartyConfig {
                label: self.label,
                overrides,
                plain_identity: PlainIdentity::Endpoints,
                client_keys,
                signs_requests: self.signs_requests,
                scopes,
                authorize_params: self.authorize_params,
                resources: self.resources,
                response_mode,
                par: self.par,
                userinfo: self.userinfo,
                demands_issuer: self.profile.is_some(),
                algorithms: self.algorithms,
                role_claims,
                end_session_parameter: self.end_session_parameter,
                api: api.transpose()?,
            },
        })
    }

    fn keys(&self) -> Result<Option<ClientKeys>, ConfigError> {
        let keys = ClientKeys::new(self.client_keys.clone()?);
        Ok(match self.profile {
            Some(_) => keys.map(|keys| keys.signing_by(&profile::ALGORITHMS)),
            None => keys,
        })
    }

    /// What every provider needs, and this one has not.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let address = [&self.issuer, &self.authorization_url, &self.token_url];
        let has_address = address.iter().any(|address| address.is_some());
        let has_client_id = self.client_id.as_ref().is_some_and(|id| !id.is_empty());
        let needed = [("AUTH_ISSUER", has_address), ("AUTH_CLIENT_ID", has_client_id)];
        let missing = needed.iter().filter(|(_, is_there)| !is_there);
        missing.map(|(variable, _)| *variable).collect()
    }

    pub(crate) fn checked_client_id(&self) -> Result<String, ConfigError> {
        self.client_id.clone().filter(|id| !id.is_empty()).ok_or_else(|| {
            ConfigError::new(
                "AUTH_CLIENT_ID",
                "set it to the client id registered at the provider",
            )
        })
    }

    pub(crate) fn provider(&self) -> Result<ProviderConfig, ConfigError> {
        match (&self.issuer, &self.authorization_url, &self.token_url) {
            (Some(_), Some(_), _) => Err(ConfigError::new(
                "AUTH_AUTHORIZATION_URL",
                "comes from discovery when AUTH_ISSUER is set; set one of the two",
            )),
            (Some(_), _, Some(_)) => Err(ConfigError::new(
                "AUTH_TOKEN_URL",
                "comes from discovery when AUTH_ISSUER is set; set one of the two",
            )),
            (Some(issuer), None, None) => Issuer::new(issuer.as_str())
                .map(ProviderConfig::Discovery)
                .map_err(|error| ConfigError::new("AUTH_ISSUER", error.to_string())),
            (None, Some(authorization), Some(token)) => Ok(ProviderConfig::Endpoints {
                authorization: endpoint_url("AUTH_AUTHORIZATION_URL", authorization)?,
                token: endpoint_url("AUTH_TOKEN_URL", token)?,
            }),
            (None, Some(_), None) => Err(ConfigError::new(
                "AUTH_TOKEN_URL",
                "must be set together with AUTH_AUTHORIZATION_URL",
            )),
            (None, None, Some(_)) => Err(ConfigError::new(
                "AUTH_AUTHORIZATION_URL",
                "must be set together with AUTH_TOKEN_URL",
            )),
            (None, None, None) => Err(ConfigError::new(
                "AUTH_ISSUER",
                "set it to the provider's issuer, https://id.example",
            )),
        }
    }

    pub(crate) fn authentication(&self) -> Result<ClientAuthentication, ConfigError> {
        let secret = self
            .client_secret
            .clone()
            .filter(|secret| !secret.expose().is_empty());
        let keys = self.keys()?;
        let method = self.client_auth.unwrap_or(if secret.is_some() {
            ClientAuthMethod::ClientSecretBasic
        } else {
            ClientAuthMethod::None
        });
        let secret = || {
            secret.clone().ok_or_else(|| {
                ConfigError::new(
                    "AUTH_CLIENT_SECRET",
                    "AUTH_CLIENT_AUTH asks for a secret; set it, or AUTH_CLIENT_AUTH=none",
                )
            })
        };
        match method {
            ClientAuthMethod::ClientSecretBasic => secret().map(ClientAuthentication::Basic),
            ClientAuthMethod::ClientSecretPost => secret().map(ClientAuthentication::Post),
            ClientAuthMethod::PrivateKeyJwt => keys
                .map(ClientAuthentication::PrivateKeyJwt)
                .ok_or_else(|| key_missing("AUTH_CLIENT_AUTH=private_key_jwt")),
            ClientAuthMethod::ClientSecretJwt => {
                let secret = secret()?;
                if secret.expose().len() < jose::SHORTEST_SECRET {
                    return Err(ConfigError::new(
                        "AUTH_CLIENT_SECRET",
                        "client_secret_jwt needs a secret of 32 bytes or more (RFC 7518 §3.2)",
                    ));
                }
                Ok(ClientAuthentication::SecretJwt(secret))
            }
            ClientAuthMethod::TlsClientAuth => {
                Ok(ClientAuthentication::Certificate(CertificateTrust::Authority))
            }
            ClientAuthMethod::SelfSignedTlsClientAuth => {
                Ok(ClientAuthentication::Certificate(CertificateTrust::SelfSigned))
            }
            ClientAuthMethod::None => Ok(ClientAuthentication::None),
        }
    }

    /// What the certificate is for: one that is needed is there, and one that is there is needed.
    fn certificate_use(
        &self,
        provider: &ProviderConfig,
        authentication: &ClientAuthentication,
    ) -> Result<CertificateUse, ConfigError> {
        let authenticates = matches!(authentication, ClientAuthentication::Certificate(_));
        let certificate_use = match (authenticates, self.binds_to_certificate) {
            (_, true) => CertificateUse::Binding,
            (true, false) => CertificateUse::Authentication,
            (false, false) => CertificateUse::Nothing,
        };
        match (&self.client_certificate, certificate_use) {
            (None, CertificateUse::Nothing) => return Ok(certificate_use),
            (None, _) => {
                let who = if authenticates {
                    format!("AUTH_CLIENT_AUTH={authentication:?}")
                } else {
                    "AUTH_CERT_BOUND_TOKENS=true".to_owned()
                };
                return Err(ConfigError::new(
                    CLIENT_CERTIFICATE,
                    format!("{who} needs it: the path of the client's certificate in PEM form"),
                ));
            }
            (Some(_), CertificateUse::Nothing) => {
                return Err(ConfigError::new(
                    CLIENT_CERTIFICATE,
                    "is for nothing; set AUTH_CLIENT_AUTH=tls_client_auth, self_signed_tls_client_auth or AUTH_CERT_BOUND_TOKENS=true",
                ));
            }
            (Some(_), _) => {}
        }
        match provider {
            ProviderConfig::Endpoints { token, .. } if token.scheme() != "https" => Err(ConfigError::new(
                "AUTH_TOKEN_URL",
                "must be https, or it sees no certificate of the client",
            )),
            _ => Ok(certificate_use),
        }
    }
}

const CLIENT_CERTIFICATE: &str = "AUTH_CLIENT_CERT";
const DECRYPTION_KEY: &str = "AUTH_DECRYPTION_KEY";

fn key_missing(who: &str) -> ConfigError {
    ConfigError::new(
        "AUTH_CLIENT_KEY",
        format!("{who} needs it: the path of a PKCS#8 private key in PEM form"),
    )
}

fn endpoint_url(variable: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = secure_url(text).map_err(|error| ConfigError::new(variable, error.to_string()))?;
    if url.fragment().is_some() {
        return Err(ConfigError::new(variable, "must not have a fragment"));
    }
    Ok(url)
}

fn optional_url(variable: &'static str, text: Option<&str>) -> Result<Option<Url>, ConfigError> {
    text.map(|text| endpoint_url(variable, text)).transpose()
}

/// Parameters that the library sets itself, each for a reason that a setting must not undo.
const OWNED_PARAMETERS: [&str; 14] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "response_mode",
    "request",
    "request_uri",
    "resource",
    "dpop_jkt",
    "iss",
];

fn check_authorize_params(parameters: &[(String, String)]) -> Result<(), ConfigError> {
    for (name, value) in parameters {
        if OWNED_PARAMETERS.contains(&name.as_str()) {
            return Err(ConfigError::new(
                "AUTH_AUTHORIZE_PARAMS",
                format!("`{name}` is set by the library; remove it"),
            ));
        }
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic()) {
            return Err(ConfigError::new(
                "AUTH_AUTHORIZE_PARAMS",
                "must be a query string such as audience=https://api",
            ));
        }
        if let Some(mend) = wrong_json(name, value) {
            return Err(ConfigError::new("AUTH_AUTHORIZE_PARAMS", mend));
        }
        if name == "max_age" && value.parse::<u32>().is_err() {
            return Err(ConfigError::new(
                "AUTH_AUTHORIZE_PARAMS",
                "`max_age` must be a number of seconds",
            ));
        }
    }
    Ok(())
}

/// A parameter of the provider's own, beside `client_id`.
fn check_end_session_parameter(name: Option<&str>) -> Result<(), ConfigError> {
    let is_good = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
            && !matches!(name, "client_id" | "id_token_hint")
    };
    if name.is_none_or(is_good) {
        return Ok(());
    }
    Err(ConfigError::new(
        "AUTH_END_SESSION_PARAM",
        "must be the name of the parameter that takes the address to come back to, logout_uri for example",
    ))
}

/// What is wrong with a parameter that is JSON.
fn wrong_json(name: &str, text: &str) -> Option<&'static str> {
    let json = serde_json::from_str::<serde_json::Value>(text);
    let is_good = match (name, json) {
        ("claims", json) => json.is_ok_and(|json| json.is_object()),
        // RFC 9396 §2
        ("authorization_details", Ok(serde_json::Value::Array(details))) => {
            !details.is_empty() && details.iter().all(|detail| detail["type"].is_string())
        }
        ("authorization_details", _) => false,
        _ => true,
    };
    match name {
        _ if is_good => None,
        "claims" => Some("`claims` must be a JSON object (OpenID Connect Core §5.5)"),
        _ => Some("`authorization_details` must be a JSON array of objects with a `type` (RFC 9396 §2)"),
    }
}

/// What an error about [`AuthBuilder::provider_api`] is about.
const PROVIDER_API: &str = "provider_api";

/// The base URL of an API that is shown access tokens.
pub(crate) fn api_url(variable: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = secure_url(text).map_err(|error| ConfigError::new(variable, error.to_string()))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::new(variable, "must not have a query or a fragment"));
    }
    Ok(url)
}
