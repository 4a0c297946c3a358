//! The client's own keys: what is published, which one signs, and how a provider finds it; and assertions that the secret signs.

use auth_core::Auth;
use auth_core::config::ClientAuthMethod;
use auth_core::jose::SigningKey;
use auth_testing::{Client, Endpoint, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::par::private_key;
use crate::world::{BASE, CLIENT, SECRET, World, header, secs};

fn registered(client: Client) -> Client {
    client.redirect_uri(format!("{BASE}/auth/callback"))
}

/// Header and claims of the latest client assertion at the token endpoint.
fn assertion(world: &World) -> [Value; 2] {
    let request = world.control().requests(Endpoint::Token).pop().unwrap();
    let assertion = request.form("client_assertion").expect("an assertion").to_owned();
    let mut parts = assertion
        .split('.')
        .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

async fn instance(world: &World, pems: &[&str]) -> Auth {
    world
        .instance_with(|builder| {
            let builder = builder.client_auth(ClientAuthMethod::PrivateKeyJwt);
            pems.iter()
                .fold(builder, |builder, pem| builder.client_key_pem(pem))
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 7517 §5; OpenID Connect Core §10.1
async fn a_provider_that_fetches_the_keys_finds_the_one_that_signs() {
    let world = World::start().await;
    let (old, new) = (private_key(), private_key());
    for pems in [
        &[&*old][..],
        &[&old, &new],
        &[&new, &old],
        &[&format!("{new}\n{old}")],
    ] {
        let auth = instance(&world, pems).await;
        let reply = auth.jwks();
        assert_eq!(reply.status, 200);
        assert_eq!(header(&reply, "content-type"), Some("application/jwk-set+json"));
        assert_eq!(header(&reply, "cache-control"), Some("public, max-age=300"));
        let keys: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(Some(&keys), auth.client_jwks().as_ref());
        let keys = keys["keys"].as_array().unwrap();
        assert!(
            keys.iter()
                .all(|key| key.get("d").is_none() && key["use"] == "sig")
        );
        let first = SigningKey::from_pem(pems[0]).unwrap();
        assert_eq!(keys[0]["kid"], first.thumbprint());

        let client = Client::private_key_jwt(CLIENT, PublicKey::from_jwk(&keys[0]).unwrap());
        world.control().register(registered(client));
        assert_eq!(world.browser_of(&auth).try_sign_in("/").await.status, 303);
        let [header, _] = assertion(&world);
        if keys.len() == 1 {
            // It may be registered under another name.
            assert_eq!(header.get("kid"), None);
        } else {
            assert_eq!((keys.len(), &header["kid"]), (2, &keys[0]["kid"]));
        }
    }
}

#[tokio::test]
async fn without_a_key_there_is_nothing_to_publish() {
    let world = World::start().await;
    assert!(world.auth.client_jwks().is_none());
    assert_eq!(world.auth.jwks().status, 404);
    let error = Auth::builder()
        .base_url(BASE)
        .issuer("https://id.example")
        .client(CLIENT, Some(SECRET))
        .client_key_pem(&private_key())
        .client_key_pem("nonsense")
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.variable(), "AUTH_CLIENT_KEY");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §9
async fn client_secret_jwt_shows_the_secret_to_nobody() {
    let world = World::start().await;
    world
        .control()
        .register(registered(Client::secret_jwt(CLIENT, SECRET)));
    let auth = world
        .instance_with(|builder| builder.client_auth(ClientAuthMethod::ClientSecretJwt))
        .await;
    let mut browser = world.browser_of(&auth);
    let id = browser.sign_in("/").await;
    let [first_header, first] = assertion(&world);
    assert_eq!(first_header["alg"], "HS256");
    assert_eq!(first["aud"], world.provider.issuer());
    world.clock.advance(secs(300));
    auth.authenticate(Some(&id)).await.unwrap();
    assert_eq!(world.control().refresh_count(), 1);
    let [_, second] = assertion(&world);
    assert_ne!(first["jti"], second["jti"]);
    for request in world.control().requests(Endpoint::Token) {
        assert!(request.header("authorization").is_none());
        assert!(request.form.iter().all(|(_, value)| !value.contains(SECRET)));
    }
    // Another secret is not accepted.
    let auth = world
        .instance_with(|builder| {
            builder
                .client(CLIENT, Some("another secret, which is long enough too"))
                .client_auth(ClientAuthMethod::ClientSecretJwt)
        })
        .await;
    let reply = world.browser_of(&auth).try_sign_in("/").await;
    crate::world::assert_page(&reply, 502, "login.client_refused");
}

#[tokio::test] // RFC 7518 §3.2
async fn a_secret_that_signs_has_256_bits() {
    let with = |secret: &str| {
        Auth::builder()
            .base_url(BASE)
            .issuer("https://id.example")
            .client(CLIENT, Some(secret))
            .client_auth(ClientAuthMethod::ClientSecretJwt)
            .build()
    };
    let error = with(&"x".repeat(31)).await.unwrap_err();
    assert_eq!(error.variable(), "AUTH_CLIENT_SECRET");
    with(&"x".repeat(32)).await.unwrap();
}
