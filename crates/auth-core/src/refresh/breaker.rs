//! Keeps requests from waiting for a provider that has just failed others.
//!
//! A provider that is down may cost a request its whole time limit. So after a few failures in a row nobody is made to
//! wait for a while: requests get the last failure at once, and one of them at a time finds out whether the provider is
//! back. A session whose refresh fails again and again, while others succeed, pauses for itself only.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::RefreshError;
use crate::clock::Timestamp;
use crate::store::SessionKey;

/// So many failures of one session in a row, and so many sessions that failed with no success in between, are enough.
const ENOUGH: u32 = 3;
/// How long nobody asks then, unless the provider says longer.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, whatever the provider says: its recovery is to be noticed soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a refresh that nobody waits for leaves a session alone after one that failed.
const BACKGROUND_PAUSE: Duration = Duration::from_secs(2);
/// A failure longer ago than this says nothing any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    sessions: HashMap<SessionKey, Failures>,
    /// When there are this many, those that are forgotten are removed, so that memory stays bounded.
    crowded_at: usize,
    provider: ProviderFailures,
}

/// One session's failures since its last success.
#[derive(Debug)]
struct Failures {
    count: u32,
    last: RefreshError,
    at: Timestamp,
}

/// The provider's failures since its last success.
#[derive(Debug, Default)]
struct ProviderFailures {
    sessions: HashSet<SessionKey>,
    last: Option<(RefreshError, Timestamp)>,
    /// The session whose refresh finds out whether the provider is back, and since when.
    trial: Option<(SessionKey, Timestamp)>,
}

impl ProviderFailures {
    /// Whether enough sessions failed in a row, the last one not long ago.
    fn is_failing(&self, now: Timestamp) -> bool {
        self.sessions.len() >= ENOUGH as usize
            && self
                .last
                .as_ref()
                .is_some_and(|(_, at)| is_within(*at, FORGOTTEN_AFTER, now))
    }

    /// The failure that others have just met, unless this session may find out whether the provider is back.
    fn refuses(&self, key: &SessionKey, now: Timestamp) -> Option<&RefreshError> {
        let (last, at) = self.last.as_ref().filter(|_| self.is_failing(now))?;
        let is_anothers = self
            .trial
            .is_some_and(|(trial, since)| trial != *key && is_within(since, FORGOTTEN_AFTER, now));
        (is_anothers || is_within(*at, pause(last), now)).then_some(last)
    }
}

impl Breaker {
    /// Whether a refresh of this session may ask the provider now.
    ///
    /// # Errors
    ///
    /// The failure that others have just met.
    pub(super) fn admit(&mut self, key: &SessionKey, now: Timestamp) -> Result<(), RefreshError> {
        if let Some(failures) = self.sessions.get(key)
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

    /// Whether a refresh of this session failed a moment ago, or others do: one that nobody waits for can wait then.
    pub(super) fn failed_lately(&self, key: &SessionKey, now: Timestamp) -> bool {
        self.sessions
            .get(key)
            .is_some_and(|failures| is_within(failures.at, BACKGROUND_PAUSE, now))
            || self.provider.refuses(key, now).is_some()
    }

    /// The provider has given a refresh an answer that makes sense, be it a refusal of the grant.
    pub(super) fn succeeded(&mut self, key: &SessionKey) {
        self.sessions.remove(key);
        self.provider = ProviderFailures::default();
    }

    /// A refresh has failed that says something of the provider.
    pub(super) fn failed(&mut self, key: &SessionKey, error: &RefreshError, now: Timestamp) {
        if self.sessions.len() >= self.crowded_at {
            self.sessions
                .retain(|_, failures| is_within(failures.at, FORGOTTEN_AFTER, now));
            self.crowded_at = (self.sessions.len() * 2).max(64);
        }
        let failures = self.sessions.entry(*key).or_insert_with(|| Failures {
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

        let provider = &mut self.provider;
        let is_old = |(_, at): &(RefreshError, Timestamp)| !is_within(*at, FORGOTTEN_AFTER, now);
        if provider.last.as_ref().is_some_and(is_old) {
            provider.sessions.clear();
        }
        if provider.sessions.len() < ENOUGH as usize {
            provider.sessions.insert(*key);
        }
        provider.last = Some((error.clone(), now));
        self.finished(key);
    }

    /// A refresh has ended without saying anything of the provider.
    pub(super) fn finished(&mut self, key: &SessionKey) {
        if self.provider.trial.is_some_and(|(trial, _)| trial == *key) {
            self.provider.trial = None;
        }
    }
}

fn pause(failure: &RefreshError) -> Duration {
    failure.retry_after().unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE)
}

/// Whether `now` is less than `length` after `at`. A clock that was set back ends every pause.
fn is_within(at: Timestamp, length: Duration, now: Timestamp) -> bool {
    at <= now && now.since(at) < length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> SessionKey {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        SessionKey::from_bytes(bytes)
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    const DOWN: RefreshError = RefreshError::HolderGaveUp;

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for n in 1..=3 {
            breaker.failed(&key(n), &DOWN, at(0));
        }
        breaker
    }

    #[test]
    fn two_failures_stop_nobody() {
        let mut breaker = Breaker::default();
        breaker.failed(&key(1), &DOWN, at(0));
        breaker.failed(&key(2), &DOWN, at(0));
        breaker.failed(&key(1), &DOWN, at(0));
        for n in 1..=3 {
            assert!(breaker.admit(&key(n), at(1)).is_ok());
        }
    }

    #[test]
    fn three_sessions_in_a_row_stop_all_for_a_second() {
        let mut breaker = opened();
        assert!(breaker.admit(&key(4), at(999)).is_err());
        assert!(breaker.admit(&key(4), at(1000)).is_ok());
    }

    #[test]
    fn one_session_stops_itself_only() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            breaker.failed(&key(1), &DOWN, at(0));
        }
        assert!(breaker.admit(&key(1), at(999)).is_err());
        assert!(breaker.admit(&key(2), at(1)).is_ok());
        assert!(breaker.admit(&key(1), at(1000)).is_ok());
    }

    #[test]
    fn a_success_lets_all_in() {
        let mut breaker = opened();
        breaker.succeeded(&key(4));
        for n in 1..=4 {
            assert!(breaker.admit(&key(n), at(1)).is_ok());
        }
    }

    #[test]
    fn one_at_a_time_finds_out_whether_the_provider_is_back() {
        let mut breaker = opened();
        assert!(breaker.admit(&key(4), at(1000)).is_ok());
        assert!(breaker.admit(&key(5), at(9000)).is_err(), "one is at it");
        breaker.failed(&key(4), &DOWN, at(9000));
        assert!(breaker.admit(&key(5), at(9999)).is_err());
        assert!(breaker.admit(&key(5), at(10_000)).is_ok());
        breaker.finished(&key(5));
        assert!(
            breaker.admit(&key(6), at(10_001)).is_ok(),
            "that one found nothing out"
        );
    }

    #[test]
    fn a_trial_that_never_ends_is_forgotten() {
        let mut breaker = opened();
        assert!(breaker.admit(&key(4), at(1000)).is_ok());
        assert!(breaker.admit(&key(5), at(29_999)).is_err());
        assert!(breaker.admit(&key(5), at(30_000)).is_ok());
    }

    #[test]
    fn old_failures_stop_nobody() {
        let mut breaker = opened();
        for n in 1..=9 {
            assert!(breaker.admit(&key(n), at(30_000)).is_ok());
            assert!(!breaker.failed_lately(&key(n), at(30_000)));
        }
    }

    #[test]
    fn whoever_finds_out_may_ask_again() {
        let mut breaker = opened();
        for _ in 0..3 {
            assert!(breaker.admit(&key(4), at(1000)).is_ok());
        }
        assert!(breaker.admit(&key(5), at(1000)).is_err());
    }

    #[test]
    fn who_need_not_wait_waits_for_the_pause_of_others() {
        let breaker = opened();
        assert!(breaker.failed_lately(&key(4), at(999)));
        assert!(!breaker.failed_lately(&key(4), at(1000)));
    }

    #[test]
    fn old_failures_do_not_add_up() {
        let mut breaker = Breaker::default();
        for n in 1..=10 {
            let now = at(i64::try_from(n).unwrap_or_default() * 30_000);
            breaker.failed(&key(n), &DOWN, now);
            breaker.failed(&key(0), &DOWN, now);
            assert!(breaker.admit(&key(0), now).is_ok());
            assert!(breaker.admit(&key(99), now).is_ok());
        }
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_pause() {
        let mut breaker = opened();
        assert!(breaker.admit(&key(4), at(-1)).is_ok());
        assert!(!breaker.failed_lately(&key(1), at(-1)));
    }

    #[test]
    fn an_outage_of_many_sessions_does_not_fill_the_memory() {
        let mut breaker = Breaker::default();
        for n in 0..100_000 {
            breaker.failed(&key(n), &DOWN, at(i64::try_from(n).unwrap_or_default() * 100));
        }
        assert!(breaker.sessions.len() < 1000, "{}", breaker.sessions.len());
    }
}
