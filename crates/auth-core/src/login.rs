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

use crate::bearer::InvalidToken;
use crate::client_auth::ClientAuthentication;
use crate::clock::Timestamp;
use crate::config::{
    ATTEMPT_LIFETIME, CLOCK_TOLERANCE, ClientAuthMethod, Config, CookieNames, MAX_ATTEMPTS, Refused,
    ResponseMode,
};
use crate::cookie;
use crate::dpop::DpopKey;
use crate::error::Fault;
use crate::id_token::IdTokenError;
use crate::jarm::{self, ResponseJwtError};
use crate::jose;
use crate::metadata::{Metadata, ProviderError};
use crate::origins::{OriginId, Origins};
use crate::party::Party;
use crate::request::{Arrival, OtherCookies, Parameters, RouteRequest};
use crate::seal::{OpenError, Purpose, SecretKeys};
use crate::secret::{self, AuthorizationCode, CodeVerifier, random_text, sha256};
use crate::step_up::Demands;
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
    /// What the sign-in is for: if it does not bring that, a gate refuses instead of asking again.
    pub(crate) demands: Demands,
    /// Who is likely to sign in (`login_hint`).
    pub(crate) login_hint: Option<String>,
}

/// A sign-in under way, as its cookie keeps it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Attempt {
    #[serde(with = "secret::sealed")]
    pub(crate) verifier: CodeVerifier,
    pub(crate) nonce: String,
    /// The origin of the app that it began at; `None` where there is no other.
    #[serde(default)]
    pub(crate) origin: Option<String>,
    /// The name of the provider that was asked; `None` of the one that has none.
    #[serde(default)]
    pub(crate) provider: Option<String>,
    pub(crate) issuer: Issuer,
    pub(crate) return_to: ReturnTo,
    pub(crate) began_at: Timestamp,
    pub(crate) max_age: Option<Duration>,
    pub(crate) scopes: Scopes,
    pub(crate) demands: Demands,
    /// The key that the tokens will be bound to (RFC 9449), if they are to be.
    #[serde(default, with = "crate::dpop::sealed")]
    pub(crate) dpop_key: Option<DpopKey>,
}

/// An authorization request, ready to be sent: its parameters, and the cookies that the browser takes along.
pub(crate) struct AuthorizationRequest {
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) cookies: Vec<String>,
    /// The attempt's key: a pushed request proves it.
    pub(crate) dpop_key: Option<DpopKey>,
}

/// Name and value of a cookie that every browser keeps: 4,096 bytes with the attributes (RFC 6265 §6.1).
const MAX_COOKIE: usize = 3_900;
/// How many cookies of earlier attempts are taken away at once: an answer's headers have limits too.
const MAX_REMOVALS: usize = 10;

/// Makes the authorization request.
pub(crate) fn begin(
    config: &Config,
    party: &Party,
    metadata: &Metadata,
    options: LoginOptions,
    request: &RouteRequest,
    now: Timestamp,
) -> AuthorizationRequest {
    let at = request.incoming.at;
    let origin = config.origins.mark(at);
    let state = Beginning::of(request.arrival, origin.clone(), now).state(&config.keys);
    let nonce = random_text();
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut scopes = party.config.scopes.clone();
    scopes.insert(&options.scopes.to_string());
    let configured_max_age = party
        .config
        .authorize_params
        .iter()
        .find(|(name, _)| name == "max_age")
        .and_then(|(_, value)| value.parse().ok())
        .map(Duration::from_secs);
    let max_age = match (options.demands.max_age, configured_max_age) {
        (Some(asked), Some(configured)) => Some(asked.min(configured)),
        (asked, configured) => asked.or(configured),
    };

    let mut parameters = Vec::new();
    let mut add = |name: &str, value: &str| parameters.push((name.to_owned(), value.to_owned()));
    add("response_type", "code");
    add("client_id", &party.registration.client_id);
    add("redirect_uri", &party.redirect_uri(config.origins.get(at)));
    add("scope", &scopes.to_string());
    add("state", &state);
    add("code_challenge", challenge.as_str());
    add("code_challenge_method", "S256");
    if metadata.jwks_uri.is_some() {
        add("nonce", &nonce);
    }
    let dpop_key = party.registration.dpop_key.as_ref().map(|_| DpopKey::generate());
    if let Some(key) = &dpop_key {
        add("dpop_jkt", &key.thumbprint());
    }
    if party.config.response_mode != ResponseMode::Query {
        add("response_mode", party.config.response_mode.as_str());
    }
    for resource in &party.config.resources {
        add("resource", resource);
    }
    if let Some(max_age) = max_age {
        add("max_age", &max_age.as_secs().to_string());
    }
    let acr_values = &options.demands.acr_values;
    if !acr_values.is_empty() {
        add("acr_values", &acr_values.to_string());
    }
    if let Some(hint) = &options.login_hint {
        add("login_hint", hint);
    }
    for (name, value) in &party.config.authorize_params {
        let is_set_already = match name.as_str() {
            "max_age" => true,
            "acr_values" => !acr_values.is_empty(),
            "login_hint" => options.login_hint.is_some(),
            _ => false,
        };
        if !is_set_already {
            add(name, value);
        }
    }

    let mut attempt = Attempt {
        verifier: code_verifier(&verifier),
        nonce,
        origin,
        provider: party.name.clone(),
        issuer: metadata.issuer.clone(),
        return_to: options.return_to,
        began_at: now,
        max_age,
        scopes,
        demands: options.demands,
        dpop_key: dpop_key.clone(),
    };
    let name = cookie_name(config.cookies, &state);
    let mut value = attempt.seal(&config.keys, &name);
    if name.len() + value.len() > MAX_COOKIE {
        // Browsers drop a cookie that is too long, and with it the sign-in; rather forget the way back.
        attempt.return_to = ReturnTo::default();
        value = attempt.seal(&config.keys, &name);
    }
    let mut cookies = crowded_out(config, &request.cookies, now)
        .iter()
        .map(|name| {
            cookie::remove(
                name,
                config.origins.first().is_https(),
                cross_site_post(config, party),
            )
        })
        .collect::<Vec<_>>();
    cookies.push(cookie::set(
        &name,
        &value,
        config.origins.first().is_https(),
        ATTEMPT_LIFETIME,
        cross_site_post(config, party),
    ));
    AuthorizationRequest {
        parameters,
        cookies,
        dpop_key,
    }
}

fn code_verifier(verifier: &PkceCodeVerifier) -> CodeVerifier {
    CodeVerifier::new(verifier.secret().as_str())
}

/// Whether the provider's answer comes as a cross-site form post over https, which brings no Lax cookie along.
fn cross_site_post(config: &Config, party: &Party) -> bool {
    party.config.response_mode.is_form_post() && config.origins.first().is_https()
}

/// The cookies of attempts that have to go so that, with one more, there are no more than [`MAX_ATTEMPTS`]: those
/// that cannot be read or are over, then the oldest.
fn crowded_out(config: &Config, open: &[(String, String)], now: Timestamp) -> Vec<String> {
    let (mut alive, mut gone) = (Vec::new(), Vec::new());
    for (name, value) in open {
        match Attempt::open(&config.keys, name, value) {
            Ok(attempt) if !attempt.is_over(now) => alive.push((attempt.began_at, name.clone())),
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

    fn open(keys: &SecretKeys, name: &str, value: &str) -> Result<Self, OpenError> {
        let sealed = URL_SAFE_NO_PAD.decode(value).map_err(|_| OpenError::Changed)?;
        let plain = keys.open(Purpose::Attempt, name.as_bytes(), &sealed)?;
        serde_json::from_slice(&plain).map_err(|_| OpenError::Changed)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.began_at) >= ATTEMPT_LIFETIME
    }
}

/// How a sign-in began. It travels sealed in the `state`, so that an answer whose cookie is missing can be explained:
/// the cookie goes with its time, and tells nothing when it is not there. It decides nothing else.
struct Beginning {
    at: Timestamp,
    /// The origin of the app that it was at; `None` where there is no other.
    origin: Option<String>,
    at_other_address: bool,
    has_fetch_metadata: bool,
}

impl Beginning {
    fn of(arrival: Arrival, origin: Option<String>, now: Timestamp) -> Self {
        Self {
            at: now,
            origin,
            at_other_address: arrival.at_other_address,
            has_fetch_metadata: arrival.has_fetch_metadata,
        }
    }

    /// A new `state`: 256 random bits, and this behind them.
    fn state(self, keys: &SecretKeys) -> String {
        let random = random_text();
        let flags = u8::from(self.at_other_address) | u8::from(self.has_fetch_metadata) << 1;
        let mut plain = self.at.as_secs().to_be_bytes().to_vec();
        plain.push(flags);
        plain.extend_from_slice(self.origin.unwrap_or_default().as_bytes());
        let sealed = keys.seal(Purpose::Beginning, random.as_bytes(), &plain);
        format!("{random}.{}", URL_SAFE_NO_PAD.encode(sealed))
    }

    fn read(keys: &SecretKeys, state: &str) -> Result<Self, OpenError> {
        let (random, sealed) = state.split_once('.').ok_or(OpenError::Changed)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| OpenError::Changed)?;
        let plain = keys.open(Purpose::Beginning, random.as_bytes(), &sealed)?;
        let (at, flags) = plain.split_first_chunk().ok_or(OpenError::Changed)?;
        let (flags, origin) = flags.split_first().ok_or(OpenError::Changed)?;
        let origin = std::str::from_utf8(origin).map_err(|_| OpenError::Changed)?;
        Ok(Self {
            at: Timestamp::from_secs(i64::from_be_bytes(*at)),
            origin: Some(origin.to_owned()).filter(|origin| !origin.is_empty()),
            at_other_address: flags & 1 != 0,
            has_fetch_metadata: flags & 2 != 0,
        })
    }
}

/// Why an answer's cookie is not there, as far as that can be known.
fn without_cookie(
    config: &Config,
    party: &Party,
    request: &RouteRequest,
    state: &str,
    now: Timestamp,
) -> LoginError {
    let beginning = match Beginning::read(&config.keys, state) {
        Ok(beginning) => beginning,
        Err(OpenError::UnknownKey) => return LoginError::AttemptUnreadable,
        Err(OpenError::Changed) => return LoginError::StateUnknown,
    };
    if now.since(beginning.at) >= ATTEMPT_LIFETIME {
        return LoginError::AttemptExpired;
    }
    if !(config.origins).is_marked(beginning.origin.as_deref(), request.incoming.at) {
        return LoginError::OtherOrigin;
    }
    let arrival = request.arrival;
    let kept_back = arrival.cookies == OtherCookies::KeptBack && !cross_site_post(config, party);
    LoginError::StateCookieMissing(if kept_back {
        MissingCookie::SameSite
    } else if beginning.at_other_address && !arrival.at_other_address {
        MissingCookie::OtherAddress
    } else if config.origins.first().is_https() && arrival.has_fetch_metadata && !beginning.has_fetch_metadata
    {
        MissingCookie::Http
    } else if !request.cookies.is_empty() {
        MissingCookie::OtherAttempts
    } else if arrival.cookies == OtherCookies::None && request.session.is_none() {
        MissingCookie::Blocked
    } else {
        MissingCookie::Unknown
    })
}

fn cookie_name(names: CookieNames, state: &str) -> String {
    let hash = URL_SAFE_NO_PAD.encode(&sha256(&[b"state\0", state.as_bytes()])[..16]);
    format!("{}{hash}", names.attempt_prefix())
}

/// The provider's answer, tied to the attempt of this browser that it belongs to.
pub(crate) struct AuthorizationResponse {
    pub(crate) parameters: Parameters,
    /// The signed token that is to hold the response, where responses are signed (JARM).
    token: Option<String>,
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
    party: &Party,
    request: &RouteRequest,
    now: Timestamp,
) -> Result<AuthorizationResponse, LoginError> {
    let parameters = parameters_of(request);
    if parameters.repeats(&["state", "response"]) {
        return Err(LoginError::ParameterRepeated);
    }
    let token = token_of(party, &parameters)?;
    let state = state_of(token.as_deref(), &parameters).ok_or(LoginError::StateMissing)?;
    let state = state.as_str();
    let name = cookie_name(config.cookies, state);
    let value = request
        .cookie(&name)
        .ok_or_else(|| without_cookie(config, party, request, state, now))?;
    let attempt = Attempt::open(&config.keys, &name, value).map_err(|error| match error {
        OpenError::UnknownKey => LoginError::AttemptUnreadable,
        OpenError::Changed => LoginError::AttemptTampered,
    })?;
    if attempt.is_over(now) {
        return Err(LoginError::AttemptExpired);
    }
    Ok(AuthorizationResponse {
        once: OnceKey::from_bytes(sha256(&[b"used state\0", state.as_bytes()])),
        once_until: attempt.began_at.plus(ATTEMPT_LIFETIME),
        cookie: cookie::remove(
            &name,
            config.origins.first().is_https(),
            cross_site_post(config, party),
        ),
        attempt,
        token,
        parameters,
    })
}

/// POST reads the body only, GET the query only.
fn parameters_of(request: &RouteRequest) -> Parameters {
    if request.method == "POST" {
        request.form_parameters()
    } else {
        request.query_parameters()
    }
}

/// The sign-in of this browser with this `state`.
fn attempt_of(config: &Config, request: &RouteRequest, state: &str) -> Option<Attempt> {
    let name = cookie_name(config.cookies, state);
    Attempt::open(&config.keys, &name, request.cookie(&name)?).ok()
}

/// The provider of the sign-in that a response belongs to, by its name, as long as this browser has that sign-in; for a
/// response whose address tells nothing. `decrypted` reads a response with whichever key it is for.
pub(crate) fn provider_asked(
    config: &Config,
    request: &RouteRequest,
    decrypted: impl Fn(&str) -> String,
) -> Option<Option<String>> {
    let parameters = parameters_of(request);
    let token = parameters.get("response").map(decrypted);
    let plain = || state_of(None, &parameters);
    let state = state_of(token.as_deref(), &parameters).or_else(plain)?;
    attempt_of(config, request, &state).map(|attempt| attempt.provider)
}

/// The signed token of a response, where responses are signed; decrypted, where the provider has encrypted it (JARM §2.2).
fn token_of(party: &Party, parameters: &Parameters) -> Result<Option<String>, LoginError> {
    let response = parameters.get("response");
    let Some(response) = response.filter(|_| party.config.response_mode.is_signed()) else {
        return Ok(None);
    };
    let token = party.registration.decrypted(response);
    if jose::is_encrypted(&token) {
        return Err(LoginError::ResponseJwt(ResponseJwtError::Encrypted));
    }
    Ok(Some(token.into_owned()))
}

/// The `state` of a response, also of one that is signed and not verified yet.
fn state_of(token: Option<&str>, parameters: &Parameters) -> Option<String> {
    match token {
        Some(token) => jarm::unverified_state(token),
        None => parameters.get("state").map(str::to_owned),
    }
}

/// Where a response that is good no more would have led, if this browser still knows.
pub(crate) fn return_path_of(config: &Config, party: &Party, request: &RouteRequest) -> ReturnTo {
    let parameters = parameters_of(request);
    token_of(party, &parameters)
        .ok()
        .and_then(|token| state_of(token.as_deref(), &parameters))
        .and_then(|state| attempt_of(config, request, &state))
        .map(|attempt| attempt.return_to)
        .unwrap_or_default()
}

impl AuthorizationResponse {
    /// Refuses a response that comes to another provider's redirect URI than that of the one that was asked (RFC 9700
    /// §4.4.2.2). Who answers in another's place would be given that one's code, or would have its own redeemed there.
    pub(crate) fn is_from(&self, party: &Party) -> Result<(), LoginError> {
        match self.attempt.provider == party.name {
            true => Ok(()),
            false => Err(LoginError::OtherProvider),
        }
    }

    /// Refuses a response that comes to another origin of the app than the sign-in began at. Its redirect URI is another, and who
    /// signs in there is somebody else.
    pub(crate) fn is_at(&self, origins: &Origins, at: OriginId) -> Result<(), LoginError> {
        match origins.is_marked(self.attempt.origin.as_deref(), at) {
            true => Ok(()),
            false => Err(LoginError::OtherOrigin),
        }
    }

    /// The token that is to hold the response, where responses are signed (JARM): then nothing else holds a part of it.
    pub(crate) fn signed(&self, party: &Party) -> Result<Option<&str>, LoginError> {
        if !party.config.response_mode.is_signed() {
            return Ok(None);
        }
        let is_plain = ["code", "state", "iss", "error"]
            .iter()
            .any(|name| self.parameters.names(name));
        match &self.token {
            Some(token) if !is_plain => Ok(Some(token)),
            _ => Err(LoginError::ResponseUnsigned),
        }
    }

    /// The authorization code, once the response is known to be the provider's and no error.
    pub(crate) fn code(
        &self,
        parameters: &Parameters,
        metadata: &Metadata,
        demands_issuer: bool,
    ) -> Result<AuthorizationCode, LoginError> {
        if parameters.repeats(&["code", "iss", "error"]) {
            return Err(LoginError::ParameterRepeated);
        }
        // RFC 9207 §2.4: compared to the byte, for errors as well; demanded where the provider says it is there,
        // or a profile that it has to be.
        // A plain OAuth 2.0 provider has no issuer identifier to compare with.
        match parameters.get("iss").filter(|_| metadata.jwks_uri.is_some()) {
            Some(issuer) if issuer == metadata.issuer.as_str() => {}
            Some(_) => return Err(LoginError::IssuerMismatch),
            None if metadata.names_issuer_in_response || demands_issuer => {
                return Err(LoginError::IssuerMissing);
            }
            None => {}
        }
        if self.attempt.issuer != metadata.issuer {
            return Err(LoginError::IssuerMismatch);
        }
        if let Some(error) = parameters.get("error") {
            return Err(LoginError::Refused(AuthorizationErrorCode::of(error)));
        }
        parameters
            .get("code")
            .map(AuthorizationCode::new)
            .ok_or(LoginError::CodeMissing)
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
    /// The `state` is none that this app made.
    #[error("the state is none of this app's")]
    StateUnknown,
    /// This browser has no attempt for this `state`.
    #[error("no sign-in of this browser matches the state: {0}")]
    StateCookieMissing(MissingCookie),
    /// The attempt was begun with a key that is not here.
    #[error("the sign-in was begun with a key that this server does not have")]
    AttemptUnreadable,
    /// The attempt's cookie was changed since it was set, or another version of this library set it.
    #[error("the sign-in's cookie was changed")]
    AttemptTampered,
    /// The attempt was begun more than 15 minutes ago.
    #[error("the sign-in was begun too long ago")]
    AttemptExpired,
    /// The `state` was presented before.
    #[error("the state was used before")]
    StateReplayed,
    /// The response comes to another provider's redirect URI than that of the one that was asked (RFC 9700 §4.4.2.2).
    #[error("the response comes to another provider's redirect URI")]
    OtherProvider,
    /// The response comes to another of the app's origins than the sign-in began at.
    #[error("the response comes to another origin than the sign-in began at")]
    OtherOrigin,
    /// The response names another issuer than the one that was asked (RFC 9207 §2.4).
    #[error("the response names another issuer")]
    IssuerMismatch,
    /// The response names no issuer, though the provider always does (RFC 9207 §2.4).
    #[error("the response names no issuer")]
    IssuerMissing,
    /// Responses have to be signed, and this one is not, or not all of it (JARM §2.4).
    #[error("the response is not signed, or not all of it")]
    ResponseUnsigned,
    /// The signed response is not good (JARM §2.4).
    #[error("the signed response is not good")]
    ResponseJwt(#[source] ResponseJwtError),
    /// The response has neither a code nor an error.
    #[error("the response has no code")]
    CodeMissing,
    /// The provider answered with an error instead of a code (RFC 6749 §4.1.2.1).
    #[error("the provider refused the authorization request: {0}")]
    Refused(AuthorizationErrorCode),
    /// The code could not be redeemed.
    #[error("the token request failed")]
    Token(#[source] TokenError),
    /// The provider does not accept the client's authentication, which was of this kind (RFC 6749 §5.2, `invalid_client`).
    #[error("the provider does not accept this client, which authenticates by {0:?}")]
    ClientRefused(ClientAuthMethod),
    /// The tokens are not of the type that was agreed (RFC 6749 §7.1).
    #[error("the token type is not the one that was agreed")]
    TokenType,
    /// There is no ID token in the token response.
    #[error("the token response has no ID token")]
    IdTokenMissing,
    /// The ID token is not good.
    #[error("the ID token is not good")]
    IdToken(#[source] IdTokenError),
    /// The ID token is not good by this server's clock, and the provider's answer bears a time that shows the clocks to
    /// be apart.
    #[error("the ID token is not good by this server's clock, which is {skew}")]
    Clock {
        /// How the clock is wrong.
        skew: ClockSkew,
        /// What is wrong with the token.
        #[source]
        source: IdTokenError,
    },
    /// userinfo is somebody else's, or its signature is not good.
    #[error("the userinfo answer is not good")]
    Userinfo(#[source] UserinfoError),
    /// The provider says that the access token it has just issued is not active (RFC 7662 §2.2).
    #[error("the access token is not active")]
    Inactive,
    /// The access token, which is to say who the user is, does not verify (RFC 9068 §4).
    #[error("the access token does not say who the user is")]
    AccessToken(#[source] InvalidToken),
    /// The app's hook refused the user.
    #[error(transparent)]
    ByApp(Refused),
    /// The provider has ended the session, or all of the user's, since the sign-in was begun (Back-Channel
    /// Logout 1.0 §2.7, Front-Channel Logout 1.0 §2).
    #[error("the provider has signed the user out meanwhile")]
    SignedOut,
    /// A third party asks for a sign-in at an issuer that is not ours (OpenID Connect Core §4).
    #[error("a sign-in was asked for at an issuer that is not configured")]
    UnknownIssuer,
    /// The provider takes pushed authorization requests only, and none is to be pushed (RFC 9126 §5).
    #[error("the provider demands pushed authorization requests")]
    PushRequired,
    /// Every authorization request is to be pushed, and the provider has no endpoint for it (RFC 9126 §5).
    #[error("the provider has no pushed authorization request endpoint")]
    PushUnsupported,
    /// The pushed authorization request got no answer, or one that makes no sense (RFC 9126 §2.2).
    #[error("the pushed authorization request failed")]
    Push(#[source] TokenError),
    /// The provider refused the pushed authorization request (RFC 9126 §2.3).
    #[error("the provider refused the pushed authorization request: {0}")]
    PushRefused(AuthorizationErrorCode),
    /// The provider cannot be used.
    #[error(transparent)]
    Provider(ProviderError),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

/// Why no cookie of a sign-in came back with the provider's answer, as far as the app can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MissingCookie {
    /// The answer is a form of another site, and the cookie is `SameSite=Lax`.
    #[error("the answer is a form of another site, and the cookie is SameSite=Lax")]
    SameSite,
    /// The sign-in was begun under another address than the app's own.
    #[error("it was begun under another address than AUTH_BASE_URL")]
    OtherAddress,
    /// The app is meant for https, and the sign-in was begun over http.
    #[error("it was begun over http")]
    Http,
    /// Others are under way in this browser: this one was finished, or dropped as the oldest of six.
    #[error("there are others, and this one was finished or dropped")]
    OtherAttempts,
    /// The browser sent no cookie at all.
    #[error("the browser sent no cookie at all")]
    Blocked,
    /// Finished before, or begun in another browser.
    #[error("it was finished before, or begun elsewhere")]
    Unknown,
}

/// How far this server's clock is from the provider's, by the time that the provider's answer bears (`Date`, RFC 9110 §6.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockSkew {
    /// This server's clock is slow.
    #[error("{} s behind the provider's", .0.as_secs())]
    Behind(Duration),
    /// This server's clock is fast.
    #[error("{} s ahead of the provider's", .0.as_secs())]
    Ahead(Duration),
}

impl ClockSkew {
    /// Compares a `Date` (RFC 9110 §6.6.1), which is in whole seconds and was written some time between, with the times here
    /// before the request and after the answer: how far the clocks are apart at least. Zero where they may well agree.
    #[must_use]
    pub fn measured(date: Timestamp, before: Timestamp, after: Timestamp) -> Self {
        let ahead = before.since(Timestamp::from_secs(date.as_secs() + 1));
        let behind = date.since(after);
        if behind > ahead {
            Self::Behind(behind)
        } else {
            Self::Ahead(ahead)
        }
    }

    /// How far the clocks are apart.
    #[must_use]
    pub const fn by(self) -> Duration {
        match self {
            Self::Behind(by) | Self::Ahead(by) => by,
        }
    }

    /// The same in seconds, less than zero where this server's clock is slow.
    pub(crate) fn seconds(self) -> f64 {
        match self {
            Self::Behind(by) => -by.as_secs_f64(),
            Self::Ahead(by) => by.as_secs_f64(),
        }
    }

    /// Compares the provider's time with the times here before the request and after the answer.
    fn of(provider: Timestamp, before: Timestamp, after: Timestamp) -> Option<Self> {
        if provider > after.plus(CLOCK_TOLERANCE) {
            Some(Self::Behind(provider.since(after)))
        } else if provider.plus(CLOCK_TOLERANCE) < before {
            Some(Self::Ahead(before.since(provider)))
        } else {
            None
        }
    }
}

/// Why the provider refused an authorization request: the error codes of its response (RFC 6749 §4.1.2.1, OpenID Connect Core
/// §3.1.2.6). The text of an unknown one is not kept: it came with the request.
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
    /// The user cannot be authenticated in any of the ways that were asked for (OpenID Connect Core Error Code
    /// `unmet_authentication_requirements` 1.0; RFC 9470 §5).
    #[error("unmet_authentication_requirements")]
    UnmetAuthenticationRequirements,
    /// A scope is unknown or not allowed.
    #[error("invalid_scope")]
    InvalidScope,
    /// This client may not do that.
    #[error("unauthorized_client")]
    UnauthorizedClient,
    /// The client is unknown, or did not authenticate.
    #[error("invalid_client")]
    InvalidClient,
    /// The redirect URI is not the registered one. Most providers say so at a page of their own.
    #[error("redirect_uri_mismatch or invalid_redirect_uri")]
    RedirectUri,
    /// The request lacks something or has too much.
    #[error("invalid_request")]
    InvalidRequest,
    /// Authorization details are unknown or not allowed (RFC 9396 §5).
    #[error("invalid_authorization_details")]
    AuthorizationDetails,
    /// The signed request is not accepted (RFC 9101 §7).
    #[error("invalid_request_object or request_not_supported")]
    RequestObject,
    /// The name of the pushed request is not good any more (RFC 9126 §4).
    #[error("invalid_request_uri or request_uri_not_supported")]
    RequestUri,
    /// The provider does not answer with a code.
    #[error("unsupported_response_type")]
    UnsupportedResponseType,
    /// A resource is unknown or not allowed (RFC 8707 §2).
    #[error("invalid_target")]
    InvalidTarget,
    /// Any other code.
    #[error("another error code")]
    Other,
}

impl AuthorizationErrorCode {
    pub(crate) fn of(text: &str) -> Self {
        match text {
            "access_denied" => Self::AccessDenied,
            "server_error" => Self::ServerError,
            "temporarily_unavailable" => Self::TemporarilyUnavailable,
            "interaction_required" | "login_required" | "account_selection_required" | "consent_required" => {
                Self::InteractionRequired
            }
            "unmet_authentication_requirements" => Self::UnmetAuthenticationRequirements,
            "invalid_scope" => Self::InvalidScope,
            "unauthorized_client" => Self::UnauthorizedClient,
            "invalid_client" => Self::InvalidClient,
            "redirect_uri_mismatch" | "invalid_redirect_uri" => Self::RedirectUri,
            "invalid_request" => Self::InvalidRequest,
            "invalid_authorization_details" => Self::AuthorizationDetails,
            "invalid_request_object" | "request_not_supported" => Self::RequestObject,
            "invalid_request_uri" | "request_uri_not_supported" => Self::RequestUri,
            "unsupported_response_type" => Self::UnsupportedResponseType,
            "invalid_target" => Self::InvalidTarget,
            _ => Self::Other,
        }
    }

    /// The stable code of a sign-in that failed so.
    fn of_login(self) -> &'static str {
        match self {
            Self::AccessDenied => "login.access_denied",
            Self::ServerError => "login.provider_error",
            Self::TemporarilyUnavailable => "login.provider_unavailable",
            Self::InteractionRequired => "login.interaction_required",
            Self::UnmetAuthenticationRequirements => "login.authentication_unmet",
            Self::InvalidScope => "login.scope_refused",
            Self::UnauthorizedClient => "login.grant_not_allowed",
            Self::InvalidClient => "login.client_refused",
            Self::RedirectUri => "login.redirect_uri_refused",
            Self::InvalidRequest => "login.request_invalid",
            Self::AuthorizationDetails => "login.authorization_details_refused",
            Self::RequestObject => "login.request_object_refused",
            Self::RequestUri => "login.request_uri_refused",
            Self::UnsupportedResponseType => "login.response_type_refused",
            Self::InvalidTarget => "login.resource_refused",
            Self::Other => "login.refused",
        }
    }
}

impl LoginError {
    /// What the token endpoint said, with what the client knows of itself.
    pub(crate) fn of_token(error: TokenError, authentication: &ClientAuthentication) -> Self {
        match error {
            TokenError::Refused(TokenErrorCode::InvalidClient) => {
                Self::ClientRefused(authentication.method())
            }
            error => Self::Token(error),
        }
    }

    /// What is wrong with an ID token; and with the clock, where the answer that brought it, which came between
    /// `requested_at` and `now`, bears a time of the provider's that explains it.
    pub(crate) fn of_id_token(
        error: IdTokenError,
        provider_time: Option<Timestamp>,
        requested_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let skew = provider_time.and_then(|time| ClockSkew::of(time, requested_at, now));
        match (error, skew) {
            (IdTokenError::IssuedInFuture | IdTokenError::NotYetValid, Some(skew @ ClockSkew::Behind(_)))
            | (
                IdTokenError::Expired | IdTokenError::IssuedTooLongAgo | IdTokenError::AuthTimeTooOld,
                Some(skew @ ClockSkew::Ahead(_)),
            ) => Self::Clock { skew, source: error },
            _ => Self::IdToken(error),
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::StateMissing => "login.state_missing",
            Self::ParameterRepeated => "login.parameter_repeated",
            Self::StateUnknown => "login.state_unknown",
            Self::StateCookieMissing(MissingCookie::SameSite) => "login.cookie_same_site",
            Self::StateCookieMissing(MissingCookie::OtherAddress) => "login.cookie_other_address",
            Self::StateCookieMissing(MissingCookie::Http) => "login.cookie_http",
            Self::StateCookieMissing(MissingCookie::OtherAttempts) => "login.attempt_dropped",
            Self::StateCookieMissing(MissingCookie::Blocked) => "login.cookies_blocked",
            Self::StateCookieMissing(MissingCookie::Unknown) => "login.state_cookie_missing",
            Self::AttemptUnreadable => "login.attempt_unreadable",
            Self::AttemptTampered => "login.attempt_tampered",
            Self::AttemptExpired => "login.attempt_expired",
            Self::StateReplayed => "login.state_replayed",
            Self::OtherProvider => "login.other_provider",
            Self::OtherOrigin => "login.other_origin",
            Self::IssuerMismatch => "login.issuer_mismatch",
            Self::IssuerMissing => "login.issuer_missing",
            Self::ResponseUnsigned => "login.response_unsigned",
            Self::ResponseJwt(error) => error.code(),
            Self::CodeMissing => "login.code_missing",
            Self::PushRefused(AuthorizationErrorCode::Other) => "login.push_refused",
            Self::Refused(code) | Self::PushRefused(code) => code.of_login(),
            Self::PushRequired => "login.push_required",
            Self::PushUnsupported => "login.push_unsupported",
            Self::Push(TokenError::Refused(TokenErrorCode::ClientCertificate)) => {
                "login.client_certificate_refused"
            }
            Self::Push(TokenError::Malformed(_) | TokenError::Refused(_)) => "login.push_malformed",
            Self::Push(_) => "login.push_unavailable",
            Self::Token(
                TokenError::Unavailable { .. } | TokenError::Unanswered(_) | TokenError::HeldBack,
            ) => "login.token_unavailable",
            Self::Token(TokenError::Malformed(_)) => "login.token_malformed",
            Self::Token(TokenError::Refused(code)) => match code {
                TokenErrorCode::InvalidClient => "login.client_refused",
                TokenErrorCode::ClientCertificate => "login.client_certificate_refused",
                TokenErrorCode::UnauthorizedClient | TokenErrorCode::UnsupportedGrantType => {
                    "login.grant_not_allowed"
                }
                TokenErrorCode::InvalidGrant => "login.code_refused",
                TokenErrorCode::RedirectUri => "login.redirect_uri_refused",
                TokenErrorCode::InvalidScope => "login.scope_refused",
                TokenErrorCode::InvalidTarget => "login.resource_refused",
                TokenErrorCode::InvalidRequest | TokenErrorCode::DpopProof | TokenErrorCode::Other => {
                    "login.token_refused"
                }
            },
            Self::ClientRefused(ClientAuthMethod::None) => "login.client_secret_missing",
            Self::ClientRefused(ClientAuthMethod::PrivateKeyJwt) => "login.client_key_refused",
            Self::ClientRefused(
                ClientAuthMethod::TlsClientAuth | ClientAuthMethod::SelfSignedTlsClientAuth,
            ) => "login.client_certificate_refused",
            Self::ClientRefused(_) => "login.client_refused",
            Self::TokenType => "login.token_type",
            Self::IdTokenMissing => "login.id_token_missing",
            Self::IdToken(error) => error.code(),
            Self::Clock {
                skew: ClockSkew::Behind(_),
                ..
            } => "id_token.clock_behind",
            Self::Clock {
                skew: ClockSkew::Ahead(_),
                ..
            } => "id_token.clock_ahead",
            Self::Userinfo(error) => error.code(),
            Self::Inactive => "login.token_inactive",
            Self::AccessToken(_) => "login.access_token_refused",
            Self::ByApp(_) => "login.refused_by_app",
            Self::SignedOut => "login.signed_out",
            Self::UnknownIssuer => "login.unknown_issuer",
            Self::Provider(error) => error.code(),
            Self::Store(_) => "store.unavailable",
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::StateMissing
            | Self::ParameterRepeated
            | Self::StateUnknown
            | Self::StateCookieMissing(_)
            | Self::AttemptUnreadable
            | Self::AttemptTampered
            | Self::AttemptExpired
            | Self::StateReplayed
            | Self::OtherProvider
            | Self::OtherOrigin
            | Self::IssuerMismatch
            | Self::IssuerMissing
            | Self::ResponseUnsigned
            | Self::ResponseJwt(_)
            | Self::CodeMissing
            | Self::SignedOut
            | Self::UnknownIssuer => 400,
            Self::Refused(
                AuthorizationErrorCode::AccessDenied
                | AuthorizationErrorCode::UnmetAuthenticationRequirements,
            )
            | Self::ByApp(_) => 403,
            Self::Refused(AuthorizationErrorCode::TemporarilyUnavailable)
            | Self::PushRefused(AuthorizationErrorCode::TemporarilyUnavailable)
            | Self::Token(
                TokenError::Unavailable { .. } | TokenError::Unanswered(_) | TokenError::HeldBack,
            )
            | Self::Push(TokenError::Unavailable { .. } | TokenError::Unanswered(_) | TokenError::HeldBack)
            | Self::Store(_) => 503,
            Self::Refused(AuthorizationErrorCode::ServerError) => 502,
            Self::Refused(_) => 400,
            Self::Token(_)
            | Self::ClientRefused(_)
            | Self::TokenType
            | Self::IdTokenMissing
            | Self::IdToken(_)
            | Self::Clock { .. }
            | Self::Userinfo(_)
            | Self::Inactive
            | Self::AccessToken(_)
            | Self::PushRequired
            | Self::PushUnsupported
            | Self::Push(_)
            | Self::PushRefused(_) => 502,
            Self::Provider(error) => error.status(),
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Refused(
                AuthorizationErrorCode::AccessDenied
                | AuthorizationErrorCode::UnmetAuthenticationRequirements,
            )
            | Self::ByApp(_) => Fault::NotAllowed,
            Self::Refused(
                AuthorizationErrorCode::ServerError | AuthorizationErrorCode::TemporarilyUnavailable,
            )
            | Self::PushRefused(
                AuthorizationErrorCode::ServerError | AuthorizationErrorCode::TemporarilyUnavailable,
            ) => Fault::Provider,
            Self::Refused(AuthorizationErrorCode::InteractionRequired) => Fault::Request,
            Self::Refused(_) | Self::PushRefused(_) => Fault::Configuration,
            Self::Token(TokenError::Refused(code)) | Self::Push(TokenError::Refused(code))
                if code.is_about_the_registration() =>
            {
                Fault::Configuration
            }
            Self::ClientRefused(_) | Self::Clock { .. } | Self::PushRequired | Self::PushUnsupported => {
                Fault::Configuration
            }
            Self::Store(_) => Fault::Store,
            Self::Provider(error) => error.fault(),
            error if error.status() >= 500 => Fault::Provider,
            _ => Fault::Request,
        }
    }

    /// How loudly the log tells of a failure whose [`fault`](Self::fault) is the configuration. What the browser brought may
    /// have been written by whoever sits before it; a code that is none of the usual ones, or about the person, is no
    /// evidence of a wrong setting.
    pub(crate) fn level_of_configuration(&self) -> tracing::Level {
        match self {
            Self::Refused(_)
            | Self::PushRefused(
                AuthorizationErrorCode::AccessDenied
                | AuthorizationErrorCode::UnmetAuthenticationRequirements
                | AuthorizationErrorCode::InteractionRequired
                | AuthorizationErrorCode::Other,
            ) => tracing::Level::WARN,
            _ => tracing::Level::ERROR,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Token(TokenError::Unavailable { retry_after, .. })
            | Self::Push(TokenError::Unavailable { retry_after, .. }) => *retry_after,
            Self::Provider(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether the response belongs to no sign-in that is under way: in a browser that is signed in it is an old
    /// page or an impatient click, and the browser just goes on.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(
            self,
            Self::StateUnknown
                | Self::StateCookieMissing(_)
                | Self::AttemptUnreadable
                | Self::AttemptTampered
                | Self::AttemptExpired
                | Self::StateReplayed
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
