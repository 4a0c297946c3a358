//! The token endpoint (RFC 6749 §3.2).

use std::sync::Arc;

use aws_lc_rs::constant_time;
use aws_lc_rs::digest;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::Provider;
use super::client::{Authentication, Client};
use super::discovery::changed;
use super::dpop::{ProofSide, with_nonce};
use super::error::{OauthError, no_store};
use super::extension::JWT_BEARER;
use super::grants::{FirstToken, Grant, GrantId, Refused};
use super::jwt::Signature;
use super::keys::SigningAlgorithm;
use super::userinfo::AccessToken;
use crate::params::Params;
use crate::random;

/// `grant_type` of a token exchange (RFC 8693 §2.1).
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The type of the tokens exchanged (RFC 8693 §3).
const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
/// ID tokens live this long.
const ID_TOKEN_LIFETIME_SECS: i64 = 3600;

pub(crate) async fn token(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match provider.token_response(&headers, &body) {
        Ok((answer, nonce)) => {
            let change = provider.tampering().token_response.clone();
            with_nonce(no_store(Json(changed(answer, change))), nonce)
        }
        Err(error) => {
            tracing::debug!(error = %error.error, reason = %error.description, "token request refused");
            error.into_response()
        }
    }
}

/// The grant for those of its resources that are asked for (RFC 8707 §2.2); for all of them where none is.
fn narrowed(grant: &Grant, form: &Params) -> Result<Grant, OauthError> {
    let mut grant = grant.clone();
    let asked: Vec<String> = form.all("resource").map(str::to_owned).collect();
    if asked.iter().any(|resource| !grant.resource.contains(resource)) {
        return Err(OauthError::new(
            "invalid_target",
            "a resource that was not granted",
        ));
    }
    if !asked.is_empty() {
        grant.resource = asked;
    }
    Ok(grant)
}

/// An access token to be issued.
pub(super) struct AccessTokenRequest<'a> {
    pub(super) client_id: &'a str,
    pub(super) sub: &'a str,
    pub(super) scope: &'a [String],
    pub(super) audience: Value,
    /// The grant it ends with, and what it tells about the sign-in.
    pub(super) grant: Option<(GrantId, &'a Grant)>,
    /// The key that it is bound to (RFC 9449 §6.1).
    pub(super) jkt: Option<&'a str>,
    /// More claims, such as `act`.
    pub(super) extra: Map<String, Value>,
}

impl Provider {
    /// The answer, and the nonce that goes with it.
    fn token_response(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(Value, Option<String>), OauthError> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next());
        if content_type.map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(OauthError::invalid_request("the body must be a form"));
        }
        let form = Params::parse(body);
        let client = self.authenticate(headers, &form)?;
        // Before anything is used up: who lacks a nonce may come again with the same code or token.
        let asked = format!("{}/token", self.issuer);
        let proof = self.proof(headers, ("POST", &asked), None, ProofSide::Provider)?;
        let (jkt, nonce) = proof.map(|proof| (proof.jkt, proof.next_nonce)).unzip();
        let jkt = jkt.as_deref();
        let answer = match form.one("grant_type")? {
            Some("authorization_code") => self.redeem_code(&client, &form, jkt),
            Some("refresh_token") => self.refresh(&client, &form, jkt),
            Some("client_credentials") => self.client_credentials(&client, &form, jkt),
            Some(TOKEN_EXCHANGE) => self.exchange(&client, &form, jkt),
            Some(JWT_BEARER) => self.redeem_assertion(&client, &form, jkt),
            Some("organization_switch") => self.switch_organization(&client, &form, jkt),
            Some("account_switch") => self.switch_account(&client, &form, jkt),
            Some(_) => Err(OauthError::new("unsupported_grant_type", "unknown grant_type")),
            None => Err(OauthError::invalid_request("grant_type is missing")),
        };
        Ok((answer?, nonce.flatten()))
    }

    /// RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 9449 §10.
    fn redeem_code(&self, client: &Client, form: &Params, jkt: Option<&str>) -> Result<Value, OauthError> {
        let missing = |what| OauthError::invalid_request(what);
        let code = form.one("code")?.ok_or(missing("code is missing"))?;
        let redirect_uri = form.one("redirect_uri")?;
        let verifier = form.one("code_verifier")?;
        let now = self.now();
        let (mut grant, binding) = self.grants().redeem_code(code, &client.id, now)?;
        if redirect_uri != Some(&binding.redirect_uri) {
            return Err(OauthError::invalid_grant("not the redirect_uri of the request"));
        }
        let hash = digest::digest(&digest::SHA256, verifier.unwrap_or_default().as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(hash);
        if constant_time::verify_slices_are_equal(challenge.as_bytes(), binding.code_challenge.as_bytes())
            .is_err()
        {
            return Err(OauthError::invalid_grant("wrong code_verifier"));
        }
        if binding.dpop_jkt.is_some() && binding.dpop_jkt.as_deref() != jkt {
            return Err(OauthError::invalid_grant("the code is bound to another key"));
        }
        grant.jkt = jkt.map(str::to_owned);
        let narrowed = narrowed(&grant, form)?;
        let kept = Grant {
            first_token: FirstToken::default(),
            ..grant.clone()
        };
        let id = self.grants().open(code, kept);
        let refresh_token = grant
            .gives_refresh_token()
            .then(|| self.grants().issue_refresh_token(id));
        let nonce = grant.nonce.clone();
        Ok(self.tokens(&narrowed, id, &grant.scope, refresh_token, Some(nonce)))
    }

    /// RFC 6749 §6.
    fn refresh(&self, client: &Client, form: &Params, jkt: Option<&str>) -> Result<Value, OauthError> {
        let token = form
            .one("refresh_token")?
            .ok_or(OauthError::invalid_request("refresh_token is missing"))?;
        let (rotation, refresh_id_token) = {
            let settings = self.settings();
            (settings.rotation, settings.refresh_id_token)
        };
        let asked = form.words("scope")?;
        // One lock from check to rotation: of two requests with the same token, one is the reuse.
        let (id, grant, scope, next) = {
            let mut grants = self.grants();
            let (id, grant) = grants.refresh_grant(token, &client.id)?;
            let mut grant = narrowed(&grant, form)?;
            if grant.jkt.is_some() && grant.jkt.as_deref() != jkt {
                return Err(OauthError::invalid_grant("bound to another key"));
            }
            grant.jkt = jkt.map(str::to_owned);
            if asked.iter().any(|scope| !grant.scope.contains(scope)) {
                return Err(OauthError::new("invalid_scope", "more than was granted"));
            }
            let scope = if asked.is_empty() {
                grant.scope.clone()
            } else {
                asked
            };
            let next = rotation.then(|| grants.rotate(token, id));
            (id, grant, scope, next)
        };
        // Without a nonce (OIDC Core §12.2).
        Ok(self.tokens(&grant, id, &scope, next, refresh_id_token.then_some(None)))
    }

    /// RFC 6749 §4.4.
    fn client_credentials(
        &self,
        client: &Client,
        form: &Params,
        jkt: Option<&str>,
    ) -> Result<Value, OauthError> {
        if matches!(client.authentication, Authentication::None) {
            return Err(OauthError::new(
                "unauthorized_client",
                "a public client has no credentials",
            ));
        }
        let scope = form.words("scope")?;
        if scope.iter().any(|scope| !self.knows_scope(scope)) {
            return Err(OauthError::new("invalid_scope", "unknown scope"));
        }
        let resources: Vec<&str> = form.all("resource").collect();
        let (token, expires_in) = self.issue_access_token(AccessTokenRequest {
            client_id: &client.id,
            sub: &client.id,
            scope: &scope,
            audience: self.audience(&resources),
            grant: None,
            jkt,
            extra: Map::new(),
        });
        Ok(self.answer(token, expires_in, &scope, jkt))
    }

    /// RFC 8693: an access token of this provider's, or any token of a trusted one, for an access token. The actor is the
    /// subject of the actor token, or else the client. A token that is bound to a key is exchanged for one with that key.
    fn exchange(&self, client: &Client, form: &Params, jkt: Option<&str>) -> Result<Value, OauthError> {
        let missing = |what| OauthError::invalid_request(what);
        let subject_token = form
            .one("subject_token")?
            .ok_or(missing("subject_token is missing"))?;
        if !matches!(
            form.one("subject_token_type")?,
            Some(ACCESS_TOKEN_TYPE | ID_TOKEN_TYPE)
        ) {
            return Err(missing("subject_token_type must be access_token or id_token"));
        }
        if !matches!(form.one("requested_token_type")?, None | Some(ACCESS_TOKEN_TYPE)) {
            return Err(missing("requested_token_type must be access_token"));
        }
        let subject = match self.trusted_subject(subject_token) {
            Some(sub) => AccessToken {
                claims: Map::from_iter([("sub".to_owned(), json!(sub))]),
            },
            None => self
                .access_token(subject_token)
                .map_err(|_| OauthError::invalid_request("the subject_token is not good"))?,
        };
        if subject.jkt().is_some() && subject.jkt() != jkt {
            return Err(OauthError::invalid_grant(
                "the subject_token is bound to another key",
            ));
        }
        let actor = match (form.one("actor_token")?, form.one("actor_token_type")?) {
            (None, None) => client.id.clone(),
            (Some(token), Some(ACCESS_TOKEN_TYPE)) => self
                .access_token(token)
                .map_err(|_| OauthError::invalid_request("the actor_token is not good"))?
                .text("sub")
                .to_owned(),
            _ => return Err(missing("actor_token and actor_token_type belong together")),
        };
        let targets: Vec<&str> = form.all("audience").chain(form.all("resource")).collect();
        let known = |target: &&str| *target == self.api_url || *target == self.api2_url;
        if targets.is_empty() || !targets.iter().all(known) {
            return Err(OauthError::new("invalid_target", "unknown audience"));
        }
        let granted = subject.scope();
        let mut scope = form.words("scope")?;
        if scope.iter().any(|word| !granted.contains(word)) {
            return Err(OauthError::new("invalid_scope", "more than was granted"));
        }
        if scope.is_empty() {
            scope = granted;
        }
        let id = self.grants().grant_of_access_token(&subject.jti());
        let grant = id.and_then(|id| self.grants().grant(id));
        let (token, expires_in) = self.issue_access_token(AccessTokenRequest {
            client_id: &client.id,
            sub: subject.text("sub"),
            scope: &scope,
            audience: self.audience(&targets),
            grant: id.zip(grant.as_ref()),
            jkt,
            extra: Map::from_iter([("act".to_owned(), json!({ "sub": actor }))]),
        });
        let mut answer = self.answer(token, expires_in, &scope, jkt);
        answer["issued_token_type"] = json!(ACCESS_TOKEN_TYPE);
        Ok(answer)
    }

    /// The answer to a code or refresh request; `nonce` is there where an ID token is due.
    pub(super) fn tokens(
        &self,
        grant: &Grant,
        id: GrantId,
        scope: &[String],
        refresh_token: Option<String>,
        nonce: Option<Option<String>>,
    ) -> Value {
        let resources: Vec<&str> = grant.resource.iter().map(String::as_str).collect();
        let (access_token, expires_in) = self.issue_access_token(AccessTokenRequest {
            client_id: &grant.client_id,
            sub: &grant.sub,
            scope,
            audience: self.audience(&resources),
            grant: Some((id, grant)),
            jkt: grant.jkt.as_deref(),
            extra: Map::new(),
        });
        let openid = scope.iter().any(|scope| scope == "openid");
        let id_token = match nonce {
            Some(nonce) if openid => Some(self.issue_id_token(grant, scope, nonce, &access_token)),
            _ => None,
        };
        let mut answer = self.answer(access_token, expires_in, scope, grant.jkt.as_deref());
        if !grant.authorization_details.is_empty() {
            answer["authorization_details"] = json!(grant.authorization_details);
        }
        if let Some(token) = refresh_token {
            self.issued(&token);
            answer["refresh_token"] = json!(token);
        }
        if let Some(token) = id_token {
            answer["id_token"] = json!(token);
        }
        answer
    }

    pub(super) fn answer(
        &self,
        access_token: String,
        expires_in: u64,
        scope: &[String],
        jkt: Option<&str>,
    ) -> Value {
        let mut answer = json!({
            "access_token": access_token,
            "token_type": if jkt.is_some() { "DPoP" } else { "Bearer" },
            "scope": scope.join(" "),
        });
        if !self.settings().omit_expires_in {
            answer["expires_in"] = json!(expires_in);
        }
        answer
    }

    /// The audience of a token for `resources` (RFC 8707 §2.2); the first demo API where there is none.
    pub(super) fn audience(&self, resources: &[&str]) -> Value {
        match resources {
            [] => json!(self.api_url),
            [one] => json!(one),
            many => json!(many),
        }
    }

    /// An access token (RFC 9068 §2.2) and its lifetime in seconds.
    pub(super) fn issue_access_token(&self, request: AccessTokenRequest<'_>) -> (String, u64) {
        let first = request.grant.map(|(_, grant)| grant.first_token.clone());
        let first = first.unwrap_or_default();
        let lifetime = {
            let mut settings = self.settings();
            let next = first
                .lifetime
                .or_else(|| settings.next_access_token_lifetime.take());
            next.unwrap_or(settings.access_token_lifetime).as_secs()
        };
        let now = self.now();
        let jti = random::token();
        let mut claims = request.extra;
        let set = |claims: &mut Map<String, Value>, name: &str, value: Value| {
            claims.insert(name.to_owned(), value);
        };
        set(&mut claims, "iss", json!(self.issuer));
        set(&mut claims, "sub", json!(request.sub));
        set(&mut claims, "aud", request.audience);
        set(&mut claims, "iat", json!(now));
        set(&mut claims, "exp", json!(now + lifetime.cast_signed()));
        set(&mut claims, "jti", json!(jti));
        set(&mut claims, "client_id", json!(request.client_id));
        set(&mut claims, "scope", json!(request.scope.join(" ")));
        if let Some(jkt) = request.jkt {
            set(&mut claims, "cnf", json!({ "jkt": jkt }));
        }
        if let Some((_, grant)) = request.grant {
            set(&mut claims, "auth_time", json!(grant.authentication.auth_time));
            set(&mut claims, "acr", json!(grant.authentication.acr));
            if let Some(organization) = &grant.organization {
                set(&mut claims, "org_id", json!(organization));
            }
        }
        if let Some(roles) = self
            .user(request.sub)
            .and_then(|user| user.claims.get("roles").cloned())
        {
            set(&mut claims, "roles", roles);
        }
        let key = self.keys().signing();
        let signature = Signature::Key(&key);
        let token = signature.sign(&signature.header(AccessToken::TYPE), &claims);
        let id = request.grant.map(|(id, _)| id);
        self.grants().record_access_token(&jti, id, request.client_id);
        self.issued(&token);
        match first.text {
            Some(text) => {
                self.name_token(&text, token);
                (text, lifetime)
            }
            None => (token, lifetime),
        }
    }

    /// An ID token (OIDC Core §2, §3.1.3.6), after a test's changes.
    fn issue_id_token(
        &self,
        grant: &Grant,
        scope: &[String],
        nonce: Option<String>,
        access_token: &str,
    ) -> String {
        let key = self.keys().signing_id_tokens();
        let (unsigned, corrupt, hs256, change) = {
            let tampering = self.tampering();
            (
                tampering.unsigned,
                tampering.corrupt,
                tampering.hs256.clone(),
                tampering.id_token.clone(),
            )
        };
        let (signature, hash) = match &hs256 {
            Some(secret) => (Signature::Hs256(secret), SigningAlgorithm::Rs256),
            None if unsigned => (Signature::None, SigningAlgorithm::Rs256),
            None if corrupt => (Signature::Corrupt(&key), key.algorithm),
            None => (Signature::Key(&key), key.algorithm),
        };
        let now = self.now();
        let mut claims = self
            .user(&grant.sub)
            .map(|user| user.claims_for(scope))
            .unwrap_or_default();
        for (name, value) in [
            ("iss", json!(self.issuer)),
            ("sub", json!(grant.sub)),
            ("aud", json!(grant.client_id)),
            ("iat", json!(now)),
            ("exp", json!(now + ID_TOKEN_LIFETIME_SECS)),
            ("auth_time", json!(grant.authentication.auth_time)),
            ("acr", json!(grant.authentication.acr)),
            ("amr", json!(grant.authentication.amr)),
            ("sid", json!(grant.authentication.sid)),
            ("at_hash", json!(hash.at_hash(access_token))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(organization) = &grant.organization {
            claims.insert("org_id".to_owned(), json!(organization));
        }
        if let Some(nonce) = nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        let mut header = signature.header("JWT");
        if let Some(change) = change {
            change(&mut header, &mut claims);
        }
        let token = signature.sign(&header, &claims);
        self.issued(&token);
        token
    }
}

impl From<Refused> for OauthError {
    fn from(refused: Refused) -> Self {
        Self::invalid_grant(match refused {
            Refused::Unknown => "unknown code or refresh token",
            Refused::Expired => "the code is too old",
            Refused::OtherClient => "issued to another client",
            Refused::Reused => "used before; everything that came of it is revoked",
            Refused::Revoked => "revoked",
        })
    }
}
