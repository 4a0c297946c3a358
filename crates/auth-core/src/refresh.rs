//! Keeping the access token alive: one token request per expiry, whoever asks, however often.
//!
//! The scheme, step by step (the record is the lock):
//!
//! 1. Requests of this process for one session share one flight, a task on the core's runtime
//!    that no browser going away can cancel.
//! 2. The flight reads the record again. Where someone else has refreshed it meanwhile, it adopts what it finds.
//! 3. It takes the record's lease, at the version it has just read. Where another holder is at work, it waits and
//!    goes back to 2. Where that holder gives up, it gives up as well: a moment later it would fare no better.
//! 4. With the lease, and only then, it presents the refresh token, once, renewing the lease as long as that takes. Who
//!    loses the lease before the token leaves does not send it. Where the provider turns the request away because its proof
//!    lacks a nonce (RFC 9449 §8), the token was not looked at: it is presented with the nonce, by the same holder.
//! 5. It saves what came with a compare-and-swap on the version: first of all, for a rotated refresh token that is
//!    not saved is a session lost. Where the session is gone by then, somebody has signed out: the new tokens are
//!    revoked.
//! 6. A refusal ends the session only if it is `invalid_grant` and the record, read again, still holds the refresh
//!    token that was refused. Everything else leaves the session as it was.
//!
//! Steps 2 to 6 are decided in `protocol.rs` and carried out in here. `model.rs` puts the same decisions under a model
//! checker. The breaker keeps requests from waiting for a provider that has just failed others.

mod claims;
#[cfg(test)]
mod model;
mod protocol;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

use crate::auth::Core;
use crate::breaker::Failure;
use crate::cache::Word;
use crate::clock::Timestamp;
use crate::config::CLOCK_TOLERANCE;
use crate::dpop::Scheme;
use crate::error::{Fault, NotSignedIn};
use crate::events::{EndReason, EventKind};
use crate::http::SendGuard;
use crate::id_token::{self, Expected, IdTokenClaims, IdTokenError};
use crate::jose::{self, KeySet};
use crate::metadata::{Metadata, ProviderError};
use crate::party::Party;
use crate::provider_logout::REMEMBERED;
use crate::secret::{AccessToken, IdToken, RefreshToken, random_bytes};
use crate::session::{Session, SessionData, Tokens};
use crate::sign_in::{session_expiry, sorted_audience};
use crate::spans::{self, Waits};
use crate::store::{Acquired, Lease, LeaseOwner, Record, SessionKey, StoreError, Swapped};
use crate::token::{TokenError, TokenErrorCode, TokenRequest, TokenResponse, Way};
use protocol::{Answer, Holder, Outcome, Refresh, Saved, Seen, Step};

/// A refresh starts in the background when less than this is left of the token's life, but at most a quarter of it.
pub(crate) const LEEWAY: Duration = Duration::from_secs(60);
/// How long a lease lasts unless it is renewed; it is renewed at a third of that.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// How long a holder believes in its lease, from before it asked for it: less than the store keeps it, by more than
/// clocks can differ in speed. It is measured without a wall clock, for that may jump.
pub(crate) const SEND_WITHIN: Duration = Duration::from_secs(8);
/// How long a flight waits for another instance's.
pub(crate) const WAIT_FOR_HOLDER: Duration = Duration::from_secs(10);
/// How the waiting begins and how it slows down.
pub(crate) const POLL: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));
/// How long new tokens are tried to be saved in a store that fails.
const SAVE_FOR: Duration = Duration::from_secs(10);

/// The refreshes of this process.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: HashMap<SessionKey, Flight>,
    /// The sessions whose use is being written down.
    pub(crate) touches: HashSet<SessionKey>,
}

/// A flight, and whether the call that asked for it started it.
struct Joined {
    flight: Flight,
    is_new: bool,
}

type Flight = Shared<BoxFuture<'static, Result<Session, RefreshError>>>;

/// Why a session's access token could not be refreshed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The session has ended.
    #[error(transparent)]
    Ended(NotSignedIn),
    /// The provider is down, slow, or does not make sense. The session is kept.
    #[error("the provider cannot refresh the tokens at present")]
    Unavailable(#[source] Arc<TokenError>),
    /// The request was sent and no answer came: the provider is slow, or the connection broke. Whether the refresh token
    /// is used up is not known. The session is kept; the next refresh presents the token again, and where it is used up
    /// the session ends then.
    #[error("the provider gave no answer, and may have used the refresh token up")]
    Unanswered(#[source] Arc<TokenError>),
    /// The provider does not accept this client: a matter of configuration. The session is kept.
    #[error("the provider refuses this client")]
    ClientRefused(#[source] Arc<TokenError>),
    /// The provider's metadata cannot be had. The session is kept.
    #[error("the provider cannot be used")]
    Provider(#[from] ProviderError),
    /// Another instance has been refreshing this session for 10 seconds and more. The session is kept.
    #[error("another instance is refreshing this session and takes too long")]
    Busy,
    /// Another instance has just tried to refresh this session, and failed. The session is kept.
    #[error("another instance has just failed to refresh this session")]
    HolderGaveUp,
    /// The store failed. The session is kept.
    #[error("the session store failed")]
    Store(#[source] Arc<StoreError>),
    /// The tokens are fresh and saved. They may belong to another session at the provider than before, and the store does
    /// not say whether that one has ended meanwhile. The session is kept, and the next use asks again.
    #[error("the session store failed after the tokens were saved")]
    Unconfirmed(#[source] Arc<StoreError>),
    /// It was broken off: the app is shutting down, or something in it has failed. The session is kept.
    #[error("the task was broken off")]
    Interrupted,
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl RefreshError {
    fn unconfirmed(error: StoreError) -> Self {
        Self::Unconfirmed(Arc::new(error))
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Ended(_) => "session.ended",
            Self::Unavailable(_) => "refresh.unavailable",
            Self::Unanswered(_) => "refresh.unanswered",
            Self::ClientRefused(_) => "refresh.client_refused",
            Self::Provider(error) => error.code(),
            Self::Busy => "refresh.busy",
            Self::HolderGaveUp => "refresh.failed_elsewhere",
            Self::Store(_) | Self::Unconfirmed(_) => "store.unavailable",
            Self::Interrupted => "refresh.interrupted",
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Ended(_) => Fault::NotSignedIn,
            Self::Provider(error) => error.fault(),
            Self::Unavailable(_)
            | Self::Unanswered(_)
            | Self::Busy
            | Self::HolderGaveUp
            | Self::Interrupted => Fault::Provider,
            Self::ClientRefused(_) => Fault::Configuration,
            Self::Store(_) | Self::Unconfirmed(_) => Fault::Store,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(error) => match error.as_ref() {
                TokenError::Unavailable { retry_after, .. } => *retry_after,
                _ => None,
            },
            Self::Provider(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl Failure for RefreshError {
    fn retry_after(&self) -> Option<Duration> {
        Self::retry_after(self)
    }

    fn is_of_all(&self) -> bool {
        true
    }
}

/// What a session's access token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Good,
    /// Good, and about to die.
    Soft,
    /// Dead, or revoked.
    Dead,
}

impl Tokens {
    /// `jitter`, the same for every look at one session, makes instances begin at different moments for different ones.
    pub(crate) fn freshness(&self, jitter: u8, now: Timestamp) -> Freshness {
        let Some(expires_at) = self.access.as_ref().map(|_| self.access_expires_at) else {
            return Freshness::Dead;
        };
        // Where the provider does not say, the token is good until an API refuses it.
        let Some(expires_at) = expires_at else {
            return Freshness::Good;
        };
        let left = expires_at.since(now);
        if left >= LEEWAY {
            return Freshness::Good;
        }
        let leeway = LEEWAY.min(expires_at.since(self.access_issued_at) / 4);
        let leeway = leeway - leeway / 5 * u32::from(jitter) / 255;
        if left.is_zero() {
            Freshness::Dead
        } else if left < leeway {
            Freshness::Soft
        } else {
            Freshness::Good
        }
    }
}

impl SessionData {
    /// What the session's access token is worth.
    pub(crate) fn freshness(&self, now: Timestamp) -> Freshness {
        self.tokens.freshness(self.jitter, now)
    }

    /// Whether there is nothing to do about the access token.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.freshness(now) == Freshness::Good
    }
}

/// Why a refresh is wanted.
#[derive(Clone)]
enum Wanted {
    /// The token is dead or about to die.
    Expiring,
    /// An API has refused this token.
    Instead(AccessToken),
}

impl Wanted {
    /// Whether what is in the record now is what was wanted.
    fn is_met_by(&self, data: &SessionData, now: Timestamp) -> bool {
        match self {
            Self::Expiring => data.freshness(now) == Freshness::Good,
            Self::Instead(refused) => {
                data.tokens.access.as_ref() != Some(refused) && data.freshness(now) != Freshness::Dead
            }
        }
    }
}

impl Core {
    /// The session with an access token that is alive: as it is, or refreshed. A token that is about to die is
    /// refreshed in the background.
    pub(crate) async fn fresh(self: &Arc<Self>, session: Session) -> Result<Session, RefreshError> {
        let is_refreshable = session.data.tokens.refresh.is_some();
        match (session.data.freshness(self.clock.now()), is_refreshable) {
            (Freshness::Good, _) | (Freshness::Soft, false) => Ok(session),
            (Freshness::Soft, true) => {
                let party = self.party_of(&session).await?;
                let failed_lately = party
                    .refresh_breaker()
                    .failed_lately(&session.key, self.clock.now());
                if !failed_lately {
                    // Not awaited: it runs on its own, and says in the log how it ended.
                    drop(self.refresh(&session, party, Wanted::Expiring, Waits::Nobody));
                }
                Ok(session)
            }
            (Freshness::Dead, true) => {
                let party = self.party_of(&session).await?;
                self.refresh(&session, party, Wanted::Expiring, Waits::Somebody)
                    .flight
                    .await
            }
            (Freshness::Dead, false) => Err(RefreshError::Ended(NotSignedIn::TokenExpired)),
        }
    }

    /// The session with another access token than the one that an API has refused.
    pub(crate) async fn fresh_instead(
        self: &Arc<Self>,
        session: &Session,
        refused: &AccessToken,
    ) -> Result<Session, RefreshError> {
        if session.data.tokens.refresh.is_none() {
            return Err(RefreshError::Ended(NotSignedIn::TokenExpired));
        }
        let party = self.party_of(session).await?;
        let wanted = Wanted::Instead(refused.clone());
        let joined = self.refresh(session, Arc::clone(&party), wanted.clone(), Waits::Somebody);
        let refreshed = joined.flight.await?;
        if joined.is_new || wanted.is_met_by(&refreshed.data, self.clock.now()) {
            return Ok(refreshed);
        }
        // The flight was under way already, for another reason, and has brought nothing new; now there is room.
        self.refresh(session, party, wanted, Waits::Somebody).flight.await
    }

    /// Joins the flight that refreshes this session, or starts it.
    fn refresh(
        self: &Arc<Self>,
        session: &Session,
        party: Arc<Party>,
        wanted: Wanted,
        waits: Waits,
    ) -> Joined {
        let key = session.key;
        let mut flights = self.lock_flights();
        if let Some(flight) = flights.under_way.get(&key) {
            return Joined {
                flight: flight.clone(),
                is_new: false,
            };
        }
        let core = Arc::clone(self);
        let span = spans::refresh(&key, waits);
        let own = span.clone();
        let flight = async move {
            // Whatever happens in it, the flight comes to an end, and the next one can begin.
            let result = AssertUnwindSafe(core.refresh_now(&party, &key, &wanted))
                .catch_unwind()
                .await
                .unwrap_or(Err(RefreshError::Interrupted));
            party.refresh_breaker().finished(&key);
            core.lock_flights().under_way.remove(&key);
            log(&key, &result);
            core.tell_failure(&key, &result);
            if let Err(error) = &result {
                spans::failed(&own, error.code());
            }
            result
        };
        let task = self.spawn_apart(flight.instrument(span));
        let flight = async move { task.await.unwrap_or(Err(RefreshError::Interrupted)) }
            .boxed()
            .shared();
        flights.under_way.insert(key, flight.clone());
        Joined { flight, is_new: true }
    }

    /// An end was told of by whoever ended the session, and a refresh by whoever saved the tokens.
    fn tell_failure(&self, key: &SessionKey, result: &Result<Session, RefreshError>) {
        if let Err(error) = result
            && !matches!(error, RefreshError::Ended(_) | RefreshError::Unconfirmed(_))
        {
            let failed = EventKind::RefreshFailed { code: error.code() };
            self.tell(failed, |event| event.session = Some(*key));
        }
    }

    /// Steps 2 to 6 of the scheme: carries out what the protocol decides.
    async fn refresh_now(
        self: &Arc<Self>,
        party: &Party,
        key: &SessionKey,
        wanted: &Wanted,
    ) -> Result<Session, RefreshError> {
        let give_up_waiting_at = Instant::now() + WAIT_FOR_HOLDER;
        let mut pause = POLL.0;
        let (mut refresh, mut step) = Refresh::begin();
        // The record as it was read last, and what came for its refresh token.
        let mut current: Option<Session> = None;
        let mut taken: Option<Taken> = None;
        let mut came: Option<Came> = None;
        let mut metadata: Option<Arc<Metadata>> = None;
        loop {
            step = match step {
                Step::Load => {
                    current = self.load(key).await?;
                    refresh.loaded(current.as_ref().map(|session| self.seen(session, wanted, &taken)))
                }
                Step::Wait => {
                    if Instant::now() + pause > give_up_waiting_at {
                        return Err(RefreshError::Busy);
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(POLL.1);
                    Step::Load
                }
                Step::Acquire { seen } => {
                    if Instant::now() > give_up_waiting_at {
                        return Err(RefreshError::Busy);
                    }
                    // Once, and before the lease is taken, so that nothing slow lies between taking it and sending.
                    if metadata.is_none() {
                        metadata = Some(self.may_ask(party, key).await?);
                    }
                    let asked_at = Instant::now();
                    let acquired = self.acquire(key, seen).await?;
                    let (record, lease): (_, fn(_) -> _) = match acquired {
                        Acquired::Got(record) => {
                            taken = record.lease.map(|lease| Taken { lease, asked_at });
                            (Some(record), protocol::Lease::Got)
                        }
                        Acquired::Held(record) => (Some(record), protocol::Lease::Held),
                        Acquired::Newer(record) => (Some(record), protocol::Lease::Newer),
                        Acquired::Gone => (None, protocol::Lease::Newer),
                    };
                    // A record that no key opens counts as none.
                    current = record.and_then(|record| self.view(key, record));
                    refresh.acquired(match &current {
                        Some(session) => lease(self.seen(session, wanted, &taken)),
                        None => protocol::Lease::Gone,
                    })
                }
                Step::Present { token } => {
                    let (Some(held), Some(taken), Some(metadata)) = (&current, &taken, &metadata) else {
                        return Err(RefreshError::Interrupted);
                    };
                    match self.present(party, metadata, held, &token, taken).await {
                        Ok(response) => {
                            party.refresh_breaker().succeeded(key);
                            came = Some(self.judge(party, metadata, held, response).await?);
                            refresh.answered(Answer::Tokens)
                        }
                        Err(TokenError::Refused(TokenErrorCode::InvalidGrant)) => {
                            party.refresh_breaker().succeeded(key);
                            refresh.answered(Answer::Refused)
                        }
                        Err(TokenError::HeldBack) => refresh.answered(Answer::NotSent),
                        Err(error) => {
                            let error = party.refresh_failed(key, error.into(), self.clock.now());
                            refresh.answered(Answer::Failed(error))
                        }
                    }
                }
                Step::Save { expected } => {
                    let (Some(base), Some(came)) = (&current, &mut came) else {
                        return Err(RefreshError::Interrupted);
                    };
                    match self.save(party, base, expected, came).await? {
                        (Swapped::Yes, record) => {
                            came.is_saved = true;
                            current = self.view(key, record);
                            refresh.saved(Saved::Yes)
                        }
                        (Swapped::Gone, _) => refresh.saved(Saved::Gone),
                        (Swapped::Newer(record), _) => {
                            current = self.view(key, record);
                            match &current {
                                // Sealed with a key that is not here: whoever wrote it has the session now.
                                None => return Err(RefreshError::Ended(NotSignedIn::Ended)),
                                Some(session) => {
                                    came.is_saved = came.is_in(&session.data.tokens);
                                    refresh.saved(Saved::Newer {
                                        seen: self.seen(session, wanted, &taken),
                                        is_ours: came.is_saved,
                                        is_rotated: came.is_rotated,
                                    })
                                }
                            }
                        }
                    }
                }
                Step::End { expected } => {
                    let now = self.clock.now();
                    let was_current = self.delete(key, Some(expected), now).await?;
                    if was_current && let Some(session) = &current {
                        self.tell_end(session, EndReason::GrantEnded, None);
                    }
                    refresh.ended(was_current)
                }
                Step::Release(error) => {
                    if let Some(Taken { lease, .. }) = &taken {
                        // A lease that cannot be given back ends by itself.
                        let _ = self.store.release(key, lease, self.clock.now()).await;
                    }
                    refresh.released(error)
                }
                Step::Revoke => {
                    if let Some(Came { response, .. }) = &came {
                        self.revoke_in_background(
                            *key,
                            party.identity(),
                            response.refresh_token.clone(),
                            response.access_token.clone(),
                        );
                    }
                    refresh.revoked()
                }
                Step::Done(outcome) => return self.finish(party, outcome, current, metadata, came).await,
            }
        }
    }

    /// What the protocol looks at.
    fn seen(&self, session: &Session, wanted: &Wanted, taken: &Option<Taken>) -> Seen<RefreshToken> {
        Seen {
            version: session.record.version,
            token: session.data.tokens.refresh.clone(),
            is_fresh: wanted.is_met_by(&session.data, self.clock.now()),
            holder: match (&session.record.lease, taken) {
                (None, _) => Holder::Nobody,
                (Some(lease), Some(taken)) if taken.lease.is(lease) => Holder::ThisTask,
                (Some(_), _) => Holder::Another,
            },
        }
    }

    /// Whether the provider may be asked now, and where.
    async fn may_ask(&self, party: &Party, key: &SessionKey) -> Result<Arc<Metadata>, RefreshError> {
        let now = self.clock.now();
        party.refresh_breaker().admit(key, now)?;
        let metadata = party.provider.metadata(now).await;
        metadata.map_err(|error| party.refresh_failed(key, error.into(), self.clock.now()))
    }

    pub(crate) async fn acquire(&self, key: &SessionKey, seen: u64) -> Result<Acquired, StoreError> {
        let owner = LeaseOwner::from_u128(u128::from_ne_bytes(random_bytes()));
        let now = self.clock.now();
        self.store.acquire(key, seen, owner, LEASE, now).await
    }

    /// Step 4: presents the refresh token, while the lease lasts that was taken.
    async fn present(
        &self,
        party: &Party,
        metadata: &Metadata,
        held: &Session,
        token: &RefreshToken,
        taken: &Taken,
    ) -> Result<TokenResponse, TokenError> {
        let guard = SendGuard::until(taken.asked_at + SEND_WITHIN);
        let way = Way {
            guard: Some(&guard),
            ..Way::proving(held.data.dpop_key.as_ref())
        };
        let mut parameters = vec![("refresh_token", token.expose())];
        parameters.extend(
            party
                .config
                .resources
                .iter()
                .map(|resource| ("resource", resource.as_str())),
        );
        let request = TokenRequest {
            grant_type: "refresh_token",
            parameters,
        };
        let now = self.clock.now();
        tokio::select! {
            response = party.registration.tokens(metadata, request, way, now) => response,
            () = self.keep_lease(&held.key, &taken.lease, &guard) => unreachable!("a lease is kept for ever"),
        }
    }

    /// Renews the lease for as long as it is polled. Once the token has left, losing the lease changes nothing any more:
    /// the compare-and-swap decides.
    pub(crate) async fn keep_lease(&self, key: &SessionKey, lease: &Lease, guard: &SendGuard) {
        loop {
            sleep(LEASE / 3).await;
            let asked_at = Instant::now();
            match self.store.renew(key, lease, LEASE, self.clock.now()).await {
                Ok(true) => guard.prolong(asked_at + SEND_WITHIN),
                Ok(false) => {
                    guard.revoke();
                    tracing::warn!(session = ?key, "the lease of a refresh under way was lost");
                }
                Err(error) => {
                    tracing::warn!(session = ?key, cause = crate::error::chain(&error), "a lease could not be renewed");
                }
            }
        }
    }

    /// Checks of new tokens what can be checked without asking anyone, before they are saved.
    async fn judge(
        self: &Arc<Self>,
        party: &Party,
        metadata: &Metadata,
        held: &Session,
        response: TokenResponse,
    ) -> Result<Came, RefreshError> {
        let scheme = held.data.scheme();
        let access_token = response.usable_access_token(scheme).cloned();
        let id_token = response.id_token.clone().filter(|_| party.provider.is_openid());
        let checked = match (&access_token, &id_token, party.provider.keys_at_hand()) {
            (Some(access), Some(token), Some(keys)) => {
                self.check(party, metadata, &held.data, token, access, &keys)
            }
            (Some(_), Some(_), None) => Checked::NeedsKeys,
            // There is none, or none that can be checked without the access token: the old one stays.
            _ => Checked::None,
        };
        if let Checked::Refused(error) = checked {
            return Err(self.end_refused(held, &response, &error).await);
        }
        let rotated = response.refresh_token.as_ref();
        Ok(Came {
            is_rotated: rotated.is_some() && rotated != held.data.tokens.refresh.as_ref(),
            response,
            scheme,
            checked,
            save_until: Instant::now() + SAVE_FOR,
            is_saved: false,
        })
    }

    /// Step 5: saves new tokens, and keeps at it while the store fails: the refresh token in the record is used up.
    async fn save(
        &self,
        party: &Party,
        base: &Session,
        expected: u64,
        came: &Came,
    ) -> Result<(Swapped, Arc<Record>), StoreError> {
        let mut pause = POLL.0;
        loop {
            let record = self.refreshed(party, base, came);
            let saved = Arc::new(Record {
                version: expected + 1,
                ..record.clone()
            });
            let swap = self
                .store
                .compare_and_swap(&base.key, expected, record, self.clock.now());
            match timeout_at(came.save_until, swap)
                .await
                .unwrap_or(Err(StoreError::Timeout))
            {
                Err(error) if Instant::now() + pause > came.save_until => {
                    tracing::error!(
                        session = ?base.key,
                        cause = crate::error::chain(&error),
                        "refreshed tokens could not be saved; this session will have to sign in again"
                    );
                    return Err(error);
                }
                Err(_) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(POLL.1);
                }
                Ok(swapped) => return Ok((swapped, saved)),
            }
        }
    }

    /// What a refresh has come to.
    async fn finish(
        self: &Arc<Self>,
        party: &Party,
        outcome: Outcome<RefreshError>,
        current: Option<Session>,
        metadata: Option<Arc<Metadata>>,
        came: Option<Came>,
    ) -> Result<Session, RefreshError> {
        match outcome {
            Outcome::Fresh => {}
            Outcome::Gone => return Err(RefreshError::Ended(NotSignedIn::Ended)),
            Outcome::GrantEnded => return Err(RefreshError::Ended(NotSignedIn::GrantEnded)),
            Outcome::NotRefreshable => return Err(RefreshError::Ended(NotSignedIn::TokenExpired)),
            Outcome::Kept(error) => return Err(error),
            Outcome::HolderGaveUp => return Err(RefreshError::HolderGaveUp),
        }
        let session = current.ok_or(RefreshError::Ended(NotSignedIn::Ended))?;
        let (Some(came), Some(metadata)) = (came.filter(|came| came.is_saved), metadata) else {
            let confirmed = self.confirm(session).await.map_err(RefreshError::unconfirmed)?;
            return confirmed.ok_or(RefreshError::Ended(NotSignedIn::Ended));
        };
        let Some(access_token) = came.access_token() else {
            // Its refresh token is kept; but there is no access token in it, or one of another type.
            let error = TokenError::Malformed("there is no access token of the session's type in it");
            return Err(party.refresh_failed(&session.key, error.into(), self.clock.now()));
        };
        let saved = session.clone();
        let result = match (&came.checked, &came.response.id_token) {
            (Checked::NeedsKeys, Some(token)) => {
                self.check_later(party, &metadata, session, token, &came.response, access_token)
                    .await
            }
            _ => self.confirm_move(session, &came.response).await,
        };
        if let Ok(_) | Err(RefreshError::Unconfirmed(_)) = result {
            let refreshed = result.as_ref().unwrap_or(&saved);
            self.tell(EventKind::Refreshed, |event| event.of_session(refreshed));
        }
        result
    }

    fn check(
        &self,
        party: &Party,
        metadata: &Metadata,
        data: &SessionData,
        token: &IdToken,
        access_token: &AccessToken,
        keys: &KeySet,
    ) -> Checked {
        let now = self.clock.now();
        let expected = Expected {
            issuer: metadata.issuer.as_str(),
            client_id: &party.registration.client_id,
            nonce: None,
            access_token: Some(access_token.expose()),
            algorithms: party.algorithms(metadata),
            tolerance: CLOCK_TOLERANCE,
            max_age: None,
        };
        match id_token::verify(token.expose(), keys, &expected, now) {
            Ok(claims) if claims.subject() != data.subject => Checked::Refused(RefusedIdToken::OtherSubject),
            Ok(claims) if sorted_audience(&claims) != data.audience => {
                Checked::Refused(RefusedIdToken::OtherAudience)
            }
            // OpenID Connect Core §12.2: none, or that of the first one.
            Ok(claims) if !is_nonce_of(data, &claims) => Checked::Refused(RefusedIdToken::OtherNonce),
            Ok(claims) => Checked::Good(Box::new(claims)),
            Err(IdTokenError::UnknownKey) => Checked::NeedsKeys,
            Err(error) => Checked::Refused(RefusedIdToken::Invalid(error)),
        }
    }

    /// The keys had to be fetched: the tokens are saved already, so now there is time.
    async fn check_later(
        self: &Arc<Self>,
        party: &Party,
        metadata: &Metadata,
        saved: Session,
        token: &IdToken,
        response: &TokenResponse,
        access_token: &AccessToken,
    ) -> Result<Session, RefreshError> {
        let now = self.clock.now();
        let check = |keys: &KeySet| self.check(party, metadata, &saved.data, token, access_token, keys);
        let fetched = match party.provider.keys_at_hand() {
            // Another flight may have fetched them since this one looked.
            Some(keys) => match check(&keys) {
                Checked::NeedsKeys => (party.provider).keys_again(Word::OfProvider, metadata, now).await,
                checked => return self.keep_checked(party, saved, token, response, checked).await,
            },
            None => Some(party.provider.keys(metadata, now).await),
        };
        let checked = match fetched {
            Some(Ok(keys)) => check(&keys),
            // The keys cannot be had: the old ID token stays, and the next refresh brings another.
            Some(Err(error)) => {
                tracing::warn!(session = ?saved.key, cause = crate::error::chain(&error), "a refreshed ID token could not be checked");
                return Ok(saved);
            }
            // Fetched again a moment ago for another of the provider's tokens, and this key is not among them.
            None => Checked::NeedsKeys,
        };
        self.keep_checked(party, saved, token, response, checked).await
    }

    /// Acts on what an ID token is worth that was checked after the tokens were saved.
    async fn keep_checked(
        self: &Arc<Self>,
        party: &Party,
        saved: Session,
        token: &IdToken,
        response: &TokenResponse,
        checked: Checked,
    ) -> Result<Session, RefreshError> {
        match checked {
            Checked::Good(claims) => {
                let changed = self.keep_id_token(party, saved, token, response, &claims).await;
                self.confirm_move(changed, response).await
            }
            Checked::None => Ok(saved),
            Checked::NeedsKeys => {
                let error = RefusedIdToken::Invalid(IdTokenError::UnknownKey);
                Err(self.end_refused(&saved, response, &error).await)
            }
            Checked::Refused(error) => Err(self.end_refused(&saved, response, &error).await),
        }
    }

    /// Puts an ID token that was found good after the tokens were saved in the place of the old one. A record that has
    /// moved on meanwhile keeps what it has.
    async fn keep_id_token(
        &self,
        party: &Party,
        saved: Session,
        token: &IdToken,
        response: &TokenResponse,
        claims: &IdTokenClaims,
    ) -> Session {
        let mut data = SessionData::clone(&saved.data);
        self.keep(party, &mut data, token, response, claims, saved.record.created_at);
        match self.change_with_lease(&saved, data).await {
            Ok(Some(changed)) => changed,
            _ => saved,
        }
    }

    /// A refreshed ID token is the one to show at sign-out, and says anew who the user is, what they may do, and when the
    /// provider's own session ends.
    fn keep(
        &self,
        party: &Party,
        data: &mut SessionData,
        token: &IdToken,
        response: &TokenResponse,
        claims: &IdTokenClaims,
        created_at: Timestamp,
    ) {
        let had_acr = data.acr.clone();
        let old = data.id_token.as_ref();
        let old = old.and_then(|old| jose::claims_of_verified(old.expose()));
        let roles = &party.config.role_claims;
        if claims::apply(data, old.unwrap_or_default(), claims, roles) {
            // That of an earlier move counts as long as it is looked at.
            let earlier = data
                .moved_at
                .filter(|at| response.requested_at.since(*at) < REMEMBERED);
            data.moved_at = Some(earlier.unwrap_or(response.requested_at));
        }
        data.id_token = Some(token.clone());
        data.demanded.lose_acr(had_acr.as_deref(), data.acr.as_deref());
        if let Some(session_expiry) = session_expiry(claims) {
            data.ends_at = created_at.plus(self.config.session_max).min(session_expiry);
        }
    }

    /// Where a refresh has brought another `sid`: the provider may have ended that session before anybody could find this
    /// one by it. Looked for now that it can be found: whichever comes second sees the other.
    async fn confirm_move(
        self: &Arc<Self>,
        saved: Session,
        response: &TokenResponse,
    ) -> Result<Session, RefreshError> {
        if saved.data.moved_at.is_none() {
            return Ok(saved);
        }
        let (key, whose) = (saved.key, saved.data.issued_by());
        let Some(session) = self.confirm(saved).await.map_err(RefreshError::unconfirmed)? else {
            self.revoke_in_background(
                key,
                whose,
                response.refresh_token.clone(),
                response.access_token.clone(),
            );
            return Err(RefreshError::Ended(NotSignedIn::Ended));
        };
        let data = SessionData {
            moved_at: None,
            ..SessionData::clone(&session.data)
        };
        // Where that fails, whoever loads the session looks once more.
        match self.change_with_lease(&session, data).await {
            Ok(Some(changed)) => Ok(changed),
            _ => Ok(session),
        }
    }

    /// Changes a session's data outside of a refresh: with the lease, for a swap would take it from whoever is
    /// refreshing. `None` where the record has moved on, is being refreshed, or is gone.
    pub(crate) async fn change_with_lease(
        &self,
        session: &Session,
        data: SessionData,
    ) -> Result<Option<Session>, StoreError> {
        let (key, version) = (&session.key, session.record.version);
        let Acquired::Got(held) = self.acquire(key, version).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let record = Record {
            // Late, it must not take the lease from whoever has it by then.
            lease: held.lease,
            ..data.record(
                &self.config.keys,
                key,
                session.record.created_at,
                now,
                self.config.session_idle,
            )
        };
        match self
            .store
            .compare_and_swap(key, version, record.clone(), now)
            .await?
        {
            Swapped::Yes => Ok(self.view(
                key,
                Arc::new(Record {
                    version: version + 1,
                    lease: None,
                    ..record
                }),
            )),
            Swapped::Newer(_) | Swapped::Gone => Ok(None),
        }
    }

    /// A refreshed ID token is not good: the session ends, and what came with it is revoked.
    async fn end_refused(
        self: &Arc<Self>,
        session: &Session,
        response: &TokenResponse,
        error: &RefusedIdToken,
    ) -> RefreshError {
        tracing::warn!(session = ?session.key, cause = crate::error::chain(error), "a refreshed ID token was refused; the session ends");
        self.revoke_in_background(
            session.key,
            session.data.issued_by(),
            // Where it is not rotated, the session's own is still good.
            response
                .refresh_token
                .clone()
                .or_else(|| session.data.tokens.refresh.clone()),
            response.access_token.clone(),
        );
        match self
            .remove(session.clone(), EndReason::IdTokenRefused, None)
            .await
        {
            Ok(removed) => {
                // Another instance may have refreshed meanwhile.
                let tokens = &removed.session.data.tokens;
                if tokens.access != session.data.tokens.access {
                    self.revoke_in_background(
                        session.key,
                        session.data.issued_by(),
                        tokens.refresh.clone(),
                        tokens.access.clone(),
                    );
                }
                RefreshError::Ended(NotSignedIn::IdTokenRefused)
            }
            Err(error) => error.into(),
        }
    }

    /// The record with the new tokens. What the answer lacks stays: the refresh token, the scopes, the ID token.
    fn refreshed(&self, party: &Party, base: &Session, came: &Came) -> Record {
        let (now, response) = (self.clock.now(), &came.response);
        let old = &base.data.tokens;
        let mut data = SessionData::clone(&base.data);
        data.tokens = Tokens {
            access: came.access_token().cloned(),
            access_issued_at: response.requested_at,
            access_expires_at: response.expires_at(),
            refresh: response.refresh_token.clone().or_else(|| old.refresh.clone()),
            refresh_expires_at: match (&response.refresh_token, response.refresh_expires_at()) {
                (None, None) => old.refresh_expires_at,
                (_, expires_at) => expires_at,
            },
            scopes: response.scope.clone().unwrap_or_else(|| old.scopes.clone()),
            authorization_details: response
                .authorization_details()
                .unwrap_or_else(|| old.authorization_details.clone()),
        };
        data.demanded.lose_scopes(&old.scopes, &data.tokens.scopes);
        if let (Checked::Good(claims), Some(token)) = (&came.checked, &response.id_token) {
            self.keep(party, &mut data, token, response, claims, base.record.created_at);
        }
        data.refreshes += 1;
        data.refreshed_at = Some(now);
        data.record(
            &self.config.keys,
            &base.key,
            base.record.created_at,
            now,
            self.config.session_idle,
        )
    }
}

impl Party {
    /// Notes that the provider has failed this refresh, so that others need not find out one by one. One that refuses
    /// this client is up and answers.
    fn refresh_failed(&self, key: &SessionKey, error: RefreshError, now: Timestamp) -> RefreshError {
        let mut breaker = self.refresh_breaker();
        match error {
            RefreshError::ClientRefused(_) => breaker.succeeded(key),
            _ => breaker.failed(key, &error, now),
        }
        error
    }
}

/// New tokens, and what is still to be done with them.
struct Came {
    response: TokenResponse,
    /// The type of the session's tokens.
    scheme: Scheme,
    checked: Checked,
    save_until: Instant,
    /// Whether there is another refresh token than the one that was presented.
    is_rotated: bool,
    is_saved: bool,
}

/// The lease that was taken, and since when its holder may believe in it.
struct Taken {
    lease: Lease,
    asked_at: Instant,
}

impl Came {
    /// One of another type than the session's is none: what is bound to a key stays so.
    fn access_token(&self) -> Option<&AccessToken> {
        self.response.usable_access_token(self.scheme)
    }

    /// Whether these tokens are what came. A refresh token alone does not tell where it is not rotated.
    fn is_in(&self, tokens: &Tokens) -> bool {
        match self.access_token() {
            Some(access) => tokens.access.as_ref() == Some(access),
            None => self.is_rotated && tokens.refresh == self.response.refresh_token,
        }
    }
}

impl From<TokenError> for RefreshError {
    fn from(error: TokenError) -> Self {
        match &error {
            TokenError::Unanswered(_) => Self::Unanswered(Arc::new(error)),
            TokenError::Refused(code) if code.is_about_the_client() => Self::ClientRefused(Arc::new(error)),
            _ => Self::Unavailable(Arc::new(error)),
        }
    }
}

/// What an ID token is worth.
enum Checked {
    None,
    Good(Box<IdTokenClaims>),
    NeedsKeys,
    Refused(RefusedIdToken),
}

#[derive(Debug, thiserror::Error)]
enum RefusedIdToken {
    #[error("it is another user's")]
    OtherSubject,
    #[error("it is for another audience")]
    OtherAudience,
    #[error("it answers another authorization request")]
    OtherNonce,
    #[error("it does not verify")]
    Invalid(#[source] IdTokenError),
}

/// A `nonce` in a refreshed ID token is the session's, as far as the session knows it.
fn is_nonce_of(data: &SessionData, claims: &IdTokenClaims) -> bool {
    match (&data.nonce, claims.all().get("nonce")) {
        (Some(nonce), Some(found)) => found.as_str() == Some(nonce),
        _ => true,
    }
}

fn log(key: &SessionKey, result: &Result<Session, RefreshError>) {
    match result {
        Ok(session) => {
            tracing::info!(session = ?key, refreshes = session.refresh_count(), "the access token is fresh")
        }
        Err(RefreshError::Ended(reason)) => {
            tracing::info!(session = ?key, %reason, "the session has ended at its refresh")
        }
        Err(error @ RefreshError::Unconfirmed(_)) => tracing::warn!(
            session = ?key,
            code = error.code(),
            cause = crate::error::chain(error),
            "the access token is fresh, and whether the session has ended meanwhile is not known"
        ),
        Err(error) => tracing::warn!(
            session = ?key,
            code = error.code(),
            cause = crate::error::chain(error),
            "the access token could not be refreshed; the session is kept"
        ),
    }
}
