//! The provider's metadata and keys: fetched when needed, kept through outages, fetched again at most now and then.

use auth_core::config::ParPolicy;
use auth_core::jose::Algorithm;
use auth_testing::{Endpoint, Fault, OldKeys};
use serde_json::json;

use crate::world::{World, assert_page, eventually, secs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_new_is_fetched_once() {
    let world = World::start().await;
    world.sign_in().await;
    assert_eq!(world.control().count(Endpoint::Jwks), 1);
    world.sign_in().await;
    assert_eq!(world.control().count(Endpoint::Jwks), 1);
    world.control().rotate_keys(OldKeys::Remove);
    world.sign_in().await;
    assert_eq!(
        world.control().count(Endpoint::Jwks),
        2,
        "the first fetch does not count"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_nobody_publishes_is_looked_for_once_in_thirty_seconds() {
    let world = World::start().await;
    world.sign_in().await;
    world.control().sign_with_unpublished_key(true);
    for (later, fetches) in [(0, 2), (0, 2), (29, 2), (1, 3), (29, 3)] {
        world.clock.advance(secs(later));
        let reply = world.browser().try_sign_in("/").await;
        assert_page(&reply, 502, "id_token.unknown_key");
        assert_eq!(world.control().count(Endpoint::Jwks), fetches, "{later} s later");
    }
    world.control().clear_tampering();
    world.sign_in().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_need_keys_fetch_them_once() {
    let world = World::start().await;
    let hold = world.control().hold(Endpoint::Jwks);
    let mut browsers: Vec<_> = (0..8).map(|_| world.browser()).collect();
    let sign_ins = browsers.iter_mut().map(|browser| browser.sign_in("/"));
    let release = async {
        hold.waiting(1).await.unwrap();
        eventually("all have their tokens", || {
            world.control().count(Endpoint::Token) == 8
        })
        .await;
        hold.release();
    };
    tokio::join!(futures_util::future::join_all(sign_ins), release);
    let control = world.control();
    assert_eq!(
        (control.count(Endpoint::Jwks), control.count(Endpoint::Discovery)),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_outlive_an_outage() {
    let world = World::start().await;
    world.sign_in().await;
    world.clock.advance(secs(601));
    world.control().fail(Endpoint::Jwks, Fault::status(503));
    world.sign_in().await;
    eventually("they are asked for in the background", || {
        world.control().count(Endpoint::Jwks) == 2
    })
    .await;
    world.sign_in().await;
    world
        .control()
        .fail(Endpoint::Jwks, Fault::body(200, "application/json", "{}"));
    world.clock.advance(secs(60));
    world.sign_in().await;
    eventually("and again", || world.control().count(Endpoint::Jwks) == 3).await;
    world.sign_in().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_had_are_the_providers_fault_however_often_asked() {
    let world = World::start().await;
    world.sign_in().await;
    world.control().rotate_keys(OldKeys::Remove);
    world.control().fail(Endpoint::Jwks, Fault::status(503));
    for _ in 0..2 {
        assert_page(
            &world.browser().try_sign_in("/").await,
            503,
            "provider.unavailable",
        );
        world.clock.advance(secs(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_served_while_it_is_fetched_again() {
    let world = World::start().await;
    let discoveries = || world.control().count(Endpoint::Discovery);
    world.browser().begin("/").await;
    world.clock.advance(secs(3599));
    world.browser().begin("/").await;
    assert_eq!(discoveries(), 1);

    world.clock.advance(secs(1));
    let hold = world.control().hold(Endpoint::Discovery);
    for _ in 0..3 {
        world.browser().begin("/").await;
    }
    hold.waiting(1).await.unwrap();
    hold.release();
    assert_eq!(discoveries(), 2, "one fetch for all");
}

// RFC 9700 §2.6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_outlives_an_outage() {
    let world = World::start().await;
    let discoveries = || world.control().count(Endpoint::Discovery);
    world.browser().begin("/").await;
    world.clock.advance(secs(3600));
    world.control().fail(Endpoint::Discovery, Fault::status(500));
    world.browser().begin("/").await;
    eventually("the fetch in the background", || discoveries() == 2).await;
    for _ in 0..3 {
        world.browser().begin("/").await;
    }
    world.clock.advance(secs(9));
    world.browser().begin("/").await;
    assert_eq!(discoveries(), 2, "not with every request");
    world.clock.advance(secs(1));
    // The first fetch may not have come back here yet, though the provider has answered it; the next one waits for that.
    let next = async {
        while discoveries() < 3 {
            world.browser().begin("/").await;
        }
    };
    tokio::time::timeout(secs(10), next)
        .await
        .expect("the next fetch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_remembered_for_a_second_at_most() {
    let world = World::start().await;
    let discoveries = || world.control().count(Endpoint::Discovery);
    let fault = Fault::Status {
        status: 503,
        retry_after: Some(secs(9)),
    };
    world.control().fail_next(Endpoint::Discovery, 1, fault);
    for _ in 0..3 {
        let reply = world.browser().login("/").await;
        assert_page(&reply, 503, "provider.unavailable");
        assert_eq!(crate::world::header(&reply, "retry-after"), Some("9"));
    }
    assert_eq!(discoveries(), 1);
    world.clock.advance(secs(1));
    world.browser().begin("/").await;
    assert_eq!(discoveries(), 2);
}

// OpenID Connect Discovery §4.2, §4.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_cannot_be_trusted_is_not_used() {
    let world = World::start().await;
    let issuer = world.provider.issuer().to_owned();
    let cases: [(&str, Fault); 4] = [
        ("provider.discovery_missing", Fault::status(404)),
        (
            "provider.discovery_malformed",
            Fault::body(200, "application/json", "<html>"),
        ),
        (
            "provider.discovery_insufficient",
            Fault::body(200, "application/json", vec![b' '; 2 << 20]),
        ),
        ("provider.unavailable", Fault::Reset),
    ];
    for (code, fault) in cases {
        world.control().fail_next(Endpoint::Discovery, 1, fault);
        let status = if code == "provider.unavailable" { 503 } else { 502 };
        assert_page(&world.browser().login("/").await, status, code);
        world.clock.advance(secs(1));
    }
    world.control().tamper_discovery(move |document| {
        document.insert("issuer".into(), format!("{issuer}/").into());
    });
    assert_page(&world.browser().login("/").await, 502, "provider.issuer_mismatch");
    world.control().tamper_discovery(|document| {
        document.insert("token_endpoint".into(), "http://id.example/token".into());
    });
    world.clock.advance(secs(1));
    assert_page(
        &world.browser().login("/").await,
        502,
        "provider.discovery_insufficient",
    );
}

// OpenID Connect Discovery §3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_does_not_do_for_this_client_counts_for_a_second() {
    const LIST: &str = "id_token_signing_alg_values_supported";
    const ENDPOINT: &str = "pushed_authorization_request_endpoint";
    const REQUIRED: &str = "require_pushed_authorization_requests";
    for (policy, code, [list, endpoint, required]) in [
        (
            ParPolicy::Auto,
            "provider.discovery_insufficient",
            [json!(["HS256"]), json!(null), json!(false)],
        ),
        (
            ParPolicy::Auto,
            "provider.discovery_insufficient",
            [json!([]), json!(null), json!(false)],
        ),
        (
            ParPolicy::Auto,
            "provider.discovery_insufficient",
            [json!(["ES256"]), json!(null), json!(true)],
        ),
        (
            ParPolicy::Always,
            "login.push_unsupported",
            [json!(["ES256"]), json!(null), json!(false)],
        ),
        (
            ParPolicy::Never,
            "login.push_required",
            [json!(["ES256"]), json!("https://id.example/par"), json!(true)],
        ),
    ] {
        let world = World::start().await;
        let auth = world.instance_with(|builder| builder.par(policy)).await;
        let control = world.control();
        let what = format!("{policy:?} {list} {required}");
        control.tamper_discovery(move |document| {
            for (name, value) in [(LIST, &list), (ENDPOINT, &endpoint), (REQUIRED, &required)] {
                document.insert(name.to_owned(), value.clone());
            }
        });
        for _ in 0..3 {
            assert_page(&world.browser_of(&auth).login("/").await, 502, code);
        }
        assert_eq!(control.count(Endpoint::Discovery), 1, "{what}");
        world.clock.advance(secs(1));
        assert_page(&world.browser_of(&auth).login("/").await, 502, code);
        control.clear_tampering();
        world.clock.advance(secs(1));
        for _ in 0..3 {
            world.browser_of(&auth).begin("/").await;
        }
        assert_eq!(control.count(Endpoint::Discovery), 3, "{what}");
    }
}

// OpenID Connect Discovery §3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sets_the_algorithms_needs_no_list_of_them() {
    let world = World::start().await;
    world.control().tamper_discovery(|document| {
        document.remove("id_token_signing_alg_values_supported");
    });
    let set = async |algorithms: [Algorithm; 1]| {
        world
            .instance_with(|builder| builder.id_token_algorithms(algorithms))
            .await
    };
    let auth = set([Algorithm::ES256]).await;
    world.browser_of(&auth).sign_in("/").await;
    let auth = set([Algorithm::RS256]).await;
    let refused = world.browser_of(&auth).try_sign_in("/").await;
    assert_page(&refused, 502, "id_token.algorithm_not_allowed");
    let refused = world.browser().login("/").await;
    assert_page(&refused, 502, "provider.discovery_insufficient");
}
