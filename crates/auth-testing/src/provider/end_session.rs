//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use url::Url;

use super::Provider;
use super::authorize::{page_response, same_origin};
use super::error::no_store;
use super::jwt::Unverified;
use crate::pages;
use crate::params::{Doubled, Params};

pub(crate) async fn get(
    State(provider): State<Arc<Provider>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    provider.end_session(&params, &headers, false)
}

pub(crate) async fn post(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let params = Params::parse(&body);
    let confirmed = params.all("confirmed").next().is_some() && same_origin(&provider, &headers);
    provider.end_session(&params, &headers, confirmed)
}

/// A valid logout request.
struct LogoutRequest {
    /// The claims of the ID token hint.
    hint: Option<Map<String, Value>>,
    /// Where to go afterwards, with `state`.
    target: Option<String>,
}

impl Provider {
    fn end_session(&self, params: &Params, headers: &HeaderMap, confirmed: bool) -> Response {
        let request = match self.logout_request(params) {
            Ok(request) => request,
            Err(why) => return page_response(StatusCode::BAD_REQUEST, pages::refusal(why)),
        };
        let session = self.browser_session(headers);
        let claim = |name: &str| {
            let hint = request.hint.as_ref()?;
            hint.get(name)?.as_str()
        };
        // Without a hint that names the one signed in here, any site could sign people out (§2).
        let meant = session
            .as_ref()
            .is_none_or(|session| claim("sub") == Some(session.sub.as_str()));
        if !meant && !confirmed {
            return page_response(StatusCode::OK, pages::confirm_sign_out(&params.0));
        }
        let cookie = self.session_cookie(headers);
        self.grants().end_sessions(cookie.as_deref(), claim("sid"));
        let mut response = match request.target {
            Some(target) => no_store((StatusCode::SEE_OTHER, [(header::LOCATION, target)])),
            None => page_response(StatusCode::OK, pages::signed_out()),
        };
        let gone = format!("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0", self.cookie_name);
        if let Ok(gone) = HeaderValue::from_str(&gone) {
            response.headers_mut().append(header::SET_COOKIE, gone);
        }
        response.into_response()
    }

    fn logout_request(&self, params: &Params) -> Result<LogoutRequest, &'static str> {
        let doubled = |_: Doubled| "A parameter is there twice.";
        let hint = match params.one("id_token_hint").map_err(doubled)? {
            None => None,
            Some(token) => Some(
                self.id_token_hint(token)
                    .ok_or("The ID token hint is not one of this provider's.")?,
            ),
        };
        let named = params.one("client_id").map_err(doubled)?;
        let of_hint = hint.as_ref().and_then(|claims| claims.get("aud")?.as_str());
        if let (Some(named), Some(of_hint)) = (named, of_hint)
            && named != of_hint
        {
            return Err("The ID token hint was issued to another client.");
        }
        let client = match named.or(of_hint) {
            None => None,
            Some(id) => Some(
                self.client(id)
                    .ok_or("No client with this client_id is registered.")?,
            ),
        };
        let target = match params.one("post_logout_redirect_uri").map_err(doubled)? {
            None => None,
            Some(uri) => {
                let registered =
                    client.is_some_and(|client| client.post_logout_redirect_uris.iter().any(|u| u == uri));
                if !registered {
                    return Err(
                        "This post_logout_redirect_uri is not registered for the client, to the letter.",
                    );
                }
                let mut url = Url::parse(uri).map_err(|_| "The redirect URI is malformed.")?;
                if let Some(state) = params.one("state").map_err(doubled)? {
                    url.query_pairs_mut().append_pair("state", state);
                }
                Some(url.into())
            }
        };
        Ok(LogoutRequest { hint, target })
    }

    /// The claims of an ID token this provider signed, however long ago (§4).
    fn id_token_hint(&self, token: &str) -> Option<Map<String, Value>> {
        let token = Unverified::parse(token)?;
        if !matches!(token.header("typ"), None | Some("JWT")) {
            return None;
        }
        let key = self.keys().ever_used(token.header("kid")?)?;
        let claims = token.verified_by(&key)?;
        (claims.get("iss")?.as_str()? == self.issuer).then_some(claims)
    }
}
