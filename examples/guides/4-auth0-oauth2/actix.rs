//! Guide 4 on actix-web: plain OAuth 2.0 with Auth0 (`docs/guides/4-auth0-oauth2.md`).

mod appointments;

use actix_web::web::{self, Html};
use actix_web::{App, HttpServer};
use auth_actix::{AuthError, AuthExt, AuthenticatedClient, Gate, PeekSession, RequireAuth, require};
use serde_json::Value;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = appointments::strategy()?.build().await?;
    let app = move || {
        let requires_login = require(Gate::signed_in().or_redirect("/"));
        let appointments = web::resource("/appointments").get(appointments);
        App::new()
            .route("/", web::get().to(home))
            .service(appointments.wrap(requires_login))
            .configure(auth.routes())
            .wrap(auth.layer())
    };
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let server = HttpServer::new(app).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}

async fn home(PeekSession(session): PeekSession) -> Html {
    Html::new(appointments::home(session.as_ref()))
}

async fn appointments(user: RequireAuth, api: AuthenticatedClient) -> Result<Html, AuthError> {
    let found: Value = api.get("/api/appointments").send().await?.json().await?;
    Ok(Html::new(appointments::appointments(&user, &found)))
}
