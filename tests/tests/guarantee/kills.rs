//! Instances are killed in the middle of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use auth_testing::{Endpoint, Fault};
use auth_tests::fleet::{End, Fleet, Report, Tally};

use crate::stores::Backend;

/// What a kill can cost is the session whose refresh token the provider had just used up: it ends in a clean sign-in. Nothing
/// else is lost, no request gets a wrong answer, and nobody waits for longer than a lease and one attempt.
pub(crate) async fn two_hundred_kills_end_in_clean_sign_ins_at_worst(backend: Backend) {
    const KILLS: usize = 200;
    const VISITORS: usize = 8;
    let report = Report::of(format!(
        "{backend:?}, 4 instances, {VISITORS} sessions, {KILLS} kills under load"
    ));
    let store = backend.start();
    let mut fleet = Fleet::start(&store.url, 4).await;
    let control = fleet.control().clone();
    control.set_access_token_lifetime(Duration::from_secs(1));
    // Slow, so that kills meet refreshes that are under way.
    control.fail(Endpoint::Token, Fault::Delay(Duration::from_millis(50)));
    let stop = Arc::new(AtomicBool::new(false));
    let sign_ins = Arc::new(AtomicUsize::new(0));
    let mut visitors = Vec::new();
    let mut askers = Vec::new();
    for n in 0..VISITORS {
        let visitor = fleet.sign_in("alice").await;
        visitors.push(visitor.clone());
        let (agent, stop, sign_ins) = (fleet.agent(), Arc::clone(&stop), Arc::clone(&sign_ins));
        let provider = Arc::clone(&fleet.provider);
        askers.push(tokio::spawn(async move {
            let (mut tally, mut longest) = (Tally::default(), Duration::ZERO);
            for turn in n.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let asked_at = Instant::now();
                let end = agent.ask(turn % 4, &visitor, "/api/ping").await;
                longest = longest.max(asked_at.elapsed());
                tally.add(end);
                if end == End::Status(401) && agent.signs_in(&provider, &visitor, "alice").await {
                    sign_ins.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (tally, longest)
        }));
    }
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..KILLS {
        let which = random.usize(..fleet.size());
        tokio::time::sleep(Duration::from_millis(random.u64(..100))).await;
        fleet.kill(which).await;
        fleet.revive(which).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut tally, mut longest) = (Tally::default(), Duration::ZERO);
    for asker in askers {
        let (asked, waited) = asker.await.unwrap();
        tally.join(asked);
        longest = longest.max(waited);
    }
    tally.assert_only(&[
        End::Status(200),
        End::Status(401),
        End::Status(503),
        End::NoAnswer,
    ]);
    control.clear_all();
    let lost = fleet.lost(&visitors).await + sign_ins.load(Ordering::Relaxed);
    let (again, reused) = (fleet.presented_again(), fleet.reuses());
    // Whoever takes over from an instance that was killed presents the token once more.
    assert!(
        (1..=KILLS).contains(&again),
        "{again} tokens presented again at {KILLS} kills"
    );
    // One that is killed again after the provider's refusal makes two refusals of one session.
    assert!(
        lost <= reused,
        "{lost} sessions ended, but the provider refused {reused} tokens as used up"
    );
    // The wait for a dead holder's lease, and then one attempt.
    assert!(
        longest < Duration::from_secs(21),
        "somebody waited for {longest:?}"
    );
    assert!(tally.of(End::Status(200)) > KILLS, "{tally:?}");
    report.say(&format!(
        "{} requests: {} served, {} answered 503 with Retry-After, {} cut off, 0 other answers; {} token requests, \
         {again} of them with a token that had been presented before; {lost} sessions ended in a clean sign-in; \
         longest wait {:.1} s",
        tally.all(),
        tally.of(End::Status(200)),
        tally.of(End::Status(503)),
        tally.of(End::NoAnswer),
        control.refresh_count(),
        longest.as_secs_f64(),
    ));
}
