//! A service that the application calls for the user did not give what was asked.

use super::{Explanation, LATER, TELL, Turn, code};

pub(super) const CODES: &[Explanation] = &[
    code(
        "api.unreachable",
        "A service did not answer",
        "A service that this page needs cannot be reached. You are still signed in.",
        Turn::Operator,
        LATER,
    )
    .operator("Check `API_URL`, that the service runs, and the way to it."),
    code(
        "api.timeout",
        "A service did not answer",
        "A service that this page needs did not answer in time. You are still signed in.",
        Turn::Operator,
        LATER,
    )
    .operator("Compare the service's times with `HTTP_TIMEOUT_SECS`."),
    code(
        "api.status",
        "A service has a problem",
        "A service that this page needs answered with a failure. You are still signed in.",
        Turn::Operator,
        LATER,
    )
    .operator("The log has the status; the service's own log says more."),
    code(
        "api.step_up",
        "A service asks you to sign in again",
        "A service that this page needs asks for a stronger or more recent sign-in, or for one more permission.",
        Turn::User,
        "Sign in again, and you come back to this page.",
    ),
    code(
        "api.step_up_denied",
        "A service does not let you in",
        "A service that this page needs asks for another sign-in, and none would help: you have signed in so already.",
        Turn::Administrator,
        "Ask whoever manages accounts and rights, and give them the code below.",
    )
    .administrator("Compare what the service demands (`acr_values`, `max_age`, `scope`) with what the provider gives to this account and this client.")
    .provider("See that access tokens tell the service what it looks at: `acr` and `auth_time` (RFC 9470 §6), and `scope`."),
    code(
        "api.malformed",
        "A service has a problem",
        "A service that this page needs answered with something that does not make sense. You are still signed in.",
        Turn::Operator,
        LATER,
    )
    .operator("Check that `API_URL` is the right service."),
    code(
        "api.bad_request",
        "This application has a fault",
        "The application could not make its request to a service.",
        Turn::Developer,
        TELL,
    )
    .developer("Check the URL, the headers and the body, and set `API_URL` for relative URLs."),
    code(
        "api.origin_not_allowed",
        "This application is not set up correctly",
        "The application wanted to send an access token to a service that is not on its list.",
        Turn::Developer,
        TELL,
    )
    .developer("Add the service with `AuthBuilder::api` or `API_URL`."),
    code(
        "api.shutting_down",
        "The application is being restarted",
        "The application stopped while it was asking a service.",
        Turn::User,
        "Try again in a moment.",
    ),
];
