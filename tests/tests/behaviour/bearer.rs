//! `/api/bearer`: the application as an API that is called with access tokens, without a session.

use std::time::Duration;

use auth_testing::{Endpoint, Fault, OldKeys};
use auth_tests::jar::unix_now;
use auth_tests::stage::{BASE, CLIENT_ID};
use auth_tests::{Answer, Site, Stage, World, wait};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Map, Value, json};

use crate::id_token::Claims;

const PATH: &str = "/api/bearer";

/// The claims of a token for this application, with these changed; null takes one out.
fn claims(world: &World, changes: Value) -> Claims {
    let now = unix_now();
    let mut claims = Map::from_iter([
        ("iss".to_owned(), json!(world.provider.issuer())),
        ("sub".to_owned(), json!("alice")),
        ("aud".to_owned(), json!(BASE)),
        ("exp".to_owned(), json!(now + 300)),
        ("iat".to_owned(), json!(now)),
        ("client_id".to_owned(), json!("a caller")),
        ("scope".to_owned(), json!("read")),
        ("jti".to_owned(), json!("one")),
    ]);
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.clone(), value.clone());
        }
    }
    claims
}

fn signed(world: &World, typ: &str, changes: Value) -> String {
    world.provider.control().sign_jwt(typ, &claims(world, changes))
}

pub(crate) fn good(world: &World) -> String {
    signed(world, "at+jwt", json!({}))
}

pub(crate) async fn call(world: &World, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    world
        .browser
        .fetch(PATH)
        .header("authorization", &authorization)
        .await
}

#[track_caller]
fn assert_invalid(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.describe());
    answer.assert_problem(401);
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert!(
        challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
        "{what}: {challenge}"
    );
}

// RFC 6750 §2.1; RFC 9068 §4
pub(crate) async fn a_good_token_is_answered_with_its_claims(stage: Stage) {
    let world = stage.world().await;
    for typ in ["at+jwt", "application/at+jwt", "JWT"] {
        let token = signed(&world, typ, json!({"aud": ["https://other.example", BASE]}));
        stage.secret(token.clone());
        let answer = call(&world, &token).await;
        answer.assert_status(200).assert_no_cookie().assert_no_store();
        assert_eq!(answer.media_type(), "application/json");
        let shown = answer.json();
        assert_eq!(
            (&shown["sub"], &shown["client_id"]),
            (&json!("alice"), &json!("a caller"))
        );
    }
    let lower_case = format!("bearer {}", good(&world));
    let answer = world
        .browser
        .fetch(PATH)
        .header("authorization", &lower_case)
        .await;
    answer.assert_status(200);
}

// RFC 6750 §3, §3.1
pub(crate) async fn without_a_token_the_challenge_names_no_error(stage: Stage) {
    let world = stage.world().await;
    for answer in [
        world.browser.fetch(PATH).await,
        world.browser.navigate(PATH).await,
        world
            .browser
            .fetch(PATH)
            .header("authorization", "Basic YTpi")
            .await,
    ] {
        answer.assert_problem(401);
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(
            challenge.starts_with("Bearer") && !challenge.contains("error"),
            "{challenge}"
        );
    }
}

// RFC 6750 §3.1; RFC 9068 §4
pub(crate) async fn a_token_that_is_not_good_here_is_refused(stage: Stage) {
    let world = stage.world().await;
    let now = unix_now();
    call(&world, &good(&world)).await.assert_status(200);
    for (what, changes) in [
        ("expired", json!({"exp": now - 120})),
        ("without an end", json!({"exp": null})),
        ("of the future", json!({"nbf": now + 600})),
        ("issued in the future", json!({"iat": now + 600})),
        ("another audience", json!({"aud": "https://other.example"})),
        ("no audience", json!({"aud": null})),
        ("the client as audience", json!({"aud": CLIENT_ID})),
        ("another issuer", json!({"iss": "https://evil.example"})),
        (
            "an issuer that differs in a slash",
            json!({"iss": format!("{}/", world.provider.issuer())}),
        ),
        ("no subject", json!({"sub": null})),
        ("bound to a key", json!({"cnf": {"jkt": "k"}})),
    ] {
        assert_invalid(&call(&world, &signed(&world, "at+jwt", changes)).await, what);
    }
    for garbage in ["garbage", "a.b.c", "a.b.c.d.e", "ey", "eyJhbGciOiJub25lIn0.e30."] {
        assert_invalid(&call(&world, garbage).await, garbage);
    }
}

// OpenID Connect Core §2; Back-Channel Logout 1.0 §2.4; RFC 9068 §2.1
pub(crate) async fn id_and_logout_tokens_are_no_access_tokens(stage: Stage) {
    let world = stage.world().await;
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for (what, typ, changes) in [
        (
            "an ID token",
            "JWT",
            json!({"nonce": "n", "scope": null, "client_id": null}),
        ),
        (
            "a refreshed ID token",
            "JWT",
            json!({"at_hash": "h", "scope": null}),
        ),
        (
            "an ID token by its client",
            "JWT",
            json!({"azp": BASE, "scope": null}),
        ),
        ("a Keycloak ID token", "JWT", json!({"typ": "ID"})),
        ("a logout token", "logout+jwt", json!({"events": event})),
        ("a logout token without its type", "JWT", json!({"events": event})),
        ("a proof", "dpop+jwt", json!({})),
    ] {
        assert_invalid(&call(&world, &signed(&world, typ, changes)).await, what);
    }
    // The real one of a sign-in.
    let (sender, receiver) = std::sync::mpsc::channel();
    world.provider.control().tamper_token_response(move |answer| {
        let _ = sender.send(answer["id_token"].as_str().unwrap().to_owned());
    });
    world.sign_in("alice").await;
    assert_invalid(
        &call(&world, &receiver.recv().unwrap()).await,
        "the ID token of a sign-in",
    );
}

// RFC 8725 §3.1; RFC 9068 §4
pub(crate) async fn forged_signatures_are_refused(stage: Stage) {
    let world = stage.world().await;
    let token = good(&world);
    call(&world, &token).await.assert_status(200);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (_, payload) = input.split_once('.').unwrap();
    let unsigned = |header: Value| format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let public_key = world.provider.control().jwks().to_string();
    let mac = {
        let input = unsigned(json!({"alg": "HS256", "typ": "at+jwt"}));
        let key = hmac::Key::new(hmac::HMAC_SHA256, public_key.as_bytes());
        let tag = hmac::sign(&key, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[20] ^= 1;
    for (what, forged) in [
        (
            "alg none",
            format!("{}.", unsigned(json!({"alg": "none", "typ": "at+jwt"}))),
        ),
        (
            "alg none with a signature",
            format!("{}.{signature}", unsigned(json!({"alg": "none"}))),
        ),
        ("a MAC with the public key", mac),
        (
            "a changed bit",
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(flipped)),
        ),
        (
            "another payload",
            format!(
                "{}.{}.{signature}",
                input.split_once('.').unwrap().0,
                URL_SAFE_NO_PAD.encode(json!({"sub": "mallory"}).to_string())
            ),
        ),
        (
            "an unknown key",
            format!(
                "{}.{signature}",
                unsigned(json!({"alg": "RS256", "kid": "nobody's", "typ": "at+jwt"}))
            ),
        ),
    ] {
        assert_invalid(&call(&world, &forged).await, what);
    }
}

// RFC 6750 §2, §3.1
pub(crate) async fn credentials_that_cannot_be_read_are_a_bad_request(stage: Stage) {
    let world = stage.world().await;
    let token = format!("Bearer {}", good(&world));
    let asked = world
        .browser
        .fetch(PATH)
        .header("authorization", &token)
        .also("authorization", &token);
    let mut answers = vec![asked.await];
    for odd in ["Bearer", "Bearer a b", "Bearer \"a\"", "Bearer a,b"] {
        answers.push(world.browser.fetch(PATH).header("authorization", odd).await);
    }
    for answer in answers {
        answer.assert_problem(400);
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("error=\"invalid_request\""), "{challenge}");
    }
}

// RFC 6750 §2.2, §2.3
pub(crate) async fn nothing_but_the_header_is_looked_at(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let token = good(&world);
    // A session is no token, and a token in the query is none.
    for answer in [
        world.browser.fetch(PATH).await,
        world.browser.fetch(&format!("{PATH}?access_token={token}")).await,
    ] {
        assert!(
            !answer
                .assert_problem(401)
                .header("www-authenticate")
                .unwrap()
                .contains("error")
        );
    }
    // And a token needs no session, and is not asked where it comes from.
    let stranger = world.browser.fresh();
    let asked = stranger
        .fetch(PATH)
        .site(Site::CrossSite)
        .header("origin", "https://elsewhere.example")
        .header("authorization", &format!("Bearer {token}"));
    asked.await.assert_status(200).assert_no_cookie();
    let posted = stranger
        .script(Method::POST, PATH)
        .form(&[("access_token", &token)])
        .await;
    assert!((400..500).contains(&posted.status), "{}", posted.describe());
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 9068 §4
pub(crate) async fn the_audience_is_the_configured_one(stage: Stage) {
    let world = stage
        .world_with(|settings| settings.set("AUTH_BEARER_AUDIENCE", "urn:example:api"))
        .await;
    assert_invalid(&call(&world, &good(&world)).await, "for the base URL");
    let token = signed(&world, "at+jwt", json!({"aud": "urn:example:api"}));
    call(&world, &token).await.assert_status(200);
}

// RFC 9068 §4
pub(crate) async fn keys_that_change_are_followed(stage: Stage) {
    let world = stage.world().await;
    let old = good(&world);
    call(&world, &old).await.assert_status(200);
    world.provider.control().rotate_keys(OldKeys::Remove);
    call(&world, &signed(&world, "at+jwt", json!({"jti": "two"})))
        .await
        .assert_status(200);
    assert_eq!(world.provider.control().count(Endpoint::Jwks), 2);
    assert_invalid(&call(&world, &old).await, "signed with a key that is gone");
}

pub(crate) async fn while_the_keys_cannot_be_had_it_is_503(stage: Stage) {
    let world = stage.world().await;
    let token = good(&world);
    world.provider.control().go_down().await;
    let answer = call(&world, &token).await;
    answer.assert_unavailable();
    assert!(answer.header("www-authenticate").is_none());
    world.browser.fetch(PATH).await.assert_status(401);
    world.provider.control().come_up().await.unwrap();
    // The failure is remembered for a second.
    wait::until("the keys are fetched", Duration::from_secs(10), || async {
        call(&world, &token).await.status == 200
    })
    .await;
    world.provider.control().go_down().await;
    call(&world, &token).await.assert_status(200);
    call(&world, &signed(&world, "at+jwt", json!({"jti": "two"})))
        .await
        .assert_status(200);
}

pub(crate) async fn two_hundred_at_once_fetch_the_keys_once(stage: Stage) {
    let world = stage.world().await;
    let token = good(&world);
    let answers = join_all((0..200).map(|_| call(&world, &token))).await;
    for answer in answers {
        answer.assert_status(200);
    }
    let control = world.provider.control();
    assert_eq!(
        (control.count(Endpoint::Discovery), control.count(Endpoint::Jwks)),
        (1, 1)
    );
}

pub(crate) async fn ten_thousand_forged_tokens_cause_no_requests(stage: Stage) {
    let world = stage.world().await;
    let token = good(&world);
    call(&world, &token).await.assert_status(200);
    let (input, _) = token.rsplit_once('.').unwrap();
    let (_, payload) = input.split_once('.').unwrap();
    let unknown = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": "nobody's"}).to_string());
    for round in 0..100 {
        let forged = (0..100).map(|n| match n % 3 {
            0 => format!("{input}.{round:04}{n:04}"),
            1 => format!("{unknown}.{payload}.{round:04}{n:04}"),
            _ => format!("garbage{round}x{n}"),
        });
        let answers = join_all(forged.map(async |token| call(&world, &token).await.status)).await;
        assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
    }
    call(&world, &token).await.assert_status(200);
    // One look for the unknown key in 30 s, however long this took.
    let fetches = world.provider.control().count(Endpoint::Jwks);
    assert!((2..=5).contains(&fetches), "{fetches}");
    assert_eq!(world.provider.control().all_requests().len() as u64, fetches + 1);
}

// RFC 7662 §2
pub(crate) async fn a_plain_provider_answers_by_introspection(stage: Stage) {
    let world = crate::modes::plain(&stage, |settings, metadata| {
        settings.set(
            "AUTH_INTROSPECTION_URL",
            metadata["introspection_endpoint"].as_str().unwrap(),
        )
    })
    .await;
    let control = world.provider.control();
    let token = control.opaque_token(&good(&world));
    let answer = call(&world, &token).await;
    assert_eq!(answer.assert_status(200).json()["sub"], "alice");
    let answers = join_all((0..50).map(|_| call(&world, &token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(control.count(Endpoint::Introspect), 1);
    assert_invalid(&call(&world, "nobody-knows-it").await, "not active");
    let elsewhere = signed(&world, "at+jwt", json!({"aud": "https://other.example"}));
    assert_invalid(
        &call(&world, &control.opaque_token(&elsewhere)).await,
        "another audience",
    );
    control.fail(Endpoint::Introspect, Fault::status(500));
    let other = control.opaque_token(&signed(&world, "at+jwt", json!({"jti": "two"})));
    call(&world, &other).await.assert_unavailable();
    call(&world, &token).await.assert_status(200);
    control.clear_all();
    call(&world, &other).await.assert_status(200);
}

pub(crate) async fn a_plain_provider_without_introspection_refuses_every_token(stage: Stage) {
    let world = crate::modes::plain(&stage, |settings, _| settings).await;
    assert_invalid(&call(&world, &good(&world)).await, "nothing to check it with");
    world.browser.fetch(PATH).await.assert_problem(401);
}
