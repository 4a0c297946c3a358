//! `oidcc-client-test-form-post-error`: an error that comes as a form is a page for the user (OAuth 2.0 Form Post Response Mode §2).

use auth_testing::Endpoint;

use crate::harness::{Last, Suite};

const WORDS: &str = "words of the provider";

pub(crate) async fn module(suite: Suite) {
    let rp = suite
        .start_set(|settings| settings.set("AUTH_AUTHORIZE_PARAMS", "prompt=none&max_age=0"))
        .await;
    rp.control()
        .tamper_callback(|parameters: &mut Vec<(String, String)>| {
            parameters.retain(|(name, _)| name != "error_description");
            parameters.push(("error_description".to_owned(), WORDS.to_owned()));
        });
    let page = rp.refuses("login.interaction_required", Last::Response).await;
    assert!(!page.body.contains(WORDS), "{}", page.describe());
    let asked = |name| rp.authorization_parameter(name);
    assert_eq!(asked("response_mode").as_deref(), Some("form_post"));
    assert_eq!(
        (asked("prompt").as_deref(), asked("max_age").as_deref()),
        (Some("none"), Some("0"))
    );
    assert_eq!(rp.control().count(Endpoint::Token), 0);

    // The same provider, which may show its page.
    let rp = suite.start().await;
    rp.accepts().await;
}
