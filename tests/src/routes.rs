//! The routes of the example applications, as a list that tests can hold each other to.

use http::Method;

/// A request of an application, and how it was answered.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

/// Method and path of every route of `EXAMPLE_APPS.md`, and of the note of the home page. `{name}` is a segment, `{*rest}` all
/// that follows.
pub const ROUTES: [(Method, &str); 34] = [
    (Method::GET, "/"),
    (Method::POST, "/note"),
    (Method::GET, "/auth/login"),
    (Method::POST, "/auth/login"),
    (Method::GET, "/auth/callback"),
    (Method::POST, "/auth/callback"),
    (Method::POST, "/auth/logout"),
    (Method::POST, "/auth/backchannel-logout"),
    (Method::GET, "/auth/frontchannel-logout"),
    (Method::GET, "/auth/session"),
    (Method::GET, "/auth/errors/"),
    (Method::GET, "/auth/errors/{code}"),
    (Method::GET, "/profile"),
    (Method::GET, "/dashboard"),
    (Method::GET, "/sessions"),
    (Method::POST, "/sessions"),
    (Method::GET, "/api/ping"),
    (Method::GET, "/api/me"),
    (Method::GET, "/api/dashboard"),
    (Method::GET, "/api/exchange"),
    (Method::GET, "/api/machine"),
    (Method::GET, "/api/admin"),
    (Method::GET, "/api/mail"),
    (Method::GET, "/api/transfer"),
    (Method::GET, "/api/step-up"),
    (Method::POST, "/api/revoke"),
    (Method::GET, "/api/events"),
    (Method::GET, "/api/sessions"),
    (Method::DELETE, "/api/sessions"),
    (Method::DELETE, "/api/sessions/{id}"),
    (Method::GET, "/api/bearer"),
    (Method::GET, "/metrics"),
    (Method::GET, "/healthz"),
    (Method::GET, "/readyz"),
];

/// The methods with which [`PROXY`] has to be asked: it forwards every one.
pub const PROXY_METHODS: [Method; 3] = [Method::GET, Method::POST, Method::DELETE];

/// The route that forwards to the API.
pub const PROXY: &str = "/proxy/api/{*rest}";

/// The routes that none of these requests has reached with success: a status below 400.
#[must_use]
pub fn not_reached(visits: &[Visit]) -> Vec<String> {
    let proxy = PROXY_METHODS.map(|method| (method, PROXY));
    ROUTES
        .into_iter()
        .chain(proxy)
        .filter(|(method, route)| {
            !visits
                .iter()
                .any(|visit| visit.method == *method && visit.status < 400 && is_of(route, &visit.path))
        })
        .map(|(method, route)| format!("{method} {route}"))
        .collect()
}

/// Whether a path belongs to a route.
fn is_of(route: &str, path: &str) -> bool {
    let (mut wanted, mut there) = (route.split('/'), path.split('/'));
    loop {
        match (wanted.next(), there.next()) {
            (None, None) => return true,
            (Some(segment), Some(_)) if segment.starts_with("{*") => return true,
            (Some(segment), Some(found)) if segment.starts_with('{') && !found.is_empty() => {}
            (Some(segment), Some(found)) if segment == found => {}
            _ => return false,
        }
    }
}
