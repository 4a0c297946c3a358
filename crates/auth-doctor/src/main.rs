//! `auth-doctor`: tells in plain words what is wrong or weak in a sign-in set-up.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use auth_doctor::{Demands, Depth, Options, Paint, Variables, examine};
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The exit code for wrong usage, as clap has it.
const USAGE: u8 = 2;

const ABOUT: &str = "\
Tells in plain words what is wrong or weak in a sign-in set-up.

Reads the environment that the applications read (AUTH_ISSUER, AUTH_CLIENT_ID,
…), asks the provider, and tries out what can be tried without a user. It
changes nothing and signs nobody in. The client's secret is read from the
environment alone.

Exit code: 0 without errors, 1 with errors, 2 for wrong usage.";

/// Options that take the place of a variable: their names, what stands for their value, and what they are.
const REPLACING: [(&str, &str, &str, &str); 4] = [
    (
        "issuer",
        "AUTH_ISSUER",
        "URL",
        "The provider's issuer, in the place of AUTH_ISSUER",
    ),
    (
        "client-id",
        "AUTH_CLIENT_ID",
        "ID",
        "The client, in the place of AUTH_CLIENT_ID",
    ),
    (
        "base-url",
        "AUTH_BASE_URL",
        "URL",
        "The app's origin, in the place of AUTH_BASE_URL",
    ),
    (
        "scopes",
        "AUTH_SCOPES",
        "SCOPES",
        "What to ask for, in the place of AUTH_SCOPES",
    ),
];

/// Options without a value.
const SWITCHES: [(&str, &str); 4] = [
    ("strict", "Warnings fail, too"),
    ("no-probe", "The client does not show the provider who it is"),
    ("offline", "Asks nobody: looks at the settings alone"),
    ("json", "Prints a JSON document"),
];

fn command() -> Command {
    let replacing =
        REPLACING.map(|(name, _, value, help)| Arg::new(name).long(name).value_name(value).help(help));
    let switches =
        SWITCHES.map(|(name, help)| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help));
    let profile = Arg::new("profile")
        .long("profile")
        .value_name("PROFILE")
        .value_parser(["fapi2"])
        .hide_possible_values(true)
        .help("fapi2: makes errors of what FAPI 2.0 does not allow");
    Command::new("auth-doctor")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .args(replacing)
        .arg(profile)
        .args(switches)
        .mut_arg("offline", |offline| offline.conflicts_with("no-probe"))
}

/// The environment with what the command line puts in its place.
fn variables(arguments: &ArgMatches) -> Variables {
    let mut variables = Variables::of_environment();
    for (name, variable, _, _) in REPLACING {
        match arguments.get_one::<String>(name) {
            Some(issuer) if variable == "AUTH_ISSUER" => variables.use_issuer(issuer),
            Some(value) => variables.set(variable, value),
            None => {}
        }
    }
    variables
}

fn options(arguments: &ArgMatches) -> Options {
    Options {
        depth: if arguments.get_flag("offline") {
            Depth::Settings
        } else if arguments.get_flag("no-probe") {
            Depth::Read
        } else {
            Depth::Try
        },
        demands: Demands::default()
            .fapi2(arguments.contains_id("profile"))
            .strict(arguments.get_flag("strict")),
        ..Options::default()
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = command().get_matches();
    let variables = variables(&arguments);
    if !variables.name_a_provider() {
        eprintln!(
            "auth-doctor: there is no provider to examine. Name one: --issuer https://id.example\n\
             or AUTH_ISSUER in the environment, as for the applications. See --help.\n\
             (The example applications start their development provider then.)"
        );
        return ExitCode::from(USAGE);
    }
    let report = examine(&variables, &options(&arguments)).await;
    let mut out = std::io::stdout();
    let text = if arguments.get_flag("json") {
        report.json() + "\n"
    } else {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        report.text(if out.is_terminal() && !is_plain {
            Paint::Colours
        } else {
            Paint::Plain
        })
    };
    // Whoever reads no further has seen enough; the exit code says the rest.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::from(report.exit_code)
}
