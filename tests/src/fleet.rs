//! Several instances of the example applications on one store, and visitors who are signed in on all of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth_testing::{Control, DevProvider, Endpoint};
use futures_util::future::join_all;
use url::Url;

use crate::app::{App, Framework};
use crate::browser::Site;
use crate::live::Live;
use crate::stage::{BASE, Carrier, Environment, Stage};
use crate::wait;

/// The instances: on axum and on actix-web in turn, as both share one store.
#[derive(Debug)]
pub struct Fleet {
    /// The provider of all of them.
    pub provider: Arc<DevProvider>,
    stage: Stage,
    environment: Environment,
    instances: Vec<App>,
    addresses: Addresses,
    client: reqwest::Client,
}

/// Where the instances listen; `None` while one is down.
#[derive(Clone, Debug)]
struct Addresses(Arc<Mutex<Vec<Option<SocketAddr>>>>);

/// Somebody who is signed in, with the one cookie that matters.
#[derive(Clone, Debug)]
pub struct Visitor {
    cookie: Arc<Mutex<String>>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// With this status.
    Status(u16),
    /// 503 without `Retry-After`, which no answer may be.
    NoRetryAfter,
    /// Without an answer: the instance was down, or went down.
    NoAnswer,
}

/// How often requests ended in which way.
#[derive(Clone, Debug, Default)]
pub struct Tally(HashMap<End, usize>);

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, end: End) {
        *self.0.entry(end).or_default() += 1;
    }

    /// Counts those of another tally as well.
    pub fn join(&mut self, other: Self) {
        for (end, count) in other.0 {
            *self.0.entry(end).or_default() += count;
        }
    }

    /// How many ended like this.
    #[must_use]
    pub fn of(&self, end: End) -> usize {
        self.0.get(&end).copied().unwrap_or(0)
    }

    /// How many there were.
    #[must_use]
    pub fn all(&self) -> usize {
        self.0.values().sum()
    }

    /// Nothing else than these ends happened.
    pub fn assert_only(&self, ends: &[End]) {
        let others: Vec<_> = self.0.iter().filter(|(end, _)| !ends.contains(end)).collect();
        assert!(others.is_empty(), "requests ended in other ways: {others:?}");
    }
}

impl Fleet {
    /// Starts `instances` applications on the store behind `store`, an `AUTH_STORE` URL.
    ///
    /// # Panics
    ///
    /// When something does not start.
    pub async fn start(store: &str, instances: usize) -> Self {
        Self::start_with(store, instances, |environment| environment).await
    }

    /// The same with further settings.
    ///
    /// # Panics
    ///
    /// When something does not start.
    pub async fn start_with(
        store: &str,
        instances: usize,
        settings: impl FnOnce(Environment) -> Environment,
    ) -> Self {
        let stage = Stage::new(Framework::Axum, Carrier::Cookie);
        let provider = stage
            .provider()
            .start()
            .await
            .expect("the development provider starts");
        stage.watch(&provider);
        let environment = settings(
            stage
                .environment(&provider)
                .set("AUTH_STORE", store)
                .set("RUST_LOG", "info"),
        );
        let mut fleet = Self {
            provider: Arc::new(provider),
            stage,
            environment,
            instances: Vec::new(),
            addresses: Addresses(Arc::default()),
            // Each request has a connection of its own: an idle one may be about to be closed by the server, or hold
            // its complaint that no request came (actix-web's 408), and neither is an answer to the next request.
            client: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .timeout(Duration::from_secs(60))
                .no_proxy()
                .tls_certs_only([])
                .build()
                .expect("an HTTP client"),
        };
        for i in 0..instances {
            let mut app = fleet.spawn(i);
            let address = app.ready().await;
            fleet.addresses.0.lock().unwrap().push(Some(address));
            fleet.instances.push(app);
        }
        fleet
    }

    fn spawn(&self, i: usize) -> App {
        let framework = Framework::BOTH[i % Framework::BOTH.len()];
        self.stage.spawn_as(framework, &self.environment)
    }

    /// The provider's control.
    #[must_use]
    pub fn control(&self) -> &Control {
        self.provider.control()
    }

    /// How many instances there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.instances.len()
    }

    /// Signs a user in, in a browser of their own, on the first instance that is up.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub async fn sign_in(&self, user: &str) -> Visitor {
        let visitor = Visitor {
            cookie: Arc::default(),
        };
        assert!(self.signs_in(&visitor, user).await, "{user} cannot sign in");
        visitor
    }

    /// Signs a visitor in again, and says whether it worked: an instance may go down in the middle.
    pub async fn signs_in(&self, visitor: &Visitor, user: &str) -> bool {
        self.agent().signs_in(&self.provider, visitor, user).await
    }

    /// Asks the instances, from any task.
    #[must_use]
    pub fn agent(&self) -> Agent {
        Agent {
            addresses: self.addresses.clone(),
            client: self.client.clone(),
            stage: self.stage.clone(),
        }
    }

    /// Kills an instance with SIGKILL.
    pub async fn kill(&mut self, i: usize) {
        self.addresses.0.lock().unwrap()[i] = None;
        self.instances[i].kill().await;
    }

    /// Starts a killed instance again.
    pub async fn revive(&mut self, i: usize) {
        let mut app = self.spawn(i);
        let address = app.ready().await;
        self.instances[i] = app;
        self.addresses.0.lock().unwrap()[i] = Some(address);
    }

    /// Waits until the access token that a visitor has now is dead. Nobody must ask for anything meanwhile.
    ///
    /// # Panics
    ///
    /// When the session has none.
    pub async fn until_expired(&self, visitor: &Visitor) {
        let session = self.agent().session(0, visitor).await;
        let expires_at = session["access_token_expires_at"]
            .as_u64()
            .unwrap_or_else(|| panic!("no access token: {session}"));
        // The document counts in whole seconds, rounded down.
        let at = Duration::from_secs(expires_at + 1);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        tokio::time::sleep(at.saturating_sub(now)).await;
    }

    /// How many of these visitors are not signed in any more; and each who is can call an API.
    pub async fn lost(&self, visitors: &[Visitor]) -> usize {
        let agent = self.agent();
        let mut lost = 0;
        for visitor in visitors {
            wait::until("an answer that is no outage", Duration::from_secs(30), || async {
                !matches!(
                    agent.ask(0, visitor, "/api/ping").await,
                    End::Status(503) | End::NoAnswer
                )
            })
            .await;
            for i in 0..self.size() {
                match agent.ask(i, visitor, "/api/ping").await {
                    End::Status(200) => {}
                    End::Status(401) => {
                        lost += 1;
                        break;
                    }
                    other => panic!("instance {i} answers {other:?}"),
                }
            }
        }
        lost
    }

    /// How many sessions the provider ended because a refresh token came that it had rotated.
    #[must_use]
    pub fn reuses(&self) -> usize {
        usize::try_from(self.control().reuse_count()).unwrap()
    }

    /// How often the same refresh token was presented again.
    #[must_use]
    pub fn presented_again(&self) -> usize {
        let mut times: HashMap<String, usize> = HashMap::new();
        for request in self.control().requests(Endpoint::Token) {
            if let Some(token) = request.form("refresh_token") {
                *times.entry(token.to_owned()).or_default() += 1;
            }
        }
        times.values().map(|count| count - 1).sum()
    }
}

/// At the end, nothing secret may stand in what the instances have printed, or where it does not belong in what they sent.
impl Drop for Fleet {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stage.assert_nothing_leaked();
        }
    }
}

/// Asks the instances.
#[derive(Clone, Debug)]
pub struct Agent {
    addresses: Addresses,
    client: reqwest::Client,
    stage: Stage,
}

impl Agent {
    fn address(&self, i: usize) -> Option<SocketAddr> {
        self.addresses.0.lock().unwrap()[i]
    }

    /// A script's request to an instance.
    pub async fn ask(&self, i: usize, visitor: &Visitor, path: &str) -> End {
        let Some(address) = self.address(i) else {
            return End::NoAnswer;
        };
        let cookie = visitor.cookie.lock().unwrap().clone();
        let request = self
            .client
            .get(format!("http://{address}{path}"))
            .header("cookie", cookie);
        let Ok(answer) = request.send().await else {
            return End::NoAnswer;
        };
        let (status, retry_after) = (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        );
        match answer.bytes().await {
            Err(_) => End::NoAnswer,
            Ok(_) if status == 503 && !retry_after => End::NoRetryAfter,
            Ok(_) => End::Status(status),
        }
    }

    /// Opens a stream at an instance.
    ///
    /// # Panics
    ///
    /// When no answer begins.
    pub async fn open(&self, i: usize, visitor: &Visitor, path: &str) -> Live {
        let address = self.address(i).expect("the instance is up");
        let cookie = visitor.cookie.lock().unwrap().clone();
        let request = self.client.get(format!("http://{address}{path}"));
        Live::new(
            request
                .header("cookie", cookie)
                .send()
                .await
                .expect("an answer begins"),
        )
    }

    /// Signs a visitor out at an instance.
    ///
    /// # Panics
    ///
    /// When that is not answered by a redirect.
    pub async fn sign_out(&self, i: usize, visitor: &Visitor) {
        let address = self.address(i).expect("the instance is up");
        let cookie = visitor.cookie.lock().unwrap().clone();
        let request = self.client.post(format!("http://{address}/auth/logout"));
        let answer = request.header("cookie", cookie).send().await.expect("an answer");
        assert_eq!(answer.status(), 303);
    }

    /// `count` requests at once, spread over the instances.
    pub async fn herd(&self, count: usize, visitor: &Visitor, path: &str) -> Tally {
        let size = self.addresses.0.lock().unwrap().len();
        let mut tally = Tally::default();
        for end in join_all((0..count).map(|n| self.ask(n % size, visitor, path))).await {
            tally.add(end);
        }
        tally
    }

    /// What an instance says of a visitor's session.
    ///
    /// # Panics
    ///
    /// When it says nothing.
    pub async fn session(&self, i: usize, visitor: &Visitor) -> serde_json::Value {
        let address = self.address(i).expect("the instance is up");
        let cookie = visitor.cookie.lock().unwrap().clone();
        let request = self
            .client
            .get(format!("http://{address}/auth/session"))
            .header("cookie", cookie);
        let answer = request.send().await.expect("the instance answers");
        serde_json::from_slice(&answer.bytes().await.unwrap()).expect("a JSON document")
    }

    /// Signs a visitor in on the first instance that is up, and says whether it worked.
    pub async fn signs_in(&self, provider: &DevProvider, visitor: &Visitor, user: &str) -> bool {
        let address = self.addresses.0.lock().unwrap().iter().flatten().copied().next();
        let Some(address) = address else {
            return false;
        };
        let browser = self
            .stage
            .browser_at(address, &Url::parse(BASE).expect("an origin"));
        let Ok(begun) = browser.navigate("/auth/login").attempt().await else {
            return false;
        };
        if !matches!(begun.status, 302 | 303) {
            return false;
        }
        let Ok(approval) = provider.approve(begun.location().as_str(), user).await else {
            return false;
        };
        let callback = browser.navigate(&approval.callback_url).site(Site::CrossSite);
        let Ok(answer) = callback.attempt().await else {
            return false;
        };
        if !matches!(answer.status, 302 | 303) {
            return false;
        }
        let cookie = browser
            .cookies()
            .into_iter()
            .find(|cookie| cookie.name == "auth_session")
            .expect("a sign-in sets the session's cookie");
        *visitor.cookie.lock().unwrap() = format!("{}={}", cookie.name, cookie.value);
        true
    }
}

/// Says on standard error what a test has counted; with `--nocapture` that makes the table of the documentation.
#[derive(Debug)]
pub struct Report {
    what: String,
    began: Instant,
}

impl Report {
    /// Begins to take the time.
    #[must_use]
    pub fn of(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            began: Instant::now(),
        }
    }

    /// Prints the figures.
    pub fn say(self, figures: &str) {
        eprintln!(
            "guarantee | {} | {figures} | {:.0} s",
            self.what,
            self.began.elapsed().as_secs_f64()
        );
    }
}
