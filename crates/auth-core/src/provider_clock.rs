//! How far this server's clock is from a provider's, by the `Date` of its answers (RFC 9110 §6.6.1).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::config::CLOCK_TOLERANCE;
use crate::http::Answer;
use crate::login::ClockSkew;
use crate::metrics;

/// An answer that took longer says too little of when its `Date` was written.
const QUICK: Duration = Duration::from_secs(2);

/// The clocks count as agreeing again once they are nearer than the tolerance by this much: `Date` is in whole seconds, and a
/// difference just about the tolerance would be told of with each answer.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// What is known of one provider's clock.
#[derive(Debug)]
pub(crate) struct ProviderClock {
    /// The provider's name in this application.
    name: Option<String>,
    /// Whether its name is one of the settings, so that it may be a metric's label.
    is_configured: bool,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<ClockSkew>,
    is_far_off: bool,
}

/// A difference that people are told of.
#[derive(Debug, PartialEq, Eq)]
enum Crossed {
    Away,
    Back,
}

impl ProviderClock {
    /// Of a provider that the settings name.
    pub(crate) fn configured(name: Option<String>, clock: Clock) -> Self {
        Self {
            name,
            is_configured: true,
            clock,
            state: Mutex::default(),
        }
    }

    /// Of a provider that was looked up.
    pub(crate) fn looked_up(name: String, clock: Clock) -> Self {
        Self {
            is_configured: false,
            ..Self::configured(Some(name), clock)
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What was measured last.
    pub(crate) fn last(&self) -> Option<ClockSkew> {
        self.lock().last
    }

    /// Takes the time from an answer to a request that was begun at `before` and took so long.
    pub(crate) fn hear(&self, answer: &Answer, before: Timestamp, took: Duration) {
        // An answer out of a cache bears the time when it was made (RFC 9111 §5.1).
        if took >= QUICK || answer.headers.contains_key(http::header::AGE) {
            return;
        }
        let Some(date) = answer.date() else { return };
        let skew = ClockSkew::measured(date, before, self.now());
        if self.is_configured {
            metrics::clock(self.name.as_deref(), skew.seconds());
        }
        match self.note(skew) {
            None => {}
            Some(Crossed::Away) => tracing::warn!(
                provider = self.name.as_deref(),
                code = "provider.clock_differs",
                difference = %skew,
                "this server's clock is further from the provider's than tokens allow"
            ),
            Some(Crossed::Back) => tracing::info!(
                provider = self.name.as_deref(),
                code = "provider.clock_differs",
                difference = %skew,
                "this server's clock is near the provider's again"
            ),
        }
    }

    fn note(&self, skew: ClockSkew) -> Option<Crossed> {
        let mut state = self.lock();
        state.last = Some(skew);
        let by = skew.by();
        let is_far_off = match state.is_far_off {
            false => by > CLOCK_TOLERANCE,
            true => by + BACK_WITHIN > CLOCK_TOLERANCE,
        };
        let was_far_off = std::mem::replace(&mut state.is_far_off, is_far_off);
        match (was_far_off, is_far_off) {
            (false, true) => Some(Crossed::Away),
            (true, false) => Some(Crossed::Back),
            _ => None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::clock::TestClock;

    const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn answer(date: Timestamp, further: &[(&'static str, &str)]) -> Answer {
        let date =
            std::time::UNIX_EPOCH + Duration::from_secs(date.as_secs().try_into().expect("after 1970"));
        let mut headers = HeaderMap::new();
        let date = httpdate::fmt_http_date(date);
        for (name, value) in [("date", date.as_str())].iter().chain(further) {
            headers.insert(*name, value.parse().expect("a value"));
        }
        Answer {
            status: StatusCode::OK,
            headers,
            body: Bytes::new(),
        }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// A provider's clock, seen from a server whose own shows noon.
    fn at_noon() -> ProviderClock {
        let clock = TestClock::new();
        clock.set(NOON);
        ProviderClock::configured(None, clock.clock())
    }

    #[test]
    fn what_an_answer_says_is_kept() {
        let clock = at_noon();
        assert_eq!(clock.last(), None);
        clock.hear(&answer(NOON.plus(secs(7)), &[]), NOON, secs(0));
        assert_eq!(clock.last(), Some(ClockSkew::Behind(secs(7))));
        clock.hear(&answer(NOON.minus(secs(7)), &[]), NOON, secs(1));
        assert_eq!(clock.last(), Some(ClockSkew::Ahead(secs(6))), "whole seconds");
    }

    #[test]
    fn slow_answers_and_those_of_caches_say_nothing() {
        let clock = at_noon();
        let far = NOON.plus(secs(600));
        clock.hear(&answer(far, &[]), NOON, QUICK);
        clock.hear(&answer(far, &[("age", "600")]), NOON, secs(0));
        clock.hear(&answer(far, &[("date", "tomorrow")]), NOON, secs(0));
        assert_eq!(clock.last(), None);
    }

    #[test]
    fn a_crossing_is_told_of_once() {
        for way in [ClockSkew::Behind, ClockSkew::Ahead] {
            let clock = at_noon();
            let note = |by| clock.note(way(secs(by)));
            assert_eq!([note(0), note(60)], [None, None]);
            assert_eq!([note(61), note(61), note(600)], [Some(Crossed::Away), None, None]);
            // Near the tolerance there is no to and fro.
            assert_eq!([note(60), note(56), note(61)], [None, None, None]);
            assert_eq!([note(55), note(0)], [Some(Crossed::Back), None]);
            assert_eq!(note(61), Some(Crossed::Away));
        }
    }
}
