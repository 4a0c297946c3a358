//! The audit log: a line per event, under a target of its own, so that it can be kept apart from the rest.

use auth_core::{Event, EventKind};

/// Writes an event down: what happened and why, and the short form of the session's name, by which lines belong together.
///
/// Nothing in it is personal. An application that has to know who it was writes down `subject` as well, and for as long as
/// it may; `address`, `user_agent` and `path` are there for whoever has a reason.
///
/// Of a failure the library's own log has a line already; here it is seen with `RUST_LOG=info,audit=debug`.
pub(crate) fn write(event: &Event) {
    let (what, cause) = (event.kind.as_str(), event.kind.cause());
    let session = event.session.map(tracing::field::debug);
    let at = event.at.as_secs();
    match event.kind {
        EventKind::Switched { from } => {
            tracing::info!(target: "audit", at, session, ?from, "{what}");
        }
        EventKind::SignedIn | EventKind::SessionEnded { .. } | EventKind::Refreshed => {
            tracing::info!(target: "audit", at, session, cause, "{what}");
        }
        _ => tracing::debug!(target: "audit", at, session, cause, "{what}"),
    }
}
