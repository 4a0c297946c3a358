//! Settings: the environment, and the development provider where the environment names none.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use auth_core::bearer::ResourceServer;
use auth_core::{Auth, AuthBuilder, ConfigError, env};
use auth_testing::DevProvider;

use crate::audit;
use crate::metrics::Metrics;

/// How long the development provider's access tokens live: short, so that a newcomer sees one being refreshed.
const DEV_TOKEN_LIFETIME: Duration = Duration::from_secs(120);

/// What an application is made of once its settings are good.
#[derive(Debug)]
pub struct Setup {
    /// Sign-in, sessions and tokens.
    pub auth: Auth,
    /// The same application as an API that is called with access tokens.
    pub resource_server: ResourceServer,
    /// What carries the session identifier.
    pub carrier: Carrier,
    /// What `GET /metrics` shows.
    pub metrics: Metrics,
    /// The second API, reached by token exchange.
    pub second_api: SecondApi,
    /// What the home page says of the development provider, where it runs.
    pub dev: Option<DevInfo>,
    /// The development provider itself; it stops when this is dropped.
    pub provider: Option<DevProvider>,
}

/// What carries the session identifier: `APP_SESSION_CARRIER`, `cookie` or `framework`. An extra of the examples, so
/// that their tests run with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// The library's own cookie.
    #[default]
    Cookie,
    /// The framework's session layer.
    Framework,
}

/// The API that takes exchanged tokens.
#[derive(Clone, Debug, Default)]
pub struct SecondApi {
    /// Its base URL, `API2_URL`; empty where there is none.
    pub url: String,
    /// The audience of its tokens, `AUTH_EXCHANGE_AUDIENCE`; its URL where that is not set.
    pub audience: String,
}

/// The development provider as the home page shows it.
#[derive(Clone, Debug)]
pub struct DevInfo {
    /// Its address.
    pub address: String,
    /// The demo users: name, and a few words.
    pub users: Vec<(String, String)>,
}

/// Listens on `APP_ADDR`, or on `default`. By tokio's listener, before which a thousand connections may wait; before the
/// standard library's it is 128, and a burst of more costs browsers a second.
///
/// # Errors
///
/// [`ConfigError`] where that is no address or cannot be listened on.
pub async fn listen(default: &str) -> Result<TcpListener, ConfigError> {
    let text = env::variable("APP_ADDR")?.unwrap_or_else(|| default.to_owned());
    let address: SocketAddr = text
        .parse()
        .map_err(|_| ConfigError::new("APP_ADDR", "must be an address and a port, 127.0.0.1:3000"))?;
    let listener = tokio::net::TcpListener::bind(address).await;
    listener
        .and_then(|listener| listener.into_std())
        .map_err(|error| {
            ConfigError::new(
                "APP_ADDR",
                format!(
                    "cannot listen on {address}: {}; choose another port",
                    error.kind()
                ),
            )
        })
}

/// Reads the settings, starts the development provider where they name no other, and makes the [`Auth`].
///
/// # Errors
///
/// [`ConfigError`] for the first setting that is wrong or missing.
pub async fn setup(listener: &TcpListener) -> Result<Setup, ConfigError> {
    let mut builder = AuthBuilder::from_env()?
        .on_event(audit::write)
        // The same 401 for whatever is no `GET` of a browser.
        .problems_for_signed_out_forms();
    let carrier = match env::variable("APP_SESSION_CARRIER")?.as_deref() {
        None | Some("cookie") => Carrier::Cookie,
        Some("framework") => Carrier::Framework,
        Some(_) => {
            return Err(ConfigError::new(
                "APP_SESSION_CARRIER",
                "must be cookie or framework",
            ));
        }
    };
    let base_url = match env::variable("AUTH_BASE_URL")? {
        Some(url) => url,
        None => {
            let address = listener
                .local_addr()
                .map_err(|error| ConfigError::new("APP_ADDR", format!("cannot listen: {}", error.kind())))?;
            let url = format!("http://{address}");
            builder = builder.base_url(&url);
            url
        }
    };
    let provider = if env::names_a_provider()? {
        None
    } else {
        let further = env::variable("AUTH_FURTHER_BASE_URLS")?.unwrap_or_default();
        Some(start_provider(&base_url, &further).await?)
    };
    let mut second_api = SecondApi {
        url: env::variable("API2_URL")?.unwrap_or_default(),
        ..SecondApi::default()
    };
    if let Some(provider) = &provider {
        builder = builder
            .issuer(provider.issuer())
            .client(provider.client_id(), provider.client_secret());
        if env::variable("API_URL")?.is_none() {
            builder = builder.api(provider.api_url());
        }
        if second_api.url.is_empty() {
            builder = builder.other_api(provider.api2_url());
            provider.api2_url().clone_into(&mut second_api.url);
        }
        provider.api2_url().clone_into(&mut second_api.audience);
    }
    if let Some(audience) = env::variable("AUTH_EXCHANGE_AUDIENCE")? {
        second_api.audience = audience;
    }
    if second_api.audience.is_empty() {
        second_api.audience.clone_from(&second_api.url);
    }
    let metrics = Metrics::install();
    let auth = builder.build().await?;
    let resource_server = match env::variable("AUTH_BEARER_AUDIENCE")? {
        Some(audience) => auth.resource_server(audience),
        // As it was set, which may be with a slash at its end, and as browsers write it.
        None => auth.resource_server(auth.base_url()).audience(&base_url),
    };
    let resource_server = resource_server.build()?;
    let dev = provider.as_ref().map(|provider| DevInfo {
        address: provider.issuer().to_owned(),
        users: provider
            .users()
            .map(|(name, about)| (name.to_owned(), about.to_owned()))
            .collect(),
    });
    Ok(Setup {
        auth,
        resource_server,
        carrier,
        metrics,
        second_api,
        dev,
        provider,
    })
}

async fn start_provider(base_url: &str, further: &str) -> Result<DevProvider, ConfigError> {
    let further = further.split(',').map(str::trim).filter(|url| !url.is_empty());
    let mut provider = DevProvider::builder().access_token_lifetime(DEV_TOKEN_LIFETIME);
    for origin in further.chain([base_url]) {
        let origin = origin.trim_end_matches('/');
        provider = provider
            .redirect_uri(format!("{origin}/auth/callback"))
            .post_logout_redirect_uri(format!("{origin}/"));
    }
    provider.start().await.map_err(|_| {
        ConfigError::new(
            "AUTH_ISSUER",
            "the development provider cannot start; set it to a provider of your own",
        )
    })
}
