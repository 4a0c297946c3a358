//! The report: as text for people, as JSON for programs, and the exit code.

use std::fmt::Write as _;

use serde::Serialize;

use crate::catalogue::AREAS;
use crate::finding::{Finding, Findings, Profile, Severity, area_of};
use crate::{Demands, variables::Variables};

/// The version of the JSON document ([`Report::json`]). A member that is added does not change it.
pub const JSON_VERSION: u32 = 1;

/// No line of the text ([`Report::text`]) has more characters, so that it fits a terminal.
pub const COLUMNS: usize = 80;

/// Everything that was found, and what it comes to; made by [`examine`](crate::examine).
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of the document, [`JSON_VERSION`].
    pub version: u32,
    /// What was examined. Of several providers, each is in `providers`, and this is empty.
    pub subject: Subject,
    /// The providers that `AUTH_PROVIDERS` lists; empty where there is one without a name.
    pub providers: Vec<Subject>,
    /// The findings, area by area, what matters most first; of several providers, one provider after the other.
    pub findings: Vec<Finding>,
    /// Whether the set-up fits each profile, in the order of [`Profile::ALL`].
    pub verdicts: Vec<Verdict>,
    /// How many findings there are of each severity.
    pub summary: Summary,
    /// The exit code of the program: 1 where there are errors, or warnings that are [to fail](Demands::strict), else 0.
    pub exit_code: u8,
}

/// What was examined. None of it is secret: the browser of everybody who signs in is shown all of it.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Subject {
    /// The provider's name in `AUTH_PROVIDERS`; `None` where there is one without a name.
    pub name: Option<String>,
    /// `AUTH_ISSUER`, or the authorization endpoint of a plain OAuth 2.0 provider; `None` where neither is set.
    pub provider: Option<String>,
    /// `AUTH_CLIENT_ID`; `None` where it is not set, or not looked at.
    pub client_id: Option<String>,
    /// The redirect URI that has to be registered at the provider; `None` where the settings do not say it.
    pub redirect_uri: Option<String>,
}

/// Whether the set-up fits a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Which profile it is.
    pub profile: Profile,
    /// Whether it fits. `None` where nothing speaks against it, and too little is known of the provider to say that it does.
    pub fits: Option<bool>,
    /// Whether the provider could be judged as well.
    pub complete: bool,
    /// The ids of the findings that speak against it; empty where nothing does.
    pub missing: Vec<&'static str>,
}

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// How many [errors](Severity::Error) there are.
    pub errors: usize,
    /// How many [warnings](Severity::Warning) there are.
    pub warnings: usize,
    /// How many [notes](Severity::Note) there are.
    pub notes: usize,
    /// How much is [as it should be](Severity::Ok).
    pub ok: usize,
}

impl Report {
    /// `is_known`: whether enough of the provider was seen to judge the set-up.
    pub(crate) fn new(
        subject: Subject,
        providers: Vec<Subject>,
        mut findings: Findings,
        demands: Demands,
        is_known: bool,
        variables: &Variables,
    ) -> Self {
        if demands.fapi2 {
            findings.demand(Profile::Fapi2);
        }
        let mut findings = findings.into_sorted(&providers);
        let secrets = variables.secrets();
        for finding in &mut findings {
            finding.detail = without(&secrets, std::mem::take(&mut finding.detail));
        }
        let count = |severity| findings.iter().filter(|found| found.severity == severity).count();
        let summary = Summary {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            ok: count(Severity::Ok),
        };
        let fails = summary.errors > 0 || demands.strict && summary.warnings > 0;
        Self {
            version: JSON_VERSION,
            subject,
            providers,
            verdicts: Profile::ALL
                .into_iter()
                .map(|profile| Verdict::of(profile, &findings, is_known))
                .collect(),
            findings,
            summary,
            exit_code: u8::from(fails),
        }
    }

    /// The report for programs, a JSON document; `docs/doctor.md` has its members.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has string keys and whole numbers only")
    }

    /// The report for people, in lines of [`COLUMNS`] characters at most.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("auth-doctor {}\n\n", env!("CARGO_PKG_VERSION"));
        if self.providers.is_empty() {
            self.subject.write(&mut text);
        } else {
            let names: Vec<_> = self
                .providers
                .iter()
                .filter_map(|one| one.name.as_deref())
                .collect();
            wrapped(
                &mut text,
                &format!("  {:<14}", "providers"),
                16,
                &names.join(", "),
            );
        }
        self.areas(&mut text, None, paint);
        for provider in &self.providers {
            let name = provider.name.as_deref();
            let headline = format!("Provider {}", name.unwrap_or_default());
            let _ = writeln!(text, "\n{}\n", paint.bold(&headline));
            provider.write(&mut text);
            self.areas(&mut text, name, paint);
        }
        let _ = writeln!(text, "\n{}", paint.bold("Verdict"));
        for verdict in &self.verdicts {
            wrapped(
                &mut text,
                &format!("  {:<11}", verdict.profile.as_str()),
                13,
                &verdict.in_words(),
            );
        }
        let _ = writeln!(text, "\n{}", self.summary.in_words());
        text
    }

    /// What was found of the application, or of the provider of this name.
    fn areas(&self, text: &mut String, provider: Option<&str>, paint: Paint) {
        for (area, headline) in AREAS {
            let mut findings = self
                .findings
                .iter()
                .filter(|found| area_of(found.id) == *area && found.provider.as_deref() == provider)
                .peekable();
            if findings.peek().is_some() {
                let _ = writeln!(text, "\n{}", paint.bold(headline));
            }
            for finding in findings {
                self.finding(text, finding, paint);
            }
        }
    }

    fn finding(&self, text: &mut String, finding: &Finding, paint: Paint) {
        let label = format!("{:<9}", finding.severity.as_str());
        let mut block = String::new();
        wrapped(&mut block, &format!("  {label}"), 11, finding.title);
        // Painted afterwards: the codes have no width.
        text.push_str(&block.replacen(&label, &paint.severity(finding.severity, &label), 1));
        if !finding.detail.is_empty() {
            wrapped(text, &" ".repeat(11), 11, &finding.detail);
        }
        if finding.severity != Severity::Ok {
            if !finding.mend.is_empty() {
                wrapped(text, "           -> ", 14, finding.mend);
            }
            let reference = match finding.reference {
                "" => finding.id.to_owned(),
                reference => format!("{} ({reference})", finding.id),
            };
            let mut block = String::new();
            wrapped(&mut block, &" ".repeat(11), 11, &reference);
            text.push_str(&paint.faint(&block));
        }
    }
}

impl Subject {
    fn write(&self, text: &mut String) {
        for (name, value) in [
            ("provider", &self.provider),
            ("client id", &self.client_id),
            ("redirect URI", &self.redirect_uri),
        ] {
            let value = value.as_deref().unwrap_or("(not set)");
            wrapped(text, &format!("  {name:<14}"), 16, value);
        }
    }
}

impl Verdict {
    fn of(profile: Profile, findings: &[Finding], is_known: bool) -> Self {
        let mut missing = Vec::new();
        for found in findings {
            let speaks_against = found.severity != Severity::Ok && found.against.contains(&profile);
            // What several providers lack is one point.
            if speaks_against && !missing.contains(&found.id) {
                missing.push(found.id);
            }
        }
        let fits = match (missing.is_empty(), is_known) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        };
        Self {
            profile,
            fits,
            complete: is_known,
            missing,
        }
    }

    fn in_words(&self) -> String {
        match (self.fits, &self.missing) {
            (None, _) => "not judged: too little is known of the provider".to_owned(),
            (Some(true), _) => "nothing that can be seen from here speaks against it".to_owned(),
            (Some(false), missing) => {
                let at_least = if self.complete { "" } else { "at least " };
                let points = match missing.len() {
                    1 => "1 point is".to_owned(),
                    many => format!("{many} points are"),
                };
                format!("{at_least}{points} missing: {}", missing.join(", "))
            }
        }
    }
}

impl Summary {
    fn in_words(self) -> String {
        let many = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        format!(
            "{}, {}, {}, {} good",
            many(self.errors, "error"),
            many(self.warnings, "warning"),
            many(self.notes, "note"),
            self.ok
        )
    }
}

/// Whether the text for people has colours. The program gives it some on a terminal, where nobody has set `NO_COLOR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// Plain text; the default.
    #[default]
    Plain,
    /// Colours, by the escape sequences of ANSI terminals.
    Colours,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn faint(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            // The end of the line stays outside, so that nothing that follows is faint.
            Self::Colours => self.with("2", text.trim_end_matches('\n')) + "\n",
        }
    }

    fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Error => "31;1",
            Severity::Warning => "33;1",
            Severity::Note => "36",
            Severity::Ok => "32",
        };
        self.with(code, text)
    }
}

/// Writes text with something before its first line, and the further lines indented.
fn wrapped(text: &mut String, before: &str, indent: usize, what: &str) {
    let indent = " ".repeat(indent);
    let options = textwrap::Options::new(COLUMNS)
        .initial_indent(before)
        .subsequent_indent(&indent)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    // What stands between backticks is code in the documentation; a terminal needs no marks.
    for line in textwrap::wrap(&what.replace('`', ""), options) {
        text.push_str(&line);
        text.push('\n');
    }
}

/// The text with nothing secret in it. It has none; this is in case that it has.
fn without(secrets: &[String], mut text: String) -> String {
    for secret in secrets {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), "(secret)");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn report(check: &catalogue::Check, detail: &str, demands: Demands) -> Report {
        let mut findings = Findings::default();
        findings.say(check, detail);
        let variables = Variables::of_table([
            ("AUTH_CLIENT_SECRET", "a very special secret"),
            ("AUTH_STAFF_CLIENT_SECRET", "a very special word"),
            ("AUTH_STAFF_TOKEN_URL", "https://app:very-special@id.example"),
        ]);
        Report::new(
            Subject::default(),
            Vec::new(),
            findings,
            demands,
            true,
            &variables,
        )
    }

    #[test]
    fn a_profile_that_is_demanded_makes_errors_of_what_speaks_against_it() {
        let check = &catalogue::REQUESTS_NOT_PUSHED;
        let plain = report(check, "", Demands::default());
        assert_eq!((plain.findings[0].severity, plain.exit_code), (Severity::Note, 0));
        let demanded = report(
            check,
            "",
            Demands {
                fapi2: true,
                ..Demands::default()
            },
        );
        assert_eq!(
            (demanded.findings[0].severity, demanded.exit_code),
            (Severity::Error, 1)
        );
        let other = report(
            &catalogue::STORE_MEMORY,
            "",
            Demands {
                fapi2: true,
                ..Demands::default()
            },
        );
        assert_eq!((other.findings[0].severity, other.exit_code), (Severity::Note, 0));
    }

    #[test]
    fn strict_fails_on_warnings_and_not_on_notes() {
        let strict = Demands {
            strict: true,
            ..Demands::default()
        };
        assert_eq!(report(&catalogue::SECRET_UNSET, "", strict).exit_code, 1);
        assert_eq!(
            report(&catalogue::SECRET_UNSET, "", Demands::default()).exit_code,
            0
        );
        assert_eq!(report(&catalogue::STORE_MEMORY, "", strict).exit_code, 0);
    }

    #[test]
    fn no_secret_gets_through_even_if_a_text_had_one() {
        let report = report(
            &catalogue::CLIENT_REFUSED,
            "it was a very special secret, a very special word, very-special",
            Demands::default(),
        );
        for text in [
            report.json(),
            report.text(Paint::Plain),
            report.text(Paint::Colours),
        ] {
            assert!(!text.contains("very"), "{text}");
            assert!(text.contains("it was (secret), (secret), (secret)"), "{text}");
        }
    }

    #[test]
    fn no_line_is_too_long_whatever_the_detail_is() {
        for check in catalogue::ALL {
            let report = report(check, &"https://id.example/".repeat(20), Demands::default());
            for line in report.text(Paint::Plain).lines() {
                assert!(line.chars().count() <= COLUMNS, "{line}");
            }
        }
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let report = report(&catalogue::SECRET_UNSET, "a detail", Demands::default());
        let mut text = report.text(Paint::Colours);
        for code in ["0", "1", "2", "31;1", "33;1", "36", "32"] {
            text = text.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(text, report.text(Paint::Plain));
    }
}
