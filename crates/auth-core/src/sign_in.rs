//! From the provider's answer to a session: the code is redeemed, the user is identified, the app's hook is heard, and
//! the record is written (OpenID Connect Core §3.1.3, §5.3).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use crate::auth::Core;
use crate::bearer::{self, BearerError, Candidate, InvalidToken, TokenTypes, TrustedIssuer};
use crate::cache::Word;
use crate::clock::Timestamp;
use crate::config::{CLOCK_TOLERANCE, PlainIdentity, UserinfoPolicy};
use crate::dpop::{self, Credential, DpopKey, Scheme};
use crate::events::{EndReason, EventKind};
use crate::http::{Answer, Asked};
use crate::id_token::{self, IdTokenClaims, IdTokenError};
use crate::jarm::{self, ResponseJwtError};
use crate::jose::{self, Jws, JwsError, KeySet};
use crate::login::{AuthorizationResponse, LoginError};
use crate::metadata::{Metadata, Outage};
use crate::party::Party;
use crate::reply::AppData;
use crate::request::{Parameters, RouteRequest};
use crate::roles::RoleClaims;
use crate::secret::{AccessToken, SessionId, random_bytes};
use crate::session::{Claims, SessionData, SignIn, Tokens};
use crate::store::{Inserted, Record, SessionKey, StoreError};
use crate::token::{TokenError, TokenRequest, TokenResponse, Way};
use crate::types::{BaseUrl, Scopes};
use crate::userinfo::{self, UserinfoError};

impl Core {
    /// From the provider's answer to a new session: its identifier, and what becomes of the app's own session.
    ///
    /// Where it fails after the code was redeemed, the tokens are dropped and not revoked: many providers end the whole
    /// grant with them, and with it a session of the same user that is alive in another browser.
    pub(crate) async fn sign_in(
        self: &Arc<Self>,
        party: &Party,
        response: &AuthorizationResponse,
        callback: &RouteRequest,
    ) -> Result<(SessionId, AppData), FailedSignIn> {
        let at = callback.incoming.at;
        response.is_from(party)?;
        response.is_at(&self.config.origins, at)?;
        let origin = self.config.origins.get(at);
        let redirect_uri = party.redirect_uri(origin);
        let metadata = party.provider.metadata(self.clock.now()).await?;
        let verified;
        let parameters = match response.signed(party)? {
            None => &response.parameters,
            Some(token) => {
                verified = self.verify_response(party, &metadata, token).await?;
                &verified
            }
        };
        let code = response.code(parameters, &metadata, party.config.demands_issuer)?;
        let attempt = &response.attempt;
        // An attempt that began before the setting was made has none, and its tokens are bound all the same.
        let spare = || party.registration.dpop_key.as_ref().map(|_| DpopKey::generate());
        let dpop_key = attempt.dpop_key.clone().or_else(spare);
        let mut parameters = vec![
            ("code", code.expose()),
            ("redirect_uri", redirect_uri.as_str()),
            ("code_verifier", attempt.verifier.expose()),
        ];
        parameters.extend(
            party
                .config
                .resources
                .iter()
                .map(|resource| ("resource", resource.as_str())),
        );
        let request = TokenRequest {
            grant_type: "authorization_code",
            parameters,
        };
        let tokens = party
            .registration
            .tokens(
                &metadata,
                request,
                Way::proving(dpop_key.as_ref()),
                self.clock.now(),
            )
            .await
            .map_err(|error| LoginError::of_token(error, &party.registration.authentication))?;
        if !tokens.is_of(Scheme::of(dpop_key.as_ref())) {
            return Err(LoginError::TokenType.into());
        }
        let access_token = tokens
            .access_token
            .clone()
            .ok_or(LoginError::Token(TokenError::Malformed(
                "access_token is missing",
            )))?;
        let credential = Credential {
            token: access_token,
            key: dpop_key.clone(),
        };
        let identity = if party.provider.is_openid() {
            // The provider looked at `max_age` when it was asked; what the user took since then is not counted. A second
            // more, because `auth_time` is in whole ones.
            let since_asked = self.clock.now().since(attempt.began_at) + Duration::from_secs(1);
            let demands = IdTokenDemands {
                nonce: Some(&attempt.nonce),
                max_age: attempt.max_age.map(|max_age| max_age.saturating_add(since_asked)),
            };
            self.identity_of_id_token(party, &metadata, &tokens, &credential, &demands)
                .await?
        } else {
            let mut identity = self
                .identity_of_plain_oauth(party, &metadata, &credential)
                .await?;
            party.config.role_claims.settle(&mut identity.claims);
            identity
        };
        // RFC 6749 §5.1: what is not named is what was asked for.
        let scopes = tokens.scope.clone().unwrap_or_else(|| attempt.scopes.clone());
        let sign_in = self
            .shape(
                party,
                origin,
                &tokens,
                &credential.token,
                &identity,
                scopes.clone(),
            )
            .await
            .map_err(|error| FailedSignIn::of(&identity.subject, error))?;
        let now = self.clock.now();
        // OpenID Connect Enterprise Extensions: the provider's own end of the session, as a claim.
        let provider_end = identity.session_expiry.unwrap_or(Timestamp::from_secs(i64::MAX));
        let ends_at = now.plus(self.config.session_max).min(provider_end);
        let data = SessionData {
            origin: self.config.origins.mark(at),
            provider: party.name.clone(),
            issuer: metadata.issuer.clone(),
            subject: identity.subject,
            sid: identity.sid,
            moved_at: None,
            claims: sign_in.claims,
            kept_claims: sign_in.kept,
            older_claims: Vec::new(),
            app: sign_in.app,
            id_token: tokens.id_token.clone(),
            auth_time: identity.auth_time,
            acr: identity.acr,
            nonce: party.provider.is_openid().then(|| attempt.nonce.clone()),
            tokens: Tokens {
                access: Some(credential.token),
                access_issued_at: tokens.requested_at,
                access_expires_at: tokens.expires_at(),
                refresh: tokens.refresh_token.clone(),
                refresh_expires_at: tokens.refresh_expires_at(),
                scopes,
                authorization_details: tokens.authorization_details().unwrap_or_default(),
            },
            dpop_key,
            asked: attempt.scopes.clone(),
            demanded: attempt.demands.clone(),
            audience: identity.audience,
            ends_at,
            jitter: random_bytes::<1>()[0],
            refreshes: 0,
            refreshed_at: None,
            agent: callback.agent.clone(),
            address: callback.address.clone(),
        };
        let subject = data.subject.clone();
        self.replace(data, callback, attempt.began_at, now)
            .await
            .map_err(|error| FailedSignIn::of(&subject, error))
    }

    /// The parameters of a signed authorization response (JARM).
    async fn verify_response(
        &self,
        party: &Party,
        metadata: &Metadata,
        token: &str,
    ) -> Result<Parameters, LoginError> {
        let verify = |keys: &KeySet| {
            let expected = jarm::Expected {
                issuer: metadata.issuer.as_str(),
                client_id: &party.registration.client_id,
                algorithms: party.response_algorithms(metadata),
                tolerance: CLOCK_TOLERANCE,
            };
            jarm::verify(token, keys, &expected, self.clock.now())
        };
        let keys = party.provider.keys(metadata, self.clock.now()).await?;
        let mut verified = verify(&keys);
        if matches!(verified, Err(ResponseJwtError::UnknownKey))
            // The browser has brought it, and anybody can make one up.
            && let Some(again) =
                (party.provider).keys_again(Word::OfAnybody, metadata, self.clock.now()).await
        {
            verified = verify(&*again?);
        }
        verified.map_err(LoginError::ResponseJwt)
    }

    /// Puts the new session in and takes the one that was there out.
    async fn replace(
        &self,
        data: SessionData,
        callback: &RouteRequest,
        began_at: Timestamp,
        now: Timestamp,
    ) -> Result<(SessionId, AppData), LoginError> {
        let sender = callback.incoming.sender.as_deref();
        let previous_key = callback.session.as_ref().map(SessionId::key);
        let previous = match &previous_key {
            Some(key) => self.store.load(key, now).await?,
            None => None,
        };
        // One that is good at another origin is none here: nothing of it goes on, and it stays.
        let is_elsewhere = previous_key.zip(previous.as_ref()).is_some_and(|(key, record)| {
            let session = self.view(&key, Arc::clone(record));
            session.is_some_and(|session| !self.is_good_at(&session, callback.incoming.at))
        });
        let previous = previous.filter(|_| !is_elsewhere);
        let app_data = match &previous_key {
            Some(key) => self.app_data_of(key, previous.as_ref(), &data),
            None => AppData::Keep,
        };
        let id = SessionId::random(callback.incoming.at);
        let key = id.key();
        let issuer = data.issuer.clone();
        let record = data.record(&self.config.keys, &key, now, now, self.config.session_idle);
        match self.store.insert(&key, record.clone(), now).await? {
            Inserted::Yes => {}
            // 256 random bits do not meet by chance.
            Inserted::Taken => return Err(StoreError::Corrupt("a new session's key is taken").into()),
        }
        match self.signed_out_since(&issuer, &record, began_at).await {
            Ok(None) => {}
            signed_out => {
                let removed = self.delete(&key, None, now).await;
                signed_out?;
                removed?;
                return Err(LoginError::SignedOut);
            }
        }
        if let Some(previous_key) = previous_key.as_ref().filter(|_| !is_elsewhere) {
            match self.delete(previous_key, None, now).await {
                Ok(was_there) => {
                    if was_there && let Some(previous) = &previous {
                        self.tell_end_of_record(previous_key, previous, EndReason::Replaced, sender);
                    }
                }
                Err(error) => {
                    // Two sessions of one browser are one too many: the new one goes, as far as that can be done.
                    let _ = self.delete(&key, None, now).await;
                    return Err(error.into());
                }
            }
        }
        tracing::info!(session = ?key, "a user has signed in");
        self.tell(EventKind::SignedIn, |event| {
            if let Some(session) = self.view(&key, Arc::new(record)) {
                event.of_session(&session);
            }
            event.sent_by(sender);
        });
        Ok((id, app_data))
    }

    /// What a guest has left goes on under the new session, and what the same user has left, who signs in again. A
    /// sign-in that is over may have been anybody's.
    fn app_data_of(&self, key: &SessionKey, previous: Option<&Arc<Record>>, new: &SessionData) -> AppData {
        let previous = previous.and_then(|record| self.view(key, Arc::clone(record)));
        let is_same = previous.is_some_and(|previous| {
            let old = &previous.data;
            // Of an empty subject nobody knows who it is.
            !new.subject.is_empty()
                && old.last_end() > self.clock.now()
                && (&old.issuer, &old.subject) == (&new.issuer, &new.subject)
        });
        if is_same { AppData::Keep } else { AppData::End }
    }

    pub(crate) async fn identity_of_id_token(
        &self,
        party: &Party,
        metadata: &Metadata,
        tokens: &TokenResponse,
        credential: &Credential,
        demands: &IdTokenDemands<'_>,
    ) -> Result<Identity, LoginError> {
        let token = tokens.id_token.as_ref().ok_or(LoginError::IdTokenMissing)?;
        let verify = |keys: &KeySet| {
            let expected = id_token::Expected {
                issuer: metadata.issuer.as_str(),
                client_id: &party.registration.client_id,
                nonce: demands.nonce,
                access_token: Some(credential.token.expose()),
                algorithms: party.algorithms(metadata),
                tolerance: CLOCK_TOLERANCE,
                max_age: demands.max_age,
            };
            id_token::verify(token.expose(), keys, &expected, self.clock.now())
        };
        let mut keys = party.provider.keys(metadata, self.clock.now()).await?;
        let mut verified = verify(&keys);
        if verified == Err(IdTokenError::UnknownKey)
            && let Some(again) = (party.provider)
                .keys_again(Word::OfProvider, metadata, self.clock.now())
                .await
        {
            keys = again?;
            verified = verify(&keys);
        }
        let verified = verified.map_err(|error| {
            LoginError::of_id_token(error, tokens.provider_time, tokens.requested_at, self.clock.now())
        })?;
        let userinfo = match self
            .userinfo(party, metadata, credential, verified.subject(), &keys)
            .await
        {
            Ok(userinfo) => userinfo,
            Err(UserinfoFailure::Refused(error)) if error.fails_sign_in() => {
                return Err(LoginError::Userinfo(error));
            }
            Err(failure) => {
                tracing::warn!(
                    cause = crate::error::chain(&failure),
                    "userinfo is left out of this sign-in"
                );
                None
            }
        };
        Ok(Identity::of_id_token(
            verified,
            userinfo,
            &party.config.role_claims,
        ))
    }

    /// Who the user is where there are no ID tokens: what userinfo says, or else introspection, or nobody knows. What
    /// cannot be had does not fail the sign-in; the app sees an empty subject.
    async fn identity_of_plain_oauth(
        &self,
        party: &Party,
        metadata: &Metadata,
        credential: &Credential,
    ) -> Result<Identity, LoginError> {
        match &party.config.plain_identity {
            PlainIdentity::Endpoints => {}
            PlainIdentity::AccessToken { issuer, audience } => {
                return self
                    .identity_of_access_token(party, &credential.token, issuer, audience)
                    .await;
            }
            PlainIdentity::Unverified => {
                return bearer::dangerous_decode_without_verification(&credential.token)
                    .map(|claims| Identity::of_claims(claims, false))
                    .ok_or(LoginError::AccessToken(InvalidToken::Malformed));
            }
        }
        match self.ask_userinfo(party, metadata, credential).await {
            Ok(None) => {}
            Ok(Some(answer)) if answer.status == ::http::StatusCode::OK => {
                // Any JSON object, for there is nothing to compare it with.
                match jose::parse_object(&answer.body) {
                    Ok(claims) => return Ok(Identity::of_claims(claims, true)),
                    Err(_) => tracing::warn!(
                        "the userinfo answer is no JSON object; it is left out of this sign-in"
                    ),
                }
            }
            Ok(Some(answer)) => {
                let status = answer.status.as_u16();
                tracing::warn!(status, "userinfo was refused; it is left out of this sign-in");
            }
            Err(failure) => {
                tracing::warn!(
                    cause = crate::error::chain(&failure),
                    "userinfo is left out of this sign-in"
                );
            }
        }
        let Some(endpoint) = &metadata.introspection_endpoint else {
            return Ok(Identity::of_claims(Map::new(), false));
        };
        match party
            .registration
            .introspect(metadata, endpoint, &credential.token, self.clock.now())
            .await
        {
            Ok(Some(claims)) => Ok(Identity::of_claims(claims, false)),
            Ok(None) => Err(LoginError::Inactive),
            Err(error) => {
                tracing::warn!(
                    cause = crate::error::chain(&error),
                    "introspection is left out of this sign-in"
                );
                Ok(Identity::of_claims(Map::new(), false))
            }
        }
    }

    /// Who the access token says that the user is, once it is verified (RFC 9068 §4). Nothing else will do: a token that
    /// does not verify fails the sign-in.
    async fn identity_of_access_token(
        &self,
        party: &Party,
        token: &AccessToken,
        issuer: &TrustedIssuer,
        audience: &str,
    ) -> Result<Identity, LoginError> {
        let refused = |error: JwsError| LoginError::AccessToken(error.into());
        let jws = Jws::parse(token.expose()).map_err(refused)?;
        let candidate = Candidate::of(&jws, TokenTypes::Usual).map_err(LoginError::AccessToken)?;
        let now = self.clock.now();
        let algorithms = party
            .config
            .algorithms
            .as_deref()
            .unwrap_or(&bearer::ALL_ALGORITHMS);
        let (signed, _) = match issuer.check_signature(&candidate, algorithms, now).await {
            Ok(signed) => signed,
            Err(BearerError::Provider(error)) => return Err(error.into()),
            Err(BearerError::InvalidToken(error)) => return Err(LoginError::AccessToken(error)),
            Err(_) => return Err(LoginError::AccessToken(InvalidToken::NoMeans)),
        };
        let expected = bearer::Expected {
            issuer: issuer.issuer.as_str(),
            audiences: &[audience.to_owned()],
            client_id: Some(&party.registration.client_id),
            tolerance: CLOCK_TOLERANCE,
        };
        let facts = candidate
            .accept(&signed, &expected, self.clock.now())
            .map_err(LoginError::AccessToken)?;
        Ok(Identity::of_claims(facts.claims.into_map(), false))
    }

    /// Asks userinfo and checks the answer against the ID token's subject. `None` where it is not to be asked.
    async fn userinfo(
        &self,
        party: &Party,
        metadata: &Metadata,
        credential: &Credential,
        subject: &str,
        keys: &KeySet,
    ) -> Result<Option<Map<String, Value>>, UserinfoFailure> {
        let Some(answer) = self.ask_userinfo(party, metadata, credential).await? else {
            return Ok(None);
        };
        Ok(Some(
            self.read_userinfo(party, metadata, &answer, subject, keys)
                .await?,
        ))
    }

    /// What a userinfo answer says, if it is about this subject.
    pub(crate) async fn read_userinfo(
        &self,
        party: &Party,
        metadata: &Metadata,
        answer: &Answer,
        subject: &str,
        keys: &KeySet,
    ) -> Result<Map<String, Value>, UserinfoError> {
        let media_type = answer.media_type();
        // What is encrypted is signed as well (§5.3.2).
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let signed = party.registration.decrypted(text.trim_ascii());
        let body = match &signed {
            Cow::Owned(signed) => signed.as_bytes(),
            Cow::Borrowed(_) => &answer.body,
        };
        let parse = |keys: &KeySet| {
            userinfo::parse(
                &userinfo::Answer {
                    status: answer.status,
                    content_type: media_type.as_deref(),
                    body,
                },
                &userinfo::Expected {
                    subject,
                    issuer: metadata.issuer.as_str(),
                    client_id: &party.registration.client_id,
                    keys,
                    algorithms: party.algorithms(metadata),
                    now: self.clock.now(),
                    tolerance: CLOCK_TOLERANCE,
                },
            )
        };
        let mut parsed = parse(keys);
        if parsed == Err(UserinfoError::SignatureInvalid(JwsError::UnknownKey))
            && let Some(Ok(keys)) = (party.provider)
                .keys_again(Word::OfProvider, metadata, self.clock.now())
                .await
        {
            parsed = parse(&keys);
        }
        parsed
    }

    /// Asks the userinfo endpoint, once. `None` where there is none or it is not to be asked.
    async fn ask_userinfo(
        &self,
        party: &Party,
        metadata: &Metadata,
        credential: &Credential,
    ) -> Result<Option<Answer>, UserinfoFailure> {
        match &metadata.userinfo_endpoint {
            Some(endpoint) if party.config.userinfo != UserinfoPolicy::Never => {
                self.get_userinfo(party, endpoint, credential).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Asks for it, and once more where the endpoint demands a nonce in the proof (RFC 9449 §9).
    pub(crate) async fn get_userinfo(
        &self,
        party: &Party,
        endpoint: &Url,
        credential: &Credential,
    ) -> Result<Answer, UserinfoFailure> {
        let answer = self.get_userinfo_once(party, endpoint, credential).await?;
        let origin = endpoint.origin().ascii_serialization();
        let is_given = credential.learn(&origin, &answer.headers, &self.nonces);
        if !is_given || !dpop::is_demand_for_nonce(answer.status, &answer.headers) {
            return Ok(answer);
        }
        let answer = self.get_userinfo_once(party, endpoint, credential).await?;
        credential.learn(&origin, &answer.headers, &self.nonces);
        Ok(answer)
    }

    async fn get_userinfo_once(
        &self,
        party: &Party,
        endpoint: &Url,
        credential: &Credential,
    ) -> Result<Answer, UserinfoFailure> {
        let http = &party.registration.http;
        let mut headers = ::http::HeaderMap::new();
        credential.attach(&mut headers, "GET", endpoint, &self.nonces, self.clock.now());
        let request = http
            .get(Asked::Userinfo, endpoint)
            .header(::http::header::ACCEPT, "application/json, application/jwt;q=0.9")
            .headers(headers);
        match http.send(Asked::Userinfo, request).await.map_err(Outage::from) {
            Ok(answer) if answer.is_outage() => {
                Err(UserinfoFailure::Outage(Outage::Status(answer.status.as_u16())))
            }
            Ok(answer) => Ok(answer),
            Err(cause) => Err(UserinfoFailure::Outage(cause)),
        }
    }

    /// Lets the app's hook see the sign-in, change it, or refuse it.
    pub(crate) async fn shape(
        &self,
        party: &Party,
        origin: &BaseUrl,
        tokens: &TokenResponse,
        access_token: &AccessToken,
        identity: &Identity,
        scopes: Scopes,
    ) -> Result<SignIn, LoginError> {
        let sign_in = SignIn {
            origin: origin.origin().to_owned(),
            provider: party.name.clone(),
            issuer: party.issuer.clone(),
            subject: identity.subject.clone(),
            claims: identity.claims.clone().into(),
            id_token_claims: identity.id_token_claims.clone().map(Claims::from),
            userinfo: identity.userinfo.clone().map(Claims::from),
            token_response: tokens.extra.clone(),
            access_token: access_token.clone(),
            scopes,
            kept: None,
            app: Value::Null,
        };
        let Some(hook) = &self.config.on_sign_in else {
            return Ok(sign_in);
        };
        let mut shaped = hook(sign_in).await.map_err(LoginError::ByApp)?;
        // Whatever the hook did: who the user is stays what the provider says.
        for name in ["iss", "sub"] {
            shaped.restore_claim(name, identity.claims.get(name));
        }
        Ok(shaped)
    }
}

/// A sign-in that failed, and whose it was, where that was known already.
pub(crate) struct FailedSignIn {
    pub(crate) error: LoginError,
    pub(crate) subject: Option<String>,
}

impl FailedSignIn {
    fn of(subject: &str, error: LoginError) -> Self {
        Self {
            error,
            subject: Some(subject.to_owned()),
        }
    }
}

impl<E: Into<LoginError>> From<E> for FailedSignIn {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            subject: None,
        }
    }
}

/// Claims that belong to the protocol message, not to the user.
pub(crate) const MESSAGE_CLAIMS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// What an ID token has to say besides what every one has to.
pub(crate) struct IdTokenDemands<'a> {
    pub(crate) nonce: Option<&'a str>,
    pub(crate) max_age: Option<Duration>,
}

/// Who has signed in, and how that is known.
pub(crate) struct Identity {
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
    pub(crate) auth_time: Option<Timestamp>,
    pub(crate) acr: Option<String>,
    pub(crate) audience: Vec<String>,
    /// When the provider ends its session (`session_expiry`).
    pub(crate) session_expiry: Option<Timestamp>,
    claims: Map<String, Value>,
    id_token_claims: Option<Map<String, Value>>,
    userinfo: Option<Map<String, Value>>,
}

/// The audience as a set: in order, each once.
pub(crate) fn sorted_audience(claims: &IdTokenClaims) -> Vec<String> {
    let mut audience = claims.audience().to_vec();
    audience.sort_unstable();
    audience.dedup();
    audience
}

/// When the provider's own session ends (`session_expiry`), where it says so.
pub(crate) fn session_expiry(claims: &IdTokenClaims) -> Option<Timestamp> {
    claims.all().get("session_expiry").and_then(jose::instant)
}

impl Identity {
    fn of_id_token(
        verified: IdTokenClaims,
        userinfo: Option<Map<String, Value>>,
        roles: &RoleClaims,
    ) -> Self {
        let (subject, sid) = (verified.subject().to_owned(), verified.sid().map(str::to_owned));
        let (auth_time, acr) = (verified.authenticated_at(), verified.acr().map(str::to_owned));
        let audience = sorted_audience(&verified);
        let session_expiry = session_expiry(&verified);
        let all = verified.into_all();
        let mut claims = all.clone();
        for name in MESSAGE_CLAIMS {
            claims.remove(name);
        }
        // Before userinfo comes to it, which has no say in roles.
        roles.settle(&mut claims);
        if let Some(userinfo) = &userinfo {
            userinfo::merge(&mut claims, userinfo.clone());
        }
        Self {
            subject,
            sid,
            auth_time,
            acr,
            audience,
            session_expiry,
            claims,
            id_token_claims: Some(all),
            userinfo,
        }
    }

    /// The `nonce` of the ID token, where it has one.
    pub(crate) fn nonce(&self) -> Option<String> {
        let nonce = self.id_token_claims.as_ref()?.get("nonce")?;
        nonce.as_str().map(str::to_owned)
    }

    /// `sub`, or `id` as providers without OpenID Connect call it: a string, or a whole number in decimal digits. Nobody where
    /// there is neither. A number of another kind names nobody, for two that differ may be read as the same.
    pub(crate) fn of_claims(claims: Map<String, Value>, is_userinfo: bool) -> Self {
        let subject = ["sub", "id"]
            .iter()
            .find_map(|name| match claims.get(*name)? {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                Value::Number(number) if !number.is_f64() => Some(number.to_string()),
                _ => None,
            })
            .unwrap_or_default();
        let userinfo = is_userinfo.then(|| claims.clone());
        Self {
            subject,
            sid: None,
            auth_time: None,
            acr: None,
            audience: Vec::new(),
            session_expiry: None,
            claims,
            id_token_claims: None,
            userinfo,
        }
    }
}

/// Why there is no userinfo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserinfoFailure {
    #[error("the userinfo endpoint cannot be used at present")]
    Outage(#[source] Outage),
    #[error(transparent)]
    Refused(#[from] UserinfoError),
}
