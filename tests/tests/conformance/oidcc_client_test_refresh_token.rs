//! `oidcc-client-test-refresh-token`: a dead access token is refreshed, and the new one used (OpenID Connect Core §12).

use auth_testing::Endpoint;

use crate::harness::Suite;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    rp.accepts_the_refresh(|_| ()).await;
    let requests = control.requests(Endpoint::Token);
    let request = requests.last().unwrap();
    assert_eq!(request.form("grant_type"), Some("refresh_token"));
    assert!(request.form("refresh_token").is_some());
    assert!(request.header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(control.reuse_count(), 0);

    // The same request with a refresh token that the provider does not accept.
    let browser = rp.signed_in_with_a_dead_token().await;
    control.kill_refresh_tokens();
    browser.fetch("/api/me").await.assert_problem(401);
    browser.assert_signed_out().await;
}
