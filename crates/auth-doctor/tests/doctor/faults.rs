//! Faults that are planted in a healthy set-up, each with the finding that has to come of it.

use auth_core::clock::TestClock;
use auth_doctor::{Depth, Report, Severity, Variables, examine};
use auth_testing::{Client, Control, DevProvider, Endpoint, Fault, PublicKey, SigningAlgorithm};
use serde_json::{Map, Value, json};

use crate::world::{BASE, CLIENT, World, complaints, detail, has, options};

/// What is broken, and the id that says so.
pub(crate) struct Planted {
    pub(crate) id: &'static str,
    settings: &'static [(&'static str, &'static str)],
    provider: fn(&Control),
}

/// A fault of the settings.
const fn settings(id: &'static str, settings: &'static [(&'static str, &'static str)]) -> Planted {
    Planted {
        id,
        settings,
        provider: |_| {},
    }
}

/// A fault of the provider.
const fn provider(id: &'static str, provider: fn(&Control)) -> Planted {
    Planted {
        id,
        settings: &[],
        provider,
    }
}

/// A fault of both.
const fn both(
    id: &'static str,
    settings: &'static [(&'static str, &'static str)],
    provider: fn(&Control),
) -> Planted {
    Planted {
        id,
        settings,
        provider,
    }
}

fn document(control: &Control, change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) {
    control.tamper_discovery(change);
}

fn without(control: &Control, member: &'static str) {
    document(control, move |document| drop(document.remove(member)));
}

fn with(control: &Control, member: &'static str, value: Value) {
    document(control, move |document| {
        drop(document.insert(member.to_owned(), value.clone()))
    });
}

fn jwks(control: &Control, change: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) {
    control.tamper_jwks(move |set| {
        let keys = set.get_mut("keys").and_then(Value::as_array_mut);
        change(keys.unwrap());
    });
}

/// An RSA key of 1024 bits.
fn weak_key() -> Value {
    json!({ "kty": "RSA", "kid": "weak", "e": "AQAB", "n": format!("gA{}", "A".repeat(169)) })
}

pub(crate) const FAULTS: &[Planted] = &[
    // ---- settings
    settings("settings.invalid", &[("AUTH_SCOPES", "openid \"x\"")]),
    settings(
        "settings.invalid",
        &[("AUTH_BASE_URL", "http://127.0.0.1:3000/app")],
    ),
    settings("settings.invalid", &[("AUTH_SECRET", "abc")]),
    settings(
        "settings.invalid",
        &[
            ("AUTH_CLIENT_SECRET", ""),
            ("AUTH_CLIENT_AUTH", "client_secret_basic"),
        ],
    ),
    settings(
        "settings.provider_only",
        &[
            ("AUTH_CLIENT_ID", ""),
            ("AUTH_CLIENT_SECRET", ""),
            ("AUTH_BASE_URL", ""),
            ("AUTH_SECRET", ""),
        ],
    ),
    settings(
        "settings.no_client",
        &[("AUTH_CLIENT_ID", ""), ("AUTH_CLIENT_SECRET", "")],
    ),
    settings("settings.base_url_assumed", &[("AUTH_BASE_URL", "")]),
    settings("settings.timeout_long", &[("HTTP_TIMEOUT_SECS", "120")]),
    settings(
        "settings.proxies_everybody",
        &[("AUTH_TRUSTED_PROXIES", "10.0.0.1, 0.0.0.0/0")],
    ),
    settings("cookies.http", &[("AUTH_BASE_URL", "http://app.example")]),
    settings("cookies.address", &[("AUTH_BASE_URL", "https://192.0.2.7")]),
    settings("cookies.two_addresses", &[("APP_ADDR", "localhost:3000")]),
    settings(
        "cookies.form_post_http",
        &[
            ("AUTH_BASE_URL", "http://app.example"),
            ("AUTH_RESPONSE_MODE", "form_post"),
        ],
    ),
    settings("session.idle_long", &[("AUTH_SESSION_IDLE", "200000")]),
    settings("session.max_long", &[("AUTH_SESSION_MAX", "31536000")]),
    settings("session.short", &[("AUTH_SESSION_IDLE", "30")]),
    settings(
        "session.idle_beyond_max",
        &[("AUTH_SESSION_IDLE", "7200"), ("AUTH_SESSION_MAX", "3600")],
    ),
    settings("secret.unset", &[("AUTH_SECRET", "")]),
    settings(
        "secret.guessable",
        &[(
            "AUTH_SECRET",
            "0000000000000000000000000000000000000000000000000000000000000000",
        )],
    ),
    settings(
        "secret.old_keys",
        &[(
            "AUTH_SECRET",
            "9f2c41d7a05be83366f10c5a7de2b9481c3fd06a92b47e58d1c60f3ba7e4952d,1f2c41d7a05be83366f10c5a7de2b9481c3fd06a92b47e58d1c60f3ba7e4952d",
        )],
    ),
    settings("store.unreachable", &[("AUTH_STORE", "redis://127.0.0.1:1")]),
    settings(
        "store.unreachable",
        &[("AUTH_STORE", "sqlite:/nonexistent/directory/sessions.db")],
    ),
    settings(
        "store.memory_in_production",
        &[("AUTH_BASE_URL", "https://app.example")],
    ),
    settings("api.unreachable", &[("API_URL", "http://127.0.0.1:1")]),
    settings(
        "issuer.well_known",
        &[("AUTH_ISSUER", "{issuer}/.well-known/openid-configuration")],
    ),
    // ---- discovery
    settings("discovery.unreachable", &[("AUTH_ISSUER", "http://127.0.0.1:1")]),
    settings("discovery.issuer_mismatch", &[("AUTH_ISSUER", "{issuer}/")]),
    provider("discovery.issuer_mismatch", |control| {
        with(control, "issuer", json!("https://other.example"))
    }),
    provider("discovery.unavailable", |control| {
        control.fail(Endpoint::Discovery, Fault::status(503))
    }),
    provider("discovery.missing", |control| {
        control.fail(Endpoint::Discovery, Fault::status(404))
    }),
    provider("discovery.malformed", |control| {
        control.fail(
            Endpoint::Discovery,
            Fault::body(200, "text/html", "<html>Sign in</html>"),
        );
    }),
    provider("discovery.insufficient", |control| {
        without(control, "token_endpoint")
    }),
    provider("discovery.insufficient", |control| {
        with(control, "token_endpoint", json!("http://id.example/token"))
    }),
    provider("discovery.insufficient", |control| {
        with(control, "response_types_supported", json!(["id_token"]))
    }),
    // ---- endpoints
    provider("endpoints.unreachable", |control| {
        with(control, "userinfo_endpoint", json!("http://127.0.0.1:1/userinfo"))
    }),
    provider("endpoints.other_host", |control| {
        with(control, "userinfo_endpoint", json!("http://127.0.0.1:1/userinfo"))
    }),
    provider("endpoints.no_revocation", |control| {
        without(control, "revocation_endpoint")
    }),
    provider("endpoints.no_end_session", |control| {
        without(control, "end_session_endpoint")
    }),
    provider("endpoints.no_userinfo", |control| {
        without(control, "userinfo_endpoint")
    }),
    provider("endpoints.no_introspection", |control| {
        without(control, "introspection_endpoint")
    }),
    // ---- keys
    provider("keys.unreachable", |control| {
        control.fail(Endpoint::Jwks, Fault::status(500))
    }),
    provider("keys.unreachable", |control| {
        control.fail(Endpoint::Jwks, Fault::Reset)
    }),
    provider("keys.malformed", |control| {
        control.fail(Endpoint::Jwks, Fault::body(200, "application/json", "{}"))
    }),
    provider("keys.empty", |control| jwks(control, Vec::clear)),
    provider("keys.none_for_algorithm", |control| {
        with(control, "id_token_signing_alg_values_supported", json!(["EdDSA"]))
    }),
    provider("keys.none_for_algorithm", |control| {
        jwks(control, |keys| keys[0]["use"] = json!("enc"))
    }),
    provider("keys.weak", |control| jwks(control, |keys| keys.push(weak_key()))),
    provider("keys.no_kid", |control| {
        jwks(control, |keys| {
            let mut second = keys[0].clone();
            second.as_object_mut().unwrap().remove("kid");
            keys.push(second);
        });
    }),
    provider("keys.private", |control| {
        jwks(control, |keys| keys[0]["d"] = json!("AQAB"))
    }),
    // ---- algorithms
    provider("algorithms.none_usable", |control| {
        with(
            control,
            "id_token_signing_alg_values_supported",
            json!(["HS256", "none"]),
        );
    }),
    provider("algorithms.none_allowed", |control| {
        with(
            control,
            "id_token_signing_alg_values_supported",
            json!(["ES256", "none"]),
        );
    }),
    settings("algorithms.not_common", &[("AUTH_ID_TOKEN_ALG", "EdDSA")]),
    provider("algorithms.not_fapi", |control| {
        with(control, "id_token_signing_alg_values_supported", json!(["RS256"]))
    }),
    // ---- authorization requests
    provider("requests.pkce_unsupported", |control| {
        with(control, "code_challenge_methods_supported", json!(["plain"]))
    }),
    provider("requests.pkce_unknown", |control| {
        without(control, "code_challenge_methods_supported")
    }),
    provider("requests.pkce_plain", |control| {
        with(
            control,
            "code_challenge_methods_supported",
            json!(["S256", "plain"]),
        )
    }),
    provider("requests.no_iss", |control| {
        without(control, "authorization_response_iss_parameter_supported")
    }),
    both("client.dpop_unsupported", &[("AUTH_DPOP", "true")], |control| {
        without(control, "dpop_signing_alg_values_supported")
    }),
    both("client.dpop_unsupported", &[("AUTH_DPOP", "true")], |control| {
        with(control, "dpop_signing_alg_values_supported", json!(["RS256"]))
    }),
    both("requests.par_required", &[("AUTH_PAR", "never")], |control| {
        control.require_pushed_requests(true)
    }),
    both("requests.par_unsupported", &[("AUTH_PAR", "always")], |control| {
        without(control, "pushed_authorization_request_endpoint");
    }),
    both(
        "requests.response_mode",
        &[("AUTH_RESPONSE_MODE", "form_post")],
        |control| {
            with(control, "response_modes_supported", json!(["query"]));
        },
    ),
    both(
        "requests.response_mode",
        &[("AUTH_RESPONSE_MODE", "jwt")],
        |control| without(control, "response_modes_supported"),
    ),
    provider("requests.object_required", |control| {
        control.require_signed_requests(true)
    }),
    // ---- scopes and grants
    provider("scopes.no_openid", |control| {
        with(
            control,
            "scopes_supported",
            json!(["profile", "email", "offline_access"]),
        )
    }),
    settings(
        "scopes.unknown",
        &[("AUTH_SCOPES", "openid offline_access calendar")],
    ),
    settings("scopes.no_refresh", &[("AUTH_SCOPES", "openid profile")]),
    provider("scopes.grant_refresh", |control| {
        with(control, "grant_types_supported", json!(["authorization_code"]))
    }),
    provider("scopes.old_grants", |control| {
        with(
            control,
            "grant_types_supported",
            json!(["authorization_code", "refresh_token", "password"]),
        );
    }),
    // ---- the client
    provider("client.method_unsupported", |control| {
        with(
            control,
            "token_endpoint_auth_methods_supported",
            json!(["private_key_jwt"]),
        );
    }),
    settings("client.secret_short", &[("AUTH_CLIENT_SECRET", "tooshort")]),
    settings(
        "client.secret_post",
        &[("AUTH_CLIENT_AUTH", "client_secret_post")],
    ),
    settings("client.public", &[("AUTH_CLIENT_SECRET", "")]),
    settings(
        "client.refused",
        &[("AUTH_CLIENT_SECRET", "another-secret-0123456789")],
    ),
    settings("client.refused", &[("AUTH_CLIENT_SECRET", "")]),
    both(
        "client.refused",
        &[
            ("AUTH_CLIENT_SECRET", "another-secret-0123456789"),
            ("AUTH_PAR", "never"),
        ],
        |_| {},
    ),
    both(
        "client.refused",
        &[("AUTH_CLIENT_SECRET", "another-secret-0123456789")],
        |control| {
            control.require_pushed_requests(true);
        },
    ),
    provider("client.grant_refused", |control| {
        control.fail(Endpoint::Token, Fault::oauth(400, "unauthorized_client"));
    }),
    // ---- trying it out
    settings(
        "sign_in.refused_at_provider",
        &[("AUTH_BASE_URL", "http://127.0.0.1:3999")],
    ),
    settings(
        "sign_in.refused_at_provider",
        &[("AUTH_CLIENT_ID", "nobody-knows-it")],
    ),
    provider("sign_in.refused", |control| {
        says(control, "error", "invalid_scope")
    }),
    both(
        "sign_in.refused",
        &[("AUTH_BASE_URL", "http://127.0.0.1:3999")],
        |control| {
            control.require_pushed_requests(true);
        },
    ),
    provider("sign_in.redirect_uri_loose", |control| {
        // As with a wildcard.
        control.add_redirect_uri(
            "the-app",
            "http://127.0.0.1:3000/auth/callback/auth-doctor-tries-another",
        );
    }),
    provider("sign_in.push_refused", |control| {
        control.fail(
            Endpoint::PushedAuthorization,
            Fault::oauth(400, "invalid_request"),
        );
    }),
    provider("sign_in.iss_wrong", |control| {
        says(control, "iss", "https://other.example")
    }),
    provider("sign_in.iss_wrong", |control| {
        control.tamper_callback(|answer| answer.retain(|(name, _)| name != "iss"))
    }),
    provider("sign_in.answer_odd", |control| says(control, "state", "another")),
    provider("sign_in.unavailable", |control| {
        control.fail(Endpoint::Authorize, Fault::status(503))
    }),
    provider("sign_in.unavailable", |control| {
        control.fail(Endpoint::Authorize, Fault::Reset)
    }),
    provider("sign_in.unavailable", |control| {
        control.fail(Endpoint::Token, Fault::status(503))
    }),
    provider("sign_in.token_odd", |control| {
        control.fail(Endpoint::Token, Fault::body(200, "text/html", "<html>"))
    }),
    provider("sign_in.not_known", |control| {
        control.fail(
            Endpoint::Authorize,
            Fault::body(200, "text/html", "<html>Sign in</html>"),
        );
    }),
];

/// The provider's answer to the browser has this in the place of what it would say.
fn says(control: &Control, name: &'static str, value: &'static str) {
    control.tamper_callback(move |answer| {
        for (held, text) in answer.iter_mut().filter(|(held, _)| held == name) {
            debug_assert_eq!(held, name);
            value.clone_into(text);
        }
    });
}

/// Faults that the settings alone show; nobody is asked.
pub(crate) const OFFLINE: &[Planted] = &[
    settings(
        "issuer.asgardeo_path",
        &[("AUTH_ISSUER", "https://api.asgardeo.io/t/acme")],
    ),
    settings(
        "issuer.many_tenants",
        &[("AUTH_ISSUER", "https://login.microsoftonline.com/common/v2.0")],
    ),
    settings(
        "issuer.plain_oauth",
        &[
            ("AUTH_ISSUER", ""),
            ("AUTH_AUTHORIZATION_URL", "https://id.example/authorize"),
            ("AUTH_TOKEN_URL", "https://id.example/token"),
        ],
    ),
    settings("settings.invalid", &[("AUTH_ISSUER", "http://id.example")]),
    settings(
        "store.plaintext",
        &[("AUTH_STORE", "redis://:word@redis.example:6379")],
    ),
    settings(
        "store.plaintext",
        &[("AUTH_STORE", "postgres://app:word@db.example/app")],
    ),
    settings(
        "store.no_password",
        &[("AUTH_STORE", "rediss://redis.example:6379")],
    ),
    settings("settings.invalid", &[("AUTH_STORE", "mysql://db.example")]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_set_up_has_nothing_to_complain_of() {
    let world = World::start().await;
    let report = world.examine().await;
    assert_eq!(
        complaints(&report),
        [""; 0],
        "{}",
        report.text(auth_doctor::Paint::Plain)
    );
    assert_eq!(report.exit_code, 0);
    for good in [
        "settings.good",
        "secret.good",
        "discovery.good",
        "clock.good",
        "keys.good",
        "requests.pkce",
        "scopes.good",
        "client.good",
        "sign_in.good",
        "sign_in.pushed",
    ] {
        assert!(
            has(&report, good),
            "{good}: {}",
            report.text(auth_doctor::Paint::Plain)
        );
    }
    assert!(report.verdicts.iter().all(|verdict| verdict.fits.is_some()));
}

/// How many set-ups are examined at the same time.
const AT_ONCE: usize = 6;

/// Plants each fault in a set-up of its own; what was not found, or is found in health as well, is listed at the end.
async fn plant(faults: &'static [Planted], depth: Depth) {
    let healthy = World::start().await.examine_to(depth).await;
    let mut wrong = Vec::new();
    for faults in faults.chunks(AT_ONCE) {
        let examined: Vec<_> = faults
            .iter()
            .map(|planted| {
                tokio::spawn(async move {
                    let mut world = World::start().await;
                    for (name, value) in planted.settings {
                        world.set(name, value);
                    }
                    (planted.provider)(world.control());
                    world.examine_to(depth).await
                })
            })
            .collect();
        for (planted, report) in faults.iter().zip(examined) {
            let report = report.await.unwrap();
            let is_error = report
                .findings
                .iter()
                .any(|finding| finding.severity == Severity::Error);
            if !has(&report, planted.id)
                || has(&healthy, planted.id)
                || report.exit_code != u8::from(is_error)
            {
                let found: Vec<_> = report.findings.iter().map(|finding| finding.id).collect();
                wrong.push(format!("{} {:?}: {found:?}", planted.id, planted.settings));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_planted_fault_is_found() {
    plant(FAULTS, Depth::Try).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_planted_fault_of_the_settings_is_found_without_asking_anybody() {
    plant(OFFLINE, Depth::Settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_apart_are_found_and_how_far() {
    for (ahead, by, id) in [
        (true, 4, "clock.good"),
        (true, 30, "clock.off"),
        (false, 30, "clock.off"),
        (true, 120, "clock.far_off"),
        (false, 120, "clock.far_off"),
    ] {
        let world = World::start().await;
        let clock = TestClock::new();
        let shift = std::time::Duration::from_secs(by);
        let now = world.clock.clock().now();
        clock.set(if ahead { now.plus(shift) } else { now.minus(shift) });
        let report = examine(&world.variables(), &options(Depth::Read, clock.clock())).await;
        assert!(has(&report, id), "{by} {ahead}: {:?}", report.findings);
        if id != "clock.good" {
            let how = if ahead { "ahead of" } else { "behind" };
            assert!(detail(&report, id).contains(how), "{}", detail(&report, id));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slash_that_is_too_much_is_pointed_at() {
    let mut world = World::start().await;
    world.set("AUTH_ISSUER", "{issuer}/");
    let report = world.examine().await;
    assert!(detail(&report, "discovery.issuer_mismatch").contains("the slash at the end"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_there_is_no_connection_is_told() {
    let mut world = World::start().await;
    world.set("AUTH_ISSUER", "http://127.0.0.1:1");
    let report = world.examine_to(Depth::Read).await;
    let text = detail(&report, "discovery.unreachable");
    assert!(text.contains("the connection is refused"), "{text}");
}

/// Endpoints that are given by hand are tried out like those of a discovery document.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_oauth_provider_is_tried_out_as_well() {
    let mut world = World::start().await;
    let issuer = world.provider.issuer().to_owned();
    world.set("AUTH_ISSUER", "");
    world.set("AUTH_AUTHORIZATION_URL", &format!("{issuer}/authorize"));
    world.set("AUTH_TOKEN_URL", &format!("{issuer}/token"));
    world.set("AUTH_SCOPES", "mail.read");
    let report = world.examine().await;
    assert_eq!(complaints(&report), [""; 0]);
    for id in ["issuer.plain_oauth", "sign_in.good", "client.good"] {
        assert!(has(&report, id), "{id}: {:?}", report.findings);
    }
    world.set("AUTH_CLIENT_SECRET", "another-secret-0123456789");
    assert_eq!(complaints(&world.examine().await), ["client.refused"]);
}

/// The first setting that is wrong does not hide the others.
#[tokio::test]
async fn all_wrong_settings_are_named_at_once() {
    let variables = Variables::of_table([
        ("AUTH_ISSUER", "https://id.example"),
        ("AUTH_CLIENT_ID", "app"),
        ("AUTH_BASE_URL", "app.example"),
        ("AUTH_SCOPES", "\"x\""),
        ("AUTH_PAR", "sometimes"),
        ("AUTH_SECRET", "short"),
        ("API_URL", "http://api.example"),
    ]);
    let report = examine(&variables, &options(Depth::Settings, TestClock::new().clock())).await;
    let named: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.id == "settings.invalid")
        .map(|finding| finding.detail.split(':').next().unwrap())
        .collect();
    for name in [
        "AUTH_BASE_URL",
        "AUTH_SCOPES",
        "AUTH_PAR",
        "AUTH_SECRET",
        "API_URL",
    ] {
        assert!(named.contains(&name), "{name}: {named:?}");
    }
}

/// What a provider writes is shown in part, and never moves a terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_provider_writes_gets_out_as_it_came() {
    let world = World::start().await;
    let odd = "https://other.example/\u{1b}[2J\u{7}\u{202e}";
    with(
        world.control(),
        "issuer",
        json!(format!("{odd}{}", "x".repeat(5000))),
    );
    let report = world.examine().await;
    let text = detail(&report, "discovery.issuer_mismatch");
    assert!(text.len() < 300, "{text}");
    assert!(
        text.chars().all(|c| !c.is_control() && c != '\u{202e}'),
        "{text:?}"
    );
}

/// The library refuses a discovery document for one reason at a time; the doctor goes on where it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_profiles_are_judged_by_what_was_found() {
    let world = World::start().await;
    let report = world.examine().await;
    let missing = |report: &Report, index: usize| report.verdicts[index].missing.clone();
    assert_eq!(missing(&report, 0), [""; 0], "OAuth 2.1");
    assert_eq!(missing(&report, 1), [""; 0], "RFC 9700");
    for id in [
        "requests.not_pushed",
        "client.symmetric",
        "client.not_bound",
        "tls.none",
        "cookies.loopback",
    ] {
        assert!(missing(&report, 2).contains(&id), "FAPI 2.0: {id}");
    }
    without(world.control(), "code_challenge_methods_supported");
    let report = world.examine().await;
    for index in 0..2 {
        assert_eq!(report.verdicts[index].fits, Some(false));
        assert_eq!(missing(&report, index), ["requests.pkce_unknown"]);
    }

    world.control().fail(Endpoint::Discovery, Fault::status(503));
    let report = world.examine().await;
    assert_eq!(report.verdicts[0].fits, None, "nothing is known of the provider");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_provider_is_told_by_the_clock() {
    let world = World::start().await;
    let server = crate::tls::Plain::start({
        let clock = world.clock.clone();
        move |_| {
            clock.advance(std::time::Duration::from_secs(3));
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
    });
    let mut world = world;
    world.set("AUTH_ISSUER", &server.url);
    let report = world.examine_to(Depth::Read).await;
    assert!(has(&report, "discovery.slow"), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_of_the_discovery_document_is_shown_with_its_target() {
    let server = crate::tls::Plain::start(|_| {
        "HTTP/1.1 302 Found\r\nlocation: https://id.example/login?secret=1\r\ncontent-length: 0\r\n\r\n"
            .to_owned()
    });
    let mut world = World::start().await;
    world.set("AUTH_ISSUER", &server.url);
    let report = world.examine_to(Depth::Read).await;
    let text = detail(&report, "discovery.redirected");
    assert!(text.contains("https://id.example/login"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

/// What is not a fault is known as well: in health, these are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_for_development_is_told_what_is_not_for_production() {
    let report = World::start().await.examine().await;
    for id in [
        "cookies.loopback",
        "store.memory",
        "tls.none",
        "endpoints.no_backchannel_logout",
        "requests.not_pushed",
        "client.symmetric",
        "client.not_bound",
    ] {
        let severity = report
            .findings
            .iter()
            .find(|finding| finding.id == id)
            .map(|finding| finding.severity);
        assert_eq!(severity, Some(Severity::Note), "{id}");
    }
}

/// A client with a key of its own and pushed requests: what is missing for FAPI 2.0 is https, and tokens that are bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_that_is_nearly_that_of_fapi_is_told_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let mut world = World::start().await;
    world.set("AUTH_CLIENT_SECRET", "");
    world.set("AUTH_CLIENT_AUTH", "private_key_jwt");
    world.set("AUTH_CLIENT_KEY", key.to_str().unwrap());
    world.set("AUTH_PAR", "always");
    let report = world.examine_to(Depth::Read).await;
    assert_eq!(
        report.verdicts[2].missing,
        ["cookies.loopback", "tls.none", "client.not_bound"]
    );
}

/// What a profile demands counts as set: it is judged against FAPI 2.0 by itself, and what is not there is an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_counts_as_set_and_is_what_the_set_up_is_held_to() {
    let directory = tempfile::tempdir().unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let public = PublicKey::from_pem(&pair.public_key_pem()).unwrap();
    for profile in ["fapi2_security", "fapi2_message_signing"] {
        let mut world = World::start().await;
        let client = Client::private_key_jwt(CLIENT, public.clone())
            .request_object_key(public.clone())
            .redirect_uri(format!("{BASE}/auth/callback"));
        let builder = DevProvider::builder().clock(world.clock.clock()).client(client);
        world.provider = builder
            .signing_algorithm(SigningAlgorithm::Es256)
            .start()
            .await
            .unwrap();
        world.set("AUTH_ISSUER", "{issuer}");
        world.set("API_URL", "");
        world.set("AUTH_CLIENT_SECRET", "");
        world.set("AUTH_CLIENT_KEY", key.to_str().unwrap());
        world.set("AUTH_PROFILE", profile);
        let report = world.examine().await;
        // All that is missing is https.
        assert_eq!(complaints(&report), ["cookies.loopback", "tls.none"], "{profile}");
        assert_eq!(report.verdicts[2].missing, ["cookies.loopback", "tls.none"]);
        assert_eq!(report.exit_code, 1);
        for id in ["sign_in.pushed", "client.good", "sign_in.good"] {
            assert!(has(&report, id), "{profile}: {id}: {:?}", report.findings);
        }

        for (member, expected) in [
            (
                "pushed_authorization_request_endpoint",
                "requests.par_unsupported",
            ),
            ("dpop_signing_alg_values_supported", "client.dpop_unsupported"),
        ] {
            without(world.control(), member);
            let report = world.examine_to(Depth::Read).await;
            let found = report.findings.iter().find(|finding| finding.id == expected);
            let severity = found.map(|finding| finding.severity);
            assert_eq!(severity, Some(Severity::Error), "{profile}: {member}");
        }
        let methods = json!(["client_secret_basic"]);
        with(world.control(), "token_endpoint_auth_methods_supported", methods);
        let report = world.examine_to(Depth::Read).await;
        let text = detail(&report, "client.method_unsupported");
        assert!(text.contains("private_key_jwt"), "{text}");
        with(
            world.control(),
            "id_token_signing_alg_values_supported",
            json!(["RS256"]),
        );
        let report = world.examine_to(Depth::Read).await;
        assert!(has(&report, "algorithms.not_common"), "{:?}", report.findings);
        document(world.control(), |document| {
            let modes = json!(["query"]);
            document.insert("response_modes_supported".to_owned(), modes);
            for member in [
                "request_parameter_supported",
                "request_object_signing_alg_values_supported",
                "require_signed_request_object",
            ] {
                document.remove(member);
            }
        });
        let report = world.examine_to(Depth::Read).await;
        let signs = profile == "fapi2_message_signing";
        for id in ["requests.response_mode", "requests.object_unsupported"] {
            assert_eq!(has(&report, id), signs, "{profile}: {id}");
        }
    }
}

/// A profile that contradicts another setting does not hide what else is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_contradicts_the_profile_is_named() {
    let mut world = World::start().await;
    world.set("AUTH_PROFILE", "fapi2_security");
    world.set("AUTH_PAR", "never");
    let report = world.examine_to(Depth::Settings).await;
    let invalid = report.findings.iter().filter(|one| one.id == "settings.invalid");
    let named: Vec<_> = invalid.map(|one| one.detail.split(':').next().unwrap()).collect();
    assert_eq!(named, ["AUTH_PAR", "AUTH_CLIENT_SECRET"]);
}

/// A key to decrypt with is of no use with a provider that encrypts nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decryption_key_that_nobody_encrypts_for_is_found() {
    const LIST: &str = "id_token_encryption_alg_values_supported";
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    for (listed, is_found) in [
        (json!(null), true),
        (json!([]), true),
        (json!(["ECDH-ES"]), false),
    ] {
        let mut world = World::start().await;
        world.set("AUTH_DECRYPTION_KEY", key.to_str().unwrap());
        document(world.control(), move |document| {
            document.remove("userinfo_encryption_alg_values_supported");
            document.remove("authorization_encryption_alg_values_supported");
            document.insert(LIST.to_owned(), listed.clone());
        });
        let report = world.examine_to(Depth::Read).await;
        let found = has(&report, "client.encryption_unsupported");
        assert_eq!(found, is_found, "{:?}", report.findings);
    }
}

/// The client's key against what the provider takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_does_not_fit_is_found() {
    const ALGORITHMS: &str = "token_endpoint_auth_signing_alg_values_supported";
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, key: rcgen::KeyPair| {
        let path = directory.path().join(name);
        std::fs::write(&path, key.serialize_pem()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let p256 = file("p256.pem", rcgen::KeyPair::generate().unwrap());
    let rsa = file(
        "rsa.pem",
        rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(),
    );
    let of_keys = |report: &Report| -> Vec<&'static str> {
        let ids = report.findings.iter().map(|finding| finding.id);
        ids.filter(|id| id.starts_with("client.algorithm") || id.starts_with("requests.object"))
            .collect()
    };
    for (key, listed, expected) in [
        (&p256, json!(["ES256"]), &[][..]),
        (&p256, json!(["PS256"]), &["client.algorithm_unsupported"]),
        (&rsa, json!(["PS256", "RS256"]), &[]),
        (&rsa, json!(["RS256"]), &["client.algorithm_weak"]),
        (
            &rsa,
            json!(["ES256"]),
            &["client.algorithm_unsupported", "client.algorithm_weak"],
        ),
    ] {
        let mut world = World::start().await;
        world.set("AUTH_CLIENT_AUTH", "private_key_jwt");
        world.set("AUTH_CLIENT_KEY", key);
        with(world.control(), ALGORITHMS, listed.clone());
        assert_eq!(
            of_keys(&world.examine_to(Depth::Read).await),
            expected,
            "{listed}"
        );
    }
    let mut world = World::start().await;
    world.set("AUTH_CLIENT_KEY", &p256);
    world.set("AUTH_REQUEST_OBJECT", "signed");
    assert_eq!(of_keys(&world.examine_to(Depth::Read).await), [""; 0]);
    document(world.control(), |document| {
        for member in [
            "request_parameter_supported",
            "request_object_signing_alg_values_supported",
            "require_signed_request_object",
        ] {
            document.remove(member);
        }
    });
    assert_eq!(
        of_keys(&world.examine_to(Depth::Read).await),
        ["requests.object_unsupported"]
    );
}
