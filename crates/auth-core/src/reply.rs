//! The answer to a request, as a plain value that an adapter turns into its framework's response.
//!
//! [`Auth`](crate::Auth)'s methods for the routes give a [`Reply`]: status, headers and body. Applications see none of it; it is
//! for those who write an adapter for another framework.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;

use crate::choices::SignInChoices;
use crate::failure::Failure;
use crate::secret::SessionId;

/// An answer of one of the library's routes, or a refusal.
///
/// `Debug` prints the headers' names only: their values hold cookies, `state` and `id_token_hint`.
#[must_use]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers in order, names in lower case. A name may stand there more than once (`set-cookie`).
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body; empty for none.
    pub body: ReplyBody,
    /// What becomes of the session identifier that the browser holds.
    pub session: SessionChange,
    /// What this page says, where it is the page of a failure. An adapter may let the app put a page of its own in its
    /// place: all headers stay but [`PAGE_HEADERS`], and [`OWN_PAGE_POLICY`] is added.
    pub failure: Option<Box<Failure>>,
    /// What there is to choose from, where it is the page to choose a provider on. It may be replaced by the same rules.
    pub choices: Option<Box<SignInChoices>>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &names)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// The text of an answer, empty for none. A clone shares it, and no framework has to copy it: [`Bytes`] can be made of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ReplyBody(Bytes);

impl From<String> for ReplyBody {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<ReplyBody> for Bytes {
    fn from(body: ReplyBody) -> Self {
        body.0
    }
}

impl Deref for ReplyBody {
    type Target = str;

    fn deref(&self) -> &str {
        // It was made of text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// As that of [`Reply`], without the text.
impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyBody")
            .field("len", &self.0.len())
            .finish_non_exhaustive()
    }
}

/// The headers of a failure's page, or of the page to choose a provider on, that belong to the library's HTML and go with it, also
/// those that a layer in between has given it: a body that is compressed or has a length.
pub const PAGE_HEADERS: [&str; 8] = [
    "content-type",
    "content-security-policy",
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "accept-ranges",
    "etag",
    "last-modified",
];

/// A `Content-Security-Policy` that every page of the app's own in the place of the library's has, besides any that the
/// app gives it: nobody frames it, and no `<base>` turns its links.
pub const OWN_PAGE_POLICY: &str = "base-uri 'none'; frame-ancestors 'none'";

/// What becomes of the session identifier that the browser holds.
#[derive(Debug, Default)]
pub enum SessionChange {
    /// It stays as it is.
    #[default]
    Keep,
    /// Somebody has signed in.
    Set {
        /// It becomes this one.
        id: SessionId,
        /// What becomes of the app's own session.
        app_data: AppData,
    },
    /// It is taken away: the user has signed out.
    Clear,
}

/// What becomes of the app's own session data when somebody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppData {
    /// They go on under the new sign-in: a guest has left them, or the same user, who has signed in again.
    Keep,
    /// They end: another user has left them, or it is not known who.
    End,
}

const NO_STORE: (&str, &str) = ("cache-control", "no-store");

impl Reply {
    fn new(status: u16, content_type: &'static str, body: impl Into<ReplyBody>) -> Self {
        let mut reply = Self::empty(status)
            .with("content-type", content_type)
            .with("x-content-type-options", "nosniff");
        reply.body = body.into();
        reply
    }

    /// A page of the library: no script, nothing loaded, not to be framed.
    pub(crate) fn page(status: u16, html: String) -> Self {
        Self::framed_page(status, html, "'none'").with("x-frame-options", "DENY")
    }

    /// A page of the library that this origin alone may frame.
    pub(crate) fn page_in_frame_of(origin: &str, html: String) -> Self {
        Self::framed_page(200, html, origin)
    }

    fn framed_page(status: u16, html: String, ancestors: &str) -> Self {
        Self::new(status, "text/html; charset=utf-8", html)
            .with(
                "content-security-policy",
                format!(
                    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
                ),
            )
            .with("referrer-policy", "no-referrer")
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// What is the same for everybody and may be kept for so long.
    pub(crate) fn public(content_type: &'static str, body: String, max_age: Duration) -> Self {
        let mut reply = Self::new(200, content_type, body);
        let keep = format!("public, max-age={}", max_age.as_secs());
        for (name, value) in &mut reply.headers {
            if *name == NO_STORE.0 {
                *value = keep.clone().into();
            }
        }
        reply
    }

    pub(crate) fn problem(status: u16, body: ReplyBody) -> Self {
        Self::new(status, "application/problem+json", body)
    }

    pub(crate) fn raw(status: u16, content_type: &str, body: String) -> Self {
        let mut reply = Self::empty(status)
            .with("content-type", content_type.to_owned())
            .with("x-content-type-options", "nosniff");
        reply.body = body.into();
        reply
    }

    /// 303 See Other: whatever the method was, the browser goes on with `GET`.
    pub(crate) fn redirect(to: &str) -> Self {
        Self::empty(303)
            .with("location", to.to_owned())
            // A sign-in under way names its page in no Referer.
            .with("referrer-policy", "no-referrer")
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: vec![(NO_STORE.0, Cow::Borrowed(NO_STORE.1))],
            body: ReplyBody::default(),
            session: SessionChange::Keep,
            failure: None,
            choices: None,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
