//! Rules on telling that sessions have ended. A store without [`SessionStore::notices`] keeps them all.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::fixture::{ANSWERS, HOUR, delete, insert, key, must_load, now, record, swap, take};
use crate::store::{LeaseOwner, Notice, Notices, SessionKey, SessionStore};

/// How long an end may take to be told.
const WITHIN: Duration = Duration::from_secs(2);

/// How long a store may take to begin to listen.
const TO_BEGIN: Duration = Duration::from_secs(10);

/// A session that is deleted is told of within two seconds to everyone who listens: by its key, or by word that ends may
/// have been missed ([`Notice::Listening`], [`Notice::Deaf`]). A listener who goes away does not keep the others from
/// hearing.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_session_that_ends_is_told_of(store: Arc<dyn SessionStore>) {
    let now = now();
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let Some(listener) = listening(&store).await else {
            return;
        };
        listeners.push(listener);
    }
    for n in 1..=5 {
        insert(&store, key(n), &record(now), now).await;
        delete(&store, key(n), now).await;
        for listener in &mut listeners {
            assert!(
                is_told(listener, key(n)).await,
                "a session that was deleted must be told of within {WITHIN:?}"
            );
        }
        if n == 3 {
            listeners.pop();
        }
    }
}

/// Nothing but a delete that found its session is told of as an end.
///
/// # Panics
///
/// When the store breaks the rule.
pub async fn a_session_that_goes_on_is_not_told_of(store: Arc<dyn SessionStore>) {
    let now = now();
    let Some(mut listener) = listening(&store).await else {
        return;
    };
    insert(&store, key(1), &record(now), now).await;
    swap(&store, key(1), 1, &record(now), now).await;
    let later = now.plus(HOUR / 2);
    store
        .touch(&key(1), later, later.plus(HOUR), now)
        .await
        .expect(ANSWERS);
    let owner = LeaseOwner::from_u128(1);
    let lease = take(&store, key(1), 2, owner, HOUR, now).await;
    store.release(&key(1), &lease, now).await.expect(ANSWERS);
    for (spared, version) in [(key(1), Some(1)), (key(2), None), (key(2), Some(1))] {
        let deleted = store.delete(&spared, version, now).await.expect(ANSWERS);
        assert!(!deleted, "delete must say that it found nothing");
    }
    must_load(&store, key(1), now).await;
    store.sweep(now).await.expect(ANSWERS);

    // What is told of the next one is told after what is told of these.
    insert(&store, key(3), &record(now), now).await;
    delete(&store, key(3), now).await;
    let until = Instant::now() + WITHIN;
    while let Ok(Some(notice)) = timeout_at(until, listener.next()).await {
        match notice {
            Notice::Ended(ended) if ended == key(3) => return,
            Notice::Ended(ended) => panic!("{ended:?} was told of, and goes on or was never there"),
            _ => {}
        }
    }
}

/// Somebody who listens, once they hear. `None` where the store does not tell.
async fn listening(store: &Arc<dyn SessionStore>) -> Option<Notices> {
    let mut notices = store.notices()?;
    let begins =
        async { while notices.next().await.expect("a store must not stop telling") != Notice::Listening {} };
    timeout(TO_BEGIN, begins)
        .await
        .expect("a store that tells of ends must begin to, and say so");
    Some(notices)
}

async fn is_told(listener: &mut Notices, key: SessionKey) -> bool {
    let until = Instant::now() + WITHIN;
    while let Ok(notice) = timeout_at(until, listener.next()).await {
        match notice.expect("a store must not stop telling") {
            Notice::Ended(ended) if ended != key => {}
            _ => return true,
        }
    }
    false
}
