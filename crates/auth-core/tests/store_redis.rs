//! The Redis store obeys the contract on a real server, and what it adds to it.
#![cfg(all(feature = "contract", feature = "redis"))]
#![allow(missing_docs, reason = "these are tests")]

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use auth_core::clock::{Clock, Timestamp};
use auth_core::store::app_data::{AppDataKey, AppDataStore};
use auth_core::store::{
    Acquired, IndexKey, Inserted, LeaseOwner, Notice, Notices, Opened, Record, RedisStore, SessionKey,
    SessionStore, StoreError, Swapped, contract,
};
use auth_testing::servers::RedisServer;
use redis::aio::MultiplexedConnection;

const ANSWERS: &str = "the store answers";
const HOUR: Duration = Duration::from_secs(3600);

/// A database of its own for each call, on one server.
async fn fresh() -> RedisStore {
    open(&fresh_url()).await
}

auth_core::contract_tests!(fresh);
auth_core::app_data_contract_tests!(fresh);

fn fresh_url() -> String {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    static DATABASE: AtomicU16 = AtomicU16::new(0);
    let server = SERVER.get_or_init(|| RedisServer::start().expect("the server starts"));
    server.url_of(DATABASE.fetch_add(1, Ordering::Relaxed))
}

async fn open(url: &str) -> RedisStore {
    RedisStore::open(url).await.expect("the store opens")
}

async fn raw(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("the URL is good");
    client
        .get_multiplexed_async_connection()
        .await
        .expect("the server is there")
}

async fn ask<T: redis::FromRedisValue>(connection: &mut MultiplexedConnection, command: &[&[u8]]) -> T {
    let mut cmd = redis::Cmd::new();
    for part in command {
        cmd.arg(*part);
    }
    cmd.query_async(connection).await.expect("the server does it")
}

fn now() -> Timestamp {
    Clock::system().now()
}

const fn key(n: u8) -> SessionKey {
    SessionKey::from_bytes([n; 32])
}

/// The name of the key of session `n`.
fn session(n: u8) -> Vec<u8> {
    use base64::Engine;
    format!(
        "auth:session:{}",
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode([n; 32])
    )
    .into_bytes()
}

const SUBJECT: IndexKey = IndexKey::from_bytes([101; 32]);
const SID: IndexKey = IndexKey::from_bytes([102; 32]);

fn record(sealed: &[u8]) -> Record {
    let now = now();
    Record {
        version: 1,
        subject: SUBJECT,
        sid: Some(SID),
        created_at: now,
        last_seen_at: now,
        expires_at: now.plus(HOUR),
        lease: None,
        sealed: sealed.into(),
        opened: Opened::default(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().expect("it starts")
}

async fn insert(store: &RedisStore, n: u8) {
    let inserted = store.insert(&key(n), record(b"sealed"), now()).await;
    assert_eq!(inserted.expect(ANSWERS), Inserted::Yes);
}

/// The node refuses what touches two slots, so this shows that nothing does.
#[test]
fn the_contract_holds_on_a_node_of_a_cluster() {
    let server = RedisServer::builder()
        .cluster()
        .start()
        .expect("the server starts");
    contract::block_on(contract::run(async || {
        ask::<()>(&mut raw(&server.url()).await, &[b"FLUSHALL"]).await;
        open(&server.url()).await
    }));
}

#[test]
fn sessions_outlive_the_store() {
    contract::block_on(async {
        let url = fresh_url();
        contract::sessions_outlive_the_store(|| open(&url)).await;
    });
}

#[test]
fn sessions_outlive_a_server_that_is_killed() {
    let server = RedisServer::builder()
        .durable()
        .start()
        .expect("the server starts");
    contract::block_on(async {
        let store = open(&server.url()).await;
        insert(&store, 1).await;
        for idle in [false, true] {
            server.kill().expect("the server goes");
            if !idle {
                for _ in 0..3 {
                    let began = Instant::now();
                    let loaded = store.load(&key(1), now()).await;
                    assert!(matches!(loaded, Err(StoreError::Unavailable(_))), "{loaded:?}");
                    assert!(began.elapsed() < Duration::from_secs(1));
                }
            }
            server.restart().expect("the server starts again");
            if idle {
                // The end of the connection is noticed without an operation that fails.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let loaded = store.load(&key(1), now()).await;
            assert!(
                loaded
                    .expect("the first operation after the restart answers")
                    .is_some()
            );
            let found = store.find_by_sid(&SID, now()).await.expect(ANSWERS);
            assert_eq!(found.len(), 1);
        }
    });
}

#[test]
fn a_server_that_stands_still_is_a_timeout() {
    let server = RedisServer::start().expect("the server starts");
    contract::block_on(async {
        let store = open(&server.url()).await;
        insert(&store, 1).await;
        server.pause().expect("the server stops");
        for _ in 0..2 {
            let began = Instant::now();
            let loaded = store.load(&key(1), now()).await;
            assert!(matches!(loaded, Err(StoreError::Timeout)), "{loaded:?}");
            assert!(began.elapsed() < Duration::from_millis(5_500));
        }
        server.resume().expect("the server goes on");
        assert!(store.load(&key(1), now()).await.expect(ANSWERS).is_some());
    });
}

#[test]
fn what_cannot_be_opened_says_why_and_never_the_password() {
    const PASSWORD: &str = "pass-hunter2";
    let server = RedisServer::builder()
        .password(PASSWORD)
        .start()
        .expect("the server starts");
    let good = server.url();
    contract::block_on(async {
        assert!(!format!("{:?}", open(&good).await).contains("hunter2"));
        for (url, why) in [
            (
                good.replace("pass-", "wrong-"),
                "refuses the user name or the password",
            ),
            (
                good.replace(&format!(":{PASSWORD}@"), ""),
                "refuses the user name or the password",
            ),
            (server.url_of(9_999), "database number"),
            ("redis://:pass-hunter2@127.0.0.1:1/0".into(), "Connection refused"),
            ("redis://:pass-hunter2@127.0.0.1:x/0".into(), "not one of Redis"),
            (
                "redis://:pass-hunter2@localhost/hunter2".into(),
                "not one of Redis",
            ),
            ("rediss://:pass-hunter2@localhost/#insecure".into(), "fragment"),
            // The server waits for more of what is no command to it.
            (good.replace("redis:", "rediss:"), "did not answer in time"),
        ] {
            let began = Instant::now();
            let error = RedisStore::open(&url).await.expect_err("it must not open");
            assert!(began.elapsed() < Duration::from_secs(5), "{url}");
            let mut text = format!("{error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            assert!(text.contains(why), "{url}: {text}");
            assert!(!format!("{text} {error:?}").contains("hunter2"), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
    });
}

const TLS_CHILD: &str = "STORE_REDIS_TLS_CHILD";

/// The roots are the process's, so the test starts itself again with others.
#[test]
fn tls_trusts_the_authority_that_the_system_names_and_no_other() {
    if let Some(url) = std::env::var_os(TLS_CHILD) {
        let url = url.into_string().expect("a URL is text");
        contract::block_on(async {
            open(&url).await.ping().await.expect(ANSWERS);
        });
        return;
    }
    let server = RedisServer::builder().tls().start().expect("the server starts");
    let child = |authority: &std::path::Path| {
        std::process::Command::new(std::env::current_exe().expect("this test has a file"))
            .args([
                "--exact",
                "tls_trusts_the_authority_that_the_system_names_and_no_other",
            ])
            .env(TLS_CHILD, server.url())
            .env("SSL_CERT_FILE", authority)
            .output()
            .expect("this test starts again")
    };
    let good = child(&server.certificate_authority());
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stdout));
    let other = RedisServer::builder().tls().start().expect("the server starts");
    assert!(!child(&other.certificate_authority()).status.success());
}

#[test]
fn what_is_not_a_record_is_corrupt_and_stays() {
    contract::block_on(async {
        let url = fresh_url();
        let store = open(&url).await;
        let mut server = raw(&url).await;
        for (n, garbage) in (1..).zip([&b"hello"[..], b"", b"aut\x01short", b"aut\x02", &[b'x'; 500]]) {
            ask::<()>(&mut server, &[b"SET", &session(n), garbage]).await;
        }
        ask::<()>(&mut server, &[b"HSET", &session(6), b"v", b"1"]).await;
        ask::<()>(&mut server, &[b"LPUSH", &session(7), b"v"]).await;
        for n in 1..=7 {
            let before: Vec<u8> = ask(&mut server, &[b"DUMP", &session(n)]).await;
            let (key, lease) = (key(n), LeaseOwner::from_u128(1));
            let lease = auth_core::store::Lease {
                owner: lease,
                fence: 1,
                until: now(),
            };
            for error in [
                store.load(&key, now()).await.err(),
                store.insert(&key, record(b""), now()).await.err(),
                store.compare_and_swap(&key, 1, record(b""), now()).await.err(),
                store.touch(&key, now(), now().plus(HOUR), now()).await.err(),
                store.delete(&key, None, now()).await.err(),
                store.acquire(&key, 1, lease.owner, HOUR, now()).await.err(),
                store.renew(&key, &lease, HOUR, now()).await.err(),
                store.release(&key, &lease, now()).await.err(),
            ] {
                let Some(StoreError::Corrupt(why)) = error else {
                    panic!("{n} must be corrupt, not {error:?}");
                };
                assert_eq!(why.contains("newer version"), n == 4, "{why}");
            }
            store.sweep(now().plus(2 * HOUR)).await.expect(ANSWERS);
            let after: Vec<u8> = ask(&mut server, &[b"DUMP", &session(n)]).await;
            assert_eq!(before, after, "garbage {n} must be left alone");
        }
    });
}

#[test]
fn an_index_is_a_hint_only() {
    contract::block_on(async {
        let url = fresh_url();
        let store = open(&url).await;
        let mut server = raw(&url).await;
        insert(&store, 1).await;
        insert(&store, 2).await;
        // An entry without its session, as an instance leaves it that dies halfway, and as a delete does.
        ask::<()>(&mut server, &[b"DEL", &session(1)]).await;
        let found = store.find_by_subject(&SUBJECT, now()).await.expect(ANSWERS);
        assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key(2)]);
        // Nobody may take it away for that: the session may be about to be written.
        insert(&store, 1).await;
        assert_eq!(store.find_by_sid(&SID, now()).await.expect(ANSWERS).len(), 2);
    });
}

#[test]
fn a_session_that_is_used_stays_in_its_indexes() {
    contract::block_on(async {
        let url = fresh_url();
        let store = open(&url).await;
        let mut server = raw(&url).await;
        insert(&store, 1).await;
        let key_name: Vec<Vec<u8>> = ask(&mut server, &[b"KEYS", b"auth:subject:*"]).await;
        let score = async |server: &mut MultiplexedConnection| -> f64 {
            ask(server, &[b"ZSCORE", &key_name[0], key(1).as_bytes()]).await
        };
        let first = score(&mut server).await;
        let began = now();
        // Within what the entries last for anyway: they stay as they are.
        store
            .touch(&key(1), began, began.plus(5 * HOUR), began)
            .await
            .expect(ANSWERS);
        assert_eq!(score(&mut server).await, first);
        for hours in [20, 40, 60] {
            let end = began.plus(hours * HOUR);
            store.touch(&key(1), began, end, began).await.expect(ANSWERS);
            let stored = store
                .load(&key(1), began)
                .await
                .expect(ANSWERS)
                .expect("it is there");
            assert_eq!(stored.expires_at, end);
            assert!(score(&mut server).await >= end.as_millis() as f64);
            let lasts: i64 = ask(&mut server, &[b"PTTL", &key_name[0]]).await;
            let session_lasts: i64 = ask(&mut server, &[b"PTTL", &session(1)]).await;
            assert!(lasts >= session_lasts, "an index must outlast the session");
        }
    });
}

#[test]
fn every_key_goes_by_itself() {
    contract::block_on(async {
        let url = fresh_url();
        let store = open(&url).await;
        let mut server = raw(&url).await;
        insert(&store, 1).await;
        let far = Record {
            expires_at: Timestamp::from_millis(i64::MAX),
            ..record(b"")
        };
        assert!(matches!(
            store.insert(&key(2), far, now()).await,
            Ok(Inserted::Yes)
        ));
        assert!(matches!(
            store.compare_and_swap(&key(1), 1, record(b"new"), now()).await,
            Ok(Swapped::Yes)
        ));
        let once = auth_core::store::OnceKey::from_bytes([1; 32]);
        assert!(
            store
                .claim_once(&once, now().plus(HOUR), now())
                .await
                .expect(ANSWERS)
        );
        let data_key = AppDataKey::from_bytes([1; 32]);
        let data = store.insert_app_data(&data_key, Arc::from(&b"d"[..]), now().plus(HOUR), now());
        assert!(matches!(data.await, Ok(Inserted::Yes)));
        let keys: Vec<Vec<u8>> = ask(&mut server, &[b"KEYS", b"*"]).await;
        assert_eq!(keys.len(), 8, "{keys:?}");
        for key in keys {
            assert!(key.starts_with(b"auth:"));
            let lasts: i64 = ask(&mut server, &[b"PTTL", &key]).await;
            assert!(
                lasts > 0,
                "{} must not stay for ever",
                String::from_utf8_lossy(&key)
            );
        }
    });
}

#[test]
fn leases_go_by_the_servers_clock() {
    contract::block_on(async {
        let store = fresh().await;
        insert(&store, 1).await;
        // An instance whose clock is half an hour off takes no lease away.
        let take = async |owner, ahead| {
            let (owner, length) = (LeaseOwner::from_u128(owner), Duration::from_millis(200));
            store.acquire(&key(1), 1, owner, length, now().plus(ahead)).await
        };
        assert!(matches!(take(1, Duration::ZERO).await, Ok(Acquired::Got(_))));
        assert!(matches!(take(2, HOUR / 2).await, Ok(Acquired::Held(_))));
        tokio::time::sleep(Duration::from_millis(210)).await;
        let loaded = store
            .load(&key(1), now())
            .await
            .expect(ANSWERS)
            .expect("it is there");
        assert!(loaded.lease.is_some(), "a lease that ended stays visible");
        assert!(matches!(take(2, Duration::ZERO).await, Ok(Acquired::Got(_))));
    });
}

#[test]
fn versions_are_exact_up_to_the_last() {
    contract::block_on(async {
        let store = fresh().await;
        for (n, version) in (1..).zip([(1 << 53) + 1, u64::MAX - 1]) {
            let first = Record {
                version,
                ..record(b"")
            };
            assert!(matches!(
                store.insert(&key(n), first, now()).await,
                Ok(Inserted::Yes)
            ));
            let off = store
                .compare_and_swap(&key(n), version - 1, record(b"x"), now())
                .await;
            assert!(matches!(off, Ok(Swapped::Newer(_))), "{off:?}");
            let swapped = store
                .compare_and_swap(&key(n), version, record(b"x"), now())
                .await;
            assert!(matches!(swapped, Ok(Swapped::Yes)), "{swapped:?}");
            let stored = store
                .load(&key(n), now())
                .await
                .expect(ANSWERS)
                .expect("it is there");
            assert_eq!(stored.version, version + 1);
        }
    });
}

async fn heard(notices: &mut Notices) -> Notice {
    tokio::time::timeout(Duration::from_secs(10), notices.next())
        .await
        .expect("something is told")
        .expect("the store is there")
}

/// How many connections there are that have subscribed to a channel.
async fn subscribers(connection: &mut MultiplexedConnection) -> usize {
    let clients: String = ask(connection, &[b"CLIENT", b"LIST", b"TYPE", b"PUBSUB"]).await;
    clients.lines().filter(|line| !line.is_empty()).count()
}

#[test]
fn one_subscribes_while_somebody_listens_and_again_when_the_connection_breaks() {
    for protocol in ["", "?protocol=resp2"] {
        let server = RedisServer::start().expect("the server starts");
        contract::block_on(async {
            let mut admin = raw(&server.url()).await;
            let store = open(&format!("{}{protocol}", server.url())).await;
            assert_eq!(subscribers(&mut admin).await, 0);
            let mut notices = store.notices().expect("the store tells");
            assert_eq!(heard(&mut notices).await, Notice::Listening);
            assert_eq!(subscribers(&mut admin).await, 1);

            let killed: i64 = ask(&mut admin, &[b"CLIENT", b"KILL", b"TYPE", b"PUBSUB"]).await;
            assert_eq!(killed, 1);
            assert_eq!(heard(&mut notices).await, Notice::Deaf);
            assert_eq!(heard(&mut notices).await, Notice::Listening);

            server.kill().expect("the server goes");
            assert_eq!(heard(&mut notices).await, Notice::Deaf);
            server.restart().expect("the server starts again");
            while heard(&mut notices).await != Notice::Listening {}
            insert(&store, 1).await;
            assert!(store.delete(&key(1), None, now()).await.expect(ANSWERS));
            assert_eq!(heard(&mut notices).await, Notice::Ended(key(1)));

            drop(notices);
            let mut admin = raw(&server.url()).await;
            let deadline = Instant::now() + Duration::from_secs(10);
            while subscribers(&mut admin).await > 0 {
                assert!(Instant::now() < deadline, "the subscription stays");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
}

#[test]
fn a_connection_that_the_network_swallows_is_noticed() {
    let server = RedisServer::start().expect("the server starts");
    contract::block_on(async {
        let store = open(&server.url()).await;
        let mut notices = store.notices().expect("the store tells");
        assert_eq!(heard(&mut notices).await, Notice::Listening);
        server.pause().expect("the server stands still");
        let began = Instant::now();
        let deaf = tokio::time::timeout(Duration::from_secs(20), notices.next()).await;
        assert_eq!(deaf, Ok(Some(Notice::Deaf)));
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        server.resume().expect("the server goes on");
        while heard(&mut notices).await != Notice::Listening {}
    });
}

#[test]
fn databases_of_one_server_are_told_apart() {
    contract::block_on(async {
        let (url, other) = (fresh_url(), fresh_url());
        let (store, other) = (open(&url).await, open(&other).await);
        let mut notices = store.notices().expect("the store tells");
        assert_eq!(heard(&mut notices).await, Notice::Listening);
        for (store, n) in [(&other, 1), (&store, 2)] {
            insert(store, n).await;
            assert!(store.delete(&key(n), None, now()).await.expect(ANSWERS));
        }
        assert_eq!(heard(&mut notices).await, Notice::Ended(key(2)));
    });
}

/// Nobody is kept signed in, and nobody believes that they hear, where an access list forbids to publish or to subscribe.
#[test]
fn an_access_list_that_forbids_channels_stops_no_sign_out() {
    let server = RedisServer::start().expect("the server starts");
    contract::block_on(async {
        let mut admin = raw(&server.url()).await;
        for (user, rules) in [
            ("mute", &[&b"&*"[..], b"-publish"][..]),
            ("deaf", &[b"&*", b"-subscribe"]),
            ("elsewhere", &[b"resetchannels", b"&other:*"]),
        ] {
            let mut command = vec![
                &b"ACL"[..],
                b"SETUSER",
                user.as_bytes(),
                b"on",
                b">secret",
                b"~*",
                b"+@all",
            ];
            command.extend(rules);
            ask::<()>(&mut admin, &command).await;
            let store = open(
                &server
                    .url()
                    .replace("redis://", &format!("redis://{user}:secret@")),
            )
            .await;
            let mut notices = store.notices().expect("the store tells");
            for _ in 0..2 {
                assert_eq!(heard(&mut notices).await, Notice::Deaf, "{user}");
            }
            insert(&store, 1).await;
            let deleted = store.delete(&key(1), None, now()).await;
            assert!(deleted.expect(ANSWERS), "{user}");
            assert!(store.load(&key(1), now()).await.expect(ANSWERS).is_none());
        }
    });
}

#[test]
fn scripts_that_the_server_forgot_are_sent_again() {
    contract::block_on(async {
        let url = fresh_url();
        let store = open(&url).await;
        insert(&store, 1).await;
        ask::<()>(&mut raw(&url).await, &[b"SCRIPT", b"FLUSH"]).await;
        insert(&store, 2).await;
    });
}

#[test]
fn a_store_outlives_the_runtime_that_opened_it() {
    let runtime = runtime();
    let store = runtime.block_on(fresh());
    drop(runtime);
    contract::block_on(async {
        store.ping().await.expect(ANSWERS);
    });
}

/// Loads are asked from the caller's task. Those of a runtime that then does something else are more than the client's usual
/// queue has places for: a place that was given to one of them would be lost to everyone.
#[test]
fn loads_on_a_runtime_that_is_blocked_hold_nobody_up() {
    let store = runtime().block_on(async {
        let store = fresh().await;
        insert(&store, 1).await;
        store
    });
    let store = &store;
    std::thread::scope(|threads| {
        let (blocked, is_blocked) = std::sync::mpsc::channel();
        let (unblock, unblocked) = std::sync::mpsc::channel::<()>();
        threads.spawn(move || {
            contract::block_on(async {
                let key = key(1);
                // Without tokio's budget, which would end the sending after a hundred or so.
                let loads = tokio::task::unconstrained(async {
                    let mut loads = Vec::new();
                    for _ in 0..20_000 {
                        let mut load = store.load(&key, now());
                        // Some may be answered before they are looked at.
                        if futures_util::poll!(load.as_mut()).is_pending() {
                            loads.push(load);
                        }
                    }
                    loads
                });
                let loads = loads.await;
                assert!(loads.len() > 1_000, "only {} are under way", loads.len());
                blocked.send(()).expect("the test is there");
                unblocked.recv().expect("the test is there");
                for load in loads {
                    assert!(load.await.expect(ANSWERS).is_some());
                }
            });
        });
        is_blocked.recv().expect("the other thread is there");
        contract::block_on(async {
            for _ in 0..100 {
                assert!(store.load(&key(1), now()).await.expect(ANSWERS).is_some());
            }
        });
        unblock.send(()).expect("the other thread is there");
    });
}

/// Where every caller gives up before the store does, it still has to find out that nothing comes through any more.
#[test]
fn a_dead_connection_is_noticed_though_every_caller_goes_away() {
    async fn connections(url: &str) -> Vec<u64> {
        let list: String = ask(&mut raw(url).await, &[b"CLIENT", b"LIST"]).await;
        let id = |line: &str| line.strip_prefix("id=")?.split(' ').next()?.parse().ok();
        list.lines().filter_map(id).collect()
    }
    let server = RedisServer::start().expect("the server starts");
    contract::block_on(async {
        let store = open(&server.url()).await;
        insert(&store, 1).await;
        let first = connections(&server.url()).await.into_iter().min();
        let first = first.expect("that of the store");
        server.pause().expect("the server stands still");
        let given_up = tokio::time::timeout(Duration::from_millis(50), store.load(&key(1), now())).await;
        assert!(given_up.is_err(), "{given_up:?}");
        // The store looks for two seconds, by a clock that no test moves.
        tokio::time::sleep(Duration::from_secs(4)).await;
        server.resume().expect("the server goes on");
        assert!(store.load(&key(1), now()).await.expect(ANSWERS).is_some());
        let began = Instant::now();
        while connections(&server.url()).await.contains(&first) {
            assert!(began.elapsed() < Duration::from_secs(10), "it was not given up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// The runtime of whoever asks has neither timers nor sockets.
#[test]
fn a_load_needs_no_timer_of_its_caller() {
    let store = runtime().block_on(async {
        let store = fresh().await;
        insert(&store, 1).await;
        store
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("it starts");
    let loaded = runtime.block_on(store.load(&key(1), now()));
    assert!(loaded.expect(ANSWERS).is_some());
    let server = RedisServer::start().expect("the server starts");
    let store = self::runtime().block_on(open(&server.url()));
    server.pause().expect("the server stops");
    let loaded = runtime.block_on(store.load(&key(1), now()));
    assert!(matches!(loaded, Err(StoreError::Timeout)), "{loaded:?}");
    server.resume().expect("the server goes on");
}

#[test]
fn app_data_is_refused_updated_and_forgotten() {
    contract::block_on(async {
        let store = fresh().await;
        let store = store.app_data().expect("it is a store of app data, too");
        let (k, other) = (AppDataKey::from_bytes([1; 32]), AppDataKey::from_bytes([2; 32]));
        let (a, b): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(&b"a\0\r\n\xff"[..]), Arc::from(&b""[..]));
        let (now, end) = (now(), now().plus(HOUR));
        assert_eq!(
            store
                .insert_app_data(&k, a.clone(), end, now)
                .await
                .expect(ANSWERS),
            Inserted::Yes
        );
        assert_eq!(
            store
                .insert_app_data(&k, b.clone(), end, now)
                .await
                .expect(ANSWERS),
            Inserted::Taken
        );
        assert_eq!(
            store.load_app_data(&k, now).await.expect(ANSWERS),
            Some(a.clone())
        );
        assert!(
            !store
                .update_app_data(&other, b.clone(), end, now)
                .await
                .expect(ANSWERS)
        );
        assert_eq!(store.load_app_data(&other, now).await.expect(ANSWERS), None);
        assert!(
            store
                .update_app_data(&k, b.clone(), end, now)
                .await
                .expect(ANSWERS)
        );
        assert_eq!(
            store.load_app_data(&k, now).await.expect(ANSWERS),
            Some(b.clone())
        );
        assert!(
            store
                .touch_app_data(&k, now.plus(HOUR / 2), now)
                .await
                .expect(ANSWERS)
        );
        let late = now.plus(HOUR / 2);
        assert_eq!(store.load_app_data(&k, late).await.expect(ANSWERS), None);
        assert!(
            !store
                .update_app_data(&k, a.clone(), end, late)
                .await
                .expect(ANSWERS)
        );
        assert!(!store.touch_app_data(&k, end, late).await.expect(ANSWERS));
        assert!(!store.delete_app_data(&k, late).await.expect(ANSWERS));
        assert_eq!(
            store
                .insert_app_data(&k, a.clone(), end, late)
                .await
                .expect(ANSWERS),
            Inserted::Yes
        );
        assert!(store.delete_app_data(&k, late).await.expect(ANSWERS));
        assert!(!store.delete_app_data(&k, late).await.expect(ANSWERS));
    });
}

/// Not a rule, a figure: what a session of 2 kB takes.
#[test]
fn a_session_takes_little_more_than_its_body() {
    contract::block_on(async {
        let url = fresh_url();
        let store = open(&url).await;
        let inserted = store.insert(&key(1), record(&[7; 2048]), now()).await;
        assert_eq!(inserted.expect(ANSWERS), Inserted::Yes);
        let mut server = raw(&url).await;
        let mut sum = 0;
        for key in ask::<Vec<Vec<u8>>>(&mut server, &[b"KEYS", b"*"]).await {
            let bytes: i64 = ask(&mut server, &[b"MEMORY", b"USAGE", &key]).await;
            println!("{bytes} bytes: {}", String::from_utf8_lossy(&key));
            sum += bytes;
        }
        assert!(sum < 4_096, "{sum} bytes");
    });
}
