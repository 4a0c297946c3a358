//! Nothing that lets anyone in appears in a log, at whatever level, from whichever crate.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use auth_core::gate::OnRefusal;
use auth_testing::{Endpoint, Fault};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::store::{Failure, Op};
use crate::world::{CLIENT, LIFE, SECRET, World};

/// Keeps all that is logged in this process, down to TRACE, while it is switched on.
struct Recorder;

static ON: AtomicBool = AtomicBool::new(false);
static LOG: Mutex<String> = Mutex::new(String::new());

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Both ways: debug text escapes, and a secret might hide behind that.
        write!(self.0, " {field}={value:?}").expect("text");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").expect("text");
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        write!(self.0, " {field}={value} {value:?}").expect("text");
    }
}

fn keep(metadata: Option<&Metadata<'_>>, visit: impl FnOnce(&mut Line)) {
    let mut line = Line(
        metadata
            .map(|m| format!("{} {} {}", m.level(), m.target(), m.name()))
            .unwrap_or_default(),
    );
    visit(&mut line);
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_str(&line.0);
    log.push('\n');
}

impl Subscriber for Recorder {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        ON.load(Ordering::SeqCst)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        keep(Some(span.metadata()), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        keep(None, |line| values.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        keep(Some(event.metadata()), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn record() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Recorder).expect("the only one"));
    ON.store(true, Ordering::SeqCst);
}

fn recorded() -> String {
    ON.store(false, Ordering::SeqCst);
    std::mem::take(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner))
}

// RFC 6749 §10.3, §10.4, §10.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_sessions_life_is_logged() {
    let world = World::start().await;
    record();
    tracing::trace!(target: "canary", seen = "the recorder works");
    let mut held = Vec::new();
    let mut browser = world.browser();
    let (control, auth) = (world.control(), &world.auth);

    // Signed in, at the second attempt; the first callback is presented twice.
    let url = browser.begin("/").await;
    let target = browser.approve(&url).await;
    held.extend(browser.cookies.values().cloned());
    let attempt = browser.cookies.clone();
    control.corrupt_id_token_signature(true);
    let _ = browser.callback(&target).await;
    control.clear_tampering();
    browser.cookies = attempt;
    let _ = browser.callback(&target).await;
    let id = browser.sign_in("/").await;
    held.extend(browser.cookies.values().cloned());

    // Called an API, was refused once, and refreshed.
    let session = world.session(&id).await;
    held.push(world.token(&session).await);
    let api = auth.client(&session);
    control.reject_next(1);
    api.get("/scim2/Me").send().await.unwrap();
    let debug = format!(
        "{session:?} {auth:?} {api:?} {:?} {:?}",
        browser.request("GET", &target),
        session.claims()
    );

    // Everything goes wrong at a refresh that can.
    let refusal = r#"{"error":"invalid_request","error_description":"FREE TEXT of the provider"}"#;
    for fault in [
        Fault::body(400, "application/json", refusal),
        Fault::body(200, "text/html", "FREE TEXT of the provider"),
        Fault::oauth(401, "invalid_client"),
        Fault::Reset,
    ] {
        world.clock.advance(LIFE);
        control.fail_next(Endpoint::Token, 1, fault);
        let error = auth.authenticate(Some(&id)).await.unwrap_err();
        let incoming = auth.incoming(&browser.head("GET", "/"));
        let _ = auth.refuse(&error, &incoming, &OnRefusal::Automatic);
        tracing::error!(?error, %error);
        world.store.fail_next(Op::Swap, Failure::AnswerLost);
        world.session(&id).await;
    }
    auth.revoke_access_token(&world.session(&id).await).await.unwrap();
    world.session(&id).await;
    let _ = browser.logout().await;
    control.kill_refresh_tokens();
    let ended = browser.sign_in("/").await;
    held.push(ended.expose().to_owned());
    world.clock.advance(LIFE);
    control.kill_refresh_tokens();
    auth.authenticate(Some(&ended)).await.unwrap_err();
    auth.shutdown().await;
    let log = recorded() + &debug;

    for expected in [
        "the recorder works",
        "a user has signed in",
        "the user has signed out",
        "hyper",
    ] {
        assert!(log.contains(expected), "the log lacks {expected:?}");
    }
    let shown = log.lines().find(|line| line.contains("FREE TEXT"));
    assert_eq!(shown, None, "the provider's text was logged");
    held.push(STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    held.push(SECRET.to_owned());
    held.extend(control.issued_secrets());
    for (endpoint, names) in [
        (Endpoint::Token, ["code", "code_verifier", "refresh_token"]),
        (Endpoint::Authorize, ["state", "nonce", "code_challenge"]),
    ] {
        for request in control.requests(endpoint) {
            held.extend(
                names
                    .iter()
                    .filter_map(|name| request.form(name).map(str::to_owned)),
            );
            held.extend(names.iter().filter_map(|name| request.query(name)));
        }
    }
    held.retain(|secret| !secret.is_empty());
    assert!(held.len() > 20, "only {} secrets to look for", held.len());
    for secret in &held {
        let shown = log.lines().find(|line| line.contains(secret.as_str()));
        let shown = shown.map(|line| line.replace(secret.as_str(), "*****"));
        assert_eq!(shown, None, "a secret was logged");
    }
    assert!(!log.contains("ada@example.com"), "personal data was logged");
}
