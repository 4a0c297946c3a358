//! Two demo APIs, each with its own audience, that check the access tokens they are shown.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};

use crate::control::Endpoint;
use crate::provider::Provider;
use crate::provider::dpop::{ProofSide, challenging_proofs, with_nonce};
use crate::provider::user::User;
use crate::provider::userinfo::{AccessToken, BearerError, is_dpop};
use crate::traffic::{Observer, observe};

/// The paths the APIs know. Each stands for what lies below it, too.
const ROUTES: [&str; 9] = [
    "/scim2/Me",
    "/users/me",
    "/organizations",
    "/api/appointments",
    "/machine",
    "/step-up",
    "/mail",
    "/whoami",
    "/echo",
];

/// A sign-in is fresh for so long at `/step-up`.
const FRESH_SECS: i64 = 60;
/// What `/step-up` asks for besides.
const STEP_UP_ACR: &str = "urn:auth-testing:acr:strong";

/// The route that `path` belongs to.
pub(crate) fn route(path: &str) -> &'static str {
    let below = |route: &str| {
        path.strip_prefix(route)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ROUTES.into_iter().find(|route| below(route)).unwrap_or("/")
}

/// The API for people's data: profile, organizations, appointments, mail.
pub(crate) fn first(provider: Arc<Provider>) -> Router {
    let audience = provider.api_url.clone();
    let classify = |path: &str| Some(Endpoint::Api(route(path)));
    let routes = Router::new()
        .route("/scim2/Me", get(scim_me))
        .route("/users/me", get(users_me))
        .route("/organizations", get(organizations))
        .route("/api/appointments", get(appointments))
        .route("/machine", get(machine))
        .route("/step-up", get(step_up))
        .route("/mail", get(mail))
        .route("/echo", any(echo))
        .route("/echo/{*rest}", any(echo));
    serve(provider, audience, ProofSide::Api, routes, classify)
}

/// The API for which tokens are exchanged.
pub(crate) fn second(provider: Arc<Provider>) -> Router {
    let audience = provider.api2_url.clone();
    let classify = |path: &str| Some(Endpoint::Api2(route(path)));
    let routes = Router::new().route("/whoami", get(whoami));
    serve(provider, audience, ProofSide::Api2, routes, classify)
}

#[derive(Clone)]
struct Api {
    provider: Arc<Provider>,
    audience: String,
    side: ProofSide,
}

fn serve(
    provider: Arc<Provider>,
    audience: String,
    side: ProofSide,
    routes: Router<Arc<Provider>>,
    classify: fn(&str) -> Option<Endpoint>,
) -> Router {
    let observer = Observer {
        traffic: Arc::clone(&provider.traffic),
        classify,
        read_body: false,
    };
    let api = Api {
        provider: Arc::clone(&provider),
        audience,
        side,
    };
    routes
        .with_state(provider)
        .layer(middleware::from_fn_with_state(api, demand_token))
        .layer(middleware::from_fn_with_state(observer, observe))
}

/// Lets requests with a good token for this API pass, with the token as an extension.
async fn demand_token(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let is_dpop = is_dpop(request.headers());
    let response = match api.check(&request) {
        Ok((token, nonce)) => {
            request.extensions_mut().insert(Arc::new(token));
            with_nonce(next.run(request).await, nonce)
        }
        Err((error, None)) => error.into_response(),
        Err((error, nonce)) => with_nonce(error.into_response(), nonce),
    };
    match is_dpop {
        true => challenging_proofs(response),
        false => response,
    }
}

impl Api {
    /// What the token says, or why it is refused; and the next nonce, where the proof was good.
    fn check(
        &self,
        request: &Request,
    ) -> Result<(AccessToken, Option<String>), (BearerError, Option<String>)> {
        // The address of the API is its audience.
        let url = format!("{}{}", self.audience, request.uri().path());
        let asked = (request.method().as_str(), url.as_str());
        let presented = self.provider.presented(request.headers(), asked, self.side);
        let (token, nonce) = presented.map_err(|error| (error, None))?;
        if !token.is_for(&self.audience) {
            return Err((BearerError::InvalidToken("meant for another audience"), nonce));
        }
        let mut settings = self.provider.settings();
        if settings.reject_next > 0 {
            settings.reject_next -= 1;
            return Err((BearerError::InvalidToken("refused on demand"), nonce));
        }
        Ok((token, nonce))
    }
}

type Token = axum::Extension<Arc<AccessToken>>;

/// The user a token stands for; machines have no profile.
fn user(provider: &Provider, token: &AccessToken) -> Result<Arc<User>, StatusCode> {
    provider.user(token.text("sub")).ok_or(StatusCode::NOT_FOUND)
}

/// RFC 7643 §4.1. Servers differ in how they write `emails`, so the demo users do.
async fn scim_me(
    State(provider): State<Arc<Provider>>,
    axum::Extension(token): Token,
) -> Result<Response, StatusCode> {
    let user = user(&provider, &token)?;
    let email = user.text("email");
    let emails = if user.scim_email_objects {
        json!([{ "value": email, "primary": true, "type": "work" }])
    } else {
        json!([email])
    };
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": user.sub,
        "userName": user.sub,
        "name": { "givenName": user.text("given_name"), "familyName": user.text("family_name") },
        "emails": emails,
    });
    let content_type = [(header::CONTENT_TYPE, "application/scim+json")];
    Ok((content_type, body.to_string()).into_response())
}

async fn users_me(
    State(provider): State<Arc<Provider>>,
    axum::Extension(token): Token,
) -> Result<Json<Value>, StatusCode> {
    let user = user(&provider, &token)?;
    Ok(Json(json!({
        "id": user.sub,
        "name": user.display_name(),
        "given_name": user.text("given_name"),
        "family_name": user.text("family_name"),
        "email": user.text("email"),
    })))
}

async fn organizations() -> Json<Value> {
    Json(json!([
        { "id": "org-1", "name": "Example Engineering", "members": 42 },
        { "id": "org-2", "name": "Friends of Loopback", "members": 127 },
    ]))
}

async fn appointments(axum::Extension(token): Token) -> Json<Value> {
    Json(json!([{ "with": "the dentist", "for": token.text("sub"), "at": "2030-01-02T09:30:00Z" }]))
}

/// For client-credentials tokens: those whose subject is the client (RFC 9068 §2.2).
async fn machine(axum::Extension(token): Token) -> Response {
    if token.text("sub") != token.text("client_id") {
        return (StatusCode::FORBIDDEN, "for machines only\n").into_response();
    }
    Json(json!({ "machine": token.text("client_id"), "scope": token.text("scope") })).into_response()
}

/// RFC 9470 §3.
async fn step_up(State(provider): State<Arc<Provider>>, axum::Extension(token): Token) -> Response {
    let age = token
        .number("auth_time")
        .map(|auth_time| provider.now() - auth_time);
    if age.is_some_and(|age| age <= FRESH_SECS) {
        return Json(json!({ "fresh": true, "acr": token.text("acr") })).into_response();
    }
    let challenge = format!(
        "Bearer error=\"insufficient_user_authentication\", \
         error_description=\"a fresh sign-in is required\", \
         acr_values=\"{STEP_UP_ACR}\", max_age=\"{FRESH_SECS}\""
    );
    let mut response = StatusCode::UNAUTHORIZED.into_response();
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn mail(axum::Extension(token): Token) -> Response {
    if !token.has_scope("mail.read") {
        return BearerError::InsufficientScope("mail.read").into_response();
    }
    Json(json!([{ "from": "carol@example.com", "subject": "Lunch?" }])).into_response()
}

async fn whoami(axum::Extension(token): Token) -> Json<Value> {
    let claim = |name: &str| token.claims.get(name).cloned().unwrap_or(Value::Null);
    Json(json!({
        "sub": claim("sub"),
        "act": claim("act"),
        "aud": claim("aud"),
        "client_id": claim("client_id"),
        "scope": claim("scope"),
    }))
}

/// Sends the body back as it comes in, and tells in headers what arrived: for tests of a forwarding proxy.
async fn echo(OriginalUri(uri): OriginalUri, request: Request) -> Response {
    let mut headers = HeaderMap::new();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    for (name, value) in [
        ("x-echo-method", request.method().as_str()),
        ("x-echo-target", target),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if let Some(content_type) = request.headers().get(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, content_type.clone());
    }
    (headers, request.into_body()).into_response()
}
