//! Signing out: revocation (RFC 7009), then the provider's own sign-out (OpenID Connect RP-Initiated Logout 1.0).
//!
//! A session ends here first. Its tokens are then revoked, the refresh token before the access token. What the provider
//! could not do at the time, because it was down, slow or busy, is tried again in the background:
//!
//! * by one task, one token at a time, so that a provider that comes back is not met by all at once;
//! * after a second, then after twice as long each time, up to five minutes, less up to half of it by chance, and never
//!   before the provider's `Retry-After`; as soon as one succeeds, the next one follows;
//! * [`MAX_TRIES`] times for each token and for [`TRY_FOR`] at most, then it is given up;
//! * for [`MAX_WAITING`] tokens at most: one that comes when so many wait is given up at once;
//! * until the app stops: then a try under way has [`LAST_TRIES`] to end, and each that waits is tried once more, within as
//!   much in all.
//!
//! What a provider refuses it would refuse again: that is given up at once. Whatever is given up is said in the log, in an
//! event and in a metric. What waits is in memory only, for a store sees no token; it is lost with a process that is
//! killed, and the tokens are then good at the provider until they expire.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};
use url::Url;

use crate::auth::{Core, Removed};
use crate::clock::Timestamp;
use crate::error::{Error, NotSignedIn};
use crate::events::{EndReason, EventKind};
use crate::metadata::{Metadata, ProviderError};
use crate::metrics;
use crate::party::{IssuedBy, Party};
use crate::request::Incoming;
use crate::secret::{AccessToken, IdToken, RefreshToken, SessionId, random_bytes};
use crate::session::{Session, Tokens};
use crate::spans::{self, Waits};
use crate::store::SessionKey;
use crate::token::{Revoked, TokenError};

/// How long a sign-out waits for the provider, in all.
const WAIT_FOR_PROVIDER: Duration = Duration::from_secs(2);
/// The longest address that a browser is sent to, in bytes: what everybody on the way has to be able to take (RFC 9110
/// §4.1).
const MAX_URL: usize = 8000;

/// After how long a revocation is tried again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How often one token is tried.
const MAX_TRIES: u32 = 20;
/// For how long one token is tried.
const TRY_FOR: Duration = Duration::from_secs(3600);
/// How many tokens may wait for being tried again.
const MAX_WAITING: usize = 1000;
/// How long the last tries take in all when the app stops.
const LAST_TRIES: Duration = Duration::from_secs(1);
/// The clock is looked at this often: it may be moved, or the machine may have slept.
const LOOK: Duration = Duration::from_secs(1);

/// A session that has just ended, and the revocation of its tokens, which is waited for until then.
pub(crate) struct SignedOut {
    session: Session,
    revocation: JoinHandle<()>,
    wait_until: Instant,
}

/// The tokens of a session that has ended.
#[derive(Clone)]
pub(crate) struct Leftover {
    pub(crate) session: SessionKey,
    pub(crate) whose: IssuedBy,
    pub(crate) tokens: Tokens,
}

impl Core {
    /// Ends the session of this identifier and begins to revoke its tokens. `None` where it is one of another origin, which stays.
    pub(crate) async fn sign_out(
        self: &Arc<Self>,
        id: Option<&SessionId>,
        incoming: &Incoming,
    ) -> Result<Option<SignedOut>, Error> {
        let id = id.ok_or(NotSignedIn::NoSession)?;
        let session = self.load(&id.key()).await?.ok_or(NotSignedIn::Ended)?;
        if !self.is_good_at(&session, id.at()) {
            return Ok(None);
        }
        let Removed { session, .. } = self
            .remove(session, EndReason::SignedOut, incoming.sender.as_deref())
            .await?;
        tracing::info!(session = ?session.key, "the user has signed out");
        Ok(Some(SignedOut {
            revocation: self.begin_to_revoke(
                Waits::Somebody,
                session.key,
                session.data.issued_by(),
                session.data.tokens.refresh.clone(),
                session.data.tokens.access.clone(),
            ),
            session,
            wait_until: Instant::now() + WAIT_FOR_PROVIDER,
        }))
    }

    /// Waits for the revocation, but not for long, and gives the provider's address to go on to, if it has one.
    pub(crate) async fn leave_provider(&self, signed_out: SignedOut) -> Option<Url> {
        let SignedOut {
            session,
            revocation,
            wait_until,
        } = signed_out;
        if timeout_at(wait_until, revocation).await.is_err() {
            tracing::warn!(session = ?session.key, "the provider is slow to revoke tokens; the sign-out goes on without");
        }
        // One that is at hand is given also when time is up.
        let party = timeout_at(wait_until, self.party_of(&session)).await.ok()?.ok()?;
        let metadata = party.provider.metadata_at_hand()?;
        let home = self.origin_of(&session).join(&self.config.post_logout_redirect);
        let client_id = &party.registration.client_id;
        match &party.config.end_session_parameter {
            None => end_session_url(&metadata, client_id, session.data.id_token.as_ref(), &home),
            Some(name) => own_sign_out_url(&metadata, client_id, name, &home),
        }
    }

    /// Revokes tokens of a session that has ended, at their provider. Nobody waits for it.
    pub(crate) fn revoke_in_background(
        self: &Arc<Self>,
        session: SessionKey,
        whose: IssuedBy,
        refresh: Option<RefreshToken>,
        access: Option<AccessToken>,
    ) {
        drop(self.begin_to_revoke(Waits::Nobody, session, whose, refresh, access));
    }

    fn begin_to_revoke(
        self: &Arc<Self>,
        waits: Waits,
        session: SessionKey,
        whose: IssuedBy,
        refresh: Option<RefreshToken>,
        access: Option<AccessToken>,
    ) -> JoinHandle<()> {
        let core = Arc::clone(self);
        let span = spans::revocation(&session, waits);
        let own = span.clone();
        let revoking = async move {
            // Also where there is no token left: a sign-out goes on to the endpoint that is named there.
            if let Ok(party) = core.issuer_of(&whose).await {
                let _ = party.provider.metadata(core.clock.now()).await;
            }
            core.revoke(session, whose, refresh, access, &own).await;
        };
        self.spawn_apart(revoking.instrument(span))
    }

    /// Revokes the tokens of several sessions, one after the other: the provider is not to be asked for all at once.
    pub(crate) fn revoke_all_in_background(self: &Arc<Self>, all: Vec<Leftover>) {
        let core = Arc::clone(self);
        drop(self.spawn_apart(async move {
            let mut left = VecDeque::from(all);
            let revocations = async {
                while let Some(next) = left.front().cloned() {
                    let Tokens { refresh, access, .. } = next.tokens;
                    let span = spans::revocation(&next.session, Waits::Nobody);
                    core.revoke(next.session, next.whose, refresh, access, &span)
                        .instrument(span.clone())
                        .await;
                    left.pop_front();
                }
            };
            // An app that stops does not wait for all of them.
            tokio::select! {
                () = revocations => {}
                () = core.unrevoked.too_late() => {}
            }
            for leftover in left {
                core.give_up_all(leftover);
            }
        }));
    }

    fn give_up_all(&self, leftover: Leftover) {
        let Leftover {
            session,
            whose,
            tokens,
        } = leftover;
        let tokens = [
            tokens.refresh.map(Token::Refresh),
            tokens.access.map(Token::Access),
        ];
        for token in tokens.into_iter().flatten() {
            let tried = Tried {
                session,
                whose: whose.clone(),
                token,
                since: self.clock.now(),
                tries: 0,
            };
            self.give_up(&tried, "revocation.unavailable", &Stopping);
        }
    }

    /// The refresh token first: it is the one that lives long, and most providers end the access token with it.
    async fn revoke(
        self: &Arc<Self>,
        session: SessionKey,
        whose: IssuedBy,
        refresh: Option<RefreshToken>,
        access: Option<AccessToken>,
        span: &Span,
    ) {
        let tokens = [refresh.map(Token::Refresh), access.map(Token::Access)];
        let mut has_failed = false;
        for token in tokens.into_iter().flatten() {
            let tried = Tried {
                session,
                whose: whose.clone(),
                token,
                since: self.clock.now(),
                tries: 1,
            };
            if let Err(failure) = self.try_to_revoke(&tried.whose, &tried.token).await {
                if !std::mem::replace(&mut has_failed, true) {
                    spans::failed(span, failure.code);
                }
                self.revoke_later(tried, failure);
            }
        }
    }

    async fn issuer_of(&self, whose: &IssuedBy) -> Result<Arc<Party>, ProviderError> {
        let IssuedBy { name, issuer } = whose;
        self.config.parties.issuing(name.as_deref(), issuer).await
    }

    async fn try_to_revoke(&self, whose: &IssuedBy, token: &Token) -> Result<(), Failure> {
        let now = self.clock.now();
        let party = self.issuer_of(whose).await?;
        let metadata = party.provider.metadata(now).await?;
        let (hint, text) = (token.hint(), token.expose());
        let answer = party.registration.revoke(&metadata, text, hint, now).await?;
        if answer == Revoked::Unsupported {
            tracing::info!(token = hint, "the provider does not revoke tokens of this type");
        }
        metrics::revocation(answer);
        Ok(())
    }

    /// Lets a token that could not be revoked wait for another try, or gives it up.
    fn revoke_later(self: &Arc<Self>, tried: Tried, failure: Failure) {
        let now = self.clock.now();
        if !failure.may_pass || tried.is_worn_out(now) {
            return self.give_up(&tried, failure.code, &*failure.cause);
        }
        let (session, hint) = (tried.session, tried.token.hint());
        let begins = {
            let mut waiting = self.unrevoked.lock();
            if self.unrevoked.stopping.is_cancelled() {
                drop(waiting);
                return self.give_up(&tried, failure.code, &*failure.cause);
            }
            if waiting.queue.len() >= MAX_WAITING {
                drop(waiting);
                return self.give_up(&tried, "revocation.too_many", &TooMany);
            }
            waiting.queue.push_back(tried);
            let begins = !std::mem::replace(&mut waiting.is_worked_off, true);
            if begins {
                waiting.failures = 1;
                waiting.next_at = now.plus(pause(1, failure.retry_after, random_bytes::<1>()[0]));
            } else if let Some(retry_after) = failure.retry_after {
                waiting.next_at = waiting.next_at.max(now.plus(retry_after));
            }
            begins
        };
        self.note_failure(session, hint, &failure);
        if begins {
            let core = Arc::clone(self);
            drop(self.spawn_apart(async move {
                core.work_off().await;
                if core.unrevoked.stopping.is_cancelled() {
                    core.try_a_last_time().await;
                }
            }));
        }
    }

    /// Tries what waits, until nothing does any more or the app stops. A try that is under way then is not cut off at once:
    /// its token would be sent a second time.
    async fn work_off(self: &Arc<Self>) {
        while !self.unrevoked.stopping.is_cancelled() {
            let next_at = {
                let mut waiting = self.unrevoked.lock();
                if waiting.queue.is_empty() {
                    waiting.is_worked_off = false;
                    return;
                }
                waiting.next_at
            };
            let left = next_at.since(self.clock.now());
            if !left.is_zero() {
                let pause = sleep(left.min(LOOK));
                let _ = self.unrevoked.stopping.run_until_cancelled(pause).await;
                continue;
            }
            let Some((whose, token)) = self.unrevoked.next() else {
                continue;
            };
            tokio::select! {
                result = self.try_to_revoke(&whose, &token) => self.tried_again(result),
                () = self.unrevoked.too_late() => return,
            }
        }
    }

    /// Takes the first one that waits out of the queue, and puts it in again at the end if it failed.
    fn tried_again(self: &Arc<Self>, result: Result<(), Failure>) {
        let now = self.clock.now();
        let mut waiting = self.unrevoked.lock();
        let Some(mut tried) = waiting.queue.pop_front() else {
            return;
        };
        let Err(failure) = result else {
            waiting.failures = 0;
            waiting.next_at = now;
            drop(waiting);
            tracing::info!(session = ?tried.session, token = tried.token.hint(), "a token was revoked at last");
            return;
        };
        tried.tries += 1;
        let mut given_up = Vec::new();
        if failure.may_pass {
            waiting.failures = waiting.failures.saturating_add(1);
            waiting.next_at = now.plus(pause(
                waiting.failures,
                failure.retry_after,
                random_bytes::<1>()[0],
            ));
            // Those behind it would not fare better, and do not wait for ever.
            let (worn_out, others): (Vec<_>, Vec<_>) =
                waiting.queue.drain(..).partition(|tried| tried.is_worn_out(now));
            given_up = worn_out;
            waiting.queue = others.into();
        }
        let (session, hint) = (tried.session, tried.token.hint());
        let goes_on = failure.may_pass && !tried.is_worn_out(now);
        if goes_on {
            waiting.queue.push_back(tried);
        } else {
            given_up.push(tried);
        }
        drop(waiting);
        if goes_on {
            self.note_failure(session, hint, &failure);
        }
        for tried in given_up {
            self.give_up(&tried, failure.code, &*failure.cause);
        }
    }

    /// The app stops.
    async fn try_a_last_time(self: &Arc<Self>) {
        let last_tries = async {
            loop {
                let Some((whose, token)) = self.unrevoked.next() else {
                    return;
                };
                match self.try_to_revoke(&whose, &token).await {
                    // The others would not fare better.
                    Err(failure) if failure.may_pass => return,
                    result => self.tried_again(result),
                }
            }
        };
        let _ = timeout(LAST_TRIES, last_tries).await;
        let left = std::mem::take(&mut self.unrevoked.lock().queue);
        for tried in left {
            self.give_up(&tried, "revocation.unavailable", &Stopping);
        }
    }

    fn note_failure(&self, session: SessionKey, token: &'static str, failure: &Failure) {
        tracing::warn!(
            ?session,
            token,
            code = failure.code,
            cause = crate::error::chain(&*failure.cause),
            "a token could not be revoked; it is tried again"
        );
        let failed = EventKind::RevocationFailed { code: failure.code };
        self.tell(failed, |event| event.session = Some(session));
    }

    fn give_up(&self, tried: &Tried, code: &'static str, cause: &dyn StdError) {
        tracing::warn!(
            session = ?tried.session,
            token = tried.token.hint(),
            code,
            tries = tried.tries,
            cause = crate::error::chain(cause),
            "a token was not revoked, and is not tried again"
        );
        let given_up = EventKind::RevocationGivenUp { code };
        self.tell(given_up, |event| event.session = Some(tried.session));
    }
}

/// The tokens that wait for being revoked.
#[derive(Default)]
pub(crate) struct Unrevoked {
    waiting: Mutex<Waiting>,
    stopping: CancellationToken,
}

struct Waiting {
    /// The one to be tried next in front.
    queue: VecDeque<Tried>,
    /// How many tries in a row the provider has failed.
    failures: u32,
    next_at: Timestamp,
    /// Whether there is a task that works it off.
    is_worked_off: bool,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            failures: 0,
            next_at: Timestamp::from_secs(0),
            is_worked_off: false,
        }
    }
}

impl Unrevoked {
    /// Lets nothing wait any more.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Comes to an end [`LAST_TRIES`] after the app has begun to stop.
    async fn too_late(&self) {
        self.stopping.cancelled().await;
        sleep(LAST_TRIES).await;
    }

    /// The token that is to be tried next, and whose it is.
    fn next(&self) -> Option<(IssuedBy, Token)> {
        let waiting = self.lock();
        let tried = waiting.queue.front()?;
        Some((tried.whose.clone(), tried.token.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token that could not be revoked so far.
struct Tried {
    session: SessionKey,
    whose: IssuedBy,
    token: Token,
    since: Timestamp,
    tries: u32,
}

impl Tried {
    fn is_worn_out(&self, now: Timestamp) -> bool {
        self.tries >= MAX_TRIES || now.since(self.since) >= TRY_FOR
    }
}

#[derive(Clone)]
enum Token {
    Refresh(RefreshToken),
    Access(AccessToken),
}

impl Token {
    /// RFC 7009 §2.1.
    fn hint(&self) -> &'static str {
        match self {
            Self::Refresh(_) => "refresh_token",
            Self::Access(_) => "access_token",
        }
    }

    fn expose(&self) -> &str {
        match self {
            Self::Refresh(token) => token.expose(),
            Self::Access(token) => token.expose(),
        }
    }
}

/// Why a token was not revoked.
struct Failure {
    code: &'static str,
    /// Whether the provider, and not the request, has a problem.
    may_pass: bool,
    retry_after: Option<Duration>,
    cause: Box<dyn StdError + Send + Sync>,
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self {
            code: error.code(),
            may_pass: matches!(
                error,
                ProviderError::Unavailable { .. } | ProviderError::Lookup(_)
            ),
            retry_after: error.retry_after(),
            cause: error.into(),
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let (code, may_pass) = match &error {
            TokenError::Unavailable { .. } | TokenError::Unanswered(_) | TokenError::HeldBack => {
                ("revocation.unavailable", true)
            }
            TokenError::Refused(code) if code.is_about_the_client() => ("revocation.client_refused", false),
            TokenError::Refused(_) | TokenError::Malformed(_) => ("revocation.refused", false),
        };
        Self {
            code,
            may_pass,
            retry_after: match &error {
                TokenError::Unavailable { retry_after, .. } => *retry_after,
                _ => None,
            },
            cause: error.into(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("too many others wait for being revoked")]
struct TooMany;

#[derive(Debug, thiserror::Error)]
#[error("the app stops")]
struct Stopping;

/// How long to wait after so many failures in a row; `jitter` takes up to half of it away.
fn pause(failures: u32, retry_after: Option<Duration>, jitter: u8) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = PAUSE.0.saturating_mul(1 << doublings).min(PAUSE.1);
    let pause = whole - whole / 2 * u32::from(jitter) / 255;
    pause.max(retry_after.unwrap_or_default())
}

/// RP-Initiated Logout 1.0 §2. An ID token that has expired is as good a hint. One that would make the address too long
/// is left out: the provider may ask the user then whom to sign out.
///
/// `state` is not sent: nothing here waits for the browser to come back. `logout_hint` and `ui_locales` would tell the
/// provider what it knows.
fn end_session_url(
    metadata: &Metadata,
    client_id: &str,
    id_token: Option<&IdToken>,
    home: &str,
) -> Option<Url> {
    let endpoint = metadata.end_session_endpoint.as_ref()?;
    let url = |hint: Option<&IdToken>| {
        let mut url = endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(token) = hint {
                query.append_pair("id_token_hint", token.expose());
            }
            query
                .append_pair("client_id", client_id)
                .append_pair("post_logout_redirect_uri", home);
        }
        url
    };
    let whole = url(id_token);
    if whole.as_str().len() <= MAX_URL {
        return Some(whole);
    }
    tracing::info!(
        bytes = whole.as_str().len(),
        "the ID token is too long for an address; the provider's sign-out goes without"
    );
    Some(url(None))
}

/// The sign-out of a provider that does not know RP-Initiated Logout. It takes the address to come back to in a parameter
/// of its own, and might not take one that it does not know.
fn own_sign_out_url(metadata: &Metadata, client_id: &str, parameter: &str, home: &str) -> Option<Url> {
    let mut url = metadata.end_session_endpoint.clone()?;
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair(parameter, home);
    Some(url)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::auth::Auth;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_differ_by_chance() {
        let longest: Vec<_> = (1..=11)
            .map(|failures| pause(failures, None, 0).as_secs())
            .collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(u32::MAX, None, 0), secs(300));
        for failures in 1..20 {
            let (shortest, longest) = (pause(failures, None, 255), pause(failures, None, 0));
            assert_eq!(shortest, longest / 2);
            assert!((shortest..=longest).contains(&pause(failures, None, 100)));
        }
    }

    #[test]
    fn no_pause_is_shorter_than_what_the_provider_asks_for() {
        assert_eq!(pause(1, Some(secs(120)), 255), secs(120));
        assert_eq!(pause(20, Some(secs(120)), 0), secs(300));
    }

    #[tokio::test]
    async fn so_many_tokens_wait_and_one_more_is_given_up() {
        let (failed, too_many) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&failed), Arc::clone(&too_many));
        let auth = Auth::builder()
            .base_url("http://127.0.0.1:3000")
            .issuer("http://127.0.0.1:1")
            .client("tests", None)
            .on_event(move |event| match event.kind {
                EventKind::RevocationFailed { .. } => drop(counts.0.fetch_add(1, Ordering::SeqCst)),
                EventKind::RevocationGivenUp {
                    code: "revocation.too_many",
                } => drop(counts.1.fetch_add(1, Ordering::SeqCst)),
                _ => {}
            })
            .build()
            .await
            .expect("good settings");
        for n in 0..=MAX_WAITING {
            let tried = Tried {
                session: SessionKey::from_bytes([0; 32]),
                whose: auth.core().config.parties.first().identity(),
                token: Token::Access(AccessToken::new(n.to_string())),
                since: auth.now(),
                tries: 1,
            };
            let failure = Failure {
                code: "revocation.unavailable",
                may_pass: true,
                retry_after: Some(secs(3600)),
                cause: Box::new(Stopping),
            };
            auth.core().revoke_later(tried, failure);
        }
        let counted = (failed.load(Ordering::SeqCst), too_many.load(Ordering::SeqCst));
        assert_eq!(counted, (MAX_WAITING, 1));
        let first = auth
            .core()
            .unrevoked
            .lock()
            .queue
            .front()
            .map(|tried| tried.token.expose().to_owned());
        assert_eq!(first.as_deref(), Some("0"), "the newest is given up");
    }
}
