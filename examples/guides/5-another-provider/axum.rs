//! Guide 5 on axum: an API behind another provider (`docs/guides/5-another-provider.md`).

mod partner;

use auth_axum::{AuthBuilder, AuthError, AuthExt, AuthenticatedClient, Proxy};
use axum::{Router, extract::State, response::Html, routing::get};
use partner::Partner;
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let partner = Partner::from_env()?;
    let auth = partner.settings(AuthBuilder::from_env()?)?.build().await?;
    // What the page's own script asks the partner for, with the same token.
    let proxy = Proxy::to(&partner.api)?.exchanging(partner.exchange());
    let app = Router::new()
        .route("/", get(async || Html(partner::home())))
        .route("/orders", get(orders))
        .merge(auth.proxy("/proxy/partner", proxy))
        .merge(auth.routes())
        .layer(auth.layer())
        .with_state(partner);
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn orders(State(partner): State<Partner>, api: AuthenticatedClient) -> Result<Html<String>, AuthError> {
    let api = api.exchanging(partner.exchange()).at(&partner.api);
    let who: Value = api.get("/whoami").send().await?.json().await?;
    Ok(Html(partner::orders(&who)))
}
