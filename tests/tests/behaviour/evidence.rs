//! The search for secrets that follows each case has something to search, and finds what is there.

use auth_tests::Stage;

pub(crate) async fn what_libraries_trace_is_searched_too(stage: Stage) {
    let world = stage.signed_in("alice").await;
    world.browser.navigate("/profile").await.assert_status(200);
    let log = world.app.stderr();
    // The first writes with `tracing`, the second with `log`.
    for library in ["hyper_util", "reqwest"] {
        let is_traced =
            |line: &String| line.contains(library) && (line.contains("TRACE") || line.contains("DEBUG"));
        assert!(log.iter().any(is_traced), "nothing of {library} is printed");
    }
}

pub(crate) async fn a_secret_is_found_wherever_it_is_seen(stage: Stage) {
    // Texts that are seen in these places, taken for secrets on a stage of their own.
    let other = Stage::new(stage.framework, stage.carrier);
    let world = other.signed_in("alice").await;
    world.browser.navigate("/profile").await.assert_status(200);
    assert_eq!(other.evidence().leaks(), Vec::<String>::new());
    for (text, place) in [
        ("a user has signed in", "standard error"),
        ("listening on http://127.0.0.1:", "standard output"),
        ("frame-ancestors", "header content-security-policy"),
        ("alice@example.com", "body"),
        ("application/scim+json", "header accept"),
        ("authorization_code", "form grant_type"),
        ("/scim2/Me", "path"),
    ] {
        other.secret(text);
        let leaks = other.evidence().leaks();
        assert!(
            leaks.iter().any(|leak| leak.contains(place)),
            "{text:?} is not found in {place}: {leaks:#?}"
        );
    }
}
