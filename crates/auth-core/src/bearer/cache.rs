//! Tokens that were checked lately: a hash by which they are found, and what came of them.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::InvalidToken;
use super::token::Facts;
use crate::clock::Timestamp;
use crate::jose::KeySet;
use crate::secret::sha256;

/// Each has a lock of its own, so that requests seldom wait for each other.
const SHARDS: usize = 16;
/// Half of how many tokens a shard keeps.
const ENTRIES: usize = 512;
/// Half of how many bytes a shard keeps.
const BYTES: usize = 2 * 1024 * 1024;

/// The SHA-256 hash of a token, or of its signature.
pub(super) type Name = [u8; 32];

/// A token that is looked for.
///
/// No token is kept, only what it can be recognized by. Of a JWT that is a hash of its signature, and header and claims as
/// they are: the claims are kept anyway, and without the signature nobody can use them. A request's token is long and its
/// signature is not, so this costs a fraction of hashing it all. Header and claims are compared without regard to time: how
/// far they agree shows only to who has the signature, and so the token.
pub(super) struct Sought<'t> {
    name: Name,
    /// What is compared as it is.
    rest: &'t str,
}

impl<'t> Sought<'t> {
    /// A token whose signature decides on it: everything before the last dot is signed.
    pub(super) fn signed(token: &'t str) -> Self {
        let (rest, signature) = token.rsplit_once('.').unwrap_or(("", token));
        Self {
            name: sha256(&[signature.as_bytes()]),
            rest,
        }
    }

    /// A token that is a secret as a whole.
    pub(super) fn opaque(token: &'t str) -> Self {
        Self {
            name: sha256(&[token.as_bytes()]),
            rest: "",
        }
    }

    pub(super) fn name(&self) -> Name {
        self.name
    }
}

/// What came of a token.
pub(super) struct Entry {
    pub(super) outcome: Result<Arc<Facts>, InvalidToken>,
    pub(super) until: Timestamp,
    pub(super) keys: Option<UsedKeys>,
}

/// Whose keys verified a token, and which ones: once the issuer publishes others, it is checked anew.
pub(super) struct UsedKeys {
    /// The issuer's place among those that are trusted.
    pub(super) issuer: usize,
    pub(super) keys: Arc<KeySet>,
}

struct Kept {
    entry: Entry,
    /// See [`Sought`].
    rest: Box<str>,
    /// About how many bytes of memory it takes.
    size: usize,
}

/// Bounded in entries and in bytes: the tokens that were not asked for since the last full generation go.
#[derive(Default)]
pub(super) struct TokenCache([Mutex<Shard>; SHARDS]);

#[derive(Default)]
struct Shard {
    present: Generation,
    past: Generation,
}

#[derive(Default)]
struct Generation {
    entries: HashMap<Name, Kept>,
    bytes: usize,
}

impl TokenCache {
    /// What came of the token, if that still holds and its issuer's keys are those by which it was found.
    pub(super) fn get(
        &self,
        sought: &Sought<'_>,
        now: Timestamp,
        is_current: impl FnOnce(&UsedKeys) -> bool,
    ) -> Option<Result<Arc<Facts>, InvalidToken>> {
        let outcome = |kept: &Kept| {
            let holds = *kept.rest == *sought.rest
                && now < kept.entry.until
                && kept.entry.keys.as_ref().is_none_or(is_current);
            holds.then(|| kept.entry.outcome.clone())
        };
        let mut shard = self.shard(&sought.name);
        if let Some(kept) = shard.present.entries.get(&sought.name) {
            return outcome(kept);
        }
        let kept = shard.past.take(&sought.name)?;
        let outcome = outcome(&kept)?;
        let gone = shard.insert(sought.name, kept);
        // There are many in it: nobody has to wait while they are freed.
        drop(shard);
        drop(gone);
        Some(outcome)
    }

    pub(super) fn insert(&self, sought: &Sought<'_>, entry: Entry) {
        let facts = entry.outcome.as_ref().map_or(0, |facts| facts.size());
        let kept = Kept {
            entry,
            rest: sought.rest.into(),
            size: mem::size_of::<(Name, Kept)>() + sought.rest.len() + facts,
        };
        let gone = self.shard(&sought.name).insert(sought.name, kept);
        drop(gone);
    }

    fn shard(&self, name: &Name) -> MutexGuard<'_, Shard> {
        let shard = &self.0[usize::from(name[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Gives what had to make room.
    fn insert(&mut self, name: Name, kept: Kept) -> Option<Generation> {
        self.present.take(&name);
        if kept.size > BYTES {
            return None;
        }
        let is_full = self.present.entries.len() >= ENTRIES || self.present.bytes + kept.size > BYTES;
        let gone = is_full.then(|| {
            let full = mem::take(&mut self.present);
            mem::replace(&mut self.past, full)
        });
        self.present.bytes += kept.size;
        self.present.entries.insert(name, kept);
        gone
    }
}

impl Generation {
    fn take(&mut self, name: &Name) -> Option<Kept> {
        let kept = self.entries.remove(name)?;
        self.bytes -= kept.size;
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn sought(number: usize) -> Sought<'static> {
        let mut name = [0; 32];
        // The same shard for all.
        name[1..9].copy_from_slice(&number.to_be_bytes());
        Sought { name, rest: "" }
    }

    fn entry(until: i64) -> Entry {
        Entry {
            outcome: Err(InvalidToken::Inactive),
            until: Timestamp::from_secs(until),
            keys: None,
        }
    }

    /// With a claim of so many bytes.
    fn large(bytes: usize) -> Entry {
        let claims = [("c".to_owned(), "x".repeat(bytes).into())];
        let facts = Facts {
            issuer: String::new(),
            subject: None,
            audience: Vec::new(),
            client_id: None,
            expires_at: None,
            authenticated_at: None,
            acr: None,
            scopes: crate::types::Scopes::default(),
            binding: crate::bearer::Binding::Nothing,
            claims: Map::from_iter(claims).into(),
        };
        Entry {
            outcome: Ok(Arc::new(facts)),
            ..entry(100)
        }
    }

    fn has(cache: &TokenCache, number: usize, now: Timestamp) -> bool {
        cache.get(&sought(number), now, |_| true).is_some()
    }

    #[test]
    fn a_signed_token_is_recognized_by_all_of_it_and_its_signature_is_not_kept() {
        let cache = TokenCache::default();
        let now = Timestamp::from_secs(0);
        cache.insert(&Sought::signed("head.claims.signature"), entry(100));
        let is_known = |token| cache.get(&Sought::signed(token), now, |_| true).is_some();
        assert!(is_known("head.claims.signature"));
        for other in [
            "head.claims.Signature",
            "head.Claims.signature",
            "head.claims.signaturE",
            "head.claims",
            "headclaims.signature",
            ".signature",
            "signature",
            "head.claims.",
        ] {
            assert!(!is_known(other), "{other}");
        }
        let shard = cache.shard(&Sought::signed("head.claims.signature").name);
        let kept: Vec<_> = shard.present.entries.values().map(|kept| &*kept.rest).collect();
        assert_eq!(kept, ["head.claims"]);
    }

    #[test]
    fn of_an_opaque_token_nothing_is_kept_but_a_hash() {
        let token = Sought::opaque("a.secret.token");
        assert_eq!(token.rest, "");
        assert_ne!(token.name(), Sought::opaque("b.secret.token").name());
    }

    #[test]
    fn an_entry_is_there_until_its_end() {
        let cache = TokenCache::default();
        cache.insert(&sought(1), entry(100));
        assert!(has(&cache, 1, Timestamp::from_millis(99_999)));
        assert!(!has(&cache, 1, Timestamp::from_secs(100)));
        assert!(!has(&cache, 2, Timestamp::from_secs(0)));
        cache.insert(&sought(1), entry(200));
        assert!(has(&cache, 1, Timestamp::from_secs(100)));
    }

    #[test]
    fn an_entry_is_there_while_the_keys_are_those_that_were_used() {
        let cache = TokenCache::default();
        let keys = Arc::new(KeySet::new(Vec::new()));
        let used = UsedKeys {
            issuer: 3,
            keys: Arc::clone(&keys),
        };
        let keys_of = |used| Entry {
            keys: Some(used),
            ..entry(100)
        };
        cache.insert(&sought(1), keys_of(used));
        let now = Timestamp::from_secs(0);
        let is_used = |used: &UsedKeys| used.issuer == 3 && Arc::ptr_eq(&used.keys, &keys);
        assert!(cache.get(&sought(1), now, is_used).is_some());
        assert!(cache.get(&sought(1), now, |_| false).is_none());
    }

    #[test]
    fn it_holds_so_many_and_keeps_those_in_use() {
        let cache = TokenCache::default();
        let now = Timestamp::from_secs(0);
        for number in 0..10 * ENTRIES {
            cache.insert(&sought(number), entry(100));
            assert!(has(&cache, 0, now), "{number}");
        }
        let shard = cache.shard(&sought(0).name);
        assert!(shard.present.entries.len() <= ENTRIES);
        assert!(shard.past.entries.len() <= ENTRIES);
        drop(shard);
        assert!(!has(&cache, 1, now), "nobody asked for it");
    }

    #[test]
    fn it_holds_so_many_bytes_and_keeps_those_in_use() {
        let cache = TokenCache::default();
        let now = Timestamp::from_secs(0);
        for number in 0..100 {
            cache.insert(&sought(number), large(BYTES / 20));
            // Again: it counts once.
            cache.insert(&sought(number), large(BYTES / 20));
            assert!(has(&cache, 0, now), "{number}");
            let shard = cache.shard(&sought(0).name);
            for generation in [&shard.present, &shard.past] {
                let held: usize = generation.entries.values().map(|kept| kept.size).sum();
                assert_eq!(generation.bytes, held);
                assert!(held <= BYTES);
            }
        }
        assert!(!has(&cache, 1, now), "nobody asked for it");
        cache.insert(&sought(200), large(BYTES));
        assert!(!has(&cache, 200, now), "nothing is as large as that");
        assert!(has(&cache, 0, now));
    }
}
