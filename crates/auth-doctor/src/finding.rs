//! What the doctor finds, and what it makes of it.

use serde::{Serialize, Serializer};

use crate::catalogue::{AREAS, Check};
use crate::report::Subject;

/// How much a finding matters. Ordered by that: what matters most is least, and comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The application does not start, or nobody can sign in, or somebody can sign in as somebody else.
    Error,
    /// It works, and is weaker or more fragile than it has to be.
    Warning,
    /// Good to know.
    Note,
    /// As it should be.
    Ok,
}

impl Severity {
    /// As one word, such as `warning`: its name in the JSON document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Ok => "ok",
        }
    }
}

/// What a set-up can be held to: what a specification demands of applications and providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// The OAuth 2.1 Authorization Framework (draft).
    OAuth21,
    /// Best Current Practice for OAuth 2.0 Security (RFC 9700).
    Rfc9700,
    /// FAPI 2.0 Security Profile.
    Fapi2,
}

impl Profile {
    /// All profiles, in the order of a report.
    pub const ALL: [Self; 3] = [Self::OAuth21, Self::Rfc9700, Self::Fapi2];

    /// Its name for people, such as `RFC 9700`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OAuth21 => "OAuth 2.1",
            Self::Rfc9700 => "RFC 9700",
            Self::Fapi2 => "FAPI 2.0",
        }
    }
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The stable id, such as `discovery.issuer_mismatch`; what stands before the point is the area.
    pub id: &'static str,
    /// How much it matters here: as a rule what the [`Check`] says, and an error where the profile that was asked for does
    /// not allow it.
    pub severity: Severity,
    /// What was found, in one sentence.
    pub title: &'static str,
    /// What there is to say of this one case; empty where there is nothing. It never holds a secret.
    pub detail: String,
    /// What mends it; empty where nothing has to be mended.
    pub mend: &'static str,
    /// The specification and its section that it goes by; empty where there is none.
    pub reference: &'static str,
    /// The profiles that the set-up does not fit because of this.
    pub against: &'static [Profile],
    /// Which of several providers (`AUTH_PROVIDERS`) it is about. `None` where it is about the application, and where there is
    /// one provider.
    pub provider: Option<String>,
}

/// The findings so far. Of two with one id the first is kept.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    pub(crate) fn add(&mut self, check: &Check) {
        self.say(check, String::new());
    }

    /// With what there is to say of this one case.
    pub(crate) fn say(&mut self, check: &Check, detail: impl Into<String>) {
        if !self.has(check) {
            self.say_also(check, detail);
        }
    }

    /// Once more, where it was found more than once.
    pub(crate) fn say_also(&mut self, check: &Check, detail: impl Into<String>) {
        self.list.push(Finding {
            id: check.id,
            severity: check.severity,
            title: check.title,
            detail: detail.into(),
            mend: check.mend,
            reference: check.reference,
            against: check.against,
            provider: None,
        });
    }

    /// Makes errors of what a profile does not allow.
    pub(crate) fn demand(&mut self, profile: Profile) {
        for finding in &mut self.list {
            if finding.against.contains(&profile) {
                finding.severity = Severity::Error;
            }
        }
    }

    /// Adds what was found elsewhere.
    pub(crate) fn append(&mut self, findings: Self) {
        self.list.extend(findings.list);
    }

    /// Takes one away in favour of another, which says more; its detail stays.
    pub(crate) fn replace(&mut self, check: &Check, by: &Check) {
        if let Some(at) = self.list.iter().position(|finding| finding.id == check.id) {
            let replaced = self.list.remove(at);
            self.say(by, replaced.detail);
        }
    }

    /// Adds what was found of one of several providers.
    pub(crate) fn add_provider(&mut self, name: &str, findings: Self) {
        self.list.extend(findings.list.into_iter().map(|finding| Finding {
            provider: Some(name.to_owned()),
            ..finding
        }));
    }

    pub(crate) fn has(&self, check: &Check) -> bool {
        self.list.iter().any(|finding| finding.id == check.id)
    }

    /// Whether nothing is wrong in an area.
    pub(crate) fn is_good(&self, area: &str) -> bool {
        !self
            .list
            .iter()
            .any(|finding| area_of(finding.id) == area && finding.severity <= Severity::Warning)
    }

    /// All of them, area by area, what matters most first: those of the application, then those of each of `providers`.
    pub(crate) fn into_sorted(mut self, providers: &[Subject]) -> Vec<Finding> {
        let area = |id| AREAS.iter().position(|(area, _)| *area == area_of(id));
        let place = |name: &Option<String>| match name {
            None => None,
            name => providers.iter().position(|provider| provider.name == *name),
        };
        self.list
            .sort_by_key(|finding| (place(&finding.provider), area(finding.id), finding.severity));
        self.list
    }
}

/// What stands before the point.
pub(crate) fn area_of(id: &str) -> &str {
    id.split('.').next().unwrap_or_default()
}
