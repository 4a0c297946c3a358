//! Tokens that were checked lately: a hash of the token, and what came of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::InvalidToken;
use super::token::Facts;
use crate::clock::Timestamp;
use crate::jose::KeySet;

/// Half of how many tokens are kept.
const GENERATION: usize = 8_192;

/// The SHA-256 hash of a token.
pub(super) type Name = [u8; 32];

/// What is kept of a token. The token itself is not.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) outcome: Result<Arc<Facts>, InvalidToken>,
    pub(super) until: Timestamp,
    /// Whose keys verified it, and which ones: once the issuer publishes others, it is checked anew.
    pub(super) keys: Option<(usize, Arc<KeySet>)>,
}

/// Bounded: the tokens that were not asked for since the last full generation go.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    present: HashMap<Name, Entry>,
    past: HashMap<Name, Entry>,
}

impl TokenCache {
    /// What is known of the token, if it still holds.
    pub(super) fn get(&self, name: &Name, now: Timestamp) -> Option<Entry> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = generations.present.get(name) {
            return Some(entry.clone()).filter(|entry| now < entry.until);
        }
        let entry = generations.past.remove(name).filter(|entry| now < entry.until)?;
        generations.insert(*name, entry.clone());
        Some(entry)
    }

    pub(super) fn insert(&self, name: Name, entry: Entry) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(name, entry);
    }
}

impl Generations {
    fn insert(&mut self, name: Name, entry: Entry) {
        if self.present.len() >= GENERATION && !self.present.contains_key(&name) {
            self.past = std::mem::take(&mut self.present);
        }
        self.present.insert(name, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Name {
        let mut name = [0; 32];
        name[..8].copy_from_slice(&number.to_be_bytes());
        name
    }

    fn entry(until: i64) -> Entry {
        Entry {
            outcome: Err(InvalidToken::Inactive),
            until: Timestamp::from_secs(until),
            keys: None,
        }
    }

    #[test]
    fn an_entry_is_there_until_its_end() {
        let cache = TokenCache::default();
        cache.insert(name(1), entry(100));
        assert!(cache.get(&name(1), Timestamp::from_millis(99_999)).is_some());
        assert!(cache.get(&name(1), Timestamp::from_secs(100)).is_none());
        assert!(cache.get(&name(2), Timestamp::from_secs(0)).is_none());
        cache.insert(name(1), entry(200));
        assert!(cache.get(&name(1), Timestamp::from_secs(100)).is_some());
    }

    #[test]
    fn it_holds_so_many_and_keeps_those_in_use() {
        let cache = TokenCache::default();
        let now = Timestamp::from_secs(0);
        for number in 0..10 * GENERATION {
            cache.insert(name(number), entry(100));
            assert!(cache.get(&name(0), now).is_some(), "{number}");
        }
        let generations = cache.0.lock().expect("no test has failed under it");
        assert!(generations.present.len() <= GENERATION);
        assert!(generations.past.len() <= GENERATION);
        drop(generations);
        assert!(cache.get(&name(1), now).is_none(), "nobody asked for it");
    }
}
