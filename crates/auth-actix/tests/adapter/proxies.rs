//! Proxies side by side, and what is under way through them, in both adapters alike.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::Auth;
use auth_core::proxy::Proxy;
use auth_testing::Endpoint;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{accept_async, connect_async};

use crate::app;
use crate::sockets::are_waiting;
use crate::world::{Browser, Carrier, World};

/// How long the end of a session may take to reach what is under way.
const WITHIN: Duration = Duration::from_secs(5);

/// Answers each connection once, and tells the request lines.
async fn upstream(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n")
                && stream.read_buf(&mut head).await.unwrap() > 0
            {}
            let head = String::from_utf8_lossy(&head).into_owned();
            seen.lock().unwrap().push(head.lines().next().unwrap().to_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (origin, lines)
}

/// An application with two proxies, beside the world's own, and its origin.
fn beside(auth: &Auth, first: Proxy, second: Proxy) -> (app::Server, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    (app::serve_proxies(listener, auth, first, second), origin)
}

#[tokio::test]
async fn each_prefix_has_its_own_upstream_and_settings() {
    let (first, asked_first) = upstream("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfirst").await;
    let (second, asked_second) =
        upstream("HTTP/1.1 201 Made\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecond").await;
    let world = World::start(Carrier::Cookie).await;
    let second = Proxy::to(format!("{second}/v2")).unwrap();
    let second = second.methods([Method::GET, Method::PUT]);
    let (_server, at) = beside(&world.auth, Proxy::to(first).unwrap(), second);
    let at = |path: &str| format!("{at}{path}");
    let mut browser = world.browser();
    let csrf = [("x-csrf", "1")];
    assert_eq!(
        browser.send(Method::GET, &at("/first/a"), &csrf, "").await.status,
        401
    );
    browser.sign_in("/").await;
    let answer = browser.send(Method::GET, &at("/first/a//b?c"), &csrf, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "first"));
    let answer = browser
        .send(Method::PUT, &at("/second/a;b/?"), &csrf, "body")
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (201, "second"));
    assert_eq!(answer.header("cache-control"), "no-store");
    // The second one forwards no other method.
    let answer = browser.send(Method::POST, &at("/second/a"), &csrf, "body").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, PUT"));
    for outside in ["/first", "/firsts/a", "/second", "/third/a"] {
        assert_eq!(
            browser.send(Method::GET, &at(outside), &csrf, "").await.status,
            404,
            "{outside}"
        );
    }
    let root = browser.send(Method::GET, &at("/second/"), &csrf, "").await;
    assert_eq!(root.status, 201);
    assert_eq!(*asked_first.lock().unwrap(), ["GET /a//b?c HTTP/1.1"]);
    assert_eq!(
        *asked_second.lock().unwrap(),
        ["PUT /v2/a;b/? HTTP/1.1", "GET /v2/ HTTP/1.1"]
    );
}

#[tokio::test]
async fn an_outage_of_the_store_forwards_nothing() {
    let (first, asked) = upstream("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfirst").await;
    let world = World::start(Carrier::Cookie).await;
    let to = || Proxy::to(&first).unwrap();
    let (_server, at) = beside(&world.auth, to(), to());
    let mut browser = world.browser();
    browser.sign_in("/").await;
    world.store.go_down();
    let answer = browser
        .send(Method::GET, &format!("{at}/first/a"), &[("x-csrf", "1")], "")
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "store.unavailable")
    );
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_upstream_gets_a_token_for_its_own_audience() {
    let world = World::start(Carrier::Cookie).await;
    let audience = world.provider.api2_url();
    let reports = Proxy::to(audience).unwrap().for_audience(audience);
    let (_server, at) = beside(&world.auth, reports, Proxy::to_api());
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let csrf = [("x-csrf", "1")];
    for _ in 0..2 {
        let whoami = browser
            .send(Method::GET, &format!("{at}/first/whoami"), &csrf, "")
            .await;
        assert_eq!(
            (whoami.status, whoami.json()["aud"].as_str()),
            (200, Some(audience))
        );
    }
    let me = browser
        .send(Method::GET, &format!("{at}/second/users/me"), &csrf, "")
        .await;
    assert_eq!(me.status, 200, "{}", me.body);
    let exchanges = || {
        let requests = world.provider.control().requests(Endpoint::Token);
        let exchange = Some("urn:ietf:params:oauth:grant-type:token-exchange");
        let exchanges = requests
            .iter()
            .filter(|request| request.form("grant_type") == exchange);
        exchanges.count()
    };
    assert_eq!(exchanges(), 1);
    // One that the upstream refuses is exchanged once more, and nothing is refreshed.
    world.provider.control().reject_next(1);
    let whoami = browser
        .send(Method::GET, &format!("{at}/first/whoami"), &csrf, "")
        .await;
    assert_eq!((whoami.status, exchanges()), (200, 2));
    assert_eq!(world.provider.control().refresh_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_is_refused_is_a_502_and_forwards_nothing() {
    let (upstream, asked) = upstream("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfirst").await;
    let world = World::start(Carrier::Cookie).await;
    let unknown = Proxy::to(upstream)
        .unwrap()
        .for_audience("https://nobody.example");
    let (_server, at) = beside(&world.auth, unknown, Proxy::to_api());
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let refused = browser
        .send(Method::GET, &format!("{at}/first/a"), &[("x-csrf", "1")], "")
        .await;
    assert_eq!((refused.status, refused.code().as_str()), (502, "grant.refused"));
    assert!(asked.lock().unwrap().is_empty());
    assert_eq!(browser.script("/me").await.status, 200, "signed in still");
}

/// An upstream that sends this, no more, and tells when it is let go.
async fn half(answer: &'static str) -> (String, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let ended = Arc::new(Notify::new());
    let tell = Arc::clone(&ended);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        while let Ok(1..) = stream.read_buf(&mut head).await {}
        tell.notify_one();
    });
    (origin, ended)
}

/// What a script of the page downloads, as far as it has come.
async fn download(browser: &Browser<'_>, url: String) -> reqwest::Response {
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let request = http
        .get(url)
        .header("x-csrf", "1")
        .header("cookie", browser.cookie_header());
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.chunk().await.unwrap().unwrap(), "half");
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_breaks_off_when_the_session_ends_on_another_instance() {
    let (sized, sized_ended) = half("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
    let (events, events_ended) = half(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    )
    .await;
    let world = World::start(Carrier::Cookie).await;
    let elsewhere = world.instance().await;
    let to = |origin| Proxy::to(origin).unwrap();
    let (_server, at) = beside(&elsewhere, to(sized), to(events));
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let sized = download(&browser, format!("{at}/first/file")).await;
    let events = download(&browser, format!("{at}/second/events")).await;
    are_waiting(&elsewhere, 2).await;
    browser.post("/auth/logout").await;
    for (what, response, upstream_ended) in [("sized", sized, sized_ended), ("events", events, events_ended)]
    {
        let rest = timeout(WITHIN, response.bytes()).await;
        let rest = rest.unwrap_or_else(|_| panic!("{what}: it goes on"));
        assert!(rest.is_err(), "{what} looks whole: {rest:?}");
        let let_go = timeout(WITHIN, upstream_ended.notified()).await;
        assert!(let_go.is_ok(), "{what}: the upstream is held");
    }
    are_waiting(&elsewhere, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxied_websocket_ends_when_the_session_ends_on_another_instance() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let world = World::start(Carrier::Cookie).await;
    let elsewhere = world.instance().await;
    let (_server, at) = beside(&elsewhere, Proxy::to(upstream).unwrap(), Proxy::to_api());
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let url = format!("{}/first/socket", at.replace("http", "ws"));
    let mut request = url.into_client_request().unwrap();
    let origin = world.base().origin().ascii_serialization();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    let cookie = browser.cookie_header().parse().unwrap();
    request.headers_mut().insert("cookie", cookie);
    let (mut socket, _) = connect_async(request).await.unwrap();
    are_waiting(&elsewhere, 1).await;
    // As long as the session lasts it goes on.
    socket.send(Message::text("hello")).await.unwrap();
    let answer = timeout(WITHIN, socket.next()).await.unwrap().unwrap();
    assert_eq!(answer.unwrap(), Message::text("hello"));

    browser.post("/auth/logout").await;
    let end = timeout(WITHIN, socket.next()).await.expect("it is open still");
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
    timeout(WITHIN, serving)
        .await
        .expect("the upstream is held")
        .unwrap();
    are_waiting(&elsewhere, 0).await;
}
