//! `oidcc-client-test-idtoken-sig-rs256`: an ID token signed with RS256 is accepted (OpenID Connect Core §3.1.3.7, step 7).

use auth_testing::SigningAlgorithm;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rs256 =
        |provider: auth_testing::DevProviderBuilder| provider.signing_algorithm(SigningAlgorithm::Rs256);
    let rp = suite.start_with(rs256, |settings| settings).await;
    rp.discovery_member("id_token_signing_alg_values_supported", json!(["RS256"]));
    rp.accepts().await;

    // The same token, where another algorithm is agreed.
    let rp = suite
        .start_with(rs256, |settings| settings.set("AUTH_ID_TOKEN_ALG", "ES256"))
        .await;
    rp.refuses("id_token.algorithm_not_allowed", Last::Token).await;
}
