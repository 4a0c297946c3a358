//! An application on axum that is made to be tested: its settings and its router are functions, which `main` and the tests in
//! `tests/orders.rs` both call.

use std::time::Duration;

use auth_axum::{
    Auth, AuthBuilder, AuthError, AuthExt, AuthenticatedClient, BearerGate, BearerToken, ConfigError, Gate,
    RequireAuth, bearer_layer, require, require_bearer,
};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

/// What the application asks for, wherever its provider is.
pub fn settings(builder: AuthBuilder) -> AuthBuilder {
    builder
        .scopes("openid profile orders:read offline_access")
        .roles_claims(["groups"])
}

/// The application.
///
/// # Errors
///
/// [`ConfigError`] where the settings are wrong.
pub fn app(auth: &Auth) -> Result<Router, ConfigError> {
    let clerks = require(Gate::signed_in().role("clerk"));
    let payers = require(Gate::signed_in().within(Duration::from_secs(300)));
    let programs = require_bearer(BearerGate::token().scope("stock:read"));
    let server = auth.resource_server(auth.base_url()).build()?;
    Ok(Router::new()
        .route("/orders", get(orders).merge(post(add_order).route_layer(clerks)))
        .route("/payments", post(pay).route_layer(payers))
        .merge(auth.routes())
        .layer(auth.layer())
        .route(
            "/stock",
            get(stock).route_layer(programs).layer(bearer_layer(server)),
        ))
}

/// The user's orders, from the API that has them.
async fn orders(user: RequireAuth, api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    let orders: Value = api.get("/orders").send().await?.success().await?.json().await?;
    Ok(Json(json!({ "of": user.subject(), "orders": orders })))
}

async fn add_order(api: AuthenticatedClient, Json(order): Json<Value>) -> Result<Json<Value>, AuthError> {
    let request = api.post("/orders").json(&order);
    Ok(Json(request.send().await?.success().await?.json().await?))
}

async fn pay(user: RequireAuth) -> Json<Value> {
    Json(json!({ "paid_by": user.subject() }))
}

/// For programs, which come with access tokens.
async fn stock(token: BearerToken) -> Json<Value> {
    Json(json!({ "for": token.subject(), "gears": 12 }))
}
