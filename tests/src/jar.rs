//! A cookie jar that keeps to RFC 6265bis: it stores and sends what a current browser would, and nothing else.
//!
//! Cookies are kept per host and not per port, as browsers do.

use std::time::{Duration, Instant};

use cookie::{Cookie, SameSite};
use url::Url;

/// One `Set-Cookie` that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The whole header value.
    pub header: String,
    /// Whether a browser would have stored or removed something.
    pub accepted: bool,
}

/// A stored cookie.
#[derive(Clone, Debug)]
pub struct Stored {
    host: String,
    path: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    secure: bool,
    same_site: SameSite,
    expires_at: Option<Instant>,
}

/// The jar.
#[derive(Clone, Debug, Default)]
pub struct Jar {
    cookies: Vec<Stored>,
    seen: Vec<Seen>,
}

/// What kind of request asks for cookies.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// Whether another site caused the request.
    pub cross_site: bool,
    /// Whether it is a top-level navigation with a safe method.
    pub safe_navigation: bool,
}

impl Jar {
    /// Takes a `Set-Cookie` header of an answer from `url`.
    pub fn store(&mut self, url: &Url, header: &str) {
        let accepted = self.accept(url, header).is_some();
        self.seen.push(Seen {
            header: header.to_owned(),
            accepted,
        });
    }

    fn accept(&mut self, url: &Url, header: &str) -> Option<()> {
        let cookie = Cookie::parse(header).ok()?;
        let host = url.host_str()?.to_owned();
        let secure_origin = url.scheme() == "https";
        let secure = cookie.secure().unwrap_or(false);
        let (name, value) = (cookie.name().to_owned(), cookie.value().to_owned());
        if name.len() + value.len() > 4096 || (secure && !secure_origin) {
            return None;
        }
        if cookie
            .domain()
            .is_some_and(|domain| domain.trim_start_matches('.') != host)
        {
            return None;
        }
        let path = cookie
            .path()
            .filter(|path| path.starts_with('/'))
            .unwrap_or("/")
            .to_owned();
        if name.starts_with("__Secure-") && !secure {
            return None;
        }
        if name.starts_with("__Host-") && (!secure || cookie.domain().is_some() || cookie.path() != Some("/"))
        {
            return None;
        }
        let same_site = cookie.same_site().unwrap_or(SameSite::Lax);
        if same_site == SameSite::None && !secure {
            return None;
        }
        let same = |old: &Stored| old.host == host && old.path == path && old.name == name;
        if !secure_origin && self.cookies.iter().any(|old| same(old) && old.secure) {
            return None;
        }
        let lives = match (cookie.max_age(), cookie.expires_datetime()) {
            (Some(age), _) => Some(Duration::try_from(age).unwrap_or_default()),
            (None, Some(at)) => {
                let left = at.unix_timestamp() - i64::try_from(unix_now()).unwrap();
                Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
            }
            (None, None) => None,
        };
        self.cookies.retain(|old| !same(old));
        if lives != Some(Duration::ZERO) {
            let expires_at = lives.map(|lives| Instant::now() + lives);
            self.cookies.push(Stored {
                host,
                path,
                name,
                value,
                secure,
                same_site,
                expires_at,
            });
        }
        Some(())
    }

    /// The `Cookie` header for a request to `url`, or `None` where there is nothing to send.
    #[must_use]
    pub fn header(&self, url: &Url, sender: Sender) -> Option<String> {
        let now = Instant::now();
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .filter(|cookie| {
                Some(cookie.host.as_str()) == url.host_str()
                    && path_matches(url.path(), &cookie.path)
                    && (!cookie.secure || url.scheme() == "https")
                    && cookie.expires_at.is_none_or(|at| at > now)
                    && match cookie.same_site {
                        SameSite::None => true,
                        SameSite::Lax => !sender.cross_site || sender.safe_navigation,
                        SameSite::Strict => !sender.cross_site,
                    }
            })
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The cookies stored for a host that have not expired.
    pub fn of_host<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Stored> {
        let now = Instant::now();
        self.cookies
            .iter()
            .filter(move |cookie| cookie.host == host && cookie.expires_at.is_none_or(|at| at > now))
    }

    /// Changes the value of a stored cookie, as a user with developer tools can.
    ///
    /// # Panics
    ///
    /// When there is no such cookie.
    pub fn change(&mut self, name: &str, value: &str) {
        let stored = self
            .cookies
            .iter_mut()
            .find(|cookie| cookie.name == name)
            .expect("a cookie of that name");
        value.clone_into(&mut stored.value);
    }

    /// Forgets all cookies of that name.
    pub fn forget(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    /// Every `Set-Cookie` so far.
    #[must_use]
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }
}

fn path_matches(path: &str, cookie_path: &str) -> bool {
    path == cookie_path
        || path
            .strip_prefix(cookie_path)
            .is_some_and(|rest| cookie_path.ends_with('/') || rest.starts_with('/'))
}

/// Seconds since 1970.
#[must_use]
pub fn unix_now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Sender = Sender {
        cross_site: false,
        safe_navigation: true,
    };

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn refuses_what_browsers_refuse() {
        for (origin, header) in [
            ("https://a.test/", "__Host-x=1; Path=/"),
            ("https://a.test/", "__Host-x=1; Secure; Path=/b"),
            ("https://a.test/", "__Host-x=1; Secure; Path=/; Domain=a.test"),
            ("http://a.test/", "x=1; Secure"),
            ("https://a.test/", "x=1; SameSite=None"),
            ("https://a.test/", "x=1; Domain=b.test"),
        ] {
            let mut jar = Jar::default();
            jar.store(&url(origin), header);
            assert!(!jar.seen()[0].accepted, "{header}");
            assert_eq!(jar.header(&url(origin), SAME), None, "{header}");
        }
    }

    #[test]
    fn a_host_cookie_is_only_removed_by_a_secure_header() {
        let origin = url("https://a.test/");
        let mut jar = Jar::default();
        jar.store(&origin, "__Host-x=1; Secure; Path=/; HttpOnly");
        jar.store(&origin, "__Host-x=; Path=/; Max-Age=0");
        assert_eq!(jar.header(&origin, SAME).as_deref(), Some("__Host-x=1"));
        jar.store(&origin, "__Host-x=; Secure; Path=/; Max-Age=0");
        assert_eq!(jar.header(&origin, SAME), None);
    }

    #[test]
    fn lax_cookies_stay_behind_on_cross_site_posts() {
        let origin = url("https://a.test/");
        let mut jar = Jar::default();
        jar.store(&origin, "lax=1; SameSite=Lax");
        jar.store(&origin, "none=1; SameSite=None; Secure");
        let post = Sender {
            cross_site: true,
            safe_navigation: false,
        };
        let link = Sender {
            cross_site: true,
            safe_navigation: true,
        };
        assert_eq!(jar.header(&origin, post).as_deref(), Some("none=1"));
        assert_eq!(jar.header(&origin, link).as_deref(), Some("lax=1; none=1"));
    }

    #[test]
    fn paths_match_whole_segments() {
        let mut jar = Jar::default();
        jar.store(&url("http://a.test/auth/x"), "x=1; Path=/auth");
        assert!(jar.header(&url("http://a.test/auth/y"), SAME).is_some());
        assert!(jar.header(&url("http://a.test/authority"), SAME).is_none());
    }
}
