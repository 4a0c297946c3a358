//! What both adapters' tests stand on: the provider, a store that counts and fails, and a browser.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::clock::{TestClock, Timestamp};
use auth_core::config::ResponseMode;
use auth_core::store::app_data::{AppDataKey, AppDataStore};
use auth_core::store::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, MemoryStore, Notices, OnceKey, Record, ScanCursor,
    Scanned, SessionKey, SessionStore, StoreError, Swapped,
};
use auth_core::{Auth, AuthBuilder, Failure, SecretKeys, SignInChoices};
use auth_testing::{Client, DevProvider, User};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::app;

/// What carries the session identifier, and whether the framework's own session layer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Cookie,
    /// The app has error pages of its own, and a page to choose a provider on.
    CookieAndOwnPages,
    CookieBesideSession,
    FrameworkSession,
    /// The framework's session layer keeps its sessions in the app's own store, around what uses them.
    CookieBesideAppSession,
    /// It does so, and carries the identifier.
    AppSession,
}

/// What the app's own error page says.
pub(crate) fn own_page(failure: &Failure, language: Option<&str>) -> String {
    format!(
        "own: {} {:?} {} {} for {}",
        failure.code(),
        failure.turn(),
        failure.try_again().map_or("-", |link| &link.href),
        failure
            .retry_after()
            .map_or("none".to_owned(), |after| format!("{after:?}")),
        language.unwrap_or("nobody")
    )
}

/// What the app's own page to choose a provider on says.
pub(crate) fn own_choices(choices: &SignInChoices, language: Option<&str>) -> String {
    let links = choices.iter().map(|choice| {
        let name = choice.provider.name.as_deref().unwrap_or("no name");
        format!("{name} {} {}", choice.provider.label, choice.href)
    });
    format!(
        "own: {} to {} for {}",
        links.collect::<Vec<_>>().join(", "),
        choices.return_to(),
        language.unwrap_or("nobody")
    )
}

/// The claims of the user `ada`, typed.
#[derive(Deserialize)]
pub(crate) struct Employee {
    pub(crate) department: String,
}

/// A type that no user's claims fit.
#[derive(Deserialize)]
pub(crate) struct Misfit {
    pub(crate) department: u64,
}

pub(crate) struct World {
    pub(crate) provider: DevProvider,
    pub(crate) clock: TestClock,
    pub(crate) store: ProbeStore,
    pub(crate) auth: Auth,
    keys: SecretKeys,
    base: Url,
    _server: app::Server,
}

const CLIENT: &str = "app";
const SECRET: &str = "a secret of the app";

impl World {
    pub(crate) async fn start(carrier: Carrier) -> Self {
        Self::start_with(carrier, ResponseMode::Query).await
    }

    pub(crate) async fn start_with(carrier: Carrier, mode: ResponseMode) -> Self {
        Self::start_as(
            |auth, provider| auth.issuer(provider.issuer()).response_mode(mode),
            |listener, auth, _| app::serve(listener, auth, carrier),
        )
        .await
    }

    /// A world with settings and an application of a test's own, which is told where the API is.
    pub(crate) async fn start_as(
        settings: impl FnOnce(AuthBuilder, &DevProvider) -> AuthBuilder,
        serve: impl FnOnce(TcpListener, &Auth, &str) -> app::Server,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let origin = base.origin().ascii_serialization();
        let (clock, store) = (TestClock::new(), ProbeStore::default());
        let client = Client::confidential(CLIENT, SECRET)
            .redirect_uri(format!("{origin}/auth/callback"))
            .post_logout_redirect_uri(format!("{origin}/"));
        let ada = User::new("ada")
            .name("Ada", "Archer")
            .email("ada@example.com")
            .roles(["admin"])
            .claim("department", "engines");
        let provider = DevProvider::builder()
            .clock(clock.clock())
            .client(client)
            .user(ada)
            .user(User::new("bob"))
            .start()
            .await
            .unwrap();
        let keys = SecretKeys::random();
        let builder = builder(&origin, &provider, &clock, &store, &keys);
        let auth = settings(builder, &provider).build().await.unwrap();
        Self {
            _server: serve(listener, &auth, provider.api_url()),
            provider,
            clock,
            store,
            auth,
            keys,
            base,
        }
    }

    /// Another instance of the app, on the same store.
    pub(crate) async fn instance(&self) -> Auth {
        let origin = self.base.origin().ascii_serialization();
        builder(&origin, &self.provider, &self.clock, &self.store, &self.keys)
            .issuer(self.provider.issuer())
            .build()
            .await
            .unwrap()
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser {
            world: self,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .tls_certs_only([])
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap(),
            cookies: BTreeMap::new(),
        }
    }
}

fn builder(
    origin: &str,
    provider: &DevProvider,
    clock: &TestClock,
    store: &ProbeStore,
    keys: &SecretKeys,
) -> AuthBuilder {
    Auth::builder()
        .base_url(origin)
        .client(CLIENT, Some(SECRET))
        .store(store.clone())
        .secret(keys.clone())
        .api(provider.api_url())
        .clock(clock.clock())
}

/// A browser with its cookies, which does not follow redirects by itself.
pub(crate) struct Browser<'a> {
    world: &'a World,
    http: reqwest::Client,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    /// Opens a page.
    pub(crate) async fn open(&mut self, target: &str) -> Answer {
        let headers = [
            ("accept", "text/html,application/xhtml+xml"),
            ("sec-fetch-mode", "navigate"),
        ];
        self.send(Method::GET, target, &headers, "").await
    }

    /// A page's script fetches.
    pub(crate) async fn script(&mut self, target: &str) -> Answer {
        self.send(Method::GET, target, &[("accept", "application/json")], "")
            .await
    }

    /// A form of one of the app's own pages is sent.
    pub(crate) async fn post(&mut self, target: &str) -> Answer {
        let origin = self.world.base.origin().ascii_serialization();
        let headers = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.send(Method::POST, target, &headers, "").await
    }

    /// A form of a page of this origin, as a browser sends it. `referer` is the path of that page.
    pub(crate) async fn form(&mut self, target: &str, from: &str, referer: &str) -> Answer {
        let is_own = from == self.world.base.origin().ascii_serialization();
        let referer = format!("{from}{referer}");
        let headers = [
            ("accept", "text/html,application/xhtml+xml"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", from),
            ("referer", referer.as_str()),
            ("sec-fetch-mode", "navigate"),
            (
                "sec-fetch-site",
                if is_own { "same-origin" } else { "cross-site" },
            ),
        ];
        self.send(Method::POST, target, &headers, "text=something").await
    }

    /// The same with a text.
    pub(crate) async fn post_text(&mut self, target: &str, text: &str) -> Answer {
        let origin = self.world.base.origin().ascii_serialization();
        let headers = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.send(Method::POST, target, &headers, text.to_owned()).await
    }

    /// Sends the head of such a request, and waits until the app wants to read the body.
    pub(crate) async fn stall(&self, target: &str) -> Stalled {
        let host = self.world.base.socket_addrs(|| None).unwrap()[0];
        let origin = self.world.base.origin().ascii_serialization();
        let mut stream = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\ncookie: {}\r\nexpect: 100-continue\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            self.cookie_header(),
            LATE.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.unwrap();
        assert!(go_on.starts_with(b"HTTP/1.1 100"), "{go_on:?}");
        Stalled(stream)
    }

    pub(crate) fn cookie_header(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn keep_cookies<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        for line in lines {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Sends the body of a stalled request, and keeps the cookies of its answer.
    pub(crate) async fn finish(&mut self, stalled: Stalled) {
        let Stalled(mut stream) = stalled;
        stream.write_all(LATE.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        self.keep_cookies(
            answer
                .lines()
                .filter_map(|line| line.strip_prefix("set-cookie: ")),
        );
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        target: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let url = self.world.base.join(target).unwrap();
        let mut request = self.http.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            request = request.header("cookie", self.cookie_header());
        }
        let response = request.send().await.unwrap();
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        };
        self.keep_cookies(answer.set_cookies());
        answer
    }

    /// Signs `ada` in from the app's sign-in to its callback, whose answer it gives.
    pub(crate) async fn sign_in(&mut self, return_to: &str) -> Answer {
        let mut login = self.world.base.join("/auth/login").unwrap();
        login.query_pairs_mut().append_pair("return_to", return_to);
        self.sign_in_at(login.as_str()).await
    }

    /// The same, beginning with this URL of the app.
    pub(crate) async fn sign_in_at(&mut self, login: &str) -> Answer {
        self.sign_in_with(login, "ada").await
    }

    pub(crate) async fn sign_in_as(&mut self, user: &str) -> Answer {
        self.sign_in_with("/auth/login", user).await
    }

    async fn sign_in_with(&mut self, login: &str, user: &str) -> Answer {
        let answer = self.open(login).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let approval = self
            .world
            .provider
            .approve(answer.header("location"), user)
            .await
            .unwrap();
        let answer = self.open(&approval.callback_url).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer
    }

    /// Signs a user in by a form of the provider's site, with which the browser sends no `SameSite=Lax` cookie.
    pub(crate) async fn sign_in_by_form(&mut self, user: &str) {
        let mut lax = std::mem::take(&mut self.cookies);
        let answer = self.open("/auth/login").await;
        let approval = self
            .world
            .provider
            .approve(answer.header("location"), user)
            .await
            .unwrap();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(approval.form.unwrap())
            .finish();
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", self.world.provider.issuer()),
            ("sec-fetch-site", "cross-site"),
        ];
        let answer = self
            .send(Method::POST, &approval.callback_url, &headers, form)
            .await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        lax.append(&mut self.cookies);
        self.cookies = lax;
    }
}

/// The text of a request whose body comes late.
pub(crate) const LATE: &str = "a late note";

/// A request whose head was sent.
pub(crate) struct Stalled(TcpStream);

/// An answer, read in full.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The header's only value; empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} is there more than once");
        value
    }

    pub(crate) fn set_cookies(&self) -> impl Iterator<Item = &str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(HeaderValue::to_str)
            .map(Result::unwrap)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The stable code of a refusal to a script.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

/// A store that counts what requests ask of it, and can be down.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProbeStore(Arc<Probe>);

#[derive(Debug, Default)]
struct Probe {
    store: MemoryStore,
    accesses: AtomicU64,
    touches: AtomicU64,
    is_down: AtomicBool,
    /// Whether others run while it is asked, as over a network.
    is_remote: AtomicBool,
    updates: tokio::sync::Mutex<()>,
    held: tokio::sync::Notify,
}

impl ProbeStore {
    pub(crate) fn go_down(&self) {
        self.0.is_down.store(true, Ordering::SeqCst);
    }

    pub(crate) fn come_up(&self) {
        self.0.is_down.store(false, Ordering::SeqCst);
    }

    /// Lets no change of an app session through while the guard lives.
    pub(crate) async fn hold_updates(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.updates.lock().await
    }

    /// Waits until a change of an app session is held.
    pub(crate) async fn update_is_held(&self) {
        self.0.held.notified().await;
    }

    /// How often the store was asked for something, sweeps left out.
    pub(crate) fn accesses(&self) -> u64 {
        self.0.accesses.load(Ordering::SeqCst)
    }

    /// How often a session's use was written down.
    pub(crate) fn touches(&self) -> u64 {
        self.0.touches.load(Ordering::SeqCst)
    }

    /// From here on others run while the store is asked for a session.
    pub(crate) fn becomes_remote(&self) {
        self.0.is_remote.store(true, Ordering::SeqCst);
    }

    fn access(&self) -> Result<&MemoryStore, StoreError> {
        self.0.accesses.fetch_add(1, Ordering::SeqCst);
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("the test has taken the store down"));
        }
        Ok(&self.0.store)
    }
}

#[async_trait]
impl SessionStore for ProbeStore {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        self.access()?.insert(key, record, now).await
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let store = self.access()?;
        if self.0.is_remote.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        store.load(key, now).await
    }

    async fn compare_and_swap(
        &self,
        key: &SessionKey,
        expected: u64,
        record: Record,
        now: Timestamp,
    ) -> Result<Swapped, StoreError> {
        self.access()?.compare_and_swap(key, expected, record, now).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let touched = self.access()?.touch(key, last_seen_at, expires_at, now).await;
        self.0.touches.fetch_add(1, Ordering::SeqCst);
        touched
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.access()?.delete(key, expected, now).await
    }

    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.access()?.find_by_subject(subject, now).await
    }

    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.access()?.find_by_sid(sid, now).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        self.access()?.scan(from, now).await
    }

    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        self.access()?.acquire(key, seen, owner, length, now).await
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.access()?.renew(key, lease, length, now).await
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        self.access()?.release(key, lease, now).await
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.access()?.claim_once(key, until, now).await
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.access()?.prolong_claim(key, until, now).await
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.access()?.claimed_until(key, now).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.0.store.sweep(now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.access()?.ping().await
    }

    fn notices(&self) -> Option<Notices> {
        self.0.store.notices()
    }

    fn app_data(&self) -> Option<&dyn AppDataStore> {
        Some(self)
    }
}

#[async_trait]
impl AppDataStore for ProbeStore {
    async fn insert_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, StoreError> {
        self.access()?.insert_app_data(key, data, expires_at, now).await
    }

    async fn load_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.access()?.load_app_data(key, now).await
    }

    async fn update_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.0.updates.try_lock().is_err() {
            self.0.held.notify_one();
        }
        let _held = self.0.updates.lock().await;
        self.access()?.update_app_data(key, data, expires_at, now).await
    }

    async fn touch_app_data(
        &self,
        key: &AppDataKey,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.access()?.touch_app_data(key, expires_at, now).await
    }

    async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError> {
        self.access()?.delete_app_data(key, now).await
    }
}
