//! What the provider may answer to a refresh, and what becomes of the session.

use auth_core::error::{Fault as Whose, NotSignedIn};
use auth_core::secret::SessionId;
use auth_core::{Auth, Error};
use auth_testing::{Endpoint, Fault, OldKeys};
use serde_json::json;

use crate::provider_logout;
use crate::store::Op;
use crate::world::{LIFE, World, eventually, secs};

/// A refresh that fails for now: 503, and the session is kept as it was.
async fn assert_kept(world: &World, auth: &Auth, id: &SessionId, what: &str) -> Error {
    let error = auth.authenticate(Some(id)).await.expect_err(what);
    assert!(
        matches!(error, Error::Refresh(_) | Error::Provider(_)),
        "{what}: {error:?}"
    );
    assert_eq!(
        (error.status(), error.retry_after().is_some()),
        (503, true),
        "{what}"
    );
    assert_eq!(world.store.sessions(), 1, "{what}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_down_or_talks_nonsense_signs_nobody_out() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let json = "application/json";
    let faults = [
        ("500", Fault::status(500)),
        ("502", Fault::status(502)),
        ("503", Fault::status(503)),
        ("429", Fault::status(429)),
        ("empty 200", Fault::status(200)),
        ("302", Fault::status(302)),
        ("404", Fault::status(404)),
        ("reset", Fault::Reset),
        (
            "HTML",
            Fault::body(200, "text/html", "<html>we are improving our service</html>"),
        ),
        ("HTML as JSON", Fault::body(200, json, "<html>")),
        (
            "half JSON",
            Fault::body(200, json, r#"{"access_token":"x","refresh_tok"#),
        ),
        (
            "no access token",
            Fault::body(200, json, r#"{"token_type":"Bearer","expires_in":60}"#),
        ),
        (
            "an error without a code",
            Fault::body(400, json, r#"{"message":"no"}"#),
        ),
        ("10 MB", Fault::body(200, json, vec![b' '; 10 << 20])),
        ("10 MB of an error", Fault::body(400, json, vec![b' '; 10 << 20])),
        ("server_error", Fault::oauth(400, "server_error")),
        (
            "temporarily_unavailable",
            Fault::oauth(400, "temporarily_unavailable"),
        ),
        ("invalid_request", Fault::oauth(400, "invalid_request")),
        ("invalid_grant with 500", Fault::oauth(500, "invalid_grant")),
        ("invalid_grant with 429", Fault::oauth(429, "invalid_grant")),
    ];
    for (round, (what, fault)) in faults.into_iter().enumerate() {
        world.clock.advance(LIFE);
        world.control().fail_next(Endpoint::Token, 2, fault);
        for _ in 0..2 {
            let error = assert_kept(&world, &world.auth, &id, what).await;
            assert_eq!(error.fault(), Whose::Provider, "{what}");
        }
        assert_eq!(
            world.session(&id).await.refresh_count(),
            round as u64 + 1,
            "{what}"
        );
    }
    assert_eq!(world.control().reuse_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_says_when_to_come_back() {
    let world = World::start().await;
    let id = world.expired().await;
    let fault = Fault::Status {
        status: 503,
        retry_after: Some(secs(7)),
    };
    world.control().fail_next(Endpoint::Token, 1, fault);
    let error = assert_kept(&world, &world.auth, &id, "Retry-After").await;
    assert_eq!(error.retry_after(), Some(secs(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_gone_or_slow_signs_nobody_out() {
    let world = World::start().await;
    let hasty = world.instance_with(|builder| builder.http_timeout(secs(2))).await;
    let id = world.sign_in().await;
    hasty.authenticate(Some(&id)).await.unwrap();
    world.clock.advance(LIFE);

    world.control().go_down().await;
    assert_kept(&world, &world.auth, &id, "gone").await;
    assert_kept(&world, &hasty, &id, "gone, and its metadata was never seen").await;
    world.control().come_up().await.unwrap();
    world.clock.advance(secs(1));
    assert_eq!(world.session(&id).await.refresh_count(), 1);

    world.clock.advance(LIFE);
    // Nobody clears it: the request ends with its connection, and is never carried out.
    world.control().fail_next(Endpoint::Token, 1, Fault::Hang);
    assert_kept(&world, &hasty, &id, "slow").await;
    assert_eq!(hasty.authenticate(Some(&id)).await.unwrap().refresh_count(), 2);
}

// OpenID Connect Discovery §3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_the_provider_refuses_is_a_matter_of_configuration() {
    let world = World::start().await;
    let id = world.expired().await;
    for error in ["invalid_client", "unauthorized_client", "unsupported_grant_type"] {
        world
            .control()
            .fail_next(Endpoint::Token, 1, Fault::oauth(401, error));
        let error = assert_kept(&world, &world.auth, &id, error).await;
        assert_eq!(error.fault(), Whose::Configuration);
    }
    world.session(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_ends_as_a_clean_sign_in() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().fail_next(Endpoint::Token, 1, Fault::LoseAnswer);
    assert_kept(&world, &world.auth, &id, "the answer is lost").await;
    assert_eq!(
        world.control().refresh_count(),
        1,
        "nothing is sent again by itself"
    );
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::GrantEnded)),
        "{error:?}"
    );
    assert_eq!((world.control().refresh_count(), world.store.sessions()), (2, 0));
    let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
}

// OpenID Connect Core §12.2; RFC 6749 §6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_answer_lacks_stays() {
    let world = World::start().await;
    world.control().set_rotation(false);
    let id = world.sign_in().await;
    let before = world.session(&id).await;
    let old = world.token(&before).await;
    world.clock.advance(LIFE);
    world.control().tamper_token_response(|answer| {
        for name in ["refresh_token", "id_token", "scope", "token_type"] {
            answer.remove(name);
        }
    });
    let after = world.session(&id).await;
    assert_ne!(world.token(&after).await, old);
    assert!(after.is_refreshable());
    assert_eq!(after.scopes(), before.scopes());
    assert_eq!(after.claims(), before.claims());
    world.clock.advance(LIFE);
    assert_eq!(
        world.session(&id).await.refresh_count(),
        2,
        "the refresh token is still there"
    );

    // And the ID token: it is shown to the provider at sign-out.
    let mut browser = world.browser();
    browser
        .cookies
        .insert("auth_session".into(), id.expose().to_owned());
    let to = crate::world::location(&browser.logout().await);
    assert!(to.contains("id_token_hint="), "{to}");
}

// RFC 6749 §6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrower_scope_is_believed() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().tamper_token_response(|answer| {
        answer.insert("scope".into(), json!("openid"));
    });
    assert_eq!(world.session(&id).await.scopes().to_string(), "openid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_expires_in_a_token_is_good_until_an_api_refuses_it() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().omit_expires_in(true);
    assert_eq!(world.session(&id).await.access_token_expires_at(), None);
    world.clock.advance(LIFE * 10);
    world.session(&id).await;
    assert_eq!(world.control().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expires_in_may_be_text_or_nonsense() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().tamper_token_response(|answer| {
        answer.insert("expires_in".into(), json!("120"));
    });
    let expires_at = world.session(&id).await.access_token_expires_at();
    assert_eq!(expires_at, Some(world.auth.now().plus(secs(120))));
    world.clock.advance(secs(120));
    world.control().tamper_token_response(|answer| {
        answer.insert("expires_in".into(), json!({"soon": true}));
    });
    assert_eq!(world.session(&id).await.access_token_expires_at(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_dead_on_arrival_makes_no_loop() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().next_access_token_lifetime(secs(0));
    world.session(&id).await;
    assert_eq!(world.control().refresh_count(), 1, "one request, one try");
    assert_eq!(
        world.session(&id).await.refresh_count(),
        2,
        "the next one tries again"
    );
    world.session(&id).await;
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (2, 0)
    );
}

// RFC 6749 §7.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_type_loses_no_refresh_token() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().tamper_token_response(|answer| {
        answer.insert("token_type".into(), json!("mac"));
    });
    assert_kept(&world, &world.auth, &id, "mac").await;
    assert_kept(&world, &world.auth, &id, "mac again").await;
    world.control().clear_tampering();
    world.session(&id).await;
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (3, 0)
    );
}

/// A refresh whose ID token is refused: the session ends, and what came is revoked.
async fn assert_refused(what: &str, tamper: impl FnOnce(&World)) {
    let world = World::start().await;
    let id = world.expired().await;
    tamper(&world);
    let error = world.auth.authenticate(Some(&id)).await.expect_err(what);
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::IdTokenRefused)),
        "{what}: {error:?}"
    );
    assert_eq!(world.store.sessions(), 0, "{what}");
    eventually("the tokens are revoked", || world.revoked().len() == 2).await;
}

// OpenID Connect Core §12.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_id_token_that_is_not_good_ends_the_session() {
    assert_refused("another user", |world| {
        world
            .control()
            .tamper_id_token(|_, claims| drop(claims.insert("sub".into(), json!("bob"))));
    })
    .await;
    assert_refused("another issuer", |world| {
        world
            .control()
            .tamper_id_token(|_, claims| drop(claims.insert("iss".into(), json!("https://id.example"))));
    })
    .await;
    assert_refused("another audience", |world| {
        world
            .control()
            .tamper_id_token(|_, claims| drop(claims.insert("aud".into(), json!("another"))));
    })
    .await;
    assert_refused("a wider audience, with us as the authorized party", |world| {
        world.control().tamper_id_token(|_, claims| {
            let client = claims["aud"].clone();
            claims.insert("azp".into(), client.clone());
            claims.insert("aud".into(), json!([client, "another"]));
        });
    })
    .await;
    assert_refused("the hash of another access token", |world| {
        world.control().tamper_id_token(|_, claims| {
            drop(claims.insert("at_hash".into(), json!("AAAAAAAAAAAAAAAAAAAAAA")))
        });
    })
    .await;
    assert_refused("a bad signature", |world| {
        world.control().corrupt_id_token_signature(true)
    })
    .await;
    assert_refused("no signature", |world| world.control().unsigned_id_token(true)).await;
    assert_refused("an unknown key", |world| {
        world.control().sign_with_unpublished_key(true)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_fetched_once_the_tokens_are_safe() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().rotate_keys(OldKeys::Remove);
    let hold = world.control().hold(Endpoint::Jwks);
    let (auth, key) = (world.auth.clone(), id.clone());
    let refresh = tokio::spawn(async move { auth.authenticate(Some(&key)).await });
    hold.waiting(1).await.unwrap();
    assert_eq!(
        world.store.count(Op::Swap),
        1,
        "saved before anything that may still fail"
    );
    hold.release();
    assert_eq!(refresh.await.unwrap().unwrap().refresh_count(), 1);
    assert_eq!(world.control().count(Endpoint::Jwks), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_has_no_keys_yet_fetches_them() {
    let world = World::start().await;
    let id = world.expired().await;
    let other = world.instance().await;
    assert_eq!(other.authenticate(Some(&id)).await.unwrap().refresh_count(), 1);
    assert_eq!(world.control().count(Endpoint::Jwks), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_had_sign_nobody_out() {
    let world = World::start().await;
    let id = world.expired().await;
    world.control().rotate_keys(OldKeys::Remove);
    world.control().fail(Endpoint::Jwks, Fault::status(503));
    assert_eq!(world.session(&id).await.refresh_count(), 1);
    world.control().clear_all();
    world.clock.advance(LIFE);
    assert_eq!(world.session(&id).await.refresh_count(), 2);
    assert_eq!(world.control().reuse_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_had_sign_nobody_out_however_many_ask() {
    let world = World::start().await;
    let ids = [world.sign_in().await, world.sign_in().await];
    world.clock.advance(LIFE);
    world.control().rotate_keys(OldKeys::Remove);
    world.control().fail(Endpoint::Jwks, Fault::status(503));
    for id in &ids {
        // The second one comes too soon after the first for the keys to be asked for again.
        assert_eq!(world.session(id).await.refresh_count(), 1);
    }
}

// OpenID Connect Core §10.1.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_sends_keeps_nobody_from_new_keys() {
    let world = World::start().await;
    let id = world.expired().await;
    let jwks = || world.control().count(Endpoint::Jwks);
    for n in 0..3 {
        let forged = provider_logout::forged(&world, &format!("made-up-{n}"));
        assert_eq!(provider_logout::send(&world.auth, &forged).await.status, 400);
    }
    assert_eq!(jwks(), 2, "strangers have one look in 30 s");
    world.control().rotate_keys(OldKeys::Remove);
    world.sign_in().await;
    assert_eq!(jwks(), 3);
    assert_eq!(world.session(&id).await.refresh_count(), 1);
    // The other way round: a key that the provider's own tokens have had looked for keeps no sign-out of its waiting.
    world.clock.advance(LIFE);
    world.control().rotate_keys(OldKeys::Remove);
    assert_eq!(world.session(&id).await.refresh_count(), 2);
    world.control().rotate_keys(OldKeys::Remove);
    let good = provider_logout::token(&world, json!({"sub": "nobody"}));
    assert_eq!(provider_logout::send(&world.auth, &good).await.status, 200);
    assert_eq!(jwks(), 5);
}
