//! The stores of this crate obey the contract, and what SQLite adds to it.
#![cfg(feature = "contract")]
#![allow(missing_docs, reason = "these are tests")]

use auth_core::store::{MemoryStore, contract};

mod memory {
    use std::sync::Arc;

    use super::{MemoryStore, contract};

    async fn fresh() -> MemoryStore {
        MemoryStore::new()
    }

    auth_core::contract_tests!(fresh);
    auth_core::app_data_contract_tests!(fresh);

    #[test]
    fn the_callers_clock_ends_a_lease() {
        contract::block_on(async {
            contract::the_callers_clock_ends_a_lease(Arc::new(fresh().await)).await;
        });
    }

    #[test]
    fn sweep_removes_expired_app_data() {
        contract::block_on(async {
            contract::sweep_removes_expired_app_data(Arc::new(fresh().await)).await;
        });
    }

    #[test]
    fn run_checks_all_rules() {
        contract::block_on(async {
            contract::run(fresh).await;
            contract::run_app_data(fresh).await;
        });
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::cell::RefCell;
    use std::error::Error;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use auth_core::clock::{Clock, Timestamp};
    use auth_core::store::app_data::{AppDataKey, AppDataStore};
    use auth_core::store::{
        Acquired, IndexKey, Inserted, Lease, LeaseOwner, Notice, Notices, OnceKey, Opened, Record,
        ScanCursor, Scanned, SessionKey, SessionStore, SqliteStore, StoreError, Swapped,
    };
    use sqlx::{Connection, Executor, SqliteConnection};

    use super::contract;

    /// A file of its own for each call.
    async fn fresh() -> SqliteStore {
        open(&fresh_path()).await
    }

    auth_core::contract_tests!(fresh);
    auth_core::app_data_contract_tests!(fresh);

    mod in_memory {
        use super::SqliteStore;

        async fn fresh() -> SqliteStore {
            SqliteStore::open(":memory:").await.expect("a new database opens")
        }

        auth_core::contract_tests!(fresh);
        auth_core::app_data_contract_tests!(fresh);
    }

    /// Two stores on one file, called in turn: what one does the other sees at once.
    mod two_on_one_file {
        use super::*;

        #[derive(Debug)]
        struct InTurn {
            stores: [SqliteStore; 2],
            turn: AtomicUsize,
        }

        async fn fresh() -> InTurn {
            let path = fresh_path();
            InTurn {
                stores: [open(&path).await, open(&path).await],
                turn: AtomicUsize::new(0),
            }
        }

        auth_core::contract_tests!(fresh);
        auth_core::app_data_contract_tests!(fresh);

        impl InTurn {
            fn next(&self) -> &SqliteStore {
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

            async fn load(
                &self,
                key: &SessionKey,
                now: Timestamp,
            ) -> Result<Option<Arc<Record>>, StoreError> {
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

            async fn release(
                &self,
                key: &SessionKey,
                lease: &Lease,
                now: Timestamp,
            ) -> Result<(), StoreError> {
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

            async fn ping(&self) -> Result<(), StoreError> {
                self.next().ping().await
            }

            fn notices(&self) -> Option<Notices> {
                self.next().notices()
            }

            fn app_data(&self) -> Option<&dyn AppDataStore> {
                Some(self)
            }
        }

        #[async_trait]
        impl AppDataStore for InTurn {
            async fn insert_app_data(
                &self,
                key: &AppDataKey,
                data: Arc<[u8]>,
                expires_at: Timestamp,
                now: Timestamp,
            ) -> Result<Inserted, StoreError> {
                self.next().insert_app_data(key, data, expires_at, now).await
            }

            async fn load_app_data(
                &self,
                key: &AppDataKey,
                now: Timestamp,
            ) -> Result<Option<Arc<[u8]>>, StoreError> {
                self.next().load_app_data(key, now).await
            }

            async fn update_app_data(
                &self,
                key: &AppDataKey,
                data: Arc<[u8]>,
                expires_at: Timestamp,
                now: Timestamp,
            ) -> Result<bool, StoreError> {
                self.next().update_app_data(key, data, expires_at, now).await
            }

            async fn touch_app_data(
                &self,
                key: &AppDataKey,
                expires_at: Timestamp,
                now: Timestamp,
            ) -> Result<bool, StoreError> {
                self.next().touch_app_data(key, expires_at, now).await
            }

            async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError> {
                self.next().delete_app_data(key, now).await
            }
        }
    }

    #[test]
    fn the_callers_clock_ends_a_lease() {
        contract::block_on(async {
            contract::the_callers_clock_ends_a_lease(Arc::new(fresh().await)).await;
        });
    }

    #[test]
    fn sweep_removes_expired_app_data() {
        contract::block_on(async {
            contract::sweep_removes_expired_app_data(Arc::new(fresh().await)).await;
        });
    }

    #[test]
    fn sessions_outlive_the_store() {
        contract::block_on(async {
            let path = fresh_path();
            contract::sessions_outlive_the_store(|| open(&path)).await;
        });
    }

    /// Names the file for a child process of [`processes_share_a_file`].
    const CHILD: &str = "STORE_CONTRACT_CHILD";
    const CHILDREN: u64 = 4;
    const CHANGES: u64 = 50;

    /// Each process changes the record under a lease: nobody else may change it meanwhile, and no change is lost.
    #[test]
    fn processes_share_a_file() {
        if let Some(path) = std::env::var_os(CHILD) {
            let changes = change_under_lease(PathBuf::from(path));
            contract::block_on(async {
                tokio::time::timeout(Duration::from_secs(60), changes)
                    .await
                    .expect("each process gets its turn");
            });
            return;
        }
        let path = fresh_path();
        let mut children: Vec<_> = (0..CHILDREN)
            .map(|_| {
                std::process::Command::new(std::env::current_exe().expect("this test has a file"))
                    .args(["--exact", "sqlite::processes_share_a_file", "--nocapture"])
                    .env(CHILD, &path)
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
            let stored = open(&path).await.load(&key(1), now()).await;
            let stored = stored.expect("the store answers").expect("the session is there");
            assert_eq!(stored.version, 1 + CHILDREN * CHANGES);
            assert_eq!(stored.sealed.len() as u64, CHILDREN * CHANGES);
        });
    }

    async fn change_under_lease(path: PathBuf) {
        // All children open the new file at once, and one of them makes the session.
        let store = open(&path).await;
        let owner = LeaseOwner::from_u128(std::process::id().into());
        let _ = store
            .insert(&key(1), record(&[]), now())
            .await
            .expect("the store answers");
        let mut seen = 1;
        for _ in 0..CHANGES {
            loop {
                let acquired = store.acquire(&key(1), seen, owner, HOUR, now()).await;
                match acquired.expect("the store answers") {
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
    fn a_runtime_that_is_blocked_holds_nobody_up() {
        let path = fresh_path();
        let (store, _) = runtime_with(open(&path));
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
                    assert_eq!(insert.await.expect("the store answers"), Inserted::Yes);
                });
            });
            is_blocked.recv().expect("the other thread is there");
            contract::block_on(async {
                for n in 2..50 {
                    let inserted = store.insert(&key(n), record(b"2"), now()).await;
                    assert_eq!(inserted.expect("the store answers"), Inserted::Yes);
                    let loaded = store.load(&key(n), now()).await;
                    assert!(loaded.expect("the store answers").is_some());
                }
            });
            unblock.send(()).expect("the other thread is there");
        });
    }

    #[test]
    fn a_store_outlives_the_runtime_that_opened_it() {
        let path = fresh_path();
        let (store, runtime) = runtime_with(open(&path));
        drop(runtime);
        contract::block_on(async {
            store.ping().await.expect("the store answers");
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
            let there = async {
                while store
                    .load(&key(1), now())
                    .await
                    .expect("the store answers")
                    .is_none()
                {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), there)
                .await
                .expect("the session is inserted");
        });
    }

    #[test]
    fn a_locked_file_is_a_time_out_and_nobody_is_signed_out() {
        contract::block_on(async {
            let path = fresh_path();
            let store = open(&path).await;
            let _ = store
                .insert(&key(1), record(b"1"), now())
                .await
                .expect("the store answers");
            let mut other = connect(&path).await;
            other.execute("BEGIN EXCLUSIVE").await.expect("the lock is free");

            let deleted = store.delete(&key(1), None, now()).await;
            assert!(matches!(deleted, Err(StoreError::Timeout)), "{deleted:?}");
            let loaded = store.load(&key(1), now()).await.expect("readers go on");
            assert!(loaded.is_some());

            other.execute("ROLLBACK").await.expect("the lock is held");
            assert!(
                store
                    .delete(&key(1), None, now())
                    .await
                    .expect("the lock is free")
            );
        });
    }

    /// What another process ends is told of within two seconds, and the file is looked at while somebody listens only.
    #[test]
    fn the_end_of_a_session_in_another_process_is_noticed() {
        contract::block_on(async {
            let path = fresh_path();
            let (here, there) = (open(&path).await, open(&path).await);
            let _ = here
                .insert(&key(1), record(b"1"), now())
                .await
                .expect("the store answers");
            let files = connections(&path);
            let mut notices = here.notices().expect("the store tells");
            assert_eq!(notices.next().await, Some(Notice::Listening));
            assert_eq!(connections(&path), files + 1, "one connection more");
            let quiet = tokio::time::timeout(Duration::from_millis(1500), notices.next()).await;
            assert!(quiet.is_err(), "nothing has changed: {quiet:?}");
            assert!(
                there
                    .delete(&key(1), None, now())
                    .await
                    .expect("the store answers")
            );
            let told = tokio::time::timeout(Duration::from_secs(2), notices.next()).await;
            assert_eq!(told, Ok(Some(Notice::Listening)));
            drop(notices);
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while connections(&path) > files {
                assert!(std::time::Instant::now() < deadline, "the connection stays");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }

    /// How many connections this process has, by their write-ahead logs: SQLite keeps the database file itself open
    /// for as long as it has a lock on it.
    fn connections(path: &Path) -> usize {
        let path = PathBuf::from(format!("{}-wal", path.display()));
        let open = std::fs::read_dir("/proc/self/fd").expect("Linux");
        open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
            .filter(|target| *target == path)
            .count()
    }

    #[test]
    fn a_row_that_cannot_be_read_is_corrupt_and_not_missing() {
        contract::block_on(async {
            let path = fresh_path();
            let store = open(&path).await;
            let _ = store
                .insert(&key(1), record(b"1"), now())
                .await
                .expect("the store answers");
            let mut other = connect(&path).await;
            other
                .execute("UPDATE session SET subject = x'00'")
                .await
                .expect("the table is there");
            let loaded = store.load(&key(1), now()).await;
            assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
        });
    }

    #[test]
    fn open_refuses_what_is_no_database() {
        contract::block_on(async {
            let path = fresh_path();
            std::fs::write(&path, b"not a database, but a text ".repeat(200)).expect("a file");
            let before = std::fs::read(&path).expect("the file");
            assert_eq!(refusal(&path).await, "the file is not an SQLite database");
            assert_eq!(std::fs::read(&path).expect("the file"), before);
        });
    }

    #[test]
    fn open_refuses_the_database_of_something_else_and_leaves_it_alone() {
        contract::block_on(async {
            let path = fresh_path();
            std::fs::write(&path, []).expect("a file");
            connect(&path)
                .await
                .execute("CREATE TABLE invoice (id INTEGER)")
                .await
                .expect("the database is empty");
            let before = std::fs::read(&path).expect("the file");
            assert_eq!(
                refusal(&path).await,
                "the database belongs to another application"
            );
            assert_eq!(std::fs::read(&path).expect("the file"), before);
        });
    }

    #[test]
    fn open_refuses_a_newer_layout() {
        contract::block_on(async {
            let path = fresh_path();
            drop(open(&path).await);
            connect(&path)
                .await
                .execute("PRAGMA user_version = 99")
                .await
                .expect("the database is ours");
            assert_eq!(
                refusal(&path).await,
                "the database has the layout 99, this version knows 2"
            );
        });
    }

    /// The layout that version 1 of the file had, to the letter.
    const VERSION_1: &str = "
        CREATE TABLE session (
            key          BLOB PRIMARY KEY NOT NULL,
            version      INTEGER NOT NULL,
            subject      BLOB NOT NULL,
            sid          BLOB,
            created_at   INTEGER NOT NULL,
            last_seen_at INTEGER NOT NULL,
            expires_at   INTEGER NOT NULL,
            fence        INTEGER NOT NULL DEFAULT 0,
            lease_owner  BLOB,
            lease_until  INTEGER,
            sealed       BLOB NOT NULL,
            CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
        ) STRICT;
        CREATE INDEX session_subject ON session (subject);
        CREATE INDEX session_sid ON session (sid) WHERE sid IS NOT NULL;
        CREATE INDEX session_expires_at ON session (expires_at);
        CREATE TABLE once (key BLOB PRIMARY KEY NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE INDEX once_until ON once (until);
        PRAGMA application_id = 0x61757468;
        PRAGMA user_version = 1;
        PRAGMA journal_mode = WAL;
        INSERT INTO session (key, version, subject, created_at, last_seen_at, expires_at, sealed)
            VALUES (unhex(replace(hex(zeroblob(32)), '00', '01')), 7,
                    unhex(replace(hex(zeroblob(32)), '00', '02')), 1, 2, 9000000000000, x'73');
        INSERT INTO once VALUES (unhex(replace(hex(zeroblob(32)), '00', '03')), 9000000000000);
    ";

    #[test]
    fn a_file_of_version_1_opens_and_keeps_its_sessions() {
        contract::block_on(async {
            let path = fresh_path();
            std::fs::write(&path, []).expect("a file");
            let mut old = connect(&path).await;
            old.execute(VERSION_1).await.expect("the layout of version 1");
            old.close().await.expect("the file closes");
            for _ in 0..2 {
                let store = open(&path).await;
                let record = store.load(&key(1), now()).await.expect("the store answers");
                let record = record.expect("the session is kept");
                assert_eq!((record.version, &record.sealed[..]), (7, &b"s"[..]));
                let once = OnceKey::from_bytes([3; 32]);
                let claimed = store.claim_once(&once, now().plus(HOUR), now()).await;
                assert!(!claimed.expect("the store answers"), "claims are kept");
                let data = AppDataKey::from_bytes([4; 32]);
                let _ = store
                    .insert_app_data(&data, b"data"[..].into(), now().plus(HOUR), now())
                    .await
                    .expect("the table is there");
                let loaded = store
                    .load_app_data(&data, now())
                    .await
                    .expect("the store answers");
                assert_eq!(loaded.as_deref(), Some(&b"data"[..]));
            }
        });
    }

    #[test]
    fn open_refuses_a_directory_that_is_not_there() {
        contract::block_on(async {
            let path = fresh_path().join("missing").join("sessions.db");
            assert_eq!(refusal(&path).await, "cannot make the file");
        });
    }

    #[test]
    fn open_takes_an_empty_file() {
        contract::block_on(async {
            let path = fresh_path();
            std::fs::write(&path, []).expect("a file");
            open(&path).await.ping().await.expect("the store answers");
        });
    }

    #[cfg(unix)]
    #[test]
    fn the_files_belong_to_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        contract::block_on(async {
            let path = fresh_path();
            let store = open(&path).await;
            let _ = store
                .insert(&key(1), record(b"1"), now())
                .await
                .expect("the store answers");
            for suffix in ["", "-wal", "-shm"] {
                let file = format!("{}{suffix}", path.display());
                let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{file}");
            }
        });
    }

    /// The text of the innermost cause that this crate names.
    async fn refusal(path: &Path) -> String {
        let error = SqliteStore::open(text(path))
            .await
            .expect_err("the file must be refused");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        let opening = error.source().expect("there is a cause");
        assert!(opening.to_string().contains(text(path)), "{opening}");
        opening.source().expect("there is a reason").to_string()
    }

    async fn open(path: &Path) -> SqliteStore {
        SqliteStore::open(text(path)).await.expect("the file opens")
    }

    async fn connect(path: &Path) -> SqliteConnection {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        SqliteConnection::connect_with(&options)
            .await
            .expect("the file opens")
    }

    fn runtime_with<T>(future: impl Future<Output = T>) -> (T, tokio::runtime::Runtime) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        (runtime.block_on(future), runtime)
    }

    fn text(path: &Path) -> &str {
        path.to_str().expect("the path is text")
    }

    const HOUR: Duration = Duration::from_secs(3600);

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

    /// A path where no file is. Its directory lasts as long as the test, each of which has a thread of its own.
    fn fresh_path() -> PathBuf {
        thread_local! {
            static DIRECTORIES: RefCell<Vec<Directory>> = const { RefCell::new(Vec::new()) };
        }
        static COUNT: AtomicUsize = AtomicUsize::new(0);

        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        let file = path.join("sessions.db");
        DIRECTORIES.with_borrow_mut(|directories| directories.push(Directory(path)));
        file
    }

    struct Directory(PathBuf);

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
