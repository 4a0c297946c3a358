//! Who may pass: a signed-in user, one with a role, a claim or a scope, one who signed in just now or in a certain way; or
//! only guests.

use std::time::Duration;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::{Error, NotAllowed};
use crate::session::Session;
use crate::step_up::{AcrValues, Needs};

/// A rule for a route or a group of routes, for the adapters' `require`.
///
/// Everything that is asked for must hold. What another sign-in can mend (a scope, the way or the time of the
/// authentication) is asked for in one; what it cannot (a role, a claim) is refused first. Without a session, a browser is
/// sent to sign in and a script gets 401; [`or_redirect`](Self::or_redirect),
/// [`or_redirect_with_return`](Self::or_redirect_with_return) and [`or_unauthorized`](Self::or_unauthorized) change that.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use auth_core::gate::Gate;
///
/// let admins = Gate::signed_in().role("admin");
/// let transfers = Gate::signed_in().scope("payments").within(Duration::from_secs(300));
/// let closing_the_account = Gate::signed_in().acr(["urn:example:passkey", "urn:example:otp"]).within(Duration::ZERO);
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
    Users { rules: Vec<Rule>, needs: Needs },
    Guests { elsewhere: String },
}

/// What no sign-in of the same user mends.
#[derive(Clone, Debug)]
enum Rule {
    AnyRole(Vec<String>),
    Claim(String, Value),
}

/// What happens to a request when nobody is signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRefusal {
    /// A browser is sent to sign in, and comes back; a form and a script get 401, a page the one and a problem document the
    /// other. The default.
    #[default]
    Automatic,
    /// Every request is sent to this page of the app's own; the way back is forgotten.
    Redirect(String),
    /// Every request is sent to this page of the app's own, with the way back as this parameter of its query.
    RedirectWithReturn {
        /// The path of the page.
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
            who: Who::Users {
                rules: Vec::new(),
                needs: Needs::default(),
            },
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

    fn and(mut self, rule: Rule) -> Self {
        // A guest has neither roles nor claims: on a gate for guests there is nothing more to ask.
        if let Who::Users { rules, .. } = &mut self.who {
            rules.push(rule);
        }
        self
    }

    fn need(mut self, add: impl FnOnce(&mut Needs)) -> Self {
        if let Who::Users { needs, .. } = &mut self.who {
            add(needs);
        }
        self
    }

    /// Asks for this role: claim `roles`, an array of strings or one string, compared whole. Where the provider puts roles
    /// elsewhere, [`roles_claims`](crate::AuthBuilder::roles_claims) makes that claim of them.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.and(Rule::AnyRole(vec![role.into()]))
    }

    /// Asks for one of these roles, as [`role`](Self::role) does for one. Of an empty list nobody passes.
    pub fn any_role<R: Into<String>>(self, roles: impl IntoIterator<Item = R>) -> Self {
        self.and(Rule::AnyRole(roles.into_iter().map(Into::into).collect()))
    }

    /// Asks for a claim with this value; where the claim is an array, it must hold the value. Else 403.
    pub fn claim(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.and(Rule::Claim(name.into(), value.into()))
    }

    /// Asks for a scope to have been granted, or for each of several separated by spaces. A browser without it is sent to sign in
    /// again asking for it, once; a script gets 403 `insufficient_scope` (RFC 6750 §3.1).
    pub fn scope(self, scope: &str) -> Self {
        self.need(|needs| needs.scopes.insert(scope))
    }

    /// Asks for the user to have proved who they are within this time (`auth_time`). Default: it does not matter when. Else a
    /// browser is sent to sign in again with `max_age`, in whole seconds, and a script gets 401
    /// `insufficient_user_authentication` (RFC 9470 §3). Called again, the shorter time counts.
    ///
    /// A sign-in that was made for such a gate lets pass for 30 s after it has come back, however short the time is:
    /// [`Duration::ZERO`] asks for a new one unless there was one for it just now.
    ///
    /// With a plain OAuth 2.0 provider, which does not say when the user proved it, the time of the sign-in counts.
    pub fn within(self, length: Duration) -> Self {
        self.need(|needs| needs.max_age = Some(needs.max_age.map_or(length, |other| other.min(length))))
    }

    /// Asks for the user to have been authenticated in one of these ways: values of the ID token's `acr`, compared whole,
    /// those that are preferred first. Which ones there are and what they mean is the provider's to say
    /// (`acr_values_supported`). Called again, it takes away those that are not in the second list; of an empty list nobody
    /// passes, and neither does anybody with a plain OAuth 2.0 provider.
    ///
    /// Otherwise a browser is sent to sign in again with `acr_values`, and comes back; a script gets 401
    /// `insufficient_user_authentication` (RFC 9470 §3). A provider may leave such a wish unmet (OpenID Connect Core
    /// §5.5.1.1); who comes back without one of the values gets a 403 page and is not sent a second time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use auth_core::gate::Gate;
    /// let payments = Gate::signed_in().acr(["phrh", "phr"]).within(Duration::from_secs(300));
    /// ```
    pub fn acr<A: AsRef<str>>(self, values: impl IntoIterator<Item = A>) -> Self {
        let values: AcrValues = values.into_iter().collect();
        self.need(|needs| match &mut needs.acr_values {
            Some(held) => held.retain(&values),
            none => *none = Some(values),
        })
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
    /// [`Error::NotAllowed`] where the session has not what is asked for; the error that came in place of a session. A gate for
    /// guests lets pass whoever is not signed in, and refuses while that is not known.
    pub fn check(&self, session: Result<&Session, Error>, now: Timestamp) -> Result<(), Error> {
        match (&self.who, session) {
            (Who::Guests { .. }, Err(Error::NotSignedIn(_))) => Ok(()),
            (_, Err(error)) => Err(error),
            (Who::Guests { elsewhere }, Ok(_)) => Err(NotAllowed::OnlyGuests(elsewhere.clone()).into()),
            (Who::Users { rules, needs }, Ok(session)) => {
                rules.iter().try_for_each(|rule| rule.check(session))?;
                Ok(needs.check(session, now).map_err(NotAllowed::from)?)
            }
        }
    }
}

impl Rule {
    fn check(&self, session: &Session) -> Result<(), NotAllowed> {
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
        }
    }
}
