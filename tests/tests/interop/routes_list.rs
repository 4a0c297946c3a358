//! The list of routes: it is the applications' own, and nothing on it is passed over.

use std::collections::BTreeSet;

use auth_tests::routes::{PROXY, PROXY_METHODS, ROUTES, Visit, not_reached};
use http::Method;

const APPS: [&str; 2] = [
    include_str!("../../../examples/axum-app/src/main.rs"),
    include_str!("../../../examples/actix-app/src/main.rs"),
];

/// The texts of a source that are paths.
fn paths(source: &str) -> BTreeSet<&str> {
    source
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with('/'))
        .collect()
}

#[test]
fn the_list_has_every_route_that_the_applications_have_of_their_own() {
    // What the applications ask of the APIs.
    let calls = [
        "/scim2/Me",
        "/users/me",
        "/organizations",
        "/whoami",
        "/machine",
        "/step-up",
    ];
    let listed: BTreeSet<_> = ROUTES
        .iter()
        .map(|(_, route)| *route)
        .filter(|route| !route.starts_with("/auth/"))
        .chain(["/proxy/api"])
        .collect();
    for source in APPS {
        let mut found = paths(source);
        found.retain(|path| !calls.contains(path));
        assert_eq!(found, listed);
    }
}

#[test]
fn the_list_has_every_route_of_the_library() {
    let source = include_str!("../../../crates/auth-core/src/config.rs");
    let (_, rest) = source.split_once("pub mod paths {").unwrap();
    let mut found = paths(rest.split_once("\n}").unwrap().0);
    // There is one only where the application has keys of its own: `interop_requests.rs` has `oidc-provider` fetch it.
    assert!(found.remove("/auth/jwks"));
    let listed: BTreeSet<_> = ROUTES
        .iter()
        .map(|(_, route)| *route)
        .filter(|route| route.starts_with("/auth/") && !route.ends_with('}'))
        .collect();
    assert_eq!(found, listed);
}

#[test]
fn a_route_is_reached_by_its_method_and_with_success_only() {
    let visit = |method, path: &str, status| Visit {
        method,
        path: path.to_owned(),
        status,
    };
    let all: Vec<_> = ROUTES
        .into_iter()
        .chain(PROXY_METHODS.map(|method| (method, PROXY)))
        .map(|(method, route)| {
            visit(
                method,
                &route.replace("{*rest}", "a/b").replace(['{', '}'], ""),
                200,
            )
        })
        .collect();
    assert_eq!(not_reached(&all), Vec::<String>::new());
    for (changed, missing) in [
        (visit(Method::POST, "/api/me", 200), "GET /api/me"),
        (visit(Method::GET, "/api/me", 400), "GET /api/me"),
        (visit(Method::GET, "/api/me/x", 200), "GET /api/me"),
        (
            visit(Method::DELETE, "/api/sessions/", 200),
            "DELETE /api/sessions/{id}",
        ),
    ] {
        let (method, route) = missing.split_once(' ').unwrap();
        let route = route.replace(['{', '}'], "");
        let place = all
            .iter()
            .position(|visit| visit.method == method && visit.path == route);
        let mut visits = all.clone();
        visits[place.unwrap()] = changed;
        assert_eq!(not_reached(&visits), [missing]);
    }
}
