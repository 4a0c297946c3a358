use super::*;
use crate::grants::Issued;

fn token(text: &str, from: i64, until: i64) -> IssuedToken {
    IssuedToken(Arc::new(Issued {
        token: SecurityToken::new(text),
        is_bearer: true,
        key: None,
        issued_type: None,
        scopes: None,
        issued_at: Timestamp::from_secs(from),
        expires_at: Some(Timestamp::from_secs(until)),
        kept_until: Timestamp::from_secs(until),
    }))
}

fn slot(owner: u8, what: u8) -> Slot {
    Slot {
        owner: Some(SessionKey::from_bytes([owner; 32])),
        what: [what; 32],
    }
}

fn origin(subject: u8, version: u64) -> Origin {
    Origin {
        subject: [subject; 32],
        version,
    }
}

/// Puts a token in as a request does that comes to an end.
fn put(cache: &TokenCache, slot: Slot, token: IssuedToken, now: i64) {
    let mut state = cache.lock();
    let number = state.number();
    let flight: Flight = futures_util::future::ready(Ok(token.clone())).boxed().shared();
    state.entry(slot).flight = Some((number, flight));
    state.make_room(slot.owner, cache.of_one, cache.in_all);
    let fetched = Fetched {
        token,
        origin: Origin::default(),
    };
    state.land(slot, number, Some(&fetched), Timestamp::from_secs(now));
}

fn has(cache: &TokenCache, slot: Slot) -> bool {
    cache.lock().get(slot).is_some()
}

#[test]
fn of_one_owner_and_in_all_the_oldest_goes() {
    let cache = TokenCache::new(3, 5);
    for what in 0..10 {
        put(&cache, slot(1, what), token("t", 0, 100), 0);
    }
    assert_eq!(cache.count(), 3);
    assert!((7..10).all(|what| has(&cache, slot(1, what))));
    for owner in 2..6 {
        put(&cache, slot(owner, 0), token("t", 0, 100), 0);
    }
    assert_eq!(cache.count(), 5);
    assert!(!has(&cache, slot(1, 7)) && !has(&cache, slot(1, 8)) && has(&cache, slot(1, 9)));
}

#[test]
fn an_owner_is_forgotten_and_what_is_under_way_for_it_is_not_kept() {
    let cache = TokenCache::new(3, 5);
    put(&cache, slot(1, 1), token("t", 0, 100), 0);
    put(&cache, slot(2, 1), token("t", 0, 100), 0);
    let number = {
        let mut state = cache.lock();
        let number = state.number();
        let flight: Flight = futures_util::future::pending().boxed().shared();
        state.entry(slot(1, 2)).flight = Some((number, flight));
        number
    };
    cache.forget(&SessionKey::from_bytes([1; 32]));
    assert_eq!(cache.count(), 1);
    let fetched = Fetched {
        token: token("t", 0, 100),
        origin: Origin::default(),
    };
    cache
        .lock()
        .land(slot(1, 2), number, Some(&fetched), Timestamp::from_secs(0));
    assert_eq!(cache.count(), 1);
}

#[test]
fn what_has_died_is_swept_and_what_dies_on_arrival_is_not_kept() {
    let cache = TokenCache::new(3, 5);
    put(&cache, slot(1, 1), token("t", 0, 100), 0);
    put(&cache, slot(1, 2), token("t", 0, 200), 0);
    put(&cache, slot(1, 3), token("t", 0, 0), 0);
    assert_eq!(cache.count(), 2);
    cache.sweep(Timestamp::from_secs(99));
    assert_eq!(cache.count(), 2);
    cache.sweep(Timestamp::from_secs(100));
    assert!(!has(&cache, slot(1, 1)) && has(&cache, slot(1, 2)));
    cache.sweep(Timestamp::from_secs(200));
    assert_eq!(cache.count(), 0);
    assert!(cache.lock().owners.is_empty());
}

#[test]
fn a_token_is_good_for_the_subject_it_was_issued_for_and_while_it_lives() {
    let (kept, now) = (token("kept", 0, 100), Timestamp::from_secs(50));
    let refused = SecurityToken::new("kept");
    let good = |issued_for, asked, refused, now| is_good(&kept, issued_for, asked, refused, now);
    assert!(good(origin(1, 3), origin(1, 3), None, now));
    assert!(
        good(origin(1, 3), origin(1, 7), None, now),
        "changed, but not the token"
    );
    assert!(!good(origin(1, 3), origin(2, 4), None, now), "refreshed since");
    assert!(
        good(origin(2, 4), origin(1, 3), None, now),
        "asked by one who has not seen the refresh"
    );
    assert!(!good(origin(1, 3), origin(1, 3), Some(&refused), now));
    assert!(!good(origin(1, 3), origin(1, 3), None, Timestamp::from_secs(100)));
}

#[test]
fn what_comes_late_does_not_take_the_place_of_what_is_asked_for_since() {
    let cache = TokenCache::new(3, 5);
    let begin = || {
        let mut state = cache.lock();
        let number = state.number();
        let flight: Flight = futures_util::future::pending().boxed().shared();
        state.entry(slot(1, 1)).flight = Some((number, flight));
        number
    };
    let first = begin();
    cache.discard(slot(1, 1));
    let second = begin();
    let land = |number, text| {
        let fetched = Fetched {
            token: token(text, 0, 100),
            origin: Origin::default(),
        };
        cache
            .lock()
            .land(slot(1, 1), number, Some(&fetched), Timestamp::from_secs(0));
    };
    land(first, "late");
    let held = |cache: &TokenCache| {
        let state = cache.lock();
        let entry = state.get(slot(1, 1)).expect("it is there");
        entry
            .token
            .as_ref()
            .map(|(token, _)| token.token().expose().to_owned())
    };
    assert_eq!(held(&cache), None);
    land(second, "asked for");
    assert_eq!(held(&cache).as_deref(), Some("asked for"));
}
