//! `/proxy/api/*`: what goes through, what stays behind, and what is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_testing::Endpoint;
use auth_tests::raw::{self, Connection, RawAnswer};
use auth_tests::upstream::{Asked, Upstream, values};
use auth_tests::{Ask, Stage, World};
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ORIGIN: &str = "http://127.0.0.1:3000";

/// The application with this upstream behind a base path, and alice signed in.
async fn world(stage: &Stage, upstream: &Upstream) -> World {
    let api = format!("{}/base/v1/", upstream.origin());
    let world = stage
        .world_with(|settings| settings.set("API_URL", api).set("HTTP_TIMEOUT_SECS", 2))
        .await;
    world.sign_in("alice").await;
    world
}

fn fetch(world: &World, path: &str) -> Ask {
    send(world, Method::GET, path)
}

fn send(world: &World, method: Method, path: &str) -> Ask {
    world
        .browser
        .script(method, &format!("/proxy/api{path}"))
        .header("x-csrf", "1")
}

/// The lines that show who is signed in, and that the request comes from a page of the app.
async fn signed(world: &World) -> String {
    let cookies: Vec<_> = world
        .browser
        .cookies()
        .iter()
        .map(|cookie| format!("{}={}", cookie.name, cookie.value))
        .collect();
    format!(
        "host: 127.0.0.1:3000\r\ncookie: {}\r\nx-csrf: 1\r\n",
        cookies.join("; ")
    )
}

/// Sends a request with this line and these further lines, to the byte.
async fn exchange(world: &World, line: &str, lines: &str, body: &[u8]) -> RawAnswer {
    let signed = signed(world).await;
    let mut request = format!("{line} HTTP/1.1\r\n{signed}connection: close\r\n{lines}\r\n").into_bytes();
    request.extend_from_slice(body);
    raw::exchange(world.app.address(), &request)
        .await
        .expect("an answer")
}

pub(crate) async fn method_path_and_query_go_up_to_the_byte(stage: Stage) {
    let upstream = Upstream::answering(OK.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
    let world = world(&stage, &upstream).await;
    for target in [
        "/",
        "/a",
        "/a/",
        "/a//b///",
        "//evil.example/x",
        "/http://evil.example/x",
        "/@evil.example:80/",
        "/?",
        "/a?",
        "/a??b=?c",
        "/a?b=c&b=d&e",
        "/a;b=c;d/e;",
        "/./a/.",
        "/%2e/a/%2E",
        "/.../..a/a..",
        "/%41%62/%2F%2f%5c%3F%23%25%20%00%0d%0a",
        "/%E2%82%AC/%c3%28",
        "/a'(b)*+,=:@!$&~_-{|}^\"",
        "/a?q='x'&r=%zz&s=100%&t=/../%2e%2e/&u={|}^`&v=\\..\\",
        "/%252f?x=http://evil.example/%2F",
    ] {
        let answer = exchange(&world, &format!("GET /proxy/api{target}"), "", b"").await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.head);
        let head = upstream.take_heads().pop().unwrap();
        let line = head.lines().next().unwrap();
        assert_eq!(line, format!("GET /base/v1{target} HTTP/1.1"));
    }
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND", "PURGE", "get",
    ] {
        exchange(&world, &format!("{method} /proxy/api/x"), "", b"").await;
        let head = upstream.take_heads().pop().unwrap();
        assert!(
            head.starts_with(&format!("{method} /base/v1/x HTTP/1.1\r\n")),
            "{head}"
        );
    }
}

pub(crate) async fn a_target_that_could_leave_the_base_path_is_refused(stage: Stage) {
    let upstream = Upstream::answering(OK).await;
    let world = world(&stage, &upstream).await;
    for target in [
        "/..",
        "/../../admin",
        "/a/../b",
        "/%2e%2e/%2e%2e/admin",
        "/.%2E/x",
        "/%2e./x?y",
        "/..;/x",
        "/..%3bx/",
        "/..%2f..%2fadmin",
        "/..%5c..%5cadmin",
        "/a\\..\\..\\admin",
        "/%252e%252e/admin",
        "/%",
        "/%zz",
        "/%u002e%u002e/x",
    ] {
        let answer = exchange(&world, &format!("GET /proxy/api{target}"), "", b"").await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.head);
    }
    let refused = fetch(&world, "/..%2fadmin").await;
    refused.assert_problem(400).assert_no_store();
    assert_eq!(refused.failure_code().as_deref(), Some("proxy.path"));
    // What is outside of the prefix, to the byte, is none of the proxy's.
    for target in [
        "/proxy/apix/a",
        "/proxy/%61pi/a",
        "/proxy/api%2fa",
        "/proxy/api",
        "//proxy/api/a",
    ] {
        let answer = exchange(&world, &format!("GET {target}"), "", b"").await;
        assert_eq!(answer.status, 404, "{target}: {}", answer.head);
    }
    // Of a target in absolute form, and of `Host`, nothing decides where to.
    let answer = exchange(&world, "GET http://evil.example/proxy/api/a", "", b"").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    let head = upstream.take_heads().pop().unwrap();
    assert!(head.starts_with("GET /base/v1/a HTTP/1.1"), "{head}");
    assert_eq!(values(&head, "host"), [upstream.origin().replace("http://", "")]);
    assert!(upstream.heads().is_empty());
}

pub(crate) async fn what_is_between_browser_and_app_stays_there(stage: Stage) {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close, x-secret\r\nx-secret: 1\r\nkeep-alive: timeout=5\r\n\
         set-cookie: sid=evil; Path=/\r\nset-cookie: b=c\r\naccess-control-allow-origin: *\r\nclear-site-data: \"*\"\r\n\
         strict-transport-security: max-age=9\r\nproxy-authenticate: Basic\r\nauthorization: Bearer echoed\r\n\
         cookie: sid=echoed\r\ndpop: echoed\r\nproxy-authorization: Basic eA==\r\netag: \"1\"\r\nx-one: 1\r\nx-one: 2\r\n\
         content-type: text/html\r\ncache-control: public, max-age=60\r\ncontent-encoding: br\r\n\r\nok",
    )
    .await;
    let world = world(&stage, &upstream).await;
    let lines = "authorization: Bearer mine\r\ndpop: proof\r\nconnection: X-Named, keep-alive\r\nx-named: 1\r\n\
                 keep-alive: timeout=5\r\nte: trailers\r\nproxy-authorization: Basic eA==\r\nexpect: 100-continue\r\n\
                 x-forwarded-for: 1.2.3.4\r\nx-forwarded-host: evil.example\r\nforwarded: host=evil.example\r\n\
                 x_forwarded_for: 1.2.3.4\r\nx-real-ip: 1.2.3.4\r\nupgrade: h2c\r\naccept-encoding: br, zstd\r\n\
                 x-two: \u{e9}\r\nx-two: b\r\naccept: a/b\r\ncontent-length: 3\r\ncontent-type: c/d\r\n";
    let answer = exchange(&world, "POST /proxy/api/x", lines, b"abc").await;
    let head = upstream.take_heads().pop().unwrap();
    for name in [
        "cookie",
        "dpop",
        "connection",
        "x-named",
        "keep-alive",
        "te",
        "proxy-authorization",
        "expect",
        "x-forwarded-for",
        "x-forwarded-host",
        "forwarded",
        "x_forwarded_for",
        "x-real-ip",
        "upgrade",
        "transfer-encoding",
    ] {
        assert!(values(&head, name).is_empty(), "{name}: {head}");
    }
    let authorization = values(&head, "authorization");
    assert_eq!(authorization.len(), 1);
    assert!(authorization[0].starts_with("Bearer ") && authorization[0] != "Bearer mine");
    assert_eq!(values(&head, "host"), [upstream.origin().replace("http://", "")]);
    assert_eq!(values(&head, "accept-encoding"), ["br, zstd"]);
    assert_eq!(values(&head, "x-two"), ["\u{e9}", "b"]);
    assert_eq!(values(&head, "content-length"), ["3"]);
    assert_eq!(
        (values(&head, "accept"), values(&head, "content-type")),
        (vec!["a/b".to_owned()], vec!["c/d".to_owned()])
    );

    assert_eq!(
        answer.status, 100,
        "the app itself answers what is expected: {}",
        answer.head
    );
    let answer_head = answer.body.split("\r\n\r\n").next().unwrap();
    let came = |name: &str| values(answer_head, name);
    for name in [
        "set-cookie",
        "x-secret",
        "keep-alive",
        "access-control-allow-origin",
        "clear-site-data",
        "strict-transport-security",
        "proxy-authenticate",
        "authorization",
        "cookie",
        "dpop",
        "proxy-authorization",
    ] {
        assert!(came(name).is_empty(), "{name}: {answer_head}");
    }
    assert_eq!(came("cache-control"), ["no-store"]);
    assert_eq!(
        (came("etag"), came("x-one")),
        (vec!["\"1\"".to_owned()], vec!["1".to_owned(), "2".to_owned()])
    );
    assert_eq!(
        (came("content-type"), came("content-encoding")),
        (vec!["text/html".to_owned()], vec!["br".to_owned()])
    );
    assert_eq!(
        (came("x-content-type-options"), came("content-security-policy")),
        (vec!["nosniff".to_owned()], vec!["sandbox".to_owned()])
    );
}

pub(crate) async fn every_status_passes_and_no_redirect_is_followed(stage: Stage) {
    let upstream = Upstream::start(|mut asked: Asked| async move {
        let status = asked.head.split(['/', ' ']).nth(4).unwrap().to_owned();
        let body = if matches!(status.as_str(), "204" | "304") { "" } else { "content-length: 4\r\n" };
        asked
            .send(format!("HTTP/1.1 {status} Odd\r\nlocation: http://elsewhere.example/..?%41\r\nconnection: close\r\n{body}\r\n").as_bytes())
            .await;
        if !body.is_empty() && !asked.head.starts_with("HEAD") {
            asked.send(b"body").await;
        }
    })
    .await;
    let world = world(&stage, &upstream).await;
    for status in [
        "200", "201", "204", "206", "301", "303", "304", "307", "400", "403", "404", "418", "429", "500",
        "503", "599",
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let answer = exchange(&world, &format!("{method} /proxy/api/{status}"), "", b"").await;
            assert_eq!(answer.status.to_string(), status, "{method}: {}", answer.head);
            assert_eq!(answer.header("location"), Some("http://elsewhere.example/..?%41"));
            let is_empty = method == "HEAD" || matches!(status, "204" | "304");
            assert_eq!(
                answer.body,
                if is_empty { "" } else { "body" },
                "{method} {status}"
            );
            if method == "HEAD" && !matches!(status, "204" | "304") {
                assert_eq!(answer.header("content-length"), Some("4"), "{}", answer.head);
            }
        }
    }
    assert_eq!(upstream.heads().len(), 16 * 3, "each is asked once");
}

pub(crate) async fn the_header_is_demanded_of_every_method(stage: Stage) {
    let upstream = Upstream::answering(OK).await;
    let world = world(&stage, &upstream).await;
    for method in [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::POST,
        Method::PUT,
        Method::DELETE,
    ] {
        for ask in [
            send(&world, method.clone(), "/x").without("x-csrf"),
            send(&world, method.clone(), "/x").header("x-csrf", "0"),
            send(&world, method.clone(), "/x").header("x-csrf", ""),
            send(&world, method.clone(), "/x").also("x-csrf", "1"),
        ] {
            let answer = ask.await;
            assert_eq!(answer.status, 403, "{method}: {}", answer.describe());
            answer.assert_no_store();
            if method != Method::HEAD {
                assert_eq!(answer.failure_code().as_deref(), Some("proxy.csrf_header"));
            }
        }
    }
    // A link is a navigation, and no way in.
    let page = world.browser.navigate("/proxy/api/x").await;
    page.assert_status(403).assert_page();
    // The usual rules come first.
    for origin in ["https://elsewhere.example", "null"] {
        let answer = send(&world, Method::POST, "/x").header("origin", origin).await;
        answer.assert_problem(403);
        assert_eq!(answer.failure_code().as_deref(), Some("request.cross_site"));
    }
    let nobody = world.browser.fresh();
    nobody
        .script(Method::GET, "/proxy/api/x")
        .header("x-csrf", "1")
        .await
        .assert_problem(401);
    nobody
        .script(Method::POST, "/proxy/api/x")
        .header("x-csrf", "1")
        .await
        .assert_problem(401);
    nobody.navigate("/proxy/api/x?y").await.assert_redirect();
    for method in [Method::TRACE, Method::CONNECT] {
        let line = format!("{method} /proxy/api/x");
        let answer = exchange(&world, &line, "", b"").await;
        assert!(
            matches!(answer.status, 400 | 404 | 405),
            "{method}: {}",
            answer.head
        );
    }
    assert!(upstream.heads().is_empty());
    fetch(&world, "/x").await.assert_status(200);
    assert_eq!(upstream.heads().len(), 1);
}

pub(crate) async fn bodies_go_up_in_the_frame_that_they_have(stage: Stage) {
    let upstream = Upstream::start(|mut asked: Asked| async move {
        let is_chunked = !asked.header("transfer-encoding").is_empty();
        let length = asked
            .header("content-length")
            .pop()
            .and_then(|length| length.parse().ok());
        asked.body_of(length.unwrap_or(0)).await;
        while is_chunked && !asked.body.ends_with(b"0\r\n\r\n") {
            let more = asked.body.len() + 1;
            asked.body_of(more).await;
        }
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        asked
            .send(
                format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\nx-came: {is_chunked} {}\r\n\r\n\
                     {length:?} {is_chunked} {body}",
                    asked.body.len()
                )
                .as_bytes(),
            )
            .await;
    })
    .await;
    let world = world(&stage, &upstream).await;
    let sized = exchange(&world, "POST /proxy/api/x", "content-length: 5\r\n", b"hello").await;
    assert!(sized.body.contains("Some(5) false hello"), "{}", sized.body);
    let chunked = exchange(
        &world,
        "POST /proxy/api/x",
        "transfer-encoding: chunked\r\n",
        b"3\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n",
    )
    .await;
    assert!(chunked.body.contains("None true "), "{}", chunked.body);
    assert!(!chunked.body.contains("x-trailer"), "{}", chunked.body);
    for method in ["GET", "DELETE"] {
        let none = exchange(&world, &format!("{method} /proxy/api/x"), "", b"").await;
        assert!(none.body.contains("None false "), "{method}: {}", none.body);
    }
    let empty = exchange(&world, "POST /proxy/api/x", "", b"").await;
    assert!(
        empty.body.contains("Some(0) false ") || empty.body.contains("None false "),
        "{}",
        empty.body
    );
    // What these have in their bodies means nothing by itself, and goes up all the same (RFC 9110 §9.3.1).
    for method in ["GET", "HEAD"] {
        let line = format!("{method} /proxy/api/search");
        for (lines, body, came) in [
            ("content-length: 2\r\n", &b"{}"[..], "false 2"),
            (
                "transfer-encoding: chunked\r\n",
                b"2\r\n{}\r\n0\r\n\r\n",
                "true 12",
            ),
            ("transfer-encoding: chunked\r\n", b"0\r\n\r\n", "false 0"),
        ] {
            let answer = exchange(&world, &line, lines, body).await;
            assert_eq!(values(&answer.head, "x-came"), [came], "{method} {lines}");
        }
    }
    let asked = upstream.take_heads().len();
    assert_eq!(asked, 11);
    // Nothing of a second request in the body of the first reaches the upstream as one.
    let smuggled = "0\r\n\r\nGET /admin HTTP/1.1\r\nhost: x\r\n\r\n";
    for lines in [
        format!(
            "content-length: {}\r\ntransfer-encoding: chunked\r\n",
            smuggled.len()
        ),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "content-length: 3\r\ncontent-length: 5\r\n".to_owned(),
        "content-length: +3\r\n".to_owned(),
    ] {
        for method in ["POST", "GET"] {
            let line = format!("{method} /proxy/api/x");
            exchange(&world, &line, &lines, smuggled.as_bytes()).await;
        }
    }
    for head in upstream.heads() {
        let line = head.lines().next().unwrap();
        assert!(line.ends_with(" /base/v1/x HTTP/1.1"), "{head}");
    }
}

pub(crate) async fn a_refused_token_is_replaced_once_if_the_body_can_be_sent_again(stage: Stage) {
    let world = stage.signed_in("alice").await;
    let control = world.provider.control();
    let echo = Endpoint::Api("/echo");
    control.reject_next(1);
    let answer = exchange(
        &world,
        "POST /proxy/api/echo/a?b",
        "content-length: 5\r\n",
        b"hello",
    )
    .await;
    assert_eq!(
        (answer.status, answer.body.contains("hello")),
        (200, true),
        "{}",
        answer.head
    );
    assert_eq!(answer.header("x-echo-target"), Some("/echo/a?b"));
    assert_eq!((control.refresh_count(), control.count(echo)), (1, 2));
    // Refused once more, the answer is the API's own.
    control.reject_next(2);
    let answer = fetch(&world, "/echo").await;
    answer.assert_status(401).assert_no_store();
    assert!(
        answer
            .header("www-authenticate")
            .is_some_and(|value| value.starts_with("Bearer"))
    );
    assert_eq!((control.refresh_count(), control.count(echo)), (2, 4));
    assert!(world.browser.is_signed_in().await);
    // A missing scope is no refused token.
    let answer = fetch(&world, "/mail").await;
    assert_eq!((answer.status, control.refresh_count()), (403, 2));
}

pub(crate) async fn more_of_a_body_than_is_kept_is_not_sent_again(stage: Stage) {
    let upstream = Upstream::start(|mut asked: Asked| async move {
        asked.body_of(200_000).await;
        asked
            .send(b"HTTP/1.1 401 No\r\nwww-authenticate: Bearer\r\ncontent-length: 2\r\n\r\nno")
            .await;
    })
    .await;
    let world = world(&stage, &upstream).await;
    let large = vec![b'a'; 200_000];
    for _ in 0..3 {
        let answer = exchange(&world, "PUT /proxy/api/x", "content-length: 200000\r\n", &large).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (401, "no"),
            "{}",
            answer.head
        );
    }
    // The next one had another token. That the API refuses it as well is no reason to ask for one more.
    let heads = upstream.heads();
    assert_eq!((heads.len(), world.provider.control().refresh_count()), (3, 1));
    let token = |head: &String| values(head, "authorization");
    assert_ne!(token(&heads[0]), token(&heads[1]));
    assert_eq!(token(&heads[1]), token(&heads[2]));
}

pub(crate) async fn an_upstream_s_challenge_is_for_programs(stage: Stage) {
    let upstream = Upstream::start(|mut asked: Asked| async move {
        let challenge = if asked.head.contains("/step-up ") {
            "Bearer error=\"insufficient_user_authentication\", max_age=\"5\""
        } else {
            "Basic realm=\"x\""
        };
        asked
            .send(
                format!("HTTP/1.1 401 No\r\nwww-authenticate: {challenge}\r\ncontent-length: 0\r\n\r\n")
                    .as_bytes(),
            )
            .await;
    })
    .await;
    let world = world(&stage, &upstream).await;
    let refreshes = || world.provider.control().refresh_count();
    let answer = fetch(&world, "/step-up").await;
    answer.assert_status(401);
    assert!(
        answer
            .header("www-authenticate")
            .is_some_and(|value| value.contains("max_age"))
    );
    assert_eq!((refreshes(), upstream.heads().len()), (0, 1));
    let answer = fetch(&world, "/basic").await;
    answer.assert_status(401);
    assert_eq!(
        answer.header("www-authenticate"),
        None,
        "no browser asks for a password"
    );
    assert_eq!((refreshes(), upstream.heads().len()), (1, 3));
}

pub(crate) async fn an_upstream_that_fails_is_a_502(stage: Stage) {
    let upstream = Upstream::start(|mut asked: Asked| async move {
        let what = asked.head.split(['/', ' ']).nth(4).unwrap().to_owned();
        match what.as_str() {
            "garbage" => asked.send(b"\0\x01\x02 what is this\r\n\r\n").await,
            "half" => asked.send(b"HTTP/1.1 200 OK\r\ncontent-le").await,
            "silent" => asked.ended().await,
            "huge" => {
                asked
                    .send(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1 << 20)).as_bytes())
                    .await
            }
            "upgraded" => {
                asked
                    .send(b"HTTP/1.1 101 Odd\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
                    .await
            }
            "lengths" => {
                asked
                    .send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc")
                    .await
            }
            _ => {}
        }
    })
    .await;
    let world = world(&stage, &upstream).await;
    for (what, code) in [
        ("gone", "api.unreachable"),
        ("garbage", "api.unreachable"),
        ("half", "api.unreachable"),
        ("silent", "api.timeout"),
        ("huge", "api.unreachable"),
        ("upgraded", "api."),
        ("lengths", "api.unreachable"),
    ] {
        let start = Instant::now();
        let answer = fetch(&world, &format!("/{what}")).await;
        answer.assert_problem(502).assert_no_store();
        let said = answer.failure_code().unwrap();
        assert!(said.starts_with(code), "{what}: {said}");
        assert!(start.elapsed() < Duration::from_secs(8), "{what}");
        assert!(world.browser.is_signed_in().await);
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let down = stage
        .world_with(|settings| settings.set("API_URL", format!("http://{nobody}")))
        .await;
    down.sign_in("alice").await;
    fetch(&down, "/x").await.assert_problem(502);
}

pub(crate) async fn an_answer_that_breaks_off_does_not_look_whole(stage: Stage) {
    let upstream = Upstream::start(|mut asked: Asked| async move {
        if asked.head.contains("/sized ") {
            asked
                .send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
                .await;
        } else {
            asked
                .send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n")
                .await;
        }
        // The head goes down first.
        tokio::time::sleep(Duration::from_millis(200)).await;
    })
    .await;
    let world = world(&stage, &upstream).await;
    for path in ["sized", "chunked"] {
        let signed = signed(&world).await;
        let mut connection = Connection::open(world.app.address()).await;
        connection
            .send(format!("GET /proxy/api/{path} HTTP/1.1\r\n{signed}\r\n").as_bytes())
            .await;
        let all = connection.rest().await;
        assert!(all.starts_with("HTTP/1.1 200"), "{path}: {all}");
        assert!(all.contains("only this"), "{path}: {all}");
        assert!(!all.contains("\r\n0\r\n"), "{path} looks whole: {all}");
    }
}

pub(crate) async fn events_come_down_as_they_are_sent(stage: Stage) {
    let next = Arc::new(Notify::new());
    let told = Arc::clone(&next);
    let upstream = Upstream::start(move |mut asked: Asked| {
        let told = Arc::clone(&told);
        async move {
            asked
                .send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                .await;
            for event in ["one", "two", "three"] {
                asked.send(format!("data: {event}\n\n").as_bytes()).await;
                told.notified().await;
            }
        }
    })
    .await;
    let world = world(&stage, &upstream).await;
    let signed = signed(&world).await;
    let mut connection = Connection::open(world.app.address()).await;
    connection
        .send(
            format!("GET /proxy/api/events HTTP/1.1\r\n{signed}accept: text/event-stream\r\n\r\n").as_bytes(),
        )
        .await;
    for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        // The next one is not sent before this one is there.
        assert!(connection.until(event.as_bytes()).await, "{event}");
        next.notify_one();
    }
    assert!(connection.until(b"\r\n0\r\n\r\n").await);
}

pub(crate) async fn a_browser_that_goes_away_ends_the_call(stage: Stage) {
    let ended = Arc::new(Notify::new());
    let tell = Arc::clone(&ended);
    let upstream = Upstream::start(move |mut asked: Asked| {
        let tell = Arc::clone(&tell);
        async move {
            if asked.head.contains("/begun ") {
                asked
                    .send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
                    .await;
            }
            asked.ended().await;
            tell.notify_one();
        }
    })
    .await;
    let api = upstream.origin();
    // None of the limits of time ends it.
    let world = stage
        .world_with(|settings| settings.set("API_URL", api).set("HTTP_TIMEOUT_SECS", 60))
        .await;
    world.sign_in("alice").await;
    let signed = signed(&world).await;
    for (line, lines) in [
        ("GET /proxy/api/begun", ""),
        ("GET /proxy/api/waiting", ""),
        ("POST /proxy/api/sending", "content-length: 100\r\n"),
    ] {
        let mut connection = Connection::open(world.app.address()).await;
        connection
            .send(format!("{line} HTTP/1.1\r\n{signed}{lines}\r\n").as_bytes())
            .await;
        if line.ends_with("begun") {
            assert!(connection.until(b"data: 1").await);
        } else {
            auth_tests::wait::until("the upstream is asked", Duration::from_secs(10), || async {
                upstream
                    .heads()
                    .iter()
                    .any(|head| head.contains(&line[line.len() - 7..]))
            })
            .await;
        }
        drop(connection);
        tokio::time::timeout(Duration::from_secs(10), ended.notified())
            .await
            .unwrap_or_else(|_| panic!("{line}: the call goes on"));
    }
}

pub(crate) async fn a_gigabyte_goes_up_and_down_in_little_memory(stage: Stage) {
    const SIZE: usize = 1 << 30;
    const PIECE: usize = 1 << 18;
    const LIMIT: u64 = 48 << 20;
    let upstream = Upstream::start(|mut asked: Asked| async move {
        let (mut came, mut buffer) = (asked.body.len(), vec![0; PIECE]);
        if asked.head.starts_with("PUT") {
            while came < SIZE {
                match asked.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(length) => came += length,
                }
            }
            asked
                .send(format!("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{came:010}").as_bytes())
                .await;
        } else {
            asked
                .send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes())
                .await;
            for _ in 0..SIZE / PIECE {
                if asked.stream.write_all(&buffer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let api = upstream.origin();
    let world = stage
        .world_with(|settings| settings.set("API_URL", api).set("RUST_LOG", "info"))
        .await;
    world.sign_in("alice").await;
    fetch(&world, "/warm").await;
    let before = world.app.memory().now;
    let signed = signed(&world).await;
    let up = async {
        let mut stream = Connection::open(world.app.address()).await.into_stream();
        let head = format!(
            "PUT /proxy/api/x HTTP/1.1\r\n{signed}content-length: {SIZE}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'a'; PIECE];
        for _ in 0..SIZE / PIECE {
            stream.write_all(&piece).await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(&format!("{SIZE:010}")), "{answer}");
    };
    let down = async {
        let mut stream = Connection::open(world.app.address()).await.into_stream();
        let head = format!("GET /proxy/api/x HTTP/1.1\r\n{signed}connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut came, mut buffer) = (0, vec![0; PIECE]);
        loop {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                length => came += length,
            }
        }
        assert!((SIZE..SIZE + 4096).contains(&came), "{came}");
    };
    tokio::join!(up, down);
    let grown = world.app.memory().peak.saturating_sub(before);
    assert!(grown < LIMIT, "{} MiB", grown >> 20);
}

/// A handshake of a browser's `new WebSocket`, with these lines in the place of its `Origin`.
async fn handshake(world: &World, signed: &str, lines: &str) -> Connection {
    let mut connection = Connection::open(world.app.address()).await;
    let request = format!(
        "GET /proxy/api/socket?a=%41 HTTP/1.1\r\n{signed}connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: chat, superchat\r\n{lines}\r\n"
    );
    connection.send(request.as_bytes()).await;
    connection
}

pub(crate) async fn a_websocket_goes_through(stage: Stage) {
    let upstream = Upstream::start(|mut asked: Asked| async move {
        if asked.header("x-refuse").is_empty() {
            asked
                .send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nset-cookie: a=b\r\n\
                        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: chat\r\n\r\nhello\0")
                .await;
            let (mut from, mut to) = asked.stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        } else {
            asked.send(b"HTTP/1.1 403 No\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let world = world(&stage, &upstream).await;
    let with_header = signed(&world).await;
    // A browser cannot send it.
    let without = with_header.replace("x-csrf: 1\r\n", "");
    let own = format!("origin: {ORIGIN}\r\nsec-fetch-site: same-origin\r\n");

    for (signed, lines) in [(&without, own.as_str()), (&with_header, "")] {
        let mut connection = handshake(&world, signed, lines).await;
        assert!(connection.until(b"\r\n\r\nhello\0").await);
        let head = String::from_utf8_lossy(&connection.came).to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert_eq!(values(&head, "upgrade"), ["websocket"]);
        assert_eq!(values(&head, "connection"), ["upgrade"]);
        assert_eq!(values(&head, "sec-websocket-protocol"), ["chat"]);
        assert_eq!(values(&head, "sec-websocket-accept").len(), 1);
        assert!(values(&head, "set-cookie").is_empty() && values(&head, "transfer-encoding").is_empty());
        for piece in [&b"\x81\x85\x01\x02\x03\x04abcde"[..], &[0; 100_000], b"the end"] {
            connection.send(piece).await;
            assert!(connection.until(piece).await);
            connection.came.clear();
        }
        let asked = upstream.take_heads().pop().unwrap();
        assert!(asked.starts_with("GET /base/v1/socket?a=%41 HTTP/1.1"), "{asked}");
        assert!(values(&asked, "authorization")[0].starts_with("Bearer "));
        assert_eq!(values(&asked, "sec-websocket-protocol"), ["chat, superchat"]);
        assert_eq!(
            (values(&asked, "connection"), values(&asked, "upgrade")),
            (vec!["upgrade".to_owned()], vec!["websocket".to_owned()])
        );
        assert!(values(&asked, "cookie").is_empty());
    }
    let mut refused = handshake(
        &world,
        &without,
        &format!("{own}x-refuse: 1\r\nconnection: close\r\n"),
    )
    .await;
    let answer = refused.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("nope"),
        "{answer}"
    );
    let _ = upstream.take_heads();

    for (signed, lines, status) in [
        (&without, "origin: https://elsewhere.example\r\n", 403),
        (&with_header, "origin: https://elsewhere.example\r\n", 403),
        (&with_header, "origin: null\r\n", 403),
        (
            &without,
            "origin: http://127.0.0.1:3000\r\nsec-fetch-site: cross-site\r\n",
            403,
        ),
        (
            &without,
            "origin: http://127.0.0.1:3000\r\norigin: https://elsewhere.example\r\n",
            403,
        ),
        (&without, "", 403),
        (&"host: 127.0.0.1:3000\r\n".to_owned(), own.as_str(), 401),
    ] {
        let mut connection = handshake(&world, signed, lines).await;
        assert!(connection.until(b"\r\n\r\n").await);
        let head = String::from_utf8_lossy(&connection.came).into_owned();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{lines}: {head}"
        );
    }
    assert!(upstream.heads().is_empty());
}

pub(crate) async fn a_websocket_ends_on_both_sides(stage: Stage) {
    let ended = Arc::new(Notify::new());
    let tell = Arc::clone(&ended);
    let upstream = Upstream::start(move |mut asked: Asked| {
        let tell = Arc::clone(&tell);
        async move {
            asked
                .send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello\0")
                .await;
            if asked.header("x-end").is_empty() {
                asked.ended().await;
                tell.notify_one();
            }
        }
    })
    .await;
    let world = world(&stage, &upstream).await;
    let signed = signed(&world).await;
    let mut upstream_ends = handshake(&world, &signed, "x-end: 1\r\n").await;
    assert!(upstream_ends.until(b"hello\0").await);
    upstream_ends.rest().await;
    let mut browser_ends = handshake(&world, &signed, "").await;
    assert!(browser_ends.until(b"hello\0").await);
    drop(browser_ends);
    tokio::time::timeout(Duration::from_secs(10), ended.notified())
        .await
        .expect("the upstream's end");
}
