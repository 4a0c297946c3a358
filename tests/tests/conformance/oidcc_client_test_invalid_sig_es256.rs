//! `oidcc-client-test-invalid-sig-es256`: a wrong ES256 signature is refused (OpenID Connect Core §3.1.3.7, step 6).

use auth_testing::SigningAlgorithm;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite
        .start_with(
            |provider| provider.signing_algorithm(SigningAlgorithm::Es256),
            |settings| settings,
        )
        .await;
    rp.control().corrupt_id_token_signature(true);
    rp.refuses("id_token.signature_invalid", Last::Token).await;
    rp.control().corrupt_id_token_signature(false);
    rp.accepts().await;
}
