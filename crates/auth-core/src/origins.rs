//! The public origins of the application, and which of them a request belongs to.
//!
//! Most applications have one, and then no request is looked at. With [further ones](crate::AuthBuilder::further_base_url), a
//! host of its own for each tenant say, a request belongs to the one that it names:
//!
//! 1. `Host` names it, and the authority in the target of the request, where there is one: `:authority` (RFC 9113 §8.3.1), or
//!    that of the absolute form (RFC 9112 §3.2.2). There is one `Host` at most, and where there are both, they mean the same.
//! 2. Host and port are compared whole, without case. The port of the scheme may be left out (RFC 9110 §4.2.3).
//! 3. What names none of the list, or does not keep to rule 1, belongs to the first. So the worst that a forged `Host` does is to
//!    choose another of the application's own origins, where the sender's cookies and sessions are good for nothing.
//! 4. `Forwarded` and `X-Forwarded-Host` are not looked at, whoever sends them: a proxy passes `Host` on as it came.

use std::collections::HashMap;
use std::fmt;

use crate::config::ConfigError;
use crate::request::RequestHead;
use crate::types::{BaseUrl, secure_url};

const VARIABLE: &str = "AUTH_FURTHER_BASE_URLS";

/// One of the application's origins, by its place in the list. The first is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct OriginId(u32);

impl OriginId {
    pub(crate) const FIRST: Self = Self(0);
}

/// The public origins of the application.
pub(crate) struct Origins {
    /// There is one at least.
    all: Vec<BaseUrl>,
    /// By host and port, with and without the port where it is the scheme's own. Empty where there is one origin alone.
    by_authority: HashMap<String, OriginId>,
}

impl Origins {
    /// All have the scheme of the first, on which the cookies depend, and a host of their own.
    pub(crate) fn new(first: BaseUrl, further: &[String]) -> Result<Self, ConfigError> {
        let mut all = vec![first];
        for text in further {
            let next = BaseUrl::new(text).map_err(|error| ConfigError::new(VARIABLE, error.to_string()))?;
            if next.is_https() != all[0].is_https() {
                return Err(ConfigError::new(
                    VARIABLE,
                    "must have the scheme of AUTH_BASE_URL: all https, or all http",
                ));
            }
            if next.host().contains('*') {
                return Err(ConfigError::new(VARIABLE, "must be whole: there are no patterns"));
            }
            // Cookies know no ports (RFC 6265 §8.5): what one of them sets, the other is sent.
            if all.iter().any(|held| held.host() == next.host()) {
                return Err(ConfigError::new(
                    VARIABLE,
                    format!(
                        "{} is there already: each origin needs a host of its own",
                        next.host()
                    ),
                ));
            }
            all.push(next);
        }
        let mut by_authority = HashMap::new();
        if all.len() > 1 {
            for (number, origin) in (0..).zip(&all) {
                by_authority.insert(origin.authority().to_owned(), OriginId(number));
                by_authority.insert(origin.authority_with_port(), OriginId(number));
            }
        }
        Ok(Self { all, by_authority })
    }

    /// Whether nobody on the way reads or changes what is sent: https, or loopback.
    pub(crate) fn are_secure(&self) -> bool {
        self.all.iter().all(|origin| secure_url(origin.origin()).is_ok())
    }

    /// The one that counts where no request says which.
    pub(crate) fn first(&self) -> &BaseUrl {
        &self.all[0]
    }

    pub(crate) fn get(&self, id: OriginId) -> &BaseUrl {
        let found = usize::try_from(id.0).ok().and_then(|number| self.all.get(number));
        found.unwrap_or(self.first())
    }

    /// The one that a request belongs to.
    pub(crate) fn of(&self, head: &impl RequestHead) -> OriginId {
        if self.all.len() == 1 {
            return OriginId::FIRST;
        }
        let (mut host, mut hosts) = (None, 0);
        head.header_values("host", &mut |value| {
            host = self.named(value);
            hosts += 1;
        });
        let target = head.authority().map(|authority| self.named(authority));
        let named = match (target, hosts) {
            (None, 1) => host,
            (Some(target), 0) => target,
            (Some(target), 1) if target == host => target,
            _ => None,
        };
        named.unwrap_or(OriginId::FIRST)
    }

    /// The one with this host and port.
    fn named(&self, authority: &str) -> Option<OriginId> {
        let found = self.by_authority.get(authority);
        // Browsers write it in lower case.
        let found = found.or_else(|| self.by_authority.get(&authority.to_ascii_lowercase()));
        found.copied()
    }

    /// The one that is written so, `https://app.example`.
    pub(crate) fn written(&self, origin: &str) -> Option<OriginId> {
        let number = (0..).zip(&self.all).find(|(_, held)| held.origin() == origin);
        number.map(|(number, _)| OriginId(number))
    }

    /// How what begins at this origin keeps it: in full, for the list may change. `None` where there is no other.
    pub(crate) fn mark(&self, id: OriginId) -> Option<String> {
        (self.all.len() > 1).then(|| self.get(id).origin().to_owned())
    }

    /// The origin that a mark means; without one, the first. `None` of one that is not in the list any more.
    pub(crate) fn marked(&self, mark: Option<&str>) -> Option<OriginId> {
        match mark {
            None => Some(OriginId::FIRST),
            Some(origin) => self.written(origin),
        }
    }

    /// Whether what has this mark began at this origin.
    pub(crate) fn is_marked(&self, mark: Option<&str>, id: OriginId) -> bool {
        match mark {
            None => id == OriginId::FIRST,
            Some(origin) => self.get(id).origin() == origin,
        }
    }
}

/// Where a sign-in leads back to: what [`AuthBuilder::choose_provider`](crate::AuthBuilder::choose_provider) chooses by.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    origin: &'a BaseUrl,
    path: &'a str,
}

impl<'a> Place<'a> {
    pub(crate) fn new(origin: &'a BaseUrl, path: &'a str) -> Self {
        Self { origin, path }
    }

    /// The public origin that the sign-in begins at, and comes back to: [`base_url`](crate::AuthBuilder::base_url), or one of the
    /// [further ones](crate::AuthBuilder::further_base_url). It is never another, whatever the request says.
    #[must_use]
    pub fn origin(&self) -> &'a str {
        self.origin.origin()
    }

    /// The host of the origin, `acme.app.example`, in lower case and without a port.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.origin.host()
    }

    /// The path of the page, without the query, as a browser asks for it. It comes from whoever made the link.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }
}

/// Without the path, which may be anything.
impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::Head;

    const A: &str = "https://a.example";
    const B: &str = "https://b.example:8443";
    const SIX: &str = "https://[2001:db8::1]";

    fn origins() -> Origins {
        let further = [B.to_owned(), SIX.to_owned()];
        Origins::new(BaseUrl::new(A).expect("an origin"), &further).expect("three origins")
    }

    fn of(target: Option<&'static str>, hosts: &[&str]) -> String {
        let mut head = Head::get("/");
        head.authority = target;
        for host in hosts {
            head = head.with("host", host);
        }
        let origins = origins();
        origins.get(origins.of(&head)).origin().to_owned()
    }

    // RFC 9110 §4.2.3, §7.2
    #[test]
    fn a_request_belongs_to_the_origin_whose_host_and_port_it_names() {
        for (host, origin) in [
            ("a.example", A),
            ("a.example:443", A),
            ("b.example:8443", B),
            ("B.Example:8443", B),
            ("[2001:db8::1]", SIX),
            ("[2001:DB8::1]:443", SIX),
        ] {
            assert_eq!(of(None, &[host]), origin, "{host}");
        }
        // RFC 9112 §3.2.2, RFC 9113 §8.3.1
        assert_eq!(of(Some("b.example:8443"), &[]), B);
        assert_eq!(of(Some("B.example:8443"), &["b.example:8443"]), B);
        assert_eq!(of(Some("[2001:db8::1]:443"), &["[2001:db8::1]"]), SIX);
    }

    #[test]
    fn what_names_none_of_them_belongs_to_the_first() {
        for host in [
            "",
            "evil.example",
            "b.example",
            "b.example:443",
            "b.example:08443",
            "b.example:8443 ",
            " b.example:8443",
            "b.example.:8443",
            ".b.example:8443",
            "x.b.example:8443",
            "b.example:8443.evil.example",
            "b.example:8443:8443",
            "user@b.example:8443",
            "https://b.example:8443",
            "b.example:8443/",
            "b%2eexample:8443",
            "b.example:8443,a.example",
            "[2001:db8:0:0::1]",
            "2001:db8::1",
            "\u{ff42}.example:8443",
            "b.example\u{0}:8443",
        ] {
            assert_eq!(of(None, &[host]), A, "{host:?}");
        }
        assert_eq!(of(None, &[]), A);
    }

    // RFC 9112 §3.2
    #[test]
    fn what_names_two_belongs_to_the_first() {
        assert_eq!(of(None, &["b.example:8443", "b.example:8443"]), A);
        assert_eq!(of(None, &["a.example", "b.example:8443"]), A);
        assert_eq!(of(None, &["evil.example", "b.example:8443"]), A);
        assert_eq!(of(Some("b.example:8443"), &["a.example"]), A);
        assert_eq!(of(Some("b.example:8443"), &["evil.example"]), A);
        assert_eq!(of(Some("evil.example"), &["b.example:8443"]), A);
        assert_eq!(of(Some("user@b.example:8443"), &["b.example:8443"]), A);
        assert_eq!(of(Some("b.example:8443"), &["b.example:8443", "a.example"]), A);
    }

    #[test]
    fn forwarded_headers_choose_nothing() {
        let head = Head::get("/")
            .with("host", "a.example")
            .with("x-forwarded-host", "b.example:8443")
            .with("forwarded", "host=\"b.example:8443\"");
        assert_eq!(origins().of(&head), OriginId::FIRST);
    }

    #[test]
    fn of_one_origin_no_request_says_otherwise() {
        let one = Origins::new(BaseUrl::new(A).expect("an origin"), &[]).expect("one origin");
        let head = Head::get("/").with("host", "b.example:8443");
        assert_eq!(one.of(&head), OriginId::FIRST);
        assert_eq!(one.mark(OriginId::FIRST), None);
    }

    #[test]
    fn all_have_one_scheme_and_each_a_host_of_its_own() {
        let refused = |further: &str| {
            let first = BaseUrl::new(A).expect("an origin");
            let refused = Origins::new(first, &[B.to_owned(), further.to_owned()]);
            refused.err().map(|error| error.to_string())
        };
        assert_eq!(refused("https://c.example"), None);
        for (further, mend) in [
            ("http://c.example", "scheme"),
            ("https://a.example", "a.example is there already"),
            ("https://A.example:8443", "a.example is there already"),
            ("https://b.example", "b.example is there already"),
            ("https://c.example/path", "without a path"),
            ("https://*.example", "no patterns"),
            ("c.example", "absolute URL"),
            ("https://user:password@c.example", "user name"),
            ("", "absolute URL"),
        ] {
            let error = refused(further).unwrap_or_else(|| panic!("{further} was taken"));
            assert!(
                error.starts_with("AUTH_FURTHER_BASE_URLS")
                    && error.contains(mend)
                    && !error.contains("password@"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_kept_without_an_origin_is_of_the_first() {
        let origins = origins();
        let b = origins.written(B).expect("one of them");
        assert!(origins.is_marked(None, OriginId::FIRST));
        assert!(!origins.is_marked(None, b));
        assert!(origins.is_marked(origins.mark(b).as_deref(), b));
        assert!(!origins.is_marked(origins.mark(b).as_deref(), OriginId::FIRST));
        assert!(!origins.is_marked(origins.mark(OriginId::FIRST).as_deref(), b));
        assert_eq!(origins.marked(Some("https://gone.example")), None);
        // Also once it is the only one that is left.
        let one = Origins::new(BaseUrl::new(A).expect("an origin"), &[]).expect("one origin");
        assert!(!one.is_marked(Some(B), OriginId::FIRST));
        assert!(one.is_marked(Some(A), OriginId::FIRST));
    }
}
