//! Rules on leases: acquire, renew, release.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::{
    ANSWERS, HOUR, assert_gone, assert_same, at_once, delete, insert, key, must_load, now, others, record,
    swap, take,
};
use crate::store::{Acquired, Lease, LeaseOwner, Record, SessionStore};

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
    let lease = got.lease.expect("acquire must give the record with the lease");
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
    let first = take(&store, key(1), 1, LeaseOwner::from_u128(1), Duration::ZERO, now).await;
    assert!(
        store
            .renew(&key(1), &first, Duration::ZERO, now)
            .await
            .expect(ANSWERS),
        "a lease that ended but that nobody took must be renewed"
    );
    let second = take(&store, key(1), 1, LeaseOwner::from_u128(2), HOUR, now).await;
    assert!(
        !store.renew(&key(1), &first, HOUR, now).await.expect(ANSWERS),
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
/// Not in [`run`](super::run): a store that many machines share may go by its server's clock.
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
        .acquire(&key(1), 1, LeaseOwner::from_u128(2), length, end.minus(tick))
        .await
        .expect(ANSWERS);
    match acquired {
        Acquired::Held(found) => assert_eq!(
            found.lease,
            Some(Lease { until: end, ..lease }),
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
    store.release(&key(1), &after_end, now).await.expect(ANSWERS);
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
            !store.renew(&key(1), &other, HOUR, now).await.expect(ANSWERS),
            "only the holder may renew a lease"
        );
    }
    assert_eq!(
        must_load(&store, key(1), now).await.lease,
        Some(lease),
        "a renewal that is refused must change nothing"
    );
    assert!(
        store.renew(&key(1), &lease, HOUR / 2, now).await.expect(ANSWERS),
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
        store.renew(&key(1), &lease, HOUR / 2, now).await.expect(ANSWERS),
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
        !store.renew(&key(1), &lease, HOUR, now).await.expect(ANSWERS),
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
