//! What is counted and measured (`docs/metrics.md`). A test has one thread, and so a recorder of its own.

use auth_testing::{Endpoint, Fault};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::store::Op;
use crate::world::{LIFE, World, eventually, secs};

/// The value of a line of the text format; zero where there is none.
fn value(handle: &PrometheusHandle, line: &str) -> f64 {
    let text = handle.render();
    let found = text
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn what_happens_is_counted_and_measured() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _here = metrics::set_default_local_recorder(&recorder);
    let count = |line: &str| value(&handle, line);

    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    assert_eq!(count("auth_sign_ins_total"), 1.0);
    let _ = browser.callback("/auth/callback?code=x").await;
    assert_eq!(count(r#"auth_failures_total{code="login.state_missing"}"#), 1.0);

    world.clock.advance(LIFE);
    world.session(&id).await;
    world.clock.advance(LIFE);
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert_eq!(count(r#"auth_refreshes_total{outcome="refreshed"}"#), 1.0);
    assert_eq!(
        count(r#"auth_refreshes_total{outcome="refresh.unavailable"}"#),
        1.0
    );

    world.control().fail_next(Endpoint::Revoke, 1, Fault::status(503));
    let _ = browser.logout().await;
    world.clock.advance(secs(1));
    eventually("the other try", || world.revoked().len() == 3).await;
    world.settle().await;
    for (outcome, expected) in [("failed", 1.0), ("revoked", 2.0), ("given_up", 0.0)] {
        let line = format!(r#"auth_revocations_total{{outcome="{outcome}"}}"#);
        assert_eq!(count(&line), expected, "{outcome}");
    }
    assert_eq!(count(r#"auth_sessions_ended_total{reason="signed_out"}"#), 1.0);

    let id = world.expired().await;
    world.control().kill_refresh_tokens();
    world.auth.authenticate(Some(&id)).await.unwrap_err();
    assert_eq!(count(r#"auth_refreshes_total{outcome="session_ended"}"#), 1.0);
    assert_eq!(count(r#"auth_sessions_ended_total{reason="grant_ended"}"#), 1.0);

    world.store.breaks(Op::Load);
    world.auth.authenticate(Some(&id)).await.unwrap_err();
    for (line, at_least) in [
        (
            r#"auth_store_duration_seconds_count{operation="load",outcome="ok"}"#,
            3.0,
        ),
        (
            r#"auth_store_duration_seconds_count{operation="load",outcome="error"}"#,
            1.0,
        ),
        (
            r#"auth_store_duration_seconds_count{operation="insert",outcome="ok"}"#,
            2.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="discovery",outcome="ok"}"#,
            1.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="jwks",outcome="ok"}"#,
            1.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="token",outcome="ok"}"#,
            3.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="token",outcome="unavailable"}"#,
            1.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="token",outcome="refused"}"#,
            1.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="userinfo",outcome="ok"}"#,
            2.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="revocation",outcome="ok"}"#,
            2.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="revocation",outcome="unavailable"}"#,
            1.0,
        ),
    ] {
        assert!(count(line) >= at_least, "{line}: {}", handle.render());
    }
    // The world's clocks are one.
    let clock = r#"auth_provider_clock_difference_seconds{provider=""} 0"#;
    assert!(handle.render().contains(clock), "{}", handle.render());

    let text = handle.render();
    for secret in world.control().issued_secrets() {
        assert!(!text.contains(&secret));
    }
    for personal in ["ada", "127.0.0.1", "/auth/", "http"] {
        assert!(!text.contains(personal), "{personal}: {text}");
    }
}
