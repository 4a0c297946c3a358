//! A provider that means no good, at every document that the core fetches: no answer of it is believed, costs more than
//! the time limit, or keeps the next honest answer from being used.

use std::time::{Duration, Instant};

use auth_core::reply::{Reply, SessionChange};
use auth_core::secret::SessionId;
use auth_testing::{Endpoint, Fault, HostileAnswer};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{World, assert_page, eventually, location, secs};

/// A host that no request may go to.
const ELSEWHERE: &str = "http://127.0.0.1:9/elsewhere";

/// Every answer that is over at once, with the statuses that the page of a failed sign-in may have then.
fn answers() -> Vec<(HostileAnswer, &'static [u16])> {
    let mut answers = Vec::new();
    for (group, statuses) in [
        (HostileAnswer::broken(), &[503][..]),
        (HostileAnswer::malformed(), &[502]),
        (HostileAnswer::redirects(ELSEWHERE), &[502]),
        (HostileAnswer::oversized(), &[502, 503]),
    ] {
        answers.extend(group.into_iter().map(|answer| (answer, statuses)));
    }
    answers
}

#[track_caller]
fn assert_refused(reply: &Reply, name: &str, statuses: &[u16]) {
    let has = |area: &str| reply.body.contains(&format!("<code>{area}."));
    assert!(
        statuses.contains(&reply.status) && (has("provider") || has("login")),
        "{name}: {} {}",
        reply.status,
        reply.body
    );
    assert!(!matches!(reply.session, SessionChange::Set { .. }), "{name}");
    assert!(!reply.body.contains("words of the provider"), "{name}");
}

/// Lets the provider give every answer once. Now and then a request goes out on a connection that the answer before has
/// spoilt: it does not arrive, which is an outage, and is made once more.
async fn assert_all_refused(world: &World, endpoint: Endpoint, attempt: impl AsyncFn() -> Reply) {
    for (HostileAnswer { name, fault }, statuses) in answers() {
        let asked = world.control().count(endpoint);
        world.control().fail_next(endpoint, 1, fault);
        let mut lost = 0;
        loop {
            let reply = attempt().await;
            world.clock.advance(secs(1));
            if world.control().count(endpoint) > asked {
                assert_refused(&reply, name, statuses);
                break;
            }
            assert_refused(&reply, name, &[503]);
            lost += 1;
            assert!(lost < 3, "{name}: nothing arrives");
        }
    }
    all_wires_are_closed(world).await;
    assert_eq!(world.control().count(endpoint), answers().len() as u64);
}

/// Signs in after hostile answers. What was their connection may be closed at the provider's end only; a request that goes
/// out on it does not arrive, which is an outage, and the user tries again.
async fn signs_in_afterwards(world: &World) -> SessionId {
    for _ in 0..3 {
        let mut browser = world.browser();
        let mut reply = browser.login("/").await;
        if reply.status == 303 {
            let redeemed = world.control().count(Endpoint::Token);
            let target = browser.approve(&location(&reply)).await;
            reply = browser.callback(&target).await;
            if let SessionChange::Set { id, .. } = reply.session {
                return id;
            }
            assert_eq!(world.control().count(Endpoint::Token), redeemed, "{}", reply.body);
        }
        assert_refused(&reply, "afterwards", &[503]);
        world.clock.advance(secs(1));
    }
    panic!("nobody can sign in any more");
}

async fn all_wires_are_closed(world: &World) {
    eventually("the connections are given up", || {
        world.control().open_wires() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_in_the_place_of_the_discovery_document_is_believed() {
    let world = World::start().await;
    assert_all_refused(&world, Endpoint::Discovery, async || {
        world.browser().login("/").await
    })
    .await;
    signs_in_afterwards(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_in_the_place_of_the_key_set_is_believed() {
    let world = World::start().await;
    assert_all_refused(&world, Endpoint::Jwks, async || {
        world.browser().try_sign_in("/").await
    })
    .await;
    signs_in_afterwards(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_the_token_endpoint_signs_anyone_in() {
    let world = World::start().await;
    assert_all_refused(&world, Endpoint::Token, async || {
        world.browser().try_sign_in("/").await
    })
    .await;
    assert_eq!(world.store.sessions(), 0);
    signs_in_afterwards(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_userinfo_is_believed_or_fails_a_sign_in() {
    let world = World::start().await;
    world.control().tamper_userinfo(|claims| {
        claims.insert("honest".to_owned(), json!(true));
    });
    let honest = async || {
        let session = world.session(&signs_in_afterwards(&world).await).await;
        session.claims().get("honest").is_some()
    };
    for (HostileAnswer { name, fault }, _) in answers() {
        world.control().fail_next(Endpoint::Userinfo, 1, fault);
        assert!(!honest().await, "{name}");
    }
    all_wires_are_closed(&world).await;
    assert_eq!(world.control().count(Endpoint::Userinfo), answers().len() as u64);
    assert!(honest().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_to_a_refresh_ends_the_session() {
    let world = World::start().await;
    let id = world.expired().await;
    for (HostileAnswer { name, fault }, _) in answers() {
        let asked = world.control().refresh_count();
        world.control().fail_next(Endpoint::Token, 1, fault);
        // What goes out on a connection that the answer before has spoilt may not arrive.
        for _ in 0..3 {
            let error = world.auth.authenticate(Some(&id)).await.unwrap_err();
            assert_eq!(error.status(), 503, "{name}: {error:?}");
            // Longer than anybody is kept from asking after failures.
            world.clock.advance(secs(6));
            if world.control().refresh_count() > asked {
                break;
            }
        }
        assert_eq!(world.control().refresh_count(), asked + 1, "{name}: asked once");
    }
    all_wires_are_closed(&world).await;
    world.session(&id).await;
    assert_eq!(world.control().reuse_count(), 0);
}

/// Pads a document with spaces to so many bytes.
fn padded(document: &Value, size: usize) -> Fault {
    let mut body = document.to_string();
    body.extend(std::iter::repeat_n(' ', size - body.len()));
    Fault::body(200, "application/json", body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_a_mebibyte_is_read_and_one_byte_more_is_not() {
    const LIMIT: usize = 1024 * 1024;
    let world = World::start().await;
    let url = format!("{}/.well-known/openid-configuration", world.provider.issuer());
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let document: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    let keys = world.control().jwks();

    let fail = |endpoint, fault| world.control().fail_next(endpoint, 1, fault);
    fail(Endpoint::Discovery, padded(&document, LIMIT + 1));
    let reply = world.browser().login("/").await;
    assert_page(&reply, 502, "provider.discovery_insufficient");
    world.clock.advance(secs(1));
    fail(Endpoint::Discovery, padded(&document, LIMIT));
    world.browser().begin("/").await;

    fail(Endpoint::Jwks, padded(&keys, LIMIT + 1));
    let reply = world.browser().try_sign_in("/").await;
    assert_page(&reply, 502, "provider.keys_malformed");
    world.clock.advance(secs(1));
    fail(Endpoint::Jwks, padded(&keys, LIMIT));
    signs_in_afterwards(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_never_end_are_given_up_after_the_time_limit() {
    let tries = [Endpoint::Discovery, Endpoint::Jwks]
        .into_iter()
        .flat_map(|endpoint| {
            let each = move |answer| (endpoint, answer);
            HostileAnswer::slow().into_iter().map(each)
        });
    join_all(tries.map(|(endpoint, HostileAnswer { name, fault })| async move {
        let world = World::with(|builder| builder.http_timeout(secs(1))).await;
        world.control().fail_next(endpoint, 1, fault);
        let mut browser = world.browser();
        let start = Instant::now();
        let reply = match endpoint {
            Endpoint::Discovery => browser.login("/").await,
            _ => browser.try_sign_in("/").await,
        };
        let took = start.elapsed();
        assert!(took < Duration::from_secs(8), "{name}: {took:?}");
        assert_page(&reply, 503, "provider.unavailable");
        eventually(name, || world.control().open_wires() == 0).await;
        world.clock.advance(secs(1));
        signs_in_afterwards(&world).await;
    }))
    .await;
}

/// Endpoints may be on other hosts, as Google's are, but only by https, or plainly on this machine where the issuer is
/// there too (`metadata.rs` tests that it has to be).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_are_no_secure_urls_are_not_used() {
    let world = World::start().await;
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
        "end_session_endpoint",
    ] {
        for bad in [
            json!("http://id.example/x"),
            json!("http://10.0.0.1/x"),
            json!("http://169.254.169.254/latest/meta-data"),
            json!("http://127.0.0.1.example/x"),
            json!("http://0.0.0.0/x"),
            json!("file:///etc/passwd"),
            json!("javascript:alert(1)"),
            json!("data:application/json,{}"),
            json!("ftp://127.0.0.1/x"),
            json!("unix:/run/x"),
            json!("//id.example/x"),
            json!("/x"),
            json!("https://user:password@id.example/x"),
            json!("https://"),
            json!("https:// id.example/x"),
            json!("https://id.example/x\r\nhost: y"),
            json!(7),
            json!(["https://id.example/x"]),
        ] {
            let value = bad.clone();
            world.control().tamper_discovery(move |document| {
                document.insert(name.to_owned(), value.clone());
            });
            let reply = world.browser().login("/").await;
            assert_refused(&reply, &format!("{name} {bad}"), &[502]);
            world.clock.advance(secs(1));
        }
    }
    world.control().tamper_discovery(|document| {
        document.insert("end_session_endpoint".into(), "https://other.example/end".into());
    });
    signs_in_afterwards(&world).await;
}
