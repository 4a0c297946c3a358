//! Guide 3 on actix-web: ThunderID's Node SDK (`docs/guides/3-thunderid-node-sdk.md`).

mod services;

use actix_web::web::{self, Data, Html, Json, Path, Redirect};
use actix_web::{App, HttpServer};
use auth_actix::{Auth, AuthError, AuthExt, AuthenticatedClient, RequireAuth, SwitchSession};
use serde_json::Value;

struct Site {
    auth: Auth,
    reports: String,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = Auth::from_env().await?;
    let site = Data::new(Site {
        auth: auth.clone(),
        reports: services::reports()?,
    });
    let app = move || {
        App::new()
            .app_data(site.clone())
            .route("/", web::get().to(async || Html::new(services::home())))
            .route("/profile", web::get().to(profile))
            .route("/dashboard", web::get().to(dashboard))
            .route("/report", web::get().to(report))
            .route("/account/{name}", web::post().to(switch_account))
            .route("/revoke", web::post().to(revoke))
            .configure(auth.routes())
            .wrap(auth.layer())
    };
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let server = HttpServer::new(app).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}

/// `requireAuth` is the extractor; `user.key()` is the `sessionId`.
async fn profile(site: Data<Site>, user: RequireAuth) -> Result<Json<Value>, AuthError> {
    Ok(Json(services::user_profile(&site.auth, &user.key()).await?))
}

async fn dashboard(api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    Ok(Json(services::dashboard(&api).await?))
}

async fn report(site: Data<Site>, api: AuthenticatedClient) -> Result<Json<Value>, AuthError> {
    Ok(Json(services::report(&api, &site.reports).await?))
}

async fn switch_account(name: Path<String>, session: SwitchSession) -> Result<Redirect, AuthError> {
    session
        .switch(&services::account_switch(name.into_inner()))
        .await?;
    Ok(Redirect::to("/profile").see_other())
}

/// `revokeAccessToken(sessionId)`. The session goes on with another token; where none can be had, it has ended.
async fn revoke(site: Data<Site>, user: RequireAuth) -> Result<Redirect, AuthError> {
    site.auth.revoke_access_token(&user).await?;
    Ok(Redirect::to("/").see_other())
}
