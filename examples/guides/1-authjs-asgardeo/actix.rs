//! Guide 1 on actix-web: Auth.js with Asgardeo (`docs/guides/1-authjs-asgardeo.md`).

mod auth;

use actix_web::web::{self, Html};
use actix_web::{App, HttpServer};
use auth_actix::{AuthBuilder, AuthError, AuthExt, AuthenticatedClient, Gate, Proxy, require};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = auth::callbacks(AuthBuilder::from_env()?).build().await?;
    let app = move || {
        // `withProtectedRoute`: whoever is not signed in goes to the index page.
        let protected = require(Gate::signed_in().or_redirect("/"));
        let client_profile = web::resource("/client-profile").get(async || Html::new(auth::CLIENT_PROFILE));
        App::new()
            .route("/", web::get().to(async || Html::new(auth::INDEX)))
            .route("/server-profile", web::get().to(server_profile))
            .service(client_profile.wrap(protected))
            .service(auth.proxy("/proxy/api", Proxy::to_api()))
            .configure(auth.routes())
            .wrap(auth.layer())
    };
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let server = HttpServer::new(app).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}

async fn server_profile(api: AuthenticatedClient) -> Result<Html, AuthError> {
    let details = auth::fetch_user_details(&api).await?;
    Ok(Html::new(auth::server_profile(&details)))
}
