//! The provider or the store breaks under load, and comes back: nobody is signed out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auth_testing::{Endpoint, Fault};
use auth_tests::fleet::{End, Fleet, Report, Tally, Visitor};
use tokio::task::JoinHandle;

use crate::stores::Backend;

/// Visitors who ask for something all the time.
struct Load {
    stop: Arc<AtomicBool>,
    askers: Vec<JoinHandle<Tally>>,
}

impl Load {
    fn start(fleet: &Fleet, visitors: &[Visitor]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let size = fleet.size();
        let askers = visitors
            .iter()
            .enumerate()
            .map(|(n, visitor)| {
                let (agent, visitor, stop) = (fleet.agent(), visitor.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut tally = Tally::default();
                    for turn in n.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        tally.add(agent.ask(turn % size, &visitor, "/api/ping").await);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    tally
                })
            })
            .collect();
        Self { stop, askers }
    }

    async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for asker in self.askers {
            tally.join(asker.await.unwrap());
        }
        tally
    }
}

async fn sign_in(fleet: &Fleet, count: usize) -> Vec<Visitor> {
    let mut visitors = Vec::new();
    for _ in 0..count {
        visitors.push(fleet.sign_in("alice").await);
    }
    visitors
}

/// Each fault lasts longer than an access token lives.
pub(crate) async fn whatever_the_provider_does_signs_nobody_out(backend: Backend) {
    let report = Report::of(format!(
        "{backend:?}, 2 instances, 6 sessions; the provider refuses connections, resets them, answers 500, 503, 429, \
         HTML, half a JSON, invalid_client, or nothing"
    ));
    let store = backend.start();
    let fleet = Fleet::start_with(&store.url, 2, |settings| settings.set("HTTP_TIMEOUT_SECS", 1)).await;
    let control = fleet.control();
    control.set_access_token_lifetime(Duration::from_secs(1));
    let visitors = sign_in(&fleet, 6).await;
    let mut tally = Tally::default();
    let mut outages = 0;
    for fault in [
        None,
        Some(Fault::Reset),
        Some(Fault::status(500)),
        Some(Fault::status(503)),
        Some(Fault::status(429)),
        Some(Fault::body(200, "text/html", "<h1>Maintenance</h1>")),
        Some(Fault::body(200, "application/json", "{\"access_token\":\"x")),
        Some(Fault::oauth(401, "invalid_client")),
        // Never carried out: a request that hangs ends with its connection.
        Some(Fault::Hang),
    ] {
        let load = Load::start(&fleet, &visitors);
        match &fault {
            None => control.go_down().await,
            Some(fault) => control.fail(Endpoint::Token, fault.clone()),
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let during = load.stop().await;
        during.assert_only(&[End::Status(200), End::Status(503)]);
        assert!(during.of(End::Status(503)) > 0, "{fault:?} was not noticed");
        match &fault {
            None => control.come_up().await.unwrap(),
            Some(fault) => {
                if matches!(fault, Fault::Hang) {
                    // The last requests have been given up a moment ago. Their connections must have ended before
                    // the fault does, or they would be carried out for nobody.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                control.clear(Endpoint::Token);
            }
        }
        // Noticed within seconds, by everyone.
        assert_eq!(fleet.lost(&visitors).await, 0, "{fault:?} signed somebody out");
        tally.join(during);
        outages += 1;
    }
    assert_eq!(fleet.reuses(), 0);
    report.say(&format!(
        "{} requests in {outages} outages: {} served, {} answered 503 with Retry-After, 0 sessions lost",
        tally.all(),
        tally.of(End::Status(200)),
        tally.of(End::Status(503)),
    ));
}

pub(crate) async fn a_store_that_is_killed_signs_nobody_out(backend: Backend) {
    const KILLS: usize = 5;
    let report = Report::of(format!(
        "{backend:?}, 2 instances, 6 sessions, store killed {KILLS} times under load"
    ));
    let store = backend.start();
    let fleet = Fleet::start(&store.url, 2).await;
    let control = fleet.control();
    control.set_access_token_lifetime(Duration::from_secs(1));
    let visitors = sign_in(&fleet, 6).await;
    let mut tally = Tally::default();
    for _ in 0..KILLS {
        let load = Load::start(&fleet, &visitors);
        tokio::time::sleep(Duration::from_millis(700)).await;
        store.kill();
        tokio::time::sleep(Duration::from_millis(700)).await;
        store.restart();
        tokio::time::sleep(Duration::from_millis(600)).await;
        tally.join(load.stop().await);
        assert_eq!(
            fleet.lost(&visitors).await,
            0,
            "a store that was down signed somebody out"
        );
    }
    tally.assert_only(&[End::Status(200), End::Status(503)]);
    // How many get a 503 is the store's affair: PostgreSQL's waits for a server that starts again.
    assert_eq!((fleet.reuses(), fleet.presented_again()), (0, 0));
    report.say(&format!(
        "{} requests, {} token requests, 0 tokens presented twice, {} served, {} answered 503 with Retry-After, \
         0 sessions lost",
        tally.all(),
        control.refresh_count(),
        tally.of(End::Status(200)),
        tally.of(End::Status(503)),
    ));
}
