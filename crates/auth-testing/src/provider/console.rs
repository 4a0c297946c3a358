//! The page for people at `/`: break the provider on purpose and watch the application.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Provider;
use super::authorize::{page_response, same_origin};
use super::error::no_store;
use super::keys::OldKeys;
use crate::control::{Endpoint, Fault};
use crate::pages;
use crate::params::Params;

/// How late a slow token endpoint answers.
const SLOW: Duration = Duration::from_secs(3);
/// The lifetimes of access tokens to choose from, in seconds.
pub(crate) const LIFETIMES: [u64; 4] = [10, 30, 300, 3600];

pub(crate) async fn show(State(provider): State<Arc<Provider>>) -> Response {
    let lifetime = provider.settings().access_token_lifetime;
    let page = pages::console(&pages::Console {
        issuer: &provider.issuer,
        api_url: &provider.api_url,
        api2_url: &provider.api2_url,
        users: &provider.users,
        out_of_order: provider.traffic.has_fault(Endpoint::Token),
        lifetime_secs: lifetime.as_secs(),
        token_requests: provider.traffic.count(Endpoint::Token),
        refreshes: provider.traffic.refresh_count(),
        reuses: provider.grants().reuse_count(),
    });
    page_response(StatusCode::OK, page)
}

pub(crate) async fn act(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    if !same_origin(&provider, &headers) {
        let page = pages::refusal("This form was sent from another site.");
        return page_response(StatusCode::FORBIDDEN, page);
    }
    let form = Params::parse(&body);
    let value = |name| form.one(name).ok().flatten();
    let lifetime = value("lifetime").and_then(|text| text.parse().ok());
    match (value("do"), lifetime) {
        (Some("down"), _) => replace_fault(&provider, Fault::status(503)),
        (Some("slow"), _) => replace_fault(&provider, Fault::Delay(SLOW)),
        (Some("well"), _) => provider.traffic.clear(Endpoint::Token),
        (Some("keys"), _) => provider.rotate_keys(OldKeys::Keep),
        (Some("end"), _) => provider.grants().kill_refresh_tokens(),
        (None, Some(seconds)) if LIFETIMES.contains(&seconds) => {
            provider.settings().access_token_lifetime = Duration::from_secs(seconds);
        }
        _ => {
            let page = pages::refusal("The page does not know this button.");
            return page_response(StatusCode::BAD_REQUEST, page);
        }
    }
    no_store((StatusCode::SEE_OTHER, [(header::LOCATION, "/")])).into_response()
}

fn replace_fault(provider: &Provider, fault: Fault) {
    provider.traffic.clear(Endpoint::Token);
    provider.traffic.fail(Endpoint::Token, fault, None);
}
