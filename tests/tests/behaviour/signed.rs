//! Signed authorization requests (RFC 9101), signed authorization responses (JARM), and the client's published keys.

use auth_testing::{Client, Endpoint, PublicKey};
use auth_tests::stage::{BASE, CLIENT_ID, CLIENT_SECRET, Environment};
use auth_tests::{Stage, World};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use url::Url;

use crate::login::parameters;
use crate::modes::key_pair;

/// A world whose client signs its requests.
async fn signing(
    stage: &Stage,
    kind: &str,
    settings: impl FnOnce(Environment) -> Environment,
) -> (World, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.pem");
    let (private, public) = key_pair(kind);
    std::fs::write(&path, &private).unwrap();
    let client = Client::confidential(CLIENT_ID, CLIENT_SECRET)
        .request_object_key(PublicKey::from_pem(&public).unwrap());
    let world = stage
        .world_of(stage.provider_for(client, BASE), |environment| {
            settings(
                environment
                    .set("AUTH_CLIENT_KEY", path.display())
                    .set("AUTH_REQUEST_OBJECT", "signed"),
            )
        })
        .await;
    world.provider.control().require_signed_requests(true);
    (world, folder)
}

fn part(token: &str, index: usize) -> Map<String, Value> {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn sorted_names(url: &Url) -> Vec<String> {
    let mut names: Vec<_> = parameters(url).into_keys().collect();
    names.sort();
    names
}

#[track_caller]
fn assert_request_object(world: &World, object: &str, algorithms: &[&str]) {
    let (header, claims) = (part(object, 0), part(object, 1));
    assert_eq!(header["typ"], "oauth-authz-req+jwt");
    assert!(
        algorithms.contains(&header["alg"].as_str().unwrap()),
        "{header:?}"
    );
    assert_eq!(claims["aud"], world.provider.issuer());
    assert_eq!(
        (&claims["iss"], &claims["client_id"]),
        (&json!(CLIENT_ID), &json!(CLIENT_ID))
    );
    let now = auth_tests::jar::unix_now();
    assert!(claims["exp"].as_u64().unwrap() <= now + 300 && claims["nbf"].as_u64().unwrap() <= now);
    for name in ["jti", "state", "nonce", "code_challenge", "redirect_uri", "scope"] {
        assert!(claims[name].is_string(), "{name}");
    }
}

// RFC 9101 §4, §5; OpenID Connect Core §6.1
pub(crate) async fn a_signed_request_stands_in_the_url_with_what_has_to_be_beside_it(stage: Stage) {
    for (kind, algorithms) in [
        ("RSA", &["PS256", "RS256"][..]),
        ("P-256", &["ES256"]),
        ("Ed25519", &["EdDSA"]),
    ] {
        let (world, _folder) = signing(&stage, kind, |settings| settings).await;
        let request = world
            .begin(&world.browser, "/auth/login?return_to=/profile")
            .await;
        assert_eq!(
            sorted_names(&request),
            ["client_id", "request", "response_type", "scope"]
        );
        let parameters = parameters(&request);
        assert_eq!(
            (&*parameters["response_type"], &*parameters["scope"]),
            ("code", "openid")
        );
        assert_request_object(&world, &parameters["request"], algorithms);
        let answer = world.finish(&world.browser, &request, "alice").await;
        assert_eq!(answer.location().path(), "/profile");
        world.browser.assert_signed_in_as("alice").await;
    }
}

// RFC 9126 §3
pub(crate) async fn a_signed_request_is_pushed_alone(stage: Stage) {
    let (world, _folder) = signing(&stage, "P-256", |settings| settings.set("AUTH_PAR", "always")).await;
    let request = world.begin(&world.browser, "/auth/login").await;
    assert_eq!(sorted_names(&request), ["client_id", "request_uri"]);
    let push = world
        .provider
        .control()
        .requests(Endpoint::PushedAuthorization)
        .remove(0);
    assert_request_object(&world, push.form("request").unwrap(), &["ES256"]);
    for name in ["state", "nonce", "scope", "redirect_uri", "code_challenge"] {
        assert_eq!(push.form(name), None, "{name}");
    }
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_redirect();
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 7517 §5
pub(crate) async fn the_public_keys_of_a_client_that_has_some_are_published(stage: Stage) {
    let (world, folder) = signing(&stage, "P-256", |settings| settings).await;
    let answer = world.browser.fetch("/auth/jwks").await;
    answer.assert_status(200);
    let keys = answer.json();
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[0]["crv"]), (1, &json!("P-256")));
    assert!(keys[0].get("d").is_none());
    // It is the key that signs.
    let client = Client::confidential(CLIENT_ID, CLIENT_SECRET)
        .redirect_uri(format!("{BASE}/auth/callback"))
        .request_object_key(PublicKey::from_jwk(&keys[0]).unwrap());
    world.provider.control().register(client);
    world.sign_in("alice").await;
    // Whoever asks, also with a session: the provider may keep them for a while.
    let again = world.browser.fetch("/auth/jwks").await;
    for answer in [answer, again] {
        assert_eq!(
            answer.header("cache-control").as_deref(),
            Some("public, max-age=300")
        );
        assert_eq!(answer.header("set-cookie"), None);
    }
    drop(folder);

    let without = stage.world().await;
    without.browser.fetch("/auth/jwks").await.assert_status(404);
}

/// A world whose provider signs its responses.
async fn jarm(stage: &Stage) -> World {
    stage
        .world_with(|settings| settings.set("AUTH_RESPONSE_MODE", "jwt"))
        .await
}

/// The callback with this query in the place of the provider's.
async fn answer(world: &World, callback: &Url, pairs: &[(&str, &str)]) -> auth_tests::Answer {
    let mut url = callback.clone();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    world.callback(&world.browser, &url).await
}

// JARM §2.3.1, §2.4
pub(crate) async fn a_response_is_one_signed_token(stage: Stage) {
    let world = jarm(&stage).await;
    let request = world
        .begin(&world.browser, "/auth/login?return_to=/profile")
        .await;
    assert_eq!(parameters(&request)["response_mode"], "query.jwt");
    let callback = world.approve(&request, "alice").await;
    assert_eq!(sorted_names(&callback), ["response"]);
    let answer = world.callback(&world.browser, &callback).await;
    assert_eq!(answer.location().path(), "/profile");
    world.browser.assert_signed_in_as("alice").await;
}

// JARM §2.4; RFC 6749 §4.1.2.1
pub(crate) async fn a_signed_error_is_a_page(stage: Stage) {
    let world = jarm(&stage).await;
    let request = world.begin(&world.browser, "/auth/login").await;
    let denied = world.provider.deny(request.as_str()).await.unwrap();
    let callback = Url::parse(&denied.callback_url).unwrap();
    assert_eq!(sorted_names(&callback), ["response"]);
    let page = world.callback(&world.browser, &callback).await;
    assert_eq!(page.assert_failure(400..=499), "login.access_denied");
    world.browser.assert_signed_out().await;
}

// JARM §2.1
pub(crate) async fn a_response_that_is_not_wholly_signed_is_refused(stage: Stage) {
    let world = jarm(&stage).await;
    for beside in [None, Some("code"), Some("state"), Some("error"), Some("iss")] {
        let request = world.begin(&world.browser, "/auth/login").await;
        let callback = world.approve(&request, "alice").await;
        let response = parameters(&callback)["response"].clone();
        let claims = part(&response, 1);
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or("x").to_owned();
        let page = match beside {
            None => {
                let (code, state, iss) = (text("code"), text("state"), text("iss"));
                answer(
                    &world,
                    &callback,
                    &[("code", &code), ("state", &state), ("iss", &iss)],
                )
                .await
            }
            Some(name) => answer(&world, &callback, &[("response", &response), (name, &text(name))]).await,
        };
        assert_eq!(
            page.assert_failure(400..=499),
            "login.response_unsigned",
            "{beside:?}"
        );
        world.browser.assert_signed_out().await;
        // The attempt is used up.
        answer(&world, &callback, &[("response", &response)])
            .await
            .assert_failure(400..=499);
    }
    assert_eq!(world.provider.control().count(Endpoint::Token), 0);
}
