//! The development provider on its own, for an application in any language:
//! `cargo run -p auth-testing --example provider -- http://localhost:8080/callback`
//!
//! The client is `dev-client`, without a secret; its sign-out may come back to the root of each address. Ctrl-C stops it.

use std::error::Error;

use auth_testing::{Client, DevProvider};
use url::Url;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut client = Client::public("dev-client");
    for redirect_uri in std::env::args().skip(1) {
        let home = Url::parse(&redirect_uri)?.join("/")?;
        client = client.redirect_uri(redirect_uri).post_logout_redirect_uri(home);
    }
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
