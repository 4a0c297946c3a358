//! What the tests stand on: the provider, the store, one clock for all, and a browser's cookies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use auth_core::clock::TestClock;
use auth_core::reply::{Reply, SessionChange};
use auth_core::request::{RequestHead, RouteRequest};
use auth_core::secret::SessionId;
use auth_core::session::Session;
use auth_core::{Auth, AuthBuilder, SecretKeys};
use auth_testing::{Client, Control, DevProvider, Endpoint, SigningAlgorithm, User};
use url::Url;

use crate::store::ProbeStore;

pub(crate) const BASE: &str = "http://127.0.0.1:3000";
pub(crate) const CLIENT: &str = "core";
pub(crate) const SECRET: &str = "the secret of the core's own tests";
/// How long access tokens live.
pub(crate) const LIFE: Duration = Duration::from_secs(300);
/// The longest that a test waits for something to happen.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) struct World {
    pub(crate) provider: DevProvider,
    pub(crate) clock: TestClock,
    pub(crate) store: ProbeStore,
    pub(crate) keys: SecretKeys,
    pub(crate) auth: Auth,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// A world whose first instance has further settings.
    pub(crate) async fn with(set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> Self {
        let (clock, store, keys) = (TestClock::new(), ProbeStore::default(), SecretKeys::random());
        let client = Client::confidential(CLIENT, SECRET)
            .redirect_uri(format!("{BASE}/auth/callback"))
            .post_logout_redirect_uri(format!("{BASE}/"));
        let provider = DevProvider::builder()
            .clock(clock.clock())
            .client(client)
            .user(User::new("ada").email("ada@example.com").claim("level", 7))
            .signing_algorithm(SigningAlgorithm::Es256)
            .access_token_lifetime(LIFE)
            .start()
            .await
            .unwrap();
        let auth = set(builder(&provider, &clock, &store, &keys))
            .build()
            .await
            .unwrap();
        Self {
            provider,
            clock,
            store,
            keys,
            auth,
        }
    }

    /// Another instance of the app, on the same store.
    pub(crate) async fn instance(&self) -> Auth {
        self.instance_with(|builder| builder).await
    }

    pub(crate) async fn instance_with(&self, set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> Auth {
        let builder = builder(&self.provider, &self.clock, &self.store, &self.keys);
        set(builder).build().await.unwrap()
    }

    pub(crate) fn control(&self) -> &Control {
        self.provider.control()
    }

    /// Signs `ada` in with a browser of her own.
    pub(crate) async fn sign_in(&self) -> SessionId {
        self.browser().sign_in("/").await
    }

    /// A signed-in session whose access token is dead.
    pub(crate) async fn expired(&self) -> SessionId {
        let id = self.sign_in().await;
        self.clock.advance(LIFE);
        id
    }

    pub(crate) async fn session(&self, id: &SessionId) -> Session {
        self.auth.authenticate(Some(id)).await.unwrap()
    }

    /// The access token as it lies in the session.
    pub(crate) async fn token(&self, session: &Session) -> String {
        self.auth.access_token(session).await.unwrap().expose().to_owned()
    }

    /// Waits for all that runs in the background.
    pub(crate) async fn settle(&self) {
        self.auth.shutdown().await;
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        self.browser_of(&self.auth)
    }

    pub(crate) fn browser_of<'a>(&'a self, auth: &Auth) -> Browser<'a> {
        Browser {
            auth: auth.clone(),
            provider: &self.provider,
            cookies: BTreeMap::new(),
        }
    }

    /// The tokens that were brought to the revocation endpoint so far.
    pub(crate) fn revoked(&self) -> Vec<String> {
        let requests = self.control().requests(Endpoint::Revoke);
        requests
            .iter()
            .map(|request| request.form("token").unwrap_or_default().to_owned())
            .collect()
    }
}

fn builder(provider: &DevProvider, clock: &TestClock, store: &ProbeStore, keys: &SecretKeys) -> AuthBuilder {
    Auth::builder()
        .base_url(BASE)
        .issuer(provider.issuer())
        .client(CLIENT, Some(SECRET))
        .store(store.clone())
        .secret(keys.clone())
        .api(provider.api_url())
        .clock(clock.clock())
}

/// Waits until it is so.
pub(crate) async fn eventually(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !is() {
        assert!(Instant::now() < deadline, "it never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A request's head.
pub(crate) struct Head {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        for (held, value) in &self.headers {
            if *held == name {
                each(value);
            }
        }
    }
}

/// A browser's cookies, and the requests that it makes with them.
pub(crate) struct Browser<'a> {
    pub(crate) auth: Auth,
    pub(crate) provider: &'a DevProvider,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    pub(crate) fn head(&self, method: &'static str, target: &str) -> Head {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Head {
            method,
            target: target.to_owned(),
            headers: vec![("accept", "text/html".to_owned()), ("cookie", cookies.join("; "))],
        }
    }

    pub(crate) fn request(&self, method: &'static str, target: &str) -> RouteRequest {
        self.request_of(&self.head(method, target))
    }

    pub(crate) fn request_of(&self, head: &Head) -> RouteRequest {
        self.auth
            .route_request(head, Vec::new(), self.auth.session_id(head))
    }

    /// The session identifier that this browser holds.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.auth.session_id(&self.head("GET", "/"))
    }

    /// Takes the cookies of an answer.
    pub(crate) fn take(&mut self, reply: &Reply) {
        let session = self.auth.session_cookie(&reply.session);
        let set = reply.headers.iter().filter(|(name, _)| *name == "set-cookie");
        for line in set.map(|(_, line)| line.clone().into_owned()).chain(session) {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Opens `/auth/login`: where the provider is.
    pub(crate) async fn begin(&mut self, return_to: &str) -> String {
        let reply = self.login(return_to).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        location(&reply)
    }

    pub(crate) async fn login(&mut self, return_to: &str) -> Reply {
        let request = self.request("GET", &format!("/auth/login?return_to={return_to}"));
        let reply = self.auth.login(request).await;
        self.take(&reply);
        reply
    }

    /// Signs in at the provider: the target of the callback.
    pub(crate) async fn approve(&self, authorization_url: &str) -> String {
        let approval = self.provider.approve(authorization_url, "ada").await.unwrap();
        let url = Url::parse(&approval.callback_url).unwrap();
        format!("{}?{}", url.path(), url.query().unwrap_or_default())
    }

    /// Comes back from the provider.
    pub(crate) async fn callback(&mut self, target: &str) -> Reply {
        let reply = self.auth.callback(self.request("GET", target)).await;
        self.take(&reply);
        reply
    }

    /// A whole sign-in, however it ends.
    pub(crate) async fn try_sign_in(&mut self, return_to: &str) -> Reply {
        let url = self.begin(return_to).await;
        let target = self.approve(&url).await;
        self.callback(&target).await
    }

    /// A whole sign-in that succeeds.
    pub(crate) async fn sign_in(&mut self, return_to: &str) -> SessionId {
        let reply = self.try_sign_in(return_to).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        match reply.session {
            SessionChange::Set { id, .. } => id,
            other => panic!("nobody was signed in: {other:?}"),
        }
    }

    pub(crate) async fn logout(&mut self) -> Reply {
        let reply = self.auth.logout(self.request("POST", "/auth/logout")).await;
        self.take(&reply);
        reply
    }
}

pub(crate) fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let mut found = reply.headers.iter().filter(|(held, _)| *held == name);
    found.next().map(|(_, value)| &**value)
}

pub(crate) fn location(reply: &Reply) -> String {
    header(reply, "location").expect("a redirect").to_owned()
}

/// Asserts that an answer is a page with this code.
#[track_caller]
pub(crate) fn assert_page(reply: &Reply, status: u16, code: &str) {
    assert!(
        reply.body.contains(&format!("<code>{code}</code>")),
        "not {code}: {} {}",
        reply.status,
        reply.body
    );
    assert_eq!(reply.status, status, "{code}");
}
