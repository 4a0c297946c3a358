//! Many requests, many expiries, nothing broken: one token request per expiry, and nothing lost.

use std::time::Duration;

use auth_tests::fleet::{End, Fleet, Report, Tally};

use crate::stores::Backend;

pub(crate) async fn two_hundred_requests_over_two_instances_make_one_refresh(backend: Backend) {
    herd(backend, 2).await;
}

pub(crate) async fn two_hundred_requests_over_four_instances_make_one_refresh(backend: Backend) {
    herd(backend, 4).await;
}

/// Whole bursts on a dead token, five times over.
async fn herd(backend: Backend, instances: usize) {
    const ROUNDS: u64 = 5;
    let report = Report::of(format!(
        "{backend:?}, {instances} instances, 200 requests at once, {ROUNDS} times"
    ));
    let store = backend.start();
    let fleet = Fleet::start(&store.url, instances).await;
    let control = fleet.control();
    // A burst is over long before the next background refresh.
    control.set_access_token_lifetime(Duration::from_secs(4));
    let visitor = fleet.sign_in("alice").await;
    let mut tally = Tally::default();
    for round in 1..=ROUNDS {
        fleet.until_expired(&visitor).await;
        tally.join(fleet.agent().herd(200, &visitor, "/api/ping").await);
        assert_eq!(control.refresh_count(), round, "one token request per expiry");
    }
    assert_eq!(tally.of(End::Status(200)), tally.all(), "{tally:?}");
    assert_eq!((fleet.reuses(), fleet.presented_again()), (0, 0));
    assert_eq!(fleet.lost(&[visitor]).await, 0);
    report.say(&format!(
        "{} requests, {ROUNDS} expiries, {ROUNDS} token requests, 0 tokens presented twice, 0 refused requests, \
         0 sessions lost",
        tally.all()
    ));
}

/// Four instances, a burst on each token that has died.
pub(crate) async fn a_hundred_expiries_in_a_row_lose_nothing(backend: Backend) {
    const EXPIRIES: u64 = 100;
    const LIFE: Duration = Duration::from_secs(1);
    let report = Report::of(format!(
        "{backend:?}, 4 instances, {EXPIRIES} expiries in a row, 40 requests at once on each"
    ));
    let store = backend.start();
    let fleet = Fleet::start(&store.url, 4).await;
    let control = fleet.control();
    control.set_access_token_lifetime(LIFE);
    let visitor = fleet.sign_in("alice").await;
    let mut tally = Tally::default();
    for _ in 0..EXPIRIES {
        // The token was issued before the burst or the sign-in ended.
        tokio::time::sleep(LIFE + Duration::from_millis(10)).await;
        tally.join(fleet.agent().herd(40, &visitor, "/api/ping").await);
    }
    tally.assert_only(&[End::Status(200)]);
    let refreshes = control.refresh_count();
    // On a busy machine a burst may last until the next token is refreshed in the background, and that is one more.
    assert!(
        (EXPIRIES..EXPIRIES * 2).contains(&refreshes),
        "{refreshes} token requests"
    );
    assert_eq!((fleet.reuses(), fleet.presented_again()), (0, 0));
    assert_eq!(fleet.lost(&[visitor]).await, 0);
    report.say(&format!(
        "{} requests, {EXPIRIES} expiries, {refreshes} token requests, 0 tokens presented twice, 0 refused requests, \
         0 sessions lost",
        tally.all()
    ));
}
