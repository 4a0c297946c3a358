//! Rules on the data of the app's own sessions.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::{ANSWERS, HOUR, at_once, insert, key, must_load, now, once, record};
use crate::clock::Timestamp;
use crate::store::app_data::{AppDataKey, AppDataStore};
use crate::store::{Inserted, SessionStore};

const fn app(n: u8) -> AppDataKey {
    AppDataKey::from_bytes([n; 32])
}

fn app_data(store: &Arc<dyn SessionStore>) -> &dyn AppDataStore {
    store
        .app_data()
        .expect("SessionStore::app_data must give the store that is under test")
}

async fn add(store: &Arc<dyn SessionStore>, key: AppDataKey, data: &[u8], end: Timestamp, now: Timestamp) {
    let inserted = app_data(store).insert_app_data(&key, data.into(), end, now).await;
    assert_eq!(
        inserted.expect(ANSWERS),
        Inserted::Yes,
        "insert_app_data must take a key that is free"
    );
}

async fn update(
    store: &Arc<dyn SessionStore>,
    key: AppDataKey,
    data: &[u8],
    end: Timestamp,
    now: Timestamp,
) -> bool {
    let updated = app_data(store).update_app_data(&key, data.into(), end, now).await;
    updated.expect(ANSWERS)
}

async fn touch(store: &Arc<dyn SessionStore>, key: AppDataKey, end: Timestamp, now: Timestamp) -> bool {
    app_data(store)
        .touch_app_data(&key, end, now)
        .await
        .expect(ANSWERS)
}

async fn delete(store: &Arc<dyn SessionStore>, key: AppDataKey, now: Timestamp) -> bool {
    app_data(store).delete_app_data(&key, now).await.expect(ANSWERS)
}

async fn assert_data(
    store: &Arc<dyn SessionStore>,
    key: AppDataKey,
    now: Timestamp,
    expected: Option<&[u8]>,
) {
    let found = app_data(store).load_app_data(&key, now).await.expect(ANSWERS);
    assert!(
        found.as_deref() == expected,
        "load_app_data must give the data that is alive, and nothing where there is none"
    );
}

/// [`AppDataStore::insert_app_data`] keeps the data, [`AppDataStore::load_app_data`] gives them back and finds nothing
/// where nothing is.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn app_data_is_given_back(store: Arc<dyn SessionStore>) {
    let now = now();
    add(&store, app(1), b"one", now.plus(HOUR), now).await;
    add(&store, app(2), b"two", now.plus(HOUR), now).await;
    assert_data(&store, app(1), now, Some(b"one")).await;
    assert_data(&store, app(2), now, Some(b"two")).await;
    assert_data(&store, app(3), now, None).await;
}

/// Any bytes come back as they were: none, all values, a mebibyte.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn app_data_comes_back_unchanged(store: Arc<dyn SessionStore>) {
    let now = now();
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = every_byte.iter().copied().cycle().take(1 << 20).collect();
    for (n, data) in (1..).zip([&b""[..], b"\0", b"\xff\xfe'\"\\", &every_byte, &large]) {
        add(&store, app(n), data, now.plus(HOUR), now).await;
        assert_data(&store, app(n), now, Some(data)).await;
        assert!(update(&store, app(n), b"between", now.plus(HOUR), now).await);
        assert!(update(&store, app(n), data, now.plus(HOUR), now).await);
        assert_data(&store, app(n), now, Some(data)).await;
    }
}

/// [`AppDataStore::insert_app_data`] refuses a key that is taken and leaves what is there alone.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn insert_app_data_refuses_a_taken_key(store: Arc<dyn SessionStore>) {
    let now = now();
    add(&store, app(1), b"first", now.plus(HOUR), now).await;
    let second = app_data(&store)
        .insert_app_data(&app(1), Arc::from(&b"second"[..]), now.plus(2 * HOUR), now)
        .await;
    assert_eq!(
        second.expect(ANSWERS),
        Inserted::Taken,
        "insert_app_data must refuse a key that is taken"
    );
    assert_data(&store, app(1), now, Some(b"first")).await;
    assert_data(&store, app(1), now.plus(HOUR), None).await;
}

/// Data whose end has come count as missing for every operation, swept or not, and their key is free.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn app_data_that_expired_is_missing(store: Arc<dyn SessionStore>) {
    let now = now();
    let end = now.plus(HOUR);
    add(&store, app(1), b"old", end, now).await;
    assert_data(&store, app(1), end.minus(Duration::from_millis(1)), Some(b"old")).await;
    assert_data(&store, app(1), end, None).await;
    let later = end.plus(HOUR);
    assert!(
        !update(&store, app(1), b"new", later, end).await,
        "update_app_data must not find data that have expired"
    );
    assert!(
        !touch(&store, app(1), later, end).await,
        "touch_app_data must not find data that have expired"
    );
    assert!(
        !delete(&store, app(1), end).await,
        "delete_app_data must not find data that have expired"
    );
    add(&store, app(1), b"another", later, end).await;
    assert_data(&store, app(1), end, Some(b"another")).await;
}

/// [`AppDataStore::update_app_data`] replaces data and end, and creates nothing.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn update_app_data_replaces_and_never_creates(store: Arc<dyn SessionStore>) {
    let now = now();
    assert!(
        !update(&store, app(1), b"nothing", now.plus(HOUR), now).await,
        "update_app_data must not create anything"
    );
    assert_data(&store, app(1), now, None).await;
    add(&store, app(1), b"first", now.plus(HOUR), now).await;
    assert!(
        update(&store, app(1), b"second", now.plus(2 * HOUR), now).await,
        "update_app_data must find data that are alive"
    );
    assert_data(&store, app(1), now.plus(HOUR), Some(b"second")).await;
    assert_data(&store, app(1), now.plus(2 * HOUR), None).await;
    assert!(update(&store, app(1), b"third", now.plus(HOUR), now).await);
    assert_data(&store, app(1), now.plus(HOUR), None).await;
}

/// [`AppDataStore::touch_app_data`] moves the end forwards and backwards, and changes nothing else.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn touch_app_data_moves_the_end_both_ways(store: Arc<dyn SessionStore>) {
    let now = now();
    assert!(
        !touch(&store, app(1), now.plus(HOUR), now).await,
        "touch_app_data must not create anything"
    );
    assert_data(&store, app(1), now, None).await;
    add(&store, app(1), b"data", now.plus(HOUR), now).await;
    for length in [2 * HOUR, HOUR / 2] {
        let end = now.plus(length);
        assert!(
            touch(&store, app(1), end, now).await,
            "touch_app_data must find data that are alive"
        );
        assert_data(&store, app(1), end.minus(Duration::from_millis(1)), Some(b"data")).await;
        assert_data(&store, app(1), end, None).await;
    }
}

/// [`AppDataStore::delete_app_data`] says whether there was anything, and what it removed stays away.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn deleted_app_data_stays_away(store: Arc<dyn SessionStore>) {
    let now = now();
    assert!(!delete(&store, app(1), now).await, "there is nothing to delete");
    add(&store, app(1), b"data", now.plus(HOUR), now).await;
    assert!(
        delete(&store, app(1), now).await,
        "delete_app_data must find data that are alive"
    );
    assert!(!delete(&store, app(1), now).await, "it is deleted already");
    assert!(
        !update(&store, app(1), b"again", now.plus(HOUR), now).await,
        "update_app_data must not bring back what was deleted"
    );
    assert!(
        !touch(&store, app(1), now.plus(HOUR), now).await,
        "touch_app_data must not bring back what was deleted"
    );
    assert_data(&store, app(1), now, None).await;
}

/// Requests that still write while another deletes do not bring the data back.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn deleted_app_data_stays_away_under_concurrent_updates(store: Arc<dyn SessionStore>) {
    let now = now();
    for n in 1..=3 {
        add(&store, app(n), b"data", now.plus(HOUR), now).await;
        let found = at_once(&store, move |store, caller| async move {
            match caller {
                20 => delete(&store, app(n), now).await,
                _ if caller % 4 == 0 => touch(&store, app(n), now.plus(2 * HOUR), now).await,
                _ => update(&store, app(n), &[caller], now.plus(HOUR), now).await,
            }
        })
        .await;
        assert!(found[20], "delete_app_data must find data that are alive");
        assert_data(&store, app(n), now, None).await;
    }
}

/// Of concurrent [`insert_app_data`](AppDataStore::insert_app_data) calls for one key exactly one succeeds.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn of_concurrent_inserts_of_app_data_one_wins(store: Arc<dyn SessionStore>) {
    let now = now();
    let inserted = at_once(&store, move |store, caller| async move {
        let data = Arc::from(&[caller][..]);
        let inserted = app_data(&store)
            .insert_app_data(&app(1), data, now.plus(HOUR), now)
            .await;
        (caller, inserted.expect(ANSWERS) == Inserted::Yes)
    })
    .await;
    let winners: Vec<u8> = inserted.iter().filter(|(_, won)| *won).map(|(n, _)| *n).collect();
    assert_eq!(winners.len(), 1, "exactly one of concurrent inserts must succeed");
    assert_data(&store, app(1), now, Some(&winners)).await;
}

/// The same bytes as the key of a session or of a claim are something else.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn app_data_and_sessions_are_apart(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    assert_data(&store, app(1), now, None).await;
    add(&store, app(1), b"data", now.plus(HOUR), now).await;
    assert!(
        store
            .claim_once(&once(1), now.plus(HOUR), now)
            .await
            .expect(ANSWERS)
    );
    assert!(store.delete(&key(1), None, now).await.expect(ANSWERS));
    assert_data(&store, app(1), now, Some(b"data")).await;
    insert(&store, key(1), &record(now), now).await;
    assert!(delete(&store, app(1), now).await);
    must_load(&store, key(1), now).await;
}

/// [`SessionStore::sweep`] removes data that have expired, keeps those that have not, and counts sessions only.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn sweep_removes_expired_app_data(store: Arc<dyn SessionStore>) {
    let now = now();
    let end = now.plus(HOUR);
    add(&store, app(1), b"short", end, now).await;
    add(&store, app(2), b"long", end.plus(HOUR), now).await;
    insert(&store, key(1), &record(now), now).await;
    assert_eq!(
        store.sweep(end).await.expect(ANSWERS),
        1,
        "sweep must count sessions only"
    );
    // At an instant when they were alive: what is missing now was removed.
    assert_data(&store, app(1), now, None).await;
    assert_data(&store, app(2), now, Some(b"long")).await;
}
