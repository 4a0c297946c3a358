//! `oidcc-client-test-rp-init-logout-other-state`: coming back from the provider with a foreign `state` does no harm
//! (OpenID Connect RP-Initiated Logout 1.0 §3).
//!
//! The suite passes over the module for a relying party that sends no `state`, as this one does not: it needs none, because the session has
//! ended before the browser goes to the provider, and nothing depends on its coming back.

use auth_testing::Endpoint;

use crate::harness::{Rp, Suite, USER};

const FOREIGN: &str = "not-ours";

/// Signs out at the provider, which comes back with this `state`.
pub(crate) async fn comes_back_with(rp: &Rp, state: Option<&str>) {
    let browser = rp.accepts().await;
    let mut location = browser.submit("/auth/logout", &[]).await.location();
    assert!(!location.query_pairs().any(|(name, _)| name == "state"));
    // Ours is over before the provider is asked.
    browser.assert_signed_out().await;
    if let Some(state) = state {
        location.query_pairs_mut().append_pair("state", state);
    }
    let answer = browser.navigate(location.as_str()).await;
    let target = answer.location();
    assert_eq!(target.origin(), browser.base().origin());
    assert_eq!(
        target.query().map(str::to_owned),
        state.map(|state| format!("state={state}"))
    );
    let home = browser.follow(answer).await;
    home.assert_status(200).assert_page();
    assert!(!home.body.contains(FOREIGN), "{}", home.describe());
    browser.assert_signed_out().await;
    assert_eq!(rp.control().count(Endpoint::EndSession), 1);

    // And whoever is signed in stays so, when somebody sends the browser there.
    let other = rp.accepts().await;
    other.navigate(target.as_str()).await.assert_status(200);
    other.assert_signed_in_as(USER).await;
}

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    comes_back_with(&rp, Some(FOREIGN)).await;
}
