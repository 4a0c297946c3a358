//! Rules on searches: find by subject, find by sid.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;

use super::fixture::{
    ANSWERS, HOUR, SID, SUBJECT, assert_found, assert_found_by_sid, assert_same, at_once_of, delete, index,
    insert, key, load, must_load, now, record, swap,
};
use crate::store::{Record, SessionKey, SessionStore};

/// [`find_by_subject`](SessionStore::find_by_subject) and [`find_by_sid`](SessionStore::find_by_sid) give the
/// sessions whose index key is the one asked for, and no others.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn find_gives_the_sessions_of_an_index(store: Arc<dyn SessionStore>) {
    let now = now();
    for (n, subject, sid) in [
        (1, 10, Some(20)),
        (2, 10, Some(21)),
        (3, 10, None),
        (4, 11, Some(20)),
        // The same bytes as a subject elsewhere.
        (5, 12, Some(10)),
    ] {
        let record = Record {
            subject: index(subject),
            sid: sid.map(index),
            ..record(now)
        };
        insert(&store, key(n), &record, now).await;
    }
    assert_found(&store, index(10), now, &[key(1), key(2), key(3)]).await;
    assert_found(&store, index(11), now, &[key(4)]).await;
    assert_found(&store, index(20), now, &[]).await;
    assert_found_by_sid(&store, index(20), now, &[key(1), key(4)]).await;
    assert_found_by_sid(&store, index(10), now, &[key(5)]).await;
    assert_found_by_sid(&store, index(99), now, &[]).await;

    let found = store.find_by_sid(&index(21), now).await.expect(ANSWERS);
    let expected = Record {
        subject: index(10),
        sid: Some(index(21)),
        ..record(now)
    };
    assert_same(&found[0].1, &expected);
}

/// A search goes by the index keys as they are after a [`compare_and_swap`](SessionStore::compare_and_swap).
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn find_follows_a_swap(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    for (version, subject, sid) in [
        (1, index(30), Some(index(40))),
        (2, index(30), None),
        (3, SUBJECT, Some(SID)),
    ] {
        let before = must_load(&store, key(1), now).await;
        let new = Record {
            subject,
            sid,
            ..record(now)
        };
        swap(&store, key(1), version, &new, now).await;
        if before.subject != subject {
            assert_found(&store, before.subject, now, &[]).await;
        }
        if let Some(sid) = before.sid {
            assert_found_by_sid(&store, sid, now, &[]).await;
        }
        assert_found(&store, subject, now, &[key(1)]).await;
        if let Some(sid) = sid {
            assert_found_by_sid(&store, sid, now, &[key(1)]).await;
        }
    }
}

/// A search gives no session that was deleted or has expired, and does not change its mind after a sweep.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn find_leaves_out_what_is_gone(store: Arc<dyn SessionStore>) {
    let now = now();
    let long = Record {
        expires_at: now.plus(3 * HOUR),
        ..record(now)
    };
    insert(&store, key(1), &record(now), now).await;
    insert(&store, key(2), &long, now).await;
    insert(&store, key(3), &long, now).await;
    delete(&store, key(3), now).await;
    assert_found(&store, SUBJECT, now, &[key(1), key(2)]).await;
    assert_found_by_sid(&store, SID, now, &[key(1), key(2)]).await;

    let later = now.plus(HOUR);
    for swept in [false, true] {
        assert_found(&store, SUBJECT, later, &[key(2)]).await;
        assert_found_by_sid(&store, SID, later, &[key(2)]).await;
        if !swept {
            store.sweep(later).await.expect(ANSWERS);
        }
    }
}

/// A search gives at most 1,000 sessions, all of them alive and different.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn find_gives_at_most_1000(store: Arc<dyn SessionStore>) {
    let now = now();
    let numbered = |n: u16| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        SessionKey::from_bytes(bytes)
    };
    // In chunks, so that a store with a time limit is not asked for everything at once.
    for chunk in (0..1_020).collect::<Vec<u16>>().chunks(64) {
        let store = &store;
        join_all(chunk.iter().map(|n| async move {
            // Those that expire early must not count towards the 1,000.
            let expires_at = now.plus(if *n < 10 { HOUR / 2 } else { HOUR });
            let record = Record {
                expires_at,
                ..record(now)
            };
            insert(store, numbered(*n), &record, now).await;
        }))
        .await;
    }
    let later = now.plus(HOUR / 2);
    let by_subject = store.find_by_subject(&SUBJECT, later).await;
    let by_sid = store.find_by_sid(&SID, later).await;
    for found in [by_subject, by_sid] {
        let keys: HashSet<SessionKey> = found
            .expect(ANSWERS)
            .into_iter()
            .inspect(|(_, record)| {
                assert!(
                    record.expires_at > later,
                    "a search must leave expired sessions out"
                );
            })
            .map(|(key, _)| key)
            .collect();
        assert_eq!(keys.len(), 1_000, "a search must give the first 1,000 sessions");
    }
}

/// A search that runs while a session moves to another key (inserted there, then deleted here) finds it at least
/// once: whoever ends all sessions of a user overlooks none.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn find_sees_a_session_that_changes_its_key(store: Arc<dyn SessionStore>) {
    const MOVES: u8 = 100;
    let now = now();
    insert(&store, key(0), &record(now), now).await;
    at_once_of(4, &store, move |store, n| async move {
        if n == 0 {
            for n in 0..MOVES {
                insert(&store, key(n + 1), &record(now), now).await;
                delete(&store, key(n), now).await;
            }
            return;
        }
        while load(&store, key(MOVES), now).await.is_none() {
            let by_subject = store.find_by_subject(&SUBJECT, now).await.expect(ANSWERS);
            let by_sid = store.find_by_sid(&SID, now).await.expect(ANSWERS);
            assert!(
                !by_subject.is_empty() && !by_sid.is_empty(),
                "a search must not overlook a session that changes its key"
            );
        }
    })
    .await;
}
