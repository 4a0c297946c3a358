//! An application on actix-web that is made to be tested: its settings and its routes are functions, which `main` and the tests
//! in `tests/orders.rs` both call.

use std::time::Duration;

use actix_web::{guard, web};
use auth_actix::{
    Auth, AuthBuilder, AuthError, AuthExt, AuthenticatedClient, BearerGate, BearerToken, Gate, RequireAuth,
    ResourceServer, bearer_layer, require, require_bearer,
};
use serde_json::{Value, json};

/// What the application asks for, wherever its provider is.
pub fn settings(builder: AuthBuilder) -> AuthBuilder {
    builder
        .scopes("openid profile orders:read offline_access")
        .roles_claims(["groups"])
}

/// The application's routes. `server` checks the access tokens of programs.
pub fn routes(auth: &Auth, server: &ResourceServer) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let (own, server) = (auth.routes(), server.clone());
    move |config| {
        let clerks = require(Gate::signed_in().role("clerk"));
        let payers = require(Gate::signed_in().within(Duration::from_secs(300)));
        let programs = require_bearer(BearerGate::token().scope("stock:read"));
        let add = web::resource("/orders")
            .guard(guard::Post())
            .wrap(clerks)
            .to(add_order);
        let pay = web::resource("/payments")
            .guard(guard::Post())
            .wrap(payers)
            .to(pay);
        let stock = web::resource("/stock")
            .wrap(programs)
            .wrap(bearer_layer(server))
            .to(stock);
        config
            .service(add)
            .route("/orders", web::get().to(orders))
            .service(pay)
            .service(stock)
            .configure(own);
    }
}

/// The user's orders, from the API that has them.
async fn orders(user: RequireAuth, api: AuthenticatedClient) -> Result<web::Json<Value>, AuthError> {
    let orders: Value = api.get("/orders").send().await?.success().await?.json().await?;
    Ok(web::Json(json!({ "of": user.subject(), "orders": orders })))
}

async fn add_order(api: AuthenticatedClient, order: web::Json<Value>) -> Result<web::Json<Value>, AuthError> {
    let request = api.post("/orders").json(&*order);
    Ok(web::Json(request.send().await?.success().await?.json().await?))
}

async fn pay(user: RequireAuth) -> web::Json<Value> {
    web::Json(json!({ "paid_by": user.subject() }))
}

/// For programs, which come with access tokens.
async fn stock(token: BearerToken) -> web::Json<Value> {
    web::Json(json!({ "for": token.subject(), "gears": 12 }))
}
