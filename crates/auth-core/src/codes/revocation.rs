//! A token of a session that has ended could not be revoked. Nobody is shown these: they stand in the log, in events and in
//! metrics.

use super::{Explanation, Setting, Turn, code};

/// The mend of the person, who is signed out.
const NOTHING: &str = "Nothing: you are signed out here.";

pub(super) const CODES: &[Explanation] = &[
    code(
        "revocation.unavailable",
        "A token could not be revoked in time",
        "The provider was too slow, overloaded or down when a token of a session that has ended was to be revoked. It is tried again for an hour, or until the application stops; until then, or until it expires, the token is good.",
        Turn::Provider,
        NOTHING,
    )
    .operator("The log has the cause, and says when a token is given up.")
    .provider("The service has to recover; its own log says why."),
    code(
        "revocation.client_refused",
        "A token could not be revoked",
        "The provider does not accept this application's credentials at its revocation endpoint, or does not let it revoke. The token is good until it expires.",
        Turn::Developer,
        NOTHING,
    )
    .developer("Compare `AUTH_CLIENT_SECRET` or `AUTH_CLIENT_KEY`, and `AUTH_CLIENT_AUTH`, with the client's registration; some providers have a permission of its own for revocation.")
    .settings(&[Setting::ClientId]),
    code(
        "revocation.refused",
        "A token could not be revoked",
        "The provider has refused to revoke a token of a session that has ended, or its answer makes no sense. The token is good until it expires.",
        Turn::Developer,
        NOTHING,
    )
    .developer("See that `AUTH_REVOCATION_URL`, or the discovery document's `revocation_endpoint`, is an endpoint of RFC 7009."),
    code(
        "revocation.too_many",
        "A token could not be revoked",
        "So many tokens wait for being revoked that this one was given up: the provider has not revoked any for a while. The token is good until it expires.",
        Turn::Provider,
        NOTHING,
    )
    .operator("The log has the cause of the failures before.")
    .provider("The service has to recover; its own log says why."),
];
