//! Runs the application with what the environment says.

use actix_web::{App, HttpServer};
use auth_actix::{AuthBuilder, AuthExt};
use tested_actix::{routes, settings};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let auth = settings(AuthBuilder::from_env()?).build().await?;
    let server = auth.resource_server(auth.base_url()).build()?;
    let app = move || App::new().configure(routes(&auth, &server)).wrap(auth.layer());
    Ok(HttpServer::new(app).bind("127.0.0.1:3001")?.run().await?)
}
