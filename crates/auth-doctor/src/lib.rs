//! Tells in plain words what is wrong or weak in a sign-in set-up.
//!
//! [`examine`] reads the settings that the applications read, asks the provider what it says of itself, and tries out what can
//! be tried without a user. It gives a [`Report`]; the program `auth-doctor` prints it. `docs/doctor.md` lists every finding.
//!
//! What the application would make of a setting, a document or an answer is asked of the library itself wherever that is the
//! question: the settings are read by [`AuthBuilder::from_variables`](auth_core::AuthBuilder::from_variables), a sign-in is
//! begun by [`Auth::login`](auth_core::Auth::login), an answer is taken by [`Auth::callback`](auth_core::Auth::callback).
//!
//! The doctor changes nothing and signs nobody in. It opens the session store as an application does at its start, which makes
//! missing tables, but no file. No secret is in a report.
//!
//! ```no_run
//! use auth_doctor::{Options, Paint, Variables, examine};
//!
//! # async fn example() {
//! let report = examine(&Variables::of_environment(), &Options::default()).await;
//! print!("{}", report.text(Paint::Plain));
//! # }
//! ```

#![warn(rustdoc::missing_crate_level_docs)]

mod browser;
pub mod catalogue;
mod finding;
mod http;
mod keys;
mod provider;
mod report;
mod settings;
mod sign_in;
mod store;
mod variables;

use std::time::Duration;

use auth_core::clock::Clock;

pub use finding::{Finding, Profile, Severity};
pub use report::{COLUMNS, JSON_VERSION, Paint, Report, Subject, Summary, Verdict};
pub use variables::Variables;

use finding::Findings;
use http::Tls;
use provider::Provider;
use settings::Settings;

/// A provider that takes longer is slow.
const SLOW: Duration = Duration::from_secs(2);

/// How far the doctor goes; each step does what those before it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The settings alone: nobody is asked, and the store is not opened.
    Settings,
    /// The store is opened, and the provider is asked what anybody may ask.
    Read,
    /// The client shows the provider who it is, with an authorization request that asks nobody (`prompt=none`, OIDC Core §3.1.2.1)
    /// and a code that is none. The default.
    #[default]
    Try,
}

/// What the set-up is held to, beyond working.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Demands {
    /// Whether what the FAPI 2.0 Security Profile does not allow is an error. Default: false.
    pub fapi2: bool,
    /// Whether warnings fail as errors do, in [`Report::exit_code`]. Default: false.
    pub strict: bool,
}

impl Demands {
    /// Sets [`fapi2`](Self::fapi2): whether what the FAPI 2.0 Security Profile does not allow is an error.
    #[must_use]
    pub const fn fapi2(mut self, is_demanded: bool) -> Self {
        self.fapi2 = is_demanded;
        self
    }

    /// Sets [`strict`](Self::strict): whether warnings fail as errors do.
    #[must_use]
    pub const fn strict(mut self, is_strict: bool) -> Self {
        self.strict = is_strict;
        self
    }
}

/// How to examine a set-up, for [`examine`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How far to go. Default: to the end, [`Depth::Try`].
    pub depth: Depth,
    /// What the set-up is held to. Default: to nothing beyond working.
    pub demands: Demands,
    /// This machine's clock, which the provider's is compared with. Default: the system's.
    pub clock: Clock,
}

/// Examines a set-up. It does not fail: whatever goes wrong is a finding.
///
/// It takes as long as the provider takes; each request ends within `HTTP_TIMEOUT_SECS` (10 s by default).
///
/// ```
/// use auth_doctor::{Depth, Options, Severity, Variables, examine};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // Nobody is asked: a test of settings that are to be rolled out.
/// let variables = Variables::of_table([
///     ("AUTH_BASE_URL", "https://app.example"),
///     ("AUTH_ISSUER", "http://id.example"),
///     ("AUTH_CLIENT_ID", "my-app"),
/// ]);
/// let options = Options { depth: Depth::Settings, ..Options::default() };
/// let report = examine(&variables, &options).await;
///
/// for finding in report.findings.iter().filter(|finding| finding.severity == Severity::Error) {
///     println!("{}: {} {} {}", finding.id, finding.title, finding.detail, finding.mend);
/// }
/// assert_eq!(report.exit_code, 1, "an issuer needs https");
/// # }
/// ```
pub async fn examine(variables: &Variables, options: &Options) -> Report {
    let Some(names) = variables.providers() else {
        let part = examine_part(variables, options).await;
        return Report::new(
            Subject::of(&part.settings),
            Vec::new(),
            part.findings,
            options.demands,
            part.is_known,
            variables,
        );
    };
    let mut refused = Findings::default();
    let can_be_told_apart = settings::judge_providers(variables, &mut refused);
    let application = examine_part(&variables.of_application(), options).await;
    let mut findings = application.findings;
    findings.append(refused);
    let (mut providers, mut of_providers, mut has_profile) = (Vec::new(), Vec::new(), false);
    let mut is_known = can_be_told_apart;
    for name in names.iter().filter(|_| can_be_told_apart) {
        let own = application.settings.variables.of_provider(name);
        let mut part = examine_part(&own, options).await;
        provider::judge_mix_up(&mut part.findings);
        is_known &= part.is_known;
        has_profile |= part.settings.profile().is_some();
        providers.push(Subject::of(&part.settings));
        of_providers.push((name, part.findings));
    }
    // The application around them has to be what one of them demands.
    if has_profile {
        findings.demand(Profile::Fapi2);
    }
    for (name, of_provider) in of_providers {
        findings.add_provider(name, of_provider);
    }
    settings::judge_together(variables, &options.clock, &mut findings).await;
    let subject = Subject::default();
    Report::new(subject, providers, findings, options.demands, is_known, variables)
}

/// What was seen of a set-up, or of a part of it.
struct Part {
    settings: Settings,
    findings: Findings,
    /// Whether enough of the provider was seen to judge the set-up.
    is_known: bool,
}

async fn examine_part(variables: &Variables, options: &Options) -> Part {
    let mut findings = Findings::default();
    let (clock, depth) = (&options.clock, options.depth);
    let settings = Settings::read(variables, depth >= Depth::Read, clock, &mut findings).await;
    store::judge(&settings, &mut findings);
    let mut provider = Provider::unknown();
    if depth >= Depth::Read {
        if let Some(auth) = settings.auth.as_ref().filter(|_| variables.have_application()) {
            store::ask(&settings, auth, &mut findings).await;
        }
        if let Some(http) = settings.http(Tls::Any, clock) {
            provider = provider::examine(&settings, &http, clock, &mut findings).await;
            if depth >= Depth::Try && variables.have_provider() {
                sign_in::try_out(&settings, &provider, &http, clock, &mut findings).await;
            }
        }
    }
    provider::judge_binding(&settings, &provider, &mut findings);
    if depth < Depth::Try && variables.have_provider() {
        findings.add(&catalogue::SIGN_IN_NOT_TRIED);
    }
    if let Some(auth) = &settings.auth {
        auth.shutdown().await;
    }
    if settings.profile().is_some() {
        findings.demand(Profile::Fapi2);
    }
    Part {
        settings,
        findings,
        is_known: provider.is_usable,
    }
}

impl Subject {
    fn of(settings: &Settings) -> Self {
        let variables = &settings.variables;
        let provider = ["AUTH_ISSUER", "AUTH_AUTHORIZATION_URL"]
            .into_iter()
            .find_map(|name| variables.get(name));
        Self {
            name: variables.provider().map(http::words),
            provider: provider.map(|text| match url::Url::parse(&text) {
                // An issuer is shown to the byte, if there is nothing in it that is not for everybody.
                Ok(url) if url.password().is_none() && url.query().is_none() => http::words(&text),
                Ok(url) => http::shown(&url),
                Err(_) => http::words(&text),
            }),
            client_id: variables
                .get("AUTH_CLIENT_ID")
                .filter(|_| settings.has_client)
                .map(|id| http::words(&id)),
            redirect_uri: settings.redirect_uri(),
        }
    }
}
