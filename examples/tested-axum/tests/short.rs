//! The shortest application with a test, as the README has it.
#![allow(clippy::unwrap_used, reason = "tests")]

use auth_axum::{Auth, AuthExt, RequireAuth};
use axum::{Router, routing::get};

async fn orders(user: RequireAuth) -> String {
    format!("orders of {}", user.subject())
}

fn app(auth: &Auth) -> Router {
    Router::new()
        .route("/orders", get(orders))
        .merge(auth.routes())
        .layer(auth.layer())
}

#[cfg(test)]
mod tests {
    use auth_testing::TestAuth;
    use tower::ServiceExt;

    #[tokio::test]
    async fn orders_are_for_who_is_signed_in() {
        let auth = TestAuth::new().await;
        let app = super::app(&auth.auth());
        let ada = auth.user("ada").signed_in().await;
        assert_eq!(
            app.clone().oneshot(ada.get("/orders")).await.unwrap().status(),
            200
        );
        assert_eq!(
            app.oneshot(auth.guest().get("/orders")).await.unwrap().status(),
            401
        );
    }
}
