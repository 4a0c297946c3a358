//! A proxy's settings and limits. What goes through and what is refused stands in the behaviour tests, which send bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::grants::{Presented, TokenExchange};
use auth_core::proxy::{BodyBroken, Download, Proxy, ProxyBody, ProxyError, ProxyRequest, Rest, Upgrade};
use auth_core::session::Session;
use auth_core::{Auth, Error};
use auth_testing::{Endpoint, Fault};
use futures_util::future::join_all;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::grants::{EXCHANGE, partner, requests_of};
use crate::store::Op;
use crate::world::{LIFE, WAIT, World, eventually, secs};

const ECHO: Endpoint = Endpoint::Api("/echo");
const WHOAMI: Endpoint = Endpoint::Api2("/whoami");

/// Takes connections, reads what comes for as long as it comes within 100 ms, and answers with these bytes.
pub(crate) async fn upstream(answer: &'static [u8]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let came = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let came = Arc::clone(&came);
            tokio::spawn(async move {
                let mut all = Vec::new();
                let short = Duration::from_millis(100);
                while let Ok(Ok(1..)) = timeout(short, stream.read_buf(&mut all)).await {}
                came.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&all).into_owned());
                let _ = stream.write_all(answer).await;
                // Until the other side ends.
                while let Ok(1..) = stream.read_buf(&mut all).await {}
            });
        }
    });
    (origin, seen)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-inner: 1\r\nx-outer: 1\r\n\r\nok";

pub(crate) fn request(method: Method, target: &str) -> ProxyRequest {
    ProxyRequest {
        method,
        target: target.to_owned(),
        headers: HeaderMap::from_iter([(HeaderName::from_static("x-csrf"), HeaderValue::from_static("1"))]),
        body: ProxyBody::empty(),
        upgrade: Upgrade::Impossible,
    }
}

async fn signed_in(world: &World) -> Session {
    let id = world.sign_in().await;
    world.session(&id).await
}

async fn body(download: Download) -> Vec<u8> {
    download
        .map_ok(|chunk| chunk.to_vec())
        .try_concat()
        .await
        .unwrap()
}

pub(crate) async fn forward(
    auth: &Auth,
    proxy: &Proxy,
    session: &Session,
    request: ProxyRequest,
) -> Result<Vec<u8>, String> {
    match auth.forward(proxy, session, request).await {
        Ok(answer) => match answer.rest {
            Rest::Body(download) => Ok(body(download).await),
            Rest::Tunnel(_) => panic!("nobody asked for one"),
        },
        Err(error) => Err(format!("{} {}", error.status(), error.code())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_is_https_or_loopback_and_has_no_query() {
    for url in [
        "http://api.example",
        "ftp://api.example",
        "/path",
        "",
        "https://user:hunter2@api.example",
        "https://api.example?x=y",
        "https://api.example#x",
    ] {
        let error = Proxy::to(url).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    for url in [
        "https://api.example",
        "https://[::1]:8443/a/",
        "http://localhost:1/a/b",
    ] {
        assert!(Proxy::to(url).is_ok(), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_upstreams_have_settings_of_their_own() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let (origin, seen) = upstream(OK).await;
    let header = HeaderName::from_static;
    let proxy = Proxy::to(format!("{origin}/v2/"))
        .unwrap()
        .csrf_header(header("x-other-csrf"))
        .methods([Method::GET, Method::TRACE])
        .set_header(header("x-key"), HeaderValue::from_static("of the app"))
        .set_header(header("authorization"), HeaderValue::from_static("Basic eA=="))
        .leave_out(header("x-inner"));
    let refused = forward(&world.auth, &proxy, &session, request(Method::GET, "/a")).await;
    assert_eq!(refused.unwrap_err(), "403 proxy.csrf_header");
    let with_headers = |method| {
        let mut request = request(method, "/a?b");
        for (name, value) in [("x-other-csrf", "1"), ("x-key", "forged"), ("x-inner", "2")] {
            request
                .headers
                .insert(header(name), HeaderValue::from_static(value));
        }
        request
    };
    for method in [Method::POST, Method::TRACE, Method::CONNECT] {
        let error = world
            .auth
            .forward(&proxy, &session, with_headers(method))
            .await
            .unwrap_err();
        let Error::Proxy(error) = &error else {
            panic!("{error}")
        };
        assert!(
            matches!(&**error, ProxyError::Method { allow } if allow == "GET"),
            "{error}"
        );
    }
    let answer = world
        .auth
        .forward(&proxy, &session, with_headers(Method::GET))
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.headers.contains_key("x-outer") && !answer.headers.contains_key("x-inner"));
    let came = seen.lock().unwrap().pop().unwrap();
    assert!(came.starts_with("GET /v2/a?b HTTP/1.1\r\n"), "{came}");
    assert!(
        came.contains("x-key: of the app\r\n") && !came.contains("forged"),
        "{came}"
    );
    assert!(
        came.contains("authorization: Bearer ") && !came.contains("Basic"),
        "{came}"
    );
    assert!(!came.contains("x-inner"), "{came}");

    // Beside it, another as it comes.
    let api = Proxy::to_api();
    let echoed = forward(&world.auth, &api, &session, request(Method::POST, "/echo")).await;
    assert_eq!(echoed.unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_has_the_size_that_the_app_allows() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let proxy = Proxy::to_api().max_request_body(10);
    for (size, length) in [(10, Some(10)), (10, None), (11, Some(11)), (11, None)] {
        let chunks = stream::iter(vec![Ok::<_, BodyBroken>("a".into()); size]);
        let mut request = request(Method::POST, "/echo");
        request.body = ProxyBody::new(chunks, length);
        let answer = forward(&world.auth, &proxy, &session, request).await;
        match size {
            10 => assert_eq!(answer.unwrap().len(), 10),
            _ => assert_eq!(answer.unwrap_err(), "413 proxy.too_large"),
        }
    }
    let mut request = request(Method::POST, "/echo");
    request.body = ProxyBody::new(stream::iter([Ok("a".into()), Err(BodyBroken)]), Some(5));
    let broken = forward(&world.auth, &proxy, &session, request).await;
    assert_eq!(broken.unwrap_err(), "400 proxy.sender");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_requests_are_under_way_as_the_app_allows() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let proxy = Proxy::to_api().max_concurrent(2);
    let get = || forward(&world.auth, &proxy, &session, request(Method::GET, "/users/me"));
    let hold = world.control().hold(Endpoint::Api("/users/me"));
    let (first, second, third) = tokio::join!(get(), get(), async {
        hold.waiting(2).await.unwrap();
        let third = get().await;
        hold.release();
        third
    });
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(third.unwrap_err(), "503 proxy.busy");
    assert!(get().await.is_ok(), "their places are free again");
    // An answer that is still being read has its place.
    let held = world
        .auth
        .forward(&proxy, &session, request(Method::GET, "/users/me"))
        .await
        .unwrap();
    assert!(get().await.is_ok());
    let other = world
        .auth
        .forward(&proxy, &session, request(Method::GET, "/users/me"))
        .await
        .unwrap();
    assert!(get().await.is_err());
    drop((held, other));
    assert!(get().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stands_still_is_given_up() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let short = Duration::from_millis(300);
    // No answer.
    let proxy = Proxy::to_api().first_byte_timeout(short).idle_timeout(secs(60));
    world.control().fail(Endpoint::Api("/users/me"), Fault::Hang);
    let began = Instant::now();
    let silent = forward(&world.auth, &proxy, &session, request(Method::GET, "/users/me")).await;
    assert_eq!(silent.unwrap_err(), "502 api.timeout");
    assert!(began.elapsed() < WAIT);
    // A sender that is slower than the upstream may be is no slow upstream.
    let mut slow = request(Method::POST, "/echo");
    let chunks = stream::iter(["a", "b", "c"]).then(move |chunk| async move {
        tokio::time::sleep(short).await;
        Ok::<_, BodyBroken>(chunk.into())
    });
    slow.body = ProxyBody::new(chunks, None);
    assert_eq!(
        forward(&world.auth, &proxy, &session, slow).await.unwrap(),
        b"abc"
    );
    // One that sends no more.
    let (origin, _) = upstream(b"").await;
    let waiting = Proxy::to(origin).unwrap().idle_timeout(short);
    let mut stalled = request(Method::POST, "/echo");
    stalled.body = ProxyBody::new(stream::pending(), Some(5));
    assert_eq!(
        forward(&world.auth, &waiting, &session, stalled)
            .await
            .unwrap_err(),
        "408 proxy.sender"
    );
    // An answer that goes no further.
    let (origin, _) = upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await;
    let proxy = Proxy::to(origin).unwrap().idle_timeout(short);
    let answer = world
        .auth
        .forward(&proxy, &session, request(Method::GET, "/"))
        .await
        .unwrap();
    let Rest::Body(download) = answer.rest else {
        panic!("no tunnel")
    };
    assert_eq!(download.length(), Some(9));
    let chunks: Vec<_> = timeout(WAIT, download.take(3).collect()).await.unwrap();
    assert_eq!(chunks.len(), 3, "{chunks:?}");
    assert!(chunks[0].is_ok() && chunks[1].is_err(), "{chunks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_comes_before_the_body_has_gone_is_answered_with_all_of_it() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    world.control().reject_next(1);
    let mut request = request(Method::POST, "/echo");
    let control = world.control().clone();
    // The rest comes only once the first token is refused.
    let chunks = stream::iter(["first, ", "rest"]).then(move |chunk| {
        let control = control.clone();
        async move {
            while chunk == "rest" && control.refresh_count() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, BodyBroken>(chunk.into())
        }
    });
    request.body = ProxyBody::new(chunks, Some(11));
    let echoed = timeout(WAIT, forward(&world.auth, &Proxy::to_api(), &session, request))
        .await
        .unwrap();
    assert_eq!(echoed.unwrap(), b"first, rest");
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ECHO)),
        (1, 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_is_refreshed_first_and_an_outage_is_told_as_what_it_is() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    world.clock.advance(LIFE);
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    let proxy = Proxy::to_api();
    let get = || forward(&world.auth, &proxy, &session, request(Method::GET, "/users/me"));
    let down = get().await.unwrap_err();
    assert!(down.starts_with("503 "), "{down}");
    assert_eq!(world.control().count(Endpoint::Api("/users/me")), 0);
    world.clock.advance(secs(60));
    assert!(get().await.is_ok());
    world.control().kill_refresh_tokens();
    world.control().reject_next(1);
    let ended = get().await.unwrap_err();
    assert!(ended.starts_with("401 session."), "{ended}");
}

fn json(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body).unwrap()
}

// RFC 8693 §2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upstream_of_another_audience_gets_a_token_exchanged_for_it() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let audience = world.provider.api2_url();
    let proxy = Proxy::to(audience).unwrap().for_audience(audience);
    let get = || forward(&world.auth, &proxy, &session, request(Method::GET, "/whoami"));
    let exchanges = || requests_of(&world.provider, EXCHANGE).len();

    let all = join_all((0..100).map(|_| get())).await;
    for answer in all {
        assert_eq!(json(&answer.unwrap())["aud"], audience);
    }
    assert_eq!((exchanges(), world.control().count(WHOAMI)), (1, 100));
    // The client of this audience has the same token.
    let client = world.auth.client(&session).for_audience(audience);
    let token = format!("Bearer {}", client.access_token().await.unwrap().expose());
    for asked in world.control().requests(WHOAMI) {
        assert_eq!(asked.header("authorization"), Some(token.as_str()));
    }
    assert_eq!(exchanges(), 1);

    // Another session has its own, and so has a dead one's successor.
    let other = signed_in(&world).await;
    forward(&world.auth, &proxy, &other, request(Method::GET, "/whoami"))
        .await
        .unwrap();
    assert_eq!(exchanges(), 2);
    world.clock.advance(LIFE);
    get().await.unwrap();
    assert_eq!((exchanges(), world.control().refresh_count()), (3, 1));
    // The upstream beside it sees the session's own.
    let beside = Proxy::to_api();
    forward(&world.auth, &beside, &session, request(Method::GET, "/users/me"))
        .await
        .unwrap();
    assert_eq!(exchanges(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchanged_token_that_is_refused_is_exchanged_once_more() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let api = world.provider.api_url();
    let proxy = Proxy::to_api().exchanging(TokenExchange::new().audience(api).scopes("openid"));
    let post = || {
        let mut request = request(Method::POST, "/echo");
        let chunks = stream::iter(["bo", "dy"].map(|chunk| Ok(chunk.into())));
        request.body = ProxyBody::new(chunks, Some(4));
        world.auth.forward(&proxy, &session, request)
    };
    let counts = || {
        let exchanges = requests_of(&world.provider, EXCHANGE).len();
        (
            exchanges,
            world.control().count(ECHO),
            world.control().refresh_count(),
        )
    };
    world.control().reject_next(1);
    let answer = post().await.unwrap();
    let Rest::Body(download) = answer.rest else {
        panic!("no tunnel")
    };
    assert_eq!(body(download).await, b"body");
    assert_eq!(counts(), (2, 2, 0));
    let asked = world.control().requests(ECHO);
    assert_ne!(asked[0].header("authorization"), asked[1].header("authorization"));
    for request in requests_of(&world.provider, EXCHANGE) {
        assert_eq!(
            (request.form("audience"), request.form("scope")),
            (Some(api), Some("openid"))
        );
    }
    world.control().reject_next(2);
    assert_eq!(post().await.unwrap().status, 401);
    assert_eq!(counts(), (3, 4, 0), "no second time");

    // More of a body than is kept: the refusal is the answer, and the token is left alone.
    world.control().reject_next(1);
    let mut large = request(Method::POST, "/echo");
    large.body = ProxyBody::new(stream::iter([Ok(vec![b'x'; 128 * 1024].into())]), None);
    let refused = world.auth.forward(&proxy, &session, large).await.unwrap();
    assert_eq!((refused.status.as_u16(), counts()), (401, (3, 5, 0)));
}

// RFC 9112 §6.1, §6.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_whose_length_nobody_knows_has_a_body_if_bytes_come() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let (origin, seen) = upstream(b"HTTP/1.1 204 No\r\nconnection: close\r\n\r\n").await;
    let proxy = Proxy::to(&origin)
        .unwrap()
        .idle_timeout(Duration::from_millis(200));
    let send = async |method, chunks: &[&'static str]| {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok((*chunk).into())).collect();
        let mut request = request(method, "/search");
        request.body = ProxyBody::new(stream::iter(chunks), None);
        world.auth.forward(&proxy, &session, request).await.unwrap();
        seen.lock().unwrap().pop().unwrap()
    };
    for method in [Method::GET, Method::HEAD] {
        for none in [&[][..], &["", ""]] {
            let none = send(method.clone(), none).await;
            assert!(none.ends_with("\r\n\r\n"), "{none}");
            assert!(!none.contains("transfer-encoding"), "{none}");
        }
        let some = send(method, &["", "{", "}"]).await;
        assert!(some.contains("\r\ntransfer-encoding: chunked\r\n"), "{some}");
        assert!(some.ends_with("\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), "{some}");
        assert!(!some.contains("content-length"), "{some}");
    }
    let mut silent = request(Method::GET, "/search");
    silent.body = ProxyBody::new(stream::pending(), None);
    let refused = forward(&world.auth, &proxy, &session, silent).await;
    assert_eq!(refused.unwrap_err(), "408 proxy.sender");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_exchanged_token_nothing_is_forwarded() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let (origin, seen) = upstream(OK).await;
    let to = || Proxy::to(&origin).unwrap();
    let get = async |proxy: Proxy| forward(&world.auth, &proxy, &session, request(Method::GET, "/")).await;
    for (proxy, error) in [
        (to().for_audience("https://nobody.example"), "502 grant.refused"),
        (to().for_audience(""), "500 grant.misuse"),
        (
            to().exchanging(TokenExchange::new().at("nobody").audience("x")),
            "500 grant.misuse",
        ),
    ] {
        assert_eq!(get(proxy).await.unwrap_err(), error);
    }
    let known = to().for_audience(world.provider.api2_url());
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    assert_eq!(get(known.clone()).await.unwrap_err(), "503 grant.unavailable");
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(get(known).await.unwrap(), b"ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_behind_another_provider_gets_a_token_exchanged_there() {
    let world = World::start().await;
    let (partner, auth) = partner(&world).await;
    let session = signed_in(&world).await;
    let exchange = TokenExchange::new()
        .at("partner")
        .subject(Presented::SessionIdToken)
        .audience(partner.api_url());
    let proxy = Proxy::to(partner.api_url()).unwrap().exchanging(exchange);
    let me = forward(&auth, &proxy, &session, request(Method::GET, "/users/me")).await;
    assert_eq!(json(&me.unwrap())["id"], "ada");
    assert_eq!(requests_of(&partner, EXCHANGE).len(), 1);
    assert!(requests_of(&world.provider, EXCHANGE).is_empty());
}

/// An upstream that begins with these bytes, goes on with the others for as long as it can, if there are any, and tells when
/// the other side has ended.
async fn endless(begin: &'static [u8], go_on: &'static [u8]) -> (Proxy, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let ended = Arc::new(Notify::new());
    let tell = Arc::clone(&ended);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = Arc::clone(&tell);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut head).await.unwrap();
                }
                stream.write_all(begin).await.unwrap();
                while !go_on.is_empty() && stream.write_all(go_on).await.is_ok() {}
                while let Ok(1..) = stream.read_buf(&mut head).await {}
                tell.notify_one();
            });
        }
    });
    (Proxy::to(origin).unwrap(), ended)
}

/// How long the end of a session may take to reach what is under way.
const WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_way_breaks_off_when_its_session_ends() {
    let world = World::start().await;
    let elsewhere = world.instance().await;
    for (begin, go_on) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"[..], &b""[..]),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            b"",
        ),
        // One that never waits.
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"4\r\nhalf\r\n",
        ),
    ] {
        let (proxy, upstream_ended) = endless(begin, go_on).await;
        let [mut this, mut other] = [signed_in(&world).await, signed_in(&world).await].map(|session| {
            let (auth, proxy) = (world.auth.clone(), proxy.clone());
            async move {
                let answer = auth.forward(&proxy, &session, request(Method::GET, "/")).await;
                let Rest::Body(download) = answer.unwrap().rest else {
                    panic!("no tunnel")
                };
                // Whoever reads on after the end is told the same again.
                let read = tokio::spawn(async move {
                    let mut chunks = download;
                    let mut came = 0;
                    while let Some(Ok(chunk)) = chunks.next().await {
                        came += chunk.len();
                    }
                    (came, chunks.next().await)
                });
                (session, read)
            }
            .boxed()
        });
        let ((session, mut read), (bystander, bystanders)) = ((&mut this).await, (&mut other).await);
        eventually("both are watched", || world.auth.waiting_for_ends() == 2).await;
        elsewhere.end_session(&session).await.unwrap();
        let (came, after) = timeout(WITHIN, &mut read).await.expect("it goes on").unwrap();
        assert!(came >= 4 && matches!(after, Some(Err(_))), "{came} {after:?}");
        timeout(WITHIN, upstream_ended.notified())
            .await
            .expect("the upstream is let go");
        assert_eq!(world.auth.waiting_for_ends(), 1);
        assert!(!bystanders.is_finished(), "another session's goes on");
        elsewhere.end_session(&bystander).await.unwrap();
        timeout(WITHIN, bystanders).await.expect("it goes on").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_soon_asks_the_store_for_nothing() {
    let world = World::start().await;
    let session = signed_in(&world).await;
    let before = world.store.count(Op::Load);
    let proxy = Proxy::to_api();
    for _ in 0..10 {
        forward(&world.auth, &proxy, &session, request(Method::GET, "/users/me"))
            .await
            .unwrap();
    }
    assert_eq!(
        (
            world.store.count(Op::Load) - before,
            world.auth.waiting_for_ends()
        ),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_with_its_session() {
    let world = World::start().await;
    let elsewhere = world.instance().await;
    let (proxy, upstream_ended) = endless(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello",
        b"",
    )
    .await;
    let session = signed_in(&world).await;
    let mut handshake = request(Method::GET, "/socket");
    handshake.upgrade = Upgrade::Possible;
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        let name = HeaderName::from_static(name);
        handshake.headers.insert(name, HeaderValue::from_static(value));
    }
    let answer = world.auth.forward(&proxy, &session, handshake).await.unwrap();
    let Rest::Tunnel(tunnel) = answer.rest else {
        panic!("a body")
    };
    let (mut browser, ours) = duplex(1024);
    let running = tokio::spawn(tunnel.run(ours));
    let mut hello = [0; 5];
    browser.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    eventually("it is watched", || world.auth.waiting_for_ends() == 1).await;
    assert!(!running.is_finished());
    elsewhere.end_session(&session).await.unwrap();
    timeout(WITHIN, running).await.expect("it is open still").unwrap();
    timeout(WITHIN, upstream_ended.notified())
        .await
        .expect("the upstream is let go");
    assert_eq!(browser.read(&mut hello).await.unwrap(), 0);
}
