//! Guide 5 on actix-web: an API behind another provider (`docs/guides/5-another-provider.md`).

mod partner;

use actix_web::web::{self, Data, Html};
use actix_web::{App, HttpServer};
use auth_actix::{AuthBuilder, AuthError, AuthExt, AuthenticatedClient, Proxy};
use partner::Partner;
use serde_json::Value;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let partner = Partner::from_env()?;
    let auth = partner.settings(AuthBuilder::from_env()?)?.build().await?;
    // What the page's own script asks the partner for, with the same token.
    let proxy = Proxy::to(&partner.api)?.exchanging(partner.exchange());
    let partner = Data::new(partner);
    let app = move || {
        App::new()
            .app_data(partner.clone())
            .route("/", web::get().to(async || Html::new(partner::home())))
            .route("/orders", web::get().to(orders))
            .service(auth.proxy("/proxy/partner", proxy.clone()))
            .configure(auth.routes())
            .wrap(auth.layer())
    };
    let address = std::env::var("APP_ADDR").unwrap_or("127.0.0.1:3000".to_owned());
    let server = HttpServer::new(app).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}

async fn orders(partner: Data<Partner>, api: AuthenticatedClient) -> Result<Html, AuthError> {
    let api = api.exchanging(partner.exchange()).at(&partner.api);
    let who: Value = api.get("/whoami").send().await?.json().await?;
    Ok(Html::new(partner::orders(&who)))
}
