//! What happens to sign-ins and sessions, told to the app as it happens: for an audit log, for alarms.
//!
//! [`AuthBuilder::on_event`](crate::AuthBuilder::on_event) takes a hook, which is called with every [`Event`]: in line,
//! right after the fact, by whichever task it happened in.
//!
//! * **A fact is one event, told by the instance where it happened.** Of several requests that end a session at the same
//!   time, the one that found it in the store tells of it. A refresh that many requests share is one event; where several
//!   instances share a store, it is told by the one that saved the tokens.
//! * **What nobody did is no event.** A session that expires is not there any more from that instant on; nothing happens
//!   then that could be told. The same holds for an access token that dies without a refresh token beside it.
//! * **An event may be missing, and none is told twice.** A process that is killed between the fact and its event tells
//!   nothing, and where the store carries a deletion out and its answer is lost, nobody knows who ended the session.
//! * **A hook that panics** is caught, and said in the log; the request that it ran in goes on, and so do other hooks.
//!
//! A hook must not block: requests wait for it. One that writes to a database hands the event to a task, through a channel
//! that holds so many and no more:
//!
//! ```
//! use auth_core::Auth;
//! use auth_core::events::{Event, EventKind};
//! # async fn write_down(_: Event) {}
//!
//! # async fn example() {
//! let (sender, mut events) = tokio::sync::mpsc::channel(10_000);
//! let builder = Auth::builder().on_event(move |event: &Event| {
//!     // Whoever is turned away has not got in: of those there can be any number.
//!     if matches!(event.kind, EventKind::RequestRefused { .. }) {
//!         return;
//!     }
//!     if sender.try_send(event.clone()).is_err() {
//!         // The database is too slow: say so where somebody is alarmed by it.
//!         eprintln!("an audit event was dropped: {event:?}");
//!     }
//! });
//! tokio::spawn(async move {
//!     while let Some(event) = events.recv().await {
//!         write_down(event).await;
//!     }
//! });
//! # let _ = builder;
//! # }
//! ```
//!
//! The same facts are counted as metrics, with the feature `metrics`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::auth::Core;
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::metrics;
use crate::session::Session;
use crate::store::{Record, SessionKey};
use crate::types::Issuer;

pub(crate) type EventHook = Arc<dyn Fn(&Event) + Send + Sync>;

/// Something that has just happened, and to whom.
///
/// There is no token in it and nothing else that lets anybody in. Subject, address, browser and path are personal data:
/// keep what you have a reason to keep. `Debug` does not show them.
///
/// # Example
///
/// ```
/// use auth_core::events::{Event, EventKind};
///
/// /// What an alarm is made of.
/// fn is_suspicious(event: &Event) -> bool {
///     matches!(event.kind, EventKind::SignInFailed { code, .. } if code.starts_with("login.state"))
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The session that it happened to, where there is one. It lets nobody in.
    pub session: Option<SessionKey>,
    /// The provider that the user signed in with, where it is known who that is.
    pub issuer: Option<Issuer>,
    /// The user's identifier at the provider (`sub`), where it is known; empty where a plain OAuth 2.0 provider does not
    /// say who the user is.
    pub subject: Option<String>,
    /// The address that the request came from, where a request did it and the adapter knows it
    /// ([`SessionInfo::address`](crate::devices::SessionInfo::address)).
    pub address: Option<String>,
    /// What the browser of that request called itself: its own words, 256 characters at most.
    pub user_agent: Option<String>,
    /// The path of that request as it came, without its query; 256 characters at most.
    pub path: Option<String>,
}

/// What an [`Event`] tells of.
///
/// # Example
///
/// ```
/// use auth_core::Fault;
/// use auth_core::events::EventKind;
///
/// /// Whether somebody has to look at once.
/// fn is_alarming(kind: &EventKind) -> bool {
///     match kind {
///         EventKind::SignInFailed { fault, .. } => *fault == Fault::Configuration,
///         EventKind::RevocationGivenUp { .. } => true,
///         _ => false,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A user has signed in; there is a new session.
    SignedIn,
    /// A sign-in could not be begun or finished; nobody was signed in by it.
    SignInFailed {
        /// The code of the failure ([`codes`](crate::codes)).
        code: &'static str,
        /// Who has to act.
        fault: Fault,
    },
    /// A session has gone on with other tokens under another identifier ([`Auth::switch`](crate::Auth::switch)), for another
    /// user perhaps: this is told of it under its new name, right after its end under the old one
    /// ([`EndReason::Replaced`]).
    Switched {
        /// The name that it had before.
        from: SessionKey,
    },
    /// A session has ended. No session ends twice.
    SessionEnded {
        /// What ended it.
        reason: EndReason,
    },
    /// The access token of a session was refreshed.
    Refreshed,
    /// The access token of a session could not be refreshed. The session is kept.
    RefreshFailed {
        /// The code of the failure.
        code: &'static str,
    },
    /// A request was refused, or could not be answered as asked: nobody is signed in, the user may not do that, it comes
    /// from another site, the provider or the store is down.
    RequestRefused {
        /// The code of the failure.
        code: &'static str,
        /// Who has to act.
        fault: Fault,
    },
    /// A token of a session that has ended could not be revoked at the provider (RFC 7009 §2.2.1); it is tried again.
    RevocationFailed {
        /// The code of the failure.
        code: &'static str,
    },
    /// A token of a session that has ended could not be revoked at the provider, and is not tried again. It is good there
    /// until it expires.
    RevocationGivenUp {
        /// The code of the last failure.
        code: &'static str,
    },
}

/// What ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The user signed out in this session (`POST /auth/logout`).
    SignedOut,
    /// The user ended it from another session of theirs, or from the list in this one
    /// ([`Auth::end_session_of_user`](crate::Auth::end_session_of_user),
    /// [`end_other_sessions`](crate::Auth::end_other_sessions)).
    EndedByUser,
    /// The app or its operator ended it ([`Auth::end_session`](crate::Auth::end_session),
    /// [`end_sessions_of`](crate::Auth::end_sessions_of)).
    EndedByApp,
    /// The provider said so itself (Back-Channel Logout 1.0 §2.5).
    BackChannelLogout,
    /// The provider said so by way of a browser (Front-Channel Logout 1.0 §2).
    FrontChannelLogout,
    /// The provider does not accept the refresh token any more (RFC 6749 §5.2, `invalid_grant`).
    GrantEnded,
    /// A refreshed ID token did not verify, or was another user's.
    IdTokenRefused,
    /// Somebody, the same user perhaps, has signed in anew in the same browser, or the session has gone on with other tokens
    /// under another identifier ([`EventKind::Switched`]).
    Replaced,
}

impl EndReason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::SignedOut,
        Self::EndedByUser,
        Self::EndedByApp,
        Self::BackChannelLogout,
        Self::FrontChannelLogout,
        Self::GrantEnded,
        Self::IdTokenRefused,
        Self::Replaced,
    ];

    /// The reason as one word, `signed_out`, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::EndedByUser => "ended_by_user",
            Self::EndedByApp => "ended_by_app",
            Self::BackChannelLogout => "back_channel_logout",
            Self::FrontChannelLogout => "front_channel_logout",
            Self::GrantEnded => "grant_ended",
            Self::IdTokenRefused => "id_token_refused",
            Self::Replaced => "replaced",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl EventKind {
    /// What happened as one word, `signed_in`, for logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::SignInFailed { .. } => "sign_in_failed",
            Self::Switched { .. } => "switched",
            Self::SessionEnded { .. } => "session_ended",
            Self::Refreshed => "refreshed",
            Self::RefreshFailed { .. } => "refresh_failed",
            Self::RequestRefused { .. } => "request_refused",
            Self::RevocationFailed { .. } => "revocation_failed",
            Self::RevocationGivenUp { .. } => "revocation_given_up",
        }
    }

    /// Why: a failure's code or the reason of an end; `None` where all went well.
    #[must_use]
    pub const fn cause(&self) -> Option<&'static str> {
        match self {
            Self::SignedIn | Self::Switched { .. } | Self::Refreshed => None,
            Self::SessionEnded { reason } => Some(reason.as_str()),
            Self::SignInFailed { code, .. }
            | Self::RefreshFailed { code }
            | Self::RequestRefused { code, .. }
            | Self::RevocationFailed { code }
            | Self::RevocationGivenUp { code } => Some(code),
        }
    }
}

/// Without subject, address, browser and path, which are personal.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("at", &self.at)
            .field("kind", &self.kind)
            .field("session", &self.session)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// Where a request came from and what it asked for, kept only where somebody wants to be told.
#[derive(Clone, Default)]
pub(crate) struct Sender {
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) path: String,
}

/// The longest path that an event names, in characters.
pub(crate) const PATH_MAX: usize = 256;

impl Event {
    pub(crate) fn of_session(&mut self, session: &Session) {
        self.session = Some(session.key);
        self.issuer = Some(session.data.issuer.clone());
        self.subject = Some(session.data.subject.clone());
    }

    pub(crate) fn sent_by(&mut self, sender: Option<&Sender>) {
        let Some(sender) = sender else { return };
        self.address.clone_from(&sender.address);
        self.user_agent.clone_from(&sender.agent);
        self.path = Some(sender.path.clone());
    }
}

impl Core {
    /// Counts what has just happened and tells the app's hooks, to whom it happened included.
    pub(crate) fn tell(&self, kind: EventKind, to_whom: impl FnOnce(&mut Event)) {
        metrics::count(&kind);
        if self.config.on_event.is_empty() {
            return;
        }
        let mut event = Event {
            at: self.clock.now(),
            kind,
            session: None,
            issuer: None,
            subject: None,
            address: None,
            user_agent: None,
            path: None,
        };
        to_whom(&mut event);
        for hook in &self.config.on_event {
            if catch_unwind(AssertUnwindSafe(|| hook(&event))).is_err() {
                tracing::error!(event = kind.as_str(), "a hook for events has panicked");
            }
        }
    }

    /// Tells that this session has ended: whoever took it out of the store does so. What its tokens were exchanged for is
    /// forgotten.
    pub(crate) fn tell_end(&self, session: &Session, reason: EndReason, sender: Option<&Sender>) {
        self.exchanged.forget(&session.key);
        self.tell(EventKind::SessionEnded { reason }, |event| {
            event.of_session(session);
            event.sent_by(sender);
        });
    }

    /// The same of a record, which perhaps no key opens.
    pub(crate) fn tell_end_of_record(
        &self,
        key: &SessionKey,
        record: &Arc<Record>,
        reason: EndReason,
        sender: Option<&Sender>,
    ) {
        self.exchanged.forget(key);
        self.tell(EventKind::SessionEnded { reason }, |event| {
            event.session = Some(*key);
            if let Some(session) = self.view(key, Arc::clone(record)) {
                event.of_session(&session);
            }
            event.sent_by(sender);
        });
    }
}
