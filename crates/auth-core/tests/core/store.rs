//! A memory store that counts, waits and fails on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::clock::Timestamp;
use auth_core::store::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, MemoryStore, Notice, NoticeSender, Notices, OnceKey,
    Opened, Record, ScanCursor, Scanned, SessionKey, SessionStore, StoreError, Swapped,
};
use futures_util::FutureExt as _;
use tokio::sync::watch;

use crate::world::WAIT;

/// An operation of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Insert,
    Load,
    Swap,
    Touch,
    Delete,
    Acquire,
    Renew,
    Release,
    Claim,
    ProlongClaim,
    ReadClaim,
    Find,
    Scan,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is not carried out.
    Lost,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It panics.
    Panic,
}

/// Clones are one store, as several instances share one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProbeStore(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    memory: MemoryStore,
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    counts: HashMap<Op, usize>,
    failures: HashMap<Op, VecDeque<Failure>>,
    broken: HashMap<Op, ()>,
    gates: HashMap<Op, Arc<Gate>>,
    gates_behind: HashMap<Op, Arc<Gate>>,
    tells: Tells,
    system: Option<&'static str>,
    listeners: Vec<NoticeSender>,
}

/// How the store tells that sessions end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tells {
    /// As the memory store does.
    #[default]
    All,
    /// It has no way to.
    NoWay,
    /// What [`tell`](ProbeStore::tell) says, and nothing else.
    OnDemand,
}

#[derive(Debug)]
struct Gate {
    waiting: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self {
            waiting: watch::Sender::new(0),
            open: watch::Sender::new(false),
        })
    }

    async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        drop(self.open.subscribe().wait_for(|open| *open).await);
    }
}

/// Operations of one kind wait while this exists.
pub(crate) struct Hold(Arc<Gate>);

impl Hold {
    /// Waits until `n` operations in all have come here.
    pub(crate) async fn waiting(&self, n: usize) {
        let mut waiting = self.0.waiting.subscribe();
        let arrived = waiting.wait_for(|waiting| *waiting >= n);
        drop(tokio::time::timeout(WAIT, arrived).await.expect("they come"));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.open.send_replace(true);
    }
}

impl ProbeStore {
    /// A store that says what its operations wait for.
    pub(crate) fn waiting_for(system: &'static str) -> Self {
        let store = Self::default();
        store.plan().system = Some(system);
        store
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, op: Op) -> usize {
        self.plan().counts.get(&op).copied().unwrap_or_default()
    }

    /// How many operations of any kind were asked for.
    pub(crate) fn total(&self) -> usize {
        self.plan().counts.values().sum()
    }

    /// How many sessions there are, expired ones included.
    pub(crate) fn sessions(&self) -> usize {
        self.0.memory.len()
    }

    /// Lets the next operation of this kind fail.
    pub(crate) fn fail_next(&self, op: Op, failure: Failure) {
        self.plan().failures.entry(op).or_default().push_back(failure);
    }

    /// Lets every operation of this kind fail until [`mend`](Self::mend).
    pub(crate) fn breaks(&self, op: Op) {
        self.plan().broken.insert(op, ());
    }

    /// All is well again.
    pub(crate) fn mend(&self) {
        self.plan().broken.clear();
    }

    /// Makes operations of this kind wait before they are carried out.
    pub(crate) fn hold(&self, op: Op) -> Hold {
        let gate = Gate::closed();
        self.plan().gates.insert(op, Arc::clone(&gate));
        Hold(gate)
    }

    /// Makes operations of this kind wait once they are carried out, before they are answered.
    pub(crate) fn hold_answer(&self, op: Op) -> Hold {
        let gate = Gate::closed();
        self.plan().gates_behind.insert(op, Arc::clone(&gate));
        Hold(gate)
    }

    /// Chooses how the next subscription is told.
    pub(crate) fn tells(&self, tells: Tells) {
        self.plan().tells = tells;
    }

    /// Tells everyone who listens on demand.
    pub(crate) fn tell(&self, notice: Notice) {
        self.plan().listeners.retain(|listener| listener.send(notice));
    }

    /// How many listen on demand.
    pub(crate) fn listeners(&self) -> usize {
        let mut plan = self.plan();
        plan.listeners
            .retain(|listener| listener.closed().now_or_never().is_none());
        plan.listeners.len()
    }

    /// Tells nobody that listens on demand anything any more.
    pub(crate) fn stops_telling(&self) {
        self.plan().listeners.clear();
    }

    /// What is to become of an operation; waits where it is held.
    async fn begin(&self, op: Op) -> Result<Option<Failure>, StoreError> {
        let (gate, failure) = {
            let mut plan = self.plan();
            *plan.counts.entry(op).or_default() += 1;
            let failure = plan
                .failures
                .get_mut(&op)
                .and_then(VecDeque::pop_front)
                .or_else(|| plan.broken.get(&op).map(|()| Failure::Lost));
            (plan.gates.get(&op).cloned(), failure)
        };
        if let Some(gate) = gate {
            gate.pass().await;
        }
        match failure {
            Some(Failure::Lost) => Err(down()),
            Some(Failure::Panic) => panic!("the store panics on demand"),
            other => Ok(other),
        }
    }

    async fn run<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let failure = self.begin(op).await?;
        let result = call.await;
        let gate = self.plan().gates_behind.get(&op).cloned();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        if failure == Some(Failure::AnswerLost) {
            return Err(down());
        }
        result
    }
}

fn down() -> StoreError {
    StoreError::unavailable("down on demand")
}

#[async_trait]
impl SessionStore for ProbeStore {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        self.run(Op::Insert, self.0.memory.insert(key, record, now)).await
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let loaded = self.run(Op::Load, self.0.memory.load(key, now)).await?;
        // As a store does that other processes share: sealed, each time anew.
        let anew = |record: Arc<Record>| {
            Arc::new(Record {
                opened: Opened::default(),
                ..Record::clone(&record)
            })
        };
        Ok(loaded.map(anew))
    }

    async fn compare_and_swap(
        &self,
        key: &SessionKey,
        expected: u64,
        record: Record,
        now: Timestamp,
    ) -> Result<Swapped, StoreError> {
        let call = self.0.memory.compare_and_swap(key, expected, record, now);
        self.run(Op::Swap, call).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let call = self.0.memory.touch(key, last_seen_at, expires_at, now);
        self.run(Op::Touch, call).await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.run(Op::Delete, self.0.memory.delete(key, expected, now))
            .await
    }

    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.run(Op::Find, self.0.memory.find_by_subject(subject, now))
            .await
    }

    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.run(Op::Find, self.0.memory.find_by_sid(sid, now)).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        self.run(Op::Scan, self.0.memory.scan(from, now)).await
    }

    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        let call = self.0.memory.acquire(key, seen, owner, length, now);
        self.run(Op::Acquire, call).await
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.run(Op::Renew, self.0.memory.renew(key, lease, length, now))
            .await
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        self.run(Op::Release, self.0.memory.release(key, lease, now))
            .await
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.run(Op::Claim, self.0.memory.claim_once(key, until, now))
            .await
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.run(Op::ProlongClaim, self.0.memory.prolong_claim(key, until, now))
            .await
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.run(Op::ReadClaim, self.0.memory.claimed_until(key, now))
            .await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.0.memory.sweep(now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.0.memory.ping().await
    }

    fn system(&self) -> Option<&'static str> {
        self.plan().system
    }

    fn notices(&self) -> Option<Notices> {
        let mut plan = self.plan();
        match plan.tells {
            Tells::All => self.0.memory.notices(),
            Tells::NoWay => None,
            Tells::OnDemand => {
                let (sender, notices) = Notices::channel();
                plan.listeners.push(sender);
                Some(notices)
            }
        }
    }
}
