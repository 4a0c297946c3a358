//! Keeping the access token alive: one token request per expiry, whoever asks, however often.
//!
//! The scheme, step by step (the record is the lock):
//!
//! 1. Requests of this process for one session share one flight, a task on the core's runtime
//!    that no browser going away can cancel.
//! 2. The flight reads the record again. Where someone else has refreshed it meanwhile, it adopts what it finds.
//! 3. It takes the record's lease, at the version it has just read. Where another holder is at work, it waits and
//!    goes back to 2.
//! 4. With the lease, and only then, it presents the refresh token, once, renewing the lease as long as that takes.
//! 5. It saves what came with a compare-and-swap on the version: first of all, for a rotated refresh token that is
//!    not saved is a session lost. Where the session is gone by then, somebody has signed out: the new tokens are
//!    revoked.
//! 6. A refusal ends the session only if it is `invalid_grant` and the record, read again, still holds the refresh
//!    token that was refused. Everything else leaves the session as it was.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, sleep, timeout_at};

use crate::auth::Core;
use crate::clock::Timestamp;
use crate::config::CLOCK_TOLERANCE;
use crate::error::{Fault, NotSignedIn};
use crate::id_token::{self, Expected, IdTokenError};
use crate::jose::KeySet;
use crate::metadata::{Metadata, ProviderError};
use crate::secret::{AccessToken, IdToken, random_bytes};
use crate::session::{Session, SessionData, Tokens};
use crate::sign_in::sorted_audience;
use crate::store::{Acquired, Lease, LeaseOwner, Record, SessionKey, StoreError, Swapped};
use crate::token::{TokenError, TokenErrorCode, TokenRequest, TokenResponse};

/// A refresh starts in the background when less than this is left of the token's life, but at most a quarter of it.
const LEEWAY: Duration = Duration::from_secs(60);
/// How long a lease lasts unless it is renewed; it is renewed at a third of that.
const LEASE: Duration = Duration::from_secs(10);
/// How long a flight waits for another instance's.
pub(crate) const WAIT_FOR_HOLDER: Duration = Duration::from_secs(10);
/// How the waiting begins and how it slows down.
pub(crate) const POLL: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));
/// How long a refresh in the background waits after one that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How long new tokens are tried to be saved in a store that fails.
const SAVE_FOR: Duration = Duration::from_secs(10);

/// The refreshes of this process.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: HashMap<SessionKey, Flight>,
    /// When a refresh failed that left its session alive.
    failed_at: HashMap<SessionKey, Timestamp>,
    /// The sessions whose use is being written down.
    pub(crate) touches: HashSet<SessionKey>,
}

/// A flight, and whether the call that asked for it started it.
struct Joined {
    flight: Flight,
    is_new: bool,
}

type Flight = Shared<BoxFuture<'static, Result<Session, RefreshError>>>;

/// No fresh access token.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The session has ended.
    #[error(transparent)]
    Ended(NotSignedIn),
    /// The provider is down, slow, or does not make sense. The session is kept.
    #[error("the provider cannot refresh the tokens at present")]
    Unavailable(#[source] Arc<TokenError>),
    /// The provider does not accept this client: a matter of configuration. The session is kept.
    #[error("the provider refuses this client")]
    ClientRefused(#[source] Arc<TokenError>),
    /// The provider's metadata cannot be had. The session is kept.
    #[error("the provider cannot be used")]
    Provider(#[from] ProviderError),
    /// Another instance is refreshing this session and takes too long. The session is kept.
    #[error("another instance is refreshing this session and takes too long")]
    Busy,
    /// The store failed. The session is kept.
    #[error("the session store failed")]
    Store(#[source] Arc<StoreError>),
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
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Ended(_) => "session.ended",
            Self::Unavailable(_) => "refresh.unavailable",
            Self::ClientRefused(_) => "refresh.client_refused",
            Self::Provider(error) => error.code(),
            Self::Busy => "refresh.busy",
            Self::Store(_) => "store.unavailable",
            Self::Interrupted => "refresh.interrupted",
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Ended(_) => Fault::NotSignedIn,
            Self::Unavailable(_) | Self::Provider(_) | Self::Busy | Self::Interrupted => Fault::Provider,
            Self::ClientRefused(_) => Fault::Configuration,
            Self::Store(_) => Fault::Store,
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
        let tokens = &session.data.tokens;
        match (session.data.freshness(self.clock.now()), tokens.refresh.is_some()) {
            (Freshness::Good, _) | (Freshness::Soft, false) => Ok(session),
            (Freshness::Soft, true) => {
                if !self.has_failed_lately(&session.key) {
                    // Not awaited: it runs on its own, and says in the log how it ended.
                    drop(self.refresh(&session, Wanted::Expiring));
                }
                Ok(session)
            }
            (Freshness::Dead, true) => self.refresh(&session, Wanted::Expiring).flight.await,
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
        let wanted = Wanted::Instead(refused.clone());
        let joined = self.refresh(session, wanted.clone());
        let refreshed = joined.flight.await?;
        if joined.is_new || wanted.is_met_by(&refreshed.data, self.clock.now()) {
            return Ok(refreshed);
        }
        // The flight was under way already, for another reason, and has brought nothing new; now there is room.
        self.refresh(session, wanted).flight.await
    }

    /// Whether a refresh of this session failed a moment ago: one that nobody waits for can wait then.
    fn has_failed_lately(&self, key: &SessionKey) -> bool {
        let flights = self.lock_flights();
        flights
            .failed_at
            .get(key)
            .is_some_and(|at| self.clock.now().since(*at) < PAUSE_AFTER_FAILURE)
    }

    /// Joins the flight that refreshes this session, or starts it.
    fn refresh(self: &Arc<Self>, session: &Session, wanted: Wanted) -> Joined {
        let key = session.key;
        let mut flights = self.lock_flights();
        if let Some(flight) = flights.under_way.get(&key) {
            return Joined {
                flight: flight.clone(),
                is_new: false,
            };
        }
        let core = Arc::clone(self);
        let task = self.spawn(async move {
            // Whatever happens in it, the flight comes to an end, and the next one can begin.
            let result = AssertUnwindSafe(core.refresh_now(&key, &wanted))
                .catch_unwind()
                .await
                .unwrap_or(Err(RefreshError::Interrupted));
            core.land(&key, &result);
            log(&key, &result);
            result
        });
        let flight = async move { task.await.unwrap_or(Err(RefreshError::Interrupted)) }
            .boxed()
            .shared();
        flights.under_way.insert(key, flight.clone());
        Joined { flight, is_new: true }
    }

    fn land(&self, key: &SessionKey, result: &Result<Session, RefreshError>) {
        let now = self.clock.now();
        let mut flights = self.lock_flights();
        flights.under_way.remove(key);
        match result {
            Ok(_) | Err(RefreshError::Ended(_)) => drop(flights.failed_at.remove(key)),
            Err(_) => {
                // What was noted longer ago means nothing any more.
                flights
                    .failed_at
                    .retain(|_, at| now.since(*at) < PAUSE_AFTER_FAILURE);
                flights.failed_at.insert(*key, now);
            }
        }
    }

    /// Steps 2 to 6 of the scheme.
    async fn refresh_now(
        self: &Arc<Self>,
        key: &SessionKey,
        wanted: &Wanted,
    ) -> Result<Session, RefreshError> {
        // Before the lease is taken, so that nothing slow lies between taking it and sending.
        let metadata = self.provider.metadata(self.clock.now()).await?;
        let deadline = Instant::now() + WAIT_FOR_HOLDER;
        let mut pause = POLL.0;
        loop {
            let session = self.reread(key).await?;
            if wanted.is_met_by(&session.data, self.clock.now()) {
                return Ok(session);
            }
            if session.data.tokens.refresh.is_none() {
                return Err(RefreshError::Ended(NotSignedIn::TokenExpired));
            }
            let owner = LeaseOwner::from_u128(u128::from_ne_bytes(random_bytes()));
            let now = self.clock.now();
            match self
                .store
                .acquire(key, session.record.version, owner, LEASE, now)
                .await?
            {
                Acquired::Got(record) => {
                    let Some(data) = SessionData::open(&self.config.keys, key, &record) else {
                        return Err(RefreshError::Ended(NotSignedIn::Ended));
                    };
                    let held = Session {
                        key: *key,
                        record,
                        data,
                    };
                    if let Some(result) = self.refresh_with_lease(&metadata, held).await {
                        return result;
                    }
                    // The record changed under the refused token: see what it holds now.
                }
                Acquired::Newer(_) => {}
                Acquired::Gone => return Err(RefreshError::Ended(NotSignedIn::Ended)),
                Acquired::Held(_) => {
                    if Instant::now() + pause > deadline {
                        return Err(RefreshError::Busy);
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(POLL.1);
                    continue;
                }
            }
            if Instant::now() > deadline {
                return Err(RefreshError::Busy);
            }
        }
    }

    async fn reread(&self, key: &SessionKey) -> Result<Session, RefreshError> {
        self.load(key)
            .await?
            .ok_or(RefreshError::Ended(NotSignedIn::Ended))
    }

    /// Steps 4 to 6. `None` when the refresh token was refused but the record holds another one by now.
    async fn refresh_with_lease(
        self: &Arc<Self>,
        metadata: &Metadata,
        held: Session,
    ) -> Option<Result<Session, RefreshError>> {
        let lease = held.record.lease?;
        let refresh_token = held.data.tokens.refresh.clone()?;
        if lease.until <= self.clock.now() {
            // A lost lease sends nothing.
            return None;
        }
        let mut parameters = vec![("refresh_token", refresh_token.expose())];
        parameters.extend(
            self.config
                .resources
                .iter()
                .map(|resource| ("resource", resource.as_str())),
        );
        let request = TokenRequest {
            grant_type: "refresh_token",
            parameters,
        };
        let response = tokio::select! {
            response = self.registration.tokens(metadata, request, self.clock.now()) => response,
            () = self.keep_lease(&held.key, &lease) => unreachable!("a lease is kept for ever"),
        };
        match response {
            Ok(response) => Some(self.adopt(metadata, held, response).await),
            Err(TokenError::Refused(TokenErrorCode::InvalidGrant)) => {
                self.end_if_current(&held, &lease).await
            }
            Err(error) => {
                // The session stays as it was. A lease that cannot be given back ends by itself.
                let _ = self.store.release(&held.key, &lease, self.clock.now()).await;
                let about_the_client =
                    matches!(&error, TokenError::Refused(code) if code.is_about_the_client());
                let error = Arc::new(error);
                Some(Err(if about_the_client {
                    RefreshError::ClientRefused(error)
                } else {
                    RefreshError::Unavailable(error)
                }))
            }
        }
    }

    /// Renews the lease for as long as it is polled. Losing it changes nothing any more: the request is on its way,
    /// and the compare-and-swap decides.
    async fn keep_lease(&self, key: &SessionKey, lease: &Lease) {
        loop {
            sleep(LEASE / 3).await;
            match self.store.renew(key, lease, LEASE, self.clock.now()).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!(session = ?key, "the lease of a refresh under way was lost"),
                Err(error) => {
                    tracing::warn!(session = ?key, cause = crate::error::chain(&error), "a lease could not be renewed");
                }
            }
        }
    }

    /// Step 6: ends the session if the refused refresh token is still the one in the record.
    async fn end_if_current(&self, held: &Session, lease: &Lease) -> Option<Result<Session, RefreshError>> {
        let ended = Some(Err(RefreshError::Ended(NotSignedIn::GrantEnded)));
        let current = match self.load(&held.key).await {
            Ok(Some(current)) => current,
            Ok(None) => return ended,
            Err(error) => return Some(Err(error.into())),
        };
        if current.data.tokens.refresh != held.data.tokens.refresh {
            let _ = self.store.release(&held.key, lease, self.clock.now()).await;
            return None;
        }
        match self
            .store
            .delete(&held.key, Some(current.record.version), self.clock.now())
            .await
        {
            Ok(true) => ended,
            // Changed or gone since it was read a moment ago.
            Ok(false) => None,
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Step 5: checks what can be checked without asking anyone, saves, then checks the rest.
    async fn adopt(
        self: &Arc<Self>,
        metadata: &Metadata,
        held: Session,
        response: TokenResponse,
    ) -> Result<Session, RefreshError> {
        let Some(access_token) = response.usable_access_token().cloned() else {
            // There is no access token, or one of another type; but the refresh token in the record may be used up.
            self.save(held, &response, false).await?;
            return Err(RefreshError::Unavailable(Arc::new(TokenError::Malformed(
                "there is no access token of the session's type in it",
            ))));
        };
        let id_token = response.id_token.clone().filter(|_| self.provider.is_openid());
        let checked = match (&id_token, self.provider.keys_at_hand()) {
            (Some(token), Some(keys)) => self.check(metadata, &held.data, token, &access_token, &keys),
            (Some(_), None) => Checked::NeedsKeys,
            (None, _) => Checked::Good,
        };
        if let Checked::Refused(error) = checked {
            return Err(self.end_refused(&held, &response, &error).await);
        }
        let saved = self
            .save(held, &response, matches!(checked, Checked::Good))
            .await?;
        if let (Checked::NeedsKeys, Some(token)) = (checked, &id_token) {
            return self
                .check_later(metadata, saved, token, &response, &access_token)
                .await;
        }
        Ok(saved)
    }

    fn check(
        &self,
        metadata: &Metadata,
        data: &SessionData,
        token: &IdToken,
        access_token: &AccessToken,
        keys: &KeySet,
    ) -> Checked {
        let now = self.clock.now();
        let expected = Expected {
            issuer: metadata.issuer.as_str(),
            client_id: &self.config.client_id,
            nonce: None,
            access_token: Some(access_token.expose()),
            algorithms: self.algorithms(metadata),
            tolerance: CLOCK_TOLERANCE,
            max_age: None,
        };
        match id_token::verify(token.expose(), keys, &expected, now) {
            Ok(claims) if claims.subject() != data.subject => Checked::Refused(RefusedIdToken::OtherSubject),
            Ok(claims) if sorted_audience(&claims) != data.audience => {
                Checked::Refused(RefusedIdToken::OtherAudience)
            }
            Ok(_) => Checked::Good,
            Err(IdTokenError::UnknownKey) => Checked::NeedsKeys,
            Err(error) => Checked::Refused(RefusedIdToken::Invalid(error)),
        }
    }

    /// The keys had to be fetched: the tokens are saved already, so now there is time.
    async fn check_later(
        self: &Arc<Self>,
        metadata: &Metadata,
        saved: Session,
        token: &IdToken,
        response: &TokenResponse,
        access_token: &AccessToken,
    ) -> Result<Session, RefreshError> {
        let now = self.clock.now();
        let keys = match self.provider.keys_at_hand() {
            None => Some(self.provider.keys(metadata, now).await),
            Some(_) => self.provider.keys_again(metadata, now).await,
        };
        let checked = match keys {
            Some(Ok(keys)) => self.check(metadata, &saved.data, token, access_token, &keys),
            // The keys cannot be had: the old ID token stays, and the next refresh brings another.
            Some(Err(error)) => {
                tracing::warn!(session = ?saved.key, cause = crate::error::chain(&error), "a refreshed ID token could not be checked");
                return Ok(saved);
            }
            // Fetched a moment ago, and this key is not among them.
            None => Checked::NeedsKeys,
        };
        match checked {
            Checked::Good => Ok(self.keep_id_token(saved, token).await),
            Checked::NeedsKeys => {
                let error = RefusedIdToken::Invalid(IdTokenError::UnknownKey);
                Err(self.end_refused(&saved, response, &error).await)
            }
            Checked::Refused(error) => Err(self.end_refused(&saved, response, &error).await),
        }
    }

    /// Puts an ID token that was found good after the tokens were saved in the place of the old one. It is only shown to
    /// the provider at sign-out, so a record that has moved on meanwhile keeps what it has.
    async fn keep_id_token(&self, saved: Session, token: &IdToken) -> Session {
        let mut data = SessionData::clone(&saved.data);
        data.id_token = Some(token.clone());
        match self.change_with_lease(&saved, data).await {
            Ok(Some(changed)) => changed,
            _ => saved,
        }
    }

    /// Changes a session's data outside of a refresh: with the lease, for a swap would take it from whoever is
    /// refreshing. `None` where the record has moved on, is being refreshed, or is gone.
    pub(crate) async fn change_with_lease(
        &self,
        session: &Session,
        data: SessionData,
    ) -> Result<Option<Session>, StoreError> {
        let (key, version, now) = (&session.key, session.record.version, self.clock.now());
        let owner = LeaseOwner::from_u128(u128::from_ne_bytes(random_bytes()));
        if !matches!(
            self.store.acquire(key, version, owner, LEASE, now).await?,
            Acquired::Got(_)
        ) {
            return Ok(None);
        }
        let record = data.record(
            &self.config.keys,
            key,
            session.record.created_at,
            now,
            self.config.session_idle,
        );
        match self
            .store
            .compare_and_swap(key, version, record.clone(), now)
            .await?
        {
            Swapped::Yes => Ok(self.view(
                key,
                Arc::new(Record {
                    version: version + 1,
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
        self.revoke_in_background(response.refresh_token.clone(), response.access_token.clone());
        match self.store.delete(&session.key, None, self.clock.now()).await {
            Ok(_) => RefreshError::Ended(NotSignedIn::IdTokenRefused),
            Err(error) => error.into(),
        }
    }

    /// Saves new tokens, and keeps at it while the store fails: the refresh token in the record is used up.
    async fn save(
        self: &Arc<Self>,
        held: Session,
        response: &TokenResponse,
        keep_id_token: bool,
    ) -> Result<Session, RefreshError> {
        let deadline = Instant::now() + SAVE_FOR;
        let mut pause = POLL.0;
        let mut base = held;
        let presented = base.data.tokens.refresh.clone();
        loop {
            let record = self.refreshed(&base, response, keep_id_token);
            let now = self.clock.now();
            let swap = self
                .store
                .compare_and_swap(&base.key, base.record.version, record.clone(), now);
            match timeout_at(deadline, swap)
                .await
                .unwrap_or(Err(StoreError::Timeout))
            {
                Ok(Swapped::Yes) => {
                    let record = Arc::new(Record {
                        version: base.record.version + 1,
                        ..record
                    });
                    return self
                        .view(&base.key, record)
                        .ok_or(RefreshError::Ended(NotSignedIn::Ended));
                }
                Ok(Swapped::Gone) => {
                    // Somebody signed out meanwhile, and that wins.
                    self.revoke_in_background(response.refresh_token.clone(), response.access_token.clone());
                    return Err(RefreshError::Ended(NotSignedIn::Ended));
                }
                Ok(Swapped::Newer(record)) => {
                    let Some(current) = self.view(&base.key, record) else {
                        return Err(RefreshError::Ended(NotSignedIn::Ended));
                    };
                    if current.data.tokens.refresh != presented
                        || (response.access_token.is_some()
                            && current.data.tokens.access == response.access_token)
                    {
                        // An earlier try that got no answer was carried out after all, or another holder was
                        // given the lease and saved.
                        return Ok(current);
                    }
                    base = current;
                }
                Err(error) => {
                    if Instant::now() + pause > deadline {
                        tracing::error!(
                            session = ?base.key,
                            cause = crate::error::chain(&error),
                            "refreshed tokens could not be saved; this session will have to sign in again"
                        );
                        return Err(error.into());
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(POLL.1);
                }
            }
        }
    }

    /// The record with the new tokens. What the answer lacks stays: the refresh token, the scopes, the ID token.
    fn refreshed(&self, base: &Session, response: &TokenResponse, keep_id_token: bool) -> Record {
        let now = self.clock.now();
        let old = &base.data.tokens;
        let mut data = SessionData::clone(&base.data);
        data.tokens = Tokens {
            access: response.usable_access_token().cloned(),
            access_issued_at: response.requested_at,
            access_expires_at: response.expires_at(),
            refresh: response.refresh_token.clone().or_else(|| old.refresh.clone()),
            refresh_expires_at: match (&response.refresh_token, response.refresh_expires_at()) {
                (None, None) => old.refresh_expires_at,
                (_, expires_at) => expires_at,
            },
            scopes: response.scope.clone().unwrap_or_else(|| old.scopes.clone()),
        };
        if keep_id_token && let Some(token) = &response.id_token {
            data.id_token = Some(token.clone());
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

enum Checked {
    Good,
    NeedsKeys,
    Refused(RefusedIdToken),
}

#[derive(Debug, thiserror::Error)]
enum RefusedIdToken {
    #[error("it is another user's")]
    OtherSubject,
    #[error("it is for another audience")]
    OtherAudience,
    #[error("it does not verify")]
    Invalid(#[source] IdTokenError),
}

fn log(key: &SessionKey, result: &Result<Session, RefreshError>) {
    match result {
        Ok(session) => {
            tracing::info!(session = ?key, refreshes = session.refresh_count(), "the access token is fresh")
        }
        Err(RefreshError::Ended(reason)) => {
            tracing::info!(session = ?key, %reason, "the session has ended at its refresh")
        }
        Err(error) => tracing::warn!(
            session = ?key,
            code = error.code(),
            cause = crate::error::chain(error),
            "the access token could not be refreshed; the session is kept"
        ),
    }
}
