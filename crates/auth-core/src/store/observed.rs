//! A store whose operations are timed and have spans, around the configured one (`docs/metrics.md`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tracing::Instrument as _;

use super::app_data::{AppDataKey, AppDataStore};
use super::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, Notices, OnceKey, Record, ScanCursor, Scanned,
    SessionKey, SessionStore, StoreError, Swapped,
};
use crate::clock::Timestamp;
use crate::metrics::Timing;
use crate::spans;

/// Every method of both traits is here: one that was left out would fall back on the trait's own. A test sees to it.
#[derive(Debug)]
pub(crate) struct Observed {
    store: Arc<dyn SessionStore>,
    /// What it waits for.
    system: Option<&'static str>,
}

/// The store with what there is to observe of it; itself where that is nothing.
pub(crate) fn observed(store: Arc<dyn SessionStore>) -> Arc<dyn SessionStore> {
    match store.system() {
        None if cfg!(not(feature = "metrics")) => store,
        system => Arc::new(Observed { store, system }),
    }
}

#[async_trait]
impl SessionStore for Observed {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        self.observe("insert", self.store.insert(key, record, now)).await
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        self.observe("load", self.store.load(key, now)).await
    }

    fn load_at_once(&self, key: &SessionKey, now: Timestamp) -> Option<Option<Arc<Record>>> {
        let timing = Timing::start();
        let known = self.store.load_at_once(key, now)?;
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
        self.observe(
            "compare_and_swap",
            self.store.compare_and_swap(key, expected, record, now),
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
        self.observe("touch", self.store.touch(key, last_seen_at, expires_at, now))
            .await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.observe("delete", self.store.delete(key, expected, now))
            .await
    }

    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.observe("find_by_subject", self.store.find_by_subject(subject, now))
            .await
    }

    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.observe("find_by_sid", self.store.find_by_sid(sid, now))
            .await
    }

    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        self.observe("acquire", self.store.acquire(key, seen, owner, length, now))
            .await
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.observe("renew", self.store.renew(key, lease, length, now))
            .await
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        self.observe("release", self.store.release(key, lease, now)).await
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.observe("claim_once", self.store.claim_once(key, until, now))
            .await
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.observe("prolong_claim", self.store.prolong_claim(key, until, now))
            .await
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.observe("claimed_until", self.store.claimed_until(key, now))
            .await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        self.observe("scan", self.store.scan(from, now)).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.observe("sweep", self.store.sweep(now)).await
    }

    fn notices(&self) -> Option<Notices> {
        self.store.notices()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.observe("ping", self.store.ping()).await
    }

    fn system(&self) -> Option<&'static str> {
        self.system
    }

    fn app_data(&self) -> Option<&dyn AppDataStore> {
        self.store.app_data().map(|_| self as &dyn AppDataStore)
    }
}

impl Observed {
    async fn observe<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let timing = Timing::start();
        let result = match self.system {
            None => work.await,
            Some(system) => {
                let span = spans::store(system, operation);
                let result = work.instrument(span.clone()).await;
                if let Err(error) = &result {
                    spans::failed_store(&span, error);
                }
                result
            }
        };
        timing.of_store(operation, &result);
        result
    }

    /// Only asked for where there is one.
    fn inner(&self) -> Result<&dyn AppDataStore, StoreError> {
        self.store
            .app_data()
            .ok_or(StoreError::Corrupt("the store keeps no app data any more"))
    }
}

#[async_trait]
impl AppDataStore for Observed {
    async fn insert_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, StoreError> {
        let work = self.inner()?.insert_app_data(key, data, expires_at, now);
        self.observe("insert_app_data", work).await
    }

    async fn load_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.observe("load_app_data", self.inner()?.load_app_data(key, now))
            .await
    }

    async fn update_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let work = self.inner()?.update_app_data(key, data, expires_at, now);
        self.observe("update_app_data", work).await
    }

    async fn touch_app_data(
        &self,
        key: &AppDataKey,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.observe(
            "touch_app_data",
            self.inner()?.touch_app_data(key, expires_at, now),
        )
        .await
    }

    async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError> {
        self.observe("delete_app_data", self.inner()?.delete_app_data(key, now))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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
        let own = include_str!("observed.rs");
        for (contract, declared, done) in [
            (
                include_str!("mod.rs"),
                "pub trait SessionStore: ",
                "impl SessionStore for Observed {",
            ),
            (
                include_str!("app_data.rs"),
                "pub trait AppDataStore: ",
                "impl AppDataStore for Observed {",
            ),
        ] {
            let demanded = methods(contract, declared);
            assert!(demanded.len() >= 5, "{demanded:?}");
            assert_eq!(methods(own, done), demanded);
        }
    }

    #[test]
    #[cfg(feature = "metrics")]
    fn the_store_of_app_data_is_observed_as_well() {
        assert!(
            observed(Arc::new(crate::store::MemoryStore::new()))
                .app_data()
                .is_some()
        );
    }
}
