//! The apps: the library's routes and a route that answers `pong`, on each framework, and a client for them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use auth_core::Auth;

use crate::Failure;
use crate::framework::Framework;

/// An answer that takes longer has got lost.
const PATIENCE: Duration = Duration::from_secs(5);
const PING: &[u8] = b"GET /ping HTTP/1.1\r\nhost: 127.0.0.1:3000\r\naccept: */*\r\n\r\n";

/// A framework's two servers: one with the library's routes and layer, one with neither.
#[derive(Clone, Copy, Debug)]
pub(crate) struct App {
    auth: SocketAddr,
    bare: SocketAddr,
}

impl App {
    /// Serves until the process ends.
    pub(crate) fn serve(
        framework: Framework,
        auth: &Auth,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Self, Failure> {
        Ok(match framework {
            Framework::Axum => Self {
                auth: on_axum(Some(auth.clone()), runtime)?,
                bare: on_axum(None, runtime)?,
            },
            Framework::Actix => Self {
                auth: on_actix(Some(auth.clone()))?,
                bare: on_actix(None)?,
            },
        })
    }

    /// How long all of these callbacks take, `at_once` of them under way at a time. Each must sign in.
    pub(crate) fn sign_in(&self, requests: &[Vec<u8>], at_once: usize) -> Result<Duration, Failure> {
        let mut connections = Vec::new();
        for _ in 0..at_once {
            connections.push(Connection::open(self.auth)?);
        }
        let begun = Instant::now();
        for together in requests.chunks(at_once) {
            for (connection, request) in connections.iter_mut().zip(together) {
                connection.stream.write_all(request)?;
            }
            for (connection, _) in connections.iter_mut().zip(together) {
                let head = connection.receive()?;
                if !head.starts_with("HTTP/1.1 303 ") || !head.contains("set-cookie: auth_session=") {
                    let line = head.lines().next().unwrap_or_default();
                    return Err(format!("a sign-in failed: {line}").into());
                }
            }
        }
        Ok(begun.elapsed())
    }

    /// How long so many requests take whose handler does nothing, one after the other.
    pub(crate) fn ping(&self, number: usize) -> Result<Duration, Failure> {
        let mut connection = Connection::open(self.bare)?;
        let begun = Instant::now();
        for _ in 0..number {
            connection.stream.write_all(PING)?;
            if !connection.receive()?.starts_with("HTTP/1.1 200 ") {
                return Err("the bare app does not answer".into());
            }
        }
        Ok(begun.elapsed())
    }
}

fn on_axum(auth: Option<Auth>, runtime: &tokio::runtime::Runtime) -> Result<SocketAddr, Failure> {
    use auth_axum::AuthExt as _;
    use axum::Router;
    use axum::routing::get;

    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let mut app = Router::new().route("/ping", get(async || "pong"));
    if let Some(auth) = auth {
        app = app.merge(auth.routes()).layer(auth.layer());
    }
    runtime.spawn(async move {
        let served = async { axum::serve(tokio::net::TcpListener::from_std(listener)?, app).await };
        if let Err(error) = served.await {
            eprintln!("auth-benches: {error}");
        }
    });
    Ok(address)
}

fn on_actix(auth: Option<Auth>) -> Result<SocketAddr, Failure> {
    use actix_web::{App, HttpServer, web};
    use auth_actix::AuthExt as _;

    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let served = actix_web::rt::System::new().block_on(async {
            if let Some(auth) = auth {
                let app = move || App::new().configure(auth.routes()).wrap(auth.layer());
                HttpServer::new(app).workers(1).listen(listener)?.run().await
            } else {
                let app = || App::new().route("/ping", web::get().to(async || "pong"));
                HttpServer::new(app).workers(1).listen(listener)?.run().await
            }
        });
        if let Err(error) = served {
            eprintln!("auth-benches: {error}");
        }
    });
    Ok(address)
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            buffer: vec![0; 16 * 1024],
        })
    }

    /// The head of an answer; its body, whose length it names, is read and dropped.
    fn receive(&mut self) -> Result<&str, Failure> {
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..])?;
            if read == 0 {
                return Err("the server closed a connection, or its answer is too long".into());
            }
            filled += read;
            let answer = &self.buffer[..filled];
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n")
                && body_length(std::str::from_utf8(&answer[..end])?) + end + 4 == filled
            {
                return Ok(std::str::from_utf8(&self.buffer[..end])?);
            }
        }
    }
}

fn body_length(head: &str) -> usize {
    let lengths = head.lines().filter_map(|line| line.split_once(':'));
    lengths
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, length)| length.trim().parse().ok())
        .unwrap_or(0)
}
