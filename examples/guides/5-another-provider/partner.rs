//! Guide 5: an API that takes the tokens of another provider. The same on both frameworks.

use auth_core::grants::{FurtherProvider, Presented, TokenExchange};
use auth_core::{AuthBuilder, ConfigError, env};
use maud::{DOCTYPE, html};
use serde_json::Value;

/// This application at the partner's provider, and the partner's API.
#[derive(Clone)]
pub(crate) struct Partner {
    pub(crate) api: String,
    audience: String,
}

impl Partner {
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        let (api, audience) = (setting("PARTNER_API_URL")?, setting("PARTNER_AUDIENCE")?);
        Ok(Self { api, audience })
    }

    /// The registration there is a second one, with an id and a secret of its own. `other_api` lets tokens go there.
    pub(crate) fn settings(&self, builder: AuthBuilder) -> Result<AuthBuilder, ConfigError> {
        let secret = setting("PARTNER_CLIENT_SECRET")?;
        let provider = FurtherProvider::issuer(setting("PARTNER_ISSUER")?)
            .client(setting("PARTNER_CLIENT_ID")?, Some(&secret));
        Ok(builder.further_provider("partner", provider).other_api(&self.api))
    }

    /// The user's ID token for an access token of the partner's (RFC 8693). Where the partner trusts access
    /// tokens instead, it is `Presented::SessionAccessToken`.
    pub(crate) fn exchange(&self) -> TokenExchange {
        let exchange = TokenExchange::new()
            .at("partner")
            .subject(Presented::SessionIdToken);
        exchange.audience(&self.audience)
    }
}

fn setting(name: &'static str) -> Result<String, ConfigError> {
    env::variable(name)?.ok_or(ConfigError::new(name, "must be set"))
}

pub(crate) fn home() -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { title { "Guide 5" } }
            body {
                p { a href="/orders" { "Orders, from the partner" } }
                form method="post" action="/auth/logout" { button { "Sign out" } }
            }
        }
    }
    .into_string()
}

pub(crate) fn orders(who: &Value) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { title { "Orders" } }
            body {
                p { "To the partner you are " (who["sub"].as_str().unwrap_or("nobody")) "." }
                p { "Who asks for you is " (who["act"]["sub"].as_str().unwrap_or("nobody")) "." }
            }
        }
    }
    .into_string()
}
