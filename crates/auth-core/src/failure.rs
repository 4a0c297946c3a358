//! A failure as a page shows it, the library's own page or one of the app's.
//!
//! A [`Failure`] is made where a request fails, of the error's code and of what may be shown: title, cause, mend, the settings that
//! have to do with it, a link to try again. The adapters' `AuthLayer::error_page` takes a function of it that writes the app's
//! own page.

use std::fmt;
use std::time::Duration;

use crate::codes::{self, Explanation, Setting, Turn};
use crate::config::{Config, ProviderConfig, ResponseMode, paths};
use crate::error::{Error, Fault, NotAllowed};
use crate::login::{AuthorizationErrorCode, ClockSkew, LoginError};
use crate::metadata::ProviderError;
use crate::origins::OriginId;
use crate::party::Party;
use crate::request::{Again, Incoming, RequestKind};
use crate::token::TokenError;
use crate::types::ReturnTo;

/// What a page says of a failure: everything that the library's own page shows, for one of the app's own.
///
/// All texts are the library's: nothing comes from the provider or the request but the path to come back to, which is a
/// path of this origin by the URL standard's rules. There is no secret in it. Texts are plain, with code between
/// backticks; escape them as any text.
///
/// # Example
///
/// ```
/// use auth_core::Failure;
///
/// fn text_page(failure: &Failure) -> String {
///     let again = failure.try_again().map_or(String::new(), |link| format!("{}: {}", link.label, link.href));
///     format!("{}\n{}\n{}\n{again}\n{}", failure.title(), failure.cause(), failure.mend(), failure.code())
/// }
/// ```
#[derive(Clone)]
pub struct Failure {
    status: u16,
    explanation: Explanation,
    detail: Option<String>,
    try_again: Option<TryAgain>,
    return_to: ReturnTo,
    retry_after: Option<Duration>,
    settings: Vec<(&'static str, String)>,
    refuses_form: bool,
}

/// The button that goes on from a failure.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TryAgain {
    /// Where it leads: to `/auth/login` with the path to come back to, or, being empty, to the same page once more.
    pub href: String,
    /// What it says, in English.
    pub label: &'static str,
}

/// Without the path to come back to: its query may hold anything.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("status", &self.status)
            .field("code", &self.explanation.code)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TryAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryAgain")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl Failure {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The stable code, `login.attempt_expired`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.explanation.code
    }

    /// A headline for the page.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.explanation.title
    }

    /// What happened.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        self.explanation.cause
    }

    /// What the person in front of the page does.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        self.explanation.mend
    }

    /// Whose turn it is.
    #[must_use]
    pub fn turn(&self) -> Turn {
        self.explanation.turn
    }

    /// All that there is to say of the code, also what developer and operator do.
    #[must_use]
    pub fn explanation(&self) -> &Explanation {
        &self.explanation
    }

    /// What the library knows of this one failure besides, for a developer: the member of the discovery document that is
    /// missing, how far the clock is off.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The settings to look at: the names of environment variables and their present values. None is secret.
    pub fn settings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The button that goes on from here, where there is something to try.
    #[must_use]
    pub fn try_again(&self) -> Option<&TryAgain> {
        self.try_again.as_ref()
    }

    /// The path of this app, with its query, that the sign-in was to come back to; where somebody has sent a
    /// form, the page that it stands on, as far as the browser tells.
    #[must_use]
    pub fn return_to(&self) -> &str {
        self.return_to.as_str()
    }

    /// How long to wait before trying again, where the answer says so in `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether a person has sent a form that is refused: nobody is signed in, a right is missing, or it comes from another site.
    /// No link sends it again, so a page does well to say that it was probably not carried out: a gate or an extractor has stopped
    /// it before the handler, unless it was the handler that found the session ended.
    #[must_use]
    pub fn refuses_form(&self) -> bool {
        self.refuses_form
    }

    /// The path of the page that explains the code, `/auth/errors/login.attempt_expired`.
    #[must_use]
    pub fn explained_at(&self) -> String {
        format!("{}{}", paths::ERRORS, self.code())
    }

    pub(crate) fn of(config: &Config, error: &Error, incoming: &Incoming) -> Self {
        let return_to = incoming.return_to();
        let explanation = explanation(error.code());
        Self {
            status: error.status(),
            detail: detail(error),
            try_again: try_again(error, incoming.again, &return_to),
            return_to,
            retry_after: error.retry_after(),
            settings: values(
                config,
                incoming.party.as_deref(),
                incoming.at,
                explanation.settings,
            ),
            explanation,
            // What an API has refused comes from a handler, which may have done something before.
            refuses_form: incoming.kind == RequestKind::Form
                && !matches!(error, Error::Api(_))
                && matches!(
                    error.fault(),
                    Fault::NotSignedIn | Fault::NotAllowed | Fault::Request
                ),
        }
    }

    /// A form for which the user has to sign in anew, at this address.
    pub(crate) fn of_form(config: &Config, error: &Error, incoming: &Incoming, sign_in: String) -> Self {
        Self {
            try_again: Some(TryAgain {
                href: sign_in,
                label: "Sign in again",
            }),
            ..Self::of(config, error, incoming)
        }
    }

    /// A request that no route takes as it is.
    pub(crate) fn of_request(config: &Config, status: u16, code: &'static str, at: OriginId) -> Self {
        let explanation = explanation(code);
        Self {
            status,
            explanation,
            detail: None,
            try_again: None,
            return_to: ReturnTo::default(),
            retry_after: None,
            settings: values(config, None, at, explanation.settings),
            refuses_form: false,
        }
    }
}

/// Every code has an explanation: a test sees to it.
pub(crate) fn explanation(code: &'static str) -> Explanation {
    codes::explain(code).unwrap_or(codes::UNKNOWN_CODE)
}

fn try_again(error: &Error, again: Again, return_to: &ReturnTo) -> Option<TryAgain> {
    let sign_in = |return_to: &ReturnTo, label| {
        Some(TryAgain {
            href: with_return(paths::LOGIN, "return_to", return_to),
            label,
        })
    };
    match error {
        Error::Api(_) if error.step_up().is_some() => sign_in(return_to, "Sign in again"),
        // What does not exist now will not exist a moment later.
        Error::Provider(ProviderError::Unknown) => sign_in(return_to, "Sign in"),
        Error::Provider(_)
        | Error::Refresh(_)
        | Error::Store(_)
        | Error::Api(_)
        | Error::Grant(_)
        | Error::Userinfo(_) => match again {
            Again::SamePage => Some(TryAgain {
                href: String::new(),
                label: "Try again",
            }),
            Again::SignIn => sign_in(return_to, "Try again"),
            Again::Otherwise => None,
        },
        // The target may be the third party's choice as much as the issuer.
        Error::Login(error) if matches!(**error, LoginError::UnknownIssuer) => {
            sign_in(&ReturnTo::default(), "Sign in")
        }
        Error::Login(_) => sign_in(return_to, "Try again"),
        Error::NotSignedIn(_) | Error::NotAllowed(NotAllowed::StepUp(_) | NotAllowed::StepUpDenied(_)) => {
            sign_in(return_to, "Sign in again")
        }
        Error::NotAllowed(_) | Error::CrossSite(_) | Error::Proxy(_) | Error::Setup(_) => None,
    }
}

pub(crate) fn with_return(page: &str, parameter: &str, return_to: &ReturnTo) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(parameter, return_to.as_str())
        .finish();
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{joint}{query}")
}

/// What the error knows besides its code: words of this library and numbers, never the provider's words.
fn detail(error: &Error) -> Option<String> {
    let provider = |error: &ProviderError| match error {
        ProviderError::Unavailable { document, cause, .. } => {
            Some(format!("What was asked for is the {document}; {cause}."))
        }
        ProviderError::DiscoveryMissing { status } => Some(format!("The answer's status is {status}.")),
        ProviderError::DiscoveryMalformed(what) | ProviderError::DiscoveryInsufficient(what) => {
            Some(format!("What is missing or wrong: {what}."))
        }
        ProviderError::IssuerMismatch
        | ProviderError::KeysMalformed
        | ProviderError::Unknown
        | ProviderError::Lookup(_) => None,
    };
    match error {
        Error::Provider(error) => provider(error),
        Error::Login(error) => match error.as_ref() {
            LoginError::Provider(error) => provider(error),
            LoginError::Token(TokenError::Malformed(what))
            | LoginError::Push(TokenError::Malformed(what)) => Some(format!("What is wrong: {what}.")),
            LoginError::Token(TokenError::Refused(code)) => Some(format!("The error's code is {code}.")),
            LoginError::Refused(AuthorizationErrorCode::Other)
            | LoginError::PushRefused(AuthorizationErrorCode::Other) => None,
            LoginError::Refused(code) | LoginError::PushRefused(code) => {
                Some(format!("The error's code is {code}."))
            }
            LoginError::Clock {
                skew: ClockSkew::Behind(by) | ClockSkew::Ahead(by),
                ..
            } => Some(format!("The clocks are {} seconds apart.", by.as_secs())),
            _ => None,
        },
        _ => None,
    }
}

/// The present values of settings, at this origin of the app. Where no provider is meant, it is the first whose users sign in there.
pub(crate) fn values(
    config: &Config,
    party: Option<&Party>,
    at: OriginId,
    settings: &[Setting],
) -> Vec<(&'static str, String)> {
    let party = party.unwrap_or_else(|| {
        let here = config.parties.configured().iter().find(|party| party.is_at(at));
        here.unwrap_or(config.parties.first())
    });
    let origin = config.origins.get(at);
    let value = |setting: &Setting| match setting {
        Setting::BaseUrl => ("AUTH_BASE_URL", origin.origin().to_owned()),
        Setting::RedirectUri => ("Redirect URI", party.redirect_uri(origin)),
        Setting::Issuer => match &party.provider.config {
            ProviderConfig::Discovery(issuer) => ("AUTH_ISSUER", issuer.as_str().to_owned()),
            ProviderConfig::Endpoints { authorization, .. } => {
                ("AUTH_AUTHORIZATION_URL", authorization.to_string())
            }
        },
        Setting::ClientId => ("AUTH_CLIENT_ID", party.registration.client_id.clone()),
        Setting::Scopes => ("AUTH_SCOPES", party.config.scopes.to_string()),
        Setting::ResponseMode => {
            let mode = match party.config.response_mode {
                ResponseMode::Query => "query",
                ResponseMode::FormPost => "form_post",
                ResponseMode::Jwt => "jwt",
                ResponseMode::FormPostJwt => "form_post.jwt",
            };
            ("AUTH_RESPONSE_MODE", mode.to_owned())
        }
    };
    settings.iter().map(value).collect()
}
