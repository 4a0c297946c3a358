//! Nobody is signed in any more, or the access token cannot be renewed, or the session cannot be looked up.

use super::{Explanation, LATER, TELL, Turn, code};

pub(super) const CODES: &[Explanation] = &[
    code(
        "session.none",
        "Please sign in",
        "Nobody is signed in in this browser.",
        Turn::User,
        "Sign in, and you come back to this page.",
    ),
    code(
        "session.ended",
        "You have been signed out",
        "The session has ended: it was signed out, it was not used for too long, or it has reached its longest life.",
        Turn::User,
        "Sign in again, and you come back to this page.",
    ),
    code(
        "session.token_expired",
        "Your sign-in has run out",
        "The access token has expired, and the provider gave no refresh token to get another one with.",
        Turn::User,
        "Sign in again, and you come back to this page.",
    )
    .developer(
        "For longer sessions, ask for the scope `offline_access` in `AUTH_SCOPES` and allow refresh tokens for this client at the provider.",
    ),
    code(
        "session.grant_ended",
        "The sign-in service has ended your sign-in",
        "The provider does not accept the refresh token any more: you were signed out there, your rights have changed, or it was not used for too long.",
        Turn::User,
        "Sign in again, and you come back to this page.",
    ),
    code(
        "session.id_token_refused",
        "Your sign-in could not be renewed",
        "When the tokens were refreshed, the provider sent an ID token that does not verify, or somebody else's.",
        Turn::User,
        "Sign in again, and you come back to this page.",
    )
    .operator("Compare the clocks of this server and of the provider.")
    .provider("If it happens often, this client's configuration is wrong: a refreshed ID token must have the same issuer, subject and audience as the first."),
    code(
        "refresh.unavailable",
        "The sign-in service has a problem",
        "Your access has to be renewed, and the provider is down, too slow or overloaded. You stay signed in.",
        Turn::Provider,
        LATER,
    )
    .operator("The log has the cause.")
    .provider("The token endpoint has to recover."),
    code(
        "refresh.unanswered",
        "The sign-in service does not answer",
        "Your access has to be renewed, and the provider gave no answer in time. You stay signed in, unless it turns out that it has done its part: then you sign in again.",
        Turn::Provider,
        LATER,
    )
    .operator("The provider is slow, or connections to it break; compare its times with `HTTP_TIMEOUT_SECS`.")
    .provider("Answer sooner; the service's own log says what takes so long."),
    code(
        "refresh.failed_elsewhere",
        "Your access could not be renewed just now",
        "Another server of this application has just tried to renew your access in vain. You stay signed in.",
        Turn::Operator,
        "There is nothing wrong with what you did. Try again in a moment.",
    )
    .operator("The other server's log has the cause."),
    code(
        "refresh.client_refused",
        "This application is not accepted by the sign-in service any more",
        "Your access has to be renewed, and the provider does not accept this application: its id, its secret or key, or its right to refresh tokens. You stay signed in.",
        Turn::Operator,
        TELL,
    )
    .developer("Allow the refresh token grant for this client at the provider.")
    .operator(
        "Compare `AUTH_CLIENT_ID`, `AUTH_CLIENT_SECRET` or `AUTH_CLIENT_KEY`, and `AUTH_CLIENT_AUTH` with the client's registration: was the secret changed or has it expired?",
    ),
    code(
        "refresh.busy",
        "This takes longer than it should",
        "Your access is being renewed by another server, and that takes too long. You stay signed in.",
        Turn::User,
        "Try again in a moment.",
    ),
    code(
        "refresh.interrupted",
        "The application was interrupted",
        "The application broke off what it was doing: it is being restarted, or something in it has failed.",
        Turn::User,
        "Try again in a moment.",
    )
    .operator("If there was no restart, the log has the cause."),
    code(
        "store.unavailable",
        "We cannot look up your session just now",
        "The application cannot reach its session store. Nobody is signed out by that.",
        Turn::Operator,
        LATER,
    )
    .operator("Check the server behind `AUTH_STORE`, and the way to it; the log has the cause."),
];
