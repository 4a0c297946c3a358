//! `oidcc-client-test-rp-init-logout-no-state`: coming back from the provider without a `state` is fine
//! (OpenID Connect RP-Initiated Logout 1.0 §3).
//!
//! The suite passes over the module for a relying party that sends no `state`; see `oidcc_client_test_rp_init_logout_other_state.rs`.

use crate::harness::Suite;
use crate::oidcc_client_test_rp_init_logout_other_state::comes_back_with;

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    comes_back_with(&rp, None).await;
}
