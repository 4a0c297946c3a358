//! From a failure to the answer that its sender can use: a redirect, a page, or `application/problem+json`.

use std::borrow::Cow;

use tracing::Level;

use crate::choices::SignInChoices;
use crate::client::ApiError;
use crate::clock::Timestamp;
use crate::codes;
use crate::config::{Config, paths};
use crate::error::{Error, Fault, NotAllowed, NotSignedIn};
use crate::failure::{Failure, with_return};
use crate::gate::OnRefusal;
use crate::origins::OriginId;
use crate::page;
use crate::problem::Problem;
use crate::proxy::ProxyError;
use crate::reply::Reply;
use crate::request::{Incoming, RequestKind};
use crate::step_up::StepUp;
use crate::types::Issuer;

/// Turns a failure into an answer, and says in the log what happened: once, where the failure ends.
pub(crate) fn refuse(
    config: &Config,
    error: &Error,
    incoming: &Incoming,
    or: &OnRefusal,
    now: Timestamp,
) -> Reply {
    note(error);
    match (error, incoming.kind) {
        (Error::NotSignedIn(_), kind) => not_signed_in(config, error, incoming, or, kind),
        (Error::NotAllowed(NotAllowed::OnlyGuests(elsewhere)), _) => Reply::redirect(elsewhere),
        (_, RequestKind::Navigation | RequestKind::Form) => match sign_in_anew(error) {
            Some(step_up) => {
                let login = sign_in_for(config, incoming, step_up, now);
                match incoming.kind {
                    // What was sent is lost: that is for a page to say, before anybody signs in.
                    RequestKind::Form => {
                        refused(failed(Failure::of_form(config, error, incoming, login)), error)
                    }
                    _ => Reply::redirect(&login),
                }
            }
            None => page(config, error, incoming),
        },
        (Error::Api(error), RequestKind::Script) => api_failure(config, error, incoming),
        (_, RequestKind::Script) => problem(config, error, incoming),
    }
}

fn not_signed_in(
    config: &Config,
    error: &Error,
    incoming: &Incoming,
    or: &OnRefusal,
    kind: RequestKind,
) -> Reply {
    match (or, kind) {
        (OnRefusal::Automatic, RequestKind::Navigation) => {
            Reply::redirect(&with_return(paths::LOGIN, "return_to", &incoming.return_to()))
        }
        (OnRefusal::Redirect(page), _) => Reply::redirect(page),
        (OnRefusal::RedirectWithReturn { page, parameter }, _) => {
            Reply::redirect(&with_return(page, parameter, &incoming.return_to()))
        }
        (OnRefusal::Automatic | OnRefusal::Unauthorized, RequestKind::Form)
            if config.problems_for_signed_out_forms =>
        {
            problem(config, error, incoming)
        }
        (OnRefusal::Automatic, RequestKind::Form)
        | (OnRefusal::Unauthorized, RequestKind::Navigation | RequestKind::Form) => {
            page(config, error, incoming)
        }
        (OnRefusal::Automatic | OnRefusal::Unauthorized, RequestKind::Script) => {
            problem(config, error, incoming)
        }
    }
}

/// What another sign-in is to bring, where one may help.
fn sign_in_anew(error: &Error) -> Option<&StepUp> {
    match error {
        Error::NotAllowed(NotAllowed::StepUp(step_up)) => Some(step_up),
        Error::Api(api) => match api.as_ref() {
            ApiError::StepUp(step_up) => Some(step_up),
            _ => None,
        },
        _ => None,
    }
}

/// The address of that sign-in.
fn sign_in_for(config: &Config, incoming: &Incoming, step_up: &StepUp, now: Timestamp) -> String {
    let login = with_return(paths::LOGIN, "return_to", &incoming.return_to());
    format!("{login}&step_up={}", step_up.seal(&config.keys, now))
}

fn problem(config: &Config, error: &Error, incoming: &Incoming) -> Reply {
    let step_up = error.step_up();
    let problem = Problem {
        // A challenge is one also where it does not help to answer it.
        status: step_up.map_or(error.status(), StepUp::status),
        code: error.code(),
        error: step_up.map(StepUp::error),
    };
    let document = config.problems.document(incoming.at, problem, || {
        Some(format!(
            "{}{}",
            config.origins.get(incoming.at).origin(),
            paths::ERRORS
        ))
    });
    let mut reply = Reply::problem(problem.status, document);
    if let Some(challenge) = challenge(error) {
        reply = reply.with("www-authenticate", challenge);
    }
    with_retry(reply, error)
}

/// The challenge that goes with a 401 or 403 for programs (RFC 9110 §11.6.1; RFC 6750 §3; RFC 9470 §3).
///
/// There is no registered scheme for a session cookie; `Session` tells programs that it is not a password that is
/// missing, and keeps browsers from asking for one.
fn challenge(error: &Error) -> Option<Cow<'static, str>> {
    match error {
        Error::NotSignedIn(_) => Some(Cow::Borrowed("Session")),
        _ => error.step_up().map(|step_up| Cow::Owned(step_up.challenge())),
    }
}

/// An API's own 4xx that the handler passes on goes with its body, if that is JSON: anything else would be foreign
/// content on the app's own origin.
fn api_failure(config: &Config, error: &std::sync::Arc<ApiError>, incoming: &Incoming) -> Reply {
    match error.as_ref() {
        ApiError::PassedOn {
            status,
            content_type: Some(content_type),
            body,
        } if is_json(content_type) => Reply::raw(
            status.as_u16(),
            content_type,
            String::from_utf8_lossy(body).into_owned(),
        ),
        _ => problem(config, &Error::Api(std::sync::Arc::clone(error)), incoming),
    }
}

fn is_json(content_type: &str) -> bool {
    let media = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

fn with_retry(mut reply: Reply, error: &Error) -> Reply {
    if let Error::Proxy(error) = error
        && let ProxyError::Method { allow } = error.as_ref()
    {
        // RFC 9110 §15.5.6.
        reply = reply.with("allow", allow.clone());
    }
    match error.retry_after() {
        Some(after) => reply.with("retry-after", after.as_secs().max(1).to_string()),
        None => reply,
    }
}

/// The page for a person. Nothing in it comes from the request but the path to come back to.
fn page(config: &Config, error: &Error, incoming: &Incoming) -> Reply {
    refused(failed(Failure::of(config, error, incoming)), error)
}

/// With what a 401 must have beside its page (RFC 9110 §15.5.2).
fn refused(mut reply: Reply, error: &Error) -> Reply {
    if reply.status == 401
        && let Some(challenge) = challenge(error)
    {
        reply = reply.with("www-authenticate", challenge);
    }
    with_retry(reply, error)
}

/// A page for a request that no route takes as it is.
pub(crate) fn simple_page(config: &Config, status: u16, code: &'static str, at: OriginId) -> Reply {
    failed(Failure::of_request(config, status, code, at))
}

fn failed(failure: Failure) -> Reply {
    let mut reply = Reply::page(failure.status(), page::of(&failure));
    reply.failure = Some(Box::new(failure));
    reply
}

/// The page to choose a provider on: each with its label, and the address that signs in there.
pub(crate) fn choose(choices: SignInChoices) -> Reply {
    let mut reply = Reply::page(200, page::choose(&choices));
    reply.choices = Some(Box::new(choices));
    reply
}

/// What the provider shows in a frame when a session has ended here (Front-Channel Logout 1.0 §2).
pub(crate) fn signed_out(issuer: &Issuer) -> Reply {
    Reply::page_in_frame_of(&issuer.origin(), page::signed_out())
}

/// `GET /auth/errors/<code>`.
pub(crate) fn explain(config: &Config, code: &str, at: OriginId) -> Reply {
    match codes::explain(code) {
        Some(found) => Reply::page(200, page::explanation(config, &found, at)),
        None => simple_page(config, 404, "request.unknown_code", at),
    }
}

/// `GET /auth/errors/`.
pub(crate) fn explain_all() -> Reply {
    Reply::page(200, page::index())
}

/// One line in the log for each failure, at the level that fits who has to act.
fn note(error: &Error) {
    let code = error.code();
    let cause = || crate::error::chain(error);
    match (level(error), error.fault()) {
        (Level::DEBUG | Level::TRACE, _) => tracing::debug!(code, "nobody is signed in"),
        (Level::INFO, Fault::NotSignedIn | Fault::NotAllowed) => {
            tracing::info!(code, cause = cause(), "a request was not let through");
        }
        (Level::INFO, _) => tracing::info!(code, cause = cause(), "a request was refused"),
        (Level::WARN, _) => tracing::warn!(code, cause = cause(), "a request failed"),
        (Level::ERROR, _) => {
            tracing::error!(code, cause = cause(), "the application is not set up correctly");
        }
    }
}

/// ERROR is what wakes somebody at night: only what is certain to be wrong, and for the application's own people to mend.
fn level(error: &Error) -> Level {
    match error.fault() {
        Fault::NotSignedIn
            if matches!(
                error,
                Error::NotSignedIn(NotSignedIn::NoSession | NotSignedIn::Ended)
            ) =>
        {
            Level::DEBUG
        }
        Fault::NotSignedIn | Fault::NotAllowed | Fault::Request => Level::INFO,
        Fault::Provider | Fault::Store | Fault::Downstream => Level::WARN,
        Fault::Configuration => match error {
            Error::Login(error) => error.level_of_configuration(),
            _ => Level::ERROR,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::ClientAuthMethod;
    use crate::error::SetupError;
    use crate::grants::GrantError;
    use crate::login::{AuthorizationErrorCode, LoginError};
    use crate::metadata::ProviderError;
    use crate::refresh::RefreshError;
    use crate::store::StoreError;
    use crate::token::{TokenError, TokenErrorCode};
    use crate::types::ReturnTo;

    #[test]
    fn the_way_back_is_one_parameter() {
        let return_to = ReturnTo::parse("/a?b=c&return_to=//evil.example");
        assert_eq!(
            with_return("/auth/login", "return_to", &return_to),
            "/auth/login?return_to=%2Fa%3Fb%3Dc%26return_to%3D%2F%2Fevil.example"
        );
        assert!(with_return("/sign-in?x=1", "next", &return_to).starts_with("/sign-in?x=1&next="));
    }

    fn login(error: LoginError) -> Error {
        Error::Login(Arc::new(error))
    }

    const ASKED_AT_THE_PROVIDER: [AuthorizationErrorCode; 16] = [
        AuthorizationErrorCode::AccessDenied,
        AuthorizationErrorCode::ServerError,
        AuthorizationErrorCode::TemporarilyUnavailable,
        AuthorizationErrorCode::InteractionRequired,
        AuthorizationErrorCode::UnmetAuthenticationRequirements,
        AuthorizationErrorCode::InvalidScope,
        AuthorizationErrorCode::UnauthorizedClient,
        AuthorizationErrorCode::InvalidClient,
        AuthorizationErrorCode::RedirectUri,
        AuthorizationErrorCode::InvalidRequest,
        AuthorizationErrorCode::AuthorizationDetails,
        AuthorizationErrorCode::RequestObject,
        AuthorizationErrorCode::RequestUri,
        AuthorizationErrorCode::UnsupportedResponseType,
        AuthorizationErrorCode::InvalidTarget,
        AuthorizationErrorCode::Other,
    ];

    /// What a browser brings, anybody can write.
    #[test]
    fn nothing_that_the_browser_brings_is_logged_as_an_error() {
        for code in ASKED_AT_THE_PROVIDER {
            let error = login(LoginError::Refused(code));
            let expected = match code {
                // The person's own choice, or a matter of their account; nobody has to act.
                AuthorizationErrorCode::AccessDenied
                | AuthorizationErrorCode::UnmetAuthenticationRequirements
                | AuthorizationErrorCode::InteractionRequired => Level::INFO,
                _ => Level::WARN,
            };
            assert_eq!(level(&error), expected, "{}", error.code());
        }
        for error in [
            LoginError::StateMissing,
            LoginError::StateUnknown,
            LoginError::ParameterRepeated,
            LoginError::AttemptExpired,
            LoginError::AttemptUnreadable,
            LoginError::AttemptTampered,
            LoginError::StateReplayed,
            LoginError::OtherProvider,
            LoginError::OtherOrigin,
            LoginError::IssuerMismatch,
            LoginError::IssuerMissing,
            LoginError::ResponseUnsigned,
            LoginError::CodeMissing,
            LoginError::SignedOut,
        ] {
            let error = login(error);
            assert_eq!(level(&error), Level::INFO, "{}", error.code());
        }
    }

    #[test]
    fn what_the_provider_says_itself_is_an_error_where_a_setting_is_wrong() {
        for code in ASKED_AT_THE_PROVIDER {
            let error = login(LoginError::PushRefused(code));
            let expected = match code {
                AuthorizationErrorCode::AccessDenied
                | AuthorizationErrorCode::UnmetAuthenticationRequirements
                | AuthorizationErrorCode::InteractionRequired
                | AuthorizationErrorCode::ServerError
                | AuthorizationErrorCode::TemporarilyUnavailable
                | AuthorizationErrorCode::Other => Level::WARN,
                _ => Level::ERROR,
            };
            assert_eq!(level(&error), expected, "{}", error.code());
        }
        let refused = |code| TokenError::Refused(code);
        for (code, expected) in [
            (TokenErrorCode::InvalidClient, Level::ERROR),
            (TokenErrorCode::ClientCertificate, Level::ERROR),
            (TokenErrorCode::UnauthorizedClient, Level::ERROR),
            (TokenErrorCode::UnsupportedGrantType, Level::ERROR),
            (TokenErrorCode::InvalidScope, Level::ERROR),
            (TokenErrorCode::InvalidTarget, Level::ERROR),
            (TokenErrorCode::RedirectUri, Level::ERROR),
            (TokenErrorCode::InvalidGrant, Level::WARN),
            (TokenErrorCode::InvalidRequest, Level::WARN),
            (TokenErrorCode::DpopProof, Level::WARN),
            (TokenErrorCode::Other, Level::WARN),
        ] {
            assert_eq!(
                level(&login(LoginError::Token(refused(code)))),
                expected,
                "{code:?}"
            );
        }
    }

    #[test]
    fn an_outage_is_a_warning_and_a_wrong_setting_an_error() {
        let token = || Arc::new(TokenError::Refused(TokenErrorCode::InvalidClient));
        let timeout = || Arc::new(StoreError::Timeout);
        for (error, expected) in [
            (Error::NotSignedIn(NotSignedIn::NoSession), Level::DEBUG),
            (Error::NotSignedIn(NotSignedIn::Ended), Level::DEBUG),
            (Error::NotSignedIn(NotSignedIn::TokenExpired), Level::INFO),
            (Error::NotSignedIn(NotSignedIn::GrantEnded), Level::INFO),
            (Error::NotSignedIn(NotSignedIn::IdTokenRefused), Level::INFO),
            (Error::NotAllowed(NotAllowed::Role), Level::INFO),
            (Error::NotAllowed(NotAllowed::Claim), Level::INFO),
            (login(LoginError::PushRequired), Level::ERROR),
            (login(LoginError::PushUnsupported), Level::ERROR),
            (
                login(LoginError::ClientRefused(ClientAuthMethod::ClientSecretBasic)),
                Level::ERROR,
            ),
            (login(LoginError::IdTokenMissing), Level::WARN),
            (Error::Provider(ProviderError::Unknown), Level::INFO),
            (Error::Provider(ProviderError::KeysMalformed), Level::WARN),
            (Error::Provider(ProviderError::IssuerMismatch), Level::WARN),
            (
                Error::Refresh(Arc::new(RefreshError::ClientRefused(token()))),
                Level::ERROR,
            ),
            (
                Error::Refresh(Arc::new(RefreshError::Unavailable(token()))),
                Level::WARN,
            ),
            (Error::Refresh(Arc::new(RefreshError::Busy)), Level::WARN),
            (Error::Refresh(Arc::new(RefreshError::HolderGaveUp)), Level::WARN),
            (Error::Refresh(Arc::new(RefreshError::Interrupted)), Level::WARN),
            (Error::Store(timeout()), Level::WARN),
            (Error::Grant(Arc::new(GrantError::OtherUser)), Level::WARN),
            (
                Error::Grant(Arc::new(GrantError::ClientRefused(token()))),
                Level::ERROR,
            ),
            (Error::Api(Arc::new(ApiError::NoBaseUrl)), Level::ERROR),
            (Error::Api(Arc::new(ApiError::ShuttingDown)), Level::WARN),
            (Error::Setup(SetupError::LayerMissing), Level::ERROR),
            (Error::Setup(SetupError::ClaimsType), Level::ERROR),
        ] {
            assert_eq!(level(&error), expected, "{}", error.code());
        }
    }
}
