//! What is counted and measured, by the facade of the crate `metrics`; with the feature `metrics`, and else not at all.
//!
//! `docs/metrics.md` lists it; a test holds the two equal. Every label has a value of a list that is known beforehand: no
//! address, no path, no name of a user.

use crate::events::EventKind;
use crate::http::{Answer, Asked, HttpError};
use crate::token::Revoked;

#[cfg(not(feature = "metrics"))]
use disabled as recorder;
#[cfg(feature = "metrics")]
use enabled as recorder;

#[cfg(feature = "metrics")]
pub(crate) use enabled::describe;

/// Counts what has just happened.
pub(crate) fn count(kind: &EventKind) {
    use recorder::{FAILURES, REFRESHES, REVOCATIONS, SESSIONS_ENDED, SIGN_INS, SWITCHES};

    use crate::events::EndReason::{GrantEnded, IdTokenRefused};
    match kind {
        EventKind::SignedIn => SIGN_INS.count([]),
        EventKind::Switched { .. } => SWITCHES.count([]),
        EventKind::SignInFailed { code, .. } | EventKind::RequestRefused { code, .. } => {
            FAILURES.count([code])
        }
        EventKind::SessionEnded { reason } => {
            SESSIONS_ENDED.count([reason.as_str()]);
            if matches!(reason, GrantEnded | IdTokenRefused) {
                REFRESHES.count(["session_ended"]);
            }
        }
        EventKind::Refreshed => REFRESHES.count(["refreshed"]),
        EventKind::RefreshFailed { code } => REFRESHES.count([code]),
        EventKind::RevocationFailed { .. } => REVOCATIONS.count(["failed"]),
        EventKind::RevocationGivenUp { .. } => REVOCATIONS.count(["given_up"]),
    }
}

/// Counts a token that the provider was asked to revoke, and what it said.
pub(crate) fn revocation(answer: Revoked) {
    match answer {
        Revoked::Yes => recorder::REVOCATIONS.count(["revoked"]),
        Revoked::Unsupported => recorder::REVOCATIONS.count(["unsupported"]),
        Revoked::NoEndpoint => {}
    }
}

/// Notes how far the clock of the provider of this name is from this server's.
pub(crate) fn clock(provider: Option<&str>, seconds: f64) {
    recorder::CLOCK_DIFFERENCE.set([provider.unwrap_or_default()], seconds);
}

pub(crate) use recorder::Timing;

impl Timing {
    /// Notes how long the provider took.
    pub(crate) fn of_provider(self, asked: Asked, result: &Result<Answer, HttpError>) {
        let outcome = match result {
            Ok(answer) if answer.status.is_success() => "ok",
            Ok(answer) if answer.is_outage() => "unavailable",
            Ok(_) => "refused",
            Err(_) => "no_answer",
        };
        self.note(&recorder::PROVIDER_DURATION, [asked.name(), outcome]);
    }

    /// Notes how long the store took.
    pub(crate) fn of_store<T, E>(self, operation: &'static str, result: &Result<T, E>) {
        let outcome = if result.is_ok() { "ok" } else { "error" };
        self.note(&recorder::STORE_DURATION, [operation, outcome]);
    }
}

#[cfg(feature = "metrics")]
mod enabled {
    use std::time::Instant;

    use metrics::{Label, Unit};

    /// A counter with these labels.
    pub(super) struct Counter<const N: usize> {
        pub(super) name: &'static str,
        pub(super) help: &'static str,
        /// Each with what its values are.
        pub(super) labels: [(&'static str, &'static str); N],
    }

    /// A histogram of seconds with these labels.
    pub(super) struct Seconds<const N: usize>(pub(super) Counter<N>);

    /// A gauge of seconds with these labels.
    pub(super) struct Gauge<const N: usize>(pub(super) Counter<N>);

    pub(super) const SIGN_INS: Counter<0> = Counter {
        name: "auth_sign_ins_total",
        help: "Sign-ins that succeeded",
        labels: [],
    };
    pub(super) const SWITCHES: Counter<0> = Counter {
        name: "auth_switches_total",
        help: "Sessions that have gone on with other tokens under another identifier; each has ended as `replaced` under the old one",
        labels: [],
    };
    pub(super) const SESSIONS_ENDED: Counter<1> = Counter {
        name: "auth_sessions_ended_total",
        help: "Sessions that somebody or something has ended; expiry does not count",
        labels: [(
            "reason",
            "the reasons of `EndReason`: `signed_out`, `ended_by_user`, `ended_by_app`, `back_channel_logout`, `front_channel_logout`, `grant_ended`, `id_token_refused`, `replaced`",
        )],
    };
    pub(super) const REFRESHES: Counter<1> = Counter {
        name: "auth_refreshes_total",
        help: "Refreshes of access tokens by this process; many requests may share one",
        labels: [(
            "outcome",
            "`refreshed`, `session_ended`, or the code of the failure that the session outlived",
        )],
    };
    pub(super) const FAILURES: Counter<1> = Counter {
        name: "auth_failures_total",
        help: "Requests that were refused or failed, sign-ins among them",
        labels: [(
            "code",
            "a code of [errors.md](errors.md); `session.none` and `session.ended` are people who are not signed in",
        )],
    };
    pub(super) const REVOCATIONS: Counter<1> = Counter {
        name: "auth_revocations_total",
        help: "Requests to revoke a token",
        labels: [(
            "outcome",
            "`revoked`; `unsupported`: the provider does not revoke tokens of this type; `failed`: it is tried again; `given_up`: it is not tried again",
        )],
    };
    pub(super) const STORE_DURATION: Seconds<2> = Seconds(Counter {
        name: "auth_store_duration_seconds",
        help: "How long an operation of the session store took",
        labels: [
            (
                "operation",
                "a method of `SessionStore` or `AppDataStore`, `load`",
            ),
            ("outcome", "`ok`, `error`"),
        ],
    });
    pub(super) const PROVIDER_DURATION: Seconds<2> = Seconds(Counter {
        name: "auth_provider_duration_seconds",
        help: "How long a request to the provider took",
        labels: [
            (
                "endpoint",
                "`discovery`, `jwks`, `pushed_authorization`, `token`, `userinfo`, `revocation`, `introspection`",
            ),
            (
                "outcome",
                "`ok`; `refused`: 4xx or a redirect; `unavailable`: 5xx or 429; `no_answer`: no connection, a time-out, too large",
            ),
        ],
    });

    pub(super) const CLOCK_DIFFERENCE: Gauge<1> = Gauge(Counter {
        name: "auth_provider_clock_difference_seconds",
        help: "By how much this server's clock is ahead of the provider's, at least; negative where it is behind",
        labels: [(
            "provider",
            "a name in `AUTH_PROVIDERS`, of `AuthBuilder::provider` or of `AuthBuilder::further_provider`; empty for the provider that has none",
        )],
    });

    impl<const N: usize> Gauge<N> {
        pub(super) fn set(&self, values: [&str; N], to: f64) {
            let names = self.0.labels.iter().map(|(name, _)| *name);
            let labels: Vec<_> = names
                .zip(values)
                .map(|(name, value)| Label::new(name, value.to_owned()))
                .collect();
            metrics::gauge!(self.0.name, labels).set(to);
        }
    }

    impl<const N: usize> Counter<N> {
        pub(super) fn count(&self, values: [&'static str; N]) {
            metrics::counter!(self.name, self.labels(values)).increment(1);
        }

        fn labels(&self, values: [&'static str; N]) -> Vec<Label> {
            let names = self.labels.iter().map(|(name, _)| *name);
            names
                .zip(values)
                .map(|(name, value)| Label::from_static_parts(name, value))
                .collect()
        }
    }

    /// Tells the recorder that is installed what each metric is.
    pub(crate) fn describe() {
        fn counter<const N: usize>(of: &Counter<N>) {
            metrics::describe_counter!(of.name, Unit::Count, of.help);
        }
        fn seconds<const N: usize>(of: &Seconds<N>) {
            metrics::describe_histogram!(of.0.name, Unit::Seconds, of.0.help);
        }
        counter(&SIGN_INS);
        counter(&SWITCHES);
        counter(&SESSIONS_ENDED);
        counter(&REFRESHES);
        counter(&FAILURES);
        counter(&REVOCATIONS);
        seconds(&STORE_DURATION);
        seconds(&PROVIDER_DURATION);
        metrics::describe_gauge!(CLOCK_DIFFERENCE.0.name, Unit::Seconds, CLOCK_DIFFERENCE.0.help);
    }

    /// When something began.
    pub(crate) struct Timing(Instant);

    impl Timing {
        pub(crate) fn start() -> Self {
            Self(Instant::now())
        }

        pub(super) fn note<const N: usize>(self, to: &Seconds<N>, values: [&'static str; N]) {
            metrics::histogram!(to.0.name, to.0.labels(values)).record(self.0.elapsed());
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {
    pub(super) struct Nothing<const N: usize>;

    pub(super) const SIGN_INS: Nothing<0> = Nothing;
    pub(super) const SWITCHES: Nothing<0> = Nothing;
    pub(super) const SESSIONS_ENDED: Nothing<1> = Nothing;
    pub(super) const REFRESHES: Nothing<1> = Nothing;
    pub(super) const FAILURES: Nothing<1> = Nothing;
    pub(super) const REVOCATIONS: Nothing<1> = Nothing;
    pub(super) const STORE_DURATION: Nothing<2> = Nothing;
    pub(super) const PROVIDER_DURATION: Nothing<2> = Nothing;

    pub(super) const CLOCK_DIFFERENCE: Nothing<1> = Nothing;

    impl<const N: usize> Nothing<N> {
        #[allow(clippy::unused_self, reason = "the twin uses it")]
        pub(super) fn set(&self, _: [&str; N], _: f64) {}

        #[allow(clippy::unused_self, reason = "the twin uses it")]
        pub(super) fn count(&self, _: [&'static str; N]) {}
    }

    pub(crate) struct Timing;

    impl Timing {
        pub(crate) fn start() -> Self {
            Self
        }

        #[allow(clippy::unused_self, reason = "the twin uses it")]
        pub(super) fn note<const N: usize>(self, _: &Nothing<N>, _: [&'static str; N]) {}
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::enabled::{
        CLOCK_DIFFERENCE, Counter, FAILURES, PROVIDER_DURATION, REFRESHES, REVOCATIONS, SESSIONS_ENDED,
        SIGN_INS, STORE_DURATION, SWITCHES,
    };
    use crate::events::EndReason;

    const BEGINS: &str = "| Metric | Kind | What it is | Labels |\n| --- | --- | --- | --- |\n";

    fn row<const N: usize>(kind: &str, of: &Counter<N>) -> String {
        let mut labels = String::new();
        for (name, values) in of.labels {
            let joint = if labels.is_empty() { "" } else { "<br>" };
            write!(labels, "{joint}`{name}`: {values}").expect("a string takes it");
        }
        let labels = if labels.is_empty() { "–" } else { &labels };
        format!("| `{}` | {kind} | {} | {labels} |\n", of.name, of.help)
    }

    #[test]
    fn the_documentation_lists_every_metric() {
        let table = [
            row("counter", &SIGN_INS),
            row("counter", &SWITCHES),
            row("counter", &SESSIONS_ENDED),
            row("counter", &REFRESHES),
            row("counter", &FAILURES),
            row("counter", &REVOCATIONS),
            row("histogram", &STORE_DURATION.0),
            row("histogram", &PROVIDER_DURATION.0),
            row("gauge", &CLOCK_DIFFERENCE.0),
        ]
        .concat();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let found = std::fs::read_to_string(&path).expect("docs/metrics.md is there");
        let (before, after) = found.split_once(BEGINS).expect("it has the table");
        let after = after.split_once("\n\n").map_or("", |(_, after)| after);
        let expected = format!("{before}{BEGINS}{table}\n{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &expected).expect("it can be written");
            return;
        }
        assert!(
            found == expected,
            "docs/metrics.md is not what the code says; write its table anew with\n\
             UPDATE_DOCS=1 cargo test -p auth-core --all-features --lib the_documentation_lists_every_metric"
        );
    }

    #[test]
    fn every_reason_of_an_end_is_documented() {
        let [(_, values)] = SESSIONS_ENDED.labels;
        for reason in EndReason::ALL {
            assert!(values.contains(&format!("`{reason}`")), "{reason}");
        }
    }
}
