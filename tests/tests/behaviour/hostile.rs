//! A provider or an API that means no good, at every endpoint: endless, slow, broken, huge or elsewhere. No answer is
//! believed, takes longer than `HTTP_TIMEOUT_SECS`, costs more memory than a few mebibytes, or keeps the next honest
//! sign-in from working. These cases take some of the answers; `crates/auth-core/tests/core/hostile.rs` takes all.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault, HostileAnswer, Wire};
use auth_tests::stage::BASE;
use auth_tests::{Answer, Browser, Stage, World, wait};
use futures_util::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use url::Url;

use crate::keys::trap;
use crate::modes::plain;

/// The API that `/api/me` calls.
const ME: Endpoint = Endpoint::Api("/scim2/Me");

/// All answers that are over at once; redirects lead to `elsewhere`.
fn answers(elsewhere: &str) -> Vec<HostileAnswer> {
    [
        HostileAnswer::broken(),
        HostileAnswer::malformed(),
        HostileAnswer::oversized(),
        HostileAnswer::redirects(elsewhere),
    ]
    .concat()
}

/// A world whose application waits `seconds` for the provider.
async fn world(stage: &Stage, seconds: u32) -> World {
    stage
        .world_with(|settings| settings.set("HTTP_TIMEOUT_SECS", seconds))
        .await
}

/// A browser that comes back from the provider, and the URL it comes back to.
async fn on_the_way_back(world: &World) -> (Browser, Url) {
    let browser = world.browser.fresh();
    let request = world.begin(&browser, "/auth/login").await;
    let callback = world.approve(&request, "alice").await;
    (browser, callback)
}

async fn sign_in(world: &World) -> (Browser, Answer) {
    let (browser, callback) = on_the_way_back(world).await;
    let answer = world.callback(&browser, &callback).await;
    (browser, answer)
}

/// A sign-in whose token request arrives. One that goes out on a connection that a hostile answer has spoilt does not: it
/// is an outage, and the user tries again.
async fn sign_in_that_arrives(world: &World) -> (Browser, Answer) {
    for _ in 0..3 {
        let redeemed = world.provider.control().count(Endpoint::Token);
        let (browser, answer) = sign_in(world).await;
        if answer.status != 503 || world.provider.control().count(Endpoint::Token) > redeemed {
            return (browser, answer);
        }
    }
    panic!("no token request arrives");
}

#[track_caller]
fn assert_failed(answer: &Answer, name: &str) {
    assert!(
        matches!(answer.status, 502 | 503),
        "{name}: {}",
        answer.describe()
    );
    answer.assert_failure(502..=503);
    assert!(!answer.body.contains("words of the provider"), "{name}");
}

#[track_caller]
fn assert_within(start: Instant, limit: u64, name: &str) {
    let took = start.elapsed();
    assert!(took < Duration::from_secs(limit), "{name} took {took:?}");
}

async fn connections_are_given_up(world: &World) {
    wait::until("the connections are given up", Duration::from_secs(5), || async {
        world.provider.control().open_wires() == 0
    })
    .await;
}

async fn honest_sign_in_works(world: &World) {
    world.provider.control().clear_all();
    wait::until("an honest sign-in works", Duration::from_secs(5), || async {
        let login = world.browser.fresh().navigate("/auth/login").await;
        matches!(login.status, 302 | 303) && matches!(sign_in(world).await.1.status, 302 | 303)
    })
    .await;
    connections_are_given_up(world).await;
}

pub(crate) async fn no_answer_of_the_token_endpoint_signs_anyone_in(stage: Stage) {
    let world = world(&stage, 5).await;
    let (elsewhere, connections) = trap().await;
    for HostileAnswer { name, fault } in answers(&elsewhere).into_iter().step_by(3) {
        let start = Instant::now();
        world.provider.control().fail(Endpoint::Token, fault);
        let (browser, answer) = sign_in(&world).await;
        assert_failed(&answer, name);
        assert!(!browser.is_signed_in().await, "{name}");
        assert_within(start, 4, name);
    }
    // To itself it would be a loop.
    let asked = world.provider.control().count(Endpoint::Token);
    let token = format!("{}/token", world.provider.issuer());
    for HostileAnswer { name, fault } in HostileAnswer::redirects(&token) {
        world.provider.control().fail(Endpoint::Token, fault);
        assert_failed(&sign_in_that_arrives(&world).await.1, name);
    }
    assert_eq!(world.provider.control().count(Endpoint::Token), asked + 5);
    assert_eq!(connections.load(Relaxed), 0);
    honest_sign_in_works(&world).await;
}

pub(crate) async fn no_answer_of_userinfo_fails_a_sign_in_or_is_believed(stage: Stage) {
    let world = world(&stage, 5).await;
    let (elsewhere, connections) = trap().await;
    let honest = world.provider.control();
    for HostileAnswer { name, fault } in answers(&elsewhere).into_iter().step_by(3) {
        let start = Instant::now();
        honest.fail(Endpoint::Userinfo, fault);
        let (browser, answer) = sign_in_that_arrives(&world).await;
        assert!(
            matches!(answer.status, 302 | 303),
            "{name}: {}",
            answer.describe()
        );
        assert_eq!(browser.session().await["user"]["sub"], "alice", "{name}");
        assert_within(start, 4, name);
    }
    assert_eq!(connections.load(Relaxed), 0);
    honest_sign_in_works(&world).await;
}

pub(crate) async fn no_answer_of_introspection_fails_a_sign_in_or_is_believed(stage: Stage) {
    let world = plain(&stage, |settings, metadata| {
        let introspection = metadata["introspection_endpoint"].as_str().unwrap();
        settings
            .set("AUTH_INTROSPECTION_URL", introspection)
            .set("HTTP_TIMEOUT_SECS", 1)
    })
    .await;
    let (elsewhere, connections) = trap().await;
    let control = world.provider.control();
    for HostileAnswer { name, fault } in answers(&elsewhere).into_iter().step_by(3) {
        control.fail(Endpoint::Introspect, fault);
        let (browser, answer) = sign_in_that_arrives(&world).await;
        assert!(
            matches!(answer.status, 302 | 303),
            "{name}: {}",
            answer.describe()
        );
        assert_eq!(browser.session().await["user"], json!({}), "{name}");
    }
    assert_eq!(connections.load(Relaxed), 0);

    control.clear(Endpoint::Introspect);
    let start = Instant::now();
    slow_callbacks(&world, Endpoint::Introspect, |answer, name| {
        assert!(
            matches!(answer.status, 302 | 303),
            "{name}: {}",
            answer.describe()
        );
    })
    .await;
    assert_within(start, 6, "introspection");
    control.clear_all();
    let (browser, _) = sign_in_that_arrives(&world).await;
    assert_eq!(browser.session().await["user"]["sub"], "alice");
    connections_are_given_up(&world).await;
}

/// Some of the answers in the place of discovery and of the key set: each costs a second, for which a failure is
/// remembered.
pub(crate) async fn no_answer_in_the_place_of_metadata_or_keys_is_believed(stage: Stage) {
    let at = async |endpoint: Endpoint, step: usize| {
        let world = world(&stage, 5).await;
        let control = world.provider.control();
        let (elsewhere, connections) = trap().await;
        for HostileAnswer { name, fault } in answers(&elsewhere).into_iter().step_by(step) {
            let asked = control.count(endpoint);
            control.fail(endpoint, fault);
            wait::until("the provider is asked again", Duration::from_secs(5), || async {
                let answer = match endpoint {
                    Endpoint::Discovery => world.browser.fresh().navigate("/auth/login").await,
                    _ => sign_in(&world).await.1,
                };
                assert_failed(&answer, name);
                control.count(endpoint) > asked
            })
            .await;
        }
        assert_eq!(connections.load(Relaxed), 0);
        honest_sign_in_works(&world).await;
    };
    tokio::join!(at(Endpoint::Discovery, 9), at(Endpoint::Jwks, 19));
}

pub(crate) async fn no_answer_to_a_refresh_signs_anyone_out(stage: Stage) {
    let world = world(&stage, 5).await;
    let control = world.provider.control();
    let (elsewhere, connections) = trap().await;
    for HostileAnswer { name, fault } in answers(&elsewhere).into_iter().step_by(4) {
        // A new session each time: one that fails again and again would not ask any more.
        control.clear(Endpoint::Token);
        control.next_access_token_lifetime(Duration::ZERO);
        let (browser, _) = sign_in_that_arrives(&world).await;
        let asked = control.refresh_count();
        control.fail_next(Endpoint::Token, 1, fault);
        browser
            .fetch("/api/ping")
            .await
            .assert_problem(503)
            .assert_unavailable();
        assert_eq!(control.refresh_count(), asked + 1, "{name}");
        browser.assert_signed_in_as("alice").await;
    }
    assert_eq!(connections.load(Relaxed), 0);
    honest_sign_in_works(&world).await;
}

pub(crate) async fn no_answer_to_a_revocation_keeps_anyone_signed_in(stage: Stage) {
    let world = world(&stage, 5).await;
    let control = world.provider.control();
    let (elsewhere, connections) = trap().await;
    for HostileAnswer { name, fault } in answers(&elsewhere).into_iter().step_by(4) {
        let (browser, _) = sign_in_that_arrives(&world).await;
        control.fail(Endpoint::Revoke, fault);
        let start = Instant::now();
        let answer = browser.submit("/auth/logout", &[]).await;
        assert_eq!(answer.status, 303, "{name}: {}", answer.describe());
        assert!(
            answer.location().as_str().starts_with(world.provider.issuer()),
            "{name}"
        );
        assert!(!browser.is_signed_in().await, "{name}");
        assert_within(start, 4, name);
    }
    assert_eq!(connections.load(Relaxed), 0);
    honest_sign_in_works(&world).await;
}

pub(crate) async fn no_answer_of_an_api_does_harm(stage: Stage) {
    let world = world(&stage, 5).await;
    world.sign_in("alice").await;
    let control = world.provider.control();
    let (elsewhere, connections) = trap().await;
    // A JSON value that is no object is one an API may give.
    let plays = [
        HostileAnswer::broken(),
        HostileAnswer::oversized(),
        HostileAnswer::redirects(&elsewhere),
    ]
    .concat();
    for HostileAnswer { name, fault } in plays {
        let start = Instant::now();
        control.fail(ME, fault);
        let answer = world.browser.fetch("/api/me").await;
        assert_eq!(answer.status, 502, "{name}: {}", answer.describe());
        assert_within(start, 5, name);
    }
    // A redirect to itself is followed a few times and no more.
    for HostileAnswer { name, fault } in HostileAnswer::redirects("/scim2/Me") {
        control.fail(ME, fault);
        let asked = control.count(ME);
        let answer = world.browser.fetch("/api/me").await;
        assert_eq!(answer.status, 502, "{name}: {}", answer.describe());
        assert!(
            control.count(ME) - asked <= 7,
            "{name}: {}",
            control.count(ME) - asked
        );
    }
    assert_eq!(connections.load(Relaxed), 0);
    control.clear(ME);
    world.browser.fetch("/api/me").await.assert_status(200);
    connections_are_given_up(&world).await;
}

/// As many sign-ins at once as there are answers that never end, each meeting one of them at `endpoint`.
async fn slow_callbacks(world: &World, endpoint: Endpoint, check: impl Fn(&Answer, &str)) {
    let plays = HostileAnswer::slow();
    let mut sign_ins = Vec::new();
    for _ in &plays {
        sign_ins.push(on_the_way_back(world).await);
    }
    for HostileAnswer { fault, .. } in plays {
        world.provider.control().fail_next(endpoint, 1, fault);
    }
    let start = Instant::now();
    let answers = join_all(
        sign_ins
            .iter()
            .map(|(browser, callback)| world.callback(browser, callback)),
    )
    .await;
    let name = format!("{endpoint:?}");
    assert_within(start, 4, &name);
    for answer in &answers {
        check(answer, &name);
    }
    connections_are_given_up(world).await;
}

pub(crate) async fn answers_that_never_end_are_given_up(stage: Stage) {
    let world = world(&stage, 1).await;
    let control = world.provider.control();
    let count = HostileAnswer::slow().len();
    slow_callbacks(&world, Endpoint::Token, assert_failed).await;
    slow_callbacks(&world, Endpoint::Userinfo, |answer, name| {
        assert!(
            matches!(answer.status, 302 | 303),
            "{name}: {}",
            answer.describe()
        );
    })
    .await;

    let mut browsers = Vec::new();
    for _ in 0..count {
        control.next_access_token_lifetime(Duration::ZERO);
        browsers.push(sign_in(&world).await.0);
    }
    let all_fail = |endpoint: Endpoint| {
        for HostileAnswer { fault, .. } in HostileAnswer::slow() {
            control.fail_next(endpoint, 1, fault);
        }
    };
    all_fail(Endpoint::Token);
    let start = Instant::now();
    for answer in join_all(
        browsers
            .iter()
            .map(|browser| async { browser.fetch("/api/ping").await }),
    )
    .await
    {
        answer.assert_problem(503).assert_unavailable();
    }
    assert_within(start, 4, "refreshes");
    control.clear_all();
    for browser in &browsers {
        wait::until("the session goes on", Duration::from_secs(10), || async {
            browser.fetch("/api/ping").await.status == 200
        })
        .await;
    }

    all_fail(ME);
    let start = Instant::now();
    for answer in join_all(
        browsers
            .iter()
            .map(|browser| async { browser.fetch("/api/me").await }),
    )
    .await
    {
        answer.assert_problem(502);
    }
    assert_within(start, 4, "calls of the API");
    control.clear_all();

    // A sign-out revokes two tokens, one after the other.
    all_fail(Endpoint::Revoke);
    all_fail(Endpoint::Revoke);
    let start = Instant::now();
    for answer in join_all(
        browsers
            .iter()
            .map(|browser| async { browser.submit("/auth/logout", &[]).await }),
    )
    .await
    {
        answer.assert_status(303);
    }
    assert_within(start, 5, "sign-outs");
    for browser in &browsers {
        browser.assert_signed_out().await;
    }
    honest_sign_in_works(&world).await;
}

/// Twenty sign-ins at once, each of which would bring 24 MiB and more.
pub(crate) async fn twenty_floods_at_once_cost_little_memory(stage: Stage) {
    const FLOODS: usize = 20;
    const LIMIT: u64 = 150 << 20;
    let world = world(&stage, 5).await;
    let control = world.provider.control();
    honest_sign_in_works(&world).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    let flood = Wire::close_after(head).repeat(vec![b' '; 1 << 20], 24, Duration::ZERO);
    let plays: Vec<_> = HostileAnswer::oversized()
        .into_iter()
        .filter(|play| play.name.ends_with("bomb"))
        .chain([HostileAnswer {
            name: "24 MiB",
            fault: Fault::Wire(flood),
        }])
        .collect();
    // Of four bombs one at each endpoint, and the flood at both.
    for (endpoint, plays) in [
        (Endpoint::Token, [&plays[0], &plays[4]]),
        (Endpoint::Userinfo, [&plays[3], &plays[4]]),
    ] {
        for HostileAnswer { name, fault } in plays.map(Clone::clone) {
            let mut sign_ins = Vec::new();
            for _ in 0..FLOODS {
                sign_ins.push(on_the_way_back(&world).await);
            }
            let before = world.app.memory().now;
            control.fail(endpoint, fault);
            let answers = sign_ins
                .iter()
                .map(|(browser, callback)| world.callback(browser, callback));
            for answer in join_all(answers).await {
                assert_eq!(
                    endpoint == Endpoint::Token,
                    answer.status >= 500,
                    "{name}: {}",
                    answer.describe()
                );
            }
            control.clear(endpoint);
            let grown = world.app.memory().peak.saturating_sub(before);
            assert!(grown < LIMIT, "{name} at {endpoint:?}: {} MiB", grown >> 20);
        }
    }
    honest_sign_in_works(&world).await;
}

/// What a TLS server shows, and who vouches for it.
struct Certificates {
    ours: CertifiedIssuer<'static, KeyPair>,
    strangers: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let authority = || {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        Self {
            ours: authority(),
            strangers: authority(),
        }
    }

    /// Serves `answer` to every request on a port of this machine, for certificates of this kind; gives the origin.
    async fn serve(&self, kind: &str, answer: impl Fn(&str) -> Value) -> String {
        let name = if kind == "of another name" {
            "elsewhere.example"
        } else {
            "127.0.0.1"
        };
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if kind == "expired" {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let issuer = if kind == "of a stranger" {
            &self.strangers
        } else {
            &self.ours
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let body = answer(&origin).to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await? > 0 {}
                    stream.write_all(answer.as_bytes()).await?;
                    stream.shutdown().await
                });
            }
        });
        origin
    }
}

pub(crate) async fn certificates_are_checked(stage: Stage) {
    let certificates = Certificates::new();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, certificates.ours.pem()).unwrap();
    let kinds = ["ours", "of a stranger", "of another name", "expired"];
    join_all(kinds.map(async |kind| {
        let provider = certificates
            .serve(kind, |origin| {
                json!({
                    "issuer": origin,
                    "authorization_endpoint": format!("{origin}/authorize"),
                    "token_endpoint": format!("{origin}/token"),
                    "jwks_uri": format!("{origin}/jwks"),
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                })
            })
            .await;
        let environment = stage
            .bare_environment()
            .set("AUTH_BASE_URL", BASE)
            .set("AUTH_ISSUER", &provider)
            .set("AUTH_CLIENT_ID", "tls")
            .set("AUTH_CA_FILE", roots.display());
        let app = stage.start(&environment).await;
        let answer = stage.browser(&app, BASE).navigate("/auth/login").await;
        if kind == "ours" {
            assert!(
                answer.location().as_str().starts_with(&provider),
                "{}",
                answer.describe()
            );
        } else {
            answer.assert_unavailable();
            assert_eq!(
                answer.failure_code().as_deref(),
                Some("provider.unreachable"),
                "{kind}"
            );
        }

        let api = certificates.serve(kind, |_| json!({"userName": "alice"})).await;
        let world = stage
            .world_with(|settings| settings.set("API_URL", api).set("AUTH_CA_FILE", roots.display()))
            .await;
        world.sign_in("alice").await;
        let answer = world.browser.fetch("/api/me").await;
        let expected = if kind == "ours" { 200 } else { 502 };
        assert_eq!(answer.status, expected, "{kind}: {}", answer.describe());
    }))
    .await;
}
