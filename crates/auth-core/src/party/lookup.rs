//! Providers that the application looks up while it runs, in its database say: one for each tenant.
//!
//! What is found is kept for [`FRESH`], and stays what it is, with what it has fetched from the provider, as long as the
//! settings stay. After that it is looked up anew in the background, and goes on as it was until there is an answer: nobody
//! waits for the database but for what is not known, or was not asked for in a long time. What is not there is remembered for a
//! moment. A lookup that fails signs nobody out: what was found last goes on, and where there is nothing, the answer is that
//! nobody knows.
//!
//! All is bounded: however many names somebody makes up, memory does not grow, and a name that is asked for often is asked for
//! once at a time. Names that are not known wait for each other only: providers that are known have slots of their own.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as StdError;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use super::{Party, SignInProvider, is_name};
use crate::clock::{Clock, Timestamp};
use crate::config::ConfigError;
use crate::http::ProviderHttp;
use crate::metadata::ProviderError;
use crate::origins::Origins;
use crate::provider_clock::ProviderClock;

/// How long a provider that was found is taken as it is.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// How long it is remembered that there is none of a name.
const MISSING_FOR: Duration = Duration::from_secs(10);
/// How long a provider goes on as it was after a lookup that failed, until the next.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long after that a provider is given at once all the same, while it is looked up anew. Later, nobody has asked for it in
/// the meantime, and it may be long gone: the lookup is waited for, but not for long.
const STALE: Duration = FRESH;
const WAIT_FOR_STALE: Duration = Duration::from_secs(1);
/// How many providers are kept, and how many names that nobody has. Whichever was used longest ago goes.
pub(super) const MAX_FOUND: usize = 1_000;
pub(super) const MAX_MISSING: usize = 1_000;
/// How many names are looked up at the same time: so many that are known, and so many that are not.
const AT_ONCE: usize = 16;
/// How many names that are not known may be looked up, or wait for it. Any other is refused.
const MAX_WAITING: usize = 256;

/// A lookup that failed, as the application says.
pub(crate) type Failed = Box<dyn StdError + Send + Sync>;
/// The application's lookup.
pub(crate) type Find =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Option<SignInProvider>, Failed>> + Send + Sync>;
type Flight = Shared<BoxFuture<'static, Result<Arc<Party>, ProviderError>>>;

/// Why the application could not say what provider a name stands for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The application's own lookup failed.
    #[error("the application's lookup of the provider failed")]
    Failed(#[source] Failed),
    /// It took longer than a call may take, the wait for its turn included.
    #[error("the application's lookup of the provider took too long")]
    TimedOut,
    /// It was not begun: too many other names are being looked up.
    #[error("too many providers are being looked up")]
    Busy,
    /// What it found cannot be used.
    #[error("the settings that were found for the provider cannot be used")]
    Settings(#[source] ConfigError),
    /// It was broken off: the app is shutting down, or the lookup has panicked.
    #[error("the application's lookup of the provider was broken off")]
    Interrupted,
}

impl From<LookupError> for ProviderError {
    fn from(error: LookupError) -> Self {
        Self::Lookup(Arc::new(error))
    }
}

/// What a lookup needs to make a provider of what it finds.
pub(crate) struct Means {
    pub(crate) find: Find,
    pub(crate) origins: Arc<Origins>,
    pub(crate) http: ProviderHttp,
    pub(crate) runtime: Handle,
    pub(crate) clock: Clock,
    /// The limit for one lookup.
    pub(crate) limit: Duration,
}

/// The providers that were looked up.
#[derive(Clone)]
pub(crate) struct Lookup(Arc<Inner>);

struct Inner {
    means: Means,
    state: Mutex<State>,
    /// Turns of names that are known, and of those that are not.
    known: Semaphore,
    unknown: Semaphore,
    /// The room for names that are not known.
    room: Arc<Semaphore>,
}

struct State {
    found: Kept<Found>,
    missing: Kept<Timestamp>,
    flights: HashMap<String, Flight>,
}

/// A provider that was found, as it was set, and until when it is taken as it is.
struct Found {
    party: Arc<Party>,
    settings: SignInProvider,
    until: Timestamp,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, missing) = self.sizes();
        f.debug_struct("Lookup")
            .field("found", &found)
            .field("missing", &missing)
            .finish_non_exhaustive()
    }
}

impl Lookup {
    pub(crate) fn new(means: Means) -> Self {
        Self(Arc::new(Inner {
            means,
            state: Mutex::new(State {
                found: Kept::new(MAX_FOUND),
                missing: Kept::new(MAX_MISSING),
                flights: HashMap::new(),
            }),
            known: Semaphore::new(AT_ONCE),
            unknown: Semaphore::new(AT_ONCE),
            room: Arc::new(Semaphore::new(MAX_WAITING)),
        }))
    }

    /// How many providers are kept, and how many names that nobody has.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.found.entries.len(), state.missing.entries.len())
    }

    /// All that are kept.
    pub(super) fn all_at_hand(&self) -> Vec<Arc<Party>> {
        let state = self.0.lock();
        let found = state.found.entries.values();
        found.map(|(_, found)| Arc::clone(&found.party)).collect()
    }

    /// The provider of this name: as it is kept, or as the application says now.
    pub(super) async fn of(&self, name: &str) -> Result<Arc<Party>, ProviderError> {
        // Lower case only: a database may find the same name in any.
        if !is_name(name) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ProviderError::Unknown);
        }
        let (old, flight) = {
            let now = self.0.means.clock.now();
            let mut state = self.0.lock();
            let old = state
                .found
                .get(name)
                .map(|found| (Arc::clone(&found.party), found.until));
            if let Some((party, _)) = old.as_ref().filter(|(_, until)| *until > now) {
                return Ok(Arc::clone(party));
            }
            if state.missing.get(name).is_some_and(|until| *until > now) {
                return Err(ProviderError::Unknown);
            }
            let flight = match state.flights.get(name) {
                Some(flight) => flight.clone(),
                None => {
                    // What nobody waits for keeps nobody's span open.
                    let is_awaited = old.as_ref().is_none_or(|(_, until)| until.plus(STALE) <= now);
                    let span = if is_awaited { Span::current() } else { Span::none() };
                    let flight = self.start(name.to_owned(), old.is_some(), span)?;
                    state.flights.insert(name.to_owned(), flight.clone());
                    flight
                }
            };
            match old {
                // The flight runs on its own.
                Some((party, until)) if until.plus(STALE) > now => return Ok(party),
                old => (old.map(|(party, _)| party), flight),
            }
        };
        match old {
            Some(party) => timeout(WAIT_FOR_STALE, flight).await.unwrap_or(Ok(party)),
            None => flight.await,
        }
    }

    /// On the core's runtime: whoever asked may go away.
    fn start(&self, name: String, is_known: bool, span: Span) -> Result<Flight, LookupError> {
        let inner = Arc::clone(&self.0);
        let room = match is_known {
            true => None,
            false => Some(
                Arc::clone(&inner.room)
                    .try_acquire_owned()
                    .map_err(|_| LookupError::Busy)?,
            ),
        };
        let looking = async move {
            let _room = room;
            let looked_up = AssertUnwindSafe(inner.look_up(&name, is_known))
                .catch_unwind()
                .await;
            inner.land(name, looked_up.unwrap_or(Err(LookupError::Interrupted)))
        };
        let task = self.0.means.runtime.spawn(looking.instrument(span));
        let flight = async move {
            task.await
                .unwrap_or_else(|_| Err(LookupError::Interrupted.into()))
        };
        Ok(flight.boxed().shared())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the application says, and the provider that it makes.
    async fn look_up(
        self: &Arc<Self>,
        name: &str,
        is_known: bool,
    ) -> Result<Option<(Arc<Party>, SignInProvider)>, LookupError> {
        let slots = if is_known { &self.known } else { &self.unknown };
        let find = async {
            let slot = slots.acquire().await.map_err(|_| LookupError::Interrupted)?;
            let found = (self.means.find)(name.to_owned()).await;
            Ok((slot, found.map_err(LookupError::Failed)?))
        };
        let found = timeout(self.means.limit, find).await;
        let (_slot, found) = found.map_err(|_| LookupError::TimedOut)??;
        let Some(settings) = found else {
            return Ok(None);
        };
        let same = {
            let mut state = self.lock();
            let old = state.found.get(name).filter(|old| old.settings == settings);
            old.map(|old| Arc::clone(&old.party))
        };
        if let Some(party) = same {
            return Ok(Some((party, settings)));
        }
        // It may read the system's roots: nothing that a lock, or a worker of the runtime, is to be kept with.
        let (inner, name) = (Arc::clone(self), name.to_owned());
        let made = self.means.runtime.spawn_blocking(move || {
            let party = inner.make(&name, &settings)?;
            Ok((Arc::new(party), settings))
        });
        let made = made.await.map_err(|_| LookupError::Interrupted)?;
        made.map(Some).map_err(LookupError::Settings)
    }

    fn make(&self, name: &str, settings: &SignInProvider) -> Result<Party, ConfigError> {
        let checked = settings.clone().check();
        let party = checked.and_then(|checked| {
            let Means {
                origins,
                http,
                runtime,
                clock,
                ..
            } = &self.means;
            let clock = ProviderClock::looked_up(name.to_owned(), clock.clone());
            Party::new(Some(name.to_owned()), checked, origins, http, clock, runtime)
        });
        let party = party.map_err(|error| error.of_provider(name, &[]))?;
        if party.is_nowhere() {
            tracing::warn!(
                provider = name,
                "a provider that was looked up is for origins that this application does not have"
            );
        }
        Ok(party)
    }

    /// Keeps what has come of a lookup.
    fn land(
        &self,
        name: String,
        looked_up: Result<Option<(Arc<Party>, SignInProvider)>, LookupError>,
    ) -> Result<Arc<Party>, ProviderError> {
        let now = self.means.clock.now();
        let mut state = self.lock();
        state.flights.remove(&name);
        match looked_up {
            Ok(Some((party, settings))) => {
                let found = Found {
                    party: Arc::clone(&party),
                    settings,
                    until: now.plus(FRESH),
                };
                state.missing.remove(&name);
                state.found.put(name, found);
                Ok(party)
            }
            Ok(None) => {
                state.found.remove(&name);
                state.missing.put(name, now.plus(MISSING_FOR));
                Err(ProviderError::Unknown)
            }
            Err(error) => {
                let Some(old) = state.found.get(&name) else {
                    return Err(error.into());
                };
                old.until = now.plus(AFTER_FAILURE);
                let party = Arc::clone(&old.party);
                drop(state);
                tracing::warn!(
                    provider = name,
                    cause = crate::error::chain(&error),
                    "a provider was not looked up anew; it stays as it was"
                );
                Ok(party)
            }
        }
    }
}

/// So many values by name; whichever was used longest ago goes.
struct Kept<T> {
    entries: HashMap<String, (u64, T)>,
    /// The names, the one used longest ago first.
    order: BTreeMap<u64, String>,
    next: u64,
    max: usize,
}

impl<T> Kept<T> {
    fn new(max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            max,
        }
    }

    fn get(&mut self, name: &str) -> Option<&mut T> {
        let (number, value) = self.entries.get_mut(name)?;
        if let Some(name) = self.order.remove(number) {
            *number = self.next;
            self.order.insert(self.next, name);
            self.next += 1;
        }
        Some(value)
    }

    fn put(&mut self, name: String, value: T) {
        self.remove(&name);
        if self.entries.len() >= self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.order.insert(self.next, name.clone());
        self.entries.insert(name, (self.next, value));
        self.next += 1;
    }

    fn remove(&mut self, name: &str) {
        if let Some((number, _)) = self.entries.remove(name) {
            self.order.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests;
