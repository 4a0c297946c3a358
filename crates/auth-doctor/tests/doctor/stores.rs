//! Session stores, real ones.

use auth_doctor::Depth;
use auth_testing::servers::RedisServer;

use crate::world::{World, complaints, has};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_server_that_works_that_evicts_and_that_has_stopped() {
    let server = RedisServer::start().unwrap();
    let mut world = World::start().await;
    world.set("AUTH_STORE", &server.url());
    let report = world.examine_to(Depth::Read).await;
    assert_eq!(complaints(&report), [""; 0]);
    assert!(has(&report, "store.good"), "{:?}", report.findings);

    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("CONFIG")
        .arg(&["SET", "maxmemory-policy", "allkeys-lru"])
        .query_async(&mut connection)
        .await
        .unwrap();
    let report = world.examine_to(Depth::Read).await;
    assert_eq!(complaints(&report), ["store.evicts"]);

    server.kill().unwrap();
    let report = world.examine_to(Depth::Read).await;
    assert_eq!(complaints(&report), ["store.unreachable"]);
    assert!(
        has(&report, "discovery.good"),
        "the rest is looked at all the same"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_is_used_if_it_is_there_and_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.db");
    let mut world = World::start().await;
    world.set("AUTH_STORE", &format!("sqlite:{}", file.display()));
    let report = world.examine_to(Depth::Read).await;
    assert!(has(&report, "store.not_there_yet"), "{:?}", report.findings);
    assert_eq!(complaints(&report), [""; 0]);
    assert!(!file.exists());

    drop(
        auth_core::store::SqliteStore::open(file.to_str().unwrap())
            .await
            .unwrap(),
    );
    let report = world.examine_to(Depth::Read).await;
    assert!(has(&report, "store.good"), "{:?}", report.findings);

    std::fs::write(&file, "this is no database, however long it may be".repeat(100)).unwrap();
    let report = world.examine_to(Depth::Read).await;
    assert_eq!(complaints(&report), ["store.unreachable"]);
}
