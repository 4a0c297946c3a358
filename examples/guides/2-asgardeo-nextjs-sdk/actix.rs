//! Guide 2 on actix-web: Asgardeo's Next.js SDK (`docs/guides/2-asgardeo-nextjs-sdk.md`).

mod profile;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Html, Path, Redirect};
use actix_web::{App, HttpServer, Responder};
use auth_actix::{Auth, AuthError, AuthExt, Gate, RequireAuth, SwitchSession, require};
use profile::Directory;

struct Site {
    auth: Auth,
    directory: Directory,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let auth = Auth::from_env().await?;
    let site = Data::new(Site {
        auth: auth.clone(),
        directory: Directory::from_env()?,
    });
    let app = move || {
        // `createRouteMatcher(["/dashboard(.*)"])` and `protectRoute()`
        let dashboard = web::scope("/dashboard")
            .route("", web::get().to(server_profile))
            .route("/session", web::get().to(session_id))
            .wrap(require(Gate::signed_in()));
        App::new()
            .app_data(site.clone())
            .route("/", web::get().to(async || Html::new(profile::home())))
            .service(dashboard)
            .route("/organizations/{id}", web::post().to(switch_organization))
            .configure(auth.routes())
            .wrap(auth.layer())
    };
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let server = HttpServer::new(app).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}

/// `getSessionId`
async fn session_id(user: RequireAuth) -> String {
    user.key().to_string()
}

async fn server_profile(site: Data<Site>, user: RequireAuth) -> Result<impl Responder, AuthError> {
    // `getAccessToken(sessionId)`: alive, or an error.
    let access_token = site.auth.access_token(&user).await?;
    Ok(match site.directory.user_details(&access_token).await {
        Ok(details) => (Html::new(profile::profile(&user, &details)), StatusCode::OK),
        Err(_) => (Html::new(profile::failed()), StatusCode::BAD_GATEWAY),
    })
}

async fn switch_organization(id: Path<String>, session: SwitchSession) -> Result<Redirect, AuthError> {
    session.switch(&profile::organization(id.into_inner())).await?;
    Ok(Redirect::to("/dashboard").see_other())
}
