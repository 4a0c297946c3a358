//! Provider metadata (OIDC Discovery 1.0, RFC 8414) and the key set.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::Provider;

/// The scopes the provider knows; it ignores others.
pub(crate) const SCOPES: [&str; 7] = [
    "openid",
    "profile",
    "email",
    "offline_access",
    "mail.read",
    "internal_login",
    "machine",
];

pub(crate) async fn document(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let issuer = &provider.issuer;
    let at = |path: &str| format!("{issuer}{path}");
    let methods = json!([
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "client_secret_jwt",
        "none"
    ]);
    let key_algorithms = json!(["RS256", "PS256", "ES256", "EdDSA"]);
    let assertion_algorithms = json!(["RS256", "PS256", "ES256", "EdDSA", "HS256"]);
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "revocation_endpoint": at("/revoke"),
        "introspection_endpoint": at("/introspect"),
        "end_session_endpoint": at("/end-session"),
        "pushed_authorization_request_endpoint": at("/par"),
        "require_pushed_authorization_requests": provider.settings().demands.pushed,
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post", "jwt", "query.jwt", "form_post.jwt"],
        "authorization_signing_alg_values_supported": provider.keys().algorithms(),
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            super::token::TOKEN_EXCHANGE,
            super::extension::JWT_BEARER,
            "organization_switch",
            "account_switch",
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": provider.keys().algorithms(),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": assertion_algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": assertion_algorithms,
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt"
        ],
        "introspection_endpoint_auth_signing_alg_values_supported": assertion_algorithms,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "acr", "amr", "sid", "at_hash", "name",
            "given_name", "family_name", "preferred_username", "email", "email_verified", "roles"
        ],
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": false,
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": key_algorithms,
        "require_signed_request_object": provider.settings().demands.signed,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
    });
    if provider.settings().dpop.is_known {
        document["dpop_signing_alg_values_supported"] = json!(super::dpop::ALGORITHMS);
    }
    let change = provider.tampering().discovery.clone();
    Json(changed(document, change))
}

pub(crate) async fn jwks(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let jwks = provider.keys().jwks();
    let change = provider.tampering().jwks.clone();
    Json(changed(jwks, change))
}

/// The object, after a test's change.
pub(crate) fn changed(json: Value, change: Option<super::ChangeJson>) -> Value {
    let mut object = match json {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    if let Some(change) = change {
        change(&mut object);
    }
    Value::Object(object)
}
