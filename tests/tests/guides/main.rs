//! The guides in `docs/guides`, each performed as its page tells it, by its own program on both frameworks; and that the pages show
//! these programs to the letter.
//!
//! | guide | case |
//! | --- | --- |
//! | 0 Passport with Asgardeo | `passport::…` |
//! | 1 Auth.js with Asgardeo | `authjs::…` |
//! | 2 Asgardeo's Next.js SDK | `nextjs::…` |
//! | 3 ThunderID's Node SDK | `thunderid::…` |
//! | 4 plain OAuth 2.0 with Auth0 | `auth0::…` |
//! | 5 an API behind another provider | `another_provider::…` |
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod another_provider;
mod auth0;
mod authjs;
mod nextjs;
mod pages;
mod passport;
mod thunderid;
mod trying;

use std::collections::HashMap;

use auth_testing::DevProvider;
use auth_tests::stage::{BASE, Environment};
use auth_tests::{Answer, Browser, Stage, World, html};
use url::Url;

/// Makes a test of each case for each framework.
macro_rules! guides {
    (@on $framework:ident $($module:ident { $($case:ident,)* })*) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $case() {
                use auth_tests::{Carrier, Framework, Stage};
                Stage::run(Framework::$framework, Carrier::Cookie, crate::$module::$case).await;
            })*
        })*
    };
    ($($all:tt)*) => {
        mod axum { guides!(@on Axum $($all)*); }
        mod actix { guides!(@on Actix $($all)*); }
    };
}

guides! {
    passport {
        the_guide_from_the_sign_in_to_the_sign_out,
        its_mistakes_have_the_codes_it_names,
        a_wrong_issuer_is_told_apart,
    }
    authjs {
        its_mistakes_have_the_codes_it_names,
        the_guide_from_the_sign_in_to_the_sign_out,
        the_page_s_script_calls_the_api_and_sees_no_token,
    }
    nextjs {
        the_guide_from_the_sign_in_to_the_sign_out,
        another_organization_takes_the_session_over,
    }
    thunderid {
        the_guide_from_the_sign_in_to_the_sign_out,
        a_token_that_has_expired_is_renewed_once,
        another_account_takes_the_session_over,
        a_revoked_token_is_renewed_or_ends_the_session,
    }
    auth0 {
        the_guide_from_the_sign_in_to_the_sign_out,
        what_the_original_believes_is_refused,
    }
    another_provider {
        the_guide_from_the_sign_in_to_the_sign_out,
        a_partner_that_refuses_or_is_down_signs_nobody_out,
    }
    trying {
        the_settings_that_are_printed_are_enough,
        a_setting_that_is_missing_is_named,
    }
}

/// The scopes that the guides ask for.
const SCOPES: &str = "openid profile email internal_login offline_access";

/// A provider, and the program of this guide with the settings that its page names.
async fn world(
    stage: &Stage,
    guide: u8,
    settings: impl FnOnce(Environment, &DevProvider) -> Environment,
) -> World {
    let provider = stage.provider().start().await.unwrap();
    stage.watch(&provider);
    let environment = stage.environment(&provider).set("AUTH_SCOPES", SCOPES);
    let environment = settings(environment, &provider);
    let app = stage
        .start_program(stage.framework.guide(guide), &environment)
        .await;
    let browser = stage.browser(&app, BASE);
    World {
        provider,
        app,
        browser,
    }
}

/// Opens a page that needs a signed-in user: the authorization request that the browser is sent with.
async fn sent_to_sign_in(world: &World, browser: &Browser, page: &str) -> Url {
    let login = browser.navigate(page).await.location();
    assert_eq!(login.path(), "/auth/login");
    world.begin(browser, login.as_str()).await
}

/// Signs in on the way to this page, and gives the page.
async fn sign_in_at(world: &World, browser: &Browser, page: &str, user: &str) -> Answer {
    let request = sent_to_sign_in(world, browser, page).await;
    let landing = world.finish(browser, &request, user).await;
    assert_eq!(landing.location().as_str(), format!("{BASE}{page}"));
    browser.follow(landing).await
}

fn parameters(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// Presses the button of a page's form that leads to `action`.
async fn press(browser: &Browser, page: &Answer, action: &str) -> Answer {
    let forms = html::forms(&page.body);
    let form = forms.iter().find(|form| form.action == action);
    let form = form.unwrap_or_else(|| panic!("no form to {action}: {}", page.body));
    browser.press(page, form, &[]).await
}

/// The sign-out that each guide ends with: here first, then at the provider, and the tokens are of no use any more.
async fn sign_out(world: &World, page: &Answer) {
    let (browser, control) = (&world.browser, world.provider.control());
    let thief = browser.copy();
    let answer = press(browser, page, "/auth/logout").await;
    let end_session = answer.assert_status(303).location();
    assert!(
        end_session
            .as_str()
            .starts_with(&format!("{}/end-session", world.provider.issuer())),
        "{end_session}"
    );
    let sent = parameters(&end_session);
    assert!(sent["id_token_hint"].len() > 100);
    assert_eq!(sent["post_logout_redirect_uri"], format!("{BASE}/"));
    for browser in [browser, &thief] {
        assert!(!browser.is_signed_in().await);
    }
    let revoked = control.requests(auth_testing::Endpoint::Revoke);
    let hints: Vec<_> = revoked
        .iter()
        .filter_map(|request| request.form("token_type_hint"))
        .collect();
    assert!(hints.contains(&"refresh_token"), "{hints:?}");
}
