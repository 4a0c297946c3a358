//! ID token validation (OpenID Connect Core §3.1.3.7), seen from outside: a bad token is a page, and nobody is signed in.

use auth_testing::{Endpoint, OldKeys};
use auth_tests::jar::unix_now;
use auth_tests::stage::CLIENT_ID;
use auth_tests::{Stage, World};
use serde_json::{Map, Value, json};

pub(crate) type Claims = Map<String, Value>;

fn tamper(world: &World, change: impl Fn(&mut Claims, &mut Claims) + Send + Sync + 'static) {
    world.provider.control().tamper_id_token(change);
}

/// Sets a claim of all coming ID tokens; `null` removes it.
fn claim(world: &World, name: &'static str, value: Value) {
    tamper(world, move |_, claims| set(claims, name, &value));
}

/// Sets a header parameter of all coming ID tokens; `null` removes it.
fn header(world: &World, name: &'static str, value: Value) {
    tamper(world, move |header, _| set(header, name, &value));
}

fn set(object: &mut Claims, name: &str, value: &Value) {
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), value.clone());
    }
}

async fn refused(world: &World, what: &str) {
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let answer = world.finish(&browser, &request, "alice").await;
    assert!(answer.status >= 400, "{what}: {}", answer.describe());
    let code = answer.assert_failure(400..=599);
    browser
        .navigate(&format!("/auth/errors/{code}"))
        .await
        .assert_status(200);
    browser.assert_signed_out().await;
}

async fn accepted(world: &World, what: &str) {
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let answer = world.finish(&browser, &request, "alice").await;
    assert!(
        matches!(answer.status, 302 | 303),
        "{what}: {}",
        answer.describe()
    );
    browser.assert_signed_in_as("alice").await;
}

// OpenID Connect Core §3.1.3.7; OpenID Connect Discovery §4.3
pub(crate) async fn the_issuer_is_ours_to_the_byte(stage: Stage) {
    let world = stage.world().await;
    let issuer = world.provider.issuer().to_owned();
    for value in [
        Value::Null,
        json!(""),
        json!("https://evil.example"),
        json!(format!("{issuer}/")),
        json!(issuer.to_uppercase()),
        json!([issuer]),
    ] {
        claim(&world, "iss", value.clone());
        refused(&world, &format!("iss {value}")).await;
    }
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn the_audience_is_this_client(stage: Stage) {
    let world = stage.world().await;
    for value in [
        Value::Null,
        json!("someone-else"),
        json!([]),
        json!(["someone-else"]),
        json!(format!("{CLIENT_ID} ")),
        json!({"x": CLIENT_ID}),
    ] {
        claim(&world, "aud", value.clone());
        refused(&world, &format!("aud {value}")).await;
    }
    claim(&world, "aud", json!([CLIENT_ID]));
    accepted(&world, "aud as a list of one").await;
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn the_authorized_party_is_this_client(stage: Stage) {
    let world = stage.world().await;
    claim(&world, "azp", json!("someone-else"));
    refused(&world, "another azp").await;
    claim(&world, "aud", json!([CLIENT_ID, "someone-else"]));
    refused(&world, "several audiences without azp").await;
    tamper(&world, |_, claims| {
        set(claims, "aud", &json!([CLIENT_ID, "someone-else"]));
        set(claims, "azp", &json!("someone-else"));
    });
    refused(&world, "several audiences with another azp").await;
    claim(&world, "azp", json!(CLIENT_ID));
    accepted(&world, "azp is ours").await;
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn it_has_not_expired_by_more_than_a_minute(stage: Stage) {
    let world = stage.world().await;
    let now = unix_now();
    for value in [
        json!(now - 90),
        json!(0),
        Value::Null,
        json!("tomorrow"),
        json!(-1),
    ] {
        claim(&world, "exp", value.clone());
        refused(&world, &format!("exp {value}, now {now}")).await;
    }
    claim(&world, "exp", json!(unix_now() - 20));
    accepted(&world, "exp within the tolerance").await;
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn it_was_issued_within_the_last_hour_and_not_in_the_future(stage: Stage) {
    let world = stage.world().await;
    let now = unix_now();
    for value in [
        json!(now + 180),
        json!(now - 3800),
        json!(now + 86400),
        Value::Null,
        json!("now"),
    ] {
        claim(&world, "iat", value.clone());
        refused(&world, &format!("iat {value}, now {now}")).await;
    }
    for value in [unix_now() + 30, unix_now() - 3000] {
        claim(&world, "iat", json!(value));
        accepted(&world, "iat within the tolerance").await;
    }
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn it_is_valid_already(stage: Stage) {
    let world = stage.world().await;
    claim(&world, "nbf", json!(unix_now() + 180));
    refused(&world, "nbf").await;
    claim(&world, "nbf", json!(unix_now() + 30));
    accepted(&world, "nbf within the tolerance").await;
}

// OpenID Connect Core §3.1.3.7; RFC 7636 §4.4; RFC 9700 §4.5.3
pub(crate) async fn the_nonce_is_that_of_the_request(stage: Stage) {
    let world = stage.world().await;
    for value in [
        Value::Null,
        json!(""),
        json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        json!(7),
    ] {
        claim(&world, "nonce", value.clone());
        refused(&world, &format!("nonce {value}")).await;
    }
}

// OpenID Connect Core §3.1.3.8; RFC 9700 §4.6.1
pub(crate) async fn the_access_token_hash_matches_where_present(stage: Stage) {
    let world = stage.world().await;
    for value in [json!("AAAAAAAAAAAAAAAAAAAAAA"), json!(""), json!(7)] {
        claim(&world, "at_hash", value.clone());
        refused(&world, &format!("at_hash {value}")).await;
    }
    claim(&world, "at_hash", Value::Null);
    accepted(&world, "no at_hash").await;
}

pub(crate) async fn it_is_no_token_of_another_type(stage: Stage) {
    let world = stage.world().await;
    for value in ["at+jwt", "logout+jwt", "application/at+jwt", "dpop+jwt", "x"] {
        header(&world, "typ", json!(value));
        refused(&world, &format!("typ {value}")).await;
    }
    for value in [Value::Null, json!("JWT")] {
        header(&world, "typ", value);
        accepted(&world, "an ID token's typ").await;
    }
}

pub(crate) async fn critical_header_parameters_are_not_ignored(stage: Stage) {
    let world = stage.world().await;
    tamper(&world, |header, _| {
        set(header, "crit", &json!(["x"]));
        set(header, "x", &json!(1));
    });
    refused(&world, "crit").await;
}

// OpenID Connect Core §2
pub(crate) async fn the_subject_is_not_empty(stage: Stage) {
    let world = stage.world().await;
    for value in [Value::Null, json!(""), json!(7)] {
        claim(&world, "sub", value.clone());
        refused(&world, &format!("sub {value}")).await;
    }
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn the_signature_is_the_provider_s(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    let change = |token: &str, what: &str| -> String {
        let parts: Vec<&str> = token.split('.').collect();
        let flip = |part: &str| {
            let at = part.len() / 2;
            let other = if part.as_bytes()[at] == b'A' { 'B' } else { 'A' };
            format!("{}{other}{}", &part[..at], &part[at + 1..])
        };
        match what {
            "signature" => format!("{}.{}.{}", parts[0], parts[1], flip(parts[2])),
            "payload" => format!("{}.{}.{}", parts[0], flip(parts[1]), parts[2]),
            "no signature" => format!("{}.{}.", parts[0], parts[1]),
            "two parts" => format!("{}.{}", parts[0], parts[1]),
            "five parts" => format!("{token}.{}.{}", parts[0], parts[1]),
            _ => what.to_owned(),
        }
    };
    for what in [
        "signature",
        "payload",
        "no signature",
        "two parts",
        "five parts",
        "garbage",
        "",
    ] {
        control.tamper_token_response(move |answer: &mut Claims| {
            let changed = change(answer["id_token"].as_str().unwrap(), what);
            answer.insert("id_token".to_owned(), json!(changed));
        });
        refused(&world, what).await;
    }
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn unsigned_and_symmetric_algorithms_are_refused(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    let keys = world
        .browser
        .fetch(&format!("{}/jwks", world.provider.issuer()))
        .await;
    control.unsigned_id_token(true);
    refused(&world, "alg none").await;
    control.unsigned_id_token(false);
    let modulus = keys.json()["keys"][0]["n"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for key in [
        auth_tests::stage::CLIENT_SECRET.as_bytes(),
        keys.body.as_bytes(),
        modulus.as_bytes(),
        b"",
    ] {
        control.hs256_id_token(Some(key.to_vec()));
        refused(&world, "HS256").await;
    }
    control.hs256_id_token(None);
    for algorithm in ["none", "NONE", "HS256", "RS512", "ES256", "XX1", ""] {
        header(&world, "alg", json!(algorithm));
        refused(&world, &format!("alg {algorithm}")).await;
    }
}

// OpenID Connect Core §3.1.3.7
pub(crate) async fn only_configured_algorithms_are_accepted(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_ID_TOKEN_ALG", "ES256"))
        .await;
    refused(&world, "RS256 where ES256 is configured").await;
}

// OpenID Connect Core §10.1.1
pub(crate) async fn an_unknown_key_is_looked_for_once_and_refused(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    accepted(&world, "before").await;
    let before = control.count(Endpoint::Jwks);
    control.sign_with_unpublished_key(true);
    for _ in 0..4 {
        refused(&world, "unpublished key").await;
    }
    assert_eq!(
        control.count(Endpoint::Jwks),
        before + 1,
        "the key set is fetched again once in 30 s"
    );
    control.sign_with_unpublished_key(false);
    accepted(&world, "after").await;
}

// OpenID Connect Core §3.1.3.3
pub(crate) async fn a_missing_id_token_is_refused(stage: Stage) {
    let world = stage.world().await;
    for value in [Value::Null, json!(7), json!({})] {
        world
            .provider
            .control()
            .tamper_token_response(move |answer: &mut Claims| set(answer, "id_token", &value));
        refused(&world, "no ID token").await;
    }
}

// OpenID Connect Core §10.1.1
pub(crate) async fn rotated_keys_are_found(stage: Stage) {
    let world = stage.world().await;
    accepted(&world, "before").await;
    world.provider.control().rotate_keys(OldKeys::Keep);
    accepted(&world, "after the rotation").await;
}

pub(crate) async fn keys_that_say_they_are_for_something_else_are_not_used(stage: Stage) {
    for (name, value) in [
        ("alg", json!("RS512")),
        ("alg", json!("ES256")),
        ("use", json!("enc")),
        ("kty", json!("XYZ")),
        ("kid", json!("another")),
    ] {
        let world = stage.world().await;
        let changed = value.clone();
        world.provider.control().tamper_jwks(move |keys: &mut Claims| {
            for key in keys["keys"].as_array_mut().unwrap() {
                key[name] = changed.clone();
            }
        });
        refused(&world, &format!("a key with {name} {value}")).await;
    }
}

pub(crate) async fn odd_entries_of_the_key_set_are_passed_over(stage: Stage) {
    let world = stage.world().await;
    world.provider.control().tamper_jwks(|keys: &mut Claims| {
        let keys = keys["keys"].as_array_mut().unwrap();
        for odd in [
            json!("text"),
            json!({}),
            json!({"kty": "XYZ"}),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQ"}),
            json!({"kty": "EC", "crv": "P-256", "x": "", "y": ""}),
        ] {
            keys.insert(0, odd);
        }
    });
    accepted(&world, "odd keys beside the right one").await;
}
