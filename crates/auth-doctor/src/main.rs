//! `auth-doctor`: tells in plain words what is wrong or weak in a sign-in set-up.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use auth_doctor::{Demands, Depth, Options, Paint, Variables, examine};
use clap::{Parser, ValueEnum};

/// The exit code for wrong usage, as clap has it.
const USAGE: u8 = 2;

/// Tells in plain words what is wrong or weak in a sign-in set-up.
///
/// Reads the environment that the applications read (AUTH_ISSUER, AUTH_CLIENT_ID,
/// …), asks the provider, and tries out what can be tried without a user. It
/// changes nothing and signs nobody in. The client's secret is read from the
/// environment alone.
///
/// Exit code: 0 without errors, 1 with errors, 2 for wrong usage.
#[derive(Debug, Parser)]
#[command(name = "auth-doctor", version, verbatim_doc_comment)]
struct Arguments {
    /// The provider, in the place of AUTH_ISSUER
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,

    /// The client, in the place of AUTH_CLIENT_ID
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,

    /// The application's origin, in the place of AUTH_BASE_URL
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// What to ask for, in the place of AUTH_SCOPES
    #[arg(long, value_name = "SCOPES")]
    scopes: Option<String>,

    /// Makes errors of what the profile does not allow
    #[arg(long, value_enum)]
    profile: Option<DemandedProfile>,

    /// Warnings fail, too
    #[arg(long)]
    strict: bool,

    /// The client does not show the provider who it is
    #[arg(long)]
    no_probe: bool,

    /// Asks nobody: looks at the settings alone
    #[arg(long, conflicts_with = "no_probe")]
    offline: bool,

    /// Prints a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DemandedProfile {
    /// FAPI 2.0 Security Profile
    Fapi2,
}

impl Arguments {
    /// The environment with what the command line puts in its place.
    fn variables(&self) -> Variables {
        let mut variables = Variables::of_environment();
        if let Some(issuer) = &self.issuer {
            variables.use_issuer(issuer);
        }
        for (name, value) in [
            ("AUTH_CLIENT_ID", &self.client_id),
            ("AUTH_BASE_URL", &self.base_url),
            ("AUTH_SCOPES", &self.scopes),
        ] {
            if let Some(value) = value {
                variables.set(name, value);
            }
        }
        variables
    }

    fn options(&self) -> Options {
        Options {
            depth: match (self.offline, self.no_probe) {
                (true, _) => Depth::Settings,
                (false, true) => Depth::Read,
                (false, false) => Depth::Try,
            },
            demands: Demands::default()
                .fapi2(self.profile == Some(DemandedProfile::Fapi2))
                .strict(self.strict),
            ..Options::default()
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let variables = arguments.variables();
    if !variables.name_a_provider() {
        eprintln!(
            "auth-doctor: there is no provider to examine. Name one: --issuer https://id.example\n\
             or AUTH_ISSUER in the environment, as for the applications. See --help.\n\
             (The example applications start their development provider then.)"
        );
        return ExitCode::from(USAGE);
    }
    let report = examine(&variables, &arguments.options()).await;
    let mut out = std::io::stdout();
    let text = if arguments.json {
        report.json() + "\n"
    } else {
        let has_colours =
            out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        report.text(if has_colours { Paint::Colours } else { Paint::Plain })
    };
    // Whoever reads no further has seen enough; the exit code says the rest.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::from(report.exit_code)
}
