//! Rules on walks through all sessions: scan.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;

use super::fixture::{ANSWERS, HOUR, assert_same, at_once_of, delete, index, insert, key, now, record};
use crate::clock::Timestamp;
use crate::store::{Record, ScanCursor, Scanned, SessionKey, SessionStore};

/// The most that a page may hold.
const PAGE: usize = 1_000;

fn numbered(n: u16) -> SessionKey {
    // Spread as hashes are.
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.wrapping_mul(40_503).to_be_bytes());
    SessionKey::from_bytes(bytes)
}

async fn insert_all(store: &Arc<dyn SessionStore>, numbers: impl Iterator<Item = u16>, now: Timestamp) {
    // In chunks, so that a store with a time limit is not asked for everything at once.
    for chunk in numbers.collect::<Vec<u16>>().chunks(64) {
        join_all(chunk.iter().map(|n| async move {
            let record = Record {
                subject: index((n % 7) as u8),
                ..record(now)
            };
            insert(store, numbered(*n), &record, now).await;
        }))
        .await;
    }
}

async fn page(store: &Arc<dyn SessionStore>, from: Option<&ScanCursor>, now: Timestamp) -> Scanned {
    let page = store.scan(from, now).await.expect(ANSWERS);
    assert!(
        page.sessions.len() <= PAGE,
        "a page must have at most 1,000 sessions"
    );
    page
}

/// A whole walk: what it gives, and in how many pages.
async fn walk(store: &Arc<dyn SessionStore>, now: Timestamp) -> (HashSet<SessionKey>, usize) {
    let (mut seen, mut pages, mut from) = (HashSet::new(), 0, None);
    loop {
        let page = page(store, from.as_ref(), now).await;
        seen.extend(page.sessions.into_iter().map(|(key, _)| key));
        pages += 1;
        assert!(pages < 10_000, "a walk must come to an end");
        from = page.next;
        if from.is_none() {
            return (seen, pages);
        }
    }
}

/// [`scan`](SessionStore::scan) gives every session, in pages of at most 1,000, and nothing where nothing is.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_walk_gives_every_session_in_pages(store: Arc<dyn SessionStore>) {
    let now = now();
    assert_eq!(
        walk(&store, now).await.0.len(),
        0,
        "an empty store must give nothing"
    );
    insert(&store, key(1), &record(now), now).await;
    let one = walk(&store, now).await.0;
    assert_eq!(one, HashSet::from([key(1)]), "a walk must give the only session");
    insert_all(&store, 0..2_500, now).await;
    let (seen, pages) = walk(&store, now).await;
    assert_eq!(seen.len(), 2_501, "a walk must give every session");
    assert!(pages > 2, "a page must have at most 1,000 sessions");

    let mut from = None;
    loop {
        let page = page(&store, from.as_ref(), now).await;
        if let Some((_, found)) = page.sessions.iter().find(|(found, _)| *found == key(1)) {
            return assert_same(found, &record(now));
        }
        from = page.next;
        assert!(from.is_some(), "a walk must give every session");
    }
}

/// A walk gives no session that was deleted or has expired, swept or not.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_walk_leaves_out_what_is_gone(store: Arc<dyn SessionStore>) {
    let now = now();
    let long = Record {
        expires_at: now.plus(3 * HOUR),
        ..record(now)
    };
    insert(&store, key(1), &record(now), now).await;
    insert(&store, key(2), &long, now).await;
    insert(&store, key(3), &long, now).await;
    // Prolonged, be it swept meanwhile or not.
    insert(&store, key(4), &record(now), now).await;
    let touched = store.touch(&key(4), now, now.plus(3 * HOUR), now).await;
    touched.expect(ANSWERS);
    delete(&store, key(3), now).await;
    let later = now.plus(HOUR);
    for swept in [false, true, true] {
        let expected = HashSet::from([key(2), key(4)]);
        let (seen, _) = walk(&store, later).await;
        assert_eq!(seen, expected, "a walk must give the sessions that are alive");
        if !swept {
            store.sweep(later).await.expect(ANSWERS);
        }
    }
}

/// A walk gives each session at least once that is there from its beginning to its end, whatever others do.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_walk_sees_what_stays_while_others_come_and_go(store: Arc<dyn SessionStore>) {
    const STAY: u16 = 1_200;
    let now = now();
    insert_all(&store, 0..STAY, now).await;
    at_once_of(4, &store, move |store, n| async move {
        if n > 0 {
            let first = STAY + u16::from(n) * 500;
            insert_all(&store, first..first + 300, now).await;
            for n in first..first + 300 {
                delete(&store, numbered(n), now).await;
            }
            return;
        }
        for _ in 0..3 {
            let (seen, _) = walk(&store, now).await;
            let missed = (0..STAY).filter(|n| !seen.contains(&numbered(*n))).count();
            assert_eq!(missed, 0, "a walk must give the sessions that stay");
        }
    })
    .await;
}

/// A walk goes on where it was, though all that it has given is deleted, and does not give it again.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_walk_goes_on_where_it_was(store: Arc<dyn SessionStore>) {
    let now = now();
    insert_all(&store, 0..1_500, now).await;
    let (mut ended, mut from) = (0, None);
    loop {
        let page = page(&store, from.as_ref(), now).await;
        for (key, _) in &page.sessions {
            // One that is given twice is gone by then.
            ended += u16::from(store.delete(key, None, now).await.expect(ANSWERS));
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(ended, 1_500, "a walk must reach every session");
    assert_eq!(
        walk(&store, now).await.0.len(),
        0,
        "a deleted session must stay away"
    );
    let foreign = ScanCursor::from_bytes(*b"another store's");
    assert!(
        store.scan(Some(&foreign), now).await.is_err(),
        "a cursor that is not the store's must be refused"
    );
}
