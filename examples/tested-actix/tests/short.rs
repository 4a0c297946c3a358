//! The shortest application with a test, as the README has it.
#![allow(clippy::unwrap_used, reason = "tests")]

use actix_web::web::{self, ServiceConfig};
use auth_actix::{Auth, AuthExt, RequireAuth};

async fn orders(user: RequireAuth) -> String {
    format!("orders of {}", user.subject())
}

/// `main` makes `App::new().configure(routes(&auth)).wrap(auth.layer())` of it.
fn routes(auth: &Auth) -> impl FnOnce(&mut ServiceConfig) {
    let auth_routes = auth.routes();
    move |config| {
        config
            .route("/orders", web::get().to(orders))
            .configure(auth_routes);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service};
    use auth_actix::AuthExt;
    use auth_testing::TestAuth;

    #[actix_web::test]
    async fn orders_are_for_who_is_signed_in() {
        let auth = TestAuth::new().await;
        let handle = auth.auth();
        let app = App::new().configure(super::routes(&handle)).wrap(handle.layer());
        let app = init_service(app).await;
        let ada = auth.user("ada").signed_in().await;
        let request = TestRequest::get().uri("/orders").insert_header(ada.cookie());
        assert_eq!(call_service(&app, request.to_request()).await.status(), 200);
        let guest = TestRequest::get().uri("/orders");
        assert_eq!(call_service(&app, guest.to_request()).await.status(), 401);
    }
}
