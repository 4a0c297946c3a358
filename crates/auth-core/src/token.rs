//! The token endpoint and its kin: one function for every request that the client authenticates.
//!
//! Every grant, revocation and introspection is a form that is posted with client authentication (RFC 6749 §3.2,
//! RFC 7009 §2.1, RFC 7662 §2.1). Answers are read leniently where leniency loses nothing, because a refresh token
//! that was rotated and not kept is a session lost.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use crate::client_auth::ClientAuthentication;
use crate::clock::Timestamp;
use crate::dpop::{DPOP, DpopKey, Nonces, ProofOf, Scheme, Server, authorization, htu};
use crate::http::{Answer, Asked, HttpError, Left, ProviderHttp, SendGuard};
use crate::jose::{self, DecryptionKeys};
use crate::metadata::{Metadata, Outage};
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::types::Scopes;

/// The error of an answer that demands a nonce in the proof (RFC 9449 §8).
const USE_DPOP_NONCE: &str = "use_dpop_nonce";

/// What the client is at the provider, and the way there.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) client_id: String,
    pub(crate) authentication: ClientAuthentication,
    /// What decrypts tokens that the provider encrypts for this client.
    pub(crate) decryption_keys: Option<DecryptionKeys>,
    pub(crate) http: ProviderHttp,
    /// The key that the application's own tokens are bound to, for as long as it runs; `None` where tokens are bearer tokens.
    pub(crate) dpop_key: Option<DpopKey>,
    /// The nonces of this authorization server.
    pub(crate) nonces: Arc<Nonces>,
}

/// How a request goes out, besides what it says.
#[derive(Clone, Copy, Default)]
pub(crate) struct Way<'a> {
    /// The key that the tokens asked for are to be bound to: a proof goes along (RFC 9449 §5).
    pub(crate) key: Option<&'a DpopKey>,
    /// A token for the `Authorization` header, where the client's own credentials do not stand there. It is bound to `key`,
    /// if there is one.
    pub(crate) attached: Option<&'a AccessToken>,
    /// With it, the request leaves only while it allows that.
    pub(crate) guard: Option<&'a SendGuard>,
}

impl<'a> Way<'a> {
    /// With a proof of this key, if there is one.
    pub(crate) fn proving(key: Option<&'a DpopKey>) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }
}

/// A request for tokens: any grant, with the parameters that it has besides client authentication.
pub(crate) struct TokenRequest<'a> {
    pub(crate) grant_type: &'a str,
    pub(crate) parameters: Vec<(&'a str, &'a str)>,
}

impl fmt::Debug for TokenRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenRequest({})", self.grant_type)
    }
}

/// A successful token response (RFC 6749 §5.1), as it came: nothing in it is verified yet.
///
/// `Debug` says what is there and how long it lives. What is there it does not show: some providers put further tokens into
/// members of their own.
#[derive(Clone)]
pub(crate) struct TokenResponse {
    /// `None` where it is missing or could not be sent in a header.
    pub(crate) access_token: Option<AccessToken>,
    pub(crate) token_type: Option<String>,
    /// `expires_in`; `None` where it is missing or nonsense.
    pub(crate) expires_in: Option<Duration>,
    pub(crate) refresh_token: Option<RefreshToken>,
    /// How long the refresh token lives, as some providers say; zero means for ever there.
    pub(crate) refresh_expires_in: Option<Duration>,
    pub(crate) id_token: Option<IdToken>,
    pub(crate) scope: Option<Scopes>,
    /// All further members.
    pub(crate) extra: Map<String, Value>,
    /// When the request was sent: lifetimes are counted from here.
    pub(crate) requested_at: Timestamp,
    /// The provider's own time, where the answer bears one.
    pub(crate) provider_time: Option<Timestamp>,
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("access_token", &self.access_token)
            .field("expires_in", &self.expires_in)
            .field("refresh_token", &self.refresh_token)
            .field("refresh_expires_in", &self.refresh_expires_in)
            .field("id_token", &self.id_token)
            .finish_non_exhaustive()
    }
}

/// Why a request to the token endpoint, or to one like it, brought nothing that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The provider could not be reached, did not answer in time, or answered with 5xx or 429.
    #[error("the provider's token endpoint cannot be used at present")]
    Unavailable {
        /// How long to wait, where the provider says so (`Retry-After`).
        retry_after: Option<Duration>,
        /// What happened.
        #[source]
        cause: Outage,
    },
    /// The request was sent, and no complete answer came. Whether the provider has carried it out is not known: a
    /// refresh token may be used up.
    #[error("the provider's token endpoint gave no answer, and may have carried the request out")]
    Unanswered(#[source] Outage),
    /// The request was held back: whoever wanted to send it lost the right to. It was not sent.
    #[error("the token request was held back")]
    HeldBack,
    /// The provider answered with an error (RFC 6749 §5.2).
    #[error("the provider refused the token request: {0}")]
    Refused(TokenErrorCode),
    /// The answer is no token response (RFC 6749 §5.1); the text says what is wrong.
    #[error("the provider's token response is malformed: {0}")]
    Malformed(&'static str),
}

/// What a provider does about a token that it is to revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// It is not good any more (RFC 7009 §2.2).
    Yes,
    /// It does not revoke tokens of this type (§2.2.1, `unsupported_token_type`).
    Unsupported,
    /// It revokes none.
    NoEndpoint,
}

/// Why the provider refused a request: the error codes of RFC 6749 §5.2, and what says the same without one. The text of an unknown
/// one is not kept: it is the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenErrorCode {
    /// The request lacks something or has too much.
    #[error("invalid_request")]
    InvalidRequest,
    /// Client authentication failed: id, secret or method are not what is registered.
    #[error("invalid_client")]
    InvalidClient,
    /// The code or refresh token is not good (any more).
    #[error("invalid_grant")]
    InvalidGrant,
    /// This client may not use this grant.
    #[error("unauthorized_client")]
    UnauthorizedClient,
    /// The provider does not know this grant.
    #[error("unsupported_grant_type")]
    UnsupportedGrantType,
    /// The scope is unknown, malformed or more than was granted.
    #[error("invalid_scope")]
    InvalidScope,
    /// A resource is unknown or not allowed (RFC 8707 §2).
    #[error("invalid_target")]
    InvalidTarget,
    /// The redirect URI is not the registered one, as some providers say besides `invalid_grant`.
    #[error("redirect_uri_mismatch or invalid_redirect_uri")]
    RedirectUri,
    /// The proof is not accepted (RFC 9449 §5), or not without a nonce that the provider did not give (§8).
    #[error("invalid_dpop_proof or use_dpop_nonce")]
    DpopProof,
    /// The provider's endpoint refused the client's certificate, or demands one, before it read the request (RFC 8705 §2).
    #[error("the client's certificate is not accepted")]
    ClientCertificate,
    /// Any other code.
    #[error("an error code that RFC 6749 does not define")]
    Other,
}

impl TokenErrorCode {
    fn of(text: &str) -> Self {
        match text {
            "invalid_request" => Self::InvalidRequest,
            // GitHub has names of its own, and no OAuth 2.0 code for the same beside them.
            "invalid_client" | "incorrect_client_credentials" => Self::InvalidClient,
            "invalid_grant" | "bad_verification_code" | "bad_refresh_token" => Self::InvalidGrant,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "invalid_scope" => Self::InvalidScope,
            "invalid_target" => Self::InvalidTarget,
            "redirect_uri_mismatch" | "invalid_redirect_uri" => Self::RedirectUri,
            "invalid_dpop_proof" | USE_DPOP_NONCE => Self::DpopProof,
            _ => Self::Other,
        }
    }

    /// Whether a setting here and the client's registration at the provider do not fit.
    pub(crate) fn is_about_the_registration(self) -> bool {
        self.is_about_the_client()
            || matches!(self, Self::InvalidScope | Self::InvalidTarget | Self::RedirectUri)
    }

    /// Whether the client's registration, rather than the grant, is what the provider does not accept.
    pub(crate) fn is_about_the_client(self) -> bool {
        matches!(
            self,
            Self::InvalidClient
                | Self::ClientCertificate
                | Self::UnauthorizedClient
                | Self::UnsupportedGrantType
        )
    }
}

impl Registration {
    /// Asks for tokens.
    pub(crate) async fn tokens(
        &self,
        metadata: &Metadata,
        request: TokenRequest<'_>,
        way: Way<'_>,
        now: Timestamp,
    ) -> Result<TokenResponse, TokenError> {
        let mut form = vec![("grant_type", request.grant_type)];
        form.extend(request.parameters);
        let answer = self
            .post(
                metadata,
                (Asked::Token, &metadata.token_endpoint),
                &form,
                way,
                now,
            )
            .await?;
        let mut response = TokenResponse::read(&answer, now)?;
        // Kept as it was signed: that is what the provider is shown at sign-out.
        response.id_token = (response.id_token).map(|token| match self.decrypted(token.expose()) {
            Cow::Owned(signed) => IdToken::new(signed),
            Cow::Borrowed(_) => token,
        });
        // GitHub and others that are older than RFC 6749 put commas between scopes.
        if metadata.jwks_uri.is_none() {
            response.scope = response
                .scope
                .map(|scopes| scopes.iter().flat_map(|scope| scope.split(',')).collect());
        }
        Ok(response)
    }

    /// The signed token in one that the provider has encrypted for this client. Any other comes back as it is, also an
    /// encrypted one that no key decrypts: whoever verifies it says so.
    pub(crate) fn decrypted<'t>(&self, token: &'t str) -> Cow<'t, str> {
        let Some(keys) = self
            .decryption_keys
            .as_ref()
            .filter(|_| jose::is_encrypted(token))
        else {
            return Cow::Borrowed(token);
        };
        match keys.decrypt(token) {
            Ok(signed) => Cow::Owned(signed.to_string()),
            Err(error) => {
                tracing::debug!(%error, "an encrypted token is not decrypted");
                Cow::Borrowed(token)
            }
        }
    }

    /// Revokes a token (RFC 7009). That the provider cannot do so is no failure: there is nothing to do about it.
    pub(crate) async fn revoke(
        &self,
        metadata: &Metadata,
        token: &str,
        token_type_hint: &str,
        now: Timestamp,
    ) -> Result<Revoked, TokenError> {
        let Some(endpoint) = &metadata.revocation_endpoint else {
            return Ok(Revoked::NoEndpoint);
        };
        let form = [("token", token), ("token_type_hint", token_type_hint)];
        let answer = self
            .post(
                metadata,
                (Asked::Revocation, endpoint),
                &form,
                Way::default(),
                now,
            )
            .await?;
        if answer.status.is_success() {
            return Ok(Revoked::Yes);
        }
        match error_code(&answer) {
            Some(code) if code == "unsupported_token_type" => Ok(Revoked::Unsupported),
            Some(code) => Err(TokenError::Refused(TokenErrorCode::of(&code))),
            None => Err(TokenError::Malformed("the revocation endpoint gave no reason")),
        }
    }

    /// Asks what a token is (RFC 7662). The answer's members, if the token is active.
    pub(crate) async fn introspect(
        &self,
        metadata: &Metadata,
        endpoint: &Url,
        token: &AccessToken,
        now: Timestamp,
    ) -> Result<Option<Map<String, Value>>, TokenError> {
        let form = [("token", token.expose()), ("token_type_hint", "access_token")];
        let answer = self
            .post(
                metadata,
                (Asked::Introspection, endpoint),
                &form,
                Way::default(),
                now,
            )
            .await?;
        read_introspection(&answer)
    }

    /// Posts a form with client authentication. An outage is an error here; any other status is the caller's.
    ///
    /// Where the provider wants a nonce in the proof (RFC 9449 §8), the form is posted once more with the one that came with
    /// the demand. This is no repetition of a request whose outcome is not known, which nothing here makes: the answer says
    /// that the request was turned away for its proof, before anything in it was used. So a refresh token that it presents is
    /// still to be presented, by whoever holds the session's lease; and that is asked anew when the form goes.
    pub(crate) async fn post(
        &self,
        metadata: &Metadata,
        asked: (Asked, &Url),
        form: &[(&str, &str)],
        way: Way<'_>,
        now: Timestamp,
    ) -> Result<Answer, TokenError> {
        let answer = self.post_once(metadata, asked, form, way, now).await?;
        let Some(key) = way.key else { return Ok(answer) };
        let server = Server::Authorization(metadata.issuer.as_str());
        let is_given = self.nonces.remember(key, server, &answer.headers);
        if !is_given || answer.status.is_success() || error_code(&answer).as_deref() != Some(USE_DPOP_NONCE) {
            return Ok(answer);
        }
        if let Some(guard) = way.guard {
            guard.begin_again();
        }
        let answer = self.post_once(metadata, asked, form, way, now).await?;
        self.nonces.remember(key, server, &answer.headers);
        Ok(answer)
    }

    async fn post_once(
        &self,
        metadata: &Metadata,
        (asked, endpoint): (Asked, &Url),
        form: &[(&str, &str)],
        way: Way<'_>,
        now: Timestamp,
    ) -> Result<Answer, TokenError> {
        let credentials = self.authentication.credentials(
            &self.client_id,
            metadata.issuer.as_str(),
            &metadata.client_assertion_algorithms,
            now,
        );
        let mut form = form.to_vec();
        form.extend(
            credentials
                .form
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let mut request = self
            .http
            .post_form(asked, endpoint, &form, way.guard)
            .header(ACCEPT, "application/json");
        let attached = way.attached.filter(|_| credentials.authorization.is_none());
        let own = attached.map(|token| authorization(Scheme::of(way.key), token));
        if let Some(value) = credentials.authorization.or(own) {
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(key) = way.key {
            let proof = ProofOf {
                server: Server::Authorization(metadata.issuer.as_str()),
                method: "POST",
                url: &htu(endpoint),
                token: attached,
            };
            request = request.header(DPOP, key.proof(&proof, &self.nonces, now));
        }
        let (result, left) = match way.guard {
            None => (self.http.send(asked, request).await, Left::No),
            Some(guard) => self.http.send_guarded(asked, request, guard).await,
        };
        match result {
            Ok(answer) if answer.is_outage() => Err(TokenError::Unavailable {
                retry_after: answer.retry_after(),
                cause: Outage::Status(answer.status.as_u16()),
            }),
            Ok(answer) => Ok(answer),
            Err(HttpError::TooLarge) => Err(TokenError::Malformed("it is larger than 1 MiB")),
            Err(HttpError::NotSent) => Err(TokenError::HeldBack),
            Err(HttpError::CertificateRefused(_)) => {
                Err(TokenError::Refused(TokenErrorCode::ClientCertificate))
            }
            Err(error) if left == Left::Yes => Err(TokenError::Unanswered(error.into())),
            Err(error) => Err(TokenError::Unavailable {
                retry_after: None,
                cause: error.into(),
            }),
        }
    }
}

/// The members of an introspection response (RFC 7662 §2.2), if the token is active.
pub(crate) fn read_introspection(answer: &Answer) -> Result<Option<Map<String, Value>>, TokenError> {
    if !answer.status.is_success() {
        return Err(match error_code(answer) {
            Some(code) => TokenError::Refused(TokenErrorCode::of(&code)),
            None => TokenError::Malformed("the introspection endpoint gave no reason"),
        });
    }
    let members: Map<String, Value> = serde_json::from_slice(&answer.body)
        .map_err(|_| TokenError::Malformed("the introspection answer is no JSON object"))?;
    Ok((members.get("active") == Some(&Value::Bool(true))).then_some(members))
}

fn error_code(answer: &Answer) -> Option<String> {
    let members: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
    members.get("error")?.as_str().map(str::to_owned)
}

impl TokenResponse {
    pub(crate) fn read(answer: &Answer, requested_at: Timestamp) -> Result<Self, TokenError> {
        // Member by member, so that one which makes no sense costs no other.
        let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&answer.body)
            .map_err(|_| TokenError::Malformed("it is no JSON object"))?;
        // An error is an error, whatever the status is, whatever stands beside it, and whether or not it can be read.
        match members
            .remove("error")
            .map(|raw| serde_json::from_str::<Value>(raw.get()))
        {
            None | Some(Ok(Value::Null)) => {}
            Some(Ok(Value::String(code))) => return Err(TokenError::Refused(TokenErrorCode::of(&code))),
            Some(_) => return Err(TokenError::Refused(TokenErrorCode::Other)),
        }
        let mut take = |name: &str| -> Option<Value> {
            members
                .remove(name)
                .and_then(|raw| serde_json::from_str(raw.get()).ok())
        };
        if !answer.status.is_success() {
            return Err(TokenError::Malformed("its status says error, its body does not"));
        }
        let expires_in = take("expires_in").as_ref().and_then(seconds);
        // Keycloak's name, and the one of Microsoft, GitHub and others.
        let refresh_expires_in = ["refresh_expires_in", "refresh_token_expires_in"]
            .into_iter()
            .find_map(|name| take(name).as_ref().and_then(seconds));
        let mut text = |name: &str| match take(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let is_there = |text: &String| !text.is_empty();
        // RFC 6750 §2.1: a token that is no visible ASCII cannot be sent.
        let can_be_sent = |text: &String| is_there(text) && text.bytes().all(|b| b.is_ascii_graphic());
        let response = Self {
            access_token: text("access_token").filter(can_be_sent).map(AccessToken::new),
            token_type: text("token_type").filter(is_there),
            refresh_token: text("refresh_token").filter(is_there).map(RefreshToken::new),
            id_token: text("id_token").filter(is_there).map(IdToken::new),
            // Empty is not missing: nothing was granted.
            scope: text("scope").map(|scope| Scopes::parse(&scope)),
            expires_in,
            refresh_expires_in: refresh_expires_in.filter(|length| !length.is_zero()),
            extra: members
                .into_iter()
                .filter_map(|(name, raw)| Some((name, serde_json::from_str(raw.get()).ok()?)))
                .collect(),
            requested_at,
            provider_time: answer.date(),
        };
        if response.access_token.is_none() && response.refresh_token.is_none() {
            return Err(TokenError::Malformed("there is no token in it that can be used"));
        }
        Ok(response)
    }

    /// The access token of a refresh, if it is of the session's type, which a missing one means.
    pub(crate) fn usable_access_token(&self, scheme: Scheme) -> Option<&AccessToken> {
        let is_usable = self.token_type.as_ref().is_none_or(|kind| scheme.is(kind));
        self.access_token.as_ref().filter(|_| is_usable)
    }

    /// Whether it says that its access token is of this type.
    pub(crate) fn is_of(&self, scheme: Scheme) -> bool {
        self.token_type.as_ref().is_some_and(|kind| scheme.is(kind))
    }

    /// What was granted in detail (RFC 9396 §7), where the response says so.
    pub(crate) fn authorization_details(&self) -> Option<Vec<Value>> {
        self.extra.get("authorization_details")?.as_array().cloned()
    }

    /// When the refresh token dies, where the provider says so.
    pub(crate) fn refresh_expires_at(&self) -> Option<Timestamp> {
        self.refresh_expires_in
            .map(|length| self.requested_at.plus(length))
    }

    /// When the access token dies, where the provider says so.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.expires_in.map(|length| self.requested_at.plus(length))
    }
}

/// A number of seconds, also as a decimal string; anything else is unknown.
pub(crate) fn seconds(value: &Value) -> Option<Duration> {
    const LONGEST: f64 = 10.0 * 366.0 * 24.0 * 3600.0;
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
        _ => return None,
    };
    (number >= 0.0 && number.is_finite()).then(|| Duration::from_secs_f64(number.min(LONGEST).trunc()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn read(status: u16, body: &str) -> Result<TokenResponse, TokenError> {
        TokenResponse::read(
            &Answer {
                status: StatusCode::from_u16(status).expect("a status"),
                headers: HeaderMap::new(),
                body: Bytes::copy_from_slice(body.as_bytes()),
            },
            Timestamp::from_secs(1000),
        )
    }

    #[test]
    fn reads_what_providers_send() {
        let response = read(
            200,
            r#"{"access_token":"a","token_type":"bearer","expires_in":"3600","refresh_token":"r","id_token":"i",
                "scope":"openid mail","session_expiry":7,"refresh_expires_in":1800}"#,
        )
        .expect("good");
        assert_eq!(response.access_token.as_ref().expect("given").expose(), "a");
        assert_eq!(response.refresh_expires_at(), Some(Timestamp::from_secs(2800)));
        assert_eq!(response.expires_at(), Some(Timestamp::from_secs(4600)));
        assert_eq!(response.refresh_token.expect("given").expose(), "r");
        assert_eq!(response.scope.expect("given").to_string(), "openid mail");
        assert_eq!(response.extra.get("session_expiry"), Some(&Value::from(7)));
    }

    // RFC 6749 §5.1
    #[test]
    fn odd_members_lose_nothing() {
        for (lifetime, seconds) in [
            ("3600.9", Some(3600)),
            ("0", Some(0)),
            ("\"60\"", Some(60)),
            ("-1", None),
            ("\"soon\"", None),
            ("\"1e3\"", None),
            ("\"\"", None),
            ("null", None),
            ("[]", None),
            ("1e400", None),
        ] {
            let body =
                format!(r#"{{"access_token":"a","refresh_token":"r","id_token":7,"expires_in":{lifetime}}}"#);
            let response = read(201, &body).expect("good");
            assert_eq!(
                response.expires_in,
                seconds.map(Duration::from_secs),
                "{lifetime}"
            );
            assert_eq!(response.refresh_token.expect("kept").expose(), "r");
            assert!(response.id_token.is_none());
        }
    }

    #[test]
    fn a_refresh_token_is_kept_without_an_access_token() {
        for body in [
            r#"{"refresh_token":"r"}"#,
            r#"{"refresh_token":"r","access_token":"a b"}"#,
        ] {
            let response = read(200, body).expect("good");
            assert!(response.usable_access_token(Scheme::Bearer).is_none());
            assert_eq!(response.refresh_token.expect("kept").expose(), "r");
        }
    }

    // RFC 6749 §7.1, RFC 9449 §5
    #[test]
    fn an_access_token_of_another_type_is_not_the_session_s() {
        for (kind, bearer, dpop) in [
            (r#""bearer""#, true, false),
            (r#""DPOP""#, false, true),
            (r#""mac""#, false, false),
            ("null", true, true),
        ] {
            let body = format!(r#"{{"access_token":"a","token_type":{kind}}}"#);
            let response = read(200, &body).expect("good");
            for (scheme, is_usable) in [(Scheme::Bearer, bearer), (Scheme::Dpop, dpop)] {
                assert_eq!(
                    response.usable_access_token(scheme).is_some(),
                    is_usable,
                    "{kind}"
                );
                assert_eq!(response.is_of(scheme), is_usable && kind != "null", "{kind}");
            }
        }
    }

    #[test]
    fn an_empty_scope_grants_nothing() {
        let scope = |body| read(200, body).expect("good").scope;
        assert_eq!(
            scope(r#"{"access_token":"a","scope":""}"#),
            Some(Scopes::default())
        );
        assert_eq!(scope(r#"{"access_token":"a"}"#), None);
    }

    #[test]
    fn debug_shows_nothing_that_the_provider_wrote() {
        let body = r#"{"access_token":"s3cret-a","refresh_token":"s3cret-r","id_token":"s3cret-i","expires_in":7,
            "token_type":"s3cret-t","scope":"s3cret-s","authed_user":{"access_token":"s3cret-x"}}"#;
        let shown = format!("{:?}", read(200, body).expect("good"));
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("expires_in: Some(7s)"), "{shown}");
    }

    // RFC 6749 §5.2
    #[test]
    fn an_error_is_an_error_whatever_stands_beside_it() {
        for status in [200, 400, 401] {
            let error = read(status, r#"{"error":"invalid_grant","access_token":"a"}"#).expect_err("refused");
            assert!(
                matches!(error, TokenError::Refused(TokenErrorCode::InvalidGrant)),
                "{error}"
            );
        }
        // JSON by its grammar, but neither a string nor a number that could be kept.
        for odd in [r#""\ud800""#, "1e999", "7", "{}"] {
            let error = read(200, &format!(r#"{{"error":{odd},"access_token":"a"}}"#)).expect_err("refused");
            assert!(
                matches!(error, TokenError::Refused(TokenErrorCode::Other)),
                "{error}"
            );
        }
        let error = read(400, r#"{"error":"nothing of ours <script>"}"#).expect_err("refused");
        assert!(!error.to_string().contains("script"), "{error}");
    }

    // RFC 6749 §5.1; RFC 6750 §2.1
    #[test]
    fn what_is_no_token_response_is_malformed() {
        for (status, body) in [
            (200, ""),
            (200, "<html>"),
            (200, r#"{"access_token":"#),
            (200, "[]"),
            (200, "{}"),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":7}"#),
            (200, "{\"access_token\":\"a\\nb\"}"),
            (200, "{\"access_token\":\"\u{e4}\"}"),
            (302, r#"{"access_token":"a"}"#),
            (404, r#"{"access_token":"a"}"#),
        ] {
            assert!(
                matches!(read(status, body), Err(TokenError::Malformed(_))),
                "{status} {body}"
            );
        }
    }
}
