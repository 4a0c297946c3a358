//! An HTTP answer, with the assertions that many tests share.

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use url::Url;

use crate::html;

/// What came back, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The URL asked for, as the browser knows it.
    pub url: Url,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, read as UTF-8.
    pub body: String,
}

impl Answer {
    pub(crate) async fn read(url: Url, response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        Ok(Self {
            url,
            status: StatusCode::as_u16(&status),
            headers,
            body,
        })
    }

    /// A header's value; `None` where it is missing or no text. A repeated header is one value, joined with commas.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The media type without parameters; empty where there is none.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// Where a redirect leads, resolved against the URL asked for.
    #[must_use]
    pub fn location(&self) -> Url {
        self.assert_redirect();
        self.url
            .join(&self.header("location").unwrap())
            .expect("Location is a URL")
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}) in {}", self.describe()))
    }

    /// The text a reader sees.
    #[must_use]
    pub fn text(&self) -> String {
        html::text(&self.body)
    }

    /// The code of a failure page: what follows `/auth/errors/` in its links.
    #[must_use]
    pub fn failure_code(&self) -> Option<String> {
        let rest = self.body.split_once("/auth/errors/")?.1;
        let code: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
            .collect();
        (!code.is_empty()).then_some(code)
    }

    /// Status, type and a piece of the body, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let body: String = self.text().chars().take(600).collect();
        format!(
            "{} from {} ({}) location {:?}: {body}",
            self.status,
            self.url.path(),
            self.media_type(),
            self.header("location")
        )
    }

    /// Asserts the status.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.describe());
        self
    }

    /// Asserts a 302 or 303 with a `Location`.
    #[track_caller]
    pub fn assert_redirect(&self) -> &Self {
        assert!(
            matches!(self.status, 302 | 303),
            "no redirect: {}",
            self.describe()
        );
        assert!(
            self.headers.get_all("location").iter().count() == 1,
            "one Location: {}",
            self.describe()
        );
        self
    }

    /// Asserts `Cache-Control: no-store`.
    #[track_caller]
    pub fn assert_no_store(&self) -> &Self {
        let value = self.header("cache-control").unwrap_or_default();
        assert!(
            value
                .split(',')
                .any(|directive| directive.trim().eq_ignore_ascii_case("no-store")),
            "Cache-Control is {value:?}: {}",
            self.describe()
        );
        self
    }

    /// Asserts that no cookie is set.
    #[track_caller]
    pub fn assert_no_cookie(&self) -> &Self {
        assert!(
            !self.headers.contains_key("set-cookie"),
            "sets a cookie: {}",
            self.describe()
        );
        self
    }

    /// Asserts an HTML page.
    #[track_caller]
    pub fn assert_page(&self) -> &Self {
        assert_eq!(self.media_type(), "text/html", "{}", self.describe());
        self
    }

    /// Asserts a problem document (RFC 9457) with this status, which neither redirects nor sets a cookie and is not stored.
    #[track_caller]
    pub fn assert_problem(&self, status: u16) -> &Self {
        self.assert_status(status).assert_no_cookie().assert_no_store();
        assert_eq!(
            self.media_type(),
            "application/problem+json",
            "{}",
            self.describe()
        );
        assert!(self.header("location").is_none(), "{}", self.describe());
        let problem = self.json();
        assert!(problem.is_object(), "{}", self.describe());
        assert!(
            problem.get("status").is_none_or(|value| value == status),
            "{}",
            self.describe()
        );
        self
    }

    /// Asserts a page of a failure with one of these statuses, which nobody stores; gives its stable code.
    #[track_caller]
    pub fn assert_failure(&self, statuses: impl std::ops::RangeBounds<u16>) -> String {
        assert!(statuses.contains(&self.status), "{}", self.describe());
        self.assert_page().assert_no_store();
        assert!(self.header("location").is_none(), "{}", self.describe());
        self.failure_code().unwrap_or_else(|| {
            panic!(
                "no link to what the failure means: {}\n{}",
                self.describe(),
                self.body
            )
        })
    }

    /// Asserts a 503 with `Retry-After` in whole seconds.
    #[track_caller]
    pub fn assert_unavailable(&self) -> &Self {
        self.assert_status(503).assert_no_store();
        let after = self.header("retry-after").unwrap_or_default();
        assert!(
            after.parse::<u32>().is_ok_and(|seconds| seconds > 0),
            "Retry-After is {after:?}: {}",
            self.describe()
        );
        self
    }
}
