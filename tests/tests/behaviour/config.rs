//! Wrong settings stop the start with one line.

use std::time::Duration;

use auth_tests::Stage;
use auth_tests::stage::{BASE, CLIENT_ID, CLIENT_SECRET, Environment, SECRET};

/// Settings that are complete, with an issuer that nobody will ask.
fn complete(stage: &Stage) -> Environment {
    stage
        .bare_environment()
        .set("AUTH_BASE_URL", BASE)
        .set("AUTH_ISSUER", "http://127.0.0.1:1")
        .set("AUTH_CLIENT_ID", CLIENT_ID)
        .set("AUTH_CLIENT_SECRET", CLIENT_SECRET)
        .set("AUTH_SECRET", SECRET)
        .set("API_URL", "http://127.0.0.1:1")
}

/// The start fails with one line on standard error that names one of the variables, and nothing else is printed.
async fn refused(stage: &Stage, variables: &[&str], environment: Environment) {
    let mut app = stage.spawn(&environment);
    let status = app.ended(Duration::from_secs(20)).await;
    let (stdout, stderr) = (app.stdout(), app.stderr());
    assert!(!status.success(), "{variables:?}: {status}");
    assert_eq!(stdout, Vec::<String>::new(), "{variables:?}");
    assert_eq!(stderr.len(), 1, "{variables:?}: {stderr:#?}");
    assert!(
        variables.iter().any(|name| stderr[0].contains(name)),
        "{variables:?}: {}",
        stderr[0]
    );
    for secret in [CLIENT_SECRET, SECRET, &SECRET[..32], "store-password"] {
        assert!(!stderr[0].contains(secret), "{variables:?} shows a secret");
    }
}

pub(crate) async fn a_provider_needs_a_client_id(stage: Stage) {
    let settings = complete(&stage).unset("AUTH_CLIENT_ID");
    refused(&stage, &["AUTH_CLIENT_ID"], settings).await;
    let plain = complete(&stage)
        .unset("AUTH_ISSUER")
        .unset("AUTH_CLIENT_ID")
        .set("AUTH_AUTHORIZATION_URL", "http://127.0.0.1:1/authorize")
        .set("AUTH_TOKEN_URL", "http://127.0.0.1:1/token");
    refused(&stage, &["AUTH_CLIENT_ID"], plain).await;
}

pub(crate) async fn a_client_needs_a_provider(stage: Stage) {
    for alone in [
        "AUTH_CLIENT_ID",
        "AUTH_USERINFO_URL",
        "AUTH_REVOCATION_URL",
        "AUTH_END_SESSION_URL",
    ] {
        let settings = stage.bare_environment().set(alone, "http://127.0.0.1:1/x");
        refused(&stage, &["AUTH_ISSUER"], settings).await;
    }
}

pub(crate) async fn authorization_and_token_url_belong_together(stage: Stage) {
    for alone in ["AUTH_AUTHORIZATION_URL", "AUTH_TOKEN_URL"] {
        let settings = complete(&stage)
            .unset("AUTH_ISSUER")
            .set(alone, "http://127.0.0.1:1/x");
        refused(&stage, &["AUTH_AUTHORIZATION_URL", "AUTH_TOKEN_URL"], settings).await;
    }
}

// RFC 10017 §6.1.3.1
pub(crate) async fn a_secret_method_needs_a_secret(stage: Stage) {
    for method in ["client_secret_basic", "client_secret_post"] {
        let settings = complete(&stage)
            .unset("AUTH_CLIENT_SECRET")
            .set("AUTH_CLIENT_AUTH", method);
        refused(&stage, &["AUTH_CLIENT_SECRET"], settings).await;
    }
    refused(
        &stage,
        &["AUTH_CLIENT_AUTH"],
        complete(&stage).set("AUTH_CLIENT_AUTH", "client_secret_jwt"),
    )
    .await;
}

pub(crate) async fn private_key_jwt_needs_a_readable_key_that_is_long_enough(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let settings = complete(&stage)
        .unset("AUTH_CLIENT_SECRET")
        .set("AUTH_CLIENT_AUTH", "private_key_jwt");
    refused(&stage, &["AUTH_CLIENT_KEY"], settings.clone()).await;
    for (name, content) in [
        ("missing.pem", None),
        ("empty.pem", Some("")),
        ("text.pem", Some("not a key")),
        (
            "public.pem",
            Some(
                "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
            ),
        ),
        ("rsa1024.pem", Some(include_str!("keys/rsa1024.pem"))),
    ] {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        refused(
            &stage,
            &["AUTH_CLIENT_KEY"],
            settings.clone().set("AUTH_CLIENT_KEY", path.display()),
        )
        .await;
    }
}

pub(crate) async fn the_secret_has_at_least_256_bits_in_hex(stage: Stage) {
    let list_with_a_bad_one = format!("{SECRET},{}", &SECRET[..40]);
    for value in [
        "",
        &SECRET[..62],
        &SECRET[..63],
        "not hex at all, but longer than sixty-four characters as you can see",
        &list_with_a_bad_one,
    ] {
        refused(
            &stage,
            &["AUTH_SECRET"],
            complete(&stage).set("AUTH_SECRET", value),
        )
        .await;
    }
}

pub(crate) async fn the_store_can_be_opened(stage: Stage) {
    for value in [
        "sqlite:/nonexistent/folder/sessions.db",
        "sqlite:/",
        "bogus:",
        "memory",
        "redis:",
        "redis://:store-password@127.0.0.1:1/0",
        "rediss://user:store-password@127.0.0.1:1",
        "redis://127.0.0.1:store-password",
        "postgres://app:store-password@127.0.0.1:1/sessions",
        "postgresql://app:store-password@127.0.0.1:1/sessions?sslmode=verify-full",
        "postgres://app:store-password@127.0.0.1/sessions?sslmode=nonsense",
    ] {
        refused(&stage, &["AUTH_STORE"], complete(&stage).set("AUTH_STORE", value)).await;
        // A random key brings a warning, but not beside a failure.
        refused(
            &stage,
            &["AUTH_STORE"],
            complete(&stage).set("AUTH_STORE", value).unset("AUTH_SECRET"),
        )
        .await;
    }
}

// OpenID Connect Discovery §3
pub(crate) async fn the_issuer_is_https_or_loopback(stage: Stage) {
    for value in [
        "http://id.example.com",
        "http://127.0.0.1.example.com",
        "ftp://id.example.com",
        "id.example.com",
        "https://",
        "",
    ] {
        refused(
            &stage,
            &["AUTH_ISSUER"],
            complete(&stage).set("AUTH_ISSUER", value),
        )
        .await;
    }
}

// RFC 6749 §3.1.2
pub(crate) async fn the_base_url_is_an_origin(stage: Stage) {
    for value in [
        "app.example.com",
        "ftp://app.example.com",
        "https://app.example.com/path",
        "https://user@app.example.com",
        "https://app.example.com/?x",
    ] {
        refused(
            &stage,
            &["AUTH_BASE_URL"],
            complete(&stage).set("AUTH_BASE_URL", value),
        )
        .await;
    }
}

pub(crate) async fn further_origins_have_one_scheme_and_each_a_host(stage: Stage) {
    for (variable, value) in [
        ("AUTH_FURTHER_BASE_URLS", "https://b.example"),
        ("AUTH_FURTHER_BASE_URLS", "http://b.example,http://127.0.0.1:3001"),
        ("AUTH_FURTHER_BASE_URLS", "http://b.example/path"),
        ("AUTH_FURTHER_BASE_URLS", "*.example"),
        ("AUTH_ONLY_AT", "http://b.example"),
        ("AUTH_ONLY_AT", ""),
    ] {
        refused(&stage, &[variable], complete(&stage).set(variable, value)).await;
    }
}

// OpenID Connect Core §3.1.2.1; RFC 9700 §2.1.2
pub(crate) async fn parameters_of_the_library_are_refused_as_extra_ones(stage: Stage) {
    for name in [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "response_mode",
    ] {
        let settings = complete(&stage).set("AUTH_AUTHORIZE_PARAMS", format!("audience=x&{name}=y"));
        refused(&stage, &["AUTH_AUTHORIZE_PARAMS"], settings).await;
    }
}

// RFC 8707 §2; OpenID Connect Core §3.1.2.1
pub(crate) async fn values_outside_their_list_or_range_are_refused(stage: Stage) {
    for (name, value) in [
        ("APP_ADDR", "localhost"),
        ("APP_ADDR", "127.0.0.1:99999"),
        ("AUTH_RESPONSE_MODE", "fragment"),
        ("AUTH_PAR", "sometimes"),
        ("AUTH_REQUEST_OBJECT", "true"),
        ("AUTH_DPOP", "yes"),
        ("AUTH_USERINFO", "sometimes"),
        ("AUTH_ID_TOKEN_ALG", "none"),
        ("AUTH_ROLES_CLAIM", "/realm_access//roles"),
        ("AUTH_END_SESSION_URL", "http://id.example/logout"),
        ("AUTH_END_SESSION_PARAM", "id_token_hint"),
        ("AUTH_ID_TOKEN_ALG", "RS256 HS256"),
        ("AUTH_SESSION_IDLE", "soon"),
        ("AUTH_SESSION_MAX", "-1"),
        ("HTTP_TIMEOUT_SECS", "1.5.0"),
        ("HTTP_TIMEOUT_SECS", "0"),
        ("AUTH_CA_FILE", "/nonexistent/roots.pem"),
        ("API_URL", "not a url"),
        ("AUTH_RESOURCE", "not a url"),
    ] {
        refused(&stage, &[name], complete(&stage).set(name, value)).await;
    }
}

pub(crate) async fn an_address_in_use_is_named(stage: Stage) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    refused(
        &stage,
        &["APP_ADDR"],
        complete(&stage).set("APP_ADDR", taken.local_addr().unwrap()),
    )
    .await;
}

pub(crate) async fn a_random_secret_is_warned_of(stage: Stage) {
    let mut app = stage.start(&complete(&stage).unset("AUTH_SECRET")).await;
    app.kill().await;
    assert!(
        app.stderr()
            .iter()
            .any(|line| line.contains("WARN") && line.contains("AUTH_SECRET")),
        "{:#?}",
        app.stderr()
    );
}
