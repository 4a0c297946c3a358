//! The spans that `docs/metrics.md` lists: which there are, below which they are, and that nothing secret is in them.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::future::Future;
use std::sync::{Arc, Mutex};

use auth_core::proxy::Proxy;
use auth_testing::{Endpoint, Fault};
use http::Method;
use tokio::runtime::{Builder, Runtime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Instrument as _, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::proxy::{forward, request};
use crate::store::ProbeStore;
use crate::world::{LIFE, SECRET, World, eventually, secs};

/// A span of this library or of a test.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    parent: Option<u64>,
    follows: bool,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Keeps all spans, in the order in which they began.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, Seen)>>>);

impl Spans {
    fn change(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.lock().unwrap();
        // Identifiers are used again: the last one is meant.
        if let Some((_, seen)) = all.iter_mut().rev().find(|(held, _)| *held == id.into_u64()) {
            change(seen);
        }
    }

    /// What there is, and begins anew.
    fn take(&self) -> Vec<(u64, Seen)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !matches!(attributes.metadata().target(), "auth_core::spans" | "app") {
            return;
        }
        // Those of hyper and others between two of ours do not count.
        let ancestors = context.span(id).unwrap().scope().skip(1);
        let parent = ancestors
            .filter(|span| matches!(span.metadata().target(), "auth_core::spans" | "app"))
            .map(|span| span.id().into_u64())
            .next();
        let mut seen = Seen {
            name: attributes.metadata().name(),
            parent,
            ..Seen::default()
        };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push((id.into_u64(), seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.change(id, |seen| values.record(seen));
    }

    fn on_follows_from(&self, id: &Id, _: &Id, _: Context<'_, S>) {
        self.change(id, |seen| seen.follows = true);
    }
}

/// Spans as lines, each two spaces further in than the one it is below.
fn tree(spans: &[(u64, Seen)]) -> String {
    fn below(spans: &[(u64, Seen)], parent: Option<u64>, depth: usize, text: &mut String) {
        for (id, seen) in spans.iter().filter(|(_, seen)| seen.parent == parent) {
            let what =
                ["otel.name", "db.system.name"].map(|name| seen.fields.get(name).map_or("", |held| held));
            let error = seen.fields.get("error.type");
            let error = error.map(|error| format!("!{error}"));
            let parts = [seen.name, what[0], what[1], error.as_deref().unwrap_or_default()];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            let link = if seen.follows { " (linked)" } else { "" };
            writeln!(text, "{}{}{link}", "  ".repeat(depth), parts.join(" ")).unwrap();
            below(spans, Some(*id), depth + 1, text);
        }
    }
    let mut text = String::new();
    below(spans, None, 0, &mut text);
    assert_eq!(text.lines().count(), spans.len(), "{spans:?}");
    text
}

/// A runtime whose thread has this subscriber.
fn runtime(subscriber: &Dispatch) -> Runtime {
    let dispatch = subscriber.clone();
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
        .build()
        .unwrap()
}

/// Runs a test on one runtime, given a second one for the core, as actix-web has it: what is begun on the one goes on on the other.
fn on_two_runtimes<F>(test: impl FnOnce(Spans, tokio::runtime::Handle) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let spans = Spans::default();
    let subscriber = Dispatch::new(Registry::default().with(spans.clone()));
    let (requests, core) = (runtime(&subscriber), runtime(&subscriber));
    let test = requests.spawn(test(spans, core.handle().clone()));
    let outcome = requests.block_on(test);
    core.shutdown_background();
    outcome.unwrap();
}

/// A request's span, as the app makes it.
async fn within<T>(work: impl Future<Output = T>) -> T {
    work.instrument(info_span!(target: "app", "request")).await
}

/// Nothing of what the provider has issued, or the browser holds, is in any field.
fn assert_no_secret(world: &World, held: &[String], spans: &[(u64, Seen)]) {
    let mut secrets = world.control().issued_secrets();
    secrets.extend_from_slice(held);
    secrets.push(SECRET.to_owned());
    for endpoint in [Endpoint::Token, Endpoint::Authorize] {
        for request in world.control().requests(endpoint) {
            for name in ["code", "code_verifier", "state", "nonce"] {
                secrets.extend(request.form(name).map(str::to_owned));
                secrets.extend(request.query(name));
            }
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    assert!(secrets.len() > 5, "only {} secrets to look for", secrets.len());
    for (_, Seen { name, fields, .. }) in spans {
        for (field, value) in fields {
            for secret in &secrets {
                assert!(
                    !value.contains(secret.as_str()),
                    "a secret is in {field} of {name}"
                );
            }
            assert!(!value.contains('?'), "a query is in {field} of {name}: {value}");
        }
    }
}

#[test]
fn a_sign_in_a_refresh_and_a_sign_out_have_the_spans_that_are_listed() {
    on_two_runtimes(|spans, core| async move {
        let world = World::with(|builder| builder.runtime(core)).await;
        let mut browser = world.browser();
        let url = browser.begin("/").await;
        let target = browser.approve(&url).await;
        let mut held: Vec<_> = browser.cookies.values().cloned().collect();
        let mut all = spans.take();
        assert_eq!(tree(&all), "auth.provider.request GET discovery\n");

        let reply = within(browser.callback(&target)).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        held.extend(browser.cookies.values().cloned());
        let id = browser.session().unwrap();
        let seen = spans.take();
        assert_eq!(
            tree(&seen),
            "request\n  auth.callback\n    auth.provider.request POST token\n    auth.provider.request GET jwks\n    \
             auth.provider.request GET userinfo\n"
        );
        let token = &seen[2].1.fields;
        let issuer = url::Url::parse(world.provider.issuer()).unwrap();
        for (name, value) in [
            ("otel.kind", "client"),
            ("auth.endpoint", "token"),
            ("http.request.method", "POST"),
            ("server.address", issuer.host_str().unwrap()),
            ("server.port", &issuer.port().unwrap().to_string()),
            ("http.response.status_code", "200"),
        ] {
            assert_eq!(token.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(token["url.path"].ends_with("/token"), "{token:?}");
        all.extend(seen);

        // Somebody who is signed in, with the store in memory: nothing.
        within(world.session(&id)).await;
        assert_eq!(tree(&spans.take()), "request\n");

        world.clock.advance(LIFE);
        within(world.session(&id)).await;
        let seen = spans.take();
        assert_eq!(
            tree(&seen),
            "request\n  auth.refresh\n    auth.provider.request POST token\n"
        );
        all.extend(seen);

        // In the background: nobody waits for it, and the request's span does not stay open for its sake.
        world.clock.advance(LIFE - secs(1));
        let hold = world.control().hold(Endpoint::Token);
        within(world.session(&id)).await;
        hold.release();
        eventually("the refresh in the background", || {
            world.control().requests(Endpoint::Token).len() == 3
        })
        .await;
        world.clock.advance(secs(1));
        within(world.session(&id)).await;
        let seen = spans.take();
        let text = tree(&seen);
        assert!(
            text.contains("\nauth.refresh (linked)\n  auth.provider.request POST token\n")
                || text.starts_with("auth.refresh (linked)\n  auth.provider.request POST token\n"),
            "{text}"
        );
        assert_eq!(seen.len(), 4, "{text}");
        all.extend(seen);

        world.clock.advance(LIFE);
        world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
        within(world.auth.authenticate(Some(&id))).await.unwrap_err();
        let seen = spans.take();
        assert_eq!(
            tree(&seen),
            "request\n  auth.refresh !refresh.unavailable\n    auth.provider.request POST token !503\n"
        );
        assert_eq!(seen[2].1.fields["otel.status_code"], "ERROR");
        all.extend(seen);

        let _ = within(browser.logout()).await;
        world.settle().await;
        let seen = spans.take();
        assert_eq!(
            tree(&seen),
            "request\n  auth.revocation\n    auth.provider.request POST revocation\n    \
             auth.provider.request POST revocation\n"
        );
        all.extend(seen);
        let failed = within(browser.callback(&target)).await;
        assert_eq!(failed.status, 400);
        let seen = spans.take();
        assert!(
            tree(&seen).starts_with("request\n  auth.callback !login."),
            "{}",
            tree(&seen)
        );
        all.extend(seen);
        held.push(target);
        assert_no_secret(&world, &held, &all);
    });
}

#[test]
fn calls_of_apis_and_forwarded_requests_have_the_spans_that_are_listed() {
    on_two_runtimes(|spans, core| async move {
        let world = World::with(|builder| builder.runtime(core)).await;
        let id = world.sign_in().await;
        let session = world.session(&id).await;
        let held = [world.token(&session).await, id.expose().to_owned()];
        spans.take();

        let api = world.auth.client(&session);
        world.control().reject_next(1);
        within(api.get("/scim2/Me?secret=hunter2").send()).await.unwrap();
        let mut all = spans.take();
        assert_eq!(
            tree(&all),
            "request\n  auth.api.request GET !401\n  auth.refresh\n    auth.provider.request POST token\n  auth.api.request GET\n"
        );
        let answered = &all.last().unwrap().1.fields;
        assert_eq!(answered["http.response.status_code"], "200");
        assert_eq!(answered["otel.kind"], "client");
        assert!(!format!("{answered:?}").contains("scim2"), "{answered:?}");

        let odd = Method::from_bytes(b"SECRET-METHOD").unwrap();
        let _ = within(api.request(odd, "/scim2/Me").send()).await;
        let seen = spans.take();
        assert_eq!(seen[1].1.fields["http.request.method"], "_OTHER");
        assert!(!format!("{:?}", seen[1].1.fields).contains("SECRET"));

        let session = world.session(&id).await;
        let proxy = Proxy::to_api();
        within(forward(
            &world.auth,
            &proxy,
            &session,
            request(Method::GET, "/echo?secret=hunter2"),
        ))
        .await
        .unwrap();
        let seen = spans.take();
        assert_eq!(tree(&seen), "request\n  auth.proxy.request GET\n");
        let answered = &seen[1].1.fields;
        assert_eq!(answered["http.response.status_code"], "200");
        assert_eq!(answered["server.address"], "127.0.0.1");
        assert!(answered.contains_key("server.port"), "{answered:?}");
        all.extend(seen);
        assert_no_secret(&world, &held, &all);
        assert!(!format!("{all:?}").contains("hunter2"));
    });
}

#[test]
fn operations_of_a_store_of_the_apps_own_have_spans_where_it_says_what_it_waits_for() {
    on_two_runtimes(|spans, core| async move {
        let store = ProbeStore::waiting_for("cassandra");
        let world = World::with(|builder| builder.runtime(core).store(store)).await;
        let id = world.sign_in().await;
        spans.take();
        within(world.session(&id)).await;
        let seen = spans.take();
        assert_eq!(tree(&seen), "request\n  auth.store.operation load cassandra\n");
    });
}

/// The store that waits for the longest: another process.
#[cfg(feature = "redis")]
#[test]
fn operations_of_a_store_that_waits_have_spans() {
    use auth_core::store::RedisStore;
    use auth_testing::servers::RedisServer;

    on_two_runtimes(|spans, core| async move {
        let server = RedisServer::start().unwrap();
        let store = RedisStore::open(&server.url()).await.unwrap();
        let world = World::with(|builder| builder.runtime(core).store(store)).await;
        let id = world.sign_in().await;
        spans.take();

        within(world.session(&id)).await;
        let mut all = spans.take();
        assert_eq!(tree(&all), "request\n  auth.store.operation load redis\n");
        let load = &all[1].1.fields;
        for (name, value) in [
            ("otel.kind", "client"),
            ("db.operation.name", "load"),
            ("db.system.name", "redis"),
        ] {
            assert_eq!(load.get(name).map(String::as_str), Some(value), "{name}");
        }

        world.clock.advance(LIFE);
        within(world.session(&id)).await;
        let seen = spans.take();
        assert_eq!(
            tree(&seen),
            "request\n  auth.store.operation load redis\n  auth.refresh\n    auth.store.operation load redis\n    \
             auth.store.operation acquire redis\n    auth.provider.request POST token\n    \
             auth.store.operation compare_and_swap redis\n"
        );
        all.extend(seen);

        drop(server);
        within(world.auth.authenticate(Some(&id))).await.unwrap_err();
        let seen = spans.take();
        assert_eq!(
            tree(&seen),
            "request\n  auth.store.operation load redis !unavailable\n"
        );
        all.extend(seen);
        assert_no_secret(&world, &[id.expose().to_owned()], &all);
    });
}
