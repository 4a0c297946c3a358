//! The app's own sessions over a store.

use std::time::Duration;

use auth_core::app_sessions::AppSessionError;
use auth_core::clock::TestClock;
use auth_core::error::SetupError;
use auth_core::request::RequestHead;
use auth_core::store::Inserted;
use auth_core::{AppSessions, Auth, SecretKeys};

use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);

fn keys(list: &[char]) -> SecretKeys {
    let list: Vec<String> = list.iter().map(|digit| digit.to_string().repeat(64)).collect();
    SecretKeys::from_hex(&list.join(",")).unwrap()
}

/// A request with these cookies.
struct Cookie<'a>(&'a str);

impl RequestHead for Cookie<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        if name == "cookie" {
            each(self.0);
        }
    }
}

async fn sessions(store: &str, keys: SecretKeys, clock: &TestClock) -> AppSessions {
    let auth = Auth::builder()
        .base_url("http://127.0.0.1:3000")
        .issuer("http://127.0.0.1:9")
        .client("app", None)
        .store_url(store)
        .secret(keys)
        .clock(clock.clock())
        .build()
        .await
        .unwrap();
    auth.app_sessions().unwrap()
}

#[tokio::test]
async fn a_store_of_sessions_alone_is_named_as_the_mistake() {
    let world = World::start().await;
    let error = world.instance().await.app_sessions().unwrap_err();
    assert_eq!(error, SetupError::AppDataUnsupported);
    assert!(error.to_string().contains("AppDataStore"), "{error}");
}

#[tokio::test]
async fn what_was_deleted_or_never_there_is_not_made_by_an_update() {
    let clock = TestClock::new();
    let sessions = sessions("memory:", keys(&['a']), &clock).await;
    let id = sessions.new_id();
    assert_eq!(id.len(), 43);
    assert!(!sessions.update(&id, b"data", HOUR).await.unwrap());
    assert_eq!(sessions.insert(&id, b"data", HOUR).await.unwrap(), Inserted::Yes);
    assert_eq!(
        sessions.insert(&id, b"more", HOUR).await.unwrap(),
        Inserted::Taken
    );
    assert_eq!(sessions.load(&id).await.unwrap().unwrap(), b"data");
    assert!(sessions.delete(&id).await.unwrap());
    let brought = sessions.brought(&Cookie(""));
    let (updated, watched) = sessions.watch(brought, sessions.update(&id, b"late", HOUR)).await;
    assert!(!updated.unwrap() && watched.is_used());
    assert_eq!(watched.cookie_line("app_session=old; Path=/"), None);
    assert_eq!(
        watched.cookie_line("other=kept; Path=/").as_deref(),
        Some("other=kept; Path=/")
    );
    assert!(sessions.load(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn data_belong_to_the_sign_in_that_the_request_brings() {
    let sessions = sessions("memory:", keys(&['a']), &TestClock::new()).await;
    let sign_ins = [
        "other=cookie".to_owned(),
        format!("auth_session={}", "A".repeat(43)),
        format!("auth_session={}", "B".repeat(42) + "A"),
    ];
    for (n, own) in sign_ins.iter().enumerate() {
        let insert = sessions.insert("id", own.as_bytes(), HOUR);
        let (inserted, _) = sessions.watch(sessions.brought(&Cookie(own)), insert).await;
        assert_eq!(inserted.unwrap(), Inserted::Yes, "{own}");
        for (m, other) in sign_ins.iter().enumerate() {
            let (found, _) = sessions
                .watch(sessions.brought(&Cookie(other)), sessions.load("id"))
                .await;
            let expected = (m <= n).then(|| other.as_bytes().to_vec());
            assert_eq!(found.unwrap(), expected, "{own} {other}");
        }
    }
    // What runs outside of a request is a guest's.
    assert_eq!(sessions.load("id").await.unwrap().unwrap(), b"other=cookie");
}

#[tokio::test]
async fn a_session_ends_by_the_core_s_clock() {
    let clock = TestClock::new();
    let sessions = sessions("memory:", keys(&['a']), &clock).await;
    let _ = sessions.insert("id", b"data", HOUR).await.unwrap();
    assert!(sessions.touch("id", 2 * HOUR).await.unwrap());
    clock.advance(HOUR);
    assert!(sessions.load("id").await.unwrap().is_some());
    clock.advance(HOUR);
    assert!(sessions.load("id").await.unwrap().is_none());
    assert!(!sessions.touch("id", HOUR).await.unwrap());
}

#[tokio::test]
async fn what_no_key_opens_is_missing_and_old_keys_open() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join(format!("app-sessions-{}.db", std::process::id()));
    let store = format!("sqlite:{}", path.display());
    let clock = TestClock::new();
    let old = sessions(&store, keys(&['a']), &clock).await;
    let _ = old.insert("id", b"data", HOUR).await.unwrap();
    let rotated = sessions(&store, keys(&['b', 'a']), &clock).await;
    assert_eq!(rotated.load("id").await.unwrap().unwrap(), b"data");
    let foreign = sessions(&store, keys(&['c']), &clock).await;
    assert!(foreign.load("id").await.unwrap().is_none());
    assert!(foreign.update("id", b"other", HOUR).await.unwrap());
    assert_eq!(foreign.load("id").await.unwrap().unwrap(), b"other");
    assert!(old.load("id").await.unwrap().is_none());
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

#[tokio::test]
async fn a_mebibyte_is_kept_and_more_is_refused() {
    let sessions = sessions("memory:", keys(&['a']), &TestClock::new()).await;
    let mut data = vec![7; AppSessions::MAX_DATA];
    let _ = sessions.insert("id", &data, HOUR).await.unwrap();
    assert!(
        sessions
            .load("id")
            .await
            .unwrap()
            .is_some_and(|kept| kept == data)
    );
    data.push(7);
    for refused in [
        sessions.insert("other", &data, HOUR).await.map(|_| ()),
        sessions.update("id", &data, HOUR).await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(AppSessionError::TooLarge { .. })));
    }
}
