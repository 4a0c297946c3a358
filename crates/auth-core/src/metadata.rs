//! What the provider says of itself: OpenID Connect Discovery 1.0, or endpoints given by hand.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, ProviderMetadata, ResponseTypes};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::cache::{Cache, Word};
use crate::clock::Timestamp;
use crate::config::{EndpointOverrides, ProviderConfig};
use crate::error::Fault;
use crate::http::{Answer, Asked, HttpError, ProviderHttp};
use crate::jose::{Algorithm, Jwk, KeySet, parse_key_set};
use crate::party::LookupError;
use crate::types::{Issuer, secure_url};

/// The provider as the rest of the core sees it.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    pub(crate) issuer: Issuer,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) userinfo_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    pub(crate) introspection_endpoint: Option<Url>,
    pub(crate) end_session_endpoint: Option<Url>,
    /// Where the keys are; `None` for a plain OAuth 2.0 provider, which issues no ID tokens.
    pub(crate) jwks_uri: Option<Url>,
    /// Algorithms that the provider signs ID tokens with, less `none` and `HS*`.
    pub(crate) id_token_algorithms: Vec<Algorithm>,
    /// Algorithms that the provider signs authorization responses with (JARM §4), less `none` and `HS*`.
    pub(crate) response_algorithms: Vec<Algorithm>,
    /// Algorithms for request objects (RFC 9101 §10.5).
    pub(crate) request_object_algorithms: Vec<Algorithm>,
    /// Algorithms for client assertions.
    pub(crate) client_assertion_algorithms: Vec<Algorithm>,
    /// Whether every authorization response names its issuer (RFC 9207).
    pub(crate) names_issuer_in_response: bool,
    /// Where authorization requests are pushed to (RFC 9126 §5), and whether they must be.
    pub(crate) pushed_authorization_request_endpoint: Option<Url>,
    pub(crate) requires_pushed_requests: bool,
}

/// What the client's certificate is for at this provider (RFC 8705).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CertificateUse {
    /// There is none.
    #[default]
    Nothing,
    /// It authenticates the client (§2).
    Authentication,
    /// Access tokens are bound to it (§3), however the client authenticates.
    Binding,
}

/// Members of the discovery document beyond OpenID Connect Discovery.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Additional {
    end_session_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    authorization_signing_alg_values_supported: Vec<String>,
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
    /// Read where the client has a certificate only.
    mtls_endpoint_aliases: Option<Value>,
    tls_client_certificate_bound_access_tokens: Option<Value>,
}

impl AdditionalProviderMetadata for Additional {}

type Document = ProviderMetadata<
    Additional,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    Jwk,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// The provider cannot be used at present, or its own description of itself cannot be trusted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It could not be reached, did not answer in time, or answered with 5xx or 429. It may pass.
    #[error("the provider's {document} cannot be fetched")]
    Unavailable {
        /// What was asked for.
        document: &'static str,
        /// How long to wait, where the provider says so (`Retry-After`).
        retry_after: Option<Duration>,
        /// What happened.
        #[source]
        cause: Arc<Outage>,
    },
    /// There is no discovery document at the issuer (OpenID Connect Discovery §4).
    #[error("there is no discovery document at the issuer (status {status})")]
    DiscoveryMissing {
        /// The status of the answer.
        status: u16,
    },
    /// The discovery document is not what it has to be (OpenID Connect Discovery §3); the text says what is wrong.
    #[error("the discovery document is malformed: {0}")]
    DiscoveryMalformed(&'static str),
    /// The discovery document is for another issuer (OpenID Connect Discovery §4.3).
    #[error("the discovery document names another issuer than the configured one")]
    IssuerMismatch,
    /// The discovery document lacks something, or has an endpoint that is not https (OpenID Connect Discovery §3); the text
    /// names the member.
    #[error("the discovery document is insufficient: {0}")]
    DiscoveryInsufficient(&'static str),
    /// The key set is not one (RFC 7517 §5).
    #[error("the provider's key set is malformed")]
    KeysMalformed,
    /// There is no provider of this name here, or not any more.
    #[error("no provider of this name is configured")]
    Unknown,
    /// What provider the name stands for cannot be said at present.
    #[error("the provider of this name cannot be looked up")]
    Lookup(#[source] Arc<LookupError>),
}

/// What kept the provider from giving a good answer, for now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Outage {
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A status that says so: 5xx, or 429.
    #[error("the provider answered with status {0}")]
    Status(u16),
    /// The app broke the request off: it is shutting down, or something in it has failed.
    #[error("the request was broken off")]
    Interrupted,
}

impl ProviderError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { cause, .. } if matches!(**cause, Outage::Http(HttpError::Connect(_))) => {
                "provider.unreachable"
            }
            Self::Unavailable { .. } => "provider.unavailable",
            Self::DiscoveryMissing { .. } => "provider.discovery_missing",
            Self::DiscoveryMalformed(_) => "provider.discovery_malformed",
            Self::IssuerMismatch => "provider.issuer_mismatch",
            Self::DiscoveryInsufficient(_) => "provider.discovery_insufficient",
            Self::KeysMalformed => "provider.keys_malformed",
            Self::Unknown => "provider.unknown",
            Self::Lookup(_) => "provider.lookup_failed",
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Unavailable { .. } | Self::Lookup(_) => 503,
            Self::Unknown => 404,
            _ => 502,
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Unknown => Fault::Request,
            // The application's own store of providers.
            Self::Lookup(_) => Fault::Store,
            _ => Fault::Provider,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

const ID_TOKEN_ALGORITHMS: &str = "id_token_signing_alg_values_supported";
/// How long a discovery document is fresh.
pub(crate) const METADATA_FRESH: Duration = Duration::from_secs(3600);
/// How long a key set is fresh.
pub(crate) const KEYS_FRESH: Duration = Duration::from_secs(600);
/// How often the key set may be fetched again because of an unknown `kid`, on the provider's own word and on anybody's.
pub(crate) const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(30);

/// The provider's metadata and keys, fetched when first needed and kept.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) config: ProviderConfig,
    overrides: EndpointOverrides,
    http: ProviderHttp,
    runtime: tokio::runtime::Handle,
    metadata: Cache<Metadata>,
    keys: Cache<KeySet>,
}

impl Provider {
    pub(crate) fn new(
        config: ProviderConfig,
        overrides: EndpointOverrides,
        http: ProviderHttp,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            config,
            overrides,
            http,
            runtime,
            metadata: Cache::new(METADATA_FRESH),
            keys: Cache::new(KEYS_FRESH),
        }
    }

    /// The name under which the provider's users are kept.
    pub(crate) fn issuer(&self) -> Issuer {
        match &self.config {
            ProviderConfig::Discovery(issuer) => issuer.clone(),
            ProviderConfig::Endpoints { token, .. } => Issuer::of_token_endpoint(token),
        }
    }

    /// Whether the provider issues ID tokens.
    pub(crate) fn is_openid(&self) -> bool {
        matches!(self.config, ProviderConfig::Discovery(_))
    }

    /// The provider's metadata. A failure is remembered for a second.
    pub(crate) async fn metadata(&self, now: Timestamp) -> Result<Arc<Metadata>, ProviderError> {
        let issuer = match &self.config {
            ProviderConfig::Endpoints { authorization, token } => {
                return Ok(Arc::new(self.given_metadata(authorization, token)));
            }
            ProviderConfig::Discovery(issuer) => issuer,
        };
        self.metadata
            .get(now, &self.runtime, || self.fetch_metadata(issuer))
            .await
    }

    /// The provider's metadata where what is at hand does not do: fetched again, unless it was a second ago.
    pub(crate) async fn metadata_anew(&self, now: Timestamp) -> Result<Arc<Metadata>, ProviderError> {
        match &self.config {
            ProviderConfig::Endpoints { .. } => self.metadata(now).await,
            ProviderConfig::Discovery(issuer) => {
                self.metadata
                    .anew(now, &self.runtime, || self.fetch_metadata(issuer))
                    .await
            }
        }
    }

    fn fetch_metadata(&self, issuer: &Issuer) -> BoxFuture<'static, Result<Metadata, ProviderError>> {
        let (issuer, http, overrides) = (issuer.clone(), self.http.clone(), self.overrides.clone());
        Box::pin(async move { discover(&http, &issuer, overrides).await })
    }

    /// The metadata that is at hand, without asking the provider.
    pub(crate) fn metadata_at_hand(&self) -> Option<Arc<Metadata>> {
        match &self.config {
            ProviderConfig::Endpoints { authorization, token } => {
                Some(Arc::new(self.given_metadata(authorization, token)))
            }
            ProviderConfig::Discovery(_) => self.metadata.at_hand(),
        }
    }

    /// The provider's keys.
    pub(crate) async fn keys(
        &self,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Result<Arc<KeySet>, ProviderError> {
        self.keys
            .get(now, &self.runtime, || self.fetch_keys(metadata))
            .await
    }

    /// The keys that are at hand, without asking the provider.
    pub(crate) fn keys_at_hand(&self) -> Option<Arc<KeySet>> {
        self.keys.at_hand()
    }

    /// Whether these are the keys that are at hand. The provider is not asked.
    pub(crate) fn keys_are(&self, keys: &Arc<KeySet>) -> bool {
        self.keys.holds(keys)
    }

    /// Fetches the keys again because a token names one that is not among them: at most once in 30 seconds on each word, not
    /// counting the first fetch. `None` when it is too soon.
    pub(crate) async fn keys_again(
        &self,
        word: Word,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Option<Result<Arc<KeySet>, ProviderError>> {
        let fetch = self
            .keys
            .again(word, now, UNKNOWN_KEY_INTERVAL, &self.runtime, || {
                self.fetch_keys(metadata)
            })?;
        Some(fetch.await)
    }

    fn fetch_keys(&self, metadata: &Metadata) -> BoxFuture<'static, Result<KeySet, ProviderError>> {
        let (http, uri) = (self.http.clone(), metadata.jwks_uri.clone());
        Box::pin(async move { fetch_keys(&http, uri).await })
    }

    pub(crate) fn given_metadata(&self, authorization: &Url, token: &Url) -> Metadata {
        Metadata {
            issuer: self.issuer(),
            authorization_endpoint: authorization.clone(),
            token_endpoint: token.clone(),
            userinfo_endpoint: self.overrides.userinfo.clone(),
            revocation_endpoint: self.overrides.revocation.clone(),
            introspection_endpoint: self.overrides.introspection.clone(),
            end_session_endpoint: self.overrides.end_session.clone(),
            jwks_uri: None,
            id_token_algorithms: Vec::new(),
            response_algorithms: Vec::new(),
            request_object_algorithms: Vec::new(),
            client_assertion_algorithms: Vec::new(),
            names_issuer_in_response: false,
            pushed_authorization_request_endpoint: self.overrides.pushed_authorization_request.clone(),
            requires_pushed_requests: false,
        }
    }
}

async fn discover(
    http: &ProviderHttp,
    issuer: &Issuer,
    overrides: EndpointOverrides,
) -> Result<Metadata, ProviderError> {
    // OpenID Connect Discovery §4: the suffix goes behind the whole issuer, path included.
    let url = format!(
        "{}/.well-known/openid-configuration",
        issuer.as_str().trim_end_matches('/')
    );
    let url = secure_url(&url).map_err(|_| ProviderError::DiscoveryInsufficient("its own address"))?;
    let answer = fetch(http, &url, "discovery document").await?;
    if !answer.status.is_success() {
        return Err(ProviderError::DiscoveryMissing {
            status: answer.status.as_u16(),
        });
    }
    accept(&answer.body, issuer, overrides)
}

/// What a discovery document says, if it can be trusted.
pub(crate) fn accept(
    body: &[u8],
    issuer: &Issuer,
    overrides: EndpointOverrides,
) -> Result<Metadata, ProviderError> {
    let document = read(body)?;
    // §4.3: to the byte.
    if document.issuer().as_str() != issuer.as_str() {
        return Err(ProviderError::IssuerMismatch);
    }
    let additional = document.additional_metadata();
    let aliases = Aliases::read(additional, overrides.certificate)?;
    let endpoint = |text: &str, name| endpoint(issuer, aliases.get(name).unwrap_or(text), name);
    let optional = |given: Option<Url>, text: Option<&str>, name| match (given, text) {
        (Some(url), _) => Ok(Some(url)),
        (None, text) => text
            .or_else(|| aliases.get(name))
            .map(|text| endpoint(text, name))
            .transpose(),
    };
    // A document that lists the methods of PKCE but not S256 cannot be used safely (RFC 9700 §2.1.1); one that
    // lists none may still do it.
    if additional
        .code_challenge_methods_supported
        .as_ref()
        .is_some_and(|methods| !methods.iter().any(|method| method == "S256"))
    {
        return Err(ProviderError::DiscoveryInsufficient(
            "the provider does not support PKCE with S256",
        ));
    }
    // §3: a provider that lists what it can do, and not the code flow, cannot be used.
    let has_code = |types: &ResponseTypes<CoreResponseType>| **types == [CoreResponseType::Code];
    if !document.response_types_supported().iter().any(has_code) {
        return Err(ProviderError::DiscoveryInsufficient(
            "the provider does not support the response type `code`",
        ));
    }
    if document
        .grant_types_supported()
        .is_some_and(|grants| !grants.contains(&CoreGrantType::AuthorizationCode))
    {
        return Err(ProviderError::DiscoveryInsufficient(
            "the provider does not support the grant type `authorization_code`",
        ));
    }
    // `none` and HS* are never taken.
    if overrides.needs_algorithms && document.id_token_signing_alg_values_supported().is_empty() {
        return Err(ProviderError::DiscoveryInsufficient(ID_TOKEN_ALGORITHMS));
    }
    let token_endpoint = document
        .token_endpoint()
        .ok_or(ProviderError::DiscoveryInsufficient("token_endpoint is missing"))
        .and_then(|url| endpoint(url.as_str(), "token_endpoint"))?;
    if overrides.certificate != CertificateUse::Nothing && token_endpoint.scheme() != "https" {
        return Err(ProviderError::DiscoveryInsufficient(
            "token_endpoint is not https, and so sees no certificate of the client",
        ));
    }
    Ok(Metadata {
        issuer: issuer.clone(),
        authorization_endpoint: endpoint(
            document.authorization_endpoint().as_str(),
            "authorization_endpoint",
        )?,
        token_endpoint,
        userinfo_endpoint: optional(
            overrides.userinfo,
            document.userinfo_endpoint().map(|url| url.as_str()),
            "userinfo_endpoint",
        )?,
        revocation_endpoint: optional(
            overrides.revocation,
            additional.revocation_endpoint.as_deref(),
            "revocation_endpoint",
        )?,
        introspection_endpoint: optional(
            overrides.introspection,
            additional.introspection_endpoint.as_deref(),
            "introspection_endpoint",
        )?,
        end_session_endpoint: optional(
            overrides.end_session,
            additional.end_session_endpoint.as_deref(),
            "end_session_endpoint",
        )?,
        jwks_uri: Some(endpoint(document.jwks_uri().as_str(), "jwks_uri")?),
        id_token_algorithms: document.id_token_signing_alg_values_supported().clone(),
        response_algorithms: known(&additional.authorization_signing_alg_values_supported),
        request_object_algorithms: document
            .request_object_signing_alg_values_supported()
            .cloned()
            .unwrap_or_default(),
        client_assertion_algorithms: document
            .token_endpoint_auth_signing_alg_values_supported()
            .cloned()
            .unwrap_or_default(),
        names_issuer_in_response: additional.authorization_response_iss_parameter_supported,
        pushed_authorization_request_endpoint: optional(
            overrides.pushed_authorization_request,
            additional.pushed_authorization_request_endpoint.as_deref(),
            "pushed_authorization_request_endpoint",
        )?,
        requires_pushed_requests: additional.require_pushed_authorization_requests,
    })
}

/// Where a client with a certificate finds what it shows the certificate to (RFC 8705 §5): endpoints that ask for one, so that
/// the others need not, and no browser is asked.
struct Aliases<'d>(Option<&'d Map<String, Value>>);

impl<'d> Aliases<'d> {
    /// Those that count: none for a client without a certificate.
    fn read(document: &'d Additional, certificate: CertificateUse) -> Result<Self, ProviderError> {
        if certificate == CertificateUse::Nothing {
            return Ok(Self(None));
        }
        // §3.3. Without it, tokens would only be believed to be bound.
        let binds = document.tls_client_certificate_bound_access_tokens == Some(Value::Bool(true));
        if certificate == CertificateUse::Binding && !binds {
            return Err(ProviderError::DiscoveryInsufficient(
                "the provider does not bind access tokens to certificates",
            ));
        }
        match &document.mtls_endpoint_aliases {
            None => Ok(Self(None)),
            Some(Value::Object(aliases)) => Ok(Self(Some(aliases))),
            Some(_) => Err(ProviderError::DiscoveryMalformed(
                "mtls_endpoint_aliases is no object",
            )),
        }
    }

    /// The alias of this endpoint. Browsers and everybody have none: they are sent where they always are.
    fn get(&self, name: &str) -> Option<&'d str> {
        const ALIASED: [&str; 5] = [
            "token_endpoint",
            "revocation_endpoint",
            "introspection_endpoint",
            "userinfo_endpoint",
            "pushed_authorization_request_endpoint",
        ];
        let alias = self.0.filter(|_| ALIASED.contains(&name))?.get(name)?.as_str()?;
        (!alias.is_empty()).then_some(alias)
    }
}

/// The algorithms of a list that are known here.
fn known(names: &[String]) -> Vec<Algorithm> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Reads the document. Members that are empty or null count as missing, and one that is not used fails nothing. What is
/// wrong is named in our words: the parser's would quote the provider.
fn read(body: &[u8]) -> Result<Document, ProviderError> {
    /// Optional members that nothing here depends on.
    const UNUSED: [&str; 8] = [
        "registration_endpoint",
        "scopes_supported",
        "acr_values_supported",
        "claims_supported",
        "service_documentation",
        "op_policy_uri",
        "op_tos_uri",
        "ui_locales_supported",
    ];
    let mut members: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| ProviderError::DiscoveryMalformed("it is no JSON object"))?;
    members.retain(|name, value| {
        !UNUSED.contains(&name.as_str()) && !value.is_null() && value.as_str() != Some("")
    });
    for required in ["issuer", "authorization_endpoint", "jwks_uri"] {
        if !members.contains_key(required) {
            return Err(ProviderError::DiscoveryInsufficient(required));
        }
    }
    // Whether it is needed depends on the settings.
    members
        .entry(ID_TOKEN_ALGORITHMS)
        .or_insert_with(|| Value::Array(Vec::new()));
    serde_json::from_value(Value::Object(members))
        .map_err(|_| ProviderError::DiscoveryMalformed("a member is missing or not of its type"))
}

/// An endpoint's URL: https, or http to loopback where the issuer is there too; without a fragment (RFC 6749 §3.1,
/// §3.2). A query is kept.
fn endpoint(issuer: &Issuer, text: &str, name: &'static str) -> Result<Url, ProviderError> {
    let url = secure_url(text).map_err(|_| ProviderError::DiscoveryInsufficient(name))?;
    let is_weaker = issuer.as_str().starts_with("https:") && url.scheme() != "https";
    if is_weaker || url.fragment().is_some() {
        return Err(ProviderError::DiscoveryInsufficient(name));
    }
    Ok(url)
}

pub(crate) async fn fetch_keys(http: &ProviderHttp, uri: Option<Url>) -> Result<KeySet, ProviderError> {
    let uri = uri.ok_or(ProviderError::KeysMalformed)?;
    let answer = fetch(http, &uri, "key set").await?;
    if !answer.status.is_success() {
        return Err(ProviderError::KeysMalformed);
    }
    parse_key_set(&answer.body).map_err(|_| ProviderError::KeysMalformed)
}

async fn fetch(http: &ProviderHttp, url: &Url, document: &'static str) -> Result<Answer, ProviderError> {
    let unavailable = |retry_after, cause| ProviderError::Unavailable {
        document,
        retry_after,
        cause: Arc::new(cause),
    };
    let asked = match document {
        "key set" => Asked::Keys,
        _ => Asked::Discovery,
    };
    let request = http
        .get(asked, url)
        .header(http::header::ACCEPT, "application/json");
    match http.send(asked, request).await {
        Ok(answer) if answer.is_outage() => Err(unavailable(
            answer.retry_after(),
            Outage::Status(answer.status.as_u16()),
        )),
        Ok(answer) => Ok(answer),
        Err(HttpError::TooLarge) if document == "key set" => Err(ProviderError::KeysMalformed),
        Err(HttpError::TooLarge) => Err(ProviderError::DiscoveryInsufficient("it is larger than 1 MiB")),
        Err(error) => Err(unavailable(None, error.into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: &str = "https://id.example";
    const MTLS: &str = "https://mtls.id.example";

    fn document() -> Value {
        let at = |path: &str| format!("{PLAIN}/{path}");
        json!({
            "issuer": PLAIN,
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "userinfo_endpoint": at("userinfo"),
            "jwks_uri": at("jwks"),
            "end_session_endpoint": at("logout"),
            "revocation_endpoint": at("revoke"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "tls_client_certificate_bound_access_tokens": true,
            "mtls_endpoint_aliases": {
                "authorization_endpoint": format!("{MTLS}/authorize"),
                "end_session_endpoint": format!("{MTLS}/logout"),
                "jwks_uri": format!("{MTLS}/jwks"),
                "token_endpoint": format!("{MTLS}/token"),
                "userinfo_endpoint": format!("{MTLS}/userinfo"),
                "introspection_endpoint": format!("{MTLS}/introspect"),
                "pushed_authorization_request_endpoint": format!("{MTLS}/par"),
                "revocation_endpoint": null,
            },
        })
    }

    fn accepted(document: &Value, overrides: EndpointOverrides) -> Result<Metadata, ProviderError> {
        let issuer = Issuer::new(PLAIN).expect("an issuer");
        accept(document.to_string().as_bytes(), &issuer, overrides)
    }

    fn with_certificate(certificate: CertificateUse) -> EndpointOverrides {
        EndpointOverrides {
            certificate,
            ..EndpointOverrides::default()
        }
    }

    fn at(origin: &str, path: &str) -> Url {
        Url::parse(&format!("{origin}/{path}")).expect("a URL")
    }

    #[test] // RFC 8705 §5
    fn a_client_with_a_certificate_uses_the_aliases_of_what_it_shows_it_to() {
        for certificate in [CertificateUse::Authentication, CertificateUse::Binding] {
            let metadata = accepted(&document(), with_certificate(certificate)).expect("good");
            assert_eq!(metadata.token_endpoint, at(MTLS, "token"));
            assert_eq!(metadata.userinfo_endpoint, Some(at(MTLS, "userinfo")));
            assert_eq!(metadata.introspection_endpoint, Some(at(MTLS, "introspect")));
            assert_eq!(
                metadata.pushed_authorization_request_endpoint,
                Some(at(MTLS, "par"))
            );
            // What has no alias, and what browsers and everybody use.
            assert_eq!(metadata.revocation_endpoint, Some(at(PLAIN, "revoke")));
            assert_eq!(metadata.authorization_endpoint, at(PLAIN, "authorize"));
            assert_eq!(metadata.end_session_endpoint, Some(at(PLAIN, "logout")));
            assert_eq!(metadata.jwks_uri, Some(at(PLAIN, "jwks")));
        }
        let given = EndpointOverrides {
            userinfo: Some(at("https://given.example", "userinfo")),
            ..with_certificate(CertificateUse::Binding)
        };
        let metadata = accepted(&document(), given).expect("good");
        assert_eq!(
            metadata.userinfo_endpoint,
            Some(at("https://given.example", "userinfo"))
        );
    }

    #[test] // RFC 8705 §5
    fn a_client_without_a_certificate_uses_no_alias_and_reads_none() {
        let mut document = document();
        for aliases in [
            document["mtls_endpoint_aliases"].clone(),
            json!("nonsense"),
            json!(7),
        ] {
            document["mtls_endpoint_aliases"] = aliases;
            let metadata = accepted(&document, EndpointOverrides::default()).expect("good");
            assert_eq!(metadata.token_endpoint, at(PLAIN, "token"));
            assert_eq!(metadata.userinfo_endpoint, Some(at(PLAIN, "userinfo")));
            assert_eq!(metadata.introspection_endpoint, None);
        }
    }

    #[test] // RFC 8705 §5
    fn an_alias_is_https_as_any_endpoint() {
        for bad in [
            "http://mtls.id.example/token",
            "http://127.0.0.1/token",
            "https://user@mtls.id.example/token",
            "https://mtls.id.example/token#x",
            "/token",
        ] {
            let mut document = document();
            document["mtls_endpoint_aliases"]["token_endpoint"] = json!(bad);
            let refused = accepted(&document, with_certificate(CertificateUse::Authentication));
            assert!(
                matches!(
                    refused,
                    Err(ProviderError::DiscoveryInsufficient("token_endpoint"))
                ),
                "{bad}: {refused:?}"
            );
        }
        let mut document = document();
        document["mtls_endpoint_aliases"] = json!([]);
        let refused = accepted(&document, with_certificate(CertificateUse::Authentication));
        assert!(matches!(refused, Err(ProviderError::DiscoveryMalformed(_))));
    }

    #[test] // OpenID Connect Discovery §3
    fn the_algorithms_of_id_tokens_are_listed_where_the_settings_name_none() {
        for list in [json!(null), json!([]), json!(["HS256", "none"]), json!(["RS999"])] {
            let mut document = document();
            document[ID_TOKEN_ALGORITHMS] = list.clone();
            let accepted = |needs_algorithms| {
                let overrides = EndpointOverrides {
                    needs_algorithms,
                    ..EndpointOverrides::default()
                };
                accepted(&document, overrides)
            };
            let refused = accepted(true);
            assert!(
                matches!(
                    refused,
                    Err(ProviderError::DiscoveryInsufficient(ID_TOKEN_ALGORITHMS))
                ),
                "{list}: {refused:?}"
            );
            let listed = accepted(false).expect("good").id_token_algorithms;
            assert!(listed.is_empty(), "{list}");
        }
    }

    #[test] // RFC 8705 §3.3
    fn bound_tokens_need_a_provider_that_says_it_binds_them() {
        for says in [json!(false), json!("true"), json!(null)] {
            let mut document = document();
            document["tls_client_certificate_bound_access_tokens"] = says;
            let refused = accepted(&document, with_certificate(CertificateUse::Binding));
            assert!(
                matches!(refused, Err(ProviderError::DiscoveryInsufficient(what)) if what.contains("bind")),
                "{refused:?}"
            );
            // To authenticate the client, it need not.
            accepted(&document, with_certificate(CertificateUse::Authentication)).expect("good");
        }
    }

    #[test] // RFC 8705 §2
    fn a_certificate_needs_a_token_endpoint_that_can_see_it() {
        let local = "http://127.0.0.1:1";
        let mut document = document();
        document
            .as_object_mut()
            .expect("an object")
            .remove("mtls_endpoint_aliases");
        for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
            document[name] = json!(local);
        }
        let accepted = |document: &Value, certificate| {
            let issuer = Issuer::new(local).expect("an issuer");
            accept(
                document.to_string().as_bytes(),
                &issuer,
                with_certificate(certificate),
            )
        };
        accepted(&document, CertificateUse::Nothing).expect("good");
        let refused = accepted(&document, CertificateUse::Authentication);
        assert!(
            matches!(refused, Err(ProviderError::DiscoveryInsufficient(what)) if what.contains("https")),
            "{refused:?}"
        );
        document["mtls_endpoint_aliases"] = json!({"token_endpoint": "https://127.0.0.1:2/token"});
        accepted(&document, CertificateUse::Authentication).expect("good");
    }

    #[test] // OpenID Connect Discovery §3, RFC 6749 §3.1, §3.2
    fn an_endpoint_of_an_https_issuer_is_https_without_credentials_and_fragment() {
        let issuer = Issuer::new("https://id.example").expect("an issuer");
        for good in [
            "https://id.example/token",
            "https://other.example:8443/token?tenant=a%20b&x",
        ] {
            assert_eq!(endpoint(&issuer, good, "e").expect(good).as_str(), good);
        }
        for bad in [
            "http://id.example/token",
            "http://127.0.0.1/token",
            "http://localhost/token",
            "https://user@id.example/token",
            "https://user:password@id.example/token",
            "https://id.example/token#fragment",
            "https://id.example/token#",
            "/token",
            "id.example/token",
            "javascript:alert(1)",
            "https://",
            "",
        ] {
            let refused = endpoint(&issuer, bad, "e").expect_err(bad);
            assert!(
                matches!(refused, ProviderError::DiscoveryInsufficient("e")),
                "{bad}"
            );
        }
        let local = Issuer::new("http://127.0.0.1:1").expect("an issuer");
        assert!(endpoint(&local, "http://127.0.0.1:2/token", "e").is_ok());
        assert!(endpoint(&local, "http://id.example/token", "e").is_err());
    }
}
