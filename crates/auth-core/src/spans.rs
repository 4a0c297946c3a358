//! The spans of this crate, for `tracing`. `docs/metrics.md` lists them; a test holds the two equal.
//!
//! Their fields have OpenTelemetry's names, so that what an exporter hands on is found where people look for it. In none is a
//! query, a header, a path that somebody sent, or a name of a user: nothing that could hold a token, a code, a cookie or a
//! secret. Where nobody listens, a span costs a look at one number.
//!
//! A span stays open for as long as one below it does. So what nobody waits for is none's child: it begins a trace of its own,
//! which is linked to the one that it came from.

use http::{Method, StatusCode, Uri};
use tracing::field::Empty;
use tracing::{Span, info_span};
use url::Url;

use crate::http::{Answer, Asked, HttpError};
use crate::store::{SessionKey, StoreError};

const PROVIDER: &str = "auth.provider.request";
const API: &str = "auth.api.request";
const PROXY: &str = "auth.proxy.request";
const STORE: &str = "auth.store.operation";
const CALLBACK: &str = "auth.callback";
const REFRESH: &str = "auth.refresh";
const REVOCATION: &str = "auth.revocation";

/// Who waits for what is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Somebody,
    Nobody,
}

/// A request to one of the provider's endpoints, whose paths are public.
pub(crate) fn provider(asked: Asked, request: &reqwest::Request) -> Span {
    let url = request.url();
    info_span!(
        PROVIDER,
        otel.kind = "client",
        otel.name = %format_args!("{} {}", method(request.method()), asked.name()),
        otel.status_code = Empty,
        auth.endpoint = asked.name(),
        http.request.method = method(request.method()),
        server.address = address(url.host_str()),
        server.port = url.port_or_known_default(),
        url.path = url.path(),
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// A request to an API for the user or for the application itself.
pub(crate) fn api(verb: &Method, url: &Url) -> Span {
    info_span!(
        API,
        otel.kind = "client",
        otel.name = method(verb),
        otel.status_code = Empty,
        http.request.method = method(verb),
        server.address = address(url.host_str()),
        server.port = url.port_or_known_default(),
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// A request that a proxy forwards.
pub(crate) fn proxy(verb: &Method, uri: &Uri) -> Span {
    info_span!(
        PROXY,
        otel.kind = "client",
        otel.name = method(verb),
        otel.status_code = Empty,
        http.request.method = method(verb),
        server.address = address(uri.host()),
        server.port = uri
            .port_u16()
            .or(if uri.scheme_str() == Some("http") { Some(80) } else { Some(443) }),
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// An operation of a store that waits for another process or for a disk.
pub(crate) fn store(system: &'static str, operation: &'static str) -> Span {
    info_span!(
        STORE,
        otel.kind = "client",
        otel.name = operation,
        otel.status_code = Empty,
        db.system.name = system,
        db.operation.name = operation,
        error.type = Empty,
    )
}

/// The provider's answer to a sign-in, from its arrival until the user is signed in.
pub(crate) fn callback() -> Span {
    info_span!(CALLBACK, otel.status_code = Empty, error.type = Empty)
}

/// The refresh of a session's tokens, with the wait for the lease.
pub(crate) fn refresh(session: &SessionKey, waits: Waits) -> Span {
    linked(waits, |parent| {
        info_span!(
            parent: parent,
            REFRESH,
            auth.session = ?session,
            otel.status_code = Empty,
            error.type = Empty,
        )
    })
}

/// The revocation of the tokens of a session that has ended.
pub(crate) fn revocation(session: &SessionKey, waits: Waits) -> Span {
    linked(waits, |parent| {
        info_span!(
            parent: parent,
            REVOCATION,
            auth.session = ?session,
            otel.status_code = Empty,
            error.type = Empty,
        )
    })
}

/// A span below the present one, or one that only follows from it.
fn linked(waits: Waits, make: impl FnOnce(Option<tracing::Id>) -> Span) -> Span {
    let present = Span::current();
    match waits {
        Waits::Somebody => make(present.id()),
        Waits::Nobody => {
            let span = make(None);
            span.follows_from(present.id());
            span
        }
    }
}

/// Notes what the provider has answered.
pub(crate) fn answered_by_provider(span: &Span, result: &Result<Answer, HttpError>) {
    match result {
        Ok(answer) => answered(span, answer.status),
        Err(error) => failed(span, error.kind()),
    }
}

/// Notes the status of an answer; 4xx and 5xx are failures of whoever asked.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_client_error() || status.is_server_error() {
        failed(span, status.as_str());
    }
}

/// Notes that the store has failed.
pub(crate) fn failed_store(span: &Span, error: &StoreError) {
    let kind = match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Timeout => "timeout",
        StoreError::Corrupt(_) => "corrupt",
    };
    failed(span, kind);
}

/// Notes that it has failed, with a code of a list that is known beforehand.
pub(crate) fn failed(span: &Span, kind: &str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

/// A method that is none of HTTP's own may be anything; OpenTelemetry has one name for all of them.
fn method(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::CONNECT
        | Method::OPTIONS
        | Method::TRACE
        | Method::PATCH => method.as_str(),
        _ => "_OTHER",
    }
}

/// A host's name or address, without the brackets of IPv6.
fn address(host: Option<&str>) -> Option<&str> {
    host.map(|host| host.trim_start_matches('[').trim_end_matches(']'))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use tracing_subscriber::Registry;

    use super::*;

    /// What a span is about, and its fields, each with what it holds.
    struct Described {
        span: Span,
        when: &'static str,
        fields: &'static [(&'static str, &'static str)],
    }

    const CLIENT: (&str, &str) = ("otel.kind", "`client`");
    const NAME_OF_METHOD: (&str, &str) = ("otel.name", "the method");
    const STATUS_OF_SPAN: (&str, &str) = ("otel.status_code", "`ERROR` where it failed");
    const METHOD: (&str, &str) = (
        "http.request.method",
        "the method; `_OTHER` for one that is none of HTTP's own",
    );
    const ADDRESS: (&str, &str) = ("server.address", "the host");
    const PORT: (&str, &str) = ("server.port", "the port");
    const STATUS: (&str, &str) = ("http.response.status_code", "the status, once it is there");
    const NO_ANSWER: (&str, &str) = (
        "error.type",
        "a status of 4xx or 5xx, or `no_connection`, `timeout`, `broken_off`, `too_large`, `certificate_refused`, `not_sent`",
    );
    const STATUS_OR_CODE: (&str, &str) = (
        "error.type",
        "a status of 4xx or 5xx, or a code of [errors.md](errors.md)",
    );
    const CODE: (&str, &str) = ("error.type", "a code of [errors.md](errors.md)");
    const SESSION: (&str, &str) = (
        "auth.session",
        "the beginning of the session's key, as in the log",
    );

    /// Made while a subscriber listens.
    fn all() -> Vec<Described> {
        let client = reqwest::Client::new();
        let request = client
            .get("https://id.example/token?a=b")
            .build()
            .expect("a request");
        let url = Url::parse("https://api.example/path").expect("a URL");
        let key = SessionKey::from_bytes([7; 32]);
        vec![
            Described {
                span: callback(),
                when: "The provider's answer to a sign-in, from its arrival until the user is signed in",
                fields: &[STATUS_OF_SPAN, CODE],
            },
            Described {
                span: refresh(&key, Waits::Somebody),
                when: "A refresh, from its beginning until the tokens are saved, with the wait for the lease. Requests that share it have one span, which is below the first of them; one in the background is a trace of its own, linked to the request",
                fields: &[SESSION, STATUS_OF_SPAN, CODE],
            },
            Described {
                span: revocation(&key, Waits::Somebody),
                when: "The revocation of a session's tokens; below the sign-out, which waits for it, and else a trace of its own",
                fields: &[SESSION, STATUS_OF_SPAN, CODE],
            },
            Described {
                span: provider(Asked::Token, &request),
                when: "A request to the provider, until its answer is there in whole",
                fields: &[
                    CLIENT,
                    ("otel.name", "method and endpoint, `POST token`"),
                    STATUS_OF_SPAN,
                    (
                        "auth.endpoint",
                        "`discovery`, `jwks`, `pushed_authorization`, `token`, `userinfo`, `revocation`, `introspection`",
                    ),
                    METHOD,
                    ADDRESS,
                    PORT,
                    ("url.path", "the endpoint's path"),
                    STATUS,
                    NO_ANSWER,
                ],
            },
            Described {
                span: api(&Method::GET, &url),
                when: "A request of `AuthenticatedClient` or `MachineClient`, until the head of the answer; each try has its own",
                fields: &[
                    CLIENT,
                    NAME_OF_METHOD,
                    STATUS_OF_SPAN,
                    METHOD,
                    ADDRESS,
                    PORT,
                    STATUS,
                    STATUS_OR_CODE,
                ],
            },
            Described {
                span: proxy(&Method::GET, &Uri::from_static("https://api.example/path")),
                when: "A request that a `Proxy` forwards, until the head of the answer; each try has its own",
                fields: &[
                    CLIENT,
                    NAME_OF_METHOD,
                    STATUS_OF_SPAN,
                    METHOD,
                    ADDRESS,
                    PORT,
                    STATUS,
                    STATUS_OR_CODE,
                ],
            },
            Described {
                span: store("redis", "load"),
                when: "An operation of a store that waits: Redis, PostgreSQL, SQLite, or one whose `SessionStore::system` says so. The store in memory has none",
                fields: &[
                    CLIENT,
                    ("otel.name", "the operation"),
                    STATUS_OF_SPAN,
                    ("db.system.name", "`redis`, `postgresql`, `sqlite`"),
                    (
                        "db.operation.name",
                        "a method of `SessionStore` or `AppDataStore`",
                    ),
                    ("error.type", "`unavailable`, `timeout`, `corrupt`"),
                ],
            },
        ]
    }

    const BEGINS: &str = "| Span | When | Fields |\n| --- | --- | --- |\n";

    #[test]
    fn the_documentation_lists_every_span() {
        let _here = tracing::subscriber::set_default(Registry::default());
        let mut table = String::new();
        for Described { span, when, fields } in all() {
            let metadata = span.metadata().expect("a subscriber listens");
            let names: Vec<_> = metadata.fields().iter().map(|field| field.name()).collect();
            let listed: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, listed, "{}", metadata.name());
            assert_eq!(metadata.target(), "auth_core::spans");
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, holds)| format!("`{name}`: {holds}"))
                .collect();
            writeln!(
                table,
                "| `{}` | {when} | {} |",
                metadata.name(),
                fields.join("<br>")
            )
            .expect("text");
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let found = std::fs::read_to_string(&path).expect("docs/metrics.md is there");
        let (before, after) = found.split_once(BEGINS).expect("it has the table");
        let after = after.split_once("\n\n").map_or("", |(_, after)| after);
        let expected = format!("{before}{BEGINS}{table}\n{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &expected).expect("it can be written");
            return;
        }
        assert!(
            found == expected,
            "docs/metrics.md is not what the code says; write its table anew with\n\
             UPDATE_DOCS=1 cargo test -p auth-core --all-features --lib the_documentation_lists_every_span"
        );
    }

    #[test]
    fn every_constructor_is_listed() {
        let (code, _) = include_str!("spans.rs")
            .split_once("mod tests {")
            .expect("these tests");
        let made = code
            .lines()
            .filter(|line| line.starts_with("pub(crate) fn ") && line.ends_with(" -> Span {"));
        assert_eq!(all().len(), made.count());
    }
}
