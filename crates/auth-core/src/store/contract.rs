//! The [`SessionStore`] contract as tests, for the stores of this crate and for yours (feature `contract`).
//!
//! Each function checks one rule, on a store that is fresh and empty, and panics with the rule's words when the store
//! breaks it. [`contract_tests!`](crate::contract_tests) makes a `#[test]` of each; [`run`] runs all of them in turn.
//! Two more stand apart, as they do not hold for every store: [`sessions_outlive_the_store`] is for those that keep
//! sessions on a disk or on another machine, [`the_callers_clock_ends_a_lease`] for those that use the caller's clock
//! for leases, not a server's.
//!
//! ```
//! # #![allow(clippy::needless_doctest_main)]
//! use auth_core::store::MemoryStore;
//!
//! async fn fresh_store() -> MemoryStore {
//!     MemoryStore::new()
//! }
//!
//! auth_core::contract_tests!(fresh_store);
//! # fn main() {}
//! ```
//!
//! The rules use the machine's present time and instants after it, so that a store may let its server remove what has
//! expired. Where a rule speaks of concurrent calls, they come from as many threads.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::oneshot;

use super::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, OnceKey, Opened, Record, SessionKey,
    SessionStore, Swapped,
};
use crate::clock::{Clock, Timestamp};

/// Makes a `#[test]` of each rule of the session store contract.
///
/// Takes an `async fn` without arguments that returns a fresh, empty [`SessionStore`](crate::store::SessionStore). Each
/// test calls it once, on the thread and the tokio runtime that the test then runs on. See
/// [`store::contract`](crate::store::contract).
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests! { @rules tests $make }
    };
    (@tests $make:expr, $($rule:ident)*) => {$(
        #[test]
        fn $rule() {
            $crate::store::contract::block_on(async {
                $crate::store::contract::$rule(::std::sync::Arc::new(($make)().await)).await;
            });
        }
    )*};
    (@run $make:expr, $($rule:ident)*) => {$(
        $rule(Arc::new(($make)().await)).await;
    )*};
    (@rules $mode:ident $make:expr) => {
        $crate::contract_tests! { @$mode $make,
            insert_then_load_gives_the_record_back
            insert_refuses_a_taken_key
            insert_may_use_the_key_of_an_expired_session
            load_finds_nothing_where_nothing_is
            a_session_is_missing_from_its_expiry_on
            sealed_bodies_come_back_unchanged
            extreme_instants_and_lengths_are_kept
            swap_replaces_the_record_and_counts
            swap_refuses_another_version
            swap_never_brings_a_session_back
            swap_ignores_a_lease_and_clears_it
            of_concurrent_swaps_one_wins
            concurrent_changes_are_never_lost
            a_lease_has_one_holder
            acquire_refuses_another_version
            acquire_finds_no_session_that_is_gone
            a_lease_that_ended_may_be_taken
            fence_numbers_only_rise
            only_the_holder_renews
            only_the_holder_releases
            of_concurrent_acquires_one_gets_the_lease
            touch_moves_deadlines_forward_only
            touch_changes_nothing_else
            touch_never_brings_a_session_back
            delete_says_whether_there_was_a_session
            delete_with_a_version_spares_others
            of_concurrent_deletes_one_finds_the_session
            find_gives_the_sessions_of_an_index
            find_follows_a_swap
            find_leaves_out_what_is_gone
            find_gives_at_most_1000
            find_sees_a_session_that_changes_its_key
            claim_once_is_true_once
            claim_once_forgets
            of_concurrent_claims_one_is_true
            sweep_removes_the_expired_and_counts_them
            sweep_keeps_what_is_alive
            ping_answers
        }
    };
}

#[doc(inline)]
pub use crate::contract_tests;

/// Checks all rules in turn; `make` gives a fresh, empty store for each.
///
/// # Panics
///
/// With the words of the first rule that the store breaks.
pub async fn run<F, Fut, S>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
    S: SessionStore,
{
    contract_tests! { @rules run make }
}

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

    let later = now.plus(2 * HOUR);
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
        !store
            .renew(&key(1), &lease, HOUR, end)
            .await
            .expect(ANSWERS),
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
    let stored = Record {
        version: 2,
        ..second
    };
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
        !store
            .renew(&key(1), &lease, HOUR, now)
            .await
            .expect(ANSWERS),
        "a lease that compare_and_swap cleared must not be renewed"
    );
    take(&store, key(1), 2, LeaseOwner::from_u128(2), HOUR, now).await;
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

/// [`SessionStore::acquire`] gives the lease to one holder and to nobody else, not even to the same owner again, while
/// it is alive. The version stays.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_lease_has_one_holder(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    insert(&store, key(2), &record(now), now).await;
    let acquired = store
        .acquire(&key(1), 1, LeaseOwner::from_u128(1), HOUR / 2, now)
        .await
        .expect(ANSWERS);
    let Acquired::Got(got) = acquired else {
        panic!("a lease that nobody holds must be given, not {acquired:?}");
    };
    let lease = got
        .lease
        .expect("acquire must give the record with the lease");
    assert_eq!(
        lease.owner,
        LeaseOwner::from_u128(1),
        "the lease must name its holder"
    );
    let with_lease = Record {
        lease: Some(lease),
        ..record(now)
    };
    assert_same(&got, &with_lease);
    assert_same(&must_load(&store, key(1), now).await, &with_lease);

    for owner in [1, 2] {
        for now in [now, now.plus(HOUR / 4)] {
            let acquired = store
                .acquire(&key(1), 1, LeaseOwner::from_u128(owner), HOUR, now)
                .await
                .expect(ANSWERS);
            match acquired {
                Acquired::Held(found) => assert_same(&found, &with_lease),
                other => panic!("a lease that is alive must not be given, not {other:?}"),
            }
        }
    }
    take(&store, key(2), 1, LeaseOwner::from_u128(2), HOUR, now).await;
}

/// [`SessionStore::acquire`] takes no lease on a version other than the one that the caller saw, and says so even
/// where someone holds the lease.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn acquire_refuses_another_version(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    swap(&store, key(1), 1, &record(now), now).await;
    for leased in [false, true] {
        let stored = must_load(&store, key(1), now).await;
        for seen in [0, 1, 3] {
            let acquired = store
                .acquire(&key(1), seen, LeaseOwner::from_u128(1), HOUR, now)
                .await
                .expect(ANSWERS);
            match acquired {
                Acquired::Newer(found) => assert_same(&found, &stored),
                other => panic!("acquire must refuse version {seen}, not say {other:?}"),
            }
        }
        assert_same(&must_load(&store, key(1), now).await, &stored);
        if !leased {
            take(&store, key(1), 2, LeaseOwner::from_u128(2), HOUR, now).await;
        }
    }
}

/// [`SessionStore::acquire`] says that a session is gone, and makes none.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn acquire_finds_no_session_that_is_gone(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    let lease = take(&store, key(1), 1, LeaseOwner::from_u128(1), HOUR, now).await;
    delete(&store, key(1), now).await;
    for key in [key(1), key(2)] {
        let acquired = store
            .acquire(&key, 1, LeaseOwner::from_u128(2), HOUR, now)
            .await
            .expect(ANSWERS);
        assert!(
            matches!(acquired, Acquired::Gone),
            "acquire must say that a session is gone"
        );
        assert!(
            !store.renew(&key, &lease, HOUR, now).await.expect(ANSWERS),
            "renew must not find a session that is gone"
        );
        store.release(&key, &lease, now).await.expect(ANSWERS);
        assert_gone(&store, key, now).await;
    }
}

/// A lease that has ended may be taken by anyone, and its former holder has lost it. Until then, its holder may
/// renew it.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_lease_that_ended_may_be_taken(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    // A lease without length has ended at once, by the caller's clock and by a server's.
    let first = take(
        &store,
        key(1),
        1,
        LeaseOwner::from_u128(1),
        Duration::ZERO,
        now,
    )
    .await;
    assert!(
        store
            .renew(&key(1), &first, Duration::ZERO, now)
            .await
            .expect(ANSWERS),
        "a lease that ended but that nobody took must be renewed"
    );
    let second = take(&store, key(1), 1, LeaseOwner::from_u128(2), HOUR, now).await;
    assert!(
        !store
            .renew(&key(1), &first, HOUR, now)
            .await
            .expect(ANSWERS),
        "a lease that someone else took must not be renewed"
    );
    store.release(&key(1), &first, now).await.expect(ANSWERS);
    assert_eq!(
        must_load(&store, key(1), now).await.lease,
        Some(second),
        "the former holder must not change the new holder's lease"
    );
}

/// By the caller's clock, a lease ends at its `until`, not a millisecond earlier; a renewal moves that.
///
/// Not in [`run`]: a store that many machines share may go by its server's clock.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn the_callers_clock_ends_a_lease(store: Arc<dyn SessionStore>) {
    let start = now();
    let tick = Duration::from_millis(1);
    insert(&store, key(1), &record(start), start).await;
    let length = Duration::from_secs(10);
    let lease = take(&store, key(1), 1, LeaseOwner::from_u128(1), length, start).await;
    assert_eq!(
        lease.until,
        start.plus(length),
        "a lease must end its length after now"
    );

    let renewed_at = start.plus(Duration::from_secs(3));
    assert!(
        store
            .renew(&key(1), &lease, length, renewed_at)
            .await
            .expect(ANSWERS),
        "the holder must be able to renew"
    );
    let end = renewed_at.plus(length);
    let acquired = store
        .acquire(
            &key(1),
            1,
            LeaseOwner::from_u128(2),
            length,
            end.minus(tick),
        )
        .await
        .expect(ANSWERS);
    match acquired {
        Acquired::Held(found) => assert_eq!(
            found.lease,
            Some(Lease {
                until: end,
                ..lease
            }),
            "renew must change the end of the lease alone"
        ),
        other => panic!("a lease must last until its end, not {other:?}"),
    }
    take(&store, key(1), 1, LeaseOwner::from_u128(2), length, end).await;
}

/// Each lease that is taken has a higher fence number than all that the session had before, also after a release, a
/// swap or an end.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn fence_numbers_only_rise(store: Arc<dyn SessionStore>) {
    let now = now();
    let owner = LeaseOwner::from_u128(1);
    insert(&store, key(1), &record(now), now).await;

    let first = take(&store, key(1), 1, owner, HOUR, now).await;
    store.release(&key(1), &first, now).await.expect(ANSWERS);
    let after_release = take(&store, key(1), 1, owner, HOUR, now).await;
    swap(&store, key(1), 1, &record(now), now).await;
    let after_swap = take(&store, key(1), 2, owner, Duration::ZERO, now).await;
    let after_end = take(&store, key(1), 2, owner, HOUR, now).await;
    store
        .touch(&key(1), now.plus(HOUR), now.plus(2 * HOUR), now)
        .await
        .expect(ANSWERS);
    store
        .release(&key(1), &after_end, now)
        .await
        .expect(ANSWERS);
    swap(&store, key(1), 2, &record(now), now).await;
    let last = take(&store, key(1), 3, owner, HOUR, now).await;

    let fences = [first, after_release, after_swap, after_end, last].map(|lease| lease.fence);
    assert!(
        fences.iter().zip(&fences[1..]).all(|(a, b)| a + 1 == *b),
        "a fence number must be one more than the one before, but they were {fences:?}"
    );
}

/// [`SessionStore::renew`] works for the owner with the fence number alone, prolongs the lease, and changes no
/// version.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn only_the_holder_renews(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    let lease = take(&store, key(1), 1, LeaseOwner::from_u128(1), HOUR / 4, now).await;
    for other in others(lease) {
        assert!(
            !store
                .renew(&key(1), &other, HOUR, now)
                .await
                .expect(ANSWERS),
            "only the holder may renew a lease"
        );
    }
    assert_eq!(
        must_load(&store, key(1), now).await.lease,
        Some(lease),
        "a renewal that is refused must change nothing"
    );
    assert!(
        store
            .renew(&key(1), &lease, HOUR / 2, now)
            .await
            .expect(ANSWERS),
        "the holder must be able to renew"
    );
    let stored = must_load(&store, key(1), now).await;
    let renewed = stored.lease.expect("a renewed lease must be there");
    assert!(renewed.until > lease.until, "renew must prolong the lease");
    assert_same(
        &stored,
        &Record {
            lease: Some(Lease {
                until: renewed.until,
                ..lease
            }),
            ..record(now)
        },
    );
    assert!(
        store
            .renew(&key(1), &lease, HOUR / 2, now)
            .await
            .expect(ANSWERS),
        "who holds a lease is its owner and fence number, whatever `until` says"
    );
}

/// [`SessionStore::release`] works for the owner with the fence number alone; then anyone may take the lease.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn only_the_holder_releases(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    let lease = take(&store, key(1), 1, LeaseOwner::from_u128(1), HOUR, now).await;
    for other in others(lease) {
        store.release(&key(1), &other, now).await.expect(ANSWERS);
        assert_eq!(
            must_load(&store, key(1), now).await.lease,
            Some(lease),
            "only the holder may release a lease"
        );
    }
    store.release(&key(1), &lease, now).await.expect(ANSWERS);
    assert_same(&must_load(&store, key(1), now).await, &record(now));
    assert!(
        !store
            .renew(&key(1), &lease, HOUR, now)
            .await
            .expect(ANSWERS),
        "a lease that was released must not be renewed"
    );
    take(&store, key(1), 1, LeaseOwner::from_u128(2), HOUR, now).await;
}

/// Of concurrent [`acquire`](SessionStore::acquire) calls exactly one gets the lease, and the others see its lease.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn of_concurrent_acquires_one_gets_the_lease(store: Arc<dyn SessionStore>) {
    let now = now();
    insert(&store, key(1), &record(now), now).await;
    for round in 1..=3 {
        let acquired = at_once(&store, move |store, n| async move {
            store
                .acquire(&key(1), 1, LeaseOwner::from_u128(n.into()), HOUR, now)
                .await
                .expect(ANSWERS)
        })
        .await;
        let lease = must_load(&store, key(1), now)
            .await
            .lease
            .expect("one of concurrent acquire calls must get the lease");
        let mut holders = 0;
        for (n, acquired) in (0..).zip(acquired) {
            match acquired {
                Acquired::Got(_) => {
                    holders += 1;
                    assert_eq!(
                        lease.owner,
                        LeaseOwner::from_u128(n),
                        "the lease must be its holder's"
                    );
                }
                Acquired::Held(found) => assert_eq!(
                    found.lease,
                    Some(lease),
                    "those who do not get the lease must see who did"
                ),
                other => panic!("acquire must give the lease or say who holds it, not {other:?}"),
            }
        }
        assert_eq!(
            holders, 1,
            "exactly one of concurrent acquire calls must get the lease"
        );
        assert_eq!(
            lease.fence, round,
            "only a lease that is taken may use a fence number up"
        );
        store.release(&key(1), &lease, now).await.expect(ANSWERS);
    }
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
        store
            .touch(&key, now, now.plus(HOUR), now)
            .await
            .expect(ANSWERS);
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
    insert(&store, key(1), &record(now), now).await;
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
            !store
                .delete(&key(1), Some(wrong), now)
                .await
                .expect(ANSWERS),
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
        assert_eq!(
            keys.len(),
            1_000,
            "a search must give the first 1,000 sessions"
        );
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

/// [`SessionStore::claim_once`] says `true` the first time and `false` until the claim ends.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn claim_once_is_true_once(store: Arc<dyn SessionStore>) {
    let now = now();
    let until = now.plus(HOUR);
    assert!(
        claim(&store, once(1), until, now).await,
        "a new key must be claimed"
    );
    for now in [
        now,
        now.plus(HOUR / 2),
        until.minus(Duration::from_millis(1)),
    ] {
        assert!(
            !claim(&store, once(1), now.plus(HOUR), now).await,
            "a key must be claimed once only"
        );
    }
    assert!(
        claim(&store, once(2), until, now).await,
        "another key must be claimed on its own"
    );
    // The same bytes as a session's key are something else.
    insert(&store, key(3), &record(now), now).await;
    assert!(
        claim(&store, OnceKey::from_bytes(*key(3).as_bytes()), until, now).await,
        "a session's key must not count as claimed"
    );
}

/// A claim ends at its `until`, swept or not; a claim that was refused does not prolong it.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn claim_once_forgets(store: Arc<dyn SessionStore>) {
    let now = now();
    let until = now.plus(HOUR);
    for n in [1, 2, 3] {
        claim(&store, once(n), until, now).await;
        claim(&store, once(n), until.plus(24 * HOUR), now).await;
    }
    assert!(
        claim(&store, once(1), until.plus(HOUR), until).await,
        "a claim must end at its instant"
    );
    store.sweep(until).await.expect(ANSWERS);
    assert!(
        !claim(&store, once(1), until.plus(HOUR), until).await,
        "sweep must keep a claim that has not ended"
    );
    assert!(
        claim(&store, once(2), until.plus(HOUR), until).await,
        "a claim that was swept must have ended"
    );
}

/// Of concurrent [`claim_once`](SessionStore::claim_once) calls for one key exactly one gets `true`.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn of_concurrent_claims_one_is_true(store: Arc<dyn SessionStore>) {
    let now = now();
    for n in 1..=3 {
        let claimed = at_once(&store, move |store, _| async move {
            claim(&store, once(n), now.plus(HOUR), now).await
        })
        .await;
        assert_eq!(
            claimed.into_iter().filter(|claimed| *claimed).count(),
            1,
            "exactly one of concurrent claim_once calls must get true"
        );
    }
}

/// [`SessionStore::sweep`] says how many sessions it removed, and removes each once.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn sweep_removes_the_expired_and_counts_them(store: Arc<dyn SessionStore>) {
    let now = now();
    for n in 0..100 {
        let expires_at = now.plus(if n < 40 { HOUR } else { 2 * HOUR });
        let record = Record {
            expires_at,
            ..record(now)
        };
        insert(&store, key(n), &record, now).await;
    }
    claim(&store, once(1), now.plus(HOUR), now).await;
    for (at, count) in [
        (now, 0),
        (now.plus(HOUR), 40),
        (now.plus(HOUR), 0),
        (now.plus(3 * HOUR), 60),
        (now.plus(3 * HOUR), 0),
    ] {
        assert_eq!(
            store.sweep(at).await.expect(ANSWERS),
            count,
            "sweep must count the sessions that it removes"
        );
    }
}

/// [`SessionStore::sweep`] leaves sessions that have not expired as they are.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn sweep_keeps_what_is_alive(store: Arc<dyn SessionStore>) {
    let now = now();
    let long = Record {
        expires_at: now.plus(Duration::from_millis(3_600_001)),
        ..record(now)
    };
    insert(&store, key(1), &record(now), now).await;
    insert(&store, key(2), &long, now).await;
    let lease = take(&store, key(2), 1, LeaseOwner::from_u128(1), 2 * HOUR, now).await;
    let later = now.plus(HOUR);
    store.sweep(later).await.expect(ANSWERS);
    assert_gone(&store, key(1), later).await;
    assert_same(
        &must_load(&store, key(2), later).await,
        &Record {
            lease: Some(lease),
            ..long
        },
    );
    assert_found(&store, SUBJECT, later, &[key(2)]).await;
}

/// [`SessionStore::ping`] answers.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn ping_answers(store: Arc<dyn SessionStore>) {
    store.ping().await.expect(ANSWERS);
}

/// Sessions, leases and claims are there when the same storage is opened again.
///
/// Not in [`run`]: it is for stores that keep sessions outside the process. Each call of `open` opens the same
/// storage, which is empty at first.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn sessions_outlive_the_store<F, Fut, S>(open: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
    S: SessionStore,
{
    let now = now();
    let store: Arc<dyn SessionStore> = Arc::new(open().await);
    insert(&store, key(1), &record(now), now).await;
    insert(&store, key(2), &record(now), now).await;
    let changed = Record {
        sealed: Arc::from(&b"changed"[..]),
        ..record(now)
    };
    swap(&store, key(1), 1, &changed, now).await;
    let lease = take(&store, key(1), 2, LeaseOwner::from_u128(1), HOUR, now).await;
    delete(&store, key(2), now).await;
    claim(&store, once(1), now.plus(HOUR), now).await;
    drop(store);

    let store: Arc<dyn SessionStore> = Arc::new(open().await);
    assert_same(
        &must_load(&store, key(1), now).await,
        &Record {
            version: 2,
            lease: Some(lease),
            ..changed
        },
    );
    assert_gone(&store, key(2), now).await;
    assert_found(&store, SUBJECT, now, &[key(1)]).await;
    assert_found_by_sid(&store, SID, now, &[key(1)]).await;
    assert!(
        !claim(&store, once(1), now.plus(HOUR), now).await,
        "claims must outlive the store"
    );
    store.release(&key(1), &lease, now).await.expect(ANSWERS);
    let next = take(&store, key(1), 2, LeaseOwner::from_u128(2), HOUR, now).await;
    assert_eq!(
        next.fence,
        lease.fence + 1,
        "fence numbers must outlive the store"
    );
}

/// What [`contract_tests!`](crate::contract_tests) runs a rule with.
#[doc(hidden)]
pub fn block_on(rule: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(rule);
}

const ANSWERS: &str = "the store must answer";
const HOUR: Duration = Duration::from_secs(3600);
const SUBJECT: IndexKey = index(1);
const SID: IndexKey = index(2);

/// How many concurrent calls a rule makes.
const CALLERS: u8 = 64;

fn now() -> Timestamp {
    Clock::system().now()
}

const fn key(n: u8) -> SessionKey {
    SessionKey::from_bytes([n; 32])
}

const fn index(n: u8) -> IndexKey {
    IndexKey::from_bytes([n; 32])
}

const fn once(n: u8) -> OnceKey {
    OnceKey::from_bytes([n; 32])
}

/// A session that began at `now` and lasts an hour.
fn record(now: Timestamp) -> Record {
    Record {
        version: 1,
        subject: SUBJECT,
        sid: Some(SID),
        created_at: now,
        last_seen_at: now,
        expires_at: now.plus(HOUR),
        lease: None,
        sealed: Arc::from(&b"sealed"[..]),
        opened: Opened::default(),
    }
}

/// Leases that look like this one and are not.
fn others(lease: Lease) -> [Lease; 3] {
    let owner = LeaseOwner::from_u128(lease.owner.as_u128() + 1);
    [
        Lease { owner, ..lease },
        Lease {
            fence: lease.fence + 1,
            ..lease
        },
        Lease {
            fence: lease.fence - 1,
            ..lease
        },
    ]
}

async fn insert(store: &Arc<dyn SessionStore>, key: SessionKey, record: &Record, now: Timestamp) {
    let inserted = store.insert(&key, record.clone(), now).await;
    assert_eq!(
        inserted.expect(ANSWERS),
        Inserted::Yes,
        "insert must take a key that is free"
    );
}

async fn load(
    store: &Arc<dyn SessionStore>,
    key: SessionKey,
    now: Timestamp,
) -> Option<Arc<Record>> {
    store.load(&key, now).await.expect(ANSWERS)
}

async fn must_load(store: &Arc<dyn SessionStore>, key: SessionKey, now: Timestamp) -> Arc<Record> {
    load(store, key, now)
        .await
        .expect("load must find a session that is alive")
}

async fn assert_gone(store: &Arc<dyn SessionStore>, key: SessionKey, now: Timestamp) {
    assert!(
        load(store, key, now).await.is_none(),
        "load must not find a session that is gone"
    );
}

async fn swap(
    store: &Arc<dyn SessionStore>,
    key: SessionKey,
    expected: u64,
    record: &Record,
    now: Timestamp,
) {
    let swapped = store
        .compare_and_swap(&key, expected, record.clone(), now)
        .await
        .expect(ANSWERS);
    assert!(
        matches!(swapped, Swapped::Yes),
        "compare_and_swap must replace the expected version, not say {swapped:?}"
    );
}

async fn take(
    store: &Arc<dyn SessionStore>,
    key: SessionKey,
    seen: u64,
    owner: LeaseOwner,
    length: Duration,
    now: Timestamp,
) -> Lease {
    match store
        .acquire(&key, seen, owner, length, now)
        .await
        .expect(ANSWERS)
    {
        Acquired::Got(record) => record
            .lease
            .expect("acquire must give the record with the lease"),
        other => panic!("acquire must give a lease that nobody holds, not say {other:?}"),
    }
}

async fn delete(store: &Arc<dyn SessionStore>, key: SessionKey, now: Timestamp) {
    assert!(
        store.delete(&key, None, now).await.expect(ANSWERS),
        "delete must find a session that is alive"
    );
}

async fn claim(
    store: &Arc<dyn SessionStore>,
    key: OnceKey,
    until: Timestamp,
    now: Timestamp,
) -> bool {
    store.claim_once(&key, until, now).await.expect(ANSWERS)
}

async fn assert_found(
    store: &Arc<dyn SessionStore>,
    subject: IndexKey,
    now: Timestamp,
    expected: &[SessionKey],
) {
    let found = store.find_by_subject(&subject, now).await.expect(ANSWERS);
    assert_keys("find_by_subject", found, expected);
}

async fn assert_found_by_sid(
    store: &Arc<dyn SessionStore>,
    sid: IndexKey,
    now: Timestamp,
    expected: &[SessionKey],
) {
    let found = store.find_by_sid(&sid, now).await.expect(ANSWERS);
    assert_keys("find_by_sid", found, expected);
}

fn assert_keys(search: &str, found: Vec<(SessionKey, Arc<Record>)>, expected: &[SessionKey]) {
    let mut found: Vec<SessionKey> = found.into_iter().map(|(key, _)| key).collect();
    found.sort_unstable();
    assert_eq!(
        found, expected,
        "{search} must give the sessions that are alive and have the index key, each once"
    );
}

fn assert_same(stored: &Arc<Record>, expected: &Record) {
    let fields = |record: &Record| {
        (
            (record.version, record.subject, record.sid),
            (record.created_at, record.last_seen_at, record.expires_at),
            record.lease,
        )
    };
    assert_eq!(
        fields(stored),
        fields(expected),
        "the stored record must be the one that was given"
    );
    assert!(
        stored.sealed == expected.sealed,
        "the sealed body must come back unchanged"
    );
}

/// Calls `operation` from [`CALLERS`] threads at once and gives what came of each, in their order.
async fn at_once<T, F, Fut>(store: &Arc<dyn SessionStore>, operation: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(Arc<dyn SessionStore>, u8) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T>,
{
    at_once_of(CALLERS, store, operation).await
}

async fn at_once_of<T, F, Fut>(callers: u8, store: &Arc<dyn SessionStore>, operation: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(Arc<dyn SessionStore>, u8) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T>,
{
    let start = Arc::new(Barrier::new(usize::from(callers)));
    let answers: Vec<oneshot::Receiver<T>> = (0..callers)
        .map(|n| {
            let (answer, receiver) = oneshot::channel();
            let (store, operation) = (Arc::clone(store), operation.clone());
            let start = Arc::clone(&start);
            // Threads, and not tasks, so that calls are concurrent on a runtime of one thread, too.
            let runtime = tokio::runtime::Handle::current();
            std::thread::spawn(move || {
                start.wait();
                // Fails only where another call panicked and the rule is broken already.
                let _ = answer.send(runtime.block_on(operation(store, n)));
            });
            receiver
        })
        .collect();
    try_join_all(answers)
        .await
        .expect("each of the concurrent calls must keep the rule")
}
