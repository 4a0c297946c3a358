//! What a request needs of the sign-in behind it: scopes, a stronger authentication (`acr`), a more recent one. A
//! [gate](crate::gate::Gate) says so, or an API by its challenge (RFC 9470 §3; RFC 6750 §3.1, `insufficient_scope`).
//!
//! A browser is sent to sign in for all that is missing at once and comes back; a script is given the challenge. Nothing
//! goes in circles, whatever the provider gives:
//!
//! 1. A session remembers what its sign-in was made for. What that sign-in asked for and did not bring is refused. What it
//!    did bring and a refresh has taken away since may be asked for again.
//! 2. A sign-in that follows at once on another one for the same browser asks for what that one was for as well, so that
//!    two who demand different things do not undo each other's work; and there are at most three of these in a row.
//! 3. A sign-in that was made because the last one was too old is recent enough for half a minute, however short the
//!    length that was demanded.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::{HeaderMap, WWW_AUTHENTICATE};
use http_auth::{ChallengeParser, ChallengeRef};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::config::ATTEMPT_LIFETIME;
use crate::seal::{Purpose, SecretKeys};
use crate::session::Session;
use crate::store::SessionKey;
use crate::types::Scopes;

/// For so long after it has come back, a sign-in is one of just now: time enough for a redirect, and for the page.
const JUST_NOW: Duration = Duration::from_secs(30);
/// So many step-ups may follow each other at once: a scope, an `acr`, and what an API asks for on top.
const MAX_ROUNDS: u8 = 3;
/// Longest `acr_values` and `scope` that an API may ask for, in bytes: they go into a URL and a cookie.
const MAX_TEXT: usize = 512;
/// More scopes than this, in bytes, are not asked for because an API says so.
const MAX_SCOPES: usize = 1536;
/// Longest `WWW-Authenticate` field that is read, and how many of them.
const MAX_FIELD: usize = 4096;
const MAX_FIELDS: usize = 8;

/// Authentication Context Class References in order of preference (OpenID Connect Core §3.1.2.1, `acr_values`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AcrValues(Vec<String>);

impl AcrValues {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, value: &str) -> bool {
        self.0.iter().any(|held| held == value)
    }

    fn is_within(&self, others: &Self) -> bool {
        self.0.iter().all(|value| others.contains(value))
    }

    /// Those that are among the others as well.
    pub(crate) fn retain(&mut self, others: &Self) {
        self.0.retain(|value| others.contains(value));
    }
}

impl<S: AsRef<str>> FromIterator<S> for AcrValues {
    fn from_iter<I: IntoIterator<Item = S>>(values: I) -> Self {
        let mut list = Self::default();
        for value in values {
            // The parameter is a list separated by spaces: a value that has one in it is several.
            for value in value.as_ref().split_ascii_whitespace() {
                if !list.contains(value) {
                    list.0.push(value.to_owned());
                }
            }
        }
        list
    }
}

impl std::fmt::Display for AcrValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// What a request needs of the sign-in behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) scopes: Scopes,
    /// One of these. Of an empty list there is none.
    pub(crate) acr_values: Option<AcrValues>,
    /// The user has proved who they are within this time.
    pub(crate) max_age: Option<Duration>,
    /// The user has to prove who they are once more: an API is not content with the sign-in, and does not say what it lacks.
    pub(crate) is_anew: bool,
}

/// What a sign-in was made for, or is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Demands {
    /// Scopes that the user cannot go on without.
    pub(crate) scopes: Scopes,
    pub(crate) acr_values: AcrValues,
    pub(crate) max_age: Option<Duration>,
    /// Which one this is of those that follow each other at once.
    pub(crate) round: u8,
}

impl Demands {
    /// Whether nothing was demanded.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The session has other scopes now. What the sign-in had brought and is gone may be asked for again.
    pub(crate) fn lose_scopes(&mut self, had: &Scopes, has: &Scopes) {
        let is_lost = |scope: &str| had.contains(scope) && !has.contains(scope);
        self.scopes = self.scopes.iter().filter(|scope| !is_lost(scope)).collect();
    }

    /// The user counts as authenticated in another way now. The same holds for that.
    pub(crate) fn lose_acr(&mut self, had: Option<&str>, has: Option<&str>) {
        let is_asked = |acr: Option<&str>| acr.is_some_and(|acr| self.acr_values.contains(acr));
        if is_asked(had) && !is_asked(has) {
            self.acr_values = AcrValues::default();
        }
    }
}

/// What the present sign-in lacks, and the sign-in that asks for it.
///
/// A handler that returns the error it stands in need not look at it: a browser is sent to sign in for it, a script gets
/// the challenge. One that wants to do something else finds here what is demanded:
///
/// ```
/// use auth_core::client::{ApiError, AuthenticatedClient};
///
/// async fn statements(api: AuthenticatedClient) -> Result<String, ApiError> {
///     match api.get("/statements").send().await?.text().await {
///         Err(ApiError::StepUp(step_up)) if step_up.max_age().is_none() => Ok("not for you".to_owned()),
///         other => other,
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUp {
    lack: Lack,
    /// What the challenge says.
    scopes: Scopes,
    acr_values: AcrValues,
    max_age: Option<Duration>,
    /// What the sign-in is to ask for, and for whose session.
    ask: Scopes,
    demands: Demands,
    session: SessionKey,
    /// The name of the session's provider.
    provider: Option<String>,
    /// The origin of the app that the session is good at.
    origin: Option<String>,
}

/// What is missing; if it is several things, the first of them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The user was not authenticated in one of the ways that would do.
    Acr,
    /// The user was authenticated too long ago.
    Age,
    /// A scope was not granted.
    Scope,
}

/// Whether a sign-in may bring what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Ask(Box<StepUp>),
    /// There was one for its sake already.
    Denied(Box<StepUp>),
}

impl StepUp {
    /// The authentication that is demanded: one of these `acr` values, in order of preference. None where it does not
    /// matter.
    pub fn acr_values(&self) -> impl Iterator<Item = &str> {
        self.acr_values.0.iter().map(String::as_str)
    }

    /// How long ago the user may have been authenticated, where that is demanded: whole seconds from an API (RFC 9470 §3), any
    /// length from a [gate](crate::gate::Gate::within). Zero asks for an authentication of just now.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// The scopes that are missing.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    pub(crate) fn lack(&self) -> Lack {
        self.lack
    }

    /// The status that goes with the challenge.
    pub(crate) fn status(&self) -> u16 {
        match self.lack {
            Lack::Acr | Lack::Age => 401,
            Lack::Scope => 403,
        }
    }

    /// The error code of the challenge (RFC 9470 §3, RFC 6750 §3.1).
    pub(crate) fn error(&self) -> &'static str {
        match self.lack {
            Lack::Acr | Lack::Age => "insufficient_user_authentication",
            Lack::Scope => "insufficient_scope",
        }
    }

    /// The challenge for programs (RFC 9470 §3, RFC 6750 §3).
    pub(crate) fn challenge(&self) -> String {
        let mut challenge = format!("Bearer error=\"{}\"", self.error());
        let mut add = |name: &str, value: &str| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            challenge.push_str(&format!(", {name}=\"{value}\""));
        };
        if !self.acr_values.is_empty() {
            add("acr_values", &self.acr_values.to_string());
        }
        if let Some(max_age) = self.max_age {
            add("max_age", &max_age.as_secs().to_string());
        }
        if !self.scopes.is_empty() {
            add("scope", &self.scopes.to_string());
        }
        challenge
    }

    /// The sign-in that is to be made, for the URL of `/auth/login`.
    pub(crate) fn seal(&self, keys: &SecretKeys, now: Timestamp) -> String {
        let ask = Ask {
            scopes: self.ask.clone(),
            demands: self.demands.clone(),
            provider: self.provider.clone(),
            origin: self.origin.clone(),
            asked_at: now,
        };
        let plain = serde_json::to_vec(&ask).expect("a step-up has string keys and finite numbers only");
        URL_SAFE_NO_PAD.encode(keys.seal(Purpose::StepUp, self.session.as_bytes(), &plain))
    }
}

/// What a sign-in is to ask for. It travels sealed in the URL of `/auth/login`, for a quarter of an hour and for one
/// session: no link from elsewhere can make the app ask for anything.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) scopes: Scopes,
    pub(crate) demands: Demands,
    /// The name of the provider that is asked: the one that the user is signed in with.
    #[serde(default)]
    pub(crate) provider: Option<String>,
    /// The origin of the app that the session is good at; `None` where there is no other.
    #[serde(default)]
    pub(crate) origin: Option<String>,
    asked_at: Timestamp,
}

impl Ask {
    pub(crate) fn open(keys: &SecretKeys, text: &str, session: &SessionKey, now: Timestamp) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain = keys.open(Purpose::StepUp, session.as_bytes(), &sealed).ok()?;
        let ask: Self = serde_json::from_slice(&plain).ok()?;
        (now.since(ask.asked_at) < ATTEMPT_LIFETIME).then_some(ask)
    }
}

impl Needs {
    /// Whether the session has what is needed, by what the provider says of it.
    pub(crate) fn check(&self, session: &Session, now: Timestamp) -> Result<(), Verdict> {
        let missing: Scopes = self
            .scopes
            .iter()
            .filter(|scope| !session.scopes().contains(scope))
            .collect();
        let lacks_acr = self
            .acr_values
            .as_ref()
            .is_some_and(|values| !session.acr().is_some_and(|acr| values.contains(acr)));
        let is_old = self
            .max_age
            .is_some_and(|max_age| !is_recent(session, max_age, now));
        let lack = match (lacks_acr, is_old, missing.is_empty()) {
            (true, _, _) => Lack::Acr,
            (false, true, _) => Lack::Age,
            (false, false, false) => Lack::Scope,
            (false, false, true) => return Ok(()),
        };
        let was_for = &session.data.demanded;
        let denied = if lacks_acr && self.acr_was_denied(session) {
            Some(Lack::Acr)
        } else if !missing.is_empty() && missing.iter().all(|scope| was_for.scopes.contains(scope)) {
            Some(Lack::Scope)
        } else {
            None
        };
        let step_up = self.step_up(session, denied.unwrap_or(lack), missing, now);
        Err(match denied {
            Some(_) => Verdict::Denied(step_up),
            None => Verdict::of(step_up),
        })
    }

    /// Whether this very sign-in was made for one of these values, and brought another one.
    fn acr_was_denied(&self, session: &Session) -> bool {
        let asked = &session.data.demanded.acr_values;
        self.acr_values.as_ref().is_some_and(|values| {
            // Among those that were asked for there may be one that does not do here; then these alone are asked for.
            let brought = session.acr().is_some_and(|acr| asked.contains(acr));
            values.is_within(asked) && !brought
        })
    }

    /// What becomes of an API's demand. The API knows best what is missing; all that can be said is whether there was a
    /// sign-in for its sake already.
    pub(crate) fn of_api(self, session: &Session, now: Timestamp) -> Verdict {
        let was_for = &session.data.demanded;
        let max_age = self.max_age_to_ask();
        let acr_was_asked = self.acr_values.as_ref().is_none_or(|values| {
            values.is_within(&was_for.acr_values) && was_for.acr_values.is_within(values)
                || self.acr_was_denied(session)
        });
        let age_was_asked =
            max_age.is_none_or(|max_age| was_for.max_age.is_some_and(|asked| asked <= max_age));
        let scopes_were_asked = self.scopes.iter().all(|scope| was_for.scopes.contains(scope));
        let is_old = max_age.is_some_and(|max_age| !is_recent(session, max_age, now));
        let is_denied = acr_was_asked && age_was_asked && scopes_were_asked && !is_old;
        let lack = match (&self.acr_values, max_age) {
            (Some(_), _) => Lack::Acr,
            (None, Some(_)) => Lack::Age,
            (None, None) => Lack::Scope,
        };
        let step_up = self.step_up(session, lack, self.scopes.clone(), now);
        if is_denied || step_up.ask.to_string().len() > MAX_SCOPES {
            Verdict::Denied(step_up)
        } else {
            Verdict::of(step_up)
        }
    }

    /// A sign-in that the user is to make anew is one that no time ago would do for (OpenID Connect Core §3.1.2.1).
    fn max_age_to_ask(&self) -> Option<Duration> {
        self.max_age.or(self.is_anew.then_some(Duration::ZERO))
    }

    /// The sign-in that asks for all of this. Another one has a new session, so what this session has been granted is
    /// asked for again.
    fn step_up(&self, session: &Session, lack: Lack, missing: Scopes, now: Timestamp) -> Box<StepUp> {
        let before = if is_of_just_now(session, now) {
            session.data.demanded.clone()
        } else {
            Demands::default()
        };
        let mut ask = session.data.asked.clone();
        ask.insert(&self.scopes.to_string());
        let mut scopes = before.scopes;
        scopes.insert(&missing.to_string());
        let max_ages = [self.max_age_to_ask(), before.max_age];
        let is_about_scopes = lack == Lack::Scope;
        Box::new(StepUp {
            provider: session.data.provider.clone(),
            origin: session.data.origin.clone(),
            lack,
            scopes: missing,
            acr_values: self
                .acr_values
                .clone()
                .filter(|_| !is_about_scopes)
                .unwrap_or_default(),
            max_age: self.max_age.filter(|_| !is_about_scopes),
            ask,
            demands: Demands {
                scopes,
                acr_values: self.acr_values.clone().unwrap_or(before.acr_values),
                max_age: max_ages.into_iter().flatten().min(),
                round: before.round.saturating_add(1),
            },
            session: session.key(),
        })
    }
}

impl Verdict {
    /// Asks, unless enough was asked already.
    fn of(step_up: Box<StepUp>) -> Self {
        if step_up.demands.round > MAX_ROUNDS {
            Self::Denied(step_up)
        } else {
            Self::Ask(step_up)
        }
    }
}

fn is_of_just_now(session: &Session, now: Timestamp) -> bool {
    now.since(session.created_at()) <= JUST_NOW
}

/// Whether the user has proved who they are within this time; or just now, for the sake of no longer one.
fn is_recent(session: &Session, max_age: Duration, now: Timestamp) -> bool {
    let since = match session.authenticated_at() {
        Some(at) => Some(at),
        // Where there are no ID tokens, signing in here is all that is known.
        None if session.data.id_token.is_none() => Some(session.created_at()),
        None => None,
    };
    let was_for = session.data.demanded.max_age;
    since.is_some_and(|at| now.since(at) <= max_age)
        || was_for.is_some_and(|asked| asked <= max_age) && is_of_just_now(session, now)
}

/// What an API's answer demands of the sign-in, if it does: 401 `insufficient_user_authentication` (RFC 9470 §3), where
/// nothing has to be named, 403 `insufficient_scope` that names scopes (RFC 6750 §3.1). What is malformed, or longer than anybody needs, is no demand.
pub(crate) fn demanded(status: StatusCode, headers: &HeaderMap) -> Option<Needs> {
    let error = match status {
        StatusCode::UNAUTHORIZED => "insufficient_user_authentication",
        StatusCode::FORBIDDEN => "insufficient_scope",
        _ => return None,
    };
    challenges(headers)
        .filter(is_for_tokens)
        .filter(|challenge| parameter(challenge, "error").is_ok_and(|held| held.as_deref() == Some(error)))
        .find_map(|challenge| needs(&challenge).ok())
        .filter(|needs| status == StatusCode::UNAUTHORIZED || !needs.scopes.is_empty())
}

/// The challenges of an answer (RFC 9110 §11.6.1), as far as they make sense and are not longer than anybody needs.
fn challenges(headers: &HeaderMap) -> impl Iterator<Item = ChallengeRef<'_>> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .take(MAX_FIELDS)
        .filter_map(|field| field.to_str().ok())
        .filter(|field| field.len() <= MAX_FIELD)
        // What follows a syntax error is not read.
        .flat_map(|field| ChallengeParser::new(field).map_while(Result::ok))
}

/// Whether a challenge of this scheme gives this error.
pub(crate) fn names_error(headers: &HeaderMap, scheme: &str, error: &str) -> bool {
    challenges(headers)
        .filter(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme))
        .any(|challenge| parameter(&challenge, "error").is_ok_and(|held| held.as_deref() == Some(error)))
}

fn is_for_tokens(challenge: &ChallengeRef<'_>) -> bool {
    ["bearer", "dpop"]
        .iter()
        .any(|scheme| challenge.scheme.eq_ignore_ascii_case(scheme))
}

/// A challenge that does not make sense.
struct Malformed;

fn needs(challenge: &ChallengeRef<'_>) -> Result<Needs, Malformed> {
    let is_insufficient_scope = parameter(challenge, "error")?.as_deref() == Some("insufficient_scope");
    let scopes = match parameter(challenge, "scope")? {
        Some(text) => Scopes::parse(&sound(text)?),
        None => Scopes::default(),
    };
    let mut needs = Needs {
        scopes,
        ..Needs::default()
    };
    if is_insufficient_scope {
        return Ok(needs);
    }
    if let Some(text) = parameter(challenge, "acr_values")? {
        let values: AcrValues = sound(text)?.split(' ').collect();
        needs.acr_values = Some(values).filter(|values| !values.is_empty());
    }
    if let Some(text) = parameter(challenge, "max_age")? {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let secs: u32 = text.parse().map_err(|_| Malformed)?;
        if !is_number {
            return Err(Malformed);
        }
        needs.max_age = Some(Duration::from_secs(secs.into()));
    }
    needs.is_anew = needs.acr_values.is_none() && needs.max_age.is_none();
    Ok(needs)
}

/// The parameter's value; names are compared without case and stand there once (RFC 9110 §11.2).
fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Result<Option<String>, Malformed> {
    let mut held = challenge
        .params
        .iter()
        .filter(|(held, _)| held.eq_ignore_ascii_case(name));
    let value = held.next().map(|(_, value)| value.to_unescaped());
    match held.next() {
        Some(_) => Err(Malformed),
        None => Ok(value),
    }
}

/// A list of what can be written in a URL, a challenge and a page as it is: visible ASCII less `"` and `\`, and spaces
/// between (RFC 6749 §3.3; RFC 9470 has the same in mind for `acr_values`).
fn sound(text: String) -> Result<String, Malformed> {
    let is_sound = text.len() <= MAX_TEXT
        && text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    is_sound.then_some(text).ok_or(Malformed)
}

#[cfg(test)]
mod tests;
