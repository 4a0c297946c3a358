//! What a sweep of many sessions costs those who use the store meanwhile.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auth_core::clock::{Clock, Timestamp};
use auth_core::store::SessionStore as _;

use super::{LIFE, load};
use crate::Failure;
use crate::effort::Effort;
use crate::report::{Field, Spread, Table, quantile};
use crate::setup::{Numbers, Shared, key};

/// How many sweeps of each kind.
const SWEEPS: u64 = 5;
/// One of so many sessions has expired at each of the sweeps that find some.
const SHARE: u64 = 20;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long a session lives. They expire in groups, one for each sweep that is to find some; the rest outlives the
/// measurement.
pub(super) fn life(number: u64, sessions: u64) -> Duration {
    match number / (sessions / SHARE).max(1) {
        group if group < SWEEPS => hours(group + 1),
        _ => LIFE,
    }
}

fn hours(count: u64) -> Duration {
    HOUR * u32::try_from(count).unwrap_or(u32::MAX)
}

pub(super) async fn measure(
    store: &Shared,
    sessions: u64,
    now: Timestamp,
    effort: Effort,
) -> Result<Table, Failure> {
    let rounds = effort.rounds(SWEEPS as usize) as u64;
    let mut table = Table::new(
        format!(
            "A sweep of {sessions} sessions in memory, {rounds} of each kind; milliseconds, median (min–max). \
             A thread loads (and every twentieth time touches) without a pause meanwhile"
        ),
        &[
            "sweep",
            "whole sweep",
            "longest load",
            "p99.9 of loads",
            "longest touch",
            "longest wait of a task on the sweeping thread",
        ],
    );
    // Only sessions that are there throughout.
    let alive = SWEEPS * (sessions / SHARE).max(1)..sessions;
    let quiet = sweeps(store, alive.clone(), rounds, |_| None).await?;
    table.add(quiet.cells("none, for comparison"));
    let idle = sweeps(store, alive.clone(), rounds, |_| Some(now)).await?;
    table.add(idle.cells("nothing has expired"));
    let busy = sweeps(store, alive, rounds, |group| {
        Some(now.plus(hours(group + 1) + HOUR / 2))
    })
    .await?;
    table.add(busy.cells(&format!("{} have expired, and are removed", sessions / SHARE)));
    Ok(table)
}

/// Seconds, one of each kind for each sweep.
#[derive(Default)]
struct Sweeps {
    whole: Vec<f64>,
    longest_load: Vec<f64>,
    most_loads: Vec<f64>,
    longest_touch: Vec<f64>,
    wait: Vec<f64>,
}

impl Sweeps {
    fn cells(&self, name: &str) -> [Field; 6] {
        let millis = |seconds: &[f64], decimals| {
            Field::Spread(Spread::of(seconds.iter().map(|time| time * 1e3)), decimals)
        };
        [
            Field::text(name),
            millis(&self.whole, 0),
            millis(&self.longest_load, 2),
            millis(&self.most_loads, 4),
            millis(&self.longest_touch, 2),
            millis(&self.wait, 2),
        ]
    }
}

/// Sweeps at the instants that `at` gives, while a thread uses the store. Where it gives none, half a second passes.
async fn sweeps(
    store: &Shared,
    alive: std::ops::Range<u64>,
    rounds: u64,
    at: impl Fn(u64) -> Option<Timestamp>,
) -> Result<Sweeps, Failure> {
    let mut sweeps = Sweeps::default();
    for round in 0..rounds {
        let done = Arc::new(AtomicBool::new(false));
        let user = std::thread::spawn({
            let (store, alive, done) = (store.clone(), alive.clone(), Arc::clone(&done));
            move || use_until(&store, alive, &done)
        });
        let sweeper = std::thread::spawn({
            let (store, at) = (store.clone(), at(round));
            move || sweep_beside_a_task(&store, at)
        });
        let swept = tokio::task::spawn_blocking(move || sweeper.join()).await?;
        done.store(true, Ordering::Relaxed);
        let used = tokio::task::spawn_blocking(move || user.join()).await?;
        let (whole, wait) = swept.map_err(|_| "the sweep panicked")??;
        let used = used.map_err(|_| "the loads panicked")??;
        sweeps.whole.push(whole.as_secs_f64());
        sweeps.wait.push(wait.as_secs_f64());
        sweeps.longest_load.push(quantile(&used.loads, 1.0) / 1e9);
        sweeps.most_loads.push(quantile(&used.loads, 0.999) / 1e9);
        sweeps.longest_touch.push(quantile(&used.touches, 1.0) / 1e9);
    }
    Ok(sweeps)
}

/// One sweep on a runtime of one thread: how long it takes, and the longest that another task there has to wait.
fn sweep_beside_a_task(store: &Shared, at: Option<Timestamp>) -> Result<(Duration, Duration), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let longest = Cell::new(Duration::ZERO);
        let other_task = async {
            let mut last = Instant::now();
            loop {
                tokio::task::yield_now().await;
                longest.set(longest.get().max(last.elapsed()));
                last = Instant::now();
            }
        };
        let sweep = async {
            match at {
                Some(at) => store.sweep(at).await.map(drop),
                None => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(())
                }
            }
        };
        let began = Instant::now();
        tokio::select! {
            biased;
            swept = sweep => swept?,
            () = other_task => {}
        }
        Ok((began.elapsed(), longest.get()))
    })
}

/// Nanoseconds, sorted.
struct Used {
    loads: Vec<u64>,
    touches: Vec<u64>,
}

/// Loads sessions in this range until it is done, and touches some.
fn use_until(store: &Shared, alive: std::ops::Range<u64>, done: &AtomicBool) -> Result<Used, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut numbers = Numbers(2);
        let now = Clock::system().now();
        let mut used = Used {
            loads: Vec::new(),
            touches: Vec::new(),
        };
        let mut count = 0_u64;
        while !done.load(Ordering::Relaxed) {
            let number = alive.start + numbers.below(alive.end - alive.start);
            count += 1;
            let touches = count.is_multiple_of(20);
            let key = key(number);
            let began = Instant::now();
            if touches {
                let later = now.plus(Duration::from_millis(count));
                store.touch(&key, later, later.plus(LIFE), now).await?;
            } else {
                load(store, number, now).await?;
            }
            let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if touches {
                &mut used.touches
            } else {
                &mut used.loads
            }
            .push(nanos);
        }
        used.loads.sort_unstable();
        used.touches.sort_unstable();
        Ok(used)
    })
}
