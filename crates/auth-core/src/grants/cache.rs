//! Tokens that were issued, kept until they die; one request for each at a time.
//!
//! Nothing of a token is in a name here: a token lies under a hash of what it is for. A request runs on the core's
//! runtime, whoever goes away, and all who want its token wait for the same one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::IssuedToken;
use tracing::{Instrument as _, Span};

use crate::auth::Core;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::refresh::{Freshness, RefreshError};
use crate::secret::{SecurityToken, sha256};
use crate::store::SessionKey;

/// How long the background leaves a token alone after a request for its successor has failed.
const BACKGROUND_PAUSE: Duration = Duration::from_secs(2);

/// Which token: whose, and what for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    /// The session; `None` for the application itself.
    pub(super) owner: Option<SessionKey>,
    pub(super) what: [u8; 32],
}

impl Slot {
    /// The same as one name.
    pub(super) fn name(&self) -> [u8; 32] {
        let owner = self.owner.as_ref().map_or(&[][..], |owner| owner.as_bytes());
        sha256(&[&self.what, owner])
    }
}

/// The token that a kept one was issued for: a hash of it, and the version of the record it was in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Origin {
    pub(super) subject: [u8; 32],
    pub(super) version: u64,
}

/// What a request has come to.
pub(super) struct Fetched {
    pub(super) token: IssuedToken,
    pub(super) origin: Origin,
}

type Outcome = Result<IssuedToken, Error>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// The tokens of one kind, within two bounds: so many of one owner, so many in all. The oldest goes.
pub(crate) struct TokenCache {
    state: Arc<Mutex<State>>,
    of_one: usize,
    in_all: usize,
}

#[derive(Default)]
struct State {
    owners: HashMap<Option<SessionKey>, HashMap<[u8; 32], Entry>>,
    /// All entries, oldest first.
    order: BTreeMap<u64, Slot>,
    next: u64,
}

struct Entry {
    number: u64,
    token: Option<(IssuedToken, Origin)>,
    flight: Option<(u64, Flight)>,
    failed_at: Option<Timestamp>,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("entries", &self.lock().order.len())
            .finish_non_exhaustive()
    }
}

impl TokenCache {
    pub(crate) fn new(of_one: usize, in_all: usize) -> Self {
        Self {
            state: Arc::default(),
            of_one,
            in_all,
        }
    }

    /// The token: the one that is kept, renewed in the background where it is about to die; or else the one that a
    /// request under way brings, or a new one. `refused` is one that an API does not take.
    pub(super) async fn get<F>(
        &self,
        core: &Core,
        slot: Slot,
        origin: Origin,
        refused: Option<&SecurityToken>,
        fetch: F,
    ) -> Outcome
    where
        F: FnOnce() -> BoxFuture<'static, Result<Fetched, Error>> + Send,
    {
        let now = core.clock.now();
        let flight = {
            let mut state = self.lock();
            let entry = state.entry(slot);
            entry.token = entry
                .token
                .take()
                .filter(|(token, of)| is_good(token, *of, origin, refused, now));
            match (&entry.token, &entry.flight) {
                (Some((token, _)), flight) => {
                    let token = token.clone();
                    let failed_lately = entry
                        .failed_at
                        .is_some_and(|at| at <= now && now.since(at) < BACKGROUND_PAUSE);
                    if token.freshness(now) == Freshness::Soft && flight.is_none() && !failed_lately {
                        // Not awaited: it runs on its own.
                        drop(self.start(&mut state, core, slot, Span::none(), fetch));
                    }
                    return Ok(token);
                }
                (None, Some((_, flight))) => flight.clone(),
                (None, None) => {
                    let flight = self.start(&mut state, core, slot, Span::current(), fetch);
                    state.make_room(slot.owner, self.of_one, self.in_all);
                    flight
                }
            }
        };
        flight.await
    }

    fn start<F>(&self, state: &mut State, core: &Core, slot: Slot, span: Span, fetch: F) -> Flight
    where
        F: FnOnce() -> BoxFuture<'static, Result<Fetched, Error>> + Send,
    {
        let number = state.number();
        let (shared, clock) = (Arc::clone(&self.state), core.clock.clone());
        let fetch = fetch();
        let fetching = async move {
            // Whatever happens in it, it comes to an end, and the next one can begin.
            let result = AssertUnwindSafe(fetch)
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(RefreshError::Interrupted.into()));
            if let Err(error) = &result {
                tracing::warn!(
                    session = ?slot.owner,
                    code = error.code(),
                    cause = crate::error::chain(error),
                    "a token was not issued"
                );
            }
            let outcome = result.as_ref().map(|fetched| fetched.token.clone());
            lock(&shared).land(slot, number, result.as_ref().ok(), clock.now());
            outcome.map_err(Error::clone)
        };
        let task = core.spawn_apart(fetching.instrument(span));
        let flight = async move {
            task.await
                .unwrap_or_else(|_| Err(RefreshError::Interrupted.into()))
        }
        .boxed()
        .shared();
        state.entry(slot).flight = Some((number, flight.clone()));
        flight
    }

    /// Forgets what a session had, for it has ended; what is under way for it is not kept.
    pub(crate) fn forget(&self, session: &SessionKey) {
        self.lock().remove_owner(Some(*session));
    }

    /// Forgets one token.
    pub(super) fn discard(&self, slot: Slot) {
        self.lock().remove(slot);
    }

    /// Forgets what has died.
    pub(crate) fn sweep(&self, now: Timestamp) {
        let mut state = self.lock();
        let dead: Vec<Slot> = state
            .order
            .values()
            .filter(|slot| state.get(**slot).is_none_or(|entry| entry.is_over(now)))
            .copied()
            .collect();
        for slot in dead {
            state.remove(slot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        let state = self.lock();
        let held: usize = state.owners.values().map(HashMap::len).sum();
        assert_eq!(held, state.order.len(), "both lists name the same entries");
        held
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a kept token may be served to who presents `origin`. One that was issued for a later state of the session
/// than the caller has seen is good as well.
fn is_good(
    token: &IssuedToken,
    issued_for: Origin,
    origin: Origin,
    refused: Option<&SecurityToken>,
    now: Timestamp,
) -> bool {
    token.freshness(now) != Freshness::Dead
        && Some(token.token()) != refused
        && (issued_for.subject == origin.subject || issued_for.version > origin.version)
}

impl Entry {
    fn is_over(&self, now: Timestamp) -> bool {
        let is_dead = |(token, _): &(IssuedToken, Origin)| token.freshness(now) == Freshness::Dead;
        self.flight.is_none() && self.token.as_ref().is_none_or(is_dead)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn get(&self, slot: Slot) -> Option<&Entry> {
        self.owners.get(&slot.owner)?.get(&slot.what)
    }

    fn entry(&mut self, slot: Slot) -> &mut Entry {
        let number = self.next + 1;
        let entries = self.owners.entry(slot.owner).or_default();
        entries.entry(slot.what).or_insert_with(|| {
            self.next = number;
            self.order.insert(number, slot);
            Entry {
                number,
                token: None,
                flight: None,
                failed_at: None,
            }
        })
    }

    fn remove(&mut self, slot: Slot) {
        let Some(entries) = self.owners.get_mut(&slot.owner) else {
            return;
        };
        if let Some(entry) = entries.remove(&slot.what) {
            self.order.remove(&entry.number);
        }
        if entries.is_empty() {
            self.owners.remove(&slot.owner);
        }
    }

    fn remove_owner(&mut self, owner: Option<SessionKey>) {
        for entry in self.owners.remove(&owner).unwrap_or_default().into_values() {
            self.order.remove(&entry.number);
        }
    }

    /// Removes the oldest, of this owner and of all, until there are no more than there may be.
    fn make_room(&mut self, owner: Option<SessionKey>, of_one: usize, in_all: usize) {
        while let Some(entries) = self.owners.get(&owner).filter(|entries| entries.len() > of_one)
            && let Some((what, _)) = entries.iter().min_by_key(|(_, entry)| entry.number)
        {
            let what = *what;
            self.remove(Slot { owner, what });
        }
        while self.order.len() > in_all
            && let Some((_, slot)) = self.order.first_key_value()
        {
            let slot = *slot;
            self.remove(slot);
        }
    }

    /// Keeps what a request has come to, if its entry is still there.
    fn land(&mut self, slot: Slot, number: u64, fetched: Option<&Fetched>, now: Timestamp) {
        let Some(entry) = self
            .owners
            .get_mut(&slot.owner)
            .and_then(|entries| entries.get_mut(&slot.what))
            .filter(|entry| entry.flight.as_ref().is_some_and(|(held, _)| *held == number))
        else {
            return;
        };
        entry.flight = None;
        match fetched {
            Some(fetched) => {
                entry.token = Some((fetched.token.clone(), fetched.origin));
                entry.failed_at = None;
            }
            None => entry.failed_at = Some(now),
        }
        if entry.is_over(now) {
            self.remove(slot);
        }
    }
}

#[cfg(test)]
mod tests;
