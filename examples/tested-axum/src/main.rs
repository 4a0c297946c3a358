//! Runs the application with what the environment says.

use auth_axum::AuthBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let auth = tested_axum::settings(AuthBuilder::from_env()?).build().await?;
    let app = tested_axum::app(&auth)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
