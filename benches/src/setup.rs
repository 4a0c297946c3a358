//! Stores, records to put there, and the memory of this process and of Redis.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::clock::Timestamp;
use auth_core::store::{
    Acquired, IndexKey, Inserted, Lease, LeaseOwner, OnceKey, Opened, Record, ScanCursor, Scanned,
    SessionKey, SessionStore, StoreError, Swapped,
};
use auth_core::{Auth, SecretKeys};
use auth_testing::servers::RedisServer;

use crate::{Failure, world};

/// Clones are one store, as several instances share one in a process.
#[derive(Clone, Debug)]
pub(crate) struct Shared(pub(crate) Arc<dyn SessionStore>);

#[async_trait]
impl SessionStore for Shared {
    async fn insert(&self, key: &SessionKey, record: Record, now: Timestamp) -> Result<Inserted, StoreError> {
        self.0.insert(key, record, now).await
    }

    async fn load(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        self.0.load(key, now).await
    }

    fn load_at_once(&self, key: &SessionKey, now: Timestamp) -> Option<Option<Arc<Record>>> {
        self.0.load_at_once(key, now)
    }

    async fn compare_and_swap(
        &self,
        key: &SessionKey,
        expected: u64,
        record: Record,
        now: Timestamp,
    ) -> Result<Swapped, StoreError> {
        self.0.compare_and_swap(key, expected, record, now).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.touch(key, last_seen_at, expires_at, now).await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.0.delete(key, expected, now).await
    }

    async fn find_by_subject(
        &self,
        subject: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.0.find_by_subject(subject, now).await
    }

    async fn find_by_sid(
        &self,
        sid: &IndexKey,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Arc<Record>)>, StoreError> {
        self.0.find_by_sid(sid, now).await
    }

    async fn scan(&self, from: Option<&ScanCursor>, now: Timestamp) -> Result<Scanned, StoreError> {
        self.0.scan(from, now).await
    }

    async fn acquire(
        &self,
        key: &SessionKey,
        seen: u64,
        owner: LeaseOwner,
        length: Duration,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        self.0.acquire(key, seen, owner, length, now).await
    }

    async fn renew(
        &self,
        key: &SessionKey,
        lease: &Lease,
        length: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.0.renew(key, lease, length, now).await
    }

    async fn release(&self, key: &SessionKey, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        self.0.release(key, lease, now).await
    }

    async fn claim_once(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.0.claim_once(key, until, now).await
    }

    async fn prolong_claim(&self, key: &OnceKey, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.0.prolong_claim(key, until, now).await
    }

    async fn claimed_until(&self, key: &OnceKey, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.0.claimed_until(key, now).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.0.sweep(now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.0.ping().await
    }
}

/// A directory that is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Result<Self, Failure> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("auth-benches-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The record of a real session, from which others of the same size are made.
#[derive(Clone, Debug)]
pub(crate) struct Template(Arc<Record>);

impl Template {
    /// Signs in at a provider of its own.
    pub(crate) async fn of_a_sign_in() -> Result<Self, Failure> {
        let provider = world::provider().start().await?;
        let store = Shared(Arc::new(auth_core::store::MemoryStore::new()));
        let auth: Auth = world::auth(&provider)
            .secret(SecretKeys::random())
            .store(store.clone())
            .build()
            .await?;
        let id = world::sign_in(&auth, &provider).await?;
        let record = store.load(&id.key(), auth.now()).await?;
        Ok(Self(record.ok_or("the new session is not in the store")?))
    }

    /// The bytes of the sealed body.
    pub(crate) fn sealed_bytes(&self) -> usize {
        self.0.sealed.len()
    }

    /// A record of a user and a provider's session of its own, with a body of its own.
    pub(crate) fn record(&self, number: u64, now: Timestamp, life: Duration) -> Record {
        Record {
            version: 1,
            subject: IndexKey::from_bytes(bytes(number, 1)),
            sid: Some(IndexKey::from_bytes(bytes(number, 2))),
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus(life),
            lease: None,
            sealed: Arc::from(&self.0.sealed[..]),
            opened: Opened::default(),
        }
    }
}

/// The key of the session with this number.
pub(crate) fn key(number: u64) -> SessionKey {
    SessionKey::from_bytes(bytes(number, 0))
}

/// Bytes that look random, as hashes do, and are the same for the same number and kind.
fn bytes(number: u64, kind: u64) -> [u8; 32] {
    let mut numbers = Numbers(
        number
            .wrapping_mul(4)
            .wrapping_add(kind)
            .wrapping_mul(0x2545_f491_4f6c_dd1d),
    );
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&numbers.next().to_be_bytes());
    }
    bytes
}

/// Numbers that look random (SplitMix64).
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The memory of a process that is in RAM, in bytes (proc_pid_status(5), `VmRSS`); `self` is this one.
pub(crate) fn resident_bytes(process: impl std::fmt::Display) -> Result<f64, Failure> {
    memory(process, "VmRSS:")
}

/// The most of it that there ever was (`VmHWM`).
pub(crate) fn peak_bytes(process: impl std::fmt::Display) -> Result<f64, Failure> {
    memory(process, "VmHWM:")
}

fn memory(process: impl std::fmt::Display, name: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = kilobytes.and_then(|text| text.trim().strip_suffix("kB"));
    let kilobytes: f64 = kilobytes
        .ok_or("the kernel does not tell a process's memory")?
        .trim()
        .parse()?;
    Ok(kilobytes * 1024.0)
}

/// Redis' `used_memory` in bytes, and how many keys it has.
pub(crate) fn redis_numbers(server: &RedisServer) -> Result<(f64, u64), Failure> {
    let url = server.url();
    let address = url.trim_start_matches("redis://");
    let address = address.split_once('/').map_or(address, |(address, _)| address);
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"INFO memory\r\nDBSIZE\r\nQUIT\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name));
    let memory = line("used_memory:").ok_or("no used_memory in Redis' INFO")?;
    let keys = line(":").ok_or("no answer to DBSIZE")?;
    Ok((memory.trim().parse()?, keys.trim().parse()?))
}

/// Redis' `used_memory`, in bytes.
pub(crate) fn used_memory(server: &RedisServer) -> Result<f64, Failure> {
    Ok(redis_numbers(server)?.0)
}

/// The size of an SQLite database's file, with its write-ahead log.
pub(crate) fn sqlite_bytes(path: &Path) -> Result<f64, Failure> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = std::fs::metadata(log).map_or(0, |log| log.len());
    Ok((std::fs::metadata(path)?.len() + log) as f64)
}
