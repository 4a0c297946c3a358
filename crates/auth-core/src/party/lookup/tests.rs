use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::auth::Auth;
use crate::clock::TestClock;
use crate::party::Parties;

/// What the application's database says, and how often it was asked.
#[derive(Clone, Default)]
struct Database {
    tenants: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<AtomicUsize>,
    is_down: Arc<std::sync::atomic::AtomicBool>,
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
                let issuer = database.tenants.lock().expect("a lock").get(&name).cloned();
                let is_down = database.is_down.load(Ordering::SeqCst);
                async move {
                    tokio::task::yield_now().await;
                    match is_down {
                        true => Err("the database is down"),
                        false => Ok(issuer
                            .map(|issuer| SignInProvider::default().issuer(issuer).client("tests", None))),
                    }
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

#[tokio::test]
async fn what_is_found_is_asked_for_again_after_five_minutes_and_stays_the_same() {
    let (clock, database) = (TestClock::new(), Database::with(&["acme"]));
    let auth = database.auth(&clock).await;
    let first = parties(&auth).of(Some("acme")).await.expect("there");
    assert_eq!(first.redirect_uri, "http://127.0.0.1:3000/auth/callback/acme");
    clock.advance(FRESH - Duration::from_secs(1));
    parties(&auth).of(Some("acme")).await.expect("there");
    assert_eq!(database.asked(), 1);
    clock.advance(Duration::from_secs(1));
    let again = parties(&auth).of(Some("acme")).await.expect("there");
    assert_eq!(database.asked(), 2);
    assert!(
        Arc::ptr_eq(&first, &again),
        "the same settings are the same provider"
    );
    database.set("acme", "https://new.example");
    clock.advance(FRESH);
    let changed = parties(&auth).of(Some("acme")).await.expect("there");
    assert_eq!(changed.provider.issuer().as_str(), "https://new.example");
    database.remove("acme");
    clock.advance(FRESH);
    assert!(matches!(
        parties(&auth).of(Some("acme")).await,
        Err(ProviderError::Unknown)
    ));
    assert!(parties(&auth).at_hand(Some("acme")).is_none());
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
        let same = parties(&auth).of(Some("acme")).await.expect("as it was");
        assert!(Arc::ptr_eq(&first, &same));
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
    assert!(parties(&auth).at_hand(Some("tenant-0")).is_some());
    assert!(parties(&auth).at_hand(Some("tenant-1")).is_none());
}
