//! `oidcc-client-test-kid-absent-single-jwks`: without key identifiers the one key that fits is used (OpenID Connect Core §10.1).

use serde_json::{Map, json};

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    control.tamper_jwks(|keys: &mut Map<_, _>| {
        let keys = keys["keys"].as_array_mut().unwrap();
        for key in keys.iter_mut() {
            key.as_object_mut().unwrap().remove("kid");
        }
        // A key of another type (RFC 7515, appendix A.3) before it.
        keys.insert(
            0,
            json!({
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }),
        );
    });
    control.tamper_id_token(|header: &mut Map<_, _>, _: &mut Map<_, _>| {
        header.remove("kid");
    });
    rp.accepts().await;
    control.corrupt_id_token_signature(true);
    rp.refuses("id_token.unknown_key", Last::Token).await;
}
