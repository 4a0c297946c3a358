//! What a sign-in asks for besides scopes: single claims, authorization details (RFC 9396), resources (RFC 8707).

use std::collections::BTreeMap;

use auth_core::Auth;
use auth_core::config::ParPolicy;
use auth_testing::{Endpoint, Fault};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::par::{private_key, public_key, pushed, query};
use crate::world::{BASE, CLIENT, LIFE, SECRET, World, assert_page};

fn details() -> Value {
    json!([{"type": "account", "actions": ["list"]}, {"type": "payment"}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §5.5; RFC 9396 §2
async fn claims_and_details_are_json_in_every_kind_of_request() {
    let claims = json!({"id_token": {"acr": {"essential": true}}, "userinfo": {"email": null}});
    let pem = private_key();
    let world = World::start().await;
    let client = auth_testing::Client::confidential(CLIENT, SECRET)
        .redirect_uri(format!("{BASE}/auth/callback"))
        .request_object_key(public_key(&pem));
    world.control().register(client);
    let asking = async |policy, is_signed: bool| {
        world
            .instance_with(|builder| {
                let builder = builder
                    .claims(json!({"userinfo": {}}))
                    .claims(claims.clone())
                    .authorization_details(details())
                    .client_key_pem(&pem)
                    .par(policy);
                if is_signed {
                    builder.sign_requests()
                } else {
                    builder
                }
            })
            .await
    };
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();

    let auth = asking(ParPolicy::Never, false).await;
    let url = world.browser_of(&auth).begin("/").await;
    let asked: BTreeMap<_, _> = query(&url).into_iter().collect();
    assert_eq!(parsed(&asked["claims"]), claims);
    assert_eq!(parsed(&asked["authorization_details"]), details());

    let auth = asking(ParPolicy::Always, false).await;
    world.browser_of(&auth).sign_in("/").await;
    assert_eq!(parsed(&pushed(&world)["claims"]), claims);
    assert_eq!(parsed(&pushed(&world)["authorization_details"]), details());

    let auth = asking(ParPolicy::Always, true).await;
    world.browser_of(&auth).sign_in("/").await;
    let object = &pushed(&world)["request"];
    let payload = object.split('.').nth(1).unwrap();
    let object: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(
        (&object["claims"], &object["authorization_details"]),
        (&claims, &details())
    );
}

#[tokio::test] // OpenID Connect Core §5.5; RFC 9396 §2
async fn what_is_not_of_its_form_is_refused_at_the_start() {
    let builder = || {
        Auth::builder()
            .base_url(BASE)
            .issuer("https://id.example")
            .client(CLIENT, Some(SECRET))
    };
    for builder in [
        builder().claims(json!([])),
        builder().claims(json!("id_token")),
        builder().authorization_details(json!({"type": "account"})),
        builder().authorization_details(json!([])),
        builder().authorization_details(json!([{"type": "account"}, {"actions": []}])),
        builder().authorization_details(json!([{"type": 7}])),
        builder().authorization_details(json!(["account"])),
        builder().authorize_param("claims", "{"),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.variable(), "AUTH_AUTHORIZE_PARAMS", "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9396 §7
async fn the_session_knows_what_was_granted_in_detail() {
    let world = World::with(|builder| builder.authorization_details(details())).await;
    let id = world.sign_in().await;
    let granted = async || Value::from(world.session(&id).await.authorization_details().to_vec());
    assert_eq!(granted().await, details());
    // A refresh that says nothing of them changes nothing, and one that says something does.
    world.control().tamper_token_response(|answer| {
        answer.remove("authorization_details");
    });
    world.clock.advance(LIFE);
    assert_eq!((granted().await, world.control().refresh_count()), (details(), 1));
    world.control().tamper_token_response(|answer| {
        answer.insert("authorization_details".to_owned(), json!([{"type": "account"}]));
    });
    world.clock.advance(LIFE);
    assert_eq!(granted().await, json!([{"type": "account"}]));
    assert_eq!(world.control().refresh_count(), 2);

    let world = World::start().await;
    let id = world.sign_in().await;
    assert!(world.session(&id).await.authorization_details().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9396 §5
async fn details_that_are_refused_have_a_code_of_their_own() {
    let world = World::with(|builder| builder.authorization_details(details()).par(ParPolicy::Always)).await;
    let refused = Fault::oauth(400, "invalid_authorization_details");
    world
        .control()
        .fail_next(Endpoint::PushedAuthorization, 1, refused);
    let reply = world.browser().login("/").await;
    assert_page(&reply, 502, "login.authorization_details_refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8707 §2
async fn resources_go_with_the_request_the_code_and_each_refresh() {
    let resources = ["https://a.example/", "https://b.example/"];
    let world = World::with(|builder| {
        builder
            .resource(resources[0])
            .resource(resources[1])
            .par(ParPolicy::Always)
    })
    .await;
    let id = world.sign_in().await;
    world.clock.advance(LIFE);
    world.session(&id).await;
    let push = world.control().requests(Endpoint::PushedAuthorization);
    let tokens = world.control().requests(Endpoint::Token);
    assert_eq!((push.len(), tokens.len()), (1, 2));
    for request in push.iter().chain(&tokens) {
        let asked: Vec<_> = request
            .form
            .iter()
            .filter(|(name, _)| name == "resource")
            .collect();
        let asked: Vec<_> = asked.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(asked, resources, "{}", request.path);
    }
}
