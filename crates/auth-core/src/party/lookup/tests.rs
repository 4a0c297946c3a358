use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::yield_now;

use super::*;
use crate::auth::Auth;
use crate::clock::TestClock;
use crate::party::Parties;

/// What the application's database says, and how often it was asked.
#[derive(Clone, Default)]
struct Database {
    tenants: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<AtomicUsize>,
    is_down: Arc<AtomicBool>,
    /// It keeps names that begin so waiting.
    held: Arc<watch::Sender<Option<&'static str>>>,
}

impl Database {
    fn with(names: &[&str]) -> Self {
        let database = Self::default();
        for name in names {
            database.set(name, "https://id.example");
        }
        database
    }

    fn set(&self, name: &str, issuer: &str) {
        let mut tenants = self.tenants.lock().expect("a lock");
        tenants.insert(name.to_owned(), issuer.to_owned());
    }

    fn remove(&self, name: &str) {
        self.tenants.lock().expect("a lock").remove(name);
    }

    fn hold(&self, names: Option<&'static str>) {
        self.held.send_replace(names);
    }

    /// The issuer of this name's, once it is let through.
    async fn find(&self, name: &str) -> Result<Option<SignInProvider>, &'static str> {
        let mut held = self.held.subscribe();
        let passes = held.wait_for(|held| !held.is_some_and(|held| name.starts_with(held)));
        drop(passes.await.expect("the database is there"));
        if self.is_down.load(Ordering::SeqCst) {
            return Err("the database is down");
        }
        let tenants = self.tenants.lock().expect("a lock");
        let issuer = tenants.get(name).cloned();
        Ok(issuer.map(|issuer| SignInProvider::default().issuer(issuer).client("tests", None)))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn auth(&self, clock: &TestClock) -> Auth {
        let database = self.clone();
        Auth::builder()
            .base_url("http://127.0.0.1:3000")
            .issuer("https://own.example")
            .client("tests", None)
            .clock(clock.clock())
            .providers_from(move |name| {
                database.asked.fetch_add(1, Ordering::SeqCst);
                let database = database.clone();
                async move {
                    yield_now().await;
                    database.find(&name).await
                }
            })
            .build()
            .await
            .expect("good settings")
    }
}

fn parties(auth: &Auth) -> &Parties {
    &auth.core().config.parties
}

fn lookup(auth: &Auth) -> &Lookup {
    parties(auth).lookup.as_ref().expect("a lookup")
}

fn is_kept(auth: &Auth, name: &str) -> bool {
    lookup(auth).0.lock().found.get(name).is_some()
}

/// Waits until this name is not being looked up any more.
async fn landed(auth: &Auth, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while lookup(auth).0.lock().flights.contains_key(name) {
        assert!(
            Instant::now() < deadline,
            "the lookup of {name} never came to an end"
        );
        yield_now().await;
    }
}

/// What there is to be had without waiting for anything.
fn at_once(auth: &Auth, name: &str) -> Option<Result<Arc<Party>, ProviderError>> {
    parties(auth).of(Some(name)).now_or_never()
}

/// The provider of this name, which is known: at once.
fn known(auth: &Auth, name: &str) -> Arc<Party> {
    at_once(auth, name).expect("nobody waits").expect("there")
}

#[tokio::test]
async fn what_is_found_is_asked_for_again_after_five_minutes_and_stays_the_same() {
    let (clock, database) = (TestClock::new(), Database::with(&["acme"]));
    let auth = database.auth(&clock).await;
    let first = parties(&auth).of(Some("acme")).await.expect("there");
    let origin = auth.core().config.origins.first();
    assert_eq!(
        first.redirect_uri(origin),
        "http://127.0.0.1:3000/auth/callback/acme"
    );
    clock.advance(FRESH - Duration::from_secs(1));
    parties(&auth).of(Some("acme")).await.expect("there");
    assert_eq!(database.asked(), 1);
    clock.advance(Duration::from_secs(1));
    known(&auth, "acme");
    landed(&auth, "acme").await;
    let again = known(&auth, "acme");
    assert_eq!(database.asked(), 2);
    assert!(
        Arc::ptr_eq(&first, &again),
        "the same settings are the same provider"
    );
    database.set("acme", "https://new.example");
    clock.advance(FRESH);
    let stale = known(&auth, "acme");
    assert!(Arc::ptr_eq(&first, &stale), "as it was until the answer is there");
    landed(&auth, "acme").await;
    let changed = known(&auth, "acme");
    assert_eq!(changed.provider.issuer().as_str(), "https://new.example");
    database.remove("acme");
    clock.advance(FRESH);
    known(&auth, "acme");
    landed(&auth, "acme").await;
    assert!(matches!(
        at_once(&auth, "acme"),
        Some(Err(ProviderError::Unknown))
    ));
    assert!(!is_kept(&auth, "acme"));
}

#[tokio::test]
async fn one_that_nobody_has_asked_for_in_a_long_time_is_looked_up_first() {
    let (clock, database) = (TestClock::new(), Database::with(&["acme"]));
    let auth = database.auth(&clock).await;
    parties(&auth).of(Some("acme")).await.expect("there");
    database.remove("acme");
    clock.advance(FRESH + STALE);
    assert!(matches!(
        parties(&auth).of(Some("acme")).await,
        Err(ProviderError::Unknown)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_hangs_keeps_nobody_waiting_whose_provider_is_known() {
    let (clock, database) = (TestClock::new(), Database::with(&["acme"]));
    let auth = database.auth(&clock).await;
    let first = parties(&auth).of(Some("acme")).await.expect("there");
    let limit = lookup(&auth).0.means.limit;
    database.hold(Some(""));
    clock.advance(FRESH);
    for tries in 2..5 {
        for _ in 0..3 {
            assert!(Arc::ptr_eq(&first, &known(&auth, "acme")));
        }
        // The lookup begins, and is given up.
        yield_now().await;
        yield_now().await;
        tokio::time::advance(limit).await;
        landed(&auth, "acme").await;
        assert_eq!(database.asked(), tries);
        clock.advance(AFTER_FAILURE - Duration::from_secs(1));
        assert!(Arc::ptr_eq(&first, &known(&auth, "acme")));
        assert!(
            lookup(&auth).0.lock().flights.is_empty(),
            "the database is left alone for a while"
        );
        clock.advance(Duration::from_secs(1));
    }
    // Not asked for in a long time, it is waited for; not for as long as the database may take.
    clock.advance(STALE);
    let begun = tokio::time::Instant::now();
    let same = parties(&auth).of(Some("acme")).await.expect("as it was");
    assert!(Arc::ptr_eq(&first, &same));
    assert_eq!(begun.elapsed().as_secs(), WAIT_FOR_STALE.as_secs());
    database.remove("acme");
    database.hold(None);
    landed(&auth, "acme").await;
    assert!(matches!(
        at_once(&auth, "acme"),
        Some(Err(ProviderError::Unknown))
    ));
}

#[tokio::test]
async fn two_thousand_invented_names_hold_nobody_up_whose_provider_is_known() {
    let (clock, database) = (TestClock::new(), Database::with(&["acme"]));
    let auth = database.auth(&clock).await;
    let first = parties(&auth).of(Some("acme")).await.expect("there");
    database.hold(Some("nobody-"));
    let name = |number: usize| format!("nobody-{number}");
    let outcomes: Vec<_> = (0..2_000).map(|number| at_once(&auth, &name(number))).collect();
    let (waiting, refused) = outcomes.split_at(MAX_WAITING);
    assert!(waiting.iter().all(Option::is_none));
    assert_eq!(lookup(&auth).0.lock().flights.len(), MAX_WAITING);
    for outcome in refused {
        match outcome {
            Some(Err(error @ ProviderError::Lookup(cause))) => {
                assert!(matches!(**cause, LookupError::Busy), "{cause:?}");
                assert_eq!((error.status(), error.code()), (503, "provider.lookup_failed"));
            }
            other => panic!("not refused: {other:?}"),
        }
    }
    // One that waits already is joined.
    assert!(at_once(&auth, &name(0)).is_none());

    database.set("acme", "https://new.example");
    clock.advance(FRESH);
    assert!(Arc::ptr_eq(&first, &known(&auth, "acme")));
    landed(&auth, "acme").await;
    assert_eq!(database.asked(), 2 + AT_ONCE, "so many of the others have a slot");
    let changed = known(&auth, "acme");
    assert_eq!(changed.provider.issuer().as_str(), "https://new.example");

    database.hold(None);
    for number in 0..MAX_WAITING {
        landed(&auth, &name(number)).await;
    }
    let error = parties(&auth).of(Some(&name(1_999))).await.expect_err("nobody's");
    assert!(
        matches!(error, ProviderError::Unknown),
        "there is room again: {error}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_turn_counts_towards_the_limit() {
    let (clock, database) = (TestClock::new(), Database::default());
    let auth = database.auth(&clock).await;
    database.hold(Some(""));
    let begun = tokio::time::Instant::now();
    let names: Vec<_> = (0..AT_ONCE * 3)
        .map(|number| format!("nobody-{number}"))
        .collect();
    let asked = names.iter().map(|name| parties(&auth).of(Some(name)));
    for outcome in futures_util::future::join_all(asked).await {
        match outcome {
            Err(ProviderError::Lookup(cause)) => {
                assert!(matches!(*cause, LookupError::TimedOut), "{cause:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(begun.elapsed().as_secs(), lookup(&auth).0.means.limit.as_secs());
    assert!(lookup(&auth).0.lock().flights.is_empty());
}

#[tokio::test]
async fn that_there_is_none_is_remembered_for_a_moment() {
    let (clock, database) = (TestClock::new(), Database::default());
    let auth = database.auth(&clock).await;
    for _ in 0..3 {
        assert!(parties(&auth).of(Some("acme")).await.is_err());
    }
    assert_eq!(database.asked(), 1);
    database.set("acme", "https://id.example");
    clock.advance(MISSING_FOR);
    parties(&auth).of(Some("acme")).await.expect("there by now");
    for no_name in ["", "..", "Acme", "a/b", "a b", &"a".repeat(65)] {
        assert!(parties(&auth).of(Some(no_name)).await.is_err());
    }
    assert_eq!(database.asked(), 2, "what cannot be a name is not asked for");
}

#[tokio::test]
async fn a_name_is_asked_for_once_at_a_time() {
    let (clock, database) = (TestClock::new(), Database::with(&["acme"]));
    let auth = database.auth(&clock).await;
    let asked = (0..100).map(|_| parties(&auth).of(Some("acme")));
    for party in futures_util::future::join_all(asked).await {
        party.expect("there");
    }
    assert_eq!(database.asked(), 1);
}

#[tokio::test]
async fn a_lookup_that_fails_changes_nothing_that_is_known() {
    let (clock, database) = (TestClock::new(), Database::with(&["acme"]));
    let auth = database.auth(&clock).await;
    let first = parties(&auth).of(Some("acme")).await.expect("there");
    database.is_down.store(true, Ordering::SeqCst);
    clock.advance(FRESH);
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&first, &known(&auth, "acme")));
        landed(&auth, "acme").await;
    }
    assert_eq!(database.asked(), 2, "it is left alone for a moment");
    let error = parties(&auth).of(Some("other")).await.expect_err("nobody knows");
    assert!(matches!(error, ProviderError::Lookup(_)) && error.status() == 503);
    database.is_down.store(false, Ordering::SeqCst);
    database.set("other", "no issuer");
    let error = parties(&auth)
        .of(Some("other"))
        .await
        .expect_err("wrong settings");
    let text = crate::error::chain(&error);
    assert!(text.contains("AUTH_OTHER_ISSUER"), "{text}");
}

#[tokio::test]
async fn a_hundred_thousand_names_that_nobody_has_fill_no_memory_and_put_nobody_out() {
    let (clock, database) = (TestClock::new(), Database::with(&["acme"]));
    let auth = database.auth(&clock).await;
    let first = parties(&auth).of(Some("acme")).await.expect("there");
    for batch in 0..1_000 {
        let asked = (0..100).map(|number| {
            let auth = &auth;
            async move {
                let name = format!("nobody-{batch}-{number}");
                parties(auth).of(Some(&name)).await.is_err()
            }
        });
        assert!(
            futures_util::future::join_all(asked)
                .await
                .into_iter()
                .all(|missing| missing)
        );
    }
    assert_eq!(lookup(&auth).sizes(), (1, MAX_MISSING));
    assert!(lookup(&auth).0.lock().flights.is_empty());
    let same = parties(&auth).of(Some("acme")).await.expect("there");
    assert!(Arc::ptr_eq(&first, &same));
}

#[tokio::test]
async fn of_more_providers_than_are_kept_the_one_used_longest_ago_goes() {
    let (clock, database) = (TestClock::new(), Database::default());
    let auth = database.auth(&clock).await;
    for number in 0..=MAX_FOUND {
        let name = format!("tenant-{number}");
        database.set(&name, "https://id.example");
        parties(&auth).of(Some(&name)).await.expect("there");
        parties(&auth).of(Some("tenant-0")).await.expect("there");
    }
    assert_eq!(lookup(&auth).sizes().0, MAX_FOUND);
    assert!(is_kept(&auth, "tenant-0"));
    assert!(!is_kept(&auth, "tenant-1"));
}
