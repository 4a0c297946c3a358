//! The program itself: what it prints, what it asks, and how it ends.

use std::process::{Command, Output};

use auth_testing::{Client, DevProvider, Endpoint};
use serde_json::Value;

use crate::world::{BASE, CLIENT, KEY, SECRET, World};

async fn run(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-doctor"));
    command.env_clear().envs(world.settings()).args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn ids(output: &Output) -> Vec<String> {
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", text(output)));
    let findings = document["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_says_how_it_went() {
    let mut world = World::start().await;
    for (arguments, code) in [
        (&[][..], 0),
        (&["--strict"], 0),
        (&["--profile", "fapi2"], 1),
        (&["--help"], 0),
        (&["--version"], 0),
        (&["--issuer", "http://127.0.0.1:1"], 1),
        (&["--unknown"], 2),
        (&["--profile", "other"], 2),
        (&["--offline", "--no-probe"], 2),
    ] {
        let output = run(&world, arguments).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text(&output)
        );
    }
    world.set("AUTH_SECRET", "");
    assert_eq!(run(&world, &[]).await.status.code(), Some(0), "a warning");
    assert_eq!(
        run(&world, &["--strict"]).await.status.code(),
        Some(1),
        "a warning, and strict"
    );
    world.set("AUTH_CLIENT_SECRET", "another-secret-0123456789");
    assert_eq!(run(&world, &[]).await.status.code(), Some(1), "an error");
    world.set("AUTH_ISSUER", "");
    let output = run(&world, &[]).await;
    assert_eq!(output.status.code(), Some(2), "no provider");
    assert!(text(&output).contains("--issuer"));
    assert!(output.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_json_document_has_what_it_is_documented_to_have() {
    let world = World::start().await;
    let output = run(&world, &["--json"]).await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["version"], 1);
    assert_eq!(document["exit_code"], 0);
    assert_eq!(document["subject"]["provider"], world.provider.issuer());
    assert_eq!(document["subject"]["client_id"], CLIENT);
    assert_eq!(
        document["subject"]["redirect_uri"],
        format!("{BASE}/auth/callback")
    );
    assert_eq!(document["verdicts"][0]["profile"], "OAuth 2.1");
    assert_eq!(document["verdicts"][0]["fits"], true);
    assert_eq!(document["verdicts"][2]["profile"], "FAPI 2.0");
    assert_eq!(document["verdicts"][2]["fits"], false);
    let findings = document["findings"].as_array().unwrap();
    for severity in ["ok", "note", "warning", "error"] {
        let count = findings
            .iter()
            .filter(|found| found["severity"] == severity)
            .count();
        let member = match severity {
            "ok" => "ok".to_owned(),
            other => format!("{other}s"),
        };
        assert_eq!(document["summary"][member], count);
    }
    for finding in findings {
        for member in ["id", "severity", "title", "detail", "mend", "reference"] {
            assert!(finding[member].is_string(), "{member}: {finding}");
        }
        assert!(finding["against"].is_array(), "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_fits_a_terminal_of_80_columns_and_has_no_colours_in_a_file() {
    let mut world = World::start().await;
    world.set("AUTH_SCOPES", &format!("openid {}", "x".repeat(300)));
    world.set("API_URL", "http://127.0.0.1:1");
    for arguments in [&[][..], &["--help"], &["--base-url", "http://127.0.0.1:3999"]] {
        let output = run(&world, arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().count() > 10, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}

/// Whatever goes wrong, no secret is printed: the client's, the application's own, the store's password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_ever_printed() {
    const PASSWORD: &str = "p4ssword-of-the-store";
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("key.pem");
    let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(&key_file, &pem).unwrap();
    let key_line = pem.lines().nth(1).unwrap().to_owned();
    let key_file = key_file.to_str().unwrap();
    for (name, value) in [
        ("AUTH_PAR", "auto"),
        ("AUTH_CLIENT_ID", "nobody-knows-it"),
        ("AUTH_CLIENT_AUTH", "client_secret_post"),
        ("AUTH_CLIENT_AUTH", "private_key_jwt"),
        ("AUTH_SECRET", &KEY[..20]),
        ("AUTH_SECRET", &format!("{KEY}zz")),
        ("AUTH_STORE", &format!("redis://:{PASSWORD}@127.0.0.1:1")),
        (
            "AUTH_STORE",
            &format!("postgres://app:{PASSWORD}@127.0.0.1:1/app"),
        ),
        ("AUTH_STORE", &format!("mysql://app:{PASSWORD}@127.0.0.1:1/app")),
        ("AUTH_ISSUER", &format!("http://app:{PASSWORD}@127.0.0.1:1")),
        ("API_URL", &format!("http://app:{PASSWORD}@127.0.0.1:1")),
        ("AUTH_BASE_URL", &format!("http://app:{PASSWORD}@127.0.0.1:1")),
    ] {
        let mut world = World::start().await;
        world.set("AUTH_CLIENT_KEY", key_file);
        world.set(name, value);
        for arguments in [&[][..], &["--json"], &["--offline"]] {
            let text = text(&run(&world, arguments).await);
            for secret in [SECRET, PASSWORD, KEY, &KEY[..20], &key_line] {
                assert!(!text.contains(secret), "{name}={value} {arguments:?}: {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_asks_no_more_than_it_was_told_to() {
    let world = World::start().await;
    let output = run(&world, &["--offline", "--json"]).await;
    assert_eq!(world.control().all_requests().len(), 0);
    assert!(ids(&output).contains(&"sign_in.not_tried".to_owned()));

    run(&world, &["--no-probe"]).await;
    let control = world.control();
    assert!(control.count(Endpoint::Discovery) > 0);
    for endpoint in [
        Endpoint::Authorize,
        Endpoint::Token,
        Endpoint::PushedAuthorization,
    ] {
        assert_eq!(control.count(endpoint), 0, "{endpoint:?}");
    }
    for (_, request) in control.all_requests() {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.form("client_secret"), None);
    }

    run(&world, &[]).await;
    let tokens = control.requests(Endpoint::Token);
    assert_eq!(tokens.len(), 1, "one code that is none");
    assert_eq!(tokens[0].form("grant_type"), Some("authorization_code"));
    for authorize in control.requests(Endpoint::Authorize) {
        assert_eq!(authorize.query("prompt").as_deref(), Some("none"));
    }
    for endpoint in [
        Endpoint::Revoke,
        Endpoint::Userinfo,
        Endpoint::EndSession,
        Endpoint::Introspect,
    ] {
        assert_eq!(control.count(endpoint), 0, "{endpoint:?}");
    }
    assert_eq!(
        control
            .issued_secrets()
            .iter()
            .filter(|issued| issued.starts_with("ey"))
            .count(),
        0
    );
}

/// The secret in the environment is for the environment's provider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_issuer_is_not_shown_the_secret() {
    let world = World::start().await;
    let other = DevProvider::builder()
        .client(Client::confidential(CLIENT, SECRET).redirect_uri(format!("{BASE}/auth/callback")))
        .start()
        .await
        .unwrap();
    let output = run(
        &world,
        &["--json", "--issuer", other.issuer(), "--client-id", CLIENT],
    )
    .await;
    assert!(
        ids(&output).contains(&"settings.other_issuer".to_owned()),
        "{}",
        text(&output)
    );
    assert!(other.control().count(Endpoint::Discovery) > 0);
    for (_, request) in other.control().all_requests() {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.form("client_secret"), None);
    }
    for (endpoint, _) in world.control().all_requests() {
        assert!(matches!(endpoint, Endpoint::Api(_)), "{endpoint:?}");
    }
}
