//! The authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2) and the forms of its sign-in page.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::Markup;
use serde_json::{Map, Value, json};
use url::Url;

use super::Provider;
use super::dpop::{ProofSide, with_nonce};
use super::error::{OauthError, no_store};
use super::grants::{BrowserSession, CodeBinding, FirstToken, Grant, SignOn};
use super::jwt::Signature;
use super::user::User;
use crate::pages;
use crate::params::Params;
use crate::random;

/// An authorization code must be redeemed within this time.
const CODE_LIFETIME_SECS: i64 = 60;
/// A pushed authorization request must be used within this time.
const PUSHED_LIFETIME_SECS: i64 = 60;
/// A signed authorization response may be shown for this time (JARM §2.1 recommends ten minutes at most).
const RESPONSE_LIFETIME_SECS: i64 = 600;
/// So many sign-in pages may be open; more push out the oldest.
const TRANSACTIONS: usize = 1000;
/// `acr` of a sign-in for which no other was asked.
const DEFAULT_ACR: &str = "urn:auth-testing:acr:basic";

/// A valid authorization request.
#[derive(Clone)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    target: Target,
    nonce: Option<String>,
    scope: Vec<String>,
    code_challenge: String,
    dpop_jkt: Option<String>,
    prompt: Vec<String>,
    max_age: Option<i64>,
    login_hint: Option<String>,
    acr_values: Vec<String>,
    resource: Vec<String>,
    authorization_details: Vec<Value>,
}

/// Where and how the authorization response goes.
#[derive(Clone)]
struct Target {
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    mode: ResponseMode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ResponseMode {
    Query,
    FormPost,
    /// Signed, as `query.jwt` and `form_post.jwt` (JARM).
    QueryJwt,
    FormPostJwt,
}

/// How a request came.
enum Way {
    Front,
    Pushed,
}

/// Why there is no sign-in.
pub(crate) enum Refusal {
    /// Client or redirect URI are not to be trusted: a page, no redirect (RFC 6749 §4.1.2.1).
    Page(&'static str),
    /// The client is told.
    Redirect(AuthorizationResponse),
}

/// An authorization response on its way to the client.
pub(crate) struct AuthorizationResponse {
    pub(crate) redirect_uri: String,
    pub(crate) form_post: bool,
    pub(crate) params: Vec<(String, String)>,
}

/// Sign-in pages that wait for somebody to choose.
#[derive(Default)]
pub(crate) struct Transactions {
    requests: HashMap<String, AuthorizationRequest>,
    order: std::collections::VecDeque<String>,
}

impl Transactions {
    fn open(&mut self, request: AuthorizationRequest) -> String {
        if self.order.len() == TRANSACTIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.requests.remove(&oldest);
        }
        let id = random::token();
        self.order.push_back(id.clone());
        self.requests.insert(id.clone(), request);
        id
    }

    fn take(&mut self, id: &str) -> Option<AuthorizationRequest> {
        self.order.retain(|known| known != id);
        self.requests.remove(id)
    }
}

impl AuthorizationRequest {
    /// What a user grants who agrees to all of it.
    pub(crate) fn grant(&self, session: &BrowserSession) -> Grant {
        Grant {
            client_id: self.client_id.clone(),
            sub: session.sub.clone(),
            scope: self.scope.clone(),
            nonce: self.nonce.clone(),
            authentication: session.sign_on.clone(),
            resource: self.resource.clone(),
            authorization_details: self.authorization_details.clone(),
            jkt: None,
            organization: None,
            is_refreshable: false,
            first_token: FirstToken::default(),
        }
    }
}

pub(crate) async fn get(
    State(provider): State<Arc<Provider>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    begin(&provider, params, &headers)
}

pub(crate) async fn post(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    begin(&provider, Params::parse(&body), &headers)
}

fn begin(provider: &Provider, params: Params, headers: &HeaderMap) -> Response {
    let request = match provider.authorization_request(params) {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let session = provider.browser_session(headers);
    match provider.without_asking(&request, session.as_ref()) {
        Ok(Some(session)) => {
            let response = provider.approve(&request, &session);
            response.into_response()
        }
        Ok(None) => {
            let page = provider.sign_in_page(&request);
            page_response(StatusCode::OK, page)
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The sign-in page's form: a user was chosen, or nobody.
pub(crate) async fn decision(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !same_origin(&provider, &headers) {
        return Refusal::Page("This form was sent from another site.").into_response();
    }
    let form = Params::parse(&body);
    let transaction = form.one("transaction").ok().flatten().unwrap_or_default();
    let Some(request) = provider.transactions().take(transaction) else {
        return Refusal::Page("This sign-in is no longer open. Go back to the application.").into_response();
    };
    let chosen = form.one("user").ok().flatten();
    let Some(user) = chosen.and_then(|sub| provider.user(sub)) else {
        return provider.deny(&request).into_response();
    };
    let session = provider.sign_on(&request, &user);
    let mut response = provider.approve(&request, &session).into_response();
    let id = provider.grants().open_session(session);
    provider.issued(&id);
    let cookie = format!("{}={id}; Path=/; HttpOnly; SameSite=Lax", provider.cookie_name);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The pushed authorization request endpoint (RFC 9126).
pub(crate) async fn push(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut form = Params::parse(&body);
    let client = match provider.authenticate(&headers, &form) {
        Ok(client) => client,
        Err(error) => return error.into_response(),
    };
    if form.all("request_uri").next().is_some() {
        return OauthError::invalid_request("request_uri in a pushed request").into_response();
    }
    form.0.retain(|(name, _)| {
        !matches!(
            name.as_str(),
            "client_secret" | "client_assertion" | "client_assertion_type" | "client_id"
        )
    });
    form.0.push(("client_id".to_owned(), client.id));
    let mut form = match provider.unfold_request_object(form) {
        Ok(form) => form,
        Err((error, why)) => return OauthError::new(error, why).into_response(),
    };
    let asked = format!("{}/par", provider.issuer);
    let proof = match provider.proof(&headers, ("POST", &asked), None, ProofSide::Provider) {
        Ok(proof) => proof,
        Err(error) => return OauthError::from(error).into_response(),
    };
    // RFC 9449 §10.1: the proof says the same as the parameter, and may stand alone.
    if let Some(proof) = &proof {
        if form.all("dpop_jkt").any(|jkt| jkt != proof.jkt) {
            return OauthError::new("invalid_dpop_proof", "dpop_jkt names another key").into_response();
        }
        form.0.retain(|(name, _)| name != "dpop_jkt");
        form.0.push(("dpop_jkt".to_owned(), proof.jkt.clone()));
    }
    match provider.check_request(&form) {
        Ok(_) => {}
        Err(Refusal::Page(_)) => {
            return OauthError::invalid_request("client or redirect_uri are not registered").into_response();
        }
        Err(Refusal::Redirect(_)) => {
            return OauthError::invalid_request("malformed authorization request").into_response();
        }
    }
    let expires_at = provider.now() + PUSHED_LIFETIME_SECS;
    let uri = provider.grants().push_request(form, expires_at);
    provider.issued(&uri);
    let response = no_store((
        StatusCode::CREATED,
        Json(json!({ "request_uri": uri, "expires_in": PUSHED_LIFETIME_SECS })),
    ));
    with_nonce(response, proof.and_then(|proof| proof.next_nonce))
}

impl Provider {
    /// Checks an authorization request in the order that decides whether the client may be told.
    pub(crate) fn authorization_request(&self, params: Params) -> Result<AuthorizationRequest, Refusal> {
        match self.unfold_pushed(params)? {
            (params, Way::Pushed) => self.check_request(&params),
            (_, Way::Front) if self.settings().demands.pushed => {
                Err(Refusal::Page("This provider takes pushed requests only."))
            }
            (rest, Way::Front) => match self.unfold_request_object(rest.clone()) {
                Ok(params) => self.check_request(&params),
                Err((error, why)) => {
                    // Where the rest says where the client is, it is told.
                    let mut rest = rest;
                    rest.0.retain(|(name, _)| name != "request");
                    Err(self.refuse(&self.check_request(&rest)?.target, error, why))
                }
            },
        }
    }

    /// The same of one that is being pushed, or was.
    fn check_request(&self, params: &Params) -> Result<AuthorizationRequest, Refusal> {
        let page = |why| Refusal::Page(why);
        let client_id = params
            .one("client_id")
            .map_err(|_| page("The request names its client twice."))?
            .ok_or(page("The request does not name its client."))?;
        let client = self
            .client(client_id)
            .ok_or(page("No client with this client_id is registered."))?;
        let redirect_uri = params
            .one("redirect_uri")
            .map_err(|_| page("The request has two redirect URIs."))?
            .ok_or(page("The request has no redirect URI."))?;
        // To the letter (RFC 9700 §2.1).
        if !client.redirect_uris.iter().any(|uri| uri == redirect_uri) {
            return Err(page(
                "This redirect URI is not registered for the client, to the letter.",
            ));
        }
        let mut target = Target {
            client_id: client.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            state: params.all("state").next().map(str::to_owned),
            mode: ResponseMode::Query,
        };
        match params.all("response_mode").next() {
            None | Some("query") => {}
            Some("form_post") => target.mode = ResponseMode::FormPost,
            Some("query.jwt" | "jwt") => target.mode = ResponseMode::QueryJwt,
            Some("form_post.jwt") => target.mode = ResponseMode::FormPostJwt,
            Some(_) => {
                return Err(self.refuse(&target, "invalid_request", "unknown response_mode"));
            }
        }
        match self.checked(params, client.id, &target) {
            Ok(request) => Ok(request),
            Err((error, description)) => Err(self.refuse(&target, error, description)),
        }
    }

    /// The rest of the checks: the client is told what is wrong.
    fn checked(
        &self,
        params: &Params,
        client_id: String,
        target: &Target,
    ) -> Result<AuthorizationRequest, (&'static str, &'static str)> {
        let one = |name| {
            params
                .one(name)
                .map_err(|_| ("invalid_request", "a parameter is there twice"))
        };
        let list = |name| {
            params
                .words(name)
                .map_err(|_| ("invalid_request", "a parameter is there twice"))
        };
        one("state")?;
        one("response_mode")?;
        match one("response_type")? {
            Some("code") => {}
            Some(_) => return Err(("unsupported_response_type", "only code")),
            None => return Err(("invalid_request", "response_type is missing")),
        }
        let code_challenge =
            one("code_challenge")?.ok_or(("invalid_request", "code_challenge is missing (RFC 7636)"))?;
        if one("code_challenge_method")? != Some("S256") {
            return Err(("invalid_request", "code_challenge_method must be S256"));
        }
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_hash = |text: &str| text.len() == 43 && text.bytes().all(base64url);
        if !is_hash(code_challenge) {
            return Err(("invalid_request", "malformed code_challenge"));
        }
        let dpop_jkt = one("dpop_jkt")?.filter(|_| self.settings().dpop.is_known);
        if dpop_jkt.is_some_and(|jkt| !is_hash(jkt)) {
            return Err(("invalid_request", "malformed dpop_jkt"));
        }
        let prompt = list("prompt")?;
        if prompt.len() > 1 && prompt.iter().any(|word| word == "none") {
            return Err(("invalid_request", "prompt none goes with no other"));
        }
        let max_age = match one("max_age")? {
            None => None,
            Some(text) => match text.parse() {
                Ok(seconds) if seconds >= 0 => Some(seconds),
                _ => return Err(("invalid_request", "max_age is no number of seconds")),
            },
        };
        let details = one("authorization_details")?;
        let authorization_details = details_of(details)
            .ok_or(("invalid_authorization_details", "no array of objects with a type"))?;
        let withheld = self.settings().withheld_scopes.clone();
        let scope = list("scope")?
            .into_iter()
            .filter(|scope| self.knows_scope(scope) && !withheld.contains(scope))
            .collect();
        Ok(AuthorizationRequest {
            client_id,
            target: target.clone(),
            nonce: one("nonce")?.map(str::to_owned),
            scope,
            code_challenge: code_challenge.to_owned(),
            dpop_jkt: dpop_jkt.map(str::to_owned),
            prompt,
            max_age,
            login_hint: one("login_hint")?.map(str::to_owned),
            acr_values: list("acr_values")?,
            resource: params.all("resource").map(str::to_owned).collect(),
            authorization_details,
        })
    }

    /// Replaces a `request_uri` by what was pushed under it (RFC 9126 §4).
    fn unfold_pushed(&self, params: Params) -> Result<(Params, Way), Refusal> {
        let uri = match params.one("request_uri") {
            Ok(Some(uri)) => uri,
            Ok(None) => return Ok((params, Way::Front)),
            Err(_) => return Err(Refusal::Page("The request names two pushed requests.")),
        };
        let now = self.now();
        let pushed = self.grants().take_pushed(uri, now);
        match pushed {
            Some(pushed) if pushed.one("client_id").ok() == params.one("client_id").ok() => {
                Ok((pushed, Way::Pushed))
            }
            _ => Err(Refusal::Page(
                "This pushed request is unknown, expired or was used before.",
            )),
        }
    }

    /// The session that may answer without a page; `None` where somebody has to choose.
    pub(crate) fn without_asking(
        &self,
        request: &AuthorizationRequest,
        session: Option<&BrowserSession>,
    ) -> Result<Option<BrowserSession>, Refusal> {
        let prompt = |word: &str| request.prompt.iter().any(|p| p == word);
        let fit = session.filter(|session| {
            let age = self.now() - session.sign_on.auth_time;
            let young = request.max_age.is_none_or(|max_age| age <= max_age);
            // `max_age=0` is `prompt=login` (OIDC Core §3.1.2.1 note).
            let again = prompt("login") || request.max_age == Some(0);
            let acr = request.acr_values.is_empty() || request.acr_values.contains(&session.sign_on.acr);
            young && !again && acr
        });
        match fit {
            Some(session) if !prompt("consent") && !prompt("select_account") => Ok(Some(session.clone())),
            _ if prompt("none") => Err(self.refuse(
                &request.target,
                "login_required",
                "nobody is signed in at the provider",
            )),
            _ => Ok(None),
        }
    }

    /// A new sign-in of `user`, at the level that the request asks for first, unless a test wants it otherwise.
    pub(crate) fn sign_on(&self, request: &AuthorizationRequest, user: &User) -> BrowserSession {
        let (acr, age) = {
            let settings = self.settings();
            let age = i64::try_from(settings.sign_in_age.as_secs()).unwrap_or(i64::MAX);
            (settings.acr.clone(), age)
        };
        let acr = acr.or_else(|| request.acr_values.first().cloned());
        BrowserSession {
            sub: user.sub.clone(),
            sign_on: SignOn {
                sid: random::token(),
                auth_time: self.now().saturating_sub(age),
                acr: acr.unwrap_or_else(|| DEFAULT_ACR.to_owned()),
                amr: vec!["user".to_owned()],
            },
        }
    }

    /// The response with a code.
    pub(crate) fn approve(
        &self,
        request: &AuthorizationRequest,
        session: &BrowserSession,
    ) -> AuthorizationResponse {
        self.approve_grant(request, request.grant(session))
    }

    /// The response with a code for this grant.
    pub(crate) fn approve_grant(
        &self,
        request: &AuthorizationRequest,
        grant: Grant,
    ) -> AuthorizationResponse {
        let binding = CodeBinding {
            redirect_uri: request.target.redirect_uri.clone(),
            code_challenge: request.code_challenge.clone(),
            dpop_jkt: request.dpop_jkt.clone(),
        };
        let expires_at = self.now() + CODE_LIFETIME_SECS;
        let code = self.grants().issue_code(grant, binding, expires_at);
        self.issued(&code);
        self.respond(&request.target, vec![("code".to_owned(), code)])
    }

    /// The response of a user who does not want to.
    pub(crate) fn deny(&self, request: &AuthorizationRequest) -> AuthorizationResponse {
        let params = error_params("access_denied", "the user said no");
        self.respond(&request.target, params)
    }

    fn refuse(&self, target: &Target, error: &'static str, description: &'static str) -> Refusal {
        Refusal::Redirect(self.respond(target, error_params(error, description)))
    }

    /// Adds `state` and `iss` (RFC 9207), signs the whole where it is to be signed, and lets tests change the result.
    fn respond(&self, target: &Target, mut params: Vec<(String, String)>) -> AuthorizationResponse {
        if let Some(state) = &target.state {
            params.push(("state".to_owned(), state.clone()));
        }
        params.push(("iss".to_owned(), self.issuer.clone()));
        if matches!(target.mode, ResponseMode::QueryJwt | ResponseMode::FormPostJwt) {
            params = vec![("response".to_owned(), self.sign_response(target, params))];
        }
        let change = self.tampering().callback.clone();
        if let Some(change) = change {
            change(&mut params);
        }
        AuthorizationResponse {
            redirect_uri: target.redirect_uri.clone(),
            form_post: matches!(target.mode, ResponseMode::FormPost | ResponseMode::FormPostJwt),
            params,
        }
    }

    /// The response as a JSON Web Token (JARM §2.1).
    fn sign_response(&self, target: &Target, params: Vec<(String, String)>) -> String {
        let mut claims: Map<String, Value> = params
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect();
        claims.insert("aud".to_owned(), json!(target.client_id));
        claims.insert("exp".to_owned(), json!(self.now() + RESPONSE_LIFETIME_SECS));
        let key = self.keys().signing();
        let signature = Signature::Key(&key);
        let token = signature.sign(&signature.header("JWT"), &claims);
        self.issued(&token);
        token
    }

    fn sign_in_page(&self, request: &AuthorizationRequest) -> Markup {
        let transaction = self.transactions().open(request.clone());
        let hint = request.login_hint.as_deref();
        let hinted = |user: &User| hint == Some(&user.sub) || hint == Some(user.text("email"));
        let mut users: Vec<&User> = self.users.iter().map(AsRef::as_ref).collect();
        users.sort_by_key(|user| !hinted(user));
        pages::sign_in(&pages::SignIn {
            client: &request.client_id,
            scope: &request.scope,
            transaction: &transaction,
            users: &users,
            hinted: users.first().is_some_and(|user| hinted(user)),
        })
    }

    /// The browser's session at the provider.
    pub(crate) fn browser_session(&self, headers: &HeaderMap) -> Option<BrowserSession> {
        let id = self.session_cookie(headers)?;
        self.grants().session(&id).cloned()
    }

    pub(crate) fn session_cookie(&self, headers: &HeaderMap) -> Option<String> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie_name)
            .map(|(_, value)| value.to_owned())
    }
}

/// Authorization details (RFC 9396 §2); none where the parameter is missing.
fn details_of(text: Option<&str>) -> Option<Vec<Value>> {
    let Some(text) = text else {
        return Some(Vec::new());
    };
    let details: Vec<Value> = serde_json::from_str(text).ok()?;
    details
        .iter()
        .all(|detail| detail["type"].is_string())
        .then_some(details)
}

fn error_params(error: &str, description: &str) -> Vec<(String, String)> {
    vec![
        ("error".to_owned(), error.to_owned()),
        ("error_description".to_owned(), description.to_owned()),
    ]
}

/// Whether a form came from a page of the provider. Other sites can send forms to loopback ports too; callers that
/// are no browsers send neither header.
pub(crate) fn same_origin(provider: &Provider, headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN);
    let site = headers.get("sec-fetch-site");
    origin.is_none_or(|origin| origin.as_bytes() == provider.issuer.as_bytes())
        && site.is_none_or(|site| site == "same-origin" || site == "none")
}

impl AuthorizationResponse {
    /// The redirect URI with the response in its query.
    pub(crate) fn query_url(&self) -> String {
        match Url::parse(&self.redirect_uri) {
            Ok(mut url) => {
                url.query_pairs_mut().extend_pairs(&self.params);
                url.into()
            }
            Err(_) => self.redirect_uri.clone(),
        }
    }
}

impl IntoResponse for AuthorizationResponse {
    fn into_response(self) -> Response {
        if self.form_post {
            let nonce = random::token();
            let page = pages::form_post(&self.redirect_uri, &self.params, &nonce);
            let mut response = page_response(StatusCode::OK, page);
            let policy = format!(
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; \
                 base-uri 'none'; frame-ancestors 'none'"
            );
            if let Ok(policy) = HeaderValue::from_str(&policy) {
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            }
            return response;
        }
        // 303: the sign-in form was posted, the callback is a GET (RFC 9700 §4.12).
        no_store((StatusCode::SEE_OTHER, [(header::LOCATION, self.query_url())]))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Page(why) => page_response(StatusCode::BAD_REQUEST, pages::refusal(why)),
            Self::Redirect(response) => response.into_response(),
        }
    }
}

/// A page of the provider. Referrers are bare origins, because without any the forms' `Origin` would be `null`.
pub(crate) fn page_response(status: StatusCode, page: Markup) -> Response {
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "strict-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    no_store((status, headers, Html(page.into_string())))
}
