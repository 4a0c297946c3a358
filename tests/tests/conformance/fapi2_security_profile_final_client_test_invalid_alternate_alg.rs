//! `fapi2-security-profile-final-client-test-invalid-alternate-alg`: an ID token with an algorithm that the profile does not have is refused, whatever the provider says that it uses (FAPI 2.0 Security
//! Profile §5.4.1).

use auth_testing::SigningAlgorithm;
use serde_json::json;

use crate::harness::{Last, Suite};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start_fapi2().await;
    rp.discovery_member("id_token_signing_alg_values_supported", json!(["RS256", "ES256"]));
    let control = rp.control();
    let weak = control.add_key(SigningAlgorithm::Rs256);
    control.sign_with(&weak);
    rp.refuses("id_token.algorithm_not_allowed", Last::Token).await;
    let strong = control.add_key(SigningAlgorithm::Es256);
    control.sign_with(&strong);
    rp.accepts().await;
}
