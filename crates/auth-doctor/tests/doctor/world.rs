//! A set-up that is healthy, for tests to break.

use auth_core::clock::{Clock, TestClock};
use auth_doctor::{Demands, Depth, Options, Report, Severity, Variables, examine};
use auth_testing::{Client, Control, DevProvider, SigningAlgorithm};

pub(crate) const BASE: &str = "http://127.0.0.1:3000";
pub(crate) const CLIENT: &str = "the-app";
/// Distinctive, so that it is found wherever it gets to.
pub(crate) const SECRET: &str = "s3cret-of-the-client-0123456789";
/// A key of 32 random bytes.
pub(crate) const KEY: &str = "9f2c41d7a05be83366f10c5a7de2b9481c3fd06a92b47e58d1c60f3ba7e4952d";

pub(crate) struct World {
    pub(crate) provider: DevProvider,
    pub(crate) clock: TestClock,
    settings: Vec<(String, String)>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let clock = TestClock::new();
        let client = Client::confidential(CLIENT, SECRET).redirect_uri(format!("{BASE}/auth/callback"));
        let provider = DevProvider::builder()
            .clock(clock.clock())
            .client(client)
            .signing_algorithm(SigningAlgorithm::Es256)
            .start()
            .await
            .unwrap();
        let settings = [
            ("AUTH_ISSUER", provider.issuer()),
            ("AUTH_CLIENT_ID", CLIENT),
            ("AUTH_CLIENT_SECRET", SECRET),
            ("AUTH_BASE_URL", BASE),
            ("AUTH_SECRET", KEY),
            ("API_URL", provider.api_url()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            settings: settings.to_vec(),
            clock,
            provider,
        }
    }

    pub(crate) fn control(&self) -> &Control {
        self.provider.control()
    }

    /// Changes a setting; an empty value takes it away. `{issuer}` is the provider's.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(held, _)| held != name);
        if !value.is_empty() {
            let value = value.replace("{issuer}", self.provider.issuer());
            self.settings.push((name.to_owned(), value));
        }
    }

    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn variables(&self) -> Variables {
        Variables::of_table(self.settings.clone())
    }

    pub(crate) async fn examine(&self) -> Report {
        self.examine_to(Depth::Try).await
    }

    pub(crate) async fn examine_to(&self, depth: Depth) -> Report {
        examine(&self.variables(), &options(depth, self.clock.clock())).await
    }
}

pub(crate) fn options(depth: Depth, clock: Clock) -> Options {
    Options {
        depth,
        demands: Demands::default(),
        clock,
    }
}

pub(crate) fn has(report: &Report, id: &str) -> bool {
    report.findings.iter().any(|finding| finding.id == id)
}

/// Everything that is worse than a note.
pub(crate) fn complaints(report: &Report) -> Vec<&'static str> {
    report
        .findings
        .iter()
        .filter(|finding| finding.severity <= Severity::Warning)
        .map(|finding| finding.id)
        .collect()
}

pub(crate) fn detail<'a>(report: &'a Report, id: &str) -> &'a str {
    let found = report.findings.iter().find(|finding| finding.id == id);
    &found.unwrap_or_else(|| panic!("no {id}: {report:#?}")).detail
}
