//! Sessions in a file: over restarts, and with changing keys.

use auth_tests::stage::{BASE, SECRET};
use auth_tests::{App, Stage, World};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tempfile::TempDir;

const OTHER_SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(crate) fn address(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("sessions.db").display())
}

pub(crate) async fn world(stage: &Stage, folder: &TempDir) -> World {
    stage.secret(OTHER_SECRET);
    stage
        .world_with(|settings| settings.set("AUTH_STORE", address(folder)))
        .await
}

/// Starts the application again on the same file, with another `AUTH_SECRET` perhaps.
pub(crate) async fn restart(stage: &Stage, world: &mut World, folder: &TempDir, secret: &str) {
    world.app.kill().await;
    let environment = stage
        .environment(&world.provider)
        .set("AUTH_STORE", address(folder))
        .set("AUTH_SECRET", secret);
    world.app = stage.start(&environment).await;
    world.browser.moved_to(world.app.address());
}

pub(crate) async fn a_restart_signs_nobody_out(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&stage, &folder).await;
    world.sign_in("alice").await;
    restart(&stage, &mut world, &folder, SECRET).await;
    world.browser.assert_signed_in_as("alice").await;
    world.browser.fetch("/api/me").await.assert_status(200);
    assert_eq!(world.provider.control().refresh_count(), 0);
}

pub(crate) async fn a_sign_out_survives_a_restart(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&stage, &folder).await;
    world.sign_in("alice").await;
    let copy = world.browser.copy();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    restart(&stage, &mut world, &folder, SECRET).await;
    copy.assert_signed_out().await;
}

pub(crate) async fn a_sign_in_begun_before_a_restart_is_finished_after_it(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&stage, &folder).await;
    let request = world.begin(&world.browser, "/auth/login").await;
    restart(&stage, &mut world, &folder, SECRET).await;
    world
        .finish(&world.browser, &request, "alice")
        .await
        .assert_redirect();
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn another_secret_is_a_sign_out(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&stage, &folder).await;
    world.sign_in("alice").await;
    restart(&stage, &mut world, &folder, OTHER_SECRET).await;
    world.browser.assert_signed_out().await;
    world.browser.navigate("/").await.assert_status(200);
    assert_eq!(
        world.browser.navigate("/profile").await.location().path(),
        "/auth/login"
    );
    world.sign_in("alice").await;
    world.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn a_rotated_secret_is_none(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&stage, &folder).await;
    world.sign_in("alice").await;
    let early = world.browser.copy();
    restart(&stage, &mut world, &folder, &format!("{OTHER_SECRET},{SECRET}")).await;
    early.moved_to(world.app.address());
    early.assert_signed_in_as("alice").await;
    early.fetch("/api/me").await.assert_status(200);
    // What is sealed now is sealed with the newest key: the old one can go.
    let late = world.browser.fresh();
    world.sign_in_with(&late, "bob").await;
    restart(&stage, &mut world, &folder, OTHER_SECRET).await;
    late.assert_signed_in_as("bob").await;
}

/// The bytes of all files of the store.
pub(crate) fn everything_in(folder: &TempDir) -> Vec<u8> {
    let files = std::fs::read_dir(folder.path()).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

// RFC 6749 §10.3, §10.4
pub(crate) async fn the_file_holds_neither_tokens_nor_identifiers(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&stage, &folder).await;
    world.sign_in("alice").await;
    world.browser.fetch("/api/me").await.assert_status(200);
    let cookies = world.browser.cookies();
    world.app.kill().await;
    let bytes = everything_in(&folder);
    assert!(bytes.len() > 1000, "the store is elsewhere");
    let holds = |secret: &str| {
        bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    };
    for secret in world.provider.control().issued_secrets() {
        assert!(!holds(&secret), "the file holds a token");
    }
    for cookie in cookies {
        assert!(!holds(&cookie.value), "the file holds the cookie {}", cookie.name);
    }
}

pub(crate) async fn without_a_file_a_restart_is_a_sign_out(stage: Stage) {
    let mut world = stage.signed_in("alice").await;
    world.app.kill().await;
    world.app = stage.start(&stage.environment(&world.provider)).await;
    world.browser.moved_to(world.app.address());
    world.browser.assert_signed_out().await;
    world.sign_in("alice").await;
}

pub(crate) async fn two_instances_on_one_file_share_sessions(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&stage, &folder).await;
    world.sign_in("alice").await;
    let second: App = stage
        .start(
            &stage
                .environment(&world.provider)
                .set("AUTH_STORE", address(&folder)),
        )
        .await;
    let there = stage.browser(&second, BASE);
    let cookie = world.browser.session_cookie().await;
    let sent = format!("{}={}", cookie.name, cookie.value);
    there
        .fetch("/api/ping")
        .header("cookie", &sent)
        .await
        .assert_status(200);
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    there
        .fetch("/api/ping")
        .header("cookie", &sent)
        .await
        .assert_status(401);
}

/// Gives every table of the file another name, or the old one back.
pub(crate) async fn rename_tables(folder: &TempDir, away: bool) {
    let mut connection = SqliteConnection::connect(&address(folder)).await.unwrap();
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert!(!names.is_empty());
    for (name,) in names {
        let new = if away {
            format!("away_{name}")
        } else {
            name.trim_start_matches("away_").to_owned()
        };
        let rename = sqlx::AssertSqlSafe(format!("ALTER TABLE \"{name}\" RENAME TO \"{new}\""));
        sqlx::query(rename).execute(&mut connection).await.unwrap();
    }
}

pub(crate) async fn a_store_that_fails_is_503_and_signs_nobody_out(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&stage, &folder).await;
    world.sign_in("alice").await;
    let other = world.browser.fresh();
    let request = world.begin(&other, "/auth/login").await;
    rename_tables(&folder, true).await;
    world
        .browser
        .fetch("/api/ping")
        .await
        .assert_problem(503)
        .assert_unavailable();
    world
        .browser
        .navigate("/profile")
        .await
        .assert_page()
        .assert_unavailable()
        .assert_no_cookie();
    world.browser.fetch("/healthz").await.assert_status(200);
    world
        .finish(&other, &request, "bob")
        .await
        .assert_page()
        .assert_unavailable();
    rename_tables(&folder, false).await;
    world.browser.assert_signed_in_as("alice").await;
}
