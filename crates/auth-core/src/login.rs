//! Signing in: the authorization request out (OpenID Connect Core §3.1.2.1), the response in (§3.1.2.5).
//!
//! Each attempt to sign in has a `state`, a `nonce` and a code verifier of its own, sealed in a cookie of its own
//! that is named after a hash of the `state`. So tabs do not disturb each other, an abandoned attempt costs the
//! server nothing, and any instance can finish what another one began.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::clock::Timestamp;
use crate::config::{ATTEMPT_LIFETIME, Config, CookieNames, MAX_ATTEMPTS, Refused, ResponseMode};
use crate::cookie;
use crate::error::Fault;
use crate::id_token::IdTokenError;
use crate::metadata::{Metadata, ProviderError};
use crate::request::{Parameters, RouteRequest};
use crate::seal::{Purpose, SecretKeys};
use crate::secret::{self, AuthorizationCode, CodeVerifier, random_text, sha256};
use crate::store::{OnceKey, StoreError};
use crate::token::{TokenError, TokenErrorCode};
use crate::types::{Issuer, ReturnTo, Scopes};
use crate::userinfo::UserinfoError;

/// How to sign in, where that differs from the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginOptions {
    /// Where to go afterwards.
    pub(crate) return_to: ReturnTo,
    /// Scopes to ask for besides the configured ones.
    pub(crate) scopes: Scopes,
    /// Those of them that the user cannot go on without: if they are not granted, a gate refuses instead of asking
    /// again.
    pub(crate) demanded_scopes: Scopes,
    /// The user must have proved who they are within this time (OpenID Connect Core §3.1.2.1, `max_age`).
    pub(crate) max_age: Option<Duration>,
    /// Who is likely to sign in (`login_hint`).
    pub(crate) login_hint: Option<String>,
}

/// A sign-in under way, as its cookie keeps it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Attempt {
    #[serde(with = "secret::sealed")]
    pub(crate) verifier: CodeVerifier,
    pub(crate) nonce: String,
    pub(crate) issuer: Issuer,
    pub(crate) return_to: ReturnTo,
    pub(crate) began_at: Timestamp,
    pub(crate) max_age: Option<Duration>,
    pub(crate) scopes: Scopes,
    pub(crate) demanded_scopes: Scopes,
}

/// An authorization request that is ready to be sent: where the browser goes, and the cookies that it takes along.
pub(crate) struct AuthorizationRequest {
    pub(crate) url: Url,
    pub(crate) cookies: Vec<String>,
}

/// Name and value of a cookie that every browser keeps: 4,096 bytes with the attributes (RFC 6265 §6.1).
const MAX_COOKIE: usize = 3_900;
/// How many cookies of earlier attempts are taken away at once: an answer's headers have limits too.
const MAX_REMOVALS: usize = 10;

/// Makes the authorization request.
pub(crate) fn begin(
    config: &Config,
    metadata: &Metadata,
    options: LoginOptions,
    open: &[(String, String)],
    now: Timestamp,
) -> AuthorizationRequest {
    let state = random_text();
    let nonce = random_text();
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut scopes = config.scopes.clone();
    scopes.insert(&options.scopes.to_string());
    let configured_max_age = config
        .authorize_params
        .iter()
        .find(|(name, _)| name == "max_age")
        .and_then(|(_, value)| value.parse().ok())
        .map(Duration::from_secs);
    let max_age = match (options.max_age, configured_max_age) {
        (Some(asked), Some(configured)) => Some(asked.min(configured)),
        (asked, configured) => asked.or(configured),
    };

    let mut url = metadata.authorization_endpoint.clone();
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &config.client_id)
        .append_pair("redirect_uri", &config.redirect_uri())
        .append_pair("scope", &scopes.to_string())
        .append_pair("state", &state)
        .append_pair("code_challenge", challenge.as_str())
        .append_pair("code_challenge_method", "S256");
    if metadata.jwks_uri.is_some() {
        query.append_pair("nonce", &nonce);
    }
    if config.response_mode == ResponseMode::FormPost {
        query.append_pair("response_mode", "form_post");
    }
    for resource in &config.resources {
        query.append_pair("resource", resource);
    }
    if let Some(max_age) = max_age {
        query.append_pair("max_age", &max_age.as_secs().to_string());
    }
    if let Some(hint) = &options.login_hint {
        query.append_pair("login_hint", hint);
    }
    for (name, value) in &config.authorize_params {
        let is_set_already = name == "max_age" || (name == "login_hint" && options.login_hint.is_some());
        if !is_set_already {
            query.append_pair(name, value);
        }
    }
    drop(query);

    let mut attempt = Attempt {
        verifier: code_verifier(&verifier),
        nonce,
        issuer: metadata.issuer.clone(),
        return_to: options.return_to,
        began_at: now,
        max_age,
        scopes,
        demanded_scopes: options.demanded_scopes,
    };
    let name = cookie_name(config.cookies, &state);
    let mut value = attempt.seal(&config.keys, &name);
    if name.len() + value.len() > MAX_COOKIE {
        // Browsers drop a cookie that is too long, and with it the sign-in; rather forget the way back.
        attempt.return_to = ReturnTo::default();
        value = attempt.seal(&config.keys, &name);
    }
    let mut cookies = crowded_out(config, open, now)
        .iter()
        .map(|name| cookie::remove(name, config.base_url.is_https(), cross_site_post(config)))
        .collect::<Vec<_>>();
    cookies.push(cookie::set(
        &name,
        &value,
        config.base_url.is_https(),
        ATTEMPT_LIFETIME,
        cross_site_post(config),
    ));
    AuthorizationRequest { url, cookies }
}

fn code_verifier(verifier: &PkceCodeVerifier) -> CodeVerifier {
    CodeVerifier::new(verifier.secret().as_str())
}

/// Whether the provider's answer comes as a cross-site form post over https, which brings no Lax cookie along.
fn cross_site_post(config: &Config) -> bool {
    config.response_mode == ResponseMode::FormPost && config.base_url.is_https()
}

/// The cookies of attempts that have to go so that, with one more, there are no more than [`MAX_ATTEMPTS`]: those
/// that cannot be read or are over, then the oldest.
fn crowded_out(config: &Config, open: &[(String, String)], now: Timestamp) -> Vec<String> {
    let (mut alive, mut gone) = (Vec::new(), Vec::new());
    for (name, value) in open {
        match Attempt::open(&config.keys, name, value) {
            Some(attempt) if !attempt.is_over(now) => alive.push((attempt.began_at, name.clone())),
            _ => gone.push(name.clone()),
        }
    }
    alive.sort();
    let keep = MAX_ATTEMPTS - 1;
    // Those that are alive and too many come first: that rule is kept at once, the rest is tidied up bit by bit.
    let mut removed: Vec<String> = alive
        .iter()
        .rev()
        .skip(keep)
        .map(|(_, name)| name.clone())
        .collect();
    removed.extend(gone);
    removed.truncate(MAX_REMOVALS);
    removed
}

impl Attempt {
    fn seal(&self, keys: &SecretKeys, name: &str) -> String {
        let plain = serde_json::to_vec(self).expect("an attempt has string keys and finite numbers only");
        URL_SAFE_NO_PAD.encode(keys.seal(Purpose::Attempt, name.as_bytes(), &plain))
    }

    fn open(keys: &SecretKeys, name: &str, value: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let plain = keys.open(Purpose::Attempt, name.as_bytes(), &sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.began_at) >= ATTEMPT_LIFETIME
    }
}

fn cookie_name(names: CookieNames, state: &str) -> String {
    let hash = URL_SAFE_NO_PAD.encode(&sha256(&[b"state\0", state.as_bytes()])[..16]);
    format!("{}{hash}", names.attempt_prefix())
}

/// The provider's answer, tied to the attempt of this browser that it belongs to.
pub(crate) struct AuthorizationResponse {
    pub(crate) parameters: Parameters,
    pub(crate) attempt: Attempt,
    /// The cookie to take away: the attempt is used up.
    pub(crate) cookie: String,
    /// To be claimed in the store before anything is done with the response.
    pub(crate) once: OnceKey,
    pub(crate) once_until: Timestamp,
}

/// Finds the attempt that a response belongs to.
pub(crate) fn receive(
    config: &Config,
    request: &RouteRequest,
    now: Timestamp,
) -> Result<AuthorizationResponse, LoginError> {
    // POST reads the body only, GET the query only.
    let parameters = if request.method == "POST" {
        request.form_parameters()
    } else {
        request.query_parameters()
    };
    if parameters.repeats(&["state"]) {
        return Err(LoginError::ParameterRepeated);
    }
    let state = parameters.get("state").ok_or(LoginError::StateMissing)?;
    let name = cookie_name(config.cookies, state);
    let value = request.cookie(&name).ok_or(LoginError::StateCookieMissing)?;
    let attempt = Attempt::open(&config.keys, &name, value).ok_or(LoginError::AttemptUnreadable)?;
    if attempt.is_over(now) {
        return Err(LoginError::AttemptExpired);
    }
    Ok(AuthorizationResponse {
        once: OnceKey::from_bytes(sha256(&[b"used state\0", state.as_bytes()])),
        once_until: attempt.began_at.plus(ATTEMPT_LIFETIME),
        cookie: cookie::remove(&name, config.base_url.is_https(), cross_site_post(config)),
        attempt,
        parameters,
    })
}

/// Where a response that is good no more would have led, if this browser still knows.
pub(crate) fn return_path_of(config: &Config, request: &RouteRequest) -> ReturnTo {
    let parameters = if request.method == "POST" {
        request.form_parameters()
    } else {
        request.query_parameters()
    };
    parameters
        .get("state")
        .map(|state| cookie_name(config.cookies, state))
        .and_then(|name| Attempt::open(&config.keys, &name, request.cookie(&name)?))
        .map(|attempt| attempt.return_to)
        .unwrap_or_default()
}

impl AuthorizationResponse {
    /// The authorization code, once the response is known to be the provider's and no error.
    pub(crate) fn code(&self, metadata: &Metadata) -> Result<AuthorizationCode, LoginError> {
        if self.parameters.repeats(&["code", "iss", "error"]) {
            return Err(LoginError::ParameterRepeated);
        }
        // RFC 9207 §2.4: compared to the byte, for errors as well; demanded where the provider says it is there.
        // A plain OAuth 2.0 provider has no issuer identifier to compare with.
        match self.parameters.get("iss").filter(|_| metadata.jwks_uri.is_some()) {
            Some(issuer) if issuer == metadata.issuer.as_str() => {}
            Some(_) => return Err(LoginError::IssuerMismatch),
            None if metadata.names_issuer_in_response => return Err(LoginError::IssuerMissing),
            None => {}
        }
        if self.attempt.issuer != metadata.issuer {
            return Err(LoginError::IssuerMismatch);
        }
        if let Some(error) = self.parameters.get("error") {
            return Err(LoginError::Refused(AuthorizationErrorCode::of(error)));
        }
        self.parameters
            .get("code")
            .map(AuthorizationCode::new)
            .ok_or(LoginError::CodeMissing)
    }
}

/// What a gate asks of the sign-in that it sends a browser to; travels sealed in the URL of `/auth/login`, so that
/// no link from elsewhere can make the app ask for more than the app wants.
#[derive(Serialize, Deserialize)]
pub(crate) struct StepUp {
    pub(crate) scopes: Scopes,
    pub(crate) demanded_scopes: Scopes,
    pub(crate) max_age: Option<Duration>,
    pub(crate) asked_at: Timestamp,
}

impl StepUp {
    pub(crate) fn seal(&self, keys: &SecretKeys) -> String {
        let plain = serde_json::to_vec(self).expect("a step-up has string keys and finite numbers only");
        URL_SAFE_NO_PAD.encode(keys.seal(Purpose::StepUp, b"", &plain))
    }

    pub(crate) fn open(keys: &SecretKeys, text: &str, now: Timestamp) -> Option<Self> {
        let plain = keys
            .open(Purpose::StepUp, b"", &URL_SAFE_NO_PAD.decode(text).ok()?)
            .ok()?;
        let step_up: Self = serde_json::from_slice(&plain).ok()?;
        (now.since(step_up.asked_at) < ATTEMPT_LIFETIME).then_some(step_up)
    }
}

/// Why a sign-in could not be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The response has no `state`.
    #[error("the response has no state")]
    StateMissing,
    /// A parameter that may stand there once stands there more often (RFC 6749 §3.1).
    #[error("a parameter of the response is repeated")]
    ParameterRepeated,
    /// This browser has no attempt for this `state`: begun elsewhere, finished, dropped, or its cookie was blocked.
    #[error("no sign-in of this browser matches the state")]
    StateCookieMissing,
    /// The attempt's cookie cannot be opened: another key, or it was tampered with.
    #[error("the sign-in's cookie cannot be opened with this app's key")]
    AttemptUnreadable,
    /// The attempt was begun more than 15 minutes ago.
    #[error("the sign-in was begun too long ago")]
    AttemptExpired,
    /// The `state` was presented before.
    #[error("the state was used before")]
    StateReplayed,
    /// The response names another issuer than the one that was asked (RFC 9207).
    #[error("the response names another issuer")]
    IssuerMismatch,
    /// The response names no issuer, though the provider always does (RFC 9207).
    #[error("the response names no issuer")]
    IssuerMissing,
    /// The response has neither a code nor an error.
    #[error("the response has no code")]
    CodeMissing,
    /// The provider answered with an error instead of a code (RFC 6749 §4.1.2.1).
    #[error("the provider refused the authorization request: {0}")]
    Refused(AuthorizationErrorCode),
    /// The code could not be redeemed.
    #[error("the token request failed")]
    Token(#[source] TokenError),
    /// The tokens are not of the type that was agreed (RFC 6749 §7.1).
    #[error("the token type is not Bearer")]
    TokenType,
    /// There is no ID token in the token response.
    #[error("the token response has no ID token")]
    IdTokenMissing,
    /// The ID token is not good.
    #[error("the ID token is not good")]
    IdToken(#[source] IdTokenError),
    /// userinfo is somebody else's, or its signature is not good.
    #[error("the userinfo answer is not good")]
    Userinfo(#[source] UserinfoError),
    /// The provider says that the access token it has just issued is not active (RFC 7662).
    #[error("the access token is not active")]
    Inactive,
    /// The app's hook refused the user.
    #[error(transparent)]
    ByApp(Refused),
    /// The provider has ended the session, or all of the user's, since the sign-in was begun (Back-Channel and
    /// Front-Channel Logout 1.0).
    #[error("the provider has signed the user out meanwhile")]
    SignedOut,
    /// A third party asks for a sign-in at an issuer that is not ours (OpenID Connect Core §4).
    #[error("a sign-in was asked for at an issuer that is not configured")]
    UnknownIssuer,
    /// The provider demands something that this version cannot do.
    #[error("the provider demands {0}")]
    Unsupported(&'static str),
    /// The provider cannot be used.
    #[error(transparent)]
    Provider(ProviderError),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

/// The error codes of an authorization response. The text of an unknown one is not kept: it came with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizationErrorCode {
    /// The user, or the provider for them, said no.
    #[error("access_denied")]
    AccessDenied,
    /// The provider failed.
    #[error("server_error")]
    ServerError,
    /// The provider cannot at present.
    #[error("temporarily_unavailable")]
    TemporarilyUnavailable,
    /// The user must do something that was not asked of them.
    #[error("interaction_required, login_required, account_selection_required or consent_required")]
    InteractionRequired,
    /// A scope is unknown or not allowed.
    #[error("invalid_scope")]
    InvalidScope,
    /// This client may not do that.
    #[error("unauthorized_client")]
    UnauthorizedClient,
    /// Any other code.
    #[error("another error code")]
    Other,
}

impl AuthorizationErrorCode {
    fn of(text: &str) -> Self {
        match text {
            "access_denied" => Self::AccessDenied,
            "server_error" => Self::ServerError,
            "temporarily_unavailable" => Self::TemporarilyUnavailable,
            "interaction_required" | "login_required" | "account_selection_required" | "consent_required" => {
                Self::InteractionRequired
            }
            "invalid_scope" => Self::InvalidScope,
            "unauthorized_client" => Self::UnauthorizedClient,
            _ => Self::Other,
        }
    }
}

impl LoginError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::StateMissing => "login.state_missing",
            Self::ParameterRepeated => "login.parameter_repeated",
            Self::StateCookieMissing => "login.state_cookie_missing",
            Self::AttemptUnreadable => "login.attempt_unreadable",
            Self::AttemptExpired => "login.attempt_expired",
            Self::StateReplayed => "login.state_replayed",
            Self::IssuerMismatch => "login.issuer_mismatch",
            Self::IssuerMissing => "login.issuer_missing",
            Self::CodeMissing => "login.code_missing",
            Self::Refused(AuthorizationErrorCode::AccessDenied) => "login.access_denied",
            Self::Refused(AuthorizationErrorCode::ServerError) => "login.provider_error",
            Self::Refused(AuthorizationErrorCode::TemporarilyUnavailable) => "login.provider_unavailable",
            Self::Refused(AuthorizationErrorCode::InteractionRequired) => "login.interaction_required",
            Self::Refused(AuthorizationErrorCode::InvalidScope) => "login.scope_refused",
            Self::Refused(AuthorizationErrorCode::UnauthorizedClient) => "login.client_refused",
            Self::Refused(AuthorizationErrorCode::Other) => "login.refused",
            Self::Token(
                TokenError::Unavailable { .. } | TokenError::Unanswered(_) | TokenError::HeldBack,
            ) => "login.token_unavailable",
            Self::Token(TokenError::Malformed(_)) => "login.token_malformed",
            Self::Token(TokenError::Refused(code)) if code.is_about_the_client() => "login.client_refused",
            Self::Token(TokenError::Refused(TokenErrorCode::InvalidGrant)) => "login.code_refused",
            Self::Token(TokenError::Refused(_)) => "login.token_refused",
            Self::TokenType => "login.token_type",
            Self::IdTokenMissing => "login.id_token_missing",
            Self::IdToken(error) => error.code(),
            Self::Userinfo(error) => error.code(),
            Self::Inactive => "login.token_inactive",
            Self::ByApp(_) => "login.refused_by_app",
            Self::SignedOut => "login.signed_out",
            Self::UnknownIssuer => "login.unknown_issuer",
            Self::Unsupported(_) => "login.unsupported",
            Self::Provider(error) => error.code(),
            Self::Store(_) => "store.unavailable",
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::StateMissing
            | Self::ParameterRepeated
            | Self::StateCookieMissing
            | Self::AttemptUnreadable
            | Self::AttemptExpired
            | Self::StateReplayed
            | Self::IssuerMismatch
            | Self::IssuerMissing
            | Self::CodeMissing
            | Self::SignedOut
            | Self::UnknownIssuer => 400,
            Self::Refused(AuthorizationErrorCode::AccessDenied) | Self::ByApp(_) => 403,
            Self::Refused(AuthorizationErrorCode::TemporarilyUnavailable)
            | Self::Token(
                TokenError::Unavailable { .. } | TokenError::Unanswered(_) | TokenError::HeldBack,
            )
            | Self::Store(_) => 503,
            Self::Refused(AuthorizationErrorCode::ServerError) => 502,
            Self::Refused(_) => 400,
            Self::Token(_)
            | Self::TokenType
            | Self::IdTokenMissing
            | Self::IdToken(_)
            | Self::Userinfo(_)
            | Self::Inactive
            | Self::Unsupported(_) => 502,
            Self::Provider(error) => error.status(),
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Refused(AuthorizationErrorCode::AccessDenied) | Self::ByApp(_) => Fault::NotAllowed,
            Self::Refused(
                AuthorizationErrorCode::InvalidScope
                | AuthorizationErrorCode::UnauthorizedClient
                | AuthorizationErrorCode::Other,
            ) => Fault::Configuration,
            Self::Token(TokenError::Refused(code)) if code.is_about_the_client() => Fault::Configuration,
            Self::Unsupported(_) => Fault::Configuration,
            Self::Store(_) => Fault::Store,
            error if error.status() >= 500 => Fault::Provider,
            _ => Fault::Request,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Token(TokenError::Unavailable { retry_after, .. }) => *retry_after,
            Self::Provider(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether the response belongs to no sign-in that is under way: in a browser that is signed in it is an old
    /// page or an impatient click, and the browser just goes on.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(
            self,
            Self::StateCookieMissing | Self::AttemptUnreadable | Self::AttemptExpired | Self::StateReplayed
        )
    }
}

impl From<ProviderError> for LoginError {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
