//! Proxies side by side, in both adapters alike.

use std::sync::{Arc, Mutex};

use auth_core::proxy::Proxy;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::app;
use crate::world::{Carrier, World};

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

/// The application with two proxies, beside the world's own, and its origin.
fn beside(world: &World, first: &str, second: &str) -> (app::Server, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let first = Proxy::to(first).unwrap();
    let second = Proxy::to(second).unwrap().methods([Method::GET, Method::PUT]);
    (app::serve_proxies(listener, &world.auth, first, second), origin)
}

#[tokio::test]
async fn each_prefix_has_its_own_upstream_and_settings() {
    let (first, asked_first) = upstream("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfirst").await;
    let (second, asked_second) =
        upstream("HTTP/1.1 201 Made\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecond").await;
    let world = World::start(Carrier::Cookie).await;
    let (_server, at) = beside(&world, &first, &format!("{second}/v2"));
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
    let (_server, at) = beside(&world, &first, &first);
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
