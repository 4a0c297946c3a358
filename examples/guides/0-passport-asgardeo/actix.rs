//! Guide 0 on actix-web: Passport with Asgardeo (`docs/guides/0-passport-asgardeo.md`).

mod user;

use actix_web::web::{self, Html};
use actix_web::{App, HttpServer};
use auth_actix::{AuthBuilder, AuthError, AuthExt, AuthenticatedClient, PeekSession, RequireAuth};
use serde_json::Value;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = AuthBuilder::from_env()?.on_sign_in(user::verify).build().await?;
    let app = move || {
        App::new()
            .route("/", web::get().to(home))
            .route("/users", web::get().to(users))
            .configure(auth.routes())
            .wrap(auth.layer())
    };
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let server = HttpServer::new(app).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}

async fn home(PeekSession(session): PeekSession) -> Html {
    Html::new(user::home(session.as_ref()))
}

/// `RequireAuth` is `ensureLoggedIn`: a browser is sent to sign in, and comes back to this page.
async fn users(user: RequireAuth, api: AuthenticatedClient) -> Result<Html, AuthError> {
    let request = api.get("/scim2/Me").accept("application/scim+json");
    let me: Value = request.send().await?.json().await?;
    Ok(Html::new(user::users(&user, &me)))
}
