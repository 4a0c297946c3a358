//! WebSockets: opened by who is signed in, closed when the session ends.

use std::time::{Duration, Instant};

use auth_core::Auth;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::world::{Browser, Carrier, World};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a page's script does with `new WebSocket("/socket")`.
async fn open(world: &World, browser: &Browser<'_>, origin: &str) -> Result<Socket, Error> {
    let url = world.base().join("/socket").unwrap();
    let mut request = url.as_str().replace("http", "ws").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", origin.parse().unwrap());
    headers.insert("cookie", browser.cookie_header().parse().unwrap());
    connect_async(request).await.map(|(socket, _)| socket)
}

async fn opened(world: &World, browser: &Browser<'_>) -> Socket {
    let origin = world.base().origin().ascii_serialization();
    open(world, browser, &origin).await.unwrap()
}

async fn assert_echoes(socket: &mut Socket) {
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        let answer = timeout(Duration::from_secs(10), socket.next()).await.unwrap();
        assert_eq!(answer.unwrap().unwrap(), Message::text(text));
    }
}

/// Waits until so many wait for the end of a session.
pub(crate) async fn are_waiting(auth: &Auth, number: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while auth.waiting_for_ends() != number {
        assert!(
            Instant::now() < deadline,
            "{} wait for the end of a session, not {number}",
            auth.waiting_for_ends()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_closed_when_the_session_ends() {
    for carrier in [Carrier::Cookie, Carrier::FrameworkSession, Carrier::AppSession] {
        let world = World::start(carrier).await;
        let (mut browser, mut other) = (world.browser(), world.browser());
        browser.sign_in("/").await;
        other.sign_in("/").await;
        let mut socket = opened(&world, &browser).await;
        let mut others = opened(&world, &other).await;
        assert_echoes(&mut socket).await;
        assert_eq!(world.auth.waiting_for_ends(), 2);

        browser.post("/auth/logout").await;
        let closing = timeout(Duration::from_secs(2), socket.next()).await;
        let closing = closing.unwrap_or_else(|_| panic!("{carrier:?}: the socket is open still"));
        let Some(Ok(Message::Close(Some(frame)))) = closing else {
            panic!("{carrier:?}: no close frame, but {closing:?}")
        };
        assert_eq!(
            (frame.code, frame.reason.as_str()),
            (CloseCode::Policy, "signed out")
        );
        assert_echoes(&mut others).await;
        assert_eq!(world.auth.waiting_for_ends(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_session_or_from_another_origin_no_socket_is_opened() {
    let world = World::start(Carrier::Cookie).await;
    let (mut browser, stranger) = (world.browser(), world.browser());
    browser.sign_in("/").await;
    let own = world.base().origin().ascii_serialization();
    for (browser, origin, status, code) in [
        (&stranger, own.as_str(), 401, "session.none"),
        // Cookies go along from other origins of the same site, and scripts there can read what a socket brings.
        (&browser, "http://127.0.0.1:1", 403, "request.cross_site"),
        (&browser, "null", 403, "request.cross_site"),
    ] {
        let refused = open(&world, browser, origin).await;
        let Err(Error::Http(answer)) = refused else {
            panic!("{origin}: {refused:?}")
        };
        assert_eq!(answer.status(), status, "{origin}");
        let problem: serde_json::Value = serde_json::from_slice(answer.body().as_ref().unwrap()).unwrap();
        assert_eq!(problem["code"], code, "{origin}");
    }
    assert_eq!(world.auth.waiting_for_ends(), 0);
    assert_echoes(&mut opened(&world, &browser).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_closes_or_breaks_off_leaves_nothing_behind() {
    let world = World::start(Carrier::Cookie).await;
    let mut browser = world.browser();
    browser.sign_in("/").await;
    for in_order in [true, false] {
        let mut sockets = Vec::new();
        for _ in 0..10 {
            let mut socket = opened(&world, &browser).await;
            assert_echoes(&mut socket).await;
            sockets.push(socket);
        }
        assert_eq!(world.auth.waiting_for_ends(), 10);
        for mut socket in sockets {
            if in_order {
                socket.close(None).await.unwrap();
            }
        }
        are_waiting(&world.auth, 0).await;
    }
}
