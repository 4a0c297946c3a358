//! Guide 5: an API behind another provider.

use auth_testing::{Client, DevProvider, Endpoint, Fault};
use auth_tests::{Stage, World};
use http::Method;

use crate::{sign_in_at, sign_out, world};

/// Ours at the partner's.
const SECRET: &str = "a secret of the partner's";
const WHOAMI: Endpoint = Endpoint::Api2("/whoami");

/// The world of the guide, and the partner's provider with its API.
async fn worlds(stage: &Stage) -> (World, DevProvider) {
    let client = Client::confidential("we-there", SECRET);
    let partner = DevProvider::builder().client(client).start().await.unwrap();
    stage.watch(&partner);
    let world = world(stage, 5, |settings, provider| {
        partner.control().trust(provider);
        settings
            .unset("API2_URL")
            .set("PARTNER_ISSUER", partner.issuer())
            .set("PARTNER_CLIENT_ID", "we-there")
            .set("PARTNER_CLIENT_SECRET", SECRET)
            .set("PARTNER_API_URL", partner.api2_url())
            .set("PARTNER_AUDIENCE", partner.api2_url())
    })
    .await;
    (world, partner)
}

pub(crate) async fn the_guide_from_the_sign_in_to_the_sign_out(stage: Stage) {
    let (world, partner) = worlds(&stage).await;
    let (browser, there) = (&world.browser, partner.control());
    let page = sign_in_at(&world, browser, "/orders", "alice").await;
    assert!(
        page.text()
            .contains("To the partner you are alice. Who asks for you is we-there."),
        "{}",
        page.describe()
    );
    // What the partner is shown of ours: the ID token, from the client that we are there.
    let sent = there.requests(Endpoint::Token);
    let subject_type = sent[0].form("subject_token_type").unwrap();
    assert_eq!(subject_type, "urn:ietf:params:oauth:token-type:id_token");
    assert_eq!(sent[0].form("audience"), Some(partner.api2_url()));
    // One exchange for all calls of the session, also for those of the page's script.
    browser.navigate("/orders").await.assert_status(200);
    let proxied = browser
        .script(Method::GET, "/proxy/partner/whoami")
        .header("x-csrf", "1");
    assert_eq!(proxied.await.assert_status(200).json()["sub"], "alice");
    assert_eq!((there.count(Endpoint::Token), there.count(WHOAMI)), (1, 3));
    // Another user has another token.
    sign_in_at(&world, &browser.fresh(), "/orders", "bob").await;
    assert_eq!(there.count(Endpoint::Token), 2);
    // A token that the API refuses is exchanged again, once.
    there.reject_next(1);
    browser.navigate("/orders").await.assert_status(200);
    assert_eq!(there.count(Endpoint::Token), 3);
    // Our own provider was asked for nothing of it, and no API has seen the other's token.
    let grants = world.provider.control().requests(Endpoint::Token);
    assert!(grants.iter().all(|sent| sent.form("subject_token").is_none()));
    let home = browser.navigate("/").await;
    sign_out(&world, &home).await;
    browser.fetch("/orders").await.assert_problem(401);
}

pub(crate) async fn a_partner_that_refuses_or_is_down_signs_nobody_out(stage: Stage) {
    let (world, partner) = worlds(&stage).await;
    let browser = &world.browser;
    world.sign_in("alice").await;
    let there = partner.control();
    // Our secret there is another one now.
    there.register(Client::confidential("we-there", "another secret"));
    let page = browser.navigate("/orders").await;
    assert_eq!(page.assert_failure(502..=502), "grant.client_refused");
    there.register(Client::confidential("we-there", SECRET));
    // It knows no such audience.
    there.fail_next(Endpoint::Token, 1, Fault::oauth(400, "invalid_target"));
    let page = browser.navigate("/orders").await;
    assert_eq!(page.assert_failure(502..=502), "grant.refused");
    // It answers with another kind of token; the API fails; the script forgets the header.
    there.tamper_token_response(|answer| answer["token_type"] = "DPoP".into());
    let page = browser.navigate("/orders").await;
    assert_eq!(page.assert_failure(502..=502), "grant.unusable");
    there.clear_tampering();
    there.fail_next(WHOAMI, 1, Fault::status(500));
    let page = browser.navigate("/orders").await;
    assert_eq!(page.assert_failure(502..=502), "api.status");
    let problem = browser
        .fetch("/proxy/partner/whoami")
        .await
        .assert_problem(403)
        .json();
    assert_eq!(problem["code"], "proxy.csrf_header");
    // It is down; a person waits, and is not signed out.
    there.go_down().await;
    let other = browser.fresh();
    world.sign_in_with(&other, "bob").await;
    let page = other.navigate("/orders").await;
    page.assert_unavailable();
    assert_eq!(page.assert_failure(503..=503), "grant.unavailable");
    assert!(other.is_signed_in().await);
    assert!(browser.is_signed_in().await);
    there.come_up().await.unwrap();
    browser.navigate("/orders").await.assert_status(200);
}
