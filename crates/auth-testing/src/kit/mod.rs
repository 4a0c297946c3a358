//! Tests of an application's own handlers: an `Auth` without a network, and sessions in one line.

mod api;
mod browser;
mod session;
mod token;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth_core::bearer::{ResourceServer, ResourceServerBuilder};
use auth_core::clock::TestClock;
use auth_core::config::paths;
use auth_core::testing::Network;
use auth_core::{Auth, AuthBuilder, ConfigError, SecretKeys, SignInProvider};

use crate::control::Control;
use crate::provider::client::Client;
use crate::provider::keys::SigningAlgorithm;
use crate::provider::{Addresses, DevProvider};
use crate::random;
pub use api::{ApiAnswer, ApiRequest, TestApi};
use api::{Known, World};
pub use browser::Guest;
pub use session::{SessionBuilder, SignInError, TestSession};
pub use token::{TestToken, TokenBuilder};

/// The public origin of the application under test.
const BASE_URL: &str = "https://app.test";
/// The base of the URLs that handlers give [`AuthenticatedClient`](auth_core::client::AuthenticatedClient).
const API_URL: &str = "https://api.test";
const API2_URL: &str = "https://api2.test";
const CLIENT_ID: &str = "test-client";

/// An [`Auth`] for tests, with all that it talks to in the same process: a provider, APIs, a store, a clock that the test moves. No
/// port is opened, and no request of the library leaves the process but those that a [proxy](auth_core::proxy) forwards: test proxied
/// routes over HTTP.
///
/// Requests belong to the first of the application's origins; at [further ones](auth_core::AuthBuilder::further_base_url) nobody is
/// signed in here.
///
/// Sessions are made by the library's own routes, from the authorization request to the callback, at a provider that
/// checks and signs as a real one does. What a handler sees of them is what it sees in production, hooks and role mapping
/// included.
///
/// It works on whichever tokio runtime it is made: that of `#[tokio::test]`, `#[actix_web::test]`, also with paused time.
///
/// ```
/// use auth_testing::TestAuth;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = TestAuth::with(|settings| settings.roles_claims(["groups"])).await?;
/// let ada = auth.user("ada").roles(["admin"]).signed_in().await;
///
/// let session = ada.session().await?.ok_or("ada is signed in")?;
/// assert!(session.claims().has_role("admin"));
/// assert_eq!(session.claims().get("groups"), Some(&["admin"].as_slice().into()));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TestAuth(Arc<Inner>);

struct Inner {
    auth: Auth,
    clock: TestClock,
    world: Arc<World>,
    network: Network,
}

impl fmt::Debug for TestAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAuth")
            .field("auth", &self.0.auth)
            .finish_non_exhaustive()
    }
}

type Settings = Box<dyn FnOnce(AuthBuilder) -> AuthBuilder + Send>;

/// Settings of a [`TestAuth`]; see [`TestAuth::builder`].
#[must_use]
pub struct TestAuthBuilder {
    settings: Vec<Settings>,
    providers: Vec<(String, SignInProvider)>,
}

impl fmt::Debug for TestAuthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.providers.iter().map(|(name, _)| name).collect();
        f.debug_struct("TestAuthBuilder")
            .field("providers", &names)
            .finish_non_exhaustive()
    }
}

impl TestAuthBuilder {
    /// Changes the application's settings: its hooks, scopes, role mapping, APIs, store. Of several calls each changes what the
    /// one before has left.
    ///
    /// What the test needs is set already and is better left alone: provider, client and clock. `base_url` is
    /// `https://app.test`; the provider's own API, which relative URLs are for as long as the application names no other, is
    /// `https://api.test`.
    pub fn settings(mut self, change: impl FnOnce(AuthBuilder) -> AuthBuilder + Send + 'static) -> Self {
        self.settings.push(Box::new(change));
        self
    }

    /// Adds a provider under this name, as [`AuthBuilder::provider`]. Of its settings, issuer, client and API are the test's.
    /// Default: one provider without a name, which is not there as soon as one has a name.
    pub fn provider(mut self, name: impl Into<String>, settings: SignInProvider) -> Self {
        self.providers.push((name.into(), settings));
        self
    }

    /// Makes the [`TestAuth`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where the application's settings are wrong.
    pub async fn build(self) -> Result<TestAuth, ConfigError> {
        let clock = TestClock::new();
        let mut builder = Auth::builder().base_url(BASE_URL).secret(SecretKeys::random());
        let mut providers = Vec::new();
        if self.providers.is_empty() {
            let provider = start("provider.test".to_owned(), &clock);
            builder = builder
                .issuer(provider.issuer())
                .client(CLIENT_ID, provider.client_secret())
                .provider_api(API_URL);
            providers.push(Known { name: None, provider });
        }
        for (name, settings) in self.providers {
            // A host has neither capitals nor underscores.
            let host = format!("{}.provider.test", name.to_ascii_lowercase().replace('_', "-"));
            let provider = start(host, &clock);
            let settings = settings
                .issuer(provider.issuer())
                .client(CLIENT_ID, provider.client_secret())
                .provider_api(API_URL);
            builder = builder.provider(&name, settings);
            providers.push(Known {
                name: Some(name),
                provider,
            });
        }
        let world = Arc::new(World::new(providers));
        let network = {
            let (there, world) = (Arc::clone(&world), Arc::clone(&world));
            Network::new(
                move |uri| there.reaches(uri),
                move |request| {
                    let world = Arc::clone(&world);
                    async move { world.answer(request).await }
                },
            )
        };
        builder = builder.clock(clock.clock()).test_network(network.clone());
        for change in self.settings {
            builder = change(builder);
        }
        let auth = builder.build().await?;
        for Known { name, provider } in &world.providers {
            let path = name.as_ref().map_or_else(
                || paths::CALLBACK.to_owned(),
                |name| format!("{}/{name}", paths::CALLBACK),
            );
            let control = provider.control();
            control.add_redirect_uri(CLIENT_ID, &format!("{}{path}", auth.base_url()));
            control.add_post_logout_redirect_uri(CLIENT_ID, &format!("{}/", auth.base_url()));
        }
        Ok(TestAuth(Arc::new(Inner {
            auth,
            clock,
            world,
            network,
        })))
    }
}

fn start(host: String, clock: &TestClock) -> DevProvider {
    DevProvider::builder()
        .clock(clock.clock())
        .client(Client::confidential(CLIENT_ID, random::token()))
        // The quickest to make a key for.
        .signing_algorithm(SigningAlgorithm::Es256)
        .in_process(Addresses {
            issuer: format!("https://{host}"),
            cookie_name: "test-provider".to_owned(),
            api_url: API_URL.to_owned(),
            api2_url: API2_URL.to_owned(),
            any_scope: true,
        })
        .expect("key generation needs nothing but randomness")
}

impl TestAuth {
    /// A new one with the library's default settings, and one provider without a name.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn new() -> Self {
        let made = Self::builder().build().await;
        made.expect("the test's own settings are good")
    }

    /// A new one with the application's settings, as [`TestAuthBuilder::settings`].
    ///
    /// An application that keeps its settings in a function uses it both ways: `settings(AuthBuilder::from_env()?)` in
    /// production and `TestAuth::with(settings)` in tests.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where the settings are wrong.
    pub async fn with(
        settings: impl FnOnce(AuthBuilder) -> AuthBuilder + Send + 'static,
    ) -> Result<Self, ConfigError> {
        Self::builder().settings(settings).build().await
    }

    /// Begins one with more to set, such as several providers; [`build`](TestAuthBuilder::build) makes it.
    ///
    /// ```
    /// use auth_core::SignInProvider;
    /// use auth_testing::TestAuth;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let auth = TestAuth::builder()
    ///     .provider("acme", SignInProvider::default().roles_claims(["/realm_access/roles"]))
    ///     .provider("globex", SignInProvider::default())
    ///     .build()
    ///     .await?;
    /// let ada = auth.user("ada").provider("acme").roles(["admin"]).signed_in().await;
    /// # assert_eq!(ada.session().await?.ok_or("signed in")?.provider(), Some("acme"));
    /// # Ok(()) }
    /// ```
    pub fn builder() -> TestAuthBuilder {
        TestAuthBuilder {
            settings: Vec::new(),
            providers: Vec::new(),
        }
    }

    /// The handle that the application is made with, as in production.
    #[must_use]
    pub fn auth(&self) -> Auth {
        self.0.auth.clone()
    }

    /// Begins the session of a user with this `sub`; [`signed_in`](SessionBuilder::signed_in) makes it.
    pub fn user(&self, subject: impl Into<String>) -> SessionBuilder<'_> {
        SessionBuilder::new(self, subject.into())
    }

    /// A browser of somebody who is not signed in.
    #[must_use]
    pub fn guest(&self) -> Guest {
        Guest::new(self.0.auth.base_url())
    }

    /// Begins an access token of a user with this `sub`, for requests to an API of the application's own; no session belongs to
    /// it. [`issue`](TokenBuilder::issue) makes it.
    pub fn token(&self, subject: impl Into<String>) -> TokenBuilder<'_> {
        TokenBuilder::new(self, subject.into())
    }

    /// Begins a [`ResourceServer`] that trusts the test's provider, for an API without sessions: what is left to say is its
    /// audience. An application with sessions has [`Auth::resource_server`].
    pub fn resource_server(&self) -> ResourceServerBuilder {
        ResourceServer::builder()
            .issuer(self.provider().provider.issuer.clone())
            .clock(self.0.clock.clock())
            .test_network(self.0.network.clone())
    }

    /// The provider that users sign in with: its faults, settings and counts. Of several, the first.
    ///
    /// ```
    /// use auth_testing::{Endpoint, Fault, TestAuth};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let auth = TestAuth::new().await;
    /// let ada = auth.user("ada").access_token_expired().signed_in().await;
    /// auth.provider().fail(Endpoint::Token, Fault::status(503));
    /// // A handler that asks for `RequireAuth` now answers 503, and ada stays signed in.
    /// # }
    /// ```
    ///
    /// There are no connections here: whatever would break one off is one broken connection, and
    /// [`Fault::Wire`](crate::Fault::Wire) writes nothing. A provider that [is down](Control::go_down) cannot be reached.
    #[must_use]
    pub fn provider(&self) -> &Control {
        // There is one at least: without a name, or those with names.
        self.0.world.providers[0].provider.control()
    }

    /// The provider of this name ([`TestAuthBuilder::provider`]); `None` where none has it.
    #[must_use]
    pub fn provider_named(&self, name: &str) -> Option<&Control> {
        let known = self.known(Some(name))?;
        Some(known.provider.control())
    }

    /// The API at `https://api.test`. What [`TestApi::on`] does not say, the demo API answers (`/scim2/Me`, `/users/me`, …), with
    /// the faults and counts that [`Control`] has for it.
    #[must_use]
    pub fn api(&self) -> TestApi {
        self.api_at(API_URL)
    }

    /// An API at another origin, such as one that the settings name by [`AuthBuilder::api`]. It can be reached from now on, and
    /// answers 404 to what [`TestApi::on`] does not say.
    #[must_use]
    pub fn api_at(&self, origin: &str) -> TestApi {
        TestApi::new(&self.0.world, origin)
    }

    /// The clock of the application and its providers. It starts at the present and stands still until the test moves it.
    #[must_use]
    pub fn clock(&self) -> &TestClock {
        &self.0.clock
    }

    /// Moves the [clock](Self::clock) on by `length`, in whole milliseconds.
    pub fn advance(&self, length: Duration) {
        self.0.clock.advance(length);
    }

    /// The provider of this name; without a name, the first.
    fn known(&self, name: Option<&str>) -> Option<&Known> {
        let providers = &self.0.world.providers;
        match name {
            None => providers.first(),
            name => providers.iter().find(|known| known.name.as_deref() == name),
        }
    }
}
