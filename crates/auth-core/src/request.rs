//! What the core needs to know of an incoming request, whatever framework brought it.
//!
//! An adapter implements [`RequestHead`] for its framework's request, and hands it to [`Auth::incoming`](crate::Auth::incoming) and
//! [`Auth::route_request`](crate::Auth::route_request). Applications see none of it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::bearer::PeerCertificate;
use crate::config::Config;
use crate::csrf::{self, CrossSite};
use crate::devices;
use crate::events::{self, Sender};
use crate::origins::OriginId;
use crate::party::Party;
use crate::secret::SessionId;
use crate::types::{BaseUrl, ReturnTo};

/// The head of an incoming request. Adapters implement it for their framework's type.
pub trait RequestHead {
    /// The method in upper case, `GET`.
    fn method(&self) -> &str;

    /// The path as it came, still percent-encoded.
    fn path(&self) -> &str;

    /// The query as it came, without the `?`.
    fn query(&self) -> Option<&str>;

    /// The authority in the request's target, as it came: `:authority` (RFC 9113 §8.3.1), or that of the absolute form (RFC 9112
    /// §3.2.2). `None` where there is none: most requests of HTTP/1.1 have `Host` alone.
    fn authority(&self) -> Option<&str> {
        None
    }

    /// Calls `each` with every value of the header, in order. Bytes that are not UTF-8 become U+FFFD: a value that is
    /// odd in one place still counts.
    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str));

    /// Calls `each` with the name, in lower case, and the value of every header. The values of one name come in order. Those
    /// that [`LOOKED_AT`](Self::LOOKED_AT) does not have may be left out, and the default does so: it looks for each name.
    /// A framework that can walk over its headers is quicker.
    fn each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        for name in Self::LOOKED_AT {
            self.header_values(name, &mut |value| each(name, value.as_bytes()));
        }
    }

    /// The headers that every request is looked at for.
    const LOOKED_AT: [&'static str; 11] = [
        "accept",
        "cookie",
        "hx-request",
        "origin",
        "purpose",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-purpose",
        "upgrade",
        "x-moz",
        "x-requested-with",
    ];

    /// The address of whoever is at the other end of the connection, where the framework knows it.
    fn peer(&self) -> Option<IpAddr> {
        None
    }

    /// The certificate of whoever is at the other end of the connection, where the application has put it there.
    fn peer_certificate(&self) -> Option<PeerCertificate> {
        None
    }

    /// The first value of the header.
    fn header(&self, name: &'static str) -> Option<String> {
        let mut first = None;
        self.header_values(name, &mut |value| {
            if first.is_none() {
                first = Some(value.to_owned());
            }
        });
        first
    }

    /// Whether any value of the header passes the test.
    fn header_is(&self, name: &'static str, mut test: impl FnMut(&str) -> bool) -> bool
    where
        Self: Sized,
    {
        let mut found = false;
        self.header_values(name, &mut |value| found |= test(value));
        found
    }

    /// Whether the request has the header at all (with a readable value).
    fn has_header(&self, name: &'static str) -> bool
    where
        Self: Sized,
    {
        self.header_is(name, |_| true)
    }
}

/// A header's value as [`RequestHead::header_values`] gives it: bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn header_text(value: &[u8]) -> Cow<'_, str> {
    // The lossy reading goes from byte to byte, and nearly every value is ASCII.
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value),
    }
}

/// Who waits for the answer: it decides between a redirect or page and a status with a JSON body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A person's browser opening a page: a `GET` that accepts `text/html` and, where the browser says so, is a
    /// navigation (Fetch Metadata `Sec-Fetch-Mode: navigate`).
    Navigation,
    /// A person's browser sending a form: a `POST` that accepts `text/html` and of which the browser says that it is a
    /// navigation (Fetch Metadata `Sec-Fetch-Mode: navigate`). It cannot be sent again after a sign-in.
    Form,
    /// Anything else: fetch, XHR, HTMX, prefetch, other methods, programs.
    Script,
}

impl RequestKind {
    /// Tells which kind a request is.
    #[must_use]
    pub fn of(head: &impl RequestHead) -> Self {
        Glance::of(head, "", "").kind(head.method())
    }
}

/// What one walk over a request's headers finds.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a header's word of its own")]
pub(crate) struct Glance {
    accepts_html: bool,
    /// The browser says that somebody opens a page or sends a form.
    is_navigation: bool,
    /// The browser says that nobody does.
    is_no_navigation: bool,
    /// A browser asks ahead of its user, who may never open the page (Fetch Metadata `Sec-Purpose`; `Purpose` and `X-Moz` in
    /// older browsers).
    is_prefetch: bool,
    opens_websocket: bool,
    /// `Origin` or `Sec-Fetch-Site` say that the request comes from elsewhere.
    is_foreign: bool,
    /// Whose identifier the cookie has, the first that can be read.
    session: Option<SessionId>,
}

impl Glance {
    /// Looks for the session's cookie of this name, and for what is not from this origin.
    pub(crate) fn of(head: &impl RequestHead, cookie: &str, origin: &str) -> Self {
        let mut glance = Self::default();
        head.each_header(&mut |name, value| match name {
            "accept" => glance.accepts_html = glance.accepts_html || accepts_html(value),
            "sec-fetch-mode" => {
                let navigates = value.eq_ignore_ascii_case(b"navigate");
                glance.is_navigation |= navigates;
                glance.is_no_navigation |= !navigates;
            }
            "hx-request" | "x-requested-with" => glance.is_no_navigation = true,
            "sec-purpose" | "purpose" | "x-moz" => {
                glance.is_prefetch |= header_text(value).to_ascii_lowercase().contains("prefetch");
            }
            "upgrade" => glance.opens_websocket |= csrf::opens_websocket(&header_text(value)),
            "origin" => glance.is_foreign |= value != origin.as_bytes(),
            "sec-fetch-site" => glance.is_foreign |= !matches!(value, b"same-origin" | b"none"),
            "cookie" if glance.session.is_none() => {
                glance.session = cookies(value)
                    .filter(|(name, _)| *name == cookie.as_bytes())
                    .find_map(|(_, value)| SessionId::read(value));
            }
            _ => {}
        });
        glance
    }

    fn kind(&self, method: &str) -> RequestKind {
        if !self.accepts_html || self.is_no_navigation || self.is_prefetch {
            return RequestKind::Script;
        }
        match method {
            "GET" => RequestKind::Navigation,
            // Programs send forms too, and may accept anything: here the browser has to say it.
            "POST" if self.is_navigation => RequestKind::Form,
            _ => RequestKind::Script,
        }
    }

    /// The session identifier.
    pub(crate) fn session(self) -> Option<SessionId> {
        self.session
    }

    /// Whether a request with this method may change something, by the rule of [`csrf`].
    pub(crate) fn cross_site(&self, method: &str) -> Result<(), CrossSite> {
        if self.is_foreign && (csrf::changes_something(method) || self.opens_websocket) {
            return Err(CrossSite);
        }
        Ok(())
    }
}

/// Whether the request belongs to a page of another site without being a navigation: an image, a script, a `fetch` there.
fn is_foreign_subresource(head: &impl RequestHead) -> bool {
    head.header_is("sec-fetch-site", |site| site.eq_ignore_ascii_case("cross-site"))
        && head.header_is("sec-fetch-mode", |mode| !mode.eq_ignore_ascii_case("navigate"))
}

fn accepts_html(accept: &[u8]) -> bool {
    accept.split(|byte| *byte == b',').any(|range| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let media = parts.next().unwrap_or_default();
        media.eq_ignore_ascii_case(b"text/html") && !parts.any(is_weight_of_zero)
    })
}

/// Whether a parameter of `Accept` says "not this" (RFC 9110 §12.4.2).
fn is_weight_of_zero(parameter: &[u8]) -> bool {
    let weight = parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="));
    let weight = weight.and_then(|weight| std::str::from_utf8(weight).ok());
    weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
}

/// What an adapter reads off a request before the handler runs: enough to find its session, to refuse it and to
/// send its sender to sign in.
///
/// `Debug` does not print the path: its query may hold anything, a code among it.
#[derive(Clone)]
pub struct Incoming {
    /// Who waits for the answer.
    pub kind: RequestKind,
    /// The path and query to come back to after signing in, as they came; empty where nobody comes back.
    pub(crate) target: String,
    /// The origin of the app that it belongs to.
    pub(crate) at: OriginId,
    /// Why the request may not change anything, if it comes from another site.
    pub(crate) cross_site: Option<CrossSite>,
    /// What it is to try the request again.
    pub(crate) again: Again,
    /// The provider that it is about, where one is.
    pub(crate) party: Option<Arc<Party>>,
    /// Where it came from; `None` where nobody wants to be told.
    pub(crate) sender: Option<Arc<Sender>>,
}

/// What it is to try a request again, after an outage for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// To open the same page once more.
    SamePage,
    /// To begin a sign-in: an answer of the provider is used up.
    SignIn,
    /// Something that a link cannot do.
    Otherwise,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("kind", &self.kind)
            .field("cross_site", &self.cross_site)
            .finish_non_exhaustive()
    }
}

impl Incoming {
    /// Also gives the session identifier in the request's cookie.
    pub(crate) fn of(head: &impl RequestHead, config: &Config) -> (Self, Option<SessionId>) {
        let at = config.origins.of(head);
        let glance = Glance::of(head, config.cookies.session(), config.origins.get(at).origin());
        let incoming = Self::seen(head, &glance, at, config);
        (incoming, glance.session().map(|id| id.brought_to(at)))
    }

    fn seen(head: &impl RequestHead, glance: &Glance, at: OriginId, config: &Config) -> Self {
        let kind = glance.kind(head.method());
        Self {
            kind,
            // A script that is sent to a page of the app's own begins anew.
            target: match (kind, head.query()) {
                (RequestKind::Navigation, Some(query)) => format!("{}?{query}", head.path()),
                (RequestKind::Navigation, None) => head.path().to_owned(),
                (RequestKind::Form, _) => page_of_form(head, config.origins.get(at)).unwrap_or_default(),
                (RequestKind::Script, _) => String::new(),
            },
            at,
            cross_site: glance.cross_site(head.method()).err(),
            again: match kind {
                RequestKind::Navigation | RequestKind::Script => Again::SamePage,
                RequestKind::Form => Again::Otherwise,
            },
            party: None,
            sender: (!config.on_event.is_empty()).then(|| {
                Arc::new(Sender {
                    address: address(head, config),
                    agent: agent(head),
                    path: head.path().chars().take(events::PATH_MAX).collect(),
                })
            }),
        }
    }
}

/// The page that a form stands on, where it is one of the app's own: its address cannot be opened, and the form is sent once more
/// from there.
fn page_of_form(head: &impl RequestHead, base: &BaseUrl) -> Option<String> {
    let referer = head.header("referer")?;
    let target = referer.strip_prefix(base.origin())?;
    target.starts_with('/').then(|| target.to_owned())
}

fn agent(head: &impl RequestHead) -> Option<String> {
    head.header("user-agent").and_then(|value| devices::agent(&value))
}

fn address(head: &impl RequestHead, config: &Config) -> Option<String> {
    let sender = config.trusted_proxies.sender(head);
    sender.map(|address| address.to_string())
}

impl Incoming {
    /// Refuses a request that comes from another site and would change something: it may not use the session.
    ///
    /// # Errors
    ///
    /// [`Error::CrossSite`](crate::Error::CrossSite), for such a request; see [`csrf`] for what counts.
    pub fn same_site(&self) -> Result<(), crate::Error> {
        self.cross_site
            .map_or(Ok(()), |cross_site| Err(cross_site.into()))
    }

    /// The same request as one of a person, who is shown a page and may come back to `return_to`.
    pub(crate) fn as_navigation(&self, return_to: &ReturnTo, again: Again) -> Self {
        Self {
            kind: RequestKind::Navigation,
            target: return_to.as_str().to_owned(),
            at: self.at,
            cross_site: None,
            again,
            party: self.party.clone(),
            sender: self.sender.clone(),
        }
    }

    /// Where to come back to after signing in.
    pub(crate) fn return_to(&self) -> ReturnTo {
        ReturnTo::parse(&self.target)
    }
}

/// The request that one of the library's own routes answers: an owned copy of what they look at.
#[derive(Clone)]
pub struct RouteRequest {
    pub(crate) method: String,
    pub(crate) query: String,
    pub(crate) incoming: Incoming,
    pub(crate) is_prefetch: bool,
    pub(crate) is_foreign_subresource: bool,
    pub(crate) is_form: bool,
    pub(crate) body: Vec<u8>,
    /// The cookies of sign-ins under way.
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) session: Option<SessionId>,
    /// What the browser calls itself, and where it is, for the list of sessions.
    pub(crate) agent: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) arrival: Arrival,
}

/// What the way a request came tells of the cookies that it brings or does not bring. It explains, and decides nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// `Host` names another address than the app's own.
    pub(crate) at_other_address: bool,
    /// Fetch Metadata came along, as today's browsers send it over https and on loopback, and nowhere else.
    pub(crate) has_fetch_metadata: bool,
    /// What became of cookies that are not for sign-ins under way.
    pub(crate) cookies: OtherCookies,
}

/// Whether a request could bring cookies, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OtherCookies {
    /// There is no cookie at all.
    #[default]
    None,
    /// There is some cookie, whosever it is.
    Some,
    /// It is a form of another site, which brings no `SameSite=Lax` cookie along.
    KeptBack,
}

impl Arrival {
    fn of(head: &impl RequestHead, base: &BaseUrl) -> Self {
        let is_foreign_form = head.method() == "POST"
            && if head.has_header("sec-fetch-site") {
                head.header_is("sec-fetch-site", |site| site == "cross-site")
            } else {
                head.header_is("origin", |origin| origin != base.origin())
            };
        let mut has_cookie = false;
        each_cookie(head, &mut |_, _| has_cookie = true);
        Self {
            at_other_address: head.header_is("host", |host| !base.is_named_by(host)),
            has_fetch_metadata: head.has_header("sec-fetch-site"),
            cookies: match (is_foreign_form, has_cookie) {
                (true, _) => OtherCookies::KeptBack,
                (false, true) => OtherCookies::Some,
                (false, false) => OtherCookies::None,
            },
        }
    }
}

impl std::fmt::Debug for RouteRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteRequest")
            .field("method", &self.method)
            .field("incoming", &self.incoming.kind)
            .finish_non_exhaustive()
    }
}

impl RouteRequest {
    /// Longest form body that a route reads, in bytes: 64 KiB.
    pub const MAX_BODY: usize = 64 * 1024;

    /// Cookies beyond this number are not looked at.
    const MAX_COOKIES: usize = 200;

    pub(crate) fn new(
        head: &impl RequestHead,
        body: Vec<u8>,
        session: Option<SessionId>,
        config: &Config,
    ) -> Self {
        let names = config.cookies;
        let at = config.origins.of(head);
        let base_url = config.origins.get(at);
        let glance = Glance::of(head, "", base_url.origin());
        let mut cookies = Vec::new();
        each_cookie(head, &mut |name, value| {
            if name.starts_with(names.attempt_prefix()) && cookies.len() < Self::MAX_COOKIES {
                cookies.push((name.to_owned(), value.to_owned()));
            }
        });
        Self {
            method: head.method().to_owned(),
            query: head.query().unwrap_or_default().to_owned(),
            incoming: Incoming::seen(head, &glance, at, config),
            agent: agent(head),
            address: address(head, config),
            is_prefetch: glance.is_prefetch,
            is_foreign_subresource: is_foreign_subresource(head),
            is_form: head.header_is("content-type", |value| {
                value.split(';').next().is_some_and(|media| {
                    media
                        .trim()
                        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
                })
            }),
            body,
            cookies,
            session: session.map(|id| id.brought_to(at)),
            arrival: Arrival::of(head, base_url),
        }
    }

    /// The parameters of the query, decoded.
    pub(crate) fn query_parameters(&self) -> Parameters {
        Parameters::parse(self.query.as_bytes())
    }

    /// The parameters of the form body, decoded; none where the body is no form.
    pub(crate) fn form_parameters(&self) -> Parameters {
        if self.is_form {
            Parameters::parse(&self.body)
        } else {
            Parameters::default()
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies
            .iter()
            .find(|(held, _)| held == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Calls `each` with the name and value of every cookie of the request (RFC 6265 §5.4).
pub(crate) fn each_cookie(head: &(impl RequestHead + ?Sized), each: &mut dyn FnMut(&str, &str)) {
    head.header_values("cookie", &mut |line| {
        for (name, value) in cookies(line.as_bytes()) {
            each(&header_text(name), &header_text(value));
        }
    });
}

/// The names and values in one `Cookie` header.
fn cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Some(line);
    let pairs = std::iter::from_fn(move || {
        let line = rest?;
        let end = memchr::memchr(b';', line);
        rest = end.and_then(|end| line.get(end + 1..));
        line.get(..end.unwrap_or(line.len()))
    });
    pairs.filter_map(|pair| {
        let pair = trim_blanks(pair);
        let equals = memchr::memchr(b'=', pair)?;
        Some((pair.get(..equals)?, pair.get(equals + 1..)?))
    })
}

/// Without what may stand around a cookie (RFC 6265 §4.2.1, and tabs). Browsers look for `__Host-` where a name begins: whoever
/// cuts off other white space, or decodes the name, finds one that they did not guard.
fn trim_blanks(mut pair: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = pair {
        pair = rest;
    }
    pair
}

/// The same characters, of text.
const BLANKS: [char; 2] = [' ', '\t'];

/// The request's cookies in one line, without those that are not called `name`, but that a more forgiving reader takes for
/// it. `None` where there is none of that kind.
pub(crate) fn cookies_without_impostors(head: &impl RequestHead, name: &str) -> Option<String> {
    let (mut honest, mut impostors) = (Vec::new(), 0);
    head.header_values("cookie", &mut |line| {
        for pair in line.split(';').map(|pair| pair.trim_matches(BLANKS)) {
            let held = pair.split('=').next().unwrap_or_default();
            let mut read = url::form_urlencoded::parse(held.as_bytes());
            if held != name && read.next().is_some_and(|(read, _)| read.trim() == name) {
                impostors += 1;
            } else {
                honest.push(pair.to_owned());
            }
        }
    });
    (impostors > 0).then(|| honest.join("; "))
}

/// Decoded `application/x-www-form-urlencoded` parameters, in order.
#[derive(Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The claims of a signed response that are text: its parameters (JARM §2.1).
    pub(crate) fn of_claims(claims: serde_json::Map<String, serde_json::Value>) -> Self {
        let text = |(name, value)| match value {
            serde_json::Value::String(text) => Some((name, text)),
            _ => None,
        };
        Self(claims.into_iter().filter_map(text).collect())
    }

    /// The parameter's value. An empty value counts as absent (RFC 6749 §3.1).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(held, _)| held == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether the parameter is there, be its value empty.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(held, _)| held == name)
    }

    /// Whether any of the names stands there more than once.
    pub(crate) fn repeats(&self, names: &[&str]) -> bool {
        names
            .iter()
            .any(|name| self.0.iter().filter(|(held, _)| held == name).count() > 1)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request head for unit tests.
    pub(crate) struct Head {
        pub(crate) method: &'static str,
        pub(crate) target: &'static str,
        pub(crate) headers: Vec<(&'static str, String)>,
        pub(crate) authority: Option<&'static str>,
        pub(crate) peer: Option<IpAddr>,
    }

    impl Head {
        pub(crate) fn get(target: &'static str) -> Self {
            Self {
                method: "GET",
                target,
                headers: Vec::new(),
                authority: None,
                peer: None,
            }
        }

        pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
            self.headers.push((name, value.to_owned()));
            self
        }
    }

    impl RequestHead for Head {
        fn method(&self) -> &str {
            self.method
        }
        fn peer(&self) -> Option<IpAddr> {
            self.peer
        }
        fn path(&self) -> &str {
            self.target.split('?').next().unwrap_or_default()
        }
        fn query(&self) -> Option<&str> {
            self.target.split_once('?').map(|(_, query)| query)
        }
        fn authority(&self) -> Option<&str> {
            self.authority
        }
        fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
            for (held, value) in &self.headers {
                if *held == name {
                    each(value);
                }
            }
        }
    }

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    #[test]
    fn a_get_that_accepts_html_is_a_navigation() {
        for head in [
            Head::get("/").with("accept", BROWSER),
            Head::get("/")
                .with("accept", BROWSER)
                .with("sec-fetch-mode", "navigate"),
            Head::get("/")
                .with("accept", "application/json")
                .with("accept", "TEXT/HTML;q=0.1"),
        ] {
            assert_eq!(RequestKind::of(&head), RequestKind::Navigation);
        }
    }

    #[test]
    fn everything_else_is_a_script() {
        for head in [
            Head::get("/"),
            Head::get("/").with("accept", "*/*"),
            Head::get("/").with("accept", "text/html;q=0"),
            Head::get("/").with("accept", "text/html2"),
            Head {
                method: "POST",
                ..Head::get("/").with("accept", BROWSER)
            },
            Head {
                method: "HEAD",
                ..Head::get("/").with("accept", BROWSER)
            },
            Head::get("/")
                .with("accept", BROWSER)
                .with("sec-fetch-mode", "cors"),
            Head::get("/")
                .with("accept", BROWSER)
                .with("sec-fetch-mode", "no-cors"),
            Head::get("/").with("accept", BROWSER).with("hx-request", "true"),
            Head::get("/")
                .with("accept", BROWSER)
                .with("x-requested-with", "XMLHttpRequest"),
            Head::get("/")
                .with("accept", BROWSER)
                .with("sec-purpose", "prefetch;prerender"),
            Head::get("/").with("accept", BROWSER).with("purpose", "prefetch"),
        ] {
            assert_eq!(RequestKind::of(&head), RequestKind::Script);
        }
    }

    #[test]
    fn a_post_that_a_browser_calls_a_navigation_is_a_form() {
        let form = || {
            let post = Head {
                method: "POST",
                ..Head::get("/")
            };
            post.with("accept", BROWSER)
        };
        assert_eq!(
            RequestKind::of(&form().with("sec-fetch-mode", "navigate")),
            RequestKind::Form
        );
        for head in [
            form(),
            form().with("sec-fetch-mode", "cors"),
            form().with("sec-fetch-mode", "same-origin"),
            form()
                .with("sec-fetch-mode", "navigate")
                .with("hx-request", "true"),
            form()
                .with("sec-fetch-mode", "navigate")
                .with("x-requested-with", "XMLHttpRequest"),
            Head {
                method: "PUT",
                ..form().with("sec-fetch-mode", "navigate")
            },
            Head {
                method: "POST",
                ..Head::get("/")
                    .with("accept", "*/*")
                    .with("sec-fetch-mode", "navigate")
            },
        ] {
            assert_eq!(RequestKind::of(&head), RequestKind::Script);
        }
    }

    #[test]
    fn whoever_sent_a_form_comes_back_to_its_page_if_it_is_the_apps_own() {
        let base = BaseUrl::new("https://app.example").expect("an origin");
        let page = |referer: &str| page_of_form(&Head::get("/").with("referer", referer), &base);
        assert_eq!(
            page("https://app.example/orders?page=2").as_deref(),
            Some("/orders?page=2")
        );
        for foreign in [
            "https://elsewhere.example/orders",
            "https://app.example.elsewhere.example/orders",
            "https://app.example@elsewhere.example/orders",
            "https://app.example:8443/orders",
            "http://app.example/orders",
            "https://app.example",
            "/orders",
        ] {
            assert_eq!(page(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn cookies_are_read_from_every_cookie_header() {
        let head = Head::get("/")
            .with("cookie", "a=1; b=2=3;c")
            .with("cookie", "a=4");
        let mut seen = Vec::new();
        each_cookie(&head, &mut |name, value| seen.push(format!("{name}:{value}")));
        assert_eq!(seen, ["a:1", "b:2=3", "a:4"]);
    }

    /// A page of a sibling host can set such cookies for the whole domain: to a browser they have no prefix.
    const DISGUISED: [&str; 7] = [
        "\u{a0}__Host-a=2",
        "\u{2003}__Host-a=2",
        "\u{b}__Host-a=2",
        "__Host-a\u{a0}=2",
        "%5F_Host-a=2",
        "__Host%2da=2",
        "\u{3000}%5f%5fHost-%61=2",
    ];

    #[test]
    fn only_blanks_are_cut_off_around_a_cookie() {
        for disguised in DISGUISED {
            let head = Head::get("/").with("cookie", &format!("{disguised}; \t__Host-a=1 "));
            let mut seen = Vec::new();
            each_cookie(&head, &mut |name, value| {
                if name == "__Host-a" {
                    seen.push(value.to_owned());
                }
            });
            assert_eq!(seen, ["1"], "{disguised:?}");
        }
    }

    #[test]
    fn cookies_that_only_look_like_one_are_left_out() {
        for disguised in DISGUISED {
            let head = Head::get("/")
                .with("cookie", &format!("b=%5F; {disguised}; __Host-a=1"))
                .with("cookie", "c");
            assert_eq!(
                cookies_without_impostors(&head, "__Host-a").as_deref(),
                Some("b=%5F; __Host-a=1; c"),
                "{disguised:?}"
            );
        }
        let honest = Head::get("/").with(
            "cookie",
            "__Host-a=1; __host-a=2; a=3; \u{a0}b=4; %61=5; __Host-a=6",
        );
        assert_eq!(cookies_without_impostors(&honest, "__Host-a"), None);
    }
}
