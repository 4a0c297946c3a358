//! The provider as a program.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dev-provider"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Its lines up to the first that begins so.
async fn lines_until(output: ChildStdout, last: &str) -> Vec<String> {
    let mut output = BufReader::new(output).lines();
    let mut lines = Vec::new();
    let read = async {
        while let Some(line) = output.next_line().await.unwrap() {
            let is_last = line.starts_with(last);
            lines.push(line);
            if is_last {
                break;
            }
        }
    };
    timeout(Duration::from_secs(20), read)
        .await
        .expect("it says where it is");
    lines
}

async fn start(arguments: &[&str], last: &str) -> (Child, Vec<String>) {
    let mut child = program(arguments).spawn().unwrap();
    let lines = lines_until(child.stdout.take().unwrap(), last).await;
    (child, lines)
}

/// The value of `NAME=` in a line of the shell's.
fn variable<'a>(lines: &'a [String], name: &str) -> &'a str {
    let mut words = lines.iter().flat_map(|line| line.split(' '));
    words
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("{name} in {lines:#?}"))
}

/// Waits for the end, and gives the lines of the standard error.
async fn refused(arguments: &[&str]) -> Vec<String> {
    let output = timeout(Duration::from_secs(20), program(arguments).output());
    let output = output.await.expect("it ends").unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    said.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn it_says_how_an_application_is_started_with_it() {
    let app = "http://127.0.0.1:4567";
    let (_child, lines) = start(
        &["--listen", "127.0.0.1:0", &format!("{app}/auth/callback")],
        "  API_URL",
    )
    .await;
    assert_eq!(variable(&lines, "AUTH_BASE_URL"), app);
    assert_eq!(variable(&lines, "AUTH_CLIENT_ID"), "dev-client");
    let issuer = variable(&lines, "AUTH_ISSUER");
    let document = reqwest::get(format!("{issuer}/.well-known/openid-configuration"));
    let document: serde_json::Value = document.await.unwrap().json().await.unwrap();
    assert_eq!(document["issuer"], issuer);
    let api = reqwest::get(format!("{}/scim2/Me", variable(&lines, "API_URL")))
        .await
        .unwrap();
    assert_eq!(api.status(), 401, "the demo API asks for a token");

    let request = format!(
        "{issuer}/authorize?response_type=code&client_id=dev-client&scope=openid&state=s&code_challenge_method=S256\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&redirect_uri={app}",
    );
    for (path, status) in [("/auth/callback", 200), ("/elsewhere", 400)] {
        let answer = reqwest::get(format!("{request}{path}")).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn an_application_of_another_library_is_registered_and_gets_no_command() {
    let (_child, lines) = start(
        &[
            "--listen",
            "127.0.0.1:0",
            "http://localhost:8080/callback",
            "http://127.0.0.1:4567/auth/callback",
        ],
        "  API_URL",
    )
    .await;
    let bases: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("AUTH_BASE_URL"))
        .collect();
    assert_eq!(bases.len(), 1, "{lines:#?}");
    assert_eq!(variable(&lines, "AUTH_BASE_URL"), "http://127.0.0.1:4567");
    let registered = "Registered: http://localhost:8080/callback ";
    assert!(
        lines.iter().any(|line| line.starts_with(registered)),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn what_it_cannot_do_is_a_line_on_standard_error() {
    let (_child, lines) = start(&["--listen", "127.0.0.1:0"], "  API_URL").await;
    let taken = variable(&lines, "AUTH_ISSUER").strip_prefix("http://").unwrap();
    for (arguments, said) in [
        (&["--listen", taken][..], taken),
        (&["--listen", "0.0.0.0:0"], "loopback"),
        (&["--listen", "nowhere"], "`nowhere`"),
        (&["--listen"], "127.0.0.1:9000"),
        (&["callback"], "`callback`"),
    ] {
        let lines = refused(arguments).await;
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains(said), "{lines:#?}");
    }
}
