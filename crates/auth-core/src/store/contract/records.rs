//! Rules on one record: insert, load, compare-and-swap, touch, delete.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::fixture::{
    ANSWERS, CALLERS, HOUR, SID, SUBJECT, assert_found, assert_found_by_sid, assert_gone, assert_same,
    at_once, claim, delete, index, insert, key, must_load, now, once, others, record, swap, take,
};
use crate::clock::Timestamp;
use crate::store::{Acquired, Inserted, LeaseOwner, Record, SessionStore, Swapped};

/// [`SessionStore::insert`] keeps each field of the record, and its version.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn insert_then_load_gives_the_record_back(store: Arc<dyn SessionStore>) {
    let now = now();
    let with_sid = Record {
        version: 41,
        ..record(now)
    };
    let without_sid = Record {
        sid: None,
        ..record(now)
    };
    insert(&store, key(1), &with_sid, now).await;
    insert(&store, key(2), &without_sid, now).await;
    assert_same(&must_load(&store, key(1), now).await, &with_sid);
    assert_same(&must_load(&store, key(2), now).await, &without_sid);
}

/// [`SessionStore::insert`] refuses a key that is taken and leaves what is there alone.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn insert_refuses_a_taken_key(store: Arc<dyn SessionStore>) {
    let now = now();
    let first = record(now);
    insert(&store, key(1), &first, now).await;
    let second = Record {
        version: 7,
        subject: index(9),
        sealed: Arc::from(&b"another"[..]),
        ..record(now)
    };
    let inserted = store.insert(&key(1), second, now).await.expect(ANSWERS);
    assert_eq!(
        inserted,
        Inserted::Taken,
        "insert must refuse a key that is taken"
    );
    assert_same(&must_load(&store, key(1), now).await, &first);
    assert_found(&store, index(9), now, &[]).await;
}

/// [`SessionStore::insert`] counts a session that has expired as missing, whether it was swept or not.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn insert_may_use_the_key_of_an_expired_session(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    take(&store, key(1), 1, LeaseOwner::from_u128(1), 24 * HOUR, now).await;

    let later = now.plus(HOUR);
    let second = Record {
        version: 5,
        subject: index(9),
        sid: None,
        ..record(later)
    };
    insert(&store, key(1), &second, later).await;
    assert_same(&must_load(&store, key(1), later).await, &second);
    assert_found(&store, SUBJECT, later, &[]).await;
    assert_found(&store, index(9), later, &[key(1)]).await;
}

/// [`SessionStore::load`] gives nothing for a key that was never used.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn load_finds_nothing_where_nothing_is(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    assert_gone(&store, key(2), now).await;
}

/// From `expires_at` on a session counts as missing for every operation, swept or not; before, for none.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_session_is_missing_from_its_expiry_on(store: Arc<dyn SessionStore>) {
    let now = now();
    let record = record(now);
    insert(&store, key(1), &record, now).await;
    let last = record.expires_at.minus(Duration::from_millis(1));
    assert_same(&must_load(&store, key(1), last).await, &record);
    let lease = take(&store, key(1), 1, LeaseOwner::from_u128(1), 24 * HOUR, last).await;

    let end = record.expires_at;
    assert_gone(&store, key(1), end).await;
    let swapped = store
        .compare_and_swap(&key(1), 1, record.clone(), end)
        .await
        .expect(ANSWERS);
    assert!(
        matches!(swapped, Swapped::Gone),
        "compare_and_swap must not find an expired session"
    );
    let acquired = store
        .acquire(&key(1), 1, LeaseOwner::from_u128(2), HOUR, end)
        .await
        .expect(ANSWERS);
    assert!(
        matches!(acquired, Acquired::Gone),
        "acquire must not find an expired session"
    );
    assert!(
        !store.renew(&key(1), &lease, HOUR, end).await.expect(ANSWERS),
        "renew must not find an expired session"
    );
    store.release(&key(1), &lease, end).await.expect(ANSWERS);
    store
        .touch(&key(1), end, end.plus(HOUR), end)
        .await
        .expect(ANSWERS);
    assert_gone(&store, key(1), end).await;
    assert_found(&store, SUBJECT, end, &[]).await;
    assert_found_by_sid(&store, SID, end, &[]).await;
    assert!(
        !store.delete(&key(1), None, end).await.expect(ANSWERS),
        "delete must not count an expired session"
    );
}

/// The sealed body comes back byte by byte, from none to 1 MiB.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn sealed_bodies_come_back_unchanged(store: Arc<dyn SessionStore>) {
    let now = now();
    for (n, length) in (1_u8..).zip([0, 1, 255, 256, 4_096, 65_537, 1 << 20]) {
        // Every byte value, and a period that no block size shares.
        let sealed: Arc<[u8]> = (0..length).map(|i: u32| (i % 257) as u8).collect();
        let inserted = Record {
            sealed: Arc::clone(&sealed),
            ..record(now)
        };
        insert(&store, key(n), &inserted, now).await;
        assert!(
            must_load(&store, key(n), now).await.sealed == sealed,
            "a sealed body of {length} bytes must come back unchanged after insert"
        );
        let reversed: Arc<[u8]> = sealed.iter().rev().copied().collect();
        let swapped = Record {
            sealed: Arc::clone(&reversed),
            ..record(now)
        };
        swap(&store, key(n), 1, &swapped, now).await;
        assert!(
            must_load(&store, key(n), now).await.sealed == reversed,
            "a sealed body of {length} bytes must come back unchanged after compare_and_swap"
        );
    }
}

/// The first and the last instant there is, and lengths that reach beyond it, are kept and not wrapped round.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn extreme_instants_and_lengths_are_kept(store: Arc<dyn SessionStore>) {
    let now = now();
    let first = Timestamp::from_millis(i64::MIN);
    let last = Timestamp::from_millis(i64::MAX);
    let extreme = Record {
        created_at: first,
        last_seen_at: first,
        expires_at: last,
        ..record(now)
    };
    insert(&store, key(1), &extreme, now).await;
    assert_same(&must_load(&store, key(1), now).await, &extreme);
    assert_same(
        &must_load(&store, key(1), last.minus(Duration::from_millis(1))).await,
        &extreme,
    );
    assert_gone(&store, key(1), last).await;

    let lease = take(
        &store,
        key(1),
        1,
        LeaseOwner::from_u128(u128::MAX),
        Duration::MAX,
        now,
    )
    .await;
    assert_eq!(
        lease.owner,
        LeaseOwner::from_u128(u128::MAX),
        "a lease must keep its owner's number"
    );
    let acquired = store
        .acquire(&key(1), 1, LeaseOwner::from_u128(2), HOUR, now.plus(HOUR))
        .await
        .expect(ANSWERS);
    assert!(
        matches!(acquired, Acquired::Held(_)),
        "a lease of the greatest length must not have ended"
    );
    store.touch(&key(1), now, last, now).await.expect(ANSWERS);
    assert_eq!(
        must_load(&store, key(1), now).await.last_seen_at,
        now,
        "touch must move the first instant forward"
    );
    assert!(
        claim(&store, once(1), last, now).await,
        "a new key must be claimed"
    );
    assert!(
        !claim(&store, once(1), last, now.plus(HOUR)).await,
        "a claim until the last instant must not have ended"
    );
}

/// [`SessionStore::compare_and_swap`] replaces each field; the version becomes the expected one plus one, whatever
/// the record says.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn swap_replaces_the_record_and_counts(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    insert(&store, key(2), &record(now), now).await;
    let new = Record {
        version: 999,
        subject: index(7),
        sid: None,
        created_at: now.plus(Duration::from_millis(1)),
        last_seen_at: now.plus(Duration::from_millis(2)),
        // Earlier than before: a swap, unlike a touch, may shorten a session.
        expires_at: now.plus(HOUR / 2),
        sealed: Arc::from(&b"new"[..]),
        ..record(now)
    };
    swap(&store, key(1), 1, &new, now).await;
    assert_same(
        &must_load(&store, key(1), now).await,
        &Record { version: 2, ..new },
    );
    assert_gone(&store, key(1), now.plus(HOUR / 2)).await;
    assert_same(&must_load(&store, key(2), now).await, &record(now));
}

/// [`SessionStore::compare_and_swap`] refuses a version that is older or newer than the stored one, changes nothing,
/// and hands out the record as it stands.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn swap_refuses_another_version(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    let second = Record {
        sealed: Arc::from(&b"second"[..]),
        ..record(now)
    };
    swap(&store, key(1), 1, &second, now).await;
    let stored = Record { version: 2, ..second };
    for wrong in [0, 1, 3, u64::MAX] {
        let swapped = store
            .compare_and_swap(&key(1), wrong, record(now), now)
            .await
            .expect(ANSWERS);
        match swapped {
            Swapped::Newer(found) => assert_same(&found, &stored),
            other => panic!("compare_and_swap must refuse version {wrong}, not say {other:?}"),
        }
        assert_same(&must_load(&store, key(1), now).await, &stored);
    }
}

/// [`SessionStore::compare_and_swap`] never inserts: neither a session that was deleted nor one that never was.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn swap_never_brings_a_session_back(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    delete(&store, key(1), now).await;
    for key in [key(1), key(2)] {
        for expected in [0, 1] {
            let swapped = store
                .compare_and_swap(&key, expected, record(now), now)
                .await
                .expect(ANSWERS);
            assert!(
                matches!(swapped, Swapped::Gone),
                "compare_and_swap must not write where no session is"
            );
        }
        assert_gone(&store, key, now).await;
    }
    assert_found(&store, SUBJECT, now, &[]).await;
}

/// [`SessionStore::compare_and_swap`] goes by the version alone: it needs no lease, and clears one that is there.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn swap_ignores_a_lease_and_clears_it(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    let lease = take(&store, key(1), 1, LeaseOwner::from_u128(1), HOUR, now).await;
    let with_lease = Record {
        lease: Some(lease),
        ..record(now)
    };
    swap(&store, key(1), 1, &with_lease, now).await;
    assert_eq!(
        must_load(&store, key(1), now).await.lease,
        None,
        "compare_and_swap must clear the lease"
    );
    assert!(
        !store.renew(&key(1), &lease, HOUR, now).await.expect(ANSWERS),
        "a lease that compare_and_swap cleared must not be renewed"
    );
    take(&store, key(1), 2, LeaseOwner::from_u128(2), HOUR, now).await;
}

/// [`SessionStore::compare_and_swap`] with a lease in the record works only while that lease is the record's: not once
/// another has it, nor once it was given back.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn swap_with_a_lease_demands_that_lease(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    let demanding = |lease| Record {
        lease: Some(lease),
        sealed: Arc::from(&b"changed"[..]),
        ..record(now)
    };
    let ended = take(&store, key(1), 1, LeaseOwner::from_u128(1), Duration::ZERO, now).await;
    let lease = take(&store, key(1), 1, LeaseOwner::from_u128(2), HOUR, now).await;
    for other in others(lease).into_iter().chain([ended]) {
        let stored = must_load(&store, key(1), now).await;
        let swapped = store
            .compare_and_swap(&key(1), 1, demanding(other), now)
            .await
            .expect(ANSWERS);
        match swapped {
            Swapped::Newer(found) => assert_same(&found, &stored),
            answer => panic!("a swap must demand the lease that its record names, not say {answer:?}"),
        }
        assert_same(&must_load(&store, key(1), now).await, &stored);
    }
    swap(&store, key(1), 1, &demanding(lease), now).await;
    let stored = must_load(&store, key(1), now).await;
    assert_same(
        &stored,
        &Record {
            version: 2,
            lease: None,
            ..demanding(lease)
        },
    );
    let swapped = store.compare_and_swap(&key(1), 2, demanding(lease), now).await;
    assert!(
        matches!(swapped.expect(ANSWERS), Swapped::Newer(_)),
        "a lease that was cleared must not be enough"
    );
}

/// Of concurrent [`compare_and_swap`](SessionStore::compare_and_swap) calls for one version exactly one wins, and
/// its record is the one that is stored.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn of_concurrent_swaps_one_wins(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    for version in 1..=3 {
        let swapped = at_once(&store, move |store, n| async move {
            let new = Record {
                sealed: Arc::new([n]),
                ..record(now)
            };
            store
                .compare_and_swap(&key(1), version, new, now)
                .await
                .expect(ANSWERS)
        })
        .await;
        let stored = must_load(&store, key(1), now).await;
        let mut winners = 0;
        for (n, swapped) in (0_u8..).zip(swapped) {
            match swapped {
                Swapped::Yes => {
                    winners += 1;
                    assert_eq!(
                        stored.sealed[..],
                        [n],
                        "the record of the swap that won must be stored"
                    );
                }
                Swapped::Newer(found) => assert_same(&found, &stored),
                Swapped::Gone => panic!("no concurrent swap may find the session gone"),
            }
        }
        assert_eq!(
            winners, 1,
            "exactly one of concurrent compare_and_swap calls must win"
        );
        assert_eq!(
            stored.version,
            version + 1,
            "the version must go up by one with each compare_and_swap"
        );
    }
}

/// Changes that are made with load and compare-and-swap, again until it succeeds, all count.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn concurrent_changes_are_never_lost(store: Arc<dyn SessionStore>) {
    let now = now();
    let empty = Record {
        sealed: Arc::new([]),
        ..record(now)
    };
    insert(&store, key(1), &empty, now).await;
    at_once(&store, move |store, n| async move {
        let mut seen = must_load(&store, key(1), now).await;
        loop {
            let mut sealed = seen.sealed.to_vec();
            sealed.push(n);
            let new = Record {
                sealed: sealed.into(),
                ..record(now)
            };
            let swapped = store
                .compare_and_swap(&key(1), seen.version, new, now)
                .await
                .expect(ANSWERS);
            match swapped {
                Swapped::Yes => break,
                Swapped::Newer(found) => seen = found,
                Swapped::Gone => panic!("no change may find the session gone"),
            }
        }
    })
    .await;
    let stored = must_load(&store, key(1), now).await;
    let changes: BTreeSet<u8> = stored.sealed.iter().copied().collect();
    assert!(
        changes.into_iter().eq(0..CALLERS) && stored.sealed.len() == usize::from(CALLERS),
        "each change must be there once"
    );
    assert_eq!(
        stored.version,
        1 + u64::from(CALLERS),
        "the version must count the changes"
    );
}

/// [`SessionStore::touch`] sets `last_seen_at` and `expires_at`, each on its own, where that moves them forward.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn touch_moves_deadlines_forward_only(store: Arc<dyn SessionStore>) {
    let now = now();
    let start = record(now);
    insert(&store, key(1), &start, now).await;
    let second = Duration::from_secs(1);
    let (seen, end) = (start.last_seen_at, start.expires_at);
    for (touch_seen, touch_end, seen, end) in [
        (seen.minus(second), end.minus(second), seen, end),
        (seen, end, seen, end),
        (seen.plus(second), end.minus(second), seen.plus(second), end),
        (seen, end.plus(second), seen.plus(second), end.plus(second)),
        (
            seen.plus(5 * second),
            end.plus(5 * second),
            seen.plus(5 * second),
            end.plus(5 * second),
        ),
    ] {
        store
            .touch(&key(1), touch_seen, touch_end, now)
            .await
            .expect(ANSWERS);
        let stored = must_load(&store, key(1), now).await;
        assert_eq!(
            (stored.last_seen_at, stored.expires_at),
            (seen, end),
            "touch must move each instant forward, and never back"
        );
    }
    must_load(&store, key(1), end.plus(4 * second)).await;
    assert_gone(&store, key(1), end.plus(5 * second)).await;
}

/// [`SessionStore::touch`] leaves all else alone, the version and a lease too, in one session only.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn touch_changes_nothing_else(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    insert(&store, key(2), &record(now), now).await;
    let lease = take(&store, key(1), 1, LeaseOwner::from_u128(1), HOUR, now).await;
    let (seen, end) = (now.plus(HOUR / 4), now.plus(2 * HOUR));
    store.touch(&key(1), seen, end, now).await.expect(ANSWERS);
    assert_same(
        &must_load(&store, key(1), now).await,
        &Record {
            last_seen_at: seen,
            expires_at: end,
            lease: Some(lease),
            ..record(now)
        },
    );
    assert_same(&must_load(&store, key(2), now).await, &record(now));
    assert_found(&store, SUBJECT, now, &[key(1), key(2)]).await;
    assert_found_by_sid(&store, SID, now, &[key(1), key(2)]).await;
    swap(&store, key(1), 1, &record(now), now).await;
}

/// [`SessionStore::touch`] leaves a session that is gone as it is.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn touch_never_brings_a_session_back(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    delete(&store, key(1), now).await;
    for key in [key(1), key(2)] {
        store.touch(&key, now, now.plus(HOUR), now).await.expect(ANSWERS);
        assert_gone(&store, key, now).await;
    }
    assert_found(&store, SUBJECT, now, &[]).await;
}

/// [`SessionStore::delete`] removes one session for good and says whether it was there.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn delete_says_whether_there_was_a_session(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    insert(&store, key(2), &record(now), now).await;
    delete(&store, key(1), now).await;
    assert_gone(&store, key(1), now).await;
    for key in [key(1), key(3)] {
        assert!(
            !store.delete(&key, None, now).await.expect(ANSWERS),
            "delete must say that there was no session"
        );
    }
    assert_same(&must_load(&store, key(2), now).await, &record(now));
    let other = Record {
        subject: index(9),
        sid: Some(index(10)),
        ..record(now)
    };
    insert(&store, key(1), &other, now).await;
    assert_found(&store, SUBJECT, now, &[key(2)]).await;
    assert_found_by_sid(&store, SID, now, &[key(2)]).await;
}

/// [`SessionStore::delete`] with a version removes the session only while it has that version.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn delete_with_a_version_spares_others(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    swap(&store, key(1), 1, &record(now), now).await;
    for wrong in [0, 1, 3] {
        assert!(
            !store.delete(&key(1), Some(wrong), now).await.expect(ANSWERS),
            "delete must spare a session of another version"
        );
        must_load(&store, key(1), now).await;
    }
    assert!(
        store.delete(&key(1), Some(2), now).await.expect(ANSWERS),
        "delete must remove the session of the expected version"
    );
    assert_gone(&store, key(1), now).await;
}

/// Of concurrent [`delete`](SessionStore::delete) calls exactly one finds the session.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn of_concurrent_deletes_one_finds_the_session(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    let found = at_once(&store, move |store, _| async move {
        store.delete(&key(1), None, now).await.expect(ANSWERS)
    })
    .await;
    assert_eq!(
        found.into_iter().filter(|found| *found).count(),
        1,
        "exactly one of concurrent delete calls must find the session"
    );
}
