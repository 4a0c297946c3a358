//! The PostgreSQL store obeys the contract, and what PostgreSQL adds to it. Needs PostgreSQL: `apt-get install postgresql`.
#![cfg(all(feature = "contract", feature = "postgres"))]
#![allow(missing_docs, reason = "these are tests")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auth_core::clock::{Clock, Timestamp};
use auth_core::store::app_data::AppDataKey;
use auth_core::store::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, Notice, Notices, OnceKey, Opened, PostgresStore, Record,
    ScanCursor, Scanned, SessionKey, SessionStore, StoreError, Swapped, contract,
};
use auth_testing::servers::PostgresServer;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// A database of its own for each call.
async fn fresh() -> PostgresStore {
    open(&fresh_database()).await
}

auth_core::contract_tests!(fresh);
auth_core::app_data_contract_tests!(fresh);

#[test]
fn sweep_removes_expired_app_data() {
    contract::block_on(async {
        contract::sweep_removes_expired_app_data(Arc::new(fresh().await)).await;
    });
}

/// Two stores on one database, called in turn: what one does the other sees at once.
mod two_on_one_database {
    use super::*;

    #[derive(Debug)]
    struct InTurn {
        stores: [PostgresStore; 2],
        turn: AtomicUsize,
    }

    async fn fresh() -> InTurn {
        let url = fresh_database();
        InTurn {
            stores: [open(&url).await, open(&url).await],
            turn: AtomicUsize::new(0),
        }
    }

    auth_core::contract_tests!(fresh);

    impl InTurn {
        fn next(&self) -> &PostgresStore {
            &self.stores[self.turn.fetch_add(1, Ordering::Relaxed) % 2]
        }
    }

    type Found = Vec<(SessionKey, Arc<Record>)>;

    #[async_trait]
    impl SessionStore for InTurn {
        async fn insert(
            &self,
            key: &SessionKey,
            record: Record,
            now: Timestamp,
        ) -> Result<Inserted, StoreError> {
            self.next().insert(key, record, now).await
        }

        async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
            self.next().load(key, now).await
        }

        async fn compare_and_swap(
            &self,
            key: &SessionKey,
            expected: u64,
            record: Record,
            now: Timestamp,
        ) -> Result<Swapped, StoreError> {
            self.next().compare_and_swap(key, expected, record, now).await
        }

        async fn touch(
            &self,
            key: &SessionKey,
            last_seen_at: Timestamp,
            expires_at: Timestamp,
            now: Timestamp,
        ) -> Result<(), StoreError> {
            self.next().touch(key, last_seen_at, expires_at, now).await
        }

        async fn delete(
            &self,
            key: &SessionKey,
            expected: Option<u64>,
            now: Timestamp,
        ) -> Result<bool, StoreError> {
            self.next().delete(key, expected, now).await
        }

        async fn find_by_subject(&self, subject: &IndexKey, now: Timestamp) -> Result<Found, StoreError> {
            self.next().find_by_subject(subject, now).await
        }

        async fn find_by_sid(&self, sid: &IndexKey, now: Timestamp) -> Result<Found, StoreError> {
            self.next().find_by_sid(sid, now).await
        }

        async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
            self.next().scan(from, now).await
        }

        async fn acquire(
            &self,
            key: &SessionKey,
            seen: u64,
            owner: LeaseOwner,
            length: Duration,
            now: Timestamp,
        ) -> Result<Acquired, StoreError> {
            self.next().acquire(key, seen, owner, length, now).await
        }

        async fn renew(
            &self,
            key: &SessionKey,
            lease: &Lease,
            length: Duration,
            now: Timestamp,
        ) -> Result<bool, StoreError> {
            self.next().renew(key, lease, length, now).await
        }

        async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
            self.next().release(key, lease, now).await
        }

        async fn claim_once(
            &self,
            key: &OnceKey,
            until: Timestamp,
            now: Timestamp,
        ) -> Result<bool, StoreError> {
            self.next().claim_once(key, until, now).await
        }

        async fn prolong_claim(
            &self,
            key: &OnceKey,
            until: Timestamp,
            now: Timestamp,
        ) -> Result<(), StoreError> {
            self.next().prolong_claim(key, until, now).await
        }

        async fn claimed_until(
            &self,
            key: &OnceKey,
            now: Timestamp,
        ) -> Result<Option<Timestamp>, StoreError> {
            self.next().claimed_until(key, now).await
        }

        async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
            self.next().sweep(now).await
        }

        fn notices(&self) -> Option<Notices> {
            self.next().notices()
        }

        async fn ping(&self) -> Result<(), StoreError> {
            self.next().ping().await
        }
    }
}

#[test]
fn sessions_outlive_the_store() {
    contract::block_on(async {
        let url = fresh_database();
        contract::sessions_outlive_the_store(|| open(&url)).await;
    });
}

/// Names the database for a child process of [`processes_share_a_database`].
const CHILD: &str = "STORE_POSTGRES_CHILD";
const CHILDREN: u64 = 4;
const CHANGES: u64 = 50;

/// Each process changes the record under a lease: nobody else may change it meanwhile, and no change is lost.
#[test]
fn processes_share_a_database() {
    if let Ok(url) = std::env::var(CHILD) {
        contract::block_on(async {
            tokio::time::timeout(Duration::from_secs(60), change_under_lease(&url))
                .await
                .expect("each process gets its turn");
        });
        return;
    }
    let url = fresh_database();
    let mut children: Vec<_> = (0..CHILDREN)
        .map(|_| {
            std::process::Command::new(std::env::current_exe().expect("this test has a file"))
                .args(["--exact", "processes_share_a_database", "--nocapture"])
                .env(CHILD, &url)
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("this test starts again")
        })
        .collect();
    let ends: Vec<_> = children
        .iter_mut()
        .map(|child| child.wait().expect("a child ends"))
        .collect();
    assert!(ends.iter().all(|end| end.success()), "{ends:?}");
    contract::block_on(async {
        let stored = open(&url).await.load(&key(1), now()).await;
        let stored = stored.expect(ANSWERS).expect("the session is there");
        assert_eq!(stored.version, 1 + CHILDREN * CHANGES);
        assert_eq!(stored.sealed.len() as u64, CHILDREN * CHANGES);
    });
}

async fn change_under_lease(url: &str) {
    // All children open the empty database at once, and one of them makes the session.
    let store = open(url).await;
    let owner = LeaseOwner::from_u128(std::process::id().into());
    let _ = store.insert(&key(1), record(&[]), now()).await.expect(ANSWERS);
    let mut seen = 1;
    for _ in 0..CHANGES {
        loop {
            let acquired = store.acquire(&key(1), seen, owner, HOUR, now()).await;
            match acquired.expect(ANSWERS) {
                Acquired::Got(held) => {
                    let new = record(&[&held.sealed[..], b"x"].concat());
                    let swapped = store.compare_and_swap(&key(1), seen, new, now()).await;
                    assert!(matches!(swapped, Ok(Swapped::Yes)), "{swapped:?}");
                    seen += 1;
                    break;
                }
                Acquired::Newer(newer) => {
                    assert!(newer.version > seen, "versions only go up");
                    seen = newer.version;
                }
                Acquired::Held(held) => {
                    assert_ne!(held.lease.map(|lease| lease.owner), Some(owner));
                    tokio::task::yield_now().await;
                }
                Acquired::Gone => panic!("the session is gone"),
            }
        }
    }
}

#[test]
fn the_servers_clock_ends_a_lease() {
    contract::block_on(async {
        let store = fresh().await;
        // The clock of this machine is far off, in either direction.
        for (n, off) in [(1, now().minus(24 * HOUR)), (2, now().plus(24 * HOUR))] {
            let record = Record {
                expires_at: now().plus(1000 * HOUR),
                ..record(b"1")
            };
            let _ = store.insert(&key(n), record, off).await.expect(ANSWERS);
            let before = now();
            let lease = take(&store, n, 1, Duration::from_secs(1), off).await;
            let end = lease.until.as_millis();
            assert!(
                (before.as_millis() + 999..=now().as_millis() + 1000).contains(&end),
                "a lease must end its length after the server's time"
            );
            let acquired = acquire(&store, n, 2, HOUR, off).await;
            assert!(matches!(acquired, Acquired::Held(_)), "{acquired:?}");
            tokio::time::sleep(Duration::from_millis(1050)).await;
            let loaded = store.load(&key(n), off).await.expect(ANSWERS);
            let loaded = loaded.expect("the session is there");
            assert_eq!(
                loaded.lease,
                Some(lease),
                "a lease that ended stays until someone takes it"
            );
            take(&store, n, 2, HOUR, off).await;
        }
    });
}

#[test]
fn the_longest_lease_ends_at_the_last_instant() {
    contract::block_on(async {
        let store = fresh().await;
        let _ = store.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
        let last = Timestamp::from_millis(i64::MAX);
        let lease = take(&store, 1, 1, Duration::MAX, now()).await;
        assert_eq!(lease.until, last);
        let renewed = store.renew(&key(1), &lease, Duration::MAX, now()).await;
        assert!(renewed.expect(ANSWERS));
        let loaded = store.load(&key(1), now()).await.expect(ANSWERS);
        assert_eq!(loaded.and_then(|record| record.lease), Some(lease));
    });
}

/// Whoever waits for a row that another one changes goes by the row as it is then.
#[test]
fn who_waits_for_a_row_sees_what_became_of_it() {
    contract::block_on(async {
        let url = fresh_database();
        let store = Arc::new(open(&url).await);
        let mut other = connect(&url).await;
        for (n, change) in [
            (1, "UPDATE auth_session SET version = 9 WHERE key = $1"),
            (2, "DELETE FROM auth_session WHERE key = $1"),
            (
                3,
                "UPDATE auth_session SET fence = 5, lease_owner = '\\x00000000000000000000000000000007', \
                 lease_until = 9223372036854775807 WHERE key = $1",
            ),
        ] {
            let _ = store.insert(&key(n), record(b"1"), now()).await.expect(ANSWERS);
            let mut transaction = other.begin().await.expect("a transaction begins");
            sqlx::query(change)
                .bind(*key(n).as_bytes())
                .execute(&mut *transaction)
                .await
                .expect("the row is there");
            let acquiring = {
                let store = Arc::clone(&store);
                tokio::spawn(async move { acquire(&store, n, 1, HOUR, now()).await })
            };
            let swapping = {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.compare_and_swap(&key(n), 1, record(b"2"), now()).await })
            };
            wait_until(async || waiting(&url).await == 2).await;
            transaction.commit().await.expect("it commits");
            let acquired = acquiring.await.expect("it ends");
            let swapped = swapping.await.expect("it ends").expect(ANSWERS);
            match n {
                1 => {
                    assert!(
                        matches!(acquired, Acquired::Newer(ref found) if found.version == 9),
                        "{acquired:?}"
                    );
                    assert!(
                        matches!(swapped, Swapped::Newer(ref found) if found.version == 9),
                        "{swapped:?}"
                    );
                }
                2 => {
                    assert!(matches!(acquired, Acquired::Gone), "{acquired:?}");
                    assert!(matches!(swapped, Swapped::Gone), "{swapped:?}");
                }
                _ => {
                    // The swap goes by the version alone; whether it comes before or after is open.
                    assert!(matches!(swapped, Swapped::Yes), "{swapped:?}");
                    assert!(
                        matches!(acquired, Acquired::Held(_) | Acquired::Newer(_)),
                        "{acquired:?}"
                    );
                }
            }
        }
    });
}

async fn heard(notices: &mut Notices) -> Notice {
    tokio::time::timeout(Duration::from_secs(10), notices.next())
        .await
        .expect("something is told")
        .expect("the store is there")
}

/// The connections to the database that listen: what they did last is `LISTEN`.
const LISTENERS: &str = "SELECT count(*)::text FROM pg_stat_activity \
                         WHERE datname = current_database() AND query LIKE 'LISTEN%'";

#[test]
fn one_listens_while_somebody_does_and_again_when_the_connection_breaks() {
    contract::block_on(async {
        let url = fresh_database();
        let store = open(&url).await;
        assert_eq!(text(&url, LISTENERS).await.as_deref(), Some("0"));
        let mut notices = store.notices().expect("the store tells");
        assert_eq!(heard(&mut notices).await, Notice::Listening);
        assert_eq!(text(&url, LISTENERS).await.as_deref(), Some("1"));
        for _ in 0..2 {
            run(
                &url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND query LIKE 'LISTEN%'",
            )
            .await;
            assert_eq!(heard(&mut notices).await, Notice::Deaf);
            assert_eq!(heard(&mut notices).await, Notice::Listening);
            let _ = store.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
            assert!(store.delete(&key(1), None, now()).await.expect(ANSWERS));
            assert_eq!(heard(&mut notices).await, Notice::Ended(key(1)));
        }
        drop(notices);
        wait_until(async || text(&url, LISTENERS).await.as_deref() == Some("0")).await;
    });
}

#[test]
fn schemas_of_one_database_are_told_apart() {
    contract::block_on(async {
        let url = fresh_database();
        run(&url, "CREATE SCHEMA other").await;
        let separator = if url.contains('?') { '&' } else { '?' };
        let elsewhere = format!("{url}{separator}options=-csearch_path%3Dother");
        let (store, other) = (open(&url).await, open(&elsewhere).await);
        let mut notices = store.notices().expect("the store tells");
        assert_eq!(heard(&mut notices).await, Notice::Listening);
        for (store, n) in [(&other, 1), (&store, 2)] {
            let _ = store.insert(&key(n), record(b"1"), now()).await.expect(ANSWERS);
            assert!(store.delete(&key(n), None, now()).await.expect(ANSWERS));
        }
        assert_eq!(heard(&mut notices).await, Notice::Ended(key(2)));
    });
}

/// As behind a proxy that pools by transaction: whoever subscribes is told that they hear, and nothing comes in.
#[test]
fn who_cannot_be_heard_does_not_believe_that_they_hear_and_signs_out_all_the_same() {
    contract::block_on(async {
        let url = fresh_database();
        let store = open(&url).await;
        // A function of this name in front of the server's own, which tells nobody.
        run(
            &url,
            "CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT NULL::void'",
        )
        .await;
        let separator = if url.contains('?') { '&' } else { '?' };
        let silent = format!("{url}{separator}options=-csearch_path%3Dpublic,pg_catalog");
        let silent = open(&silent).await;
        let mut notices = silent.notices().expect("the store tells");
        for _ in 0..2 {
            assert_eq!(heard(&mut notices).await, Notice::Deaf);
        }
        let _ = silent.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
        assert!(silent.delete(&key(1), None, now()).await.expect(ANSWERS));
        // One that fails.
        run(
            &url,
            "CREATE OR REPLACE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE plpgsql \
             AS 'BEGIN RAISE EXCEPTION ''no''; END'",
        )
        .await;
        for store in [&silent, &store] {
            let _ = store.insert(&key(2), record(b"1"), now()).await.expect(ANSWERS);
            let wrong = store.delete(&key(2), Some(7), now()).await;
            assert!(!wrong.expect(ANSWERS), "of another version");
            assert!(store.delete(&key(2), Some(1), now()).await.expect(ANSWERS));
            assert!(!store.delete(&key(2), None, now()).await.expect(ANSWERS));
        }
    });
}

#[test]
fn stores_that_open_an_empty_database_at_once_make_the_tables_once() {
    contract::block_on(async {
        let url = fresh_database();
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let url = url.clone();
                std::thread::spawn(move || {
                    contract::block_on(async {
                        open(&url).await.ping().await.expect(ANSWERS);
                    });
                })
            })
            .collect();
        for opening in opening {
            opening.join().expect("each of them opens");
        }
    });
}

#[test]
fn open_refuses_a_newer_layout_and_changes_nothing() {
    contract::block_on(async {
        let url = fresh_database();
        drop(open(&url).await);
        run(&url, "UPDATE auth_schema SET version = 99").await;
        run(&url, "DROP TABLE auth_once").await;
        let words = "the tables have the layout 99, this version knows 1";
        assert_eq!(refusal(&url).await, words);
        let error = PostgresStore::migrate(&url)
            .await
            .expect_err("it must be refused");
        assert!(one_line(&error).ends_with(words), "{error:?}");
        assert_eq!(text(&url, "SELECT to_regclass('auth_once')::text").await, None);
    });
}

#[test]
fn open_leaves_tables_of_others_alone() {
    contract::block_on(async {
        let url = fresh_database();
        run(&url, "CREATE TABLE auth_once (invoice integer)").await;
        assert_eq!(refusal(&url).await, "PostgreSQL refuses it");
        assert_eq!(
            text(
                &url,
                "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname LIKE 'auth%'"
            )
            .await
            .as_deref(),
            Some("auth_once")
        );
    });
}

#[test]
fn a_role_without_the_right_to_make_tables_opens_what_the_owner_has_made() {
    contract::block_on(async {
        let url = fresh_database();
        let app = as_role(&url, "app_rights");
        run(&url, "CREATE ROLE app_rights LOGIN").await;
        run(&url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
        assert_eq!(
            refusal(&app).await,
            "the tables are missing and the role may not make them; run PostgresStore::migrate with a role that may"
        );

        for _ in 0..2 {
            PostgresStore::migrate(&url).await.expect("the owner may");
        }
        let lacks = "the role needs SELECT, INSERT, UPDATE and DELETE on auth_session, auth_once and auth_app_data, \
                     and SELECT on auth_schema";
        assert_eq!(refusal(&app).await, lacks);
        run(&url, "GRANT SELECT ON auth_schema TO app_rights").await;
        assert_eq!(refusal(&app).await, lacks);
        run(
            &url,
            "GRANT SELECT, INSERT, UPDATE, DELETE ON auth_session, auth_once, auth_app_data TO app_rights",
        )
        .await;

        let store = open(&app).await;
        let _ = store.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
        take(&store, 1, 1, HOUR, now()).await;
        let once = OnceKey::from_bytes([1; 32]);
        assert!(
            store
                .claim_once(&once, now().plus(HOUR), now())
                .await
                .expect(ANSWERS)
        );
        assert_eq!(store.sweep(now().plus(2 * HOUR)).await.expect(ANSWERS), 1);
        store.ping().await.expect(ANSWERS);
    });
}

#[test]
fn the_schema_as_text_makes_the_tables() {
    contract::block_on(async {
        let url = fresh_database();
        sqlx::raw_sql(PostgresStore::SCHEMA)
            .execute(&mut connect(&url).await)
            .await
            .expect("it is SQL");
        open(&url).await.ping().await.expect(ANSWERS);
    });
}

#[test]
fn the_tables_lie_where_the_search_path_says() {
    contract::block_on(async {
        let url = fresh_database();
        run(&url, "CREATE SCHEMA sessions").await;
        let inside = format!("{url}&options=-csearch_path%3Dsessions");
        let store = open(&inside).await;
        let _ = store.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
        assert_eq!(
            text(&url, "SELECT count(*)::text FROM sessions.auth_session")
                .await
                .as_deref(),
            Some("1")
        );
    });
}

#[test]
fn rows_that_cannot_be_read_are_corrupt_and_stay() {
    contract::block_on(async {
        let url = fresh_database();
        let store = open(&url).await;
        let _ = store.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
        let lease = take(&store, 1, 1, HOUR, now()).await;
        for column in ["subject", "sid", "lease_owner"] {
            run(
                &url,
                &format!("ALTER TABLE auth_session DROP CONSTRAINT auth_session_{column}_check"),
            )
            .await;
        }
        for (garbage, mend) in [
            ("subject = '\\x00'", "subject = key"),
            ("sid = '\\x'", "sid = NULL"),
            (
                "lease_owner = '\\x0000'",
                "lease_owner = '\\x00000000000000000000000000000001'",
            ),
        ] {
            run(&url, &format!("UPDATE auth_session SET {garbage}")).await;
            let before = text(&url, "SELECT auth_session::text FROM auth_session").await;
            let loaded = store.load(&key(1), now()).await;
            assert!(
                matches!(loaded, Err(StoreError::Corrupt(_))),
                "{garbage}: {loaded:?}"
            );
            let swapped = store.compare_and_swap(&key(1), 7, record(b"2"), now()).await;
            assert!(
                matches!(swapped, Err(StoreError::Corrupt(_))),
                "{garbage}: {swapped:?}"
            );
            let acquired = store
                .acquire(&key(1), 1, LeaseOwner::from_u128(2), HOUR, now())
                .await;
            assert!(
                matches!(acquired, Err(StoreError::Corrupt(_))),
                "{garbage}: {acquired:?}"
            );
            let inserted = store.insert(&key(1), record(b"2"), now()).await.expect(ANSWERS);
            assert_eq!(inserted, Inserted::Taken);
            assert_eq!(
                text(&url, "SELECT auth_session::text FROM auth_session").await,
                before
            );
            run(&url, &format!("UPDATE auth_session SET {mend}")).await;
        }
        run(&url, "UPDATE auth_session SET fence = 9223372036854775807").await;
        store
            .release(
                &key(1),
                &Lease {
                    fence: i64::MAX.unsigned_abs(),
                    ..lease
                },
                now(),
            )
            .await
            .expect(ANSWERS);
        let acquired = store
            .acquire(&key(1), 1, LeaseOwner::from_u128(2), HOUR, now())
            .await;
        assert!(matches!(acquired, Err(StoreError::Corrupt(_))), "{acquired:?}");

        // A column of another type, as a tool that "mends" a table might leave it.
        run(
            &url,
            "ALTER TABLE auth_session ALTER COLUMN version TYPE text USING 'one'",
        )
        .await;
        let loaded = open(&url).await.load(&key(1), now()).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
    });
}

#[test]
fn stores_that_sweep_at_once_remove_each_session_once() {
    contract::block_on(async {
        let url = fresh_database();
        let stores: Vec<_> = [open(&url).await, open(&url).await, open(&url).await]
            .into_iter()
            .map(Arc::new)
            .collect();
        run(
            &url,
            "INSERT INTO auth_session (key, version, subject, created_at, last_seen_at, expires_at, sealed) \
             SELECT sha256(n::text::bytea), 1, sha256('s'), 0, 0, n, '' FROM generate_series(1, 5000) AS n",
        )
        .await;
        let sweeping: Vec<_> = stores
            .iter()
            .map(|store| {
                let store = Arc::clone(store);
                std::thread::spawn(move || {
                    let mut swept = 0;
                    contract::block_on(async {
                        swept = store.sweep(Timestamp::from_millis(4_000)).await.expect(ANSWERS);
                    });
                    swept
                })
            })
            .collect();
        let mut swept: u64 = sweeping
            .into_iter()
            .map(|sweeping| sweeping.join().expect("it ends"))
            .sum();
        // What each has left to the others may be left.
        swept += stores[0]
            .sweep(Timestamp::from_millis(4_000))
            .await
            .expect(ANSWERS);
        assert_eq!(swept, 4_000);
        assert_eq!(
            text(&url, "SELECT count(*)::text FROM auth_session")
                .await
                .as_deref(),
            Some("1000")
        );
    });
}

#[test]
fn sweeping_goes_by_the_instant_also_before_1970() {
    contract::block_on(async {
        let store = fresh().await;
        let hours = |n: i64| Timestamp::from_millis(n * 3_600_000);
        let instants = [-2, -1, 0, 1, 2].map(hours);
        let ends = instants.iter().flat_map(|at| {
            let millisecond = Duration::from_millis(1);
            [at.minus(millisecond), *at, at.plus(millisecond)]
        });
        for (n, expires_at) in (0..).zip(ends.clone()) {
            let record = Record {
                expires_at,
                ..record(b"1")
            };
            let _ = store.insert(&key(n), record, hours(-9)).await.expect(ANSWERS);
        }
        for at in ends {
            assert_eq!(store.sweep(at).await.expect(ANSWERS), 1, "{at:?}");
        }
    });
}

#[test]
fn the_uses_of_a_session_write_no_index() {
    contract::block_on(async {
        let url = fresh_database();
        let store = open(&url).await;
        let noon = Timestamp::from_secs(1_900_000_000 / 3600 * 3600 + 60);
        let new = Record {
            last_seen_at: noon,
            expires_at: noon.plus(HOUR),
            sealed: vec![1; 2_000].into(),
            ..record(b"")
        };
        let _ = store.insert(&key(1), new, noon).await.expect(ANSWERS);
        for n in 1..=20 {
            let then = noon.plus(Duration::from_secs(n));
            for _ in 0..2 {
                store
                    .touch(&key(1), then, then.plus(HOUR), then)
                    .await
                    .expect(ANSWERS);
            }
            let lease = take(&store, 1, 1, HOUR, then).await;
            assert!(store.renew(&key(1), &lease, 2 * HOUR, then).await.expect(ANSWERS));
            store.release(&key(1), &lease, then).await.expect(ANSWERS);
        }
        drop(store);
        // A backend reports when it ends at the latest. 20 touches that move something, and 60 changes of the lease.
        let counts = "SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'auth_session'";
        wait_until(async || text(&url, counts).await.as_deref() == Some("80 80")).await;
    });
}

#[test]
fn app_data_is_inserted_once_and_never_by_an_update() {
    contract::block_on(async {
        let store = fresh().await;
        let data = store.app_data().expect("it keeps app data");
        let key = AppDataKey::from_bytes([1; 32]);
        let now = now();
        let end = now.plus(HOUR);
        let bytes = |text: &str| Arc::<[u8]>::from(text.as_bytes());
        let load = async |at| data.load_app_data(&key, at).await.expect(ANSWERS);

        assert!(
            !data
                .update_app_data(&key, bytes("0"), end, now)
                .await
                .expect(ANSWERS)
        );
        assert!(!data.touch_app_data(&key, end, now).await.expect(ANSWERS));
        assert!(!data.delete_app_data(&key, now).await.expect(ANSWERS));
        assert_eq!(load(now).await, None);

        let insert = async |text, at: Timestamp| {
            data.insert_app_data(&key, bytes(text), at.plus(HOUR), at)
                .await
                .expect(ANSWERS)
        };
        assert_eq!(insert("1", now).await, Inserted::Yes);
        assert_eq!(insert("2", now).await, Inserted::Taken);
        assert_eq!(load(now).await, Some(bytes("1")));
        assert_eq!(load(end.minus(Duration::from_millis(1))).await, Some(bytes("1")));

        // From its end on it is missing.
        assert_eq!(load(end).await, None);
        assert!(
            !data
                .update_app_data(&key, bytes("3"), end.plus(HOUR), end)
                .await
                .expect(ANSWERS)
        );
        assert!(
            !data
                .touch_app_data(&key, end.plus(HOUR), end)
                .await
                .expect(ANSWERS)
        );
        assert!(!data.delete_app_data(&key, end).await.expect(ANSWERS));
        assert_eq!(load(now).await, Some(bytes("1")));
        assert_eq!(insert("4", end).await, Inserted::Yes);

        assert!(
            data.update_app_data(&key, bytes("5"), end.plus(2 * HOUR), end)
                .await
                .expect(ANSWERS)
        );
        assert_eq!(load(end.plus(HOUR)).await, Some(bytes("5")));
        assert!(
            data.touch_app_data(&key, end.plus(HOUR), end)
                .await
                .expect(ANSWERS)
        );
        assert_eq!(load(end.plus(HOUR)).await, None);
        assert!(data.delete_app_data(&key, end).await.expect(ANSWERS));
        assert_eq!(load(end).await, None);

        assert_eq!(insert("6", now).await, Inserted::Yes);
        assert_eq!(
            store.sweep(end).await.expect(ANSWERS),
            0,
            "sweep counts sessions only"
        );
        assert!(!data.touch_app_data(&key, end, now).await.expect(ANSWERS));
    });
}

#[test]
fn a_write_goes_on_when_its_caller_goes_away() {
    contract::block_on(async {
        let store = fresh().await;
        {
            let key = key(1);
            let mut insert = store.insert(&key, record(b"1"), now());
            assert!(futures_util::poll!(insert.as_mut()).is_pending());
        }
        wait_until(async || store.load(&key(1), now()).await.expect(ANSWERS).is_some()).await;
    });
}

#[test]
fn a_runtime_that_is_blocked_holds_nobody_up() {
    let url = fresh_database();
    let (store, _) = runtime_with(open(&url));
    let store = &store;
    std::thread::scope(|threads| {
        let (blocked, is_blocked) = std::sync::mpsc::channel();
        let (unblock, unblocked) = std::sync::mpsc::channel::<()>();
        threads.spawn(move || {
            contract::block_on(async {
                let key = key(1);
                let mut insert = store.insert(&key, record(b"1"), now());
                // The insert is under way, the runtime that waits for it does something else.
                let _ = futures_util::poll!(insert.as_mut());
                blocked.send(()).expect("the test is there");
                unblocked.recv().expect("the test is there");
                assert_eq!(insert.await.expect(ANSWERS), Inserted::Yes);
            });
        });
        is_blocked.recv().expect("the other thread is there");
        contract::block_on(async {
            let started = Instant::now();
            for n in 2..50 {
                let inserted = store.insert(&key(n), record(b"2"), now()).await;
                assert_eq!(inserted.expect(ANSWERS), Inserted::Yes);
                assert!(store.load(&key(n), now()).await.expect(ANSWERS).is_some());
            }
            assert!(started.elapsed() < Duration::from_secs(4));
        });
        unblock.send(()).expect("the other thread is there");
    });
}

#[test]
fn a_store_outlives_the_runtime_that_opened_it() {
    let url = fresh_database();
    let (store, runtime) = runtime_with(open(&url));
    drop(runtime);
    contract::block_on(async {
        store.ping().await.expect(ANSWERS);
    });
}

#[test]
fn a_locked_row_is_a_time_out_and_readers_go_on() {
    contract::block_on(async {
        let url = fresh_database();
        let store = open(&url).await;
        let _ = store.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
        let mut other = connect(&url).await;
        let mut transaction = other.begin().await.expect("a transaction begins");
        sqlx::query("SELECT FROM auth_session FOR UPDATE")
            .execute(&mut *transaction)
            .await
            .expect("the row is free");

        let started = Instant::now();
        let deleted = store.delete(&key(1), None, now()).await;
        assert!(matches!(deleted, Err(StoreError::Timeout)), "{deleted:?}");
        assert!(started.elapsed() < BOUND);
        assert!(store.load(&key(1), now()).await.expect(ANSWERS).is_some());

        transaction.rollback().await.expect("the lock is held");
        assert!(store.delete(&key(1), None, now()).await.expect(ANSWERS));
    });
}

#[test]
fn a_store_survives_a_crash_of_the_server() {
    contract::block_on(async {
        let server = PostgresServer::builder()
            .durable()
            .start()
            .expect("PostgreSQL starts");
        let url = server.create_database().expect("a database");
        let store = Arc::new(open(&url).await);
        let sessions = 40;
        for n in 0..sessions {
            let _ = store.insert(&key(n), record(&[n]), now()).await.expect(ANSWERS);
        }
        // All connections of the store are open and idle.
        let at_once = |store: &Arc<PostgresStore>| {
            let loads = (0..sessions).map(|n| {
                let store = Arc::clone(store);
                tokio::spawn(async move { store.load(&key(n), now()).await })
            });
            futures_util::future::join_all(loads.collect::<Vec<_>>())
        };
        at_once(&store).await;

        server.kill().expect("it dies");
        server.restart().expect("it starts again");
        // Readers notice nothing, although each connection is dead.
        let started = Instant::now();
        for (n, loaded) in (0..).zip(at_once(&store).await) {
            let loaded = loaded.expect("it ends").expect("a read is made again");
            assert_eq!(loaded.expect("the session is there").sealed[..], [n]);
        }
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );

        // Of writers in turn, one finds a dead connection; the others are warned.
        server.kill().expect("it dies");
        server.restart().expect("it starts again");
        let started = Instant::now();
        let mut failures = 0;
        for n in 0..sessions {
            match store
                .touch(&key(n), now().plus(HOUR), now().plus(2 * HOUR), now())
                .await
            {
                Ok(()) => {}
                Err(StoreError::Unavailable(_)) => failures += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(failures <= 1, "{failures} writes failed");
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );

        // While it is down, errors come within the bound, and in the end at once.
        server.kill().expect("it dies");
        for n in 0..5 {
            let started = Instant::now();
            let loaded = store.load(&key(1), now()).await;
            assert!(
                matches!(loaded, Err(StoreError::Unavailable(_))),
                "{loaded:?}, after {:?}",
                started.elapsed()
            );
            let bound = if n == 0 { BOUND } else { Duration::from_millis(500) };
            assert!(started.elapsed() < bound, "{:?}", started.elapsed());
        }
        server.restart().expect("it starts again");
        let started = Instant::now();
        let loaded = store.load(&key(1), now()).await.expect("it is back");
        assert!(loaded.is_some());
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
    });
}

#[test]
fn a_read_waits_for_a_server_that_starts_again() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let url = server.create_database().expect("a database");
    let (store, _runtime) = runtime_with(open(&url));
    // What is on the disk, the server need not recover.
    server.sql("postgres", "CHECKPOINT").expect("a checkpoint");
    server.kill().expect("it dies");
    std::thread::scope(|threads| {
        let loading = threads.spawn(|| {
            let mut loaded = None;
            contract::block_on(async {
                loaded = Some(store.load(&key(1), now()).await);
            });
            loaded
        });
        server.restart().expect("it starts again");
        let loaded = loading.join().expect("it ends");
        assert!(matches!(loaded, Some(Ok(None))), "{loaded:?}");
    });
}

#[test]
fn a_server_that_stands_still_is_a_time_out() {
    contract::block_on(async {
        let server = PostgresServer::start().expect("PostgreSQL starts");
        let url = server.create_database().expect("a database");
        let store = Arc::new(open(&url).await);
        let _ = store.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
        server.pause().expect("it stops");

        let started = Instant::now();
        // More than there are connections.
        let loads = (0..30).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.load(&key(1), now()).await })
        });
        let loads: Vec<_> = loads.collect();
        let opening = PostgresStore::open(&url).await;
        assert!(matches!(opening, Err(StoreError::Timeout)), "{opening:?}");
        for load in loads {
            let loaded = load.await.expect("it ends");
            assert!(matches!(loaded, Err(StoreError::Timeout)), "{loaded:?}");
        }
        assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());

        server.resume().expect("it goes on");
        let started = Instant::now();
        for _ in 0..30 {
            assert!(store.load(&key(1), now()).await.expect("it is back").is_some());
        }
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
    });
}

#[test]
fn a_connection_that_the_server_ends_is_replaced() {
    contract::block_on(async {
        let url = fresh_database();
        let store = open(&url).await;
        for _ in 0..3 {
            store.ping().await.expect(ANSWERS);
            run(
                &url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'auth-core'",
            )
            .await;
            store.ping().await.expect("a read is made again");
        }
    });
}

#[test]
fn statements_are_not_kept_where_the_url_says_so() {
    contract::block_on(async {
        let url = format!("{}&statement-cache-capacity=0", fresh_database());
        let store = open(&url).await;
        for n in 1..5 {
            let _ = store.insert(&key(n), record(b"1"), now()).await.expect(ANSWERS);
            assert!(store.load(&key(n), now()).await.expect(ANSWERS).is_some());
        }
    });
}

const PASSWORD: &str = "sw0rdfish";

#[test]
fn the_password_is_never_shown() {
    contract::block_on(async {
        let server = server();
        let database = fresh_database();
        run(
            &database,
            &format!("CREATE ROLE app_password LOGIN PASSWORD '{PASSWORD}'"),
        )
        .await;
        let port = server.port();
        let name = database_name(&database);
        run(&database, "GRANT CREATE ON SCHEMA public TO app_password").await;

        let good = format!("postgres://app_password:{PASSWORD}@127.0.0.1:{port}/{name}");
        let store = open(&good).await;
        assert!(!format!("{store:?}").contains(PASSWORD));

        for url in [
            // Nobody there, a wrong password, a wrong database, a wrong role, a name that is none.
            format!("postgres://app_password:{PASSWORD}@127.0.0.1:1/{name}"),
            format!("postgres://app_password:{PASSWORD}x@127.0.0.1:{port}/{name}"),
            format!("postgres://app_password:{PASSWORD}@127.0.0.1:{port}/nothing"),
            format!("postgres://nobody:{PASSWORD}@127.0.0.1:{port}/{name}"),
            format!("postgres://app_password:{PASSWORD}@nowhere.invalid/{name}"),
            // Things that are no URL, or another one than was meant.
            format!("postgres://app_password:{PASSWORD}@127.0.0.1:notaport/{name}"),
            format!("postgres://app_password:{PASSWORD}/x@127.0.0.1:{port}/{name}"),
            format!("postgres://app_password:1/{PASSWORD}@127.0.0.1:{port}/{name}"),
            format!("postgres://app_password:{PASSWORD}@127.0.0.1:{port}/{name}?sslmode={PASSWORD}"),
            format!("postgres://app_password:{PASSWORD}@127.0.0.1:{port}/{name}?sslmod={PASSWORD}"),
            format!("postgres://app_password:{PASSWORD}@127.0.0.1:{port}/{name}?sslmode=require"),
            format!("postgres://app_password:{PASSWORD}@127.0.0.1:{port}/{name}?port={PASSWORD}"),
            format!("postgres://app%20%40:{PASSWORD}@127.0.0.1:1/{name}?host=::1&statement-cache-capacity=0"),
            format!("mysql://app_password:{PASSWORD}@127.0.0.1:{port}/{name}"),
            PASSWORD.to_owned(),
        ] {
            let started = Instant::now();
            let error = PostgresStore::open(&url).await.expect_err("it must be refused");
            assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            let text = format!("{} {error:?}", one_line(&error));
            assert!(!text.contains(PASSWORD), "{text}");
            assert!(!one_line(&error).contains('\n'), "{text}");
        }
    });
}

#[test]
fn an_unknown_parameter_does_no_harm() {
    contract::block_on(async {
        let url = fresh_database();
        open(&format!("{url}&connect_timeout=3&pgbouncer=true"))
            .await
            .ping()
            .await
            .expect(ANSWERS);
    });
}

#[test]
fn tls_is_checked_where_the_url_says_so() {
    contract::block_on(async {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
        let files = Certificates::make(&directory);
        let server = PostgresServer::builder()
            .tls(&files.certificate, &files.key)
            .start()
            .expect("PostgreSQL starts");
        server
            .sql(
                "postgres",
                &format!("CREATE ROLE app SUPERUSER LOGIN PASSWORD '{PASSWORD}'"),
            )
            .expect("a role");
        let url = |host: &str, parameters: &str| {
            format!(
                "postgres://app:{PASSWORD}@{host}:{}/postgres?{parameters}",
                server.port()
            )
        };
        let authority = files.authority.display();

        for parameters in [
            format!("sslmode=verify-full&sslrootcert={authority}"),
            format!("sslmode=verify-ca&sslrootcert={authority}"),
            "sslmode=require".to_owned(),
            "sslmode=prefer".to_owned(),
            String::new(),
        ] {
            let url = url("localhost", &parameters);
            let store = open(&url).await;
            let _ = store.insert(&key(1), record(b"1"), now()).await.expect(ANSWERS);
            assert!(store.load(&key(1), now()).await.expect(ANSWERS).is_some());
            let encrypted = server.sql(
                "postgres",
                "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'auth-core'",
            );
            assert_eq!(encrypted.expect("an answer").trim(), "t", "{parameters}");
        }
        // By a name that is not in the certificate, only the authority can be checked.
        open(&url(
            "127.0.0.1",
            &format!("sslmode=verify-ca&sslrootcert={authority}"),
        ))
        .await;
        for (host, parameters) in [
            (
                "127.0.0.1",
                format!("sslmode=verify-full&sslrootcert={authority}"),
            ),
            ("localhost", "sslmode=verify-full".to_owned()),
            ("localhost", "sslmode=verify-ca".to_owned()),
            (
                "localhost",
                format!("sslmode=verify-full&sslrootcert={}", files.other.display()),
            ),
            (
                "localhost",
                format!("sslmode=verify-full&sslrootcert={authority}.missing"),
            ),
        ] {
            let error = PostgresStore::open(&url(host, &parameters))
                .await
                .expect_err("it must be refused");
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        }
        let _ = std::fs::remove_dir_all(&directory);
    });
}

/// An authority made for the test, and a certificate by it for `localhost`.
struct Certificates {
    authority: PathBuf,
    other: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn make(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("a directory for the test");
        let openssl = |arguments: &str| {
            let status = std::process::Command::new("openssl")
                .args(arguments.split(' '))
                .current_dir(directory)
                .output()
                .expect("openssl is installed");
            assert!(
                status.status.success(),
                "{}",
                String::from_utf8_lossy(&status.stderr)
            );
        };
        for name in ["authority", "other"] {
            openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} \
                 -keyout {name}.key -out {name}.pem"
            ));
        }
        openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        );
        std::fs::write(directory.join("names"), "subjectAltName=DNS:localhost\n").expect("a file");
        openssl(
            "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -set_serial 1 -days 2 -extfile names \
             -out server.pem",
        );
        Self {
            authority: directory.join("authority.pem"),
            other: directory.join("other.pem"),
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
        }
    }
}

/// The server that most tests share.
fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| PostgresServer::start().expect("PostgreSQL starts"))
}

fn fresh_database() -> String {
    server().create_database().expect("a new database")
}

fn database_name(url: &str) -> &str {
    let path = url.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

fn as_role(url: &str, role: &str) -> String {
    url.replacen("postgres@", &format!("{role}@"), 1)
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url).await.expect("the database opens")
}

/// The text of the innermost cause that this crate names.
async fn refusal(url: &str) -> String {
    let error = PostgresStore::open(url).await.expect_err("it must be refused");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let opening = error.source().expect("there is a cause");
    assert_eq!(opening.to_string(), "cannot open the session store");
    opening.source().expect("there is a reason").to_string()
}

fn one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the server answers")
}

async fn run(url: &str, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connect(url).await)
        .await
        .expect("the statement is run");
}

async fn text(url: &str, sql: &str) -> Option<String> {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut connect(url).await)
        .await
        .expect("the statement is run")
        .get(0)
}

/// How many statements wait for a lock in this database.
async fn waiting(url: &str) -> usize {
    text(
        url,
        "SELECT count(*)::text FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .await
    .and_then(|count| count.parse().ok())
    .unwrap_or_default()
}

async fn acquire(store: &PostgresStore, n: u8, owner: u128, length: Duration, now: Timestamp) -> Acquired {
    store
        .acquire(&key(n), 1, LeaseOwner::from_u128(owner), length, now)
        .await
        .expect(ANSWERS)
}

async fn take(store: &PostgresStore, n: u8, owner: u128, length: Duration, now: Timestamp) -> Lease {
    match acquire(store, n, owner, length, now).await {
        Acquired::Got(record) => record.lease.expect("a lease"),
        other => panic!("a lease that nobody holds must be given, not {other:?}"),
    }
}

async fn wait_until(condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), met)
        .await
        .expect("it comes true");
}

fn runtime_with<T>(future: impl Future<Output = T>) -> (T, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    (runtime.block_on(future), runtime)
}

const ANSWERS: &str = "the store must answer";
const HOUR: Duration = Duration::from_secs(3600);

/// What an operation may take, and a little for a machine that is busy.
const BOUND: Duration = Duration::from_millis(5_800);

fn now() -> Timestamp {
    Clock::system().now()
}

fn key(n: u8) -> SessionKey {
    SessionKey::from_bytes([n; 32])
}

fn record(sealed: &[u8]) -> Record {
    Record {
        version: 1,
        subject: IndexKey::from_bytes([1; 32]),
        sid: None,
        created_at: now(),
        last_seen_at: now(),
        expires_at: now().plus(HOUR),
        lease: None,
        sealed: sealed.into(),
        opened: Opened::default(),
    }
}
