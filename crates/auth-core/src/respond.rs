//! From a failure to the answer that its sender can use: a redirect, a page, or `application/problem+json`.

use std::borrow::Cow;

use serde::Serialize;

use crate::choices::SignInChoices;
use crate::client::ApiError;
use crate::clock::Timestamp;
use crate::codes;
use crate::config::{Config, paths};
use crate::error::{Error, Fault, NotAllowed, NotSignedIn};
use crate::failure::{self, Failure, with_return};
use crate::gate::OnRefusal;
use crate::origins::OriginId;
use crate::page;
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
                        with_retry(failed(Failure::of_form(config, error, incoming, login)), error)
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

/// RFC 9457 §3.1, with the stable code as a member of its own.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    /// The OAuth 2.0 error code (RFC 6750 §3.1, RFC 9470 §3), where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn problem(config: &Config, error: &Error, incoming: &Incoming) -> Reply {
    // A challenge is one also where it does not help to answer it.
    let status = error.step_up().map_or(error.status(), StepUp::status);
    let code = error.code();
    let explanation = failure::explanation(code);
    let body = serde_json::to_string(&Problem {
        r#type: &format!(
            "{}{}{code}",
            config.origins.get(incoming.at).origin(),
            paths::ERRORS
        ),
        title: explanation.title,
        status,
        detail: explanation.cause,
        code,
        error: error.step_up().map(StepUp::error),
    });
    let mut reply = Reply::problem(status, body.unwrap_or_default());
    if let Some(challenge) = challenge(error) {
        reply = reply.with("www-authenticate", &challenge);
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
        reply = reply.with("allow", allow);
    }
    match error.retry_after() {
        Some(after) => reply.with("retry-after", &after.as_secs().max(1).to_string()),
        None => reply,
    }
}

/// The page for a person. Nothing in it comes from the request but the path to come back to.
fn page(config: &Config, error: &Error, incoming: &Incoming) -> Reply {
    with_retry(failed(Failure::of(config, error, incoming)), error)
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
    match error.fault() {
        Fault::NotSignedIn
            if matches!(
                error,
                Error::NotSignedIn(NotSignedIn::NoSession | NotSignedIn::Ended)
            ) =>
        {
            tracing::debug!(code, "nobody is signed in");
        }
        Fault::NotSignedIn | Fault::NotAllowed => {
            tracing::info!(
                code,
                cause = crate::error::chain(error),
                "a request was not let through"
            );
        }
        Fault::Request => tracing::info!(code, cause = crate::error::chain(error), "a request was refused"),
        Fault::Provider | Fault::Store | Fault::Downstream => {
            tracing::warn!(code, cause = crate::error::chain(error), "a request failed");
        }
        Fault::Configuration => {
            tracing::error!(
                code,
                cause = crate::error::chain(error),
                "the application is not set up correctly"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
