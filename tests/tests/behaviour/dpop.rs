//! Tokens that are bound to a key (RFC 9449): `AUTH_DPOP=true`.

use std::collections::HashSet;
use std::time::Duration;

use auth_testing::{DpopNonces, Endpoint, RecordedRequest};
use auth_tests::raw;
use auth_tests::stage::Environment;
use auth_tests::upstream::{Upstream, values};
use auth_tests::{Browser, Stage, World};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Map, Value};
use url::Url;

use crate::login::parameters;
use crate::store::address;

fn bound(settings: Environment) -> Environment {
    settings.set("AUTH_DPOP", true)
}

async fn world(stage: &Stage) -> World {
    stage.world_with(bound).await
}

async fn signed_in(stage: &Stage) -> World {
    let world = world(stage).await;
    world.sign_in("alice").await;
    world
}

/// A part of a request's proof: its header or its claims.
fn part(proof: &str, at: usize) -> Map<String, Value> {
    let part = proof.split('.').nth(at).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn claims(request: &RecordedRequest) -> Map<String, Value> {
    part(request.header("dpop").expect("a proof"), 1)
}

fn key(request: &RecordedRequest) -> String {
    part(request.header("dpop").expect("a proof"), 0)["jwk"].to_string()
}

/// The keys that were proved there.
fn keys(world: &World, endpoint: Endpoint) -> HashSet<String> {
    let requests = world.provider.control().requests(endpoint);
    requests.iter().map(key).collect()
}

/// No token was ever shown as a bearer token, and no proof twice.
#[track_caller]
fn assert_all_bound(world: &World) {
    let mut seen = HashSet::new();
    for (endpoint, request) in world.provider.control().all_requests() {
        let authorization = request.header("authorization").unwrap_or_default();
        assert!(!authorization.starts_with("Bearer"), "{endpoint:?}");
        let is_new = request
            .header("dpop")
            .is_none_or(|proof| seen.insert(proof.to_owned()));
        assert!(is_new, "{endpoint:?}: a proof was used twice");
    }
}

async fn fetch(browser: &Browser, path: &str) -> u16 {
    browser.fetch(path).header("x-csrf", "1").await.status
}

const PATHS: [&str; 6] = [
    "/api/me",
    "/api/dashboard",
    "/api/exchange",
    "/api/machine",
    "/proxy/api/users/me",
    "/proxy/api/echo/a",
];

// RFC 9449 §5, §7.1, §10
pub(crate) async fn every_token_is_bound_and_shown_with_a_proof(stage: Stage) {
    let world = world(&stage).await;
    let request = world
        .begin(&world.browser, "/auth/login?return_to=/profile")
        .await;
    assert_eq!(parameters(&request)["dpop_jkt"].len(), 43);
    for cookie in world.browser.cookies() {
        // Every browser keeps it, its attributes included.
        assert!(cookie.name.len() + cookie.value.len() < 3900, "{}", cookie.name);
    }
    let answer = world.finish(&world.browser, &request, "alice").await;
    assert_eq!(answer.location().path(), "/profile");
    world.browser.navigate("/profile").await.assert_status(200);
    for path in PATHS {
        assert_eq!(fetch(&world.browser, path).await, 200, "{path}");
    }
    let control = world.provider.control();
    let sign_in = control.requests(Endpoint::Token).remove(0);
    assert_eq!(
        claims(&sign_in)["htu"],
        format!("{}/token", world.provider.issuer())
    );
    for endpoint in [
        Endpoint::Userinfo,
        Endpoint::Api("/scim2/Me"),
        Endpoint::Api("/users/me"),
        Endpoint::Api("/organizations"),
        Endpoint::Api2("/whoami"),
        Endpoint::Api("/echo"),
    ] {
        assert_eq!(
            keys(&world, endpoint),
            HashSet::from([key(&sign_in)]),
            "{endpoint:?}"
        );
    }
    // The application's own token has a key of its own.
    assert_ne!(
        keys(&world, Endpoint::Api("/machine")),
        HashSet::from([key(&sign_in)])
    );
    assert_all_bound(&world);
}

// RFC 9449 §10
pub(crate) async fn a_code_for_another_key_signs_nobody_in(stage: Stage) {
    let world = world(&stage).await;
    let request = world.begin(&world.browser, "/auth/login").await;
    let mut changed = request.clone();
    let parameters = request.query_pairs().map(|(name, value)| match &*name {
        "dpop_jkt" => (name, "A".repeat(43).into()),
        _ => (name, value),
    });
    let parameters: Vec<_> = parameters.collect();
    changed.query_pairs_mut().clear().extend_pairs(parameters);
    let callback = world.approve(&changed, "alice").await;
    let answer = world.callback(&world.browser, &callback).await;
    assert_eq!(
        (answer.status, answer.failure_code().as_deref()),
        (502, Some("login.code_refused"))
    );
    world.browser.assert_signed_out().await;
}

// RFC 9449 §5
pub(crate) async fn another_type_of_token_fails_the_sign_in(stage: Stage) {
    let world = world(&stage).await;
    let control = world.provider.control();
    let attempt = || async {
        let request = world.begin(&world.browser, "/auth/login").await;
        world.finish(&world.browser, &request, "alice").await
    };
    for kind in [Some("Bearer"), Some("mac"), None] {
        control.tamper_token_response(move |answer| {
            answer.remove("token_type");
            answer.extend(kind.map(|kind| ("token_type".to_owned(), kind.into())));
        });
        let answer = attempt().await;
        assert_eq!(answer.status, 502, "{kind:?}");
        assert_eq!(answer.failure_code().as_deref(), Some("login.token_type"));
        world.browser.assert_signed_out().await;
    }
    control.clear_tampering();
    control.set_dpop(false);
    assert_eq!(
        attempt().await.failure_code().as_deref(),
        Some("login.token_type")
    );
    control.set_dpop(true);
    control.tamper_token_response(|answer| drop(answer.insert("token_type".to_owned(), "dPoP".into())));
    assert!(matches!(attempt().await.status, 302 | 303));
    world.browser.assert_signed_in_as("alice").await;
}

// RFC 9449 §5
pub(crate) async fn a_refresh_keeps_the_key_and_a_downgrade_is_not_taken(stage: Stage) {
    let world = world(&stage).await;
    let control = world.provider.control();
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    control.next_access_token_lifetime(Duration::ZERO);
    control.tamper_token_response(|answer| drop(answer.insert("token_type".to_owned(), "Bearer".into())));
    world.browser.fetch("/api/me").await.assert_unavailable();
    control.clear_tampering();
    auth_tests::wait::until("another refresh", Duration::from_secs(15), || async {
        fetch(&world.browser, "/api/me").await == 200
    })
    .await;
    assert_eq!(keys(&world, Endpoint::Token).len(), 1);
    assert_eq!(control.reuse_count(), 0);
    assert_all_bound(&world);
}

// RFC 9449 §8, §8.2, §9
pub(crate) async fn the_latest_nonce_of_each_server_is_used(stage: Stage) {
    let world = world(&stage).await;
    let control = world.provider.control();
    control.set_dpop_nonces(DpopNonces::SingleUse);
    control.set_api_dpop_nonces(DpopNonces::SingleUse);
    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    assert_eq!(control.count(Endpoint::Token), 2);
    for round in 1..4 {
        for path in ["/api/me", "/proxy/api/echo", "/api/exchange"] {
            assert_eq!(fetch(&world.browser, path).await, 200, "{path} {round}");
        }
        assert_eq!(control.count(Endpoint::Api2("/whoami")), round + 1);
    }
    // One demand of the first API, for the client and the proxy together.
    let first = control.count(Endpoint::Api("/scim2/Me")) + control.count(Endpoint::Api("/echo"));
    assert_eq!(first, 7);
    // The sign-in's two, a refresh and an exchange.
    assert_eq!((control.count(Endpoint::Token), control.refresh_count()), (4, 1));
    control.expire_dpop_nonces();
    assert_eq!(fetch(&world.browser, "/api/me").await, 200);
    assert_eq!((control.refresh_count(), control.foreign_dpop_nonces()), (1, 0));
    assert_all_bound(&world);
}

// RFC 9449 §9
pub(crate) async fn a_demand_for_a_nonce_is_not_the_one_retry(stage: Stage) {
    let world = signed_in(&stage).await;
    let control = world.provider.control();
    control.set_api_dpop_nonces(DpopNonces::Demanded);
    for (path, endpoint) in [("/api/me", "/scim2/Me"), ("/proxy/api/echo", "/echo")] {
        control.expire_dpop_nonces();
        control.reject_next(1);
        let refreshes = control.refresh_count();
        assert_eq!(fetch(&world.browser, path).await, 200, "{path}");
        assert_eq!(control.refresh_count(), refreshes + 1);
        assert_eq!(control.count(Endpoint::Api(endpoint)), 3);
    }
    assert_all_bound(&world);
}

// RFC 9449 §2
pub(crate) async fn fifty_requests_each_of_two_sessions_never_mix(stage: Stage) {
    let world = world(&stage).await;
    let control = world.provider.control();
    control.set_dpop_nonces(DpopNonces::Demanded);
    control.set_api_dpop_nonces(DpopNonces::Demanded);
    let bob = world.browser.fresh();
    for (browser, user) in [(&world.browser, "alice"), (&bob, "bob")] {
        control.next_access_token_lifetime(Duration::ZERO);
        world.sign_in_with(browser, user).await;
    }
    let calls = (0..100).map(|number| match number % 4 {
        0 => fetch(&world.browser, "/api/me"),
        1 => fetch(&bob, "/proxy/api/users/me"),
        2 => fetch(&world.browser, "/proxy/api/echo/alice"),
        _ => fetch(&bob, "/api/exchange"),
    });
    let answers = join_all(calls).await;
    assert_eq!(
        answers.iter().filter(|status| **status == 200).count(),
        100,
        "{answers:?}"
    );
    assert_eq!((control.foreign_dpop_nonces(), control.reuse_count()), (0, 0));
    let of = |endpoints: [Endpoint; 2]| -> HashSet<_> {
        endpoints
            .into_iter()
            .flat_map(|endpoint| keys(&world, endpoint))
            .collect()
    };
    let alice = of([Endpoint::Api("/scim2/Me"), Endpoint::Api("/echo")]);
    let bob = of([Endpoint::Api("/users/me"), Endpoint::Api2("/whoami")]);
    assert_eq!((alice.len(), bob.len()), (1, 1));
    assert_ne!(alice, bob);
    assert_all_bound(&world);
}

// RFC 9449 §5
pub(crate) async fn a_session_keeps_its_key_over_restarts_and_other_settings(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let stored = |settings: Environment| settings.set("AUTH_STORE", address(&folder));
    let mut world = stage.world_with(|settings| stored(bound(settings))).await;
    world.sign_in("alice").await;
    for is_on in [true, false] {
        world.app.kill().await;
        let environment = stored(stage.environment(&world.provider)).set("AUTH_DPOP", is_on);
        world.app = stage.start(&environment).await;
        world.browser.moved_to(world.app.address());
        assert_eq!(fetch(&world.browser, "/api/me").await, 200, "{is_on}");
        assert_eq!(fetch(&world.browser, "/api/exchange").await, 200, "{is_on}");
    }
    assert_eq!(keys(&world, Endpoint::Token).len(), 1);
    assert_all_bound(&world);
    // A new sign-in is as the setting says.
    world.sign_in_with(&world.browser.fresh(), "bob").await;
    let last = world.provider.control().requests(Endpoint::Token).pop().unwrap();
    assert_eq!(last.header("dpop"), None);
}

// RFC 9449 §4.2, §7.1
pub(crate) async fn the_proxy_makes_proofs_of_its_own_for_requests_and_websockets(stage: Stage) {
    const SWITCHED: &str =
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\ndpop-nonce: n\r\n\r\n";
    for (answer, lines) in [
        (OK, "connection: close\r\n"),
        (
            SWITCHED,
            "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
    ] {
        let upstream = Upstream::answering(answer).await;
        let api = format!("{}/base", upstream.origin());
        let world = stage
            .world_with(|settings| bound(settings).set("API_URL", api))
            .await;
        world.sign_in("alice").await;
        let cookies = world.browser.cookies();
        let cookies: Vec<_> = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let request = format!(
            "GET /proxy/api/socket/%41?a=%42 HTTP/1.1\r\nhost: 127.0.0.1:3000\r\ncookie: {}\r\nx-csrf: 1\r\n\
             dpop: the-browser-s\r\ndpop: another\r\nauthorization: DPoP the-browser-s\r\n{lines}\r\n",
            cookies.join("; ")
        );
        let came = raw::exchange(world.app.address(), request.as_bytes())
            .await
            .expect("an answer");
        assert!(values(&came.head, "dpop-nonce").is_empty());
        let head = upstream.take_heads().pop().unwrap();
        assert!(!head.contains("the-browser-s"), "{head}");
        assert!(values(&head, "authorization")[0].starts_with("DPoP "));
        let [proof] = values(&head, "dpop").try_into().expect("one proof");
        let claims = part(&proof, 1);
        assert_eq!(claims["htm"], "GET");
        assert_eq!(claims["htu"], format!("{}/base/socket/%41", upstream.origin()));
    }
}

// RFC 9126, RFC 9449 §10.1
pub(crate) async fn a_pushed_request_names_the_key_and_proves_it(stage: Stage) {
    let world = stage
        .world_with(|settings| bound(settings).set("AUTH_PAR", "always"))
        .await;
    let control = world.provider.control();
    control.set_dpop_nonces(DpopNonces::SingleUse);
    let request: Url = world.begin(&world.browser, "/auth/login").await;
    assert!(!parameters(&request).contains_key("dpop_jkt"));
    world.finish(&world.browser, &request, "alice").await;
    world.browser.assert_signed_in_as("alice").await;
    let pushed = control.requests(Endpoint::PushedAuthorization);
    assert_eq!((pushed.len(), control.count(Endpoint::Token)), (2, 1));
    assert_eq!(pushed[1].form("dpop_jkt").unwrap().len(), 43);
    assert_eq!(
        keys(&world, Endpoint::PushedAuthorization),
        keys(&world, Endpoint::Token)
    );
}

/// `POST` with a body, several times as it takes.
pub(crate) async fn a_small_body_goes_up_with_each_try_of_the_proxy(stage: Stage) {
    let world = signed_in(&stage).await;
    let control = world.provider.control();
    control.set_api_dpop_nonces(DpopNonces::SingleUse);
    control.reject_next(1);
    let ask = world
        .browser
        .script(Method::POST, "/proxy/api/echo")
        .header("x-csrf", "1");
    let answer = ask.form(&[("a", "b")]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "a=b"));
    assert_eq!(control.count(Endpoint::Api("/echo")), 3);
}
