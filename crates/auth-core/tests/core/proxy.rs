//! A proxy's settings and limits. What goes through and what is refused stands in the behaviour tests, which send bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::proxy::{BodyBroken, Download, Proxy, ProxyBody, ProxyError, ProxyRequest, Rest, Upgrade};
use auth_core::session::Session;
use auth_core::{Auth, Error};
use auth_testing::{Endpoint, Fault};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::world::{WAIT, World, secs};

const ECHO: Endpoint = Endpoint::Api("/echo");

/// Takes connections, reads what comes for as long as it comes within 100 ms, and answers with these bytes.
async fn upstream(answer: &'static [u8]) -> (String, Arc<Mutex<Vec<String>>>) {
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
    world.clock.advance(crate::world::LIFE);
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
