//! `oidcc-client-test-kid-absent-multiple-jwks`: without key identifiers the keys that fit are tried (OpenID Connect Core §10.1).
//!
//! The suite leaves it to the relying party whether it tries the keys or refuses. This one tries them, and at most eight.

use auth_testing::OldKeys;
use serde_json::Map;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    control.rotate_keys(OldKeys::Keep);
    control.rotate_keys(OldKeys::Keep);
    control.tamper_jwks(|keys: &mut Map<_, _>| {
        let keys = keys["keys"].as_array_mut().unwrap();
        assert_eq!(keys.len(), 3);
        for key in keys.iter_mut() {
            key.as_object_mut().unwrap().remove("kid");
        }
        // The one that signs comes last.
        keys.reverse();
    });
    control.tamper_id_token(|header: &mut Map<_, _>, _: &mut Map<_, _>| {
        header.remove("kid");
    });
    rp.accepts().await;
    control.sign_with_unpublished_key(true);
    rp.refuses("id_token.unknown_key", Last::Token).await;
}
