//! From a failure to the answer that its sender can use: a redirect, a page, or `application/problem+json`.

use std::borrow::Cow;

use serde::Serialize;

use crate::client::ApiError;
use crate::codes;
use crate::config::{Config, paths};
use crate::error::{Error, Fault, NotAllowed, NotSignedIn};
use crate::gate::OnRefusal;
use crate::login::StepUp;
use crate::reply::Reply;
use crate::request::{Incoming, RequestKind};
use crate::types::{Issuer, ReturnTo, Scopes};

/// Turns a failure into an answer, and says in the log what happened: once, where the failure ends.
pub(crate) fn refuse(
    config: &Config,
    error: &Error,
    incoming: &Incoming,
    or: &OnRefusal,
    now: crate::clock::Timestamp,
) -> Reply {
    note(error);
    match (error, incoming.kind) {
        (Error::NotSignedIn(_), kind) => not_signed_in(config, error, incoming, or, kind),
        (Error::NotAllowed(NotAllowed::OnlyGuests(elsewhere)), _) => Reply::redirect(elsewhere),
        (Error::NotAllowed(NotAllowed::Scope { missing, ask }), RequestKind::Navigation) => {
            let asked = StepUp {
                scopes: ask.clone(),
                demanded_scopes: missing.clone(),
                max_age: None,
                asked_at: now,
            };
            step_up(config, incoming, &asked)
        }
        (Error::NotAllowed(NotAllowed::NotFresh(max_age)), RequestKind::Navigation) => {
            let asked = StepUp {
                scopes: Scopes::default(),
                demanded_scopes: Scopes::default(),
                max_age: Some(*max_age),
                asked_at: now,
            };
            step_up(config, incoming, &asked)
        }
        (_, RequestKind::Navigation) => page(error, &incoming.return_to()),
        (Error::Api(error), RequestKind::Script) => api_failure(config, error),
        (_, RequestKind::Script) => problem(config, error),
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
        (OnRefusal::Unauthorized, RequestKind::Navigation) => page(error, &incoming.return_to()),
        (OnRefusal::Automatic | OnRefusal::Unauthorized, RequestKind::Script) => problem(config, error),
    }
}

fn step_up(config: &Config, incoming: &Incoming, asked: &StepUp) -> Reply {
    let login = with_return(paths::LOGIN, "return_to", &incoming.return_to());
    Reply::redirect(&format!("{login}&step_up={}", asked.seal(&config.keys)))
}

fn with_return(page: &str, parameter: &str, return_to: &ReturnTo) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(parameter, return_to.as_str())
        .finish();
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{joint}{query}")
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

fn problem(config: &Config, error: &Error) -> Reply {
    let (status, code) = (error.status(), error.code());
    let body = serde_json::to_string(&Problem {
        r#type: &format!("{}{}{code}", config.base_url.origin(), paths::ERRORS),
        title: title(error.fault(), code),
        status,
        detail: codes::explain(code).map_or("", |explanation| explanation.cause),
        code,
        error: oauth_error(error),
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
        Error::NotAllowed(NotAllowed::Scope { missing: scopes, .. } | NotAllowed::ScopeDenied(scopes)) => {
            Some(Cow::Owned(format!(
                "Bearer error=\"insufficient_scope\", scope=\"{scopes}\""
            )))
        }
        Error::NotAllowed(NotAllowed::NotFresh(max_age)) => Some(Cow::Owned(format!(
            "Bearer error=\"insufficient_user_authentication\", max_age=\"{}\"",
            max_age.as_secs()
        ))),
        _ => None,
    }
}

fn oauth_error(error: &Error) -> Option<&'static str> {
    match error {
        Error::NotAllowed(NotAllowed::Scope { .. } | NotAllowed::ScopeDenied(_)) => {
            Some("insufficient_scope")
        }
        Error::NotAllowed(NotAllowed::NotFresh(_)) => Some("insufficient_user_authentication"),
        _ => None,
    }
}

/// An API's own 4xx that the handler passes on goes with its body, if that is JSON: anything else would be foreign
/// content on the app's own origin.
fn api_failure(config: &Config, error: &std::sync::Arc<ApiError>) -> Reply {
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
        _ => problem(config, &Error::Api(std::sync::Arc::clone(error))),
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

fn with_retry(reply: Reply, error: &Error) -> Reply {
    match error.retry_after() {
        Some(after) => reply.with("retry-after", &after.as_secs().max(1).to_string()),
        None => reply,
    }
}

fn title(fault: Fault, code: &str) -> &'static str {
    match fault {
        Fault::NotSignedIn => "Please sign in",
        Fault::NotAllowed if code.starts_with("login.") => "You were not let in",
        Fault::NotAllowed => "This is not open to you",
        Fault::Request if code.starts_with("login.") => "This sign-in cannot be finished",
        Fault::Request => "This request was refused",
        Fault::Provider => "The sign-in service has a problem",
        Fault::Store => "We cannot look up your session just now",
        Fault::Downstream => "A service did not answer",
        Fault::Configuration => "This application is not set up correctly",
    }
}

fn whose_turn(error: &Error) -> &'static str {
    match error.fault() {
        Fault::NotSignedIn => "It takes you a moment: sign in, and you come back here.",
        Fault::NotAllowed => {
            "Nothing is broken. Somebody who grants rights has to act, or you with another account."
        }
        Fault::Request => "Nothing is lost. Starting again is all it takes.",
        Fault::Provider => {
            "There is nothing wrong with what you did. The service that signs people in has to recover."
        }
        Fault::Store => {
            "There is nothing wrong with what you did, and you are not signed out. The application's operator has to act, or time will."
        }
        Fault::Downstream => "There is nothing wrong with what you did, and you are still signed in.",
        Fault::Configuration => {
            "There is nothing wrong with what you did. The application's developer or operator has to act."
        }
    }
}

/// The page for a person. Nothing in it comes from the request but the path to come back to.
fn page(error: &Error, return_to: &ReturnTo) -> Reply {
    let (status, code) = (error.status(), error.code());
    let explanation = codes::explain(code);
    let heading = title(error.fault(), code);
    let sign_in = with_return(paths::LOGIN, "return_to", return_to);
    let action = match error {
        Error::Login(_) | Error::NotSignedIn(_) => Some((sign_in.as_str(), "Sign in again")),
        Error::Provider(_) | Error::Refresh(_) | Error::Store(_) | Error::Api(_) => {
            Some((return_to.as_str(), "Try again"))
        }
        _ => None,
    };
    let body = format!(
        "<h1>{heading}</h1><p class=\"lead\">{cause}</p><p>{turn}</p><p>{mend}</p><p class=\"actions\">{button}<a href=\"/\">Home</a></p>\
         <footer><p>Code: <a href=\"{errors}{code}\"><code>{code}</code></a></p></footer>",
        cause = prose(explanation.map_or("", |e| e.cause)),
        turn = whose_turn(error),
        mend = prose(explanation.map_or("", |e| e.mend)),
        button = action.map_or_else(String::new, |(to, label)| format!(
            "<a class=\"button\" href=\"{}\">{label}</a>",
            escape(to)
        )),
        errors = paths::ERRORS,
    );
    with_retry(Reply::page(status, document(heading, &body)), error)
}

/// `GET /auth/errors/<code>`.
pub(crate) fn explain(code: &str) -> Reply {
    match codes::explain(code) {
        Some(found) => {
            let body = format!(
                "<h1><code>{}</code></h1><dl><dt>What it means</dt><dd>{}</dd><dt>What to do</dt><dd>{}</dd></dl>\
                 <p class=\"actions\"><a href=\"/\">Home</a></p>",
                found.code,
                prose(found.cause),
                prose(found.mend)
            );
            Reply::page(200, document(found.code, &body))
        }
        None => simple_page(404, "request.unknown_code"),
    }
}

/// A page for a request that no route takes as it is.
pub(crate) fn simple_page(status: u16, code: &'static str) -> Reply {
    let explanation = codes::explain(code);
    let heading = title(Fault::Request, code);
    let body = format!(
        "<h1>{heading}</h1><p class=\"lead\">{}</p><p>{}</p><p class=\"actions\"><a href=\"/\">Home</a></p>\
         <footer><p>Code: <code>{code}</code></p></footer>",
        prose(explanation.map_or("", |e| e.cause)),
        prose(explanation.map_or("", |e| e.mend)),
    );
    Reply::page(status, document(heading, &body))
}

/// What the provider shows in a frame when a session has ended here (Front-Channel Logout 1.0 §2).
pub(crate) fn signed_out(issuer: &Issuer) -> Reply {
    let body = "<h1>Signed out</h1><p>The session has ended.</p>";
    Reply::page_in_frame_of(&issuer.origin(), document("Signed out", body))
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title}</title><style>{}</style></head>\
         <body><main>{body}</main></body></html>",
        include_str!("page.css")
    )
}

/// Our own words as HTML: what stands between backticks is code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    parts.collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
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

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("<a href=\"x\" title='y'>&"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;"
        );
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        assert_eq!(prose("set `A<B` to 1"), "set <code>A&lt;B</code> to 1");
    }

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
