//! Requests as a browser sends them.

use std::fmt;

use http::{Method, Request};
use serde::Serialize;

/// What a browser adds to the requests of its user: the session's cookie, and where the request comes from.
#[derive(Clone)]
pub(super) struct Browser {
    origin: String,
    cookie: Option<String>,
}

impl Browser {
    pub(super) fn new(origin: &str, cookie: Option<String>) -> Self {
        Self {
            origin: origin.to_owned(),
            cookie,
        }
    }

    pub(super) fn cookie(&self) -> Option<(&'static str, String)> {
        Some(("cookie", self.cookie.clone()?))
    }

    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let origin = ("origin", self.origin.clone());
        let fetch = [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
        ];
        let fetch = fetch.map(|(name, value)| (name, value.to_owned()));
        self.cookie().into_iter().chain([origin]).chain(fetch).collect()
    }

    pub(super) fn page_headers(&self) -> Vec<(&'static str, String)> {
        let fetch = [
            ("accept", "text/html"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let fetch = fetch.map(|(name, value)| (name, value.to_owned()));
        self.cookie().into_iter().chain(fetch).collect()
    }
}

/// A request with these headers.
pub(super) fn request(
    method: Method,
    path: &str,
    headers: impl IntoIterator<Item = (&'static str, String)>,
    body: String,
) -> Request<String> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
        .body(body)
        .unwrap_or_else(|error| panic!("no request can be made for {path:?}: {error}"))
}

/// A request with these headers and this value as JSON.
pub(super) fn json<T: Serialize + ?Sized>(
    method: Method,
    path: &str,
    mut headers: Vec<(&'static str, String)>,
    value: &T,
) -> Request<String> {
    headers.push(("content-type", "application/json".to_owned()));
    let body = serde_json::to_string(value);
    let body = body.unwrap_or_else(|error| panic!("the value cannot be written as JSON: {error}"));
    request(method, path, headers, body)
}

/// The requests that whoever has a `browser` makes.
macro_rules! requests {
    () => {
        /// What the browser adds to a request of the application's own page: the session's cookie where there is one, and
        /// headers that say that no other site sent it (`Origin`, Fetch Metadata). Names and values are plain text, for any framework's
        /// requests.
        #[must_use]
        pub fn headers(&self) -> Vec<(&'static str, String)> {
            self.browser.headers()
        }

        /// What the browser adds where the user opens a page: the session's cookie where there is one, and headers that say so
        /// (`Accept`, Fetch Metadata). Without a session, the answer is then the way to sign in, not 401.
        #[must_use]
        pub fn page_headers(&self) -> Vec<(&'static str, String)> {
            self.browser.page_headers()
        }

        /// A `GET` by a script of the application's own page.
        ///
        /// # Panics
        ///
        /// Where the path, with its query, cannot stand in a request.
        #[must_use]
        pub fn get(&self, path: &str) -> http::Request<String> {
            self.request(http::Method::GET, path, String::new())
        }

        /// A `GET` by a user who opens the page.
        ///
        /// # Panics
        ///
        /// As [`get`](Self::get).
        #[must_use]
        pub fn open(&self, path: &str) -> http::Request<String> {
            super::browser::request(http::Method::GET, path, self.page_headers(), String::new())
        }

        /// A request with a body by a script of the application's own page.
        ///
        /// # Panics
        ///
        /// As [`get`](Self::get).
        #[must_use]
        pub fn request(
            &self,
            method: http::Method,
            path: &str,
            body: impl Into<String>,
        ) -> http::Request<String> {
            super::browser::request(method, path, self.headers(), body.into())
        }

        /// A request with JSON by a script of the application's own page.
        ///
        /// # Panics
        ///
        /// As [`get`](Self::get); where the value cannot be written as JSON.
        #[must_use]
        pub fn json<T: serde::Serialize + ?Sized>(
            &self,
            method: http::Method,
            path: &str,
            value: &T,
        ) -> http::Request<String> {
            super::browser::json(method, path, self.headers(), value)
        }
    };
}
pub(super) use requests;

/// A browser that nobody has signed in with; made by [`TestAuth::guest`](super::TestAuth::guest).
///
/// ```
/// use auth_axum::{AuthExt, RequireAuth};
/// use auth_testing::TestAuth;
/// use axum::{Router, routing::get};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = TestAuth::new().await;
/// let orders = get(async |user: RequireAuth| format!("orders of {}", user.subject()));
/// let app = Router::new().route("/orders", orders).layer(auth.auth().layer());
/// let guest = auth.guest();
///
/// // A person is sent to sign in, a script is told.
/// let answer = app.clone().oneshot(guest.open("/orders")).await?;
/// assert_eq!(answer.headers()["location"], "/auth/login?return_to=%2Forders");
/// assert_eq!(app.oneshot(guest.get("/orders")).await?.status(), 401);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Guest {
    browser: Browser,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guest")
    }
}

impl Guest {
    pub(super) fn new(origin: &str) -> Self {
        Self {
            browser: Browser::new(origin, None),
        }
    }

    requests!();
}
