//! Tricks with paths at a protected prefix: what both adapters do alike, in an app where `/admin` and what lies below it are protected
//! and everything else is public.
//!
//! The requests are sent to the byte, since clients tidy paths up. The frameworks differ in what they take for `/admin`: axum compares
//! the path as it came, actix-web after decoding it. What counts is that the gate and the handler never differ.

use std::net::{SocketAddr, TcpListener};

use auth_core::Auth;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::app;
use crate::world::{Carrier, World};

/// Starts another app beside the world's, with the same sign-ins.
fn beside(auth: &Auth, serve: fn(TcpListener, &Auth) -> app::Server) -> (app::Server, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (serve(listener, auth), address)
}

/// Whether an answer has come to its end: servers may leave the connection open for a while after it.
fn is_whole(answer: &[u8], method: &str) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    method == "HEAD"
        || length.is_some_and(|length| {
            length
                .trim()
                .parse()
                .is_ok_and(|length: usize| body.len() >= length)
        })
}

/// What came back: empty where the connection was closed instead.
struct Answer(String);

impl Answer {
    async fn to(address: SocketAddr, method: &str, target: &[u8], cookie: &str) -> Self {
        let mut request = format!("{method} ").into_bytes();
        request.extend_from_slice(target);
        let head = format!(
            " HTTP/1.1\r\nhost: {address}\r\naccept: text/html\r\nsec-fetch-mode: navigate\r\ncookie: {cookie}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        request.extend_from_slice(head.as_bytes());
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be refused before all of it is read.
        let _ = stream.write_all(&request).await;
        let mut answer = Vec::new();
        let mut some = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut some).await {
            answer.extend_from_slice(&some[..length]);
            if is_whole(&answer, method) {
                break;
            }
        }
        Self(String::from_utf8_lossy(&answer).into_owned())
    }

    fn status(&self) -> u16 {
        let status = self.0.split(' ').nth(1);
        status.map_or(0, |status| status.parse().unwrap())
    }

    /// Whether the protected handler has answered; it says so in a header, for `HEAD`.
    fn is_reached(&self) -> bool {
        self.0.contains("x-reached") || self.0.contains("for administrators")
    }

    fn location(&self) -> Option<&str> {
        let line = self
            .0
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("location:"))?;
        line.split_once(": ").map(|(_, value)| value)
    }
}

/// Spellings of `/admin/users` and of its neighbours that somebody may take for it.
fn spellings() -> Vec<Vec<u8>> {
    let mut list: Vec<Vec<u8>> = [
        "/admin",
        "/admin/",
        "/admin//",
        "/admin/.",
        "/admin/./users",
        "/admin/../admin/users",
        "/admin/users",
        "/admin/users/",
        "/admin//users",
        "/admin/users/.",
        "/admin/users/..",
        "/admin/x/../users",
        "/admin/files/a",
        "/admin/files/../users",
        "/admin/files/%2e%2e/users",
        "/admin/files/..%2fusers",
        "/admin/files//",
        "/admin/files/%00",
        "//admin/users",
        "///admin/users",
        "////admin/users",
        "//x/admin/users",
        "/./admin/users",
        "/././admin/users",
        "/.//admin/users",
        "/x/../admin/users",
        "/x/..//admin/users",
        "/../admin/users",
        "/../../admin/users",
        "/x/%2e%2e/admin/users",
        "/x/..%2fadmin/users",
        "/x%2f..%2fadmin/users",
        "/..;/admin/users",
        "/x/..;/admin/users",
        "/.;/admin/users",
        "/;/admin/users",
        "/;x/admin/users",
        "/%3b/admin/users",
        "/%2e/admin/users",
        "/%2E/admin/users",
        "/%2e%2e/admin/users",
        "/.%2e/admin/users",
        "/public/../admin/users",
        "/healthz/../admin/users",
        "/admin/users?",
        "/admin/users?x",
        "/admin/users#x",
        "/admin?/../public",
        "/%61dmin/users",
        "/%61%64%6d%69%6e/users",
        "/admi%6e/users",
        "/admi%6E/users",
        "/admin/%75sers",
        "/admin/user%73",
        "/%2561dmin/users",
        "/%252561dmin/users",
        "/%u0061dmin/users",
        "/%%361dmin/users",
        "/%6/admin/users",
        "/%/admin/users",
        "/%zzadmin/users",
        "/admin%",
        "/admin%2",
        "/admin%/users",
        "/admin%zz/users",
        "/admin%2fusers",
        "/admin%2Fusers",
        "/admin%252fusers",
        "/%2fadmin/users",
        "/%2Fadmin%2Fusers",
        "%2fadmin/users",
        "/admin%2f",
        "/admin%2f..",
        "/admin%2f../public",
        "/admin/..%2fpublic",
        "/admin%5cusers",
        "/admin%5c..",
        "/%5cadmin/users",
        "/admin\\users",
        "\\admin\\users",
        "/\\admin/users",
        "\\/admin/users",
        "/admin/\\users",
        "/admin\\..\\public",
        "/x\\..\\admin/users",
        "/admin;x",
        "/admin;x/users",
        "/admin;/users",
        "/admin/;/users",
        "/admin/users;x",
        "/admin/users;jsessionid=1",
        "/admin%3bx/users",
        "/ADMIN/users",
        "/Admin/Users",
        "/aDMIN",
        "/admin/USERS",
        "/adm\u{131}n/users",
        "/\u{ff41}dmin/users",
        "/admin\u{ff0f}users",
        "/admin.",
        "/admin./users",
        "/admin../users",
        "/admin/users.",
        "/admin/users..",
        "/admin/users.html",
        "/admin/users.json",
        "/admin.html",
        "/.admin/users",
        "/admin~",
        "/admin/users~1",
        "/admin::$DATA",
        "/admin%20",
        "/admin%20/users",
        "/%20admin/users",
        "/admin/users%20",
        "/admin+/users",
        "/admin%09/users",
        "/admin%0a/users",
        "/admin%0d%0a/users",
        "/admin%00",
        "/admin%00/users",
        "/admin/users%00",
        "/admin/users%00.html",
        "/%00/admin/users",
        "/admin%7f/users",
        "/admin%c0%afusers",
        "/%c0%af/admin/users",
        "/%c0%ae%c0%ae/admin/users",
        "/admin%e0%80%afusers",
        "/admin%ef%bc%8fusers",
        "/%c1%a1dmin/users",
        "/%e1dmin/users",
        "/admin%ff/users",
        "/admin%ed%a0%80/users",
        "/admin%e2%81%84users",
        "/admin%c2%adusers",
        "http://other.example/admin/users",
        "http://other.example//admin/users",
        "https://other.example/admin/users",
        "HTTP://other.example/admin/users",
        "http://user@other.example/admin/users",
        "http://other.example/x/../admin/users",
        "http:/admin/users",
        "http:///admin/users",
        "file:///admin/users",
        "//other.example/admin/users",
        "other.example:80",
        "other.example/admin/users",
        "admin/users",
        "./admin/users",
        "?/admin/users",
        "#/admin/users",
        "*",
        "/*",
        "",
        "@/admin/users",
        ":80/admin/users",
        "/administrator",
        "/admin-users",
        "/adminusers",
        "/admin_/users",
        "/xadmin/users",
        "/admin,/users",
        "/admin&/users",
        "/admin=/users",
        "/admin'/users",
        "/admin\"/users",
        "/admin</users",
        "/{admin}/users",
        "/admin|/users",
        "/admin^/users",
        "/[admin]/users",
        "/admin/{users}",
        "/admin/{*path}",
        "/admin/files",
        "/admin/files/",
        "/admin/:users",
        "/admin/*users",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    list.extend(
        [
            &b"/admin\xff/users"[..],
            b"/\xe1dmin/users",
            b"/admin\xc0\xafusers",
            b"/admin\x00/users",
            b"/admin\x01/users",
            b"/admin\t/users",
            b"/admin\x0b/users",
            b"/admin /users",
            b"/admin\r\n/users",
            b"/admin\x7f/users",
            b"\t/admin/users",
            b" /admin/users",
        ]
        .map(<[u8]>::to_vec),
    );
    list.push([&b"/x/../".repeat(300)[..], b"admin/users"].concat());
    list.push([&b"/".repeat(3000)[..], b"admin/users"].concat());
    list.push([&b"/admin/"[..], &b"a/../".repeat(300)[..], b"users"].concat());
    list
}

#[tokio::test]
async fn no_spelling_of_a_protected_prefix_reaches_it_without_a_session() {
    let world = World::start(Carrier::Cookie).await;
    let (_server, address) = beside(&world.auth, app::serve_prefix);
    let mut browser = world.browser();
    browser.sign_in("/").await;
    let (name, value) = browser.cookies.iter().next().unwrap();
    let cookie = format!("{name}={value}");

    let (mut reached, mut asked_to_sign_in, mut public) = (0, 0, 0);
    for target in spellings() {
        let shown = String::from_utf8_lossy(&target[..target.len().min(80)]).into_owned();
        for method in ["GET", "HEAD", "POST", "OPTIONS", "PURGE", "CONNECT"] {
            let answer = Answer::to(address, method, &target, "").await;
            assert!(!answer.is_reached(), "{method} {shown}: {}", answer.0);
            assert!(answer.status() < 500, "{method} {shown}: {}", answer.0);
        }
        // Whatever is answered to a stranger is public; what the handler answers, it answers to the user only.
        let stranger = Answer::to(address, "GET", &target, "").await;
        let user = Answer::to(address, "GET", &target, &cookie).await;
        if user.is_reached() {
            assert_eq!(stranger.status(), 303, "{shown}: {}", stranger.0);
            reached += 1;
        }
        asked_to_sign_in += u32::from(stranger.status() == 303);
        public += u32::from(stranger.0.ends_with("public"));
        if let Some(location) = stranger.location() {
            comes_back_here(location, &shown);
        }
    }
    // The list is worth something: it has spellings that reach the handler, and others that do not.
    assert!(
        reached >= 4 && asked_to_sign_in >= reached && public >= 20,
        "{reached} of {asked_to_sign_in}, {public}"
    );
    let plain = Answer::to(address, "GET", b"/admin/users", &cookie).await;
    assert!(plain.is_reached() && plain.status() == 200, "{}", plain.0);
    let plain = Answer::to(address, "GET", b"/elsewhere", "").await;
    assert!(plain.0.ends_with("public"), "{}", plain.0);
}

/// A browser that is sent to sign in comes back to this origin.
#[track_caller]
fn comes_back_here(location: &str, what: &str) {
    let base = Url::parse("http://app.example/x/y").unwrap();
    let login = base.join(location).unwrap();
    assert_eq!(
        (login.origin(), login.path()),
        (base.origin(), "/auth/login"),
        "{what}"
    );
    let back: Vec<_> = login
        .query_pairs()
        .filter(|(name, _)| name == "return_to")
        .collect();
    assert_eq!(back.len(), 1, "{what}: {location}");
    let landing = login.join(&back[0].1).unwrap();
    assert_eq!(landing.origin(), base.origin(), "{what} comes back to {landing}");
}

#[tokio::test]
async fn a_path_that_names_a_host_is_not_come_back_to() {
    let world = World::start(Carrier::Cookie).await;
    let (_server, address) = beside(&world.auth, app::serve_whole);
    for (target, back) in [
        ("/a?b=c", "/a?b=c"),
        ("/a//b", "/a//b"),
        ("/a?//evil.example", "/a?//evil.example"),
        ("/%2f%2fevil.example", "/%2f%2fevil.example"),
        ("//evil.example/x", "/"),
        ("///evil.example/x", "/"),
        ("//evil.example/x?y=z", "/"),
        ("/.//evil.example", "/"),
        ("/x/..//evil.example", "/"),
        ("/%2e//evil.example", "/"),
        ("//", "/"),
        ("http://evil.example/x", "/x"),
        ("http://evil.example//evil.example/x", "/"),
        ("http://evil.example", "/"),
    ] {
        let answer = Answer::to(address, "GET", target.as_bytes(), "").await;
        assert_eq!(answer.status(), 303, "{target}: {}", answer.0);
        let location = answer.location().unwrap();
        comes_back_here(location, target);
        let login = Url::parse("http://app.example").unwrap().join(location).unwrap();
        assert!(
            login
                .query_pairs()
                .any(|(name, value)| name == "return_to" && value == back),
            "{target}: {location}"
        );
    }
    // The servers' own parsers refuse some before anybody asks who is signed in; nothing reaches the handler.
    for target in spellings() {
        let answer = Answer::to(address, "GET", &target, "").await;
        assert!(!answer.is_reached(), "{}", answer.0);
        assert!(matches!(answer.status(), 0 | 303 | 400 | 414), "{}", answer.0);
        if let Some(location) = answer.location() {
            comes_back_here(location, &String::from_utf8_lossy(&target));
        }
    }
}
