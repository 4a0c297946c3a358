//! Something to try the guides with: the development provider and a partner that trusts it, on free loopback ports.
//!
//! It prints the settings of all guides as lines for a shell, and runs until Ctrl-C.

use auth_testing::{Client, DevProvider};

const APP: &str = "http://127.0.0.1:3000";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider = DevProvider::builder()
        .redirect_uri(format!("{APP}/auth/callback"))
        .post_logout_redirect_uri(format!("{APP}/"))
        .start()
        .await?;
    let partner = DevProvider::builder()
        .client(Client::confidential("we-there", "a secret"))
        .start()
        .await?;
    partner.control().trust(&provider);
    let issuer = provider.issuer();
    let mut settings = vec![
        ("AUTH_BASE_URL", APP.to_owned()),
        ("AUTH_CLIENT_ID", provider.client_id().to_owned()),
        (
            "AUTH_CLIENT_SECRET",
            provider.client_secret().unwrap_or_default().to_owned(),
        ),
        (
            "AUTH_SCOPES",
            "openid profile email internal_login offline_access".to_owned(),
        ),
        ("API_URL", provider.api_url().to_owned()),
    ];
    match std::env::args().nth(1).as_deref() {
        // Guide 4 has no discovery.
        Some("4") => settings.extend([
            ("AUTH_AUTHORIZATION_URL", format!("{issuer}/authorize")),
            ("AUTH_TOKEN_URL", format!("{issuer}/token")),
            ("AUTH_REVOCATION_URL", format!("{issuer}/revoke")),
            ("TOKEN_ISSUER", issuer.to_owned()),
            ("TOKEN_KEYS", format!("{issuer}/jwks")),
            ("TOKEN_AUDIENCE", provider.api_url().to_owned()),
        ]),
        _ => settings.extend([
            ("AUTH_ISSUER", issuer.to_owned()),
            ("ME_ENDPOINT", format!("{}/scim2/Me", provider.api_url())),
            ("API2_URL", provider.api2_url().to_owned()),
            ("PARTNER_ISSUER", partner.issuer().to_owned()),
            ("PARTNER_CLIENT_ID", "we-there".to_owned()),
            ("PARTNER_CLIENT_SECRET", "a secret".to_owned()),
            ("PARTNER_API_URL", partner.api2_url().to_owned()),
            ("PARTNER_AUDIENCE", partner.api2_url().to_owned()),
        ]),
    }
    for (name, value) in settings {
        println!("export {name}='{value}'");
    }
    Ok(tokio::signal::ctrl_c().await?)
}
