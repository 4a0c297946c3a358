//! The apps on axum.

use auth_axum::{AuthExt as _, Gate, MaybeAuth, RequireAuth, require};
use auth_core::Auth;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{MethodRouter, get};

use tower::util::MapRequestLayer;

use super::{Answer, Case, PATH};

pub(super) fn app(case: Case, auth: &Auth, answer: &Answer) -> Router {
    let with_auth = |route: MethodRouter| {
        Router::new()
            .route(PATH, route)
            .merge(auth.routes())
            .layer(auth.layer())
    };
    match case {
        Case::Bare => Router::new().route(PATH, get(ping)),
        Case::Layer => Router::new()
            .route(PATH, get(ping))
            .layer(MapRequestLayer::new(|request: Request| request)),
        Case::Public => with_auth(get(ping)),
        Case::Protected | Case::Anonymous => with_auth(get(protected_ping)),
        Case::Optional | Case::Guest => with_auth(get(optional_ping)),
        Case::Role => with_auth(get(ping).layer(require(Gate::signed_in().role("admin")))),
        Case::Scope => with_auth(get(ping).layer(require(Gate::signed_in().scope("profile")))),
        Case::Refusal => Router::new().route(PATH, refusal(answer)),
    }
}

async fn ping() -> &'static str {
    "pong"
}

async fn protected_ping(_user: RequireAuth) -> &'static str {
    "pong"
}

async fn optional_ping(MaybeAuth(_user): MaybeAuth) -> &'static str {
    "pong"
}

fn refusal(answer: &Answer) -> MethodRouter {
    let headers = answer.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    let (headers, body) = (headers.collect::<HeaderMap>(), answer.body.clone());
    get(async move || (StatusCode::UNAUTHORIZED, headers, body))
}
