//! Tokens that are bound to a key (RFC 9449): a key for each session, a proof for each request, the nonces of each server, and
//! never a bearer token.

use std::collections::{BTreeMap, HashSet};

use auth_core::client::AuthenticatedClient;
use auth_core::grants::{ClientCredentials, CustomGrant, FurtherProvider, TokenExchange};
use auth_core::proxy::{Proxy, ProxyBody};
use auth_core::reply::SessionChange;
use auth_core::session::Session;
use auth_core::{Auth, AuthBuilder, Error, Profile};
use auth_testing::{Client, DevProvider, DpopNonces, Endpoint, RecordedRequest, User};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use http::Method;
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use url::Url;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::grants::{EXCHANGE, requests_of};
use crate::par::{always, private_key, public_key, pushed, query};
use crate::proxy::{forward, request, upstream};
use crate::store::Op;
use crate::world::{BASE, CLIENT, LIFE, SECRET, World, assert_page, eventually};

const ME: Endpoint = Endpoint::Api("/users/me");
const ECHO: Endpoint = Endpoint::Api("/echo");

async fn world() -> World {
    World::with(AuthBuilder::dpop).await
}

async fn signed_in(world: &World) -> Session {
    let id = world.sign_in().await;
    world.session(&id).await
}

/// Header and claims of a request's proof.
struct Proof {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Proof {
    fn read(proof: &str) -> Self {
        let mut parts = proof.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        let mut part = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
        Self {
            header: part(),
            claims: part(),
        }
    }

    fn of(request: &RecordedRequest) -> Option<Self> {
        request.header("dpop").map(Self::read)
    }

    fn key(&self) -> String {
        self.header["jwk"].to_string()
    }

    fn claim(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The proofs of all requests that came there.
fn proofs(provider: &DevProvider, endpoint: Endpoint) -> Vec<Proof> {
    let requests = provider.control().requests(endpoint);
    let proofs = requests
        .iter()
        .map(|request| Proof::of(request).expect("a proof"));
    proofs.collect()
}

fn scheme(request: &RecordedRequest) -> &str {
    let value = request.header("authorization").unwrap_or_default();
    value.split(' ').next().unwrap_or_default()
}

async fn status(api: &AuthenticatedClient, path: &str) -> u16 {
    api.get(path).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §5, §7.1, §10
async fn a_sign_in_makes_a_key_and_every_request_with_its_tokens_proves_it() {
    let world = world().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let asked = query(&url);
    let (_, thumbprint) = asked
        .iter()
        .find(|(name, _)| name == "dpop_jkt")
        .expect("dpop_jkt");
    assert_eq!(thumbprint.len(), 43);
    // Every browser keeps it: 4,096 bytes with the attributes (RFC 6265 §6.1).
    for (name, value) in &browser.cookies {
        assert!(name.len() + value.len() < 1200, "{}", name.len() + value.len());
    }
    let target = browser.approve(&url).await;
    assert_eq!(browser.callback(&target).await.status, 303);
    let session = world.session(&browser.session().unwrap()).await;
    let api = world.auth.client(&session);
    assert_eq!(status(&api, "/users/me").await, 200);

    let token = proofs(&world.provider, Endpoint::Token).pop().unwrap();
    assert_eq!(token.claim("htm"), "POST");
    assert_eq!(token.claim("htu"), format!("{}/token", world.provider.issuer()));
    assert!(!token.claims.contains_key("ath"));
    assert_eq!(token.header["typ"], "dpop+jwt");
    assert!(token.header["jwk"].get("d").is_none());
    for (endpoint, url) in [
        (
            Endpoint::Userinfo,
            format!("{}/userinfo", world.provider.issuer()),
        ),
        (ME, format!("{}/users/me", world.provider.api_url())),
    ] {
        let request = world.control().requests(endpoint).pop().unwrap();
        let proof = Proof::of(&request).expect("a proof");
        assert_eq!((scheme(&request), proof.claim("htm")), ("DPoP", "GET"));
        assert_eq!((proof.claim("htu"), proof.key()), (url.as_str(), token.key()));
        assert_eq!(proof.claim("ath").len(), 43);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §2
async fn no_two_sessions_have_one_key_and_no_two_requests_one_proof() {
    let world = world().await;
    for _ in 0..2 {
        let api = world.auth.client(&signed_in(&world).await);
        for _ in 0..2 {
            assert_eq!(status(&api, "/users/me?a=b").await, 200);
        }
    }
    let proofs = proofs(&world.provider, ME);
    let keys: Vec<_> = proofs.iter().map(Proof::key).collect();
    assert!(keys[0] == keys[1] && keys[2] == keys[3] && keys[0] != keys[2]);
    let ids: HashSet<_> = proofs.iter().map(|proof| proof.claim("jti").to_owned()).collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §5
async fn another_type_of_token_fails_the_sign_in() {
    let world = world().await;
    let attempt = || async { world.browser().try_sign_in("/").await };
    world.control().set_dpop(false);
    assert_page(&attempt().await, 502, "login.token_type");
    world.control().set_dpop(true);
    for kind in [Some("Bearer"), Some("mac"), None] {
        world.control().tamper_token_response(move |answer| {
            answer.remove("token_type");
            answer.extend(kind.map(|kind| ("token_type".to_owned(), kind.into())));
        });
        assert_page(&attempt().await, 502, "login.token_type");
    }
    assert_eq!(world.store.sessions(), 0);
    let is_odd =
        |answer: &mut Map<String, Value>| drop(answer.insert("token_type".to_owned(), "dpop".into()));
    world.control().tamper_token_response(is_odd);
    assert_eq!(attempt().await.status, 303);
    // And the other way round.
    let bearer = world.instance().await;
    let reply = world.browser_of(&bearer).try_sign_in("/").await;
    assert_page(&reply, 502, "login.token_type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §5
async fn a_refresh_keeps_the_key_and_a_bearer_token_is_not_taken() {
    let world = world().await;
    let session = signed_in(&world).await;
    world.clock.advance(LIFE);
    let refreshed = world.auth.signed_in(&session.key()).await.unwrap();
    let keys: HashSet<_> = proofs(&world.provider, Endpoint::Token)
        .iter()
        .map(Proof::key)
        .collect();
    assert_eq!((keys.len(), world.control().refresh_count()), (1, 1));

    world.clock.advance(LIFE);
    let downgraded = |answer: &mut Map<String, Value>| {
        answer.insert("token_type".to_owned(), "Bearer".into());
        answer.insert("access_token".to_owned(), "stolen".into());
    };
    world.control().tamper_token_response(downgraded);
    let error = world.auth.signed_in(&refreshed.key()).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (503, "refresh.unavailable"));
    world.control().clear_tampering();
    world.clock.advance(LIFE);
    // Its refresh token was kept, so the session goes on.
    let api = world
        .auth
        .client(&world.auth.signed_in(&refreshed.key()).await.unwrap());
    assert_eq!(status(&api, "/users/me").await, 200);
    assert_eq!(world.control().reuse_count(), 0);
    let sent = world.control().all_requests();
    let carried = |request: &RecordedRequest| request.header("authorization").unwrap_or_default().to_owned();
    assert!(
        sent.iter()
            .all(|(_, request)| !carried(request).contains("Bearer"))
    );
    assert!(
        sent.iter()
            .all(|(_, request)| !carried(request).contains("stolen"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_what_it_began_with_whatever_the_setting_says_later() {
    let world = world().await;
    let bound = signed_in(&world).await;
    let without = world.instance().await;
    let id = world.browser_of(&without).sign_in("/").await;
    let bearer = without.authenticate(Some(&id)).await.unwrap();
    world.clock.advance(LIFE);
    for auth in [&without, &world.auth] {
        for (session, expected) in [(&bound, "DPoP"), (&bearer, "Bearer")] {
            let session = auth.signed_in(&session.key()).await.unwrap();
            assert_eq!(status(&auth.client(&session), "/users/me").await, 200);
            let request = world.control().requests(ME).pop().unwrap();
            assert_eq!(scheme(&request), expected);
            assert_eq!(request.header("dpop").is_some(), expected == "DPoP");
        }
    }
    assert_eq!(world.control().refresh_count(), 2);
    // An attempt that was begun without a key ends with one all the same.
    let mut browser = world.browser_of(&without);
    let url = browser.begin("/").await;
    let target = browser.approve(&url).await;
    browser.auth = world.auth.clone();
    assert_eq!(browser.callback(&target).await.status, 303);
    let session = world.session(&browser.session().unwrap()).await;
    status(&without.client(&session), "/users/me").await;
    assert_eq!(scheme(&world.control().requests(ME).pop().unwrap()), "DPoP");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §10.1
async fn a_pushed_request_names_the_key_and_proves_it() {
    let world = World::with(|builder| always(builder).dpop()).await;
    world.control().set_dpop_nonces(DpopNonces::SingleUse);
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let names: Vec<_> = query(&url).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    assert_eq!(pushed(&world)["dpop_jkt"].len(), 43);
    let target = browser.approve(&url).await;
    assert_eq!(browser.callback(&target).await.status, 303);
    // Only the first one lacked a nonce: they are one server's.
    let pushed = proofs(&world.provider, Endpoint::PushedAuthorization);
    let redeemed = proofs(&world.provider, Endpoint::Token);
    assert_eq!((pushed.len(), redeemed.len()), (2, 1));
    assert_eq!(pushed[1].claim("htu"), format!("{}/par", world.provider.issuer()));
    assert_eq!(pushed[1].key(), redeemed[0].key());
    assert!(browser.session().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9101, RFC 9449 §10
async fn a_signed_request_names_the_key() {
    let pem = private_key();
    let world = World::with(|builder| builder.client_key_pem(&pem).sign_requests().dpop()).await;
    let client = Client::confidential(CLIENT, SECRET)
        .redirect_uri(format!("{BASE}/auth/callback"))
        .request_object_key(public_key(&pem));
    world.control().register(client);
    world.control().require_signed_requests(true);
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let carried: BTreeMap<_, _> = query(&url).into_iter().collect();
    assert!(!carried.contains_key("dpop_jkt"));
    assert_eq!(Proof::read(&carried["request"]).claim("dpop_jkt").len(), 43);
    let target = browser.approve(&url).await;
    assert_eq!(browser.callback(&target).await.status, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §8, §8.2, §9
async fn the_latest_nonce_of_each_server_is_in_the_next_proof_there() {
    let world = world().await;
    world.control().set_dpop_nonces(DpopNonces::SingleUse);
    world.control().set_api_dpop_nonces(DpopNonces::SingleUse);
    let api = world.auth.client(&signed_in(&world).await);
    assert_eq!(world.control().count(Endpoint::Token), 2);
    assert_eq!(world.control().count(Endpoint::Userinfo), 2);
    for calls in 1..5 {
        assert_eq!(status(&api, "/users/me").await, 200);
        assert_eq!(world.control().count(ME), calls + 1);
    }
    // Another API has nonces of its own.
    let whoami = format!("{}/whoami", world.provider.api2_url());
    let auth = world
        .instance_with(|builder| builder.dpop().other_api(world.provider.api2_url()))
        .await;
    let other_client = auth
        .client(&api.session())
        .for_audience(world.provider.api2_url());
    for calls in 1..3 {
        assert_eq!(status(&other_client, &whoami).await, 200);
        assert_eq!(world.control().count(Endpoint::Api2("/whoami")), calls + 1);
    }
    assert_eq!(world.control().foreign_dpop_nonces(), 0);
    // They may be void at any time.
    world.control().expire_dpop_nonces();
    assert_eq!(status(&api, "/users/me").await, 200);
    assert_eq!(world.control().refresh_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §8
async fn a_refresh_that_lacks_a_nonce_is_made_again_by_the_same_holder() {
    let world = world().await;
    let session = signed_in(&world).await;
    world.control().set_dpop_nonces(DpopNonces::Demanded);
    world.clock.advance(LIFE);
    let others = join_all((0..3).map(|_| world.instance_with(AuthBuilder::dpop))).await;
    let key = session.key();
    let refreshes = join_all(others.iter().map(|auth| auth.signed_in(&key))).await;
    assert!(refreshes.iter().all(Result::is_ok));
    // One rotation: the demand, and the same token again.
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (2, 0)
    );
    let presented: HashSet<_> = requests_of(&world.provider, "refresh_token")
        .iter()
        .map(|request| request.form("refresh_token").unwrap().to_owned())
        .collect();
    assert_eq!(presented.len(), 1);
    assert_eq!(refreshes[0].as_ref().unwrap().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §8
async fn whoever_has_lost_the_lease_when_the_nonce_comes_presents_nothing_again() {
    let world = world().await;
    let session = signed_in(&world).await;
    world.control().set_dpop_nonces(DpopNonces::Demanded);
    world.clock.advance(LIFE);
    let hold = world.control().hold_answer(Endpoint::Token);
    let (auth, key) = (world.auth.clone(), session.key());
    let refresh = tokio::spawn(async move { auth.signed_in(&key).await });
    hold.waiting(1).await.unwrap();
    let other = world.instance().await;
    other.end_session(&session).await.unwrap();
    // The second renewal comes after the first has found no lease.
    let renewed = world.store.count(Op::Renew);
    eventually("renewals", || world.store.count(Op::Renew) >= renewed + 2).await;
    hold.release();
    assert!(matches!(refresh.await.unwrap(), Err(Error::NotSignedIn(_))));
    assert_eq!(world.control().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §8
async fn a_provider_that_is_never_content_with_a_nonce_is_asked_twice() {
    let world = world().await;
    let session = signed_in(&world).await;
    world.clock.advance(LIFE);
    let answer = |error: &str| {
        let body = format!(r#"{{"error":"{error}"}}"#);
        ResponseTemplate::new(400).set_body_raw(body, "application/json")
    };
    for (nonce, error, asked) in [
        (Some("n"), "use_dpop_nonce", 2),
        (None, "use_dpop_nonce", 1),
        (Some("a b"), "use_dpop_nonce", 1),
        (Some("n"), "invalid_dpop_proof", 1),
    ] {
        let server = MockServer::start().await;
        let mut template = answer(error);
        if let Some(nonce) = nonce {
            template = template.insert_header("dpop-nonce", nonce);
        }
        Mock::given(any()).respond_with(template).mount(&server).await;
        let endpoint = format!("{}/token", server.uri());
        world.control().tamper_discovery(move |document| {
            document.insert("token_endpoint".to_owned(), endpoint.clone().into());
        });
        let auth = world.instance_with(AuthBuilder::dpop).await;
        let error = auth.signed_in(&session.key()).await.unwrap_err();
        assert_eq!((error.status(), error.code()), (503, "refresh.unavailable"));
        assert_eq!(
            server.received_requests().await.unwrap().len(),
            asked,
            "{nonce:?}"
        );
    }
    world.control().clear_tampering();
    let auth = world.instance_with(AuthBuilder::dpop).await;
    auth.signed_in(&session.key()).await.unwrap();
}

/// Whether a refresh token may be used up is asked of the request that brought it last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_gone_once_it_has_demanded_a_nonce_has_used_nothing_up() {
    const DEMAND: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 26\r\n\
        connection: close\r\ndpop-nonce: n\r\n\r\n{\"error\":\"use_dpop_nonce\"}";
    let world = world().await;
    let session = signed_in(&world).await;
    world.clock.advance(LIFE);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Nobody listens any more when the answer comes.
        drop(listener);
        let mut came = Vec::new();
        while !came.windows(14).any(|window| window == b"refresh_token=") {
            stream.read_buf(&mut came).await.unwrap();
        }
        stream.write_all(DEMAND).await.unwrap();
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut came).await;
    });
    world.control().tamper_discovery(move |document| {
        document.insert("token_endpoint".to_owned(), endpoint.clone().into());
    });
    let auth = world.instance_with(AuthBuilder::dpop).await;
    let error = auth.signed_in(&session.key()).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (503, "refresh.unavailable"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8693, RFC 9449 §5
async fn exchanged_tokens_are_bound_to_the_session_s_key_or_refused() {
    let world = world().await;
    let session = signed_in(&world).await;
    let exchange = TokenExchange::new().audience(world.provider.api2_url());
    let token = world.auth.exchange(&session, &exchange).await.unwrap();
    assert!(token.is_bound() && !token.is_bearer());
    let keys: HashSet<_> = proofs(&world.provider, Endpoint::Token)
        .iter()
        .map(Proof::key)
        .collect();
    assert_eq!(keys.len(), 1);

    for kind in ["Bearer", "mac"] {
        world.control().tamper_token_response(move |answer| {
            answer.insert("token_type".to_owned(), kind.into());
        });
        let other = TokenExchange::new()
            .audience(world.provider.api_url())
            .scopes("openid");
        let error = world.auth.exchange(&session, &other).await.unwrap_err();
        assert_eq!((error.status(), error.code()), (502, "grant.unusable"), "{kind}");
    }
    world.control().tamper_token_response(|answer| {
        answer.insert("token_type".to_owned(), "N_A".into());
    });
    let other = TokenExchange::new().audience(world.provider.api_url());
    let token = world.auth.exchange(&session, &other).await.unwrap();
    assert!(!token.is_bound() && !token.is_bearer());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_provider_binds_tokens_where_it_is_said_to() {
    let world = world().await;
    let partner = DevProvider::builder()
        .clock(world.clock.clock())
        .client(Client::confidential("we-there", "another secret"))
        .user(User::new("ada"))
        .start()
        .await
        .unwrap();
    partner.control().trust(&world.provider);
    let there = || FurtherProvider::issuer(partner.issuer()).client("we-there", Some("another secret"));
    let auth = world
        .instance_with(|builder| {
            let builder = builder.dpop().other_api(partner.api_url());
            builder
                .further_provider("plain", there())
                .further_provider("bound", there().dpop())
        })
        .await;
    let session = signed_in(&world).await;
    for (name, expected) in [("plain", "Bearer"), ("bound", "DPoP")] {
        let exchange = TokenExchange::new().at(name).audience(partner.api_url());
        let api = auth.client(&session).exchanging(exchange).at(partner.api_url());
        assert_eq!(status(&api, "/users/me").await, 200);
        let request = partner.control().requests(ME).pop().unwrap();
        assert_eq!(scheme(&request), expected);
        assert_eq!(
            requests_of(&partner, EXCHANGE)
                .pop()
                .unwrap()
                .header("dpop")
                .is_some(),
            expected == "DPoP"
        );
    }
    let machine = auth
        .machine_token(&ClientCredentials::new().at("plain"))
        .await
        .unwrap();
    assert!(machine.is_bearer() && !machine.is_bound());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §5
async fn a_switch_keeps_the_key_and_a_custom_grant_proves_it() {
    let world = world().await;
    let session = signed_in(&world).await;
    let switch = || {
        CustomGrant::new("organization_switch")
            .template("token", "{{accessToken}}")
            .param("switching_organization", "one")
    };
    let downgraded =
        |answer: &mut Map<String, Value>| drop(answer.insert("token_type".to_owned(), "Bearer".into()));
    world.control().tamper_token_response(downgraded);
    let error = world.auth.switch(&session, &switch()).await.unwrap_err();
    assert_eq!(error.code(), "grant.unusable");
    world.control().clear_tampering();
    // The old grant ended with the refused answer, so this is another session.
    let session = signed_in(&world).await;
    let switched = world.auth.switch(&session, &switch()).await.unwrap();
    assert!(matches!(switched.change, SessionChange::Set { .. }));
    assert_eq!(
        status(&world.auth.client(&switched.session), "/users/me").await,
        200
    );
    let requests = proofs(&world.provider, Endpoint::Token);
    let [.., signed_in, switched_to] = requests.as_slice() else {
        panic!("two requests")
    };
    assert_eq!(signed_in.key(), switched_to.key());
    let answer = world
        .auth
        .custom_grant(&switched.session, &switch())
        .await
        .unwrap();
    assert_eq!(answer.token_type.as_deref(), Some("DPoP"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §7.1
async fn an_attached_token_is_no_bearer_token_either() {
    let world = World::with(|builder| {
        builder
            .dpop()
            .client_auth(auth_core::config::ClientAuthMethod::ClientSecretPost)
    })
    .await;
    let client = Client::secret_post(CLIENT, SECRET).redirect_uri(format!("{BASE}/auth/callback"));
    world.control().register(client);
    let session = signed_in(&world).await;
    let grant = CustomGrant::new("organization_switch")
        .template("token", "{{accessToken}}")
        .param("switching_organization", "one")
        .attach_token();
    let _ = world.auth.custom_grant(&session, &grant).await;
    let request = world.control().requests(Endpoint::Token).pop().unwrap();
    assert_eq!(scheme(&request), "DPoP");
    assert_eq!(Proof::of(&request).expect("a proof").claim("ath").len(), 43);
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §2
async fn the_applications_own_token_is_bound_to_a_key_that_goes_with_it_where_it_is_shared() {
    let world = world().await;
    let file = format!("{}/bound-{}.db", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let _ = std::fs::remove_file(&file);
    let store = format!("sqlite:{file}");
    let instance = |bound: bool| {
        let store = store.clone();
        world.instance_with(move |builder| {
            let builder = builder.share_machine_tokens().store_url(store);
            if bound { builder.dpop() } else { builder }
        })
    };
    let (one, other) = (instance(true).await, instance(true).await);
    for auth in [&one, &other] {
        let machine = auth.machine_client(ClientCredentials::new());
        assert_eq!(machine.get("/machine").send().await.unwrap().status(), 200);
    }
    assert_eq!(requests_of(&world.provider, "client_credentials").len(), 1);
    let keys: HashSet<_> = proofs(&world.provider, Endpoint::Api("/machine"))
        .iter()
        .map(Proof::key)
        .collect();
    assert_eq!(keys.len(), 1);
    // One that was shared under another setting is not what is asked for.
    let token = instance(false)
        .await
        .machine_token(&ClientCredentials::new())
        .await
        .unwrap();
    assert!(token.is_bearer());
    let token = instance(true)
        .await
        .machine_token(&ClientCredentials::new())
        .await
        .unwrap();
    assert!(token.is_bound());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §9
async fn a_demand_for_a_nonce_is_not_the_retry_with_another_token() {
    let world = world().await;
    let api = world.auth.client(&signed_in(&world).await);
    world.control().set_api_dpop_nonces(DpopNonces::Demanded);
    world.control().reject_next(1);
    assert_eq!(status(&api, "/users/me").await, 200);
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ME)),
        (1, 3)
    );
    world.control().reject_next(2);
    assert_eq!(status(&api, "/users/me").await, 401);
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ME)),
        (2, 5)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §9
async fn an_api_that_is_never_content_with_a_nonce_is_asked_twice_and_nothing_is_refreshed() {
    for (nonce, asked) in [(Some("n"), 2), (None, 1)] {
        let server = MockServer::start().await;
        let mut demand =
            ResponseTemplate::new(401).insert_header("www-authenticate", "DPoP error=\"use_dpop_nonce\"");
        if let Some(nonce) = nonce {
            demand = demand.insert_header("dpop-nonce", nonce);
        }
        Mock::given(any()).respond_with(demand).mount(&server).await;
        let origin = server.uri();
        let world = World::with(|builder| builder.dpop().other_api(origin)).await;
        let session = signed_in(&world).await;
        let api = world.auth.client(&session);
        assert_eq!(status(&api, &format!("{}/x", server.uri())).await, 401);
        assert_eq!(server.received_requests().await.unwrap().len(), asked);
        let proxy = Proxy::to(server.uri()).unwrap();
        let answer = world
            .auth
            .forward(&proxy, &session, request(Method::GET, "/x"))
            .await
            .unwrap();
        assert_eq!(answer.status, 401);
        assert!(!answer.headers.contains_key("dpop-nonce"));
        assert_eq!(world.control().refresh_count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §8.2
async fn a_body_that_cannot_be_sent_again_leaves_the_nonce_for_the_next_call() {
    let world = world().await;
    let api = world.auth.client(&signed_in(&world).await);
    world.control().set_api_dpop_nonces(DpopNonces::Demanded);
    let streamed = || reqwest::Body::wrap_stream(stream::iter([Ok::<_, std::io::Error>("body")]));
    let refused = api.post("/echo").body(streamed()).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), world.control().count(ECHO)), (401, 1));
    let answer = api.post("/echo").body(streamed()).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "body");
    assert_eq!(
        (world.control().count(ECHO), world.control().refresh_count()),
        (2, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §4.2
async fn a_redirect_within_the_origin_is_followed_with_a_proof_of_its_own() {
    let api = MockServer::start().await;
    let stranger = MockServer::start().await;
    let away = format!("{}/x", stranger.uri());
    for (verb, from, status, to) in [
        ("GET", "/a", 302, "b?q=1"),
        ("GET", "/b", 308, "/c"),
        ("GET", "/away", 307, away.as_str()),
        ("GET", "/circle", 307, "/circle"),
        ("POST", "/a", 307, "/b"),
    ] {
        let redirect = ResponseTemplate::new(status).insert_header("location", to);
        Mock::given(path(from))
            .and(method(verb))
            .respond_with(redirect)
            .mount(&api)
            .await;
    }
    Mock::given(path("/c"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&api)
        .await;
    let origin = api.uri();
    let world = World::with(|builder| builder.dpop().other_api(origin)).await;
    let client = world.auth.client(&signed_in(&world).await);
    let get = |path: &str| client.get(format!("{}{path}", api.uri())).send();
    assert_eq!(get("/a").await.unwrap().status(), 200);
    let seen = api.received_requests().await.unwrap();
    let urls: Vec<_> = seen
        .iter()
        .map(|request| {
            Proof::read(request.headers["dpop"].to_str().unwrap())
                .claim("htu")
                .to_owned()
        })
        .collect();
    assert_eq!(
        urls,
        ["/a", "/b", "/c"].map(|path| format!("{}{path}", api.uri()))
    );
    for (from, asked) in [("/away", 1), ("/circle", 6)] {
        let before = api.received_requests().await.unwrap().len();
        assert_eq!(get(from).await.unwrap().status(), 307, "{from}");
        assert_eq!(
            api.received_requests().await.unwrap().len() - before,
            asked,
            "{from}"
        );
    }
    assert!(stranger.received_requests().await.unwrap().is_empty());
    let posted = client
        .post(format!("{}/a", api.uri()))
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 307);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_of_two_sessions_never_mix_keys_or_nonces() {
    let world = world().await;
    world.control().set_dpop_nonces(DpopNonces::Demanded);
    world.control().set_api_dpop_nonces(DpopNonces::Demanded);
    let clients =
        [signed_in(&world).await, signed_in(&world).await].map(|session| world.auth.client(&session));
    let calls = (0..100).map(|number| {
        status(
            &clients[number % 2],
            if number % 2 == 0 {
                "/users/me"
            } else {
                "/organizations"
            },
        )
    });
    assert!(join_all(calls).await.iter().all(|status| *status == 200));
    assert_eq!(world.control().foreign_dpop_nonces(), 0);
    let keys =
        |endpoint| -> HashSet<_> { proofs(&world.provider, endpoint).iter().map(Proof::key).collect() };
    let (mine, yours) = (keys(ME), keys(Endpoint::Api("/organizations")));
    assert_eq!((mine.len(), yours.len()), (1, 1));
    assert!(mine.is_disjoint(&yours));
}

fn chunks(parts: Vec<Bytes>) -> ProxyBody {
    ProxyBody::new(stream::iter(parts.into_iter().map(Ok)), None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §7.1, §9
async fn the_proxy_proves_the_key_for_each_try_and_sends_the_body_as_often_as_it_takes() {
    let world = world().await;
    let session = signed_in(&world).await;
    let proxy = Proxy::to_api();
    world.control().set_api_dpop_nonces(DpopNonces::SingleUse);
    world.control().reject_next(1);
    let mut post = request(Method::POST, "/echo/%61?x=%2e");
    post.headers.insert("dpop", "the-browser-s".parse().unwrap());
    post.headers
        .insert("authorization", "Bearer the-browser-s".parse().unwrap());
    post.body = chunks(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
    assert_eq!(
        forward(&world.auth, &proxy, &session, post).await.unwrap(),
        b"abc"
    );
    // The demand, the refused token, the refreshed one.
    assert_eq!(
        (world.control().count(ECHO), world.control().refresh_count()),
        (3, 1)
    );
    let proofs = proofs(&world.provider, ECHO);
    let ids: HashSet<_> = proofs.iter().map(|proof| proof.claim("jti").to_owned()).collect();
    assert_eq!(ids.len(), 3);
    let url = format!("{}/echo/%61", world.provider.api_url());
    assert!(
        proofs
            .iter()
            .all(|proof| proof.claim("htu") == url && proof.claim("htm") == "POST")
    );
    assert_eq!(scheme(&world.control().requests(ECHO).pop().unwrap()), "DPoP");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §8.2
async fn what_the_proxy_cannot_send_again_is_answered_by_the_api_and_the_nonce_is_kept() {
    const DEMAND: &[u8] =
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\ndpop-nonce: the-nonce\r\n\
        www-authenticate: DPoP error=\"use_dpop_nonce\"\r\n\r\n";
    let (origin, seen) = upstream(DEMAND).await;
    let world = world().await;
    let session = signed_in(&world).await;
    let proxy = Proxy::to(origin).unwrap();
    for nonce in ["", "the-nonce"] {
        let mut post = request(Method::POST, "/x");
        post.body = chunks(vec![Bytes::from(vec![b'x'; 40 * 1024]); 2]);
        let answer = world.auth.forward(&proxy, &session, post).await.unwrap();
        assert_eq!(answer.status, 401);
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        let [sent] = seen.as_slice() else {
            panic!("one request")
        };
        let proof = sent.lines().find_map(|line| line.strip_prefix("dpop: ")).unwrap();
        assert_eq!(Proof::read(proof).claim("nonce"), nonce);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §7.1, §9
async fn a_client_of_one_s_own_gets_a_proof_for_each_request() {
    let world = world().await;
    let api = world.auth.client(&signed_in(&world).await);
    world.control().set_api_dpop_nonces(DpopNonces::SingleUse);
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let url = format!("{}/users/me?q=1", world.provider.api_url());
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let authorization = api.authorization(&Method::GET, &url).await.unwrap();
        assert!(!format!("{authorization:?}").contains("ey"));
        let sent = http
            .get(&url)
            .headers(authorization.headers().clone())
            .send()
            .await
            .unwrap();
        statuses.push(sent.status().as_u16());
        let again = authorization.demands_another(sent.status(), sent.headers());
        assert_eq!(again, sent.status() == 401);
    }
    assert_eq!(statuses, [401, 200]);
    // The next one has the nonce that came with the success.
    assert_eq!(status(&api, "/users/me").await, 200);
    assert_eq!(world.control().count(ME), 3);
    for elsewhere in ["https://elsewhere.example/", "nonsense"] {
        assert!(api.authorization(&Method::GET, elsewhere).await.is_err());
    }
    let machine = world.auth.machine_client(ClientCredentials::new());
    let own = machine.authorization(&Method::GET, &url).await.unwrap();
    assert!(own.headers().contains_key("dpop"));
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §9
async fn the_middleware_proves_the_key_and_takes_nonces() {
    let world = world().await;
    let api = world.auth.client(&signed_in(&world).await);
    world.control().set_api_dpop_nonces(DpopNonces::SingleUse);
    world.control().reject_next(1);
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let http = reqwest_middleware::ClientBuilder::new(http).with(api).build();
    let url = format!("{}/echo", world.provider.api_url());
    let answer = http.post(&url).body("body").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "body");
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ECHO)),
        (1, 3)
    );
    let ids: HashSet<_> = proofs(&world.provider, ECHO)
        .iter()
        .map(|proof| proof.claim("jti").to_owned())
        .collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §9
async fn userinfo_takes_a_nonce_and_a_refused_token_is_refreshed_once() {
    let world = world().await;
    let session = signed_in(&world).await;
    world.control().set_api_dpop_nonces(DpopNonces::SingleUse);
    let before = world.control().count(Endpoint::Userinfo);
    for calls in [2, 3] {
        let claims = world.auth.user_info(&session).await.unwrap();
        assert_eq!(claims.subject(), Some("ada"));
        assert_eq!(world.control().count(Endpoint::Userinfo), before + calls);
    }
    assert_eq!(world.control().refresh_count(), 0);
    let server = MockServer::start().await;
    let demand = ResponseTemplate::new(401)
        .insert_header("www-authenticate", "DPoP error=\"use_dpop_nonce\"")
        .insert_header("dpop-nonce", "n");
    Mock::given(any()).respond_with(demand).mount(&server).await;
    let url = Url::parse(&server.uri()).unwrap();
    let auth: Auth = world
        .instance_with(|builder| builder.dpop().userinfo_url(url))
        .await;
    assert_eq!(
        auth.user_info(&session).await.unwrap_err().code(),
        "userinfo.refused"
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
    assert_eq!(world.control().refresh_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // FAPI 2.0 Security Profile §5.3.3.1
async fn a_session_with_bearer_tokens_is_over_where_a_profile_demands_bound_ones() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let bound = world.instance_with(AuthBuilder::dpop).await;
    bound.authenticate(Some(&id)).await.expect("goes on as it began");
    let strict = world
        .instance_with(|builder| {
            let builder = builder.client(CLIENT, None).client_key_pem(&private_key());
            builder.profile(Profile::Fapi2Security)
        })
        .await;
    let over = strict.authenticate(Some(&id)).await;
    assert!(matches!(over, Err(Error::NotSignedIn(_))), "{over:?}");
    // One that began with a key goes on.
    let id = world.browser_of(&bound).sign_in("/").await;
    strict.authenticate(Some(&id)).await.expect("signed in");
}
