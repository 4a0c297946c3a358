//! `RequireAuth` on each store beside a bare handler that reads a value of a session's size from the same kind of store,
//! and how many round trips a request makes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use auth_core::Auth;
use auth_testing::servers::{PostgresServer, RedisServer};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Executor as _, PgPool, SqlitePool};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::{Answer, Case, PATH, ROUNDS, TURN, serve};
use crate::Failure;
use crate::effort::Effort;
use crate::framework::{Framework, serve_actix, serve_axum};
use crate::load::{CONNECTIONS, Target as Place, Turns};
use crate::relay::{Relay, Upstream};
use crate::report::{Aim, Field, Section, Spread, Table, Target};
use crate::setup::{Directory, Template};
use crate::signed_in::SignedIn;

/// Requests, one after the other, over which round trips are counted.
const COUNTED: usize = 200;
/// So many turns at once are watched thread by thread.
const WATCHED: u32 = 5;
/// Connections of the bare handlers' pools: as many as the stores use.
const SQLITE_CONNECTIONS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Sqlite,
    Redis,
    Postgres,
}

impl Store {
    const ALL: [Self; 3] = [Self::Sqlite, Self::Redis, Self::Postgres];

    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// The servers, and a file for SQLite.
struct Servers {
    redis: RedisServer,
    postgres: PostgresServer,
    directory: Directory,
    /// What the bare handlers read.
    value: Vec<u8>,
}

impl Servers {
    async fn start() -> Result<Self, Failure> {
        let template = Template::of_a_sign_in().await?;
        Ok(Self {
            redis: RedisServer::start()?,
            postgres: PostgresServer::builder().durable().start()?,
            directory: Directory::new()?,
            value: vec![b'x'; template.sealed_bytes()],
        })
    }

    /// A session on a database of this store.
    async fn sign_in(&self, store: Store, framework: Framework) -> Result<SignedIn, Failure> {
        let url = match store {
            Store::Sqlite => format!(
                "sqlite:{}",
                self.directory.file(&format!("{framework}-sessions.db")).display()
            ),
            Store::Redis => self.redis.url(),
            Store::Postgres => self.postgres.create_database()?,
        };
        SignedIn::with(|auth| auth.store_url(url)).await
    }

    /// The same, through a relay that counts.
    async fn sign_in_behind_a_relay(&self, store: Store) -> Result<Option<(SignedIn, Relay)>, Failure> {
        let (relay, url) = match store {
            Store::Sqlite => return Ok(None),
            Store::Redis => {
                let url = self.redis.url_of(1);
                let url = url::Url::parse(&url)?;
                let address = format!("127.0.0.1:{}", url.port().ok_or("Redis has a port")?);
                let relay = Relay::start(Upstream::Tcp(address.parse()?))?;
                let url = format!("redis://{}/1", relay.address);
                (relay, url)
            }
            Store::Postgres => {
                let url = url::Url::parse(&self.postgres.create_database()?)?;
                let directory = url.query_pairs().find(|(name, _)| name == "host");
                let (_, directory) = directory.ok_or("PostgreSQL has a socket")?;
                // Where roles need no password.
                let socket = PathBuf::from(&*directory).join(format!(".s.PGSQL.{}", self.postgres.port()));
                let relay = Relay::start(Upstream::Unix(socket))?;
                let url = format!(
                    "postgres://postgres@{}{}?sslmode=disable",
                    relay.address,
                    url.path()
                );
                (relay, url)
            }
        };
        let signed_in = SignedIn::with(|auth| auth.store_url(url)).await?;
        Ok(Some((signed_in, relay)))
    }

    async fn reader(&self, store: Store, framework: Framework) -> Result<Reader, Failure> {
        Ok(match store {
            Store::Sqlite => {
                let file = self.directory.file(&format!("{framework}-value.db"));
                // As the library does: no ping before a query.
                let pool = SqlitePoolOptions::new().max_connections(SQLITE_CONNECTIONS);
                let pool = pool.test_before_acquire(false);
                let pool = pool
                    .connect(&format!("sqlite:{}?mode=rwc", file.display()))
                    .await?;
                pool.execute("PRAGMA journal_mode = WAL").await?;
                pool.execute("CREATE TABLE value (id INTEGER PRIMARY KEY, body BLOB)")
                    .await?;
                let insert = sqlx::query("INSERT INTO value VALUES (1, ?)").bind(&self.value);
                insert.execute(&pool).await?;
                Reader::Sqlite(pool)
            }
            Store::Redis => {
                let client = redis::Client::open(self.redis.url_of(2))?;
                let mut connection = client.get_multiplexed_async_connection().await?;
                let () = connection.set("value", &self.value).await?;
                Reader::Redis(Box::new((client, OnceCell::new())))
            }
            Store::Postgres => {
                let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS);
                let pool = pool.test_before_acquire(false);
                let pool = pool.connect(&self.postgres.create_database()?).await?;
                pool.execute("CREATE TABLE value (id INTEGER PRIMARY KEY, body BYTEA)")
                    .await?;
                let insert = sqlx::query("INSERT INTO value VALUES (1, $1)").bind(&self.value);
                insert.execute(&pool).await?;
                Reader::Postgres(pool)
            }
        })
    }
}

/// What a bare handler reads its value with.
enum Reader {
    Sqlite(SqlitePool),
    /// The connection is made by the first request, on the runtime of whoever serves.
    Redis(Box<(redis::Client, OnceCell<MultiplexedConnection>)>),
    Postgres(PgPool),
}

impl Reader {
    /// The value's size.
    async fn read(&self) -> Result<usize, Failure> {
        const SELECT: &str = "SELECT body FROM value WHERE id = 1";
        let value: Vec<u8> = match self {
            Self::Sqlite(pool) => sqlx::query_scalar(SELECT).fetch_one(pool).await?,
            Self::Redis(redis) => {
                let (client, connection) = &**redis;
                let connection = connection.get_or_try_init(|| client.get_multiplexed_async_connection());
                connection.await?.clone().get("value").await?
            }
            Self::Postgres(pool) => sqlx::query_scalar(SELECT).fetch_one(pool).await?,
        };
        Ok(value.len())
    }
}

fn serve_reader(framework: Framework, reader: Arc<Reader>) -> Result<SocketAddr, Failure> {
    match framework {
        Framework::Axum => {
            let read = async |State(reader): State<Arc<Reader>>| match reader.read().await {
                Ok(_) => Ok("pong"),
                Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
            };
            serve_axum(Router::new().route(PATH, get(read)).with_state(reader))
        }
        Framework::Actix => {
            let reader = web::Data::from(reader);
            let read = async |reader: web::Data<Reader>| match reader.read().await {
                Ok(_) => Ok("pong"),
                Err(_) => Err(actix_web::error::ErrorInternalServerError("no value")),
            };
            let app = move || {
                App::new()
                    .app_data(reader.clone())
                    .route(PATH, web::get().to(read))
            };
            serve_actix(async move |listener| HttpServer::new(app).workers(1).listen(listener)?.run().await)
        }
    }
}

pub(super) fn measure(runtime: &Runtime, effort: Effort, section: &mut Section) -> Result<(), Failure> {
    let servers = runtime.block_on(Servers::start())?;
    let turn = effort.time(TURN);
    let mut table = Table::new(
        format!(
            "Over loopback, on each store: {CONNECTIONS} connections, {} rounds of {} s; median (min–max), and how long an \
             answer takes, in microseconds",
            effort.rounds(ROUNDS),
            turn.as_secs_f64()
        ),
        &[
            "framework",
            "store",
            "bare handler that reads, requests/s",
            "`RequireAuth`, requests/s",
            "ratio",
            "p50",
            "p99",
            "p99.9",
        ],
    );
    let mut threads = Table::new(
        "Where the processor's time goes: per request, by the names of threads and servers, as the kernel counts it",
        &[
            "framework",
            "store",
            "case",
            "thread",
            "microseconds",
            "times put on a processor",
        ],
    );
    let mut trips = Table::new(
        "Round trips to the store per request, counted by a relay in between",
        &["framework", "store", "`RequireAuth`", "anonymous"],
    );
    for framework in Framework::ALL {
        let mut cases = Vec::new();
        for store in Store::ALL {
            let reader = Arc::new(runtime.block_on(servers.reader(store, framework))?);
            let signed_in = runtime.block_on(servers.sign_in(store, framework))?;
            let bare = place(serve_reader(framework, reader)?, Case::Protected, &signed_in);
            let own = protected(framework, Case::Protected, &signed_in)?;
            cases.push((
                store,
                [bare, own],
                [Turns::default(), Turns::default()],
                signed_in,
            ));
        }
        for _ in 0..effort.rounds(ROUNDS) {
            for (_, places, turns, _) in &mut cases {
                for (place, turns) in places.iter().zip(turns) {
                    place.take_turn(turn, turns)?;
                }
            }
        }
        for (store, [bare, own], ..) in &cases {
            for (case, place) in [("bare", bare), ("`RequireAuth`", own)] {
                let (answers, ran) = place.watch_threads(WATCHED * turn)?;
                let each = |count: u64| count as f64 / answers as f64;
                for (thread, ran) in ran {
                    // Servers and threads of the other cases.
                    if each(ran.nanoseconds) < 50.0 {
                        continue;
                    }
                    threads.add([
                        Field::text(framework),
                        Field::text(store.name()),
                        Field::text(case),
                        Field::text(thread),
                        Field::Number(each(ran.nanoseconds) / 1e3, 1),
                        Field::Number(each(ran.times), 2),
                    ]);
                }
            }
        }
        for (store, _, [bare, own], _) in &mut cases {
            let ratio = Spread::of_ratios(&own.rates, &bare.rates);
            let [p50, p99, p999] = own.percentiles();
            table.add([
                Field::text(framework),
                Field::text(store.name()),
                Field::spread(&bare.rates, 0),
                Field::spread(&own.rates, 0),
                Field::Spread(ratio, 2),
                p50,
                p99,
                p999,
            ]);
            if *store == Store::Redis {
                section.targets.push(Target::new(
                    format!("`RequireAuth` on Redis beside a bare handler that makes one `GET`, {framework}"),
                    Aim::AtLeast(0.9),
                    ratio.median,
                    2,
                ));
            }
        }
        for store in Store::ALL {
            let Some((signed_in, relay)) = runtime.block_on(servers.sign_in_behind_a_relay(store))? else {
                continue;
            };
            let mut per_request = Vec::new();
            for case in [Case::Protected, Case::Anonymous] {
                let place = protected(framework, case, &signed_in)?;
                // The first opens connections.
                place.one_by_one(1)?;
                let before = relay.round_trips();
                place.one_by_one(COUNTED)?;
                per_request.push((relay.round_trips() - before) as f64 / COUNTED as f64);
            }
            let [own, anonymous] = per_request[..] else {
                continue;
            };
            trips.add([
                Field::text(framework),
                Field::text(store.name()),
                Field::Number(own, 2),
                Field::Number(anonymous, 2),
            ]);
            let name = store.name();
            section.targets.push(Target::new(
                format!("round trips to {name} per request with `RequireAuth`, {framework}"),
                Aim::Exactly(1.0),
                own,
                2,
            ));
            section.targets.push(Target::new(
                format!("round trips to {name} per anonymous request, {framework}"),
                Aim::Exactly(0.0),
                anonymous,
                2,
            ));
        }
    }
    section.tables.push(table);
    section.tables.push(threads);
    section.tables.push(trips);
    Ok(())
}

fn protected(framework: Framework, case: Case, signed_in: &SignedIn) -> Result<Place, Failure> {
    let auth: &Auth = &signed_in.auth;
    Ok(place(
        serve(framework, case, auth, &Answer::none())?,
        case,
        signed_in,
    ))
}

fn place(address: SocketAddr, case: Case, signed_in: &SignedIn) -> Place {
    Place::new(address, PATH, &case.headers(signed_in), case.status())
}
