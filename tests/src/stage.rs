//! A stage for one test: the development provider in this process, an application as another, and browsers.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use auth_testing::{Client, DevProvider, DevProviderBuilder};
use url::Url;

use crate::answer::Answer;
use crate::app::{App, Framework};
use crate::browser::{Browser, Site};
use crate::evidence::Evidence;
use crate::leaks::Kind;

/// The public origin that applications have in most tests.
pub const BASE: &str = "http://127.0.0.1:3000";

/// The public origin for tests about https.
pub const HTTPS_BASE: &str = "https://app.example.com";

/// The client id registered with the development provider.
pub const CLIENT_ID: &str = "behaviour-tests";

/// Its secret: characters that mean something in a form, in a URL and in Basic credentials.
pub const CLIENT_SECRET: &str = "s&cret+1:%25 /=~not-for-the-logs";

/// `AUTH_SECRET` of the applications.
pub const SECRET: &str = "8f1d2c3b4a5968778695a4b3c2d1e0f08f1d2c3b4a5968778695a4b3c2d1e0f1";

/// Who carries the session identifier: the library's own cookie, or the session layer the application has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The library's cookie.
    Cookie,
    /// tower-sessions or actix-session.
    Framework,
}

/// One test's surroundings. Clones are the same stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The application under test.
    pub framework: Framework,
    /// How it carries the session.
    pub carrier: Carrier,
    evidence: Evidence,
}

/// Provider, application and browser, ready to use.
#[derive(Debug)]
pub struct World {
    /// The development provider with its demo APIs.
    pub provider: DevProvider,
    /// The application's process.
    pub app: App,
    /// A browser without cookies.
    pub browser: Browser,
}

/// An application's environment.
#[derive(Clone, Debug, Default)]
pub struct Environment(pub(crate) Vec<(String, String)>);

impl Environment {
    /// Sets a variable, in place of an earlier value.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self = self.unset(name);
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// Leaves a variable out.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.0.retain(|(old, _)| old != name);
        self
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(old, _)| old == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Stage {
    /// Runs a case on a new stage. Afterwards, nothing secret may stand in what any application printed, at the highest log level, in what it
    /// answered, or where it does not belong in what it sent.
    pub async fn run<F: Future<Output = ()>>(
        framework: Framework,
        carrier: Carrier,
        case: impl FnOnce(Self) -> F,
    ) {
        let stage = Self::new(framework, carrier);
        case(stage.clone()).await;
        stage.assert_nothing_leaked();
    }

    /// A stage without a case of its own.
    #[must_use]
    pub fn new(framework: Framework, carrier: Carrier) -> Self {
        Self {
            framework,
            carrier,
            evidence: Evidence::default(),
        }
    }

    /// Adds a value that must never be seen.
    pub fn secret(&self, value: impl Into<String>) {
        self.evidence.secret(Kind::Setting, value);
    }

    /// Nothing that this provider issues must ever be seen where it does not belong.
    pub fn watch(&self, provider: &DevProvider) {
        self.evidence.provider(provider.control().clone());
    }

    /// What there is to search for secrets.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Nothing secret has been seen where it does not belong, so far.
    pub fn assert_nothing_leaked(&self) {
        self.evidence.assert_nothing_leaked();
    }

    /// A builder of a development provider where the application is registered.
    pub fn provider(&self) -> DevProviderBuilder {
        self.provider_for(Client::confidential(CLIENT_ID, CLIENT_SECRET), BASE)
    }

    /// A builder of a development provider with this client, registered for the application with the public origin `base`.
    pub fn provider_for(&self, client: Client, base: &str) -> DevProviderBuilder {
        DevProvider::builder().client(
            client
                .redirect_uri(format!("{base}/auth/callback"))
                .post_logout_redirect_uri(format!("{base}/")),
        )
    }

    /// The environment that connects an application to the provider.
    #[must_use]
    pub fn environment(&self, provider: &DevProvider) -> Environment {
        self.bare_environment()
            .set("AUTH_BASE_URL", BASE)
            .set("AUTH_ISSUER", provider.issuer())
            .set("AUTH_CLIENT_ID", CLIENT_ID)
            .set("AUTH_CLIENT_SECRET", CLIENT_SECRET)
            .set("AUTH_SECRET", SECRET)
            .set("API_URL", provider.api_url())
            .set("API2_URL", provider.api2_url())
            .set("RUST_LOG", "trace")
    }

    /// An environment with nothing but a free port to listen on and the carrier.
    #[must_use]
    pub fn bare_environment(&self) -> Environment {
        let environment = Environment::default().set("APP_ADDR", "127.0.0.1:0");
        match self.carrier {
            Carrier::Cookie => environment,
            Carrier::Framework => environment.set("APP_SESSION_CARRIER", "framework"),
        }
    }

    /// Starts the application without waiting for it.
    #[must_use]
    pub fn spawn(&self, environment: &Environment) -> App {
        self.spawn_as(self.framework, environment)
    }

    /// Starts an application, of either framework, without waiting for it.
    #[must_use]
    pub fn spawn_as(&self, framework: Framework, environment: &Environment) -> App {
        self.spawn_program(framework, framework.binary(), environment)
    }

    /// Starts another program of a framework, without waiting for it.
    #[must_use]
    pub fn spawn_program(&self, framework: Framework, program: &Path, environment: &Environment) -> App {
        let app = App::spawn_program(framework, program, &environment.0);
        self.evidence.settings(&environment.0);
        self.evidence.output(app.output());
        app
    }

    /// Starts the application and waits until it listens.
    pub async fn start(&self, environment: &Environment) -> App {
        let mut app = self.spawn(environment);
        app.ready().await;
        app
    }

    /// Starts another program and waits until it listens.
    pub async fn start_program(&self, program: &Path, environment: &Environment) -> App {
        let mut app = self.spawn_program(self.framework, program, environment);
        app.ready().await;
        app
    }

    /// A browser for an application with this public origin.
    #[must_use]
    pub fn browser(&self, app: &App, base: &str) -> Browser {
        Browser::new(&Url::parse(base).unwrap(), app.address(), self.evidence.clone())
    }

    /// A browser for whatever listens there under this public origin.
    #[must_use]
    pub fn browser_at(&self, address: SocketAddr, base: &Url) -> Browser {
        Browser::new(base, address, self.evidence.clone())
    }

    /// The usual world.
    pub async fn world(&self) -> World {
        self.world_with(|environment| environment).await
    }

    /// The usual world with other settings.
    pub async fn world_with(&self, settings: impl FnOnce(Environment) -> Environment) -> World {
        self.world_of(self.provider(), settings).await
    }

    /// A world around a provider of one's own.
    ///
    /// # Panics
    ///
    /// When the provider does not start.
    pub async fn world_of(
        &self,
        provider: DevProviderBuilder,
        settings: impl FnOnce(Environment) -> Environment,
    ) -> World {
        let provider = provider.start().await.expect("the development provider starts");
        self.watch(&provider);
        let environment = settings(self.environment(&provider));
        let app = self.start(&environment).await;
        let browser = self.browser(&app, environment.get("AUTH_BASE_URL").unwrap());
        World {
            provider,
            app,
            browser,
        }
    }

    /// A world where this user has signed in.
    pub async fn signed_in(&self, user: &str) -> World {
        let world = self.world().await;
        world.sign_in(user).await;
        world
    }
}

impl World {
    /// Signs the world's browser in.
    pub async fn sign_in(&self, user: &str) -> Answer {
        self.sign_in_with(&self.browser, user).await
    }

    /// Signs a browser in and gives the callback's answer, a redirect into the application.
    #[track_caller]
    pub fn sign_in_with<'a>(
        &'a self,
        browser: &'a Browser,
        user: &'a str,
    ) -> impl Future<Output = Answer> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let attempt = self.begin(browser, "/auth/login").await;
            let answer = self.finish(browser, &attempt, user).await;
            assert!(
                matches!(answer.status, 302 | 303),
                "sign-in at {caller}: {}",
                answer.describe()
            );
            answer
        }
    }

    /// Begins a sign-in: the authorization request the application sends the browser with.
    pub async fn begin(&self, browser: &Browser, login: &str) -> Url {
        let answer = browser.navigate(login).await;
        answer.assert_redirect().assert_no_store();
        let request = answer.location();
        assert!(
            request.as_str().starts_with(self.provider.issuer()),
            "{}",
            answer.describe()
        );
        request
    }

    /// Lets the user approve an authorization request at the provider: the authorization response.
    pub async fn approve(&self, request: &Url, user: &str) -> Url {
        let approval = self
            .provider
            .approve(request.as_str(), user)
            .await
            .expect("the provider lets the user in");
        Url::parse(&approval.callback_url).expect("a callback URL")
    }

    /// Lets the user approve, and brings the authorization response to the application.
    pub async fn finish(&self, browser: &Browser, request: &Url, user: &str) -> Answer {
        let callback = self.approve(request, user).await;
        self.callback(browser, &callback).await
    }

    /// Brings an authorization response to the application, as the provider's redirect does.
    pub async fn callback(&self, browser: &Browser, callback: &Url) -> Answer {
        browser.navigate(callback.as_str()).site(Site::CrossSite).await
    }

    /// Waits until the provider has seen this many refresh requests.
    pub async fn refreshes(&self, count: u64) {
        crate::wait::until("refresh requests", Duration::from_secs(15), || async {
            self.provider.control().refresh_count() >= count
        })
        .await;
    }
}
