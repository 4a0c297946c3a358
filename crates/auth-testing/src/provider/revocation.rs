//! Token revocation (RFC 7009) and introspection (RFC 7662).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Provider;
use super::client::{Authentication, Client};
use super::discovery::changed;
use super::error::{OauthError, no_store};
use super::jwt::Unverified;
use crate::params::Params;

pub(crate) async fn revoke(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match provider.revoke_token(&headers, &Params::parse(&body)) {
        Ok(()) => no_store(StatusCode::OK),
        Err(error) => error.into_response(),
    }
}

pub(crate) async fn introspect(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match provider.introspection(&headers, &Params::parse(&body)) {
        Ok(answer) => {
            let change = provider.tampering().introspection.clone();
            no_store(Json(changed(answer, change)))
        }
        Err(error) => error.into_response(),
    }
}

impl Provider {
    /// Revokes a refresh token with all that came of its grant, or one access token. An unknown token is none of
    /// the client's concern and counts as revoked (RFC 7009 §2.2); the hint is not needed.
    fn revoke_token(&self, headers: &HeaderMap, form: &Params) -> Result<(), OauthError> {
        let client = self.authenticate(headers, form)?;
        let token = token_of(form)?;
        let mut grants = self.grants();
        let refresh = grants.look_up_refresh_token(token);
        if let Some((id, owner)) = refresh.map(|(id, grant, _)| (id, grant.client_id.clone())) {
            owned(&client, &owner)?;
            grants.revoke(id);
            return Ok(());
        }
        let jti = Unverified::parse(&self.plain(token))
            .and_then(|token| Some(token.claims.get("jti")?.as_str()?.to_owned()));
        if let Some(jti) = jti
            && let Some(owner) = grants.access_token_client(&jti)
        {
            owned(&client, owner)?;
            grants.revoke_access_token(&jti);
        }
        Ok(())
    }

    fn introspection(&self, headers: &HeaderMap, form: &Params) -> Result<Value, OauthError> {
        let client = self.authenticate(headers, form)?;
        // Otherwise anyone could ask about any token (RFC 7662 §2.1).
        if matches!(client.authentication, Authentication::None) {
            return Err(OauthError::invalid_client("a public client may not ask"));
        }
        let token = token_of(form)?;
        if let Some((_, grant, active)) = self.grants().look_up_refresh_token(token) {
            return Ok(if active && grant.client_id == client.id {
                json!({
                    "active": true,
                    "sub": grant.sub,
                    "client_id": grant.client_id,
                    "scope": grant.scope.join(" "),
                    "iss": self.issuer,
                })
            } else {
                json!({ "active": false })
            });
        }
        Ok(match self.access_token(&self.plain(token)) {
            Ok(token) => {
                let mut answer = Value::Object(token.claims);
                answer["active"] = json!(true);
                let is_bound = answer["cnf"]["jkt"].is_string();
                answer["token_type"] = json!(if is_bound { "DPoP" } else { "Bearer" });
                if let Some(user) = answer["sub"].as_str().and_then(|sub| self.user(sub)) {
                    answer["username"] = json!(user.sub);
                }
                answer
            }
            Err(_) => json!({ "active": false }),
        })
    }
}

fn token_of(form: &Params) -> Result<&str, OauthError> {
    form.one("token")?
        .ok_or(OauthError::invalid_request("token is missing"))
}

fn owned(client: &Client, owner: &str) -> Result<(), OauthError> {
    if client.id == owner {
        Ok(())
    } else {
        Err(OauthError::new(
            "unauthorized_client",
            "the token was issued to another client",
        ))
    }
}
