//! `oidcc-client-test-ignores-unparseable-key-in-jwks`: keys that nobody here can read do not spoil the set (RFC 7517 §5).

use serde_json::{Map, json};

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    control.tamper_jwks(|keys: &mut Map<_, _>| {
        let keys = keys["keys"].as_array_mut().unwrap();
        // A key for a signature that does not exist yet, and one of a type that never will.
        for odd in [
            json!({"kty": "AKP", "alg": "ML-DSA-1024", "kid": "later", "use": "sig", "pub": "AAAA"}),
            json!({"kty": "never", "kid": "never", "use": "sig", "made": {"up": [1]}}),
        ] {
            keys.insert(0, odd);
        }
    });
    rp.accepts().await;
    control.sign_with_unpublished_key(true);
    rp.refuses("id_token.unknown_key", Last::Token).await;
}
