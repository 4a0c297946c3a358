//! `oidcc-client-test-signing-key-rotation`: keys that change between two sign-ins are fetched again (OpenID Connect Core §10.1.1).

use auth_testing::{Endpoint, OldKeys};

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    rp.accepts().await;
    assert_eq!(control.count(Endpoint::Jwks), 1);
    control.rotate_keys(OldKeys::Remove);
    rp.accepts().await;
    assert_eq!(control.count(Endpoint::Jwks), 2);
    // A new key that is published nowhere is another matter.
    control.sign_with_unpublished_key(true);
    rp.refuses("id_token.unknown_key", Last::Token).await;
}
