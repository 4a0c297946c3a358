//! What a refresh does next: the decisions of the protocol, without the doing.
//!
//! A [`Refresh`] is told what came of its last step and says which [`Step`] comes next. It knows no store, no provider
//! and no time. The coordinator carries the steps out for real; the model checker carries out the same steps of the
//! same code, in every order and with every failure, crash and lost answer (`model.rs`).
//!
//! ```text
//!            ┌──────────────────────────────── changed meanwhile ◄───────────────┐
//!            ▼                                                                   │
//! ──► Load ──┬─► fresh: done (adopted)                                           │
//!            ├─► gone, or no refresh token: done (ended)                         │
//!            ├─► the holder that was waited for gave up: done (kept)             │
//!            └─► Acquire ─┬─► newer: as if loaded                                │
//!                         ├─► held: Wait ──► Load                                │
//!                         └─► got: Present ─┬─► tokens: Save ─┬─► done (fresh)   │
//!                                           │                 ├─► newer: Save    │
//!                                           │                 └─► gone: Revoke ──► done (ended)
//!                                           ├─► refused: Load ─┬─► current: End ─┴─► done (ended)
//!                                           │                  └─► not current: as if loaded
//!                                           ├─► failed: Release ──► done (kept)
//!                                           └─► lease lost before sending: Load
//! ```

/// What a refresh looks at in a record. `T` stands for a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen<T> {
    pub(super) version: u64,
    /// The refresh token in it.
    pub(super) token: Option<T>,
    /// Whether the access token in it is one to go on with.
    pub(super) is_fresh: bool,
    /// Who has taken the lease and has not given it back, alive or not.
    pub(super) holder: Holder,
}

/// Who holds a record's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    Nobody,
    ThisTask,
    Another,
}

/// What came of asking for the lease.
#[derive(Clone, Debug)]
pub(super) enum Lease<T> {
    Got(Seen<T>),
    Held(Seen<T>),
    Newer(Seen<T>),
    Gone,
}

/// What came of presenting the refresh token.
#[derive(Clone, Debug)]
pub(super) enum Answer<E> {
    /// New tokens.
    Tokens,
    /// `invalid_grant`.
    Refused,
    /// Anything else; whether the token is used up may not be known.
    Failed(E),
    /// The lease was lost before the token left; it did not leave.
    NotSent,
}

/// What came of saving the new tokens.
#[derive(Clone, Debug)]
pub(super) enum Saved<T> {
    Yes,
    /// The record has another version.
    Newer {
        seen: Seen<T>,
        /// Whether what is in it are the tokens to be saved: an earlier try did it, and its answer was lost.
        is_ours: bool,
        /// Whether the refresh token was rotated, so that the one that was presented is used up.
        is_rotated: bool,
    },
    Gone,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step<T, E> {
    /// Load the record; then [`Refresh::loaded`].
    Load,
    /// Wait a moment for the holder of the lease, then [`Step::Load`]; or give up waiting.
    Wait,
    /// Ask for the lease at this version; then [`Refresh::acquired`].
    Acquire { seen: u64 },
    /// Present this refresh token, if the lease is still held when it leaves; then [`Refresh::answered`].
    Present { token: T },
    /// Put the new tokens in the place of this version; then [`Refresh::saved`].
    Save { expected: u64 },
    /// Delete the record if it has this version: its grant has ended. Then [`Refresh::ended`].
    End { expected: u64 },
    /// Give the lease back; then it is done, and the session is kept.
    Release(E),
    /// Revoke the new tokens, for the session is gone; then it is done.
    Revoke,
    /// It is done.
    Done(Outcome<E>),
}

/// How a refresh ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome<E> {
    /// The record holds an access token to go on with.
    Fresh,
    /// There is no session any more: somebody signed out, or it expired.
    Gone,
    /// The provider ended the grant, and so the session ended.
    GrantEnded,
    /// There is no refresh token.
    NotRefreshable,
    /// No fresh token; the session is as it was.
    Kept(E),
    /// The holder that was waited for has tried in vain. The session is as it was.
    HolderGaveUp,
}

/// One refresh of one session, by one task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Refresh<T> {
    /// The version that somebody else held the lease of.
    waited_at: Option<u64>,
    /// The version that the lease was taken at.
    held_at: u64,
    /// The refresh token that was presented.
    presented: Option<T>,
    /// Whether it was refused, and the record is read again to see if it is still current.
    is_refused: bool,
}

impl<T: Clone + PartialEq> Refresh<T> {
    /// Begins: whatever the caller saw may be old, so the record is read first.
    pub(super) fn begin<E>() -> (Self, Step<T, E>) {
        let refresh = Self {
            waited_at: None,
            held_at: 0,
            presented: None,
            is_refused: false,
        };
        (refresh, Step::Load)
    }

    pub(super) fn loaded<E>(&mut self, seen: Option<Seen<T>>) -> Step<T, E> {
        let Some(seen) = seen else {
            return Step::Done(Outcome::Gone);
        };
        if self.is_refused && seen.token == self.presented {
            // Only the refusal of the token that is still current ends a session. Whoever took the lease over may be about
            // to save the tokens that were given for it.
            return match seen.holder {
                Holder::Another => Step::Wait,
                Holder::Nobody | Holder::ThisTask => Step::End {
                    expected: seen.version,
                },
            };
        }
        self.is_refused = false;
        if seen.is_fresh {
            return Step::Done(Outcome::Fresh);
        }
        if seen.token.is_none() {
            return Step::Done(Outcome::NotRefreshable);
        }
        if self.waited_at.take() == Some(seen.version) && seen.holder == Holder::Nobody {
            // Given back with nothing changed: the holder got no tokens, and a moment later this task would get none.
            return Step::Done(Outcome::HolderGaveUp);
        }
        // A lease that is still there may be alive or a dead holder's; the store decides.
        Step::Acquire { seen: seen.version }
    }

    pub(super) fn acquired<E>(&mut self, lease: Lease<T>) -> Step<T, E> {
        match lease {
            Lease::Got(Seen {
                version,
                token: Some(token),
                ..
            }) => {
                self.held_at = version;
                self.presented = Some(token.clone());
                Step::Present { token }
            }
            Lease::Got(_) => Step::Done(Outcome::NotRefreshable),
            Lease::Held(seen) => {
                self.waited_at = Some(seen.version);
                Step::Wait
            }
            Lease::Newer(seen) => self.loaded(Some(seen)),
            Lease::Gone => Step::Done(Outcome::Gone),
        }
    }

    pub(super) fn answered<E>(&mut self, answer: Answer<E>) -> Step<T, E> {
        match answer {
            Answer::Tokens => Step::Save {
                expected: self.held_at,
            },
            Answer::Refused => {
                self.is_refused = true;
                Step::Load
            }
            Answer::Failed(error) => Step::Release(error),
            Answer::NotSent => Step::Load,
        }
    }

    pub(super) fn saved<E>(&mut self, saved: Saved<T>) -> Step<T, E> {
        match saved {
            Saved::Yes | Saved::Newer { is_ours: true, .. } => Step::Done(Outcome::Fresh),
            // Another holder took over and saved: its tokens are the newer ones.
            Saved::Newer { seen, .. } if seen.token != self.presented => self.loaded(Some(seen)),
            // So it did where tokens are not rotated.
            Saved::Newer {
                seen: Seen { is_fresh: true, .. },
                is_rotated: false,
                ..
            } => Step::Done(Outcome::Fresh),
            // Something else of the record changed. The presented token may be used up, so ours have to get in.
            Saved::Newer { seen, .. } => Step::Save {
                expected: seen.version,
            },
            // Somebody signed out meanwhile, and that wins.
            Saved::Gone => Step::Revoke,
        }
    }

    /// `was_current`: the record was still there with the version that was seen, and is deleted.
    pub(super) fn ended<E>(&mut self, was_current: bool) -> Step<T, E> {
        if was_current {
            Step::Done(Outcome::GrantEnded)
        } else {
            Step::Load
        }
    }

    pub(super) fn released<E>(&mut self, error: E) -> Step<T, E> {
        Step::Done(Outcome::Kept(error))
    }

    pub(super) fn revoked<E>(&mut self) -> Step<T, E> {
        Step::Done(Outcome::Gone)
    }
}
