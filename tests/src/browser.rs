//! A browser without a screen: it keeps cookies, Fetch Metadata and `Origin` as current browsers do, follows no redirect by itself and runs no script.
//!
//! It knows the application under its public origin and dials the address the process listens on, as a reverse proxy would. So an
//! application with an https origin can be tested without certificates, and no test has to guess a free port.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::{Origin, Url};

use crate::answer::Answer;
use crate::evidence::Evidence;
use crate::html;
use crate::jar::{Jar, Sender, Stored};
use crate::live::Live;

/// Where a request comes from, as `Sec-Fetch-Site` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The user's own doing: an address typed, a bookmark.
    None,
    /// A page of the application.
    SameOrigin,
    /// A page of another origin of the same site: on loopback another port.
    SameSite,
    /// A page of another site.
    CrossSite,
}

impl Site {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossSite => "cross-site",
        }
    }
}

/// The browser. Clones are the same browser; [`Browser::copy`] is another one with the same cookies.
#[derive(Clone, Debug)]
pub struct Browser {
    base: Url,
    client: reqwest::Client,
    dial: Arc<Mutex<HashMap<Origin, SocketAddr>>>,
    jar: Arc<Mutex<Jar>>,
    evidence: Evidence,
}

impl Browser {
    /// A browser that finds the application with the public origin `base` at `address`.
    ///
    /// What the application answers goes to `evidence`, with the secrets in it: cookies, and what secret parameters URLs carry.
    ///
    /// # Panics
    ///
    /// When no HTTP client can be built.
    #[must_use]
    pub fn new(base: &Url, address: SocketAddr, evidence: Evidence) -> Self {
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .no_proxy()
            .tls_certs_only([])
            .build()
            .expect("an HTTP client");
        let dial = Arc::new(Mutex::new(HashMap::from([(base.origin(), address)])));
        Self {
            base: base.clone(),
            client,
            dial,
            jar: Arc::default(),
            evidence,
        }
    }

    /// Another browser with the same cookies: a thief's, or the user's after a restart.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            jar: Arc::new(Mutex::new(self.jar().clone())),
            ..self.clone()
        }
    }

    /// Another browser without cookies.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            jar: Arc::default(),
            ..self.clone()
        }
    }

    /// From now on, finds the application at another address.
    pub fn moved_to(&self, address: SocketAddr) {
        self.dial.lock().unwrap().insert(self.base.origin(), address);
    }

    /// The application's public origin.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The cookie jar.
    ///
    /// # Panics
    ///
    /// When another thread panicked while it held the jar.
    pub fn jar(&self) -> std::sync::MutexGuard<'_, Jar> {
        self.jar.lock().unwrap()
    }

    /// The cookies that the application has set and that are still there.
    #[must_use]
    pub fn cookies(&self) -> Vec<Stored> {
        self.jar()
            .of_host(self.base.host_str().unwrap())
            .cloned()
            .collect()
    }

    /// A request of the application, without any header a browser would add.
    pub fn request(&self, method: Method, path: &str) -> Ask {
        let url = self.base.join(path).expect("a path or a URL");
        Ask {
            browser: self.clone(),
            method,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            site: Site::None,
            navigation: false,
        }
    }

    /// A link followed or an address typed.
    pub fn navigate(&self, path: &str) -> Ask {
        self.request(Method::GET, path).navigation(Site::None)
    }

    /// A script's `fetch(path)`.
    pub fn fetch(&self, path: &str) -> Ask {
        self.script(Method::GET, path)
    }

    /// A script's `fetch(path, {method})`.
    pub fn script(&self, method: Method, path: &str) -> Ask {
        self.request(method, path)
            .header("accept", "*/*")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .site(Site::SameOrigin)
    }

    /// A form of the application's own page, sent.
    pub fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Ask {
        self.request(Method::POST, path)
            .navigation(Site::SameOrigin)
            .form(fields)
    }

    /// A form found on a page, sent by pressing a button.
    pub fn press(&self, page: &Answer, form: &html::Form, fields: &[(String, String)]) -> Ask {
        let url = page.url.join(&form.action).unwrap();
        let site = if url.origin() == page.url.origin() {
            Site::SameOrigin
        } else {
            Site::SameSite
        };
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut ask = self
            .request(Method::POST, url.as_str())
            .navigation(site)
            .form(&fields);
        ask.set(ORIGIN.as_str(), &page.url.origin().ascii_serialization());
        ask
    }

    /// Follows redirects until there is a page, at most ten.
    ///
    /// # Panics
    ///
    /// When there are more.
    pub async fn follow(&self, mut answer: Answer) -> Answer {
        for _ in 0..10 {
            if !matches!(answer.status, 301 | 302 | 303 | 307) {
                return answer;
            }
            let next = answer.location();
            let site = if next.origin() == answer.url.origin() {
                Site::SameOrigin
            } else {
                Site::SameSite
            };
            answer = self.request(Method::GET, next.as_str()).navigation(site).await;
        }
        panic!("more than ten redirects, the last from {}", answer.url)
    }

    /// The cookie that carries the session: without it, nobody is signed in.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn session_cookie(&self) -> Stored {
        for cookie in self.cookies() {
            let without = self.copy();
            without.jar().forget(&cookie.name);
            if !without.is_signed_in().await {
                return cookie;
            }
        }
        panic!("no cookie carries a session")
    }

    /// `GET /auth/session` as a script.
    pub async fn session(&self) -> serde_json::Value {
        let answer = self.fetch("/auth/session").await;
        answer.assert_status(200).assert_no_store();
        assert_eq!(answer.media_type(), "application/json");
        answer.json()
    }

    /// Whether `/auth/session` says that somebody is signed in.
    pub async fn is_signed_in(&self) -> bool {
        self.session().await["authenticated"]
            .as_bool()
            .expect("authenticated is true or false")
    }

    /// Asserts that nobody is signed in, by the session document and by a protected route.
    #[track_caller]
    pub fn assert_signed_out(&self) -> BoxFuture<'_, ()> {
        let caller = std::panic::Location::caller();
        Box::pin(async move {
            let session = self.session().await;
            assert_eq!(
                session,
                serde_json::json!({"authenticated": false}),
                "called at {caller}"
            );
            let answer = self.fetch("/api/ping").await;
            assert_eq!(answer.status, 401, "called at {caller}: {}", answer.describe());
        })
    }

    /// Asserts that this user is signed in and can use a protected route.
    #[track_caller]
    pub fn assert_signed_in_as<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, ()> {
        let caller = std::panic::Location::caller();
        Box::pin(async move {
            let session = self.session().await;
            assert_eq!(session["authenticated"], true, "called at {caller}");
            assert_eq!(session["user"]["sub"], subject, "called at {caller}");
            let answer = self.fetch("/api/ping").await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, "pong"),
                "called at {caller}: {}",
                answer.describe()
            );
        })
    }
}

/// A request that is sent when awaited.
#[derive(Debug)]
#[must_use]
pub struct Ask {
    browser: Browser,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    site: Site,
    navigation: bool,
}

impl Ask {
    fn set(&mut self, name: &str, value: &str) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers
            .insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }

    /// Sets a header, in place of the browser's own value.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a header to bytes that need not be text.
    pub fn raw_header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// Sends a header once more, beside what is there.
    pub fn also(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers
            .append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// Leaves a header out.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Leaves out `Origin` and Fetch Metadata, as old browsers and command line tools do.
    pub fn without_metadata(self) -> Self {
        self.without("origin")
            .without("sec-fetch-site")
            .without("sec-fetch-mode")
            .without("sec-fetch-dest")
    }

    /// Says where the request comes from: `Sec-Fetch-Site`, and `Origin` for methods other than GET and HEAD.
    pub fn site(mut self, site: Site) -> Self {
        self.site = site;
        self.set("sec-fetch-site", site.name());
        if self.method == Method::GET || self.method == Method::HEAD {
            return self;
        }
        let origin = match site {
            Site::None => return self,
            Site::SameOrigin => self.browser.base.origin().ascii_serialization(),
            Site::SameSite => "http://127.0.0.1:1".to_owned(),
            Site::CrossSite => "https://elsewhere.example".to_owned(),
        };
        self.header("origin", &origin)
    }

    /// Makes it a top-level navigation.
    pub fn navigation(mut self, site: Site) -> Self {
        self.navigation = true;
        self.header(
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        )
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header("upgrade-insecure-requests", "1")
        .site(site)
    }

    /// Sends these fields as a form.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.set(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded");
        self.body = body.into_bytes();
        self
    }

    /// Sends the request and gives the transport's error instead of a panic.
    ///
    /// # Errors
    ///
    /// When no whole answer came.
    pub async fn attempt(mut self) -> reqwest::Result<Answer> {
        let (response, is_ours) = self.send().await?;
        let answer = Answer::read(self.url.clone(), response).await?;
        for header in answer.headers.get_all("set-cookie") {
            let header = header.to_str().expect("Set-Cookie is text");
            self.browser.jar().store(&self.url, header);
        }
        if is_ours {
            self.browser.evidence.answer(&answer);
        }
        Ok(answer)
    }

    /// Sends the request, and waits for no more than the head of the answer: the body goes on.
    ///
    /// # Panics
    ///
    /// When no answer comes.
    pub async fn open(mut self) -> Live {
        let (response, _) = self.send().await.expect("an answer begins");
        Live::new(response)
    }

    /// The answer, and whether the application was asked.
    async fn send(&mut self) -> reqwest::Result<(reqwest::Response, bool)> {
        let Browser {
            client, dial, jar, ..
        } = &self.browser;
        self.browser.evidence.url(&self.url);
        let sender = Sender {
            cross_site: self.site == Site::CrossSite,
            safe_navigation: self.navigation && self.method.is_safe(),
        };
        if let Some(cookies) = jar.lock().unwrap().header(&self.url, sender) {
            self.headers
                .entry(COOKIE)
                .or_insert(HeaderValue::from_str(&cookies).unwrap());
        }
        let mut target = self.url.clone();
        let address = dial.lock().unwrap().get(&self.url.origin()).copied();
        if let Some(address) = address {
            let host = self.url.port().map_or_else(
                || self.url.host_str().unwrap().to_owned(),
                |port| format!("{}:{port}", self.url.host_str().unwrap()),
            );
            self.headers
                .entry(HOST)
                .or_insert(HeaderValue::from_str(&host).unwrap());
            target.set_scheme("http").unwrap();
            target.set_ip_host(address.ip()).unwrap();
            target.set_port(Some(address.port())).unwrap();
        }
        let response = client
            .request(self.method.clone(), target)
            .headers(self.headers.clone())
            .body(self.body.clone())
            .send()
            .await?;
        if address.is_some() {
            let status = response.status().as_u16();
            self.browser.evidence.visit(&self.method, self.url.path(), status);
        }
        Ok((response, address.is_some()))
    }
}

impl IntoFuture for Ask {
    type Output = Answer;
    type IntoFuture = BoxFuture<'static, Answer>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let what = format!("{} {}", self.method, self.url.path());
            self.attempt()
                .await
                .unwrap_or_else(|error| panic!("{what}: {error:?}"))
        })
    }
}
