//! The data of the app's own sessions, kept in the same store: the [`AppDataStore`] contract.
//!
//! Web frameworks have session layers for what an app remembers of a visitor: a flash message, a draft, a basket. Their
//! stores are a second set-up beside this one, and bring deleted sessions back to life: they save what a request has
//! loaded, whether or not the session has ended meanwhile. The stores of this crate serve such a layer as well, under
//! the rules of [sessions](super#the-contract-in-words): nothing that was deleted comes back, what has expired is
//! missing, an error means "not known".
//!
//! Nobody's sign-in lies in here. The adapters implement the layers' store traits over [`Auth::app_sessions`], which
//! hashes the names and seals the data, so that a store sees neither.
//!
//! [`Auth::app_sessions`]: crate::Auth::app_sessions

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Inserted, StoreError};
use crate::clock::Timestamp;

/// Names the data of one of the app's own sessions: a hash of the identifier that the browser holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppDataKey([u8; 32]);

impl AppDataKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of this key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Keeps the data of the app's own sessions. See the [module documentation](self).
///
/// As everywhere in a store, `now` is the caller's present instant, each operation is atomic towards all others, and
/// data whose `expires_at` has passed counts as missing.
#[async_trait]
pub trait AppDataStore: fmt::Debug + Send + Sync + 'static {
    /// Adds data under a key that is free.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the data may or may not be in.
    async fn insert_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Inserted, StoreError>;

    /// The data under this key, or `None` where there is none or it has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn load_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<Option<Arc<[u8]>>, StoreError>;

    /// Replaces the data under this key and its end, and says whether there was any: where there is none, nothing
    /// happens. The last one wins.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the data may or may not be replaced.
    async fn update_app_data(
        &self,
        key: &AppDataKey,
        data: Arc<[u8]>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Moves the end of the data under this key, forwards or backwards, and says whether there is any.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time.
    async fn touch_app_data(
        &self,
        key: &AppDataKey,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Removes the data under this key, and says whether there was any.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be reached or does not answer in time; the data may or may not be gone.
    async fn delete_app_data(&self, key: &AppDataKey, now: Timestamp) -> Result<bool, StoreError>;
}
