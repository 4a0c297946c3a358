//! The README's few lines on actix-web: a page that needs a signed-in user and calls an API on their behalf.

use actix_web::{App, HttpServer, web};
use auth_actix::{Auth, AuthError, AuthExt, AuthenticatedClient, RequireAuth};
use serde_json::Value;

async fn profile(user: RequireAuth, api: AuthenticatedClient) -> Result<web::Json<Value>, AuthError> {
    println!("{} opens the profile", user.subject());
    let request = api.get("/scim2/Me").accept("application/scim+json");
    Ok(web::Json(request.send().await?.json().await?))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let auth = Auth::from_env().await?;
    let app = move || {
        App::new()
            .route("/profile", web::get().to(profile))
            .configure(auth.routes())
            .wrap(auth.layer())
    };
    Ok(HttpServer::new(app).bind("127.0.0.1:3001")?.run().await?)
}
