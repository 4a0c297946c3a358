//! Keeps requests from waiting for a provider that has just failed others.
//!
//! A provider that is down may cost a request its whole time limit. So after a few failures in a row nobody is made to
//! wait for a while: requests get the last failure at once, and one of them at a time finds out whether the provider is
//! back. One that fails again and again, while others succeed, pauses for itself only.
//!
//! Each provider has two: one for refreshes, in which each session is a key, and one for the other grants, in which a key is
//! what is asked for and for whom. They are apart: an exchange that a provider cannot carry out keeps nobody's session from
//! being refreshed.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

use crate::clock::Timestamp;

/// So many failures of one key in a row, and so many keys that failed with no success in between, are enough.
const ENOUGH: u32 = 3;
/// How long nobody asks then, unless the provider says longer.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, whatever the provider says: its recovery is to be noticed soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a request that nobody waits for leaves a key alone after one that failed.
const BACKGROUND_PAUSE: Duration = Duration::from_secs(2);
/// A failure longer ago than this says nothing any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// A failure that says something of the provider.
pub(crate) trait Failure: Clone {
    /// How long to wait, where the provider says so.
    fn retry_after(&self) -> Option<Duration>;

    /// Whether others would fare the same.
    fn is_of_all(&self) -> bool;
}

#[derive(Debug)]
pub(crate) struct Breaker<K, E> {
    keys: HashMap<K, Failures<E>>,
    /// When there are this many, those that are forgotten are removed, so that memory stays bounded.
    crowded_at: usize,
    provider: ProviderFailures<K, E>,
}

/// One key's failures since its last success.
#[derive(Debug)]
struct Failures<E> {
    count: u32,
    last: E,
    at: Timestamp,
}

/// The provider's failures since its last success.
#[derive(Debug)]
struct ProviderFailures<K, E> {
    keys: HashSet<K>,
    last: Option<(E, Timestamp)>,
    /// The key whose request finds out whether the provider is back, and since when.
    trial: Option<(K, Timestamp)>,
}

impl<K, E> Default for Breaker<K, E> {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            crowded_at: 0,
            provider: ProviderFailures::default(),
        }
    }
}

impl<K, E> Default for ProviderFailures<K, E> {
    fn default() -> Self {
        Self {
            keys: HashSet::new(),
            last: None,
            trial: None,
        }
    }
}

impl<K: Copy + Eq + Hash, E: Failure> ProviderFailures<K, E> {
    /// Whether enough keys failed in a row, the last one not long ago.
    fn is_failing(&self, now: Timestamp) -> bool {
        self.keys.len() >= ENOUGH as usize
            && self
                .last
                .as_ref()
                .is_some_and(|(_, at)| is_within(*at, FORGOTTEN_AFTER, now))
    }

    /// The failure that others have just met, unless this key may find out whether the provider is back.
    fn refuses(&self, key: &K, now: Timestamp) -> Option<&E> {
        let (last, at) = self.last.as_ref().filter(|_| self.is_failing(now))?;
        let is_anothers = self
            .trial
            .is_some_and(|(trial, since)| trial != *key && is_within(since, FORGOTTEN_AFTER, now));
        (is_anothers || is_within(*at, pause(last), now)).then_some(last)
    }
}

impl<K: Copy + Eq + Hash, E: Failure> Breaker<K, E> {
    /// Whether a request of this key may ask the provider now.
    ///
    /// # Errors
    ///
    /// The failure that others have just met.
    pub(crate) fn admit(&mut self, key: &K, now: Timestamp) -> Result<(), E> {
        if let Some(failures) = self.keys.get(key)
            && failures.count >= ENOUGH
            && is_within(failures.at, pause(&failures.last), now)
        {
            return Err(failures.last.clone());
        }
        match self.provider.refuses(key, now) {
            Some(error) => Err(error.clone()),
            None => {
                if self.provider.is_failing(now) {
                    self.provider.trial = Some((*key, now));
                }
                Ok(())
            }
        }
    }

    /// Whether a request of this key failed a moment ago, or others do: one that nobody waits for can wait then.
    pub(crate) fn failed_lately(&self, key: &K, now: Timestamp) -> bool {
        self.keys
            .get(key)
            .is_some_and(|failures| is_within(failures.at, BACKGROUND_PAUSE, now))
            || self.provider.refuses(key, now).is_some()
    }

    /// The provider has given an answer that makes sense, be it a refusal of the grant.
    pub(crate) fn succeeded(&mut self, key: &K) {
        self.keys.remove(key);
        self.provider = ProviderFailures::default();
    }

    /// A request has failed that says something of the provider.
    pub(crate) fn failed(&mut self, key: &K, error: &E, now: Timestamp) {
        if self.keys.len() >= self.crowded_at {
            self.keys
                .retain(|_, failures| is_within(failures.at, FORGOTTEN_AFTER, now));
            self.crowded_at = (self.keys.len() * 2).max(64);
        }
        let failures = self.keys.entry(*key).or_insert_with(|| Failures {
            count: 0,
            last: error.clone(),
            at: now,
        });
        if !is_within(failures.at, FORGOTTEN_AFTER, now) {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = error.clone();
        failures.at = now;

        if !error.is_of_all() {
            self.provider = ProviderFailures::default();
            return;
        }
        let provider = &mut self.provider;
        let is_old = |(_, at): &(E, Timestamp)| !is_within(*at, FORGOTTEN_AFTER, now);
        if provider.last.as_ref().is_some_and(is_old) {
            provider.keys.clear();
        }
        if provider.keys.len() < ENOUGH as usize {
            provider.keys.insert(*key);
        }
        provider.last = Some((error.clone(), now));
        self.finished(key);
    }

    /// A request has ended without saying anything of the provider.
    pub(crate) fn finished(&mut self, key: &K) {
        if self.provider.trial.is_some_and(|(trial, _)| trial == *key) {
            self.provider.trial = None;
        }
    }
}

fn pause(failure: &impl Failure) -> Duration {
    failure.retry_after().unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE)
}

/// Whether `now` is less than `length` after `at`. A clock that was set back ends every pause.
fn is_within(at: Timestamp, length: Duration, now: Timestamp) -> bool {
    at <= now && now.since(at) < length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A failure, and after how many seconds to come again.
    #[derive(Clone, Debug)]
    enum Down {
        ForAll(Option<u64>),
        ForOne,
    }

    impl Failure for Down {
        fn retry_after(&self) -> Option<Duration> {
            match self {
                Self::ForAll(after) => after.map(Duration::from_secs),
                Self::ForOne => None,
            }
        }

        fn is_of_all(&self) -> bool {
            matches!(self, Self::ForAll(_))
        }
    }

    type Numbers = Breaker<u64, Down>;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    const DOWN: Down = Down::ForAll(None);

    fn opened() -> Numbers {
        let mut breaker = Numbers::default();
        for n in 1..=3 {
            breaker.failed(&n, &DOWN, at(0));
        }
        breaker
    }

    #[test]
    fn two_failures_stop_nobody() {
        let mut breaker = Numbers::default();
        breaker.failed(&1, &DOWN, at(0));
        breaker.failed(&2, &DOWN, at(0));
        breaker.failed(&1, &DOWN, at(0));
        for n in 1..=3 {
            assert!(breaker.admit(&n, at(1)).is_ok());
        }
    }

    #[test]
    fn three_in_a_row_stop_all_for_a_second() {
        let mut breaker = opened();
        assert!(breaker.admit(&4, at(999)).is_err());
        assert!(breaker.admit(&4, at(1000)).is_ok());
    }

    #[test]
    fn one_alone_stops_itself_only() {
        let mut breaker = Numbers::default();
        for _ in 0..100 {
            breaker.failed(&1, &DOWN, at(0));
        }
        assert!(breaker.admit(&1, at(999)).is_err());
        assert!(breaker.admit(&2, at(1)).is_ok());
        assert!(breaker.admit(&1, at(1000)).is_ok());
    }

    #[test]
    fn what_fails_for_one_alone_stops_that_one_alone_and_shows_that_the_provider_is_up() {
        let mut breaker = Numbers::default();
        for n in 1..=9 {
            breaker.failed(&n, &Down::ForOne, at(0));
        }
        assert!(breaker.admit(&10, at(1)).is_ok());
        for _ in 0..2 {
            breaker.failed(&1, &Down::ForOne, at(1));
        }
        assert!(breaker.admit(&1, at(1000)).is_err());
        assert!(breaker.admit(&1, at(1001)).is_ok());
        let mut breaker = opened();
        breaker.failed(&4, &Down::ForOne, at(1));
        assert!(breaker.admit(&5, at(2)).is_ok());
    }

    #[test]
    fn the_pause_is_as_long_as_the_provider_says_within_bounds() {
        for (after, pause) in [(0, 1000), (3, 3000), (3600, 5000)] {
            let mut breaker = Numbers::default();
            for n in 1..=3 {
                breaker.failed(&n, &Down::ForAll(Some(after)), at(0));
            }
            assert!(breaker.admit(&4, at(pause - 1)).is_err(), "{after}");
            assert!(breaker.admit(&4, at(pause)).is_ok(), "{after}");
        }
    }

    #[test]
    fn a_success_lets_all_in() {
        let mut breaker = opened();
        breaker.succeeded(&4);
        for n in 1..=4 {
            assert!(breaker.admit(&n, at(1)).is_ok());
        }
    }

    #[test]
    fn one_at_a_time_finds_out_whether_the_provider_is_back() {
        let mut breaker = opened();
        assert!(breaker.admit(&4, at(1000)).is_ok());
        assert!(breaker.admit(&5, at(9000)).is_err(), "one is at it");
        breaker.failed(&4, &DOWN, at(9000));
        assert!(breaker.admit(&5, at(9999)).is_err());
        assert!(breaker.admit(&5, at(10_000)).is_ok());
        breaker.finished(&5);
        assert!(
            breaker.admit(&6, at(10_001)).is_ok(),
            "that one found nothing out"
        );
    }

    #[test]
    fn a_trial_that_never_ends_is_forgotten() {
        let mut breaker = opened();
        assert!(breaker.admit(&4, at(1000)).is_ok());
        assert!(breaker.admit(&5, at(29_999)).is_err());
        assert!(breaker.admit(&5, at(30_000)).is_ok());
    }

    #[test]
    fn old_failures_stop_nobody() {
        let mut breaker = opened();
        for n in 1..=9 {
            assert!(breaker.admit(&n, at(30_000)).is_ok());
            assert!(!breaker.failed_lately(&n, at(30_000)));
        }
    }

    #[test]
    fn whoever_finds_out_may_ask_again() {
        let mut breaker = opened();
        for _ in 0..3 {
            assert!(breaker.admit(&4, at(1000)).is_ok());
        }
        assert!(breaker.admit(&5, at(1000)).is_err());
    }

    #[test]
    fn who_need_not_wait_waits_for_the_pause_of_others() {
        let breaker = opened();
        assert!(breaker.failed_lately(&4, at(999)));
        assert!(!breaker.failed_lately(&4, at(1000)));
    }

    #[test]
    fn old_failures_do_not_add_up() {
        let mut breaker = Numbers::default();
        for n in 1..=10 {
            let now = at(i64::try_from(n).unwrap_or_default() * 30_000);
            breaker.failed(&n, &DOWN, now);
            breaker.failed(&0, &DOWN, now);
            assert!(breaker.admit(&0, now).is_ok());
            assert!(breaker.admit(&99, now).is_ok());
        }
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_pause() {
        let mut breaker = opened();
        assert!(breaker.admit(&4, at(-1)).is_ok());
        assert!(!breaker.failed_lately(&1, at(-1)));
    }

    #[test]
    fn an_outage_for_many_does_not_fill_the_memory() {
        let mut breaker = Numbers::default();
        for n in 0..100_000 {
            breaker.failed(&n, &DOWN, at(i64::try_from(n).unwrap_or_default() * 100));
        }
        assert!(breaker.keys.len() < 1000, "{}", breaker.keys.len());
    }
}
