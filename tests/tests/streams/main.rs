//! `/api/events` over two instances on one store, one on axum and one on actix-web: a sign-out on either closes the stream on the
//! other, whichever store it is and whatever has happened to it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../guarantee/stores.rs"]
mod stores;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use auth_tests::fleet::{Agent, End, Fleet, Visitor};
use auth_tests::live::Live;
use auth_tests::wait;
use url::Url;

use stores::{Backend, Server, Store};

/// How long after a sign-out a stream may go on.
const WITHIN: Duration = Duration::from_secs(2);

async fn open(agent: &Agent, i: usize, visitor: &Visitor) -> Live {
    let mut live = agent.open(i, visitor, "/api/events").await;
    assert_eq!(live.status, 200);
    live.goes_on(1).await;
    live
}

/// Signs out at one instance: the streams at both are closed in time.
async fn assert_closes(fleet: &Fleet, what: &str, at: usize, visitor: &Visitor, streams: &mut [Live]) {
    let signed_out = Instant::now();
    fleet.agent().sign_out(at, visitor).await;
    for stream in streams {
        stream
            .ends(what, WITHIN.saturating_sub(signed_out.elapsed()))
            .await;
    }
    eprintln!(
        "streams | {what} | closed after {} ms",
        signed_out.elapsed().as_millis()
    );
}

async fn a_sign_out_on_one_instance_closes_streams_on_the_other(backend: Backend) {
    let store = backend.start();
    let fleet = Fleet::start(&store.url, 2).await;
    let agent = fleet.agent();
    let other = fleet.sign_in("bob").await;
    let mut untouched = open(&agent, 0, &other).await;
    for at in [0, 1, 0, 1] {
        let visitor = fleet.sign_in("alice").await;
        let mut streams = [open(&agent, 0, &visitor).await, open(&agent, 1, &visitor).await];
        assert_closes(
            &fleet,
            &format!("{backend:?}, instance {at}"),
            at,
            &visitor,
            &mut streams,
        )
        .await;
    }
    untouched.goes_on(2).await;
}

async fn many_streams_close_at_once(backend: Backend) {
    const STREAMS: usize = 200;
    let store = backend.start();
    let fleet = Fleet::start(&store.url, 2).await;
    let agent = fleet.agent();
    let visitor = fleet.sign_in("alice").await;
    let mut streams = Vec::new();
    for n in 0..STREAMS {
        streams.push(open(&agent, n % 2, &visitor).await);
    }
    assert_closes(
        &fleet,
        &format!("{backend:?}, {STREAMS} streams"),
        0,
        &visitor,
        &mut streams,
    )
    .await;
}

async fn a_store_that_is_killed_closes_no_stream_and_a_later_sign_out_does(backend: Backend) {
    let store = backend.start();
    let fleet = Fleet::start(&store.url, 2).await;
    let agent = fleet.agent();
    let visitor = fleet.sign_in("alice").await;
    let mut streams = [open(&agent, 0, &visitor).await, open(&agent, 1, &visitor).await];
    store.kill();
    for stream in &mut streams {
        stream.goes_on(4).await;
    }
    store.restart();
    wait::until("the store is back", Duration::from_secs(30), || async {
        agent.ask(0, &visitor, "/api/ping").await == End::Status(200)
            && agent.ask(1, &visitor, "/api/ping").await == End::Status(200)
    })
    .await;
    assert_closes(&fleet, &format!("{backend:?}, killed"), 1, &visitor, &mut streams).await;
}

/// How many connections wait for word that a session has ended.
fn listening(store: &Store) -> usize {
    let found = match &store.server {
        Server::File { .. } => return 0,
        Server::Redis(server) => {
            let address = server.url().parse::<Url>().unwrap();
            let mut connection = TcpStream::connect(address.socket_addrs(|| None).unwrap()[0]).unwrap();
            connection
                .write_all(b"CLIENT LIST TYPE pubsub\r\nQUIT\r\n")
                .unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            answer
                .lines()
                .filter(|line| line.starts_with("id="))
                .count()
                .to_string()
        }
        Server::Postgres(server) => {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
            server.sql("postgres", sql).unwrap()
        }
    };
    found.trim().parse().unwrap()
}

async fn who_goes_away_leaves_no_connection_to_the_store(backend: Backend) {
    let store = backend.start();
    let fleet = Fleet::start(&store.url, 2).await;
    let agent = fleet.agent();
    let visitor = fleet.sign_in("alice").await;
    assert_eq!(listening(&store), 0);
    for _ in 0..2 {
        let mut streams = Vec::new();
        for n in 0..10 {
            streams.push(open(&agent, n % 2, &visitor).await);
        }
        wait::until(
            "one connection for each instance",
            Duration::from_secs(10),
            || async { listening(&store) == 2 },
        )
        .await;
        drop(streams);
        wait::until("no connection", Duration::from_secs(10), || async {
            listening(&store) == 0
        })
        .await;
    }
}

macro_rules! streams {
    ($($name:ident $store:ident { $($case:ident,)* })*) => {
        $(mod $name {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::Backend::$store).await;
            })*
        })*
    };
}

streams! {
    sqlite Sqlite {
        a_sign_out_on_one_instance_closes_streams_on_the_other,
        many_streams_close_at_once,
    }
    redis Redis {
        a_sign_out_on_one_instance_closes_streams_on_the_other,
        many_streams_close_at_once,
        a_store_that_is_killed_closes_no_stream_and_a_later_sign_out_does,
        who_goes_away_leaves_no_connection_to_the_store,
    }
    postgres Postgres {
        a_sign_out_on_one_instance_closes_streams_on_the_other,
        many_streams_close_at_once,
        a_store_that_is_killed_closes_no_stream_and_a_later_sign_out_does,
        who_goes_away_leaves_no_connection_to_the_store,
    }
}
