//! What an operator sees: `GET /metrics` and the audit log.

use std::time::Duration;

use auth_testing::{Endpoint, Fault};
use auth_tests::{Stage, World};

/// The text of `/metrics`, asked for without a session. What is in it is searched for secrets after the case, as every
/// answer is.
async fn scrape(world: &World) -> String {
    let answer = world.browser.fresh().fetch("/metrics").await;
    answer.assert_status(200).assert_no_cookie();
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("text/plain; version=0.0.4")
    );
    answer.body
}

/// The value of a metric; zero where it is not there.
fn value(text: &str, metric: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

pub(crate) async fn they_count_what_has_happened(stage: Stage) {
    let world = stage.world().await;
    let control = world.provider.control();
    assert_eq!(value(&scrape(&world).await, "auth_sign_ins_total"), 0.0);

    control.next_access_token_lifetime(Duration::ZERO);
    world.sign_in("alice").await;
    control.fail_next(Endpoint::Token, 1, Fault::status(503));
    world.browser.fetch("/api/ping").await.assert_status(503);
    auth_tests::wait::until("a refresh", Duration::from_secs(15), || async {
        world.browser.fetch("/api/ping").await.status == 200
    })
    .await;
    let nobody = world.browser.fresh();
    let code = nobody
        .navigate("/auth/callback?code=x&state=y")
        .await
        .assert_failure(400..=499);
    nobody.fetch("/api/ping").await.assert_status(401);
    control.fail_next(Endpoint::Revoke, 2, Fault::status(503));
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    let revoked = r#"auth_revocations_total{outcome="revoked"}"#;
    auth_tests::wait::until("both revocations", Duration::from_secs(15), || async {
        value(&scrape(&world).await, revoked) == 2.0
    })
    .await;

    let text = scrape(&world).await;
    for (metric, expected) in [
        ("auth_sign_ins_total", 1.0),
        (r#"auth_refreshes_total{outcome="refreshed"}"#, 1.0),
        (r#"auth_refreshes_total{outcome="refresh.unavailable"}"#, 1.0),
        (r#"auth_sessions_ended_total{reason="signed_out"}"#, 1.0),
        (r#"auth_failures_total{code="session.none"}"#, 1.0),
        (&format!("auth_failures_total{{code=\"{code}\"}}"), 1.0),
        (r#"auth_revocations_total{outcome="failed"}"#, 2.0),
        (r#"auth_revocations_total{outcome="given_up"}"#, 0.0),
        (
            r#"auth_provider_duration_seconds_count{endpoint="revocation",outcome="unavailable"}"#,
            2.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="revocation",outcome="ok"}"#,
            2.0,
        ),
        (
            r#"auth_provider_duration_seconds_count{endpoint="discovery",outcome="ok"}"#,
            1.0,
        ),
        (
            r#"auth_store_duration_seconds_count{operation="insert",outcome="ok"}"#,
            1.0,
        ),
    ] {
        assert_eq!(value(&text, metric), expected, "{metric}\n{text}");
    }
    let unavailable = value(&text, r#"auth_failures_total{code="refresh.unavailable"}"#);
    assert!(unavailable >= 1.0, "{text}");
    let loads = r#"auth_store_duration_seconds_count{operation="load",outcome="ok"}"#;
    assert!(value(&text, loads) >= 2.0, "{text}");
}

pub(crate) async fn they_need_no_session_and_name_nobody(stage: Stage) {
    let world = stage.signed_in("alice").await;
    world.browser.fetch("/api/me").await.assert_status(200);
    world
        .browser
        .fresh()
        .navigate("/profile?person=carol")
        .await
        .assert_redirect();
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    world.provider.control().go_down().await;
    let text = scrape(&world).await;
    for described in [
        "# HELP auth_sign_ins_total ",
        "# TYPE auth_sign_ins_total counter",
    ] {
        assert!(text.contains(described), "{text}");
    }
    assert!(text.contains("auth_store_duration_seconds_bucket{"), "{text}");
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        assert!(line.starts_with("auth_"), "{line}");
        let Some((_, labels)) = line.split_once('{') else {
            continue;
        };
        // Words and numbers: no address, no path, no identifier.
        for value in labels.split('"').skip(1).step_by(2) {
            let is_word = value
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'));
            assert!(
                is_word || value == "+Inf" || value.parse::<f64>().is_ok(),
                "{line}"
            );
        }
    }
    for personal in ["alice", "carol", "127.0.0.1", "/profile"] {
        assert!(!text.contains(personal), "{personal}: {text}");
    }
}

pub(crate) async fn the_audit_log_has_a_line_per_event_and_names_nobody(stage: Stage) {
    let world = stage.world().await;
    world.sign_in("alice").await;
    world
        .browser
        .submit("/auth/logout", &[])
        .site(auth_tests::browser::Site::CrossSite)
        .await
        .assert_status(403);
    world.browser.submit("/auth/logout", &[]).await.assert_redirect();
    let lines: Vec<_> = world
        .app
        .stderr()
        .into_iter()
        .filter_map(|line| Some(line.split_once(" audit: ")?.1.to_owned()))
        .collect();
    let whats: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        whats,
        ["signed_in", "request_refused", "session_ended"],
        "{lines:?}"
    );
    assert!(lines[1].contains("request.cross_site"), "{lines:?}");
    assert!(lines[2].contains("signed_out"), "{lines:?}");
    let session = |line: &str| {
        let (_, rest) = line.split_once("session=").unwrap();
        rest.split(')').next().unwrap().to_owned()
    };
    assert_eq!(session(&lines[0]), session(&lines[2]));
    for line in &lines {
        for personal in ["alice", "127.0.0.1", "Mozilla", "/auth/"] {
            assert!(!line.contains(personal), "{line}");
        }
    }
}
