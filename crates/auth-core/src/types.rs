//! Values that are valid because they exist.
//!
//! Each is parsed once, where it comes in, and from then on is known to be good: an [`Issuer`] is compared to the byte, a [`BaseUrl`]
//! is an origin and nothing more, a [`ReturnTo`] is a path of this application and can lead to no other origin, [`Scopes`] have
//! each scope once.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Position, Url};

/// An issuer identifier (OpenID Connect Discovery §3): an `https` URL without query and fragment, kept and
/// compared byte for byte. `http` is taken for loopback addresses only.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Issuer(String);

impl Issuer {
    /// Checks and keeps an issuer identifier.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, UrlError> {
        let text = text.into();
        let url = secure_url(&text)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::HasQuery);
        }
        Ok(Self(text))
    }

    /// A name for a provider that has no issuer identifier (plain OAuth 2.0).
    pub(crate) fn of_token_endpoint(url: &Url) -> Self {
        Self(url.as_str().to_owned())
    }

    /// The identifier as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The origin that the provider's pages have (RFC 6454 §6.2).
    pub(crate) fn host(&self) -> String {
        let url = Url::parse(&self.0).ok();
        let host = url.as_ref().and_then(Url::host_str);
        host.unwrap_or(&self.0).to_owned()
    }

    pub(crate) fn origin(&self) -> String {
        Url::parse(&self.0).map_or_else(|_| "'none'".to_owned(), |url| url.origin().ascii_serialization())
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.0)
    }
}

/// What is wrong with a URL that is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not parse as an absolute URL with a host.
    #[error("must be an absolute URL such as https://example.com")]
    NotAUrl,
    /// Plain `http` to a host that is not loopback.
    #[error("must be https; http is only for loopback addresses (127.0.0.1, [::1], localhost)")]
    NotSecure,
    /// It has a user name or a password in it.
    #[error("must not hold a user name or password")]
    HasCredentials,
    /// It has a query or a fragment.
    #[error("must not have a query or a fragment")]
    HasQuery,
    /// It has a path where only an origin is meant.
    #[error("must be an origin only, without a path")]
    HasPath,
}

/// An absolute `https` URL, or an `http` one to a loopback address, without credentials.
pub(crate) fn secure_url(text: &str) -> Result<Url, UrlError> {
    // The parser forgives spaces around a URL; whoever compares it to the byte does not.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(UrlError::NotAUrl);
    }
    let url = Url::parse(text).map_err(|_| UrlError::NotAUrl)?;
    let host = url.host().ok_or(UrlError::NotAUrl)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&host) => {}
        "http" => return Err(UrlError::NotSecure),
        _ => return Err(UrlError::NotAUrl),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::HasCredentials);
    }
    Ok(url)
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// The app's own public origin: scheme, host and port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    origin: String,
}

impl BaseUrl {
    /// Checks and keeps the origin. A trailing `/` is fine, a path is not. Unlike a provider's, it may be plain
    /// `http` on any host (a development machine in the local network); cookies are then not `Secure`.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(UrlError::NotAUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::HasCredentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::HasQuery);
        }
        if url.path() != "/" {
            return Err(UrlError::HasPath);
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self { url, origin })
    }

    /// `https://app.example`, as browsers write it in `Origin`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether browsers reach the app over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host, in lower case; an IPv6 address in brackets.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Host and port; without the port where it is the scheme's own.
    pub(crate) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Host and port, in any case with the port.
    pub(crate) fn authority_with_port(&self) -> String {
        match self.url.port_or_known_default() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// Whether this is its host and port, as `Host` has them.
    pub(crate) fn is_named_by(&self, authority: &str) -> bool {
        authority.eq_ignore_ascii_case(self.authority())
            || authority.eq_ignore_ascii_case(&self.authority_with_port())
    }

    /// The absolute URL of a path of this app.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

/// A path of this app, with its query, to go to after signing in.
///
/// It is a path on the app's own origin by the rules of the URL standard: it starts with exactly one `/`, and holds
/// no backslash and no control character. Anything else becomes `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReturnTo(Cow<'static, str>);

impl ReturnTo {
    /// Longest return path that is kept, in bytes; a longer one becomes `/`.
    pub const MAX_LENGTH: usize = 2048;

    /// Parses what came from a browser; anything that is not a path of this origin becomes `/`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::checked(text).unwrap_or_default()
    }

    fn checked(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_LENGTH
            || !text.starts_with('/')
            // Names a host, be it the one below.
            || text.starts_with("//")
            || text.chars().any(|c| c == '\\' || c.is_control())
        {
            return None;
        }
        let base = Self::base()?;
        let url = base.join(text).ok()?;
        let normal = &url[Position::BeforePath..];
        // A path that begins with two slashes once its dot segments are gone names another host to whoever
        // shortens it first.
        if url.origin() != base.origin() || normal.starts_with("//") {
            return None;
        }
        // ASCII stays as it came, to the byte; anything else becomes what a browser would send.
        let kept = if text.bytes().all(|b| b.is_ascii_graphic()) {
            text
        } else {
            normal
        };
        // What a browser would send of a text that is not ASCII is longer than the text.
        (kept.len() <= Self::MAX_LENGTH).then(|| Self(Cow::Owned(kept.to_owned())))
    }

    /// The path and query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its query, as a browser asks for it: its dot segments are gone.
    pub(crate) fn path(&self) -> String {
        let url = Self::base().and_then(|base| base.join(&self.0).ok());
        url.map_or_else(|| "/".to_owned(), |url| url.path().to_owned())
    }

    /// The host stands for this origin, whatever it is: what matters is whether a browser would leave it.
    fn base() -> Option<Url> {
        Url::parse("https://this.invalid").ok()
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self(Cow::Borrowed("/"))
    }
}

/// A set of scopes in the order in which they were named (RFC 6749 §3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(
    /// Each once, with one space between them.
    String,
);

impl Scopes {
    /// Reads scopes separated by spaces. Repeated ones count once.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut set = Self(String::with_capacity(text.len()));
        set.insert(text);
        set
    }

    /// Whether `scope` is among them, compared to the byte.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|held| held == scope)
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one scope, or several separated by spaces, unless they are there.
    pub fn insert(&mut self, scopes: &str) {
        for scope in scopes.split_ascii_whitespace() {
            if !self.contains(scope) {
                if !self.is_empty() {
                    self.0.push(' ');
                }
                self.0.push_str(scope);
            }
        }
    }

    /// A scope token by RFC 6749 §3.3: printable ASCII less space, `"` and `\`.
    pub(crate) fn is_valid(&self) -> bool {
        self.iter().all(|scope| {
            scope
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        })
    }
}

impl<S: AsRef<str>> FromIterator<S> for Scopes {
    fn from_iter<I: IntoIterator<Item = S>>(scopes: I) -> Self {
        let mut set = Self::default();
        for scope in scopes {
            set.insert(scope.as_ref());
        }
        set
    }
}

/// As an array of scopes.
impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scopes = Vec::<String>::deserialize(from)?;
        Ok(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_path_keeps_path_and_query_of_this_origin() {
        for good in [
            "/",
            "/a",
            "/a?b=c&d=%2F%2Fx",
            "/a?u=http://x/",
            "/%2F%2Fevil.example",
            "/a//b",
            "/a/../b",
            "/?q='\"<>",
            "/@evil.example",
            "/a#b",
            "/:80",
        ] {
            assert_eq!(ReturnTo::parse(good).as_str(), good);
        }
        assert_eq!(ReturnTo::parse("/ä b?ü").as_str(), "/%C3%A4%20b?%C3%BC");
    }

    // RFC 9700 §4.11.1
    #[test]
    fn anything_else_becomes_the_root() {
        for bad in [
            "",
            "a",
            "//evil.example",
            "//this.invalid",
            "//this.invalid:443/a",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/a\\b",
            "https://evil.example/",
            "javascript:alert(1)",
            " /a",
            "/\u{0}",
            "/\u{7f}",
            "/\u{85}a",
            "/.//evil.example",
            "/a/..//evil.example",
            "/%2e//evil.example",
            "?a=b",
            "#a",
            "data:,x",
            "http:/a",
            "http:a",
        ] {
            assert_eq!(ReturnTo::parse(bad).as_str(), "/", "{bad:?}");
        }
        assert_eq!(ReturnTo::parse(&format!("/{}", "a".repeat(2048))).as_str(), "/");
        // Six bytes for each two, once it is written as a browser sends it.
        assert_eq!(ReturnTo::parse(&format!("/{}", "ä".repeat(342))).as_str(), "/");
        assert_eq!(
            ReturnTo::parse(&format!("/{}", "ä".repeat(341))).as_str().len(),
            2047
        );
    }

    // OpenID Connect Discovery §3; RFC 6750 §5.3
    #[test]
    fn issuer_is_https_or_loopback() {
        for good in [
            "https://id.example",
            "https://id.example/t/a",
            "http://127.0.0.1:1/",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert_eq!(Issuer::new(good).expect(good).as_str(), good);
        }
        for (bad, error) in [
            ("http://id.example", UrlError::NotSecure),
            ("http://127.0.0.1.evil.example", UrlError::NotSecure),
            ("http://localhost.evil.example", UrlError::NotSecure),
            ("ftp://id.example", UrlError::NotAUrl),
            (" https://id.example", UrlError::NotAUrl),
            ("id.example", UrlError::NotAUrl),
            ("", UrlError::NotAUrl),
            ("https://a:b@id.example", UrlError::HasCredentials),
            ("https://id.example?a", UrlError::HasQuery),
            ("https://id.example#a", UrlError::HasQuery),
        ] {
            assert_eq!(Issuer::new(bad), Err(error), "{bad}");
        }
    }

    // RFC 6749 §3.1.2
    #[test]
    fn base_url_is_an_origin() {
        assert_eq!(
            BaseUrl::new("https://app.example:443/").expect("good").origin(),
            "https://app.example"
        );
        assert_eq!(
            BaseUrl::new("http://127.0.0.1:3000").expect("good").origin(),
            "http://127.0.0.1:3000"
        );
        assert_eq!(BaseUrl::new("https://app.example/sub"), Err(UrlError::HasPath));
        // RFC 6749 §3.1.2: the redirect URI, which begins with it, has no fragment.
        assert_eq!(BaseUrl::new("https://app.example/#a"), Err(UrlError::HasQuery));
        assert_eq!(BaseUrl::new("https://app.example/?a"), Err(UrlError::HasQuery));
        assert_eq!(
            BaseUrl::new("https://a:b@app.example"),
            Err(UrlError::HasCredentials)
        );
        assert_eq!(BaseUrl::new("app.example"), Err(UrlError::NotAUrl));
    }

    // RFC 6749 §3.3
    #[test]
    fn scopes_are_a_set_in_order() {
        let mut scopes = Scopes::parse("openid  profile openid");
        scopes.insert("mail.read profile");
        assert_eq!(scopes.to_string(), "openid profile mail.read");
        assert!(!scopes.contains("mail"));
        assert!(!scopes.contains("openid profile"));
        assert_eq!(scopes.iter().count(), 3);
        assert_eq!(Scopes::default().iter().count(), 0);
    }

    #[test]
    fn scopes_are_kept_as_an_array() {
        let scopes = Scopes::parse("b a");
        let json = serde_json::to_value(&scopes).expect("JSON");
        assert_eq!(json, serde_json::json!(["b", "a"]));
        assert_eq!(serde_json::from_value::<Scopes>(json).ok(), Some(scopes));
    }
}
