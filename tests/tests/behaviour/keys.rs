//! Keys and algorithms (RFC 7515, 7517, 7518, 8725; OpenID Connect Core §10.1), seen from outside: who signs, with what, and
//! what a token says of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth_testing::{Control, Endpoint, OldKeys, SigningAlgorithm};
use auth_tests::stage::CLIENT_SECRET;
use auth_tests::{Browser, Stage, World};
use aws_lc_rs::encoding::AsDer;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::id_token::Claims;

const ALGORITHMS: [(SigningAlgorithm, &str); 5] = [
    (SigningAlgorithm::Rs256, "RS256"),
    (SigningAlgorithm::Ps256, "PS256"),
    (SigningAlgorithm::Es256, "ES256"),
    (SigningAlgorithm::Es384, "ES384"),
    (SigningAlgorithm::EdDsa, "EdDSA"),
];

/// A sign-in that ends on the page of this code, with nobody signed in.
async fn refused(world: &World, code: &str, what: &str) {
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let answer = world.finish(&browser, &request, "alice").await;
    assert_eq!(
        answer.assert_failure(502..=502),
        code,
        "{what}: {}",
        answer.describe()
    );
    browser.assert_signed_out().await;
}

async fn accepted(world: &World, what: &str) -> Browser {
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let answer = world.finish(&browser, &request, "alice").await;
    assert!(
        matches!(answer.status, 302 | 303),
        "{what}: {}",
        answer.describe()
    );
    browser.assert_signed_in_as("alice").await;
    browser
}

/// A sign-in whose access token is dead on arrival, so that the next request refreshes.
async fn about_to_refresh(world: &World, what: &str) -> Browser {
    let browser = world.browser.fresh();
    world
        .provider
        .control()
        .next_access_token_lifetime(Duration::ZERO);
    let request = world.begin(&browser, "/auth/login").await;
    let answer = world.finish(&browser, &request, "alice").await;
    assert!(
        matches!(answer.status, 302 | 303),
        "{what}: {}",
        answer.describe()
    );
    browser
}

/// Changes the header of all coming ID tokens; `null` removes a member.
fn header(control: &Control, members: Value) {
    control.tamper_id_token(move |header: &mut Claims, _: &mut Claims| {
        for (name, value) in members.as_object().unwrap() {
            if value.is_null() {
                header.remove(name);
            } else {
                header.insert(name.clone(), value.clone());
            }
        }
    });
}

/// Changes the list of published keys.
fn keys(control: &Control, change: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) {
    control.tamper_jwks(move |set: &mut Claims| change(set["keys"].as_array_mut().unwrap()));
}

/// The algorithm of the ID token that the session keeps: sign-out shows it to the provider.
async fn algorithm_of_the_kept_id_token(browser: &Browser) -> Value {
    let location = browser.submit("/auth/logout", &[]).await.location();
    let (_, token) = location
        .query_pairs()
        .find(|(name, _)| name == "id_token_hint")
        .expect("an ID token");
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["alg"].clone()
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn every_usual_algorithm_verifies_id_tokens_refreshed_ones_and_userinfo(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    let kids: Vec<_> = ALGORITHMS
        .iter()
        .map(|(algorithm, _)| control.add_key(*algorithm))
        .collect();
    control.set_signed_userinfo(true);
    for (kid, (_, name)) in kids.iter().zip(ALGORITHMS) {
        control.sign_with(kid);
        control.tamper_userinfo(move |claims: &mut Claims| {
            claims.insert("signed_with".to_owned(), json!(name));
        });
        let browser = accepted(&world, name).await;
        assert_eq!(browser.session().await["user"]["signed_with"], name);
        let browser = about_to_refresh(&world, name).await;
        browser.assert_signed_in_as("alice").await;
        assert_eq!(algorithm_of_the_kept_id_token(&browser).await, name);

        let browser = about_to_refresh(&world, name).await;
        control.corrupt_id_token_signature(true);
        refused(&world, "id_token.signature_invalid", name).await;
        browser.fetch("/api/ping").await.assert_status(401);
        browser.assert_signed_out().await;
        control.clear_tampering();
    }
    assert_eq!(control.refresh_count(), 2 * ALGORITHMS.len() as u64);
    assert_eq!(control.count(Endpoint::Jwks), 1, "no key was unknown");
}

pub(crate) async fn keys_may_change_while_a_sign_in_is_under_way(stage: Stage) {
    // The ID token is signed, then the keys change, then the application fetches them.
    for (old, code) in [
        (OldKeys::Keep, None),
        (OldKeys::Remove, Some("id_token.unknown_key")),
    ] {
        let world = stage.world().await;
        let control = world.provider.control();
        let gate = control.hold_answer(Endpoint::Token);
        let sign_in = async {
            match code {
                None => drop(accepted(&world, "the old key is still published").await),
                Some(code) => refused(&world, code, "the old key is gone").await,
            }
        };
        let rotation = async {
            gate.waiting(1).await.unwrap();
            control.rotate_keys(old);
            gate.release();
        };
        tokio::join!(sign_in, rotation);
        accepted(&world, "with the new key").await;
        // And between the fetch of the keys and the signature.
        control.rotate_keys(OldKeys::Remove);
        if old == OldKeys::Keep {
            accepted(&world, "with a key that came after the first fetch").await;
            assert_eq!(control.count(Endpoint::Jwks), 2);
        }
    }
}

pub(crate) async fn keys_may_change_before_a_refresh(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    let browser = about_to_refresh(&world, "before").await;
    control.rotate_keys(OldKeys::Remove);
    browser.assert_signed_in_as("alice").await;
    assert_eq!((control.refresh_count(), control.count(Endpoint::Jwks)), (1, 2));

    let world = stage.world().await;
    let control = world.provider.control();
    let browser = about_to_refresh(&world, "before").await;
    control.sign_with_unpublished_key(true);
    browser.fetch("/api/ping").await.assert_status(401);
    browser.assert_signed_out().await;
    assert_eq!((control.refresh_count(), control.count(Endpoint::Jwks)), (1, 2));
}

pub(crate) async fn a_token_may_name_no_key(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    header(control, json!({"kid": null}));
    accepted(&world, "one key").await;
    assert_eq!(control.count(Endpoint::Jwks), 1);
    // The one key is replaced. Nothing in the token says so, and the set that is at hand has a key that fits.
    control.rotate_keys(OldKeys::Remove);
    accepted(&world, "another key").await;
    assert_eq!(control.count(Endpoint::Jwks), 2);

    let world = stage.world().await;
    let control = world.provider.control();
    let second = control.add_key(SigningAlgorithm::Rs256);
    control.add_key(SigningAlgorithm::Es256);
    header(control, json!({"kid": null}));
    accepted(&world, "the first of several").await;
    control.sign_with(&second);
    accepted(&world, "the second of several").await;
    control.sign_with_unpublished_key(true);
    refused(&world, "id_token.unknown_key", "none of several").await;
}

pub(crate) async fn keys_with_one_name_are_told_apart_by_trying(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    let second = control.add_key(SigningAlgorithm::Rs256);
    control.add_key(SigningAlgorithm::EdDsa);
    keys(control, |keys| {
        for key in keys {
            key["kid"] = json!("one-name");
        }
    });
    header(control, json!({"kid": "one-name"}));
    accepted(&world, "the first").await;
    control.sign_with(&second);
    accepted(&world, "the second").await;
    control.sign_with_unpublished_key(true);
    refused(&world, "id_token.signature_invalid", "neither").await;
}

pub(crate) async fn keys_for_other_ends_stand_in_nobodys_way(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    keys(control, |keys| {
        let mut good = keys[0].clone();
        let kid = good["kid"].clone();
        let number = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        // What a key set must not hold, and no client may mind or use.
        for name in ["d", "p", "q", "dp", "dq", "qi"] {
            good[name] = json!(number(32));
        }
        good["oth"] = json!([{"r": number(32)}]);
        *keys = vec![
            json!({"kty": "RSA", "kid": kid, "use": "enc", "n": good["n"], "e": good["e"]}),
            json!({"kty": "RSA", "kid": kid, "key_ops": ["wrapKey"], "n": good["n"], "e": good["e"]}),
            json!({"kty": "RSA", "kid": kid, "alg": "RSA-OAEP", "n": good["n"], "e": good["e"]}),
            json!({"kty": "RSA", "kid": kid, "n": number(128), "e": "AQAB"}),
            json!({"kty": "RSA", "kid": kid, "n": number(256), "e": "AQ"}),
            json!({"kty": "RSA", "kid": kid, "n": number(256), "e": "BA"}),
            json!({"kty": "RSA", "kid": kid, "n": number(2048), "e": "AQAB"}),
            json!({"kty": "RSA", "kid": kid, "n": number(100_000), "e": number(100_000)}),
            json!({"kty": "oct", "kid": kid, "k": number(32)}),
            json!({"kty": "EC", "kid": kid, "crv": "secp256k1", "x": number(32), "y": number(32)}),
            json!({"kty": "EC", "kid": kid, "crv": "P-256", "x": number(32), "y": number(32)}),
            json!({"kty": "OKP", "kid": kid, "crv": "X25519", "x": number(32)}),
            json!({"kty": "OKP", "kid": kid, "crv": "Ed448", "x": number(57)}),
            json!({"kty": "AKP", "kid": kid, "alg": "ML-DSA-44", "pub": number(1312)}),
            good,
        ];
    });
    accepted(&world, "the last of many").await;

    // Without the good one there is none.
    let world = stage.world().await;
    let control = world.provider.control();
    keys(control, |keys| {
        let kid = keys[0]["kid"].clone();
        let n = URL_SAFE_NO_PAD.encode([0xff; 128]);
        *keys = vec![json!({"kty": "RSA", "kid": kid, "n": n, "e": "AQAB"})];
    });
    refused(&world, "id_token.unknown_key", "a key of 1024 bits").await;
}

/// The public key in every form in which somebody might take it for the key of a MAC.
fn serialisations(jwk: &Value) -> Vec<Vec<u8>> {
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let (n, e) = (member("n"), member("e"));
    let key = aws_lc_rs::rsa::PublicKey::from_der(&pkcs1(&n, &e)).unwrap();
    let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(&key).unwrap();
    let pem = |label: &str, der: &[u8], end: &str| {
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let body = lines.join("\n");
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----{end}").into_bytes()
    };
    vec![
        pem("PUBLIC KEY", spki.as_ref(), ""),
        pem("PUBLIC KEY", spki.as_ref(), "\n"),
        pem("RSA PUBLIC KEY", &pkcs1(&n, &e), "\n"),
        spki.as_ref().to_vec(),
        pkcs1(&n, &e),
        jwk.to_string().into_bytes(),
        json!({"keys": [jwk]}).to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        n,
        CLIENT_SECRET.as_bytes().to_vec(),
        Vec::new(),
    ]
}

/// RSAPublicKey of RFC 8017 §A.1.1.
fn pkcs1(n: &[u8], e: &[u8]) -> Vec<u8> {
    let value = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    };
    let short = |content: &[u8]| [&[2, u8::try_from(content.len()).unwrap()], content].concat();
    let modulus = value(2, &[&[0], n].concat());
    value(0x30, &[modulus, short(e)].concat())
}

pub(crate) async fn a_public_key_is_no_secret_of_a_mac(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    // The provider says itself that it does so, and publishes the shared secret as a key.
    control.tamper_discovery(|document: &mut Claims| {
        document.insert(
            "id_token_signing_alg_values_supported".to_owned(),
            json!(["none", "HS256", "HS384", "HS512", "RS256"]),
        );
    });
    let jwk = control.jwks()["keys"][0].clone();
    let kid = jwk["kid"].clone();
    keys(control, move |keys| {
        let secret = URL_SAFE_NO_PAD.encode(CLIENT_SECRET);
        keys.insert(
            0,
            json!({"kty": "oct", "kid": kid, "alg": "HS256", "use": "sig", "k": secret}),
        );
    });
    accepted(&world, "an honest token").await;
    for (form, key) in serialisations(&jwk).into_iter().enumerate() {
        control.hs256_id_token(Some(key));
        refused(
            &world,
            "id_token.algorithm_not_allowed",
            &format!("HS256, form {form}"),
        )
        .await;
    }
    header(control, json!({"kid": jwk["kid"]}));
    refused(&world, "id_token.algorithm_not_allowed", "HS256 with a kid").await;
    control.hs256_id_token(None);
    control.unsigned_id_token(true);
    for alg in ["none", "None", "NONE", "nOnE", "none ", ""] {
        header(control, json!({"alg": alg, "kid": jwk["kid"]}));
        refused(&world, "id_token.algorithm_not_allowed", alg).await;
    }
}

pub(crate) async fn the_algorithm_is_the_one_agreed_and_that_of_the_key(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_ID_TOKEN_ALG", "RS256"))
        .await;
    let control = world.provider.control();
    let curve = control.add_key(SigningAlgorithm::Es256);
    accepted(&world, "the algorithm agreed").await;
    control.sign_with(&curve);
    refused(
        &world,
        "id_token.algorithm_not_allowed",
        "ES256 where RS256 is agreed",
    )
    .await;

    let world = stage.world().await;
    let control = world.provider.control();
    let rsa = control.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
    let curve = control.add_key(SigningAlgorithm::Es256);
    let larger_curve = control.add_key(SigningAlgorithm::Es384);
    control.add_key(SigningAlgorithm::Ps256);
    accepted(&world, "an honest token").await;
    header(control, json!({"kid": curve}));
    refused(
        &world,
        "id_token.unknown_key",
        "RS256 under the kid of a curve's key",
    )
    .await;
    header(control, json!({"alg": "PS256"}));
    refused(&world, "id_token.unknown_key", "PS256 with a key for RS256").await;
    // The key no longer says what it is for.
    keys(control, |keys| {
        for key in keys {
            key.as_object_mut().unwrap().remove("alg");
        }
    });
    control.rotate_keys(OldKeys::Keep);
    header(control, json!({"kid": rsa, "alg": "ES256"}));
    refused(&world, "id_token.unknown_key", "ES256 with an RSA key").await;
    control.sign_with(&larger_curve);
    header(control, json!({"alg": "ES256"}));
    refused(&world, "id_token.unknown_key", "ES256 with a key on P-384").await;
    header(control, json!({}));
    accepted(&world, "ES384 with a key on P-384").await;

    let world = stage.world().await;
    let control = world.provider.control();
    control.add_key(SigningAlgorithm::Ps256);
    keys(control, |keys| {
        for key in keys {
            key.as_object_mut().unwrap().remove("alg");
        }
    });
    accepted(&world, "RS256 with an RSA key").await;
    header(control, json!({"alg": "PS256"}));
    refused(&world, "id_token.signature_invalid", "PS256 said, RS256 signed").await;
}

/// A listener that nobody may connect to; how often somebody did.
pub(crate) async fn trap() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (url, count)
}

pub(crate) async fn header_members_that_bring_a_key_along_are_neither_used_nor_fetched(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    let (url, connections) = trap().await;
    control.sign_with_unpublished_key(true);
    let stranger = control.unpublished_jwk().unwrap();
    control.sign_with_unpublished_key(false);
    let published = control.jwks()["keys"][0]["kid"].clone();
    for (name, value) in [
        ("jwk", stranger),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!(["MIIB"])),
        ("x5t#S256", json!("AA")),
    ] {
        header(control, json!({name: value}));
        accepted(&world, name).await;
        control.sign_with_unpublished_key(true);
        refused(&world, "id_token.unknown_key", name).await;
        header(control, json!({name: value, "kid": published}));
        refused(&world, "id_token.signature_invalid", name).await;
        control.sign_with_unpublished_key(false);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

pub(crate) async fn extensions_that_a_header_demands_are_not_ignored(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    for members in [
        json!({"crit": ["b64"], "b64": false}),
        json!({"b64": false}),
        json!({"crit": ["b64"], "b64": true}),
        json!({"crit": ["exp"], "exp": 1}),
        json!({"crit": []}),
        json!({"crit": "exp"}),
        json!({"crit": {}}),
        json!({"zip": "DEF"}),
    ] {
        header(control, members.clone());
        refused(&world, "id_token.critical_header", &members.to_string()).await;
    }
    // What is unknown and not demanded is ignored (RFC 7515 §4).
    header(control, json!({"exp": 1, "x": {"y": [true]}, "cty": "JSON"}));
    accepted(&world, "members without meaning").await;
}
