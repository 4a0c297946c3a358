//! The refresh protocol under a model checker: every order of events, and every failure within a budget.
//!
//! The instances in here run the decisions of `protocol.rs`, the very code of the coordinator. The store, the provider,
//! the network and the misfortunes are the model's: a crash at any step, an answer of the store or of the provider that
//! is lost, a request that arrives after its sender has given up, a lease that its holder loses, sign-out at any moment.
//! The checker visits every state that can be reached and holds the guarantees against each.
//!
//! Time is not counted. What matters of it is one rule: a holder believes in its lease for a shorter time than the store
//! keeps it (`SEND_WITHIN` is less than `LEASE`), so that a lease ends in the store only after its holder has stopped
//! believing in it, or is dead, as long as clocks run at speeds that differ by less than that margin.
//!
//! Each guarantee is also checked in a world whose rules are broken in one way, to see that the check can fail.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::protocol::{Answer, Holder, Lease, Outcome, Refresh, Saved, Seen, Step};

/// Refresh tokens are numbered: each rotation makes the next one.
type Token = u8;

/// What the model is allowed to do.
#[derive(Clone, Debug)]
struct World {
    instances: usize,
    /// How often an access token expires.
    expiries: u8,
    /// How often something goes wrong that must cost nothing: the provider is down, the store fails or an answer of
    /// the store is lost.
    nuisances: u8,
    /// How often something goes wrong after which nobody can know whether a refresh token is used up: a crash, a lost
    /// or late answer of the provider, a lease lost, a save given up.
    losses: u8,
    /// Whether the user may sign out.
    sign_out: bool,
    /// Whether something else may change the record: the access token is dropped because it was revoked.
    changes: bool,
    /// Whether the provider may end the grant by itself.
    grant_ends: bool,
    /// What the provider does about a token that it has rotated before.
    reuse: Reuse,
    rules: Rules,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Reuse {
    /// It ends the grant, as RFC 9700 §4.14.2 wants it.
    EndsGrant,
    /// It refuses the token, and the grant goes on.
    IsRefused,
    /// It never rotates: the same token is good again and again.
    IsFine,
}

/// What the proof rests on.
#[derive(Clone, Debug, PartialEq)]
enum Rules {
    Kept,
    /// The store gives the lease to whoever asks.
    LeaseNotExclusive,
    /// The store swaps whatever the version is.
    SwapIgnoresVersion,
    /// The store's swap inserts what is missing.
    SwapInserts,
    /// The store deletes whatever the version is.
    DeleteIgnoresVersion,
    /// A lease may end in the store while its holder still believes in it.
    LeaseEndsEarly,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    record: Option<Record>,
    provider: Provider,
    instances: Vec<Instance>,
    /// Requests whose sender does not wait for the answer any more; they may arrive, or never.
    orphans: BTreeSet<Token>,
    sign_out: SignOut,
    change: Change,
    left: Left,
    seen: History,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Record {
    version: u64,
    token: Token,
    is_fresh: bool,
    lease: Option<Held>,
    /// The last fence number.
    fence: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    fence: u64,
    is_alive: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Provider {
    current: Token,
    is_grant_alive: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Instance {
    Idle,
    Busy(Task),
}

/// A refresh under way: the protocol's state, and the coordinator's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Task {
    refresh: Refresh<Token>,
    step: Step<Token, ()>,
    /// The lease that was taken, and whether its holder may still believe in it.
    lease: Option<(u64, bool)>,
    request: Request,
    /// The token that was presented last, and the one that came for it.
    presented: Option<Token>,
    new_token: Option<Token>,
}

/// Where the token request is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Request {
    NotSent,
    Sent,
    /// The provider has carried it out; the answer is on its way.
    CarriedOut(Option<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SignOut {
    No,
    /// The session was read, to be deleted in this version.
    Read(u64),
    Done,
}

/// Something else that changes the record, with the lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Change {
    No,
    /// It has read the record, token and all, and will write all of it back.
    Leased {
        read: (u64, Token),
        fence: u64,
    },
    Done,
}

/// What is left of the world's budgets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Left {
    expiries: u8,
    nuisances: u8,
    losses: u8,
}

/// What happened, as far as the guarantees are about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct History {
    /// Tokens whose presentation is under way or answered, as far as that may be known.
    firm: BTreeSet<Token>,
    revoked: BTreeSet<Token>,
    events: BTreeSet<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Event {
    // Never to happen.
    PresentedTwice,
    EndedThoughCurrent,
    CameBack,
    WentBack,
    DroppedTokens,
    // Never without a reason.
    Ended,
    Loss,
    GrantEndedByProvider,
    // Reached, so that the guarantees do not hold for want of events.
    Adopted,
    TookOver,
    GaveUpWithHolder,
    RevokedAfterSignOut,
}

impl History {
    fn note(&mut self, event: Event) {
        self.events.insert(event);
    }

    fn note_if(&mut self, is_so: bool, event: Event) {
        if is_so {
            self.note(event);
        }
    }

    fn has(&self, event: Event) -> bool {
        self.events.contains(&event)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    /// The access token's life ends.
    Expire,
    /// A request comes to an instance, which begins a refresh.
    Begin(usize),
    /// The instance does its next step.
    Do(usize),
    /// The same, and the answer of the store is lost.
    DoAndLoseAnswer(usize),
    /// The store fails at the instance's next step.
    StoreFails(usize),
    /// The instance waits no longer for the holder, or gives up a save.
    GiveUp(usize),
    /// The provider carries the request out.
    CarryOut(usize),
    /// The provider cannot be reached: nothing is carried out.
    Refuse(usize),
    /// The instance gives up waiting for the answer, which is lost or late.
    TimeOut(usize),
    Crash(usize),
    /// The holder cannot renew its lease, and stops believing in it.
    LoseLease(usize),
    /// The store's lease ends.
    LeaseEnds,
    /// A request that nobody waits for arrives after all.
    OrphanArrives(Token),
    SignOutReads,
    SignOutDeletes,
    ChangeBegins,
    ChangeSaves,
    /// The provider ends the grant.
    GrantEnds,
}

impl World {
    const fn new(instances: usize) -> Self {
        Self {
            instances,
            expiries: 2,
            nuisances: 0,
            losses: 0,
            sign_out: true,
            changes: false,
            grant_ends: false,
            reuse: Reuse::EndsGrant,
            rules: Rules::Kept,
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            record: Some(Record {
                version: 1,
                token: 0,
                is_fresh: true,
                lease: None,
                fence: 0,
            }),
            provider: Provider {
                current: 0,
                is_grant_alive: true,
            },
            instances: vec![Instance::Idle; self.instances],
            orphans: BTreeSet::new(),
            sign_out: SignOut::No,
            change: Change::No,
            left: Left {
                expiries: self.expiries,
                nuisances: self.nuisances,
                losses: self.losses,
            },
            seen: History::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let (nuisance, loss) = (state.left.nuisances > 0, state.left.losses > 0);
        for (i, instance) in state.instances.iter().enumerate() {
            let Instance::Busy(task) = instance else {
                if state.record.as_ref().is_some_and(|record| !record.is_fresh) {
                    actions.push(Action::Begin(i));
                }
                continue;
            };
            if loss {
                actions.push(Action::Crash(i));
                if matches!(task.lease, Some((_, true))) {
                    actions.push(Action::LoseLease(i));
                }
            }
            match (&task.step, &task.request) {
                (Step::Present { .. }, Request::NotSent) => actions.push(Action::Do(i)),
                (Step::Present { .. }, Request::Sent) => {
                    actions.push(Action::CarryOut(i));
                    if nuisance {
                        actions.push(Action::Refuse(i));
                    }
                    if loss {
                        actions.push(Action::TimeOut(i));
                    }
                }
                (Step::Present { .. }, Request::CarriedOut(_)) => {
                    actions.push(Action::Do(i));
                    if loss {
                        actions.push(Action::TimeOut(i));
                    }
                }
                (step, _) => {
                    actions.push(Action::Do(i));
                    let asks_store = !matches!(step, Step::Wait | Step::Revoke | Step::Done(_));
                    if nuisance && asks_store {
                        actions.push(Action::StoreFails(i));
                        if !matches!(step, Step::Load) {
                            actions.push(Action::DoAndLoseAnswer(i));
                        }
                    }
                    if matches!(step, Step::Wait) || (matches!(step, Step::Save { .. }) && loss) {
                        actions.push(Action::GiveUp(i));
                    }
                }
            }
        }
        if let Some(record) = &state.record {
            if record.is_fresh && state.left.expiries > 0 {
                actions.push(Action::Expire);
            }
            if let Some(lease) = &record.lease
                && lease.is_alive
                && (self.rules == Rules::LeaseEndsEarly || !state.is_believed_in(lease.fence))
            {
                actions.push(Action::LeaseEnds);
            }
            if self.changes && state.change == Change::No {
                actions.push(Action::ChangeBegins);
            }
            if self.sign_out && state.sign_out == SignOut::No {
                actions.push(Action::SignOutReads);
            }
        }
        if matches!(state.change, Change::Leased { .. }) {
            actions.push(Action::ChangeSaves);
        }
        if matches!(state.sign_out, SignOut::Read(_)) {
            actions.push(Action::SignOutDeletes);
        }
        if self.grant_ends && state.provider.is_grant_alive {
            actions.push(Action::GrantEnds);
        }
        actions.extend(state.orphans.iter().map(|token| Action::OrphanArrives(*token)));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Expire => {
                next.record.as_mut()?.is_fresh = false;
                next.left.expiries -= 1;
            }
            Action::Begin(i) => {
                let (refresh, step) = Refresh::begin();
                next.instances[i] = Instance::Busy(Task {
                    refresh,
                    step,
                    lease: None,
                    request: Request::NotSent,
                    presented: None,
                    new_token: None,
                });
            }
            Action::Do(i) => self.advance(&mut next, i),
            Action::DoAndLoseAnswer(i) => {
                next.left.nuisances -= 1;
                let before = next.task(i).clone();
                self.advance(&mut next, i);
                self.store_failed(&mut next, i, before);
            }
            Action::StoreFails(i) => {
                next.left.nuisances -= 1;
                let before = next.task(i).clone();
                self.store_failed(&mut next, i, before);
            }
            Action::GiveUp(i) => {
                if matches!(next.task(i).step, Step::Save { .. }) {
                    next.lose(i);
                }
                next.instances[i] = Instance::Idle;
            }
            Action::CarryOut(i) => {
                let Step::Present { token } = next.task(i).step else {
                    return None;
                };
                let new = next.provider.redeem(token, self.reuse);
                next.task(i).request = Request::CarriedOut(new);
            }
            Action::Refuse(i) => {
                next.left.nuisances -= 1;
                next.unfirm(i);
                let task = next.task(i);
                task.step = task.refresh.answered(Answer::Failed(()));
            }
            Action::TimeOut(i) => {
                next.lose(i);
                next.orphan(i);
                let task = next.task(i);
                task.request = Request::NotSent;
                task.step = task.refresh.answered(Answer::Failed(()));
            }
            Action::Crash(i) => {
                next.lose(i);
                next.orphan(i);
                next.instances[i] = Instance::Idle;
            }
            Action::LoseLease(i) => {
                next.lose(i);
                if let Some((_, is_believed_in)) = &mut next.task(i).lease {
                    *is_believed_in = false;
                }
            }
            Action::LeaseEnds => next.record.as_mut()?.lease.as_mut()?.is_alive = false,
            Action::OrphanArrives(token) => {
                next.orphans.remove(&token);
                next.provider.redeem(token, self.reuse);
            }
            Action::SignOutReads => next.sign_out = SignOut::Read(next.record.as_ref()?.version),
            Action::SignOutDeletes => {
                let SignOut::Read(expected) = next.sign_out else {
                    return None;
                };
                let current = next.record.as_ref().map(|record| record.version);
                next.sign_out = match current {
                    Some(version) if version != expected && self.rules != Rules::DeleteIgnoresVersion => {
                        SignOut::Read(version)
                    }
                    Some(_) => {
                        let token = next.record.take()?.token;
                        // What was read is what is revoked.
                        if self.rules != Rules::DeleteIgnoresVersion || current == Some(expected) {
                            next.seen.revoked.insert(token);
                        }
                        SignOut::Done
                    }
                    None => SignOut::Done,
                };
            }
            Action::ChangeBegins => {
                let record = next.record.as_mut()?;
                next.change = match record.take_lease(record.version, None, &self.rules) {
                    Lease::Got(seen) => Change::Leased {
                        read: (seen.version, seen.token?),
                        fence: record.fence,
                    },
                    _ => return None,
                };
            }
            Action::ChangeSaves => {
                let Change::Leased {
                    read: (expected, token),
                    fence,
                } = next.change
                else {
                    return None;
                };
                next.change = Change::Done;
                // The swap demands the lease: late, it must not take it from whoever has it by now.
                let held = next.record.as_ref().and_then(|record| record.lease.as_ref());
                if held.is_some_and(|held| held.fence == fence) {
                    // Whether it comes to anything is no matter: nobody waits for it.
                    let _ = self.swap(&mut next, expected, token, false, None);
                }
            }
            Action::GrantEnds => {
                next.provider.is_grant_alive = false;
                next.seen.note(Event::GrantEndedByProvider);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(
                "a refresh token is presented once",
                |world: &World, state: &State| {
                    // One that is not rotated is presented at each expiry.
                    world.reuse == Reuse::IsFine || !state.seen.has(Event::PresentedTwice)
                },
            ),
            Property::always(
                "only the end of the current grant ends a session",
                |_, state: &State| !state.seen.has(Event::EndedThoughCurrent),
            ),
            Property::always(
                "without losses, only the provider ends a session",
                |_, state: &State| {
                    state.seen.has(Event::Loss)
                        || state.seen.has(Event::GrantEndedByProvider)
                        || !state.seen.has(Event::Ended)
                },
            ),
            Property::always("a session that is gone stays gone", |_, state: &State| {
                !state.seen.has(Event::CameBack)
            }),
            Property::always(
                "newer tokens are never overwritten by older ones",
                |_, state: &State| !state.seen.has(Event::WentBack),
            ),
            Property::always(
                "tokens that came are in the record when it is done",
                |_, state: &State| !state.seen.has(Event::DroppedTokens),
            ),
            Property::always(
                "without losses, a sign-out leaves no token behind",
                |_, state: &State| {
                    state.seen.has(Event::Loss)
                        || !state.is_quiet()
                        || state.sign_out != SignOut::Done
                        || !state.provider.is_grant_alive
                        || state.seen.has(Event::Ended)
                        || state.seen.revoked.contains(&state.provider.current)
                },
            ),
            Property::always(
                "without losses, the record holds the current token",
                |_, state: &State| {
                    let is_current = |record: &Record| record.token == state.provider.current;
                    state.seen.has(Event::Loss)
                        || !state.is_quiet()
                        || state.record.as_ref().is_none_or(is_current)
                },
            ),
            Property::sometimes("tokens are adopted", |_, state: &State| {
                state.seen.has(Event::Adopted)
            }),
            Property::sometimes("who waits shares a failure", |world: &World, state: &State| {
                state.seen.has(Event::GaveUpWithHolder) || world.nuisances == 0
            }),
            Property::sometimes("a dead holder is taken over", |world: &World, state: &State| {
                state.seen.has(Event::TookOver) || world.losses == 0
            }),
        ];
        if self.sign_out {
            properties.push(Property::sometimes(
                "a sign-out during a refresh wins",
                |_, state: &State| state.seen.has(Event::RevokedAfterSignOut),
            ));
        }
        properties
    }
}

impl World {
    /// Does an instance's next step.
    fn advance(&self, next: &mut State, i: usize) {
        let mut task = next.task(i).clone();
        let taken = task.lease.map(|(fence, _)| fence);
        match task.step.clone() {
            Step::Load => {
                task.step = task
                    .refresh
                    .loaded(next.record.as_ref().map(|record| record.seen(taken)));
            }
            Step::Wait => task.step = Step::Load,
            Step::Acquire { seen } => {
                let lease = match &mut next.record {
                    None => Lease::Gone,
                    Some(record) => {
                        let was_left = record.lease.is_some();
                        let lease = record.take_lease(seen, taken, &self.rules);
                        if matches!(lease, Lease::Got(_)) {
                            task.lease = Some((record.fence, true));
                            next.seen.note_if(was_left, Event::TookOver);
                        }
                        lease
                    }
                };
                task.step = task.refresh.acquired(lease);
            }
            Step::Present { token } => match task.request {
                Request::NotSent if matches!(task.lease, Some((_, true))) => {
                    let is_first = next.seen.firm.insert(token);
                    next.seen.note_if(!is_first, Event::PresentedTwice);
                    task.presented = Some(token);
                    task.request = Request::Sent;
                }
                Request::NotSent => task.step = task.refresh.answered(Answer::NotSent),
                Request::Sent => {}
                Request::CarriedOut(new) => {
                    task.request = Request::NotSent;
                    task.new_token = new;
                    if self.reuse == Reuse::IsFine {
                        // It may be presented at the next expiry.
                        next.seen.firm.remove(&token);
                    }
                    task.step = task.refresh.answered(match new {
                        Some(_) => Answer::Tokens,
                        None => Answer::Refused,
                    });
                }
            },
            Step::Save { expected } => {
                let new = task.new_token.unwrap_or_default();
                let saved = self.swap(next, expected, new, true, taken);
                task.step = task.refresh.saved(saved);
            }
            Step::End { expected } => {
                let is_current = next.record.as_ref().is_some_and(|record| {
                    record.version == expected || self.rules == Rules::DeleteIgnoresVersion
                });
                if is_current && let Some(record) = next.record.take() {
                    // Good is the token in the record, and the one that the lease's holder is about to save.
                    let current = next.provider.current;
                    let fence = record.lease.as_ref().map(|held| held.fence);
                    let is_held = |instance: &Instance| {
                        matches!(instance, Instance::Busy(holder)
                            if holder.lease.map(|(fence, _)| fence) == fence
                            && (holder.new_token == Some(current)
                                || holder.request == Request::CarriedOut(Some(current))))
                    };
                    let is_good = next.provider.is_grant_alive
                        && (record.token == current || next.instances.iter().any(is_held));
                    next.seen.note_if(is_good, Event::EndedThoughCurrent);
                    next.seen.note(Event::Ended);
                }
                task.step = task.refresh.ended(is_current);
            }
            Step::Release(error) => {
                if let Some(record) = &mut next.record
                    && record.lease.as_ref().map(|held| held.fence) == task.lease.map(|(fence, _)| fence)
                {
                    record.lease = None;
                }
                task.step = task.refresh.released(error);
            }
            Step::Revoke => {
                next.seen.revoked.extend(task.new_token);
                next.seen.note(Event::RevokedAfterSignOut);
                task.step = task.refresh.revoked();
            }
            Step::Done(outcome) => {
                let is_older = |record: &Record| task.new_token > Some(record.token);
                let dropped = next.record.as_ref().is_some_and(is_older);
                next.seen.note_if(dropped, Event::DroppedTokens);
                next.seen.note_if(
                    outcome == Outcome::Fresh && task.new_token.is_none(),
                    Event::Adopted,
                );
                next.seen
                    .note_if(outcome == Outcome::HolderGaveUp, Event::GaveUpWithHolder);
                next.instances[i] = Instance::Idle;
                return;
            }
        }
        next.instances[i] = Instance::Busy(task);
    }

    /// The store fails at a step, or its answer is lost: a save is tried again, everything else is given up.
    fn store_failed(&self, next: &mut State, i: usize, before: Task) {
        match before.step {
            Step::Save { .. } => next.instances[i] = Instance::Busy(before),
            Step::Release(error) => {
                let mut task = before;
                task.step = task.refresh.released(error);
                next.instances[i] = Instance::Busy(task);
            }
            _ => {
                // Where a refusal was read again in vain, the token will be presented, and refused, once more.
                next.unfirm(i);
                next.instances[i] = Instance::Idle;
            }
        }
    }

    /// The store's compare-and-swap.
    fn swap(
        &self,
        next: &mut State,
        expected: u64,
        token: Token,
        is_fresh: bool,
        taken: Option<u64>,
    ) -> Saved<Token> {
        let inserts = self.rules == Rules::SwapInserts;
        match &mut next.record {
            None if inserts => {
                next.record = Some(Record {
                    version: expected + 1,
                    token,
                    is_fresh,
                    lease: None,
                    fence: 0,
                });
                next.seen.note(Event::CameBack);
                Saved::Yes
            }
            None => Saved::Gone,
            Some(record) if record.version != expected && self.rules != Rules::SwapIgnoresVersion => {
                Saved::Newer {
                    seen: record.seen(taken),
                    // Where tokens are not rotated, the access token would tell.
                    is_ours: record.token == token && self.reuse != Reuse::IsFine,
                    is_rotated: self.reuse != Reuse::IsFine,
                }
            }
            Some(record) => {
                next.seen.note_if(token < record.token, Event::WentBack);
                record.version = expected + 1;
                record.token = token;
                record.is_fresh = is_fresh;
                record.lease = None;
                Saved::Yes
            }
        }
    }
}

impl State {
    fn task(&mut self, i: usize) -> &mut Task {
        match &mut self.instances[i] {
            Instance::Busy(task) => task,
            Instance::Idle => unreachable!("only a busy instance acts"),
        }
    }

    /// Whether a holder believes in this lease.
    fn is_believed_in(&self, fence: u64) -> bool {
        self.instances
            .iter()
            .any(|instance| matches!(instance, Instance::Busy(task) if task.lease == Some((fence, true))))
    }

    /// From now on nobody can say whether the token that this instance has presented is used up.
    fn lose(&mut self, i: usize) {
        self.left.losses -= 1;
        self.seen.note(Event::Loss);
        self.unfirm(i);
    }

    fn unfirm(&mut self, i: usize) {
        if let Instance::Busy(Task {
            presented: Some(token),
            ..
        }) = &self.instances[i]
        {
            self.seen.firm.remove(token);
        }
    }

    /// A request that is under way stays so, without a sender.
    fn orphan(&mut self, i: usize) {
        if let Instance::Busy(Task {
            step: Step::Present { token },
            request: Request::Sent,
            ..
        }) = &self.instances[i]
        {
            self.orphans.insert(*token);
        }
    }

    /// Nothing is under way.
    fn is_quiet(&self) -> bool {
        self.orphans.is_empty()
            && self.instances.iter().all(|instance| *instance == Instance::Idle)
            && !matches!(self.sign_out, SignOut::Read(_))
    }
}

impl Record {
    /// What an instance sees that has taken the lease with this fence number, if any.
    fn seen(&self, taken: Option<u64>) -> Seen<Token> {
        Seen {
            version: self.version,
            token: Some(self.token),
            is_fresh: self.is_fresh,
            holder: match &self.lease {
                None => Holder::Nobody,
                Some(held) if Some(held.fence) == taken => Holder::ThisTask,
                Some(_) => Holder::Another,
            },
        }
    }

    /// The store's acquire.
    fn take_lease(&mut self, seen: u64, taken: Option<u64>, rules: &Rules) -> Lease<Token> {
        if self.version != seen {
            return Lease::Newer(self.seen(taken));
        }
        if self.lease.as_ref().is_some_and(|held| held.is_alive) && *rules != Rules::LeaseNotExclusive {
            return Lease::Held(self.seen(taken));
        }
        self.fence += 1;
        self.lease = Some(Held {
            fence: self.fence,
            is_alive: true,
        });
        Lease::Got(self.seen(Some(self.fence)))
    }
}

impl Provider {
    /// The next token, or none: refused.
    fn redeem(&mut self, token: Token, reuse: Reuse) -> Option<Token> {
        if !self.is_grant_alive {
            return None;
        }
        if token != self.current {
            self.is_grant_alive = reuse == Reuse::IsRefused;
            return None;
        }
        if reuse == Reuse::IsFine {
            return Some(self.current);
        }
        self.current += 1;
        Some(self.current)
    }
}

/// Visits all states of a world, and says how many there are.
fn check(name: &str, world: World) {
    let began = Instant::now();
    let checker = world
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .timeout(Duration::from_secs(600))
        .spawn_bfs()
        .join();
    assert!(checker.is_done(), "not all states were visited in time");
    checker.assert_properties();
    eprintln!(
        "model | {name} | {} states, {} steps deep | {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
}

/// In a world with broken rules, the guarantee fails, and the checker finds how.
fn breaks(guarantee: &'static str, world: World) {
    let checker = world
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([guarantee])))
        .spawn_bfs()
        .join();
    assert!(
        checker.discovery(guarantee).is_some(),
        "`{guarantee}` holds even so: it checks nothing"
    );
}

#[test]
fn two_instances_with_nuisances_and_losses() {
    check(
        "two instances",
        World {
            nuisances: 1,
            losses: 1,
            ..World::new(2)
        },
    );
}

#[test]
fn two_instances_with_two_losses() {
    check(
        "two instances, two losses",
        World {
            losses: 2,
            ..World::new(2)
        },
    );
}

#[test]
fn two_instances_with_two_losses_and_a_provider_that_only_refuses() {
    check(
        "two instances, two losses, lenient provider",
        World {
            losses: 2,
            reuse: Reuse::IsRefused,
            ..World::new(2)
        },
    );
}

#[test]
fn two_instances_with_many_nuisances_lose_nothing() {
    check(
        "two instances, three nuisances",
        World {
            nuisances: 3,
            ..World::new(2)
        },
    );
}

#[test]
fn two_instances_beside_other_changes_and_a_grant_that_ends() {
    check(
        "two instances, other changes",
        World {
            expiries: 1,
            nuisances: 1,
            losses: 1,
            changes: true,
            grant_ends: true,
            ..World::new(2)
        },
    );
}

#[test]
fn two_instances_and_a_provider_that_does_not_rotate() {
    check(
        "two instances, no rotation",
        World {
            nuisances: 1,
            losses: 1,
            reuse: Reuse::IsFine,
            ..World::new(2)
        },
    );
}

#[test]
fn three_instances() {
    check("three instances", World::new(3));
}

#[test]
fn three_instances_with_a_loss() {
    check(
        "three instances, a loss",
        World {
            expiries: 1,
            losses: 1,
            ..World::new(3)
        },
    );
}

#[test]
fn a_store_that_gives_the_lease_twice_breaks_the_guarantee() {
    breaks(
        "a refresh token is presented once",
        World {
            rules: Rules::LeaseNotExclusive,
            ..World::new(2)
        },
    );
}

#[test]
fn a_lease_that_ends_while_its_holder_believes_in_it_breaks_the_guarantee() {
    breaks(
        "a refresh token is presented once",
        World {
            rules: Rules::LeaseEndsEarly,
            ..World::new(2)
        },
    );
}

#[test]
fn a_store_that_swaps_any_version_breaks_the_guarantee() {
    breaks(
        "newer tokens are never overwritten by older ones",
        World {
            nuisances: 1,
            rules: Rules::SwapIgnoresVersion,
            ..World::new(2)
        },
    );
}

#[test]
fn a_store_that_inserts_what_is_missing_breaks_the_guarantee() {
    breaks(
        "a session that is gone stays gone",
        World {
            rules: Rules::SwapInserts,
            ..World::new(2)
        },
    );
}

#[test]
fn a_sign_out_that_does_not_look_at_the_version_breaks_the_guarantee() {
    breaks(
        "without losses, a sign-out leaves no token behind",
        World {
            rules: Rules::DeleteIgnoresVersion,
            ..World::new(2)
        },
    );
}

#[test]
fn a_deletion_that_does_not_look_at_the_version_breaks_the_guarantee() {
    breaks(
        "only the end of the current grant ends a session",
        World {
            losses: 2,
            reuse: Reuse::IsRefused,
            rules: Rules::DeleteIgnoresVersion,
            ..World::new(2)
        },
    );
}
