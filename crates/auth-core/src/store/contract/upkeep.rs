//! Rules on what happens once, on sweeping, and on what lasts.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::{
    ANSWERS, HOUR, SID, SUBJECT, assert_found, assert_found_by_sid, assert_gone, assert_same, at_once, claim,
    delete, index, insert, key, must_load, now, once, record, swap, take,
};
use crate::store::{LeaseOwner, OnceKey, Record, SessionStore};

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
    for now in [now, now.plus(HOUR / 2), until.minus(Duration::from_millis(1))] {
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

/// [`SessionStore::prolong_claim`] takes a claim or moves its end, and never backwards;
/// [`SessionStore::claimed_until`] tells the end.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_claim_can_be_prolonged_and_read(store: Arc<dyn SessionStore>) {
    let now = now();
    let (until, later) = (now.plus(HOUR), now.plus(2 * HOUR));
    let claimed_until = async |n, now| store.claimed_until(&once(n), now).await.expect(ANSWERS);
    let prolong = async |n, until, now| store.prolong_claim(&once(n), until, now).await.expect(ANSWERS);

    assert_eq!(
        claimed_until(1, now).await,
        None,
        "what nobody claimed has no end"
    );
    claim(&store, once(1), until, now).await;
    assert_eq!(
        claimed_until(1, now).await,
        Some(until),
        "a claim has the end that it was given"
    );
    prolong(1, later, now).await;
    prolong(1, until, now).await;
    assert_eq!(
        claimed_until(1, now).await,
        Some(later),
        "the end must move forwards only"
    );
    assert!(
        !claim(&store, once(1), later, until).await,
        "a claim that was prolonged must be kept"
    );
    assert_eq!(
        claimed_until(1, later).await,
        None,
        "a claim must end at its instant"
    );
    assert_eq!(
        claimed_until(2, now).await,
        None,
        "other claims have their own ends"
    );

    prolong(3, until, now).await;
    assert!(
        !claim(&store, once(3), later, now).await,
        "what was prolonged without a claim must be claimed"
    );
    // A claim that has ended is none, swept or not: it has no say in the end of the next.
    prolong(3, later, until).await;
    assert_eq!(
        claimed_until(3, until).await,
        Some(later),
        "a new claim must follow one that has ended"
    );
    store.sweep(until).await.expect(ANSWERS);
    assert_eq!(
        claimed_until(3, until).await,
        Some(later),
        "sweep must keep a claim that was prolonged"
    );
}

/// Of concurrent [`prolong_claim`](SessionStore::prolong_claim) calls for one key the one that lasts longest counts.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn of_concurrent_prolongations_the_longest_stays(store: Arc<dyn SessionStore>) {
    let now = now();
    let end_of = move |n: u8| now.plus(HOUR * (1 + u32::from(n) * 7 % 10));
    for round in 1..=3 {
        let ends = at_once(&store, move |store, n| async move {
            let until = end_of(n);
            store
                .prolong_claim(&once(round), until, now)
                .await
                .expect(ANSWERS);
            until
        })
        .await;
        assert_eq!(
            store.claimed_until(&once(round), now).await.expect(ANSWERS),
            ends.into_iter().max(),
            "the longest of concurrent prolongations must stay"
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
    // What was swept has left no trace that a new session of the same key could follow.
    let other = Record {
        subject: index(9),
        sid: None,
        ..record(now)
    };
    insert(&store, key(1), &other, now).await;
    assert_found(&store, SUBJECT, now, &[]).await;
    assert_found_by_sid(&store, SID, now, &[]).await;
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
/// Not in [`run`](super::run): it is for stores that keep sessions outside the process. Each call of `open` opens
/// the same storage, which is empty at first.
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
