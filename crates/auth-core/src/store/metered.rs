//! A store whose operations are timed, around the configured one (`docs/metrics.md`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::app_data::{AppDataKey, AppDataStore};
use super::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, Notices, OnceKey, Record, ScanCursor, Scanned,
    SessionKey, SessionStore, StoreError, Swapped,
};
use crate::clock::Timestamp;
use crate::metrics::Timing;

/// Every method of both traits is here: one that was left out would fall back on the trait's own. A test sees to it.
#[derive(Debug)]
pub(crate) struct Metered(pub(crate) Arc<dyn SessionStore>);

async fn timed<T>(
    operation: &'static str,
    work: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let timing = Timing::start();
    let result = work.await;
    timing.of_store(operation, &result);
    result
}

#[async_trait]
impl SessionStore for Metered {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        timed("insert", self.0.insert(key, record, now)).await
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        timed("load", self.0.load(key, now)).await
    }

    fn load_at_once(&self, key: &SessionKey, now: Timestamp) -> Option<Option<Arc<Record>>> {
        let timing = Timing::start();
        let known = self.0.load_at_once(key, now)?;
        timing.of_store("load", &Ok::<_, StoreError>(()));
        Some(known)
    }

    async fn compare_and_swap(
        &self,
        key: &SessionKey,
        expected: u64,
        record: Record,
        now: Timestamp,
    ) -> Result<Swapped, StoreError> {
        timed(
            "compare_and_swap",
            self.0.compare_and_swap(key, expected, record, now),
        )
        .await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        timed("touch", self.0.touch(key, last_seen_at, expires_at, now)).await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        timed("delete", self.0.delete(key, expected, now)).await
    }

    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        timed("find_by_subject", self.0.find_by_subject(subject, now)).await
    }

    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        timed("find_by_sid", self.0.find_by_sid(sid, now)).await
    }

    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        timed("acquire", self.0.acquire(key, seen, owner, length, now)).await
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        timed("renew", self.0.renew(key, lease, length, now)).await
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        timed("release", self.0.release(key, lease, now)).await
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        timed("claim_once", self.0.claim_once(key, until, now)).await
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        timed("prolong_claim", self.0.prolong_claim(key, until, now)).await
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        timed("claimed_until", self.0.claimed_until(key, now)).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        timed("scan", self.0.scan(from, now)).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        timed("sweep", self.0.sweep(now)).await
    }

    fn notices(&self) -> Option<Notices> {
        self.0.notices()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        timed("ping", self.0.ping()).await
    }

    fn app_data(&self) -> Option<&dyn AppDataStore> {
        self.0.app_data().map(|_| self as &dyn AppDataStore)
    }
}

impl Metered {
    /// Only asked for where there is one.
    fn inner(&self) -> Result<&dyn AppDataStore, StoreError> {
        self.0
            .app_data()
            .ok_or(StoreError::Corrupt("the store keeps no app data any more"))
    }
}

#[async_trait]
impl AppDataStore for Metered {
    async fn insert_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, StoreError> {
        let work = self.inner()?.insert_app_data(key, data, expires_at, now);
        timed("insert_app_data", work).await
    }

    async fn load_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<Option<Arc<[u8]>>, StoreError> {
        timed("load_app_data", self.inner()?.load_app_data(key, now)).await
    }

    async fn update_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let work = self.inner()?.update_app_data(key, data, expires_at, now);
        timed("update_app_data", work).await
    }

    async fn touch_app_data(
        &self,
        key: &AppDataKey,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        timed(
            "touch_app_data",
            self.inner()?.touch_app_data(key, expires_at, now),
        )
        .await
    }

    async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError> {
        timed("delete_app_data", self.inner()?.delete_app_data(key, now)).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::MemoryStore;

    /// The methods that a source declares behind `at`, up to the end of that block.
    fn methods<'a>(source: &'a str, at: &str) -> BTreeSet<&'a str> {
        let block = source
            .split(at)
            .nth(1)
            .expect(at)
            .split("\n}")
            .next()
            .expect("its end");
        let names = block.lines().filter_map(|line| {
            let line = line.trim_start();
            let rest = line.strip_prefix("async fn ").or(line.strip_prefix("fn "))?;
            rest.split('(').next()
        });
        names.collect()
    }

    #[test]
    fn every_method_is_handed_on() {
        let own = include_str!("metered.rs");
        for (contract, declared, done) in [
            (
                include_str!("mod.rs"),
                "pub trait SessionStore: ",
                "impl SessionStore for Metered {",
            ),
            (
                include_str!("app_data.rs"),
                "pub trait AppDataStore: ",
                "impl AppDataStore for Metered {",
            ),
        ] {
            let demanded = methods(contract, declared);
            assert!(demanded.len() >= 5, "{demanded:?}");
            assert_eq!(methods(own, done), demanded);
        }
    }

    #[test]
    fn the_store_of_app_data_is_timed_as_well() {
        assert!(Metered(Arc::new(MemoryStore::new())).app_data().is_some());
    }
}
