//! The development provider on its own, for an application in any language:
//! `cargo run -p auth-testing --example provider -- http://localhost:8080/callback`
//!
//! The client is `dev-client`, without a secret. Ctrl-C stops it.

use std::error::Error;

use auth_testing::{Client, DevProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let redirect_uris = std::env::args().skip(1);
    let client = redirect_uris.fold(Client::public("dev-client"), Client::redirect_uri);
    let provider = DevProvider::builder()
        .address("127.0.0.1:9000".parse()?)
        .client(client)
        .start()
        .await?;
    println!("issuer     {}", provider.issuer());
    println!("client     {}", provider.client_id());
    println!("demo API   {}", provider.api_url());
    println!("second API {}", provider.api2_url());
    std::future::pending().await
}
