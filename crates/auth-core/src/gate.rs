//! Who may pass: a signed-in user, one with a role, a claim or a scope, one who signed in just now; or only guests.

use std::time::Duration;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::{Error, NotAllowed};
use crate::session::Session;
use crate::types::Scopes;

/// A rule for a route or a group of routes, for the adapters' `require`.
///
/// Everything that is asked for must hold. Without a session, a browser is sent to sign in and a script gets 401;
/// [`or_redirect`](Self::or_redirect), [`or_redirect_with_return`](Self::or_redirect_with_return) and
/// [`or_unauthorized`](Self::or_unauthorized) change that.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use auth_core::gate::Gate;
///
/// let admins = Gate::signed_in().role("admin");
/// let transfers = Gate::signed_in().scope("payments").within(Duration::from_secs(300));
/// let own_page = Gate::signed_in().or_redirect("/please-sign-in");
/// let guests = Gate::guests_only("/");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Gate {
    who: Who,
    or: OnRefusal,
}

#[derive(Clone, Debug)]
enum Who {
    Users(Vec<Requirement>),
    Guests { elsewhere: String },
}

#[derive(Clone, Debug)]
enum Requirement {
    AnyRole(Vec<String>),
    Claim(String, Value),
    Scopes(Scopes),
    Within(Duration),
}

/// What happens to a request when nobody is signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRefusal {
    /// A browser is sent to sign in, and comes back; a script gets 401.
    #[default]
    Automatic,
    /// Every request is sent to this page of the app's own; the way back is forgotten.
    Redirect(String),
    /// Every request is sent to this page of the app's own, with the way back as this parameter of its query.
    RedirectWithReturn {
        /// The page.
        page: String,
        /// The parameter's name.
        parameter: String,
    },
    /// Every request gets 401.
    Unauthorized,
}

impl Gate {
    /// Lets signed-in users pass.
    pub fn signed_in() -> Self {
        Self {
            who: Who::Users(Vec::new()),
            or: OnRefusal::Automatic,
        }
    }

    /// Lets only those pass who are not signed in; others are sent to `elsewhere`, a path of the app.
    pub fn guests_only(elsewhere: impl Into<String>) -> Self {
        Self {
            who: Who::Guests {
                elsewhere: elsewhere.into(),
            },
            or: OnRefusal::Automatic,
        }
    }

    fn and(mut self, requirement: Requirement) -> Self {
        // A guest has neither roles nor claims: on a gate for guests there is nothing more to ask.
        if let Who::Users(requirements) = &mut self.who {
            requirements.push(requirement);
        }
        self
    }

    /// Asks for this role: claim `roles`, an array of strings or one string, compared whole.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.and(Requirement::AnyRole(vec![role.into()]))
    }

    /// Asks for one of these roles.
    pub fn any_role<R: Into<String>>(self, roles: impl IntoIterator<Item = R>) -> Self {
        self.and(Requirement::AnyRole(roles.into_iter().map(Into::into).collect()))
    }

    /// Asks for a claim with this value; where the claim is an array, it must hold the value.
    pub fn claim(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.and(Requirement::Claim(name.into(), value.into()))
    }

    /// Asks for a scope to have been granted. A browser without it is sent to sign in again asking for it, once.
    pub fn scope(self, scope: &str) -> Self {
        self.and(Requirement::Scopes(Scopes::parse(scope)))
    }

    /// Asks for the user to have proved who they are within this time (`auth_time`). Else a browser is sent to sign
    /// in again with `max_age`, and a script gets 401 `insufficient_user_authentication` (RFC 9470).
    pub fn within(self, length: Duration) -> Self {
        self.and(Requirement::Within(length))
    }

    /// Without a session, sends everyone to a page of the app's own. The way back is forgotten.
    pub fn or_redirect(mut self, page: impl Into<String>) -> Self {
        self.or = OnRefusal::Redirect(page.into());
        self
    }

    /// Without a session, sends everyone to a page of the app's own, with the way back in the query's `parameter`.
    pub fn or_redirect_with_return(mut self, page: impl Into<String>, parameter: impl Into<String>) -> Self {
        self.or = OnRefusal::RedirectWithReturn {
            page: page.into(),
            parameter: parameter.into(),
        };
        self
    }

    /// Without a session, answers 401 to everyone, browsers too.
    pub fn or_unauthorized(mut self) -> Self {
        self.or = OnRefusal::Unauthorized;
        self
    }

    /// What happens when nobody is signed in.
    #[must_use]
    pub fn on_refusal(&self) -> &OnRefusal {
        &self.or
    }

    /// Whether this gate is for guests.
    #[must_use]
    pub fn is_for_guests(&self) -> bool {
        matches!(self.who, Who::Guests { .. })
    }

    /// Decides on a request, given its session or why it has none.
    ///
    /// # Errors
    ///
    /// Why it may not pass. A gate for guests lets pass whoever is not signed in, and refuses while that is not
    /// known.
    pub fn check(&self, session: Result<&Session, Error>, now: Timestamp) -> Result<(), Error> {
        match (&self.who, session) {
            (Who::Guests { .. }, Err(Error::NotSignedIn(_))) => Ok(()),
            (_, Err(error)) => Err(error),
            (Who::Guests { elsewhere }, Ok(_)) => Err(NotAllowed::OnlyGuests(elsewhere.clone()).into()),
            (Who::Users(requirements), Ok(session)) => requirements
                .iter()
                .try_for_each(|requirement| requirement.check(session, now))
                .map_err(Error::from),
        }
    }
}

impl Requirement {
    fn check(&self, session: &Session, now: Timestamp) -> Result<(), NotAllowed> {
        match self {
            Self::AnyRole(roles) => {
                if roles.iter().any(|role| session.claims().has_role(role)) {
                    Ok(())
                } else {
                    Err(NotAllowed::Role)
                }
            }
            Self::Claim(name, wanted) => match session.claims().get(name) {
                Some(held) if held == wanted => Ok(()),
                Some(Value::Array(held)) if held.contains(wanted) => Ok(()),
                _ => Err(NotAllowed::Claim),
            },
            Self::Scopes(wanted) => {
                let missing: Scopes = wanted
                    .iter()
                    .filter(|scope| !session.scopes().contains(scope))
                    .collect();
                if missing.is_empty() {
                    Ok(())
                } else if missing.iter().all(|scope| session.data.demanded.contains(scope)) {
                    // This very sign-in was for its sake, and it was not given: asking once more would go in circles.
                    Err(NotAllowed::ScopeDenied(missing))
                } else {
                    let mut ask = session.data.asked.clone();
                    ask.insert(&missing.to_string());
                    Err(NotAllowed::Scope { missing, ask })
                }
            }
            Self::Within(length) => {
                // Where there are no ID tokens, signing in here is all that is known.
                let since = match session.authenticated_at() {
                    Some(at) => Some(at),
                    None if session.data.id_token.is_none() => Some(session.created_at()),
                    None => None,
                };
                match since {
                    Some(at) if now.since(at) <= *length => Ok(()),
                    _ => Err(NotAllowed::NotFresh(*length)),
                }
            }
        }
    }
}
