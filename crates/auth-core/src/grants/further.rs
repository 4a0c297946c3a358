//! Providers besides the one that users sign in with: for APIs that take another one's tokens.

use std::fmt;

use crate::clock::Clock;
#[cfg(doc)]
use crate::config::AuthBuilder;
use crate::config::{ClientAuthMethod, ConfigError};
use crate::http::ProviderHttp;
use crate::origins::Origins;
use crate::party::{Party, SignInProvider};
use crate::provider_clock::ProviderClock;

/// This application's registration at a provider that nobody signs in with, for
/// [exchanges](crate::grants::TokenExchange::at) and [other grants](crate::grants::CustomGrant::at) there: an API behind it
/// takes its tokens only. The rules for addresses are those of the main provider: https, or http to loopback.
///
/// # Example
///
/// ```
/// use auth_core::{Auth, grants::FurtherProvider};
///
/// let builder = Auth::builder().further_provider(
///     "partner",
///     FurtherProvider::issuer("https://id.partner.example").client("our-id-there", Some("its secret")),
/// );
/// ```
#[derive(Clone)]
#[must_use]
pub struct FurtherProvider(SignInProvider);

impl fmt::Debug for FurtherProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FurtherProvider").field(&self.0).finish()
    }
}

impl FurtherProvider {
    /// A provider with a discovery document, fetched when first needed and kept for an hour.
    pub fn issuer(issuer: impl Into<String>) -> Self {
        Self(SignInProvider::default().issuer(issuer))
    }

    /// A provider without one, by its token endpoint. It takes client assertions for that address.
    pub fn token_endpoint(url: impl Into<String>) -> Self {
        let url = url.into();
        // There is no authorization endpoint to name, and nobody is sent to one.
        Self(SignInProvider::default().endpoints(url.clone(), url))
    }

    /// The client's registration there: its id, and its secret if it has one.
    pub fn client(self, id: impl Into<String>, secret: Option<&str>) -> Self {
        Self(self.0.client(id, secret))
    }

    /// How the client authenticates there. Default: `client_secret_basic`, or `none` without a secret.
    pub fn client_auth(self, method: ClientAuthMethod) -> Self {
        Self(self.0.client_auth(method))
    }

    /// The private key for `private_key_jwt`, as [`AuthBuilder::client_key_pem`].
    pub fn client_key_pem(self, pem: &str) -> Self {
        Self(self.0.client_key_pem(pem))
    }

    /// Binds the tokens that are asked for there to a key, as [`AuthBuilder::dpop`]: the session's, where it has one. Default:
    /// they are bearer tokens.
    pub fn dpop(self) -> Self {
        Self(self.0.dpop())
    }

    /// The client's certificate, for `tls_client_auth` and `self_signed_tls_client_auth` there, as
    /// [`AuthBuilder::client_certificate_pem`].
    pub fn client_certificate_pem(self, chain: &str, key: &str) -> Self {
        Self(self.0.client_certificate_pem(chain, key))
    }

    /// Has that provider's access tokens bound to the certificate, as [`AuthBuilder::certificate_bound_tokens`].
    pub fn certificate_bound_tokens(self) -> Self {
        Self(self.0.certificate_bound_tokens())
    }

    pub(crate) fn check(
        self,
        name: &str,
        origins: &Origins,
        http: &ProviderHttp,
        clock: &Clock,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Party, ConfigError> {
        let checked = self.0.check().map(|mut checked| {
            // Nobody signs in there.
            checked.config.overrides.needs_algorithms = false;
            checked
        });
        let clock = ProviderClock::configured(Some(name.to_owned()), clock.clone());
        let party = checked.and_then(|checked| Party::new(None, checked, origins, http, clock, runtime));
        party.map_err(|error| {
            ConfigError::new(
                format!("further_provider(\"{}\")", name.escape_default()),
                error.to_string(),
            )
        })
    }
}
